//! Streams and tunnels: passed on as they come, nothing buffered.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::support::{Certificate, Door, Issuer, PATIENCE, Upstream, config, two_tenants, websocket::handshake};

const ACME: Issuer = Issuer::ACME;

/// An app for one connection: sends what it is handed, and shows what it receives.
struct App {
    sends: mpsc::Sender<&'static [u8]>,
    receives: mpsc::Receiver<Vec<u8>>,
}

async fn app(of_route: &str) -> (App, Door) {
    app_of(of_route, "[session]").await
}

async fn app_of(of_route: &str, session: &str) -> (App, Door) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sends, mut to_send) = mpsc::channel::<&'static [u8]>(4);
    let (received, receives) = mpsc::channel(64);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut read, mut write) = stream.into_split();
        tokio::spawn(async move {
            let mut buffer = vec![0; 4096];
            while let Ok(length) = read.read(&mut buffer).await {
                if length == 0 || received.send(buffer[..length].to_vec()).await.is_err() {
                    return;
                }
            }
        });
        while let Some(bytes) = to_send.recv().await {
            write.write_all(bytes).await.unwrap();
        }
    });
    let upstream = Upstream::start().await;
    let route = format!("[[routes]]\npath = \"/\"\nupstream = \"app\"\n{of_route}");
    let text = two_tenants(&upstream, &route, "").replace(&upstream.address.to_string(), &address.to_string());
    let text = text.replace("[session]", session);
    (App { sends, receives }, Door::start(&text).await)
}

/// Reads until the text has come.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    while !seen.contains(text) {
        let length = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("in time").unwrap();
        assert!(length > 0, "closed after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    seen
}

