//! The app's own login cookies: none outlives the identity it was used with (`upstreams.….session_cookies`).
//!
//! A helpdesk that keeps a login of its own would show the next person at this browser what the one before left open. So a
//! cookie of ours notes, beside the app's, whose they are:
//!
//! 1. No note: nobody was here before. What comes is this caller's, and noted as such.
//! 2. A note of this caller's: their cookies pass. Once somebody else has been here, only those pass that the app set for this
//!    caller, by value: one of the other's may lie under a path that was not asked for yet.
//! 3. A note of somebody else's: no cookie passes, those that came are expired, and the note is this caller's.
//!
//! Nobody in particular, on an optional route, is a caller too, but one of whom no note is begun. A note holds digests alone
//! under the session keys; a forged one gets nobody more than the app's cookies in their own browser, which they have.

use std::{borrow::Cow, collections::BTreeSet};

use aws_lc_rs::{hkdf, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header::SET_COOKIE};

use crate::{
    cache::ProofKind,
    cookies::{self, Pair},
    gate::Caller,
    secret::Secret,
    session::Place,
    tenant::{CookieRules, Transport},
};

/// The names a note may have: one for all tenants, because one's user may follow another's. Over TLS and for plain-HTTP labs, and
/// each in a frame of another site.
pub const NAMES: [&str; 4] =
    ["__Host-vestibule-app", "vestibule-app", "__Host-vestibule-app-embedded", "vestibule-app-embedded"];

const OWNER: usize = 16;
const VALUE: usize = 12;
/// Of so many values the last are known: more are set by no app at once.
const MOST_VALUES: usize = 8;
/// As long as browsers keep any cookie (RFC 6265bis section 5.5): longer than the app's own.
const LIFETIME: i64 = 400 * 86_400;

/// What notes are made with.
pub struct Leftovers {
    keys: Vec<hmac::Key>,
    own: CookieRules,
    embedded: CookieRules,
}

/// What is noted of a browser's app cookies.
#[derive(Clone, PartialEq, Eq)]
struct Note {
    owner: [u8; OWNER],
    /// Whether somebody else has been here.
    is_shared: bool,
    values: Vec<[u8; VALUE]>,
}

/// What becomes of the app's login cookies in one request and its answer.
pub struct AppCookies {
    names: Vec<String>,
    /// Names and values that do not pass.
    unwanted: Vec<(Vec<u8>, Vec<u8>)>,
    before: Option<Note>,
    note: Note,
    rules: CookieRules,
    key: hmac::Key,
}

impl Leftovers {
    /// Derives keys from the session keys: the first notes, all read.
    pub fn new(secrets: &[Secret], transport: Transport) -> Self {
        let name = match transport {
            Transport::Secure => NAMES[0],
            Transport::Plain => NAMES[1],
        };
        let own = CookieRules { name: name.to_owned(), transport, place: Place::Own };
        Self { keys: secrets.iter().map(derive).collect(), embedded: own.embedded(), own }
    }

