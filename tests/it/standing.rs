//! What is open when a reload comes: it stays where the new configuration would let it in, and ends where not.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{
    Ask, Door, Issuer, Upstream,
    websocket::{Echo, handshake},
};

const ACME: Issuer = Issuer::ACME;

/// One tenant with all that a reload may take away, before an app that echoes WebSockets.
fn configuration(app: &str) -> String {
    format!(
        r#"
        [session]
        keys = [{{ id = "s1", env = "SESSION" }}]
        idle = "1h"
        [ledger]
        memory = true
        [tenants.acme]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "ACME" }}]
        hosts = ["portal.test"]
        origins = ["https://app.acme.example"]
        allow_roles = ["agent", "user"]
        [tenants.globex]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "GLOBEX" }}]
        hosts = ["globex.test"]
        [upstreams.app]
        servers = ["{app}"]
        [[routes]]
        path = "/"
        upstream = "app"
        [[routes]]
        path = "/agents"
        roles = ["agent"]
        upstream = "app"
        [[routes]]
        path = "/open"
        auth = "public"
        upstream = "app"
        [[routes]]
        path = "/either"
        auth = "optional"
        upstream = "app"
        [[routes]]
        path = "/query"
        bearer_param = "access_token"
        upstream = "app"
        "#
    )
}

async fn open(door: &Door, ask: Ask) -> TcpStream {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream.write_all(&ask.bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&seen));
    stream
}

async fn ends(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await.is_ok()
}

/// Whether it still carries what is sent: a ping, as the client sends it.
async fn is_open(stream: &mut TcpStream) -> bool {
    stream.write_all(b"\x89\x80\0\0\0\0").await.unwrap();
    let mut pong = [0; 2];
    timeout(Duration::from_secs(5), stream.read_exact(&mut pong)).await.is_ok_and(|read| read.is_ok())
        && pong == [0x8a, 0]
}

/// What is asked: a handshake for a path, and what comes with it.
fn asks(door: &Door, session: &str) -> Vec<(&'static str, Ask)> {
    let of = |path: &str| handshake(door.get(path));
    let embedded = Ask::new(door.address, "GET", "/embedded", "portal.test")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Origin", "https://app.acme.example")
        .cookie("__Host-vestibule", session);
    let query = format!("/query?access_token={}", ACME.token("maya"));
    vec![
        ("bearer", of("/x").bearer(ACME.token("maya"))),
        ("cookie", of("/x").cookie("__Host-vestibule", session)),
        ("agent", of("/agents").bearer(ACME.token("maya"))),
        ("public", of("/open")),
        ("optional", of("/either")),
        ("optional, known", of("/either").bearer(ACME.token("maya"))),
        ("query", of(&query)),
        ("from the widget's page", embedded),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_ends_what_it_would_not_let_in_and_nothing_else() {
    let app = Echo::start().await;
    let text = configuration(&app.address.to_string());
    for (what, from, to, ended) in [
        ("nothing", "", "", &[][..]),
        ("the route's roles", "roles = [\"agent\"]", "roles = [\"admin\"]", &["agent"]),
        (
            "the ceiling",
            "allow_roles = [\"agent\", \"user\"]",
            "allow_roles = [\"user\"]",
            &["bearer", "cookie", "agent", "optional, known", "query", "from the widget's page"],
        ),
        (
            "the route's upstream",
            "roles = [\"agent\"]\n        upstream = \"app\"",
            "roles = [\"agent\"]\n        upstream = \"other\"\n        [upstreams.other]\n        servers = [\"127.0.0.1:9\"]",
            &["agent"],
        ),
        ("public to required", "auth = \"public\"", "auth = \"required\"", &["public"]),
        ("public to deny", "auth = \"public\"", "auth = \"deny\"", &["public"]),
        ("optional to required", "auth = \"optional\"", "auth = \"required\"", &["optional"]),
        ("a method", "path = \"/open\"", "path = \"/open\"\nmethods = [\"POST\"]", &["public"]),
        ("an origin", "https://app.acme.example", "https://other.acme.example", &["from the widget's page"]),
        ("the parameter", "bearer_param = \"access_token\"", "bearer_param = \"other\"", &["query"]),
        ("the route's tenant", "path = \"/agents\"", "path = \"/agents\"\ntenant = \"globex\"", &["agent"]),
        ("a key", "env = \"ACME\"", "env = \"OLD_ACME\"", &["bearer", "agent", "optional, known", "query"]),
        (
            "the cookie's name",
            "idle = \"1h\"",
            "idle = \"1h\"\ncookie = \"__Host-other\"",
            &["cookie", "from the widget's page"],
        ),
    ] {
        let door = Door::start(&text).await;
        let session = door.session(&ACME.token("maya")).await;
        let mut streams = Vec::new();
        for (name, ask) in asks(&door, &session) {
            streams.push((name, open(&door, ask).await));
        }
        // Who listens is not idle, also to another configuration.
        door.clock.advance(580);
        door.reload(&text.replacen(from, to, usize::from(!from.is_empty())));
        for (name, stream) in &mut streams {
            if ended.contains(name) {
                assert!(ends(stream).await, "{what}: {name} goes on");
            }
        }
        for (name, stream) in &mut streams {
            assert!(ended.contains(name) || is_open(stream).await, "{what}: {name} has ended");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_ends_an_anonymous_stream_on_a_route_that_is_gone() {
    let events = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";
    let app = Upstream::answering(events).await;
    let text = configuration(&app.address.to_string()).replace("/open", "/gone");
    let door = Door::start(&text).await;
    for accept in ["text/event-stream", "text/plain"] {
        door.reload(&text);
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(&door.get("/gone").header("Accept", accept).bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"hi\r\n") {
            seen.push(stream.read_u8().await.unwrap());
        }
        door.reload(&text.replace("/gone", "/elsewhere"));
        assert!(ends(&mut stream).await, "{accept}");
    }
}
