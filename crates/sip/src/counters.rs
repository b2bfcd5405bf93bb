//! Everything that was refused, dropped or is alive, by cause.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One number that any thread may change.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The value now.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn set(&self, value: usize) {
        self.0.store(value as u64, Relaxed);
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counters of the signalling plane. `*_live` and `*_bound` are gauges, the others only grow.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[$doc])* pub $name: Counter),* }

        impl Counters {
            /// Every counter with its name, for metrics.
            pub fn all(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.get())),*]
            }
        }
    };
}

counters! {
    /// Messages that passed the guard.
    messages_in,
    /// Messages sent.
    messages_out,
    /// Messages refused as malformed (400, 416, 501, 505, 513 or silence).
    malformed,
    /// Of those, answered.
    malformed_answered,
    /// Requests with a method nobody knows (501).
    unknown_method,
    /// Messages over their source's allowance.
    rate_limited,
    /// Times the table of sources was full and a new source shared the common allowance.
    sources_full,
    /// Messages lost because the core's queue was full.
    backlog_full,
    /// Datagrams the kernel would not take.
    send_failed,
    /// TCP connections refused: too many in all or from one source.
    connections_refused,
    /// TCP connections closed for idleness or a half message.
    connections_timed_out,
    /// TCP connections closed because the peer did not read.
    connections_slow,
    /// TCP connections open now.
    connections_live,
    /// WebSocket connections served.
    websockets_served,
    /// WebSocket connections refused: too many in all or from one source.
    websockets_refused,
    /// WebSocket connections that their peer ended.
    websockets_ended,
    /// WebSocket connections closed because the peer broke the WebSocket protocol.
    websockets_broken,
    /// WebSocket connections closed because of a message over the limit.
    websockets_too_large,
    /// WebSocket connections closed because nobody gave a right password on them in time.
    websockets_unproven,
    /// WebSocket connections closed because nothing came, no answer to a ping either.
    websockets_silent,
    /// WebSocket connections closed because the peer did not read.
    websockets_slow,
    /// Times a WebSocket connection had to wait because it was over its allowance.
    websockets_delayed,
    /// WebSocket connections open now.
    websockets_live,
    /// Calls that went on over another connection of their browser.
    flows_followed,
    /// Calls ended because their browser's connection was gone and it did not come back in time.
    flows_lost,
    /// Requests inside calls from a connection that is not the call's, asked for a password.
    flows_foreign,
    /// Requests dropped because of too many transactions.
    transactions_full,
    /// Requests dropped because their source or connection had too many transactions.
    transactions_of_source_full,
    /// Transactions now.
    transactions_live,
    /// Dialogs now, early ones included.
    dialogs_live,
    /// Dialogs created.
    dialogs_created,
    /// Dialogs removed.
    dialogs_reaped,
    /// Dialogs ended because the engine let go of their leg.
    legs_abandoned,
    /// Leg events that found the engine's queue full.
    events_dropped,
    /// INVITEs refused with 503: too many calls, engine queue full, or draining.
    calls_refused,
    /// Calls handed to the engine.
    calls_in,
    /// Calls placed.
    calls_out,
    /// Requests inside dialogs that do not exist (481).
    unknown_dialog,
    /// Digest challenges sent.
    challenges,
    /// Digest answers that were right.
    auth_ok,
    /// Digest answers that were wrong.
    auth_failures,
    /// Digest answers with a nonce that was too old.
    auth_stale,
    /// Digest answers with a nonce count that was used before.
    auth_replays,
    /// Requests refused because (source, user) is locked out.
    locked_out,
    /// Requests answered with 503 because the roster could not be asked.
    roster_failed,
    /// Requests for domains that are not ours.
    foreign_domain,
    /// Requests refused because too many authentications were under way.
    lookups_full,
    /// Successful registrations and refreshes.
    registrations,
    /// Bindings removed by the phone.
    unregistrations,
    /// Bindings removed because their endpoint was deleted, shut out or got another password.
    bindings_revoked,
    /// Bindings removed because their browser's connection is gone.
    bindings_unreachable,
    /// Access tokens that were right.
    tokens_ok,
    /// Access tokens that were refused.
    tokens_refused,
    /// Bindings that ran out.
    bindings_expired,
    /// Bindings now.
    bindings_bound,
    /// Answers whose ACK never came.
    acks_missing,
    /// Dialogs ended because a promised session refresh never came.
    sessions_expired,
}
