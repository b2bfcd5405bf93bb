//! The store behind the dialect's eyes.

use call::dialect::RoomView;
use conference::{EndCause, LeaveCause, Role};
use plivo::records::{Between, Records, State, Wanted};
use store::{
    Account, CallId, Dialect, MemberRecord, Page, RoomId, RoomRecord, RoomStatus, Store, StoreConfig, Timestamp,
};

const AT: i64 = 1_700_000_000_000_000;

fn row(account: &Account, name: &str, auth_id: &str, nth: i64, end: Option<EndCause>) -> RoomRecord {
    let at = |offset: i64| Timestamp::from_micros(AT + nth * 60_000_000 + offset);
    let view = RoomView {
        uuid: String::new(),
        name: name.to_owned(),
        auth_id: auth_id.to_owned(),
        started: true,
        opened_at: AT,
        started_at: None,
        ended_at: None,
        end_cause: None,
        callbacks: None,
        stay_alone: true,
        members: 0,
        unnamed: false,
        max_members: 5,
        max_duration_s: Some(300),
    };
    RoomRecord {
        account: account.id,
        id: RoomId::generate(),
        sub_account: None,
        name: name.to_owned(),
        dialect: Dialect::Plivo,
        status: if end.is_some() { RoomStatus::Ended } else { RoomStatus::Active },
        created_at: at(0),
        started_at: Some(at(1)),
        ended_at: end.map(|_| at(30_000_000)),
        termination_cause: end.map(|cause| serde_json::to_value(cause).unwrap().as_str().unwrap().to_owned()),
        settings: serde_json::json!({ "view": view }),
        sequence: 1,
        unnamed: false,
    }
}

#[tokio::test]
async fn accounts_rooms_and_participants_are_found_and_others_accounts_are_not() {
    let store = Store::open_temporary(StoreConfig::default()).unwrap();
    let now = Timestamp::from_micros(AT);
    let (main, other) =
        (Account::new("a", Some("a.example".to_owned()), now), Account::new("b", Some("b.example".to_owned()), now));
    let sub = main.new_sub("s", now);
    store.batch().put_account(main.clone()).put_account(other.clone()).put_account(sub.clone()).commit().await.unwrap();

    let records: &dyn Records = &store;
    let identity = records.authenticate(&sub.auth_id, sub.auth_token.reveal()).await.unwrap().unwrap();
    assert_eq!(
        (&identity.account, &identity.main_auth_id, identity.is_main()),
        (&main.id.to_string(), &main.auth_id, false)
    );
    assert!(records.authenticate(&main.auth_id, sub.auth_token.reveal()).await.unwrap().is_none());
    assert!(records.has_sub_account(&main.id.to_string(), &sub.auth_id).await.unwrap());
    assert!(!records.has_sub_account(&other.id.to_string(), &sub.auth_id).await.unwrap());

    let old = row(&main, "old", &main.auth_id, 0, Some(EndCause::Alone));
    let live = row(&main, "live", &main.auth_id, 1, None);
    let mut subs = row(&main, "subs", &sub.auth_id, 2, None);
    subs.sub_account = Some(sub.id);
    let member = MemberRecord {
        account: main.id,
        room: old.id,
        number: 1,
        member_id: 355,
        call: CallId::generate(),
        role: Some("agent".to_owned()),
        tag: None,
        address: "4940".to_owned(),
        coach: false,
        mute: true,
        hold: false,
        start_on_enter: true,
        end_on_exit: false,
        join_time: now,
        exit_time: Some(now),
        exit_cause: Some(serde_json::to_value(LeaveCause::Kicked).unwrap().as_str().unwrap().to_owned()),
    };
    let batch = store.batch().put_room(old.clone()).put_room(live.clone()).put_room(subs.clone()).put_member(member);
    batch.commit().await.unwrap();

    let account = main.id.to_string();
    let names = |wanted: Wanted| {
        let (store, account) = (store.clone(), account.clone());
        async move {
            let (rooms, count) = Records::rooms(&store, &account, &wanted, 20, 0).await.unwrap();
            assert_eq!(rooms.len() as u64, count);
            rooms.into_iter().map(|room| room.name).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(Wanted::default()).await, ["subs", "live", "old"]);
    assert_eq!(names(Wanted { state: Some(State::Active), ..Wanted::default() }).await, ["subs", "live"]);
    assert_eq!(names(Wanted { auth_id: Some(sub.auth_id.clone()), ..Wanted::default() }).await, ["subs"]);
    let nobodys = Wanted { auth_id: Some("SANOBODY0000000000000".to_owned()), ..Wanted::default() };
    assert!(names(nobodys).await.is_empty());
    assert!(names(Wanted { causes: Some(Vec::new()), ..Wanted::default() }).await.is_empty());
    assert_eq!(names(Wanted { causes: Some(vec![EndCause::Alone]), ..Wanted::default() }).await, ["old"]);
    assert_eq!(names(Wanted { name: Some("live".to_owned()), ..Wanted::default() }).await, ["live"]);
    let opened = Between { gt: Some(AT + 60_000_000), ..Between::default() };
    assert_eq!(names(Wanted { opened, ..Wanted::default() }).await, ["subs"]);
    let (page, count) =
        Records::rooms(&store, &account, &Wanted { causes: None, ..Wanted::default() }, 1, 1).await.unwrap();
    assert_eq!((page[0].name.as_str(), count), ("live", 3));

    let found = records.room(&account, &old.id.to_string()).await.unwrap().unwrap();
    assert_eq!((found.end_cause, found.max_members, found.auth_id), (Some(EndCause::Alone), 5, main.auth_id.clone()));
    assert!(records.room(&other.id.to_string(), &old.id.to_string()).await.unwrap().is_none());
    assert!(records.room(&account, "no uuid").await.unwrap().is_none());
    let members = records.participants(&account, &old.id.to_string()).await.unwrap();
    assert_eq!(
        (members[0].number, members[0].role, members[0].leave_cause),
        (355, Some(Role::Agent), Some(LeaveCause::Kicked))
    );
    assert!(records.participants(&other.id.to_string(), &old.id.to_string()).await.unwrap().is_empty());
    assert!(store.rooms(other.id, store::RoomFilter::default(), Page::default()).await.unwrap().items.is_empty());
}
