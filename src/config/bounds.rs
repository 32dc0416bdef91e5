//! Durations, sizes, numbers and dates, each within bounds: what is out of them would overflow, panic or wait for years. TOML's
//! dates are of four digits a year.

use std::{ops::RangeInclusive, time::Duration};

use jiff::Timestamp;
use toml::de::DeValue;

use super::reader::Section;
use crate::time::{UnixTime, parse_duration, saturated, spell_duration};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// As long as browsers keep any cookie (RFC 6265bis section 5.5).
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 86_400);

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl Section<'_> {
    /// How long a token or session lives: from a second to 400 days.
    pub fn lasting(&self, key: &'static str) -> Option<Duration> {
        self.duration(key, SECOND..=LONGEST_LIFE)
    }

    /// How long something is waited for: from a millisecond to a day.
    pub fn waiting(&self, key: &'static str) -> Option<Duration> {
        self.duration(key, MILLISECOND..=DAY)
    }

    /// A stretch of time that is counted in seconds: from one to a day.
    pub fn stretch(&self, key: &'static str) -> Option<Duration> {
        self.duration(key, SECOND..=DAY)
    }

    /// How much longer something may go on: from not at all to `most`.
    pub fn grace(&self, key: &'static str, most: Duration) -> Option<Duration> {
        self.duration(key, Duration::ZERO..=most)
    }

    /// As long as a stretch may be.
    pub const DAY: Duration = DAY;

    fn duration(&self, key: &'static str, bounds: RangeInclusive<Duration>) -> Option<Duration> {
        let given = self.parsed(key, "a duration; write \"10s\", \"5m\", \"12h\" or \"30d\"", parse_duration)?;
        self.within(key, given, bounds, ["short", "long"], spell_duration)
    }

    /// A number of bytes.
    pub fn size(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let given = self.parsed(key, "a size; write \"32KiB\" or \"25MiB\"", parse_size)?;
        self.within(key, given, bounds, ["small", "large"], spell_size)
    }

    /// A whole number.
    pub fn whole(&self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!(
            "a whole number of at least {} and at most {}; write it without quotes",
            bounds.start(),
            bounds.end()
        );
        let read = |value: &DeValue<'_>| {
            let number = value.as_integer()?;
            u64::from_str_radix(number.as_str(), number.radix()).ok().filter(|number| bounds.contains(number))
        };
        Some(self.read(key, &wanted, read)?.value)
    }

    /// A date and time with an offset.
    pub fn moment(&self, key: &'static str) -> Option<UnixTime> {
        let read = |value: &DeValue<'_>| {
            let text = value.as_datetime()?.to_string();
            text.parse::<Timestamp>().ok().map(|at| UnixTime(at.as_second()))
        };
        let given = self.raw(key).and_then(DeValue::as_datetime);
        let is_beyond = given.is_some_and(|given| {
            given.offset.is_some() && given.date.is_some_and(|date| date.year == 9_999 && date.month == 12)
        });
        let wanted = if is_beyond {
            "a date that can be counted; write at most 9999-12-30T00:00:00Z, or remove it for no end"
        } else {
            "a date; write 2026-12-01T00:00:00Z, without quotes"
        };
        Some(self.read(key, wanted, read)?.value)
    }

    fn within<T: Copy + PartialOrd>(
        &self,
        key: &'static str,
        given: T,
        bounds: RangeInclusive<T>,
        [too_little, too_much]: [&str; 2],
        spell: impl Fn(T) -> String,
    ) -> Option<T> {
        let (what, most, bound) = match given {
            given if given < *bounds.start() => (too_little, "least", *bounds.start()),
            given if given > *bounds.end() => (too_much, "most", *bounds.end()),
            given => return Some(given),
        };
        self.problem(key, format!("{} is too {what}; write at {most} {:?}", self.path(key), spell(bound)));
        Some(bound)
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number = saturated(number)?;
    let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    Some(number.saturating_mul(unit))
}

/// In its largest whole unit.
fn spell_size(bytes: u64) -> String {
    let (name, unit) = UNITS.into_iter().find(|(_, unit)| bytes.is_multiple_of(*unit)).unwrap_or(("B", 1));
    format!("{}{name}", bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        assert_eq!(parse_size("32KiB"), Some(32_768));
        assert_eq!(parse_size("18446744073709551615KiB"), Some(u64::MAX));
        assert_eq!(spell_size(1 << 20), "1MiB");
        assert_eq!(spell_size(16), "16B");
        for wrong in ["", "32", "KiB", "32KB", "-1B"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
