//! Three vendors, each as its widgets send and its customers sign: Node's `jsonwebtoken` and Python's `PyJWT`.

use serde_json::{Value, json};

use crate::support::{Door, Issuer, NOW, Signer, Upstream, minted_by, one_tenant};

const SECRET: &str = Issuer::ACME.secret;

fn config(upstream: &Upstream, dialect: &str, route: &str) -> String {
    one_tenant(&upstream.address.to_string(), "proj_9", dialect, route)
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_sends_a_bearer_on_every_request_and_exchanges_it() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream, "gateway", "")).await;
    let claims = json!({
        "userId": "u-1", "tenantId": "proj_9", "userEmail": "maya@acme.example", "userRoles": ["customer", "vip"], "plan": "pro",
        "iat": NOW.0, "exp": NOW.0 + 3_600,
    });
    for signer in Signer::ALL {
        let token = minted_by(signer, SECRET, &claims);
        assert_eq!(door.get("/api/x").bearer(&token).send().await.status, 200, "{signer:?}");
        assert_eq!(upstream.last().identity(), ("u-1", "proj_9", "customer,vip"));
        assert_eq!(upstream.last().header("x-plan"), Some("pro"));
    }
    let too_long = json!({ "userId": "u-1", "tenantId": "proj_9", "iat": NOW.0, "exp": NOW.0 + 3_700 });
    assert_eq!(door.get("/").bearer(minted_by(Signer::Node, SECRET, &too_long)).send().await.code(), "token_invalid");
    let answer = door.post("/_auth/exchange").bearer(minted_by(Signer::Node, SECRET, &claims)).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["expires_at"], "2026-11-20T12:00:00Z", "12 hours");
    let session = answer.cookie("__Host-vestibule").unwrap();
    assert_eq!(door.get("/").cookie("__Host-vestibule", &session).send().await.status, 200);
    assert_eq!(upstream.last().identity(), ("u-1", "proj_9", "customer,vip"));
}

#[tokio::test(flavor = "multi_thread")]
async fn seggwat_opens_any_page_with_a_token() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream, "seggwat", "handoff_param = \"token\"")).await;
    let claims = |aud: Value| {
        json!({
            "sub": "u-2", "project_key": "proj_9", "aud": aud, "email": "tom@acme.example", "name": "Tom Ø", "roles": ["user"],
            "iat": NOW.0, "exp": NOW.0 + 86_400,
        })
    };
    for (signer, aud) in Signer::ALL.into_iter().zip([json!("proj_9"), json!(["proj_9"])]) {
        let token = minted_by(signer, SECRET, &claims(aud));
        let answer = door.get(&format!("/board?a=1&token={token}&b=%20x")).navigating().send().await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/board?a=1&b=%20x")), "{signer:?}");
        let cookie = answer.headers("set-cookie").next().unwrap();
        assert!(cookie.contains("Max-Age=2592000"), "30 days: {cookie}");
        let session = answer.cookie("sw_bs_proj_9").unwrap();
        assert_eq!(door.get("/board").cookie("sw_bs_proj_9", &session).send().await.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.identity(), ("u-2", "proj_9", "user"));
        assert_eq!((seen.header("x-user-name"), seen.header("cookie")), (Some("Tom %C3%98"), None));
    }
    for aud in [json!("other"), json!(null)] {
        let token = minted_by(Signer::Python, SECRET, &claims(aud));
        assert_eq!(door.get("/").bearer(token).send().await.code(), "token_invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn productlane_opens_its_own_path_and_counts_in_minutes() {
    let upstream = Upstream::start().await;
    let door = Door::start(&config(&upstream, "productlane", "")).await;
    for signer in Signer::ALL {
        let claims = json!({
            "email": "ada@acme.example", "name": "Ada", "imageUrl": "https://cdn.test/a.png", "iat": NOW.0, "tokenValidity": 10,
            "nonce": format!("{signer:?}"),
        });
        let token = minted_by(signer, SECRET, &claims);
        let answer = door.get(&format!("/api/portal/sso?token={token}&return_to=/roadmap")).navigating().send().await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/roadmap")), "{signer:?}");
        let session = answer.cookie("__Host-vestibule").unwrap();
        assert_eq!(door.get("/roadmap").cookie("__Host-vestibule", &session).send().await.status, 200);
        let seen = upstream.last();
        assert_eq!(seen.identity(), ("ada@acme.example", "proj_9", ""));
        assert_eq!((seen.header("x-user-email"), seen.header("x-user-name")), (Some("ada@acme.example"), Some("Ada")));
    }
    let at = |claims: Value| Issuer::ACME.sign(&claims);
    let aged = |iat: i64, more: Value| {
        let mut claims = json!({ "email": "a@b.example", "iat": iat });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        at(claims)
    };
    for (name, token, code) in [
        ("15 minutes by default", aged(NOW.0 - 14 * 60, json!({})), "200"),
        ("and no more", aged(NOW.0 - 16 * 60, json!({})), "token_expired"),
        ("an hour at most", aged(NOW.0, json!({ "tokenValidity": 61 })), "token_invalid"),
        ("exp wins", aged(NOW.0 - 600, json!({ "exp": NOW.0 - 60, "tokenValidity": 60 })), "token_expired"),
        ("validity is a number", aged(NOW.0, json!({ "tokenValidity": "10" })), "token_invalid"),
        ("validity may be huge", aged(NOW.0, json!({ "tokenValidity": i64::MAX })), "token_invalid"),
        ("iat is needed", at(json!({ "email": "a@b.example" })), "token_invalid"),
    ] {
        let answer = door.get("/").bearer(token).send().await;
        let found = if answer.status == 200 { "200".to_owned() } else { answer.code() };
        assert_eq!(found, code, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn custom_claims_may_lie_deep() {
    let upstream = Upstream::start().await;
    let text = config(&upstream, "custom", "").replace(
        "dialect = \"custom\"",
        "dialect = \"custom\"\nclaims = { user = \"uid\", roles = \"realm.roles\", tenant = \"org.id\", name = \"profile.name\" }",
    );
    let door = Door::start(&text).await;
    let claims = json!({
        "uid": "u-4", "org": { "id": "proj_9" }, "realm": { "roles": ["a", "b"] }, "profile": { "name": "Jo" }, "iat": NOW.0,
        "exp": NOW.0 + 60,
    });
    for signer in Signer::ALL {
        assert_eq!(door.get("/").bearer(minted_by(signer, SECRET, &claims)).send().await.status, 200);
        assert_eq!(upstream.last().identity(), ("u-4", "proj_9", "a,b"));
    }
}
