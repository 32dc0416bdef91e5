//! A WebSocket after its handshake: bytes go both ways as they come, until both sides have ended, or what let it in has.
//!
//! Pingora's own tunnel may take a fast 101 for its end, loses what a side sent just before it hung up, and cannot say goodbye.
//! So the two sockets are taken from it. What passes is none of our business but for where frames begin and end: that is
//! where a Close frame of ours can stand.

mod frames;
mod handshake;
mod pass;
mod tally;

use std::{
    future::poll_fn,
    io,
    task::{Context, Poll},
    time::Duration,
};

use pingora::protocols::Stream;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use self::{
    frames::{GOING_AWAY, IDENTITY_ENDED, close, masked_close},
    pass::Pass,
};
use crate::{alarm::Alarm, connection::Connection, socket::Socket, underway::Why, upstream::InFlight};

pub use handshake::Handshake;
pub use tally::{How, Open, Tally};

/// It may be quiet for long.
pub const IDLE: Duration = Duration::from_secs(3_600);

/// After one side has ended, how long the other may be silent.
const HALF: Duration = Duration::from_secs(10);

/// How long it is tried to come to the end of a frame.
const MOMENT: Duration = Duration::from_millis(250);

/// How long a goodbye may take in all, the client's answer to it included.
pub const GOODBYE: Duration = Duration::from_secs(1);

/// A side that is gone without a word is noticed within two minutes or so.
pub const PROBES: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// What opens a tunnel: the head of the app's answer as it goes out, the connection to the app, and what was read of it beyond
/// the head.
pub struct Opening {
    pub head: Vec<u8>,
    pub app: Stream,
    pub ahead: Vec<u8>,
}

/// An open WebSocket.
pub struct Tunnel {
    client: Socket,
    app: Stream,
    to_app: Pass,
    to_client: Pass,
    /// How long a side may take nothing.
    patience: Duration,
    alarm: Alarm,
    moved: u64,
    last_moved: Instant,
    discarding_since: Option<Instant>,
    is_turn_of_app: bool,
    /// Of those there may be.
    _place: Option<InFlight>,
}

/// Has the kernel ask whether the other side of a quiet connection is still there.
pub fn probe(socket: &TcpStream) {
    let (time, interval, retries) = PROBES;
    let probes = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    // Where it cannot, the connection ends when it was idle for too long.
    let _ = SockRef::from(socket).set_tcp_keepalive(&probes);
}

impl Tunnel {
    /// Tells the client that it is open.
    pub async fn open(mut connection: Connection, opening: Opening) -> io::Result<Self> {
        // What announced the answer may still be held back.
        connection.flush().await?;
        let mut parts = connection.into_parts();
        if let Some(tcp) = parts.socket.tcp() {
            probe(tcp);
        }
        let answer = async {
            parts.socket.write_all(&opening.head).await?;
            parts.socket.flush().await
        };
        timeout(parts.idle, answer).await??;
        let now = Instant::now();
        Ok(Self {
            client: parts.socket,
            app: opening.app,
            to_app: Pass::beginning_with(parts.received),
            to_client: Pass::beginning_with(opening.ahead),
            patience: parts.idle,
            alarm: Alarm::at(now + IDLE),
            moved: 0,
            last_moved: now,
            discarding_since: None,
            is_turn_of_app: false,
            _place: parts.place,
        })
    }

