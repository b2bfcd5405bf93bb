//! Taps: who listens without a leg hears what the plan says, sample for sample, and disturbs nobody.

mod common;

use common::{Coached, Member, config, exact, level_at, ms, plan};
use media::sim::{Departed, Path, PhoneSetup, Voice};
use media::{
    BusId, Codec, Ear, MediaError, Plan, PlanListener, PlanSource, Play, PlayId, PlayerChange, PlayerId, RoomChange,
    Sound, SourceRef, TapFrame, TapId, TapOf, TapReader, TapSetup,
};

fn tone(hz: f64, milliseconds: usize) -> Sound {
    let mut samples = vec![0; milliseconds * 8];
    audio::Tone::new(hz, -10.0, 8_000).fill(&mut samples);
    Sound::from_samples(&samples)
}

fn hears(mut plan: Plan, tap: TapId, buses: &[u16]) -> Plan {
    plan.listeners.push(PlanListener { ear: tap.into(), buses: buses.iter().map(|b| BusId(*b)).collect() });
    plan
}

fn change(room: &mut Coached, plan: Plan) {
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
}

fn drain(reader: &mut TapReader) -> Vec<TapFrame> {
    std::iter::from_fn(|| reader.read()).collect()
}

fn outbound(frames: &[TapFrame]) -> Vec<i16> {
    frames.iter().flat_map(|f| f.outbound).collect()
}

fn inbound(frames: &[TapFrame]) -> Vec<i16> {
    frames.iter().flat_map(|f| f.inbound).collect()
}

/// Reads a tap every 20 ms for a while, as its task does.
fn listen(room: &mut Coached, reader: &mut TapReader, time: u64) -> Vec<TapFrame> {
    let mut all = Vec::new();
    for _ in 0..time / 20 {
        room.sim.run_ms(20);
        all.extend(drain(reader));
    }
    all
}

fn without_gaps(frames: &[TapFrame]) -> bool {
    frames.windows(2).all(|two| two[1].tick == two[0].tick + 1)
}

/// A room's tap on the public bus, on a rough network, while the supervisor whispers or is silent. `leak`: a wrong plan for 140 ms,
/// of which the tap gets what arrives within them.
fn tapped_history(silenced: bool, leak: bool) -> (Vec<TapFrame>, Vec<Departed>) {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    room.sim.silence_words(room.supervisor.phone, silenced);
    let rough = Path { jitter: ms(40), loss: 0.05, duplicate: 0.02, skew_ppm: 150.0, ..Path::default() };
    for member in [room.customer, room.agent, room.supervisor] {
        room.sim.set_path(member.phone, rough);
    }
    room.sim.say(room.supervisor.phone, Voice::Noise(12_000));
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::room(room.room)).expect("a tap");
    let public = room.plan(true);
    change(&mut room, hears(public, tap, &[0]));
    let mut frames = listen(&mut room, &mut reader, 6_000);
    for buses in [if leak { &[0, 1][..] } else { &[0] }, &[0]] {
        let plan = room.plan(true);
        change(&mut room, hears(plan, tap, buses));
        frames.extend(listen(&mut room, &mut reader, 140));
    }
    frames.extend(listen(&mut room, &mut reader, 4_000));
    assert_eq!(reader.lost(), 0);
    assert!(frames.len() > 500 && without_gaps(&frames), "a frame for every tick");
    let agent = room.sim.sent_to(room.agent.phone);
    (frames, agent)
}

#[test]
fn a_room_tap_hears_nothing_of_a_whisper_byte_for_byte_and_a_leak_shows() {
    let (spoken, agent) = tapped_history(false, false);
    let (silent, silent_agent) = tapped_history(true, false);
    assert!(spoken == silent, "the tap's frames are those of the run in which the coach was silent");
    assert!(level_at(&outbound(&spoken[100..300]), 1_300.0) > -25.0, "it hears the customer");
    let differ = agent.iter().zip(&silent_agent).filter(|(a, b)| a.bytes != b.bytes).count();
    assert!(differ > 300, "the coach did whisper: {differ} packets");
    let (leaked, _) = tapped_history(false, true);
    let leaks = leaked.iter().zip(&silent).filter(|(a, b)| a != b).count();
    assert!((1..=7).contains(&leaks), "the comparison notices what {leaks} ticks let through");
}

