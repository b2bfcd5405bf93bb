//! The outbox: callbacks on their way, in lanes.
//!
//! A lane is what must stay in order: one room's (or call's) callbacks to one origin (scheme, host and port). Only the first
//! pending callback of a lane, its head, is ever handed out. A head that fails may be tried again for at most the lane limit
//! (60 s) from its first attempt, and for no longer than the one behind it has waited that long; then it is set aside as failed, where it can be
//! replayed, and the lane moves on. So no callback waits behind failing ones for longer than the limit, plus one attempt
//! for each of them.

use std::time::Duration;

use rusqlite::Connection;
use rusqlite::types::{FromSqlResult, Value, ValueRef};
use serde::{Deserialize, Serialize};

use crate::application::{Dialect, Method};
use crate::column::{Column, execute, put_json, record, scalar, select, select_one, take_json, text_enum};
use crate::error::{Result, StoreError};
use crate::id::{AccountId, CallId, DeliveryId, EventId, RoomId};
use crate::origin::origin;
use crate::page::{Filter, Listed, Page};
use crate::place;
use crate::store::{Pending, Store};
use crate::time::Timestamp;
use crate::writer::WriteContext;

text_enum! {
    /// Where a callback is.
    pub enum DeliveryState {
        /// Waiting in its lane, or being tried.
        Pending = "pending",
        /// Delivered.
        Done = "done",
        /// Set aside; can be replayed.
        Failed = "failed",
    }
}

/// What order a callback keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Subject {
    /// That of a room's callbacks.
    Room(RoomId),
    /// That of a call's callbacks.
    Call(CallId),
}

/// What a callback carries. Query or form encoding, and the signature, are made when it is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// Parameters, in order.
    Form(Vec<(String, String)>),
    /// A JSON document, byte for byte.
    Json(String),
}

impl Column for Body {
    fn put(&self) -> Value {
        put_json(self)
    }
    fn take(value: ValueRef<'_>) -> FromSqlResult<Self> {
        take_json(value)
    }
}

/// A callback to queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// Whose.
    pub account: AccountId,
    /// The sub-account whose token signs it, if any.
    pub sub_account: Option<AccountId>,
    /// With `url`'s origin, its lane.
    pub subject: Subject,
    /// How it is signed and encoded.
    pub dialect: Dialect,
    /// Absolute `http` or `https` URL. A callback without one is dropped.
    pub url: String,
    /// How.
    pub method: Method,
    /// More headers, for example `Authorization`.
    pub headers: Vec<(String, String)>,
    /// What it carries.
    pub body: Body,
    /// When it was made; it is due from then on.
    pub created_at: Timestamp,
}

record! {
    /// A callback as stored.
    pub struct Delivery in "outbox" as "a callback", key (id) {
        /// Its id.
        pub id: DeliveryId,
        /// Whose.
        pub account: AccountId,
        /// The sub-account whose token signs it, if any.
        pub sub_account: Option<AccountId>,
        /// The event it tells of.
        pub event: EventId,
        /// Its lane's key.
        pub lane: String,
        /// How it is signed and encoded.
        pub dialect: Dialect,
        /// Where to.
        pub url: String,
        /// How.
        pub method: Method,
        /// More headers.
        pub headers: Vec<(String, String)>,
        /// What it carries.
        pub body: Body,
        /// Where it is.
        pub state: DeliveryState,
        /// Attempts begun.
        pub attempts: u32,
        /// When it may be claimed next; while claimed, when the claim ends: the attempt should be over by then.
        pub due_at: Timestamp,
        /// When it was made.
        pub created_at: Timestamp,
        /// First attempt as head of its lane (since the last start of the server).
        pub first_attempt_at: Option<Timestamp>,
        /// First failure.
        pub first_failed_at: Option<Timestamp>,
        /// When the lane moves on without it: no attempt begins after that.
        pub give_up_at: Option<Timestamp>,
        /// When it was delivered or set aside.
        pub settled_at: Option<Timestamp>,
        /// Why the last attempt failed.
        pub last_error: Option<String>,
    }
}

/// What [`Store::claim_due`] hands out.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// To be sent now, each by whoever claimed it, each answered by one of the `mark_` calls.
    pub deliveries: Vec<Delivery>,
    /// When the next one is due, unless [`Store::watch_outbox`] changes before.
    pub next_due: Option<Timestamp>,
}

