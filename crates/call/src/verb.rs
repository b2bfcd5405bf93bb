//! What a call does next, in no dialect's words. A dialect translates its documents to lists of [`Instruction`]; the
//! interpreter runs them.

mod connect;
mod fetch;
mod queue;
mod signalling;
mod stream;

use std::collections::BTreeMap;
use std::time::Duration;

use conference::{Entry, Policy, Role};
use serde::{Deserialize, Serialize};

pub use connect::{CallStatus, Connect, KeyPattern, Target, TargetKind};
pub use fetch::{Action, BasicAuth, Fetch, Method};
pub use queue::{Dequeue, Enqueue, LONGEST_QUEUE_NAME, QueueEnd};
pub use signalling::{Hangup, Refer, Refusal};
pub use stream::{Dub, DubAction, Stream, StreamChange, StreamMix, TwoWay};

/// One instruction. They run one at a time, first to last.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// What to do.
    pub verb: Verb,
    /// How programs are told of it, where a dialect tells when instructions begin and end.
    pub label: Option<Label>,
}

/// How a program calls an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The dialect's word for the verb.
    pub verb: String,
    /// The program's name for it.
    pub id: Option<String>,
}

impl From<Verb> for Instruction {
    fn from(verb: Verb) -> Self {
        Self { verb, label: None }
    }
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Lets the caller hear something.
    Prompt(Prompt),
    /// The same, with an end and somebody to be told of it.
    Play(Box<Play>),
    /// Collects digits, with prompts meanwhile.
    Gather(Gather),
    /// Puts the call into a room until it leaves or the room ends.
    Join(Box<Join>),
    /// Calls somebody and connects both, in a room of their own.
    Connect(Box<Connect>),
    /// Waits in a queue until somebody takes the call out.
    Enqueue(Box<Enqueue>),
    /// Takes the first call of a queue and connects both, in a room of their own.
    Dequeue(Box<Dequeue>),
    /// Leaves the queue in whose wait program this stands.
    Leave,
    /// Streams the call's sound to a program until that ends it.
    Stream(Box<Stream>),
    /// Changes a track that is mixed into what the caller hears.
    Dub(Dub),
    /// Sends digits to the other side.
    SendDigits(String),
    /// What later requests carry of the program's own: JSON text of an object.
    Attach(String),
    /// Sets what holds for the rest of the call.
    Configure(Box<Settings>),
    /// Answers the call, if it has not been.
    Answer,
    /// Rings: 180, with this text in `Alert-Info`.
    Ring(String),
    /// Moves the caller elsewhere (SIP REFER, RFC 3515).
    Refer(Box<Refer>),
    /// A text message, which cannot be sent from here: the action is told so.
    Message(Option<Action>),
    /// Ends the call.
    Hangup(Hangup),
    /// Fetches other instructions, which replace the rest.
    Redirect(Fetch),
    /// A verb of the dialect that is not run here: told to the program, and passed over.
    Unsupported(String),
}

/// Prompts with an end.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// Heard one after the other.
    pub prompts: Vec<Prompt>,
    /// Longest time.
    pub limit: Option<Duration>,
    /// Told how it went.
    pub action: Option<Action>,
}

/// What holds for the rest of a call; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The voice and language of prompts that name none; `Some(None)` goes back to the application's.
    pub voice: Option<Option<(String, String)>>,
    /// Whether programs are told when instructions begin and end.
    pub notify: Option<bool>,
    /// Sound to a program beside the instructions.
    pub stream: Option<StreamChange>,
    /// Digits and speech that interrupt other instructions; `Some(None)`: none do.
    pub barge_in: Option<Option<Box<Gather>>>,
    /// Gather again after each interruption.
    pub barge_in_again: bool,
    /// Asked when the far side sends a REFER.
    pub refer_hook: Option<Fetch>,
    /// Told of requests within the dialog.
    pub request_hook: Option<Fetch>,
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

/// Collects digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Heard until the first digit.
    pub prompts: Vec<Prompt>,
    /// Who is told.
    pub action: Option<Action>,
    /// What is told, and what becomes of the answer.
    pub report: Report,
    /// How long to wait for the first digit after the prompts.
    pub first_digit: Duration,
    /// How long to wait for each further digit.
    pub next_digit: Duration,
    /// Ends the input and is not part of it.
    pub finish_on: Option<char>,
    /// Fewer than these are no input, unless the finishing key ends them.
    pub min_digits: usize,
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
    /// Whether a digit ends the prompts.
    pub interrupts: bool,
    /// Speech counts as input too.
    pub speech: Option<Box<Understanding>>,
}

impl Default for Gather {
    fn default() -> Self {
        Self {
            prompts: Vec::new(),
            action: None,
            report: Report::DigitsFollowed,
            first_digit: Duration::from_secs(5),
            next_digit: Duration::from_secs(2),
            finish_on: None,
            min_digits: 1,
            max_digits: 99,
            valid: "0123456789*#".to_owned(),
            invalid_sound: None,
            attempts: 1,
            beep: false,
            interrupts: true,
            speech: None,
        }
    }
}

/// What a gather's program is told, and what becomes of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Digits, if there are any; the answer replaces the rest of the instructions.
    DigitsFollowed,
    /// Digits, if there are any; the answer is ignored.
    DigitsOnly,
    /// How it ended, whatever that is; instructions in the answer replace the rest.
    Outcome,
}

/// How speech is to be understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Understanding {
    /// BCP 47; empty: the recogniser's own.
    pub language: String,
    /// Words to expect.
    pub hints: Vec<String>,
    /// Confidence, 0 to 1, below which nothing was understood.
    pub min_confidence: f64,
    /// Silence that ends what is said.
    pub silence: Duration,
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
    /// The programs of this stay.
    pub hooks: JoinHooks,
}

/// Programs that are asked during a stay in a room.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JoinHooks {
    /// Asked again and again, while the room has not started, for what to hear.
    pub wait: Option<Fetch>,
    /// Asked once, before the member takes part, for what to hear.
    pub enter: Option<Fetch>,
    /// Told when the stay is over, for whatever reason; its instructions replace the rest.
    pub action: Option<Action>,
    /// The room's mix goes there, if nobody has streamed it yet.
    pub stream: Option<Box<Stream>>,
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
    /// A mute of all does not concern it.
    pub moderator: bool,
    /// How long the others may stay after a departure of this member that ends the room.
    pub end_grace: Option<Duration>,
    /// From now on the room has at most so many members.
    pub max_members: Option<u32>,
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
