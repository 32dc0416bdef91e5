//! `[identity]`: the headers the app reads.

use bytes::Bytes;
use http::HeaderName;

use super::reader::{Placed, Section};

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

/// A header's name as an app may read it: CGI, WSGI and PHP do not tell `-`, `_`, `.` and case apart.
pub fn fold(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase)
}

/// [`fold`], as text.
pub fn folded(name: &[u8]) -> String {
    fold(name).map(char::from).collect()
}

/// The longest folded name of ours, in bytes: a client's that is longer equals none.
pub const LONGEST_NAME: usize = 256;

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
