//! What else an app may take a path for than the routes do.
//!
//! | an app that | takes | for |
//! | --- | --- | --- |
//! | decodes once more than is due, or again | `/%2561dmin` | `/admin` |
//! | knows path parameters, or ends a path at an encoded `?` or `#` | `/admin;x=1`, `/admin%3fx` | `/admin` |
//! | takes the end of a name for a format, a method or a key | `/admin.json`, `/admin!edit`, `/admin(1)` | `/admin` |
//! | trims names, as Windows does, or opens a stream of a file | `/admin.`, `/admin%20`, `/admin::$DATA` | `/admin` |
//! | does not know case | `/ADMIN` | `/admin` |
//!
//! So a name may end wherever something other than a letter, a digit, `-`, `_` or `~` begins, in any segment of the path. It counts
//! only where that leads to another route. What a route itself spells is taken to the letter: the operator of a route
//! `/favicon.ico` knows how the app reads it.

use std::{borrow::Cow, collections::HashMap};

/// No app decodes more often. What still has something to decode after as many times is refused.
pub const MOST_DECODINGS: usize = 4;

/// Whether a path has nothing in it that could be read in more than one way.
pub fn is_plain(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'~' | b'/'))
}

/// The path as an app reads it, percent-encoding undone: what routes are matched against.
pub fn decoded(path: &str) -> Cow<'_, [u8]> {
    percent_encoding::percent_decode_str(path).into()
}

/// A decoded path, and what it is when it is decoded again, and again.
pub fn decodings(decoded: Cow<'_, [u8]>) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let once_more = |path: &Cow<'_, [u8]>| {
        let again: Vec<u8> = percent_encoding::percent_decode(path).collect();
        (again != **path).then_some(Cow::Owned(again))
    };
    std::iter::successors(Some(decoded), once_more).take(1 + MOST_DECODINGS)
}

/// Whether a segment may be read as such a name: whole, or up to where a name may end, in lower case. Names longer than `longest` are
/// not tried.
pub fn may_name(segment: &[u8], longest: usize, is_such: impl Fn(&[u8]) -> bool) -> bool {
    let named = trimmed_start(segment);
    let most = named.len().min(longest);
    let lower = if named[..most].iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(named[..most].to_ascii_lowercase())
    } else {
        Cow::Borrowed(&named[..most])
    };
    (segment.len() <= longest && is_such(&segment.to_ascii_lowercase()))
        || (1..=most).any(|end| may_end(&named[end..]) && is_such(&lower[..end]))
}

/// Without what apps trim from the beginning: blanks of all kinds, a byte order mark, what is not UTF-8.
fn trimmed_start(segment: &[u8]) -> &[u8] {
    let mut rest = segment;
    loop {
        let step = match rest {
            [b'\t'..=b'\r' | b' ' | b'+', ..] => 1,
            [byte, ..] if !byte.is_ascii() && may_end(rest) => {
                let chunk = rest[..rest.len().min(4)].utf8_chunks().next();
                chunk.and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8)
            }
            _ => return rest,
        };
        rest = &rest[step..];
    }
}

/// Whether a name may end before this.
fn may_end(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [byte, ..] if byte.is_ascii() => !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_' | b'~'),
        // A letter of another alphabet goes on; blanks, full stops of all kinds and what is not UTF-8 do not.
        _ => {
            let chunk = rest[..rest.len().min(4)].utf8_chunks().next();
            !chunk.and_then(|chunk| chunk.valid().chars().next()).is_some_and(char::is_alphanumeric)
        }
    }
}

/// Paths of routes, as a tree of their segments.
#[derive(Debug, Default)]
pub struct Tree {
    /// By name, in lower case.
    below: HashMap<Vec<u8>, Tree>,
    longest: usize,
    /// Whether a path ends here, and whether one ends after the slash that follows.
    ends_here: bool,
    ends_within: bool,
}

impl Tree {
    /// Adds a path.
    pub fn insert(&mut self, path: &[u8]) {
        let mut node = self;
        let (path, is_folder) = match path.strip_suffix(b"/") {
            Some(folder) => (folder, true),
            None => (path, false),
        };
        for name in names(path) {
            node.longest = node.longest.max(name.len());
            node = node.below.entry(name.to_ascii_lowercase()).or_default();
        }
        if is_folder { node.ends_within = true } else { node.ends_here = true }
    }

