//! What may be asked of a live call.

use super::MemberChange;
use crate::dialect::{CallView, Params};
use crate::verb::{Dub, Fetch, Instruction, Prompt, Refusal, Settings, StreamChange};

/// A call and what may be known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CallSnapshot {
    /// The call.
    pub call: CallView,
    /// The room it is in.
    pub room_uuid: Option<String>,
}

/// A live call to be changed by a program.
#[derive(Clone, Debug, PartialEq)]
pub enum CallCommand {
    /// End it.
    Hangup(Option<Refusal>),
    /// Give up a call that is not answered yet.
    Cancel,
    /// Run other instructions.
    Transfer(Fetch),
    /// Run these: in place of the rest, or (`queue`) after it.
    Instructions {
        /// Which.
        run: Vec<Instruction>,
        /// After the rest.
        queue: bool,
    },
    /// Other instructions for a call and for the one that it has dialled, which go on without each other.
    Split {
        /// For the call itself.
        parent: Option<Next>,
        /// For the dialled call.
        child: Option<Next>,
    },
    /// Change the member that the call is; of no effect if it is none.
    Member(MemberChange),
    /// Hold or unhold the member; held, it hears what this program says.
    Hold {
        /// Hold.
        on: bool,
        /// Asked again and again for what to hear.
        wait: Option<Fetch>,
    },
    /// Mute or unmute the member; all that are no moderators, if it is one.
    MuteRoom(bool),
    /// Remove the member.
    Kick,
    /// Mute or unmute the call's microphone, in a room or not.
    Mute(bool),
    /// Let the caller, and nobody else, hear these.
    Whisper(Vec<Prompt>),
    /// Send digits to the other side.
    SendDigits(String),
    /// What requests carry of the program's own: JSON text of an object.
    Attach(String),
    /// Change a track.
    Dub(Dub),
    /// Change the stream of sound.
    Stream(StreamChange),
    /// Set what holds for the rest of the call.
    Configure(Box<Settings>),
    /// Let the room that the call is in hear these; the program's name for it.
    RoomSound {
        /// What.
        prompts: Vec<Prompt>,
        /// Speech.
        spoken: bool,
        /// The program's name for it.
        id: Option<String>,
        /// In place of what the room hears in this way, and of what waits to be heard.
        replace: bool,
    },
    /// Send a request within the dialog.
    Request {
        /// `INFO`, `MESSAGE`, `NOTIFY`, …
        method: String,
        /// Of the body.
        content_type: Option<String>,
        /// The body.
        body: String,
        /// Further headers.
        headers: Params,
    },
    /// Something that is understood and not done here: its name.
    Unsupported(String),
}

impl CallCommand {
    /// What it is, without what it says: digits, texts and URLs are nobody else's business.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hangup(_) => "hang-up",
            Self::Cancel => "cancel",
            Self::Transfer(_) => "transfer",
            Self::Instructions { .. } => "instructions",
            Self::Split { .. } => "split",
            Self::Member(_) => "member",
            Self::Hold { .. } => "hold",
            Self::MuteRoom(_) => "mute of the room",
            Self::Kick => "kick",
            Self::Mute(_) => "mute",
            Self::Whisper(_) => "whisper",
            Self::SendDigits(_) => "digits",
            Self::Attach(_) => "data",
            Self::Dub(_) => "track",
            Self::Stream(_) => "stream",
            Self::Configure(_) => "settings",
            Self::RoomSound { .. } => "sound for the room",
            Self::Request { .. } => "request within the dialog",
            Self::Unsupported(_) => "something that is not done here",
        }
    }
}

/// Where instructions come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// They are asked for.
    Fetch(Fetch),
    /// These.
    Run(Vec<Instruction>),
}

/// What a command to a call did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallChanged {
    /// The answer to a request within the dialog: status and reason.
    pub sip: Option<(u16, String)>,
}
