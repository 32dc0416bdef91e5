//! N: how the doors of others were opened, headers, framing and load. The names are those of their advisories.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    case::{
        Case, Outcome, U1,
        Verdict::{self, Anonymous, Bad, Broken, Deny, Each, Ours},
        X, ask, either as one_of, get, good, post, raw, refused_or, row, signed_in,
    },
    stage::Stage,
};

fn hides(outcome: &Outcome<'_>) -> Result<(), String> {
    let hidden = outcome.requests.iter().any(|request| request.line.contains("hidden"));
    (!hidden).then_some(()).ok_or_else(|| "the hidden request was seen".to_owned())
}

fn is_not_upgraded(outcome: &Outcome<'_>) -> Result<(), String> {
    match outcome.requests.first().map(|request| request.all("upgrade")).as_deref() {
        None | Some([]) => Ok(()),
        Some(upgrade) => Err(format!("upgrade {upgrade:?}")),
    }
}

const HIDDEN: &str = "GET /api/hidden HTTP/1.1\r\nHost: portal.test\r\n\r\n";

pub fn cases() -> Vec<Case> {
    let either = || refused_or(U1);
    let page = || get(X).bearer(good());
    let mut table = vec![
        row("N CVE-2021-40346", "a name that overflows into a length", raw("POST", &format!("Content-Length0{}: 0\r\nContent-Length: 23\r\n\r\n{}", "a".repeat(255), "x".repeat(23))), either()),
        row("N CVE-2023-25725", "an empty name cuts the list", format!("GET {X} HTTP/1.1\r\n: x\r\n{}\r\n", signed_in()), Bad),
        row("N CVE-2023-40225", "an empty length", raw("GET", "Content-Length:\r\n\r\n"), Bad),
        row("N CVE-2023-40225", "an empty length and a body", raw("POST", &format!("Content-Length: \r\n\r\n{HIDDEN}")), Bad).and(hides),
        row("N RUSTSEC-2021-0078", "a length with a plus", raw("POST", "Content-Length: +3\r\n\r\nabc"), Bad),
        row("N RUSTSEC-2020-0008", "chunked and identity", raw("POST", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc"), Bad),
        row("N RUSTSEC-2021-0020", "chunked that is not last", raw("POST", &format!("Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n{HIDDEN}")), Bad).and(hides),
        row("N RUSTSEC-2021-0081", "two lengths and chunks", raw("POST", "Content-Length: 3\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), Bad),
        row("N CVE-2024-32638", "GET with chunks", raw("GET", &format!("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{HIDDEN}")), Each(&[200, 401], 1)).and(hides),
        row("N CVE-2019-20372", "a refused body", format!("POST {X} HTTP/1.1\r\nHost: portal.test\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()), Deny).and(hides),
        row("N CVE-2026-73548", "a request behind an upgrade", raw("GET", &format!("Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n{HIDDEN}")), refused_or(one_of(U1, Each(&[200, 401], 1)))).and(hides),
        row("N CVE-2026-73547", "a request without a path", format!("GET  HTTP/1.1\r\n{}\r\n", signed_in()), Bad),
        row("N CVE-2026-71324", "CONNECT, and then another request", format!("CONNECT portal.test:80 HTTP/1.1\r\n{}\r\n{HIDDEN}", signed_in()), Bad).and(hides),
        row("N h2c", "an upgrade to HTTP/2", page().header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", "h2c").header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"), either()).and(is_not_upgraded),
        row("N h2c", "an upgrade to two", page().header("Connection", "Upgrade").header("Upgrade", "websocket, h2c"), either()),
        row("N h2c", "an upgrade without a token", get(X).header("Connection", "Upgrade, HTTP2-Settings").header("Upgrade", "h2c").header("HTTP2-Settings", "AAMAAABkAAQ"), Deny),
        row("N h2c", "the preface in the middle", format!("{}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", raw("GET", "\r\n")), Each(&[200, 400], 1)),
        row("N Expect", "an obscured expectation", raw("POST", &format!("Expect: \t100-continue\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len())), either()).and(hides),
        row("N Expect", "an expectation that is none", raw("GET", &format!("Expect: y 100-continue\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len())), either()).and(hides),
        row("N Expect", "0.CL by an expectation", format!("GET {X} HTTP/1.1\r\nHost: portal.test\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n{HIDDEN}", HIDDEN.len()), Deny).and(hides),
        row("N chunk extension", "a line end in it", raw("POST", &format!("Transfer-Encoding: chunked\r\n\r\n1;\n\r\na\r\n0\r\n\r\n{HIDDEN}")), Broken).and(hides),
        row("N CVE-2026-26998", "a body without end, refused", format!("POST {X} HTTP/1.1\r\nHost: portal.test\r\nTransfer-Encoding: chunked\r\n\r\n{}", format!("1000\r\n{}\r\n", "x".repeat(0x1000)).repeat(64)), Verdict::Refused),
        row("N CVE-2024-28869", "a length, and no body", get(X).header("Content-Length", "100000").bearer(good()), Broken),
        row("N CVE-2025-29927", "the word that skips the check", get(X).header("x-middleware-subrequest", "middleware:middleware"), Deny),
        row("N CVE-2023-27487", "a path that only an inner header has", get(X).header("x-envoy-original-path", "/public/x"), Deny),
        row("N CVE-2026-34457", "the agent of a health check", get(X).header("User-Agent", "GoogleHC/1.0"), Deny),
        row("N CVE-2026-40575", "a path that a proxy would name", get(X).header("X-Forwarded-Uri", "/public/x").header("X-Forwarded-Method", "OPTIONS"), Deny),
        row("N CVE-2024-45410", "nominated in small letters", page().header("connection", "x-user-id").header("Connection", "X-Tenant , x-roles"), either()),
        row("N CVE-2022-31813", "nominated with odd white space", page().header("Connection", ", ,\tX-User-Id,, close"), either()),
        row("N CVE-2026-105299", "a token that is nominated", page().header("Connection", "authorization"), refused_or(U1)),
        row("N CVE-2026-105299", "a cookie that is nominated", page().header("Connection", "Cookie, Host"), either()),
        row("N CVE-2026-26308", "two users in two headers", page().header("X-User-Id", "u-1").header("X-User-Id", "admin"), U1),
        row("N CVE-2026-26308", "two users in one header", page().header("X-User-Id", "u-1,admin"), U1),
        row("N CVE-2024-45808", "line ends for the log", get("/api/%0d%0aX").bearer(good()), Bad),
        row("N Proxy", "the app's own proxy", page().header("Proxy", "http://evil.test").header("pro_xy", "evil"), U1).and(|outcome| {
            (!outcome.request()?.contains(b"evil")).then_some(()).ok_or_else(|| "Proxy passed".to_owned())
        }),
        row("N TE", "TE and Trailer", page().header("TE", "trailers, chunked").header("Connection", "TE"), U1),
        row("N Upgrade", "an upgrade to nothing in particular", page().header("Connection", "upgrade").header("Upgrade", "foo/2"), either()).and(is_not_upgraded),
        row("N OPTIONS", "of a public page", ask("OPTIONS", "/public/x"), Anonymous),
        row("N HEAD", "of an endpoint", ask("HEAD", "/_auth/session"), Deny),
        row("N POST", "of a huge length", post(X).header("Content-Length", "9999999999999"), Verdict::Refused),
        row("N empty", "only line ends", "\r\n\r\n", Bad),
        row("N TLS", "a TLS hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n".to_vec(), Bad),
        row("N NUL", "only NULs", vec![0; 4_096], Bad),
        row("N PROXY", "a PROXY line of another address", format!("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n{}", raw("GET", "\r\n")), Bad),
        row("N endpoint", "a body to who am I", ask("GET", "/_auth/session").body(HIDDEN), Ours).and(hides),
    ];
    // Nominating many is itself an attack on whoever compares them.
    let many = (0..500).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(",");
    table.push(row("N CVE-2021-33197", "500 nominated", page().header("Connection", many), either()));
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_other_servers_does_not_break_this_one() {
    Stage::start().await.wary().run(&cases()).await;
}

/// A small flood, so that a plain mistake shows long before the large ones are run.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_connections_that_say_little_keep_nobody_waiting() {
    let stage = Stage::start().await;
    let mut held = Vec::new();
    for number in 0..300 {
        let mut stream = TcpStream::connect(stage.door.address).await.unwrap();
        let sent: &[u8] = match number % 4 {
            0 => b"",
            1 => b"G",
            2 => b"GET /api/x HTTP/1.1\r\nHost: portal.test\r\nX-A:",
            _ => b"POST /_auth/exchange HTTP/1.1\r\nHost: portal.test\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        };
        stream.write_all(sent).await.unwrap();
        held.push(stream);
    }
    let cases =
        (0..20).map(|_| row("N flood", "a good request among them", get(X).bearer(good()), U1)).collect::<Vec<_>>();
    stage.run(&cases).await;
    assert_eq!(held.len(), 300);
}
