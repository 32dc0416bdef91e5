//! F: exchanges with several carriers, from other sites, with other methods and bodies, and in other spellings.

use serde_json::json;

use super::{
    case::{
        COOKIE, Case, Outcome, Sent, U1,
        Verdict::{self, Answers, Asks, Bad, Deny, Ours},
        X, ask, fresh, get, good, post, row,
    },
    stage::Stage,
};
use crate::support::Ask;

const FORM: &str = "application/x-www-form-urlencoded";

fn is_guarded(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    let is_right = answer.header("cache-control") == Some("no-store")
        && answer.header("referrer-policy") == Some("no-referrer")
        && answer.header("x-content-type-options") == Some("nosniff")
        && answer.headers("set-cookie").count() == 1;
    is_right.then_some(()).ok_or_else(|| format!("headers {:?}", answer.headers))
}

fn sets_nothing(outcome: &Outcome<'_>) -> Result<(), String> {
    let set = outcome.answers.iter().flat_map(|answer| answer.headers("set-cookie")).collect::<Vec<_>>();
    set.is_empty().then_some(()).ok_or_else(|| format!("sets {set:?}"))
}

fn exchange() -> Ask {
    post("/_auth/exchange")
}

fn link() -> Ask {
    get(&format!("/_auth/exchange?token={}&return_to=/a", fresh("tom")))
}

