//! Routes: which part of the app a request is for, and what it takes to get there.
//!
//! A route matches by host (its own, then `*.` one label up, then any) and by the longest prefix of the path that ends at a
//! segment boundary. Paths are matched percent-decoded, so that `/%61dmin` is `/admin` as it is to the app. A path that an app may
//! read as one of another route ([`readings`]) is refused.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use http::Method;

use crate::{
    head, path,
    readings::{self, Tree},
    tenant::Candidates,
};

/// What a route demands. `Deny` is a policy of its own: absence is never permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    Deny,
    /// Passes, always without identity.
    Public,
    /// Passes as who is calling, or as nobody.
    Optional,
    /// Passes as who is calling, with any of the roles if there are any.
    Require(Vec<String>),
}

/// As the configuration spells it.
impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deny => f.write_str("deny"),
            Self::Public => f.write_str("public"),
            Self::Optional => f.write_str("optional"),
            Self::Require(roles) if roles.is_empty() => f.write_str("required"),
            Self::Require(roles) => write!(f, "required with one of the roles {}", roles.join(", ")),
        }
    }
}

/// Position of an upstream in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamId(pub usize);

/// One `[[routes]]` entry.
#[derive(Debug)]
pub struct Route {
    pub pattern: Pattern,
    pub policy: Policy,
    /// The route's own tenant; `None` leaves it to the host.
    pub tenant: Option<Arc<Candidates>>,
    /// `None` only where the policy is `Deny`.
    pub upstream: Option<UpstreamId>,
    pub handoff_param: Option<String>,
    pub bearer_param: Option<String>,
    pub bearer: Bearer,
    pub refusals: Refusals,
    pub slashes: Slashes,
    /// The most bytes of a request's body.
    pub max_body: Option<u64>,
    pub response_timeout: Option<Duration>,
}

/// What becomes of the `Authorization` header once it was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    Removed,
    /// `forward_token = true`.
    Forwarded,
}

/// What becomes of requests that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusals {
    Enforced,
    /// `report_only = true`: logged, and forwarded without identity.
    Reported,
}

/// What becomes of paths with `%2F`, `%5C` or `//`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slashes {
    Refused,
    /// `encoded_slashes = true`: they go to the app as they came, unless an app that reads them otherwise would be at another route.
    Passed,
}

/// What a route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Lower case; `*.acme.example` for one label before it; `None` for any.
    pub host: Option<String>,
    pub path: String,
    /// `None` for all.
    pub methods: Option<Vec<Method>>,
}

impl Pattern {
    /// Whether a method is among the route's; `HEAD` goes with `GET`.
    pub fn admits(&self, method: &Method) -> bool {
        self.methods.as_ref().is_none_or(|methods| {
            methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
        })
    }

    /// Whether some request matches both equally well, so that neither comes first.
    pub fn collides(&self, other: &Self) -> bool {
        let overlap = match (&self.methods, &other.methods) {
            (Some(ours), Some(theirs)) => ours.iter().any(|method| theirs.contains(method)),
            (None, None) => true,
            // One that names methods comes before one that takes the rest.
            _ => false,
        };
        self.host == other.host && self.path == other.path && overlap
    }
}

/// Why no route was found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("no route for this host and path")]
    None,
    /// Holds those the routes here serve, as `Allow` has them (RFC 9110 section 10.2.1).
    #[error("no route for this method")]
    Method(String),
    #[error("an app may read the path as one of another route")]
    Ambiguous,
}

/// All routes, found in time that does not depend on their number.
#[derive(Debug, Default)]
pub struct RouteTable {
    exact: HashMap<String, PathTable>,
    wildcard: HashMap<String, PathTable>,
    any: PathTable,
}

