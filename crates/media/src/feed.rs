//! Sound that is made while it plays: a bounded ring that a task fills and a player empties.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::player::FRAME;

/// Most samples a feed may hold: ten minutes.
const MOST: usize = 600 * 8_000;

/// What both ends of a feed know of it.
#[derive(Debug, Default)]
struct Shared {
    /// Samples that have left the ring, played or dropped.
    left: AtomicU64,
    /// Samples that have been played.
    played: AtomicU64,
    /// Everything before this sample is to be dropped.
    clear_to: AtomicU64,
}

/// The sound of a feed, for one [`crate::Play`]. A clone is the same feed; only the first player that gets it plays it, any
/// other ends at once.
#[derive(Clone)]
pub struct Feed {
    end: Arc<Mutex<Option<Box<FeedEnd>>>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").finish_non_exhaustive()
    }
}

impl PartialEq for Feed {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.end, &other.end)
    }
}

impl Feed {
    /// A feed that holds `capacity` samples of 125 µs (held to 160 … 4 800 000), and the end that fills it.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, FeedWriter) {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity.clamp(FRAME, MOST));
        let shared = Arc::new(Shared::default());
        let end = Box::new(FeedEnd { ring: consumer, shared: shared.clone(), left: 0, played: 0 });
        (Self { end: Arc::new(Mutex::new(Some(end))) }, FeedWriter { ring: producer, shared, pushed: 0 })
    }

    pub(crate) fn take(&self) -> Option<Box<FeedEnd>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Fills a feed. Dropping it ends the play as soon as what is queued has been played; a play that starved meanwhile went on in
/// silence.
#[derive(Debug)]
pub struct FeedWriter {
    ring: rtrb::Producer<i16>,
    shared: Arc<Shared>,
    pushed: u64,
}

impl FeedWriter {
    /// Queues 8 kHz samples; answers how many were taken, from the first on. Fewer than given: the feed is full.
    pub fn push(&mut self, samples: &[i16]) -> usize {
        let (taken, _) = self.ring.push_partial_slice(samples);
        let count = taken.len();
        self.pushed += count as u64;
        count
    }

    /// Samples that [`Self::push`] would take now.
    #[must_use]
    pub fn free(&self) -> usize {
        self.ring.slots()
    }

    /// Drops everything queued so far: from the next tick on none of it is played. What is pushed afterwards is.
    pub fn clear(&mut self) {
        self.shared.clear_to.store(self.pushed, Ordering::Release);
    }

    /// All samples ever taken by [`Self::push`].
    #[must_use]
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// How far the player is: samples played or dropped by [`Self::clear`]. A mark set at `n` pushed samples is reached when this
    /// is `n` or more.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.shared.left.load(Ordering::Acquire)
    }

    /// Samples that have been played; silence played for want of samples does not count.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.shared.played.load(Ordering::Acquire)
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.position() >= self.pushed
    }

    /// Whether nothing will ever play this any more: the player was stopped or replaced, its leg or room ended, or the feed was
    /// dropped unplayed.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.ring.is_abandoned()
    }
}

/// The end of a feed that a player holds. Freed outside the tick.
#[derive(Debug)]
pub(crate) struct FeedEnd {
    ring: rtrb::Consumer<i16>,
    shared: Arc<Shared>,
    left: u64,
    played: u64,
}

impl FeedEnd {
    /// Takes as many samples as are there, at most a frame's; answers how many.
    pub(crate) fn fill(&mut self, out: &mut [i16; FRAME]) -> usize {
        let clear_to = self.shared.clear_to.load(Ordering::Acquire);
        if clear_to > self.left {
            // All of it has been pushed before `clear_to` was written.
            let count = self.ring.slots().min(usize::try_from(clear_to - self.left).unwrap_or(usize::MAX));
            if let Ok(chunk) = self.ring.read_chunk(count) {
                chunk.commit_all();
                self.left += count as u64;
            }
        }
        let (taken, _) = self.ring.pop_partial_slice(&mut out[..]);
        let count = taken.len();
        self.left += count as u64;
        self.played += count as u64;
        self.shared.played.store(self.played, Ordering::Release);
        self.shared.left.store(self.left, Ordering::Release);
        count
    }

    /// Whether all has been played and nothing more will come.
    pub(crate) fn is_done(&self) -> bool {
        // In this order: the writer's last push is seen by whoever sees that it has gone.
        self.ring.is_abandoned() && self.ring.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(end: &mut FeedEnd) -> Vec<i16> {
        let mut out = [0; FRAME];
        let count = end.fill(&mut out);
        out[..count].to_vec()
    }

    #[test]
    fn what_is_pushed_comes_out_once_and_in_order() {
        let (feed, mut writer) = Feed::new(400);
        let mut end = feed.take().expect("fresh");
        assert!(feed.take().is_none(), "one player only");
        let samples: Vec<i16> = (1..=500).collect();
        assert_eq!(writer.push(&samples), 400);
        assert_eq!(writer.free(), 0);
        let mut all: Vec<i16> = (0..2).flat_map(|_| frame(&mut end)).collect();
        assert_eq!(writer.push(&samples[400..]), 100);
        all.extend((0..3).flat_map(|_| frame(&mut end)));
        assert_eq!(all, samples);
        assert_eq!((writer.pushed(), writer.position(), writer.played()), (500, 500, 500));
        assert!(writer.is_empty() && !end.is_done());
        drop(writer);
        assert!(end.is_done());
    }

    #[test]
    fn clearing_drops_what_was_queued_and_nothing_that_comes_after() {
        let (feed, mut writer) = Feed::new(1_000);
        let mut end = feed.take().expect("fresh");
        writer.push(&[1; 500]);
        assert_eq!(frame(&mut end), [1; 160]);
        writer.clear();
        writer.push(&[2; 200]);
        assert_eq!(frame(&mut end), [2; 160]);
        assert_eq!((writer.position(), writer.played()), (660, 320));
        writer.clear();
        assert_eq!(frame(&mut end), [0i16; 0]);
        assert_eq!((writer.position(), writer.played()), (700, 320));
        drop(end);
        assert!(writer.is_abandoned());
    }
}
