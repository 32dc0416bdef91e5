//! Requests that may last: WebSockets and event streams. They are served here and not by Pingora's loop, which has one time limit
//! for the beginning of an answer and for its pauses, and no way of ending a WebSocket well.

use std::time::{Duration, Instant};

use http::{
    StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE},
};
use pingora::{
    Error, ErrorType, Result,
    connectors::TransportConnector,
    http::{RequestHeader, ResponseHeader},
    protocols::{Stream, http::v1::client::HttpSession, l4::ext::TcpKeepalive},
    proxy::Session as Downstream,
    upstreams::peer::{HttpPeer, Peer},
};

use super::{Context, Door, hops};
use crate::{
    connection::Connection,
    log::Entry,
    tunnel::{self, Handshake, How, Open, Opening, Tunnel},
    underway,
    upstream::{InFlight, Picked},
    wire,
};

/// A request that may last.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lasting {
    WebSocket,
    /// Whoever asks for one may get any answer.
    Events,
}

impl Lasting {
    /// What is asked for, if it is one: neither has a body.
    pub(super) fn of(downstream: &mut Downstream) -> Option<Self> {
        let request = downstream.req_header();
        let kind = if Handshake::of(request).is_some() {
            Self::WebSocket
        } else if wire::asks_for_events(request) {
            Self::Events
        } else {
            return None;
        };
        downstream.as_downstream_mut().is_body_empty().then_some(kind)
    }
}

/// Whence a connection may come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Any,
    New,
}

/// Makes connections to apps that are asked for something that lasts.
pub(super) fn connector() -> TransportConnector {
    TransportConnector::new(None)
}

impl Door {
    /// Asks the app, and passes its answer on.
    pub(super) async fn serve_lasting(
        &self,
        asked: Lasting,
        downstream: &mut Downstream,
        context: &mut Context,
    ) -> Result<()> {
        let mut source = Source::Any;
        loop {
            let (stream, peer, was_reused) = self.connect(source, context).await?;
            let mut app = HttpSession::new_with_options(stream, &*peer);
            (app.read_timeout, app.write_timeout) = (peer.options.read_timeout, peer.options.write_timeout);
            let request = self.request_for_app(asked, downstream, context)?;
            // As the app is asked, and not as the client asks: a protocol that carries a token is not offered to the app.
            let handshake = Handshake::of(&request);
            match app.write_request_header(Box::new(request)).await {
                Ok(_) => {}
                Err(_) if was_reused => {
                    source = Source::New;
                    continue;
                }
                Err(e) => return Err(e.into_up()),
            }
            match self.final_head(&mut app, downstream, context).await {
                Ok(response) if response.status == StatusCode::SWITCHING_PROTOCOLS => {
                    let handshake = handshake.ok_or_else(|| broken("a switch that nobody asked for"))?;
                    return self.switch(&handshake, app, response, downstream, context).await;
                }
                Ok(response) => {
                    self.pass_answer(&mut app, response, downstream, context).await?;
                    app.respect_keepalive();
                    if let Some(stream) = app.reuse().await {
                        self.connector.release_stream(stream, peer.reuse_hash(), peer.options.idle_timeout);
                    }
                    return Ok(());
                }
                Err(mut error) => {
                    // An idle connection may be dead.
                    error.retry.decide_reuse(was_reused);
                    if !error.retry() {
                        return Err(error);
                    }
                    source = Source::New;
                }
            }
        }
    }

    /// A connection to one of the servers, and whether it was used before; the next server where one cannot be reached.
    async fn connect(&self, source: Source, context: &mut Context) -> Result<(Stream, Box<HttpPeer>, bool)> {
        loop {
            let mut peer = self.upstream_peer(context).await?;
            let picked = context.upstream.as_ref().ok_or_else(|| broken("no server"))?;
            if source == Source::New {
                picked.dial().wants_new();
            }
            let (idle, interval, count) = tunnel::PROBES;
            peer.options.tcp_keepalive =
                Some(TcpKeepalive { idle, interval, count: count as usize, user_timeout: Duration::ZERO });
            match self.connector.new_stream(&*peer).await {
                Ok(stream) => return Ok((stream, peer, picked.dial().was_reused())),
                Err(error) => {
                    let error = self.fail_to_connect(context, error);
                    if !error.retry() {
                        return Err(error.into_up());
                    }
                }
            }
        }
    }

    /// The head as Pingora would send it.
    fn request_for_app(&self, asked: Lasting, downstream: &Downstream, context: &mut Context) -> Result<RequestHeader> {
        let mut request = downstream.req_header().clone();
        hops::remove(&mut request)?;
        if asked == Lasting::WebSocket {
            request.insert_header(CONNECTION, "Upgrade")?;
            request.insert_header(UPGRADE, "websocket")?;
        }
        // HTTP/2 has it beside the fields.
        if let Some(authority) = downstream.req_header().uri.authority().filter(|_| downstream.is_http2()) {
            request.insert_header(HOST, authority.as_str())?;
        }
        self.upstream_request_filter(&mut request, context)?;
        Ok(request)
    }

