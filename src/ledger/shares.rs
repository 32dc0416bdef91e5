//! How the places of the ledger are shared, so that no tenant takes those of another.
//!
//! | what takes a place | places of each tenant's own | places for whoever comes first |
//! | --- | --- | --- |
//! | a session that was signed out; in memory a token | half of `max_entries`, divided by the tenants | what one tenant lacks to `max_entries` |
//! | a user whose sign-outs found no place there, as one | a quarter, divided by the tenants, 16 at least | none |
//! | an order of a tenant's or an operator's | the same | none |
//!
//! So one tenant can have `max_entries`, and all others their own places still; together they have at most twice as many. No order
//! takes the place of a sign-out, or the other way round.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use super::LedgerError;
use crate::identity::TenantId;

/// Whose place an entry takes: 20 bits of a digest of the tenant's id, so that it fits beside what is written of a revocation, and
/// no store learns who it is. Two tenants that have the same share their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u32);

impl Owner {
    /// How many bits one is.
    pub(super) const BITS: u32 = 20;

    /// What an earlier version wrote, which did not say whose it is.
    pub(super) const UNKNOWN: Self = Self(0);

    /// That of a tenant.
    pub fn of(tenant: &TenantId) -> Self {
        let digest = digest(&SHA256, tenant.as_str().as_bytes());
        let bits = digest.as_ref().iter().take(4).fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        Self::of_bits(bits >> (32 - Self::BITS)).unwrap_or(Self(1))
    }

    pub(super) fn of_bits(bits: u32) -> Option<Self> {
        (bits > 0 && bits < 1 << Self::BITS).then_some(Self(bits))
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

/// How the places for one kind of entry are divided.
#[derive(Clone, Copy)]
pub(super) enum Division {
    /// Half to the tenants; beside it, to whoever comes first, what makes it as many as that for one.
    Shared(usize),
    /// A quarter to the tenants.
    Apart(usize),
}

/// The fewest places a tenant has where they are apart: each is a user or an order, and few are all that is needed.
const FEWEST: usize = 16;

/// The places for one kind of entry.
pub(super) struct Shares {
    division: Division,
    state: Mutex<State>,
}

struct State {
    /// How many places each tenant has of its own.
    own: usize,
    /// How many there are beside.
    common: usize,
    taken: HashMap<Owner, usize>,
    /// How many are taken beside.
    borrowed: usize,
}

impl Shares {
    pub fn new(division: Division) -> Self {
        let state = State { own: 0, common: 0, taken: HashMap::new(), borrowed: 0 };
        let shares = Self { division, state: Mutex::new(state) };
        shares.among(1);
        shares
    }

    /// Divides the places anew.
    pub fn among(&self, tenants: usize) {
        let tenants = tenants.max(1);
        let mut state = self.state.lock();
        (state.own, state.common) = match self.division {
            Division::Shared(most) => {
                let own = (most / 2 / tenants).max(1);
                (own, most.saturating_sub(own))
            }
            Division::Apart(most) => ((most / 4 / tenants).max(FEWEST), 0),
        };
        state.borrowed = state.taken.values().map(|taken| taken.saturating_sub(state.own)).sum();
    }

    /// Whether the owner could take a place.
    pub fn has_room(&self, owner: Owner) -> bool {
        self.state.lock().has_room(owner)
    }

    /// Takes a place, unless the owner has none left.
    pub fn take(&self, owner: Owner) -> Result<(), LedgerError> {
        let mut state = self.state.lock();
        if !state.has_room(owner) {
            return Err(LedgerError::Full);
        }
        state.take(owner);
        Ok(())
    }

    /// Takes a place, there being one or not: what a store knows must not be left out.
    pub fn take_anyway(&self, owner: Owner) {
        self.state.lock().take(owner);
    }

    /// Gives a place back.
    pub fn give_back(&self, owner: Owner) {
        let state = &mut *self.state.lock();
        if let Some(taken) = state.taken.get_mut(&owner) {
            if *taken > state.own {
                state.borrowed = state.borrowed.saturating_sub(1);
            }
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(&owner);
            }
        }
    }
}

impl State {
    fn has_room(&self, owner: Owner) -> bool {
        self.taken.get(&owner).is_none_or(|taken| *taken < self.own) || self.borrowed < self.common
    }

    fn take(&mut self, owner: Owner) {
        let taken = self.taken.entry(owner).or_default();
        *taken += 1;
        if *taken > self.own {
            self.borrowed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(number: u32) -> Owner {
        Owner::of_bits(number).expect("a few bits")
    }

    fn takes(shares: &Shares, by: Owner) -> usize {
        (0..).take_while(|_| shares.take(by).is_ok()).count()
    }

    #[test]
    fn one_tenant_leaves_the_others_their_share() {
        let shares = Shares::new(Division::Shared(1_000));
        shares.among(4);
        assert_eq!(takes(&shares, owner(1)), 1_000, "its own and all that is common");
        for other in 2..=4 {
            assert_eq!(takes(&shares, owner(other)), 125);
        }
        shares.give_back(owner(2));
        assert_eq!((takes(&shares, owner(1)), takes(&shares, owner(2))), (0, 1), "what is another's own stays so");
        shares.give_back(owner(1));
        assert_eq!(takes(&shares, owner(3)), 1, "what was common is so again");
    }

    #[test]
    fn a_tenant_alone_has_all_and_the_next_one_finds_its_share_all_the_same() {
        let shares = Shares::new(Division::Shared(10));
        assert_eq!(takes(&shares, owner(1)), 10);
        shares.among(2);
        assert_eq!((takes(&shares, owner(2)), takes(&shares, owner(1))), (2, 0));
        (0..5).for_each(|_| shares.give_back(owner(1)));
        assert_eq!(takes(&shares, owner(2)), 5, "what it gave back beyond its own");
    }

    #[test]
    fn what_must_be_taken_is_counted() {
        let shares = Shares::new(Division::Apart(1_000));
        shares.among(2);
        (0..200).for_each(|_| shares.take_anyway(owner(1)));
        assert!(shares.take(owner(1)).is_err() && !shares.has_room(owner(1)));
        assert_eq!(takes(&shares, owner(2)), 125);
        (0..76).for_each(|_| shares.give_back(owner(1)));
        assert_eq!(takes(&shares, owner(1)), 1);
        let few = Shares::new(Division::Apart(1));
        few.among(1_000);
        assert_eq!(takes(&few, owner(9)), 16);
    }

    #[test]
    fn owners_fit_in_their_bits() {
        for name in ["acme", "globex", "", "ü"] {
            let owner = Owner::of(&TenantId::new(name));
            assert!(Owner::of_bits(owner.bits()) == Some(owner) && owner != Owner::UNKNOWN, "{name}");
        }
        assert!(Owner::of(&TenantId::new("acme")) != Owner::of(&TenantId::new("globex")));
    }
}
