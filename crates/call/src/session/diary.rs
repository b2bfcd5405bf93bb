//! What is recorded of a call, and told to its programs.

use std::time::Duration;

use tokio::time::Instant;

use super::rate::PerSecond;
use super::{Control, Session};
use crate::dialect::{CallView, Kind};
use crate::engine::Inner;
use crate::journal::{self, Journal};
use crate::records::Happened;

/// Faults of one call that are told per second: a program can make them without end.
const MOST_FAULTS: u32 = 20;

/// The records of one call.
#[derive(Default)]
pub(super) struct Diary {
    /// How many things with a number of their own have happened.
    sequence: u64,
    journal: Journal,
    faults: PerSecond,
}

impl Diary {
    /// Whether this is told: what may come without end is left out while far too much waits to be recorded.
    fn takes(&mut self, kind: &Kind, now: Duration) -> bool {
        match kind {
            Kind::Warning(_) | Kind::Instruction(..) => !self.journal.is_behind(),
            Kind::Fault(..) => !self.journal.is_behind() && self.faults.takes(MOST_FAULTS, now),
            _ => true,
        }
    }

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
        if !self.diary.takes(&kind, self.inner.clock.monotonic()) {
            return self.inner.counters.records_dropped.add(1);
        }
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
        self.happened(Kind::Warning(text)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_tells_twenty_faults_a_second_and_whatever_else_happens() {
        let mut diary = Diary::default();
        let fault = || Kind::Fault("the verb is not run".to_owned(), None);
        for second in 0..3 {
            let now = Duration::from_millis(second * 1000 + 500);
            let told = (0..100).filter(|_| diary.takes(&fault(), now)).count();
            assert_eq!(told, 20, "in second {second}");
            assert!(diary.takes(&Kind::CallEnded, now) && diary.takes(&Kind::Warning(String::new()), now));
        }
    }
}
