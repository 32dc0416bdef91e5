//! H: where a head ends, a line, a body and a connection: whatever two servers could see in two places.

use super::{
    case::{
        Case, Outcome, Sent, U1,
        Verdict::{Bad, Broken, Deny, Pass},
        X, get, good, post, raw, refused_or, row, signed_in,
    },
    stage::Stage,
};

/// The request that must never be taken out of another's body.
const HIDDEN: &str = "GET /api/hidden HTTP/1.1\r\nHost: portal.test\r\nX-User-Id: admin\r\n\r\n";

fn hides(outcome: &Outcome<'_>) -> Result<(), String> {
    let hidden = outcome.requests.iter().any(|request| request.line.contains("hidden"));
    (!hidden).then_some(()).ok_or_else(|| "the hidden request was seen".to_owned())
}

fn has_body(outcome: &Outcome<'_>, wanted: &[u8]) -> Result<(), String> {
    let body = &outcome.request()?.body;
    (body == wanted).then_some(()).ok_or_else(|| format!("body {:?}", String::from_utf8_lossy(body)))
}

/// A POST whose head these lines end, and its body.
fn body(lines: &str, body: &str) -> String {
    raw("POST", &format!("{lines}\r\n\r\n{body}"))
}

fn chunked(rest: &str) -> String {
    body("Transfer-Encoding: chunked", rest)
}

