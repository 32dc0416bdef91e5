//! Origins: which pages may write with a visitor's cookie, present a token, read what is answered, and show it in a frame.
//!
//! One list for each tenant decides all of it:
//!
//! | the page is of | write or open a WebSocket by cookie | present a token | a forged token counts | read answers (CORS) | frame |
//! | --- | --- | --- | --- | --- | --- |
//! | our own origin | yes | yes | yes | yes: browsers ask nobody | yes |
//! | one of the tenant's `origins` | yes | yes | yes | yes | yes |
//! | any other, `null` | no | no | no | no | no |
//!
//! `Origin` says which page it is; without one `Sec-Fetch-Site` does, where `same-site` is another page, too: a sibling host may be
//! anybody's. A client that sends neither is not a browser, and its address answers for it.
//!
//! A token of a foreign page is refused before anything is verified, whatever carries it, so that no page can spend the failures
//! ([`limits`](crate::limits)) of the network that its visitor is in. Two cases are verified all the same, and count for nothing
//! when the token is forged: a navigation to a link with a token, which comes from a foreign page by its nature; and a token for
//! tenants that name no origins, where it is the app's to say which pages may ask. A client that is not a browser may pretend
//! either, and is not limited then: the limit saves work, it does not keep tokens from being guessed.
//!
//! Old browsers, and browsers over plain HTTP, send neither `Origin` nor `Sec-Fetch-Site` with the links and images of a page, but its
//! `Referer`. One of another origin admits and refuses nothing, and what it comes with counts for nothing ([`counts`]); so do two, and
//! one that cannot be read.

use std::collections::BTreeSet;

use http::{
    HeaderName, Method,
    header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, REFERER, UPGRADE},
};

use url::Url;

use crate::{
    head::{Head, Host, elements},
    token,
    visitor::Visitor,
};

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins of a tenant, or of several: in their ASCII form, `https://app.acme.example` (RFC 6454 section 6.2), or with one label
/// left open, `https://*.acme.example`.
#[derive(Debug, Default)]
pub struct Origins {
    all: BTreeSet<String>,
    /// Of those with an open label, what stands before and after it.
    open: Vec<(String, String)>,
    /// The directive of CSP that lets these pages, and our own, show ours in a frame.
    frame_ancestors: String,
}

impl Origins {
    /// Takes the list; the configuration has checked it with [`parse_origin`].
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        let all: BTreeSet<String> = origins.into_iter().collect();
        let parts =
            |origin: &String| origin.split_once('*').map(|(before, after)| (before.to_owned(), after.to_owned()));
        let named = all.iter().fold("frame-ancestors 'self'".to_owned(), |line, origin| line + " " + origin);
        Self { open: all.iter().filter_map(parts).collect(), all, frame_ancestors: named }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether an origin is in the list, to the byte, as browsers send it.
    pub fn contains(&self, origin: &str) -> bool {
        // One that holds a `*` is no origin of a page.
        (self.all.contains(origin) && !origin.contains('*')) || self.open.iter().any(|open| fills(open, origin))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.all.iter()
    }

    /// `frame-ancestors 'self' https://…` (CSP Level 3 section 6.4.2); `None` where there is no list to go by.
    pub fn frame_ancestors(&self) -> Option<&str> {
        (!self.is_empty()).then_some(self.frame_ancestors.as_str())
    }
}

/// Whether an origin is one with an open label, with exactly one label in its place.
fn fills((before, after): &(String, String), origin: &str) -> bool {
    let label = origin.strip_prefix(before.as_str()).and_then(|rest| rest.strip_suffix(after.as_str()));
    label.is_some_and(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
    })
}

/// Schemes that are no home of pages, or whose pages all have the origin `null`.
const NOT_OF_PAGES: [&str; 10] =
    ["about", "blob", "data", "file", "filesystem", "ftp", "javascript", "ws", "wss", "view-source"];

