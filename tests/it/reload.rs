//! Reload: a change holds from the next request on, nothing fails meanwhile, and what is wrong changes nothing.

use std::{
    fs::{self, File},
    io::Write,
    net::SocketAddr,
    os::unix::fs::symlink,
    sync::Arc,
    time::{Duration, Instant},
};

use http::Request;

use crate::support::{
    Ask, Certificate, Client, Door, Issuer, Load, Served, Upstream, config, eventually, free_port, one_tenant,
    token_of_now, with_listen,
};

const ACME: Issuer = Issuer::ACME;

/// A request by someone known, and the same without its end.
fn known(token: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {token}\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_gone_opens_nothing_on_the_next_request_of_an_open_connection() {
    let upstream = Upstream::start().await;
    let old = "keys = [{ id = \"k1\", env = \"ACME\" }]";
    let both =
        config(&upstream).replace(old, "keys = [{ id = \"k1\", env = \"ACME\" }, { id = \"k0\", env = \"OLD_ACME\" }]");
    let certificate = Certificate::new();
    for listen in [String::new(), format!("[listen]\n{}", certificate.setting())] {
        let door = Door::start(&format!("{listen}\n{both}")).await;
        let without =
            format!("{listen}\n{}", config(&upstream).replace(old, "keys = [{ id = \"k0\", env = \"OLD_ACME\" }]"));
        let token = ACME.token("maya");
        if listen.is_empty() {
            let mut client = Client::connect(door.address).await;
            for _ in 0..2 {
                assert_eq!(door.get("/").bearer(&token).send_over(&mut client).await.status, 200);
            }
            assert_eq!(door.reload(&without), Vec::<&str>::new());
            assert_eq!(door.get("/").bearer(&token).send_over(&mut client).await.code(), "token_invalid");
        } else {
            let get = || {
                Request::get("https://portal.test/")
                    .header("authorization", format!("Bearer {token}"))
                    .body(())
                    .unwrap()
            };
            let mut client = certificate.h2(door.address).await;
            for _ in 0..2 {
                assert_eq!(client.send(get(), None).await.unwrap().status, 200);
            }
            door.reload(&without);
            assert_eq!(client.send(get(), None).await.unwrap().code(), "token_invalid");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_key_that_is_gone_ends_its_sessions_at_once() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let session = door.session(&ACME.token("maya")).await;
    let mut client = Client::connect(door.address).await;
    let ask = || door.get("/").cookie("__Host-vestibule", &session);
    let second = "keys = [{ id = \"s2\", env = \"OLD_SESSION\" }, { id = \"s1\", env = \"SESSION\" }]";
    let first = "keys = [{ id = \"s1\", env = \"SESSION\" }]";
    assert_eq!(ask().send_over(&mut client).await.status, 200);
    door.reload(&config(&upstream).replace(first, second));
    assert_eq!(ask().send_over(&mut client).await.status, 200, "all open");
    door.reload(&config(&upstream).replace(first, "keys = [{ id = \"s2\", env = \"OLD_SESSION\" }]"));
    assert_eq!(ask().send_over(&mut client).await.code(), "session_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_a_route_asks_for_counts_for_the_next_request() {
    let upstream = Upstream::start().await;
    let routes = |more| one_tenant(&upstream.address.to_string(), "acme", "gateway", more);
    let door = Door::start(&routes("")).await;
    let mut client = Client::connect(door.address).await;
    let token = ACME.token("maya");
    assert_eq!(door.get("/").bearer(&token).send_over(&mut client).await.status, 200);
    door.reload(&routes("roles = [\"admin\"]"));
    assert_eq!(door.get("/").bearer(&token).send_over(&mut client).await.code(), "role_required");
    door.reload(&routes("roles = [\"agent\"]"));
    assert_eq!(door.get("/").bearer(&token).send_over(&mut client).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_the_configuration_it_began_with() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let mut client = Client::connect(door.address).await;
    let head = format!("POST / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {}\r\n", ACME.token("maya"));
    client.send(format!("{head}Content-Length: 5\r\n\r\nhe").as_bytes()).await;
    eventually(20, "it is on its way", async || upstream.connections() > 0).await;
    // One that would still let it in: what would not ends it.
    door.reload(&config(&upstream).replacen("path = \"/\"", "path = \"/\"\n        max_body = \"1B\"", 1));
    client.send(b"llo").await;
    assert_eq!(client.receive(false).await.expect("an answer").status, 200);
    assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_outlives_a_reload() {
    let upstream = Upstream::start().await;
    let text = format!("{}\n[limits]\nfailures = {{ count = 2, per = \"1m\" }}", config(&upstream));
    let door = Door::start(&text).await;
    // A spent token stays spent, a session that was ended stays ended.
    let (token, session) = (ACME.token("maya"), door.session(&ACME.token("tom")).await);
    assert_eq!(door.exchange(&token).await.status, 200);
    let out = door.post("/_auth/logout").header("Origin", "http://portal.test").cookie("__Host-vestibule", &session);
    assert!(out.send().await.status < 400);
    let forged = Issuer { secret: "another-secret-0123456789abcdef012345", ..ACME };
    for _ in 0..2 {
        assert_eq!(door.get("/").bearer(forged.token("maya")).send().await.code(), "token_invalid");
    }
    door.reload(&format!("{text}\n"));
    assert_eq!(door.get("/").bearer(forged.token("tom")).send().await.code(), "rate_limited");
    door.reload(&text.replace("count = 2", "count = 200"));
    assert_eq!(door.exchange(&token).await.code(), "token_spent");
    assert_eq!(door.get("/").cookie("__Host-vestibule", &session).send().await.code(), "revoked");
    assert_eq!(upstream.connections(), 0, "{:?}", upstream.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_connections_hold_for_new_ones() {
    let upstream = Upstream::start().await;
    let text = |listen: &str| format!("[listen]\n{listen}\n{}", config(&upstream));
    let door = Door::start(&text("max_connections = 1")).await;
    let mut first = Client::connect(door.address).await;
    assert_eq!(door.get("/public").send_over(&mut first).await.status, 200);
    assert_eq!(door.get("/public").send().await.code(), "overloaded");
    door.reload(&text("max_connections = 2\nidle_timeout = \"100ms\"\nmax_header_bytes = \"1KiB\""));
    let mut second = Client::connect(door.address).await;
    let large = "x".repeat(2 << 10);
    assert_eq!(door.get("/public").send_over(&mut second).await.status, 200);
    assert!(second.receive(false).await.is_none(), "closed when idle");
    assert_eq!(door.get("/public").header("X", &large).send().await.status, 431);
    assert_eq!(door.get("/public").header("X", &large).send_over(&mut first).await.status, 200, "as it came in");
    door.reload(&text("trusted_proxies = [\"127.0.0.1\"]"));
    door.get("/public").header("X-Forwarded-For", "203.0.113.7").send_over(&mut first).await;
    assert_eq!(upstream.last().header("x-forwarded-for"), Some("203.0.113.7, 127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_restart_is_named_and_the_rest_is_applied() {
    let upstream = Upstream::start().await;
    let served = Served::start("", &config(&upstream));
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let text = config(&upstream)
        .replace("memory = true", "memory = true\nmax_entries = 7")
        .replace("path = \"/public\"", "path = \"/other\"");
    let text = with_listen(address, admin, "threads = 3", &format!("{text}\n[log]\nformat = \"json\""));
    fs::write(served.file("proxy.toml"), text).unwrap();
    served.until_reloads((1, 0)).await;
    for key in ["listen.address", "listen.admin", "listen.threads", "[ledger]", "log.format"] {
        assert_eq!(served.said(&format!("{key} has changed, which takes a restart")), 1, "{key}: {}", served.log());
    }
    assert_eq!(served.ask("GET", "/other").send().await.status, 200);
    assert_eq!(served.ask("GET", "/public").send().await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_across_many_reloads() {
    let upstream = Arc::new(Upstream::start().await);
    let certificate = Arc::new(Certificate::new());
    let token = token_of_now(&ACME, "maya");
    for tls in [false, true] {
        let listen = if tls { certificate.setting() } else { String::new() };
        let served = Served::start(&listen, &config(&upstream));
        let load = if tls {
            Load::none().and_h2(3, served.address, &certificate, &token, &upstream)
        } else {
            Load::none().and_h1(4, served.address, &known(&token))
        };
        load.more(20).await;
        for round in 1..=10 {
            if round % 2 == 0 {
                served.process.signal("-HUP");
            } else {
                served.write(&format!("idle_timeout = \"{}s\"\n{listen}", 30 + round), &config(&upstream));
            }
            served.until_reloads((round, 0)).await;
            load.more(5).await;
        }
        assert_eq!(load.end().await, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_said_counted_and_changes_nothing() {
    let upstream = Upstream::start().await;
    let good = config(&upstream).replace("env = \"ACME\"", "file = \"acme.key\"");
    let folder = tempfile::tempdir().unwrap();
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let text = with_listen(address, admin, "", &good);
    fs::write(folder.path().join("proxy.toml"), &text).unwrap();
    fs::write(folder.path().join("acme.key"), ACME.secret).unwrap();
    let served = Served::start_in(folder, address, admin, "proxy.toml");
    let (file, key) = (served.file("proxy.toml"), served.file("acme.key"));
    let token = token_of_now(&ACME, "maya");
    let mut count = (0, 0);
    let broken: [(&str, &dyn Fn()); 7] = [
        ("the file is not TOML here", &|| fs::write(&file, &text[..text.len() / 2]).unwrap()),
        ("is no key", &|| fs::write(&file, format!("{text}\nrolls = []")).unwrap()),
        ("proxy.toml:1:1: cannot be read", &|| {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }),
        ("there is no route", &|| {
            fs::remove_dir(&file).unwrap();
            fs::write(&file, "").unwrap();
        }),
        ("proxy.toml:1:1: cannot be read", &|| {
            fs::remove_file(&file).unwrap();
            symlink("nowhere.toml", &file).unwrap();
        }),
        ("acme.key cannot be read", &|| {
            fs::remove_file(&file).unwrap();
            fs::write(&file, &text).unwrap();
            fs::remove_file(&key).unwrap();
        }),
        ("fewer than 32", &|| fs::write(&key, "short").unwrap()),
    ];
    for (problem, happens) in broken {
        happens();
        eventually(20, &format!("{problem}: {}", served.log()), async || served.reloads().1 > count.1).await;
        count = served.reloads();
        assert!(served.said(problem) > 0, "{problem}: {}", served.log());
        assert_eq!(served.ask("GET", "/").bearer(&token).send().await.status, 200, "{problem}");
        // A file that was removed first may have been missed for a moment.
        assert_eq!(count.0, 0, "{problem}: {}", served.log());
    }
    fs::write(&key, "another-secret-0123456789abcdef012345").unwrap();
    served.until_reloads((1, count.1)).await;
    assert_eq!(served.ask("GET", "/").bearer(&token).send().await.code(), "token_invalid");
    // Several problems are several lines.
    let wrong = text.replace("dialect", "dialekt");
    fs::write(&file, &wrong).unwrap();
    served.until_reloads((1, count.1 + 1)).await;
    assert_eq!(served.said("dialekt is no key"), 2, "{}", served.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_its_writer_has_not_finished_is_not_taken() {
    let upstream = Upstream::start().await;
    let served = Served::start("", &config(&upstream));
    let text = with_listen(served.address, served.admin, "header_timeout = \"9s\"", &config(&upstream));
    // Valid as far as it goes: only the route for anyone is missing.
    let (begin, rest) = text.split_at(text.find("[[routes]]\n        path = \"/public\"").unwrap());
    let mut writer = File::create(served.file("proxy.toml")).unwrap();
    writer.write_all(begin.as_bytes()).unwrap();
    writer.flush().unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(served.ask("GET", "/public").send().await.status, 200);
    }
    assert_eq!(served.reloads(), (0, 0));
    writer.write_all(rest.as_bytes()).unwrap();
    drop(writer);
    served.until_reloads((1, 0)).await;
    // Written again with the same content is no change.
    fs::write(served.file("proxy.toml"), &text).unwrap();
    fs::write(served.file("proxy.toml"), text.replace("9s", "8s")).unwrap();
    served.until_reloads((2, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_renamed_over_and_swapped_by_links_are_seen() {
    let upstream = Upstream::start().await;
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let text = |route: &str| {
        let config =
            config(&upstream).replace("/public", route).replace("env = \"ACME\"", "file = \"secret/acme.key\"");
        with_listen(address, admin, "", &config)
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // As Kubernetes mounts a ConfigMap and a Secret.
    let volume = |version: &str, route: &str, secret: &str| {
        let folder = at(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("proxy.toml"), text(route)).unwrap();
        fs::write(folder.join("acme.key"), secret).unwrap();
        symlink(version, at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    volume("..1", "/one", ACME.secret);
    fs::create_dir(at("secret")).unwrap();
    symlink("../..data/acme.key", at("secret/acme.key")).unwrap();
    symlink("..data/proxy.toml", at("proxy.toml")).unwrap();
    let data = folder.path().to_owned();
    volume("..2", "/two", ACME.secret);
    let served = Served::start_in(folder, address, admin, "proxy.toml");
    let open = async |path: &str| served.ask("GET", path).send().await.status == 200;
    assert!(open("/two").await);

    let swap = |version: &str, route: &str, secret: &str| {
        fs::create_dir(data.join(version)).unwrap();
        fs::write(data.join(version).join("proxy.toml"), text(route)).unwrap();
        fs::write(data.join(version).join("acme.key"), secret).unwrap();
        symlink(version, data.join("..data_tmp")).unwrap();
        fs::rename(data.join("..data_tmp"), data.join("..data")).unwrap();
    };
    for (number, route) in ["/three", "/four", "/five"].into_iter().enumerate() {
        swap(&format!("..{}", number + 3), route, ACME.secret);
        served.until_reloads((number + 1, 0)).await;
        assert!(open(route).await);
        fs::remove_dir_all(data.join(format!("..{}", number + 2))).unwrap();
    }
    let token = token_of_now(&ACME, "maya");
    assert_eq!(served.ask("GET", "/").bearer(&token).send().await.status, 200);
    swap("..6", "/five", "another-secret-0123456789abcdef012345");
    served.until_reloads((4, 0)).await;
    assert_eq!(served.ask("GET", "/").bearer(&token).send().await.code(), "token_invalid");

    // An editor writes beside and renames over; the link gives way to a file.
    for (number, route) in ["/seven", "/eight"].into_iter().enumerate() {
        fs::write(data.join(".proxy.toml.swp"), text(route)).unwrap();
        fs::rename(data.join(".proxy.toml.swp"), data.join("proxy.toml")).unwrap();
        served.until_reloads((5 + number, 0)).await;
        assert!(open(route).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_to_who_comes_next() {
    let upstream = Upstream::start().await;
    let mut certificate = Certificate::new();
    let served = Served::start(&certificate.setting(), &config(&upstream));
    let token = token_of_now(&ACME, "maya");
    let get =
        || Request::get("https://portal.test/").header("authorization", format!("Bearer {token}")).body(()).unwrap();
    let mut before = certificate.h2(served.address).await;
    assert_eq!(before.send(get(), None).await.unwrap().status, 200);
    certificate.renew();
    eventually(20, "the new one", async || certificate.try_h2(served.address).await.is_ok()).await;
    assert_eq!(certificate.h2(served.address).await.send(get(), None).await.unwrap().status, 200);
    assert_eq!(before.send(get(), None).await.unwrap().status, 200, "who is in stays in");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_may_turn_to_tls_and_who_is_in_is_still_told_the_truth() {
    let upstream = Upstream::start().await;
    let certificate = Certificate::new();
    let door = Door::start(&config(&upstream)).await;
    let mut plain = Client::connect(door.address).await;
    assert_eq!(door.get("/public").send_over(&mut plain).await.status, 200);
    door.reload(&format!("[listen]\n{}\n{}", certificate.setting(), config(&upstream)));
    certificate
        .h2(door.address)
        .await
        .send(Request::get("https://portal.test/public").body(()).unwrap(), None)
        .await
        .unwrap();
    assert_eq!(upstream.last().header("x-forwarded-proto"), Some("https"));
    assert_eq!(door.get("/public").send_over(&mut plain).await.status, 200);
    assert_eq!(upstream.last().header("x-forwarded-proto"), Some("http"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_app_outlive_a_reload() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let mut client = Client::connect(door.address).await;
    for _ in 0..5 {
        assert_eq!(door.get("/public").send_over(&mut client).await.status, 200);
        door.reload(&config(&upstream));
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_token_that_is_gone_opens_nothing_on_an_open_connection() {
    let upstream = Upstream::start().await;
    let listen = |token: &str| {
        let token = format!("admin = \"127.0.0.1:0\"\nadmin_token = {{ env = \"{token}\" }}");
        format!("[listen]\n{token}\n{}", config(&upstream))
    };
    let door = Door::start(&listen("OLD_ACME")).await;
    let admin = door.admin().unwrap();
    let mut client = Client::connect(admin).await;
    let ask = || Ask::new(admin, "GET", "/metrics", "localhost").bearer("old-acme-secret-0123456789abcdef0123");
    assert_eq!(ask().send_over(&mut client).await.status, 200);
    door.reload(&listen("SESSION"));
    assert_eq!(ask().send_over(&mut client).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_socket_open_to_the_network_keeps_its_token_until_a_restart() {
    let upstream = Upstream::start().await;
    let open = format!("[listen]\nadmin = \"0.0.0.0:0\"\nadmin_token = {{ env = \"ADMIN\" }}\n{}", config(&upstream));
    let door = Door::start(&open).await;
    let admin = SocketAddr::from(([127, 0, 0, 1], door.admin().unwrap().port()));
    let ask = || Ask::new(admin, "GET", "/metrics", "localhost").send();
    for closed in ["[listen]\nadmin = \"127.0.0.1:0\"\n", ""] {
        door.reload(&format!("{closed}{}", config(&upstream)));
        assert_eq!(ask().await.status, 401, "{closed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ceiling_that_is_lowered_takes_roles_from_sessions_too() {
    let upstream = Upstream::start().await;
    let text = config(&upstream);
    let door = Door::start(&text).await;
    let session = door.session(&ACME.with(serde_json::json!({ "userRoles": ["agent", "admin"] }))).await;
    let ask = |path: &str| door.get(path).cookie("__Host-vestibule", &session).send();
    assert_eq!(ask("/staff").await.status, 200);
    door.reload(&text.replacen("dialect = \"gateway\"", "dialect = \"gateway\"\nallow_roles = [\"agent\"]", 1));
    assert_eq!(ask("/staff").await.code(), "role_required");
    assert_eq!(ask("/agents").await.status, 200);
    assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sighup_reads_again_also_what_is_the_same() {
    let upstream = Upstream::start().await;
    let served = Served::start("", &config(&upstream));
    for count in 1..=2 {
        served.process.signal("-HUP");
        served.until_reloads((count, 0)).await;
    }
    assert_eq!(Ask::new(served.admin, "GET", "/readyz", "localhost").send().await.status, 200);
}

/// Bits of inotify(7).
const MODIFY: u32 = 0x2;
const OPEN_OR_ACCESS: u32 = 0x21;

/// What a process watches of each inode.
fn watched(process: u32) -> Vec<(u64, u32)> {
    let folder = format!("/proc/{process}/fdinfo");
    let texts = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let field = |line: &str, name: &str| {
        let found = line.split(' ').find_map(|field| field.strip_prefix(name).map(str::to_owned));
        u64::from_str_radix(&found.unwrap(), 16).unwrap()
    };
    let watches = lines.iter().filter(|line| line.starts_with("inotify "));
    watches.map(|line| (field(line, "ino:"), field(line, "mask:") as u32)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_beside_the_configuration_wakes_nobody() {
    use std::os::unix::fs::MetadataExt;
    let upstream = Upstream::start().await;
    let served = Served::start("", &config(&upstream));
    let inode = |path: &std::path::Path| fs::metadata(path).unwrap().ino();
    let watches = watched(served.process.0.id());
    let of = |inode: u64| watches.iter().find(|watch| watch.0 == inode).map(|watch| watch.1);
    let folder = of(inode(served.folder.path())).expect("the folder is watched");
    assert_eq!(folder & (MODIFY | OPEN_OR_ACCESS), 0, "writes to any file in it would be told: {folder:x}");
    assert!(of(inode(&served.file("proxy.toml"))).is_some_and(|mask| mask & MODIFY != 0), "{watches:x?}");
    assert_eq!(of(inode(&served.file("log"))), None, "{watches:x?}");
    // A file that takes its place is watched as well.
    fs::copy(served.file("proxy.toml"), served.file("next")).unwrap();
    let next = inode(&served.file("next"));
    fs::rename(served.file("next"), served.file("proxy.toml")).unwrap();
    eventually(20, "the file in its place is watched", async || {
        watched(served.process.0.id()).iter().any(|watch| watch.0 == next)
    })
    .await;
    assert_eq!(served.reloads(), (0, 0), "it holds the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_takes_the_place_of_the_one_before_is_read_and_watched() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let write = |name: &str, more: &str| {
        fs::create_dir_all(folder.path().join(name)).unwrap();
        let text = with_listen(address, admin, "", &format!("{}{more}", config(&upstream)));
        fs::write(folder.path().join(name).join("proxy.toml"), text).unwrap();
    };
    write("conf", "");
    write("next", "\n[limits]\nfailures = { count = 9, per = \"1m\" }");
    let root = folder.path().to_owned();
    let served = Served::start_in(folder, address, admin, "conf/proxy.toml");
    fs::rename(root.join("conf"), root.join("before")).unwrap();
    fs::rename(root.join("next"), root.join("conf")).unwrap();
    served.until_reloads((1, 0)).await;
    let text = fs::read_to_string(root.join("conf/proxy.toml")).unwrap();
    fs::write(root.join("conf/proxy.toml"), text.replace("count = 9", "count = 8")).unwrap();
    served.until_reloads((2, 0)).await;
}
