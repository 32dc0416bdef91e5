//! Judges what came of a row: its verdict, and what has to hold after every row.
//!
//! | | invariant |
//! | --- | --- |
//! | I1 | no identity header upstream but on a request that was authenticated |
//! | I2 | no other header upstream that an app could take for one: lower-case letters and digits alone are compared |
//! | I3 | the app sees the requests the verdict permits, each whole and readable in one way |
//! | I4 | a `Location` stays on an allowed origin, as a browser's URL parser reads it |
//! | I5 | nothing of a token, a cookie or a secret comes back or goes upstream |
//! | I6, I7 | the next user gets their own answer as themselves (see the stage) |

use std::collections::BTreeSet;

use url::Url;

use super::{
    case::{COOKIE, Case, End, Verdict},
    recorder::Forwarded,
    wire::Heard,
};
use crate::support::{Answer, Issuer, Secrets};

const IDENTITY: [(&str, &str); 6] = [
    ("x-user-id", "xuserid"),
    ("x-tenant", "xtenant"),
    ("x-roles", "xroles"),
    ("x-user-email", "xuseremail"),
    ("x-user-name", "xusername"),
    ("x-plan", "xplan"),
];

type User<'a> = (&'a str, &'a str, &'a str);

/// What is wrong by the row's own verdict.
pub fn verdict(case: &Case, heard: &Heard, requests: &[Forwarded]) -> Vec<String> {
    let mut faults = Vec::new();
    if heard.hangs {
        faults.push("the connection hangs".to_owned());
    }
    if case.end == End::Closed && !heard.closed_first {
        faults.push("the connection stays open".to_owned());
    }
    let statuses: Vec<u16> = heard.answers.iter().map(|answer| answer.status).collect();
    if let Err(fault) = outcome(&case.verdict, heard, &statuses, requests) {
        let lines: Vec<String> = requests.iter().map(|r| format!("{} whole={}", r.line, r.is_whole)).collect();
        let cut = String::from_utf8_lossy(&heard.rest[..heard.rest.len().min(200)]).into_owned();
        faults.push(format!(
            "{fault}: expected {:?}, answered {statuses:?} and {cut:?}, upstream {lines:?}",
            case.verdict
        ));
    }
    faults
}

fn outcome(verdict: &Verdict, heard: &Heard, statuses: &[u16], requests: &[Forwarded]) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    let first = heard.answers.first();
    let untouched = || if requests.is_empty() { Ok(()) } else { wrong("I3: the app saw something") };
    let one = |ok: bool, what: &str| if ok { Ok(()) } else { wrong(what) };
    match verdict {
        Verdict::Deny => {
            one(statuses.len() == 1 && first.is_some_and(is_denial), "not denied")?;
            untouched()
        }
        Verdict::Bad => {
            one(statuses.iter().all(|status| is_bad(*status)), "not refused as malformed")?;
            untouched()
        }
        Verdict::Refused => {
            one(heard.answers.iter().all(|answer| is_denial(answer) || is_bad(answer.status)), "not refused")?;
            untouched()
        }
        Verdict::Pass(..) | Verdict::Anonymous => {
            let passed = matches!(statuses, [status] if (200..300).contains(status));
            one(passed, "did not pass, or not alone")?;
            one(matches!(requests, [request] if request.is_whole), "I3: not one whole request")
        }
        Verdict::Answers(status) => {
            one(statuses == [*status], "another answer")?;
            untouched()
        }
        Verdict::Ours => {
            one(matches!(statuses, [status] if *status < 500), "no answer of ours")?;
            untouched()
        }
        Verdict::Asks => {
            let asks =
                first.is_some_and(|answer| answer.header("set-cookie").is_none() && answer.text().contains("<form"));
            one(statuses == [200] && asks, "nobody was asked")?;
            untouched()
        }
        Verdict::Returns => {
            one(statuses.len() <= 1, "more than one answer")?;
            one(
                first.is_none_or(|a| matches!(a.status, 200 | 303) || is_bad(a.status)),
                "neither returned nor refused",
            )?;
            untouched()
        }
        Verdict::Either(this, other) => {
            outcome(this, heard, statuses, requests).or_else(|_| outcome(other, heard, statuses, requests))
        }
        Verdict::Anything => Ok(()),
        Verdict::Broken => {
            one(!statuses.iter().any(|status| (200..300).contains(status)), "a broken request succeeded")?;
            one(!requests.iter().any(|request| request.is_whole), "I3: a broken request arrived whole")
        }
        Verdict::Spoiled => {
            // An answer that ends with the connection and states no length cannot be told from a whole one.
            let is_cut = statuses.is_empty() && heard.closed_first;
            one(is_cut || matches!(statuses, [502 | 504]), "a spoiled answer was passed off as good")?;
            let most = if requests.iter().all(|request| request.line.starts_with("GET ")) { 2 } else { 1 };
            one((1..=most).contains(&requests.len()), "I3: sent again, or not at all")
        }
        Verdict::Each(wanted, count) => {
            one(statuses == *wanted, "other answers")?;
            one(requests.len() == *count && requests.iter().all(|r| r.is_whole), "I3: another number of requests")
        }
    }
}

