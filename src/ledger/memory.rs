//! Spent tokens in this process's memory, for the ledger that forgets on restart.

use super::{LedgerError, Spend, Token, TokenId, bounded::Bounded};
use crate::time::UnixTime;

/// Bounded: a full one refuses, it never forgets what still counts.
pub(super) struct Spent(Bounded<TokenId, ()>);

impl Spent {
    pub fn new(most: usize) -> Self {
        Self(Bounded::with_room(most, 0))
    }

    pub fn spend(&self, token: &Token, now: UnixTime) -> Result<Spend, LedgerError> {
        self.0.make_room(now);
        let is_first = self.0.place(token.id, ((), token.until()), self.0.most, |_, _| {})?;
        Ok(if is_first { Spend::First } else { Spend::Again })
    }

    pub fn sweep(&self, now: UnixTime) {
        self.0.sweep(now);
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
