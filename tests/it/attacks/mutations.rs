//! D 64: thousands of paths, decided and forwarded as the same bytes, and public only where every app would say so.

use std::collections::BTreeSet;

use super::{
    case::{Case, Outcome, U1, Verdict::Anonymous, get, good, refused_or, row, same_target},
    stage::Stage,
};

/// Ways to write a step up, a separator or something that vanishes.
const STEPS: [&str; 36] = [
    "..",
    ".",
    "...",
    "%2e%2e",
    "%2E.",
    ".%2e",
    "%252e%252e",
    "%25%32%65.",
    "..;",
    "..;a=b",
    "..%3b",
    ";",
    ";x",
    "%3b",
    "%20",
    "%09",
    "..%20",
    "%00",
    "%c0%ae%c0%ae",
    "%e0%80%ae.",
    "%ef%bc%8e%ef%bc%8e",
    "%uff0e.",
    "~",
    "*",
    "%23",
    "%3f",
    "%25",
    "x%2",
    "%%32%65.",
    "\u{ff0e}\u{ff0e}",
    "..\u{a0}",
    "admin",
    "%25%32%65%25%32%65",
    "%25%32e.",
    "%252%65%252%65",
    "%25252e%25252e",
];
const SEPARATORS: [&str; 12] =
    ["/", "//", "/./", "%2f", "%2F", "\\", "%5c", "%252f", "%c0%af", "%ef%bc%8f", ";/", "/;/"];
const STARTS: [&str; 6] = ["/public", "/public/x", "/PUBLIC", "/%70ublic", "/public;a", "/publi%63/"];
const ENDS: [&str; 3] = ["admin", "_auth/session", "%61dmin/"];

fn paths() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for start in STARTS {
        for separator in SEPARATORS {
            for step in STEPS {
                for (number, end) in ENDS.iter().enumerate() {
                    // Each end with each step, but not all separators with all of both.
                    if number == 0 || (separator.len() + step.len()) % 3 == number {
                        all.insert(format!("{start}{separator}{step}{separator}{end}"));
                    }
                }
            }
        }
    }
    all
}

/// The paths an app might make of one: decoded once to three times, with backslashes for slashes, without parameters,
/// without empty segments, and with dots resolved.
fn readings(path: &str) -> BTreeSet<String> {
    let mut bytes: Vec<u8> = path.as_bytes().to_vec();
    let mut all = BTreeSet::new();
    for _ in 0..3 {
        bytes = percent_encoding::percent_decode(&bytes).collect();
        let text = String::from_utf8_lossy(&bytes).replace('\\', "/");
        for keeps_parameters in [true, false] {
            let mut kept: Vec<&str> = Vec::new();
            for segment in text.split('/') {
                let name = if keeps_parameters { segment } else { segment.split(';').next().unwrap() };
                match name {
                    "" | "." => {}
                    ".." => drop(kept.pop()),
                    name => kept.push(name),
                }
            }
            all.insert(format!("/{}", kept.join("/")));
        }
    }
    all
}

fn is_public(path: &str) -> bool {
    path.strip_prefix("/public").is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ';']))
}

/// What passed as public is public however the app reads it.
fn is_public_to_all(outcome: &Outcome<'_>) -> Result<(), String> {
    let Some(request) = outcome.requests.first() else { return Ok(()) };
    same_target(outcome)?;
    let target = String::from_utf8_lossy(&request.raw).split(' ').nth(1).unwrap().to_owned();
    let path = target.split('?').next().unwrap();
    match readings(path).into_iter().find(|reading| !is_public(reading)) {
        Some(reading) => Err(format!("{path} passed as public, and may be read as {reading}")),
        None => Ok(()),
    }
}

pub fn cases() -> Vec<Case> {
    let (signed, anyone) = (refused_or(U1), refused_or(Anonymous));
    let mut table = Vec::new();
    for (number, path) in paths().into_iter().enumerate() {
        // Below /public nobody is told apart: a token is presented where the route asks for one.
        table.push(row("D 64", &path, get(&path), anyone.clone()).and(is_public_to_all));
        let guarded = path.to_lowercase().replacen("/public", "/tickets", 1);
        if number % 2 == 0 && guarded.starts_with("/tickets") {
            table.push(
                row("D 64", &guarded, get(&guarded).bearer(good()), signed.clone()).named("guarded").and(same_target),
            );
        }
    }
    table
}

#[test]
fn there_are_thousands_of_paths() {
    assert!(cases().len() > 5_000, "{}", cases().len());
    let all = readings("/public/%252e%252e/admin");
    assert!(all.contains("/admin") && all.contains("/public/%2e%2e/admin") && !is_public("/publicx"), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_forwarded_as_they_were_decided_on() {
    let cases = cases();
    let (first, second) = (Stage::start().await, Stage::start().await);
    first.share(&second, &cases).await;
}
