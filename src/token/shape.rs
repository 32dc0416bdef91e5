//! What looks like a token, wherever it stands, before anything about it is verified.
//!
//! Two questions with two answers. [`is_jwt`]: whether a whole value counts as a token; what does not is the app's own value. [`redacted`]
//! and [`without_tokens`]: whether a text contains what may be a token; there the doubt goes against the text, because it is for a log or
//! for a `Location`.

use std::{borrow::Cow, ops::Range};

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::json::Json;

/// As lax as the laxest decoder: with and without padding, with stray bits at the end.
const LAX: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Characters of a header that decide whether it is one: 18 bytes of JSON.
const TELLING: usize = 24;

/// As often as a path may be percent-encoded and still be read (see [`crate::head`]).
const MOST_DECODINGS: usize = 4;

/// Whether a whole value has the shape of a JWT: three parts of base64url, the first of which is a JSON object with an `alg`
/// (RFC 7515 section 4.1.1). White space around it does not count. The signed values of web frameworks have three parts too, but no `alg`.
pub fn is_jwt(value: &str) -> bool {
    let mut parts = value.trim().split('.');
    let (Some(header), Some(claims), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_base64url = |part: &str| part.trim_end_matches('=').bytes().all(is_of_base64url);
    let is_shaped = [header, claims, signature].into_iter().all(is_base64url) && is_header(header.as_bytes());
    is_shaped && LAX.decode(header.trim_end_matches('=')).is_ok_and(|header| names_an_algorithm(&header))
}

/// Whether a value is, or contains, a JWT: with `Bearer` or quotes around it, say.
pub fn has_jwt(value: &str) -> bool {
    is_jwt(value) || tokens(value).into_iter().any(|place| is_jwt(&percent_decoded(&value[place])))
}

fn percent_decoded(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MOST_DECODINGS {
        let decoded = percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned();
        if *decoded == *text {
            break;
        }
        text = Cow::Owned(decoded);
    }
    text.into_owned()
}

/// A header that is not strict JSON is read loosely, so that a token with one is refused as a token.
fn names_an_algorithm(header: &[u8]) -> bool {
    match Json::object(header) {
        Ok(header) => header.member("alg").is_some(),
        Err(_) => header.windows(5).any(|window| window == b"\"alg\""),
    }
}

/// A text for the log, with `…` in the place of each token in it, in whatever percent-encoding.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let found = tokens(text);
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    for token in found {
        kept.push_str(&text[at..token.start]);
        kept.push('…');
        at = token.end;
    }
    kept.push_str(&text[at..]);
    Cow::Owned(kept)
}

/// A path, query and fragment for a `Location`, without the parameters that contain a token, and without a fragment that does. A path
/// that contains one leads nowhere but to the start page.
pub fn without_tokens(target: &str) -> Cow<'_, str> {
    if tokens(target).is_empty() {
        return Cow::Borrowed(target);
    }
    let is_clean = |part: &&str| tokens(part).is_empty();
    let (page, fragment) = target.split_once('#').map_or((target, None), |(page, fragment)| (page, Some(fragment)));
    let (path, query) = page.split_once('?').map_or((page, None), |(path, query)| (path, Some(query)));
    let query = query.map(|query| query.split('&').filter(is_clean).collect::<Vec<_>>().join("&"));
    let mut kept = path.to_owned();
    for (mark, part) in [('?', query.as_deref().filter(|query| !query.is_empty())), ('#', fragment.filter(is_clean))] {
        if let Some(part) = part {
            kept.push(mark);
            kept.push_str(part);
        }
    }
    // Also where a token spans what was cut apart here.
    if tokens(&kept).is_empty() { Cow::Owned(kept) } else { Cow::Borrowed("/") }
}

/// A byte of a text, percent-encoding undone, and where it stands.
struct Unit {
    byte: u8,
    place: Range<usize>,
}

