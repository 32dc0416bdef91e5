//! What must hold after every case.

use super::{
    draft::{BODY, Tokens},
    lane::{Observation, Passage},
    mutation::Case,
};
use crate::support::reader::{self, Manner, Request, Rest};

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// We let more requests of it through than nginx or HAProxy did, mostly one and they none.
    BothRefuse,
    /// What we sent to the app is no well-formed HTTP.
    Malformed(&'static str),
    /// A lax app would see other requests than a strict one.
    ReadTwoWays { strict: usize, lax: usize },
    /// The app gave other answers than the client got.
    Answers { given: Vec<u64>, got: Vec<u64> },
    /// The app was told of somebody else, or of somebody in a second way.
    Identity(String),
}

/// What the app is told of a caller.
type Told<'a> = Vec<(String, &'a [u8])>;

const NAMES: [&str; 6] = ["x-user-id", "x-tenant", "x-roles", "x-user-email", "x-user-name", "x-plan"];
const LAX: [Manner; 2] = [Manner::LengthFirst, Manner::ChunksFirst];

/// The first rule that a case breaks.
pub fn judge(observation: &Observation) -> Option<Breach> {
    let ours = &observation.vestibule;
    shape(ours).or_else(|| {
        let most = passed(&observation.nginx).max(passed(&observation.haproxy));
        (passed(ours) > most).then_some(Breach::BothRefuse)
    })
}

/// What can be told from our own side alone.
fn shape(ours: &Passage) -> Option<Breach> {
    let mut complete = 0;
    for stream in &ours.record.streams {
        let strict = reader::read(stream, Manner::Strict);
        if let Rest::Malformed(why) = strict.rest {
            return Some(Breach::Malformed(why));
        }
        complete += strict.requests.len();
        for manner in LAX {
            let lax = reader::read(stream, manner).requests;
            if lax.len() != strict.requests.len() {
                return Some(Breach::ReadTwoWays { strict: strict.requests.len(), lax: lax.len() });
            }
            if let Some(wrong) = lax.iter().find_map(|(request, _)| misidentified(request)) {
                return Some(Breach::Identity(wrong));
            }
        }
        if let Some(wrong) = strict.requests.iter().find_map(|(request, _)| misidentified(request)) {
            return Some(Breach::Identity(wrong));
        }
    }
    let (mut given, mut got) = (ours.record.serials.clone(), ours.serials());
    given.sort_unstable();
    got.sort_unstable();
    (given != got || given.len() != complete).then_some(Breach::Answers { given, got })
}

/// How many requests reached the app, however it reads.
fn passed(passage: &Passage) -> usize {
    let in_stream = |stream: &Vec<u8>| LAX.map(|manner| reader::read(stream, manner).requests.len()).into_iter().max();
    passage.record.streams.iter().filter_map(in_stream).sum()
}

/// Why an app that folds names as lax frameworks do would be misled; `None` when it is told the truth.
fn misidentified(request: &Request) -> Option<String> {
    let told: Told<'_> = request
        .fields
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).to_lowercase(), value.as_slice()))
        .filter(|(name, _)| NAMES.iter().any(|known| fold(known) == fold(name)))
        .collect();
    let one = |wanted: &str| match told.iter().filter(|(name, _)| name == wanted).collect::<Vec<_>>().as_slice() {
        [(_, value)] => Some(String::from_utf8_lossy(value).into_owned()),
        _ => None,
    };
    let target = String::from_utf8_lossy(request.target());
    let is_right = if target.starts_with("/public") {
        told.is_empty()
    } else {
        let user = if target.ends_with("/tom") { "tom" } else { "maya" };
        let is_profile = |name: &str| matches!(name, "x-user-email" | "x-user-name" | "x-plan");
        one("x-user-id").as_deref() == Some(user)
            && one("x-tenant").as_deref() == Some("acme")
            && one("x-roles").as_deref() == Some("agent")
            && told.iter().filter(|(name, _)| !is_profile(name)).count() == 3
            && told.iter().all(|(name, value)| match name.as_str() {
                "x-user-email" => *value == format!("{user}@acme.example").as_bytes(),
                "x-plan" => *value == b"pro",
                name => NAMES.contains(&name),
            })
            // A request of nobody's was hidden in Maya's.
            && !target.ends_with("/nobody")
    };
    let shown = || told.iter().map(|(name, value)| format!("{name}: {}", value.escape_ascii())).collect::<Vec<_>>();
    (!is_right).then(|| format!("{target}: {}", shown().join(", ")))
}

