//! A supervisor's modes: named combinations of mute, coaching and takeover.

use crate::member::MemberId;

/// How a supervisor takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hears all, heard by nobody; coaching, so that an unmute cannot reach the customer.
    Monitor,
    /// Hears all, heard by its coach audience.
    Whisper,
    /// Hears all, heard by all.
    Barge,
    /// [`Mode::Barge`], and these agents are on hold until [`Mode::Stop`] or until the supervisor leaves. Their duty to
    /// end the room on exit passes to the supervisor for that time.
    Takeover(Agents),
    /// Gives a takeover back, then [`Mode::Monitor`].
    Stop,
}

/// Which agents a takeover sets aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agents {
    /// Every agent but the one who takes over; those who enter meanwhile too.
    All,
    /// These members.
    These(Vec<MemberId>),
}

/// A takeover in force. Its effects are computed from it, never stored: when it is gone, each agent's own hold, mute and
/// duty hold again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// Who took over.
    pub by: MemberId,
    /// Whom it sets aside.
    pub agents: Agents,
}
