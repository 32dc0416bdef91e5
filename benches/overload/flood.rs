//! A flood of forged tokens from one address, at twice what the server can refuse, beside a good client at another.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use vestibule::token::LONGEST;

use crate::{
    Bars, CAPACITY_CONNECTIONS, CAPACITY_SPAN, FLOOD_CONNECTIONS, FLOOD_RATE, PHASE, SERVED, as_f64,
    door::{Door, HOST, Setting},
    good, ms, ratio, row, table,
    upstream::App,
};

/// Whence the flood comes; the good client comes from 127.0.0.1.
const SOURCE: &str = "127.0.0.2:0";

/// What the flood did and got.
#[derive(Default)]
struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
    limited: AtomicU64,
    other: AtomicU64,
    closed: AtomicU64,
}

impl Counts {
    fn note(&self, status: u16) {
        let count = match status {
            401 => &self.refused,
            429 => &self.limited,
            _ => &self.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn read(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

/// A request with a token of the longest size that differs from all others in its signature.
struct Forgery {
    request: Vec<u8>,
    signature: usize,
}

impl Forgery {
    fn new() -> Self {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = |padding: usize| {
            let claims = json!({
                "userId": "root", "tenantId": "acme", "userRoles": ["admin"],
                "iat": 1_795_132_800, "exp": 4_102_444_800_u64, "plan": "x".repeat(padding),
            });
            URL_SAFE_NO_PAD.encode(claims.to_string())
        };
        // A signature has 43 characters, and each of three bytes four.
        let room = LONGEST - header.len() - claims(0).len() - 45;
        let token = format!("{header}.{}.{}", claims(room / 4 * 3), "A".repeat(43));
        assert!((LONGEST - 8..=LONGEST).contains(&token.len()), "{}", token.len());
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes();
        let signature = request.len() - 4 - 43;
        Self { request, signature }
    }

    /// The next: sixteen characters spell its number.
    fn next(&mut self, number: u64) -> &[u8] {
        let spelt = format!("{number:016x}");
        self.request[self.signature..self.signature + 16].copy_from_slice(spelt.as_bytes());
        &self.request
    }
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn number() -> u64 {
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SOURCE.parse().expect("an address"))?;
    socket.connect(address).await
}

pub fn measure(runtime: &Runtime, app: &App, bars: &mut Bars) {
    let mut rows = vec![row!["limits.failures", "good client", "served", "p50", "p99", "p99 ratio"]];
    let mut floods = vec![row![
        "limits.failures",
        "refused a second, flat out",
        "meant to send a second",
        "sent a second",
        "401 a second",
        "429 a second",
        "other",
        "closed"
    ]];
    for limit_failures in [false, true] {
        let name = if limit_failures { "30 a minute" } else { "none" };
        let door = Door::start(app, Setting { limit_failures, ..Setting::default() });
        let capacity = runtime.block_on(capacity(&door));
        let alone = good::ask(&door, FLOOD_RATE, PHASE);
        let counts = Arc::new(Counts::default());
        let mut flood = JoinSet::new();
        for _ in 0..FLOOD_CONNECTIONS {
            let gap = Duration::from_secs_f64(as_f64(FLOOD_CONNECTIONS as u64) / (2.0 * capacity));
            flood.spawn_on(pour(door.address, gap, counts.clone()), runtime.handle());
        }
        let start = Instant::now();
        let beside = good::ask(&door, FLOOD_RATE, PHASE);
        let a_second =
            |count: &AtomicU64| format!("{:.0}", as_f64(Counts::read(count)) / start.elapsed().as_secs_f64());
        floods.push(row![
            name,
            format!("{capacity:.0}"),
            format!("{:.0}", 2.0 * capacity),
            a_second(&counts.sent),
            a_second(&counts.refused),
            a_second(&counts.limited),
            Counts::read(&counts.other),
            Counts::read(&counts.closed),
        ]);
        drop(flood);
        for (who, served) in [("alone", &alone), ("beside the flood", &beside)] {
            let (p50, p99) = (served.percentile(50), served.percentile(99));
            let ratio = format!("{:.1}", ratio(p99, alone.percentile(99)));
            rows.push(row![name, who, format!("{:.2} %", served.share()), ms(p50), ms(p99), ratio]);
        }
        let what = format!("{:.2} % of good requests are served beside the flood, limit {name}", beside.share());
        bars.hold(beside.share() >= SERVED, &what);
    }
    table(
        &format!(
            "A flood of forged 8 KiB tokens over {FLOOD_CONNECTIONS} connections, and a good client at {FLOOD_RATE} requests a second"
        ),
        &rows,
    );
    table("What the flood got", &floods);
}

/// How many forgeries a second are refused to clients that each wait for the answer.
async fn capacity(door: &Door) -> f64 {
    let counts = Arc::new(Counts::default());
    let mut clients = JoinSet::new();
    for _ in 0..CAPACITY_CONNECTIONS {
        let (address, counts) = (door.address, counts.clone());
        clients.spawn(async move {
            let mut stream = connect(address).await?;
            let (mut forgery, mut answers, mut bytes) = (Forgery::new(), good::Answers::default(), vec![0; 8 << 10]);
            loop {
                stream.write_all(forgery.next(number())).await?;
                loop {
                    if let Some(status) = answers.next() {
                        counts.note(status);
                        break;
                    }
                    match stream.read(&mut bytes).await? {
                        0 => return io::Result::<()>::Err(io::ErrorKind::UnexpectedEof.into()),
                        length => answers.feed(&bytes[..length]),
                    }
                }
            }
        });
    }
    let early = timeout(CAPACITY_SPAN, clients.join_next()).await;
    assert!(early.is_err(), "a connection that asks on is kept: {early:?}");
    as_f64(Counts::read(&counts.refused) + Counts::read(&counts.limited)) / CAPACITY_SPAN.as_secs_f64()
}

/// Sends on whether or not answers come, over one connection after the other.
async fn pour(address: SocketAddr, gap: Duration, counts: Arc<Counts>) {
    let mut forgery = Forgery::new();
    let mut due = interval(gap);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        let Ok(stream) = connect(address).await else {
            counts.closed.fetch_add(1, Ordering::Relaxed);
            due.tick().await;
            continue;
        };
        let (mut read, mut write) = stream.into_split();
        let noted = counts.clone();
        let reading = async move {
            let (mut answers, mut bytes) = (good::Answers::default(), vec![0; 16 << 10]);
            while let Ok(length @ 1..) = read.read(&mut bytes).await {
                answers.feed(&bytes[..length]);
                while let Some(status) = answers.next() {
                    noted.note(status);
                }
            }
        };
        let writing = async {
            loop {
                due.tick().await;
                if write.write_all(forgery.next(number())).await.is_err() {
                    return;
                }
                counts.sent.fetch_add(1, Ordering::Relaxed);
            }
        };
        tokio::select! { () = reading => {}, () = writing => {} }
        counts.closed.fetch_add(1, Ordering::Relaxed);
    }
}
