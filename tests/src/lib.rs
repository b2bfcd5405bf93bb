//! What the whole-system tests work with: the built server, programs that it asks, official libraries, phones, and ears.
//!
//! Nothing here sleeps to wait for something: every wait is for an event and has a deadline, and a missed deadline panics with
//! what did happen. Servers, programs and tools are children of the test process and are ended by their own handles.

#![forbid(unsafe_code)]

pub mod browser;
pub mod capture;
pub mod ears;
pub mod jambonz;
pub mod log;
pub mod model;
pub mod native;
pub mod node;
pub mod office;
pub mod plivo_rest;
pub mod ports;
pub mod program;
pub mod server;
pub mod tool;

use std::time::Duration;

/// Deadline for whatever should take milliseconds: generous, because the machine may be busy.
pub const SOON: Duration = Duration::from_secs(15);
/// Deadline for what may take a whole retransmission or retry cycle.
pub const LATER: Duration = Duration::from_secs(60);
