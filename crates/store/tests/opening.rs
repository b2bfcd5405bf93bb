//! Opening a file: only ours, only of a known schema, only once at a time.

mod support;

use store::{Store, StoreConfig, StoreError};
use support::{Directory, account, open};

fn refusal(path: &std::path::Path) -> StoreError {
    Store::open(path, StoreConfig::default()).expect_err("opening is refused")
}

#[tokio::test]
async fn opening_again_changes_no_schema_and_keeps_the_rows() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    let schema = || -> Vec<(Option<String>, i64)> {
        let conn = rusqlite::Connection::open(&path).expect("a second connection");
        let text =
            "SELECT sql, rootpage FROM sqlite_schema UNION ALL SELECT checksum, applied_at FROM schema_migrations";
        let mut statement = conn.prepare(text).expect("schema");
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("schema");
        rows.collect::<Result<_, _>>().expect("schema")
    };
    let store = Store::open(&path, StoreConfig::default()).expect("open");
    let owner = account(&store, "a").await;
    let before = schema();
    for _ in 0..2 {
        store.shutdown().await.ok();
        let store = Store::open(&path, StoreConfig::default()).expect("reopen");
        assert!(store.account(owner).await.expect("read").is_some());
        store.shutdown().await.expect("shutdown");
    }
    assert_eq!(schema(), before);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_both_versions_named() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    Store::open(&path, StoreConfig::default()).expect("open").shutdown().await.expect("shutdown");
    let conn = rusqlite::Connection::open(&path).expect("a second connection");
    conn.execute("INSERT INTO schema_migrations VALUES (999, 'future', 'x', 0)", []).expect("the future arrives");
    drop(conn);
    let error = refusal(&path);
    assert!(matches!(error, StoreError::SchemaTooNew { found: 999, known } if known < 999), "{error:?}");
    let words = error.to_string();
    assert!(words.contains("999") && words.contains("newer program"), "{words}");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let directory = Directory::new();
    let path = directory.file("aside.db");
    Store::open(&path, StoreConfig::default()).expect("open").shutdown().await.expect("shutdown");
    let conn = rusqlite::Connection::open(&path).expect("a second connection");
    conn.execute("UPDATE schema_migrations SET checksum = 'other' WHERE version = 1", []).expect("tampered");
    drop(conn);
    assert_eq!(refusal(&path), StoreError::MigrationChanged { version: 1, name: "foundation".to_owned() });
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let directory = Directory::new();
    let path = directory.file("other.db");
    let conn = rusqlite::Connection::open(&path).expect("another program's database");
    conn.execute_batch("CREATE TABLE theirs (x)").expect("its table");
    drop(conn);
    assert_eq!(refusal(&path), StoreError::NotOurs { path: path.clone() });
    let text = directory.file("notes.txt");
    std::fs::write(&text, "not a database, but long enough to look for a header in it, surely").expect("a text file");
    assert_eq!(refusal(&text), StoreError::NotOurs { path: text.clone() });
    assert!(matches!(refusal(&directory.file("no/such/directory.db")), StoreError::Io { .. }));
}

#[test]
fn a_second_opening_is_refused() {
    let store = open();
    assert_eq!(refusal(store.path()), StoreError::AlreadyOpen { path: store.path().to_owned() });
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let store = open();
    account(&store, "a").await;
    let directory = store.path().parent().expect("a directory");
    let mut seen = 0;
    for file in std::fs::read_dir(directory).expect("listed") {
        let file = file.expect("listed");
        let mode = file.metadata().expect("read").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", file.file_name());
        seen += 1;
    }
    assert!(seen >= 3, "database, log and lock");
}
