//! What the store remembers, as this dialect needs it. The only file that knows the store.

use async_trait::async_trait;
use call::dialect::{CallView, MemberView, RoomView};
use call::stored;
use conference::{EndCause, LeaveCause, Role};
use store::{AccountId, MemberFilter, Page, RoomFilter, RoomStatus, Store, StoreError, TimeRange, Timestamp};

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The store's id of the main account.
    pub account: String,
    /// The main account's auth id.
    pub main_auth_id: String,
    /// The auth id that was proved: main or sub-account.
    pub auth_id: String,
}

impl Identity {
    /// Whether it is the main account.
    pub fn is_main(&self) -> bool {
        self.auth_id == self.main_auth_id
    }
}

/// Bounds of a time, UTC microseconds; all that are given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Between {
    /// Later than.
    pub gt: Option<i64>,
    /// Not earlier than.
    pub gte: Option<i64>,
    /// Earlier than.
    pub lt: Option<i64>,
    /// Not later than.
    pub lte: Option<i64>,
}

/// A room's state, as filters name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its members wait.
    Initialized,
    /// Its members are connected.
    Active,
    /// Over.
    Ended,
}

/// Which rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this (sub-)account alone.
    pub auth_id: Option<String>,
    /// Of this name.
    pub name: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Ended for one of these causes.
    pub causes: Option<Vec<EndCause>>,
    /// Opened then.
    pub opened: Between,
    /// Ended then.
    pub ended: Between,
}

/// A stay in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// `member_id`.
    pub number: i64,
    /// The call.
    pub call_uuid: String,
    /// Its role.
    pub role: Option<Role>,
    /// Number or SIP URI of the person.
    pub address: String,
    /// Whether it coaches.
    pub coaching: bool,
    /// Muted.
    pub muted: bool,
    /// On hold.
    pub held: bool,
    /// Starts the room.
    pub start_on_enter: bool,
    /// Ends the room.
    pub end_on_exit: bool,
    /// When it entered.
    pub joined_at: Option<i64>,
    /// When it left.
    pub left_at: Option<i64>,
    /// Why it left.
    pub leave_cause: Option<LeaveCause>,
}

impl From<MemberView> for Participant {
    fn from(member: MemberView) -> Self {
        Self {
            number: member.number,
            call_uuid: member.call_uuid,
            role: member.role,
            address: member.address,
            coaching: member.coaching,
            muted: member.muted,
            held: member.held,
            start_on_enter: member.start_on_enter,
            end_on_exit: member.end_on_exit,
            joined_at: member.joined_at,
            left_at: member.left_at,
            leave_cause: member.leave_cause,
        }
    }
}

/// The database failed; its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RecordsError(pub String);

impl From<StoreError> for RecordsError {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

/// What is asked of the store. Every reading but the first takes the main account's id.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// The enabled account that these credentials name.
    async fn authenticate(&self, auth_id: &str, auth_token: &str) -> Result<Option<Identity>, RecordsError>;
    /// Whether `auth_id` is a sub-account of `account`.
    async fn has_sub_account(&self, account: &str, auth_id: &str) -> Result<bool, RecordsError>;
    /// Rooms, live and ended, newest first, and how many there are in all.
    async fn rooms(
        &self,
        account: &str,
        wanted: &Wanted,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<RoomView>, u64), RecordsError>;
    /// A room life.
    async fn room(&self, account: &str, uuid: &str) -> Result<Option<RoomView>, RecordsError>;
    /// All stays in a room life, in order of entry.
    async fn participants(&self, account: &str, room: &str) -> Result<Vec<Participant>, RecordsError>;
    /// A call, live or ended.
    async fn call(&self, account: &str, uuid: &str) -> Result<Option<CallView>, RecordsError>;
}

#[async_trait]
impl Records for Store {
    async fn authenticate(&self, auth_id: &str, auth_token: &str) -> Result<Option<Identity>, RecordsError> {
        let Some(account) = Store::authenticate(self, auth_id, auth_token).await? else { return Ok(None) };
        let main = match account.parent {
            None => account.auth_id.clone(),
            Some(parent) => match self.account(parent).await? {
                Some(main) => main.auth_id,
                None => return Ok(None),
            },
        };
        Ok(Some(Identity { account: account.main().to_string(), main_auth_id: main, auth_id: account.auth_id }))
    }

    async fn has_sub_account(&self, account: &str, auth_id: &str) -> Result<bool, RecordsError> {
        let Ok(account) = account.parse::<AccountId>() else { return Ok(false) };
        Ok(self.account_by_auth_id(auth_id).await?.is_some_and(|sub| sub.parent == Some(account)))
    }

    async fn rooms(
        &self,
        account: &str,
        wanted: &Wanted,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<RoomView>, u64), RecordsError> {
        let Ok(account) = account.parse::<AccountId>() else { return Ok((Vec::new(), 0)) };
        let sub_account = match &wanted.auth_id {
            None => None,
            Some(auth_id) => match self.account_by_auth_id(auth_id).await?.filter(|sub| sub.parent == Some(account)) {
                Some(sub) => Some(sub.id),
                None => return Ok((Vec::new(), 0)),
            },
        };
        // No cause of these can be met.
        if wanted.causes.as_ref().is_some_and(Vec::is_empty) {
            return Ok((Vec::new(), 0));
        }
        let causes = wanted.causes.iter().flatten();
        let filter = RoomFilter {
            // What connects two calls of another dialect is no multiparty call.
            named: true,
            sub_account,
            name: wanted.name.clone(),
            status: wanted.state.map(|state| match state {
                State::Initialized => RoomStatus::Initialized,
                State::Active => RoomStatus::Active,
                State::Ended => RoomStatus::Ended,
            }),
            termination_causes: causes.map(|cause| stored::word(cause).unwrap_or_default()).collect(),
            created: range(wanted.opened),
            ended: range(wanted.ended),
        };
        let found = Store::rooms(self, account, filter, Page { limit, offset }).await?;
        Ok((found.items.iter().map(stored::room).collect(), found.total))
    }

    async fn room(&self, account: &str, uuid: &str) -> Result<Option<RoomView>, RecordsError> {
        let (Ok(account), Ok(room)) = (account.parse(), uuid.parse()) else { return Ok(None) };
        Ok(Store::room(self, account, room).await?.as_ref().map(stored::room))
    }

    async fn participants(&self, account: &str, room: &str) -> Result<Vec<Participant>, RecordsError> {
        let (Ok(account), Ok(room)) = (account.parse(), room.parse()) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        loop {
            let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let page = Page { limit: store::PAGE_LIMIT, offset };
            let found = self.members(account, room, MemberFilter::default(), page).await?;
            let last = found.items.is_empty();
            all.extend(found.items.iter().map(|row| Participant::from(stored::member(row, None))));
            if last || all.len() as u64 >= found.total {
                return Ok(all);
            }
        }
    }

    async fn call(&self, account: &str, uuid: &str) -> Result<Option<CallView>, RecordsError> {
        let (Ok(account), Ok(call)) = (account.parse(), uuid.parse()) else { return Ok(None) };
        Ok(Store::call(self, account, call).await?.as_ref().map(stored::call))
    }
}

fn range(between: Between) -> TimeRange {
    let at = |bound: Option<i64>| bound.map(Timestamp::from_micros);
    TimeRange { gt: at(between.gt), gte: at(between.gte), lt: at(between.lt), lte: at(between.lte) }
}
