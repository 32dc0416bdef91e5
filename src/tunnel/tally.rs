//! How many WebSockets are open, and how those before them ended.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// How a WebSocket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A side closed it.
    Closed,
    /// Who opened it would not be admitted any more.
    IdentityEnded,
    /// This process ended.
    Stopped,
    /// Nothing passed for too long.
    Idle,
    /// A side broke off, or took nothing for too long.
    Error,
}

impl How {
    pub const ALL: [Self; 5] = [Self::Closed, Self::IdentityEnded, Self::Stopped, Self::Idle, Self::Error];

    /// The label in the metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::IdentityEnded => "identity_ended",
            Self::Stopped => "stopped",
            Self::Idle => "idle",
            Self::Error => "error",
        }
    }

    /// The `error` in the log.
    pub fn error(self) -> Option<&'static str> {
        match self {
            Self::Closed => None,
            Self::IdentityEnded => Some("identity ended"),
            Self::Stopped => Some("cut off"),
            Self::Idle => Some("idle"),
            Self::Error => Some("broken off"),
        }
    }
}

/// The counters of a server.
#[derive(Debug, Default)]
pub struct Tally {
    open: AtomicU64,
    ended: [AtomicU64; How::ALL.len()],
}

impl Tally {
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    pub fn ended(&self, how: How) -> u64 {
        self.ended[how as usize].load(Ordering::Relaxed)
    }
}

/// Counts a WebSocket as open until dropped.
pub struct Open {
    tally: Arc<Tally>,
    pub how: How,
}

impl Open {
    /// One more. Dropped without another word, it ended with the process.
    pub fn on(tally: &Arc<Tally>) -> Self {
        tally.open.fetch_add(1, Ordering::Relaxed);
        Self { tally: tally.clone(), how: How::Stopped }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.tally.open.fetch_sub(1, Ordering::Relaxed);
        self.tally.ended[self.how as usize].fetch_add(1, Ordering::Relaxed);
    }
}
