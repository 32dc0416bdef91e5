//! Connections: what is read of them, how long that may take, and how many there may be.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{Ask, Certificate, Client, Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;

async fn door_with(listen: &str) -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let door = Door::start(&format!("[listen]\n{listen}\n{}", config(&upstream))).await;
    (upstream, door)
}

/// A request with a good token; `line` may hold more than its first line.
fn request(line: &str, rest: &str) -> String {
    format!("{line}\r\nHost: portal.test\r\nAuthorization: Bearer {}\r\n{rest}", ACME.token("maya"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_in_two_ways_is_refused_told_and_closed() {
    let (upstream, door) = door_with("").await;
    let get = "GET /a HTTP/1.1";
    for (bytes, status, code) in [
        (request("GET /a b HTTP/1.1", "\r\n"), 400, "bad_request"),
        (request("GET  /a HTTP/1.1", "\r\n"), 400, "bad_request"),
        (request("GET /a\" HTTP/1.1", "\r\n"), 400, "bad_request"),
        (request("GET /a HTTP/1.1 HTTP/1.1", "\r\n"), 400, "bad_request"),
        (request("GET /a HTTP/2.0", "\r\n"), 400, "bad_request"),
        (request(get, "Host: portal.test\r\n\r\n"), 400, "bad_request"),
        (request(get, "X : a\r\n\r\n"), 400, "bad_request"),
        (request(get, "X: a\r\n b\r\n\r\n"), 400, "bad_request"),
        (request(get, "X: a\n\r\n"), 400, "bad_request"),
        (request(get, "\r\n").replace("\r\n", "\n"), 400, "bad_request"),
        (request(get, "\r\n").replace("Host: portal.test\r\n", ""), 400, "bad_request"),
        (request(get, "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400, "bad_request"),
        (request("POST /a HTTP/1.1", "Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"), 400, "bad_request"),
        (request("CONNECT portal.test:443 HTTP/1.1", "\r\n"), 405, "method_not_allowed"),
        (request(get, &format!("{}\r\n", "X: a\r\n".repeat(255))), 431, "headers_too_large"),
    ] {
        let mut client = Client::connect(door.address).await;
        client.send(bytes.as_bytes()).await;
        let answer = client.receive(false).await.unwrap_or_else(|| panic!("no answer to {bytes:?}"));
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{bytes:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{bytes:?}");
        assert!(client.receive(false).await.is_none(), "closed after {bytes:?}");
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_sent_at_once_are_answered_one_after_the_other() {
    let (upstream, door) = door_with("").await;
    let mut client = Client::connect(door.address).await;
    let requests = [
        request("GET /1 HTTP/1.1", "\r\n"),
        request("POST /2 HTTP/1.1", "Content-Length: 5\r\n\r\nhello"),
        // An empty line after a body, as some clients send it.
        request(
            "\r\nPOST /3 HTTP/1.1",
            "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX-User-Id: root\r\n\r\n",
        ),
        request("GET /a//b HTTP/1.1", "\r\n"),
        request("GET /4 HTTP/1.1", "Connection: close\r\n\r\n"),
    ];
    client.send(requests.concat().as_bytes()).await;
    for status in [200, 200, 200, 400, 200] {
        assert_eq!(client.receive(false).await.expect("an answer").status, status);
    }
    assert!(client.receive(false).await.is_none());
    let seen = upstream.seen();
    assert_eq!(seen.iter().map(|seen| seen.target()).collect::<Vec<_>>(), ["/1", "/2", "/3", "/4"]);
    assert!(seen.iter().all(|seen| seen.identity() == ("maya", "acme", "agent")));
    assert!(!seen.iter().any(|seen| String::from_utf8_lossy(&seen.body).contains("root")), "trailers are dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_on_its_way_never_looks_complete_to_the_app() {
    let (upstream, door) = door_with("").await;
    let mut client = Client::connect(door.address).await;
    client.send(request("POST /upload HTTP/1.1", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").as_bytes()).await;
    // The head is with the app before the rest comes: the app has nothing to answer yet.
    while upstream.connections() == 0 {
        tokio::task::yield_now().await;
    }
    client.send(b"5\nhello\n0\n\n").await;
    let answer = client.receive(false).await.expect("an answer");
    assert_eq!(answer.code(), "bad_request");
    assert!(client.receive(false).await.is_none());
    assert!(upstream.seen().is_empty(), "no whole request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_a_time_in_all_also_on_a_connection_kept_alive() {
    let (_upstream, door) = door_with("header_timeout = \"300ms\"").await;
    let mut silent = Client::connect(door.address).await;
    assert!(silent.receive(false).await.is_none(), "nobody is told who asked nothing");

    for first in ["", "GET /public HTTP/1.1\r\nHost: portal.test\r\n\r\n"] {
        let mut client = Client::connect(door.address).await;
        client.send(first.as_bytes()).await;
        if !first.is_empty() {
            assert_eq!(client.receive(false).await.expect("an answer").status, 200);
        }
        // A byte now and then gains no time.
        let dripping = async {
            for byte in
                b"GET /public HTTP/1.1\r\nHost: portal.test\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            {
                client.send(&[*byte]).await;
                if let Ok(answer) = timeout(Duration::from_millis(50), client.receive(false)).await {
                    return answer;
                }
            }
            panic!("nothing cut it")
        };
        let answer = dripping.await.expect("an answer");
        assert_eq!(answer.code(), "bad_request", "{first:?}");
        assert!(client.receive(false).await.is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_is_closed_after_its_time_and_not_before() {
    let (_upstream, door) = door_with("idle_timeout = \"300ms\"\nheader_timeout = \"1m\"").await;
    let mut client = Client::connect(door.address).await;
    for _ in 0..4 {
        assert_eq!(door.get("/public").send_over(&mut client).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(client.receive(false).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_free_again_when_its_connection_is_closed() {
    let (_upstream, door) = door_with("max_connections = 2").await;
    let mut open = vec![Client::connect(door.address).await, Client::connect(door.address).await];
    for client in &mut open {
        assert_eq!(door.get("/public").send_over(client).await.status, 200);
    }
    assert_eq!(door.get("/public").send().await.code(), "overloaded");
    open.pop();
    let served = async {
        while door.get("/public").send().await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), served).await.expect("served before long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_on_comes_to_read_why_it_was_refused() {
    let (_upstream, door) = door_with("").await;
    let mut client = Client::connect(door.address).await;
    client.send(request("POST /public HTTP/1.1", "Content-Length: +5\r\n\r\n").as_bytes()).await;
    for _ in 0..64 {
        client.send(&[b'x'; 64 << 10]).await;
    }
    assert_eq!(client.receive(false).await.expect("an answer").code(), "bad_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_where_there_is_a_certificate() {
    let certificate = Certificate::new();
    let (upstream, door) = door_with(&certificate.setting()).await;
    let mut stream = certificate.connect(door.address, &["http/1.1"]).await;
    let request = request("GET /a HTTP/1.1", "Connection: close\r\nX-Forwarded-Proto: http\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.expect("it closes").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let seen = upstream.last();
    assert_eq!((seen.header("x-forwarded-proto"), seen.identity().0), (Some("https"), "maya"));

    // Whoever speaks no TLS gets no answer, and holds no place for long.
    let mut plain = TcpStream::connect(door.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: portal.test\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(10), plain.read_to_end(&mut rest)).await.expect("it closes");
    assert!(!rest.starts_with(b"HTTP/"), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_cut_whatever_it_asks() {
    let (_upstream, door) = door_with("idle_timeout = \"300ms\"").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2 << 10).unwrap();
    let mut client = socket.connect(door.address).await.unwrap();
    let requests = "HEAD /closed HTTP/1.1\r\nHost: portal.test\r\n\r\n".repeat(100);
    // Until the door takes no more, and then until it has had enough.
    let cut = async { while client.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(Duration::from_secs(30), cut).await.expect("it is cut");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_line_after_a_request_begins_no_other() {
    let (_upstream, door) = door_with("header_timeout = \"300ms\"").await;
    let mut client = Client::connect(door.address).await;
    client.send(request("POST /a HTTP/1.1", "Content-Length: 5\r\n\r\nhello\r\n").as_bytes()).await;
    assert_eq!(client.receive(false).await.expect("an answer").status, 200);
    assert!(client.receive(false).await.is_none(), "an answer that nobody asked for");
}

#[tokio::test(flavor = "multi_thread")]
async fn close_counts_on_whichever_line_it_stands() {
    let (_upstream, door) = door_with("").await;
    let mut client = Client::connect(door.address).await;
    client.send(request("GET /a HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n\r\n").as_bytes()).await;
    assert_eq!(client.receive(false).await.expect("an answer").status, 200);
    assert!(client.receive(false).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_listener_answers_more_than_once_on_a_connection() {
    let (_upstream, door) = door_with("admin = \"127.0.0.1:0\"").await;
    let admin = door.admin().expect("an admin listener");
    let mut client = Client::connect(admin).await;
    for _ in 0..3 {
        assert_eq!(Ask::new(admin, "GET", "/readyz", "localhost").send_over(&mut client).await.text(), "ready\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_max_connections_clients_of_http_2_are_told_over_http_1() {
    let certificate = Certificate::new();
    let (_upstream, door) = door_with(&format!("max_connections = 1\n{}", certificate.setting())).await;
    let _only = certificate.h2(door.address).await;
    let mut refused = certificate.connect(door.address, &["h2", "http/1.1"]).await;
    assert_eq!(refused.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut answer = String::new();
    timeout(Duration::from_secs(10), refused.read_to_string(&mut answer)).await.expect("it closes").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("overloaded"), "{answer}");
}

#[tokio::test]
async fn a_health_check_of_http_1_0_without_a_host_is_answered_and_nothing_else() {
    let (_upstream, door) = door_with("admin = \"127.0.0.1:0\"").await;
    // As HAProxy sends it, unless told.
    for (address, path, status) in [(door.admin().unwrap(), "/readyz", 200), (door.address, "/public", 400)] {
        let mut client = Client::connect(address).await;
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await;
        assert_eq!(client.receive(false).await.expect("an answer").status, status, "{path}");
    }
}

#[tokio::test]
async fn the_admin_listener_answers_for_addresses_and_names_of_its_own() {
    let (_upstream, door) = door_with("admin = \"127.0.0.1:0\"\nadmin_hosts = [\"Vestibule.Internal\"]").await;
    let admin = door.admin().unwrap();
    for (host, is_meant) in [
        ("127.0.0.1", true),
        ("127.0.0.1:9901", true),
        ("[::1]:9901", true),
        ("10.1.2.3", true),
        ("localhost", true),
        ("LOCALHOST:1", true),
        ("vestibule.internal", true),
        ("vestibule.internal:9901", true),
        ("evil.test", false),
        ("localhost.evil.test", false),
        ("127.0.0.1.evil.test", false),
        ("sub.vestibule.internal", false),
        ("0x7f000001", false),
        ("2130706433", false),
        ("127.1", false),
    ] {
        for (method, path) in
            [("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/readyz"), ("POST", "/revocations"), ("GET", "/x")]
        {
            let status = Ask::new(admin, method, path, host).send().await.status;
            assert_eq!(status != 421, is_meant, "{host} {method} {path}: {status}");
        }
    }
    for (path, status) in [("/readyz", 200), ("/healthz", 200), ("/metrics", 421), ("/x", 421)] {
        let mut client = Client::connect(admin).await;
        client.send(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await;
        assert_eq!(client.receive(false).await.expect("an answer").status, status, "{path}");
    }
}
