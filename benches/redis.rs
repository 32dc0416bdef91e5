//! What the shared ledger costs, against a Redis of its own on this machine: `cargo bench --bench redis`.

#![allow(clippy::panic, reason = "a bench fails by panicking")]

mod support;

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use support::{NOW, config, token};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use vestibule::{
    identity::TenantId,
    ledger::{
        Cause, Extent, Issued, Ledger, Owner, Person, RedisSettings, Revocation, Servers, Settings, Spend,
        StoreSettings, Subject, Token, Transport,
    },
    server,
    time::{Clock, UnixTime},
};

struct Redis {
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Redis {
    fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let (port, folder) = (address.port(), tempfile::tempdir().expect("a folder"));
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]).current_dir(folder.path());
        let process = command.stdout(Stdio::null()).spawn().expect("redis-server");
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::yield_now();
        }
        Self { process, port, folder }
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .current_dir(self.folder.path())
            .output();
        String::from_utf8_lossy(&output.expect("redis-cli").stdout).trim().to_owned()
    }

    fn memory(&self) -> usize {
        let info = self.ask(&["INFO", "memory"]);
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("told");
        used.trim().parse().expect("a number")
    }

    fn settings(&self) -> Settings {
        let redis = RedisSettings {
            servers: Servers::One { address: ("127.0.0.1".into(), self.port), database: 0 },
            transport: Transport::Plain,
            login: None,
            prefix: "vestibule".into(),
        };
        Settings { store: StoreSettings::Redis(redis), most: 4_000_000, max_staleness: Duration::from_secs(30) }
    }
}

fn clock() -> Clock {
    Clock::reading(|| NOW)
}

async fn open(redis: &Redis) -> Arc<Ledger> {
    Arc::new(Ledger::open(&redis.settings(), &clock()).await.expect("it opens"))
}

