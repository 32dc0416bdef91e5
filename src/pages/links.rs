//! Where a person may go from a page that refuses.

use http::Method;
use url::Url;

use crate::denial::Denial;

/// A way on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub kind: LinkKind,
    /// Relative to the page's own address: empty is that address.
    pub href: String,
    /// Where it opens, such as `_blank`; in the same window unless told.
    pub target: Option<&'static str>,
}

/// What a way on leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The tenant's `login_url`.
    SignIn,
    /// The same address again.
    Retry,
    /// The same page in a tab of its own, where the browser keeps sign-ins. The page then says so.
    OpenInTab,
    /// The page a sign-in would have led to, which may have worked before.
    Continue,
    /// The start page.
    Home,
}

impl LinkKind {
    /// Its name in texts and templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Retry => "retry",
            Self::OpenInTab => "open_in_tab",
            Self::Continue => "continue",
            Self::Home => "home",
        }
    }
}

impl Link {
    /// A way on in the same window.
    pub fn to(kind: LinkKind, href: &str) -> Self {
        Self { kind, href: href.to_owned(), target: None }
    }

    /// The ways on from a refusal, the most helpful first. `target` is the path and query that were asked for.
    pub fn from(denial: Denial, login_url: Option<&Url>, method: &Method, target: &str) -> Vec<Self> {
        // What is asked for by a link may be asked for again; a form that was sent may not.
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        let is_home = matches!(target, "" | "/");
        let link = match denial {
            _ if denial.spelling().refresh => login_url.map(|url| Self::to(LinkKind::SignIn, url.as_str())),
            Denial::UpstreamUnreachable
            | Denial::UpstreamTimeout
            | Denial::LedgerUnavailable
            | Denial::Overloaded
            | Denial::RateLimited => is_read.then(|| Self::to(LinkKind::Retry, "")),
            Denial::NoRoute | Denial::RoleRequired | Denial::MethodNotAllowed | Denial::BadRequest => {
                (!is_home).then(|| Self::to(LinkKind::Home, "/"))
            }
            _ => None,
        };
        link.into_iter().collect()
    }
}
