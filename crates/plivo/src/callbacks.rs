//! What a happening is worth: status callbacks of multiparty calls, and notices about calls.

use call::dialect::{Body, CallView, Callback, Happening, Kind, MemberView, Params, RoomView};

use crate::parameters::{address, direction, hangup, standard};
use crate::settings::{Group, StatusCallbacks};
use crate::{cause, clock};

/// The callbacks that `happening` owes, in order.
pub(crate) fn callbacks(happening: &Happening<'_>) -> Vec<Callback> {
    match happening.kind {
        Kind::CallRinging | Kind::CallAnswered | Kind::CallEnded => {
            happening.call.map_or_else(Vec::new, |call| of_call(happening.kind, call))
        }
        kind => event(kind).map_or_else(Vec::new, |event| of_room(happening, &event)),
    }
}

fn of_call(kind: &Kind, call: &CallView) -> Vec<Callback> {
    let params = match kind {
        Kind::CallRinging => standard(call, "Ring"),
        Kind::CallAnswered => standard(call, "StartApp"),
        _ => hangup(call),
    };
    let mut hooks = vec![&call.state_callback];
    if *kind == Kind::CallEnded && call.hangup_callback != call.state_callback {
        hooks.push(&call.hangup_callback);
    }
    hooks
        .into_iter()
        .flatten()
        .map(|to| Callback::Request { to: to.clone(), body: Body::Form(params.clone()) })
        .collect()
}

struct Event {
    name: &'static str,
    group: Group,
    /// Whether it is a member's, rather than the room's own.
    of_member: bool,
}

fn event(kind: &Kind) -> Option<Event> {
    let (name, group) = match kind {
        Kind::RoomOpened => ("MPCInitialized", Group::Mpc),
        Kind::RoomStarted => ("MPCStart", Group::Mpc),
        Kind::RoomEnded => ("MPCEnd", Group::Mpc),
        Kind::Joined => ("ParticipantJoin", Group::Participant),
        Kind::Left => ("ParticipantExit", Group::Participant),
        Kind::Muted(true) => ("ParticipantMute", Group::Participant),
        Kind::Muted(false) => ("ParticipantUnmute", Group::Participant),
        Kind::Held(true) => ("ParticipantHold", Group::Participant),
        Kind::Held(false) => ("ParticipantUnhold", Group::Participant),
        Kind::Coaching(true) => ("ParticipantCoachModeStart", Group::Participant),
        Kind::Coaching(false) => ("ParticipantCoachModeStop", Group::Participant),
        Kind::Speaking(true) => ("ParticipantSpeakStart", Group::Speak),
        Kind::Speaking(false) => ("ParticipantSpeakStop", Group::Speak),
        Kind::Digit(_) => ("ParticipantDigitInput", Group::Digit),
        Kind::AddInitiated => ("AddParticipantByAPIActionInitiated", Group::AddParticipant),
        Kind::AddCompleted(_) => ("AddParticipantByAPIActionCompleted", Group::AddParticipant),
        // Plivo has no words for these; what a takeover does is told as holds and coach modes.
        Kind::Tagged
        | Kind::CoachAudience
        | Kind::Takeover(_)
        | Kind::Admitted
        | Kind::RoomSound { .. }
        | Kind::Instruction(..)
        | Kind::Fault(..)
        | Kind::Queue(..)
        | Kind::Help(_)
        | Kind::Warning(_)
        | Kind::CallBegun
        | Kind::CallRinging
        | Kind::CallAnswered
        | Kind::CallEnded => return None,
    };
    Some(Event { name, group, of_member: group != Group::Mpc })
}

/// The room's URL hears of everything; a member that brought another hears there of itself.
fn of_room(happening: &Happening<'_>, event: &Event) -> Vec<Callback> {
    let Some(room) = happening.room else { return Vec::new() };
    let rooms = StatusCallbacks::read(room.callbacks.as_ref());
    let own = happening
        .member
        .filter(|_| event.of_member)
        .and_then(|member| StatusCallbacks::read(member.callbacks.as_ref()))
        .filter(|own| rooms.as_ref().is_none_or(|rooms| rooms.url != own.url));
    let wanting: Vec<_> =
        [rooms, own].into_iter().flatten().filter(|there| there.events.contains(&event.group)).collect();
    if wanting.is_empty() {
        return Vec::new();
    }
    let params = status(happening, room, event.name);
    wanting
        .into_iter()
        .map(|there| Callback::Request {
            to: call::verb::Fetch::new(there.url, there.method),
            body: Body::Form(params.clone()),
        })
        .collect()
}

/// The same keys in every event, empty where they do not apply: programs read them without asking whether they are there.
fn status(happening: &Happening<'_>, room: &RoomView, event: &str) -> Params {
    let time = |at: Option<i64>| at.map(clock::zoned).unwrap_or_default();
    let mut params = Params::new();
    let mut add = |name: &str, value: String| params.push((name.to_owned(), value));
    add("EventName", event.to_owned());
    add("EventTimestamp", clock::zoned(happening.at));
    add("SequenceNumber", happening.sequence.to_string());
    add("MPCUUID", room.uuid.clone());
    add("MPCName", room.name.clone());

    let member = happening.member;
    let of = |read: fn(&MemberView) -> String| member.map(read).unwrap_or_default();
    let known = !matches!(happening.kind, Kind::AddInitiated);
    add(
        "MemberID",
        member.filter(|member| known && member.number > 0).map(|member| member.number.to_string()).unwrap_or_default(),
    );
    add("MemberAddress", of(|member| address(&member.address).to_owned()));
    add("ParticipantRole", of(|member| member.role.map_or("", |role| role.as_str()).to_owned()));
    add("ParticipantCallUUID", of(|member| member.call_uuid.clone()));
    add("ParticipantCallFrom", of(|member| address(&member.from).to_owned()));
    add("ParticipantCallTo", of(|member| address(&member.to).to_owned()));
    add("ParticipantCallDirection", of(|member| direction(member.direction).to_owned()));
    add("ParticipantCoachMode", of(|member| member.coaching.to_string()));
    add("ParticipantMute", of(|member| member.muted.to_string()));
    add("ParticipantHold", of(|member| member.held.to_string()));
    add("ParticipantJoinTime", time(member.and_then(|member| member.joined_at)));
    add("ParticipantEndTime", time(member.and_then(|member| member.left_at)));
    add(
        "ParticipantExitCause",
        member.and_then(|member| member.leave_cause).map(cause::exit).unwrap_or_default().to_owned(),
    );
    add("DigitInput", if let Kind::Digit(digit) = happening.kind { digit.to_string() } else { String::new() });

    let end = room.ended_at.filter(|_| *happening.kind == Kind::RoomEnded);
    let duration = end.map(|end| clock::seconds(room.opened_at, end));
    let words = room.end_cause.filter(|_| end.is_some()).map(cause::termination);
    add("MPCTerminationCause", words.map(|(_, name)| name.to_owned()).unwrap_or_default());
    add("MPCTerminationCauseCode", words.map(|(code, _)| code.to_string()).unwrap_or_default());
    add("MPCDuration", duration.map(|seconds| seconds.to_string()).unwrap_or_default());
    add("MPCBilledDuration", duration.map(|seconds| clock::billed(seconds).to_string()).unwrap_or_default());
    add("MPCBilledAmount", duration.map(|_| clock::FREE.to_owned()).unwrap_or_default());
    let outcome = if let Kind::AddCompleted(outcome) = happening.kind { outcome.clone() } else { String::new() };
    add("AddParticipantAPIRequestOutcome", outcome);
    params
}
