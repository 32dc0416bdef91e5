//! H 94: how a head that cannot be read is refused: as every refusal, by a problem document, and with the connection closed.

use super::{
    case::{
        Case, Outcome,
        Verdict::{Answers, Bad},
        raw, row,
    },
    stage::Stage,
};

fn is_a_problem(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or(serde_json::Value::Null);
    let is_right = answer.header("content-type") == Some("application/problem+json")
        && answer.header("cache-control") == Some("no-store")
        && problem["status"] == answer.status
        && problem["code"].is_string();
    is_right.then_some(()).ok_or_else(|| format!("told {:?} {}", answer.headers, answer.text()))
}

pub fn cases() -> Vec<Case> {
    let good = raw("GET", "\r\n");
    let with = |line: &str| raw("GET", &format!("{line}\r\n\r\n"));
    let mut table = vec![
        row("H 94", "many headers", with(&["X-A: b"; 300].join("\r\n")), Bad),
        row("H 94", "a head too large", with(&format!("X-A: {}", "b".repeat(60 << 10))), Answers(431)),
        row("H 94", "CONNECT", good.replace("GET /api/x", "CONNECT portal.test:80"), Answers(405)),
    ];
    for (name, sent) in [
        ("a line that ends in LF", with("X-A: b\nX-B: c")),
        ("space before the colon", with("X-A : b")),
        ("a folded line", with("X-A: b\r\n c")),
        ("no Host", good.replace("Host: portal.test\r\n", "")),
        ("no Host on HTTP/1.0", good.replace("Host: portal.test\r\n", "").replace("HTTP/1.1", "HTTP/1.0")),
        ("two Hosts", with("Host: portal.test")),
        ("a space in the target", good.replace("/api/x", "/a b")),
        ("two spaces", good.replace(" HTTP/", "  HTTP/")),
        ("another version", good.replace("HTTP/1.1", "HTTP/2.0")),
        ("chunks and a length", with("Content-Length: 0\r\nTransfer-Encoding: chunked")),
        ("two lengths", with("Content-Length: 0\r\nContent-Length: 0")),
        ("a list of lengths", with("Content-Length: 0, 0")),
        ("two codings", with("Transfer-Encoding: gzip, chunked")),
        ("an empty name", with(": b")),
        ("a NUL", with("X-A: \0")),
        ("no HTTP", "hello\r\n\r\n".to_owned()),
    ] {
        table.push(row("H 94", name, sent, Answers(400)));
    }
    table.into_iter().map(|case| case.named("told of").and(is_a_problem).closes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_read_is_refused_as_a_problem() {
    Stage::start().await.run(&cases()).await;
}
