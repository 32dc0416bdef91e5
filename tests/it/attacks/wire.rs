//! Sends bytes as they are over a connection of their own, and reads whatever comes until the door closes.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedReadHalf},
    time::timeout,
};

use crate::support::Answer;

/// How long to wait for what.
#[derive(Clone, Copy)]
pub struct Patience {
    /// For the answers that are expected.
    pub answers: Duration,
    /// After them, for answers that should not come.
    pub more: Duration,
}

/// Until a connection whose other half is closed is closed.
const CLOSING: Duration = Duration::from_secs(8);

/// What came.
#[derive(Debug)]
pub struct Heard {
    pub answers: Vec<Answer>,
    /// Bytes after the last whole answer: an answer that was cut off.
    pub rest: Vec<u8>,
    /// Whether the door closed before we ended our side.
    pub closed_first: bool,
    /// Whether it never closed.
    pub hangs: bool,
}

/// What is sent: `before` is answered before `bytes` go out on the same connection.
pub struct Said<'a> {
    pub before: Option<&'a [u8]>,
    pub bytes: &'a [u8],
    /// How many answers are due.
    pub answers: usize,
}

pub async fn talk(address: SocketAddr, said: &Said<'_>, patience: Patience) -> Heard {
    let stream = TcpStream::connect(address).await.expect("the door listens");
    stream.set_nodelay(true).unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = Vec::new();
    if let Some(before) = said.before {
        let _ = writer.write_all(before).await;
        let due = Due { answers: 1, to: before };
        assert!(!due.read(&mut reader, &mut buffer, patience.answers).await, "an answer to what came before");
        buffer.clear();
    }
    // A door that answers early may stop reading: writing must not wait for it.
    let bytes = said.bytes.to_vec();
    let mut writing = tokio::spawn(async move {
        let _ = writer.write_all(&bytes).await;
        writer
    });
    let due = Due { answers: said.answers, to: said.bytes };
    let mut closed_first = due.read(&mut reader, &mut buffer, patience.answers).await;
    if !closed_first && !patience.more.is_zero() {
        let more = Due { answers: usize::MAX, ..due };
        closed_first = more.read(&mut reader, &mut buffer, patience.more).await;
    }
    match timeout(Duration::from_secs(2), &mut writing).await {
        Ok(writer) => drop(writer.unwrap().shutdown().await),
        Err(_) => writing.abort(),
    }
    let end = Due { answers: usize::MAX, ..due };
    let hangs = !closed_first && !end.read(&mut reader, &mut buffer, CLOSING).await;
    let (answers, rest) = parse(&buffer, said.bytes, !hangs);
    Heard { answers, rest, closed_first, hangs }
}

#[derive(Clone, Copy)]
struct Due<'a> {
    answers: usize,
    to: &'a [u8],
}

impl Due<'_> {
    /// Reads until the answers are there, the door closes, or time is up; says whether it closed.
    async fn read(&self, reader: &mut OwnedReadHalf, buffer: &mut Vec<u8>, patience: Duration) -> bool {
        let reading = async {
            let mut chunk = vec![0; 64 * 1024];
            while self.answers == usize::MAX || parse(buffer, self.to, false).0.len() < self.answers {
                match reader.read(&mut chunk).await {
                    Ok(length) if length > 0 => buffer.extend_from_slice(&chunk[..length]),
                    _ => return true,
                }
            }
            false
        };
        timeout(patience, reading).await.unwrap_or(false)
    }
}

/// The whole answers among the bytes, and what is left. The first is to the request that was sent first.
fn parse(mut bytes: &[u8], sent: &[u8], at_end: bool) -> (Vec<Answer>, Vec<u8>) {
    let mut answers = Vec::new();
    while let Some((answer, length)) = one(bytes, answers.is_empty() && sent.starts_with(b"HEAD "), at_end) {
        bytes = &bytes[length..];
        if answer.status >= 200 || answer.status == 101 {
            answers.push(answer);
        }
    }
    (answers, bytes.to_vec())
}

fn one(bytes: &[u8], to_head: bool, at_end: bool) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let head: String = bytes[..end].iter().map(|b| char::from(*b)).collect();
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let find = |name: &str| headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str());
    let rest = &bytes[end..];
    let (body, taken) = if to_head || status < 200 || status == 204 || status == 304 {
        (Vec::new(), 0)
    } else if let Some(length) = find("content-length") {
        let length: usize = length.parse().ok()?;
        (rest.get(..length)?.to_vec(), length)
    } else if find("transfer-encoding").is_some() {
        chunks(rest)?
    } else if at_end {
        (rest.to_vec(), rest.len())
    } else {
        return None;
    };
    let raw = bytes[..end + taken].to_vec();
    Some((Answer { status, headers, body, raw }, end + taken))
}

fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let end = at + bytes[at..].windows(2).position(|w| w == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..end]).ok()?, 16).ok()?;
        body.extend_from_slice(bytes.get(end + 2..end + 2 + size)?);
        at = end + 2 + size + 2;
        bytes.get(..at)?;
        if size == 0 {
            return Some((body, at));
        }
    }
}
