//! RTCP of a leg: reports about every five seconds, what the other side's say, and a farewell.

use std::time::Duration;

use super::latch::Verdict;
use super::rtcp::{self, Item, LONGEST, ReportBlock, SenderInfo};
use super::stats::clock_time;
use super::{Context, Leg};
use crate::net::{Net, Received, Sent};

/// Mean time between reports, ms.
const INTERVAL: u64 = 5_000;
/// How often the RTCP socket is read, in ticks, and how many packets at most.
const READ_EVERY: u64 = 25;
const PER_READ: u32 = 4;

impl Leg {
    pub(super) fn reports(&mut self, net: &mut impl Net, cx: &mut Context<'_>) {
        if self.wire.is_path() {
            return;
        }
        if self.ticks.is_multiple_of(READ_EVERY) {
            self.read_reports(net, cx);
        }
        if self.report_due == 0 {
            self.report_due = cx.slot + INTERVAL / 2 + self.random.below(INTERVAL / 2);
        }
        if cx.slot >= self.report_due {
            // Between half and one and a half intervals (RFC 3550 §6.2), so that legs do not report together.
            self.report_due = cx.slot + INTERVAL / 2 + self.random.below(INTERVAL);
            self.report(net, cx, false);
        }
    }

    /// Sends a report now; `bye` says that the stream ends.
    pub(crate) fn report(&mut self, net: &mut impl Net, cx: &mut Context<'_>, bye: bool) {
        let Some(to) = self.rtcp_latch.destination() else { return };
        let utc = |now: Duration| cx.utc_zero.saturating_add(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
        let sender = (self.stats.packets_sent > 0).then(|| SenderInfo {
            utc_micros: utc(cx.now),
            timestamp: self.timestamp,
            packets: self.stats.packets_sent as u32,
            octets: self.stats.bytes_sent as u32,
        });
        let block = self.block(cx.now);
        let mut out = [0u8; LONGEST];
        let name = self.name.get(..usize::from(self.name_len)).unwrap_or(&[]);
        let len = rtcp::write(&mut out, self.ssrc, sender, block, name, bye);
        let Some(ports) = self.wire.ports() else { return };
        match net.send(&mut ports.rtcp, to, out.get(..len).unwrap_or(&[]), &[]) {
            Sent::Yes => cx.counters.rtcp_sent.one(),
            Sent::No => cx.counters.send_failures.one(),
        }
    }

    fn block(&mut self, now: Duration) -> Option<ReportBlock> {
        let stream = &mut self.stream;
        let ssrc = stream.ssrc?;
        let expected = stream.highest.wrapping_sub(stream.base).wrapping_add(1);
        let lost = expected.wrapping_sub(stream.received).cast_signed();
        let expected_lately = expected.wrapping_sub(stream.expected_before);
        let received_lately = stream.received.wrapping_sub(stream.received_before);
        let lost_lately = expected_lately.wrapping_sub(received_lately).cast_signed();
        let fraction_lost = if expected_lately == 0 || lost_lately <= 0 {
            0
        } else {
            (u64::from(lost_lately.unsigned_abs()) * 256 / u64::from(expected_lately)).min(255) as u8
        };
        stream.expected_before = expected;
        stream.received_before = stream.received;
        let (last_report, delay_since) = stream.report.map_or((0, 0), |(middle, at)| {
            let delay = now.saturating_sub(at).as_micros() * 65_536 / 1_000_000;
            (middle, u32::try_from(delay).unwrap_or(u32::MAX))
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost,
            lost,
            highest_sequence: stream.highest,
            jitter: stream.jitter >> 4,
            last_report,
            delay_since,
        })
    }

    fn read_reports(&mut self, net: &mut impl Net, cx: &mut Context<'_>) {
        self.rtcp_latch.expire(cx.slot, cx.limits.stale_source.saturating_mul(6));
        for _ in 0..PER_READ {
            let Some(ports) = self.wire.ports() else { return };
            let (len, from, age) = match net.recv(&mut ports.rtcp, cx.buffer) {
                Received::Packet { len, from, age } => (len, from, age),
                Received::Refused => continue,
                Received::Empty => return,
            };
            let bytes = cx.buffer.get(..len).unwrap_or(&[]);
            let mut sender = None;
            if !rtcp::parse(bytes, |item| {
                if let Item::SenderReport { ssrc, .. } | Item::Bye { ssrc } = item {
                    sender.get_or_insert(ssrc);
                }
            }) {
                cx.counters.malformed.one();
                self.stats.malformed += 1;
                continue;
            }
            // Reports have no sequence of their own: consecutive means one SSRC, report after report.
            let verdict = self.rtcp_latch.judge_unnumbered(from, sender.unwrap_or(0), cx.slot);
            if !matches!(verdict, Verdict::Accept | Verdict::Locked) {
                let foreign = verdict == Verdict::Foreign;
                if foreign { &cx.counters.foreign } else { &cx.counters.unproven }.one();
                self.stats.foreign += u64::from(foreign);
                self.stats.unproven += u64::from(!foreign);
                continue;
            }
            cx.counters.rtcp_received.one();
            let arrived = cx.now.saturating_sub(age);
            let utc = cx.utc_zero.saturating_add(i64::try_from(arrived.as_micros()).unwrap_or(i64::MAX));
            let (stream, stats, own, step) = (&mut self.stream, &mut self.stats, self.ssrc, self.step);
            rtcp::parse(bytes, |item| match item {
                Item::SenderReport { ssrc, middle } if stream.ssrc == Some(ssrc) => {
                    stream.report = Some((middle, arrived))
                }
                Item::Block(block) if block.ssrc == own => {
                    stats.remote_fraction_lost = Some(block.fraction_lost);
                    stats.remote_jitter = Some(clock_time(block.jitter, step));
                    let trip =
                        rtcp::middle(rtcp::ntp(utc)).wrapping_sub(block.last_report).wrapping_sub(block.delay_since);
                    // More than half a minute is a report of something else.
                    if block.last_report != 0 && trip < 30 << 16 {
                        stats.round_trip = Some(Duration::from_micros(u64::from(trip) * 1_000_000 / 65_536));
                    }
                }
                _ => {}
            });
        }
    }
}
