//! Frames of HTTP/2 by hand (RFC 9113 section 6), and header blocks (RFC 7541).

use tokio::io::{AsyncRead, AsyncReadExt};

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// What fits into a frame unless the server says otherwise.
pub const LARGEST: usize = 16 << 10;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A field that enters no table (section 6.2.2).
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// A field that enters the dynamic table, as its newest entry, 62 (section 6.2.1).
pub fn indexed(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], text(name), text(value)].concat()
}

/// That entry again, in one byte (section 6.1).
pub const NEWEST: u8 = 0x80 | 62;

fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A prefix of seven bits, and what does not fit in bytes after it (section 5.1).
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => bytes.push(length),
        _ => {
            bytes.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).expect("small") | 128);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).expect("small"));
        }
    }
    bytes.extend(text.as_bytes());
    bytes
}

/// What a server said before its connection ended.
#[derive(Default)]
pub struct Said {
    pub answers: u64,
    pub resets: u64,
    /// The error code of its GOAWAY.
    pub goaway: Option<u32>,
}

/// Reads until the connection ends or the server says that it will.
pub async fn listen(mut stream: impl AsyncRead + Unpin) -> Said {
    let mut said = Said::default();
    let mut head = [0; 9];
    let mut payload = Vec::new();
    while said.goaway.is_none() && stream.read_exact(&mut head).await.is_ok() {
        payload.resize(u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, 0);
        if stream.read_exact(&mut payload).await.is_err() {
            break;
        }
        match head[3] {
            HEADERS => said.answers += 1,
            RST_STREAM => said.resets += 1,
            GOAWAY => {
                let code = payload.get(4..8).and_then(|code| code.try_into().ok());
                said.goaway = Some(code.map_or(0, u32::from_be_bytes));
            }
            _ => {}
        }
    }
    said
}
