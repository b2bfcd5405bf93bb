//! Who takes part, from when, and how long: members that are not prepared, moderators, limits, the end that is put off.

use serde_json::Value as Json;

use super::*;

fn plain() -> Entry {
    Entry::default()
}

/// Asks until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < SOON, "{what}");
        tokio::task::yield_now().await;
    }
}

/// Each event's kind, and how many members took part then.
fn counts(log: &[store::Event]) -> Vec<(&str, u64)> {
    log.iter().map(|event| (event.kind.as_str(), event.payload["room"]["members"].as_u64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_not_prepared_takes_part_from_its_admission_and_is_admitted_once() {
    let house = House::open(config(42_100)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (first, _first) = house.enters_as(&room, plain(), MemberSettings::default()).await;
    let first = first.unwrap();
    let unprepared = Entry { preparing: true, ..plain() };
    let (second, _second) = house.enters_as(&room, unprepared, MemberSettings::default()).await;
    let second = second.unwrap();
    assert!(second.started);
    let admitted = async || {
        let members = room.snapshot().await.unwrap().members;
        members.iter().map(|member| member.admitted).collect::<Vec<_>>()
    };
    let hears = async || {
        let rows = room.hearing().await.unwrap().rows;
        rows.iter().map(|row| !row.hears.is_empty()).collect::<Vec<_>>()
    };
    assert_eq!((admitted().await, hears().await), (vec![true, false], vec![false, false]));
    assert_eq!(room.snapshot().await.unwrap().room.members, 1);
    for _ in 0..3 {
        assert!(room.admit(second.member, Asker::server()).await.unwrap().confirmed);
    }
    assert_eq!((admitted().await, hears().await), (vec![true, true], vec![true, true]));
    assert_eq!(room.snapshot().await.unwrap().room.members, 2);
    assert_eq!(
        counts(&house.log(&room).await),
        [
            ("room.opened", 0),
            ("member.joined", 0),
            ("room.started", 0),
            ("member.admitted", 1),
            ("member.joined", 1),
            ("member.admitted", 2)
        ]
    );
    // Who is gone cannot be admitted.
    room.leave(second.member, LeaveCause::Hangup).await;
    assert!(room.admit(second.member, Asker::server()).await.is_err());
    let _ = first;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_number_of_members_that_take_part_is_told_with_everything_that_happens() {
    let house = House::open(config(42_300)).await;
    let room = house.room_of("jambonz", Policy { stay_alone: true, ..Policy::default() });
    let waiting = Entry { start_on_enter: false, ..plain() };
    let unprepared = Entry { preparing: true, ..waiting.clone() };
    let (waits, _waits) = house.enters_as(&room, waiting, MemberSettings::default()).await;
    let (prepares, _prepares) = house.enters_as(&room, unprepared, MemberSettings::default()).await;
    let (waits, prepares) = (waits.unwrap(), prepares.unwrap());
    assert!(!waits.started && !prepares.started);
    let (starts, _starts) = house.enters_as(&room, plain(), MemberSettings::default()).await;
    assert!(starts.unwrap().started);
    // One who took part leaves, then one who never did.
    room.leave(waits.member, LeaveCause::Hangup).await;
    room.leave(prepares.member, LeaveCause::Hangup).await;
    // Answered in the order of the changes.
    room.hearing().await.unwrap();
    until("both have left", async || {
        house.events(&room).await.iter().filter(|kind| *kind == "member.left").count() == 2
    })
    .await;
    assert_eq!(
        counts(&house.log(&room).await),
        [
            ("room.opened", 0),
            ("member.joined", 0),
            ("member.joined", 0),
            ("member.joined", 0),
            ("room.started", 0),
            ("member.admitted", 1),
            ("member.admitted", 2),
            ("member.left", 1),
            ("member.left", 1)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_program_is_told_of_is_in_no_log_and_takes_no_number_from_the_others() {
    let house = House::open(config(42_500)).await;
    let room = house.room(Policy::default());
    let (customer, _customers) = house.enters(&room, Role::Customer).await;
    let unprepared = Entry { preparing: true, ..plain() };
    let (second, _second) = house.enters_as(&room, unprepared, MemberSettings::default()).await;
    room.admit(second.unwrap().member, Asker::server()).await.unwrap();
    room.change(Whom::Members(vec![customer.number]), mute(true), Asker::server()).await.unwrap();
    let log = house.log(&room).await;
    let told: Vec<_> = log.iter().map(|e| (e.kind.as_str(), e.payload["sequence"].as_u64().unwrap())).collect();
    assert_eq!(
        told,
        [("room.opened", 1), ("member.joined", 2), ("room.started", 3), ("member.joined", 4), ("member.muted", 5)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waited_is_told_of_the_start_and_whoever_brought_it_is_not() {
    let house = House::open(config(42_700)).await;
    let room = house.room(Policy::default());
    let waiting = || Entry { start_on_enter: false, ..plain() };
    let (one, mut ones) = house.enters_as(&room, waiting(), MemberSettings::default()).await;
    let (two, mut twos) = house.enters_as(&room, waiting(), MemberSettings::default()).await;
    assert!(!one.unwrap().started && !two.unwrap().started);
    let (starter, mut starters) = house.enters_as(&room, plain(), MemberSettings::default()).await;
    let (later, mut laters) = house.enters_as(&room, waiting(), MemberSettings::default()).await;
    assert!(starter.unwrap().started && later.unwrap().started);
    room.end(Asker::server()).await.unwrap();
    let next = async |messages: &mut mpsc::Receiver<CallMessage>| {
        tokio::time::timeout(SOON, messages.recv()).await.expect("nothing is told").expect("nobody tells any more")
    };
    for messages in [&mut ones, &mut twos] {
        let told = next(messages).await;
        assert!(matches!(told, CallMessage::RoomStarted(started) if started == room.uuid()));
    }
    // The first that each of them hears of is the end.
    for messages in [&mut ones, &mut twos, &mut starters, &mut laters] {
        assert!(matches!(next(messages).await, CallMessage::LeftRoom(_, LeaveCause::RoomEnded)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_for_all_but_moderators_leaves_those_as_they_are() {
    let house = House::open(config(42_900)).await;
    let room = house.room(Policy::default());
    let moderates = MemberSettings { moderator: true, ..MemberSettings::default() };
    let (one, _one) = house.enters_as(&room, plain(), MemberSettings::default()).await;
    let (moderator, _moderator) = house.enters_as(&room, plain(), moderates).await;
    let (two, _two) = house.enters_as(&room, plain(), MemberSettings::default()).await;
    let (one, moderator, two) = (one.unwrap().number, moderator.unwrap().number, two.unwrap().number);
    let muted = async || {
        let members = room.snapshot().await.unwrap().members;
        members.iter().filter(|member| member.muted).map(|member| member.number).collect::<Vec<_>>()
    };
    room.change(Whom::NoModerators, mute(true), Asker::server()).await.unwrap();
    assert_eq!(muted().await, [one, two]);
    room.change(Whom::All, mute(true), Asker::server()).await.unwrap();
    room.change(Whom::NoModerators, mute(false), Asker::server()).await.unwrap();
    assert_eq!(muted().await, [moderator]);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_may_stay_for_a_while_when_a_departure_ends_the_room() {
    let house = House::open(config(43_100)).await;
    let grace = Duration::from_millis(1500);
    for kicked in [false, true] {
        let room = house.room(Policy { stay_alone: true, ..Policy::default() });
        let duty = Entry { end_on_exit: true, ..plain() };
        let lenient = MemberSettings { end_grace: Some(grace), ..MemberSettings::default() };
        let (leaves, mut leaver) = house.enters_as(&room, duty, lenient).await;
        let (stays, mut stayer) = house.enters_as(&room, plain(), MemberSettings::default()).await;
        let (leaves, stays) = (leaves.unwrap(), stays.unwrap());
        let began = Instant::now();
        if kicked {
            room.kick(Whom::Members(vec![leaves.number]), Asker::server()).await.unwrap();
            let told = tokio::time::timeout(SOON, leaver.recv()).await.unwrap();
            assert!(matches!(told, Some(CallMessage::LeftRoom(_, LeaveCause::Kicked))));
        } else {
            room.leave(leaves.member, LeaveCause::Hangup).await;
        }
        // Still a room: somebody may come, and does not put the end off.
        let (late, _late) = house.enters_as(&room, plain(), MemberSettings::default()).await;
        let numbers: Vec<_> = room.snapshot().await.unwrap().members.iter().map(|member| member.number).collect();
        assert_eq!(numbers, [stays.number, late.unwrap().number]);
        tokio::time::timeout(SOON, room.gone()).await.expect("the room does not end");
        assert!(began.elapsed() >= grace, "it ended after {:?}", began.elapsed());
        let told = tokio::time::timeout(SOON, stayer.recv()).await.unwrap();
        assert!(matches!(told, Some(CallMessage::LeftRoom(_, LeaveCause::RoomEnded))));
        let row = house.store.room(house.account.id, room.uuid().parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(row.termination_cause, crate::stored::word(&EndCause::EndOnExit));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_may_bring_the_limit_of_members_with_it() {
    let house = House::open(config(43_300)).await;
    let room = house.room(Policy { max_members: 10, ..Policy::default() });
    let (_first, _firsts) = house.enters(&room, Role::Customer).await;
    let limit = |max| MemberSettings { max_members: Some(max), ..MemberSettings::default() };
    let (second, _second) = house.enters_as(&room, plain(), limit(2)).await;
    second.unwrap();
    let (third, _third) = house.enters_as(&room, plain(), limit(20)).await;
    assert!(matches!(third, Err(CommandError::Conflict(_) | CommandError::Busy(_))), "{third:?}");
    let shown = room.snapshot().await.unwrap();
    assert_eq!((shown.room.max_members, shown.members.len()), (2, 2), "who is refused changes nothing");
    let joined = house.log(&room).await.into_iter().filter(|event| event.kind == "member.joined").collect::<Vec<_>>();
    assert_eq!(joined.iter().map(|event| &event.payload["room"]["max_members"]).collect::<Vec<&Json>>(), [10, 2]);
}
