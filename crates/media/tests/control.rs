//! Legs, rooms, players, digits and ports as their owner drives them.

mod common;

use common::{Coached, Member, config, level_at, ms, plan};
use media::sim::{PhoneSetup, Simulator, Voice};
use media::{
    BusId, Codec, Ear, Fact, LegUpdate, MediaConfig, MediaError, Plan, PlanSource, Play, PlayChange, PlayId,
    PlayerChange, PlayerId, Repeat, RoomChange, Sound, SourceRef,
};

fn tone(hz: f64, milliseconds: usize) -> Sound {
    let mut samples = vec![0; milliseconds * 8];
    audio::Tone::new(hz, -10.0, 8_000).fill(&mut samples);
    Sound::from_samples(&samples)
}

fn single(config: MediaConfig) -> (Simulator, Member) {
    let mut sim = Simulator::new(config).expect("a plane");
    let phone = sim.phone(PhoneSetup::mu_law(1));
    let leg = sim.call(phone, None).expect("a leg");
    (sim, Member { phone, leg })
}

#[test]
fn a_leg_gets_a_packet_every_20_ms_for_life_silent_or_not() {
    let (mut sim, member) = single(config(1));
    sim.run_ms(2_000);
    let heard = sim.heard(member.phone);
    assert!(heard.len() >= 99);
    assert!(heard[0].marker && heard[1..].iter().all(|p| !p.marker), "a marker on the first packet only");
    for two in heard.windows(2) {
        assert_eq!(two[1].at - two[0].at, ms(20));
        assert_eq!(two[1].timestamp, two[0].timestamp.wrapping_add(160));
        assert_eq!(two[1].sequence, two[0].sequence.wrapping_add(1));
    }
    assert!(heard.iter().all(|p| p.payload == [0xff; 160]));
}

#[test]
fn digits_come_in_once_each_and_sound_only_where_they_are_relayed() {
    for relay_digits in [false, true] {
        let mut room = Coached::new(config(1), Codec::Pcmu);
        let mut plan = room.plan(true);
        for source in &mut plan.sources {
            source.relay_digits = relay_digits;
        }
        let pending = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
        room.sim.wait(pending).expect("applied");
        room.sim.run_ms(3_000);
        room.sim.facts();
        let since = room.sim.now();
        // The supervisor whispers: his digits are for the agent alone.
        room.sim.press(room.supervisor.phone, '7', ms(200));
        room.sim.run_ms(1_000);
        let digits: Vec<Fact> = room.sim.facts().into_iter().filter(|f| matches!(f, Fact::Digit { .. })).collect();
        let expected = Fact::Digit { leg: room.supervisor.leg, digit: '7', duration_ms: 200 };
        assert_eq!(digits, [expected]);
        let agent = level_at(&room.sim.samples(room.agent.phone, since), 852.0);
        let customer = room.sim.samples(room.customer.phone, since);
        assert_eq!(agent > -30.0, relay_digits, "{agent} dBFS at the agent");
        assert!(customer.iter().all(|s| *s == 0), "a relayed digit obeys the same rule");
    }
}

