//! HTTP/2 stands under the rules of HTTP/1.

use http::Request;

use crate::support::{Certificate, Door, Issuer, Upstream, config};

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
async fn what_http_1_refuses_is_refused() {
    let (upstream, door, certificate) = door().await;
    let mut client = certificate.h2(door.address).await;
    for path in ["/a//b", "/public/../admin", "/public/%2e%2e/x", "/a%00", "/a;/../b", "/a%5cb"] {
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
