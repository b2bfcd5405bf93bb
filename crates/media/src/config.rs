//! What the plane is told at its start.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use audio::JitterConfig;

use crate::MediaError;

/// Configuration of the media plane.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Media threads; 1 to 256.
    pub shards: usize,
    /// Address that RTP ports are bound to; may be unspecified.
    pub bind: IpAddr,
    /// Ports for RTP (even) and RTCP (odd).
    pub ports: RangeInclusive<u16>,
    /// How long a closed pair rests before it is given to another leg.
    pub port_rest: Duration,
    /// Jitter buffer of every leg.
    pub jitter: JitterConfig,
    /// A receiving leg without RTP for so long is reported once as [`crate::Fact::MediaTimeout`].
    pub rtp_timeout: Duration,
    /// After so much silence a latched source may change its port (same IP only).
    pub stale_source: Duration,
    /// Commands that may wait per shard; a full queue answers [`MediaError::Busy`].
    pub command_capacity: usize,
    /// Facts that may wait per shard, and again before the receiver.
    pub fact_capacity: usize,
    /// Legs a shard holds at most.
    pub max_legs_per_shard: usize,
    /// Rooms a shard holds at most.
    pub max_rooms_per_shard: usize,
    /// Legs a room holds at most; also bounds its buses.
    pub max_members_per_room: usize,
    /// Legs with Opus or G.722 the plane holds at most, default 1 024. Each costs a decoder and, while it hears something that nobody
    /// else hears alike, an encode of its own: 20 to 60 times a G.711 leg.
    pub max_wide_legs: usize,
    /// Bit rate of Opus while there is sound, bit/s, 6 000 to 128 000; default 48 000. A far side that asks for less gets less.
    pub opus_bitrate: u32,
    /// Effort of the Opus encoder, 0 to 10; default 5.
    pub opus_complexity: u8,
    /// Whether wide sources pass a gate, default true: an open microphone is never digital silence, and what nobody speaks into
    /// would cost every listener an encode. Narrow sources never do.
    pub gate: bool,
    /// CPU of each shard, in order; shards beyond the list float.
    pub pin_cpus: Vec<usize>,
    /// Seed of SSRCs, first sequence numbers and RTCP times; `None` takes the system's entropy. Only simulators set it.
    pub seed: Option<u64>,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            shards: 1,
            bind: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ports: 16_384..=32_767,
            port_rest: Duration::from_secs(10),
            jitter: JitterConfig::default(),
            rtp_timeout: Duration::from_secs(60),
            stale_source: Duration::from_secs(5),
            command_capacity: 1_024,
            fact_capacity: 4_096,
            max_legs_per_shard: 8_192,
            max_rooms_per_shard: 4_096,
            max_members_per_room: 512,
            max_wide_legs: 1_024,
            opus_bitrate: 48_000,
            opus_complexity: 5,
            gate: true,
            pin_cpus: Vec::new(),
            seed: None,
        }
    }
}

impl MediaConfig {
    pub(crate) fn check(&self) -> Result<(), MediaError> {
        let refuse = |why| Err(MediaError::Config(why));
        if !(1..=256).contains(&self.shards) {
            return refuse("shards must be 1 to 256");
        }
        if self.command_capacity < 8 || self.fact_capacity < 8 {
            return refuse("command_capacity and fact_capacity must be at least 8");
        }
        if self.command_capacity > 1 << 20 || self.fact_capacity > 1 << 20 {
            return refuse("command_capacity and fact_capacity must be at most 1 048 576");
        }
        if self.max_legs_per_shard == 0 || self.max_legs_per_shard > 1 << 20 {
            return refuse("max_legs_per_shard must be 1 to 1 048 576");
        }
        if self.max_rooms_per_shard == 0 || self.max_rooms_per_shard > 1 << 20 {
            return refuse("max_rooms_per_shard must be 1 to 1 048 576");
        }
        if !(2..=4_096).contains(&self.max_members_per_room) {
            return refuse("max_members_per_room must be 2 to 4 096");
        }
        if !(6_000..=128_000).contains(&self.opus_bitrate) {
            return refuse("opus_bitrate must be 6 000 to 128 000");
        }
        if self.opus_complexity > 10 {
            return refuse("opus_complexity must be 0 to 10");
        }
        Ok(())
    }
}
