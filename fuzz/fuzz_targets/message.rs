//! Where requests end on a connection does not depend on the pieces they come in, and no other reader ends them elsewhere.
//!
//! The bytes of the first line are the lengths of the pieces, over and over; the rest is what a client sends.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use pingora::http::RequestHeader;
use vestibule::{
    framing::{Body, Framing, HeadReader},
    head::{Head, HeadError},
};
use vestibule_fuzz::first_line;

/// Small, so that the limit is met.
const MOST_BYTES: usize = 2048;

fuzz_target!(|data: &[u8]| {
    let (pieces, sent) = first_line(data);
    let whole = read(sent, std::iter::repeat(sent.len()));
    let lengths = pieces.iter().map(|length| usize::from(*length).max(1)).cycle();
    assert!(same(&read(sent, lengths), &whole), "in pieces, and in one: {whole:?}");
    let singly = read(sent, std::iter::repeat(1));
    assert!(same(&singly, &whole), "byte by byte {singly:?}, and in one {whole:?}");
    for event in &whole {
        match event {
            Event::Head { from, to, framing } => check_head(&sent[*from..*to], *framing),
            Event::Body { from, to, framing: Framing::Chunked } => {
                assert_eq!(chunked(&sent[*from..]), Chunks::End(to - from));
            }
            Event::Body { from, to, framing: Framing::Length(length) } => assert_eq!((to - from) as u64, *length),
            Event::Refused { .. } => {}
        }
    }
    check_end(sent, &whole);
});

/// What is made of a connection's bytes, with places in them.
#[derive(Debug, PartialEq)]
enum Event {
    Head { from: usize, to: usize, framing: Framing },
    Body { from: usize, to: usize, framing: Framing },
    Refused { from: usize, error: HeadError },
}

/// A head both too large and wrong may be refused for either.
fn same(one: &[Event], other: &[Event]) -> bool {
    use Event::Refused;
    match (one.split_last(), other.split_last()) {
        (Some((Refused { from, error }, heads)), Some((Refused { from: there, error: other }, others)))
            if [error, other].contains(&&HeadError::TooLarge) =>
        {
            from == there && heads == others
        }
        _ => one == other,
    }
}

/// Reads heads and bodies in turn until something is refused or nothing is left.
fn read(sent: &[u8], mut lengths: impl Iterator<Item = usize>) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut from, mut received) = (0, 0);
    let mut more = |received: &mut usize| {
        let before = *received;
        *received = sent.len().min(before + lengths.next().unwrap_or(sent.len()));
        *received > before
    };
    loop {
        let mut reader = HeadReader::new(MOST_BYTES);
        let framed = loop {
            match reader.read(&sent[from..received]) {
                Ok(Some(framed)) => break framed,
                Ok(None) if more(&mut received) => {}
                Ok(None) => return events,
                Err(error) => {
                    events.push(Event::Refused { from, error });
                    return events;
                }
            }
        };
        assert!(framed.length > 0 && framed.length + framed.skipped <= received - from, "{framed:?}");
        let (head, end) = (from + framed.skipped, from + framed.skipped + framed.length);
        events.push(Event::Head { from: head, to: end, framing: framed.framing });
        let mut body = Body::new(framed.framing);
        let mut at = end;
        while !body.is_done() {
            match body.take(&sent[at..received]) {
                Ok(taken) => at += taken,
                Err(error) => {
                    events.push(Event::Refused { from: end, error });
                    return events;
                }
            }
            if !body.is_done() {
                assert_eq!(at, received, "what came of a body that goes on is taken");
                if !more(&mut received) {
                    return events;
                }
            }
        }
        events.push(Event::Body { from: end, to: at, framing: framed.framing });
        from = at;
    }
}

