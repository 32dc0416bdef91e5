//! I5 in the log: every row of every table, at the level that tells most, and nothing secret in what was logged.

use std::{collections::HashSet, fs::File, process::Command};

use vestibule::{config::LogFormat, log};

use super::{all, judge, stage::Stage};

/// Set for the process that is logged, to the file that its standard error goes to.
const LOGGED: &str = "VESTIBULE_TEST_LOG";

#[test]
fn nothing_secret_is_logged_whatever_was_sent() {
    if let Ok(file) = std::env::var(LOGGED) {
        return everything_logged_in(&file);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    // This very test, in a process whose standard error can be read.
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["attacks::leaks::nothing_secret_is_logged_whatever_was_sent", "--exact", "--nocapture"])
        .env(LOGGED, &file)
        .stderr(File::create(&file).unwrap())
        .status()
        .unwrap();
    let end = std::fs::read_to_string(&file).unwrap().lines().rev().take(20).collect::<Vec<_>>().join("\n");
    assert!(status.success(), "{end}");
}

fn everything_logged_in(file: &str) {
    let logging = log::start("trace", LogFormat::Text).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut secrets: HashSet<Vec<u8>> = runtime.block_on(async {
        let stage = Stage::start().await;
        let cases = all(&stage).await;
        // Judged by its own test; some tables want another stage.
        stage.wrong(&cases).await;
        let sent = cases.iter().flat_map(|case| judge::fragments(&case.sent));
        let told = stage.told().cookies.into_iter().filter(|cookie| cookie.len() >= LENGTH);
        sent.chain(told).map(|text| text.as_bytes()[..LENGTH].to_vec()).collect()
    });
    drop(logging);
    secrets.extend(judge::secrets().map(|text| text.as_bytes()[..LENGTH].to_vec()));
    let log = std::fs::read(file).unwrap();
    let requests =
        log.split(|b| *b == b'\n').filter(|line| line.windows(17).any(|w| w == b"vestibule::access")).count();
    assert!(requests > 10_000 && secrets.len() > 100, "{requests} requests, {} secrets", secrets.len());
    let leak = log.windows(LENGTH).find(|window| secrets.contains(*window));
    assert!(leak.is_none(), "{:?} is in the log", String::from_utf8_lossy(leak.unwrap()));
}

/// As long a part of a secret as no log may show.
const LENGTH: usize = 16;
