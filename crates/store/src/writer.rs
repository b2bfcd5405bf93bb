//! The one writer: a thread that commits what is queued in groups, in the order in which it was queued.
//!
//! Each job runs inside its own savepoint: a job that fails is undone alone, and the others of its group are kept. Callers are
//! answered after the group's COMMIT.
//!
//! A transaction that fails because the database is locked, the disk full or the like is undone as a whole and tried again,
//! in the same order, until it succeeds: nothing that is owed is dropped. Jobs that are not owed are refused when that has
//! lasted longer than [`PATIENCE`](crate::PATIENCE). One that fails for another reason is tried again in halves, so that
//! the job that spoils it fails alone.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot, watch};

use crate::condition::Watch;
use crate::config::StoreConfig;
use crate::counters::Counters;
use crate::error::{Result, StoreError, sql};
use crate::id::EventId;

/// How long one attempt waits for another process's lock.
pub(crate) const LOCK_WAIT: Duration = Duration::from_millis(100);
/// Pauses between attempts: doubled from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
const COMMITTING: &str = "committing";

/// What a job may use.
pub(crate) struct WriteContext<'a> {
    pub conn: &'a Connection,
    pub config: &'a StoreConfig,
    /// What it counts, once it is committed.
    pub tally: Tally,
    /// Set by a job that appended events: the last one's id.
    pub last_event: Option<EventId>,
    /// Set by a job after which a callback may have become due.
    pub outbox_touched: bool,
}

/// Counts of jobs that may have to be done again.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tally {
    pub callbacks_dropped: u64,
    pub deliveries_given_up: u64,
}

/// What became of a job inside its savepoint.
pub(crate) enum Ran {
    Kept,
    /// It is to be undone, alone.
    Refused,
    /// The database failed it: it is to be done again with all of its group.
    Interrupted(StoreError),
}

/// One atomic piece of writing. `run` happens inside a savepoint, as often as it takes; `finish` after the commit.
pub(crate) trait Job: Send {
    fn run(&mut self, context: &mut WriteContext<'_>) -> Ran;
    /// Whether it must be written, however long that takes.
    fn owed(&self) -> bool;
    fn finish(self: Box<Self>, committed: std::result::Result<(), &StoreError>);
}

/// A job made of a closure whose result goes to whoever waits.
pub(crate) struct Work<T, F> {
    pub what: &'static str,
    pub owed: bool,
    pub work: F,
    pub result: Option<Result<T>>,
    pub reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&mut WriteContext<'_>) -> Result<T> + Send> Job for Work<T, F> {
    fn run(&mut self, context: &mut WriteContext<'_>) -> Ran {
        let (what, work) = (self.what, &mut self.work);
        self.result = None;
        match catch_unwind(AssertUnwindSafe(|| work(context))).unwrap_or(Err(StoreError::Defect { what })) {
            Err(error) if error.is_passing() => Ran::Interrupted(error),
            result => {
                let ran = if result.is_ok() { Ran::Kept } else { Ran::Refused };
                self.result = Some(result);
                ran
            }
        }
    }

    fn owed(&self) -> bool {
        self.owed
    }

    fn finish(self: Box<Self>, committed: std::result::Result<(), &StoreError>) {
        let what = self.what;
        let result = match (self.result, committed) {
            (Some(Err(error)), _) => Err(error),
            (_, Err(StoreError::Unavailable { trouble, .. })) => {
                Err(StoreError::Unavailable { what, trouble: trouble.clone() })
            }
            (_, Err(error)) => Err(error.clone()),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Defect { what }),
        };
        // Whoever asked may have gone away; what was committed stays committed.
        let _ = self.reply.send(result);
    }
}

pub(crate) enum Order {
    Job(Box<dyn Job>),
    /// Commit what came before, mark the shutdown as clean, end.
    Shutdown(oneshot::Sender<Result<()>>),
}

pub(crate) struct Writer {
    pub conn: Connection,
    pub config: Arc<StoreConfig>,
    pub counters: Arc<Counters>,
    pub condition: Arc<Watch>,
    pub orders: mpsc::Receiver<Order>,
    pub events: watch::Sender<EventId>,
    pub outbox: watch::Sender<u64>,
    /// Locked for as long as the writer lives.
    pub lock: std::fs::File,
    pub boot: i64,
}

