//! What may be wrong with the ledger's file, and how to mend it.

use std::{
    io::{self, ErrorKind},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use super::OpenError;

/// Why the file cannot be opened or written, in one line.
pub(super) enum Trouble {
    Locked,
    Other(String),
}

impl Trouble {
    /// As an error of the configuration that names the file.
    pub fn at_start(self, path: &Path) -> OpenError {
        let path = path.display();
        match self {
            Self::Locked => OpenError::Locked(format!("ledger.path {path}: {self}")),
            Self::Other(_) => OpenError::Unusable(format!("ledger.path {path}: {self}")),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Locked => f.write_str("is in use by another process; stop that, or give each a file of its own"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl<E: Into<redb::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::Locked,
            redb::Error::UpgradeRequired(_) => Self::Other(format!("is of an older format; {START_ANEW}")),
            redb::Error::Io(error) => of_io(&error),
            // Anything else is found by reading what ought not to be there.
            error => Self::Other(format!("is damaged ({error}); {START_ANEW}")),
        }
    }
}

const START_ANEW: &str =
    "restore a copy, or move it away and replace the session key: without it, who signed out is signed in again";

/// Of an operation on the file.
pub(super) fn of_io(error: &io::Error) -> Trouble {
    let remedy = match error.kind() {
        ErrorKind::NotFound => "create its folder, or change ledger.path",
        ErrorKind::PermissionDenied => "let the user that Vestibule runs as write it and its folder",
        ErrorKind::ReadOnlyFilesystem => "put it where it can be written, such as a volume",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => "make room for it",
        ErrorKind::IsADirectory | ErrorKind::NotADirectory => "name a file in a folder",
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
            return Trouble::Other(format!("is cut off; {START_ANEW}"));
        }
        _ => "see to its disk, or change ledger.path",
    };
    Trouble::Other(format!("{error}; {remedy}"))
}

/// Does what may fail or panic: redb may, about a file that something else wrote to. That is trouble like any other.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    let ended = catch_unwind(AssertUnwindSafe(work));
    ended.unwrap_or_else(|_| Err(Trouble::Other(format!("is damaged; {START_ANEW}"))))
}
