//! Handover: on SIGQUIT a new process, perhaps of a new binary, takes the listening sockets over, and nobody is refused.
//!
//! Both talk over a socket that is the new one's standard input; a line each:
//!
//! | old | new |
//! | --- | --- |
//! | starts the new one | loads its configuration: `ready`, or `failed …` and ends |
//! | accepts nothing more, releases the ledger: `yours …`, with the sockets | opens the ledger, accepts: `serving …` |
//! | finishes its requests and ends | passes on what is revoked meanwhile |
//!
//! Until `serving` has come, the old one can go on as if nothing had been: it ends the new one and accepts again.

use std::{
    env,
    ffi::OsString,
    io::{self, IoSlice, IoSliceMut, Read},
    mem::MaybeUninit,
    net::{SocketAddr, TcpListener},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use tokio::{sync::mpsc::UnboundedReceiver, task::spawn_blocking};

use crate::{bind::Listeners, server::Running};

/// Tells a process that its standard input is the socket of the one before it.
const VARIABLE: &str = "VESTIBULE_HANDOVER";

/// How long either side waits for the other.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is read of a line; a longer one is cut.
const LINE: usize = 8 << 10;

/// The program of this process, and what it was called with.
#[derive(Clone)]
pub struct Executable(Option<PathBuf>, Vec<OsString>);

impl Executable {
    /// That of this process, as it is called now.
    pub fn find() -> Self {
        let mut arguments = env::args_os();
        // As it was called: a link may lead to another version by then. One that was looked up is as the system says.
        let called = arguments.next().map(PathBuf::from).filter(|path| path.components().count() > 1 && path.exists());
        let path = called.and_then(|path| std::path::absolute(path).ok()).or_else(|| env::current_exe().ok());
        Self(path, arguments.collect())
    }
}

/// Hands over to a new process. Returns its id once it serves; where it does not come to that, this process accepts as before.
/// What still goes on here ends with what the new process revokes.
pub async fn hand_over(executable: &Executable, running: &Running) -> Result<u32, String> {
    if std::process::id() == 1 {
        return Err("it is the first process of its container, whose end is the end of all".into());
    }
    let executable = executable.clone();
    let successor = blocking(move || Successor::start(&executable)).await?;
    if let Err(e) = running.pause().await {
        running.resume().await;
        return Err(format!("the ledger cannot be handed over: {e}"));
    }
    let done = match running.listeners().map(Listeners::another) {
        Some(Ok(listeners)) => blocking(move || successor.take_over(&listeners)).await,
        Some(Err(e)) => Err(e.to_string()),
        None => Err("it does not listen".into()),
    };
    match done {
        Ok((process, address, channel)) => {
            let ledger = running.live.ledger.clone();
            std::thread::spawn(move || channel.listen(|told| ledger.hear(told)));
            if address != running.address {
                // Nobody takes who waits where it listened so far.
                running.accept_again();
            }
            Ok(process)
        }
        Err(why) => {
            running.resume().await;
            Err(why)
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    spawn_blocking(work).await.unwrap_or_else(|e| Err(e.to_string()))
}

/// The process to hand over to; ended when dropped before it serves.
struct Successor {
    child: Option<Child>,
    channel: Channel,
}

impl Drop for Successor {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Successor {
    /// Starts it, and waits until it has loaded its configuration.
    fn start(Executable(path, arguments): &Executable) -> Result<Self, String> {
        let path = path.as_ref().ok_or("where its program is, is not known")?;
        let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(|e| format!("there is no socket to talk over: {e}"))?;
        let child = Command::new(path).args(arguments).env(VARIABLE, "1").stdin(theirs).spawn();
        let child = child.map_err(|e| format!("{} does not start: {e}", path.display()))?;
        let successor = Self { child: Some(child), channel: Channel::new(ours)? };
        match successor.channel.hear()?.0.as_str() {
            "ready" => Ok(successor),
            other => Err(format!("the new process says: {other}")),
        }
    }

    /// Gives it the sockets, and waits until it serves. Returns its id, and where it listens.
    fn take_over(mut self, listeners: &Listeners) -> Result<(u32, SocketAddr, Channel), String> {
        let sockets: Vec<BorrowedFd<'_>> =
            std::iter::once(&listeners.main).chain(&listeners.admin).map(AsFd::as_fd).collect();
        self.channel.say("yours", &sockets)?;
        let (line, _) = self.channel.hear()?;
        let address = line.strip_prefix("serving ").and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| format!("the new process says: {line}"))?;
        let child = self.child.take().ok_or("there is no new process")?;
        Ok((child.id(), address, self.channel.another()?))
    }
}

/// The process that hands over to this one.
pub struct Predecessor(Channel);

impl Predecessor {
    /// That of this process, if there is one.
    pub fn find() -> Result<Option<Self>, String> {
        if env::var_os(VARIABLE).is_none() {
            return Ok(None);
        }
        let socket = io::stdin().as_fd().try_clone_to_owned();
        let none = std::fs::File::open("/dev/null");
        // The socket has one end here, so that the other side sees it close.
        let done = none.and_then(|none| Ok(rustix::stdio::dup2_stdin(&none)?)).and(socket);
        let socket = done.map_err(|e| format!("nobody hands over: {e}; unset {VARIABLE}"))?;
        Ok(Some(Self(Channel::new(socket)?)))
    }

    /// Says why this process ends.
    pub fn failed(&self, why: &str) {
        // It goes on, whatever it hears.
        let _ = self.0.say(why, &[]);
    }

    /// Says that this process could serve, and waits for the sockets: for clients, and for the operator.
    pub fn take_over(&self) -> Result<(Option<TcpListener>, Option<TcpListener>), String> {
        self.0.say("ready", &[])?;
        let (line, sockets) = self.0.hear()?;
        if line != "yours" {
            return Err(format!("the process before says: {line}"));
        }
        let mut sockets = sockets.into_iter().map(TcpListener::from);
        Ok((sockets.next(), sockets.next()))
    }

    /// Says that this process serves.
    pub fn serving(&self, address: SocketAddr) {
        // Gone or not, there is nobody else to serve.
        let _ = self.0.say(&format!("serving {address}"), &[]);
    }

    /// Passes on what is revoked, as long as it lives.
    pub fn tell(self, mut told: UnboundedReceiver<Vec<u8>>) {
        std::thread::spawn(move || while told.blocking_recv().is_some_and(|told| self.0.send(&told, &[]).is_ok()) {});
    }
}

/// One end of what they talk over.
struct Channel(UnixStream);

impl Channel {
    fn new(socket: OwnedFd) -> Result<Self, String> {
        let socket = UnixStream::from(socket);
        let set = socket.set_read_timeout(Some(PATIENCE)).and_then(|()| socket.set_write_timeout(Some(PATIENCE)));
        set.map(|()| Self(socket)).map_err(|e| format!("nobody is there to hand over: {e}"))
    }

    fn another(&self) -> Result<Self, String> {
        self.0.try_clone().map(Self).map_err(|e| format!("there is no socket to talk over: {e}"))
    }

    fn say(&self, line: &str, sockets: &[BorrowedFd<'_>]) -> Result<(), String> {
        self.send(&line.as_bytes()[..line.len().min(LINE)], sockets)
    }

    /// Hears what comes until the other side has ended.
    fn listen(&self, hear: impl Fn(&[u8])) {
        let mut told = [0; LINE];
        let mut socket = &self.0;
        // Without a limit it would fail; then it ends at once, and what goes on here ends by its own time.
        let is_set = self.0.set_read_timeout(None).is_ok();
        while is_set
            && let Ok(length) = socket.read(&mut told)
            && length > 0
        {
            hear(&told[..length]);
        }
    }

    fn send(&self, line: &[u8], sockets: &[BorrowedFd<'_>]) -> Result<(), String> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err("more sockets than fit".into());
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(line)], &mut control, SendFlags::NOSIGNAL);
        sent.map(|_| ()).map_err(|e| format!("the other process does not listen: {e}"))
    }

    fn hear(&self) -> Result<(String, Vec<OwnedFd>), String> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut line = vec![0; LINE];
        let heard = recvmsg(&self.0, &mut [IoSliceMut::new(&mut line)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let length = heard.map_err(|e| format!("the other process says nothing for {PATIENCE:?}: {e}"))?.bytes;
        if length == 0 {
            return Err("the other process has ended".into());
        }
        let sockets = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        });
        let sockets = sockets.flatten().collect();
        Ok((String::from_utf8_lossy(&line[..length]).into_owned(), sockets))
    }
}
