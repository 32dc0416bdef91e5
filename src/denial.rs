//! Denials: the closed list of refusals, and the one place where a reason becomes one.
//!
//! A [`Reason`] is for the log and says precisely what was wrong; a [`Denial`] is all the client is told.

use std::{sync::Arc, time::Duration};

use thiserror::Error;

use crate::{
    credential::CredentialError,
    head::HeadError,
    ledger::LedgerError,
    origin::ForeignOrigin,
    route::RouteError,
    session::SessionError,
    tenant::{CookieRules, Tenant},
    token::TokenError,
    visitor::ForwardedError,
};

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    TokenMissing,
    TokenInvalid,
    TokenExpired,
    TokenSpent,
    SessionExpired,
    SessionInvalid,
    Revoked,
    TenantMismatch,
    RoleRequired,
    OriginNotAllowed,
    Forbidden,
    BadRequest,
    CredentialAmbiguous,
    NoRoute,
    MethodNotAllowed,
    PayloadTooLarge,
    HeadersTooLarge,
    RateLimited,
    UpstreamUnreachable,
    UpstreamTimeout,
    LedgerUnavailable,
    Overloaded,
}

/// How a denial is spelled on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Spelling {
    pub code: &'static str,
    pub status: u16,
    pub title: &'static str,
    /// Whether a fresh token or a new login would help.
    pub refresh: bool,
}

impl Denial {
    /// Every denial.
    pub const ALL: [Self; 22] = [
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::TokenSpent,
        Self::SessionExpired,
        Self::SessionInvalid,
        Self::Revoked,
        Self::TenantMismatch,
        Self::RoleRequired,
        Self::OriginNotAllowed,
        Self::Forbidden,
        Self::BadRequest,
        Self::CredentialAmbiguous,
        Self::NoRoute,
        Self::MethodNotAllowed,
        Self::PayloadTooLarge,
        Self::HeadersTooLarge,
        Self::RateLimited,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::LedgerUnavailable,
        Self::Overloaded,
    ];

    /// Code, status, title, and whether to refresh.
    pub fn spelling(self) -> Spelling {
        let (code, status, title, refresh) = match self {
            Self::TokenMissing => ("token_missing", 401, "Authentication required", true),
            Self::TokenInvalid => ("token_invalid", 401, "Invalid token", true),
            Self::TokenExpired => ("token_expired", 401, "Token has expired", true),
            Self::TokenSpent => ("token_spent", 401, "Token has already been used", true),
            Self::SessionExpired => ("session_expired", 401, "Session has ended", true),
            Self::SessionInvalid => ("session_invalid", 401, "Session has ended", true),
            Self::Revoked => ("revoked", 401, "Signed out", true),
            Self::TenantMismatch => ("tenant_mismatch", 403, "Token belongs to another tenant", false),
            Self::RoleRequired => ("role_required", 403, "Not allowed for your role", false),
            Self::OriginNotAllowed => ("origin_not_allowed", 403, "Origin not allowed", false),
            Self::Forbidden => ("forbidden", 403, "Forbidden", false),
            Self::BadRequest => ("bad_request", 400, "Bad request", false),
            Self::CredentialAmbiguous => ("credential_ambiguous", 400, "Bad request", false),
            Self::NoRoute => ("no_route", 404, "Nothing here", false),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed", false),
            Self::PayloadTooLarge => ("payload_too_large", 413, "Payload too large", false),
            Self::HeadersTooLarge => ("headers_too_large", 431, "Headers too large", false),
            Self::RateLimited => ("rate_limited", 429, "Too many failures", false),
            Self::UpstreamUnreachable => ("upstream_unreachable", 502, "The portal is not answering", false),
            Self::UpstreamTimeout => ("upstream_timeout", 504, "The portal is not answering", false),
            Self::LedgerUnavailable => ("ledger_unavailable", 503, "Try again shortly", false),
            Self::Overloaded => ("overloaded", 503, "Try again shortly", false),
        };
        Spelling { code, status, title, refresh }
    }

    /// The value of `WWW-Authenticate`, where there is one (RFC 6750 section 3): without an error where nothing was presented.
    pub fn challenge(self) -> Option<&'static str> {
        match self.spelling().status {
            401 if self == Self::TokenMissing => Some("Bearer realm=\"vestibule\""),
            401 => Some("Bearer realm=\"vestibule\", error=\"invalid_token\""),
            403 => Some("Bearer realm=\"vestibule\", error=\"insufficient_scope\""),
            _ => None,
        }
    }
}

