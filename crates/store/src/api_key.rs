//! Keys of the native API: stored hashed, scoped, limited.

use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::{FromSqlError, FromSqlResult, Value, ValueRef};
use serde::{Deserialize, Serialize};

use crate::account::delete;
use crate::column::{Column, execute, record, select, select_one, text_enum, upsert};
use crate::error::{Result, StoreError};
use crate::id::{self, AccountId};
use crate::secret::{Secret, equal, hex, sha256_hex};
use crate::store::Store;
use crate::time::Timestamp;

text_enum! {
    /// What a key may do.
    pub enum Scope {
        /// See rooms, calls and records.
        Read = "read",
        /// Listen to rooms.
        Monitor = "monitor",
        /// Whisper, barge, take over.
        Coach = "coach",
        /// Everything, including accounts and keys.
        Admin = "admin",
    }
}

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(pub BTreeSet<Scope>);

impl Scopes {
    /// Whether `scope` is in the set. No scope implies another.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

impl Column for Scopes {
    fn put(&self) -> Value {
        Value::Text(self.0.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(","))
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value
            .as_str()?
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_err(|error: StoreError| FromSqlError::Other(Box::new(error))))
            .collect()
    }
}

record! {
    /// A key of the native API. The key itself, `aside_<id>_<64 hex digits>`, is shown once and not stored.
    pub struct ApiKey in "api_keys" as "an API key", key (account, id) {
        /// Whose.
        pub account: AccountId,
        /// Its visible part, unique.
        pub id: String,
        /// SHA-256 of the secret part, hexadecimal. The secret has 256 random bits, so a plain hash is enough.
        #[serde(skip)]
        pub hash: String,
        /// For people.
        pub name: String,
        /// What it may do.
        pub scopes: Scopes,
        /// Only rooms whose name matches this pattern (`*` any text, `?` one character).
        pub room_pattern: Option<String>,
        /// Only members with this tag.
        pub tag: Option<String>,
        /// Only this team's people.
        pub team: Option<String>,
        /// When it was made.
        pub created_at: Timestamp,
        /// From when on it is refused.
        pub expires_at: Option<Timestamp>,
        /// When it was last used, to the minute.
        pub last_used_at: Option<Timestamp>,
    }
}

const TOUCH_EVERY: Duration = Duration::from_secs(60);

impl ApiKey {
    /// A new key and the text to show once. It has no limits yet: set the fields before storing it.
    pub fn generate(
        account: AccountId,
        name: impl Into<String>,
        scopes: Scopes,
        created_at: Timestamp,
    ) -> (Self, Secret) {
        let mut random = [0u8; 32];
        rand::fill(&mut random);
        let (id, secret) = (id::api_key_id(), hex(&random));
        let shown = Secret::new(format!("aside_{id}_{secret}"));
        let key = Self {
            account,
            hash: sha256_hex(secret.as_bytes()),
            id,
            name: name.into(),
            scopes,
            room_pattern: None,
            tag: None,
            team: None,
            created_at,
            expires_at: None,
            last_used_at: None,
        };
        (key, shown)
    }

    /// What may be shown of the key in lists.
    pub fn prefix(&self) -> String {
        format!("aside_{}", self.id)
    }

    /// Whether the key may see a room of this name.
    pub fn permits_room(&self, name: &str) -> bool {
        self.room_pattern.as_deref().is_none_or(|pattern| glob(pattern, name))
    }

    /// Whether the key is for the room of this name in which members carry these tags. A key for a team sees nothing: rooms
    /// have no teams.
    pub fn sees<'a>(&self, room: &str, mut tags: impl Iterator<Item = &'a str>) -> bool {
        self.team.is_none()
            && self.permits_room(room)
            && self.tag.as_deref().is_none_or(|wanted| tags.any(|tag| tag == wanted))
    }

    /// Whether its use should be noted with `touch_api_key` (at most once a minute).
    pub fn needs_touch(&self, now: Timestamp) -> bool {
        self.last_used_at.is_none_or(|last| now.since(last) >= TOUCH_EVERY)
    }
}

