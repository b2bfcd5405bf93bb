//! Speech for the demo through `espeak-ng` as a child process, and WAV files.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::codec::RATE;

/// Speaks `text` with an espeak-ng voice (e.g. `en-us`, `en-gb+f3`): 8 kHz samples. `None` if espeak-ng is not installed or fails; use tones
/// then. An unknown voice falls back to espeak-ng's own. Blocks for some 10 ms per sentence.
pub fn speak(text: &str, voice: &str) -> Option<Vec<i16>> {
    let mut child = Command::new("espeak-ng")
        .args(["--stdout", "-v", voice, "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take()?;
    let text = text.to_owned();
    // Written apart: a child that fills its output before it has read all its input would wait for ever.
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().ok()?;
    let written = writer.join().is_ok_and(|w| w.is_ok());
    if !written || !output.status.success() {
        return None;
    }
    wav_to_8k(&output.stdout).ok().filter(|s| !s.is_empty())
}

/// A 16-bit PCM WAV file of any rate and any number of channels as mono at 8 kHz.
pub fn wav_to_8k(file: &[u8]) -> Result<Vec<i16>, audio::wav::WavError> {
    let wav = audio::wav::read(file)?;
    let mono = audio::resample::to_mono(&wav.samples, usize::from(wav.channels));
    Ok(audio::resample::convert(&mono, wav.rate, RATE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{level_dbfs, rms_dbfs};

    #[test]
    fn a_stereo_file_of_another_rate_keeps_its_tone() {
        let stereo: Vec<i16> = (0..44_100)
            .flat_map(|i| {
                let s = (16_384.0 * (std::f64::consts::TAU * 1000.0 * f64::from(i) / 44_100.0).sin()) as i16;
                [s, s]
            })
            .collect();
        let file = audio::wav::write_interleaved(&stereo, 44_100, 2);
        let samples = wav_to_8k(&file).unwrap();
        assert_eq!(samples.len(), 8_000);
        assert!((level_dbfs(&samples[1_600..4_800], 1000) + 6.02).abs() < 0.2);
    }

    #[test]
    fn speech_is_audible_where_espeak_is_installed() {
        let installed = Command::new("espeak-ng").arg("--version").stdout(Stdio::null()).status().is_ok();
        let said = speak("The customer cannot hear this.", "en-us");
        assert_eq!(said.is_some(), installed);
        if let Some(samples) = said {
            assert!(samples.len() > 8_000 && rms_dbfs(&samples) > -40.0);
        }
    }
}
