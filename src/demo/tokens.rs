//! What a customer's backend signs: tokens for its widget, and orders to end what they opened.

use std::{net::SocketAddr, time::Duration};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{TENANT, WIDGET_KEY_ID, people::Person};
use crate::{cli::ask::ask, secret, time::Clock};

pub const LIFETIME: Duration = Duration::from_secs(300);

/// The customer's half of the shared secret.
pub struct Signer {
    pub secret: Zeroizing<String>,
    pub clock: Clock,
    /// Where Vestibule takes orders.
    pub vestibule: SocketAddr,
}

impl Signer {
    /// A widget token: a few lines with any JWT library.
    pub fn token(&self, person: &Person) -> Option<String> {
        self.sign(json!({
            "userId": person.id,
            "userEmail": person.email,
            "userName": person.name,
            "userRoles": [person.role],
            "plan": person.plan,
        }))
    }

    /// Ends every session and token of a person; whether Vestibule said yes.
    pub async fn revoke(&self, person: &Person) -> bool {
        let Some(order) = self.sign(json!({ "userId": person.id, "revoke": "user" })) else {
            return false;
        };
        let vestibule = self.vestibule;
        let headers = Zeroizing::new(format!("Authorization: Bearer {order}\r\nContent-Length: 0\r\n"));
        let asked = tokio::task::spawn_blocking(move || ask(vestibule, "POST /_auth/revoke", &headers, ""));
        matches!(asked.await, Ok(Ok(answer)) if answer.starts_with("HTTP/1.1 204 "))
    }

    fn sign(&self, mut claims: Value) -> Option<String> {
        let now = self.clock.now();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(WIDGET_KEY_ID.to_owned());
        claims["tenantId"] = TENANT.into();
        claims["iat"] = now.0.into();
        claims["exp"] = now.plus(LIFETIME).0.into();
        // Else two of one second were the same token, and that passes once.
        claims["jti"] = secret::generate()[..22].into();
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(self.secret.as_bytes())).ok()
    }
}
