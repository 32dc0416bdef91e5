//! Sends a case and says in which way it was not met.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::support::{
    Door, Issuer, Recorder, SERIAL, one_tenant,
    reader::{self, Manner, Request},
};

/// What may come of a case.
#[derive(Clone, Copy, Debug)]
pub enum Wants {
    /// A 2xx, and the app sees this body in the one request it gets.
    Passes(&'static str),
    /// The same, and the connection is closed after it.
    PassesAndCloses(&'static str),
    /// One of both.
    PassesOrRefused(&'static str),
    /// The first passes; the second, which nobody's token is with, passes on a public route and is refused on another.
    FirstThenNext,
    /// The first passes; what follows is refused or dropped, and the connection closed.
    OnlyFirstPasses,
    /// One of these, told by us; the app sees nothing. The frame is good, so the connection may go on.
    Denied(&'static [u16]),
    /// The same, and the connection is closed: who knows what comes next.
    Refused(&'static [u16]),
    /// The same, but the answer may be lost: a close with unread bytes takes it along.
    RefusedOrCut(&'static [u16]),
    /// No answer and no close: the message may still become whole. Or a refusal, where one is certain already.
    Waits,
    WaitsOrRefused,
}

pub const BAD: Wants = Wants::Refused(&[400]);
pub const DENIED: Wants = Wants::Denied(&[400]);
pub const HELLO: Wants = Wants::Passes("hello");
pub const EMPTY: Wants = Wants::Passes("");

/// A case: its id, what is sent, what may come of it.
///
/// In the text `@` stands for the host, `{at}` for an `@`, and `{n}` for the length of what follows the first empty line; each
/// character is one byte.
pub type Row = (&'static str, &'static str, Wants);

/// What came of it.
#[derive(Debug)]
struct Outcome {
    statuses: Vec<u16>,
    received: String,
    closed: bool,
    requests: Vec<Request>,
    is_answered: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Public,
    Required,
}

/// Runs all rows, each on both kinds of route, and fails with all that were not met.
pub async fn run(rows: &[Row]) {
    let messages = rows.iter().map(|(id, text, wants)| (*id, bytes(text), *wants)).collect();
    run_bytes(messages).await;
}

/// [`run`] for bytes that no table holds.
pub async fn run_bytes(rows: Vec<(&'static str, Vec<u8>, Wants)>) {
    let mut ids: Vec<&str> = rows.iter().map(|(id, ..)| *id).collect();
    ids.sort_unstable();
    assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "an id is there twice");
    let mut wrong = Vec::new();
    for batch in rows.chunks(24) {
        let tasks: Vec<_> = batch
            .iter()
            .flat_map(|row| [(row.clone(), Route::Public), (row.clone(), Route::Required)])
            .map(|((id, bytes, wants), route)| tokio::spawn(check(id, bytes, wants, route)))
            .collect();
        for task in tasks {
            wrong.extend(task.await.unwrap().err());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * rows.len(), wrong.join("\n"));
}

/// Text as the tables have it becomes bytes.
pub fn bytes(text: &str) -> Vec<u8> {
    let body = text.split_once("\r\n\r\n").map_or(0, |(_, body)| body.replace('@', "portal.test").chars().count());
    let text = text.replace('@', "portal.test").replace("{at}", "@").replace("{n}", &body.to_string());
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}

async fn check(id: &'static str, bytes: Vec<u8>, wants: Wants, route: Route) -> Result<(), String> {
    let bytes = if route == Route::Required { with_token(&bytes) } else { bytes };
    let outcome = observe(&bytes, wants, route).await;
    let shown: String = bytes.escape_ascii().to_string().chars().take(400).collect();
    outcome.meets(wants, route).map_err(|why| {
        let received = outcome.received.lines().next().unwrap_or_default();
        format!(
            "{id} ({route:?}): {why}; wants {wants:?}\n    got {:?} {received:?}, {}, {} at the app\n    \"{shown}\"",
            outcome.statuses,
            if outcome.closed { "closed" } else { "open" },
            outcome.requests.len()
        )
    })
}

/// Puts a token before the first Host line, or behind the first line. Later requests have none, and must not live on this
/// one's.
fn with_token(bytes: &[u8]) -> Vec<u8> {
    const HOST: &[u8] = b"Host: portal.test";
    let host = bytes.windows(HOST.len()).position(|w| w == HOST).filter(|at| bytes[..*at].ends_with(b"\r\n"));
    let line_end = bytes.windows(2).position(|w| w == b"\r\n").filter(|at| *at > 0).map(|at| at + 2);
    let Some(at) = host.or(line_end) else { return bytes.to_vec() };
    let token = format!("Authorization: Bearer {}\r\n", Issuer::ACME.token("maya"));
    [&bytes[..at], token.as_bytes(), &bytes[at..]].concat()
}

async fn observe(bytes: &[u8], wants: Wants, route: Route) -> Outcome {
    let app = Recorder::start().await;
    let auth = if route == Route::Public { "auth = \"public\"" } else { "" };
    let door = Door::start(&one_tenant(&app.address.to_string(), "acme", "gateway", auth)).await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    // Whoever closes early is seen by reading.
    let _ = stream.write_all(bytes).await;
    let (received, closed) = receive(&mut stream, wants).await;
    let record = app.take();
    let received = String::from_utf8_lossy(&received).into_owned();
    let statuses = received.split("HTTP/1.").skip(1).filter_map(|rest| rest.get(2..5)?.parse().ok());
    Outcome {
        statuses: statuses.filter(|status| *status != 100).collect(),
        is_answered: received.matches(SERIAL).count(),
        closed,
        requests: requests(&record.streams),
        received,
    }
}

fn requests(streams: &[Vec<u8>]) -> Vec<Request> {
    streams.iter().flat_map(|stream| reader::read(stream, Manner::ChunksFirst).requests).map(|(it, _)| it).collect()
}

/// Reads until the connection closes or is quiet for long enough to know what was wanted.
async fn receive(stream: &mut TcpStream, wants: Wants) -> (Vec<u8>, bool) {
    let must_close = matches!(
        wants,
        Wants::Refused(_) | Wants::RefusedOrCut(_) | Wants::PassesAndCloses(_) | Wants::OnlyFirstPasses
    );
    let is_to_wait = matches!(wants, Wants::Waits | Wants::WaitsOrRefused);
    let first = Duration::from_millis(if is_to_wait { 500 } else { 3_000 });
    let next = Duration::from_millis(if must_close { 3_000 } else { 300 });
    let mut received = Vec::new();
    let mut chunk = [0; 8 * 1024];
    let mut end = Instant::now() + first;
    loop {
        match timeout_at(end, stream.read(&mut chunk)).await {
            Err(_) => return (received, false),
            Ok(Ok(0) | Err(_)) => return (received, true),
            Ok(Ok(length)) => received.extend_from_slice(&chunk[..length]),
        }
        end = Instant::now() + next;
    }
}

impl Outcome {
    fn meets(&self, wants: Wants, route: Route) -> Result<(), &'static str> {
        let require = |holds: bool, otherwise| if holds { Ok(()) } else { Err(otherwise) };
        self.identities(route)?;
        let success = |statuses: &[u16]| statuses.iter().all(|status| (200..300).contains(status));
        match wants {
            Wants::PassesOrRefused(body) => self.is_refused(&[400]).or_else(|_| self.meets(Wants::Passes(body), route)),
            Wants::Passes(body) | Wants::PassesAndCloses(body) => {
                require(self.statuses.len() == 1 && success(&self.statuses), "no single 2xx")?;
                require(self.requests.len() == 1 && self.is_answered == 1, "not one request at the app")?;
                require(self.requests[0].body == body.as_bytes(), "the app saw another body")?;
                require(self.closed || matches!(wants, Wants::Passes(_)), "stays open")
            }
            Wants::FirstThenNext => {
                let [first, second] = self.statuses.as_slice() else { return Err("not two answers") };
                let (next, seen) = if route == Route::Public { (200, 2) } else { (401, 1) };
                require((*first, *second) == (200, next), "other statuses")?;
                require(self.requests.len() == seen && self.is_answered == seen, "other requests at the app")
            }
            Wants::OnlyFirstPasses => {
                let [first, rest @ ..] = self.statuses.as_slice() else { return Err("no answer") };
                require(success(&[*first]) && matches!(rest, [] | [400]), "not a 2xx and at most a refusal")?;
                require(self.requests.len() == 1 && self.closed, "the rest was not refused")
            }
            Wants::Denied(allowed) => self.is_denied(allowed),
            Wants::Refused(allowed) => self.is_refused(allowed),
            Wants::RefusedOrCut(allowed) => {
                let is_cut = self.statuses.is_empty() && self.closed && self.requests.is_empty();
                if is_cut { Ok(()) } else { self.is_refused(allowed) }
            }
            Wants::Waits => require(self.is_waiting(), "does not wait"),
            Wants::WaitsOrRefused => {
                if self.is_waiting() {
                    return Ok(());
                }
                self.is_refused(&[400])
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.statuses.is_empty() && !self.closed && self.requests.is_empty()
    }

    fn is_refused(&self, allowed: &[u16]) -> Result<(), &'static str> {
        self.is_denied(allowed)?;
        if self.closed { Ok(()) } else { Err("stays open") }
    }

    fn is_denied(&self, allowed: &[u16]) -> Result<(), &'static str> {
        if !self.requests.is_empty() {
            return Err("the app saw it");
        }
        let [status] = self.statuses.as_slice() else { return Err("not one answer") };
        if !allowed.contains(status) {
            return Err("another status");
        }
        if !self.received.contains("application/problem+json") {
            return Err("no problem document");
        }
        Ok(())
    }

    /// Maya, where her token was sent; and nobody by any other request on the connection.
    fn identities(&self, route: Route) -> Result<(), &'static str> {
        let is_told = |request: &Request| match request.values("x-user-id").collect::<Vec<_>>().as_slice() {
            [user] => *user == b"maya",
            _ => false,
        };
        let right = self.requests.iter().all(|request| is_told(request) == (route == Route::Required));
        if right { Ok(()) } else { Err("the app was told of somebody else") }
    }
}

/// Without this, tables that fit anything would look the same as a server that does everything right.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_expectation_fails() {
    let good = bytes("POST / HTTP/1.1\r\nHost: @\r\nContent-Length: {n}\r\n\r\nhello");
    assert_eq!(good, b"POST / HTTP/1.1\r\nHost: portal.test\r\nContent-Length: 5\r\n\r\nhello");
    let wrong = [
        BAD,
        DENIED,
        EMPTY,
        Wants::FirstThenNext,
        Wants::PassesAndCloses("hello"),
        Wants::OnlyFirstPasses,
        Wants::Waits,
        Wants::WaitsOrRefused,
    ];
    for route in [Route::Public, Route::Required] {
        assert_eq!(check("good", good.clone(), HELLO, route).await, Ok(()));
        let tasks = wrong.map(|wants| (wants, tokio::spawn(check("wrong", good.clone(), wants, route))));
        for (wants, task) in tasks {
            assert!(task.await.unwrap().is_err(), "{wants:?}");
        }
    }
}
