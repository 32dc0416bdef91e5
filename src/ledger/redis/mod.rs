//! The ledger that many instances share, in Redis or Valkey.
//!
//! One task owns the link ([`link`]): it dials, loads, polls and repairs. Spenders and revokers never dial: without a
//! connection they are refused at once.
//!
//! 1. A token is spent by whoever reads back the nonce it wrote: an answer that is late, another's or made up is never
//!    taken for [`Spend::First`].
//! 2. Revocations are a stream that every instance reads on from where it was, four times a second. That is the heartbeat
//!    as well: nothing hangs on a message that could be lost. A revocation counts as written when it is read back.
//! 3. Redis may lose what it knew. Then the [`epoch`] is gone too; tokens issued before that count as spent, and every
//!    instance puts back the revocations it holds.

mod dial;
mod epoch;
mod link;
mod settings;
mod stream;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use redis::{ErrorKind, Pipeline, RedisError, ServerError, Value};
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{LedgerError, Revocation, Revocations, Spend, Standing, Token};
use crate::{
    secret::random,
    time::{Clock, UnixTime},
};

use dial::Connection;
use epoch::Epoch;
use link::Link;
use settings::Keys;
pub use settings::{Address, Login, RedisSettings, Servers, Transport};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(1);

/// The longest lifetime of a key, in seconds: Redis refuses what its clock cannot count.
const LONGEST: i64 = 1_000_000_000;

/// How long a start waits for the first load.
const OPENING: Duration = Duration::from_secs(2);

/// The store.
pub(super) struct Redis {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

/// What the link and those who use it share.
struct Shared {
    keys: Keys,
    /// There only while spending is safe.
    live: ArcSwapOption<Live>,
    /// Whether revocations can be handed in.
    is_linked: AtomicBool,
    /// When what is revoked was last known, in milliseconds after `origin`, plus one; 0 for never.
    known_at: AtomicU64,
    origin: Instant,
    max_staleness: Duration,
    /// The latest issue of a token that this instance may have spent.
    latest_spent: AtomicI64,
    standing: Mutex<Standing>,
    /// Tells the link to look at once.
    wake: Notify,
    /// An answer went wrong: connections are to be made anew.
    is_broken: AtomicBool,
    /// An answer told of a loss, or of a server that takes no writes.
    is_doubted: AtomicBool,
    attempt: watch::Sender<Attempt>,
}

/// How far the first attempt has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Going,
    Failed,
    Done,
}

/// A connection to spend with, and the epoch in which that is safe.
struct Live {
    connection: Connection,
    epoch: Epoch,
}

/// A revocation to be written, and who waits for that.
struct Order {
    revocation: Revocation,
    /// It was in force before: a copied cookie that signs out again and again must not fill the stream.
    is_known: bool,
    done: oneshot::Sender<Result<(), String>>,
}

/// Why connections are to be made anew.
#[derive(Clone, Debug)]
enum Trouble {
    Lost(String),
    /// It takes no writes: perhaps another does by now.
    ReadOnly,
}

impl Trouble {
    fn slow() -> Self {
        Self::Lost("it does not answer in time".into())
    }

    fn nonsense() -> Self {
        Self::Lost("its answers make no sense".into())
    }

    fn refused(error: &ServerError) -> Self {
        Self::Lost(format!("it answers {}", error.code()))
    }

    /// Without what the server sent but for the code: a log is no place for it.
    fn of(error: &RedisError) -> Self {
        Self::Lost(match (error.kind(), error.code()) {
            (ErrorKind::Io, _) if error.is_timeout() => return Self::slow(),
            (ErrorKind::Io, _) => error.to_string(),
            (ErrorKind::Parse | ErrorKind::UnexpectedReturnType, _) => return Self::nonsense(),
            (ErrorKind::AuthenticationFailed, _) => "it refuses our login".into(),
            (_, Some("MOVED" | "ASK" | "CROSSSLOT")) => "it is a cluster; write redis-cluster:// in the url".into(),
            (_, Some(code)) => format!("it answers {code}"),
            (_, None) => error.category().to_owned(),
        })
    }

    fn why(&self) -> &str {
        match self {
            Self::Lost(why) => why,
            Self::ReadOnly => "it answers READONLY",
        }
    }
}

impl Redis {
    /// Starts the link, and waits for the first load as long as it goes well and at most [`OPENING`].
    pub async fn open(
        settings: &RedisSettings,
        max_staleness: Duration,
        revocations: &Arc<Revocations>,
        clock: &Clock,
    ) -> Self {
        let (attempt, mut attempted) = watch::channel(Attempt::Going);
        let shared = Arc::new(Shared {
            keys: Keys::new(settings),
            live: ArcSwapOption::empty(),
            is_linked: AtomicBool::new(false),
            known_at: AtomicU64::new(0),
            origin: Instant::now(),
            max_staleness,
            latest_spent: AtomicI64::new(i64::MIN),
            standing: Mutex::new(Standing::Stale("not asked yet".into())),
            wake: Notify::new(),
            is_broken: AtomicBool::new(false),
            is_doubted: AtomicBool::new(false),
            attempt,
        });
        let (orders, received) = mpsc::unbounded_channel();
        let link = Link::new(settings.clone(), shared.clone(), revocations.clone(), clock.clone(), received);
        let task = tokio::spawn(link.run());
        // Whatever comes of it, the door opens.
        let _ = timeout(OPENING, attempted.wait_for(|attempt| *attempt != Attempt::Going)).await;
        Self { shared, orders, task }
    }

