//! Query parameters, found and cut out without rewriting the rest.

use std::borrow::Cow;

/// The decoded values of the parameters that `wanted` names (application/x-www-form-urlencoded).
pub fn values<'a>(query: &'a str, wanted: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = Cow<'a, str>> {
    url::form_urlencoded::parse(query.as_bytes()).filter(move |(name, _)| wanted(name)).map(|(_, value)| value)
}

/// The query without the parameters that `unwanted` names, the others byte for byte; `None` when nothing is left.
pub fn without(query: &str, unwanted: impl Fn(&str) -> bool) -> Option<String> {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !url::form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| unwanted(&name)))
        .collect();
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
        assert_eq!(without(query, |name| name == "token").as_deref(), Some("a=%20b&c"));
        assert_eq!(without("token=1", |name| name == "token"), None);
    }
}
