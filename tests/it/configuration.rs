//! The configuration: all problems at once, each with its place and its remedy.

use std::path::Path;

use vestibule::{config::Config, ledger::StoreSettings};

use crate::support::{Certificate, Secrets};

/// The problems of a text, as `LINE:COLUMN: text`.
pub fn problems(text: &str) -> Vec<String> {
    match Config::parse(Path::new("proxy.toml"), text, &Secrets::find) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string().replace("proxy.toml:", "")).collect(),
    }
}

/// The warnings of a text without errors, as `LINE:COLUMN: text`.
pub fn warnings(text: &str) -> Vec<String> {
    let config = Config::parse(Path::new("proxy.toml"), text, &Secrets::find)
        .unwrap_or_else(|problems| panic!("{text} should be valid: {problems:#?}"));
    config.warnings.iter().map(|warning| warning.to_string().replace("warning: proxy.toml:", "")).collect()
}

pub const GOOD: &str = r#"[listen]
address = "127.0.0.1:8080"
[session]
keys = [{ id = "s1", env = "SESSION" }]
[ledger]
memory = true
[tenants.acme]
dialect = "gateway"
keys = [{ id = "k1", env = "ACME" }]
[upstreams.app]
servers = ["127.0.0.1:3000"]
[[routes]]
path = "/"
upstream = "app"
"#;

#[test]
fn a_good_configuration_has_no_problem() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
}

#[test]
fn every_problem_is_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("address =", "adress =")
        .replace("gateway", "gatway")
        .replace("env = \"ACME\"", "env = \"NOPE\"")
        .replace("upstream = \"app\"", "upstream = \"ap\"\nrole = [\"x\"]");
    let told = problems(&text);
    assert_eq!(
        told,
        [
            r#"2:1: listen.adress is no key; did you mean "address"?"#,
            r#"8:11: tenants.acme.dialect is not "gatway"; did you mean "gateway"?"#,
            r#"9:28: environment variable NOPE is not set; export it, or write { env = "NAME" } or { file = "path" }"#,
            r#"14:12: there is no upstream "ap"; did you mean "app"?"#,
            r#"15:1: routes[0].role is no key; did you mean "roles"?"#,
        ]
    );
}

