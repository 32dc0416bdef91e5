//! `[ledger]`.

use std::time::Duration;

use super::{reader::Section, server::to_usize};
use crate::ledger::{Settings, StoreSettings};

/// Reads `[ledger]`.
pub fn ledger(root: &Section<'_>) -> Settings {
    let mut most = 1_000_000;
    if let Some(section) = root.section("ledger") {
        for key in ["path", "redis", "max_staleness"] {
            section.not_yet(key);
        }
        if section.flag("memory") != Some(true) {
            section.problem("memory", "the ledger in memory is the only one yet; write memory = true");
        }
        most = section.whole("max_entries", 1).map_or(most, to_usize);
    }
    Settings { store: StoreSettings::Memory, most, max_staleness: Duration::from_secs(30) }
}