/// What became of a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It stays at the head of its lane and is due again then.
    At(Timestamp),
    /// Its time was up: it is set aside as failed, the lane moves on.
    GaveUp,
    /// It is no longer this attempt's: settled, or claimed again after the claim ran out. Nothing changed.
    Stale,
}

/// Which callbacks. What is `None` does not restrict.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// That tell of this event.
    pub event: Option<EventId>,
}

const QUEUEING: &str = "queueing a callback";
const CLAIMING: &str = "claiming callbacks";
const SETTLING: &str = "settling a callback";
/// Longest error text kept, in bytes.
const ERROR_LIMIT: usize = 500;

fn lane(account: AccountId, subject: Subject, origin: &str) -> String {
    match subject {
        Subject::Room(room) => format!("{account} room {room} {origin}"),
        Subject::Call(call) => format!("{account} call {call} {origin}"),
    }
}

/// The origin that a lane leads to.
fn origin_of(lane: &str) -> &str {
    lane.rsplit_once(' ').map_or(lane, |(_, origin)| origin)
}

/// Queues a callback. `None`: there is no place for it, or its URL leads nowhere; it was dropped, counted, and is told by an event.
pub(crate) fn enqueue(context: &mut WriteContext<'_>, event: EventId, new: &NewDelivery) -> Result<Option<DeliveryId>> {
    // Everything else that happened in this batch is true all the same.
    let Some(origin) = origin(&new.url) else {
        place::dropped(context, new, place::NOWHERE)?;
        return Ok(None);
    };
    if !place::take(context, new.account, &origin, new.created_at)? {
        place::dropped(context, new, &origin)?;
        return Ok(None);
    }
    let lane = lane(new.account, new.subject, &origin);
    execute(
        context.conn,
        QUEUEING,
        "INSERT INTO outbox (account, sub_account, event, lane, position, head, dialect, url, method, headers, body,
                             state, attempts, due_at, created_at, queued_at)
         VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(position), 0) + 1 FROM outbox),
                 NOT EXISTS (SELECT 1 FROM outbox WHERE lane = ?4 AND state = 'pending'),
                 ?5, ?6, ?7, ?8, ?9, 'pending', 0, ?10, ?10, ?10)",
        [
            new.account.put(),
            new.sub_account.put(),
            event.put(),
            lane.put(),
            new.dialect.put(),
            new.url.put(),
            new.method.put(),
            new.headers.put(),
            new.body.put(),
            new.created_at.put(),
        ],
    )?;
    context.outbox_touched = true;
    Ok(Some(DeliveryId(context.conn.last_insert_rowid())))
}

/// The limits of one claim.
struct Terms {
    now: Timestamp,
    claim: Duration,
    lane_limit: Duration,
}

fn claim(context: &mut WriteContext<'_>, now: Timestamp, limit: u32) -> Result<Claim> {
    // A claim that ends as it begins would be handed out for ever.
    let shortest = Duration::from_millis(1);
    let terms =
        Terms { now, claim: context.config.claim.max(shortest), lane_limit: context.config.lane_limit.max(shortest) };
    let mut deliveries = Vec::new();
    loop {
        let wanted = limit.saturating_sub(u32::try_from(deliveries.len()).unwrap_or(u32::MAX));
        if wanted == 0 {
            break;
        }
        let due: Vec<Delivery> = select(
            context.conn,
            "WHERE state = 'pending' AND head = 1 AND due_at <= ? ORDER BY due_at, id LIMIT ?",
            [now.put(), wanted.put()],
        )?;
        if due.is_empty() {
            break;
        }
        for delivery in due {
            if delivery.give_up_at.is_some_and(|end| end <= now) {
                // The claim ran out without an answer and so did its time: the next of the lane may be due in turn.
                let error = delivery.last_error.as_deref().unwrap_or("no result before its time was up");
                settle(context, delivery.account, delivery.id, DeliveryState::Failed, now, Some(error))?;
            } else {
                deliveries.push(begin_attempt(context.conn, delivery, &terms)?);
            }
        }
    }
    place::look_after(context, now)?;
    let next_due = scalar::<Option<Timestamp>>(
        context.conn,
        CLAIMING,
        "SELECT min(due_at) FROM outbox WHERE state = 'pending' AND head = 1",
        [],
    )?
    .flatten();
    Ok(Claim { deliveries, next_due })
}

