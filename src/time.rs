//! Time as the decision sees it: whole seconds, handed in, never read inside.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Seconds since 1970-01-01T00:00:00Z (RFC 7519 section 2, NumericDate, whole seconds only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// Later by `span`, saturating: a clock at the end of time must not panic.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(seconds(span)))
    }

    /// Earlier by `span`, saturating.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(seconds(span)))
    }

    /// Seconds from `earlier` to here; negative when it is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// RFC 3339 in UTC, as `2026-11-20T10:00:00Z`.
impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "{} s after 1970", self.0),
        }
    }
}

/// Where `now` comes from: the system's clock, or a test's.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System(Arc<Timeline>),
    Read(Arc<dyn Fn() -> UnixTime + Send + Sync>),
}

impl Clock {
    /// The wall clock, which never goes back behind the time that has really passed since this was made: what has expired stays
    /// so, whatever is set. A clock set ahead is followed, and followed back.
    pub fn system() -> Self {
        Self(Source::System(Arc::new(Timeline::start())))
    }

    /// A clock that shows what `read` says.
    pub fn reading(read: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(Source::Read(Arc::new(read)))
    }

    /// The time now.
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Source::System(timeline) => timeline.now(Reading::take()),
            Source::Read(read) => read(),
        }
    }

    /// The time by which to forget for good: a clock set ahead by mistake must not wipe out what still counts once it is set back.
    /// One that stays ahead for an hour is believed, and one that is ahead at the start not for ten minutes: NTP may need some.
    pub fn settled(&self) -> UnixTime {
        match &self.0 {
            Source::System(timeline) => timeline.settle(Reading::take()),
            Source::Read(read) => read(),
        }
    }

    /// `now` as [`Clock::now`] told it, as far as it is settled.
    pub fn settled_at(&self, now: UnixTime) -> UnixTime {
        match &self.0 {
            Source::System(timeline) => timeline.settle(Reading::take()).min(now),
            Source::Read(_) => now,
        }
    }

    /// How many seconds the wall clock was set back while this process ran.
    pub fn set_back(&self) -> i64 {
        match &self.0 {
            Source::System(timeline) => timeline.set_back(Reading::take()),
            Source::Read(_) => 0,
        }
    }
}

/// The wall clock as it should go on from when the process started.
struct Timeline {
    started: Reading,
    /// Since when the wall clock has been ahead, in whole seconds after the start; -1 when it is not.
    ahead_since: AtomicI64,
    /// How far ahead it was believed.
    believed: AtomicI64,
}

/// Both clocks at one moment, in nanoseconds: counted in whole seconds, floored, they would differ by up to one, and what ended in
/// that second would revive when the wall clock is set back.
#[derive(Clone, Copy)]
struct Reading {
    wall: i128,
    elapsed: i128,
}

const NANOS: i128 = 1_000_000_000;
const BELIEVED_AFTER: i64 = 3_600;
const AT_START: i64 = 600;

impl Reading {
    fn take() -> Self {
        // In this order: the time between the two puts the timeline ahead of the wall clock, never behind it.
        let elapsed = elapsed();
        Self { wall: wall(), elapsed }
    }

    fn wall(self) -> UnixTime {
        whole(self.wall)
    }
}

fn whole(nanos: i128) -> UnixTime {
    let end = if nanos < 0 { i64::MIN } else { i64::MAX };
    UnixTime(i64::try_from(nanos.div_euclid(NANOS)).unwrap_or(end))
}

impl Timeline {
    fn start() -> Self {
        Self { started: Reading::take(), ahead_since: AtomicI64::new(-1), believed: AtomicI64::new(0) }
    }

    /// What the wall clock would show if nobody had set it since the start.
    fn expected(&self, now: Reading) -> UnixTime {
        whole(self.started.wall + (now.elapsed - self.started.elapsed))
    }

    fn now(&self, now: Reading) -> UnixTime {
        now.wall().max(self.expected(now))
    }

    fn set_back(&self, now: Reading) -> i64 {
        self.expected(now).since(now.wall()).max(0)
    }

    fn settle(&self, now: Reading) -> UnixTime {
        let (wall, passed) = (now.wall(), whole(now.elapsed - self.started.elapsed).0);
        let believed = self.believed.load(Ordering::Relaxed);
        let settled = UnixTime(self.expected(now).0.saturating_add(believed));
        let ahead = wall.since(settled);
        let since = self.ahead_since.load(Ordering::Relaxed);
        if ahead <= 60 {
            self.ahead_since.store(-1, Ordering::Relaxed);
        } else if since < 0 {
            self.ahead_since.store(passed, Ordering::Relaxed);
        } else if passed - since >= BELIEVED_AFTER {
            self.believed.store(believed.saturating_add(ahead), Ordering::Relaxed);
            return wall;
        }
        if passed < AT_START {
            return UnixTime(i64::MIN);
        }
        // One that was believed, be it at the start, and is set back after all.
        settled.min(wall)
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn wall() -> i128 {
    let nanos = |span: Duration| i128::try_from(span.as_nanos()).unwrap_or(i128::MAX);
    match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => nanos(after),
        Err(before) => -nanos(before.duration()),
    }
}

/// Whether the wall clock is before the time that Pingora can write a `Date` for: it panics. Less than a millisecond before counts as
/// 1970: the answer is written later than that.
pub fn is_before_1970() -> bool {
    wall() < -(NANOS / 1_000)
}

/// Nanoseconds that have passed since some time or other, those asleep included: nobody can set this clock.
fn elapsed() -> i128 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let read = rustix::time::clock_gettime(clock);
    i128::from(read.tv_sec) * NANOS + i128::from(read.tv_nsec)
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// Reads a duration of the configuration: a whole number and one unit of `ms`, `s`, `m`, `h`, `d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number = saturated(number)?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.saturating_mul(seconds)))
}

