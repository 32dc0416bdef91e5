//! Connections to apps: how one is had, what is read of it, and when another request may have it.
//!
//! Pingora 0.9.1 reads answers kindly: it takes a length away that stands beside chunks before anyone can see it, and hands on a
//! chunk at a time. So their reading is done here before it. An answer that is framed in more than one way is an error of its
//! connection. A connection that was read strictly to the end of its answer is kept here for the next request: Pingora knows
//! connections by their file descriptor, and sees none of these.

use std::{
    fmt, io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    Error, ErrorType, Result,
    connectors::L4Connect,
    protocols::l4::{
        socket::SocketAddr,
        stream::Stream,
        virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream},
    },
};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};

use crate::framing::{After, AnswerBody, AnswerReader, Asked, Body, Merged};

/// Below what apps keep idle connections for (gunicorn 2 s, Node and uvicorn 5 s), or a POST would meet one just closed.
const IDLE: Duration = Duration::from_millis(1_500);

/// Idle connections of a server, at most.
const MOST_IDLE: usize = 512;

/// What is read at once before the body of an answer.
const READ: usize = 8 << 10;

/// Idle connections to one server, the last used last.
#[derive(Default)]
pub struct Idle(Mutex<Vec<(Io, Instant)>>);

impl Idle {
    /// One that may still be used.
    fn take(&self) -> Option<Io> {
        loop {
            let (io, since) = self.0.lock().pop()?;
            if since.elapsed() < IDLE && io.is_quiet() {
                return Some(io);
            }
        }
    }

    fn put(&self, io: Io) {
        let mut all = self.0.lock();
        if all.len() < MOST_IDLE {
            all.push((io, Instant::now()));
        }
    }

    /// Closes those that nobody has used for too long.
    pub fn close_old(&self) {
        self.0.lock().retain(|(_, since)| since.elapsed() < IDLE);
    }
}

/// How one request has its connection.
pub struct Dial {
    idle: Arc<Idle>,
    wants_new: AtomicBool,
    was_reused: AtomicBool,
}

impl Dial {
    /// To a server with these idle connections.
    pub fn new(idle: &Arc<Idle>) -> Self {
        Self { idle: idle.clone(), wants_new: AtomicBool::new(false), was_reused: AtomicBool::new(false) }
    }

    /// Takes no idle connection: one was dead.
    pub fn wants_new(&self) {
        self.wants_new.store(true, Ordering::Relaxed);
    }

    /// Whether the connection had a request before this one.
    pub fn was_reused(&self) -> bool {
        self.was_reused.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dial").finish_non_exhaustive()
    }
}

#[async_trait]
impl L4Connect for Dial {
    async fn connect(&self, address: &SocketAddr) -> Result<Stream> {
        let idle = if self.wants_new.load(Ordering::Relaxed) { None } else { self.idle.take() };
        self.was_reused.store(idle.is_some(), Ordering::Relaxed);
        let io = match (idle, address) {
            (Some(io), _) => Ok(io),
            (None, SocketAddr::Inet(address)) => TcpStream::connect(address).await.and_then(|tcp| {
                tcp.set_nodelay(true)?;
                Ok(Io::Tcp(tcp))
            }),
            (None, SocketAddr::Unix(address)) => match address.as_pathname() {
                Some(path) => UnixStream::connect(path).await.map(Io::Unix),
                None => Err(io::ErrorKind::InvalidInput.into()),
            },
        };
        let io = io.map_err(|e| {
            let kind = match e.kind() {
                io::ErrorKind::TimedOut => ErrorType::ConnectTimedout,
                io::ErrorKind::ConnectionRefused => ErrorType::ConnectRefused,
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => ErrorType::ConnectNoRoute,
                _ => ErrorType::ConnectError,
            };
            Error::because(kind, "no connection to the app", e)
        })?;
        let socket = AppSocket {
            io,
            idle: self.idle.clone(),
            reading: Reading::Head(AnswerReader::default()),
            received: Vec::new(),
            cleared: 0,
            has_asked: false,
            is_old: self.was_reused(),
            after: After::Reusable,
            is_released: false,
        };
        Ok(Stream::from(VirtualSocketStream::new(Box::new(socket))))
    }
}

/// A connection to an app while it serves one request.
struct AppSocket {
    io: Io,
    idle: Arc<Idle>,
    reading: Reading,
    /// Received and not handed on.
    received: Vec<u8>,
    /// So many of them may be handed on.
    cleared: usize,
    has_asked: bool,
    /// Whether it had a request before this one.
    is_old: bool,
    after: After,
    /// Whether Pingora has looked if it can be used again: after the answer nothing else reads on.
    is_released: bool,
}

enum Reading {
    Head(AnswerReader),
    Body(Body),
    /// To the end of the connection.
    Through,
    /// The answer is over. Whatever else comes is not an answer to anything.
    Done,
}

