//! Redis servers of the test's own, on free ports, in folders of their own.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use tempfile::TempDir;

use super::{Process, free_port};

/// A server. It goes with the test.
pub struct RedisServer {
    pub address: SocketAddr,
    folder: TempDir,
    options: Vec<String>,
    process: Option<Process>,
}

impl RedisServer {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With options as on its command line.
    pub fn with(options: &[&str]) -> Self {
        let mut server = Self::stopped();
        server.options = options.iter().map(|option| (*option).to_owned()).collect();
        server.run();
        server
    }

    /// One that is yet to run.
    pub fn stopped() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            folder: tempfile::tempdir().unwrap(),
            options: Vec::new(),
            process: None,
        }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Runs it, with what an earlier run left in its folder.
    pub fn run(&mut self) {
        let mut command = Command::new("redis-server");
        // It goes by file descriptors, and so does the rest of this machine.
        command.args(["--bind", "127.0.0.1", "--save", "", "--maxclients", "200"]);
        if !self.options.iter().any(|option| option == "--tls-port") {
            command.args(["--port", &self.address.port().to_string()]);
        }
        command.args(&self.options).current_dir(self.folder.path());
        self.process = Some(Process::start(command.stdout(Stdio::null())).until_listening(self.address));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    pub fn signal(&self, name: &str) {
        self.process.as_ref().expect("it runs").signal(name);
    }

    /// Ends it in an orderly way, and begins anew without what it knew.
    pub fn restart_empty(&mut self) {
        self.kill();
        for left in ["dump.rdb", "appendonlydir"] {
            let left = self.folder.path().join(left);
            let _ = std::fs::remove_file(&left).or_else(|_| std::fs::remove_dir_all(&left));
        }
        self.run();
    }

    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// The answer to a command, each word an argument.
    pub fn ask(&self, words: &[&str]) -> String {
        cli(self.address, words)
    }
}

/// The answer of `redis-cli`.
pub fn cli(address: SocketAddr, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &address.port().to_string()]).args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
