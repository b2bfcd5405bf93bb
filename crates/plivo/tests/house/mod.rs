//! A small house of accounts and rooms behind the REST interface.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use call::command::*;
use call::dialect::{CallState, CallView, Direction, MemberView, RoomView};
use conference::{EndCause, LeaveCause, MemberId, Role};
use plivo::control::Control;
use plivo::records::{Identity, Participant, Records, RecordsError, State, Wanted};
use plivo::{Api, Rate};
use tokio::sync::Semaphore;

pub const MAIN: &str = "MAAAAAAAAAAAAAAAAAAA";
pub const SUB: &str = "SAAAAAAAAAAAAAAAAAAA";
pub const OTHER: &str = "MABBBBBBBBBBBBBBBBBB";
pub const AT: i64 = 1_700_000_000_000_000;
pub const LIVE: &str = "11111111-1111-4111-8111-111111111111";
pub const OVER: &str = "22222222-2222-4222-8222-222222222222";
pub const SUBS: &str = "33333333-3333-4333-8333-333333333333";
pub const CALL: &str = "44444444-4444-4444-8444-444444444444";
pub const ENDED_CALL: &str = "55555555-5555-4555-8555-555555555555";

pub fn room(uuid: &str, name: &str, auth_id: &str, ended: bool) -> RoomView {
    RoomView {
        uuid: uuid.to_owned(),
        name: name.to_owned(),
        auth_id: auth_id.to_owned(),
        started: true,
        opened_at: AT,
        started_at: Some(AT + 1_000_000),
        ended_at: ended.then_some(AT + 394_000_000),
        end_cause: ended.then_some(EndCause::Alone),
        callbacks: None,
        stay_alone: false,
        members: 0,
        unnamed: false,
        max_members: 10,
        max_duration_s: Some(14_400),
    }
}

pub fn member(number: i64, role: Role) -> MemberView {
    MemberView {
        number,
        id: MemberId(1),
        role: Some(role),
        tag: None,
        call_uuid: CALL.to_owned(),
        address: "+4915112345".to_owned(),
        from: "4930".to_owned(),
        to: "4915112345".to_owned(),
        direction: Direction::Outbound,
        coaching: role == Role::Supervisor,
        muted: false,
        held: false,
        joined_at: Some(AT),
        left_at: None,
        leave_cause: None,
        start_on_enter: true,
        end_on_exit: false,
        admitted: true,
        callbacks: None,
    }
}

pub fn call(uuid: &str, ended: bool) -> CallView {
    CallView {
        auth_id: MAIN.to_owned(),
        main_auth_id: MAIN.to_owned(),
        from: "+4930".to_owned(),
        to: "+4940".to_owned(),
        caller_name: "Ann".to_owned(),
        state: if ended { CallState::Ended } else { CallState::InProgress },
        answered_at: Some(AT),
        ended_at: ended.then_some(AT + 66_000_000),
        cause: ended.then_some(call::cause::HangupCause::RoomEnded),
        ..CallView::new(uuid.to_owned(), "account".to_owned(), Direction::Inbound, AT)
    }
}

/// What was asked of rooms and calls.
#[derive(Clone, Debug, PartialEq)]
pub enum Did {
    Start,
    End,
    Change(Whom, MemberChange),
    Kick(Whom),
    Add(Box<AddMember>),
    Call(CallCommand),
}

pub struct House {
    pub rooms: Mutex<Vec<RoomSnapshot>>,
    pub did: Mutex<Vec<(String, Did)>>,
    pub fails_with: Mutex<Option<CommandError>>,
    /// Work waits here when there is none.
    pub gate: Semaphore,
    /// How many commands came as far as the gate.
    pub waiting: AtomicUsize,
    pub confirmed: bool,
}

impl Default for House {
    fn default() -> Self {
        let live = |uuid, name, auth_id, members| RoomSnapshot {
            room: room(uuid, name, auth_id, false),
            members,
            expected: 0,
            pending: false,
        };
        let members = vec![member(1, Role::Customer), member(2, Role::Agent), member(3, Role::Supervisor)];
        Self {
            rooms: Mutex::new(vec![live(LIVE, "support", MAIN, members), live(SUBS, "subs", SUB, Vec::new())]),
            did: Mutex::default(),
            fails_with: Mutex::default(),
            gate: Semaphore::new(1_000_000),
            waiting: AtomicUsize::new(0),
            confirmed: true,
        }
    }
}

impl House {
    pub fn api(self: &Arc<Self>) -> Arc<Api> {
        self.api_with(plivo::RATE)
    }

    pub fn api_with(self: &Arc<Self>, rate: Rate) -> Arc<Api> {
        Arc::new(Api::new(self.clone(), Arc::new(Books), rate))
    }

    pub fn done(&self) -> Vec<Did> {
        self.did.lock().unwrap().iter().map(|(_, did)| did.clone()).collect()
    }

    async fn act(&self, account: &AccountRef, did: Did) -> Result<Applied, CommandError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        if let Some(error) = self.fails_with.lock().unwrap().clone() {
            return Err(error);
        }
        self.did.lock().unwrap().push((account.auth_id.clone(), did));
        Ok(Applied { confirmed: self.confirmed, shard: 0, tick: 1, at: AT })
    }
}

