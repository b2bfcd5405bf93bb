//! Full mailboxes, media that is gone, a database that takes no writes.

use conference::Room;
use rusqlite::Connection;

use super::*;
use crate::journal::{Backlog, Journal};
use crate::room::MediaFact;
use crate::room::sounds::is_for;

fn locked(store: &Store) -> Connection {
    let other = Connection::open(store.path()).unwrap();
    other.busy_timeout(SOON).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

async fn ended_by_fault(house: &House, room: &RoomHandle) {
    tokio::time::timeout(SOON, room.gone()).await.expect("the room does not end");
    let row = house.store.room(house.account.id, room.uuid().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(row.termination_cause, crate::stored::word(&EndCause::Fault));
}

// One thread: the actor takes nothing out of its mailbox while it is being filled.
#[tokio::test]
async fn a_failure_of_the_media_ends_a_room_whose_mailbox_is_full() {
    let house = House::open(config(40_900)).await;
    let room = house.room(Policy::default());
    let (customer, _customers) = house.enters(&room, Role::Customer).await;
    assert!(customer.applied.confirmed);
    let leg = house.media.add_leg(LegSetup { receive: false, send: false, ..plain_leg(&house.media) }).unwrap();
    while room.media_fact(MediaFact::Speaking(leg, true)) {}
    room.owe_fact(MediaFact::Failed("injected".to_owned()));
    ended_by_fault(&house, &room).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_finds_the_media_gone_is_refused_and_the_room_is_ended() {
    let house = House::open(config(41_100)).await;
    let room = house.room(Policy::default());
    let (customer, mut customers) = house.enters(&room, Role::Customer).await;
    let (_agent, _agents) = house.enters(&room, Role::Agent).await;
    house.media.close_room(room.media_room()).await.unwrap();
    let answer = room.change(Whom::Members(vec![customer.number]), mute(true), Asker::server()).await;
    assert!(answer.is_err(), "{answer:?}");
    ended_by_fault(&house, &room).await;
    let told = tokio::time::timeout(SOON, customers.recv()).await.expect("the call is not told");
    assert!(matches!(told, Some(CallMessage::LeftRoom(_, LeaveCause::RoomEnded))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_out_before_that_is_recorded_and_its_record_is_waited_for_a_second_at_most() {
    let house = House::open(config(41_300)).await;
    let room = house.room(Policy::default());
    let (customer, _customers) = house.enters(&room, Role::Customer).await;
    let (agent, _agents) = house.enters(&room, Role::Agent).await;
    let lock = locked(&house.store);
    // Behind a change that waits for the database already.
    let whom = Whom::Members(vec![customer.number]);
    let (busy, change) = (room.clone(), mute(true));
    let muting = tokio::spawn(async move { busy.change(whom, change, Asker::server()).await });
    while !room.snapshot().await.unwrap().members.iter().any(|member| member.muted) {
        tokio::task::yield_now().await;
    }
    let mut recorded = room.leave(agent.member, LeaveCause::Hangup).await;
    assert!(recorded.try_recv().is_err(), "out only when the database had its second");
    assert!(!muting.is_finished(), "out only after what was before it had its second");
    let began = Instant::now();
    recorded.await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert!(!muting.await.unwrap().unwrap().confirmed);
    drop(lock);
    let begun = Instant::now();
    while !house.events(&room).await.iter().any(|kind| kind == "member.left") {
        assert!(begun.elapsed() < SOON, "it is never recorded");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_admitted_however_much_waits_for_the_database() {
    let house = House::open(config(44_300)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (first, _firsts) = house.enters(&room, Role::Customer).await;
    let unprepared = Entry { preparing: true, ..Entry::default() };
    let (second, _seconds) = house.enters_as(&room, unprepared, MemberSettings::default()).await;
    let second = second.unwrap();
    let lock = locked(&house.store);
    let mut journal = Journal::new(room.identity.backlog.clone());
    let mut written = 0;
    while !journal.is_behind() {
        let batch = house.store.batch().put_setting(&format!("place-{written}"), store::Secret::new("here"));
        journal.write(house.engine.inner(), "test", batch, tokio::time::Instant::now()).await;
        written += 1;
        assert!(written < 10_000, "it is never behind");
    }
    let refused = room.change(Whom::Members(vec![first.number]), mute(true), Asker::server()).await;
    assert!(matches!(refused, Err(CommandError::Busy(_))), "{refused:?}");
    let admitted = tokio::time::timeout(SOON, room.admit(second.member, Asker::server())).await.expect("it waits");
    assert!(admitted.is_ok(), "{admitted:?}");
    assert!(room.snapshot().await.unwrap().members.iter().all(|member| member.admitted && !member.muted));
    drop(lock);
}

// One thread: the actor takes nothing out of its mailbox while it is being filled.
#[tokio::test]
async fn a_member_is_admitted_to_a_room_whose_mailbox_is_full() {
    let house = House::open(config(44_500)).await;
    let room = house.room_of("jambonz", Policy::default());
    let unprepared = Entry { preparing: true, ..Entry::default() };
    let (member, _messages) = house.enters_as(&room, unprepared, MemberSettings::default()).await;
    let member = member.unwrap();
    let nothing = MediaFact::PlayerEnded(media::PlayerId(9));
    while room.media_fact(nothing.clone()) {}
    assert!(matches!(room.snapshot().await, Err(CommandError::Busy(_))));
    let admitted = tokio::time::timeout(SOON, room.admit(member.member, Asker::server())).await.expect("it waits");
    assert!(admitted.is_ok(), "{admitted:?}");
    assert!(room.snapshot().await.unwrap().members.iter().all(|member| member.admitted));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_far_behind_holds_nobody_up_and_loses_nothing() {
    let house = House::open(config(41_500)).await;
    let inner = house.engine.inner();
    let lock = locked(&house.store);
    let mut journal = Journal::new(Backlog::default());
    let key = |number: usize| format!("place-{number}");
    let batch = |number: usize| house.store.batch().put_setting(&key(number), store::Secret::new("here"));
    let mut written = 0;
    while !journal.is_behind() {
        journal.write(inner, "test", batch(written), tokio::time::Instant::now()).await;
        written += 1;
        assert!(written < 10_000, "it is never behind");
    }
    let an_hour = tokio::time::Instant::now() + Duration::from_secs(3600);
    for _ in 0..100 {
        let write = journal.write(inner, "test", batch(written), an_hour);
        assert!(!tokio::time::timeout(SOON, write).await.expect("it is held up"));
        written += 1;
    }
    drop(lock);
    tokio::time::timeout(SOON, journal.queued()).await.expect("what was written is not queued");
    // Behind all of it; the queue is as full as it can be.
    let last = house.store.batch().put_setting("last", store::Secret::new("here"));
    last.owe_in_turn().await.await.unwrap();
    for number in 0..written {
        assert!(house.store.setting(&key(number)).await.unwrap().is_some(), "{number} of {written} is lost");
    }
}

#[test]
fn an_entry_is_told_to_nobody_whom_the_newcomer_has_ceased_to_speak_to_and_an_exit_to_whom_it_was_for() {
    let mut room = Room::open(Policy::default(), Duration::ZERO);
    let mut enters = |role| room.enter(Entry { role: Some(role), ..Entry::default() }, Duration::ZERO).unwrap();
    let (customer, agent, supervisor) = (enters(Role::Customer), enters(Role::Agent), enters(Role::Supervisor));
    assert!(is_for(&room, Some(supervisor), customer) && is_for(&room, Some(supervisor), agent));
    room.coach(supervisor, true, None).unwrap();
    assert!(!is_for(&room, Some(supervisor), customer), "the customer hears that a coach is there");
    assert!(is_for(&room, Some(supervisor), agent));
    room.leave(supervisor, LeaveCause::Hangup).unwrap();
    assert!(is_for(&room, None, customer));
}
