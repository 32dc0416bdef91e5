//! The proxy: Pingora's phases in their order, each handing to the module that knows.
//!
//! Pingora calls [`Current`], which hands each request to the [`Door`] of the configuration it began with.
//!
//! `request_filter` decides and answers what is ours; `upstream_peer` needs the [`Permit`] it left; identity is stamped in
//! `upstream_request_filter`, after Pingora has removed what `Connection` names.

mod current;
mod hops;
mod lasting;
mod request;
mod upload;

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use http::{
    StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use ipnet::IpNet;
use pingora::{
    Error, ErrorSource, ErrorType, Result,
    connectors::TransportConnector,
    http::{RequestHeader, ResponseHeader},
    proxy::{FailToProxy, Session as Downstream},
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy},
};

use crate::{
    answer::{self, Asked, Shown},
    body,
    config::{Config, Upstream},
    connection::Connection,
    denial::Reason,
    exchange::ExchangeNames,
    gate::{Caller, Gate, Permit, Standing},
    head::elements,
    leftovers::{AppCookies, Leftovers},
    log::{self, Entry},
    origin::{Origins, Readers},
    pages::Pages,
    places::Places,
    reply::Reply,
    request_id::RequestIds,
    route::Refusals,
    stamp::{self, Stamp},
    tenant::{Candidates, Tenant, Transport},
    time::{Clock, UnixTime},
    tunnel::Tally,
    underway::{self, Begun, Underway, Why},
    upstream::{InFlight, Picked, Pool, Unreached},
    visitor::Visitor,
    wire,
};

use lasting::Lasting;

pub use current::{Current, Visit};

/// The proxy of one configuration.
pub struct Door {
    gate: Gate,
    names: ExchangeNames,
    stamp: Stamp,
    leftovers: Leftovers,
    pools: Vec<Arc<Pool>>,
    trusted_proxies: Vec<IpNet>,
    idle_timeout: Duration,
    clock: Clock,
    request_ids: Arc<RequestIds>,
    places: Places,
    /// Which configuration this is, counted from the start.
    number: u64,
    body_timeout: Duration,
    underway: Arc<Underway>,
    pages: Arc<Pages>,
    websockets: Arc<Tally>,
    connector: Arc<TransportConnector>,
}

/// What a request carries from phase to phase.
pub struct Context {
    entry: Entry,
    visitor: Option<Visitor>,
    /// The origin of the page that asks, where it is another than ours.
    asking: Option<String>,
    /// The tenants it may be for, and the one it turned out to concern.
    here: Option<Arc<Candidates>>,
    tenant: Option<Arc<Tenant>>,
    /// Path and query as decided on.
    target: String,
    permit: Option<Permit>,
    app_cookies: Option<AppCookies>,
    /// What clears cookies that a sibling host has planted.
    planted: Vec<String>,
    shown: Shown,
    /// Whether a session came along to a public route.
    has_session: bool,
    unreached: Unreached,
    body_bytes: u64,
    /// Why its body goes no further.
    cut: Option<Reason>,
    upstream: Option<Picked>,
    is_logged: bool,
    /// While it is served: its place among those that go to the app, or among those we answer ourselves.
    in_flight: Option<InFlight>,
    /// Ends it when the identity does, or a configuration that would not admit it comes: from the permit on where it has a body, else
    /// from its answer on.
    underway: Option<underway::Request>,
}

/// A request whose task is dropped, because its connection or the process ended, is in the log all the same.
impl Drop for Context {
    fn drop(&mut self) {
        if !self.is_logged {
            let why = match self.underway.as_ref().and_then(underway::Request::why_ended) {
                Some(Why::SessionEnded | Why::SignedOut) => "identity ended",
                Some(Why::SlowBody) => "body took too long",
                Some(Why::Stopping) | None => "cut off",
            };
            self.entry.write(None, Some(why));
        }
    }
}