    /// Whether a path that begins with `literal`, which is a path of the tree or of another, may be read as one that leads further
    /// down here.
    pub fn leads_on(&self, literal: &[u8], path: &[u8]) -> bool {
        let mut node = self;
        for name in names(literal) {
            match node.below.get(&name.to_ascii_lowercase()) {
                Some(below) => node = below,
                None => return false,
            }
        }
        let rest = path.get(literal.len()..).unwrap_or_default();
        node.leads(rest.strip_prefix(b"/").unwrap_or(rest))
    }

    fn leads(&self, path: &[u8]) -> bool {
        if self.below.is_empty() {
            return false;
        }
        let (segment, rest) = match path.iter().position(|byte| *byte == b'/') {
            Some(at) => (&path[..at], Some(&path[at + 1..])),
            None => (path, None),
        };
        may_name(segment, self.longest, |name| {
            self.below
                .get(name)
                .is_some_and(|below| below.ends_here || rest.is_some_and(|rest| below.ends_within || below.leads(rest)))
        })
    }
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_as_often_as_an_app_may() {
        let all = |path: &str| -> Vec<String> {
            decodings(decoded(path)).map(|path| String::from_utf8(path.into_owned()).expect("text")).collect()
        };
        assert_eq!(all("/a/b"), ["/a/b"]);
        assert_eq!(all("/%2561"), ["/%61", "/a"]);
        assert_eq!(all("/a%253bx"), ["/a%3bx", "/a;x"]);
        assert_eq!(all("/%25252525252541").len(), 1 + MOST_DECODINGS);
    }

    #[test]
    fn a_name_ends_where_an_app_may_end_it() {
        let is_admin = |segment: &str| may_name(segment.as_bytes(), 5, |name| name == b"admin");
        for segment in [
            "admin",
            "admin.json",
            "admin.",
            "admin ",
            "admin .",
            "admin;x=1",
            "admin::$DATA",
            "admin:$i30",
            "admin?x",
            "admin#x",
            "admin\t",
            "admin+",
            "admin!edit",
            "admin(1)",
            "admin,x",
            "admin&x",
            "admin%",
            "admin@x",
            "admin*",
            "admin.tar.gz",
            "ADMIN",
            "Admin.JSON",
            " admin",
            "+admin.",
            "admin\u{a0}",
            "admin\u{200b}",
            "admin\u{ff0e}json",
            "admin\u{3002}",
        ] {
            assert!(is_admin(segment), "{segment}");
        }
        assert!(may_name(b"admin\xa0", 5, |name| name == b"admin"), "Latin-1");
        for segment in
            ["admins", "admin-x", "admin_x", "admin~1", "admin\u{e9}", "adm", "xadmin", ".admin", "x.admin", ""]
        {
            assert!(!is_admin(segment), "{segment}");
        }
    }

    #[test]
    fn what_a_route_spells_is_taken_to_the_letter() {
        let mut tree = Tree::default();
        for path in ["/", "/admin", "/v1.2/admin", "/static.v2/", "/favicon.ico", "/favicon", "/docs/", "/docs/api"] {
            tree.insert(path.as_bytes());
        }
        for (literal, path) in [
            ("/", "/admin.json"),
            ("/", "/admin.json/x"),
            ("/", "/ADMIN/x.y"),
            ("/", "/v1.2/admin.json"),
            ("/", "/V1.2.x/admin"),
            ("/", "/docs.x/"),
            ("/", "/docs.x/y"),
            ("/", "/static.v2.x/y"),
            ("/docs/", "/docs/api.json"),
            ("/", "/favicon.png"),
        ] {
            assert!(tree.leads_on(literal.as_bytes(), path.as_bytes()), "{path}");
        }
        for (literal, path) in [
            ("/", "/x.json"),
            ("/", "/docs.x"),
            ("/", "/v1/admin.json"),
            ("/admin", "/admin/x.json"),
            ("/favicon.ico", "/favicon.ico"),
            ("/favicon.ico", "/favicon.ico/x.y"),
            ("/static.v2/", "/static.v2/app.js"),
            ("/docs/", "/docs/app.js"),
            ("/elsewhere", "/elsewhere/admin.json"),
        ] {
            assert!(!tree.leads_on(literal.as_bytes(), path.as_bytes()), "{path}");
        }
    }
}
