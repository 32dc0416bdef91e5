//! What a new configuration replaces while the server runs, at once and whole, and what it leaves.
//!
//! Replaced: the door, with routes, tenants, keys and everything known of credentials, and how new connections are taken.
//! Left: the ledger, what clients have failed at where that rule is the same, connections to the app, and the counters.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, http_app::HttpServer},
    protocols::http::{
        ServerSession,
        v2::server::{H2Options, default_h2_options},
    },
    proxy::{HttpProxy, http_proxy},
    server::{ShutdownWatch, configuration::ServerConf},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::watch;

use crate::{
    admin::Admin,
    config::{Config, Listen, LogFormat, MAX_CONNECTIONS},
    connection::Limits,
    ledger::{Ledger, Settings},
    listener::{Manner, Reception},
    metrics::Metrics,
    places::Places,
    proxy::{Current, Door},
    reloads::Reloads,
    secret::Secret,
    server::gate,
    time::Clock,
    underway,
};

/// A server, as far as configurations change it.
pub struct Live {
    current: Current,
    proxy: Arc<HttpProxy<Current>>,
    pub(crate) public: Arc<ArcSwap<Reception<Bounded>>>,
    pub(crate) admin: Arc<ArcSwap<Reception<HttpServer<Admin>>>>,
    /// What the admin endpoints begin with; tenants and token are those of each configuration.
    first_admin: Admin,
    pub(crate) ledger: Arc<Ledger>,
    /// How many requests there are, and may be in the first configuration.
    pub(crate) places: Places,
    clock: Clock,
    lasting: Lasting,
    grace: Mutex<Duration>,
    /// What the admin endpoints ask for now.
    token: Mutex<Option<Secret>>,
    /// How often a configuration was taken, or was not.
    pub reloads: Arc<Reloads>,
}

/// What stays as it was at the start.
#[derive(PartialEq)]
struct Lasting {
    address: std::net::SocketAddr,
    admin: Option<std::net::SocketAddr>,
    threads: usize,
    ledger: Settings,
    log: LogFormat,
}

impl Live {
    /// What begins with a configuration. `stopping` turns true when the server drains.
    pub fn new(config: &Config, ledger: Arc<Ledger>, clock: Clock, stopping: watch::Receiver<bool>) -> Self {
        let max_connections = affordable(config.listen.max_connections);
        let places = Places::new(max_connections);
        let door = Door::new(config, gate(config, ledger.clone()), clock.clone(), places.clone(), None);
        let current = Current::new(door);
        let conf = Arc::new(ServerConf { threads: config.listen.threads.max(1), ..ServerConf::default() });
        let proxy = Arc::new(http_proxy(&conf, current.clone()));
        let public = Arc::new(ArcSwap::from_pointee(reception(&proxy, &config.listen, max_connections)));
        let reloads = Arc::new(Reloads::default());
        let first_admin = Admin {
            stopping,
            metrics: Arc::new(Metrics::new(ledger.clone(), reloads.clone(), current.door().websockets())),
            ledger: ledger.clone(),
            tenants: config.tenants.clone(),
            token: config.listen.admin_token.clone(),
            hosts: config.listen.admin_hosts.clone().into(),
            clock: clock.clone(),
        };
        let admin =
            Reception { app: Arc::new(HttpServer::new_app(first_admin.clone())), manner: manner(&config.listen) };
        Self {
            current,
            proxy,
            public,
            admin: Arc::new(ArcSwap::from_pointee(admin)),
            first_admin,
            ledger,
            places,
            clock,
            lasting: Lasting::of(config),
            grace: Mutex::new(config.listen.shutdown_grace),
            token: Mutex::new(config.listen.admin_token.clone()),
            reloads,
        }
    }

    /// Says which names of servers do not resolve, without waiting for them.
    pub fn look_up_names(&self) {
        self.current.door().look_up_names();
    }

    /// Ends the requests of those who would not be admitted any more.
    pub fn end_expired(&self) {
        self.current.door().end_expired();
    }

    /// Ends WebSockets: the process is about to.
    pub fn end_tunnels(&self) {
        self.current.door().end_tunnels();
    }

