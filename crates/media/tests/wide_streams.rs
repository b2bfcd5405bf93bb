//! Streams of wide legs: what is sent in silence, what is shared, what survives networks, handovers and the end of a path.

mod common;

use common::{config, level_at, ms, plan, unbroken_talk};
use media::sim::{Encode, HeardPacket, Path, PhoneId, PhoneSetup, Simulator, Voice};
use media::{
    Fact, LegId, LegSetup, MediaConfig, MediaError, OpusTerms, Play, PlayId, RoomChange, RoomId, ShardMetrics, Sound,
};
use proptest::prelude::*;

fn opus(sim: &mut Simulator, n: u8, shard: u16) -> (PhoneId, LegId) {
    let phone = sim.phone(PhoneSetup::opus(n));
    (phone, sim.call_browser(phone, Some(shard)).expect("a leg"))
}

fn change(sim: &mut Simulator, room: RoomId, change: RoomChange) -> media::Applied {
    let pending = sim.plane().change_room(room, change);
    sim.wait(pending).expect("applied")
}

/// Everybody in `legs` on bus 0.
fn everyone(revision: u64, legs: &[LegId]) -> media::Plan {
    let sources: Vec<_> = legs.iter().map(|leg| (*leg, 0)).collect();
    let listeners: Vec<(LegId, &[u16])> = legs.iter().map(|leg| (*leg, &[0u16][..])).collect();
    plan(revision, 1, &sources, &listeners)
}

fn room_of(sim: &mut Simulator, legs: &[LegId]) -> RoomId {
    let room = sim.plane().open_room_on(0).expect("a room");
    change(sim, room, RoomChange { plan: everyone(1, legs), join: legs.to_vec(), ..RoomChange::default() });
    room
}

fn tone_level(samples: &[i16], hz: f64) -> f64 {
    level_at(samples, hz / 6.0)
}

fn counted(sim: &Simulator) -> ShardMetrics {
    sim.plane().metrics().shards[0].clone()
}

#[test]
fn silence_is_left_out_where_agreed_and_comfort_comes_every_400_ms() {
    for dtx in [true, false] {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let phone = sim.phone(PhoneSetup::opus(1));
        let setup = sim.browser_setup(phone, None).expect("a path");
        let terms = OpusTerms { dtx, ..OpusTerms::default() };
        let leg = sim.plane().add_leg(LegSetup { opus: terms, ..setup }).expect("a leg");
        let mut tone = vec![0; 8_000];
        audio::Tone::new(640.0, -14.0, 8_000).fill(&mut tone);
        let play = |sim: &mut Simulator, id| {
            let pending = sim.plane().play(leg, Play::once(PlayId(id), Sound::from_samples(&tone)));
            sim.wait(pending).expect("played");
        };
        sim.run_ms(3_000);
        let before = sim.heard(phone).len();
        assert!(if dtx { (6..=8).contains(&before) } else { before >= 148 }, "{before} packets of silence in 3 s");
        play(&mut sim, 1);
        sim.run_ms(3_000);
        play(&mut sim, 2);
        sim.run_ms(500);
        let packets = sim.heard(phone);
        for pair in packets.windows(2) {
            assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
            let ticks = (pair[1].at - pair[0].at).as_millis() as u32 / 20;
            assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), ticks * 960, "timestamps go on");
            assert!(ticks == 1 || dtx && ticks <= 20, "{ticks} ticks without a packet");
        }
        let spurts: Vec<_> = packets
            .windows(3)
            .filter(|p| p[1].at - p[0].at > ms(20) && p[2].at - p[1].at == ms(20))
            .map(|p| p[1].marker)
            .collect();
        assert_eq!(spurts, vec![true; if dtx { 2 } else { 0 }], "a marker where a talk spurt begins");
        assert_eq!(packets[1..].iter().filter(|p| p.marker).count(), spurts.len(), "and nowhere else");
        let quiet = sim.samples(phone, ms(4_500));
        assert!(quiet[..48_000].iter().all(|s| s.abs() < 30), "silence is silence");
        let metrics = counted(&sim);
        assert!((73..=78).contains(&metrics.wide_encodes), "{metrics:?}");
        assert_eq!(metrics.silence_encodes, 2, "two frames end each sound that has ended: {metrics:?}");
    }
}