/// How the attempts are made.
struct Pace {
    /// Jobs in the next transaction.
    size: usize,
    pause: Duration,
}

/// What a transaction leaves to be told.
#[derive(Default)]
struct Outcome {
    kept: u64,
    tally: Tally,
    last_event: Option<EventId>,
    outbox_touched: bool,
}

impl Writer {
    /// Runs until shutdown or until the last store handle is gone.
    pub fn run(mut self) {
        let mut waiting = VecDeque::with_capacity(self.config.group);
        let mut pace = Pace { size: self.config.group.max(1), pause: FIRST_PAUSE };
        let mut shutdown = None;
        loop {
            if waiting.is_empty() && shutdown.is_none() {
                match self.orders.blocking_recv() {
                    Some(Order::Job(job)) => waiting.push_back(job),
                    Some(Order::Shutdown(reply)) => shutdown = Some(reply),
                    None => return,
                }
            }
            self.gather(&mut waiting, &mut shutdown);
            if waiting.is_empty() {
                if let Some(reply) = shutdown {
                    return self.shut_down(reply);
                }
                continue;
            }
            self.condition.in_hand(waiting.len());
            self.commit(&mut waiting, &mut pace);
            self.condition.in_hand(waiting.len());
        }
    }

    /// Takes more to what waits: as many as one transaction may have, or, while none succeeds, as many as may wait, so that
    /// those among them that are not owed can be refused.
    fn gather(&mut self, waiting: &mut VecDeque<Box<dyn Job>>, shutdown: &mut Option<oneshot::Sender<Result<()>>>) {
        let limit = if self.condition.is_failing() { self.config.write_queue } else { self.config.group };
        while shutdown.is_none() && waiting.len() < limit {
            match self.orders.try_recv() {
                Ok(Order::Job(job)) => waiting.push_back(job),
                Ok(Order::Shutdown(reply)) => *shutdown = Some(reply),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.condition.closing(),
            }
        }
    }

    fn commit(&mut self, waiting: &mut VecDeque<Box<dyn Job>>, pace: &mut Pace) {
        let size = pace.size.min(waiting.len());
        let outcome = self.transaction(waiting, size);
        match outcome {
            Ok(outcome) => {
                if let Some(failing) = self.condition.committed() {
                    tracing::warn!(
                        seconds = failing.as_secs(),
                        waiting = waiting.len(),
                        "the database takes writes again; what waited is being written"
                    );
                }
                *pace = Pace { size: pace.size.saturating_mul(2).min(self.config.group.max(1)), pause: FIRST_PAUSE };
                self.tell(size, &outcome);
                // Last, so that whoever is answered finds the watches changed.
                for job in waiting.drain(..size) {
                    job.finish(Ok(()));
                }
            }
            Err(StoreError::Unavailable { trouble, what }) => {
                self.counters.failed_groups.fetch_add(1, Ordering::Relaxed);
                if self.condition.failed(trouble.clone()) {
                    tracing::error!(waiting = waiting.len(), "the database takes no writes, they wait: {trouble}");
                }
                pace.size = (size / 2).max(1);
                let error = StoreError::Unavailable { what, trouble };
                self.refuse(waiting, &error);
                std::thread::sleep(pace.pause);
                pace.pause = (pace.pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) if size > 1 => {
                self.counters.failed_groups.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(%error, batches = size, "a group of writes failed; it is tried again in parts");
                pace.size = size / 2;
            }
            Err(error) => {
                self.counters.failed_groups.fetch_add(1, Ordering::Relaxed);
                self.counters.failed_batches.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "a write failed for good");
                if let Some(job) = waiting.pop_front() {
                    job.finish(Err(&error));
                }
            }
        }
    }

