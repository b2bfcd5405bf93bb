//! What has happened in a room or to a call is recorded, in its order, however long the database takes no writes.
//!
//! Whoever writes here waits for the commit for a moment at most. After that it goes on in the background: the store keeps
//! its place, and what finds no place in the store's queue waits here. Nobody waits for that queue: from [`BEHIND`] of one
//! room or call on, what may be refused is refused and what may come without end is left out, so that little more comes than
//! that members leave and that it is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use store::{Batch, Committed, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::engine::Inner;

/// Batches of one journal that wait for a place in the store's queue before it is far behind.
const BEHIND: usize = 1024;
/// How long a call waits for what it records, so that whoever is asked next finds it. It is never held up for longer.
const MOMENT: Duration = Duration::from_millis(100);

/// How long a program waits at most for the record of what it asked for, before it is answered as pending.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);
/// How long the database has at least, of an answer that something else took its time for.
const LEAST_FOR_COMMIT: Duration = Duration::from_millis(20);

/// Until when that is, of what was done at this instant.
pub(crate) fn answer_by(done: Instant) -> Instant {
    (done + ANSWER).max(Instant::now() + LEAST_FOR_COMMIT)
}

/// Until when a call waits for what happens to it: a moment, and not at all while commits fail.
pub(crate) fn moment(inner: &Inner) -> Instant {
    let moment = if inner.store.condition().failing.is_some() { Duration::ZERO } else { MOMENT };
    Instant::now() + moment
}

/// How many batches of a journal wait for a place in the store's queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog(Arc<AtomicUsize>);

impl Backlog {
    /// Whether it is far behind.
    pub fn is_long(&self) -> bool {
        self.0.load(Ordering::Acquire) >= BEHIND
    }
}

type Entry = (Batch, Told);
type Told = oneshot::Sender<Result<Committed, StoreError>>;
type Outcome = Pin<Box<dyn Future<Output = Result<Committed, StoreError>> + Send>>;

/// The writing of one room or call.
#[derive(Default)]
pub(crate) struct Journal {
    /// The way to the store's queue since it was full.
    line: Option<(mpsc::UnboundedSender<Entry>, JoinHandle<()>)>,
    /// How many are on that way.
    behind: Backlog,
}

impl Journal {
    pub fn new(behind: Backlog) -> Self {
        Self { line: None, behind }
    }

    /// Whether it is far behind.
    pub fn is_behind(&self) -> bool {
        self.behind.is_long()
    }

    /// Writes after all that was written before; `false` if it was not committed by `until`, or cannot be, and will be
    /// later. What fails for good is logged.
    pub async fn write(&mut self, inner: &Inner, subject: &str, batch: Batch, until: Instant) -> bool {
        let until = if self.is_behind() { Instant::now() } else { until };
        let mut outcome = self.queue(inner, batch);
        let subject = subject.to_owned();
        match tokio::time::timeout_at(until, &mut outcome).await {
            Ok(result) => {
                told(&subject, result);
                true
            }
            Err(_) => {
                tokio::spawn(async move { told(&subject, outcome.await) });
                false
            }
        }
    }

    /// Returns when all that was written is in the store's queue, before anything that is written from then on.
    pub async fn queued(&mut self) {
        if let Some((line, following)) = self.line.take() {
            drop(line);
            // It does not panic, and nobody aborts it.
            let _ = following.await;
        }
    }

    /// Puts it behind all that was written before, without waiting.
    fn queue(&mut self, inner: &Inner, batch: Batch) -> Outcome {
        let batch = match self.behind.0.load(Ordering::Acquire) {
            0 => match batch.owe() {
                Ok(pending) => return Box::pin(pending),
                Err(batch) => batch,
            },
            _ => batch,
        };
        let behind = &self.behind;
        let (line, _) = self.line.get_or_insert_with(|| {
            let (line, entries) = mpsc::unbounded_channel();
            (line, inner.tasks.spawn(follow(entries, behind.clone())))
        });
        behind.0.fetch_add(1, Ordering::AcqRel);
        let (tell, told) = oneshot::channel();
        if line.send((batch, tell)).is_err() {
            behind.0.fetch_sub(1, Ordering::AcqRel);
        }
        Box::pin(async move { told.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

/// Puts one after the other into the store's queue.
async fn follow(mut entries: mpsc::UnboundedReceiver<Entry>, behind: Backlog) {
    while let Some((batch, tell)) = entries.recv().await {
        let pending = batch.owe_in_turn().await;
        behind.0.fetch_sub(1, Ordering::AcqRel);
        tokio::spawn(async move { tell.send(pending.await).ok() });
    }
}

fn told(subject: &str, result: Result<Committed, StoreError>) {
    if let Err(error) = result {
        // It is in force all the same; the log says what is missing.
        tracing::error!(subject, %error, "what happened could not be recorded; its callbacks are lost");
    }
}
