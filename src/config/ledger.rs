//! `[ledger]`.

use std::time::Duration;

use super::{reader::Section, redis::redis, server::to_usize};
use crate::ledger::{Settings, StoreSettings};

/// Beside the configuration, unless another is named.
const DEFAULT_FILE: &str = "vestibule.redb";

/// Reads `[ledger]`.
pub fn ledger(root: &Section<'_>) -> Settings {
    let mut settings = Settings {
        store: StoreSettings::Path(root.reader.folder.join(DEFAULT_FILE)),
        most: 1_000_000,
        max_staleness: Duration::from_secs(30),
    };
    let Some(section) = root.section("ledger") else {
        return settings;
    };
    if section.has("max_staleness") && !section.has("redis") {
        section.problem("max_staleness", "ledger.max_staleness says nothing without ledger.redis; remove it");
    }
    settings.max_staleness = section.lasting("max_staleness").unwrap_or(settings.max_staleness);
    settings.most = section.whole("max_entries", 1).map_or(settings.most, to_usize);
    settings.store = given_store(&section).unwrap_or(settings.store);
    settings
}

fn given_store(section: &Section<'_>) -> Option<StoreSettings> {
    let path = section.text("path").map(|path| {
        if path.value.is_empty() {
            section.problem("path", format!("ledger.path names no file; write {DEFAULT_FILE:?}"));
        }
        StoreSettings::Path(section.reader.folder.join(path.value))
    });
    let shared = section.section("redis").and_then(|shared| redis(&shared)).map(StoreSettings::Redis);
    let memory = section.flag("memory").filter(|memory| *memory).map(|_| StoreSettings::Memory);
    let given = [section.has("path"), section.has("redis"), memory.is_some()];
    if given.into_iter().filter(|is_given| *is_given).count() > 1 {
        let key = if memory.is_some() { "memory" } else { "redis" };
        section.problem(key, "a ledger is in one place; keep one of path, redis and memory");
    }
    memory.or(shared).or(path)
}
