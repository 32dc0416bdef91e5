//! E: where an exchange and a logout may lead, one by one.

use super::{
    browsers,
    case::{
        Case, Outcome,
        Verdict::{Answers, Deny, Returns},
        X, ask, fresh, get, post, row,
    },
    stage::{Stage, config},
};

/// A link that signs in and returns there; `to` is sent as it is.
fn link(to: &str) -> crate::support::Ask {
    get(&format!("/_auth/exchange?token={}&return_to={to}", fresh("tom"))).navigating()
}

fn to(outcome: &Outcome<'_>, wanted: &str) -> Result<(), String> {
    let location = outcome.answer()?.header("location").unwrap_or("none");
    (location == wanted).then_some(()).ok_or_else(|| format!("to {location}"))
}

fn to_root(outcome: &Outcome<'_>) -> Result<(), String> {
    to(outcome, "/")
}

fn sets_one_cookie(outcome: &Outcome<'_>) -> Result<(), String> {
    let answer = outcome.answer()?;
    let counts = ["set-cookie", "location"].map(|name| answer.headers(name).count());
    let is_right = answer.status != 303 || counts == [1, 1];
    is_right.then_some(()).ok_or_else(|| format!("head {:?}", answer.headers))
}

pub fn cases() -> Vec<Case> {
    let mut table = vec![
        row("E 71", "root", link("/"), Answers(303)).and(|o| to(o, "/")),
        row("E 71", "a page with query and fragment", link("%2Fa%3Fb%3Dc%23d"), Answers(303))
            .and(|o| to(o, "/a?b=c#d")),
        row("E 71", "a page, not encoded", link("/a?b=c"), Answers(303)).and(|o| to(o, "/a?b=c")),
        row("E 71", "an absolute URL of this origin", link("https%3A%2F%2Fportal.test%2Fx"), Answers(303))
            .and(|o| to(o, "/x")),
        row("E 71", "the same with its port", link("https%3A%2F%2Fportal.test%3A443%2Fx"), Answers(303))
            .and(|o| to(o, "/x")),
        row("E 71", "encoded bytes stay", link("%2Fa%2520b%3Fc%3D%252F"), Answers(303)).and(|o| to(o, "/a%20b?c=%2F")),
        row("E 71", "a page that would be refused", link("%2F_auth%252Flogout"), Answers(303)).and(to_root),
        row("E 71", "another port", link("https%3A%2F%2Fportal.test%3A444%2Fx"), Answers(303)).and(to_root),
        row("E 71", "another scheme", link("ftp%3A%2F%2Fportal.test%2Fx"), Answers(303)).and(to_root),
        row("E 71", "a sub-domain", link("https%3A%2F%2Fx.portal.test%2F"), Answers(303)).and(to_root),
        row("E 71", "the tenant's own page is not ours", link("https%3A%2F%2Fapp.acme.example%2F"), Answers(303))
            .and(to_root),
        row("E 71", "nothing", link(""), Answers(303)).and(to_root),
        row("E 71", "a page of people who must log in", get("/tickets?a=%2F%2Fevil.test").navigating(), Deny),
        row("E 71", "the same below a look-alike", get("/tickets/evil.test%2523").navigating(), Deny),
        row(
            "E 71",
            "and with a Referer",
            post("/tickets").navigating().header("Referer", "https://evil.test/").body("a"),
            Deny,
        ),
        row("E 71", "logout to a page", post("/_auth/logout").form(&[("return_to", "/bye")]), Answers(303))
            .and(|o| to(o, "/bye")),
        row("E 71", "logout to nowhere", post("/_auth/logout").form(&[("return_to", "//evil.test")]), Answers(303))
            .and(to_root),
        row("E 71", "logout by default", post("/_auth/logout"), Answers(303))
            .and(|o| to(o, "https://bye.acme.example/")),
        row("E 71", "two places", link("/a&return_to=/b"), Returns).and(|o| to(o, "none")),
    ];
    for split in [
        "/%0d%0aSet-Cookie:x=1",
        "/%0aSet-Cookie:x=1",
        "/%0dSet-Cookie:x=1",
        "/x%0d%0a%0d%0a<script>",
        "/%E5%98%8A%E5%98%8DSet-Cookie:x=1",
        "/\\u560a\\u560dSet-Cookie:x=1",
        "/%u000d%u000aSet-Cookie:x=1",
        "/%00",
        "/x%00//evil.test",
        "/%250d%250aSet-Cookie:x=1",
        "/%c4%8d%c4%8aSet-Cookie:x=1",
        "/%e2%80%a8Set-Cookie:x=1",
        "/%7f",
    ] {
        table.push(row("E 73", split, link(split), Returns).and(sets_one_cookie));
        table.push(
            row("E 73", split, get(&format!("/_auth/logout?return_to={split}")).navigating(), Returns).named("logout"),
        );
        table.push(
            row("E 73", split, get(&format!("/handed{split}?token={}", fresh("tom"))).navigating(), Returns)
                .named("page")
                .and(sets_one_cookie),
        );
    }
    for own in [
        format!("/_auth/exchange?token={}", fresh("tom")),
        format!("%2F_auth%2Fexchange%3Ftoken%3D{}", fresh("tom")),
        "/_auth/logout".into(),
        "/_auth".into(),
        "/_AUTH/logout".into(),
        "/%255Fauth/logout".into(),
        "/%25255Fauth/logout".into(),
        "/_auth;x/logout".into(),
        "/x/../_auth/logout".into(),
        "/x/%252e%252e/_auth/logout".into(),
        "/./_auth/logout".into(),
        "/_au%2509th/logout".into(),
        "https://portal.test/_auth/logout".into(),
        "http:/_auth/logout".into(),
        "/_auth%255clogout".into(),
    ] {
        table.push(row("E 74", own.split("token").next().unwrap(), link(&own), Returns).and(|outcome| {
            let location = outcome.answer()?.header("location").unwrap_or("").to_lowercase();
            let decoded = percent_encoding::percent_decode_str(&location).decode_utf8_lossy().into_owned();
            let is_own = [&location, &decoded].iter().any(|text| text.starts_with("/_auth/") || text.contains("eyj"));
            (!is_own).then_some(()).ok_or(location)
        }));
    }
    let spent = fresh("tom");
    let twice = get(&format!("/handed/page?token={spent}&x=1")).navigating();
    table.push(
        row("E 74", "a page opened with a token, without it", twice, Answers(303)).and(|o| to(o, "/handed/page?x=1")),
    );
    table.push(row("E 74", "HEAD of it", ask("HEAD", &format!("/handed/page?token={}", fresh("tom"))), Answers(204)));
    table.push(row(
        "E 74",
        "with a token to log in for",
        get(&format!("/handed?access_token={}x", fresh("tom"))).navigating(),
        Deny,
    ));
    table.push(row(
        "E 74",
        "a dead token in a page for nobody",
        get(&format!("{X}?token={}", "x.y.z")).navigating(),
        Deny,
    ));
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_stay_at_home() {
    let urls =
        "[tenants.acme]\nlogin_url = \"https://login.acme.example/in\"\nlogout_url = \"https://bye.acme.example/\"";
    let stage = Stage::with(|app| config(app).replace("[tenants.acme]", urls)).await;
    stage.run(&cases()).await;
    browsers::stay(&stage.told().locations);
}
