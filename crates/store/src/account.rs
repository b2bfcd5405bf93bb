//! Accounts and sub-accounts.

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::column::{Column, execute, record, scalar, select, select_one, upsert};
use crate::error::{Result, StoreError};
use crate::id::{self, AccountId};
use crate::page::{Filter, Listed, Page};
use crate::secret::Secret;
use crate::store::{Pending, Store};
use crate::time::Timestamp;

record! {
    /// An account, or a sub-account of one.
    ///
    /// Rows of every other table belong to a *main* account; where a sub-account matters they carry it in `sub_account`.
    pub struct Account in "accounts" as "an account", key (id) {
        /// Its UUID; jambonz's `account_sid`.
        pub id: AccountId,
        /// The main account, for a sub-account.
        pub parent: Option<AccountId>,
        /// `MA…` or `SA…`, 20 characters, unique.
        pub auth_id: String,
        /// Stored recoverable, not hashed: webhooks are signed with it (HMAC), which needs the token itself. It is as
        /// secret as the database file.
        pub auth_token: Secret,
        /// For people.
        pub name: String,
        /// The SIP domain of its endpoints, in lower case, unique. Sub-accounts use their main account's.
        pub sip_realm: Option<String>,
        /// Whether it may do anything.
        pub enabled: bool,
        /// When it was made.
        pub created_at: Timestamp,
        /// What the jambonz dialect's hooks are signed with; recoverable, as `auth_token` is.
        pub webhook_secret: Secret,
        /// What only the jambonz dialect knows of it (`queue_event_hook`), as JSON.
        pub settings: Json,
    }
}

impl Account {
    /// A new main account with fresh ids and token.
    pub fn new(name: impl Into<String>, sip_realm: Option<String>, created_at: Timestamp) -> Self {
        Self {
            id: AccountId::generate(),
            parent: None,
            auth_id: id::auth_id(),
            auth_token: Secret::new(id::auth_token()),
            name: name.into(),
            sip_realm: sip_realm.map(|realm| realm.to_ascii_lowercase()),
            enabled: true,
            created_at,
            webhook_secret: Secret::new(id::webhook_secret()),
            settings: Json::Object(serde_json::Map::new()),
        }
    }

    /// A new sub-account of this one.
    pub fn new_sub(&self, name: impl Into<String>, created_at: Timestamp) -> Self {
        Self { parent: Some(self.main()), auth_id: id::sub_auth_id(), ..Self::new(name, None, created_at) }
    }

    /// A SIP realm in its stored form; `shared` are the domains of all accounts.
    ///
    /// # Errors
    /// `Invalid`: it is no domain name, or one of `shared`.
    pub fn check_realm(realm: &str, shared: &[String]) -> Result<String> {
        let realm = realm.to_ascii_lowercase();
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if realm.len() > 253 || !realm.split('.').all(label) {
            let why = format!("{realm:?}: write a domain name such as sip.example.com");
            return Err(StoreError::Invalid { what: "realm", why });
        }
        if shared.iter().any(|domain| domain.eq_ignore_ascii_case(&realm)) {
            let why = format!("{realm:?}: all accounts share this domain; choose another");
            return Err(StoreError::Invalid { what: "realm", why });
        }
        Ok(realm)
    }

    /// The main account: itself, or its parent.
    pub fn main(&self) -> AccountId {
        self.parent.unwrap_or(self.id)
    }
}

const STORING: &str = "storing an account";

pub(crate) fn put(conn: &Connection, account: &Account) -> Result<()> {
    let prefix = if account.parent.is_some() { "SA" } else { "MA" };
    if !id::is_auth_id(&account.auth_id) || !account.auth_id.starts_with(prefix) {
        return Err(StoreError::Invalid {
            what: "auth_id",
            why: format!("it must be {prefix} and 18 letters A to Z or digits, 20 characters in all"),
        });
    }
    if account.auth_token.reveal().is_empty() {
        return Err(StoreError::Invalid { what: "auth_token", why: "it must not be empty".to_owned() });
    }
    if account.webhook_secret.reveal().is_empty() {
        return Err(StoreError::Invalid { what: "webhook_secret", why: "it must not be empty".to_owned() });
    }
    if account.sip_realm.as_ref().is_some_and(|realm| realm.is_empty() || *realm != realm.to_ascii_lowercase()) {
        return Err(StoreError::Invalid {
            what: "sip_realm",
            why: "it must be a domain name in lower case".to_owned(),
        });
    }
    if let Some(parent) = account.parent {
        let grandparent: Option<Option<AccountId>> =
            scalar(conn, STORING, "SELECT parent FROM accounts WHERE id = ?", [parent.put()])?;
        match grandparent {
            None => return Err(StoreError::MissingReference { what: STORING }),
            Some(Some(_)) => {
                return Err(StoreError::Invalid {
                    what: "parent",
                    why: "a sub-account cannot have sub-accounts".to_owned(),
                });
            }
            Some(None) => {}
        }
    }
    upsert(conn, account)
}

