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
    cache::{Proof, ProofKind},
    cookies,
    gate::{Caller, Gate, Permit},
    head::elements,
    leftovers::AppCookies,
    origin::{self, Origins, Readers},
    route::Policy,
    stamp::Stamp,
    time::UnixTime,
};

/// What no `Connection` can take out of an answer: they end its body, or guard what is ours.
const KEPT: [HeaderName; 5] = [CONTENT_LENGTH, TRANSFER_ENCODING, SET_COOKIE, CACHE_CONTROL, VARY];

/// What an answer depends on beside who is answered.
pub struct Asked<'a> {
    /// The origin of the page that asks, where it is another than ours.
    pub asking: Option<&'a str>,
    /// Those of the tenants it may be for.
    pub here: &'a Origins,
    /// The app's login cookies, where they are looked after.
    pub app_cookies: Option<&'a mut AppCookies>,
    /// The host as the browser sees it.
    pub host: &'a str,
    /// What clears cookies that a sibling host has planted.
    pub planted: &'a [String],
    /// What the browser makes of the answer.
    pub shown: Shown,
    /// Whether a session came along to a public route, which asks for none.
    pub has_session: bool,
}

/// What the browser says it makes of an answer (Fetch Metadata, `Sec-Fetch-Mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// A page in a window or frame: of whatever type, a PDF or JSON too.
    AsPage,
    /// Part of a page, or nothing is said.
    #[default]
    Otherwise,
}

