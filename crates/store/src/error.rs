//! What can go wrong, in words a user can act on.

use std::path::PathBuf;

use crate::id::AccountId;

/// Short form for this crate.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Every way in which the store refuses or fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The bounded queue to the writer or to the readers is full; nothing was done.
    #[error("the store's {queue} queue is full ({capacity} waiting); nothing was written, try again shortly")]
    Busy {
        /// `write` or `read`.
        queue: &'static str,
        /// How many may wait.
        capacity: usize,
    },
    /// The store was shut down, or its writer ended.
    #[error("the store is closed; restart the server")]
    Closed,
    /// No such row in this account.
    #[error("{what}: no such row in this account; check the id")]
    NotFound {
        /// What was attempted, for example "deleting a number".
        what: &'static str,
    },
    /// Something that must be unique is taken.
    #[error("{what}: the {detail} is already in use; choose another")]
    Conflict {
        /// What was attempted.
        what: &'static str,
        /// What clashes: the columns, with what was to be written where that is known.
        detail: String,
    },
    /// The row names an account, application, room, trunk or endpoint that is not there.
    #[error("{what}: it refers to something that does not exist in this account; create that first")]
    MissingReference {
        /// What was attempted.
        what: &'static str,
    },
    /// The row cannot be deleted while others refer to it.
    #[error("{what}: {by} still refers to it; detach or delete that first")]
    InUse {
        /// What was attempted.
        what: &'static str,
        /// What refers to it, in words.
        by: String,
    },
    /// A value that the store does not take.
    #[error("{what}: {why}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// What is wrong with it and what would be right.
        why: String,
    },
    /// As many callbacks as may be wait for this destination, or for all of the account's.
    #[error("too many callbacks wait for {destination} already; see that it answers, then try again")]
    OutboxFull {
        /// Whose.
        account: AccountId,
        /// Scheme, host and port.
        destination: String,
    },
    /// The batch has more operations than one batch may have.
    #[error("a batch of {size} operations is larger than {limit}; split it")]
    BatchTooLarge {
        /// Operations in it.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// A read found more rows than it may return.
    #[error("{what}: more than {limit} rows; ask for a shorter span")]
    TooManyRows {
        /// Which read.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The database was written by a newer version.
    #[error(
        "the database has schema version {found}, this program knows {known}; run the newer program, or restore a backup made before the upgrade"
    )]
    SchemaTooNew {
        /// In the file.
        found: i64,
        /// Newest that this program knows.
        known: i64,
    },
    /// A migration that was already applied is not the one this program carries.
    #[error(
        "schema version {version} ({name}) was applied with other contents than this program carries; run the program that created the database"
    )]
    MigrationChanged {
        /// Which.
        version: i64,
        /// Its name in the database.
        name: String,
    },
    /// The file is an SQLite database of something else.
    #[error("{path} is a database, but not one of Aside; give another path", path = path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Another process has the database open.
    #[error("{path} is in use by another process; stop it, or use its API", path = path.display())]
    AlreadyOpen {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be opened, locked or created.
    #[error("{path}: {detail}; check that the directory exists and is writable", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// A stored value could not be read back.
    #[error("{what}: a stored value cannot be read ({detail}); restore the database from a backup")]
    Corrupt {
        /// Which read.
        what: &'static str,
        /// Column and reason.
        detail: String,
    },
    /// The database takes no writes at present, or cannot be read. Nothing was written.
    #[error("{what}: {trouble}")]
    Unavailable {
        /// What was attempted.
        what: &'static str,
        /// Why not.
        trouble: Trouble,
    },
    /// SQLite failed in a way that no later attempt will mend. Nothing of the batch was kept.
    #[error("{what}: the database failed ({detail}); check the disk, and restore a backup if the database is damaged")]
    Database {
        /// What was attempted.
        what: &'static str,
        /// SQLite's words.
        detail: String,
    },
    /// A defect of the store: the operation panicked and was rolled back.
    #[error("{what}: the operation failed by a defect and was rolled back; please report it")]
    Defect {
        /// What was attempted.
        what: &'static str,
    },
}

