//! How the places of the ledger are shared, so that no tenant takes those of another.
//!
//! | what takes a place | places of each tenant's own | places for whoever comes first |
//! | --- | --- | --- |
//! | a session that was signed out; in memory a token | half of `max_entries`, divided by the tenants | what one tenant lacks to `max_entries` |
//! | a user whose sign-outs found no place there, as one | a quarter, divided by the tenants, 16 at least | none |
//! | an order of a tenant's or an operator's | the same | none |
//!
//! Of the sessions that were signed out, one user has [`MOST_OF_ONE`] at most: then the user takes a place of the second kind. Which
//! user it is stands in the entry ([`Person`]), so a restart and another instance count the same.
//!
//! So one tenant can have `max_entries`, and all others their own places still; together they have at most twice as many. No order
//! takes the place of a sign-out, or the other way round.

use std::collections::{HashMap, hash_map::Entry};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use super::{LedgerError, subjects::Subject};
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

/// Which user of a tenant's an entry is of: 34 bits of the user's subject, so that it fits in what is written of a revocation. Two
/// users that have the same are counted as one, and only find their sign-outs merged earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Person(u64);

impl Person {
    /// How many bits one is.
    pub(super) const BITS: u32 = 34;

    /// Of an entry that is not a user's session, or whose user is not known: by the handle of the session alone, or as an earlier
    /// version wrote it. Such entries are not counted by user.
    pub const UNKNOWN: Self = Self(0);

    /// That of a user, by the subject.
    pub(super) fn of(user: Subject) -> Self {
        let bits = user.0.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Self((bits >> (64 - Self::BITS)).max(1))
    }

    pub(super) fn of_bits(bits: u64) -> Self {
        Self(bits & ((1 << Self::BITS) - 1))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// Who takes a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Taker {
    pub owner: Owner,
    pub person: Person,
}

impl From<Owner> for Taker {
    /// A tenant, whoever of its users it is.
    fn from(owner: Owner) -> Self {
        Self { owner, person: Person::UNKNOWN }
    }
}

/// How many places one user can have for sessions that were signed out.
pub(super) const MOST_OF_ONE: u32 = 64;

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
    /// By user, where that is known: never more of them than places.
    by_person: HashMap<Taker, u32>,
    /// How many are taken beside.
    borrowed: usize,
}

impl Shares {
    pub fn new(division: Division) -> Self {
        let state = State { own: 0, common: 0, taken: HashMap::new(), by_person: HashMap::new(), borrowed: 0 };
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

    /// Whether the taker could take a place.
    pub fn has_room(&self, taker: Taker) -> bool {
        self.state.lock().has_room(taker)
    }

    /// Takes a place, unless the taker has none left.
    pub fn take(&self, taker: Taker) -> Result<(), LedgerError> {
        let mut state = self.state.lock();
        if !state.has_room(taker) {
            return Err(LedgerError::Full);
        }
        state.take(taker);
        Ok(())
    }

    /// Takes a place, there being one or not: what a store knows must not be left out.
    pub fn take_anyway(&self, taker: Taker) {
        self.state.lock().take(taker);
    }

    /// Gives a place back.
    pub fn give_back(&self, taker: Taker) {
        let state = &mut *self.state.lock();
        if let Entry::Occupied(mut has) = state.by_person.entry(taker) {
            *has.get_mut() -= 1;
            if *has.get() == 0 {
                has.remove();
            }
        }
        if let Some(taken) = state.taken.get_mut(&taker.owner) {
            if *taken > state.own {
                state.borrowed = state.borrowed.saturating_sub(1);
            }
            *taken -= 1;
            if *taken == 0 {
                state.taken.remove(&taker.owner);
            }
        }
    }
}

impl State {
    fn has_room(&self, taker: Taker) -> bool {
        let is_free = self.taken.get(&taker.owner).is_none_or(|taken| *taken < self.own) || self.borrowed < self.common;
        is_free && self.by_person.get(&taker).is_none_or(|has| *has < MOST_OF_ONE)
    }

    fn take(&mut self, taker: Taker) {
        if taker.person != Person::UNKNOWN {
            *self.by_person.entry(taker).or_default() += 1;
        }
        let taken = self.taken.entry(taker.owner).or_default();
        *taken += 1;
        if *taken > self.own {
            self.borrowed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(number: u32) -> Taker {
        Owner::of_bits(number).expect("a few bits").into()
    }

    fn takes(shares: &Shares, by: Taker) -> usize {
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
    fn one_user_leaves_the_others_of_the_tenant_their_places() {
        let shares = Shares::new(Division::Shared(200));
        let user = |number| Taker { person: Person::of_bits(number), ..owner(1) };
        assert_eq!((takes(&shares, user(1)), takes(&shares, user(2))), (64, 64));
        shares.give_back(user(1));
        assert!(shares.has_room(user(1)) && !shares.has_room(user(2)));
        shares.take_anyway(user(1));
        shares.take_anyway(user(1));
        shares.give_back(user(1));
        assert!(!shares.has_room(user(1)), "what must be taken counts");
        assert_eq!(takes(&shares, user(3)), 64);
        assert_eq!(takes(&shares, owner(1)), 200 - 3 * 64, "what is not known to be a user's has no other bound");
        (0..64).for_each(|_| shares.give_back(user(2)));
        assert_eq!(shares.state.lock().by_person.len(), 2, "who has none is forgotten");
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
