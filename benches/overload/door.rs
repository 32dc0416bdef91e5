//! Vestibule in a process of its own, and what the system says of that process.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use jsonwebtoken::{EncodingKey, Header, encode};
use rustls::{ClientConfig, RootCertStore, pki_types::CertificateDer};
use serde_json::json;
use tempfile::TempDir;
use vestibule::time::Clock;

use crate::{good, rest, upstream::App};

const SECRET: &str = "acme-secret-0123456789abcdef0123456789";
/// Who the good client is.
pub const USER: &str = "maya";
pub const HOST: &str = "portal.test";

/// A running Vestibule; killed when dropped.
pub struct Door {
    child: Child,
    pub address: SocketAddr,
    /// Whom a client of TLS is to believe.
    root: Option<CertificateDer<'static>>,
    /// The good client's.
    pub cookie: String,
    _folder: TempDir,
}

/// How it is to run.
#[derive(Clone, Copy, Default)]
pub struct Setting {
    pub limit_failures: bool,
    pub tls: bool,
    /// `ulimit -n`, where it is not the system's.
    pub descriptors: Option<usize>,
}

impl Door {
    pub fn start(app: &App, setting: Setting) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = listener.expect("a free port");
        let mut listen = format!("address = \"{address}\"\nheader_timeout = \"5m\"\nidle_timeout = \"5m\"\n");
        let mut root = None;
        if setting.tls {
            let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
            std::fs::write(file("cert.pem"), made.cert.pem()).expect("written");
            std::fs::write(file("key.pem"), made.signing_key.serialize_pem()).expect("written");
            listen += "tls = { cert = \"cert.pem\", key = \"key.pem\" }\n";
            root = Some(made.cert.der().clone());
        }
        let limits = if setting.limit_failures { "[limits]\nfailures = { count = 30, per = \"1m\" }\n" } else { "" };
        let text = format!(
            r#"
            [listen]
            {listen}
            {limits}
            [session]
            keys = [{{ id = "s", env = "SESSION" }}]
            [ledger]
            memory = true
            [tenants.acme]
            dialect = "gateway"
            keys = [{{ id = "k", env = "ACME" }}]
            [upstreams.app]
            servers = ["{}"]
            response_timeout = "5m"
            [[routes]]
            path = "/"
            upstream = "app"
            "#,
            app.address
        );
        std::fs::write(file("proxy.toml"), text).expect("written");
        let limit = setting.descriptors.map_or_else(String::new, |most| format!("ulimit -n {most}; "));
        let run = format!("{limit}exec {} run -c {}", env!("CARGO_BIN_EXE_vestibule"), file("proxy.toml").display());
        let child = Command::new("sh")
            .args(["-c", &run])
            .env("SESSION", "session-secret-0123456789abcdef012345")
            .env("ACME", SECRET)
            .env_remove("RUST_LOG")
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut door = Self { child, address, root, cookie: String::new(), _folder: folder };
        let end = Instant::now() + Duration::from_secs(10);
        door.cookie = loop {
            match good::sign_in(&door, &token()) {
                Ok(cookie) => break cookie,
                Err(e) => assert!(Instant::now() < end, "it serves: {e}"),
            }
            rest(Duration::from_millis(20));
        };
        door
    }

    /// The client's side of TLS, where it is spoken.
    pub fn tls(&self, protocol: &str) -> Option<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()?).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Some(Arc::new(config))
    }

    /// `GET /` as the good client.
    pub fn request(&self) -> Vec<u8> {
        self.line("GET / HTTP/1.1", "")
    }

    /// A request of the good client's with more headers.
    pub fn line(&self, line: &str, more: &str) -> Vec<u8> {
        format!("{line}\r\nHost: {HOST}\r\nAccept: application/json\r\nCookie: {}\r\n{more}\r\n", self.cookie).into()
    }

    /// What it holds of memory, in KiB (`VmRSS`).
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// What it has used of processors so far.
    pub fn processor(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th after it, in 10 ms.
        let (_, rest) = stat.rsplit_once(')').expect("a name");
        let ticks = rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        Duration::from_millis(10 * ticks.sum::<u64>())
    }

    /// The share of one processor that it uses while nothing is asked of it, in percent.
    pub fn idle_share(&self, span: Duration) -> f64 {
        let before = self.processor();
        rest(span);
        100.0 * (self.processor() - before).as_secs_f64() / span.as_secs_f64()
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn token() -> String {
    let now = Clock::system().now().0;
    let claims = json!({ "userId": USER, "tenantId": "acme", "userRoles": ["agent"], "iat": now, "exp": now + 600 });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("signs")
}