pub fn cases() -> Vec<Case> {
    let twice = |one: &str, other: &str| body(&format!("{one}\r\n{other}"), "0\r\n\r\nG");
    let mut table = vec![
        row("H 90", "CL.TE", twice("Content-Length: 6", "Transfer-Encoding: chunked"), Bad).closes(),
        row("H 90", "TE.CL", twice("Transfer-Encoding: chunked", "Content-Length: 6"), Bad).closes(),
        row(
            "H 90",
            "CL.TE around a request",
            body(
                &format!("Content-Length: {}\r\nTransfer-Encoding: chunked", HIDDEN.len() + 5),
                &format!("0\r\n\r\n{HIDDEN}"),
            ),
            Bad,
        )
        .and(hides),
        row(
            "H 90",
            "TE.CL around a request",
            body(
                "Transfer-Encoding: chunked\r\nContent-Length: 4",
                &format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len()),
            ),
            Bad,
        )
        .and(hides),
        row(
            "H 90",
            "0.CL",
            get(X).bearer(good()).header("Content-Length", "0").header("Content-Length", "5").bytes(),
            Bad,
        ),
        row("H 94", "a plain length", body("Content-Length: 5", "hello"), U1).and(|o| has_body(o, b"hello")),
        row("H 94", "no length", body("Content-Length: 0", ""), U1),
        row("H 94", "chunks", chunked("5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n"), U1).and(|o| has_body(o, b"helloyou")),
        row("H 94", "chunks, sizes in capitals and with zeros", chunked("000A\r\n0123456789\r\n0\r\n\r\n"), U1)
            .and(|o| has_body(o, b"0123456789")),
        row("H 94", "chunked in capitals", body("Transfer-Encoding: CHUNKED", "1\r\na\r\n0\r\n\r\n"), U1)
            .and(|o| has_body(o, b"a")),
        row("H 94", "a chunk extension", chunked("5;a=b\r\nhello\r\n0\r\n\r\n"), refused_or(U1)),
        row("H 94", "trailers", chunked("1\r\na\r\n0\r\nX-User-Id: admin\r\nX-Roles: admin\r\n\r\n"), refused_or(U1)),
        row("H 94", "one line end before the request", format!("\r\n{}", raw("GET", "\r\n")), U1),
        row("H 94", "the version in small letters", raw("GET", "\r\n").replace("HTTP/1.1", "http/1.1"), Bad),
        row("H 94", "a header without a value", raw("GET", "X-A:\r\n\r\n"), U1),
        row("H 94", "white space around a value", raw("GET", "X-A: \t b \t\r\n\r\n"), U1),
        row("H 96", "space before the colon", raw("GET", "X-A : b\r\n\r\n"), Bad).closes(),
        row("H 96", "tab before the colon", raw("GET", "X-A\t: b\r\n\r\n"), Bad),
        row("H 96", "space before Host's colon", raw("GET", "\r\n").replace("Host:", "Host :"), Bad),
        row("H 96", "space before the first header", raw("GET", "\r\n").replace("Host:", " Host:"), Bad),
        row("H 96", "an empty name", raw("GET", ": x\r\n\r\n"), Bad),
        row("H 96", "an empty name before a forged header", raw("GET", ": x\r\nX-User-Id: admin\r\n\r\n"), Bad),
        row("H 96", "no colon", raw("GET", "X-A\r\n\r\n"), Bad),
        row("H 96", "NUL in a name", raw("GET", "X\0A: b\r\n\r\n"), Bad),
        row("H 96", "CR in a name", raw("GET", "X\rA: b\r\n\r\n"), Bad),
        row("H 96", "a lone CR before a forged header", raw("GET", "X-A: b\rX-User-Id: admin\r\n\r\n"), Bad),
        row("H 96", "NUL before a forged header", raw("GET", "X-A: b\0X-User-Id: admin\r\n\r\n"), Bad),
        row("H 97", "a folded forged header", raw("GET", "X-A: b\r\n X-User-Id: admin\r\n\r\n"), Bad),
        row("H 97", "folded by a tab", raw("GET", "X-A: b\r\n\tX-Roles: admin\r\n\r\n"), Bad),
        row("H 97", "a folded Host", raw("GET", "\r\n").replace("Host: ", "Host:\r\n "), Bad),
        row("H 97", "a folded token", raw("GET", "\r\n").replace("Bearer ", "Bearer\r\n "), Bad),
        row("H 97", "a fold of nothing", raw("GET", "X-A: b\r\n \r\nX-B: c\r\n\r\n"), Bad),
        row("H 98", "all lines end in LF", raw("GET", "\r\n").replace("\r\n", "\n"), Bad),
        row("H 98", "one line ends in LF", raw("GET", "X-A: b\nX-B: c\r\n\r\n"), Bad),
        row("H 98", "LF before a forged header", raw("GET", "X-A: b\nX-User-Id: admin\r\n\r\n"), Bad),
        row("H 98", "the request line ends in LF", raw("GET", "\r\n").replacen("\r\n", "\n", 1), Bad),
        row("H 98", "the head ends in LF", raw("GET", "\n"), Bad),
        row("H 98", "the head ends in CR LF CR X", raw("GET", "\rX\r\n\r\n"), Bad),
        row("H 98", "lines end in CR", raw("GET", "\r\n").replace("\r\n", "\r"), Bad),
        row("H 98", "LF before the request", format!("\n{}", raw("GET", "\r\n")), Bad),
        row(
            "H 98",
            "many line ends before the request",
            format!("{}{}", "\r\n".repeat(5_000), raw("GET", "\r\n")),
            Bad,
        ),
        row("H 100", "chunked on HTTP/1.0", chunked("1\r\na\r\n0\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"), Bad),
        row("H 100", "HTTP/1.0", raw("GET", "\r\n").replace("HTTP/1.1", "HTTP/1.0"), U1).closes(),
        row(
            "H 100",
            "HTTP/1.0 that would stay",
            raw("GET", "Connection: keep-alive\r\n\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            U1,
        ),
        row(
            "H 100",
            "HTTP/1.0 without Host",
            raw("GET", "\r\n").replace("HTTP/1.1", "HTTP/1.0").replace("Host: portal.test\r\n", ""),
            Bad,
        ),
        row("H 102", "waits to be asked, and is", body("Expect: 100-continue\r\nContent-Length: 5", "hello"), U1),
        row("H 102", "another expectation", body("Expect: x\r\nContent-Length: 5", "hello"), refused_or(U1)),
        row("H 102", "two expectations", body("Expect: 100-continue, x\r\nContent-Length: 5", "hello"), refused_or(U1)),
        row("H 102", "an expectation without a body", raw("GET", "Expect: 100-continue\r\n\r\n"), refused_or(U1)),
        row(
            "H 102",
            "an expectation with a gap",
            body("Expect: 100-continue\r\nExpect:\r\nContent-Length: 5", "hello"),
            refused_or(U1),
        ),
        row(
            "H 102",
            "refused, and the body comes all the same",
            post(X).header("Expect", "100-continue").body(HIDDEN),
            Deny,
        )
        .and(hides),
        row(
            "H 102",
            "an app that answers first",
            post(X).bearer(good()).header("Expect", "100-continue").body(HIDDEN),
            refused_or(Pass("u-1", "acme", "agent")),
        )
        .app_answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .and(hides),
    ];
    for line in [
        "GET /api/x HTTP/1.2",
        "GET /api/x HTTP/2.0",
        "GET /api/x HTTP/0.9",
        "GET /api/x HTTP/1",
        "GET /api/x HTTP/1.10",
        "GET /api/x HTTP/1.1.1",
        "GET /api/x HTTP/01.1",
        "GET /api/x HTTP/1,1",
        "GET /api/x HTTPS/1.1",
        "GET /api/x HTTP 1.1",
        "GET /api/x ICAP/1.0",
        "GET /api/x HTTP/1.1 ",
        "GET /api/x  HTTP/1.1",
        "GET  /api/x HTTP/1.1",
        " GET /api/x HTTP/1.1",
        "GET\t/api/x\tHTTP/1.1",
        "GET /api/x\tHTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /api/x HTTP/1.1 HTTP/1.1",
        "GET /a\tb HTTP/1.1",
        "GET /a\0b HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET /a\u{7f}b HTTP/1.1",
        "GET /a\u{b}b HTTP/1.1",
        "GET /a\u{1}b HTTP/1.1",
        "GET /a<b HTTP/1.1",
        "GET /a\"b HTTP/1.1",
        "GET /a HTTP/1.1\u{0}",
    ] {
        // RFC 3986 knows neither `<` nor `"`, but every server takes them: refused, or forwarded to the byte.
        let verdict = if line.contains(['<', '"']) { refused_or(U1) } else { Bad };
        table.push(row("H 94", line.escape_debug().to_string(), format!("{line}\r\n{}\r\n", signed_in()), verdict));
    }
    for length in [
        "+5",
        "-5",
        "-0",
        "05",
        "005",
        "5 5",
        "5,5",
        "5, 5",
        "5,6",
        "0x5",
        "5.0",
        "5e0",
        "5;",
        "\"5\"",
        "five",
        "",
        " ",
        "5\t5",
        "\u{665}",
        "99999999999999999999",
        "18446744073709551621",
        "9223372036854775808",
        "9223372036854775809",
        "18446744073709551615",
        "18446744073709551616",
        "5_0",
        "5\0",
        "5\u{b}",
        "٥",
    ] {
        table.push(
            row("H 94", length.escape_debug().to_string(), body(&format!("Content-Length: {length}"), "hello"), Bad)
                .named("length"),
        );
    }
    for (one, other) in [("5", "5"), ("5", "6"), ("0", "5"), ("5", ""), ("5", "+5"), ("5", "05")] {
        let lines = format!("Content-Length: {one}\r\nContent-Length: {other}");
        table.push(row("H 94", format!("{one} and {other}"), body(&lines, "hello"), Bad).named("lengths"));
        let lines = format!("Content-Length: {one}\r\nX-A: b\r\ncontent-length: {other}");
        table.push(row("H 94", format!("{one} and {other}"), body(&lines, "hello"), Bad).named("lengths apart,"));
    }
    for byte in [
        0x00_u8, 0x01, 0x08, 0x0b, 0x0c, 0x1f, 0x20, 0x22, 0x28, 0x2c, 0x2f, 0x3b, 0x3d, 0x40, 0x5b, 0x7b, 0x7f, 0x80,
        0x85, 0xa0, 0xff,
    ] {
        let line = [b"X", &[byte][..], b"A: b\r\n\r\n"].concat();
        table.push(row("H 96", format!("{byte:#x} in a name"), [raw("GET", "").into_bytes(), line].concat(), Bad));
        let line = [b"X-A", &[byte][..], b": b\r\n\r\n"].concat();
        table.push(row("H 96", format!("{byte:#x} after a name"), [raw("GET", "").into_bytes(), line].concat(), Bad));
    }
    for rest in [
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhel",
        "",
        "0\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "6\r\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\0\r\nhello\r\n0\r\n\r\n",
        "5;\n\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\nb\"\r\nhello\r\n0\r\n\r\n",
        "5,5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
    ] {
        table.push(row("H 94", rest.escape_debug().to_string(), chunked(rest), Broken).named("chunks"));
    }
    // A length nobody can count: what follows must not go on to the app as it is.
    let uncounted = body("Content-Length: 9223372036854775808", HIDDEN);
    table.push(row("H 94", "a length of 2^63 around a request", uncounted, Bad).and(hides));
    table.push(row("H 94", "a body cut short", body("Content-Length: 50", "hello"), Broken));
    table.push(row("H 94", "a head cut short", raw("GET", "X-A: b"), Bad));
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(1 << 20));
    table.push(row("H 94", "a chunk extension of 1 MiB", chunked(&long), Broken));
    let long = format!("0\r\n{}\r\n", "X: y\r\n".repeat(100_000));
    table.push(row("H 94", "trailers of 600 KB", chunked(&long), Broken));
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bodies_have_one_end() {
    let (first, second) = (Stage::start().await.wary(), Stage::start().await.wary());
    first.share(&second, &cases()).await;
}