fn is_denial(answer: &Answer) -> bool {
    let to_login = || answer.header("location").is_some_and(|to| to.starts_with("https://login.acme.example/"));
    matches!(answer.status, 401 | 403) || (answer.status == 303 && to_login())
}

fn is_bad(status: u16) -> bool {
    matches!(status, 400 | 405 | 413 | 431 | 501 | 505)
}

/// What is wrong by any row's measure.
pub fn invariants(case: &Case, heard: &Heard, requests: &[Forwarded]) -> Vec<String> {
    let mut faults = forwarded(case, requests);
    faults.extend(heard.answers.iter().filter_map(|answer| location(answer).err()));
    faults.extend(heard.answers.iter().filter_map(|answer| shared(answer).err()));
    let asks = case.verdict == Verdict::Asks;
    let shown: String = heard.answers.iter().map(shown).collect();
    for fragment in fragments(&case.sent).into_iter().chain(secrets()) {
        if !asks && shown.contains(&fragment) {
            faults.push(format!("I5: the answer shows {fragment:?}"));
        }
    }
    faults
}

/// What is wrong with what the app was sent, by any row's measure.
pub fn forwarded(case: &Case, requests: &[Forwarded]) -> Vec<String> {
    let mut faults = Vec::new();
    let fragments: Vec<String> = fragments(&case.sent).into_iter().chain(secrets()).collect();
    for request in requests {
        if !request.faults.is_empty() {
            faults.push(format!("I3: forwarded ambiguously: {:?}", request.faults));
        }
        faults.extend(match whose(&case.verdict) {
            Whose::Nobodys => identity(request, None),
            Whose::Of(user) => identity(request, Some(user)),
            // On one connection a request may lack the token that another has.
            Whose::Either(user) => match identity(request, None) {
                faults if faults.is_empty() => faults,
                _ => identity(request, Some(user)),
            },
        });
    }
    for request in requests {
        let told = [&request.raw[..], &request.body].map(String::from_utf8_lossy);
        let shown = fragments.iter().filter(|fragment| told.iter().any(|text| text.contains(fragment.as_str())));
        faults.extend(shown.map(|fragment| format!("I5: the app is shown {fragment:?}")));
    }
    faults
}

enum Whose<'a> {
    Nobodys,
    Of(User<'a>),
    Either(User<'a>),
}

fn whose(verdict: &Verdict) -> Whose<'_> {
    match verdict {
        Verdict::Pass(user, tenant, roles) => Whose::Of((user, tenant, roles)),
        Verdict::Either(_, other) => whose(other),
        Verdict::Each(..) | Verdict::Broken | Verdict::Spoiled | Verdict::Anything => {
            Whose::Either(("u-1", "acme", "agent"))
        }
        Verdict::Deny
        | Verdict::Bad
        | Verdict::Refused
        | Verdict::Anonymous
        | Verdict::Answers(_)
        | Verdict::Ours
        | Verdict::Asks
        | Verdict::Returns => Whose::Nobodys,
    }
}

