//! What others do to a good client: slow clients, floods of forged tokens, idle connections and abuse of HTTP/2.
//!
//! The binary runs as a process of its own on loopback, its log goes nowhere, and this process is everyone else: the app, the
//! good client (keep-alive, a session cookie, at a fixed rate, on threads of its own) and the attackers. A request whose
//! connection is still busy when it is due counts from when it was due. Ends with 1 when a bar that does not depend on how
//! quiet the machine is was missed.

#![allow(clippy::panic, reason = "a bench fails by panicking")]

mod door;
mod flood;
mod frames;
mod good;
mod http2;
mod idle;
mod slow;
mod upstream;

use std::{process::ExitCode, time::Duration};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use upstream::App;

/// How often each of two phases that are compared is measured, in turn; medians count.
const ROUNDS: usize = 3;
/// How long a phase lasts.
const PHASE: Duration = Duration::from_secs(5);

/// Slow clients of each of the four kinds.
const SLOW_OF_A_KIND: usize = 500;
const SLOW_RATE: u32 = 200;

/// Who measures what the server can refuse, and who sends twice as much.
const CAPACITY_CONNECTIONS: usize = 32;
const CAPACITY_SPAN: Duration = Duration::from_secs(3);
const FLOOD_CONNECTIONS: usize = 256;
const FLOOD_RATE: u32 = 100;

/// The default of `listen.max_connections`.
const IDLE_CONNECTIONS: usize = 20_000;
const FEW_DESCRIPTORS: usize = 256;

const HTTP2_CONNECTIONS: usize = 4;
const HTTP2_SPAN: Duration = Duration::from_secs(1);
const HTTP2_RATE: u32 = 200;

/// The bars of what is served, and what is wasted.
const SERVED: f64 = 99.9;
const IDLE_CPU: f64 = 5.0;
/// What a p99 may grow by; said, not enforced, for on a shared machine it is the neighbours' as well.
const P99_RATIO: f64 = 2.0;

/// What holds and what does not.
#[derive(Default)]
pub struct Bars {
    missed: bool,
}

impl Bars {
    /// Of those that end with 1.
    fn hold(&mut self, holds: bool, what: &str) {
        println!("{}: {what}", if holds { "holds" } else { "MISSED" });
        self.missed |= !holds;
    }

    /// Of those that depend on the machine.
    fn say(holds: bool, what: &str) {
        println!("{}: {what}", if holds { "holds" } else { "missed here and now" });
    }
}

type Measure = fn(&Runtime, &App, &mut Bars);

/// What is measured, all of it unless some is named: `cargo bench --profile release --bench overload -- flood`.
const PARTS: [(&str, Measure); 4] =
    [("slow", slow::measure), ("flood", flood::measure), ("idle", idle::measure), ("http2", http2::measure)];

fn main() -> ExitCode {
    raise_descriptors();
    // The attackers'; the app and the good client have threads of their own.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime: Runtime = runtime.expect("threads");
    let app = upstream::start();
    let mut bars = Bars::default();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    for (name, measure) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            measure(&runtime, &app, &mut bars);
        }
    }
    bars.hold(app.strangers() == 0, "the app saw nobody but the good client's user");
    runtime.shutdown_background();
    if bars.missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // More than the system gives by default, but never more than it allows.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// How many file descriptors a process may have.
fn descriptors() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Waits, on a thread that has nothing else to do.
#[allow(clippy::disallowed_methods, reason = "no worker's thread: this process serves nobody here")]
fn rest(span: Duration) {
    std::thread::sleep(span);
}

/// Prints a table: the first row is its head.
fn table(title: &str, rows: &[Vec<String>]) {
    println!("\n{title}\n");
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..rows[0].len()).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
    };
    line(&rows[0]);
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>());
    rows[1..].iter().for_each(|row| line(row));
    println!();
}

/// A row of a table.
macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$($cell.to_string()),*] };
}
use row;

fn ms(span: Duration) -> String {
    format!("{:.2} ms", span.as_secs_f64() * 1e3)
}

fn mib(kib: u64) -> String {
    format!("{:.1} MiB", as_f64(kib) / 1024.0)
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64().max(1e-9)
}

/// Counts here are far below 2^52.
#[allow(clippy::cast_precision_loss, reason = "counts of seconds, requests and KiB")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

fn median<T: Copy + PartialOrd>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).expect("no NaN"));
    values[values.len() / 2]
}
