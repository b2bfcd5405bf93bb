//! Counts of the engine, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// One count that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are now.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// One more.
    pub fn rise(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn fall(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reads.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the engine counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// Calls that came in.
    pub calls_in: Counter,
    /// Calls placed.
    pub calls_out: Counter,
    /// Calls that came in and were refused.
    pub calls_refused: Counter,
    /// Calls, in or out, refused because their account had as many as it may have.
    pub calls_over_account_limit: Counter,
    /// Rooms refused because their account had as many as it may have.
    pub rooms_over_account_limit: Counter,
    /// Rooms opened.
    pub rooms_opened: Counter,
    /// Messages that did not fit into a call's or room's mailbox.
    pub mailbox_overflows: Counter,
    /// Callbacks delivered.
    pub callbacks_delivered: Counter,
    /// Attempts that failed.
    pub callback_attempts_failed: Counter,
    /// Callbacks given up.
    pub callbacks_failed: Counter,
    /// Digits beyond what a person can press.
    pub digits_dropped: Counter,
    /// Room sounds left out because too many sounded already.
    pub notices_dropped: Counter,
    /// Digits, speech and warnings left out of the records because far too much waited for the database.
    pub records_dropped: Counter,
    /// Downloads of sounds that had to wait for a place or for memory.
    pub sound_waits: Counter,
    /// Sounds that were had by waiting for a fetch under way.
    pub sound_fetches_shared: Counter,
    /// Messages to programs on connections of their own that found no room, or no connection any more.
    pub link_messages_dropped: Counter,
    /// Programs on connections of their own that were lost for good.
    pub links_lost: Counter,
    /// Links to programs on connections of their own, connected or not.
    pub links_live: Level,
    /// Frames of sound (20 ms) that programs took too slowly.
    pub stream_frames_dropped: Counter,
    /// Messages on streams of sound, and clips of programs, that found no room.
    pub stream_messages_dropped: Counter,
    /// Samples that a program sent faster than they are heard.
    pub stream_samples_dropped: Counter,
    /// Facts of legs and rooms that are gone.
    pub stray_facts: Counter,
    /// Tickets made.
    pub tickets_issued: Counter,
    /// Tickets that a call came with.
    pub tickets_used: Counter,
    /// Tickets that nobody used in time.
    pub tickets_expired: Counter,
    /// Tickets that were not made because there were too many, and calls with none that is good.
    pub tickets_refused: Counter,
    /// Events of browsers' media that found no call any more.
    pub stray_peer_events: Counter,
}
