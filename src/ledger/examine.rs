//! A look at a ledger's file without opening it: nothing is made, locked or written.

use std::{
    fs::{File, TryLockError},
    io::{ErrorKind, Read, Seek, SeekFrom},
    path::Path,
};

use redb::{StorageBackend, backends::InMemoryBackend};
use rustix::fs::{Access, AtFlags, CWD, accessat};

use super::{
    file::{is_begun, open_database},
    trouble::{Trouble, guarded, of_io},
};

/// Of a larger file the beginning is looked at alone: it is checked page by page when it is opened.
const LARGEST: u64 = 256 << 20;

/// Whether a server could open the file, or make it.
pub(super) fn examine(path: &Path) -> Result<(), Trouble> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound && folder.is_dir() => {
            return writable(folder, Access::WRITE_OK | Access::EXEC_OK);
        }
        Err(error) => return Err(of_io(&error)),
    };
    let about = file.metadata().map_err(|error| of_io(&error))?;
    if !about.is_file() {
        return Err(Trouble::Other("is no file; name one in a folder".into()));
    }
    if about.len() == 0 {
        return writable(path, Access::WRITE_OK);
    }
    match file.try_lock_shared() {
        Ok(()) => {}
        // Whoever serves with it has opened it.
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(of_io(&error)),
    }
    writable(path, Access::WRITE_OK)?;
    if is_begun(&mut file)? && about.len() <= LARGEST {
        guarded(|| open_database(copy(&mut file)?).map(drop))?;
    }
    Ok(())
}

/// Whether the user that asks may write there, and the file system lets anybody.
fn writable(path: &Path, access: Access) -> Result<(), Trouble> {
    accessat(CWD, path, access, AtFlags::EACCESS).map_err(|error| of_io(&error.into()))
}

fn copy(file: &mut File) -> Result<InMemoryBackend, Trouble> {
    let mut bytes = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes));
    let copy = InMemoryBackend::new();
    let length = read.map_err(|error| of_io(&error))? as u64;
    copy.set_len(length).and_then(|()| copy.write(0, &bytes)).map_err(|error| of_io(&error))?;
    Ok(copy)
}
