//! Spent tokens in this process's memory, for the ledger that forgets on restart.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use dashmap::{DashMap, mapref::entry::Entry};

use super::{LedgerError, Spend, Token, TokenId};
use crate::time::UnixTime;

/// Bounded: a full one refuses, it never forgets what still counts.
pub(super) struct Spent {
    entries: DashMap<TokenId, UnixTime>,
    count: AtomicUsize,
    most: usize,
    swept_at: AtomicI64,
}

impl Spent {
    pub fn new(most: usize) -> Self {
        Self { entries: DashMap::new(), count: AtomicUsize::new(0), most, swept_at: AtomicI64::new(i64::MIN) }
    }

    pub fn spend(&self, token: &Token, now: UnixTime) -> Result<Spend, LedgerError> {
        // Once a second at most: the sweep reads the whole map.
        let is_full = self.count.load(Ordering::Relaxed) >= self.most;
        if is_full && self.swept_at.swap(now.0, Ordering::Relaxed) != now.0 {
            self.sweep(now);
        }
        match self.entries.entry(token.id) {
            Entry::Occupied(_) => Ok(Spend::Again),
            Entry::Vacant(place) => {
                // Counted before it is placed, so that no number of threads exceeds the bound.
                if self.count.fetch_add(1, Ordering::Relaxed) >= self.most {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(LedgerError::Full);
                }
                place.insert(token.until());
                Ok(Spend::First)
            }
        }
    }

    pub fn sweep(&self, now: UnixTime) {
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

    fn token(name: &str, expires_at: i64) -> Token {
        let id = TokenId::of(&TenantId::new("acme"), name);
        Token { id, issued_at: NOW, expires_at: UnixTime(expires_at) }
    }

    #[test]
    fn a_full_one_refuses_and_forgets_only_what_no_leeway_could_let_pass() {
        let spent = Spent::new(2);
        assert_eq!(spent.spend(&token("a", 1_010), NOW), Ok(Spend::First));
        assert_eq!(spent.spend(&token("b", 2_000), NOW), Ok(Spend::First));
        assert_eq!(spent.spend(&token("c", 2_000), NOW), Err(LedgerError::Full));
        assert_eq!(spent.spend(&token("b", 2_000), NOW), Ok(Spend::Again));
        assert_eq!(spent.spend(&token("c", 2_000), UnixTime(1_070)), Err(LedgerError::Full));
        assert_eq!(spent.spend(&token("c", 2_000), UnixTime(1_071)), Ok(Spend::First));
        assert_eq!(spent.spend(&token("b", 2_000), UnixTime(1_071)), Ok(Spend::Again));
    }
}