/// I1 and I2 for one request.
pub fn identity(request: &Forwarded, user: Option<User<'_>>) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, folded) in IDENTITY {
        let told: Vec<_> = request.headers.iter().filter(|(key, _)| fold(key) == folded).collect();
        let wanted: Option<String> = user.and_then(|(id, tenant, roles)| match name {
            "x-user-id" => Some(id.to_owned()),
            "x-tenant" => Some(tenant.to_owned()),
            "x-roles" => Some(roles.to_owned()),
            // Only the tokens of the tests that have them say these.
            "x-user-email" if !told.is_empty() => Some(format!("{id}@{tenant}.example")),
            "x-plan" if !told.is_empty() => Some("pro".to_owned()),
            _ => None,
        });
        let is_right = match (&wanted, &told[..]) {
            (None, []) => true,
            (Some(value), [(key, told)]) => key.eq_ignore_ascii_case(name) && value == told,
            _ => false,
        };
        if !is_right {
            let number = if user.is_some() { "I2" } else { "I1" };
            faults.push(format!("{number}: {name} should be {wanted:?} and is told as {told:?}"));
        }
    }
    // A hop that obeys would remove what is nominated.
    for nominated in request.all("connection").iter().flat_map(|value| value.split(',')) {
        if IDENTITY.iter().any(|(_, folded)| fold(nominated) == *folded) {
            faults.push(format!("I2: Connection names {nominated}"));
        }
    }
    faults
}

fn fold(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase()
}

/// I4, for one answer: there is at most one, of visible bytes.
fn location(answer: &Answer) -> Result<(), String> {
    let all: Vec<&str> = answer.headers("location").collect();
    let [location] = all[..] else {
        return if all.is_empty() { Ok(()) } else { Err(format!("I4: {} Locations", all.len())) };
    };
    let wrong = |why: &str| Err(format!("I4: Location {location:?} {why}"));
    if !location.bytes().all(|b| b.is_ascii_graphic()) {
        return wrong("has bytes that no URL has");
    }
    for base in ["http://portal.test/_auth/exchange", "https://portal.test/handed/a/b"] {
        let Ok(url) = Url::parse(base).and_then(|base| base.join(location)) else {
            return wrong("is no URL");
        };
        let is_own = matches!(url.scheme(), "http" | "https")
            && url.host_str() == Some("portal.test")
            && url.port().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_configured = matches!(
            url.origin().ascii_serialization().as_str(),
            "https://login.acme.example" | "https://bye.acme.example"
        );
        if !is_own && !is_configured {
            return wrong("leads away");
        }
    }
    Ok(())
}

/// What a page of another origin may read: nothing, unless it is the tenant's own.
fn shared(answer: &Answer) -> Result<(), String> {
    match answer.headers("access-control-allow-origin").collect::<Vec<_>>()[..] {
        [] | ["https://app.acme.example"] => Ok(()),
        ref others => Err(format!("Access-Control-Allow-Origin {others:?}")),
    }
}

/// An answer without the cookie it is there to set.
fn shown(answer: &Answer) -> String {
    let mut shown = String::from_utf8_lossy(&answer.body).into_owned();
    for (name, value) in answer.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("set-cookie")) {
        shown.push_str(&format!("\n{name}: {value}\n"));
    }
    shown
}

/// Telling parts of the signatures and sealed cookies in what was sent.
pub fn fragments(sent: &[u8]) -> BTreeSet<String> {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let mut found = BTreeSet::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut add = |secret: &[u8]| found.extend(secret.chunks_exact(16).take(4).map(text));
    for word in sent.split(|b| !is_part(b)).filter(|word| word.starts_with(b"eyJ")) {
        if let Some(signature) = word.splitn(3, |b| *b == b'.').nth(2) {
            add(signature);
        }
    }
    let cookie = format!("{COOKIE}=").into_bytes();
    for (at, _) in sent.windows(cookie.len()).enumerate().filter(|(_, window)| *window == cookie) {
        add(sent[at + cookie.len()..].split(|b| !is_part(b)).next().unwrap_or_default());
    }
    found
}

pub fn secrets() -> impl Iterator<Item = String> {
    [Secrets::SESSION, Issuer::ACME.secret, Issuer::GLOBEX.secret].into_iter().map(|secret| secret[..16].to_owned())
}
