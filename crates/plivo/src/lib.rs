//! The Plivo dialect: documents, requests, callbacks, signatures, REST, and the front door by which unmodified SDKs find this
//! server.
//!
//! [`Plivo`] is the dialect as the engine sees it, [`router`] the REST interface, [`front_door`] the listener that answers as
//! `api.plivo.com`. What is supported, and every decision on facts that Plivo does not document, is in `docs/plivo.md`.

#![forbid(unsafe_code)]

mod callbacks;
mod cause;
mod clock;
pub mod connection;
pub mod control;
pub mod delivery;
mod dialect;
pub mod front_door;
mod parameters;
pub mod records;
mod rest;
mod settings;
pub mod signature;
mod value;
pub mod xml;

pub use dialect::Plivo;
pub use rest::{Api, RATE, Rate, not_found, router};
pub use settings::MOST_PARTICIPANTS;
