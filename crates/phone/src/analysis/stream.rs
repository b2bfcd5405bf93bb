//! A received stream: continuity of its headers, pacing of its arrivals, and its sound as one track of samples.

use std::fmt;
use std::time::{Duration, Instant};

use crate::codec::FRAME;
use crate::rtp::{Content, Packet};

/// A step in a stream that is not +1 in sequence and the last payload's length in timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Index (among the packets given) of the packet after the step.
    pub packet: usize,
    /// Sequence step (1 is right).
    pub sequence_step: i32,
    /// Timestamp step in samples.
    pub timestamp_step: i64,
    /// The step that was due.
    pub due: u32,
    /// The SSRC changed here.
    pub new_ssrc: bool,
    /// The packet carries the marker bit.
    pub marker: bool,
}

/// How continuous a stream is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Continuity {
    /// Packets looked at.
    pub packets: usize,
    /// SSRCs in order of appearance.
    pub ssrcs: Vec<u32>,
    /// Every step that is not as due, in arrival order.
    pub gaps: Vec<Gap>,
    /// Packets missing by sequence number.
    pub lost: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that came after a later one.
    pub reordered: u64,
}

impl Continuity {
    /// One SSRC, sequence +1 and timestamp +one frame from beginning to end.
    pub fn is_perfect(&self) -> bool {
        self.ssrcs.len() <= 1 && self.gaps.is_empty()
    }

    /// As [`is_perfect`](Self::is_perfect) but sequence only: timestamps may jump where the marker bit says so.
    pub fn is_lossless(&self) -> bool {
        self.lost == 0
            && self.duplicated == 0
            && self.reordered == 0
            && self.gaps.iter().all(|g| g.marker && g.sequence_step == 1)
    }
}

impl fmt::Display for Continuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} packets, {} SSRC, {} gaps, {} lost, {} duplicated, {} reordered",
            self.packets,
            self.ssrcs.len(),
            self.gaps.len(),
            self.lost,
            self.duplicated,
            self.reordered
        )
    }
}

/// Follows headers in arrival order. Packets of a telephone event share a timestamp; the step into, within and out of an event is judged by
/// sequence number alone.
pub fn continuity(packets: &[Packet]) -> Continuity {
    let mut c = Continuity { packets: packets.len(), ..Default::default() };
    let mut seen: std::collections::HashSet<(u32, u16)> = std::collections::HashSet::new();
    let mut previous: Option<&Packet> = None;
    for (packet, p) in packets.iter().enumerate() {
        let h = p.header;
        if !c.ssrcs.contains(&h.ssrc) {
            c.ssrcs.push(h.ssrc);
        }
        if let Some(last) = previous {
            let l = last.header;
            let new_ssrc = l.ssrc != h.ssrc;
            let sequence_step = i32::from(h.sequence.wrapping_sub(l.sequence) as i16);
            let timestamp_step = i64::from(h.timestamp.wrapping_sub(l.timestamp) as i32);
            let due = samples_in(last);
            let event = p.content == Content::Event || last.content == Content::Event;
            if new_ssrc || sequence_step != 1 || (!event && timestamp_step != i64::from(due)) {
                c.gaps.push(Gap { packet, sequence_step, timestamp_step, due, new_ssrc, marker: h.marker });
            }
            if !new_ssrc {
                if sequence_step > 1 {
                    c.lost += (sequence_step - 1) as u64;
                } else if sequence_step <= 0 {
                    if seen.contains(&(h.ssrc, h.sequence)) {
                        c.duplicated += 1;
                    } else {
                        // It was counted as lost when its successor came.
                        c.lost = c.lost.saturating_sub(1);
                        c.reordered += 1;
                    }
                    continue;
                }
            }
        }
        // Sequence numbers repeat after 22 minutes; what is older than half of that cannot be a duplicate.
        if packet % 0x8000 == 0 {
            seen.clear();
        }
        seen.insert((h.ssrc, h.sequence));
        previous = Some(p);
    }
    c
}