#[test]
fn g722_silence_is_silence() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let phone = sim.phone(PhoneSetup::g722(1));
    let leg = sim.call(phone, None).expect("a leg");
    let pending = sim.plane().play(leg, Play::once(PlayId(1), Sound::from_samples(&[9_000; 4_000])));
    sim.wait(pending).expect("played");
    sim.run_ms(5_000);
    let packets = sim.heard(phone);
    assert!(packets.windows(2).all(|p| p[1].at - p[0].at == ms(20)), "a packet in every tick");
    let later = sim.samples(phone, ms(2_000));
    let loudest = later.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
    assert!(later.len() > 40_000 && loudest < 12, "{loudest}");
    let metrics = counted(&sim);
    assert!((25..=27).contains(&metrics.wide_encodes), "{metrics:?}");
}

#[test]
fn listeners_of_one_talker_share_one_encode_and_part_only_while_they_speak() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let members: Vec<_> = (1..=8).map(|n| opus(&mut sim, n, 0)).collect();
    let legs: Vec<LegId> = members.iter().map(|m| m.1).collect();
    room_of(&mut sim, &legs);
    sim.run_ms(3_000);
    let talk = |sim: &mut Simulator, who: usize, time| {
        sim.say(members[who].0, Voice::Tone(700.0, -15.0));
        sim.run_ms(time);
        sim.say(members[who].0, Voice::Silence);
    };
    let before = counted(&sim);
    talk(&mut sim, 0, 2_000);
    sim.run_ms(1_000);
    let one = counted(&sim);
    let encodes = one.wide_encodes - before.wide_encodes;
    assert!((100..140).contains(&encodes), "one talker, seven listeners: {encodes} encodes");
    assert_eq!(one.distinct_mixes - before.distinct_mixes, encodes);
    assert_eq!(one.wide_shared - before.wide_shared, encodes * 6);
    let resets = one.encoder_resets - before.encoder_resets;
    assert!((1..=6).contains(&resets), "at the beginning, and where the end is soft: {resets}");
    // One interjects: his ear parts, and is back with the others after the next pause.
    sim.say(members[0].0, Voice::Tone(700.0, -15.0));
    sim.run_ms(500);
    talk(&mut sim, 1, 300);
    sim.run_ms(1_000);
    sim.say(members[0].0, Voice::Silence);
    sim.run_ms(1_000);
    let parted = counted(&sim);
    assert!(parted.wide_encodes - one.wide_encodes > parted.distinct_mixes - one.distinct_mixes);
    talk(&mut sim, 0, 1_000);
    sim.run_ms(1_000);
    let back = counted(&sim);
    assert_eq!(back.wide_encodes - parted.wide_encodes, back.distinct_mixes - parted.distinct_mixes);
    // What everyone heard all along is the talker, whole.
    let samples = sim.samples(members[5].0, ms(3_200));
    assert!(tone_level(&samples[..48_000], 700.0) > -16.5);
}

#[test]
fn a_conversation_of_three_encodes_little_more_than_it_must() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let members: Vec<_> = (1..=3).map(|n| opus(&mut sim, n, 0)).collect();
    let legs: Vec<LegId> = members.iter().map(|m| m.1).collect();
    room_of(&mut sim, &legs);
    sim.run_ms(2_500);
    let before = counted(&sim);
    // Words of 400 ms with gaps of 100 ms.
    let mut words = vec![0; 24_000];
    audio::Tone::new(600.0, -15.0, 48_000).fill(&mut words[..19_200]);
    for turn in 0..12 {
        let (now, next) = (members[turn % 3].0, members[(turn + 1) % 3].0);
        sim.say(now, Voice::Samples(words.clone()));
        sim.run_ms(1_500);
        // Some overlap, some pauses.
        if turn % 3 == 0 {
            sim.say(next, Voice::Samples(words.clone()));
            sim.run_ms(400);
        }
        sim.say(now, Voice::Silence);
        if turn % 2 == 0 {
            sim.say(next, Voice::Silence);
            sim.run_ms(700);
        }
    }
    let after = counted(&sim);
    let (encodes, distinct) = (after.wide_encodes - before.wide_encodes, after.distinct_mixes - before.distinct_mixes);
    assert!(encodes >= distinct && encodes as f64 <= distinct as f64 * 1.15, "{encodes} encodes for {distinct} mixes");
}