/// What is replaced in [`GOOD`], by what, and what is said of it.
#[test]
fn each_mistake_is_named() {
    let table = [
        ("[listen]", "[listn]", "listn is no key; did you mean \"listen\"?"),
        ("\"127.0.0.1:8080\"", "8080", "listen.address is not an address; write \"0.0.0.0:8080\""),
        ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\"\nidle_timeout = 60", "is not a duration; write"),
        ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\"\nmax_header_bytes = \"32KB\"", "is not a size; write \"32KiB\""),
        ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\"\nthreads = -1", "is not a whole number of at least 0"),
        ("\"127.0.0.1:8080\"", "\"127.0.0.1:8080\"\ntrusted_proxies = [\"lan\"]", "\"lan\" is no network"),
        (
            "\"127.0.0.1:8080\"",
            "\"127.0.0.1:8080\"\nadmin = \"0.0.0.0:9901\"",
            "add admin_token = { env = \"VESTIBULE_ADMIN_TOKEN\" }",
        ),
        ("env = \"SESSION\"", "env = \"SHORT\"", "has 31 bytes, fewer than 32; make one with `vestibule secret`"),
        ("env = \"ACME\"", "env = \"SHORT\"", "has 31 bytes, fewer than 32"),
        ("env = \"ACME\"", "env = \"SPACES\"", "is no secret, it repeats itself; make one with `vestibule secret`"),
        ("env = \"ACME\"", "file = \"no-such-file\"", "no-such-file cannot be read"),
        (
            "env = \"ACME\"",
            "secret = \"inline\"",
            "tenants.acme.keys[0].secret is a secret in this file, where none may be; write { env = \"NAME\" }",
        ),
        (
            "env = \"ACME\"",
            "env = \"$ACME\"",
            "environment variable $ACME is not set; write the name alone: env = \"ACME\"",
        ),
        (
            "env = \"ACME\"",
            "env = \"ACME\", algorithm = \"HS256\", public_key_file = \"x\"",
            "HS256 has a secret and no public",
        ),
        ("env = \"ACME\"", "env = \"ACME\", public_keyfile = \"x\"", "did you mean \"public_key_file\"?"),
        ("env = \"ACME\"", "env = \"ACME\", file = \"x\"", "needs one source"),
        ("env = \"ACME\"", "env = \"ACME\", format = \"hex\"", "does not hold the format it is said to have"),
        ("env = \"ACME\"", "env = \"ACME\", algorithm = \"none\"", "algorithm is not \"none\""),
        ("env = \"ACME\"", "env = \"ACME\", algorithm = \"ES256\"", "has no public key; add public_key_file"),
        ("env = \"ACME\"", "public_key_file = \"x.pem\"", "a public key needs its algorithm"),
        (
            "env = \"ACME\"",
            "jwks_file = \"x.json\"",
            "jwks_file is not yet supported; name each key's PEM by public_key_file",
        ),
        ("env = \"ACME\"", "env = \"ACME\", not_after = \"2026-12-01\"", "is not a date; write 2026-12-01T00:00:00Z"),
        ("{ id = \"k1\", env = \"ACME\" }", "", "tenants.acme has no keys"),
        ("{ id = \"k1\", env = \"ACME\" }", "{ env = \"ACME\" }", "has no id; name the key"),
        (
            "{ id = \"k1\", env = \"ACME\" }",
            "{ id = \"k\", env = \"ACME\" }, { id = \"k\", env = \"OLD_ACME\" }",
            "is there twice",
        ),
        ("env = \"ACME\"", "env = \"SESSION\"", "tenants.acme has the same secret as session"),
        (
            "[tenants.acme]",
            "[tenants.b]\ndialect = \"gateway\"\nkeys = [{ id = \"k\", env = \"ACME\" }]\n[tenants.acme]",
            "has the same secret as tenants.",
        ),
        (
            "[tenants.acme]",
            "[tenants.b]\ndialect = \"gateway\"\nkeys = [{ id = \"k\", env = \"FILLED_ACME\" }]\n[tenants.acme]",
            "has the same secret as tenants.",
        ),
        (
            "[tenants.acme]",
            "[tenants.b]\ndialect = \"gateway\"\nkeys = [{ id = \"k\", env = \"LONG\" }]\n[tenants.c]\ndialect = \"gateway\"\n\
             keys = [{ id = \"k\", env = \"HASHED_LONG\", format = \"hex\" }]\n[tenants.acme]",
            "has the same secret as tenants.",
        ),
        ("[tenants.acme]", "[tenants.\"a b\"]", "tenant \"a b\" is no id"),
        ("dialect = \"gateway\"", "", "tenants.acme has no dialect"),
        ("dialect = \"gateway\"", "dialect = \"custom\"", "does not say which claim is the user"),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\nleeway = \"61s\"",
            "tenants.acme.leeway is too long; write at most \"1m\"",
        ),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\nhosts = [\"https://x\"]",
            "is no host; write it without scheme",
        ),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\norigins = [\"https://x.test/\"]",
            "did you mean \"https://x.test\"?",
        ),
        ("dialect = \"gateway\"", "dialect = \"gateway\"\nlogin_url = \"/login\"", "is not an absolute URL"),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\non_excess_role = \"drop\"",
            "says nothing without allow_roles",
        ),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\nclaims = { usr = \"x\" }",
            "claims.usr is no key; did you mean \"user\"?",
        ),
        ("[session]", "[session]\ninsecure_cookie = true", "add cookie = \"vestibule\""),
        (
            "[session]",
            "[session]\ninsecure_cookie = true\ncookie = \"__Host-x\"",
            "browsers drop a __Host- or __Secure- cookie",
        ),
        ("[session]", "[session]\ncookie = \"a b\"", "is not a cookie name"),
        ("keys = [{ id = \"s1\", env = \"SESSION\" }]", "", "session.keys is missing"),
        ("memory = true", "memory = true\npath = \"v.redb\"", "a ledger is in one place; keep one of"),
        ("memory = true", "path = \"\"", "ledger.path names no file"),
        ("memory = true", "path = true", "ledger.path is not a string"),
        ("memory = true", "memory = true\nredis = { url = \"redis://x\" }", "a ledger is in one place"),
        ("memory = true", "memory = true\nmax_staleness = \"5s\"", "says nothing without ledger.redis"),
        ("memory = true", "redis = { urls = \"redis://x\" }", "ledger.redis has no url; write \"redis://host:6379/0\""),
        ("memory = true", "redis = { url = \"redis://u:p@x\" }", "secrets are never inline, so take them out"),
        ("memory = true", "redis = { url = \"redis:x\" }", "ledger.redis.url is no address of Redis; write"),
        ("memory = true", "redis = { url = \"redis://x\", user = \"v\" }", "ledger.redis.user has no password; add"),
        ("memory = true", "redis = { url = \"redis://x\", password = \"p\" }", "ledger.redis.password is not a table"),
        (
            "memory = true",
            "redis = { url = \"redis://x\", password = { env = \"NOPE\" } }",
            "environment variable NOPE is not set",
        ),
        ("memory = true", "redis = { url = \"rediss://x\", ca_file = \"no-such\" }", "no-such cannot be read"),
        ("memory = true", "redis = { url = \"redis://x\", prefix = \"{a}\" }", "prefix is not 1 to 64 letters"),
        ("[\"127.0.0.1:3000\"]", "[]", "upstreams.app has no server"),
        ("\"127.0.0.1:3000\"", "\"http://x:1\"", "is no server"),
        ("[\"127.0.0.1:3000\"]", "[\"127.0.0.1:3000\"]\ntls = true", "upstreams.app.tls is not yet supported"),
        ("[\"127.0.0.1:3000\"]", "[\"127.0.0.1:3000\"]\nhealth = {}", "health is not yet supported"),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"a b\"]",
            "\"a b\" is not a cookie name; write it as the app sets it: \"sessionid\"",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"user-*-id\"]",
            "\"user-*-id\" has a * where none may be; one may stand at the end alone: \"jupyterhub-user-*\"",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"*\"]",
            "\"*\" is not a cookie name; write session_cookies = \"all\" for every cookie that the app sets",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"a**\"]",
            "\"a**\" has a * where none may be; one may stand at the end alone",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = \"sessionid\"",
            "session_cookies is not a list",
        ),
        ("path = \"/\"", "path = \"tickets\"", "is no path"),
        ("path = \"/\"", "path = \"/a/../b\"", "is no path"),
        ("path = \"/\"", "path = \"/_auth/x\"", "/_auth is Vestibule's own"),
        ("path = \"/\"", "", "has no path"),
        ("path = \"/\"", "path = \"/\"\nmethods = [\"get\"]", "is no method; write \"GET\""),
        ("path = \"/\"", "path = \"/\"\ntenant = \"acm\"", "there is no tenant \"acm\"; did you mean \"acme\"?"),
        ("path = \"/\"", "path = \"/\"\nauth = \"open\"", "auth is not \"open\""),
        ("path = \"/\"", "path = \"/\"\nauth = \"public\"\nroles = [\"a\"]", "roles need auth = \"required\""),
        ("path = \"/\"", "path = \"/\"\nroles = []", "an empty list of roles says nothing"),
        ("upstream = \"app\"", "upstream = \"app\"\n[[routes]]\npath = \"/\"\nupstream = \"app\"", "is there already"),
        ("upstream = \"app\"", "", "has no upstream"),
        ("[[routes]]", "[identity]\nassertion = {}\n[[routes]]", "identity.assertion is not yet supported"),
        ("[[routes]]", "[identity]\nheaders = { user = \"Cookie\" }\n[[routes]]", "has a meaning of its own"),
        (
            "[[routes]]",
            "[identity]\nheaders = { user = \"X-A\", roles = \"x_a\" }\n[[routes]]",
            "two identity headers have the same name",
        ),
        ("[[routes]]", "[identity]\nencoding = \"rot13\"\n[[routes]]", "encoding is not \"rot13\""),
        ("[[routes]]", "[limits]\nfailures = { count = 3 }\n[[routes]]", "limits.failures needs both"),
        ("[[routes]]", "[log]\notlp = \"http://x\"\n[[routes]]", "log.otlp is not yet supported"),
        ("[[routes]]", "[exchange]\npaths = [\"/\"]\n[[routes]]", "\"/\" is no path of its own"),
        ("[[routes]]", "[exchange]\npaths = [\"/_auth/x\"]\n[[routes]]", "\"/_auth/x\" is no path of its own"),
        ("[session]", "[session]\nidle = \"0s\"", "session.idle is too short"),
        ("[session]", "[session]\nlifetime = \"0s\"", "session.lifetime is too short"),
        ("path = \"/\"", "path = \"/\"\nmethods = []", "an empty list of methods"),
        ("path = \"/\"", "path = \"/\"\nbearer_param = \"t\"\nhandoff_param = \"t\"", "are the same; rename one"),
        ("dialect = \"gateway\"", "dialect = \"gateway\"\nclaims = { user = \"a..b\" }", "names no claim"),
        ("[[routes]]", "[exchange]\npaths = [\"sso\"]\n[[routes]]", "is no path of its own; write \"/api/portal/sso\""),
        ("address = \"127.0.0.1:8080\"", "address = ", "the file is not TOML here"),
        ("address = \"127.0.0.1:8080\"", "tls = { cert = \"c\", key = \"k\" }", "c cannot be read"),
        ("address = \"127.0.0.1:8080\"", "tls = { cert = \"c\" }", "listen.tls has no key"),
        ("address = \"127.0.0.1:8080\"", "tls = true", "listen.tls is not a table"),
        (
            "address = \"127.0.0.1:8080\"",
            "tls = { cert = \"Cargo.toml\", key = \"Cargo.toml\" }",
            "is no PEM certificate",
        ),
        (
            "address = \"127.0.0.1:8080\"",
            "tls = { cert = \"Cargo.toml\", key = \"Cargo.toml\" }",
            "is no PEM private key",
        ),
        ("address = \"127.0.0.1:8080\"", "max_connections = 0", "a whole number of at least 1"),
        ("address = \"127.0.0.1:8080\"", "header_timeout = \"0s\"", "listen.header_timeout is too short"),
        ("[listen]", "[listen]\nadmin = \"127.0.0.1:8080\"", "listen.admin 127.0.0.1:8080 is where listen.address"),
        (
            "address = \"127.0.0.1:8080\"",
            "address = \"0.0.0.0:80\"\nadmin = \"127.0.0.1:80\"",
            "give it a port of its own",
        ),
        (
            "address = \"127.0.0.1:8080\"",
            "address = \"[::]:80\"\nadmin = \"127.0.0.1:80\"",
            "give it a port of its own",
        ),
        (
            "[listen]",
            "[listen]\nadmin_token = \"hunter2\"",
            "listen.admin_token is not a table, and no secret may stand",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "\"127.0.0.1:3000\"",
            "upstreams.app.servers is not a list; write [\"127.0.0.1:3000\"]",
        ),
        (
            "\"127.0.0.1:3000\"",
            "\"localhost:8080\"",
            "\"localhost:8080\" is listen.address, so Vestibule would ask itself",
        ),
        ("\"127.0.0.1:3000\"", "\"app:0\"", "nothing listens on port 0"),
        ("\"127.0.0.1:3000\"", "\"https://app\"", "TLS to an app is not yet supported"),
        ("[upstreams.app]", "[upstream.app]", "there is no upstream \"app\"; add [upstreams.app] servers ="),
        ("[upstreams.app]", "[upstream.app]", "upstream is no key; did you mean \"upstreams\"?"),
        ("[tenants.acme]", "[tenant.acme]", "tenant is no key; did you mean \"tenants\"?"),
        ("[[routes]]", "[routes]", "routes is not a list of tables; write [[routes]] for [routes]"),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nhost = \"https://x\"",
            "write \"preserve\" or the Host to send: write it without scheme and path: \"x\"",
        ),
        (
            "path = \"/\"",
            "path = \"/static/*\"",
            "\"/static/*\" is no pattern: a path is for all that begins with it; write \"/static/\"",
        ),
        ("path = \"/\"", "path = \"/*\"", "write \"/\""),
        ("path = \"/\"", "path = \"/static*\"\nauth = \"public\"", "begins with it; write \"/static\""),
        ("path = \"/\"", "path = \"/static.*\"", "write \"/static\""),
        ("path = \"/\"", "path = \"/static/.*\"", "write \"/static/\""),
        ("path = \"/\"", "path = \"/img/(png|jpg)\"", "write \"/img/\""),
        ("path = \"/\"", "path = \"/a/{id}/b\"", "write \"/a/\""),
        ("path = \"/\"", "path = \"/static/**/x\"", "write \"/static/\""),
        ("path = \"/\"", "path = \"^/static\"", "is no path"),
        ("path = \"/\"", "path = \"/(css|js)\"", "is no pattern"),
        ("[[routes]]", "[exchange]\npaths = [\"/sso/*\"]\n[[routes]]", "is no path of its own"),
        (
            "path = \"/\"",
            "path = \"/\"\nhost = \"*\"",
            "\"*\" is no host; remove it: a route without a host is for any",
        ),
        ("path = \"/\"", "path = \"/\"\nhost = \"*.acme.example:80\"", "write it without port: \"*.acme.example\""),
        (
            "path = \"/\"",
            "path = \"/\"\nhost = \"s.acme.example.\"",
            "write it without the dot at its end: \"s.acme.example\"",
        ),
        ("dialect = \"gateway\"", "dialect = \"gateway\"\nhosts = [\"bücher.example\"]", "\"xn--bcher-kva.example\""),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\nhosts = [\"*.acme.example\"]",
            "name each host; only a route's host",
        ),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\nhosts = \"a.example\"",
            "is not a list; write [\"a.example\"]",
        ),
        (
            "[session]",
            "[session]\ncookie = \"__Host-vestibule-app\"",
            "is the cookie that notes whose the app's cookies are",
        ),
        (
            "[session]",
            "[session]\ninsecure_cookie = true\ncookie = \"vestibule-app\"",
            "is the cookie that notes whose the app's cookies are; choose another",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"__Host-vestibule\"]",
            "is a cookie of Vestibule's own",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"vestibule-app\"]",
            "is a cookie of Vestibule's own",
        ),
        ("[\"127.0.0.1:3000\"]", "[\"127.0.0.1:3000\"]\nsession_cookies = [\"a*b\"]", "has a * where none may be"),
        ("[\"127.0.0.1:3000\"]", "[\"127.0.0.1:3000\"]\nsession_cookies = [\"*b*\"]", "has a * where none may be"),
        ("[\"127.0.0.1:3000\"]", "[\"127.0.0.1:3000\"]\nsession_cookies = \"ALL\"", "write session_cookies = \"all\""),
        ("\"127.0.0.1:3000\"", "\"::1:3000\"", "stands in brackets; write \"[::1]:3000\""),
        ("\"127.0.0.1:3000\"", "\"127.1:3000\"", "write its four decimal numbers: \"127.0.0.1:3000\""),
        ("\"127.0.0.1:8080\"", "\"localhost:8080\"", "listen.address is not an address; write \"127.0.0.1:8080\""),
        ("\"127.0.0.1:8080\"", "\"127.0.0.1\"", "it has no port; write \"127.0.0.1:8080\""),
        ("\"127.0.0.1:8080\"", "\"127.0.0.1:80800\"", "ports go to 65535; write \"127.0.0.1:8080\""),
        ("\"127.0.0.1:8080\"", "\":8080\"", "listen.address is not an address; write \"0.0.0.0:8080\""),
        ("[listen]", "[listen]\nadmin = 9000", "listen.admin is not an address; write \"127.0.0.1:9000\""),
        ("[listen]", "[listen]\nadmin_hosts = [\"a\"]", "listen.admin_hosts says nothing without listen.admin; add"),
        (
            "[listen]",
            "[listen]\nadmin_token = { env = \"ADMIN\" }",
            "listen.admin_token says nothing without listen.admin",
        ),
        ("[session]", "[server]\n[session]", "server is no key; write [listen]"),
        ("[session]", "[http]\n[session]", "http is no key; write [listen]"),
        ("[listen]", "port = 80\n[listen]", "port is no key; write [listen]"),
        ("[session]", "[backends.app]\n[session]", "backends is no key; write [upstreams.NAME]"),
        ("[session]", "[proxy]\n[session]", "proxy is no key; write [upstreams.NAME]"),
        ("upstream = \"app\"", "upstream = \"app\"\n[routes] # more\npath = \"/x\"", "write [[routes]] for [routes]"),
        ("[[routes]]", "[routes]\npath = \"/x\"\n[[routes]]", "write [[routes]] for [routes]"),
        ("env = \"ACME\"", "secret_file = \"x\"", "keys[0].secret_file is no key; write file for it"),
        ("env = \"ACME\"", "path = \"x\"", "keys[0].path is no key; write file for it"),
        ("env = \"ACME\"", "algorithm = \"RS256\", public_key = \"x\"", "name the PEM file, as public_key_file ="),
        ("env = \"ACME\"", "public_key = \"x\"", "name the PEM file, as public_key_file ="),
        ("env = \"ACME\"", "env = \"\"", "\"\" is not the name of an environment variable; write env"),
        ("env = \"ACME\"", "env = \"A=B\"", "\"A=B\" is not the name of an environment variable; write env"),
        (
            "env = \"ACME\"",
            "env = \"ACME\", not_after = 9999-12-31T23:59:59Z",
            "is not a date that can be counted; write at most 9999-12-30T00:00:00Z",
        ),
    ];
    for (from, to, said) in table {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let told = problems(&text);
        assert!(told.iter().any(|problem| problem.contains(said)), "{to:?} should say {said:?}, said {told:#?}");
        assert!(told.iter().all(|problem| problem.contains(';')), "each with its remedy: {told:#?}");
    }
}

