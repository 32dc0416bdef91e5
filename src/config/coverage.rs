//! Routes of a host that let through what a stricter route of any host would not: each host has a table of its own, and what it
//! finds there comes first.

use std::sync::Arc;

use http::Method;

use super::reader::Section;
use crate::route::{Policy, Refusals, Route, RouteTable};

/// What is asked with to find out which route answers; the methods that routes name are tried as well.
const METHODS: [Method; 7] =
    [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];

/// Warns, at each laxer route, of the stricter ones it covers: those of longer paths first, which the host can have a route for.
pub fn check(sections: &[Section<'_>], routes: &[Arc<Route>]) {
    if routes.iter().all(|route| route.pattern.host.is_none()) {
        return;
    }
    let table = RouteTable::new(routes.iter().cloned());
    // By path, so that those below a prefix stand together.
    let mut wide: Vec<(usize, &Arc<Route>)> =
        routes.iter().enumerate().filter(|(_, route)| !is_of_one_host(route)).collect();
    wide.sort_by(|(_, one), (_, other)| one.pattern.path.cmp(&other.pattern.path));
    for (section, lax) in sections.iter().zip(routes) {
        let Some(host) = lax.pattern.host.as_deref() else { continue };
        let path = lax.pattern.path.as_str();
        // `/admin/` covers all but one path of `/admin`.
        let prefix = path.strip_suffix('/').unwrap_or(path);
        let start = wide.partition_point(|(_, route)| route.pattern.path.as_str() < prefix);
        let below = wide[start..].iter().take_while(|(_, route)| route.pattern.path.starts_with(prefix));
        let mut covered = below
            .filter(|(_, strict)| is_wider(strict, host) && is_laxer(lax, strict))
            .filter(|(_, strict)| answers(&table, lax, host, strict))
            .peekable();
        let Some(first) = covered.peek().copied().copied() else { continue };
        // Of those that the host can be given a route for. At the path of the laxer one it has a route already.
        let deeper: Vec<_> =
            covered.copied().filter(|(_, strict)| strict.pattern.path.len() > path.len()).take(MOST_NAMED).collect();
        let remedy = if deeper.is_empty() {
            format!("make it as strict or remove it, unless {host} is meant to be open")
        } else {
            let paths: Vec<_> = deeper.iter().map(|(_, strict)| format!("{:?}", strict.pattern.path)).collect();
            format!("give {host} a route for {}", paths.join(", for "))
        };
        let strict: Vec<_> = if deeper.is_empty() { vec![first] } else { deeper };
        let strict: Vec<_> = strict.into_iter().map(|(number, strict)| described(number, strict)).collect();
        section.warning(
            "path",
            format!(
                "{} {path:?} of {host} is {} and comes before {}; {remedy}",
                section.name,
                spelled(lax),
                strict.join(", before "),
            ),
        );
    }
}

/// The most stricter routes that are named at a laxer one.
const MOST_NAMED: usize = 3;

fn described(number: usize, strict: &Route) -> String {
    format!(
        "routes[{number}] {:?} of {}, which is {}",
        strict.pattern.path,
        strict.pattern.host.as_deref().unwrap_or("any host"),
        spelled(strict),
    )
}

fn is_of_one_host(route: &Route) -> bool {
    route.pattern.host.as_deref().is_some_and(|host| !host.starts_with("*."))
}

/// Whether a route is for `host` too, and for more.
fn is_wider(route: &Route, host: &str) -> bool {
    match route.pattern.host.as_deref() {
        None => true,
        Some(wide) => {
            !host.starts_with("*.") && host.split_once('.').map(|(_, parent)| parent) == wide.strip_prefix("*.")
        }
    }
}

/// Whether `lax` is what a request for the other's path meets at `host`.
fn answers(table: &RouteTable, lax: &Arc<Route>, host: &str, strict: &Route) -> bool {
    // One that no other route names.
    let host = host.replacen("*.", "any_other.", 1);
    let path =
        if strict.pattern.path.len() < lax.pattern.path.len() { &lax.pattern.path } else { &strict.pattern.path };
    let named = [&lax.pattern, &strict.pattern].into_iter().filter_map(|pattern| pattern.methods.as_ref()).flatten();
    METHODS
        .iter()
        .chain(named)
        .filter(|method| lax.pattern.admits(method) && strict.pattern.admits(method))
        .any(|method| table.find(&host, method, path).is_ok_and(|found| Arc::ptr_eq(found, lax)))
}

/// Whether somebody passes `lax` whom `strict` refuses.
fn is_laxer(lax: &Route, strict: &Route) -> bool {
    if strict.refusals == Refusals::Reported {
        return false;
    }
    if lax.refusals == Refusals::Reported {
        return !matches!(strict.policy, Policy::Public | Policy::Optional);
    }
    match (&lax.policy, &strict.policy) {
        (Policy::Deny, _) | (_, Policy::Public | Policy::Optional) => false,
        (Policy::Public | Policy::Optional | Policy::Require(_), Policy::Deny)
        | (Policy::Public | Policy::Optional, Policy::Require(_)) => true,
        (Policy::Require(lax), Policy::Require(strict)) => {
            !strict.is_empty() && (lax.is_empty() || lax.iter().any(|role| !strict.contains(role)))
        }
    }
}

fn spelled(route: &Route) -> String {
    match route.refusals {
        Refusals::Enforced => route.policy.to_string(),
        Refusals::Reported => "report_only".to_owned(),
    }
}
