//! Section by section, the decision: head, route, tenant, credential, session, roles.

use serde_json::json;

use crate::support::{Ask, Client, Door, Issuer, Upstream, config, two_tenants};

const ACME: Issuer = Issuer::ACME;

#[tokio::test(flavor = "multi_thread")]
async fn a_good_token_passes_and_the_app_is_told_who_calls() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let answer = door.get("/tickets?page=2").bearer(ACME.token("maya")).send().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let seen = upstream.last();
    assert_eq!(seen.identity(), ("maya", "acme", "agent"));
    assert_eq!(seen.header("x-user-email"), Some("maya@acme.example"));
    assert_eq!(seen.header("x-plan"), Some("pro"));
    assert_eq!(seen.header("x-user-name"), None);
    assert_eq!(seen.line, "GET /tickets?page=2 HTTP/1.1");
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_passes_as_its_token_did_and_outlives_it() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let session = door.session(&ACME.token("maya")).await;
    door.clock.advance(3_600);
    let answer = door.get("/tickets").cookie("__Host-vestibule", &session).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
    door.clock.advance(12 * 3_600);
    let answer = door.get("/tickets").cookie("__Host-vestibule", &session).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_heads_are_refused_before_the_app_sees_them() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    for target in [
        "/public/../tickets",
        "/public/%2e%2e/tickets",
        "/public/..;/tickets",
        "/public/%2E./x",
        "//tickets",
        "/a//b",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a%00b",
        "/a\\b",
        "/a%252e%252e/b",
        "/public/%c0%ae%c0%ae/x",
        "/a%zz",
        "/a#b",
        "tickets",
        "*",
        "http://evil.test/x",
        "http://portal.test@evil.test/x",
    ] {
        let answer = door.get(target).bearer(&token).send().await;
        assert_eq!(answer.status, 400, "{target}");
    }
    for host in
        ["", "a.test, portal.test", "portal.test:99999", "portal.test@evil", "portal.test.", "portal test", "[::1"]
    {
        let answer = door.get("/tickets").host(host).bearer(&token).send().await;
        assert_eq!(answer.status, 400, "host {host:?}");
    }
    let mut client = Client::connect(door.address).await;
    client.send(format!("GET / HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes()).await;
    assert_eq!(client.receive(false).await.map(|answer| answer.status), Some(400), "no host");
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_one_end() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    for framing in [
        "Content-Length: 5, 5",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 05",
        "Content-Length: +5",
        "Content-Length: ",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: identity, chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
    ] {
        let mut client = Client::connect(door.address).await;
        let head =
            format!("POST / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {token}\r\n{framing}\r\n\r\n");
        client.send(format!("{head}0\r\n\r\n").as_bytes()).await;
        if let Some(answer) = client.receive(false).await {
            assert_eq!(answer.status, 400, "{framing}");
        }
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(door.post("/").bearer(&token).header("Content-Length", "0").send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn absolute_form_for_this_host_is_forwarded_as_a_path() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let answer = door.get("http://portal.test/tickets?x=1").bearer(ACME.token("maya")).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(upstream.last().target(), "/tickets?x=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_endpoints_are_never_proxied_in_any_spelling() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    for target in
        ["/_auth", "/_auth/", "/_auth/nothing", "/_AUTH/exchange", "/%5fauth/x", "/%255Fauth/x", "/_auth;a=b/exchange"]
    {
        let answer = door.get(target).bearer(ACME.token("maya")).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_route"), "{target}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_does_what_it_says() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    let (bad, dead) = (ACME.with(json!({ "exp": 1 })), "AAAA");

    assert_eq!(door.get("/public/x").send().await.status, 200);
    assert!(upstream.last().is_anonymous());
    assert_eq!(door.get("/public/x").bearer(&token).send().await.status, 200);
    assert!(upstream.last().is_anonymous(), "public is anonymous whatever the request carries");
    assert_eq!(door.get("/public").bearer(&bad).send().await.status, 200);

    assert_eq!(door.get("/optional").send().await.status, 200);
    assert!(upstream.last().is_anonymous());
    assert_eq!(door.get("/optional").bearer(&token).send().await.status, 200);
    assert_eq!(upstream.last().identity().0, "maya");
    assert_eq!(door.get("/optional").bearer(&bad).send().await.status, 401);
    let answer = door.get("/optional").cookie("__Host-vestibule", dead).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.cookie("__Host-vestibule").as_deref(), Some(""), "the dead cookie is cleared");
    assert!(upstream.last().is_anonymous());

    let count = upstream.seen().len();
    let answer = door.get("/closed/x").bearer(&token).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"));
    let answer = door.get("/publicity").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "a prefix ends at a segment");
    assert_eq!(upstream.seen().len(), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_any_of_and_no_spelling_of_the_path_avoids_them() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    assert_eq!(door.get("/agents/x").bearer(&token).send().await.status, 200);
    for target in ["/staff", "/staff/x", "/%73taff", "/st%61ff/x"] {
        let answer = door.get(target).bearer(&token).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "role_required"), "{target}");
    }
    assert_eq!(door.get("/staff;x=1/y").bearer(&token).send().await.status, 400);
    let session = door.session(&token).await;
    assert_eq!(door.get("/staff").cookie("__Host-vestibule", &session).send().await.code(), "role_required");
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_belong_to_the_route() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    assert_eq!(door.get("/read-only").bearer(&token).send().await.status, 200);
    assert_eq!(door.ask("HEAD", "/read-only").bearer(&token).send().await.status, 200);
    for (method, target) in [("POST", "/read-only"), ("TRACE", "/tickets"), ("TRACK", "/tickets")] {
        let answer = door.ask(method, target).bearer(&token).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (405, "method_not_allowed"), "{method}");
        assert!(answer.header("allow").is_some());
    }
    assert_eq!(door.ask("get", "/read-only").bearer(&token).send().await.status, 405, "methods tell case apart");
    door.get("/elsewhere").header("X_HTTP_Method_Override", "POST").bearer(&token).send().await;
    assert_eq!(upstream.last().header("x_http_method_override"), None, "also where the route is for all methods");
    door.get("/read-only").header("X-HTTP-Method-Override", "DELETE").bearer(&token).send().await;
    assert_eq!(upstream.last().header("x-http-method-override"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_chooses_the_tenant_and_its_keys_alone() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let globex = Issuer::GLOBEX.token("gil");
    assert_eq!(door.get("/").host("GLOBEX.test:80").bearer(&globex).send().await.status, 200);
    assert_eq!(upstream.last().identity(), ("gil", "globex", "agent"));
    let answer = door.get("/").bearer(&globex).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (403, "tenant_mismatch"));
    let answer = door.get("/").bearer(ACME.with(json!({ "tenantId": "globex" }))).send().await;
    assert_eq!(answer.code(), "tenant_mismatch");
    // Claims of one tenant under the key of the other: no tenant signed this.
    let forged = Issuer { tenant: "acme", ..Issuer::GLOBEX }.token("maya");
    assert_eq!(door.get("/").bearer(forged).send().await.code(), "token_invalid");
    let answer = door.get("/").host("unknown.test").bearer(ACME.token("maya")).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "no_route"));
    // A session of one tenant is nothing at the host of another.
    let session = door.session(&ACME.token("maya")).await;
    let answer = door.get("/").host("globex.test").cookie("__Host-vestibule", &session).send().await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "session_invalid"));
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_several_tenants_remain_the_token_says_which() {
    let upstream = Upstream::start().await;
    let text = config(&upstream)
        .replace(r#"hosts = ["portal.test", "acme.test"]"#, "")
        .replace(r#"hosts = ["globex.test"]"#, "");
    let door = Door::start(&text).await;
    for issuer in [ACME, Issuer::GLOBEX] {
        assert_eq!(door.get("/").bearer(issuer.token("u")).send().await.status, 200);
        assert_eq!(upstream.last().identity(), ("u", issuer.tenant, "agent"));
        let session = door.session(&issuer.token("u")).await;
        assert_eq!(door.get("/").cookie("__Host-vestibule", &session).send().await.status, 200);
        assert_eq!(upstream.last().identity(), ("u", issuer.tenant, "agent"));
    }
    let nobody = Issuer { tenant: "initech", ..ACME }.token("u");
    assert_eq!(door.get("/").bearer(nobody).send().await.code(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_name_its_tenant() {
    let upstream = Upstream::start().await;
    let routes = "[[routes]]\npath = \"/\"\nupstream = \"app\"\n[[routes]]\npath = \"/g\"\ntenant = \"globex\"\nupstream = \"app\"";
    let door = Door::start(&two_tenants(&upstream, routes, "")).await;
    assert_eq!(door.get("/g/x").bearer(Issuer::GLOBEX.token("gil")).send().await.status, 200);
    assert_eq!(door.get("/g/x").bearer(ACME.token("maya")).send().await.code(), "tenant_mismatch");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_credential_of_a_kind_and_the_first_kind_counts() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let (token, other) = (ACME.token("maya"), ACME.token("tom"));
    let session = door.session(&ACME.token("tom")).await;
    let expired = ACME.with(json!({ "iat": 0, "exp": 1 }));

    let two = door.get("/").bearer(&token).bearer(&other).send().await;
    assert_eq!((two.status, two.code().as_str()), (400, "credential_ambiguous"));
    let two = door.get(&format!("/handed?access_token={token}&access_token={other}")).send().await;
    assert_eq!(two.code(), "credential_ambiguous");
    let cookies = format!("__Host-vestibule={session}; a=b; __Host-vestibule={session}");
    assert_eq!(door.get("/").header("Cookie", cookies).send().await.code(), "credential_ambiguous");
    let two = door.get("/").header("Sec-WebSocket-Protocol", format!("bearer.{token}, bearer.{other}")).send().await;
    assert_eq!(two.code(), "credential_ambiguous");

    door.get("/").bearer(&token).cookie("__Host-vestibule", &session).send().await;
    assert_eq!(upstream.last().identity().0, "maya", "the bearer comes before the cookie");
    let answer = door.get("/").bearer(&expired).cookie("__Host-vestibule", &session).send().await;
    assert_eq!(answer.code(), "token_expired", "a bad bearer does not fall through");
    door.get(&format!("/handed?access_token={token}&b=1")).cookie("__Host-vestibule", &session).send().await;
    assert_eq!((upstream.last().identity().0, upstream.last().target()), ("maya", "/handed?b=1"));
    door.get("/").header("Sec-WebSocket-Protocol", format!("chat, bearer.{token}")).send().await;
    assert_eq!(
        (upstream.last().identity().0, upstream.last().header("sec-websocket-protocol")),
        ("maya", Some("chat"))
    );
    // A token is no session, and a session no token, wherever it was seen before.
    assert_eq!(door.get("/").cookie("__Host-vestibule", &token).send().await.code(), "session_invalid");
    assert_eq!(door.get("/").bearer(&session).send().await.code(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_the_query_counts_where_a_script_reads_and_nowhere_else() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    let session = door.session(&ACME.token("tom")).await;
    let target = format!("/handed/x?a=1&access_token={token}");
    let with = |ask: Ask, lines: &[(&str, &str)]| lines.iter().fold(ask, |ask, (name, value)| ask.header(name, value));
    let by_script: [&[(&str, &str)]; 6] = [
        &[],
        &[("Accept", "*/*")],
        &[("Accept", "text/event-stream"), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty")],
        &[("Sec-Fetch-Mode", "same-origin"), ("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Mode", "websocket"), ("Sec-Fetch-Dest", "websocket"), ("Origin", "http://portal.test")],
        &[("Accept", "application/json")],
    ];
    for lines in by_script {
        for method in ["GET", "HEAD"] {
            let ask = with(door.ask(method, &target), lines).cookie("__Host-vestibule", &session);
            assert_eq!(ask.send().await.status, 200, "{lines:?}");
            assert_eq!(
                (upstream.last().identity().0, upstream.last().target()),
                ("maya", "/handed/x?a=1"),
                "{lines:?}"
            );
        }
    }
    let others: [(&str, &[(&str, &str)]); 16] = [
        ("GET", &[("Accept", "text/html,*/*;q=0.8")]),
        ("GET", &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")]),
        ("GET", &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Site", "cross-site")]),
        ("GET", &[("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "empty")]),
        ("GET", &[("Sec-Fetch-Dest", "embed")]),
        ("GET", &[("Sec-Fetch-Dest", "object")]),
        ("GET", &[("Sec-Fetch-Dest", "frame")]),
        ("HEAD", &[("Accept", "text/html")]),
        ("GET", &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Site", "same-origin")]),
        ("GET", &[("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "script")]),
        ("GET", &[("Accept", "image/webp,*/*")]),
        ("GET", &[("X-HTTP-Method-Override", "DELETE")]),
        ("POST", &[]),
        ("PUT", &[("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"), ("Origin", "http://portal.test")]),
        ("DELETE", &[]),
        ("POST", &[("X-HTTP-Method-Override", "GET")]),
    ];
    for (method, lines) in others {
        let ask = || with(door.ask(method, &target), lines);
        let before = upstream.seen().len();
        let refused = ask().send().await;
        assert!([303, 401].contains(&refused.status), "{method} {lines:?} {}", refused.text());
        assert_eq!(upstream.seen().len(), before);
        // The next kind counts, and the app sees no token all the same.
        assert_eq!(ask().cookie("__Host-vestibule", &session).send().await.status, 200, "{method} {lines:?}");
        assert_eq!((upstream.last().identity().0, upstream.last().target()), ("tom", "/handed/x?a=1"), "{lines:?}");
        // Nor does it refuse what it is not for.
        let twice = with(door.ask(method, &format!("{target}&access_token=x")), lines);
        assert_eq!(twice.cookie("__Host-vestibule", &session).send().await.status, 200, "{method} {lines:?}");
    }
    let hidden = door.get(&format!("{target}&_method=DELETE")).send().await;
    assert_eq!(hidden.code(), "token_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn bearers_are_spelled_one_way_but_for_the_case_of_the_scheme() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = ACME.token("maya");
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert_eq!(door.get("/").header("Authorization", format!("{scheme} {token}")).send().await.status, 200);
    }
    for value in
        [format!("Bearer {token}, Bearer {token}"), format!("Bearer\t{token}"), "Bearer".into(), "Bearer ".into()]
    {
        let answer = door.get("/").header("Authorization", &value).send().await;
        assert_eq!(answer.code(), "token_invalid", "{}", value.len());
    }
    for value in [format!("Token {token}"), token.clone(), "Basic dXNlcjpwYXNz".into()] {
        let answer = door.get("/").header("Authorization", &value).send().await;
        assert_eq!(answer.code(), "token_missing", "another scheme is no credential of ours");
    }
    let session = door.session(&token).await;
    door.get("/").header("Authorization", "Basic dXNlcjpwYXNz").cookie("__Host-vestibule", &session).send().await;
    assert_eq!(upstream.last().header("authorization"), Some("Basic dXNlcjpwYXNz"), "Basic is the app's own business");
}

#[tokio::test(flavor = "multi_thread")]
async fn report_only_forwards_what_it_would_refuse_without_identity() {
    let upstream = Upstream::start().await;
    let routes =
        "[[routes]]\npath = \"/\"\nupstream = \"app\"\nroles = [\"admin\"]\nreport_only = true\nhandoff_param = \"t\"";
    let door = Door::start(&two_tenants(&upstream, routes, "")).await;
    for ask in [
        door.get("/"),
        door.get("/").bearer("rubbish"),
        door.get("/").bearer(ACME.token("maya")),
        door.get("/?t=rubbish").navigating(),
    ] {
        assert_eq!(ask.header("X-User-Id", "admin").send().await.status, 200);
        assert!(upstream.last().is_anonymous());
        assert_eq!(upstream.last().header("authorization"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_ends_and_a_used_one_is_renewed() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("[session]", "[session]\nidle = \"10m\"");
    let door = Door::start(&text).await;
    let first = door.session(&ACME.token("maya")).await;
    let answer = door.get("/").cookie("__Host-vestibule", &first).send().await;
    assert_eq!(answer.cookie("__Host-vestibule"), None, "not more than once a minute");
    door.clock.advance(500);
    let answer = door.get("/").cookie("__Host-vestibule", &first).send().await;
    let renewed = answer.cookie("__Host-vestibule").expect("used again after a while");
    door.clock.advance(500);
    assert_eq!(door.get("/").cookie("__Host-vestibule", &first).send().await.code(), "session_expired");
    assert_eq!(door.get("/").cookie("__Host-vestibule", &renewed).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_idle_time_is_renewed_in_time() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream).replace("[session]", "[session]\nidle = \"4s\"")).await;
    let mut session = door.session(&ACME.token("maya")).await;
    for _ in 0..10 {
        door.clock.advance(2);
        let answer = door.get("/").cookie("__Host-vestibule", &session).send().await;
        assert_eq!(answer.status, 200, "in use all the time");
        session = answer.cookie("__Host-vestibule").unwrap_or(session);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_one_host_with_cookies_of_their_own_do_not_lock_each_other_out() {
    let upstream = Upstream::start().await;
    let text = config(&upstream)
        .replace("[session]", "[session]\ncookie = \"__Host-v-{tenant}\"")
        .replace("hosts = [\"globex.test\"]", "hosts = [\"portal.test\"]");
    let door = Door::start(&text).await;
    let (ours, theirs) = ("__Host-v-acme", "__Host-v-globex");
    let maya = door.exchange(&ACME.token("maya")).await.cookie(ours).unwrap();
    let both = |one: &str, other: &str| door.get("/").header("Cookie", format!("{ours}={one}; {theirs}={other}"));
    assert_eq!(both(&maya, "dead").send().await.status, 200, "a dead one does not count");
    assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));

    let switched = door.post("/_auth/exchange").bearer(Issuer::GLOBEX.token("gil")).cookie(ours, &maya).send().await;
    assert_eq!(
        (switched.status, switched.cookie(ours).as_deref()),
        (200, Some("")),
        "the other tenant's session is cleared"
    );
    let gil = switched.cookie(theirs).unwrap();
    assert_eq!(both(&maya, &gil).send().await.status, 200, "and has ended");
    assert_eq!(upstream.last().identity(), ("gil", "globex", "agent"));

    let ada = door.exchange(&ACME.token("ada")).await.cookie(ours).unwrap();
    assert_eq!(both(&ada, &gil).send().await.code(), "credential_ambiguous", "two live ones are two of a kind");
    let out = door.post("/_auth/logout").header("Cookie", format!("{ours}={ada}; {theirs}=junk")).send().await;
    assert_eq!((out.cookie(ours).as_deref(), out.cookie(theirs).as_deref()), (Some(""), Some("")));
    let origin =
        door.post("/_auth/logout").header("Origin", "https://app.acme.example").cookie(ours, &ada).send().await;
    assert_eq!(origin.status, 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn session_keys_rotate_without_signing_anyone_out() {
    let upstream = Upstream::start().await;
    let keys = |ids: &str| config(&upstream).replace(r#"{ id = "s1", env = "SESSION" }"#, ids);
    let old = Door::start(&keys(r#"{ id = "old", env = "OLD_SESSION" }"#)).await;
    let both = Door::start(&keys(r#"{ id = "new", env = "SESSION" }, { id = "old", env = "OLD_SESSION" }"#)).await;
    let new = Door::start(&keys(r#"{ id = "new", env = "SESSION" }"#)).await;
    let session = old.session(&ACME.token("maya")).await;
    assert_eq!(both.get("/").cookie("__Host-vestibule", &session).send().await.status, 200);
    assert_eq!(new.get("/").cookie("__Host-vestibule", &session).send().await.code(), "session_invalid");
    let session = both.session(&ACME.token("maya")).await;
    assert_eq!(new.get("/").cookie("__Host-vestibule", &session).send().await.status, 200);
}
