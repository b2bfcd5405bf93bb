//! Lists: filters, pages and totals.

use rusqlite::Connection;
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use crate::column::{Column, Record, scalar, select};
use crate::error::Result;
use crate::time::Timestamp;

/// Most rows in one page.
pub const PAGE_LIMIT: u32 = 1000;

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows wanted; at most [`PAGE_LIMIT`] are given.
    pub limit: u32,
    /// Rows to skip.
    pub offset: u32,
}

impl Page {
    /// The first `limit` rows.
    pub const fn first(limit: u32) -> Self {
        Self { limit, offset: 0 }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(20)
    }
}

/// A page of a list and how many rows the whole list has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listed<T> {
    /// The page's rows.
    pub items: Vec<T>,
    /// Rows that match the filter in all.
    pub total: u64,
}

/// Bounds of a time; all that are given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeRange {
    /// Later than.
    pub gt: Option<Timestamp>,
    /// Not earlier than.
    pub gte: Option<Timestamp>,
    /// Earlier than.
    pub lt: Option<Timestamp>,
    /// Not later than.
    pub lte: Option<Timestamp>,
}

/// A `where` clause in the making. Column names come from this crate, values are bound.
pub(crate) struct Filter {
    text: String,
    values: Vec<Value>,
}

impl Filter {
    pub fn account(account: crate::AccountId) -> Self {
        Self { text: "WHERE account = ?".to_owned(), values: vec![account.put()] }
    }

    pub fn equal<T: Column>(mut self, column: &str, value: Option<&T>) -> Self {
        if let Some(value) = value {
            self.text.push_str(&format!(" AND \"{column}\" = ?"));
            self.values.push(value.put());
        }
        self
    }

    /// Empty does not restrict.
    pub fn one_of(mut self, column: &str, values: &[String]) -> Self {
        if !values.is_empty() {
            self.text.push_str(&format!(" AND \"{column}\" IN ({})", vec!["?"; values.len()].join(", ")));
            self.values.extend(values.iter().map(Column::put));
        }
        self
    }

    pub fn within(mut self, column: &str, range: &TimeRange) -> Self {
        for (operator, bound) in [(">", range.gt), (">=", range.gte), ("<", range.lt), ("<=", range.lte)] {
            if let Some(bound) = bound {
                self.text.push_str(&format!(" AND \"{column}\" {operator} ?"));
                self.values.push(bound.put());
            }
        }
        self
    }

    pub fn and(mut self, condition: &str) -> Self {
        self.text.push_str(" AND ");
        self.text.push_str(condition);
        self
    }

    /// The page in `order`, with the total.
    pub fn list<T: Record>(self, conn: &Connection, table: &str, order: &str, page: Page) -> Result<Listed<T>> {
        let count = format!("SELECT count(*) FROM {table} {}", self.text);
        let total: i64 = scalar(conn, T::READING, &count, self.values.clone())?.unwrap_or(0);
        let rest = format!("{} ORDER BY {order} LIMIT ? OFFSET ?", self.text);
        let bounds = [page.limit.min(PAGE_LIMIT).put(), page.offset.put()];
        let items = select(conn, &rest, self.values.into_iter().chain(bounds))?;
        Ok(Listed { items, total: u64::try_from(total).unwrap_or(0) })
    }
}
