//! What ends before its time: a user's or everyone's sessions and tokens, by the tenant or by an operator.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, Client, Door, Issuer, NOW, Upstream, config, one_tenant};

const ACME: Issuer = Issuer::ACME;
const GLOBEX: Issuer = Issuer::GLOBEX;
const COOKIE: &str = "__Host-vestibule";

/// An order of a tenant's: `revoke` and what else is to be said.
fn order(issuer: &Issuer, user: &str, revoke: Value, at: i64) -> String {
    let mut claims = issuer.claims(user);
    claims["revoke"] = revoke;
    (claims["iat"], claims["exp"]) = (json!(at), json!(at + 60));
    issuer.sign(&claims)
}

fn token_at(user: &str, at: i64) -> String {
    let mut claims = ACME.claims(user);
    (claims["iat"], claims["exp"]) = (json!(at), json!(at + 600));
    ACME.sign(&claims)
}

async fn door() -> (Upstream, Door) {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream)).await;
    (upstream, door)
}

async fn by_cookie(door: &Door, cookie: &str) -> Answer {
    door.get("/").cookie(COOKIE, cookie).send().await
}

async fn by_bearer(door: &Door, token: &str) -> u16 {
    door.get("/").bearer(token).send().await.status
}

#[tokio::test]
async fn a_tenant_ends_what_a_user_was_issued_up_to_now() {
    let (upstream, door) = door().await;
    let (bearer, unused) = (ACME.token("maya"), token_at("maya", NOW.0 - 5));
    let sessions = [door.session(&ACME.token("maya")).await, door.session(&token_at("maya", NOW.0 - 1)).await];
    let noah = door.session(&ACME.token("noah")).await;
    // Verified before, so that the cache is what has to notice.
    assert_eq!(by_bearer(&door, &bearer).await, 200);
    let mut open = Client::connect(door.address).await;
    assert_eq!(door.get("/").cookie(COOKIE, &sessions[0]).send_over(&mut open).await.status, 200);

    let answer = door.post("/_auth/revoke").bearer(order(&ACME, "maya", json!("user"), NOW.0)).send().await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));

    let passed = upstream.seen().len();
    assert_eq!(door.get("/").cookie(COOKIE, &sessions[0]).send_over(&mut open).await.code(), "revoked");
    let refused = by_cookie(&door, &sessions[1]).await;
    assert_eq!((refused.status, refused.code().as_str()), (401, "revoked"));
    assert!(refused.header("set-cookie").unwrap().contains("Max-Age=0"), "the dead cookie is cleared");
    for token in [&bearer, &unused] {
        let answer = door.get("/").bearer(token).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "revoked"));
        assert_eq!(door.exchange(token).await.code(), "revoked");
    }
    assert_eq!(upstream.seen().len(), passed);

    assert_eq!(by_cookie(&door, &noah).await.status, 200, "others go on");
    let namesake = door.get("/").host("globex.test").bearer(GLOBEX.token("maya")).send().await;
    assert_eq!(namesake.status, 200, "so does who has the same name at another tenant");
    door.clock.advance(1);
    let later = token_at("maya", NOW.0 + 1);
    assert_eq!(by_bearer(&door, &later).await, 200, "what is issued later counts");
    assert_eq!(by_cookie(&door, &door.session(&later).await).await.status, 200);
}

/// Each way of ending what maya has.
async fn end(door: &Door, way: usize) {
    let now = NOW.0;
    let everyone = json!("everyone");
    let ordered = |order: String| door.post("/_auth/revoke").bearer(order).send();
    let posted =
        |order: Value| Ask::new(door.admin().unwrap(), "POST", "/revocations", "localhost").json(&order).send();
    let answer = match way {
        0 => ordered(order(&ACME, "maya", json!("user"), now)).await,
        1 => ordered(order(&ACME, "maya", json!("user"), now - 20)).await,
        2 => ordered(order(&ACME, "maya", json!("user"), now + 20)).await,
        3 => ordered(order(&ACME, "maya", everyone, now)).await,
        4 => ordered(order(&ACME, "maya", everyone, now - 20)).await,
        5 => posted(json!({ "tenant": "acme", "user": "maya" })).await,
        _ => posted(json!({ "tenant": "acme", "everyone": true })).await,
    };
    assert_eq!(answer.status, 204, "way {way}");
}