fn begin_attempt(conn: &Connection, mut delivery: Delivery, terms: &Terms) -> Result<Delivery> {
    let claim_end = terms.now.plus(terms.claim);
    match delivery.give_up_at {
        Some(end) => delivery.due_at = claim_end.min(end),
        None => {
            let behind = scalar::<Option<Timestamp>>(
                conn,
                CLAIMING,
                "SELECT queued_at FROM outbox WHERE state = 'pending' AND lane = ?1 AND id <> ?2 ORDER BY position LIMIT 1",
                [delivery.lane.put(), delivery.id.put()],
            )?
            .flatten();
            let own = delivery.first_attempt_at.get_or_insert(terms.now).plus(terms.lane_limit);
            // This may have passed already: then there is this one attempt and no other.
            delivery.give_up_at = Some(behind.map_or(own, |queued| own.min(queued.plus(terms.lane_limit))));
            delivery.due_at = claim_end.min(own);
        }
    }
    delivery.attempts = delivery.attempts.saturating_add(1);
    execute(
        conn,
        CLAIMING,
        "UPDATE outbox SET attempts = ?, first_attempt_at = ?, give_up_at = ?, due_at = ? WHERE id = ?",
        [
            delivery.attempts.put(),
            delivery.first_attempt_at.put(),
            delivery.give_up_at.put(),
            delivery.due_at.put(),
            delivery.id.put(),
        ],
    )?;
    Ok(delivery)
}

/// Ends a callback's time in its lane and lets the next one to the head. Nothing happens to one that is not pending.
fn settle(
    context: &mut WriteContext<'_>,
    account: AccountId,
    id: DeliveryId,
    state: DeliveryState,
    now: Timestamp,
    error: Option<&str>,
) -> Result<bool> {
    let conn = context.conn;
    let lane: Option<String> = scalar(
        conn,
        SETTLING,
        "UPDATE outbox SET state = ?, head = 0, settled_at = ?, last_error = coalesce(?, last_error)
         WHERE account = ? AND id = ? AND state = 'pending' RETURNING lane",
        [state.put(), now.put(), error.map(clipped).put(), account.put(), id.put()],
    )?;
    let Some(lane) = lane else { return Ok(false) };
    execute(
        conn,
        SETTLING,
        "UPDATE outbox SET head = 1
         WHERE id = (SELECT id FROM outbox WHERE lane = ? AND state = 'pending' ORDER BY position LIMIT 1) AND head = 0",
        [lane.put()],
    )?;
    place::give_back(context, account, origin_of(&lane), now)?;
    if state == DeliveryState::Failed {
        context.tally.deliveries_given_up += 1;
    }
    context.outbox_touched = true;
    Ok(true)
}

fn clipped(error: &str) -> String {
    error.get(..error.floor_char_boundary(ERROR_LIMIT)).unwrap_or_default().to_owned()
}

fn stored(conn: &Connection, account: AccountId, id: DeliveryId) -> Result<Delivery> {
    select_one(conn, "WHERE account = ? AND id = ?", [account.put(), id.put()])?
        .ok_or(StoreError::NotFound { what: SETTLING })
}

impl Store {
    /// Hands out up to `limit` due callbacks, no two of one lane. Each is its claimer's until its [`Delivery::due_at`]
    /// (at most [`crate::StoreConfig::claim`] from now); it should be answered by then.
    pub fn claim_due(&self, now: Timestamp, limit: u32) -> Pending<Claim> {
        self.write(CLAIMING, move |context| claim(context, now, limit))
    }

    /// The callback was delivered. Right for one that was meanwhile set aside, too. Returns whether that was news.
    pub fn mark_done(&self, account: AccountId, id: DeliveryId, now: Timestamp) -> Pending<bool> {
        self.write_owed(SETTLING, move |context| {
            if settle(context, account, id, DeliveryState::Done, now, None)? {
                return Ok(true);
            }
            let text =
                "UPDATE outbox SET state = 'done', settled_at = ? WHERE account = ? AND id = ? AND state = 'failed'";
            let changed = execute(context.conn, SETTLING, text, [now.put(), account.put(), id.put()])?;
            if changed == 0 {
                stored(context.conn, account, id)?;
            }
            Ok(changed > 0)
        })
    }

