//! The WebSocket application protocol: one text frame, one JSON object. This server dials the application, with the
//! subprotocol [`SUBPROTOCOL`].

mod command;
mod incoming;
mod outgoing;

pub use crate::answer::Answer;
pub use incoming::{Command, Frame, FrameError, LARGEST_FRAME, read};
pub use outgoing::{Envelope, MessageType};

/// The subprotocol of applications.
pub const SUBPROTOCOL: &str = "ws.jambonz.org";

#[cfg(test)]
mod tests;
