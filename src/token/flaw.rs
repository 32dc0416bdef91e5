//! What a token has instead of what it should have: told by its kind, never by its value.

use std::fmt;

use crate::json::Json;

/// What a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Nothing,
    Null,
    Boolean,
    Whole,
    /// With a fraction or an exponent, or beyond 64 bits.
    Number,
    /// A text that is a number, such as `"1795132800"`.
    NumberAsText,
    Text,
    List,
    Object,
}

impl Held {
    /// The kind of a claim's value.
    pub fn of(value: Option<&Json<'_>>) -> Self {
        match value {
            None => Self::Nothing,
            Some(Json::Null) => Self::Null,
            Some(Json::Bool(_)) => Self::Boolean,
            Some(Json::Whole(_)) => Self::Whole,
            Some(Json::Number) => Self::Number,
            Some(Json::Text(text)) if text.trim().parse::<f64>().is_ok() => Self::NumberAsText,
            Some(Json::Text(_)) => Self::Text,
            Some(Json::List(_)) => Self::List,
            Some(Json::Object(_)) => Self::Object,
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "missing",
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Whole => "a number",
            Self::Number => "a number with a fraction or an exponent",
            Self::NumberAsText => "a number written as text",
            Self::Text => "a text",
            Self::List => "an array",
            Self::Object => "an object",
        })
    }
}

/// The unit of a date that is not in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
    /// Of .NET: 100 ns each, since the year 1.
    Ticks,
}

impl Unit {
    /// The unit in which a number is a date of this century; `None` for seconds. As seconds, the least of them is the year 33658.
    pub fn of(number: i64) -> Option<Self> {
        match number {
            1_000_000_000_000..1_000_000_000_000_000 => Some(Self::Milliseconds),
            600_000_000_000_000_000..700_000_000_000_000_000 => Some(Self::Ticks),
            1_000_000_000_000_000..1_000_000_000_000_000_000 => Some(Self::Microseconds),
            1_000_000_000_000_000_000.. => Some(Self::Nanoseconds),
            _ => None,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Milliseconds => "milliseconds",
            Self::Microseconds => "microseconds",
            Self::Nanoseconds => "nanoseconds",
            Self::Ticks => "ticks of .NET",
        })
    }
}

/// Why a text does not name a user or a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFlaw {
    Empty,
    /// Longer than so many bytes.
    TooLong(usize),
    Control,
    /// A header would lose white space around it, and name somebody else.
    Spaces,
}

impl TextFlaw {
    /// What is wrong with a text, if anything is.
    pub fn of(text: &str, longest: usize) -> Option<Self> {
        if text.is_empty() {
            Some(Self::Empty)
        } else if text.len() > longest {
            Some(Self::TooLong(longest))
        } else if text.chars().any(char::is_control) {
            Some(Self::Control)
        } else {
            (text.trim() != text).then_some(Self::Spaces)
        }
    }
}

impl fmt::Display for TextFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong(longest) => write!(f, "is longer than {longest} bytes"),
            Self::Control => f.write_str("contains control characters"),
            Self::Spaces => f.write_str("has white space around it"),
        }
    }
}

/// Why a text is not compact serialization (RFC 7515 section 7.1): what people paste, and what libraries do not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsFlaw {
    TooLong,
    Empty,
    /// `Bearer` or `Authorization:` is part of the token.
    Scheme,
    Quotes,
    LineEnd,
    Spaces,
    /// Five parts: an encrypted token (RFC 7516 section 7.1).
    Encrypted,
    Count(usize),
    Padded,
    PlainBase64,
    Alphabet,
    /// Stray bits in the last character of a part, or a length that base64url does not have.
    Bits,
}

const QUOTES: [char; 8] = ['"', '\'', '`', '\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}', '\u{201e}'];

