//! Events: one append-only stream, read from a cursor.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::column::{Column, execute, record, scalar, select};
use crate::error::Result;
use crate::id::{AccountId, CallId, EventId, RoomId};
use crate::page::{Filter, Listed, Page, TimeRange};
use crate::store::Store;
use crate::time::Timestamp;

record! {
    /// An event as stored.
    pub struct Event in "events" as "an event", key (id) {
        /// Its place in the stream.
        pub id: EventId,
        /// Whose.
        pub account: AccountId,
        /// The room it is about.
        pub room: Option<RoomId>,
        /// The call it is about.
        pub call: Option<CallId>,
        /// Its kind, for example `member.joined`.
        pub kind: String,
        /// What happened, as JSON.
        pub payload: Json,
        /// When.
        pub created_at: Timestamp,
    }
}

/// An event to append.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewEvent {
    /// Whose.
    pub account: AccountId,
    /// The room it is about.
    pub room: Option<RoomId>,
    /// The call it is about.
    pub call: Option<CallId>,
    /// Its kind.
    pub kind: String,
    /// What happened, as JSON.
    pub payload: Json,
    /// When.
    pub created_at: Timestamp,
}

/// Some events after a cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Where to go on: behind the last event given, or behind all there are.
    pub next: EventId,
    /// Some events of the store after the cursor were pruned before they were read.
    pub gap: bool,
}

const APPENDING: &str = "appending an event";
const READING: &str = "reading events";
/// Where pruning remembers the last event it removed.
pub(crate) const PRUNED_TO: &str = "events.pruned_to";

pub(crate) fn append(conn: &Connection, event: &NewEvent) -> Result<EventId> {
    execute(
        conn,
        APPENDING,
        "INSERT INTO events (account, room, call, kind, payload, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        [
            event.account.put(),
            event.room.put(),
            event.call.put(),
            event.kind.put(),
            event.payload.put(),
            event.created_at.put(),
        ],
    )?;
    Ok(EventId(conn.last_insert_rowid()))
}

impl Store {
    /// The account's warnings of this time, the last first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn warnings(&self, account: AccountId, when: TimeRange, page: Page) -> Result<Listed<Event>> {
        self.read(READING, move |conn| {
            Filter::account(account).and("kind = 'warning'").within("created_at", &when).list(
                conn,
                "events",
                "created_at DESC, id DESC",
                page,
            )
        })
        .await
    }

    /// The last `limit` (at most 1000) events of a room, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn last_events(&self, account: AccountId, room: RoomId, limit: u32) -> Result<Vec<Event>> {
        let values = [account.put(), room.put(), limit.clamp(1, crate::PAGE_LIMIT).put()];
        self.read(READING, move |conn| {
            let mut events: Vec<Event> =
                select(conn, "WHERE account = ? AND room = ? ORDER BY id DESC LIMIT ?", values)?;
            events.reverse();
            Ok(events)
        })
        .await
    }

    /// Up to `limit` (at most 1000) events of the account behind `cursor`; of one room, if given. `EventId(0)` is the beginning.
    /// [`Store::watch_events`] says when to look again.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn events_after(
        &self,
        account: AccountId,
        room: Option<RoomId>,
        cursor: EventId,
        limit: u32,
    ) -> Result<EventPage> {
        let limit = limit.clamp(1, crate::PAGE_LIMIT);
        self.read(READING, move |conn| {
            let pruned: EventId = scalar::<String>(
                conn,
                READING,
                "SELECT value FROM settings WHERE key = ?",
                [PRUNED_TO.to_owned().put()],
            )?
            .and_then(|text| text.parse().ok())
            .map(EventId)
            .unwrap_or_default();
            let end: EventId =
                scalar(conn, READING, "SELECT coalesce(max(id), 0) FROM events", [])?.unwrap_or_default();
            let events: Vec<Event> = match room {
                None => {
                    let values = [account.put(), cursor.put(), limit.put()];
                    select(conn, "WHERE account = ? AND id > ? ORDER BY id LIMIT ?", values)?
                }
                Some(room) => {
                    let values = [account.put(), cursor.put(), room.put(), limit.put()];
                    select(conn, "WHERE account = ? AND id > ? AND room = ? ORDER BY id LIMIT ?", values)?
                }
            };
            let full = u32::try_from(events.len()).is_ok_and(|count| count >= limit);
            let next = match events.last() {
                Some(last) if full => last.id,
                _ => end.max(cursor).max(pruned),
            };
            Ok(EventPage { events, next, gap: cursor < pruned })
        })
        .await
    }
}
