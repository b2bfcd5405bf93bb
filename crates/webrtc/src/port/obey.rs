//! How a thread carries out commands.

use std::time::Instant;

use super::leg::{Gate, Io, Leg};
use super::{Command, Key, Port};
use crate::agent;
use crate::error::WebRtcError;
use crate::event::CloseReason;

impl Port {
    pub(super) fn obey_one(&mut self, command: Command) {
        match command {
            Command::Add { making, done } => {
                let leg = Leg::new(*making, Instant::now());
                let (key, slot) = (leg.key, leg.key.slot as usize);
                for fragment in &leg.fragments {
                    self.routes.add_fragment(fragment.clone(), key);
                }
                if let Some(place) = self.legs.get_mut(slot) {
                    *place = Some(leg);
                }
                self.with(slot, Leg::advance);
                // It may have been hung up before it was there.
                self.ready.mark(slot);
                let _ = done.send(Ok(()));
            }
            Command::Answer { key, remote, candidates, gate, done } => {
                let result = self.change(key, |leg, io| {
                    leg.connect(io.now)?;
                    if let Some(pending) = leg.pending.take() {
                        agent::accept_answer(&mut leg.rtc, leg.mid, pending, &remote)?;
                    }
                    leg.apply(candidates, gate);
                    Ok(())
                });
                let _ = done.send(result);
            }
            Command::Restart { key, remote, credentials, candidates, gate, done } => {
                let result = self.change(key, |leg, io| {
                    agent::accept_offer(&mut leg.rtc, leg.mid, &remote)?;
                    agent::set_credentials(&mut leg.rtc, &credentials);
                    leg.rename(io, credentials.ufrag);
                    leg.apply(candidates, gate);
                    Ok(())
                });
                let _ = done.send(result);
            }
            Command::Change { key, candidates, gate, done } => {
                let result = self.change(key, |leg, _| {
                    leg.apply(candidates, gate);
                    Ok(())
                });
                let _ = done.send(result);
            }
            Command::Candidate { key, candidate } => {
                let _ = self.change(key, |leg, _| {
                    leg.add_candidate(*candidate);
                    Ok(())
                });
            }
        }
    }

    /// Changes a leg, and lets its agent act on it.
    fn change<T>(
        &mut self,
        key: Key,
        work: impl FnOnce(&mut Leg, &mut Io<'_>) -> Result<T, WebRtcError>,
    ) -> Result<T, WebRtcError> {
        let slot = self.holds(key).ok_or(WebRtcError::Gone)?;
        let done = self.with(slot, |leg, io| -> Result<_, CloseReason> {
            let done = work(leg, io);
            leg.advance(io)?;
            Ok(done)
        });
        done.ok_or(WebRtcError::Gone)?
    }
}

impl Leg {
    /// What may pass from now on, and more candidates of theirs.
    fn apply(&mut self, candidates: Vec<str0m::Candidate>, gate: Gate) {
        self.gate = Some(gate);
        for candidate in candidates {
            self.add_candidate(candidate);
        }
    }

    /// Our name fragment is another from now on.
    fn rename(&mut self, io: &mut Io<'_>, fragment: String) {
        for old in std::mem::replace(&mut self.fragments, vec![fragment.clone()]) {
            io.routes.remove_fragment(&old);
        }
        io.routes.add_fragment(fragment, self.key);
    }
}
