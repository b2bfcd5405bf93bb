//! The store handle: opening, writing, reading, closing.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use rusqlite::Connection;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::batch::Batch;
use crate::column::{Column, column, scalar};
use crate::condition::{Condition, Watch};
use crate::config::StoreConfig;
use crate::counters::{Counters, StoreStats};
use crate::error::{Result, StoreError, sql};
use crate::id::EventId;
use crate::readers::Readers;
use crate::schema;
use crate::writer::{LOCK_WAIT, Order, Work, WriteContext, Writer};

const OPENING: &str = "opening the database";

/// Access to the database. Clones share one writer and one pool of readers.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    orders: mpsc::Sender<Order>,
    readers: Arc<Readers>,
    config: Arc<StoreConfig>,
    counters: Arc<Counters>,
    condition: Arc<Watch>,
    events: watch::Receiver<EventId>,
    outbox: watch::Receiver<u64>,
    boot_id: Uuid,
    previous: Option<PreviousBoot>,
    path: PathBuf,
    // Declared last: the files go after everything that uses them.
    _temporary: Option<TemporaryDirectory>,
}

/// The run of the server before this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviousBoot {
    /// Its id.
    pub boot_id: Uuid,
    /// Whether it ended by [`Store::shutdown`]. If not, what it left live was interrupted.
    pub clean_shutdown: bool,
}

/// A write on its way. It was queued when this was made, and will be done or refused even if nobody awaits it;
/// awaiting yields the result after the commit.
#[must_use = "await it to learn whether it was committed"]
pub struct Pending<T> {
    state: PendingState<T>,
}

enum PendingState<T> {
    Refused(Option<StoreError>),
    Waiting(oneshot::Receiver<Result<T>>),
}

impl<T> Pending<T> {
    pub(crate) fn refused(error: StoreError) -> Self {
        Self { state: PendingState::Refused(Some(error)) }
    }

    /// Puts `work` into its place.
    pub(crate) fn queued<F>(place: mpsc::Permit<'_, Order>, what: &'static str, owed: bool, work: F) -> Self
    where
        T: Send + 'static,
        F: FnMut(&mut WriteContext<'_>) -> Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        place.send(Order::Job(Box::new(Work { what, owed, work, result: None, reply })));
        Self { state: PendingState::Waiting(answer) }
    }
}

impl<T> Future for Pending<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().state {
            PendingState::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(StoreError::Closed))),
            PendingState::Waiting(reply) => {
                Pin::new(reply).poll(context).map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
            }
        }
    }
}

// The error is taken out by value; nothing is pinned inside.
impl<T> Unpin for Pending<T> {}

impl Store {
    /// Opens or creates the database at `path`, brings its schema up to date and starts the writer.
    ///
    /// Marks every call, room and member that is still live as interrupted, and makes every pending callback due
    /// at once with a fresh time limit. Blocks for as long as that takes (milliseconds, unless the schema is upgraded).
    ///
    /// # Errors
    /// `AlreadyOpen`, `SchemaTooNew`, `MigrationChanged`, `NotOurs`, `Io`, `Database`.
    pub fn open(path: impl AsRef<Path>, config: StoreConfig) -> Result<Self> {
        Self::open_in(path.as_ref(), config, None)
    }

