//! The WebSocket of a sound stream, subprotocol [`SUBPROTOCOL`]: metadata first, as text; then binary frames of L16, 16 bits
//! signed little-endian, one sample after the other; text frames of JSON both ways.

use crate::fault::{Fault, Properties, quoted};
use crate::hooks::{CallDirection, CallInfo};
use crate::json::{self, JsonError, Object, Value};

/// The subprotocol of sound streams.
pub const SUBPROTOCOL: &str = "audio.drachtio.org";
/// Largest text frame from the program, in bytes.
pub const LARGEST_TEXT: usize = 4 * 1024 * 1024;

/// A text frame from the program.
#[derive(Clone, Debug, PartialEq)]
pub enum FromProgram {
    /// Plays a sound to the caller.
    PlayAudio(Clip),
    /// Ends what is played, and forgets what waits.
    KillAudio,
    /// Ends the stream.
    Disconnect,
    /// To be told when everything that was sent before has been heard.
    Mark(String),
    /// Forgets all marks, telling each.
    ClearMarks,
}

/// A sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Clip {
    /// Base64.
    pub content: String,
    /// What that is.
    pub format: ClipFormat,
    /// Samples per second of a raw sound.
    pub sample_rate: u32,
    /// Repeated when it has been played.
    pub id: Option<String>,
    /// After what is played, instead of in its place.
    pub queue: bool,
}

/// What a sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipFormat {
    /// L16 without a header.
    Raw,
    /// A WAV file.
    Wav,
}

/// Why a text frame is not understood. It has done nothing; the stream goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// Too many bytes.
    #[error("the frame has {0} bytes; send at most {LARGEST_TEXT}")]
    TooLarge(usize),
    /// Not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A type that there is not.
    #[error("type is {0}; send playAudio, killAudio, disconnect, mark or clearMarks")]
    UnknownType(String),
    /// A property.
    #[error(transparent)]
    Property(#[from] Fault),
}

/// Reads a text frame from the program.
///
/// # Errors
/// See [`AudioError`]; every one says what to change.
pub fn read(text: &str) -> Result<FromProgram, AudioError> {
    if text.len() > LARGEST_TEXT {
        return Err(AudioError::TooLarge(text.len()));
    }
    let value = json::parse(text.as_bytes())?;
    let kind = value.as_object().and_then(|frame| frame.get("type"));
    let empty = Object::new();
    let frame = Properties::new(value.as_object().unwrap_or(&empty));
    match kind.and_then(Value::as_str) {
        Some("playAudio") => clip(&Properties::at(frame.required_object("data")?, "data")).map(FromProgram::PlayAudio),
        Some("killAudio") => Ok(FromProgram::KillAudio),
        Some("disconnect") => Ok(FromProgram::Disconnect),
        Some("mark") => {
            let name = Properties::at(frame.required_object("data")?, "data").required_name("name")?;
            Ok(FromProgram::Mark(name))
        }
        Some("clearMarks") => Ok(FromProgram::ClearMarks),
        _ => Err(AudioError::UnknownType(kind.map_or_else(|| "missing".to_owned(), |kind| quoted(&kind.to_string())))),
    }
}

fn clip(data: &Properties<'_>) -> Result<Clip, AudioError> {
    let content = data.text("audioContent")?.filter(|content| !content.is_empty());
    let formats = [("raw", ClipFormat::Raw), ("wav", ClipFormat::Wav), ("wave", ClipFormat::Wav)];
    let id = match data.get("id") {
        // Some programs count.
        Some(Value::Number(number)) => Some(json::number(*number)),
        _ => data.line("id")?,
    };
    Ok(Clip {
        content: content.ok_or_else(|| data.fault("audioContent", "write the sound in base64"))?.to_owned(),
        format: data.choice("audioContentType", &formats)?.unwrap_or(ClipFormat::Raw),
        sample_rate: data.whole("sampleRate", 8000, 48_000)?.unwrap_or(8000),
        id,
        queue: data.flag("queuePlay")?,
    })
}

/// The first frame of a `listen`: the call, what is sent, and the program's own metadata, which count before the rest.
pub fn metadata(call: &CallInfo, sample_rate: u32, mix: &str, own: Option<&Object>) -> Object {
    let mut first = Object::new();
    first.set("callSid", call.call_sid.as_str());
    first.set(
        "direction",
        match call.direction {
            CallDirection::Inbound => "inbound",
            CallDirection::Outbound => "outbound",
        },
    );
    first.set("from", call.from.as_str());
    first.set("to", call.to.as_str());
    first.set("callId", call.call_id.as_str());
    first.set("callStatus", call.status.as_str());
    first.set("accountSid", call.account_sid.as_str());
    first.set_some("applicationSid", call.application_sid.as_deref());
    first.set_some("parentCallSid", call.parent_call_sid.as_deref());
    first.set_some("callerName", call.caller_name.as_deref());
    first.set("sampleRate", sample_rate);
    first.set("mixType", mix);
    first.set_some("customerData", call.customer_data.clone());
    if let Some(own) = own {
        first.extend(own.clone());
    }
    first
}

/// A digit that the caller pressed, for `passDtmf`; its duration in milliseconds.
pub fn dtmf(key: char, duration: u32) -> Object {
    let mut frame = Object::new();
    frame.set("event", "dtmf");
    frame.set("dtmf", key.to_string());
    frame.set("duration", duration.to_string());
    frame
}

/// A sound has been played, or ended.
pub fn play_done(id: Option<&str>) -> Object {
    let mut data = Object::new();
    data.set_some("id", id);
    typed("playDone", data)
}

/// A mark has been passed, or (`cleared`) forgotten.
pub fn mark(name: &str, cleared: bool) -> Object {
    let mut data = Object::new();
    data.set("name", name);
    data.set("event", if cleared { "cleared" } else { "playout" });
    typed("mark", data)
}

fn typed(kind: &str, data: Object) -> Object {
    let mut frame = Object::new();
    frame.set("type", kind);
    frame.set("data", data);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_frames_are_refused_with_what_to_do() {
        for (text, expected) in [
            ("x", "broken JSON"),
            ("[]", "type is missing; send playAudio"),
            (r#"{"type":"sing"}"#, r#"type is "sing""#),
            (r#"{"type":"playAudio"}"#, "property data is missing"),
            (r#"{"type":"playAudio","data":{}}"#, "property data.audioContent is missing"),
            (
                r#"{"type":"playAudio","data":{"audioContent":"AA==","audioContentType":"mp3"}}"#,
                "property data.audioContentType is \"mp3\"; write one of: raw, wav",
            ),
            (r#"{"type":"mark","data":{"name":""}}"#, "property data.name"),
        ] {
            let message = read(text).expect_err(text).to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(matches!(read(&" ".repeat(LARGEST_TEXT + 1)), Err(AudioError::TooLarge(_))));
    }
}