#[tokio::test]
async fn what_a_clock_ahead_issued_before_an_order_ends_with_it() {
    for (way, ahead) in (0..7).zip([29, 30, 29, 1, 15, 29, 30]) {
        let upstream = Upstream::start().await;
        let door = Door::start(&format!("{WITH_ADMIN}{}", config(&upstream))).await;
        let (token, bearer, unseen) =
            (token_at("maya", NOW.0 + ahead), token_at("maya", NOW.0 + ahead - 1), token_at("maya", NOW.0 + 28));
        let session = door.session(&token).await;
        assert_eq!(by_bearer(&door, &bearer).await, 200);
        end(&door, way).await;
        for passed in [0, 1, 28, 2, 60, 500] {
            door.clock.advance(passed);
            assert_eq!(by_cookie(&door, &session).await.code(), "revoked", "way {way}, {ahead} s ahead");
            for token in [&token, &bearer] {
                assert_eq!(door.get("/").bearer(token).send().await.code(), "revoked", "way {way}, {ahead} s ahead");
                assert_eq!(door.exchange(token).await.code(), "revoked");
            }
            if ahead > 20 {
                // Presented first after the order, while it is from the future still: it may have been there.
                assert_eq!(by_bearer(&door, &unseen).await, 401, "way {way}");
            }
        }
    }
}

#[tokio::test]
async fn after_an_order_people_sign_in_again() {
    for way in 0..7 {
        let upstream = Upstream::start().await;
        let door = Door::start(&format!("{WITH_ADMIN}{}", config(&upstream))).await;
        let ended = door.session(&token_at("maya", NOW.0 + 20)).await;
        end(&door, way).await;
        door.clock.advance(1);
        // By the clock that was ahead by twenty seconds before.
        let again = door.session(&token_at("maya", NOW.0 + 21)).await;
        assert_eq!(by_cookie(&door, &again).await.status, 200, "way {way}");
        if way != 2 {
            let right = door.session(&token_at("maya", NOW.0 + 1)).await;
            assert_eq!(by_cookie(&door, &right).await.status, 200, "a clock that is right, way {way}");
        }
        assert_eq!(by_cookie(&door, &ended).await.code(), "revoked");
        door.clock.advance(40);
        assert_eq!(by_cookie(&door, &again).await.status, 200);
        // One that nobody knew to be ahead signs in again within the leeway.
        assert_eq!(by_bearer(&door, &token_at("maya", NOW.0 + 41 + 29)).await, 200);
    }
}

#[tokio::test]
async fn an_order_that_is_sent_again_ends_nothing_that_was_issued_since() {
    for ahead in [-20, 0, 20] {
        let (_upstream, door) = door().await;
        let order = order(&ACME, "maya", json!("user"), NOW.0 + ahead);
        assert_eq!(door.post("/_auth/revoke").bearer(&order).send().await.status, 204);
        door.clock.advance(1);
        let again = door.session(&token_at("maya", NOW.0 + 1 + ahead.max(0))).await;
        for _ in 0..4 {
            door.clock.advance(5);
            assert_eq!(door.post("/_auth/revoke").bearer(&order).send().await.status, 204);
            assert_eq!(by_cookie(&door, &again).await.status, 200, "{ahead}");
        }
    }
}

#[tokio::test]
async fn an_order_of_a_clock_ahead_reaches_as_far_as_that_clock() {
    let (_upstream, door) = door().await;
    let before = door.session(&token_at("maya", NOW.0 + 15)).await;
    let order = order(&ACME, "maya", json!("user"), NOW.0 + 20);
    assert_eq!(door.post("/_auth/revoke").bearer(order).send().await.status, 204);
    assert_eq!(by_cookie(&door, &before).await.code(), "revoked", "issued before the order, by the same clock");
    door.clock.advance(21);
    assert_eq!(by_bearer(&door, &token_at("maya", NOW.0 + 21)).await, 200);
}

#[tokio::test]
async fn orders_find_room_in_a_ledger_that_is_full_of_sign_outs() {
    let upstream = Upstream::start().await;
    let full = config(&upstream).replace("memory = true", "memory = true\nmax_entries = 3");
    let door = Door::start(&format!("{WITH_ADMIN}{full}")).await;
    let maya = door.session(&ACME.token("maya")).await;
    let noah = door.session(&ACME.token("noah")).await;
    let ines = door.session(&ACME.token("ines")).await;
    let leave =
        |cookie: &str| door.post("/_auth/logout").cookie(COOKIE, cookie).header("Accept", "application/json").send();
    for cookie in [&maya, &noah, &ines] {
        assert_eq!(leave(cookie).await.status, 204);
    }
    let order = json!({ "tenant": "acme", "user": "kim" });
    let post = Ask::new(door.admin().unwrap(), "POST", "/revocations", "localhost").json(&order);
    assert_eq!(post.send().await.status, 204);
    assert_eq!(by_bearer(&door, &ACME.token("kim")).await, 401);
}

