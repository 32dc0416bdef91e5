//! A configuration becomes a running server, and ends in an orderly way.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pingora::{
    apps::{HttpServerOptions, http_app::HttpServer},
    protocols::http::v2::server::{H2Options, default_h2_options},
    proxy::http_proxy,
    server::configuration::ServerConf,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    admin::Admin,
    cache::VerifiedCache,
    config::{Config, Listen, MAX_CONNECTIONS},
    connection::Limits,
    gate::Gate,
    ledger::{self, Ledger, StoreSettings},
    limits::FailureLimit,
    listener::{Manner, serve},
    proxy::{Door, InFlightLimit},
    time::Clock,
};

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{address} cannot be listened on: {error}; stop what listens there, or change listen.{key}")]
    Bind { key: &'static str, address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Ledger(#[from] ledger::OpenError),
}

/// A server that listens. Dropping it stops at once; [`Running::stop`] lets requests in flight end.
pub struct Running {
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    stopping: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    in_flight: Arc<AtomicUsize>,
    ledger: Arc<Ledger>,
    /// Ends with the last connection.
    serving: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// How often the ledger forgets what has expired.
const SWEEP: Duration = Duration::from_secs(60);

/// Starts serving on the current runtime; both listeners are bound when this returns.
pub async fn start(config: &Config, clock: Clock) -> Result<Running, StartError> {
    // Bound here and not by Pingora, which tries for half a minute and then panics in a task of its own.
    let listener = bind("address", config.listen.address)?;
    let admin_listener = config.listen.admin.map(|address| bind("admin", address)).transpose()?;
    let (stopping, stopped) = watch::channel(false);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let ledger = Arc::new(Ledger::open(&config.ledger, &clock).await?);
    if config.ledger.store == StoreSettings::Memory {
        crate::log::caution(
            "the ledger is in memory: a restart forgets which tokens were exchanged and who signed out",
        );
    }
    let mut tasks = vec![sweep(ledger.clone(), clock.clone(), stopped.clone())];
    let mut running_admin = None;
    // The admin listener outlives the drain, so that `/readyz` can tell of it.
    let (ended, until_end) = watch::channel(false);
    if let Some((listener, address)) = admin_listener {
        running_admin = Some(address);
        tasks.push(serve(
            HttpServer::new_app(Admin::new(stopped.clone())),
            listener,
            manner(&config.listen),
            until_end,
        ));
    }
    let (listener, address) = listener;
    let conf = Arc::new(ServerConf { threads: config.listen.threads.max(1), ..ServerConf::default() });
    let max_connections = affordable(config.listen.max_connections);
    let door = Door::new(
        config,
        gate(config, ledger.clone()),
        clock,
        InFlightLimit { count: in_flight.clone(), most: max_connections },
    );
    let mut proxy = http_proxy(&conf, door);
    proxy.server_options = Some(http_options(&config.listen));
    proxy.h2_options = Some(h2_options(&config.listen));
    let manner = Manner { tls: config.listen.tls.clone(), max_connections, ..manner(&config.listen) };
    let serving = serve(proxy, listener, manner, stopped);
    crate::log::serving(address, config.tenants.count(), config.routes.len());
    Ok(Running { address, admin: running_admin, stopping, ended, in_flight, ledger, serving, tasks })
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

/// The gate of a configuration.
pub fn gate(config: &Config, ledger: Arc<Ledger>) -> Gate {
    Gate {
        routes: config.route_table(),
        tenants: config.tenants.clone(),
        sessions: config.sessions(),
        ledger,
        failures: Arc::new(FailureLimit::new(config.failures)),
        cache: VerifiedCache::default(),
    }
}

impl Running {
    /// Accepts nothing more and waits for requests in flight, until clients have their answers, at most `grace`.
    pub async fn stop(mut self, grace: Duration) {
        let in_flight = || self.in_flight.load(Ordering::Relaxed);
        crate::log::stopping(in_flight());
        // Whoever listened is gone already if nobody receives this.
        let _ = self.stopping.send(true);
        // What is left at the end is said below.
        let _ = tokio::time::timeout(grace, &mut self.serving).await;
        crate::log::stopped(in_flight());
        // Closed in order: whoever starts next need not wait for the end of this process.
        self.ledger.release().await;
        let _ = self.ended.send(true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in self.tasks.iter().chain([&self.serving]) {
            task.abort();
        }
    }
}

/// SIGTERM, SIGINT and SIGHUP, received from when this is made.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl StopSignals {
    /// Starts receiving, before anything listens: a signal in between must not kill.
    pub fn receive() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one. SIGHUP, by which operators reload, must not end what it cannot reload.
    pub async fn wait(&mut self) {
        loop {
            tokio::select! {
                // In the order they were sent, should both be there.
                biased;
                _ = self.hangup.recv() => {
                    crate::log::caution("the configuration is not reloaded on SIGHUP; restart to apply a change");
                }
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
            }
        }
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|error| StartError::Bind { key, address, error })
}

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

fn sweep(ledger: Arc<Ledger>, clock: Clock, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while tokio::time::timeout(SWEEP, stopped.changed()).await.is_err() {
            ledger.sweep(clock.now());
        }
    })
}
