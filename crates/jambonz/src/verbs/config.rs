//! The verb `config`: what holds for the rest of the call.

use super::gather::{Complete, complete, input};
use super::listen::{self, ListenChange};
use super::speech::{self, Recognizer, Synthesizer};
use crate::fault::{Fault, Properties};
use crate::hook::Hook;

/// Settings of a call; what is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The voice.
    pub synthesizer: Option<Synthesizer>,
    /// Who understands speech.
    pub recognizer: Option<Recognizer>,
    /// Input while other verbs run.
    pub barge_in: Option<BargeIn>,
    /// Whether `verb:status` is sent.
    pub notify_events: Option<bool>,
    /// Settings that go back to the application's: `synthesizer`, `recognizer`.
    pub reset: Vec<String>,
    /// Asked when the caller sends a REFER.
    pub refer_hook: Option<Hook>,
    /// Told of SIP requests within the dialog.
    pub sip_request_hook: Option<Hook>,
    /// Sound to a program beside the verbs.
    pub listen: Option<ListenChange>,
}

/// Input while other verbs run.
#[derive(Clone, Debug, PartialEq)]
pub struct BargeIn {
    /// Whether it counts.
    pub enable: bool,
    /// Also after the first.
    pub sticky: bool,
    /// Told what was gathered; its answer replaces the rest.
    pub action_hook: Option<Hook>,
    /// Digits count.
    pub digits: bool,
    /// Speech counts.
    pub speech: bool,
    /// When digits are complete.
    pub complete: Complete,
}

pub(crate) fn read(properties: &Properties<'_>) -> Result<Config, Fault> {
    unused(properties)?;
    let barge_in = match properties.inner("bargeIn")? {
        None => None,
        Some(inner) => {
            let (digits, speech) = input(&inner)?;
            inner.number("minBargeinWordCount")?;
            Some(BargeIn {
                enable: inner.boolean("enable")?.unwrap_or(true),
                sticky: inner.flag("sticky")?,
                action_hook: inner.hook("actionHook")?,
                digits,
                speech,
                complete: complete(&inner)?,
            })
        }
    };
    Ok(Config {
        synthesizer: speech::synthesizer(properties, "synthesizer")?,
        recognizer: speech::recognizer(properties, "recognizer")?,
        barge_in,
        notify_events: properties.boolean("notifyEvents")?,
        reset: properties.text_or_texts("reset", super::MOST_ELEMENTS)?.unwrap_or_default(),
        refer_hook: properties.hook("referHook")?,
        sip_request_hook: properties.hook("sipRequestWithinDialogHook")?,
        listen: listen::inside(properties)?,
    })
}

fn unused(properties: &Properties<'_>) -> Result<(), Fault> {
    // Checked, without effect.
    for name in ["notifySttLatency", "autoStreamTts", "disableTtsCache", "trackTtsPlayout", "earlyMedia"] {
        properties.boolean(name)?;
    }
    properties.line("onHoldMusic")?;
    for name in ["record", "transcribe", "actionHookDelayAction", "ttsStream", "noiseIsolation", "turnTaking"] {
        properties.object(name)?;
    }
    properties.loose_number("boostAudioSignal")?;
    if let Some(stream) = properties.inner("ttsStream")? {
        stream.boolean("enable")?;
        speech::synthesizer(&stream, "synthesizer")?;
    }
    for name in ["noiseIsolation", "turnTaking"] {
        if let Some(inner) = properties.inner(name)? {
            inner.boolean("enable")?;
            inner.text("vendor")?;
            inner.text("model")?;
            inner.number("level")?;
            inner.number("threshold")?;
        }
    }
    if let Some(vad) = properties.inner("vad")? {
        vad.boolean("enable")?;
        vad.choice("vendor", &[("webrtc", ()), ("silero", ())])?;
        for (name, most) in [("mode", 3.0), ("threshold", 1.0)] {
            if vad.number(name)?.is_some_and(|number| !(0.0..=most).contains(&number)) {
                return Err(vad.fault(name, format!("write a number from 0 to {most}")));
            }
        }
    }
    filler_noise(properties)?;
    answering_machine(properties)
}

/// `fillerNoise`, which has no effect.
pub(super) fn filler_noise(properties: &Properties<'_>) -> Result<(), Fault> {
    if let Some(inner) = properties.inner("fillerNoise")? {
        inner.boolean("enable")?.ok_or_else(|| inner.fault("enable", "write true or false"))?;
        inner.text("url")?;
        inner.number("startDelaySecs")?;
    }
    Ok(())
}

/// `amd`, which has no effect.
pub(super) fn answering_machine(properties: &Properties<'_>) -> Result<(), Fault> {
    if let Some(inner) = properties.inner("amd")? {
        inner.required_hook("actionHook")?;
        inner.number("thresholdWordCount")?;
        inner.number("digitCount")?;
        inner.object("timers")?;
        speech::recognizer(&inner, "recognizer")?;
    }
    Ok(())
}