#[test]
fn a_tap_hears_exactly_the_sum_of_its_buses_players_included() {
    let mut room = Coached::new(exact(1), Codec::L16);
    room.sim.say(room.customer.phone, Voice::Samples(vec![100]));
    room.sim.say(room.agent.phone, Voice::Samples(vec![2_000]));
    room.sim.say(room.supervisor.phone, Voice::Samples(vec![30_000]));
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::room(room.room)).expect("a tap");
    room.sim.run_ms(100);
    assert!(drain(&mut reader).iter().all(|f| f.outbound == [0; 160]), "silence, as long as no plan names it");
    let mut next = room.plan(true);
    next.buses = 3;
    next.sources.push(PlanSource { source: SourceRef::Player(PlayerId(1)), bus: BusId(2), relay_digits: false });
    let players = vec![(PlayerId(1), PlayerChange::Start(Play::forever(PlayId(0), Sound::from_samples(&[7]))))];
    let plan = hears(next.clone(), tap, &[0, 2]);
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, players, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    listen(&mut room, &mut reader, 500);
    let frames = listen(&mut room, &mut reader, 200);
    assert!(frames.len() == 10 && frames.iter().all(|f| f.outbound == [2_107; 160]), "{:?}", frames[0].outbound[0]);
    assert!(frames.iter().all(|f| f.inbound == [0; 160]));
    // All of it is more than 16 bits hold: clipped once.
    next.revision = room.plan(true).revision;
    change(&mut room, hears(next.clone(), tap, &[0, 1, 2]));
    listen(&mut room, &mut reader, 500);
    let frames = listen(&mut room, &mut reader, 100);
    assert!(frames.len() == 5 && frames.iter().all(|f| f.outbound == [32_107; 160]), "{:?}", frames[0].outbound[0]);
    // A plan that leaves it out is silence, at once.
    next.revision = room.plan(true).revision;
    change(&mut room, next);
    listen(&mut room, &mut reader, 40);
    let frames = listen(&mut room, &mut reader, 100);
    assert!(frames.len() == 5 && frames.iter().all(|f| f.outbound == [0; 160]), "frames of zeros for every tick");
}

/// What everyone is sent while a tap listens that is never read, or none is there.
fn unread_history(with_tap: bool) -> (Vec<Vec<Departed>>, u64, u64) {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
    room.sim.run_ms(1_000);
    let plan = room.plan(true);
    let mut readers = Vec::new();
    let mut listening = plan;
    if with_tap {
        let leg = TapSetup { capacity: 5, ..TapSetup::leg(room.agent.leg) };
        for setup in [TapSetup { capacity: 5, ..TapSetup::room(room.room) }, leg] {
            let (tap, reader) = room.sim.plane().open_tap(setup).expect("a tap");
            listening = hears(listening, tap, &[0, 1]);
            readers.push(reader);
        }
    } else {
        room.sim.plane().open_tap(TapSetup::room(room.room)).map(drop).expect("as many names given out");
    }
    change(&mut room, listening);
    room.sim.run_ms(10_000);
    let heard = [room.customer, room.agent, room.supervisor].map(|m| room.sim.sent_to(m.phone));
    let metrics = room.sim.plane().metrics();
    let lost = readers.iter().map(TapReader::lost).sum();
    assert_eq!(metrics.shards[0].tap_frames_lost, lost, "the plane counts the same");
    (heard.to_vec(), lost, metrics.shards[0].skipped_slots + metrics.shards[0].lateness[1..].iter().sum::<u64>())
}

#[test]
fn a_reader_that_never_reads_changes_no_byte_for_the_members_and_delays_no_tick() {
    let (with_tap, lost, late) = unread_history(true);
    let (without, none, _) = unread_history(false);
    assert!(with_tap == without, "headers, payloads and times of every packet");
    assert!((960..1_000).contains(&lost), "each tap keeps 5 frames of about 500: {lost} lost");
    assert_eq!((none, late), (0, 0));
}

#[test]
fn a_tap_that_comes_hears_nothing_that_was_said_before_it_came() {
    let jitter = media::JitterConfig { minimum: ms(160), ..media::JitterConfig::default() };
    let mut room = Coached::new(media::MediaConfig { jitter, ..config(1) }, Codec::Pcmu);
    room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
    room.sim.run_ms(2_000);
    room.sim.say(room.supervisor.phone, Voice::Silence);
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::room(room.room)).expect("a tap");
    let first = room.plan(false);
    change(&mut room, hears(first, tap, &[0]));
    let frames = listen(&mut room, &mut reader, 1_000);
    assert!(frames.len() > 45 && frames.iter().all(|f| f.outbound == [0; 160]), "what lay in buffers stays unheard");
    // A plan that names it again does not make it new: nothing is withheld any more.
    room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
    listen(&mut room, &mut reader, 500);
    let withheld = room.sim.plane().metrics().shards[0].withheld_frames;
    for _ in 0..5 {
        let again = room.plan(false);
        change(&mut room, hears(again, tap, &[0]));
        let frames = listen(&mut room, &mut reader, 100);
        assert!(frames.iter().all(|f| f.outbound != [0; 160]));
    }
    assert_eq!(room.sim.plane().metrics().shards[0].withheld_frames, withheld);
}

