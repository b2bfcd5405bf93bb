//! Telephone numbers.

use rusqlite::Connection;
use rusqlite::types::Value;
use uuid::Uuid;

use crate::account::{check_sub, delete, filter};
use crate::column::{Column, record, scalar, select_one, upsert};
use crate::error::{Result, StoreError};
use crate::id::{self, AccountId, TrunkId};
use crate::page::{Listed, Page};
use crate::store::Store;
use crate::time::Timestamp;

record! {
    /// A number that calls come in on.
    pub struct Number in "numbers" as "a number", key (account, number) {
        /// Whose.
        pub account: AccountId,
        /// E.164 digits without `+`, unique over all accounts.
        pub number: String,
        /// The sub-account it is for.
        pub sub_account: Option<AccountId>,
        /// For people.
        pub alias: Option<String>,
        /// The application for its calls; else the account's default.
        pub app_id: Option<String>,
        /// The trunk it comes in on; any of the account's if none. The account's own, or one it has a grant for.
        pub trunk: Option<TrunkId>,
        /// When it was added.
        pub created_at: Timestamp,
        /// Its UUID: jambonz's `phone_number_sid`, unique.
        pub sid: Uuid,
    }
}

impl Number {
    /// A number (digits, see [`normalise_number`]) that leads nowhere yet.
    pub fn new(account: AccountId, digits: impl Into<String>, created_at: Timestamp) -> Self {
        Self {
            account,
            number: digits.into(),
            sub_account: None,
            alias: None,
            app_id: None,
            trunk: None,
            created_at,
            sid: id::uuid(),
        }
    }
}

/// The stored form of a number: its digits, without `+`, blanks, hyphens, dots and brackets.
///
/// # Errors
/// `Invalid` if anything else is in it, or if it has not 3 to 15 digits (short codes included).
pub fn normalise_number(text: &str) -> Result<String> {
    let text = text.trim();
    let digits: String = text
        .strip_prefix('+')
        .unwrap_or(text)
        .chars()
        .filter(|character| !matches!(character, ' ' | '-' | '.' | '(' | ')'))
        .collect();
    if (3..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(digits)
    } else {
        Err(StoreError::Invalid { what: "number", why: "it must be 3 to 15 digits, as in +14155550123".to_owned() })
    }
}

const STORING: &str = "storing a number";

pub(crate) fn put(conn: &Connection, number: &Number) -> Result<()> {
    if normalise_number(&number.number)? != number.number {
        return Err(StoreError::Invalid { what: "number", why: "it must be digits only, without +".to_owned() });
    }
    check_sub(conn, STORING, number.account, number.sub_account)?;
    if let Some(trunk) = number.trunk {
        let usable: Option<bool> = scalar(
            conn,
            STORING,
            "SELECT 1 FROM trunks WHERE id = ?1 AND (account = ?2
             OR EXISTS (SELECT 1 FROM trunk_grants WHERE trunk = ?1 AND trunk_grants.account = ?2))",
            [trunk.put(), number.account.put()],
        )?;
        usable.ok_or(StoreError::MissingReference { what: STORING })?;
    }
    upsert(conn, number)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, number: &str) -> Result<()> {
    let values = [account.put(), Value::Text(number.to_owned())];
    delete(conn, "deleting a number", "DELETE FROM numbers WHERE account = ? AND number = ?", values)
}

impl Store {
    /// A number of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn number(&self, account: AccountId, number: &str) -> Result<Option<Number>> {
        let values = [account.put(), Value::Text(number.to_owned())];
        self.read("reading a number", move |conn| select_one(conn, "WHERE account = ? AND number = ?", values)).await
    }

    /// A number of the account by its UUID (jambonz's `phone_number_sid`).
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn number_by_sid(&self, account: AccountId, sid: Uuid) -> Result<Option<Number>> {
        let values = [account.put(), sid.put()];
        self.read("reading a number", move |conn| select_one(conn, "WHERE account = ? AND sid = ?", values)).await
    }

    /// The owner and application of a called number (digits). This is how a call from a trunk finds its account, so it takes
    /// none; numbers of disabled accounts are not found.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn resolve_number(&self, number: &str) -> Result<Option<Number>> {
        let values = [Value::Text(number.to_owned())];
        let rest = "WHERE number = ? AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = account AND enabled = 1)";
        self.read("reading a number", move |conn| select_one(conn, rest, values)).await
    }

    /// The account's numbers; of one sub-account, if given.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn numbers(&self, account: AccountId, sub: Option<AccountId>, page: Page) -> Result<Listed<Number>> {
        self.read("reading numbers", move |conn| filter(account, sub).list(conn, "numbers", "number", page)).await
    }
}
