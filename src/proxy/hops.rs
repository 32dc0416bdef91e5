//! What of a request's head belongs to the client's connection and goes no further, by the rules that Pingora has for the
//! requests it proxies itself (its `HttpUpstreamRequestPolicy::standard`).

use http::{
    HeaderName, Version,
    header::{CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
};
use pingora::{Error, ErrorType, Result, http::RequestHeader};

/// Fields that `Connection` may name, at most.
const MOST: usize = 9;

/// What no client may have taken out of a request.
const PROTECTED: [&str; 4] = ["host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];

/// Removes it, with what `Connection` names (RFC 9110 section 7.6.1).
pub fn remove(request: &mut RequestHeader) -> Result<()> {
    let mut named = Vec::new();
    let options = request.headers.get_all(CONNECTION).iter().flat_map(|line| line.as_bytes().split(|b| *b == b','));
    for option in options.map(<[u8]>::trim_ascii).filter(|option| !option.is_empty()) {
        match HeaderName::from_bytes(option) {
            Ok(name) if option.iter().all(is_of_token) && !PROTECTED.contains(&name.as_str()) && named.len() < MOST => {
                named.push(name);
            }
            _ => {
                let error = Error::explain(ErrorType::InvalidHTTPHeader, "Connection names what it may not");
                return Err(error.into_down());
            }
        }
    }
    let own = [CONNECTION, UPGRADE, TE, TRAILER, TRANSFER_ENCODING, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION];
    for name in named.iter().chain(&own) {
        request.remove_header(name);
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings"] {
        request.remove_header(name);
    }
    request.set_version(Version::HTTP_11);
    Ok(())
}

/// RFC 9110 section 5.6.2; the parser of names takes more.
fn is_of_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}
