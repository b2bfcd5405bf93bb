//! Taps: listeners without a leg. The tick puts a frame into a bounded ring; a task reads it whenever it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use crate::metrics::Counters;
use crate::plane::Shared;
use crate::player::FRAME;
use crate::{LegId, RoomId, TapId};

/// What a tap is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapOf {
    /// A room: it hears the buses that the room's plan names for it, silence while the plan does not name it, and gets a frame for
    /// every tick in which the room has legs.
    Room(RoomId),
    /// A leg, in whatever room or none, until the leg ends; a frame for every tick of the leg.
    Leg {
        /// The leg.
        leg: LegId,
        /// Whether it hears the leg's own sound: what is decoded from the far side, whatever mute or hold say.
        inbound: bool,
        /// Whether it hears what the leg's private players play (but those marked [`crate::Play::hidden`]), and the buses that the
        /// plan of the leg's room names for this tap.
        outbound: bool,
    },
}

/// What a new tap is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapSetup {
    /// What it is on.
    pub of: TapOf,
    /// Frames of 20 ms that may wait for the reader (held to 2 … 500); what does not fit is lost, and counted.
    pub capacity: usize,
}

impl TapSetup {
    /// A tap on a room that holds a second.
    #[must_use]
    pub fn room(room: RoomId) -> Self {
        Self { of: TapOf::Room(room), capacity: 50 }
    }

    /// A tap on a leg, both directions, that holds a second.
    #[must_use]
    pub fn leg(leg: LegId) -> Self {
        Self { of: TapOf::Leg { leg, inbound: true, outbound: true }, capacity: 50 }
    }
}

/// 20 ms of a tap, 8 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapFrame {
    /// Which tick, on one count for all taps of a plane; as [`crate::Applied::tick`], give or take one. Times 160: the position in
    /// samples. Ticks that were skipped, or did not fit, are missing.
    pub tick: u64,
    /// The leg's own sound. Silence of a room's tap.
    pub inbound: [i16; FRAME],
    /// What the leg hears, or of a room's tap: the mix.
    pub outbound: [i16; FRAME],
}

impl TapFrame {
    /// Silence.
    #[must_use]
    pub fn silence(tick: u64) -> Self {
        Self { tick, inbound: [0; FRAME], outbound: [0; FRAME] }
    }

    /// Both in one; what does not fit is clipped.
    #[must_use]
    pub fn mixed(&self) -> [i16; FRAME] {
        std::array::from_fn(|n| self.inbound[n].saturating_add(self.outbound[n]))
    }

    /// Both as two interleaved channels, inbound first.
    #[must_use]
    pub fn stereo(&self) -> [i16; FRAME * 2] {
        std::array::from_fn(|n| if n.is_multiple_of(2) { self.inbound[n / 2] } else { self.outbound[n / 2] })
    }
}

/// Reads a tap. Nothing wakes the reader: it polls, every 20 ms or so. Dropping it closes the tap.
pub struct TapReader {
    id: TapId,
    ring: rtrb::Consumer<TapFrame>,
    lost: Arc<AtomicU64>,
    plane: Weak<Shared>,
    /// For reading without gaps: the tick that comes next, and a frame after a gap.
    next: Option<u64>,
    ahead: Option<TapFrame>,
}

impl std::fmt::Debug for TapReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TapReader").field("id", &self.id).finish_non_exhaustive()
    }
}

impl TapReader {
    /// The tap's name.
    #[must_use]
    pub fn id(&self) -> TapId {
        self.id
    }

    /// The next frame, if there is one. Gaps show in [`TapFrame::tick`].
    pub fn read(&mut self) -> Option<TapFrame> {
        let frame = self.ahead.take().or_else(|| self.ring.pop().ok())?;
        self.next = Some(frame.tick + 1);
        Some(frame)
    }

    /// The next frame, with frames of silence in place of missing ones between two that came: each tick is one more than the last.
    pub fn read_filled(&mut self) -> Option<TapFrame> {
        let frame = match self.ahead.take() {
            Some(frame) => frame,
            None => self.ring.pop().ok()?,
        };
        let tick = self.next.map_or(frame.tick, |next| next.min(frame.tick));
        self.next = Some(tick + 1);
        if tick == frame.tick {
            return Some(frame);
        }
        self.ahead = Some(frame);
        Some(TapFrame::silence(tick))
    }

    /// Whether the tap has ended (closed, or its leg or room is gone) and everything has been read.
    #[must_use]
    pub fn ended(&self) -> bool {
        // In this order: what was put in before the end is seen by whoever sees the end.
        self.ring.is_abandoned() && self.ring.is_empty() && self.ahead.is_none()
    }

