//! Bodies that we read ourselves: those sent to our own endpoints, and those nobody wanted.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use bytes::BytesMut;
use http::{HeaderMap, Version, header::EXPECT};
use pingora::proxy::Session as Downstream;

use crate::{
    denial::{Reason, Refusal},
    exchange::MAX_BODY,
    framing::Framing,
    places::Waiting,
};

/// How long a body may take in all that is sent to us and not to the app: at most [`MAX_BODY`] bytes.
pub const DEADLINE: Duration = Duration::from_secs(2);

/// How long a body that nobody wants is read away: closing at once would reset the connection, answer included.
pub const DRAIN: Duration = Duration::from_secs(10);

/// A body of at most [`MAX_BODY`] bytes, within a total time. One that is not there at once takes a place of `waiting`.
pub async fn read(downstream: &mut Downstream, waiting: &Waiting) -> Result<Vec<u8>, Refusal> {
    let headers = &downstream.req_header().headers;
    if length(headers).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(Reason::BodyTooLarge.into());
    }
    let expects = downstream.req_header().version != Version::HTTP_10
        && headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let read = async {
        if expects {
            downstream.write_continue_response().await.map_err(|_| Reason::Request("body was not asked for"))?;
        }
        let mut body = BytesMut::new();
        loop {
            match downstream.read_request_body().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY => return Err(Reason::BodyTooLarge),
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Ok(body.to_vec()),
                Err(_) => return Err(Reason::Request("body is broken")),
            }
        }
    };
    let mut read = pin!(read);
    if let Poll::Ready(body) = poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
        return Ok(body?);
    }
    let waited = waiting.begin();
    tokio::select! {
        biased;
        body = read => Ok(body?),
        () = waited.gives_way() => Err(Reason::TooManyRequests.into()),
        () = tokio::time::sleep(DEADLINE) => Err(Reason::Request("body took too long").into()),
    }
}

/// Has a body that nobody wanted read away after the answer, within a total time: closing on it would reset the connection,
/// answer included. A client that waits for `100 Continue` will send none, and its connection is closed.
pub fn keep_usable(downstream: &mut Downstream) {
    if !downstream.req_header().headers.contains_key(EXPECT) {
        downstream.set_close_on_response_before_downstream_finish(false);
        downstream.set_total_drain_timeout(Some(DRAIN));
    }
}

/// Reads away what a client still sends over HTTP/2 after its answer, within a total time: when the stream is reset instead,
/// many clients drop the answer as well.
pub async fn drain(downstream: &mut Downstream) {
    // Whether it ended, broke or took too long, the stream ends next.
    let _ = tokio::time::timeout(DRAIN, downstream.drain_request_body()).await;
}

/// The length a body is said to have.
pub fn length(headers: &HeaderMap) -> Option<u64> {
    match Framing::of(headers) {
        Ok(Framing::Length(length)) => Some(length),
        Ok(Framing::Chunked) | Err(_) => None,
    }
}
