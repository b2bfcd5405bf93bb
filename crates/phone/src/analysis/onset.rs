//! When a tone was first and last heard: the latency of a command in packets on the wire.

use std::time::Instant;

use super::tones::level_dbfs;
use crate::rtp::{Content, Packet};

/// A packet in which a tone is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// Its index among the packets given.
    pub packet: usize,
    /// Its arrival.
    pub at: Instant,
    /// The tone's level in it, dBFS.
    pub level: f64,
}

/// The first packet that arrived at or after `since` and carries `freq` Hz at `threshold_dbfs` or more. The window is the packet's own payload:
/// a tone that begins in its last tenth is found in the next one (20 ms later).
pub fn first_heard(packets: &[Packet], freq: u32, since: Instant, threshold_dbfs: f64) -> Option<Heard> {
    let begin = packets.partition_point(|p| p.at < since);
    packets.iter().enumerate().skip(begin).find_map(|(i, p)| heard(i, p, freq, threshold_dbfs))
}

/// The last packet that arrived before `until` and carries the tone.
pub fn last_heard(packets: &[Packet], freq: u32, until: Instant, threshold_dbfs: f64) -> Option<Heard> {
    let end = packets.partition_point(|p| p.at < until);
    packets.iter().enumerate().take(end).rev().find_map(|(i, p)| heard(i, p, freq, threshold_dbfs))
}

fn heard(packet: usize, p: &Packet, freq: u32, threshold: f64) -> Option<Heard> {
    let Content::Audio(codec) = p.content else { return None };
    if p.payload.iter().all(|&b| b == codec.silence_word()) {
        return None;
    }
    let level = level_dbfs(&codec.decode(&p.payload), freq);
    (level >= threshold).then_some(Heard { packet, at: p.at, level })
}
