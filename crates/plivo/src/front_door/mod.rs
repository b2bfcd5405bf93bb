//! The front door: official SDKs have no setting for the server they talk to, but all can be led here, by a proxy variable or a name's
//! address. So this listener answers as `api.plivo.com`, with a certificate of a local authority, on one port: TLS at once, TLS inside
//! `CONNECT`, and plain HTTP with absolute or ordinary targets.

mod authority;
mod listener;

pub use authority::{Authority, AuthorityError, AuthorityStore, MemoryStore};
pub use listener::{FrontDoor, Limits, serve};

/// The name that the SDKs ask for.
pub const API_HOST: &str = "api.plivo.com";
