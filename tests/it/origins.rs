//! One list of origins for each tenant: who may write by cookie, read answers, and show pages in a frame.

use crate::support::{Answer, Ask, Door, Issuer, Upstream, config, two_tenants};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";
const EMBEDDED: &str = "__Host-vestibule-embedded";
const CUSTOMER: &str = "https://app.acme.example";
const FOREIGN: [&str; 7] = [
    "https://evil.test",
    "null",
    "https://app.acme.example.evil.test",
    "https://evilapp.acme.example",
    "http://app.acme.example",
    "https://app.acme.example:444",
    "https://APP.acme.example",
];

async fn door_before(answer: &str) -> (Upstream, Door) {
    let upstream = Upstream::answering(answer).await;
    let door = Door::start(&config(&upstream)).await;
    (upstream, door)
}

async fn door() -> (Upstream, Door) {
    door_before("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
}

fn reader(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

fn varies_by_origin(answer: &Answer) -> bool {
    answer.headers("vary").flat_map(|vary| vary.split(',')).any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

fn handshake(ask: Ask) -> Ask {
    ask.header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_of_the_tenants_pages_are_answered_and_the_app_hears_of_none() {
    let (upstream, door) = door().await;
    for (path, method) in [
        ("/tickets", "GET"),
        ("/tickets", "DELETE"),
        ("/public/x", "PUT"),
        ("/read-only", "GET"),
        ("/closed", "POST"),
        ("/_auth/exchange", "POST"),
        ("/_auth/session", "GET"),
    ] {
        let answer = door
            .ask("OPTIONS", path)
            .header("Origin", CUSTOMER)
            .header("Access-Control-Request-Method", method)
            .header("Access-Control-Request-Headers", "authorization,x-thing, bad name")
            .send()
            .await;
        assert_eq!((answer.status, reader(&answer)), (204, Some(CUSTOMER)), "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.header("access-control-allow-methods"), Some(method));
        assert_eq!(answer.header("access-control-allow-headers"), Some("authorization, x-thing"));
        assert_eq!(answer.header("access-control-max-age"), Some("600"));
        assert!(varies_by_origin(&answer) && answer.body.is_empty());
    }
    for origin in FOREIGN {
        for path in ["/tickets", "/public/x", "/_auth/exchange"] {
            let ask = door.ask("OPTIONS", path).header("Origin", origin).header("Access-Control-Request-Method", "GET");
            let answer = ask.send().await;
            assert_eq!((answer.code().as_str(), reader(&answer)), ("origin_not_allowed", None), "{origin}");
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_options_that_is_no_preflight_is_a_request_like_any_other() {
    let (upstream, door) = door().await;
    let ask = || door.ask("OPTIONS", "/tickets").header("Origin", CUSTOMER);
    assert_eq!(ask().send().await.code(), "token_missing");
    assert_eq!(ask().bearer(ACME.token("maya")).send().await.status, 200);
    let own = door.ask("OPTIONS", "/tickets").header("Origin", "http://portal.test");
    assert_eq!(own.header("Access-Control-Request-Method", "GET").send().await.code(), "token_missing");
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_origins_cors_is_the_apps_own_business() {
    let answer = "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nContent-Security-Policy: frame-ancestors x\r\n\
                  X-Frame-Options: DENY\r\nContent-Length: 2\r\n\r\nok";
    let (upstream, door) = door_before(answer).await;
    let token = Issuer::GLOBEX.token("gil");
    let ask = door.get("/tickets").host("globex.test").header("Origin", "https://evil.test").bearer(token);
    let answer = ask.send().await;
    assert_eq!(reader(&answer), Some("*"));
    assert_eq!(answer.header("content-security-policy"), Some("frame-ancestors x"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    let preflight = door.ask("OPTIONS", "/public/x").host("globex.test").header("Origin", "https://evil.test");
    let answer = preflight.header("Access-Control-Request-Method", "GET").send().await;
    assert_eq!((answer.status, reader(&answer), upstream.seen().len()), (200, Some("*"), 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_carry_one_origin_whatever_the_app_sends() {
    for from_app in [
        "",
        "Access-Control-Allow-Origin: *\r\n",
        "Access-Control-Allow-Origin: https://evil.test\r\nAccess-Control-Allow-Credentials: true\r\n",
        "Access-Control-Allow-Origin: https://app.acme.example\r\nAccess-Control-Allow-Origin: *\r\n",
    ] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{from_app}Access-Control-Expose-Headers: X-Total\r\nContent-Length: 2\r\n\r\nok"
        );
        let (_upstream, door) = door_before(&answer).await;
        let session = door.session(&ACME.token("maya")).await;
        let asks: [(&str, &dyn Fn(Ask) -> Ask); 4] = [
            ("/tickets", &|ask| ask.bearer(ACME.token("maya"))),
            ("/tickets", &|ask| ask.cookie(COOKIE, &session)),
            ("/public/x", &|ask| ask),
            ("/optional", &|ask| ask),
        ];
        for (path, with) in asks {
            let answer = with(door.get(path)).header("Origin", CUSTOMER).send().await;
            assert_eq!((answer.status, reader(&answer)), (200, Some(CUSTOMER)), "{path} {from_app:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
            let exposed = answer.headers("access-control-expose-headers").collect::<Vec<_>>().join(", ");
            assert!(["WWW-Authenticate", "X-Request-Id", "X-Total"].iter().all(|name| exposed.contains(name)));
            assert!(varies_by_origin(&answer));
            for origin in FOREIGN {
                let ask = with(door.get(path)).header("Origin", origin);
                // A foreign page presents no token.
                let status = if ask.bytes().windows(7).any(|word| word == b"Bearer ") { 403 } else { 200 };
                let answer = ask.send().await;
                assert_eq!((answer.status, reader(&answer)), (status, None), "{path} {origin}");
                assert_eq!(answer.headers("access-control-allow-credentials").count(), 0);
                assert!(varies_by_origin(&answer));
            }
            let answer = with(door.get(path)).send().await;
            assert!(reader(&answer).is_none() && varies_by_origin(&answer), "{path} without an origin");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_are_readable_for_the_tenants_pages_and_for_no_other() {
    let (_upstream, door) = door().await;
    let asks = || {
        [
            (401, door.get("/tickets")),
            (401, door.get("/tickets").bearer("x.y.z")),
            (403, door.get("/staff").bearer(ACME.token("maya"))),
            (403, door.get("/closed")),
            (405, door.post("/read-only")),
            (401, door.get("/_auth/session")),
            (401, door.post("/_auth/exchange").bearer("x.y.z")),
            (404, door.get("/_auth/nothing")),
        ]
    };
    for (status, ask) in asks() {
        let answer = ask.header("Origin", CUSTOMER).send().await;
        assert_eq!((answer.status, reader(&answer)), (status, Some(CUSTOMER)));
        assert!(answer.header("access-control-expose-headers").is_some_and(|names| names.contains("WWW-Authenticate")));
    }
    for origin in FOREIGN {
        for (_, ask) in asks() {
            let answer = ask.header("Origin", origin).send().await;
            assert!(answer.status >= 400 && reader(&answer).is_none(), "{origin}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_nothing_of_another_tenant_at_the_same_host() {
    let upstream = Upstream::start().await;
    let text = two_tenants(&upstream, "[[routes]]\npath = \"/\"\nupstream = \"app\"", "")
        .replace("hosts = [\"globex.test\"]", "hosts = [\"portal.test\"]\norigins = [\"https://globex.example\"]");
    let door = Door::start(&text).await;
    let globex = door.session(&Issuer::GLOBEX.token("gil")).await;
    for path in ["/tickets", "/_auth/session"] {
        for (origin, may) in [(CUSTOMER, None), ("https://globex.example", Some("https://globex.example"))] {
            let answer = door.get(path).header("Origin", origin).cookie(COOKIE, &globex).send().await;
            assert_eq!((answer.status, reader(&answer)), (200, may), "{path} {origin}");
        }
    }
    let foreign = door.post("/tickets").header("Origin", CUSTOMER).cookie(COOKIE, &globex).send().await;
    assert_eq!((foreign.code().as_str(), reader(&foreign)), ("origin_not_allowed", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cookie_vouches_for_is_written_by_our_pages_and_the_tenants_alone() {
    let (upstream, door) = door().await;
    let session = door.session(&ACME.token("maya")).await;
    for method in ["POST", "PUT", "PATCH", "DELETE", "MKCOL", "QUERY"] {
        for path in ["/tickets", "/optional"] {
            let ask = || door.ask(method, path).cookie(COOKIE, &session);
            for origin in ["http://portal.test", "https://portal.test", CUSTOMER] {
                assert_eq!(ask().header("Origin", origin).send().await.status, 200, "{method} {origin}");
            }
            assert_eq!(ask().send().await.status, 200, "no browser");
            let null = ask().header("Origin", "null").header("Sec-Fetch-Site", "same-origin");
            assert_eq!(null.send().await.status, 200, "our own page with no-referrer");
            let before = upstream.seen().len();
            for origin in FOREIGN {
                assert_eq!(ask().header("Origin", origin).send().await.code(), "origin_not_allowed", "{origin}");
            }
            let two = ask().header("Origin", "http://portal.test").header("Origin", "http://portal.test");
            assert_eq!(two.send().await.code(), "origin_not_allowed");
            for site in ["cross-site", "same-site"] {
                assert_eq!(ask().header("Sec-Fetch-Site", site).send().await.code(), "origin_not_allowed");
                let null = ask().header("Origin", "null").header("Sec-Fetch-Site", site);
                assert_eq!(null.send().await.code(), "origin_not_allowed");
            }
            assert_eq!(upstream.seen().len(), before);
        }
    }
    // What is only read, is; by no foreign script, though. A token of a foreign page is not looked at.
    let read = door.get("/tickets").header("Origin", "https://evil.test").cookie(COOKIE, &session).send().await;
    assert_eq!((read.status, reader(&read)), (200, None));
    let written = door.post("/tickets").header("Origin", "https://evil.test").bearer(ACME.token("maya")).send().await;
    assert_eq!((written.code().as_str(), reader(&written)), ("origin_not_allowed", None));
    let public = door.post("/public/x").header("Origin", "https://evil.test").cookie(COOKIE, &session).send().await;
    assert!(public.status == 200 && upstream.last().is_anonymous());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_by_cookie_is_opened_by_our_pages_and_the_tenants_alone() {
    let (upstream, door) = door().await;
    let session = door.session(&ACME.token("maya")).await;
    let ask = || handshake(door.get("/chat")).cookie(COOKIE, &session);
    for origin in FOREIGN {
        assert_eq!(ask().header("Origin", origin).send().await.code(), "origin_not_allowed", "{origin}");
    }
    assert_eq!(ask().send().await.code(), "origin_not_allowed", "browsers always say");
    assert!(upstream.seen().is_empty());
    for origin in ["http://portal.test", CUSTOMER] {
        assert_eq!(ask().header("Origin", origin).send().await.status, 200, "{origin}: the app may answer");
    }
    let token = ACME.token("maya");
    let by_token_from = |token: &str, origin: &str| {
        let ask = handshake(door.get("/chat")).header("Sec-WebSocket-Protocol", format!("chat, bearer.{token}"));
        ask.header("Origin", origin).send()
    };
    for origin in FOREIGN {
        assert_eq!(by_token_from(&token, origin).await.code(), "origin_not_allowed", "{origin}");
    }
    let by_token = |token: &str| by_token_from(token, CUSTOMER);
    let answer = by_token(&token).await;
    assert!(answer.status == 200 && !String::from_utf8_lossy(&answer.raw).contains(&token), "it is not echoed");
    let expired = ACME.with(serde_json::json!({ "iat": 0, "exp": 60 }));
    for refused in ["x.y.z", &expired] {
        let answer = by_token(refused).await;
        assert!(answer.status == 401 && !String::from_utf8_lossy(&answer.raw).contains(refused));
    }
    assert_eq!(handshake(door.get("/chat")).send().await.code(), "token_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_framed_by_the_tenants_pages_alone_whatever_the_app_says() {
    let ours = "frame-ancestors 'self' https://app.acme.example";
    for (from_app, kept) in [
        ("", vec![]),
        ("X-Frame-Options: DENY\r\n", vec![]),
        ("Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n", vec!["default-src 'self'"]),
        ("Content-Security-Policy: frame-ancestors *\r\nContent-Security-Policy: img-src *\r\n", vec!["img-src *"]),
    ] {
        // Browsers make pages of more than HTML, and guess.
        for kind in ["text/html; charset=utf-8", "image/svg+xml", "application/xml", "*/*", "application/pdf", ""] {
            let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
            let answer = format!("HTTP/1.1 200 OK\r\n{kind}{from_app}Content-Length: 2\r\n\r\nok");
            let (_upstream, door) = door_before(&answer).await;
            for ask in [door.get("/tickets").bearer(ACME.token("maya")), door.get("/public/x")] {
                let answer = ask.send().await;
                let policies: Vec<&str> = answer.headers("content-security-policy").collect();
                let wanted: Vec<&str> = kept.iter().copied().chain([ours]).collect();
                assert_eq!((policies, answer.header("x-frame-options")), (wanted, None), "{from_app}");
            }
        }
    }
    let (_upstream, door) = door().await;
    let page = door.get("/tickets").navigating().send().await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.ends_with(ours) && policy.matches("frame-ancestors").count() == 1, "{policy}");
    let page = door.get("/tickets").host("globex.test").navigating().send().await;
    assert!(page.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
}

/// As a browser asks for a page in a frame of another site.
fn in_frame(ask: Ask) -> Ask {
    ask.header("Accept", "text/html,*/*;q=0.8")
        .header("Sec-Fetch-Mode", "navigate")
        .header("Sec-Fetch-Dest", "iframe")
        .header("Sec-Fetch-Site", "cross-site")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_another_site_signs_in_with_a_cookie_of_its_own() {
    let (upstream, door) = door().await;
    let set = |answer: &Answer| answer.headers("set-cookie").map(str::to_owned).collect::<Vec<_>>();
    let token = || ACME.with(serde_json::json!({ "jti": upstream.seen().len() }));
    let by_link = in_frame(door.get(&format!("/handed?token={}", token()))).send().await;
    assert_eq!((by_link.status, by_link.header("location")), (303, Some("/handed")));
    let cookies = set(&by_link);
    assert_eq!(cookies.len(), 1);
    for part in ["; Secure", "; HttpOnly", "; SameSite=None", "; Partitioned", "; Path=/"] {
        assert!(cookies[0].contains(part), "{part} in {}", cookies[0]);
    }
    let value = by_link.cookie(EMBEDDED).unwrap();

    // It vouches as any session does, under its own name alone, and is renewed and cleared as what it is.
    let same = |ask: Ask| ask.header("Sec-Fetch-Dest", "iframe").header("Sec-Fetch-Site", "same-origin");
    assert_eq!(same(door.get("/tickets")).cookie(EMBEDDED, &value).send().await.status, 200);
    assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
    assert!(upstream.last().header("cookie").is_none());
    assert_eq!(door.get("/tickets").cookie(COOKIE, &value).send().await.code(), "session_invalid");
    let own = door.session(&ACME.token("noah")).await;
    assert_eq!(door.get("/tickets").cookie(EMBEDDED, &own).send().await.code(), "session_invalid");
    let write = door.post("/tickets").header("Origin", "https://evil.test").cookie(EMBEDDED, &value);
    assert_eq!(write.send().await.code(), "origin_not_allowed");
    let out = door.post("/_auth/logout").header("Origin", "http://portal.test").cookie(EMBEDDED, &value).send().await;
    let cleared = set(&out).into_iter().find(|set| set.starts_with(EMBEDDED)).unwrap();
    assert!(cleared.contains("Max-Age=0") && cleared.contains("Partitioned"), "{cleared}");
    assert_eq!(door.get("/tickets").cookie(EMBEDDED, &value).send().await.code(), "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_says_embed_gets_the_cookie_of_a_frame() {
    let (upstream, door) = door().await;
    let token = |n: u32| ACME.with(serde_json::json!({ "jti": n }));
    let form = |n| door.post("/_auth/exchange?embed=true").header("Origin", CUSTOMER).form(&[("token", &token(n))]);
    assert!(form(1).send().await.cookie(EMBEDDED).is_some());
    let data = door.post("/_auth/exchange?embed=true").header("Origin", CUSTOMER).bearer(token(2)).send().await;
    assert!(data.cookie(EMBEDDED).is_some() && data.cookie(COOKIE).is_none());
    assert_eq!(data.header("access-control-allow-origin"), Some(CUSTOMER));
    let by_link = door.get(&format!("/handed?token={}&embed=true", token(3))).navigating().send().await;
    assert_eq!(by_link.header("location"), Some("/handed?embed=true"));
    assert!(by_link.cookie(EMBEDDED).is_some());
    // A frame whose first request was another is known by the cookie it came with.
    let value = by_link.cookie(EMBEDDED).unwrap();
    let again = door.get(&format!("/handed?token={}", token(4))).navigating().cookie(EMBEDDED, &value).send().await;
    assert!(again.cookie(EMBEDDED).is_some_and(|again| again != value));
    // Only for tenants that name the pages that may embed them.
    let token = Issuer::GLOBEX.token("gil");
    let other = in_frame(door.get(&format!("/handed?token={token}")).host("globex.test")).send().await;
    assert!(other.cookie(COOKIE).is_some() && other.cookie(EMBEDDED).is_none());
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_in_a_frame_keeps_to_the_frame() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("hosts = [\"portal.test\"", "handoff = \"confirm\"\nhosts = [\"portal.test\"");
    let door = Door::start(&text).await;
    let page = in_frame(door.get(&format!("/handed?token={}", ACME.token("maya")))).send().await;
    assert!(
        page.status == 200 && page.text().replace("&#x2f;", "/").contains("action=\"/_auth/exchange?embed=true\""),
        "{}",
        page.text()
    );
    assert!(page.header("content-security-policy").unwrap().contains(CUSTOMER));
    let page = door.get(&format!("/handed?token={}", ACME.token("maya"))).navigating().send().await;
    assert!(page.text().replace("&#x2f;", "/").contains("action=\"/_auth/exchange\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_client_is_there_for_everybody_and_readable_for_the_tenants_modules() {
    let (upstream, door) = door().await;
    for path in ["/_auth/client.js", "/_auth/client.mjs"] {
        let answer = door.get(path).header("Origin", CUSTOMER).send().await;
        assert_eq!((answer.status, reader(&answer)), (200, Some(CUSTOMER)));
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("cross-origin"));
        assert!(answer.text().contains("Vestibule"));
        assert_eq!(reader(&door.get(path).header("Origin", "https://evil.test").send().await), None);
        assert_eq!(door.post(path).send().await.header("allow"), Some("GET, HEAD"));
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_without_a_session_offers_ways_and_goes_round_in_no_circle() {
    let upstream = Upstream::start().await;
    let login = "login_url = \"https://app.acme.example/login\"\norigins = [\"https://app";
    let door = Door::start(&config(&upstream).replace("origins = [\"https://app", login)).await;
    let alone = door.get("/tickets?page=2").navigating().send().await;
    let location = alone.header("location").unwrap();
    assert!(alone.status == 303 && location.contains("return_to=http%3A%2F%2Fportal.test%2Ftickets%3Fpage%3D2"));
    let framed = in_frame(door.get("/tickets?page=2")).send().await;
    assert_eq!((framed.status, framed.header("location")), (401, None));
    let page = framed.text();
    assert!(page.contains("href=\"\" target=\"_blank\" rel=\"noopener\"") && page.contains("return_to="), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_and_a_frame_of_it_that_share_their_cookies_are_one_user() {
    let (upstream, door) = door().await;
    let exchange = |user: &str, query: &str| {
        let ask = door
            .post(&format!("/_auth/exchange{query}"))
            .bearer(ACME.with(serde_json::json!({ "userId": user, "jti": query })));
        ask.send()
    };
    let own = exchange("maya", "").await.cookie(COOKIE).unwrap();
    let framed = exchange("maya", "?embed=true").await.cookie(EMBEDDED).unwrap();
    let other = exchange("noah", "?embed=true").await.cookie(EMBEDDED).unwrap();
    let both =
        |framed: &str| door.get("/tickets").header("Cookie", format!("{EMBEDDED}={framed}; {COOKIE}={own}")).send();
    assert_eq!(both(&framed).await.status, 200);
    assert_eq!(upstream.last().identity().0, "maya");
    assert_eq!(both(&other).await.code(), "credential_ambiguous");
}
