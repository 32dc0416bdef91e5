//! The head of an app's answer: where it ends, and how its body is framed.
//!
//! What else is wrong with a head is for the parser behind this one. Here it is read for its framing alone, and line by line as
//! that parser does: lines may end in LF, and a name may be followed by white space.

use http::{
    HeaderName, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use thiserror::Error;

use super::{Framing, trimmed};

/// The longest head of an answer: Pingora reads no longer one.
const LONGEST: usize = 1 << 20;

/// Why an answer is passed on to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    #[error("answer is framed in more than one way")]
    Framing,
    #[error("answer has no status")]
    Status,
    #[error("head of the answer is too large")]
    TooLarge,
}

/// What follows the head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBody {
    /// Another head: this one announced it.
    Next,
    Framed(Framing),
    /// All that comes: an answer without a length, or another protocol.
    UntilClose,
}

/// A head that has come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    pub length: usize,
    pub body: AnswerBody,
    pub after: After,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Reusable,
    /// It says so, in whichever of its `Connection` lines; or it announces a body that an answer to HEAD, a 204 and a 304 do not
    /// have: some apps send one all the same, and it would be the beginning of another visitor's answer.
    Closed,
}

/// What was asked for: an answer to HEAD has the fields of one to GET, and no body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    Head,
    #[default]
    Other,
}

/// Reads the heads of one answer.
#[derive(Debug, Default)]
pub struct AnswerReader {
    asked: Asked,
    /// Where the line begins that has not come whole yet.
    at: usize,
    first: Option<First>,
    lengths: Vec<Vec<u8>>,
    codings: Vec<Vec<u8>>,
    closes: bool,
    /// Whether the line before is one of those.
    is_framing: bool,
}

#[derive(Clone, Copy, Debug)]
struct First {
    status: u16,
    is_http_1_1: bool,
}

impl AnswerReader {
    /// For the answer to such a request.
    pub fn new(asked: Asked) -> Self {
        Self { asked, ..Self::default() }
    }

    /// For the next head of the same answer.
    pub fn again(&self) -> Self {
        Self::new(self.asked)
    }