/// Reads the head once more, by RFC 9112 to the letter, and lets `httparse` and Pingora read it.
fn check_head(head: &[u8], framing: Framing) {
    let text = head.strip_suffix(b"\r\n\r\n").expect("an empty line at the end");
    let mut lines = split_lines(text);
    let request_line = lines.remove(0);
    let [method, target, version] = request_line.split(|b| *b == b' ').collect::<Vec<_>>()[..] else {
        panic!("three words");
    };
    assert!(!method.is_empty() && method.iter().all(|b| is_token(*b)));
    assert!(!target.is_empty() && target.iter().all(|b| *b > b' ' && *b != 0x7f));
    assert!(matches!(version, b"HTTP/1.0" | b"HTTP/1.1"));
    let fields: Vec<(&[u8], &[u8])> = lines.iter().map(|line| strict_field(line)).collect();
    let values = |wanted: &str| {
        let those = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        those.map(|(_, value)| *value).collect::<Vec<&[u8]>>()
    };
    let may_have_none = version == b"HTTP/1.0" && values("host").is_empty();
    assert!(may_have_none || values("host").len() == 1, "exactly one Host");
    let framed = match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => Framing::Length(0),
        ([length], []) => {
            assert!(length.iter().all(u8::is_ascii_digit) && (*length == b"0" || length[0] != b'0'));
            Framing::Length(std::str::from_utf8(length).expect("digits").parse().expect("a length"))
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && version == b"HTTP/1.1");
            Framing::Chunked
        }
        both => panic!("framed in more than one way: {both:?}"),
    };
    assert_eq!(framing, framed);

    let mut parsed = [httparse::EMPTY_HEADER; 300];
    let mut request = httparse::Request::new(&mut parsed);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())), "{}", head.escape_ascii());
    assert_eq!(request.method.map(str::as_bytes), Some(method));
    assert_eq!(request.path.map(str::as_bytes), Some(target));
    assert_eq!(request.version, Some(version[7] - b'0'));
    assert_eq!(request.headers.len(), fields.len());
    for (header, (name, value)) in request.headers.iter().zip(&fields) {
        assert_eq!((header.name.as_bytes(), trimmed(header.value)), (*name, *value));
    }
    check_pingora(method, target, &fields);
}

/// The head as Pingora hands it on: what it would mend must have been refused, here or by [`Head::parse`].
fn check_pingora(method: &[u8], target: &[u8], fields: &[(&[u8], &[u8])]) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name).expect("a name");
        headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
    }
    let method = Method::from_bytes(method).expect("a method");
    let read = Head::parse(&method, target, None, &headers);
    let Ok(built) = RequestHeader::build(method.clone(), target, None) else {
        assert!(read.is_err(), "Pingora refuses {}", target.escape_ascii());
        return;
    };
    let mended = built.raw_path() != target;
    if let Ok(read) = read {
        assert!(!mended, "{} for {}", built.raw_path().escape_ascii(), target.escape_ascii());
        assert_eq!(built.uri.path().as_bytes(), read.path.as_bytes());
        assert_eq!(built.uri.query(), read.query);
    } else if mended {
        // Seen only after it was mended, it would pass unless the bytes on the wire are looked at again.
        assert!(target.contains(&b'#'), "{} for {}", built.raw_path().escape_ascii(), target.escape_ascii());
    }
}

/// Lines between CR LF, with no CR or LF in them.
fn split_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let last = lines.len() - 1;
    for line in &mut lines[..last] {
        *line = line.strip_suffix(b"\r").expect("CR before LF");
    }
    assert!(!lines.iter().any(|line| line.contains(&b'\r')), "CR alone");
    lines
}

