//! Randomness that nobody can guess: the library's generator is ChaCha, seeded by the system.

/// `ice-char` of RFC 8839 §5.4: 64 of them, so that six random bits make one.
const ICE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// So many ICE characters, six random bits each; at most 32.
pub(crate) fn ice_characters(count: usize) -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().take(count).map(|byte| char::from(ICE[usize::from(byte & 63)])).collect()
}

/// A number for a session's `o=` line: 62 bits, as browsers ask.
pub(crate) fn session_id() -> u64 {
    rand::random::<u64>() >> 2
}
