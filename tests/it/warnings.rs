//! The configuration: what works and is unwise is warned of, and nothing else.

use std::{os::unix::fs::PermissionsExt, path::Path};

use vestibule::config::{Config, Severity};

use crate::{
    configuration::{GOOD, warnings},
    support::Secrets,
};

/// What is replaced in [`GOOD`], by what, and the warning; an empty one where there is none.
fn each_warning(table: &[(&str, &str, &str)]) {
    for (from, to, said) in table {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let told = warnings(&text);
        if said.is_empty() {
            assert_eq!(told, [""; 0], "{to}");
        } else {
            assert!(told.len() == 1 && told[0].contains(said), "{to:?} should warn {said:?}, warned {told:#?}");
            assert!(told[0].contains("; "), "with its remedy: {told:#?}");
        }
    }
}

#[test]
fn proxies_that_are_most_of_the_internet_are_warned_of() {
    let most = "holds most of the internet";
    for (nets, said) in [
        ("", ""),
        (r#""10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fd00::/8", "127.0.0.1", "::1""#, ""),
        (r#""203.0.113.0/24", "2001:db8::/32""#, ""),
        (r#""0.0.0.0/0""#, most),
        (r#""::/0""#, most),
        (r#""0.0.0.0/1", "128.0.0.0/1""#, most),
        (r#""0.0.0.0/2", "64.0.0.0/3", "96.0.0.0/3""#, most),
        (r#""10.0.0.0/8", "2000::/3""#, most),
        (r#""2000::/4", "3000::/4""#, most),
        (r#""::ffff:0.0.0.0/96""#, most),
        (r#""::ffff:0:0/97", "::ffff:128.0.0.0/97""#, most),
        (r#""::ffff:10.0.0.0/104""#, ""),
    ] {
        let setting = format!("[listen]\ntrusted_proxies = [{nets}]");
        each_warning(&[("[listen]", &setting, said)]);
    }
    let text = GOOD.replace("[listen]", "[listen]\ntrusted_proxies = [\"::ffff:10.0.0.0/104\"]");
    let config = Config::parse(Path::new("proxy.toml"), &text, &Secrets::find).expect("valid");
    assert_eq!(config.listen.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn warnings_stand_beside_errors_in_the_order_of_the_file() {
    let text = GOOD.replace("[listen]", "[listen]\ntrusted_proxies = [\"0.0.0.0/0\"]").replace("gateway", "gatway");
    let told: Vec<(Severity, usize)> = match Config::parse(Path::new("proxy.toml"), &text, &Secrets::find) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| (problem.severity, problem.line)).collect(),
    };
    assert_eq!(told, [(Severity::Warning, 2), (Severity::Error, 9)]);
}

/// The warnings about a secret of this content, found in the environment and in a file.
fn about_secret(content: &[u8]) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let (file, secret) = (folder.path().join("proxy.toml"), folder.path().join("acme.key"));
    std::fs::write(&secret, content).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let find = |name: &str| match name {
        "ACME" => Some(String::from_utf8(content.to_vec()).unwrap()),
        name => Secrets::find(name),
    };
    let told = |text: &str| match Config::parse(&file, text, &find) {
        Ok(config) => config.warnings.iter().map(|warning| warning.text.clone()).collect(),
        Err(problems) => vec![format!("error: {}", problems[0])],
    };
    (told(GOOD), told(&GOOD.replace("env = \"ACME\"", "file = \"acme.key\"")))
}

#[test]
fn what_stands_around_a_secret_is_warned_of() {
    let secret = "0123456789abcdef0123456789abcdef";
    let (line_end, space, quotes) = ("ends with a line end", "has white space around it", "has quotes around it");
    let (invisible, assigned) = ("has an invisible character around it", "like a line of an environment file");
    for (content, in_environment, in_file) in [
        (secret.to_owned(), "", ""),
        (format!("{secret}\n"), line_end, ""),
        (format!("{secret}\r\n"), line_end, ""),
        (format!("{secret}\n\n"), line_end, line_end),
        (format!(" {secret}"), space, space),
        (format!("{secret}\t\n"), line_end, space),
        (format!("{secret}\u{a0}"), space, space),
        (format!("\n{secret}"), space, space),
        (format!("\"{secret}\"\n"), line_end, quotes),
        (format!("'{secret}'"), quotes, quotes),
        (format!("\u{feff}{secret}\n"), "byte order mark", "byte order mark"),
        (format!("\u{201c}{secret}\u{201d}"), quotes, quotes),
        (format!("\u{201e}{secret}\u{201c}\n"), line_end, quotes),
        (format!("\u{200b}{secret}"), invisible, invisible),
        (format!("{secret}\u{feff}\n"), line_end, invisible),
        (format!("{secret}\0"), "ends with a NUL byte", "ends with a NUL byte"),
        (format!("ACME_KEY={secret}"), assigned, assigned),
        (format!("export key={secret}\n"), line_end, assigned),
        ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWYhPw==".to_owned(), "", ""),
        (format!("it's {secret}"), "", ""),
        (format!("{secret}\""), "", ""),
    ] {
        let (environment, file) = about_secret(content.as_bytes());
        for (told, said) in [(environment, in_environment), (file, in_file)] {
            let is_right = if said.is_empty() { told.is_empty() } else { told.len() == 1 && told[0].contains(said) };
            assert!(is_right, "{content:?} should warn {said:?}, warned {told:#?}");
            assert!(!told.iter().any(|warning| warning.contains(secret)), "a warning shows no secret");
        }
    }
}

/// The one error of a secret file of this content.
fn refused_secret(content: &[u8], format: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("acme.key"), content).unwrap();
    let text = GOOD.replace("env = \"ACME\"", &format!("file = \"acme.key\", format = {format:?}"));
    let told = Config::parse(&folder.path().join("proxy.toml"), &text, &Secrets::find).err().expect("an error");
    let errors: Vec<_> = told.iter().filter(|problem| problem.severity == Severity::Error).collect();
    assert_eq!(errors.len(), 1, "{told:#?}");
    errors[0].text.clone()
}

#[test]
fn a_secret_that_cannot_be_meant_is_refused_with_the_reason() {
    let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let text = "0123456789abcdef0123456789abcdef\r\n";
    for wide in [
        wide(&format!("\u{feff}{text}"), u16::to_le_bytes),
        wide(&format!("\u{feff}{text}"), u16::to_be_bytes),
        wide(text, u16::to_le_bytes),
        wide(text, u16::to_be_bytes),
    ] {
        assert!(refused_secret(&wide, "text").contains("is UTF-16 text, as PowerShell's > writes it; save it as"));
    }
    let hex = "0123456789abcdef".repeat(4);
    let base64 = "MDEyMzQ1Njc4OWFiY2RlZjAx\nMjM0NTY3ODlhYmNkZWYhPw==";
    for (content, format, said) in [
        (format!("0x{hex}"), "hex", "it begins with 0x: remove that"),
        (format!("{}\n{}", &hex[..32], &hex[32..]), "hex", "it has a line break inside: remove that"),
        (base64.to_owned(), "base64", "it has a line break inside: remove that"),
        (base64.replace('\n', "\r\n"), "base64url", "it has a line break inside: remove that"),
        (format!("\"{hex}\""), "hex", "it has quotes around it: remove that"),
        (format!("KEY={hex}"), "hex", "like a line of an environment file: remove that"),
        (format!("{hex}xy"), "hex", "; check `format`"),
    ] {
        let told = refused_secret(content.as_bytes(), format);
        assert!(told.contains("does not hold the format") && told.contains(said), "{content:?}: {told}");
    }
}

#[test]
fn a_secret_file_that_others_may_read_or_change_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = crate::support::Certificate::new();
    let key = certificate.setting().split('"').nth(3).unwrap().to_owned();
    let write = |name: &str| {
        std::fs::write(folder.path().join(name), format!("0123456789abcdef0123456789abc{name}\n")).unwrap();
    };
    for name in ["s.key", "a.key"] {
        write(name);
    }
    let text = GOOD
        .replace("env = \"SESSION\"", "file = \"s.key\"")
        .replace("env = \"ACME\"", "file = \"a.key\"")
        .replace("[listen]\n", &format!("[listen]\n{}", certificate.setting()));
    for (mode, is_warned) in
        [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true), (0o602, true), (0o711, false)]
    {
        let set = |path: &Path| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        set(&folder.path().join("s.key"));
        set(&folder.path().join("a.key"));
        set(Path::new(&key));
        let config = Config::parse(&folder.path().join("proxy.toml"), &text, &Secrets::find);
        let warnings = config.unwrap_or_else(|problems| panic!("{problems:#?}")).warnings;
        let told: Vec<_> = warnings.iter().map(|warning| warning.text.as_str()).collect();
        assert_eq!(told.len(), if is_warned { 3 } else { 0 }, "{mode:o}: {told:#?}");
        assert!(
            told.iter().all(|text| text.contains(&format!("mode {mode:04o}")) && text.contains("; run chmod 600 "))
        );
    }
}

#[test]
fn one_secret_for_two_purposes_is_warned_of() {
    let token = "admin = \"127.0.0.1:9901\"\nadmin_token";
    let with_token = |name: &str| format!("[listen]\n{token} = {{ env = \"{name}\" }}");
    let redis = |name: &str| format!("redis = {{ url = \"redis://r\", password = {{ env = \"{name}\" }} }}");
    let twice = "{ id = \"k1\", env = \"ACME\" }, { id = \"k2\", env = \"ACME\" }";
    let filled = "{ id = \"k1\", env = \"ACME\" }, { id = \"k2\", env = \"FILLED_ACME\" }";
    each_warning(&[
        ("[listen]", &with_token("OLD_ACME"), ""),
        ("[listen]", &with_token("ACME"), "listen.admin_token has the same secret as tenants.acme, so whoever"),
        ("[listen]", &with_token("SESSION"), "listen.admin_token has the same secret as session, so whoever"),
        ("memory = true", &redis("OLD_ACME"), ""),
        ("memory = true", &redis("SESSION"), "ledger.redis.password has the same secret as session, so whoever"),
        ("{ id = \"k1\", env = \"ACME\" }", twice, "tenants.acme.keys[1] is the same secret as tenants.acme.keys[0]"),
    ]);
    // One is the other with zero bytes behind it: one key to HMAC.
    let told = warnings(&GOOD.replacen("{ id = \"k1\", env = \"ACME\" }", filled, 1));
    assert!(told.iter().any(|one| one.contains("tenants.acme.keys[1] is the same secret as tenants.acme.keys[0]")));
    let both = GOOD.replace("[listen]", &with_token("OLD_ACME")).replace("memory = true", &redis("OLD_ACME"));
    assert!(warnings(&both)[0].contains("ledger.redis.password has the same secret as listen.admin_token"));
}

#[test]
fn pages_and_sessions_over_plain_http_are_warned_of() {
    let plain = "is plain HTTP, so that anyone on the way to it can act as that page; serve it over TLS";
    for (url, said) in [
        ("https://app.acme.example", ""),
        ("http://localhost:3000", ""),
        ("http://app.localhost", ""),
        ("http://127.0.0.1:8080", ""),
        ("http://127.9.9.9", ""),
        ("http://[::1]:8080", ""),
        ("http://app.acme.example", plain),
        ("http://192.168.1.5", plain),
        ("http://localhost.acme.example", plain),
        ("HTTP://app.acme.example", plain),
        ("http://127.0.0.1.nip.io", plain),
    ] {
        for setting in
            [format!("origins = [{url:?}]"), format!("login_url = \"{url}/login\""), format!("logout_url = \"{url}/\"")]
        {
            each_warning(&[("dialect = \"gateway\"", &format!("dialect = \"gateway\"\n{setting}"), said)]);
        }
    }
    let cookie = "[session]\ninsecure_cookie = true\ncookie = \"lab\"";
    for (address, is_warned) in
        [("127.0.0.1", false), ("[::1]", false), ("0.0.0.0", true), ("192.0.2.1", true), ("[::]", true)]
    {
        let text = GOOD.replace("[session]", cookie).replace("127.0.0.1:8080", &format!("{address}:8080"));
        let told = warnings(&text);
        assert_eq!(!told.is_empty(), is_warned, "{address}: {told:#?}");
        assert!(
            told.iter()
                .all(|warning| warning.contains("session.insecure_cookie sends sessions over networks in the clear"))
        );
    }
}

#[test]
fn a_chosen_cookie_that_siblings_can_plant_is_warned_of() {
    let planted = "can be set by pages of sibling hosts";
    for (name, said) in [
        ("__Host-portal", ""),
        ("__Host-{tenant}", ""),
        ("portal", planted),
        ("{tenant}", planted),
        ("__Secure-portal", "write \"__Host-portal\""),
        ("__host-portal", "write \"__Host-portal\""),
    ] {
        each_warning(&[("[session]", &format!("[session]\ncookie = {name:?}"), said)]);
    }
    // Its name is the vendor's choice.
    each_warning(&[("dialect = \"gateway\"", "dialect = \"seggwat\"", "")]);
}

#[test]
fn what_looks_like_a_pattern_and_is_none_is_warned_of() {
    each_warning(&[
        ("path = \"/\"", "path = \"/\"\nroles = [\"*\"]", "\"*\" is that very role and not any"),
        (
            "dialect = \"gateway\"",
            "dialect = \"gateway\"\nallow_roles = [\"agent-*\"]",
            "is that very role and not any",
        ),
        (
            "path = \"/\"",
            "path = \"/users/:id\"",
            "is taken to the letter, with its : or $; write the beginning of the paths it is for: \"/users/\"",
        ),
        ("path = \"/\"", "path = \"/static$\"", "it is for: \"/static\""),
        ("path = \"/\"", "path = \"/:\"", ""),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"all\"]",
            "write session_cookies = \"all\"",
        ),
        (
            "[\"127.0.0.1:3000\"]",
            "[\"127.0.0.1:3000\"]\nsession_cookies = [\"ALL\"]",
            "write session_cookies = \"all\"",
        ),
        ("[\"127.0.0.1:3000\"]", "[\"127.0.0.1:3000\"]\nsession_cookies = [\"sid\"]", ""),
        ("path = \"/\"", "path = \"/odata/$metadata\"", ""),
        ("path = \"/\"", "path = \"/v1/models:predict\"", ""),
    ]);
}

/// A route: host, path, and further settings.
type Given<'a> = (&'a str, &'a str, &'a str);

#[test]
fn a_laxer_route_of_a_host_over_a_stricter_one_of_any_is_warned_of() {
    let route = |(host, path, more): Given<'_>| {
        let host = if host.is_empty() { String::new() } else { format!("host = {host:?}\n") };
        format!("[[routes]]\npath = {path:?}\nupstream = \"app\"\n{host}{more}\n")
    };
    let warned = |routes: &[Given<'_>]| {
        let start = GOOD.find("[[routes]]").unwrap();
        let text = format!("{}{}", &GOOD[..start], routes.iter().map(|given| route(*given)).collect::<String>());
        warnings(&text)
    };
    let (host, wild, any) = ("s.acme.example", "*.acme.example", "");
    let (admin, public) = ("roles = [\"admin\"]", "auth = \"public\"");
    let strict = (any, "/admin", admin);
    for lax in [
        (host, "/", public),
        (host, "/", "auth = \"optional\""),
        (host, "/", ""),
        (host, "/", "roles = [\"agent\"]"),
        (host, "/", "roles = [\"admin\", \"agent\"]"),
        (host, "/", "roles = [\"admin\"]\nreport_only = true"),
        (host, "/admin", ""),
        (host, "/admin/", public),
        (wild, "/", public),
        (host, "/", "auth = \"public\"\nmethods = [\"GET\"]"),
    ] {
        for routes in [[strict, lax], [lax, strict]] {
            let told = warned(&routes);
            assert!(told.len() == 1 && told[0].contains("comes before routes["), "{routes:?}: {told:#?}");
            let said = if lax.1.starts_with("/admin") {
                format!("; make it as strict or remove it, unless {} is meant to be open", lax.0)
            } else {
                format!("; give {} a route for \"/admin\"", lax.0)
            };
            assert!(told[0].ends_with(&said), "{told:#?}");
        }
    }
    let (deny, posts) =
        ((any, "/admin", "auth = \"deny\""), (any, "/admin", "roles = [\"admin\"]\nmethods = [\"POST\"]"));
    // Those that the host can be given a route for come first; three are named.
    let routes = ["/", "/a", "/b", "/c", "/d"].map(|path| (any, path, admin));
    for (count, said) in [
        (1, "is meant to be open"),
        (2, "give s.acme.example a route for \"/a\""),
        (3, "for \"/a\", for \"/b\""),
        (5, "for \"/a\", for \"/b\", for \"/c\""),
    ] {
        let told = warned(&[&routes[..count], &[(host, "/", public)]].concat());
        assert!(told.len() == 1 && told[0].ends_with(said), "{count}: {told:#?}");
        assert_eq!(told[0].matches("before routes[").count(), (count - 1).clamp(1, 3), "{told:#?}");
    }
    let of_wild = (wild, "/admin", admin);
    for (routes, count) in [
        (&[deny, (host, "/", "")][..], 1),
        (&[deny, (host, "/", admin)], 1),
        (&[of_wild, (host, "/", public)], 1),
        (&[(any, "/", ""), (host, "/", public)], 1),
        (&[strict, (host, "/", public), (wild, "/", public)], 2),
        (&[posts, (host, "/", "auth = \"public\"\nmethods = [\"POST\", \"GET\"]")], 1),
        // None of these lets anybody through whom the other refuses.
        (&[strict, (host, "/", admin)], 0),
        (&[strict, (host, "/", "roles = [\"admin\"]"), (host, "/x", public)], 0),
        (&[strict, (host, "/", public), (host, "/admin", admin)], 0),
        (&[strict, (host, "/", "auth = \"deny\"")], 0),
        (&[strict, (host, "/ad", public)], 0),
        (&[(any, "/", public), (host, "/", "")], 0),
        (&[(any, "/", "auth = \"optional\""), (host, "/", public)], 0),
        (&[(any, "/admin", "roles = [\"admin\"]\nreport_only = true"), (host, "/", public)], 0),
        (&[posts, (host, "/", "auth = \"public\"\nmethods = [\"GET\"]")], 0),
        (&[of_wild, ("s.globex.example", "/", public)], 0),
        (&[of_wild, ("a.s.acme.example", "/", public)], 0),
        (&[strict, (any, "/public", public)], 0),
    ] {
        let told = warned(routes);
        assert_eq!(told.len(), count, "{routes:?}: {told:#?}");
    }
}

#[test]
fn headers_of_trusted_proxies_are_warned_of_and_never_ours() {
    let with = |line: &str| format!("[listen]\nforwarded_headers = [{line}]");
    let warned = ["X-Forwarded-Prefix", "X-SSL-Client-S-DN", "Forwarded", "X-Sendfile-Type", "X-Zone"];
    let warned = warned.map(|name| (with(&format!("{name:?}")), name));
    let table: Vec<_> = warned.iter().map(|(to, name)| ("[listen]", to.as_str(), *name)).collect();
    each_warning(&table);
    for (name, said) in [
        ("X-User-Id", "is a header of [identity]"),
        ("x_roles", "is a header of [identity]"),
        ("X-Internal", "is a header of [identity]"),
        ("X-Forwarded-For", "is believed of a trusted proxy anyway"),
        ("X-Request-Id", "is believed of a trusted proxy anyway"),
        ("Cookie", "has a meaning of its own"),
        ("Authorization", "has a meaning of its own"),
        ("Connection", "has a meaning of its own"),
        ("Proxy-Authorization", "has a meaning of its own"),
        ("Proxy", "has a meaning of its own"),
        ("Keep-Alive", "has a meaning of its own"),
        ("X-Original-URL", "makes apps serve another URL"),
        ("X-HTTP-Method-Override", "makes apps serve another URL"),
        ("X Forwarded", "is not a header name"),
        ("", "is not a header name"),
    ] {
        let text = GOOD.replacen("[listen]", &with(&format!("{name:?}")), 1);
        let text = format!("{text}[identity]\nstrip = [\"X-Internal\"]\n");
        match Config::parse(Path::new("proxy.toml"), &text, &Secrets::find) {
            Ok(_) => panic!("{name:?} should be refused"),
            Err(problems) => assert!(
                problems.len() == 1 && problems[0].line == 2 && problems[0].text.contains(said),
                "{name:?}: {problems:?}"
            ),
        }
    }
}
