//! Rooms and their members.

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::account::filter;
use crate::application::Dialect;
use crate::column::{Column, record, select, select_one, text_enum, upsert};
use crate::error::{Result, StoreError};
use crate::id::{AccountId, CallId, RoomId};
use crate::page::{Filter, Listed, Page, TimeRange};
use crate::store::Store;
use crate::time::Timestamp;

text_enum! {
    /// Where a room is in its life.
    pub enum RoomStatus {
        /// Made, not started: its members wait.
        Initialized = "initialized",
        /// Started.
        Active = "active",
        /// Over; its name is free again.
        Ended = "ended",
    }
}

record! {
    /// One life of a room. Among rooms that have not ended, a name is unique in the account.
    pub struct RoomRecord in "rooms" as "a room", key (account, id) {
        /// Whose.
        pub account: AccountId,
        /// Of this life.
        pub id: RoomId,
        /// The sub-account it is for.
        pub sub_account: Option<AccountId>,
        /// Plivo's `friendly_name`.
        pub name: String,
        /// The dialect that made it, which fixes start and end policy.
        pub dialect: Dialect,
        /// Where it is.
        pub status: RoomStatus,
        /// When it was made.
        pub created_at: Timestamp,
        /// When it started.
        pub started_at: Option<Timestamp>,
        /// When it ended; set exactly when `status` is ended.
        pub ended_at: Option<Timestamp>,
        /// Name of the reason.
        pub termination_cause: Option<String>,
        /// Room-level settings, as JSON.
        pub settings: Json,
        /// Number of the last event of this life.
        pub sequence: i64,
        /// It connects two calls, and nobody named it: its name is its id.
        pub unnamed: bool,
    }
}

record! {
    /// A call's stay in a room. A call that comes back is a new member.
    pub struct MemberRecord in "members" as "a member", key (account, room, number) {
        /// Whose.
        pub account: AccountId,
        /// Which life of which room.
        pub room: RoomId,
        /// Its number in this life of the room, never reused in it.
        pub number: u32,
        /// Plivo's `member_id`: unique in the account; from [`Store::reserve_member_ids`].
        pub member_id: i64,
        /// The call.
        pub call: CallId,
        /// Plivo's role, in lower case; jambonz members have none.
        pub role: Option<String>,
        /// The free tag.
        pub tag: Option<String>,
        /// Number or SIP address of the person.
        pub address: String,
        /// Whether it whispers (Plivo's `coach_mode`).
        pub coach: bool,
        /// Whether it is muted.
        pub mute: bool,
        /// Whether it is on hold.
        pub hold: bool,
        /// Whether its entry starts the room.
        pub start_on_enter: bool,
        /// Whether its exit ends the room.
        pub end_on_exit: bool,
        /// When it entered.
        pub join_time: Timestamp,
        /// When it left.
        pub exit_time: Option<Timestamp>,
        /// Why it left.
        pub exit_cause: Option<String>,
    }
}

/// Which rooms. What is `None` or unbounded does not restrict.
#[derive(Clone, Debug, Default)]
pub struct RoomFilter {
    /// Of this sub-account.
    pub sub_account: Option<AccountId>,
    /// Of this name, exactly.
    pub name: Option<String>,
    /// In this state.
    pub status: Option<RoomStatus>,
    /// Ended for one of these reasons, by name; empty: no matter why.
    pub termination_causes: Vec<String>,
    /// Only those that somebody named.
    pub named: bool,
    /// Made then.
    pub created: TimeRange,
    /// Ended then.
    pub ended: TimeRange,
}

/// Which members of a room.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberFilter {
    /// Only those that have not left.
    pub present: bool,
    /// Only this call's stays.
    pub call: Option<CallId>,
}

pub(crate) fn put(conn: &Connection, room: &RoomRecord) -> Result<()> {
    if (room.status == RoomStatus::Ended) != room.ended_at.is_some() {
        return Err(StoreError::Invalid {
            what: "room",
            why: "ended_at must be set exactly when the room is ended".to_owned(),
        });
    }
    upsert(conn, room)
}

