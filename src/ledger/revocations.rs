//! Revocations as the hot path sees them: in this process's memory, whatever the store behind.

use super::{
    LedgerError,
    bounded::{Bounded, Place, Room},
    extent::{Extent, Issued, Reach},
    mark::{Cause, Mark},
    shares::{Division, Owner, Person, Shares, Taker},
    subjects::{Handle, Subject, Subjects},
};
use crate::{session::Session, tenant::Tenant, time::UnixTime, token::Whom};

/// Somebody's sessions and tokens end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    pub subject: Subject,
    pub extent: Extent,
    /// When nothing is left that it could cover.
    pub until: UnixTime,
    pub owner: Owner,
    pub cause: Cause,
    /// Whose session it is that ended, where it is known.
    pub person: Person,
}

impl Revocation {
    /// How many bytes one is, wherever it is kept.
    pub(super) const BYTES: usize = 32;

    /// Ends all that was issued to somebody, by order.
    pub fn of_people(tenant: &Tenant, whom: &Whom, reach: Reach) -> Self {
        let subject = match whom {
            Whom::User(user) => Subject::user(&tenant.id, user),
            Whom::Everyone => Subject::tenant(&tenant.id),
        };
        let owner = Owner::of(&tenant.id);
        let until = tenant.outlived(reach.issuer);
        let (extent, cause, person) = (Extent::IssuedUpTo(reach), Cause::Order, Person::UNKNOWN);
        Self { subject, extent, until, owner, cause, person }
    }

    /// Ends one session that began up to a time, by its handle and by order.
    pub fn of_handle(tenant: &Tenant, handle: &Handle, at: UnixTime) -> Self {
        let (subject, owner) = (Subject::session(&tenant.id, handle), Owner::of(&tenant.id));
        let (until, cause, person) = (tenant.outlived(at), Cause::Order, Person::UNKNOWN);
        Self { subject, extent: Extent::Ended, until, owner, cause, person }
    }

    /// Ends one session that was signed out or replaced.
    pub fn of_session(session: &Session, extent: Extent) -> Self {
        let (subject, owner) = (Subject::of_session(session), Owner::of(&session.identity.tenant));
        let person = Person::of(Subject::user(&session.identity.tenant, &session.identity.user));
        Self { subject, extent, until: session.expires_at, owner, cause: Cause::SignOut, person }
    }

    /// Ends what was issued to the user of a session up to a time: instead of the session, where there is no place for that.
    pub fn of_user(tenant: &Tenant, session: &Session, at: UnixTime) -> Self {
        let subject = Subject::user(&tenant.id, &session.identity.user);
        // By an instance whose clock is ahead it may have begun later than it is here.
        let at = at.max(session.started_at);
        let until = tenant.outlived(at).max(session.expires_at);
        let (owner, cause, person) = (Owner::of(&tenant.id), Cause::SignOut, Person::UNKNOWN);
        Self { subject, extent: Extent::up_to(at), until, owner, cause, person }
    }

    /// Whether it would end a session, by its subject the user or that session.
    pub fn ends(&self, session: &Session) -> bool {
        let Subjects { session: own, user, tenant } = Subjects::of_session(session);
        let is_its = own == Some(self.subject) || user == self.subject || tenant == self.subject;
        is_its && self.extent.covers(Issued::of_session(session))
    }

    /// Whether another adds nothing to it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.extent.join(other.extent) == self.extent && self.until >= other.until
    }

    /// Whether it ends all that another would, by the clock of whoever issued it: an order that was done before.
    pub(super) fn has_reached(&self, extent: Extent) -> bool {
        match (self.extent, extent) {
            (Extent::IssuedUpTo(reach), Extent::IssuedUpTo(other)) => reach.issuer >= other.issuer,
            (one, other) => one.join(other) == one,
        }
    }

    /// How far it reaches and whose it is, as it is kept.
    pub(super) fn number(&self) -> i64 {
        Mark { extent: self.extent, owner: self.owner, cause: self.cause, person: self.person }.to_number()
    }

    pub(super) fn of_number(subject: Subject, number: i64, until: UnixTime) -> Self {
        let Mark { extent, owner, cause, person } = Mark::of_number(number);
        Self { subject, extent, until, owner, cause, person }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.subject.0);
        bytes[16..24].copy_from_slice(&self.number().to_be_bytes());
        bytes[24..].copy_from_slice(&self.until.0.to_be_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| Some(i64::from_be_bytes(bytes[at..at + 8].try_into().ok()?));
        Some(Self::of_number(Subject(bytes[..16].try_into().ok()?), number(16)?, UnixTime(number(24)?)))
    }
}

