//! A configuration becomes a running server, and ends in an orderly way.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    bind::{BindError, Listeners},
    cache::VerifiedCache,
    config::Config,
    gate::Gate,
    ledger::{self, Ledger, LedgerError, StoreSettings},
    limits::FailureLimit,
    listener::{Hours, LAST_CHANCE, serve},
    live::Live,
    repeats,
    time::Clock,
    tunnel,
};

/// Why a server cannot start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("listening sockets cannot be used: {0}; see the limit of file descriptors (ulimit -n)")]
    Sockets(#[from] io::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::OpenError),
}

/// A server that listens. Dropping it stops at once; [`Running::stop`] lets requests in flight end.
pub struct Running {
    pub address: SocketAddr,
    pub admin: Option<SocketAddr>,
    /// What a new configuration replaces.
    pub live: Arc<Live>,
    /// The sockets once more, for a process that takes them over.
    listeners: Option<Listeners>,
    paused: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    /// Ends with the last connection.
    serving: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

/// How often the ledger forgets what has expired.
const SWEEP: Duration = Duration::from_secs(60);

/// How long what was asked for last may take before the ledger is handed over.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// How often it is looked for requests that have outlived their identity.
const LOOK: Duration = Duration::from_millis(500);

/// Starts serving on the current runtime; both listeners are bound when this returns.
pub async fn start(config: &Config, clock: Clock) -> Result<Running, StartError> {
    start_on(config, clock, Listeners::bind(&config.listen)?).await
}

/// Starts serving on sockets that listen already.
pub async fn start_on(config: &Config, clock: Clock, listeners: Listeners) -> Result<Running, StartError> {
    let (stopping, stopped) = watch::channel(false);
    let (paused, is_paused) = watch::channel(false);
    let (closing, is_closing) = watch::channel(false);
    // The admin listener outlives the drain, so that `/readyz` can tell of it.
    let (ended, until_end) = watch::channel(false);
    let ledger = Arc::new(Ledger::open(&config.ledger, &clock).await?);
    if config.ledger.store == StoreSettings::Memory {
        crate::log::caution(
            "the ledger is in memory: a restart forgets which tokens were exchanged and who signed out",
        );
    }
    let live = Arc::new(Live::new(config, ledger.clone(), clock.clone(), stopped.clone()));
    let mut tasks = vec![sweep(ledger, clock, stopped.clone()), end_expired(live.clone())];
    let Listeners { main, admin } = listeners.another()?;
    let (address, admin_address) = listeners.addresses()?;
    if let Some(listener) = admin {
        let hours = Hours { paused: is_paused.clone(), closing: until_end.clone(), stopped: until_end };
        tasks.push(serve(live.admin.clone(), listener, hours));
    }
    let serving = serve(live.public.clone(), main, Hours { paused: is_paused, closing: is_closing, stopped });
    crate::log::serving(address, config.tenants.count(), config.routes.len());
    live.look_up_names();
    Ok(Running {
        address,
        admin: admin_address,
        live,
        listeners: Some(listeners),
        paused,
        closing,
        stopping,
        ended,
        serving,
        tasks,
    })
}

/// The gate of a configuration.
pub fn gate(config: &Config, ledger: Arc<Ledger>) -> Gate {
    ledger.among(config.tenants.count());
    Gate {
        routes: config.route_table(),
        tenants: config.tenants.clone(),
        sessions: config.sessions(),
        ledger,
        failures: Arc::new(FailureLimit::new(config.failures)),
        cache: VerifiedCache::default(),
        repeats: repeats::Repeats::default(),
    }
}

impl Running {
    /// Accepts nothing more, so that connections wait with the kernel, and lets go of what one process alone can hold: another
    /// may take over. Requests in flight go on.
    pub async fn pause(&self) -> Result<(), LedgerError> {
        // Whoever listened is gone already if nobody receives this.
        let _ = self.paused.send(true);
        if self.live.ledger.is_for_one() {
            // Who signs in or out over a connection that is open would be refused once it is released.
            let _ = self.closing.send(true);
            tokio::time::sleep(LAST_CHANCE).await;
            let end = tokio::time::Instant::now() + LAST_ANSWERS;
            while self.live.places.taken() > 0 && tokio::time::Instant::now() < end {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        self.live.ledger.release().await
    }

    /// Goes on after a pause: nobody took over.
    pub async fn resume(&self) {
        if let Err(e) = self.live.ledger.resume().await {
            crate::log::caution(&format!("nobody can sign in or out: {e}"));
        }
        let _ = self.closing.send(false);
        self.accept_again();
    }

    /// Accepts again after a pause, be it for the last time.
    pub fn accept_again(&self) {
        let _ = self.paused.send(false);
    }

    /// The sockets, for another process.
    pub fn listeners(&self) -> Option<&Listeners> {
        self.listeners.as_ref()
    }

    /// Accepts what waits with the kernel, unless paused, then nothing more, and waits for requests in flight, until clients have
    /// their answers, at most `grace`.
    pub async fn stop(mut self, grace: Duration) {
        let in_flight = || self.live.places.taken();
        crate::log::stopping(in_flight());
        // As long as it is open, nobody is refused.
        self.listeners = None;
        // Whoever listened is gone already if nobody receives this.
        let _ = self.stopping.send(true);
        let _ = self.closing.send(true);
        let goodbye = tunnel::GOODBYE.min(grace);
        if tokio::time::timeout(grace.saturating_sub(goodbye), &mut self.serving).await.is_err() {
            self.live.end_tunnels();
            // What is left at the end is said below.
            let _ = tokio::time::timeout(goodbye, &mut self.serving).await;
        }
        crate::log::stopped(in_flight());
        // Closed in order: whoever starts next need not wait for the end of this process.
        if let Err(e) = self.live.ledger.release().await {
            crate::log::caution(&format!("the ledger is not closed in order: {e}"));
        }
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

/// Goes on while requests are finished after the end.
fn end_expired(live: Arc<Live>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(LOOK).await;
            live.end_expired();
        }
    })
}

fn sweep(ledger: Arc<Ledger>, clock: Clock, mut stopped: watch::Receiver<bool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut is_told = false;
        while tokio::time::timeout(SWEEP, stopped.changed()).await.is_err() {
            ledger.sweep(clock.settled());
            let set_back = clock.set_back();
            if set_back > 60 && !is_told {
                crate::log::caution(&format!(
                    "the system's clock was set back by {set_back} s; sessions and tokens go by the time that has passed since the start, restart to go by the clock"
                ));
            }
            is_told = set_back > 60;
        }
    })
}