pub(crate) fn put_member(conn: &Connection, member: &MemberRecord) -> Result<()> {
    upsert(conn, member)
}

impl Store {
    /// A room of the account by the UUID of its life, ended or not.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn room(&self, account: AccountId, id: RoomId) -> Result<Option<RoomRecord>> {
        let values = [account.put(), id.put()];
        self.read("reading a room", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// The room of this name that has not ended.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn live_room(&self, account: AccountId, name: &str) -> Result<Option<RoomRecord>> {
        let values = [account.put(), name.to_owned().put()];
        let rest = "WHERE account = ? AND name = ? AND status <> 'ended'";
        self.read("reading a room", move |conn| select_one(conn, rest, values)).await
    }

    /// The account's rooms, newest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn rooms(&self, account: AccountId, wanted: RoomFilter, page: Page) -> Result<Listed<RoomRecord>> {
        self.read("reading rooms", move |conn| {
            let filter = filter(account, wanted.sub_account);
            let filter = if wanted.named { filter.and("unnamed = 0") } else { filter };
            filter
                .equal("name", wanted.name.as_ref())
                .equal("status", wanted.status.as_ref())
                .one_of("termination_cause", &wanted.termination_causes)
                .within("created_at", &wanted.created)
                .within("ended_at", &wanted.ended)
                .list(conn, "rooms", "created_at DESC, id", page)
        })
        .await
    }

    /// All rooms of the account that have not ended, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn live_rooms(&self, account: AccountId) -> Result<Vec<RoomRecord>> {
        let rest = "INDEXED BY rooms_live_by_name WHERE account = ? AND status <> 'ended' ORDER BY created_at, id";
        self.read("reading live rooms", move |conn| select(conn, rest, [account.put()])).await
    }

    /// Up to `limit` rooms, of all accounts, that had not ended when the server last stopped and still have not in the records.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn interrupted_rooms(&self, limit: u32) -> Result<Vec<RoomRecord>> {
        let rest = "WHERE status <> 'ended' AND interrupted = 1 ORDER BY account, created_at, id LIMIT ?";
        self.read("reading interrupted rooms", move |conn| select(conn, rest, [limit.put()])).await
    }

    /// Members of a room, by number.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn members(
        &self,
        account: AccountId,
        room: RoomId,
        wanted: MemberFilter,
        page: Page,
    ) -> Result<Listed<MemberRecord>> {
        self.read("reading members", move |conn| {
            let filter = Filter::account(account).equal("room", Some(&room)).equal("call", wanted.call.as_ref());
            let filter = if wanted.present { filter.and("exit_time IS NULL") } else { filter };
            filter.list(conn, "members", "number", page)
        })
        .await
    }

    /// A member of a room by its `member_id`, present or gone.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn member(&self, account: AccountId, room: RoomId, member_id: i64) -> Result<Option<MemberRecord>> {
        let values = [account.put(), room.put(), member_id.put()];
        let rest = "WHERE account = ? AND room = ? AND member_id = ?";
        self.read("reading a member", move |conn| select_one(conn, rest, values)).await
    }

    /// All stays of a call in rooms, latest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn members_of_call(&self, account: AccountId, call: CallId) -> Result<Vec<MemberRecord>> {
        let values = [account.put(), call.put()];
        let rest = "WHERE account = ? AND call = ? ORDER BY join_time DESC, member_id DESC";
        self.read("reading members", move |conn| select(conn, rest, values)).await
    }

    /// Up to `limit` members, of all accounts, that were in a room when the server last stopped and still are in the records.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn interrupted_members(&self, limit: u32) -> Result<Vec<MemberRecord>> {
        let rest = "WHERE exit_time IS NULL AND interrupted = 1 ORDER BY account, room, number LIMIT ?";
        self.read("reading interrupted members", move |conn| select(conn, rest, [limit.put()])).await
    }
}
