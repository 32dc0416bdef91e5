//! The keys of tenants, from files and secrets, never from the configuration itself.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    reader::Section,
    secrets::{Owners, Purpose, read_file, read_others, secret},
};
use crate::{
    keyring::{Fingerprint, Key, KeyRing, PublicAlgorithm},
    tenant::Tenant,
    token::TokenRules,
};

/// The keys of a tenant.
pub fn tenant_keys(tenant: &Section<'_>, owners: &mut Owners) -> KeyRing {
    let sections = tenant.sections("keys");
    if sections.is_empty() && tenant.is_list_or_absent("keys") {
        tenant.problem("keys", format!("{} has no keys; add keys = [{{ id = \"…\", env = \"NAME\" }}]", tenant.name));
    }
    if sections.len() > KeyRing::MOST {
        tenant.problem("keys", format!("{} has more than {} keys; remove old ones", tenant.name, KeyRing::MOST));
    }
    let mut ids = HashSet::new();
    let keys: Vec<_> = sections.iter().filter_map(|section| tenant_key(section, tenant, &mut ids, owners)).collect();
    if let Some(now) = tenant.reader.now
        && keys.len() == sections.len()
        && !keys.is_empty()
        && !keys.iter().any(|key| key.is_valid(now))
    {
        tenant.warning(
            "keys",
            format!(
                "no key of {} is in force now, so that nobody can sign in; add one, or change not_before and not_after",
                tenant.name
            ),
        );
    }
    KeyRing(keys)
}

fn tenant_key<'r>(
    section: &Section<'r>,
    tenant: &Section<'_>,
    ids: &mut HashSet<&'r str>,
    owners: &mut Owners,
) -> Option<Key> {
    let id = key_id(section, ids);
    let algorithm = section.choice("algorithm", &algorithms());
    section.refuse("jwks_file", "jwks_file is not yet supported; name each key's PEM by public_key_file");
    section.offer("public_key_file");
    if section.has("public_key") {
        read_others(section);
        section.text("public_key_file");
    }
    section.refuse("public_key", "public_key is no key; name the PEM file, as public_key_file = \"….pem\"");
    let key = match algorithm.flatten() {
        _ if section.has("public_key") => None,
        Some(algorithm) => public_key(section, id.unwrap_or_default(), algorithm),
        None if section.has("public_key_file") && section.is_text("algorithm", "HS256") => {
            section.refuse(
                "public_key_file",
                "HS256 has a secret and no public key; write algorithm = \"RS256\", \"ES256\" or \"EdDSA\"",
            );
            None
        }
        None if section.has("public_key_file") && algorithm.is_none() => {
            section.text("public_key_file");
            section.problem(
                "public_key_file",
                "a public key needs its algorithm; add algorithm = \"RS256\", \"ES256\" or \"EdDSA\"",
            );
            None
        }
        None => secret(section).map(|secret| {
            owners.claim(section, &secret, &tenant.name, Purpose::Tokens);
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
        section.problem(
            "public_key_file",
            format!(
                "{} is not a PEM public key of that algorithm; name one of RSA with 2048 to 8192 bits for RS256, P-256 for \
                 ES256 or Ed25519 for EdDSA, in UTF-8",
                path.value
            ),
        );
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

/// Which tenants have which public key.
#[derive(Default)]
pub struct Holders(HashMap<Fingerprint, Shared>);

/// The tenants of one public key, and what each demands of its tokens; `None` where one demands nothing.
#[derive(Default)]
struct Shared {
    tenants: Vec<Arc<Tenant>>,
    claims: HashSet<Option<String>>,
    audiences: HashSet<Option<String>>,
    issuers: HashSet<Option<String>>,
}

impl Holders {
    /// Notes a tenant's public keys. An identity provider may sign for several tenants with one key, where each token says for
    /// which; else a token of one tenant signs in at the other.
    pub fn claim(&mut self, section: &Section<'_>, tenant: &Arc<Tenant>) {
        for key in &tenant.tokens.keys.0 {
            let Some(fingerprint) = key.fingerprint() else { continue };
            let shared = self.0.entry(fingerprint).or_default();
            if shared.tenants.last().is_some_and(|last| last.id == tenant.id) {
                section.warning("keys", format!("key {:?} is another key of {} too; remove one", key.id, section.name));
            } else if let Some(other) = shared.confused_with(tenant) {
                section.problem(
                    "keys",
                    format!(
                        "{} has the same public key as tenants.{}, and a token of one signs in at the other; map the same claim \
                         as claims.tenant of both, or give each an audience or an issuer of its own",
                        section.name, other.id
                    ),
                );
            } else {
                shared.add(tenant);
            }
        }
    }
}

impl Shared {
    fn add(&mut self, tenant: &Arc<Tenant>) {
        self.claims.insert(tenant.tokens.claims.tenant.clone());
        self.audiences.insert(tenant.tokens.audience.clone());
        self.issuers.insert(tenant.tokens.issuer.clone());
        self.tenants.push(tenant.clone());
    }

    /// A tenant for which a token of this one could be, or the other way round. Thousands may share a key, so that each is
    /// compared with each only where what they demand is of several kinds.
    fn confused_with(&self, tenant: &Tenant) -> Option<&Arc<Tenant>> {
        let rules = &tenant.tokens;
        let is_new = |known: &HashSet<Option<String>>, mark: &Option<String>| {
            mark.is_some() && !known.contains(mark) && !known.contains(&None)
        };
        let is_claimed = rules.claims.tenant.is_some() && self.claims.iter().all(|claim| *claim == rules.claims.tenant);
        if is_claimed || is_new(&self.audiences, &rules.audience) || is_new(&self.issuers, &rules.issuer) {
            return None;
        }
        self.tenants.iter().find(|other| !are_told_apart(&other.tokens, rules))
    }
}

/// Whether no token can be for both: one claim holds one tenant, one `iss` one issuer. Of two audiences a token may name both,
/// which its signer must then mean.
fn are_told_apart(one: &TokenRules, other: &TokenRules) -> bool {
    let differ = |one: &Option<String>, other: &Option<String>| one.is_some() && other.is_some() && one != other;
    (one.claims.tenant.is_some() && one.claims.tenant == other.claims.tenant)
        || differ(&one.audience, &other.audience)
        || differ(&one.issuer, &other.issuer)
}
