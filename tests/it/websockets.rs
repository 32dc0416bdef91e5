//! WebSockets between a real client and a real app, and between two that send bytes: nothing is lost, nothing is held.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{
    Ask, Certificate, Client, Door, Issuer, PATIENCE, Upstream, eventually,
    websocket::{Echo, Socket, accepted, door_to, handshake},
};

const ACME: Issuer = Issuer::ACME;
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn bearer() -> String {
    format!("Bearer {}", ACME.token("maya"))
}

/// A client and an app that are connected, both by hand.
async fn pair() -> (TcpStream, TcpStream, Door) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = door_to(&listener.local_addr().unwrap().to_string(), "", "").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&handshake(door.get("/chat")).bearer(ACME.token("maya")).bytes()).await.unwrap();
    let mut app = accepted(&listener).await;
    app.write_all(SWITCH).await.unwrap();
    head(&mut client).await;
    (client, app, door)
}

async fn head(client: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(timeout(PATIENCE, client.read_u8()).await.expect("in time").unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&seen));
}

async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends").unwrap();
    rest
}

fn megabyte(seed: u32) -> Vec<u8> {
    (0..1_u32 << 20).map(|n| (n.wrapping_mul(seed) >> 8) as u8).collect()
}

async fn metrics(door: &Door) -> String {
    Ask::new(door.admin().unwrap(), "GET", "/metrics", "localhost").send().await.text()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_answers_at_once_gets_every_message() {
    let app = Echo::start().await;
    let door = app.door("", "").await;
    for number in 0..300 {
        let mut socket = Socket::open(&door, "/chat", &[("Authorization", &bearer())]).await;
        socket.echo(&format!("message {number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_size_pass_also_over_tls_and_the_client_may_close() {
    let mut app = Echo::start().await;
    let certificate = Certificate::new();
    let door = app.door("max_body = \"4B\"", &certificate.setting()).await;
    let stream = certificate.connect(door.address, &["http/1.1"]).await;
    let protocols = format!("chat, bearer.{}", ACME.token("maya"));
    let mut socket = Socket::over(stream, "/", "https://portal.test", &[("Sec-WebSocket-Protocol", &protocols)]).await;
    for length in [0, 125, 126, 65_535, 65_536, 3 << 20] {
        socket.echo(&"x".repeat(length)).await;
    }
    socket.0.close(None).await.unwrap();
    assert_eq!(socket.closed().await, None);
    assert_eq!(app.closes.recv().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_is_told_who_it_is_and_sees_no_credential() {
    let mut app = Echo::start().await;
    let door = app.door("bearer_param = \"access_token\"", "").await;
    let (token, session) = (ACME.token("maya"), door.session(&ACME.token("maya")).await);
    let cookie = format!("__Host-vestibule={session}; other=1");
    let protocols = format!("chat, bearer.{token}");
    let target = format!("/chat?access_token={token}&room=1");
    let forged = ("X-User-Id", "root");
    for (target, header) in [
        ("/chat?room=1", ("Cookie", cookie.as_str())),
        ("/chat?room=1", ("Sec-WebSocket-Protocol", &protocols)),
        (&target, ("X-Other", "1")),
    ] {
        Socket::open(&door, target, &[header, forged]).await.echo("hello").await;
        let seen = app.heads.recv().await.unwrap();
        assert_eq!(seen.headers()["x-user-id"], "maya");
        assert_eq!(seen.uri(), "/chat?room=1");
        let all = format!("{:?}", seen.headers());
        assert!(!all.contains(&token) && !all.contains(&session) && !all.contains("root"), "{all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_the_heads_is_not_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = door_to(&listener.local_addr().unwrap().to_string(), "", "").await;
    for _ in 0..20 {
        let mut client = TcpStream::connect(door.address).await.unwrap();
        let ask = handshake(door.get("/chat")).bearer(ACME.token("maya")).bytes();
        client.write_all(&[&ask, &b"from the client"[..]].concat()).await.unwrap();
        let mut app = accepted(&listener).await;
        app.write_all(&[SWITCH, b"from the app"].concat()).await.unwrap();
        let mut early = [0; 15];
        timeout(PATIENCE, app.read_exact(&mut early)).await.expect("in time").unwrap();
        assert_eq!(&early, b"from the client");
        head(&mut client).await;
        let mut early = [0; 12];
        timeout(PATIENCE, client.read_exact(&mut early)).await.expect("in time").unwrap();
        assert_eq!(&early, b"from the app");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_hangs_up_loses_neither_its_last_bytes_nor_the_others() {
    let (mut client, mut app, _door) = pair().await;
    for (hangs_up, other) in [(&mut client, &mut app)] {
        hangs_up.write_all(&megabyte(3)).await.unwrap();
        hangs_up.shutdown().await.unwrap();
        assert!(rest(other).await == megabyte(3));
        other.write_all(&megabyte(5)).await.unwrap();
        other.shutdown().await.unwrap();
        assert!(rest(hangs_up).await == megabyte(5));
    }
    let (mut client, mut app, _door) = pair().await;
    app.write_all(&megabyte(7)).await.unwrap();
    // Closed whole, and not half: what it sent is on its way still.
    drop(app);
    assert!(rest(&mut client).await == megabyte(7));
    let (mut client, mut app, _door) = pair().await;
    let late = tokio::spawn(async move {
        app.write_all(&megabyte(9)).await.unwrap();
        app.shutdown().await.unwrap();
        rest(&mut app).await
    });
    assert!(rest(&mut client).await == megabyte(9));
    client.write_all(&megabyte(11)).await.unwrap();
    drop(client);
    assert!(late.await.unwrap() == megabyte(11));
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_send_all_they_have_at_once() {
    let (client, app, _door) = pair().await;
    let send_and_receive = |stream: TcpStream, seed: u32| async move {
        let (mut read, mut write) = stream.into_split();
        let sending = tokio::spawn(async move {
            for _ in 0..8 {
                write.write_all(&megabyte(seed)).await.unwrap();
            }
            write.shutdown().await.unwrap();
        });
        let mut all = Vec::new();
        timeout(PATIENCE, read.read_to_end(&mut all)).await.expect("in time").unwrap();
        sending.await.unwrap();
        all
    };
    let (at_client, at_app) = tokio::join!(send_and_receive(client, 3), send_and_receive(app, 5));
    assert!(at_client == megabyte(5).repeat(8) && at_app == megabyte(3).repeat(8));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_not_answered_is_a_timeout() {
    let app = Upstream::answering("").await;
    let door = door_to(&app.address.to_string(), "response_timeout = \"1s\"", "").await;
    let answer = timeout(Duration::from_secs(5), handshake(door.get("/")).bearer(ACME.token("maya")).send()).await;
    let answer = answer.expect("long before an hour has passed");
    assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_declines_is_passed_on_and_the_connection_kept() {
    for (framing, is_kept) in [
        ("Content-Length: 5\r\n\r\nsorry", true),
        ("Transfer-Encoding: chunked\r\n\r\n2\r\nso\r\n3\r\nrry\r\n0\r\n\r\n", true),
        ("Set-Cookie: __Host-vestibule=evil\r\nContent-Length: 5\r\n\r\nsorry", true),
    ] {
        let hint = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
        let app = Upstream::answering(&format!("{hint}HTTP/1.1 403 Forbidden\r\n{framing}")).await;
        let door = door_to(&app.address.to_string(), "", "").await;
        let mut client = Client::connect(door.address).await;
        for _ in 0..2 {
            client.send(&handshake(door.get("/chat")).bearer(ACME.token("maya")).bytes()).await;
            let hints = client.receive(true).await.unwrap();
            assert_eq!((hints.status, hints.header("link")), (103, Some("</a.css>")));
            let answer = client.receive(false).await.unwrap();
            assert_eq!((answer.status, answer.text().as_str()), (403, "sorry"), "{framing}");
            assert!(answer.header("x-request-id").is_some() && answer.header("set-cookie").is_none());
            assert_eq!(answer.header("connection"), Some(if is_kept { "keep-alive" } else { "close" }));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = door_to(&listener.local_addr().unwrap().to_string(), "", "").await;
    let mut client = Client::connect(door.address).await;
    client.send(&handshake(door.get("/chat")).bearer(ACME.token("maya")).bytes()).await;
    let mut app = accepted(&listener).await;
    app.write_all(b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nso\r\n").await.unwrap();
    drop(app);
    assert!(client.receive(false).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_leaves_the_handshake_to_the_next() {
    let app = Echo::start().await;
    let down = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let door = door_to(&format!("{down}\", \"{}", app.address), "", "").await;
    for _ in 0..4 {
        Socket::open(&door, "/", &[("Authorization", &bearer())]).await.echo("hello").await;
    }
    let door = door_to(&down.to_string(), "", "").await;
    let answer = handshake(door.get("/")).bearer(ACME.token("maya")).send().await;
    assert_eq!(answer.code(), "upstream_unreachable");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_answer_frees_the_app() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = door_to(&listener.local_addr().unwrap().to_string(), "", "").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&handshake(door.get("/chat")).bearer(ACME.token("maya")).bytes()).await.unwrap();
    let mut app = accepted(&listener).await;
    drop(client);
    assert_eq!(rest(&mut app).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_quiet_is_not_cut() {
    let app = Echo::start().await;
    let door = app.door("response_timeout = \"1s\"", "idle_timeout = \"1s\"").await;
    let mut socket = Socket::open(&door, "/", &[("Authorization", &bearer())]).await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    socket.echo("still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_ones_are_counted_and_how_they_ended() {
    let app = Echo::start().await;
    let door = app.door("", "").await;
    let has = async |line: &str| metrics(&door).await.lines().any(|one| one == line);
    assert!(has("vestibule_websockets_open 0").await);
    let mut first = Socket::open(&door, "/", &[("Authorization", &bearer())]).await;
    let second = Socket::open(&door, "/", &[("Authorization", &bearer())]).await;
    assert!(has("vestibule_websockets_open 2").await, "{}", metrics(&door).await);
    first.0.close(None).await.unwrap();
    first.closed().await;
    drop(second);
    eventually(5, "both have ended", async || has("vestibule_websockets_open 0").await).await;
    assert!(has("vestibule_websockets_ended_total{why=\"closed\"} 2").await, "{}", metrics(&door).await);
    assert!(has("vestibule_websockets_ended_total{why=\"identity_ended\"} 0").await);
}
