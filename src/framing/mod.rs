//! How HTTP/1 requests follow one another on a connection: where each head and each body ends, read strictly (RFC 9112).
//!
//! Nothing passes that another reader could end elsewhere, and nothing that a parser behind this one would have to mend:
//!
//! | rule | what lax readers make of it |
//! | --- | --- |
//! | lines end in CR LF; no other CR, LF or control byte but tab | another end of a line, of the head, of a chunk |
//! | `METHOD SP target SP HTTP/1.0` or `/1.1`, no byte in the target that a URL cannot have | a target mended by escaping |
//! | `name ":"`, nothing between them; no folded lines | a header hidden in another |
//! | exactly one Host | two authorities |
//! | one Content-Length in plain digits, or on HTTP/1.1 exactly one `chunked`, never both | a second request in the body |
//! | chunks with a size in plain hexadecimal digits, extensions and trailers as the grammar has them, not long | the same |

mod answer;
mod body;
mod h2;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

pub use answer::{After, AnswerBody, AnswerError, AnswerHead, AnswerReader, Asked};
pub use body::{Body, Merged};
pub use h2::Frames;

use crate::head::{HeadError, Host, LONGEST_METHOD, MOST_HEADERS, is_target, origin_form};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

impl Framing {
    /// One length in plain digits, or exactly one `chunked`, never both: where two readers could find two ends of a body, one
    /// of them would take its rest for a request (RFC 9112 section 6.3).
    pub fn of(headers: &HeaderMap) -> Result<Self, HeadError> {
        let lines = |name: HeaderName| headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
        Self::read(lines(CONTENT_LENGTH), lines(TRANSFER_ENCODING))
    }

    fn read<'a>(
        lengths: impl Iterator<Item = &'a [u8]>,
        codings: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, HeadError> {
        match (one(lengths)?, one(codings)?) {
            (None, None) => Ok(Self::Length(0)),
            (Some(length), None) => Ok(Self::Length(plain(length).ok_or(HeadError::Framing)?)),
            (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Self::Chunked),
            _ => Err(HeadError::Framing),
        }
    }
}

fn one<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a [u8]>, HeadError> {
    match (lines.next(), lines.next()) {
        (_, Some(_)) => Err(HeadError::Framing),
        (line, None) => Ok(line),
    }
}

/// A number as everybody reads it: digits, no leading zero, and within what signed 64 bits hold.
fn plain(digits: &[u8]) -> Option<u64> {
    let is_plain = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    let number: u64 = std::str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()?;
    i64::try_from(number).is_ok().then_some(number)
}

/// A head that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Framed {
    /// Bytes before it that are no part of it: an empty line that some clients send after a body (RFC 9112 section 2.2).
    pub skipped: usize,
    /// Bytes of the head, the empty line at its end included.
    pub length: usize,
    pub framing: Framing,
}

/// Reads one head as it comes, line by line.
#[derive(Debug)]
pub struct HeadReader {
    most_bytes: usize,
    /// Where the line begins that has not come whole yet.
    at: usize,
    skipped: usize,
    lines: usize,
    is_http_1_0: bool,
    method: Span,
    target: Span,
    hosts: Vec<Span>,
    lengths: Vec<Span>,
    codings: Vec<Span>,
}

type Span = std::ops::Range<usize>;

