//! Query parameters, found and cut out without rewriting the rest.

use std::borrow::Cow;

/// The decoded values of the parameters that `wanted` names (application/x-www-form-urlencoded).
pub fn values<'a>(query: &'a str, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Cow<'a, str>> {
    url::form_urlencoded::parse(query.as_bytes()).filter(move |(name, _)| wanted(name)).map(|(_, value)| value)
}

/// Whether one of the parameters is such, by its decoded name and value.
pub fn has(query: &str, such: impl Fn(&str, &str) -> bool) -> bool {
    url::form_urlencoded::parse(query.as_bytes()).any(|(name, value)| such(&name, &value))
}

/// The query without the parameters that are such, the others byte for byte; `None` when nothing is left.
pub fn without(query: &str, such: impl Fn(&str, &str) -> bool) -> Option<String> {
    let kept: Vec<&str> = query.split('&').filter(|pair| !has(pair, &such)).collect();
    let kept = kept.join("&");
    (!kept.is_empty()).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_and_cut_in_any_spelling() {
        let query = "a=%20b&tok%65n=x.y&c&token=z";
        assert_eq!(values(query, |name| name == "token").collect::<Vec<_>>(), ["x.y", "z"]);
        assert_eq!(without(query, |name, _| name == "token").as_deref(), Some("a=%20b&c"));
        assert_eq!(
            without(query, |name, value| name == "token" && value == "z").as_deref(),
            Some("a=%20b&tok%65n=x.y&c")
        );
        assert_eq!(without("token=1", |name, _| name == "token"), None);
        assert!(has(query, |name, value| name == "token" && value == "x.y") && !has(query, |name, _| name == "x.y"));
    }
}
