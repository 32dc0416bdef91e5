//! Writes a starter configuration, and the secrets it names.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::ExitCode,
};

use super::say;
use crate::secret;

const STARTER: &str = include_str!("../../proxy.toml");
const SECRETS: [&str; 2] = ["vestibule-session.key", "vestibule-ten_acme.key"];

/// Writes all files into `folder`, or none when one of them is there.
pub fn init(folder: &Path) -> Result<ExitCode, String> {
    let names = || SECRETS.into_iter().chain(["proxy.toml"]);
    if let Some(there) = names().find(|name| folder.join(name).exists()) {
        return Err(format!("{there} is there already and is not overwritten; use another folder, or move it away"));
    }
    for name in names() {
        let (mode, text) = match name {
            "proxy.toml" => (0o644, STARTER.as_bytes().to_vec()),
            _ => (0o600, format!("{}\n", *secret::generate()).into_bytes()),
        };
        write_new(&folder.join(name), mode, &text).map_err(|e| format!("{name} cannot be written: {e}"))?;
    }
    say(&format!(
        "wrote proxy.toml, {}\nnext: set upstreams.helpdesk.servers in proxy.toml, then `vestibule check` and `vestibule run`",
        SECRETS.join(", ")
    ))
}

fn write_new(path: &Path, mode: u32, text: &[u8]) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text)
}
