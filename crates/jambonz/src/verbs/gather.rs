//! The verb `gather`: digits and speech.

use std::time::Duration;

use super::prompt::{self, Play, Say};
use super::speech::{self, Recognizer};
use crate::fault::{Fault, Properties};
use crate::hook::Hook;

/// Most digits of one input.
const MOST_DIGITS: u32 = 128;

/// Collects digits or speech.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Digits count.
    pub digits: bool,
    /// Speech counts.
    pub speech: bool,
    /// Heard first.
    pub say: Option<Say>,
    /// Heard first.
    pub play: Option<Play>,
    /// When digits are complete.
    pub complete: Complete,
    /// How long to wait for anything, after the prompt; `None`: without end.
    pub timeout: Option<Duration>,
    /// How long to wait for further speech.
    pub speech_timeout: Option<Duration>,
    /// A digit stops the prompt.
    pub dtmf_bargein: bool,
    /// Who understands, if not the call's.
    pub recognizer: Option<Recognizer>,
    /// Told what was gathered; its answer replaces the rest.
    pub action_hook: Option<Hook>,
}

/// When digits are complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Complete {
    /// Fewer digits are no input.
    pub min_digits: u32,
    /// With this many; from `numDigits` or `maxDigits`.
    pub max_digits: Option<u32>,
    /// With one of these keys, which is not part of the input.
    pub finish_on_key: String,
    /// With no further digit for so long.
    pub inter_digit: Option<Duration>,
}

pub(super) fn complete(properties: &Properties<'_>) -> Result<Complete, Fault> {
    let count = |name| properties.whole(name, 0, MOST_DIGITS);
    let exactly = count("numDigits")?.filter(|count| *count > 0);
    let (least, most) = (count("minDigits")?, count("maxDigits")?.filter(|count| *count > 0));
    Ok(Complete {
        min_digits: exactly.or(least).unwrap_or(1).max(1),
        max_digits: exactly.or(most),
        finish_on_key: properties.line("finishOnKey")?.unwrap_or_default(),
        inter_digit: properties.seconds("interDigitTimeout")?.filter(|wait| !wait.is_zero()),
    })
}

pub(super) fn read(properties: &Properties<'_>) -> Result<Gather, Fault> {
    let (digits, speech) = input(properties)?;
    // Checked, without effect.
    for name in ["fillerNoise", "actionHookDelayAction"] {
        properties.object(name)?;
    }
    super::config::filler_noise(properties)?;
    properties.number("minBargeinWordCount")?;
    properties.boolean("bargein")?;
    properties.boolean("listenDuringPrompt")?;
    properties.hook("partialResultHook")?;
    Ok(Gather {
        digits,
        speech,
        say: properties.inner("say")?.map(|say| prompt::say(&say)).transpose()?,
        play: properties.inner("play")?.map(|play| prompt::optional_play(&play)).transpose()?,
        complete: complete(properties)?,
        timeout: properties
            .seconds("timeout")?
            .map_or(Some(DEFAULT_TIMEOUT), |wait| Some(wait).filter(|wait| !wait.is_zero())),
        speech_timeout: properties.seconds("speechTimeout")?.filter(|wait| !wait.is_zero()),
        dtmf_bargein: properties.boolean("dtmfBargein")?.unwrap_or(true),
        recognizer: speech::recognizer(properties, "recognizer")?,
        action_hook: properties.hook("actionHook")?,
    })
}

/// How long to wait where the program does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Digits and speech, of which digits are the default.
pub(super) fn input(properties: &Properties<'_>) -> Result<(bool, bool), Fault> {
    let Some(words) = properties.texts("input", super::MOST_ELEMENTS)?.filter(|words| !words.is_empty()) else {
        return Ok((true, false));
    };
    // `dtmf` is how earlier versions wrote it.
    if !words.iter().all(|word| matches!(word.as_str(), "digits" | "speech" | "dtmf")) {
        return Err(properties.fault("input", "write an array of digits and speech"));
    }
    let has = |word: &str| words.iter().any(|one| one == word);
    Ok((has("digits") || has("dtmf"), has("speech")))
}
