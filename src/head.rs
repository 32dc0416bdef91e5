//! The head of a request, read once; whatever two readers could read in two ways is refused.
//!
//! | rule | why |
//! | --- | --- |
//! | exactly one valid host | it chooses route and tenant (RFC 9112 section 3.2) |
//! | origin-form, or absolute-form for this very host | the app must see the authority that was decided on |
//! | no fragment, and a path that is read in one way ([`path`](crate::path)) | the app may normalise what we did not |
//! | a method that is registered, in upper case, a body framed in one way ([`framing`](crate::framing)) | the app must see the method and the end of the request that we saw |

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method, header::HOST};
use thiserror::Error;

use crate::{
    framing::Framing,
    path::{self, PathError},
    readings::{self, MOST_DECODINGS},
};

/// A request's head. `path` and `query` are the bytes that are decided on and forwarded.
pub struct Head<'a> {
    pub method: &'a Method,
    pub host: Host<'a>,
    pub path: &'a str,
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Where the path is sound but for its slashes: which route it is for decides whether it passes.
    pub slashes: Option<PathError>,
}

/// The authority a request is for: the name in lower case, a bracketed IPv6 address included, and the port if given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<'a> {
    pub name: Cow<'a, str>,
    pub port: Option<u16>,
}

/// What a head was refused for. The texts are for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeadError {
    #[error("method is not served")]
    Method,
    #[error("host is missing")]
    HostMissing,
    #[error("more than one host")]
    HostTwice,
    #[error("host is not valid")]
    HostInvalid,
    #[error("target is neither a path nor an absolute URL of this host")]
    Target,
    #[error("target has byte {byte:#04x} at {at}, which a URL cannot have")]
    TargetByte { byte: u8, at: usize },
    #[error("{0}")]
    Path(#[from] PathError),
    #[error("body is framed in more than one way")]
    Framing,
    #[error("a line is not as it must be")]
    Line,
    #[error("neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    #[error("header section is too large")]
    TooLarge,
    #[error("head took too long")]
    Slow,
    #[error("chunks are not as they must be")]
    Chunks,
}

/// The most header lines of a head: Pingora parses no more.
pub const MOST_HEADERS: usize = 256;

/// What a request-target may consist of: browsers send some of what RFC 3986 has not, but none of these.
pub fn is_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>')
}

/// Refuses a request-target with a byte that it cannot have, or with a fragment.
pub fn check_target(target: &[u8]) -> Result<(), HeadError> {
    match target.iter().position(|byte| !is_target(*byte) || *byte == b'#') {
        Some(at) => Err(HeadError::TargetByte { byte: target[at], at }),
        None => Ok(()),
    }
}

/// No method that is served is longer.
pub const LONGEST_METHOD: usize = 17;

/// Whether a method is passed on: one that is registered with IANA, but for `TRACE`, which echoes credentials, and `CONNECT` and
/// `PRI`, which are no requests. Case counts (RFC 9110 section 9.1): an app for which it does not would serve `post` on a route
/// that is not for POST.
pub fn is_served(method: &str) -> bool {
    #[rustfmt::skip]
    let registered = matches!(
        method,
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "PATCH" | "QUERY"
            // WebDAV and its like: calendars, address books, versions.
            | "ACL" | "BASELINE-CONTROL" | "BIND" | "CHECKIN" | "CHECKOUT" | "COPY" | "LABEL" | "LINK" | "LOCK" | "MERGE"
            | "MKACTIVITY" | "MKCALENDAR" | "MKCOL" | "MKREDIRECTREF" | "MKWORKSPACE" | "MOVE" | "ORDERPATCH" | "PROPFIND"
            | "PROPPATCH" | "REBIND" | "REPORT" | "SEARCH" | "UNBIND" | "UNCHECKOUT" | "UNLINK" | "UNLOCK" | "UPDATE"
            | "UPDATEREDIRECTREF" | "VERSION-CONTROL"
    );
    registered
}

