//! Revocations that have expired leave the stream: removed in pieces, by one instance at a time.

use std::time::Duration;

use redis::{Pipeline, Value};
use tokio::time::Instant;

use super::super::{
    DEADLINE, Trouble,
    dial::Connection,
    stream::{self, CHUNK, Entry},
};
use super::{BATCH, Link};
use crate::time::UnixTime;

/// Between two attempts to be the one who removes what has expired, and how long one is.
const PRUNE: Duration = Duration::from_secs(600);
const PRUNE_LOCK: u32 = 3_600;

pub(super) struct Pruning {
    cursor: Option<String>,
    /// What ended by then is over by our clock and by theirs.
    before: UnixTime,
}

impl Link {
    /// Removes some of what has expired, if that is this instance's task at present.
    pub(super) async fn prune(&mut self, polls: &Connection) -> Result<(), Trouble> {
        if Instant::now() >= self.prune_at {
            self.prune_at = Instant::now() + PRUNE;
            let mut pipeline = Pipeline::new();
            let lock = self.shared.keys.shared("pruning");
            pipeline.cmd("SET").arg(lock).arg("1").arg("NX").arg("EX").arg(PRUNE_LOCK);
            pipeline.cmd("TIME");
            if let [Value::Okay, Value::Array(time)] = polls.ask(&pipeline, DEADLINE).await?.as_slice()
                && let Some(Value::BulkString(seconds)) = time.first()
                && let Ok(theirs) = String::from_utf8_lossy(seconds).parse()
            {
                self.pruning = Some(Pruning { cursor: None, before: self.clock.settled().min(UnixTime(theirs)) });
            }
        }
        let Some(mut pruning) = self.pruning.take() else { return Ok(()) };
        let stream = self.shared.keys.revocations();
        let entries = stream::read(polls, &stream, pruning.cursor.as_deref()).await?;
        let is_over = |entry: &&Entry| entry.revocation.is_some_and(|revocation| revocation.until <= pruning.before);
        let mut pipeline = Pipeline::new();
        for over in entries.iter().filter(is_over).collect::<Vec<_>>().chunks(BATCH) {
            pipeline.cmd("XDEL").arg(&stream).arg(over.iter().map(|entry| entry.id.as_str()).collect::<Vec<_>>());
        }
        if !pipeline.is_empty() {
            polls.ask(&pipeline, DEADLINE).await?;
        }
        if entries.len() == CHUNK {
            pruning.cursor = entries.last().map(|entry| entry.id.clone());
            self.pruning = Some(pruning);
        }
        Ok(())
    }
}
