//! What the store remembers in the engine's own words: one decoding of its rows for all who read them.
//!
//! The engine keeps its whole view of a room or call in the row. Where a column says something else, the column holds.

use std::collections::HashMap;
use std::fmt::Display;

use conference::{MemberId, Role, Tag};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use store::{CallRecord, MemberRecord, RoomRecord, RoomStatus, Timestamp};

use crate::dialect::{CallState, CallView, Direction, MemberView, RoomView};

/// A room as it was last recorded.
pub fn room(row: &RoomRecord) -> RoomView {
    let kept = view(&row.settings, "room", row.id).unwrap_or_else(|| RoomView {
        uuid: String::new(),
        name: String::new(),
        auth_id: String::new(),
        started: false,
        opened_at: 0,
        started_at: None,
        ended_at: None,
        end_cause: None,
        callbacks: None,
        members: 0,
        unnamed: false,
        stay_alone: false,
        max_members: 0,
        max_duration_s: None,
    });
    RoomView {
        uuid: row.id.to_string(),
        name: row.name.clone(),
        started: row.status == RoomStatus::Active || row.started_at.is_some(),
        opened_at: row.created_at.micros(),
        started_at: row.started_at.map(Timestamp::micros),
        ended_at: row.ended_at.map(Timestamp::micros),
        end_cause: row.termination_cause.as_deref().and_then(|word| named("a room's end", word)),
        ..kept
    }
}

/// Where the status events of a room's members go, by their numbers in the account.
pub fn member_callbacks(row: &RoomRecord) -> HashMap<i64, Json> {
    match row.settings.get("member_callbacks") {
        None | Some(Json::Null) => HashMap::new(),
        Some(kept) => serde_json::from_value(kept.clone()).unwrap_or_else(|error| {
            tracing::error!(room = %row.id, %error, "where the events of a room's members go cannot be read");
            HashMap::new()
        }),
    }
}

/// A stay in a room as it was last recorded; `call` is the member's, if it is known.
pub fn member(row: &MemberRecord, call: Option<&CallView>) -> MemberView {
    MemberView {
        number: row.member_id,
        id: MemberId(row.number),
        role: row.role.as_deref().and_then(Role::parse),
        tag: row.tag.clone().map(Tag::new),
        call_uuid: row.call.to_string(),
        address: row.address.clone(),
        from: call.map(|call| call.from.clone()).unwrap_or_default(),
        to: call.map(|call| call.to.clone()).unwrap_or_default(),
        direction: call.map_or(Direction::Inbound, |call| call.direction),
        coaching: row.coach,
        muted: row.mute,
        held: row.hold,
        joined_at: Some(row.join_time.micros()),
        left_at: row.exit_time.map(Timestamp::micros),
        leave_cause: row.exit_cause.as_deref().and_then(|word| named("a member's exit", word)),
        start_on_enter: row.start_on_enter,
        end_on_exit: row.end_on_exit,
        admitted: row.exit_time.is_none(),
        callbacks: None,
    }
}

/// A call as it was last recorded.
pub fn call(row: &CallRecord) -> CallView {
    let direction = match row.direction {
        store::Direction::Inbound => Direction::Inbound,
        store::Direction::Outbound => Direction::Outbound,
    };
    let kept = view(&row.extra, "call", row.id).unwrap_or_else(|| CallView {
        from: row.from.clone(),
        to: row.to.clone(),
        caller_name: row.caller_name.clone().unwrap_or_default(),
        request_uuid: row.request_id.clone(),
        ..CallView::new(String::new(), String::new(), direction, 0)
    });
    CallView {
        uuid: row.id.to_string(),
        account: row.account.to_string(),
        state: match (row.ended_at, row.answered_at) {
            (Some(_), _) => CallState::Ended,
            (None, Some(_)) => CallState::InProgress,
            (None, None) => CallState::Ringing,
        },
        began_at: row.initiated_at.micros(),
        answered_at: row.answered_at.map(Timestamp::micros),
        ended_at: row.ended_at.map(Timestamp::micros),
        ..kept
    }
}

/// The view that the engine left in a row. One that cannot be read is told, since its programs hear less than they should.
fn view<T: DeserializeOwned>(kept: &Json, what: &str, id: impl Display) -> Option<T> {
    let kept = kept.get("view")?;
    T::deserialize(kept)
        .inspect_err(|error| tracing::error!(%id, %error, "what is recorded of a {what} cannot be read in full"))
        .ok()
}

/// The unit variant of this name.
fn named<T: DeserializeOwned>(what: &str, word: &str) -> Option<T> {
    serde_json::from_value(Json::String(word.to_owned()))
        .inspect_err(|_| tracing::error!(word, "the cause of {what} is unknown to this version"))
        .ok()
}

/// The name of a variant, as rows have it.
pub fn word<T: serde::Serialize>(value: &T) -> Option<String> {
    match serde_json::to_value(value).ok()? {
        Json::String(word) => Some(word),
        Json::Object(map) => map.into_iter().next().map(|(word, _)| word),
        _ => None,
    }
}
