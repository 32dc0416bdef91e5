//! What is remembered until a time each, in this process's memory, and no more of it than there may be.

use std::{
    hash::Hash,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use dashmap::{DashMap, mapref::entry::Entry};

use super::LedgerError;
use crate::time::UnixTime;

/// A full one refuses, it never forgets what still counts.
pub(super) struct Bounded<K, V> {
    pub entries: DashMap<K, (V, UnixTime)>,
    count: AtomicUsize,
    pub most: usize,
    swept_at: AtomicI64,
}

impl<K: Eq + Hash, V> Bounded<K, V> {
    /// Takes at most `most`, with room for so many at once.
    pub fn with_room(most: usize, room: usize) -> Self {
        let entries = DashMap::with_capacity(room);
        Self { entries, count: AtomicUsize::new(0), most, swept_at: AtomicI64::new(i64::MIN) }
    }

    /// Forgets what has ended, if it is full; once a second at most: that reads the whole map.
    pub fn make_room(&self, now: UnixTime) {
        if self.count() >= self.most && self.swept_at.swap(now.0, Ordering::Relaxed) != now.0 {
            self.sweep(now);
        }
    }

    /// Adds one, unless there are `most`, or has `merge` join it with the one that is there. Whether it is new.
    pub fn place(
        &self,
        key: K,
        new: (V, UnixTime),
        most: usize,
        merge: impl FnOnce(&mut (V, UnixTime), (V, UnixTime)),
    ) -> Result<bool, LedgerError> {
        match self.entries.entry(key) {
            Entry::Occupied(mut entry) => {
                merge(entry.get_mut(), new);
                Ok(false)
            }
            Entry::Vacant(place) => {
                // Counted before it is placed, so that no number of threads exceeds the bound.
                if self.count.fetch_add(1, Ordering::Relaxed) >= most {
                    self.count.fetch_sub(1, Ordering::Relaxed);
                    return Err(LedgerError::Full);
                }
                place.insert(new);
                Ok(true)
            }
        }
    }

    /// Forgets what has ended.
    pub fn sweep(&self, now: UnixTime) {
        self.entries.retain(|_, (_, until)| {
            let keep = *until > now;
            if !keep {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            keep
        });
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
