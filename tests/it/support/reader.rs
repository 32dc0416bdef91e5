//! Reads requests from recorded bytes, strictly and as lax apps do: where those disagree, an attacker has a request to hide.

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// RFC 9112 to the letter, and nothing it leaves open.
    Strict,
    /// A bare LF ends a line, odd lines are passed over, and a Content-Length counts more than chunks.
    LengthFirst,
    /// The same, but chunks count more.
    ChunksFirst,
}

/// A name and a value.
pub type Field = (Vec<u8>, Vec<u8>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub line: Vec<u8>,
    pub fields: Vec<Field>,
    /// Without its chunks' framing.
    pub body: Vec<u8>,
}

/// How the bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    Nothing,
    /// Within a request.
    Unfinished,
    /// With what is none.
    Malformed(&'static str),
}

/// The complete requests, each with where it ends, and what is left.
pub struct Reading {
    pub requests: Vec<(Request, usize)>,
    pub rest: Rest,
}

enum Stop {
    Unfinished,
    Malformed(&'static str),
}

pub fn read(bytes: &[u8], manner: Manner) -> Reading {
    let mut reader = Reader { bytes, at: 0, manner };
    let mut requests = Vec::new();
    loop {
        if manner != Manner::Strict {
            reader.skip_empty_lines();
        }
        if reader.at == bytes.len() {
            return Reading { requests, rest: Rest::Nothing };
        }
        match reader.request() {
            Ok(request) => requests.push((request, reader.at)),
            Err(Stop::Unfinished) => return Reading { requests, rest: Rest::Unfinished },
            Err(Stop::Malformed(why)) => return Reading { requests, rest: Rest::Malformed(why) },
        }
    }
}

impl Request {
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(key, _): &&Field| key.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().filter(named).map(|(_, value)| value.as_slice())
    }

    pub fn target(&self) -> &[u8] {
        self.line.split(|b| *b == b' ').nth(1).unwrap_or_default()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    manner: Manner,
}

impl<'a> Reader<'a> {
    fn request(&mut self) -> Result<Request, Stop> {
        let line = self.line()?.to_vec();
        if self.is_strict() && !is_request_line(&line) {
            return Err(Stop::Malformed("request line"));
        }
        let fields = self.fields()?;
        let mut request = Request { line, fields, body: Vec::new() };
        request.body = self.body(&request)?;
        Ok(request)
    }

    fn is_strict(&self) -> bool {
        self.manner == Manner::Strict
    }

    fn skip_empty_lines(&mut self) {
        while self.bytes.get(self.at).is_some_and(|b| matches!(b, b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// A line without its end.
    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().position(|b| *b == b'\n').ok_or(Stop::Unfinished)?;
        self.at += length + 1;
        let line = &rest[..length];
        match line.strip_suffix(b"\r") {
            Some(line) if self.is_strict() && line.contains(&b'\r') => Err(Stop::Malformed("bare CR")),
            None if self.is_strict() => Err(Stop::Malformed("bare LF")),
            line_without => Ok(line_without.unwrap_or(line)),
        }
    }

    fn fields(&mut self) -> Result<Vec<Field>, Stop> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            let colon = line.iter().position(|b| *b == b':');
            if self.is_strict() {
                let (name, value) = line.split_at(colon.ok_or(Stop::Malformed("no colon"))?);
                if name.is_empty() || !name.iter().all(|b| is_token(*b)) {
                    return Err(Stop::Malformed("header name"));
                }
                if value.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
                    return Err(Stop::Malformed("header value"));
                }
                fields.push((name.to_vec(), value[1..].trim_ascii().to_vec()));
            } else if line[0] == b' ' || line[0] == b'\t' {
                if let Some((_, value)) = fields.last_mut() {
                    value.extend_from_slice(line);
                }
            } else if let Some(colon) = colon {
                fields.push((line[..colon].trim_ascii().to_vec(), line[colon + 1..].trim_ascii().to_vec()));
            }
        }
    }

