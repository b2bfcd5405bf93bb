//! A small pool of read-only connections, used on blocking threads.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::counters::Counters;
use crate::error::{Result, StoreError, sql};

pub(crate) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    limit: usize,
    counters: Arc<Counters>,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Readers {
    pub fn open(path: &Path, count: usize, limit: usize, counters: Arc<Counters>) -> Result<Self> {
        let count = count.max(1);
        let mut idle = Vec::with_capacity(count);
        for _ in 0..count {
            let conn =
                Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
                    .map_err(sql("opening the database for reading"))?;
            conn.set_prepared_statement_cache_capacity(128);
            conn.pragma_update(None, "query_only", true).map_err(sql("opening the database for reading"))?;
            idle.push(conn);
        }
        Ok(Self {
            idle: Mutex::new(idle),
            permits: Arc::new(Semaphore::new(count)),
            waiting: AtomicUsize::new(0),
            limit,
            counters,
        })
    }

    /// Runs `work` on a connection, inside one read transaction: all its queries see the same state.
    pub async fn read<T, F>(self: &Arc<Self>, what: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counters.read_refused.fetch_add(1, Ordering::Relaxed);
            return Err(StoreError::Busy { queue: "read", capacity: self.limit });
        }
        let waiting = Waiting(&self.waiting);
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        drop(waiting);
        let readers = self.clone();
        tokio::task::spawn_blocking(move || {
            let Some(conn) = readers.take() else {
                return Err(StoreError::Defect { what });
            };
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let transaction = conn.unchecked_transaction().map_err(sql(what))?;
                let result = work(&transaction);
                transaction.finish().map_err(sql(what))?;
                result
            }))
            .unwrap_or(Err(StoreError::Defect { what }));
            readers.put(conn);
            drop(permit);
            readers.counters.reads.fetch_add(1, Ordering::Relaxed);
            result
        })
        .await
        .map_err(|_| StoreError::Closed)?
    }

    fn take(&self) -> Option<Connection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, conn: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
    }
}
