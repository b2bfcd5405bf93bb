//! Speech as input.

use media::{TapOf, TapSetup};
use tokio_util::task::AbortOnDropHandle;

use super::{CallMessage, Session};
use crate::dialect::Understood;
use crate::verb::Understanding;

/// Frames of 20 ms that may wait to be listened to.
const FRAMES: usize = 100;

impl Session {
    /// Listens until something has been said.
    pub(super) async fn understand(&mut self, speech: Understanding) {
        if let Err(why) = self.listen(speech) {
            self.programs.own.understood(Err(why), self.inner.clock.monotonic());
        }
    }

    fn listen(&mut self, speech: Understanding) -> Result<(), String> {
        let none = "no recogniser of speech is configured; set [speech] recogniser, or take digits";
        let recogniser = self.inner.recogniser.clone().ok_or(none)?;
        let leg = self.leg_id().ok_or("the call has no media yet")?;
        let of = TapOf::Leg { leg, inbound: true, outbound: false };
        let (_, reader) = self
            .inner
            .media
            .open_tap(TapSetup { of, capacity: FRAMES })
            .map_err(|error| format!("the call cannot be listened to: {error}"))?;
        self.input.listenings += 1;
        let (number, mailbox) = (self.input.listenings, self.mailbox.clone());
        let task = tokio::spawn(async move {
            let heard = recogniser.understand(reader, &speech).await;
            mailbox.send(CallMessage::Understood(number, heard)).await;
        });
        self.input.listening = Some((number, AbortOnDropHandle::new(task)));
        Ok(())
    }

    pub(super) fn heard_speech(&mut self, number: u64, heard: Result<Understood, String>) {
        if self.input.listening.as_ref().is_some_and(|(known, _)| *known == number) {
            self.input.listening = None;
            self.programs.own.understood(heard, self.inner.clock.monotonic());
        }
    }

    pub(super) async fn stop_understanding(&mut self) {
        self.input.listening = None;
    }
}
