//! Files that change, whichever way they are changed: written, renamed over, or swapped by a symbolic link on the way to them.
//!
//! Folders are watched, because a file that was renamed over is another. What counts is a finished write: a file that is still
//! open to its writer may be half of itself, and valid all the same.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::mpsc::UnboundedSender;

use crate::config::ANY;

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
    _watcher: RecommendedWatcher,
    places: HashSet<PathBuf>,
    /// Why not all of it is watched.
    pub lost: Option<notify::Error>,
}

/// As many symbolic links as Linux follows.
const MOST_LINKS: usize = 40;

impl Watch {
    /// Watches files, and tells what happens to them.
    pub fn on<'p>(files: impl Iterator<Item = &'p Path>, told: UnboundedSender<Touch>) -> notify::Result<Self> {
        let places: HashSet<PathBuf> = files.flat_map(way_to).collect();
        let of_interest = places.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            for touch in touches(event, &of_interest) {
                // Nobody listens any more when this is not received.
                let _ = told.send(touch);
            }
        })?;
        let folders: HashSet<&Path> = places.iter().filter_map(|place| place.parent()).collect();
        let watched = folders.into_iter().map(|folder| watcher.watch(folder, RecursiveMode::NonRecursive));
        let lost = watched.filter_map(Result::err).last();
        Ok(Self { _watcher: watcher, places, lost })
    }

    /// Whether it watches these files the way they are reached now.
    pub fn is_on<'p>(&self, files: impl Iterator<Item = &'p Path>) -> bool {
        files.flat_map(way_to).collect::<HashSet<_>>() == self.places
    }
}

fn touches(event: notify::Result<Event>, of_interest: &HashSet<PathBuf>) -> Vec<Touch> {
    let Ok(event) = event else { return vec![Touch::Other] };
    if event.need_rescan() {
        return vec![Touch::Other];
    }
    let paths = event
        .paths
        .into_iter()
        .filter(|path| of_interest.contains(path) || of_interest.contains(&path.with_file_name(ANY)));
    let touch = |path: PathBuf| match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Remove(_) => Some(Touch::Done(path)),
        EventKind::Modify(ModifyKind::Data(_)) => Some(Touch::Begun(path)),
        EventKind::Modify(_) => Some(Touch::Other),
        // A link is whole when it is made; a file is still to be written.
        EventKind::Create(_) => {
            let is_whole = fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file() || meta.nlink() > 1);
            is_whole.then_some(Touch::Done(path))
        }
        EventKind::Access(_) | EventKind::Any | EventKind::Other => None,
    };
    paths.filter_map(touch).collect()
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
