//! Endpoints (SIP users): who they are and how they prove it.

use rusqlite::Connection;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::account::{check_sub, delete, filter};
use crate::column::{Column, column, execute, record, select_one, upsert};
use crate::error::{Result, StoreError, sql};
use crate::id::{self, AccountId};
use crate::page::{Listed, Page};
use crate::secret::{Secret, ha1_md5, ha1_sha256};
use crate::store::Store;
use crate::time::Timestamp;

/// The realms that all accounts share; a username is unique in each of them.
pub const SHARED_REALMS: [&str; 2] = ["phone.plivo.com", "app.plivo.com"];

record! {
    /// An endpoint. Its password is not stored; see [`Credential`].
    pub struct Endpoint in "endpoints" as "an endpoint", key (account, endpoint_id) {
        /// Whose.
        pub account: AccountId,
        /// 14 digits, unique over all accounts.
        pub endpoint_id: String,
        /// The sub-account it is for.
        pub sub_account: Option<AccountId>,
        /// The user part of its SIP address, unique in the account and in each realm it may register in.
        pub username: String,
        /// For people.
        pub alias: String,
        /// The application for its calls; else the account's default.
        pub app_id: Option<String>,
        /// Whether it may register and call.
        pub enabled: bool,
        /// When it was made.
        pub created_at: Timestamp,
        /// Its UUID: jambonz's `client_sid`, unique.
        pub sid: Uuid,
        /// Whether it may call applications and rooms by `app-…` and `conference-…`.
        pub calls_apps: bool,
        /// Whether it may call queues by `queue-…`.
        pub calls_queues: bool,
        /// Whether it may call other endpoints by their names.
        pub calls_users: bool,
    }
}

impl Endpoint {
    /// A new endpoint with a fresh id and exactly this username (for Plivo's habit see [`id::endpoint_username`]).
    pub fn new(account: AccountId, username: impl Into<String>, created_at: Timestamp) -> Self {
        let username = username.into();
        Self {
            account,
            endpoint_id: id::endpoint_id(),
            sub_account: None,
            alias: username.clone(),
            username,
            app_id: None,
            enabled: true,
            created_at,
            sid: id::uuid(),
            calls_apps: true,
            calls_queues: true,
            calls_users: true,
        }
    }

    /// Checks the user part of a SIP address.
    ///
    /// # Errors
    /// `Invalid`.
    pub fn check_username(username: &str) -> Result<()> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'~');
        if !(1..=64).contains(&username.len()) || !username.bytes().all(allowed) {
            let why = format!("{username:?}: write 1 to 64 of letters, digits, - _ . + ~");
            return Err(StoreError::Invalid { what: "username", why });
        }
        Ok(())
    }
}

/// What proves an endpoint's password in one realm (RFC 7616 HA1). Whoever has it can register there: as secret as a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// In lower case.
    pub realm: String,
    /// `MD5(username:realm:password)`, hexadecimal.
    pub ha1_md5: Secret,
    /// `SHA-256(username:realm:password)`, hexadecimal.
    pub ha1_sha256: Secret,
}

impl Credential {
    /// [`Credential::derive`] of a password that somebody chose.
    ///
    /// # Errors
    /// `Invalid`: it has not 6 to 128 printable characters.
    pub fn of_password<'a>(
        username: &str,
        password: &str,
        realms: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Self>> {
        if password.len() < 6 || password.len() > 128 || password.chars().any(char::is_control) {
            return Err(StoreError::Invalid {
                what: "password",
                why: "write 6 to 128 printable characters".to_owned(),
            });
        }
        Ok(Self::derive(username, password, realms))
    }

    /// The credentials of `username` with `password` in each of `realms`.
    pub fn derive<'a>(username: &str, password: &str, realms: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        realms
            .into_iter()
            .map(|realm| {
                let realm = realm.to_ascii_lowercase();
                Self {
                    ha1_md5: Secret::new(ha1_md5(username, &realm, password)),
                    ha1_sha256: Secret::new(ha1_sha256(username, &realm, password)),
                    realm,
                }
            })
            .collect()
    }
}

const STORING: &str = "storing an endpoint";

