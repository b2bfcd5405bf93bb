//! What is recorded of a call, and told to its programs.

use tokio::time::Instant;

use super::{Control, Session};
use crate::dialect::{CallView, Kind};
use crate::engine::Inner;
use crate::journal::{self, Journal};
use crate::records::Happened;

/// The records of one call.
#[derive(Default)]
pub(super) struct Diary {
    /// How many things with a number of their own have happened.
    sequence: u64,
    journal: Journal,
}

impl Diary {
    /// Records something about the call and tells its programs; waits for that until then.
    pub(super) async fn record(
        &mut self,
        inner: &Inner,
        (control, view): (&Control, &CallView),
        kind: Kind,
        until: Instant,
    ) {
        self.sequence += u64::from(kind.is_counted());
        let (sequence, call) = (self.sequence, Some(view.clone()));
        let happened = Happened { kind, sequence, room: None, member: None, call, dialects: vec![control.dialect] };
        let records = inner.records.record(&view.account, inner.clock.utc(), &happened).await;
        let records: Vec<_> = records.into_iter().collect();
        // Nobody is told, and it says nothing new of the call.
        if records.is_empty() && !happened.kind.is_counted() {
            return;
        }
        let app = control.app_id.as_deref();
        match inner.records.of_call(&view.account, control.dialect, app, view, records).await {
            Ok(batch) => {
                self.journal.write(inner, &view.uuid, batch, until).await;
            }
            Err(error) => tracing::error!(call = view.uuid, %error, "what happened to a call cannot be recorded"),
        }
    }

    /// Records that the call exists.
    async fn begin(&mut self, inner: &Inner, (control, view): (&Control, &CallView)) {
        let app = control.app_id.as_deref();
        match inner.records.of_call(&view.account, control.dialect, app, view, Vec::new()).await {
            Ok(row) => {
                self.journal.write(inner, &view.uuid, row, journal::moment(inner)).await;
            }
            Err(error) => tracing::error!(call = view.uuid, %error, "a call cannot be recorded"),
        }
    }
}

impl Session {
    /// Records something about the call and tells its programs.
    pub(super) async fn happened(&mut self, kind: Kind) {
        self.happened_until(kind, journal::moment(&self.inner)).await;
    }

    pub(super) async fn happened_until(&mut self, kind: Kind, until: Instant) {
        self.diary.record(&self.inner, (&self.control, &self.view), kind, until).await;
    }

    /// Records that the call exists.
    pub(super) async fn store_row(&mut self) {
        self.diary.begin(&self.inner, (&self.control, &self.view)).await;
    }

    pub(super) async fn warn(&mut self, text: String) {
        if self.diary.journal.is_behind() {
            return self.inner.counters.records_dropped.add(1);
        }
        self.happened(Kind::Warning(text)).await;
    }
}