    fn tell(&self, size: usize, outcome: &Outcome) {
        let count = |counter: &std::sync::atomic::AtomicU64, by| counter.fetch_add(by, Ordering::Relaxed);
        count(&self.counters.groups, 1);
        count(&self.counters.batches, outcome.kept);
        count(&self.counters.failed_batches, (size as u64).saturating_sub(outcome.kept));
        count(&self.counters.callbacks_dropped, outcome.tally.callbacks_dropped);
        count(&self.counters.deliveries_given_up, outcome.tally.deliveries_given_up);
        self.counters.largest_group.fetch_max(size as u64, Ordering::Relaxed);
        if let Some(last) = outcome.last_event {
            self.events.send_replace(last);
        }
        if outcome.outbox_touched {
            self.outbox.send_modify(|changes| *changes = changes.wrapping_add(1));
        }
    }

    /// Answers those that need not wait any longer.
    fn refuse(&self, waiting: &mut VecDeque<Box<dyn Job>>, error: &StoreError) {
        let all = self.condition.given_up();
        if !all && self.condition.ready(COMMITTING).is_ok() {
            return;
        }
        let before = waiting.len();
        for job in std::mem::take(waiting) {
            if all || !job.owed() {
                job.finish(Err(error));
            } else {
                waiting.push_back(job);
            }
        }
        let refused = before.saturating_sub(waiting.len());
        self.counters.failed_batches.fetch_add(refused as u64, Ordering::Relaxed);
        if all {
            tracing::error!(writes = refused, %error, "what could not be written by the end of the stopping is lost");
        }
    }

    fn transaction(&self, waiting: &mut VecDeque<Box<dyn Job>>, size: usize) -> Result<Outcome> {
        let step = |text: &str| {
            self.conn.prepare_cached(text).and_then(|mut statement| statement.execute([])).map_err(sql(COMMITTING))
        };
        if !self.conn.is_autocommit() {
            // The last attempt could not even be undone.
            step("ROLLBACK")?;
        }
        step("BEGIN IMMEDIATE")?;
        let mut run = || -> Result<Outcome> {
            let mut outcome = Outcome::default();
            for job in waiting.range_mut(..size) {
                step("SAVEPOINT job")?;
                let mut context = WriteContext {
                    conn: &self.conn,
                    config: &self.config,
                    tally: Tally::default(),
                    last_event: None,
                    outbox_touched: false,
                };
                match job.run(&mut context) {
                    Ran::Kept => {
                        outcome.kept += 1;
                        outcome.tally.callbacks_dropped += context.tally.callbacks_dropped;
                        outcome.tally.deliveries_given_up += context.tally.deliveries_given_up;
                        outcome.last_event = context.last_event.or(outcome.last_event);
                        outcome.outbox_touched |= context.outbox_touched;
                    }
                    Ran::Refused => {
                        step("ROLLBACK TO job")?;
                    }
                    // It may have ended the whole transaction.
                    Ran::Interrupted(error) => return Err(error),
                }
                step("RELEASE job")?;
            }
            step("COMMIT").map(|_| outcome)
        };
        let outcome = run();
        if outcome.is_err() && !self.conn.is_autocommit() {
            step("ROLLBACK")?;
        }
        outcome
    }

    fn shut_down(self, reply: oneshot::Sender<Result<()>>) {
        let Writer { conn, lock, boot, orders, .. } = self;
        drop(orders);
        const MARKING: &str = "marking the shutdown as clean";
        let marked = conn
            .busy_timeout(Duration::from_secs(1))
            .and_then(|()| conn.execute("UPDATE boots SET clean = 1 WHERE id = ?", [boot]))
            .map(|_| ())
            .map_err(sql(MARKING));
        // Only tidies up: a checkpoint that a reader prevents is made at the next start.
        let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(conn);
        drop(lock);
        let _ = reply.send(marked);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Secret, Store, StoreConfig, StoreError, Trouble};

    fn passing() -> StoreError {
        StoreError::Unavailable { what: "failing on purpose", trouble: Trouble::Full }
    }