/// Finishes the head of the app's answer to an admitted request.
pub fn finish(
    response: &mut ResponseHeader,
    permit: &Permit,
    gate: &Gate,
    stamp: &Stamp,
    asked: Asked<'_>,
    now: UnixTime,
) -> Result<()> {
    let Asked { asking, here, app_cookies, host, planted, shown, has_session } = asked;
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
    keep_ours(response, stamp)?;
    if let Some(app_cookies) = app_cookies {
        let ours = app_cookies.set_cookies(&response.headers);
        let is_framed = response.headers.get_all(SET_COOKIE).iter().any(|line| app_cookies.set_by_app(line).is_some());
        if !ours.is_empty() || is_framed {
            // Before the app's own: what it sets now is not left over.
            let theirs: Vec<HeaderValue> = response.headers.get_all(SET_COOKIE).iter().cloned().collect();
            response.remove_header(&SET_COOKIE);
            for line in ours {
                response.append_header(SET_COOKIE, line)?;
            }
            for line in theirs {
                response.append_header(SET_COOKIE, app_cookies.set_by_app(&line).unwrap_or(line))?;
            }
            response.insert_header(CACHE_CONTROL, "private, no-store")?;
        }
    }
    for cookie in cookies_for(permit, gate, host, now).into_iter().chain(planted.iter().cloned()) {
        response.append_header(SET_COOKIE, cookie)?;
        // Whatever the app says of its page, this answer holds somebody's cookie.
        response.insert_header(CACHE_CONTROL, "private, no-store")?;
    }
    // A page that may be stored, or kept as it was (back/forward cache), is shown by the back button after a sign-out or to the
    // next user, whatever `max-age` says: the app's own Cache-Control does not count here. The shell of a public single-page app
    // shows what its scripts fetched with the session.
    let is_page = shown == Shown::AsPage || is_html(response);
    match permit.caller() {
        _ if is_switch => {}
        Caller::Known(proof) if is_page && proof.is_session() => keep_out_of_caches(response)?,
        Caller::Nobody { .. } if is_page && has_session => keep_out_of_caches(response)?,
        Caller::Known(_) if !response.headers.contains_key(CACHE_CONTROL) => {
            response.insert_header(CACHE_CONTROL, "private")?;
        }
        Caller::Known(_) | Caller::Nobody { .. } => {}
    }
    let origins = match permit.caller() {
        Caller::Known(proof) => &proof.tenant.origins,
        Caller::Nobody { .. } => here,
    };
    let readers = Readers::of(asking, origins);
    if !is_switch {
        share(response, readers)?;
        frame(response, origins)?;
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

fn is_html(response: &ResponseHeader) -> bool {
    let kind = response.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    ["text/html", "application/xhtml+xml"].iter().any(|html| kind.eq_ignore_ascii_case(html.as_bytes()))
}

/// RFC 9111 section 5.2.2.5.
fn keep_out_of_caches(response: &mut ResponseHeader) -> Result<()> {
    if elements(&response.headers, CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case("no-store")) {
        return Ok(());
    }
    response.insert_header(CACHE_CONTROL, "private, no-store")
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
    // On whatever it is: browsers make pages of more than HTML, and guess.
    let Some(directive) = origins.frame_ancestors() else {
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
pub fn keep_ours(response: &mut ResponseHeader, stamp: &Stamp) -> Result<()> {
    keep_our_cookies(response, stamp)?;
    keep_cookies_uncleared(response)
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What `Clear-Site-Data` may clear beside cookies (Clear Site Data section 3.1, and what Chromium has added). `"*"` is all of them.
const CLEARABLE: [&str; 6] =
    ["\"cache\"", "\"storage\"", "\"executionContexts\"", "\"clientHints\"", "\"prefetchCache\"", "\"prerenderCache\""];

/// `Clear-Site-Data` of the app's, without what clears cookies, ours among them: browsers do not ask whose. What cannot be read, and
/// what is not known, might.
fn keep_cookies_uncleared(response: &mut ResponseHeader) -> Result<()> {
    let lines = response.headers.get_all(CLEAR_SITE_DATA).iter().map(HeaderValue::as_bytes);
    let asked: Vec<&[u8]> = lines.flat_map(|line| line.split(|b| *b == b',')).map(<[u8]>::trim_ascii).collect();
    let is = |text: &[u8], directive: &str| text.eq_ignore_ascii_case(directive.as_bytes());
    let is_clearable = |text: &[u8]| CLEARABLE.iter().any(|directive| is(text, directive));
    if asked.iter().all(|text| is_clearable(text)) {
        return Ok(());
    }
    let is_all = asked.iter().any(|text| is(text, "\"*\""));
    let kept = CLEARABLE.into_iter().filter(|directive| is_all || asked.iter().any(|text| is(text, directive)));
    let kept: Vec<&str> = kept.collect();
    response.remove_header(&CLEAR_SITE_DATA);
    if kept.is_empty() { Ok(()) } else { response.insert_header(CLEAR_SITE_DATA, kept.join(", ")) }
}

fn keep_our_cookies(response: &mut ResponseHeader, stamp: &Stamp) -> Result<()> {
    let is_ours = |value: &HeaderValue| stamp.is_ours(cookies::name_set_by(value.as_bytes()));
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

/// The `Set-Cookie` values that go with an admitted request: an idle session used again, or a dead one to clear.
fn cookies_for(permit: &Permit, gate: &Gate, host: &str, now: UnixTime) -> Vec<String> {
    match permit.caller() {
        Caller::Known(proof) => renewed(proof, gate, now).into_iter().collect(),
        Caller::Nobody { dead_cookie } => dead_cookie.iter().flat_map(|cookie| cookies::clear(cookie, host)).collect(),
    }
}

fn renewed(proof: &Proof, gate: &Gate, now: UnixTime) -> Option<String> {
    let ProofKind::Session(session) = &proof.kind else {
        return None;
    };
    let lifetime = proof.tenant.sessions.lifetime;
    // It may have ended or been signed out while the app was at work: then the browser has another cookie by now, or none.
    let is_alive = session.check(lifetime, now).is_ok();
    if !is_alive || gate.ledger.find(&proof.subjects, proof.issued()) != Ok(None) {
        return None;
    }
    let renewed = session.renewed(lifetime, now)?;
    let left = renewed.ends_at(lifetime).since(now);
    cookies::set(proof.tenant.sessions.cookie_in(session.place)?, gate.sessions.seal(&renewed)?, left)
}
