//! RTP packets (RFC 3550 §5.1), read without trust and written in place.

/// Bytes of a header without contributing sources or extension.
pub(crate) const HEADER: usize = 12;

/// A packet whose structure holds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RtpPacket<'a> {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

/// Reads a packet: version 2, contributing sources, one header extension, padding. `None` for anything malformed,
/// and for RTCP on the RTP port (payload types 64–95 with a marker, RFC 5761 §4), which was never offered.
pub(crate) fn parse(bytes: &[u8]) -> Option<RtpPacket<'_>> {
    let (head, _) = bytes.split_first_chunk::<HEADER>()?;
    if head[0] >> 6 != 2 || (192..=223).contains(&head[1]) {
        return None;
    }
    let contributing = usize::from(head[0] & 0x0f) * 4;
    let mut start = HEADER + contributing;
    if head[0] & 0x10 != 0 {
        let length = bytes.get(start + 2..start + 4)?;
        start += 4 + usize::from(u16::from_be_bytes([length[0], length[1]])) * 4;
    }
    let mut end = bytes.len();
    if head[0] & 0x20 != 0 {
        let padding = usize::from(*bytes.last()?);
        if padding == 0 {
            return None;
        }
        end = end.checked_sub(padding)?;
    }
    let payload = bytes.get(start..end)?;
    Some(RtpPacket {
        marker: head[1] & 0x80 != 0,
        payload_type: head[1] & 0x7f,
        sequence: u16::from_be_bytes([head[2], head[3]]),
        timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
        ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        payload,
    })
}

/// Writes a header without extensions.
pub(crate) fn write_header(
    out: &mut [u8; HEADER],
    marker: bool,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
) {
    out[0] = 0x80;
    out[1] = (payload_type & 0x7f) | if marker { 0x80 } else { 0 };
    out[2..4].copy_from_slice(&sequence.to_be_bytes());
    out[4..8].copy_from_slice(&timestamp.to_be_bytes());
    out[8..12].copy_from_slice(&ssrc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(extra: &[u8]) -> Vec<u8> {
        let mut header = [0u8; HEADER];
        write_header(&mut header, true, 8, 0xfffe, 0x0102_0304, 0xdead_beef);
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(extra);
        bytes
    }

    #[test]
    fn header_survives_a_round_trip() {
        let bytes = packet(&[1, 2, 3]);
        let read = parse(&bytes).expect("well formed");
        assert_eq!((read.marker, read.payload_type, read.sequence), (true, 8, 0xfffe));
        assert_eq!((read.timestamp, read.ssrc, read.payload), (0x0102_0304, 0xdead_beef, &[1u8, 2, 3][..]));
    }

    #[test]
    fn contributing_sources_extension_and_padding_are_not_sound() {
        let mut bytes = packet(&[]);
        bytes[0] = 0x80 | 0x20 | 0x10 | 2;
        bytes.extend_from_slice(&[9; 8]); // two contributing sources
        bytes.extend_from_slice(&[0xbe, 0xde, 0, 1, 7, 7, 7, 7]); // one extension word
        bytes.extend_from_slice(&[0x55; 4]);
        bytes.extend_from_slice(&[0, 0, 3]);
        assert_eq!(parse(&bytes).expect("well formed").payload, &[0x55; 4]);
    }

    #[test]
    fn lying_lengths_are_malformed() {
        let mut padded = packet(&[200]);
        padded[0] |= 0x20;
        assert_eq!(parse(&padded), None, "padding longer than the packet");
        let mut no_padding = packet(&[0]);
        no_padding[0] |= 0x20;
        assert_eq!(parse(&no_padding), None, "padding of zero");
        let mut extension = packet(&[0xbe, 0xde, 0xff, 0xff]);
        extension[0] |= 0x10;
        assert_eq!(parse(&extension), None, "extension longer than the packet");
        let mut contributing = packet(&[1, 2, 3]);
        contributing[0] |= 15;
        assert_eq!(parse(&contributing), None, "more contributing sources than bytes");
        let mut rtcp = packet(&[0; 16]);
        rtcp[1] = 200;
        assert_eq!(parse(&rtcp), None, "RTCP on the RTP port");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(read) = parse(&bytes) {
                prop_assert!(read.payload.len() + HEADER <= bytes.len());
            }
        }
    }
}
