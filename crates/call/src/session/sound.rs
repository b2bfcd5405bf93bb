//! What the call hears that is nobody's voice in a room, and whoever listens to the call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use media::PlayId;
use tokio::sync::Semaphore;

use super::asked::{Asked, Program};
use super::media_leg::MediaLeg;
use super::prompts::{Lane, Playing};
use super::stream::Streams;
use super::tracks::Tracks;
use crate::verb::Prompt;

/// Sounds that one call may have loaded for its room at once.
const MOST_FOR_ROOM: usize = 16;

/// The call's sound.
pub(super) struct Sound {
    /// Its leg, once it has one.
    pub(super) media: Option<MediaLeg>,
    pub(super) playing: BTreeMap<Lane, Playing>,
    /// How many sounds there have been on the media plane.
    plays: u64,
    /// How many whispers, beeps and sounds of tracks there have been.
    besides: u64,
    pub(super) tracks: Tracks,
    /// Voice and language of prompts that name none, in place of the application's.
    pub(super) voice: Option<(String, String)>,
    pub(super) streams: Streams,
    /// Places for sounds that are loaded for the room.
    pub(super) for_room: Arc<Semaphore>,
}

impl Default for Sound {
    fn default() -> Self {
        Self {
            media: None,
            playing: BTreeMap::new(),
            plays: 0,
            besides: 0,
            tracks: Tracks::default(),
            voice: None,
            streams: Streams::default(),
            for_room: Arc::new(Semaphore::new(MOST_FOR_ROOM)),
        }
    }
}

impl Sound {
    /// The id of a sound that is new on the media plane.
    pub(super) fn next_play(&mut self) -> PlayId {
        self.plays += 1;
        PlayId(self.plays)
    }

    /// Unlike any other prompts that are heard beside the programs' own.
    pub(super) fn beside(&mut self, program: Program) -> Asked {
        self.besides += 1;
        Asked { program, number: self.besides }
    }

    /// The lane on which this sounds.
    pub(super) fn lane_of(&self, play: PlayId) -> Option<Lane> {
        self.playing.iter().find(|(_, playing)| playing.play == Some(play)).map(|(lane, _)| *lane)
    }

    /// When the next pause is over.
    pub(super) fn pause_over(&self) -> Option<Instant> {
        self.playing.values().filter_map(|playing| playing.pause_until).min()
    }

    /// The lanes whose pause is over.
    pub(super) fn pauses_passed(&self, now: Instant) -> Vec<Lane> {
        let over = |playing: &Playing| playing.pause_until.is_some_and(|at| now >= at);
        self.playing.iter().filter(|(_, playing)| over(playing)).map(|(lane, _)| *lane).collect()
    }

    /// A prompt that names no voice is spoken in the call's, or else in its application's.
    pub(super) fn in_the_calls_voice(&self, prompt: Prompt, applications: Option<&(String, String)>) -> Prompt {
        match (prompt, self.voice.as_ref().or(applications)) {
            (Prompt::Speech { text, voice, language, times }, Some((own_voice, own_language))) => {
                let or = |said: String, own: &String| if said.is_empty() { own.clone() } else { said };
                Prompt::Speech { text, voice: or(voice, own_voice), language: or(language, own_language), times }
            }
            (prompt, _) => prompt,
        }
    }
}