    /// Opens a new database in a directory of its own, which is removed when the last handle goes.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_temporary(config: StoreConfig) -> Result<Self> {
        let directory = TemporaryDirectory::create()?;
        let path = directory.0.join("aside.db");
        Self::open_in(&path, config, Some(directory))
    }

    fn open_in(path: &Path, config: StoreConfig, temporary: Option<TemporaryDirectory>) -> Result<Self> {
        let lock = lock(path)?;
        open_private(path).map_err(|error| StoreError::Io { path: path.to_owned(), detail: error.to_string() })?;
        let mut conn = Connection::open(path)
            .map_err(|error| StoreError::Io { path: path.to_owned(), detail: error.to_string() })?;
        conn.set_prepared_statement_cache_capacity(256);
        schema::claim_file(&conn, path)?;
        let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql(OPENING))?;
        if mode != "wal" {
            let detail = format!("the file system allows no write-ahead log (got {mode}); use a local disk");
            return Err(StoreError::Io { path: path.to_owned(), detail });
        }
        conn.pragma_update(None, "synchronous", config.synchronous.pragma()).map_err(sql(OPENING))?;
        conn.pragma_update(None, "foreign_keys", true).map_err(sql(OPENING))?;
        conn.query_row("PRAGMA journal_size_limit = 67108864", [], |_| Ok(())).map_err(sql(OPENING))?;
        schema::migrate(&mut conn, schema::MIGRATIONS)?;
        let (boot, boot_id, previous) = begin_boot(&mut conn)?;
        let last_event = scalar(&conn, OPENING, "SELECT coalesce(max(id), 0) FROM events", [])?.unwrap_or_default();

        let config = Arc::new(config);
        // From here on the writer itself tries again.
        conn.busy_timeout(LOCK_WAIT).map_err(sql(OPENING))?;
        let counters = Arc::new(Counters::default());
        let condition = Arc::new(Watch::default());
        let readers = Arc::new(Readers::open(path, config.readers, config.read_queue, counters.clone())?);
        let (orders, received) = mpsc::channel(config.write_queue.max(1));
        let (events_sender, events) = watch::channel(last_event);
        let (outbox_sender, outbox) = watch::channel(0);
        let writer = Writer {
            conn,
            config: config.clone(),
            counters: counters.clone(),
            condition: condition.clone(),
            orders: received,
            events: events_sender,
            outbox: outbox_sender,
            lock,
            boot,
        };
        std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run()).map_err(|error| {
            StoreError::Io { path: path.to_owned(), detail: format!("starting the writer: {error}") }
        })?;
        let path = path.to_owned();
        let inner = Inner {
            orders,
            readers,
            config,
            counters,
            condition,
            events,
            outbox,
            boot_id,
            previous,
            path,
            _temporary: temporary,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An empty batch: operations that are committed together or not at all.
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone())
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// This run of the server.
    pub fn boot_id(&self) -> Uuid {
        self.inner.boot_id
    }

    /// The run before this one; none in a new database.
    pub fn previous_boot(&self) -> Option<PreviousBoot> {
        self.inner.previous
    }

    /// Changes whenever events were committed; holds the last one's id.
    pub fn watch_events(&self) -> watch::Receiver<EventId> {
        self.inner.events.clone()
    }

    /// Changes whenever a callback may have become due earlier than the last claim said.
    pub fn watch_outbox(&self) -> watch::Receiver<u64> {
        self.inner.outbox.clone()
    }

    /// Counts since opening.
    pub fn stats(&self) -> StoreStats {
        self.inner.counters.read()
    }

    /// How the writing goes.
    pub fn condition(&self) -> Condition {
        let queued = self.inner.orders.max_capacity().saturating_sub(self.inner.orders.capacity());
        self.inner.condition.read(queued)
    }

    /// Whether something new may begin that will have to be recorded: commits have not been failing for longer than
    /// [`crate::PATIENCE`].
    ///
    /// # Errors
    /// `Unavailable`, with the reason and what to do.
    pub fn ready(&self) -> Result<()> {
        self.inner.condition.ready("nothing new can be recorded")
    }

    /// The configuration it was opened with.
    pub fn config(&self) -> &StoreConfig {
        &self.inner.config
    }

    /// Commits what is queued, marks the shutdown as clean and closes the database; later writes are refused with `Closed`.
    /// While the database takes no writes this goes on trying for a few seconds; what is not written then is lost, and logged.
    ///
    /// # Errors
    /// `Closed` if it was closed before, `Database` if the mark could not be written.
    pub async fn shutdown(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.inner.condition.closing();
        self.inner.orders.send(Order::Shutdown(reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Queues `work` for the writer, at once. It is refused when the database takes no writes for longer than
    /// [`crate::PATIENCE`], and may be done more than once until one is committed.
    pub(crate) fn write<T, F>(&self, what: &'static str, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut WriteContext<'_>) -> Result<T> + Send + 'static,
    {
        match self.inner.condition.ready(what) {
            Ok(()) => self.queue(what, false, work),
            Err(error) => {
                self.inner.counters.write_refused.fetch_add(1, Ordering::Relaxed);
                Pending::refused(error)
            }
        }
    }

    /// [`Store::write`] of what must be written, however long that takes. Refused with `Busy` all the same if the queue is full.
    pub(crate) fn write_owed<T, F>(&self, what: &'static str, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut WriteContext<'_>) -> Result<T> + Send + 'static,
    {
        self.queue(what, true, work)
    }

    /// A place in the queue to the writer, as soon as there is one.
    pub(crate) async fn place(&self) -> Result<mpsc::Permit<'_, Order>> {
        self.inner.orders.reserve().await.map_err(|_| StoreError::Closed)
    }

    /// A place in the queue to the writer, if there is one now.
    pub(crate) fn place_now(&self) -> Result<mpsc::Permit<'_, Order>> {
        self.inner.orders.try_reserve().map_err(|error| match error {
            TrySendError::Full(()) => StoreError::Busy { queue: "write", capacity: self.inner.orders.max_capacity() },
            TrySendError::Closed(()) => StoreError::Closed,
        })
    }

    fn queue<T, F>(&self, what: &'static str, owed: bool, work: F) -> Pending<T>
    where
        T: Send + 'static,
        F: FnMut(&mut WriteContext<'_>) -> Result<T> + Send + 'static,
    {
        match self.place_now() {
            Ok(place) => Pending::queued(place, what, owed, work),
            Err(error) => {
                self.inner.counters.write_refused.fetch_add(1, Ordering::Relaxed);
                Pending::refused(error)
            }
        }
    }

    /// Runs `work` on a read-only connection.
    pub(crate) async fn read<T, F>(&self, what: &'static str, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        self.inner.readers.read(what, work).await
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// Takes the lock file beside the database; the kernel releases it when the process dies, however it dies.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let io = |error: std::io::Error| StoreError::Io { path: lock_path.clone(), detail: error.to_string() };
    let file = open_private(&lock_path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::AlreadyOpen { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// Opens or creates a file that, if created, only its owner can read: the database holds tokens and passwords. SQLite gives
/// its log the same permissions.
fn open_private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Records this run, and sets aside what the run before left live.
fn begin_boot(conn: &mut Connection) -> Result<(i64, Uuid, Option<PreviousBoot>)> {
    let transaction = conn.transaction().map_err(sql(OPENING))?;
    let mut previous = None;
    {
        let mut statement =
            transaction.prepare("SELECT uuid, clean FROM boots ORDER BY id DESC LIMIT 1").map_err(sql(OPENING))?;
        let mut rows = statement
            .query_map([], |row| Ok(PreviousBoot { boot_id: column(row, 0)?, clean_shutdown: column(row, 1)? }))
            .map_err(sql(OPENING))?;
        if let Some(row) = rows.next() {
            previous = Some(row.map_err(sql(OPENING))?);
        }
    }
    let boot_id = Uuid::new_v4();
    transaction.execute("INSERT INTO boots (uuid) VALUES (?)", [boot_id.put()]).map_err(sql(OPENING))?;
    let boot = transaction.last_insert_rowid();
    transaction
        .execute_batch(
            "UPDATE calls SET interrupted = 1 WHERE state = 'live';
             UPDATE rooms SET interrupted = 1 WHERE status <> 'ended';
             UPDATE members SET interrupted = 1 WHERE exit_time IS NULL;
             UPDATE outbox SET due_at = 0, queued_at = NULL, first_attempt_at = NULL, give_up_at = NULL WHERE state = 'pending';",
        )
        .map_err(sql(OPENING))?;
    transaction.commit().map_err(sql(OPENING))?;
    Ok((boot, boot_id, previous))
}

struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn create() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("aside-store-{}", Uuid::new_v4()));
        std::fs::create_dir_all(&path)
            .map_err(|error| StoreError::Io { path: path.clone(), detail: error.to_string() })?;
        Ok(Self(path))
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
