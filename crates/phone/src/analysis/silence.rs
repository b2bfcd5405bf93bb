//! The exact proof of silence: every byte of every payload is the codec's silence word.

use std::time::Instant;

use crate::codec::Codec;
use crate::rtp::{Content, Packet};

/// The first byte that was not silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not silent: packet {packet}, byte {byte} is {value:#04x} instead of {silence:#04x}")]
pub struct FirstLeak {
    /// Index of the packet among those given.
    pub packet: usize,
    /// Index of the byte in its payload.
    pub byte: usize,
    /// What it is.
    pub value: u8,
    /// What it should be.
    pub silence: u8,
    /// When the packet arrived, if known.
    pub at: Option<Instant>,
}

/// Checks bare payloads of one codec.
pub fn exact_silence_payloads<'a>(payloads: impl IntoIterator<Item = &'a [u8]>, codec: Codec) -> Result<(), FirstLeak> {
    for (packet, payload) in payloads.into_iter().enumerate() {
        first_byte(packet, payload, codec.silence_word(), None)?;
    }
    Ok(())
}

/// Checks received packets, each against the silence word of its own codec. Telephone events are skipped (they are judged by
/// [`digits`](crate::rtp::digits)); a payload type nobody negotiated is a leak at its first byte, since it cannot be judged.
pub fn exact_silence(packets: &[Packet]) -> Result<(), FirstLeak> {
    for (packet, p) in packets.iter().enumerate() {
        match p.content {
            Content::Audio(codec) => first_byte(packet, &p.payload, codec.silence_word(), Some(p.at))?,
            Content::Event => {}
            Content::Unknown => {
                let value = p.payload.first().copied().unwrap_or(0);
                return Err(FirstLeak { packet, byte: 0, value, silence: 0, at: Some(p.at) });
            }
        }
    }
    Ok(())
}

fn first_byte(packet: usize, payload: &[u8], silence: u8, at: Option<Instant>) -> Result<(), FirstLeak> {
    match payload.iter().enumerate().find(|&(_, &b)| b != silence) {
        Some((byte, &value)) => Err(FirstLeak { packet, byte, value, silence, at }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_byte_anywhere_is_found_and_located() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16] {
            let mut payloads = vec![codec.encode(&[0; 160]); 250];
            let check = |p: &[Vec<u8>]| exact_silence_payloads(p.iter().map(Vec::as_slice), codec);
            assert_eq!(check(&payloads), Ok(()));
            payloads[249][159] ^= 1;
            let leak = check(&payloads).unwrap_err();
            assert_eq!((leak.packet, leak.byte, leak.value), (249, 159, codec.silence_word() ^ 1));
        }
    }

    #[test]
    fn the_negative_zero_of_mu_law_is_not_the_silence_word() {
        assert!(exact_silence_payloads([&[0x7F][..]], Codec::Pcmu).is_err());
    }
}