#[async_trait]
impl Control for House {
    async fn room(&self, account: &AccountRef, room: &RoomRef) -> Result<Option<RoomSnapshot>, CommandError> {
        if account.id != "main" {
            return Ok(None);
        }
        let rooms = self.rooms.lock().unwrap();
        Ok(rooms
            .iter()
            .find(|there| match room {
                RoomRef::Name(name) => there.room.name == *name,
                RoomRef::Uuid(uuid) => there.room.uuid == *uuid,
            })
            .cloned())
    }

    async fn start(&self, account: &AccountRef, _: &RoomRef, _: Asker) -> Result<Applied, CommandError> {
        self.act(account, Did::Start).await
    }

    async fn end(&self, account: &AccountRef, _: &RoomRef, _: Asker) -> Result<Applied, CommandError> {
        self.act(account, Did::End).await
    }

    async fn change(
        &self,
        account: &AccountRef,
        _: &RoomRef,
        whom: Whom,
        change: MemberChange,
        _: Asker,
    ) -> Result<Applied, CommandError> {
        self.act(account, Did::Change(whom, change)).await
    }

    async fn kick(&self, account: &AccountRef, _: &RoomRef, whom: Whom, _: Asker) -> Result<Applied, CommandError> {
        self.act(account, Did::Kick(whom)).await
    }

    async fn add_member(&self, account: &AccountRef, add: AddMember, _: Asker) -> Result<Added, CommandError> {
        self.act(account, Did::Add(Box::new(add.clone()))).await?;
        let leg = |n: usize, to: &str, from: &str, member| AddedCall {
            to: to.to_owned(),
            from: from.to_owned(),
            call_uuid: format!("leg-{n}"),
            member,
        };
        let calls = match &add.who {
            Newcomer::Dialled(dial) => {
                dial.destinations.iter().enumerate().map(|(n, to)| leg(n, &to.to, &dial.from, None)).collect()
            }
            Newcomer::Call(uuid) => vec![AddedCall { call_uuid: uuid.clone(), ..leg(0, "4940", "4930", Some(9)) }],
        };
        Ok(Added { request_uuid: "request".to_owned(), calls, room_uuid: LIVE.to_owned() })
    }

    async fn call(&self, account: &AccountRef, uuid: &str) -> Option<CallSnapshot> {
        (account.id == "main" && uuid == CALL).then(|| CallSnapshot { call: call(CALL, false), room_uuid: None })
    }

    async fn command_call(
        &self,
        account: &AccountRef,
        _: &str,
        command: CallCommand,
        _: Asker,
    ) -> Result<(), CommandError> {
        self.act(account, Did::Call(command)).await.map(drop)
    }
}

/// The accounts, and what is over.
pub struct Books;

#[async_trait]
impl Records for Books {
    async fn authenticate(&self, auth_id: &str, auth_token: &str) -> Result<Option<Identity>, RecordsError> {
        let known = HashMap::from([(MAIN, ("main", MAIN)), (SUB, ("main", MAIN)), (OTHER, ("other", OTHER))]);
        Ok(known.get(auth_id).filter(|_| auth_token == "token").map(|(account, main)| Identity {
            account: (*account).to_owned(),
            main_auth_id: (*main).to_owned(),
            auth_id: auth_id.to_owned(),
        }))
    }

    async fn has_sub_account(&self, account: &str, auth_id: &str) -> Result<bool, RecordsError> {
        Ok(account == "main" && auth_id == SUB)
    }

    async fn rooms(
        &self,
        account: &str,
        wanted: &Wanted,
        limit: u32,
        offset: u32,
    ) -> Result<(Vec<RoomView>, u64), RecordsError> {
        let mut all =
            vec![room(LIVE, "support", MAIN, false), room(SUBS, "subs", SUB, false), room(OVER, "old", MAIN, true)];
        all.retain(|room| {
            account == "main"
                && wanted.auth_id.as_ref().is_none_or(|auth_id| *auth_id == room.auth_id)
                && wanted.name.as_ref().is_none_or(|name| *name == room.name)
                && wanted.state.is_none_or(|state| (state == State::Ended) == room.ended_at.is_some())
                && wanted
                    .causes
                    .as_ref()
                    .is_none_or(|causes| room.end_cause.is_some_and(|cause| causes.contains(&cause)))
                && wanted.opened.gt.is_none_or(|at| room.opened_at > at)
        });
        let count = all.len() as u64;
        Ok((all.into_iter().skip(offset as usize).take(limit as usize).collect(), count))
    }

    async fn room(&self, account: &str, uuid: &str) -> Result<Option<RoomView>, RecordsError> {
        Ok((account == "main" && uuid == OVER).then(|| room(OVER, "old", MAIN, true)))
    }

    async fn participants(&self, account: &str, uuid: &str) -> Result<Vec<Participant>, RecordsError> {
        assert_eq!(account, "main");
        let gone = MemberView {
            left_at: Some(AT + 30_000_000),
            leave_cause: Some(LeaveCause::Kicked),
            ..member(7, Role::Agent)
        };
        Ok(match uuid {
            OVER => vec![gone.into()],
            // The record of a member that is in lags behind.
            LIVE => vec![MemberView { muted: true, ..member(2, Role::Agent) }.into(), gone.into()],
            _ => Vec::new(),
        })
    }

    async fn call(&self, account: &str, uuid: &str) -> Result<Option<CallView>, RecordsError> {
        Ok((account == "main" && uuid == ENDED_CALL).then(|| call(ENDED_CALL, true)))
    }
}
