//! What the targets share: a configuration, its secrets, the time, and readers written apart from those under test.

pub mod claims;

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use vestibule::{config::Config, gate::Gate, ledger::Ledger, server, time::UnixTime};

/// The time of the targets: 2026-11-20T00:00:00Z.
pub const NOW: UnixTime = UnixTime(1_795_132_800);

/// The configuration of the targets, as text.
pub const PORTAL: &str = include_str!("../portal.toml");

/// What `{ env = "NAME" }` finds.
pub const SECRETS: [(&str, &str); 9] = [
    ("SESSION", "session-secret-0123456789abcdef012345"),
    ("SESSION_OLD", "session-older-0123456789abcdef0123456"),
    ("ACME", "acme-secret-0123456789abcdef0123456789"),
    ("ACME_OLD", "acme-older-0123456789abcdef0123456789"),
    ("ACME_NEW", "acme-newer-0123456789abcdef0123456789"),
    ("GLOBEX", "globex-secret-0123456789abcdef0123456"),
    ("INITECH", "initech-secret-0123456789abcdef012345"),
    ("UMBRELLA", "umbrella-secret-0123456789abcdef01234"),
    ("SHORT", "only-31-bytes-0123456789abcdefg"),
];

pub fn secret(name: &str) -> Option<String> {
    SECRETS.iter().find(|(known, _)| *known == name).map(|(_, secret)| (*secret).to_owned())
}

/// The configuration of the targets.
pub fn portal() -> &'static Config {
    static PORTAL_READ: OnceLock<Config> = OnceLock::new();
    PORTAL_READ.get_or_init(|| match Config::parse(Path::new("portal.toml"), PORTAL, &secret) {
        Ok(config) => config,
        Err(problems) => panic!("{problems:#?}"),
    })
}

/// A gate of that configuration.
pub fn gate() -> &'static Gate {
    static GATE: OnceLock<Gate> = OnceLock::new();
    GATE.get_or_init(|| server::gate(portal(), Arc::new(Ledger::in_memory(1_000))))
}

/// HMAC-SHA256 by another implementation than the product's.
pub fn mac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// Header and claims as a token, signed with a secret of [`SECRETS`].
pub fn sign(secret: &str, header: &[u8], claims: &[u8]) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac(secret.as_bytes(), message.as_bytes())))
}

/// A line up to its end, and what follows.
pub fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|b| *b == b'\n') {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, b""),
    }
}

/// The lines of an input; an input that ends with a line end has no empty line after it.
pub fn lines(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.strip_suffix(b"\n").unwrap_or(data).split(|b| *b == b'\n')
}

/// `Name: value` at its first colon, with the white space that a sender may put around the value.
pub fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|b| *b == b':')?;
    Some((&line[..at], line[at + 1..].trim_ascii()))
}

/// One pass of percent-decoding as most decoders make it: what is no escape stays as it is.
pub fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// A header's name as CGI, WSGI and PHP see it: letters and digits, in one case.
pub fn folded(name: &[u8]) -> String {
    name.iter().filter(|b| b.is_ascii_alphanumeric()).map(|b| char::from(b.to_ascii_lowercase())).collect()
}
