//! What is heard: texts and sounds, one after the other, as often as the program wants.

use std::time::Duration;

use call::verb::{Prompt, Times};

use super::Reach;
use crate::verbs::{DubSpeech, Play, Repeat, Say, Synthesizer};

/// Most prompts of one instruction, repetitions counted in.
const MOST_PROMPTS: usize = 1000;
/// Most characters of texts that are spoken as one.
const LONGEST_TEXT: usize = 10_000;
/// Longest pause of a text.
const LONGEST_PAUSE: f64 = 10.0;

pub(crate) fn say(say: &Say) -> Vec<Prompt> {
    let (voice, language) = voice(say.synthesizer.as_ref());
    let speech = |text: String| Prompt::Speech {
        text,
        voice: voice.clone(),
        language: language.clone(),
        times: Times::Count(1),
    };
    let mut pieces: Vec<Piece> = say.texts.iter().flat_map(|text| pieces(text)).collect();
    // What is repeated is best one text: that has no limit.
    if say.repeat != Repeat::Times(1)
        && pieces.len() > 1
        && let Some(whole) = joined(&pieces)
    {
        pieces = vec![Piece::Text(whole)];
    }
    let prompts = pieces.into_iter().map(|piece| match piece {
        Piece::Text(text) => speech(text),
        Piece::Pause(length) => Prompt::Silence(length),
    });
    repeated(prompts.collect(), say.repeat)
}

/// The voice and language of a synthesizer, empty where it names none.
pub(crate) fn voice(synthesizer: Option<&Synthesizer>) -> (String, String) {
    let Some(synthesizer) = synthesizer else { return (String::new(), String::new()) };
    let voice = match synthesizer.gender {
        Some("MALE") => "MAN".to_owned(),
        Some("FEMALE") => "WOMAN".to_owned(),
        _ => synthesizer.voice.clone().unwrap_or_default(),
    };
    (voice, synthesizer.language.clone().unwrap_or_default())
}

impl Reach {
    pub(crate) fn play(&self, play: &Play) -> Vec<Prompt> {
        repeated(play.urls.iter().map(|url| self.one(url)).collect(), play.repeat)
    }

    fn one(&self, url: &str) -> Prompt {
        let silence = url.trim().strip_prefix("silence_stream://").and_then(|rest| rest.parse::<u64>().ok());
        match silence {
            Some(milliseconds) => Prompt::Silence(Duration::from_millis(milliseconds.min(3_600_000))),
            None => Prompt::Audio { url: self.sound(url), times: Times::Count(1) },
        }
    }

    /// What a track plays.
    pub(super) fn track(&self, url: Option<&str>, speech: Option<&DubSpeech>, repeat: bool) -> Vec<Prompt> {
        let repeat = if repeat { Repeat::Forever } else { Repeat::Times(1) };
        let mut prompts: Vec<Prompt> = url.into_iter().flat_map(|url| repeated(vec![self.one(url)], repeat)).collect();
        match speech {
            None => {}
            Some(DubSpeech::Say(say_it)) => prompts.extend(say(say_it)),
            Some(DubSpeech::Text(text)) => {
                let texts = vec![text.clone()];
                prompts.extend(say(&Say { texts, repeat, synthesizer: None }));
            }
        }
        prompts
    }
}

/// All of them, as often as that. A single one repeats without limit; of several, as many rounds as there is room for.
fn repeated(mut prompts: Vec<Prompt>, repeat: Repeat) -> Vec<Prompt> {
    let often = match repeat {
        Repeat::Times(count) => Times::Count(count),
        Repeat::Forever => Times::Forever,
    };
    if let [Prompt::Audio { times, .. } | Prompt::Speech { times, .. }] = prompts.as_mut_slice() {
        *times = often;
        return prompts;
    }
    prompts.truncate(MOST_PROMPTS);
    let room = MOST_PROMPTS / prompts.len().max(1);
    let rounds = match often {
        Times::Count(count) => usize::try_from(count).unwrap_or(usize::MAX).min(room),
        Times::Forever => room,
    };
    std::iter::repeat_n(prompts, rounds.max(1)).flatten().collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Pause(Duration),
}

fn joined(pieces: &[Piece]) -> Option<String> {
    let mut whole = String::new();
    for piece in pieces {
        let Piece::Text(text) = piece else { return None };
        if !whole.is_empty() {
            whole.push(' ');
        }
        whole.push_str(text);
    }
    Some(whole).filter(|text| text.chars().count() <= LONGEST_TEXT)
}

/// A text, or what is said and not said in SSML: its markup is not understood beyond pauses.
fn pieces(text: &str) -> Vec<Piece> {
    if !text.trim_start().starts_with("<speak") {
        return if text.trim().is_empty() { Vec::new() } else { vec![Piece::Text(text.to_owned())] };
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        add(&mut pieces, before);
        // A tag that does not end is the end.
        let Some((tag, after)) = after.split_once('>') else { return pieces };
        if let Some(attributes) = tag.trim_start().strip_prefix("break") {
            pieces.push(Piece::Pause(pause(attributes)));
        }
        rest = after;
    }
    add(&mut pieces, rest);
    pieces
}

fn add(pieces: &mut Vec<Piece>, text: &str) {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .into_iter()
        .fold(words, |words, (entity, character)| words.replace(entity, character));
    match pieces.last_mut() {
        _ if words.is_empty() => {}
        Some(Piece::Text(before)) => {
            before.push(' ');
            before.push_str(&words);
        }
        _ => pieces.push(Piece::Text(words)),
    }
}

/// `time="500ms"` or `time="2s"`; half a second where nothing is said.
fn pause(attributes: &str) -> Duration {
    let written = attributes.split_once("time=").map(|(_, rest)| rest.trim_start_matches(['"', '\'']));
    let seconds = written.and_then(|written| {
        let number = crate::fault::leading_number(written)?;
        let unit = written.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-'));
        Some(if unit.starts_with("ms") { number / 1000.0 } else { number })
    });
    Duration::from_secs_f64(crate::fault::real(seconds.unwrap_or(0.5)).clamp(0.0, LONGEST_PAUSE))
}
