//! How many requests there may be at once: over HTTP/2 a connection has many, and each that goes to the app takes a connection
//! to it.
//!
//! Our own endpoints have pots of their own, so that nobody who keeps them busy takes a place from the app. A body that has not
//! come whole waits in a third: who sends half of one to `/_auth/exchange` again and again keeps nobody from signing in whose
//! request is there.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::{denial::Reason, upstream::InFlight};

/// The places of a server.
#[derive(Clone)]
pub struct Places {
    /// For requests that go to the app.
    pub app: Pot,
    /// For requests to our own endpoints.
    pub own: Pot,
    /// For those whose body has not come whole.
    pub bodies: Pot,
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
        Self { app: pot(most), own: pot(own), bodies: pot(own) }
    }

    /// As many as another configuration has; what is taken stays taken.
    pub fn resized(&self, most: usize) -> Self {
        let new = Self::new(most);
        let same = |pot: &Pot, most| Pot { taken: pot.taken.clone(), most };
        Self {
            app: same(&self.app, new.app.most),
            own: same(&self.own, new.own.most),
            bodies: same(&self.bodies, new.bodies.most),
        }
    }

    /// Requests in flight.
    pub fn taken(&self) -> usize {
        [&self.app, &self.own, &self.bodies].iter().map(|pot| pot.taken.load(Ordering::Relaxed)).sum()
    }
}

impl Pot {
    /// A place, until it is dropped.
    pub fn take(&self) -> Result<InFlight, Reason> {
        InFlight::within(&self.taken, self.most).ok_or(Reason::TooManyRequests)
    }
}
