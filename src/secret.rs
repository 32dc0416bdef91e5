//! Secrets: wiped when dropped, printed as `****`. Nothing here compares them: signatures and seals are checked by
//! aws-lc-rs, in constant time.

use std::fmt;

use aws_lc_rs::rand;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Key material. 32 bytes is the least that HS256 (RFC 7518 section 3.2) and the session seal take.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// The least length of a key, in bytes.
    pub const LEAST: usize = 32;

    /// Takes over the bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the cryptography alone.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// `N` bytes from the system's random source.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("a system without randomness cannot serve");
    bytes
}

/// A fresh 32-byte secret as base64url text (43 characters), for `vestibule secret` and `init`.
pub fn generate() -> Zeroizing<String> {
    let bytes = Zeroizing::new(random::<32>());
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let secret = Secret::new(b"correct horse battery staple 123".to_vec());
        assert_eq!(format!("{secret:?}"), "****");
    }

    #[test]
    fn generated_secrets_are_43_characters_and_differ() {
        assert_eq!(generate().len(), 43);
        assert_ne!(*generate(), *generate());
    }
}