/// A row of digits; a number too large to count is the largest there is, so that bounds tell what is wrong with it.
pub fn saturated(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Writes a duration as the configuration spells it, in its largest whole unit.
pub fn spell_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    if span.subsec_millis() > 0 {
        return format!("{}ms", span.as_millis());
    }
    for (size, unit) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= size && seconds.is_multiple_of(size) {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("30d"), Some(Duration::from_secs(2_592_000)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for beyond in ["99999999999999999999s", "18446744073709551615d"] {
            assert_eq!(parse_duration(beyond), Some(Duration::from_secs(u64::MAX)), "{beyond}");
        }
        for wrong in ["", "10", "h", "-1s", "1.5h", "1h30m", " 1s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        assert_eq!(spell_duration(Duration::from_secs(43_200)), "12h");
        assert_eq!(spell_duration(Duration::from_millis(1_500)), "1500ms");
    }

    fn reading(wall: i128, elapsed: i128) -> Reading {
        Reading { wall, elapsed }
    }

    fn started(wall: i128, elapsed: i128) -> Timeline {
        let started = reading(wall, elapsed);
        Timeline { started, ahead_since: AtomicI64::new(-1), believed: AtomicI64::new(0) }
    }

    #[test]
    fn a_clock_set_back_does_not_go_back_by_a_part_of_a_second() {
        // Both clocks are somewhere within a second, each at another place.
        for (wall, elapsed) in [(0, 0), (999_999_999, 0), (0, 999_999_999), (700_000_000, 300_000_000)] {
            let (wall, elapsed) = (1_000 * NANOS + wall, 50 * NANOS + elapsed);
            let timeline = started(wall, elapsed);
            for passed in [0, 1, 299_999_999, 300_000_000, NANOS - 1, NANOS, 2_700_000_001] {
                let before = timeline.now(reading(wall + passed, elapsed + passed));
                assert_eq!(before, whole(wall + passed));
                for back in [1, NANOS, 3_600 * NANOS, wall + passed, wall + passed + NANOS] {
                    let after = reading(wall + passed - back, elapsed + passed);
                    assert_eq!(timeline.now(after), before, "{wall} {elapsed} {passed} {back}");
                }
            }
            assert_eq!(timeline.set_back(reading(wall - 3 * NANOS, elapsed)), 3);
            assert_eq!(timeline.set_back(reading(wall + NANOS, elapsed)), 0, "a clock set ahead is followed");
            assert_eq!(timeline.now(reading(wall + 60 * NANOS, elapsed)), whole(wall + 60 * NANOS));
        }
        assert_eq!(whole(-1), UnixTime(-1), "a part of a second before 1970 is before 1970");
    }

    #[test]
    fn what_to_forget_is_told_by_a_clock_that_stays() {
        let timeline = started(1_000_000 * NANOS, 500 * NANOS);
        let settle = |wall, elapsed| timeline.settle(reading(wall * NANOS, elapsed * NANOS)).0;
        assert_eq!(settle(1_000_010, 510), i64::MIN, "nothing yet");
        assert_eq!(settle(1_000_600, 1_100), 1_000_600);
        // In 2106 for a moment, and back.
        assert_eq!(settle(4_294_967_296, 1_120), 1_000_620);
        assert_eq!(settle(1_000_630, 1_130), 1_000_630);
        // A day ahead, and it stays so.
        assert_eq!(settle(1_087_040, 1_140), 1_000_640);
        assert_eq!(settle(1_090_639, 4_739), 1_004_239);
        assert_eq!(settle(1_090_640, 4_740), 1_090_640);
        assert_eq!(settle(1_090_650, 4_750), 1_090_650);
        // Back after all, and to 1969: less is forgotten.
        assert_eq!(settle(1_004_260, 4_760), 1_004_260);
        assert_eq!(settle(-1, 4_770), -1);
    }

    #[test]
    fn arithmetic_at_the_ends_of_time_saturates() {
        let end = UnixTime(i64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(UnixTime(i64::MIN).minus(Duration::MAX), UnixTime(i64::MIN));
    }
}
