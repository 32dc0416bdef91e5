//! Why a token is refused: which check failed, said for the log. What to do about it is in [`remedy`](super::remedy).

use std::time::Duration;

use thiserror::Error;

use super::flaw::{Held, PartsFlaw, TextFlaw, Unit};
use crate::time::spell_duration;

/// Why a token is refused, for the log and `explain`; never a value from the token but its times.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("{0}")]
    Parts(PartsFlaw),
    #[error("{0} is not one JSON object without duplicate members, nested at most 16 deep: {1}")]
    Json(&'static str, String),
    #[error("header has no alg of type string")]
    AlgorithmMissing,
    #[error("header member {0} is not supported")]
    Extension(&'static str),
    #[error("kid is not a string that names a key of this tenant")]
    UnknownKey,
    #[error("alg is not the algorithm of the key")]
    Algorithm,
    #[error("signed with key {id}, which {when}")]
    KeyOutOfDate { id: String, when: String },
    #[error("signature does not hold under any key of this tenant")]
    Signature,
    #[error("token has a revoke claim and is no credential")]
    Revoke,
    #[error("token has no revoke claim")]
    NoRevoke,
    #[error("revoke claim is neither \"user\" nor \"everyone\"")]
    RevokeWhom,
    #[error("{}", time_text(.claim, *.held))]
    Time { claim: &'static str, held: Held },
    #[error("{claim} is in {unit}, not in seconds")]
    Unit { claim: &'static str, unit: Unit },
    #[error("token lives {lived} s, longer than {}", spell_duration(*.most))]
    TooLong { lived: i64, most: Duration },
    #[error("clock is {0} s behind iat")]
    FromTheFuture(i64),
    #[error("expired {0} s ago")]
    Expired(i64),
    #[error("not valid for another {0} s")]
    NotYet(i64),
    #[error("{}", claim_text("user", .claim, *.held, "a string"))]
    UserClaim { claim: String, held: Held },
    #[error("user {0}")]
    User(TextFlaw),
    #[error("{}", claim_text("roles", .claim, *.held, "an array"))]
    RolesClaim { claim: String, held: Held },
    #[error("{0} roles, more than 64")]
    RoleCount(usize),
    #[error("a role is {0}, not a string")]
    RoleClaim(Held),
    #[error("a role {0}")]
    Role(TextFlaw),
    #[error("a role is above the tenant's ceiling")]
    ExcessRole,
    #[error("{0} claim is not a string without control characters")]
    Profile(&'static str),
    #[error("tenant claim is missing or not a string")]
    TenantMissing,
    #[error("tenant claim names another tenant")]
    Tenant,
    #[error("aud is not what the tenant demands")]
    Audience,
    #[error("iss is not what the tenant demands")]
    Issuer,
}

fn time_text(claim: &str, held: Held) -> String {
    let unit = if claim == "tokenValidity" { "minutes" } else { "seconds" };
    match held {
        Held::Nothing => format!("{claim} is missing"),
        held => format!("{claim} is {held}, not a whole number of {unit}"),
    }
}

fn claim_text(what: &str, claim: &str, held: Held, wanted: &str) -> String {
    match held {
        Held::Nothing => format!("{what} claim {claim} is missing"),
        held => format!("{what} claim {claim} is {held}, not {wanted}"),
    }
}

/// The checks a token goes through, for [`explain`](crate::cli) to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Parts,
    Json,
    Header,
    Key,
    Signature,
    Kind,
    Lifetime,
    IssuedAt,
    Expiry,
    NotBefore,
    User,
    Roles,
    Profile,
    Tenant,
    Audience,
    Issuer,
}

impl Check {
    /// In the order they are made, each with what holds when it passed.
    pub const ALL: [(Self, &str); 16] = [
        (Self::Parts, "three parts of canonical base64url, at most 8 KiB"),
        (Self::Json, "header and claims are strict JSON objects"),
        (Self::Header, "alg is given; no crit, b64 or zip"),
        (Self::Key, "kid and alg fit a key of the tenant"),
        (Self::Signature, "the signature holds, and the key is within its dates"),
        (Self::Kind, "it is a credential, not a revocation"),
        (Self::Lifetime, "iat and exp are whole seconds and not too far apart"),
        (Self::IssuedAt, "iat is not in the future"),
        (Self::Expiry, "exp has not passed"),
        (Self::NotBefore, "nbf, if given, has come"),
        (Self::User, "the user is named"),
        (Self::Roles, "the roles are well formed and allowed"),
        (Self::Profile, "e-mail, name and plan are well formed"),
        (Self::Tenant, "the tenant claim names this tenant"),
        (Self::Audience, "aud is what the tenant demands"),
        (Self::Issuer, "iss is what the tenant demands"),
    ];
}

impl TokenError {
    /// The check that failed.
    pub fn check(&self) -> Check {
        match self {
            Self::Parts(_) => Check::Parts,
            Self::Json(..) => Check::Json,
            Self::AlgorithmMissing | Self::Extension(_) => Check::Header,
            Self::UnknownKey | Self::Algorithm => Check::Key,
            Self::Signature | Self::KeyOutOfDate { .. } => Check::Signature,
            Self::Revoke | Self::NoRevoke | Self::RevokeWhom => Check::Kind,
            Self::Time { claim: "nbf", .. } | Self::Unit { claim: "nbf", .. } | Self::NotYet(_) => Check::NotBefore,
            Self::Time { .. } | Self::Unit { .. } | Self::TooLong { .. } => Check::Lifetime,
            Self::FromTheFuture(_) => Check::IssuedAt,
            Self::Expired(_) => Check::Expiry,
            Self::UserClaim { .. } | Self::User(_) => Check::User,
            Self::RolesClaim { .. } | Self::RoleCount(_) | Self::RoleClaim(_) | Self::Role(_) | Self::ExcessRole => {
                Check::Roles
            }
            Self::Profile(_) => Check::Profile,
            Self::TenantMissing | Self::Tenant => Check::Tenant,
            Self::Audience => Check::Audience,
            Self::Issuer => Check::Issuer,
        }
    }

    /// Whether no key of the tenant is known to have signed it.
    pub fn is_unsigned(&self) -> bool {
        match self.check() {
            Check::Parts | Check::Json | Check::Header | Check::Key => true,
            Check::Signature => *self == Self::Signature,
            Check::Kind
            | Check::Lifetime
            | Check::IssuedAt
            | Check::Expiry
            | Check::NotBefore
            | Check::User
            | Check::Roles
            | Check::Profile
            | Check::Tenant
            | Check::Audience
            | Check::Issuer => false,
        }
    }
}
