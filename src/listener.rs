//! The accept loop: so many connections and no more, TLS where there is a certificate, each served by an app of Pingora's.
//!
//! Ours and not Pingora's, because Pingora's caps nothing, gives a TLS handshake a minute, and brings a cryptography backend
//! of its own.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use arc_swap::ArcSwap;
use pingora::{
    apps::{HttpServerApp, ServerApp},
    protocols::http::ServerSession,
};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::{Connection, Limits},
    denial::Reason,
    socket::Socket,
    time,
    upstream::InFlight,
};

/// How a listener takes connections.
#[derive(Clone)]
pub struct Manner {
    pub tls: Option<Arc<ServerConfig>>,
    pub limits: Limits,
    pub max_connections: usize,
}

/// What a new connection meets: an app, and how it is taken.
pub struct Reception<A> {
    pub app: Arc<A>,
    pub manner: Manner,
}

/// When a listener takes connections.
#[derive(Clone)]
pub struct Hours {
    /// While true, connections wait with the kernel, for this process or another that has the same socket.
    pub paused: watch::Receiver<bool>,
    /// Turns true once, at the end.
    pub stopped: watch::Receiver<bool>,
    /// While true, connections close with their next answer.
    pub closing: watch::Receiver<bool>,
}

impl Hours {
    /// Without a pause, to the end.
    pub fn until(stopped: watch::Receiver<bool>) -> Self {
        Self { paused: watch::channel(false).1, closing: stopped.clone(), stopped }
    }
}

impl<A> Reception<A> {
    /// What is never replaced.
    pub fn lasting(app: A, manner: Manner) -> Arc<ArcSwap<Self>> {
        Arc::new(ArcSwap::from_pointee(Self { app: Arc::new(app), manner }))
    }
}

/// Connections beyond the most there may be that are told so. Those beyond are closed without a word.
const REFUSED_AT_ONCE: usize = 256;

/// Bytes of an answer the kernel takes beyond those on their way.
const MOST_UNSENT: u32 = 128 << 10;

/// How long to wait where the system has no file descriptor left: trying at once would keep a core busy.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// How long after the end a client may begin one more request: it may be on its way already, and without an answer the client
/// could not know whether it was done.
pub const LAST_CHANCE: Duration = Duration::from_secs(1);

/// Serves an app on a listener until the end, and then those connections that still have a request, or over HTTP/2 have not
/// said goodbye. The task ends with the last of them. What new connections meet may be replaced at any time.
pub fn serve<A>(reception: Arc<ArcSwap<Reception<A>>>, listener: StdListener, hours: Hours) -> JoinHandle<()>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    tokio::spawn(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => accept(&reception, listener, hours).await,
            Err(e) => crate::log::caution(&format!("a listener is lost: {e}")),
        }
    })
}

async fn accept<A>(reception: &Arc<ArcSwap<Reception<A>>>, listener: TcpListener, hours: Hours)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Hours { mut paused, mut stopped, closing } = hours;
    let (open_end, mut all_closed) = mpsc::channel::<()>(1);
    let entry = Entry { places: Arc::default(), refusals: Arc::default(), closing, open_end };
    let mut is_told = false;
    loop {
        let is_paused = *paused.borrow_and_update();
        let accepted = tokio::select! {
            accepted = listener.accept(), if !is_paused => accepted,
            // The senders are gone only when the server is.
            Ok(()) = paused.changed() => continue,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match accepted {
            Ok((tcp, peer)) => entry.admit(reception, tcp, peer),
            // One that was gone before it was taken says nothing of the others.
            Err(e) if !is_shortage(&e) => continue,
            Err(e) => {
                // Once, and not for each of perhaps thousands.
                if !is_told {
                    crate::log::caution(&format!("connections cannot be accepted: {e}"));
                }
                is_told = true;
                tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                continue;
            }
        }
        is_told = false;
    }
    // Who waits with the kernel has sent a request already, perhaps, and would get no answer; unless another process takes it.
    if let Ok(listener) = listener.into_std()
        && !*paused.borrow()
    {
        while let Ok((tcp, peer)) = listener.accept()
            && tcp.set_nonblocking(true).is_ok()
            && let Ok(tcp) = TcpStream::from_std(tcp)
        {
            entry.admit(reception, tcp, peer);
        }
    }
    // From here on nobody comes in, and who tries is told at once.
    drop(entry);
    reception.load_full().app.http_cleanup().await;
    // Nothing is ever sent: it ends with the last connection.
    all_closed.recv().await;
}

