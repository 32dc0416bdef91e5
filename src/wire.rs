//! What a request says that its parsed head does not: Pingora mends some of what was sent before we see it.

use std::net::{IpAddr, Ipv4Addr};

use http::{
    HeaderMap, HeaderName,
    header::{CONNECTION, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE},
};
use pingora::{http::RequestHeader, proxy::Session as Downstream};

use crate::head::{Head, HeadError, elements};

/// Refuses an HTTP/1 head that was mended: `raw` is the head as it was sent.
pub fn check(downstream: &Downstream, raw: &[u8]) -> Result<(), HeadError> {
    if downstream.is_http2() {
        return Ok(());
    }
    let request = downstream.req_header();
    if target_on_the_wire(raw) != Some(request.raw_path()) {
        return Err(HeadError::Target);
    }
    if request.headers.contains_key(TRANSFER_ENCODING) && has_length_line(raw) {
        return Err(HeadError::Framing);
    }
    Ok(())
}

/// A WebSocket handshake (RFC 6455 section 4.1), and not just any request that says `Upgrade`.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let says = |name: HeaderName, word: &str| elements(headers, name).any(|said| said.eq_ignore_ascii_case(word));
    says(UPGRADE, "websocket") && says(CONNECTION, "upgrade") && headers.contains_key(SEC_WEBSOCKET_KEY)
}

/// The request-target as it was sent: the parser drops a fragment silently.
fn target_on_the_wire(raw: &[u8]) -> Option<&[u8]> {
    raw.split(|b| *b == b' ').nth(1)
}

/// Whether the head came with a Content-Length: Pingora removes it where there is a Transfer-Encoding too.
fn has_length_line(raw: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length:";
    raw.split(|b| *b == b'\n').any(|line| line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME)))
}

/// Reads the head of a request; called again where its body had to be read in between.
pub fn head(request: &RequestHeader, is_http2: bool) -> Result<Head<'_>, HeadError> {
    let authority = request.uri.authority().map(http::uri::Authority::as_str).filter(|_| is_http2);
    Head::parse(&request.method, request.raw_path(), authority, &request.headers)
}

pub fn peer(downstream: &Downstream) -> IpAddr {
    let address = downstream.client_addr().and_then(|address| address.as_inet());
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), std::net::SocketAddr::ip)
}
