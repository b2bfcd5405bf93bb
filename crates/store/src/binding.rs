//! Bindings: where registered endpoints can be reached.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::account::delete;
use crate::column::{Column, execute, record, select, upsert};
use crate::error::Result;
use crate::id::AccountId;
use crate::store::Store;
use crate::time::Timestamp;

record! {
    /// One registered contact of an endpoint.
    pub struct Binding in "bindings" as "a binding", key (account, endpoint_id, contact) {
        /// Whose.
        pub account: AccountId,
        /// Which endpoint's.
        pub endpoint_id: String,
        /// The contact URI as registered; with account and endpoint it is the key.
        pub contact: String,
        /// Address and port that the REGISTER came from.
        pub source: String,
        /// `udp`, `tcp`, `tls`, `ws` or `wss`.
        pub transport: String,
        /// Call-ID of the REGISTER.
        pub call_id: String,
        /// CSeq of the REGISTER (RFC 3261 §10.3: an older one with the same Call-ID must be refused by the registrar).
        pub cseq: u32,
        /// The client's name for itself.
        pub user_agent: Option<String>,
        /// Path header values (RFC 3327), outermost first.
        pub path: Vec<String>,
        /// From when on it is gone.
        pub expires_at: Timestamp,
        /// When it was last refreshed.
        pub updated_at: Timestamp,
    }
}

pub(crate) fn put(conn: &Connection, binding: &Binding) -> Result<()> {
    upsert(conn, binding)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, endpoint_id: &str, contact: Option<&str>) -> Result<()> {
    const DELETING: &str = "deleting a binding";
    let (account, endpoint_id) = (account.put(), Value::Text(endpoint_id.to_owned()));
    match contact {
        Some(contact) => delete(
            conn,
            DELETING,
            "DELETE FROM bindings WHERE account = ? AND endpoint_id = ? AND contact = ?",
            [account, endpoint_id, Value::Text(contact.to_owned())],
        ),
        None => execute(
            conn,
            DELETING,
            "DELETE FROM bindings WHERE account = ? AND endpoint_id = ?",
            [account, endpoint_id],
        )
        .map(|_| ()),
    }
}

impl Store {
    /// The endpoint's bindings that have not expired at `now`, last refreshed first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn bindings(&self, account: AccountId, endpoint_id: &str, now: Timestamp) -> Result<Vec<Binding>> {
        let values = [account.put(), Value::Text(endpoint_id.to_owned()), now.put()];
        let rest = "WHERE account = ? AND endpoint_id = ? AND expires_at > ? ORDER BY updated_at DESC, contact";
        self.read("reading bindings", move |conn| select(conn, rest, values)).await
    }

    /// All of the account's bindings that have not expired at `now`.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn account_bindings(&self, account: AccountId, now: Timestamp) -> Result<Vec<Binding>> {
        let rest = "WHERE account = ? AND expires_at > ? ORDER BY endpoint_id, updated_at DESC, contact";
        self.read("reading bindings", move |conn| select(conn, rest, [account.put(), now.put()])).await
    }
}
