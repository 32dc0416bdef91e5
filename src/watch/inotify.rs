//! Watches of Linux (inotify(7)), each for no more than what matters of its folder or file.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    fs, io,
    mem::MaybeUninit,
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::mpsc::UnboundedSender,
};

use super::Touch;
use crate::config::ANY;

/// Events of other files of a folder that are alike in this time are one: the kernel joins them while they are not read.
const PAUSE: Duration = Duration::from_millis(10);

/// What is told of names in a folder. Not every write: that is told of the files themselves.
const OF_FOLDERS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// What is told of a file, by whatever name it is written.
const OF_FILES: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::ATTRIB);

/// Folders and files under watch.
pub struct Watches {
    descriptor: AsyncFd<OwnedFd>,
    places: HashSet<PathBuf>,
    folders: HashMap<i32, PathBuf>,
    /// One file may have several names.
    files: HashMap<i32, HashSet<PathBuf>>,
    is_stale: Arc<AtomicBool>,
}

impl Watches {
    /// Watches the folders of places, and the files that are there; beside it, why not all of them.
    pub fn on(places: HashSet<PathBuf>, is_stale: Arc<AtomicBool>) -> io::Result<(Self, Option<io::Error>)> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[allow(deprecated, reason = "its replacement is unsafe; of what is owned here, the descriptor never changes")]
        let descriptor = AsyncFd::with_interest(descriptor, Interest::READABLE)?;
        let (folders, files) = (HashMap::new(), HashMap::new());
        let mut watches = Self { descriptor, places, folders, files, is_stale };
        let folders: HashSet<PathBuf> =
            watches.places.iter().filter_map(|place| place.parent()).map(Path::to_owned).collect();
        let mut lost = None;
        for folder in folders {
            match inotify::add_watch(watches.descriptor.get_ref(), &folder, OF_FOLDERS) {
                Ok(watch) => drop(watches.folders.insert(watch, folder)),
                Err(e) => lost = Some(named(e, &folder)),
            }
        }
        for file in watches.present() {
            lost = watches.watch_file(&file).err().map(|e| named(e, &file)).or(lost);
        }
        Ok((watches, lost))
    }

    /// The files of interest that are there.
    fn present(&self) -> Vec<PathBuf> {
        let of_folder = |any: &Path| {
            let entries = any.parent().and_then(|folder| fs::read_dir(folder).ok());
            entries.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect::<Vec<_>>()
        };
        self.places
            .iter()
            .flat_map(|place| if place.ends_with(ANY) { of_folder(place) } else { vec![place.clone()] })
            .collect()
    }

    /// Watches what stands at a place, if it is a file. A link is never written, and its folder tells when it is replaced.
    fn watch_file(&mut self, path: &Path) -> Result<(), Errno> {
        if !fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) {
            return Ok(());
        }
        match inotify::add_watch(self.descriptor.get_ref(), path, OF_FILES | WatchFlags::DONT_FOLLOW) {
            Ok(watch) => {
                self.files.entry(watch).or_default().insert(path.to_owned());
                Ok(())
            }
            // It went in between, and its folder tells so; what may not be read was not read either.
            Err(Errno::NOENT | Errno::ACCESS) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Tells what happens, for good.
    pub async fn tell(mut self, told: UnboundedSender<Touch>) {
        loop {
            let Ok(mut ready) = self.descriptor.readable().await else { return };
            let events = ready.try_io(|descriptor| read(descriptor.get_ref()));
            drop(ready);
            let Ok(events) = events else { continue };
            let Ok(events) = events else { return };
            let touches: Vec<Touch> = events.iter().flat_map(|event| self.touches(event)).collect();
            if touches.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            for touch in touches {
                // Nobody listens any more when this is not received.
                let _ = told.send(touch);
            }
        }
    }

    fn touches(&mut self, event: &Event) -> Vec<Touch> {
        let is = |flags| event.what.intersects(flags);
        if is(ReadFlags::QUEUE_OVERFLOW) {
            return vec![Touch::Other];
        }
        if let Some(folder) = self.folders.get(&event.watch) {
            let Some(name) = &event.name else {
                // The folder itself.
                self.is_stale.store(true, Ordering::SeqCst);
                return vec![Touch::Other];
            };
            let path = folder.join(OsStr::from_bytes(name));
            let is_of_interest = self.places.contains(&path) || self.places.contains(&path.with_file_name(ANY));
            return if is_of_interest { self.named(event.what, path) } else { Vec::new() };
        }
        let Some(paths) = self.files.get(&event.watch) else { return Vec::new() };
        if is(ReadFlags::IGNORED) {
            self.files.remove(&event.watch);
            Vec::new()
        } else if is(ReadFlags::MODIFY) {
            paths.iter().cloned().map(Touch::Begun).collect()
        } else {
            vec![Touch::Other]
        }
    }

    /// What happened under a name in a folder.
    fn named(&mut self, what: ReadFlags, path: PathBuf) -> Vec<Touch> {
        if what.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
            // It is another file than before. Where it cannot be watched, the end of a write is still told.
            let _ = self.watch_file(&path);
        }
        if what.intersects(ReadFlags::CREATE) {
            // A link is whole when it is made; a file is still to be written.
            let is_whole = fs::symlink_metadata(&path).is_ok_and(|meta| !meta.is_file() || meta.nlink() > 1);
            return if is_whole { vec![Touch::Done(path)] } else { Vec::new() };
        }
        vec![Touch::Done(path)]
    }
}

/// One event, out of the buffer.
struct Event {
    watch: i32,
    what: ReadFlags,
    name: Option<Vec<u8>>,
}

/// What there is to read.
fn read(descriptor: &OwnedFd) -> io::Result<Vec<Event>> {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(descriptor, &mut buffer);
    let mut events = Vec::new();
    loop {
        let event = reader.next()?;
        let name = event.file_name().map(|name| name.to_bytes().to_vec());
        events.push(Event { watch: event.wd(), what: event.events(), name });
        if reader.is_buffer_empty() {
            return Ok(events);
        }
    }
}

/// With the limit that is meant: of inotify "no space left" is no disk that is full.
fn named(e: Errno, path: &Path) -> io::Error {
    let limit = if e == Errno::NOSPC { " (fs.inotify.max_user_watches)" } else { "" };
    let e = io::Error::from(e);
    io::Error::new(e.kind(), format!("{}: {e}{limit}", path.display()))
}
