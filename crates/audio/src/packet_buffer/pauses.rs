//! Pauses of the sender (discontinuous transmission). In a pause nothing is lost and nothing may be made up.
//!
//! A browser says with a packet of one byte that it pauses, then sends a single frame of background noise every 400 ms. Packets of a pause
//! follow each other in sequence while their timestamps jump; after a loss the sequence jumps as well.

use super::waiting::WaitingPacket;
use crate::level::rms_dbfs;

/// A single frame in a pause below this is background noise, dBFS.
const COMFORT: f32 = -40.0;

#[derive(Debug, Clone, Default)]
pub(super) struct Pauses {
    pausing: bool,
    /// Sequence number and end of the last packet decoded.
    last: Option<(u16, i64)>,
}

impl Pauses {
    /// Whether the sender was last heard to pause.
    pub(super) fn is_pausing(&self) -> bool {
        self.pausing
    }

    /// The sender was found to pause.
    pub(super) fn begin(&mut self) {
        self.pausing = true;
    }

    /// Whether the sender paused before `next`, or pauses now if nothing waits.
    pub(super) fn covers(&self, next: Option<&WaitingPacket>) -> bool {
        let follows =
            |packet: &WaitingPacket| self.last.is_some_and(|(sequence, _)| packet.sequence == sequence.wrapping_add(1));
        self.pausing || next.is_some_and(follows)
    }

    /// A packet was decoded; `pause`: it says that its sender pauses; `next`: the one waiting behind it and whether that is a pause.
    /// Answers whether it is silence to the ear: a pause, or a single frame of background noise in one.
    pub(super) fn decoded(
        &mut self,
        packet: &WaitingPacket,
        pause: bool,
        next: Option<(&WaitingPacket, bool)>,
        samples: &[i16],
    ) -> bool {
        let follows = self.last.is_some_and(|(_, end)| packet.start <= end);
        let was_pausing = self.pausing;
        self.last = Some((packet.sequence, packet.end()));
        if pause {
            self.pausing = true;
            return true;
        }
        let goes_on = next.is_some_and(|(next, pause)| !pause && next.start <= packet.end());
        let single = was_pausing && !packet.marker && !follows && !goes_on;
        let comfort = single && rms_dbfs(samples) < COMFORT;
        self.pausing = comfort;
        comfort
    }
}