    /// Judges the app's cookies of these names, for whoever was admitted. `None` where there is nothing to do.
    pub fn judge(&self, headers: &HeaderMap, names: &[String], caller: &Caller) -> Option<AppCookies> {
        if names.is_empty() {
            return None;
        }
        let (place, who) = match caller {
            Caller::Known(proof) => {
                let place = match &proof.kind {
                    ProofKind::Session(session) => session.place,
                    ProofKind::Token(_) => Place::Own,
                };
                (place, [proof.identity().tenant.as_str(), &proof.identity().user])
            }
            Caller::Nobody { .. } => (Place::Own, ["", ""]),
        };
        let rules = match place {
            Place::Own => &self.own,
            Place::Embedded => &self.embedded,
        };
        // The app's cookies may lie where both the portal's own pages and frames find them, so all notes count.
        let found: Vec<(&[u8], Option<Note>)> = cookies::pairs(headers)
            .filter(|pair| NAMES.iter().any(|name| pair.name == name.as_bytes()))
            .map(|pair| (pair.name, Note::read(pair.value)))
            .collect();
        let is_first = found.is_empty();
        if is_first && matches!(caller, Caller::Nobody { .. }) {
            return None;
        }
        let key_of = |note: &Note| self.keys.iter().find(|key| note.owner == owner(key, who));
        // One that cannot be read is somebody's.
        let is_others = |note: &Option<Note>| note.as_ref().is_none_or(|note| key_of(note).is_none());
        let is_shared = found.iter().any(|(_, note)| is_others(note));
        let at_place = |name: &[u8]| name == rules.name.as_bytes();
        let before = found.iter().find(|(name, _)| at_place(name)).and_then(|(_, note)| note.clone());
        let own_notes = || found.iter().filter_map(|(_, note)| note.as_ref()).filter(|note| key_of(note).is_some());
        let mine = before.as_ref().filter(|note| key_of(note).is_some()).or_else(|| own_notes().next());
        let key = mine.and_then(key_of).or(self.keys.first())?.clone();
        let mut note = match mine {
            Some(note) => note.clone(),
            None => Note { owner: owner(&key, who), is_shared: false, values: Vec::new() },
        };
        note.is_shared |= is_shared;
        let is_mine = is_first || mine.is_some();
        let mut app =
            AppCookies { names: names.to_vec(), unwanted: Vec::new(), note, before, rules: rules.clone(), key };
        for pair in cookies::pairs(headers) {
            if !app.is_named(pair.name) {
                continue;
            }
            let is_known = app.note.values.contains(&app.value(&pair));
            match (is_mine, app.note.is_shared) {
                (true, false) => app.learn(&pair),
                (true, true) if is_known => app.learn(&pair),
                _ => app.unwanted.push((pair.name.to_vec(), pair.value.to_vec())),
            }
        }
        Some(app)
    }
}

/// The `Set-Cookie` values that expire those of the app's login cookies that came, at a sign-out.
pub fn expired<'a>(headers: &HeaderMap, names: impl Iterator<Item = &'a String>) -> impl Iterator<Item = String> {
    let has_come = |name: &str| cookies::pairs(headers).any(|pair| is_named(name, pair.name));
    let is_framed = NAMES[2..].iter().any(|name| has_come(name));
    let place = if is_framed { Place::Embedded } else { Place::Own };
    let found: BTreeSet<&String> = names.filter(|name| has_come(name)).collect();
    found.into_iter().flat_map(move |name| expiries(name, place))
}

impl AppCookies {
    /// Whether a cookie does not go to the app.
    pub fn is_unwanted(&self, pair: &Pair<'_>) -> bool {
        self.unwanted.iter().any(|(name, value)| pair.name == name && pair.value == value)
    }

    /// The `Set-Cookie` values that go before those of the app's answer: what is left over expires, and what the app sets is
    /// noted.
    pub fn set_cookies(&mut self, answer: &HeaderMap) -> Vec<String> {
        let mut names: Vec<&[u8]> = self.unwanted.iter().map(|(name, _)| name.as_slice()).collect();
        names.sort_unstable();
        names.dedup();
        let text = |name: &[u8]| self.names.iter().find(|known| is_named(known, name));
        let mut lines: Vec<String> =
            names.into_iter().filter_map(text).flat_map(|name| expiries(name, self.rules.place)).collect();
        for line in answer.get_all(SET_COOKIE) {
            let pair = cookies::pair(line.as_bytes().split(|b| *b == b';').next().unwrap_or_default());
            if self.is_named(pair.name) {
                self.learn(&pair);
            }
        }
        // Of somebody who neither has nor gets such a cookie there is nothing to note, unless another was here.
        let is_new = self.before.as_ref().is_none_or(|before| !before.says(&self.note));
        if is_new && (self.note.is_shared || !self.note.values.is_empty()) {
            lines.extend(cookies::set(&self.rules, self.note.text(), LIFETIME));
        }
        lines
    }

