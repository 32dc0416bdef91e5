//! The embedded ledger's file: what is in it, how it is opened and written, and what may be wrong with it.
//!
//! Both tables begin their keys with when an entry ends, so that what has ended is one range at the front.
//! A file is redb's, checked page by page when it is opened.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    ops::Bound,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend, Table, TableDefinition,
    TableHandle, WriteTransaction, backends::FileBackend,
};

use super::{
    Revocation, Revocations, Spend, Subject, Token,
    mark::Mark,
    trouble::{Trouble, guarded, of_io},
};
use crate::time::UnixTime;

/// Spent tokens: when it is forgotten, and its name.
const SPENT: TableDefinition<'_, &[u8; 40], ()> = TableDefinition::new("spent-1");

/// Revocations: when it is forgotten and whom it concerns, with its [`Mark`]. Of a subject the last row counts; one that ends
/// earlier may have been left.
const REVOKED: TableDefinition<'_, &[u8; 24], i64> = TableDefinition::new("revoked-1");

/// All is read once, at start; redb would keep a gigabyte.
const PAGE_CACHE: usize = 4 << 20;

/// What every redb file begins with.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";
/// Before this nothing is written but the header.
const FIRST_PAGE: u64 = 4096;

/// The file, open and locked for this process alone.
pub(super) struct LedgerFile {
    database: Database,
    path: PathBuf,
    /// Device and number on it: whether the path still leads here.
    place: (u64, u64),
}

/// What is to be written.
pub(super) enum Change {
    Spend(Token),
    /// A revocation as it stands now, and as it stood before.
    Revoke(Revocation, Option<Revocation>),
    /// Forget what ended by then.
    Sweep(UnixTime),
}

