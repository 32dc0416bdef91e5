//! Cookies: the `Cookie` header split without touching a byte, and the `Set-Cookie` of a session.
//!
//! The `cookie` crate builds what we set; what came is compared as bytes, because an app's cookies need not be UTF-8 and
//! must arrive as they were sent. HTTP/2 may split the header in crumbs (RFC 9113 section 8.2.3), so all fields are read.

use std::collections::HashSet;

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

impl Pair<'_> {
    /// The name by which an app may know it: one without a name is its value alone, and `=name=value` is `name=value` to lax
    /// readers.
    pub fn read_name(&self) -> &[u8] {
        if self.name.is_empty() { name_set_by(self.value) } else { self.name }
    }
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

/// Whether a sibling host could plant a cookie of that name: browsers keep those of a `__Host-` name to the host that set them
/// (RFC 6265bis section 4.1.3.2).
pub fn is_plantable(name: &str) -> bool {
    !name.starts_with("__Host-")
}

/// The most parent domains that are cleared: a name has few labels, or was made up to get many lines.
const MOST_DOMAINS: usize = 6;

/// The `Set-Cookie` values that clear a session at a host: the one that we set, and those that sibling hosts may have planted.
pub fn clear(rules: &CookieRules, host: &str) -> Vec<String> {
    std::iter::once(past(rules).build().to_string()).chain(clear_planted(rules, host, "/")).collect()
}

/// The `Set-Cookie` values that clear what sibling hosts may have planted: never the one that we set, which has no `Domain`.
///
/// A cookie is cleared where it was set, so each domain that the host is in has a line for each path that `path` is under.
pub fn clear_planted(rules: &CookieRules, host: &str, path: &str) -> Vec<String> {
    if !is_plantable(&rules.name) {
        return Vec::new();
    }
    let paths = paths_above(path);
    let lines = domains(host).into_iter().flat_map(|domain| {
        paths.iter().map(move |path| past(rules).path(*path).domain(domain.to_owned()).build().to_string())
    });
    lines.collect()
}

/// The `Set-Cookie` values that clear what sibling hosts have planted, where that shows: of several cookies of one name at most one is
/// the one that we set. `rules` finds those of a name of ours.
pub fn planted<'r>(
    headers: &HeaderMap,
    rules: impl Fn(&str) -> Option<&'r CookieRules>,
    host: &str,
    path: &str,
) -> Vec<String> {
    let names = pairs(headers).filter_map(|pair| std::str::from_utf8(pair.name).ok());
    let (mut once, mut again) = (HashSet::new(), HashSet::new());
    let mut lines = Vec::new();
    for name in names.filter(|name| is_plantable(name)) {
        let Some(rules) = rules(name) else { continue };
        if !once.insert(name) && again.len() < MOST_NAMES && again.insert(name) {
            lines.extend(clear_planted(rules, host, path));
        }
    }
    lines
}

/// Of so many names planted cookies are cleared in one answer.
const MOST_NAMES: usize = 4;

/// The host and each domain it is in, down to two labels; none for addresses and single labels, which have no siblings.
fn domains(host: &str) -> Vec<&str> {
    if host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok() {
        return Vec::new();
    }
    let all = std::iter::successors(Some(host.trim_end_matches('.')), |domain| Some(domain.split_once('.')?.1));
    let mut domains: Vec<&str> = all.filter(|domain| domain.contains('.')).collect();
    domains.drain(..domains.len().saturating_sub(MOST_DOMAINS));
    domains
}

/// The most folders of a path in which a planted cookie is looked for.
const MOST_FOLDERS: usize = 3;

/// The paths of cookies that a browser sends with a request for this one (RFC 6265 section 5.1.4).
fn paths_above(path: &str) -> Vec<&str> {
    let mut paths = vec!["/"];
    let ends = path.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| at).chain([path.len()]);
    for end in ends.take(MOST_FOLDERS) {
        // A `;` would end the attribute.
        for above in [path.get(..end), path.get(..=end)].into_iter().flatten().filter(|above| !above.contains(';')) {
            if !paths.contains(&above) {
                paths.push(above);
            }
        }
    }
    paths
}

fn past(rules: &CookieRules) -> CookieBuilder<'_> {
    build(rules, String::new()).max_age(cookie::time::Duration::ZERO)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(name: &str) -> CookieRules {
        CookieRules { name: name.to_owned(), transport: Transport::Secure, place: Place::Own }
    }

    #[test]
    fn what_sibling_hosts_may_have_planted_is_cleared_where_they_may_have_set_it() {
        let of = |host: &str, path: &str| -> Vec<(String, String)> {
            let attribute = |line: &str, name: &str| {
                line.split("; ").find_map(|part| part.strip_prefix(name)).unwrap_or_default().to_owned()
            };
            let lines = clear_planted(&rules("vestibule"), host, path);
            lines.iter().map(|line| (attribute(line, "Domain="), attribute(line, "Path="))).collect()
        };
        let all = |domains: &[&str], paths: &[&str]| -> Vec<(String, String)> {
            domains.iter().flat_map(|d| paths.iter().map(|p| ((*d).to_owned(), (*p).to_owned()))).collect()
        };
        assert_eq!(of("a.portal.test", "/"), all(&["a.portal.test", "portal.test"], &["/"]));
        assert_eq!(of("portal.test", "/a/b"), all(&["portal.test"], &["/", "/a", "/a/", "/a/b"]));
        assert_eq!(of("portal.test", "/a;b"), all(&["portal.test"], &["/"]));
        for alone in ["localhost", "127.0.0.1", "[::1]"] {
            assert!(of(alone, "/a").is_empty(), "{alone}");
        }
        assert_eq!(of(&format!("{}portal.test", "a.".repeat(60)), "/").len(), MOST_DOMAINS);
        assert_eq!(of("portal.test", &"/a".repeat(1_000)).len(), 1 + 2 * MOST_FOLDERS);
        assert!(clear_planted(&rules("__Host-vestibule"), "a.portal.test", "/").is_empty());
        assert_eq!(clear(&rules("__Host-vestibule"), "a.portal.test").len(), 1);
    }
}
