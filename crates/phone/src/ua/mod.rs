//! A small SIP user agent (RFC 3261) of its own: messages, digest, transports, transactions, dialogs. It shares nothing with the server's
//! stack on purpose, so that a fault there is not mirrored here.

pub mod dialog;
pub mod digest;
pub mod endpoint;
pub mod message;
pub mod sdp;
pub mod transport;

use rand::RngExt as _;

/// A random token of letters and digits, for tags, branches and call identifiers.
pub fn token(length: usize) -> String {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..length).map(|_| char::from(LETTERS.get(rng.random_range(0..LETTERS.len())).copied().unwrap_or(b'x'))).collect()
}
