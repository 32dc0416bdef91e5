//! Why a token is refused: which check failed, said for the log, with the remedy for the developer whose backend signs.

use std::time::Duration;

use thiserror::Error;

use crate::time::{UnixTime, spell_duration};

/// Why a token is refused, for the log and `explain`; never a value from the token but its times.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("not three parts of unpadded base64url in at most 8 KiB")]
    Parts,
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
    #[error("{0} is missing or not a whole number of seconds")]
    Time(&'static str),
    #[error("token lives {lived} s, longer than {}", spell_duration(*.most))]
    TooLong { lived: i64, most: Duration, expires_at: UnixTime },
    #[error("clock is {0} s behind iat")]
    FromTheFuture(i64),
    #[error("expired {0} s ago")]
    Expired(i64),
    #[error("not valid for another {0} s")]
    NotYet(i64),
    #[error("user claim is not a plain string of 1 to 256 bytes")]
    User,
    #[error("roles claim is not an array of at most 64 plain strings of 1 to 128 bytes")]
    Roles,
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

/// As seconds, the year 5138; as milliseconds, 1973.
fn is_milliseconds(number: i64) -> bool {
    number > 100_000_000_000
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
            Self::Parts => Check::Parts,
            Self::Json(..) => Check::Json,
            Self::AlgorithmMissing | Self::Extension(_) => Check::Header,
            Self::UnknownKey | Self::Algorithm => Check::Key,
            Self::Signature | Self::KeyOutOfDate { .. } => Check::Signature,
            Self::Revoke | Self::NoRevoke | Self::RevokeWhom => Check::Kind,
            Self::Time("nbf") | Self::NotYet(_) => Check::NotBefore,
            Self::Time(_) | Self::TooLong { .. } => Check::Lifetime,
            Self::FromTheFuture(_) => Check::IssuedAt,
            Self::Expired(_) => Check::Expiry,
            Self::User => Check::User,
            Self::Roles | Self::ExcessRole => Check::Roles,
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

    /// What to do about it, for the developer whose backend signs.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Parts => "send the token as the library returned it, without quotes or line ends",
            Self::Json(..) => "sign a plain object with your library; do not build the JSON by hand",
            Self::AlgorithmMissing | Self::Algorithm => {
                "sign with the algorithm of the tenant's key, HS256 unless it says otherwise"
            }
            Self::Extension(_) => "sign without this header member",
            Self::UnknownKey => "leave kid out, or use the id of one of the tenant's keys",
            Self::KeyOutOfDate { .. } => "sign with a key that is in force",
            Self::Signature => {
                "sign with the tenant's secret, byte for byte: look for a line end, or a text/base64 mix-up (see `format`)"
            }
            Self::Revoke => "post it to /_auth/revoke instead",
            Self::NoRevoke | Self::RevokeWhom => "set revoke to \"user\" or \"everyone\"",
            Self::Time(_) => "set iat and exp as whole seconds since 1970",
            Self::TooLong { expires_at, .. } if is_milliseconds(expires_at.0) => {
                "exp is in milliseconds; divide by 1000"
            }
            Self::TooLong { .. } => "sign for a shorter time, or raise max_token_lifetime",
            Self::FromTheFuture(ahead) if is_milliseconds(*ahead) => "iat is in milliseconds; divide by 1000",
            Self::FromTheFuture(_) => "set the clocks of both machines by NTP, or raise leeway (60s at most)",
            Self::Expired(_) => "ask the backend for a new token",
            Self::NotYet(_) => "nbf lies ahead: wait, or sign with nbf = now",
            Self::User => "put the user's id there as a string, without control characters or spaces around it",
            Self::Roles => "send an array of strings, or leave the claim out",
            Self::ExcessRole => "sign without that role, or add it to allow_roles",
            Self::Profile(_) => "send a string, null, or leave the claim out",
            Self::TenantMissing => "put the tenant's id there as a string",
            Self::Tenant => "set the tenant claim to the tenant's id, or open the tenant's own host",
            Self::Audience => "set aud to the tenant's audience",
            Self::Issuer => "set iss to the tenant's issuer",
        }
    }
}