#[tokio::test]
async fn a_tenant_ends_everyones_and_nobody_elses() {
    let (_upstream, door) = door().await;
    let (maya, noah) = (door.session(&ACME.token("maya")).await, door.session(&ACME.token("noah")).await);
    let globex = GLOBEX.token("maya");
    let without_user = json!({ "tenantId": "acme", "revoke": "everyone", "iat": NOW.0, "exp": NOW.0 + 60 });
    assert_eq!(door.post("/_auth/revoke").bearer(ACME.sign(&without_user)).send().await.status, 204);
    for cookie in [&maya, &noah] {
        assert_eq!(by_cookie(&door, cookie).await.code(), "revoked");
    }
    assert_eq!(by_bearer(&door, &ACME.token("ines")).await, 401);
    assert_eq!(door.get("/").host("globex.test").bearer(globex).send().await.status, 200);
}

#[tokio::test]
async fn an_order_counts_once_and_only_there() {
    let (upstream, door) = door().await;
    let revoke = order(&ACME, "maya", json!("user"), NOW.0);
    assert_eq!(door.get("/").bearer(&revoke).send().await.code(), "token_invalid");
    assert_eq!(door.exchange(&revoke).await.code(), "token_invalid");
    assert_eq!(upstream.seen().len(), 0);
    assert_eq!(door.post("/_auth/revoke").bearer(&revoke).send().await.status, 204);
    door.clock.advance(10);
    let session = door.session(&token_at("maya", NOW.0 + 10)).await;
    assert_eq!(door.post("/_auth/revoke").bearer(&revoke).send().await.status, 204);
    assert_eq!(by_cookie(&door, &session).await.status, 200, "sent again by whoever saw it, it ends nothing newer");
}

#[tokio::test]
async fn what_is_no_order_of_the_tenants_revokes_nothing() {
    let (_upstream, door) = door().await;
    let session = door.session(&ACME.token("maya")).await;
    let forged = Issuer { tenant: "acme", ..GLOBEX };
    let nobody = ACME.with(json!({ "revoke": "user", "userId": null }));
    let table = [
        (ACME.token("maya"), 401, "token_invalid"),
        (order(&ACME, "maya", json!("all"), NOW.0), 401, "token_invalid"),
        (order(&ACME, "maya", json!(true), NOW.0), 401, "token_invalid"),
        (order(&ACME, "maya", json!(null), NOW.0), 401, "token_invalid"),
        (order(&forged, "maya", json!("everyone"), NOW.0), 401, "token_invalid"),
        (order(&GLOBEX, "maya", json!("everyone"), NOW.0), 403, "tenant_mismatch"),
        (order(&ACME, "maya", json!("user"), NOW.0 - 4_000), 401, "token_expired"),
        (order(&ACME, "maya", json!("user"), NOW.0 + 600), 401, "token_invalid"),
        (nobody, 401, "token_invalid"),
    ];
    for (number, (token, status, code)) in table.into_iter().enumerate() {
        let answer = door.post("/_auth/revoke").bearer(token).send().await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "row {number}");
    }
    assert_eq!(door.post("/_auth/revoke").send().await.code(), "token_missing");
    assert_eq!(door.post("/_auth/revoke").cookie(COOKIE, &session).send().await.code(), "token_missing");
    let read = door.get("/_auth/revoke").bearer(order(&ACME, "maya", json!("user"), NOW.0)).send().await;
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
    assert_eq!(by_cookie(&door, &session).await.status, 200);
}

#[tokio::test]
async fn a_role_that_was_lost_is_lost_under_the_old_cookie_too() {
    let (_upstream, door) = door().await;
    let admin = ACME.with(json!({ "userRoles": ["agent", "admin"] }));
    let old = door.session(&admin).await;
    assert_eq!(door.get("/staff").cookie(COOKIE, &old).send().await.status, 200);
    let exchange = |token: String, cookie: &str| door.post("/_auth/exchange").bearer(token).cookie(COOKIE, cookie);
    let fewer = exchange(ACME.with(json!({ "userRoles": ["agent"], "plan": "free" })), &old).send().await;
    let new = fewer.cookie(COOKIE).unwrap();
    assert_eq!(fewer.json()["user"]["plan"], "free");
    assert_eq!(door.get("/staff").cookie(COOKIE, &new).send().await.code(), "role_required");
    let dead = door.get("/staff").cookie(COOKIE, &old).send().await;
    assert_eq!((dead.code().as_str(), dead.header("set-cookie")), ("revoked", None), "the browser holds the new one");
    // More roles, or other words about the user: requests on their way with the old cookie are answered.
    let more = exchange(ACME.with(json!({ "plan": "gold" })), &new).send().await.cookie(COOKIE).unwrap();
    assert_eq!(door.get("/").cookie(COOKIE, &new).send().await.status, 200);
    assert_eq!(door.get("/").cookie(COOKIE, &more).send().await.status, 200);
}

const WITH_ADMIN: &str = "[listen]\nadmin = \"127.0.0.1:0\"\n";

