//! `Speak`, `Play` and `Wait`.

use std::time::Duration;

use call::dialect::DocumentError;
use call::verb::{Prompt, Times};

use super::bad;
use super::tree::{Element, Node};
use crate::value::{Fault, Field};

/// Most prompts that one element may turn into.
const MOST_PROMPTS: usize = 1000;
/// Longest wait, in seconds.
const LONGEST_WAIT: u64 = 86_400;
/// Longest pause inside speech.
const LONGEST_BREAK: Duration = Duration::from_secs(10);

pub(super) fn is_prompt(name: &str) -> bool {
    matches!(name, "Speak" | "Play" | "Wait")
}

/// Reads one of the three.
pub(super) fn read(element: &Element, into: &mut Vec<Prompt>) -> Result<(), DocumentError> {
    match element.name.as_str() {
        "Speak" => speak(element, into),
        "Play" => play(element, into),
        "Wait" => wait(element, into),
        other => Err(DocumentError::UnknownVerb(other.to_owned())),
    }
}

/// An attribute as a field.
pub(super) fn field<'a>(element: &'a Element, name: &'a str) -> Option<Field<'a>> {
    element.attribute(name).map(|value| Field { name, value })
}

/// An attribute read by `read`, or its default.
pub(super) fn attribute<T>(
    element: &Element,
    name: &str,
    default: T,
    read: impl Fn(Field<'_>) -> Result<T, Fault>,
) -> Result<T, DocumentError> {
    field(element, name).map_or(Ok(default), |field| read(field).map_err(|fault| bad(&element.name, fault)))
}

fn times(element: &Element) -> Result<Times, DocumentError> {
    attribute(element, "loop", Times::Count(1), |field| {
        Ok(match field.whole(0, 1000)? {
            0 => Times::Forever,
            count => Times::Count(u32::try_from(count).unwrap_or(u32::MAX)),
        })
    })
}

fn play(element: &Element, into: &mut Vec<Prompt>) -> Result<(), DocumentError> {
    let text = element.text();
    let url = Field { name: "text", value: &text }.url().map_err(|fault| bad("Play", fault))?;
    into.push(Prompt::Audio { url, times: times(element)? });
    Ok(())
}

fn wait(element: &Element, into: &mut Vec<Prompt>) -> Result<(), DocumentError> {
    let length = attribute(element, "length", 1, |field| field.whole(1, LONGEST_WAIT))?;
    attribute(element, "silence", false, |field| field.boolean())?;
    attribute(element, "minSilence", 0, |field| field.whole(0, 60_000))?;
    attribute(element, "beep", false, |field| field.boolean())?;
    into.push(Prompt::Silence(Duration::from_secs(length)));
    Ok(())
}

enum Piece {
    Text(String),
    Pause(Duration),
}

fn speak(element: &Element, into: &mut Vec<Prompt>) -> Result<(), DocumentError> {
    let mut pieces = Vec::new();
    flatten(element, &mut pieces)?;
    let voice = element.attribute("voice").unwrap_or("WOMAN").to_owned();
    let language = element.attribute("language").unwrap_or("en-US").to_owned();
    if voice.len() > 100 || language.len() > 35 {
        return Err(bad("Speak", Fault::new("voice", &voice, "name a voice and a language as the support table does")));
    }
    let speech = |text: String, times| Prompt::Speech { text, voice: voice.clone(), language: language.clone(), times };
    if !pieces.iter().any(|piece| matches!(piece, Piece::Text(_))) {
        return Err(bad("Speak", Fault::new("text", "", "write what is to be said")));
    }
    let times = times(element)?;
    match times {
        // Prompts repeat one by one, so speech with pauses is written out; said for ever, its pauses become commas.
        Times::Count(count) if pieces.len() > 1 => {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            if count.saturating_mul(pieces.len()) > MOST_PROMPTS {
                let remedy = format!("repeat speech with pauses so that at most {MOST_PROMPTS} parts result");
                return Err(bad("Speak", Fault::new("loop", &count.to_string(), remedy)));
            }
            for _ in 0..count {
                into.extend(pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => speech(text.clone(), Times::Count(1)),
                    Piece::Pause(length) => Prompt::Silence(*length),
                }));
            }
        }
        _ => {
            let said: Vec<_> = pieces
                .iter()
                .filter_map(|p| if let Piece::Text(text) = p { Some(text.as_str()) } else { None })
                .collect();
            into.push(speech(said.join(", "), times));
        }
    }
    Ok(())
}

/// Text and pauses of spoken markup; everything else that markup says is dropped.
fn flatten(element: &Element, pieces: &mut Vec<Piece>) -> Result<(), DocumentError> {
    for node in &element.children {
        match node {
            Node::Text(text) => say(pieces, text),
            Node::Element(child) if child.name == "break" => pieces.push(Piece::Pause(pause(child)?)),
            Node::Element(child) if child.name == "sub" => {
                say(pieces, child.attribute("alias").unwrap_or(&child.text()))
            }
            Node::Element(child) => {
                flatten(child, pieces)?;
                if matches!(child.name.as_str(), "p" | "s") {
                    say(pieces, " ");
                }
            }
        }
    }
    Ok(())
}

fn say(pieces: &mut Vec<Piece>, text: &str) {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(Piece::Text(before)) => {
            before.push(' ');
            before.push_str(&words);
        }
        _ => pieces.push(Piece::Text(words)),
    }
}

fn pause(element: &Element) -> Result<Duration, DocumentError> {
    if let Some(time) = element.attribute("time") {
        let (digits, unit) = match time.trim().strip_suffix("ms") {
            Some(digits) => (digits, 0.001),
            None => (time.trim().strip_suffix('s').unwrap_or("?"), 1.0),
        };
        return digits
            .trim()
            .parse::<f64>()
            .ok()
            .and_then(|number| Duration::try_from_secs_f64(number * unit).ok())
            .map(|length| length.min(LONGEST_BREAK))
            .ok_or_else(|| {
                bad("break", Fault::new("time", time, "write milliseconds or seconds, for example 250ms or 2s"))
            });
    }
    Ok(Duration::from_millis(match element.attribute("strength") {
        Some("none" | "x-weak") => 0,
        Some("weak") => 250,
        Some("strong") => 1000,
        Some("x-strong") => 2000,
        _ => 500,
    }))
}