#[test]
fn a_legs_tap_follows_it_in_and_out_of_rooms_and_across_shards() {
    let mut room = Coached::new(exact(2), Codec::L16);
    room.sim.say(room.customer.phone, Voice::Samples(vec![100]));
    room.sim.say(room.agent.phone, Voice::Samples(vec![2_000]));
    let phone = room.sim.phone(PhoneSetup::linear(9));
    let mobile = Member { phone, leg: room.sim.call(phone, Some(0)).expect("a leg") };
    room.sim.say(phone, Voice::Samples(vec![5]));
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::leg(mobile.leg)).expect("a tap");
    let mut all = listen(&mut room, &mut reader, 400);
    let settled = |frames: &[TapFrame], own: i16, heard: i16, what: &str| {
        let late = &frames[frames.len() - 5..];
        let first = (late[0].inbound[0], late[0].outbound[0]);
        assert!(late.iter().all(|f| f.inbound == [own; 160] && f.outbound == [heard; 160]), "{what}: {first:?}");
    };
    settled(&all, 5, 0, "alone");
    // Into the room, with the tap named: customer and agent.
    let (c, a, s) = (room.customer.leg, room.agent.leg, mobile.leg);
    let full = |revision, tap: TapId, buses: &[u16]| {
        hears(plan(revision, 2, &[(c, 0), (a, 0), (s, 1)], &[(c, &[0]), (a, &[0, 1]), (s, &[0])]), tap, buses)
    };
    let enter = RoomChange { plan: full(10, tap, &[0]), join: vec![s], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(room.room, enter);
    room.sim.wait(pending).expect("entered");
    all.extend(listen(&mut room, &mut reader, 800));
    settled(&all, 5, 2_100, "in the room");
    // Another room, on another shard, in one motion; its plan does not name the tap at first.
    let other = room.sim.plane().open_room_on(1).expect("a room");
    let alone = plan(1, 1, &[(s, 0)], &[(s, &[0])]);
    let pending =
        room.sim.plane().change_room(other, RoomChange { plan: alone, join: vec![s], ..RoomChange::default() });
    room.sim.wait(pending).expect("moved");
    assert_eq!(room.sim.plane().shard_of(s), Some(1));
    all.extend(listen(&mut room, &mut reader, 800));
    settled(&all, 5, 0, "in a room whose plan does not name it");
    let sound = Play::forever(PlayId(0), Sound::from_samples(&[40]));
    let mut public = hears(plan(2, 2, &[(s, 0)], &[(s, &[0, 1])]), tap, &[1]);
    public.sources.push(PlanSource { source: SourceRef::Player(PlayerId(1)), bus: BusId(1), relay_digits: false });
    let players = vec![(PlayerId(1), PlayerChange::Start(sound))];
    let pending = room.sim.plane().change_room(other, RoomChange { plan: public, players, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    all.extend(listen(&mut room, &mut reader, 800));
    settled(&all, 5, 40, "in the other room");
    // Back to the first, whose plan still names it; then out of it.
    let back = RoomChange { plan: full(11, tap, &[0]), join: vec![s], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(room.room, back);
    room.sim.wait(pending).expect("back");
    all.extend(listen(&mut room, &mut reader, 800));
    settled(&all, 5, 2_100, "back in the room");
    let leave = RoomChange { plan: full(12, tap, &[0]), leave: vec![s], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(room.room, leave);
    room.sim.wait(pending).expect("left");
    all.extend(listen(&mut room, &mut reader, 800));
    settled(&all, 5, 0, "alone again, whatever the room's plan says");
    // One timeline through all of it: at a handover a tick may be missing, never doubled.
    assert!(all.windows(2).all(|two| (1..=3).contains(&(two[1].tick - two[0].tick))));
    let elapsed = room.sim.now().as_millis() as u64 / 20;
    assert!(all.last().is_some_and(|f| f.tick.abs_diff(elapsed) <= 2), "the plane's count of ticks");
    assert!(!reader.ended());
    let gone = room.sim.plane().remove_leg(s);
    room.sim.wait(gone).expect("removed");
    drain(&mut reader);
    assert!(reader.ended(), "it ends with its leg");
    assert!(matches!(room.sim.plane().close_tap(tap).try_now(), Some(Err(MediaError::NoTap(id))) if id == tap));
    assert_eq!(room.sim.plane().metrics().taps, 0);
}

#[test]
fn who_comes_back_hears_only_what_is_said_after_its_return_through_its_tap_too() {
    let jitter = media::JitterConfig { minimum: ms(160), ..media::JitterConfig::default() };
    let mut room = Coached::new(media::MediaConfig { jitter, ..config(2) }, Codec::Pcmu);
    let leg = room.supervisor.leg;
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::leg(leg)).expect("a tap");
    let named = room.plan(false);
    change(&mut room, hears(named, tap, &[0]));
    room.sim.run_ms(3_000);
    // He goes to another room on another shard; the first room's plan is not told.
    let other = room.sim.plane().open_room_on(1).expect("a room");
    let pending = room
        .sim
        .plane()
        .change_room(other, RoomChange { plan: plan(1, 1, &[], &[]), join: vec![leg], ..RoomChange::default() });
    room.sim.wait(pending).expect("moved");
    room.sim.say(room.customer.phone, Voice::Noise(9_000));
    room.sim.run_ms(1_000);
    room.sim.say(room.customer.phone, Voice::Silence);
    let plan = room.plan(false);
    let back = RoomChange { plan: hears(plan, tap, &[0]), join: vec![leg], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(room.room, back);
    room.sim.wait(pending).expect("back");
    drain(&mut reader);
    let frames = listen(&mut room, &mut reader, 1_000);
    assert!(frames.len() > 45 && frames.iter().all(|f| f.outbound == [0; 160]), "what was said without him");
}

#[test]
fn a_legs_own_sound_reaches_its_tap_muted_or_held_and_each_direction_only_if_asked() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.customer.phone, Voice::Tone(1_300.0, -20.0));
    let leg = room.customer.leg;
    let open = |inbound, outbound| TapSetup { of: TapOf::Leg { leg, inbound, outbound }, capacity: 100 };
    let (_, mut own) = room.sim.plane().open_tap(open(true, false)).expect("a tap");
    let (_, mut other) = room.sim.plane().open_tap(open(false, true)).expect("a tap");
    let (_, mut both) = room.sim.plane().open_tap(open(true, true)).expect("a tap");
    // No plan lets him sound or hear: he is on hold, with music.
    let held = plan(9, 0, &[], &[]);
    change(&mut room, held);
    let music = room.sim.plane().play(leg, Play::forever(PlayId(1), tone(400.0, 1_000)));
    room.sim.wait(music).expect("played");
    room.sim.run_ms(300);
    [&mut own, &mut other, &mut both].into_iter().for_each(|reader| drop(drain(reader)));
    room.sim.run_ms(1_000);
    let (own, other, both) = (drain(&mut own), drain(&mut other), drain(&mut both));
    assert!((level_at(&inbound(&own), 1_300.0) + 20.0).abs() < 0.5 && outbound(&own).iter().all(|s| *s == 0));
    assert!((level_at(&outbound(&other), 400.0) + 10.0).abs() < 0.5 && inbound(&other).iter().all(|s| *s == 0));
    assert_eq!((inbound(&both), outbound(&both)), (inbound(&own), outbound(&other)));
    let mixed: Vec<i16> = both.iter().flat_map(|f| f.mixed()).collect();
    assert!((level_at(&mixed, 1_300.0) + 20.0).abs() < 0.5 && (level_at(&mixed, 400.0) + 10.0).abs() < 0.5);
    let stereo = both[7].stereo();
    assert!((0..160).all(|n| (stereo[2 * n], stereo[2 * n + 1]) == (both[7].inbound[n], both[7].outbound[n])));
}

#[test]
fn a_stall_shows_as_missing_ticks_and_reading_without_gaps_fills_them_with_silence() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::room(room.room)).expect("a tap");
    let (_, mut of_leg) = room.sim.plane().open_tap(TapSetup::leg(room.customer.leg)).expect("a tap");
    let plan = room.plan(true);
    change(&mut room, hears(plan, tap, &[0]));
    room.sim.run_ms(400);
    room.sim.stall(0, ms(300));
    room.sim.run_ms(800);
    let filled: Vec<TapFrame> = std::iter::from_fn(|| reader.read_filled()).collect();
    assert!(without_gaps(&filled), "every tick once");
    assert!((54..=61).contains(&filled.len()), "1.2 s of ticks: {}", filled.len());
    let silent = filled.iter().skip(10).filter(|f| f.outbound == [0; 160]).count();
    assert!((12..=16).contains(&silent), "about 14 ticks were skipped: {silent}");
    let frames = drain(&mut of_leg);
    let gaps: Vec<u64> = frames.windows(2).map(|two| two[1].tick - two[0].tick).filter(|gap| *gap > 1).collect();
    assert!(matches!(gaps[..], [12..=16]), "{gaps:?}");
}