impl RouteTable {
    /// Builds the table; the configuration has seen to it that no two collide.
    pub fn new(routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let paths = match route.pattern.host.as_deref() {
                None => &mut table.any,
                Some(host) => match host.strip_prefix("*.") {
                    Some(parent) => table.wildcard.entry(parent.to_owned()).or_default(),
                    None => table.exact.entry(host.to_owned()).or_default(),
                },
            };
            paths.insert(route);
        }
        table
    }

    /// The route of a request.
    pub fn find(&self, host: &str, method: &Method, path: &str) -> Result<&Arc<Route>, RouteError> {
        if readings::is_plain(path) {
            return self.lookup(host, method, path.as_bytes());
        }
        let decoded = readings::decoded(path);
        let found = self.lookup(host, method, &decoded)?;
        for reading in readings::decodings(decoded) {
            let is_same = self.lookup(host, method, &reading).is_ok_and(|other| Arc::ptr_eq(found, other));
            if !is_same || self.leads_on(host, found, &reading) {
                return Err(RouteError::Ambiguous);
            }
        }
        Ok(found)
    }

    /// The route of a path that is sound but for its slashes: that of the path as it came, where an encoded slash ends no segment,
    /// if that route passes them and the path is of it however they are read.
    pub fn find_with_slashes(&self, host: &str, method: &Method, path: &str) -> Option<&Arc<Route>> {
        let merged = path::merged(path);
        // Encoded once more, they stay what they are when the path is decoded.
        let once_more = |path: String, encoded: &str| path.replace(encoded, &encoded.replace('%', "%25"));
        let as_it_came = ["%2f", "%2F", "%5c", "%5C"].into_iter().fold(path.to_owned(), once_more);
        let found = self.find(host, method, &as_it_came).ok()?;
        let is_same = self.find(host, method, &merged).is_ok_and(|other| Arc::ptr_eq(found, other));
        (found.slashes == Slashes::Passed && is_same && !head::is_own(&merged)).then_some(found)
    }

    /// Whether a path may be read as one of another route than was found, in the tables that come first and in its own.
    fn leads_on(&self, host: &str, found: &Arc<Route>, path: &[u8]) -> bool {
        let literal = found.pattern.path.as_bytes();
        for table in self.tables(host) {
            if table.tree.leads_on(literal, path) {
                return true;
            }
            if table.by_path.get(literal).is_some_and(|routes| routes.iter().any(|route| Arc::ptr_eq(route, found))) {
                break;
            }
        }
        false
    }

    /// Those of a host, in their order.
    fn tables(&self, host: &str) -> impl Iterator<Item = &PathTable> {
        let parent = host.split_once('.').and_then(|(_, parent)| self.wildcard.get(parent));
        [self.exact.get(host), parent, Some(&self.any)].into_iter().flatten()
    }

    fn lookup(&self, host: &str, method: &Method, path: &[u8]) -> Result<&Arc<Route>, RouteError> {
        let mut error = RouteError::None;
        for table in self.tables(host) {
            match table.find(method, path) {
                Err(RouteError::None) => {}
                Err(other) => {
                    error = other;
                    break;
                }
                found => return found,
            }
        }
        Err(error)
    }
}

#[derive(Debug, Default)]
struct PathTable {
    by_path: HashMap<Vec<u8>, Vec<Arc<Route>>>,
    /// Slashes in the path of the deepest route: no longer prefix needs a look-up.
    depth: usize,
    tree: Tree,
}

impl PathTable {
    fn insert(&mut self, route: Arc<Route>) {
        let path = route.pattern.path.as_bytes().to_vec();
        self.tree.insert(&path);
        self.depth = self.depth.max(path.iter().filter(|b| **b == b'/').count());
        let routes = self.by_path.entry(path).or_default();
        routes.push(route);
        routes.sort_by_key(|route| route.pattern.methods.is_none());
    }

    fn find(&self, method: &Method, path: &[u8]) -> Result<&Arc<Route>, RouteError> {
        // Ends of the prefixes to try, shortest first: after each slash, before the next one, and the whole path.
        let mut slashes = path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let mut end = match slashes.nth(self.depth) {
            Some(at) => at,
            None => path.len(),
        };
        loop {
            if let Some(routes) = self.by_path.get(&path[..end]) {
                let admitted = routes.iter().find(|route| route.pattern.admits(method));
                return admitted.ok_or_else(|| RouteError::Method(allowed(routes)));
            }
            end = match path[..end].iter().rposition(|b| *b == b'/') {
                // `/a/b`: after `/a/b` try `/a/`, then `/a`.
                Some(at) if at + 1 < end => at + 1,
                Some(at) if at > 0 => at,
                _ => return Err(RouteError::None),
            };
        }
    }
}

