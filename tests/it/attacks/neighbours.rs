//! N: how the doors of others were opened, tokens, paths and sessions. The names are those of their advisories.

use serde_json::json;

use super::{
    case::{
        ACME, COOKIE, Case, GLOBEX, Outcome, U1,
        Verdict::{Anonymous, Answers, Asks, Bad, Deny, Pass, Refused},
        X, fresh, get, good, post, row,
    },
    stage::Stage,
};
use crate::support::{Issuer, NOW};

/// The good claims with one member's JSON text replaced or added.
fn claim(name: &str, json: &str) -> String {
    let claims = ACME.claims("maya").to_string();
    let at = claims.find(&format!("\"{name}\":"));
    let claims = match at {
        Some(at) => {
            let end = at + claims[at..].find([',', '}']).unwrap();
            format!("{}\"{name}\":{json}{}", &claims[..at], &claims[end..])
        }
        None => format!("{{\"{name}\":{json},{}", &claims[1..]),
    };
    ACME.raw(r#"{"alg":"HS256"}"#, &claims)
}

fn at_initech(changes: &serde_json::Value) -> String {
    let mut all = json!({ "aud": "portal", "iss": "https://initech.example" });
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Issuer { tenant: "initech", secret: "old-acme-secret-0123456789abcdef0123" }.with(all)
}

fn has_no_roles(outcome: &Outcome<'_>) -> Result<(), String> {
    let roles = outcome.request()?.all("x-roles").concat();
    roles.is_empty().then_some(()).ok_or(roles)
}

fn varies(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    let vary = answer.headers("vary").collect::<Vec<_>>().join(", ").to_lowercase();
    let is_private = answer.header("cache-control").is_some_and(|value| value.contains("private"));
    (vary.contains("cookie") && vary.contains("authorization") && is_private)
        .then_some(())
        .ok_or_else(|| format!("headers {:?}", answer.headers))
}

pub async fn cases(stage: &Stage) -> Vec<Case> {
    let session = stage.session("tom").await;
    let now = NOW.0;
    let mut table = Vec::new();
    for (id, name, token, verdict) in [
        ("N CVE-2026-25537", "exp as text", claim("exp", &format!("\"{}\"", now + 600)), Deny),
        ("N CVE-2026-25537", "exp as a list", claim("exp", &format!("[{}]", now + 600)), Deny),
        ("N CVE-2026-25537", "exp as an object", claim("exp", "{}"), Deny),
        ("N CVE-2026-25537", "exp as true", claim("exp", "true"), Deny),
        ("N CVE-2026-25537", "nbf as an object", claim("nbf", "{}"), Deny),
        ("N CVE-2026-25537", "nbf as null", claim("nbf", "null"), Deny),
        ("N CVE-2026-25537", "iat as text", claim("iat", &format!("\"{now}\"")), Deny),
        ("N CVE-2025-11230", "exp with a huge exponent", claim("exp", "1e1000000"), Deny),
        ("N CVE-2025-11230", "exp with an exponent", claim("exp", "1.7951334e9"), Deny),
        ("N CVE-2025-11230", "a number of 4,000 digits", claim("x", &"9".repeat(4_000)), Deny),
        ("N CVE-2025-11230", "a huge number elsewhere", claim("x", "1e1000000"), Deny),
        ("N CVE-2025-11230", "exp of 30 digits", claim("exp", &"9".repeat(30)), Deny),
        (
            "N CVE-2026-32597",
            "crit",
            ACME.raw(r#"{"alg":"HS256","crit":["x"],"x":1}"#, &ACME.claims("maya").to_string()),
            Deny,
        ),
        (
            "N CVE-2026-32597",
            "crit of nothing",
            ACME.raw(r#"{"alg":"HS256","crit":[]}"#, &ACME.claims("maya").to_string()),
            Deny,
        ),
        (
            "N CVE-2026-32597",
            "b64 false",
            ACME.raw(r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#, &ACME.claims("maya").to_string()),
            Deny,
        ),
        ("N CVE-2026-32597", "zip", ACME.raw(r#"{"alg":"HS256","zip":"DEF"}"#, &ACME.claims("maya").to_string()), Deny),
        ("N CVE-2026-45363", "an empty key", Issuer { secret: "", ..ACME }.token("maya"), Deny),
        (
            "N CVE-2026-39999",
            "the public half of nothing as a key",
            Issuer { secret: "-----BEGIN PUBLIC KEY-----", ..ACME }.token("maya"),
            Deny,
        ),
        (
            "N CVE-2026-34950",
            "the key with white space before",
            Issuer { secret: " acme-secret-0123456789abcdef0123456789", ..ACME }.token("maya"),
            Deny,
        ),
        (
            "N duplicate claims",
            "two users",
            ACME.raw(r#"{"alg":"HS256"}"#, &ACME.claims("maya").to_string().replacen('{', r#"{"userId":"admin","#, 1)),
            Deny,
        ),
        (
            "N duplicate claims",
            "two tenants",
            ACME.raw(
                r#"{"alg":"HS256"}"#,
                &ACME.claims("maya").to_string().replacen('{', r#"{"tenantId":"globex","#, 1),
            ),
            Deny,
        ),
        (
            "N duplicate claims",
            "two lists of roles",
            ACME.raw(
                r#"{"alg":"HS256"}"#,
                &ACME.claims("maya").to_string().replacen('{', r#"{"userRoles":["admin"],"#, 1),
            ),
            Deny,
        ),
        (
            "N duplicate claims",
            "two users, one escaped",
            ACME.raw(
                r#"{"alg":"HS256"}"#,
                &ACME.claims("maya").to_string().replacen('{', r#"{"user\u0049d":"admin","#, 1),
            ),
            Deny,
        ),
        (
            "N duplicate claims",
            "two exp, the first past",
            ACME.raw(r#"{"alg":"HS256"}"#, &ACME.claims("maya").to_string().replacen('{', r#"{"exp":1,"#, 1)),
            Deny,
        ),
        ("N roles", "as text", ACME.with(json!({ "userRoles": "admin" })), Deny),
        ("N roles", "as an object", ACME.with(json!({ "userRoles": { "admin": true } })), Deny),
        ("N roles", "with a number", ACME.with(json!({ "userRoles": ["agent", 1] })), Deny),
        ("N roles", "empty among them", ACME.with(json!({ "userRoles": ["agent", ""] })), Deny),
        (
            "N roles",
            "one with a comma is one",
            ACME.with(json!({ "userRoles": ["agent,admin"] })),
            Pass("maya", "acme", "agent%2Cadmin"),
        ),
        (
            "N roles",
            "one encoded is not decoded",
            ACME.with(json!({ "userRoles": ["agent%2Cadmin"] })),
            Pass("maya", "acme", "agent%252Cadmin"),
        ),
        (
            "N CVE-2026-47203",
            "a name in capitals is another",
            ACME.with(json!({ "userId": "MAYA", "userEmail": null })),
            Pass("MAYA", "acme", "agent"),
        ),
        (
            "N CVE-2026-47203",
            "a name with a combining mark is another",
            ACME.with(json!({ "userId": "e\u{301}", "userEmail": null })),
            Pass("e%CC%81", "acme", "agent"),
        ),
        ("N revoke", "a token that revokes is no credential", ACME.with(json!({ "revoke": "user" })), Deny),
        ("N revoke", "nor with null", claim("revoke", "null"), Deny),
    ] {
        table.push(row(id, name, get(X).bearer(token), verdict));
    }
    for (name, changes) in [
        ("aud is a number", json!({ "aud": 123 })),
        ("aud is an object", json!({ "aud": {} })),
        ("aud is true", json!({ "aud": true })),
        ("iss is an object", json!({ "iss": {} })),
        ("iss is a number", json!({ "iss": 1 })),
        ("iss is a list with the right one", json!({ "iss": ["https://initech.example"] })),
        ("iss is part of the right one", json!({ "iss": "https://initech" })),
        ("iss is more than the right one", json!({ "iss": "https://initech.example.evil.test" })),
        ("iss is empty", json!({ "iss": "" })),
        ("iss is absent", json!({ "iss": null })),
    ] {
        table.push(row("N CVE-2024-53861", name, get(X).host("initech.test").bearer(at_initech(&changes)), Deny));
        if name.contains(" is a") && !name.contains("absent") {
            let token = ACME.with(changes);
            let verdict = if name.contains("true") || !name.ends_with("one") { Deny } else { Refused };
            table.push(row("N CVE-2024-53861", name, get(X).bearer(token), verdict).named("where none is asked for,"));
        }
    }

    let bare = ACME.with(json!({ "userRoles": null, "userEmail": null, "plan": null }));
    let forged =
        || get(X).header("X-Roles", "admin").header("X-User-Email", "root@acme.example").header("X-Plan", "gold");
    table.extend([
        row("N CVE-2026-30851", "absent claims leave no room", forged().bearer(&bare), Pass("maya", "acme", ""))
            .and(has_no_roles),
        row(
            "N CVE-2026-52845",
            "nor for an alias",
            get(X).header("x_roles", "admin").header("X.Roles", "admin").bearer(&bare),
            Pass("maya", "acme", ""),
        ),
        row("N CVE-2024-21492", "a session after logout", get(X).cookie(COOKIE, &session), Deny)
            .after(post("/_auth/logout").cookie(COOKIE, &session)),
        row("N CVE-2026-34454", "a dead cookie is cleared", get(X).cookie(COOKIE, &session), Deny).and(|outcome| {
            let set = outcome.answer()?.header("set-cookie").unwrap_or("").to_owned();
            set.contains("Max-Age=0").then_some(()).ok_or(set)
        }),
        row("N CVE-2022-29226", "the mere presence of a token", get(X).bearer("x"), Deny),
        row("N CVE-2024-39315", "who am I", get("/_auth/session").bearer(good()), Answers(200)),
        row("N CVE-2023-30861", "an answer is nobody else's", get(X).bearer(good()), U1).and(varies),
        row(
            "N CVE-2023-23934",
            "a cookie without a name",
            get(X).header("Cookie", format!("={COOKIE}={session}")),
            Deny,
        ),
        row(
            "N CVE-2023-23934",
            "a nameless one beside a real one",
            get(X).header("Cookie", format!("={COOKIE}=x; a=b")).bearer(good()),
            U1,
        ),
        row("N cookies", "a wide space before the name", get(X).header("Cookie", format!("\u{2000}{COOKIE}=x")), Deny),
        row("N cookies", "$Version", get(X).header("Cookie", format!("$Version=1; {COOKIE}=\"x\"; $Path=/")), Deny),
        row("N cookies", "in one quoted value", get(X).header("Cookie", format!("a=\"b; {COOKIE}=x; c\"")), Deny),
        row("N cookies", "behind a comma", get(X).header("Cookie", format!("a=b, {COOKIE}=x")), Deny),
        row(
            "N CVE-2026-71326",
            "a token of one tenant after it was cached for another",
            get(X).host("globex.test").bearer(good()),
            Deny,
        )
        .after(get(X).bearer(good())),
        row(
            "N CVE-2026-71326",
            "one user's cached token is not another's",
            get(X).bearer(ACME.token("u-2")),
            Pass("u-2", "acme", "agent"),
        )
        .after(get(X).bearer(good())),
        row(
            "N CVE-2026-71326",
            "a cached token with one byte changed",
            get(X).bearer(format!("{}A", &good()[..good().len() - 1])),
            Deny,
        )
        .after(get(X).bearer(good())),
        row("N CVE-2026-71326", "a cached token as a cookie", get(X).cookie(COOKIE, &good()), Deny)
            .after(get(X).bearer(good())),
        row(
            "N CVE-2026-48794",
            "the case of a host",
            get(X).host("gLobex.TEST").bearer(GLOBEX.token("gil")),
            Pass("gil", "globex", "agent"),
        ),
        row(
            "N CVE-2025-54576",
            "a public path in the query",
            get("/api/x?/public/").header("X-Original-URI", "/public/"),
            Deny,
        ),
        row("N CVE-2026-41059", "a public path behind a fragment", get("/api/x#/public/"), Refused),
        row("N CVE-2021-32637", "a target nobody can read", get("/%zz%"), Bad),
        row("N CVE-2026-27587", "an encoded letter does not skip a rule", get("/st%41ff/x").bearer(good()), Bad),
        row("N CVE-2021-27306", "a double slash does not skip a rule", get("//staff").bearer(good()), Bad),
        row("N CVE-2026-73511", "a parameter does not skip a rule", get("/staff;a/x").bearer(good()), Refused),
        row("N CVE-2019-0220", "slashes in the middle", get("/staff//x").bearer(good()), Bad),
        row(
            "N CVE-2021-29651",
            "a token does not leave by a redirect",
            get(&format!("/_auth/exchange?token={}&return_to=//evil.test/", fresh("tom"))).navigating(),
            Answers(303),
        ),
        row(
            "N ASVS 7.6.2",
            "nobody is signed in over another",
            get(&format!("/_auth/exchange?token={}", fresh("eve")))
                .navigating()
                .cookie(COOKIE, &stage.session("ann").await),
            Asks,
        ),
        row(
            "N CVE-2026-41181",
            "an error page is shown no credential",
            get("/public/x").bearer(good()).cookie(COOKIE, &session),
            Anonymous,
        ),
    ]);
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opened_other_doors_does_not_open_this_one() {
    let stage = Stage::start().await;
    stage.run(&cases(&stage).await).await;
}
