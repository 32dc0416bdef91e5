//! What is kept of a revocation beside its subject and its end, in one number: how far it reaches, whose place it takes, and why.
//!
//! | number | |
//! | --- | --- |
//! | below 2^62 | issued up to that second, as an earlier version wrote it |
//! | from 2^62 on | 20 bits for whose it is, 6 for what it is, 36 for the second, or of a session for its user (34) and the cause (1) |
//! | the last two of all | replaced, ended, as an earlier version wrote them |
//!
//! An earlier version that shares the store takes the second kind for a very late time: it refuses more, never less.

use super::{
    extent::{Extent, Reach},
    shares::{Owner, Person},
};
use crate::{time::UnixTime, token};

/// Why somebody is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A person signed out, or another took the place.
    SignOut,
    /// A tenant or an operator said so.
    Order,
}

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub extent: Extent,
    pub owner: Owner,
    pub cause: Cause,
    /// Whose session it is that ended, where it is known.
    pub person: Person,
}

const WITH_OWNER: i64 = 1 << 62;
const LAST: i64 = i64::MAX - 8;
const KIND_AT: u32 = 36;
const OWNER_AT: u32 = KIND_AT + 6;
/// One more second, and it would not be told from [`LAST`].
const SECONDS: std::ops::Range<i64> = 0..(1 << KIND_AT) - 16;

/// By order, issued up to the second here, and that many seconds later by the issuer's clock.
const MOST_LEAD: i64 = 60;
/// A user's sign-outs as one.
const SIGNED_OUT: i64 = 61;
const REPLACED: i64 = 62;
const ENDED: i64 = 63;

const _: () = assert!(Person::BITS + 1 < KIND_AT);
const _: () = assert!(OWNER_AT + Owner::BITS == 62 && token::MAX_LEEWAY.as_secs() == MOST_LEAD.unsigned_abs());

impl Mark {
    pub fn to_number(self) -> i64 {
        let (kind, second) = match (self.extent, self.cause) {
            (Extent::Ended, cause) => (ENDED, self.person.of_session(cause)),
            (Extent::Replaced, cause) => (REPLACED, self.person.of_session(cause)),
            (Extent::IssuedUpTo(reach), Cause::SignOut) => (SIGNED_OUT, reach.here.0),
            (Extent::IssuedUpTo(reach), Cause::Order) => {
                (reach.issuer.since(reach.here).clamp(0, MOST_LEAD), reach.here.0)
            }
        };
        if self.owner == Owner::UNKNOWN || !SECONDS.contains(&second) {
            return self.to_plain();
        }
        WITH_OWNER | i64::from(self.owner.bits()) << OWNER_AT | kind << KIND_AT | second
    }

    fn to_plain(self) -> i64 {
        match self.extent {
            Extent::IssuedUpTo(reach) if (WITH_OWNER..=LAST).contains(&reach.issuer.0) => LAST + 1,
            Extent::IssuedUpTo(reach) => reach.issuer.0.min(i64::MAX - 2),
            Extent::Replaced => i64::MAX - 1,
            Extent::Ended => i64::MAX,
        }
    }

    pub fn of_number(number: i64) -> Self {
        Self::of_number_with_owner(number).unwrap_or_else(|| Self::of_plain(number))
    }

    fn of_number_with_owner(number: i64) -> Option<Self> {
        if !(WITH_OWNER..=LAST).contains(&number) {
            return None;
        }
        let bits = number - WITH_OWNER;
        let owner = Owner::of_bits(u32::try_from(bits >> OWNER_AT).ok()?)?;
        let (kind, second) = (bits >> KIND_AT & 63, bits & ((1 << KIND_AT) - 1));
        let (person, of_session) = Person::and_cause(second);
        let (extent, cause) = match kind {
            ENDED => (Extent::Ended, of_session),
            REPLACED => (Extent::Replaced, of_session),
            SIGNED_OUT => (Extent::up_to(UnixTime(second)), Cause::SignOut),
            lead => (Extent::IssuedUpTo(Reach::up_to(UnixTime(second), lead)), Cause::Order),
        };
        let person = if matches!(extent, Extent::IssuedUpTo(_)) { Person::UNKNOWN } else { person };
        Some(Self { extent, owner, cause, person })
    }

