//! Secrets: comparison in constant time, digests, and a wrapper that does not print itself.

use std::fmt;
use std::hint::black_box;

use md5::Md5;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

/// A recoverable secret.
///
/// It prints and serialises as `********`, so that it cannot reach a log line or an API answer by accident; it deserialises to
/// the real thing. Use [`Secret::reveal`] where the value itself is needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `candidate` is the secret, in a time that does not depend on where they differ.
    pub fn matches(&self, candidate: &str) -> bool {
        equal(self.0.as_bytes(), candidate.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("********")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("********")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// Whether two byte strings are equal, in a time that depends on neither's contents. Both are hashed first, so that lengths do not show.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    let difference = left.iter().zip(right.iter()).fold(0u8, |sum, (a, b)| black_box(sum | (a ^ b)));
    black_box(difference) == 0
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn sha256_hex(data: &[u8]) -> String {
    hex(&Sha256::digest(data))
}

/// A token, 32 random bytes in hexadecimal, and [`token_hash`] of it.
pub fn token() -> (Secret, String) {
    let mut random = [0u8; 32];
    rand::fill(&mut random);
    let token = hex(&random);
    let hash = token_hash(&token);
    (Secret::new(token), hash)
}

/// What is kept of a token: SHA-256, hexadecimal.
pub fn token_hash(token: &str) -> String {
    sha256_hex(token.as_bytes())
}

/// HA1 for digest authentication with MD5 (RFC 7616 §3.4.2): lower-case hexadecimal.
pub fn ha1_md5(username: &str, realm: &str, password: &str) -> String {
    hex(&Md5::digest(format!("{username}:{realm}:{password}")))
}

/// HA1 for digest authentication with SHA-256 (RFC 7616 §3.4.2): lower-case hexadecimal.
pub fn ha1_sha256(username: &str, realm: &str, password: &str) -> String {
    sha256_hex(format!("{username}:{realm}:{password}").as_bytes())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}
