//! What a program can change about a live call. The REST interface and the WebSocket say the same things in other words;
//! here they are read once.

use crate::fault::{Fault, Properties};
use crate::hook::Hook;
use crate::json::{Object, Value};
use crate::verbs::{self, Config, DocumentError, Dub, Instruction, Place, Play, Say};

/// A change of a live call.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Other instructions, now or (`queue`) after those that are left.
    Instructions {
        /// They.
        verbs: Vec<Instruction>,
        /// Whether they are appended instead of replacing the rest.
        queue: bool,
    },
    /// Other instructions for the two legs of a `dial`, each of which then goes on by itself.
    Split {
        /// For the leg that dialled.
        parent: Option<Vec<Instruction>>,
        /// For the leg that was dialled.
        child: Option<Vec<Instruction>>,
    },
    /// Asks for other instructions; at least one is there.
    CallHook {
        /// For this call.
        call: Option<Hook>,
        /// For the call that it dialled.
        child: Option<Hook>,
    },
    /// The call ends.
    End(CallEnd),
    /// Whether the call's sound goes anywhere: its microphone, wherever it is. In a room, that member's mute.
    Mute(bool),
    /// `conf_mute_status`. The addressed member alone, unless it is a moderator (joined with `startConferenceOnEnter: true`):
    /// then every member of the room that is none.
    ConferenceMute(bool),
    /// `conf_hold_status`: hold of the addressed member.
    ConferenceHold(Hold),
    /// An action on the addressed member.
    Participant(ParticipantAction),
    /// The stream of a `listen`.
    Listen(StreamStatus),
    /// Heard by this call alone. On a dialled or listened call as the vendor's; in a room our extension: a private player of
    /// that member.
    Whisper(Vec<Instruction>),
    /// A track of the call.
    Dub(Box<Dub>),
    /// Digits to send.
    Dtmf {
        /// Keys of a phone.
        keys: String,
    },
    /// What later hooks carry as `customerData`.
    Tag(Object),
    /// A SIP request within the dialog; REST answers with its status.
    SipRequest(SipRequest),
    /// A recording of the call, which this server does not make: to be refused by `jambonz:error`.
    Record,
    /// Spoken to the whole room that the call is in.
    RoomSay(RoomSound<Say>),
    /// Played to the whole room that the call is in.
    RoomPlay(RoomSound<Play>),
    /// Settings of the call.
    Config(Box<Config>),
    /// Text for a voice that speaks as text comes, which this server has not: to be refused by `jambonz:error`.
    Tokens,
    /// Known to the vendor's servers and not done here: to be told by `jambonz:error`.
    Unsupported(String),
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// `completed`: a live call is hung up.
    Completed,
    /// `no-answer`: a call that rings is given up.
    NoAnswer,
}

/// Hold, with what is heard meanwhile, or its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Whether it begins.
    pub on: bool,
    /// Asked again and again for what this member hears.
    pub wait_hook: Option<Hook>,
}

/// An action on one member of a room, in the room's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParticipantAction {
    /// The free tag is this one. A role stays what it is.
    Tag(String),
    /// There is no free tag. A role stays what it is.
    Untag,
    /// The microphone's audience is `{tag t}`: members whose free tag or role is called so, as they are from tick to tick.
    Coach(String),
    /// The microphone's audience is everyone.
    Uncoach,
    /// The microphone is muted; whom it coaches stays.
    Mute,
    /// It is not.
    Unmute,
    /// Neither hears nor is heard; hears what the wait hook says.
    Hold(Option<Hook>),
    /// No more.
    Unhold,
    /// Leaves the room; its instructions go on.
    Kick,
}

/// What a stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStatus {
    /// Sends nothing.
    Pause,
    /// Sends silence.
    Silence,
    /// Sends again.
    Resume,
}

/// A SIP request within the dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipRequest {
    /// `INFO`, `MESSAGE`, `NOTIFY`, …
    pub method: String,
    /// Its body's type.
    pub content_type: Option<String>,
    /// Its body.
    pub content: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
}

/// Something that a whole room hears: a room player.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomSound<T> {
    /// What.
    pub sound: T,
    /// Repeated in its events.
    pub id: Option<String>,
    /// What the room hears in this way ends first, and what waits to be heard is left out.
    pub replace: bool,
}

