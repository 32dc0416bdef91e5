//! What was in time when a request began and is not when its wait is over: for a body, for the app.

use http::{Request, header::SET_COOKIE};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{Answer, Certificate, Client, Door, Issuer, PATIENCE, Upstream, config, websocket::accepted};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";
/// The last second in which a token of the beginning that lives ten minutes passes with a leeway of a minute.
const LAST: i64 = 600 + 59;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";

async fn door() -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let lenient = config(&upstream).replace("[tenants.acme]", "[tenants.acme]\nleeway = \"60s\"");
    let door = Door::start(&lenient).await;
    (upstream, door)
}

/// Sends a head and half of the body when that is asked for; the rest after `meanwhile`.
async fn drip(door: &Door, head: &str, body: &str, meanwhile: impl AsyncFnOnce()) -> Answer {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let length = body.len();
    let head = format!("{head}\r\nHost: portal.test\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(timeout(PATIENCE, stream.read_u8()).await.expect("in time").unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&seen));
    stream.write_all(&body.as_bytes()[..length / 2]).await.unwrap();
    meanwhile().await;
    stream.write_all(&body.as_bytes()[length / 2..]).await.unwrap();
    Client::over(stream).receive(false).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_while_its_body_comes_is_expired() {
    let (_upstream, door) = door().await;
    let (fresh, spent) = (ACME.token("maya"), ACME.token("noah"));
    let order = ACME.with(json!({ "revoke": "user" }));
    assert_eq!(door.exchange(&spent).await.status, 200);
    door.clock.advance(LAST);
    for seconds in [1, 9, 61, 4_000] {
        for token in [&fresh, &spent] {
            let json = json!({ "token": token }).to_string();
            let form = format!("token={token}&pad=1");
            let bearer = format!("Authorization: Bearer {token}");
            for (head, body) in [
                ("POST /_auth/exchange HTTP/1.1\r\nContent-Type: application/json".to_owned(), json.as_str()),
                (format!("POST /_auth/exchange HTTP/1.1\r\n{FORM}"), form.as_str()),
                (format!("POST /_auth/exchange HTTP/1.1\r\n{FORM}\r\n{bearer}"), "pad=1"),
            ] {
                let answer = drip(&door, &head, body, async || door.clock.advance(seconds)).await;
                door.clock.advance(-seconds);
                assert_eq!((answer.status, answer.code().as_str()), (401, "token_expired"), "{head} {seconds}");
            }
        }
        let head = format!("POST /_auth/revoke HTTP/1.1\r\nAuthorization: Bearer {order}");
        let answer = drip(&door, &head, "pad=1", async || door.clock.advance(seconds)).await;
        door.clock.advance(-seconds);
        assert_eq!(answer.code(), "token_expired");
    }
    assert_eq!(door.exchange(&fresh).await.status, 200, "in time it counts, and was not spent");
    assert_eq!(door.exchange(&spent).await.code(), "token_spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_while_its_body_comes_is_revoked() {
    let (_upstream, door) = door().await;
    let token = ACME.token("maya");
    let order = ACME.with(json!({ "revoke": "everyone" }));
    let body = json!({ "token": token }).to_string();
    let head = "POST /_auth/exchange HTTP/1.1\r\nContent-Type: application/json";
    let answer = drip(&door, head, &body, async || {
        assert_eq!(door.post("/_auth/revoke").bearer(&order).send().await.status, 204);
        door.clock.advance(3);
    });
    assert_eq!(answer.await.code(), "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_when_its_token_has_come_whole() {
    let (_upstream, door) = door().await;
    let body = json!({ "token": ACME.token("maya") }).to_string();
    let head = "POST /_auth/exchange HTTP/1.1\r\nContent-Type: application/json";
    let answer = drip(&door, head, &body, async || door.clock.advance(30)).await;
    assert_eq!(answer.json()["expires_at"], "2026-11-20T12:00:30Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http2_a_body_that_comes_late_is_late() {
    let upstream = Upstream::start().await;
    let certificate = Certificate::new();
    let lenient = config(&upstream).replace("[tenants.acme]", "[tenants.acme]\nleeway = \"60s\"");
    let door = Door::start(&format!("[listen]\n{}\n{lenient}", certificate.setting())).await;
    let token = ACME.token("maya");
    door.clock.advance(LAST);
    let mut connection = certificate.h2(door.address).await;
    let exchange = || {
        let request = Request::post("https://portal.test/_auth/exchange").header("content-type", "application/json");
        request.body(()).unwrap()
    };
    let body = json!({ "token": token }).to_string();
    let answer = connection.send_in_two(exchange(), body.as_bytes(), async || door.clock.advance(2)).await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (401, "token_expired"));
    door.clock.advance(-2);
    let answer = connection.send_in_two(exchange(), body.as_bytes(), async || {}).await.unwrap();
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ends_while_the_app_is_at_work_is_not_renewed() {
    let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = app.local_addr().unwrap().to_string();
    let with_idle = crate::support::one_tenant(&address, "acme", "gateway", "")
        .replace("[session]", "[session]\nidle = \"10m\"\nlifetime = \"1h\"");
    let door = Door::start(&with_idle).await;
    let ask = async |seconds: i64| {
        let session = door.session(&ACME.with(json!({ "jti": seconds.to_string() }))).await;
        door.clock.advance(120);
        let request = door.get("/").cookie(COOKIE, &session).bytes();
        let mut client = Client::connect(door.address).await;
        client.send(&request).await;
        let mut upstream = accepted(&app).await;
        door.clock.advance(seconds);
        upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await.unwrap();
        let answer = client.receive(false).await.unwrap();
        door.clock.advance(-120 - seconds);
        assert_eq!(answer.status, 200);
        answer.header(SET_COOKIE.as_str()).map(str::to_owned)
    };
    assert!(ask(0).await.is_some_and(|cookie| cookie.contains("Max-Age=3480")));
    assert!(ask(60).await.is_some_and(|cookie| cookie.contains("Max-Age=3420")), "by the time of the answer");
    assert_eq!(ask(480).await, None, "idle by then");
    assert_eq!(ask(3_480).await, None, "past its lifetime");
}