    /// Waits for the answer, as long as the client does; what announces it is passed on.
    async fn final_head(
        &self,
        app: &mut HttpSession,
        downstream: &mut Downstream,
        context: &mut Context,
    ) -> Result<ResponseHeader> {
        loop {
            tokio::select! {
                biased;
                read = app.read_response() => read.map_err(|e| e.into_up())?,
                gone = is_gone(downstream) => return Err(gone),
            };
            let mut response = app.resp_header().cloned().ok_or_else(|| broken("no answer"))?;
            if !response.status.is_informational() || response.status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(response);
            }
            self.response_filter(downstream, &mut response, context)?;
            downstream.write_response_header(Box::new(response), false).await.map_err(|e| e.into_down())?;
        }
    }

    /// Passes an answer on as any other.
    async fn pass_answer(
        &self,
        app: &mut HttpSession,
        mut response: ResponseHeader,
        downstream: &mut Downstream,
        context: &mut Context,
    ) -> Result<()> {
        let is_whole = app.is_body_done();
        if wire::is_events(&response.headers) {
            app.read_timeout = Some(tunnel::IDLE);
            // Who listens says nothing: without this nobody would notice that they are gone.
            Connection::of(downstream).inspect(|connection| connection.lasts());
            Connection::of(downstream).and_then(Connection::tcp).inspect(|tcp| tunnel::probe(tcp));
        }
        let has_framing = [CONTENT_LENGTH, TRANSFER_ENCODING].iter().any(|name| response.headers.contains_key(name));
        if !has_framing && !is_whole && !matches!(response.status.as_u16(), 204 | 304) {
            // Ends with its connection there, and here without.
            response.set_version(Version::HTTP_11);
            response.insert_header(TRANSFER_ENCODING, "chunked")?;
        }
        self.response_filter(downstream, &mut response, context)?;
        downstream.write_response_header(Box::new(response), is_whole).await.map_err(|e| e.into_down())?;
        loop {
            let chunk = tokio::select! {
                biased;
                chunk = app.read_body_bytes() => chunk.map_err(|e| e.into_up())?,
                gone = is_gone(downstream) => return Err(gone),
            };
            let is_end = chunk.is_none();
            downstream.write_response_body(chunk, is_end).await.map_err(|e| e.into_down())?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// Lets the connection become a tunnel as soon as Pingora lets go of it.
    async fn switch(
        &self,
        handshake: &Handshake,
        mut app: HttpSession,
        mut response: ResponseHeader,
        downstream: &mut Downstream,
        context: &mut Context,
    ) -> Result<()> {
        handshake.opened_by(&response).map_err(broken)?;
        context.entry.upstream_times.1 = Some(Instant::now());
        self.finish_head(&mut response, downstream, context)?;
        // It has no body to be framed (RFC 9110 section 8.6).
        response.remove_header(&CONTENT_LENGTH);
        let reason = response.get_reason_phrase().unwrap_or("Switching Protocols");
        let mut head = format!("HTTP/1.1 101 {reason}\r\n").into_bytes();
        response.header_to_h1_wire(&mut head);
        head.extend_from_slice(b"\r\n");
        // What came with the head is there at once; what has not come yet is left to the tunnel.
        let ahead = tokio::select! {
            biased;
            ahead = app.read_body_bytes() => ahead.map_err(|e| e.into_up())?.unwrap_or_default().to_vec(),
            () = std::future::ready(()) => Vec::new(),
        };
        let opening = Opening { head, app: app.into_inner(), ahead };
        let connection = Connection::of(downstream).ok_or_else(|| broken("no connection"))?;
        let serving = Serving::of(context, Open::on(&self.websockets))?;
        connection.hand_over(Box::new(move |connection| Box::pin(serving.serve(connection, opening))));
        // It hands over the connection that it takes for one to be used again, and nothing has been written that it knows of.
        downstream.set_keepalive(Some(0));
        Ok(())
    }
}

/// What of a request its tunnel needs to the end.
struct Serving {
    entry: Entry,
    open: Open,
    underway: underway::Request,
    _in_flight: Option<InFlight>,
    _upstream: Option<Picked>,
}

impl Serving {
    /// Takes it out of the request, whose line in the log is the tunnel's to write.
    fn of(context: &mut Context, open: Open) -> Result<Self> {
        let underway = context.underway.take().ok_or_else(|| broken("nothing could end it"))?;
        underway.becomes_tunnel();
        context.is_logged = true;
        Ok(Self {
            entry: std::mem::replace(&mut context.entry, Entry::new(String::new())),
            open,
            underway,
            _in_flight: context.in_flight.take(),
            _upstream: context.upstream.take(),
        })
    }

    async fn serve(mut self, connection: Connection, opening: Opening) {
        self.open.how = match Tunnel::open(connection, opening).await {
            Ok(tunnel) => tunnel.run(self.underway.ended()).await,
            Err(_) => How::Error,
        };
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.entry.write(Some(StatusCode::SWITCHING_PROTOCOLS), self.open.how.error());
    }
}

/// Waits for the client to leave, which has nothing more to say.
async fn is_gone(downstream: &mut Downstream) -> Box<Error> {
    match downstream.as_downstream_mut().read_body_or_idle(true).await {
        Err(e) => e.into_down(),
        Ok(_) => Error::explain(ErrorType::ConnectionClosed, "the client left").into_down(),
    }
}

fn broken(what: &'static str) -> Box<Error> {
    Error::explain(ErrorType::InvalidHTTPHeader, what).into_up()
}