/// All that counts at present.
pub struct Revocations(Bounded<Subject, i64, POTS>);

const POTS: usize = 3;

/// Sign-outs must leave room for orders, and orders for sign-outs.
fn place(number: &i64) -> Place {
    let mark = Mark::of_number(*number);
    let pot = match (mark.cause, mark.extent) {
        (Cause::SignOut, Extent::Ended | Extent::Replaced) => 0,
        (Cause::SignOut, Extent::IssuedUpTo(_)) => 1,
        (Cause::Order, _) => 2,
    };
    // Orders are not counted by user, whatever session they end.
    let person = if pot == 0 { mark.person } else { Person::UNKNOWN };
    Place { pot, taker: Taker { owner: mark.owner, person } }
}

impl Revocations {
    /// Takes `most` sessions of this process's own that were signed out, and users and orders beside; what a store knows is always
    /// taken.
    pub fn new(most: usize) -> Self {
        Self::with_room(most, 0)
    }

    /// The same, with room for so many at once: to grow to a million takes twice the memory for a while.
    pub(super) fn with_room(most: usize, room: usize) -> Self {
        let pots = [Division::Shared(most), Division::Apart(most), Division::Apart(most)].map(Shares::new);
        Self(Bounded::with_room(pots, place, room))
    }

    /// Divides what there is among so many tenants.
    pub fn among(&self, tenants: usize) {
        self.0.among(tenants);
    }

    /// Adds one of our own, unless there is no room.
    pub fn insert(&self, revocation: Revocation, now: UnixTime) -> Result<(), LedgerError> {
        let added = self.place(revocation, Room::Needed);
        if added.is_err() && self.0.make_room(now) {
            return self.place(revocation, Room::Needed);
        }
        added
    }

    /// Adds one that the store knows, or for which there was room. To leave it out would be to lose it.
    pub fn learn(&self, revocation: Revocation) {
        // Where no room is needed there is always some.
        let _ = self.place(revocation, Room::Made);
    }

    /// Whether one of our own could be added.
    pub fn has_room(&self, revocation: &Revocation, now: UnixTime) -> bool {
        let has_room = || self.0.has_room(&revocation.subject, &revocation.number());
        has_room() || (self.0.make_room(now) && has_room())
    }

    /// Two of the same subject are one: it reaches as far as the farther, and is kept as long as the longer.
    fn place(&self, revocation: Revocation, room: Room) -> Result<(), LedgerError> {
        let merge = |there: &mut (i64, UnixTime), new: (i64, UnixTime)| {
            *there = (Mark::join(there.0, new.0), there.1.max(new.1));
        };
        self.0.place(revocation.subject, (revocation.number(), revocation.until), room, merge).map(|_| ())
    }

    /// What has revoked something, if anything has.
    pub fn find(&self, subjects: &Subjects, issued: Issued) -> Option<Extent> {
        // Most of the time nobody is.
        if self.count() == 0 {
            return None;
        }
        let subjects = [subjects.session, Some(subjects.user), Some(subjects.tenant)];
        let covering = |subject: Subject| {
            let number = self.0.entries.get(&subject)?.0;
            Some(Mark::of_number(number).extent).filter(|extent| extent.covers(issued))
        };
        subjects.into_iter().flatten().find_map(covering)
    }

    /// That of a subject, as it stands.
    pub(super) fn of(&self, subject: Subject) -> Option<Revocation> {
        let (number, until) = *self.0.entries.get(&subject)?;
        Some(Revocation::of_number(subject, number, until))
    }

