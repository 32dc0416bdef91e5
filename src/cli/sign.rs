//! Signs a widget token as a tenant's backend would.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Map, Value, json};

use crate::{
    keyring::Material,
    secret::random,
    tenant::Tenant,
    time::{UnixTime, spell_duration},
};

/// A token in the tenant's dialect, signed with its first shared key that is in force. No two are the same.
pub fn sign(
    tenant: &Tenant,
    user: &str,
    roles: &[String],
    ttl: Option<Duration>,
    now: UnixTime,
) -> Result<String, String> {
    let rules = &tenant.tokens;
    let ttl = ttl.unwrap_or(rules.max_lifetime.min(Duration::from_secs(3_600)));
    if ttl > rules.max_lifetime {
        let most = spell_duration(rules.max_lifetime);
        return Err(format!("tokens of {} live {most} at most; give a shorter --ttl", tenant.id));
    }
    let mut claims = Map::new();
    put(&mut claims, &rules.claims.user, json!(user));
    if let Some(claim) = &rules.claims.tenant {
        put(&mut claims, claim, json!(tenant.id.as_str()));
    }
    match &rules.claims.roles {
        Some(claim) => put(&mut claims, claim, json!(roles)),
        None if roles.is_empty() => {}
        None => {
            return Err(format!("tokens of {} have no roles; leave --role out, or map claims.roles", tenant.id));
        }
    }
    claims.insert("iat".into(), json!(now.0));
    claims.insert("exp".into(), json!(now.plus(ttl).0));
    claims.insert("jti".into(), json!(URL_SAFE_NO_PAD.encode(random::<12>())));
    let texts = [("aud", &rules.audience), ("iss", &rules.issuer)];
    claims.extend(texts.into_iter().filter_map(|(claim, text)| Some((claim.to_owned(), json!(text.as_ref()?)))));
    let keys = rules.keys.0.iter().filter(|key| key.is_valid(now));
    let (key, secret) = keys
        .filter_map(|key| match &key.material {
            Material::Shared(secret) => Some((key, secret)),
            Material::Public(..) => None,
        })
        .next()
        .ok_or_else(|| format!("{} has no shared key in force; sign with its private key elsewhere", tenant.id))?;
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(key.id.clone());
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.expose())).map_err(|e| e.to_string())
}

/// Puts a value at a dotted path.
fn put(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            object.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            if let Value::Object(inner) = object.entry(first).or_insert_with(|| json!({})) {
                put(inner, rest, value);
            }
        }
    }
}