impl HeadReader {
    /// For a head of at most so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            at: 0,
            skipped: 0,
            lines: 0,
            is_http_1_0: false,
            method: 0..0,
            target: 0..0,
            hosts: Vec::new(),
            lengths: Vec::new(),
            codings: Vec::new(),
        }
    }

    /// Reads on; `received` is all that came since the reader was made, and may hold more than the head. `None` while the
    /// head is not whole.
    pub fn read(&mut self, received: &[u8]) -> Result<Option<Framed>, HeadError> {
        while let Some(end) = memchr::memchr(b'\n', &received[self.at..]) {
            let line = self.at..self.at + end;
            if line.end >= self.most_bytes {
                return Err(HeadError::TooLarge);
            }
            self.at = line.end + 1;
            let line = match received[line.clone()].split_last() {
                Some((b'\r', _)) => line.start..line.end - 1,
                _ => return Err(HeadError::Line),
            };
            if self.lines == 0 && line.is_empty() && self.skipped == 0 {
                self.skipped = self.at;
                continue;
            }
            if self.lines > 0 && line.is_empty() {
                return self.whole(received).map(Some);
            }
            match self.lines {
                0 => self.request_line(received, line)?,
                _ => self.header_line(received, line)?,
            }
            self.lines += 1;
        }
        if received.len() > self.most_bytes {
            return Err(HeadError::TooLarge);
        }
        // What begins like no request will not become one: a TLS handshake, say.
        let start = &received[self.skipped..received.len().min(self.skipped + LONGEST_METHOD + 1)];
        let method = start.split(|byte| *byte == b' ').next().unwrap_or_default();
        let is_method = method.len() <= LONGEST_METHOD && method.iter().copied().all(is_token);
        let is_empty_line = self.skipped == 0 && start == b"\r";
        if self.lines == 0 && !is_method && !is_empty_line { Err(HeadError::Line) } else { Ok(None) }
    }

    fn request_line(&mut self, received: &[u8], line: Span) -> Result<(), HeadError> {
        let text = &received[line.clone()];
        let first = memchr::memchr(b' ', text).ok_or(HeadError::Line)?;
        let last = memchr::memrchr(b' ', text).filter(|last| *last > first).ok_or(HeadError::Line)?;
        let (method, target) = (line.start..line.start + first, line.start + first + 1..line.start + last);
        if method.is_empty() || method.len() > LONGEST_METHOD || !received[method.clone()].iter().copied().all(is_token)
        {
            return Err(HeadError::Line);
        }
        // Of what a URL's path cannot have, Pingora's parser takes all but this.
        let path = received[target.clone()].split(|byte| *byte == b'?').next().unwrap_or_default();
        if target.is_empty() {
            return Err(HeadError::Target);
        }
        let is_wrong = |(at, byte): &(usize, &u8)| !is_target(**byte) || (**byte == b'`' && *at < path.len());
        if let Some((at, byte)) = received[target.clone()].iter().enumerate().find(is_wrong) {
            return Err(HeadError::TargetByte { byte: *byte, at });
        }
        self.is_http_1_0 = match &text[last + 1..] {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            _ => return Err(HeadError::Version),
        };
        (self.method, self.target) = (method, target);
        Ok(())
    }

    fn header_line(&mut self, received: &[u8], line: Span) -> Result<(), HeadError> {
        if self.lines > MOST_HEADERS {
            return Err(HeadError::TooLarge);
        }
        let text = &received[line.clone()];
        // A line that begins with white space, folded into the one before, has no name either.
        let colon = memchr::memchr(b':', text).filter(|colon| *colon > 0).ok_or(HeadError::Line)?;
        let (name, value) = (&text[..colon], &text[colon + 1..]);
        if !name.iter().copied().all(is_token) || !value.iter().copied().all(is_text) {
            return Err(HeadError::Line);
        }
        let known = if name.eq_ignore_ascii_case(HOST.as_str().as_bytes()) {
            &mut self.hosts
        } else if name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str().as_bytes()) {
            &mut self.lengths
        } else if name.eq_ignore_ascii_case(TRANSFER_ENCODING.as_str().as_bytes()) {
            &mut self.codings
        } else {
            return Ok(());
        };
        known.push(line.start + colon + 1..line.end);
        Ok(())
    }

    /// The checks that need the whole head. Whatever else [`Head::parse`](crate::head::Head::parse) refuses, it can: what is
    /// checked here would not come as far.
    fn whole(&self, received: &[u8]) -> Result<Framed, HeadError> {
        let values = |spans: &'_ [Span]| spans.iter().map(|span| trimmed(&received[span.clone()])).collect::<Vec<_>>();
        if &received[self.method.clone()] == b"CONNECT" {
            return Err(HeadError::Method);
        }
        let host = match values(&self.hosts)[..] {
            // RFC 9112 section 3.2 asks HTTP/1.1 for one; so do we where the host decides, but HAProxy's health checks have none.
            [] if self.is_http_1_0 && received[self.target.clone()].starts_with(b"/") => "",
            [] => return Err(HeadError::HostMissing),
            [host] => std::str::from_utf8(host).map_err(|_| HeadError::HostInvalid)?,
            _ => return Err(HeadError::HostTwice),
        };
        let target = std::str::from_utf8(&received[self.target.clone()]).map_err(|_| HeadError::Target)?;
        if !self.hosts.is_empty() {
            Host::parse(host).ok_or(HeadError::HostInvalid)?;
        }
        origin_form(target, host)?;
        let framing = Framing::read(values(&self.lengths).into_iter(), values(&self.codings).into_iter())?;
        if framing == Framing::Chunked && self.is_http_1_0 {
            return Err(HeadError::Framing);
        }
        Ok(Framed { skipped: self.skipped, length: self.at - self.skipped, framing })
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What a header's value consists of (RFC 9110 section 5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |at| at + 1);
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "GET /a HTTP/1.1\r\nHost: portal.test\r\n";

    fn read(text: &str) -> Result<Option<Framed>, HeadError> {
        HeadReader::new(1000).read(text.as_bytes())
    }

    /// Reads it in one piece and byte by byte, which must come to the same.
    fn framing(lines: &str) -> Result<Framing, HeadError> {
        let text = format!("{HEAD}{lines}\r\nrest");
        let whole = read(&text).map(|framed| framed.expect("the head is whole"));
        let mut reader = HeadReader::new(1000);
        let pieces = (1..=text.len()).find_map(|end| reader.read(&text.as_bytes()[..end]).transpose());
        assert_eq!(pieces.expect("the head is whole"), whole, "{text:?}");
        whole.map(|framed| {
            assert_eq!((framed.skipped, framed.length), (0, text.len() - 4));
            framed.framing
        })
    }

    #[test]
    fn a_head_ends_at_its_empty_line_and_not_before() {
        assert_eq!(framing(""), Ok(Framing::Length(0)));
        assert_eq!(framing("X: \x09 y\r\nContent-Length: 12 \r\n"), Ok(Framing::Length(12)));
        assert_eq!(framing("transfer-ENCODING: Chunked\r\n"), Ok(Framing::Chunked));
        assert_eq!(read(HEAD), Ok(None));
        let skipped = read(&format!("\r\n{HEAD}\r\n")).expect("accepted").expect("whole");
        assert_eq!((skipped.skipped, skipped.length), (2, HEAD.len() + 2));
    }

    #[test]
    fn lines_that_others_would_read_otherwise_are_refused() {
        for lines in [
            "X: a\n",
            "X: a\rb\r\n",
            "X : a\r\n",
            " X: a\r\n",
            "X: a\r\n b\r\n",
            ": a\r\n",
            "X\r\n",
            "X: \0\r\n",
            "X\u{85}: a\r\n",
            "X: \x7f\r\n",
            "X: \x1b\r\n",
            "X(: a\r\n",
        ] {
            assert_eq!(framing(lines), Err(HeadError::Line), "{lines:?}");
        }
        assert_eq!(read("GET /a HTTP/1.1\nHost: portal.test\n\n"), Err(HeadError::Line));
        assert_eq!(read("\r\n\r\nGET / HTTP/1.1\r\nHost: portal.test\r\n\r\n"), Err(HeadError::Line));
        assert_eq!(read("\x16\x03\x01"), Err(HeadError::Line));
        for line in [
            "GET /a",
            "GET",
            "GET  /a HTTP/1.1",
            "GET /a b HTTP/1.1",
            "GET /<a> HTTP/1.1",
            "GET /a`b HTTP/1.1",
            "G(T /a HTTP/1.1",
            " /a HTTP/1.1",
        ] {
            assert!(read(&format!("{line}\r\nHost: portal.test\r\n\r\n")).is_err(), "{line:?}");
        }
        for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/1", "PTTH/1.1", "HTTP/01.1"]
        {
            assert!(read(&format!("GET /a {version}\r\nHost: portal.test\r\n\r\n")).is_err(), "{version:?}");
        }
    }

    #[test]
    fn hosts_and_targets_are_those_that_are_decided_on() {
        let read = |line: &str, hosts: &str| read(&format!("{line} HTTP/1.1\r\n{hosts}\r\n"));
        assert_eq!(read("GET /a", ""), Err(HeadError::HostMissing));
        assert_eq!(read("GET /a", "Host: a\r\nHost: a\r\n"), Err(HeadError::HostTwice));
        assert_eq!(read("GET /a", "Host:\r\n"), Err(HeadError::HostInvalid));
        assert_eq!(read("GET /a", "Host: a@b\r\n"), Err(HeadError::HostInvalid));
        assert_eq!(read("GET http://b/a", "Host: a\r\n"), Err(HeadError::Target));
        assert_eq!(read("CONNECT a:443", "Host: a\r\n"), Err(HeadError::Method));
        assert!(read("GET http://a/a", "Host: a\r\n").is_ok());
    }

    #[test]
    fn bodies_framed_in_more_than_one_way_are_refused() {
        for lines in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: 05\r\n",
            "Content-Length: \r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: -0\r\n",
            "Content-Length: 9223372036854775808\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
        ] {
            assert!(framing(lines).is_err(), "{lines:?}");
        }
        let http_1_0 = "POST /a HTTP/1.0\r\nHost: portal.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read(http_1_0), Err(HeadError::Framing));
    }

    #[test]
    fn a_head_too_large_is_refused_before_it_is_whole() {
        assert_eq!(read(&format!("{HEAD}X: {}", "a".repeat(1000))), Err(HeadError::TooLarge));
        assert_eq!(read(&"A".repeat(1001)), Err(HeadError::TooLarge));
        let lines = "X: a\r\n".repeat(256);
        assert_eq!(HeadReader::new(1 << 20).read(format!("{HEAD}{lines}\r\n").as_bytes()), Err(HeadError::TooLarge));
    }
}
