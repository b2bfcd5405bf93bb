//! The seam to a dialect's protocol.

use std::time::Duration;

use super::{Ask, Farewell, NoAnswer, Tell};
use crate::http::HttpError;
use crate::verb::BasicAuth;

/// A dialect's protocol with one call's program, sans-IO: inputs are told, time is an argument, outputs are polled after
/// each input until there are none.
pub trait Protocol: Send {
    /// The subprotocol to offer.
    fn subprotocol(&self) -> &'static str;
    /// Longest message that is read, bytes.
    fn largest(&self) -> usize;
    /// The connection is there.
    fn connected(&mut self, now: Duration);
    /// The connection could not be made.
    fn failed(&mut self, error: &HttpError, now: Duration);
    /// A text message came.
    fn received(&mut self, text: &str, now: Duration);
    /// A binary message of so many bytes came.
    fn received_binary(&mut self, bytes: usize, now: Duration);
    /// The connection is over, with this close code if there was one.
    fn closed(&mut self, code: Option<u16>, now: Duration);
    /// Asks for instructions. Every question is answered once.
    fn ask(&mut self, ask: Ask, now: Duration);
    /// Tells something.
    fn tell(&mut self, tell: Tell, now: Duration);
    /// The link ends on our side, as soon as all is said.
    fn end(&mut self, farewell: Farewell, now: Duration);
    /// The next instant at which [`Protocol::handle_timeout`] has something to do.
    fn next_timeout(&self) -> Option<Duration>;
    /// Time has passed.
    fn handle_timeout(&mut self, now: Duration);
    /// What to do next, if anything.
    fn poll(&mut self) -> Option<Output>;
}

/// What a protocol wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Connect (again).
    Connect {
        /// `ws` or `wss` URL.
        url: String,
        /// Credentials.
        auth: Option<BasicAuth>,
    },
    /// Send this text.
    Send(String),
    /// The answer to [`Protocol::ask`]: a document, nothing new, or none.
    Answered(u64, Result<Option<String>, NoAnswer>),
    /// The program commands something; see [`super::Event::Command`].
    Command {
        /// Of which call.
        call: Option<String>,
        /// The frame.
        frame: String,
    },
    /// A message was left out; it is counted.
    Dropped,
    /// See [`super::Event::Left`].
    Left,
    /// See [`super::Event::Lost`].
    Lost(String),
    /// The link is over: close the connection, if there is one, with this code. Always the last.
    Close(u16),
}
