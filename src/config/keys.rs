//! Secrets and keys, from the environment or from files, never from the configuration itself.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::reader::Section;
use crate::{
    keyring::{Key, KeyRing, PublicAlgorithm},
    secret::Secret,
};

/// Whose a secret is, by its digest, so that no two tenants share one.
#[derive(Default)]
pub struct Owners(HashMap<[u8; 32], String>);

impl Owners {
    /// Notes that `owner` uses a secret.
    pub fn claim(&mut self, section: &Section<'_>, secret: &Secret, owner: &str) {
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, secret.expose()).as_ref());
        let first = self.0.entry(fingerprint).or_insert_with(|| owner.to_owned());
        if first != owner {
            section.reader.report(
                section.at,
                format!("{owner} has the same secret as {first}; make another with `vestibule secret`, or each could sign for the other"),
            );
        }
    }
}

const SOURCES: &str = "write { env = \"NAME\" } or { file = \"path\" }";

/// The fewest different bytes in a secret. 32 random ones never have as few; a row of spaces or equals signs has one.
const LEAST_DISTINCT: usize = 8;

/// A secret of at least 32 bytes: `{ env | file, format }`.
pub fn secret(section: &Section<'_>) -> Option<Secret> {
    let bytes = secret_bytes(section)?;
    let key = if section.has("env") { "env" } else { "file" };
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
    Some(Secret::new(bytes))
}

/// A password that another program chose, of any length: `{ env | file, format }`.
pub fn password(section: &Section<'_>) -> Option<Secret> {
    let bytes = secret_bytes(section)?;
    if bytes.is_empty() || std::str::from_utf8(&bytes).is_err() {
        section.reader.report(section.at, format!("{} is empty or no text; check what it names", section.name));
        return None;
    }
    Some(Secret::new(bytes))
}

fn secret_bytes(section: &Section<'_>) -> Option<Vec<u8>> {
    let (env, file) = (section.text("env"), section.text("file"));
    let format = section.choice("format", &FORMATS).unwrap_or(Format::Text);
    let text = match (env, file) {
        (Some(name), None) => match (section.reader.env)(name.value) {
            Some(text) => Zeroizing::new(text.into_bytes()),
            None => {
                section
                    .problem("env", format!("environment variable {} is not set; export it, or {SOURCES}", name.value));
                return None;
            }
        },
        (None, Some(path)) => read_file(section, "file", path.value)?,
        _ => {
            section.reader.report(section.at, format!("{} needs one source; {SOURCES}", section.name));
            return None;
        }
    };
    let key = if section.has("env") { "env" } else { "file" };
    let Some(bytes) = decode(&text, format) else {
        section.problem(key, format!("{} does not hold the format it is said to have; check `format`", section.name));
        return None;
    };
    Some(bytes)
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
            section.problem(
                key,
                format!("{path} cannot be read: {e}; relative paths start at the configuration's folder"),
            );
            None
        }
    }
}

/// The keys of a tenant.
pub fn tenant_keys(tenant: &Section<'_>, owners: &mut Owners) -> KeyRing {
    let sections = tenant.sections("keys");
    if sections.is_empty() {
        tenant.problem("keys", format!("{} has no keys; add keys = [{{ id = \"…\", env = \"NAME\" }}]", tenant.name));
    }
    if sections.len() > KeyRing::MOST {
        tenant.problem("keys", format!("{} has more than {} keys; remove old ones", tenant.name, KeyRing::MOST));
    }
    let mut ids = HashSet::new();
    KeyRing(sections.iter().filter_map(|section| tenant_key(section, tenant, &mut ids, owners)).collect())
}

fn tenant_key<'r>(
    section: &Section<'r>,
    tenant: &Section<'_>,
    ids: &mut HashSet<&'r str>,
    owners: &mut Owners,
) -> Option<Key> {
    let id = key_id(section, ids);
    let algorithm = section.choice("algorithm", &algorithms());
    section.not_yet("jwks_file");
    let key = match algorithm.flatten() {
        Some(algorithm) => public_key(section, id.unwrap_or_default(), algorithm),
        None if section.has("public_key_file") && algorithm.is_none() => {
            section.text("public_key_file");
            section.problem(
                "public_key_file",
                "a public key needs its algorithm; add algorithm = \"RS256\", \"ES256\" or \"EdDSA\"",
            );
            None
        }
        None => secret(section).map(|secret| {
            owners.claim(section, &secret, &tenant.name);
            Key::shared(id.unwrap_or_default(), secret)
        }),
    };
    let (not_before, not_after) = (section.moment("not_before"), section.moment("not_after"));
    if let (Some(from), Some(end)) = (not_before, not_after)
        && from >= end
    {
        section.problem("not_after", format!("{} ends before it starts; swap not_before and not_after", section.name));
    }
    let mut key = key?;
    (key.not_before, key.not_after) = (not_before, not_after);
    Some(key)
}

/// HS256 stands beside the public ones as "no public key".
fn algorithms() -> Vec<(&'static str, Option<PublicAlgorithm>)> {
    let public = PublicAlgorithm::NAMES.map(|(name, algorithm)| (name, Some(algorithm)));
    std::iter::once(("HS256", None)).chain(public).collect()
}

fn public_key(section: &Section<'_>, id: &str, algorithm: PublicAlgorithm) -> Option<Key> {
    let Some(path) = section.text("public_key_file") else {
        section.problem("algorithm", format!("{} has no public key; add public_key_file = \"….pem\"", section.name));
        return None;
    };
    let pem = read_file(section, "public_key_file", path.value)?;
    let key = Key::public(id, algorithm, &pem);
    if key.is_none() {
        section.problem("public_key_file", format!("{} is not a PEM public key of that algorithm", path.value));
    }
    key
}

/// The id of a key: given once, and not twice.
pub fn key_id<'r>(section: &Section<'r>, ids: &mut HashSet<&'r str>) -> Option<&'r str> {
    match section.text("id") {
        Some(id) if id.value.is_empty() => section.problem("id", format!("{}.id is empty; name the key", section.name)),
        Some(id) if !ids.insert(id.value) => {
            section.problem("id", format!("key id {:?} is there twice; give each its own", id.value));
        }
        Some(id) => return Some(id.value),
        None if section.has("id") => {}
        None => section.problem("id", format!("{} has no id; name the key, as id = \"2026-11\"", section.name)),
    }
    None
}
