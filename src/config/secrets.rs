//! Secrets, from the environment or from files, never from the configuration itself.

use std::{
    collections::{HashMap, HashSet},
    fs::Metadata,
    io,
    os::unix::fs::MetadataExt,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::{
    around::{around, core, is_utf16},
    reader::Section,
};
use crate::{keyring::hmac_block, secret::Secret};

/// Whose a secret is, by its digests: each has one use.
#[derive(Default)]
pub struct Owners(HashMap<[u8; 32], Owner>);

#[derive(Clone, PartialEq, Eq)]
struct Owner {
    name: String,
    /// Where it was named.
    section: String,
    purpose: Purpose,
}

/// What a secret is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs tokens, by HMAC-SHA256.
    Tokens,
    /// Seals sessions.
    Sessions,
    /// Lets its holder in somewhere.
    Login,
}

impl Owners {
    /// Notes that `owner` uses a secret. What surrounds it does not make it another.
    pub fn claim(&mut self, section: &Section<'_>, secret: &Secret, owner: &str, purpose: Purpose) {
        let claimant = Owner { name: owner.to_owned(), section: section.name.clone(), purpose };
        let mut others: Vec<Owner> = Vec::new();
        for fingerprint in fingerprints(secret, purpose) {
            let first = self.0.entry(fingerprint).or_insert_with(|| claimant.clone());
            if *first != claimant && !others.contains(first) {
                others.push(first.clone());
            }
        }
        for first in &others {
            claimant.tell(section, first);
        }
    }
}

impl Owner {
    /// Says that this owner has the secret of another, or the same twice.
    fn tell(&self, section: &Section<'_>, first: &Self) {
        let Self { name: owner, purpose, .. } = self;
        if first.name == *owner {
            section.reader.warn(
                section.at,
                format!("{} is the same secret as {}; remove one of them", section.name, first.section),
            );
        } else if first.purpose != Purpose::Login && *purpose != Purpose::Login {
            section.reader.report(
                section.at,
                format!("{owner} has the same secret as {}; make another with `vestibule secret`, or each could sign for the other", first.name),
            );
        } else {
            section.reader.warn(
                section.at,
                format!(
                    "{owner} has the same secret as {}, so whoever knows it for the one has the other; make another with \
                     `vestibule secret`",
                    first.name
                ),
            );
        }
    }
}

/// By what a secret is known again: its bytes, for every purpose; and for HMAC the block that it makes of them, because K and K with
/// zeros behind it, or a long K and its SHA-256, are one key.
fn fingerprints(secret: &Secret, purpose: Purpose) -> impl Iterator<Item = [u8; 32]> {
    let of = |bytes: &[u8]| {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, bytes).as_ref());
        fingerprint
    };
    let block = (purpose == Purpose::Tokens).then(|| of(&*hmac_block(secret)));
    std::iter::once(of(core(secret.expose()))).chain(block)
}

const SOURCES: &str = "write { env = \"NAME\" } or { file = \"path\" }";

/// What people call a secret that they write down here.
const INLINE: [&str; 5] = ["secret", "value", "key", "password", "token"];

/// What people call the file of a secret.
const FILES: [&str; 4] = ["secret_file", "key_file", "path", "filename"];

/// The fewest different bytes in a secret. 32 random ones never have as few; a row of spaces or equals signs has one.
const LEAST_DISTINCT: usize = 8;

/// A secret of at least 32 bytes: `{ env | file, format }`.
pub fn secret(section: &Section<'_>) -> Option<Secret> {
    let Found { bytes, around } = find(section)?;
    let key = source(section);
    if bytes.len() < Secret::LEAST {
        let length = bytes.len();
        section.problem(
            key,
            format!(
                "{} has {length} bytes, fewer than {}; make one with `vestibule secret`",
                section.name,
                Secret::LEAST
            ),
        );
        return None;
    }
    if bytes.iter().collect::<HashSet<_>>().len() < LEAST_DISTINCT {
        section.problem(
            key,
            format!("{} is no secret, it repeats itself; make one with `vestibule secret`", section.name),
        );
        return None;
    }
    if is_public_pem(&bytes) {
        section.problem(
            key,
            format!(
                "{} is a public key, which everybody may know; write algorithm = \"RS256\", \"ES256\" or \"EdDSA\" and \
                 public_key_file",
                section.name
            ),
        );
        return None;
    }
    warn_of(around, section);
    Some(Secret::new(bytes))
}

