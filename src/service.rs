//! `vestibule run`: a server from its start to its end, and what signals and changed files make of it.

use std::path::PathBuf;

use tokio::sync::mpsc;

use crate::{
    bind::Listeners,
    config::{Config, Sources},
    handover::{Executable, Predecessor, hand_over},
    log,
    reload::{self, Watched},
    server::{self, Running, StartError},
    signals::{Ask, Signals},
    systemd,
    time::Clock,
};

/// What to serve.
pub struct Service {
    pub file: PathBuf,
    pub config: Config,
    pub sources: Sources,
    /// Who served before, and hands over.
    pub predecessor: Option<Predecessor>,
}

impl Service {
    /// Serves until asked to stop, or until another process has taken over.
    pub async fn run(mut self) -> Result<(), String> {
        // Found now: by the time of a handover another file may stand there.
        let executable = Executable::find();
        let mut signals = Signals::receive().map_err(|e| format!("signals cannot be received: {e}"))?;
        let watched = Watched::new(self.file.clone(), self.sources.clone(), &self.config.warnings);
        let running = self.start().await?;
        match self.predecessor.take() {
            // Who hands over says it, being who systemd listens to.
            Some(predecessor) => predecessor.tell(running.live.ledger.follow()),
            None => systemd::ready(),
        }
        let (ask, asked) = mpsc::channel(1);
        let reloading = tokio::spawn(reload::keep(watched, running.live.clone(), asked));
        loop {
            match signals.next().await {
                Ask::Stop => {
                    systemd::stopping();
                    break;
                }
                // One that waits already is as good.
                Ask::Reload => drop(ask.try_send(())),
                Ask::HandOver => match hand_over(&executable, &running).await {
                    Ok(process) => {
                        systemd::succeeded_by(process);
                        log::handed_over(process);
                        break;
                    }
                    Err(why) => log::caution(&format!("not handed over, this process goes on: {why}")),
                },
            }
        }
        reloading.abort();
        let grace = running.live.grace();
        running.stop(grace).await;
        Ok(())
    }

    async fn start(&self) -> Result<Running, String> {
        let Some(predecessor) = &self.predecessor else {
            return server::start(&self.config, Clock::system()).await.map_err(|e| e.to_string());
        };
        let (main, admin) = predecessor.take_over()?;
        let started = match Listeners::or_bind(&self.config.listen, main, admin) {
            Ok(listeners) => server::start_on(&self.config, Clock::system(), listeners).await,
            Err(e) => Err(StartError::from(e)),
        };
        match started {
            Ok(running) => {
                predecessor.serving(running.address);
                Ok(running)
            }
            Err(e) => {
                predecessor.failed(&e.to_string());
                Err(e.to_string())
            }
        }
    }
}
