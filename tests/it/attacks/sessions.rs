//! B: session cookies that are chosen, changed, ended, taken elsewhere or shown to the app.

use std::collections::HashSet;

use serde_json::json;
use vestibule::{
    identity::{Identity, TenantId},
    session::{Lifetime, Place, Session},
};

use super::{
    case::{
        ACME, COOKIE, Case, Outcome, U1,
        Verdict::{self, Anonymous, Answers, Bad, Deny, Pass},
        X, fresh, get, good, post, refused_or, row,
    },
    stage::{Stage, config},
};
use crate::support::NOW;

const TOM: Verdict = Pass("tom", "acme", "agent");

/// The attributes a session cookie must have, and those it must not.
fn is_locked_down(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    let set = answer.headers("set-cookie").collect::<Vec<_>>();
    let [set] = set[..] else { return Err(format!("cookies {set:?}")) };
    let (pair, attributes) = set.split_once("; ").ok_or("no attributes")?;
    let (name, value) = pair.split_once('=').ok_or("no value")?;
    let has = |wanted: &str| attributes.split("; ").any(|attribute| attribute == wanted);
    let is_right = ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"].into_iter().all(has)
        && !attributes.to_lowercase().contains("domain")
        && name == COOKIE
        && value != "attacker"
        && value.len() >= 22
        && set.len() <= 4096;
    is_right.then_some(()).ok_or_else(|| format!("cookie {set:?}"))
}

fn shows_other_cookies(outcome: &Outcome<'_>) -> Result<(), String> {
    let cookies = outcome.request()?.all("cookie");
    (cookies == ["a=1; b=\"2;  c\"=3; \u{e4}=\u{ff}; d"]).then_some(()).ok_or_else(|| format!("cookies {cookies:?}"))
}

fn shows_no_cookie(outcome: &Outcome<'_>) -> Result<(), String> {
    let cookies = outcome.request()?.all("cookie");
    cookies.is_empty().then_some(()).ok_or_else(|| format!("cookies {cookies:?}"))
}

fn sets_no_session(outcome: &Outcome<'_>) -> Result<(), String> {
    let set: Vec<&str> = outcome.answer()?.headers("set-cookie").collect();
    let is_ours = |set: &&str| set.to_lowercase().contains(&COOKIE.to_lowercase());
    (!set.iter().any(is_ours) && set.contains(&"theirs=1")).then_some(()).ok_or_else(|| format!("set {set:?}"))
}

/// Cookies of this value and others, in an order and with bytes that must stay.
fn among_others(value: &str) -> Vec<u8> {
    let mut line = b"a=1; ".to_vec();
    line.extend_from_slice(format!("{COOKIE}={value}; ").as_bytes());
    line.extend_from_slice(b"b=\"2;  c\"=3; \xe4=\xff; d");
    line
}

