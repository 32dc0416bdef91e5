//! The good client: some connections kept alive, requests at a fixed rate.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use memchr::memmem;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use crate::{
    as_f64,
    door::{Door, HOST},
    rest,
};

const CONNECTIONS: u32 = 8;
/// Without an answer so long after it was due a request has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the good client got.
#[derive(Default)]
pub struct Served {
    latencies: Vec<Duration>,
    pub failed: usize,
}

impl Served {
    /// Both as one.
    pub fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.failed += other.failed;
    }

    fn asked(&self) -> usize {
        self.latencies.len() + self.failed
    }

    /// In percent.
    pub fn share(&self) -> f64 {
        100.0 * as_f64(self.latencies.len() as u64) / as_f64(self.asked() as u64)
    }

    /// The latency that so many percent do not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or(PATIENCE)
    }
}

/// Asks at a rate for so long.
pub fn ask(door: &Door, rate: u32, span: Duration) -> Served {
    let start = Instant::now();
    let gap = Duration::from_secs(1) * CONNECTIONS / rate;
    thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || one(door, start + gap * number / CONNECTIONS, gap, start + span)))
            .collect();
        let mut all = Served::default();
        for thread in threads {
            all.add(thread.join().expect("it ends"));
        }
        all
    })
}

fn one(door: &Door, mut due: Instant, gap: Duration, end: Instant) -> Served {
    let request = door.request();
    let mut served = Served::default();
    // The first request of a connection has more to do, and a handshake is no part of a request: only whether it is served counts.
    let open = || {
        Connection::open(door)
            .and_then(|mut new| (new.ask(&request)? == 200).then_some(new).ok_or(io::ErrorKind::Other.into()))
    };
    let mut connection = open().ok();
    served.failed += usize::from(connection.is_none());
    while due < Instant::now() {
        due += gap;
    }
    while due < end {
        let now = Instant::now();
        if now > due + PATIENCE {
            served.failed += 1;
            due += gap;
            continue;
        }
        // That this thread woke late is nobody's fault; that it was busy is.
        let mut from = due;
        if now < due {
            rest(due - now);
            from = Instant::now();
        }
        if connection.is_none() {
            connection = open().ok();
        }
        match connection.as_mut().map(|connection| connection.ask(&request)) {
            Some(Ok(200)) if from.elapsed() <= PATIENCE => served.latencies.push(from.elapsed()),
            _ => {
                served.failed += 1;
                connection = None;
            }
        }
        due += gap;
    }
    served
}

/// The session cookie for a token, by the exchange.
pub fn sign_in(door: &Door, token: &str) -> io::Result<String> {
    let mut connection = Connection::open(door)?;
    let request = format!(
        "POST /_auth/exchange HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
    );
    connection.stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut bytes = [0; 8 << 10];
    while memmem::find(&answer, b"\r\n\r\n").is_none() {
        match connection.stream.read(&mut bytes)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => answer.extend_from_slice(&bytes[..length]),
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let at = answer.find("__Host-vestibule=").ok_or_else(|| io::Error::other(answer.clone()))?;
    Ok(answer[at..].split(';').next().unwrap_or_default().to_owned())
}

trait Stream: Read + Write + Send {}
impl<S: Read + Write + Send> Stream for S {}

/// A connection, of TLS where that is spoken.
pub struct Connection {
    stream: Box<dyn Stream>,
    answers: Answers,
}

impl Connection {
    pub fn open(door: &Door) -> io::Result<Self> {
        let tcp = TcpStream::connect_timeout(&door.address, PATIENCE)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let stream: Box<dyn Stream> = match door.tls("http/1.1") {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(HOST).expect("a name");
                let mut tls = StreamOwned::new(ClientConnection::new(config, name).map_err(io::Error::other)?, tcp);
                tls.conn.complete_io(&mut tls.sock)?;
                Box::new(tls)
            }
        };
        Ok(Self { stream, answers: Answers::default() })
    }

    /// Asks, and waits for the answer: its status.
    pub fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request)?;
        let mut bytes = [0; 8 << 10];
        loop {
            if let Some(status) = self.answers.next() {
                return Ok(status);
            }
            match self.stream.read(&mut bytes)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => self.answers.feed(&bytes[..length]),
            }
        }
    }
}

/// Finds the answers in what arrives; all have a Content-Length.
#[derive(Default)]
pub struct Answers(Vec<u8>);

impl Answers {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The status of the next answer that has come whole.
    pub fn next(&mut self) -> Option<u16> {
        let end = memmem::find(&self.0, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.0[..end]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = head.split_once("content-length: ").and_then(|(_, rest)| rest.split_once('\r'));
        let length = length.map_or(0, |(length, _)| length.parse().unwrap_or(0));
        if self.0.len() < end + length {
            return None;
        }
        self.0.drain(..end + length);
        status
    }
}
