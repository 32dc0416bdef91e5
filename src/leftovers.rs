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
//! A cookie that comes lies under a path that the path asked for begins with, so it is expired at each of those.
//!
//! Nobody in particular, on an optional route, is a caller too, but one of whom no note is begun. A note holds digests alone
//! under the session keys; a forged one gets nobody more than the app's cookies in their own browser, which they have.

mod names;

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use aws_lc_rs::{hkdf, hmac};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header::SET_COOKIE};

pub use names::{MOST_NAMES, Name, Names};

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
const MOST_VALUES: usize = 32;
/// The most of the app's login cookies, and of our notes, that are looked at: each costs a digest. More do not count.
const MOST_COOKIES: usize = 256;
const MOST_NOTES: usize = 8;
/// The most lines that expire cookies in an answer, and the deepest path they reach: proxies bound heads.
const MOST_EXPIRIES: usize = 64;
const DEEPEST: usize = 8;
/// As long as browsers keep any cookie (RFC 6265bis section 5.5): longer than the app's own.
const LIFETIME: i64 = 400 * 86_400;

/// What notes are made with.
pub struct Leftovers {
    keys: Vec<hmac::Key>,
    own: CookieRules,
    embedded: CookieRules,
    /// Names that are ours, whatever `session_cookies` says: sessions and notes.
    ours: Arc<HashSet<String>>,
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
    names: Names,
    ours: Arc<HashSet<String>>,
    /// The path asked for.
    path: String,
    /// Those of these names that pass, as `name=value`. All others do not.
    passing: HashSet<Vec<u8>>,
    /// The names of those that do not.
    left_over: BTreeSet<String>,
    before: Option<Note>,
    note: Note,
    rules: CookieRules,
    key: hmac::Key,
}

impl Leftovers {
    /// Derives keys from the session keys: the first notes, all read. `sessions` are the names of our session cookies.
    pub fn new(secrets: &[Secret], transport: Transport, sessions: impl Iterator<Item = String>) -> Self {
        let name = match transport {
            Transport::Secure => NAMES[0],
            Transport::Plain => NAMES[1],
        };
        let own = CookieRules { name: name.to_owned(), transport, place: Place::Own };
        let ours = Arc::new(sessions.chain(NAMES.map(str::to_owned)).collect());
        Self { keys: secrets.iter().map(derive).collect(), embedded: own.embedded(), own, ours }
    }

    /// The rules of a note of that name.
    pub fn rules(&self, name: &str) -> Option<&CookieRules> {
        [&self.own, &self.embedded].into_iter().find(|rules| rules.name == name)
    }

    /// Judges the app's cookies of these names, for whoever was admitted. `None` where there is nothing to do.
    pub fn judge(&self, headers: &HeaderMap, path: &str, names: &Names, caller: &Caller) -> Option<AppCookies> {
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
        let came = cookies::pairs(headers).filter_map(|pair| {
            let found = self.rules(std::str::from_utf8(pair.name).ok()?)?;
            Some((found.place, Note::read(pair.value)))
        });
        let found: Vec<(Place, Option<Note>)> = came.take(MOST_NOTES + 1).collect();
        let is_first = found.is_empty();
        if is_first && matches!(caller, Caller::Nobody { .. }) {
            return None;
        }
        let owners: Vec<[u8; OWNER]> = self.keys.iter().map(|key| owner(key, who)).collect();
        let key_of = |note: &Note| owners.iter().position(|owner| note.owner == *owner);
        // A sibling host may have planted some: the caller's own counts, where there is one.
        let own = |note: &Option<Note>| note.as_ref().is_some_and(|note| key_of(note).is_some());
        let at_place = || found.iter().filter(|(at, _)| *at == place).map(|(_, note)| note);
        let before = at_place().find(|note| own(note)).or_else(|| at_place().next()).cloned().flatten();
        let mine = before.as_ref().filter(|note| key_of(note).is_some());
        let mine = mine.or_else(|| found.iter().find(|(_, note)| own(note)).and_then(|(_, note)| note.as_ref()));
        let at = mine.and_then(key_of).unwrap_or(0);
        let key = self.keys.get(at)?.clone();
        let mut note = match mine {
            Some(note) => note.clone(),
            None => Note { owner: *owners.get(at)?, is_shared: false, values: Vec::new() },
        };
        // One that cannot be read is somebody's.
        note.is_shared |= found.len() > MOST_NOTES || !found.iter().all(|(_, note)| own(note));
        let is_mine = is_first || mine.is_some();
        let (passing, left_over) = (HashSet::new(), BTreeSet::new());
        let (names, ours, path) = (names.clone(), self.ours.clone(), path.to_owned());
        let mut app = AppCookies { names, ours, path, passing, left_over, note, before, rules: rules.clone(), key };
        app.judge(headers, is_mine);
        Some(app)
    }

