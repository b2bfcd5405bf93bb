//! A minimal RIFF/WAVE reader and writer for 16-bit PCM, for tests and the demo.

use std::fmt;

/// Decoded 16-bit PCM audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wav {
    /// Sampling rate in Hz.
    pub rate: u32,
    /// Channels; samples are interleaved.
    pub channels: u16,
    /// Interleaved samples.
    pub samples: Vec<i16>,
}

/// Why a file could not be read as WAVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WavError {
    /// The file does not begin with a RIFF/WAVE header.
    NotWave,
    /// No `fmt ` chunk came before the samples.
    NoFormat,
    /// No `data` chunk.
    NoData,
    /// A format other than 16-bit PCM: format tag and bits per sample.
    Unsupported(u16, u16),
}

impl fmt::Display for WavError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WavError::NotWave => write!(f, "not a RIFF/WAVE file: convert it to 16-bit PCM WAV"),
            WavError::NoFormat => write!(f, "WAVE file without a fmt chunk: it is damaged, export it again"),
            WavError::NoData => write!(f, "WAVE file without a data chunk: it is damaged, export it again"),
            WavError::Unsupported(tag, bits) => {
                write!(f, "WAVE format {tag} with {bits} bits is not supported: convert it to 16-bit PCM")
            }
        }
    }
}

impl std::error::Error for WavError {}

/// A mono 16-bit file.
pub fn write(samples: &[i16], rate: u32) -> Vec<u8> {
    write_interleaved(samples, rate, 1)
}

/// A 16-bit file of interleaved channels. `channels` 0 counts as 1.
pub fn write_interleaved(samples: &[i16], rate: u32, channels: u16) -> Vec<u8> {
    let channels = channels.max(1);
    let bytes = (samples.len() * 2) as u32;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36u32.wrapping_add(bytes)).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&rate.wrapping_mul(2 * channels as u32).to_le_bytes());
    file.extend_from_slice(&(2 * channels).to_le_bytes());
    file.extend_from_slice(&16u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&bytes.to_le_bytes());
    for sample in samples {
        file.extend_from_slice(&sample.to_le_bytes());
    }
    file
}

/// Reads a 16-bit PCM file. A data chunk that claims more than the file holds is read as far as it goes.
pub fn read(file: &[u8]) -> Result<Wav, WavError> {
    if file.get(..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err(WavError::NotWave);
    }
    let mut rest = &file[12..];
    let mut format = None;
    while let Some((header, body)) = rest.split_at_checked(8) {
        let size = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let chunk = &body[..size.min(body.len())];
        match &header[..4] {
            b"fmt " if chunk.len() >= 16 => {
                let word = |at: usize| u16::from_le_bytes([chunk[at], chunk[at + 1]]);
                let rate = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
                // 0xFFFE is WAVE_FORMAT_EXTENSIBLE: the real tag opens the sub-format.
                let tag = if word(0) == 0xFFFE && chunk.len() >= 26 { word(24) } else { word(0) };
                if tag != 1 || word(14) != 16 || word(2) == 0 || rate == 0 {
                    return Err(WavError::Unsupported(tag, word(14)));
                }
                format = Some((rate, word(2)));
            }
            b"data" => {
                let (rate, channels) = format.ok_or(WavError::NoFormat)?;
                let samples = chunk.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
                return Ok(Wav { rate, channels, samples });
            }
            _ => {}
        }
        // Chunks are padded to even sizes.
        rest = body.get(size.saturating_add(size & 1)..).unwrap_or(&[]);
    }
    Err(if format.is_some() { WavError::NoData } else { WavError::NoFormat })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back(samples: Vec<i16>, rate in 1u32..200_000) {
            prop_assert_eq!(read(&write(&samples, rate)), Ok(Wav { rate, channels: 1, samples }));
        }

        #[test]
        fn a_damaged_file_is_an_error_or_a_part_never_a_panic(
            samples in prop::collection::vec(any::<i16>(), 0..50),
            cut in 0usize..200,
            flips in prop::collection::vec((0usize..144, any::<u8>()), 0..6),
        ) {
            let mut file = write(&samples, 8_000);
            for (at, value) in flips { if let Some(b) = file.get_mut(at) { *b = value; } }
            file.truncate(cut);
            let _ = read(&file);
        }
    }

    #[test]
    fn unknown_chunks_are_skipped_and_other_formats_refused() {
        let plain = write(&[1, -2, 3], 8_000);
        let mut file = plain[..12].to_vec();
        file.extend_from_slice(b"LIST\x03\0\0\0abc\0");
        file.extend_from_slice(&plain[12..]);
        assert_eq!(read(&file).map(|w| w.samples), Ok(vec![1, -2, 3]));
        let mut mu_law = plain.clone();
        mu_law[20] = 7;
        assert_eq!(read(&mu_law), Err(WavError::Unsupported(7, 16)));
        assert_eq!(read(b"OggS"), Err(WavError::NotWave));
    }
}
