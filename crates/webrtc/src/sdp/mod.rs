//! Session descriptions of WebRTC (RFC 8829, RFC 8866): reading theirs, writing ours.

mod read;
mod write;

pub(crate) use read::{Audio, Description, Setup};
pub(crate) use write::{Line, Ours, write};
