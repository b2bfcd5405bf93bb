//! Batches: operations that are committed together or not at all.

use uuid::Uuid;

use crate::account::Account;
use crate::api_key::ApiKey;
use crate::application::Application;
use crate::bearer_key::BearerKey;
use crate::binding::Binding;
use crate::call::CallRecord;
use crate::endpoint::{Credential, Endpoint};
use crate::error::{Result, StoreError};
use crate::event::NewEvent;
use crate::id::{AccountId, DeliveryId, EventId, LedgerId, TrunkId};
use crate::invitation::Invitation;
use crate::ledger::LedgerEntry;
use crate::link::Link;
use crate::number::Number;
use crate::outbox::NewDelivery;
use crate::room::{MemberRecord, RoomRecord};
use crate::secret::Secret;
use crate::store::{Pending, Store};
use crate::time::Timestamp;
use crate::trunk::{Trunk, TrunkGrant};
use crate::writer::WriteContext;
use crate::{
    account, api_key, application, bearer_key, binding, call, endpoint, event, invitation, ledger, link, number,
    outbox, room, setting, trunk,
};

/// One operation of a batch. "Put" inserts the row or replaces the one with the same key.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is what the builder method of the same name does")]
pub enum Op {
    PutAccount(Account),
    PutApiKey(ApiKey),
    DeleteApiKey(AccountId, String),
    TouchApiKey(AccountId, String, Timestamp),
    PutBearerKey(BearerKey),
    DeleteBearerKey(Option<AccountId>, Uuid),
    TouchBearerKey(Uuid, Timestamp),
    PutApplication(Application),
    DetachApplication(AccountId, String),
    DeleteApplication(AccountId, String),
    PutEndpoint(Endpoint, Option<Vec<Credential>>),
    DeleteEndpoint(AccountId, String),
    PutBinding(Binding),
    DeleteBindings(AccountId, String, Option<String>),
    PutNumber(Number),
    DeleteNumber(AccountId, String),
    PutTrunk(Trunk),
    DeleteTrunk(AccountId, TrunkId),
    GrantTrunk { owner: AccountId, grant: TrunkGrant },
    WithdrawTrunk { owner: AccountId, account: AccountId, trunk: TrunkId },
    PutCall(CallRecord),
    PutRoom(RoomRecord),
    PutMember(MemberRecord),
    AppendLedger(LedgerEntry),
    AppendEvent(NewEvent),
    Deliver { event: Option<EventId>, delivery: NewDelivery },
    PutInvitation(Invitation),
    PutLink(Link),
    DeleteLink(AccountId, Uuid),
    TouchLink(AccountId, Uuid, Timestamp),
    PutSetting(String, Secret),
    DeleteSetting(String),
}

const COMMITTING: &str = "committing a batch";

/// What a committed batch made, each list in the order of its operations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Of the appended events.
    pub event_ids: Vec<EventId>,
    /// Of the queued callbacks, without those that were dropped.
    pub delivery_ids: Vec<DeliveryId>,
    /// Callbacks that were dropped because too many waited already.
    pub dropped_deliveries: usize,
    /// Of the ledger entries.
    pub ledger_ids: Vec<LedgerId>,
}

/// A batch in the making; see [`Store::batch`].
#[derive(Clone, Debug)]
#[must_use = "nothing is written before commit"]
pub struct Batch {
    store: Store,
    ops: Vec<Op>,
}