impl Door {
    /// Builds the proxy of a configuration around the gate. What the one before it has learned of servers that both name, and
    /// of clients that failed, stays known where the rule is the same.
    pub fn new(config: &Config, mut gate: Gate, clock: Clock, places: Places, before: Option<&Self>) -> Self {
        if let Some(before) = before.filter(|door| door.gate.failures.rule() == gate.failures.rule()) {
            gate.failures = before.gate.failures.clone();
        }
        let pool = |upstream: &Upstream| {
            let same = before.and_then(|door| door.pools.iter().find(|pool| pool.config == *upstream));
            same.cloned().unwrap_or_else(|| Arc::new(Pool::new(upstream)))
        };
        Self {
            stamp: Stamp::new(
                &config.identity,
                &config.listen.forwarded_headers,
                &config.tenants,
                &config.exchange.token_params,
                config.routes.iter().map(Arc::as_ref),
            ),
            leftovers: Leftovers::new(
                &config.session_keys,
                config.tenants.iter().next().map_or(Transport::Secure, |tenant| tenant.sessions.cookie.transport),
                config.tenants.iter().flat_map(|tenant| tenant.sessions.cookies()).map(|rules| rules.name.clone()),
            ),
            gate,
            names: config.exchange.clone(),
            pools: config.upstreams.iter().map(pool).collect(),
            trusted_proxies: config.listen.trusted_proxies.clone(),
            idle_timeout: config.listen.idle_timeout,
            clock,
            request_ids: before.map_or_else(Arc::default, |door| door.request_ids.clone()),
            places,
            number: before.map_or(0, |door| door.number + 1),
            body_timeout: config.listen.body_timeout,
            underway: before.map_or_else(Arc::default, |door| door.underway.clone()),
            pages: config.pages.clone(),
            websockets: before.map_or_else(Arc::default, |door| door.websockets.clone()),
            connector: before.map_or_else(|| Arc::new(lasting::connector()), |door| door.connector.clone()),
        }
    }

    /// Ends the requests of those who would not be admitted any more, and closes connections to apps that nobody has used for too long.
    pub fn end_expired(&self) {
        self.pools.iter().for_each(|pool| pool.close_old());
        let now = self.clock.now();
        self.underway.end_if(|listed| {
            let ended = self.why_ended(&listed.admitted.caller, now);
            if ended.is_some() || !listed.is_new_to(self.number) {
                return ended;
            }
            match self.gate.stands(&listed.admitted, |id| self.pools.get(id.0).map(|pool| &*pool.name)) {
                Standing::Refused => Some(Why::SessionEnded),
                Standing::Admitted => {
                    listed.admitted_by(self.number);
                    None
                }
                Standing::Open => None,
            }
        });
    }

    /// Why a caller is none any more, if that is so.
    fn why_ended(&self, caller: &Caller, now: UnixTime) -> Option<Why> {
        let Caller::Known(proof) = caller else { return None };
        if self.gate.holds(proof, now) {
            return None;
        }
        let found = self.gate.ledger.find(&proof.subjects, proof.issued());
        Some(if matches!(found, Ok(Some(_))) { Why::SignedOut } else { Why::SessionEnded })
    }

    /// Ends WebSockets with the process.
    pub fn end_tunnels(&self) {
        self.underway.end_tunnels();
    }

    /// Counts WebSockets.
    pub fn websockets(&self) -> Arc<Tally> {
        self.websockets.clone()
    }

    /// Which upstream failed, which server, and how.
    fn failure(&self, error: &Error, context: &Context) -> String {
        match self.pool(context) {
            Ok(pool) => {
                let why = pool.failure(context.upstream.as_ref(), error, &context.unreached);
                format!("{}: {why}", pool.name)
            }
            Err(_) => error.etype().as_str().to_owned(),
        }
    }

    /// Says which names of servers do not resolve, without waiting for them.
    pub fn look_up_names(&self) {
        for pool in &self.pools {
            let pool = pool.clone();
            tokio::spawn(async move { pool.look_up_names().await });
        }
    }

    /// How long the app may take, to answer and between bytes.
    fn response_timeout(&self, context: &Context) -> Result<Duration> {
        let of_route = context.permit.as_ref().and_then(|permit| permit.route().response_timeout);
        Ok(of_route.unwrap_or(self.pool(context)?.config.response_timeout))
    }

    fn pool(&self, context: &Context) -> Result<&Pool> {
        let permit = context.permit.as_ref();
        permit
            .and_then(|permit| self.pools.get(permit.upstream().0))
            .map(Arc::as_ref)
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "no permit, no upstream"))
    }
}

/// The phases, as [`Current`] calls them.
impl Door {
    fn new_ctx(&self) -> Context {
        Context {
            entry: Entry::new(self.request_ids.next()),
            visitor: None,
            asking: None,
            here: None,
            tenant: None,
            target: String::new(),
            permit: None,
            app_cookies: None,
            planted: Vec::new(),
            shown: Shown::Otherwise,
            has_session: false,
            unreached: Unreached::default(),
            body_bytes: 0,
            cut: None,
            upstream: None,
            is_logged: false,
            in_flight: None,
            underway: None,
        }
    }

