//! How a WebSocket is told that its time is over: a Close between two frames, and a moment to answer it.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use crate::support::{
    Ask, Certificate, Door, Issuer, PATIENCE,
    websocket::{Echo, Socket, accepted, door_to, handshake},
};

const ACME: Issuer = Issuer::ACME;
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// What is promised.
const SOON: Duration = Duration::from_secs(2);

async fn revoke(door: &Door, order: serde_json::Value) {
    let ask = Ask::new(door.admin().unwrap(), "POST", "/revocations", "localhost").json(&order);
    assert_eq!(ask.send().await.status, 204);
}

async fn revoke_maya(door: &Door) {
    revoke(door, json!({ "tenant": "acme", "user": "maya" })).await;
}

fn over(reason: &str) -> Option<(u16, String)> {
    Some((4401, reason.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_is_told_to_both_sides_however_the_client_was_known() {
    let mut app = Echo::start().await;
    let door = app.door("bearer_param = \"access_token\"", "").await;
    let (token, session) = (ACME.token("maya"), door.session(&ACME.token("maya")).await);
    let cookie = format!("__Host-vestibule={session}");
    let protocols = format!("chat, bearer.{token}");
    let bearer = format!("Bearer {}", ACME.token("noah"));
    let mut hers = [
        Socket::open(&door, "/", &[("Cookie", &cookie)]).await,
        Socket::open(&door, "/", &[("Sec-WebSocket-Protocol", &protocols)]).await,
        Socket::open(&door, &format!("/?access_token={token}"), &[]).await,
    ];
    let mut others = Socket::open(&door, "/", &[("Authorization", &bearer)]).await;
    hers[0].echo("hello").await;
    revoke_maya(&door).await;
    let start = Instant::now();
    for socket in &mut hers {
        assert_eq!(socket.closed().await, over("signed out"));
        assert_eq!(timeout(PATIENCE, app.closes.recv()).await.expect("in time").unwrap(), Some(1001));
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    others.echo("still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_out_is_told() {
    let app = Echo::start().await;
    let door = app.door("", "").await;
    let session = door.session(&ACME.token("maya")).await;
    let mut socket = Socket::open(&door, "/", &[("Cookie", &format!("__Host-vestibule={session}"))]).await;
    let out = door.post("/_auth/logout").cookie("__Host-vestibule", &session).header("Accept", "application/json");
    assert_eq!(out.send().await.status, 204);
    assert_eq!(timeout(SOON, socket.closed()).await.expect("in time"), over("signed out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_of_token_and_session_is_told_also_over_tls() {
    let app = Echo::start().await;
    let certificate = Certificate::new();
    let door = app.door("", &certificate.setting()).await;
    let stream = async || certificate.connect(door.address, &["http/1.1"]).await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let mut by_token = Socket::over(stream().await, "/", "https://portal.test", &[("Authorization", &bearer)]).await;
    let mut h2 = certificate.h2(door.address).await;
    let ask = http::Request::post("https://portal.test/_auth/exchange").header("Authorization", &bearer);
    let session = h2.send(ask.body(()).unwrap(), None).await.unwrap().cookie("__Host-vestibule").unwrap();
    let cookie = format!("__Host-vestibule={session}");
    let mut by_session = Socket::over(stream().await, "/", "https://portal.test", &[("Cookie", &cookie)]).await;
    // The token lives for 600 seconds, and the tenant's leeway is 30.
    door.clock.advance(630);
    assert_eq!(timeout(SOON, by_token.closed()).await.expect("in time"), over("session ended"));
    by_session.echo("still there").await;
    door.clock.advance(12 * 3_600 - 630);
    assert_eq!(timeout(SOON, by_session.closed()).await.expect("in time"), over("session ended"));
}

/// A client and an app by hand.
async fn pair() -> (TcpStream, TcpStream, Door) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = door_to(&listener.local_addr().unwrap().to_string(), "", "").await;
    let mut client = TcpStream::connect(door.address).await.unwrap();
    client.write_all(&handshake(door.get("/chat")).bearer(ACME.token("maya")).bytes()).await.unwrap();
    let mut app = accepted(&listener).await;
    app.write_all(SWITCH).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(timeout(PATIENCE, client.read_u8()).await.expect("in time").unwrap());
    }
    (client, app, door)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_stops_in_the_middle_is_not_interrupted() {
    let (mut client, mut app, door) = pair().await;
    app.write_all(b"\x82\x0aonly").await.unwrap();
    let mut seen = [0; 6];
    client.read_exact(&mut seen).await.unwrap();
    revoke_maya(&door).await;
    let mut rest = Vec::new();
    timeout(SOON, client.read_to_end(&mut rest)).await.expect("in time").unwrap();
    assert_eq!(rest, b"", "the connection ends, and nothing looks like the rest of the frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_under_way_comes_whole_before_the_goodbye() {
    let (mut client, mut app, door) = pair().await;
    let trickle = tokio::spawn(async move {
        // Frames of five bytes, in pieces that end nowhere in particular.
        let frames = b"\x82\x05hello".repeat(400);
        for piece in frames.chunks(3) {
            if app.write_all(piece).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    revoke_maya(&door).await;
    let mut all = Vec::new();
    timeout(SOON, client.read_to_end(&mut all)).await.expect("in time").unwrap();
    let frames = all.strip_suffix(b"\x88\x0c\x11\x31signed out").expect("a Close is the last");
    assert!(frames.chunks(7).all(|frame| frame == b"\x82\x05hello"), "{frames:?}");
    trickle.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_gets_its_goodbye_between_two_frames_of_the_client() {
    let (mut client, mut app, door) = pair().await;
    // A masked text of four bytes, but for its last: the app cannot be told, and sees the end.
    client.write_all(b"\x81\x84keyshel").await.unwrap();
    let mut seen = [0; 9];
    app.read_exact(&mut seen).await.unwrap();
    revoke_maya(&door).await;
    let mut rest = Vec::new();
    timeout(SOON, app.read_to_end(&mut rest)).await.expect("in time").unwrap();
    assert_eq!(rest, b"");
    let mut all = Vec::new();
    timeout(SOON, client.read_to_end(&mut all)).await.expect("in time").unwrap();
    assert_eq!(all, b"\x88\x0c\x11\x31signed out");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_any_more_is_cut_off_all_the_same() {
    let (client, mut app, door) = pair().await;
    let flood = tokio::spawn(async move {
        while app.write_all(&[0x82, 0x7f, 0, 0, 0, 0x10, 0, 0, 0, 0]).await.is_ok() {
            if app.write_all(&vec![0; 1 << 20]).await.is_err() {
                return;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    revoke_maya(&door).await;
    timeout(Duration::from_secs(3), flood).await.expect("the app is free").unwrap();
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stops_says_that_it_goes() {
    let mut app = Echo::start().await;
    let door = app.door("auth = \"public\"", "").await;
    let mut socket = Socket::open(&door, "/", &[]).await;
    let stopping = tokio::spawn(door.stop_within(Duration::from_secs(2)));
    assert_eq!(timeout(Duration::from_secs(3), socket.closed()).await.expect("in time"), Some((1001, String::new())));
    assert_eq!(timeout(PATIENCE, app.closes.recv()).await.expect("in time").unwrap(), Some(1001));
    stopping.await.unwrap();
}
