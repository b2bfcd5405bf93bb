//! Opening a database file: what it is, and bringing its schema up to date.

use std::path::Path;
use std::time::SystemTime;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::column::{Column, column};
use crate::error::{Result, StoreError, sql};
use crate::secret::sha256_hex;
use crate::time::Timestamp;

/// "ASID": tells `file(1)` and us whose database this is.
const APPLICATION_ID: i64 = 0x4153_4944;

const OPENING: &str = "opening the database";

#[derive(Clone, Copy)]
pub(crate) struct Migration {
    pub version: i64,
    pub name: &'static str,
    pub text: &'static str,
}

/// All migrations, oldest first. An entry never changes once released; new ones are appended.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "foundation", text: include_str!("../migrations/0001_foundation.sql") },
    Migration { version: 2, name: "destinations", text: include_str!("../migrations/0002_destinations.sql") },
    Migration { version: 3, name: "untold", text: include_str!("../migrations/0003_untold.sql") },
    Migration { version: 4, name: "jambonz", text: include_str!("../migrations/0004_jambonz.sql") },
    Migration { version: 5, name: "browsers", text: include_str!("../migrations/0005_browsers.sql") },
];

/// Checks that the file is ours, or empty, and marks it.
pub(crate) fn claim_file(conn: &Connection, path: &Path) -> Result<()> {
    let mark: i64 = conn.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(|error| match &error {
        rusqlite::Error::SqliteFailure(failure, _) if failure.code == rusqlite::ErrorCode::NotADatabase => {
            StoreError::NotOurs { path: path.to_owned() }
        }
        _ => sql(OPENING)(error),
    })?;
    if mark == APPLICATION_ID {
        return Ok(());
    }
    let objects: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql(OPENING))?;
    if mark != 0 || objects != 0 {
        return Err(StoreError::NotOurs { path: path.to_owned() });
    }
    conn.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql(OPENING))
}