impl AppSocket {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Reading::Head(reader) = &mut self.reading else { return Poll::Ready(Ok(())) };
            if let Some(head) = reader.read(&self.received).map_err(invalid)? {
                self.cleared = head.length;
                self.after = head.after;
                self.reading = match head.body {
                    // It announces the answer.
                    AnswerBody::Next => Reading::Head(reader.again()),
                    AnswerBody::UntilClose => {
                        self.cleared = self.received.len();
                        Reading::Through
                    }
                    AnswerBody::Framed(framing) => {
                        let mut body = Body::new(framing);
                        let Merged { taken, kept } = body.merge(&mut self.received[head.length..]).map_err(invalid)?;
                        self.received.drain(head.length + kept..head.length + taken);
                        self.cleared += kept;
                        if body.is_done() { Reading::Done } else { Reading::Body(body) }
                    }
                };
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [const { MaybeUninit::uninit() }; READ];
            let mut bytes = ReadBuf::uninit(&mut bytes);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut bytes))?;
            if bytes.filled().is_empty() {
                // What there is of a head is not one.
                self.cleared = self.received.len();
                self.reading = Reading::Through;
                return Poll::Ready(Ok(()));
            }
            self.received.extend_from_slice(bytes.filled());
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Reading::Body(body) = &mut self.reading else { return Poll::Ready(Ok(())) };
        let before = out.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, out))?;
        let new = &mut out.filled_mut()[before..];
        match body.merge(new) {
            Ok(Merged { taken, kept }) => {
                self.received = new[taken..].to_vec();
                out.set_filled(before + kept);
                if body.is_done() {
                    self.reading = Reading::Done;
                }
                Poll::Ready(Ok(()))
            }
            Err(e) => {
                out.set_filled(before);
                Poll::Ready(Err(invalid(e)))
            }
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl AsyncRead for AppSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cleared == 0 && matches!(this.reading, Reading::Head(_)) {
            ready!(this.poll_head(cx))?;
        }
        if this.cleared > 0 {
            let length = this.cleared.min(out.remaining());
            out.put_slice(&this.received[..length]);
            this.received.drain(..length);
            this.cleared -= length;
            return Poll::Ready(Ok(()));
        }
        match this.reading {
            Reading::Body(_) => this.poll_body(cx, out),
            Reading::Through => Pin::new(&mut this.io).poll_read(cx, out),
            Reading::Head(_) => Poll::Ready(Ok(())),
            Reading::Done => {
                this.is_released = true;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for AppSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.has_asked {
            // What an old connection holds before the request is not an answer to it. A request that changes nothing is tried again.
            if this.is_old && !this.io.is_quiet() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
            this.has_asked = true;
            if bytes.starts_with(b"HEAD ") {
                this.reading = Reading::Head(AnswerReader::new(Asked::Head));
            }
        }
        Pin::new(&mut this.io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

impl VirtualSocket for AppSocket {
    fn set_socket_option(&self, option: VirtualSockOpt) -> io::Result<()> {
        match (&self.io, option) {
            (Io::Tcp(tcp), VirtualSockOpt::KeepAlive(probes)) => {
                let retries = u32::try_from(probes.count).unwrap_or(u32::MAX);
                let keepalive = TcpKeepalive::new().with_time(probes.idle).with_interval(probes.interval);
                SockRef::from(tcp).set_tcp_keepalive(&keepalive.with_retries(retries))
            }
            // `NoDelay` was set when the connection was made.
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for AppSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSocket").finish_non_exhaustive()
    }
}

impl Drop for AppSocket {
    fn drop(&mut self) {
        let is_over =
            matches!(self.reading, Reading::Done) && self.received.is_empty() && self.after == After::Reusable;
        if is_over && self.is_released {
            let io = std::mem::replace(&mut self.io, Io::Gone);
            self.idle.put(io);
        }
    }
}

/// The socket itself.
enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// Moved out, to be used again.
    Gone,
}

impl Io {
    /// Whether nothing has come, not even the end.
    fn is_quiet(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let read = match self {
            Self::Tcp(tcp) => SockRef::from(tcp).peek(&mut byte),
            Self::Unix(unix) => SockRef::from(unix).peek(&mut byte),
            Self::Gone => return false,
        };
        read.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }
}

/// Passes a call on to whichever stream there is.
macro_rules! either {
    ($self:expr, |$io:ident| $call:expr) => {
        match $self.get_mut() {
            Self::Tcp(tcp) => {
                let $io = Pin::new(tcp);
                $call
            }
            Self::Unix(unix) => {
                let $io = Pin::new(unix);
                $call
            }
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, |io| io.poll_read(cx, out))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, |io| io.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, |io| io.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, |io| io.poll_shutdown(cx))
    }
}
