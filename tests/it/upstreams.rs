//! Upstreams that cannot be reached, by name and reason; and those that lead back to Vestibule.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::Request;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::support::{
    Ask, Certificate, Door, Served, Upstream, config, free_port, one_tenant,
    websocket::{Echo, Socket, handshake},
};

/// Public routes `/NAME`, each to an upstream NAME with its servers.
fn routes(upstreams: &[(&str, &str)]) -> String {
    let mut text = "[session]\nkeys = [{ id = \"s1\", env = \"SESSION\" }]\n[ledger]\nmemory = true\n".to_owned();
    for (name, servers) in upstreams {
        text += &format!("[upstreams.{name}]\nservers = [{servers}]\nresponse_timeout = \"200ms\"\n");
    }
    for (name, _) in upstreams {
        text += &format!("[[routes]]\npath = \"/{name}\"\nauth = \"public\"\nupstream = \"{name}\"\n");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_upstream_the_server_and_why() {
    let silent = Upstream::answering("").await;
    let dead = free_port();
    let text = routes(&[
        ("name", "\"app.invalid:3000\""),
        ("refused", &format!("\"127.0.0.1:{dead}\"")),
        ("socket", "\"unix:/nowhere/app.sock\""),
        ("both", &format!("\"app.invalid:3000\", \"127.0.0.1:{dead}\"")),
        ("slow", &format!("\"{}\"", silent.address)),
    ]);
    let served = Served::start("", &text);
    for upstream in ["name", "both"] {
        served
            .until_said(&format!("WARN vestibule: upstreams.{upstream}: app.invalid:3000 does not resolve: "), 1)
            .await;
    }
    let refused = format!("127.0.0.1:{dead}: connection refused");
    for (path, reason) in [
        ("/name", "reason=\"upstream name: app.invalid:3000 does not resolve: ".to_owned()),
        ("/refused", format!("reason=\"upstream refused: {refused}\"")),
        ("/socket", "reason=\"upstream socket: unix:/nowhere/app.sock: No such file or directory".to_owned()),
        (
            "/slow",
            format!("reason=\"upstream slow: {}: timed out: nothing came within response_timeout\"", silent.address),
        ),
    ] {
        let asks: [Ask; 3] = [
            served.ask("GET", path),
            served.ask("GET", path).header("Accept", "text/event-stream"),
            handshake(served.ask("GET", path)),
        ];
        for (count, ask) in asks.into_iter().enumerate() {
            let answer = ask.send().await;
            assert!(matches!(answer.status, 502 | 504), "{path}: {answer:?}");
            served.until_said(&reason, count + 1).await;
        }
        let line = served.log().lines().find(|line| line.contains(&reason)).unwrap().to_owned();
        assert!(line.contains("WARN") && line.contains(&format!("upstream=\"{}\"", &path[1..])), "{line}");
    }
    assert_eq!(served.ask("POST", "/both").send().await.code(), "upstream_unreachable");
    served.until_said("reason=\"upstream both: ", 1).await;
    let log = served.log();
    let line = log.lines().find(|line| line.contains("reason=\"upstream both: ")).unwrap();
    assert!(line.contains("app.invalid:3000 does not resolve: ") && line.contains(&refused), "each server: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_does_not_resolve_is_said_at_a_reload_too_and_delays_nothing() {
    let upstream = Upstream::start().await;
    let served = Served::start("", &routes(&[("app", &format!("\"{}\"", upstream.address))]));
    assert_eq!(served.said("does not resolve"), 0);
    served.write("", &routes(&[("app", &format!("\"{}\", \"app.invalid:80\"", upstream.address))]));
    served.until_reloads((1, 0)).await;
    served.until_said("upstreams.app: app.invalid:80 does not resolve: ", 1).await;
    assert_eq!(served.ask("GET", "/app").send().await.status, 200);
}

fn public(server: &str) -> String {
    one_tenant(server, "acme", "gateway", "auth = \"public\"")
}

/// A door whose upstream is itself, through a wire that counts connections.
async fn looped() -> (Door, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = Door::start(&public(&listener.local_addr().unwrap().to_string())).await;
    let passes = Arc::new(AtomicUsize::new(0));
    let (address, count) = (door.address, passes.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut door = TcpStream::connect(address).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut door).await;
            });
        }
    });
    (door, passes)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_leads_back_is_noticed_after_a_few_passes() {
    for kind in 0..4 {
        let (door, passes) = looped().await;
        let ask = match kind {
            0 => door.get("/"),
            1 => door.post("/").body("a=b"),
            2 => door.get("/").header("Accept", "text/event-stream"),
            _ => handshake(door.get("/chat")),
        };
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.code().as_str()), (502, "upstream_unreachable"), "{kind}");
        assert_eq!(passes.load(Ordering::SeqCst), 5, "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_vestibule_may_stand_before_another() {
    let app = Upstream::start().await;
    let third = Door::start(&public(&app.address.to_string())).await;
    let second = Door::start(&public(&third.address.to_string())).await;
    let first = Door::start(&public(&second.address.to_string())).await;
    assert_eq!(first.get("/").header("CDN-Loop", "cloudflare; loops=1").send().await.status, 200);
    assert_eq!(app.last().header("cdn-loop"), Some("cloudflare; loops=1, vestibule, vestibule, vestibule"));
    let chat = Echo::start().await;
    let inner = chat.door("auth = \"public\"", "").await;
    let outer = Door::start(&public(&inner.address.to_string())).await;
    Socket::open(&outer, "/chat", &[]).await.echo("through two").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_are_counted_over_every_transport_and_in_every_spelling() {
    let app = Upstream::start().await;
    let certificate = Certificate::new();
    let door = Door::start(&format!("[listen]\n{}{}", certificate.setting(), config(&app))).await;
    let plain = Door::start(&config(&app)).await;
    for (lines, status) in [
        (&["vestibule, vestibule, vestibule, vestibule"][..], 200),
        (&["vestibule, vestibule, vestibule, vestibule, cdn.example:443"], 200),
        (&["vestibules, vestibule-2, x; vestibule, vestibule, vestibule, vestibule"], 200),
        (&["vestibule, vestibule, vestibule, vestibule, vestibule"], 502),
        (&["Vestibule;a=b,VESTIBULE ; c,vestibule", "vestibule", "x, vestibule"], 502),
    ] {
        let mut request = Request::get("https://portal.test/public");
        let mut ask = plain.get("/public");
        for line in lines {
            request = request.header("cdn-loop", *line);
            ask = ask.header("CDN-Loop", line);
        }
        assert_eq!(ask.send().await.status, status, "{lines:?}");
        let mut client = certificate.h2(door.address).await;
        let answer = client.send(request.body(()).unwrap(), None).await.unwrap();
        assert_eq!(answer.status, status, "{lines:?} over HTTP/2");
    }
    let own = plain.get("/_auth/session").header("CDN-Loop", ["vestibule"; 9].join(",")).send().await;
    assert_eq!(own.code(), "token_missing", "what goes nowhere is no loop");
}
