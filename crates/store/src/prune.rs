//! Retention: removing what is old, in small steps.

use rusqlite::types::Value;

use crate::column::{Column, execute, scalar};
use crate::error::Result;
use crate::event::PRUNED_TO;
use crate::setting;
use crate::store::Store;
use crate::time::Timestamp;
use crate::writer::WriteContext;

/// What to remove: rows that ended (were settled, expired) before the given time. `None` keeps all of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneBefore {
    /// Events, whether or not anybody has read them.
    pub events: Option<Timestamp>,
    /// Delivered callbacks.
    pub delivered: Option<Timestamp>,
    /// Failed callbacks; they cannot be replayed after that.
    pub failed: Option<Timestamp>,
    /// Ledger entries.
    pub ledger: Option<Timestamp>,
    /// Ended calls.
    pub calls: Option<Timestamp>,
    /// Ended rooms with their members.
    pub rooms: Option<Timestamp>,
    /// Expired bindings: pass the present.
    pub bindings: Option<Timestamp>,
}

impl PruneBefore {
    /// The same time for everything.
    pub fn all(before: Timestamp) -> Self {
        let before = Some(before);
        Self {
            events: before,
            delivered: before,
            failed: before,
            ledger: before,
            calls: before,
            rooms: before,
            bindings: before,
        }
    }
}

/// How many rows were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Callbacks.
    pub deliveries: u64,
    /// Ledger entries.
    pub ledger: u64,
    /// Calls.
    pub calls: u64,
    /// Rooms.
    pub rooms: u64,
    /// Bindings.
    pub bindings: u64,
}

/// Rows removed in one step: other writers wait a few milliseconds at most.
const STEP: u32 = 500;
const PRUNING: &str = "removing old rows";

/// Events and ledger grow in the order of their ids, so old rows are at the beginning: a step looks at no more than that.
const OLD_EVENTS: &str =
    "DELETE FROM events WHERE id IN (SELECT id FROM events ORDER BY id LIMIT ?2) AND created_at < ?1";
const OLD_LEDGER: &str = "DELETE FROM ledger WHERE id IN (SELECT id FROM ledger ORDER BY id LIMIT ?2) AND at < ?1";
const OLD_DONE: &str = "DELETE FROM outbox WHERE id IN
    (SELECT id FROM outbox WHERE state = 'done' AND settled_at < ?1 LIMIT ?2)";
const OLD_FAILED: &str = "DELETE FROM outbox WHERE id IN
    (SELECT id FROM outbox WHERE state = 'failed' AND settled_at < ?1 LIMIT ?2)";
const OLD_CALLS: &str = "DELETE FROM calls WHERE (account, id) IN
    (SELECT account, id FROM calls WHERE state = 'ended' AND ended_at < ?1 LIMIT ?2)";
const OLD_ROOMS: &str = "DELETE FROM rooms WHERE (account, id) IN
    (SELECT account, id FROM rooms WHERE status = 'ended' AND ended_at < ?1 LIMIT ?2)";
const OLD_BINDINGS: &str = "DELETE FROM bindings WHERE (account, endpoint_id, contact) IN
    (SELECT account, endpoint_id, contact FROM bindings WHERE expires_at < ?1 LIMIT ?2)";

impl Store {
    /// Removes what is older than `before`, a few hundred rows at a time, giving way to other writers between the steps.
    ///
    /// # Errors
    /// `Busy`, `Closed`, `Database`; what was removed until then stays removed.
    pub async fn prune(&self, before: PruneBefore) -> Result<Pruned> {
        Ok(Pruned {
            events: self.prune_kind(before.events, OLD_EVENTS, true).await?,
            deliveries: self.prune_kind(before.delivered, OLD_DONE, false).await?
                + self.prune_kind(before.failed, OLD_FAILED, false).await?,
            ledger: self.prune_kind(before.ledger, OLD_LEDGER, false).await?,
            calls: self.prune_kind(before.calls, OLD_CALLS, false).await?,
            rooms: self.prune_kind(before.rooms, OLD_ROOMS, false).await?,
            bindings: self.prune_kind(before.bindings, OLD_BINDINGS, false).await?,
        })
    }

    async fn prune_kind(&self, before: Option<Timestamp>, text: &'static str, events: bool) -> Result<u64> {
        let Some(before) = before else { return Ok(0) };
        let mut removed = 0;
        loop {
            let step = self.write(PRUNING, move |context| prune_step(context, before, text, events)).await?;
            removed += step;
            if step == 0 {
                return Ok(removed);
            }
        }
    }
}

fn prune_step(context: &mut WriteContext<'_>, before: Timestamp, text: &str, events: bool) -> Result<u64> {
    let bounds: [Value; 2] = [before.put(), STEP.put()];
    if events {
        let last: Option<Option<i64>> = scalar(
            context.conn,
            PRUNING,
            "SELECT max(id) FROM (SELECT id, created_at FROM events ORDER BY id LIMIT ?2) WHERE created_at < ?1",
            bounds.clone(),
        )?;
        if let Some(last) = last.flatten() {
            setting::put(context.conn, PRUNED_TO, &last.to_string())?;
        }
    }
    let removed = execute(context.conn, PRUNING, text, bounds)?;
    Ok(u64::try_from(removed).unwrap_or(0))
}
