//! A ledger with little room: no tenant and no user takes another's, a sign-out that finds none ends all that the user has, and what
//! is refused costs nothing.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, Door, Issuer, NOW, Upstream, config};

const ACME: Issuer = Issuer::ACME;
const GLOBEX: Issuer = Issuer::GLOBEX;
const COOKIE: &str = "__Host-vestibule";

/// A door whose ledger is a file, in which tokens take no room, with so many entries.
async fn door(most: usize, of_acme: &str) -> (Upstream, Door, tempfile::TempDir) {
    let (upstream, folder) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let door = Door::start(&file(&upstream, &folder, most, of_acme)).await;
    (upstream, door, folder)
}

fn file(upstream: &Upstream, folder: &tempfile::TempDir, most: usize, of_acme: &str) -> String {
    let ledger = format!("path = {:?}\nmax_entries = {most}", folder.path().join("ledger.redb"));
    let config = config(upstream).replace("memory = true", &ledger);
    let config = config.replace("[tenants.acme]", &format!("[tenants.acme]\n{of_acme}"));
    format!("[listen]\nadmin = \"127.0.0.1:0\"\n{config}")
}

fn host(issuer: &Issuer) -> &'static str {
    if issuer.tenant == GLOBEX.tenant { "globex.test" } else { "portal.test" }
}

async fn sign_in(door: &Door, issuer: &Issuer, token: &str) -> String {
    let answer = door.post("/_auth/exchange").host(host(issuer)).bearer(token).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.cookie(COOKIE).unwrap()
}

async fn sign_out(door: &Door, issuer: &Issuer, cookie: &str) -> Answer {
    let ask = door.post("/_auth/logout").host(host(issuer)).cookie(COOKIE, cookie);
    ask.header("Accept", "application/json").send().await
}

async fn who(door: &Door, issuer: &Issuer, cookie: &str) -> u16 {
    door.get("/").host(host(issuer)).cookie(COOKIE, cookie).send().await.status
}

fn token_at(issuer: &Issuer, user: &str, at: i64) -> String {
    let mut claims = issuer.claims(user);
    (claims["iat"], claims["exp"]) = (json!(NOW.0 + at), json!(NOW.0 + at + 600));
    issuer.sign(&claims)
}

/// Signs in and out, so many seconds after the beginning.
async fn comes_and_goes(door: &Door, issuer: &Issuer, user: &str, at: i64) {
    let session = sign_in(door, issuer, &token_at(issuer, user, at)).await;
    assert_eq!(sign_out(door, issuer, &session).await.status, 204, "{user}");
    assert_eq!(who(door, issuer, &session).await, 401, "{user}");
}

async fn order(door: &Door, order: &Value) -> Answer {
    Ask::new(door.admin().unwrap(), "POST", "/revocations", "localhost").json(order).send().await
}

