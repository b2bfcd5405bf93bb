//! What a call does next, in no dialect's words. A dialect translates its documents to lists of [`Verb`]; the
//! interpreter runs them.

use std::collections::BTreeMap;
use std::time::Duration;

use conference::{Entry, Policy, Role};
use serde::{Deserialize, Serialize};

/// One instruction. They run one at a time, first to last.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Lets the caller hear something.
    Prompt(Prompt),
    /// Collects digits, with prompts meanwhile.
    Gather(Gather),
    /// Puts the call into a room until it leaves or the room ends.
    Join(Box<Join>),
    /// Ends the call.
    Hangup(Hangup),
    /// Fetches other instructions, which replace the rest.
    Redirect(Fetch),
}

/// Something to hear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Prompt {
    /// Spoken text.
    Speech {
        /// Plain text; markup is removed by the dialect.
        text: String,
        /// The voice asked for, in the dialect's words (`WOMAN`, `MAN`, …).
        voice: String,
        /// BCP 47 language, for example `en-US`.
        language: String,
        /// How often.
        times: Times,
    },
    /// A sound file.
    Audio {
        /// Absolute `http` or `https` URL.
        url: String,
        /// How often.
        times: Times,
    },
    /// Nothing, for a while.
    Silence(Duration),
    /// A short beep.
    Beep,
}

/// How often a prompt is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Times {
    /// This often.
    Count(u32),
    /// Until something else stops it.
    Forever,
}

/// HTTP method of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Parameters in the query.
    Get,
    /// Parameters in a form body.
    Post,
}

impl Method {
    /// `GET` or `POST`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// A hook: where to ask, and how. The URL may carry delivery options in its fragment; the dialect knows them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fetch {
    /// Absolute URL.
    pub url: String,
    /// Method.
    pub method: Method,
}

/// Collects digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Heard until the first digit.
    pub prompts: Vec<Prompt>,
    /// Where the digits go; its answer is run when `follow` is set.
    pub action: Option<Fetch>,
    /// Whether the action's answer replaces the rest of the instructions.
    pub follow: bool,
    /// How long to wait for the first digit after the prompts.
    pub first_digit: Duration,
    /// How long to wait for each further digit.
    pub next_digit: Duration,
    /// Ends the input and is not part of it.
    pub finish_on: Option<char>,
    /// Ends the input when reached.
    pub max_digits: usize,
    /// The digits that count; another one is an invalid input.
    pub valid: String,
    /// Sound heard after an invalid input.
    pub invalid_sound: Option<String>,
    /// How often to try, the first time counted in.
    pub attempts: u32,
    /// A beep after the prompts.
    pub beep: bool,
}

/// How to end a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hangup {
    /// Refuses a call that has not been answered.
    pub refusal: Option<Refusal>,
    /// Not now, but this long from now; the instructions go on.
    pub after: Option<Duration>,
}

/// How an unanswered call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// SIP 603.
    Rejected,
    /// SIP 486.
    Busy,
}

/// A member to be: the room, and everything with which the call enters it.
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// The room's name in the call's account.
    pub room: String,
    /// The member's rules.
    pub entry: Entry,
    /// What the room takes over where nobody has said so before.
    pub room_settings: RoomSettings,
    /// What is this member's own.
    pub member_settings: MemberSettings,
}

/// Properties of a room. The first who says something is followed; limits are the opener's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoomSettings {
    /// Limits and conditions; of the one who opens the room.
    #[serde(skip)]
    pub policy: Policy,
    /// Heard by members who wait or are alone.
    pub wait_music: Option<Fetch>,
    /// Heard by members on hold, by role; `None` serves members without a role.
    #[serde(skip)]
    pub hold_music: BTreeMap<Option<Role>, Fetch>,
    /// Where status events go, in the dialect's own words.
    pub callbacks: Option<serde_json::Value>,
    /// Whether a recording was asked for.
    pub record: bool,
}

impl RoomSettings {
    /// Takes over what is still unsaid; limits stay.
    pub fn fill_in(&mut self, later: &Self) {
        if self.wait_music.is_none() {
            self.wait_music.clone_from(&later.wait_music);
        }
        for (role, fetch) in &later.hold_music {
            self.hold_music.entry(*role).or_insert_with(|| fetch.clone());
        }
        if self.callbacks.is_none() {
            self.callbacks.clone_from(&later.callbacks);
        }
        self.record |= later.record;
    }
}

/// What belongs to one member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberSettings {
    /// Heard by the others when it enters.
    pub enter_sound: Notice,
    /// Heard by the others when it leaves.
    pub exit_sound: Notice,
    /// Asked for instructions when the member has left.
    pub on_exit: Option<Fetch>,
    /// Where this member's own status events go, in the dialect's words.
    pub callbacks: Option<serde_json::Value>,
}

/// A short sound for a whole room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Notice {
    /// Nothing.
    #[default]
    Silent,
    /// This many beeps (1 or 2).
    Beeps(u8),
    /// What this URL says: a sound file, or a document of prompts.
    Url(Fetch),
}