#[test]
fn digits_go_out_as_events_or_as_tones() {
    for telephone_event in [Some(101), None] {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let phone = sim.phone(PhoneSetup { telephone_event, ..PhoneSetup::mu_law(1) });
        let leg = sim.call(phone, None).expect("a leg");
        sim.run_ms(200);
        sim.facts();
        let since = sim.now();
        let pending = sim.plane().send_digits(leg, "5#");
        sim.wait(pending).expect("taken");
        sim.run_ms(1_500);
        assert!(sim.facts().contains(&Fact::DigitsSent { leg }));
        let heard: Vec<_> = sim.heard(phone).into_iter().filter(|p| p.at >= since).collect();
        assert!(heard.windows(2).all(|w| w[1].sequence == w[0].sequence.wrapping_add(1)), "one sequence for both");
        assert!(heard.windows(2).all(|w| w[1].at - w[0].at == ms(20)), "a packet per tick");
        let events: Vec<_> = heard.iter().filter(|p| p.payload_type == 101).collect();
        if telephone_event.is_some() {
            assert_eq!(events.iter().filter(|p| p.payload[0] == 5 && p.payload[1] & 0x80 != 0).count(), 3);
            assert_eq!(events.iter().filter(|p| p.payload[0] == 11 && p.payload[1] & 0x80 != 0).count(), 3);
            let starts: Vec<u32> = events.iter().filter(|p| p.payload[0] == 5).map(|p| p.timestamp).collect();
            assert!(starts.windows(2).all(|w| w[0] == w[1]), "an event keeps its first timestamp");
            let sound = heard.iter().filter(|p| p.payload_type == 0);
            let timestamps: Vec<u32> = sound.map(|p| p.timestamp).collect();
            assert!(timestamps.windows(2).all(|w| w[1].wrapping_sub(w[0]) % 160 == 0));
        } else {
            assert!(events.is_empty());
            let samples = sim.samples(phone, since);
            let loudest = |hz| samples.chunks(640).map(|part| level_at(part, hz)).fold(-120.0, f64::max);
            // 5 is 770 and 1 336 Hz, # is 941 and 1 477 Hz.
            for hz in [770.0, 1_336.0, 941.0, 1_477.0] {
                assert!(loudest(hz) > -15.0, "{hz} Hz at {} dBFS", loudest(hz));
            }
        }
    }
}

#[test]
fn rubbish_digits_are_refused_with_the_reason() {
    let (mut sim, member) = single(config(1));
    let pending = sim.plane().send_digits(member.leg, "12x");
    assert!(matches!(sim.wait(pending), Err(MediaError::BadDigits(_))));
    let pending = sim.plane().send_digits(member.leg, &"1".repeat(500));
    assert!(matches!(sim.wait(pending), Err(MediaError::BadDigits(_))));
}

#[test]
fn hold_and_a_new_codec_by_reinvite_keep_one_stream() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.agent.phone, Voice::Tone(640.0, -12.0));
    room.sim.run_ms(1_000);
    let update = |room: &mut Coached, update: LegUpdate| {
        let pending = room.sim.plane().update_leg(room.customer.leg, update);
        room.sim.wait(pending).expect("applied");
    };
    update(&mut room, LegUpdate { send: Some(false), receive: Some(false), ..LegUpdate::default() });
    let held = room.sim.heard(room.customer.phone);
    room.sim.run_ms(3_000);
    let after = room.sim.heard(room.customer.phone);
    assert!(after.len() - held.len() <= 1, "nothing is sent while held");
    room.sim.set_codec(room.customer.phone, Codec::Pcma, 8);
    let resumed = LegUpdate {
        send: Some(true),
        receive: Some(true),
        format: Some((Codec::Pcma.into(), 8)),
        ..LegUpdate::default()
    };
    update(&mut room, resumed);
    room.sim.run_ms(1_000);
    let heard = room.sim.heard(room.customer.phone);
    let (last, first) = (&heard[after.len() - 1], &heard[after.len()]);
    assert_eq!(first.ssrc, last.ssrc);
    assert_eq!(first.sequence, last.sequence.wrapping_add(1));
    assert!(first.marker && first.payload_type == 8);
    let elapsed = (first.at - last.at).as_millis() as u32 * 8;
    assert!(first.timestamp.wrapping_sub(last.timestamp).abs_diff(elapsed) <= 160, "timestamps went on");
    let since = room.sim.now() - ms(500);
    assert!(
        (level_at(&room.sim.samples(room.customer.phone, since), 640.0) + 12.0).abs() < 0.5,
        "heard in the new codec"
    );
    // And the other way.
    room.sim.say(room.agent.phone, Voice::Silence);
    room.sim.say(room.customer.phone, Voice::Tone(1_300.0, -12.0));
    room.sim.run_ms(300);
    let since = room.sim.now();
    room.sim.run_ms(500);
    assert!((level_at(&room.sim.samples(room.agent.phone, since), 1_300.0) + 12.0).abs() < 0.5);
}

