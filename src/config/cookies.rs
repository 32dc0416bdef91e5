//! Names of cookies: the session's, and those of the app that may not outlive it.

use toml::de::DeValue;

use super::reader::{Placed, Section};
use crate::{
    leftovers::{self, MOST_NAMES, Name, Names, is_cookie_name},
    tenant::{CookieRules, Tenants, Transport},
};

const HOST: &str = "__Host-";

/// `session.cookie`. The prefixes demand `Secure` (RFC 6265bis section 4.1.3).
pub fn check_session_cookie(section: &Section<'_>, cookie: Placed<&str>, transport: Transport) {
    let name = cookie.value.replace("{tenant}", "t");
    if !is_cookie_name(&name) {
        section
            .reader
            .report(cookie.at, "session.cookie is not a cookie name; use letters, digits, - and _, and {tenant}");
        return;
    }
    let lower = name.to_ascii_lowercase();
    let has_prefix = lower.starts_with("__host-") || lower.starts_with("__secure-");
    match transport {
        Transport::Plain if has_prefix => section.reader.report(
            cookie.at,
            "browsers drop a __Host- or __Secure- cookie without Secure; name it without, or remove insecure_cookie",
        ),
        // Insecure as it is.
        Transport::Plain => {}
        Transport::Secure if name.starts_with(HOST) => {}
        Transport::Secure => {
            let plain = if has_prefix { cookie.value.splitn(2, '-').last() } else { None }.unwrap_or(cookie.value);
            section.reader.warn(
                cookie.at,
                format!(
                    "session.cookie {:?} can be set by pages of sibling hosts, which sign a visitor in as somebody else or lock \
                     them out; write \"{HOST}{plain}\"",
                    cookie.value
                ),
            );
        }
    }
}

/// A session cookie that would be taken for a note of [`leftovers`], or the other way round.
pub fn check_note(section: &Section<'_>, at: usize, cookie: &CookieRules) {
    let embedded = cookie.embedded();
    if let Some(name) = [&cookie.name, &embedded.name].into_iter().find(|name| is_note(name)) {
        section.reader.report(
            at,
            format!("{name:?} is the cookie that notes whose the app's cookies are; choose another session.cookie"),
        );
    }
}

fn is_note(name: &str) -> bool {
    leftovers::NAMES.contains(&name)
}

/// `session_cookies` of an upstream: names, with a `*` at the end what they begin with, or `"all"`.
pub fn session_cookies(section: &Section<'_>, tenants: &Tenants) -> Names {
    const KEY: &str = "session_cookies";
    if section.is_text(KEY, "all") {
        // Read, so that it is not an unknown key.
        section.text(KEY);
        return Names::All;
    }
    let is_all = |text: &str| text.eq_ignore_ascii_case("all");
    if section.raw(KEY).and_then(DeValue::as_str).is_some_and(is_all) {
        section.text(KEY);
        section.problem(KEY, format!("{}.{KEY} is in lower case; write {KEY} = \"all\"", section.name));
        return Names::All;
    }
    let texts = section.texts(KEY).unwrap_or_default();
    for text in texts.iter().filter(|text| is_all(text.value)) {
        section.reader.warn(
            text.at,
            format!(
                "{:?} in a list is one cookie of that name; write {KEY} = \"all\" for every cookie that the app sets",
                text.value
            ),
        );
    }
    if texts.len() > MOST_NAMES {
        section.problem(KEY, format!("{}.{KEY} has more than {MOST_NAMES} names; write \"all\"", section.name));
    }
    let is_ours = |name: &str| {
        is_note(name) || tenants.iter().flat_map(|tenant| tenant.sessions.cookies()).any(|own| own.name == name)
    };
    let name = |text: Placed<&str>| {
        let (stem, name): (_, fn(String) -> Name) = match text.value.strip_suffix('*') {
            Some(stem) => (stem, Name::Prefix),
            None => (text.value, Name::Exact),
        };
        let wrong = match text.value {
            "*" => "is not a cookie name; write session_cookies = \"all\" for every cookie that the app sets",
            _ if stem.contains('*') => {
                "has a * where none may be; one may stand at the end alone: \"jupyterhub-user-*\""
            }
            _ if !is_cookie_name(stem) => "is not a cookie name; write it as the app sets it: \"sessionid\"",
            value if is_ours(value) => {
                "is a cookie of Vestibule's own, which a switch of user would expire; name only the app's, or rename session.cookie"
            }
            _ => return Some(name(stem.to_owned())),
        };
        section.reader.report(text.at, format!("{:?} {wrong}", text.value));
        None
    };
    Names::Listed(texts.into_iter().filter_map(name).collect())
}
