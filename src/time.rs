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
            Source::System(timeline) => wall().max(timeline.expected()),
            Source::Read(read) => read(),
        }
    }

    /// The time by which to forget for good: a clock set ahead by mistake must not wipe out what still counts once it is set back.
    /// One that stays ahead for an hour is believed, and one that is ahead at the start not for ten minutes: NTP may need some.
    pub fn settled(&self) -> UnixTime {
        match &self.0 {
            Source::System(timeline) => timeline.settled(),
            Source::Read(read) => read(),
        }
    }

    /// `now` as [`Clock::now`] told it, as far as it is settled.
    pub fn settled_at(&self, now: UnixTime) -> UnixTime {
        match &self.0 {
            Source::System(timeline) => timeline.settled().min(now),
            Source::Read(_) => now,
        }
    }

    /// How many seconds the wall clock was set back while this process ran.
    pub fn set_back(&self) -> i64 {
        match &self.0 {
            Source::System(timeline) => timeline.expected().since(wall()).max(0),
            Source::Read(_) => 0,
        }
    }
}

/// The wall clock as it should go on from when the process started.
struct Timeline {
    wall: UnixTime,
    elapsed: i64,
    /// Since when the wall clock has been ahead, in seconds as [`elapsed`] counts them; -1 when it is not.
    ahead_since: AtomicI64,
    /// How far ahead it was believed.
    believed: AtomicI64,
}

const BELIEVED_AFTER: i64 = 3_600;
const AT_START: i64 = 600;

impl Timeline {
    fn start() -> Self {
        Self { wall: wall(), elapsed: elapsed(), ahead_since: AtomicI64::new(-1), believed: AtomicI64::new(0) }
    }

    fn expected(&self) -> UnixTime {
        UnixTime(self.wall.0.saturating_add(elapsed() - self.elapsed))
    }

    fn settled(&self) -> UnixTime {
        self.settle(wall(), elapsed())
    }

    fn settle(&self, wall: UnixTime, elapsed: i64) -> UnixTime {
        let believed = self.believed.load(Ordering::Relaxed);
        let settled = UnixTime(self.wall.0.saturating_add(elapsed - self.elapsed).saturating_add(believed));
        let ahead = wall.since(settled);
        let since = self.ahead_since.load(Ordering::Relaxed);
        if ahead <= 60 {
            self.ahead_since.store(-1, Ordering::Relaxed);
        } else if since < 0 {
            self.ahead_since.store(elapsed, Ordering::Relaxed);
        } else if elapsed - since >= BELIEVED_AFTER {
            self.believed.store(believed.saturating_add(ahead), Ordering::Relaxed);
            return wall;
        }
        if elapsed - self.elapsed < AT_START {
            return UnixTime(i64::MIN);
        }
        // One that was believed, be it at the start, and is set back after all.
        settled.min(wall)
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
fn wall() -> UnixTime {
    let seconds = match std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    UnixTime(seconds)
}

/// Whether the wall clock is before the time that Pingora can write a `Date` for: it panics.
pub fn is_before_1970() -> bool {
    wall().0 < 0
}

/// Seconds that have passed since some time or other, those asleep included: nobody can set this clock.
fn elapsed() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    rustix::time::clock_gettime(clock).tv_sec
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// Reads a duration of the configuration: a whole number and one unit of `ms`, `s`, `m`, `h`, `d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
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
        for wrong in ["", "10", "h", "-1s", "1.5h", "1h30m", " 1s", "99999999999999999999s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        assert_eq!(spell_duration(Duration::from_secs(43_200)), "12h");
        assert_eq!(spell_duration(Duration::from_millis(1_500)), "1500ms");
    }

    #[test]
    fn what_to_forget_is_told_by_a_clock_that_stays() {
        let timeline = Timeline {
            wall: UnixTime(1_000_000),
            elapsed: 500,
            ahead_since: AtomicI64::new(-1),
            believed: AtomicI64::new(0),
        };
        let settle = |wall, elapsed| timeline.settle(UnixTime(wall), elapsed).0;
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