impl App {
    async fn until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let more = timeout(Duration::from_secs(10), self.receives.recv()).await.expect("in time");
            let more = more.unwrap_or_else(|| panic!("closed before {text:?}, after {seen:?}"));
            seen.push_str(&String::from_utf8_lossy(&more));
        }
        seen
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one() {
    let (mut app, door) = app("").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&door.get("/events").bearer(ACME.token("maya")).bytes()).await.unwrap();
    app.until("\r\n\r\n").await;
    app.sends
        .send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    // Each is sent only after the one before has come through.
    for event in [&b"b\r\ndata: one\n\n\r\n"[..], b"b\r\ndata: two\n\n\r\n", b"b\r\ndata: six\n\n\r\n"] {
        app.sends.send(event).await.unwrap();
        let wanted = String::from_utf8_lossy(&event[3..12]).into_owned();
        until(&mut client, &wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_http_1_0_get_no_chunks() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let upstream = Upstream::answering(chunked).await;
    let door = Door::start(&config(&upstream)).await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let request =
        format!("GET / HTTP/1.0\r\nHost: portal.test\r\nAuthorization: Bearer {}\r\n\r\n", ACME.token("maya"));
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), client.read_to_string(&mut answer)).await.expect("it closes").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(body == "hello" && !head.to_lowercase().contains("transfer-encoding"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_does_not_bring_back_a_session_that_was_signed_out() {
    let (mut app, door) = app_of("", "[session]\nidle = \"4s\"").await;
    let session = door.session(&ACME.token("maya")).await;
    door.clock.advance(2);
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&door.get("/slow").cookie("__Host-vestibule", &session).bytes()).await.unwrap();
    app.until("\r\n\r\n").await;
    assert_eq!(door.post("/_auth/logout").cookie("__Host-vestibule", &session).send().await.status, 303);
    app.sends
        .send(b"HTTP/1.1 103 Early Hints\r\nSet-Cookie: __Host-vestibule=evil\r\nLink: </a.css>\r\n\r\n")
        .await
        .unwrap();
    let hints = until(&mut client, "a.css").await;
    app.sends.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await.unwrap();
    let answer = hints + &until(&mut client, "done").await;
    assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_go_on_while_they_come() {
    let (mut app, door) = app("").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: portal.test\r\nAuthorization: Bearer {}\r\nContent-Length: 12\r\n\r\n",
        ACME.token("maya")
    );
    client.write_all(head.as_bytes()).await.unwrap();
    for part in ["first ", "second"] {
        client.write_all(part.as_bytes()).await.unwrap();
        app.until(part).await;
    }
    app.sends.send(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    until(&mut client, "204").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_a_tunnel_for_whoever_may_open_it() {
    let handshake = |door: &Door| handshake(door.get("/chat"));
    // A tunnel is no body: max_body does not cut it.
    let (mut app, door) = app("max_body = \"4B\"").await;
    assert_eq!(handshake(&door).send().await.code(), "token_missing");
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let protocols = format!("chat, bearer.{}", ACME.token("maya"));
    client.write_all(&handshake(&door).header("Sec-WebSocket-Protocol", protocols).bytes()).await.unwrap();
    let seen = app.until("\r\n\r\n").await.to_lowercase();
    assert!(seen.contains("x-user-id: maya") && seen.contains("upgrade: websocket"), "{seen}");
    assert!(seen.contains("sec-websocket-protocol: chat\r\n") && !seen.contains("bearer."), "{seen}");
    app.sends
        .send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
        .await
        .unwrap();
    until(&mut client, "101").await;
    client.write_all(b"from the client").await.unwrap();
    app.until("from the client").await;
    app.sends.send(b"from the app").await.unwrap();
    until(&mut client, "from the app").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_by_name_is_reached_at_whichever_address_answers() {
    let upstream = Upstream::start().await;
    let named = format!("localhost:{}", upstream.address.port());
    let door = Door::start(&config(&upstream).replace(&upstream.address.to_string(), &named)).await;
    assert_eq!(door.get("/").bearer(ACME.token("maya")).send().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_too_large_is_told_also_after_the_app_asked_for_it() {
    let (mut app, door) = app("max_body = \"8B\"").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let head = door.post("/").bearer(ACME.token("maya")).header("Expect", "100-continue");
    client.write_all(&head.header("Transfer-Encoding", "chunked").bytes()).await.unwrap();
    app.until("\r\n\r\n").await;
    app.sends.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
    until(&mut client, "100").await;
    client.write_all(b"10\r\n0123456789abcdef\r\n0\r\n\r\n").await.unwrap();
    let answer = until(&mut client, "payload_too_large").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_known_length_arrives_as_it_comes() {
    let (mut app, door) = app("").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&door.get("/").bearer(ACME.token("maya")).bytes()).await.unwrap();
    app.until("\r\n\r\n").await;
    app.sends.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst").await.unwrap();
    until(&mut client, "first").await;
    app.sends.send(b"other").await.unwrap();
    until(&mut client, "other").await;
}

/// An app for one request after the other: answers with a head and one piece, then another after a pause.
async fn pausing(head: &'static [u8], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(head).await;
                let _ = stream.write_all(b"4\r\none\n\r\n").await;
                tokio::time::sleep(pause).await;
                let _ = stream.write_all(b"4\r\ntwo\n\r\n0\r\n\r\n").await;
            });
        }
    });
    address
}

const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";

async fn impatient(app: &str, listen: &str) -> Door {
    let upstream = Upstream::start().await;
    let route = "[[routes]]\npath = \"/\"\nupstream = \"app\"\nresponse_timeout = \"1s\"";
    let listen = format!("[listen]\nidle_timeout = \"1s\"\n{listen}");
    Door::start(&two_tenants(&upstream, route, &listen).replace(&upstream.address.to_string(), app)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_of_events_is_not_cut() {
    let certificate = Certificate::new();
    let app = pausing(EVENTS, Duration::from_millis(2_500)).await;
    let door = impatient(&app, "").await;
    let ask = || door.get("/events").bearer(ACME.token("maya")).header("Accept", "text/event-stream");
    let mut client = crate::support::Client::connect(door.address).await;
    for _ in 0..2 {
        let answer = ask().send_over(&mut client).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "one\ntwo\n"), "and the connection is kept");
    }
    let door = impatient(&app, &certificate.setting()).await;
    let request = http::Request::get("https://portal.test/events")
        .header("Authorization", format!("Bearer {}", ACME.token("maya")))
        .header("Accept", "text/event-stream");
    let answer = certificate.h2(door.address).await.send(request.body(()).unwrap(), None).await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "one\ntwo\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_stream_of_events_is_cut_and_what_does_not_begin_is_told() {
    const TEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
    let door = impatient(&pausing(TEXT, Duration::from_millis(2_500)).await, "").await;
    let ask = |door: &Door| door.get("/events").bearer(ACME.token("maya")).header("Accept", "text/event-stream");
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&ask(&door).bytes()).await.unwrap();
    let mut seen = String::new();
    timeout(PATIENCE, client.read_to_string(&mut seen)).await.expect("it ends").unwrap();
    assert!(seen.contains("one") && !seen.contains("two"), "{seen}");
    let silent = Upstream::answering("").await;
    let door = impatient(&silent.address.to_string(), "").await;
    assert_eq!(ask(&door).send().await.code(), "upstream_timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_listening_to_events_frees_the_app() {
    let (mut app, door) = app("").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    let ask = door.get("/events").bearer(ACME.token("maya")).header("Accept", "text/event-stream");
    client.write_all(&ask.bytes()).await.unwrap();
    app.until("\r\n\r\n").await;
    app.sends.send(EVENTS).await.unwrap();
    until(&mut client, "event-stream").await;
    drop(client);
    let end = timeout(Duration::from_secs(5), app.receives.recv()).await.expect("it hears");
    assert!(end.is_none(), "its connection has ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_byte_come_together_from_the_app_and_its_connection_is_used_again() {
    let many = 20_000;
    let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", "1\r\nx\r\n".repeat(many));
    let app = Upstream::answering(&answer).await;
    let door = Door::start(&config(&app)).await;
    for _ in 0..3 {
        let mut client = TcpStream::connect(door.address).await.unwrap();
        let ask = door.get("/").bearer(ACME.token("maya")).header("Connection", "close");
        client.write_all(&ask.bytes()).await.unwrap();
        let mut seen = String::new();
        timeout(PATIENCE, client.read_to_string(&mut seen)).await.expect("in time").unwrap();
        let body = seen.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body.matches('x').count(), many);
        assert!(body.matches("\r\n").count() < many / 10, "{} lines", body.matches("\r\n").count());
    }
    assert_eq!(app.connections(), 1);
}
