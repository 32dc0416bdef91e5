//! Second clicks: a form that a person sends twice, before the answer to the first was there, is one exchange.
//!
//! A browser drops the answer to the first, cookie included, and the token is spent. So a form may name its attempt by something
//! nobody can guess; the same token with the same attempt, within seconds, is the same session once more. Whoever has the token
//! alone gets nothing.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use quick_cache::sync::Cache;

use crate::{ledger::TokenId, session::Session, time::UnixTime};

/// The characters of an attempt: 16 random bytes are 22 in base64url.
pub const LENGTH: std::ops::RangeInclusive<usize> = 22..=64;

/// How long a second click may come after the first.
const SECONDS: Duration = Duration::from_secs(30);

/// The most that are remembered; the oldest go first.
const MOST: usize = 4_096;

/// Exchanges by forms that named their attempt, of the last seconds.
pub struct Repeats(Cache<TokenId, Repeat>);

#[derive(Clone)]
struct Repeat {
    attempt: String,
    session: Session,
    until: UnixTime,
}

impl Default for Repeats {
    fn default() -> Self {
        Self(Cache::new(MOST))
    }
}

impl Repeats {
    /// Remembers what an attempt led to.
    pub fn insert(&self, token: TokenId, attempt: String, session: Session, now: UnixTime) {
        self.0.insert(token, Repeat { attempt, session, until: now.plus(SECONDS) });
    }

    /// What the same attempt has led to.
    pub fn find(&self, token: TokenId, attempt: &str, now: UnixTime) -> Option<Session> {
        let repeat = self.0.get(&token)?;
        let is_same = verify_slices_are_equal(repeat.attempt.as_bytes(), attempt.as_bytes()).is_ok();
        (is_same && now <= repeat.until).then_some(repeat.session)
    }
}
