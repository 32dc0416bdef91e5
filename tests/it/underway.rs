//! What is open when its identity ends: streams, tunnels and downloads end with it, and only they.

use std::time::Duration;

use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Ask, Certificate, Door, Issuer, PATIENCE, Upstream, two_tenants, websocket::handshake};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

/// An app that begins an endless answer to each request, or takes each handshake, and says nothing more.
async fn quiet_app() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(length) = stream.read(&mut buffer).await {
                    if length == 0 {
                        return;
                    }
                    seen.extend_from_slice(&buffer[..length]);
                    if seen.ends_with(b"\r\n\r\n") {
                        let is_handshake = String::from_utf8_lossy(&seen).to_lowercase().contains("upgrade: websocket");
                        let answer: &[u8] = if is_handshake {
                            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                        } else {
                            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
                        };
                        stream.write_all(answer).await.unwrap();
                        seen.clear();
                    }
                }
            });
        }
    });
    address
}

async fn door(more: &str) -> Door {
    let upstream = Upstream::start().await;
    let app = quiet_app().await;
    let route = "[[routes]]\npath = \"/\"\nupstream = \"app\"\n[[routes]]\npath = \"/open\"\nauth = \"public\"\nupstream = \"app\"";
    let listen = format!("[listen]\nadmin = \"127.0.0.1:0\"\n{more}");
    let text = two_tenants(&upstream, route, &listen).replace(&upstream.address.to_string(), &app);
    Door::start(&text).await
}

/// Sends a request and reads until the beginning of its answer is there.
async fn open(ask: Ask, door: &Door) -> TcpStream {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(&ask.bytes()).await.unwrap();
    let mut seen = Vec::new();
    let has_begun =
        |seen: &[u8]| seen.ends_with(b"hi\r\n") || seen.starts_with(b"HTTP/1.1 101") && seen.ends_with(b"\r\n\r\n");
    while !has_begun(&seen) {
        let mut byte = [0];
        let read = timeout(PATIENCE, stream.read(&mut byte)).await.expect("an answer").unwrap();
        assert_eq!(read, 1, "{}", String::from_utf8_lossy(&seen));
        seen.push(byte[0]);
    }
    stream
}

/// Whether the connection ends within the two seconds that are promised.
async fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await.is_ok()
}

/// Whether it is open: nothing comes, and nothing has ended.
async fn is_open(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    timeout(Duration::from_millis(50), stream.read(&mut byte)).await.is_err()
}

async fn revoke(door: &Door, order: serde_json::Value) {
    let ask = Ask::new(door.admin().unwrap(), "POST", "/revocations", "localhost").json(&order);
    assert_eq!(ask.send().await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_ends_the_streams_and_tunnels_of_that_user() {
    let door = door("").await;
    let (maya, noah) = (door.session(&ACME.token("maya")).await, door.session(&ACME.token("noah")).await);
    let mut hers = [
        open(door.get("/events").cookie(COOKIE, &maya), &door).await,
        open(handshake(door.get("/chat")).cookie(COOKIE, &maya), &door).await,
        open(door.get("/events").bearer(ACME.token("maya")), &door).await,
    ];
    let mut others = [
        open(door.get("/events").cookie(COOKIE, &noah), &door).await,
        open(handshake(door.get("/chat")).cookie(COOKIE, &noah), &door).await,
        open(door.get("/open").cookie(COOKIE, &maya), &door).await,
    ];
    revoke(&door, json!({ "tenant": "acme", "user": "maya" })).await;
    for (number, stream) in hers.iter_mut().enumerate() {
        assert!(ends(stream).await, "of hers, {number}");
    }
    for (number, stream) in others.iter_mut().enumerate() {
        assert!(is_open(stream).await, "of others, {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_ends_what_the_session_has_open_and_no_other_session() {
    let door = door("").await;
    let (phone, desk) =
        (door.session(&ACME.token("maya")).await, door.session(&ACME.with(json!({ "plan": "x" }))).await);
    let mut on_phone = open(handshake(door.get("/chat")).cookie(COOKIE, &phone), &door).await;
    let mut on_desk = open(handshake(door.get("/chat")).cookie(COOKIE, &desk), &door).await;
    let out = door.post("/_auth/logout").cookie(COOKIE, &phone).header("Accept", "application/json").send().await;
    assert_eq!(out.status, 204);
    assert!(ends(&mut on_phone).await);
    assert!(is_open(&mut on_desk).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_ends_what_is_open_to_the_second() {
    let door = door("").await;
    let session = door.session(&ACME.token("maya")).await;
    let mut by_session = open(door.get("/events").cookie(COOKIE, &session), &door).await;
    let mut by_token = open(door.get("/events").bearer(ACME.token("maya")), &door).await;
    // The token lives for 600 seconds, and the tenant's leeway is 30.
    door.clock.advance(629);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(is_open(&mut by_token).await, "looked at twice at least, and still good");
    door.clock.advance(1);
    assert!(ends(&mut by_token).await);
    assert!(is_open(&mut by_session).await);
    door.clock.advance(12 * 3_600 - 630);
    assert!(ends(&mut by_session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_answer_has_not_begun_gets_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::start().await;
    let route = "[[routes]]\npath = \"/\"\nupstream = \"app\"";
    let text = two_tenants(&upstream, route, "[listen]\nadmin = \"127.0.0.1:0\"");
    let slow = listener.local_addr().unwrap().to_string();
    let door = Door::start(&text.replace(&upstream.address.to_string(), &slow)).await;
    let asked = tokio::spawn(door.get("/slow").bearer(ACME.token("maya")).send());
    let (mut app, _) = listener.accept().await.unwrap();
    revoke(&door, json!({ "tenant": "acme", "user": "maya" })).await;
    // Looked at twice meanwhile.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
    assert_eq!(asked.await.unwrap().text(), "hi", "it was admitted before that");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_open_ends_with_the_key_that_let_it_in() {
    let upstream = Upstream::start().await;
    let app = quiet_app().await;
    let route = "[[routes]]\npath = \"/\"\nupstream = \"app\"";
    let text = two_tenants(&upstream, route, "").replace(&upstream.address.to_string(), &app);
    let door = Door::start(&text).await;
    let session = door.session(&ACME.token("maya")).await;
    let mut by_session = open(door.get("/events").cookie(COOKIE, &session), &door).await;
    let mut by_token = open(door.get("/events").bearer(ACME.token("maya")), &door).await;
    // Another secret under the same id.
    door.reload(&text.replace("env = \"ACME\"", "env = \"OLD_ACME\""));
    assert!(ends(&mut by_token).await);
    assert!(is_open(&mut by_session).await);
    door.reload(&text.replace("env = \"SESSION\"", "env = \"OLD_SESSION\""));
    assert!(ends(&mut by_session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_the_stream_ends_with_its_identity() {
    let certificate = Certificate::new();
    let door = door(&certificate.setting()).await;
    let mut client = certificate.h2(door.address).await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let request = Request::get("https://portal.test/events").header("Authorization", bearer).body(()).unwrap();
    let mut body = client.begin(request).await;
    assert!(body.data().await.unwrap().is_ok(), "it has begun");
    revoke(&door, json!({ "tenant": "acme", "everyone": true })).await;
    let ended = timeout(Duration::from_secs(2), body.data()).await.expect("within two seconds");
    assert!(ended.is_none_or(|chunk| chunk.is_err()));
}