/// Where in a text a token stands. Linear: the text may be as long as a head may be.
fn tokens(text: &str) -> Vec<Range<usize>> {
    // Two dots, encoded or not, are the least.
    if text.bytes().filter(|b| matches!(b, b'.' | b'%')).nth(1).is_none() {
        return Vec::new();
    }
    let units = units(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    while at < units.len() {
        // An `=` before a dot is padding, elsewhere it ends a name.
        let is_padding = |at: usize| {
            units[at].byte == b'=' && units.get(at + 1).is_some_and(|next| matches!(next.byte, b'=' | b'.'))
        };
        let run = (at..units.len()).take_while(|at| is_of_token(units[*at].byte) || is_padding(*at)).count();
        if let Some(token) = token_in(&units[at..at + run]) {
            found.push(token);
        }
        at += run.max(1);
    }
    found
}

fn units(text: &str) -> Vec<Unit> {
    let mut units: Vec<Unit> = text.bytes().enumerate().map(|(at, byte)| Unit { byte, place: at..at + 1 }).collect();
    for _ in 0..MOST_DECODINGS {
        if !units.iter().any(|unit| unit.byte == b'%') {
            break;
        }
        let digit = |units: &[Unit], at: usize| char::from(units.get(at)?.byte).to_digit(16);
        let mut decoded = Vec::with_capacity(units.len());
        let mut at = 0;
        while at < units.len() {
            let pair = digit(&units, at + 1).zip(digit(&units, at + 2)).filter(|_| units[at].byte == b'%');
            let (byte, length) = match pair {
                Some((high, low)) => (u8::try_from(high * 16 + low).unwrap_or_default(), 3),
                None => (units[at].byte, 1),
            };
            decoded.push(Unit { byte, place: units[at].place.start..units[at + length - 1].place.end });
            at += length;
        }
        units = decoded;
    }
    units
}

/// From where a header begins to the end of the run, if two parts more follow.
fn token_in(run: &[Unit]) -> Option<Range<usize>> {
    let dots: Vec<usize> = run.iter().enumerate().filter(|(_, unit)| unit.byte == b'.').map(|(at, _)| at).collect();
    let last = dots.len().checked_sub(2)?;
    let mut begin = 0;
    for end in &dots[..=last] {
        let starts = (begin..*end).find(|at| {
            // Something may stand before it without a mark between; then it begins with `{` itself.
            (*at == begin || run[*at].byte == b'e') && is_header_at(&run[*at..*end])
        });
        if let Some(at) = starts {
            return Some(run[at].place.start..run.last()?.place.end);
        }
        begin = end + 1;
    }
    None
}

fn is_header_at(units: &[Unit]) -> bool {
    let mut start = [0; TELLING];
    let length = units.len().min(TELLING);
    for (byte, unit) in start.iter_mut().zip(units) {
        *byte = unit.byte;
    }
    is_header(&start[..length])
}

/// Whether base64url begins as a JSON object with a member does.
fn is_header(part: &[u8]) -> bool {
    let part = &part[..part.len().min(TELLING)];
    let padding = part.iter().rev().take_while(|b| **b == b'=').count();
    let part = &part[..part.len() - padding];
    // One character more than whole groups have is none.
    let part = &part[..part.len() - usize::from(part.len() % 4 == 1)];
    let Ok(bytes) = LAX.decode(part) else { return false };
    let is_white = |b: &u8| matches!(b, b' ' | b'\t' | b'\r' | b'\n');
    let is_text = match std::str::from_utf8(&bytes) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none(),
    };
    let mut marks = bytes.iter().filter(|b| !is_white(b));
    is_text
        && marks.next() == Some(&b'{')
        && marks.next() == Some(&b'"')
        && !bytes.iter().any(|b| b.is_ascii_control() && !is_white(b))
}

