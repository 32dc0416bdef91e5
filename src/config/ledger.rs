//! `[ledger]`.

use std::time::Duration;

use super::{reader::Section, redis::redis, server::to_usize};
use crate::ledger::{Settings, StoreSettings};

/// Beside the configuration, unless another is named.
const DEFAULT_FILE: &str = "vestibule.redb";

/// Reads `[ledger]`.
pub fn ledger(root: &Section<'_>) -> Settings {
    let store = StoreSettings::Path(root.reader.folder.join(DEFAULT_FILE));
    let mut settings = Settings { store, most: 1_000_000, max_staleness: Duration::from_secs(30) };
    if let Some(section) = root.section("ledger") {
        settings.store = given_store(&section).unwrap_or(settings.store);
        settings.most = section.whole("max_entries", 1).map_or(settings.most, to_usize);
        if section.has("max_staleness") && !section.has("redis") {
            section.problem("max_staleness", "ledger.max_staleness says nothing without ledger.redis; remove it");
        }
        settings.max_staleness = section.duration("max_staleness").unwrap_or(settings.max_staleness);
    }
    settings
}

fn given_store(section: &Section<'_>) -> Option<StoreSettings> {
    let path = section.text("path").map(|path| {
        if path.value.is_empty() {
            section.problem("path", format!("ledger.path names no file; write {DEFAULT_FILE:?}"));
        }
        StoreSettings::Path(section.reader.folder.join(path.value))
    });
    let memory = section.flag("memory").filter(|memory| *memory).map(|_| StoreSettings::Memory);
    let shared = section.section("redis");
    let given = [section.has("path"), memory.is_some(), section.has("redis")];
    if given.into_iter().filter(|is_given| *is_given).count() > 1 {
        let key = if memory.is_some() { "memory" } else { "path" };
        section.problem(key, "a ledger is in one place; remove all but one of path, redis and memory");
    }
    memory.or(path).or_else(|| Some(StoreSettings::Redis(redis(&shared?)?)))
}