fn signed(user: &str) -> String {
    ACME.with(json!({ "revoke": "user", "userId": user }))
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_for_nobody_keep_nobody_from_signing_out() {
    let (upstream, door, folder) = door(200, "").await;
    let mut refused = 0;
    for number in 0..200 {
        let answer = if number % 2 == 0 {
            door.post("/_auth/revoke").bearer(signed(&format!("nobody-{number}"))).send().await
        } else {
            order(&door, &json!({ "tenant": "acme", "user": format!("nobody-{number}") })).await
        };
        refused += usize::from(answer.status == 503);
        assert!(matches!(answer.status, 204 | 503), "{}", answer.text());
    }
    // A quarter of two hundred for two tenants.
    assert_eq!(refused, 200 - 25);
    for (issuer, user) in [(ACME, "maya"), (GLOBEX, "ines")] {
        comes_and_goes(&door, &issuer, user, 0).await;
    }
    let other = door.post("/_auth/revoke").host("globex.test").bearer(GLOBEX.with(json!({ "revoke": "user" })));
    assert_eq!(other.send().await.status, 204, "another tenant orders");
    let told = order(&door, &json!({ "tenant": "acme", "user": "one-more" })).await;
    assert!(told.text().starts_with("not revoked: the tenant's share"), "{}", told.text());
    let again = order(&door, &json!({ "tenant": "acme", "user": "nobody-1" })).await;
    assert_eq!(again.status, 204, "the same again takes no place");
    // After a restart it is known whose all that is.
    door.stop().await;
    let door = Door::start(&file(&upstream, &folder, 200, "")).await;
    assert_eq!(order(&door, &json!({ "tenant": "acme", "user": "one-more" })).await.status, 503);
    let session = sign_in(&door, &ACME, &ACME.token("noah")).await;
    assert_eq!(
        order(&door, &json!({ "tenant": "acme", "everyone": true })).await.status,
        204,
        "for that there is room"
    );
    assert_eq!(who(&door, &ACME, &session).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_comes_and_goes_takes_one_place_in_the_end() {
    let (upstream, door, folder) = door(20, "single_use = false").await;
    for second in 0..60 {
        comes_and_goes(&door, &ACME, "maya", second).await;
        door.clock.advance(1);
    }
    let metrics = Ask::new(door.admin().unwrap(), "GET", "/metrics", "localhost").send().await;
    assert!(metrics.text().contains("vestibule_ledger_revocations 21\n"), "{}", metrics.text());
    for (issuer, user) in [(ACME, "noah"), (GLOBEX, "ines"), (GLOBEX, "maya")] {
        comes_and_goes(&door, &issuer, user, 60).await;
    }
    // What stands for a session that found no place is all that the user had up to then, and nothing later.
    let token = |user: &str, at: i64| token_at(&ACME, user, at);
    let (one, other) = (token("liam", 58), token("liam", 59));
    let (one, other) = (sign_in(&door, &ACME, &one).await, sign_in(&door, &ACME, &other).await);
    assert_eq!(sign_out(&door, &ACME, &one).await.status, 204);
    assert_eq!((who(&door, &ACME, &one).await, who(&door, &ACME, &other).await), (401, 401));
    door.clock.advance(1);
    let later = sign_in(&door, &ACME, &token("liam", 61)).await;
    assert_eq!(who(&door, &ACME, &later).await, 200);
    door.stop().await;
    let door = Door::start(&file(&upstream, &folder, 20, "single_use = false")).await;
    door.clock.advance(61);
    assert_eq!((who(&door, &ACME, &other).await, who(&door, &ACME, &later).await), (401, 200), "after a restart too");
    comes_and_goes(&door, &GLOBEX, "kim", 61).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_comes_and_goes_keeps_nobody_of_the_tenant_from_signing_out() {
    let (upstream, door, folder) = door(1_000, "single_use = false").await;
    for second in 0..1_001 {
        let session = sign_in(&door, &ACME, &token_at(&ACME, "maya", second)).await;
        assert_eq!(sign_out(&door, &ACME, &session).await.status, 204, "{second}");
        door.clock.advance(1);
    }
    let has = async |door: &Door, count: usize| {
        let metrics = Ask::new(door.admin().unwrap(), "GET", "/metrics", "localhost").send().await;
        assert!(
            metrics.text().contains(&format!("vestibule_ledger_revocations {count}\n")),
            "{count}: {}",
            metrics.text()
        );
    };
    has(&door, 64 + 1).await;
    for (issuer, users) in [(ACME, 300), (GLOBEX, 400)] {
        for user in 0..users {
            comes_and_goes(&door, &issuer, &format!("user-{user}"), 1_001).await;
        }
    }
    // One for each session: nobody else's are merged.
    has(&door, 64 + 1 + 300 + 400).await;
    // After a restart it is known whose they are.
    door.stop().await;
    let door = Door::start(&file(&upstream, &folder, 1_000, "single_use = false")).await;
    door.clock.advance(1_002);
    comes_and_goes(&door, &ACME, "maya", 1_002).await;
    has(&door, 64 + 1 + 300 + 400).await;
    comes_and_goes(&door, &ACME, "user-1", 1_002).await;
    has(&door, 64 + 1 + 300 + 400 + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_tokens_leave_room_for_anothers() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream).replace("memory = true", "memory = true\nmax_entries = 40")).await;
    let exchange = |issuer: &Issuer, number: usize| {
        let token = issuer.with(json!({ "jti": number.to_string() }));
        door.post("/_auth/exchange").host(host(issuer)).bearer(token).send()
    };
    for number in 0..40 {
        assert_eq!(exchange(&ACME, number).await.status, 200);
    }
    assert_eq!(exchange(&ACME, 40).await.code(), "ledger_unavailable");
    for number in 0..10 {
        assert_eq!(exchange(&GLOBEX, number).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_is_refused_costs_neither_token_nor_session() {
    let (_upstream, door, _folder) = door(1, "on_switch = \"replace\"").await;
    let maya = sign_in(&door, &ACME, &ACME.token("maya")).await;
    // One session, and sixteen users.
    for number in 0..17 {
        comes_and_goes(&door, &ACME, &format!("user-{number}"), 0).await;
    }
    let token = ACME.token("noah");
    let switch = || door.post("/_auth/exchange").bearer(&token).cookie(COOKIE, &maya).send();
    for _ in 0..2 {
        let refused = switch().await;
        assert_eq!((refused.status, refused.code().as_str()), (503, "ledger_unavailable"));
        assert_eq!(refused.header("set-cookie"), None);
        assert_eq!(who(&door, &ACME, &maya).await, 200, "nobody is signed out");
    }
    let noah = sign_in(&door, &ACME, &token).await;
    assert_eq!(who(&door, &ACME, &noah).await, 200, "the token was not spent");
    assert_eq!(door.exchange(&token).await.code(), "token_spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_in_a_full_ledger_ends_what_the_other_user_had_up_to_then() {
    let (_upstream, door, _folder) = door(1, "on_switch = \"replace\"").await;
    comes_and_goes(&door, &ACME, "somebody", 0).await;
    let maya = sign_in(&door, &ACME, &ACME.token("maya")).await;
    door.clock.advance(5);
    let answer = door.post("/_auth/exchange").bearer(ACME.token("noah")).cookie(COOKIE, &maya).send().await;
    let noah = answer.cookie(COOKIE).unwrap();
    assert_eq!((who(&door, &ACME, &maya).await, who(&door, &ACME, &noah).await), (401, 200));
    // The same user with a role less: the old session ends and the new one does not.
    door.clock.advance(5);
    let roles = |roles: Value| ACME.with(json!({ "userRoles": roles, "iat": NOW.0 + 10, "exp": NOW.0 + 600 }));
    let more = sign_in(&door, &ACME, &roles(json!(["agent", "admin"]))).await;
    door.clock.advance(1);
    let fewer = ACME.with(json!({ "userRoles": ["agent"], "iat": NOW.0 + 11, "exp": NOW.0 + 600 }));
    let answer = door.post("/_auth/exchange").bearer(&fewer).cookie(COOKIE, &more).send().await;
    let fewer = answer.cookie(COOKIE).unwrap();
    assert_eq!((who(&door, &ACME, &more).await, who(&door, &ACME, &fewer).await), (401, 200));
}
