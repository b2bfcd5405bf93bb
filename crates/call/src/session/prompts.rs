//! Plays prompts to the caller, one after another, on lanes that sound side by side.

use std::collections::VecDeque;
use std::time::Instant;

use media::{Play, PlayId, Repeat};
use tokio_util::task::AbortOnDropHandle;

use super::asked::Asked;
use super::{CallMessage, Session};
use crate::sound::{Heard, SoundFault};
use crate::verb::{Prompt, Times};

/// What sounds beside what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The instructions' prompts, and what is heard while they wait.
    Main,
    /// What is meant for this caller alone, in the middle of whatever he hears.
    Whisper,
    /// A track that a program mixes in, by its place.
    Track(u8),
}

impl Lane {
    /// The lane on the media plane.
    fn number(self) -> u8 {
        match self {
            Self::Main => 0,
            Self::Whisper => 1,
            Self::Track(place) => 4 + place,
        }
    }

    /// Programs that stream the call do not hear what is not for them.
    fn is_hidden(self) -> bool {
        self == Self::Whisper
    }
}

/// Prompts being played.
pub(super) struct Playing {
    /// The program whose prompts they are, and its number of them.
    of: Asked,
    rest: VecDeque<Prompt>,
    /// How often the one being loaded or played is heard.
    repeat: Repeat,
    /// dB.
    gain: f32,
    pub(super) play: Option<PlayId>,
    pub(super) pause_until: Option<Instant>,
    /// The next one is being loaded; nobody wants it any more when these prompts are replaced.
    loading: Option<AbortOnDropHandle<()>>,
}

impl Playing {
    pub(super) fn new(of: Asked, prompts: Vec<Prompt>) -> Self {
        let rest = prompts.into();
        Self { of, rest, repeat: Repeat::Times(1), gain: 0.0, play: None, pause_until: None, loading: None }
    }

    /// The same, louder or softer by so many dB.
    pub(super) fn with_gain(self, gain: f32) -> Self {
        Self { gain, ..self }
    }
}

/// How often a prompt sounds.
pub(super) fn repeat(prompt: &Prompt) -> Repeat {
    match prompt {
        Prompt::Audio { times, .. } | Prompt::Speech { times, .. } => match times {
            Times::Count(count) => Repeat::Times(*count),
            Times::Forever => Repeat::Forever,
        },
        Prompt::Silence(_) | Prompt::Beep => Repeat::Times(1),
    }
}

impl Session {
    pub(super) async fn play(&mut self, lane: Lane, playing: Playing) {
        self.stop_playing(lane).await;
        self.sound.playing.insert(lane, playing);
        self.next_prompt(lane).await;
    }

    pub(super) async fn stop_playing(&mut self, lane: Lane) {
        if let (Some(Playing { play: Some(play), .. }), Some(leg)) = (self.sound.playing.remove(&lane), self.leg_id()) {
            // What comes next does not wait for the silence: it replaces what plays.
            drop(self.inner.media.stop_lane(leg, lane.number(), Some(play)));
        }
    }

    /// A sound has ended by itself: the next follows.
    pub(super) async fn play_ended(&mut self, play: PlayId) {
        if let Some(lane) = self.sound.lane_of(play) {
            self.next_prompt(lane).await;
        }
    }

    /// Pauses that are over.
    pub(super) async fn pauses_passed(&mut self, now: Instant) {
        for lane in self.sound.pauses_passed(now) {
            self.next_prompt(lane).await;
        }
    }

    /// Goes on to the next prompt, or tells the program that there is none.
    async fn next_prompt(&mut self, lane: Lane) {
        let Some(playing) = self.sound.playing.get_mut(&lane) else { return };
        (playing.play, playing.pause_until) = (None, None);
        let of = playing.of;
        let Some(prompt) = playing.rest.pop_front() else {
            self.sound.playing.remove(&lane);
            let now = self.inner.clock.monotonic();
            if lane == Lane::Main
                && let Some(program) = self.programs.get(of.program)
            {
                program.prompts_ended(of.number, now);
            }
            return;
        };
        if let Prompt::Silence(length) = prompt {
            playing.pause_until = Some(Instant::now() + length);
            self.heard(lane, of);
            return;
        }
        playing.repeat = repeat(&prompt);
        let prompt = self.sound.in_the_calls_voice(prompt, self.control.voice.as_ref());
        let (sounds, mailbox) = (self.inner.sounds.clone(), self.mailbox.clone());
        let (account, dialect) = (self.view.account.clone(), self.control.dialect);
        let loading = tokio::spawn(async move {
            let sound = sounds.prompt(&account, dialect, &prompt).await;
            mailbox.send(CallMessage::Loaded(lane, of, Box::new(sound))).await;
        });
        if let Some(playing) = self.sound.playing.get_mut(&lane) {
            playing.loading = Some(AbortOnDropHandle::new(loading));
        }
    }

    fn heard(&mut self, lane: Lane, of: Asked) {
        let now = self.inner.clock.monotonic();
        if lane == Lane::Main
            && let Some(program) = self.programs.get(of.program)
        {
            program.heard(now);
        }
    }

    pub(super) async fn loaded(&mut self, lane: Lane, of: Asked, result: Result<Heard, SoundFault>) {
        let leg = self.leg_id();
        let Some(playing) = self.sound.playing.get_mut(&lane).filter(|playing| playing.of == of) else { return };
        let (Some(leg), Ok(heard)) = (leg, &result) else {
            if let Err(error) = result {
                self.warn(format!("a prompt cannot be played: {error}; the instructions go on")).await;
            }
            return Box::pin(self.next_prompt(lane)).await;
        };
        let (repeat, gain_db) = (playing.repeat, playing.gain);
        playing.loading = None;
        let id = self.sound.next_play();
        if let Some(playing) = self.sound.playing.get_mut(&lane) {
            playing.play = Some(id);
        }
        let play = Play { id, sound: heard.sound.clone().into(), repeat, gain_db, hidden: lane.is_hidden() };
        if let Some(cut) = heard.cut {
            self.warn(cut.to_string()).await;
        }
        match self.inner.media.play_on(leg, lane.number(), play).try_now() {
            Some(Err(error)) => {
                self.warn(format!("a prompt cannot be played: {error}; the instructions go on")).await;
                Box::pin(self.next_prompt(lane)).await;
            }
            _ => {
                self.heard(lane, of);
                if lane == Lane::Main
                    && let Some(program) = self.programs.get(of.program)
                {
                    program.sounded();
                }
            }
        }
    }
}