fn is_of_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_of_token(byte: u8) -> bool {
    is_of_base64url(byte) || byte == b'.'
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "eyJhbGciOiJIUzI1NiJ9";
    const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtYXlhIn0.c2lnbmF0dXJl";

    #[test]
    fn a_value_is_a_token_by_its_header() {
        let white = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("{ \"alg\" : \"none\" }");
        let broken = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\",}");
        for value in [
            TOKEN.to_owned(),
            format!(" {TOKEN}\n"),
            format!("{HEADER}.e30."),
            format!("{HEADER}=.e30=.x=="),
            format!("{white}.e30.x"),
            format!("{broken}.e30.x"),
        ] {
            assert!(is_jwt(&value), "{value}");
        }
        for value in [
            "",
            "8f3c2a91bd",
            "a.b.c",
            "..",
            HEADER,
            "eyJhbGciOiJIUzI1NiJ9.e30",
            "eyJhbGciOiJIUzI1NiJ9.e30.x.y",
            "v1.eyJhbGciOiJIUzI1NiJ9.e30.x",
            // As itsdangerous signs: `{"user":7}`, a time and a signature.
            "eyJ1c2VyIjo3fQ.ZxYz1A.c2lnbmF0dXJl",
            "WyJhbGciXQ.e30.x",
            "eyJhbGciOiJIUzI1NiJ9.e3 0.x",
            "eyJhbGciOiJIUzI1NiJ9.e30.x/y",
        ] {
            assert!(!is_jwt(value), "{value}");
        }
    }

    #[test]
    fn a_token_is_found_in_any_text_and_encoding() {
        let dots = TOKEN.replace('.', "%2E");
        let every = TOKEN.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        for (text, said) in [
            (format!("/{TOKEN}"), "/…"),
            (format!("/a/{TOKEN}/b"), "/a/…/b"),
            (format!("/x%3Faccess_token={TOKEN}&b"), "/x%3Faccess_token=…&b"),
            (format!("/x%3Faccess_token%3D{dots}%26b"), "/x%3Faccess_token%3D…%26b"),
            (format!("/{}", dots.replace('%', "%25")), "/…"),
            (format!("/{}", dots.replace('%', "%2525")), "/…"),
            (format!("/{every}/x"), "/…/x"),
            (format!("/token-{TOKEN}"), "/token-…"),
            (format!("/v1.{TOKEN}.more"), "/v1.…"),
            (format!("/{TOKEN}/{TOKEN};x"), "/…/…;x"),
            (format!("/ü/{TOKEN}"), "/ü/…"),
            (format!("/{HEADER}.e30."), "/…"),
            (format!("/?a={HEADER}=.e30%3d.x"), "/?a=…"),
        ] {
            assert_eq!(redacted(&text), said, "{text}");
        }
        for text in
            ["/", "/a.b.c", "/static/app.3f2a.min.js", "/%2e%2e%2e", "/%", "/%zz..%2", "/eye.min.js", "/100%.a.b"]
        {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn a_location_loses_its_tokens_and_nothing_else() {
        for (target, kept) in [
            ("/a?token=8f3c&b=#c".to_owned(), "/a?token=8f3c&b=#c"),
            (format!("/a?x=%2Fy&token={TOKEN}&z"), "/a?x=%2Fy&z"),
            (format!("/a?whatever={TOKEN}"), "/a"),
            (format!("/a?{TOKEN}#b"), "/a#b"),
            (format!("/a?next=%2Fb%3Fjwt%3D{TOKEN}&c=d"), "/a?c=d"),
            (format!("/a?b#access_token={TOKEN}"), "/a?b"),
            (format!("/a/{TOKEN}/b?c"), "/"),
            (format!("/a?b={HEADER}.e30.&c"), "/a?c"),
        ] {
            assert_eq!(without_tokens(&target), kept, "{target}");
        }
    }

    #[test]
    fn a_long_text_takes_no_longer_by_what_it_holds() {
        for piece in ["eyJ1", "e", "eyJ1.", ".", "%25", "%", "eyJhbGciOiJIUzI1NiJ9-"] {
            let text = piece.repeat((64 << 10) / piece.len());
            let begun = std::time::Instant::now();
            let _ = redacted(&text);
            assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{piece}");
        }
    }
}