    fn body(&mut self, request: &Request) -> Result<Vec<u8>, Stop> {
        let length: Vec<&[u8]> = request.values("content-length").collect();
        let coding: Vec<&[u8]> = request.values("transfer-encoding").collect();
        if self.is_strict() {
            return match (length.as_slice(), coding.as_slice()) {
                ([], []) => Ok(Vec::new()),
                ([length], []) => self.take(strict_length(length)?),
                ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => self.chunks(),
                _ => Err(Stop::Malformed("framing")),
            };
        }
        let is_chunked = coding.iter().any(|coding| coding.to_ascii_lowercase().windows(7).any(|w| w == b"chunked"));
        match length.first() {
            Some(length) if self.manner == Manner::LengthFirst || !is_chunked => self.take(leading(length, 10)),
            _ if is_chunked => self.chunks(),
            _ => Ok(Vec::new()),
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, Stop> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(Stop::Unfinished)?;
        let taken = self.bytes[self.at..end].to_vec();
        self.at = end;
        Ok(taken)
    }

    fn chunks(&mut self) -> Result<Vec<u8>, Stop> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let is_size = !line.is_empty() && line.len() <= 8 && line.iter().all(u8::is_ascii_hexdigit);
            if self.is_strict() && !is_size {
                return Err(Stop::Malformed("chunk size"));
            }
            match leading(line, 16) {
                0 => return self.fields().map(|_| body),
                size => body.extend(self.take(size)?),
            }
            let end = self.line()?;
            if self.is_strict() && !end.is_empty() {
                return Err(Stop::Malformed("chunk end"));
            }
        }
    }
}

fn strict_length(value: &[u8]) -> Result<usize, Stop> {
    let is_plain = !value.is_empty() && value.len() <= 12 && value.iter().all(u8::is_ascii_digit);
    if is_plain { Ok(leading(value, 10)) } else { Err(Stop::Malformed("Content-Length")) }
}

/// The number at the beginning, as lax readers take it.
fn leading(text: &[u8], radix: u32) -> usize {
    let digits = text.iter().map_while(|b| char::from(*b).to_digit(radix));
    digits.fold(0, |number: usize, digit| number.saturating_mul(radix as usize).saturating_add(digit as usize))
}

pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_request_line(line: &[u8]) -> bool {
    let parts: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let [method, target, version] = parts.as_slice() else { return false };
    !method.is_empty()
        && method.iter().all(|b| is_token(*b))
        && !target.is_empty()
        && target.iter().all(|b| *b > b' ' && *b != 0x7f)
        && matches!(*version, b"HTTP/1.1" | b"HTTP/1.0")
}

#[test]
fn readers_differ_where_apps_differ() {
    let count = |bytes: &[u8]| {
        [Manner::Strict, Manner::LengthFirst, Manner::ChunksFirst].map(|manner| read(bytes, manner).requests.len())
    };
    assert_eq!(count(b"GET / HTTP/1.1\r\nA: b\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"), [2, 2, 2]);
    assert_eq!(count(b"GET / HTTP/1.1\nA: b\n\n"), [0, 1, 1]);
    let both = b"POST / HTTP/1.1\r\nContent-Length: 27\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n";
    assert_eq!(count(both), [0, 1, 2]);
    let folded = read(b"GET / HTTP/1.1\r\nA: b\r\n c\r\nX-User-Id : d\r\n\r\n", Manner::LengthFirst).requests;
    assert_eq!(folded[0].0.fields, [(b"A".to_vec(), b"b c".to_vec()), (b"X-User-Id".to_vec(), b"d".to_vec())]);
    assert_eq!(read(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhell", Manner::Strict).rest, Rest::Unfinished);
    for wrong in ["A : b", "A: b\r\n c", "A: \u{1}", "Content-Length: +1", "Transfer-Encoding: gzip, chunked"] {
        let rest = read(format!("GET / HTTP/1.1\r\n{wrong}\r\n\r\n").as_bytes(), Manner::Strict).rest;
        assert!(matches!(rest, Rest::Malformed(_)), "{wrong}: {rest:?}");
    }
}
