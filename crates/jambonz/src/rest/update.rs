//! `PUT` and `POST /v1/Accounts/{account}/Calls/{call}`.

use super::BadRequest;
use crate::change::{self, Change};
use crate::fault::Properties;
use crate::json::{Object, Value};

/// The changes of which a request may hold one.
const CHANGES: [&str; 23] = [
    "call_hook",
    "child_call_hook",
    "call_status",
    "listen_status",
    "stream_status",
    "transcribe_status",
    "conf_hold_status",
    "conf_mute_status",
    "mute_status",
    "sip_request",
    "record",
    "tag",
    "dtmf",
    "conferenceParticipantAction",
    "dub",
    "boostAudioSignal",
    "media_path",
    "room_say",
    "room_play",
    "noise_isolation_status",
    "agent_update",
    "transfer",
    "llm_status",
];

/// Reads the body of an update. One change is in it, or `call_hook` with `child_call_hook`; `whisper` may accompany any and
/// comes last. As in JavaScript, a property that is empty, zero, false or null is not there.
///
/// # Errors
/// The body breaks a rule; nothing of it has been done.
pub fn update_call(body: &Value) -> Result<Vec<Change>, BadRequest> {
    let object = body.as_object().ok_or("the body must be a JSON object")?;
    let present = |name: &str| object.get(name).is_some_and(Value::is_truthy);
    let named: Vec<&str> = CHANGES.into_iter().filter(|name| present(name)).collect();
    let mut changes = match named.as_slice() {
        [] if present("whisper") => Vec::new(),
        [] => return Err("no valid options supplied to updateCall".into()),
        [name] => vec![one(name, object)?],
        ["call_hook", "child_call_hook"] => vec![one("call_hook", object)?],
        _ => return Err("multiple options are not allowed in updateCall".into()),
    };
    if present("whisper") {
        let verbs = object.get("whisper").unwrap_or(&Value::Null);
        let verbs = change::whisper(verbs).map_err(|error| BadRequest(format!("invalid whisper: {error}")))?;
        changes.push(Change::Whisper(verbs));
    }
    Ok(changes)
}

fn one(name: &str, object: &Object) -> Result<Change, BadRequest> {
    let properties = Properties::new(object);
    let inner = || -> Result<Properties<'_>, BadRequest> {
        properties.inner(name)?.ok_or_else(|| properties.fault(name, "write an object").into())
    };
    let invalid = |_| BadRequest(format!("invalid {name}"));
    Ok(match name {
        "call_hook" | "child_call_hook" => {
            Change::CallHook { call: properties.hook("call_hook")?, child: properties.hook("child_call_hook")? }
        }
        "call_status" => Change::End(change::end(&properties, name).map_err(invalid)?),
        "listen_status" | "stream_status" => Change::Listen(change::stream(&properties, name).map_err(invalid)?),
        "conf_hold_status" => {
            if !matches!(properties.get(name).and_then(Value::as_str), Some("hold" | "unhold")) {
                return Err("invalid conf_hold_status".into());
            }
            Change::ConferenceHold(change::hold(&properties, name)?)
        }
        "conf_mute_status" => Change::ConferenceMute(change::mute(&properties, name).map_err(invalid)?),
        "mute_status" => Change::Mute(change::mute(&properties, name).map_err(invalid)?),
        "transcribe_status" => match properties.get(name).and_then(Value::as_str) {
            Some("pause" | "resume") => Change::Unsupported(name.to_owned()),
            _ => return Err("invalid transcribe_status".into()),
        },
        "sip_request" => {
            let request = inner()?;
            let there = |name| request.get(name).is_some_and(Value::is_truthy);
            if !(there("method") && there("content_type") && there("content")) {
                return Err("sip_request requires method, content_type and content properties".into());
            }
            Change::SipRequest(change::sip_request(&request)?)
        }
        "record" => record(&inner()?)?,
        "tag" => match object.get(name) {
            Some(Value::Object(data)) => Change::Tag(data.clone()),
            _ => return Err("invalid tag data".into()),
        },
        "dtmf" => change::dtmf(&inner().map_err(|_| "invalid dtmf")?).map_err(|_| "invalid dtmf")?,
        "conferenceParticipantAction" => participant(&inner()?)?,
        "dub" => change::dub(&inner()?)?,
        "room_say" => Change::RoomSay(change::room_say(&inner()?)?),
        "room_play" => Change::RoomPlay(change::room_play(&inner()?)?),
        other => Change::Unsupported(other.to_owned()),
    })
}

fn record(properties: &Properties<'_>) -> Result<Change, BadRequest> {
    if !properties.get("action").is_some_and(Value::is_truthy) {
        return Err("record requires action property".into());
    }
    let record = change::record(properties)?;
    let starts = properties.text("action")? == Some(change::START_RECORDING);
    if starts && properties.text("siprecServerURL")?.is_none_or(str::is_empty) {
        return Err("record requires siprecServerURL property when starting recording".into());
    }
    Ok(record)
}

/// Also `kick`, which the vendor's REST interface has not.
fn participant(properties: &Properties<'_>) -> Result<Change, BadRequest> {
    const ACTIONS: [&str; 9] = ["tag", "untag", "coach", "uncoach", "mute", "unmute", "hold", "unhold", "kick"];
    let action = properties.get("action");
    let Some(action) = action.and_then(Value::as_str).filter(|action| ACTIONS.contains(action)) else {
        let written = action.map_or_else(
            || "undefined".to_owned(),
            |value| crate::fault::quoted(&value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        );
        return Err(BadRequest(format!("conferenceParticipantAction invalid action property {written}")));
    };
    if matches!(action, "tag" | "coach") && !properties.get("tag").is_some_and(Value::is_truthy) {
        return Err(BadRequest(format!("conferenceParticipantAction requires tag property when action is '{action}'")));
    }
    Ok(Change::Participant(change::participant(properties)?))
}
