//! Uploads that are not whole when their identity ends, or their time is up: the app never takes one for whole.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Ask, Certificate, Client, Door, Issuer, PATIENCE, Upstream, two_tenants};

const ACME: Issuer = Issuer::ACME;

/// A door before an app that is played by hand.
async fn door(listen: &str) -> (Door, TcpListener, String) {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unused = Upstream::start().await;
    let route = "[[routes]]\npath = \"/\"\nupstream = \"app\"\n[[routes]]\npath = \"/open\"\nauth = \"public\"\nupstream = \"app\"";
    let text = two_tenants(&unused, route, &format!("[listen]\nadmin = \"127.0.0.1:0\"\n{listen}"));
    let text = text.replace(&unused.address.to_string(), &app.local_addr().unwrap().to_string());
    (Door::start(&text).await, app, text)
}

async fn until(stream: &mut TcpStream, part: &str) -> String {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(part) {
        let read = timeout(PATIENCE, stream.read_buf(&mut seen)).await.expect("in time").unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// What comes until the connection ends.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends");
    String::from_utf8_lossy(&rest).into_owned()
}

fn upload(door: &Door, framing: &str, credential: (&str, &str)) -> Vec<u8> {
    let (name, value) = framing.split_once(": ").unwrap();
    door.post("/upload").header(credential.0, credential.1).header(name, value).bytes()
}

async fn revoke(door: &Door, order: serde_json::Value) {
    let ask = Ask::new(door.admin().unwrap(), "POST", "/revocations", "localhost").json(&order);
    assert_eq!(ask.send().await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_chunk_after_the_end_of_an_identity_reaches_no_app() {
    for (framing, first, last) in [
        ("Transfer-Encoding: chunked", "5\r\nhello\r\n", "5\r\nworld\r\n0\r\n\r\n"),
        ("Content-Length: 10", "hello", "world"),
    ] {
        for end in ["revoked", "signed out", "expired", "reload"] {
            let (door, app, text) = door("").await;
            let session = door.session(&ACME.token("maya")).await;
            let cookie = format!("__Host-vestibule={session}");
            let mut client = Client::connect(door.address).await;
            client.send(&upload(&door, framing, ("Cookie", &cookie))).await;
            client.send(first.as_bytes()).await;
            let (mut app, _) = app.accept().await.unwrap();
            let seen = until(&mut app, "hello").await;
            assert!(seen.contains("X-User-Id: maya"), "{seen}");
            match end {
                "revoked" => revoke(&door, json!({ "tenant": "acme", "user": "maya" })).await,
                "signed out" => {
                    let out = door.post("/_auth/logout").cookie("__Host-vestibule", &session);
                    assert_eq!(out.header("Accept", "application/json").send().await.status, 204);
                }
                "expired" => door.clock.advance(12 * 3_600),
                _ => drop(door.reload(&text.replace("env = \"SESSION\"", "env = \"OLD_SESSION\""))),
            }
            client.send(last.as_bytes()).await;
            let rest = rest(&mut app).await;
            assert!(!rest.contains("world") && !rest.contains("0\r\n\r\n"), "{framing}, {end}: {rest}");
            // Whether it is told or cut.
            let answer = client.receive(false).await;
            assert!(answer.as_ref().is_none_or(|answer| answer.status == 401), "{framing}, {end}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_pauses_ends_with_its_identity_and_others_go_on() {
    let (door, app, _) = door("").await;
    let mut people = Vec::new();
    for user in ["maya", "noah"] {
        let mut client = Client::connect(door.address).await;
        let bearer = format!("Bearer {}", ACME.token(user));
        client.send(&upload(&door, "Transfer-Encoding: chunked", ("Authorization", &bearer))).await;
        client.send(b"5\r\nhello\r\n").await;
        let (mut app, _) = app.accept().await.unwrap();
        until(&mut app, "hello\r\n").await;
        people.push((client, app));
    }
    revoke(&door, json!({ "tenant": "acme", "user": "maya" })).await;
    let rest = timeout(Duration::from_secs(2), rest(&mut people[0].1)).await.expect("within two seconds");
    assert_eq!(rest, "");
    let (client, app) = &mut people[1];
    client.send(b"5\r\nworld\r\n0\r\n\r\n").await;
    until(app, "world\r\n0\r\n\r\n").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(client.receive(false).await.expect("an answer").text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_whole_gets_its_answer_also_after_the_end() {
    let (door, app, _) = door("").await;
    let mut client = Client::connect(door.address).await;
    client.send(&door.post("/upload").bearer(ACME.token("maya")).body("hello").bytes()).await;
    let (mut app, _) = app.accept().await.unwrap();
    until(&mut app, "hello").await;
    revoke(&door, json!({ "tenant": "acme", "user": "maya" })).await;
    // Looked at twice meanwhile.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(client.receive(false).await.expect("an answer").text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_answer_came_early_ends_with_its_identity() {
    let (door, app, _) = door("").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let bearer = format!("Bearer {}", ACME.token("maya"));
    client.write_all(&upload(&door, "Transfer-Encoding: chunked", ("Authorization", &bearer))).await.unwrap();
    client.write_all(b"5\r\nhello\r\n").await.unwrap();
    let (mut app, _) = app.accept().await.unwrap();
    until(&mut app, "hello").await;
    app.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").await.unwrap();
    until(&mut client, "ok").await;
    revoke(&door, json!({ "tenant": "acme", "user": "maya" })).await;
    client.write_all(b"5\r\nworld\r\n0\r\n\r\n").await.unwrap();
    for side in [&mut app, &mut client] {
        let rest = rest(side).await;
        assert!(!rest.contains("0\r\n\r\n"), "neither is whole: {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_has_a_time_in_all_however_steadily_it_comes() {
    let (door, app, _) = door("body_timeout = \"1s\"").await;
    for path in ["/upload", "/open/upload"] {
        let mut client = Client::connect(door.address).await;
        let ask = door.post(path).bearer(ACME.token("maya")).header("Transfer-Encoding", "chunked");
        client.send(&ask.bytes()).await;
        let (mut app, _) = app.accept().await.unwrap();
        let dripping = async {
            loop {
                client.send(b"1\r\nx\r\n").await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let seen = tokio::select! {
            seen = rest(&mut app) => seen,
            () = dripping => unreachable!("it drips on"),
        };
        assert!(seen.contains("1\r\nx\r\n") && !seen.ends_with("0\r\n\r\n"), "{path}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_an_upload_ends_alike() {
    let certificate = Certificate::new();
    let (door, app, _) = door(&format!("body_timeout = \"3s\"\n{}", certificate.setting())).await;
    for (user, end) in [("maya", "revoked and more"), ("noah", "revoked and silent"), ("ines", "slow")] {
        let mut client = certificate.h2(door.address).await;
        let bearer = format!("Bearer {}", ACME.token(user));
        let request = Request::post("https://portal.test/upload").header("Authorization", bearer).body(()).unwrap();
        let mut sending = client.upload(request).await;
        sending.send_data(Bytes::from_static(b"hello"), false).unwrap();
        let (mut app, _) = app.accept().await.unwrap();
        until(&mut app, "hello").await;
        if end != "slow" {
            revoke(&door, json!({ "tenant": "acme", "user": user })).await;
        }
        if end == "revoked and more" {
            let _ = sending.send_data(Bytes::from_static(b"world"), true);
        }
        let rest = rest(&mut app).await;
        assert!(!rest.contains("world") && !rest.contains("0\r\n\r\n"), "{end}: {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_byte_reach_the_app_together_where_they_came_together_and_at_once_where_not() {
    let (door, app, _) = door("").await;
    let mut client = Client::connect(door.address).await;
    let ask = door.post("/upload").bearer(ACME.token("maya")).header("Transfer-Encoding", "chunked");
    client.send(&ask.bytes()).await;
    let (mut app, _) = app.accept().await.unwrap();
    until(&mut app, "\r\n\r\n").await;
    for byte in ["a", "b", "c"] {
        client.send(format!("1\r\n{byte}\r\n").as_bytes()).await;
        assert_eq!(
            until(&mut app, &format!("{byte}\r\n")).await,
            format!("1\r\n{byte}\r\n"),
            "one alone waits for nothing"
        );
    }
    let many = 50_000;
    client.send(("1\r\nx\r\n".repeat(many) + "0\r\n\r\n").as_bytes()).await;
    let seen = until(&mut app, "0\r\n\r\n").await;
    assert_eq!(seen.matches('x').count(), many);
    assert!(seen.matches("\r\n").count() < many / 20, "{} chunks", seen.matches("\r\n").count() / 2);
    app.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert_eq!(client.receive(false).await.expect("an answer").text(), "ok");
    // And what follows on the connection is a request of its own.
    let next = door.post("/next").bearer(ACME.token("maya")).body("hello");
    client.send(&next.bytes()).await;
    assert!(until(&mut app, "hello").await.starts_with("POST /next HTTP/1.1\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_a_byte_reach_the_app_together_of_each_stream_in_order() {
    let certificate = Certificate::new();
    let (door, app, _) = door(&certificate.setting()).await;
    let mut client = certificate.h2(door.address).await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let mut streams = Vec::new();
    for letters in [b"abcdefghij", b"ABCDEFGHIJ"] {
        let request = Request::post("https://portal.test/upload").header("Authorization", &bearer).body(()).unwrap();
        let stream = client.upload(request).await;
        let (mut app, _) = app.accept().await.unwrap();
        until(&mut app, "\r\n\r\n").await;
        streams.push((stream, app, letters));
    }
    for round in 0..2_000 {
        for (stream, _, letters) in &mut streams {
            let byte = Bytes::copy_from_slice(&letters[round % 10..=round % 10]);
            stream.send_data(byte, round == 1_999).unwrap();
        }
    }
    for (_, app, letters) in &mut streams {
        let seen = until(app, "0\r\n\r\n").await;
        let mut data = String::new();
        let mut rest = seen.as_str();
        let mut chunks = 0;
        while let Some((size, more)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).unwrap();
            data.push_str(&more[..size]);
            rest = &more[size + 2..];
            chunks += 1;
        }
        assert_eq!(data, String::from_utf8_lossy(*letters).repeat(200));
        assert!(chunks < 1_000, "{chunks} chunks");
    }
}
