//! A configuration becomes a running server, and ends in an orderly way.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::IntoRawFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use pingora::{
    apps::http_app::HttpServer,
    proxy::http_proxy,
    server::{Fds, ListenFds, configuration::ServerConf},
    services::{Service as _, listening::Service},
};
use thiserror::Error;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
};

use crate::{
    admin::Admin,
    cache::VerifiedCache,
    config::{Config, LedgerChoice},
    gate::Gate,
    ledger::{Ledger, MemoryLedger},
    limits::FailureLimit,
    proxy::Door,
    time::Clock,
};

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("{address} cannot be listened on: {error}; stop what listens there, or change listen.{key}")]
    Bind { key: &'static str, address: SocketAddr, error: io::Error },
}

/// A server that listens. Dropping it stops at once; [`Running::stop`] lets requests in flight end.
pub struct Running {
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    stopping: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    in_flight: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<()>>,
}

/// How often the ledger forgets what has expired.
const SWEEP: Duration = Duration::from_secs(60);

/// Starts serving on the current runtime; both listeners are bound when this returns.
pub fn start(config: &Config, clock: Clock) -> Result<Running, StartError> {
    // Bound here and not by Pingora, which tries for half a minute and then panics in a task of its own.
    let listener = bind("address", config.listen.address)?;
    let admin_listener = config.listen.admin.map(|address| bind("admin", address)).transpose()?;
    let (stopping, stopped) = watch::channel(false);
    let in_flight = Arc::new(AtomicUsize::new(0));
    let ledger = Arc::new(match config.ledger {
        LedgerChoice::Memory { most } => {
            crate::log::caution(
                "the ledger is in memory: a restart forgets which tokens were exchanged and who signed out",
            );
            Ledger::Memory(MemoryLedger::new(most))
        }
    });
    let mut tasks = vec![sweep(ledger.clone(), clock.clone(), stopped.clone())];
    let mut running_admin = None;
    // The admin listener outlives the drain, so that `/readyz` can tell of it.
    let (ended, until_end) = watch::channel(false);
    if let Some((listener, address)) = admin_listener {
        running_admin = Some(address);
        tasks.push(serve(HttpServer::new_app(Admin::new(stopped.clone())), listener, address, until_end));
    }
    let (listener, address) = listener;
    let conf = Arc::new(ServerConf { threads: config.listen.threads.max(1), ..ServerConf::default() });
    let door = Door::new(config, gate(config, ledger), clock, in_flight.clone());
    tasks.push(serve(http_proxy(&conf, door), listener, address, stopped));
    crate::log::serving(address, config.tenants.count(), config.routes.len());
    Ok(Running { address, admin: running_admin, stopping, ended, in_flight, tasks })
}

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
    /// Accepts nothing more and waits for requests in flight, at most `grace`.
    pub async fn stop(self, grace: Duration) {
        let in_flight = || self.in_flight.load(Ordering::Relaxed);
        crate::log::stopping(in_flight());
        // Whoever listened is gone already if nobody receives this.
        let _ = self.stopping.send(true);
        let ended = async {
            while in_flight() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // What is left at the end is said below.
        let _ = tokio::time::timeout(grace, ended).await;
        crate::log::stopped(in_flight());
        let _ = self.ended.send(true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
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

/// Serves an app of Pingora's on a listener of ours, handed over as it hands over its own on an upgrade.
pub(crate) fn serve<A>(
    app: A,
    listener: TcpListener,
    address: SocketAddr,
    stopped: watch::Receiver<bool>,
) -> JoinHandle<()>
where
    A: pingora::apps::ServerApp + Send + Sync + 'static,
{
    let name = address.to_string();
    let mut fds = Fds::new();
    fds.add(name.clone(), listener.into_raw_fd());
    let fds: ListenFds = Arc::new(parking_lot::Mutex::new(fds));
    let mut service = Service::new("vestibule".to_owned(), app);
    service.add_tcp(&name);
    tokio::spawn(async move { service.start_service(Some(fds), stopped, 1).await })
}

fn sweep(ledger: Arc<Ledger>, clock: Clock, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        while tokio::time::timeout(SWEEP, stopped.changed()).await.is_err() {
            ledger.sweep(clock.now());
        }
    })
}
