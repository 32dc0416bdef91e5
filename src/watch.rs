//! Files that change, whichever way they are changed: written, renamed over, or swapped by a symbolic link on the way to them.
//!
//! Folders are watched for names that come and go and for writers that close, because a file that was renamed over is another.
//! Each file itself is watched for its first write: what is still open to its writer may be half of itself, and valid all the
//! same. So a log beside them, which is written all the time, wakes nobody.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Component, Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{sync::mpsc::UnboundedSender, task::JoinHandle};

#[cfg(target_os = "linux")]
mod inotify;

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It is being written.
    Begun(PathBuf),
    /// It was written, or came, or went.
    Done(PathBuf),
    /// It is something else than before, perhaps.
    Other,
}

/// Files under watch, until dropped.
pub struct Watch {
    task: JoinHandle<()>,
    places: HashSet<PathBuf>,
    /// Whether a folder under watch has gone, or is another.
    is_stale: Arc<AtomicBool>,
    /// Why not all of it is watched.
    pub lost: Option<io::Error>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// As many symbolic links as Linux follows.
const MOST_LINKS: usize = 40;

impl Watch {
    /// Watches files, and tells what happens to them.
    #[cfg(target_os = "linux")]
    pub fn on<'p>(files: impl Iterator<Item = &'p Path>, told: UnboundedSender<Touch>) -> io::Result<Self> {
        let places: HashSet<PathBuf> = files.flat_map(way_to).collect();
        let is_stale = Arc::new(AtomicBool::new(false));
        let (watches, lost) = inotify::Watches::on(places.clone(), is_stale.clone())?;
        Ok(Self { task: tokio::spawn(watches.tell(told)), places, is_stale, lost })
    }

    /// Files are watched on Linux alone.
    #[cfg(not(target_os = "linux"))]
    pub fn on<'p>(_: impl Iterator<Item = &'p Path>, _: UnboundedSender<Touch>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether it watches these files the way they are reached now.
    pub fn is_on<'p>(&self, files: impl Iterator<Item = &'p Path>) -> bool {
        !self.is_stale.load(Ordering::SeqCst) && files.flat_map(way_to).collect::<HashSet<_>>() == self.places
    }
}

/// Every place on the way to a file that decides what it is: its own, and that of each symbolic link. All in folders without
/// links, as the system names them.
fn way_to(file: &Path) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let mut at = PathBuf::from("/");
    let mut left: Vec<OsString> = parts(file);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&part);
        match fs::read_link(&next) {
            Ok(target) if links < MOST_LINKS => {
                links += 1;
                places.push(next);
                if target.is_absolute() {
                    at = PathBuf::from("/");
                }
                left.extend(parts(&target));
            }
            _ if left.is_empty() || !next.is_dir() => {
                places.push(next);
                break;
            }
            _ => at = next,
        }
    }
    places
}

/// The names of a path, the last first.
fn parts(path: &Path) -> Vec<OsString> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsStr::new("..").to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_way_to_a_file_names_every_link_and_ends_at_what_is_missing() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it is there");
        fs::create_dir(root.join("v1")).expect("made");
        fs::write(root.join("v1/proxy.toml"), "").expect("written");
        symlink("v1", root.join("..data")).expect("made");
        symlink("..data/proxy.toml", root.join("proxy.toml")).expect("made");
        let way = |name: &str| way_to(&root.join(name));
        assert_eq!(way("proxy.toml"), ["proxy.toml", "..data", "v1/proxy.toml"].map(|name| root.join(name)));
        assert_eq!(way("v1/../v1/none"), [root.join("v1/none")]);
        assert_eq!(way("none/at/all"), [root.join("none")]);
        symlink("loop", root.join("loop")).expect("made");
        assert_eq!(way("loop/x").last(), Some(&root.join("loop")));
    }
}
