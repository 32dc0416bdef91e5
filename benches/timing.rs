//! Whether the time of a refusal tells why: forged tokens of four classes, in random order, and Welch's t between the classes.
//!
//! The size of the sample is part of the question: with four times as many tokens, half a nanosecond between an unknown `kid`
//! and a known one comes close to the bar. It is the path through the key ring, not the comparison of the MAC.
//!
//! Between classes of equal means |t| exceeds 4.5 once in some 100,000 runs. The slowest tenth of all samples is left out:
//! interrupts and neighbours.

#![allow(clippy::panic, reason = "a bench fails by panicking")]

mod support;

use std::{hint::black_box, process::ExitCode, time::Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

const TOKENS: usize = 20_000;
const WARM_UP: usize = 20_000;
const BAR: f64 = 4.5;
/// What no network shows: a few nanoseconds, of which a branch taken otherwise is worth two, are seen here alone.
const VISIBLE: f64 = 20.0;
/// Of 10,000 samples so many count.
const KEPT: usize = 9_000;

const CLASSES: [&str; 4] = ["unknown kid", "wrong MAC", "MAC wrong in byte 0", "MAC wrong in byte 31"];

/// A token of a class. What is done to make it is the same for all.
fn token(class: usize, number: usize) -> String {
    // The configuration's key is `k`; both headers have one length.
    let kid = ["q", "k", "k", "k"][class];
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#));
    let claims = format!(
        r#"{{"userId":"u-{number:08}","tenantId":"t0","userRoles":["agent"],"iat":{},"exp":{}}}"#,
        support::NOW.0,
        support::NOW.0 + 600
    );
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = EncodingKey::from_secret(support::SECRET.as_bytes());
    let mac = crypto::sign(message.as_bytes(), &key, Algorithm::HS256).expect("signs");
    let mut mac = URL_SAFE_NO_PAD.decode(mac).expect("base64url");
    let wrong: [[u8; 3]; 4] = [[0x5a; 3], [0x5a; 3], [1, 0, 0], [0, 0, 1]];
    let [first, middle, last] = wrong[class];
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
    let gate = support::gate(1, 10);
    let visitor = support::visitor();
    let mut samples: [Vec<f64>; 4] = Default::default();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..WARM_UP + TOKENS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // An unknown kid as often as a known one: else the processor guesses the more frequent, and that is what would show.
        let class = [0, 1, 0, 2, 0, 3][(random >> 33) as usize % 6];
        let headers = support::headers(AUTHORIZATION, &format!("Bearer {}", token(class, number)));
        let head = support::head(&headers);
        let start = Instant::now();
        let decided = black_box(gate.decide(black_box(&head), &visitor, support::NOW));
        let took = start.elapsed();
        assert!(decided.is_err_and(|refusal| refusal.reason.is_forgery()), "{}", CLASSES[class]);
        if number >= WARM_UP {
            samples[class].push(took.as_secs_f64() * 1e9);
        }
    }
    let mut all: Vec<f64> = samples.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * KEPT / 10_000];
    let moments: Vec<Moments> = samples.iter().map(|class| Moments::of(class, most)).collect();
    println!("Refusing a forged token, {TOKENS} of them\n");
    for (class, moments) in CLASSES.iter().zip(&moments) {
        println!("| {class:<20} | {:7.1} ns |", moments.mean);
    }
    println!();
    let mut tells = false;
    for (one, other) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
        let t = moments[one].t(&moments[other]).abs();
        let apart = (moments[one].mean - moments[other].mean).abs();
        tells |= t >= BAR && apart >= VISIBLE;
        println!("|t| {t:5.2}, {apart:4.1} ns apart: {} and {}", CLASSES[one], CLASSES[other]);
    }
    let held = if tells { "MISSED" } else { "holds" };
    println!("{held}: |t| < {BAR} between all classes, or less than {VISIBLE} ns apart");
    if tells { ExitCode::FAILURE } else { ExitCode::SUCCESS }
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