    #[tokio::test]
    async fn a_transaction_that_a_full_disk_fails_is_done_again_in_order_and_its_jobs_count_once() {
        let store = Store::open_temporary(StoreConfig::default()).expect("store");
        let mut left = 3;
        // Something that holds the writer up until all three are in one group.
        let (go, went) = std::sync::mpsc::channel::<()>();
        let mut went = Some(went);
        let gate = store.write_owed("waiting on purpose", move |_| {
            went.take().map_or(Ok(()), |went| went.recv().map_err(|_| StoreError::Closed))
        });
        let before = store.write_owed("first", |context| {
            context.tally.callbacks_dropped += 1;
            crate::setting::put(context.conn, "order", "first")
        });
        let failing = store.write_owed("failing on purpose", move |context| {
            crate::setting::put(context.conn, "order", "half")?;
            left -= 1;
            if left > 0 { Err(passing()) } else { crate::setting::put(context.conn, "order", "second") }
        });
        let after = store.write_owed("third", |context| {
            let seen: Option<String> =
                crate::column::scalar(context.conn, "third", "SELECT value FROM settings WHERE key = 'order'", [])?;
            seen.ok_or(StoreError::Closed)
        });
        go.send(()).expect("the writer waits");
        assert_eq!((gate.await, before.await, failing.await), (Ok(()), Ok(()), Ok(())));
        assert_eq!(after.await.as_deref(), Ok("second"), "what came later was done later");
        let stats = store.stats();
        assert_eq!((stats.callbacks_dropped, stats.batches, stats.failed_groups), (1, 4, 2), "{stats:?}");
        assert_eq!((store.ready(), store.condition().failing), (Ok(()), None));
    }

    #[tokio::test]
    async fn a_write_that_spoils_its_whole_transaction_fails_alone() {
        let store = Store::open_temporary(StoreConfig::default()).expect("store");
        let (go, went) = std::sync::mpsc::channel::<()>();
        let mut went = Some(went);
        let gate = store.write_owed("waiting on purpose", move |_| {
            went.take().map_or(Ok(()), |went| went.recv().map_err(|_| StoreError::Closed))
        });
        let put = |key: &'static str| store.write_owed("putting", move |c| crate::setting::put(c.conn, key, "kept"));
        let (first, second) = (put("a"), put("b"));
        // A violation that SQLite finds at the COMMIT only: it is nobody's savepoint's.
        let spoiling = store.write_owed("spoiling", |context| {
            crate::column::execute(context.conn, "spoiling", "PRAGMA defer_foreign_keys = ON", [])?;
            let text = "INSERT INTO sequences (account, name, next) VALUES ('nobody', 'member', 1)";
            crate::column::execute(context.conn, "spoiling", text, []).map(drop)
        });
        let (third, fourth) = (put("c"), put("d"));
        go.send(()).expect("the writer waits");
        for kept in [gate, first, second, third, fourth] {
            assert_eq!(kept.await, Ok(()));
        }
        assert!(matches!(spoiling.await, Err(StoreError::MissingReference { .. })));
        for key in ["a", "b", "c", "d"] {
            assert_eq!(store.setting(key).await, Ok(Some(Secret::new("kept"))), "{key}");
        }
    }

    #[tokio::test]
    async fn a_panic_in_one_write_ends_that_write_alone() {
        let store = Store::open_temporary(StoreConfig::default()).expect("store");
        let broken = store.write("failing on purpose", |context| -> crate::Result<()> {
            crate::setting::put(context.conn, "broken", "half")?;
            panic!("on purpose")
        });
        let whole = store.batch().put_setting("whole", Secret::new("kept")).commit();
        assert_eq!(broken.await, Err(StoreError::Defect { what: "failing on purpose" }));
        whole.await.expect("the writer goes on");
        assert_eq!(store.setting("broken").await, Ok(None));
        assert_eq!(store.setting("whole").await, Ok(Some(Secret::new("kept"))));
    }

    #[tokio::test]
    async fn a_panic_in_one_read_costs_no_connection() {
        let config = StoreConfig { readers: 1, ..StoreConfig::default() };
        let store = Store::open_temporary(config).expect("store");
        for _ in 0..3 {
            let broken: crate::Result<()> = store.read("failing on purpose", |_| panic!("on purpose")).await;
            assert_eq!(broken, Err(StoreError::Defect { what: "failing on purpose" }));
        }
        assert_eq!(store.setting("any").await, Ok(None));
    }
}