/// Of each duration, size and number a value below and one above its bounds, with the bound that is named.
#[test]
fn what_is_counted_has_bounds_that_are_named() {
    let (year, eternity) = ("365d", "18446744073709551615s");
    let beyond_numbers = "99999999999999999999d";
    let at = |section: &str, key: &str, value: &str| {
        let line = format!("{section}\n{key} = {value}");
        if GOOD.contains(section) { GOOD.replacen(section, &line, 1) } else { format!("{GOOD}{line}\n") }
    };
    let quoted = |value: &str| format!("{value:?}");
    let redis = "[ledger]\nredis = { url = \"redis://r\" }\n#";
    let with_redis = GOOD.replace("[ledger]\nmemory = true", redis);
    for (section, key, most) in [
        ("[listen]", "header_timeout", "1d"),
        ("[listen]", "idle_timeout", "1d"),
        ("[listen]", "shutdown_grace", "1d"),
        ("[upstreams.app]", "connect_timeout", "1d"),
        ("[upstreams.app]", "response_timeout", "1d"),
        ("[[routes]]", "response_timeout", "1d"),
        ("[session]", "lifetime", "400d"),
        ("[session]", "idle", "400d"),
        ("[tenants.acme]", "session_lifetime", "400d"),
        ("[tenants.acme]", "max_token_lifetime", "400d"),
        ("[tenants.acme]", "leeway", "1m"),
    ] {
        for value in [eternity, beyond_numbers, "401d", "213503982334601d"] {
            let told = problems(&at(section, key, &quoted(value)));
            let said = format!("{key} is too long; write at most {most:?}");
            assert!(told.len() == 1 && told[0].contains(&said), "{key} {value}: {told:#?}");
        }
        if most == "400d" {
            assert_eq!(problems(&at(section, key, &quoted(year))), [""; 0], "{key}");
        }
        assert_eq!(problems(&at(section, key, &quoted(most))), [""; 0], "{key}");
    }
    let staleness = with_redis.replace("#", &format!("max_staleness = {eternity:?}"));
    assert!(problems(&staleness)[0].contains("ledger.max_staleness is too long; write at most \"1d\""));
    let limits = |count: &str, per: &str| {
        problems(&format!("{GOOD}[limits]\nfailures = {{ count = {count}, per = {per:?} }}\n"))
    };
    assert_eq!(limits("30", "1d"), [""; 0]);
    assert!(limits("30", eternity)[0].contains("limits.failures.per is too long; write at most \"1d\""));
    assert!(limits("4294967296", "1m")[0].contains("at least 1 and at most 1000000"));
    for (section, key, most, beyond) in [
        ("[listen]", "threads", "1024", "1025"),
        ("[listen]", "max_connections", "1000000", "1_000_001"),
        ("[ledger]", "max_entries", "100000000", "0xffff_ffff_ffff_ffff"),
    ] {
        assert_eq!(problems(&at(section, key, most)), [""; 0], "{key}");
        for value in [beyond, "18446744073709551616", "-1"] {
            let told = problems(&at(section, key, value));
            assert!(told.len() == 1 && told[0].contains(&format!("at most {most}")), "{key} {value}: {told:#?}");
        }
    }
    for (section, key, most, beyond) in [
        ("[listen]", "max_header_bytes", "1MiB", "1025KiB"),
        ("[[routes]]", "max_body", "1024GiB", "17179869183GiB"),
        ("[[routes]]", "max_body", "1024GiB", "99999999999999999999GiB"),
    ] {
        assert_eq!(problems(&at(section, key, &quoted(most))), [""; 0], "{key}");
        let told = problems(&at(section, key, &quoted(beyond)));
        assert!(
            told.len() == 1 && told[0].contains(&format!("{key} is too large; write at most {most:?}")),
            "{told:#?}"
        );
    }
    assert!(
        problems(&at("[listen]", "max_header_bytes", "\"1B\""))[0].contains("is too small; write at least \"1KiB\"")
    );
}

