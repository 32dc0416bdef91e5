//! Vestibule, started in the test on a free port with a clock that the test sets.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use vestibule::{
    config::Config,
    server::{self, Running},
    time::{Clock, UnixTime},
};

use super::{Answer, Ask, Issuer, Upstream};

/// The time of the tests: 2026-11-20T00:00:00Z.
pub const NOW: UnixTime = UnixTime(1_795_132_800);

/// Secrets by the names that the configurations of the tests use.
pub struct Secrets;

impl Secrets {
    pub const SESSION: &'static str = "session-secret-0123456789abcdef012345";
    pub const OLD_SESSION: &'static str = "old-session-secret-0123456789abcdef01";

    pub fn find(name: &str) -> Option<String> {
        let secret = match name {
            // One HMAC key with ACME, and one with each other: filled up with zeros, and hashed.
            "FILLED_ACME" => return Some(format!("{}\0\0", Issuer::ACME.secret)),
            "LONG" => "long-secret-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef-0123",
            "HASHED_LONG" => "0f839f32391502de02b22dbb0146c04bf981c520183846be042183863d422292",
            "SESSION" => Self::SESSION,
            "OLD_SESSION" => Self::OLD_SESSION,
            "ACME" => Issuer::ACME.secret,
            "GLOBEX" => Issuer::GLOBEX.secret,
            "OLD_ACME" => "old-acme-secret-0123456789abcdef0123",
            "ADMIN" => "admin-token-0123456789abcdef0123456789",
            "SPACES" => "                                        ",
            "REDIS" => "hunter2",
            "WRONG_REDIS" => "hunter3",
            "SHORT" => "only-31-bytes-0123456789abcdefg",
            _ => return None,
        };
        Some(secret.to_owned())
    }
}

/// A clock the test sets.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A running Vestibule.
pub struct Door {
    pub address: SocketAddr,
    pub clock: TestClock,
    /// Stops when dropped.
    running: Running,
    /// The Host of requests that do not say another.
    pub host: String,
}

/// One tenant of a dialect, on any host, before one upstream. `route` is added to the route for `/`, and may begin others.
pub fn one_tenant(upstream: &str, tenant: &str, dialect: &str, route: &str) -> String {
    format!(
        r#"
        [session]
        keys = [{{ id = "s1", env = "SESSION" }}]
        [ledger]
        memory = true
        [tenants.{tenant}]
        dialect = "{dialect}"
        keys = [{{ id = "k1", env = "ACME" }}]
        [upstreams.app]
        servers = ["{upstream}"]
        [[routes]]
        path = "/"
        upstream = "app"
        {route}
        "#
    )
}

/// Two tenants, each with its host, before one upstream. `routes` are the `[[routes]]`, `more` anything else.
pub fn two_tenants(upstream: &Upstream, routes: &str, more: &str) -> String {
    format!(
        r#"
        {more}
        [ledger]
        memory = true
        [session]
        keys = [{{ id = "s1", env = "SESSION" }}]
        [tenants.acme]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "ACME" }}]
        hosts = ["portal.test", "acme.test"]
        origins = ["https://app.acme.example"]
        [tenants.globex]
        dialect = "gateway"
        keys = [{{ id = "k1", env = "GLOBEX" }}]
        hosts = ["globex.test"]
        [upstreams.app]
        servers = ["{}"]
        {routes}
        "#,
        upstream.address
    )
}

/// [`two_tenants`] with a route for each policy, `/` being required.
pub fn config(upstream: &Upstream) -> String {
    let routes = r#"
        [[routes]]
        path = "/"
        upstream = "app"
        [[routes]]
        path = "/public"
        auth = "public"
        upstream = "app"
        [[routes]]
        path = "/optional"
        auth = "optional"
        upstream = "app"
        [[routes]]
        path = "/closed"
        auth = "deny"
        [[routes]]
        path = "/staff"
        roles = ["admin", "supervisor"]
        upstream = "app"
        [[routes]]
        path = "/agents"
        roles = ["admin", "agent"]
        upstream = "app"
        [[routes]]
        path = "/read-only"
        methods = ["GET"]
        upstream = "app"
        [[routes]]
        path = "/handed"
        handoff_param = "token"
        bearer_param = "access_token"
        upstream = "app"
        "#;
    two_tenants(upstream, routes, "")
}

impl Door {
    /// Starts with a configuration; its address is replaced by a free port on loopback.
    pub async fn start(config: &str) -> Self {
        let config = parse(config);
        let clock = TestClock(Arc::new(AtomicI64::new(NOW.0)));
        let shown = clock.clone();
        let clock_of_server = Clock::reading(move || UnixTime(shown.0.load(Ordering::SeqCst)));
        let running = server::start(&config, clock_of_server).await.expect("a free port");
        Self { address: running.address, clock, running, host: "portal.test".into() }
    }

    /// Puts another configuration in the place of the one before, as a reload does; what takes a restart, by its key.
    pub fn reload(&self, config: &str) -> Vec<&'static str> {
        self.running.live.apply(&parse(config))
    }

    /// Stops as on SIGTERM.
    pub async fn stop(self) {
        self.stop_within(Duration::from_secs(20)).await;
    }

    pub async fn stop_within(self, grace: Duration) {
        self.running.stop(grace).await;
    }

    /// Where the admin listener is, if there is one.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.running.admin
    }

    pub fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.address, method, target, &self.host)
    }

    pub fn get(&self, target: &str) -> Ask {
        self.ask("GET", target)
    }

    pub fn post(&self, target: &str) -> Ask {
        self.ask("POST", target)
    }

    /// Exchanges a token for the value of the session cookie.
    pub async fn session(&self, token: &str) -> String {
        let answer = self.exchange(token).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.cookie("__Host-vestibule").expect("a session cookie")
    }

    pub async fn exchange(&self, token: &str) -> Answer {
        self.post("/_auth/exchange").bearer(token).send().await
    }
}

/// A configuration with a free port on loopback for its address.
fn parse(config: &str) -> Config {
    let text = if config.contains("[listen]") {
        config.replace("[listen]", "[listen]\naddress = \"127.0.0.1:0\"")
    } else {
        format!("[listen]\naddress = \"127.0.0.1:0\"\n{config}")
    };
    Config::parse(Path::new("test.toml"), &text, &Secrets::find).unwrap_or_else(|problems| {
        panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    })
}
