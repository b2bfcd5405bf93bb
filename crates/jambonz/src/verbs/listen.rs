//! The verb `listen`, also written `stream`: sound to and from a program.
//!
//! In the room's terms such a stream is a listener of one call: it wants the caller's microphone (`mono`), what the caller
//! hears besides (`mixed`, and apart in `stereo`), never a whisper; with `bidirectionalAudio` it is a source that the caller
//! hears.

use std::time::Duration;

use crate::fault::{Fault, Properties};
use crate::hook::{BasicAuth, Hook};
use crate::json::Object;

/// Streams a call's sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Listen {
    /// Where to: `ws` or `wss`, or a path on the application's server.
    pub url: String,
    /// Credentials for it.
    pub auth: Option<BasicAuth>,
    /// What is streamed.
    pub mix: MixType,
    /// Samples per second that were asked for, 8000 if nothing was.
    pub sample_rate: u32,
    /// Sent first.
    pub metadata: Option<Object>,
    /// Digits are sent too.
    pub pass_dtmf: bool,
    /// A tone at the start.
    pub play_beep: bool,
    /// Keys that end it.
    pub finish_on_key: String,
    /// Longest time.
    pub max_length: Option<Duration>,
    /// Ends it after this long without sound.
    pub timeout: Option<Duration>,
    /// Sound that the program sends.
    pub two_way: TwoWay,
    /// Told at the end; its answer replaces the rest.
    pub action_hook: Option<Hook>,
}

/// What is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MixType {
    /// The caller.
    Mono,
    /// The caller on one channel, what it hears on the other.
    Stereo,
    /// Both in one.
    Mixed,
}

/// What a program may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwoWay {
    /// Nothing.
    Off,
    /// Files in base64, by `playAudio`.
    Files,
    /// Files; and binary frames of L16 at this rate, as they come.
    Streaming {
        /// Samples per second.
        sample_rate: u32,
    },
}

/// A stream that goes on beside other verbs.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenChange {
    /// Whether there shall be one.
    pub enable: bool,
    /// Which; `None` where no URL was written.
    pub listen: Option<Listen>,
}

pub(super) fn read(properties: &Properties<'_>) -> Result<Listen, Fault> {
    let url = properties.required_line("url")?;
    let two_way = two_way(properties)?;
    // Checked, without effect.
    properties.object("transcribe")?;
    properties.boolean("earlyMedia")?;
    properties.number("channel")?;
    Ok(Listen {
        url,
        auth: match properties.auth("wsAuth")? {
            Some(auth) => Some(auth),
            None => properties.auth("auth")?,
        },
        mix: properties
            .choice("mixType", &[("mono", MixType::Mono), ("stereo", MixType::Stereo), ("mixed", MixType::Mixed)])?
            .unwrap_or(MixType::Mono),
        sample_rate: properties.whole("sampleRate", 1, 1_000_000)?.unwrap_or(8000),
        metadata: properties.object("metadata")?.cloned(),
        pass_dtmf: properties.flag("passDtmf")?,
        play_beep: properties.flag("playBeep")?,
        finish_on_key: properties.line("finishOnKey")?.unwrap_or_default(),
        max_length: properties.seconds("maxLength")?.filter(|length| !length.is_zero()),
        timeout: properties.seconds("timeout")?.filter(|timeout| !timeout.is_zero()),
        two_way,
        action_hook: properties.hook("actionHook")?,
    })
}

/// `bidirectionalAudio` counts before `disableBidirectionalAudio`; without either, files may be played.
fn two_way(properties: &Properties<'_>) -> Result<TwoWay, Fault> {
    let disabled = properties.flag("disableBidirectionalAudio")?;
    let Some(inner) = properties.inner("bidirectionalAudio")? else {
        return Ok(if disabled { TwoWay::Off } else { TwoWay::Files });
    };
    let (enabled, streaming) = (inner.boolean("enabled")?, inner.flag("streaming")?);
    let sample_rate = inner.whole("sampleRate", 1, 1_000_000)?.unwrap_or(8000);
    Ok(match (enabled.unwrap_or(true), streaming) {
        (false, _) => TwoWay::Off,
        (true, false) => TwoWay::Files,
        (true, true) => TwoWay::Streaming { sample_rate },
    })
}

/// The `listen` or `stream` of another verb. Without a URL it changes nothing but `enable`.
pub(super) fn inside(properties: &Properties<'_>) -> Result<Option<ListenChange>, Fault> {
    let (listen, stream) = (properties.inner("listen")?, properties.inner("stream")?);
    let Some(inner) = listen.or(stream) else { return Ok(None) };
    let listen = inner.get("url").map(|_| read(&inner)).transpose()?;
    Ok(Some(ListenChange { enable: inner.boolean("enable")?.unwrap_or(true), listen }))
}