pub async fn cases(stage: &Stage) -> Vec<Case> {
    let good_session = stage.session("tom").await;
    let other = stage.session("ann").await;
    let ended = stage.session("tom").await;
    stage.door.post("/_auth/logout").cookie(COOKIE, &ended).send().await;
    let to_end = stage.session("tom").await;
    let with = |value: &str| get(X).cookie(COOKIE, value);
    let exchange = || post("/_auth/exchange");

    let mut table = vec![
        row("B 31", "an exchange by bearer", exchange().bearer(fresh("tom")), Answers(200)).and(is_locked_down),
        row("B 31", "an exchange by form", exchange().form(&[("token", &fresh("tom"))]), Answers(303))
            .and(is_locked_down),
        row(
            "B 31",
            "the largest identity that fits",
            exchange().bearer(ACME.with(json!({ "userRoles": vec!["r".repeat(100); 8] }))),
            Answers(200),
        )
        .and(is_locked_down),
        row(
            "B 31",
            "an identity too large for a cookie",
            exchange().bearer(ACME.with(json!({ "userRoles": vec!["r".repeat(120); 40] }))),
            Bad,
        ),
        row(
            "B 32",
            "a chosen session at the exchange",
            exchange().bearer(fresh("tom")).cookie(COOKIE, "attacker"),
            Answers(200),
        )
        .and(is_locked_down),
        row("B 32", "a chosen session afterwards", with("attacker"), Deny),
        row(
            "B 32",
            "another's session at the exchange",
            exchange().bearer(fresh("tom")).cookie(COOKIE, &stage.session("eve").await),
            Answers(200),
        )
        .and(is_locked_down),
        row("B 35", "the session as it is", with(&good_session), TOM),
        row("B 35", "a byte before", with(&format!("A{good_session}")), Deny),
        row("B 35", "a byte after", with(&format!("{good_session}A")), Deny),
        row("B 35", "padding after", with(&format!("{good_session}=")), Deny),
        row("B 35", "twice in one value", with(&format!("{good_session}{good_session}")), Deny),
        row("B 35", "in quotation marks", with(&format!("\"{good_session}\"")), Deny),
        row("B 35", "in lower case", with(&good_session.to_lowercase()), Deny),
        row(
            "B 35",
            "percent-encoded",
            with(&good_session.bytes().map(|b| format!("%{b:02x}")).collect::<String>()),
            Deny,
        ),
        row("B 35", "empty", with(""), Deny),
        row("B 35", "the token in its place", with(&good()), Deny),
        row("B 35", "the session as a bearer", get(X).bearer(&good_session), Deny),
        row("B 35", "two halves of two sessions", with(&format!("{}{}", &good_session[..60], &other[60..])), Deny),
        row("B 35", "at another tenant's host", with(&good_session).host("globex.test"), Deny),
        row("B 35", "under another name", get(X).cookie("vestibule", &good_session), Deny),
        row("B 35", "under the name in lower case", get(X).cookie("__host-vestibule", &good_session), Deny),
        row("B 35", "signed out", with(&ended), Deny),
        row("B 36", "signed out, on the connection that was used", with(&to_end), Deny)
            .after(post("/_auth/logout").cookie(COOKIE, &to_end)),
        row("B 36", "signed out, who am I", get("/_auth/session").cookie(COOKIE, &ended), Deny),
        row("B 36", "signed out, an optional page", get("/optional").cookie(COOKIE, &ended), Anonymous),
        row("B 36", "signing out again is answered alike", post("/_auth/logout").cookie(COOKIE, &ended), Answers(303)),
        row("B 36", "signing out ends nobody else", with(&good_session), TOM)
            .after(post("/_auth/logout").cookie(COOKIE, &ended)),
        row("B 37", "cookie of one, bearer of another", with(&good_session).bearer(good()), U1).and(shows_no_cookie),
        row("B 37", "bearer of one, cookie of another", get(X).bearer(good()).cookie(COOKIE, &good_session), U1),
        row("B 37", "cookie of one, a forged bearer", with(&good_session).bearer("x.y.z"), Deny),
        row("B 37", "a dead cookie, a good bearer", with(&ended).bearer(good()), U1),
        row(
            "B 37",
            "cookie of one, parameter of another",
            get(&format!("/handed?access_token={}", good())).cookie(COOKIE, &good_session),
            U1,
        ),
        row(
            "B 37",
            "two sessions in one header",
            get(X).header("Cookie", format!("{COOKIE}={good_session}; {COOKIE}={other}")),
            Bad,
        ),
        row("B 37", "two sessions in two headers", with(&good_session).cookie(COOKIE, &other), Bad),
        row("B 37", "the same session twice", with(&good_session).cookie(COOKIE, &good_session), Bad),
        row("B 37", "a dead session before a live one", with(&ended).cookie(COOKIE, &good_session), Bad),
        row("B 37", "two bearers beside a session", with(&good_session).bearer(good()).bearer(good()), Bad),
        row("B 40", "alone", with(&good_session), TOM).and(shows_no_cookie),
        row("B 40", "among others", get(X).header("Cookie", among_others(&good_session)), TOM).and(shows_other_cookies),
        row("B 40", "on a public page", get("/public/x").cookie(COOKIE, &good_session), Anonymous).and(shows_no_cookie),
        row("B 40", "beside a bearer", get(X).header("Cookie", among_others(&good_session)).bearer(good()), U1)
            .and(shows_other_cookies),
        row("B 40", "without white space", get(X).header("Cookie", format!("x=1;{COOKIE}={good_session};y=2")), TOM),
        row(
            "B 40",
            "with white space around",
            get(X).header("Cookie", format!("x=1; \t{COOKIE} = {good_session} ; y=2")),
            refused_or(TOM),
        ),
        row("B 42", "10,000 cookies", get(X).header("Cookie", many_cookies(10_000)).bearer(good()), Bad),
        row("B 42", "10,000 of our cookies", get(X).header("Cookie", format!("{COOKIE}=x; ").repeat(10_000)), Bad),
        row("B 42", "64 KiB of cookie", with(&"x".repeat(64 << 10)), Bad),
        row("B 42", "2,000 cookies that fit", get(X).header("Cookie", many_cookies(2_000)).bearer(good()), U1),
        row("B 42", "16 KiB of nothing", get(X).header("Cookie", ";".repeat(16 << 10)).bearer(good()), U1),
    ];
    for (at, byte) in good_session.bytes().enumerate() {
        let changed = if byte == b'A' { 'B' } else { 'A' };
        let value = format!("{}{changed}{}", &good_session[..at], &good_session[at + 1..]);
        table.push(row("B 35", format!("byte {at} changed"), with(&value), Deny));
    }
    for set in [
        "__Host-vestibule=x",
        "__Host-vestibule=x; Path=/; Secure",
        "__Host-vestibule=; Max-Age=0",
        " __Host-vestibule =x",
        "=__Host-vestibule=x",
        "__Host-vestibule",
    ] {
        let app =
            format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: theirs=1\r\nSet-Cookie: {set}\r\n\r\nok");
        table.push(
            row("B 39", set, get(X).bearer(good()), U1).named("the app sets").app_answers(app).and(sets_no_session),
        );
        let early = format!(
            "HTTP/1.1 103 Early Hints\r\nSet-Cookie: {set}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: theirs=1\r\n\r\nok"
        );
        table.push(
            row("B 39", set, with(&good_session), TOM)
                .named("the app sets early")
                .app_answers(early)
                .and(sets_no_session),
        );
    }
    table
}

