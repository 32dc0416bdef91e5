//! Upstreams: the servers of an app, and which of them gets the next request.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use pingora::{Error, ErrorType, upstreams::peer::HttpPeer};
use tokio::net::TcpStream;

use crate::{
    config::{Balance, ServerAddress, Upstream},
    dial::{Dial, Idle},
    log,
};

/// How long a resolved name is believed.
const NAME_LIFETIME: Duration = Duration::from_secs(30);

/// How long a name may take that is looked up ahead of requests.
const LOOK_UP: Duration = Duration::from_secs(10);

/// The servers of one `[upstreams.…]`.
pub struct Pool {
    pub config: Upstream,
    pub name: Arc<str>,
    servers: Vec<Server>,
    next: AtomicUsize,
}

struct Server {
    address: ServerAddress,
    resolved: ArcSwapOption<(SocketAddr, Instant)>,
    in_flight: Arc<AtomicUsize>,
    idle: Arc<Idle>,
}

/// Which servers a request could not reach: a bit for each of at most [`MOST_SERVERS`](crate::config::MOST_SERVERS). And why,
/// for the log.
#[derive(Debug, Default)]
pub struct Unreached {
    servers: u64,
    why: Vec<String>,
}

impl Unreached {
    fn has(&self, at: usize) -> bool {
        self.servers & (1 << at) != 0
    }

    fn note(&mut self, at: usize, why: String) {
        self.servers |= 1 << at;
        self.why.push(why);
    }
}

/// The server a request goes to, counted as in flight there until dropped.
pub struct Picked {
    at: usize,
    dial: Arc<Dial>,
    _in_flight: InFlight,
}

impl Picked {
    /// How the request has its connection to the server.
    pub fn dial(&self) -> &Dial {
        &self.dial
    }
}

/// Counts a request as in flight until dropped.
pub struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one more.
    pub fn on(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter.clone())
    }

    /// Counts one more, as long as there are no more than that.
    pub fn within(counter: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let counted = Self::on(counter);
        (counter.load(Ordering::Relaxed) <= most).then_some(counted)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    /// The pool of an upstream.
    pub fn new(config: &Upstream) -> Self {
        let server = |address: &ServerAddress| Server {
            address: address.clone(),
            resolved: ArcSwapOption::empty(),
            in_flight: Arc::default(),
            idle: Arc::default(),
        };
        Self {
            servers: config.servers.iter().map(server).collect(),
            config: config.clone(),
            name: config.name.as_str().into(),
            next: AtomicUsize::new(0),
        }
    }

    /// Closes connections that nobody has used for too long.
    pub fn close_old(&self) {
        for server in &self.servers {
            server.idle.close_old();
        }
    }

    /// Where a picked server listens.
    pub fn address(&self, server: &Picked) -> &ServerAddress {
        &self.servers[server.at].address
    }

    /// Leaves a server that could not be connected to out of the next try. Whether there is another.
    pub fn failed(&self, server: &Picked, error: &Error, unreached: &mut Unreached) -> bool {
        unreached.note(server.at, self.connect_failure(server, error));
        (0..self.servers.len()).any(|at| !unreached.has(at))
    }

    /// A server for a request, none of those it could not reach; `None` when none is left.
    pub async fn pick(&self, unreached: &mut Unreached, timeout: Duration) -> Option<(HttpPeer, Picked)> {
        // A name that does not resolve is a server that cannot be reached: the next may be.
        while let Some(at) = self.next(unreached) {
            match self.servers[at].peer(self.config.connect_timeout).await {
                Ok(mut peer) => {
                    let server = &self.servers[at];
                    let dial = Arc::new(Dial::new(&server.idle));
                    peer.options.custom_l4 = Some(dial.clone());
                    let picked = Picked { at, dial, _in_flight: InFlight::on(&server.in_flight) };
                    return Some((self.with_options(peer, timeout), picked));
                }
                Err(e) => unreached.note(at, format!("{} {e}", self.servers[at].address)),
            }
        }
        None
    }

    /// Which server failed a request, and how; without one, each that could not be reached.
    pub fn failure(&self, server: Option<&Picked>, error: &Error, unreached: &Unreached) -> String {
        let Some(server) = server else {
            let is_any = !unreached.why.is_empty();
            return if is_any { unreached.why.join("; ") } else { error.etype().as_str().to_owned() };
        };
        let what = match error.etype() {
            ErrorType::ReadTimedout => "timed out: nothing came within response_timeout".to_owned(),
            ErrorType::WriteTimedout => "timed out: it takes nothing of the request".to_owned(),
            ErrorType::ConnectionClosed => "closed the connection before the end of its answer".to_owned(),
            other => other.as_str().to_owned(),
        };
        format!("{}: {what}", self.address(server))
    }

    fn connect_failure(&self, server: &Picked, error: &Error) -> String {
        let why = match error.etype() {
            ErrorType::ConnectTimedout => {
                format!("timed out: not connected within {:?}", self.config.connect_timeout)
            }
            ErrorType::ConnectRefused => "connection refused".to_owned(),
            ErrorType::ConnectNoRoute => "no route to it".to_owned(),
            // Of a unix socket or the system's limits: the system's own words.
            other => of_system(error).unwrap_or_else(|| other.as_str().to_owned()),
        };
        format!("{}: {why}", self.address(server))
    }

    /// Says which names do not resolve now. It holds nobody up: they may resolve later, when somebody asks.
    pub async fn look_up_names(&self) {
        for server in &self.servers {
            if let ServerAddress::Name(name, port) = &server.address
                && let Err(e) = server.resolve(name, *port, LOOK_UP).await
            {
                let (upstream, address) = (&self.name, &server.address);
                log::caution(&format!(
                    "upstreams.{upstream}: {address} {e}; correct the name, or see that this machine can resolve it"
                ));
            }
        }
    }

    fn next(&self, unreached: &Unreached) -> Option<usize> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = (0..self.servers.len()).map(|step| (turn + step) % self.servers.len());
        let mut left = in_turn.filter(|at| !unreached.has(*at));
        match self.config.balance {
            Balance::RoundRobin => left.next(),
            Balance::LeastRequests => left.min_by_key(|at| self.servers[*at].in_flight.load(Ordering::Relaxed)),
        }
    }

    fn with_options(&self, mut peer: HttpPeer, timeout: Duration) -> HttpPeer {
        let options = &mut peer.options;
        options.connection_timeout = Some(self.config.connect_timeout);
        options.total_connection_timeout = Some(self.config.connect_timeout);
        options.read_timeout = Some(timeout);
        options.write_timeout = Some(self.config.response_timeout);
        peer
    }
}

