//! The task that owns the link to Redis: dials, loads, polls, writes revocations, repairs what was lost, removes what expired.

mod prune;
mod repair;

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use redis::{Pipeline, Value};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tracing::{info, warn};

use super::{
    Attempt, DEADLINE, Live, Order, Shared, Trouble,
    dial::{Connection, dial, eviction},
    epoch::Epoch,
    settings::RedisSettings,
    stream::{self, CHUNK, Entry},
};
use crate::{
    ledger::{Revocation, Revocations, Standing},
    time::Clock,
};

use prune::Pruning;

/// Between two looks.
const POLL: Duration = Duration::from_millis(250);

/// Between two looks that somebody asks for.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two attempts to connect.
const REDIAL: Duration = Duration::from_millis(500);

/// How long one that takes no writes is asked again before another is looked for.
const READ_ONLY: Duration = Duration::from_secs(2);

/// Every so many looks it is tried whether writes are taken.
const PROBE: u32 = 8;

/// The most revocations written at once.
const BATCH: usize = 500;

pub(super) struct Link {
    settings: RedisSettings,
    shared: Arc<Shared>,
    revocations: Arc<Revocations>,
    clock: Clock,
    orders: mpsc::UnboundedReceiver<Order>,
    /// Handed in, to be written next.
    taken: Vec<Order>,
    /// In force here, and not written as far as we know.
    backlog: Vec<Revocation>,
    /// The epoch this process knows of, also while there is no connection.
    known: Option<Epoch>,
    /// Until when nothing is spent.
    hold: Option<Instant>,
    /// The last entry of the stream that was read.
    cursor: Option<String>,
    polls: u32,
    /// Why writes are not taken, and since when.
    refused: Option<(String, Instant)>,
    /// Whether a copy of the epoch was found to be wrong before.
    has_doubts: bool,
    prune_at: Instant,
    pruning: Option<Pruning>,
    said_eviction: bool,
    said_malformed: bool,
}

