//! `[[routes]]` and `[exchange]`.

use std::sync::Arc;

use http::Method;

use super::{
    coverage,
    hosts::host_pattern,
    problem::instead,
    reader::{Placed, Section},
};
use crate::{
    exchange::ExchangeNames,
    head::{is_own, is_served},
    identity::TenantId,
    route::{Bearer, Pattern, Policy, Refusals, Route, Slashes, UpstreamId},
    tenant::Tenants,
};

/// 1 TiB: longer than any request lasts.
const MOST_BODY: u64 = 1 << 40;

/// Reads `[[routes]]`.
pub fn routes(root: &Section<'_>, tenants: &Tenants, upstreams: &[String]) -> Vec<Arc<Route>> {
    let sections = root.sections("routes");
    if sections.is_empty() && root.is_list_or_absent("routes") {
        root.problem("routes", "there is no route; add [[routes]] path = \"/\" upstream = \"…\"");
    }
    let mut routes: Vec<Arc<Route>> = Vec::new();
    let mut places: std::collections::HashMap<(Option<String>, String), Vec<usize>> = std::collections::HashMap::new();
    for section in &sections {
        let route = route(section, tenants, upstreams);
        let same_place = places.entry((route.pattern.host.clone(), route.pattern.path.clone())).or_default();
        if same_place.iter().any(|other| routes[*other].pattern.collides(&route.pattern)) {
            let host = route.pattern.host.as_deref().unwrap_or("any host");
            section.problem(
                "path",
                format!(
                    "a route for {host} {:?} is there already; remove one, or give them different methods",
                    route.pattern.path
                ),
            );
        }
        same_place.push(routes.len());
        routes.push(Arc::new(route));
    }
    coverage::check(&sections, &routes);
    routes
}

fn route(section: &Section<'_>, tenants: &Tenants, upstreams: &[String]) -> Route {
    let pattern = Pattern { host: host(section), path: path(section), methods: methods(section) };
    let policy = policy(section);
    let tenant = section.text("tenant").and_then(|id| {
        let found = tenants.alone(&TenantId::new(id.value)).cloned();
        if found.is_none() {
            let all: Vec<_> = tenants.iter().map(|tenant| tenant.id.as_str()).collect();
            let remedy = if all.is_empty() {
                format!("; add [tenants.{}]", id.value.escape_debug())
            } else {
                instead(id.value, all.into_iter())
            };
            section.reader.report(id.at, format!("there is no tenant {:?}{remedy}", id.value));
        }
        found
    });
    let is_guarded = matches!(policy, Policy::Optional | Policy::Require(_));
    if is_guarded && tenants.count() == 0 {
        section.problem(
            "auth",
            "nobody can sign in without a tenant; add [tenants.…], or make the route auth = \"public\"",
        );
    }
    let handoff_param = param(section, "handoff_param");
    if handoff_param.is_some() && policy == Policy::Deny {
        section.problem("handoff_param", "a route that denies has no handoff; remove handoff_param");
    }
    let bearer_param = param(section, "bearer_param");
    if bearer_param.is_some() && bearer_param == handoff_param {
        section.problem("bearer_param", "bearer_param and handoff_param are the same; rename one");
    }
    Route {
        tenant,
        upstream: upstream(section, &policy, upstreams),
        handoff_param,
        bearer_param,
        bearer: if section.flag("forward_token") == Some(true) { Bearer::Forwarded } else { Bearer::Removed },
        refusals: if section.flag("report_only") == Some(true) { Refusals::Reported } else { Refusals::Enforced },
        slashes: if section.flag("encoded_slashes") == Some(true) { Slashes::Passed } else { Slashes::Refused },
        max_body: section.size("max_body", 0..=MOST_BODY),
        response_timeout: section.waiting("response_timeout"),
        pattern,
        policy,
    }
}

fn policy(section: &Section<'_>) -> Policy {
    let roles = section.texts("roles");
    warn_of_any_role(section, roles.iter().flatten());
    let roles = roles.map(|roles| roles.iter().map(|role| role.value.to_owned()).collect::<Vec<_>>());
    if roles.as_ref().is_some_and(Vec::is_empty) {
        section.problem("roles", "an empty list of roles says nothing; remove it, or name a role");
    }
    let names = [
        ("required", Policy::Require as fn(Vec<String>) -> Policy),
        ("optional", |_| Policy::Optional),
        ("public", |_| Policy::Public),
        ("deny", |_| Policy::Deny),
    ];
    let chosen = section.choice("auth", &names);
    let is_unknown = chosen.is_none() && section.has("auth");
    let policy = match chosen {
        Some(policy) => policy(roles.clone().unwrap_or_default()),
        None if is_unknown => Policy::Deny,
        None => Policy::Require(roles.clone().unwrap_or_default()),
    };
    if roles.is_some() && !is_unknown && !matches!(policy, Policy::Require(_)) {
        section.problem("roles", "roles need auth = \"required\"; on any other route nobody has to be anyone");
    }
    policy
}

/// Warns of a role that no token has, though it looks like all of them.
pub fn warn_of_any_role<'r>(section: &Section<'_>, roles: impl Iterator<Item = &'r Placed<&'r str>>) {
    for role in roles.filter(|role| role.value.contains('*')) {
        section.reader.warn(
            role.at,
            format!("{:?} is that very role and not any; leave the list out for any, or name the roles", role.value),
        );
    }
}

fn host(section: &Section<'_>) -> Option<String> {
    host_pattern(section, section.text("host")?)
}

/// What patterns are written with, and no app's paths.
const PATTERN: [char; 9] = ['*', '{', '}', '<', '>', '^', '|', '"', '`'];

