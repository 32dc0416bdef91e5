//! Sessions: sealed into their cookie, so that any instance opens one without a look-up.
//!
//! A cookie's value is base64url of `tag (8) | nonce (12) | ciphertext and its tag (16)`. Each pair of session key and
//! tenant has its own AES-256-GCM-SIV key (RFC 8452), derived by HKDF-SHA256 (RFC 5869), and its own look-up tag, so a
//! cookie taken to another tenant does not open: there is no check to forget. The browser learns nothing from it.

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    identity::{Identity, TenantId, Verified},
    secret::{Secret, random},
    time::UnixTime,
};

/// Bytes of a key's look-up tag.
pub const TAG: usize = 8;

/// A session's random name, 128 bits; it stands in the ledger, never in a log.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub [u8; 16]);

/// Which cookie a session lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// That of the portal's own pages.
    #[default]
    Own,
    /// That of a frame in another site's page, kept apart for each of those sites.
    #[serde(rename = "e")]
    Embedded,
}

impl Place {
    fn is_own(&self) -> bool {
        *self == Self::Own
    }
}

/// A session as sealed into its cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    /// Part of what is sealed: one cookie's value is no session under the other's name.
    pub place: Place,
    pub identity: Identity,
    /// When its token was issued, by the issuer's clock.
    pub issued_at: UnixTime,
    /// When it began, by ours.
    pub started_at: UnixTime,
    pub expires_at: UnixTime,
    /// When it was last sealed: idle time counts from here.
    pub seen_at: UnixTime,
}

/// How long a tenant's sessions last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    pub absolute: Duration,
    pub idle: Option<Duration>,
}

/// Why a cookie is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    #[error("cookie does not open under any session key")]
    Sealed,
    #[error("session belongs to another tenant")]
    Tenant,
    #[error("session is past its lifetime")]
    Expired,
    #[error("session was idle too long")]
    Idle,
}

impl Session {
    /// A fresh session for an identity verified by what was issued then, by a clock that may be ahead of ours: what ends all that was
    /// issued up to a time asks for both times.
    pub fn start(identity: Identity, place: Place, issued_at: UnixTime, lifetime: Lifetime, now: UnixTime) -> Self {
        Self {
            id: SessionId(random()),
            place,
            identity,
            issued_at,
            started_at: now,
            expires_at: now.plus(lifetime.absolute),
            seen_at: now,
        }
    }

    /// When it ends: as sealed, or earlier where the tenant has shortened its lifetime since.
    pub fn ends_at(&self, lifetime: Lifetime) -> UnixTime {
        self.expires_at.min(self.started_at.plus(lifetime.absolute))
    }

    /// The same session used again, where idle time counts: once a minute at most, or four times in a shorter idle time.
    pub fn renewed(&self, lifetime: Lifetime, now: UnixTime) -> Option<Self> {
        let pause = (lifetime.idle? / 4).min(Duration::from_secs(60));
        (now >= self.seen_at.plus(pause)).then(|| Self { seen_at: now, ..self.clone() })
    }

    /// Whether it is within its lifetime at `now`. One that starts in the future is as dead as one that ended: no leeway
    /// is due between our own clocks, but one minute lets instances differ.
    pub fn check(&self, lifetime: Lifetime, now: UnixTime) -> Result<(), SessionError> {
        let minute = Duration::from_secs(60);
        if now >= self.ends_at(lifetime) || self.started_at > now.plus(minute) {
            return Err(SessionError::Expired);
        }
        match lifetime.idle {
            Some(idle) if now >= self.seen_at.plus(idle) => Err(SessionError::Idle),
            _ => Ok(()),
        }
    }
}

/// What is inside the seal, with short names: a cookie has 4 KB.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<'a> {
    i: [u8; 16],
    #[serde(borrow)]
    u: std::borrow::Cow<'a, str>,
    r: Vec<String>,
    e: Option<String>,
    n: Option<String>,
    p: Option<String>,
    m: Option<String>,
    s: i64,
    x: i64,
    l: i64,
    /// When the token was issued, where that is another second than `s`. An earlier version wrote one time alone, the later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    t: Option<i64>,
    #[serde(default, skip_serializing_if = "Place::is_own")]
    c: Place,
}

struct SealKey {
    tenant: TenantId,
    tag: [u8; TAG],
    key: LessSafeKey,
}

/// The session keys of all tenants: the first of the configuration seals, all open.
pub struct SessionKeys {
    keys: Vec<SealKey>,
    by_tag: HashMap<[u8; TAG], usize>,
    sealing: HashMap<TenantId, usize>,
}

