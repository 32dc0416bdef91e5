//! Paths that two readers could take for two: refused, with the fault and the place of it.
//!
//! | fault | who reads it otherwise |
//! | --- | --- |
//! | a `.` or `..` segment, with path parameters too (`..;x`) | whoever resolves them |
//! | `//`, `%2f`, `\\`, `%5c` | whoever merges slashes, decodes before splitting, or takes a backslash for a slash |
//! | `%2e`, `%00`, an encoded control byte | whoever decodes before resolving, or ends text at a zero byte |
//! | the same, encoded again, up to [`MOST_DECODINGS`] times | whoever decodes more than once |
//! | an overlong form of UTF-8 (`%c0%ae` for a dot, RFC 3629 section 10) | whoever decodes it leniently |
//!
//! A route may let slashes through (`encoded_slashes`): of a path that is sound but for them, [`check`] says so, and [`merged`] is
//! what the laxest reader makes of it.

use std::{borrow::Cow, fmt};

use crate::readings::MOST_DECODINGS;

/// What is wrong with a path, and at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PathError {
    pub fault: Fault,
    /// Counted from 0.
    pub at: usize,
}

/// What may be wrong with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NotAbsolute,
    DotSegment,
    EmptySegment,
    Backslash,
    EncodedSlash,
    EncodedBackslash,
    EncodedDot,
    EncodedControl,
    Overlong,
    BrokenEncoding,
    EncodedTooOften,
}

impl Fault {
    /// Whether a route may let it through.
    pub fn is_of_slashes(self) -> bool {
        matches!(self, Self::EmptySegment | Self::EncodedSlash | Self::EncodedBackslash)
    }
}

/// As in `path has … at byte 7`.
impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.fault {
            Fault::NotAbsolute => "no slash",
            Fault::DotSegment => "a dot segment",
            Fault::EmptySegment => "an empty segment (//)",
            Fault::Backslash => "a backslash",
            Fault::EncodedSlash => "an encoded slash (%2F)",
            Fault::EncodedBackslash => "an encoded backslash (%5C)",
            Fault::EncodedDot => "an encoded dot (%2E)",
            Fault::EncodedControl => "an encoded control byte",
            Fault::Overlong => "an overlong form of UTF-8",
            Fault::BrokenEncoding => "broken percent-encoding",
            Fault::EncodedTooOften => "something encoded too many times",
        };
        write!(f, "path has {what} at byte {}", self.at)
    }
}

/// Refuses what apps may read as another path than the routes do. `Some` is the first fault of a path that is sound but for its
/// slashes.
pub fn check(path: &str) -> Result<Option<PathError>, PathError> {
    match check_strictly(path) {
        Ok(()) => Ok(None),
        Err(error) if error.fault.is_of_slashes() => {
            let merged = merged(path);
            if check_strictly(&merged).is_ok() && !has_blank_segment(&merged) { Ok(Some(error)) } else { Err(error) }
        }
        Err(error) => Err(error),
    }
}

/// Whether a segment is nothing to whoever trims it: then the slashes around it are two in a row.
fn has_blank_segment(path: &str) -> bool {
    let is_blank = |segment: &str| {
        let decoded = percent_encoding::percent_decode_str(segment).decode_utf8_lossy();
        !segment.is_empty() && decoded.chars().all(|c| c.is_whitespace() || c.is_control() || c == '+')
    };
    path.split('/').any(is_blank)
}

/// A path as it is to whoever decodes its slashes and backslashes and merges them.
pub fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let is_encoded =
            rest.get(..3).is_some_and(|three| ["%2f", "%5c"].iter().any(|one| three.eq_ignore_ascii_case(one)));
        let (read, length) = if is_encoded { ('/', 3) } else { (first, first.len_utf8()) };
        if read != '/' || !merged.ends_with('/') {
            merged.push(read);
        }
        rest = &rest[length..];
    }
    merged
}

fn check_strictly(path: &str) -> Result<(), PathError> {
    let bytes = path.as_bytes();
    check_segments(bytes, |at| at)?;
    if let Some(at) = path.find('\\') {
        return Err(PathError { fault: Fault::Backslash, at });
    }
    if !path.contains('%') {
        return Ok(());
    }
    check_encoding(bytes, (0..=bytes.len()).collect())
}

/// No segment, up to its path parameters, is empty or dots. `origin` says where a byte stands in the path as it came.
fn check_segments(path: &[u8], origin: impl Fn(usize) -> usize) -> Result<(), PathError> {
    if path.first() != Some(&b'/') {
        return Err(PathError { fault: Fault::NotAbsolute, at: 0 });
    }
    let mut start = 1;
    loop {
        let end = path[start..].iter().position(|byte| *byte == b'/').map(|length| start + length);
        let segment = &path[start..end.unwrap_or(path.len())];
        let name = segment.split(|byte| *byte == b';').next().unwrap_or_default();
        let error = |fault| Err(PathError { fault, at: origin(start) });
        if name == b"." || name == b".." {
            return error(Fault::DotSegment);
        }
        if name.is_empty() && (end.is_some() || !segment.is_empty()) {
            return error(Fault::EmptySegment);
        }
        match end {
            Some(end) => start = end + 1,
            None => return Ok(()),
        }
    }
}

