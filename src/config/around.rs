//! What stands around a secret in its source, or is made of it, without belonging to it.

const BYTE_ORDER_MARK: &str = "\u{feff}";
const QUOTES: [char; 3] = ['"', '\'', '`'];
/// Those of word processors and chats, where a secret was pasted from.
const CURLY: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '«', '»', '‛'];
/// What is not seen, and `trim` leaves.
const INVISIBLE: [char; 6] = ['\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{2060}', '\u{feff}'];

/// What stands around a text without belonging to it, as a verb and its object.
pub fn around(text: &[u8]) -> Option<&'static str> {
    // Random bytes are no text, and may begin or end with anything.
    let text = std::str::from_utf8(text).ok()?;
    if text.starts_with(BYTE_ORDER_MARK) {
        Some("begins with a byte order mark")
    } else if text.ends_with('\0') {
        Some("ends with a NUL byte")
    } else if text.ends_with(['\r', '\n']) {
        Some("ends with a line end")
    } else if text.trim() != text {
        Some("has white space around it")
    } else if is_quoted(text) {
        Some("has quotes around it")
    } else if text.starts_with(INVISIBLE) || text.ends_with(INVISIBLE) {
        Some("has an invisible character around it, such as U+200B")
    } else if assigned(text).is_some() {
        Some("begins with a name and \"=\", like a line of an environment file")
    } else {
        None
    }
}

fn is_quoted(text: &str) -> bool {
    let is_between = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    QUOTES.into_iter().any(is_between) || text.starts_with(CURLY) && text.ends_with(CURLY)
}

/// A secret without what may stand around it.
pub fn core(secret: &[u8]) -> &[u8] {
    let Ok(text) = std::str::from_utf8(secret) else { return secret };
    let is_around = |c: char| {
        c.is_whitespace() || c == '\0' || [&INVISIBLE[..], &QUOTES, &CURLY].iter().any(|set| set.contains(&c))
    };
    let text = text.trim_matches(is_around);
    assigned(text).unwrap_or(text).trim_matches(is_around).as_bytes()
}

/// What is assigned in `NAME=value` or `export NAME=value`; no secret in base64 or hex looks like it.
fn assigned(text: &str) -> Option<&str> {
    let exported = text.strip_prefix("export ");
    let (name, value) = exported.unwrap_or(text).split_once('=')?;
    let is_all = |is: fn(&u8) -> bool| name.bytes().all(|b| b == b'_' || is(&b));
    let is_named = name.len() > 2
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && (is_all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) || is_all(u8::is_ascii_lowercase));
    (!value.trim_matches('=').is_empty() && (is_named || exported.is_some())).then_some(value)
}

/// Text in UTF-16: by its byte order mark, and every other byte of its ASCII characters; without the mark, by nearly all of them.
pub fn is_utf16(text: &[u8]) -> bool {
    let halves =
        |text: &[u8], high: usize| text.chunks_exact(2).filter(|pair| pair[high] == 0 && pair[1 - high] != 0).count();
    let is_marked = |mark: [u8; 2], high| text.starts_with(&mark) && halves(&text[2..], high) > text.len() / 4;
    let is_unmarked = |high| text.len() >= 8 && halves(text, high) > text.len() * 7 / 16;
    is_marked([0xff, 0xfe], 1) || is_marked([0xfe, 0xff], 0) || is_unmarked(1) || is_unmarked(0)
}
