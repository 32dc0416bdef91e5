//! What an attacker tries, as tables. A row is one line: an id, a name, the bytes, the verdict.
//!
//! Every row goes over a socket of its own to a door before a recording app; then a runner judges the verdict and, whatever
//! it was, what must hold after every row (see [`judge`]). To add an attack, add a row to the table of its group; rows that
//! wait for something Vestibule does not have yet stand in [`pending`].
//!
//! The numbers are those of a list with gaps, from 1 to 134; `N` are neighbours: how the doors of others were once opened.

mod browsers;
mod case;
mod connections;
mod cors;
mod exchange;
mod failing_app;
mod framing;
mod headers;
mod judge;
mod leaks;
mod mutations;
mod neighbours;
mod neighbours_http;
mod paths;
mod pending;
mod recorder;
mod redirects;
mod refusals;
mod return_to;
mod scrambled;
mod sessions;
mod spellings;
mod stage;
mod the_judge;
mod token_shapes;
mod tokens;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use case::Case;
use stage::Stage;

/// Every case there is, by group.
const NUMBERS: [(&str, &[u32]); 12] = [
    ("A", &[1, 2, 3, 4, 5, 7, 8, 11, 12, 13, 15, 16, 18, 21, 23, 24, 25, 28, 29, 30]),
    ("B", &[31, 32, 35, 36, 37, 39, 40, 42]),
    ("C", &[43, 46, 47, 48, 50, 51, 52, 53, 55, 57]),
    ("D", &[58, 59, 60, 62, 64, 65, 67]),
    ("E", &[68, 69, 71, 73, 74]),
    ("F", &[76, 77, 78, 80, 82, 83, 85]),
    ("G", &[86, 87, 89]),
    ("H", &[90, 93, 94, 95, 96, 97, 98, 100, 102, 103, 105]),
    ("I", &[106, 108, 109, 110, 112]),
    ("J", &[114, 115, 117]),
    ("K", &[119, 121, 122, 124]),
    ("L", &[125, 126, 127, 130, 131, 133, 134]),
];

/// The live rows of every table.
async fn all(stage: &Stage) -> Vec<Case> {
    let mut all = tokens::cases(stage);
    all.extend(token_shapes::cases());
    all.extend(sessions::cases(stage).await);
    all.extend(sessions::expired(stage).await);
    all.extend(headers::cases());
    all.extend(headers::forged());
    all.extend(headers::retried());
    all.extend(paths::cases());
    all.extend(mutations::cases());
    all.extend(redirects::cases());
    all.extend(return_to::cases());
    all.extend(exchange::cases(stage).await);
    all.extend(cors::cases());
    all.extend(framing::cases());
    all.extend(connections::cases());
    all.extend(spellings::cases());
    all.extend(scrambled::cases());
    all.extend(refusals::cases());
    all.extend(failing_app::cases());
    all.extend(neighbours::cases(stage).await);
    all.extend(neighbours_http::cases());
    all
}

/// Live cases that are no row, and where the test is that holds each.
const ELSEWHERE: [(&str, &str); 21] = [
    (tokens::WEAK_KEYS, "tests/it/attacks/tokens.rs"),
    ("A 30", "benches/timing.rs"),
    ("B 36 h2", "tests/it/http2.rs"),
    ("B 36 ws", "tests/it/underway.rs"),
    ("B 36 many", "tests/it/ledger_on_redis.rs"),
    ("C 48 U3", "tests/it/differential/behind.rs"),
    ("H 95 beside", "tests/it/differential/mod.rs"),
    ("I 108", "tests/it/http2_frames.rs"),
    ("I 109", "tests/it/http2_frames.rs"),
    ("I 110", "tests/it/http2_frames.rs"),
    ("I 112", "benches/overload/http2.rs"),
    ("J 114", "tests/it/origins.rs"),
    ("J 115", "tests/it/origins.rs"),
    ("J 117", "tests/it/conformance/upgrades.rs"),
    ("K 119", "tests/it/connections.rs"),
    ("K 121", "benches/overload/idle.rs"),
    ("K 122", "benches/overload/flood.rs"),
    ("L 127", "tests/it/redis_in_trouble.rs"),
    ("L 130", "tests/it/reload.rs"),
    ("L 131", "tests/it/ledger_on_disk.rs"),
    ("L 133", "tests/it/ledger_on_disk.rs"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_live_or_pending() {
    let stage = Stage::start().await;
    let mut live: BTreeMap<&str, usize> = BTreeMap::new();
    for case in all(&stage).await {
        assert!(!case.name.is_empty() && !case.sent.is_empty(), "{}: an empty row", case.id);
        *live.entry(case.id).or_default() += 1;
    }
    for (id, file) in ELSEWHERE {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file}");
        live.insert(id, 1);
    }
    let mut pending = BTreeSet::new();
    for row in pending::PENDING {
        assert!(!row.name.is_empty() && !row.waits_for.is_empty(), "{}", row.id);
        assert!(pending.insert(row.id), "{} is pending twice", row.id);
        assert!(!live.contains_key(row.id), "{} is live, and pending as well", row.id);
        println!("pending  {:9} {:60} waits for {}", row.id, row.name, row.waits_for);
    }
    for group in ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "N"] {
        let of_group = |id: &&str| id.split(' ').next() == Some(group);
        let rows: usize = live.iter().filter(|(id, _)| of_group(id)).map(|(_, rows)| rows).sum();
        println!("{group}: {rows} rows live, {} pending", pending.iter().filter(|id| of_group(id)).count());
    }
    let named: BTreeSet<(&str, u32)> = live
        .keys()
        .copied()
        .chain(pending.iter().copied())
        .filter_map(|id| {
            let mut words = id.split(' ');
            Some((words.next()?, words.next()?.parse().ok()?))
        })
        .collect();
    let wanted: BTreeSet<(&str, u32)> =
        NUMBERS.iter().flat_map(|(group, numbers)| numbers.iter().map(|number| (*group, *number))).collect();
    assert_eq!(named, wanted, "all of the list, and no number that is not in it");
}