/// What stands encoded in a path: nothing that could end a segment, however many times it is encoded. `origins` holds where each
/// byte stands in the path as it came, and the end.
fn check_encoding(path: &[u8], mut origins: Vec<usize>) -> Result<(), PathError> {
    let mut path = Cow::Borrowed(path);
    for pass in 0..MOST_DECODINGS {
        let (mut decoded, mut from) = (Vec::with_capacity(path.len()), Vec::with_capacity(path.len() + 1));
        let mut at = 0;
        while at < path.len() {
            let pair = if path[at] == b'%' { hex_pair(&path, at + 1) } else { None };
            let fault = match pair {
                Some(byte) => of_encoded(byte),
                None => (path[at] == b'%' && pass == 0).then_some(Fault::BrokenEncoding),
            };
            if let Some(fault) = fault {
                return Err(PathError { fault, at: origins[at] });
            }
            decoded.push(pair.unwrap_or(path[at]));
            from.push(origins[at]);
            at += if pair.is_some() { 3 } else { 1 };
        }
        from.push(origins[path.len()]);
        if let Some(at) = decoded.windows(2).position(is_overlong) {
            return Err(PathError { fault: Fault::Overlong, at: from[at] });
        }
        check_segments(&decoded, |at| from[at])?;
        if decoded.len() == path.len() {
            return Ok(());
        }
        (path, origins) = (decoded.into(), from);
    }
    let at = path.iter().position(|byte| *byte == b'%').map_or(0, |at| origins[at]);
    Err(PathError { fault: Fault::EncodedTooOften, at })
}

fn of_encoded(byte: u8) -> Option<Fault> {
    match byte {
        b'/' => Some(Fault::EncodedSlash),
        b'\\' => Some(Fault::EncodedBackslash),
        b'.' => Some(Fault::EncodedDot),
        0..b' ' | 0x7f => Some(Fault::EncodedControl),
        _ => None,
    }
}

fn is_overlong(pair: &[u8]) -> bool {
    match pair[0] {
        0xc0 | 0xc1 => (0x80..0xc0).contains(&pair[1]),
        0xe0 => (0x80..0xa0).contains(&pair[1]),
        0xf0 => (0x80..0x90).contains(&pair[1]),
        // Forms of five and six bytes, which UTF-8 once had (RFC 2279).
        0xf8 => (0x80..0x88).contains(&pair[1]),
        0xfc => (0x80..0x84).contains(&pair[1]),
        _ => false,
    }
}

fn hex_pair(text: &[u8], at: usize) -> Option<u8> {
    let digit = |b: &u8| (*b as char).to_digit(16);
    let (high, low) = (digit(text.get(at)?)?, digit(text.get(at + 1)?)?);
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_with_its_place() {
        for (path, fault, at) in [
            ("admin", Fault::NotAbsolute, 0),
            ("/a/./b", Fault::DotSegment, 3),
            ("/a/..;x/b", Fault::DotSegment, 3),
            ("/a/;x/b", Fault::EmptySegment, 3),
            ("/a/b\\c", Fault::Backslash, 4),
            ("/a%2e", Fault::EncodedDot, 2),
            ("/a%00", Fault::EncodedControl, 2),
            ("/a%7f", Fault::EncodedControl, 2),
            ("/ab%c0%ae", Fault::Overlong, 3),
            ("/a%zz", Fault::BrokenEncoding, 2),
            ("/a%", Fault::BrokenEncoding, 2),
            ("/abc/%252e", Fault::EncodedDot, 5),
            ("/abc%252f", Fault::EncodedSlash, 4),
            ("/x/%25252525252541", Fault::EncodedTooOften, 3),
            ("/a%2f..", Fault::EncodedSlash, 2),
            ("/a%2f%2e", Fault::EncodedSlash, 2),
            ("//..", Fault::EmptySegment, 1),
            ("/a%5c%2e%2e", Fault::EncodedBackslash, 2),
            ("/a%2f%252e%252e", Fault::EncodedSlash, 2),
            ("/a%2f;x/b", Fault::EncodedSlash, 2),
        ] {
            assert_eq!(check(path), Err(PathError { fault, at }), "{path}");
        }
    }

    #[test]
    fn slashes_alone_are_left_to_the_route() {
        for (path, fault, at, read) in [
            ("/a%2Fb", Fault::EncodedSlash, 2, "/a/b"),
            ("/a%5cb", Fault::EncodedBackslash, 2, "/a/b"),
            ("//a", Fault::EmptySegment, 1, "/a"),
            ("/a//b%2f", Fault::EmptySegment, 3, "/a/b/"),
            ("/a%2f%2F//b", Fault::EmptySegment, 9, "/a/b"),
            ("/%c3%bc%2fx", Fault::EncodedSlash, 7, "/%c3%bc/x"),
        ] {
            assert_eq!(check(path), Ok(Some(PathError { fault, at })), "{path}");
            assert_eq!(merged(path), read);
        }
        for path in ["/", "/a", "/a%20b", "/%25", "/a;x=1", "/\u{fc}"] {
            assert_eq!(check(path), Ok(None), "{path}");
            assert_eq!(merged(path), path);
        }
    }
}