#[test]
fn one_mistake_is_told_once() {
    for (from, to) in [
        ("[\"127.0.0.1:3000\"]", "\"127.0.0.1:3000\""),
        ("keys = [{ id = \"k1\", env = \"ACME\" }]", "keys = { id = \"k1\", env = \"ACME\" }"),
        ("env = \"ACME\"", "secret = \"inline\""),
        ("env = \"ACME\"", "secret_file = \"x\""),
        ("env = \"ACME\"", "path = \"x\", format = \"hex\""),
        ("env = \"ACME\"", "public_key = \"x\""),
        ("env = \"ACME\"", "algorithm = \"ES256\", public_key = \"x\""),
        ("env = \"ACME\"", "env = \"A=B\""),
        ("[[routes]]", "[routes]"),
        ("[[routes]]", "[routes]\n[[routes]]"),
        ("upstream = \"app\"", "upstream = \"app\"\n[routes]"),
        ("[listen]", "[listen]\nadmin_hosts = [\"a\"]"),
        ("\"127.0.0.1:8080\"", "8080"),
    ] {
        let told = problems(&GOOD.replacen(from, to, 1));
        assert_eq!(told.len(), 1, "{to}: {told:#?}");
    }
}

#[test]
fn an_absolute_name_is_a_server() {
    let text = GOOD.replace("127.0.0.1:3000", "app.tools.svc.cluster.local.:3000");
    let config = Config::parse(Path::new("proxy.toml"), &text, &Secrets::find).expect("valid");
    assert_eq!(config.upstreams[0].servers[0].to_string(), "app.tools.svc.cluster.local.:3000");
}

