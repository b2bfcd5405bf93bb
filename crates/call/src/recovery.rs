//! After a crash: calls and rooms that were live are closed in the records, and their programs are told why.

use conference::{EndCause, LeaveCause};
use store::{MemberFilter, MemberRecord, Page, RoomRecord, Store, StoreError};

use crate::cause::HangupCause;
use crate::dialect::{CallState, Kind};
use crate::records::{Happened, Records, RoomRows, dialect_name};
use crate::stored;

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
            let mut view = stored::call(row);
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
            let app = row.app_id.as_deref();
            records.of_call(&account, dialect_name(row.dialect), app, &view, told).await?.commit().await?;
            closed.calls += 1;
        }
    }
    Ok(closed)
}

/// Everybody whom the records have in the room.
async fn present(store: &Store, row: &RoomRecord) -> Result<Vec<MemberRecord>, StoreError> {
    let wanted = MemberFilter { present: true, ..MemberFilter::default() };
    let mut all = Vec::new();
    loop {
        let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let listed = store.members(row.account, row.id, wanted, Page { limit: store::PAGE_LIMIT, offset }).await?;
        let last = listed.items.is_empty();
        all.extend(listed.items);
        if last || all.len() as u64 >= listed.total {
            return Ok(all);
        }
    }
}

async fn close_room(store: &Store, records: &Records, row: &RoomRecord, now: i64) -> Result<(), StoreError> {
    let account = row.account.to_string();
    let mut room = stored::room(row);
    let callbacks = stored::member_callbacks(row);
    let mut sequence = u64::try_from(row.sequence).unwrap_or(0);
    let mut members = Vec::new();
    let mut told = Vec::new();
    let opened_by = dialect_name(row.dialect);
    let mut dialects = vec![opened_by];
    let mut last = None;
    for member in present(store, row).await? {
        let call_row = store.call(row.account, member.call).await?;
        // The room's programs are told of everybody who leaves; those of another dialect, of their own call alone.
        let own = call_row.as_ref().map(|call| dialect_name(call.dialect)).filter(|own| *own != opened_by);
        let call = call_row.map(|row| stored::call(&row));
        let mut view = stored::member(&member, call.as_ref());
        view.callbacks = callbacks.get(&member.member_id).cloned();
        view.left_at = Some(now);
        view.leave_cause = Some(LeaveCause::RoomEnded);
        view.admitted &= room.started;
        last = call.clone();
        dialects.extend(own.filter(|own| !dialects.contains(own)));
        sequence += 1;
        told.push(Happened {
            kind: Kind::Left,
            sequence,
            room: Some(room.clone()),
            member: Some(view.clone()),
            call,
            dialects: [opened_by].into_iter().chain(own).collect(),
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
        call: last,
        dialects,
    });
    let batch = records.record_all(&account, now, &told).await;
    let rows = RoomRows { room, dialect: opened_by, sequence, members, callbacks: Default::default() };
    records.of_room(&account, Some(rows), batch, None).await?.commit().await.map(drop)
}