/// Reads an entry of `origins`: `scheme://host` and perhaps a port, as browsers send it, in lower case. The first label of the
/// host may be `*` where at least two follow. Apps have schemes of their own (`capacitor://localhost`,
/// `chrome-extension://<id>`). An error is the origin that was probably meant, where there is one.
pub fn parse_origin(text: &str) -> Result<String, Option<String>> {
    let lower = text.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").ok_or(None)?;
    if matches!(scheme, "http" | "https") {
        // What the URL parser makes of it, with a letter for the open label.
        let closed = rest.strip_prefix("*.").map(|parent| format!("{scheme}://{OPEN_LABEL}.{parent}"));
        let url = Url::parse(closed.as_deref().unwrap_or(&lower)).map_err(|_| None)?;
        let is_name = matches!(url.host(), Some(url::Host::Domain(_)));
        let origin = url.origin().ascii_serialization();
        let Some(closed) = closed else {
            return if origin == lower && !rest.contains('*') { Ok(lower) } else { Err(some_origin(origin)) };
        };
        let parent = url.host_str().and_then(|host| host.strip_prefix(OPEN_LABEL)).unwrap_or_default();
        // `*.example` would be whoever has a domain there.
        let is_narrow = parent.trim_start_matches('.').contains('.') || parent == ".localhost";
        return if is_name && is_narrow && origin == closed && !parent.contains('*') { Ok(lower) } else { Err(None) };
    }
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b))
        && !NOT_OF_PAGES.contains(&scheme);
    let is_host = Host::parse(rest).is_some_and(|host| !host.name.starts_with('['));
    if is_scheme && is_host { Ok(lower) } else { Err(None) }
}

/// Stands for an open label while its origin is parsed.
const OPEN_LABEL: &str = "x";

fn some_origin(origin: String) -> Option<String> {
    (origin != "null" && !origin.contains('*')).then_some(origin)
}

/// Of which origin the page is that sends a request, as its browser says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    /// No page, or a browser that does not say so.
    Unsaid,
    Own,
    /// Another; empty where it cannot be read.
    Other(&'a str),
}

impl<'a> Source<'a> {
    /// Reads `Origin` (RFC 6454 section 7).
    pub fn of(head: &Head<'a>, visitor: &Visitor) -> Self {
        if !head.headers.contains_key(ORIGIN) {
            return Self::Unsaid;
        }
        match head.single(ORIGIN) {
            Some(origin) if visitor.is_own_origin(origin) => Self::Own,
            // A page of ours with `no-referrer` (Helmet's default) posts its forms with `null`. And a front proxy may lose the port
            // of `Host`, or its scheme.
            Some(origin)
                if head.single(SITE) == Some("same-origin") && (origin == "null" || visitor.is_own_host(origin)) =>
            {
                Self::Own
            }
            origin => Self::Other(origin.unwrap_or_default()),
        }
    }
}

/// A page that may not do what it asks for, with the origin that would be ours: a front proxy that changes `Host` shows here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page's origin is {page}, and is neither ours ({own}) nor one of the tenant's")]
pub struct ForeignOrigin {
    page: String,
    own: String,
}

impl ForeignOrigin {
    /// Names both origins, for the log.
    pub fn of(head: &Head<'_>, visitor: &Visitor) -> Self {
        const LONGEST: usize = 128;
        let page = match Source::of(head, visitor) {
            Source::Own => visitor.origin_text(),
            Source::Other("") => "not readable".to_owned(),
            Source::Other(origin) => token::redacted(&origin[..origin.len().min(LONGEST)]).into_owned(),
            Source::Unsaid => "not named".to_owned(),
        };
        Self { page, own: visitor.origin_text() }
    }
}

/// Whose page a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// Ours, one of those listed, or none at all.
    Known,
    Foreign,
}

impl Page {
    /// Reads `Origin`, else `Sec-Fetch-Site`; what cannot be read is foreign.
    pub fn of(head: &Head<'_>, visitor: &Visitor, origins: &Origins) -> Self {
        let site = head.headers.contains_key(SITE).then(|| head.single(SITE));
        match Source::of(head, visitor) {
            Source::Own => Self::Known,
            Source::Other(origin) if origins.contains(origin) => Self::Known,
            Source::Unsaid if matches!(site, None | Some(Some("same-origin" | "none"))) => Self::Known,
            Source::Other(_) | Source::Unsaid => Self::Foreign,
        }
    }
}

/// The origin of the page that a `Referer` names (RFC 9110 section 10.1.3); `None` where there is none, or where it cannot be read.
pub fn of_referer(head: &Head<'_>) -> Option<String> {
    let url = Url::parse(head.single(REFERER)?).ok()?;
    Some(url.origin().ascii_serialization())
}