#[test]
fn the_ledger_is_a_file_beside_the_configuration_unless_told_otherwise() {
    let store = |setting: &str| {
        let text = GOOD.replace("[ledger]\nmemory = true\n", setting);
        let config = Config::parse(Path::new("/etc/v/proxy.toml"), &text, &Secrets::find);
        config.unwrap_or_else(|problems| panic!("{problems:?}")).ledger.store
    };
    let path = |path: &str| StoreSettings::Path(path.into());
    assert_eq!(store(""), path("/etc/v/vestibule.redb"));
    assert_eq!(store("[ledger]\n"), path("/etc/v/vestibule.redb"));
    assert_eq!(store("[ledger]\nmemory = false\n"), path("/etc/v/vestibule.redb"));
    assert_eq!(store("[ledger]\npath = \"l.redb\"\n"), path("/etc/v/l.redb"));
    assert_eq!(store("[ledger]\npath = \"/var/lib/l.redb\"\n"), path("/var/lib/l.redb"));
    assert_eq!(store("[ledger]\nmemory = true\n"), StoreSettings::Memory);
}

#[test]
fn a_certificate_needs_its_own_key() {
    let (one, other) = (Certificate::new(), Certificate::new());
    let with = |setting: String| GOOD.replacen("[listen]\n", &format!("[listen]\n{setting}"), 1);
    assert_eq!(problems(&with(one.setting())), [""; 0]);
    let key = other.setting().split("key = ").nth(1).unwrap().to_owned();
    let mixed = format!("{}key = {key}", one.setting().split("key = ").next().unwrap());
    let told = problems(&with(mixed));
    assert!(told.len() == 1 && told[0].contains("name a certificate and its own key"), "{told:?}");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let path = one.setting().split('"').nth(1).unwrap().to_owned();
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + broken).unwrap();
    let told = problems(&with(one.setting()));
    assert!(told.len() == 1 && told[0].contains("certificate 2 in"), "{told:?}");
}