fn many_cookies(count: usize) -> String {
    (0..count).map(|number| format!("c{number}=1")).collect::<Vec<_>>().join("; ")
}

/// Rows for a stage on which this user's session has ended.
pub async fn expired(stage: &Stage) -> Vec<Case> {
    let short = stage.session("tom").await;
    vec![
        row("B 35", "expired", get(X).cookie(COOKIE, &short), Deny),
        row("B 35", "expired, who am I", get("/_auth/session").cookie(COOKIE, &short), Deny),
        row("B 35", "expired, beside a token", get(X).cookie(COOKIE, &short).bearer(good()), U1),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_whole_alive_and_at_home() {
    let stage = Stage::start().await;
    stage.run(&cases(&stage).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_ended_are_refused() {
    let stage = Stage::with(|app| config(app).replace("[session]", "[session]\nlifetime = \"2s\"")).await;
    let cases = expired(&stage).await;
    stage.door.clock.advance(2);
    stage.run(&cases).await;
}

#[test]
fn ten_thousand_session_ids_are_all_different() {
    let identity = Identity {
        user: "tom".into(),
        tenant: TenantId::new("acme"),
        roles: Vec::new(),
        email: None,
        name: None,
        plan: None,
        picture: None,
    };
    let lifetime = Lifetime { absolute: std::time::Duration::from_secs(60), idle: None };
    let ids: HashSet<_> =
        (0..10_000).map(|_| Session::start(identity.clone(), Place::Own, NOW, lifetime, NOW).id.0).collect();
    assert_eq!(ids.len(), 10_000);
}
