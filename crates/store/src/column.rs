//! How values and rows go into SQLite and come back.

use rusqlite::types::{FromSqlError, FromSqlResult, Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{Result, sql, with_values};
use crate::id::{AccountId, CallId, DeliveryId, EventId, LedgerId, RoomId, TrunkId};
use crate::secret::Secret;
use crate::time::Timestamp;

/// A value of one column.
pub(crate) trait Column: Sized {
    fn put(&self) -> Value;
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self>;
}

/// A struct that is one row of one table.
pub(crate) trait Record: Sized {
    /// For messages: "storing a call".
    const STORING: &'static str;
    /// For messages: "reading a call".
    const READING: &'static str;
    /// In the order of [`Record::values`].
    const COLUMNS: &'static [&'static str];
    fn values(&self) -> Vec<Value>;
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self>;
    fn upsert_sql() -> &'static str;
    fn select_sql() -> &'static str;
}

/// Reads the column at `index`.
pub(crate) fn column<T: Column>(row: &Row<'_>, index: usize) -> rusqlite::Result<T> {
    let value = row.get_ref(index)?;
    T::take(value).map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, value.data_type(), Box::new(error)))
}

/// Reads the next column and moves on.
pub(crate) fn next<T: Column>(row: &Row<'_>, index: &mut usize) -> rusqlite::Result<T> {
    let value = column(row, *index)?;
    *index += 1;
    Ok(value)
}

/// Inserts the row or replaces the columns of the one with the same key.
pub(crate) fn upsert<T: Record>(conn: &Connection, record: &T) -> Result<()> {
    let values = record.values();
    conn.prepare_cached(T::upsert_sql())
        .and_then(|mut statement| statement.execute(params_from_iter(&values)))
        .map(|_| ())
        .map_err(|error| with_values(sql(T::STORING)(error), T::COLUMNS.iter().copied(), &values))
}

/// The rows that `rest` (the text after the select list and table) chooses.
pub(crate) fn select<T: Record>(
    conn: &Connection,
    rest: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<T>> {
    let text = format!("{} {rest}", T::select_sql());
    conn.prepare_cached(&text)
        .and_then(|mut statement| {
            statement.query_map(params_from_iter(values), |row| T::from_row(row))?.collect::<rusqlite::Result<Vec<T>>>()
        })
        .map_err(sql(T::READING))
}

/// The one row that `rest` chooses, if there is one.
pub(crate) fn select_one<T: Record>(
    conn: &Connection,
    rest: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<T>> {
    let text = format!("{} {rest}", T::select_sql());
    conn.prepare_cached(&text)
        .and_then(|mut statement| statement.query_row(params_from_iter(values), |row| T::from_row(row)).optional())
        .map_err(sql(T::READING))
}

/// One value of one row, if there is one.
pub(crate) fn scalar<T: Column>(
    conn: &Connection,
    what: &'static str,
    text: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<T>> {
    conn.prepare_cached(text)
        .and_then(|mut statement| statement.query_row(params_from_iter(values), |row| column(row, 0)).optional())
        .map_err(sql(what))
}

/// Runs one statement; the number of rows it changed.
pub(crate) fn execute(
    conn: &Connection,
    what: &'static str,
    text: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<usize> {
    conn.prepare_cached(text).and_then(|mut statement| statement.execute(params_from_iter(values))).map_err(sql(what))
}

/// `insert … on conflict (key) do update` over the named columns.
pub(crate) fn upsert_text(table: &str, columns: &[&str], key: &[&str]) -> String {
    let list = |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let marks = vec!["?"; columns.len()].join(", ");
    let sets = columns
        .iter()
        .filter(|name| !key.contains(name))
        .map(|name| format!("\"{name}\" = excluded.\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    format!("INSERT INTO {table} ({}) VALUES ({marks}) ON CONFLICT ({}) DO UPDATE SET {sets}", list(columns), list(key))
}

/// `select columns from table`.
pub(crate) fn select_text(table: &str, columns: &[&str]) -> String {
    let list = columns.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!("SELECT {list} FROM {table}")
}

/// Declares a public struct whose fields are the columns of a table.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident in $table:literal as $noun:literal, key ($($key:ident),+) {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $type, )+ }

        impl $crate::column::Record for $name {
            const STORING: &'static str = concat!("storing ", $noun);
            const READING: &'static str = concat!("reading ", $noun);
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];
            fn values(&self) -> Vec<rusqlite::types::Value> {
                vec![$( $crate::column::Column::put(&self.$field) ),+]
            }
            fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                let mut index = 0;
                Ok(Self { $( $field: $crate::column::next(row, &mut index)? ),+ })
            }
            fn upsert_sql() -> &'static str {
                static TEXT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
                    $crate::column::upsert_text($table, &[$(stringify!($field)),+], &[$(stringify!($key)),+])
                });
                &TEXT
            }
            fn select_sql() -> &'static str {
                static TEXT: std::sync::LazyLock<String> =
                    std::sync::LazyLock::new(|| $crate::column::select_text($table, &[$(stringify!($field)),+]));
                &TEXT
            }
        }
    };
}
pub(crate) use record;

