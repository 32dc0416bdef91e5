//! The app of the attacks: it records every byte that was forwarded, strictly, and tells each caller whom it took them for.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A request as the app saw it.
#[derive(Clone, Debug)]
pub struct Forwarded {
    pub line: String,
    /// Names as they came; values as Latin-1, so that no byte is lost.
    pub headers: Vec<(String, String)>,
    pub raw: Vec<u8>,
    pub body: Vec<u8>,
    /// Whether its body came to an end.
    pub is_whole: bool,
    /// What a strict reader (RFC 9112) finds wrong with it: two servers could read it in two ways.
    pub faults: Vec<String>,
}

impl Forwarded {
    pub fn target(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or("")
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    pub fn contains(&self, needle: &[u8]) -> bool {
        [&self.raw, &self.body].iter().any(|bytes| bytes.windows(needle.len()).any(|w| w == needle))
    }
}

/// How the app answers.
#[derive(Clone, Debug)]
pub struct Script {
    pub bytes: Vec<u8>,
    pub then: Then,
}

/// What the app does after its scripted answer.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    Stay,
    Close,
    /// Says nothing more and reads nothing more, for a while.
    Hang,
}

#[derive(Default)]
struct Book {
    requests: Vec<Forwarded>,
    /// Bytes of each open connection that are no request yet.
    loose: HashMap<u64, Vec<u8>>,
    script: Option<Script>,
}

/// The app.
pub struct Recorder {
    pub address: SocketAddr,
    book: Arc<Mutex<Book>>,
    task: JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = book.clone();
        let task = tokio::spawn(async move {
            let next = AtomicU64::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let id = next.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(Line { id, stream, buffer: Vec::new(), book: shared.clone() }.serve());
            }
        });
        Self { address, book, task }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    /// Answers requests, but for canaries, in this way; an answer that did not come may be asked for again.
    pub fn will_answer(&self, script: Option<Script>) {
        self.book().script = script;
    }

    /// All requests since this was last asked.
    pub fn take(&self) -> Vec<Forwarded> {
        std::mem::take(&mut self.book().requests)
    }

    /// Bytes that were forwarded and are no request.
    pub fn loose(&self) -> Vec<Vec<u8>> {
        self.book().loose.values().filter(|bytes| !bytes.is_empty()).cloned().collect()
    }
}

/// One connection to the app.
struct Line {
    id: u64,
    stream: TcpStream,
    buffer: Vec<u8>,
    book: Arc<Mutex<Book>>,
}

/// How long the app keeps a connection on which nothing happens.
const IDLE: Duration = Duration::from_secs(30);

impl Line {
    async fn serve(mut self) {
        while self.request().await.is_some() {}
        let mut book = self.book.lock().unwrap();
        book.loose.remove(&self.id);
        if !self.buffer.is_empty() {
            let raw = std::mem::take(&mut self.buffer);
            let line = format!("(no request) {:?}", String::from_utf8_lossy(&raw));
            let faults = vec!["the connection ended within a head".to_owned()];
            let headers = Vec::new();
            book.requests.push(Forwarded { line, headers, raw, body: Vec::new(), is_whole: false, faults });
        }
    }

