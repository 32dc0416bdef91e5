//! Credentials already verified, so that the next request need not do it again.
//!
//! Keyed by the whole credential and the set of tenants it was verified for, compared in full: a hash alone would let one
//! caller be another. Bounded; what can change (time, key dates, revocation, roles) is checked again by the
//! [`Gate`](crate::gate) on each hit, and a new configuration starts with an empty cache.

use std::sync::Arc;

use quick_cache::{Equivalent, Weighter, sync::Cache};

use crate::{
    identity::{Identity, Verified},
    ledger::{Issued, Subjects},
    session::{Place, Session, SessionKeys, TAG},
    tenant::Tenant,
    time::UnixTime,
    token::Claims,
};

/// What a credential was found to be.
pub struct Proof {
    pub tenant: Arc<Tenant>,
    pub kind: ProofKind,
    /// By what it may be revoked.
    pub subjects: Subjects,
    issued: Issued,
    /// Of a session: the key it was sealed under.
    pub tag: Option<[u8; TAG]>,
}

/// The two ways of proving who is calling.
pub enum ProofKind {
    Token(Verified<Claims>),
    Session(Verified<Session>),
}

impl Proof {
    /// A token that verified for the tenant, and the earliest time at which it may have been issued.
    pub fn of_token(tenant: Arc<Tenant>, claims: Verified<Claims>, earliest: UnixTime) -> Self {
        let subjects = Subjects::of_token(&claims.identity);
        let issued = Issued::Token { at: claims.issued_at, earliest };
        Self { tenant, subjects, issued, kind: ProofKind::Token(claims), tag: None }
    }

    /// A session of the tenant's that opened, from its cookie's value.
    pub fn of_session(tenant: Arc<Tenant>, session: Verified<Session>, value: &str) -> Self {
        let (subjects, issued) = (Subjects::of_session(&session), Issued::of_session(&session));
        Self { tenant, subjects, issued, kind: ProofKind::Session(session), tag: SessionKeys::tag(value) }
    }

    /// Whether it is a session.
    pub fn is_session(&self) -> bool {
        matches!(self.kind, ProofKind::Session(_))
    }

    /// Whether it is a session of that place.
    pub fn is_in(&self, place: Place) -> bool {
        matches!(&self.kind, ProofKind::Session(session) if session.place == place)
    }

    /// When it was issued: revocations reach up to a time.
    pub fn issued(&self) -> Issued {
        self.issued
    }

    /// Who is calling: nothing after this asks how they came.
    pub fn identity(&self) -> &Identity {
        match &self.kind {
            ProofKind::Token(claims) => &claims.identity,
            ProofKind::Session(session) => &session.identity,
        }
    }
}

/// What all credentials held may weigh, in bytes: some 100,000 tokens of usual size.
const MOST: u64 = 64 << 20;

/// What an entry weighs beside its credential, roughly: the proof and the places in the table.
const OVERHEAD: u64 = 448;

/// The cache of one configuration.
pub struct VerifiedCache(Cache<Key, Arc<Proof>, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Arc<Proof>> for Weight {
    fn weight(&self, key: &Key, _: &Arc<Proof>) -> u64 {
        // The identity was read out of the credential and is not longer.
        2 * key.credential.len() as u64 + OVERHEAD
    }
}

/// Which kind of credential a text was presented as: a token sent as a cookie is no session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Token,
    Session,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    kind: Kind,
    set: usize,
    credential: Box<str>,
}

#[derive(Hash)]
struct Wanted<'a> {
    kind: Kind,
    set: usize,
    credential: &'a str,
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.kind == key.kind && self.set == key.set && *self.credential == *key.credential
    }
}

impl Default for VerifiedCache {
    fn default() -> Self {
        Self(Cache::with_weighter(100_000, MOST, Weight))
    }
}

impl VerifiedCache {
    /// The proof of a credential presented for that set of tenants.
    pub fn find(&self, kind: Kind, set: usize, credential: &str) -> Option<Arc<Proof>> {
        self.0.get(&Wanted { kind, set, credential })
    }

    /// Remembers a proof.
    pub fn insert(&self, kind: Kind, set: usize, credential: &str, proof: Arc<Proof>) {
        self.0.insert(Key { kind, set, credential: credential.into() }, proof);
    }
}