#[test]
fn a_browsers_pause_is_silence_and_its_return_is_heard() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0));
    room_of(&mut sim, &[a.1, b.1]);
    sim.listen_in();
    sim.say(a.0, Voice::Tone(800.0, -12.0));
    sim.run_ms(1_500);
    sim.set_sending(a.0, false);
    sim.run_ms(1_000);
    sim.mixed(b.1);
    sim.run_ms(60_000 * 2);
    assert!(sim.mixed(b.1).iter().all(|m| m.samples.is_none()), "nothing is made up");
    assert!(!sim.facts().iter().any(|f| matches!(f, Fact::MediaTimeout { .. })), "a muted browser is no dead one");
    sim.set_sending(a.0, true);
    sim.run_ms(500);
    sim.mixed(b.1);
    sim.run_ms(500);
    let heard: Vec<i16> = sim.mixed(b.1).into_iter().filter_map(|m| m.samples).flatten().collect();
    assert!((tone_level(&heard, 800.0) + 12.0).abs() < 1.0);
}

#[test]
fn an_abandoned_path_is_told_once_and_the_room_goes_on() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b, c) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0), opus(&mut sim, 3, 0));
    room_of(&mut sim, &[a.1, b.1, c.1]);
    sim.say(b.0, Voice::Tone(800.0, -12.0));
    sim.run_ms(1_000);
    assert!(sim.facts().contains(&Fact::FirstPacket { leg: a.1 }));
    sim.abandon(a.0);
    sim.run_ms(100);
    assert_eq!(sim.facts().iter().filter(|f| **f == Fact::MediaTimeout { leg: a.1 }).count(), 1);
    let since = sim.now() + ms(200);
    sim.run_ms(2_000);
    assert!(!sim.facts().contains(&Fact::MediaTimeout { leg: a.1 }));
    assert!((tone_level(&sim.samples(c.0, since), 800.0) + 12.0).abs() < 1.0);
    let pending = sim.plane().remove_leg(a.1);
    let stats = sim.wait(pending).expect("removed");
    assert!(stats.packets_sent > 30 && stats.source.is_none());
}

#[test]
fn a_browser_moves_between_shards_with_its_path_and_its_stream() {
    let mut sim = Simulator::new(config(2)).expect("a plane");
    let (a, b, c) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0), opus(&mut sim, 3, 1));
    let here = room_of(&mut sim, &[a.1, b.1]);
    let there = sim.plane().open_room_on(1).expect("a room");
    sim.say(a.0, Voice::Tone(500.0, -14.0));
    sim.say(c.0, Voice::Tone(800.0, -14.0));
    sim.run_ms(1_000);
    let moved = RoomChange { plan: everyone(1, &[a.1, c.1]), join: vec![a.1, c.1], ..RoomChange::default() };
    change(&mut sim, there, moved);
    assert_eq!(sim.plane().shard_of(a.1), Some(1));
    sim.run_ms(500);
    let since = sim.now();
    sim.run_ms(1_000);
    assert!((tone_level(&sim.samples(a.0, since), 800.0) + 14.0).abs() < 1.0);
    assert!((tone_level(&sim.samples(c.0, since), 500.0) + 14.0).abs() < 1.0);
    assert!(tone_level(&sim.samples(b.0, since), 500.0) < -80.0);
    let packets = sim.heard(a.0);
    assert!(packets.windows(2).all(|p| p[1].sequence == p[0].sequence.wrapping_add(1)));
    for pair in packets.windows(2) {
        let gap = (pair[1].at - pair[0].at).as_millis() as u32;
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(step % 960 == 0 && step.abs_diff(gap * 48) <= 960, "{step} in {gap} ms");
    }
    let _ = here;
}

