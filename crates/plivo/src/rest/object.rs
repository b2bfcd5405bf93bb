//! Objects in answers. Names and types are those that the typed SDKs decode.

use call::dialect::{CallState, CallView, RoomView};
use serde_json::{Map, Value, json};

use super::Scope;
use super::input::encode_segment;
use crate::parameters::{address, direction};
use crate::records::Participant;
use crate::{cause, clock};

fn map(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// A multiparty call. `form` is the id as it was asked for, `name_…` or `uuid_…`.
pub(crate) fn room(scope: &Scope, room: &RoomView, form: &str) -> Map<String, Value> {
    let status = match (room.ended_at, room.started) {
        (Some(_), _) => "Ended",
        (None, true) => "Active",
        (None, false) => "Initialized",
    };
    let duration = room.ended_at.map(|end| clock::seconds(room.opened_at, end));
    let end = room.end_cause.filter(|_| room.ended_at.is_some()).map(cause::termination);
    let uri = format!("{}/MultiPartyCall/{}/", scope.base(), encode_segment(form));
    let sub = (room.auth_id.starts_with("SA"))
        .then(|| format!("/v1/Account/{}/Subaccount/{}/", scope.main_auth_id, room.auth_id));
    map(json!({
        "mpc_uuid": room.uuid,
        "friendly_name": room.name,
        "status": status,
        "creation_time": clock::zoned(room.opened_at),
        "start_time": room.started_at.map(clock::zoned),
        "end_time": room.ended_at.map(clock::zoned),
        "duration": duration,
        "billed_duration": duration.map(clock::billed),
        "billed_amount": duration.map(|_| clock::FREE),
        "participants": format!("{uri}Participant/"),
        "recording": room.ended_at.is_none().then_some("not-recording"),
        "resource_uri": uri,
        "stay_alone": room.stay_alone,
        "sub_account": sub,
        "termination_cause": end.map(|(_, name)| name),
        "termination_cause_code": end.map(|(code, _)| code),
        "max_participants": room.max_members,
        "max_duration": room.max_duration_s,
    }))
}

/// A participant.
pub(crate) fn participant(scope: &Scope, room: &RoomView, form: &str, member: &Participant) -> Map<String, Value> {
    let present = member.left_at.is_none();
    let duration = match (member.joined_at, member.left_at) {
        (_, None) => None,
        (Some(from), Some(to)) => Some(clock::seconds(from, to)),
        (None, Some(_)) => Some(0),
    };
    let exit = member.leave_cause.filter(|_| !present).map(cause::exit);
    map(json!({
        "member_id": member.number.to_string(),
        "mpc_uuid": room.uuid,
        "call_uuid": member.call_uuid,
        "role": member.role.map(|role| role.as_str()),
        "member_address": address(&member.address),
        "coach_mode": present.then_some(member.coaching),
        "mute": present.then_some(member.muted),
        "hold": present.then_some(member.held),
        "join_time": member.joined_at.map(clock::zoned),
        "exit_time": member.left_at.map(clock::zoned),
        "duration": duration,
        "billed_duration": duration.map(clock::billed),
        "billed_amount": duration.map(|_| clock::FREE),
        "start_mpc_on_enter": member.start_on_enter,
        "end_mpc_on_exit": member.end_on_exit,
        "exit_cause": exit,
        "participant_exit_cause": exit,
        "resource_uri": format!("{}/MultiPartyCall/{}/Participant/{}/", scope.base(), encode_segment(form), member.number),
    }))
}

/// A live call.
pub(crate) fn live_call(call: &CallView) -> Map<String, Value> {
    map(json!({
        "call_status": cause::call_status(call),
        "call_uuid": call.uuid,
        "caller_name": call.caller_name,
        "direction": direction(call.direction),
        "from": address(&call.from),
        "to": address(&call.to),
        "request_uuid": call.request_uuid.as_deref().unwrap_or(&call.uuid),
        "session_start": clock::precise(call.began_at),
    }))
}

/// The record of a call that is over.
pub(crate) fn call_record(scope: &Scope, call: &CallView) -> Option<Map<String, Value>> {
    let end = call.ended_at.filter(|_| call.state == CallState::Ended)?;
    let duration = call.answered_at.map_or(0, |from| clock::seconds(from, end));
    let words = call.cause.as_ref().map(cause::hangup);
    Some(map(json!({
        "call_uuid": call.uuid,
        "call_direction": direction(call.direction),
        "call_duration": duration,
        "bill_duration": duration,
        "billed_duration": clock::billed(duration),
        "from_number": address(&call.from),
        "to_number": address(&call.to),
        "initiation_time": clock::zoned(call.began_at),
        "answer_time": call.answered_at.map(clock::zoned),
        "end_time": clock::zoned(end),
        "parent_call_uuid": Value::Null,
        "total_amount": clock::FREE,
        "total_rate": clock::FREE,
        "hangup_cause_code": words.map_or(0, |words| words.code),
        "hangup_cause_name": words.map_or("Unknown", |words| words.name),
        "hangup_source": words.map_or("Unknown", |words| words.source),
        "resource_uri": format!("{}/Call/{}/", scope.base(), call.uuid),
    })))
}
