//! Private lanes of a leg and feeds: what is played to one ear, or made while it plays.

mod common;

use common::{Coached, Member, config, exact, plan};
use media::sim::{PhoneSetup, Simulator, Voice};
use media::{
    BusId, Codec, Fact, Feed, LANES, MediaError, PlanSource, Play, PlayId, PlayerChange, PlayerId, Repeat, RoomChange,
    Sound, SourceRef, TapSetup,
};

fn linear(sim: &mut Simulator) -> Member {
    let phone = sim.phone(PhoneSetup::linear(9));
    Member { phone, leg: sim.call(phone, None).expect("a leg") }
}

fn level(value: i16) -> Sound {
    Sound::from_samples(&[value; 160])
}

fn ends(sim: &mut Simulator) -> Vec<(u64, bool)> {
    let ended = |f| if let Fact::PlayEnded { play, completed, .. } = f { Some((play.0, completed)) } else { None };
    let mut ends: Vec<_> = sim.facts().into_iter().filter_map(ended).collect();
    ends.sort_unstable();
    ends
}

/// The last frame a phone was sent.
fn now_heard(sim: &mut Simulator, member: Member) -> Vec<i16> {
    sim.run_ms(60);
    let since = sim.now() - common::ms(20);
    sim.samples(member.phone, since)
}

#[test]
fn lanes_sound_together_alone_in_a_room_and_on_hold() {
    let mut room = Coached::new(exact(1), Codec::L16);
    let agent = room.agent;
    room.sim.say(room.customer.phone, Voice::Samples(vec![10_000]));
    for lane in 0..LANES {
        let play = Play::forever(PlayId(u64::from(lane) + 1), level(1 << lane));
        let pending = room.sim.plane().play_on(agent.leg, lane, play);
        room.sim.wait(pending).expect("played");
    }
    room.sim.run_ms(500);
    assert_eq!(now_heard(&mut room.sim, agent), [10_511; 160], "with the room");
    let leg = agent.leg;
    let held = plan(9, 0, &[], &[]);
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan: held, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    assert_eq!(now_heard(&mut room.sim, agent), [511; 160], "on hold");
    let leave = RoomChange { plan: plan(10, 0, &[], &[]), leave: vec![leg], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(room.room, leave);
    room.sim.wait(pending).expect("left");
    assert_eq!(now_heard(&mut room.sim, agent), [511; 160], "alone");
    assert!(room.sim.samples(room.supervisor.phone, common::ms(0)).iter().all(|s| *s == 0 || *s == 10_000));
    // One lane stops; the others go on. A late stop stops nothing else.
    let pending = room.sim.plane().stop_lane(leg, 3, Some(PlayId(4)));
    room.sim.wait(pending).expect("stopped");
    let late = room.sim.plane().stop_lane(leg, 2, Some(PlayId(4)));
    room.sim.wait(late).expect("nothing to stop");
    assert_eq!(now_heard(&mut room.sim, agent), [511 - 8; 160]);
    assert_eq!(ends(&mut room.sim), [(4, false)]);
    let pending = room.sim.plane().play_on(leg, 5, Play::once(PlayId(50), level(3_000)));
    room.sim.wait(pending).expect("replaced");
    room.sim.run_ms(100);
    assert_eq!(ends(&mut room.sim), [(6, false), (50, true)], "replaced, and played to its end");
    assert_eq!(now_heard(&mut room.sim, agent), [511 - 8 - 32; 160]);
    let beyond = room.sim.plane().play_on(leg, LANES, Play::once(PlayId(60), level(1)));
    assert!(matches!(room.sim.wait(beyond), Err(MediaError::Limit { limit: 9, .. })));
    let gone = room.sim.plane().remove_leg(leg);
    room.sim.wait(gone).expect("removed");
    let expected: Vec<(u64, bool)> = [1, 2, 3, 5, 7, 8, 9].map(|play| (play, false)).to_vec();
    assert_eq!(ends(&mut room.sim), expected, "told even if the leg ends first");
}

#[test]
fn many_plays_in_one_tick_each_tell_their_end() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let member = linear(&mut sim);
    sim.run_ms(100);
    sim.facts();
    let plane = sim.plane().clone();
    // All at once: more ends than a leg can owe.
    let answers: Vec<_> = (1..=100u64)
        .map(|n| plane.play_on(member.leg, (n % u64::from(LANES)) as u8, Play::once(PlayId(n), level(9))))
        .collect();
    for answer in answers {
        sim.wait(answer).expect("played");
    }
    sim.run_ms(300);
    let all = ends(&mut sim);
    assert_eq!(all.iter().map(|(play, _)| *play).collect::<Vec<_>>(), (1..=100).collect::<Vec<_>>());
    assert_eq!(all.iter().filter(|(_, completed)| *completed).count(), usize::from(LANES));
}

