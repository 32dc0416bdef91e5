//! Where a body ends.

use super::{Framing, is_text, is_token};
use crate::head::HeadError;

/// The most bytes of one chunk's extensions, and of the trailer section: nobody reads either.
const MOST_UNREAD: u32 = 4 << 10;

/// A body as it comes.
#[derive(Debug)]
pub enum Body {
    /// So many bytes are still to come.
    Length(u64),
    Chunked(Chunks),
}

/// How far a chunked body has come (RFC 9112 section 7.1).
#[derive(Debug, Default)]
pub struct Chunks {
    next: Next,
    /// Of the chunk: its size while that is read, then what is left of it.
    left: u64,
    digits: u8,
    /// Bytes of its extensions, or of the trailer section.
    unread: u32,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Size,
    /// White space after the size or an extension, which only another extension may follow.
    AfterSize,
    Extension,
    ExtensionName,
    AfterName,
    ExtensionValue,
    Value,
    Quoted,
    Escaped,
    QuotedEnd,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLf,
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    End,
    Done,
}

impl Body {
    /// A body, from its first byte.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunks::default()),
        }
    }

    /// Whether nothing of it is still to come.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.next == Next::Done,
        }
    }

    /// How many of these bytes, the next that came, belong to the body.
    pub fn take(&mut self, bytes: &[u8]) -> Result<usize, HeadError> {
        let chunks = match self {
            Self::Length(left) => return Ok(take(left, bytes.len())),
            Self::Chunked(chunks) => chunks,
        };
        let mut at = 0;
        while at < bytes.len() && chunks.next != Next::Done {
            if chunks.next == Next::Data {
                at += take(&mut chunks.left, bytes.len() - at);
                if chunks.left == 0 {
                    chunks.next = Next::DataEnd;
                }
                continue;
            }
            chunks.next = chunks.after(bytes[at]).ok_or(HeadError::Chunks)?;
            at += 1;
        }
        Ok(at)
    }
}

fn take(left: &mut u64, most: usize) -> usize {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(most);
    *left -= length as u64;
    length
}

impl Chunks {
    /// What follows a byte that is not data; `None` where that byte may not be.
    fn after(&mut self, byte: u8) -> Option<Next> {
        use Next as N;
        let is_space = matches!(byte, b' ' | b'\t');
        let next = match (self.next, byte) {
            // 15 digits are 2^60: beyond, readers overflow in ways of their own.
            (N::Size, _) if byte.is_ascii_hexdigit() && self.digits < 15 => {
                self.left = self.left * 16 + u64::from((byte as char).to_digit(16)?);
                self.digits += 1;
                return Some(N::Size);
            }
            (N::Size, _) if self.digits == 0 => return None,
            (N::Size | N::ExtensionName | N::Value | N::QuotedEnd, b'\r') => N::SizeEnd,
            (N::Size | N::AfterSize | N::ExtensionName | N::AfterName | N::Value | N::QuotedEnd, b';') => N::Extension,
            (N::Size | N::AfterSize | N::Value | N::QuotedEnd, _) if is_space => N::AfterSize,
            (N::Extension, _) if is_space => N::Extension,
            (N::Extension | N::ExtensionName, _) if is_token(byte) => N::ExtensionName,
            (N::ExtensionName | N::AfterName, _) if is_space => N::AfterName,
            (N::ExtensionName | N::AfterName, b'=') => N::ExtensionValue,
            (N::ExtensionValue, _) if is_space => N::ExtensionValue,
            (N::ExtensionValue, b'"') => N::Quoted,
            (N::ExtensionValue | N::Value, _) if is_token(byte) => N::Value,
            (N::Quoted, b'"') => N::QuotedEnd,
            (N::Quoted, b'\\') => N::Escaped,
            (N::Quoted | N::Escaped, _) if is_text(byte) => N::Quoted,
            (N::SizeEnd, b'\n') => {
                self.unread = 0;
                return Some(if self.left == 0 { N::Trailer } else { N::Data });
            }
            (N::DataEnd, b'\r') => N::DataEndLf,
            (N::DataEndLf, b'\n') => {
                *self = Self::default();
                return Some(N::Size);
            }
            (N::Trailer, b'\r') => N::End,
            (N::Trailer | N::TrailerName, _) if is_token(byte) => N::TrailerName,
            (N::TrailerName, b':') => N::TrailerValue,
            (N::TrailerValue, b'\r') => N::TrailerEnd,
            (N::TrailerValue, _) if is_text(byte) => N::TrailerValue,
            (N::TrailerEnd, b'\n') => N::Trailer,
            (N::End, b'\n') => N::Done,
            _ => return None,
        };
        self.unread += 1;
        (self.unread <= MOST_UNREAD).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left over of the text when the body is done; `None` while it is not.
    fn rest(text: &str) -> Result<Option<String>, HeadError> {
        let mut body = Body::new(Framing::Chunked);
        let taken = body.take(text.as_bytes())?;
        let mut by_byte = Body::new(Framing::Chunked);
        let singly: usize = text.as_bytes().iter().map(|byte| by_byte.take(&[*byte]).expect("as before")).sum();
        assert_eq!((singly, by_byte.is_done()), (taken, body.is_done()), "{text:?}");
        Ok(body.is_done().then(|| text[taken..].to_owned()))
    }

    #[test]
    fn a_chunked_body_ends_after_its_trailers() {
        assert_eq!(rest("5\r\nhello\r\n0\r\n\r\nGET"), Ok(Some("GET".into())));
        let extended = "A;a=b;c = \"d;\\\"\" ;e\r\n0123456789\r\n001 ;x\r\na\r\n00\r\nX: y\r\nZ:\r\n\r\n";
        assert_eq!(rest(extended), Ok(Some(String::new())));
        assert_eq!(rest("5\r\nhello\r\n0\r\n"), Ok(None));
        let mut body = Body::new(Framing::Length(3));
        assert_eq!((body.take(b"ab"), body.take(b"cd"), body.is_done()), (Ok(2), Ok(1), true));
    }

    #[test]
    fn broken_chunks_are_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x5\r\n",
            "5\nhello",
            "5\r\nhello\n",
            "5\r\nhelloo",
            "5 5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5;\r\n",
            "5;bad[=x\r\n",
            "5;a b\r\n",
            "5;a=\r\n",
            "5;a=b \r\n",
            "5;\0\r\n",
            "5;=\r\n",
            "5;a=\"\r\n",
            "5;a\nb\r\n",
            "5;\r5",
            "1000000000000000\r\n",
            "0\r\n: a\r\n",
            "0\r\n a: b\r\n",
            "0\r\nx\r\n",
            "0\r\n\n",
            "0\r\na: \0\r\n",
            ";a\r\n",
        ] {
            assert_eq!(rest(text), Err(HeadError::Chunks), "{text:?}");
        }
        assert!(rest(&format!("5;{}\r\n", "a".repeat(5000))).is_err());
        assert!(rest(&format!("0\r\n{}\r\n", "a: b\r\n".repeat(3000))).is_err());
    }
}
