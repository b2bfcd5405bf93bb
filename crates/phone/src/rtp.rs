//! RTP and RTCP on the wire (RFC 3550) and telephone events (RFC 4733): pure functions over bytes.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::codec::Codec;

/// An RTP header without extension or CSRC list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0–127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp in samples.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// What a payload is, as the receiver's negotiated payload types say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Speech in this codec.
    Audio(Codec),
    /// A telephone event.
    Event,
    /// A payload type nobody negotiated.
    Unknown,
}

/// A received packet with everything measurement needs. Cloning is cheap (the payload is shared).
#[derive(Debug, Clone)]
pub struct Packet {
    /// When it was read from its socket.
    pub at: Instant,
    /// Who sent it.
    pub from: SocketAddr,
    /// Its header.
    pub header: Header,
    /// What its payload type means.
    pub content: Content,
    /// Its payload.
    pub payload: Bytes,
}

impl Header {
    /// Appends header and payload to `out`.
    pub fn write(&self, payload: &[u8], out: &mut Vec<u8>) {
        out.push(0x80);
        out.push(self.payload_type & 0x7F | if self.marker { 0x80 } else { 0 });
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.timestamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(payload);
    }

    /// Reads a datagram: header and the payload's range. `None` if it is not well-formed RTP version 2.
    pub fn parse(data: &[u8]) -> Option<(Self, std::ops::Range<usize>)> {
        let (&first, &second) = (data.first()?, data.get(1)?);
        if first >> 6 != 2 {
            return None;
        }
        let mut start = 12 + 4 * usize::from(first & 0x0F);
        if first & 0x10 != 0 {
            start += 4 + 4 * usize::from(be16(data, start + 2)?);
        }
        let padding = if first & 0x20 != 0 { usize::from(*data.last()?).max(1) } else { 0 };
        let end = data.len().checked_sub(padding)?;
        if start > end {
            return None;
        }
        let header = Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence: be16(data, 2)?,
            timestamp: be32(data, 4)?,
            ssrc: be32(data, 8)?,
        };
        Some((header, start..end))
    }
}

pub(crate) fn be16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

pub(crate) fn be32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

/// One report about a received stream (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The stream reported on.
    pub ssrc: u32,
    /// Part of packets lost since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the beginning (24-bit signed).
    pub lost: i32,
    /// Highest sequence number with its cycle count.
    pub highest: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the last sender report's NTP time.
    pub last_sr: u32,
    /// Delay since that report in 1/65536 s.
    pub delay_since_sr: u32,
}

/// What a phone keeps of RTCP it received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rtcp {
    /// Sender report.
    SenderReport {
        /// Sender.
        ssrc: u32,
        /// NTP time, 32.32.
        ntp: u64,
        /// RTP time for that instant.
        rtp_timestamp: u32,
        /// Packets sent so far.
        packets: u32,
        /// Payload bytes sent so far.
        octets: u32,
        /// Reports on what the sender receives.
        blocks: Vec<ReportBlock>,
    },
    /// Receiver report.
    ReceiverReport {
        /// Reporter.
        ssrc: u32,
        /// Its reports.
        blocks: Vec<ReportBlock>,
    },
    /// Source description: canonical name.
    SourceDescription {
        /// Source.
        ssrc: u32,
        /// CNAME.
        cname: String,
    },
    /// Goodbye.
    Bye {
        /// Leaving source.
        ssrc: u32,
    },
    /// Any other packet type.
    Other(u8),
}

fn block(data: &[u8], at: usize) -> Option<ReportBlock> {
    let word = be32(data, at + 4)?;
    Some(ReportBlock {
        ssrc: be32(data, at)?,
        fraction_lost: (word >> 24) as u8,
        lost: ((word << 8) as i32) >> 8,
        highest: be32(data, at + 8)?,
        jitter: be32(data, at + 12)?,
        last_sr: be32(data, at + 16)?,
        delay_since_sr: be32(data, at + 20)?,
    })
}

/// Splits a compound RTCP datagram; stops at the first malformed part.
pub fn parse_rtcp(mut data: &[u8]) -> Vec<Rtcp> {
    let mut found = Vec::new();
    while data.len() >= 4 {
        let (Some(&first), Some(&kind), Some(words)) = (data.first(), data.get(1), be16(data, 2)) else { break };
        let length = 4 * (usize::from(words) + 1);
        let (Some(part), Some(rest)) = (data.get(..length), data.get(length..)) else { break };
        if first >> 6 != 2 {
            break;
        }
        let count = usize::from(first & 0x1F);
        match parse_rtcp_part(kind, count, part) {
            Some(p) => found.push(p),
            None => break,
        }
        data = rest;
    }
    found
}

