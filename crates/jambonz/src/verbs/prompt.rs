//! What the caller hears: `say`, `play`, `pause`.

use std::time::Duration;

use super::speech::{self, Synthesizer};
use crate::fault::{Fault, Properties, leading_number, whole};
use crate::hook::Hook;
use crate::json::Value;

/// How often something is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// This often, at least once.
    Times(u32),
    /// Until something else ends it.
    Forever,
}

/// Speaks texts.
#[derive(Clone, Debug, PartialEq)]
pub struct Say {
    /// One after the other; plain or SSML. Empty where only streamed text was wanted.
    pub texts: Vec<String>,
    /// How often, all of them.
    pub repeat: Repeat,
    /// The voice, if not the call's.
    pub synthesizer: Option<Synthesizer>,
}

/// Plays sounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// One after the other.
    pub urls: Vec<String>,
    /// How often, all of them.
    pub repeat: Repeat,
    /// Longest time.
    pub timeout: Option<Duration>,
    /// Told how it went; its answer replaces the rest.
    pub action_hook: Option<Hook>,
}

pub(crate) fn say(properties: &Properties<'_>) -> Result<Say, Fault> {
    // Checked, without effect.
    for name in ["stream", "disableTtsCache", "closeStreamOnEmpty", "earlyMedia"] {
        properties.boolean(name)?;
    }
    properties.text("instructions")?;
    Ok(Say {
        texts: properties.text_or_texts("text", super::MOST_ELEMENTS)?.unwrap_or_default(),
        repeat: repeat(properties)?,
        synthesizer: speech::synthesizer(properties, "synthesizer")?,
    })
}

pub(crate) fn play(properties: &Properties<'_>) -> Result<Play, Fault> {
    let urls = properties.text_or_texts("url", super::MOST_ELEMENTS)?;
    Ok(Play {
        urls: urls.ok_or_else(|| properties.fault("url", "write a URL or an array of URLs"))?,
        ..optional_play(properties)?
    })
}

/// A `play` inside another verb, where nothing is required.
pub(super) fn optional_play(properties: &Properties<'_>) -> Result<Play, Fault> {
    // Checked, without effect.
    properties.loose_number("seekOffset")?;
    properties.boolean("earlyMedia")?;
    Ok(Play {
        urls: properties.text_or_texts("url", super::MOST_ELEMENTS)?.unwrap_or_default(),
        repeat: repeat(properties)?,
        timeout: properties.loose_number("timeoutSecs")?.map(crate::fault::seconds),
        action_hook: properties.hook("actionHook")?,
    })
}

pub(super) fn pause(properties: &Properties<'_>) -> Result<Duration, Fault> {
    properties.seconds("length")?.ok_or_else(|| properties.fault("length", "write a number of seconds"))
}

/// `loop`: a number, or a text with one, or `forever`. What is neither counts as once.
fn repeat(properties: &Properties<'_>) -> Result<Repeat, Fault> {
    let times = match properties.get("loop") {
        None => None,
        Some(Value::Number(number)) => Some(*number),
        Some(Value::Text(text)) if text.as_str().trim().eq_ignore_ascii_case("forever") => return Ok(Repeat::Forever),
        Some(Value::Text(text)) => leading_number(text.as_str()),
        Some(_) => return Err(properties.fault("loop", "write a number or \"forever\"")),
    };
    Ok(Repeat::Times(times.map_or(1, |times| whole(times, 1, u32::MAX))))
}
