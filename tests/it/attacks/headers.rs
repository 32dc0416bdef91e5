//! C: headers that claim an identity, remove one, carry two credentials, or say where the request came from.

use super::{
    case::{
        ACME, Case, Check, GLOBEX, Outcome, U1,
        Verdict::{Anonymous, Answers, Bad, Deny, Ours, Refused, Spoiled},
        X, ask, fresh, get, good, post, raw, refused_or, row, signed_in,
    },
    recorder::Then,
    stage::{Stage, config},
};

const NAMES: [&str; 6] = ["X-User-Id", "X-Tenant", "X-Roles", "X-User-Email", "X-User-Name", "X-Plan"];

/// Spellings that some app folds to the name: each byte that is no letter or digit in the place of the dash, in every
/// case, with dashes more or fewer, and at the ends.
fn spellings(name: &str) -> Vec<String> {
    let mut all: Vec<String> = "-_.!#$%&'*+^`|~".chars().map(|c| name.replace('-', &c.to_string())).collect();
    all.extend([name.to_lowercase(), name.to_uppercase(), name.to_uppercase().replace('-', "_")]);
    all.extend(["", "--", "-_", "____"].map(|between| name.replace('-', between)));
    all.extend([format!("{name}-"), format!("-{name}"), format!("_{}", name.to_lowercase()), format!("{name}.")]);
    let swap = |(at, c): (usize, char)| if at % 2 == 0 { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
    all.push(name.chars().enumerate().map(swap).collect());
    all.push(name.replacen('-', "_", 1));
    all
}

pub fn forged() -> Vec<Case> {
    let mut table = Vec::new();
    for name in NAMES {
        for (number, spelled) in spellings(name).into_iter().enumerate() {
            let forged = get(X).header(&spelled, "admin");
            table.push(row("C 43", &spelled, forged.bearer(good()), U1).named("before the token,"));
            table.push(row("C 46", &spelled, get("/public/x").header(&spelled, "admin"), Anonymous).named("public,"));
            let optional = get("/optional").header(&spelled, "admin");
            table.push(row("C 46", &spelled, optional, Anonymous).named("optional,"));
            // The rest in turn, so that the table stays quick.
            let (place, case) = match number % 4 {
                0 => ("after the token,", row("C 43", &spelled, get(X).bearer(good()).header(&spelled, "admin"), U1)),
                1 => {
                    let thrice =
                        get(X).header(&spelled, "a").header(&spelled, "b").bearer(good()).header(&spelled, "c");
                    ("three times,", row("C 43", &spelled, thrice, U1))
                }
                2 => ("empty,", row("C 43", &spelled, get(X).header(&spelled, "").bearer(good()), U1)),
                _ => ("without a token,", row("C 43", &spelled, get(X).header(&spelled, "admin"), Deny)),
            };
            table.push(case.named(place));
        }
    }
    table
}

fn is_rebuilt(outcome: &Outcome<'_>) -> Result<(), String> {
    let request = outcome.request()?;
    let is_right = request.all("x-forwarded-for") == ["127.0.0.1"]
        && request.all("x-forwarded-proto") == ["http"]
        && request.all("x-forwarded-host") == ["portal.test"]
        && !request.contains(b"evil");
    is_right.then_some(()).ok_or_else(|| format!("forwarded as {:?}", request.headers))
}

fn has_no_override(outcome: &Outcome<'_>) -> Result<(), String> {
    let request = outcome.request()?;
    (!request.contains(b"DELETE")).then_some(()).ok_or_else(|| format!("forwarded as {:?}", request.headers))
}

fn keeps_bytes(outcome: &Outcome<'_>) -> Result<(), String> {
    let has = outcome.request()?.contains(b"\x80\x9f\xa0\xc3\xff|\t|!");
    has.then_some(()).ok_or_else(|| "bytes were changed".to_owned())
}

fn allows_some(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    (answer.status == 405).then_some(()).ok_or_else(|| format!("status {}", answer.status))
}

pub fn cases() -> Vec<Case> {
    let spoofed = |ask: crate::support::Ask| ask.header("X-User-Id", "admin").header("x_roles", "admin");
    let other = ACME.token("u-2");
    let authorization = |value: String| get(X).header("Authorization", value);
    let mut table = vec![
        row("C 47", "no such endpoint of ours", spoofed(get("/_auth/nothing")), Ours),
        row("C 47", "a closed page", spoofed(get("/closed/x")).bearer(good()), Deny),
        row("C 47", "HEAD", spoofed(ask("HEAD", X)).bearer(good()), U1),
        row("C 47", "HEAD without a token", spoofed(ask("HEAD", X)), Deny),
        row("C 47", "OPTIONS", spoofed(ask("OPTIONS", X)).bearer(good()), U1),
        row(
            "C 47",
            "a preflight",
            spoofed(ask("OPTIONS", X))
                .header("Origin", "https://evil.test")
                .header("Access-Control-Request-Method", "GET"),
            Ours,
        ),
        row("C 47", "a health check", spoofed(get("/healthz")), Deny),
        row(
            "C 47",
            "a health check by its name",
            spoofed(get("/healthz")).header("User-Agent", "kube-probe/1.27"),
            Deny,
        ),
        row("C 47", "an upstream that dies", spoofed(get(X)).bearer(good()), Spoiled).app("", Then::Close),
        row("C 50", "two Authorization headers", get(X).bearer(good()).bearer(&other), Bad),
        row("C 50", "the same one twice", get(X).bearer(good()).bearer(good()), Bad),
        row("C 50", "Bearer and Basic", get(X).bearer(good()).header("Authorization", "Basic dTpw"), Bad),
        row("C 50", "Basic and Bearer", get(X).header("authorization", "Basic dTpw").bearer(good()), Bad),
        row("C 50", "two in one line", authorization(format!("Bearer {}, Bearer {other}", good())), Refused),
        row("C 50", "two tokens after one scheme", authorization(format!("Bearer {} {other}", good())), Refused),
        row("C 50", "two spaces", authorization(format!("bearer  {}", good())), Refused),
        row("C 50", "a tab", authorization(format!("Bearer\t{}", good())), Refused),
        row("C 50", "no space", authorization(format!("Bearer{}", good())), Refused),
        row("C 50", "a colon", authorization(format!("Bearer: {}", good())), Refused),
        row("C 50", "another scheme", authorization(format!("Token {}", good())), Refused),
        row("C 50", "JWT for a scheme", authorization(format!("JWT {}", good())), Refused),
        row("C 50", "no scheme", authorization(good()), Refused),
        row("C 50", "in quotation marks", authorization(format!("Bearer \"{}\"", good())), Refused),
        row("C 50", "nothing after the scheme", authorization("Bearer ".into()), Refused),
        row("C 50", "a byte beyond ASCII", authorization(format!("Bearer {}\u{e9}", good())), Refused),
        row("C 50", "the scheme in capitals", authorization(format!("BEARER {}", good())), U1),
        row("C 50", "the scheme in small letters", authorization(format!("bearer {}", good())), U1),
        row(
            "C 50",
            "another's token after it in a look-alike",
            get(X).bearer(good()).header("X-Authorization", format!("Bearer {}", "x.y.z")),
            U1,
        ),
        row("C 50", "Proxy-Authorization", get(X).header("Proxy-Authorization", format!("Bearer {}", good())), Deny),
        row(
            "C 50",
            "Authorization with an underscore",
            raw("GET", "\r\n").replace("Authorization", "Author_ization"),
            Deny,
        ),
        row("C 52", "a method in a header", get("/read-only/x").header("X-HTTP-Method-Override", "DELETE"), Anonymous)
            .and(has_no_override),
        row(
            "C 52",
            "a method in a header, by underscores",
            get("/read-only/x").header("X_HTTP_Method", "DELETE"),
            Anonymous,
        )
        .and(has_no_override),
        row(
            "C 52",
            "a method in a header, another name",
            get("/read-only/x").header("X-Method-Override", "DELETE"),
            Anonymous,
        )
        .and(has_no_override),
        row("C 52", "a method in the query adds no rights", get(&format!("{X}?_method=DELETE")), Deny),
        row("C 52", "POST on a page for GET", post("/read-only/x").body("_method=GET"), refused_or(Anonymous))
            .and(|outcome| outcome.requests.is_empty().then_some(()).ok_or_else(|| "POST passed".to_owned())),
        row("C 52", "TRACE", ask("TRACE", X).bearer(good()), Bad).and(allows_some),
        row("C 52", "TRACK", ask("TRACK", X).bearer(good()), Bad).and(allows_some),
        row("C 52", "TRACE of a public page", ask("TRACE", "/public/x"), Bad).and(allows_some),
        row("C 52", "CONNECT", raw("CONNECT", "\r\n"), Bad),
        row("C 52", "CONNECT by authority", format!("CONNECT portal.test:80 HTTP/1.1\r\n{}\r\n", signed_in()), Bad)
            .and(allows_some),
        row("C 52", "CONNECT elsewhere", "CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n", Bad)
            .and(allows_some),
        row("C 53", "the app answers with identity", get(X).bearer(good()), U1)
            .app_answers("HTTP/1.1 200 OK\r\nX-User-Id: admin\r\nX-Roles: admin\r\nContent-Length: 0\r\n\r\n"),
        row("C 53", "and the connection goes on", get(X).bearer(good()), U1).after(get("/public/x")),
        row("C 55", "bytes beyond ASCII", get(X).bearer(good()).header("X-Odd", b"\x80\x9f\xa0\xc3\xff|\t|!"), U1)
            .and(keeps_bytes),
        row("C 57", "300 headers", raw("GET", &format!("{}\r\n", "X-A: b\r\n".repeat(300))), Bad),
        row("C 57", "257 headers", raw("GET", &format!("{}\r\n", "X-A: b\r\n".repeat(255))), Bad),
        row("C 57", "a header of 1 MiB", get(X).bearer(good()).header("X-A", "b".repeat(1 << 20)), Bad),
        row("C 57", "a name of 64 KiB", get(X).bearer(good()).header(&"a".repeat(64 << 10), "b"), Bad),
        row(
            "C 57",
            "a head of 40 KiB in small lines",
            raw("GET", &format!("{}\r\n", format!("X-A: {}\r\n", "b".repeat(400)).repeat(100))),
            Bad,
        ),
        row("C 57", "a target of 64 KiB", get(&format!("/{}", "a".repeat(64 << 10))).bearer(good()), Bad),
        row("C 57", "100 headers", raw("GET", &format!("{}\r\n", "X-A: b\r\n".repeat(100))), U1),
    ];
    for nominated in [
        "close, X-User-Id",
        "x-user-id, x-tenant, X-Roles",
        "keep-alive, authorization",
        "X_User_Id",
        "close,X-USER-ID,close",
        "X-User-Id ,\tX-Tenant",
        "cookie, host-",
    ] {
        let good_ = refused_or(U1);
        table.push(
            row("C 48", nominated, get(X).bearer(good()).header("Connection", nominated), good_.clone())
                .named("Connection"),
        );
        let twice = get(X).header("Connection", "keep-alive").bearer(good()).header("connection", nominated);
        table.push(row("C 48", nominated, twice, good_.clone()).named("a second Connection"));
        table.push(
            row("C 48", nominated, get(X).bearer(good()).header("Proxy-Connection", nominated), good_)
                .named("Proxy-Connection"),
        );
    }
    for (name, value) in [
        ("X-Forwarded-For", "6.6.6.6, evil"),
        ("X-Forwarded-Host", "evil.test"),
        ("X-Forwarded-Proto", "evil"),
        ("X-Forwarded-Uri", "/public/evil"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-Port", "evil"),
        ("X-Forwarded-Method", "EVIL-evil"),
        ("X-Forwarded-Server", "evil"),
        ("X-Forwarded-User", "evil"),
        ("X_Forwarded_For", "evil"),
        ("X-Original-URL", "/public/evil"),
        ("X-Rewrite-URL", "/public/evil"),
        ("X-Real-IP", "evil"),
        ("Forwarded", "for=evil;host=globex.test;proto=https"),
        ("X-Request-Id", "evil"),
    ] {
        table.push(row("C 51", name, get(X).bearer(good()).header(name, value), U1).and(is_rebuilt));
        table.push(row("C 51", name, get(X).header(name, value), Deny).named("no token, but"));
        let tenant = get(X).bearer(GLOBEX.token("gil")).header(name, "globex.test");
        table.push(row("C 51", name, tenant, Deny).named("another tenant's token, and"));
        let exchange = post("/_auth/exchange").bearer(fresh("tom")).header(name, value);
        let is_secure: Check = |outcome| {
            let set = outcome.answer()?.header("set-cookie").unwrap_or("").to_owned();
            (set.contains("; Secure") && !set.contains("Domain")).then_some(()).ok_or(set)
        };
        table.push(row("C 51", name, exchange, Answers(200)).named("an exchange with").and(is_secure));
    }
    for (name, byte) in [("NUL", 0_u8), ("CR", b'\r'), ("DEL", 0x7f), ("ESC", 0x1b), ("VT", 0x0b)] {
        for line in ["X-A: b?c", "X-A: ?", "X-A:?b", "X-A: b?"] {
            let line = raw("GET", &format!("{line}\r\n\r\n")).into_bytes();
            let sent = line.into_iter().map(|b| if b == b'?' { byte } else { b }).collect::<Vec<u8>>();
            table.push(row("C 55", format!("{name} in a value"), sent, Bad));
        }
    }
    table
}

/// Rows for a stage whose first server is dead: each goes to the second.
pub fn retried() -> Vec<Case> {
    let mut table = Vec::new();
    for _ in 0..4 {
        table.push(row("C 47", "retried, forged", get(X).bearer(good()).header("X_User_Id", "admin"), U1));
        table.push(row("C 47", "retried, of nobody", get("/public/x").header("X-Roles", "admin"), Anonymous));
        table.push(row(
            "C 47",
            "retried, with a body",
            post(X).bearer(good()).header("X-Roles", "admin").body("a=b"),
            U1,
        ));
    }
    table
}

#[test]
fn there_are_more_than_twenty_spellings_of_each_name() {
    for name in NAMES {
        let all: std::collections::BTreeSet<_> = spellings(name).into_iter().collect();
        assert!(all.len() > 20, "{name}: {}", all.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_say_nothing_that_was_not_verified() {
    Stage::start().await.run(&cases()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_identity_header_passes() {
    Stage::start().await.run(&forged()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_forwards_no_more_than_the_first_try() {
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let two =
        |app| config(app).replace(&format!("servers = [\"{app}\"]"), &format!("servers = [\"{dead}\", \"{app}\"]"));
    Stage::with(two).await.run(&retried()).await;
}