/// Whether a forged token counts as a failure of its client: not where another page than ours or the tenants' may have sent it.
pub fn counts(head: &Head<'_>, visitor: &Visitor, origins: &Origins) -> bool {
    let says_nothing_else = [ORIGIN, SITE].iter().all(|name| !head.headers.contains_key(name));
    let is_referred = says_nothing_else && head.headers.contains_key(REFERER);
    let is_known = |page: &str| visitor.is_own_origin(page) || origins.contains(page);
    Page::of(head, visitor, origins) == Page::Known
        && (!is_referred || of_referer(head).is_some_and(|page| is_known(&page)))
}

/// Whether a page may present a token: where the tenants name no origins it is the app's to say.
pub fn may_present(head: &Head<'_>, visitor: &Visitor, origins: &Origins) -> bool {
    origins.is_empty() || Page::of(head, visitor, origins) == Page::Known
}

/// Whether a request that a cookie vouches for may have come from the page it came from: what changes nothing, always; what
/// writes, and WebSocket handshakes (RFC 6455 section 10.2), only from our own pages and the tenant's.
pub fn may_act(head: &Head<'_>, visitor: &Visitor, origins: &Origins) -> bool {
    let is_handshake = elements(head.headers, UPGRADE).any(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    if matches!(*head.method, Method::GET | Method::HEAD | Method::OPTIONS) && !is_handshake {
        return true;
    }
    // Browsers send `Origin` with every handshake.
    let is_silent = is_handshake && Source::of(head, visitor) == Source::Unsaid;
    !is_silent && Page::of(head, visitor, origins) == Page::Known
}

/// The question of a browser before a request that a form could not send (Fetch section 3.3.2).
pub struct Preflight<'a> {
    pub origin: &'a str,
    pub method: Method,
    pub headers: Vec<HeaderName>,
}

impl<'a> Preflight<'a> {
    /// Reads one, of another page than our own; anything else is an `OPTIONS` as any other.
    pub fn of(head: &Head<'a>, visitor: &Visitor) -> Option<Self> {
        if head.method != Method::OPTIONS {
            return None;
        }
        let Source::Other(origin) = Source::of(head, visitor) else { return None };
        let method = head.single(ACCESS_CONTROL_REQUEST_METHOD)?;
        let names = elements(head.headers, ACCESS_CONTROL_REQUEST_HEADERS);
        Some(Self {
            origin,
            method: Method::from_bytes(method.as_bytes()).ok()?,
            headers: names.filter_map(|name| name.parse().ok()).collect(),
        })
    }
}

/// Which pages of other origins may read an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readers<'a> {
    /// No tenant here names origins: it is the app's to say.
    AsTheAppSays,
    Nobody,
    Page(&'a str),
}

impl<'a> Readers<'a> {
    /// Who may read an answer to `asking`: a page in the list, which is that of the tenant the answer concerns, or, where that is
    /// nobody's, of all it may be for.
    pub fn of(asking: Option<&'a str>, origins: &Origins) -> Self {
        match asking {
            _ if origins.is_empty() => Self::AsTheAppSays,
            Some(origin) if origins.contains(origin) => Self::Page(origin),
            _ => Self::Nobody,
        }
    }

    /// The headers that say so, beside a `Vary` by `Origin` unless it is the app's to say.
    pub fn headers(self) -> Vec<(&'static str, String)> {
        match self {
            Self::AsTheAppSays | Self::Nobody => Vec::new(),
            Self::Page(origin) => vec![
                ("Access-Control-Allow-Origin", origin.to_owned()),
                ("Access-Control-Allow-Credentials", "true".to_owned()),
                // What scripts may read beside what every script may.
                ("Access-Control-Expose-Headers", "WWW-Authenticate, X-Request-Id".to_owned()),
            ],
        }
    }
}