    /// Attempt number `attempt` (the claimed [`Delivery::attempts`]) failed at `now`; try again at `at`, if its time
    /// ([`Delivery::give_up_at`]) allows.
    pub fn mark_retry(
        &self,
        account: AccountId,
        id: DeliveryId,
        attempt: u32,
        now: Timestamp,
        at: Timestamp,
        error: &str,
    ) -> Pending<Retry> {
        let error = clipped(error);
        self.write_owed(SETTLING, move |context| {
            let delivery = stored(context.conn, account, id)?;
            if delivery.state != DeliveryState::Pending || delivery.attempts != attempt || delivery.give_up_at.is_none() {
                return Ok(Retry::Stale);
            }
            execute(
                context.conn,
                SETTLING,
                "UPDATE outbox SET due_at = ?, last_error = ?, first_failed_at = coalesce(first_failed_at, ?) WHERE id = ?",
                [at.put(), error.put(), now.put(), id.put()],
            )?;
            context.outbox_touched = true;
            if delivery.give_up_at.is_some_and(|end| at >= end) {
                settle(context, account, id, DeliveryState::Failed, now, None)?;
                return Ok(Retry::GaveUp);
            }
            Ok(Retry::At(at))
        })
    }

    /// The callback cannot be delivered (refused address, an answer that no retry will change): it is set aside, the lane moves
    /// on. Returns whether it was still pending.
    pub fn mark_failed(&self, account: AccountId, id: DeliveryId, now: Timestamp, error: &str) -> Pending<bool> {
        let error = clipped(error);
        self.write_owed(SETTLING, move |context| {
            stored(context.conn, account, id)?;
            settle(context, account, id, DeliveryState::Failed, now, Some(&error))
        })
    }

    /// Puts a failed callback back, at the end of its lane, with a fresh time limit. `OutboxFull` if there is no place for it,
    /// `NotFound` if the account has no failed callback of this id.
    pub fn replay(&self, account: AccountId, id: DeliveryId, now: Timestamp) -> Pending<()> {
        const REPLAYING: &str = "replaying a callback";
        self.write(REPLAYING, move |context| {
            let lane: Option<String> = scalar(
                context.conn,
                REPLAYING,
                "SELECT lane FROM outbox WHERE account = ? AND id = ? AND state = 'failed'",
                [account.put(), id.put()],
            )?;
            let Some(lane) = lane else { return Err(StoreError::NotFound { what: "replaying a failed callback" }) };
            if !place::take(context, account, origin_of(&lane), now)? {
                return Err(StoreError::OutboxFull { account, destination: origin_of(&lane).to_owned() });
            }
            execute(
                context.conn,
                REPLAYING,
                "UPDATE outbox SET state = 'pending', due_at = ?1, queued_at = ?1, first_attempt_at = NULL, give_up_at = NULL,
                        first_failed_at = NULL, settled_at = NULL,
                        position = (SELECT max(position) + 1 FROM outbox),
                        head = NOT EXISTS (SELECT 1 FROM outbox WHERE lane = ?2 AND state = 'pending')
                 WHERE id = ?3",
                [now.put(), lane.put(), id.put()],
            )?;
            context.outbox_touched = true;
            Ok(())
        })
    }

    /// A callback of the account.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn delivery(&self, account: AccountId, id: DeliveryId) -> Result<Option<Delivery>> {
        let values = [account.put(), id.put()];
        self.read("reading a callback", move |conn| select_one(conn, "WHERE account = ? AND id = ?", values)).await
    }

    /// The account's callbacks, newest first.
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn deliveries(&self, account: AccountId, wanted: DeliveryFilter, page: Page) -> Result<Listed<Delivery>> {
        self.read("reading callbacks", move |conn| {
            Filter::account(account)
                .equal("state", wanted.state.as_ref())
                .equal("event", wanted.event.as_ref())
                .list(conn, "outbox", "id DESC", page)
        })
        .await
    }

    /// How many undelivered callbacks the account has; the limit is [`crate::StoreConfig::outbox_limit`].
    ///
    /// # Errors
    /// `Busy`, `Database`.
    pub async fn pending_deliveries(&self, account: AccountId) -> Result<u64> {
        const COUNTING: &str = "counting callbacks";
        self.read(COUNTING, move |conn| {
            let pending: Option<i64> =
                scalar(conn, COUNTING, "SELECT pending FROM outbox_load WHERE account = ?", [account.put()])?;
            Ok(u64::try_from(pending.unwrap_or(0)).unwrap_or(0))
        })
        .await
    }
}
