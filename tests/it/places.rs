//! Places: what keeps our own endpoints busy takes none from the app, and the other way round.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use tokio::time::timeout;

use crate::support::{Certificate, Client, Door, Issuer, Upstream, config, eventually};

const ACME: Issuer = Issuer::ACME;

fn exchange(path: &str) -> Request<()> {
    let request = Request::post(format!("https://portal.test{path}")).header("Content-Type", "application/json");
    request.body(()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_bodies_to_our_endpoints_lock_nobody_out() {
    let certificate = Certificate::new();
    let upstream = Upstream::start().await;
    let text = format!(
        "[listen]\nmax_connections = 40\n{}{}[exchange]\npaths = [\"/sso\"]\n",
        certificate.setting(),
        config(&upstream)
    );
    let door = Door::start(&text).await;
    let mut attacker = certificate.h2(door.address).await;
    let mut bodies = Vec::new();
    for number in 0..60 {
        let path = ["/_auth/exchange", "/_auth/logout", "/sso"][number % 3];
        let mut body = attacker.upload(exchange(path)).await;
        body.send_data(Bytes::from_static(b"{"), false).unwrap();
        bodies.push(body);
    }
    let mut visitor = certificate.h2(door.address).await;
    let known = Request::get("https://portal.test/x").header("Authorization", format!("Bearer {}", ACME.token("maya")));
    assert_eq!(visitor.send(known.body(()).unwrap(), None).await.unwrap().status, 200, "the app has its places");
    // Who comes with nothing to wait for has one of ours.
    let bearer = format!("Bearer {}", ACME.token("noah"));
    let whole = Request::post("https://portal.test/_auth/exchange").header("Authorization", &bearer).body(()).unwrap();
    assert_eq!(visitor.send(whole, None).await.unwrap().status, 200);
    // One more that drips finds no place, until those before it had their two seconds.
    let refused = visitor.send(exchange("/_auth/exchange"), Some(b"{")).await.unwrap();
    assert!(matches!(refused.code().as_str(), "overloaded" | "bad_request" | "token_missing"), "{refused:?}");
    eventually(5, "the bodies have had their time", async || {
        let mut body = certificate.h2(door.address).await.upload(exchange("/_auth/exchange")).await;
        body.send_data(Bytes::from_static(b"{"), true).is_ok()
    })
    .await;
}

/// A body that comes in a packet of its own is waited for, however many others are.
#[tokio::test(flavor = "multi_thread")]
async fn half_sent_bodies_keep_no_other_body_from_coming() {
    let upstream = Upstream::start().await;
    let door = Door::start(&format!("[listen]\nmax_connections = 200\n{}", config(&upstream))).await;
    let head = |length: usize| {
        format!(
            "POST /_auth/exchange HTTP/1.1\r\nHost: portal.test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let mut half_sent = Vec::new();
    for _ in 0..60 {
        let mut client = Client::connect(door.address).await;
        client.send(format!("{}{{", head(100)).as_bytes()).await;
        half_sent.push(client);
    }
    for user in ["maya", "noah", "ines", "tom"] {
        let body = format!("{{\"token\":\"{}\"}}", ACME.token(user));
        let mut client = Client::connect(door.address).await;
        client.send(head(body.len()).as_bytes()).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        client.send(body.as_bytes()).await;
        assert_eq!(client.receive(false).await.unwrap().status, 200, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_to_an_endpoint_of_ours_has_two_seconds() {
    let upstream = Upstream::start().await;
    let door = Door::start(&format!("{}[exchange]\npaths = [\"/sso\"]\n", config(&upstream))).await;
    for path in ["/_auth/exchange", "/_auth/logout", "/_auth/revoke", "/sso"] {
        let mut client = Client::connect(door.address).await;
        let head = door.post(path).header("Content-Type", "application/json").header("Content-Length", "100");
        client.send(&head.bytes()).await;
        let since = Instant::now();
        let answer = loop {
            client.send(b" ").await;
            if let Ok(answer) = timeout(Duration::from_millis(100), client.receive(false)).await {
                break answer.expect("an answer");
            }
        };
        assert_eq!(answer.code(), "bad_request", "{path}");
        assert!(since.elapsed() < Duration::from_secs(4), "{path}: {:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_app_leaves_our_endpoints_open() {
    let certificate = Certificate::new();
    let silent = Upstream::answering("").await;
    let door =
        Door::start(&format!("[listen]\nmax_connections = 2\n{}{}", certificate.setting(), config(&silent))).await;
    let mut client = certificate.h2(door.address).await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let request = Request::post("https://portal.test/x").header("Authorization", &bearer).body(()).unwrap();
        waiting.push(client.upload(request).await);
    }
    while silent.connections() < 2 {
        tokio::task::yield_now().await;
    }
    let get = |path: &str| {
        Request::get(format!("https://portal.test{path}")).header("Authorization", &bearer).body(()).unwrap()
    };
    assert_eq!(client.send(get("/x"), None).await.unwrap().code(), "overloaded");
    assert_eq!(client.send(get("/_auth/session"), None).await.unwrap().status, 200);
    // Who may not pass is told so, and takes no place.
    assert_eq!(client.send(get("/closed"), None).await.unwrap().status, 503);
}
