//! Invitations: each lets one person into one room, once.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::column::{Column, execute, record, scalar, select_one, upsert};
use crate::error::{Result, StoreError};
use crate::id::{AccountId, RoomId};
use crate::secret::{Secret, token, token_hash};
use crate::store::{Pending, Store};
use crate::time::Timestamp;

record! {
    /// An invitation. Its token is shown once and not stored.
    pub struct Invitation in "invitations" as "an invitation", key (hash) {
        /// SHA-256 of the token, hexadecimal. The token has 256 random bits, so a plain hash is enough.
        #[serde(skip)]
        pub hash: String,
        /// Whose.
        pub account: AccountId,
        /// Into which room life.
        pub room: RoomId,
        /// As what: `agent`, `customer` or `supervisor`.
        pub role: String,
        /// What the invited is called.
        pub label: Option<String>,
        /// The key that made it.
        pub made_by: String,
        /// When it was made.
        pub created_at: Timestamp,
        /// From when on it is refused.
        pub expires_at: Timestamp,
    }
}

/// Invitations of one account that may be open at once.
pub const INVITATIONS: i64 = 1_000;

impl Invitation {
    /// A new invitation, and the token to show once.
    pub fn generate(
        account: AccountId,
        room: RoomId,
        role: impl Into<String>,
        made_by: impl Into<String>,
        created_at: Timestamp,
        expires_at: Timestamp,
    ) -> (Self, Secret) {
        let (shown, hash) = token();
        let (role, made_by) = (role.into(), made_by.into());
        (Self { hash, account, room, role, label: None, made_by, created_at, expires_at }, shown)
    }
}

const STORING: &str = "storing an invitation";
const REDEEMING: &str = "redeeming an invitation";

pub(crate) fn put(conn: &Connection, invitation: &Invitation) -> Result<()> {
    if invitation.hash.len() != 64 {
        let why = "it has no hash; make it with Invitation::generate".to_owned();
        return Err(StoreError::Invalid { what: "invitation", why });
    }
    let over = [invitation.account.put(), invitation.created_at.put()];
    execute(conn, STORING, "DELETE FROM invitations WHERE account = ? AND expires_at <= ?", over)?;
    let open: Option<i64> =
        scalar(conn, STORING, "SELECT count(*) FROM invitations WHERE account = ?", [invitation.account.put()])?;
    if open.unwrap_or(0) >= INVITATIONS {
        let why = format!("the account has {INVITATIONS} that nobody has taken; wait until the oldest have expired");
        return Err(StoreError::Invalid { what: "invitation", why });
    }
    upsert(conn, invitation)
}

fn take(conn: &Connection, hash: &str, now: Timestamp) -> Result<Option<Invitation>> {
    let found: Option<Invitation> = select_one(conn, "WHERE hash = ?", [Value::Text(hash.to_owned())])?;
    execute(conn, REDEEMING, "DELETE FROM invitations WHERE hash = ?", [Value::Text(hash.to_owned())])?;
    let Some(found) = found.filter(|found| now < found.expires_at) else { return Ok(None) };
    let enabled: Option<bool> =
        scalar(conn, REDEEMING, "SELECT enabled FROM accounts WHERE id = ?", [found.account.put()])?;
    Ok(enabled.unwrap_or(false).then_some(found))
}

impl Store {
    /// Takes the invitation that this token is: whoever comes second, or too late, gets none. This is how a request finds its
    /// account, so it takes none.
    ///
    /// # Errors
    /// Through the future: `Busy`, `Unavailable`, `Database`.
    pub fn redeem_invitation(&self, token: &str, now: Timestamp) -> Pending<Option<Invitation>> {
        let hash = token_hash(token);
        self.write(REDEEMING, move |context| take(context.conn, &hash, now))
    }
}
