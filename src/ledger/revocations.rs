//! Revocations as the hot path sees them: in this process's memory, whatever the store behind.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{LedgerError, bounded::Bounded};
use crate::{
    identity::{Identity, TenantId},
    session::Session,
    tenant::Tenant,
    time::UnixTime,
    token::Whom,
};

/// Whom a revocation concerns: a session, a user or a whole tenant, as the first 16 bytes of a SHA-256, so that no store learns
/// who they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject(pub(super) [u8; 16]);

impl Subject {
    /// One session of a tenant's.
    pub fn session(tenant: &TenantId, handle: &Handle) -> Self {
        Self(digest(&[b"session", tenant.as_str().as_bytes(), &handle.0]))
    }

    /// All sessions and tokens of a user.
    pub fn user(tenant: &TenantId, user: &str) -> Self {
        Self(digest(&[b"user", tenant.as_str().as_bytes(), user.as_bytes()]))
    }

    /// All sessions and tokens of a tenant.
    pub fn tenant(tenant: &TenantId) -> Self {
        Self(digest(&[b"tenant", tenant.as_str().as_bytes()]))
    }
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut digest = Context::new(&SHA256);
    for part in parts {
        digest.update(&part.len().to_be_bytes());
        digest.update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&digest.finish().as_ref()[..16]);
    id
}

/// The name of a session outside its cookie, a digest of its id: it stands in the log, `vestibule revoke --session` takes it, and
/// it opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle([u8; 16]);

impl Handle {
    /// That of a session.
    pub fn of(session: &Session) -> Self {
        Self(digest(&[b"handle", &session.id.0]))
    }

    /// As it stands in the log.
    pub fn parse(text: &str) -> Option<Self> {
        Some(Self(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

/// By what a proof may be revoked, found once for all the requests it is used for.
pub struct Subjects {
    session: Option<Subject>,
    user: Subject,
    tenant: Subject,
}

impl Subjects {
    /// Of a token.
    pub fn of_token(identity: &Identity) -> Self {
        Self {
            session: None,
            user: Subject::user(&identity.tenant, &identity.user),
            tenant: Subject::tenant(&identity.tenant),
        }
    }

    /// Of a session.
    pub fn of_session(session: &Session) -> Self {
        Self { session: Some(subject_of(session)), ..Self::of_token(&session.identity) }
    }
}

fn subject_of(session: &Session) -> Subject {
    Subject::session(&session.identity.tenant, &Handle::of(session))
}

/// How far a revocation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// What was issued at that time or before.
    IssuedUpTo(UnixTime),
    /// The session, because another took its place in the browser: the cookie there is not its own any more.
    Replaced,
    /// The session.
    Ended,
}

impl Extent {
    /// As one number, in the same order.
    pub(super) fn to_number(self) -> i64 {
        match self {
            Self::IssuedUpTo(at) => at.0.min(i64::MAX - 2),
            Self::Replaced => i64::MAX - 1,
            Self::Ended => i64::MAX,
        }
    }

    pub(super) fn of_number(number: i64) -> Self {
        match number {
            i64::MAX => Self::Ended,
            number if number == i64::MAX - 1 => Self::Replaced,
            at => Self::IssuedUpTo(UnixTime(at)),
        }
    }
}

/// Somebody's sessions and tokens end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    pub subject: Subject,
    pub extent: Extent,
    /// When nothing is left that it could cover.
    pub until: UnixTime,
}

impl Revocation {
    /// How many bytes one is, wherever it is kept.
    pub(super) const BYTES: usize = 32;

    /// Ends all that was issued to somebody up to a time.
    pub fn of_people(tenant: &Tenant, whom: &Whom, at: UnixTime) -> Self {
        let subject = match whom {
            Whom::User(user) => Subject::user(&tenant.id, user),
            Whom::Everyone => Subject::tenant(&tenant.id),
        };
        Self { subject, extent: Extent::IssuedUpTo(at), until: tenant.outlived(at) }
    }

    /// Ends one session that began up to a time, by its handle.
    pub fn of_handle(tenant: &Tenant, handle: &Handle, at: UnixTime) -> Self {
        Self { subject: Subject::session(&tenant.id, handle), extent: Extent::Ended, until: tenant.outlived(at) }
    }

    /// Ends one session.
    pub fn of_session(session: &Session, extent: Extent) -> Self {
        Self { subject: subject_of(session), extent, until: session.expires_at }
    }

    /// Whether another adds nothing to it.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.extent >= other.extent && self.until >= other.until
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.subject.0);
        bytes[16..24].copy_from_slice(&self.extent.to_number().to_be_bytes());
        bytes[24..].copy_from_slice(&self.until.0.to_be_bytes());
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let number = |at: usize| Some(i64::from_be_bytes(bytes[at..at + 8].try_into().ok()?));
        Some(Self {
            subject: Subject(bytes[..16].try_into().ok()?),
            extent: Extent::of_number(number(16)?),
            until: UnixTime(number(24)?),
        })
    }
}

/// All that counts at present.
pub struct Revocations(Bounded<Subject, i64>);

impl Revocations {
    /// Takes at most `most` of this process's own; what a store knows is always taken.
    pub fn new(most: usize) -> Self {
        Self::with_room(most, 0)
    }

    /// The same, with room for so many at once: to grow to a million takes twice the memory for a while.
    pub(super) fn with_room(most: usize, room: usize) -> Self {
        Self(Bounded::with_room(most, room))
    }