    /// The `Set-Cookie` values that expire those of the app's login cookies that came, at a sign-out.
    pub fn expired<'a>(&self, headers: &HeaderMap, names: impl Iterator<Item = &'a Names>) -> Vec<String> {
        let names: Vec<&Names> = names.collect();
        let came: BTreeSet<&[u8]> = cookies::pairs(headers).map(|pair| pair.name).collect();
        let is_framed = NAMES[2..].iter().any(|name| came.contains(name.as_bytes()));
        let place = if is_framed { Place::Embedded } else { Place::Own };
        let found = came.into_iter().filter_map(|name| names.iter().find_map(|names| names.find(name)));
        let found: BTreeSet<Cow<'_, str>> = found.filter(|name| !self.ours.contains(&**name)).collect();
        expiries(found.iter().map(|name| &**name), "/", place)
    }
}

impl AppCookies {
    /// Sorts the app's login cookies, in time that grows with their number alone.
    fn judge(&mut self, headers: &HeaderMap, is_mine: bool) {
        let mut looked_at = 0;
        for pair in cookies::pairs(headers) {
            let Some(name) = self.known(pair.name) else { continue };
            looked_at += 1;
            let value = (is_mine && looked_at <= MOST_COOKIES).then(|| self.value(&pair));
            match value.filter(|value| !self.note.is_shared || self.note.values.contains(value)) {
                Some(value) => {
                    self.learn(value);
                    self.passing.insert(key(&pair));
                }
                None if self.left_over.contains(&*name) => {}
                None => {
                    self.left_over.insert(name.into_owned());
                }
            }
        }
    }

    /// Whether a cookie does not go to the app.
    pub fn is_unwanted(&self, pair: &Pair<'_>) -> bool {
        self.known(pair.name).is_some() && (self.passing.is_empty() || !self.passing.contains(&key(pair)))
    }

    /// The `Set-Cookie` values that go before those of the app's answer: what is left over expires, and what the app sets is
    /// noted.
    pub fn set_cookies(&mut self, answer: &HeaderMap) -> Vec<String> {
        let left_over = self.left_over.iter().map(String::as_str);
        let mut lines = expiries(left_over, &self.path, self.rules.place);
        for line in answer.get_all(SET_COOKIE) {
            let pair = cookies::pair(line.as_bytes().split(|b| *b == b';').next().unwrap_or_default());
            if self.known(pair.name).is_some() {
                let value = self.value(&pair);
                self.learn(value);
            }
        }
        // Of somebody who neither has nor gets such a cookie there is nothing to note, unless another was here.
        let is_new = self.before.as_ref().is_none_or(|before| !before.says(&self.note));
        if is_new && (self.note.is_shared || !self.note.values.is_empty()) {
            lines.extend(cookies::set(&self.rules, self.note.text(), LIFETIME));
        }
        lines
    }

    /// The name of a login cookie of the app's; never one of ours.
    fn known<'n>(&self, name: &'n [u8]) -> Option<Cow<'n, str>> {
        self.names.find(name).filter(|name| !self.ours.contains(&**name))
    }

    /// What is in use is forgotten last.
    fn learn(&mut self, value: [u8; VALUE]) {
        self.note.values.retain(|known| *known != value);
        self.note.values.push(value);
        let surplus = self.note.values.len().saturating_sub(MOST_VALUES);
        self.note.values.drain(..surplus);
    }

    /// A cookie of the app's as it is to be set: in a frame it goes with the frame, or it would lie where every page finds it.
    pub fn set_by_app(&self, line: &HeaderValue) -> Option<HeaderValue> {
        let text = line.to_str().ok().filter(|_| self.rules.place == Place::Embedded)?;
        self.known(cookies::name_set_by(line.as_bytes()))?;
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

fn key(pair: &Pair<'_>) -> Vec<u8> {
    [pair.name, pair.value].join(&b'=')
}

/// Cookies of these names, wherever they lie that came with a request for this path; those that no line reaches are kept from the
/// app all the same.
fn expiries<'n>(names: impl Iterator<Item = &'n str> + Clone, path: &str, place: Place) -> Vec<String> {
    // What a client sent goes into a header: only what can be a name there (RFC 6265 section 4.1.1).
    let names = names.filter(|name| is_cookie_name(name));
    let at = |path| names.clone().flat_map(move |name| expiry(name, path, place));
    paths(path).into_iter().flat_map(at).take(MOST_EXPIRIES).collect()
}

