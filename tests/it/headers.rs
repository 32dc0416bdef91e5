//! What the app sees: identity that no client can forge, no credentials, and who really asked.

use serde_json::json;

use crate::support::{Client, Door, Issuer, Upstream, config, two_tenants};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

const SPELLINGS: [&str; 12] = [
    "X-User-Id",
    "x-user-id",
    "X-USER-ID",
    "X_User_Id",
    "X.User.Id",
    "x-userid",
    "xuserid",
    "X-Tenant",
    "X_TENANT",
    "X-Roles",
    "x_roles",
    "X_User_Email",
];

#[tokio::test(flavor = "multi_thread")]
async fn forged_identity_is_removed_in_every_spelling_on_every_route() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    for name in SPELLINGS {
        let forged = |target: &str| door.get(target).header(name, "admin").header("Accept", "*/*").header(name, "root");
        assert_eq!(forged("/").bearer(&token).send().await.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.identity(), ("maya", "acme", "agent"), "{name}");
        assert!(!String::from_utf8_lossy(&seen.raw).contains("admin"), "{name}");
        for target in ["/public", "/optional"] {
            assert_eq!(forged(target).send().await.status, 200);
            assert!(upstream.last().is_anonymous(), "{name} on {target}");
        }
    }
    for ask in [door.ask("HEAD", "/"), door.ask("OPTIONS", "/"), door.post("/").body("X-User-Id: admin")] {
        assert_eq!(ask.header("X_Roles", "admin").bearer(&token).send().await.status, 200);
        assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn padding_does_not_hide_a_forged_name() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    for (padding, count) in [("_", 300), ("-", 2_000)] {
        let name = format!("X{}Roles", padding.repeat(count));
        assert_eq!(door.get("/").header(&name, "root").bearer(ACME.token("maya")).send().await.status, 200);
        assert!(!String::from_utf8_lossy(&upstream.last().raw).contains("root"), "{count} times {padding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_choose_the_apps_own_proxy() {
    let upstream = Upstream::start().await;
    let trusting = format!("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n{}", config(&upstream));
    for text in [config(&upstream), trusting] {
        let door = Door::start(&text).await;
        for target in ["/", "/public"] {
            let ask = door.get(target).header("Proxy", "evil.test").header("pro_xy", "evil.test");
            assert_eq!(ask.bearer(ACME.token("maya")).send().await.status, 200);
            assert!(!String::from_utf8_lossy(&upstream.last().raw).contains("evil"), "{target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn absent_claims_leave_no_room_for_a_clients_headers() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let bare = ACME.with(json!({ "userRoles": null, "userEmail": null, "plan": null }));
    let forged =
        door.get("/").header("X-Roles", "admin").header("X-User-Email", "root@acme.example").header("X-Plan", "gold");
    assert_eq!(forged.bearer(bare).send().await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.identity(), ("maya", "acme", ""), "roles are sent empty");
    assert_eq!((seen.header("x-user-email"), seen.header("x-plan")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_cannot_remove_what_we_set() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    for nominated in ["close, X-User-Id", "x-user-id, x-tenant, X-Roles", "keep-alive, authorization"] {
        let answer = door.get("/").header("Connection", nominated).bearer(ACME.token("maya")).send().await;
        assert_eq!(answer.status, 200, "{nominated}");
        assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"), "{nominated}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_headers_in_trailers_and_folded_lines_come_to_nothing() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    let mut client = Client::connect(door.address).await;
    let chunked = format!(
        "POST / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\nTrailer: X-User-Id\r\n\r\n\
         2\r\nhi\r\n0\r\nX-User-Id: admin\r\n\r\n"
    );
    client.send(chunked.as_bytes()).await;
    assert_eq!(client.receive(false).await.map(|answer| answer.status), Some(200));
    let seen = upstream.last();
    assert_eq!(seen.identity(), ("maya", "acme", "agent"));
    assert!(!String::from_utf8_lossy(&seen.body).contains("admin"), "trailers are not passed on");
    let mut client = Client::connect(door.address).await;
    let folded = format!(
        "GET / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {token}\r\nX-A: b\r\n X-User-Id: admin\r\n\r\n"
    );
    client.send(folded.as_bytes()).await;
    if let Some(answer) = client.receive(false).await {
        assert_eq!(answer.status, 400);
    }
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_names_can_be_stripped_and_all_renamed() {
    let upstream = Upstream::start().await;
    let identity = "[identity]\nheaders = { user = \"Remote-User\", roles = \"X-Groups\" }\nstrip = [\"X-Forwarded-User\", \"X-Internal\"]\n";
    let door = Door::start(&format!("{identity}{}", config(&upstream))).await;
    let ask = door.get("/").bearer(ACME.token("maya"));
    ask.header("remote_user", "admin").header("X_Internal", "1").header("X-Forwarded-User", "admin").send().await;
    let seen = upstream.last();
    assert_eq!(
        (seen.header("remote-user"), seen.header("x-groups"), seen.header("x-tenant")),
        (Some("maya"), Some("agent"), Some("acme"))
    );
    assert!(!String::from_utf8_lossy(&seen.raw).contains("admin"));
    assert!(seen.all("x_internal").is_empty() && seen.all("x-user-id").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_beyond_ascii_arrive_encoded_as_configured() {
    let upstream = Upstream::start().await;
    for (encoding, user, roles) in [
        ("percent", "Zo%C3%AB 100%25", "a%2Cb,k%C3%B6ln"),
        ("quoted-printable", "Zo=C3=AB 100%", "a=2Cb,k=C3=B6ln"),
        ("base64", "Wm/DqyAxMDAl", "YSxi,a8O2bG4="),
        ("utf8", "ZoÃ« 100%", "a%2Cb,kÃ¶ln"),
    ] {
        let door = Door::start(&format!("[identity]\nencoding = \"{encoding}\"\n{}", config(&upstream))).await;
        let token = ACME.with(json!({ "userId": "Zoë 100%", "userRoles": ["a,b", "köln"] }));
        assert_eq!(door.get("/").bearer(token).send().await.status, 200);
        // The recorder shows each byte as a character, hence the two for one in utf8.
        assert_eq!(upstream.last().identity(), (user, "acme", roles), "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn base64_is_always_base64() {
    let upstream = Upstream::start().await;
    let door = Door::start(&format!("[identity]\nencoding = \"base64\"\n{}", config(&upstream))).await;
    let token = |roles: serde_json::Value| {
        ACME.with(json!({ "userId": "maya", "userEmail": "maya@acme.example", "userRoles": roles, "plan": "Zm9v" }))
    };
    assert_eq!(door.get("/").bearer(token(json!(["agent", "YWdlbnQ="]))).send().await.status, 200);
    let seen = upstream.last();
    // The tenant's id is letters, digits, `_` and `-` in any encoding.
    assert_eq!(seen.identity(), ("bWF5YQ==", "acme", "YWdlbnQ=,WVdkbGJuUT0="));
    let profile = ["x-user-email", "x-plan"].map(|name| seen.header(name));
    assert_eq!(profile, [Some("bWF5YUBhY21lLmV4YW1wbGU="), Some("Wm05dg==")]);
    assert_eq!(door.get("/").bearer(token(json!([]))).send().await.status, 200);
    assert_eq!(upstream.last().identity().2, "", "no roles are sent empty");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_cannot_clear_our_cookie_with_its_site_data() {
    const BUT_COOKIES: &str =
        "\"cache\", \"storage\", \"executionContexts\", \"clientHints\", \"prefetchCache\", \"prerenderCache\"";
    for (lines, kept) in [
        (&["\"cookies\""][..], None),
        (&["\"Cookies\""], None),
        (&["\"*\""], Some(BUT_COOKIES)),
        (&["\"cache\", \"cookies\", \"storage\""], Some("\"cache\", \"storage\"")),
        (&["\"cache\",\"*\""], Some(BUT_COOKIES)),
        (&["\"cache\"", "\"cookies\""], Some("\"cache\"")),
        (&["cookies"], None),
        (&["*"], None),
        (&["cookies, \"cache\""], Some("\"cache\"")),
        (&["\"x, \"cookies\", \"storage\""], Some("\"storage\"")),
        (&["\tab\", \"cookies\""], None),
        (&["\"unheard-of\", \"cache\""], Some("\"cache\"")),
        (&[" \"executionContexts\" ,\t\"cookies\" "], Some("\"executionContexts\"")),
        (&["\u{e9}, \"cookies\", \"cache\""], Some("\"cache\"")),
        (&["\"cache\",\"storage\""], Some("\"cache\",\"storage\"")),
    ] {
        let lines: String = lines.iter().map(|line| format!("Clear-Site-Data: {line}\r\n")).collect();
        let early = format!("HTTP/1.1 103 Early Hints\r\n{lines}\r\n");
        let upstream =
            Upstream::answering(&format!("{early}HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n")).await;
        let door = Door::start(&config(&upstream)).await;
        for target in ["/", "/public", "/optional"] {
            let mut client = Client::connect(door.address).await;
            let early = door.get(target).bearer(ACME.token("maya")).send_over(&mut client).await;
            let answer = client.receive(false).await.expect("an answer after the hints");
            assert_eq!((early.status, answer.status), (103, 200));
            for answer in [early, answer] {
                assert_eq!(answer.header("clear-site-data"), kept, "{lines:?} {}", answer.status);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_reaches_the_app() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    let session = door.session(&token).await;
    let cookies = format!("a=1;{COOKIE}={session};  b=\"x;y\"; c=ü=; {COOKIE}x=2");
    assert_eq!(door.get("/").header("Cookie", &cookies).send().await.status, 200);
    assert_eq!(upstream.last().header("cookie"), Some("a=1;  b=\"x;y\"; c=Ã¼=; __Host-vestibulex=2"));
    let crumbs = door.get("/").header("Cookie", "a=1").cookie(COOKIE, &session).header("Cookie", "b=2; c=3");
    assert_eq!(crumbs.send().await.status, 200);
    assert_eq!(upstream.last().header("cookie"), Some("a=1; b=2; c=3"));
    door.get("/").cookie(COOKIE, &session).send().await;
    assert_eq!(upstream.last().header("cookie"), None);
    for target in ["/public", "/optional"] {
        door.get(target).bearer(&token).cookie(COOKIE, &session).send().await;
        let raw = String::from_utf8_lossy(&upstream.last().raw).into_owned();
        assert!(!raw.contains(&token) && !raw.contains(&session), "{target}");
    }
    let twice =
        door.get("/").header("Referer", "http://a.test/").header("Referer", format!("http://a.test/?token={token}"));
    twice.bearer(&token).send().await;
    assert_eq!(upstream.last().all("referer"), Vec::<&str>::new());
    let referer = format!("http://portal.test/handed?a=1&token={token}&access_token={token}");
    door.get(&format!("/handed?access_token={token}")).header("Referer", referer).send().await;
    assert_eq!(
        (upstream.last().target(), upstream.last().header("referer")),
        ("/handed", Some("http://portal.test/handed?a=1"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_forward_the_token() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("path = \"/optional\"", "path = \"/optional\"\nforward_token = true");
    let door = Door::start(&text).await;
    let token = ACME.token("maya");
    door.get("/optional").bearer(&token).send().await;
    assert_eq!(upstream.last().header("authorization"), Some(format!("Bearer {token}").as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarding_headers_are_rebuilt_unless_a_trusted_proxy_sent_them() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let names = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Uri",
        "X-Forwarded-Prefix",
        "X-Forwarded-Port",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Real-IP",
        "Forwarded",
        "X_Forwarded_For",
    ];
    let ask = |door: &Door| {
        names.iter().fold(door.get("/").bearer(ACME.token("maya")), |ask, name| ask.header(name, "evil.test"))
    };
    assert_eq!(ask(&door).send().await.status, 200);
    let seen = upstream.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(
        (seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
        (Some("http"), Some("portal.test"))
    );
    assert!(!String::from_utf8_lossy(&seen.raw).contains("evil"));

    let trusting =
        Door::start(&format!("[listen]\ntrusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n{}", config(&upstream)))
            .await;
    let ask = trusting.get("/").bearer(ACME.token("maya")).header("X-Forwarded-For", "203.0.113.9, 10.1.2.3");
    ask.header("X-Forwarded-Proto", "https")
        .header("X-Forwarded-Host", "public.test")
        .header("X_Forwarded_For", "evil")
        .header("X--Forwarded-For", "evil")
        .header("XForwardedHost", "evil")
        .send()
        .await;
    let seen = upstream.last();
    assert_eq!(seen.header("x-forwarded-for"), Some("203.0.113.9, 10.1.2.3, 127.0.0.1"));
    assert_eq!(
        (seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
        (Some("https"), Some("public.test"))
    );
    assert!(!String::from_utf8_lossy(&seen.raw).contains("evil"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_has_an_id_and_a_trace_is_passed_on() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let ask = door.get("/").bearer(ACME.token("maya")).header("X-Request-Id", "mine").header("traceparent", trace);
    let answer = ask.send().await;
    let id = answer.header("x-request-id").unwrap();
    assert_eq!((upstream.last().header("x-request-id"), id.len()), (Some(id), 32));
    assert_eq!(upstream.last().header("traceparent"), Some(trace));
    let denied = door.get("/").send().await;
    assert_eq!(denied.header("x-request-id"), denied.json()["request_id"].as_str());
    assert_ne!(denied.header("x-request-id"), Some(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_known_callers_are_private_and_our_cookies_are_ours() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nVary: Accept\r\nSet-Cookie: sid=1; Path=/\r\n\
        Set-Cookie: __Host-vestibule=evil; Path=/\r\nSet-Cookie: =__Host-vestibule=evil; Path=/\r\nSet-Cookie:  __Host-vestibule =; Max-Age=0\r\nKeep-Alive: timeout=5\r\n\r\n";
    let upstream = Upstream::answering(answer).await;
    let door = Door::start(&config(&upstream)).await;
    let known = door.get("/").bearer(ACME.token("maya")).send().await;
    assert_eq!(known.header("cache-control"), Some("private"));
    let vary: Vec<&str> = known.headers("vary").collect();
    assert_eq!(vary, ["Accept", "Cookie, Authorization, Origin"]);
    assert_eq!(known.headers("set-cookie").collect::<Vec<_>>(), ["sid=1; Path=/"]);
    assert_eq!(known.header("keep-alive"), None);
    let anonymous = door.get("/public").send().await;
    assert_eq!(anonymous.header("cache-control"), None);
    let cached = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: max-age=60\r\n\r\n").await;
    let door = Door::start(&config(&cached)).await;
    assert_eq!(door.get("/").bearer(ACME.token("maya")).send().await.header("cache-control"), Some("max-age=60"));
}

/// What the back button would show after a sign-out is not stored; what a page consists of is as cacheable as the app says.
#[tokio::test(flavor = "multi_thread")]
async fn pages_for_a_session_are_not_stored_whatever_the_app_says() {
    const STORED: &str = "private, no-store";
    for (kind, said, page, part) in [
        ("text/html", "", STORED, STORED),
        ("text/html; charset=utf-8", "max-age=60", STORED, STORED),
        ("Text/HTML", "private, max-age=600", STORED, STORED),
        ("text/html", "no-cache", STORED, STORED),
        ("text/html", "public, immutable", STORED, STORED),
        ("text/html", "no-store, no-transform", "no-store, no-transform", "no-store, no-transform"),
        ("application/xhtml+xml", "max-age=60", STORED, STORED),
        ("application/pdf", "max-age=60", STORED, "max-age=60"),
        ("application/json", "private, max-age=60", STORED, "private, max-age=60"),
        ("image/png", "", STORED, "private"),
        ("text/htmlx", "max-age=60", STORED, "max-age=60"),
    ] {
        let line = if said.is_empty() { String::new() } else { format!("Cache-Control: {said}\r\n") };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{line}Content-Length: 0\r\n\r\n");
        let upstream = Upstream::answering(&answer).await;
        let door = Door::start(&config(&upstream)).await;
        let session = door.session(&ACME.token("maya")).await;
        let ask =
            |path: &str, mode: &str| door.get(path).header("Sec-Fetch-Mode", mode).cookie(COOKIE, &session).send();
        for (mode, expected) in [("navigate", page), ("no-cors", part), ("cors", part)] {
            let answer = ask("/", mode).await;
            assert_eq!(answer.headers("cache-control").collect::<Vec<_>>(), [expected], "{kind} {said} {mode}");
        }
        // The shell of a public page whose scripts use the session.
        assert_eq!(ask("/public", "navigate").await.header("cache-control"), Some(page), "{kind} {said}");
        let nobody = door.get("/public").header("Sec-Fetch-Mode", "navigate").send().await;
        assert_eq!(nobody.header("cache-control").unwrap_or_default(), said, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shared_cache_keeps_somebodys_cookie() {
    let public =
        Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: public, max-age=600\r\n\r\n").await;
    let door = Door::start(&config(&public).replace("[session]", "[session]\nidle = \"10m\"")).await;
    let session = door.session(&ACME.token("maya")).await;
    door.clock.advance(300);
    let renewed = door.get("/").cookie(COOKIE, &session).send().await;
    assert!(renewed.cookie(COOKIE).is_some());
    assert_eq!(renewed.header("cache-control"), Some("private, no-store"));
    let cleared = door.get("/optional").cookie(COOKIE, "dead").send().await;
    assert_eq!(
        (cleared.cookie(COOKIE).as_deref(), cleared.header("cache-control")),
        (Some(""), Some("private, no-store"))
    );
    let nobody = door.get("/optional").send().await;
    assert_eq!(nobody.header("vary"), Some("Cookie, Authorization, Origin"), "the same page is there for somebody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_leaves_the_other_servers() {
    let upstream = Upstream::start().await;
    let servers = format!("servers = [\"nowhere.invalid:80\", \"{}\"]", upstream.address);
    let text = config(&upstream).replace(&format!("servers = [\"{}\"]", upstream.address), &servers);
    let door = Door::start(&text).await;
    for _ in 0..3 {
        assert_eq!(door.get("/").bearer(ACME.token("maya")).send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_and_the_hosts_name_go_through() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let body: Vec<u8> = (0..200_000_u32).map(|i| i as u8).collect();
    let answer = door.post("/upload").bearer(ACME.token("maya")).body(body.clone()).send().await;
    assert_eq!(answer.status, 200);
    assert!(upstream.last().body == body);
    assert_eq!(upstream.last().header("host"), Some("portal.test"));
    let renamed = config(&upstream).replace("[upstreams.app]", "[upstreams.app]\nhost = \"internal.test\"");
    let door = Door::start(&renamed).await;
    door.get("/").bearer(ACME.token("maya")).send().await;
    assert_eq!(upstream.last().header("host"), Some("internal.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_takes_over_with_the_same_identity() {
    let (one, other) = (Upstream::start().await, Upstream::start().await);
    // A port that nothing listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = format!("servers = [\"{dead}\", \"{}\"]", other.address);
    let text = config(&one).replace(&format!("servers = [\"{}\"]", one.address), &servers);
    for balance in ["round_robin", "least_requests"] {
        let door =
            Door::start(&text.replace("[upstreams.app]", &format!("[upstreams.app]\nbalance = \"{balance}\""))).await;
        for _ in 0..4 {
            let answer = door.post("/").header("X-User-Id", "admin").bearer(ACME.token("maya")).body("x").send().await;
            assert_eq!(answer.status, 200, "{balance}");
            assert_eq!(other.last().identity(), ("maya", "acme", "agent"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_the_app_has_just_closed_costs_a_reader_nothing() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                // Reads the next request and hangs up without a word.
                let _ = stream.read(&mut buffer).await;
            });
        }
    });
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream).replace(&upstream.address.to_string(), &address.to_string())).await;
    for _ in 0..6 {
        assert_eq!(door.get("/").bearer(ACME.token("maya")).send().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_upgrade_but_a_websocket_waits_longer_than_the_route_says() {
    let silent = Upstream::answering("").await;
    let text = two_tenants(&silent, "[[routes]]\npath = \"/\"\nupstream = \"app\"\nresponse_timeout = \"1s\"", "");
    let door = Door::start(&text).await;
    let answer = door.get("/").bearer(ACME.token("maya")).header("Upgrade", "foo").send().await;
    assert_eq!(answer.code(), "upstream_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_may_not_name_what_we_rebuild() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    for value in ["X-Forwarded-For", "Host", "\"bad\"", "a b"] {
        let answer = door.get("/").header("Connection", value).bearer(ACME.token("maya")).send().await;
        assert_eq!(answer.code(), "bad_request", "{value}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_a_server_too() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        let knows = String::from_utf8_lossy(&request[..length]).to_lowercase().contains("x-user-id: maya");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{knows}", knows.to_string().len());
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace(&upstream.address.to_string(), &format!("unix:{}", path.display()));
    let door = Door::start(&text).await;
    assert_eq!(door.get("/").bearer(ACME.token("maya")).send().await.text(), "true");
}
