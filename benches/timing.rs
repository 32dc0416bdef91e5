//! Whether the time of a refusal tells why: forged tokens of many classes, in random order, and Welch's t between the classes that
//! must not be told apart.
//!
//! Three tenants: one at a host of its own, two at a shared one, with different numbers of keys. A client without a key must not
//! learn which ids of keys exist (also with another `alg`), which tenants exist (at their host and at another's), nor how many keys
//! a tenant has. How many verifications are made is counted in `src/gate/costs.rs`; here the rest shows as well.
//!
//! Between classes of equal means |t| exceeds 4.5 once in some 100,000 runs. The slowest tenth of all samples is left out:
//! interrupts and neighbours.

#![allow(clippy::panic, reason = "a bench fails by panicking")]

mod support;

use std::{hint::black_box, path::Path, process::ExitCode, sync::Arc, time::Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderValue,
    header::{AUTHORIZATION, HOST},
};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use vestibule::{config::Config, gate::Gate, ledger::Ledger, server};

/// Of each class.
const TOKENS: usize = 8_000;
const WARM_UP: usize = 2_000;
const BAR: f64 = 4.5;
/// What no network shows: a few nanoseconds, of which a branch taken otherwise is worth two, are seen here alone.
const VISIBLE: f64 = 40.0;
/// Of 10,000 samples so many count.
const KEPT: usize = 9_000;

/// What a forged token says, all in as many bytes, and at which host.
struct Class {
    name: &'static str,
    host: &'static str,
    tenant: &'static str,
    kid: Option<&'static str>,
    alg: &'static str,
    /// What is done to the first, the other and the last bytes of a good MAC.
    wrong: [u8; 3],
}

const fn class(name: &'static str, host: &'static str, tenant: &'static str, kid: Option<&'static str>) -> Class {
    Class { name, host, tenant, kid, alg: "HS256", wrong: [0x5a; 3] }
}

const OWN: &str = "alone.test";
const SHARED: &str = "share.test";

/// Groups within which nothing may differ.
const GROUPS: [(&str, &[Class]); 5] = [
    (
        "the id of a key, at a host of one tenant",
        &[
            class("unknown kid", OWN, "t0", Some("q")),
            class("known kid", OWN, "t0", Some("k")),
            Class { wrong: [1, 0, 0], ..class("MAC wrong in byte 0", OWN, "t0", Some("k")) },
            Class { wrong: [0, 0, 1], ..class("MAC wrong in byte 31", OWN, "t0", Some("k")) },
            class("the other kid", OWN, "t0", Some("l")),
        ],
    ),
    (
        "the same with another alg",
        &[
            Class { alg: "ES256", ..class("unknown kid, ES256", OWN, "t0", Some("q")) },
            Class { alg: "ES256", ..class("known kid, ES256", OWN, "t0", Some("k")) },
        ],
    ),
    (
        "a tenant, at the host of another",
        &[
            class("claims the host's own", OWN, "t0", None),
            class("claims another", OWN, "t1", None),
            class("claims none that exists", OWN, "tx", None),
        ],
    ),
    (
        "a tenant and its keys, at a shared host",
        &[
            class("claims one with 1 key", SHARED, "t1", None),
            class("claims one with 10 keys", SHARED, "t2", None),
            class("claims that of another host", SHARED, "t0", None),
            class("claims none that exists", SHARED, "tx", None),
        ],
    ),
    (
        "the id of a key, at a shared host",
        &[
            class("tenant and kid exist", SHARED, "t1", Some("k")),
            class("tenant exists, kid does not", SHARED, "t1", Some("q")),
            class("neither exists", SHARED, "tx", Some("q")),
            class("kid of the other", SHARED, "t1", Some("5")),
        ],
    ),
];