/// Declares a public enum that is stored and serialised as text.
macro_rules! text_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident = $text:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $( $(#[$variant_meta])* #[serde(rename = $text)] $variant, )+ }

        impl $name {
            /// As stored and serialised.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )+ }
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl std::str::FromStr for $name {
            type Err = $crate::StoreError;
            fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
                match text {
                    $( $text => Ok(Self::$variant), )+
                    other => Err($crate::StoreError::Invalid {
                        what: stringify!($name),
                        why: format!("{other:?} is none of {}", [$($text),+].join(", ")),
                    }),
                }
            }
        }
        impl $crate::column::Column for $name {
            fn put(&self) -> rusqlite::types::Value {
                rusqlite::types::Value::Text(self.as_str().to_owned())
            }
            fn take(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                value.as_str()?.parse().map_err(|error: $crate::StoreError| {
                    rusqlite::types::FromSqlError::Other(Box::new(error))
                })
            }
        }
    };
}
pub(crate) use text_enum;

impl<T: Column> Column for Option<T> {
    fn put(&self) -> Value {
        self.as_ref().map_or(Value::Null, Column::put)
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(None),
            other => T::take(other).map(Some),
        }
    }
}

impl Column for String {
    fn put(&self) -> Value {
        Value::Text(self.clone())
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Column for Secret {
    fn put(&self) -> Value {
        Value::Text(self.reveal().to_owned())
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Secret::new)
    }
}

impl Column for bool {
    fn put(&self) -> Value {
        Value::Integer(i64::from(*self))
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|number| number != 0)
    }
}

impl Column for i64 {
    fn put(&self) -> Value {
        Value::Integer(*self)
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64()
    }
}

macro_rules! small_integer_column {
    ($($type:ty),+) => { $(
        impl Column for $type {
            fn put(&self) -> Value {
                Value::Integer(i64::from(*self))
            }
            fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let number = value.as_i64()?;
                <$type>::try_from(number).map_err(|_| FromSqlError::OutOfRange(number))
            }
        }
    )+ };
}
small_integer_column!(u8, u16, u32, i32);

impl Column for Timestamp {
    fn put(&self) -> Value {
        Value::Integer(self.micros())
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Timestamp::from_micros)
    }
}

impl Column for Uuid {
    fn put(&self) -> Value {
        Value::Text(self.to_string())
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Uuid::parse_str(value.as_str()?).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

macro_rules! wrapped_column {
    ($inner:ty: $($type:ident),+) => { $(
        impl Column for $type {
            fn put(&self) -> Value {
                self.0.put()
            }
            fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <$inner as Column>::take(value).map($type)
            }
        }
    )+ };
}
wrapped_column!(Uuid: AccountId, CallId, RoomId, TrunkId);
wrapped_column!(i64: EventId, DeliveryId, LedgerId);

/// Writes `value` as JSON text. Only for types whose serialisation cannot fail (maps with text keys, lists, scalars).
pub(crate) fn put_json<T: serde::Serialize>(value: &T) -> Value {
    Value::Text(serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned()))
}

/// Reads JSON text.
pub(crate) fn take_json<T: DeserializeOwned>(value: ValueRef<'_>) -> FromSqlResult<T> {
    serde_json::from_str(value.as_str()?).map_err(|error| FromSqlError::Other(Box::new(error)))
}

/// Declares types that are stored as JSON text.
macro_rules! json_column {
    ($($type:ty),+ $(,)?) => { $(
        impl $crate::column::Column for $type {
            fn put(&self) -> rusqlite::types::Value {
                $crate::column::put_json(self)
            }
            fn take(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                $crate::column::take_json(value)
            }
        }
    )+ };
}
pub(crate) use json_column;

json_column!(serde_json::Value, Vec<String>, Vec<(String, String)>);