#[test]
fn a_tap_keeps_no_room_alive_and_ends_with_it_and_dropping_its_reader_closes_it() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    let empty = room.sim.plane().open_room_on(0).expect("a room");
    let (_, mut idle) = room.sim.plane().open_tap(TapSetup::room(empty)).expect("a tap");
    let ticks = room.sim.plane().metrics().shards[0].room_ticks;
    room.sim.run_ms(1_000);
    let after = room.sim.plane().metrics().shards[0].room_ticks;
    assert!((49..=51).contains(&(after - ticks)), "only the room with members ticks");
    assert!(idle.read().is_none() && !idle.ended());
    let pending = room.sim.plane().close_room(empty);
    room.sim.wait(pending).expect("closed");
    assert!(idle.ended());
    let (tap, mut reader) = room.sim.plane().open_tap(TapSetup::room(room.room)).expect("a tap");
    let frames = listen(&mut room, &mut reader, 100);
    assert_eq!(frames.len(), 5);
    let pending = room.sim.plane().close_tap(tap);
    room.sim.wait(pending).expect("closed");
    drain(&mut reader);
    assert!(reader.ended());
    let (tap, reader) = room.sim.plane().open_tap(TapSetup::room(room.room)).expect("a tap");
    let (_, of_leg) = room.sim.plane().open_tap(TapSetup::leg(room.agent.leg)).expect("a tap");
    room.sim.run_ms(100);
    assert_eq!(room.sim.plane().metrics().taps, 2);
    drop((reader, of_leg));
    let made = room.sim.plane().metrics().shards[0].tap_frames;
    room.sim.run_ms(100);
    assert_eq!(room.sim.plane().metrics().taps, 0);
    assert!(room.sim.plane().metrics().shards[0].tap_frames <= made + 2, "no frame is made for nobody");
    assert!(matches!(room.sim.plane().close_tap(tap).try_now(), Some(Err(MediaError::NoTap(_)))));
}