    /// Adds one of our own, unless there is no room.
    pub fn insert(&self, revocation: Revocation, now: UnixTime) -> Result<(), LedgerError> {
        self.0.make_room(now);
        self.place(revocation, self.0.most)
    }

    /// Adds one that the store knows. To leave it out would be to lose it.
    pub fn learn(&self, revocation: Revocation) {
        // Without a bound there is always room.
        let _ = self.place(revocation, usize::MAX);
    }

    /// Two of the same subject are one: it reaches as far as the farther, and is kept as long as the longer.
    fn place(&self, revocation: Revocation, most: usize) -> Result<(), LedgerError> {
        let new = (revocation.extent.to_number(), revocation.until);
        let merge = |there: &mut (i64, UnixTime), new: (i64, UnixTime)| {
            *there = (there.0.max(new.0), there.1.max(new.1));
        };
        self.0.place(revocation.subject, new, most, merge).map(|_| ())
    }

    /// What has revoked something issued at that time, if anything has.
    pub fn find(&self, subjects: &Subjects, issued_at: UnixTime) -> Option<Extent> {
        // Most of the time nobody is.
        if self.count() == 0 {
            return None;
        }
        let subjects = [subjects.session, Some(subjects.user), Some(subjects.tenant)];
        let covering =
            |subject: Subject| self.0.entries.get(&subject).filter(|entry| entry.0 >= issued_at.0).map(|entry| entry.0);
        subjects.into_iter().flatten().find_map(covering).map(Extent::of_number)
    }

    /// That of a subject, as it stands.
    pub(super) fn of(&self, subject: Subject) -> Option<Revocation> {
        let (extent, until) = *self.0.entries.get(&subject)?;
        Some(Revocation { subject, extent: Extent::of_number(extent), until })
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
        let read = |entry: dashmap::mapref::multiple::RefMulti<'_, Subject, (i64, UnixTime)>| Revocation {
            subject: *entry.key(),
            extent: Extent::of_number(entry.0),
            until: entry.1,
        };
        self.0.entries.iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);

    fn of_user(name: &str, at: i64, until: i64) -> Revocation {
        let subject = Subject::user(&TenantId::new("acme"), name);
        Revocation { subject, extent: Extent::IssuedUpTo(UnixTime(at)), until: UnixTime(until) }
    }

    fn subjects(user: &str) -> Subjects {
        let acme = TenantId::new("acme");
        Subjects { session: None, user: Subject::user(&acme, user), tenant: Subject::tenant(&acme) }
    }

    #[test]
    fn what_was_issued_up_to_then_is_covered_and_nothing_later() {
        let revocations = Revocations::new(10);
        assert_eq!(revocations.insert(of_user("maya", 1_000, 2_000), NOW), Ok(()));
        let find = |user, at| revocations.find(&subjects(user), UnixTime(at));
        assert_eq!(find("maya", 1_000), Some(Extent::IssuedUpTo(NOW)));
        assert_eq!(find("maya", 1_001), None);
        assert_eq!(find("noah", 1_000), None);
        revocations.learn(of_user("maya", 900, 3_000));
        assert_eq!(find("maya", 1_000), Some(Extent::IssuedUpTo(NOW)), "an earlier one takes nothing back");
        revocations.sweep(UnixTime(2_500));
        assert_eq!(find("maya", 1_000), Some(Extent::IssuedUpTo(NOW)), "it is kept as long as the longer");
        revocations.sweep(UnixTime(3_000));
        assert_eq!((find("maya", 1_000), revocations.count()), (None, 0));
    }

    #[test]
    fn a_full_one_refuses_ours_and_never_what_the_store_knows() {
        let revocations = Revocations::new(1);
        assert_eq!(revocations.insert(of_user("maya", 1, 1_500), NOW), Ok(()));
        assert_eq!(revocations.insert(of_user("noah", 1, 2_000), NOW), Err(LedgerError::Full));
        assert_eq!(revocations.insert(of_user("maya", 2, 1_500), NOW), Ok(()), "the same again takes no place");
        revocations.learn(of_user("ines", 1, 2_000));
        assert_eq!(revocations.count(), 2);
        revocations.sweep(UnixTime(1_500));
        assert_eq!(revocations.insert(of_user("noah", 1, 2_000), UnixTime(1_500)), Err(LedgerError::Full));
        assert_eq!(
            revocations.insert(of_user("noah", 1, 2_500), UnixTime(2_000)),
            Ok(()),
            "what has expired makes room"
        );
    }

    #[test]
    fn bytes_are_read_as_they_were_written() {
        for extent in [Extent::IssuedUpTo(UnixTime(-1)), Extent::IssuedUpTo(NOW), Extent::Replaced, Extent::Ended] {
            let revocation = Revocation { extent, ..of_user("maya", 0, i64::MAX) };
            assert!(Revocation::of_bytes(&revocation.to_bytes()) == Some(revocation));
        }
        assert!(Revocation::of_bytes(&[0; 31]).is_none());
        assert!(Extent::Ended > Extent::Replaced && Extent::Replaced > Extent::IssuedUpTo(UnixTime(i64::MAX)));
    }

    #[test]
    fn users_of_two_tenants_are_two_subjects() {
        let user = |tenant, user| Subject::user(&TenantId::new(tenant), user);
        assert!(user("a", "bc") != user("ab", "c") && user("a", "b") != user("b", "b"));
        let session = |tenant| Subject::session(&TenantId::new(tenant), &Handle([7; 16]));
        assert!(session("a") != session("b"), "nobody ends another tenant's by its handle");
    }
}
