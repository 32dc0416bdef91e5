//! How many requests there may be at once: over HTTP/2 a connection has many, and each that goes to the app takes a connection
//! to it.
//!
//! Our own endpoints have a pot of their own: a client that keeps them busy takes no place from the app. Bodies that have not come
//! whole are counted apart, and the oldest gives way: half-sent ones keep no other body from coming.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{denial::Reason, upstream::InFlight};

/// The places of a server.
#[derive(Clone)]
pub struct Places {
    /// For requests that go to the app.
    pub app: Pot,
    /// For requests to our own endpoints.
    pub own: Pot,
    /// For those whose body has not come whole.
    pub bodies: Waiting,
}

/// Those who wait for a body: where there are too many, the one that has waited longest gives way. Whoever keeps bodies half sent
/// takes places from themselves, and not from a body that is on its way.
#[derive(Clone, Default)]
pub struct Waiting {
    all: Arc<Mutex<VecDeque<Arc<Notify>>>>,
    most: usize,
}

/// A body that is waited for, until it is dropped.
pub struct Waited {
    all: Arc<Mutex<VecDeque<Arc<Notify>>>>,
    told: Arc<Notify>,
}

impl Waiting {
    /// One more.
    pub fn begin(&self) -> Waited {
        let told = Arc::new(Notify::new());
        let mut all = self.all.lock();
        all.push_back(told.clone());
        while all.len() > self.most {
            if let Some(oldest) = all.pop_front() {
                oldest.notify_one();
            }
        }
        Waited { all: self.all.clone(), told }
    }
}

impl Waited {
    /// Waits until it has to give way.
    pub async fn gives_way(&self) {
        self.told.notified().await;
    }
}

impl Drop for Waited {
    fn drop(&mut self) {
        self.all.lock().retain(|other| !Arc::ptr_eq(other, &self.told));
    }
}

/// So many places, and how many are taken.
#[derive(Clone)]
pub struct Pot {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// The share of our own endpoints, beside the app's places.
const OWN_SHARE: usize = 8;
const LEAST_OWN: usize = 16;

impl Places {
    /// So many for the app, and a share of that for our own endpoints.
    pub fn new(most: usize) -> Self {
        let pot = |most| Pot { taken: Arc::default(), most };
        let own = (most / OWN_SHARE).max(LEAST_OWN);
        Self { app: pot(most), own: pot(own), bodies: Waiting { all: Arc::default(), most: own } }
    }

    /// As many as another configuration has; what is taken stays taken.
    pub fn resized(&self, most: usize) -> Self {
        let new = Self::new(most);
        let same = |pot: &Pot, most| Pot { taken: pot.taken.clone(), most };
        Self {
            app: same(&self.app, new.app.most),
            own: same(&self.own, new.own.most),
            bodies: Waiting { all: self.bodies.all.clone(), most: new.bodies.most },
        }
    }

    /// Requests in flight.
    pub fn taken(&self) -> usize {
        let taken = [&self.app, &self.own].iter().map(|pot| pot.taken.load(Ordering::Relaxed)).sum::<usize>();
        taken + self.bodies.all.lock().len()
    }
}

impl Pot {
    /// A place, until it is dropped.
    pub fn take(&self) -> Result<InFlight, Reason> {
        InFlight::within(&self.taken, self.most).ok_or(Reason::TooManyRequests)
    }
}
