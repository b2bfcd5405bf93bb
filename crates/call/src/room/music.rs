//! What a member alone hears: wait music, hold music, ringback.

use conference::{Member, PrivateSound, Room};

use crate::command::DialMusic;
use crate::verb::{Fetch, RoomSettings};

/// A sound that may be heard over and over.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SoundKey {
    /// A URL's sound file, or the prompts of the document it answers with.
    Url(Fetch),
    /// Ringback.
    Ringback,
}

/// What `member` should hear by itself now.
///
/// On hold: the hold music of its role. While it waits or is alone: the room's wait music if it has one; else, while a
/// leg is being dialled, what that dial asked for. Somebody in company never hears ringback: it would drown the talk.
pub(crate) fn wanted(
    room: &Room,
    settings: &RoomSettings,
    dialling: Option<&DialMusic>,
    member: &Member,
) -> Option<SoundKey> {
    match room.private_sound(member)? {
        PrivateSound::Hold => settings.hold_music.get(&member.role).cloned().map(SoundKey::Url),
        PrivateSound::Wait => {
            let dial = || match dialling? {
                DialMusic::Ringback => Some(SoundKey::Ringback),
                DialMusic::Silent => None,
                DialMusic::Url(fetch) => Some(SoundKey::Url(fetch.clone())),
            };
            settings.wait_music.clone().map(SoundKey::Url).or_else(dial)
        }
    }
}
