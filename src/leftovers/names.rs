//! Which cookies are the app's own logins: `upstreams.….session_cookies`.

use std::{borrow::Cow, sync::Arc};

/// The names of an app's login cookies. A clone is cheap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    Listed(Arc<[Name]>),
    /// Every cookie, but those of ours.
    All,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    Exact(String),
    /// Written with a `*` at its end: what the names of some users' cookies begin with.
    Prefix(String),
}

/// The most names of an upstream: each cookie is compared with all of them.
pub const MOST_NAMES: usize = 64;

impl Names {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Listed(names) if names.is_empty())
    }

    /// The name of a login cookie, as apps read it that trim white space; `None` for any other cookie.
    pub fn find<'n>(&self, name: &'n [u8]) -> Option<Cow<'n, str>> {
        let name = match String::from_utf8_lossy(name) {
            Cow::Borrowed(name) => Cow::Borrowed(name.trim()),
            Cow::Owned(name) => Cow::Owned(name.trim().to_owned()),
        };
        let is_named = match self {
            Self::All => true,
            Self::Listed(names) => names.iter().any(|known| known.is(&name)),
        };
        is_named.then_some(name)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self::Listed(Arc::default())
    }
}

impl Name {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_rest_of_a_name() {
        let names = [Name::Exact("sessionid".into()), Name::Prefix("jupyterhub-user-".into())];
        let names = Names::Listed(names.into());
        for named in ["sessionid", " sessionid\t", "jupyterhub-user-maya", "jupyterhub-user-", "jupyterhub-user-\u{fc}"]
        {
            assert_eq!(names.find(named.as_bytes()).as_deref(), Some(named.trim()), "{named}");
        }
        for other in ["", "sessionid2", "Sessionid", "jupyterhub-user", "xjupyterhub-user-maya", "JUPYTERHUB-USER-maya"]
        {
            assert_eq!(names.find(other.as_bytes()), None, "{other}");
            assert_eq!(Names::All.find(other.as_bytes()).as_deref(), Some(other));
        }
        assert!(Names::All.find(b"\xff").is_some() && names.find(b"\xff").is_none());
        assert!(Names::default().is_empty() && Names::default().find(b"sessionid").is_none());
    }
}
