//! Nothing secret in the log, at whatever level: the binary at `trace`, put through all that carries a secret.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;

use crate::support::{Answer, Ask, Issuer, Process, Secrets, Upstream, config};

#[tokio::test(flavor = "multi_thread")]
async fn no_token_cookie_or_secret_is_logged_even_at_trace() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("[listen]\naddress = \"{address}\"\n{}", config(&upstream));
    std::fs::write(folder.path().join("proxy.toml"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    for name in ["SESSION", "ACME", "GLOBEX"] {
        command.env(name, Secrets::find(name).unwrap());
    }
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    command.args(["run", "--log", "trace"]).current_dir(folder.path()).stderr(Stdio::from(log));
    let mut served = Process::start(&mut command).until_listening(address);
    // The binary reads the real clock.
    let now = i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap();
    let token = |user: &str| Issuer::ACME.with(json!({ "userId": user, "iat": now, "exp": now + 600 }));
    let ask = |method: &str, target: &str| Ask::new(address, method, target, "portal.test");

    let good = token("maya");
    let answer = ask("POST", "/_auth/exchange").bearer(&good).send().await;
    let session = answer.cookie("__Host-vestibule").unwrap();
    let link = token("tom");
    let forged = Issuer { secret: "not-the-secret-0123456789abcdef012345", ..Issuer::ACME }.token("maya");
    let answers = [
        ask("GET", "/").bearer(&good).send().await,
        ask("GET", "/").bearer(&forged).send().await,
        ask("GET", "/").cookie("__Host-vestibule", &session).send().await,
        ask("GET", "/").cookie("__Host-vestibule", &format!("{session}x")).send().await,
        ask("GET", &format!("/_auth/exchange?token={link}")).navigating().send().await,
        ask("GET", &format!("/handed?token={link}")).navigating().send().await,
        ask("GET", &format!("/handed?access_token={good}")).send().await,
        ask("GET", &format!("/a//b?token={good}")).bearer(&good).send().await,
        ask("POST", "/_auth/exchange").form(&[("token", &good)]).send().await,
        ask("POST", "/_auth/exchange").json(&json!({ "token": good })).send().await,
        ask("GET", "/").header("Sec-WebSocket-Protocol", format!("bearer.{good}")).send().await,
        ask("POST", "/_auth/logout").cookie("__Host-vestibule", &session).send().await,
        ask("GET", &format!("/x%3Faccess_token={good}")).send().await,
        ask("GET", &format!("/{good}/x")).send().await,
        ask("GET", &format!("/a-{};b", good.replace('.', "%2e"))).send().await,
        ask("GET", &format!("/{}", good.bytes().map(|b| format!("%{b:02x}")).collect::<String>())).send().await,
        ask("GET", &format!("/_auth/{good}")).send().await,
        ask("GET", &format!("/closed/{good}")).navigating().send().await,
        ask(&good, "/").send().await,
        ask("POST", "/").header("Referer", format!("http://portal.test/?token={good}")).navigating().send().await,
    ];
    let mut raw = TcpStream::connect(address).unwrap();
    raw.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let broken = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: Bearer {good}\r\nBad Header: {session}\r\n\r\n"
    );
    raw.write_all(broken.as_bytes()).unwrap();
    let mut rest = Vec::new();
    let _ = raw.read_to_end(&mut rest);
    assert_eq!(served.terminate(), Some(0));

    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(
        log.contains("path=\"/handed\"")
            && log.contains("path=\"/x%3Faccess_token=…\"")
            && log.contains("denied")
            && log.contains("exchanged")
            && log.contains("signed out"),
        "{log}"
    );
    // A Set-Cookie must hold the session; nothing else may hold anything.
    let shown = |answer: &Answer| {
        let headers: Vec<_> =
            answer.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("set-cookie")).collect();
        format!("{headers:?} {}", answer.text())
    };
    let answered: String = answers.iter().map(shown).collect();
    let forwarded: String =
        upstream.seen().iter().map(|seen| String::from_utf8_lossy(&seen.raw).into_owned()).collect();
    let mut fragments: Vec<String> = Vec::new();
    for secret in [&good, &link, &forged, &session] {
        // Parts of a token that every token has say nothing.
        let telling = secret.rsplit('.').next().unwrap().as_bytes();
        fragments.extend(telling.chunks(16).filter(|c| c.len() == 16).map(|c| String::from_utf8(c.to_vec()).unwrap()));
    }
    fragments
        .extend([Secrets::SESSION, Issuer::ACME.secret, Issuer::GLOBEX.secret].map(|secret| secret[..16].to_owned()));
    for fragment in fragments {
        assert!(!log.contains(&fragment), "in the log");
        assert!(!answered.contains(&fragment), "in an answer");
        assert!(!forwarded.contains(&fragment), "forwarded");
    }
}