/// The paths of which a cookie can be that came with a request for this one (RFC 6265 section 5.1.4), the root first.
fn paths(path: &str) -> Vec<&str> {
    // No `Path` can hold these, and a request's can.
    let path = path.split(|c: char| c == ';' || !c.is_ascii_graphic()).next().unwrap_or_default();
    let slashes = path.match_indices('/').skip(1).take(DEEPEST);
    let mut paths = vec!["/"];
    paths.extend(slashes.flat_map(|(at, _)| [&path[..at], &path[..=at]]));
    if paths.len() <= 2 * DEEPEST && path.len() > 1 && !path.ends_with('/') {
        paths.push(path);
    }
    paths
}

/// RFC 6265 section 4.1.1.
pub fn is_cookie_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// A frame finds cookies in two places.
fn expiry(name: &str, path: &str, place: Place) -> Vec<String> {
    if name.starts_with("__Host-") && path != "/" {
        return Vec::new();
    }
    let past = || Cookie::build((name, "")).path(path).max_age(cookie::time::Duration::ZERO);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As a head could hold, if there were no bound on it.
    const MANY: usize = 20_000;

    fn judged(count: usize, note: &str) -> usize {
        let leftovers = Leftovers::new(&[Secret::new(vec![7; 32])], Transport::Secure, std::iter::empty());
        let line: String = (0..count).map(|n| format!("sessionid={n}; ")).collect();
        let headers = HeaderMap::from_iter([(
            http::header::COOKIE,
            HeaderValue::from_str(&format!("{line}{}={note}", NAMES[0])).expect("a value"),
        )]);
        let caller = Caller::Nobody { dead_cookie: None };
        let begun = std::time::Instant::now();
        let names = Names::Listed([Name::Exact("sessionid".to_owned())].into());
        let app = leftovers.judge(&headers, "/", &names, &caller).expect("judged");
        let passing = cookies::pairs(&headers).filter(|pair| !app.is_unwanted(pair)).count();
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "time grows with the square of the cookies");
        passing
    }

    #[test]
    fn a_cookie_is_expired_at_every_path_it_can_be_of() {
        for (path, all) in [
            ("/", &["/"][..]),
            ("/tickets", &["/", "/tickets"]),
            ("/user/maya/", &["/", "/user", "/user/", "/user/maya", "/user/maya/"]),
            ("/a/b", &["/", "/a", "/a/", "/a/b"]),
            ("/a;Domain=x/b", &["/", "/a"]),
        ] {
            assert_eq!(paths(path), all, "{path}");
        }
        assert_eq!(paths(&"/a".repeat(1000)).len(), 2 * DEEPEST + 1);
        assert_eq!(expiries(["a", "__Host-b", "c d"].into_iter(), "/x", Place::Own).len(), 3);
        let names: Vec<String> = (0..200).map(|n| format!("n{n}")).collect();
        assert_eq!(expiries(names.iter().map(String::as_str), "/a/b/c", Place::Own).len(), MOST_EXPIRIES);
    }

    #[test]
    fn work_grows_with_the_number_of_cookies_alone() {
        let leftovers = Leftovers::new(&[Secret::new(vec![7; 32])], Transport::Secure, std::iter::empty());
        let owner = owner(&leftovers.keys[0], ["", ""]);
        let note = |is_shared| Note { owner, is_shared, values: Vec::new() }.text();
        for count in [3_000, MANY] {
            // Ours is among what was counted.
            assert_eq!(judged(count, "forged"), 1);
            assert_eq!(judged(count, &note(true)), 1);
            judged(count, &note(false));
        }
    }
}
