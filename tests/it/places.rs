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