impl LedgerFile {
    /// Opens the file, or makes an empty one.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        guarded(|| Self::open_unguarded(path))
    }

    fn open_unguarded(path: &Path) -> Result<Self, Trouble> {
        // Readable for nobody else: it tells when somebody signed out.
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let mut file = opened.map_err(|error| of_io(&error))?;
        let about = file.metadata().map_err(|error| of_io(&error))?;
        if !about.is_file() {
            return Err(Trouble::Other("is no file; name one in a folder".into()));
        }
        let is_new = about.len() == 0 || was_never_begun(&mut file)?;
        let database = open_database(FileBackend::new(file)?)?;
        let about = std::fs::metadata(path).map_err(|error| of_io(&error))?;
        if is_new {
            sync_folder(path).map_err(|error| of_io(&error))?;
        }
        Ok(Self { database, path: path.to_owned(), place: (about.dev(), about.ino()) })
    }

    /// Whether its path leads elsewhere by now, or nowhere: what is written here would be gone with this process.
    pub fn is_moved(&self) -> bool {
        !std::fs::metadata(&self.path).is_ok_and(|about| (about.dev(), about.ino()) == self.place)
    }

    /// How many revocations there are, at most.
    pub fn count(&self) -> Result<usize, Trouble> {
        guarded(|| {
            let rows = self.database.begin_read()?.open_table(REVOKED)?.len()?;
            Ok(usize::try_from(rows).unwrap_or(0))
        })
    }

    /// Tells `revocations` what is here and has not ended by `now`.
    pub fn load(&self, revocations: &Revocations, now: UnixTime) -> Result<(), Trouble> {
        guarded(|| {
            let table = self.database.begin_read()?.open_table(REVOKED)?;
            let ended = last::<24>(now);
            for row in table.range::<&[u8; 24]>((Bound::Excluded(&ended), Bound::Unbounded))? {
                let (key, number) = row?;
                revocations.learn(read_revoked(key.value(), number.value()));
            }
            Ok(())
        })
    }

    /// Makes changes in one transaction, on disk when this returns; of each, whether that token was spent before.
    pub fn write(&self, changes: &[Change]) -> Result<Vec<Spend>, Trouble> {
        guarded(|| {
            let transaction = self.begin()?;
            let mut done = Vec::with_capacity(changes.len());
            let mut is_changed = false;
            {
                let mut spent = transaction.open_table(SPENT)?;
                let mut revoked = transaction.open_table(REVOKED)?;
                for change in changes {
                    let (spend, has_changed) = apply(&mut spent, &mut revoked, change)?;
                    done.push(spend);
                    is_changed |= has_changed;
                }
            }
            end(transaction, is_changed)?;
            Ok(done)
        })
    }

    /// Adds what `revocations` knows and is not here.
    pub fn add_missing(&self, revocations: &Revocations) -> Result<(), Trouble> {
        let mut rows: Vec<_> = revocations.all().into_iter().map(|one| (revoked_key(&one), one.number())).collect();
        // In the order of the file, or each would be read from another page of it.
        rows.sort_unstable_by_key(|(key, _)| *key);
        guarded(|| {
            let transaction = self.begin()?;
            let mut is_changed = false;
            {
                let mut revoked = transaction.open_table(REVOKED)?;
                for (key, number) in rows {
                    let there = revoked.get(&key)?.map(|there| there.value());
                    if there.is_none_or(|there| Mark::join(there, number) != there) {
                        revoked.insert(&key, number)?;
                        is_changed = true;
                    }
                }
            }
            end(transaction, is_changed)
        })
    }

    /// Adds the spent tokens of another file.
    pub fn add_spent(&self, other: &Self) -> Result<(), Trouble> {
        guarded(|| {
            let transaction = self.begin()?;
            {
                let mut spent = transaction.open_table(SPENT)?;
                for row in other.database.begin_read()?.open_table(SPENT)?.iter()? {
                    spent.insert(row?.0.value(), ())?;
                }
            }
            transaction.commit()?;
            Ok(())
        })
    }

    /// Finds out whether there is room for a change.
    pub fn try_out(&self) -> Result<(), Trouble> {
        guarded(|| {
            for is_there in [true, false] {
                let transaction = self.begin()?;
                {
                    let mut spent = transaction.open_table(SPENT)?;
                    // Before all time: it would be forgotten at once.
                    if is_there {
                        spent.insert(&[0; 40], ())?
                    } else {
                        spent.remove(&[0; 40])?
                    };
                }
                transaction.commit()?;
            }
            Ok(())
        })
    }

    /// Closes it, so that another process may open it.
    pub fn close(self) -> Result<(), Trouble> {
        guarded(|| Ok(self.database.close()?))
    }

    fn begin(&self) -> Result<WriteTransaction, Trouble> {
        let mut transaction = self.database.begin_write()?;
        // An fsync more. Without it, redb takes a damaged page for a write that a crash cut off, and goes back to the
        // transaction before without a word: what was spent could be spent again.
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }
}

fn apply(
    spent: &mut Table<'_, &'static [u8; 40], ()>,
    revoked: &mut Table<'_, &'static [u8; 24], i64>,
    change: &Change,
) -> Result<(Spend, bool), Trouble> {
    let mut spend = Spend::First;
    let has_changed = match change {
        Change::Spend(token) => {
            if spent.insert(&spent_key(token), ())?.is_some() {
                spend = Spend::Again;
            }
            spend == Spend::First
        }
        Change::Revoke(revocation, before) => {
            if let Some(before) = before.filter(|before| before.until != revocation.until) {
                revoked.remove(&revoked_key(&before))?;
            }
            let number = revocation.number();
            revoked.insert(&revoked_key(revocation), number)?.is_none_or(|there| there.value() != number)
        }
        Change::Sweep(now) => {
            let (last_spent, last_revoked) = (last::<40>(*now), last::<24>(*now));
            let is_due = is_any(spent.range::<&[u8; 40]>(..=&last_spent)?)
                || is_any(revoked.range::<&[u8; 24]>(..=&last_revoked)?);
            if is_due {
                spent.retain_in::<&[u8; 40], _>(..=&last_spent, |_, ()| false)?;
                revoked.retain_in::<&[u8; 24], _>(..=&last_revoked, |_, _| false)?;
            }
            is_due
        }
    };
    Ok((spend, has_changed))
}

