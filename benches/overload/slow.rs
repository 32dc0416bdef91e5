//! Slow clients: what they do to the good client's latency, and to memory.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinSet,
    time::{interval, timeout},
};

use crate::{
    Bars, P99_RATIO, PHASE, ROUNDS, SLOW_OF_A_KIND, SLOW_RATE, as_f64,
    door::{Door, HOST, Setting},
    good, median, mib, ms, ratio, rest, row, table,
    upstream::{App, LARGE},
};

/// Until what was just opened or closed has settled.
const SETTLE: Duration = Duration::from_secs(1);
/// Between two bytes of what drips.
const DRIP: Duration = Duration::from_secs(1);
/// Of the reader that does not read: as little as the system lets it have.
const RECEIVE_BUFFER: u32 = 4 << 10;
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug)]
enum Kind {
    FirstHead,
    SecondHead,
    Body,
    Reader,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::FirstHead, "a first request, a byte a second"),
    (Kind::SecondHead, "half a second request"),
    (Kind::Body, "a body, a byte a second"),
    (Kind::Reader, "4 MiB asked for and not read"),
];

pub fn measure(runtime: &Runtime, app: &App, bars: &mut Bars) {
    let door = Door::start(app, Setting::default());
    // What a first request brings into memory is no slow client's.
    good::ask(&door, SLOW_RATE, SETTLE);
    let before = door.memory();
    let mut rows = vec![row!["round", "good client", "p50", "p99", "failed", "memory", "after it", "descriptors"]];
    let (mut alone, mut beside, mut failed, mut growth, mut crept) = (vec![], vec![], 0, 0, 0);
    let mut kinds = vec![row!["slow clients", "number", "memory of each"]];
    for round in 1..=ROUNDS {
        for is_attacked in [false, true] {
            let mut slow = JoinSet::new();
            for (kind, name) in KINDS.iter().filter(|_| is_attacked) {
                let held = door.memory();
                let opened = runtime.block_on(open(&mut slow, &door, *kind));
                settle(&door);
                if round == 1 {
                    let each = as_f64(door.memory().saturating_sub(held)) / as_f64(opened as u64);
                    kinds.push(row![name, opened, format!("{each:.1} KiB")]);
                }
            }
            let start = door.memory();
            let served = good::ask(&door, SLOW_RATE, PHASE);
            let end = door.memory();
            let descriptors = door.descriptors();
            if is_attacked {
                growth = growth.max(end.saturating_sub(before));
                crept = crept.max(end.saturating_sub(start));
                let left = runtime.block_on(async { slow.try_join_next() }).is_some();
                bars.hold(!left, "every slow client is still there at the end of its round");
            }
            let who = if is_attacked { "beside slow clients" } else { "alone" };
            let (p50, p99) = (served.percentile(50), served.percentile(99));
            if is_attacked { &mut beside } else { &mut alone }.push(p99);
            failed += served.failed;
            rows.push(row![round, who, ms(p50), ms(p99), served.failed, mib(start), mib(end), descriptors]);
            drop(slow);
            rest(SETTLE);
        }
    }
    // What was freed goes back to the system a little later.
    let last = good::ask(&door, SLOW_RATE, PHASE);
    let after = door.memory();
    failed += last.failed;
    let (p50, p99) = (ms(last.percentile(50)), ms(last.percentile(99)));
    rows.push(row!["", "alone again", p50, p99, last.failed, "", mib(after), door.descriptors()]);
    let count = SLOW_OF_A_KIND * KINDS.len();
    table(&format!("{count} slow clients, and a good one at {SLOW_RATE} requests a second"), &rows);
    table("What each slow client takes", &kinds);
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "memory {} before, {} at most beside them ({:.1} KiB a slow client), {} after",
        mib(before),
        mib(before + growth),
        as_f64(growth) / as_f64(count as u64),
        mib(after)
    );
    bars.hold(failed == 0, &format!("every good request is served beside slow clients ({failed} failed)"));
    bars.hold(crept <= growth / 20, &format!("memory does not creep while they last (by {} in a round)", mib(crept)));
    let ratio = ratio(beside, alone);
    Bars::say(ratio <= P99_RATIO, &format!("p99 {} beside slow clients, {} alone: {ratio:.2}", ms(beside), ms(alone)));
}

/// Waits until what was opened has all it gets: what is measured next is how that lasts.
fn settle(door: &Door) {
    let end = Instant::now() + PATIENCE;
    let mut held = door.memory();
    loop {
        rest(SETTLE);
        let now = door.memory();
        if now <= held + held / 100 || Instant::now() > end {
            return;
        }
        held = now;
    }
}

async fn open(slow: &mut JoinSet<io::Result<()>>, door: &Door, kind: Kind) -> usize {
    let mut opened = Vec::new();
    for _ in 0..SLOW_OF_A_KIND {
        let stream = timeout(PATIENCE, begin(door, kind)).await.expect("in time").expect("it accepts");
        opened.push(stream);
    }
    let count = opened.len();
    for stream in opened {
        slow.spawn(go_on(stream, kind));
    }
    count
}

/// Connects, and sends the beginning.
async fn begin(door: &Door, kind: Kind) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if matches!(kind, Kind::Reader) {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    let mut stream = socket.connect(door.address).await?;
    let begin = match kind {
        Kind::FirstHead => format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nX: ").into_bytes(),
        Kind::SecondHead => door.request(),
        Kind::Body => door.line("POST / HTTP/1.1", "Content-Length: 100000\r\n"),
        Kind::Reader => door.line(&format!("GET {LARGE} HTTP/1.1"), ""),
    };
    stream.write_all(&begin).await?;
    if matches!(kind, Kind::SecondHead) {
        let mut answers = good::Answers::default();
        let mut bytes = vec![0; 4 << 10];
        while answers.next().is_none() {
            let length = stream.read(&mut bytes).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answers.feed(&bytes[..length]);
        }
        stream.write_all(&begin[..begin.len() / 2]).await?;
    }
    Ok(stream)
}

/// Ends only when the server ends it.
async fn go_on(mut stream: TcpStream, kind: Kind) -> io::Result<()> {
    let mut every = interval(DRIP);
    let mut byte = [0];
    loop {
        match kind {
            Kind::FirstHead | Kind::Body => {
                tokio::select! {
                    _ = every.tick() => stream.write_all(b"a").await?,
                    read = stream.read(&mut byte) => return read.map(drop),
                }
            }
            Kind::SecondHead => return stream.read(&mut byte).await.map(drop),
            Kind::Reader => {
                every.tick().await;
                // Whether the server has given up shows without reading.
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
            }
        }
    }
}
