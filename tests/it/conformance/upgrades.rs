//! Who may leave HTTP: RFC 9110 section 7.8, RFC 6455 section 4.1.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use crate::support::{Client, Door, PATIENCE, Recorder, one_tenant, websocket::accepted};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const WEBSOCKET: &str = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";

/// An app that switches whatever it is asked: it is not the app that has to be right here.
async fn eager_app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
                let _ = stream.write_all(switch.as_bytes()).await;
                let _ = stream.read(&mut [0; 4096]).await;
            });
        }
    });
    address
}

/// Id, request line, header lines, and whether this asks for a switch.
type Case = (&'static str, &'static str, String, bool);

fn cases() -> Vec<Case> {
    let upgrade = format!("Connection: Upgrade\r\n{WEBSOCKET}{KEY}");
    vec![
        ("own-whole-handshake", "GET / HTTP/1.1", upgrade.clone(), true),
        ("COMP-UPGRADE-POST", "POST / HTTP/1.1", upgrade.clone(), false),
        ("COMP-UPGRADE-HTTP10", "GET / HTTP/1.0", upgrade.clone(), false),
        ("COMP-UPGRADE-MISSING-CONN", "GET / HTTP/1.1", format!("{WEBSOCKET}{KEY}"), false),
        ("COMP-UPGRADE-UNKNOWN", "GET / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: made-up/1.0\r\n".into(), false),
        ("own-no-key", "GET / HTTP/1.1", format!("Connection: Upgrade\r\n{WEBSOCKET}"), false),
        (
            "own-h2c",
            "GET / HTTP/1.1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n".into(),
            false,
        ),
        ("own-two-protocols", "GET / HTTP/1.1", upgrade.replace("websocket", "websocket, h2c"), false),
        ("own-upgrade-twice", "GET / HTTP/1.1", format!("{upgrade}Upgrade: websocket\r\n"), false),
        ("COMP-UPGRADE-INVALID-VER", "GET / HTTP/1.1", upgrade.replace("13", "99"), false),
        ("own-no-version", "GET / HTTP/1.1", format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{KEY}"), false),
        ("own-version-twice", "GET / HTTP/1.1", format!("{upgrade}Sec-WebSocket-Version: 13\r\n"), false),
        ("own-key-twice", "GET / HTTP/1.1", format!("{upgrade}{KEY}"), false),
        ("own-short-key", "GET / HTTP/1.1", upgrade.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl"), false),
        ("own-key-without-padding", "GET / HTTP/1.1", upgrade.replace("ZQ==", "ZQ"), false),
        ("own-key-not-canonical", "GET / HTTP/1.1", upgrade.replace("ZQ==", "ZR=="), false),
        ("own-body", "GET / HTTP/1.1", format!("{upgrade}Content-Length: 5\r\n\r\nhello"), false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_whole_handshake_switches_protocols() {
    let app = eager_app().await.to_string();
    let door = Door::start(&one_tenant(&app, "acme", "gateway", "auth = \"public\"")).await;
    let mut wrong = Vec::new();
    for (id, line, fields, switches) in cases() {
        let mut client = Client::connect(door.address).await;
        client.send(format!("{line}\r\nHost: portal.test\r\n{fields}\r\n").as_bytes()).await;
        let status = client.receive(false).await.map(|answer| answer.status);
        if (status == Some(101)) != switches {
            wrong.push(format!("{id}: {status:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_asked_to_switch_only_by_a_whole_handshake() {
    let app = Recorder::start().await;
    let door = Door::start(&one_tenant(&app.address.to_string(), "acme", "gateway", "auth = \"public\"")).await;
    let mut wrong = Vec::new();
    for (id, line, fields, switches) in cases() {
        let mut client = Client::connect(door.address).await;
        client.send(format!("{line}\r\nHost: portal.test\r\n{fields}\r\n").as_bytes()).await;
        client.receive(false).await;
        let seen = String::from_utf8_lossy(&app.take().streams.concat()).to_lowercase();
        if seen.contains("\r\nupgrade:") != switches {
            wrong.push(format!("{id}: {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

const PROOF: &str =
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
const ADMIN: &str = "GET /admin HTTP/1.1\r\nHost: portal.test\r\nX-User-Id: root\r\n\r\n";

/// Request lines and fields of who asks, and what the app answers: nothing of it opens a tunnel.
fn beliefs() -> Vec<(&'static str, String, String)> {
    let handshake = format!("Connection: Upgrade\r\n{WEBSOCKET}{KEY}Sec-WebSocket-Protocol: chat\r\n");
    let switch = |fields: &str| format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
    let events = "Accept: text/event-stream\r\n".to_owned();
    let mut table = vec![
        ("status alone", handshake.clone(), switch("")),
        ("a page as well", handshake.clone(), switch("Content-Length: 2\r\n") + "ok"),
        ("no proof", handshake.clone(), switch("Connection: Upgrade\r\nUpgrade: websocket\r\n")),
        ("HTTP/1.0", handshake.clone(), switch(PROOF).replace("HTTP/1.1", "HTTP/1.0")),
        ("first hints", handshake.clone(), "HTTP/1.1 103 Early Hints\r\n\r\n".to_owned() + &switch("")),
        ("two of them", handshake.clone(), switch("") + &switch(PROOF)),
        ("200 in its place", handshake.clone(), switch(PROOF).replace("101", "200")),
        ("to a stream", events, switch(PROOF)),
        ("to a page", String::new(), switch(PROOF)),
        ("to version 8", handshake.replace("13", "8"), switch(PROOF)),
    ];
    for (what, from, to) in [
        ("another protocol", "Upgrade: websocket", "Upgrade: h2c"),
        ("two protocols", "Upgrade: websocket", "Upgrade: websocket, h2c"),
        ("the line twice", "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: websocket"),
        ("not of the connection", "Connection: Upgrade", "Connection: keep-alive"),
        ("another key", "s3pP", "S3pP"),
        ("two proofs", "Sec-", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-"),
        ("not what was offered", "Sec-", "Sec-WebSocket-Protocol: admin\r\nSec-"),
        ("with a body", "Sec-", "Content-Length: 9\r\nSec-"),
        ("with chunks", "Sec-", "Transfer-Encoding: chunked\r\nSec-"),
    ] {
        table.push((what, handshake.clone(), switch(&PROOF.replacen(from, to, 1))));
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_believed_with_its_proof_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = listener.local_addr().unwrap().to_string();
    let door = Door::start(&one_tenant(&app, "acme", "gateway", "auth = \"public\"")).await;
    let mut wrong = Vec::new();
    for (what, fields, answer) in beliefs() {
        let mut client = Client::connect(door.address).await;
        client.send(format!("GET /public/status/101 HTTP/1.1\r\nHost: portal.test\r\n{fields}\r\n").as_bytes()).await;
        let mut app = accepted(&listener).await;
        app.write_all(answer.as_bytes()).await.unwrap();
        if what == "200 in its place" {
            // Without a length it ends with the connection.
            app.shutdown().await.unwrap();
        }
        if what == "first hints" {
            assert_eq!(client.receive(true).await.expect("hints").status, 103);
        }
        let status = client.receive(false).await.map(|answer| answer.status);
        // After a 200 the connection is one for requests, and this is a request as any other.
        if status != Some(200) {
            client.send(ADMIN.as_bytes()).await;
        }
        // The app's connection ends, and nothing came through it.
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, app.read_to_end(&mut rest)).await.expect("the app's connection ends");
        let expected = if what == "200 in its place" { 200 } else { 502 };
        if status != Some(expected) || !rest.is_empty() {
            wrong.push(format!("{what}: {status:?}, {}", String::from_utf8_lossy(&rest)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
