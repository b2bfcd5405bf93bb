//! What is counted of a leg.

use std::net::SocketAddr;
use std::time::Duration;

use super::Leg;

/// Counters of a leg since it was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// RTP packets taken.
    pub packets_received: u64,
    /// Their payload bytes.
    pub bytes_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Their payload bytes.
    pub bytes_sent: u64,
    /// Packets from addresses never believed.
    pub foreign: u64,
    /// Packets from addresses or SSRCs still proving themselves.
    pub unproven: u64,
    /// Datagrams that were no RTP or RTCP.
    pub malformed: u64,
    /// RTP of other payload types.
    pub wrong_payload: u64,
    /// Packets missing by sequence number.
    pub lost: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets received again.
    pub duplicate: u64,
    /// Packets dropped undecoded, because others had brought most of their sound or there were too many at once.
    pub undecoded: u64,
    /// Samples made up for missing ones, at the format's sampling rate, as all samples here: 8 kHz, 16 kHz (G.722) or 48 kHz (Opus).
    pub concealed_samples: u64,
    /// Samples the playout inserted against drift and jitter.
    pub inserted_samples: u64,
    /// Samples it deleted.
    pub deleted_samples: u64,
    /// Interarrival jitter of what we receive (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// Delay of the jitter buffer now.
    pub delay: Duration,
    /// Round trip by RTCP, if a report came.
    pub round_trip: Option<Duration>,
    /// Fraction of our packets lost, in 1/256, as the far side last reported.
    pub remote_fraction_lost: Option<u8>,
    /// Jitter the far side last reported.
    pub remote_jitter: Option<Duration>,
    /// Ticks that were skipped after stalls.
    pub skipped_ticks: u64,
    /// Where packets come from, once believed.
    pub source: Option<SocketAddr>,
    /// SSRC of what we send.
    pub ssrc: u32,
}

/// How long so many units of the RTP clock are, which advances by `step` in a tick of 20 ms.
pub(super) fn clock_time(units: u32, step: u32) -> Duration {
    Duration::from_micros(u64::from(units) * 20_000 / u64::from(step.max(1)))
}

impl Leg {
    /// The counters now.
    pub(crate) fn stats(&self) -> LegStats {
        let jitter = self.wide.as_deref().map_or_else(|| self.jitter.stats(), |wide| wide.playout_stats());
        LegStats {
            lost: jitter.lost,
            late: jitter.late,
            duplicate: jitter.duplicate,
            undecoded: jitter.undecoded,
            concealed_samples: jitter.concealed_samples,
            inserted_samples: jitter.inserted_samples,
            deleted_samples: jitter.deleted_samples,
            jitter: clock_time(self.stream.jitter >> 4, self.step),
            delay: jitter.delay,
            source: self.latch.locked(),
            ..self.stats.clone()
        }
    }
}
