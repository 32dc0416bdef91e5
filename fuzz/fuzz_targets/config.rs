//! A text is a configuration that holds what the rest of the program relies on, or a list of problems with their places.

#![no_main]

use std::{
    collections::{HashMap, HashSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use http::Method;
use libfuzzer_sys::{Corpus, fuzz_target};
use vestibule::{
    config::{Config, Problem},
    keyring::{KeyRing, Material},
    ledger::Ledger,
    route::{Policy, RouteError},
    secret::Secret,
    server,
    stamp::Stamp,
};
use vestibule_fuzz::{folded, secret};

/// Files that a text names are looked for here, where there are none.
const FILE: &str = "/nonexistent/proxy.toml";

fuzz_target!(|data: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(data) else { return Corpus::Reject };
    // A file of the machine that runs this may have no end.
    if text.contains("dev/") || text.contains("proc/") {
        return Corpus::Reject;
    }
    match Config::parse(Path::new(FILE), text, &secret) {
        Ok(config) => check_config(&config),
        Err(problems) => {
            check_problems(&problems, text);
            let again = Config::parse(Path::new(FILE), text, &secret).err();
            assert_eq!(again.as_ref(), Some(&problems), "the same text has the same problems");
        }
    }
    Corpus::Keep
});

fn check_problems(problems: &[Problem], text: &str) {
    assert!(!problems.is_empty(), "refused for nothing");
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in problems {
        assert_eq!(problem.file, FILE);
        assert!((1..=lines.len()).contains(&problem.line), "{problem}");
        let columns = lines[problem.line - 1].chars().count();
        assert!((1..=columns + 1).contains(&problem.column), "{problem}");
        assert!(!problem.text.is_empty() && !problem.text.contains(['\n', '\r', '\u{1b}']), "{:?}", problem.text);
    }
    let mut sorted: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column)).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, problems.iter().map(|problem| (problem.line, problem.column)).collect::<Vec<_>>());
    for secret in vestibule_fuzz::SECRETS.map(|(_, secret)| secret).iter().filter(|secret| !text.contains(**secret)) {
        assert!(!problems.iter().any(|problem| problem.text.contains(secret)), "a secret in a message");
    }
}

fn check_config(config: &Config) {
    check_keys(config);
    check_names(config);
    check_routes(config);
    check_limits(config);
    // What becomes of it: nothing in it may stop a server from starting.
    let gate = server::gate(config, Arc::new(Ledger::in_memory(1)));
    let routes = config.routes.iter().map(AsRef::as_ref);
    let _ = Stamp::new(
        &config.identity,
        &config.listen.forwarded_headers,
        &config.tenants,
        &config.exchange.token_params,
        routes,
    );
    let _ = (config.summary(), gate.tenants.a_host());
}

/// Keys are long enough, no two owners have the same, and each has a name of its own.
fn check_keys(config: &Config) {
    let mut owners: HashMap<Vec<u8>, String> = HashMap::new();
    let mut own = |secret: &Secret, owner: &str| {
        assert!(secret.expose().len() >= 32, "{owner} has a short key");
        let first = owners.entry(secret.expose().to_vec()).or_insert_with(|| owner.to_owned());
        assert_eq!(first, owner, "one secret, two owners");
    };
    config.session_keys.iter().for_each(|secret| own(secret, "the session"));
    assert!(config.tenants.count() == 0 || !config.session_keys.is_empty(), "sessions that nothing seals");
    for tenant in config.tenants.iter() {
        let keys = &tenant.tokens.keys.0;
        assert!((1..=KeyRing::MOST).contains(&keys.len()), "{} keys", keys.len());
        let ids: HashSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        assert!(ids.len() == keys.len() && !ids.contains(""), "{ids:?}");
        for key in keys {
            match &key.material {
                Material::Shared(secret) => own(secret, tenant.id.as_str()),
                Material::Public(..) => panic!("there is no file to read a public key from"),
            }
            assert!(key.not_before.is_none_or(|from| key.not_after.is_none_or(|end| from < end)));
        }
    }
}