/// Precisely why a request is refused. Never holds a token, a cookie or a header's value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    #[error("{0}")]
    Head(#[from] HeadError),
    #[error("{0}")]
    Forwarded(#[from] ForwardedError),
    #[error("{0}")]
    Route(#[from] RouteError),
    #[error("the route denies every request")]
    RouteDenies,
    #[error("no tenant for this host")]
    NoTenant,
    #[error("{0}")]
    Credential(#[from] CredentialError),
    #[error("no credential presented")]
    NothingPresented,
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("token belongs to a tenant that is not served here")]
    ForeignToken,
    #[error("several tenants serve this host and the token names none of them")]
    Unclaimed,
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("revoked")]
    Revoked,
    #[error("no role of those the route asks for")]
    Role,
    #[error("token was exchanged before")]
    Spent,
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{0}")]
    Origin(#[from] ForeignOrigin),
    #[error("another user is signed in and on_switch is reject")]
    Switch,
    #[error("not a same-site navigation")]
    CrossSite,
    #[error("no such endpoint")]
    NoEndpoint,
    /// Holds those it serves.
    #[error("endpoint does not serve this method")]
    EndpointMethod(&'static str),
    #[error("{0}")]
    Request(&'static str),
    #[error("body is too large")]
    BodyTooLarge,
    #[error("identity does not fit into a cookie")]
    IdentityTooLarge,
    #[error("more connections than listen.max_connections")]
    TooManyConnections,
    #[error("more requests at once than there may be connections")]
    TooManyRequests,
    #[error("too many failures from this address")]
    TooManyFailures(Duration),
    #[error("upstream {0}")]
    UpstreamUnreachable(String),
    #[error("upstream {0}")]
    UpstreamTimeout(String),
    /// The request has been here so often before.
    #[error(
        "upstream leads back to Vestibule: the request has passed {0} times (CDN-Loop); point servers at the app itself"
    )]
    Loop(usize),
}

impl Reason {
    /// What the client is told.
    pub fn denial(&self) -> Denial {
        match self {
            Self::Head(HeadError::Method) => Denial::MethodNotAllowed,
            Self::Head(HeadError::TooLarge) => Denial::HeadersTooLarge,
            Self::Head(_) | Self::Forwarded(_) | Self::Request(_) | Self::Route(RouteError::Ambiguous) => {
                Denial::BadRequest
            }
            Self::Route(RouteError::None) | Self::NoTenant | Self::NoEndpoint => Denial::NoRoute,
            Self::Route(RouteError::Method(_)) | Self::EndpointMethod(_) => Denial::MethodNotAllowed,
            Self::RouteDenies | Self::Switch | Self::CrossSite => Denial::Forbidden,
            Self::Credential(CredentialError::Ambiguous(_)) => Denial::CredentialAmbiguous,
            Self::NothingPresented => Denial::TokenMissing,
            Self::Token(TokenError::Expired(_)) => Denial::TokenExpired,
            Self::Token(TokenError::Tenant) | Self::ForeignToken => Denial::TenantMismatch,
            Self::Token(_) | Self::Unclaimed | Self::Credential(CredentialError::Malformed) => Denial::TokenInvalid,
            Self::Session(SessionError::Expired | SessionError::Idle) => Denial::SessionExpired,
            Self::Session(SessionError::Sealed | SessionError::Tenant) => Denial::SessionInvalid,
            Self::Revoked => Denial::Revoked,
            Self::Role => Denial::RoleRequired,
            Self::Spent => Denial::TokenSpent,
            Self::Ledger(_) => Denial::LedgerUnavailable,
            Self::Origin(_) => Denial::OriginNotAllowed,
            Self::BodyTooLarge | Self::IdentityTooLarge => Denial::PayloadTooLarge,
            Self::TooManyFailures(_) => Denial::RateLimited,
            Self::TooManyConnections | Self::TooManyRequests => Denial::Overloaded,
            Self::UpstreamUnreachable(_) | Self::Loop(_) => Denial::UpstreamUnreachable,
            Self::UpstreamTimeout(_) => Denial::UpstreamTimeout,
        }
    }

    /// Seconds for `Retry-After`, where waiting helps.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooManyFailures(wait) => Some(wait.as_secs().max(1)),
            Self::Ledger(_) | Self::TooManyConnections | Self::TooManyRequests => Some(5),
            _ => None,
        }
    }

    /// The methods for `Allow`, where another one would do.
    pub fn allowed_methods(&self) -> Option<&str> {
        match self {
            Self::Head(HeadError::Method) => Some("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            Self::Route(RouteError::Method(allowed)) => Some(allowed),
            Self::EndpointMethod(allowed) => Some(allowed),
            _ => None,
        }
    }

    /// Whether this is a token that no key of ours signed: what the failure limit counts.
    pub fn is_forgery(&self) -> bool {
        match self {
            Self::Token(error) => error.is_unsigned(),
            // Tried under no key.
            Self::Unclaimed => true,
            _ => false,
        }
    }
}

/// A reason with whom it concerns, as far as that is known.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub reason: Reason,
    pub tenant: Option<Arc<Tenant>>,
    /// A session cookie that will never pass again, to be cleared.
    pub dead_cookie: Option<CookieRules>,
    /// Of an exchange: where it would have led.
    pub return_to: Option<String>,
}

impl<R: Into<Reason>> From<R> for Refusal {
    fn from(reason: R) -> Self {
        Self { reason: reason.into(), tenant: None, dead_cookie: None, return_to: None }
    }
}

impl Refusal {
    /// The refusal, and the tenant it concerns.
    pub fn of(self, tenant: &Arc<Tenant>) -> Self {
        Self { tenant: self.tenant.or_else(|| Some(tenant.clone())), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_titles_do_not_tell_more() {
        let mut codes: Vec<_> = Denial::ALL.iter().map(|denial| denial.spelling().code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Denial::ALL.len());
        assert!(Denial::ALL.iter().all(|denial| !denial.spelling().title.is_empty()));
    }
}
