//! Requests under way, so that none outlives the identity it was admitted for: a WebSocket, a stream, a long download ends within
//! a second of the expiry or revocation of what let it in. A WebSocket is told, and says goodbye; whatever else is dropped.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use dashmap::DashMap;
use tokio::{sync::Notify, task_local};

use crate::cache::Proof;

/// All of a server's.
#[derive(Default)]
pub struct Underway {
    requests: DashMap<u64, (Option<Arc<Proof>>, Arc<End>)>,
    next: AtomicU64,
}

/// Why a request ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What let it in is past its time, or what made it good is gone.
    SessionEnded,
    SignedOut,
    /// This process ends.
    Stopping,
}

/// Ends one request.
#[derive(Default)]
struct End {
    why: OnceLock<Why>,
    is_tunnel: AtomicBool,
    told: Notify,
}

impl End {
    fn tell(&self, why: Why) {
        self.why.get_or_init(|| why);
        self.told.notify_one();
    }
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
    /// Puts the request that this task serves on the list, with what proved who makes it, if anything did. `None` where nothing
    /// could end it: it is not served by [`endable`].
    pub fn begin(self: &Arc<Self>, proof: Option<Arc<Proof>>) -> Option<Request> {
        let end = END.try_with(Arc::clone).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.requests.insert(number, (proof, end.clone()));
        Some(Request { underway: self.clone(), number, end })
    }

    /// Ends each request whose proof does not hold any more, as `why` says. To be called about twice a second.
    pub fn end_if(&self, why: impl Fn(&Proof) -> Option<Why>) {
        for entry in &self.requests {
            let (proof, end) = entry.value();
            if let Some(why) = proof.as_deref().and_then(&why) {
                end.tell(why);
            }
        }
    }

    /// Ends tunnels, which would end by themselves only much later: the process does.
    pub fn end_tunnels(&self) {
        for entry in self.requests.iter().filter(|entry| entry.value().1.is_tunnel.load(Ordering::Relaxed)) {
            entry.value().1.tell(Why::Stopping);
        }
    }
}

impl Request {
    /// Whether it was ended, because its identity was.
    pub fn is_ended(&self) -> bool {
        matches!(self.end.why.get(), Some(Why::SessionEnded | Why::SignedOut))
    }

    /// It is a tunnel from here on, and waits for its end itself.
    pub fn becomes_tunnel(&self) {
        self.end.is_tunnel.store(true, Ordering::Relaxed);
    }

    /// Waits until it is to end.
    pub async fn ended(&self) -> Why {
        loop {
            self.end.told.notified().await;
            if let Some(why) = self.end.why.get() {
                return *why;
            }
        }
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
