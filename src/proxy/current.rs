//! The proxy that Pingora knows, from start to end: each request goes to the door that is current when it begins.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use pingora::{
    Error, Result,
    http::{RequestHeader, ResponseHeader},
    modules::http::HttpModules,
    proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session as Downstream},
    upstreams::peer::HttpPeer,
};

use super::{Context, Door};

/// The door of the configuration that holds now.
#[derive(Clone)]
pub struct Current(Arc<ArcSwap<Door>>);

/// A request, and the door it goes through: that of the configuration it began with.
pub struct Visit {
    door: Arc<Door>,
    context: Context,
}

impl Current {
    /// Begins with a door.
    pub fn new(door: Door) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(door)))
    }

    /// The door that requests go through from now on.
    pub fn door(&self) -> Arc<Door> {
        self.0.load_full()
    }

    /// Puts another in its place.
    pub fn replace(&self, door: Door) {
        self.0.store(Arc::new(door));
    }
}

#[async_trait]
impl ProxyHttp for Current {
    type CTX = Visit;

    fn new_ctx(&self) -> Visit {
        let door = self.door();
        let context = door.new_ctx();
        Visit { door, context }
    }

    /// None: Pingora's default boxes a compressor for every request.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    async fn request_filter(&self, downstream: &mut Downstream, visit: &mut Visit) -> Result<bool> {
        visit.door.request_filter(downstream, &mut visit.context).await
    }

    async fn upstream_peer(&self, _: &mut Downstream, visit: &mut Visit) -> Result<Box<HttpPeer>> {
        visit.door.upstream_peer(&mut visit.context).await
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Downstream,
        request: &mut RequestHeader,
        visit: &mut Visit,
    ) -> Result<()> {
        visit.door.upstream_request_filter(request, &mut visit.context)
    }

    async fn request_body_filter(
        &self,
        _: &mut Downstream,
        body: &mut Option<Bytes>,
        is_end: bool,
        visit: &mut Visit,
    ) -> Result<()> {
        visit.door.request_body_filter(body.as_ref(), is_end, &mut visit.context)
    }

    async fn response_filter(
        &self,
        downstream: &mut Downstream,
        response: &mut ResponseHeader,
        visit: &mut Visit,
    ) -> Result<()> {
        visit.door.response_filter(downstream, response, &mut visit.context)
    }

    async fn fail_to_proxy(&self, downstream: &mut Downstream, error: &Error, visit: &mut Visit) -> FailToProxy {
        visit.door.fail_to_proxy(downstream, error, &mut visit.context).await
    }

    fn fail_to_connect(&self, _: &mut Downstream, _: &HttpPeer, visit: &mut Visit, error: Box<Error>) -> Box<Error> {
        visit.door.fail_to_connect(&mut visit.context, error)
    }

    /// An idle connection to the app may be dead: what changes nothing is tried on another, what may have been done is not.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        downstream: &mut Downstream,
        mut error: Box<Error>,
        visit: &mut Visit,
        _: bool,
    ) -> Box<Error> {
        // Pingora takes every connection for a new one.
        let was_reused = visit.context.upstream.as_ref().is_some_and(|picked| picked.dial().was_reused());
        if downstream.req_header().method.is_safe() && !downstream.as_ref().retry_buffer_truncated() {
            error.retry.decide_reuse(was_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn logging(&self, downstream: &mut Downstream, error: Option<&Error>, visit: &mut Visit) {
        visit.context.log(downstream, error);
    }

    fn request_summary(&self, _: &Downstream, visit: &Visit) -> String {
        visit.context.summary()
    }

    /// Ours says more, and nothing of what the upstream sent.
    fn suppress_error_log(&self, _: &Downstream, _: &Visit, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Downstream, _: &Visit, _: &Error, _: ProxyWarnLogContext) -> bool {
        true
    }
}