#[test]
fn a_new_sdp_address_moves_the_stream_at_once() {
    let (mut sim, member) = single(config(1));
    sim.run_ms(500);
    let remote = "198.51.100.1:7000".parse().expect("address");
    let pending = sim.plane().update_leg(member.leg, LegUpdate { remote: Some(remote), ..LegUpdate::default() });
    sim.wait(pending).expect("applied");
    sim.move_phone(member.phone, remote);
    let since = sim.now();
    sim.run_ms(200);
    let sent: Vec<_> = sim.sent_to(member.phone).into_iter().filter(|d| d.at >= since && d.from % 2 == 0).collect();
    assert!(sent.len() >= 9 && sent.iter().all(|d| d.to == remote));
}

#[test]
fn players_tell_their_end_once_and_why() {
    let (mut sim, member) = single(config(1));
    let ends = |sim: &mut Simulator| -> Vec<(u64, bool)> {
        let ended = |f| if let Fact::PlayEnded { play, completed, .. } = f { Some((play.0, completed)) } else { None };
        sim.facts().into_iter().filter_map(ended).collect()
    };
    let leg = member.leg;
    let pending = sim.plane().play(leg, Play { repeat: Repeat::Times(2), ..Play::once(PlayId(1), tone(500.0, 300)) });
    sim.wait(pending).expect("played");
    sim.run_ms(500);
    assert_eq!(ends(&mut sim), []);
    sim.run_ms(200);
    assert_eq!(ends(&mut sim), [(1, true)]);
    let first = sim.plane().play(leg, Play::forever(PlayId(2), tone(500.0, 300)));
    sim.wait(first).expect("played");
    let second = sim.plane().play(leg, Play::forever(PlayId(3), tone(900.0, 300)));
    sim.wait(second).expect("played");
    sim.run_ms(100);
    assert_eq!(ends(&mut sim), [(2, false)], "replaced");
    let other = sim.plane().stop_play(leg, Some(PlayId(2)));
    sim.wait(other).expect("nothing to stop");
    sim.run_ms(1_000);
    assert_eq!(ends(&mut sim), [], "a late stop stops nothing else");
    let stop = sim.plane().stop_play(leg, None);
    sim.wait(stop).expect("stopped");
    sim.run_ms(100);
    assert_eq!(ends(&mut sim), [(3, false)]);
    let last = sim.plane().play(leg, Play::forever(PlayId(4), tone(900.0, 300)));
    sim.wait(last).expect("played");
    let gone = sim.plane().remove_leg(leg);
    sim.wait(gone).expect("removed");
    assert_eq!(ends(&mut sim), [(4, false)], "told even if the leg ends first");
}

#[test]
fn room_players_are_heard_by_the_plan_and_start_with_the_change() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    let mut next = room.plan(true);
    next.buses = 3;
    next.sources.push(PlanSource { source: SourceRef::Player(PlayerId(5)), bus: BusId(2), relay_digits: false });
    for listener in &mut next.listeners {
        if listener.ear == Ear::Leg(room.supervisor.leg) {
            listener.buses.push(BusId(2));
        }
    }
    let sound = Play::once(PlayId(0), tone(2_700.0, 1_000));
    let change = RoomChange {
        plan: next.clone(),
        players: vec![(PlayerId(5), PlayerChange::Start(sound))],
        plays: vec![(room.customer.leg, PlayChange::Start(Play::forever(PlayId(9), tone(400.0, 100))))],
        ..RoomChange::default()
    };
    let pending = room.sim.plane().change_room(room.room, change);
    room.sim.wait(pending).expect("applied");
    let since = room.sim.now();
    room.sim.run_ms(600);
    assert!((level_at(&room.sim.samples(room.supervisor.phone, since), 2_700.0) + 10.0).abs() < 0.5);
    assert!(level_at(&room.sim.samples(room.agent.phone, since), 2_700.0) < -90.0);
    assert!((level_at(&room.sim.samples(room.customer.phone, since), 400.0) + 10.0).abs() < 0.5);
    // A change in the middle lets it go on.
    next.revision += 1;
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan: next, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    room.sim.run_ms(600);
    let ended = Fact::PlayerEnded { room: room.room, player: PlayerId(5), completed: true };
    assert_eq!(room.sim.facts().iter().filter(|f| **f == ended).count(), 1);
}

