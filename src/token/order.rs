//! A tenant's order to revoke: a token of its dialect with the claim `revoke`, which is no credential anywhere.

use super::{Jwt, TokenError, TokenRules, parties, times, user};
use crate::{
    identity::{TenantId, Verified},
    time::UnixTime,
};

/// What a verified order says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub whom: Whom,
    pub issued_at: UnixTime,
    pub expires_at: UnixTime,
}

/// Whose sessions and tokens are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    User(String),
    Everyone,
}

/// Verifies an order for a tenant at `now`: as any token, but that `everyone` names no user.
pub fn verify_order(
    jwt: &Jwt<'_>,
    tenant: &TenantId,
    rules: &TokenRules,
    now: UnixTime,
) -> Result<Verified<Order>, TokenError> {
    jwt.key(&rules.keys, now)?;
    let whom = jwt.claims.member("revoke").ok_or(TokenError::NoRevoke)?;
    let times = times(jwt, rules, now)?;
    let whom = match whom.text() {
        Some("user") => Whom::User(user(jwt, &rules.claims)?),
        Some("everyone") => Whom::Everyone,
        _ => return Err(TokenError::RevokeWhom),
    };
    parties(jwt, tenant, rules)?;
    Ok(Verified::assertion(Order { whom, issued_at: times.issued_at, expires_at: times.expires_at }))
}
