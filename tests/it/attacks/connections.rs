//! H: several requests on one connection, and bodies that would be requests: each is its own, and nobody else's.

use super::{
    case::{
        Case, Outcome, Sent, U1,
        Verdict::{Bad, Deny, Each, Refused},
        X, ask, get, good, raw, row, signed_in,
    },
    stage::Stage,
};

/// The request that must never be taken out of another's body.
const HIDDEN: &str = "GET /api/hidden HTTP/1.1\r\nHost: portal.test\r\nX-User-Id: admin\r\n\r\n";

fn hides(outcome: &Outcome<'_>) -> Result<(), String> {
    let hidden = outcome.requests.iter().any(|request| request.line.contains("hidden"));
    (!hidden).then_some(()).ok_or_else(|| "the hidden request was seen".to_owned())
}

/// Requests one behind the other.
fn joined(parts: &[&str]) -> String {
    parts.concat()
}

pub fn cases() -> Vec<Case> {
    let (first, denied) = (raw("GET", "\r\n"), "GET /api/y HTTP/1.1\r\nHost: portal.test\r\n\r\n");
    let closing = raw("GET", "Connection: close\r\n\r\n");
    let with_body = |method: &str, length: usize| {
        format!("{method} {X} HTTP/1.1\r\nHost: portal.test\r\nContent-Length: {length}\r\n\r\n")
    };
    let whole = get("/public/z").bytes();
    let whole = String::from_utf8(whole).unwrap();
    let mut table = vec![
        row("H 94", "two on one connection", joined(&[&first, &first]), Each(&[200, 200], 2)),
        row("H 94", "a good one, then one without a token", joined(&[&first, denied]), Each(&[200, 401], 1)),
        row("H 94", "one without a token, then a good one", joined(&[denied, &first]), Each(&[401, 200], 1)),
        row("H 94", "three of three kinds", joined(&[&first, &whole, denied]), Each(&[200, 200, 401], 2)),
        row("H 94", "after the last there is none", joined(&[&closing, &first]), U1).closes(),
        row(
            "H 94",
            "a good one, then a broken one",
            joined(&[&first, "GET /a b HTTP/1.1\r\nHost: portal.test\r\n\r\n"]),
            Each(&[200, 400], 1),
        )
        .closes(),
        row(
            "H 94",
            "a broken one, then a good one",
            joined(&["GET /a b HTTP/1.1\r\nHost: portal.test\r\n\r\n", &first]),
            Bad,
        )
        .closes(),
        row(
            "H 94",
            "a body, then a good one",
            joined(&[&raw("POST", "Content-Length: 5\r\n\r\nhello"), &first]),
            Each(&[200, 200], 2),
        ),
        row(
            "H 94",
            "chunks, then a good one",
            joined(&[&raw("POST", "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), &first]),
            Each(&[200, 200], 2),
        ),
        row(
            "H 94",
            "trailers, then one without a token",
            joined(&[&raw("POST", "Transfer-Encoding: chunked\r\n\r\n0\r\nX-User-Id: admin\r\n\r\n"), denied]),
            Each(&[200, 401], 1),
        ),
        row("H 94", "a line end between", joined(&[&first, "\r\n", &first]), Each(&[200, 200], 2)),
        row(
            "H 103",
            "a head for GET with a length of HEAD",
            String::from_utf8(ask("HEAD", X).bearer(good()).bytes()).unwrap(),
            U1,
        ),
    ];
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "POST", "PUT"] {
        let refused = format!("{}{HIDDEN}", with_body(method, HIDDEN.len()));
        table.push(row("H 103", method, refused.clone(), Deny).named("refused, a request for a body,").and(hides));
        if method != "HEAD" {
            table.push(
                row("H 103", method, joined(&[&refused, &first]), Each(&[401, 200], 1))
                    .named("and then a good one,")
                    .and(hides),
            );
        }
        let passed =
            format!("{method} {X} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{HIDDEN}", signed_in(), HIDDEN.len());
        table.push(row("H 103", method, passed, U1).named("passed, a request for a body,").and(hides));
        let late = format!("{}{HIDDEN}", with_body(method, HIDDEN.len() + 10));
        table.push(row("H 103", method, late, Refused).named("refused, a body too short,").and(hides));
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_are_kept_apart() {
    Stage::start().await.wary().run(&cases()).await;
}