/// Reports a path that is written as a pattern. It is the beginning of the paths it is for, to the byte.
fn check_pattern(section: &Section<'_>, path: Placed<&str>) {
    let text = path.value;
    if let Some(at) = text.find(PATTERN) {
        let prefix = literal(text, at);
        section.reader.report(
            path.at,
            format!("{text:?} is no pattern: a path is for all that begins with it; write {prefix:?}"),
        );
    } else if let Some(at) = parameter(text).or_else(|| text.ends_with('$').then_some(text.len() - 1)) {
        let prefix = literal(text, at);
        section.reader.warn(
            path.at,
            format!(
                "{text:?} is taken to the letter, with its : or $; write the beginning of the paths it is for: {prefix:?}"
            ),
        );
    }
}

/// Where a segment begins that is written as a parameter, such as `:id`.
fn parameter(path: &str) -> Option<usize> {
    path.match_indices("/:")
        .map(|(slash, _)| slash + 1)
        .find(|at| !matches!(path.as_bytes().get(at + 1), None | Some(b'/')))
}

/// What stands before a pattern, to the byte: a prefix shorter by a segment would be for paths that nobody named.
fn literal(path: &str, pattern: usize) -> &str {
    let before = &path[..pattern];
    // A group or class that the pattern is in, and the dot of `.*`.
    let before = before.find(['(', '[']).map_or(before, |at| &before[..at]);
    let before = if path[pattern..].starts_with('*') { before.strip_suffix('.').unwrap_or(before) } else { before };
    if before.is_empty() { "/" } else { before }
}

fn path(section: &Section<'_>) -> String {
    let Some(path) = section.text("path") else {
        if !section.has("path") {
            section.problem("path", format!("{} has no path; add path = \"/\"", section.name));
        }
        return "/".into();
    };
    let text = path.value;
    let is_plain = text.starts_with('/')
        && !text.contains("//")
        && !text.contains(['%', '?', '#', ';', '\\'])
        && !text.chars().any(char::is_control)
        && !text.split('/').any(|segment| segment == "." || segment == "..");
    if !is_plain {
        section.reader.report(
            path.at,
            format!("{text:?} is no path; write it decoded, from \"/\", without query, \"//\" or dots"),
        );
    } else if is_own(text) {
        section.reader.report(path.at, "/_auth is Vestibule's own and never proxied; remove the route");
    } else {
        check_pattern(section, path);
    }
    text.to_owned()
}

fn methods(section: &Section<'_>) -> Option<Vec<Method>> {
    let mut methods = Vec::new();
    let given = section.texts("methods")?;
    if given.is_empty() {
        section.problem("methods", "an empty list of methods lets nothing through; remove it, or name a method");
    }
    for text in given {
        match Method::from_bytes(text.value.as_bytes()) {
            Ok(method) if is_served(text.value) => methods.push(method),
            _ => section.reader.report(text.at, format!("{:?} is no method; write \"GET\"", text.value)),
        }
    }
    Some(methods)
}

fn param(section: &Section<'_>, key: &'static str) -> Option<String> {
    let name = section.text(key)?;
    if name.value.is_empty() {
        section.problem(key, format!("{}.{key} is empty; remove it, or name the parameter", section.name));
    }
    Some(name.value.to_owned())
}

fn upstream(section: &Section<'_>, policy: &Policy, upstreams: &[String]) -> Option<UpstreamId> {
    let name = section.text("upstream");
    match name {
        Some(name) => {
            let found = upstreams.iter().position(|upstream| upstream == name.value);
            if found.is_none() {
                let remedy = if upstreams.is_empty() {
                    format!("; add [upstreams.{}] servers = [\"127.0.0.1:3000\"]", name.value.escape_debug())
                } else {
                    instead(name.value, upstreams.iter().map(String::as_str))
                };
                section.reader.report(name.at, format!("there is no upstream {:?}{remedy}", name.value));
            }
            found.map(UpstreamId)
        }
        None => {
            if *policy != Policy::Deny && !section.has("upstream") {
                section.problem("upstream", format!("{} has no upstream; add upstream = \"…\"", section.name));
            }
            None
        }
    }
}

/// Reads `[exchange]`. A productlane tenant brings the path its widgets open, unless other paths are named.
pub fn exchange(root: &Section<'_>, tenants: &Tenants) -> ExchangeNames {
    let vendors = tenants.iter().filter_map(|tenant| tenant.exchange.vendor_path.map(str::to_owned));
    let mut names = ExchangeNames {
        paths: vendors.take(1).collect(),
        token_params: vec!["token".into(), "jwt".into()],
        return_params: vec!["return_to".into()],
    };
    let Some(section) = root.section("exchange") else {
        return names;
    };
    let list = |key: &'static str, names: &mut Vec<String>| {
        if let Some(given) = section.texts(key) {
            *names = given.iter().map(|name| name.value.to_owned()).collect();
        }
    };
    list("token_params", &mut names.token_params);
    list("return_params", &mut names.return_params);
    if names.token_params.is_empty() {
        section.problem("token_params", "exchange.token_params is empty; name a parameter, or remove it");
    }
    if let Some(both) = names.token_params.iter().find(|name| names.return_params.contains(name)) {
        section.problem("return_params", format!("{both:?} is a token and a return parameter; rename one"));
    }
    if let Some(paths) = section.texts("paths") {
        names.paths = paths.iter().map(|path| path.value.to_owned()).collect();
        let is_wrong = |path: &str| {
            path == "/" || !path.starts_with('/') || path.contains(['?', '#', '%', ';', '*']) || is_own(path)
        };
        for path in paths.iter().filter(|path| is_wrong(path.value)) {
            let what = format!("{:?} is no path of its own; write \"/api/portal/sso\"", path.value);
            section.reader.report(path.at, what);
        }
    }
    names
}
