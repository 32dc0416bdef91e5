//! `[listen]`, `[upstreams]`, `[limits]` and `[log]`.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use rustls::ServerConfig;

use super::{
    addresses::address,
    cookies::session_cookies,
    hosts::{overlap, own_listener, sent_host, server},
    identity::{self, IdentityHeaders},
    proxies::trusted_proxies,
    reader::{Occasion, Section},
    secrets::{Owners, Purpose, secret},
    tls::tls,
};
use crate::{head::Host, leftovers::Names, limits::FailureRule, secret::Secret, tenant::Tenants};

/// `[listen]`.
#[derive(Clone, Debug)]
pub struct Listen {
    pub address: SocketAddr,
    /// Health, metrics, revocations.
    pub admin: Option<SocketAddr>,
    pub admin_token: Option<Secret>,
    /// The names by which the admin listener may be asked, beside addresses and `localhost`; in lower case.
    pub admin_hosts: Vec<String>,
    /// 0: one per core.
    pub threads: usize,
    pub tls: Option<Arc<ServerConfig>>,
    pub header_timeout: Duration,
    /// What the operator asks for; `None` for [`MAX_CONNECTIONS`], or as many as there can be.
    pub max_connections: Option<usize>,
    pub trusted_proxies: Vec<IpNet>,
    /// Further headers that a trusted proxy may send, and nobody else: in lower case.
    pub forwarded_headers: Vec<String>,
    pub idle_timeout: Duration,
    /// In all, for the body of a request that goes to the app.
    pub body_timeout: Duration,
    pub max_header_bytes: usize,
    pub shutdown_grace: Duration,
}

/// Unless the operator asks for another number.
pub const MAX_CONNECTIONS: usize = 20_000;

/// `[upstreams.…]`: an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    pub servers: Vec<ServerAddress>,
    pub balance: Balance,
    /// The Host to send; `None` preserves the client's.
    pub host: Option<String>,
    /// The app's own login cookies, which do not outlive the identity they were used with.
    pub session_cookies: Names,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
}

/// The most servers of an upstream.
pub const MOST_SERVERS: usize = 64;

/// Where a server of an upstream listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerAddress {
    Socket(SocketAddr),
    /// A name to resolve, and a port.
    Name(String, u16),
    Unix(PathBuf),
}

/// As the configuration spells it.
impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Name(name, port) => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Which server gets the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    RoundRobin,
    LeastRequests,
}

/// `[log].format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([0, 0, 0, 0], 8080)),
            admin: None,
            admin_token: None,
            admin_hosts: Vec::new(),
            threads: 0,
            tls: None,
            header_timeout: Duration::from_secs(10),
            max_connections: None,
            trusted_proxies: Vec::new(),
            forwarded_headers: Vec::new(),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(3_600),
            max_header_bytes: 32 << 10,
            shutdown_grace: Duration::from_secs(20),
        }
    }
}

/// More are threads that wait for each other.
const MOST_THREADS: u64 = 1_024;

/// More have no file descriptors.
const MOST_CONNECTIONS: u64 = 1_000_000;

/// No browser or proxy sends as much.
const MOST_HEADER_BYTES: u64 = 1 << 20;

/// Reads `[listen]`. What is a header of ours by `identity`, no proxy may send.
pub fn listen(root: &Section<'_>, identity: &IdentityHeaders, owners: &mut Owners) -> Listen {
    let mut listen = Listen::default();
    let Some(section) = root.section("listen") else {
        return listen;
    };
    (listen.address, listen.admin) = addresses(Some(&section));
    check_addresses(&section, listen.address, listen.admin);
    for key in ["admin_token", "admin_hosts"] {
        if section.has(key) && !section.has("admin") {
            section.problem(
                key,
                format!("listen.{key} says nothing without listen.admin; add admin = \"127.0.0.1:9901\", or remove it"),
            );
        }
    }
    listen.admin_token = section.secret("admin_token").and_then(|section| admin_token(&section, owners));
    listen.admin_hosts = admin_hosts(&section);
    listen.tls = tls(&section);
    listen.header_timeout = section.waiting("header_timeout").unwrap_or(listen.header_timeout);
    listen.max_connections = section.whole("max_connections", 1..=MOST_CONNECTIONS).map(to_usize);
    listen.threads = section.whole("threads", 0..=MOST_THREADS).map_or(listen.threads, to_usize);
    listen.trusted_proxies = trusted_proxies(&section);
    listen.forwarded_headers = identity::forwarded_headers(&section, identity);
    listen.idle_timeout = section.waiting("idle_timeout").unwrap_or(listen.idle_timeout);
    listen.body_timeout = section.waiting("body_timeout").unwrap_or(listen.body_timeout);
    let bytes = section.size("max_header_bytes", 1 << 10..=MOST_HEADER_BYTES);
    listen.max_header_bytes = bytes.map_or(listen.max_header_bytes, to_usize);
    listen.shutdown_grace = section.grace("shutdown_grace", Section::DAY).unwrap_or(listen.shutdown_grace);
    listen
}

fn admin_hosts(section: &Section<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for host in section.texts("admin_hosts").unwrap_or_default() {
        match Host::parse(host.value).filter(|host| host.port.is_none()) {
            Some(parsed) => hosts.push(parsed.name.into_owned()),
            None => {
                let what =
                    format!("{:?} is not a valid host name without a port; write \"vestibule.internal\"", host.value);
                section.reader.report(host.at, what);
            }
        }
    }
    hosts
}

