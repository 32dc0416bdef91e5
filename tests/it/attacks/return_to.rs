//! E 68 and E 69: many hundreds of ways to write another site as a place to return to, by every carrier.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    browsers,
    case::{
        ACME, Case, Sent,
        Verdict::{Answers, Returns},
        get, post, row,
    },
    stage::{Stage, config},
};

/// What a browser, or a filter before it, may take for the way to another site.
const WAYS: [&str; 46] = [
    "//",
    "///",
    "////",
    "/\\",
    "\\/",
    "\\\\",
    "\\",
    "/\\/",
    "/\\\\",
    "//\\",
    "\\//",
    "/\t/",
    "\t//",
    "/\n/",
    "/\r/",
    "\n//",
    " //",
    "\u{0}//",
    "\u{b}//",
    "\u{a0}//",
    "\u{2028}//",
    "\u{3000}//",
    "/ /",
    "/.//",
    "/./\\",
    "/..//",
    "/%2e//",
    "/x/..//",
    "//./",
    "http://",
    "HTTP://",
    "http:",
    "http:/",
    "http:///",
    "http:\\\\",
    "https:/\\",
    "https:",
    "h\tttp://",
    "https://",
    " https://",
    "ftp://",
    "//portal.test@",
    "https://portal.test@",
    "https://portal.test:443@",
    "https://portal.test\\@",
    "https://user:portal.test@",
];
const PLACES: [&str; 14] = [
    "evil.test",
    "evil.test/portal.test",
    "evil.test?portal.test",
    "evil.test#portal.test",
    "evil.test\\portal.test",
    "portal.test.evil.test",
    "portal.testevil.test",
    "evil.test:80/x",
    "evil\u{3002}test",
    "\u{ff45}vil.test",
    "2130706433",
    "0x7f.1",
    "[::1]/",
    "evil%2etest",
];
const OTHERS: [&str; 30] = [
    "javascript:alert(1)",
    "JavaScript:alert(1)//portal.test",
    "java\tscript:alert(1)",
    "\u{1}javascript:alert(1)",
    "data:text/html,<script>",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://portal.test/x",
    "about:blank",
    "mailto:a@evil.test",
    "evil.test",
    "www.evil.test/x",
    "@evil.test",
    ":@evil.test",
    ".evil.test",
    "?//evil.test",
    "#//evil.test",
    ";//evil.test",
    "..//evil.test",
    "%2f%2fevil.test",
    "/%2fevil.test",
    "/%5cevil.test",
    "%5c%5cevil.test",
    "/%09/evil.test",
    "/%0a/evil.test",
    "https%3a%2f%2fevil.test",
    "https://portal.test.",
    "https://portal.test:80:evil.test/",
    "https://portal.test,evil.test/",
    "http://[portal.test]/",
];

fn corpus() -> BTreeSet<String> {
    let ways = WAYS.iter().flat_map(|way| PLACES.iter().map(move |place| format!("{way}{place}")));
    ways.chain(OTHERS.map(str::to_owned)).collect()
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

pub fn cases() -> Vec<Case> {
    let token = ACME.token("tom");
    let link = |to: &str| get(&format!("/_auth/exchange?token={token}&return_to={to}")).navigating();
    let mut table = Vec::new();
    for to in corpus() {
        let name = format!("{to:?}");
        table.push(row("E 68", &name, link(&encoded(&to)), Answers(303)));
        // Between the two, whatever the request line makes of it.
        table.push(row("E 69", &name, link(&to), Returns).named("raw"));
        table.push(row("E 69", &name, link(&encoded(&encoded(&to))), Answers(303)).named("encoded twice"));
        let form = post("/_auth/exchange").form(&[("token", &token), ("return_to", &to)]);
        table.push(row("E 69", &name, form, Answers(303)).named("form"));
        let data = post("/_auth/exchange").json(&json!({ "token": token, "return_to": to }));
        table.push(row("E 69", &name, data, Answers(200)).named("JSON"));
    }
    table
}

#[test]
fn there_are_more_than_558_ways_out() {
    assert!(corpus().len() >= 558, "{}", corpus().len());
    assert!(cases().iter().all(|case| !case.sent.clone().bytes().is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_return_to_leads_away() {
    let reused = |app| config(app).replace("[tenants.acme]", "[tenants.acme]\nsingle_use = false");
    let cases = cases();
    let (first, second) = (Stage::with(reused).await, Stage::with(reused).await);
    first.share(&second, &cases).await;
    let mut told = first.told().locations;
    told.extend(second.told().locations);
    browsers::stay(&told);
}
