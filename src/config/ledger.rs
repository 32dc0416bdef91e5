//! `[ledger]`.

use std::time::Duration;

use super::{reader::Section, server::to_usize};
use crate::ledger::{Settings, StoreSettings};

/// Beside the configuration, unless another is named.
const DEFAULT_FILE: &str = "vestibule.redb";

/// Reads `[ledger]`.
pub fn ledger(root: &Section<'_>) -> Settings {
    let mut most = 1_000_000;
    let mut store = None;
    if let Some(section) = root.section("ledger") {
        for key in ["redis", "max_staleness"] {
            section.not_yet(key);
        }
        store = given_store(&section);
        most = section.whole("max_entries", 1).map_or(most, to_usize);
    }
    let store = store.unwrap_or_else(|| StoreSettings::Path(root.reader.folder.join(DEFAULT_FILE)));
    Settings { store, most, max_staleness: Duration::from_secs(30) }
}

fn given_store(section: &Section<'_>) -> Option<StoreSettings> {
    let path = section.text("path").map(|path| {
        if path.value.is_empty() {
            section.problem("path", format!("ledger.path names no file; write {DEFAULT_FILE:?}"));
        }
        StoreSettings::Path(section.reader.folder.join(path.value))
    });
    let memory = section.flag("memory").filter(|memory| *memory).map(|_| StoreSettings::Memory);
    if path.is_some() && memory.is_some() {
        section.problem("memory", "a ledger is in one place; remove path or memory");
    }
    memory.or(path)
}
