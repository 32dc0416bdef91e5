//! Requests under way, so that none outlives the identity it was admitted for: a WebSocket, a stream, a long download ends within
//! a second of the expiry or revocation of what let it in.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use async_trait::async_trait;
use dashmap::DashMap;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream},
    protocols::http::{ServerSession, v2::server::H2Options},
    server::ShutdownWatch,
};
use tokio::{sync::Notify, task_local};

use crate::cache::Proof;

/// All of a server's.
#[derive(Default)]
pub struct Underway {
    requests: DashMap<u64, (Arc<Proof>, Arc<End>)>,
    next: AtomicU64,
}

/// Ends one request.
#[derive(Default)]
struct End {
    has_come: AtomicBool,
    told: Notify,
}

task_local! {
    /// Of the request that this task serves.
    static END: Arc<End>;
}

/// A request on the list; gone from it when dropped.
pub struct Request {
    underway: Arc<Underway>,
    number: u64,
    end: Arc<End>,
}

impl Underway {
    /// Puts the request that this task serves on the list, with what proved who makes it.
    pub fn begin(self: &Arc<Self>, proof: Arc<Proof>) -> Option<Request> {
        let end = END.try_with(Arc::clone).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.requests.insert(number, (proof, end.clone()));
        Some(Request { underway: self.clone(), number, end })
    }

    /// Ends each request whose proof does not hold any more. To be called about twice a second.
    pub fn end_unless(&self, holds: impl Fn(&Proof) -> bool) {
        for entry in &self.requests {
            let (proof, end) = entry.value();
            if !holds(proof) {
                end.has_come.store(true, Ordering::Relaxed);
                end.told.notify_one();
            }
        }
    }
}

impl Request {
    /// Whether it was ended, because its identity was.
    pub fn is_ended(&self) -> bool {
        self.end.has_come.load(Ordering::Relaxed)
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.underway.requests.remove(&self.number);
    }
}

/// An app whose requests can be ended: over HTTP/1.1 with their connection, over HTTP/2 with their stream alone.
pub struct Endable<A>(pub Arc<A>);

#[async_trait]
impl<A: HttpServerApp + Send + Sync> HttpServerApp for Endable<A> {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        let end = Arc::new(End::default());
        tokio::select! {
            biased;
            reused = END.scope(end.clone(), self.0.process_new_http(session, shutdown)) => reused,
            () = end.told.notified() => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        self.0.h2_options()
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.0.server_options()
    }

    async fn http_cleanup(&self) {
        self.0.http_cleanup().await;
    }
}
