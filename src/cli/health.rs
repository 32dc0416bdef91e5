//! Asks a running Vestibule whether it lives, for containers that hold nothing but this binary.

use std::{path::Path, process::ExitCode};

use super::{ask::ask as request, reach, say};

/// Asks the admin listener where there is one, else the listener itself, which answers for its own endpoints.
pub fn ask(file: &Path) -> Result<ExitCode, String> {
    let listen = reach(file)?;
    let (address, path, wanted) = match listen.admin {
        Some(admin) => (admin, "/healthz", "HTTP/1.1 200 "),
        None if listen.speaks_tls => {
            return Err("health asks over plain HTTP; add admin = \"127.0.0.1:9901\" to [listen]".to_owned());
        }
        None => (listen.address, "/_auth/", "HTTP/1.1 404 "),
    };
    let answer =
        request(address, &format!("GET {path}"), "", "").map_err(|e| format!("{address} does not answer: {e}"))?;
    if answer.starts_with(wanted) {
        return say("alive");
    }
    Err(format!("{address} answers {:?}", answer.lines().next().unwrap_or_default()))
}
