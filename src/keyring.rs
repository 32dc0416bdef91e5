//! A tenant's keys: each with its one algorithm and its dates.

use std::fmt;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::SHA256,
    encoding::{AsDer, PublicKeyX509Der},
    signature::{
        ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaSubjectPublicKey,
        VerificationAlgorithm,
    },
};
use jsonwebtoken::{Algorithm, DecodingKey};
use zeroize::Zeroizing;

use crate::{
    secret::{Secret, random},
    time::UnixTime,
};

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
    /// A public key: its algorithm, and its fingerprint.
    Public(PublicAlgorithm, Fingerprint),
}

/// SHA-256 of a public key's SubjectPublicKeyInfo in DER (RFC 5280 section 4.1): the same for each spelling of the key, be it
/// PKCS#1, SPKI or a certificate, with other line ends or comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// The algorithms of public keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicAlgorithm {
    Rs256,
    Es256,
    EdDsa,
}

/// The block of SHA-256, in bytes.
const HMAC_BLOCK: usize = 64;

impl PublicAlgorithm {
    /// All of them, by their JWA names (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub const NAMES: [(&str, Self); 3] = [("RS256", Self::Rs256), ("ES256", Self::Es256), ("EdDSA", Self::EdDsa)];

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::EdDsa => &ED25519,
        }
    }
}

impl Key {
    /// An HS256 key; its secret is at least [`Secret::LEAST`] bytes, which the configuration has checked.
    pub fn shared(id: &str, secret: Secret) -> Self {
        // Done once here, so that a verification takes the same time for every key.
        let decoding = DecodingKey::from_secret(&*hmac_block(&secret));
        Self::new(id, Material::Shared(secret), decoding)
    }

    /// A public key from PEM text; `None` when the PEM holds no key of that algorithm.
    pub fn public(id: &str, algorithm: PublicAlgorithm, pem: &Zeroizing<Vec<u8>>) -> Option<Self> {
        let decoding = match algorithm {
            PublicAlgorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
            PublicAlgorithm::Es256 => DecodingKey::from_ec_pem(pem),
            PublicAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        };
        let decoding = decoding.ok()?;
        // Read as it will be at each verification: another curve or a short modulus is found here.
        let parsed = ParsedPublicKey::new(algorithm.verification(), decoding.try_get_as_bytes().ok()?).ok()?;
        if algorithm == PublicAlgorithm::Rs256 && !is_long_enough(&parsed) {
            return None;
        }
        let der: PublicKeyX509Der<'_> = parsed.as_der().ok()?;
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, der.as_ref()).as_ref());
        Some(Self::new(id, Material::Public(algorithm, Fingerprint(fingerprint)), decoding))
    }

    /// What tells a public key from others, whatever its id and spelling.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        match self.material {
            Material::Shared(_) => None,
            Material::Public(_, fingerprint) => Some(fingerprint),
        }
    }

    fn new(id: &str, material: Material, decoding: DecodingKey) -> Self {
        Self { id: id.to_owned(), material, not_before: None, not_after: None, decoding }
    }

    fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Shared(_) => Algorithm::HS256,
            Material::Public(PublicAlgorithm::Rs256, _) => Algorithm::RS256,
            Material::Public(PublicAlgorithm::Es256, _) => Algorithm::ES256,
            Material::Public(PublicAlgorithm::EdDsa, _) => Algorithm::EdDSA,
        }
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
            (Material::Public(algorithm, one), Material::Public(other_algorithm, other)) => {
                one == other && algorithm == other_algorithm
            }
            _ => false,
        }
    }

    /// Whether `signature` (base64url) over `message` is this key's.
    pub(crate) fn signed(&self, message: &[u8], signature: &str) -> bool {
        is_signed(message, signature, &self.decoding, self.algorithm())
    }
}

/// The key that HMAC-SHA256 makes of a secret: it hashes one that is longer than a block, and fills up a shorter one with zeros (RFC
/// 2104 section 2). Secrets with the same block are the same key.
pub fn hmac_block(secret: &Secret) -> Zeroizing<[u8; HMAC_BLOCK]> {
    let mut block = Zeroizing::new([0; HMAC_BLOCK]);
    let given = secret.expose();
    if given.len() > HMAC_BLOCK {
        let digest = aws_lc_rs::digest::digest(&SHA256, given);
        block[..digest.as_ref().len()].copy_from_slice(digest.as_ref());
    } else {
        block[..given.len()].copy_from_slice(given);
    }
    block
}

/// Every verification of a token's signature.
fn is_signed(message: &[u8], signature: &str, key: &DecodingKey, algorithm: Algorithm) -> bool {
    #[cfg(test)]
    made::add();
    matches!(jsonwebtoken::crypto::verify(signature, message, key, algorithm), Ok(true))
}

/// How many verifications this thread has made: a count shows what a clock only makes likely.
#[cfg(test)]
pub(crate) mod made {
    use std::cell::Cell;

    thread_local!(static MADE: Cell<usize> = const { Cell::new(0) });

