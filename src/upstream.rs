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
use pingora::upstreams::peer::HttpPeer;
use tokio::net::TcpStream;

use crate::{
    config::{Balance, ServerAddress, Upstream},
    dial::{Dial, Idle},
};

/// How long a resolved name is believed.
const NAME_LIFETIME: Duration = Duration::from_secs(30);

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

/// Which servers a request could not reach: a bit for each of at most [`MOST_SERVERS`](crate::config::MOST_SERVERS).
#[derive(Clone, Copy, Debug, Default)]
pub struct Unreached(u64);

impl Unreached {
    fn has(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }

    /// Leaves a server out of the next try.
    pub fn mark(&mut self, server: &Picked) {
        self.0 |= 1 << server.at;
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

    /// Whether there is a server left to try.
    pub fn has_more(&self, unreached: Unreached) -> bool {
        (0..self.servers.len()).any(|at| !unreached.has(at))
    }

    /// A server for a request, none of those it could not reach.
    pub async fn pick(&self, unreached: &mut Unreached, timeout: Duration) -> Result<(HttpPeer, Picked), String> {
        let mut error = "no server can be reached".to_owned();
        // A name that does not resolve is a server that cannot be reached: the next may be.
        while let Some(at) = self.next(*unreached) {
            match self.servers[at].peer(self.config.connect_timeout).await {
                Ok(mut peer) => {
                    let server = &self.servers[at];
                    let dial = Arc::new(Dial::new(&server.idle));
                    peer.options.custom_l4 = Some(dial.clone());
                    let picked = Picked { at, dial, _in_flight: InFlight::on(&server.in_flight) };
                    return Ok((self.with_options(peer, timeout), picked));
                }
                Err(e) => {
                    unreached.0 |= 1 << at;
                    error = e;
                }
            }
        }
        Err(error)
    }

    fn next(&self, unreached: Unreached) -> Option<usize> {
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
                let path = path.to_str().ok_or("socket path is not text")?;
                HttpPeer::new_uds(path, false, String::new()).map_err(|e| e.to_string())
            }
            ServerAddress::Name(name, port) => {
                Ok(HttpPeer::new(self.resolve(name, *port, patience).await?, false, String::new()))
            }
        }
    }

    /// Resolved here and kept for a while: Pingora would block on it, and panic where it fails.
    async fn resolve(&self, name: &str, port: u16, patience: Duration) -> Result<SocketAddr, String> {
        let known = self.resolved.load_full();
        if let Some(known) = known.as_deref().filter(|(_, at)| at.elapsed() < NAME_LIFETIME) {
            return Ok(known.0);
        }
        let found = match tokio::time::timeout(patience, tokio::net::lookup_host((name, port))).await {
            Ok(Ok(mut addresses)) => match addresses.next() {
                Some(first) => Ok(answering(first, addresses, patience).await),
                None => Err(format!("{name} has no address")),
            },
            Ok(Err(e)) => Err(format!("{name} does not resolve: {e}")),
            Err(_) => Err(format!("{name} does not resolve in time")),
        };
        // A resolver that is down takes nothing away that worked, and is asked again after a while only.
        let address = found.or_else(|e| known.map(|known| known.0).ok_or(e))?;
        self.resolved.store(Some(Arc::new((address, Instant::now()))));
        Ok(address)
    }
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