    /// Reads on; `received` is all that came since the reader was made. `None` while the head is not whole.
    pub fn read(&mut self, received: &[u8]) -> Result<Option<AnswerHead>, AnswerError> {
        while let Some(end) = memchr::memchr(b'\n', &received[self.at..]) {
            let line = &received[self.at..self.at + end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.at += end + 1;
            match (self.first, line) {
                // Empty lines before the head are nothing.
                (None, []) => {}
                (None, line) => self.first = Some(First::of(line)?),
                (Some(first), []) => {
                    let (body, after) = self.body(first)?;
                    return Ok(Some(AnswerHead { length: self.at, body, after }));
                }
                (Some(_), line) => self.field(line)?,
            }
        }
        if received.len() > LONGEST { Err(AnswerError::TooLarge) } else { Ok(None) }
    }

    fn field(&mut self, line: &[u8]) -> Result<(), AnswerError> {
        if matches!(line[0], b' ' | b'\t') {
            // Folded into the line before.
            return if self.is_framing { Err(AnswerError::Framing) } else { Ok(()) };
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (trimmed(parts.next().unwrap_or_default()), trimmed(parts.next().unwrap_or_default()));
        let is = |known: HeaderName| name.eq_ignore_ascii_case(known.as_str().as_bytes());
        self.is_framing = true;
        if is(CONTENT_LENGTH) {
            self.lengths.push(value.to_vec());
        } else if is(TRANSFER_ENCODING) {
            self.codings.push(value.to_vec());
        } else {
            self.is_framing = false;
            let is_close = |option: &[u8]| trimmed(option).eq_ignore_ascii_case(b"close");
            self.closes |= is(CONNECTION) && value.split(|byte| *byte == b',').any(is_close);
        }
        Ok(())
    }

    fn body(&self, first: First) -> Result<(AnswerBody, After), AnswerError> {
        let has_none = self.lengths.is_empty() && self.codings.is_empty();
        let (lengths, codings) = (self.lengths.iter().map(Vec::as_slice), self.codings.iter().map(Vec::as_slice));
        let framing = Framing::read(lengths, codings).map_err(|_| AnswerError::Framing)?;
        // RFC 9112 section 6.1.
        if framing == Framing::Chunked && !first.is_http_1_1 {
            return Err(AnswerError::Framing);
        }
        // RFC 9112 section 6.3, in its order.
        let body = match StatusCode::from_u16(first.status).map_err(|_| AnswerError::Status)? {
            StatusCode::SWITCHING_PROTOCOLS => AnswerBody::UntilClose,
            status if status.is_informational() => AnswerBody::Next,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => AnswerBody::Framed(Framing::Length(0)),
            _ if self.asked == Asked::Head => AnswerBody::Framed(Framing::Length(0)),
            _ if has_none => AnswerBody::UntilClose,
            _ => AnswerBody::Framed(framing),
        };
        let is_left_out = body == AnswerBody::Framed(Framing::Length(0)) && framing != Framing::Length(0);
        Ok((body, if self.closes || is_left_out { After::Closed } else { After::Reusable }))
    }
}

impl First {
    fn of(line: &[u8]) -> Result<Self, AnswerError> {
        let mut parts = line.split(|byte| *byte == b' ').filter(|part| !part.is_empty());
        let is_http_1_1 = match parts.next() {
            Some(b"HTTP/1.1") => true,
            Some(b"HTTP/1.0") => false,
            _ => return Err(AnswerError::Status),
        };
        let status =
            parts.next().filter(|status| status.len() == 3).and_then(|status| std::str::from_utf8(status).ok());
        let status = status.and_then(|status| status.parse().ok()).ok_or(AnswerError::Status)?;
        Ok(Self { status, is_http_1_1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, asked: Asked) -> Result<AnswerBody, AnswerError> {
        let whole = AnswerReader::new(asked).read(text.as_bytes()).map(|head| head.expect("whole"));
        let mut reader = AnswerReader::new(asked);
        let pieces = (1..=text.len()).find_map(|end| reader.read(&text.as_bytes()[..end]).transpose());
        assert_eq!(pieces.expect("whole"), whole, "{text:?}");
        whole.map(|head| {
            assert_eq!(head.length, text.len());
            head.body
        })
    }

    fn body(lines: &str) -> Result<AnswerBody, AnswerError> {
        read(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), Asked::Other)
    }

    #[test]
    fn an_answer_ends_where_its_one_framing_says() {
        assert_eq!(body("Content-Length: 5\r\n"), Ok(AnswerBody::Framed(Framing::Length(5))));
        assert_eq!(body("content-length : 5 \n"), Ok(AnswerBody::Framed(Framing::Length(5))));
        assert_eq!(body("transfer-encoding: Chunked\r\nX: a\r\n b\r\n"), Ok(AnswerBody::Framed(Framing::Chunked)));
        assert_eq!(body("X: y\r\n"), Ok(AnswerBody::UntilClose));
        for (text, expected) in [
            ("HTTP/1.1 103 Early Hints\r\n\r\n", AnswerBody::Next),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", AnswerBody::UntilClose),
            ("HTTP/1.1 204\r\nContent-Length: 5\r\n\r\n", AnswerBody::Framed(Framing::Length(0))),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", AnswerBody::Framed(Framing::Length(0))),
            ("\r\nHTTP/1.0 200 OK\r\n\r\n", AnswerBody::UntilClose),
        ] {
            assert_eq!(read(text, Asked::Other), Ok(expected), "{text:?}");
        }
        let to_head = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Asked::Head);
        assert_eq!(to_head, Ok(AnswerBody::Framed(Framing::Length(0))));
    }

    #[test]
    fn an_answer_framed_in_more_than_one_way_is_none() {
        for lines in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length : 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: 05\r\n",
            "Content-Length:\r\n",
            "Content-Length\r\n",
            "Content-Length:\r\n 5\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\n\t, gzip\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(body(lines), Err(AnswerError::Framing), "{lines:?}");
        }
        let http_1_0 = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(http_1_0, Asked::Other), Err(AnswerError::Framing));
        for text in ["HTTP/1.1 20 OK\r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n"] {
            assert!(AnswerReader::default().read(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
