//! `vestibule run` in a process of its own, in a folder of its own, with its log in a file; and clients that never rest.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use vestibule::time::Clock;

use super::{Ask, Certificate, Client, Issuer, Process, Secrets, Upstream, eventually, process::free_port};

/// A process that serves.
pub struct Served {
    pub folder: TempDir,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub process: Process,
    successors: Vec<u32>,
}

/// A token by the clock on the wall.
pub fn token_of_now(issuer: &Issuer, user: &str) -> String {
    let now = Clock::system().now().0;
    issuer.with(json!({ "userId": user, "iat": now, "exp": now + 600 }))
}

impl Drop for Served {
    fn drop(&mut self) {
        for process in &self.successors {
            let _ = Command::new("kill").args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

impl Served {
    /// Serves a configuration; `listen` is added to its `[listen]`.
    pub fn start(listen: &str, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [address, admin] = [free_port(), free_port()].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let text = with_listen(address, admin, listen, config);
        fs::write(folder.path().join("proxy.toml"), text).unwrap();
        Self::start_in(folder, address, admin, "proxy.toml")
    }

    /// Serves a configuration that is in a folder already.
    pub fn start_in(folder: TempDir, address: SocketAddr, admin: SocketAddr, file: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.args(["run", "-c", file]);
        Self::start_as(command, folder, address, admin)
    }

    /// Serves by a command.
    pub fn start_as(mut command: Command, folder: TempDir, address: SocketAddr, admin: SocketAddr) -> Self {
        command.current_dir(folder.path()).env_remove("RUST_LOG");
        for name in ["SESSION", "OLD_SESSION", "ACME", "OLD_ACME", "GLOBEX"] {
            command.env(name, Secrets::find(name).unwrap());
        }
        // Not the test's own, which waits for everyone who has it.
        command.stdout(Stdio::null()).stderr(File::create(folder.path().join("log")).unwrap());
        let process = Process::start(&mut command).until_listening(address);
        Self { folder, address, admin, process, successors: Vec::new() }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a configuration over the one before, in place.
    pub fn write(&self, listen: &str, config: &str) {
        fs::write(self.file("proxy.toml"), with_listen(self.address, self.admin, listen, config)).unwrap();
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap()
    }

    /// How many lines of the log say so.
    pub fn said(&self, what: &str) -> usize {
        self.log().lines().filter(|line| line.contains(what)).count()
    }

    /// How often a configuration was taken, and how often not.
    pub fn reloads(&self) -> (usize, usize) {
        (self.said(" vestibule: reloaded"), self.said(" vestibule: not reloaded"))
    }

    pub async fn until_reloads(&self, wanted: (usize, usize)) {
        eventually(20, &format!("{wanted:?} reloads"), async || self.reloads() == wanted).await;
    }

    pub async fn until_said(&self, what: &str, times: usize) {
        eventually(20, &format!("{what} {times} times in {}", self.log()), async || self.said(what) >= times).await;
    }

    pub fn ask(&self, method: &str, target: &str) -> Ask {
        Ask::new(self.address, method, target, "portal.test")
    }

    /// The process that serves now.
    pub fn now(&self) -> u32 {
        self.successors.last().copied().unwrap_or(self.process.0.id())
    }

    pub fn signal_now(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.now().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Has it hand over by SIGQUIT, and waits until the process before has ended.
    pub async fn hand_over(&mut self) {
        let before = self.now();
        self.begin_hand_over().await;
        eventually(20, &format!("{before} ends"), async || has_ended(before)).await;
    }

    /// Hands over, and leaves the old process to what it still has to do.
    pub async fn begin_hand_over(&mut self) {
        let count = self.said(" vestibule: handed over");
        self.signal_now("-QUIT");
        self.until_said(" vestibule: handed over", count + 1).await;
        let log = self.log();
        let line = log.lines().rev().find(|line| line.contains(" vestibule: handed over")).unwrap();
        self.successors.push(line.rsplit('=').next().unwrap().trim().parse().unwrap());
    }
}

/// Whether a process has ended, be it that nobody has asked for its exit code.
fn has_ended(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.trim_start().starts_with('Z'))
}

/// A configuration with where it listens.
pub fn with_listen(address: SocketAddr, admin: SocketAddr, listen: &str, config: &str) -> String {
    format!("[listen]\naddress = \"{address}\"\nadmin = \"{admin}\"\n{listen}\n{config}")
}

/// Clients that send the same request on and on, over connections they keep as long as they may.
pub struct Load {
    tasks: JoinSet<Vec<String>>,
    ends: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
}

impl Load {
    pub fn none() -> Self {
        Self { tasks: JoinSet::new(), ends: Arc::default(), answered: Arc::default() }
    }

    /// Over HTTP/1.1.
    pub fn and_h1(mut self, clients: usize, address: SocketAddr, request: &str) -> Self {
        for _ in 0..clients {
            let (ends, answered, request) = (self.ends.clone(), self.answered.clone(), request.to_owned());
            self.tasks.spawn(async move {
                let mut failures = Vec::new();
                while !ends.load(Ordering::SeqCst) {
                    let mut client = match Client::try_connect(address).await {
                        Ok(client) => client,
                        Err(e) => {
                            failures.push(format!("not connected: {e}"));
                            continue;
                        }
                    };
                    loop {
                        client.send(request.as_bytes()).await;
                        match client.receive(false).await {
                            None => failures.push("no answer".to_owned()),
                            Some(answer) if answer.status != 200 => failures.push(format!("{answer:?}")),
                            Some(answer) => {
                                answered.fetch_add(1, Ordering::SeqCst);
                                if answer.header("connection") != Some("close") && !ends.load(Ordering::SeqCst) {
                                    continue;
                                }
                            }
                        }
                        break;
                    }
                }
                failures
            });
        }
        self
    }

    /// Over HTTP/2.
    pub fn and_h2(
        mut self,
        clients: usize,
        address: SocketAddr,
        certificate: &Arc<Certificate>,
        token: &str,
        upstream: &Arc<Upstream>,
    ) -> Self {
        for client in 0..clients {
            let (ends, answered, upstream) = (self.ends.clone(), self.answered.clone(), upstream.clone());
            let (certificate, token) = (certificate.clone(), token.to_owned());
            self.tasks.spawn(async move {
                let (mut failures, mut number) = (Vec::new(), 0);
                while !ends.load(Ordering::SeqCst) {
                    let mut connection = match certificate.try_h2(address).await {
                        Ok(connection) => connection,
                        Err(e) => {
                            failures.push(format!("not connected: {e}"));
                            continue;
                        }
                    };
                    while !ends.load(Ordering::SeqCst) {
                        number += 1;
                        let request = http::Request::get(format!("https://portal.test/{client}/{number}"))
                            .header("authorization", format!("Bearer {token}"))
                            .body(())
                            .unwrap();
                        match connection.try_send(request, &upstream).await {
                            Ok(None) => break,
                            Ok(Some(answer)) if answer.status == 200 => {
                                answered.fetch_add(1, Ordering::SeqCst);
                            }
                            Ok(Some(answer)) => failures.push(format!("{answer:?}")),
                            Err(e) => {
                                failures.push(format!("no answer: {e}"));
                                break;
                            }
                        }
                    }
                }
                failures
            });
        }
        self
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits until so many more were answered.
    pub async fn more(&self, count: usize) {
        let before = self.answered();
        eventually(20, &format!("{count} more answers"), async || self.answered() >= before + count).await;
    }

    /// Ends it, and says what failed.
    pub async fn end(self) -> Vec<String> {
        self.ends.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.concat()
    }
}
