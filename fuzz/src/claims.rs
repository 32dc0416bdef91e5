//! What a token must be to pass, written a second time: from README and the RFCs, with `serde_json` and RustCrypto.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use vestibule::{keyring::Material, tenant::Tenant, token::Ceiling};

use crate::{NOW, mac};

/// What a token that passes says.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub key: String,
    pub user: String,
    pub roles: Vec<String>,
    pub profile: [Option<String>; 4],
    pub issued_at: i64,
    pub expires_at: i64,
}

/// Reads a token for a tenant; `None` where it must be refused.
pub fn read(token: &str, tenant: &Tenant) -> Option<Said> {
    let rules = &tenant.tokens;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { return None };
    if token.len() > 8192 {
        return None;
    }
    let signed = &token[..header.len() + 1 + claims.len()];
    let (header, claims, signature) = (canonical(header)?, canonical(claims)?, canonical(signature)?);
    let (header, claims) = (strict_object(&header)?, strict_object(&claims)?);

    if header.get("alg")? != "HS256" || ["crit", "b64", "zip"].iter().any(|name| header.contains_key(*name)) {
        return None;
    }
    let kid = header.get("kid");
    let key = rules.keys.0.iter().find(|key| {
        let Material::Shared(secret) = &key.material else { return false };
        kid.is_none_or(|kid| *kid == *key.id) && mac(secret.expose(), signed.as_bytes()) == signature
    })?;
    if key.not_before.is_some_and(|from| NOW < from) || key.not_after.is_some_and(|end| NOW >= end) {
        return None;
    }
    if claims.contains_key("revoke") {
        return None;
    }

    let leeway = i128::from(rules.leeway.as_secs());
    let (now, most) = (i128::from(NOW.0), i128::from(rules.max_lifetime.as_secs()));
    let issued_at = claims.get("iat")?.as_i64()?;
    let expires_at = match claims.get("exp") {
        Some(exp) => exp.as_i64()?,
        None if rules.validity_in_minutes => {
            let minutes = claims.get("tokenValidity").map_or(Some(15), Value::as_i64)?;
            issued_at.saturating_add(minutes.saturating_mul(60))
        }
        None => return None,
    };
    let (iat, exp) = (i128::from(issued_at), i128::from(expires_at));
    if exp - iat > most || iat > now + leeway || exp <= now - leeway {
        return None;
    }
    if let Some(nbf) = claims.get("nbf")
        && i128::from(nbf.as_i64()?) > now + leeway
    {
        return None;
    }

    let names = &rules.claims;
    let user = plain(at(&claims, &names.user)?, 256)?;
    let mut roles = Vec::new();
    if let Some(list) = names.roles.as_ref().and_then(|name| at(&claims, name)) {
        let list = list.as_array().filter(|list| list.len() <= 64)?;
        for role in list {
            let role = plain(role, 128)?;
            match &rules.ceiling {
                Ceiling::Drop(allowed) if !allowed.contains(&role) => {}
                Ceiling::Reject(allowed) if !allowed.contains(&role) => return None,
                _ => roles.push(role),
            }
        }
    }
    let mut profile = [None, None, None, None];
    for (place, name) in profile.iter_mut().zip([&names.email, &names.name, &names.plan, &names.picture]) {
        *place = match name.as_ref().and_then(|name| at(&claims, name)) {
            None | Some(Value::Null) => None,
            Some(text) => Some(text.as_str().filter(|text| !has_control(text))?.trim().to_owned()),
        }
        .filter(|text| !text.is_empty());
    }
    if let Some(name) = &names.tenant
        && at(&claims, name)? != tenant.id.as_str()
    {
        return None;
    }
    let is_audience = |text: &Value| rules.audience.as_ref().is_none_or(|wanted| *text == **wanted);
    match claims.get("aud") {
        None if rules.audience.is_none() => {}
        Some(one @ Value::String(_)) if is_audience(one) => {}
        Some(Value::Array(list)) if list.iter().all(Value::is_string) && list.iter().any(is_audience) => {}
        _ => return None,
    }
    match claims.get("iss") {
        None if rules.issuer.is_none() => {}
        Some(Value::String(iss)) if rules.issuer.as_ref().is_none_or(|wanted| wanted == iss) => {}
        _ => return None,
    }
    Some(Said { key: key.id.clone(), user, roles, profile, issued_at, expires_at })
}

/// The bytes of unpadded base64url, where encoding them gives the same text.
fn canonical(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| URL_SAFE_NO_PAD.encode(bytes) == text)
}

/// An object of at most 16 levels that holds as many members as its text has colons: none came twice.
fn strict_object(text: &[u8]) -> Option<Map<String, Value>> {
    let Value::Object(object) = serde_json::from_slice(text).ok()? else { return None };
    let (mut colons, mut depth, mut deepest) = (0, 0, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b':' => colons += 1,
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    (colons == members(object.values()) + object.len() && deepest <= 16).then_some(object)
}

fn members<'v>(values: impl Iterator<Item = &'v Value>) -> usize {
    values
        .map(|value| match value {
            Value::Object(inner) => inner.len() + members(inner.values()),
            Value::Array(list) => members(list.iter()),
            _ => 0,
        })
        .sum()
}

/// The member of that very name, else a walk into objects at its dots.
fn at<'v>(object: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    object.get(path).or_else(|| {
        let (first, rest) = path.split_once('.')?;
        at(object.get(first)?.as_object()?, rest)
    })
}

fn has_control(text: &str) -> bool {
    text.chars().any(|c| matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'))
}

fn plain(value: &Value, longest: usize) -> Option<String> {
    let text = value.as_str()?;
    let around = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    (!text.is_empty() && text.len() <= longest && !around && !has_control(text)).then(|| text.to_owned())
}
