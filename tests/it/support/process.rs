//! A process of the test's, which does not outlive it.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command},
    sync::Mutex,
    time::{Duration, Instant},
};

/// A port that nothing listens on, and that was not given before: the system may name one twice.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if GIVEN.lock().unwrap().insert(port) {
            return port;
        }
    }
}

/// Killed when dropped, also by a failing test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|e| panic!("{command:?} does not start: {e}")))
    }

    /// Waits until something listens there.
    pub fn until_listening(mut self, address: SocketAddr) -> Self {
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end && self.0.try_wait().unwrap().is_none(), "it listens on {address}");
            std::thread::yield_now();
        }
        self
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Ends it by SIGTERM, and says with which code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.0.wait().unwrap().code()
    }
}
