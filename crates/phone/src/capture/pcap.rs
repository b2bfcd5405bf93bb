//! Classic pcap files (as tcpdump writes them): UDP datagrams over Ethernet, Linux cooked, loopback or raw IP, read as RTP streams.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use crate::codec::Codec;
use crate::rtp::{Content, Header, Packet, be16};

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// Another format.
    #[error("not a classic pcap file (magic {0:#010x}); write it with tcpdump -w, pcapng is not read")]
    NotPcap(u32),
    /// A link layer we do not read.
    #[error("link type {0} is not read; capture on Ethernet, loopback or any")]
    LinkType(u32),
    /// Cut off in the header.
    #[error("file ends within its header")]
    Short,
}

#[derive(Debug, Clone)]
struct Datagram {
    at: Instant,
    from: SocketAddr,
    to: SocketAddr,
    data: Bytes,
}

/// The UDP datagrams of a capture. Fragments and everything else are skipped and counted.
#[derive(Debug, Clone)]
pub struct Pcap {
    datagrams: Vec<Datagram>,
    /// Frames that are not whole UDP datagrams.
    pub skipped: usize,
}

/// One RTP stream found in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// SSRC.
    pub ssrc: u32,
    /// Payload type of its first packet.
    pub payload_type: u8,
    /// Packets.
    pub packets: usize,
}

/// Maps wall-clock stamps to this process's clock, so that captured packets compare with commands given here.
struct Clock {
    wall: Duration,
    monotonic: Instant,
}

impl Clock {
    fn instant(&self, stamp: Duration) -> Instant {
        match self.wall.checked_sub(stamp) {
            Some(ago) => self.monotonic.checked_sub(ago).unwrap_or(self.monotonic),
            None => self.monotonic + (stamp - self.wall),
        }
    }
}

