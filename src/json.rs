//! Strict JSON for tokens: no duplicate members, at most [`DEPTH`] levels, whole numbers told from others.
//!
//! A duplicate member means two readers may see two claims (RFC 8259 section 4, RFC 8725 section 2.4), and deep nesting
//! is a way to exhaust a stack; `serde_json` alone allows the first and counts to 128 for the second.

use std::{borrow::Cow, collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// The deepest nesting accepted; an object of scalars is one level.
pub const DEPTH: usize = 16;

/// A JSON value that borrows from its text where it can.
#[derive(Debug, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// A number written without fraction and exponent that fits 64 bits.
    Whole(i64),
    /// Any other number.
    Number,
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses one object and nothing after it. Errors are for the log: they name a place, never a value.
    pub fn object(text: &'a [u8]) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_slice(text);
        let value = Seed { depth: 0 }
            .deserialize(&mut reader)
            .and_then(|value| reader.end().map(|()| value))
            .map_err(|e| format!("line {} column {}", e.line(), e.column()))?;
        match value {
            Json::Object(_) => Ok(value),
            _ => Err("not an object".into()),
        }
    }

    /// The member `name` of an object.
    pub fn member(&self, name: &str) -> Option<&Json<'a>> {
        match self {
            Json::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The value at a dotted path (`realm.roles`): the member of that very name if there is one, else a walk into objects.
    pub fn at(&self, path: &str) -> Option<&Json<'a>> {
        self.member(path).or_else(|| {
            let (first, rest) = path.split_once('.')?;
            self.member(first)?.at(rest)
        })
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

struct Seed {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Json<'de>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl Seed {
    fn deeper<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth == DEPTH {
            return Err(E::custom("nested too deep"));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Number, Json::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let depth = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed { depth })? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let depth = self.deeper()?;
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::with_capacity(8);
        while let Some(key) = entries.next_key_seed(Key)? {
            members.push((key, entries.next_value_seed(Seed { depth })?));
        }
        if has_duplicates(&members) {
            return Err(de::Error::custom("duplicate member"));
        }
        Ok(Json::Object(members))
    }
}

/// Quadratic only while that is the fastest way: a token may hold over a thousand members.
fn has_duplicates(members: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if members.len() <= 16 {
        return (1..members.len()).any(|i| members[..i].iter().any(|(key, _)| *key == members[i].0));
    }
    let mut seen = HashSet::with_capacity(members.len());
    !members.iter().all(|(key, _)| seen.insert(key.as_ref()))
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_members_are_refused_at_any_depth_and_in_any_spelling() {
        for text in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":{"b":[],"b":[]}}"#, r#"{"x":[{"b":1,"c":2,"b":3}]}"#]
        {
            assert!(Json::object(text.as_bytes()).is_err(), "{text}");
        }
        let many: Vec<String> = (0..40).map(|i| format!(r#""m{i}":{i}"#)).collect();
        let twice = format!("{{{},\"m7\":0}}", many.join(","));
        assert!(Json::object(format!("{{{}}}", many.join(",")).as_bytes()).is_ok());
        assert!(Json::object(twice.as_bytes()).is_err());
    }

    #[test]
    fn sixteen_levels_pass_and_seventeen_do_not() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(Json::object(nested(16).as_bytes()).is_ok());
        assert!(Json::object(nested(17).as_bytes()).is_err());
        assert!(Json::object(nested(100_000).as_bytes()).is_err());
    }

    #[test]
    fn whole_numbers_are_told_from_others() {
        let json = Json::object(br#"{"i":5,"f":5.0,"e":5e0,"big":18446744073709551615,"neg":-5}"#).expect("valid");
        assert_eq!(json.member("i"), Some(&Json::Whole(5)));
        assert_eq!(json.member("neg"), Some(&Json::Whole(-5)));
        for name in ["f", "e", "big"] {
            assert_eq!(json.member(name), Some(&Json::Number), "{name}");
        }
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        for text in ["[]", "1", "\"x\"", "{} {}", "{},", "{", "", "\u{feff}{}", r#"{"a":"\ud800"}"#] {
            assert!(Json::object(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Json::object(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn dotted_paths_walk_into_objects_and_a_literal_name_wins() {
        let json = Json::object(br#"{"realm":{"roles":["a"]},"x.y":"flat","x":{"y":"deep"}}"#).expect("valid");
        assert!(matches!(json.at("realm.roles"), Some(Json::List(_))));
        assert_eq!(json.at("x.y").and_then(Json::text), Some("flat"));
        assert_eq!(json.at("realm.nothing"), None);
    }
}
