//! Answers of apps that are not as they should be: whose they are, what is reused after them, and who may go on reading.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use crate::support::{Door, Issuer, two_tenants};

const ACME: Issuer = Issuer::ACME;
const ROUTES: &str = "[[routes]]\npath = \"/\"\nupstream = \"app\"\n[[routes]]\npath = \"/public\"\nauth = \"public\"\nupstream = \"app\"";
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\ngood!";
const EVIL: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!";

/// An app that serves each request of each connection by `answer`, which is given the head. It tells of each connection.
async fn app<F>(
    answer: impl Fn(String, TcpStream) -> F + Clone + Send + Sync + 'static,
) -> (SocketAddr, mpsc::UnboundedReceiver<()>)
where
    F: Future<Output = Option<TcpStream>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = told.send(());
            let answer = answer.clone();
            tokio::spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    match answer(String::from_utf8_lossy(&head).into_owned(), stream).await {
                        Some(same) => stream = same,
                        None => return,
                    }
                }
            });
        }
    });
    (address, connections)
}

async fn door(app: SocketAddr) -> Door {
    let upstream = crate::support::Upstream::start().await;
    let text = two_tenants(&upstream, ROUTES, "").replace(&upstream.address.to_string(), &app.to_string());
    Door::start(&text).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_after_an_answer_that_has_none_is_not_the_next_visitors_answer() {
    for first in ["HEAD /x HTTP", "GET /none HTTP", "GET /unchanged HTTP"] {
        let (address, _connections) = app(move |head, mut stream| async move {
            let announced = match head.split(' ').next().unwrap_or_default() {
                "HEAD" => "200 OK",
                _ if head.starts_with("GET /none") => "204 No Content",
                _ if head.starts_with("GET /unchanged") => "304 Not Modified",
                _ => {
                    stream.write_all(GOOD).await.ok()?;
                    return Some(stream);
                }
            };
            let length = EVIL.len();
            stream
                .write_all(format!("HTTP/1.1 {announced}\r\nContent-Length: {length}\r\n\r\n").as_bytes())
                .await
                .ok()?;
            // In a segment of its own, as from a handler that writes head and body apart.
            tokio::time::sleep(Duration::from_millis(2)).await;
            stream.write_all(EVIL).await.ok()?;
            Some(stream)
        })
        .await;
        let door = door(address).await;
        for round in 0..20 {
            let (method, path) = (first.split(' ').next().unwrap(), first.split(' ').nth(1).unwrap());
            door.ask(method, path).bearer(ACME.token("mallory")).send().await;
            let answer = door.get("/y").bearer(ACME.token("maya")).send().await;
            assert_eq!((answer.status, answer.text().as_str()), (200, "good!"), "{first}, round {round}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_not_used_again_where_any_connection_line_says_so() {
    for lines in ["Connection: close", "Connection: x\r\nConnection: close", "Connection: x, Close"] {
        let (address, mut connections) = app(move |_, mut stream| async move {
            let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 5\r\n\r\ngood!");
            stream.write_all(answer.as_bytes()).await.ok()?;
            Some(stream)
        })
        .await;
        let door = door(address).await;
        for _ in 0..3 {
            assert_eq!(door.post("/x").bearer(ACME.token("maya")).send().await.status, 200, "{lines}");
        }
        let mut count = 0;
        while connections.try_recv().is_ok() {
            count += 1;
        }
        assert_eq!(count, 3, "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_announces_an_answer_has_no_length() {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let (address, _connections) = app(move |_, mut stream| async move {
            let early = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n{framing}\r\n\r\n");
            stream.write_all(early.as_bytes()).await.ok()?;
            stream.write_all(GOOD).await.ok()?;
            Some(stream)
        })
        .await;
        let door = door(address).await;
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream.write_all(b"GET /public HTTP/1.1\r\nHost: portal.test\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut seen = String::new();
        stream.read_to_string(&mut seen).await.unwrap();
        let (early, rest) = seen.split_once("\r\n\r\n").unwrap();
        assert!(early.contains("103") && rest.contains("good!"), "{seen}");
        let early = early.to_ascii_lowercase();
        assert!(!early.contains("content-length") && !early.contains("transfer-encoding"), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_a_reload_takes_the_origin_away_that_reads_it() {
    let (address, _connections) = app(|_, mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
        stream.write_all(head.as_bytes()).await.ok()?;
        std::future::pending::<()>().await;
        Some(stream)
    })
    .await;
    let upstream = crate::support::Upstream::start().await;
    let text = two_tenants(&upstream, ROUTES, "").replace(&upstream.address.to_string(), &address.to_string());
    let door = Door::start(&text).await;
    let session = door.session(&ACME.token("maya")).await;
    let open = |origin: &'static str, path: &'static str| {
        let ask = door.get(path).cookie("__Host-vestibule", &session).header("Accept", "text/event-stream");
        let bytes = ask.header("Origin", origin).bytes();
        let address = door.address;
        async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            let mut seen = Vec::new();
            while !seen.ends_with(b"data: 1\n\n") {
                seen.push(stream.read_u8().await.unwrap());
            }
            stream
        }
    };
    let mut listed =
        [open("https://app.acme.example", "/x").await, open("https://app.acme.example", "/public/x").await];
    let mut own = open("http://portal.test", "/x").await;
    door.reload(&text.replace("https://app.acme.example", "https://other.acme.example"));
    for stream in &mut listed {
        let mut rest = Vec::new();
        assert!(timeout(Duration::from_secs(2), stream.read_to_end(&mut rest)).await.is_ok(), "it is open still");
    }
    let mut rest = Vec::new();
    assert!(timeout(Duration::from_millis(1_500), own.read_to_end(&mut rest)).await.is_err(), "our own page goes on");
}