impl Link {
    pub fn new(
        settings: RedisSettings,
        shared: Arc<Shared>,
        revocations: Arc<Revocations>,
        clock: Clock,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> Self {
        Self {
            settings,
            shared,
            revocations,
            clock,
            orders,
            taken: Vec::new(),
            backlog: Vec::new(),
            known: None,
            hold: None,
            cursor: None,
            polls: 0,
            refused: None,
            has_doubts: false,
            prune_at: Instant::now(),
            pruning: None,
            said_eviction: false,
            said_malformed: false,
        }
    }

    /// Ends when it is aborted.
    pub async fn run(mut self) {
        loop {
            let Err(trouble) = self.connected().await;
            self.shared.live.store(None);
            self.shared.is_linked.store(false, Ordering::SeqCst);
            self.forget_orders();
            if let Trouble::Lost(why) = trouble {
                self.stand(Standing::Lost(why));
                self.shared.attempt.send_replace(Attempt::Failed);
                sleep(REDIAL).await;
            }
        }
    }

    /// One life of a connection.
    async fn connected(&mut self) -> Result<Infallible, Trouble> {
        let (polls, spends) = dial(&self.settings).await?;
        self.shared.is_broken.store(false, Ordering::SeqCst);
        // All of them are among the revocations by now, which are compared next.
        self.forget_orders();
        self.refused = None;
        self.pruning = None;
        // Everything anew: after a failover the ids may be lower than those seen.
        let refused = self.settle(&polls).await?;
        self.walk(&polls).await?;
        self.shared.is_linked.store(refused.is_none(), Ordering::SeqCst);
        self.say_eviction(&polls).await;
        loop {
            self.poll(&polls).await?;
            self.publish(&spends);
            self.wait().await?;
        }
    }

    /// Lets tokens be spent, if the epoch is known and nobody objects. Only then is all well.
    fn publish(&mut self, spends: &Connection) {
        if self.hold.is_some_and(|end| Instant::now() < end) || !self.shared.is_linked.load(Ordering::SeqCst) {
            return;
        }
        if let (Some(epoch), true) = (self.known, self.shared.live.load().is_none()) {
            self.shared.live.store(Some(Arc::new(Live { connection: spends.clone(), epoch })));
        }
        if self.refused.is_none() {
            self.stand(Standing::Sound);
            self.shared.attempt.send_replace(Attempt::Done);
        }
    }

    async fn wait(&mut self) -> Result<(), Trouble> {
        let next = Instant::now() + POLL;
        tokio::select! {
            () = sleep_until(next) => {}
            () = self.shared.wake.notified() => {
                if self.shared.is_broken.load(Ordering::SeqCst) {
                    return Err(Trouble::Lost("an answer was late, or made no sense".into()));
                }
                sleep(PAUSE).await;
            }
            Some(order) = self.orders.recv() => self.taken.push(order),
        }
        Ok(())
    }

    /// Writes what there is to write, reads what others wrote, and looks whether anything was lost.
    async fn poll(&mut self, polls: &Connection) -> Result<(), Trouble> {
        self.polls = self.polls.wrapping_add(1);
        let is_doubted = self.shared.is_doubted.swap(false, Ordering::SeqCst);
        let mut refused = None;
        if is_doubted || self.refused.is_some() || self.polls.is_multiple_of(PROBE) {
            refused = self.probe(polls).await?;
        }
        loop {
            while self.taken.len() < BATCH
                && let Ok(order) = self.orders.try_recv()
            {
                self.taken.push(order);
            }
            let is_caught_up = self.exchange(polls, &mut refused).await?;
            if is_caught_up && (refused.is_some() || self.backlog.is_empty()) {
                break;
            }
        }
        if is_doubted && refused.is_none() {
            self.check_copies(polls).await?;
        }
        match refused {
            None => {
                self.refused = None;
                self.prune(polls).await?;
            }
            Some(code) => {
                let since = self.refused.take().map_or_else(Instant::now, |(_, since)| since);
                if code == "READONLY" && since.elapsed() > READ_ONLY {
                    return Err(Trouble::ReadOnly);
                }
                self.stand(Standing::Unwritable(format!("it answers {code}")));
                self.refused = Some((code, since));
            }
        }
        Ok(())
    }

    /// Whether writes are taken, and if not, why.
    async fn probe(&self, polls: &Connection) -> Result<Option<String>, Trouble> {
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg(self.shared.keys.shared("probe")).arg("1").arg("EX").arg(60);
        match polls.ask(&pipeline, DEADLINE).await?.as_slice() {
            [Value::Okay] => Ok(None),
            [Value::ServerError(e)] => Ok(Some(e.code().to_owned())),
            _ => Err(Trouble::nonsense()),
        }
    }

    /// One question: some revocations written, and what came since the last one. True when there is nothing more to read.
    async fn exchange(&mut self, polls: &Connection, refused: &mut Option<String>) -> Result<bool, Trouble> {
        let asked_at = std::time::Instant::now();
        let (stream, orders) = (self.shared.keys.revocations(), std::mem::take(&mut self.taken));
        // With nothing left to write, what was in force before has been written.
        let is_written = |order: &&Order| order.is_known && self.backlog.is_empty();
        let mut sent: Vec<Revocation> =
            orders.iter().filter(|order| !is_written(order)).map(|order| order.revocation).collect();
        // One is enough to see that writes are still refused.
        let some = if refused.is_some() { 1 } else { BATCH };
        sent.extend(self.backlog.split_off(self.backlog.len().saturating_sub(some)));
        let mut pipeline = Pipeline::new();
        for revocation in &sent {
            stream::add(&mut pipeline, &stream, &revocation.to_bytes());
        }
        stream::read_on(&mut pipeline, &stream, self.cursor.as_deref());
        pipeline.cmd("XLEN").arg(&stream);
        pipeline.cmd("GET").arg(self.shared.keys.epoch());
        let answers = polls.ask(&pipeline, DEADLINE).await?;
        let (written, [entries, length, epoch]) = answers.split_at(sent.len()) else {
            return Err(Trouble::nonsense());
        };
        let no = written.iter().find_map(|answer| match answer {
            Value::ServerError(e) => Some(e.code().to_owned()),
            _ => None,
        });
        let mut entries = stream::entries(entries)?;
        self.learn(&entries);
        let mut unseen: HashSet<[u8; 32]> = sent.iter().map(|revocation| revocation.to_bytes()).collect();
        strike(&mut unseen, &entries);
        let is_caught_up = entries.len() < CHUNK;
        while no.is_none() && !unseen.is_empty() && entries.len() == CHUNK {
            entries = stream::read(polls, &stream, self.cursor.as_deref()).await?;
            self.learn(&entries);
            strike(&mut unseen, &entries);
        }
        match no {
            Some(code) => {
                // Some may be there. Twice is as good as once.
                self.backlog.extend(sent);
                for order in orders {
                    // Who asked may have gone.
                    let _ = order.done.send(Err(format!("it answers {code}")));
                }
                *refused = Some(code);
            }
            None if !unseen.is_empty() => return Err(Trouble::nonsense()),
            None => orders.into_iter().for_each(|order| {
                let _ = order.done.send(Ok(()));
            }),
        }
        self.look_for_loss(polls, epoch, length, refused).await?;
        if is_caught_up {
            self.shared.knew(asked_at);
        }
        Ok(is_caught_up)
    }

    fn learn(&mut self, entries: &[Entry]) {
        let now = self.clock.settled();
        for entry in entries {
            match entry.revocation {
                Some(revocation) if revocation.until > now => self.revocations.learn(revocation),
                Some(_) => {}
                None if self.said_malformed => {}
                None => {
                    self.said_malformed = true;
                    let stream = self.shared.keys.revocations();
                    warn!(target: "vestibule", entry = entry.id, "ledger: {stream} holds an entry that is not ours; such are passed over");
                }
            }
        }
        if let Some(last) = entries.last() {
            self.cursor = Some(last.id.clone());
        }
    }

    /// Those who wait hear that nobody does it now.
    fn forget_orders(&mut self) {
        self.taken.clear();
        while self.orders.try_recv().is_ok() {}
    }

    async fn say_eviction(&mut self, polls: &Connection) {
        if !self.said_eviction
            && let Some(policy) = eviction(polls).await
        {
            self.said_eviction = true;
            warn!(target: "vestibule", "ledger: Redis has maxmemory-policy {policy}: a key it evicts lets a token be exchanged twice; set noeviction");
        }
    }

    fn stand(&self, standing: Standing) {
        let is_change = {
            let mut current = self.shared.standing.lock();
            let is_change = std::mem::discriminant(&*current) != std::mem::discriminant(&standing);
            *current = standing.clone();
            is_change
        };
        match standing {
            _ if !is_change => {}
            Standing::Sound => info!(target: "vestibule", "ledger: Redis is there"),
            Standing::Unwritable(why) => {
                warn!(target: "vestibule", "ledger: Redis takes no writes ({why}): exchanges and sign-outs are refused");
            }
            Standing::Lost(why) | Standing::Stale(why) if self.shared.is_stale() => {
                warn!(target: "vestibule", "ledger: Redis is not there ({why}): exchanges and sessions are refused");
            }
            Standing::Lost(why) | Standing::Stale(why) => {
                let most = self.shared.max_staleness.as_secs();
                warn!(target: "vestibule", "ledger: Redis is lost ({why}): exchanges are refused, sessions after {most} s");
            }
        }
    }
}

fn strike(unseen: &mut HashSet<[u8; 32]>, entries: &[Entry]) {
    for revocation in entries.iter().filter_map(|entry| entry.revocation) {
        unseen.remove(&revocation.to_bytes());
    }
}