impl<'a> Head<'a> {
    /// Reads a head. `target` is the request-target as the client sent it (RFC 9112 section 3.2), `authority` the
    /// pseudo-header of HTTP/2.
    pub fn parse(
        method: &'a Method,
        target: &'a [u8],
        authority: Option<&'a str>,
        headers: &'a HeaderMap,
    ) -> Result<Self, HeadError> {
        if !is_served(method.as_str()) {
            return Err(HeadError::Method);
        }
        Framing::of(headers)?;
        let authority = the_host(authority, headers)?;
        let host = Host::parse(authority).ok_or(HeadError::HostInvalid)?;
        let target = std::str::from_utf8(target).map_err(|_| HeadError::Target)?;
        if headers.len() > MOST_HEADERS {
            return Err(HeadError::TooLarge);
        }
        check_target(target.as_bytes())?;
        let target = origin_form(target, authority)?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let slashes = path::check(path)?;
        Ok(Self { method, host, path, query, headers, slashes })
    }

    /// Path and query, as they go to the app.
    pub fn target(&self) -> Cow<'a, str> {
        match self.query {
            Some(query) => format!("{}?{query}", self.path).into(),
            None => self.path.into(),
        }
    }

    /// A header that may come once; `None` when absent, not text, or sent twice.
    pub fn single(&self, name: impl http::header::AsHeaderName) -> Option<&'a str> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}

/// Where our own endpoints are.
const OWN: &[u8] = b"_auth";

/// Whether an app could take this path for one under `/_auth`: in any reading of [`readings`], any number of times encoded.
pub fn is_own(path: &str) -> bool {
    let first = path.strip_prefix('/').unwrap_or(path).split('/').next().unwrap_or_default();
    let mut first = Cow::Borrowed(first.as_bytes());
    let mut passes = 0;
    while first.contains(&b'%') {
        let decoded: Vec<u8> = percent_encoding::percent_decode(&first).collect();
        if *first == *decoded {
            break;
        }
        passes += 1;
        // Nobody encodes five times: refuse to be kept busy, and treat it as ours, which is never proxied.
        if passes > MOST_DECODINGS {
            return true;
        }
        first = decoded.into();
    }
    readings::may_name(&first, OWN.len(), |name| name == OWN)
}

fn the_host<'a>(authority: Option<&'a str>, headers: &'a HeaderMap) -> Result<&'a str, HeadError> {
    let mut values = headers.get_all(HOST).iter();
    let field = match (values.next(), values.next()) {
        (_, Some(_)) => return Err(HeadError::HostTwice),
        (Some(value), None) => Some(value.to_str().map_err(|_| HeadError::HostInvalid)?),
        (None, None) => None,
    };
    match (authority, field) {
        (Some(authority), Some(field)) if authority != field => Err(HeadError::HostTwice),
        (Some(text), _) | (None, Some(text)) => Ok(text),
        (None, None) => Err(HeadError::HostMissing),
    }
}

impl<'a> Host<'a> {
    /// Reads `host [":" port]` (RFC 3986 section 3.2.2) of names, IPv4 and bracketed IPv6 addresses.
    pub fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(rest) => rest.find(']')? + 2,
            None => text.find(':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at(end);
        let port = match port.strip_prefix(':') {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            None if port.is_empty() => None,
            _ => return None,
        };
        let valid = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_name(name),
        };
        valid.then(|| Self { name: lower_case(name), port })
    }

    /// The port, or that of the scheme.
    pub fn port_or(&self, scheme: &str) -> u16 {
        self.port.unwrap_or(if scheme == "https" { 443 } else { 80 })
    }

    /// Host and port as a URL has them.
    pub fn authority(&self) -> Cow<'_, str> {
        match self.port {
            Some(port) => format!("{}:{port}", self.name).into(),
            None => Cow::Borrowed(self.name.as_ref()),
        }
    }
}