fn parse_rtcp_part(kind: u8, count: usize, part: &[u8]) -> Option<Rtcp> {
    let blocks = |start: usize| (0..count).map(|i| block(part, start + 24 * i)).collect::<Option<Vec<_>>>();
    Some(match kind {
        200 => Rtcp::SenderReport {
            ssrc: be32(part, 4)?,
            ntp: (u64::from(be32(part, 8)?) << 32) | u64::from(be32(part, 12)?),
            rtp_timestamp: be32(part, 16)?,
            packets: be32(part, 20)?,
            octets: be32(part, 24)?,
            blocks: blocks(28)?,
        },
        201 => Rtcp::ReceiverReport { ssrc: be32(part, 4)?, blocks: blocks(8)? },
        202 if count > 0 => {
            let ssrc = be32(part, 4)?;
            let mut at = 8;
            let mut cname = String::new();
            while let (Some(&item), Some(&len)) = (part.get(at), part.get(at + 1)) {
                if item == 0 {
                    break;
                }
                if item == 1 {
                    cname = String::from_utf8_lossy(part.get(at + 2..at + 2 + usize::from(len))?).into_owned();
                }
                at += 2 + usize::from(len);
            }
            Rtcp::SourceDescription { ssrc, cname }
        }
        203 if count > 0 => Rtcp::Bye { ssrc: be32(part, 4)? },
        other => Rtcp::Other(other),
    })
}

/// A compound SR or RR with SDES (and BYE at the end of a stream).
pub struct Report<'a> {
    /// Our stream.
    pub ssrc: u32,
    /// If we sent since the last report: NTP time, RTP time, packets, octets.
    pub sender: Option<(u64, u32, u32, u32)>,
    /// The stream we receive, if any.
    pub block: Option<ReportBlock>,
    /// Canonical name.
    pub cname: &'a str,
    /// Append BYE.
    pub bye: bool,
}

impl Report<'_> {
    /// The datagram.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        let count = u8::from(self.block.is_some());
        let words = |body: usize| ((body / 4) as u16).to_be_bytes();
        let body = 4 + if self.sender.is_some() { 20 } else { 0 } + 24 * usize::from(count);
        out.extend_from_slice(&[0x80 | count, if self.sender.is_some() { 200 } else { 201 }]);
        out.extend_from_slice(&words(body));
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        if let Some((ntp, rtp, packets, octets)) = self.sender {
            out.extend_from_slice(&ntp.to_be_bytes());
            for v in [rtp, packets, octets] {
                out.extend_from_slice(&v.to_be_bytes());
            }
        }
        if let Some(b) = self.block {
            let lost = (u32::from(b.fraction_lost) << 24) | (b.lost as u32 & 0x00FF_FFFF);
            for v in [b.ssrc, lost, b.highest, b.jitter, b.last_sr, b.delay_since_sr] {
                out.extend_from_slice(&v.to_be_bytes());
            }
        }
        let name: Vec<u8> = self.cname.bytes().take(255).collect();
        let chunk = (4 + 2 + name.len() + 1).next_multiple_of(4);
        out.extend_from_slice(&[0x81, 202]);
        out.extend_from_slice(&words(chunk));
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&[1, name.len() as u8]);
        out.extend_from_slice(&name);
        out.resize(out.len() + chunk - 6 - name.len(), 0);
        if self.bye {
            out.extend_from_slice(&[0x81, 203, 0, 1]);
            out.extend_from_slice(&self.ssrc.to_be_bytes());
        }
        out
    }
}

/// Event code of a DTMF digit (RFC 4733 §3.2): 0–9, `*`, `#`, A–D.
pub fn digit_to_event(digit: char) -> Option<u8> {
    "0123456789*#ABCD".find(digit.to_ascii_uppercase()).map(|i| i as u8)
}

/// Digit of an event code 0–15.
pub fn event_to_digit(event: u8) -> Option<char> {
    "0123456789*#ABCD".chars().nth(usize::from(event))
}

