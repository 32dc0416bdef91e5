//! The epoch: by what is noticed that Redis has lost what it knew, and what is then refused.
//!
//! A key with a random value. Whoever knew one and finds it gone or another concludes that spent tokens may be forgotten
//! (FLUSHALL, a restart without its data, a failover to an empty replica), and writes a new one with a *bar*: tokens
//! issued up to then count as spent. Bars only rise. Of several that do so at once, the highest bar stays.
//!
//! What it does not tell: a replica that was a moment behind when it became the master has the epoch and lacks the last tokens.

use crate::{secret::random, time::UnixTime};

/// What the key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    id: [u8; 16],
    /// What was issued up to then counts as spent. The beginning of time where nothing was ever lost.
    pub bar: UnixTime,
}

/// What to do about what was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As known.
    Same,
    /// There never was one, as far as anybody here knows.
    Begin,
    /// It is another's, which refuses all that was spent here.
    Adopt(Epoch),
    /// Something was lost: write one with this bar.
    Raise(UnixTime),
}

impl Epoch {
    pub const BYTES: usize = 24;

    const NO_BAR: UnixTime = UnixTime(i64::MIN);

    pub fn new(bar: UnixTime) -> Self {
        Self { id: random(), bar }
    }

    /// The first of all.
    pub fn first() -> Self {
        Self::new(Self::NO_BAR)
    }

    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.id);
        bytes[16..].copy_from_slice(&self.bar.0.to_be_bytes());
        bytes
    }

    pub fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::BYTES] = bytes.try_into().ok()?;
        let bar = i64::from_be_bytes(bytes[16..].try_into().ok()?);
        Some(Self { id: bytes[..16].try_into().ok()?, bar: UnixTime(bar) })
    }

    /// What a value that was found means to one who knows `known`, and has spent tokens issued up to `latest_spent`.
    pub fn judge(found: Option<&[u8]>, known: Option<Self>, latest_spent: UnixTime, now: UnixTime) -> Verdict {
        let raised = |above: UnixTime| Verdict::Raise(now.max(latest_spent).max(UnixTime(above.0.saturating_add(1))));
        match (found.map(Self::of_bytes), known) {
            (None, None) => Verdict::Begin,
            (Some(Some(found)), None) => Verdict::Adopt(found),
            (Some(Some(found)), Some(known)) if found == known => Verdict::Same,
            // A bar not below what is known here: written by one who noticed the same. But that one does not know what was
            // spent here, whose issuer's clock may be ahead of its own.
            (Some(Some(found)), Some(known))
                if found.bar > Self::NO_BAR && found.bar >= known.bar && found.bar >= latest_spent =>
            {
                Verdict::Adopt(found)
            }
            (Some(Some(found)), Some(known)) => raised(found.bar.max(known.bar)),
            (Some(None), known) => raised(known.map_or(Self::NO_BAR, |known| known.bar)),
            (None, Some(known)) => raised(known.bar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);
    const NEVER: UnixTime = UnixTime(i64::MIN);

    fn judge(found: Option<Epoch>, known: Option<Epoch>, latest_spent: UnixTime) -> Verdict {
        Epoch::judge(found.map(Epoch::to_bytes).as_ref().map(<[u8; 24]>::as_slice), known, latest_spent, NOW)
    }

    #[test]
    fn one_that_is_gone_or_older_or_nobodys_is_a_loss() {
        let (first, other) = (Epoch::first(), Epoch::first());
        let raised = Epoch::new(UnixTime(900));
        assert_eq!(judge(None, None, NEVER), Verdict::Begin);
        assert_eq!(judge(Some(first), None, NEVER), Verdict::Adopt(first));
        assert_eq!(judge(Some(first), Some(first), NOW), Verdict::Same);
        assert_eq!(judge(None, Some(first), NEVER), Verdict::Raise(NOW));
        assert_eq!(judge(Some(other), Some(first), NEVER), Verdict::Raise(NOW), "begun by one who knew nothing");
        assert_eq!(judge(Some(first), Some(raised), NEVER), Verdict::Raise(NOW), "a replica that was behind");
        assert_eq!(Epoch::judge(Some(b"OK"), None, NEVER, NOW), Verdict::Raise(NOW), "nonsense");
    }

    #[test]
    fn anothers_bar_holds_if_it_covers_what_was_spent_here() {
        let (first, raised) = (Epoch::first(), Epoch::new(UnixTime(990)));
        assert_eq!(judge(Some(raised), Some(first), UnixTime(990)), Verdict::Adopt(raised));
        assert_eq!(judge(Some(raised), Some(first), UnixTime(995)), Verdict::Raise(NOW));
        assert_eq!(judge(Some(raised), Some(first), UnixTime(1_030)), Verdict::Raise(UnixTime(1_030)));
    }

    #[test]
    fn bars_only_rise() {
        let (high, same) = (Epoch::new(UnixTime(2_000)), Epoch::new(UnixTime(2_000)));
        assert_eq!(judge(None, Some(high), NEVER), Verdict::Raise(UnixTime(2_001)));
        assert_eq!(judge(Some(same), Some(high), UnixTime(2_000)), Verdict::Adopt(same), "two noticed at once");
        assert_eq!(judge(Some(same), Some(high), UnixTime(2_002)), Verdict::Raise(UnixTime(2_002)));
    }
}