/// Where clients and the operator are listened to.
pub fn addresses(section: Option<&Section<'_>>) -> (SocketAddr, Option<SocketAddr>) {
    let default = Listen::default();
    let Some(section) = section else { return (default.address, default.admin) };
    (
        address(section, "address", SocketAddr::from(([0, 0, 0, 0], 8080))).unwrap_or(default.address),
        address(section, "admin", SocketAddr::from(([127, 0, 0, 1], 9901))),
    )
}

fn check_addresses(section: &Section<'_>, address: SocketAddr, admin: Option<SocketAddr>) {
    if section.reader.occasion != Occasion::Text {
        let ports = [("address", Some(address), 8080), ("admin", admin, 9901)];
        for (key, _, usual) in ports.into_iter().filter(|(_, given, _)| given.is_some_and(|given| given.port() == 0)) {
            section.problem(
                key,
                format!("listen.{key} has port 0, which is another one at each start; name one, such as {usual}"),
            );
        }
    }
    let Some(admin) = admin else { return };
    if !admin.ip().to_canonical().is_loopback() && !section.has("admin_token") {
        section.problem(
            "admin",
            "whoever reaches listen.admin can sign everyone out; write \"127.0.0.1:9901\", or add admin_token = { env = \"VESTIBULE_ADMIN_TOKEN\" }",
        );
    }
    if overlap(address, admin) {
        section.problem(
            "admin",
            format!("listen.admin {admin} is where listen.address {address} listens; give it a port of its own, such as 9901"),
        );
    }
}

/// A secret that a header can carry.
pub fn admin_token(section: &Section<'_>, owners: &mut Owners) -> Option<Secret> {
    let secret = secret(section)?;
    owners.claim(section, &secret, &section.name, Purpose::Login);
    if !secret.expose().iter().all(u8::is_ascii_graphic) {
        let what = "listen.admin_token is sent in a header; make one with `vestibule secret`";
        section.reader.report(section.at, what);
    }
    Some(secret)
}

/// More are no limit.
const MOST_FAILURES: u64 = 1_000_000;

pub fn failures(root: &Section<'_>) -> Option<FailureRule> {
    let section = root.section("limits")?;
    let failures = section.section("failures")?;
    let (count, per) = (failures.whole("count", 1..=MOST_FAILURES), failures.stretch("per"));
    if count.is_none() && !failures.has("count") || per.is_none() && !failures.has("per") {
        section.problem("failures", "limits.failures needs both; write { count = 30, per = \"1m\" }");
    }
    Some(FailureRule { count: u32::try_from(count?).unwrap_or(u32::MAX), per: per? })
}

pub fn log(root: &Section<'_>) -> LogFormat {
    let Some(section) = root.section("log") else {
        return LogFormat::Text;
    };
    section.not_yet("otlp");
    section.choice("format", &[("text", LogFormat::Text), ("json", LogFormat::Json)]).unwrap_or(LogFormat::Text)
}

/// The upstreams, and their names in the same order, those that are wrong included.
pub fn upstreams(root: &Section<'_>, listen: &Listen, tenants: &Tenants) -> (Vec<Upstream>, Vec<String>) {
    let (mut upstreams, mut names) = (Vec::new(), Vec::new());
    for (name, section) in root.named("upstreams") {
        names.push(name.value.to_owned());
        upstreams.push(upstream(name.value, &section, listen, tenants));
    }
    (upstreams, names)
}

fn upstream(name: &str, section: &Section<'_>, listen: &Listen, tenants: &Tenants) -> Upstream {
    let given = section.texts("servers").unwrap_or_default();
    let is_empty = given.is_empty();
    let mut servers = Vec::new();
    for text in given {
        let Some(server) = server(section, text) else { continue };
        if let Some(key) = own_listener(&server, listen) {
            section.reader.report(
                text.at,
                format!("{:?} is listen.{key}, so Vestibule would ask itself; name where the app listens", text.value),
            );
        }
        servers.push(server);
    }
    if is_empty && section.is_list_or_absent("servers") {
        section.problem("servers", format!("{} has no server; add servers = [\"127.0.0.1:3000\"]", section.name));
    }
    if servers.len() > MOST_SERVERS {
        section.problem(
            "servers",
            format!("{} has more than {MOST_SERVERS} servers; put a balancer between", section.name),
        );
    }
    for key in ["tls", "health"] {
        section.not_yet(key);
    }
    let host = section.text("host").filter(|host| host.value != "preserve");
    let host = host.and_then(|host| sent_host(section, host));
    let balance = [("round_robin", Balance::RoundRobin), ("least_requests", Balance::LeastRequests)];
    Upstream {
        name: name.to_owned(),
        balance: section.choice("balance", &balance).unwrap_or(Balance::RoundRobin),
        servers,
        host: host.map(str::to_owned),
        session_cookies: session_cookies(section, tenants),
        connect_timeout: section.waiting("connect_timeout").unwrap_or(Duration::from_secs(2)),
        response_timeout: section.waiting("response_timeout").unwrap_or(Duration::from_secs(60)),
    }
}

pub fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
