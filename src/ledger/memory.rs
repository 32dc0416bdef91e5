//! The ledger that forgets on restart.

use std::{
    hash::Hash,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use dashmap::{DashMap, mapref::entry::Entry};

use super::{LedgerError, Spend, TokenId};
use crate::{session::SessionId, time::UnixTime};

/// Maps in this process's memory, bounded: a full one refuses, it never forgets what still counts.
pub struct MemoryLedger {
    spent: Bounded<TokenId>,
    revoked: Bounded<SessionId>,
}

impl MemoryLedger {
    /// Holds at most `most` spent tokens and as many revocations.
    pub fn new(most: usize) -> Self {
        Self { spent: Bounded::new(most), revoked: Bounded::new(most) }
    }

    pub(super) fn spend(&self, token: TokenId, until: UnixTime, now: UnixTime) -> Result<Spend, LedgerError> {
        self.spent.insert(token, until, now)
    }

    pub(super) fn revoke(&self, session: SessionId, until: UnixTime, now: UnixTime) -> Result<(), LedgerError> {
        self.revoked.insert(session, until, now).map(|_| ())
    }

    pub(super) fn covers(&self, session: &SessionId) -> bool {
        self.revoked.entries.contains_key(session)
    }

    pub(super) fn sweep(&self, now: UnixTime) {
        self.spent.sweep(now);
        self.revoked.sweep(now);
    }
}

struct Bounded<K> {
    entries: DashMap<K, UnixTime>,
    count: AtomicUsize,
    most: usize,
    swept_at: AtomicI64,
}

impl<K: Eq + Hash> Bounded<K> {
    fn new(most: usize) -> Self {
        Self { entries: DashMap::new(), count: AtomicUsize::new(0), most, swept_at: AtomicI64::new(i64::MIN) }
    }

    fn insert(&self, key: K, until: UnixTime, now: UnixTime) -> Result<Spend, LedgerError> {
        // Once a second at most: the sweep reads the whole map.
        let is_full = self.count.load(Ordering::Relaxed) >= self.most;
        if is_full && self.swept_at.swap(now.0, Ordering::Relaxed) != now.0 {
            self.sweep(now);
        }
        match self.entries.entry(key) {
            Entry::Occupied(_) => Ok(Spend::Again),
            Entry::Vacant(place) => {
                // Counted before it is placed, so that no number of threads exceeds the bound.
                if self.count.fetch_add(1, Ordering::Relaxed) >= self.most {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(LedgerError::Full);
                }
                place.insert(until);
                Ok(Spend::First)
            }
        }
    }

    fn sweep(&self, now: UnixTime) {
        self.entries.retain(|_, until| {
            let keep = *until > now;
            if !keep {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TenantId;

    const NOW: UnixTime = UnixTime(1_000);

    fn token(name: &str) -> TokenId {
        TokenId::of(&TenantId::new("acme"), name)
    }

    #[test]
    fn one_of_many_concurrent_spenders_wins() {
        let ledger = MemoryLedger::new(10);
        let firsts = std::thread::scope(|scope| {
            let spenders: Vec<_> =
                (0..8).map(|_| scope.spawn(|| ledger.spend(token("t"), UnixTime(2_000), NOW))).collect();
            spenders.into_iter().map(|s| s.join().expect("no panic")).filter(|r| *r == Ok(Spend::First)).count()
        });
        assert_eq!(firsts, 1);
    }

    #[test]
    fn a_full_ledger_refuses_and_forgets_only_what_expired() {
        let ledger = MemoryLedger::new(2);
        assert_eq!(ledger.spend(token("a"), UnixTime(1_010), NOW), Ok(Spend::First));
        assert_eq!(ledger.spend(token("b"), UnixTime(2_000), NOW), Ok(Spend::First));
        assert_eq!(ledger.spend(token("c"), UnixTime(2_000), NOW), Err(LedgerError::Full));
        assert_eq!(ledger.spend(token("b"), UnixTime(2_000), NOW), Ok(Spend::Again));
        assert_eq!(ledger.spend(token("c"), UnixTime(2_000), UnixTime(1_010)), Ok(Spend::First));
        assert_eq!(ledger.spend(token("b"), UnixTime(2_000), UnixTime(1_010)), Ok(Spend::Again));
    }
}
