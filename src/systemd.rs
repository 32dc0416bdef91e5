//! What systemd is told where it asked for it (`Type=notify`, `Type=notify-reload`); nothing anywhere else.

use sd_notify::NotifyState;

/// It serves, by the configuration it was last told of.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its configuration again; [`ready`] follows.
pub fn reloading() {
    let now = NotifyState::monotonic_usec_now();
    tell(&[Some(NotifyState::Reloading), now.ok()].into_iter().flatten().collect::<Vec<_>>());
}

/// It stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the service from now on, and serves.
pub fn succeeded_by(process: u32) {
    tell(&[NotifyState::MainPid(process), NotifyState::Ready]);
}

fn tell(states: &[NotifyState<'_>]) {
    // Nobody is harmed who does not hear it.
    let _ = sd_notify::notify(states);
}
