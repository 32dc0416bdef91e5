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
mod extent;
mod file;
mod mark;
mod memory;
mod redis;
mod revocations;
mod shares;
mod sights;
mod subjects;
mod trouble;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::{
    identity::TenantId,
    session::Session,
    tenant::Tenant,
    time::{Clock, UnixTime},
    token::{self, Whom},
};

use embedded::Embedded;
pub use extent::{Extent, Issued, Reach};
pub use mark::Cause;
use memory::Spent;
pub use redis::{Address, Login, RedisSettings, Servers, Transport};
pub use revocations::{Revocation, Revocations};
pub use shares::{Owner, Person};
use sights::Sights;
pub use subjects::{Handle, Subject, Subjects};

/// `[ledger]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub store: StoreSettings,
    /// The most sessions that were signed out here, and in memory as many spent tokens.
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
    sights: Sights,
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
    pub owner: Owner,
    pub issued_at: UnixTime,
    pub expires_at: UnixTime,
}

impl Token {
    /// A tenant's.
    pub fn new(tenant: &TenantId, signing_input: &str, issued_at: UnixTime, expires_at: UnixTime) -> Self {
        Self { id: TokenId::of(tenant, signing_input), owner: Owner::of(tenant), issued_at, expires_at }
    }

    /// When no configuration can let it pass any more, and nobody waits with it.
    fn until(&self) -> UnixTime {
        self.expires_at.plus(token::AFTERLIFE)
    }

    /// Whether it may have been issued up to that time of ours: one from a clock ahead may, by the most leeway there is.
    fn may_be_of(&self, at: UnixTime, now: UnixTime) -> bool {
        let earliest = if self.issued_at > now { self.issued_at.minus(token::MAX_LEEWAY) } else { self.issued_at };
        earliest <= at
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

/// What a tenant or an operator orders to end.
pub enum Ordered<'a> {
    People(&'a Whom),
    Session(Handle),
}

/// The ledger cannot say; the caller refuses.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LedgerError {
    #[error("the tenant's share of the ledger is full")]
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
        let sights = Sights::new(settings.most);
        Ok(Self { revocations, store, clock: clock.clone(), sights, follower: Mutex::default() })
    }

    /// One in memory, which needs no opening.
    pub fn in_memory(most: usize) -> Self {
        Self {
            revocations: Arc::new(Revocations::new(most)),
            store: Store::Memory(Spent::new(most)),
            clock: Clock::system(),
            sights: Sights::new(most),
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

    /// Divides what there is room for among so many tenants.
    pub fn among(&self, tenants: usize) {
        self.revocations.among(tenants);
        self.sights.among(tenants);
        if let Store::Memory(spent) = &self.store {
            spent.among(tenants);
        }
    }

    /// Whether a token may have been issued before it says so: most never are, and need not be named.
    pub fn doubts(&self, issued_at: UnixTime, now: UnixTime) -> bool {
        issued_at > now || self.sights.has_any()
    }

    /// The earliest time of ours at which a token that verified may have been issued.
    pub fn earliest(&self, tenant: &Tenant, token: &Token, now: UnixTime) -> UnixTime {
        self.sights.earliest(&tenant.id, token, tenant.tokens.leeway, now)
    }

    /// Ends what a revocation covers: here at once, elsewhere when this returns. An error means that it may be forgotten, or not
    /// known elsewhere, and [`LedgerError::Full`] that it is not in force.
    pub async fn revoke(&self, revocation: Revocation, now: UnixTime) -> Result<(), LedgerError> {
        let before = self.revocations.of(revocation.subject);
        self.revocations.insert(revocation, self.clock.settled_at(now))?;
        self.write(revocation, before).await
    }

    /// Ends a session that is signed out; where there is no room for that, or where its user has as many of those already as one
    /// may, all that the user was issued up to now.
    pub async fn sign_out(&self, session: &Session, tenant: &Tenant, now: UnixTime) -> Result<(), LedgerError> {
        match self.revoke(Revocation::of_session(session, Extent::Ended), now).await {
            Err(LedgerError::Full) => self.revoke(Revocation::of_user(tenant, session, now), now).await,
            done => done,
        }
    }

    /// What will end a session in whose place another begins, if there is room: for [`Ledger::replace`], once nothing can go wrong
    /// any more. Where there is none, what its user was issued up to its beginning ends.
    pub fn plan(&self, replaced: &Session, tenant: &Tenant, now: UnixTime) -> Result<Revocation, LedgerError> {
        let now = self.clock.settled_at(now);
        let session = Revocation::of_session(replaced, Extent::Replaced);
        let user = Revocation::of_user(tenant, replaced, replaced.started_at);
        let mut plans = [session, user].into_iter();
        plans.find(|plan| self.revocations.has_room(plan, now)).ok_or(LedgerError::Full)
    }

    /// Does what was planned.
    pub async fn replace(&self, planned: Revocation) -> Result<(), LedgerError> {
        self.place(planned).await
    }

    /// Does what a tenant or an operator orders. A tenant's clock may be ahead: then it ends what was issued up to that time, too.
    pub async fn order(
        &self,
        tenant: &Tenant,
        ordered: Ordered<'_>,
        signed: Option<&Token>,
        now: UnixTime,
    ) -> Result<(), LedgerError> {
        if let Some(token) = signed {
            self.sights.saw(&tenant.id, token, now);
        }
        let reach = Reach::up_to(now, signed.map_or(0, |token| token.issued_at.since(now)));
        match ordered {
            // There is one for each tenant, so there is always room.
            Ordered::People(Whom::Everyone) => self.place(Revocation::of_people(tenant, &Whom::Everyone, reach)).await,
            Ordered::People(whom) => self.revoke(Revocation::of_people(tenant, whom, reach), now).await,
            Ordered::Session(handle) => self.revoke(Revocation::of_handle(tenant, &handle, now), now).await,
        }
    }

    /// Does again what was ordered before, perhaps in vain: it ends nothing that was issued since.
    pub async fn order_again(
        &self,
        tenant: &Tenant,
        whom: &Whom,
        issued_at: UnixTime,
        now: UnixTime,
    ) -> Result<(), LedgerError> {
        let again = Revocation::of_people(tenant, whom, Reach::up_to(issued_at.min(now), 0));
        match self.revocations.of(again.subject) {
            Some(known) if known.has_reached(again.extent) => self.place(known).await,
            _ if *whom == Whom::Everyone => self.place(again).await,
            _ => self.revoke(again, now).await,
        }
    }

    async fn place(&self, revocation: Revocation) -> Result<(), LedgerError> {
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

    /// What has revoked a proof, if anything has. An error where nobody can say.
    pub fn find(&self, subjects: &Subjects, issued: Issued) -> Result<Option<Extent>, LedgerError> {
        if let Store::Redis(redis) = &self.store {
            redis.check_fresh()?;
        }
        Ok(self.revocations.find(subjects, issued))
    }

    /// Forgets what has expired.
    pub fn sweep(&self, now: UnixTime) {
        self.revocations.sweep(now);
        self.sights.sweep(now);
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
