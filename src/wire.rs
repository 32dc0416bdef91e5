//! What a request says that its parsed head does not: Pingora mends some of what was sent before we see it.

use std::net::{IpAddr, Ipv4Addr};

use http::{
    HeaderMap, HeaderName,
    header::{CONNECTION, SEC_WEBSOCKET_KEY, UPGRADE},
};
use pingora::{http::RequestHeader, proxy::Session as Downstream};

use crate::head::{Head, HeadError, elements};

/// Refuses an HTTP/1 head of which Pingora has made something else than was sent.
pub fn check(downstream: &Downstream) -> Result<(), HeadError> {
    let sent = downstream.to_h1_raw();
    let is_mended = target_on_the_wire(&sent) != Some(downstream.req_header().raw_path());
    if !downstream.is_http2() && is_mended { Err(HeadError::Target) } else { Ok(()) }
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

/// Reads the head of a request; called again where its body had to be read in between.
pub fn head(request: &RequestHeader, is_http2: bool) -> Result<Head<'_>, HeadError> {
    let authority = request.uri.authority().map(http::uri::Authority::as_str).filter(|_| is_http2);
    Head::parse(&request.method, request.raw_path(), authority, &request.headers)
}

pub fn peer(downstream: &Downstream) -> IpAddr {
    let address = downstream.client_addr().and_then(|address| address.as_inet());
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), std::net::SocketAddr::ip)
}
