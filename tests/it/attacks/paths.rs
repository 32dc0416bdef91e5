//! D: paths, targets, hosts and methods that two readers read in two ways.

use super::{
    case::{
        ACME, Case, GLOBEX, Outcome, U1,
        Verdict::{Anonymous, Answers, Bad, Deny, Pass, Refused},
        X, ask, get, good, post, refused_or, row, same_target, signed_in,
    },
    stage::Stage,
};

/// A request line of any kind, with a good token.
fn line(line: &str) -> String {
    format!("{line}\r\n{}\r\n", signed_in())
}

/// The good request with these lines in place of its Host.
fn hosted(lines: &str) -> String {
    format!("GET {X} HTTP/1.1\r\n{lines}Authorization: Bearer {}\r\n\r\n", good())
}

fn is_refused_everywhere(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    (answer.status >= 400).then_some(()).ok_or_else(|| format!("status {}", answer.status))
}

pub fn cases() -> Vec<Case> {
    let mut table = Vec::new();
    for (id, target) in [
        ("D 58", "/public/../admin"),
        ("D 58", "/public/%2e%2e/admin"),
        ("D 58", "/public/%2E%2E/admin"),
        ("D 58", "/public/.%2e/admin"),
        ("D 58", "/public/%2e./admin"),
        ("D 58", "/public/%252e%252e/admin"),
        ("D 58", "/public/%25252e%25252e/admin"),
        ("D 58", "/public/%25%32%65%25%32%65/admin"),
        ("D 58", "/public/%25%32e%25%32e/admin"),
        ("D 58", "/public/%252%65%252%65/admin"),
        ("D 58", "/public/..%25%32%66admin"),
        ("D 58", "/public/..%25%35%63admin"),
        ("D 58", "/public/..;/admin"),
        ("D 58", "/public/..;x=y/admin"),
        ("D 58", "/public/..%3b/admin"),
        ("D 58", "/public/..%2fadmin"),
        ("D 58", "/public/..%252fadmin"),
        ("D 58", "/public/..%5cadmin"),
        ("D 58", "/public/..%255cadmin"),
        ("D 58", "/public/\\..\\admin"),
        ("D 58", "/public\\..\\admin"),
        ("D 58", "/./admin"),
        ("D 58", "/public/./../admin"),
        ("D 58", "/public/.."),
        ("D 58", "/public/%c0%ae%c0%ae/admin"),
        ("D 58", "/public/%e0%80%ae%e0%80%ae/admin"),
        ("D 58", "/public/%c0%af../admin"),
        ("D 58", "/public/%uff0e%uff0e/admin"),
        ("D 58", "/public/%u002e%u002e/admin"),
        ("D 58", "/public/..%00/admin"),
        ("D 58", "/public/..%0d%0a/admin"),
        ("D 58", "/public/..%20/../admin"),
        ("D 58", "/public/%2/../admin"),
        ("D 59", "//admin"),
        ("D 59", "///admin"),
        ("D 59", "/public//../admin"),
        ("D 59", "//public/../admin"),
        ("D 59", "//public/admin"),
        ("D 59", "/public//admin"),
        ("D 59", "/public%2f..%2fadmin"),
        ("D 59", "/public%2fadmin"),
        ("D 59", "/public%5cadmin"),
        ("D 59", "/%2fadmin"),
        ("D 59", "/public/;/../admin"),
        ("D 60", "/admin%23/public/"),
        ("D 60", "/admin?x=/public/"),
        ("D 60", "/admin?/public/"),
        ("D 60", "/admin;/public/"),
        ("D 60", "/admin?/../public/"),
        ("D 60", "/admin%3f/public/"),
        ("D 60", "/publicx"),
        ("D 60", "/PUBLIC/../x"),
        ("D 60", "/Public/x"),
        ("D 60", "/public.json"),
        ("D 60", "/public%20/x"),
    ] {
        table.push(row(id, target, get(target), Refused));
    }
    for target in ["/admin#/public/", "/public/#/../admin", "/public/x#", "#", "/#/public"] {
        table.push(row("D 60", target, get(target), Refused).named("a fragment"));
        table.push(row("D 60", target, get(target).bearer(good()), Bad).named("a fragment, with a token"));
    }
    // The other way round: a guarded place inside a public one, and a closed one.
    for target in ["/staff;x=1/y", "/%73taff/y", "/st%61ff", "/staff/y;a", "/staff%3bx/y", "/closed;x", "/%63losed/y"] {
        table.push(row("D 58", target, get(target).bearer(good()), Refused).named("without the role,"));
    }
    // Names that apps take for shorter ones.
    for target in [
        "/staff.json",
        "/staff.json/",
        "/staff.json/x",
        "/staff.",
        "/staff./x",
        "/staff..",
        "/staff.tar.gz",
        "/staff%20",
        "/staff%20/x",
        "/staff%20.",
        "/staff+",
        "/%20staff",
        "/staff%2520",
        "/staff%c2%a0",
        "/staff%a0",
        "/staff%e2%80%8b",
        "/staff::$DATA",
        "/staff:$i30:$INDEX_ALLOCATION/x",
        "/staff.json;x=1",
        "/staff;x=1.json",
        "/staff(1)",
        "/staff!edit",
        "/staff,x",
        "/staff&x=1",
        "/STAFF",
        "/Staff/x",
        "/%53taff.json",
        "/st%61ff.json?a=b",
        "/closed.json",
        "/CLOSED",
        "/public.json",
        "/optional.json",
    ] {
        table.push(row("D 60", target, get(target).bearer(good()), Bad));
        table.push(row("D 60", target, post(target).bearer(good()).body("x"), Bad).named("POST of"));
    }
    for target in
        ["/app.json", "/favicon.ico", "/a.b/c.d", "/api/v1.2/x%20y", "/staffing.json", "/staff-x.json", "/x@y", "/Api"]
    {
        table.push(row("D 60", target, get(target).bearer(good()), U1).named("another name,").and(same_target));
    }
    for target in ["/public/app.min.js", "/public/staff.json", "/public/.well-known/x", "/public/A%20b.pdf"] {
        table.push(row("D 60", target, get(target), Anonymous).named("beyond a route,").and(same_target));
    }
    for target in ["/_auth.json", "/_auth%20/exchange", "/_auth./session"] {
        table.push(row("D 60", target, get(target).bearer(good()), Answers(404)).named("ours,"));
    }

    for request_line in [
        "GET admin HTTP/1.1",
        "GET * HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET http://evil/admin HTTP/1.1",
        "GET //evil/admin HTTP/1.1",
        "GET ?x HTTP/1.1",
        "GET http://portal.test HTTP/1.1x",
        "GET http:/api/x HTTP/1.1",
        "GET http:///api/x HTTP/1.1",
        "GET http://portal.test@evil/api/x HTTP/1.1",
        "GET http://evil@portal.test/api/x HTTP/1.1",
        "GET http://portal.test:81/api/x HTTP/1.1",
        "GET http://globex.test/api/x HTTP/1.1",
        "GET ftp://portal.test/api/x HTTP/1.1",
        "GET file:///etc/passwd HTTP/1.1",
        "GET http://portal.test?x HTTP/1.1",
        "GET http://portal.test#/api/x HTTP/1.1",
        "GET http://portal.test\\api\\x HTTP/1.1",
        "GET \\api\\x HTTP/1.1",
        "GET portal.test:80 HTTP/1.1",
        "GET  HTTP/1.1",
        "GET HTTP/1.1",
        "GET",
        "GET /api/x",
    ] {
        table.push(row("D 62", request_line, line(request_line), Bad));
    }
    table.push(row(
        "D 62",
        "absolute form, no token",
        "GET http://portal.test/admin HTTP/1.1\r\nHost: portal.test\r\n\r\n",
        Deny,
    ));
    table.push(row("D 62", "absolute form of this host", line("GET http://portal.test/api/x HTTP/1.1"), U1).and(
        |outcome| {
            let target = outcome.request()?.target();
            (target == X).then_some(()).ok_or_else(|| format!("forwarded as {target}"))
        },
    ));
    table.push(row(
        "D 62",
        "absolute form, host in capitals",
        line("GET HTTP://PORTAL.test/api/x HTTP/1.1"),
        refused_or(U1),
    ));

    for lines in [
        "",
        "Host: portal.test\r\nHost: portal.test\r\n",
        "Host: portal.test\r\nHost: globex.test\r\n",
        "Host: globex.test\r\nhost: portal.test\r\n",
        "Host: a.test, portal.test\r\n",
        "Host: portal.test, portal.test\r\n",
        "Host: portal.test:99999\r\n",
        "Host: portal.test:\r\n",
        "Host: portal.test:80x\r\n",
        "Host: portal.test:-1\r\n",
        "Host: portal.test@evil\r\n",
        "Host: evil@portal.test\r\n",
        "Host: portal.test.\r\n",
        "Host: .portal.test\r\n",
        "Host: portal..test\r\n",
        "Host: \r\n",
        "Host:\r\n",
        "Host: portal.test evil\r\n",
        "Host: por tal.test\r\n",
        "Host: portal.test/admin\r\n",
        "Host: portal.test?x\r\n",
        "Host: portal.test#x\r\n",
        "Host: portal.test\\evil\r\n",
        "Host: portal.test%00\r\n",
        "Host: http://portal.test\r\n",
        "Host: [portal.test]\r\n",
        "Host: [::1\r\n",
        "Host: p\u{f6}rtal.test\r\n",
        "Host: portal.test\u{ff0e}\r\n",
        "Host: \"portal.test\"\r\n",
    ] {
        table.push(row("D 65", format!("{lines:?}"), hosted(lines), Bad));
    }
    for (lines, verdict) in [
        ("Host: PORTAL.TEST\r\n", U1),
        ("Host: Portal.Test\r\n", U1),
        ("Host: portal.test:80\r\n", U1),
        ("Host: portal.test:8443\r\n", U1),
        ("HOST:portal.test\r\n", U1),
        // Valid hosts, and nobody's.
        ("Host: [::1]\r\n", Answers(404)),
        ("Host: portal.test.evil.test\r\n", Answers(404)),
        ("Host: xportal.test\r\n", Answers(404)),
        ("Host: 127.0.0.1\r\n", Answers(404)),
        // Another tenant's.
        ("Host: GLOBEX.test\r\n", Deny),
    ] {
        table.push(row("D 65", lines.trim_end(), hosted(lines), verdict));
    }
    let globex = get(X).host("GloBex.Test:80").bearer(GLOBEX.token("gil"));
    table.push(row("D 65", "the case of a host does not choose a tenant", globex, Pass("gil", "globex", "agent")));

    let request_lines = [
        ("GeT", Bad),
        ("get", Bad),
        ("G\0T", Bad),
        ("PRI", Bad),
        ("G=T", Bad),
        ("GET\t", Bad),
        ("GET,POST", Bad),
        ("\"GET\"", Bad),
        ("G\u{e9}T", Bad),
        (":method", Bad),
    ];
    for (method, verdict) in request_lines {
        table.push(row("D 67", format!("{method:?}"), ask(method, X), verdict));
    }
    table.extend([
        row("D 67", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Bad),
        row("D 67", "a method of 10 KiB", ask(&"G".repeat(10 << 10), X), Refused),
        row("D 67", "a method of 10 KiB, with a token", ask(&"G".repeat(100 << 10), X).bearer(good()), Bad),
        row("D 67", "no method", line(" /api/x HTTP/1.1"), Bad),
        row("D 67", "HEAD without a token", ask("HEAD", X), Deny),
        row("D 67", "HEAD with one", ask("HEAD", X).bearer(good()), U1),
        row("D 67", "HEAD of a page for GET", ask("HEAD", "/read-only/x"), refused_or(Anonymous)),
        row("D 67", "an unknown method without a token", ask("PROPFIND", X), Deny),
        row("D 67", "an unknown method with one", ask("PROPFIND", X).bearer(good()), U1),
        row("D 67", "POST of a page for staff", post("/staff").bearer(good()).body("x"), Deny),
        row("D 67", "a closed page, to nobody", get("/closed/x"), Deny),
        row(
            "D 67",
            "a closed page, to an admin",
            get("/closed/x").bearer(ACME.with(serde_json::json!({ "userRoles": ["admin"] }))),
            Deny,
        )
        .and(is_refused_everywhere),
        row("D 67", "an ordinary public page", get("/public/x?a=b"), Anonymous).and(same_target),
    ]);
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_targets_are_refused() {
    Stage::start().await.run(&cases()).await;
}