macro_rules! builders {
    ($( $(#[$meta:meta])* $name:ident($($argument:ident: $type:ty),*) => $op:expr; )+) => { $(
        $(#[$meta])*
        pub fn $name(self, $($argument: $type),*) -> Self {
            self.push($op)
        }
    )+ };
}

impl Batch {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, ops: Vec::new() }
    }

    /// Adds an operation.
    pub fn push(mut self, op: Op) -> Self {
        self.ops.push(op);
        self
    }

    /// Adds operations.
    pub fn extend(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.ops.extend(ops);
        self
    }

    /// How many operations it has.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    builders! {
        /// Stores an account. `Conflict` if auth id or realm is taken.
        put_account(account: Account) => Op::PutAccount(account);
        /// Stores an API key.
        put_api_key(key: ApiKey) => Op::PutApiKey(key);
        /// Deletes an API key.
        delete_api_key(account: AccountId, id: &str) => Op::DeleteApiKey(account, id.to_owned());
        /// Notes that an API key was used; see [`ApiKey::needs_touch`].
        touch_api_key(account: AccountId, id: &str, now: Timestamp) => Op::TouchApiKey(account, id.to_owned(), now);
        /// Stores a bearer key.
        put_bearer_key(key: BearerKey) => Op::PutBearerKey(key);
        /// Deletes a bearer key of this account; without one, of the operator.
        delete_bearer_key(account: Option<AccountId>, sid: Uuid) => Op::DeleteBearerKey(account, sid);
        /// Notes that a bearer key was used; see [`BearerKey::needs_touch`].
        touch_bearer_key(sid: Uuid, now: Timestamp) => Op::TouchBearerKey(sid, now);
        /// Stores an application. `Conflict` if its name or an id is taken.
        put_application(application: Application) => Op::PutApplication(application);
        /// Takes an application away from every number and endpoint that has it, and deletes the links to it.
        detach_application(account: AccountId, app_id: &str) => Op::DetachApplication(account, app_id.to_owned());
        /// Deletes an application. `InUse` while a number or endpoint has it.
        delete_application(account: AccountId, app_id: &str) => Op::DeleteApplication(account, app_id.to_owned());
        /// Stores an endpoint; `credentials` replace those it had, `None` keeps them. `Conflict` if the username is taken in
        /// the account or in one of the realms.
        put_endpoint(endpoint: Endpoint, credentials: Option<Vec<Credential>>) => Op::PutEndpoint(endpoint, credentials);
        /// Deletes an endpoint with its credentials and bindings.
        delete_endpoint(account: AccountId, endpoint_id: &str) => Op::DeleteEndpoint(account, endpoint_id.to_owned());
        /// Stores a binding.
        put_binding(binding: Binding) => Op::PutBinding(binding);
        /// Deletes one binding.
        delete_binding(account: AccountId, endpoint_id: &str, contact: &str) =>
            Op::DeleteBindings(account, endpoint_id.to_owned(), Some(contact.to_owned()));
        /// Deletes all bindings of an endpoint, if it has any.
        delete_bindings(account: AccountId, endpoint_id: &str) => Op::DeleteBindings(account, endpoint_id.to_owned(), None);
        /// Stores a number. `Conflict` if it belongs to another account.
        put_number(number: Number) => Op::PutNumber(number);
        /// Deletes a number.
        delete_number(account: AccountId, number: &str) => Op::DeleteNumber(account, number.to_owned());
        /// Stores a trunk. `Conflict` if its name is taken.
        put_trunk(trunk: Trunk) => Op::PutTrunk(trunk);
        /// Deletes a trunk and the grants of it. `InUse` while a number comes in on it.
        delete_trunk(account: AccountId, trunk: TrunkId) => Op::DeleteTrunk(account, trunk);
        /// Lets another account use a trunk of `owner`.
        grant_trunk(owner: AccountId, grant: TrunkGrant) => Op::GrantTrunk { owner, grant };
        /// Ends such a leave.
        withdraw_trunk(owner: AccountId, account: AccountId, trunk: TrunkId) => Op::WithdrawTrunk { owner, account, trunk };
        /// Stores a call record.
        put_call(call: CallRecord) => Op::PutCall(call);
        /// Stores a room. `Conflict` if another live room of the account has its name.
        put_room(room: RoomRecord) => Op::PutRoom(room);
        /// Stores a member. `MissingReference` if the account has no such room.
        put_member(member: MemberRecord) => Op::PutMember(member);
        /// Appends to the ledger.
        append_ledger(entry: LedgerEntry) => Op::AppendLedger(entry);
        /// Appends an event.
        append_event(event: NewEvent) => Op::AppendEvent(event);
        /// Queues a callback for the event appended last in this batch; drops it, counted and told by an event, if too many wait
        /// already or its URL leads nowhere. `Invalid` if there is no event.
        deliver(delivery: NewDelivery) => Op::Deliver { event: None, delivery };
        /// Queues a callback for an event committed before.
        deliver_for(event: EventId, delivery: NewDelivery) => Op::Deliver { event: Some(event), delivery };
        /// Stores an invitation. `Invalid` if the account has [`crate::INVITATIONS`] open ones.
        put_invitation(invitation: Invitation) => Op::PutInvitation(invitation);
        /// Stores a link. `Conflict` if its name is taken, `MissingReference` if the account has no such application.
        put_link(link: Link) => Op::PutLink(link);
        /// Deletes a link.
        delete_link(account: AccountId, id: Uuid) => Op::DeleteLink(account, id);
        /// Notes that a link was used.
        touch_link(account: AccountId, id: Uuid, now: Timestamp) => Op::TouchLink(account, id, now);
        /// Stores a setting of the server.
        put_setting(key: &str, value: Secret) => Op::PutSetting(key.to_owned(), value);
        /// Deletes a setting, if there is one.
        delete_setting(key: &str) => Op::DeleteSetting(key.to_owned());
    }

    /// Queues the batch, at once and in the order of calls, and returns a future for its result. Batches of one caller are
    /// committed in the order in which `commit` was called.
    ///
    /// # Errors
    /// Through the future: `Busy`, `Unavailable` and `BatchTooLarge` before anything was done; else the first failing operation's error, after
    /// which nothing of the batch is kept and other batches are untouched.
    pub fn commit(self) -> Pending<Committed> {
        match self.size() {
            Ok(()) => self.store.clone().write(COMMITTING, self.work()),
            Err(error) => Pending::refused(error),
        }
    }

    /// [`Batch::commit`] of what must be recorded because it has happened: however long the database takes no writes, the batch
    /// keeps its place and is committed when it does again. `Err` gives the batch back while the queue is full; see
    /// [`Batch::owe_in_turn`].
    ///
    /// # Errors
    /// The batch itself. Through the future: as [`Batch::commit`], but never `Unavailable` before the store is closed.
    pub fn owe(self) -> std::result::Result<Pending<Committed>, Self> {
        if let Err(error) = self.size() {
            return Ok(Pending::refused(error));
        }
        let store = self.store.clone();
        match store.place_now() {
            Ok(place) => Ok(Pending::queued(place, COMMITTING, true, self.work())),
            Err(StoreError::Busy { .. }) => Err(self),
            Err(error) => Ok(Pending::refused(error)),
        }
    }

    /// [`Batch::owe`] that waits for a place in the queue. Whoever has several in order awaits each before the next.
    pub async fn owe_in_turn(self) -> Pending<Committed> {
        if let Err(error) = self.size() {
            return Pending::refused(error);
        }
        let store = self.store.clone();
        match store.place().await {
            Ok(place) => Pending::queued(place, COMMITTING, true, self.work()),
            Err(error) => Pending::refused(error),
        }
    }

    fn size(&self) -> Result<()> {
        let (size, limit) = (self.ops.len(), self.store.config().batch_limit);
        if size > limit { Err(StoreError::BatchTooLarge { size, limit }) } else { Ok(()) }
    }

    fn work(self) -> impl FnMut(&mut WriteContext<'_>) -> Result<Committed> + Send + 'static {
        let ops = self.ops;
        move |context| {
            let mut committed = Committed::default();
            for op in &ops {
                apply(context, op, &mut committed)?;
            }
            Ok(committed)
        }
    }
}