    /// Passes on what comes, until it ends or is told to.
    pub async fn run(mut self, told: impl Future<Output = Why>) -> How {
        tokio::select! {
            biased;
            why = told => {
                self.say_goodbye(why).await;
                if why == Why::Stopping { How::Stopped } else { How::IdentityEnded }
            }
            how = poll_fn(|cx| self.poll(cx)) => how,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<How> {
        // In turn: one of them may use up what a task may do at once.
        self.is_turn_of_app = !self.is_turn_of_app;
        let mut has_ended = true;
        for is_of_app in [self.is_turn_of_app, !self.is_turn_of_app] {
            let polled = if is_of_app {
                self.to_client.poll(cx, &mut self.app, &mut self.client)
            } else {
                self.to_app.poll(cx, &mut self.client, &mut self.app)
            };
            has_ended &= polled.is_ready();
        }
        if has_ended {
            return Poll::Ready(self.closed_or(How::Error));
        }
        let now = Instant::now();
        let moved = self.to_client.moved + self.to_app.moved;
        if moved != self.moved {
            (self.moved, self.last_moved) = (moved, now);
        }
        let (end, how) = self.deadline(now);
        self.alarm.at = end;
        self.alarm.poll(cx).map(|()| how)
    }

    /// When it ends if nothing passes until then, and how that is called.
    fn deadline(&mut self, now: Instant) -> (Instant, How) {
        let directions = [&self.to_client, &self.to_app];
        let mut deadline = (self.last_moved + IDLE, How::Idle);
        let mut sooner = |at: Instant, how: How| {
            if at < deadline.0 {
                deadline = (at, how);
            }
        };
        if let Some(since) = directions.iter().filter_map(|pass| pass.stalled).min() {
            sooner(since + self.patience, How::Error);
        }
        if directions.iter().any(|pass| pass.has_ended()) {
            // Once both have said goodbye there is nothing to wait for but the end of the connection.
            let is_over = directions.iter().all(|pass| pass.frames().has_closed());
            sooner(self.last_moved + if is_over { GOODBYE } else { HALF }, self.closed_or(How::Error));
        }
        if directions.iter().any(|pass| pass.is_discarding()) {
            sooner(*self.discarding_since.get_or_insert(now) + HALF, self.closed_or(How::Error));
        }
        deadline
    }

    /// A side that breaks off after it has said goodbye has closed.
    fn closed_or(&self, how: How) -> How {
        let directions = [&self.to_client, &self.to_app];
        let has_closed = directions.iter().any(|pass| pass.frames().has_closed());
        if has_closed || directions.iter().all(|pass| !pass.has_failed) { How::Closed } else { how }
    }

    /// Says goodbye to both sides between two frames, where that can be, and gives the client time to answer.
    async fn say_goodbye(&mut self, why: Why) {
        let (code, reason) = match why {
            // A tunnel has no body.
            Why::SessionEnded | Why::SlowBody => (IDENTITY_ENDED, "session ended"),
            Why::SignedOut => (IDENTITY_ENDED, "signed out"),
            Why::Stopping => (GOING_AWAY, ""),
        };
        let goodbye = async {
            let is_told = timeout(MOMENT, self.tell_client(&close(code, reason))).await.is_ok_and(|told| told.is_ok());
            // The app may be gone, or in the midst of a frame that does not end: it sees the connection end.
            let _ = timeout(MOMENT, self.tell_app(&masked_close(GOING_AWAY, ""))).await;
            if is_told {
                // It answers, or ends, or not.
                let _ = self.to_app.await_close(&mut self.client).await;
            }
        };
        // What is left then is closed.
        let _ = timeout(GOODBYE, goodbye).await;
        let _ = timeout(MOMENT, self.client.shutdown()).await;
    }

    async fn tell_client(&mut self, close: &[u8]) -> io::Result<()> {
        self.to_client.finish_frame(&mut self.app, &mut self.client).await?;
        if !self.to_client.frames().has_closed() {
            self.client.write_all(close).await?;
        }
        self.client.flush().await
    }

    async fn tell_app(&mut self, close: &[u8]) -> io::Result<()> {
        self.to_app.finish_frame(&mut self.client, &mut self.app).await?;
        if !self.to_app.frames().has_closed() {
            self.app.write_all(close).await?;
        }
        self.app.flush().await?;
        AsyncWriteExt::shutdown(&mut self.app).await
    }
}
