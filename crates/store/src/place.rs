//! Places in the outbox: how many callbacks an account may owe, and how many of them to one destination.
//!
//! A destination gets no more places than the account has left, so however many are dead, each new one still finds some:
//! one dead destination ends at half of the account's places, two at a third each, and so on.

use std::time::Duration;

use rusqlite::OptionalExtension;
use serde_json::json;

use crate::column::{Column, column, execute, scalar};
use crate::error::{Result, sql};
use crate::event::{self, NewEvent};
use crate::id::AccountId;
use crate::outbox::NewDelivery;
use crate::time::Timestamp;
use crate::writer::WriteContext;

const COUNTING: &str = "counting callbacks";
/// The event that tells of dropped callbacks.
const DROPPED: &str = "callbacks.dropped";
/// Dropped callbacks of one destination are told together, at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);
/// The destination of callbacks whose URL is none: not the URL itself, which may hold secrets and be another one each time.
pub(crate) const NOWHERE: &str = "no http or https URL";
/// Destinations told of, and forgotten, at one look.
const STEP: u32 = 200;

/// What is owed.
struct Owed {
    by_account: u64,
    to_destination: u64,
    untold: u64,
    told_at: Option<Timestamp>,
}

fn owed(context: &WriteContext<'_>, account: AccountId, origin: &str) -> Result<Owed> {
    let by_account: Option<i64> =
        scalar(context.conn, COUNTING, "SELECT pending FROM outbox_load WHERE account = ?", [account.put()])?;
    let text = "SELECT pending, dropped, told_at FROM outbox_destinations WHERE account = ? AND origin = ?";
    let values = rusqlite::params_from_iter([account.put(), origin.to_owned().put()]);
    let here: Option<(i64, i64, Option<Timestamp>)> = context
        .conn
        .prepare_cached(text)
        .and_then(|mut statement| {
            statement.query_row(values, |row| Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?))).optional()
        })
        .map_err(sql(COUNTING))?;
    let (pending, dropped, told_at) = here.unwrap_or_default();
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Owed {
        by_account: count(by_account.unwrap_or(0)),
        to_destination: count(pending),
        untold: count(dropped),
        told_at,
    })
}

/// Counts one more pending callback; false: there is no place for it.
pub(crate) fn take(context: &mut WriteContext<'_>, account: AccountId, origin: &str, now: Timestamp) -> Result<bool> {
    let owed = owed(context, account, origin)?;
    let free = context.config.outbox_limit.saturating_sub(owed.by_account);
    if owed.to_destination >= context.config.destination_limit.min(free) {
        return Ok(false);
    }
    execute(
        context.conn,
        COUNTING,
        "INSERT INTO outbox_load (account, pending) VALUES (?, 1) ON CONFLICT (account) DO UPDATE SET pending = pending + 1",
        [account.put()],
    )?;
    execute(
        context.conn,
        COUNTING,
        "INSERT INTO outbox_destinations (account, origin, pending) VALUES (?, ?, 1)
         ON CONFLICT (account, origin) DO UPDATE SET pending = pending + 1",
        [account.put(), origin.to_owned().put()],
    )?;
    if owed.untold > 0 && !told_lately(owed.told_at, now) {
        tell(context, account, origin, now, owed.untold)?;
    }
    Ok(true)
}

/// Whether an event told of this destination so recently that the next drops wait. A clock that was set back must not silence them
/// for longer.
fn told_lately(told_at: Option<Timestamp>, now: Timestamp) -> bool {
    told_at.is_some_and(|at| now.since(at).max(at.since(now)) < TOLD_EVERY)
}

/// Gives the place of a callback back that is no longer pending. A destination told of lately stays known, lest it be told of
/// again at its next drop; [`look_after`] forgets it.
pub(crate) fn give_back(context: &WriteContext<'_>, account: AccountId, origin: &str, now: Timestamp) -> Result<()> {
    let here = || [account.put(), origin.to_owned().put()];
    execute(context.conn, COUNTING, "UPDATE outbox_load SET pending = pending - 1 WHERE account = ?", [account.put()])?;
    execute(
        context.conn,
        COUNTING,
        "UPDATE outbox_destinations SET pending = pending - 1 WHERE account = ? AND origin = ?",
        here(),
    )?;
    execute(
        context.conn,
        COUNTING,
        "DELETE FROM outbox_destinations WHERE account = ? AND origin = ? AND pending <= 0 AND dropped = 0
         AND (told_at IS NULL OR told_at <= ? OR told_at >= ?)",
        here().into_iter().chain([now.minus(TOLD_EVERY).put(), now.plus(TOLD_EVERY).put()]),
    )?;
    Ok(())
}

/// Tells of drops that had to wait for it, and forgets destinations that are owed nothing: some hundred at a time.
pub(crate) fn look_after(context: &mut WriteContext<'_>, now: Timestamp) -> Result<()> {
    let bounds = || [now.minus(TOLD_EVERY).put(), now.plus(TOLD_EVERY).put(), STEP.put()];
    let text = "SELECT account, origin, dropped FROM outbox_destinations
                WHERE dropped > 0 AND (told_at <= ? OR told_at >= ?) LIMIT ?";
    let untold: Vec<(AccountId, String, i64)> = context
        .conn
        .prepare_cached(text)
        .and_then(|mut statement| {
            statement.query_map(bounds(), |row| Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?)))?.collect()
        })
        .map_err(sql(COUNTING))?;
    for (account, origin, dropped) in untold {
        tell(context, account, &origin, now, u64::try_from(dropped).unwrap_or(0))?;
    }
    execute(
        context.conn,
        COUNTING,
        "DELETE FROM outbox_destinations WHERE (account, origin) IN
         (SELECT account, origin FROM outbox_destinations
          WHERE pending <= 0 AND dropped = 0 AND (told_at <= ? OR told_at >= ?) LIMIT ?)",
        bounds(),
    )?;
    Ok(())
}

/// Counts a callback that had no place or no address, and tells of it.
pub(crate) fn dropped(context: &mut WriteContext<'_>, new: &NewDelivery, origin: &str) -> Result<()> {
    context.tally.callbacks_dropped += 1;
    execute(
        context.conn,
        COUNTING,
        "INSERT INTO outbox_destinations (account, origin, pending, dropped) VALUES (?, ?, 0, 1)
         ON CONFLICT (account, origin) DO UPDATE SET dropped = dropped + 1",
        [new.account.put(), origin.to_owned().put()],
    )?;
    let owed = owed(context, new.account, origin)?;
    let now = new.created_at;
    if told_lately(owed.told_at, now) {
        return Ok(());
    }
    tell(context, new.account, origin, now, owed.untold)
}

fn tell(context: &mut WriteContext<'_>, account: AccountId, origin: &str, now: Timestamp, dropped: u64) -> Result<()> {
    tracing::warn!(%account, destination = origin, dropped, "callbacks were dropped: too many wait for this destination, or it is none");
    let event = NewEvent {
        account,
        room: None,
        call: None,
        kind: DROPPED.to_owned(),
        payload: json!({ "destination": origin, "dropped": dropped }),
        created_at: now,
    };
    context.last_event = Some(event::append(context.conn, &event)?);
    execute(
        context.conn,
        COUNTING,
        "UPDATE outbox_destinations SET dropped = 0, told_at = ? WHERE account = ? AND origin = ?",
        [now.put(), account.put(), origin.to_owned().put()],
    )?;
    Ok(())
}
