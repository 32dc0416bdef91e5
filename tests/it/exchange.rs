//! The handoff: carriers, single use, return paths, switching users, who am I, and signing out.

use serde_json::json;

use crate::support::{Answer, Client, Door, Issuer, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

async fn start() -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    (upstream, door)
}

/// A token that was not used before.
fn fresh(user: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let email = format!("{user}@acme.example");
    ACME.with(json!({ "userId": user, "userEmail": email, "jti": NEXT.fetch_add(1, Ordering::Relaxed).to_string() }))
}

fn assert_guarded(answer: &Answer) {
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_by_any_of_its_carriers() {
    let (upstream, door) = start().await;
    let by_bearer = door.exchange(&fresh("maya")).await;
    let by_json = door.post("/_auth/exchange").json(&json!({ "token": fresh("maya"), "return_to": "/a" })).send().await;
    for answer in [&by_bearer, &by_json] {
        assert_eq!(answer.status, 200);
        let user = json!({
            "id": "maya", "tenant": "acme", "roles": ["agent"], "email": "maya@acme.example", "name": null, "plan": "pro"
        });
        assert_eq!(answer.json(), json!({ "user": user, "expires_at": "2026-11-20T12:00:00Z" }));
    }
    let form = [("token", fresh("maya")), ("return_to", "/a?b=c#d".to_owned())];
    let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let by_form = door.post("/_auth/exchange").form(&form).send().await;
    let by_link = door
        .get(&format!("/_auth/exchange?jwt={}&return_to=%2Fa%3Fb%3Dc%23d", fresh("maya")))
        .navigating()
        .send()
        .await;
    for answer in [&by_form, &by_link] {
        assert_eq!((answer.status, answer.header("location")), (303, Some("/a?b=c#d")));
    }
    let as_data =
        door.post("/_auth/exchange").header("Accept", "application/json").form(&[("jwt", &fresh("maya"))]).send().await;
    assert_eq!(as_data.status, 200);
    for answer in [by_bearer, by_json, by_form, by_link, as_data] {
        assert_guarded(&answer);
        let session = answer.cookie(COOKIE).unwrap();
        assert_eq!(door.get("/").cookie(COOKIE, &session).send().await.status, 200);
        assert_eq!(upstream.last().identity(), ("maya", "acme", "agent"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_is_locked_down_and_says_nothing() {
    let (_upstream, door) = start().await;
    let answer = door.exchange(&fresh("maya")).await;
    let set = answer.header("set-cookie").unwrap();
    let attributes: Vec<&str> = set.split("; ").skip(1).collect();
    for wanted in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/", "Max-Age=43200"] {
        assert!(attributes.contains(&wanted), "{wanted} in {attributes:?}");
    }
    assert!(!set.contains("Domain") && set.len() <= 4096);
    let (one, other) = (answer.cookie(COOKIE).unwrap(), door.session(&fresh("maya")).await);
    assert_ne!(one, other);
    for at in 0..one.len() {
        let changed = format!("{}{}{}", &one[..at], if one.as_bytes()[at] == b'x' { 'y' } else { 'x' }, &one[at + 1..]);
        let answer = door.get("/").cookie(COOKIE, &changed).send().await;
        assert_eq!(answer.code(), "session_invalid", "changed at {at}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_choose_its_session() {
    let (_upstream, door) = start().await;
    let answer = door.post("/_auth/exchange").bearer(fresh("maya")).cookie(COOKIE, "attacker").send().await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.cookie(COOKIE).unwrap(), "attacker");
    assert_eq!(door.get("/").cookie(COOKIE, "attacker").send().await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_once_however_many_ask() {
    let (_upstream, door) = start().await;
    let token = fresh("maya");
    let answers = futures(20, || door.exchange(&token)).await;
    let won = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(won, 1);
    let lost = answers.iter().find(|answer| answer.status == 401).unwrap();
    assert_eq!(lost.code(), "token_spent");
    assert_eq!(door.get("/").bearer(&token).send().await.status, 200, "as a bearer it is good until it expires");
}

/// Runs some at once.
async fn futures<F: Future<Output = Answer>>(count: usize, make: impl Fn() -> F) -> Vec<Answer> {
    let mut running: Vec<_> = (0..count).map(|_| Box::pin(make())).collect();
    let mut answers = Vec::new();
    std::future::poll_fn(|context| {
        running.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            std::task::Poll::Pending => true,
        });
        if running.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_token_with_its_live_session_is_that_session() {
    let (_upstream, door) = start().await;
    let token = fresh("maya");
    let session = door.session(&token).await;
    let link = format!("/_auth/exchange?token={token}&return_to=/a");
    let again = door.get(&link).navigating().cookie(COOKIE, &session).send().await;
    assert_eq!((again.status, again.header("location"), again.header("set-cookie")), (303, Some("/a"), None));
    let of_another = door.session(&fresh("tom")).await;
    let answer = door.post("/_auth/exchange").bearer(&token).cookie(COOKIE, &of_another).send().await;
    assert_eq!(answer.code(), "token_spent");
    let page = door.get(&link).navigating().send().await;
    assert_eq!(page.status, 401);
    assert!(page.text().contains("This sign-in link was already used"));
}

#[tokio::test(flavor = "multi_thread")]
async fn single_use_can_be_switched_off() {
    let upstream = Upstream::start().await;
    let text = config(&upstream).replace("[tenants.acme]", "[tenants.acme]\nsingle_use = false");
    let door = Door::start(&text).await;
    let token = fresh("maya");
    assert_ne!(door.session(&token).await, door.session(&token).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_spends_nothing() {
    let (_upstream, door) = start().await;
    for target in ["/_auth/exchange?return_to=/a&token=", "/handed?token="] {
        let token = fresh("maya");
        let target = format!("{target}{token}");
        let looks = [
            (door.ask("HEAD", &target), 204),
            (door.get(&target).header("Sec-Purpose", "prefetch"), 400),
            (door.get(&target).header("Sec-Purpose", "prefetch;prerender"), 400),
            (door.get(&target).header("Purpose", "prefetch"), 400),
            (door.get(&target).header("Sec-Fetch-Dest", "image"), 400),
            (door.get(&target).header("Sec-Fetch-Dest", "empty"), 400),
            (door.get(&target).header("Sec-Fetch-Dest", "script"), 400),
        ];
        for (look, status) in looks {
            let answer = look.send().await;
            assert_eq!((answer.status, answer.header("set-cookie")), (status, None));
        }
        assert_eq!(door.get(&target).navigating().send().await.status, 303, "and the token is still good");
    }
    assert_eq!(door.ask("HEAD", "/_auth/exchange").send().await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn carriers_that_contradict_are_refused() {
    let (_upstream, door) = start().await;
    let (a, b) = (fresh("maya"), fresh("tom"));
    let asks = [
        door.post("/_auth/exchange").bearer(&a).json(&json!({ "token": b })),
        door.post(&format!("/_auth/exchange?token={b}")).bearer(&a),
        door.post("/_auth/exchange").form(&[("token", &a), ("token", &b)]),
        door.post("/_auth/exchange").form(&[("token", &a), ("jwt", &b)]),
        door.post("/_auth/exchange").bearer(&a).bearer(&a),
        door.get(&format!("/_auth/exchange?token={a}&token={b}")),
        door.get(&format!("/handed?token={a}&token={b}")),
        door.post("/_auth/exchange").form(&[("token", &a), ("return_to", "/a"), ("return_to", "/b")]),
        door.get(&format!("/_auth/exchange?token={a}&return_to=/a&return_to=/b")),
        door.post(&format!("/_auth/exchange?token={a}")),
        door.get("/_auth/exchange"),
        door.post("/_auth/exchange").header("Content-Type", "text/plain").body(a.clone()),
        door.post("/_auth/exchange").header("Content-Type", "multipart/form-data; boundary=x").body("--x"),
        door.post("/_auth/exchange").header("Content-Encoding", "gzip").json(&json!({ "token": a })),
        door.post("/_auth/exchange").header("Content-Type", "application/json").body("{\"token\":1}"),
        door.post("/_auth/exchange").header("Content-Type", "application/json").body("[]"),
        door.post("/_auth/exchange")
            .header("Content-Type", "application/json")
            .body(format!("{{\"token\":\"{a}\",\"token\":\"{b}\"}}")),
    ];
    for (number, ask) in asks.into_iter().enumerate() {
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.header("set-cookie")), (400, None), "case {number}: {}", answer.text());
    }
    assert_eq!(door.post("/_auth/exchange").send().await.code(), "token_missing");
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = door.ask(method, "/_auth/exchange").bearer(&a).send().await;
        assert_eq!((answer.code().as_str(), answer.header("set-cookie")), ("method_not_allowed", None));
    }
    assert_eq!(door.exchange(&a).await.status, 200, "none of it spent the token");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_bounded() {
    let (_upstream, door) = start().await;
    let large = door
        .post("/_auth/exchange")
        .header("Content-Type", "application/json")
        .body(" ".repeat(16 * 1024 + 1))
        .send()
        .await;
    assert_eq!(large.code(), "payload_too_large");
    let mut client = Client::connect(door.address).await;
    client
        .send(b"POST /_auth/exchange HTTP/1.1\r\nHost: portal.test\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    for _ in 0..20 {
        client.send(format!("400\r\n{}\r\n", " ".repeat(0x400)).as_bytes()).await;
    }
    assert_eq!(client.receive(false).await.unwrap().code(), "payload_too_large");
    let mut client = Client::connect(door.address).await;
    let token = fresh("maya");
    let body = json!({ "token": token }).to_string();
    let head = format!(
        "POST /_auth/exchange HTTP/1.1\r\nHost: portal.test\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.send(head.as_bytes()).await;
    client.send(body.as_bytes()).await;
    assert_eq!(client.receive(false).await.unwrap().status, 200, "after 100-continue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_opened_with_a_token_is_itself_without_it() {
    let (upstream, door) = start().await;
    let token = fresh("maya");
    let answer = door.get(&format!("/handed/page?x=%2Fy&token={token}&z")).navigating().send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/handed/page?x=%2Fy&z")));
    assert_guarded(&answer);
    let session = answer.cookie(COOKIE).unwrap();
    let answer = door.get(&format!("/handed/page?token={token}")).navigating().cookie(COOKIE, &session).send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/handed/page")), "a reload goes on");
    assert!(upstream.seen().is_empty());
    let answer =
        door.post(&format!("/handed/page?token={token}&z=1")).cookie(COOKIE, &session).body("x=1").send().await;
    assert_eq!(answer.status, 200, "a POST is no handoff");
    assert_eq!(upstream.last().target(), "/handed/page?z=1", "and the token is gone all the same");
    let answer = door.get("/?token=of-the-app").cookie(COOKIE, &session).send().await;
    assert_eq!((answer.status, upstream.last().target()), (200, "/?token=of-the-app"), "elsewhere it is the app's own");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_stay_on_this_origin() {
    let (_upstream, door) = start().await;
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    for (wanted, location) in [
        ("/", "/"),
        ("/a?b=c#d", "/a?b=c#d"),
        ("http://portal.test/x", "/x"),
        ("http://portal.test:80/x", "/x"),
        ("//evil.test", "/"),
        ("/\\evil.test", "/"),
        ("https://evil.test/", "/"),
        ("javascript:alert(1)", "/"),
        ("/\t/evil.test", "/"),
        ("/.//evil.test", "/"),
        ("/a/..//evil.test", "/"),
        ("http://portal.test@evil.test/", "/"),
        ("http://portal.test.evil.test/", "/"),
        ("/_auth/logout", "/"),
        ("/a/../_auth/logout", "/"),
        ("/%5Fauth/logout", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/\u{560a}\u{560d}x", "/%E5%98%8A%E5%98%8Dx"),
        ("", "/"),
        ("tickets", "/"),
    ] {
        let answer = door
            .get(&format!("/_auth/exchange?token={}&return_to={}", fresh("maya"), encode(wanted)))
            .navigating()
            .send()
            .await;
        assert_eq!((answer.status, answer.header("location")), (303, Some(location)), "{wanted:?}");
        let own = url::Url::parse("http://portal.test/").unwrap();
        assert_eq!(own.join(answer.header("location").unwrap()).unwrap().origin(), own.origin(), "{wanted:?}");
        assert!(!answer.text().contains("evil"));
    }
    let token = fresh("maya");
    let answer = door
        .get(&format!("/_auth/exchange?token={token}&return_to=%2F_auth%2Fexchange%3Ftoken%3D{token}"))
        .navigating()
        .send()
        .await;
    assert_eq!(answer.header("location"), Some("/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_comes_from_our_origin_or_the_tenants() {
    let (_upstream, door) = start().await;
    for origin in ["http://portal.test", "https://portal.test", "https://app.acme.example"] {
        assert_eq!(
            door.post("/_auth/exchange").header("Origin", origin).bearer(fresh("maya")).send().await.status,
            200,
            "{origin}"
        );
    }
    let token = fresh("maya");
    for origin in [
        "null",
        "https://evil.test",
        "https://app.acme.example.evil.test",
        "http://app.acme.example",
        "http://portal.test:444",
        "",
    ] {
        let answer = door.post("/_auth/exchange").header("Origin", origin).bearer(&token).send().await;
        assert_eq!((answer.code().as_str(), answer.header("set-cookie")), ("origin_not_allowed", None), "{origin}");
    }
    assert_eq!(door.exchange(&token).await.status, 200, "and the token was not spent on it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_another_user_asks_first() {
    let (_upstream, door) = start().await;
    let maya = door.session(&fresh("maya")).await;
    let token = fresh("<b>tom");
    let link = format!("/_auth/exchange?token={token}&return_to=/a");
    let page = door.get(&link).navigating().cookie(COOKIE, &maya).send().await;
    assert_eq!((page.status, page.header("set-cookie")), (200, None));
    assert_guarded(&page);
    let text = page.text();
    assert!(text.contains(">Stay signed in as <bdi>maya@acme.example</bdi></a>"), "there is a way back");
    assert!(text.contains("maya@acme.example") && text.contains("&lt;b&gt;tom") && !text.contains("<b>tom"), "{text}");
    // Only our own page agrees in the person's stead.
    let agree = [("token", token.as_str()), ("return_to", "/a"), ("agreed", "yes")];
    let forged = door.post("/_auth/exchange").cookie(COOKIE, &maya).form(&agree).send().await;
    assert_eq!(forged.status, 200, "still the question");
    let agreed = door
        .post("/_auth/exchange")
        .header("Origin", "http://portal.test")
        .cookie(COOKIE, &maya)
        .form(&agree)
        .send()
        .await;
    assert_eq!((agreed.status, agreed.header("location")), (303, Some("/a")));
    assert!(agreed.cookie(COOKIE).is_some());
    assert_eq!(door.get("/").cookie(COOKIE, &maya).send().await.code(), "revoked", "the session it replaced has ended");
    let maya = door.session(&fresh("maya")).await;
    let same =
        door.get(&format!("/_auth/exchange?token={}", fresh("maya"))).navigating().cookie(COOKIE, &maya).send().await;
    assert_eq!(same.status, 303, "the same user is not asked");
    let two = format!("{COOKIE}={maya}; {COOKIE}=zz");
    let hidden = door.get(&link).navigating().header("Cookie", two).send().await;
    assert_eq!((hidden.status, hidden.header("set-cookie")), (400, None), "a second cookie does not hide the first");
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_may_be_silent_or_refused_and_every_handoff_may_ask() {
    let upstream = Upstream::start().await;
    let with = |line: &str| config(&upstream).replace("[tenants.acme]", &format!("[tenants.acme]\n{line}"));
    let link = |door: &Door, session: &str| {
        door.get(&format!("/_auth/exchange?token={}", fresh("tom"))).navigating().cookie(COOKIE, session)
    };
    let replaces = Door::start(&with("on_switch = \"replace\"")).await;
    let maya = replaces.session(&fresh("maya")).await;
    assert_eq!(link(&replaces, &maya).send().await.status, 303);
    let rejects = Door::start(&with("on_switch = \"reject\"")).await;
    let maya = rejects.session(&fresh("maya")).await;
    assert_eq!(link(&rejects, &maya).send().await.status, 403);
    assert_eq!(
        rejects.post("/_auth/exchange").bearer(fresh("tom")).cookie(COOKIE, &maya).send().await.code(),
        "forbidden"
    );
    let page = link(&rejects, &maya).send().await;
    assert!(page.text().contains("action=\"&#x2f;_auth&#x2f;logout\"") && page.text().contains("strict-origin"));
    let closed = rejects.get("/closed").navigating().send().await;
    assert!(!closed.text().contains("<form") && !closed.text().contains("sign out"), "{}", closed.text());
    let confirms = Door::start(&with("handoff = \"confirm\"")).await;
    let page = link(&confirms, "").send().await;
    assert_eq!((page.status, page.header("set-cookie")), (200, None));
    assert!(page.text().contains("Continue as <bdi>tom@acme.example</bdi>"));
}

/// A page of the tenant's that posts the token vouches for who sits there.
#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_not_asked_about_where_an_origin_of_the_tenant_posts() {
    let upstream = Upstream::start().await;
    let text = config(&upstream);
    let form = |door: &Door, origin: &str, session: &str| {
        let token = fresh("tom");
        let ask = door.post("/_auth/exchange").form(&[("token", &token), ("return_to", "/x")]);
        ask.header("Origin", origin).cookie(COOKIE, session).send()
    };
    for (line, origin, status) in [
        ("", "https://app.acme.example", 303),
        ("on_switch = \"confirm\"", "https://app.acme.example", 303),
        ("on_switch = \"replace\"", "https://app.acme.example", 303),
        ("on_switch = \"reject\"", "https://app.acme.example", 403),
        // Our own pages ask: a link may have led there.
        ("", "http://portal.test", 200),
        ("", "null", 403),
        ("", "https://app.globex.example", 403),
    ] {
        let door = Door::start(&text.replace("[tenants.acme]", &format!("[tenants.acme]\n{line}"))).await;
        let maya = door.session(&fresh("maya")).await;
        assert_eq!(form(&door, origin, &maya).await.status, status, "{line} {origin}");
        let is_replaced = status == 303;
        let mayas = door.get("/").cookie(COOKIE, &maya).send().await.status;
        assert_eq!(mayas, if is_replaced { 401 } else { 200 }, "{line} {origin}");
    }
    // A link is anybody's, wherever it stands.
    let door = Door::start(&text).await;
    let maya = door.session(&fresh("maya")).await;
    let link = door.get(&format!("/_auth/exchange?token={}", fresh("tom"))).navigating().cookie(COOKIE, &maya);
    assert_eq!(link.header("Origin", "https://app.acme.example").send().await.status, 200);
}

/// Over plain HTTP a browser keeps no `Secure` cookie, but of loopback.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_browser_drops_the_cookie_is_told() {
    let upstream = Upstream::start().await;
    let text = config(&upstream)
        .replace("\"portal.test\", \"acme.test\"", "\"portal.test\", \"localhost\", \"127.0.0.1\", \"192.0.2.2\"");
    let lab = text.replace("[session]", "[session]\ncookie = \"vestibule\"\ninsecure_cookie = true");
    let behind = format!("[listen]\ntrusted_proxies = [\"127.0.0.1\"]\n{text}");
    for (text, host, header, is_told) in [
        (&text, "192.0.2.2:8080", ("X-A", "b"), true),
        (&text, "portal.test", ("X-A", "b"), true),
        (&text, "localhost:8080", ("X-A", "b"), false),
        (&text, "127.0.0.1:8080", ("X-A", "b"), false),
        (&text, "portal.test", ("Sec-Fetch-Mode", "navigate"), false),
        (&text, "portal.test", ("X-Forwarded-Proto", "https"), false),
        (&behind, "portal.test", ("X-Forwarded-Proto", "https"), false),
        (&behind, "portal.test", ("X-Forwarded-Proto", "http"), true),
        (&lab, "portal.test", ("X-A", "b"), false),
    ] {
        let door = Door::start(text).await;
        let ask = |path: &str| door.get(path).host(host).header(header.0, header.1);
        let page = ask(&format!("/_auth/exchange?token={}&return_to=/x", fresh("maya")));
        let page = page.header("Accept", "text/html").send().await;
        assert_eq!(page.status, if is_told { 200 } else { 303 }, "{host} {header:?}");
        assert!(page.headers("set-cookie").next().is_some());
        for key in ["tls", "trusted_proxies", "insecure_cookie", "href=\"&#x2f;x\""] {
            assert_eq!(page.text().contains(key), is_told, "{key} {}", page.text());
        }
        // A script gets what it asked for.
        let data = ask(&format!("/_auth/exchange?token={}", fresh("maya"))).send().await;
        assert_eq!(data.status, 303, "{host} {header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_out_leads_to_a_page_and_leaves_the_cache_alone() {
    let upstream = Upstream::start().await;
    let text = config(&upstream);
    let with = |line: &str| text.replace("[tenants.acme]", &format!("[tenants.acme]\n{line}"));
    let door = Door::start(&with("login_url = \"https://app.acme.example/login\"")).await;
    for session in [door.session(&fresh("maya")).await, String::new()] {
        let out = || door.post("/_auth/logout").cookie(COOKIE, &session);
        let page = out().header("Sec-Fetch-Mode", "navigate").send().await;
        assert!(page.status == 200 && page.text().contains("<h1>You are signed out</h1>"), "{}", page.text());
        assert!(page.text().contains("https:&#x2f;&#x2f;app.acme.example&#x2f;login") && page.cookie(COOKIE).is_some());
        let page = out().header("Accept", "text/html").header("Accept-Language", "de").send().await;
        assert!(page.status == 200 && page.text().contains("<h1>Sie sind abgemeldet</h1>"), "{}", page.text());
        let script = out().send().await;
        assert_eq!((script.status, script.header("location")), (303, Some("/")));
        assert_eq!(out().header("Accept", "application/json").send().await.status, 204);
        for answer in [&page, &script] {
            assert_eq!(answer.header("clear-site-data"), None);
            assert_guarded(answer);
        }
    }
    // A link that was cut off shows the way to sign in.
    let whole = fresh("maya");
    for cut in ["a.b.c", &whole[..whole.len() - 9]] {
        for path in [format!("/_auth/exchange?token={cut}&return_to=/t"), format!("/handed?token={cut}")] {
            let page = door.get(&path).navigating().send().await;
            // What is not shaped like a token is the app's own there: the visitor is without a session, and sent to log in.
            if path == "/handed?token=a.b.c" {
                let location = page.header("location").unwrap_or_default();
                assert!(page.status == 303 && location.starts_with("https://app.acme.example/login?"), "{location}");
                continue;
            }
            assert!(
                page.status == 401 && page.text().contains("app.acme.example&#x2f;login"),
                "{path} {}",
                page.text()
            );
        }
    }
}

/// A link on a page of the customer's may sign out, from another site too.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_a_sign_out_counts_where_the_tenant_put_it() {
    let (_upstream, door) = start().await;
    let site = |site: &'static str, mode: &'static str, dest: &'static str| {
        [("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", mode), ("Sec-Fetch-Dest", dest)]
    };
    for (told, referer, status) in [
        (site("cross-site", "navigate", "document"), "https://app.acme.example/", 303),
        (site("cross-site", "navigate", "document"), "https://app.acme.example.evil.test/", 403),
        (site("cross-site", "navigate", "document"), "https://evil.test/?https://app.acme.example/", 403),
        (site("cross-site", "navigate", "document"), "", 403),
        (site("cross-site", "navigate", "iframe"), "https://app.acme.example/", 403),
        (site("cross-site", "no-cors", "image"), "https://app.acme.example/", 403),
        (site("same-site", "navigate", "document"), "", 303),
    ] {
        let session = door.session(&fresh("maya")).await;
        let ask = door.get("/_auth/logout?return_to=/x").cookie(COOKIE, &session);
        let ask = told.iter().fold(ask, |ask, (name, value)| ask.header(name, *value));
        let ask = if referer.is_empty() { ask } else { ask.header("Referer", referer) };
        assert_eq!(ask.send().await.status, status, "{told:?} {referer}");
        let left = door.get("/").cookie(COOKIE, &session).send().await.status;
        assert_eq!(left, if status == 303 { 401 } else { 200 }, "{told:?} {referer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_endpoint_says_who_by_bearer_or_cookie() {
    let (_upstream, door) = start().await;
    let by_bearer = door.get("/_auth/session").bearer(fresh("maya")).send().await;
    assert_eq!((by_bearer.status, by_bearer.json()["expires_at"].as_str()), (200, Some("2026-11-20T00:10:00Z")));
    let session = door.session(&fresh("maya")).await;
    let by_cookie = door.get("/_auth/session").cookie(COOKIE, &session).send().await;
    assert_eq!(
        (by_cookie.json()["user"]["id"].as_str(), by_cookie.json()["expires_at"].as_str()),
        (Some("maya"), Some("2026-11-20T12:00:00Z"))
    );
    assert_guarded(&by_cookie);
    assert_eq!(door.get("/_auth/session").send().await.code(), "token_missing");
    assert_eq!(door.get("/_auth/session").bearer("x").cookie(COOKIE, &session).send().await.code(), "token_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_session_everywhere_on_this_instance() {
    let upstream = Upstream::start().await;
    let text =
        config(&upstream).replace("[tenants.acme]", "[tenants.acme]\nlogout_url = \"https://app.acme.example/bye\"");
    let door = Door::start(&text).await;
    let session = door.session(&fresh("maya")).await;
    let mut open = Client::connect(door.address).await;
    assert_eq!(door.get("/").cookie(COOKIE, &session).send_over(&mut open).await.status, 200);
    let answer = door.post("/_auth/logout").cookie(COOKIE, &session).send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("https://app.acme.example/bye")));
    assert_eq!(answer.cookie(COOKIE).as_deref(), Some(""));
    assert_guarded(&answer);
    let replayed = door.get("/").cookie(COOKIE, &session).send_over(&mut open).await;
    assert_eq!((replayed.status, replayed.code().as_str()), (401, "revoked"));
    let without = door.post("/_auth/logout").send().await;
    assert_eq!(
        (without.status, without.header("location")),
        (303, Some("https://app.acme.example/bye")),
        "the same without a session"
    );
    assert_eq!(without.cookie(COOKIE).as_deref(), Some(""));
    let to = door.post("/_auth/logout").form(&[("return_to", "/bye")]).send().await;
    assert_eq!(to.header("location"), Some("/bye"));
    let to = door.post("/_auth/logout").form(&[("return_to", "https://evil.test/")]).send().await;
    assert_eq!(to.header("location"), Some("/"));
    let data = door.post("/_auth/logout").header("Accept", "application/json").send().await;
    assert_eq!((data.status, data.body.len()), (204, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_same_site_navigation_signs_out_by_get() {
    let (_upstream, door) = start().await;
    let session = door.session(&fresh("maya")).await;
    let get = |site: &str, mode: &str| {
        door.get("/_auth/logout").header("Sec-Fetch-Site", site).header("Sec-Fetch-Mode", mode).cookie(COOKIE, &session)
    };
    for ask in [
        get("cross-site", "navigate"),
        get("same-origin", "no-cors"),
        door.get("/_auth/logout").cookie(COOKIE, &session),
    ] {
        assert_eq!(ask.send().await.status, 403);
    }
    let foreign =
        door.post("/_auth/logout").header("Origin", "https://evil.test").cookie(COOKIE, &session).send().await;
    assert_eq!(foreign.code(), "origin_not_allowed");
    assert_eq!(door.get("/").cookie(COOKIE, &session).send().await.status, 200, "still signed in");
    assert_eq!(get("same-origin", "navigate").header("Sec-Purpose", "prefetch").send().await.status, 400);
    assert_eq!(door.get("/").cookie(COOKIE, &session).send().await.status, 200, "nor by a prefetch");
    assert_eq!(get("same-origin", "navigate").send().await.status, 200, "a page says so");
    assert_eq!(door.get("/").cookie(COOKIE, &session).send().await.code(), "revoked");
    let referred = door.get("/_auth/logout").header("Referer", "http://portal.test/x").send().await;
    assert_eq!(referred.status, 303, "browsers that only say where the link was");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_too_large_for_a_cookie_is_refused_and_the_token_kept() {
    let (_upstream, door) = start().await;
    let token = ACME.with(json!({ "userRoles": vec!["r".repeat(120); 40] }));
    let answer = door.exchange(&token).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "payload_too_large"));
    assert_eq!(door.get("/").bearer(&token).send().await.status, 200, "as a bearer it fits");
    assert_eq!(door.exchange(&token).await.code(), "payload_too_large", "not spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_paths_of_the_exchange_are_configurable() {
    let upstream = Upstream::start().await;
    let exchange = "[exchange]\npaths = [\"/access/jwt\"]\ntoken_params = [\"ssoToken\"]\nreturn_params = [\"rd\", \"redirect\"]\n";
    let door = Door::start(&format!("{exchange}{}", config(&upstream))).await;
    let answer = door.get(&format!("/access/jwt?ssoToken={}&redirect=/a", fresh("maya"))).navigating().send().await;
    assert_eq!((answer.status, answer.header("location")), (303, Some("/a")));
    assert_eq!(door.get(&format!("/_auth/exchange?token={}", fresh("maya"))).send().await.code(), "bad_request");
    let maya = answer.cookie(COOKIE).unwrap();
    let page = door
        .get(&format!("/access/jwt?ssoToken={}&rd=/b", fresh("tom")))
        .navigating()
        .cookie(COOKIE, &maya)
        .send()
        .await;
    assert!(page.text().contains("name=\"ssoToken\"") && page.text().contains("name=\"rd\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_click_is_no_second_exchange() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    let token = fresh("maya");
    let attempt = "an-attempt-of-sixteen-bytes";
    let click = |token: &str, attempt: &str| {
        let fields = [("token", token), ("return_to", "/a"), ("attempt", attempt)];
        door.post("/_auth/exchange").header("Origin", "https://app.acme.example").form(&fields).send()
    };
    let first = click(&token, attempt).await;
    let second = click(&token, attempt).await;
    for answer in [&first, &second] {
        assert_eq!((answer.status, answer.header("location")), (303, Some("/a")));
        let session = answer.cookie(COOKIE).expect("the browser may have dropped the other");
        assert_eq!(door.get("/").cookie(COOKIE, &session).send().await.status, 200);
    }
    // One session: who signs out of it is out.
    door.post("/_auth/logout").cookie(COOKIE, &first.cookie(COOKIE).unwrap()).send().await;
    assert_eq!(door.get("/").cookie(COOKIE, &second.cookie(COOKIE).unwrap()).send().await.code(), "revoked");
    assert_eq!(click(&token, attempt).await.code(), "token_spent", "nor is it there again");

    // The token alone, another attempt, none to speak of, by bearer, or later: spent.
    let token = fresh("maya");
    assert_eq!(click(&token, attempt).await.status, 303);
    for other in ["another-attempt-of-16-bytes", "short", "", &"long".repeat(20)] {
        assert_eq!(click(&token, other).await.code(), "token_spent", "{other}");
    }
    assert_eq!(door.exchange(&token).await.code(), "token_spent");
    let json = serde_json::json!({ "token": token, "attempt": attempt });
    assert_eq!(door.post("/_auth/exchange").json(&json).send().await.code(), "token_spent");
    door.clock.advance(31);
    assert_eq!(click(&token, attempt).await.code(), "token_spent");
    // An attempt that was too late makes nothing of it.
    let token = fresh("maya");
    assert_eq!(door.exchange(&token).await.status, 200);
    for _ in 0..2 {
        assert_eq!(click(&token, attempt).await.code(), "token_spent");
    }
}
