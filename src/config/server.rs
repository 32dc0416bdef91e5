//! `[listen]`, `[upstreams]`, `[limits]` and `[log]`.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use rustls::ServerConfig;

use super::{
    identity::{self, IdentityHeaders},
    proxies::trusted_proxies,
    reader::{Placed, Section},
    tls::tls,
};
pub use crate::leftovers::is_cookie_name;
use crate::{
    leftovers::{MOST_NAMES, Name, Names},
    limits::FailureRule,
    secret::Secret,
};

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

/// Reads `[listen]`. What is a header of ours by `identity`, no proxy may send.
pub fn listen(root: &Section<'_>, identity: &IdentityHeaders) -> Listen {
    let mut listen = Listen {
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
    };
    let Some(section) = root.section("listen") else {
        return listen;
    };
    let address = |text: &str| text.parse::<SocketAddr>().ok();
    listen.address = section.parsed("address", "an address; write \"0.0.0.0:8080\"", address).unwrap_or(listen.address);
    listen.admin = section.parsed("admin", "an address; write \"127.0.0.1:9901\"", address);
    listen.admin_token = section.section("admin_token").as_ref().and_then(admin_token);
    if listen.admin.is_some_and(|admin| !admin.ip().is_loopback()) && !section.has("admin_token") {
        section.problem(
            "admin",
            "whoever reaches listen.admin can sign everyone out; write \"127.0.0.1:9901\", or add admin_token = { env = \"VESTIBULE_ADMIN_TOKEN\" }",
        );
    }
    for host in section.texts("admin_hosts").unwrap_or_default() {
        match crate::head::Host::parse(host.value).filter(|host| host.port.is_none()) {
            Some(host) => listen.admin_hosts.push(host.name.into_owned()),
            None => {
                let what =
                    format!("{:?} is not a valid host name without a port; write \"vestibule.internal\"", host.value);
                section.reader.report(host.at, what);
            }
        }
    }
    listen.tls = tls(&section);
    listen.header_timeout = section.waiting("header_timeout").unwrap_or(listen.header_timeout);
    listen.max_connections = section.whole("max_connections", 1).map(to_usize);
    listen.threads = section.whole("threads", 0).map_or(listen.threads, to_usize);
    listen.trusted_proxies = trusted_proxies(&section);
    listen.forwarded_headers = identity::forwarded_headers(&section, identity);
    listen.idle_timeout = section.waiting("idle_timeout").unwrap_or(listen.idle_timeout);
    listen.body_timeout = section.waiting("body_timeout").unwrap_or(listen.body_timeout);
    listen.max_header_bytes = section.size("max_header_bytes").map_or(listen.max_header_bytes, to_usize);
    if listen.max_header_bytes < 1 << 10 {
        section.problem("max_header_bytes", "listen.max_header_bytes lets no browser in; write \"32KiB\"");
    }
    listen.shutdown_grace = section.duration("shutdown_grace").unwrap_or(listen.shutdown_grace);
    listen
}

/// A secret that a header can carry.
fn admin_token(section: &Section<'_>) -> Option<Secret> {
    let secret = super::keys::secret(section)?;
    if !secret.expose().iter().all(u8::is_ascii_graphic) {
        let what = "listen.admin_token is sent in a header; make one with `vestibule secret`";
        section.reader.report(section.at, what);
    }
    Some(secret)
}

pub fn failures(root: &Section<'_>) -> Option<FailureRule> {
    let section = root.section("limits")?;
    let failures = section.section("failures")?;
    let (count, per) = (failures.whole("count", 1), failures.lasting("per"));
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
pub fn upstreams(root: &Section<'_>) -> (Vec<Upstream>, Vec<String>) {
    let (mut upstreams, mut names) = (Vec::new(), Vec::new());
    for (name, section) in root.named("upstreams") {
        names.push(name.value.to_owned());
        upstreams.push(upstream(name.value, &section));
    }
    (upstreams, names)
}

fn upstream(name: &str, section: &Section<'_>) -> Upstream {
    let given = section.texts("servers").unwrap_or_default();
    let is_empty = given.is_empty();
    let servers: Vec<ServerAddress> = given.into_iter().filter_map(|text| server(section, text)).collect();
    if is_empty {
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
    let host = section.text("host").map(|host| host.value).filter(|host| *host != "preserve");
    if host.is_some_and(|host| crate::head::Host::parse(host).is_none()) {
        section.problem("host", format!("{}.host is no host; write \"preserve\" or the Host to send", section.name));
    }
    let balance = [("round_robin", Balance::RoundRobin), ("least_requests", Balance::LeastRequests)];
    Upstream {
        name: name.to_owned(),
        balance: section.choice("balance", &balance).unwrap_or(Balance::RoundRobin),
        servers,
        host: host.map(str::to_owned),
        session_cookies: session_cookies(section),
        connect_timeout: section.waiting("connect_timeout").unwrap_or(Duration::from_secs(2)),
        response_timeout: section.waiting("response_timeout").unwrap_or(Duration::from_secs(60)),
    }
}

fn session_cookies(section: &Section<'_>) -> Names {
    const KEY: &str = "session_cookies";
    if section.is_text(KEY, "all") {
        // Read, so that it is not an unknown key.
        section.text(KEY);
        return Names::All;
    }
    let texts = section.texts(KEY).unwrap_or_default();
    if texts.len() > MOST_NAMES {
        section.problem(KEY, format!("{}.{KEY} has more than {MOST_NAMES} names; write \"all\"", section.name));
    }
    let name = |text: Placed<&str>| {
        let (stem, name): (_, fn(String) -> Name) = match text.value.strip_suffix('*') {
            Some(stem) => (stem, Name::Prefix),
            None => (text.value, Name::Exact),
        };
        if is_cookie_name(stem) && !stem.contains('*') {
            return Some(name(stem.to_owned()));
        }
        let remedy = match text.value {
            "*" => "write session_cookies = \"all\" for every cookie that the app sets",
            value if value.contains('*') => "a * may stand at its end alone: \"jupyterhub-user-*\"",
            _ => "write it as the app sets it: \"sessionid\"",
        };
        section.reader.report(text.at, format!("{:?} is no cookie name; {remedy}", text.value));
        None
    };
    Names::Listed(texts.into_iter().filter_map(name).collect())
}

fn server(section: &Section<'_>, text: Placed<&str>) -> Option<ServerAddress> {
    let wrong = || {
        let what = format!("{:?} is no server; write \"127.0.0.1:3000\", \"name:3000\" or \"unix:/path\"", text.value);
        section.reader.report(text.at, what);
    };
    if let Some(path) = text.value.strip_prefix("unix:") {
        if !path.starts_with('/') {
            wrong();
            return None;
        }
        return Some(ServerAddress::Unix(path.into()));
    }
    if let Ok(address) = text.value.parse() {
        return Some(ServerAddress::Socket(address));
    }
    match crate::head::Host::parse(text.value) {
        Some(host) if host.port.is_some() && !host.name.starts_with('[') => {
            Some(ServerAddress::Name(host.name.into_owned(), host.port?))
        }
        _ => {
            wrong();
            None
        }
    }
}

pub fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
