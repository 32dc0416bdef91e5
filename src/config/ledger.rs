//! `[ledger]`.

use std::time::Duration;

use super::{reader::Section, redis::redis, server::to_usize};
use crate::ledger::{Settings, StoreSettings};

/// Reads `[ledger]`.
pub fn ledger(root: &Section<'_>) -> Settings {
    let mut settings =
        Settings { store: StoreSettings::Memory, most: 1_000_000, max_staleness: Duration::from_secs(30) };
    let Some(section) = root.section("ledger") else {
        return settings;
    };
    section.not_yet("path");
    let (shared, is_in_memory) = (section.section("redis"), section.flag("memory"));
    if shared.is_none() && !section.has("redis") && is_in_memory != Some(true) {
        section.problem("memory", "there is no other ledger yet; write memory = true, or redis = { url = \"…\" }");
    }
    if shared.is_some() && is_in_memory == Some(true) {
        section.problem("memory", "ledger.redis and ledger.memory are two ledgers; keep one");
    }
    if section.has("max_staleness") && !section.has("redis") {
        section.problem("max_staleness", "ledger.max_staleness says nothing without ledger.redis; remove it");
    }
    settings.max_staleness = section.duration("max_staleness").unwrap_or(settings.max_staleness);
    settings.most = section.whole("max_entries", 1).map_or(settings.most, to_usize);
    if let Some(redis) = shared.and_then(|shared| redis(&shared)) {
        settings.store = StoreSettings::Redis(redis);
    }
    settings
}
