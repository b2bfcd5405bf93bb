//! Tracks that a program mixes into what a caller hears.

use super::Session;
use super::asked::Program;
use super::prompts::{Lane, Playing};
use crate::command::CommandError;
use crate::verb::{Dub, DubAction};

/// Tracks of one call at once.
const MOST: usize = 5;

/// The tracks of a call.
#[derive(Default)]
pub(super) struct Tracks {
    /// Their names, by their places.
    names: Vec<Option<String>>,
}

impl Tracks {
    fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|track| track.as_deref() == Some(name))
    }

    fn add(&mut self, name: &str) -> Result<usize, CommandError> {
        let free = self.names.iter().position(Option::is_none);
        let place = match free {
            Some(place) => place,
            None if self.names.len() < MOST => {
                self.names.push(None);
                self.names.len() - 1
            }
            None => return Err(CommandError::Invalid(format!("a call has at most {MOST} tracks; remove one first"))),
        };
        self.names[place] = Some(name.to_owned());
        Ok(place)
    }

    fn remove(&mut self, place: usize) {
        if let Some(name) = self.names.get_mut(place) {
            *name = None;
        }
    }
}

impl Session {
    /// Changes a track.
    pub(super) async fn dub(&mut self, dub: Dub) -> Result<(), CommandError> {
        let place = match (self.sound.tracks.find(&dub.track), dub.action) {
            (Some(place), _) => place,
            (None, DubAction::Remove | DubAction::Silence) => return Ok(()),
            // One that was never made is made.
            (None, DubAction::Add | DubAction::Play) => self.sound.tracks.add(&dub.track)?,
        };
        let lane = Lane::Track(u8::try_from(place).unwrap_or(0));
        match dub.action {
            DubAction::Remove => {
                self.stop_playing(lane).await;
                self.sound.tracks.remove(place);
            }
            DubAction::Silence => self.stop_playing(lane).await,
            DubAction::Add if dub.prompts.is_empty() => {}
            DubAction::Add | DubAction::Play => {
                if self.leg_id().is_none() {
                    return Err(CommandError::Conflict("the call has no media yet; answer it first".to_owned()));
                }
                let of = self.sound.beside(Program::Track);
                let playing = Playing::new(of, dub.prompts).with_gain(dub.gain_db as f32);
                self.play(lane, playing).await;
            }
        }
        Ok(())
    }
}