impl PartsFlaw {
    /// What is wrong with a text that is not three parts of canonical base64url.
    pub fn of(token: &str) -> Self {
        let has = |scheme: &str| token.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '=' | '+' | '/');
        let is_line_end = |c: char| matches!(c, '\r' | '\n');
        let parts = token.split('.').count();
        if token.len() > super::LONGEST {
            Self::TooLong
        } else if token.is_empty() {
            Self::Empty
        } else if ["bearer ", "bearer:", "bearer\t", "authorization:"].into_iter().any(has) {
            Self::Scheme
        } else if token.starts_with(QUOTES) || token.ends_with(QUOTES) {
            Self::Quotes
        } else if token.contains(is_line_end) || token.contains("\\n") || token.contains("\\r") {
            Self::LineEnd
        } else if token.contains(char::is_whitespace) {
            Self::Spaces
        } else if !token.chars().all(is_of_token) {
            Self::Alphabet
        } else if parts == 5 {
            Self::Encrypted
        } else if parts != 3 {
            Self::Count(parts)
        } else if token.contains('=') {
            Self::Padded
        } else if token.contains(['+', '/']) {
            Self::PlainBase64
        } else {
            Self::Bits
        }
    }
}

impl fmt::Display for PartsFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("token is longer than 8 KiB"),
            Self::Empty => f.write_str("token is empty"),
            Self::Scheme => f.write_str("\"Bearer\" is part of the token"),
            Self::Quotes => f.write_str("token has quotes around it"),
            Self::LineEnd => f.write_str("token contains a line end"),
            Self::Spaces => f.write_str("token contains a space"),
            Self::Encrypted => f.write_str("token has five parts: it is encrypted, not signed"),
            Self::Count(count) => write!(f, "token has not three parts, but {count}"),
            Self::Padded => f.write_str("a part of the token is padded with `=`"),
            Self::PlainBase64 => f.write_str("a part of the token is base64 with `+` or `/`, not base64url"),
            Self::Alphabet => f.write_str("token contains a character that base64url does not have"),
            Self::Bits => f.write_str("a part of the token is not canonical base64url"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_of_this_century_tells_its_unit() {
        for (number, unit) in [
            (1_795_132_800, None),
            (253_402_300_799, None),
            (-1_795_132_800_000, None),
            (1_795_132_800_000, Some(Unit::Milliseconds)),
            (1_795_132_800_000_000, Some(Unit::Microseconds)),
            (1_795_132_800_000_000_000, Some(Unit::Nanoseconds)),
            (639_277_056_000_000_000, Some(Unit::Ticks)),
            (i64::MAX, Some(Unit::Nanoseconds)),
        ] {
            assert_eq!(Unit::of(number), unit, "{number}");
        }
    }

    #[test]
    fn what_is_pasted_around_a_token_is_told_apart() {
        let long = "a".repeat(9_000);
        for (token, flaw) in [
            ("", PartsFlaw::Empty),
            (long.as_str(), PartsFlaw::TooLong),
            ("Bearer a.b.c", PartsFlaw::Scheme),
            ("bearer: a.b.c", PartsFlaw::Scheme),
            ("Authorization: Bearer a.b.c", PartsFlaw::Scheme),
            ("\"a.b.c\"", PartsFlaw::Quotes),
            ("'a.b.c'", PartsFlaw::Quotes),
            ("\u{201c}a.b.c\u{201d}", PartsFlaw::Quotes),
            ("a.b\n.c", PartsFlaw::LineEnd),
            ("a.b.c\\n", PartsFlaw::LineEnd),
            ("a.b. c", PartsFlaw::Spaces),
            ("a.b.ü", PartsFlaw::Alphabet),
            ("a.b.c.d.e", PartsFlaw::Encrypted),
            ("a.b", PartsFlaw::Count(2)),
            ("a.b.cc==", PartsFlaw::Padded),
            ("a.b.c+c/", PartsFlaw::PlainBase64),
            ("YQ.YQ.YR", PartsFlaw::Bits),
        ] {
            assert_eq!(PartsFlaw::of(token), flaw, "{token}");
        }
    }
}
