//! Media of a phone: one thread sends and receives for every line of the process.
//!
//! A [`Line`] is an even/odd UDP port pair. What it says is a [`Mouth`], what it receives is kept by an [`Ear`]. Sending follows absolute
//! deadlines 20 ms apart on the monotonic clock, so a line neither drifts nor bunches; after a stall of more than 200 ms the missed frames
//! are skipped (timestamps jump, marker set) and counted.
//!
//! Sockets are polled: every 250 µs with up to 8 lines, then every 31 µs per line (1 ms at 32), and with more than 160 lines each line only at its own
//! 20 ms deadline. That interval is the accuracy of an arrival time; [`set_poll_interval`] overrides it.

mod ear;
mod engine;
mod line;
mod mouth;
mod outgoing;

pub use ear::{Ear, EarCounters};
pub use engine::{poll_interval, set_poll_interval};
pub use line::{Line, LineError, LineOptions, Misbehave, Remote, SentCounters, Switched};
pub use mouth::Mouth;