    async fn request_filter(&self, downstream: &mut Downstream, context: &mut Context) -> Result<bool> {
        if Connection::of(downstream).and_then(Connection::refused).is_none() {
            context.entry.asked_by(downstream.req_header().method.as_str());
        }
        context.entry.client = Some(wire::peer(downstream));
        // The first of several lines is all that Pingora looks at.
        if elements(&downstream.req_header().headers, CONNECTION).any(|option| option.eq_ignore_ascii_case("close")) {
            downstream.set_keepalive(None);
        }
        if downstream.req_header().version == Version::HTTP_10 {
            // Nobody sends HTTP/1.0 a 100 or 103 (RFC 9110 section 15.2).
            downstream.set_ignore_info_resp(true);
        }
        // Whatever a Keep-Alive header says: the connection itself knows how long it may be idle. Guarded, or it would undo a
        // shutdown, `Connection: close` and HTTP/1.0.
        if downstream.get_keepalive().is_some() {
            downstream.set_keepalive(Some(0));
        }
        // A client that sends nothing of its body, or reads nothing, must not hold a request for good. Over HTTP/2 Pingora times
        // no reads: there it is the wait for the app that ends.
        downstream.set_read_timeout(Some(self.idle_timeout));
        downstream.set_write_timeout(Some(self.idle_timeout));
        let reply = match self.receive(downstream, context).await {
            Ok(None) => {
                if let Some(refusal) = context.permit.as_ref().and_then(Permit::reported).cloned() {
                    context.entry.refused(refusal, Refusals::Reported);
                }
                if let Some(Caller::Known(proof)) = context.permit.as_ref().map(Permit::caller) {
                    context.entry.user = Some(log::Caller::Proved(proof.clone()));
                }
                self.expect_body(downstream, context)?;
                let Some(asked) = Lasting::of(downstream) else { return Ok(false) };
                self.serve_lasting(asked, downstream, context).await?;
                return Ok(true);
            }
            Ok(Some(reply)) => reply,
            Err(refused) => self.refuse(refused, downstream.req_header(), context),
        };
        body::keep_usable(downstream);
        tell(reply, downstream, context).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, context: &mut Context) -> Result<Box<HttpPeer>> {
        let pool = self.pool(context)?;
        let timeout = self.response_timeout(context)?;
        let picked = pool.pick(&mut context.unreached, timeout).await;
        context.entry.upstream = Some(pool.name.clone());
        let unreachable = || Error::explain(ErrorType::ConnectError, "no server can be reached").into_up();
        let (mut peer, server) = picked.ok_or_else(unreachable)?;
        peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
        context.upstream = Some(server);
        Ok(Box::new(peer))
    }

    fn upstream_request_filter(&self, request: &mut RequestHeader, context: &mut Context) -> Result<()> {
        let (Some(permit), Some(visitor)) = (&context.permit, &context.visitor) else {
            return Err(Error::explain(ErrorType::InternalError, "no permit, no identity"));
        };
        self.stamp.request(
            request,
            permit,
            visitor,
            &context.target,
            context.app_cookies.as_ref(),
            &context.entry.request_id,
        )?;
        if let Some(host) = &self.pool(context)?.config.host {
            stamp::host(request, host)?;
        }
        context.entry.upstream_times.0 = Some(Instant::now());
        // Pingora passes a body through again when it tries again.
        context.body_bytes = 0;
        Ok(())
    }