/// A telephone-event payload: event, end bit, volume in −dBm0, duration in samples.
pub fn event_payload(event: u8, end: bool, volume: u8, duration: u16) -> [u8; 4] {
    let [high, low] = duration.to_be_bytes();
    [event, (volume & 0x3F) | if end { 0x80 } else { 0 }, high, low]
}

/// The digits in a stream: each event timestamp counts once, at its first packet that says it ended (RFC 4733 §2.5.1.4).
pub fn digits(packets: &[Packet]) -> String {
    let mut ended: Vec<(u32, u32)> = Vec::new();
    let mut found = String::new();
    for p in packets.iter().filter(|p| p.content == Content::Event) {
        let key = (p.header.ssrc, p.header.timestamp);
        let (Some(&event), Some(&flags)) = (p.payload.first(), p.payload.get(1)) else { continue };
        if flags & 0x80 != 0 && !ended.contains(&key) {
            ended.push(key);
            found.extend(event_to_digit(event));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trip_with_padding_extension_and_csrc() {
        let h = Header { marker: true, payload_type: 8, sequence: 65_535, timestamp: 0xFFFF_FF00, ssrc: 7 };
        let mut d = Vec::new();
        h.write(&[1, 2, 3], &mut d);
        assert_eq!(Header::parse(&d), Some((h, 12..15)));
        let mut full = vec![0x80 | 0x20 | 0x10 | 1, 0x88];
        full.extend_from_slice(&d[2..12]);
        full.extend_from_slice(&[9; 4]);
        full.extend_from_slice(&[0xBE, 0xDE, 0, 1, 0, 0, 0, 0]);
        full.extend_from_slice(&[1, 2, 3, 0, 2]);
        let (parsed, range) = Header::parse(&full).unwrap();
        assert_eq!((parsed, &full[range]), (h, &[1u8, 2, 3][..]));
    }

    #[test]
    fn truncated_or_hostile_datagrams_are_refused_without_panic() {
        let h = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: 1 };
        let mut d = Vec::new();
        h.write(&[0; 4], &mut d);
        for n in 0..12 {
            assert!(Header::parse(&d[..n]).is_none());
        }
        for first in 0..=255u8 {
            for last in [0u8, 1, 5, 200, 255] {
                let mut x = d.clone();
                x[0] = first;
                *x.last_mut().unwrap() = last;
                let _ = Header::parse(&x);
                let _ = parse_rtcp(&x);
            }
        }
    }

    #[test]
    fn rtcp_compound_round_trip() {
        let b = ReportBlock {
            ssrc: 5,
            fraction_lost: 3,
            lost: -2,
            highest: 70_000,
            jitter: 9,
            last_sr: 1,
            delay_since_sr: 2,
        };
        for sender in [None, Some((1 << 40, 160, 2, 320))] {
            let r = Report { ssrc: 77, sender, block: Some(b), cname: "a@127.0.0.1", bye: true }.to_bytes();
            assert_eq!(r.len() % 4, 0);
            let parts = parse_rtcp(&r);
            match (&parts[0], sender) {
                (Rtcp::SenderReport { ssrc: 77, packets: 2, octets: 320, rtp_timestamp: 160, blocks, .. }, Some(_)) => {
                    assert_eq!(blocks, &[b])
                }
                (Rtcp::ReceiverReport { ssrc: 77, blocks }, None) => assert_eq!(blocks, &[b]),
                other => panic!("{other:?}"),
            }
            assert_eq!(parts[1], Rtcp::SourceDescription { ssrc: 77, cname: "a@127.0.0.1".into() });
            assert_eq!(parts[2], Rtcp::Bye { ssrc: 77 });
        }
    }

    #[test]
    fn a_digit_sent_with_three_end_packets_counts_once() {
        let mut packets = Vec::new();
        for (ts, digit) in [(100u32, '5'), (2000, '5'), (4000, '#')] {
            for (end, duration) in [(false, 160), (true, 320), (true, 320), (true, 320)] {
                packets.push(Packet {
                    at: Instant::now(),
                    from: ([127, 0, 0, 1], 1).into(),
                    header: Header {
                        marker: false,
                        payload_type: 101,
                        sequence: packets.len() as u16,
                        timestamp: ts,
                        ssrc: 1,
                    },
                    content: Content::Event,
                    payload: Bytes::copy_from_slice(&event_payload(digit_to_event(digit).unwrap(), end, 10, duration)),
                });
            }
        }
        assert_eq!(digits(&packets), "55#");
    }
}