impl Server {
    async fn peer(&self, patience: Duration) -> Result<HttpPeer, String> {
        match &self.address {
            ServerAddress::Socket(address) => Ok(HttpPeer::new(*address, false, String::new())),
            ServerAddress::Unix(path) => {
                let path = path.to_str().ok_or("is not text")?;
                HttpPeer::new_uds(path, false, String::new()).map_err(|e| format!("cannot be a socket: {e}"))
            }
            ServerAddress::Name(name, port) => {
                Ok(HttpPeer::new(self.resolve(name, *port, patience).await?, false, String::new()))
            }
        }
    }

    /// Resolved here and kept for a while: Pingora would block on it, and panic where it fails. An error reads on after the name.
    async fn resolve(&self, name: &str, port: u16, patience: Duration) -> Result<SocketAddr, String> {
        let known = self.resolved.load_full();
        if let Some(known) = known.as_deref().filter(|(_, at)| at.elapsed() < NAME_LIFETIME) {
            return Ok(known.0);
        }
        let found = match tokio::time::timeout(patience, tokio::net::lookup_host((name, port))).await {
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(first) => Ok(answering(first, addresses, patience).await),
                None => Err("does not resolve: it has no address".to_owned()),
            },
            Ok(Err(e)) => Err(format!("does not resolve: {e}")),
            Err(_) => Err(format!("does not resolve within {patience:?}")),
        };
        // A resolver that is down takes nothing away that worked, and is asked again after a while only.
        let address = found.or_else(|e| known.map(|known| known.0).ok_or(e))?;
        self.resolved.store(Some(Arc::new((address, Instant::now()))));
        Ok(address)
    }
}

/// What the system said, below what Pingora makes of it.
fn of_system(error: &Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.root_cause());
    while let Some(error) = cause {
        if let Some(e) = error.downcast_ref::<std::io::Error>() {
            return Some(e.to_string());
        }
        cause = error.source();
    }
    None
}

/// Of several addresses the first that can be connected to: `localhost` is often `::1` first, and the app on 127.0.0.1.
async fn answering(first: SocketAddr, others: impl Iterator<Item = SocketAddr>, patience: Duration) -> SocketAddr {
    let mut others = others.peekable();
    if others.peek().is_none() {
        return first;
    }
    for address in std::iter::once(first).chain(others) {
        if matches!(tokio::time::timeout(patience, TcpStream::connect(address)).await, Ok(Ok(_))) {
            return address;
        }
    }
    first
}
