//! The embedded ledger with as many revocations as it takes by default: how long it takes to open, what the process then holds,
//! and that a check does not grow with them. Not by criterion: each is measured once, in a process of its own.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::{
    env, fs,
    hint::black_box,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{runtime::Runtime, task::JoinSet};
use vestibule::{
    identity::{Identity, TenantId},
    ledger::{Cause, Extent, Issued, Ledger, Owner, Person, Revocation, Settings, StoreSettings, Subject, Subjects},
    time::{Clock, UnixTime},
};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-11-20T00:00:00Z.
const NOW: UnixTime = UnixTime(1_795_132_800);
const SIZES: [usize; 3] = [0, 1_000, 1_000_000];
const MOST_SECONDS: f64 = 3.0;
const MOST_MEGABYTES: usize = 120;

fn main() {
    // Set for a process of its own.
    if let (Ok(path), Ok(count)) = (env::var("LEDGER"), env::var("COUNT")) {
        open(Path::new(&path), count.parse().unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for count in SIZES {
        let path = folder.path().join(count.to_string());
        write(&path, count);
        let mut command = Command::new(env::current_exe().unwrap());
        let done = command.env("LEDGER", &path).env("COUNT", count.to_string()).status().unwrap();
        assert!(done.success(), "{count} revocations");
    }
}

/// A quarter of it is for orders.
const MOST: usize = 4_000_000;
const ISSUED: Issued = Issued::Session { at: NOW, began: NOW };

fn ledger(path: &Path) -> Settings {
    Settings { store: StoreSettings::Path(path.to_owned()), most: MOST, max_staleness: Duration::from_secs(30) }
}

fn write(path: &Path, count: usize) {
    Runtime::new().unwrap().block_on(async {
        let ledger = Arc::new(Ledger::open(&ledger(path), &Clock::reading(|| NOW)).await.unwrap());
        let started = Instant::now();
        for start in (0..count).step_by(4_000) {
            let mut tasks = JoinSet::new();
            for number in start..count.min(start + 4_000) {
                let (ledger, subject) = (ledger.clone(), Subject::user(&TenantId::new("acme"), &number.to_string()));
                // They end at any time in the next 12 hours.
                let until = UnixTime(NOW.0 + 1 + i64::try_from(number * 7_919 % 43_200).unwrap());
                let owner = Owner::of(&TenantId::new("acme"));
                let revocation = Revocation {
                    subject,
                    extent: Extent::up_to(NOW),
                    until,
                    owner,
                    cause: Cause::Order,
                    person: Person::UNKNOWN,
                };
                tasks.spawn(async move { ledger.revoke(revocation, NOW).await.unwrap() });
            }
            tasks.join_all().await;
        }
        println!("{count} revocations: written in {:.2} s", started.elapsed().as_secs_f64());
    });
    println!("{count} revocations: file of {:.1} MB", megabytes(fs::metadata(path).unwrap().len()));
}

fn open(path: &Path, count: usize) {
    let runtime = Runtime::new().unwrap();
    let started = Instant::now();
    let ledger = runtime.block_on(Ledger::open(&ledger(path), &Clock::reading(|| NOW))).unwrap();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(ledger.revocations(), count);
    let pages: usize = fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let held = (pages * rustix::param::page_size()) >> 20;
    println!("{count} revocations: opened in {seconds:.2} s, the process holds {held} MB");
    let (known, unknown) = (subjects("0"), subjects("nobody"));
    assert_eq!(ledger.find(&known, ISSUED).unwrap().is_some(), count > 0);
    for (name, subjects) in [("one who is revoked", known), ("one who is not", unknown)] {
        let started = Instant::now();
        for _ in 0..1_000_000 {
            black_box(ledger.find(black_box(&subjects), ISSUED)).unwrap();
        }
        println!("{count} revocations: {name} is found so in {:.0} ns", started.elapsed().as_secs_f64() * 1e3);
    }
    let everything = UnixTime(NOW.0 + 43_201);
    let started = Instant::now();
    ledger.sweep(everything);
    // Waits until it is swept on disk.
    runtime.block_on(ledger.release()).unwrap();
    println!("{count} revocations: all forgotten in {:.2} s", started.elapsed().as_secs_f64());
    println!("{count} revocations: file of {:.1} MB after that", megabytes(fs::metadata(path).unwrap().len()));
    assert!(seconds < MOST_SECONDS && held < MOST_MEGABYTES, "{seconds} s, {held} MB");
}

fn subjects(user: &str) -> Subjects {
    Subjects::of_token(&Identity {
        user: user.to_owned(),
        tenant: TenantId::new("acme"),
        roles: Vec::new(),
        email: None,
        name: None,
        plan: None,
        picture: None,
    })
}

fn megabytes(bytes: u64) -> f64 {
    let kilobytes = u32::try_from(bytes >> 10).unwrap();
    f64::from(kilobytes) / 1024.0
}
