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
    token,
};

/// What a token is to say.
pub struct Wanted {
    pub user: String,
    pub roles: Vec<String>,
    pub email: Option<String>,
    pub name: Option<String>,
    pub plan: Option<String>,
    pub claims: Vec<(String, Value)>,
    pub ttl: Option<Duration>,
}

/// Reads `NAME=VALUE`; the value is JSON, or else the text as it stands.
pub fn claim(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            Ok((name.to_owned(), value))
        }
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// A token in the tenant's dialect, signed with its first shared key that is in force. No two are the same.
pub fn sign(tenant: &Tenant, wanted: &Wanted, now: UnixTime) -> Result<String, String> {
    let rules = &tenant.tokens;
    let claims = claims(tenant, wanted, now)?;
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

/// The claims, each set once: by the tenant's dialect, by an option of its own, or by `--claim`.
fn claims(tenant: &Tenant, wanted: &Wanted, now: UnixTime) -> Result<Map<String, Value>, String> {
    let rules = &tenant.tokens;
    let ttl = wanted.ttl.unwrap_or(rules.max_lifetime.min(Duration::from_secs(3_600)));
    if ttl > rules.max_lifetime {
        let most = spell_duration(rules.max_lifetime);
        return Err(format!("tokens of {} live {most} at most; give a shorter --ttl", tenant.id));
    }
    token::check_user(&wanted.user).map_err(|e| format!("{e}; {}", e.remedy()))?;
    let names = &rules.claims;
    let mut set = Claims::default();
    set.put(&names.user, json!(wanted.user), "--user")?;
    if let Some(claim) = &names.tenant {
        set.put(claim, json!(tenant.id.as_str()), "--tenant")?;
    }
    set.put("iat", json!(now.0), "now, and --ttl")?;
    set.put("exp", json!(now.plus(ttl).0), "--ttl")?;
    for (claim, text, key) in [("aud", &rules.audience, "`audience`"), ("iss", &rules.issuer, "`issuer`")] {
        if let Some(text) = text {
            set.put(claim, json!(text), key)?;
        }
    }
    match &names.roles {
        Some(claim) => set.put(claim, json!(wanted.roles), "--role")?,
        None if wanted.roles.is_empty() => {}
        None => return Err(unknown(tenant, "roles", "--role", "claims.roles")),
    }
    for (what, option, key, claim, text) in [
        ("e-mail address", "--email", "claims.email", &names.email, &wanted.email),
        ("name", "--name", "claims.name", &names.name, &wanted.name),
        ("plan", "--plan", "claims.plan", &names.plan, &wanted.plan),
    ] {
        match (claim, text) {
            (_, None) => {}
            // In the productlane dialect the user is the e-mail address.
            (Some(claim), Some(text)) if *claim == names.user && *text == wanted.user => {}
            (Some(claim), Some(text)) => set.put(claim, json!(text), option)?,
            (None, Some(_)) => return Err(unknown(tenant, what, option, key)),
        }
    }
    for (claim, value) in &wanted.claims {
        set.put(claim, value.clone(), "another --claim")?;
    }
    if set.setter("jti").is_none() {
        set.put("jti", json!(URL_SAFE_NO_PAD.encode(random::<12>())), "a random id")?;
    }
    Ok(set.claims)
}

fn unknown(tenant: &Tenant, what: &str, option: &str, key: &str) -> String {
    format!("tokens of {} have no {what}; leave {option} out, or map {key}", tenant.id)
}

/// Claims, with what has set each.
#[derive(Default)]
struct Claims {
    claims: Map<String, Value>,
    setters: Vec<(String, &'static str)>,
}

impl Claims {
    /// What has set a claim, an object around it, or something within it.
    fn setter(&self, path: &str) -> Option<&'static str> {
        let is_within = |inner: &str, outer: &str| inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'));
        let found = self.setters.iter().find(|(set, _)| set == path || is_within(set, path) || is_within(path, set));
        found.map(|(_, setter)| *setter)
    }

    fn put(&mut self, path: &str, value: Value, setter: &'static str) -> Result<(), String> {
        if let Some(first) = self.setter(path) {
            return Err(format!("the claim {path} is set by {first} already; set it once"));
        }
        self.setters.push((path.to_owned(), setter));
        put(&mut self.claims, path, value);
        Ok(())
    }
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
