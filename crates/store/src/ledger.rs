//! The ledger: who could hear whom, when, and who asked for it.

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::column::{Column, execute, record, select, select_one, text_enum};
use crate::error::{Result, StoreError};
use crate::id::{AccountId, LedgerId, RoomId};
use crate::store::Store;
use crate::time::Timestamp;

text_enum! {
    /// Who asked for a change.
    pub enum ActorKind {
        /// A key of the native API.
        Key = "key",
        /// An account by its token.
        Account = "account",
        /// A signed-in user.
        User = "user",
        /// An application's instructions.
        Application = "application",
        /// An endpoint: an agent at a softphone.
        Endpoint = "endpoint",
        /// The person on the call (a digit, hanging up).
        Caller = "caller",
        /// The server itself (a room's rule, a restart).
        Server = "server",
    }
}

text_enum! {
    /// What an entry says.
    pub enum LedgerKind {
        /// The whole of hearing: it stands on its own.
        Snapshot = "snapshot",
        /// What changed since the entry before.
        Delta = "delta",
        /// A change that was asked for and refused: hearing is as before.
        Refused = "refused",
    }
}

record! {
    /// One entry.
    pub struct LedgerEntry in "ledger" as "a ledger entry", key (id) {
        /// Its place; set by the store, ignored when appended.
        pub id: LedgerId,
        /// Whose room.
        pub account: AccountId,
        /// Which life of which room.
        pub room: RoomId,
        /// The shard that applied it.
        pub shard: u32,
        /// The shard's tick from which on it held.
        pub tick: i64,
        /// That tick in UTC.
        pub at: Timestamp,
        /// Who asked.
        pub who_kind: ActorKind,
        /// The key's, account's, user's, application's or call's id.
        pub who_id: String,
        /// The command's id, if it had one.
        pub command_id: Option<String>,
        /// What the entry says.
        pub kind: LedgerKind,
        /// Hearing, or its change, as JSON.
        pub change: Json,
    }
}

/// Hearing of a room at one time: a base, and what changed since.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LedgerView {
    /// The last snapshot at or before that time; none if the room had none yet: then hearing starts out empty.
    pub base: Option<LedgerEntry>,
    /// The changes after it, in the order they were applied; refusals are left out.
    pub changes: Vec<LedgerEntry>,
}

/// Most changes after one snapshot that [`Store::ledger_at`] returns; writers put a snapshot more often than this.
pub const LEDGER_CHANGES_LIMIT: usize = 10_000;

/// Appends; the id comes from the database.
pub(crate) fn append(conn: &Connection, entry: &LedgerEntry) -> Result<LedgerId> {
    const APPENDING: &str = "appending to the ledger";
    execute(
        conn,
        APPENDING,
        "INSERT INTO ledger (account, room, shard, tick, at, who_kind, who_id, command_id, kind, change)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            entry.account.put(),
            entry.room.put(),
            entry.shard.put(),
            entry.tick.put(),
            entry.at.put(),
            entry.who_kind.put(),
            entry.who_id.put(),
            entry.command_id.put(),
            entry.kind.put(),
            entry.change.put(),
        ],
    )?;
    Ok(LedgerId(conn.last_insert_rowid()))
}

impl Store {
    /// What says who could hear whom in the room at `time`.
    ///
    /// # Errors
    /// `TooManyRows` if more than [`LEDGER_CHANGES_LIMIT`] changes follow the snapshot; `Busy`, `Database`.
    pub async fn ledger_at(&self, account: AccountId, room: RoomId, time: Timestamp) -> Result<LedgerView> {
        const READING: &str = "reading the ledger";
        self.read(READING, move |conn| {
            let base: Option<LedgerEntry> = select_one(
                conn,
                "WHERE account = ? AND room = ? AND kind = 'snapshot' AND at <= ? ORDER BY at DESC, id DESC LIMIT 1",
                [account.put(), room.put(), time.put()],
            )?;
            let after = base.as_ref().map_or(LedgerId(0), |entry| entry.id);
            let limit = i64::try_from(LEDGER_CHANGES_LIMIT).unwrap_or(i64::MAX).saturating_add(1);
            let changes: Vec<LedgerEntry> = select(
                conn,
                "WHERE account = ? AND room = ? AND at >= ? AND at <= ? AND id > ? AND kind = 'delta' ORDER BY id LIMIT ?",
                [
                    account.put(),
                    room.put(),
                    base.as_ref().map_or(Timestamp::from_micros(i64::MIN), |entry| entry.at).put(),
                    time.put(),
                    after.put(),
                    limit.put(),
                ],
            )?;
            if changes.len() > LEDGER_CHANGES_LIMIT {
                return Err(StoreError::TooManyRows { what: READING, limit: LEDGER_CHANGES_LIMIT });
            }
            Ok(LedgerView { base, changes })
        })
        .await
    }

    /// Up to `limit` (at most 1000) entries of the room, refusals included, with `from <= at < to`, in the order they were applied.
    /// To go on, pass the last entry's id as `after`.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn ledger_between(
        &self,
        account: AccountId,
        room: RoomId,
        from: Timestamp,
        to: Timestamp,
        after: LedgerId,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>> {
        let rest = "WHERE account = ? AND room = ? AND at >= ? AND at < ? AND id > ? ORDER BY id LIMIT ?";
        let limit = limit.min(crate::PAGE_LIMIT);
        let values = [account.put(), room.put(), from.put(), to.put(), after.put(), limit.put()];
        self.read("reading the ledger", move |conn| select(conn, rest, values)).await
    }
}