/// Whether `text` matches `pattern` in full: `*` is any text, `?` any one character. Linear in practice, quadratic at worst.
pub fn glob(pattern: &str, text: &str) -> bool {
    let (mut pattern_rest, mut text_rest) = (pattern.chars(), text.chars());
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match (pattern_rest.next(), text_rest.clone().next()) {
            (Some('*'), _) => retry = Some((pattern_rest.clone(), text_rest.clone())),
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                text_rest.next();
            }
            (None, None) => return true,
            _ => {
                // The last star takes one character more.
                let Some((after_star, mut from)) = retry.take() else {
                    return false;
                };
                if from.next().is_none() {
                    return false;
                }
                pattern_rest = after_star.clone();
                text_rest = from.clone();
                retry = Some((after_star, from));
            }
        }
    }
}

pub(crate) fn put(conn: &Connection, key: &ApiKey) -> Result<()> {
    if key.hash.len() != 64 || key.id.is_empty() {
        return Err(StoreError::Invalid {
            what: "API key",
            why: "it has no hash; make it with ApiKey::generate, and change a stored one as read from the store"
                .to_owned(),
        });
    }
    upsert(conn, key)
}

pub(crate) fn remove(conn: &Connection, account: AccountId, id: &str) -> Result<()> {
    let values = [account.put(), Value::Text(id.to_owned())];
    delete(conn, "deleting an API key", "DELETE FROM api_keys WHERE account = ? AND id = ?", values)
}

pub(crate) fn touch(conn: &Connection, account: AccountId, id: &str, now: Timestamp) -> Result<()> {
    let text = "UPDATE api_keys SET last_used_at = max(coalesce(last_used_at, 0), ?) WHERE account = ? AND id = ?";
    // A key deleted meanwhile has nothing to note.
    execute(conn, "noting the use of an API key", text, [now.put(), account.put(), Value::Text(id.to_owned())])
        .map(|_| ())
}

impl Store {
    /// The key that `shown` is, if it exists, has not expired and its account is enabled. This is how a request finds its
    /// account, so it takes none.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn authenticate_api_key(&self, shown: &str, now: Timestamp) -> Result<Option<ApiKey>> {
        let Some((id, secret)) = shown.strip_prefix("aside_").and_then(|rest| rest.split_once('_')) else {
            return Ok(None);
        };
        let (id, hash) = (id.to_owned(), sha256_hex(secret.as_bytes()));
        self.read("reading an API key", move |conn| {
            let rest = "WHERE id = ? AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = account AND enabled = 1)";
            let found: Option<ApiKey> = select_one(conn, rest, [id.put()])?;
            let right = equal(found.as_ref().map_or("", |key| key.hash.as_str()).as_bytes(), hash.as_bytes());
            Ok(found.filter(|key| right && key.expires_at.is_none_or(|expiry| now < expiry)))
        })
        .await
    }

    /// A key of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn api_key(&self, account: AccountId, id: &str) -> Result<Option<ApiKey>> {
        let values = [account.put(), Value::Text(id.to_owned())];
        self.read("reading an API key", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// The key of this id, of the account or one of its sub-accounts, if it has not expired and its account is enabled.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn good_api_key(&self, main: AccountId, id: &str, now: Timestamp) -> Result<Option<ApiKey>> {
        let values = [Value::Text(id.to_owned()), main.put(), main.put()];
        self.read("reading an API key", move |conn| {
            let rest = "WHERE id = ? AND EXISTS (SELECT 1 FROM accounts WHERE accounts.id = account AND enabled = 1 \
                        AND (accounts.id = ? OR accounts.parent = ?))";
            let found: Option<ApiKey> = select_one(conn, rest, values)?;
            Ok(found.filter(|key| key.expires_at.is_none_or(|expiry| now < expiry)))
        })
        .await
    }

    /// The account's keys, oldest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn api_keys(&self, account: AccountId) -> Result<Vec<ApiKey>> {
        self.read("reading API keys", move |conn| {
            select(conn, "WHERE account = ? ORDER BY created_at, id", [account.put()])
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_room_pattern_matches_whole_names() {
        for (pattern, text) in [
            ("*", ""),
            ("", ""),
            ("sales-*", "sales-1"),
            ("*-vip", "a-b-vip"),
            ("a?c", "abc"),
            ("*ab*ab", "xababab"),
            ("ü*", "über"),
        ] {
            assert!(glob(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in
            [("", "a"), ("sales-*", "presales-1"), ("a?c", "ac"), ("abc", "abcd"), ("*b", "abc"), ("a*b*c", "acb")]
        {
            assert!(!glob(pattern, text), "{pattern} should not match {text}");
        }
    }
}
