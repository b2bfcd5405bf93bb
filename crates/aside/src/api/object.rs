//! What the native API shows of rooms, members, calls, hearing and events. Times are RFC 3339 in UTC.

use call::command::{Applied, CallSnapshot, HearingMatrix, RoomSnapshot};
use call::dialect::{CallState, CallView, MemberView, RoomView};
use call::stored;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use store::{CallRecord, MemberRecord, RoomRecord};
use utoipa::ToSchema;

use crate::manage::object::{micros_rfc3339, rfc3339};

/// The word of a variant.
fn word<T: Serialize>(value: T) -> String {
    stored::word(&value).unwrap_or_default()
}

/// A room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoomObject {
    /// The UUID of this life of the room.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// `waiting`, `started` or `ended`.
    pub state: String,
    /// When it was opened.
    pub opened_at: String,
    /// When its members were connected.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Why it ended.
    pub end_cause: Option<String>,
    /// Members in it now.
    pub members: u32,
    /// Legs being dialled for it.
    pub expected: u32,
    /// A change was answered as pending and is not in the sound yet.
    pub pending: bool,
}

impl RoomObject {
    pub(super) fn live(snapshot: &RoomSnapshot) -> Self {
        let members = u32::try_from(snapshot.members.len()).unwrap_or(u32::MAX);
        Self { pending: snapshot.pending, ..Self::of(&snapshot.room, members, snapshot.expected) }
    }

    pub(super) fn recorded(row: &RoomRecord) -> Self {
        Self::of(&stored::room(row), 0, 0)
    }

    fn of(room: &RoomView, members: u32, expected: u32) -> Self {
        let state = match (room.ended_at, room.started) {
            (Some(_), _) => "ended",
            (None, true) => "started",
            (None, false) => "waiting",
        };
        Self {
            uuid: room.uuid.clone(),
            name: room.name.clone(),
            state: state.to_owned(),
            opened_at: micros_rfc3339(room.opened_at),
            started_at: room.started_at.map(micros_rfc3339),
            ended_at: room.ended_at.map(micros_rfc3339),
            end_cause: room.end_cause.map(word),
            members,
            expected,
            pending: false,
        }
    }
}

/// A part of a list of rooms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RoomList {
    /// The part.
    pub items: Vec<RoomObject>,
    /// How many there are in all.
    pub total: u64,
}

/// A member of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberObject {
    /// Its number, unique in the account.
    pub member: i64,
    /// Its call.
    pub call_uuid: String,
    /// `agent`, `supervisor`, `customer` or none.
    pub role: Option<String>,
    /// Its free tag.
    pub tag: Option<String>,
    /// Whom the call is with.
    pub address: String,
    /// Heard by its coach audience alone.
    pub coaching: bool,
    /// Heard by nobody.
    pub muted: bool,
    /// Apart from the others, by a takeover too.
    pub held: bool,
    /// Its entry starts the room.
    pub start_on_enter: bool,
    /// Its exit ends the room.
    pub end_on_exit: bool,
    /// When it entered.
    pub joined_at: Option<String>,
    /// When it left.
    pub left_at: Option<String>,
    /// Why it left.
    pub leave_cause: Option<String>,
}

impl MemberObject {
    pub(super) fn live(member: &MemberView) -> Self {
        Self {
            member: member.number,
            call_uuid: member.call_uuid.clone(),
            role: member.role.map(|role| role.as_str().to_owned()),
            tag: member.tag.as_ref().map(|tag| tag.as_str().to_owned()),
            address: member.address.clone(),
            coaching: member.coaching,
            muted: member.muted,
            held: member.held,
            start_on_enter: member.start_on_enter,
            end_on_exit: member.end_on_exit,
            joined_at: member.joined_at.map(micros_rfc3339),
            left_at: member.left_at.map(micros_rfc3339),
            leave_cause: member.leave_cause.map(word),
        }
    }

    pub(super) fn recorded(row: &MemberRecord) -> Self {
        Self::live(&stored::member(row, None))
    }
}

/// Members of a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MemberList {
    /// In order of entry.
    pub items: Vec<MemberObject>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppliedObject {
    /// Whether the sound has changed. If not, the media plane had not answered within a second and the change is pending.
    pub confirmed: bool,
    /// The media thread.
    pub shard: u16,
    /// Its tick (20 ms of sound) from which the change holds.
    pub applied_tick: u64,
    /// That tick in UTC.
    pub applied_at: String,
}

impl From<Applied> for AppliedObject {
    fn from(applied: Applied) -> Self {
        Self {
            confirmed: applied.confirmed,
            shard: applied.shard,
            applied_tick: applied.tick,
            applied_at: micros_rfc3339(applied.at),
        }
    }
}

/// What one member hears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HearingRowObject {
    /// The listener: a member's number.
    pub listener: i64,
    /// Its role.
    pub role: Option<String>,
    /// Its call.
    pub call_uuid: String,
    /// The members whose microphones it hears.
    pub hears: Vec<i64>,
}