impl SessionKeys {
    /// Derives a key for each secret and tenant.
    pub fn new<'a>(secrets: &[Secret], tenants: impl IntoIterator<Item = &'a TenantId>) -> Self {
        let mut ring = Self { keys: Vec::new(), by_tag: HashMap::new(), sealing: HashMap::new() };
        for tenant in tenants {
            for secret in secrets {
                let at = ring.keys.len();
                let key = SealKey::derive(secret, tenant);
                ring.by_tag.insert(key.tag, at);
                ring.sealing.entry(tenant.clone()).or_insert(at);
                ring.keys.push(key);
            }
        }
        ring
    }

    /// Seals a session into a cookie value.
    pub fn seal(&self, session: &Session) -> Option<String> {
        let key = &self.keys[*self.sealing.get(&session.identity.tenant)?];
        let identity = &session.identity;
        let sealed = Sealed {
            i: session.id.0,
            u: identity.user.as_str().into(),
            r: identity.roles.clone(),
            e: identity.email.clone(),
            n: identity.name.clone(),
            p: identity.plan.clone(),
            m: identity.picture.clone(),
            s: session.started_at.0,
            x: session.expires_at.0,
            l: session.seen_at.0,
            t: (session.issued_at != session.started_at).then_some(session.issued_at.0),
            c: session.place,
        };
        key.seal(Zeroizing::new(serde_json::to_vec(&sealed).ok()?))
    }

    /// Under which key a cookie value is sealed, by its tag.
    pub fn tag(value: &str) -> Option<[u8; TAG]> {
        // Eleven characters hold eight bytes; twelve are three whole groups.
        URL_SAFE_NO_PAD.decode(value.get(..12)?).ok()?.first_chunk().copied()
    }

    /// Whether there is a key of that tag.
    pub fn has(&self, tag: &[u8; TAG]) -> bool {
        self.by_tag.contains_key(tag)
    }

    /// Opens a cookie value; whether the session is still alive is [`Session::check`]'s to say.
    pub fn open(&self, value: &str) -> Result<Verified<Session>, SessionError> {
        let mut bytes = URL_SAFE_NO_PAD.decode(value).map_err(|_| SessionError::Sealed)?;
        let (tag, rest) = bytes.split_first_chunk_mut::<TAG>().ok_or(SessionError::Sealed)?;
        let (nonce, text) = rest.split_first_chunk_mut::<NONCE_LEN>().ok_or(SessionError::Sealed)?;
        let key = &self.keys[*self.by_tag.get(tag).ok_or(SessionError::Sealed)?];
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let text = key.key.open_in_place(nonce, Aad::from(*tag), text).map_err(|_| SessionError::Sealed)?;
        let sealed: Sealed<'_> = serde_json::from_slice(text).map_err(|_| SessionError::Sealed)?;
        Ok(Verified::assertion(Session {
            id: SessionId(sealed.i),
            place: sealed.c,
            identity: Identity {
                user: sealed.u.into_owned(),
                tenant: key.tenant.clone(),
                roles: sealed.r,
                email: sealed.e,
                name: sealed.n,
                plan: sealed.p,
                picture: sealed.m,
            },
            issued_at: UnixTime(sealed.t.unwrap_or(sealed.s)),
            // No session begins after it was sealed: where that is said, an earlier version wrote the time of a clock ahead.
            started_at: UnixTime(sealed.s.min(sealed.l)),
            expires_at: UnixTime(sealed.x),
            seen_at: UnixTime(sealed.l),
        }))
    }
}

impl SealKey {
    fn derive(secret: &Secret, tenant: &TenantId) -> Self {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule session 1");
        let source = salt.extract(secret.expose());
        let mut tag = [0; TAG];
        let mut key = Zeroizing::new([0; 32]);
        expand(&source, &[b"tag", tenant.as_str().as_bytes()], &mut tag);
        expand(&source, &[b"key", tenant.as_str().as_bytes()], key.as_mut_slice());
        let key = UnboundKey::new(&AES_256_GCM_SIV, key.as_slice()).expect("the algorithm takes 32 bytes");
        Self { tenant: tenant.clone(), tag, key: LessSafeKey::new(key) }
    }

    fn seal(&self, mut text: Zeroizing<Vec<u8>>) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = random();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(self.tag), &mut *text).ok()?;
        Some(URL_SAFE_NO_PAD.encode([&self.tag[..], &nonce[..], &text[..]].concat()))
    }
}

