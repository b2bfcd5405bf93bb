//! What the engine counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that one thread or several add to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Totals since the start, of all threads.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            /// Legs now.
            pub peers: u64,
            /// Legs that are being connected now.
            pub half_open: u64,
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counts {
            $(pub $name: Count,)*
        }

        impl Counts {
            pub(crate) fn read(&self) -> Counters {
                Counters { peers: 0, half_open: 0, $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Legs that became connected.
    connected,
    /// Legs refused for want of places.
    refused_places,
    /// Legs that were not connected in time.
    never_connected,
    /// Connected legs lost to silence.
    lost,
    /// Legs closed because their certificate was not the announced one.
    wrong_fingerprint,
    /// Legs closed by an error of their own; the others go on.
    faults,
    /// Datagrams received.
    datagrams_in,
    /// Datagrams sent.
    datagrams_out,
    /// Datagrams that the system did not take.
    datagrams_unsent,
    /// Datagrams of no known leg: unknown name fragment, or an address that never passed a check.
    strays,
    /// Datagrams that are malformed or failed their authentication.
    malformed,
    /// Address changes refused because another leg is active at that address.
    address_conflicts,
    /// Further addresses of a leg refused: it has too many.
    addresses_refused,
    /// RTP packets refused: of another payload type, or of one stream too many.
    packets_refused,
    /// RTP packets dropped because their direction is on hold.
    packets_held,
    /// RTP packets that the leg was too slow to take.
    packets_overrun,
    /// TCP connections accepted.
    connections,
    /// TCP connections refused or cut: too many, unidentified in time, or malformed.
    connections_refused,
    /// Events that nobody took in time.
    events_dropped,
    /// Times a thread woke up.
    wake_ups,
}