    /// Spends a token, once over all instances.
    pub async fn spend(&self, token: &Token, now: UnixTime) -> Result<Spend, LedgerError> {
        let shared = &self.shared;
        let live = shared.live.load_full().ok_or_else(|| shared.unavailable())?;
        if token.may_be_of(live.epoch.bar, now) {
            return Ok(Spend::Again);
        }
        // Before it is sent: from then on it may be spent, whatever is heard of it.
        shared.latest_spent.fetch_max(token.issued_at.0, Ordering::SeqCst);
        let key = shared.keys.spent(&token.id);
        let mine = mark(token);
        let lifetime = token.until().since(now).clamp(1, LONGEST);
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg(&key).arg(&mine).arg("NX").arg("EX").arg(lifetime);
        pipeline.cmd("GET").arg(&key);
        // Last: if it is as known now, nothing was lost when the others were answered.
        pipeline.cmd("GET").arg(shared.keys.epoch_beside(&token.id));
        let answers =
            live.connection.ask(&pipeline, DEADLINE).await.map_err(|trouble| shared.broken(&live, &trouble))?;
        match answers.as_slice() {
            [Value::Okay | Value::Nil, Value::BulkString(found), Value::BulkString(epoch)]
                if is_mark_of(found, token) && epoch.len() == Epoch::BYTES =>
            {
                if *epoch != live.epoch.to_bytes() {
                    return Err(shared.doubted("what it knew may be lost"));
                }
                Ok(if *found == mine { Spend::First } else { Spend::Again })
            }
            [Value::Okay | Value::Nil, _, Value::Nil] => Err(shared.doubted("what it knew may be lost")),
            [Value::ServerError(e), ..] | [_, Value::ServerError(e), _] | [.., Value::ServerError(e)] => {
                Err(shared.doubted(&format!("it answers {}", e.code())))
            }
            _ => Err(shared.broken(&live, &Trouble::nonsense())),
        }
    }

    /// Writes a revocation that is in force here. Whatever is answered, it is written sooner or later.
    pub async fn revoke(&self, revocation: Revocation, is_known: bool) -> Result<(), LedgerError> {
        let (done, written) = oneshot::channel();
        // Handed in without a link, too: it may be there before the next line.
        let handed = self.orders.send(Order { revocation, is_known, done });
        if handed.is_err() || !self.shared.is_linked.load(Ordering::SeqCst) {
            return Err(self.shared.unavailable());
        }
        match timeout(DEADLINE + DEADLINE / 2, written).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(LedgerError::Unavailable(why)),
            Ok(Err(_)) | Err(_) => Err(self.shared.unavailable()),
        }
    }

    /// Whether what is known of revocations still counts.
    pub fn check_fresh(&self) -> Result<(), LedgerError> {
        if self.shared.is_stale() { Err(LedgerError::Stale) } else { Ok(()) }
    }

    pub fn standing(&self) -> Standing {
        match self.shared.standing.lock().clone() {
            Standing::Sound if self.shared.is_stale() => Standing::Stale("it is not asked any more".into()),
            Standing::Lost(why) | Standing::Unwritable(why) if self.shared.is_stale() => Standing::Stale(why),
            standing => standing,
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// What is revoked was known at that time.
    fn knew(&self, at: Instant) {
        let millis = at.saturating_duration_since(self.origin).as_millis();
        self.known_at.store(u64::try_from(millis).unwrap_or(u64::MAX).saturating_add(1), Ordering::SeqCst);
    }

    fn is_stale(&self) -> bool {
        match self.known_at.load(Ordering::SeqCst) {
            0 => true,
            known => self.origin.elapsed().saturating_sub(Duration::from_millis(known - 1)) > self.max_staleness,
        }
    }

    fn unavailable(&self) -> LedgerError {
        LedgerError::Unavailable(match &*self.standing.lock() {
            Standing::Sound => "not ready yet".into(),
            Standing::Unwritable(why) | Standing::Lost(why) | Standing::Stale(why) => why.clone(),
        })
    }

    /// Takes a connection from everybody: what comes over it next may be anything.
    fn broken(&self, live: &Arc<Live>, trouble: &Trouble) -> LedgerError {
        let current = self.live.load();
        // Another may have been made since.
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, live)) {
            self.live.compare_and_swap(&current, None);
            self.is_broken.store(true, Ordering::SeqCst);
            self.wake.notify_one();
        }
        LedgerError::Unavailable(trouble.why().to_owned())
    }

    fn doubted(&self, why: &str) -> LedgerError {
        self.is_doubted.store(true, Ordering::SeqCst);
        self.wake.notify_one();
        LedgerError::Unavailable(why.to_owned())
    }
}

/// What is written for a token: a nonce of this attempt, then the beginning of the token's name, so that what was written for
/// another is known from it.
fn mark(token: &Token) -> Vec<u8> {
    [random::<16>().as_slice(), &token.id.0[..8]].concat()
}

fn is_mark_of(found: &[u8], token: &Token) -> bool {
    found.len() == 24 && found[16..] == token.id.0[..8]
}
