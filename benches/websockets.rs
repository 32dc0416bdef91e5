//! What an idle WebSocket costs: 5,000 of them through the binary, each of which has echoed once.
//!
//! The binary runs as a process of its own on loopback; this process is the app and the clients, and needs two file descriptors
//! for each, as does the binary (`ulimit -n`). Ends with 1 when the bar was missed.

#![allow(clippy::panic, reason = "a bench fails by panicking")]

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use jsonwebtoken::{EncodingKey, Header, encode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use vestibule::time::Clock;

const SOCKETS: usize = 5_000;
/// Opened at once.
const AT_ONCE: usize = 100;
/// What they may take in all, in MB.
const BAR: u64 = 150;
const PATIENCE: Duration = Duration::from_secs(20);

const SECRET: &str = "acme-secret-0123456789abcdef0123456789";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// A text, masked with zeros.
const MESSAGE: &[u8] = b"\x81\x85\0\0\0\0hello";

/// The binary; killed when dropped.
struct Door {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Door {
    fn start(app: SocketAddr) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("proxy.toml");
        let address = StdListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let text = format!(
            r#"
            [listen]
            address = "{address}"
            [session]
            keys = [{{ id = "s", env = "SESSION" }}]
            [ledger]
            memory = true
            [tenants.acme]
            dialect = "gateway"
            keys = [{{ id = "k", env = "ACME" }}]
            [upstreams.app]
            servers = ["{app}"]
            [[routes]]
            path = "/"
            upstream = "app"
            "#
        );
        std::fs::write(&file, text).expect("written");
        let child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["run", "-c"])
            .arg(&file)
            .env("SESSION", "session-secret-0123456789abcdef012345")
            .env("ACME", SECRET)
            .env_remove("RUST_LOG")
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self { child, address, _folder: folder }
    }

    /// What it holds of memory, in KiB (`VmRSS`).
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

fn token() -> String {
    let now = Clock::system().now().0;
    let claims = json!({ "userId": "maya", "tenantId": "acme", "userRoles": ["agent"], "iat": now, "exp": now + 600 });
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).expect("signs")
}

/// Takes every handshake, and sends back what it gets.
async fn app(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            head(&mut stream).await?;
            stream.write_all(SWITCH).await?;
            let mut message = [0; MESSAGE.len()];
            loop {
                stream.read_exact(&mut message).await?;
                stream.write_all(&message).await?;
            }
            #[allow(unreachable_code, reason = "says what a failure is")]
            io::Result::Ok(())
        });
    }
}

async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut seen).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(seen)
}

async fn open(address: SocketAddr, token: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let ask = format!(
        "GET /chat HTTP/1.1\r\nHost: portal.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {token}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await?;
    let answer = timeout(PATIENCE, head(&mut stream)).await??;
    assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
    Ok(stream)
}

async fn echo(stream: &mut TcpStream) {
    stream.write_all(MESSAGE).await.expect("it is open");
    let mut back = [0; MESSAGE.len()];
    timeout(PATIENCE, stream.read_exact(&mut back)).await.expect("in time").expect("it is open");
    assert_eq!(back, MESSAGE);
}

/// Opens so many, each of which echoes once.
async fn open_all(address: SocketAddr, token: &str, count: usize) -> Vec<TcpStream> {
    let mut open_ones = Vec::with_capacity(count);
    while open_ones.len() < count {
        let mut opening = JoinSet::new();
        for _ in 0..AT_ONCE.min(count - open_ones.len()) {
            let token = token.to_owned();
            opening.spawn(async move {
                let mut stream = open(address, &token).await.expect("it opens");
                echo(&mut stream).await;
                stream
            });
        }
        open_ones.extend(opening.join_all().await);
    }
    open_ones
}

#[tokio::main]
async fn main() -> ExitCode {
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).expect("what is allowed");
    assert!(limit.is_none_or(|limit| limit > 2 * SOCKETS as u64 + 500), "ulimit -n is {limit:?}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let door = Door::start(listener.local_addr().expect("bound"));
    tokio::spawn(app(listener));
    let token = token();
    let mut tries = 0;
    while open(door.address, &token).await.is_err() {
        tries += 1;
        assert!(tries < 500, "it serves");
        sleep(Duration::from_millis(20)).await;
    }
    // What the first ones cost, in threads and code that was never run before, is nobody's.
    drop(open_all(door.address, &token, AT_ONCE).await);
    sleep(Duration::from_secs(2)).await;
    let before = door.memory();
    let mut sockets = open_all(door.address, &token, SOCKETS).await;
    sleep(Duration::from_secs(2)).await;
    let grown = door.memory().saturating_sub(before);
    // They are all open still.
    for socket in &mut sockets {
        echo(socket).await;
    }
    println!(
        "{SOCKETS} idle WebSockets: {} MB, {}.{} KB each (bar: {BAR} MB in all)",
        grown >> 10,
        grown / SOCKETS as u64,
        grown * 10 / SOCKETS as u64 % 10,
    );
    if grown >> 10 <= BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
