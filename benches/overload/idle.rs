//! Idle connections: as many as there may be, and more than there are file descriptors for.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use tokio::{net, runtime::Runtime, time::timeout};

use crate::{
    Bars, FEW_DESCRIPTORS, IDLE_CONNECTIONS, IDLE_CPU, as_f64, descriptors,
    door::{Door, Setting},
    good, mib, ms, rest, row, table,
    upstream::App,
};

const SPAN: Duration = Duration::from_secs(4);
const RATE: u32 = 200;
/// Until a server that was short of everything serves again.
const RECOVERY: Duration = Duration::from_secs(5);
/// What this process needs for itself, and the good client of the server.
const SPARE: usize = 100;
/// What the server keeps for itself, before it takes two descriptors for each connection.
const OF_SERVER: usize = 256;

pub fn measure(runtime: &Runtime, app: &App, bars: &mut Bars) {
    let mut rows =
        vec![row!["ulimit -n", "idle connections", "processor", "memory", "of each", "good p50", "good p99"]];
    many(runtime, app, bars, &mut rows);
    short(runtime, app, bars, &mut rows);
    table("Idle connections", &rows);
}

/// As many as there may be, but for the good client's.
fn many(runtime: &Runtime, app: &App, bars: &mut Bars, rows: &mut Vec<Vec<String>>) {
    let door = Door::start(app, Setting::default());
    good::ask(&door, RATE, SPAN / 4);
    let before = door.memory();
    let most = ((descriptors() - OF_SERVER) / 2).min(IDLE_CONNECTIONS).min(descriptors() - SPARE) - SPARE;
    let open = runtime.block_on(connect(door.address, most));
    until(|| door.descriptors() >= open.len());
    let share = door.idle_share(SPAN);
    let held = door.memory();
    let served = good::ask(&door, RATE, SPAN);
    let each = as_f64(held.saturating_sub(before)) / as_f64(open.len() as u64);
    rows.push(row![
        descriptors(),
        open.len(),
        format!("{share:.1} %"),
        mib(held),
        format!("{each:.1} KiB"),
        ms(served.percentile(50)),
        ms(served.percentile(99))
    ]);
    bars.hold(open.len() == most, &format!("{} idle connections are accepted", open.len()));
    bars.hold(share < IDLE_CPU, &format!("{share:.1} % of a processor while they are idle"));
    bars.hold(served.failed == 0, "every good request is served beside them");
}

/// More than there are descriptors for; then none, and the server serves again.
fn short(runtime: &Runtime, app: &App, bars: &mut Bars, rows: &mut Vec<Vec<String>>) {
    let door = Door::start(app, Setting { descriptors: Some(FEW_DESCRIPTORS), ..Setting::default() });
    let open = runtime.block_on(connect(door.address, 4 * FEW_DESCRIPTORS));
    until(|| door.descriptors() + 1 >= FEW_DESCRIPTORS);
    let is_short = door.descriptors() + 1 >= FEW_DESCRIPTORS;
    let share = door.idle_share(SPAN);
    let count = open.len();
    rows.push(row![FEW_DESCRIPTORS, count, format!("{share:.1} %"), mib(door.memory()), "", "", ""]);
    drop(open);
    let closed = Instant::now();
    let request = door.request();
    let is_served = || good::Connection::open(&door).and_then(|mut new| new.ask(&request)).is_ok_and(|s| s == 200);
    until(is_served);
    let took = closed.elapsed();
    bars.hold(is_short, &format!("{count} connections leave a server with {FEW_DESCRIPTORS} descriptors none"));
    bars.hold(share < IDLE_CPU, &format!("{share:.1} % of a processor while it cannot accept"));
    bars.hold(took < RECOVERY, &format!("it serves {} after they are closed", ms(took)));
}

async fn connect(address: SocketAddr, most: usize) -> Vec<TcpStream> {
    let mut open = Vec::with_capacity(most);
    while open.len() < most {
        // A full backlog lets nobody wait for long.
        match timeout(RECOVERY, net::TcpStream::connect(address)).await {
            Ok(Ok(stream)) => open.push(stream.into_std().expect("a socket")),
            _ => break,
        }
    }
    open
}

/// Waits for something, but not for ever: what is made of it comes next.
fn until(holds: impl Fn() -> bool) {
    let end = Instant::now() + RECOVERY;
    while !holds() && Instant::now() < end {
        rest(Duration::from_millis(20));
    }
}
