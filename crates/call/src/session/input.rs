//! What comes from the caller's phone: keys, and sound that may be speech.

use std::time::Instant;

use tokio_util::task::AbortOnDropHandle;

use super::keys::{By, Keys};
use super::rate::PerSecond;
use super::{LegFact, Session};
use crate::cause::HangupCause;
use crate::room::MediaFact;
use crate::stream::Control;

/// Digits taken per second; nobody presses more keys, and each one is recorded.
const MOST_DIGITS: u32 = 20;

/// What comes from the phone.
#[derive(Default)]
pub(super) struct Input {
    digits: PerSecond,
    /// Keys that may be told a second time.
    keys: Keys,
    /// Whether sound like speech comes from its microphone.
    pub(super) speaking: bool,
    /// Somebody listens for speech: the number of the listening, and its task.
    pub(super) listening: Option<(u64, AbortOnDropHandle<()>)>,
    /// How many listenings there have been.
    pub(super) listenings: u64,
}

impl Input {
    /// Whether this is a key press that was not told yet.
    pub(super) fn is_new(&mut self, digit: char, by: By) -> bool {
        self.keys.is_new(digit, by, Instant::now())
    }

    /// Whether keys that are told by SIP INFO come with the sound as well.
    pub(super) fn keys_come_with_sound(&self) -> bool {
        self.keys.come_with_sound()
    }
}

impl Session {
    pub(super) async fn media_fact(&mut self, fact: LegFact) {
        match fact {
            LegFact::Digit(digit, held) => {
                if self.input.is_new(digit, By::Event(held)) && self.takes_digit() {
                    let held = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
                    self.tell_streams(&Control::Digit(digit, held));
                    self.digit(digit);
                }
            }
            LegFact::PlayEnded(play) => self.play_ended(play).await,
            LegFact::Timeout => self.finish(HangupCause::MediaTimeout, None).await,
            LegFact::Failed(why) => {
                tracing::error!(call = self.view.uuid, why, "a leg's media failed; the call ends");
                self.finish(HangupCause::NetworkFailure, None).await;
            }
            LegFact::Speaking(speaking) => {
                self.input.speaking = speaking;
                if let (Some(stay), Some(leg)) = (&self.rooms.stay, self.leg_id()) {
                    // Telemetry: a busy room may miss it.
                    stay.room.media_fact(MediaFact::Speaking(leg, speaking));
                }
            }
        }
    }

    /// Counts a digit; false if nobody presses so many.
    pub(super) fn takes_digit(&mut self) -> bool {
        let takes = self.input.digits.takes(MOST_DIGITS, self.inner.clock.monotonic());
        if !takes {
            self.inner.counters.digits_dropped.add(1);
        }
        takes
    }

    pub(super) fn digit(&mut self, digit: char) {
        self.programs.own.digit(digit, self.inner.clock.monotonic());
        self.connection_key(digit);
        if let (Some(stay), Some(leg)) = (&self.rooms.stay, self.leg_id())
            && !stay.room.media_fact(MediaFact::Digit(leg, digit))
        {
            self.inner.counters.mailbox_overflows.add(1);
        }
    }
}
