//! A customer's backend in Rust: signs good tokens, and any other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Value, json};

use super::NOW;

/// A tenant's backend.
#[derive(Clone)]
pub struct Issuer {
    pub tenant: &'static str,
    pub secret: &'static str,
}

impl Issuer {
    pub const ACME: Self = Self { tenant: "acme", secret: "acme-secret-0123456789abcdef0123456789" };
    pub const GLOBEX: Self = Self { tenant: "globex", secret: "globex-secret-0123456789abcdef01234567" };

    /// The claims of a good token for a user with the role `agent`.
    pub fn claims(&self, user: &str) -> Value {
        json!({
            "userId": user, "tenantId": self.tenant, "userEmail": format!("{user}@{}.example", self.tenant),
            "userRoles": ["agent"], "plan": "pro", "iat": NOW.0, "exp": NOW.0 + 600,
        })
    }

    /// A good token.
    pub fn token(&self, user: &str) -> String {
        self.sign(&self.claims(user))
    }

    /// Any claims, properly signed.
    pub fn sign(&self, claims: &Value) -> String {
        self.raw(r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
    }

    /// The claims of a good token with some replaced; `null` removes one.
    pub fn with(&self, changes: Value) -> String {
        let mut claims = self.claims("maya");
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        self.sign(&claims)
    }

    /// Any header and payload text, signed with HMAC-SHA256 whatever the header says.
    pub fn raw(&self, header: &str, claims: &str) -> String {
        self.raw_bytes(header.as_bytes(), claims.as_bytes(), Algorithm::HS256)
    }

    /// Any bytes, signed with the tenant's secret.
    pub fn raw_bytes(&self, header: &[u8], claims: &[u8], algorithm: Algorithm) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        let signature = crypto::sign(message.as_bytes(), &key, algorithm).unwrap();
        format!("{message}.{signature}")
    }
}