#[test]
fn a_stall_is_skipped_and_sound_is_back_within_a_second() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0));
    room_of(&mut sim, &[a.1, b.1]);
    sim.say(a.0, Voice::Tone(800.0, -12.0));
    sim.run_ms(1_500);
    sim.stall(0, ms(400));
    sim.run_ms(1_400);
    let since = sim.now();
    sim.run_ms(500);
    assert!((tone_level(&sim.samples(b.0, since), 800.0) + 12.0).abs() < 1.0);
    let pending = sim.plane().leg_stats(b.1);
    assert!(sim.wait(pending).expect("stats").skipped_ticks >= 18);
}

#[test]
fn loss_and_jitter_are_concealed() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0));
    room_of(&mut sim, &[a.1, b.1]);
    sim.set_path(a.0, Path { jitter: ms(30), loss: 0.05, duplicate: 0.02, ..Path::default() });
    sim.run_ms(1_000);
    sim.say(a.0, Voice::Tone(440.0, -12.0));
    sim.run_ms(2_000);
    sim.listen_in();
    sim.run_ms(5_000);
    let heard: Vec<i16> = sim.mixed(b.1).into_iter().filter_map(|m| m.samples).flatten().collect();
    assert!((tone_level(&heard, 440.0) + 12.0).abs() < 1.5, "{}", tone_level(&heard, 440.0));
    let pending = sim.plane().leg_stats(a.1);
    let stats = sim.wait(pending).expect("stats");
    assert!(stats.lost > 5 && stats.duplicate > 0, "{stats:?}");
}

#[test]
fn jitter_is_told_in_time_whatever_the_formats_clock() {
    for setup in [PhoneSetup::mu_law(1), PhoneSetup::g722(1), PhoneSetup::opus(1)] {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let phone = sim.phone(setup);
        let leg = sim.call(phone, None).expect("a leg");
        sim.set_path(phone, Path { jitter: ms(30), ..Path::default() });
        sim.run_ms(5_000);
        let pending = sim.plane().leg_stats(leg);
        let stats = sim.wait(pending).expect("stats");
        // Two uniform delays of up to 30 ms differ by 10 ms in the mean.
        assert!((ms(6)..ms(15)).contains(&stats.jitter), "{:?}: {:?}", setup.format, stats.jitter);
    }
}

/// How many of the packets that left between two moments hold redundancy, percent.
fn protected(packets: &[HeardPacket], from: u64, to: u64) -> usize {
    let inside: Vec<_> = packets.iter().filter(|p| p.at >= ms(from) && p.at < ms(to)).collect();
    assert!(inside.len() as u64 >= (to - from) / 25, "{} packets", inside.len());
    inside.iter().filter(|p| audio::opus::has_fec(&p.payload)).count() * 100 / inside.len()
}

#[test]
fn who_reports_loss_is_sent_redundancy_and_nobody_else_is() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b, c) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0), opus(&mut sim, 3, 0));
    room_of(&mut sim, &[a.1, b.1, c.1]);
    sim.say(a.0, Voice::Samples(unbroken_talk(48_000)));
    sim.run_ms(3_000);
    sim.say(a.0, Voice::Silence);
    sim.run_ms(500);
    sim.report_loss(b.0, 10);
    sim.run_ms(500);
    sim.say(a.0, Voice::Samples(unbroken_talk(48_000)));
    sim.run_ms(3_000);
    let (to_b, to_c) = (sim.heard(b.0), sim.heard(c.0));
    assert_eq!(protected(&to_b, 500, 3_000), 0, "nothing is reported yet");
    let share = protected(&to_b, 4_500, 7_000);
    assert!(share > 40, "{share} % of what is sent to him who reports loss");
    assert_eq!(protected(&to_c, 500, 3_000) + protected(&to_c, 4_500, 7_000), 0, "he reports none");
}