#[test]
fn secrets_come_in_four_formats_and_files_lose_their_line_end() {
    let folder = tempfile::tempdir().unwrap();
    let secret = b"0123456789abcdef0123456789abcdef!?";
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("text", "0123456789abcdef0123456789abcdef!?\n");
    write("hex", &secret.iter().map(|b| format!("{b:02x}")).collect::<String>());
    write("base64", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYhPw==\r\n");
    write("base64url", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYhPw");
    for format in ["text", "hex", "base64", "base64url"] {
        let text = GOOD.replace("env = \"ACME\"", &format!("file = \"{format}\", format = \"{format}\""));
        let config = Config::parse(&folder.path().join("proxy.toml"), &text, &Secrets::find)
            .unwrap_or_else(|problems| panic!("{format}: {problems:?}"));
        let tenant = config.tenants.iter().next().unwrap();
        let vestibule::keyring::Material::Shared(found) = &tenant.tokens.keys.0[0].material else { panic!("shared") };
        assert_eq!(found.expose(), secret, "{format}");
    }
}

#[test]
fn ten_thousand_routes_are_checked_in_one_go() {
    let routes: String = (0..10_000).map(|i| format!("[[routes]]\npath = \"/r/{i}\"\nupstream = \"app\"\n")).collect();
    let config = Config::parse(Path::new("proxy.toml"), &format!("{GOOD}{routes}"), &Secrets::find);
    assert_eq!(config.map(|config| config.routes.len()).unwrap_or_default(), 10_001);
}