    fn response_filter(
        &self,
        downstream: &mut Downstream,
        response: &mut ResponseHeader,
        context: &mut Context,
    ) -> Result<()> {
        // 100 and 103 announce the answer; what belongs to the answer does not belong to them.
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS {
            // Nor does a body (RFC 9110 section 8.6, RFC 9112 section 6.1).
            response.remove_header(&CONTENT_LENGTH);
            response.remove_header(&TRANSFER_ENCODING);
            return answer::keep_ours(response, &self.stamp);
        }
        context.entry.upstream_times.1 = Some(Instant::now());
        // Those that were asked for are not Pingora's.
        if response.status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "a switch that nobody asked for").into_up());
        }
        // HTTP/1.0 knows no chunks: there the end of the connection is the end of the body (RFC 9112 section 6.1).
        if downstream.req_header().version == Version::HTTP_10 {
            response.remove_header(&TRANSFER_ENCODING);
            if !response.headers.contains_key(CONTENT_LENGTH) {
                downstream.set_keepalive(None);
            }
        }
        self.finish_head(response, downstream, context)
    }

    /// What every answer of the app gets.
    fn finish_head(&self, response: &mut ResponseHeader, downstream: &Downstream, context: &mut Context) -> Result<()> {
        self.list(downstream, context, Begun::Answer)?.is_answered();
        let Some(permit) = &context.permit else {
            return Err(Error::explain(ErrorType::InternalError, "no permit, no answer"));
        };
        let asked = Asked {
            asking: context.asking.as_deref(),
            here: origins_of(context.here.as_deref()),
            app_cookies: context.app_cookies.as_mut(),
            host: context.visitor.as_ref().map_or("", Visitor::host),
            planted: &context.planted,
            shown: context.shown,
            has_session: context.has_session,
        };
        answer::finish(response, permit, &self.gate, &self.stamp, asked, self.clock.now())?;
        response.insert_header("X-Request-Id", context.entry.request_id.as_str())
    }

    async fn fail_to_proxy(&self, downstream: &mut Downstream, error: &Error, context: &mut Context) -> FailToProxy {
        let cut = context.cut.take();
        let reason = match (error.etype(), error.esource()) {
            (ErrorType::InvalidHTTPHeader, ErrorSource::Downstream) => {
                Reason::Request("Connection names what it may not")
            }
            (_, ErrorSource::Downstream) => match Connection::of(downstream).and_then(Connection::refused) {
                Some(broken) => broken.clone(),
                None => return FailToProxy { error_code: 0, can_reuse_downstream: false },
            },
            (ErrorType::ConnectTimedout | ErrorType::ReadTimedout | ErrorType::WriteTimedout, _) => {
                Reason::UpstreamTimeout(self.failure(error, context))
            }
            _ => Reason::UpstreamUnreachable(self.failure(error, context)),
        };
        let reason = cut.unwrap_or(reason);
        let code = reason.denial().spelling().status;
        // A 100 or 103 is no answer yet.
        if answered(downstream).is_none() {
            let reply = self.refuse(reason.into(), downstream.req_header(), context);
            downstream.set_keepalive(None);
            // The client may be gone as well; the line in the log says what happened.
            if tell(reply, downstream, context).await.is_err() {
                return FailToProxy { error_code: 0, can_reuse_downstream: false };
            }
        }
        FailToProxy { error_code: code, can_reuse_downstream: false }
    }

    fn fail_to_connect(&self, context: &mut Context, mut error: Box<Error>) -> Box<Error> {
        // Nothing was sent, so the next server may have it, whatever the method.
        let server = context.upstream.take();
        let more = match (self.pool(context), &server) {
            (Ok(pool), Some(server)) => pool.failed(server, &error, &mut context.unreached),
            _ => false,
        };
        error.set_retry(more);
        error
    }
}

impl Context {
    /// The origins of those it may be for.
    fn origins(&self) -> &Origins {
        origins_of(self.here.as_deref())
    }

    fn log(&mut self, downstream: &Downstream, error: Option<&Error>) {
        if std::mem::replace(&mut self.is_logged, true) {
            return;
        }
        self.entry.write(answered(downstream), error.map(|error| error.etype().as_str()));
    }

    fn summary(&self) -> String {
        self.entry.summary()
    }
}

/// Sends an answer of ours. Nothing goes to the app from here on, so nobody's place is taken.
async fn tell(reply: Reply, downstream: &mut Downstream, context: &mut Context) -> Result<()> {
    context.in_flight = None;
    let origins = context.tenant.as_ref().map_or(context.origins(), |tenant| &tenant.origins);
    let reply = reply.for_pages(Readers::of(context.asking.as_deref(), origins), origins);
    reply.send(downstream, &context.entry.request_id).await?;
    if downstream.is_http2() {
        body::drain(downstream).await;
    }
    Ok(())
}

fn origins_of(candidates: Option<&Candidates>) -> &Origins {
    static NONE: LazyLock<Origins> = LazyLock::new(Origins::default);
    candidates.map_or(&*NONE, Candidates::origins)
}

/// The status of the answer, where its head is out.
fn answered(downstream: &Downstream) -> Option<StatusCode> {
    let status = downstream.response_written()?.status;
    (!status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS).then_some(status)
}