/// Why the database takes no writes: each of these can pass, so what is owed waits for that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// Another process has the database locked.
    #[error("another program holds the database locked; end it (a backup, an sqlite3 shell), then try again")]
    Locked,
    /// No space.
    #[error("the disk of the database is full; make space in the data directory, then try again")]
    Full,
    /// The disk refuses, in SQLite's words.
    #[error(
        "the database cannot be written ({0}); check the disk, the limit on file sizes and the data directory's permissions, then try again"
    )]
    Disk(String),
    /// The disk does not answer.
    #[error("the disk of the database does not answer; check it, then try again")]
    Silent,
}

impl StoreError {
    /// Whether a later attempt may succeed without anything else being changed: the database is locked, the disk full.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

const UNIQUE: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
const PRIMARY_KEY: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
const FOREIGN_KEY: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY;

/// Turns SQLite's error into ours; `what` says what was attempted.
pub(crate) fn sql(what: &'static str) -> impl Fn(rusqlite::Error) -> StoreError {
    move |error| match &error {
        rusqlite::Error::SqliteFailure(failure, message) => {
            let words = message.clone().unwrap_or_else(|| failure.to_string());
            match failure.extended_code {
                UNIQUE | PRIMARY_KEY => {
                    StoreError::Conflict { what, detail: columns(&words).collect::<Vec<_>>().join(" and ") }
                }
                FOREIGN_KEY => StoreError::MissingReference { what },
                _ => match trouble(failure.code, &words) {
                    Some(trouble) => StoreError::Unavailable { what, trouble },
                    None => StoreError::Database { what, detail: words },
                },
            }
        }
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..) => StoreError::Corrupt { what, detail: error.to_string() },
        _ => StoreError::Database { what, detail: error.to_string() },
    }
}

/// The columns that SQLite's words name, without their tables. The account is not what clashes where there is another.
fn columns(words: &str) -> impl Iterator<Item = &str> {
    let list = words.trim_start_matches("UNIQUE constraint failed: ");
    let alone = !list.contains(',');
    let names = list.split(", ").map(|name| name.rsplit_once('.').map_or(name, |(_, column)| column));
    names.filter(move |name| alone || *name != "account")
}

/// Names the values of a row that clash with another's; `columns` and `values` are the row's.
pub(crate) fn with_values<'a>(
    error: StoreError,
    columns: impl Iterator<Item = &'a str>,
    values: &[rusqlite::types::Value],
) -> StoreError {
    let StoreError::Conflict { what, detail } = error else { return error };
    let row: Vec<_> = columns.zip(values).collect();
    let named = |name: &str| match row.iter().find(|(column, _)| *column == name) {
        Some((_, rusqlite::types::Value::Text(value))) => format!("{name} {value:?}"),
        Some((_, rusqlite::types::Value::Integer(value))) => format!("{name} {value}"),
        _ => name.to_owned(),
    };
    StoreError::Conflict { what, detail: detail.split(" and ").map(named).collect::<Vec<_>>().join(" and ") }
}

fn trouble(code: rusqlite::ErrorCode, words: &str) -> Option<Trouble> {
    use rusqlite::ErrorCode as Code;
    match code {
        Code::DatabaseBusy | Code::DatabaseLocked => Some(Trouble::Locked),
        Code::DiskFull => Some(Trouble::Full),
        Code::SystemIoFailure
        | Code::CannotOpen
        | Code::ReadOnly
        | Code::PermissionDenied
        | Code::OutOfMemory
        | Code::FileLockingProtocolFailed
        | Code::OperationInterrupted
        | Code::OperationAborted => Some(Trouble::Disk(words.to_owned())),
        _ => None,
    }
}
