//! The ledger that many instances share: tokens are spent once over all of them, and who signs out is out everywhere.

use serde_json::json;

use crate::support::{Door, Issuer, NOW, RedisServer, Upstream, config, eventually};

/// The configuration of an instance on this Redis. `more` is added to `[ledger]`.
pub fn on(upstream: &Upstream, url: &str, more: &str) -> String {
    config(upstream).replace("memory = true", &format!("redis = {{ url = {url:?} {more} }}\nmax_staleness = \"3s\""))
}

/// An instance that has found its Redis, however busy this machine is.
pub async fn door(text: &str) -> Door {
    let door = Door::start(text).await;
    let token = Issuer::ACME.token("nobody");
    eventually(10, "it finds Redis", async || door.exchange(&token).await.status != 503).await;
    door
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_once_over_all_instances() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start().await);
    let text = on(&upstream, &redis.url(), "");
    let doors = [door(&text).await, door(&text).await, door(&text).await];
    for round in 0..5 {
        let token = Issuer::ACME.with(json!({ "jti": round }));
        let attempts: Vec<_> =
            (0..12).map(|n| doors[n % 3].post("/_auth/exchange").bearer(&token).send()).map(tokio::spawn).collect();
        let mut statuses = Vec::new();
        for attempt in attempts {
            let answer = attempt.await.unwrap();
            if answer.status != 200 {
                assert_eq!(answer.code(), "token_spent");
            }
            statuses.push(answer.status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_out_at_one_instance_is_out_at_the_others_within_a_second() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start().await);
    let text = on(&upstream, &redis.url(), "");
    let (one, other) = (door(&text).await, door(&text).await);
    let session = one.session(&Issuer::ACME.token("maya")).await;
    assert_eq!(other.get("/tickets").cookie("__Host-vestibule", &session).send().await.status, 200);
    let answer = one.post("/_auth/logout").cookie("__Host-vestibule", &session).send().await;
    assert_eq!(answer.status, 303);
    eventually(1, "signed out at the other", async || {
        other.get("/tickets").cookie("__Host-vestibule", &session).send().await.status == 401
    })
    .await;
    for door in [&one, &other, &one] {
        assert_eq!(door.post("/_auth/logout").cookie("__Host-vestibule", &session).send().await.status, 303);
    }
    assert_eq!(redis.ask(&["XLEN", "{vestibule}:revocations"]), "1", "again is nothing new");
    let late = door(&text).await;
    assert_eq!(late.get("/tickets").cookie("__Host-vestibule", &session).send().await.status, 401, "known at start");
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_end_with_what_they_cover() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start().await);
    let expired = [[7; 24].as_slice(), &NOW.0.to_be_bytes()].concat();
    let expired: String = expired.iter().map(|byte| format!("\\{byte:03}")).collect();
    let script = format!("for i = 1, 12000 do redis.call('XADD', KEYS[1], '*', 'r', \"{expired}\") end");
    redis.ask(&["EVAL", &script, "1", "{vestibule}:revocations"]);
    assert_eq!(redis.ask(&["XLEN", "{vestibule}:revocations"]), "12000");
    redis.ask(&["XADD", "{vestibule}:revocations", "*", "r", "nonsense"]);
    let door = door(&on(&upstream, &redis.url(), "")).await;
    eventually(5, "what has expired is gone", async || redis.ask(&["XLEN", "{vestibule}:revocations"]) == "1").await;
    door.session(&Issuer::ACME.token("maya")).await;
    let spent = redis.ask(&["KEYS", "vestibule:spent:*"]);
    assert_eq!(spent.lines().count(), 2);
    let lua = "return redis.call('TTL', redis.call('KEYS', 'vestibule:spent:*')[1])";
    let ttl: i64 = redis.ask(&["EVAL", lua, "0"]).parse().unwrap();
    assert!((700..=720).contains(&ttl), "{ttl}");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_rights_suffice() {
    let (redis, upstream) = (RedisServer::start(), Upstream::start().await);
    let rights = "on >hunter2 ~vestibule* ~{vestibule* +set +get +xadd +xrange +xlen +xdel +time +info";
    let words: Vec<&str> = ["ACL", "SETUSER", "door"].into_iter().chain(rights.split(' ')).collect();
    assert_eq!(redis.ask(&words), "OK");
    let text = on(&upstream, &redis.url(), ", user = \"door\", password = { env = \"REDIS\" }");
    let one = door(&text).await;
    let session = one.session(&Issuer::ACME.token("maya")).await;
    assert_eq!(one.post("/_auth/logout").cookie("__Host-vestibule", &session).send().await.status, 303);
    let log = redis.ask(&["ACL", "LOG"]);
    assert_eq!(log, "", "nothing is denied");
    // Without even INFO it goes on.
    assert_eq!(redis.ask(&["ACL", "SETUSER", "door", "-info", "-time"]), "OK");
    door(&text).await.session(&Issuer::ACME.token("noah")).await;
}
