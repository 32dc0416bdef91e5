//! Whom a revocation concerns, and by what a proof is found to be revoked.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    identity::{Identity, TenantId},
    session::Session,
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

    /// One session.
    pub(super) fn of_session(session: &Session) -> Self {
        Self::session(&session.identity.tenant, &Handle::of(session))
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
    pub(super) session: Option<Subject>,
    pub(super) user: Subject,
    pub(super) tenant: Subject,
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
        Self { session: Some(Subject::of_session(session)), ..Self::of_token(&session.identity) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_of_two_tenants_are_two_subjects() {
        let user = |tenant, user| Subject::user(&TenantId::new(tenant), user);
        assert!(user("a", "bc") != user("ab", "c") && user("a", "b") != user("b", "b"));
        let session = |tenant| Subject::session(&TenantId::new(tenant), &Handle([7; 16]));
        assert!(session("a") != session("b"), "nobody ends another tenant's by its handle");
    }
}
