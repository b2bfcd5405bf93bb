//! What happens, and what it is called.

use super::{CallView, MemberView, RoomView};

/// What happened, with what there is to say about it.
#[derive(Clone, Debug)]
pub struct Happening<'a> {
    /// When, UTC microseconds.
    pub at: i64,
    /// The running number in the room (rooms) or call (calls), from 1. What only few programs are told of has none of its own:
    /// it carries that of what came before.
    pub sequence: u64,
    /// What.
    pub kind: &'a Kind,
    /// The room, for what happens in one.
    pub room: Option<&'a RoomView>,
    /// The member it concerns; for the room's own events the member who caused them, or the last.
    pub member: Option<&'a MemberView>,
    /// The call it concerns.
    pub call: Option<&'a CallView>,
}

/// The kinds of happenings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call exists: its INVITE was received or sent.
    CallBegun,
    /// A call of ours rings on the other side.
    CallRinging,
    /// A call was answered.
    CallAnswered,
    /// A call is over.
    CallEnded,
    /// A room was opened.
    RoomOpened,
    /// Its members are connected.
    RoomStarted,
    /// It is over.
    RoomEnded,
    /// A member entered.
    Joined,
    /// A member takes part from now on.
    Admitted,
    /// A member left, or a dialled one never came (no join time).
    Left,
    /// Muted (true) or unmuted.
    Muted(bool),
    /// Held or not.
    Held(bool),
    /// Coaching or not.
    Coaching(bool),
    /// Coaches others than before.
    CoachAudience,
    /// The tag changed.
    Tagged,
    /// Took the call over, or gave it back.
    Takeover(bool),
    /// Speaks, or has stopped.
    Speaking(bool),
    /// Pressed a key.
    Digit(char),
    /// A program asked for a member to be dialled or moved in.
    AddInitiated,
    /// That was done, or failed, in words.
    AddCompleted(String),
    /// An instruction begins (true) or is over: what the program calls it.
    Instruction(bool, crate::verb::Label),
    /// A sound for the whole room begins (true) or is over; spoken or not, and the program's name for it.
    RoomSound {
        /// Begins.
        begins: bool,
        /// Speech.
        spoken: bool,
        /// The program's name for it.
        id: Option<String>,
    },
    /// A program is told that something could not be done: the message, and the verb and its id where there is one.
    Fault(String, Option<crate::verb::Label>),
    /// A call came into a queue (true) or left it: the queue's name and how many wait now.
    Queue(bool, String, usize),
    /// A member asks for a supervisor (true), or does no more, or one has come.
    Help(bool),
    /// Something that an operator should know; in words, with the remedy.
    Warning(String),
}

impl Kind {
    /// Whether it has a running number of its own, so that whoever is not told of the others misses none.
    pub(crate) fn is_counted(&self) -> bool {
        !matches!(
            self,
            Self::CallBegun | Self::Instruction(..) | Self::RoomSound { .. } | Self::Admitted | Self::Help(_)
        )
    }

    /// The name in the event log and the native API, for example `member.joined`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CallBegun => "call.begun",
            Self::CallRinging => "call.ringing",
            Self::CallAnswered => "call.answered",
            Self::CallEnded => "call.ended",
            Self::RoomOpened => "room.opened",
            Self::RoomStarted => "room.started",
            Self::RoomEnded => "room.ended",
            Self::Joined => "member.joined",
            Self::Admitted => "member.admitted",
            Self::Left => "member.left",
            Self::Muted(true) => "member.muted",
            Self::Muted(false) => "member.unmuted",
            Self::Held(true) => "member.held",
            Self::Held(false) => "member.unheld",
            Self::Coaching(true) => "member.coaching_started",
            Self::Coaching(false) => "member.coaching_stopped",
            Self::CoachAudience => "member.coaching_changed",
            Self::Tagged => "member.tagged",
            Self::Takeover(true) => "member.takeover_started",
            Self::Takeover(false) => "member.takeover_stopped",
            Self::Speaking(true) => "member.speaking_started",
            Self::Speaking(false) => "member.speaking_stopped",
            Self::Digit(_) => "member.digit",
            Self::AddInitiated => "member.add_initiated",
            Self::AddCompleted(_) => "member.add_completed",
            Self::Instruction(true, _) => "call.instruction_started",
            Self::Instruction(false, _) => "call.instruction_finished",
            Self::RoomSound { begins: true, .. } => "room.sound_started",
            Self::RoomSound { begins: false, .. } => "room.sound_finished",
            Self::Fault(..) => "call.fault",
            Self::Queue(true, ..) => "queue.joined",
            Self::Queue(false, ..) => "queue.left",
            Self::Help(true) => "room.help_asked",
            Self::Help(false) => "room.help_over",
            Self::Warning(_) => "warning",
        }
    }
}
