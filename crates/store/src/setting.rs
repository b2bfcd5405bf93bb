//! Settings of the server as a whole: certificates, the nonce secret, the instance's id.

use rusqlite::Connection;

use crate::column::{Column, execute, scalar};
use crate::error::Result;
use crate::secret::Secret;
use crate::store::{Pending, Store};

const STORING: &str = "storing a setting";
const READING: &str = "reading a setting";

pub(crate) fn put(conn: &Connection, key: &str, value: &str) -> Result<()> {
    let text = "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    execute(conn, STORING, text, [key.to_owned().put(), value.to_owned().put()]).map(|_| ())
}

pub(crate) fn remove(conn: &Connection, key: &str) -> Result<()> {
    execute(conn, "deleting a setting", "DELETE FROM settings WHERE key = ?", [key.to_owned().put()]).map(|_| ())
}

impl Store {
    /// A setting. Settings are the server's, not an account's.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn setting(&self, key: &str) -> Result<Option<Secret>> {
        let key = key.to_owned();
        self.read(READING, move |conn| scalar(conn, READING, "SELECT value FROM settings WHERE key = ?", [key.put()]))
            .await
    }

    /// The setting, after storing `value` if there was none: for secrets and ids that are made once.
    pub fn setting_or_insert(&self, key: &str, value: Secret) -> Pending<Secret> {
        let key = key.to_owned();
        self.write(STORING, move |context| {
            let text = "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING";
            execute(context.conn, STORING, text, [key.put(), value.put()])?;
            let stored = scalar(context.conn, READING, "SELECT value FROM settings WHERE key = ?", [key.put()])?;
            Ok(stored.unwrap_or_else(|| value.clone()))
        })
    }
}
