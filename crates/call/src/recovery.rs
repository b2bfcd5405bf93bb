//! After a crash: calls and rooms that were live are closed in the records, and their programs are told why.

use std::collections::HashMap;

use conference::{EndCause, LeaveCause, MemberId, Role, Tag};
use store::{MemberFilter, MemberRecord, Page, RoomRecord, Store, StoreError};

use crate::cause::HangupCause;
use crate::dialect::{CallState, CallView, Direction, Kind, MemberView, RoomView};
use crate::records::{Happened, Records, RoomRows, dialect_name};

/// What was closed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Closed {
    pub calls: usize,
    pub rooms: usize,
}

/// Rows taken at once.
const CHUNK: u32 = 200;

/// Closes everything that the last run left live.
pub(crate) async fn close_interrupted(store: &Store, records: &Records, now: i64) -> Result<Closed, StoreError> {
    let mut closed = Closed::default();
    let (mut stuck_room, mut stuck_call) = (None, None);
    loop {
        let rooms = store.interrupted_rooms(CHUNK).await?;
        if rooms.is_empty() {
            break;
        }
        // A row that stays live although it was closed must not hold up the start for ever.
        if rooms.first().map(|row| row.id) == stuck_room {
            tracing::error!(room = ?stuck_room, "a room of the last run cannot be closed in the records");
            break;
        }
        stuck_room = rooms.first().map(|row| row.id);
        for room in &rooms {
            close_room(store, records, room, now).await?;
            closed.rooms += 1;
        }
    }
    loop {
        let calls = store.interrupted_calls(CHUNK).await?;
        if calls.is_empty() {
            break;
        }
        if calls.first().map(|row| row.id) == stuck_call {
            tracing::error!(call = ?stuck_call, "a call of the last run cannot be closed in the records");
            break;
        }
        stuck_call = calls.first().map(|row| row.id);
        for row in &calls {
            let mut view = call_view(row);
            view.state = CallState::Ended;
            view.ended_at = Some(now);
            view.cause = Some(HangupCause::Restart);
            let account = row.account.to_string();
            let happened = Happened {
                kind: Kind::CallEnded,
                sequence: 1,
                room: None,
                member: None,
                call: Some(view.clone()),
                dialects: vec![dialect_name(row.dialect)],
            };
            let told = records.record(&account, now, &happened).await.into_iter().collect();
            records.commit_call(&account, dialect_name(row.dialect), row.app_id.as_deref(), &view, told).await?;
            closed.calls += 1;
        }
    }
    Ok(closed)
}

async fn close_room(store: &Store, records: &Records, row: &RoomRecord, now: i64) -> Result<(), StoreError> {
    let account = row.account.to_string();
    let mut room = room_view(row);
    let callbacks: HashMap<String, serde_json::Value> =
        serde_json::from_value(row.settings["member_callbacks"].clone()).unwrap_or_default();
    let mut sequence = u64::try_from(row.sequence).unwrap_or(0);
    let mut members = Vec::new();
    let mut told = Vec::new();
    let present = MemberFilter { present: true, ..MemberFilter::default() };
    let listed = store.members(row.account, row.id, present, Page { limit: store::PAGE_LIMIT, offset: 0 }).await?;
    for member in listed.items {
        let call = store.call(row.account, member.call).await?.map(|row| call_view(&row));
        let own = callbacks.get(&member.member_id.to_string()).cloned();
        let mut view = member_view(&member, call.as_ref(), own);
        view.left_at = Some(now);
        view.leave_cause = Some(LeaveCause::RoomEnded);
        sequence += 1;
        told.push(Happened {
            kind: Kind::Left,
            sequence,
            room: Some(room.clone()),
            member: Some(view.clone()),
            call,
            dialects: vec![dialect_name(row.dialect)],
        });
        members.push(view);
    }
    room.ended_at = Some(now);
    room.end_cause = Some(EndCause::Restart);
    sequence += 1;
    told.push(Happened {
        kind: Kind::RoomEnded,
        sequence,
        room: Some(room.clone()),
        member: members.last().cloned(),
        call: None,
        dialects: vec![dialect_name(row.dialect)],
    });
    let batch = records.record_all(&account, now, &told).await;
    let rows = RoomRows { room, dialect: dialect_name(row.dialect), sequence, members, callbacks: Default::default() };
    records.commit_room(&account, Some(rows), batch, None).await
}

fn room_view(row: &RoomRecord) -> RoomView {
    serde_json::from_value(row.settings["view"].clone()).unwrap_or_else(|_| RoomView {
        uuid: row.id.to_string(),
        name: row.name.clone(),
        auth_id: String::new(),
        started: row.started_at.is_some(),
        opened_at: row.created_at.micros(),
        started_at: row.started_at.map(store::Timestamp::micros),
        ended_at: None,
        end_cause: None,
        callbacks: None,
        stay_alone: false,
        max_members: 0,
        max_duration_s: None,
    })
}

fn call_view(row: &store::CallRecord) -> CallView {
    serde_json::from_value(row.extra["view"].clone()).unwrap_or_else(|_| CallView {
        uuid: row.id.to_string(),
        auth_id: String::new(),
        main_auth_id: String::new(),
        direction: match row.direction {
            store::Direction::Inbound => Direction::Inbound,
            store::Direction::Outbound => Direction::Outbound,
        },
        from: row.from.clone(),
        to: row.to.clone(),
        caller_name: row.caller_name.clone().unwrap_or_default(),
        state: CallState::InProgress,
        request_uuid: row.request_id.clone(),
        headers: Vec::new(),
        began_at: row.initiated_at.micros(),
        answered_at: row.answered_at.map(store::Timestamp::micros),
        ended_at: None,
        cause: None,
        state_callback: None,
        hangup_callback: None,
    })
}

fn member_view(row: &MemberRecord, call: Option<&CallView>, callbacks: Option<serde_json::Value>) -> MemberView {
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
        left_at: row.exit_time.map(store::Timestamp::micros),
        leave_cause: None,
        start_on_enter: row.start_on_enter,
        end_on_exit: row.end_on_exit,
        callbacks,
    }
}
