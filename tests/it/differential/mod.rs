//! The same mutated bytes to Vestibule, nginx and HAProxy, thousands of times.
//!
//! | what must hold | why |
//! | --- | --- |
//! | what both others refuse we do not forward | nobody needs what two strict readers take for an attack |
//! | the app is told the token's user, or nobody, and in one way only | a mutation must not change who is calling |
//! | strict and lax apps read the same requests from what we send, as many as we answered | none was smuggled |
//! | another user on a fresh connection is that user | nothing of a case is left behind |
//!
//! `VESTIBULE_DIFFERENTIAL_SEED` and `VESTIBULE_DIFFERENTIAL_CASES` choose other cases, and more.

mod behind;
mod draft;
mod framing;
mod grammar;
mod identity;
mod judge;
mod lane;
mod mutation;
mod peers;
mod random;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use draft::Tokens;
use judge::{judge, report, was_forwarded};
use lane::{Lane, Patience};
use mutation::Case;
use peers::Peers;

use crate::support::Issuer;

const SEED: u64 = 20_261_120;
const CASES: u64 = 3_000;
const LANES: usize = 16;
/// After how many cases of a lane another user asks.
const CANARY: u64 = 20;
/// More than that many say nothing new.
const MOST_REPORTED: usize = 20;

/// What the lanes found.
#[derive(Default)]
struct Findings {
    suspects: Vec<Case>,
    canaries: Vec<String>,
    forwarded: u64,
    refused: u64,
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let Ok(text) = std::env::var(name) else { return otherwise };
    text.parse().unwrap_or_else(|_| panic!("{name} is a whole number, and not {text:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_mutation_passes_what_both_refuse_changes_who_calls_or_hides_a_request() {
    let seed = from_environment("VESTIBULE_DIFFERENTIAL_SEED", SEED);
    let cases = from_environment("VESTIBULE_DIFFERENTIAL_CASES", CASES);
    let (maya, tom) = (Issuer::ACME.token("maya"), Issuer::ACME.token("tom"));
    let forged = tom.rsplit_once('.').map(|(signed, _)| format!("{signed}.{}", "A".repeat(43))).unwrap();
    let tokens = Tokens { maya, tom, forged };
    let mut lanes = Vec::new();
    for number in 0..LANES {
        lanes.push(Arc::new(Lane::start(number).await));
    }
    let peers = Arc::new(Peers::start(&lanes.iter().map(|lane| lane.behind()).collect::<Vec<_>>()));
    let (findings, next) = (Arc::new(Mutex::new(Findings::default())), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = lanes
        .iter()
        .map(|lane| {
            let (lane, peers, findings) = (lane.clone(), peers.clone(), findings.clone());
            let (next, tokens) = (next.clone(), tokens.clone());
            tokio::spawn(async move {
                let mut done = 0;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cases {
                        return;
                    }
                    let case = Case::make(seed, number, &tokens);
                    let observation = lane.observe(&case, &peers, Patience::SHORT).await;
                    let breach = judge(&observation);
                    done += 1;
                    let canary = if done % CANARY == 0 { lane.canary("tom").await } else { Ok(()) };
                    let mut findings = findings.lock().unwrap();
                    let count =
                        if was_forwarded(&observation) { &mut findings.forwarded } else { &mut findings.refused };
                    *count += 1;
                    findings.canaries.extend(canary.err().map(|wrong| format!("after case {number}: {wrong}")));
                    if breach.is_some() {
                        findings.suspects.push(case);
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let findings = std::mem::take(&mut *findings.lock().unwrap());
    let reports = confirmed(&lanes[0], &peers, findings.suspects, &tokens).await;
    let Findings { forwarded, refused, canaries, .. } = findings;
    assert!(reports.is_empty() && canaries.is_empty(), "seed {seed}\n{}\n{}", reports.join("\n"), canaries.join("\n"));
    // Mutations that nothing survives, or that break nothing, would show nothing.
    assert!(forwarded * 10 > cases && refused * 10 > cases, "seed {seed}: {forwarded} forwarded, {refused} refused");
}

/// A busy machine answers late, which looks like a refusal: each suspect is looked at again, alone and with patience.
async fn confirmed(lane: &Lane, peers: &Peers, suspects: Vec<Case>, tokens: &Tokens) -> Vec<String> {
    let mut reports = Vec::new();
    for case in suspects {
        let observation = lane.observe(&case, peers, Patience::LONG).await;
        let Some(breach) = judge(&observation) else { continue };
        reports.push(report(&case, &breach, &observation, tokens));
        if reports.len() == MOST_REPORTED {
            break;
        }
    }
    reports
}