    /// Forgets those that cover nothing any more.
    pub fn sweep(&self, now: UnixTime) {
        self.0.sweep(now);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Each of them, in no order.
    pub(super) fn all(&self) -> Vec<Revocation> {
        let read = |entry: dashmap::mapref::multiple::RefMulti<'_, Subject, (i64, UnixTime)>| {
            Revocation::of_number(*entry.key(), entry.0, entry.1)
        };
        self.0.entries.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::TenantId;

    const NOW: UnixTime = UnixTime(1_000);

    fn of_user(name: &str, at: i64, until: i64) -> Revocation {
        let acme = TenantId::new("acme");
        let (subject, extent) = (Subject::user(&acme, name), Extent::up_to(UnixTime(at)));
        let (owner, person) = (Owner::of(&acme), Person::UNKNOWN);
        Revocation { subject, extent, until: UnixTime(until), owner, cause: Cause::SignOut, person }
    }

    fn subjects(user: &str) -> Subjects {
        let acme = TenantId::new("acme");
        Subjects { session: None, user: Subject::user(&acme, user), tenant: Subject::tenant(&acme) }
    }

    fn issued(at: i64) -> Issued {
        Issued::Session { at: UnixTime(at), began: UnixTime(at) }
    }

    #[test]
    fn what_was_issued_up_to_then_is_covered_and_nothing_later() {
        let revocations = Revocations::new(10);
        assert_eq!(revocations.insert(of_user("maya", 1_000, 2_000), NOW), Ok(()));
        let find = |user, at| revocations.find(&subjects(user), issued(at));
        assert_eq!(find("maya", 1_000), Some(Extent::up_to(NOW)));
        assert_eq!(find("maya", 1_001), None);
        assert_eq!(find("noah", 1_000), None);
        revocations.learn(of_user("maya", 900, 3_000));
        assert_eq!(find("maya", 1_000), Some(Extent::up_to(NOW)), "an earlier one takes nothing back");
        revocations.sweep(UnixTime(2_500));
        assert_eq!(find("maya", 1_000), Some(Extent::up_to(NOW)), "it is kept as long as the longer");
        revocations.sweep(UnixTime(3_000));
        assert_eq!((find("maya", 1_000), revocations.count()), (None, 0));
    }

    #[test]
    fn a_full_one_refuses_ours_and_never_what_the_store_knows() {
        let revocations = Revocations::new(1);
        for number in 0..16 {
            assert_eq!(revocations.insert(of_user(&number.to_string(), 1, 1_500), NOW), Ok(()));
        }
        let noah = |until| of_user("noah", 1, until);
        assert_eq!(revocations.insert(noah(2_000), NOW), Err(LedgerError::Full));
        assert!(!revocations.has_room(&noah(2_000), NOW) && revocations.has_room(&of_user("3", 2, 1_500), NOW));
        assert_eq!(revocations.insert(of_user("3", 2, 1_500), NOW), Ok(()), "the same again takes no place");
        let order = Revocation { cause: Cause::Order, ..of_user("ines", 1, 1_500) };
        assert_eq!(revocations.insert(order, NOW), Ok(()), "an order takes no sign-out's place");
        revocations.learn(of_user("liam", 1, 2_000));
        assert_eq!(revocations.count(), 18);
        assert_eq!(revocations.insert(noah(2_500), UnixTime(1_500)), Ok(()), "what has expired makes room");
        assert_eq!(revocations.count(), 2);
    }

    #[test]
    fn bytes_are_read_as_they_were_written() {
        let reach = Extent::IssuedUpTo(Reach::up_to(NOW, 60));
        for extent in [Extent::up_to(NOW), reach, Extent::Replaced, Extent::Ended] {
            for cause in [Cause::SignOut, Cause::Order] {
                let revocation = Revocation { extent, cause, ..of_user("maya", 0, i64::MAX) };
                let is_kept = extent != reach || cause == Cause::Order;
                assert_eq!(Revocation::of_bytes(&revocation.to_bytes()) == Some(revocation), is_kept, "{extent:?}");
            }
        }
        assert!(Revocation::of_bytes(&[0; 31]).is_none());
    }
}
