//! Our own answers: what RFC 9110 asks of a server that answers for itself.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, timeout},
};

use crate::support::{Client, Door, Issuer, Recorder, one_tenant};

const ACME: Issuer = Issuer::ACME;

async fn door(route: &str) -> (Recorder, Door) {
    let app = Recorder::start().await;
    let door = Door::start(&one_tenant(&app.address.to_string(), "acme", "gateway", route)).await;
    (app, door)
}

/// Sends, and reads what comes next, interim answers included.
async fn next(stream: &mut TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).await.unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("in time").unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// RFC 9110 section 15.5.6; COMP-405-ALLOW.
#[tokio::test(flavor = "multi_thread")]
async fn a_405_says_what_is_allowed() {
    let (_app, door) = door("methods = [\"GET\", \"HEAD\"]").await;
    for method in ["DELETE", "TRACE", "TRACK"] {
        let answer = door.ask(method, "/").bearer(ACME.token("maya")).send().await;
        assert_eq!(answer.status, 405, "{method}");
        assert!(answer.header("allow").is_some(), "{method}: {:?}", answer.headers);
    }
    let mut client = Client::connect(door.address).await;
    client.send(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").await;
    let answer = client.receive(false).await.expect("an answer");
    assert!(answer.status != 405 || answer.header("allow").is_some(), "{answer:?}");
}

/// RFC 9110 section 6.6.1; COMP-DATE-HEADER, COMP-DATE-FORMAT, COMP-CONTENT-TYPE.
#[tokio::test(flavor = "multi_thread")]
async fn our_answers_are_dated_and_typed() {
    let (_app, door) = door("").await;
    let mut broken = Client::connect(door.address).await;
    broken.send(b"GET / HTTP/1.1\r\nX Y: z\r\n\r\n").await;
    let broken = broken.receive(false).await.expect("an answer");
    for answer in [door.get("/").send().await, door.get("/_auth/session").send().await, broken] {
        let date = answer.header("date").unwrap_or_else(|| panic!("no Date: {answer:?}"));
        assert!(date.len() == 29 && date.ends_with(" GMT") && date[3..5] == *", ", "IMF-fixdate: {date}");
        assert!(answer.body.is_empty() || answer.header("content-type").is_some(), "{answer:?}");
    }
}

/// RFC 9110 section 8.6; COMP-NO-CL-IN-204.
#[tokio::test(flavor = "multi_thread")]
async fn a_204_has_no_length() {
    let (_app, door) = door("handoff_param = \"token\"").await;
    let answer = door.post("/_auth/logout").header("Accept", "application/json").send().await;
    assert_eq!(answer.status, 204);
    let framing = [answer.header("content-length"), answer.header("transfer-encoding")];
    assert_eq!(framing, [None, None]);
}

/// RFC 9110 section 9.3.2; COMP-HEAD-NO-BODY, for the answers we write.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_head_has_no_body() {
    let (_app, door) = door("").await;
    let mut client = Client::connect(door.address).await;
    client.send(&door.ask("HEAD", "/").bytes()).await;
    assert_eq!(client.receive(true).await.map(|answer| answer.status), Some(401));
    // Had there been a body, it would be read as the head of this answer.
    client.send(&door.get("/").bearer(ACME.token("maya")).bytes()).await;
    assert_eq!(client.receive(false).await.map(|answer| answer.status), Some(200));
}

/// RFC 9110 section 15.2; COMP-NO-1XX-HTTP10.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_gets_no_100() {
    let (_app, door) = door("auth = \"public\"").await;
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let head = "POST / HTTP/1.0\r\nHost: portal.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let answer = next(&mut stream, format!("{head}hello").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.") && !answer.contains(" 100 "), "{answer}");
}

/// RFC 9110 section 10.1.1: who waits for leave to send a body gets it, or a refusal at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_100_gets_it_or_a_refusal() {
    let door = Door::start(&one_tenant(&patient_app().await.to_string(), "acme", "gateway", "")).await;
    let head = |token: &str| {
        format!("POST / HTTP/1.1\r\nHost: portal.test\r\n{token}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    };
    let mut client = Client::connect(door.address).await;
    client.send(head("").as_bytes()).await;
    assert_eq!(client.receive(false).await.map(|answer| answer.status), Some(401));
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    let token = format!("Authorization: Bearer {}\r\n", ACME.token("maya"));
    let interim = next(&mut stream, head(&token).as_bytes()).await;
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    let answer = next(&mut stream, b"hello").await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

/// An app that gives leave to send a body, and then answers.
async fn patient_app() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = String::new();
        for (end, answer) in [("\r\n\r\n", "100 Continue"), ("hello", "204 No Content")] {
            while !seen.ends_with(end) {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap();
                seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
            stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
        }
    });
    address
}