fn expand(source: &hkdf::Prk, info: &[&[u8]], out: &mut [u8]) {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    source
        .expand(info, Length(out.len()))
        .and_then(|material| material.fill(out))
        .expect("HKDF gives up to 8160 bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_000_000);
    const LIFETIME: Lifetime = Lifetime { absolute: Duration::from_secs(3_600), idle: Some(Duration::from_secs(600)) };

    fn secret(byte: u8) -> Secret {
        Secret::new(vec![byte; 32])
    }

    fn session(tenant: &TenantId) -> Session {
        let identity = Identity {
            user: "maya \"ü\"".into(),
            tenant: tenant.clone(),
            roles: vec!["agent".into()],
            email: Some("maya@acme.example".into()),
            name: None,
            plan: None,
            picture: None,
        };
        Session::start(identity, Place::Own, NOW, LIFETIME, NOW)
    }

    #[test]
    fn a_sealed_session_opens_to_itself_and_says_nothing() {
        let acme = TenantId::new("acme");
        let keys = SessionKeys::new(&[secret(1)], [&acme]);
        let before = session(&acme);
        let value = keys.seal(&before).expect("sealed");
        assert!(*keys.open(&value).expect("opens") == before);
        let bytes = URL_SAFE_NO_PAD.decode(&value).expect("base64url");
        assert!(!bytes.windows(4).any(|w| w == b"maya" || w == b"acme"));
        assert_ne!(keys.seal(&before), Some(value));
    }

    #[test]
    fn a_session_keeps_the_times_of_both_clocks() {
        let acme = TenantId::new("acme");
        let keys = SessionKeys::new(&[secret(1)], [&acme]);
        for issued_at in [NOW.0 - 9, NOW.0, NOW.0 + 29].map(UnixTime) {
            let before = Session::start(session(&acme).identity, Place::Own, issued_at, LIFETIME, NOW);
            let after = keys.open(&keys.seal(&before).expect("sealed")).expect("opens");
            assert_eq!((after.issued_at, after.started_at, after.expires_at.since(NOW)), (issued_at, NOW, 3_600));
            let renewed = after.renewed(LIFETIME, NOW.plus(LIFETIME.absolute)).expect("after a minute");
            assert_eq!((renewed.issued_at, renewed.started_at), (issued_at, NOW));
        }
    }

    #[test]
    fn a_session_of_an_earlier_version_opens() {
        let acme = TenantId::new("acme");
        let keys = SessionKeys::new(&[secret(1)], [&acme]);
        let opened = |started: i64, seen: i64| {
            let text = format!(
                r#"{{"i":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],"u":"maya","r":["agent"],"e":null,"n":null,"p":null,"m":null,"s":{started},"x":{},"l":{seen}}}"#,
                NOW.0 + 3_600
            );
            keys.open(&keys.keys[0].seal(Zeroizing::new(text.into_bytes())).expect("sealed")).expect("opens")
        };
        let usual = opened(NOW.0, NOW.0 + 60);
        assert_eq!((usual.issued_at, usual.started_at, usual.seen_at), (NOW, NOW, UnixTime(NOW.0 + 60)));
        assert_eq!((usual.id.0[15], usual.place), (16, Place::Own));
        let ahead = opened(NOW.0 + 29, NOW.0);
        assert_eq!((ahead.issued_at, ahead.started_at), (UnixTime(NOW.0 + 29), NOW), "it was sealed before that");
    }

    #[test]
    fn any_changed_character_is_refused() {
        let acme = TenantId::new("acme");
        let keys = SessionKeys::new(&[secret(1)], [&acme]);
        let value = keys.seal(&session(&acme)).expect("sealed");
        for at in 0..value.len() {
            let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
            let changed = format!("{}{other}{}", &value[..at], &value[at + 1..]);
            assert_eq!(keys.open(&changed).err(), Some(SessionError::Sealed), "at {at}");
            assert!(keys.open(&value[..at]).is_err() && keys.open(&value[at + 1..]).is_err());
        }
    }

    #[test]
    fn keys_rotate_and_tenants_do_not_mix() {
        let (acme, globex) = (TenantId::new("acme"), TenantId::new("globex"));
        let old = SessionKeys::new(&[secret(1)], [&acme, &globex]);
        let both = SessionKeys::new(&[secret(2), secret(1)], [&acme, &globex]);
        let new = SessionKeys::new(&[secret(2)], [&acme, &globex]);
        let value = old.seal(&session(&acme)).expect("sealed");
        assert_eq!(both.open(&value).expect("opens").identity.tenant, acme);
        assert!(new.open(&value).is_err());
        assert!(new.open(&both.seal(&session(&acme)).expect("sealed")).is_ok());
        assert!(SessionKeys::new(&[secret(1)], [&globex]).open(&value).is_err());
    }

    #[test]
    fn lifetimes_end_exactly_and_may_be_shortened_later() {
        let session = session(&TenantId::new("acme"));
        let at = |seconds| session.check(LIFETIME, UnixTime(NOW.0 + seconds));
        assert_eq!((at(0), at(599), at(600)), (Ok(()), Ok(()), Err(SessionError::Idle)));
        assert_eq!((at(3_600), at(-61)), (Err(SessionError::Expired), Err(SessionError::Expired)));
        let shorter = Lifetime { absolute: Duration::from_secs(60), idle: None };
        assert_eq!(session.check(shorter, UnixTime(NOW.0 + 60)), Err(SessionError::Expired));
    }
}
