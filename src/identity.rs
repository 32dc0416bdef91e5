//! Who is calling, and the proof that it was verified.

use std::{fmt, ops::Deref, sync::Arc};

/// A tenant's id: the name of its table in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

impl TenantId {
    /// Takes the name; the configuration has checked its characters.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a caller. The limits are those of the claims it came from (see [`crate::token`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub user: String,
    pub tenant: TenantId,
    pub roles: Vec<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub plan: Option<String>,
    pub picture: Option<String>,
}

impl Identity {
    /// Whether both are one user of one tenant, whatever else is known of them.
    pub fn is_same_user(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.user == other.user
    }
}

/// A value that a check of cryptography vouches for.
///
/// Whoever holds one may act on it: there is one way to make it, so that a search for `Verified::assertion` finds every
/// place that vouches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Vouches for `value`.
    pub(crate) fn assertion(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
