//! Requests under way, so that none outlives what it was admitted by: a WebSocket, a stream, a long download, an upload that is not
//! whole ends within a second of the expiry or revocation of what let it in, and of a reload that would not let it in. A WebSocket
//! is told, and says goodbye; whatever else is dropped.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::DashMap;
use tokio::{sync::Notify, task_local};

use crate::gate::Admitted;

/// All of a server's.
#[derive(Default)]
pub struct Underway {
    requests: DashMap<u64, Arc<Listed>>,
    next: AtomicU64,
}

/// Why a request ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// What let it in is past its time, or what made it good is gone.
    SessionEnded,
    SignedOut,
    /// Its body took too long.
    SlowBody,
    /// This process ends.
    Stopping,
}

/// A request on the list.
pub struct Listed {
    pub admitted: Admitted,
    /// The configuration that has admitted it last.
    configuration: AtomicU64,
    /// Until when its body may come.
    body_until: Instant,
    is_whole: AtomicBool,
    is_answered: AtomicBool,
    end: Arc<End>,
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

/// What of a request is there when it is put on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Its body may take so long.
    Upload(Duration),
    /// It is whole, and its answer begins.
    Answer,
}

/// A request on the list; gone from it when dropped.
pub struct Request {
    underway: Arc<Underway>,
    number: u64,
    listed: Arc<Listed>,
}

impl Underway {
    /// Puts the request that this task serves on the list, as a configuration has admitted it. `None` where nothing could end it:
    /// it is not served by [`endable`].
    pub fn begin(self: &Arc<Self>, admitted: Admitted, configuration: u64, begun: Begun) -> Option<Request> {
        let end = END.try_with(Arc::clone).ok()?;
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let time = match begun {
            Begun::Upload(time) => time,
            Begun::Answer => Duration::ZERO,
        };
        let listed = Arc::new(Listed {
            admitted,
            configuration: configuration.into(),
            body_until: Instant::now() + time,
            is_whole: AtomicBool::new(begun == Begun::Answer),
            is_answered: AtomicBool::new(begun == Begun::Answer),
            end,
        });
        self.requests.insert(number, listed.clone());
        Some(Request { underway: self.clone(), number, listed })
    }

    /// Ends each request that is not to go on, as `why` says. To be called about twice a second.
    pub fn end_if(&self, why: impl Fn(&Listed) -> Option<Why>) {
        // To decide may take a while, and nobody is to wait for the list meanwhile.
        let all: Vec<_> = self.requests.iter().map(|entry| entry.value().clone()).collect();
        for listed in all.iter().filter(|listed| listed.is_open()) {
            if let Some(why) = listed.is_slow().then_some(Why::SlowBody).or_else(|| why(listed)) {
                listed.end.tell(why);
            }
        }
    }

    /// Ends tunnels, which would end by themselves only much later: the process does.
    pub fn end_tunnels(&self) {
        for entry in self.requests.iter().filter(|entry| entry.value().end.is_tunnel.load(Ordering::Relaxed)) {
            entry.value().end.tell(Why::Stopping);
        }
    }
}

impl Listed {
    /// Whether something of it is on its way. A request that is whole and whose answer has not begun is done, and gets its answer.
    fn is_open(&self) -> bool {
        !self.is_whole.load(Ordering::Relaxed) || self.is_answered.load(Ordering::Relaxed)
    }

    fn is_slow(&self) -> bool {
        !self.is_whole.load(Ordering::Relaxed) && Instant::now() >= self.body_until
    }

    /// Whether a configuration has not judged it yet.
    pub fn is_new_to(&self, configuration: u64) -> bool {
        self.configuration.load(Ordering::Relaxed) != configuration
    }

    /// A configuration has admitted it.
    pub fn admitted_by(&self, configuration: u64) {
        self.configuration.store(configuration, Ordering::Relaxed);
    }
}

impl Request {
    /// Why it was ended, if it was, or is to end by itself.
    pub fn why_ended(&self) -> Option<Why> {
        self.listed.end.why.get().copied().or_else(|| self.listed.is_slow().then_some(Why::SlowBody))
    }

    /// Its body has come whole.
    pub fn is_whole(&self) {
        self.listed.is_whole.store(true, Ordering::Relaxed);
    }

    /// Its answer begins.
    pub fn is_answered(&self) {
        self.listed.is_answered.store(true, Ordering::Relaxed);
    }

    /// It is a tunnel from here on, and waits for its end itself.
    pub fn becomes_tunnel(&self) {
        self.listed.end.is_tunnel.store(true, Ordering::Relaxed);
    }

    /// Waits until it is to end.
    pub async fn ended(&self) -> Why {
        loop {
            self.listed.end.told.notified().await;
            if let Some(why) = self.listed.end.why.get() {
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