/// Refuses a `sub_account` that is not one of `account`.
pub(crate) fn check_sub(
    conn: &Connection,
    what: &'static str,
    account: AccountId,
    sub: Option<AccountId>,
) -> Result<()> {
    let Some(sub) = sub else { return Ok(()) };
    let found: Option<bool> =
        scalar(conn, what, "SELECT 1 FROM accounts WHERE id = ? AND parent = ?", [sub.put(), account.put()])?;
    found.map(|_| ()).ok_or(StoreError::MissingReference { what })
}

impl Store {
    /// An account or sub-account by its UUID.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>> {
        self.read("reading an account", move |conn| select_one(conn, "WHERE id = ?", [id.put()])).await
    }

    /// An account or sub-account by its auth id. This is how a request finds its account, so it takes none.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn account_by_auth_id(&self, auth_id: &str) -> Result<Option<Account>> {
        let auth_id = auth_id.to_owned();
        self.read("reading an account", move |conn| select_one(conn, "WHERE auth_id = ?", [auth_id.put()])).await
    }

    /// The account of a SIP realm (compared in lower case).
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn account_by_realm(&self, realm: &str) -> Result<Option<Account>> {
        let realm = realm.to_ascii_lowercase();
        self.read("reading an account", move |conn| select_one(conn, "WHERE sip_realm = ?", [realm.put()])).await
    }

    /// The enabled account that `auth_id` and `auth_token` (HTTP Basic) name, compared in constant time. A sub-account counts
    /// as disabled while its main account is.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn authenticate(&self, auth_id: &str, auth_token: &str) -> Result<Option<Account>> {
        // An unknown id costs the same comparison as a known one.
        let nobody = Secret::new("nobody has this token");
        let found = self.account_by_auth_id(auth_id).await?;
        let right = found.as_ref().map_or(&nobody, |account| &account.auth_token).matches(auth_token);
        let Some(account) = found.filter(|account| right && account.enabled) else {
            return Ok(None);
        };
        match account.parent {
            None => Ok(Some(account)),
            Some(parent) => Ok(self.account(parent).await?.filter(|main| main.enabled).map(|_| account)),
        }
    }

    /// All main accounts, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn accounts(&self, page: Page) -> Result<Listed<Account>> {
        self.read("reading accounts", move |conn| {
            let total: i64 =
                scalar(conn, "reading accounts", "SELECT count(*) FROM accounts WHERE parent IS NULL", [])?
                    .unwrap_or(0);
            let bounds = [page.limit.min(crate::PAGE_LIMIT).put(), page.offset.put()];
            let items = select(conn, "WHERE parent IS NULL ORDER BY created_at, id LIMIT ? OFFSET ?", bounds)?;
            Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
        })
        .await
    }

    /// The sub-accounts of a main account, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn sub_accounts(&self, account: AccountId) -> Result<Vec<Account>> {
        self.read("reading sub-accounts", move |conn| {
            select(conn, "WHERE parent = ? ORDER BY created_at, id", [account.put()])
        })
        .await
    }

    /// Reserves `count` member ids (at least 1) of the account's sequence and returns the first. Numbers reserved but not used before a restart
    /// are skipped, never handed out again.
    pub fn reserve_member_ids(&self, account: AccountId, count: u32) -> Pending<i64> {
        const RESERVING: &str = "reserving member ids";
        self.write(RESERVING, move |context| {
            let count = i64::from(count.max(1));
            let next: Option<i64> = scalar(
                context.conn,
                RESERVING,
                "INSERT INTO sequences (account, name, next) VALUES (?1, 'member', 1 + ?2)
                 ON CONFLICT (account, name) DO UPDATE SET next = next + ?2 RETURNING next",
                [account.put(), count.put()],
            )?;
            next.map(|next| next.saturating_sub(count)).ok_or(StoreError::Defect { what: RESERVING })
        })
    }
}

/// Deletes rows of an account by `text`; `NotFound` if there was none.
pub(crate) fn delete(
    conn: &Connection,
    what: &'static str,
    text: &str,
    values: impl IntoIterator<Item = rusqlite::types::Value>,
) -> Result<()> {
    delete_used(conn, what, text, values, &[])
}

/// [`delete`] of what others may refer to: `users` are kinds of them, each with a query of their names that takes the same values.
pub(crate) fn delete_used(
    conn: &Connection,
    what: &'static str,
    text: &str,
    values: impl IntoIterator<Item = rusqlite::types::Value>,
    users: &[(&str, &str)],
) -> Result<()> {
    let values: Vec<_> = values.into_iter().collect();
    match execute(conn, what, text, values.clone()) {
        Ok(0) => Err(StoreError::NotFound { what }),
        Ok(_) => Ok(()),
        Err(StoreError::MissingReference { what }) => {
            let mut by = Vec::new();
            for (kind, names) in users {
                let name: Option<String> = scalar(conn, what, names, values.clone())?;
                by.extend(name.map(|name| format!("{kind} {name:?}")));
            }
            let by = if by.is_empty() { "something".to_owned() } else { by.join(" and ") };
            Err(StoreError::InUse { what, by })
        }
        Err(error) => Err(error),
    }
}

/// A filter for rows of an account, optionally of one sub-account.
pub(crate) fn filter(account: AccountId, sub: Option<AccountId>) -> Filter {
    Filter::account(account).equal("sub_account", sub.as_ref())
}