#[test]
fn taps_are_bounded_and_a_plan_cannot_name_a_tap_of_elsewhere() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    let plane = room.sim.plane().clone();
    let of_leg: Vec<_> = std::iter::from_fn(|| plane.open_tap(TapSetup::leg(room.agent.leg)).ok()).collect();
    assert_eq!(of_leg.len(), 8);
    let refused = plane.open_tap(TapSetup::leg(room.agent.leg)).map(|(tap, _)| tap);
    assert!(matches!(refused, Err(MediaError::Limit { limit: 8, .. })), "{refused:?}");
    let of_room: Vec<_> = std::iter::from_fn(|| plane.open_tap(TapSetup::room(room.room)).ok()).collect();
    // One for each member that there may be, and the room's own.
    assert_eq!(of_room.len(), config(1).max_members_per_room + 32);
    // A tap of another room, and one of a leg that is not here, hear nothing.
    let other = plane.open_room_on(0).expect("a room");
    let (foreign, mut foreign_reader) = plane.open_tap(TapSetup::room(other)).expect("a tap");
    let phone = room.sim.phone(PhoneSetup::mu_law(9));
    let leg = room.sim.call(phone, Some(0)).expect("a leg");
    let (away, mut away_reader) = plane.open_tap(TapSetup::leg(leg)).expect("a tap");
    let plan = room.plan(true);
    change(&mut room, hears(hears(plan, foreign, &[0]), away, &[0]));
    assert_eq!(plane.metrics().strangers_in_plans, 2);
    room.sim.run_ms(500);
    assert!(foreign_reader.read().is_none());
    let frames = drain(&mut away_reader);
    assert!(frames.len() > 20 && outbound(&frames).iter().all(|s| *s == 0));
    // The same tap twice is no plan.
    let plan = room.plan(true);
    let twice = RoomChange { plan: hears(hears(plan, foreign, &[0]), foreign, &[0]), ..RoomChange::default() };
    let pending = plane.change_room(room.room, twice);
    assert!(matches!(room.sim.wait(pending), Err(MediaError::BadPlan { .. })));
    assert!(room.plan(true).listeners.iter().all(|l| matches!(l.ear, Ear::Leg(_))));
}
