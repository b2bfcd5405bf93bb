//! The one writer: a thread that commits what is queued in groups.
//!
//! Each job runs inside its own savepoint: a job that fails is undone alone, and the others of its group are kept. Callers are
//! answered after the group's COMMIT.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::StoreConfig;
use crate::counters::Counters;
use crate::error::{Result, StoreError, sql};
use crate::id::EventId;

/// What a job may use.
pub(crate) struct WriteContext<'a> {
    pub conn: &'a Connection,
    pub config: &'a StoreConfig,
    pub counters: &'a Counters,
    /// Set by a job that appended events: the last one's id.
    pub last_event: Option<EventId>,
    /// Set by a job after which a callback may have become due.
    pub outbox_touched: bool,
}

/// One atomic piece of writing. `run` happens inside a savepoint, `finish` after the group's commit.
pub(crate) trait Job: Send {
    fn run(&mut self, context: &mut WriteContext<'_>) -> bool;
    fn finish(self: Box<Self>, committed: std::result::Result<(), &StoreError>);
}

/// A job made of a closure whose result goes to whoever waits.
pub(crate) struct Work<T, F> {
    pub what: &'static str,
    pub work: Option<F>,
    pub result: Option<Result<T>>,
    pub reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&mut WriteContext<'_>) -> Result<T> + Send> Job for Work<T, F> {
    fn run(&mut self, context: &mut WriteContext<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let what = self.what;
        let result = catch_unwind(AssertUnwindSafe(|| work(context))).unwrap_or(Err(StoreError::Defect { what }));
        let kept = result.is_ok();
        self.result = Some(result);
        kept
    }

    fn finish(self: Box<Self>, committed: std::result::Result<(), &StoreError>) {
        let what = self.what;
        let result = match (self.result.unwrap_or(Err(StoreError::Defect { what })), committed) {
            (Ok(_), Err(error)) => Err(error.clone()),
            (result, _) => result,
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
    pub orders: mpsc::Receiver<Order>,
    pub events: watch::Sender<EventId>,
    pub outbox: watch::Sender<u64>,
    /// Locked for as long as the writer lives.
    pub lock: std::fs::File,
    pub boot: i64,
}

impl Writer {
    /// Runs until shutdown or until the last store handle is gone.
    pub fn run(mut self) {
        let mut group = Vec::with_capacity(self.config.group);
        while let Some(first) = self.orders.blocking_recv() {
            let mut shutdown = None;
            let mut next = Some(first);
            while let Some(order) = next {
                match order {
                    Order::Job(job) => group.push(job),
                    Order::Shutdown(reply) => {
                        shutdown = Some(reply);
                        break;
                    }
                }
                next = if group.len() < self.config.group { self.orders.try_recv().ok() } else { None };
            }
            if !group.is_empty() {
                self.commit(&mut group);
            }
            if let Some(reply) = shutdown {
                self.shut_down(reply);
                return;
            }
        }
    }

    fn commit(&mut self, group: &mut Vec<Box<dyn Job>>) {
        let mut last_event = None;
        let mut outbox_touched = false;
        let mut kept = 0u64;
        let outcome = self.transaction(group, &mut last_event, &mut outbox_touched, &mut kept);
        self.counters.groups.fetch_add(1, Ordering::Relaxed);
        self.counters.largest_group.fetch_max(group.len() as u64, Ordering::Relaxed);
        match &outcome {
            Ok(()) => {
                self.counters.batches.fetch_add(kept, Ordering::Relaxed);
                self.counters.failed_batches.fetch_add((group.len() as u64).saturating_sub(kept), Ordering::Relaxed);
            }
            Err(error) => {
                self.counters.failed_groups.fetch_add(1, Ordering::Relaxed);
                self.counters.failed_batches.fetch_add(group.len() as u64, Ordering::Relaxed);
                tracing::error!(%error, batches = group.len(), "a group of writes was lost");
            }
        }
        if outcome.is_ok() {
            if let Some(last) = last_event {
                self.events.send_replace(last);
            }
            if outbox_touched {
                self.outbox.send_modify(|changes| *changes = changes.wrapping_add(1));
            }
        }
        // Last, so that whoever is answered finds the watches changed.
        for job in group.drain(..) {
            job.finish(outcome.as_ref().copied());
        }
    }

    fn transaction(
        &self,
        group: &mut [Box<dyn Job>],
        last_event: &mut Option<EventId>,
        outbox_touched: &mut bool,
        kept: &mut u64,
    ) -> Result<()> {
        const COMMITTING: &str = "committing";
        let step = |text: &str| {
            self.conn.prepare_cached(text).and_then(|mut statement| statement.execute([])).map_err(sql(COMMITTING))
        };
        step("BEGIN IMMEDIATE")?;
        let mut run = || -> Result<()> {
            for job in group.iter_mut() {
                step("SAVEPOINT job")?;
                let mut context = WriteContext {
                    conn: &self.conn,
                    config: &self.config,
                    counters: &self.counters,
                    last_event: None,
                    outbox_touched: false,
                };
                if job.run(&mut context) {
                    *last_event = context.last_event.or(*last_event);
                    *outbox_touched |= context.outbox_touched;
                    *kept += 1;
                } else {
                    // A full disk or an I/O error may have ended the whole transaction: then this fails, and with it the group.
                    step("ROLLBACK TO job")?;
                }
                step("RELEASE job")?;
            }
            step("COMMIT").map(|_| ())
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
        let marked = conn
            .execute("UPDATE boots SET clean = 1 WHERE id = ?", [boot])
            .map(|_| ())
            .map_err(sql("marking the shutdown as clean"));
        // Only tidies up: a checkpoint that a reader prevents is made at the next start.
        let _ = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        drop(conn);
        drop(lock);
        let _ = reply.send(marked);
    }
}

#[cfg(test)]
mod tests {
    use crate::{Secret, Store, StoreConfig, StoreError};

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
