//! What the browser gets of the app's answer: our cookies are ours, and nobody's answer is cached for another.

use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONNECTION,
        CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING, UPGRADE, VARY,
        X_FRAME_OPTIONS,
    },
};
use pingora::{Result, http::ResponseHeader};

use crate::{
    cache::ProofKind,
    cookies,
    gate::{Caller, Gate, Permit},
    head::elements,
    origin::{self, Origins, Readers},
    route::Policy,
    stamp::Stamp,
    time::UnixTime,
};

/// What no `Connection` can take out of an answer: they end its body, or guard what is ours.
const KEPT: [HeaderName; 5] = [CONTENT_LENGTH, TRANSFER_ENCODING, SET_COOKIE, CACHE_CONTROL, VARY];

/// Finishes the head of the app's answer to an admitted request, which a page of another origin may be `asking` and which is
/// for one of the tenants `here`, whose origins these are.
pub fn finish(
    response: &mut ResponseHeader,
    permit: &Permit,
    gate: &Gate,
    stamp: &Stamp,
    asking: Option<&str>,
    here: &Origins,
    now: UnixTime,
) -> Result<()> {
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
    let concerned = match permit.caller() {
        Caller::Known(proof) => Some(&proof.tenant.origins),
        Caller::Nobody { .. } => None,
    };
    let readers = Readers::of(asking, concerned, here);
    if !is_switch {
        share(response, readers)?;
        frame(response, concerned.unwrap_or(here))?;
    }
    // On an optional route the same page is there for nobody and for somebody.
    let varies = match (permit.route().policy == Policy::Public, readers == Readers::AsTheAppSays) {
        (true, true) => return Ok(()),
        (true, false) => "Origin",
        (false, true) => "Cookie, Authorization",
        (false, false) => "Cookie, Authorization, Origin",
    };
    response.append_header(VARY, varies)?;
    Ok(())
}

/// Where tenants name origins, they alone say who may read, and not the app: one voice, or browsers refuse both.
fn share(response: &mut ResponseHeader, readers: Readers<'_>) -> Result<()> {
    if readers == Readers::AsTheAppSays {
        return Ok(());
    }
    let exposed: Vec<_> = response.headers.get_all(ACCESS_CONTROL_EXPOSE_HEADERS).iter().cloned().collect();
    for name in [
        ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_ALLOW_CREDENTIALS,
        ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE,
    ] {
        response.remove_header(&name);
    }
    for (name, value) in readers.headers() {
        response.append_header(name, value)?;
    }
    if let Readers::Page(_) = readers {
        for more in exposed {
            response.append_header(ACCESS_CONTROL_EXPOSE_HEADERS, more)?;
        }
    }
    Ok(())
}

/// Where tenants name origins, their pages may show the app's in frames and no others, whatever the app says of it.
fn frame(response: &mut ResponseHeader, origins: &Origins) -> Result<()> {
    let is_page = match response.headers.get(CONTENT_TYPE) {
        Some(kind) => ["text/html", "application/xhtml"].iter().any(|page| {
            kind.as_bytes().get(..page.len()).is_some_and(|start| start.eq_ignore_ascii_case(page.as_bytes()))
        }),
        // Browsers guess.
        None => true,
    };
    let Some(directive) = origins.frame_ancestors().filter(|_| is_page) else {
        return Ok(());
    };
    // Browsers hold to each policy there is, so that the app's own would outdo ours.
    let policies: Vec<HeaderValue> = response.headers.get_all(CONTENT_SECURITY_POLICY).iter().cloned().collect();
    response.remove_header(&CONTENT_SECURITY_POLICY);
    response.remove_header(&X_FRAME_OPTIONS);
    for policy in policies {
        let kept = policy.to_str().map(origin::without_frame_ancestors);
        match kept {
            Ok(kept) if kept.is_empty() => {}
            Ok(kept) => {
                response.append_header(CONTENT_SECURITY_POLICY, kept)?;
            }
            Err(_) => {
                response.append_header(CONTENT_SECURITY_POLICY, policy)?;
            }
        }
    }
    response.append_header(CONTENT_SECURITY_POLICY, directive)?;
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
            cookies::set(proof.tenant.sessions.cookie_in(session.place)?, gate.sessions.seal(&renewed)?, left)
        }
        Caller::Nobody { dead_cookie } => dead_cookie.as_ref().map(cookies::clear),
    }
}
