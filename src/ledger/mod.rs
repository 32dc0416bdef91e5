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

mod bounded;
mod embedded;
mod examine;
mod file;
mod memory;
mod redis;
mod revocations;
mod trouble;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    identity::TenantId,
    time::{Clock, UnixTime},
};

use embedded::Embedded;
use memory::Spent;
pub use redis::{Address, Login, RedisSettings, Servers, Transport};
pub use revocations::{Extent, Handle, Revocation, Revocations, Subject, Subjects};

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub store: StoreSettings,
    /// The most revocations of this instance's own, and in memory as many spent tokens.
    pub most: usize,
    /// How long the last known revocations count when the store cannot be asked.
    pub max_staleness: Duration,
}

impl Settings {
    /// Whether a file could be opened, or made, as far as can be told without doing it.
    pub fn examine(&self) -> Result<(), OpenError> {
        match &self.store {
            StoreSettings::Path(path) => examine::examine(path).map_err(|trouble| trouble.at_start(path)),
            StoreSettings::Memory | StoreSettings::Redis(_) => Ok(()),
        }
    }
}

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    Memory,
    /// A file of this machine's, for one process.
    Path(PathBuf),
    Redis(RedisSettings),
}

/// As in the summary of a configuration.
impl fmt::Display for StoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in memory"),
            Self::Path(path) => path.display().fmt(f),
            Self::Redis(redis) => redis.fmt(f),
        }
    }
}

/// What is remembered, and where.
pub struct Ledger {
    revocations: Arc<Revocations>,
    store: Store,
    clock: Clock,
    /// A process that should know what is revoked here, and has no other way.
    follower: Mutex<Option<UnboundedSender<Vec<u8>>>>,
}

enum Store {
    Memory(Spent),
    Embedded(Embedded),
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
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// Another process has it. After a while it may not.
    #[error("{0}")]
    Locked(String),
    /// It stays so until somebody mends it.
    #[error("{0}")]
    Unusable(String),
}

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
        let (store, revocations) = match &settings.store {
            StoreSettings::Memory => {
                (Store::Memory(Spent::new(settings.most)), Arc::new(Revocations::new(settings.most)))
            }
            StoreSettings::Path(path) => {
                let (file, revocations) = Embedded::open(path, settings.most, clock.settled()).await?;
                (Store::Embedded(file), revocations)
            }
            StoreSettings::Redis(redis) => {
                let revocations = Arc::new(Revocations::new(settings.most));
                let link = redis::Redis::open(redis, settings.max_staleness, &revocations, clock).await;
                (Store::Redis(link), revocations)
            }
        };
        Ok(Self { revocations, store, clock: clock.clone(), follower: Mutex::default() })
    }

    /// One in memory, which needs no opening.
    pub fn in_memory(most: usize) -> Self {
        Self {
            revocations: Arc::new(Revocations::new(most)),
            store: Store::Memory(Spent::new(most)),
            clock: Clock::system(),
            follower: Mutex::default(),
        }
    }

    /// Spends a token. Of any number of callers, on any instance that shares the store, one gets [`Spend::First`].
    pub async fn spend(&self, token: &Token, now: UnixTime) -> Result<Spend, LedgerError> {
        match &self.store {
            Store::Memory(spent) => spent.spend(token, self.clock.settled_at(now)),
            Store::Embedded(file) => file.spend(token).await,
            Store::Redis(redis) => redis.spend(token, now).await,
        }
    }

    /// Ends a session: here at once, elsewhere when this returns. An error means that it may be forgotten, or not known elsewhere,
    /// and [`LedgerError::Full`] that it is not in force.
    pub async fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<(), LedgerError> {
        let before = self.revocations.of(revocation.subject);
        self.revocations.insert(revocation, self.clock.settled_at(now))?;
        self.write(revocation, before).await
    }

    /// The same by a tenant's or an operator's order, for which there is always room: they are few, and nobody else can fill it.
    pub async fn order(&self, revocation: Revocation) -> Result<(), LedgerError> {
        let before = self.revocations.of(revocation.subject);
        self.revocations.learn(revocation);
        self.write(revocation, before).await
    }

    /// Whether one process at a time can have it.
    pub fn is_for_one(&self) -> bool {
        matches!(self.store, Store::Embedded(_))
    }

    /// Tells what is revoked from now on, for [`Ledger::hear`] of another process.
    pub fn follow(&self) -> UnboundedReceiver<Vec<u8>> {
        let (follower, told) = unbounded_channel();
        *self.follower.lock() = Some(follower);
        told
    }

    /// Learns what another process has revoked.
    pub fn hear(&self, told: &[u8]) {
        if let Some(revocation) = Revocation::of_bytes(told) {
            self.revocations.learn(revocation);
        }
    }

    async fn write(&self, revocation: Revocation, before: Option<Revocation>) -> Result<(), LedgerError> {
        {
            let mut follower = self.follower.lock();
            // One that has gone is forgotten.
            if follower.as_ref().is_some_and(|follower| follower.send(revocation.to_bytes().to_vec()).is_err()) {
                *follower = None;
            }
        }
        match &self.store {
            Store::Memory(_) => Ok(()),
            Store::Embedded(file) => file.revoke(revocation, before).await,
            Store::Redis(redis) => {
                let is_known = before.is_some_and(|before| before.covers(&revocation));
                // With what stood there before: others read them one by one, and pass over what has ended.
                redis.revoke(self.revocations.of(revocation.subject).unwrap_or(revocation), is_known).await
            }
        }
    }

    /// What has revoked a proof issued at that time, if anything has. An error where nobody can say.
    pub fn find(&self, subjects: &Subjects, issued_at: UnixTime) -> Result<Option<Extent>, LedgerError> {
        if let Store::Redis(redis) = &self.store {
            redis.check_fresh()?;
        }
        Ok(self.revocations.find(subjects, issued_at))
    }

    /// Forgets what has expired.
    pub fn sweep(&self, now: UnixTime) {
        self.revocations.sweep(now);
        match &self.store {
            Store::Memory(spent) => spent.sweep(now),
            Store::Embedded(file) => file.sweep(now),
            // What has expired there ends by itself, or is removed by one of the instances.
            Store::Redis(_) => {}
        }
    }

    /// How it is.
    pub fn standing(&self) -> Standing {
        match &self.store {
            Store::Memory(_) => Standing::Sound,
            Store::Embedded(file) => file.standing(),
            Store::Redis(redis) => redis.standing(),
        }
    }

    /// Lets go of what only one process can hold, for another to take it, all that waits being done first. From then on
    /// nothing is spent or revoked here; what is known to be revoked stays so.
    pub async fn release(&self) -> Result<(), LedgerError> {
        match &self.store {
            Store::Memory(_) | Store::Redis(_) => Ok(()),
            Store::Embedded(file) => file.release().await,
        }
    }

    /// Takes it again: what was revoked here meanwhile is written there, and what was revoked there is learnt.
    pub async fn resume(&self) -> Result<(), OpenError> {
        match &self.store {
            Store::Memory(_) | Store::Redis(_) => Ok(()),
            Store::Embedded(file) => file.resume().await,
        }
    }

    /// How many revocations count at present.
    pub fn revocations(&self) -> usize {
        self.revocations.count()
    }
}