#[tokio::test]
async fn an_operator_ends_a_user_a_session_or_everyone() {
    let upstream = Upstream::start().await;
    let door = Door::start(&format!("{WITH_ADMIN}{}", config(&upstream))).await;
    let admin = door.admin().unwrap();
    let post = |order: Value| Ask::new(admin, "POST", "/revocations", "localhost").json(&order).send();
    let noah = door.session(&ACME.token("noah")).await;
    let maya = door.session(&ACME.token("maya")).await;

    assert_eq!(post(json!({ "tenant": "acme", "user": "maya" })).await.status, 204);
    assert_eq!((by_cookie(&door, &maya).await.status, by_cookie(&door, &noah).await.status), (401, 200));
    let metrics = Ask::new(admin, "GET", "/metrics", "localhost").send().await;
    assert!(metrics.text().contains("vestibule_ledger_revocations 1\n"), "{}", metrics.text());
    assert!(metrics.text().contains("vestibule_ledger_state{state=\"sound\"} 1\n"), "{}", metrics.text());
    assert_eq!(post(json!({ "tenant": "acme", "everyone": true })).await.status, 204);
    assert_eq!(by_cookie(&door, &noah).await.code(), "revoked");

    for (order, status, said) in [
        (json!({ "tenant": "acme" }), 400, "say one of"),
        (json!({ "tenant": "acme", "user": "" }), 400, "user is empty; send an id"),
        (json!({ "tenant": "acme", "user": " maya" }), 400, "user has white space around it; remove"),
        (json!({ "tenant": "acme", "user": "a", "everyone": true }), 400, "say one of"),
        (json!({ "tenant": "acme", "session": "short" }), 400, "copy it from the log"),
        (json!({ "tenant": "acme", "usr": "maya" }), 400, "unknown field `usr`"),
        (json!({ "tenant": "nobody", "everyone": true }), 404, "no such tenant"),
    ] {
        let answer = post(order).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(said), "{}", answer.text());
    }
    let ask = || Ask::new(admin, "POST", "/revocations", "localhost");
    let page = ask().json(&json!({ "tenant": "acme", "everyone": true })).header("Origin", "http://evil.example");
    assert_eq!(page.send().await.status, 403, "no page in the operator's browser signs anyone out");
    let form = ask().form(&[("tenant", "acme"), ("everyone", "true")]);
    assert_eq!(form.send().await.status, 400);
    let long = ask().json(&json!({ "tenant": "acme", "user": "x".repeat(5_000) }));
    assert_eq!(long.send().await.status, 413);
    let read = Ask::new(admin, "GET", "/revocations", "localhost").send().await;
    assert_eq!((read.status, read.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn with_a_token_only_health_is_told_without_it() {
    let upstream = Upstream::start().await;
    let listen = "[listen]\nadmin = \"0.0.0.0:0\"\nadmin_token = { env = \"ADMIN\" }\n";
    let door = Door::start(&format!("{listen}{}", config(&upstream))).await;
    let admin = std::net::SocketAddr::from(([127, 0, 0, 1], door.admin().unwrap().port()));
    let get = |path: &'static str| Ask::new(admin, "GET", path, "localhost");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(get(path).send().await.status, 200);
    }
    let right = crate::support::Secrets::find("ADMIN").unwrap();
    for wrong in ["", "x", &right[..right.len() - 1], &format!("{right}x")] {
        let answer = get("/metrics").bearer(wrong).send().await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, Some("Bearer")));
    }
    assert_eq!(get("/metrics").send().await.status, 401);
    assert_eq!(get("/metrics").bearer(&right).bearer(&right).send().await.status, 401);
    assert_eq!(get("/metrics").bearer(&right).send().await.status, 200);
    let order = json!({ "tenant": "acme", "everyone": true });
    let post = || Ask::new(admin, "POST", "/revocations", "localhost").json(&order);
    assert_eq!((post().send().await.status, post().bearer(&right).send().await.status), (401, 204));
}

#[tokio::test]
async fn revocations_are_forgotten_when_nothing_is_left_to_cover() {
    let upstream = Upstream::start().await;
    let listen = "[listen]\nadmin = \"127.0.0.1:0\"\n";
    let door =
        Door::start(&format!("{listen}{}", one_tenant(&upstream.address.to_string(), "acme", "gateway", ""))).await;
    let session = door.session(&ACME.token("maya")).await;
    let order = order(&ACME, "maya", json!("user"), NOW.0);
    assert_eq!(door.post("/_auth/revoke").bearer(order).send().await.status, 204);
    // A second before the session would have ended anyway it is still the revocation that ends it.
    door.clock.advance(12 * 3_600 - 1);
    assert_eq!(by_cookie(&door, &session).await.code(), "revoked");
    door.clock.advance(1);
    assert_eq!(by_cookie(&door, &session).await.code(), "session_expired");
}
