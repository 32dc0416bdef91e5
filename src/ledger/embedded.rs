//! The embedded ledger: a file of this machine's, and one thread that writes it.
//!
//! 1. Requests wait in a bounded channel. The writer takes all that wait, makes one transaction of them, and answers when it
//!    is on disk: so the file takes as many exchanges a second as there are in flight, and not as the disk has fsyncs.
//! 2. When the file cannot be written, requests are refused, and the file is opened again from time to time. What was
//!    revoked meanwhile is known in memory, and is written then.
//! 3. A token that was refused for want of an answer may have been spent. Refusing it again is safe.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

use super::{
    LedgerError, OpenError, Revocation, Revocations, Spend, Standing, Token,
    file::{Change, LedgerFile},
    trouble::Trouble,
};
use crate::{time::UnixTime, token};

/// How many requests may wait for the disk.
const MOST_WAITING: usize = 4096;
/// How long a request waits for it.
const PATIENCE: Duration = Duration::from_secs(5);
/// What waits for it is not forgotten meanwhile.
const _: () = assert!(token::MAX_LEEWAY.as_secs() + PATIENCE.as_secs() < token::AFTERLIFE.as_secs());
/// How long a file that could not be written is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// The writer, as the ledger asks it.
pub(super) struct Embedded {
    requests: Option<SyncSender<Request>>,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What both sides see.
struct Shared {
    standing: Mutex<Standing>,
    /// Since when the writer has been at the disk.
    busy_since: Mutex<Option<Instant>>,
    /// A revocation did not get as far as the writer.
    has_missed: AtomicBool,
}

enum Request {
    Spend(Token, oneshot::Sender<Result<Spend, LedgerError>>),
    /// With what stood there before.
    Revoke(Revocation, Option<Revocation>, oneshot::Sender<Result<Spend, LedgerError>>),
    Sweep(UnixTime),
    Release(oneshot::Sender<()>),
    Resume(oneshot::Sender<Result<(), OpenError>>),
}

impl Embedded {
    /// Opens the file, with the revocations that are in it.
    pub async fn open(path: &Path, most: usize, now: UnixTime) -> Result<(Self, Arc<Revocations>), OpenError> {
        // A limit on the size of files would otherwise be the end of the process: the default of SIGXFSZ. Received once, the
        // write fails instead.
        let _ = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()));
        let shared = Arc::new(Shared {
            standing: Mutex::new(Standing::Sound),
            busy_since: Mutex::new(None),
            has_missed: AtomicBool::new(false),
        });
        let (requests, received) = sync_channel(MOST_WAITING);
        let (opened, is_open) = oneshot::channel();
        let (path, of_writer) = (path.to_owned(), shared.clone());
        let run = move || match open(&path, most, now) {
            Ok((file, revocations)) => {
                // Whoever waited has gone if this is not received; likewise below.
                if opened.send(Ok(revocations.clone())).is_ok() {
                    Writer { path, revocations, shared: of_writer, file: Place::Open(file) }.run(&received);
                }
            }
            Err(trouble) => drop(opened.send(Err(trouble.at_start(&path)))),
        };
        let gone = || OpenError::Unusable("the ledger's thread has ended; start again".into());
        let thread = Builder::new().name("ledger".into()).spawn(run);
        let writer =
            thread.map_err(|e| OpenError::Unusable(format!("no thread for the ledger: {e}; raise the limit")))?;
        let revocations = is_open.await.unwrap_or_else(|_| Err(gone()))?;
        Ok((Self { requests: Some(requests), shared, writer: Some(writer) }, revocations))
    }

    pub async fn spend(&self, token: &Token) -> Result<Spend, LedgerError> {
        self.ask(|answer| Request::Spend(*token, answer)).await
    }

    /// `before` is how it stood before it was revoked in memory.
    pub async fn revoke(&self, revocation: Revocation, before: Option<Revocation>) -> Result<(), LedgerError> {
        self.ask(|answer| Request::Revoke(revocation, before, answer)).await.map(|_| ())
    }

    /// When it comes to it; nobody waits.
    pub fn sweep(&self, now: UnixTime) {
        // What cannot be asked now is asked in a minute.
        let _ = self.send(Request::Sweep(now));
    }

    pub fn standing(&self) -> Standing {
        if self.shared.busy_since.lock().is_some_and(|since| since.elapsed() > PATIENCE) {
            return Standing::Unwritable("its disk does not answer".into());
        }
        self.shared.standing.lock().clone()
    }

    pub async fn release(&self) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Release(answer))?;
        match tokio::time::timeout(PATIENCE, answered).await {
            // A writer that has ended holds nothing.
            Ok(_) => Ok(()),
            Err(_) => Err(unavailable("its disk does not answer")),
        }
    }

    pub async fn resume(&self) -> Result<(), OpenError> {
        let (answer, answered) = oneshot::channel();
        let failed = |e: LedgerError| OpenError::Unusable(e.to_string());
        self.send(Request::Resume(answer)).map_err(failed)?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(failed(unavailable("its thread has ended"))),
            Err(_) => Err(failed(unavailable("its disk does not answer"))),
        }
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Request,
    ) -> Result<T, LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.send(request(answer))?;
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(unavailable("its thread has ended")),
            Err(_) => Err(unavailable("its disk does not answer")),
        }
    }

    fn send(&self, request: Request) -> Result<(), LedgerError> {
        let Some(requests) = &self.requests else {
            return Err(unavailable("it is closed"));
        };
        requests.try_send(request).map_err(|error| {
            if let TrySendError::Full(Request::Revoke(..)) = error {
                self.shared.has_missed.store(true, Ordering::Release);
            }
            unavailable("too much waits for its disk")
        })
    }
}

