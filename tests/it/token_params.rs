//! `?token=` is ours where its value is a token, and the app's own where it is not; and no token is in a URL that we hand on.

use serde_json::json;

use crate::support::{Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

fn fresh(user: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    ACME.with(json!({ "userId": user, "jti": NEXT.fetch_add(1, Ordering::Relaxed).to_string() }))
}

/// A handoff on a public and on an optional route too.
async fn start() -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let handed = "handoff_param = \"token\"\nbearer_param = \"access_token\"\n";
    let text = ["/public", "/optional"].iter().fold(config(&upstream), |text, path| {
        text.replace(&format!("path = \"{path}\"\n"), &format!("path = \"{path}\"\n{handed}"))
    });
    let login = "[tenants.acme]\nlogin_url = \"https://login.acme.example/\"";
    let door = Door::start(&text.replace("[tenants.acme]", login)).await;
    (upstream, door)
}

/// What apps put into such parameters: attachments, password resets, signed values of frameworks.
const OF_APPS: [&str; 8] = [
    "8f3c2a91bd",
    "",
    "a.b.c",
    "MTIz.YWJj.c2ln",
    "eyJpdiI6IkFBIn0",
    "eyJ1c2VyIjo3fQ.ZxYz1A.c2lnbmF0dXJl",
    "Bearer%20x",
    "https%3A%2F%2Fa.test%2F",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_no_token_is_the_apps_own() {
    let (upstream, door) = start().await;
    let session = door.session(&fresh("maya")).await;
    for value in OF_APPS {
        for param in ["token", "access_token", "jwt"] {
            for (path, method) in [
                ("/handed/a.png", "GET"),
                ("/handed/a", "HEAD"),
                ("/handed", "POST"),
                ("/handed", "DELETE"),
                ("/", "PUT"),
            ] {
                let target = format!("{path}?id=7&{param}={value}");
                let answer = door.ask(method, &target).cookie(COOKIE, &session).header("Origin", "http://portal.test");
                assert_eq!(answer.send().await.status, 200, "{method} {target}");
                assert_eq!((upstream.last().target(), upstream.last().identity().0), (&*target, "maya"));
                let target = format!("/optional/a?{param}={value}&id=7");
                for ask in [door.ask(method, &target), door.ask(method, &target).navigating()] {
                    let referer = format!("http://portal.test{target}");
                    assert_eq!(ask.header("Referer", &referer).send().await.status, 200, "{method} {target}");
                    assert!(upstream.last().is_anonymous());
                    let seen = upstream.last();
                    assert_eq!((seen.target(), seen.header("referer")), (&*target, Some(&*referer)));
                }
            }
        }
    }
    // Without a session it is as if it were not there.
    assert_eq!(door.get("/handed?token=8f3c").send().await.code(), "token_missing");
    let twice = door.get("/handed?token=a&token=b&access_token=c").cookie(COOKIE, &session).send().await;
    assert_eq!((twice.status, upstream.last().target()), (200, "/handed?token=a&token=b&access_token=c"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_among_several_values_is_ambiguous() {
    let (upstream, door) = start().await;
    let (one, other) = (fresh("maya"), fresh("maya"));
    for target in [
        format!("/handed?token={one}&token={other}"),
        format!("/handed?token=8f3c&token={one}"),
        format!("/handed?token={one}&token="),
        format!("/handed?access_token={one}&access_token={other}"),
        format!("/handed?access_token=8f3c&access_token={one}"),
    ] {
        assert_eq!(door.get(&target).send().await.code(), "credential_ambiguous", "{target}");
    }
    assert!(upstream.seen().is_empty());
    // Neither was spent, and one beside the app's own under another name is one.
    let answer = door.get(&format!("/handed?token={one}&access_token=8f3c")).navigating().send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/handed?access_token=8f3c")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_app_sees_a_token_in_a_url_on_any_route() {
    let (upstream, door) = start().await;
    let (token, session) = (fresh("maya"), door.session(&fresh("maya")).await);
    for path in ["/", "/public/x", "/optional/x", "/handed", "/agents"] {
        for param in ["token", "jwt", "access_token", "tok%65n"] {
            let target = format!("{path}?a=%20b&{param}={token}&id_token=8f3c");
            let referer = format!("http://portal.test{target}");
            let ask = door.post(&target).cookie(COOKIE, &session).header("Origin", "http://portal.test");
            // By a link it would be exchanged, where the route has it so.
            let answer = ask.header("Referer", &referer).body("x").send().await;
            assert_eq!(answer.status, 200, "{target}");
            let (seen, kept) = (upstream.last(), format!("{path}?a=%20b&id_token=8f3c"));
            assert_eq!(seen.target(), kept);
            assert_eq!(seen.header("referer"), Some(&*format!("http://portal.test{kept}")));
        }
    }
    // The app's own, by a name that is not ours.
    let target = format!("/?id_token={token}");
    door.get(&target).cookie(COOKIE, &session).send().await;
    assert_eq!(upstream.last().target(), target);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_location_has_a_token() {
    let (_upstream, door) = start().await;
    let token = fresh("maya");
    let telling = &token[token.len() - 16..];
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let page = format!("http://portal.test/tickets?token={token}&a=b");
    let asks = [
        (door.post("/tickets").navigating().header("Referer", &page).body("x"), "/tickets?a=b"),
        (door.get(&format!("/tickets?jwt={token}&a=b")).navigating(), "/tickets?a=b"),
        (door.get(&format!("/tickets?whatever={token}&a=b")).navigating(), "/tickets?a=b"),
        (door.get(&format!("/tickets?next=%2Fx%3Ftoken%3D{token}&a=b")).navigating(), "/tickets?a=b"),
        (door.get(&format!("/tickets/{token}?a=b")).navigating(), "/"),
        (door.get("/tickets?token=8f3c&a=b").navigating(), "/tickets?token=8f3c&a=b"),
    ];
    for (ask, returns) in asks {
        let answer = ask.send().await;
        let location = answer.header("location").unwrap_or_default();
        assert!(answer.status == 303 && !location.contains(telling), "{location}");
        assert!(location.ends_with(&encode(&format!("http://portal.test{returns}"))), "{location}");
    }
    for (wanted, location) in [
        (format!("/a?token={token}&b=c"), "/a?b=c"),
        (format!("/a?x={token}#y={token}"), "/a"),
        (format!("/{token}"), "/"),
        ("/a?token=8f3c#d".to_owned(), "/a?token=8f3c#d"),
    ] {
        let link = format!("/_auth/exchange?token={}&return_to={}", fresh("maya"), encode(&wanted));
        let answer = door.get(&link).navigating().send().await;
        assert_eq!(answer.header("location"), Some(location), "{wanted}");
        let answer = door.post("/_auth/logout").form(&[("return_to", &wanted)]).send().await;
        assert_eq!(answer.header("location"), Some(location), "{wanted}");
        // A link that was used before leads on to the same page.
        let used = door.get(&link).navigating().send().await;
        assert!(used.status == 401 && !used.text().contains(telling));
    }
    let page = door.get(&format!("/handed?token={}&jwt={token}&a=b", fresh("maya"))).navigating().send().await;
    assert_eq!(page.header("location"), Some("/handed?a=b"));
}
