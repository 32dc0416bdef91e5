//! HTTP/2 as an attacker writes it: header blocks and frames by hand. A row is one line.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::support::{Certificate, Door, Issuer, PATIENCE, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types and flags (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header block of literals that are not indexed (RFC 7541 section 6.2.2).
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let length = text.len();
            // A prefix of seven bits, and what does not fit in bytes after it (RFC 7541 section 5.1).
            if length < 127 {
                block.push(u8::try_from(length).unwrap());
            } else {
                block.push(127);
                let mut rest = length - 127;
                while rest >= 128 {
                    block.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                block.push(u8::try_from(rest).unwrap());
            }
            block.extend(text.as_bytes());
        }
    }
    block
}

/// What became of stream 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered { ok: bool },
    Reset,
    Closed,
}

async fn open(certificate: &Certificate, door: &Door) -> TlsStream<TcpStream> {
    let mut stream = certificate.connect(door.address, &["h2"]).await;
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    stream
}

async fn end(stream: &mut TlsStream<TcpStream>) -> End {
    let read = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return End::Closed;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            if stream.read_exact(&mut payload).await.is_err() {
                return End::Closed;
            }
            let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            match (head[3], id) {
                (SETTINGS, _) if head[4] & ACK == 0 => {
                    let _ = stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await;
                }
                // `:status: 200` is entry 8 of the static table.
                (HEADERS, 1) => return End::Answered { ok: payload.first() == Some(&0x88) },
                (RST_STREAM, 1) => return End::Reset,
                (GOAWAY, _) => return End::Closed,
                _ => {}
            }
        }
    };
    timeout(PATIENCE, read).await.expect("an end in time")
}

async fn door() -> (Upstream, Door, Certificate) {
    let certificate = Certificate::new();
    let upstream = Upstream::start().await;
    let door = Door::start(&format!("[listen]\n{}{}", certificate.setting(), config(&upstream))).await;
    (upstream, door, certificate)
}