/// Stores the endpoint; `credentials` replace all it had, `None` keeps them.
pub(crate) fn put(conn: &Connection, endpoint: &Endpoint, credentials: Option<&[Credential]>) -> Result<()> {
    if endpoint.username.is_empty() || endpoint.username.len() > 128 {
        return Err(StoreError::Invalid { what: "username", why: "it must have 1 to 128 characters".to_owned() });
    }
    check_sub(conn, STORING, endpoint.account, endpoint.sub_account)?;
    let key = [endpoint.account.put(), endpoint.endpoint_id.put()];
    let before: Option<Endpoint> = select_one(conn, "WHERE account = ? AND endpoint_id = ?", key.clone())?;
    if credentials.is_none() && before.is_some_and(|before| before.username != endpoint.username) {
        return Err(StoreError::Invalid {
            what: "username",
            why: "it is part of the stored credentials; give the password again to change it".to_owned(),
        });
    }
    upsert(conn, endpoint)?;
    let Some(credentials) = credentials else {
        return Ok(());
    };
    execute(conn, STORING, "DELETE FROM endpoint_credentials WHERE account = ? AND endpoint_id = ?", key.clone())?;
    for credential in credentials {
        let [account, endpoint_id] = key.clone();
        let row = [
            credential.realm.to_ascii_lowercase().put(),
            endpoint.username.put(),
            account,
            endpoint_id,
            credential.ha1_md5.put(),
            credential.ha1_sha256.put(),
        ];
        execute(
            conn,
            STORING,
            "INSERT INTO endpoint_credentials (realm, username, account, endpoint_id, ha1_md5, ha1_sha256) VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )?;
    }
    Ok(())
}

pub(crate) fn remove(conn: &Connection, account: AccountId, endpoint_id: &str) -> Result<()> {
    let values = [account.put(), Value::Text(endpoint_id.to_owned())];
    delete(conn, "deleting an endpoint", "DELETE FROM endpoints WHERE account = ? AND endpoint_id = ?", values)
}

impl Store {
    /// An endpoint of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn endpoint(&self, account: AccountId, endpoint_id: &str) -> Result<Option<Endpoint>> {
        let values = [account.put(), Value::Text(endpoint_id.to_owned())];
        self.read("reading an endpoint", move |conn| select_one(conn, "WHERE account = ? AND endpoint_id = ?", values))
            .await
    }

    /// An endpoint of the account by its UUID (jambonz's `client_sid`).
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn endpoint_by_sid(&self, account: AccountId, sid: Uuid) -> Result<Option<Endpoint>> {
        let values = [account.put(), sid.put()];
        self.read("reading an endpoint", move |conn| select_one(conn, "WHERE account = ? AND sid = ?", values)).await
    }

    /// An endpoint of the account by its username.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn endpoint_by_username(&self, account: AccountId, username: &str) -> Result<Option<Endpoint>> {
        let values = [account.put(), Value::Text(username.to_owned())];
        self.read("reading an endpoint", move |conn| select_one(conn, "WHERE account = ? AND username = ?", values))
            .await
    }

    /// The account's endpoints, newest first; of one sub-account, if given.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn endpoints(&self, account: AccountId, sub: Option<AccountId>, page: Page) -> Result<Listed<Endpoint>> {
        self.read("reading endpoints", move |conn| {
            filter(account, sub).list(conn, "endpoints", "created_at DESC, endpoint_id", page)
        })
        .await
    }

    /// The enabled endpoint (of an enabled account) that may register as `username` in `realm`, and its credential there.
    /// This is how a SIP request finds its account, so it takes none.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn resolve_endpoint(&self, realm: &str, username: &str) -> Result<Option<(Endpoint, Credential)>> {
        const READING: &str = "reading an endpoint's credential";
        let (realm, username) = (realm.to_ascii_lowercase(), username.to_owned());
        self.read(READING, move |conn| {
            let found = {
                let mut statement = conn
                    .prepare_cached(
                        "SELECT account, endpoint_id, ha1_md5, ha1_sha256 FROM endpoint_credentials WHERE realm = ? AND username = ?",
                    )
                    .map_err(sql(READING))?;
                let mut rows = statement
                    .query_map([realm.put(), username.put()], |row| {
                        Ok((column::<AccountId>(row, 0)?, column::<String>(row, 1)?, column(row, 2)?, column(row, 3)?))
                    })
                    .map_err(sql(READING))?;
                rows.next().transpose().map_err(sql(READING))?
            };
            let Some((account, endpoint_id, ha1_md5, ha1_sha256)) = found else { return Ok(None) };
            let rest = "WHERE account = ? AND endpoint_id = ? AND enabled = 1
                        AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = account AND accounts.enabled = 1)";
            let endpoint: Option<Endpoint> = select_one(conn, rest, [account.put(), endpoint_id.put()])?;
            Ok(endpoint.map(|endpoint| (endpoint, Credential { realm, ha1_md5, ha1_sha256 })))
        })
        .await
    }
}
