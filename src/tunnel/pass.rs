//! One direction of a tunnel: what is read here is written there, in order, and nothing is held while nothing comes.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::Instant,
};

use super::frames::Frames;

/// What is read at once: a TLS record.
const READ: usize = 16 << 10;

/// One direction.
#[derive(Default)]
pub struct Pass {
    /// Read and not written, from `at` on; no memory while there is nothing.
    pending: Vec<u8>,
    at: usize,
    /// Something was written that may not have gone out.
    is_unflushed: bool,
    phase: Phase,
    frames: Frames,
    /// How many bytes have come and gone, to notice silence.
    pub moved: u64,
    /// Since when nothing could be written.
    pub stalled: Option<Instant>,
    /// Whether a side broke off.
    pub has_failed: bool,
}

#[derive(Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Passing,
    /// Nothing more comes: the end is passed on.
    Ending,
    /// Nobody takes it any more. It is read away: closing on it would reset the connection, and what goes the other way with it.
    Discarding,
    Done,
}

impl Pass {
    /// One that begins with bytes read already.
    pub fn beginning_with(pending: Vec<u8>) -> Self {
        Self { pending, ..Self::default() }
    }

    /// Whether what was sent has ended, one way or the other.
    pub fn has_ended(&self) -> bool {
        self.phase != Phase::Passing
    }

    /// Whether what comes goes nowhere.
    pub fn is_discarding(&self) -> bool {
        self.phase == Phase::Discarding
    }

    pub fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Passes on what there is; ready when nothing more will come.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<()> {
        loop {
            match self.phase {
                Phase::Done => return Poll::Ready(()),
                Phase::Discarding => {
                    let mut space = [const { MaybeUninit::uninit() }; READ];
                    let mut buffer = ReadBuf::uninit(&mut space);
                    let read = ready!(Pin::new(&mut *from).poll_read(cx, &mut buffer));
                    if read.is_err() || buffer.filled().is_empty() {
                        self.phase = Phase::Done;
                    }
                }
                Phase::Passing | Phase::Ending => {
                    let done = match ready!(self.poll_write(cx, to)) {
                        Ok(()) if self.phase == Phase::Passing => ready!(self.poll_read(cx, from, to)),
                        Ok(()) => ready!(Pin::new(&mut *to).poll_shutdown(cx)).map(|()| self.phase = Phase::Done),
                        Err(e) => Err(e),
                    };
                    if done.is_err() {
                        self.nobody_takes_it();
                    }
                }
            }
        }
    }

    /// Writes what is pending.
    fn poll_write(&mut self, cx: &mut Context<'_>, to: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        while self.at < self.pending.len() {
            let Poll::Ready(written) = Pin::new(&mut *to).poll_write(cx, &self.pending[self.at..]) else {
                self.stalled.get_or_insert_with(Instant::now);
                return Poll::Pending;
            };
            let written = written?;
            self.wrote(self.at, written)?;
        }
        (self.pending, self.at) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Reads, and writes at once what can be. Ready with what may be tried next, an error being the writer's.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(from).poll_read(cx, &mut buffer) {
            Poll::Pending => {
                if self.is_unflushed {
                    match Pin::new(to).poll_flush(cx) {
                        Poll::Pending => {
                            self.stalled.get_or_insert_with(Instant::now);
                            return Poll::Pending;
                        }
                        Poll::Ready(flushed) => flushed?,
                    }
                    self.is_unflushed = false;
                    self.stalled = None;
                }
                return Poll::Pending;
            }
            Poll::Ready(Err(_)) => {
                self.has_failed = true;
                self.phase = Phase::Ending;
            }
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => self.phase = Phase::Ending,
            Poll::Ready(Ok(())) => {
                self.moved += 1;
                // Most goes out as it came, and is never copied.
                let bytes = buffer.filled();
                let mut at = 0;
                while at < bytes.len() {
                    match Pin::new(&mut *to).poll_write(cx, &bytes[at..]) {
                        Poll::Ready(written) => {
                            let written = written?;
                            self.frames.take(&bytes[at..at + written]);
                            at += self.noted(written)?;
                        }
                        Poll::Pending => {
                            self.stalled.get_or_insert_with(Instant::now);
                            self.pending = bytes[at..].to_vec();
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, at: usize, written: usize) -> io::Result<()> {
        self.frames.take(&self.pending[at..at + written]);
        self.at += self.noted(written)?;
        Ok(())
    }

    fn noted(&mut self, written: usize) -> io::Result<usize> {
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.moved += 1;
        self.is_unflushed = true;
        self.stalled = None;
        Ok(written)
    }

    fn nobody_takes_it(&mut self) {
        self.has_failed = true;
        self.stalled = None;
        (self.pending, self.at) = (Vec::new(), 0);
        // What has ended needs no reading away.
        self.phase = if self.phase == Phase::Ending { Phase::Done } else { Phase::Discarding };
    }

    /// Passes the frame that has begun on to its end, so that another may follow. What came after it stays unsent.
    pub async fn finish_frame(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        if self.has_ended() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        while !self.frames.is_between() {
            let length = self.frames.of_this(&self.pending[self.at..]);
            if length == 0 {
                (self.pending, self.at) = (Vec::with_capacity(READ), 0);
                if from.read_buf(&mut self.pending).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            let written = to.write(&self.pending[self.at..self.at + length]).await?;
            self.wrote(self.at, written)?;
        }
        Ok(())
    }

    /// Reads the frames away up to the sender's Close, or its end.
    pub async fn await_close(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        let mut bytes = std::mem::take(&mut self.pending).split_off(self.at);
        self.at = 0;
        loop {
            self.frames.take(&bytes);
            if self.frames.has_closed() && self.frames.is_between() {
                return Ok(());
            }
            bytes.clear();
            if from.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
    }
}