fn allowed(routes: &[Arc<Route>]) -> String {
    let named = routes.iter().filter_map(|route| route.pattern.methods.as_ref()).flatten();
    let mut allowed: Vec<&str> = named.map(Method::as_str).collect();
    if allowed.contains(&"GET") && !allowed.contains(&"HEAD") {
        allowed.push("HEAD");
    }
    allowed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host, path and methods.
    type Given<'a> = (Option<&'a str>, &'a str, Option<&'a [Method]>);

    fn table(patterns: &[Given<'_>]) -> RouteTable {
        RouteTable::new(patterns.iter().map(|(host, path, methods)| {
            Arc::new(Route {
                pattern: Pattern {
                    host: host.map(str::to_owned),
                    path: (*path).to_owned(),
                    methods: methods.map(<[Method]>::to_vec),
                },
                policy: Policy::Public,
                tenant: None,
                upstream: Some(UpstreamId(0)),
                handoff_param: None,
                bearer_param: None,
                bearer: Bearer::Removed,
                refusals: Refusals::Enforced,
                slashes: Slashes::Refused,
                max_body: None,
                response_timeout: None,
            })
        }))
    }

    fn found<'t>(table: &'t RouteTable, host: &str, path: &str) -> Result<&'t str, RouteError> {
        table.find(host, &Method::GET, path).map(|route| route.pattern.path.as_str())
    }

    #[test]
    fn the_longest_prefix_at_a_segment_boundary_wins() {
        let table = table(&[(None, "/", None), (None, "/a", None), (None, "/a/b/", None), (None, "/a/b/c", None)]);
        for (path, route) in [
            ("/", "/"),
            ("/ab", "/"),
            ("/a", "/a"),
            ("/a/", "/a"),
            ("/a/x", "/a"),
            ("/a/b", "/a"),
            ("/a/b/", "/a/b/"),
            ("/a/b/x/y/z", "/a/b/"),
            ("/a/b/c", "/a/b/c"),
            ("/a/b/cd", "/a/b/"),
            ("/a/b/c/d", "/a/b/c"),
            ("/%61/%62/c", "/a/b/c"),
        ] {
            assert_eq!(found(&table, "h", path), Ok(route), "{path}");
        }
    }

    #[test]
    fn a_host_comes_before_its_wildcard_and_that_before_any() {
        let table =
            table(&[(Some("s.acme.example"), "/s", None), (Some("*.acme.example"), "/w", None), (None, "/", None)]);
        assert_eq!(found(&table, "s.acme.example", "/s"), Ok("/s"));
        assert_eq!(found(&table, "s.acme.example", "/w"), Ok("/w"));
        assert_eq!(found(&table, "a.b.acme.example", "/w"), Ok("/"));
        assert_eq!(found(&table, "acme.example", "/w"), Ok("/"));
        assert_eq!(found(&self::table(&[(Some("h"), "/", None)]), "other", "/"), Err(RouteError::None));
    }

    #[test]
    fn methods_are_told_apart_and_others_are_refused() {
        let table = table(&[(None, "/", None), (None, "/a", Some(&[Method::GET]))]);
        assert!(table.find("h", &Method::HEAD, "/a").is_ok());
        let refused = table.find("h", &Method::POST, "/a").err();
        assert_eq!(refused, Some(RouteError::Method("GET, HEAD".to_owned())));
    }

    #[test]
    fn a_path_that_may_be_another_routes_is_refused() {
        let patterns = ["/", "/admin", "/public", "/public/admin", "/favicon.ico", "/static.v2/", "/v1.2/admin"];
        let patterns: Vec<Given<'_>> = patterns.iter().map(|path| (None, *path, None)).collect();
        let table = table(&patterns);
        for path in [
            "/admin;x/y",
            "/admin%3bx",
            "/admin.json",
            "/admin.json/",
            "/admin.json/x",
            "/admin.json;x=1",
            "/admin.",
            "/admin%20",
            "/admin%20./x",
            "/admin%2520",
            "/admin::$DATA",
            "/ADMIN",
            "/%41dmin",
            "/%2561dmin",
            "/admin%3f/public",
            "/public/admin.json",
            "/public.json",
            "/v1.2/admin.json",
            "/v1.2.x/admin",
            "/static.v2.x/y",
        ] {
            assert_eq!(found(&table, "h", path), Err(RouteError::Ambiguous), "{path}");
        }
        for (path, route) in [
            ("/admin/list;page=2", "/admin"),
            ("/admin/users.json", "/admin"),
            ("/admin/.json", "/admin"),
            ("/favicon.ico", "/favicon.ico"),
            ("/favicon.png", "/"),
            ("/static.v2/app.js", "/static.v2/"),
            ("/public/app.min.js", "/public"),
            ("/administrator.html", "/"),
            ("/admin-x.html", "/"),
            ("/v1/admin.json", "/"),
            ("/a%2541", "/"),
        ] {
            assert_eq!(found(&table, "h", path), Ok(route), "{path}");
        }
    }

    #[test]
    fn a_path_that_may_be_a_route_of_the_host_itself_is_refused() {
        let table = table(&[
            (Some("s.acme.example"), "/admin", None),
            (Some("*.acme.example"), "/staff", None),
            (None, "/", None),
            (None, "/other", None),
        ]);
        for path in ["/admin.json", "/staff.json", "/other.json"] {
            assert_eq!(found(&table, "s.acme.example", path), Err(RouteError::Ambiguous), "{path}");
        }
        assert_eq!(found(&table, "t.acme.example", "/admin.json"), Ok("/"));
        assert_eq!(found(&table, "elsewhere", "/staff.json"), Ok("/"));
    }
}
