//! The verb `dub`: tracks that are mixed into a call.
//!
//! In the room's terms a track is a player of one call: its audience is that call's member alone.

use super::prompt::{self, Say};
use crate::fault::{Fault, LONGEST_NAME, Properties, leading_number, real};
use crate::json::Value;

/// Changes a track.
#[derive(Clone, Debug, PartialEq)]
pub struct Dub {
    /// What to do.
    pub action: DubAction,
    /// The track's name in the call.
    pub track: String,
    /// What to play on it.
    pub play: Option<String>,
    /// What to say on it.
    pub say: Option<DubSpeech>,
    /// Again and again.
    pub repeat: bool,
    /// Gain in dB, −50 to 20.
    pub gain_db: f64,
}

/// What happens to a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DubAction {
    /// It is made, and plays `play` or `say` if there is one.
    Add,
    /// It is removed.
    Remove,
    /// It goes silent and stays.
    Silence,
    /// It plays a sound.
    Play,
    /// It speaks.
    Say,
}

/// A text, or a `say` verb's properties.
#[derive(Clone, Debug, PartialEq)]
pub enum DubSpeech {
    /// A text in the call's voice.
    Text(String),
    /// A `say`.
    Say(Say),
}

pub(crate) fn read(properties: &Properties<'_>) -> Result<Dub, Fault> {
    let actions = [
        ("addTrack", DubAction::Add),
        ("removeTrack", DubAction::Remove),
        ("silenceTrack", DubAction::Silence),
        ("playOnTrack", DubAction::Play),
        ("sayOnTrack", DubAction::Say),
    ];
    let action = properties.choice("action", &actions)?;
    let track = properties.required_line("track")?;
    if track.chars().count() > LONGEST_NAME {
        return Err(properties.fault("track", format!("write at most {LONGEST_NAME} characters")));
    }
    let say = match properties.get("say") {
        None => None,
        Some(Value::Text(text)) => Some(DubSpeech::Text(text.as_str().to_owned())),
        Some(Value::Object(object)) => {
            Some(DubSpeech::Say(prompt::say(&Properties::at(object, properties.place("say")))?))
        }
        Some(_) => return Err(properties.fault("say", "write a string or an object")),
    };
    let gain = match properties.get("gain") {
        None => None,
        Some(Value::Number(number)) => Some(*number),
        // Written like "-10 dB".
        Some(Value::Text(text)) => leading_number(text.as_str()),
        Some(_) => return Err(properties.fault("gain", "write a number of dB or a string like \"-10 dB\"")),
    };
    Ok(Dub {
        action: action.ok_or_else(|| {
            properties.fault("action", "write one of: addTrack, removeTrack, silenceTrack, playOnTrack, sayOnTrack")
        })?,
        track,
        play: properties.line("play")?,
        say,
        repeat: properties.flag("loop")?,
        gain_db: real(gain.unwrap_or(0.0)).clamp(-50.0, 20.0),
    })
}