/// Why a change cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A property.
    #[error(transparent)]
    Property(#[from] Fault),
    /// Its verbs.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

type Read<T> = Result<T, ChangeError>;

/// The action of a `record` that begins one.
pub(crate) const START_RECORDING: &str = "startCallRecording";

/// `mute` or `unmute` under `name`.
pub(crate) fn mute(data: &Properties<'_>, name: &str) -> Read<bool> {
    required(data, name, &[("mute", true), ("unmute", false)])
}

/// `hold` or `unhold` under `name`, with a wait hook beside it.
pub(crate) fn hold(data: &Properties<'_>, name: &str) -> Read<Hold> {
    let on = required(data, name, &[("hold", true), ("unhold", false)])?;
    Ok(Hold { on, wait_hook: wait_hook(data)? })
}

/// `pause`, `silence` or `resume` under `name`.
pub(crate) fn stream(data: &Properties<'_>, name: &str) -> Read<StreamStatus> {
    let words = [("pause", StreamStatus::Pause), ("silence", StreamStatus::Silence), ("resume", StreamStatus::Resume)];
    required(data, name, &words)
}

/// `completed` or `no-answer` under `name`.
pub(crate) fn end(data: &Properties<'_>, name: &str) -> Read<CallEnd> {
    required(data, name, &[("completed", CallEnd::Completed), ("no-answer", CallEnd::NoAnswer)])
}

/// `action` with what belongs to it.
pub(crate) fn participant(data: &Properties<'_>) -> Read<ParticipantAction> {
    const ACTIONS: [(&str, ()); 9] = [
        ("tag", ()),
        ("untag", ()),
        ("coach", ()),
        ("uncoach", ()),
        ("mute", ()),
        ("unmute", ()),
        ("hold", ()),
        ("unhold", ()),
        ("kick", ()),
    ];
    required(data, "action", &ACTIONS)?;
    let tag = || data.required_name("tag");
    Ok(match data.text("action")?.unwrap_or_default() {
        "tag" => ParticipantAction::Tag(tag()?),
        "untag" => ParticipantAction::Untag,
        "coach" => ParticipantAction::Coach(tag()?),
        "uncoach" => ParticipantAction::Uncoach,
        "mute" => ParticipantAction::Mute,
        "unmute" => ParticipantAction::Unmute,
        "hold" => ParticipantAction::Hold(wait_hook(data)?),
        "unhold" => ParticipantAction::Unhold,
        _ => ParticipantAction::Kick,
    })
}

/// `digit` and `duration`.
pub(crate) fn dtmf(data: &Properties<'_>) -> Read<Change> {
    let digits = match data.get("digit") {
        Some(Value::Number(number)) => crate::json::number(*number),
        _ => data.required_line("digit")?,
    };
    let keys: String = verbs::keys(&digits).collect();
    if keys.is_empty() {
        return Err(data.fault("digit", "write digits out of 0 to 9, *, # and A to D").into());
    }
    // Checked, without effect.
    data.number("duration")?;
    Ok(Change::Dtmf { keys })
}

/// `method` and the rest of a SIP request.
pub(crate) fn sip_request(data: &Properties<'_>) -> Read<SipRequest> {
    let method = data.required_line("method")?.to_ascii_uppercase();
    if method.is_empty() || method.len() > 32 || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(data.fault("method", "write a SIP method, for example INFO").into());
    }
    Ok(SipRequest {
        method,
        content_type: data.line("content_type")?,
        content: data.text("content")?.map(str::to_owned),
        headers: data.headers("headers")?,
    })
}

/// `action` and the rest of a recording.
pub(crate) fn record(data: &Properties<'_>) -> Read<Change> {
    let actions = [START_RECORDING, "stopCallRecording", "pauseCallRecording", "resumeCallRecording"];
    // Checked, without effect.
    required(data, "action", &actions.map(|action| (action, ())))?;
    data.line("siprecServerURL")?;
    data.line("recordingID")?;
    Ok(Change::Record)
}

/// One or more of `say` and `play`.
pub(crate) fn whisper(verbs: &Value) -> Read<Vec<Instruction>> {
    Ok(verbs::instructions_for(Place::Whisper, verbs)?)
}

/// A `say` for a room.
pub(crate) fn room_say(data: &Properties<'_>) -> Read<RoomSound<Say>> {
    let sound = verbs::say(data)?;
    if sound.texts.iter().all(|text| text.trim().is_empty()) {
        return Err(data.fault("text", "write what to say").into());
    }
    Ok(RoomSound { sound, id: data.line("id")?, replace: data.flag("replace")? })
}

/// A `play` for a room.
pub(crate) fn room_play(data: &Properties<'_>) -> Read<RoomSound<Play>> {
    Ok(RoomSound { sound: verbs::play(data)?, id: data.line("id")?, replace: data.flag("replace")? })
}

/// A `dub`.
pub(crate) fn dub(data: &Properties<'_>) -> Read<Change> {
    Ok(Change::Dub(Box::new(verbs::dub(data)?)))
}

fn wait_hook(data: &Properties<'_>) -> Read<Option<Hook>> {
    Ok(match data.hook("wait_hook")? {
        Some(hook) => Some(hook),
        None => data.hook("waitHook")?,
    })
}

fn required<T: Copy>(data: &Properties<'_>, name: &str, choices: &[(&str, T)]) -> Read<T> {
    match data.choice(name, choices)? {
        Some(choice) => Ok(choice),
        None => {
            let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
            Err(data.fault(name, format!("write one of: {words}")).into())
        }
    }
}