/// Ids, cookies and headers are what they may be, and no two are one.
fn check_names(config: &Config) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    for tenant in config.tenants.iter() {
        let id = tenant.id.as_str();
        assert!((1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        let cookie = &tenant.sessions.cookie.name;
        assert!(!cookie.is_empty() && cookie.bytes().all(is_token), "{cookie:?}");
        assert!(!tenant.tokens.claims.user.is_empty(), "whoever it is");
        assert!(tenant.tokens.leeway <= Duration::from_secs(60));
        assert!(tenant.tokens.max_lifetime >= Duration::from_secs(1));
        assert!(tenant.sessions.lifetime.absolute >= Duration::from_secs(1));
        for origin in tenant.origins.iter() {
            let url = url::Url::parse(origin).expect("an origin is a URL");
            assert_eq!(url.origin().ascii_serialization(), *origin);
            assert!(url.has_host(), "{origin}");
        }
    }
    let mut folds = HashSet::new();
    for name in config.identity.all() {
        let fold = folded(name);
        assert!(name.iter().all(|b| is_token(*b)) && !fold.is_empty(), "{name:?}");
        assert!(!["host", "cookie", "authorization", "contentlength", "connection"].contains(&&*fold), "{name:?}");
        assert!(folds.insert(fold), "{name:?} twice");
    }
    assert!(!config.exchange.token_params.is_empty());
    assert!(!config.exchange.token_params.iter().any(|name| config.exchange.return_params.contains(name)));
}

/// Absence is no permission: what is not denied has an upstream, what asks for someone has a tenant, and each route is found.
fn check_routes(config: &Config) {
    assert!(!config.routes.is_empty());
    let table = config.route_table();
    for (at, route) in config.routes.iter().enumerate() {
        let path = &route.pattern.path;
        assert!(path.starts_with('/') && !vestibule::head::is_own(path), "{path}");
        match (&route.policy, route.upstream) {
            (Policy::Deny, _) => {}
            (_, Some(id)) => assert!(id.0 < config.upstreams.len()),
            (policy, None) => panic!("{path} is {policy} and leads nowhere"),
        }
        if matches!(route.policy, Policy::Optional | Policy::Require(_)) {
            assert!(config.tenants.count() > 0, "{path} asks for somebody, and there is nobody");
        }
        assert!(config.routes[..at].iter().all(|other| !other.pattern.collides(&route.pattern)), "{path} twice");
        let method = route.pattern.methods.as_ref().map_or(Some(&Method::GET), |methods| methods.first());
        let method = method.expect("a route for no method");
        let host = route.pattern.host.as_deref().unwrap_or("any.test");
        let found = table.find(&host.replace("*.", "some."), method, &encoded(path));
        match found {
            // Another that names this very host or method comes first.
            Ok(found) => assert!(found.pattern.path.len() >= path.len() || found.pattern.host != route.pattern.host),
            Err(error) => assert!(matches!(error, RouteError::Method(_)), "{path}: {error}"),
        }
    }
}

fn encoded(path: &str) -> String {
    percent_encoding::utf8_percent_encode(path, percent_encoding::CONTROLS).to_string()
}

fn check_limits(config: &Config) {
    assert!(config.listen.max_header_bytes >= 1 << 10);
    assert!(config.listen.admin.is_none_or(|admin| admin.ip().is_loopback()));
    for upstream in &config.upstreams {
        assert!((1..=vestibule::config::MOST_SERVERS).contains(&upstream.servers.len()), "{}", upstream.name);
        assert!(upstream.connect_timeout >= Duration::from_millis(1));
        assert!(upstream.response_timeout >= Duration::from_millis(1));
        assert!(upstream.host.as_ref().is_none_or(|host| http::HeaderValue::from_str(host).is_ok()));
    }
    assert!(config.failures.is_none_or(|rule| rule.count > 0 && rule.per >= Duration::from_secs(1)));
}
