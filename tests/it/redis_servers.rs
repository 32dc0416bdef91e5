//! Redis as it is run: with TLS and a password, watched by Sentinels, as a cluster.

use serde_json::json;

use crate::{
    ledger_on_redis::{door, on},
    support::{Door, Issuer, NOW, RedisServer, Upstream, eventually, free_port},
};

fn token(user: &str, number: u32, after: i64) -> String {
    Issuer::ACME.with(json!({ "userId": user, "jti": number, "iat": NOW.0 + after, "exp": NOW.0 + after + 600 }))
}

async fn status(door: &Door, session: &str) -> u16 {
    door.get("/tickets").cookie("__Host-vestibule", session).send().await.status
}

/// What every kind of Redis is for: a token once, a sign-out everywhere.
async fn is_shared(url: &str, more: &str) -> (Door, Door) {
    let upstream = Upstream::start().await;
    let text = on(&upstream, url, more);
    let (one, other) = (door(&text).await, door(&text).await);
    for number in 0..20 {
        let session = one.session(&token("maya", number, 0)).await;
        assert_eq!(status(&other, &session).await, 200);
        assert_eq!(other.exchange(&token("maya", number, 0)).await.code(), "token_spent");
    }
    let session = one.session(&token("noah", 1, 0)).await;
    let answer = one.post("/_auth/logout").cookie("__Host-vestibule", &session).send().await;
    assert_eq!(answer.status, 303);
    eventually(1, "signed out at the other", async || status(&other, &session).await == 401).await;
    (one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_by_an_authority_of_its_own_and_a_password() {
    let redis = RedisServer::with_tls("hunter2");
    let url = format!("rediss://{}", redis.address);
    let ca = format!(", ca_file = {:?}", redis.folder().join("ca.pem"));
    let password = ", password = { env = \"REDIS\" }";
    is_shared(&url, &format!("{ca}{password}")).await;
    is_shared(&url, &format!("{ca}{password}, user = \"default\", prefix = \"another\"")).await;
    let upstream = Upstream::start().await;
    let wrong = [
        format!("{ca}, password = {{ env = \"WRONG_REDIS\" }}"),
        ca.clone(),
        password.to_owned(),
        format!(", ca_file = {:?}{password}", redis.folder().join("cert.pem")),
    ];
    for more in wrong {
        let door = Door::start(&on(&upstream, &url, &more)).await;
        assert_eq!(door.exchange(&token("maya", 100, 0)).await.status, 503, "{more}");
    }
    let plain = Door::start(&on(&upstream, &format!("redis://{}", redis.address), password)).await;
    assert_eq!(plain.exchange(&token("maya", 100, 0)).await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_name_another_master() {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let mut master = RedisServer::with(&at_once);
    let of_master = ["--replicaof", "127.0.0.1", &master.address.port().to_string()];
    let replica = RedisServer::with(&[at_once.as_slice(), &of_master].concat());
    eventually(5, "it replicates", async || replica.ask(&["INFO", "replication"]).contains("link_status:up")).await;
    let sentinel = RedisServer::sentinel(master.address);
    eventually(5, "the Sentinel knows both", async || {
        sentinel.ask(&["SENTINEL", "replicas", "mymaster"]).contains(&replica.address.port().to_string())
    })
    .await;
    // The first of them is not there.
    let url = format!("redis-sentinel://127.0.0.1:{},{}/mymaster/0", free_port(), sentinel.address);
    let (one, other) = is_shared(&url, "").await;
    let session = one.session(&token("ines", 1, 0)).await;
    let answer = one.post("/_auth/logout").cookie("__Host-vestibule", &session).send().await;
    assert_eq!(answer.status, 303);
    assert_eq!(master.ask(&["WAIT", "1", "2000"]), "1", "the replica has it all");
    master.kill();
    eventually(20, "the replica is the master", async || replica.ask(&["ROLE"]).starts_with("master")).await;
    for (door, user) in [(&one, "maya"), (&other, "noah")] {
        eventually(5, "exchanges go on", async || door.exchange(&token(user, 500, 0)).await.status != 503).await;
    }
    assert_eq!(other.exchange(&token("ines", 1, 0)).await.code(), "token_spent");
    assert_eq!(status(&other, &session).await, 401);
    one.session(&token("ines", 2, 0)).await;
    // Back, as a replica: and by order of the operator, the master again.
    master.run();
    eventually(20, "it is a replica", async || {
        replica.ask(&["INFO", "replication"]).contains(&format!("port={},state=online", master.address.port()))
    })
    .await;
    eventually(20, "the Sentinel changes them", async || {
        sentinel.ask(&["SENTINEL", "failover", "mymaster"]);
        master.ask(&["ROLE"]).starts_with("master")
    })
    .await;
    for (door, user) in [(&one, "maya"), (&other, "noah")] {
        eventually(5, "exchanges go on", async || door.exchange(&token(user, 600, 0)).await.status != 503).await;
    }
    assert_eq!(other.exchange(&token("ines", 2, 0)).await.code(), "token_spent");
}

/// Three nodes, a third of the slots each.
async fn cluster() -> Vec<RedisServer> {
    let buses = [free_port(), free_port(), free_port()].map(|port| port.to_string());
    let nodes: Vec<RedisServer> = buses
        .iter()
        .map(|bus| {
            RedisServer::with(&["--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"])
        })
        .collect();
    for (node, (from, to)) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
        assert_eq!(node.ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]), "OK");
    }
    for (node, bus) in nodes.iter().zip(&buses).skip(1) {
        assert_eq!(nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &node.address.port().to_string(), bus]), "OK");
    }
    eventually(15, "it is a cluster", async || {
        nodes.iter().all(|node| {
            let info = node.ask(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        })
    })
    .await;
    nodes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_shares_the_load_and_notices_the_loss_of_one_node() {
    let nodes = cluster().await;
    let url = format!("redis-cluster://{},{}", nodes[0].address, nodes[1].address);
    let (one, other) = is_shared(&url, "").await;
    for node in &nodes {
        assert_ne!(node.ask(&["KEYS", "*:spent:*"]), "", "each holds some");
    }
    let home = nodes[0].ask(&["CLUSTER", "KEYSLOT", "{vestibule}:epoch"]).parse::<usize>().unwrap() / 5_461;
    let emptied = &nodes[(home + 1) % 3];
    assert_eq!(emptied.ask(&["FLUSHALL"]), "OK");
    let mut refused = 0;
    for number in 0..20 {
        let answer = other.exchange(&token("maya", number, 0)).await;
        assert!(matches!(answer.status, 401 | 503), "{number}: {}", answer.text());
        refused += u32::from(answer.status == 503);
    }
    assert!(refused > 0, "it is noticed");
    eventually(5, "it is put right", async || {
        for number in 0..20 {
            let status = other.exchange(&token("maya", number, 0)).await.status;
            assert_ne!(status, 200);
            if status != 401 {
                return false;
            }
        }
        true
    })
    .await;
    eventually(2, "the other knows", async || one.exchange(&token("new", 1, 0)).await.status == 401).await;
    for door in [&one, &other] {
        door.clock.advance(5);
    }
    for (door, user) in [(&one, "maya"), (&other, "noah")] {
        let number = std::cell::Cell::new(1_000);
        let exchanges = async || {
            number.set(number.get() + 1);
            door.exchange(&token(user, number.get(), 5)).await.status == 200
        };
        eventually(5, "exchanges go on", async || exchanges().await && exchanges().await && exchanges().await).await;
    }
    for number in 0..20 {
        assert_eq!(one.exchange(&token("maya", number, 0)).await.code(), "token_spent");
    }
}
