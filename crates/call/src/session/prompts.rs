//! Plays prompts to the caller, one after another.

use std::collections::VecDeque;
use std::time::Instant;

use media::{Play, PlayId, Repeat};

use super::{CallMessage, Session};
use crate::sound::{Heard, SoundFault};
use crate::verb::{Prompt, Times};

/// Prompts being played.
pub(super) struct Playing {
    /// The interpreter's number of them.
    number: u64,
    rest: VecDeque<Prompt>,
    /// How often the one being loaded or played is heard.
    repeat: Repeat,
    pub(super) play: Option<PlayId>,
    pub(super) pause_until: Option<Instant>,
}

impl Session {
    pub(super) async fn play(&mut self, number: u64, prompts: Vec<Prompt>) {
        self.stop_playing().await;
        let (rest, repeat) = (prompts.into(), Repeat::Times(1));
        self.playing = Some(Playing { number, rest, repeat, play: None, pause_until: None });
        self.next_prompt().await;
    }

    pub(super) async fn stop_playing(&mut self) {
        if let (Some(Playing { play: Some(play), .. }), Some(leg)) = (self.playing.take(), self.leg_id()) {
            // What comes next does not wait for the silence: it replaces what plays.
            drop(self.inner.media.stop_play(leg, Some(play)));
        }
    }

    /// Goes on to the next prompt, or tells the interpreter that there is none.
    pub(super) async fn next_prompt(&mut self) {
        let Some(playing) = &mut self.playing else { return };
        (playing.play, playing.pause_until) = (None, None);
        let Some(prompt) = playing.rest.pop_front() else {
            let number = playing.number;
            self.playing = None;
            self.interpreter.prompts_ended(number, self.inner.clock.monotonic());
            return;
        };
        if let Prompt::Silence(length) = prompt {
            playing.pause_until = Some(Instant::now() + length);
            self.interpreter.heard();
            return;
        }
        playing.repeat = match &prompt {
            Prompt::Audio { times, .. } | Prompt::Speech { times, .. } => match times {
                Times::Count(count) => Repeat::Times(*count),
                Times::Forever => Repeat::Forever,
            },
            Prompt::Silence(_) | Prompt::Beep => Repeat::Times(1),
        };
        let (number, sounds, mailbox) = (playing.number, self.inner.sounds.clone(), self.mailbox.clone());
        let (account, dialect) = (self.account.clone(), self.control.dialect);
        tokio::spawn(async move {
            let sound = sounds.prompt(&account, dialect, &prompt).await;
            mailbox.send(CallMessage::Loaded(number, Box::new(sound))).await;
        });
    }

    pub(super) async fn loaded(&mut self, number: u64, result: Result<Heard, SoundFault>) {
        let Some(playing) = self.playing.as_mut().filter(|playing| playing.number == number) else { return };
        let (Some(leg), Ok(heard)) = (self.media.as_ref().map(|m| m.id), &result) else {
            if let Err(error) = result {
                self.warn(format!("a prompt cannot be played: {error}; the instructions go on")).await;
            }
            return Box::pin(self.next_prompt()).await;
        };
        self.plays += 1;
        let id = PlayId(self.plays);
        let play = Play { id, sound: heard.sound.clone(), repeat: playing.repeat, gain_db: 0.0 };
        playing.play = Some(id);
        if let Some(cut) = heard.cut {
            self.warn(cut.to_string()).await;
        }
        match self.inner.media.play(leg, play).try_now() {
            Some(Err(error)) => {
                self.warn(format!("a prompt cannot be played: {error}; the instructions go on")).await;
                Box::pin(self.next_prompt()).await;
            }
            _ => self.interpreter.heard(),
        }
    }
}
