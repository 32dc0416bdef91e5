//! What must be remembered: which tokens were exchanged, and which sessions were ended.
//!
//! Entries live as long as what they cover. Looking up a revocation reads this process's memory alone; spending a token may
//! wait for a store that others share, hence `async`.

mod memory;

use thiserror::Error;

use crate::{identity::TenantId, session::SessionId, time::UnixTime};

pub use memory::MemoryLedger;

/// The store behind the interface.
pub enum Ledger {
    Memory(MemoryLedger),
}

/// Names a token: SHA-256 over its tenant and signing input.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenId([u8; 32]);

impl TokenId {
    /// The name of a tenant's token.
    pub fn of(tenant: &TenantId, signing_input: &str) -> Self {
        use aws_lc_rs::digest::{Context, SHA256};
        let mut digest = Context::new(&SHA256);
        digest.update(tenant.as_str().as_bytes());
        digest.update(b"\0");
        digest.update(signing_input.as_bytes());
        let mut id = [0; 32];
        id.copy_from_slice(digest.finish().as_ref());
        Self(id)
    }
}

/// What became of an attempt to spend a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    First,
    Again,
}

/// The ledger cannot say; the caller refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    #[error("ledger is full")]
    Full,
}

impl Ledger {
    /// Spends a token, remembered until it would expire anyway. Of any number of callers one gets [`Spend::First`].
    pub async fn spend(&self, token: TokenId, until: UnixTime, now: UnixTime) -> Result<Spend, LedgerError> {
        match self {
            Self::Memory(ledger) => ledger.spend(token, until, now),
        }
    }

    /// Ends a session, remembered until it would end anyway.
    pub async fn revoke(&self, session: SessionId, until: UnixTime, now: UnixTime) -> Result<(), LedgerError> {
        match self {
            Self::Memory(ledger) => ledger.revoke(session, until, now),
        }
    }

    /// Whether a session was ended.
    pub fn covers(&self, session: &SessionId) -> bool {
        match self {
            Self::Memory(ledger) => ledger.covers(session),
        }
    }

    /// Forgets what has expired.
    pub fn sweep(&self, now: UnixTime) {
        match self {
            Self::Memory(ledger) => ledger.sweep(now),
        }
    }
}