    pub(super) fn add() {
        MADE.set(MADE.get() + 1);
    }

    /// Those of an action.
    pub(crate) fn by<T>(action: impl FnOnce() -> T) -> (T, usize) {
        let before = MADE.get();
        let result = action();
        (result, MADE.get() - before)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.id, self.algorithm_name())
    }
}

/// Whether an RSA key has the 2048 bits (RFC 7518 section 3.3) to 8192 without which each verification fails.
fn is_long_enough(key: &ParsedPublicKey) -> bool {
    // RSAPublicKey (RFC 8017 appendix A.1.1) is a sequence that begins with the modulus, a positive integer: where its first
    // bit is set, a zero byte goes before.
    let Ok(key) = RsaSubjectPublicKey::from_der(key.as_ref()) else { return false };
    match key.as_ref() {
        [0x30, 0x82, _, _, 0x02, 0x82, high, low, ..] => (257..=1025).contains(&u16::from_be_bytes([*high, *low])),
        _ => false,
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

/// How many verifications each refused token costs, whatever it was refused for: as many as the longest way to a refusal takes. Were
/// it fewer for some, the time of a refusal would tell which tenants there are, how many keys they have and how those are named.
///
/// It depends on the `alg` that the token names, which its sender knows, and on the configuration as a whole.
#[derive(Debug)]
pub struct Effort {
    shares: Vec<Share>,
    /// Looked through where a token names no tenant whose keys could be.
    stand_in: KeyRing,
}

/// What is due for one algorithm.
struct Share {
    algorithm: Algorithm,
    name: &'static str,
    due: usize,
    /// With which the rest is done, in turn: one key tried again and again would be quicker than as many keys.
    keys: Vec<Key>,
}

impl Effort {
    /// What is due when a token is tried under one of the rings, and then under another to see whether it is that one's.
    pub fn of<'k>(rings: impl IntoIterator<Item = &'k KeyRing>) -> Self {
        let random = || Key::shared("", Secret::new(random::<32>().to_vec()));
        let stand_in = KeyRing(vec![random()]);
        // The first is for an `alg` that no key has, too.
        let mut shares: Vec<Share> = stand_in.0.iter().map(|key| Share::of(key, 1)).collect();
        for ring in rings {
            for key in &ring.0 {
                let name = key.algorithm_name();
                let count = ring.0.iter().filter(|other| other.algorithm_name() == name).count();
                match shares.iter_mut().find(|share| share.name == name) {
                    Some(share) => share.due = share.due.max(count),
                    None => shares.push(Share::of(key, count)),
                }
            }
        }
        for share in &mut shares {
            share.due *= 2;
            if share.algorithm == Algorithm::HS256 {
                share.keys = (0..share.due).map(|_| random()).collect();
            }
        }
        Self { shares, stand_in }
    }

    /// Keys that sign nothing: what they say of a token is no answer.
    pub fn stand_in(&self) -> &KeyRing {
        &self.stand_in
    }

    /// Makes the verifications that are due and not `done` yet, for nothing.
    pub(crate) fn complete(&self, alg: Option<&str>, done: usize, message: &[u8], signature: &str) {
        let named = self.shares.iter().find(|share| alg == Some(share.name));
        let Some(share) = named.or_else(|| self.shares.first()) else {
            return;
        };
        for key in share.keys.iter().cycle().take(share.due.saturating_sub(done)) {
            std::hint::black_box(key.signed(message, signature));
        }
    }
}

impl Share {
    fn of(key: &Key, due: usize) -> Self {
        let material = match &key.material {
            Material::Shared(_) => Material::Shared(Secret::new(Vec::new())),
            Material::Public(algorithm, digest) => Material::Public(*algorithm, *digest),
        };
        let keys = vec![Key::new(&key.id, material, key.decoding.clone())];
        Self { algorithm: key.algorithm(), name: key.algorithm_name(), due, keys }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({} {})", self.due, self.name)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    #[test]
    fn secrets_that_hmac_takes_for_one_key_have_one_block() {
        let block = |secret: &[u8]| *hmac_block(&Secret::new(secret.to_vec()));
        let (short, long): (Vec<u8>, Vec<u8>) = ((0..32).collect(), (0..65).collect());
        let filled = |length: usize| [short.clone(), vec![0; length - short.len()]].concat();
        assert!(block(&short) == block(&filled(33)) && block(&short) == block(&filled(64)));
        assert_ne!(block(&short), block(&filled(65)), "that one is hashed");
        assert_eq!(block(&long), block(aws_lc_rs::digest::digest(&SHA256, &long).as_ref()));
        assert_ne!(block(&long), block(&long[..64]));
    }

    #[test]
    fn a_long_secret_signs_as_hmac_has_it() {
        for length in [32, 63, 64, 65, 200] {
            let secret: Vec<u8> = (0..length).collect();
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
            let signature = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, b"message"));
            assert!(Key::shared("k", Secret::new(secret)).signed(b"message", &signature), "{length}");
        }
    }
}
