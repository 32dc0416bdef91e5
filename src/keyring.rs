//! A tenant's keys: each with its one algorithm and its dates.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest::SHA256};
use jsonwebtoken::{Algorithm, DecodingKey};
use zeroize::Zeroizing;

use crate::{secret::Secret, time::UnixTime};

/// A key that widget tokens are verified with.
pub struct Key {
    pub id: String,
    pub material: Material,
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
    decoding: DecodingKey,
}

/// What a key is made of. The algorithm belongs to the key, never to the token (RFC 8725 section 3.1).
#[derive(Debug)]
pub enum Material {
    /// HS256.
    Shared(Secret),
    /// A public key: its algorithm, and the SHA-256 of its PEM.
    Public(PublicAlgorithm, [u8; 32]),
}

/// The algorithms of public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicAlgorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl PublicAlgorithm {
    /// All of them, by their JWA names (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub const NAMES: [(&str, Self); 3] = [("RS256", Self::Rs256), ("ES256", Self::Es256), ("EdDSA", Self::EdDsa)];
}

impl Key {
    /// An HS256 key; its secret is at least [`Secret::LEAST`] bytes, which the configuration has checked.
    pub fn shared(id: &str, secret: Secret) -> Self {
        let decoding = DecodingKey::from_secret(secret.expose());
        Self::new(id, Material::Shared(secret), decoding)
    }

    /// A public key from PEM text; `None` when the PEM holds no key of that algorithm.
    pub fn public(id: &str, algorithm: PublicAlgorithm, pem: &Zeroizing<Vec<u8>>) -> Option<Self> {
        let decoding = match algorithm {
            PublicAlgorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
            PublicAlgorithm::Es256 => DecodingKey::from_ec_pem(pem),
            PublicAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, pem).as_ref());
        Some(Self::new(id, Material::Public(algorithm, digest), decoding.ok()?))
    }

    fn new(id: &str, material: Material, decoding: DecodingKey) -> Self {
        Self { id: id.to_owned(), material, not_before: None, not_after: None, decoding }
    }

    /// The `alg` this key's tokens must have, to the letter.
    pub fn algorithm_name(&self) -> &'static str {
        match self.material {
            Material::Shared(_) => "HS256",
            Material::Public(PublicAlgorithm::Rs256, _) => "RS256",
            Material::Public(PublicAlgorithm::Es256, _) => "ES256",
            Material::Public(PublicAlgorithm::EdDsa, _) => "EdDSA",
        }
    }

    /// Whether `now` is within the key's dates. Both ends are exact: rotation has no leeway.
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.not_before.is_none_or(|from| now >= from) && self.not_after.is_none_or(|end| now < end)
    }

    /// Whether another of that id, perhaps of an earlier configuration, is this very key.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.material, &other.material) {
            (Material::Shared(one), Material::Shared(other)) => {
                verify_slices_are_equal(one.expose(), other.expose()).is_ok()
            }
            (Material::Public(_, one), Material::Public(_, other)) => one == other,
            _ => false,
        }
    }

    /// Whether `signature` (base64url) over `message` is this key's.
    pub(crate) fn signed(&self, message: &[u8], signature: &str) -> bool {
        let algorithm = match self.material {
            Material::Shared(_) => Algorithm::HS256,
            Material::Public(PublicAlgorithm::Rs256, _) => Algorithm::RS256,
            Material::Public(PublicAlgorithm::Es256, _) => Algorithm::ES256,
            Material::Public(PublicAlgorithm::EdDsa, _) => Algorithm::EdDSA,
        };
        matches!(jsonwebtoken::crypto::verify(signature, message, &self.decoding, algorithm), Ok(true))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.id, self.algorithm_name())
    }
}

/// A tenant's keys, in the configuration's order.
#[derive(Debug)]
pub struct KeyRing(pub Vec<Key>);

impl KeyRing {
    /// The most keys a tenant may have: a token without `kid` is tried against each.
    pub const MOST: usize = 10;

    /// The keys a token naming this `kid`, or none, may have been signed with.
    pub fn candidates<'k>(&'k self, kid: Option<&str>) -> impl Iterator<Item = &'k Key> {
        self.0.iter().filter(move |key| kid.is_none_or(|kid| key.id == kid))
    }
}
