//! HTTP/2 stands under the rules of HTTP/1.

use std::time::Duration;

use http::Request;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::support::{Certificate, Door, H2, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;

async fn door() -> (Upstream, Door, Certificate) {
    door_before(Upstream::start().await).await
}

async fn door_before(upstream: Upstream) -> (Upstream, Door, Certificate) {
    let certificate = Certificate::new();
    let door = Door::start(&format!("[listen]\n{}{}", certificate.setting(), config(&upstream))).await;
    (upstream, door, certificate)
}

fn get(path: &str) -> http::request::Builder {
    Request::get(format!("https://portal.test{path}")).version(http::Version::HTTP_2)
}

fn known(path: &str) -> http::request::Builder {
    get(path).header("authorization", format!("Bearer {}", ACME.token("maya")))
}

#[tokio::test(flavor = "multi_thread")]
async fn identity_is_told_and_forgeries_removed() {
    let (upstream, door, certificate) = door().await;
    let mut client = certificate.h2(door.address).await;
    let request = known("/tickets?a=b").header("x_user_id", "root").header("x-roles", "admin").body(()).unwrap();
    let answer = client.send(request, None).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
    let seen = upstream.last();
    assert_eq!(seen.line, "GET /tickets?a=b HTTP/1.1");
    assert_eq!(seen.identity(), ("maya", "acme", "agent"));
    assert!(seen.all("x_user_id").is_empty());
    assert_eq!(seen.header("host"), Some("portal.test"));
    assert_eq!(
        (seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
        (Some("https"), Some("portal.test"))
    );
    assert_eq!(client.send(get("/tickets").body(()).unwrap(), None).await.unwrap().code(), "token_missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_in_crumbs_are_one_header() {
    let (upstream, door, certificate) = door().await;
    let session = door_session(&door, &certificate).await;
    let mut client = certificate.h2(door.address).await;
    let request = get("/")
        .header("cookie", "a=1")
        .header("cookie", format!("__Host-vestibule={session}"))
        .header("cookie", "b=2")
        .body(())
        .unwrap();
    assert_eq!(client.send(request, None).await.unwrap().status, 200);
    let seen = upstream.last();
    assert_eq!((seen.header("cookie"), seen.identity().0), (Some("a=1; b=2"), "maya"));
    // Twice the session is as ambiguous in crumbs as in one line.
    let twice = format!("__Host-vestibule={session}");
    let request = get("/").header("cookie", &twice).header("cookie", &twice).body(()).unwrap();
    assert_eq!(client.send(request, None).await.unwrap().code(), "credential_ambiguous");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_out_over_http_2_is_signed_out() {
    let (_upstream, door, certificate) = door().await;
    let session = door_session(&door, &certificate).await;
    let mut client = certificate.h2(door.address).await;
    let cookie = format!("__Host-vestibule={session}");
    let with = |method: &str, path: &str| get(path).method(method).header("cookie", &cookie).body(()).unwrap();
    assert_eq!(client.send(with("GET", "/"), None).await.unwrap().status, 200);
    assert_eq!(client.send(with("POST", "/_auth/logout"), None).await.unwrap().status, 303);
    assert_eq!(client.send(with("GET", "/"), None).await.unwrap().code(), "revoked");
}

async fn door_session(door: &Door, certificate: &Certificate) -> String {
    let request = Request::post("https://portal.test/_auth/exchange")
        .version(http::Version::HTTP_2)
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    let body = format!("{{\"token\":\"{}\"}}", ACME.token("maya"));
    let answer = certificate.h2(door.address).await.send(request, Some(body.as_bytes())).await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.cookie("__Host-vestibule").expect("a session cookie")
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_http_1_lose_what_http_2_forbids() {
    let app = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\
               Proxy-Connection: keep-alive\r\nX-Kept: a\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: b\r\n\r\n";
    let (_upstream, door, certificate) = door_before(Upstream::answering(app).await).await;
    let mut client = certificate.h2(door.address).await;
    let answer = client.send(known("/").body(()).unwrap(), None).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.header("x-kept")), ("hello", Some("a")));
    for name in ["connection", "keep-alive", "transfer-encoding", "proxy-connection", "upgrade"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_that_is_refused_is_told_why() {
    let (_upstream, door, certificate) = door().await;
    let mut client = certificate.h2(door.address).await;
    let body = vec![b'x'; 300 << 10];
    let answer = client.send(get("/").method("POST").body(()).unwrap(), Some(&body)).await.unwrap();
    assert_eq!(answer.code(), "token_missing");
    // The connection, and its flow control, are none the worse for it.
    let answer = client.send(known("/").method("POST").body(()).unwrap(), Some(&body)).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_at_once_are_capped_like_connections() {
    let certificate = Certificate::new();
    let silent = Upstream::answering("").await;
    let listen = format!("[listen]\nmax_connections = 2\n{}", certificate.setting());
    let door = Door::start(&format!("{listen}{}", config(&silent))).await;
    let mut client = waiting(&certificate, &door, 2).await;
    while silent.seen().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.send(known("/").body(()).unwrap(), None).await.unwrap().code(), "overloaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_take_longer_than_a_client_may_pause() {
    let certificate = Certificate::new();
    let silent = Upstream::answering("").await;
    let text = config(&silent).replace("path = \"/optional\"", "path = \"/optional\"\nresponse_timeout = \"1s\"");
    let listen = format!("[listen]\nidle_timeout = \"200ms\"\n{}", certificate.setting());
    let door = Door::start(&format!("{listen}{text}")).await;
    let mut client = certificate.h2(door.address).await;
    assert_eq!(client.send(get("/optional").body(()).unwrap(), None).await.unwrap().code(), "upstream_timeout");
    let post = get("/optional").method("POST").body(()).unwrap();
    assert_eq!(client.send(post, Some(b"all of it")).await.unwrap().code(), "upstream_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_finished_before_the_door_stops() {
    const LENGTH: usize = 2 << 20;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n{}", "x".repeat(LENGTH));
    let (_upstream, door, certificate) = door_before(Upstream::answering(&answer).await).await;
    let mut client = certificate.h2(door.address).await;
    let mut body = client.begin(known("/").body(()).unwrap()).await;
    let mut received = body.data().await.expect("a beginning").unwrap().len();
    body.flow_control().release_capacity(received).unwrap();
    let address = door.address;
    let stopped = tokio::spawn(door.stop());
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(Duration::from_secs(10), refused).await.expect("nobody comes in any more");
    while let Some(chunk) = body.data().await {
        let length = chunk.expect("it goes on").len();
        received += length;
        // A slow reader: what the app has sent is long with the door.
        sleep(Duration::from_millis(5)).await;
        body.flow_control().release_capacity(length).unwrap();
    }
    assert_eq!(received, LENGTH);
    drop((body, client));
    timeout(Duration::from_secs(10), stopped).await.expect("it stops then").unwrap();
}

/// A connection with so many requests on their way.
async fn waiting(certificate: &Certificate, door: &Door, count: usize) -> H2 {
    let client = certificate.h2(door.address).await;
    for _ in 0..count {
        let mut client = client.clone();
        tokio::spawn(async move { client.send(known("/").body(()).unwrap(), None).await });
    }
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_1_refuses_is_refused() {
    let (upstream, door, certificate) = door().await;
    let mut client = certificate.h2(door.address).await;
    for path in ["/a\"b", "/a//b", "/public/../admin", "/public/%2e%2e/x", "/a%00", "/a;/../b", "/a%5cb"] {
        let answer = client.send(known(path).body(()).unwrap(), None).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"), "{path}");
    }
    for method in ["TRACE", "get", "XGET"] {
        let request = known("/").method(method).body(()).unwrap();
        assert_eq!(client.send(request, None).await.unwrap().code(), "method_not_allowed", "{method}");
    }
    let other = known("/").header("host", "globex.test").body(()).unwrap();
    assert!(client.send(other, None).await.map_or(true, |answer| answer.status == 400), "two authorities");
    for length in ["+5", "5, 5", "05"] {
        let request = known("/").method("POST").header("content-length", length).body(()).unwrap();
        let answer = client.send(request, Some(b"hello")).await;
        assert!(answer.map_or(true, |answer| answer.status == 400), "{length}");
    }
    let large = known("/").header("x-large", "x".repeat(40 << 10)).body(()).unwrap();
    assert!(client.send(large, None).await.map_or(true, |answer| answer.status == 431), "a large head");
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
    // And the connection has survived all that, or a new one is had.
    let mut fresh = certificate.h2(door.address).await;
    assert_eq!(fresh.send(known("/").body(()).unwrap(), None).await.unwrap().status, 200);
}
