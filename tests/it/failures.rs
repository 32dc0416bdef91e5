//! The failure limit: what counts against whose network, by every carrier of a token; and that no page can spend it for its visitor.

use serde_json::json;

use crate::support::{Answer, Ask, Door, Issuer, NOW, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const GLOBEX: Issuer = Issuer::GLOBEX;
const CUSTOMER: &str = "https://app.acme.example";

/// Three failures a minute; `listen` is more of that section.
async fn door(listen: &str) -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nfailures = { count = 3, per = \"1m\" }\n";
    let door = Door::start(&format!("[listen]\n{listen}\n{limits}{}", config(&upstream))).await;
    (upstream, door)
}

fn forged(issuer: &Issuer) -> String {
    Issuer { secret: "not-the-secret-0123456789abcdef012345", ..issuer.clone() }.token("mallory")
}

/// How a token is carried.
type Carrier = fn(&Door, &str) -> Ask;

fn bearer(door: &Door, token: &str) -> Ask {
    door.get("/tickets").bearer(token)
}

fn parameter(door: &Door, token: &str) -> Ask {
    door.get(&format!("/handed?access_token={token}"))
}

fn subprotocol(door: &Door, token: &str) -> Ask {
    door.get("/chat")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Protocol", format!("chat, bearer.{token}"))
}

fn session(door: &Door, token: &str) -> Ask {
    door.get("/_auth/session").bearer(token)
}

fn exchange(door: &Door, token: &str) -> Ask {
    door.post("/_auth/exchange").bearer(token)
}

fn form(door: &Door, token: &str) -> Ask {
    door.post("/_auth/exchange").form(&[("token", token)])
}

fn body(door: &Door, token: &str) -> Ask {
    door.post("/_auth/exchange").json(&json!({ "token": token }))
}

fn revocation(door: &Door, token: &str) -> Ask {
    door.post("/_auth/revoke").bearer(token)
}

fn link(door: &Door, token: &str) -> Ask {
    door.get(&format!("/_auth/exchange?token={token}"))
}

fn page(door: &Door, token: &str) -> Ask {
    door.get(&format!("/handed?token={token}"))
}

/// Those of scripts, servers and forms; and links.
const CARRIERS: [(&str, Carrier); 8] = [
    ("bearer", bearer),
    ("parameter", parameter),
    ("subprotocol", subprotocol),
    ("session", session),
    ("exchange", exchange),
    ("form", form),
    ("body", body),
    ("revocation", revocation),
];
const LINKS: [(&str, Carrier); 2] = [("link", link), ("page", page)];

async fn is_limited(door: &Door, issuer: &Issuer, host: &str) -> bool {
    let fresh = issuer.with(json!({ "jti": format!("{:?}", std::time::Instant::now()) }));
    let answer = door.get("/tickets").host(host).bearer(fresh).send().await;
    assert!([200, 429].contains(&answer.status), "{}", answer.text());
    answer.status == 429
}

fn with(ask: Ask, lines: &[(&str, &str)]) -> Ask {
    lines.iter().fold(ask, |ask, (name, value)| ask.header(name, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_token_counts_by_every_carrier_from_known_pages_and_from_none() {
    let known: [&[(&str, &str)]; 9] = [
        &[],
        &[("Origin", CUSTOMER), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "http://portal.test"), ("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Referer", "http://portal.test/tickets?a=b")],
        &[("Referer", "https://app.acme.example/desk")],
        // Who says whose page it is, is believed.
        &[("Referer", "https://evil.test/"), ("Origin", CUSTOMER)],
        &[("Referer", "https://evil.test/"), ("Sec-Fetch-Site", "none")],
    ];
    for (name, carrier) in CARRIERS.into_iter().chain(LINKS) {
        for lines in known {
            let (upstream, door) = door("").await;
            for _ in 0..3 {
                let answer = with(carrier(&door, &forged(&ACME)), lines).send().await;
                assert_eq!(answer.status, 401, "{name} {lines:?} {}", answer.text());
            }
            assert!(is_limited(&door, &ACME, "portal.test").await, "{name} {lines:?}");
            assert_eq!(with(carrier(&door, &forged(&ACME)), lines).send().await.status, 429, "{name}");
            assert!(upstream.seen().is_empty());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_foreign_page_is_refused_unseen_and_counts_for_nothing() {
    let foreign: [&[(&str, &str)]; 8] = [
        &[("Origin", "https://evil.test"), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", "https://evil.test")],
        &[("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
        &[("Origin", CUSTOMER), ("Origin", CUSTOMER)],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "none")],
        &[("Origin", "https://sibling.portal.test"), ("Sec-Fetch-Site", "same-site")],
    ];
    let (upstream, door) = door("").await;
    for (name, carrier) in CARRIERS {
        for lines in foreign {
            for token in [forged(&ACME), ACME.token("maya"), "x.y.z".into(), ACME.with(json!({ "iat": 0, "exp": 1 }))] {
                // What is not shaped like a token is the app's own there.
                if name == "parameter" && token == "x.y.z" {
                    continue;
                }
                let answer = with(carrier(&door, &token), lines).send().await;
                assert_eq!(answer.code(), "origin_not_allowed", "{name} {lines:?}");
            }
        }
    }
    assert!(!is_limited(&door, &ACME, "portal.test").await);
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_referer_of_another_origin_admits_what_it_did_and_its_forgeries_count_for_nothing() {
    let (_upstream, door) = door("").await;
    let foreign: [&[(&str, &str)]; 8] = [
        &[("Referer", "https://evil.test/")],
        &[("Referer", "http://evil.test/page?of=http://portal.test/")],
        &[("Referer", "https://sibling.portal.test/")],
        &[("Referer", "https://portal.test@evil.test/")],
        &[("Referer", "http://portal.test/"), ("Referer", "https://evil.test/")],
        &[("Referer", "http://portal.test/"), ("Referer", "http://portal.test/")],
        &[("Referer", "/tickets")],
        &[("Referer", "about:blank")],
    ];
    for (at, lines) in foreign.into_iter().enumerate() {
        for (name, carrier) in CARRIERS.into_iter().chain(LINKS) {
            for _ in 0..4 {
                let answer = with(carrier(&door, &forged(&ACME)), lines).send().await;
                assert_eq!(answer.code(), "token_invalid", "{name} {lines:?}");
            }
            let good = if name == "revocation" {
                ACME.with(json!({ "revoke": "user", "userId": "nobody" }))
            } else {
                ACME.with(json!({ "jti": format!("{name} {at}") }))
            };
            let answer = with(carrier(&door, &good), lines).send().await;
            assert!([101, 200, 204, 303].contains(&answer.status), "{name} {lines:?} {}", answer.text());
        }
    }
    assert!(!is_limited(&door, &ACME, "portal.test").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_tenant_names_origins_foreign_pages_pass_and_forgeries_of_theirs_count_for_nothing() {
    let (_upstream, door) = door("").await;
    for lines in [&[("Origin", "https://evil.test")][..], &[("Sec-Fetch-Site", "cross-site")]] {
        for (name, carrier) in [("bearer", bearer as Carrier), ("parameter", parameter), ("subprotocol", subprotocol)] {
            for _ in 0..5 {
                let answer = with(carrier(&door, &forged(&GLOBEX)), lines).host("globex.test").send().await;
                assert_eq!(answer.code(), "token_invalid", "{name}");
            }
            let good = with(carrier(&door, &GLOBEX.token("gil")), lines).host("globex.test").send().await;
            assert_eq!(good.status, 200, "{name} {}", good.text());
        }
    }
    for (name, carrier) in [("exchange", exchange as Carrier), ("form", form), ("body", body)] {
        for token in [forged(&GLOBEX), GLOBEX.token("gil")] {
            let ask = carrier(&door, &token).header("Origin", "https://evil.test").host("globex.test");
            assert_eq!(ask.send().await.code(), "origin_not_allowed", "{name}");
        }
    }
    assert!(!is_limited(&door, &GLOBEX, "globex.test").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_of_a_foreign_page_signs_in_and_a_forged_one_counts_for_nothing() {
    let (_upstream, door) = door("").await;
    let navigation = |ask: Ask, site: &str, dest: &str| {
        let ask = ask.header("Sec-Fetch-Mode", "navigate").header("Sec-Fetch-Dest", dest);
        ask.header("Sec-Fetch-Site", site).header("Accept", "text/html")
    };
    for (name, carrier) in LINKS {
        for site in ["cross-site", "same-site"] {
            for dest in ["document", "iframe"] {
                for _ in 0..5 {
                    assert_eq!(navigation(carrier(&door, &forged(&ACME)), site, dest).send().await.status, 401);
                }
            }
            // Nothing but a navigation: refused before anything is verified.
            for dest in ["image", "script", "empty", "style", "embed", "object"] {
                let ask = carrier(&door, &forged(&ACME)).header("Sec-Fetch-Mode", "no-cors");
                let ask = ask.header("Sec-Fetch-Site", site).header("Sec-Fetch-Dest", dest);
                assert_eq!(ask.send().await.code(), "bad_request", "{name} {dest}");
            }
            let read = carrier(&door, &forged(&ACME)).header("Origin", "https://evil.test").send().await;
            assert_eq!(read.code(), "origin_not_allowed", "{name}");
        }
        assert!(!is_limited(&door, &ACME, "portal.test").await, "{name}");
        let good =
            navigation(carrier(&door, &ACME.with(json!({ "jti": name }))), "cross-site", "document").send().await;
        assert_eq!(good.status, 303, "{name} {}", good.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forgeries_count_whatever_they_say_and_expired_tokens_do_not() {
    let claims = ACME.claims("maya").to_string();
    let of_nobody = Issuer { secret: "not-the-secret-0123456789abcdef012345", ..ACME };
    let raw = |header: &str, claims: &str| of_nobody.raw(header, claims);
    let good = r#"{"alg":"HS256"}"#;
    for token in [
        raw(good, &claims),
        raw(good, &claims.replace("\"tenantId\":\"acme\"", "\"tenantId\":\"globex\"")),
        raw(good, &claims.replace("\"tenantId\":\"acme\"", "\"tenantId\":\"absent\"")),
        raw(good, &claims.replace("\"tenantId\":\"acme\",", "")),
        raw(r#"{"alg":"HS256","kid":"unknown"}"#, &claims),
        raw(r#"{"alg":"RS256","kid":"k1"}"#, &claims),
        raw(r#"{"alg":"none"}"#, &claims),
        raw(r#"{"alg":"HS256","crit":["exp"]}"#, &claims),
        raw(good, "[]"),
        "x.y.z".into(),
    ] {
        let (_upstream, door) = door("").await;
        for _ in 0..3 {
            assert_eq!(door.get("/tickets").bearer(&token).send().await.code(), "token_invalid");
        }
        assert!(is_limited(&door, &ACME, "portal.test").await, "{token}");
    }
    let (_upstream, door) = door("").await;
    for changes in [json!({ "iat": 0, "exp": 600 }), json!({ "exp": NOW.0 + 90_000 }), json!({ "revoke": "user" })] {
        for _ in 0..3 {
            assert_eq!(door.get("/tickets").bearer(ACME.with(changes.clone())).send().await.status, 401);
        }
    }
    for _ in 0..3 {
        assert_eq!(door.get("/tickets").bearer(GLOBEX.token("gil")).send().await.code(), "tenant_mismatch");
    }
    assert!(!is_limited(&door, &ACME, "portal.test").await, "signed by a key of a tenant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_fails_from_ever_new_addresses_waits_alone() {
    let (_upstream, door) = door("trusted_proxies = [\"127.0.0.1\"]").await;
    let from = |address: String, token: String| {
        let ask = door.get("/tickets").header("X-Forwarded-For", address).bearer(token);
        async { ask.send().await.code() }
    };
    let code_of = |answer: &Answer| answer.status;
    for subnet in 0..40_u16 {
        for _ in 0..2 {
            from(format!("2001:db8:7:{:x}::1", subnet * 256 + subnet), forged(&ACME)).await;
        }
    }
    let newcomer = |address: &str| {
        let fresh = ACME.with(json!({ "jti": address }));
        door.get("/tickets").header("X-Forwarded-For", address).bearer(fresh).send()
    };
    assert_eq!(code_of(&newcomer("2001:db8:7:ffff::1").await), 429, "the network of the attack");
    for address in ["2001:db8:8::1", "2001:db9::1", "192.0.2.1"] {
        assert_eq!(code_of(&newcomer(address).await), 200, "{address}");
    }
}
