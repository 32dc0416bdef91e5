//! Cookies: the `Cookie` header split without touching a byte, and the `Set-Cookie` of a session.
//!
//! The `cookie` crate builds what we set; what came is compared as bytes, because an app's cookies need not be UTF-8 and
//! must arrive as they were sent. HTTP/2 may split the header in crumbs (RFC 9113 section 8.2.3), so all fields are read.

use cookie::{Cookie, CookieBuilder, SameSite};
use http::{HeaderMap, header::COOKIE};

use crate::{
    session::Place,
    tenant::{CookieRules, Transport},
};

/// A cookie as sent.
pub struct Pair<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// All cookies of a request, in their order.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = Pair<'_>> {
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|b| *b == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|raw| !raw.is_empty())
        .map(pair)
}

/// One of them, or what a `Set-Cookie` begins with.
pub fn pair(raw: &[u8]) -> Pair<'_> {
    let raw = raw.trim_ascii();
    match raw.iter().position(|b| *b == b'=') {
        Some(at) => Pair { name: raw[..at].trim_ascii_end(), value: raw[at + 1..].trim_ascii_start() },
        None => Pair { name: b"", value: raw },
    }
}

/// All fields in one, without some cookies; what stays is not touched, the white space between included.
pub fn without(headers: &HeaderMap, unwanted: impl Fn(&Pair<'_>) -> bool) -> Vec<u8> {
    let keeps = |part: &&[u8]| !unwanted(&pair(part));
    let fields = headers.get_all(COOKIE).iter().map(|field| {
        let kept: Vec<&[u8]> = field.as_bytes().split(|b| *b == b';').filter(keeps).collect();
        kept.join(&b";"[..]).trim_ascii().to_vec()
    });
    fields.filter(|field| !field.is_empty()).collect::<Vec<_>>().join(&b"; "[..])
}

/// The most bytes of a `Set-Cookie`, name and attributes included: what browsers store (RFC 6265bis section 5.6).
pub const LONGEST: usize = 4096;

/// A `Set-Cookie` value for a session; `None` when it would not be stored.
pub fn set(rules: &CookieRules, value: String, lifetime: i64) -> Option<String> {
    let cookie = build(rules, value).max_age(cookie::time::Duration::seconds(lifetime)).build().to_string();
    (cookie.len() <= LONGEST).then_some(cookie)
}

/// A `Set-Cookie` value that clears a session.
pub fn clear(rules: &CookieRules) -> String {
    build(rules, String::new()).max_age(cookie::time::Duration::ZERO).build().to_string()
}

fn build(rules: &CookieRules, value: String) -> CookieBuilder<'_> {
    let cookie = Cookie::build((rules.name.as_str(), value)).http_only(true).path("/");
    match rules.place {
        Place::Own => cookie.secure(rules.transport == Transport::Secure).same_site(SameSite::Lax),
        // Sent in frames of other sites, to each its own (CHIPS); browsers take neither attribute without Secure.
        Place::Embedded => cookie.secure(true).same_site(SameSite::None).partitioned(true),
    }
}

/// The name under which a cookie that the app sets would come back: one without a name comes back as its value alone,
/// `=name=value` as `name=value`.
pub fn name_set_by(set_cookie: &[u8]) -> &[u8] {
    let pair = set_cookie.split(|b| *b == b';').next().unwrap_or_default();
    let named = pair.iter().position(|b| !b.is_ascii_whitespace() && *b != b'=').unwrap_or(pair.len());
    pair[named..].split(|b| *b == b'=').next().unwrap_or_default().trim_ascii()
}
