//! Writes what happens to the store: rows, events, callbacks and ledger entries of one change in one batch.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value as Json, json};
use store::{
    AccountId, Batch, Body, CallId, CallRecord, Dialect as StoredDialect, LedgerEntry, LedgerKind, Life, MemberRecord,
    NewDelivery, NewEvent, RoomId, RoomRecord, RoomStatus, Store, StoreError, Subject, Timestamp,
};

use crate::clock::Clock;
use crate::command::{Applied, Asker, HearingMatrix};
use crate::dialect::{self, CallState, CallView, Callback, Direction, Happening, Kind, MemberView, RoomView};
use crate::hooks::Hooks;
use crate::link::Tell;
use crate::registry::Links;
use crate::stored::word;
use crate::verb::{Fetch, Method};

/// What becomes of one happening: an event, and the callbacks it is worth.
pub(crate) struct Record {
    event: NewEvent,
    deliveries: Vec<NewDelivery>,
    /// Told over the connections of these calls.
    messages: Vec<(String, Tell)>,
}

/// What happened, with everything there is to say about it.
pub(crate) struct Happened {
    /// What.
    pub kind: Kind,
    /// Its number in its room or call.
    pub sequence: u64,
    /// In this room.
    pub room: Option<RoomView>,
    /// To this member.
    pub member: Option<MemberView>,
    /// To this call.
    pub call: Option<CallView>,
    /// The dialects whose programs are told.
    pub dialects: Vec<&'static str>,
}

/// A room's rows as they now are.
pub(crate) struct RoomRows {
    pub room: RoomView,
    pub dialect: &'static str,
    pub sequence: u64,
    /// The members that changed.
    pub members: Vec<MemberView>,
    /// Where the members' own status events go, by number; what a restart needs to know.
    pub callbacks: BTreeMap<i64, Json>,
}

/// A change of hearing.
pub(crate) struct LedgerNote {
    pub applied: Applied,
    pub by: Asker,
    pub command_id: Option<String>,
    pub hearing: HearingMatrix,
}

/// Writes to the store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Records {
    clock: Clock,
    store: Store,
    hooks: Hooks,
    links: Links,
    /// Sub-accounts by auth id: they are never renamed, and as many as the store has.
    sub_accounts: Arc<Mutex<HashMap<String, AccountId>>>,
}

impl Records {
    pub fn new(clock: Clock, store: Store, hooks: Hooks, links: Links) -> Self {
        Self { clock, store, hooks, links, sub_accounts: Arc::default() }
    }

    /// The event and callbacks of a happening at `at` (UTC, microseconds). `None` where nobody is told and nothing is
    /// logged: speech that no program follows.
    pub async fn record(&self, account: &str, at: i64, happened: &Happened) -> Option<Record> {
        self.made_of(account, at, happened).await.unwrap_or_else(|error| {
            tracing::error!(account, kind = happened.kind.name(), %error, "something that happened cannot be recorded");
            None
        })
    }

