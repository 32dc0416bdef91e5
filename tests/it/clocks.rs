//! Clocks that are set while the binary runs, by libfaketime: nothing panics, and what has ended stays so.

use std::{fs, net::SocketAddr, process::Stdio};

use serde_json::json;
use vestibule::time::Clock;

use crate::support::{Answer, Ask, Issuer, PATIENCE, Process, Secrets, Upstream, free_port, one_tenant, until};

const ACME: Issuer = Issuer::ACME;
const COOKIE: &str = "__Host-vestibule";

/// A Vestibule whose clock is a file.
struct Shifted {
    folder: tempfile::TempDir,
    address: SocketAddr,
    process: Process,
    _upstream: Upstream,
}

impl Shifted {
    async fn start(shift: &str, tenant: &str) -> Self {
        let upstream = Upstream::start().await;
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = one_tenant(&upstream.address.to_string(), "acme", "gateway", "");
        let config =
            config.replace("dialect = \"gateway\"", &format!("dialect = \"gateway\"\nleeway = \"0s\"\n{tenant}"));
        let file = folder.path().join("proxy.toml");
        fs::write(&file, format!("[listen]\naddress = \"{address}\"\n{config}")).unwrap();
        fs::write(folder.path().join("shift"), shift).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command
            .args(["run", "-c"])
            .arg(&file)
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", folder.path().join("shift"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env_remove("RUST_LOG")
            .stderr(Stdio::from(fs::File::create(folder.path().join("log")).unwrap()));
        for name in ["SESSION", "ACME"] {
            command.env(name, Secrets::find(name).unwrap());
        }
        let process = Process::start(&mut command).until_listening(address);
        Self { folder, address, process, _upstream: upstream }
    }

    fn shift(&self, by: &str) {
        fs::write(self.folder.path().join("new"), by).unwrap();
        fs::rename(self.folder.path().join("new"), self.folder.path().join("shift")).unwrap();
    }

    async fn by_cookie(&self, cookie: &str) -> Answer {
        Ask::new(self.address, "GET", "/", "portal.test").cookie(COOKIE, cookie).send().await
    }

    async fn by_bearer(&self, token: &str) -> Answer {
        Ask::new(self.address, "GET", "/", "portal.test").bearer(token).send().await
    }

    async fn exchange(&self, token: &str) -> Answer {
        Ask::new(self.address, "POST", "/_auth/exchange", "portal.test").bearer(token).send().await
    }

    fn ends_well(mut self) {
        assert_eq!(self.process.terminate(), Some(0));
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        assert!(!log.contains("panicked") && log.contains("stopped"), "{log}");
    }
}

/// Where libfaketime is: its wrapper knows, but is a process of its own between us and what it starts.
fn library() -> String {
    let told = std::process::Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    String::from_utf8(told.unwrap().stdout).unwrap().trim().to_owned()
}

fn token(user: &str, lives: i64) -> String {
    let now = Clock::system().now().0;
    let mut claims = ACME.claims(user);
    (claims["iat"], claims["exp"]) = (json!(now), json!(now + lives));
    ACME.sign(&claims)
}

#[tokio::test]
async fn what_has_expired_stays_so_when_the_clock_is_set_back() {
    let door = Shifted::start("+0", "session_lifetime = \"2s\"").await;
    let short = token("maya", 2);
    let cookie = door.exchange(&token("maya", 60)).await.cookie(COOKIE).unwrap();
    assert_eq!(door.by_bearer(&short).await.status, 200);
    until(PATIENCE, async || door.by_cookie(&cookie).await.status == 401).await;
    until(PATIENCE, async || door.by_bearer(&short).await.status == 401).await;
    for back in ["-3", "-3600", "-30d", "@1970-01-01 00:00:00"] {
        door.shift(back);
        assert_eq!(door.by_cookie(&cookie).await.code(), "session_expired", "{back}");
        assert_eq!(door.by_bearer(&short).await.code(), "token_expired", "{back}");
        assert_eq!(door.by_bearer(&token("maya", 60)).await.status, 200, "life goes on, {back}");
    }
    for before_time in ["@1969-12-31 23:59:00", "@1901-01-01 00:00:00"] {
        door.shift(before_time);
        for answer in [door.by_cookie(&cookie).await, door.by_bearer(&short).await] {
            assert_eq!(answer.status, 503, "no answer could carry a Date, {before_time}");
        }
    }
    door.shift("+0");
    assert_eq!(door.by_cookie(&cookie).await.code(), "session_expired");
    door.ends_well();
}

#[tokio::test]
async fn a_clock_set_ahead_ends_everything_and_set_back_again_only_what_ended() {
    let door = Shifted::start("+0", "").await;
    let (live, out) = (door.exchange(&token("maya", 600)).await, door.exchange(&token("noah", 600)).await);
    let (live, out) = (live.cookie(COOKIE).unwrap(), out.cookie(COOKIE).unwrap());
    let spent = token("ines", 600);
    assert_eq!(door.exchange(&spent).await.status, 200);
    let leave = Ask::new(door.address, "POST", "/_auth/logout", "portal.test").cookie(COOKIE, &out);
    assert_eq!(leave.header("Accept", "application/json").send().await.status, 204);
    for ahead in ["+1d", "@2038-01-19 03:14:08", "@2106-02-07 06:28:16", "@2262-04-12 00:00:00"] {
        door.shift(ahead);
        assert_eq!(door.by_cookie(&live).await.code(), "session_expired", "{ahead}");
        assert_eq!(door.exchange(&token("maya", 600)).await.code(), "token_expired", "{ahead}");
        door.shift("+0");
        assert_eq!(door.by_cookie(&live).await.status, 200, "after {ahead}");
        assert_eq!(door.by_cookie(&out).await.code(), "revoked", "after {ahead}");
        assert_eq!(door.exchange(&spent).await.code(), "token_spent", "after {ahead}");
    }
    door.ends_well();
}

#[tokio::test]
async fn a_start_at_an_absurd_time_refuses_and_follows_the_clock_once_it_is_set() {
    let door = Shifted::start("@1969-12-31 23:59:00", "").await;
    assert_eq!(door.by_bearer(&token("maya", 600)).await.status, 503);
    door.shift("@1970-01-01 00:00:10");
    assert_eq!(door.by_bearer(&token("maya", 600)).await.code(), "token_invalid");
    door.shift("+0");
    assert_eq!(door.by_bearer(&token("maya", 600)).await.status, 200);
    door.ends_well();
}
