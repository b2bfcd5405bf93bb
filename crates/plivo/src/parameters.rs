//! The parameters of requests for instructions, and of notices about a call.

use call::dialect::{CallView, Departure, Direction, Params, Purpose};

use crate::{cause, clock};

/// A number without `+`; a SIP URI as it is.
pub(crate) fn address(text: &str) -> &str {
    text.strip_prefix('+').filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or(text)
}

pub(crate) const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

/// What a request for instructions says.
pub(crate) fn request(call: &CallView, purpose: &Purpose) -> Params {
    match purpose {
        Purpose::Answer | Purpose::Fallback => standard(call, "StartApp"),
        Purpose::Redirect | Purpose::Transfer => standard(call, "Redirect"),
        Purpose::Digits(digits) => {
            let mut params = standard(call, "Redirect");
            params.push(("Digits".to_owned(), digits.clone()));
            params
        }
        Purpose::LeftRoom(departure) => {
            let mut params = standard(call, "Redirect");
            params.extend(left_room(departure));
            params
        }
        // A signed link to a sound file stops working if anything is added to it.
        Purpose::Sound => Params::new(),
        // No instruction of this dialect asks for these.
        Purpose::Action(..)
        | Purpose::Wait
        | Purpose::QueueWait(_)
        | Purpose::Enter
        | Purpose::Confirm
        | Purpose::Keys(_)
        | Purpose::ReferredTo(_)
        | Purpose::Transferred(_)
        | Purpose::InDialog(_)
        | Purpose::Adulting(_) => standard(call, "StartApp"),
    }
}

/// What the end of a call says.
pub(crate) fn hangup(call: &CallView) -> Params {
    let mut params = standard(call, "Hangup");
    let duration = match (call.answered_at, call.ended_at) {
        (Some(from), Some(to)) => clock::seconds(from, to),
        _ => 0,
    };
    let time = |at: Option<i64>| at.map(clock::plain).unwrap_or_default();
    let words = call.cause.as_ref().map(cause::hangup);
    let mut add = |name: &str, value: String| params.push((name.to_owned(), value));
    add("StartTime", clock::plain(call.began_at));
    add("AnswerTime", time(call.answered_at));
    add("EndTime", time(call.ended_at));
    add("Duration", duration.to_string());
    add("BillDuration", clock::billed(duration).to_string());
    add("TotalCost", clock::FREE.to_owned());
    add("HangupCause", words.map_or("UNKNOWN", |words| words.network).to_owned());
    add("HangupCauseCode", words.map_or(0, |words| words.code).to_string());
    add("HangupCauseName", words.map_or("Unknown", |words| words.name).to_owned());
    add("HangupSource", words.map_or("Unknown", |words| words.source).to_owned());
    params
}

/// What every request about a call says.
pub(crate) fn standard(call: &CallView, event: &str) -> Params {
    let mut params = Params::new();
    let mut add = |name: &str, value: &str| params.push((name.to_owned(), value.to_owned()));
    add("CallUUID", &call.uuid);
    add("From", address(&call.from));
    add("To", address(&call.to));
    add("CallStatus", cause::call_status(call));
    add("Direction", direction(call.direction));
    add("CallerName", &call.caller_name);
    add("Event", event);
    add("SessionStart", &clock::precise(call.began_at));
    add("ParentAuthID", &call.main_auth_id);
    add("BillRate", clock::FREE);
    add("STIRVerification", "Not Applicable");
    if call.direction == Direction::Outbound {
        let request = call.request_uuid.as_deref().unwrap_or(&call.uuid);
        add("ALegUUID", &call.uuid);
        add("ALegRequestUUID", request);
        add("RequestUUID", request);
    }
    for (name, value) in &call.headers {
        if name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("X-PH-")) {
            add(name, value);
        }
    }
    params
}

fn left_room(departure: &Departure) -> Params {
    let member = &departure.member;
    let time = |at: Option<i64>| at.map(clock::zoned).unwrap_or_default();
    [
        ("MPCUUID", departure.room.clone()),
        ("MPCFriendlyName", departure.room_name.clone()),
        ("MemberID", member.number.to_string()),
        ("ParticipantCallUUID", member.call_uuid.clone()),
        ("ParticipantJoinTime", time(member.joined_at)),
        ("ParticipantEndTime", time(member.left_at)),
        ("ParticipantRole", member.role.map_or("", |role| role.as_str()).to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