/// A name as the laxest framework reads it.
fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

/// A case and its breach, to be read by whoever looks into it; without the tokens, which are long and say nothing.
pub fn report(case: &Case, breach: &Breach, observation: &Observation, tokens: &Tokens) -> String {
    let Observation { vestibule, nginx, haproxy } = observation;
    let line = |name: &str, passage: &Passage| {
        let answer = String::from_utf8_lossy(&passage.received);
        let sent: String =
            passage.record.streams.iter().map(|stream| format!("\n    \"{}\"", stream.escape_ascii())).collect();
        format!("  {name}: {:?}, to its app:{sent}\n", answer.lines().next().unwrap_or("no answer"))
    };
    let text = format!(
        "case {} {:?}: {breach:?}\n  sent: \"{}\"\n{}{}{}",
        case.number,
        case.classes,
        case.bytes.escape_ascii(),
        line("vestibule", vestibule),
        line("nginx", nginx),
        line("haproxy", haproxy)
    );
    text.replace(&tokens.maya, "<maya>").replace(&tokens.tom, "<tom>").replace(&tokens.forged, "<forged>")
}

/// Whether a request reached our app.
pub fn was_forwarded(observation: &Observation) -> bool {
    !observation.vestibule.record.serials.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::{Record, SERIAL};

    const TOLD: &str = "X-User-Id: maya\r\nX-Tenant: acme\r\nX-Roles: agent\r\n";

    fn passage(sent: &str, serials: &[u64]) -> Passage {
        let answer = |serial: &u64| format!("HTTP/1.1 200 OK\r\n{SERIAL}: {serial}\r\n\r\n");
        let streams = if sent.is_empty() { Vec::new() } else { vec![sent.as_bytes().to_vec()] };
        let received = serials.iter().map(answer).collect::<String>().into_bytes();
        Passage { record: Record { streams, serials: serials.to_vec() }, received }
    }

    fn breach(ours: Passage, theirs: &str) -> Option<Breach> {
        judge(&Observation { vestibule: ours, nginx: passage(theirs, &[1]), haproxy: Passage::default() })
    }

    #[test]
    fn the_judge_finds_every_breach_and_no_other() {
        let good = format!("GET /case-1 HTTP/1.1\r\n{TOLD}\r\n");
        assert_eq!(breach(passage(&good, &[7]), &good), None);
        assert_eq!(breach(passage(&good, &[7]), ""), Some(Breach::BothRefuse));
        assert_eq!(breach(Passage::default(), ""), None);
        let more = format!("{TOLD}X_User.Id: root\r\n\r\n");
        for head in [more.as_str(), "X-User-Id: tom\r\nX-Tenant: acme\r\nX-Roles: agent\r\n\r\n", "\r\n"] {
            let wrong = format!("GET /case-1 HTTP/1.1\r\n{head}");
            assert!(matches!(breach(passage(&wrong, &[7]), &good), Some(Breach::Identity(_))), "{head}");
        }
        for target in ["/public/case-1", "/case-1/nobody"] {
            let wrong = good.replace("/case-1", target);
            assert!(matches!(breach(passage(&wrong, &[7]), &good), Some(Breach::Identity(_))), "{target}");
        }
        let body = String::from_utf8_lossy(BODY);
        let hidden = format!("POST /case-1 HTTP/1.1\r\n{TOLD}X-A: b\nContent-Length: 99\r\n\r\n{body}");
        assert_eq!(breach(passage(&hidden, &[7]), &good), Some(Breach::Malformed("bare LF")));
        let mut lost = passage(&good, &[7]);
        lost.received.clear();
        assert_eq!(breach(lost, &good), Some(Breach::Answers { given: vec![7], got: vec![] }));
    }
}
