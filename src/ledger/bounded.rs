//! What is remembered until a time each, in this process's memory, and no more of it than there may be.

use std::{
    hash::Hash,
    sync::atomic::{AtomicI64, AtomicUsize, Ordering},
};

use dashmap::{DashMap, mapref::entry::Entry};

use super::{
    LedgerError,
    shares::{Shares, Taker},
};
use crate::time::UnixTime;

/// A full one refuses, it never forgets what still counts. Its places are in pots, and each pot is shared by tenants.
pub(super) struct Bounded<K, V, const POTS: usize> {
    pub entries: DashMap<K, (V, UnixTime)>,
    count: AtomicUsize,
    pots: [Shares; POTS],
    place_of: fn(&V) -> Place,
    swept_at: AtomicI64,
}

/// Which place an entry takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub pot: usize,
    pub taker: Taker,
}

/// Whether a new entry may be refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    Needed,
    Made,
}

impl<K: Eq + Hash, V, const POTS: usize> Bounded<K, V, POTS> {
    /// One with these pots, and memory for so many at once.
    pub fn with_room(pots: [Shares; POTS], place_of: fn(&V) -> Place, room: usize) -> Self {
        let entries = DashMap::with_capacity(room);
        Self { entries, count: AtomicUsize::new(0), pots, place_of, swept_at: AtomicI64::new(i64::MIN) }
    }

    /// Divides the places among so many tenants.
    pub fn among(&self, tenants: usize) {
        self.pots.iter().for_each(|pot| pot.among(tenants));
    }

    /// Forgets what has ended, once a second at most: that reads the whole map. Whether it did.
    pub fn make_room(&self, now: UnixTime) -> bool {
        let is_due = self.swept_at.swap(now.0, Ordering::Relaxed) != now.0;
        if is_due {
            self.sweep(now);
        }
        is_due
    }

    /// Whether an entry could be added or joined with the one that is there.
    pub fn has_room(&self, key: &K, value: &V) -> bool {
        let place = (self.place_of)(value);
        self.entries.contains_key(key) || self.pots[place.pot].has_room(place.taker)
    }

    /// Adds one, where there is a place for it, or has `merge` join it with the one that is there. Whether it is new.
    pub fn place(
        &self,
        key: K,
        new: (V, UnixTime),
        room: Room,
        merge: impl FnOnce(&mut (V, UnixTime), (V, UnixTime)),
    ) -> Result<bool, LedgerError> {
        match self.entries.entry(key) {
            Entry::Occupied(mut entry) => {
                let before = (self.place_of)(&entry.get().0);
                merge(entry.get_mut(), new);
                let after = (self.place_of)(&entry.get().0);
                if before != after {
                    self.pots[before.pot].give_back(before.taker);
                    self.pots[after.pot].take_anyway(after.taker);
                }
                Ok(false)
            }
            Entry::Vacant(vacant) => {
                let place = (self.place_of)(&new.0);
                // Taken before it is placed, so that no number of threads exceeds the bound.
                match room {
                    Room::Needed => self.pots[place.pot].take(place.taker)?,
                    Room::Made => self.pots[place.pot].take_anyway(place.taker),
                }
                self.count.fetch_add(1, Ordering::Relaxed);
                vacant.insert(new);
                Ok(true)
            }
        }
    }

    /// Forgets what has ended.
    pub fn sweep(&self, now: UnixTime) {
        self.entries.retain(|_, (value, until)| {
            let keep = *until > now;
            if !keep {
                let place = (self.place_of)(value);
                self.pots[place.pot].give_back(place.taker);
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
