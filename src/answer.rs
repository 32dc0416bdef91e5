//! What the browser gets of the app's answer: our cookies are ours, and nobody's answer is cached for another.

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING, UPGRADE, VARY},
};
use pingora::{Result, http::ResponseHeader};

use crate::{
    cache::ProofKind,
    cookies,
    gate::{Caller, Gate, Permit},
    head::elements,
    route::Policy,
    stamp::Stamp,
    time::UnixTime,
};

/// What no `Connection` can take out of an answer: they end its body, or guard what is ours.
const KEPT: [HeaderName; 5] = [CONTENT_LENGTH, TRANSFER_ENCODING, SET_COOKIE, CACHE_CONTROL, VARY];

/// Finishes the head of the app's answer to an admitted request.
pub fn finish(response: &mut ResponseHeader, permit: &Permit, gate: &Gate, stamp: &Stamp, now: UnixTime) -> Result<()> {
    let is_switch = response.status == StatusCode::SWITCHING_PROTOCOLS;
    if !is_switch {
        // RFC 9110 section 7.6.1; Pingora leaves the response's alone.
        let nominated: Vec<HeaderName> =
            elements(&response.headers, CONNECTION).filter_map(|name| name.parse().ok()).collect();
        for name in nominated.iter().filter(|name| !KEPT.contains(name)) {
            response.remove_header(name);
        }
        response.remove_header(&UPGRADE);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate"] {
        response.remove_header(name);
    }
    // RFC 9110 section 8.6.
    if response.status == StatusCode::NO_CONTENT {
        response.remove_header(&CONTENT_LENGTH);
        response.remove_header(&TRANSFER_ENCODING);
    }
    keep_our_cookies(response, stamp)?;
    if let Some(cookie) = cookie_for(permit, gate, now) {
        response.append_header(SET_COOKIE, cookie)?;
        // Whatever the app says of its page, this answer holds somebody's cookie.
        response.insert_header(CACHE_CONTROL, "private, no-store")?;
    }
    if let Caller::Known(_) = permit.caller()
        && !response.headers.contains_key(CACHE_CONTROL)
    {
        response.insert_header(CACHE_CONTROL, "private")?;
    }
    // On an optional route the same page is there for nobody and for somebody.
    if permit.route().policy != Policy::Public {
        response.append_header("Vary", "Cookie, Authorization")?;
    }
    Ok(())
}

/// The app can neither set nor clear our sessions, not in a 103 either.
pub fn keep_our_cookies(response: &mut ResponseHeader, stamp: &Stamp) -> Result<()> {
    let is_ours = |value: &HeaderValue| stamp.is_session_cookie(cookies::name_set_by(value.as_bytes()));
    if !response.headers.get_all(SET_COOKIE).iter().any(is_ours) {
        return Ok(());
    }
    let kept: Vec<_> = response.headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
    response.remove_header(&SET_COOKIE);
    for value in kept {
        response.append_header(SET_COOKIE, value)?;
    }
    Ok(())
}

/// The `Set-Cookie` that goes with an admitted request: an idle session used again, or a dead one to clear.
fn cookie_for(permit: &Permit, gate: &Gate, now: UnixTime) -> Option<String> {
    match permit.caller() {
        Caller::Known(proof) => {
            let ProofKind::Session(session) = &proof.kind else {
                return None;
            };
            let lifetime = proof.tenant.sessions.lifetime;
            // It may have been signed out while the app was at work: then the browser has another cookie by now, or none.
            if gate.ledger.find(&proof.subjects, proof.issued_at()) != Ok(None) {
                return None;
            }
            let renewed = session.renewed(lifetime, now)?;
            let left = renewed.ends_at(lifetime).since(now);
            cookies::set(&proof.tenant.sessions.cookie, gate.sessions.seal(&renewed)?, left)
        }
        Caller::Nobody { dead_cookie } => dead_cookie.as_ref().map(cookies::clear),
    }
}