    fn of_plain(number: i64) -> Self {
        let (extent, cause) = match number {
            i64::MAX => (Extent::Ended, Cause::SignOut),
            number if number == i64::MAX - 1 => (Extent::Replaced, Cause::SignOut),
            at => (Extent::up_to(UnixTime(at)), Cause::Order),
        };
        Self { extent, owner: Owner::UNKNOWN, cause, person: Person::UNKNOWN }
    }

    /// Two of the same subject as one.
    pub fn join(one: i64, other: i64) -> i64 {
        if one == other {
            return one;
        }
        let (one, other) = (Self::of_number(one), Self::of_number(other));
        let owner = if one.owner == Owner::UNKNOWN { other.owner } else { one.owner };
        let is_order = one.cause == Cause::Order || other.cause == Cause::Order;
        let cause = if is_order { Cause::Order } else { Cause::SignOut };
        let person = if one.person == Person::UNKNOWN { other.person } else { one.person };
        Self { extent: one.extent.join(other.extent), owner, cause, person }.to_number()
    }
}

impl Person {
    /// In place of the second, of a session.
    fn of_session(self, cause: Cause) -> i64 {
        i64::try_from(self.bits() << 1).unwrap_or(0) | i64::from(cause == Cause::Order)
    }

    fn and_cause(second: i64) -> (Self, Cause) {
        let cause = if second & 1 == 0 { Cause::SignOut } else { Cause::Order };
        (Self::of_bits(u64::try_from(second >> 1).unwrap_or(0)), cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TenantId;

    fn every() -> Vec<Mark> {
        let owners = [Owner::of(&TenantId::new("acme")), Owner::of_bits((1 << Owner::BITS) - 1).expect("fits")];
        let mut marks = Vec::new();
        for owner in owners {
            for cause in [Cause::SignOut, Cause::Order] {
                let ended = [Extent::Ended, Extent::Replaced];
                let up_to = [0, 1, 1_795_000_000, SECONDS.end - 1].map(|at| Extent::up_to(UnixTime(at)));
                let person = Person::UNKNOWN;
                marks.extend(ended.into_iter().chain(up_to).map(|extent| Mark { extent, owner, cause, person }));
                for bits in [1, 1 << 33, u64::MAX] {
                    marks.extend(ended.map(|extent| Mark { extent, owner, cause, person: Person::of_bits(bits) }));
                }
            }
            let leads = [1, 29, 60].map(|lead| Extent::IssuedUpTo(Reach::up_to(UnixTime(1_795_000_000), lead)));
            let (cause, person) = (Cause::Order, Person::UNKNOWN);
            marks.extend(leads.map(|extent| Mark { extent, owner, cause, person }));
        }
        marks
    }

    #[test]
    fn a_mark_is_read_as_it_was_written_and_an_earlier_version_takes_it_for_more() {
        for mark in every() {
            let number = mark.to_number();
            assert_eq!(Mark::of_number(number), mark);
            assert!((WITH_OWNER..=LAST).contains(&number), "{mark:?}");
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_means_what_it_meant() {
        let plain = |number| Mark::of_number(number).extent;
        assert_eq!((plain(i64::MAX), plain(i64::MAX - 1)), (Extent::Ended, Extent::Replaced));
        for at in [i64::MIN, -1, 0, 1_795_000_000, i64::MAX - 2] {
            assert_eq!(plain(at), Extent::up_to(UnixTime(at)));
            assert_eq!(Mark::of_number(at).to_number(), at);
        }
        let late = Mark { extent: Extent::up_to(UnixTime(LAST)), ..Mark::of_number(0) };
        assert!(Mark::of_number(late.to_number()).extent.join(late.extent) == Mark::of_number(late.to_number()).extent);
    }

    #[test]
    fn two_as_one_reach_as_far_as_both_and_are_somebodys() {
        for one in every() {
            for other in every().into_iter().chain([Mark::of_number(1_794_000_000), Mark::of_number(i64::MAX)]) {
                let joined = Mark::of_number(Mark::join(one.to_number(), other.to_number()));
                assert_eq!(joined.owner, one.owner);
                let reaches = joined.extent.join(one.extent).join(other.extent);
                assert_eq!(joined.extent, reaches, "{one:?} {other:?}");
            }
        }
    }
}
