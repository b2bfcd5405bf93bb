//! Counters that shards write and anyone may read; plain relaxed atomics, one writer each.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the lateness histogram, in µs; the last bucket has none.
pub const LATENESS_BOUNDS_MICROS: [u64; 10] = [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000];

macro_rules! counters {
    ($($(#[doc = $doc:expr])* $name:ident),* $(,)?) => {
        /// Live counters of one shard.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub $name: Counter,)*
            pub lateness: [Counter; LATENESS_BOUNDS_MICROS.len() + 1],
        }

        /// A reading of one shard's counters; all but `legs` and `rooms` only grow.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ShardMetrics {
            $($(#[doc = $doc])* pub $name: u64,)*
            /// Sub-slots by lateness; bounds in [`LATENESS_BOUNDS_MICROS`].
            pub lateness: [u64; LATENESS_BOUNDS_MICROS.len() + 1],
        }

        impl Counters {
            pub(crate) fn read(&self) -> ShardMetrics {
                ShardMetrics {
                    $($name: self.$name.get(),)*
                    lateness: std::array::from_fn(|n| self.lateness.get(n).map_or(0, Counter::get)),
                }
            }
        }
    };
}

counters! {
    /// Legs held now.
    legs,
    /// Rooms held now.
    rooms,
    /// Sub-slots run.
    slots,
    /// Room ticks run.
    room_ticks,
    /// Sub-slots skipped after a stall.
    skipped_slots,
    /// RTP packets taken from believed sources.
    rtp_received,
    /// RTP packets sent.
    rtp_sent,
    /// Datagrams the network refused to take.
    send_failures,
    /// Errors the path reported (ICMP).
    path_errors,
    /// Datagrams that are no RTP, or no RTCP.
    malformed,
    /// Datagrams from addresses that are never believed.
    foreign,
    /// Datagrams from addresses still proving themselves.
    unproven,
    /// RTP of a payload type that was not agreed.
    wrong_payload,
    /// RTP that came while the leg does not receive.
    not_receiving,
    /// RTP of an SSRC still proving itself.
    unproven_ssrc,
    /// Reports received.
    rtcp_received,
    /// Reports sent.
    rtcp_sent,
    /// Mixes encoded.
    encodes,
    /// Packets whose mix had been encoded for another listener already.
    shared_encodes,
    /// Ticks in which a wide leg's sound was decoded or concealed.
    decodes,
    /// Mixes with sound encoded in Opus or G.722.
    wide_encodes,
    /// Frames of silence encoded in Opus or G.722: what lets sound end.
    silence_encodes,
    /// Wide packets whose mix had been encoded for another listener already.
    wide_shared,
    /// Mixes with sound that wide listeners had, equal ones of one permission and setting counted once: what `wide_encodes` cannot
    /// fall below.
    distinct_mixes,
    /// Opus encoders reset: once for each beginning of sound, and where a listener leaves others.
    encoder_resets,
    /// Frames converted from one sampling rate to another.
    conversions,
    /// Frames that somebody could not hear because their source had no way to his rate.
    unconverted,
    /// Packets that found a path's ring full.
    path_dropped,
    /// Frames withheld from a listener because a wider plan came later than their packets.
    withheld_frames,
    /// Changes applied.
    changes,
    /// Changes refused because their plan was older than the one in force.
    stale_plans,
    /// Commands for a leg or room that was gone.
    stale_commands,
    /// Rooms ended by a fault.
    room_faults,
    /// Legs ended by a fault.
    leg_faults,
    /// Speaking facts dropped because the way up was full.
    telemetry_dropped,
    /// Frames made for taps.
    tap_frames,
    /// Frames of taps that were not read in time, and are lost.
    tap_frames_lost,
    /// Facts dropped because a leg or room owed too many already.
    facts_dropped,
}

/// A number with one writer.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds without a locked instruction: there is one writer.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn less(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).saturating_sub(n), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn late(&self, lateness: Duration) {
        let micros = lateness.as_micros() as u64;
        let bucket = LATENESS_BOUNDS_MICROS.iter().position(|b| micros <= *b).unwrap_or(LATENESS_BOUNDS_MICROS.len());
        if let Some(counter) = self.lateness.get(bucket) {
            counter.one();
        }
    }
}

/// A reading of the whole plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaMetrics {
    /// Per shard, in order.
    pub shards: Vec<ShardMetrics>,
    /// Requests refused because a queue was full.
    pub busy: u64,
    /// Legs handed from one shard to another.
    pub handovers: u64,
    /// Facts that wait for the receiver because its queue is full.
    pub facts_waiting: u64,
    /// Taps open now.
    pub taps: u64,
    /// Plan entries that named a leg, player or tap not in the room; they sounded and heard nothing.
    pub strangers_in_plans: u64,
}
