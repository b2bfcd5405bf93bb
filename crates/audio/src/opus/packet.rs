//! What an Opus packet says of itself (RFC 6716 §3), without decoding it.

use super::OpusError;

/// Samples of one frame at 48 kHz, by the five configuration bits of the table of contents (RFC 6716 §3.1, table 2).
fn frame_samples(toc: u8) -> usize {
    let config = usize::from(toc >> 3);
    match config {
        0..12 => [480, 960, 1_920, 2_880][config % 4],
        12..16 => [480, 960][config % 2],
        _ => [120, 240, 480, 960][config % 4],
    }
}

/// The bytes of a length at the start of `data`, and the length (RFC 6716 §3.2.1).
fn length(data: &[u8]) -> Option<(usize, usize)> {
    match *data.first()? {
        first @ 0..252 => Some((1, usize::from(first))),
        first => Some((2, usize::from(*data.get(1)?) * 4 + usize::from(first))),
    }
}

/// A packet's samples, and the bytes of its first frame.
struct Frames<'a> {
    samples: usize,
    first: &'a [u8],
}

/// Longest frame, bytes.
const LONGEST_FRAME: usize = 1_275;

fn parse(packet: &[u8]) -> Result<Frames<'_>, &'static str> {
    let (&toc, body) = packet.split_first().ok_or("it is empty")?;
    let each = frame_samples(toc);
    let (count, first) = match toc & 3 {
        0 => (1, body),
        1 if body.len().is_multiple_of(2) => (2, &body[..body.len() / 2]),
        1 => return Err("its two frames are not of equal length"),
        2 => {
            let (used, len) = length(body).ok_or("the length of its first frame is cut off")?;
            let first = body.get(used..used + len).ok_or("its first frame is longer than the packet")?;
            if body.len() - used - len > LONGEST_FRAME {
                return Err("a frame is longer than 1275 bytes");
            }
            (2, first)
        }
        _ => arbitrary(body)?,
    };
    if first.len() > LONGEST_FRAME {
        return Err("a frame is longer than 1275 bytes");
    }
    if count * each > super::LONGEST_PACKET {
        return Err("it is longer than 120 ms");
    }
    Ok(Frames { samples: count * each, first })
}

/// A packet of a told number of frames, with padding (RFC 6716 §3.2.5): their number and the first.
fn arbitrary(body: &[u8]) -> Result<(usize, &[u8]), &'static str> {
    let (&head, mut rest) = body.split_first().ok_or("its frame count is cut off")?;
    let count = usize::from(head & 0x3F);
    if count == 0 || count > 48 {
        return Err("it has no frames, or more than 48");
    }
    if head & 0x40 != 0 {
        let mut padding = 0;
        loop {
            let (&byte, after) = rest.split_first().ok_or("its padding is cut off")?;
            rest = after;
            padding += usize::from(byte.min(254));
            if byte < 255 {
                break;
            }
        }
        let kept = rest.len().checked_sub(padding).ok_or("its padding is longer than the packet")?;
        rest = &rest[..kept];
    }
    if head & 0x80 == 0 {
        if !rest.len().is_multiple_of(count) {
            return Err("its frames are not of equal length");
        }
        return Ok((count, &rest[..rest.len() / count]));
    }
    let (mut first, mut total) = (0, 0);
    for frame in 1..count {
        let (used, len) = length(rest).ok_or("the length of a frame is cut off")?;
        rest = &rest[used..];
        if frame == 1 {
            first = len;
        }
        total += len;
    }
    let last = rest.len().checked_sub(total).ok_or("its frames are longer than the packet")?;
    if last > LONGEST_FRAME {
        return Err("a frame is longer than 1275 bytes");
    }
    Ok((count, &rest[..if count == 1 { last } else { first }]))
}

/// Samples of a packet at 48 kHz: 120 (2.5 ms) to 5760 (120 ms).
pub fn packet_samples(packet: &[u8]) -> Result<usize, OpusError> {
    parse(packet).map(|frames| frames.samples).map_err(|reason| OpusError::Malformed { bytes: packet.len(), reason })
}

/// Whether a packet holds redundancy of the frame before it (LBRR, RFC 6716 §4.2.4). False for a malformed one.
pub fn has_fec(packet: &[u8]) -> bool {
    let (Some(&toc), Ok(frames)) = (packet.first(), parse(packet)) else { return false };
    let (Some(&flags), true) = (frames.first.first(), toc >> 3 < 16) else { return false };
    // One voice flag per 20 ms, then the redundancy flag; stereo has both again for the side.
    let voices = (frame_samples(toc) / 960).max(1);
    let mid = flags >> (7 - voices) & 1 == 1;
    let side = toc & 4 != 0 && flags >> (6 - 2 * voices) & 1 == 1;
    mid || side
}

/// Whether a packet only says that its sender pauses: a table of contents and at most one byte.
pub fn is_dtx(packet: &[u8]) -> bool {
    matches!(packet.len(), 1 | 2)
}
