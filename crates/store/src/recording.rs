//! Recordings: where they are, of what. The sound itself is elsewhere.

use rusqlite::Connection;

use crate::account::{delete, filter};
use crate::call::Life;
use crate::column::{Column, record, select, select_one, upsert};
use crate::error::Result;
use crate::id::{AccountId, CallId, RecordingId, RoomId};
use crate::page::{Listed, Page, TimeRange};
use crate::store::Store;
use crate::time::Timestamp;

record! {
    /// A recording, running or done.
    pub struct RecordingRecord in "recordings" as "a recording", key (account, id) {
        /// Whose.
        pub account: AccountId,
        /// `recording_id`.
        pub id: RecordingId,
        /// The sub-account it is for.
        pub sub_account: Option<AccountId>,
        /// The room it is of.
        pub room: Option<RoomId>,
        /// That room's name.
        pub room_name: Option<String>,
        /// The call it is of.
        pub call: Option<CallId>,
        /// The member it is of, for a single track.
        pub member_id: Option<i64>,
        /// The dialect's word: `conference`, `normal`, `participant`, …
        pub kind: String,
        /// `mp3`, `wav`, …
        pub format: String,
        /// Key in the object store, or path below the recordings' directory.
        pub location: String,
        /// Running or done.
        pub state: Life,
        /// When it began.
        pub started_at: Timestamp,
        /// When it ended.
        pub ended_at: Option<Timestamp>,
        /// Length in milliseconds, pauses left out.
        pub duration_ms: Option<i64>,
    }
}

/// Which recordings. What is `None` or unbounded does not restrict.
#[derive(Clone, Debug, Default)]
pub struct RecordingFilter {
    /// Of this sub-account.
    pub sub_account: Option<AccountId>,
    /// Of this life of a room.
    pub room: Option<RoomId>,
    /// Of rooms of this name.
    pub room_name: Option<String>,
    /// Of this call.
    pub call: Option<CallId>,
    /// Begun then.
    pub started: TimeRange,
}

pub(crate) fn put(conn: &Connection, recording: &RecordingRecord) -> Result<()> {
    upsert(conn, recording)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, id: RecordingId) -> Result<()> {
    delete(
        conn,
        "deleting a recording",
        "DELETE FROM recordings WHERE account = ? AND id = ?",
        [account.put(), id.put()],
    )
}

impl Store {
    /// A recording of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn recording(&self, account: AccountId, id: RecordingId) -> Result<Option<RecordingRecord>> {
        let values = [account.put(), id.put()];
        self.read("reading a recording", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// The account's recordings, newest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn recordings(
        &self,
        account: AccountId,
        wanted: RecordingFilter,
        page: Page,
    ) -> Result<Listed<RecordingRecord>> {
        self.read("reading recordings", move |conn| {
            filter(account, wanted.sub_account)
                .equal("room", wanted.room.as_ref())
                .equal("room_name", wanted.room_name.as_ref())
                .equal("call", wanted.call.as_ref())
                .within("started_at", &wanted.started)
                .list(conn, "recordings", "started_at DESC, id", page)
        })
        .await
    }

    /// Up to `limit` recordings, of all accounts, that ran when the server last stopped and still do in the records.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn interrupted_recordings(&self, limit: u32) -> Result<Vec<RecordingRecord>> {
        let rest = "WHERE state = 'live' AND interrupted = 1 ORDER BY account, started_at, id LIMIT ?";
        self.read("reading interrupted recordings", move |conn| select(conn, rest, [limit.put()])).await
    }
}
