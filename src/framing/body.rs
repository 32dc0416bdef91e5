//! Where a body ends.

use super::{Framing, is_text, is_token};
use crate::head::HeadError;

/// The most bytes of one chunk's extensions, and of the trailer section: nobody reads either.
const MOST_UNREAD: u32 = 4 << 10;

/// Chunks of at most so many bytes are put together.
const SMALL: usize = 1 << 10;

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
        if let Self::Length(left) = self {
            return Ok(take(left, bytes.len()));
        }
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            at += self.chunk(&bytes[at..])?.end;
        }
        Ok(at)
    }
}

/// What [`Body::merge`] made of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// So many of them belong to the body.
    pub taken: usize,
    /// So many of them, at the front, are the body as it is to be handed on.
    pub kept: usize,
}

impl Body {
    /// As [`Body::take`], and puts small chunks that have come whole together into one: whoever reads them next does for each what
    /// costs as much as for many bytes. Nothing is held back, and what is handed on ends where the body does.
    pub fn merge(&mut self, bytes: &mut [u8]) -> Result<Merged, HeadError> {
        if let Self::Length(_) = self {
            let taken = self.take(bytes)?;
            return Ok(Merged { taken, kept: taken });
        }
        let mut run = Run::default();
        let mut at = 0;
        while at < bytes.len() && !self.is_done() {
            let begins = self.is_between_chunks();
            let Span { data, end } = self.chunk(&bytes[at..])?;
            let whole = begins && self.is_between_chunks() && data.len() <= SMALL;
            if whole {
                run.add(at..at + end, &bytes[at + data.start..at + data.end]);
            } else {
                run.close(bytes);
            }
            at += end;
        }
        run.close(bytes);
        let kept = run.write_back(bytes, at);
        Ok(Merged { taken: at, kept })
    }

    fn is_between_chunks(&self) -> bool {
        matches!(self, Self::Chunked(Chunks { next: Next::Size, digits: 0, .. }))
    }

    /// Reads to the end of the chunk that these bytes are of, or as far as they go.
    fn chunk(&mut self, bytes: &[u8]) -> Result<Span, HeadError> {
        let Self::Chunked(chunks) = self else { return Ok(Span { data: 0..0, end: 0 }) };
        let (mut at, mut data) = (0, 0..0);
        while at < bytes.len() {
            if chunks.next == Next::Data {
                let length = take(&mut chunks.left, bytes.len() - at);
                data = at..at + length;
                at += length;
                if chunks.left == 0 {
                    chunks.next = Next::DataEnd;
                }
                continue;
            }
            let was_data_end = chunks.next == Next::DataEndLf;
            chunks.next = chunks.after(bytes[at]).ok_or(HeadError::Chunks)?;
            at += 1;
            if was_data_end || chunks.next == Next::Done {
                break;
            }
        }
        Ok(Span { data, end: at })
    }
}

/// Where the data of a chunk is, and where the chunk ends.
struct Span {
    data: std::ops::Range<usize>,
    end: usize,
}

/// Chunks that follow one another and become one, and what is written of the bytes so far.
#[derive(Default)]
struct Run {
    chunks: usize,
    /// The bytes they are, and their data.
    range: std::ops::Range<usize>,
    data: Vec<u8>,
    /// What differs from the bytes as they came, up to `written`.
    out: Vec<u8>,
    written: usize,
}

impl Run {
    fn add(&mut self, range: std::ops::Range<usize>, data: &[u8]) {
        if self.chunks == 0 {
            self.range = range;
        } else {
            self.range.end = range.end;
        }
        self.chunks += 1;
        self.data.extend_from_slice(data);
    }

    fn close(&mut self, bytes: &[u8]) {
        if self.chunks > 1 {
            self.out.extend_from_slice(&bytes[self.written..self.range.start]);
            self.out.extend_from_slice(format!("{:x}\r\n", self.data.len()).as_bytes());
            self.out.extend_from_slice(&self.data);
            self.out.extend_from_slice(b"\r\n");
            self.written = self.range.end;
        }
        self.chunks = 0;
        self.data.clear();
    }

    /// Two chunks have a size and two line ends each: one of both is no longer.
    fn write_back(mut self, bytes: &mut [u8], taken: usize) -> usize {
        if self.written == 0 {
            return taken;
        }
        self.out.extend_from_slice(&bytes[self.written..taken]);
        bytes[..self.out.len()].copy_from_slice(&self.out);
        self.out.len()
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

    /// The text as it is handed on, received in pieces of `size` bytes, and what is left over.
    fn merged(text: &str, size: usize) -> (String, String) {
        let mut body = Body::new(Framing::Chunked);
        let (mut kept, mut rest) = (String::new(), String::new());
        for piece in text.as_bytes().chunks(size) {
            let mut piece = piece.to_vec();
            let Merged { taken, kept: length } = body.merge(&mut piece).expect("sound");
            kept.push_str(std::str::from_utf8(&piece[..length]).expect("text"));
            rest.push_str(std::str::from_utf8(&piece[taken..]).expect("text"));
        }
        (kept, rest)
    }

    /// The data of a chunked text without extensions or trailers.
    fn data(mut text: &str) -> String {
        let mut data = String::new();
        loop {
            let (size, rest) = text.split_once("\r\n").expect("a size");
            let size = usize::from_str_radix(size, 16).expect("a number");
            data.push_str(&rest[..size]);
            text = rest[size..].strip_prefix("\r\n").expect("the end of a chunk");
            if size == 0 {
                assert_eq!(text, "");
                return data;
            }
        }
    }

    #[test]
    fn small_chunks_become_one_wherever_they_are_cut() {
        let large = format!("{:x}\r\n{}\r\n", SMALL + 1, "L".repeat(SMALL + 1));
        let small = "1\r\na\r\n1\r\nb\r\n2\r\ncd\r\n";
        let text = format!("{small}{large}{small}0\r\n\r\nGET /");
        for size in 1..text.len() {
            let (kept, rest) = merged(&text, size);
            assert_eq!(
                (data(&kept), rest.as_str()),
                (data(text.strip_suffix("GET /").expect("so")), "GET /"),
                "{size}"
            );
        }
        assert_eq!(merged(&format!("{small}0\r\n\r\nGET /"), 100), ("4\r\nabcd\r\n0\r\n\r\n".into(), "GET /".into()));
        assert_eq!(merged("1;x=y\r\na\r\n1\r\nb\r\n3\r\nde", 100).0, "2\r\nab\r\n3\r\nde");
        // A chunk alone stays as it came, and what has come of the next one is not held back.
        assert_eq!(merged("1;x=y\r\na\r\n3\r\nde", 100).0, "1;x=y\r\na\r\n3\r\nde");
        assert_eq!(Body::new(Framing::Chunked).merge(&mut b"1\r\na\r\n1\nb".to_vec()), Err(HeadError::Chunks));
        let many = "1\r\nx\r\n".repeat(20_000) + "0\r\n\r\n";
        assert_eq!(merged(&many, many.len()).0, format!("4e20\r\n{}\r\n0\r\n\r\n", "x".repeat(20_000)));
        let mut length = Body::new(Framing::Length(3));
        assert_eq!(length.merge(&mut b"abcde".to_vec()), Ok(Merged { taken: 3, kept: 3 }));
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
