//! Spent tokens in this process's memory, for the ledger that forgets on restart.

use super::{
    LedgerError, Spend, Token, TokenId,
    bounded::{Bounded, Place, Room},
    shares::{Division, Owner, Shares},
};
use crate::time::UnixTime;

/// Bounded: a full one refuses, it never forgets what still counts, and one tenant's tokens leave the others their share.
pub(super) struct Spent(Bounded<TokenId, Owner, 1>);

impl Spent {
    pub fn new(most: usize) -> Self {
        let place = |owner: &Owner| Place { pot: 0, taker: (*owner).into() };
        Self(Bounded::with_room([Shares::new(Division::Shared(most))], place, 0))
    }

    /// Divides what there is among so many tenants.
    pub fn among(&self, tenants: usize) {
        self.0.among(tenants);
    }

    pub fn spend(&self, token: &Token, now: UnixTime) -> Result<Spend, LedgerError> {
        let place = || self.0.place(token.id, (token.owner, token.until()), Room::Needed, |_, _| {});
        let placed = place();
        let is_first = if placed.is_err() && self.0.make_room(now) { place()? } else { placed? };
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

    fn token_of(tenant: &str, name: &str, expires_at: i64) -> Token {
        let tenant = TenantId::new(tenant);
        Token {
            id: TokenId::of(&tenant, name),
            owner: Owner::of(&tenant),
            issued_at: NOW,
            expires_at: UnixTime(expires_at),
        }
    }

    fn token(name: &str, expires_at: i64) -> Token {
        token_of("acme", name, expires_at)
    }

    #[test]
    fn a_full_one_refuses_and_forgets_only_what_no_leeway_and_no_wait_could_let_pass() {
        let spent = Spent::new(2);
        assert_eq!(spent.spend(&token("a", 1_010), NOW), Ok(Spend::First));
        assert_eq!(spent.spend(&token("b", 2_000), NOW), Ok(Spend::First));
        assert_eq!(spent.spend(&token("c", 2_000), NOW), Err(LedgerError::Full));
        assert_eq!(spent.spend(&token("b", 2_000), NOW), Ok(Spend::Again));
        assert_eq!(spent.spend(&token("c", 2_000), UnixTime(1_129)), Err(LedgerError::Full));
        assert_eq!(spent.spend(&token("c", 2_000), UnixTime(1_130)), Ok(Spend::First));
        assert_eq!(spent.spend(&token("b", 2_000), UnixTime(1_130)), Ok(Spend::Again));
    }

    #[test]
    fn one_tenants_tokens_leave_the_others_their_share() {
        let spent = Spent::new(100);
        spent.among(2);
        let spends = |tenant| {
            (0..200).take_while(|n| spent.spend(&token_of(tenant, &n.to_string(), 2_000), NOW).is_ok()).count()
        };
        assert_eq!((spends("acme"), spends("globex")), (100, 25));
    }
}
