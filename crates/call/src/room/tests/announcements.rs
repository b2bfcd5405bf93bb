//! Sounds that a program lets everybody hear.

use media::{Repeat, Sound};
use serde_json::Value as Json;
use tokio::sync::oneshot;

use super::*;
use crate::room::{Announced, RoomNotice, Sounds};

/// So many short sounds, one after the other.
fn sounds(sounds: usize, repeat: Repeat) -> Sounds {
    let sound = || (Sound::silence(Duration::from_millis(40)), repeat);
    std::iter::repeat_with(sound).take(sounds).collect()
}

/// An announcement that is still being loaded, and the way for its sounds.
fn loading(house: &House, id: &str) -> (Announced, oneshot::Sender<Sounds>) {
    let (tell, sounds) = oneshot::channel();
    let notice = RoomNotice { spoken: false, id: Some(id.to_owned()), by: house.call() };
    (Announced { notice, sounds, replace: false }, tell)
}

/// One that is loaded.
fn announced(house: &House, id: &str, count: usize, repeat: Repeat) -> Announced {
    let (announced, tell) = loading(house, id);
    drop(tell.send(sounds(count, repeat)));
    announced
}

/// What was told of sounds for the room so far: the kind, and the program's name.
async fn told(house: &House, room: &RoomHandle) -> Vec<String> {
    let log = house.log(room).await.into_iter();
    let sounds = log.filter(|event| event.kind.starts_with("room.sound") || event.kind == "call.fault");
    let name = |detail: &Json| detail["id"].as_str().unwrap_or_default().to_owned();
    sounds.map(|event| format!("{} {}", event.kind, name(&event.payload["detail"]))).collect()
}

async fn told_until(house: &House, room: &RoomHandle, last: &str) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let told = told(house, room).await;
        if told.last().is_some_and(|told| told == last) {
            return told;
        }
        assert!(begun.elapsed() < SOON, "{last} is not told: {told:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_sound_one_after_the_other_and_each_is_told_to_begin_and_to_end() {
    let house = House::open(config(43_500)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (_customer, _customers) = house.enters(&room, Role::Customer).await;
    let (_agent, _agents) = house.enters(&room, Role::Agent).await;
    // One of three sounds, one that could not be had at all, one that is repeated.
    room.announce(announced(&house, "a", 3, Repeat::Times(1))).unwrap();
    room.announce(announced(&house, "b", 0, Repeat::Times(1))).unwrap();
    room.announce(announced(&house, "c", 1, Repeat::Times(3))).unwrap();
    let begun = |id: &str| format!("room.sound_started {id}");
    let over = |id: &str| format!("room.sound_finished {id}");
    let told = told_until(&house, &room, &over("c")).await;
    assert_eq!(told, [begun("a"), over("a"), begun("b"), over("b"), begun("c"), over("c")]);
    // The next is not behind anything any more.
    room.announce(announced(&house, "d", 1, Repeat::Times(1))).unwrap();
    assert_eq!(told_until(&house, &room, &over("d")).await[6..], [begun("d"), over("d")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_lasts_and_too_many_that_wait_are_refused_and_told() {
    let house = House::open(config(43_700)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (_customer, _customers) = house.enters(&room, Role::Customer).await;
    let (_agent, _agents) = house.enters(&room, Role::Agent).await;
    room.announce(announced(&house, "first", 1, Repeat::Forever)).unwrap();
    for n in 0..16 {
        room.announce(announced(&house, &n.to_string(), 1, Repeat::Times(1))).unwrap();
    }
    assert_eq!(told_until(&house, &room, "room.sound_started first").await.len(), 1);
    room.announce(announced(&house, "too many", 1, Repeat::Times(1))).unwrap();
    assert_eq!(told_until(&house, &room, "call.fault ").await, ["room.sound_started first", "call.fault "]);
    house.some_ticks().await;
    assert_eq!(told(&house, &room).await.len(), 2, "others wait for the first");
    // What waits is over with the room.
    room.end(Asker::server()).await.unwrap();
    tokio::time::timeout(SOON, room.gone()).await.expect("the room does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_in_place_of_others_ends_one_that_lasts_and_clears_what_waits() {
    let house = House::open(config(44_100)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (_customer, _customers) = house.enters(&room, Role::Customer).await;
    let (_agent, _agents) = house.enters(&room, Role::Agent).await;
    let instead = |id: &str, count, repeat| Announced { replace: true, ..announced(&house, id, count, repeat) };
    let begun = |id: &str| format!("room.sound_started {id}");
    let over = |id: &str| format!("room.sound_finished {id}");
    room.announce(announced(&house, "lasts", 2, Repeat::Forever)).unwrap();
    // As many as may wait: one more is left out, unless it takes their place.
    for n in 0..16 {
        room.announce(announced(&house, &n.to_string(), 1, Repeat::Times(1))).unwrap();
    }
    told_until(&house, &room, &begun("lasts")).await;
    room.announce(instead("other", 1, Repeat::Forever)).unwrap();
    let told = told_until(&house, &room, &begun("other")).await;
    assert_eq!(told, [begun("lasts"), over("lasts"), begun("other")]);
    room.announce(instead("last", 1, Repeat::Times(1))).unwrap();
    room.announce(announced(&house, "next", 1, Repeat::Times(1))).unwrap();
    let told = told_until(&house, &room, &over("next")).await;
    assert_eq!(told[3..], [over("other"), begun("last"), over("last"), begun("next"), over("next")]);
    // Where nothing sounds it is as any other.
    room.announce(instead("alone", 1, Repeat::Times(1))).unwrap();
    assert_eq!(told_until(&house, &room, &over("alone")).await[8..], [begun("alone"), over("alone")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_that_is_loaded_late_is_heard_in_its_turn() {
    let house = House::open(config(43_900)).await;
    let room = house.room_of("jambonz", Policy::default());
    let (_customer, _customers) = house.enters(&room, Role::Customer).await;
    let (_agent, _agents) = house.enters(&room, Role::Agent).await;
    let (slow, load_slow) = loading(&house, "slow");
    let (lost, give_up) = loading(&house, "lost");
    room.announce(slow).unwrap();
    room.announce(lost).unwrap();
    room.announce(announced(&house, "quick", 1, Repeat::Times(1))).unwrap();
    house.some_ticks().await;
    assert!(told(&house, &room).await.is_empty(), "a sound has overtaken the one before it");
    load_slow.send(sounds(2, Repeat::Times(1))).unwrap();
    let begun = |id: &str| format!("room.sound_started {id}");
    let over = |id: &str| format!("room.sound_finished {id}");
    assert_eq!(told_until(&house, &room, &over("slow")).await, [begun("slow"), over("slow")]);
    drop(give_up);
    let told = told_until(&house, &room, &over("quick")).await;
    assert_eq!(told[2..], [begun("lost"), over("lost"), begun("quick"), over("quick")]);
}