/// Who hears whom from one instant on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HearingObject {
    /// The room life.
    pub room_uuid: String,
    /// The media thread's tick from which it holds.
    pub tick: u64,
    /// That tick in UTC.
    pub at: String,
    /// A change has not been confirmed by the media plane within its second: the rows are what will be heard, the tick is
    /// that of the last confirmed change.
    pub pending: bool,
    /// One row per listener.
    pub rows: Vec<HearingRowObject>,
}

impl HearingObject {
    pub(super) fn of(room_uuid: &str, matrix: HearingMatrix) -> Self {
        let rows = matrix.rows.into_iter().map(|row| HearingRowObject {
            listener: row.listener,
            role: row.role,
            call_uuid: row.call_uuid,
            hears: row.hears,
        });
        Self {
            room_uuid: room_uuid.to_owned(),
            tick: matrix.tick,
            at: micros_rfc3339(matrix.at),
            pending: matrix.pending,
            rows: rows.collect(),
        }
    }
}

/// Who asked for a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoObject {
    /// `key`, `account`, `application`, `caller` or `server`.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerObject {
    /// Its place: pass it as `after` to go on behind it.
    pub id: i64,
    /// When it holds from, or when it was refused.
    pub at: String,
    /// The media thread's tick.
    pub tick: i64,
    /// Who asked.
    pub who: WhoObject,
    /// The command's id, if it had one.
    pub command_id: Option<String>,
    /// Who hears whom from then on; none for a refusal.
    pub hearing: Option<HearingObject>,
    /// What was asked for and why it was refused.
    #[schema(value_type = Option<Object>)]
    pub refused: Option<Json>,
}

/// The ledger of a span of time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LedgerList {
    /// Who heard whom when the span began.
    pub before: HearingObject,
    /// What changed in it, in order, refusals included.
    pub items: Vec<LedgerObject>,
}

/// A call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallObject {
    /// Its UUID.
    pub uuid: String,
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Caller.
    pub from: String,
    /// Callee.
    pub to: String,
    /// The caller's display name.
    pub caller_name: Option<String>,
    /// `ringing`, `in_progress` or `ended`.
    pub state: String,
    /// The room it is in.
    pub room_uuid: Option<String>,
    /// When it began.
    pub began_at: String,
    /// When it was answered.
    pub answered_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Why it ended.
    pub hangup_cause: Option<String>,
}

impl CallObject {
    pub(super) fn live(snapshot: &CallSnapshot) -> Self {
        Self::of(&snapshot.call, snapshot.room_uuid.clone())
    }

    pub(super) fn recorded(row: &CallRecord) -> Self {
        Self::of(&stored::call(row), None)
    }

    fn of(call: &CallView, room_uuid: Option<String>) -> Self {
        Self {
            uuid: call.uuid.clone(),
            direction: word(call.direction),
            from: call.from.clone(),
            to: call.to.clone(),
            caller_name: Some(call.caller_name.clone()).filter(|name| !name.is_empty()),
            state: match call.state {
                CallState::Ringing => "ringing",
                CallState::InProgress => "in_progress",
                CallState::Ended => "ended",
            }
            .to_owned(),
            room_uuid,
            began_at: micros_rfc3339(call.began_at),
            answered_at: call.answered_at.map(micros_rfc3339),
            ended_at: call.ended_at.map(micros_rfc3339),
            hangup_cause: call.cause.as_ref().map(word),
        }
    }
}

/// A part of a list of calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallList {
    /// The part.
    pub items: Vec<CallObject>,
    /// How many there are in all.
    pub total: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventObject {
    /// Its place in the stream: the cursor behind it.
    pub id: i64,
    /// What, for example `member.joined`.
    pub kind: String,
    /// The room life.
    pub room_uuid: Option<String>,
    /// The call.
    pub call_uuid: Option<String>,
    /// When.
    pub at: String,
    /// What there is to say about it.
    #[schema(value_type = Object)]
    pub payload: Json,
}

impl EventObject {
    pub(super) fn of(event: store::Event) -> Self {
        let mut payload = event.payload;
        without_addresses(&mut payload);
        Self {
            id: event.id.0,
            kind: event.kind,
            room_uuid: event.room.map(|room| room.to_string()),
            call_uuid: event.call.map(|call| call.to_string()),
            at: rfc3339(event.created_at),
            payload,
        }
    }
}

/// Takes out where programs are told of things: those URLs may hold secrets of theirs.
fn without_addresses(payload: &mut Json) {
    let Some(map) = payload.as_object_mut() else { return };
    for part in map.values_mut() {
        if let Some(part) = part.as_object_mut() {
            for key in ["callbacks", "state_callback", "hangup_callback"] {
                part.remove(key);
            }
        }
    }
}

/// Events behind a cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventList {
    /// Oldest first.
    pub items: Vec<EventObject>,
    /// Where to go on: pass it as `after`.
    pub next: i64,
    /// Events behind the cursor had been deleted before they were read.
    pub gap: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_shows_no_address_of_a_program() {
        let mut payload = serde_json::json!({
            "room": { "name": "a", "callbacks": { "url": "https://x.example/?secret" } },
            "call": { "uuid": "u", "state_callback": {}, "hangup_callback": {} },
            "detail": null,
        });
        without_addresses(&mut payload);
        assert_eq!(payload, serde_json::json!({ "room": { "name": "a" }, "call": { "uuid": "u" }, "detail": null }));
    }
}