/// The fields of a good request, some replaced, others added.
fn request<'a>(bearer: &'a str, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let good = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "portal.test"),
        (":path", "/a"),
        ("authorization", bearer),
    ];
    let changed = |name: &str| changes.iter().any(|(other, _)| *other == name && name.starts_with(':'));
    let pseudo = changes.iter().filter(|(name, _)| name.starts_with(':'));
    let rest = changes.iter().filter(|(name, _)| !name.starts_with(':'));
    let mut fields: Vec<_> = good.iter().copied().filter(|(name, _)| name.starts_with(':') && !changed(name)).collect();
    fields.extend(pseudo);
    fields.push(good[4]);
    fields.extend(rest);
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_http_1_could_not_carry_is_never_forwarded() {
    let (upstream, door, certificate) = door().await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let large = "x".repeat(40 << 10);
    let rows: &[&[(&str, &str)]] = &[
        // What would become a line, a name or a request of its own.
        &[("x-a", "b\r\nX-User-Id: root")],
        &[("x-a", "b\nX-User-Id: root")],
        &[("x-a", "b\0")],
        &[("x-a\r\nx-user-id: root", "b")],
        &[("x-a: b", "c")],
        &[("x a", "b")],
        &[("X-User-Id", "root")],
        &[("", "b")],
        &[(":path", "/a HTTP/1.1\r\nX-User-Id: root\r\n\r\nGET /b")],
        &[(":path", "/a b")],
        &[(":path", "a")],
        &[(":path", "*")],
        &[(":path", "")],
        &[(":path", "http://portal.test/a")],
        &[(":path", "//evil.test/a")],
        &[(":path", "/public/../a")],
        &[(":method", "GET / HTTP/1.1\r\nX-User-Id: root")],
        &[(":method", "GET /b")],
        &[(":method", "")],
        &[(":method", "CONNECT")],
        &[(":method", "TRACE")],
        &[(":scheme", "http://evil.test/?")],
        &[(":scheme", "https\r\nx: y")],
        &[(":authority", "portal.test@evil.test")],
        &[(":authority", "globex.test, portal.test")],
        &[(":authority", "")],
        &[(":authority", "portal.test/a")],
        &[(":authority", "portal.test:99999")],
        &[("host", "globex.test")],
        &[("host", "portal.test"), ("host", "portal.test")],
        &[(":unknown", "a")],
        &[(":status", "200")],
        &[(":path", "/a"), (":path", "/b")],
        &[(":protocol", "websocket")],
        // What belongs to a connection.
        &[("transfer-encoding", "chunked")],
        &[("connection", "x-user-id")],
        &[("connection", "close")],
        &[("keep-alive", "timeout=5")],
        &[("proxy-connection", "keep-alive")],
        &[("upgrade", "websocket")],
        &[("te", "gzip")],
        // Lengths that are none, or not of this body.
        &[("content-length", "5")],
        &[("content-length", "-0")],
        &[("content-length", "0"), ("content-length", "0")],
        &[("x-large", &large)],
    ];
    for changes in rows {
        let mut stream = open(&certificate, &door).await;
        let fields = request(&bearer, changes);
        let block = block(&fields);
        let (first, rest) = block.split_at(block.len().min(16 << 10));
        let mut bytes = frame(HEADERS, END_STREAM | if rest.is_empty() { END_HEADERS } else { 0 }, 1, first);
        let mut rest = rest.chunks(16 << 10).peekable();
        while let Some(part) = rest.next() {
            bytes.extend(frame(CONTINUATION, if rest.peek().is_none() { END_HEADERS } else { 0 }, 1, part));
        }
        // A connection that is closed on it is an end as well.
        let _ = stream.write_all(&bytes).await;
        let end = end(&mut stream).await;
        assert_ne!(end, End::Answered { ok: true }, "{changes:?}");
        assert!(upstream.seen().is_empty(), "{changes:?} got through: {:?}", upstream.seen());
    }
    // Pseudo-headers come first (RFC 9113 section 8.3).
    let mut stream = open(&certificate, &door).await;
    let mut fields = request(&bearer, &[]);
    fields.rotate_left(1);
    let _ = stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields))).await;
    assert_ne!(end(&mut stream).await, End::Answered { ok: true });
    assert!(upstream.seen().is_empty());
    // And the same by hand, with nothing wrong.
    let mut stream = open(&certificate, &door).await;
    // `h2` drops a fragment before anyone sees it, so that what is decided on and forwarded is what is before it.
    let fields =
        request(&bearer, &[(":path", "/a#/public/"), ("te", "trailers"), ("x-user-id", "root"), ("x_roles", "admin")]);
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields))).await.unwrap();
    assert_eq!(end(&mut stream).await, End::Answered { ok: true });
    assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
    assert!(upstream.last().all("x_roles").is_empty());
    assert_eq!(upstream.last().target(), "/a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_length_than_said_never_looks_complete_to_the_app() {
    let (upstream, door, certificate) = door().await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    for (length, body, trailers) in
        [("5", "", false), ("5", "four", false), ("5", "sixsix", false), ("5", "four", true)]
    {
        let mut stream = open(&certificate, &door).await;
        let fields = request(&bearer, &[(":method", "POST"), ("content-length", length)]);
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        bytes.extend(frame(DATA, if trailers { 0 } else { END_STREAM }, 1, body.as_bytes()));
        if trailers {
            bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-user-id", "root")])));
        }
        let _ = stream.write_all(&bytes).await;
        let end = end(&mut stream).await;
        assert_ne!(end, End::Answered { ok: true }, "{length} {body:?}");
        assert!(upstream.seen().is_empty(), "{length} {body:?}: {:?}", upstream.seen());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_refused_take_nobodys_place() {
    let certificate = Certificate::new();
    let upstream = Upstream::start().await;
    let listen = format!("[listen]\nmax_connections = 2\n{}", certificate.setting());
    let door = Door::start(&format!("{listen}{}", config(&upstream))).await;
    let mut stream = open(&certificate, &door).await;
    // Without a token, and with bodies that never end.
    let fields = request("Basic bm9ib2R5", &[(":method", "POST"), ("content-length", "9")]);
    let refused: Vec<u8> =
        [7, 5, 3, 1].into_iter().flat_map(|id| frame(HEADERS, END_HEADERS, id, &block(&fields))).collect();
    let refused = refused.chunks(refused.len() / 4).rev().collect::<Vec<_>>().concat();
    stream.write_all(&refused).await.unwrap();
    assert_eq!(end(&mut stream).await, End::Answered { ok: false });
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let mut good = open(&certificate, &door).await;
    let fields = request(&bearer, &[]);
    good.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(&fields))).await.unwrap();
    assert_eq!(end(&mut good).await, End::Answered { ok: true });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_pauses_waits_no_longer_than_the_app_may_take() {
    let certificate = Certificate::new();
    let upstream = Upstream::start().await;
    let listen = format!("[listen]\n{}", certificate.setting());
    let text = config(&upstream).replace("path = \"/\"", "path = \"/\"\nresponse_timeout = \"400ms\"");
    let door = Door::start(&format!("{listen}{text}")).await;
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let fields = request(&bearer, &[(":method", "POST"), ("content-length", "9")]);
    for sent in [&b""[..], b"four"] {
        let mut stream = open(&certificate, &door).await;
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        if !sent.is_empty() {
            bytes.extend(frame(DATA, 0, 1, sent));
        }
        stream.write_all(&bytes).await.unwrap();
        let end = end(&mut stream).await;
        assert_eq!(end, End::Answered { ok: false });
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_or_idle_connection_is_closed() {
    let certificate = Certificate::new();
    let upstream = Upstream::start().await;
    let times = "header_timeout = \"300ms\"\nidle_timeout = \"300ms\"\n";
    let door = Door::start(&format!("[listen]\n{times}{}{}", certificate.setting(), config(&upstream))).await;
    // No preface, half of one, one and nothing after it, and a header block that never ends.
    let bearer = format!("Bearer {}", ACME.token("maya"));
    let head = block(&request(&bearer, &[]));
    let begun = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, END_STREAM, 1, &head)].concat();
    for sent in [&b""[..], &PREFACE[..10], PREFACE, &begun] {
        let mut stream = certificate.connect(door.address, &["h2"]).await;
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("closed in time");
    }
    assert!(upstream.seen().is_empty());
}
