//! A row of a table: what is sent, and what has to come of it.

use std::net::{Ipv4Addr, SocketAddr};

use super::recorder::{Forwarded, Script, Then};
use crate::support::{Answer, Ask, Issuer};

pub const ACME: Issuer = Issuer::ACME;
pub const GLOBEX: Issuer = Issuer::GLOBEX;
pub const COOKIE: &str = "__Host-vestibule";

/// A page that needs a user.
pub const X: &str = "/api/x";

/// The user of the good token.
pub const U1: Verdict = Verdict::Pass("u-1", "acme", "agent");

/// What has to come of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// 401 or 403, nothing upstream.
    Deny,
    /// 400, 405, 413, 431, 501, 505 or a close, nothing upstream.
    Bad,
    /// [`Deny`](Self::Deny) or [`Bad`](Self::Bad).
    Refused,
    /// 2xx, and the app saw one request, of this user, tenant and roles.
    Pass(&'static str, &'static str, &'static str),
    /// 2xx, and the app saw one request, of nobody.
    Anonymous,
    /// We answer with this status ourselves, nothing upstream.
    Answers(u16),
    /// We answer ourselves, whatever it is but an error of ours, nothing upstream.
    Ours,
    /// The page that asks a person first: no cookie is set, nothing upstream.
    Asks,
    /// A redirect that stays with us, or a refusal; nothing upstream.
    Returns,
    /// Either will do; identity is judged by the second.
    Either(Box<Verdict>, Box<Verdict>),
    /// No success, and the app saw no whole request.
    Broken,
    /// The app saw one request, and its answer was not taken for a good one: 502, 504 or cut off. A GET may be tried twice.
    Spoiled,
    /// Whatever comes of it: the invariants alone.
    Anything,
    /// Several requests on the connection: these statuses, and so many of them upstream.
    Each(&'static [u16], usize),
}

/// It may be refused.
pub fn refused_or(other: Verdict) -> Verdict {
    either(Verdict::Refused, other)
}

pub fn either(one: Verdict, other: Verdict) -> Verdict {
    Verdict::Either(Box::new(one), Box::new(other))
}

/// What happened.
pub struct Outcome<'a> {
    pub answers: &'a [Answer],
    pub requests: &'a [Forwarded],
    pub sent: &'a [u8],
}

impl Outcome<'_> {
    pub fn answer(&self) -> Result<&Answer, String> {
        self.answers.first().ok_or_else(|| "no answer".to_owned())
    }

    pub fn request(&self) -> Result<&Forwarded, String> {
        self.requests.first().ok_or_else(|| "no request upstream".to_owned())
    }
}

/// More that must hold; the error says what does not.
pub type Check = fn(&Outcome<'_>) -> Result<(), String>;

/// A row.
pub struct Case {
    /// Group and number.
    pub id: &'static str,
    pub name: String,
    pub sent: Vec<u8>,
    pub verdict: Verdict,
    /// Sent and answered before, on the same connection.
    pub before: Option<Vec<u8>>,
    /// How the app answers.
    pub script: Option<Script>,
    pub check: Option<Check>,
    pub end: End,
}

/// What becomes of the connection after the last answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum End {
    Any,
    /// The door closes it.
    Closed,
}

/// The usual row.
pub fn row(id: &'static str, name: impl Into<String>, sent: impl Sent, verdict: Verdict) -> Case {
    Case { id, name: name.into(), sent: sent.bytes(), verdict, before: None, script: None, check: None, end: End::Any }
}

impl Case {
    /// Puts words before a name that is a value.
    pub fn named(mut self, what: &str) -> Self {
        self.name = format!("{what} {}", self.name);
        self
    }

    pub fn after(mut self, before: impl Sent) -> Self {
        self.before = Some(before.bytes());
        self
    }

    /// The door has to close the connection.
    pub fn closes(mut self) -> Self {
        self.end = End::Closed;
        self
    }

    pub fn app_answers(self, bytes: impl Sent) -> Self {
        self.app(bytes, Then::Stay)
    }

    pub fn app(mut self, bytes: impl Sent, then: Then) -> Self {
        self.script = Some(Script { bytes: bytes.bytes(), then });
        self
    }

    pub fn and(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }
}

/// What can be sent.
pub trait Sent {
    fn bytes(self) -> Vec<u8>;
}

impl Sent for Ask {
    fn bytes(self) -> Vec<u8> {
        Ask::bytes(&self)
    }
}

impl Sent for String {
    fn bytes(self) -> Vec<u8> {
        self.into_bytes()
    }
}

impl Sent for &str {
    fn bytes(self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Sent for Vec<u8> {
    fn bytes(self) -> Vec<u8> {
        self
    }
}

/// Its address is not used: the bytes go where the stage stands.
pub fn ask(method: &str, target: &str) -> Ask {
    Ask::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), method, target, "portal.test")
}

pub fn get(target: &str) -> Ask {
    ask("GET", target)
}

pub fn post(target: &str) -> Ask {
    ask("POST", target)
}

/// The good token: the user `u-1` of acme, an agent.
pub fn good() -> String {
    ACME.token("u-1")
}

/// A token that was never used before.
pub fn fresh(user: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let email = format!("{user}@acme.example");
    let id = format!("jti-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    ACME.with(serde_json::json!({ "userId": user, "userEmail": email, "jti": id }))
}

/// Header lines that let the user `u-1` pass.
pub fn signed_in() -> String {
    format!("Host: portal.test\r\nAuthorization: Bearer {}\r\n", good())
}

/// A request of the user `u-1` with these lines after the head's first three; they end the head themselves.
pub fn raw(method: &str, lines: &str) -> String {
    format!("{method} {X} HTTP/1.1\r\n{}{lines}", signed_in())
}

/// The app sees the very target that was sent.
pub fn same_target(outcome: &Outcome<'_>) -> Result<(), String> {
    let Some(request) = outcome.requests.first() else { return Ok(()) };
    let sent = outcome.sent.split(|b| *b == b' ').nth(1).unwrap_or_default();
    let seen = request.raw.split(|b| *b == b' ').nth(1).unwrap_or_default();
    (sent == seen).then_some(()).ok_or_else(|| {
        format!("decided on {:?}, forwarded {:?}", String::from_utf8_lossy(sent), String::from_utf8_lossy(seen))
    })
}
