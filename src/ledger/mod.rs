//! What must be remembered: which tokens were exchanged, and what was revoked.
//!
//! Entries live as long as what they cover. Whether something is revoked is answered from this process's memory alone
//! ([`Revocations`]), whatever the store; spending a token and revoking wait for the store, hence `async`.
//!
//! | store | survives | shared by |
//! | --- | --- | --- |
//! | memory | nothing | nobody |
//! | embedded | a crash | nobody |
//! | Redis | as Redis is told to | every instance |

mod memory;
mod redis;
mod revocations;

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    identity::TenantId,
    time::{Clock, UnixTime},
};

use memory::Spent;
pub use redis::{Address, Login, RedisSettings, Servers, Transport};
pub use revocations::{Extent, Revocation, Revocations, Subject, Subjects};

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub store: StoreSettings,
    /// The most revocations of this instance's own, and in memory as many spent tokens.
    pub most: usize,
    /// How long the last known revocations count when the store cannot be asked.
    pub max_staleness: Duration,
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    Memory,
    Redis(RedisSettings),
}

/// What is remembered, and where.
pub struct Ledger {
    revocations: Arc<Revocations>,
    store: Store,
}

enum Store {
    Memory(Spent),
    Redis(redis::Redis),
}

/// A token as far as spending goes.
#[derive(Clone, Copy)]
pub struct Token {
    pub id: TokenId,
    pub issued_at: UnixTime,
    pub expires_at: UnixTime,
}

impl Token {
    /// The most leeway there is, and the second in which it ends. Whatever a tenant's is now, it may be another after a reload.
    const AFTERLIFE: Duration = Duration::from_secs(61);

    /// When no configuration can let it pass any more.
    fn until(&self) -> UnixTime {
        self.expires_at.plus(Self::AFTERLIFE)
    }
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
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    #[error("ledger is full")]
    Full,
    #[error("ledger cannot be written: {0}")]
    Unavailable(String),
    #[error("revocations are not known since the ledger was lost")]
    Stale,
}

/// The ledger cannot be opened at start.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// How the ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All is well.
    Sound,
    /// Revocations are known, but nothing can be written: exchanges and sign-outs are refused.
    Unwritable(String),
    /// The store cannot be asked; what was last known counts for a while.
    Lost(String),
    /// It was lost for too long, or never reached: sessions and tokens are refused.
    Stale(String),
}

impl Ledger {
    /// Opens the ledger of a configuration, all revocations loaded; of Redis, if it is there.
    pub async fn open(settings: &Settings, clock: &Clock) -> Result<Self, OpenError> {
        let revocations = Arc::new(Revocations::new(settings.most));
        let store = match &settings.store {
            StoreSettings::Memory => Store::Memory(Spent::new(settings.most)),
            StoreSettings::Redis(redis) => {
                Store::Redis(redis::Redis::open(redis, settings.max_staleness, &revocations, clock).await)
            }
        };
        Ok(Self { revocations, store })
    }

    /// One in memory, which needs no opening.
    pub fn in_memory(most: usize) -> Self {
        Self { revocations: Arc::new(Revocations::new(most)), store: Store::Memory(Spent::new(most)) }
    }

    /// Spends a token. Of any number of callers, on any instance that shares the store, one gets [`Spend::First`].
    pub async fn spend(&self, token: &Token, now: UnixTime) -> Result<Spend, LedgerError> {
        match &self.store {
            Store::Memory(spent) => spent.spend(token, now),
            Store::Redis(redis) => redis.spend(token, now).await,
        }
    }

    /// Revokes: here at once, elsewhere when this returns. An error means that it may be forgotten, or not known elsewhere.
    pub async fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<(), LedgerError> {
        let is_known = self.revocations.hold(&revocation);
        self.revocations.insert(revocation, now)?;
        match &self.store {
            Store::Memory(_) => Ok(()),
            Store::Redis(redis) => redis.revoke(revocation, is_known).await,
        }
    }

    /// What has revoked a proof issued at that time, if anything has. An error where nobody can say.
    pub fn find(&self, subjects: &Subjects, issued_at: UnixTime) -> Result<Option<Extent>, LedgerError> {
        match &self.store {
            Store::Memory(_) => {}
            Store::Redis(redis) => redis.check_fresh()?,
        }
        Ok(self.revocations.find(subjects, issued_at))
    }

    /// Forgets what has expired.
    pub fn sweep(&self, now: UnixTime) {
        self.revocations.sweep(now);
        match &self.store {
            Store::Memory(spent) => spent.sweep(now),
            // What has expired there ends by itself, or is removed by one of the instances.
            Store::Redis(_) => {}
        }
    }

    /// How it is.
    pub fn standing(&self) -> Standing {
        match &self.store {
            Store::Memory(_) => Standing::Sound,
            Store::Redis(redis) => redis.standing(),
        }
    }

    /// How many revocations count at present.
    pub fn revocations(&self) -> usize {
        self.revocations.count()
    }
}
