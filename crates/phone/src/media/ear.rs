//! What a line received: every packet with its arrival, bounded by age.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::analysis::{Heard, first_heard, last_heard};
use crate::rtp::{Packet, Rtcp, digits};

/// RTCP packets kept.
const RTCP_KEPT: usize = 1_000;

/// Counts since the line opened; none of them depends on what is still kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EarCounters {
    /// RTP packets received.
    pub received: u64,
    /// RTP payload bytes received.
    pub octets: u64,
    /// Packets no longer kept, because they are too old.
    pub aged_out: u64,
    /// Datagrams that were not RTP.
    pub malformed: u64,
    /// RTCP packets received.
    pub rtcp: u64,
    /// RTCP packets no longer kept.
    pub rtcp_aged_out: u64,
}

/// The ear of a line. Packets are kept for [`LineOptions::keep`](super::LineOptions::keep), at most 100 per second of it.
#[derive(Debug)]
pub struct Ear {
    kept: Mutex<Kept>,
    keep: Duration,
    arrivals: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    packets: VecDeque<Packet>,
    rtcp: VecDeque<(Instant, Rtcp)>,
    counters: EarCounters,
}

impl Ear {
    /// An empty ear that keeps packets for `keep` (zero: counts only).
    pub fn new(keep: Duration) -> Self {
        Self { kept: Mutex::default(), keep, arrivals: watch::Sender::new(0) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, packet: Packet) {
        let received = {
            let mut k = self.kept();
            k.counters.received += 1;
            k.counters.octets += packet.payload.len() as u64;
            if self.keep.is_zero() {
                k.counters.aged_out += 1;
            } else {
                let now = packet.at;
                k.packets.push_back(packet);
                let most = (self.keep.as_secs_f64() * 100.0).ceil() as usize;
                while k.packets.len() > most
                    || k.packets.front().is_some_and(|p| now.saturating_duration_since(p.at) > self.keep)
                {
                    k.packets.pop_front();
                    k.counters.aged_out += 1;
                }
            }
            k.counters.received
        };
        self.arrivals.send_replace(received);
    }

    pub(crate) fn push_rtcp(&self, at: Instant, rtcp: Rtcp) {
        let mut k = self.kept();
        k.counters.rtcp += 1;
        if k.rtcp.len() == RTCP_KEPT {
            k.rtcp.pop_front();
            k.counters.rtcp_aged_out += 1;
        }
        k.rtcp.push_back((at, rtcp));
        drop(k);
        self.arrivals.send_modify(|_| {});
    }

    pub(crate) fn push_malformed(&self) {
        self.kept().counters.malformed += 1;
    }

    /// Counts since the line opened.
    pub fn counters(&self) -> EarCounters {
        self.kept().counters
    }

    /// Everything still kept, in arrival order. Proofs over a whole call must check `counters().aged_out == 0`.
    pub fn packets(&self) -> Vec<Packet> {
        self.kept().packets.iter().cloned().collect()
    }

    /// Packets that arrived at or after `from`.
    pub fn since(&self, from: Instant) -> Vec<Packet> {
        let k = self.kept();
        let begin = k.packets.partition_point(|p| p.at < from);
        k.packets.range(begin..).cloned().collect()
    }

    /// Packets that arrived from `from` until before `to`.
    pub fn between(&self, from: Instant, to: Instant) -> Vec<Packet> {
        let k = self.kept();
        let begin = k.packets.partition_point(|p| p.at < from);
        let end = k.packets.partition_point(|p| p.at < to).max(begin);
        k.packets.range(begin..end).cloned().collect()
    }

    /// RTCP still kept (the last 1 000), with arrival times.
    pub fn rtcp(&self) -> Vec<(Instant, Rtcp)> {
        self.kept().rtcp.iter().cloned().collect()
    }

    /// Digits received as telephone events, as far as kept.
    pub fn digits(&self) -> String {
        digits(&self.packets())
    }

    /// Waits until `condition` holds, looked at after each arrival. False if `timeout` passes first.
    pub async fn wait_until(&self, timeout: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let mut arrivals = self.arrivals.subscribe();
        let looked = tokio::time::timeout(timeout, async {
            loop {
                arrivals.borrow_and_update();
                if condition(self) {
                    return;
                }
                if arrivals.changed().await.is_err() {
                    return;
                }
            }
        });
        looked.await.is_ok() || condition(self)
    }

    /// Waits until at least `count` packets came since the line opened.
    pub async fn wait_received(&self, count: u64, timeout: Duration) -> bool {
        self.wait_until(timeout, |e| e.counters().received >= count).await
    }

    /// Waits until `more` packets came after now: a stretch of audio to measure (50 per second).
    pub async fn wait_more(&self, more: u64, timeout: Duration) -> bool {
        let goal = self.counters().received + more;
        self.wait_received(goal, timeout).await
    }

    /// Waits for the first packet at or after `since` that carries `freq` Hz at `dbfs` or more.
    pub async fn wait_heard(&self, freq: u32, dbfs: f64, since: Instant, timeout: Duration) -> Option<Heard> {
        let mut found = None;
        let mut from = since;
        self.wait_until(timeout, |e| {
            let packets = e.since(from);
            found = first_heard(&packets, freq, from, dbfs);
            if let Some(last) = packets.last() {
                from = last.at;
            }
            found.is_some()
        })
        .await;
        found
    }

    /// Waits until `freq` Hz was not heard (`dbfs` or more) in any packet for `quiet`, counted from `since` at the earliest. Gives the last packet that
    /// still carried it at or after `since`, or `Some(None)` if none did; `None` if `timeout` passes first or packets stop coming.
    pub async fn wait_quiet(
        &self,
        freq: u32,
        dbfs: f64,
        since: Instant,
        quiet: Duration,
        timeout: Duration,
    ) -> Option<Option<Heard>> {
        let mut last = None;
        let mut from = since;
        let mut done = false;
        self.wait_until(timeout, |e| {
            let packets = e.since(from);
            let Some(newest) = packets.last() else { return false };
            let end = newest.at + Duration::from_nanos(1);
            last = last_heard(&packets, freq, end, dbfs).or(last);
            from = newest.at;
            let reference = last.map_or(since, |h: Heard| h.at);
            done = newest.at.saturating_duration_since(reference) >= quiet;
            done
        })
        .await;
        done.then_some(last)
    }
}