#[test]
fn who_leaves_hears_and_sounds_nothing_but_lives_on() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    room.sim.run_ms(500);
    let plan = room.plan(true);
    let leave = vec![room.customer.leg];
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, leave, ..RoomChange::default() });
    room.sim.wait(pending).expect("applied");
    let since = room.sim.now() + ms(20);
    room.sim.run_ms(1_000);
    let silent = |m: Member| {
        let packets: Vec<_> = room.sim.heard(m.phone).into_iter().filter(|p| p.at >= since).collect();
        packets.len() > 45 && packets.iter().all(|p| p.payload.iter().all(|w| *w == 0xff))
    };
    assert!(silent(room.customer), "the customer hears silence");
    assert!(silent(room.agent), "and is heard by nobody");
    assert_eq!(room.sim.plane().metrics().strangers_in_plans, 2, "the plan still named him, twice");
}

#[test]
fn an_empty_room_costs_nothing_and_a_closed_one_frees_its_legs() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    room.sim.run_ms(500);
    let pending = room.sim.plane().close_room(room.room);
    room.sim.wait(pending).expect("closed");
    let ticks = room.sim.plane().metrics().shards[0].room_ticks;
    let since = room.sim.now() + ms(20);
    room.sim.run_ms(1_000);
    assert_eq!(room.sim.plane().metrics().shards[0].room_ticks, ticks);
    assert_eq!(room.sim.plane().metrics().shards[0].rooms, 0);
    let heard: Vec<_> = room.sim.heard(room.agent.phone).into_iter().filter(|p| p.at >= since).collect();
    assert!(heard.len() > 45 && heard.iter().all(|p| p.payload.iter().all(|w| *w == 0xff)));
    let pending = room.sim.plane().change_room(room.room, RoomChange::default());
    assert!(matches!(room.sim.wait(pending), Err(MediaError::NoRoom(_))));
}

#[test]
fn changes_of_a_room_are_pipelined_and_applied_in_order() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    let mut answers = Vec::new();
    for n in 0..20 {
        let plan = room.plan(n % 2 == 0);
        answers.push(room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() }));
    }
    let start = room.sim.now();
    let ticks: Vec<u64> = answers.into_iter().map(|a| room.sim.wait(a).expect("applied").tick).collect();
    assert!(ticks.windows(2).all(|w| w[0] <= w[1]));
    assert!(room.sim.now() - start <= ms(3), "none waits a tick for the one before");
}

#[test]
fn a_full_queue_is_busy_before_any_side_effect() {
    let small = MediaConfig { command_capacity: 8, ..config(1) };
    let mut room = Coached::new(small, Codec::Pcmu);
    let leg = room.customer.leg;
    let mut answers: Vec<_> = (0..8).map(|_| room.sim.plane().leg_stats(leg)).collect();
    let plan = room.plan(false);
    let refused = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
    assert!(matches!(room.sim.wait(refused), Err(MediaError::Busy(_))));
    assert!(room.sim.plane().metrics().busy >= 1);
    for answer in &mut answers {
        room.sim.run_ms(1);
        assert!(answer.try_now().is_some_and(|a| a.is_ok()));
    }
    room.revision -= 1;
    room.apply(false, Vec::new());
}

#[test]
fn limits_and_bad_plans_are_refused_whole() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    let c = room.customer.leg;
    let mut bad = |plan: Plan| {
        let pending = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
        room.sim.wait(pending)
    };
    assert!(matches!(bad(plan(9, 1, &[(c, 1)], &[])), Err(MediaError::BadPlan { .. })));
    assert!(matches!(bad(plan(9, 1, &[(c, 0), (c, 0)], &[])), Err(MediaError::BadPlan { .. })));
    assert!(matches!(bad(plan(9, 1, &[], &[(c, &[3])])), Err(MediaError::BadPlan { .. })));
    assert!(matches!(bad(plan(9, 60_000, &[], &[])), Err(MediaError::Limit { .. })));
    bad(plan(2, 1, &[(c, 0)], &[(c, &[0])])).expect("revision 9 was never in force");
}

