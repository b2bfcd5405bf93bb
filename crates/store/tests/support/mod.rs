//! Rows to test with.
#![allow(dead_code)]

use serde_json::json;
use store::{
    Account, AccountId, Body, CallId, CallRecord, Dialect, Direction, Life, MemberRecord, Method, NewDelivery,
    NewEvent, RoomId, RoomRecord, RoomStatus, Store, StoreConfig, Subject, Timestamp,
};

/// Seconds after an arbitrary start.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_800_000_000_000_000 + seconds * 1_000_000)
}

pub fn open() -> Store {
    open_with(StoreConfig::default())
}

pub fn open_with(config: StoreConfig) -> Store {
    Store::open_temporary(config).expect("a temporary store opens")
}

pub async fn account(store: &Store, name: &str) -> AccountId {
    let account = Account::new(name, Some(format!("{name}.sip.test")), at(0));
    store.batch().put_account(account.clone()).commit().await.expect("an account is stored");
    account.id
}

pub fn room(account: AccountId, name: &str) -> RoomRecord {
    RoomRecord {
        account,
        id: RoomId::generate(),
        sub_account: None,
        name: name.to_owned(),
        dialect: Dialect::Plivo,
        status: RoomStatus::Initialized,
        created_at: at(1),
        started_at: None,
        ended_at: None,
        termination_cause: None,
        settings: json!({"stay_alone": false}),
        sequence: 0,
        unnamed: false,
    }
}

pub fn call(account: AccountId) -> CallRecord {
    CallRecord {
        account,
        id: CallId::generate(),
        sub_account: None,
        dialect: Dialect::Plivo,
        direction: Direction::Inbound,
        from: "14155550100".to_owned(),
        to: "14155550123".to_owned(),
        caller_name: Some("Zoë".to_owned()),
        request_id: None,
        app_id: None,
        state: Life::Live,
        status: "ringing".to_owned(),
        initiated_at: at(1),
        answered_at: None,
        ended_at: None,
        hangup_cause: None,
        extra: json!({}),
    }
}

pub fn member(room: &RoomRecord, number: u32, member_id: i64, call: CallId) -> MemberRecord {
    MemberRecord {
        account: room.account,
        room: room.id,
        number,
        member_id,
        call,
        role: Some("agent".to_owned()),
        tag: None,
        address: "14155550100".to_owned(),
        coach: false,
        mute: false,
        hold: false,
        start_on_enter: true,
        end_on_exit: false,
        join_time: at(2),
        exit_time: None,
        exit_cause: None,
    }
}

pub fn event(account: AccountId, room: Option<RoomId>, kind: &str) -> NewEvent {
    NewEvent { account, room, call: None, kind: kind.to_owned(), payload: json!({"n": 1}), created_at: at(1) }
}

pub fn delivery(account: AccountId, room: RoomId, url: &str, note: &str, created_at: Timestamp) -> NewDelivery {
    NewDelivery {
        account,
        sub_account: None,
        subject: Subject::Room(room),
        dialect: Dialect::Plivo,
        url: url.to_owned(),
        method: Method::Post,
        headers: vec![],
        body: Body::Form(vec![("EventName".to_owned(), note.to_owned())]),
        created_at,
    }
}

/// A directory that is removed at the end.
pub struct Directory(pub std::path::PathBuf);

impl Directory {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("aside-store-test-{}", store::id::uuid()));
        std::fs::create_dir_all(&path).expect("a directory is made");
        Self(path)
    }

    pub fn file(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
