//! `[ledger]`.

use std::time::Duration;

use super::{
    reader::{Occasion, Section},
    redis::redis,
    secrets::Owners,
    server::to_usize,
};
use crate::ledger::{Settings, StoreSettings};

/// Beside the configuration, unless another is named.
const DEFAULT_FILE: &str = "vestibule.redb";

/// Some 100 bytes each: more fit no machine.
const MOST_ENTRIES: u64 = 100_000_000;

/// Reads `[ledger]`.
pub fn ledger(root: &Section<'_>, owners: &mut Owners) -> Settings {
    let mut settings = Settings {
        store: StoreSettings::Path(root.reader.folder.join(DEFAULT_FILE)),
        most: 1_000_000,
        max_staleness: Duration::from_secs(30),
    };
    let Some(section) = root.section("ledger") else {
        examine(root, &settings);
        return settings;
    };
    if section.has("max_staleness") && !section.has("redis") {
        section.problem("max_staleness", "ledger.max_staleness says nothing without ledger.redis; remove it");
    }
    settings.max_staleness = section.stretch("max_staleness").unwrap_or(settings.max_staleness);
    settings.most = section.whole("max_entries", 1..=MOST_ENTRIES).map_or(settings.most, to_usize);
    settings.store = given_store(&section, owners).unwrap_or(settings.store);
    examine(&section, &settings);
    settings
}

/// Looks at what is there already. A server opens it at its start and says the same.
fn examine(section: &Section<'_>, settings: &Settings) {
    if section.reader.occasion == Occasion::Check
        && let Err(e) = settings.examine()
    {
        section.problem("path", e.to_string());
    }
}

fn given_store(section: &Section<'_>, owners: &mut Owners) -> Option<StoreSettings> {
    let path = section.text("path").map(|path| {
        if path.value.is_empty() {
            section.problem("path", format!("ledger.path names no file; write {DEFAULT_FILE:?}"));
        }
        StoreSettings::Path(section.reader.folder.join(path.value))
    });
    let shared = section.section("redis").and_then(|shared| redis(&shared, owners)).map(StoreSettings::Redis);
    let memory = section.flag("memory").filter(|memory| *memory).map(|_| StoreSettings::Memory);
    let given = [section.has("path"), section.has("redis"), memory.is_some()];
    if given.into_iter().filter(|is_given| *is_given).count() > 1 {
        let key = if memory.is_some() { "memory" } else { "redis" };
        section.problem(key, "a ledger is in one place; keep one of path, redis and memory");
    }
    memory.or(shared).or(path)
}
