//! The words on streams of sound, as the engine says them.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use call::dialect::{CallView, MemberView};
use call::stream::{Clip, Said, Words};
use call::verb::{Stream, StreamMix};

use crate::audio::{self, ClipFormat, FromProgram};
use crate::call_info::{call_info, object};
use crate::json::Object;

/// The words of this dialect.
pub(crate) fn words() -> Arc<dyn Words> {
    Arc::new(Drachtio)
}

struct Drachtio;

impl Words for Drachtio {
    fn subprotocol(&self) -> &'static str {
        audio::SUBPROTOCOL
    }

    fn first(&self, call: &CallView, stream: &Stream) -> String {
        let mix = match stream.mix {
            StreamMix::Inbound => "mono",
            StreamMix::Stereo => "stereo",
            StreamMix::Mixed => "mixed",
        };
        let own = stream.metadata.as_deref().and_then(object);
        audio::metadata(&call_info(call), stream.sample_rate, mix, own.as_ref()).to_string()
    }

    fn member(&self, member: &MemberView) -> String {
        let mut data = Object::new();
        data.set("call_sid", member.call_uuid.as_str());
        data.set("memberId", member.number.to_string());
        data.set("label", member.address.as_str());
        data.set(
            "memberTag",
            member.tag.as_ref().map(|tag| tag.as_str()).or(member.role.map(|role| role.as_str())).unwrap_or_default(),
        );
        let mut frame = Object::new();
        frame.set("type", "member");
        frame.set("data", data);
        frame.to_string()
    }

    fn read(&self, text: &str) -> Result<Said, String> {
        Ok(match audio::read(text).map_err(|error| error.to_string())? {
            FromProgram::PlayAudio(clip) => Said::Play(decoded(&clip)?),
            FromProgram::KillAudio => Said::Kill,
            FromProgram::Disconnect => Said::Disconnect,
            FromProgram::Mark(name) => Said::Mark(name),
            FromProgram::ClearMarks => Said::ClearMarks,
        })
    }

    fn digit(&self, key: char, milliseconds: u64) -> String {
        audio::dtmf(key, u32::try_from(milliseconds).unwrap_or(u32::MAX)).to_string()
    }

    fn played(&self, id: Option<&str>) -> String {
        audio::play_done(id).to_string()
    }

    fn mark(&self, name: &str, cleared: bool) -> String {
        audio::mark(name, cleared).to_string()
    }
}

/// The samples of a clip.
fn decoded(clip: &audio::Clip) -> Result<Clip, String> {
    let bytes = BASE64_STANDARD.decode(clip.content.trim());
    let bytes = bytes.map_err(|error| format!("audioContent is not base64: {error}; encode the bytes of the sound"))?;
    let (samples, rate) = match clip.format {
        ClipFormat::Raw => {
            let samples = bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
            (samples, clip.sample_rate)
        }
        ClipFormat::Wav => {
            let wav = ::audio::wav::read(&bytes).map_err(|error| format!("audioContent cannot be played: {error}"))?;
            if !(8_000..=48_000).contains(&wav.rate) {
                return Err(format!("audioContent has {} samples per second; send 8000 to 48000", wav.rate));
            }
            (::audio::resample::to_mono(&wav.samples, usize::from(wav.channels)), wav.rate)
        }
    };
    if samples.is_empty() {
        return Err("audioContent has no samples".to_owned());
    }
    Ok(Clip { samples, rate, id: clip.id.clone(), queued: clip.queue })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_sound_and_files_are_read_as_samples() {
        let raw = BASE64_STANDARD.encode([1, 0, 255, 255, 9]);
        let play = |content: &str, kind: &str| {
            words().read(&format!(
                r#"{{"type":"playAudio","data":{{"audioContent":"{content}","audioContentType":"{kind}","sampleRate":16000,"id":"a"}}}}"#
            ))
        };
        let Ok(Said::Play(clip)) = play(&raw, "raw") else { panic!("it is raw sound") };
        assert_eq!((clip.samples, clip.rate, clip.id.as_deref()), (vec![1, -1], 16_000, Some("a")));
        let file = BASE64_STANDARD.encode(::audio::wav::write(&[5, 6, 7], 8_000));
        let Ok(Said::Play(clip)) = play(&file, "wav") else { panic!("it is a file") };
        assert_eq!((clip.samples, clip.rate), (vec![5, 6, 7], 8_000));
        assert!(play("!!", "raw").is_err_and(|problem| problem.contains("base64")));
        assert!(play(&raw, "wav").is_err());
        let slow = BASE64_STANDARD.encode(::audio::wav::write(&[5, 6, 7], 1));
        assert!(play(&slow, "wav").is_err_and(|problem| problem.contains("8000 to 48000")));
        assert!(play(&BASE64_STANDARD.encode([9]), "raw").is_err(), "nothing to hear");
    }
}
