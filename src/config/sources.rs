//! The files a configuration was read from, and what they held.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// The files, each with the digest of what it held; `None` where it could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Option<[u8; 32]>>);

impl Sources {
    /// Notes what a file held.
    pub fn note(&mut self, path: &Path, content: Option<&[u8]>) {
        // What a pipe held can be read once, and says nothing of later.
        if !fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            self.0.insert(absolute(path), content.map(fingerprint));
        }
    }

    /// Notes those of another as well.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Where they are, in full.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    /// Whether they hold something else by now.
    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, held)| {
            let holds = fs::read(path).ok().map(Zeroizing::new);
            holds.map(|content| fingerprint(&content)) != *held
        })
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn fingerprint(content: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, content).as_ref());
    fingerprint
}