/// 45 s of unbroken talk to three who share an encode; one may report loss in the midst of it. What the three get, and how many
/// encodes and resets there were.
fn unbroken(reports: bool) -> ([Vec<HeardPacket>; 3], ShardMetrics) {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let members: Vec<_> = (1..=4).map(|n| opus(&mut sim, n, 0)).collect();
    room_of(&mut sim, &members.iter().map(|m| m.1).collect::<Vec<_>>());
    let report = |sim: &mut Simulator, percent| {
        if reports {
            sim.report_loss(members[1].0, percent);
        }
    };
    sim.say(members[0].0, Voice::Samples(unbroken_talk(48_000)));
    sim.run_ms(3_000);
    report(&mut sim, 10);
    sim.run_ms(7_000);
    // Ten seconds of reports that come and go.
    for second in 0..10 {
        report(&mut sim, if second % 2 == 0 { 0 } else { 10 });
        sim.run_ms(1_000);
    }
    report(&mut sim, 0);
    sim.run_ms(25_000);
    ([1, 2, 3].map(|n| sim.heard(members[n].0)), counted(&sim))
}

#[test]
fn a_loss_reported_in_unbroken_talk_is_borne_within_two_seconds_and_costs_nobody_else_a_byte() {
    let ([b, c, d], with) = unbroken(true);
    let ([_, c_before, d_before], without) = unbroken(false);
    assert_eq!(protected(&b, 500, 3_000), 0);
    let shares = [(5_000, 10_000), (10_000, 20_000), (20_000, 29_500)].map(|(from, to)| protected(&b, from, to));
    assert!(shares.iter().all(|share| *share > 40), "{shares:?} % while it is reported, and ten seconds longer");
    assert_eq!(protected(&b, 32_000, 45_000), 0, "the loss is over");
    assert!(c == c_before && d == d_before, "the others notice nothing");
    let resets = with.encoder_resets - without.encoder_resets;
    assert!((1..=3).contains(&resets), "{resets} streams begun anew for a rise, a fall and meeting again");
    let encodes = with.wide_encodes - without.wide_encodes;
    assert!((1_250..=2_000).contains(&encodes), "{encodes} more while the loss differs");
}

#[test]
fn a_loss_reported_by_the_only_listener_is_borne_without_a_new_beginning() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0));
    room_of(&mut sim, &[a.1, b.1]);
    sim.say(a.0, Voice::Samples(unbroken_talk(48_000)));
    sim.run_ms(2_000);
    let before = counted(&sim).encoder_resets;
    sim.report_loss(b.0, 10);
    sim.run_ms(3_000);
    assert_eq!(counted(&sim).encoder_resets, before);
    let share = protected(&sim.heard(b.0), 2_200, 5_000);
    assert!(share > 40, "{share} %");
}

#[test]
fn meters_show_level_and_speech_at_every_rate() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    for setup in [PhoneSetup::mu_law(1), PhoneSetup::g722(2), PhoneSetup::opus(3)] {
        let phone = sim.phone(setup);
        let leg = sim.call(phone, None).expect("a leg");
        let meter = sim.plane().meter(leg).expect("a meter");
        sim.run_ms(200);
        assert!(meter.level().is_none_or(|level| level < -60) && !meter.speaking());
        sim.say(phone, Voice::Tone(440.0, -20.0));
        sim.run_ms(500);
        assert!(meter.level().is_some_and(|level| (-22..=-18).contains(&level)), "{:?}", meter.level());
        assert!(meter.speaking() && sim.plane().meter(leg).expect("the same").speaking());
        sim.say(phone, Voice::Silence);
        sim.run_ms(1_500);
        assert!(!meter.speaking() && meter.level().is_none_or(|level| level < -60), "{:?}", meter.level());
    }
    let gone = removed_leg(&mut sim);
    assert!(matches!(sim.plane().meter(gone), Err(MediaError::NoLeg(_))));
}