/// Runs it for each number, so many at a time.
async fn each<F: Future<Output = ()> + Send + 'static>(
    numbers: std::ops::Range<usize>,
    at_a_time: usize,
    of: impl Fn(usize) -> F + Send + Clone + 'static,
) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..at_a_time)
        .map(|first| {
            let (numbers, of) = (numbers.clone(), of.clone());
            tokio::spawn(async move {
                for number in numbers.skip(first).step_by(at_a_time) {
                    of(number).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it ends well");
    }
    start.elapsed()
}

#[allow(clippy::cast_precision_loss, reason = "small")]
fn per_second(count: usize, span: Duration) -> f64 {
    count as f64 / span.as_secs_f64()
}

async fn spending(redis: &Redis) {
    const COUNT: usize = 100_000;
    let ledger = open(redis).await;
    let before = redis.memory();
    for (at_a_time, numbers) in [(1, 0..COUNT / 10), (64, COUNT / 10..COUNT)] {
        let (ledger, count) = (ledger.clone(), numbers.len());
        let span = each(numbers, at_a_time, move |number| {
            let ledger = ledger.clone();
            async move {
                let end = UnixTime(NOW.0 + 3_600);
                let token = Token::new(&TenantId::new("acme"), &number.to_string(), NOW, end);
                assert_eq!(ledger.spend(&token, NOW).await, Ok(Spend::First));
            }
        })
        .await;
        println!("tokens spent, {at_a_time} at a time: {:.0} a second", per_second(count, span));
    }
    println!("memory of Redis for a spent token: {} bytes", (redis.memory() - before) / COUNT);
}

async fn revoking(redis: &Redis) {
    const COUNT: usize = 1_000_000;
    let ledger = open(redis).await;
    let before = redis.memory();
    for (at_a_time, numbers) in [(1, 0..1_000), (64, 1_000..100_000), (1_024, 100_000..COUNT)] {
        let (ledger, count, end) = (ledger.clone(), numbers.len(), numbers.end);
        let span = each(numbers, at_a_time, move |number| {
            let ledger = ledger.clone();
            async move {
                let subject = Subject::user(&TenantId::new("acme"), &number.to_string());
                let until = UnixTime(NOW.0 + 43_200);
                let owner = Owner::of(&TenantId::new("acme"));
                let revocation = Revocation {
                    subject,
                    extent: Extent::up_to(NOW),
                    until,
                    owner,
                    cause: Cause::Order,
                    person: Person::UNKNOWN,
                };
                assert_eq!(ledger.revoke(revocation, NOW).await, Ok(()));
            }
        })
        .await;
        println!("revocations, {at_a_time} at a time: {:.0} a second", per_second(count, span));
        println!("memory of Redis for a revocation, of {end}: {} bytes", (redis.memory() - before) / end);
    }
    drop(ledger);
    let (start, worked) = (Instant::now(), processor_time());
    let late = open(redis).await;
    while late.revocations() < COUNT || late.find(&nobody(), Issued::Session { at: NOW, began: NOW }).is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!(
        "revocations loaded at start, {COUNT}: {:.2} s, and {:.2} s of a processor here",
        start.elapsed().as_secs_f64(),
        processor_time() - worked
    );
}

/// Of this process, in seconds: what others leave of the machine does not count.
#[allow(clippy::cast_precision_loss, reason = "small")]
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    ticks as f64 / 100.0
}

fn nobody() -> vestibule::ledger::Subjects {
    vestibule::ledger::Subjects::of_token(&vestibule::identity::Identity {
        tenant: TenantId::new("t"),
        user: "nobody".into(),
        roles: Vec::new(),
        email: None,
        name: None,
        plan: None,
        picture: None,
    })
}

async fn exchanging(redis: &Redis) {
    const COUNT: usize = 20_000;
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    for store in [None, Some(redis.settings())] {
        let mut config = config(1, 1, nowhere);
        let name = if store.is_some() { "Redis" } else { "memory" };
        config.ledger = store.unwrap_or(config.ledger);
        let running = server::start(&config, clock()).await.expect("a free port");
        let address = running.address;
        let tokens: Arc<Vec<String>> = Arc::new((0..COUNT).map(|number| token(number as u64)).collect());
        let start = Instant::now();
        let clients: Vec<_> = (0..32)
            .map(|first| {
                let tokens = tokens.clone();
                tokio::spawn(async move {
                    let mut stream = TcpStream::connect(address).await.expect("it listens");
                    stream.set_nodelay(true).expect("a socket");
                    let mut answer = vec![0; 16 << 10];
                    for token in tokens.iter().skip(first).step_by(32) {
                        let head = format!(
                            "POST /_auth/exchange HTTP/1.1\r\nHost: portal.test\r\nAccept: application/json\r\n\
                             Authorization: Bearer {token}\r\nContent-Length: 0\r\n\r\n"
                        );
                        stream.write_all(head.as_bytes()).await.expect("written");
                        let length = stream.read(&mut answer).await.expect("answered");
                        assert!(
                            answer[..length].starts_with(b"HTTP/1.1 200"),
                            "{}",
                            String::from_utf8_lossy(&answer[..length])
                        );
                        // An answer leaves in one piece.
                        assert!(answer[..length].ends_with(b"}"));
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.expect("it ends well");
        }
        println!("exchanges over 32 connections, ledger in {name}: {:.0} a second", per_second(COUNT, start.elapsed()));
    }
}

#[tokio::main]
async fn main() {
    let redis = Redis::start();
    exchanging(&redis).await;
    assert_eq!(redis.ask(&["FLUSHALL"]), "OK");
    spending(&redis).await;
    let one = "return redis.call('MEMORY', 'USAGE', redis.call('RANDOMKEY'))";
    println!("of which its key and value, by MEMORY USAGE: {}", redis.ask(&["EVAL", one, "0"]));
    assert_eq!(redis.ask(&["FLUSHALL"]), "OK");
    revoking(&redis).await;
}
