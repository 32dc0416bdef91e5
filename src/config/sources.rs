//! The files a configuration was read from, and what they held.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

/// The files, each with the digest of what it held; `None` where it could not be read. And folders, with what they list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    files: BTreeMap<PathBuf, Option<[u8; 32]>>,
    folders: BTreeMap<PathBuf, Option<Vec<String>>>,
}

/// Stands for any file of a folder.
pub const ANY: &str = "*";

impl Sources {
    /// Notes what a file held.
    pub fn note(&mut self, path: &Path, content: Option<&[u8]>) {
        // What a pipe held can be read once, and says nothing of later.
        if !fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            self.files.insert(absolute(path), content.map(fingerprint));
        }
    }

    /// Notes which files a folder held.
    pub fn note_folder(&mut self, path: &Path, names: Option<&[String]>) {
        self.folders.insert(absolute(path).join(ANY), names.map(<[String]>::to_vec));
    }

    /// Notes those of another as well.
    pub fn extend(&mut self, other: Self) {
        self.files.extend(other.files);
        self.folders.extend(other.folders);
    }

    /// Where they are, in full; of a folder [`ANY`] of its files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().chain(self.folders.keys()).map(PathBuf::as_path)
    }

    /// Whether they hold something else by now.
    pub fn have_changed(&self) -> bool {
        let lists = |path: &PathBuf| path.parent().and_then(|folder| listing(folder).ok());
        self.folders.iter().any(|(path, held)| lists(path) != *held)
            || self.files.iter().any(|(path, held)| {
                let holds = fs::read(path).ok().map(Zeroizing::new);
                holds.map(|content| fingerprint(&content)) != *held
            })
    }
}

/// The names of a folder's files in their order, without those that editors and mounts hide or leave beside.
pub fn listing(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| !name.starts_with('.') && !name.ends_with('~'));
    names.sort();
    Ok(names)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn fingerprint(content: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, content).as_ref());
    fingerprint
}