fn strict_field(line: &[u8]) -> (&[u8], &[u8]) {
    let at = line.iter().position(|b| *b == b':').expect("a colon");
    let (name, value) = (&line[..at], &line[at + 1..]);
    assert!(!name.is_empty() && name.iter().all(|b| is_token(*b)), "{}", line.escape_ascii());
    assert!(value.iter().all(|b| is_text(*b)), "{}", line.escape_ascii());
    (name, trimmed(value))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// What a chunked body comes to when it is read all at once.
#[derive(Debug, PartialEq)]
enum Chunks {
    End(usize),
    /// More bytes could make it one.
    More,
    Broken,
}

/// RFC 9112 section 7.1, sizes of 15 digits at most.
fn chunked(body: &[u8]) -> Chunks {
    let mut at = 0;
    loop {
        let Some(line) = line_at(body, at) else { return Chunks::More };
        let digits = line.iter().position(|b| !b.is_ascii_hexdigit()).unwrap_or(line.len());
        if !(1..=15).contains(&digits) || !are_extensions(&line[digits..]) {
            return Chunks::Broken;
        }
        let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).expect("digits"), 16).expect("15 digits");
        let size_line = [line, b"\r\n"].concat();
        assert_eq!(httparse::parse_chunk_size(&size_line), Ok(httparse::Status::Complete((size_line.len(), size))));
        at += line.len() + 2;
        if size == 0 {
            break;
        }
        let Some(end) = usize::try_from(size).ok().and_then(|size| at.checked_add(size)) else { return Chunks::More };
        match body.get(end..end + 2) {
            Some(b"\r\n") => at = end + 2,
            Some(_) => return Chunks::Broken,
            None => return Chunks::More,
        }
    }
    loop {
        match line_at(body, at) {
            Some([]) => return Chunks::End(at + 2),
            Some(line) => {
                let colon = line.iter().position(|b| *b == b':');
                let Some(colon) = colon.filter(|colon| *colon > 0) else { return Chunks::Broken };
                let is_text = line[colon..].iter().all(|b| is_text(*b));
                if !line[..colon].iter().all(|b| is_token(*b)) || !is_text {
                    return Chunks::Broken;
                }
                at += line.len() + 2;
            }
            None => return Chunks::More,
        }
    }
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
fn are_extensions(mut rest: &[u8]) -> bool {
    let spaces = |text: &[u8]| text.iter().position(|b| !matches!(b, b' ' | b'\t')).unwrap_or(text.len());
    let token = |text: &[u8]| text.iter().position(|b| !is_token(*b)).unwrap_or(text.len());
    while !rest.is_empty() {
        let Some(named) = rest[spaces(rest)..].strip_prefix(b";") else { return false };
        let named = &named[spaces(named)..];
        let name = token(named);
        rest = &named[name..];
        if name == 0 {
            return false;
        }
        let Some(value) = rest[spaces(rest)..].strip_prefix(b"=") else { continue };
        let value = &value[spaces(value)..];
        rest = match value.strip_prefix(b"\"") {
            None => &value[token(value)..],
            Some(quoted) => {
                let mut at = 0;
                loop {
                    match quoted.get(at..) {
                        Some([b'"', ..]) => break &quoted[at + 1..],
                        Some([b'\\', escaped, ..]) if is_text(*escaped) => at += 2,
                        Some([byte, ..]) if is_text(*byte) && *byte != b'\\' => at += 1,
                        _ => return false,
                    }
                }
            }
        };
        if rest.len() == value.len() {
            return false;
        }
    }
    true
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// The line at a place, up to its CR LF.
fn line_at(body: &[u8], at: usize) -> Option<&[u8]> {
    let rest = body.get(at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some(&rest[..end])
}

/// What was not accepted does not look like a request that any proxy must take.
fn check_end(sent: &[u8], events: &[Event]) {
    let Some(Event::Refused { from, error }) = events.last() else { return };
    if *error == HeadError::Chunks {
        let short = |body: &[u8]| body.len() < 256;
        assert!(
            !short(&sent[*from..]) || !matches!(chunked(&sent[*from..]), Chunks::End(_)),
            "a body as RFC 9112 has it"
        );
        return;
    }
    let Some(rest) = sent[*from..].strip_prefix(b"GET /") else { return };
    let path = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
    assert!(!rest[path..].starts_with(b" HTTP/1.1\r\nHost: h.test\r\n\r\n") || path > 1_000, "{error}");
}
