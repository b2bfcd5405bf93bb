//! Call records.

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::account::filter;
use crate::application::Dialect;
use crate::column::{Column, record, select, select_one, text_enum, upsert};
use crate::error::{Result, StoreError};
use crate::id::{AccountId, CallId};
use crate::page::{Listed, Page, TimeRange};
use crate::store::Store;
use crate::time::Timestamp;

text_enum! {
    /// Which way a call was set up.
    pub enum Direction {
        /// Towards the server.
        Inbound = "inbound",
        /// From the server.
        Outbound = "outbound",
    }
}

text_enum! {
    /// Whether something goes on or is over.
    pub enum Life {
        /// Goes on.
        Live = "live",
        /// Is over.
        Ended = "ended",
    }
}

record! {
    /// One call (leg). Stored at its start, replaced as it changes, final once ended.
    pub struct CallRecord in "calls" as "a call", key (account, id) {
        /// Whose.
        pub account: AccountId,
        /// `CallUUID`, `call_sid`.
        pub id: CallId,
        /// The sub-account it is for.
        pub sub_account: Option<AccountId>,
        /// Whose words `status` and the hang-up fields use.
        pub dialect: Dialect,
        /// Which way.
        pub direction: Direction,
        /// Caller: digits without `+`, or a SIP URI.
        pub from: String,
        /// Called: likewise.
        pub to: String,
        /// The caller's display name.
        pub caller_name: Option<String>,
        /// Plivo's `request_uuid`, if a request made the call.
        pub request_id: Option<String>,
        /// The application that controls it.
        pub app_id: Option<String>,
        /// Live or ended.
        pub state: Life,
        /// The dialect's word for where it is: `ringing`, `in-progress`, `completed`, …
        pub status: String,
        /// When it began.
        pub initiated_at: Timestamp,
        /// When it was answered.
        pub answered_at: Option<Timestamp>,
        /// When it ended; set exactly when `state` is ended.
        pub ended_at: Option<Timestamp>,
        /// Name of the reason.
        pub hangup_cause: Option<String>,
        /// What only the dialect knows, as JSON.
        pub extra: Json,
    }
}

/// Which calls. What is `None` or unbounded does not restrict.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Of this sub-account.
    pub sub_account: Option<AccountId>,
    /// Live or ended.
    pub state: Option<Life>,
    /// With this status.
    pub status: Option<String>,
    /// In this direction.
    pub direction: Option<Direction>,
    /// From this caller, exactly.
    pub from: Option<String>,
    /// To this number or URI, exactly.
    pub to: Option<String>,
    /// Made by this request.
    pub request_id: Option<String>,
    /// Of this application.
    pub app_id: Option<String>,
    /// Ended for this reason.
    pub hangup_cause: Option<String>,
    /// Begun then.
    pub initiated: TimeRange,
    /// Ended then.
    pub ended: TimeRange,
}

pub(crate) fn put(conn: &Connection, call: &CallRecord) -> Result<()> {
    if (call.state == Life::Ended) != call.ended_at.is_some() {
        return Err(StoreError::Invalid {
            what: "call",
            why: "ended_at must be set exactly when the call is ended".to_owned(),
        });
    }
    upsert(conn, call)
}

impl Store {
    /// A call of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn call(&self, account: AccountId, id: CallId) -> Result<Option<CallRecord>> {
        let values = [account.put(), id.put()];
        self.read("reading a call", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// The account's calls, newest first. For all live ones [`Store::live_calls`] is cheaper: it looks at no others.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn calls(&self, account: AccountId, wanted: CallFilter, page: Page) -> Result<Listed<CallRecord>> {
        self.read("reading calls", move |conn| {
            filter(account, wanted.sub_account)
                .equal("state", wanted.state.as_ref())
                .equal("status", wanted.status.as_ref())
                .equal("direction", wanted.direction.as_ref())
                .equal("from", wanted.from.as_ref())
                .equal("to", wanted.to.as_ref())
                .equal("request_id", wanted.request_id.as_ref())
                .equal("app_id", wanted.app_id.as_ref())
                .equal("hangup_cause", wanted.hangup_cause.as_ref())
                .within("initiated_at", &wanted.initiated)
                .within("ended_at", &wanted.ended)
                .list(conn, "calls", "initiated_at DESC, id", page)
        })
        .await
    }

    /// All calls of the account whose record says live, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn live_calls(&self, account: AccountId) -> Result<Vec<CallRecord>> {
        // The planner would rather walk the account's whole history, which is sorted the same way.
        let rest = "INDEXED BY calls_live WHERE account = ? AND state = 'live' ORDER BY initiated_at, id";
        self.read("reading live calls", move |conn| select(conn, rest, [account.put()])).await
    }

    /// Calls of the account that ended at `since` or later, the last to end first, at most [`crate::PAGE_LIMIT`].
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn ended_calls(&self, account: AccountId, since: Timestamp) -> Result<Vec<CallRecord>> {
        let rest = "INDEXED BY calls_recent WHERE account = ? AND state = 'ended' AND ended_at >= ?
                    ORDER BY ended_at DESC, id LIMIT ?";
        let values = [account.put(), since.put(), crate::PAGE_LIMIT.put()];
        self.read("reading ended calls", move |conn| select(conn, rest, values)).await
    }

    /// Up to `limit` calls, of all accounts, that were live when the server last stopped and are still recorded as live.
    /// Ending them in the records removes them from here.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn interrupted_calls(&self, limit: u32) -> Result<Vec<CallRecord>> {
        let rest = "WHERE state = 'live' AND interrupted = 1 ORDER BY account, initiated_at, id LIMIT ?";
        self.read("reading interrupted calls", move |conn| select(conn, rest, [limit.put()])).await
    }
}