    async fn made_of(&self, account: &str, at: i64, happened: &Happened) -> Result<Option<Record>, StoreError> {
        let account: AccountId = id("account", account)?;
        let happening = Happening {
            at,
            sequence: happened.sequence,
            kind: &happened.kind,
            room: happened.room.as_ref(),
            member: happened.member.as_ref(),
            call: happened.call.as_ref(),
        };
        let room: Option<RoomId> = happened.room.as_ref().map(|room| id("room", &room.uuid)).transpose()?;
        let call_uuid = happened.call.as_ref().map(|c| &c.uuid).or(happened.member.as_ref().map(|m| &m.call_uuid));
        let call: Option<CallId> = call_uuid.map(|uuid| id("call", uuid)).transpose()?;
        let subject = room.map(Subject::Room).or(call.map(Subject::Call));
        let acting =
            happened.room.as_ref().map(|room| &room.auth_id).or(happened.call.as_ref().map(|call| &call.auth_id));
        let sub_account = self.sub_account(acting.map(String::as_str)).await;
        let (mut deliveries, mut messages) = (Vec::new(), Vec::new());
        for name in &happened.dialects {
            let dialect = match self.hooks.dialect(name) {
                Ok(dialect) => dialect,
                Err(error) => {
                    tracing::error!(%account, %error, "the programs of a dialect are not told what happened");
                    continue;
                }
            };
            let mut callbacks = dialect.callbacks(&happening);
            if let Kind::Queue(..) = happened.kind {
                let settings = self.store.account(account).await?.map(|account| account.settings);
                callbacks.extend(settings.iter().flat_map(|settings| dialect.queue_callbacks(&happening, settings)));
            }
            for callback in callbacks {
                match (callback, subject) {
                    (Callback::Request { to, body }, Some(subject)) => {
                        let delivery = delivery(account, subject, name, (to, body), at, self.clock)?;
                        deliveries.push(NewDelivery { sub_account, ..delivery });
                    }
                    (Callback::Request { .. }, None) => {}
                    (Callback::Message { call, tell }, _) => messages.push((call, tell)),
                }
            }
        }
        let of_moment = matches!(happened.kind, Kind::Speaking(_)) || !happened.kind.is_counted();
        if of_moment && deliveries.is_empty() && messages.is_empty() {
            return Ok(None);
        }
        if let Kind::Warning(text) = &happened.kind {
            let room = happened.room.as_ref().map(|room| room.name.as_str()).unwrap_or_default();
            let call = call_uuid.map(String::as_str).unwrap_or_default();
            tracing::warn!(%account, room, call, "{text}");
        }
        let payload = json!({
            "sequence": happened.sequence,
            "room": happened.room.as_ref().map(|room| RoomView { callbacks: None, ..room.clone() }),
            "member": happened.member.as_ref().map(|member| MemberView { callbacks: None, ..member.clone() }),
            "call": happened.call.as_ref().map(without_hooks),
            "detail": detail(&happened.kind),
        });
        let kind = happened.kind.name().to_owned();
        let created_at = Timestamp::from_micros(at);
        let event = NewEvent { account, room, call, kind, payload, created_at };
        Ok(Some(Record { event, deliveries, messages }))
    }

    /// [`Records::record`] for several.
    pub async fn record_all(&self, account: &str, at: i64, happened: &[Happened]) -> Vec<Record> {
        let mut records = Vec::with_capacity(happened.len());
        for one in happened {
            records.extend(self.record(account, at, one).await);
        }
        records
    }

    /// The sub-account of this auth id; `None` for a main account.
    async fn sub_account(&self, auth_id: Option<&str>) -> Option<AccountId> {
        let auth_id = auth_id.filter(|id| id.starts_with("SA"))?;
        if let Some(known) = self.known().get(auth_id) {
            return Some(*known);
        }
        let found = match self.store.account_by_auth_id(auth_id).await {
            Ok(account) => account?.id,
            Err(error) => {
                tracing::error!(auth_id, %error, "a sub-account could not be read; what it does is recorded under its main account");
                return None;
            }
        };
        self.known().insert(auth_id.to_owned(), found);
        Some(found)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, AccountId>> {
        self.sub_accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written of a change of a room.
    pub async fn of_room(
        &self,
        account: &str,
        rows: Option<RoomRows>,
        records: Vec<Record>,
        ledger: Option<(String, LedgerNote)>,
    ) -> Result<Batch, StoreError> {
        let account: AccountId = id("account", account)?;
        let mut batch = self.store.batch();
        if let Some(rows) = rows {
            let sub_account = self.sub_account(Some(&rows.room.auth_id)).await;
            batch = put_room(batch, account, sub_account, &rows)?;
        }
        batch = put_records(batch, records, &self.links);
        if let Some((room, note)) = ledger {
            batch = batch.append_ledger(ledger_entry(account, id("room", &room)?, note));
        }
        Ok(batch)
    }

    /// What is to be written of a change of a call.
    pub async fn of_call(
        &self,
        account: &str,
        dialect: &str,
        app_id: Option<&str>,
        call: &CallView,
        records: Vec<Record>,
    ) -> Result<Batch, StoreError> {
        let mut row = call_row(id("account", account)?, dialect, app_id, call)?;
        row.sub_account = self.sub_account(Some(&call.auth_id)).await;
        Ok(put_records(self.store.batch().put_call(row), records, &self.links))
    }
}

/// Hooks have credentials, which are no reader's business; what a program attached is in the call's own record.
fn without_hooks(call: &CallView) -> CallView {
    CallView { state_callback: None, hangup_callback: None, attached: None, ..call.clone() }
}

/// An id as the store has it.
fn id<T: FromStr>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Invalid { what, why: format!("{text:?} is no id; it must be a UUID") })
}

