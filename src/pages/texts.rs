//! What people read: for each language sections of texts, `[token_spent] title = "…"`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use minijinja::Value;

/// The texts of a language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Its tag (RFC 5646), such as `de`.
    pub language: String,
    /// How it is written: `ltr` or `rtl`.
    pub direction: &'static str,
    pub sections: Sections,
    /// An operator's own, under `[own]`.
    pub own: BTreeMap<String, String>,
}

/// Texts by section and key.
pub type Sections = BTreeMap<String, BTreeMap<String, String>>;

/// Both ways of writing, as they are spelled.
pub const DIRECTIONS: [(&str, &str); 2] = [("ltr", "ltr"), ("rtl", "rtl")];

const FILES: [(&str, &str); 5] = [
    ("en", include_str!("texts/en.toml")),
    ("ar", include_str!("texts/ar.toml")),
    ("de", include_str!("texts/de.toml")),
    ("es", include_str!("texts/es.toml")),
    ("fr", include_str!("texts/fr.toml")),
];

static BUILT_IN: LazyLock<Vec<Texts>> =
    LazyLock::new(|| FILES.iter().map(|(language, text)| Texts::read(language, text)).collect());

/// The languages that are part of the program, English first.
pub fn built_in() -> &'static [Texts] {
    &BUILT_IN
}

/// The sections and keys there are, and the placeholders each text has.
pub fn english() -> &'static Sections {
    &BUILT_IN[0].sections
}

impl Texts {
    fn read(language: &str, text: &str) -> Self {
        let table: toml::Table = text.parse().expect("the file is part of the program and tested");
        let text = |value: &toml::Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |table: &toml::Table| table.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        Self {
            language: language.to_owned(),
            direction: if table["dir"].as_str() == Some("rtl") { "rtl" } else { "ltr" },
            sections: table.iter().filter_map(|(name, value)| Some((name.clone(), texts(value.as_table()?)))).collect(),
            own: BTreeMap::new(),
        }
    }

    /// A text; empty where there is none.
    pub fn of(&self, section: &str, key: &str) -> &str {
        self.sections.get(section).and_then(|texts| texts.get(key)).map_or("", String::as_str)
    }
}

/// The placeholders of a text: `{user}`.
pub fn placeholders(text: &str) -> BTreeSet<&str> {
    pieces(text).filter_map(|(_, name)| name).collect()
}

/// A text as HTML, with HTML in the place of its placeholders.
pub fn filled(text: &str, html: &[(&str, String)]) -> Value {
    let mut filled = String::new();
    for (before, name) in pieces(text) {
        filled.push_str(&escaped(before));
        let found = name.and_then(|name| html.iter().find(|(placeholder, _)| *placeholder == name));
        filled.push_str(found.map_or("", |(_, html)| html));
    }
    Value::from_safe_string(filled)
}

/// What stands before each placeholder, and its name; at the end the rest.
fn pieces(text: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let found = text.match_indices('{').find_map(|(at, _)| {
            let (name, after) = text[at + 1..].split_once('}')?;
            let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            is_name.then_some((&text[..at], name, after))
        });
        match found {
            Some((before, name, after)) => {
                rest = Some(after);
                Some((before, Some(name)))
            }
            None => {
                rest = None;
                Some((text, None))
            }
        }
    })
}

/// Text for HTML, between tags and in quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{denial::Denial, pages::Notice};

    #[test]
    fn every_language_has_every_text_and_placeholder() {
        let all: BTreeSet<&str> = Denial::ALL.iter().map(|denial| denial.spelling().code).collect();
        let others = ["confirm", "switch", "links", "page"].into_iter().chain(Notice::ALL.map(Notice::section));
        let sections: BTreeSet<&str> = english().keys().map(String::as_str).collect();
        assert_eq!(sections, all.iter().copied().chain(others).collect());
        for code in all.into_iter().chain(Notice::ALL.map(Notice::section)) {
            let keys: Vec<&str> = english()[code].keys().map(String::as_str).collect();
            assert_eq!(keys, ["advice", "text", "title"], "{code}");
        }
        for texts in built_in() {
            for (section, english) in english() {
                let keys: Vec<&String> = texts.sections[section].keys().collect();
                assert_eq!(keys, english.keys().collect::<Vec<_>>(), "{} {section}", texts.language);
                for (key, english) in english {
                    let text = texts.of(section, key);
                    assert!(!text.trim().is_empty(), "{} {section}.{key}", texts.language);
                    assert_eq!(placeholders(text), placeholders(english), "{} {section}.{key}", texts.language);
                    let is_english = texts.language == "en";
                    assert_eq!(text == english, is_english, "{} {section}.{key} is translated", texts.language);
                }
            }
            assert_eq!(texts.sections.len(), english().len(), "{}", texts.language);
        }
    }

    #[test]
    fn names_take_the_place_of_their_placeholders_and_nothing_else_is_html() {
        let html = [("user", "<bdi>{other}</bdi>".to_owned()), ("other", "b".to_owned())];
        let filled = |text: &str| filled(text, &html).to_string();
        assert_eq!(filled("<i> {user} & {other}"), "&lt;i&gt; <bdi>{other}</bdi> &amp; b");
        assert_eq!(filled("{ user} {} {{user}} {nobody}{"), "{ user} {} {<bdi>{other}</bdi>} {");
    }
}
