//! A token passes if and only if its MAC is right over its very bytes and its claims keep every rule.
//!
//! The first line chooses: `r` takes the rest as a token; any other letter signs header (next line) and claims (the rest)
//! with that secret, `-` with none. Three bytes each after the letter then change a byte: its place, and what it is XORed with.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule::{
    tenant::Tenant,
    time::UnixTime,
    token::{Claims, Parts, TokenError, verify},
};
use vestibule_fuzz::{
    NOW,
    claims::{Said, read},
    first_line, portal, secret, sign,
};

fuzz_target!(|data: &[u8]| {
    let Some(token) = token(data) else { return };
    for tenant in portal().tenants.iter() {
        let claims = verified(&token, tenant, NOW).map_err(|error| {
            // What the log and `explain` would say of it.
            let _ = (error.to_string(), error.check(), error.remedy());
        });
        let said = claims.as_ref().ok().map(|claims| Said {
            key: claims.key.clone(),
            user: claims.identity.user.clone(),
            roles: claims.identity.roles.clone(),
            profile: [
                claims.identity.email.clone(),
                claims.identity.name.clone(),
                claims.identity.plan.clone(),
                claims.identity.picture.clone(),
            ],
            issued_at: claims.issued_at.0,
            expires_at: claims.expires_at.0,
        });
        assert_eq!(said, read(&token, tenant), "tenant {}, token {token}", tenant.id);
        if let Ok(claims) = claims {
            assert_eq!(claims.identity.tenant, tenant.id);
            check_window(&token, tenant, &claims);
        }
    }
});

/// A proof held in the cache counts between these two seconds: they must be the ones that verification itself has.
fn check_window(token: &str, tenant: &Tenant, claims: &Claims) {
    let (from, until) = claims.valid;
    assert!(from <= NOW && NOW <= until, "{from} {until}");
    for (at, passes) in [(from.0 - 1, false), (from.0, true), (until.0, true), (until.0 + 1, false)] {
        assert_eq!(verified(token, tenant, UnixTime(at)).is_ok(), passes, "at {at} of {from} {until}: {token}");
    }
}

fn verified(token: &str, tenant: &Tenant, now: UnixTime) -> Result<Claims, TokenError> {
    let parts = Parts::decode(token)?;
    let jwt = parts.read()?;
    verify(&jwt, &tenant.id, &tenant.tokens, now).map(|claims| Claims::clone(&claims))
}

fn token(data: &[u8]) -> Option<String> {
    let (how, rest) = first_line(data);
    let (signer, edits) = how.split_first()?;
    let name = match signer {
        b'r' => return String::from_utf8(rest.strip_suffix(b"\n").unwrap_or(rest).to_vec()).ok(),
        b'-' => None,
        b'o' => Some("ACME_OLD"),
        b'n' => Some("ACME_NEW"),
        b'g' => Some("GLOBEX"),
        b'i' => Some("INITECH"),
        b'u' => Some("UMBRELLA"),
        b's' => Some("SESSION"),
        _ => Some("ACME"),
    };
    let (header, claims) = first_line(rest);
    let mut token = sign(&name.and_then(secret).unwrap_or_default(), header, claims);
    if name.is_none() {
        token.truncate(token.rfind('.')? + 1);
    }
    let mut token = token.into_bytes();
    for edit in edits.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([edit[0], edit[1]])) % token.len();
        token[place] ^= edit[2];
    }
    String::from_utf8(token).ok()
}