#[test]
fn taps_hear_all_lanes_but_hidden_ones() {
    let mut room = Coached::new(exact(1), Codec::L16);
    let agent = room.agent;
    room.sim.say(room.customer.phone, Voice::Samples(vec![10_000]));
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::leg(agent.leg)).expect("a tap");
    let mut next = room.plan(true);
    next.listeners.push(media::PlanListener { ear: tap.into(), buses: vec![BusId(0)] });
    // The agent's own voice is not what he hears.
    next.sources.retain(|source| source.source == SourceRef::Leg(room.customer.leg));
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan: next, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    let plays = [(0, 1, false), (1, 2, true), (2, 4, false), (3, 8, true)];
    for (lane, value, hidden) in plays {
        let play = Play { hidden, ..Play::forever(PlayId(u64::from(lane)), level(value)) };
        let pending = room.sim.plane().play_on(agent.leg, lane, play);
        room.sim.wait(pending).expect("played");
    }
    room.sim.run_ms(500);
    assert_eq!(now_heard(&mut room.sim, agent), [10_015; 160], "the ear hears all");
    let frame = std::iter::from_fn(|| reader.read()).last().expect("frames");
    assert_eq!(frame.outbound, [10_005; 160], "the tap hears what is not hidden");
    // The same with the first lane hidden, out of the room.
    let pending = room.sim.plane().play(agent.leg, Play::forever(PlayId(9), level(1)).hidden());
    room.sim.wait(pending).expect("played");
    let leave = RoomChange { plan: plan(20, 0, &[], &[]), leave: vec![agent.leg], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(room.room, leave);
    room.sim.wait(pending).expect("left");
    assert_eq!(now_heard(&mut room.sim, agent), [15; 160]);
    let frame = std::iter::from_fn(|| reader.read()).last().expect("frames");
    assert_eq!(frame.outbound, [4; 160]);
}

#[test]
fn a_feed_plays_every_sample_once_in_order_and_starves_in_silence() {
    let mut sim = Simulator::new(exact(1)).expect("a plane");
    let member = linear(&mut sim);
    sim.run_ms(100);
    let (feed, mut writer) = Feed::new(1_000);
    let pending = sim.plane().play_on(member.leg, 2, Play::once(PlayId(7), feed));
    sim.wait(pending).expect("played");
    let since = sim.now();
    sim.run_ms(100);
    assert_eq!(writer.played(), 0);
    let samples: Vec<i16> = (1..=2_500).collect();
    let mut at = 0;
    while at < samples.len() {
        at += writer.push(&samples[at..]);
        sim.run_ms(20);
    }
    sim.run_ms(300);
    assert_eq!((writer.pushed(), writer.position(), writer.played()), (2_500, 2_500, 2_500));
    // Starved; then more comes, and at last the writer goes.
    assert_eq!(writer.push(&[5_000; 100]), 100);
    sim.run_ms(100);
    sim.facts();
    assert_eq!(writer.push(&[6_000; 250]), 250);
    drop(writer);
    sim.run_ms(20);
    assert_eq!(ends(&mut sim), [], "what is queued is played first");
    sim.run_ms(40);
    assert_eq!(ends(&mut sim), [(7, true)]);
    let heard = sim.samples(member.phone, since);
    let sounding: Vec<i16> = heard.iter().copied().filter(|s| *s != 0).collect();
    let expected = [samples, vec![5_000; 100], vec![6_000; 250]].concat();
    assert!(sounding == expected, "{} of {} samples", sounding.len(), expected.len());
}