fn delivery(
    account: AccountId,
    subject: Subject,
    dialect: &str,
    (to, body): (Fetch, dialect::Body),
    at: i64,
    clock: Clock,
) -> Result<NewDelivery, StoreError> {
    Ok(NewDelivery {
        account,
        sub_account: None,
        subject,
        dialect: stored_dialect(dialect)?,
        method: stored_method(to.method),
        headers: to.auth.iter().map(|auth| ("Authorization".to_owned(), auth.header())).collect(),
        url: to.url,
        body: match body {
            dialect::Body::Nothing => Body::Form(Vec::new()),
            dialect::Body::Form(params) => Body::Form(params),
            dialect::Body::Json(text) => Body::Json(text),
        },
        // The tick that an event belongs to may be a little ahead; what tells of it is due all the same, or a server that
        // stops would leave it for its next start.
        created_at: Timestamp::from_micros(at.min(clock.utc())),
    })
}

pub(crate) fn stored_method(method: Method) -> store::Method {
    match method {
        Method::Get => store::Method::Get,
        Method::Post => store::Method::Post,
        Method::Link => store::Method::Ws,
    }
}

pub(crate) fn method_of(stored: store::Method) -> Method {
    match stored {
        store::Method::Get => Method::Get,
        store::Method::Post => Method::Post,
        store::Method::Ws => Method::Link,
    }
}

/// The stored word for the engine's name of a dialect.
///
/// # Errors
/// The store knows no such dialect; a row under another's name would be told to the wrong programs after a restart.
pub(crate) fn stored_dialect(name: &str) -> Result<StoredDialect, StoreError> {
    name.parse()
}

/// The engine's name of a stored dialect; what the native API made speaks Plivo's.
pub(crate) fn dialect_name(dialect: StoredDialect) -> &'static str {
    match dialect {
        StoredDialect::Native => StoredDialect::Plivo.as_str(),
        spoken => spoken.as_str(),
    }
}

fn detail(kind: &Kind) -> Json {
    match kind {
        Kind::Digit(digit) => json!({ "digit": digit }),
        Kind::AddCompleted(outcome) => json!({ "outcome": outcome }),
        Kind::Fault(text, label) => json!({ "text": text, "verb": label.as_ref().map(|label| &label.verb) }),
        Kind::Queue(_, name, length) => json!({ "queue": name, "length": length }),
        Kind::RoomSound { id, .. } => json!({ "id": id }),
        Kind::Instruction(_, label) => json!({ "verb": label.verb, "id": label.id }),
        Kind::Warning(text) => json!({ "text": text }),
        _ => Json::Null,
    }
}

/// Puts what happened into the batch, and passes on what is told over connections: those are as short-lived as their calls,
/// and wait for no database.
fn put_records(mut batch: Batch, records: Vec<Record>, links: &Links) -> Batch {
    for record in records {
        for (call, tell) in record.messages {
            links.tell(&call, tell);
        }
        batch = batch.append_event(record.event);
        for delivery in record.deliveries {
            batch = batch.deliver(delivery);
        }
    }
    batch
}