/// Policies without their `frame-ancestors`: what is left of a `Content-Security-Policy` (CSP Level 3 section 2.2).
pub fn without_frame_ancestors(policies: &str) -> String {
    let is_kept = |directive: &&str| {
        let name = directive.split_ascii_whitespace().next().unwrap_or_default();
        !name.is_empty() && !name.eq_ignore_ascii_case("frame-ancestors")
    };
    let kept = policies.split(',').map(|policy| policy.split(';').filter(is_kept).collect::<Vec<_>>().join(";"));
    kept.filter(|policy| !policy.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_own_frame_ancestors_go_and_the_rest_stays() {
        for (given, kept) in [
            ("default-src 'self'; frame-ancestors 'none'; img-src *", "default-src 'self'; img-src *"),
            ("Frame-Ancestors 'none'", ""),
            ("frame-ancestors", ""),
            ("a b, frame-ancestors x;, c d;frame-ancestors y", "a b, c d"),
            ("x-frame-ancestors y", "x-frame-ancestors y"),
        ] {
            assert_eq!(without_frame_ancestors(given), kept, "{given}");
        }
    }

    #[test]
    fn an_open_label_stands_for_exactly_one() {
        let origins = Origins::new(
            ["https://*.acme.example", "https://*.acme.example:8443", "capacitor://localhost", "http://app.test"]
                .map(str::to_owned),
        );
        for origin in [
            "https://a.acme.example",
            "https://a-1_b.acme.example",
            "https://xn--mller-kva.acme.example",
            "https://b.acme.example:8443",
            "capacitor://localhost",
            "http://app.test",
        ] {
            assert!(origins.contains(origin), "{origin}");
        }
        for origin in [
            "https://acme.example",
            "https://.acme.example",
            "https://a.b.acme.example",
            "https://*.acme.example",
            "https://evilacme.example",
            "https://a.acme.example.evil.test",
            "https://a.acme.example:444",
            "https://evil.test/.acme.example",
            "https://evil.test#.acme.example",
            "https://u:p@.acme.example",
            "https://A.acme.example",
            "http://a.acme.example",
            "capacitor://localhost:80",
            "ionic://localhost",
            "null",
            "",
        ] {
            assert!(!origins.contains(origin), "{origin}");
        }
    }

    #[test]
    fn entries_are_origins_as_browsers_send_them() {
        for (text, wanted) in [
            ("https://app.acme.example", "https://app.acme.example"),
            ("HTTPS://App.Acme.Example:8443", "https://app.acme.example:8443"),
            ("https://[2001:db8::7]:8443", "https://[2001:db8::7]:8443"),
            ("https://*.acme.example", "https://*.acme.example"),
            ("http://*.localhost:3000", "http://*.localhost:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
            ("ionic://localhost", "ionic://localhost"),
            ("tauri://localhost", "tauri://localhost"),
            (
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
                "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            ),
        ] {
            assert_eq!(parse_origin(text).as_deref(), Ok(wanted), "{text}");
        }
        for (text, meant) in [
            ("https://app.acme.example/", Some("https://app.acme.example")),
            ("https://app.acme.example:443", Some("https://app.acme.example")),
            ("https://app.acme.example/widget?x", Some("https://app.acme.example")),
            ("https://m\u{fc}ller.example", Some("https://xn--mller-kva.example")),
            ("https://*", None),
            ("https://*.example", None),
            ("https://*.", None),
            ("https://*.*.acme.example", None),
            ("https://a.*.acme.example", None),
            ("https://a*.acme.example", None),
            ("https://*.acme.example/", None),
            ("https://*.10.0.0.1", None),
            ("*.acme.example", None),
            ("*://app.acme.example", None),
            ("app.acme.example", None),
            ("capacitor://", None),
            ("capacitor://*", None),
            ("chrome-extension://id/page.html", None),
            ("file:///index.html", None),
            ("javascript://app.acme.example", None),
            ("data://app.acme.example", None),
            ("wss://app.acme.example", None),
            ("null", None),
            ("", None),
        ] {
            assert_eq!(parse_origin(text), Err(meant.map(str::to_owned)), "{text}");
        }
    }

    #[test]
    fn a_page_reads_what_concerns_its_own_tenant() {
        let (acme, globex) = (Origins::new(["https://a.test".to_owned()]), Origins::new(["https://g.test".to_owned()]));
        let here = Origins::new(acme.iter().chain(globex.iter()).cloned());
        let (a, none) = (Some("https://a.test"), Origins::default());
        assert_eq!(Readers::of(a, &acme), Readers::Page("https://a.test"));
        assert_eq!(Readers::of(a, &globex), Readers::Nobody);
        assert_eq!(Readers::of(a, &here), Readers::Page("https://a.test"));
        assert_eq!(Readers::of(None, &here), Readers::Nobody);
        assert_eq!(Readers::of(a, &none), Readers::AsTheAppSays);
    }
}
