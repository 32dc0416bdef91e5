//! Which language a person reads, by `Accept-Language` (RFC 9110 section 12.5.4, lookup of RFC 4647 section 3.4).

use http::{HeaderMap, header::ACCEPT_LANGUAGE};

use crate::head::elements;

/// So many ranges are looked at: browsers send a handful.
const MOST: usize = 32;

/// The index of the language that suits best; 0 where none does.
pub fn preferred(headers: &HeaderMap, available: &[&str]) -> usize {
    let mut ranges: Vec<(&str, u16)> = elements(headers, ACCEPT_LANGUAGE).filter_map(range).take(MOST).collect();
    let refused: Vec<&str> = ranges.iter().filter(|(_, weight)| *weight == 0).map(|(tag, _)| *tag).collect();
    ranges.retain(|(_, weight)| *weight > 0);
    // Stable: among equals the first comes first.
    ranges.sort_by_key(|(_, weight)| u16::MAX - weight);
    let is_refused = |tag: &str| refused.iter().any(|range| is_within(tag, range));
    let find = |fits: &dyn Fn(&str) -> bool| available.iter().position(|tag| fits(tag) && !is_refused(tag));
    ranges.iter().find_map(|(range, _)| find_range(range, &find)).unwrap_or(0)
}

/// What a range leads to: the language itself, the same without region, or a region of it; for `*` the first of all.
fn find_range(range: &str, find: &Find<'_>) -> Option<usize> {
    if range == "*" {
        return find(&|_| true);
    }
    let mut shorter = std::iter::successors(Some(range), |range| range.rsplit_once('-').map(|(rest, _)| rest));
    let exact = shorter.find_map(|wanted| find(&|tag| tag.eq_ignore_ascii_case(wanted)));
    exact.or_else(|| find(&|tag| is_within(tag, range)))
}

/// Finds the first language that fits.
type Find<'a> = dyn Fn(&dyn Fn(&str) -> bool) -> Option<usize> + 'a;

/// Whether a range names a language or what it is a region of.
fn is_within(tag: &str, range: &str) -> bool {
    let begins = tag.get(..range.len()).is_some_and(|start| start.eq_ignore_ascii_case(range));
    begins && matches!(tag.as_bytes().get(range.len()), None | Some(b'-'))
}

/// A range, and its weight in thousandths; `None` for what is neither.
fn range(element: &str) -> Option<(&str, u16)> {
    let (tag, weight) = match element.split_once(';') {
        Some((tag, weight)) => (tag.trim_end(), quality(weight.trim())?),
        None => (element, 1_000),
    };
    (tag == "*" || is_tag(tag)).then_some((tag, weight))
}

/// Whether a text looks like a language tag: `de`, `pt-BR`, `zh-Hant-TW`.
pub fn is_tag(text: &str) -> bool {
    let is_part = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let primary = text.split('-').next().unwrap_or_default();
    text.len() <= 35
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && text.split('-').all(is_part)
}

fn quality(text: &str) -> Option<u16> {
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths = format!("{fraction:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const AVAILABLE: [&str; 6] = ["en", "ar", "de", "es", "fr", "pt-BR"];

    fn prefers(accept: &str) -> &'static str {
        let value = HeaderValue::from_str(accept).expect("a header");
        AVAILABLE[preferred(&HeaderMap::from_iter([(ACCEPT_LANGUAGE, value)]), &AVAILABLE)]
    }

    #[test]
    fn the_best_language_there_is() {
        for (accept, language) in [
            ("de", "de"),
            ("DE-at", "de"),
            ("de-CH-1996, fr", "de"),
            ("nl, fr;q=0.8, es;q=0.9", "es"),
            ("fr;q=0.5, es;q=0.5", "fr"),
            ("fr ; q=0.8 , ar ;q=0.801", "ar"),
            ("nl;q=1.000, fr; Q=0.1", "fr"),
            ("pt", "pt-BR"),
            ("pt-PT, de;q=0.9", "de"),
            ("nl, *", "en"),
            ("*, en;q=0", "ar"),
            ("de;q=0, de-AT, fr;q=0.1", "fr"),
            ("en;q=0", "en"),
            ("d, e", "en"),
            ("deu, germ", "en"),
        ] {
            assert_eq!(prefers(accept), language, "{accept}");
        }
        assert_eq!(preferred(&HeaderMap::new(), &AVAILABLE), 0);
    }

    #[test]
    fn rubbish_is_passed_over() {
        for accept in [
            "",
            ",",
            ";",
            ";;;q",
            "q=1",
            "de;q=2",
            "de;q=1.001",
            "de;q=-1",
            "de;q=nan",
            "de;q=0.1234",
            "de;level=1",
            "de_AT",
            "-de",
            "de-",
            "d\t e",
            "<script>",
            "****",
            "*-*",
        ] {
            assert_eq!(prefers(accept), "en", "{accept}");
            assert_eq!(prefers(&format!("{accept}, fr;q=0.1")), "fr", "{accept}");
        }
        assert_eq!(prefers(&format!("{}fr", "x-x-x,".repeat(100_000))), "fr");
        assert_eq!(prefers(&format!("{}fr", "nl,".repeat(100_000))), "en", "not looked for that far");
        let both = [("nl"), ("es;q=0.3, fr")].map(|value| (ACCEPT_LANGUAGE, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        both.into_iter().for_each(|(name, value)| {
            headers.append(name, value);
        });
        assert_eq!(AVAILABLE[preferred(&headers, &AVAILABLE)], "fr", "several lines are one list");
    }
}