fn put_room(
    batch: Batch,
    account: AccountId,
    sub_account: Option<AccountId>,
    rows: &RoomRows,
) -> Result<Batch, StoreError> {
    let room = &rows.room;
    let room_id: RoomId = id("room", &room.uuid)?;
    let status = match (room.ended_at, room.started) {
        (Some(_), _) => RoomStatus::Ended,
        (None, true) => RoomStatus::Active,
        (None, false) => RoomStatus::Initialized,
    };
    let mut batch = batch.put_room(RoomRecord {
        account,
        id: room_id,
        sub_account,
        name: room.name.clone(),
        dialect: stored_dialect(rows.dialect)?,
        status,
        created_at: Timestamp::from_micros(room.opened_at),
        started_at: room.started_at.map(Timestamp::from_micros),
        ended_at: room.ended_at.map(Timestamp::from_micros),
        termination_cause: room.end_cause.and_then(|cause| word(&cause)),
        settings: json!({ "view": room, "member_callbacks": rows.callbacks }),
        sequence: i64::try_from(rows.sequence).unwrap_or(i64::MAX),
        unnamed: room.unnamed,
    });
    for member in &rows.members {
        // Whoever never came has no row.
        if let Some(joined_at) = member.joined_at {
            batch = batch.put_member(MemberRecord {
                account,
                room: room_id,
                number: member.id.0,
                member_id: member.number,
                call: id("call", &member.call_uuid)?,
                role: member.role.map(|role| role.as_str().to_owned()),
                tag: member.tag.as_ref().map(|tag| tag.as_str().to_owned()),
                address: member.address.clone(),
                coach: member.coaching,
                mute: member.muted,
                hold: member.held,
                start_on_enter: member.start_on_enter,
                end_on_exit: member.end_on_exit,
                join_time: Timestamp::from_micros(joined_at),
                exit_time: member.left_at.map(Timestamp::from_micros),
                exit_cause: member.leave_cause.and_then(|cause| word(&cause)),
            });
        }
    }
    Ok(batch)
}

pub(crate) fn call_row(
    account: AccountId,
    dialect: &str,
    app_id: Option<&str>,
    call: &CallView,
) -> Result<CallRecord, StoreError> {
    let status = match (call.state, call.answered_at) {
        (CallState::Ringing, _) => "ringing",
        (CallState::InProgress, _) => "in-progress",
        (CallState::Ended, Some(_)) => "completed",
        (CallState::Ended, None) => "failed",
    };
    Ok(CallRecord {
        account,
        id: id("call", &call.uuid)?,
        sub_account: None,
        dialect: stored_dialect(dialect)?,
        direction: match call.direction {
            Direction::Inbound => store::Direction::Inbound,
            Direction::Outbound => store::Direction::Outbound,
        },
        from: call.from.clone(),
        to: call.to.clone(),
        caller_name: Some(call.caller_name.clone()).filter(|name| !name.is_empty()),
        request_id: call.request_uuid.clone(),
        app_id: app_id.map(str::to_owned),
        state: if call.ended_at.is_some() { Life::Ended } else { Life::Live },
        status: status.to_owned(),
        initiated_at: Timestamp::from_micros(call.began_at),
        answered_at: call.answered_at.map(Timestamp::from_micros),
        ended_at: call.ended_at.map(Timestamp::from_micros),
        hangup_cause: call.cause.as_ref().and_then(word),
        extra: json!({ "view": call }),
    })
}

fn ledger_entry(account: AccountId, room: RoomId, note: LedgerNote) -> LedgerEntry {
    LedgerEntry {
        id: Default::default(),
        account,
        room,
        shard: u32::from(note.applied.shard),
        tick: i64::try_from(note.applied.tick).unwrap_or(i64::MAX),
        at: Timestamp::from_micros(note.applied.at),
        who_kind: note.by.kind,
        who_id: note.by.id,
        command_id: note.command_id,
        kind: LedgerKind::Snapshot,
        change: serde_json::to_value(&note.hearing).unwrap_or(Json::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_of_a_tick_that_has_not_come_yet_is_due_at_once() {
        let room = Subject::Room("9b2e1c64-8f0a-4b57-8d8e-2f6f0c4d7a11".parse().expect("a room's id"));
        let clock = Clock::default();
        let made = |at: i64| {
            let what = (Fetch::new("http://127.0.0.1/events", Method::Post), dialect::Body::Nothing);
            let account = "0c1d6a52-53c4-4e0f-9a39-6a3f5a2a7b10".parse().expect("an account's id");
            delivery(account, room, "plivo", what, at, clock).expect("made").created_at
        };
        let now = clock.utc();
        let ahead = made(now + 20_000_000);
        assert!(ahead.micros() >= now && ahead.micros() <= clock.utc(), "{ahead:?}");
        assert_eq!(made(now - 5_000_000).micros(), now - 5_000_000);
    }
}
