//! What a happening is worth: states of calls, events of conferences, notices about verbs.

use call::dialect::{Body, CallView, Callback, Happening, Kind};
use call::link::Tell;
use call::verb::{Fetch, Label, Method};
use serde::{Deserialize, Serialize};

use crate::call_info::{connected_seconds, terminated_by};
use crate::document::Reach;
use crate::frames::MessageType;
use crate::hook::Hook;
use crate::hooks::{self, CallInfo, CallStatus, ErrorReport, QueueEvent, TerminatedBy, VerbPhase};
use crate::json::Object;
use crate::rest::QUEUE_EVENTS;
use crate::verbs::{StatusEvent, StatusHook};

/// Where a conference's events go: [`call::dialect::RoomView::callbacks`] and [`call::dialect::MemberView::callbacks`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StatusCallbacks {
    /// Where the hook leads.
    pub to: Fetch,
    /// As it was written, with the events.
    pub status: StatusHook,
}

impl StatusCallbacks {
    /// What is kept of them.
    pub(crate) fn to_json(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self).ok()
    }

    /// What was kept, unless it is another dialect's.
    fn read(kept: Option<&serde_json::Value>) -> Option<Self> {
        Self::deserialize(kept?).ok()
    }
}

/// The callbacks that `happening` owes, in order; `info` is a call as programs see it.
pub(crate) fn callbacks(happening: &Happening<'_>, info: impl Fn(&CallView) -> CallInfo) -> Vec<Callback> {
    let Some(call) = happening.call else { return Vec::new() };
    let told = match happening.kind {
        Kind::CallBegun | Kind::CallRinging | Kind::CallAnswered | Kind::CallEnded => {
            Some(state(happening.kind, call, info(call)))
        }
        Kind::Instruction(begins, label) => {
            let phase = if *begins { VerbPhase::Starting } else { VerbPhase::Finished };
            let body = hooks::verb_status(phase, &label.verb, label.id.as_deref());
            Some(message(MessageType::VerbStatus, call, None, &body))
        }
        Kind::Fault(text, label) => Some(message(MessageType::Error, call, None, &fault(text, label.as_ref()))),
        kind => event(kind, happening).and_then(|event| of_room(event, happening, call, &info(call))),
    };
    told.into_iter().collect()
}

fn fault(text: &str, label: Option<&Label>) -> Object {
    hooks::error(&ErrorReport {
        msg: if label.is_some() { "UnsupportedVerb" } else { "CommandRefused" },
        details: text,
        content: None,
        verb: label.map(|label| label.verb.as_str()),
        id: label.and_then(|label| label.id.as_deref()),
    })
}

/// A call's state, told to its hook; over its connection if it has none, or one that is no request.
fn state(kind: &Kind, call: &CallView, info: CallInfo) -> Callback {
    let status = match (kind, info.status) {
        (Kind::CallBegun, _) => CallStatus::Trying,
        (Kind::CallRinging, CallStatus::EarlyMedia) => CallStatus::EarlyMedia,
        (Kind::CallRinging, _) => CallStatus::Ringing,
        (Kind::CallAnswered, _) => CallStatus::InProgress,
        (_, status) => status,
    };
    let info = CallInfo { status, ..info };
    let ended = (*kind == Kind::CallEnded)
        .then(|| (connected_seconds(call), terminated_by(call).unwrap_or(TerminatedBy::Server)));
    let body = hooks::call_status(&info, ended);
    let hook = call.state_callback.as_ref().or(call.hangup_callback.as_ref());
    match hook.filter(|hook| hook.method != Method::Link && !hook.url.is_empty()) {
        Some(to) => request(to, &body),
        None => message(MessageType::CallStatus, call, None, &body),
    }
}

