//! Who may leave HTTP: RFC 9110 section 7.8, RFC 6455 section 4.1.
//!
//! COMP-UPGRADE-INVALID-VER is left out: which versions of the protocol it speaks the app knows.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{Client, Door, Recorder, one_tenant};

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
                let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
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