fn gate() -> Gate {
    let key = |id: &str, env: &str| format!("{{ id = \"{id}\", env = \"{env}\" }}");
    let ten: Vec<String> = (0..10).map(|number| key(&number.to_string(), &format!("TEN{number}"))).collect();
    let mut text =
        "[listen]\naddress = \"127.0.0.1:0\"\n[session]\nkeys = [{ id = \"s\", env = \"SESSION\" }]\n".to_owned();
    text += "[ledger]\nmemory = true\n";
    let tenants = [
        ("t0", OWN, format!("{}, {}", key("k", "T0"), key("l", "LONG"))),
        ("t1", SHARED, key("k", "T1")),
        ("t2", SHARED, ten.join(", ")),
    ];
    for (id, host, keys) in tenants {
        text += &format!("[tenants.{id}]\ndialect = \"gateway\"\nhosts = [\"{host}\"]\nkeys = [{keys}]\n");
    }
    text += "[upstreams.app]\nservers = [\"127.0.0.1:9\"]\n[[routes]]\npath = \"/\"\nupstream = \"app\"\n";
    let secret = |name: &str| match name {
        "T0" => Some(support::SECRET.to_owned()),
        // Longer than a block of the hash.
        "LONG" => Some("0123456789abcdef".repeat(9)),
        name => Some(format!("{name}-0123456789abcdef0123456789abcdef0123")),
    };
    let config =
        Config::parse(Path::new("bench.toml"), &text, &secret).unwrap_or_else(|problems| panic!("{}", problems[0]));
    server::gate(&config, Arc::new(Ledger::in_memory(1_000)))
}

/// A token of a class. What is done to make it is the same for all.
fn token(class: &Class, number: usize) -> String {
    // Without `kid` another member takes its place.
    let kid = class.kid.map_or("\"pad\":\"k\"".to_owned(), |kid| format!("\"kid\":\"{kid}\""));
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{}","typ":"JWT",{kid}}}"#, class.alg));
    let claims = format!(
        r#"{{"userId":"u-{number:08}","tenantId":"{}","userRoles":["agent"],"iat":{},"exp":{}}}"#,
        class.tenant,
        support::NOW.0,
        support::NOW.0 + 600
    );
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(support::SECRET.as_bytes());
    let mac = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signs");
    let mut mac = URL_SAFE_NO_PAD.decode(mac).expect("base64url");
    let [first, middle, last] = class.wrong;
    for (at, byte) in mac.iter_mut().enumerate() {
        *byte ^= match at {
            0 => first,
            31 => last,
            _ => middle,
        };
    }
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac))
}

fn main() -> ExitCode {
    let gate = gate();
    let visitor = support::visitor();
    let mut tells = false;
    println!("Refusing a forged token, {TOKENS} of each class");
    for (what, classes) in GROUPS {
        let mut samples = vec![Vec::new(); classes.len()];
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for number in 0..(WARM_UP + TOKENS) * classes.len() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let at = (random >> 33) as usize % classes.len();
            let class = &classes[at];
            let mut headers = support::headers(AUTHORIZATION, &format!("Bearer {}", token(class, number)));
            headers.insert(HOST, HeaderValue::from_static(class.host));
            let head = support::head(&headers);
            let start = Instant::now();
            let decided = black_box(gate.decide(black_box(&head), &visitor, support::NOW));
            let took = start.elapsed();
            assert!(decided.is_err_and(|refusal| refusal.reason.is_forgery()), "{}", class.name);
            if number >= WARM_UP * classes.len() {
                samples[at].push(took.as_secs_f64() * 1e9);
            }
        }
        tells |= compare(what, classes, &samples);
    }
    let held = if tells { "MISSED" } else { "holds" };
    println!("\n{held}: |t| < {BAR} between the classes of a group, or less than {VISIBLE} ns apart");
    if tells { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether some class of a group can be told from another.
fn compare(what: &str, classes: &[Class], samples: &[Vec<f64>]) -> bool {
    let mut all: Vec<f64> = samples.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * KEPT / 10_000];
    let moments: Vec<Moments> = samples.iter().map(|class| Moments::of(class, most)).collect();
    println!("\n{what}\n");
    for (class, moments) in classes.iter().zip(&moments) {
        println!("| {:<28} | {:8.1} ns |", class.name, moments.mean);
    }
    println!();
    let mut tells = false;
    for one in 0..classes.len() {
        for other in one + 1..classes.len() {
            let t = moments[one].t(&moments[other]).abs();
            let apart = (moments[one].mean - moments[other].mean).abs();
            tells |= t >= BAR && apart >= VISIBLE;
            println!("|t| {t:5.2}, {apart:5.1} ns apart: {} and {}", classes[one].name, classes[other].name);
        }
    }
    tells
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    #[allow(clippy::cast_precision_loss, reason = "a count of samples")]
    fn of(samples: &[f64], most: f64) -> Self {
        let kept: Vec<f64> = samples.iter().copied().filter(|sample| *sample <= most).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { count, mean, variance }
    }

    /// Welch's.
    fn t(&self, other: &Self) -> f64 {
        (self.mean - other.mean) / (self.variance / self.count + other.variance / other.count).sqrt()
    }
}
