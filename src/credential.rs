//! What a request presents to say who is calling: at most one of a kind, the first kind present counts.
//!
//! `Authorization: Bearer` (RFC 6750 section 2.1), else the route's `bearer_param`, else a WebSocket subprotocol
//! `bearer.<token>`, else the session cookie. A bad one never falls through to the next: that would let a client choose.
//!
//! `bearer_param` counts where a script reads (a WebSocket, an event stream, `fetch` of GET). On a page, a part of one or a write it
//! is not a credential: a link, or a form of a foreign page, would sign its visitor in as somebody else.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use thiserror::Error;

use crate::{
    cookies, fetch,
    head::{Head, elements},
    query,
    tenant::Candidates,
};

/// A credential, unverified.
#[derive(Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    Token(Cow<'a, str>),
    Session(Sealed<'a>),
    /// Cookies of several names: tenants of one host may each have their own, and one of them may be dead.
    Sessions(Vec<Sealed<'a>>),
}

/// A session cookie, unopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    pub cookie: &'a str,
    pub value: &'a str,
}

/// Why what was presented is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CredentialError {
    #[error("more than one {0}")]
    Ambiguous(&'static str),
    #[error("bearer is not one token after one space")]
    Malformed,
}

impl<'a> Credential<'a> {
    /// What a request presents; `None` when it presents nothing.
    pub fn presented(
        head: &Head<'a>,
        bearer_param: Option<&'a str>,
        candidates: &Candidates,
    ) -> Result<Option<Self>, CredentialError> {
        if let Some(token) = bearer(head)? {
            return Ok(Some(Self::Token(token.into())));
        }
        if let (Some(param), Some(query)) = (bearer_param, head.query)
            && fetch::is_by_script(head)
            && let Some(token) = only(query::values(query, move |name| name == param), "bearer parameter")?
        {
            return Ok(Some(Self::Token(token)));
        }
        if let Some(token) = only(subprotocol_tokens(head), "bearer subprotocol")? {
            return Ok(Some(Self::Token(token.into())));
        }
        let mut sessions = sessions(head, candidates)?;
        Ok(match sessions.len() {
            0 | 1 => sessions.pop().map(Self::Session),
            _ => Some(Self::Sessions(sessions)),
        })
    }
}

/// The token of `Authorization: Bearer`. Another scheme is the app's own business.
pub fn bearer<'a>(head: &Head<'a>) -> Result<Option<&'a str>, CredentialError> {
    let Some(value) = only(head.headers.get_all(AUTHORIZATION).iter(), "Authorization header")? else {
        return Ok(None);
    };
    let value = value.as_bytes();
    let scheme = value.split(|b| *b == b' ' || *b == b'\t').next().unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Ok(None);
    }
    let token = value[scheme.len()..].strip_prefix(b" ").ok_or(CredentialError::Malformed)?;
    match std::str::from_utf8(token) {
        Ok(token) if !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()) => Ok(Some(token)),
        _ => Err(CredentialError::Malformed),
    }
}

/// The session cookies of the candidates: at most one of a name.
pub fn sessions<'a>(head: &Head<'a>, candidates: &Candidates) -> Result<Vec<Sealed<'a>>, CredentialError> {
    let mut sessions: Vec<Sealed<'a>> = Vec::new();
    for pair in cookies::pairs(head.headers) {
        let Some(cookie) = std::str::from_utf8(pair.name).ok().filter(|name| candidates.cookie(name).is_some()) else {
            continue;
        };
        if sessions.iter().any(|other| other.cookie == cookie) {
            return Err(CredentialError::Ambiguous("session cookie"));
        }
        // What is not text opens as nothing, but it was presented.
        sessions.push(Sealed { cookie, value: std::str::from_utf8(pair.value).unwrap_or_default() });
    }
    Ok(sessions)
}

/// The prefix of a subprotocol that carries a token.
pub const SUBPROTOCOL: &str = "bearer.";

fn subprotocol_tokens<'a>(head: &Head<'a>) -> impl Iterator<Item = &'a str> {
    elements(head.headers, SEC_WEBSOCKET_PROTOCOL).filter_map(|protocol| protocol.strip_prefix(SUBPROTOCOL))
}

fn only<T>(mut items: impl Iterator<Item = T>, what: &'static str) -> Result<Option<T>, CredentialError> {
    match (items.next(), items.next()) {
        (_, Some(_)) => Err(CredentialError::Ambiguous(what)),
        (one, None) => Ok(one),
    }
}
