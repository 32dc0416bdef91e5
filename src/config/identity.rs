//! `[identity]`: the headers the app reads.

use bytes::Bytes;
use http::HeaderName;

use super::reader::{Placed, Section};
use crate::fields::{self, Claim, LONGEST_NAME, OF_THE_HOP, OVERRIDES, folded};

/// Which header says what, as it is spelled on the wire.
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    pub user: Bytes,
    pub tenant: Bytes,
    pub roles: Bytes,
    pub email: Bytes,
    pub name: Bytes,
    pub plan: Bytes,
    pub encoding: Encoding,
    /// Further names no client may send.
    pub strip: Vec<Bytes>,
}

/// How a value is written that is not printable ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Percent,
    Utf8,
    Base64,
    QuotedPrintable,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            user: Bytes::from_static(b"X-User-Id"),
            tenant: Bytes::from_static(b"X-Tenant"),
            roles: Bytes::from_static(b"X-Roles"),
            email: Bytes::from_static(b"X-User-Email"),
            name: Bytes::from_static(b"X-User-Name"),
            plan: Bytes::from_static(b"X-Plan"),
            encoding: Encoding::Percent,
            strip: Vec::new(),
        }
    }
}

impl IdentityHeaders {
    /// The six of them.
    pub fn all(&self) -> [&Bytes; 6] {
        [&self.user, &self.tenant, &self.roles, &self.email, &self.name, &self.plan]
    }
}

/// Reads `[identity]`.
pub fn identity(root: &Section<'_>) -> IdentityHeaders {
    let mut headers = IdentityHeaders::default();
    let Some(section) = root.section("identity") else {
        return headers;
    };
    section.not_yet("assertion");
    if let Some(names) = section.section("headers") {
        let set = |key: &'static str, header: &mut Bytes| {
            if let Some(name) = names.text(key).and_then(|text| header_name(&names, text)) {
                *header = name;
            }
        };
        set("user", &mut headers.user);
        set("tenant", &mut headers.tenant);
        set("roles", &mut headers.roles);
        set("email", &mut headers.email);
        set("name", &mut headers.name);
        set("plan", &mut headers.plan);
        let mut folds: Vec<String> = headers.all().iter().map(|name| folded(name)).collect();
        folds.sort();
        if folds.windows(2).any(|pair| pair[0] == pair[1]) {
            section.problem(
                "headers",
                "two identity headers have the same name to an app that ignores -, _ and case; rename one",
            );
        }
    }
    let encodings = [
        ("percent", Encoding::Percent),
        ("utf8", Encoding::Utf8),
        ("base64", Encoding::Base64),
        ("quoted-printable", Encoding::QuotedPrintable),
    ];
    headers.encoding = section.choice("encoding", &encodings).unwrap_or(Encoding::Percent);
    headers.strip =
        section.texts("strip").unwrap_or_default().into_iter().filter_map(|text| header_name(&section, text)).collect();
    headers
}

/// Names that mean something to every proxy and app, and would break if they were ours.
const TAKEN: [&str; 18] = [
    "host",
    "cookie",
    "setcookie",
    "authorization",
    "connection",
    "contentlength",
    "contenttype",
    "transferencoding",
    "upgrade",
    "te",
    "trailer",
    "accept",
    "expect",
    "xrequestid",
    "forwarded",
    "xforwardedfor",
    "xforwardedproto",
    "xforwardedhost",
];

/// Reads `listen.forwarded_headers`: in lower case, which is how names arrive. A trusted proxy may send them in this very spelling.
pub fn forwarded_headers(section: &Section<'_>, identity: &IdentityHeaders) -> Vec<String> {
    let mut names = Vec::new();
    for text in section.texts("forwarded_headers").unwrap_or_default() {
        let fold = folded(text.value.as_bytes());
        let is_ours = identity.all().into_iter().chain(&identity.strip).any(|name| folded(name) == fold);
        // `Forwarded` would break as an identity header, and is one that a proxy may send.
        let is_taken = (TAKEN.contains(&&*fold) && fold != "forwarded") || OF_THE_HOP.contains(&&*fold);
        let claim = fields::claim(&fold);
        let is_name = HeaderName::from_bytes(text.value.as_bytes()).is_ok() && (1..=LONGEST_NAME).contains(&fold.len());
        let problem = if !is_name {
            "is not a header name; use letters, digits and -"
        } else if is_ours {
            "is a header of [identity], which no proxy may send; remove it from one of them"
        } else if fields::is_written(&fold) {
            "is believed of a trusted proxy anyway; remove it"
        } else if is_taken {
            "has a meaning of its own in every request; remove it"
        } else if claim == Some(Claim::Target) || OVERRIDES.contains(&&*fold) {
            "makes apps serve another URL or method than the routes decided on; remove it, and let the proxy rewrite the request itself"
        } else {
            names.push(text.value.to_ascii_lowercase());
            section.reader.warn(text.at, believed(text.value, claim));
            continue;
        };
        section.reader.report(text.at, format!("{:?} {problem}", text.value));
    }
    names
}

fn believed(name: &str, claim: Option<Claim>) -> String {
    let says = match claim {
        Some(Claim::Caller) => "who is calling",
        Some(Claim::Files) => "which files a web server sends",
        Some(Claim::Visitor | Claim::Target) | None => "whatever it says",
    };
    format!(
        "the app believes {name:?} ({says}) of every proxy in trusted_proxies; see that each of them overwrites or removes what clients send under this name"
    )
}

fn header_name(section: &Section<'_>, text: Placed<&str>) -> Option<Bytes> {
    let fold = folded(text.value.as_bytes());
    if TAKEN.contains(&fold.as_str()) {
        section
            .reader
            .report(text.at, format!("{:?} has a meaning of its own; choose a name such as X-User-Id", text.value));
        return None;
    }
    let name = HeaderName::from_bytes(text.value.as_bytes()).ok().filter(|_| (1..=LONGEST_NAME).contains(&fold.len()));
    if name.is_none() {
        section.reader.report(text.at, format!("{:?} is no header name; use letters, digits and -", text.value));
    }
    name.map(|_| Bytes::copy_from_slice(text.value.as_bytes()))
}
