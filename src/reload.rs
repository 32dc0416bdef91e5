//! Reload: on SIGHUP, or when a file of the configuration has changed, everything is built anew and put in place at once. What is
//! wrong is said, counted, and changes nothing.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::{
    config::{Config, Problem, Severity, Sources},
    live::Live,
    log, systemd,
    time::Clock,
    watch::{Touch, Watch},
};

/// Several files are often changed together; so long without a change, and they are taken for done.
const QUIET: Duration = Duration::from_millis(200);

/// How long word of a write may be on its way.
const WORD: Duration = Duration::from_millis(50);

/// So often word of another write puts a reload off.
const MOST_TRIES: u32 = 3;

/// How long a file may be half written.
const STUCK: Duration = Duration::from_secs(10);

/// Files that are changed all the time are taken all the same.
const LONGEST: Duration = Duration::from_secs(2);

/// The files of a configuration under watch. Begun before anything is served: what is written later is seen from its first byte.
pub struct Watched {
    files: Files,
    touches: UnboundedReceiver<Touch>,
}

impl Watched {
    /// Begins to watch what a configuration was read from. `warned` are the warnings that are in the log.
    pub fn new(file: PathBuf, sources: Sources, warned: &[Problem]) -> Self {
        let (told, touches) = mpsc::unbounded_channel();
        let mut files = Files { file, sources, watch: None, is_lost: false, warned: warned.to_vec(), told };
        files.watch();
        Self { files, touches }
    }
}

/// Keeps a server to its configuration, for good. `asked` receives whenever an operator asks.
pub async fn keep(watched: Watched, live: Arc<Live>, mut asked: mpsc::Receiver<()>) {
    let Watched { files, mut touches } = watched;
    let files = Arc::new(Mutex::new(files));
    // Files that are being written.
    let mut open = HashMap::new();
    let mut tries = 0;
    loop {
        quiet(&mut touches, &mut open).await;
        // What changed since the files were read, or before they were watched, is noticed here.
        while !is_any(&mut open) && reading(&files, Files::have_changed).await {
            let read = reading(&files, Files::read).await;
            tries += 1;
            // Of a write that began while they were read, word may come a moment later.
            let word = timeout(WORD, touches.recv()).await.ok().flatten();
            let is_quiet = word.is_none();
            if let Some(touch) = word {
                note(touch, &mut open);
            }
            // A file that is written all the time keeps nobody from the others for good.
            if is_quiet || (tries >= MOST_TRIES && !is_any(&mut open)) {
                put(&files, read, &live).await;
                tries = 0;
            }
            quiet(&mut touches, &mut open).await;
        }
        tokio::select! {
            is_asked = asked.recv() => match is_asked {
                Some(()) => {
                    let read = reading(&files, Files::read).await;
                    put(&files, read, &live).await;
                }
                None => return,
            },
            Some(touch) = touches.recv() => note(touch, &mut open),
            () = sleep(STUCK), if !open.is_empty() => {}
        }
    }
}

/// Whether a file is still being written. A writer that says nothing for so long has forgotten to close it, or it was no writer.
fn is_any(open: &mut HashMap<PathBuf, Instant>) -> bool {
    open.retain(|_, begun| begun.elapsed() < STUCK);
    !open.is_empty()
}

/// Waits until nothing happens any more.
async fn quiet(touches: &mut UnboundedReceiver<Touch>, open: &mut HashMap<PathBuf, Instant>) {
    let end = Instant::now() + LONGEST;
    while Instant::now() < end
        && let Ok(Some(touch)) = timeout(QUIET, touches.recv()).await
    {
        note(touch, open);
    }
}

fn note(touch: Touch, open: &mut HashMap<PathBuf, Instant>) {
    match touch {
        Touch::Begun(path) => {
            open.insert(path, Instant::now());
        }
        Touch::Done(path) => {
            open.remove(&path);
        }
        Touch::Other => {}
    }
}

async fn put(files: &Arc<Mutex<Files>>, read: Option<Read>, live: &Arc<Live>) {
    let live = live.clone();
    reading(files, move |files| read.map(|read| files.put(read, &live))).await;
}

/// Reads files, which may take its time, where it keeps nobody waiting.
async fn reading<T>(files: &Arc<Mutex<Files>>, what: impl FnOnce(&mut Files) -> T + Send + 'static) -> T
where
    T: Default + Send + 'static,
{
    let files = files.clone();
    spawn_blocking(move || what(&mut files.lock())).await.unwrap_or_default()
}

/// What was made of files, and which.
type Read = (Result<Config, Vec<Problem>>, Sources);

/// The files of the configuration as they were last read, right or wrong.
struct Files {
    file: PathBuf,
    sources: Sources,
    watch: Option<Watch>,
    /// Whether it was said that not all is watched.
    is_lost: bool,
    /// The warnings of the configuration in force: they are in the log.
    warned: Vec<Problem>,
    told: UnboundedSender<Touch>,
}

impl Files {
    /// Whether they hold something else than when they were read.
    fn have_changed(&mut self) -> bool {
        // First, so that nothing happens in between.
        self.watch();
        self.sources.have_changed()
    }

    /// Watches them by the way they are reached now.
    fn watch(&mut self) {
        let is_on = |watch: &Watch| watch.is_on(self.sources.paths());
        if self.watch.as_ref().is_some_and(is_on) {
            return;
        }
        let lost = match Watch::on(self.sources.paths(), self.told.clone()) {
            Ok(mut watch) => {
                let lost = watch.lost.take();
                self.watch = Some(watch);
                lost
            }
            Err(e) => Some(e),
        };
        if let Some(e) = lost.filter(|_| !self.is_lost) {
            log::caution(&format!("files of the configuration cannot be watched: {e}; send SIGHUP after a change"));
            self.is_lost = true;
        }
    }

    fn read(&mut self) -> Option<Read> {
        Some(Config::load_noting(&self.file, Clock::system().now()))
    }

    fn put(&mut self, (config, sources): Read, live: &Live) {
        systemd::reloading();
        self.sources = sources;
        match config {
            Ok(config) => {
                for key in live.apply(&config) {
                    log::caution(&format!("{key} has changed, which takes a restart; everything else is in force"));
                }
                for warning in config.warnings.iter().filter(|warning| !self.is_told(warning)) {
                    log::caution(&warning.to_string());
                }
                self.warned.clone_from(&config.warnings);
                live.reloads.took();
                log::reloaded(config.tenants.count(), config.routes.len());
                live.look_up_names();
            }
            Err(problems) => {
                let errors = || problems.iter().filter(|problem| problem.severity == Severity::Error);
                for error in errors() {
                    log::caution(&error.to_string());
                }
                live.reloads.refused();
                log::not_reloaded(errors().count());
            }
        }
        systemd::ready();
    }

    /// Whether a warning is in the log, wherever in the file it stands by now.
    fn is_told(&self, warning: &Problem) -> bool {
        self.warned.iter().any(|told| told.file == warning.file && told.text == warning.text)
    }
}