/// Whether descriptors or memory ran out.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno))
}

/// Where connections come in.
struct Entry {
    places: Arc<AtomicUsize>,
    refusals: Arc<AtomicUsize>,
    closing: watch::Receiver<bool>,
    /// Held by every connection.
    open_end: mpsc::Sender<()>,
}

impl Entry {
    /// Serves a connection in a task of its own, or refuses it there.
    fn admit<A>(&self, reception: &Arc<ArcSwap<Reception<A>>>, tcp: TcpStream, peer: SocketAddr)
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let now = reception.load_full();
        let (place, refusal) = match InFlight::within(&self.places, now.manner.max_connections) {
            Some(place) => (place, None),
            None => match InFlight::within(&self.refusals, REFUSED_AT_ONCE) {
                Some(place) => (place, Some(Reason::TooManyConnections)),
                None => return,
            },
        };
        let (reception, manner) = (reception.clone(), now.manner.clone());
        let (closing, open_end) = (self.closing.clone(), self.open_end.clone());
        tokio::spawn(async move {
            let mut ending = closing.clone();
            let opened = tokio::select! {
                opened = open(tcp, peer, manner, place, refusal) => opened,
                () = last_chance(&mut ending) => None,
            };
            if let Some(connection) = opened {
                if connection.is_h2() && time::is_before_1970() {
                    return;
                }
                if connection.is_h2() {
                    now.app.process_new(Box::new(connection), &closing).await;
                } else {
                    drop(now);
                    requests(&reception, Box::new(connection), &closing).await;
                }
            }
            drop(open_end);
        });
    }
}

/// The answer while the system's clock shows no time that an answer could name.
const NO_TIME: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n";

/// Hands one request of a connection after the other to the app, whose own loop would hold its state for idle ones too.
async fn requests<A: HttpServerApp>(
    reception: &ArcSwap<Reception<A>>,
    mut connection: Box<Connection>,
    closing: &watch::Receiver<bool>,
) {
    let mut ending = closing.clone();
    loop {
        let next = tokio::select! {
            biased;
            is_there = connection.next_request() => Some(is_there),
            () = last_chance(&mut ending) => None,
        };
        let is_there = match next {
            Some(is_there) => is_there,
            None => connection.has_begun() && connection.next_request().await,
        };
        if !is_there {
            return;
        }
        if time::is_before_1970() {
            // Whoever gets it or not, the connection ends.
            let _ = connection.write_all(NO_TIME).await;
            let _ = connection.shutdown().await;
            return;
        }
        let mut session = ServerSession::new_http1(connection);
        // Without a limit of Pingora's: the connection has its own.
        session.set_keepalive(Some(0));
        // That of now: a connection may be older than the configuration.
        let app = reception.load_full().app.clone();
        let Some(reusable) = app.process_new_http(session, closing).await else { return };
        match reusable.consume().0.into_any().downcast() {
            Ok(same) => connection = same,
            Err(_) => return,
        }
        if let Some(next) = connection.next() {
            drop(app);
            return next(*connection).await;
        }
    }
}

/// Ends a while after connections are to close: the answer to what comes until then says that it is the last.
async fn last_chance(ending: &mut watch::Receiver<bool>) {
    // The sender is gone only when the server is.
    let _ = ending.wait_for(|ending| *ending).await;
    tokio::time::sleep(LAST_CHANCE).await;
}

async fn open(
    tcp: TcpStream,
    peer: SocketAddr,
    manner: Manner,
    place: InFlight,
    refusal: Option<Reason>,
) -> Option<Connection> {
    let accepted_at = Instant::now();
    // Without it a small answer may wait for the acknowledgement of the one before. A socket that cannot is gone already.
    tcp.set_nodelay(true).ok()?;
    // The kernel would keep some megabytes of an answer that nobody reads.
    // Where it cannot be told, it does.
    let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(MOST_UNSENT);
    let socket = match manner.tls {
        None => Socket::Plain(tcp),
        Some(mut tls) => {
            if refusal.is_some() {
                // HTTP/1.1 is what can be refused with an answer.
                Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            let accepted = timeout(manner.limits.head, TlsAcceptor::from(tls).accept(tcp)).await;
            // Scanners and clients of plain HTTP fail here, all day long.
            Socket::Tls(Box::new(accepted.ok()?.ok()?))
        }
    };
    Some(Connection::new(socket, peer, accepted_at, manner.limits, Some(place), refusal))
}