fn removed_leg(sim: &mut Simulator) -> LegId {
    let (_, leg) = opus(sim, 9, 0);
    let pending = sim.plane().remove_leg(leg);
    sim.wait(pending).expect("removed");
    leg
}

#[test]
fn wide_legs_are_limited_and_a_bad_configuration_is_refused() {
    let mut sim = Simulator::new(MediaConfig { max_wide_legs: 2, ..config(1) }).expect("a plane");
    let (a, _) = (opus(&mut sim, 1, 0), opus(&mut sim, 2, 0));
    let phone = sim.phone(PhoneSetup::g722(3));
    assert!(matches!(sim.call(phone, None), Err(MediaError::Limit { limit: 2, .. })));
    let narrow = sim.phone(PhoneSetup::mu_law(4));
    let leg = sim.call(narrow, None).expect("narrow ones are not limited by it");
    let wide = media::LegUpdate { format: Some((media::Format::G722, 9)), ..Default::default() };
    let pending = sim.plane().update_leg(leg, wide.clone());
    assert!(matches!(sim.wait(pending), Err(MediaError::Limit { .. })));
    let pending = sim.plane().remove_leg(a.1);
    sim.wait(pending).expect("removed");
    // Each that goes, or becomes narrow, makes room for exactly one.
    for _ in 0..3 {
        let pending = sim.plane().update_leg(leg, wide.clone());
        sim.wait(pending).expect("there is room now");
        let pending = sim.plane().update_leg(leg, wide.clone());
        sim.wait(pending).expect("it counts once");
        assert!(matches!(sim.call(phone, None), Err(MediaError::Limit { limit: 2, .. })));
        let narrow = media::LegUpdate { format: Some((media::Codec::Pcmu.into(), 0)), ..Default::default() };
        let pending = sim.plane().update_leg(leg, narrow);
        sim.wait(pending).expect("narrow again");
    }
    sim.call(phone, None).expect("there is room again");
    assert!(Simulator::new(MediaConfig { opus_bitrate: 200_000, ..config(1) }).is_err());
    assert!(Simulator::new(MediaConfig { opus_complexity: 11, ..config(1) }).is_err());
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    /// By member: the bus he is on (3: none), and the buses he hears (a bit each).
    Hear(Vec<(u16, u8)>),
    Talk(usize, bool),
    Prompt(usize),
    /// Leaves, or comes back.
    Move(usize),
    Wait(u64),
}

const MEMBERS: usize = 5;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let hearing = proptest::collection::vec((0u16..4, 0u8..8), MEMBERS);
    // Most listeners alike, so that there is something to share.
    let alike =
        (proptest::collection::vec(0u16..4, MEMBERS), 1u8..8, 0..MEMBERS, 0u8..8).prop_map(|(on, all, who, other)| {
            on.into_iter().enumerate().map(|(n, bus)| (bus, if n == who { other } else { all })).collect()
        });
    let step = prop_oneof![
        1 => hearing.prop_map(Step::Hear),
        3 => alike.prop_map(Step::Hear),
        5 => (0..MEMBERS, any::<bool>()).prop_map(|(who, on)| Step::Talk(who, on)),
        1 => (0..MEMBERS).prop_map(Step::Prompt),
        1 => (0..MEMBERS).prop_map(Step::Move),
        6 => (20u64..500).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 10..40)
}

/// Who may hear whom from a tick on.
struct Rules {
    tick: u64,
    hears: [[bool; MEMBERS]; MEMBERS],
}