fn samples_in(p: &Packet) -> u32 {
    match p.content {
        Content::Audio(codec) => (p.payload.len() / codec.bytes_per_sample()) as u32,
        _ => FRAME as u32,
    }
}

/// Distances between arrivals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pacing {
    /// Sorted distances.
    pub sorted: Vec<Duration>,
}

impl Pacing {
    /// The distance that a share `p` (0–1) of packets does not exceed.
    pub fn percentile(&self, p: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        let at = (last as f64 * p.clamp(0.0, 1.0)).round() as usize;
        self.sorted.get(at).copied().unwrap_or_default()
    }

    /// Mean distance.
    pub fn mean(&self) -> Duration {
        self.sorted.iter().sum::<Duration>().checked_div(self.sorted.len() as u32).unwrap_or_default()
    }

    /// Count per millisecond 0, 1, … 60 and more.
    pub fn histogram(&self) -> [usize; 61] {
        let mut h = [0; 61];
        for d in &self.sorted {
            if let Some(slot) = h.get_mut((d.as_millis() as usize).min(60)) {
                *slot += 1;
            }
        }
        h
    }
}

/// Pacing of audio packets in arrival order.
pub fn pacing(packets: &[Packet]) -> Pacing {
    let at: Vec<Instant> = packets.iter().map(|p| p.at).collect();
    let mut sorted: Vec<_> = at.iter().zip(at.iter().skip(1)).map(|(a, b)| b.saturating_duration_since(*a)).collect();
    sorted.sort();
    Pacing { sorted }
}

/// Why packets do not make a track.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// Packets are missing; on loopback none may be.
    #[error("{0} packets lost between the first and the last")]
    Lost(u64),
    /// There is no audio.
    #[error("no audio packet among those given")]
    Empty,
}

/// The sound of a stream: samples in sequence order, each packet's place and arrival.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// All samples, 8 kHz.
    pub samples: Vec<i16>,
    /// Per packet: index of its first sample, its number of samples, its arrival.
    pub frames: Vec<(usize, usize, Instant)>,
    /// Packets missing by sequence number (nothing is inserted for them).
    pub lost: u64,
}

impl Track {
    /// Decodes audio packets in sequence order per SSRC, without duplicates. Events and unknown payloads give no samples.
    pub fn new(packets: &[Packet]) -> Self {
        let lost = continuity(packets).lost;
        let mut order: Vec<(usize, u32, i64, &Packet)> = Vec::with_capacity(packets.len());
        // Unwrapped sequence numbers per run of one SSRC keep reordered packets in place.
        let (mut run, mut ssrc, mut unwrapped) = (0usize, None, 0i64);
        for p in packets {
            if ssrc != Some(p.header.ssrc) {
                run += usize::from(ssrc.is_some());
                ssrc = Some(p.header.ssrc);
                unwrapped = i64::from(p.header.sequence);
            } else {
                unwrapped += i64::from(p.header.sequence.wrapping_sub(unwrapped as u16) as i16);
            }
            order.push((run, p.header.ssrc, unwrapped, p));
        }
        order.sort_by_key(|&(run, _, sequence, _)| (run, sequence));
        order.dedup_by_key(|&mut (run, _, sequence, _)| (run, sequence));
        let mut track = Self { lost, ..Default::default() };
        for (_, _, _, p) in order {
            if let Content::Audio(codec) = p.content {
                let samples = codec.decode(&p.payload);
                track.frames.push((track.samples.len(), samples.len(), p.at));
                track.samples.extend(samples);
            }
        }
        track
    }

    /// As [`new`](Self::new), but an error if packets are missing or there is no audio.
    pub fn complete(packets: &[Packet]) -> Result<Self, StreamError> {
        let track = Self::new(packets);
        match (track.lost, track.frames.is_empty()) {
            (0, false) => Ok(track),
            (0, true) => Err(StreamError::Empty),
            (lost, _) => Err(StreamError::Lost(lost)),
        }
    }
}
