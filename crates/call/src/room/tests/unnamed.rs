//! Rooms that connect two calls.

use conference::{EndCause, Policy};

use super::{House, SOON};
use crate::command::{AccountRef, Asker, RoomRef};
use crate::dialect::MemberView;
use crate::verb::{Join, JoinHooks, MemberSettings, RoomSettings};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_without_a_name_is_found_by_its_uuid_alone_and_harms_no_room_that_is_named_like_it() {
    let house = House::open(media::MediaConfig::default()).await;
    let account = AccountRef { id: house.account.id.to_string(), auth_id: house.account.auth_id.clone() };
    let inner = house.engine.inner();
    let join = |name: &str| Join {
        room: name.to_owned(),
        entry: conference::Entry::default(),
        room_settings: RoomSettings { policy: Policy::default(), ..RoomSettings::default() },
        member_settings: MemberSettings::default(),
        hooks: JoinHooks::default(),
    };
    let call = uuid::Uuid::new_v4().to_string();
    let opener = MemberView::expected(&join(""), &call, "1", "2");
    let bridge = inner.open_unnamed(&account.id, &account.auth_id, "plivo", opener).unwrap();
    let (uuid, name) = (RoomRef::Uuid(bridge.uuid().to_owned()), RoomRef::Name(bridge.name().to_owned()));
    assert!(bridge.is_unnamed() && house.engine.room(&account, &uuid).is_some());
    assert!(house.engine.room(&account, &name).is_none(), "it was found by its name");
    // Somebody names a room like that.
    let named = inner.find_or_open(&account.id, &account.auth_id, "plivo", &join(bridge.name()), None).unwrap();
    assert_ne!(named.uuid(), bridge.uuid());
    bridge.end_because(EndCause::Requested, Asker::server()).await.unwrap();
    tokio::time::timeout(SOON, bridge.gone()).await.unwrap();
    let found = house.engine.room(&account, &name).expect("the named room is gone");
    assert_eq!(found.uuid(), named.uuid());
    assert_eq!(house.engine.live_rooms(), 1);
}