fn run(history: &[Step]) -> (Vec<LegId>, Vec<Encode>, Vec<Rules>, ShardMetrics) {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let members: Vec<_> = (1..=MEMBERS as u8).map(|n| opus(&mut sim, n, 0)).collect();
    let legs: Vec<LegId> = members.iter().map(|m| m.1).collect();
    let room = sim.plane().open_room_on(0).expect("a room");
    sim.listen_in();
    let mut present = [true; MEMBERS];
    let mut hearing = vec![(0u16, 1u8); MEMBERS];
    let (mut revision, mut rules) = (0, Vec::new());
    let mut apply = |sim: &mut Simulator, hearing: &[(u16, u8)], present: &[bool; MEMBERS]| {
        revision += 1;
        let here = |n: &usize| present[*n];
        let sources: Vec<_> =
            (0..MEMBERS).filter(here).filter(|n| hearing[*n].0 < 3).map(|n| (legs[n], hearing[n].0)).collect();
        let buses: Vec<Vec<u16>> =
            hearing.iter().map(|(_, bits)| (0..3u16).filter(|bus| bits >> bus & 1 == 1).collect()).collect();
        let listeners: Vec<(LegId, &[u16])> = (0..MEMBERS).filter(here).map(|n| (legs[n], &buses[n][..])).collect();
        let join = (0..MEMBERS).filter(here).map(|n| legs[n]).collect();
        let leave = (0..MEMBERS).filter(|n| !present[*n]).map(|n| legs[n]).collect();
        let next = RoomChange { plan: plan(revision, 3, &sources, &listeners), join, leave, ..RoomChange::default() };
        let applied = change(sim, room, next);
        let mut hears = [[false; MEMBERS]; MEMBERS];
        for (l, row) in hears.iter_mut().enumerate() {
            for (s, cell) in row.iter_mut().enumerate() {
                let bus = hearing[s].0;
                *cell = l != s && present[l] && present[s] && bus < 3 && hearing[l].1 >> bus & 1 == 1;
            }
        }
        rules.push(Rules { tick: applied.tick, hears });
    };
    apply(&mut sim, &hearing, &present);
    for (n, step) in history.iter().enumerate() {
        match step {
            Step::Hear(next) => {
                hearing.clone_from(next);
                apply(&mut sim, &hearing, &present);
            }
            Step::Talk(who, on) => {
                sim.say(
                    members[*who].0,
                    if *on { Voice::Tone(300.0 + 100.0 * *who as f64, -15.0) } else { Voice::Silence },
                );
            }
            Step::Prompt(who) => {
                let play = Play::once(PlayId(n as u64), Sound::from_samples(&[4_000; 2_400]));
                let pending = sim.plane().play(legs[*who], play);
                sim.wait(pending).expect("played");
            }
            Step::Move(who) => {
                present[*who] = !present[*who];
                apply(&mut sim, &hearing, &present);
            }
            Step::Wait(time) => sim.run_ms(*time),
        }
    }
    sim.run_ms(300);
    let metrics = counted(&sim);
    (legs, sim.encodes(), rules, metrics)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// An encoder that has encoded a source since its reset never serves a listener who could not hear that source when it did.
    #[test]
    fn no_encoder_serves_who_could_not_hear_all_it_encoded(history in steps()) {
        let (legs, encodes, rules, metrics) = run(&history);
        let place = |leg: &LegId| legs.iter().position(|l| l == leg).expect("a member");
        let could = |listener: usize, source: usize, encode: &Encode| {
            let tick = encode.at.as_millis() as u64 / 20;
            rules.iter().rev().find(|r| r.tick <= tick).is_some_and(|r| r.hears[listener][source])
        };
        let mut heard: std::collections::HashMap<u64, Vec<&Encode>> = std::collections::HashMap::new();
        for encode in &encodes {
            prop_assert!(!encode.listeners.is_empty(), "an encode for nobody: {:?}", encode);
            let before = heard.entry(encode.encoder).or_default();
            before.push(encode);
            for listener in &encode.listeners {
                for old in before.iter() {
                    for source in &old.sources {
                        prop_assert!(
                            could(place(listener), place(source), old),
                            "{} is served by an encoder that encoded {} at {:?}", listener, source, old.at
                        );
                    }
                }
            }
        }
        prop_assert!(metrics.wide_encodes >= metrics.distinct_mixes || metrics.distinct_mixes == 0);
        prop_assert_eq!(metrics.unconverted, 0);
    }
}
