//! Keys of the jambonz REST interface: a UUID that is shown once, stored hashed.

use std::time::Duration;

use rusqlite::Connection;
use uuid::Uuid;

use crate::column::{Column, execute, record, select, select_one, upsert};
use crate::error::{Result, StoreError};
use crate::id::{self, AccountId};
use crate::secret::{Secret, sha256_hex};
use crate::store::Store;
use crate::time::Timestamp;

record! {
    /// A key that is nothing but a token.
    pub struct BearerKey in "bearer_keys" as "a bearer key", key (sid) {
        /// Its id.
        pub sid: Uuid,
        /// Whose; the operator's, for all accounts, if none.
        pub account: Option<AccountId>,
        /// SHA-256 of the token, hexadecimal. The token has 122 random bits, so a plain hash is enough.
        #[serde(skip)]
        pub hash: String,
        /// When it was made.
        pub created_at: Timestamp,
        /// From when on it is refused.
        pub expires_at: Option<Timestamp>,
        /// When it was last used, to the minute.
        pub last_used_at: Option<Timestamp>,
    }
}

const TOUCH_EVERY: Duration = Duration::from_secs(60);

impl BearerKey {
    /// A new key and the token to show once.
    pub fn generate(account: Option<AccountId>, created_at: Timestamp) -> (Self, Secret) {
        let token = id::uuid().to_string();
        let hash = sha256_hex(token.as_bytes());
        let key = Self { sid: id::uuid(), account, hash, created_at, expires_at: None, last_used_at: None };
        (key, Secret::new(token))
    }

    /// Whether its use should be noted with `touch_bearer_key` (at most once a minute).
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last) >= TOUCH_EVERY)
    }
}

pub(crate) fn put(conn: &Connection, key: &BearerKey) -> Result<()> {
    if key.hash.len() != 64 {
        let why = "it has no hash; make it with BearerKey::generate, and change a stored one as read from the store";
        return Err(StoreError::Invalid { what: "bearer key", why: why.to_owned() });
    }
    upsert(conn, key)
}

/// Deletes a key; `account` is the one it must belong to, none for the operator's own.
pub(crate) fn remove(conn: &Connection, account: Option<AccountId>, sid: Uuid) -> Result<()> {
    const DELETING: &str = "deleting a bearer key";
    let text = "DELETE FROM bearer_keys WHERE sid = ? AND account IS ?";
    match execute(conn, DELETING, text, [sid.put(), account.put()])? {
        0 => Err(StoreError::NotFound { what: DELETING }),
        _ => Ok(()),
    }
}

pub(crate) fn touch(conn: &Connection, sid: Uuid, now: Timestamp) -> Result<()> {
    let text = "UPDATE bearer_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE sid = ?";
    // A key deleted meanwhile has nothing to note.
    execute(conn, "noting the use of a bearer key", text, [now.put(), sid.put()]).map(|_| ())
}

impl Store {
    /// The key that `token` is, if it exists, has not expired and its account, if it has one, is enabled. This is how a
    /// request finds its account, so it takes none. What is compared is a hash, which nobody can approach step by step.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn authenticate_bearer_key(&self, token: &str, now: Timestamp) -> Result<Option<BearerKey>> {
        let hash = sha256_hex(token.as_bytes());
        self.read("reading a bearer key", move |conn| {
            let rest = "WHERE hash = ? AND (account IS NULL OR EXISTS
                        (SELECT 1 FROM accounts WHERE accounts.id = account AND enabled = 1))";
            let found: Option<BearerKey> = select_one(conn, rest, [hash.put()])?;
            Ok(found.filter(|key| key.expires_at.is_none_or(|expiry| now < expiry)))
        })
        .await
    }

    /// A key by its id, whosever it is: check its account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn bearer_key(&self, sid: Uuid) -> Result<Option<BearerKey>> {
        self.read("reading a bearer key", move |conn| select_one(conn, "WHERE sid = ?", [sid.put()])).await
    }

    /// The keys of an account, or the operator's own, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn bearer_keys(&self, account: Option<AccountId>) -> Result<Vec<BearerKey>> {
        let rest = "WHERE account IS ? ORDER BY created_at, sid";
        self.read("reading bearer keys", move |conn| select(conn, rest, [account.put()])).await
    }
}
