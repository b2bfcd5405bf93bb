//! What the media plane tells, passed on to those whom it concerns.

use std::sync::Arc;
use std::time::Duration;

use media::Fact;
use tokio::sync::mpsc;

use super::Inner;
use crate::room::MediaFact;
use crate::session::{CallMessage, LegFact};

/// Passes the media plane's facts on to those they concern.
pub(super) async fn pass_facts(inner: Arc<Inner>, mut facts: mpsc::Receiver<Fact>) {
    while let Some(fact) = facts.recv().await {
        let (leg, told) = match fact {
            Fact::Digit { leg, digit, duration_ms } => {
                (leg, LegFact::Digit(digit, Duration::from_millis(duration_ms.into())))
            }
            Fact::PlayEnded { leg, play, .. } => (leg, LegFact::PlayEnded(play)),
            Fact::Speaking { leg, speaking, .. } => (leg, LegFact::Speaking(speaking)),
            Fact::MediaTimeout { leg } => (leg, LegFact::Timeout),
            Fact::LegFailed { leg, message } => (leg, LegFact::Failed(message)),
            Fact::PlayerEnded { room, player, .. } => {
                tell_room(&inner, room, MediaFact::PlayerEnded(player));
                continue;
            }
            Fact::RoomFailed { room, message } => {
                tell_room(&inner, room, MediaFact::Failed(message));
                continue;
            }
            Fact::FirstPacket { .. } | Fact::RemoteChanged { .. } | Fact::DigitsSent { .. } => continue,
        };
        let owed = matches!(told, LegFact::PlayEnded(_) | LegFact::Timeout | LegFact::Failed(_));
        match inner.calls.by_leg(leg) {
            Some(mailbox) if owed => mailbox.owe(CallMessage::Media(told)),
            Some(mailbox) if mailbox.spare(CallMessage::Media(told)) => {}
            Some(_) => inner.counters.mailbox_overflows.add(1),
            None => inner.counters.stray_facts.add(1),
        }
    }
}

fn tell_room(inner: &Inner, room: media::RoomId, fact: MediaFact) {
    match inner.rooms.by_media(room) {
        // The media plane tells it once.
        Some(room) => room.owe_fact(fact),
        None => inner.counters.stray_facts.add(1),
    }
}