    fn is_named(&self, name: &[u8]) -> bool {
        self.names.iter().any(|known| is_named(known, name))
    }

    /// What is in use is forgotten last.
    fn learn(&mut self, pair: &Pair<'_>) {
        let value = self.value(pair);
        self.note.values.retain(|known| *known != value);
        self.note.values.push(value);
        let surplus = self.note.values.len().saturating_sub(MOST_VALUES);
        self.note.values.drain(..surplus);
    }

    /// A cookie of the app's as it is to be set: in a frame it goes with the frame, or it would lie where every page finds it.
    pub fn set_by_app(&self, line: &HeaderValue) -> Option<HeaderValue> {
        let text = line.to_str().ok().filter(|_| self.rules.place == Place::Embedded)?;
        if !self.is_named(cookies::name_set_by(line.as_bytes())) {
            return None;
        }
        let is_kept = |part: &&str| {
            let name = part.split('=').next().unwrap_or_default().trim();
            !["samesite", "secure", "partitioned"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
        };
        let (pair, attributes) = text.split_once(';').unwrap_or((text, ""));
        let kept = attributes.split(';').filter(is_kept).filter(|part| !part.trim().is_empty());
        let line = kept.fold(pair.to_owned(), |line, part| line + ";" + part) + "; Secure; SameSite=None; Partitioned";
        HeaderValue::from_str(&line).ok()
    }

    fn value(&self, pair: &Pair<'_>) -> [u8; VALUE] {
        digest(&self.key, &[b"value", &self.note.owner, pair.name, pair.value])
    }
}

impl Note {
    fn read(text: &[u8]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (owner, rest) = bytes.split_first_chunk()?;
        let (is_shared, rest) = rest.split_first()?;
        let (values, odd) = rest.as_chunks();
        let is_sound = odd.is_empty() && values.len() <= MOST_VALUES && *is_shared <= 1;
        is_sound.then(|| Self { owner: *owner, is_shared: *is_shared == 1, values: values.to_vec() })
    }

    /// Whether another says the same, in whatever order.
    fn says(&self, other: &Self) -> bool {
        self.owner == other.owner
            && self.is_shared == other.is_shared
            && other.values.iter().all(|value| self.values.contains(value))
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode([&self.owner[..], &[u8::from(self.is_shared)], self.values.as_flattened()].concat())
    }
}

/// Whether a cookie is the app's of that name: with white space around it, as some read it, too.
fn is_named(known: &str, name: &[u8]) -> bool {
    known.as_bytes() == name || std::str::from_utf8(name).is_ok_and(|name| name.trim() == known)
}

/// Under the root path, where login cookies live; one elsewhere stays, and is kept from the app. A frame finds cookies in two
/// places.
fn expiries(name: &str, place: Place) -> Vec<String> {
    let past = || Cookie::build((Cow::Borrowed(name), "")).path("/").max_age(cookie::time::Duration::ZERO);
    let is_secure = name.starts_with("__Host-") || name.starts_with("__Secure-");
    let of_all = if is_secure { past().secure(true) } else { past() }.to_string();
    match place {
        Place::Own => vec![of_all],
        Place::Embedded => {
            vec![of_all, past().secure(true).same_site(SameSite::None).partitioned(true).to_string()]
        }
    }
}

fn owner(key: &hmac::Key, [tenant, user]: [&str; 2]) -> [u8; OWNER] {
    digest(key, &[b"owner", tenant.as_bytes(), user.as_bytes()])
}

/// Of parts that cannot run into each other.
fn digest<const N: usize>(key: &hmac::Key, parts: &[&[u8]]) -> [u8; N] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    *context.sign().as_ref().first_chunk().expect("SHA-256 has 32 bytes")
}

fn derive(secret: &Secret) -> hmac::Key {
    let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"vestibule leftovers 1");
    let material = salt.extract(secret.expose());
    let okm = material.expand(&[b"key"], hmac::HMAC_SHA256).expect("HKDF gives a key of its own length");
    okm.into()
}
