//! Request ids: on the request, the answer and the line in the log.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{secret::random, token};

/// Whether an id that a trusted proxy sent may be taken over: it is logged.
pub fn is_plausible(id: &str) -> bool {
    !id.is_empty() && id.len() <= 128 && id.bytes().all(|b| b.is_ascii_graphic()) && token::redacted(id) == id
}

/// Makes ids: unique, not secret, and without a system call each.
pub struct RequestIds {
    prefix: u64,
    next: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self { prefix: u64::from_ne_bytes(random()), next: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// One more: 32 hexadecimal digits.
    pub fn next(&self) -> String {
        format!("{:016x}{:016x}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}