impl Drop for Embedded {
    /// Waits until the file is closed: whoever opens it next would find it in use.
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            // It has said what went wrong.
            let _ = writer.join();
        }
    }
}

fn open(path: &Path, most: usize, now: UnixTime) -> Result<(LedgerFile, Arc<Revocations>), Trouble> {
    let file = LedgerFile::open(path)?;
    let revocations = Revocations::with_room(most, file.count()?);
    file.load(&revocations, now)?;
    Ok((file, Arc::new(revocations)))
}

fn unavailable(why: &str) -> LedgerError {
    LedgerError::Unavailable(why.to_owned())
}

struct Writer {
    path: PathBuf,
    revocations: Arc<Revocations>,
    shared: Arc<Shared>,
    file: Place,
}

enum Place {
    Open(LedgerFile),
    /// Refused for this reason; tried again at that time. With the file that was moved away, as long as it is needed.
    Broken {
        why: String,
        next: Instant,
        moved: Option<LedgerFile>,
    },
    /// Another process has it.
    Released,
}

impl Writer {
    /// Works until nobody can ask any more.
    fn run(mut self, received: &Receiver<Request>) {
        loop {
            let first = match &self.file {
                Place::Broken { next, .. } => received.recv_timeout(next.saturating_duration_since(Instant::now())),
                Place::Open(_) | Place::Released => received.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let mut waiting: VecDeque<Request> = match first {
                Ok(first) => std::iter::once(first).chain(received.try_iter()).take(MOST_WAITING).collect(),
                Err(RecvTimeoutError::Timeout) => VecDeque::new(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            *self.shared.busy_since.lock() = Some(Instant::now());
            self.mend();
            while !waiting.is_empty() {
                self.work(&mut waiting);
            }
            *self.shared.busy_since.lock() = None;
        }
        if let Place::Open(file) = self.file {
            // All that was answered is on disk. What is not closed in order is checked in full at the next start.
            let _ = file.close();
        }
    }

    /// Does what waits up to a change of hands, or that change.
    fn work(&mut self, waiting: &mut VecDeque<Request>) {
        let changes_hands = |request: &Request| matches!(request, Request::Release(_) | Request::Resume(_));
        let count = waiting.iter().position(changes_hands).unwrap_or(waiting.len());
        if count > 0 {
            self.write(waiting.drain(..count));
            return;
        }
        match waiting.pop_front() {
            Some(Request::Release(answer)) => {
                self.release();
                // Whoever asked may have gone; likewise below.
                let _ = answer.send(());
            }
            Some(Request::Resume(answer)) => {
                let _ = answer.send(self.resume());
            }
            _ => {}
        }
    }

    /// Writes requests in one transaction, then answers them all.
    fn write(&mut self, requests: impl Iterator<Item = Request>) {
        let requests: Vec<Request> = requests.collect();
        let done = match &self.file {
            Place::Open(file) => {
                let changes: Vec<Change> = requests.iter().filter_map(|request| self.change(request)).collect();
                file.write(&changes).map_err(|trouble| self.breaks(&trouble, false))
            }
            Place::Broken { why, .. } => Err(why.clone()),
            Place::Released => Err("another process has it".to_owned()),
        };
        let mut done = done.map(Vec::into_iter).map_err(LedgerError::Unavailable);
        for request in requests {
            let answer = match request {
                Request::Spend(_, answer) | Request::Revoke(_, _, answer) => Some(answer),
                Request::Sweep(_) | Request::Release(_) | Request::Resume(_) => None,
            };
            let outcome = match &mut done {
                Ok(done) => done.next().ok_or_else(|| unavailable("it did not answer")),
                Err(error) => Err(error.clone()),
            };
            if let Some(answer) = answer {
                let _ = answer.send(outcome);
            }
        }
    }

    fn change(&self, request: &Request) -> Option<Change> {
        match request {
            Request::Spend(token, _) => Some(Change::Spend(*token)),
            Request::Revoke(revocation, before, _) => {
                // As it stands by now: what was revoked twice is one row.
                let now = self.revocations.of(revocation.subject).unwrap_or(*revocation);
                Some(Change::Revoke(now, *before))
            }
            Request::Sweep(now) => Some(Change::Sweep(*now)),
            Request::Release(_) | Request::Resume(_) => None,
        }
    }

    /// Opens a file that failed again, when it is time, and looks whether the one that is open is still where it belongs.
    fn mend(&mut self) {
        match &self.file {
            Place::Open(file) if file.is_moved() => {
                self.breaks(&Trouble::Other("was removed, moved or replaced; put it back".into()), true);
            }
            Place::Open(file) if self.shared.has_missed.swap(false, Ordering::AcqRel) => {
                if let Err(trouble) = file.add_missing(&self.revocations) {
                    self.breaks(&trouble, false);
                }
            }
            _ => {}
        }
        let Place::Broken { next, moved, .. } = &self.file else { return };
        let started = Instant::now();
        if *next > started {
            return;
        }
        match self.open_again(moved.as_ref()) {
            Ok(file) => {
                self.file = Place::Open(file);
                *self.shared.standing.lock() = Standing::Sound;
                tracing::warn!(target: "vestibule", "ledger.path {} can be written again", self.path.display());
            }
            Err(trouble) => {
                let text = trouble.to_string();
                *self.shared.standing.lock() = Standing::Unwritable(text.clone());
                if let Place::Broken { why, next, moved } = &mut self.file {
                    *why = text;
                    if matches!(trouble, Trouble::Locked) {
                        // By us: there are file systems on which a file changes its number.
                        *moved = None;
                    }
                    // A large file takes a while to be checked; that must not be all this machine does.
                    *next = Instant::now() + PAUSE.max(4 * started.elapsed());
                }
            }
        }
    }

    /// With all in it that was answered or is known to be revoked.
    fn open_again(&self, moved: Option<&LedgerFile>) -> Result<LedgerFile, Trouble> {
        let file = LedgerFile::open(&self.path)?;
        if let Some(moved) = moved {
            file.add_spent(moved)?;
        }
        file.load(&self.revocations, UnixTime(i64::MIN))?;
        file.add_missing(&self.revocations)?;
        // To open it needs less room than to go on.
        file.try_out()?;
        Ok(file)
    }

    /// Notes that the file cannot be written. redb writes nothing more through a handle that failed.
    fn breaks(&mut self, trouble: &Trouble, has_moved: bool) -> String {
        let why = trouble.to_string();
        tracing::warn!(
            target: "vestibule",
            "ledger.path {}: {why}. Until then nobody can sign in or out; who is signed in goes on", self.path.display()
        );
        *self.shared.standing.lock() = Standing::Unwritable(why.clone());
        // One that was moved may be made anew at once.
        let next = Instant::now() + if has_moved { Duration::ZERO } else { PAUSE };
        let moved = match std::mem::replace(&mut self.file, Place::Released) {
            Place::Open(file) if has_moved => Some(file),
            Place::Open(file) => {
                // It fails again, as it must.
                let _ = file.close();
                None
            }
            Place::Broken { .. } | Place::Released => None,
        };
        self.file = Place::Broken { why: why.clone(), next, moved };
        why
    }

    fn release(&mut self) {
        match std::mem::replace(&mut self.file, Place::Released) {
            Place::Open(file) => {
                if let Err(trouble) = file.close() {
                    tracing::warn!(target: "vestibule", "ledger.path {}: {trouble}", self.path.display());
                }
            }
            Place::Broken { .. } | Place::Released => {}
        }
        *self.shared.standing.lock() = Standing::Unwritable("another process has it".into());
    }

    fn resume(&mut self) -> Result<(), OpenError> {
        let moved = match &self.file {
            Place::Open(_) => return Ok(()),
            Place::Broken { moved, .. } => moved.as_ref(),
            Place::Released => None,
        };
        match self.open_again(moved) {
            Ok(file) => {
                self.file = Place::Open(file);
                *self.shared.standing.lock() = Standing::Sound;
                Ok(())
            }
            Err(trouble) => {
                // Tried again from time to time, as after any other failure.
                let why = trouble.to_string();
                *self.shared.standing.lock() = Standing::Unwritable(why.clone());
                let moved = match std::mem::replace(&mut self.file, Place::Released) {
                    Place::Broken { moved, .. } => moved,
                    Place::Open(_) | Place::Released => None,
                };
                self.file = Place::Broken { why, next: Instant::now() + PAUSE, moved };
                Err(trouble.at_start(&self.path))
            }
        }
    }
}