    async fn request(&mut self) -> Option<()> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.fill().await?;
        };
        let raw: Vec<u8> = self.buffer.drain(..end).collect();
        let forwarded = read_head(raw);
        let script = {
            let mut book = self.book.lock().unwrap();
            book.loose.insert(self.id, Vec::new());
            book.requests.push(forwarded.clone());
            // By its place, for requests of other connections may come between.
            let is_canary = forwarded.target().starts_with(CANARY);
            if is_canary { None } else { book.script.clone() }
        };
        let framing = ["transfer-encoding", "content-length"].map(|name| forwarded.all(name).concat());
        if framing.iter().all(|value| matches!(value.as_str(), "" | "0")) {
            self.is_whole(&forwarded, Vec::new());
        }
        // An app that answers at once does not wait for the body.
        if let Some(script) = script {
            self.stream.write_all(&script.bytes).await.ok()?;
            match script.then {
                Then::Stay => {}
                Then::Close => {
                    // What may follow is a body's.
                    self.buffer.clear();
                    return None;
                }
                Then::Hang => tokio::time::sleep(Duration::from_secs(5)).await,
            }
            let body = self.body(&forwarded).await?;
            self.is_whole(&forwarded, body);
            return Some(());
        }
        let body = self.body(&forwarded).await?;
        self.is_whole(&forwarded, body);
        self.stream.write_all(&answer(&forwarded)).await.ok()
    }

    fn is_whole(&self, of: &Forwarded, body: Vec<u8>) {
        let mut book = self.book.lock().unwrap();
        book.loose.insert(self.id, self.buffer.clone());
        if let Some(request) = book.requests.iter_mut().rev().find(|request| request.raw == of.raw) {
            request.is_whole = true;
            request.body = body;
        }
    }

    async fn body(&mut self, of: &Forwarded) -> Option<Vec<u8>> {
        let body = self.whole_body(of).await;
        if body.is_none() {
            // The rest of a body is no head.
            self.buffer.clear();
        }
        body
    }

    async fn whole_body(&mut self, of: &Forwarded) -> Option<Vec<u8>> {
        if !of.all("transfer-encoding").is_empty() {
            return self.chunks().await;
        }
        let Some(length) = of.all("content-length").last().and_then(|length| length.trim().parse().ok()) else {
            return Some(Vec::new());
        };
        self.bytes(length).await
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(at) => break at,
                    None => self.fill().await?,
                }
            };
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).ok()?, 16).ok()?;
            let chunk = self.bytes(size + 2).await?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    async fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn fill(&mut self) -> Option<()> {
        let mut chunk = [0; 16 * 1024];
        let length = tokio::time::timeout(IDLE, self.stream.read(&mut chunk)).await.ok()?.ok().filter(|n| *n > 0)?;
        self.buffer.extend_from_slice(&chunk[..length]);
        self.book.lock().unwrap().loose.insert(self.id, self.buffer.clone());
        Some(())
    }
}

/// Where the requests go that come after each attack.
pub const CANARY: &str = "/canary/";

/// Says whom the app took the caller for, and what for.
fn answer(to: &Forwarded) -> Vec<u8> {
    let said = json!({ "user": to.all("x-user-id"), "tenant": to.all("x-tenant"), "target": to.target() }).to_string();
    let body = if to.line.starts_with("HEAD ") { "" } else { &said };
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", said.len())
        .into_bytes()
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

fn read_head(raw: Vec<u8>) -> Forwarded {
    let text: String = raw.iter().map(|b| char::from(*b)).collect();
    let mut faults = Vec::new();
    let lone = text.replace("\r\n", "");
    if lone.contains(['\r', '\n', '\0']) {
        faults.push("a lone CR, LF or a NUL".to_owned());
    }
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let line = lines.next().unwrap_or("").to_owned();
    let words: Vec<&str> = line.split(' ').collect();
    if words.len() != 3 || !words[2].starts_with("HTTP/1.") || words[1].is_empty() {
        faults.push(format!("request line {line:?}"));
    }
    let mut headers: Vec<(String, String)> = Vec::new();
    for text in lines {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)) {
            faults.push(format!("header name {name:?}"));
        }
        headers.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let all = |name: &str| -> Vec<&str> {
        headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    };
    match (&all("content-length")[..], &all("transfer-encoding")[..]) {
        ([], []) => {}
        ([length], [])
            if !length.is_empty()
                && length.bytes().all(|b| b.is_ascii_digit())
                && (*length == "0" || !length.starts_with('0')) => {}
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => {}
        (lengths, codings) => {
            faults.push(format!("framed by Content-Length {lengths:?} and Transfer-Encoding {codings:?}"));
        }
    }
    if all("host").len() != 1 {
        faults.push(format!("hosts {:?}", all("host")));
    }
    Forwarded { line, headers, raw, body: Vec::new(), is_whole: false, faults }
}