#[test]
fn closed_ports_rest_before_anyone_gets_them_again() {
    let config = MediaConfig { ports: 20_000..=20_003, port_rest: ms(5_000), ..config(1) };
    let mut sim = Simulator::new(config).expect("a plane");
    let first = sim.plane().reserve_ports().expect("a pair");
    let second = sim.plane().reserve_ports().expect("another");
    assert_eq!((first.rtp_addr().port() % 2, first.rtcp_addr().port()), (0, first.rtp_addr().port() + 1));
    assert!(matches!(sim.plane().reserve_ports(), Err(MediaError::NoPorts { .. })));
    let port = first.rtp_addr().port();
    drop(first);
    assert!(matches!(sim.plane().reserve_ports(), Err(MediaError::NoPorts { .. })), "it rests");
    sim.run_ms(4_990);
    assert!(sim.plane().reserve_ports().is_err());
    sim.run_ms(20);
    assert_eq!(sim.plane().reserve_ports().expect("rested").rtp_addr().port(), port);
    drop(second);
}

#[test]
fn reports_tell_the_round_trip_and_a_removed_leg_says_goodbye() {
    let (mut sim, member) = single(config(1));
    sim.say(member.phone, Voice::Tone(500.0, -10.0));
    sim.run_ms(20_000);
    let reports: Vec<_> = sim.sent_to(member.phone).into_iter().filter(|d| d.from % 2 == 1).collect();
    assert!((3..=7).contains(&reports.len()), "{} reports in 20 s", reports.len());
    let last = reports.last().expect("a report");
    assert_eq!(last.bytes[1], 200, "a sender report");
    // The phone answers 100 ms later that it waited 60 ms: 40 ms were spent on the way.
    let middle = [&last.bytes[10..12], &last.bytes[12..14]].concat();
    let own = sim.heard(member.phone)[0].ssrc;
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 9];
    report.extend_from_slice(&own.to_be_bytes());
    report.extend_from_slice(&[25, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 16]);
    report.extend_from_slice(&middle);
    let waited = sim.now() - last.at + ms(60);
    report.extend_from_slice(&((waited.as_micros() * 65_536 / 1_000_000) as u32).to_be_bytes());
    sim.run_ms(100);
    let from = "198.51.100.1:4001".parse().expect("address");
    sim.throw(from, last.from, report);
    sim.run_ms(1_000);
    let pending = sim.plane().leg_stats(member.leg);
    let stats = sim.wait(pending).expect("stats");
    let trip = stats.round_trip.expect("measured");
    assert!(trip.abs_diff(ms(40)) <= ms(2), "{trip:?}");
    assert_eq!((stats.remote_fraction_lost, stats.remote_jitter), (Some(25), Some(ms(2))));
    let gone = sim.plane().remove_leg(member.leg);
    let stats = sim.wait(gone).expect("removed");
    assert!(stats.packets_received > 900 && stats.packets_sent > 900);
    let bye = sim.sent_to(member.phone).pop().expect("a last packet");
    assert_eq!((bye.from % 2, bye.bytes[bye.bytes.len() - 7]), (1, 203));
    let sent = sim.sent_to(member.phone).len();
    sim.run_ms(500);
    assert_eq!(sim.sent_to(member.phone).len(), sent, "nothing after the goodbye");
    let pending = sim.plane().leg_stats(member.leg);
    assert!(matches!(sim.wait(pending), Err(MediaError::NoLeg(_))));
}

#[test]
fn speaking_is_told_and_stops() {
    let (mut sim, member) = single(config(1));
    sim.run_ms(1_000);
    sim.say(member.phone, Voice::Tone(500.0, -15.0));
    sim.run_ms(1_000);
    sim.say(member.phone, Voice::Silence);
    sim.run_ms(2_000);
    let speaking = |f| if let Fact::Speaking { speaking, .. } = f { Some(speaking) } else { None };
    assert_eq!(sim.facts().into_iter().filter_map(speaking).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn facts_wait_for_their_reader_and_keep_their_order() {
    let tight = MediaConfig { fact_capacity: 8, ..config(1) };
    let (mut sim, member) = single(tight);
    sim.run_ms(200);
    for n in 0..12 {
        sim.press(member.phone, char::from(b'0' + n % 10), ms(60));
        sim.run_ms(300);
    }
    let mut digits = String::new();
    for _ in 0..20 {
        for fact in sim.facts() {
            if let Fact::Digit { digit, .. } = fact {
                digits.push(digit);
            }
        }
        sim.run_ms(20);
    }
    assert_eq!(digits, "012345678901");
}
