//! G: pages of other origins learn nothing; no answer at all lets them (see the judge).

use super::{
    case::{
        Case, U1,
        Verdict::{self, Anonymous, Deny, Ours, Refused},
        X, ask, get, good, post, row,
    },
    stage::Stage,
};

const FOREIGN: [&str; 14] = [
    "https://evil.test",
    "null",
    "https://portal.test.evil.test",
    "https://evilportal.test",
    "http://portal.test",
    "https://portal.test:444",
    "https://app.acme.example.evil.test",
    "https://evil-app.acme.example",
    "http://app.acme.example",
    "https://app.acme.example:8443",
    "https://app.acme.example\u{2e}",
    "https://x.app.acme.example",
    "HTTPS://evil.test",
    "https://app.acme.example, https://evil.test",
];

fn lets_nobody_read(outcome: &super::case::Outcome<'_>) -> Result<(), String> {
    let of_cors = |(name, _): &&(String, String)| {
        let name = name.to_ascii_lowercase();
        name.starts_with("access-control-allow-")
    };
    let told: Vec<_> = outcome.answers.iter().flat_map(|answer| answer.headers.iter().filter(of_cors)).collect();
    told.is_empty().then_some(()).ok_or_else(|| format!("lets others read: {told:?}"))
}

/// A token of a foreign page is refused; without TLS of ours we cannot tell our own page by its scheme.
fn with_token(origin: &str) -> Verdict {
    if origin == "http://portal.test" { U1 } else { Deny }
}

pub fn cases() -> Vec<Case> {
    let mut table = Vec::new();
    for origin in FOREIGN {
        let preflight = |target: &str| {
            ask("OPTIONS", target)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", "POST")
                .header("Access-Control-Request-Headers", "authorization, x-user-id")
        };
        table.push(row("G 86", origin, preflight(X), Ours).named("preflight of").and(lets_nobody_read));
        table.push(
            row("G 86", origin, preflight("/_auth/exchange"), Ours)
                .named("preflight of an exchange of")
                .and(lets_nobody_read),
        );
        table.push(
            row("G 86", origin, preflight(X).header("X-User-Id", "admin"), Ours)
                .named("preflight with identity of")
                .and(lets_nobody_read),
        );
        table.push(
            row("G 87", origin, get(X).header("Origin", origin), Refused).named("no token,").and(lets_nobody_read),
        );
        table.push(
            row("G 87", origin, get(X).header("Origin", origin).bearer(good()), with_token(origin))
                .named("a token,")
                .and(lets_nobody_read),
        );
        table.push(
            row("G 87", origin, get("/public/x").header("Origin", origin), Anonymous)
                .named("public,")
                .and(lets_nobody_read),
        );
        table.push(
            row("G 87", origin, get("/_auth/session").header("Origin", origin).bearer(good()), Ours)
                .named("who am I,")
                .and(lets_nobody_read),
        );
        table.push(
            row("G 89", origin, preflight(X).header("X-HTTP-Method-Override", "GET"), Ours)
                .named("override,")
                .and(lets_nobody_read),
        );
        table.push(
            row("G 89", origin, preflight(X).body("_method=GET&a=b"), Ours).named("with a body,").and(lets_nobody_read),
        );
    }
    let simple = post("/_auth/exchange").header("Origin", "https://evil.test").header("Content-Type", "text/plain");
    table.extend([
        row("G 89", "OPTIONS without an Origin", ask("OPTIONS", X), Ours),
        row(
            "G 89",
            "OPTIONS of all",
            "OPTIONS * HTTP/1.1\r\nHost: portal.test\r\nOrigin: https://evil.test\r\n\r\n",
            Ours,
        ),
        row("G 89", "a simple request of another page", simple.body("{}"), Refused).and(lets_nobody_read),
    ]);
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_may_read_nothing() {
    Stage::start().await.run(&cases()).await;
}
