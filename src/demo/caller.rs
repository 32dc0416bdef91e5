//! Who is calling, as the apps behind Vestibule read it in its headers. They check nothing: they believe them.

use http::{HeaderMap, header::COOKIE};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::fields::folded;

const IDENTITY: [&str; 6] = ["X-User-Id", "X-Tenant", "X-Roles", "X-User-Email", "X-User-Name", "X-Plan"];

/// Who is calling, if the headers say so.
#[derive(Clone, Serialize)]
pub struct Caller {
    pub id: String,
    /// Decoded, for display.
    pub name: String,
    pub roles: Vec<String>,
}

impl Caller {
    /// Reads the headers.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let decoded = |text: String| percent_decode_str(&text).decode_utf8_lossy().into_owned();
        let id = text(headers, "x-user-id").map(decoded)?;
        let roles = text(headers, "x-roles").unwrap_or_default();
        Some(Self {
            name: text(headers, "x-user-name").map_or_else(|| id.clone(), decoded),
            roles: roles.split(',').filter(|role| !role.is_empty()).map(|role| decoded(role.to_owned())).collect(),
            id,
        })
    }
}

/// A header as it arrived.
#[derive(Serialize)]
pub struct Received {
    pub name: String,
    pub value: String,
}

/// Every header that an app might take for one of identity, however it is spelt: a forged one that came through would show.
pub fn identity(headers: &HeaderMap) -> Vec<Received> {
    let mut rows = Vec::new();
    for spelling in IDENTITY {
        let fold = folded(spelling.as_bytes());
        let all = headers.iter().filter(|(name, _)| folded(name.as_str().as_bytes()) == fold);
        rows.extend(all.map(|(name, value)| Received {
            name: if name.as_str().eq_ignore_ascii_case(spelling) { spelling.to_owned() } else { name.to_string() },
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        }));
    }
    rows
}

/// The first value of a header.
pub fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The value of a cookie.
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let fields = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}
