//! A client's connection, as Pingora is given it: a stream that hands on nothing but whole heads and sound bodies, in time.
//!
//! Pingora 0.9.1 mends request lines it cannot parse, answers what it cannot mend without a word in the log, waits for ever
//! for the second head of a connection, and takes what follows a body for an error. So its reading is done here before it:
//! [`framing`](crate::framing) says where a message ends, and Pingora gets the bytes of one message at a time. The next
//! is held back until the answer is out, bytes for a tunnel until it is open: then the connection is taken apart for it.
//!
//! What is refused here comes to the proxy as [`STAND_IN`], a request that asks for nothing, so that it is answered and logged
//! where every other refusal is; [`Connection::refused`] says why. HTTP/2 is read by `h2` and passes through.

use std::{
    fmt, io,
    mem::{self, MaybeUninit},
    os::fd::AsRawFd,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::{
    protocols::{
        ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
        UniqueID, UniqueIDType, l4::socket::SocketAddr, raw_connect::ProxyDigest,
    },
    proxy::Session as Downstream,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

use crate::{
    alarm::Alarm,
    body,
    denial::Reason,
    framing::{Body, Frames, HeadReader, Merged},
    head::HeadError,
    socket::Socket,
    upstream::InFlight,
};

/// What the proxy reads in place of a request that was refused.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nHost: refused\r\nConnection: close\r\n\r\n";

/// Answers of this size leave in one piece with their head; it is held for every open connection.
const WRITE_BUFFER: usize = 2 << 10;
/// What is read at once.
const READ: usize = 8 << 10;
/// RFC 9113 section 3.4.
const H2_PREFACE: usize = 24;
/// Requests served in a turn to who does not wait for answers.
const AT_ONCE: u8 = 8;
/// What is read ahead, of pipelined requests, to notice that the client is gone.
const READ_AHEAD: usize = 16 << 10;
/// How long things may take, and how large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In all, from the first byte to the end of a head; of the first, from the accept, a TLS handshake included.
    pub head: Duration,
    /// Between requests, and while nothing can be written.
    pub idle: Duration,
    pub max_header_bytes: usize,
}

/// A client's connection.
pub struct Connection {
    io: BufWriter<Socket>,
    digest: Arc<SocketDigest>,
    limits: Limits,
    phase: Phase,
    /// Received and not handed on yet.
    received: Vec<u8>,
    /// So many of them may be handed on: they belong to the message that is being read.
    cleared: usize,
    has_ended: bool,
    /// Whether no request has come yet: the first head is timed from the accept.
    is_new: bool,
    /// Requests that were there already when the one before was answered, since others had their turn.
    unwaited: u8,
    /// Whether part of an answer was held back when the proxy last had nothing to add.
    holds_back: bool,
    /// Rings when a head, or the next one, takes too long.
    alarm: Alarm,
    /// Rings when nothing could be written for too long; there while nothing can.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Whether what is answered may last.
    lasts: AtomicBool,
    /// What becomes of it when Pingora is done with it, if not the next request.
    next: Mutex<Option<Next>>,
    /// Kept as long as the connection takes one of those there may be.
    place: Option<InFlight>,
}

enum Phase {
    /// Between requests, or within a head.
    Head(HeadReader),
    /// A head has come; its body is being read, or its answer written.
    Message(Body),
    /// HTTP/2, of whose preface so many bytes are to come: what passes is `h2`'s to read.
    Through { preface: usize, frames: Frames },
    /// Nothing more is read.
    Refused(Reason),
}

/// What is done with a connection that is no HTTP any more.
pub type Next = Box<dyn FnOnce(Connection) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A connection taken apart.
pub struct Parts {
    pub socket: Socket,
    /// What has come of it after the request.
    pub received: Vec<u8>,
    /// How long nothing may be taken.
    pub idle: Duration,
    pub place: Option<InFlight>,
}

impl Connection {
    /// A connection just accepted. `refusal` refuses whatever it asks.
    pub fn new(
        socket: Socket,
        peer: std::net::SocketAddr,
        accepted_at: Instant,
        limits: Limits,
        place: Option<InFlight>,
        refusal: Option<Reason>,
    ) -> Self {
        let digest = SocketDigest::from_raw_fd(socket.tcp().map_or(-1, AsRawFd::as_raw_fd));
        // Asked for here, Pingora need not ask the kernel on every request.
        let _ = digest.peer_addr.set(Some(SocketAddr::Inet(peer)));
        let deadline = accepted_at + limits.head;
        let phase = if socket.is_h2() {
            Phase::Through { preface: H2_PREFACE, frames: Frames::after(H2_PREFACE) }
        } else {
            Phase::Head(HeadReader::new(limits.max_header_bytes))
        };
        let mut connection = Self {
            io: BufWriter::with_capacity(WRITE_BUFFER, socket),
            digest: Arc::new(digest),
            limits,
            phase,
            received: Vec::new(),
            cleared: 0,
            has_ended: false,
            is_new: true,
            unwaited: 0,
            holds_back: false,
            alarm: Alarm::at(deadline),
            stalled: None,
            lasts: AtomicBool::new(false),
            next: Mutex::new(None),
            place,
        };
        if let Some(reason) = refusal {
            connection.refuse(reason);
        }
        connection
    }

    /// That of an HTTP/1 request; HTTP/2 has many requests on one.
    pub fn of(downstream: &Downstream) -> Option<&Self> {
        downstream.as_downstream().stream()?.as_any().downcast_ref()
    }

    /// Whether it speaks HTTP/2.
    pub fn is_h2(&self) -> bool {
        self.io.get_ref().is_h2()
    }

    /// Whether it is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.io.get_ref(), Socket::Tls(_))
    }

    /// Whether something of a next request has come.
    pub fn has_begun(&self) -> bool {
        !self.received.is_empty()
    }

    /// Why the request that is being answered is refused, or its body was.
    pub fn refused(&self) -> Option<&Reason> {
        match &self.phase {
            Phase::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// What is answered from here on may last.
    pub fn lasts(&self) {
        self.lasts.store(true, Ordering::Relaxed);
    }

    /// Has something else done with it after this request than to wait for another.
    pub fn hand_over(&self, next: Next) {
        *self.next.lock() = Some(next);
    }

    /// What is to be done with it, if anything.
    pub fn next(&self) -> Option<Next> {
        self.next.lock().take()
    }

    /// Takes it apart, for what is no HTTP any more.
    pub fn into_parts(mut self) -> Parts {
        self.has_ended = true;
        Parts {
            socket: mem::replace(self.io.get_mut(), Socket::Gone),
            received: mem::take(&mut self.received),
            idle: self.limits.idle,
            place: self.place.take(),
        }
    }

    /// The socket.
    pub fn tcp(&self) -> Option<&TcpStream> {
        self.io.get_ref().tcp()
    }

    /// Waits for the next head, the one before being answered and read; `false` when none will come. The app has nothing to
    /// hold meanwhile, which makes an idle connection small.
    pub async fn next_request(&mut self) -> bool {
        match &self.phase {
            Phase::Message(body) if body.is_done() && self.cleared == 0 => {
                self.is_new = false;
                self.unwaited += 1;
                let wait = if self.received.is_empty() { self.limits.idle } else { self.limits.head };
                self.alarm.at = Instant::now() + wait;
                self.phase = Phase::Head(HeadReader::new(self.limits.max_header_bytes));
            }
            Phase::Message(_) | Phase::Through { .. } => return false,
            Phase::Head(_) | Phase::Refused(_) => {}
        }
        std::future::poll_fn(|cx| self.poll_head(cx)).await.is_ok() && self.cleared > 0
    }

    fn refuse(&mut self, reason: impl Into<Reason>) {
        self.received = STAND_IN.to_vec();
        self.cleared = STAND_IN.len();
        self.phase = Phase::Refused(reason.into());
    }

    /// Reads on within a head; `Ready` when the phase has changed, or nothing more will come.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Phase::Head(reader) = &mut self.phase else {
                return Poll::Ready(Ok(()));
            };
            // So many a turn: else who sends without waiting for answers is served on and on, and who waits, waits.
            if self.unwaited >= AT_ONCE && !self.received.is_empty() {
                self.unwaited = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match reader.read(&self.received) {
                Ok(Some(framed)) => {
                    self.received.drain(..framed.skipped);
                    let mut body = Body::new(framed.framing);
                    // What has come of the body already is looked at before the app sees anything.
                    match body.merge(&mut self.received[framed.length..]) {
                        Ok(Merged { taken, kept }) => {
                            self.received.drain(framed.length + kept..framed.length + taken);
                            self.cleared = framed.length + kept;
                            self.phase = Phase::Message(body);
                        }
                        Err(e) => self.refuse(e),
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(e) => {
                    self.refuse(e);
                    return Poll::Ready(Ok(()));
                }
                Ok(None) if self.has_ended => return Poll::Ready(Ok(())),
                Ok(None) => {}
            }
            let begins = self.received.is_empty() && !self.is_new;
            match self.poll_receive(cx) {
                Poll::Ready(result) => {
                    result?;
                    if begins {
                        self.alarm.at = Instant::now() + self.limits.head;
                    }
                }
                Poll::Pending => {
                    self.unwaited = 0;
                    ready!(self.alarm.poll(cx));
                    if matches!(self.received[..], [] | [b'\r'] | [b'\r', b'\n']) {
                        // Nobody is waiting for an answer, and one might be taken for that to the next request.
                        self.has_ended = true;
                    } else {
                        self.refuse(HeadError::Slow);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// A client that reads nothing must not hold a request, nor its answer, for good: Pingora times the writes of bodies alone.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let idle = self.limits.idle;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(idle)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Receives something, or learns that nothing more will come.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut bytes = [const { MaybeUninit::uninit() }; READ];
        let mut bytes = ReadBuf::uninit(&mut bytes);
        ready!(Pin::new(self.io.get_mut()).poll_read(cx, &mut bytes))?;
        self.has_ended = bytes.filled().is_empty();
        self.received.extend_from_slice(bytes.filled());
        Poll::Ready(Ok(()))
    }

    /// Hands on what is cleared.
    fn hand_on(&mut self, out: &mut ReadBuf<'_>) {
        let length = self.cleared.min(out.remaining());
        out.put_slice(&self.received[..length]);
        self.cleared -= length;
        if length == self.received.len() {
            // Idle connections hold no buffer.
            self.received = Vec::new();
        } else {
            self.received.drain(..length);
        }
    }

    /// Reads on within a body whose beginning was handed on.
    fn poll_body(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Phase::Message(body) = &mut self.phase else {
            return Poll::Ready(Ok(()));
        };
        let before = out.filled().len();
        ready!(Pin::new(self.io.get_mut()).poll_read(cx, out))?;
        let new = &mut out.filled_mut()[before..];
        self.has_ended = new.is_empty();
        match body.merge(new) {
            Ok(Merged { taken, kept }) => {
                self.received = new[taken..].to_vec();
                out.set_filled(before + kept);
                Poll::Ready(Ok(()))
            }
            Err(e) => {
                out.set_filled(before);
                self.phase = Phase::Refused(e.into());
                Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
            }
        }
    }

    /// HTTP/2 begins with a preface, for which `h2` would wait for ever.
    fn poll_frames(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        match Pin::new(self.io.get_mut()).poll_read(cx, out) {
            Poll::Pending => match self.phase {
                Phase::Through { preface: 0, .. } => Poll::Pending,
                _ => self.alarm.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
            },
            ready => {
                if let Phase::Through { preface, frames } = &mut self.phase {
                    let new = &mut out.filled_mut()[before..];
                    *preface = preface.saturating_sub(new.len());
                    let kept = frames.merge(new);
                    out.set_filled(before + kept);
                }
                ready
            }
        }
    }

    /// The message was read whole and its answer is not out: only the client's leaving is told.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Whoever has time to look twice has nothing to add to what is held back: the app is slow, and the client is to see it.
        // Once is no sign: the head of an answer comes a moment before its body.
        if self.io.buffer().is_empty() {
            self.holds_back = false;
        } else if !self.holds_back {
            self.holds_back = true;
            cx.waker().wake_by_ref();
        } else if let Poll::Ready(flushed) = Pin::new(&mut *self).poll_flush(cx) {
            self.holds_back = false;
            flushed?;
        }
        while !self.has_ended {
            if self.received.len() > READ_AHEAD {
                // Behind an answer that may last for an hour nobody asks for so much, and nobody could tell that they left.
                self.has_ended = self.lasts.load(Ordering::Relaxed);
                return if self.has_ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            ready!(self.poll_receive(cx))?;
        }
        // What came before it left is still to be answered.
        if self.received.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cleared > 0 {
            this.hand_on(out);
            return Poll::Ready(Ok(()));
        }
        match &this.phase {
            Phase::Message(body) if body.is_done() => this.poll_gone(cx),
            Phase::Message(_) => this.poll_body(cx, out),
            Phase::Through { .. } => this.poll_frames(cx, out),
            Phase::Head(_) | Phase::Refused(_) => Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.in_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.in_time(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut_down = Pin::new(&mut this.io).poll_shutdown(cx);
        this.in_time(cx, shut_down)
    }
}

/// What was refused before it was read whole is read away, so that the client comes to read why.
impl Drop for Connection {
    fn drop(&mut self) {
        let is_unread = match &self.phase {
            Phase::Refused(_) => true,
            Phase::Message(body) => !body.is_done(),
            Phase::Head(_) | Phase::Through { .. } => false,
        };
        if (is_unread || !self.received.is_empty())
            && !self.has_ended
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let socket = mem::replace(self.io.get_mut(), Socket::Gone);
            let place = self.place.take();
            runtime.spawn(async move {
                // However it ends, the connection is closed next.
                let _ = tokio::time::timeout(body::DRAIN, socket.linger()).await;
                drop(place);
            });
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Pingora prints it beside what was refused; what was received is nobody's business.
        f.debug_struct("Connection").field("peer", &self.digest.peer_addr()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // The other side may have closed already.
        let _ = AsyncWriteExt::shutdown(&mut self.io).await;
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().tcp().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Ssl for Connection {
    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.is_h2().then_some(ALPN::H2)
    }
}

impl Peek for Connection {}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}