impl Pcap {
    /// Reads a capture. A last frame that is cut off (the capture still runs) is left out.
    ///
    /// Arrival times are mapped to this process's monotonic clock by the wall clock now; captures older than the machine's uptime keep their
    /// distances only if they fit before that, so such a capture is laid out from now on instead.
    pub fn parse(file: &[u8]) -> Result<Self, PcapError> {
        let word = |at: usize| -> Option<[u8; 4]> { file.get(at..at + 4)?.try_into().ok() };
        let magic = word(0).ok_or(PcapError::Short)?;
        let (big, nanos) = match u32::from_le_bytes(magic) {
            0xA1B2_C3D4 => (false, false),
            0xA1B2_3C4D => (false, true),
            0xD4C3_B2A1 => (true, false),
            0x4D3C_B2A1 => (true, true),
            other => return Err(PcapError::NotPcap(other)),
        };
        let number = |at: usize| word(at).map(|w| if big { u32::from_be_bytes(w) } else { u32::from_le_bytes(w) });
        let link = number(20).ok_or(PcapError::Short)? & 0xFFFF;
        if !matches!(link, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 276) {
            return Err(PcapError::LinkType(link));
        }
        let mut clock =
            Clock { wall: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), monotonic: Instant::now() };
        let (mut datagrams, mut skipped, mut at) = (Vec::new(), 0, 24);
        while let (Some(seconds), Some(part), Some(length)) = (number(at), number(at + 4), number(at + 8)) {
            let fraction =
                if nanos { Duration::from_nanos(u64::from(part)) } else { Duration::from_micros(u64::from(part)) };
            let stamp = Duration::from_secs(u64::from(seconds)) + fraction;
            let Some(frame) = file.get(at + 16..(at + 16).saturating_add(length as usize)) else { break };
            at += 16 + length as usize;
            let too_old = clock.wall.checked_sub(stamp).is_some_and(|ago| clock.monotonic.checked_sub(ago).is_none());
            if datagrams.is_empty() && too_old {
                clock.wall = stamp;
            }
            match udp(link, frame) {
                Some((from, to, data)) => {
                    datagrams.push(Datagram { at: clock.instant(stamp), from, to, data: Bytes::copy_from_slice(data) })
                }
                None => skipped += 1,
            }
        }
        Ok(Self { datagrams, skipped })
    }

    /// All RTP streams with at least `least` packets, in order of appearance. Anything that looks like RTP counts, so give a few packets.
    pub fn streams(&self, least: usize) -> Vec<Stream> {
        let mut found: Vec<Stream> = Vec::new();
        for d in &self.datagrams {
            let Some((h, _)) = Header::parse(&d.data).filter(|(h, _)| !(64..96).contains(&h.payload_type)) else {
                continue;
            };
            match found.iter_mut().find(|s| (s.from, s.to, s.ssrc) == (d.from, d.to, h.ssrc)) {
                Some(s) => s.packets += 1,
                None => found.push(Stream {
                    from: d.from,
                    to: d.to,
                    ssrc: h.ssrc,
                    payload_type: h.payload_type,
                    packets: 1,
                }),
            }
        }
        found.retain(|s| s.packets >= least);
        found
    }

    /// RTP that was sent to a UDP port, as an ear there would have received it. `types` names dynamic payload types; 0, 8 and 101 (events) are known.
    pub fn to_port(&self, port: u16, types: &[(u8, Content)]) -> Vec<Packet> {
        self.rtp(types, |d| d.to.port() == port)
    }

    /// RTP that was sent from a UDP port: what that phone said.
    pub fn from_port(&self, port: u16, types: &[(u8, Content)]) -> Vec<Packet> {
        self.rtp(types, |d| d.from.port() == port)
    }

    fn rtp(&self, types: &[(u8, Content)], wanted: impl Fn(&Datagram) -> bool) -> Vec<Packet> {
        let mut packets: Vec<Packet> = self
            .datagrams
            .iter()
            .filter(|d| wanted(d))
            .filter_map(|d| {
                let (header, range) = Header::parse(&d.data)?;
                let named = types.iter().find(|(t, _)| *t == header.payload_type).map(|(_, c)| *c);
                let content = named.unwrap_or(match header.payload_type {
                    0 => Content::Audio(Codec::Pcmu),
                    8 => Content::Audio(Codec::Pcma),
                    101 => Content::Event,
                    _ => Content::Unknown,
                });
                Some(Packet { at: d.at, from: d.from, header, content, payload: d.data.slice(range) })
            })
            .collect();
        packets.sort_by_key(|p| p.at);
        packets
    }
}

