//! Tokens of clocks that are ahead of ours: their `iat` has not come here yet, so it does not say when they were issued.
//!
//! What can be said is the earliest time: `iat` less by how much that clock is ahead. A clock that was seen to be ahead by as much
//! before is taken to be ahead by the most that was seen; of any other it is the tenant's leeway, the most there can be. It is said
//! once, when a token is first seen: later its `iat` has come, and nothing of that is to be seen any more.

use std::time::Duration;

use dashmap::DashMap;

use super::{
    Token, TokenId,
    bounded::{Bounded, Place, Room},
    shares::{Division, Owner, Shares},
};
use crate::{
    identity::TenantId,
    time::UnixTime,
    token::{AFTERLIFE, MAX_LEEWAY},
};

/// What was seen of such tokens.
pub(super) struct Sights {
    first: Bounded<TokenId, Sight, 1>,
    leads: DashMap<TenantId, Lead>,
}

#[derive(Clone, Copy)]
struct Sight {
    owner: Owner,
    earliest: UnixTime,
}

/// By how much a tenant's clock was ahead, and as long as what showed it may still pass.
#[derive(Clone, Copy)]
struct Lead {
    span: Duration,
    until: UnixTime,
}

impl Sights {
    pub fn new(most: usize) -> Self {
        let place = |sight: &Sight| Place { pot: 0, taker: sight.owner.into() };
        let first = Bounded::with_room([Shares::new(Division::Shared(most))], place, 0);
        Self { first, leads: DashMap::new() }
    }

    /// Divides what there is among so many tenants.
    pub fn among(&self, tenants: usize) {
        self.first.among(tenants);
    }

    /// Whether any token is remembered.
    pub fn has_any(&self) -> bool {
        self.first.count() > 0
    }

    /// The earliest time of ours at which a tenant's token may have been issued.
    pub fn earliest(&self, tenant: &TenantId, token: &Token, leeway: Duration, now: UnixTime) -> UnixTime {
        let ahead = lead(token.issued_at, now);
        if let Some(sight) = self.first.entries.get(&token.id) {
            return sight.0.earliest;
        }
        if ahead == Duration::ZERO {
            return token.issued_at;
        }
        let known = self.leads.get(tenant).filter(|lead| lead.until > now).map(|lead| lead.span);
        let lead = known.filter(|known| ahead <= *known).unwrap_or(leeway);
        let sight = Sight { owner: token.owner, earliest: token.issued_at.minus(lead) };
        // One for which there is no room is looked at anew each time it is verified.
        let _ = self.first.place(token.id, (sight, token.expires_at.plus(AFTERLIFE)), Room::Needed, |_, _| {});
        self.saw(tenant, token, now);
        sight.earliest
    }

    /// Notes by how much a tenant's clock is ahead.
    pub fn saw(&self, tenant: &TenantId, token: &Token, now: UnixTime) {
        let new = Lead { span: lead(token.issued_at, now), until: token.expires_at.plus(MAX_LEEWAY) };
        if new.span == Duration::ZERO {
            return;
        }
        match self.leads.get_mut(tenant) {
            Some(mut known) if known.until <= now => *known = new,
            Some(mut known) if new.span >= known.span => *known = Lead { until: known.until.max(new.until), ..new },
            // A clock that is ahead by less may be another.
            Some(_) => {}
            None => {
                self.leads.insert(tenant.clone(), new);
            }
        }
    }

    /// Forgets what cannot pass any more.
    pub fn sweep(&self, now: UnixTime) {
        self.first.sweep(now);
        self.leads.retain(|_, lead| lead.until > now);
    }
}

fn lead(issued_at: UnixTime, now: UnixTime) -> Duration {
    Duration::from_secs(u64::try_from(issued_at.since(now)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEEWAY: Duration = Duration::from_secs(30);

    struct Tenant(Sights, TenantId);

    impl Tenant {
        fn new() -> Self {
            Self(Sights::new(100), TenantId::new("acme"))
        }

        fn earliest(&self, name: &str, at: i64, now: i64) -> i64 {
            let token = Token::new(&self.1, name, UnixTime(at), UnixTime(at + 600));
            self.0.earliest(&self.1, &token, LEEWAY, UnixTime(now)).0
        }
    }

    #[test]
    fn a_clock_that_is_not_ahead_is_believed() {
        let acme = Tenant::new();
        assert_eq!((acme.earliest("a", 1_000, 1_000), acme.earliest("b", 900, 1_000)), (1_000, 900));
    }

    #[test]
    fn of_a_clock_ahead_the_first_look_counts() {
        let acme = Tenant::new();
        assert_eq!(acme.earliest("a", 1_010, 1_000), 980, "by up to the leeway");
        assert_eq!(acme.earliest("a", 1_010, 1_500), 980, "and its iat does not make it younger");
        assert_eq!(acme.earliest("b", 1_020, 1_010), 1_010, "a clock known to be ahead by ten seconds");
        assert_eq!(acme.earliest("c", 1_030, 1_025), 1_020);
        assert_eq!(acme.earliest("d", 1_046, 1_035), 1_016, "ahead by more than was known");
        assert_eq!(acme.earliest("e", 1_035, 1_035), 1_035, "another clock, which is right");
        acme.0.sweep(UnixTime(1_046 + 600 + 120));
        assert!(acme.0.leads.is_empty() && acme.0.first.count() == 0);
        assert_eq!(acme.earliest("f", 3_010, 3_000), 2_980, "all is forgotten");
    }
}