#[test]
fn clearing_a_feed_silences_it_within_a_tick_and_what_comes_later_plays() {
    let mut sim = Simulator::new(exact(1)).expect("a plane");
    let member = linear(&mut sim);
    let (feed, mut writer) = Feed::new(80_000);
    let pending = sim.plane().play(member.leg, Play { gain_db: -6.020_6, ..Play::once(PlayId(7), feed.clone()) });
    sim.wait(pending).expect("played");
    writer.push(&[2_000; 80_000]);
    sim.run_ms(200);
    assert_eq!(now_heard(&mut sim, member), [1_000; 160], "with its gain");
    let at = sim.now();
    writer.clear();
    let dropped = 80_000 - writer.played();
    sim.run_ms(20);
    assert_eq!((writer.position(), writer.played(), writer.free()), (80_000, 80_000 - dropped, 80_000));
    assert!(sim.samples(member.phone, at).iter().all(|s| *s == 0), "not one sample after it");
    assert_eq!(writer.push(&[400; 160]), 160);
    sim.run_ms(20);
    assert_eq!(now_heard(&mut sim, member).len(), 160);
    assert_eq!(sim.samples(member.phone, at).iter().filter(|s| **s == 200).count(), 160);
    // Stopped, its writer knows; the same feed cannot be played again.
    let pending = sim.plane().stop_play(member.leg, None);
    sim.wait(pending).expect("stopped");
    assert!(writer.is_abandoned());
    sim.facts();
    let again = sim.plane().play(member.leg, Play { repeat: Repeat::Forever, ..Play::once(PlayId(8), feed) });
    sim.wait(again).expect("played");
    sim.run_ms(60);
    assert_eq!(ends(&mut sim), [(8, true)], "it ends at once");
}

#[test]
fn a_feed_as_a_rooms_player_is_heard_by_those_whom_the_plan_names() {
    let mut room = Coached::new(exact(1), Codec::L16);
    let (feed, mut writer) = Feed::new(8_000);
    let whisper = |room: &mut Coached| {
        let mut next = room.plan(true);
        next.buses = 3;
        next.sources.push(PlanSource { source: SourceRef::Player(PlayerId(5)), bus: BusId(2), relay_digits: false });
        let agent = room.agent.leg;
        next.listeners.iter_mut().filter(|l| l.ear == agent.into()).for_each(|l| l.buses.push(BusId(2)));
        next
    };
    let players = vec![(PlayerId(5), PlayerChange::Start(Play::once(PlayId(0), feed)))];
    let plan = whisper(&mut room);
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, players, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    let since = room.sim.now();
    let samples: Vec<i16> = (1..=4_000).collect();
    assert_eq!(writer.push(&samples), 4_000);
    room.sim.run_ms(200);
    // A change in the middle lets it go on.
    let plan = whisper(&mut room);
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    room.sim.run_ms(600);
    drop(writer);
    room.sim.run_ms(100);
    let sounding = |m: Member| room.sim.samples(m.phone, since).into_iter().filter(|s| *s != 0).collect::<Vec<_>>();
    assert!(sounding(room.agent) == samples, "every sample once at the agent");
    assert!(sounding(room.customer).is_empty() && sounding(room.supervisor).is_empty());
    let ended = Fact::PlayerEnded { room: room.room, player: PlayerId(5), completed: true };
    assert_eq!(room.sim.facts().iter().filter(|f| **f == ended).count(), 1);
}
