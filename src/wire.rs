//! What Pingora knows of a request beside its head: the bytes as sent, the peer, and what the parsed head amounts to.

use std::net::{IpAddr, Ipv4Addr};

use http::{
    HeaderMap, Method, Version,
    header::{ACCEPT, CONTENT_TYPE},
};
use pingora::{http::RequestHeader, proxy::Session as Downstream};

use crate::{
    connection::Connection,
    head::{Head, HeadError, elements},
};

/// Refuses an HTTP/1 head of whose target Pingora has made something else than was sent: the reader before it lets nothing
/// through that it would mend, and this holds it to that.
pub fn check(downstream: &Downstream) -> Result<(), HeadError> {
    if downstream.is_http2() {
        return Ok(());
    }
    let sent = downstream.to_h1_raw();
    let is_mended = target_on_the_wire(&sent) != Some(downstream.req_header().raw_path());
    if is_mended { Err(HeadError::Target) } else { Ok(()) }
}

const EVENTS: &str = "text/event-stream";

/// A request as `EventSource` makes it.
pub fn asks_for_events(request: &RequestHeader) -> bool {
    request.method == Method::GET
        && matches!(request.version, Version::HTTP_11 | Version::HTTP_2)
        && elements(&request.headers, ACCEPT).any(is_events_type)
}

/// The head of a stream of events.
pub fn is_events(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_events_type)
}

fn is_events_type(kind: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(EVENTS))
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

/// What the connection is spoken over, which a new configuration may have changed since: HTTP/2 is over TLS alone.
pub fn scheme(downstream: &Downstream) -> &'static str {
    if Connection::of(downstream).is_none_or(Connection::is_tls) { "https" } else { "http" }
}