fn event(kind: &Kind, happening: &Happening<'_>) -> Option<StatusEvent> {
    Some(match kind {
        Kind::RoomStarted => StatusEvent::Start,
        // A room in which somebody waited in vain has never begun.
        Kind::RoomEnded => happening.room.filter(|room| room.started_at.is_some()).map(|_| StatusEvent::End)?,
        Kind::Admitted => StatusEvent::Join,
        // Whoever waited, or heard something first, has never taken part.
        Kind::Left => happening.member.filter(|member| member.admitted).map(|_| StatusEvent::Leave)?,
        Kind::Speaking(true) => StatusEvent::StartTalking,
        Kind::Speaking(false) => StatusEvent::StopTalking,
        Kind::RoomSound { begins: true, spoken: true, .. } => StatusEvent::SayStart,
        Kind::RoomSound { begins: false, spoken: true, .. } => StatusEvent::SayDone,
        Kind::RoomSound { begins: true, spoken: false, .. } => StatusEvent::PlayStart,
        Kind::RoomSound { begins: false, spoken: false, .. } => StatusEvent::PlayDone,
        _ => return None,
    })
}

/// A conference's event, told to the hook of the member that it concerns, else to the conference's, for that member's call.
fn of_room(event: StatusEvent, happening: &Happening<'_>, call: &CallView, info: &CallInfo) -> Option<Callback> {
    // A connection of two calls is no conference.
    let room = happening.room.filter(|room| !room.unnamed)?;
    let own = happening.member.and_then(|member| StatusCallbacks::read(member.callbacks.as_ref()));
    let callbacks = own.or_else(|| StatusCallbacks::read(room.callbacks.as_ref()))?;
    let id = match happening.kind {
        Kind::RoomSound { id, .. } => id.as_deref(),
        _ => None,
    };
    let told = hooks::Happening {
        event,
        room: &room.name,
        started_at: room.started_at.unwrap_or(room.opened_at),
        at: happening.at,
        members: room.members,
        id,
    };
    let body = hooks::conference_status(info, &callbacks.status, &told)?;
    Some(match callbacks.to.method {
        Method::Link => message(MessageType::VerbHook, call, Some(callbacks.status.hook.url.trim()), &body),
        Method::Get | Method::Post => request(&callbacks.to, &body),
    })
}

/// What the account's own hook is told of its queues; nothing, if it has none that can be asked.
pub(crate) fn of_queue(
    happening: &Happening<'_>,
    settings: &serde_json::Value,
    info: impl Fn(&CallView) -> CallInfo,
) -> Vec<Callback> {
    let (Kind::Queue(came, queue, length), Some(call)) = (happening.kind, happening.call) else { return Vec::new() };
    let hook = settings.get(QUEUE_EVENTS).and_then(|hook| Hook::deserialize(hook).ok());
    let to = hook.and_then(|hook| Reach::of(&Fetch::new("", Method::Post)).fetch(&hook).ok());
    let Some(to) = to.filter(|to| to.method != Method::Link) else { return Vec::new() };
    let at = u64::try_from(happening.at / 1_000).unwrap_or(0);
    let event = match (came, &call.room) {
        (true, _) => QueueEvent::Join { at },
        // Whoever was taken out is with him who took it.
        (false, Some(_)) => QueueEvent::Leave { reason: "dequeued", at },
        (false, None) => QueueEvent::Leave { reason: "abandoned", at },
    };
    let length = u32::try_from(*length).unwrap_or(u32::MAX);
    vec![request(&to, &hooks::queue_event(&info(call), queue, length, &event))]
}

fn request(to: &Fetch, body: &Object) -> Callback {
    // What is asked by GET carries nothing of the call.
    let body = if to.method == Method::Get { Body::Nothing } else { Body::Json(body.to_string()) };
    Callback::Request { to: to.clone(), body }
}

fn message(kind: MessageType, call: &CallView, hook: Option<&str>, body: &Object) -> Callback {
    let tell =
        Tell { message: kind.as_str(), call: call.uuid.clone(), hook: hook.map(str::to_owned), body: body.to_string() };
    Callback::Message { call: call.uuid.clone(), tell }
}
