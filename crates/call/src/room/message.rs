//! What a room's actor is told.

use conference::{LeaveCause, MemberId};
use media::{LegId, PlayerId, Sound};
use tokio::sync::oneshot;

use super::announce::Announced;
use super::handle::{JoinRequest, Joined};
use super::hold::Hold;
use super::music::SoundKey;
use super::sounds::Announcement;
use super::taps::Follower;
use crate::command::{
    Applied, Asker, CommandError, DialMusic, HearingMatrix, MemberChange, ModeCommand, RoomSnapshot, Tapped, Whom,
};
use crate::dialect::{CallView, Kind, MemberView};

pub(crate) type Reply<T> = oneshot::Sender<Result<T, CommandError>>;

/// A command or fact for a room.
pub(crate) enum RoomMessage {
    Join(Box<JoinRequest>, Reply<Joined>),
    /// Answered when it is in the sound, and again when it is recorded.
    Leave(MemberId, LeaveCause, oneshot::Sender<()>, oneshot::Sender<()>),
    Start(Asker, Reply<Applied>),
    End(Asker, conference::EndCause, Reply<Applied>),
    Change(Whom, MemberChange, Asker, Reply<Applied>),
    Kick(Whom, Asker, Reply<Applied>),
    Mode(ModeCommand, Asker, Reply<Applied>),
    /// A call changes its own hold.
    Hold(Hold, Asker, Reply<Applied>),
    /// An unprepared member takes part from now on.
    Admit(MemberId, Asker, Reply<Applied>),
    /// Streams the mix, or (true) each member's sound.
    Tap(bool, Follower, Reply<Tapped>),
    /// Which stream of the mix, or of the members, runs.
    Tapped(bool, Reply<Option<String>>),
    /// Ends that, or (with an id) that stream and no other; whether there was anything to end.
    Untap(bool, Option<String>, Reply<bool>),
    /// This tap of a member's call hears what the member hears.
    TapCall(MemberId, media::TapId, Reply<Applied>),
    /// Everybody hears this.
    Announce(Box<Announced>),
    Snapshot(Reply<RoomSnapshot>),
    Hearing(Reply<HearingMatrix>),
    /// Somebody is being dialled for the room: the dial's number, and who would come.
    Expect(u64, DialMusic, Box<MemberView>, Reply<()>),
    /// He entered, or never will.
    ExpectationOver(u64),
    /// A leg of this dial sounds before its answer.
    Early(u64, LegId),
    /// It was answered, or never will be.
    EarlyOver(LegId, oneshot::Sender<()>),
    /// Something to publish that changes nothing.
    Tell(Kind, Option<Box<MemberView>>, Option<Box<CallView>>),
    /// The member of this call asks for a supervisor, or (false) no more.
    Help(String, bool, Asker, Reply<Applied>),
    Media(MediaFact),
    /// The media plane dropped a change: the plan in force must be sent again.
    Resend,
    SoundLoaded(SoundKey, Sound),
    /// The sound of a notice's URL.
    NoticeLoaded(Announcement, Sound),
}

/// What the media plane tells of a room or of a leg in it.
#[derive(Clone, Debug)]
pub(crate) enum MediaFact {
    Digit(LegId, char),
    Speaking(LegId, bool),
    PlayerEnded(PlayerId),
    Failed(String),
}
