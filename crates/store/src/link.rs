//! Links: whoever opens one in a browser calls what it leads to.

use rusqlite::Connection;
use rusqlite::types::Value;
use uuid::Uuid;

use crate::account::delete;
use crate::column::{Column, execute, record, select_one, upsert};
use crate::error::{Result, StoreError};
use crate::id::{self, AccountId};
use crate::page::{Filter, Listed, Page};
use crate::secret::{Secret, token, token_hash};
use crate::store::Store;
use crate::time::Timestamp;

record! {
    /// A link. Its token is shown once and not stored.
    pub struct Link in "links" as "a link", key (account, id) {
        /// Whose.
        pub account: AccountId,
        /// Its UUID.
        pub id: Uuid,
        /// For people, unique in the account; part of the link's address.
        pub name: String,
        /// SHA-256 of the token, hexadecimal. The token has 256 random bits, so a plain hash is enough.
        #[serde(skip)]
        pub hash: String,
        /// Leads to this application …
        pub app_id: Option<String>,
        /// … or to whatever this number leads to.
        pub number: Option<String>,
        /// What callers are called.
        pub label: Option<String>,
        /// When it was made.
        pub created_at: Timestamp,
        /// From when on it is refused.
        pub expires_at: Option<Timestamp>,
        /// When it was last used.
        pub last_used_at: Option<Timestamp>,
    }
}

impl Link {
    /// A new link that leads nowhere yet, and the token to show once.
    pub fn generate(account: AccountId, name: impl Into<String>, created_at: Timestamp) -> (Self, Secret) {
        let (shown, hash) = token();
        let link = Self {
            account,
            id: id::uuid(),
            name: name.into(),
            hash,
            app_id: None,
            number: None,
            label: None,
            created_at,
            expires_at: None,
            last_used_at: None,
        };
        (link, shown)
    }
}

pub(crate) fn put(conn: &Connection, link: &Link) -> Result<()> {
    if link.hash.len() != 64 {
        let why = "it has no hash; make it with Link::generate, and change a stored one as read from the store";
        return Err(StoreError::Invalid { what: "link", why: why.to_owned() });
    }
    if link.app_id.is_some() == link.number.is_some() {
        let why = "it leads to an application or to a number: name one of them".to_owned();
        return Err(StoreError::Invalid { what: "link", why });
    }
    upsert(conn, link)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, id: Uuid) -> Result<()> {
    delete(conn, "deleting a link", "DELETE FROM links WHERE account = ? AND id = ?", [account.put(), id.put()])
}

pub(crate) fn touch(conn: &Connection, account: AccountId, id: Uuid, now: Timestamp) -> Result<()> {
    let text = "UPDATE links SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE account = ? AND id = ?";
    // A link deleted meanwhile has nothing to note.
    execute(conn, "noting the use of a link", text, [now.put(), account.put(), id.put()]).map(|_| ())
}

impl Store {
    /// The link that this token is, if it exists, has not expired and its account is enabled. This is how a request finds its
    /// account, so it takes none. What is compared is a hash, which nobody can approach step by step.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn resolve_link(&self, token: &str, now: Timestamp) -> Result<Option<Link>> {
        let hash = token_hash(token);
        self.read("reading a link", move |conn| {
            let rest = "WHERE hash = ? AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = account AND enabled = 1)";
            let found: Option<Link> = select_one(conn, rest, [Value::Text(hash)])?;
            Ok(found.filter(|link| link.expires_at.is_none_or(|expiry| now < expiry)))
        })
        .await
    }

    /// A link of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn link(&self, account: AccountId, id: Uuid) -> Result<Option<Link>> {
        let values = [account.put(), id.put()];
        self.read("reading a link", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// The account's link of this name.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn link_by_name(&self, account: AccountId, name: &str) -> Result<Option<Link>> {
        let values = [account.put(), Value::Text(name.to_owned())];
        self.read("reading a link", move |conn| select_one(conn, "WHERE account = ? AND name = ?", values)).await
    }

    /// The account's links, newest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn links(&self, account: AccountId, page: Page) -> Result<Listed<Link>> {
        self.read("reading links", move |conn| {
            Filter::account(account).list(conn, "links", "created_at DESC, id", page)
        })
        .await
    }
}
