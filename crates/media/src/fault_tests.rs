//! A fault in one room's tick ends that room alone.

use std::time::Duration;

use crate::sim::{PhoneId, PhoneSetup, Simulator, Voice};
use crate::{
    BusId, Fact, LegId, MediaConfig, MediaError, Plan, PlanListener, PlanSource, RoomChange, RoomFault, RoomId,
    SourceRef, TapSetup,
};

fn room(sim: &mut Simulator, first: u8) -> (RoomId, Vec<(PhoneId, LegId)>) {
    let members: Vec<(PhoneId, LegId)> = (first..first + 2)
        .map(|n| {
            let phone = sim.phone(PhoneSetup::mu_law(n));
            sim.say(phone, Voice::Tone(400.0 + f64::from(n), -15.0));
            (phone, sim.call(phone, Some(0)).expect("a leg"))
        })
        .collect();
    let room = sim.plane().open_room_on(0).expect("a room");
    let legs: Vec<LegId> = members.iter().map(|(_, leg)| *leg).collect();
    let pending = sim.plane().change_room(room, change(1, &legs, legs.clone()));
    sim.wait(pending).expect("applied");
    (room, members)
}

fn change(revision: u64, legs: &[LegId], join: Vec<LegId>) -> RoomChange {
    let source = |leg: &LegId| PlanSource { source: SourceRef::Leg(*leg), bus: BusId(0), relay_digits: false };
    let listener = |leg: &LegId| PlanListener { ear: (*leg).into(), buses: vec![BusId(0)] };
    let plan = Plan {
        revision,
        buses: 1,
        sources: legs.iter().map(source).collect(),
        listeners: legs.iter().map(listener).collect(),
    };
    RoomChange { plan, join, ..RoomChange::default() }
}

fn simulator() -> Simulator {
    let config = MediaConfig {
        ports: 20_000..=20_999,
        max_legs_per_shard: 256,
        max_rooms_per_shard: 64,
        max_members_per_room: 128,
        ..MediaConfig::default()
    };
    Simulator::new(config).expect("a plane")
}

#[test]
fn a_panic_in_one_room_ends_it_alone_and_others_lose_no_packet() {
    let mut sim = simulator();
    // More rooms than sub-slots: some share one with the room that fails.
    let rooms: Vec<_> = (0..25).map(|n| room(&mut sim, n * 2 + 1)).collect();
    sim.run(Duration::from_secs(1));
    sim.facts();
    let failing = &rooms[7];
    let (_, mut reader) = sim.plane().open_tap(TapSetup::room(failing.0)).expect("a tap");
    sim.run(Duration::from_millis(100));
    let at = sim.now();
    sim.plane().inject_fault(failing.0, RoomFault::Panic).expect("injected");
    sim.run(Duration::from_secs(1));
    let facts = sim.facts();
    let failed: Vec<_> = facts.iter().filter(|f| matches!(f, Fact::RoomFailed { .. })).collect();
    assert!(
        matches!(failed[..], [Fact::RoomFailed { room, message }] if *room == failing.0 && message.contains("injected"))
    );
    for (id, members) in &rooms {
        for (phone, _) in members {
            let heard = sim.heard(*phone);
            let steps = heard.windows(2).filter(|w| w[0].at >= at);
            if *id == failing.0 {
                let later = heard.iter().filter(|p| p.at > at + Duration::from_millis(40));
                assert!(later.clone().count() > 40, "its legs live on");
                assert!(later.clone().all(|p| p.payload.iter().all(|w| *w == 0xff)), "and hear nothing");
            } else {
                for w in steps {
                    assert_eq!(w[1].at - w[0].at, Duration::from_millis(20), "no packet late or lost");
                    assert_eq!(w[1].sequence, w[0].sequence.wrapping_add(1));
                    assert!(w[1].payload.iter().any(|word| *word != 0xff));
                }
            }
        }
    }
    while reader.read().is_some() {}
    assert!(reader.ended() && sim.plane().metrics().taps == 0, "its taps end with it");
    let refused = sim.plane().open_tap(TapSetup::room(failing.0)).map(|(tap, _)| tap);
    assert!(matches!(refused, Err(MediaError::RoomFailed(_))), "{refused:?}");
    // The room answers with its failure; its legs can go on in a new one.
    let legs: Vec<LegId> = failing.1.iter().map(|(_, leg)| *leg).collect();
    let pending = sim.plane().change_room(failing.0, change(2, &legs, Vec::new()));
    assert!(matches!(sim.wait(pending), Err(MediaError::RoomFailed(_))));
    let pending = sim.plane().close_room(failing.0);
    assert!(matches!(sim.wait(pending), Err(MediaError::RoomFailed(_))));
    let again = sim.plane().open_room_on(0).expect("a room");
    let pending = sim.plane().change_room(again, change(1, &legs, legs.clone()));
    sim.wait(pending).expect("applied");
    let since = sim.now() + Duration::from_millis(200);
    sim.run(Duration::from_millis(500));
    let heard = sim.heard(failing.1[0].0);
    assert!(heard.iter().filter(|p| p.at > since).all(|p| p.payload.iter().any(|w| *w != 0xff)));
}

#[test]
fn a_change_on_its_way_to_a_room_that_fails_strands_nobody() {
    let mut sim = simulator();
    let (failing, members) = room(&mut sim, 1);
    let (other, others) = room(&mut sim, 11);
    sim.run(Duration::from_secs(1));
    // A member of the other room is on its way into the failing one.
    sim.plane().inject_fault(failing, RoomFault::Panic).expect("injected");
    sim.run(Duration::from_millis(25));
    let legs = [members[0].1, others[0].1];
    let pending = sim.plane().change_room(failing, change(2, &legs, vec![others[0].1]));
    assert!(matches!(sim.wait(pending), Err(MediaError::RoomFailed(_))));
    let since = sim.now();
    sim.run(Duration::from_secs(1));
    for (phone, _) in members.iter().chain(&others) {
        let count = sim.heard(*phone).iter().filter(|p| p.at >= since).count();
        assert!(count >= 49, "everyone is still sent to: {count}");
    }
    let legs: Vec<LegId> = others.iter().map(|(_, leg)| *leg).collect();
    let pending = sim.plane().change_room(other, change(2, &legs, legs.clone()));
    sim.wait(pending).expect("the other room goes on");
}

#[test]
fn a_tick_that_takes_15_ms_is_late_but_loses_nothing() {
    let mut sim = simulator();
    let (busy, _) = room(&mut sim, 1);
    let (_, others) = room(&mut sim, 11);
    sim.run(Duration::from_secs(1));
    sim.plane().inject_fault(busy, RoomFault::Busy(Duration::from_millis(15))).expect("injected");
    sim.run(Duration::from_secs(1));
    let heard = sim.heard(others[0].0);
    assert!(heard.windows(2).all(|w| w[1].sequence == w[0].sequence.wrapping_add(1)));
    assert_eq!(sim.plane().metrics().shards[0].skipped_slots, 0);
}