/// What has changed nothing needs no fsync: what was there already is on disk already.
fn end(transaction: WriteTransaction, is_changed: bool) -> Result<(), Trouble> {
    if is_changed {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(())
}

fn is_any<T>(mut rows: impl Iterator<Item = T>) -> bool {
    rows.next().is_some()
}

pub(super) fn open_database(file: impl StorageBackend) -> Result<Database, Trouble> {
    let mut builder = Builder::new();
    // A page that went bad is found now, not by a panic in the middle of the night.
    builder.set_cache_size(PAGE_CACHE).set_check_integrity_on_open(true);
    let database = builder.create_with_backend(file)?;
    let known = [SPENT.name(), REVOKED.name()];
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    if transaction.list_tables()?.any(|table| !known.contains(&table.name())) {
        return Err(Trouble::Other("holds what this version of Vestibule did not write; name another file".into()));
    }
    let is_whole = transaction.list_tables()?.count() == known.len();
    transaction.open_table(SPENT)?;
    transaction.open_table(REVOKED)?;
    end(transaction, !is_whole)?;
    Ok(database)
}

/// Whether this is what is left of a file that was being made when the machine or the process went down. Anything else that
/// is no redb is an error: it is somebody's.
fn was_never_begun(file: &mut File) -> Result<bool, Trouble> {
    if is_begun(file)? {
        return Ok(false);
    }
    // Another process may be making it just now.
    file.try_lock().map_err(|_| Trouble::Locked)?;
    file.set_len(0).and_then(|()| file.unlock()).map_err(|error| of_io(&error))?;
    Ok(true)
}

/// Whether a file that is not empty is redb's from its first byte.
pub(super) fn is_begun(file: &mut File) -> Result<bool, Trouble> {
    let mut magic = [0; MAGIC.len()];
    let begins = file.read_exact(&mut magic);
    if begins.is_ok() && magic == MAGIC {
        return Ok(true);
    }
    // redb writes its first bytes last.
    let is_empty = begins.is_ok() && magic == [0; MAGIC.len()] && is_zero_from(file, FIRST_PAGE);
    if !is_empty {
        return Err(Trouble::Other("is no ledger; name another file, or move this one away".into()));
    }
    Ok(false)
}

fn is_zero_from(file: &mut File, start: u64) -> bool {
    let mut chunk = [0; 16 << 10];
    if file.seek(SeekFrom::Start(start)).is_err() {
        return false;
    }
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return true,
            Ok(length) if chunk[..length].iter().all(|byte| *byte == 0) => {}
            _ => return false,
        }
    }
}

/// So that the file is found after the machine went down, too.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn spent_key(token: &Token) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&in_order(token.until()));
    key[8..].copy_from_slice(&token.id.0);
    key
}

fn revoked_key(revocation: &Revocation) -> [u8; 24] {
    let mut key = [0; 24];
    key[..8].copy_from_slice(&in_order(revocation.until));
    key[8..].copy_from_slice(&revocation.subject.0);
    key
}

fn read_revoked(key: &[u8; 24], number: i64) -> Revocation {
    let (mut until, mut subject) = ([0; 8], [0; 16]);
    until.copy_from_slice(&key[..8]);
    subject.copy_from_slice(&key[8..]);
    until[0] ^= SIGN;
    Revocation::of_number(Subject(subject), number, UnixTime(i64::from_be_bytes(until)))
}

/// The last key there can be of what has ended by `now`.
fn last<const N: usize>(now: UnixTime) -> [u8; N] {
    let mut key = [0xff; N];
    key[..8].copy_from_slice(&in_order(now));
    key
}

/// Bytes that are in the order of time, before 1970 too.
fn in_order(at: UnixTime) -> [u8; 8] {
    let mut bytes = at.0.to_be_bytes();
    bytes[0] ^= SIGN;
    bytes
}

const SIGN: u8 = 0x80;