/// A password that another program chose, of any length: `{ env | file, format }`.
pub fn password(section: &Section<'_>) -> Option<Secret> {
    let Found { bytes, around } = find(section)?;
    if bytes.is_empty() || std::str::from_utf8(&bytes).is_err() {
        section.reader.report(section.at, format!("{} is empty or no text; check what it names", section.name));
        return None;
    }
    warn_of(around, section);
    Some(Secret::new(bytes))
}

fn warn_of(around: Option<&str>, section: &Section<'_>) {
    if let Some(around) = around {
        section.warning(
            source(section),
            format!(
                "{} {around}, which counts as part of the secret and is hardly what others sign or log in with; remove it",
                section.name
            ),
        );
    }
}

/// A public key in HS256's place is the classic confusion of algorithms (RFC 8725 section 2.1), made by the operator.
fn is_public_pem(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE"]
        .iter()
        .any(|label| text.contains(&format!("-----BEGIN {label}-----")))
}

fn source(section: &Section<'_>) -> &'static str {
    if section.has("env") { "env" } else { "file" }
}

/// A secret as it was found.
struct Found {
    bytes: Vec<u8>,
    /// What stands around it in its source.
    around: Option<&'static str>,
}

/// Takes the keys of a secret as known where another one is refused: one problem is enough.
pub fn read_others(section: &Section<'_>) {
    for key in ["env", "file", "format"] {
        section.text(key);
    }
}

fn find(section: &Section<'_>) -> Option<Found> {
    if let Some(key) = INLINE.into_iter().find(|key| section.has(key)) {
        read_others(section);
        section.refuse(key, format!("{}.{key} is a secret in this file, where none may be; {SOURCES}", section.name));
        return None;
    }
    if let Some(key) = FILES.into_iter().find(|key| section.has(key)) {
        read_others(section);
        section.refuse(key, format!("{}.{key} is no key; write file for it", section.name));
        return None;
    }
    let (env, file) = (section.text("env"), section.text("file"));
    let format = section.choice("format", &FORMATS).unwrap_or(Format::Text);
    let text = match (env, file) {
        (Some(name), None) if name.value.is_empty() || name.value.contains(['=', '\0']) => {
            section.problem(
                "env",
                format!("{:?} is not the name of an environment variable; write env = \"NAME\"", name.value),
            );
            return None;
        }
        (Some(name), None) => match (section.reader.env)(name.value) {
            Some(text) => Zeroizing::new(text.into_bytes()),
            None => {
                let plain = name.value.trim_start_matches(['$', '{']).trim_end_matches('}');
                let remedy = if plain == name.value {
                    format!("export it, or {SOURCES}")
                } else {
                    format!("write the name alone: env = {plain:?}")
                };
                section.problem("env", format!("environment variable {} is not set; {remedy}", name.value));
                return None;
            }
        },
        (None, Some(path)) => secret_file(section, "file", path.value)?,
        _ => {
            section.reader.report(section.at, format!("{} needs one source; {SOURCES}", section.name));
            return None;
        }
    };
    let key = source(section);
    if is_utf16(&text) {
        section.problem(
            key,
            format!("{} is UTF-16 text, as PowerShell's > writes it; save it as ASCII or UTF-8", section.name),
        );
        return None;
    }
    let around = around(&text);
    match decode(&text, format) {
        Some(bytes) => Some(Found { bytes, around }),
        None => {
            let remedy = around.or_else(|| within(&text, format));
            let remedy = remedy.map_or("check `format`".to_owned(), |what| format!("it {what}: remove that"));
            section.problem(key, format!("{} does not hold the format it is said to have; {remedy}", section.name));
            None
        }
    }
}

/// What stands in a text and belongs to no text of that format.
fn within(text: &[u8], format: Format) -> Option<&'static str> {
    match format {
        Format::Hex if text.starts_with(b"0x") || text.starts_with(b"0X") => Some("begins with 0x"),
        Format::Text => None,
        _ if text.iter().any(|b| matches!(b, b'\r' | b'\n')) => Some("has a line break inside"),
        _ if text.iter().any(u8::is_ascii_whitespace) => Some("has white space inside"),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum Format {
    Text,
    Base64,
    Base64Url,
    Hex,
}

const FORMATS: [(&str, Format); 4] =
    [("text", Format::Text), ("base64", Format::Base64), ("base64url", Format::Base64Url), ("hex", Format::Hex)];

fn decode(text: &[u8], format: Format) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    match format {
        Format::Text => Some(text.to_vec()),
        Format::Base64 => GeneralPurpose::new(&alphabet::STANDARD, config).decode(text).ok(),
        Format::Base64Url => GeneralPurpose::new(&alphabet::URL_SAFE, config).decode(text).ok(),
        Format::Hex => {
            let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let pairs = text.chunks(2).map(|pair| match pair {
                [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
                _ => None,
            });
            pairs.collect()
        }
    }
}

/// A file with a secret in it, which is nobody else's to read.
pub fn secret_file(section: &Section<'_>, key: &'static str, path: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bytes = read_file(section, key, path)?;
    let about = std::fs::metadata(section.reader.folder.join(path)).ok();
    if let Some(about) = about.filter(|about| about.is_file() && is_open_to_others(about)) {
        let mode = about.mode() & 0o777;
        section.warning(
            key,
            format!("{path} holds a secret and has mode {mode:04o}, so that other users may read or change it; run chmod 600 {path}"),
        );
    }
    Some(bytes)
}

/// Where the file is another user's, its group may be the way by which this one reads it.
fn is_open_to_others(about: &Metadata) -> bool {
    let is_own = about.uid() == rustix::process::geteuid().as_raw();
    about.mode() & if is_own { 0o066 } else { 0o026 } != 0
}

/// A file named in the configuration, without the line end that editors and `echo` leave.
pub fn read_file(section: &Section<'_>, key: &'static str, path: &str) -> Option<Zeroizing<Vec<u8>>> {
    let file = section.reader.folder.join(path);
    let read = std::fs::read(&file).map(Zeroizing::new);
    section.reader.note(&file, read.as_ref().ok().map(|bytes| bytes.as_slice()));
    match read {
        Ok(mut bytes) => {
            for end in [b'\n', b'\r'] {
                if bytes.last() == Some(&end) {
                    bytes.pop();
                }
            }
            Some(bytes)
        }
        Err(e) => {
            section.problem(key, format!("{path} cannot be read: {e}; {}", remedy(&e)));
            None
        }
    }
}

/// What to do about a file of the configuration that cannot be read.
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "create it, or change the path: relative ones start at the configuration's folder",
        io::ErrorKind::PermissionDenied => {
            "let the user that Vestibule runs as read it and enter its folders (chown, chmod)"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => "name a file in a folder",
        _ => "see to its disk, or name another file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_why_a_file_cannot_be_read_has_its_remedy() {
        for (kind, said) in [
            (io::ErrorKind::NotFound, "relative ones start at the configuration's folder"),
            (io::ErrorKind::PermissionDenied, "let the user that Vestibule runs as read it"),
            (io::ErrorKind::IsADirectory, "name a file in a folder"),
            (io::ErrorKind::NotADirectory, "name a file in a folder"),
        ] {
            assert!(remedy(&kind.into()).contains(said), "{kind}");
        }
    }
}