/// Applies what is missing of `migrations`, each in its own transaction, after checking what was applied before.
pub(crate) fn migrate(conn: &mut Connection, migrations: &[Migration]) -> Result<()> {
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
            version INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL
        ) STRICT",
    )
    .map_err(sql(OPENING))?;
    let applied: Vec<(i64, String, String)> = conn
        .prepare("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
        .and_then(|mut statement| {
            statement.query_map([], |row| Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?)))?.collect()
        })
        .map_err(sql(OPENING))?;
    let known = migrations.last().map_or(0, |migration| migration.version);
    let found = applied.last().map_or(0, |(version, ..)| *version);
    if found > known {
        return Err(StoreError::SchemaTooNew { found, known });
    }
    for migration in migrations {
        let checksum = sha256_hex(migration.text.as_bytes());
        if let Some((version, name, before)) = applied.iter().find(|(version, ..)| *version == migration.version) {
            if *before != checksum {
                return Err(StoreError::MigrationChanged { version: *version, name: name.clone() });
            }
            continue;
        }
        let transaction = conn.transaction().map_err(sql(OPENING))?;
        transaction.execute_batch(migration.text).map_err(sql(OPENING))?;
        let row = [
            Value::Integer(migration.version),
            Value::Text(migration.name.to_owned()),
            Value::Text(checksum),
            Timestamp::from_system(SystemTime::now()).put(),
        ];
        transaction
            .execute("INSERT INTO schema_migrations (version, name, checksum, applied_at) VALUES (?, ?, ?, ?)", row)
            .map_err(sql(OPENING))?;
        transaction.commit().map_err(sql(OPENING))?;
        tracing::info!(version = migration.version, name = migration.name, "database schema brought up to date");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = Migration { version: 1, name: "first", text: "CREATE TABLE a (x INTEGER) STRICT" };
    const SECOND: Migration = Migration { version: 2, name: "second", text: "CREATE TABLE b (x INTEGER) STRICT" };
    const BROKEN: Migration = Migration {
        version: 2,
        name: "broken",
        text: "CREATE TABLE b (x INTEGER) STRICT; INSERT INTO nowhere VALUES (1)",
    };

    fn tables(conn: &Connection) -> Vec<String> {
        conn.prepare(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'schema_migrations' ORDER BY name",
        )
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .expect("schema is readable")
    }

    #[test]
    fn migrations_run_once_and_only_forward() {
        let mut conn = Connection::open_in_memory().expect("memory");
        migrate(&mut conn, &[FIRST]).expect("first");
        migrate(&mut conn, &[FIRST]).expect("again");
        migrate(&mut conn, &[FIRST, SECOND]).expect("second");
        assert_eq!(tables(&conn), ["a", "b"]);
        assert_eq!(migrate(&mut conn, &[FIRST]), Err(StoreError::SchemaTooNew { found: 2, known: 1 }));
    }

    #[test]
    fn an_upgrade_counts_what_is_owed_to_each_destination() {
        let mut conn = Connection::open_in_memory().expect("memory");
        let (first, all) = MIGRATIONS.split_at(1);
        migrate(&mut conn, first).expect("foundation");
        let (account, room) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        conn.execute_batch(&format!(
            "INSERT INTO accounts VALUES ('{account}', NULL, 'MA', 't', 'a', NULL, 1, 0);
             INSERT INTO outbox (account, event, lane, position, head, dialect, url, method, headers, body, state, attempts,
                                 due_at, created_at)
             SELECT '{account}', 1, '{account} room {room} ' || origin, n, 1, 'plivo', origin, 'POST', '[]', '{{}}', state, 0, 0, 0
             FROM (SELECT 1 AS n, 'http://a.test:80' AS origin, 'pending' AS state UNION SELECT 2, 'http://a.test:80', 'pending'
                   UNION SELECT 3, 'http://a.test:80', 'done' UNION SELECT 4, 'https://b.test:443', 'pending');"
        ))
        .expect("rows of the first version");
        migrate(&mut conn, &[first, all].concat()).expect("the upgrade");
        let counts: Vec<(String, i64)> = conn
            .prepare("SELECT origin, pending FROM outbox_destinations ORDER BY origin")
            .and_then(|mut statement| statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .expect("counts");
        assert_eq!(counts, [("http://a.test:80".to_owned(), 2), ("https://b.test:443".to_owned(), 1)]);
    }

    #[test]
    fn an_upgrade_gives_what_is_there_secrets_and_sids_of_its_own() {
        let mut conn = Connection::open_in_memory().expect("memory");
        let (before, _) = MIGRATIONS.split_at(3);
        migrate(&mut conn, before).expect("before");
        conn.execute_batch(
            "INSERT INTO accounts VALUES ('a', NULL, 'MA1', 't', 'n', NULL, 1, 0), ('b', NULL, 'MA2', 't', 'n', NULL, 1, 0);
             INSERT INTO endpoints VALUES ('a', '1', NULL, 'alice', 'x', NULL, 1, 0), ('a', '2', NULL, 'bob', 'x', NULL, 1, 0);
             INSERT INTO numbers VALUES ('a', '1415', NULL, NULL, NULL, NULL, 0), ('a', '1416', NULL, NULL, NULL, NULL, 0)",
        )
        .expect("rows");
        migrate(&mut conn, MIGRATIONS).expect("after");
        let texts = |text: &str| -> Vec<String> {
            let mut statement = conn.prepare(text).expect("a statement");
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).expect("texts")
        };
        let secrets = texts("SELECT DISTINCT webhook_secret FROM accounts");
        assert!(
            secrets.len() == 2 && secrets.iter().all(|s| s.starts_with("wh_secret_") && s.len() == 42),
            "{secrets:?}"
        );
        for table in ["endpoints", "numbers"] {
            let sids = texts(&format!("SELECT DISTINCT sid FROM {table}"));
            assert_eq!(sids.len(), 2, "{sids:?}");
            for sid in sids {
                let parsed = uuid::Uuid::parse_str(&sid).expect("a UUID");
                assert_eq!((parsed.get_version_num(), parsed.to_string()), (4, sid));
            }
        }
    }

    #[test]
    fn a_migration_with_other_contents_is_refused() {
        let mut conn = Connection::open_in_memory().expect("memory");
        migrate(&mut conn, &[FIRST]).expect("first");
        let changed = Migration { text: "CREATE TABLE a (y INTEGER) STRICT", ..FIRST };
        assert_eq!(
            migrate(&mut conn, &[changed]),
            Err(StoreError::MigrationChanged { version: 1, name: "first".to_owned() })
        );
    }

    #[test]
    fn a_failing_migration_leaves_nothing_behind() {
        let mut conn = Connection::open_in_memory().expect("memory");
        migrate(&mut conn, &[FIRST]).expect("first");
        assert!(migrate(&mut conn, &[FIRST, BROKEN]).is_err());
        assert_eq!(tables(&conn), ["a"]);
        migrate(&mut conn, &[FIRST, SECOND]).expect("the right one still applies");
    }
}