    /// Frames lost so far because they were not read in time.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for TapReader {
    fn drop(&mut self) {
        if let Some(plane) = self.plane.upgrade() {
            plane.close_dropped_tap(self.id);
        }
    }
}

/// A tap on its shard. Made and freed outside.
pub(crate) struct Tap {
    pub id: TapId,
    pub inbound: bool,
    pub outbound: bool,
    /// The tick that may come next.
    next: u64,
    ring: rtrb::Producer<TapFrame>,
    lost: Arc<AtomicU64>,
    after: Option<Box<Tap>>,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A tap and its reader.
pub(crate) fn open(id: TapId, setup: TapSetup, plane: Weak<Shared>) -> (Box<Tap>, TapReader) {
    let (producer, consumer) = rtrb::RingBuffer::new(setup.capacity.clamp(2, 500));
    let lost = Arc::new(AtomicU64::new(0));
    let (inbound, outbound) = match setup.of {
        TapOf::Room(_) => (false, true),
        TapOf::Leg { inbound, outbound, .. } => (inbound, outbound),
    };
    let tap = Tap { id, inbound, outbound, next: 0, ring: producer, lost: lost.clone(), after: None };
    (Box::new(tap), TapReader { id, ring: consumer, lost, plane, next: None, ahead: None })
}

impl Tap {
    /// Puts in the frame of a tick; one that does not fit is lost. A tick that is not after the last one is left out, as when a room
    /// or leg has come to an earlier place on the wheel.
    pub(crate) fn put(&mut self, frame: TapFrame, counters: &Counters) {
        if frame.tick < self.next {
            return;
        }
        self.next = frame.tick + 1;
        counters.tap_frames.one();
        if self.ring.push(frame).is_err() {
            // One writer.
            self.lost.store(self.lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            counters.tap_frames_lost.one();
        }
    }
}

/// Taps linked one behind the other, so that adding and removing one allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    first: Option<Box<Tap>>,
}

impl Taps {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(crate) fn add(&mut self, mut tap: Box<Tap>) {
        tap.after = self.first.take();
        self.first = Some(tap);
    }

    pub(crate) fn remove(&mut self, id: TapId) -> Option<Box<Tap>> {
        let mut place = &mut self.first;
        while place.as_ref().is_some_and(|tap| tap.id != id) {
            place = &mut place.as_mut()?.after;
        }
        let mut tap = place.take()?;
        *place = tap.after.take();
        Some(tap)
    }

    pub(crate) fn each(&mut self, mut act: impl FnMut(&mut Tap)) {
        let mut next = self.first.as_deref_mut();
        while let Some(tap) = next {
            act(tap);
            next = tap.after.as_deref_mut();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tap(id: u64, capacity: usize) -> (Box<Tap>, TapReader) {
        open(TapId(id), TapSetup { of: TapOf::Room(RoomId(1)), capacity }, Weak::new())
    }

    #[test]
    fn a_slow_reader_loses_the_newest_frames_and_knows_how_many() {
        let counters = Counters::default();
        let (mut tap, mut reader) = tap(1, 3);
        for tick in 10..15 {
            tap.put(TapFrame::silence(tick), &counters);
        }
        tap.put(TapFrame::silence(12), &counters);
        assert_eq!(reader.lost(), 2);
        assert_eq!(std::iter::from_fn(|| reader.read()).map(|f| f.tick).collect::<Vec<_>>(), [10, 11, 12]);
        tap.put(TapFrame::silence(15), &counters);
        drop(tap);
        assert!(!reader.ended());
        assert_eq!(reader.read_filled().map(|f| f.tick), Some(13));
        assert!(!reader.ended());
        assert_eq!(std::iter::from_fn(|| reader.read_filled()).map(|f| f.tick).collect::<Vec<_>>(), [14, 15]);
        assert!(reader.ended());
    }

    #[test]
    fn taps_are_unlinked_wherever_they_stand() {
        for gone in 1..=3 {
            let mut taps = Taps::default();
            (1..=3).for_each(|id| taps.add(tap(id, 2).0));
            assert_eq!(taps.remove(TapId(gone)).map(|tap| tap.id), Some(TapId(gone)));
            assert!(taps.remove(TapId(gone)).is_none());
            let mut left = Vec::new();
            taps.each(|tap| left.push(tap.id.0));
            assert_eq!(left, (1..=3).rev().filter(|id| *id != gone).collect::<Vec<_>>());
        }
    }
}