fn udp(link: u32, frame: &[u8]) -> Option<(SocketAddr, SocketAddr, &[u8])> {
    let ip = match link {
        0 | 108 => frame.get(4..)?,
        1 => {
            let mut kind = be16(frame, 12)?;
            let mut at = 14;
            while matches!(kind, 0x8100 | 0x88A8) {
                kind = be16(frame, at + 2)?;
                at += 4;
            }
            matches!(kind, 0x0800 | 0x86DD).then(|| frame.get(at..)).flatten()?
        }
        113 => frame.get(16..)?,
        276 => frame.get(20..)?,
        _ => frame,
    };
    let (from, to, rest): (IpAddr, IpAddr, &[u8]) = match ip.first()? >> 4 {
        4 => {
            let header = 4 * usize::from(ip.first()? & 0x0F);
            let total = usize::from(be16(ip, 2)?);
            let fragment = be16(ip, 6)? & 0x3FFF;
            if *ip.get(9)? != 17 || fragment != 0 || header < 20 {
                return None;
            }
            let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(ip.get(at..at + 4)?).ok()?));
            (address(12)?.into(), address(16)?.into(), ip.get(header..total)?)
        }
        6 => {
            if *ip.get(6)? != 17 {
                return None;
            }
            let address = |at: usize| Some(Ipv6Addr::from(<[u8; 16]>::try_from(ip.get(at..at + 16)?).ok()?));
            (address(8)?.into(), address(24)?.into(), ip.get(40..40 + usize::from(be16(ip, 4)?))?)
        }
        _ => return None,
    };
    let length = usize::from(be16(rest, 4)?);
    Some((SocketAddr::new(from, be16(rest, 0)?), SocketAddr::new(to, be16(rest, 2)?), rest.get(8..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Track, continuity, levels_20ms};
    use crate::rtp::Header;

    fn ipv4_udp(from: u16, to: u16, data: &[u8]) -> Vec<u8> {
        let total = (28 + data.len()) as u16;
        let mut p = vec![0x45, 0];
        p.extend_from_slice(&total.to_be_bytes());
        p.extend_from_slice(&[0, 0, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
        for v in [from, to, 8 + data.len() as u16, 0] {
            p.extend_from_slice(&v.to_be_bytes());
        }
        p.extend_from_slice(data);
        p
    }

    fn capture(link: u32, big: bool, nanos: bool) -> Vec<u8> {
        let n = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
        let mut f = Vec::new();
        f.extend_from_slice(&n(if nanos { 0xA1B2_3C4D } else { 0xA1B2_C3D4 }));
        f.extend_from_slice(&[0; 16]);
        f.extend_from_slice(&n(link));
        let tone: Vec<i16> = (0..160)
            .map(|i| (10_362.0 * (std::f64::consts::TAU * 1000.0 * f64::from(i) / 8000.0).sin()) as i16)
            .collect();
        for i in 0..50u16 {
            let mut rtp = Vec::new();
            let h = Header { marker: i == 0, payload_type: 8, sequence: i, timestamp: u32::from(i) * 160, ssrc: 9 };
            h.write(&Codec::Pcma.encode(&tone), &mut rtp);
            let ip = ipv4_udp(4000, 5000, &rtp);
            let mut frame = match link {
                1 => [&[0u8; 12][..], &[0x81, 0, 0, 5, 8, 0]].concat(),
                0 => vec![2, 0, 0, 0],
                113 => vec![0; 16],
                276 => vec![0; 20],
                _ => Vec::new(),
            };
            frame.extend(ip);
            let micros = u32::from(i) * 20_000;
            for v in [1_700_000_000, if nanos { micros * 1000 } else { micros }, frame.len() as u32, frame.len() as u32]
            {
                f.extend_from_slice(&n(v));
            }
            f.extend(frame);
        }
        f
    }

    #[test]
    fn every_link_layer_and_byte_order_gives_the_same_stream() {
        for link in [0, 1, 101, 113, 276] {
            for (big, nanos) in [(false, false), (true, false), (false, true)] {
                let p = Pcap::parse(&capture(link, big, nanos)).unwrap();
                let streams = p.streams(10);
                assert_eq!((streams.len(), streams[0].packets, streams[0].ssrc), (1, 50, 9));
                let heard = p.to_port(5000, &[]);
                assert!(continuity(&heard).is_perfect());
                assert_eq!(heard[49].at - heard[0].at, Duration::from_millis(980));
                assert!((levels_20ms(&Track::complete(&heard).unwrap().samples, 1000).median() + 10.0).abs() < 0.5);
                assert!(p.to_port(4000, &[]).is_empty() && p.from_port(4000, &[]).len() == 50);
            }
        }
    }

    #[test]
    fn cut_or_damaged_files_are_errors_or_parts_never_panics() {
        let whole = capture(1, false, false);
        for n in (0..whole.len()).step_by(13) {
            let _ = Pcap::parse(&whole[..n]);
            let mut flipped = whole.clone();
            flipped[n] ^= 0xFF;
            if let Ok(p) = Pcap::parse(&flipped) {
                let _ = (p.streams(1), p.to_port(5000, &[]));
            }
        }
        assert_eq!(Pcap::parse(&whole[..whole.len() - 1]).unwrap().to_port(5000, &[]).len(), 49);
        assert!(matches!(Pcap::parse(&[0x0A, 0x0D, 0x0D, 0x0A]), Err(PcapError::NotPcap(_))));
    }
}
