//! What the commands carry. The libraries do not agree with each other, nor with the vendor's server; all of their forms are
//! read: a bare word or an object with it, the data itself or the data under the REST property's name.

use crate::change::{self, Change, ChangeError};
use crate::fault::Properties;
use crate::json::{Object, Value};
use crate::verbs;

/// Commands of the vendor's servers that this one does not do.
const UNSUPPORTED: [&str; 14] = [
    "agent:update",
    "agent:tool-output",
    "boostAudioSignal",
    "dial",
    "llm:tool-output",
    "llm:update",
    "media:path",
    "noiseIsolation:status",
    "stt:reconfigure",
    "transcribe:status",
    "transfer",
    "tts:clear",
    "tts:flush",
    "llm:status",
];

/// Why a command is refused.
pub(super) enum Refusal {
    /// It needs data.
    NoData,
    /// Its data are wrong.
    Data(ChangeError),
}

impl<E: Into<ChangeError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Data(error.into())
    }
}

/// The change that a command asks for; `None` for a command that does not exist.
pub(super) fn read(name: &str, data: Option<&Value>, queue: bool) -> Result<Option<Change>, Refusal> {
    if UNSUPPORTED.contains(&name) {
        return Ok(Some(Change::Unsupported(name.to_owned())));
    }
    let read = match name {
        "redirect" => redirect,
        "call:status" => {
            |data: &Value, _| word(data, "call_status", |data, name| Ok(Change::End(change::end(data, name)?)))
        }
        "mute:status" => {
            |data: &Value, _| word(data, "mute_status", |data, name| Ok(Change::Mute(change::mute(data, name)?)))
        }
        "conf:mute-status" => |data: &Value, _| {
            word(data, "conf_mute_status", |data, name| Ok(Change::ConferenceMute(change::mute(data, name)?)))
        },
        "conf:hold-status" => |data: &Value, _| {
            word(data, "conf_hold_status", |data, name| Ok(Change::ConferenceHold(change::hold(data, name)?)))
        },
        "listen:status" => {
            |data: &Value, _| word(data, "listen_status", |data, name| Ok(Change::Listen(change::stream(data, name)?)))
        }
        "stream:status" => |data: &Value, _| {
            let name = if data.as_object().is_some_and(|data| data.get("stream_status").is_some()) {
                "stream_status"
            } else {
                "listen_status"
            };
            word(data, name, |data, name| Ok(Change::Listen(change::stream(data, name)?)))
        },
        "conf:participant-action" => |data: &Value, _| {
            inner(data, "conferenceParticipantAction", |data| Ok(Change::Participant(change::participant(data)?)))
        },
        "whisper" => |data: &Value, _| Ok(Change::Whisper(change::whisper(unwrapped(data, "whisper"))?)),
        "record" => |data: &Value, _| inner(data, "record", |data| Ok(change::record(data)?)),
        "dtmf" => |data: &Value, _| inner(data, "dtmf", |data| Ok(change::dtmf(data)?)),
        "dub" => |data: &Value, _| inner(data, "dub", |data| Ok(change::dub(data)?)),
        "sip:request" => {
            |data: &Value, _| inner(data, "sip_request", |data| Ok(Change::SipRequest(change::sip_request(data)?)))
        }
        "tag" => |data: &Value, _| Ok(Change::Tag(object(data)?.clone())),
        "room:say" => |data: &Value, _| inner(data, "room_say", |data| Ok(Change::RoomSay(change::room_say(data)?))),
        "room:play" => {
            |data: &Value, _| inner(data, "room_play", |data| Ok(Change::RoomPlay(change::room_play(data)?)))
        }
        "config" => |data: &Value, _| inner(data, "config", |data| Ok(Change::Config(Box::new(verbs::config(data)?)))),
        "tts:tokens" => tokens,
        _ => return Ok(None),
    };
    read(data.ok_or(Refusal::NoData)?, queue).map(Some)
}

/// An array of verbs, or an object that says whose instructions are replaced by what.
fn redirect(data: &Value, queue: bool) -> Result<Change, Refusal> {
    if let Value::Array(_) = data {
        return Ok(Change::Instructions { verbs: verbs::instructions(data)?, queue });
    }
    let properties = Properties::new(object(data)?);
    let (call, child) = (properties.hook("call_hook")?, properties.hook("child_call_hook")?);
    if call.is_some() || child.is_some() {
        return Ok(Change::CallHook { call, child });
    }
    let verbs = |name| properties.get(name).map(verbs::instructions).transpose();
    let (parent, child) = (verbs("parent_call")?, verbs("child_call")?);
    if parent.is_none() && child.is_none() {
        return Err(properties
            .fault("call_hook", "write verbs, call_hook, child_call_hook, parent_call or child_call")
            .into());
    }
    Ok(Change::Split { parent, child })
}

fn tokens(data: &Value, _queue: bool) -> Result<Change, Refusal> {
    let properties = Properties::new(object(data)?);
    // Checked, without effect.
    properties.number("id")?.ok_or_else(|| properties.fault("id", "write a number"))?;
    Ok(Change::Tokens)
}

fn object(data: &Value) -> Result<&Object, Refusal> {
    Ok(data.as_object().ok_or_else(|| crate::fault::Fault::new("data", Some(data), "write an object"))?)
}

/// The data under this name, where they are wrapped in an object of it alone.
fn unwrapped<'a>(data: &'a Value, name: &str) -> &'a Value {
    data.as_object().and_then(|object| object.get(name)).unwrap_or(data)
}

type Reading = fn(&Properties<'_>) -> Result<Change, Refusal>;

/// Data, or data under this name if there is an object.
fn inner(data: &Value, name: &str, read: Reading) -> Result<Change, Refusal> {
    let data = match unwrapped(data, name) {
        object @ Value::Object(_) => object,
        _ => data,
    };
    read(&Properties::new(object(data)?))
}

/// A word, or an object with the word under this name.
fn word(
    data: &Value,
    name: &str,
    read: fn(&Properties<'_>, &str) -> Result<Change, Refusal>,
) -> Result<Change, Refusal> {
    if let Value::Text(text) = data {
        let mut object = Object::new();
        object.set(name, text.clone());
        return read(&Properties::new(&object), name);
    }
    let object = object(data)?;
    // What one of the libraries shows: `mute_status` where `conf_mute_status` is meant.
    let short = name.strip_prefix("conf_").filter(|short| object.get(name).is_none() && object.get(short).is_some());
    read(&Properties::new(object), short.unwrap_or(name))
}
