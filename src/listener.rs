//! The accept loop: so many connections and no more, TLS where there is a certificate, each served by an app of Pingora's.
//!
//! Ours and not Pingora's, because Pingora's caps nothing, gives a TLS handshake a minute, and brings a cryptography backend
//! of its own.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
    time::Duration,
};

use pingora::{
    apps::{HttpServerApp, ServerApp},
    protocols::http::ServerSession,
};
use rustls::ServerConfig;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    connection::{Connection, Limits},
    denial::Reason,
    socket::Socket,
};

/// How a listener takes connections.
#[derive(Clone)]
pub struct Manner {
    pub tls: Option<Arc<ServerConfig>>,
    pub limits: Limits,
    pub max_connections: usize,
}

/// Connections beyond the most there may be that are told so. Those beyond are closed without a word.
const REFUSED_AT_ONCE: usize = 256;

/// Bytes of an answer the kernel takes beyond those on their way.
const MOST_UNSENT: u32 = 128 << 10;

/// How long to wait where the system has no file descriptor left: trying at once would keep a core busy.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// Serves an app on a listener until `stopped` turns true, and then those connections that still have a request, or over HTTP/2
/// have not said goodbye. The task ends with the last of them.
pub fn serve<A>(app: A, listener: StdListener, manner: Manner, stopped: watch::Receiver<bool>) -> JoinHandle<()>
where
    A: HttpServerApp + Send + Sync + 'static,
{
    tokio::spawn(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => accept(&Arc::new(app), listener, &manner, stopped).await,
            Err(e) => crate::log::caution(&format!("a listener is lost: {e}")),
        }
    })
}

async fn accept<A>(app: &Arc<A>, listener: TcpListener, manner: &Manner, mut stopped: watch::Receiver<bool>)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let places = Arc::new(Semaphore::new(manner.max_connections.min(Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
    let mut is_told = false;
    let (open_end, mut all_closed) = mpsc::channel::<()>(1);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // The sender is gone only when the server is.
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
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
        };
        is_told = false;
        let (place, refusal) = match places.clone().try_acquire_owned() {
            Ok(place) => (place, None),
            Err(_) => match refusals.clone().try_acquire_owned() {
                Ok(place) => (place, Some(Reason::TooManyConnections)),
                Err(_) => continue,
            },
        };
        let (app, manner, stopped) = (app.clone(), manner.clone(), stopped.clone());
        let open_end = open_end.clone();
        tokio::spawn(async move {
            let mut stopping = stopped.clone();
            let opened = tokio::select! {
                opened = open(tcp, peer, manner, place, refusal) => opened,
                _ = stopping.wait_for(|stopped| *stopped) => None,
            };
            let Some(connection) = opened else { return };
            if connection.is_h2() {
                app.process_new(Box::new(connection), &stopped).await;
            } else {
                requests(&app, Box::new(connection), &stopped).await;
            }
            drop(open_end);
        });
    }
    // From here on nobody comes in, and who tries is told at once.
    drop(listener);
    app.http_cleanup().await;
    drop(open_end);
    // Nothing is ever sent: it ends with the last connection.
    all_closed.recv().await;
}

/// Whether descriptors or memory ran out.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno))
}

/// Hands one request of a connection after the other to the app, whose own loop would hold its state for idle ones too.
async fn requests<A: HttpServerApp>(app: &Arc<A>, mut connection: Box<Connection>, stopped: &watch::Receiver<bool>) {
    let mut stopping = stopped.clone();
    loop {
        tokio::select! {
            biased;
            is_there = connection.next_request() => if !is_there { return },
            // The sender is gone only when the server is.
            _ = stopping.wait_for(|stopped| *stopped) => return,
        }
        let mut session = ServerSession::new_http1(connection);
        // Without a limit of Pingora's: the connection has its own.
        session.set_keepalive(Some(0));
        let Some(reusable) = app.process_new_http(session, stopped).await else { return };
        match reusable.consume().0.into_any().downcast() {
            Ok(same) => connection = same,
            Err(_) => return,
        }
    }
}

async fn open(
    tcp: TcpStream,
    peer: SocketAddr,
    manner: Manner,
    place: OwnedSemaphorePermit,
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
