//! Requests under way, so that none outlives the identity it was admitted for: a WebSocket, a stream, a long download ends within
//! a second of the expiry or revocation of what let it in.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use dashmap::DashMap;
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
    /// Puts the request that this task serves on the list, with what proved who makes it. `None` where nothing could end it:
    /// it is not served by [`endable`].
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

/// Serves a request so that it can be ended: what is dropped then ends an HTTP/1.1 connection, and of HTTP/2 the stream alone.
pub async fn endable<T>(serving: impl Future<Output = T>) -> Option<T> {
    let end = Arc::new(End::default());
    tokio::select! {
        biased;
        served = END.scope(end.clone(), serving) => Some(served),
        () = end.told.notified() => None,
    }
}
