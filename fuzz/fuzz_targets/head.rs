//! A head that is accepted can be read in one way only, and what it says is what was sent.
//!
//! The first line is method and target, the others are header fields; `:authority` is HTTP/2's.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use url::Url;
use vestibule::head::{Head, Host, is_own};
use vestibule_fuzz::{field, first_line, gate, lines, percent_decoded, portal};

fuzz_target!(|data: &[u8]| {
    let (request_line, rest) = first_line(data);
    let Some(space) = request_line.iter().position(|b| *b == b' ') else { return };
    let (method, target) = (&request_line[..space], &request_line[space + 1..]);
    let Ok(method) = Method::from_bytes(method) else { return };
    let mut headers = HeaderMap::new();
    let mut authority = None;
    for (name, value) in lines(rest).filter_map(field) {
        if name.is_empty() {
            authority =
                value.strip_prefix(b"authority:").and_then(|value| std::str::from_utf8(value.trim_ascii()).ok());
        } else if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    match Head::parse(&method, target, authority, &headers) {
        Ok(head) => {
            check_request_line(&head, target);
            if head.slashes.is_some() {
                assert!(gate().find(&head).is_err(), "no route here passes slashes");
                check_path(vestibule::path::merged(head.path).as_bytes());
                return;
            }
            check_path(head.path.as_bytes());
            check_own(head.path);
            check_host(&head.host, authority, &headers);
            check_framing(&headers);
            let forwarded = head.target();
            let again = Head::parse(&method, forwarded.as_bytes(), authority, &headers).map(|again| again.path);
            assert_eq!(again, Ok(head.path), "what is forwarded is read as what was decided on");
            // Nothing that is accepted may make the rest of the decision stumble.
            let _ = gate().routes.find(&head.host.name, head.method, head.path);
        }
        Err(error) => {
            let one_host =
                authority.is_none() && headers.len() == 1 && headers.get("host").is_some_and(|h| h == "h.test");
            assert!(!(one_host && method == Method::GET && is_ordinary(target)), "{error}");
        }
    }
});

fn check_request_line(head: &Head<'_>, target: &[u8]) {
    assert!(head.method.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    assert!(!matches!(head.method.as_str(), "CONNECT" | "TRACE" | "TRACK"));
    let sent = head.target();
    if target.starts_with(b"/") {
        assert_eq!(sent.as_bytes(), target, "the very bytes");
    } else {
        let (scheme, rest) = std::str::from_utf8(target).ok().and_then(|t| t.split_once("://")).expect("absolute-form");
        assert!(["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()));
        let authority = rest.strip_suffix(&*sent).or((sent == "/").then_some(rest)).expect("the very bytes");
        assert_eq!(Host::parse(authority).as_ref(), Some(&head.host));
    }
    assert!(sent.bytes().all(|b| b > b' ' && b != 0x7f && b != b'#'));
}

/// However often an app decodes the path, up to twice, and whether it reads path parameters or overlong UTF-8 or not.
fn check_path(path: &[u8]) {
    let mut reading = path.to_vec();
    for pass in 0..=2 {
        for lax in [reading.clone(), lax_utf8(&reading)] {
            let shown = String::from_utf8_lossy(&lax).into_owned();
            assert!(lax.starts_with(b"/"), "pass {pass}: {shown:?}");
            assert!(!lax.iter().any(|b| *b == b'\\' || *b < b' ' || *b == 0x7f), "pass {pass}: {shown:?}");
            let segments: Vec<&[u8]> = lax[1..].split(|b| *b == b'/').collect();
            for (at, segment) in segments.iter().enumerate() {
                let name = segment.split(|b| *b == b';').next().unwrap_or_default();
                assert!(name != b"." && name != b"..", "dot segment, pass {pass}: {shown:?}");
                let is_last_and_empty = at + 1 == segments.len() && segment.is_empty();
                assert!(!name.is_empty() || is_last_and_empty, "empty segment, pass {pass}: {shown:?}");
            }
            assert_eq!(segments.len(), path[1..].split(|b| *b == b'/').count(), "pass {pass}: {shown:?}");
        }
        reading = percent_decoded(&reading);
    }
    // A browser's URL parser, which takes dots and backslashes out, finds nothing to take out.
    let text = std::str::from_utf8(path).expect("a path is text");
    let joined = Url::parse("http://h.test/").and_then(|base| base.join(text)).expect("a path is a URL");
    assert_eq!(joined.host_str(), Some("h.test"));
    assert_eq!(percent_decoded(joined.path().as_bytes()), percent_decoded(path));
}

/// Decodes UTF-8 as decoders did that do not look for the shortest form, those of five and six bytes (RFC 2279) included.
fn lax_utf8(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let length = match text[at] {
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf7 => 4,
            0xf8..=0xfb => 5,
            0xfc..=0xfd => 6,
            _ => 1,
        };
        let more = text.get(at + 1..at + length).filter(|more| more.iter().all(|b| (0x80..0xc0).contains(b)));
        let (code, length) = match more {
            Some(more) if length > 1 => {
                let first = u32::from(text[at]) & (0x7f >> length);
                (more.iter().fold(first, |code, b| code << 6 | u32::from(b & 0x3f)), length)
            }
            _ => (u32::from(text[at]), 1),
        };
        match u8::try_from(code) {
            Ok(byte) if byte < 0x80 => out.push(byte),
            _ => out.extend_from_slice(&text[at..at + length]),
        }
        at += length;
    }
    out
}

/// What is not ours is not ours after any number of decodings up to four either.
fn check_own(path: &str) {
    if is_own(path) {
        assert!(portal().exchange.endpoint(path).is_some());
        return;
    }
    let mut reading = path.as_bytes().to_vec();
    for pass in 0..=4 {
        let first = reading[1..].split(|b| matches!(b, b'/' | b';')).next().unwrap_or_default();
        assert!(!first.eq_ignore_ascii_case(b"_auth"), "pass {pass}: {path}");
        reading = percent_decoded(&reading);
    }
}

fn check_host(host: &Host<'_>, authority: Option<&str>, headers: &HeaderMap) {
    let lines: Vec<&HeaderValue> = headers.get_all("host").iter().collect();
    assert!(lines.len() <= 1, "one Host");
    let line = lines.first().map(|line| line.to_str().expect("a host is text"));
    let said = authority.or(line).expect("a host");
    assert!(line.is_none_or(|line| line == said), "two authorities that differ");
    let (name, port) = match said.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port.parse::<u16>().expect("a port"))),
        _ => (said, None),
    };
    assert_eq!((&*host.name, host.port), (&*name.to_ascii_lowercase(), port));
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    assert!(bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) && !bare.is_empty());
    assert!(!name.ends_with('.') && !name.starts_with('.') && !name.contains(".."));
}

/// No Content-Length beside a Transfer-Encoding, none twice, and each in the one spelling nobody reads differently.
fn check_framing(headers: &HeaderMap) {
    let values = |name| headers.get_all(name).iter().map(HeaderValue::as_bytes).collect::<Vec<&[u8]>>();
    match (&values("content-length")[..], &values("transfer-encoding")[..]) {
        ([], []) => {}
        ([length], []) => {
            assert!(
                !length.is_empty() && length.iter().all(u8::is_ascii_digit) && (length == b"0" || length[0] != b'0')
            );
        }
        ([], [coding]) => assert!(coding.eq_ignore_ascii_case(b"chunked")),
        both => panic!("framed in more than one way: {both:?}"),
    }
}

/// Paths that no rule can object to: a proxy that refuses everything keeps all the properties above.
fn is_ordinary(target: &[u8]) -> bool {
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_~=&?/".contains(b);
    let Some(rest) = path.strip_prefix(b"/") else { return false };
    let segments: Vec<&[u8]> = rest.split(|b| *b == b'/').collect();
    target.iter().all(is_plain) && segments.iter().rev().skip(1).all(|segment| !segment.is_empty())
}
