//! How far a revocation reaches, by two clocks: ours, and that of whoever issued the token.
//!
//! An order comes at a time of our clock. What it must end was issued by a clock that may be ahead of ours, by the tenant's leeway at
//! most. So a session keeps both times: its token's, and when it began here; and of a token is kept the earliest time of ours at which
//! it may have been issued ([`sights`](super::sights)).

use crate::{session::Session, time::UnixTime};

/// When a proof was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issued {
    /// A token: by its issuer's clock, and the earliest by ours.
    Token { at: UnixTime, earliest: UnixTime },
    /// A session: its token by the issuer's clock, and itself by ours.
    Session { at: UnixTime, began: UnixTime },
}

impl Issued {
    /// Of a session.
    pub fn of_session(session: &Session) -> Self {
        Self::Session { at: session.issued_at, began: session.started_at }
    }
}

/// Up to when something was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// By our clock.
    pub here: UnixTime,
    /// By that of whoever issued it: the same, or later.
    pub issuer: UnixTime,
}

impl Reach {
    /// Up to a time of ours, which the issuer's clock shows to be later by so many seconds.
    pub fn up_to(here: UnixTime, lead: i64) -> Self {
        Self { here, issuer: UnixTime(here.0.saturating_add(lead.max(0))) }
    }

    fn covers(self, issued: Issued) -> bool {
        let (Issued::Token { at, earliest: here } | Issued::Session { at, began: here }) = issued;
        at <= self.issuer || here <= self.here
    }

    fn join(self, other: Self) -> Self {
        Self { here: self.here.max(other.here), issuer: self.issuer.max(other.issuer) }
    }
}

/// How far a revocation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What was issued at that time or before.
    IssuedUpTo(Reach),
    /// The session, because another took its place in the browser: the cookie there is not its own any more.
    Replaced,
    /// The session.
    Ended,
}

impl Extent {
    /// What was issued up to that time by either clock.
    pub fn up_to(at: UnixTime) -> Self {
        Self::IssuedUpTo(Reach::up_to(at, 0))
    }

    pub(super) fn covers(self, issued: Issued) -> bool {
        match self {
            Self::IssuedUpTo(reach) => reach.covers(issued),
            Self::Replaced | Self::Ended => true,
        }
    }

    /// As far as both.
    pub(super) fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Ended, _) | (_, Self::Ended) => Self::Ended,
            (Self::Replaced, _) | (_, Self::Replaced) => Self::Replaced,
            (Self::IssuedUpTo(one), Self::IssuedUpTo(other)) => Self::IssuedUpTo(one.join(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_795_000_000;

    #[test]
    fn what_was_issued_up_to_then_by_either_clock_is_covered() {
        for (lead, at, here, is_covered) in [
            (0, 0, 0, true),
            (0, 29, 0, true),
            (0, 29, -5, true),
            (0, -9, 1, true),
            (0, 1, 1, false),
            (0, 29, 1, false),
            (29, 29, 1, true),
            (29, 30, 1, false),
        ] {
            let (at, here) = (UnixTime(T + at), UnixTime(T + here));
            for issued in [Issued::Session { at, began: here }, Issued::Token { at, earliest: here }] {
                assert_eq!(Reach::up_to(UnixTime(T), lead).covers(issued), is_covered, "{lead} {at} {here}");
            }
        }
    }

    #[test]
    fn of_two_each_clock_counts_by_itself() {
        let (one, other) = (Reach::up_to(UnixTime(T), 30), Reach::up_to(UnixTime(T + 20), 0));
        let joined = Extent::IssuedUpTo(one).join(Extent::IssuedUpTo(other));
        assert_eq!(joined, Extent::IssuedUpTo(Reach { here: UnixTime(T + 20), issuer: UnixTime(T + 30) }));
        assert_eq!(Extent::Replaced.join(joined), Extent::Replaced);
        assert_eq!(Extent::Replaced.join(Extent::Ended), Extent::Ended);
    }
}