fn endless(kind: &str, chunks: usize) -> Vec<u8> {
    let head = format!(
        "POST /_auth/exchange HTTP/1.1\r\nHost: portal.test\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    [head, format!("400\r\n{}\r\n", " ".repeat(0x400)).repeat(chunks)].concat().into_bytes()
}

pub async fn cases(stage: &Stage) -> Vec<Case> {
    let victim = stage.session("ann").await;
    let mut table = vec![
        row("F 76", "by bearer", exchange().bearer(fresh("tom")), Answers(200)).and(is_guarded),
        row("F 76", "by form", exchange().form(&[("token", &fresh("tom")), ("return_to", "/a")]), Answers(303))
            .and(is_guarded),
        row("F 76", "by JSON", exchange().json(&json!({ "token": fresh("tom") })), Answers(200)).and(is_guarded),
        row("F 76", "by link", link().navigating(), Answers(303)).and(is_guarded),
        row(
            "F 76",
            "by the page's own parameter",
            get(&format!("/handed/a?token={}", fresh("tom"))).navigating(),
            Answers(303),
        )
        .and(is_guarded),
        row("F 76", "by the other name", exchange().form(&[("jwt", &fresh("tom"))]), Answers(303)).and(is_guarded),
        row("F 78", "who am I shows no token", get("/_auth/session").bearer(good()), Answers(200)).and(sets_nothing),
        row("F 78", "who am I shows no session", get("/_auth/session").cookie(COOKIE, &victim), Answers(200))
            .and(sets_nothing),
        row("F 78", "a token in a page's query", get(&format!("/handed?access_token={}&a=b", good())), U1),
        row(
            "F 78",
            "a token in a Referer",
            get(X).bearer(good()).header("Referer", format!("http://portal.test/handed?token={}", good())),
            U1,
        ),
        row(
            "F 78",
            "a token in a subprotocol",
            get(X).bearer(good()).header("Sec-WebSocket-Protocol", format!("a, bearer.{}", good())),
            U1,
        ),
        row(
            "F 78",
            "a token in a subprotocol beside what is no text",
            get(X).bearer(good()).header("Sec-WebSocket-Protocol", [b"\xffchat, bearer.", good().as_bytes()].concat()),
            U1,
        ),
        row("F 78", "a token where an error is", get(&format!("/a//b?token={}", good())), Bad),
        row("F 78", "a token where a page is refused", get(&format!("{X}?token={}", good())).navigating(), Deny),
        row("F 78", "a token on a public page", get("/public/x").bearer(good()), Verdict::Anonymous),
        row(
            "F 80",
            "a form of another site",
            exchange().header("Origin", "https://evil.test").form(&[("token", &fresh("tom"))]),
            Deny,
        ),
        row("F 80", "a form of no site", exchange().header("Origin", "null").form(&[("token", &fresh("tom"))]), Deny),
        row(
            "F 80",
            "a form of a look-alike",
            exchange().header("Origin", "https://portal.test.evil.test").form(&[("token", &fresh("tom"))]),
            Deny,
        ),
        row(
            "F 80",
            "two origins",
            exchange()
                .header("Origin", "https://evil.test")
                .header("Origin", "http://portal.test")
                .bearer(fresh("tom")),
            Deny,
        ),
        row("F 80", "an image", link().header("Sec-Fetch-Dest", "image").header("Sec-Fetch-Site", "cross-site"), Bad),
        row("F 80", "a fetch", link().header("Sec-Fetch-Dest", "empty").header("Sec-Fetch-Mode", "no-cors"), Bad),
        row("F 80", "a link while another is signed in", link().navigating().cookie(COOKIE, &victim), Asks),
        row(
            "F 80",
            "a link from another site while another is signed in",
            link()
                .header("Sec-Fetch-Site", "cross-site")
                .header("Sec-Fetch-Mode", "navigate")
                .header("Sec-Fetch-Dest", "document")
                .cookie(COOKIE, &victim),
            Asks,
        ),
        row(
            "F 80",
            "a form of no origin while another is signed in",
            exchange().form(&[("token", &fresh("tom"))]).cookie(COOKIE, &victim),
            Asks,
        ),
        row(
            "F 80",
            "an agreement of no origin",
            exchange().form(&[("token", &fresh("tom")), ("agreed", "yes")]).cookie(COOKIE, &victim),
            Asks,
        ),
        row(
            "F 80",
            "an agreement in the link",
            get(&format!("/_auth/exchange?token={}&agreed=yes", fresh("tom"))).navigating().cookie(COOKIE, &victim),
            Asks,
        ),
        row(
            "F 80",
            "and the victim is still who she is",
            get(X).cookie(COOKIE, &victim),
            Verdict::Pass("ann", "acme", "agent"),
        ),
        row(
            "F 80",
            "signing out from another site",
            post("/_auth/logout").header("Origin", "https://evil.test").cookie(COOKIE, &victim),
            Deny,
        ),
        row(
            "F 80",
            "signing out by an image",
            get("/_auth/logout").header("Sec-Fetch-Site", "cross-site").cookie(COOKIE, &victim),
            Deny,
        ),
        row("F 80", "signing out by a bare GET", get("/_auth/logout").cookie(COOKIE, &victim), Deny),
        row("F 80", "and she is still there", get(X).cookie(COOKIE, &victim), Verdict::Pass("ann", "acme", "agent")),
        row("F 82", "10 MiB", exchange().header("Content-Type", "application/json").body(vec![b' '; 10 << 20]), Bad)
            .and(sets_nothing),
        row("F 82", "chunks without end", endless("application/json", 64), Bad),
        row("F 82", "chunks without end, form", endless(FORM, 64), Bad),
        row(
            "F 82",
            "a byte over 16 KiB",
            exchange().header("Content-Type", FORM).body(format!("token={}", "a".repeat(16 * 1024 - 5))),
            Bad,
        ),
        row(
            "F 82",
            "gzip",
            exchange()
                .header("Content-Encoding", "gzip")
                .header("Content-Type", "application/json")
                .body(b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
            Bad,
        ),
        row(
            "F 82",
            "identity for an encoding",
            exchange().header("Content-Encoding", "identity").json(&json!({ "token": fresh("tom") })),
            Bad,
        ),
        row(
            "F 82",
            "multipart",
            exchange().header("Content-Type", "multipart/form-data; boundary=x").body("--x--"),
            Bad,
        ),
        row(
            "F 82",
            "text",
            exchange().header("Content-Type", "text/plain").body(format!("token={}", fresh("tom"))),
            Bad,
        ),
        row("F 82", "no type", exchange().body(format!("token={}", fresh("tom"))), Bad),
        row(
            "F 82",
            "JSON that is a form",
            exchange().header("Content-Type", FORM).body(json!({ "token": fresh("tom") }).to_string()),
            Deny,
        ),
        row("F 82", "two types", exchange().header("Content-Type", FORM).json(&json!({ "token": fresh("tom") })), Bad),
        row(
            "F 82",
            "JSON 2,000 deep",
            exchange().header("Content-Type", "application/json").body(format!(
                "{{\"token\":{}{}}}",
                "[".repeat(2_000),
                "]".repeat(2_000)
            )),
            Bad,
        ),
        row("F 82", "a token that is a number", exchange().json(&json!({ "token": 1 })), Bad),
        row(
            "F 82",
            "100-continue and a body",
            exchange().header("Expect", "100-continue").json(&json!({ "token": fresh("tom") })),
            Answers(200),
        ),
        row("F 83", "GET without a token", get("/_auth/exchange"), Bad),
        row("F 83", "GET with an empty token", get("/_auth/exchange?token="), Verdict::Refused),
        row("F 83", "POST without a token", exchange(), Deny),
        row("F 83", "HEAD", ask("HEAD", &format!("/_auth/exchange?token={}", fresh("tom"))), Answers(204))
            .and(sets_nothing),
        row("F 83", "a prefetch", link().header("Sec-Purpose", "prefetch"), Answers(400)).and(sets_nothing),
        row("F 85", "nothing of ours", get("/_auth/nothing").bearer(good()), Answers(404)),
    ];
    for method in ["PUT", "OPTIONS", "DELETE", "PATCH", "PROPFIND", "SEARCH"] {
        table.push(row("F 83", method, ask(method, "/_auth/exchange").bearer(fresh("tom")), Bad).and(sets_nothing));
    }
    let (a, b) = (fresh("tom"), fresh("eve"));
    let both = format!("{{\"token\":\"{a}\",\"token\":\"{b}\"}}");
    let conflicting = [
        ("bearer and query", post(&format!("/_auth/exchange?token={b}")).bearer(&a)),
        ("bearer and query of a link", get(&format!("/_auth/exchange?token={b}")).bearer(&a)),
        ("the same in bearer and query", get(&format!("/_auth/exchange?token={a}")).bearer(&a)),
        ("bearer and form", exchange().bearer(&a).form(&[("token", &b)])),
        ("bearer and JSON", exchange().bearer(&a).json(&json!({ "token": b }))),
        ("two in a query", get(&format!("/_auth/exchange?token={a}&token={b}"))),
        ("two names in a query", get(&format!("/_auth/exchange?token={a}&jwt={b}"))),
        ("two in a query, one encoded", get(&format!("/_auth/exchange?token={a}&t%6fken={b}"))),
        ("two in a form", exchange().form(&[("token", &a), ("token", &b)])),
        ("two names in a form", exchange().form(&[("token", &a), ("jwt", &b)])),
        ("two in JSON", exchange().header("Content-Type", "application/json").body(both.clone())),
        (
            "two in JSON, one escaped",
            exchange().header("Content-Type", "application/json").body(both.replacen("token", "t\\u006fken", 1)),
        ),
        ("two names in JSON", exchange().json(&json!({ "token": a, "jwt": b }))),
        ("form and query", post(&format!("/_auth/exchange?token={b}")).form(&[("token", &a)])),
        ("query of a POST", post(&format!("/_auth/exchange?token={a}"))),
        ("two bearers", exchange().bearer(&a).bearer(&b)),
        ("two on a page", get(&format!("/handed?token={a}&token={b}"))),
        ("a page's parameter twice", get(&format!("/handed?access_token={a}&access_token={b}"))),
    ];
    for (name, ask) in conflicting {
        table.push(row("F 77", name, ask, Bad).and(sets_nothing));
    }
    table.push(row("F 77", "and none of them was spent", exchange().bearer(&a), Answers(200)));

    for path in [
        "/_auth",
        "/_auth/",
        "/_auth/x",
        "/_auth/exchange/",
        "/_auth/exchange/x",
        "/_AUTH/exchange",
        "/_Auth/session",
        "/%5fauth/exchange",
        "/%5Fauth/x",
        "/_%61uth/x",
        "/%255fauth/x",
        "/%25255fauth/x",
        "/%2525255fauth/x",
        "/_auth;x/exchange",
        "/_auth;/exchange",
        "/_auth%3b/exchange",
        "/_auth%3bx/y",
        "/%5f%61%75%74%68/x",
        "/_auth?x",
        "/_auth/exchange;x",
        "/_auth/%65xchange",
        "/_auth/session%20",
        "/_auth%253b/x",
        "/_auth%20/../_auth",
        "//_auth/exchange",
        "/./_auth/exchange",
        "/x/../_auth/exchange",
        "/_auth%2fexchange",
        "/_auth\\exchange",
    ] {
        table.push(row("F 85", path, get(path).bearer(good()), Ours));
        table.push(row("F 85", path, post(path).bearer(good()).body("a=b"), Ours).named("POST"));
        table.push(row("F 85", path, get(&format!("http://portal.test{path}")).bearer(good()), Ours).named("absolute"));
    }
    // A request behind a refused body is a body's, and nobody's.
    let hidden = [
        exchange().header("Content-Type", "text/plain").body(get(X).bearer(good()).bytes()).bytes(),
        get("/_auth/session").bytes(),
    ];
    table.push(row("F 82", "a request in a refused body", hidden.concat(), Verdict::Each(&[400, 401], 0)));
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_take_one_token_by_one_carrier() {
    let stage = Stage::start().await.wary();
    stage.run(&cases(&stage).await).await;
}