    /// Puts another configuration in the place of the one before. Returns what only a restart can change, by its key.
    pub fn apply(&self, config: &Config) -> Vec<&'static str> {
        let max_connections = affordable(config.listen.max_connections);
        let places = self.places.resized(max_connections);
        let before = self.current.door();
        let gate = gate(config, self.ledger.clone());
        self.current.replace(Door::new(config, gate, self.clock.clone(), places, Some(&before)));
        // What is open under the configuration before, and would not be admitted any more, need not wait for the next look.
        self.end_expired();
        let mut listen = config.listen.clone();
        if listen.address != self.lasting.address && listen.tls.is_none() {
            // What is meant for another address is no reason to go on without TLS at this one.
            listen.tls = self.public.load().manner.tls.clone();
        }
        self.public.store(Arc::new(reception(&self.proxy, &listen, max_connections)));
        let mut token = config.listen.admin_token.clone();
        if token.is_none() && self.lasting.admin.is_some_and(|admin| !admin.ip().is_loopback()) {
            // The socket stays where anybody can reach it until a restart.
            token = self.token.lock().clone();
        }
        self.token.lock().clone_from(&token);
        let hosts = config.listen.admin_hosts.clone().into();
        let admin = Admin { tenants: config.tenants.clone(), token, hosts, ..self.first_admin.clone() };
        let app = Arc::new(HttpServer::new_app(admin));
        self.admin.store(Arc::new(Reception { app, manner: manner(&config.listen) }));
        *self.grace.lock() = config.listen.shutdown_grace;
        self.lasting.changed(&Lasting::of(config))
    }

    /// How long requests in flight may go on after the end.
    pub fn grace(&self) -> Duration {
        *self.grace.lock()
    }
}

impl Lasting {
    fn of(config: &Config) -> Self {
        Self {
            address: config.listen.address,
            admin: config.listen.admin,
            threads: config.listen.threads,
            ledger: config.ledger.clone(),
            log: config.log,
        }
    }

    fn changed(&self, other: &Self) -> Vec<&'static str> {
        let keys = [
            ("listen.address", self.address == other.address),
            ("listen.admin", self.admin == other.admin),
            ("listen.threads", self.threads == other.threads),
            ("[ledger]", self.ledger == other.ledger),
            ("log.format", self.log == other.log),
        ];
        keys.into_iter().filter(|(_, is_same)| !is_same).map(|(key, _)| key).collect()
    }
}

/// The proxy within the bounds of one configuration. What it has open to the app is that of all.
pub struct Bounded {
    proxy: Arc<HttpProxy<Current>>,
    http: HttpServerOptions,
    h2: H2Options,
}

#[async_trait]
impl HttpServerApp for Bounded {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        underway::endable(self.proxy.process_new_http(session, shutdown)).await.flatten()
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.http)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
    }
}

fn reception(proxy: &Arc<HttpProxy<Current>>, listen: &Listen, max_connections: usize) -> Reception<Bounded> {
    let app = Bounded { proxy: proxy.clone(), http: http_options(listen), h2: h2_options(listen) };
    let manner = Manner { tls: listen.tls.clone(), max_connections, ..manner(listen) };
    Reception { app: Arc::new(app), manner }
}

/// What Pingora is to know of a listener: nothing but HTTP/2, which has no requests for so long.
fn http_options(listen: &Listen) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(listen.idle_timeout);
    options
}

/// The bounds of HTTP/2. Pingora's defaults are where to begin: those of `h2` alone have none.
fn h2_options(listen: &Listen) -> H2Options {
    let mut options = default_h2_options();
    options.max_header_list_size(u32::try_from(listen.max_header_bytes).unwrap_or(u32::MAX));
    // What may wait to be sent of each stream: 400 KiB unless told.
    options.max_send_buffer_size(H2_SEND_BUFFER);
    options
}

const H2_SEND_BUFFER: usize = 64 << 10;

/// How a listener of this configuration takes connections.
pub(crate) fn manner(listen: &Listen) -> Manner {
    let limits =
        Limits { head: listen.header_timeout, idle: listen.idle_timeout, max_header_bytes: listen.max_header_bytes };
    Manner { tls: None, limits, max_connections: MAX_CONNECTIONS }
}

/// So many connections as there can be with the file descriptors the system gives, of which each takes two: one is the app's.
/// Without this the last of them would be taken from the app's side, and all were refused for the sake of some.
fn affordable(asked: Option<usize>) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // More than the system gives by default, but never more than it allows.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let descriptors =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    let most = (descriptors.saturating_sub(OWN_DESCRIPTORS) / 2).max(1);
    let wanted = asked.unwrap_or(MAX_CONNECTIONS);
    if asked.is_some() && most < wanted {
        crate::log::caution(&format!(
            "listen.max_connections is {wanted}, but with {descriptors} file descriptors there are {most} at most; raise the limit (ulimit -n)"
        ));
    }
    most.min(wanted)
}

/// For the log, listeners, idle connections to the app.
const OWN_DESCRIPTORS: usize = 256;