/// Non-empty labels, so that `a.example.` is not a second spelling of `a.example`.
fn is_name(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// The target in origin-form; in absolute-form it must name this very authority, to the byte (RFC 9112 section 3.2.2).
pub fn origin_form<'a>(target: &'a str, authority: &str) -> Result<&'a str, HeadError> {
    if target.starts_with('/') {
        return Ok(target);
    }
    let (scheme, rest) = target.split_once("://").ok_or(HeadError::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(HeadError::Target);
    }
    let (named, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if named != authority {
        return Err(HeadError::Target);
    }
    match path {
        "" => Ok("/"),
        // `http://host?query` has no path to forward.
        path if path.starts_with('/') => Ok(path),
        _ => Err(HeadError::Target),
    }
}

/// The elements of a comma-separated header, over all its lines; what is not text is left out.
pub fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As for a route that passes no slashes.
    fn parse(target: &str) -> Result<String, HeadError> {
        let headers = HeaderMap::from_iter([(HOST, "Portal.test:8080".parse().expect("valid"))]);
        let head = Head::parse(&Method::GET, target.as_bytes(), None, &headers)?;
        match head.slashes {
            None => Ok(head.target().into_owned()),
            Some(fault) => Err(fault.into()),
        }
    }

    #[test]
    fn ordinary_targets_are_kept_to_the_byte() {
        for target in [
            "/",
            "/a/b/",
            "/a;v=1?x=/../y",
            "/%7Emaya/%41?q=%2e",
            "/tickets/%c3%bc",
            "/a%20b",
            "/a%25",
            "/100%25-sure",
            "/a%25zz",
            "/%2563losed",
        ] {
            assert_eq!(parse(target).as_deref(), Ok(target));
        }
        assert_eq!(parse("http://Portal.test:8080/a?b").as_deref(), Ok("/a?b"));
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for target in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public/.%2e/admin",
            "/public/%252e%252e/admin",
            "/public/..;/admin",
            "/public/..%2fadmin",
            "/public/..%5cadmin",
            "/public/\\..\\admin",
            "/./admin",
            "/public/%c0%ae%c0%ae/admin",
            "//admin",
            "///admin",
            "/public//../admin",
            "/public%2f..%2fadmin",
            "/a%00",
            "/a%zz",
            "/a%2",
            "/a#b",
            "/a/;x/b",
            "admin",
            "*",
            "?x",
            "http://evil/admin",
            "http://portal.test/admin",
            "ftp://Portal.test:8080/",
            "http://portal.test:8080/a",
            "/a\u{7f}",
            "/a%0d%0ab",
            "/x/..%3b/admin",
            "/public/%25%32%65%25%32%65/admin",
            "/public/..%25%32%66admin",
            "/public/%25252e%25252e/admin",
            "/a/..%253b/b",
            "/x/%253b/b",
            "/x/%f8%80%80%80%ae",
            "/%25252525252541",
            "/caf\u{e9}",
            "/%3b/admin",
            "/%e0%80%ae",
            "/..",
            "/.",
            "http://Portal.test:8080?x",
        ] {
            assert!(parse(target).is_err(), "{target}");
        }
    }

    #[test]
    fn hosts_are_names_or_addresses_with_an_optional_port() {
        let host = Host::parse("Portal.TEST:8080").expect("valid");
        assert_eq!((host.name.as_ref(), host.port), ("portal.test", Some(8080)));
        assert_eq!(Host::parse("[::1]:9").expect("valid").name, "[::1]");
        for wrong in
            ["", "a.test.", "a..b", "a test", "a,b", "a@b", "a:99999", "a:", "a:+1", ":80", "[::1", "[x]", "a/b"]
        {
            assert_eq!(Host::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn own_endpoints_are_recognised_in_any_spelling() {
        for path in [
            "/_auth",
            "/_auth/",
            "/_AUTH/exchange",
            "/%5Fauth/x",
            "/%255fauth/x",
            "/_auth;x/exchange",
            "/_%61uth",
            "/_auth.json",
            "/_auth%20/x",
        ] {
            assert!(is_own(path), "{path}");
        }
        for path in ["/", "/_authx", "/a/_auth", "/auth"] {
            assert!(!is_own(path), "{path}");
        }
    }
}
