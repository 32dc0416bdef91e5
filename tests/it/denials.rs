//! Every denial of the closed list, produced through a socket, and what it looks like to scripts and to people.

use std::collections::BTreeSet;

use serde_json::json;
use vestibule::denial::Denial;

use crate::support::{Answer, Client, Door, Issuer, Upstream, config, two_tenants};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

fn assert_is(answer: &Answer, denial: Denial) {
    let wanted = denial.spelling();
    assert_eq!(answer.status, wanted.status, "{denial:?}: {}", answer.text());
    let problem = answer.json();
    let members: BTreeSet<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["code", "detail", "refresh", "request_id", "status", "title", "type"]));
    assert_eq!(answer.code(), wanted.code);
    assert_eq!(problem["title"], wanted.title);
    assert_eq!(problem["refresh"], wanted.refresh);
    assert_eq!(problem["status"], wanted.status);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let challenge = answer.header("www-authenticate");
    match wanted.status {
        401 | 403 => assert!(challenge.unwrap().starts_with("Bearer "), "{challenge:?}"),
        _ => assert_eq!(challenge, None),
    }
    assert_eq!(answer.header("retry-after").is_some(), matches!(wanted.status, 429 | 503));
}

/// All of them but the last few come from one door and, where they can, over one connection that stays usable.
#[tokio::test(flavor = "multi_thread")]
async fn every_denial_can_be_met_and_the_connection_stays_usable() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("path = \"/optional\"", "path = \"/optional\"\nmax_body = \"1KiB\"");
    let door = Door::start(&text).await;
    let (token, now) = (ACME.token("maya"), crate::support::NOW.0);
    let (session, ended) = (door.session(&token).await, door.session(&ACME.token("tom")).await);
    door.post("/_auth/logout").cookie(COOKIE, &ended).send().await;
    let old = Door::start(&text.replace("[session]", "[session]\nlifetime = \"1s\"")).await;
    let short = old.session(&ACME.with(json!({ "jti": "short" }))).await;
    door.clock.advance(2);

    let mut open = Client::connect(door.address).await;
    let cases = [
        (Denial::TokenMissing, door.get("/")),
        (Denial::TokenInvalid, door.get("/").bearer("x.y.z")),
        (Denial::TokenExpired, door.get("/").bearer(ACME.with(json!({ "exp": now - 60, "iat": now - 90 })))),
        (Denial::TokenSpent, door.post("/_auth/exchange").bearer(&token)),
        (Denial::SessionExpired, door.get("/").cookie(COOKIE, &short)),
        (Denial::SessionInvalid, door.get("/").cookie(COOKIE, "rubbish")),
        (Denial::Revoked, door.get("/").cookie(COOKIE, &ended)),
        (Denial::TenantMismatch, door.get("/").bearer(Issuer::GLOBEX.token("gil"))),
        (Denial::RoleRequired, door.get("/staff").cookie(COOKIE, &session)),
        (Denial::OriginNotAllowed, door.post("/_auth/logout").header("Origin", "https://evil.test")),
        (Denial::Forbidden, door.get("/closed")),
        (Denial::BadRequest, door.get("/a//b")),
        (Denial::CredentialAmbiguous, door.get("/").bearer(&token).bearer(&token)),
        (Denial::NoRoute, door.get("/_auth/nothing")),
        (Denial::MethodNotAllowed, door.post("/read-only").bearer(&token).body("x=1")),
        (Denial::PayloadTooLarge, door.post("/optional").bearer(&token).body("x".repeat(2_000))),
    ];
    let mut met = BTreeSet::new();
    for (denial, ask) in cases {
        let answer = ask.send_over(&mut open).await;
        assert_is(&answer, denial);
        assert_ne!(answer.header("connection").map(str::to_lowercase).as_deref(), Some("close"), "{denial:?}");
        met.insert(denial.spelling().code);
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(door.get("/").bearer(&token).send_over(&mut open).await.status, 200, "after all that");

    // What was not read to its end ends the connection.
    assert_is(&door.get("/").header("X-Large", "x".repeat(33 << 10)).send().await, Denial::HeadersTooLarge);
    met.insert(Denial::HeadersTooLarge.spelling().code);

    let crowded = Door::start(&format!("[listen]\nmax_connections = 1\n{}", config(&upstream))).await;
    let mut only = Client::connect(crowded.address).await;
    assert_eq!(crowded.get("/").bearer(&token).send_over(&mut only).await.status, 200);
    let answer = crowded.get("/").bearer(&token).send().await;
    assert_is(&answer, Denial::Overloaded);
    assert_eq!(answer.header("retry-after"), Some("5"));
    met.insert(Denial::Overloaded.spelling().code);

    let limited =
        Door::start(&format!("[limits]\nfailures = {{ count = 3, per = \"1m\" }}\n{}", config(&upstream))).await;
    let known = limited.session(&token).await;
    for number in 0..3 {
        let forged = Issuer { secret: "not-the-secret-0123456789abcdef012345", ..ACME }.token(&number.to_string());
        assert_is(&limited.get("/").bearer(forged).send().await, Denial::TokenInvalid);
    }
    let fresh = ACME.token("ada");
    let answer = limited.get("/").bearer(&fresh).send().await;
    assert_is(&answer, Denial::RateLimited);
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(limited.get("/").cookie(COOKIE, &known).send().await.status, 200, "who is signed in stays so");
    assert_eq!(limited.get("/").bearer(&token).send().await.status, 200, "so does a token verified before");
    limited.clock.advance(60);
    assert_eq!(limited.get("/").bearer(&fresh).send().await.status, 200);
    met.insert(Denial::RateLimited.spelling().code);

    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = Door::start(&config(&upstream).replace(&upstream.address.to_string(), &dead.to_string())).await;
    assert_is(&nowhere.get("/").bearer(&token).send().await, Denial::UpstreamUnreachable);
    met.insert(Denial::UpstreamUnreachable.spelling().code);

    let silent = Upstream::answering("").await;
    let slow = two_tenants(&silent, "[[routes]]\npath = \"/\"\nupstream = \"app\"\nresponse_timeout = \"100ms\"", "");
    assert_is(&Door::start(&slow).await.get("/").bearer(&token).send().await, Denial::UpstreamTimeout);
    met.insert(Denial::UpstreamTimeout.spelling().code);

    let full = Door::start(&config(&upstream).replace("memory = true", "memory = true\nmax_entries = 1")).await;
    full.session(&token).await;
    assert_is(&full.exchange(&ACME.token("tom")).await, Denial::LedgerUnavailable);
    met.insert(Denial::LedgerUnavailable.spelling().code);

    let all: BTreeSet<&str> = Denial::ALL.iter().map(|denial| denial.spelling().code).collect();
    assert_eq!(met, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_grows_past_its_bound_is_refused() {
    let upstream = Upstream::start().await;
    let text = two_tenants(&upstream, "[[routes]]\npath = \"/\"\nupstream = \"app\"\nmax_body = \"1KiB\"", "");
    let door = Door::start(&text).await;
    let mut client = Client::connect(door.address).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        ACME.token("maya")
    );
    client.send(head.as_bytes()).await;
    for _ in 0..3 {
        client.send(format!("200\r\n{}\r\n", "x".repeat(0x200)).as_bytes()).await;
    }
    assert_is(&client.receive(false).await.unwrap(), Denial::PayloadTooLarge);
    assert_eq!(door.post("/").bearer(ACME.token("maya")).body("x".repeat(1_024)).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_a_page_and_scripts_a_problem() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    for ask in [
        door.get("/").navigating(),
        door.get("/").header("Accept", "text/html, */*;q=0.1"),
        door.post("/").header("Sec-Fetch-Mode", "navigate").body("a=b"),
    ] {
        let page = ask.send().await;
        assert_eq!((page.status, page.header("content-type")), (401, Some("text/html; charset=utf-8")));
        assert!(page.text().contains("<h1>Please sign in</h1>"));
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
        assert!(page.header("www-authenticate").is_some());
    }
    for ask in [
        door.get("/"),
        door.get("/").header("Accept", "application/json"),
        door.get("/").header("Accept", "text/html").header("Sec-Fetch-Mode", "cors"),
        door.post("/").header("Accept", "text/html"),
    ] {
        assert_eq!(ask.send().await.code(), "token_missing");
    }
    let head = door.ask("HEAD", "/").send().await;
    let get = door.get("/").send().await;
    assert_eq!((head.status, head.body.len()), (401, 0));
    assert_eq!(head.header("content-length"), get.header("content-length"), "HEAD as GET without the body");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_without_a_session_are_sent_to_log_in_and_failed_exchanges_are_not() {
    let upstream = Upstream::start().await;
    let login = "[tenants.acme]\nlogin_url = \"https://app.acme.example/login?from=portal\"";
    let door = Door::start(&config(&upstream).replace("[tenants.acme]", login)).await;
    let expired = ACME.with(json!({ "iat": 0, "exp": 1 }));
    let sent_to = |answer: &Answer| {
        assert_eq!(answer.status, 303, "{}", answer.text());
        let url = url::Url::parse(answer.header("location").unwrap()).unwrap();
        assert_eq!((url.host_str(), url.path()), (Some("app.acme.example"), "/login"));
        url.query_pairs().find(|(name, _)| name == "return_to").unwrap().1.into_owned()
    };
    let answer = door.get("/tickets?a=1&b=%20").navigating().send().await;
    assert_eq!(sent_to(&answer), "http://portal.test/tickets?a=1&b=%20");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = door.get(&format!("/handed?a=1&access_token={expired}")).navigating().send().await;
    assert_eq!(sent_to(&answer), "http://portal.test/handed?a=1", "no token in the address");
    let posted = door.post("/tickets/new").navigating().header("Referer", "http://portal.test/tickets?a=1").body("a=b");
    assert_eq!(sent_to(&posted.send().await), "http://portal.test/tickets?a=1", "back to the form, not to its POST");
    let posted = door.post("/tickets/new").navigating().header("Referer", "https://evil.test/x").body("a=b");
    assert_eq!(sent_to(&posted.send().await), "http://portal.test/");
    let answer = door.get("/tickets").navigating().cookie(COOKIE, "dead").send().await;
    sent_to(&answer);
    assert_eq!(answer.cookie(COOKIE).as_deref(), Some(""), "the dead cookie is cleared");

    for target in [format!("/_auth/exchange?token={expired}"), format!("/handed?token={expired}")] {
        let page = door.get(&target).navigating().send().await;
        assert_eq!((page.status, page.header("location")), (401, None), "{target}");
        assert!(page.text().contains("This sign-in link has expired") && page.text().contains("app.acme.example"));
    }
    let role = door.get("/staff").navigating().bearer(ACME.token("maya")).send().await;
    assert_eq!(role.status, 403, "logging in again would not help");
    assert_eq!(door.get("/").send().await.code(), "token_missing", "scripts are not redirected");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_that_is_refused_learns_why() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("path = \"/optional\"", "path = \"/optional\"\nmax_body = \"1MiB\"");
    let door = Door::start(&text).await;
    let body = vec![b'x'; 5 << 20];
    for _ in 0..5 {
        let mut open = Client::connect(door.address).await;
        let answer = door.post("/").body(body.clone()).send_over(&mut open).await;
        assert_eq!(answer.code(), "token_missing");
        assert_eq!(door.get("/").bearer(ACME.token("maya")).send_over(&mut open).await.status, 200);
        assert_is(&door.post("/optional").body(body.clone()).send().await, Denial::PayloadTooLarge);
        let closing = door.post("/").header("Connection", "close").body(body.clone()).send().await;
        assert_eq!(closing.code(), "token_missing");
        let mut client = Client::connect(door.address).await;
        client.send(b"POST /optional HTTP/1.1\r\nHost: portal.test\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for _ in 0..40 {
            client.send(format!("20000\r\n{}\r\n", "x".repeat(0x20000)).as_bytes()).await;
        }
        client.send(b"0\r\n\r\n").await;
        assert_is(&client.receive(false).await.unwrap(), Denial::PayloadTooLarge);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_to_be_asked_is_not_read_from_again() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let mut open = Client::connect(door.address).await;
    let head = "POST / HTTP/1.1\r\nHost: portal.test\r\nExpect: 100-continue\r\nContent-Length: 60\r\n\r\n";
    open.send(head.as_bytes()).await;
    let answer = open.receive(false).await.unwrap();
    assert_eq!((answer.code().as_str(), answer.header("connection")), ("token_missing", Some("close")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_with_an_unread_body_does_not_reset_the_connection() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let mut open = Client::connect(door.address).await;
    for _ in 0..20 {
        let hidden = "GET /staff HTTP/1.1\r\nHost: portal.test\r\nX-User-Id: admin\r\n\r\n";
        let answer = door.post("/").body(hidden).send_over(&mut open).await;
        assert_eq!(answer.code(), "token_missing");
    }
    assert_eq!(door.get("/").bearer(ACME.token("maya")).send_over(&mut open).await.status, 200);
    assert_eq!(upstream.seen().len(), 1);
}
