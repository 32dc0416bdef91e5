//! What Redis lost is noticed and put right: the epoch, its copies in a cluster, the revocations.

use std::{collections::HashMap, sync::atomic::Ordering, time::Duration};

use redis::{Pipeline, Value};
use tokio::time::Instant;
use tracing::{info, warn};

use super::super::{
    DEADLINE, Trouble,
    dial::Connection,
    epoch::{Epoch, Verdict},
    stream::{self, CHUNK},
};
use super::Link;
use crate::{
    ledger::{Revocation, Subject},
    time::UnixTime,
};

/// How long whoever wrote the first epoch waits before tokens are spent: others may know of one that was lost.
const HOLD: Duration = Duration::from_secs(1);

impl Link {
    /// Looks at what was found whether anything was lost, and puts it right.
    pub(super) async fn look_for_loss(
        &mut self,
        polls: &Connection,
        epoch: &Value,
        length: &Value,
        refused: &mut Option<String>,
    ) -> Result<(), Trouble> {
        let Value::Int(length) = length else { return Err(Trouble::nonsense()) };
        if self.judge(bytes(epoch)?) != Verdict::Same {
            self.shared.live.store(None);
            self.shared.is_linked.store(false, Ordering::SeqCst);
            match self.settle(polls).await? {
                Some(code) => *refused = Some(code),
                None => {
                    self.walk(polls).await?;
                    self.shared.is_linked.store(true, Ordering::SeqCst);
                }
            }
        } else if *length == 0 && self.backlog.is_empty() && self.revocations.count() > 0 {
            // The stream alone is gone: evicted, or deleted by hand.
            self.revocations.sweep(self.clock.settled());
            if self.revocations.count() > 0 {
                self.walk(polls).await?;
            }
        }
        Ok(())
    }

    fn judge(&self, found: Option<&[u8]>) -> Verdict {
        let latest_spent = UnixTime(self.shared.latest_spent.load(Ordering::SeqCst));
        Epoch::judge(found, self.known, latest_spent, self.clock.now())
    }

    /// Agrees with the others on the epoch, or says why it cannot be written.
    pub(super) async fn settle(&mut self, polls: &Connection) -> Result<Option<String>, Trouble> {
        let key = self.shared.keys.epoch();
        for _ in 0..10 {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("GET").arg(&key);
            let answers = polls.ask(&pipeline, DEADLINE).await?;
            let found = bytes(answers.first().unwrap_or(&Value::Nil))?;
            match self.judge(found) {
                Verdict::Same => return Ok(None),
                Verdict::Adopt(epoch) => {
                    if self.known.is_some() {
                        warn!(target: "vestibule", "ledger: Redis lost what it knew; tokens issued up to {} count as spent", epoch.bar);
                    }
                    self.known = Some(epoch);
                    return Ok(None);
                }
                Verdict::Begin => {
                    let epoch = Epoch::first();
                    let mut pipeline = Pipeline::new();
                    pipeline.cmd("SET").arg(&key).arg(&epoch.to_bytes()).arg("NX");
                    let refused = match polls.ask(&pipeline, DEADLINE).await?.as_slice() {
                        [Value::Okay] => {
                            self.hold = Some(Instant::now() + HOLD);
                            self.write(polls, epoch).await?
                        }
                        // Another was first.
                        [Value::Nil] => None,
                        [Value::ServerError(e)] => Some(e.code().to_owned()),
                        _ => return Err(Trouble::nonsense()),
                    };
                    if refused.is_some() {
                        return Ok(refused);
                    }
                }
                Verdict::Raise(bar) => {
                    let refused = self.write(polls, Epoch::new(bar)).await?;
                    if refused.is_some() {
                        return Ok(refused);
                    }
                }
            }
        }
        Err(Trouble::Lost("its epoch keeps changing".into()))
    }

    /// The copies first: until the epoch itself is known to others, they refuse to spend beside these.
    async fn write(&self, polls: &Connection, epoch: Epoch) -> Result<Option<String>, Trouble> {
        for key in self.shared.keys.copies().chain([self.shared.keys.epoch()]) {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("SET").arg(key).arg(&epoch.to_bytes());
            match polls.ask(&pipeline, DEADLINE).await?.as_slice() {
                [Value::Okay] => {}
                [Value::ServerError(e)] => return Ok(Some(e.code().to_owned())),
                _ => return Err(Trouble::nonsense()),
            }
        }
        Ok(None)
    }

    /// Looks for a node of a cluster that lost its data. Twice, as somebody may be writing them.
    pub(super) async fn check_copies(&mut self, polls: &Connection) -> Result<(), Trouble> {
        let known = self.known.map(Epoch::to_bytes);
        for copy in self.shared.keys.copies() {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("GET").arg(copy);
            let answers = polls.ask(&pipeline, DEADLINE).await?;
            if bytes(answers.first().unwrap_or(&Value::Nil))? == known.as_ref().map(<[u8; 24]>::as_slice) {
                continue;
            }
            if !std::mem::replace(&mut self.has_doubts, true) {
                self.shared.is_doubted.store(true, Ordering::SeqCst);
                return Ok(());
            }
            if let Verdict::Raise(bar) = self.judge(None) {
                self.write(polls, Epoch::new(bar)).await?;
            }
            break;
        }
        self.has_doubts = false;
        Ok(())
    }

    /// Reads all there is, and finds out what it lacks.
    pub(super) async fn walk(&mut self, polls: &Connection) -> Result<(), Trouble> {
        let (stream, now) = (self.shared.keys.revocations(), self.clock.settled());
        let counts = |revocation: &Revocation| revocation.until > now;
        let own = self.revocations.all().into_iter().filter(counts);
        let mut lacking: HashMap<Subject, Revocation> = own.map(|own| (own.subject, own)).collect();
        self.cursor = None;
        loop {
            let entries = stream::read(polls, &stream, self.cursor.as_deref()).await?;
            self.learn(&entries);
            for there in entries.iter().filter_map(|entry| entry.revocation) {
                if lacking.get(&there.subject).is_some_and(|own| there.covers(own)) {
                    lacking.remove(&there.subject);
                }
            }
            if entries.len() < CHUNK {
                break;
            }
        }
        if !lacking.is_empty() {
            info!(target: "vestibule", count = lacking.len(), "ledger: revocations that Redis lacks are put back");
        }
        self.backlog = lacking.into_values().collect();
        Ok(())
    }
}

/// The value of a key, if there is one.
fn bytes(answer: &Value) -> Result<Option<&[u8]>, Trouble> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::ServerError(e) => Err(Trouble::refused(e)),
        _ => Err(Trouble::nonsense()),
    }
}