fn apply(context: &mut WriteContext<'_>, op: &Op, committed: &mut Committed) -> Result<()> {
    let conn = context.conn;
    match op {
        Op::PutAccount(row) => account::put(conn, row),
        Op::PutApiKey(row) => api_key::put(conn, row),
        Op::DeleteApiKey(account, id) => api_key::remove(conn, *account, id),
        Op::TouchApiKey(account, id, now) => api_key::touch(conn, *account, id, *now),
        Op::PutBearerKey(row) => bearer_key::put(conn, row),
        Op::DeleteBearerKey(account, sid) => bearer_key::remove(conn, *account, *sid),
        Op::TouchBearerKey(sid, now) => bearer_key::touch(conn, *sid, *now),
        Op::PutApplication(row) => application::put(conn, row),
        Op::DetachApplication(account, app_id) => application::detach(conn, *account, app_id),
        Op::DeleteApplication(account, app_id) => application::remove(conn, *account, app_id),
        Op::PutEndpoint(row, credentials) => endpoint::put(conn, row, credentials.as_deref()),
        Op::DeleteEndpoint(account, id) => endpoint::remove(conn, *account, id),
        Op::PutBinding(row) => binding::put(conn, row),
        Op::DeleteBindings(account, endpoint, contact) => binding::remove(conn, *account, endpoint, contact.as_deref()),
        Op::PutNumber(row) => number::put(conn, row),
        Op::DeleteNumber(account, number) => number::remove(conn, *account, number),
        Op::PutTrunk(row) => trunk::put(conn, row),
        Op::DeleteTrunk(account, id) => trunk::remove(conn, *account, *id),
        Op::GrantTrunk { owner, grant } => trunk::put_grant(conn, *owner, grant),
        Op::WithdrawTrunk { owner, account, trunk } => trunk::remove_grant(conn, *owner, *account, *trunk),
        Op::PutCall(row) => call::put(conn, row),
        Op::PutRoom(row) => room::put(conn, row),
        Op::PutMember(row) => room::put_member(conn, row),
        Op::AppendLedger(entry) => {
            committed.ledger_ids.push(ledger::append(conn, entry)?);
            Ok(())
        }
        Op::AppendEvent(row) => {
            let id = event::append(conn, row)?;
            context.last_event = Some(id);
            committed.event_ids.push(id);
            Ok(())
        }
        Op::Deliver { event, delivery } => {
            let event = event.or(committed.event_ids.last().copied()).ok_or_else(|| StoreError::Invalid {
                what: "delivery",
                why: "it belongs to no event: append the event first, in the same batch".to_owned(),
            })?;
            match outbox::enqueue(context, event, delivery)? {
                Some(id) => committed.delivery_ids.push(id),
                None => committed.dropped_deliveries += 1,
            }
            Ok(())
        }
        Op::PutInvitation(row) => invitation::put(conn, row),
        Op::PutLink(row) => link::put(conn, row),
        Op::DeleteLink(account, id) => link::remove(conn, *account, *id),
        Op::TouchLink(account, id, now) => link::touch(conn, *account, *id, *now),
        Op::PutSetting(key, value) => setting::put(conn, key, value.reveal()),
        Op::DeleteSetting(key) => setting::remove(conn, key),
    }
}
