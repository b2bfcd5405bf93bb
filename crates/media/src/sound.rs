//! Sounds for players: files decoded when they are fetched, never in the tick.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Sampling rate of every sound, in Hz.
pub const SOUND_RATE: u32 = 8_000;

/// Mono 16-bit samples at 8 kHz, shared between players.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    samples: Arc<[i16]>,
}

/// How much a file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SoundLimits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Length of what it plays.
    pub duration: Duration,
}

impl Default for SoundLimits {
    fn default() -> Self {
        Self { bytes: 32 << 20, duration: Duration::from_secs(1_800) }
    }
}

/// Why a file did not become a sound.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// The file is larger than allowed.
    #[error("the audio file has {bytes} bytes, more than the {limit} allowed; use a shorter or compressed file")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The sound is longer than allowed.
    #[error("the audio file plays for more than the {} s allowed; use a shorter file", .0.as_secs())]
    TooLong(Duration),
    /// Neither WAV nor MP3, or damaged beyond reading.
    #[error("the audio file cannot be read ({0}); use WAV or MP3")]
    Unreadable(String),
    /// Nothing in it to play.
    #[error("the audio file holds no sound")]
    Empty,
    /// A sampling rate nothing speaks.
    #[error("the audio file has a sampling rate of {0} Hz; use 8 000 to 192 000 Hz")]
    Rate(u32),
}

impl Sound {
    /// A sound of 8 kHz mono samples.
    #[must_use]
    pub fn from_samples(samples: &[i16]) -> Self {
        Self { samples: samples.into() }
    }

    /// `duration` of digital silence (at most an hour), as for a pause.
    #[must_use]
    pub fn silence(duration: Duration) -> Self {
        let samples = duration.min(Duration::from_secs(3_600)).as_millis() as usize * 8;
        Self { samples: vec![0; samples].into() }
    }

    /// Decodes a WAV (PCM, float, G.711, ADPCM) or MP3 file, whichever it is: channels averaged, resampled to 8 kHz.
    /// Takes CPU time in proportion to the file; call it off any async executor's core threads.
    ///
    /// # Errors
    /// What [`SoundError`] says; damaged packets inside a readable file are skipped.
    pub fn decode(file: Vec<u8>, limits: SoundLimits) -> Result<Self, SoundError> {
        if file.len() > limits.bytes {
            return Err(SoundError::TooLarge { bytes: file.len(), limit: limits.bytes });
        }
        let unreadable = |error: Error| SoundError::Unreadable(error.to_string());
        let stream = MediaSourceStream::new(Box::new(Cursor::new(file)), Default::default());
        let mut format = symphonia::default::get_probe()
            .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(unreadable)?;
        let track = format.default_track(TrackType::Audio).ok_or(SoundError::Empty)?;
        let id = track.id;
        let parameters = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or(SoundError::Empty)?;
        let mut decoder = symphonia::default::get_codecs()
            .make_audio_decoder(parameters, &AudioDecoderOptions::default())
            .map_err(unreadable)?;
        let mut mono: Vec<i16> = Vec::new();
        let mut interleaved: Vec<i16> = Vec::new();
        let mut rate = 0;
        loop {
            let packet = match format.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) | Err(Error::ResetRequired) => break,
                // A file cut short plays as far as it goes.
                Err(Error::IoError(_) | Error::DecodeError(_)) if !mono.is_empty() => break,
                Err(error) => return Err(unreadable(error)),
            };
            if packet.track_id != id {
                continue;
            }
            let decoded = match decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(Error::DecodeError(_) | Error::IoError(_)) => continue,
                Err(error) => return Err(unreadable(error)),
            };
            let spec = decoded.spec();
            if rate == 0 {
                rate = spec.rate();
                if !(SOUND_RATE..=192_000).contains(&rate) {
                    return Err(SoundError::Rate(rate));
                }
            }
            let channels = spec.channels().count().max(1);
            interleaved.resize(decoded.samples_interleaved(), 0);
            decoded.copy_to_slice_interleaved(&mut interleaved);
            if channels == 1 {
                mono.extend_from_slice(&interleaved);
            } else {
                mono.extend(audio::resample::to_mono(&interleaved, channels));
            }
            if mono.len() as u128 > limits.duration.as_millis() * u128::from(rate) / 1_000 {
                return Err(SoundError::TooLong(limits.duration));
            }
        }
        if mono.is_empty() {
            return Err(SoundError::Empty);
        }
        let samples = if rate == SOUND_RATE { mono } else { audio::resample::convert(&mono, rate, SOUND_RATE) };
        if samples.is_empty() { Err(SoundError::Empty) } else { Ok(Self { samples: samples.into() }) }
    }

    /// The samples, 8 kHz mono.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// How long it plays.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.samples.len() as u64 * 125)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, seconds: usize) -> Vec<i16> {
        let mut samples = vec![0; rate as usize * seconds];
        audio::Tone::new(440.0, -10.0, rate).fill(&mut samples);
        samples
    }

    #[test]
    fn an_8_khz_wav_keeps_every_sample() {
        let samples = tone(8_000, 1);
        let sound = Sound::decode(audio::wav::write(&samples, 8_000), SoundLimits::default()).expect("decodes");
        assert_eq!(sound.samples(), &samples[..]);
        assert_eq!(sound.duration(), Duration::from_secs(1));
    }

    #[test]
    fn stereo_at_44_1_khz_becomes_8_khz_mono_of_the_same_length() {
        let mono = tone(44_100, 2);
        let stereo: Vec<i16> = mono.iter().flat_map(|s| [*s, *s]).collect();
        let file = audio::wav::write_interleaved(&stereo, 44_100, 2);
        let sound = Sound::decode(file, SoundLimits::default()).expect("decodes");
        assert!(sound.samples().len().abs_diff(16_000) <= 2, "{}", sound.samples().len());
        let level = audio::level::rms_dbfs(&sound.samples()[1_000..15_000]);
        assert!((level + 10.0).abs() < 0.5, "{level} dBFS");
    }

    #[test]
    fn limits_and_rubbish_are_errors_not_panics() {
        let file = audio::wav::write(&tone(8_000, 3), 8_000);
        let tight = SoundLimits { duration: Duration::from_secs(2), ..SoundLimits::default() };
        assert!(matches!(Sound::decode(file.clone(), tight), Err(SoundError::TooLong(_))));
        let small = SoundLimits { bytes: 100, ..SoundLimits::default() };
        assert!(matches!(Sound::decode(file.clone(), small), Err(SoundError::TooLarge { .. })));
        assert!(Sound::decode(vec![7; 5_000], SoundLimits::default()).is_err());
        assert!(Sound::decode(Vec::new(), SoundLimits::default()).is_err());
        let cut = file[..file.len() / 2].to_vec();
        assert!(Sound::decode(cut, SoundLimits::default()).is_ok_and(|s| s.samples().len() > 8_000));
    }
}
