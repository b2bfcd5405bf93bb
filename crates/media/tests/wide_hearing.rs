//! Rooms of mixed rates: who hears whom, and that nobody's bytes tell of what he may not hear.

mod common;

use common::{config, ms, plan};
use media::sim::{HeardPacket, PhoneId, PhoneSetup, Simulator, Voice};
use media::{
    BusId, LegId, LegSetup, LegUpdate, MediaConfig, OpusTerms, PlanSource, Play, PlayChange, PlayId, PlayerChange,
    PlayerId, RoomChange, RoomId, Sound, SourceRef, TapSetup,
};

/// Level of a frequency in dBFS at a sampling rate.
fn level(samples: &[i16], hz: f64, rate: u32) -> f64 {
    // `level_at` counts at 8 kHz.
    common::level_at(samples, hz * 8_000.0 / f64::from(rate))
}

#[derive(Clone, Copy, Debug)]
struct Member {
    phone: PhoneId,
    leg: LegId,
    rate: u32,
}

fn member(sim: &mut Simulator, setup: PhoneSetup, browser: bool, shard: u16) -> Member {
    let phone = sim.phone(setup);
    let leg = if browser { sim.call_browser(phone, Some(shard)) } else { sim.call(phone, Some(shard)) };
    Member { phone, leg: leg.expect("a leg"), rate: setup.format.sampling_rate() }
}

fn change(sim: &mut Simulator, room: RoomId, change: RoomChange) {
    let pending = sim.plane().change_room(room, change);
    sim.wait(pending).expect("applied");
}

/// Everybody on bus 0.
fn open_room(sim: &mut Simulator, members: &[Member]) -> RoomId {
    let room = sim.plane().open_room_on(0).expect("a room");
    let legs: Vec<LegId> = members.iter().map(|m| m.leg).collect();
    let sources: Vec<_> = legs.iter().map(|leg| (*leg, 0)).collect();
    let listeners: Vec<(LegId, &[u16])> = legs.iter().map(|leg| (*leg, &[0u16][..])).collect();
    change(sim, room, RoomChange { plan: plan(1, 1, &sources, &listeners), join: legs, ..RoomChange::default() });
    room
}

fn setups() -> [(PhoneSetup, bool); 6] {
    [
        (PhoneSetup::mu_law(1), false),
        (PhoneSetup::a_law(2), true),
        (PhoneSetup::g722(3), false),
        (PhoneSetup::g722(4), true),
        (PhoneSetup::opus(5), true),
        (PhoneSetup::opus(6), false),
    ]
}

#[test]
fn everyone_hears_everyone_at_every_pair_of_rates_and_carriers() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let members: Vec<Member> =
        setups().into_iter().map(|(setup, browser)| member(&mut sim, setup, browser, 0)).collect();
    open_room(&mut sim, &members);
    let tone = |n: usize| 400.0 + 310.0 * n as f64;
    for (n, m) in members.iter().enumerate() {
        sim.say(m.phone, Voice::Tone(tone(n), -20.0));
    }
    sim.run_ms(1_500);
    let since = sim.now();
    sim.listen_in();
    sim.run_ms(1_000);
    for (l, listener) in members.iter().enumerate() {
        let mixed: Vec<i16> = sim.mixed(listener.leg).into_iter().filter_map(|m| m.samples).flatten().collect();
        assert!(level(&mixed, tone(l), listener.rate) < -70.0, "{l} is sent himself");
        let samples = sim.samples(listener.phone, since);
        assert!(samples.len() >= listener.rate as usize * 9 / 10, "{l}: {} samples", samples.len());
        for n in 0..members.len() {
            let level = level(&samples, tone(n), listener.rate);
            if n == l {
                assert!(level < -42.0, "{l} hears himself at {level}");
            } else {
                assert!((level + 20.0).abs() < 2.0, "{l} hears {n} at {level}");
            }
        }
    }
    let metrics = sim.plane().metrics();
    assert_eq!(metrics.shards[0].unconverted, 0);
    assert!(metrics.shards[0].conversions > 0 && metrics.shards[0].decodes > 0);
}

#[test]
fn a_wide_voice_stays_wide_between_wide_legs() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (member(&mut sim, PhoneSetup::opus(1), true, 0), member(&mut sim, PhoneSetup::opus(2), true, 0));
    let c = member(&mut sim, PhoneSetup::g722(3), false, 0);
    open_room(&mut sim, &[a, b, c]);
    sim.say(a.phone, Voice::Tone(6_000.0, -15.0));
    sim.run_ms(1_000);
    let since = sim.now();
    sim.run_ms(500);
    for listener in [b, c] {
        let level = level(&sim.samples(listener.phone, since), 6_000.0, listener.rate);
        assert!((level + 15.0).abs() < 3.0, "{listener:?} at {level}");
    }
}

/// One history: customer, agent and a coach on bus 1 whom the agent hears; what each was sent, times and all.
fn coached(formats: [PhoneSetup; 3], browser: bool, silenced: bool, config: MediaConfig) -> [Vec<HeardPacket>; 2] {
    let mut sim = Simulator::new(config).expect("a plane");
    let [customer, agent, coach] = formats.map(|setup| member(&mut sim, setup, browser, 0));
    let room = sim.plane().open_room_on(0).expect("a room");
    let legs = [customer.leg, agent.leg, coach.leg];
    let [c, a, s] = legs;
    let whisper = |revision| plan(revision, 2, &[(c, 0), (a, 0), (s, 1)], &[(c, &[0]), (a, &[0, 1]), (s, &[0])]);
    change(&mut sim, room, RoomChange { plan: whisper(1), join: legs.to_vec(), ..RoomChange::default() });
    sim.say(customer.phone, Voice::Tone(700.0, -20.0));
    sim.say(agent.phone, Voice::Tone(1_100.0, -20.0));
    sim.say(coach.phone, Voice::Noise(9_000));
    for round in 0..3u64 {
        sim.silence_words(coach.phone, silenced);
        sim.run_ms(1_300 + round * 7);
        // What he says from here on is for all.
        sim.silence_words(coach.phone, false);
        sim.say(coach.phone, Voice::Tone(1_900.0, -18.0));
        let open = plan(round * 2 + 2, 1, &[(c, 0), (a, 0), (s, 0)], &[(c, &[0]), (a, &[0]), (s, &[0])]);
        change(&mut sim, room, RoomChange { plan: open, ..RoomChange::default() });
        sim.run_ms(900 + round * 13);
        // Talk and pauses of the others.
        sim.say(customer.phone, if round == 0 { Voice::Silence } else { Voice::Tone(700.0, -20.0) });
        sim.say(agent.phone, if round == 1 { Voice::Silence } else { Voice::Tone(1_100.0, -20.0) });
        change(&mut sim, room, RoomChange { plan: whisper(round * 2 + 3), ..RoomChange::default() });
        sim.say(coach.phone, Voice::Noise(9_000));
    }
    sim.run_ms(500);
    [sim.heard(customer.phone), sim.heard(agent.phone)]
}

#[test]
fn a_whisper_changes_no_byte_for_the_customer_at_any_rate() {
    let at = |make: fn(u8) -> PhoneSetup| [make(1), make(2), make(3)];
    let mixed = [PhoneSetup::opus(1), PhoneSetup::mu_law(2), PhoneSetup::g722(3)];
    let other = [PhoneSetup::mu_law(1), PhoneSetup::opus(2), PhoneSetup::opus(3)];
    for formats in [at(PhoneSetup::mu_law), at(PhoneSetup::g722), at(PhoneSetup::opus), mixed, other] {
        for browser in [false, true] {
            let [customer, agent] = coached(formats, browser, false, config(1));
            let [twin_customer, twin_agent] = coached(formats, browser, true, config(1));
            assert!(customer == twin_customer, "{:?}, path: {browser}", formats[0].format);
            assert!(agent != twin_agent, "the agent hears it");
        }
    }
}

/// What two members get while a third, who says nothing, comes and goes, or (none) stays away.
fn with_monitor(members: [PhoneSetup; 2], browsers: bool, monitor: Option<PhoneSetup>) -> [Vec<HeardPacket>; 2] {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let two = members.map(|setup| member(&mut sim, setup, browsers, 0));
    // There in any case, so that names and phases are alike; an encoder that he could share with the others would be alike, too.
    let phone = sim.phone(monitor.unwrap_or(PhoneSetup::opus(3)));
    let setup = sim.browser_setup(phone, Some(0)).expect("a path");
    let terms = OpusTerms { fec: false, ..OpusTerms::default() };
    let third = sim.plane().add_leg(LegSetup { opus: terms, ..setup }).expect("a leg");
    let room = sim.plane().open_room_on(0).expect("a room");
    let legs = [two[0].leg, two[1].leg];
    let sources = [(legs[0], 0), (legs[1], 0)];
    let both: [(LegId, &[u16]); 2] = [(legs[0], &[0]), (legs[1], &[0])];
    let three: [(LegId, &[u16]); 3] = [both[0], both[1], (third, &[0])];
    let start = RoomChange { plan: plan(1, 1, &sources, &both), join: legs.to_vec(), ..RoomChange::default() };
    change(&mut sim, room, start);
    sim.say(two[0].phone, Voice::Noise(8_000));
    sim.say(two[1].phone, Voice::Tone(500.0, -12.0));
    sim.run_ms(500);
    for revision in 2..6 {
        let here = monitor.is_some() && revision % 2 == 0;
        let (join, leave) = if here { (vec![third], Vec::new()) } else { (Vec::new(), vec![third]) };
        let plan = plan(revision, 1, &sources, if here { &three[..] } else { &both[..] });
        change(&mut sim, room, RoomChange { plan, join, leave, ..RoomChange::default() });
        sim.run_ms(700);
        // Talk and pauses.
        sim.say(two[1].phone, if revision % 2 == 0 { Voice::Silence } else { Voice::Tone(500.0, -12.0) });
        sim.run_ms(300);
    }
    two.map(|m| sim.heard(m.phone))
}

#[test]
fn a_monitor_of_another_rate_changes_no_byte_that_members_receive() {
    // Whoever begins to hear a decoder with memory has it renewed, at any rate; for formats without memory it is as if nobody came.
    let cases = [
        ([PhoneSetup::mu_law(1), PhoneSetup::a_law(2)], None, [PhoneSetup::opus(3), PhoneSetup::g722(3)]),
        (
            [PhoneSetup::opus(1), PhoneSetup::opus(2)],
            Some(PhoneSetup::opus(3)),
            [PhoneSetup::mu_law(3), PhoneSetup::g722(3)],
        ),
        (
            [PhoneSetup::g722(1), PhoneSetup::g722(2)],
            Some(PhoneSetup::g722(3)),
            [PhoneSetup::a_law(3), PhoneSetup::opus(3)],
        ),
    ];
    for (members, plain, monitors) in cases {
        for browsers in [false, true] {
            let without = with_monitor(members, browsers, plain);
            assert!(without.iter().all(|heard| heard.len() > 100));
            for monitor in monitors {
                let same = without == with_monitor(members, browsers, Some(monitor));
                assert!(same, "{:?} with a monitor at {:?}", members[0].format, monitor.format);
            }
        }
    }
}

#[test]
fn in_a_room_of_one_rate_nothing_is_converted() {
    for setup in [PhoneSetup::mu_law as fn(u8) -> PhoneSetup, PhoneSetup::g722, PhoneSetup::opus] {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let members: Vec<Member> = (1..=3).map(|n| member(&mut sim, setup(n), n % 2 == 0, 0)).collect();
        open_room(&mut sim, &members);
        for (n, m) in members.iter().enumerate() {
            sim.say(m.phone, Voice::Tone(400.0 + 300.0 * n as f64, -20.0));
        }
        sim.run_ms(1_000);
        let since = sim.now();
        sim.run_ms(500);
        assert!((level(&sim.samples(members[0].phone, since), 700.0, members[0].rate) + 20.0).abs() < 2.0);
        let metrics = &sim.plane().metrics().shards[0];
        assert_eq!((metrics.conversions, metrics.unconverted), (0, 0), "{:?}", setup(1).format);
    }
}

#[test]
fn no_buffered_whisper_is_heard_after_widening_at_any_pair_of_rates() {
    for talker in [PhoneSetup::mu_law(1), PhoneSetup::g722(1), PhoneSetup::opus(1)] {
        for listener in [PhoneSetup::linear(2), PhoneSetup::g722(2), PhoneSetup::opus(2)] {
            for offset in [0u64, 3, 7, 11, 14, 18] {
                let mut sim = Simulator::new(config(1)).expect("a plane");
                // The talker's packets linger on the way and in the buffer; the listener's mix is read before its encoder.
                let talker = PhoneSetup {
                    path: media::sim::Path { delay: ms(5), jitter: ms(35), ..Default::default() },
                    ..talker
                };
                let (s, c) = (member(&mut sim, talker, offset % 2 == 1, 0), member(&mut sim, listener, false, 0));
                let x = member(
                    &mut sim,
                    PhoneSetup { address: "198.51.100.9:4000".parse().expect("an address"), ..listener },
                    false,
                    0,
                );
                let room = sim.plane().open_room_on(0).expect("a room");
                let legs = vec![s.leg, c.leg, x.leg];
                // x hears the whisper all along, so that everything is converted and kept in motion.
                let denied = plan(1, 2, &[(s.leg, 1)], &[(c.leg, &[0]), (x.leg, &[0, 1]), (s.leg, &[0])]);
                change(&mut sim, room, RoomChange { plan: denied, join: legs, ..RoomChange::default() });
                sim.listen_in();
                sim.say(s.phone, Voice::Tone(1_000.0, -6.0));
                sim.run_ms(1_200 + offset);
                let loud = sim.samples(x.phone, sim.now() - ms(200));
                assert!(level(&loud, 1_000.0, x.rate) > -8.0, "x hears it");
                // Nothing is on the way, much in the buffer. From here on he says nothing; then he is heard by all.
                sim.set_path(s.phone, media::sim::Path::default());
                sim.run_ms(45);
                sim.silence_words(s.phone, true);
                sim.run_ms(1);
                let at = sim.now();
                let open = plan(2, 1, &[(s.leg, 0)], &[(c.leg, &[0]), (x.leg, &[0]), (s.leg, &[0])]);
                change(&mut sim, room, RoomChange { plan: open, ..RoomChange::default() });
                sim.run_ms(3_000);
                let after: Vec<i16> = if c.rate == 8_000 {
                    sim.samples(c.phone, at)
                } else {
                    sim.mixed(c.leg).into_iter().filter_map(|m| m.samples).flatten().collect()
                };
                let loudest = after.iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
                // A packet that was encoded together with the whisper, but sent after the change, may ring faintly.
                assert!(loudest < 400, "{:?} to {:?} at {offset}: {loudest}", talker.format, listener.format);
            }
        }
    }
}

/// Who speaks, who is let in and put out, and who hears it all along; what the latter two are sent before the encoder.
struct LetIn {
    sim: Simulator,
    talker: Member,
    guest: Member,
    witness: Member,
    room: RoomId,
}

impl LetIn {
    fn new(setup: fn(u8) -> PhoneSetup) -> Self {
        let mut sim = Simulator::new(MediaConfig { gate: false, ..config(1) }).expect("a plane");
        let [talker, guest, witness] = [1, 2, 3].map(|n| member(&mut sim, setup(n), false, 0));
        let room = open_room(&mut sim, &[talker, guest, witness]);
        sim.say(talker.phone, Voice::Tone(200.0, -6.0));
        sim.run_ms(1_000);
        sim.listen_in();
        Self { sim, talker, guest, witness, room }
    }

    /// The tick from which it holds.
    fn let_in(&mut self, revision: u64, on: bool) -> std::time::Duration {
        let hears: &[u16] = if on { &[0] } else { &[] };
        let listeners: [(LegId, &[u16]); 2] = [(self.guest.leg, hears), (self.witness.leg, &[0])];
        let plan = plan(revision, 1, &[(self.talker.leg, 0)], &listeners);
        let pending = self.sim.plane().change_room(self.room, RoomChange { plan, ..RoomChange::default() });
        let applied = self.sim.wait(pending).expect("applied");
        std::time::Duration::from_micros((applied.at_micros - media::sim::UTC_ZERO) as u64)
    }

    /// What guest and witness were sent in each tick.
    fn sent(&mut self) -> Vec<(std::time::Duration, Vec<i16>, Vec<i16>)> {
        let whole = |samples: Option<Vec<i16>>| samples.unwrap_or_else(|| vec![0; self.guest.rate as usize / 50]);
        let (guest, witness) = (self.sim.mixed(self.guest.leg), self.sim.mixed(self.witness.leg));
        let pairs = guest.into_iter().zip(witness);
        pairs
            .inspect(|(g, w)| assert_eq!(g.at, w.at))
            .map(|(g, w)| (g.at, whole(g.samples), whole(w.samples)))
            .collect()
    }
}

#[test]
fn what_is_denied_is_exactly_zero_at_the_next_tick_and_what_is_granted_comes_in_over_5_ms() {
    for setup in [PhoneSetup::g722 as fn(u8) -> PhoneSetup, PhoneSetup::opus] {
        let mut stage = LetIn::new(setup);
        let denied = stage.let_in(2, false);
        stage.sim.run_ms(1_000);
        let sent = stage.sent();
        assert!(sent.iter().filter(|(at, ..)| *at >= denied).count() > 40);
        for (at, guest, witness) in sent {
            assert!(at < denied || guest.iter().all(|s| *s == 0), "at {at:?}");
            assert!(witness.iter().any(|s| s.unsigned_abs() > 5_000));
        }
        stage.let_in(3, true);
        stage.sim.run_ms(1_000);
        let sent = stage.sent();
        let first = sent.iter().position(|(_, guest, _)| guest.iter().any(|s| *s != 0)).expect("he is let in");
        assert!(first <= 5, "after {first} ticks");
        let (_, guest, witness) = &sent[first];
        let ramp = stage.guest.rate as usize / 200;
        for (n, (got, whole)) in guest.iter().zip(witness).enumerate() {
            // A straight line to the whole at 5 ms.
            let wanted = i32::from(*whole) * n.min(ramp) as i32 / ramp as i32;
            assert_eq!(i32::from(*got), wanted, "sample {n} at {} Hz", stage.guest.rate);
        }
        let loudest = witness[..ramp].iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        assert!(loudest > 300, "the line shows: {loudest} at {} Hz", stage.guest.rate);
        assert!(sent[first + 1..].iter().all(|(_, guest, witness)| guest == witness), "whole from then on");
    }
}

/// The steepest step between two samples.
fn steepest(samples: &[i16]) -> i32 {
    samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

#[test]
fn a_change_of_mode_makes_no_click_for_whom_it_lets_in_nor_for_who_heard_all_along() {
    for setup in [PhoneSetup::g722 as fn(u8) -> PhoneSetup, PhoneSetup::opus] {
        for phase in [0, 3, 6, 9, 12, 15, 18] {
            let mut stage = LetIn::new(setup);
            stage.let_in(2, false);
            stage.sim.run_ms(1_000 + phase);
            let own: Vec<i16> = stage.sent().into_iter().skip(5).flat_map(|(_, _, witness)| witness).collect();
            stage.let_in(3, true);
            stage.sim.run_ms(500);
            let sent = stage.sent();
            let guest: Vec<i16> = sent.iter().flat_map(|(_, guest, _)| guest.clone()).collect();
            let witness: Vec<i16> = sent.iter().flat_map(|(.., witness)| witness.clone()).collect();
            let (own, guest, witness) = (steepest(&own), steepest(&guest), steepest(&witness));
            // The line of 5 ms adds a sixth to the slope of 200 Hz, the decoder's new beginning a little.
            let most = own * 13 / 10 + 20;
            assert!(guest <= most, "{:?}: let in with a step of {guest}, its own are {own}", stage.guest.rate);
            assert!(witness <= most, "{:?}: went on with a step of {witness}, its own are {own}", stage.guest.rate);
        }
    }
}

#[test]
fn prompts_music_and_digits_are_heard_on_wide_legs() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (member(&mut sim, PhoneSetup::opus(1), true, 0), member(&mut sim, PhoneSetup::g722(2), false, 0));
    let mut tone = vec![0; 8_000];
    audio::Tone::new(640.0, -14.0, 8_000).fill(&mut tone);
    let sound = Sound::from_samples(&tone);
    // Alone.
    let pending = sim.plane().play(a.leg, Play::forever(PlayId(1), sound.clone()));
    sim.wait(pending).expect("played");
    sim.run_ms(300);
    let since = sim.now();
    sim.run_ms(500);
    let alone = sim.samples(a.phone, since);
    assert!((level(&alone, 640.0, a.rate) + 14.0).abs() < 1.5);
    let ssrc = sim.heard(a.phone).last().map(|p| p.ssrc);
    // In a room, with its music.
    let room = open_room(&mut sim, &[a, b]);
    let mut open = plan(2, 2, &[(a.leg, 0), (b.leg, 0)], &[(a.leg, &[0, 1]), (b.leg, &[0, 1])]);
    open.sources.push(PlanSource { source: SourceRef::Player(PlayerId(7)), bus: BusId(1), relay_digits: false });
    for source in &mut open.sources {
        source.relay_digits = true;
    }
    let mut music = vec![0; 8_000];
    audio::Tone::new(1_500.0, -20.0, 8_000).fill(&mut music);
    let start = PlayerChange::Start(Play::forever(PlayId(0), Sound::from_samples(&music)));
    let with_music = RoomChange { plan: open, players: vec![(PlayerId(7), start)], ..RoomChange::default() };
    change(&mut sim, room, with_music);
    sim.run_ms(300);
    let since = sim.now();
    sim.run_ms(500);
    let (at_a, at_b) = (sim.samples(a.phone, since), sim.samples(b.phone, since));
    assert!((level(&at_a, 640.0, a.rate) + 14.0).abs() < 1.5 && (level(&at_a, 1_500.0, a.rate) + 20.0).abs() < 1.5);
    assert!(level(&at_b, 640.0, b.rate) < -60.0 && (level(&at_b, 1_500.0, b.rate) + 20.0).abs() < 1.5);
    // A key of each sounds at the other.
    for (from, to) in [(a, b), (b, a)] {
        let since = sim.now();
        sim.press(from.phone, '5', ms(100));
        sim.run_ms(500);
        let heard = sim.samples(to.phone, since);
        assert!(level(&heard[heard.len() / 5..heard.len() * 3 / 5], 770.0, to.rate) > -30.0, "{from:?}");
    }
    let digits: Vec<_> =
        sim.facts().into_iter().filter(|f| matches!(f, media::Fact::Digit { digit: '5', .. })).collect();
    assert!(
        matches!(
            digits[..],
            [media::Fact::Digit { duration_ms: 80..=120, .. }, media::Fact::Digit { duration_ms: 80..=120, .. }]
        ),
        "{digits:?}"
    );
    // And back: one stream for life.
    let stop = RoomChange {
        plan: plan(3, 0, &[], &[]),
        leave: vec![a.leg],
        plays: vec![(a.leg, PlayChange::Stop)],
        ..RoomChange::default()
    };
    change(&mut sim, room, stop);
    sim.run_ms(1_000);
    let packets = sim.heard(a.phone);
    assert!(packets.iter().all(|p| Some(p.ssrc) == ssrc));
    for pair in packets.windows(2) {
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        let time = (pair[1].at - pair[0].at).as_millis() as u32;
        assert!(step % 960 == 0 && step.abs_diff(time * 48) <= 960, "{step} in {time} ms");
    }
}

#[test]
fn digits_go_out_at_the_formats_clock_or_as_tones() {
    for (setup, step) in [(PhoneSetup::opus(1), 960u32), (PhoneSetup::g722(1), 160)] {
        for events in [true, false] {
            let mut sim = Simulator::new(config(1)).expect("a plane");
            let setup = PhoneSetup { telephone_event: events.then_some(101), ..setup };
            let a = member(&mut sim, setup, true, 0);
            sim.run_ms(100);
            let since = sim.now();
            let pending = sim.plane().send_digits(a.leg, "7");
            sim.wait(pending).expect("sent");
            sim.run_ms(600);
            assert!(sim.facts().contains(&media::Fact::DigitsSent { leg: a.leg }));
            let sent: Vec<HeardPacket> = sim.heard(a.phone).into_iter().filter(|p| p.payload_type == 101).collect();
            if events {
                let last = sent.last().expect("events");
                assert_eq!(sent.len(), 10, "seven and three ends");
                assert!(sent.iter().all(|p| p.timestamp == last.timestamp));
                assert_eq!(u32::from(u16::from_be_bytes([last.payload[2], last.payload[3]])), 8 * step);
            } else {
                let heard = sim.samples(a.phone, since);
                let part = &heard[..heard.len() / 2];
                assert!(sent.is_empty() && level(part, 852.0, a.rate) > -25.0 && level(part, 1_209.0, a.rate) > -25.0);
            }
        }
    }
}

#[test]
fn a_reinvite_changes_between_narrow_and_wide_in_a_room() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (member(&mut sim, PhoneSetup::mu_law(1), false, 0), member(&mut sim, PhoneSetup::mu_law(2), false, 0));
    let tap = sim.plane().open_tap(TapSetup::leg(a.leg)).expect("a tap");
    open_room(&mut sim, &[a, b]);
    sim.say(a.phone, Voice::Tone(600.0, -20.0));
    sim.say(b.phone, Voice::Tone(900.0, -20.0));
    let formats =
        [(PhoneSetup::opus(1), 111), (PhoneSetup::g722(1), 9), (PhoneSetup::a_law(1), 8), (PhoneSetup::opus(1), 111)];
    for (setup, payload_type) in formats {
        sim.set_codec(a.phone, setup.format, payload_type);
        let update = LegUpdate { format: Some((setup.format, payload_type)), ..LegUpdate::default() };
        let pending = sim.plane().update_leg(a.leg, update);
        sim.wait(pending).expect("updated");
        sim.run_ms(1_000);
        let since = sim.now();
        sim.run_ms(500);
        let at_b = level(&sim.samples(b.phone, since), 600.0, 8_000);
        // The phone's decoder has met only the packets of this format.
        let at_a = level(&sim.samples(a.phone, since), 900.0, setup.format.sampling_rate());
        assert!((at_b + 20.0).abs() < 1.5 && (at_a + 20.0).abs() < 1.5, "{:?}: {at_b} {at_a}", setup.format);
    }
    drop(tap);
    assert_eq!(sim.plane().metrics().shards[0].unconverted, 0);
}

#[test]
fn taps_hear_wide_sources_and_a_legs_own_sound() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (a, b) = (member(&mut sim, PhoneSetup::opus(1), true, 0), member(&mut sim, PhoneSetup::mu_law(2), false, 0));
    let (own, mut of_leg) = sim.plane().open_tap(TapSetup::leg(a.leg)).expect("a tap");
    sim.say(a.phone, Voice::Tone(600.0, -20.0));
    sim.run_ms(1_000);
    let alone: Vec<i16> = std::iter::from_fn(|| of_leg.read()).flat_map(|f| f.inbound).skip(4_000).collect();
    assert!((level(&alone, 600.0, 8_000) + 20.0).abs() < 1.0, "without a room");
    let room = open_room(&mut sim, &[a, b]);
    let (tap, mut of_room) = sim.plane().open_tap(TapSetup::room(room)).expect("a tap");
    let mut open = plan(2, 2, &[(a.leg, 0), (b.leg, 1)], &[(a.leg, &[0]), (b.leg, &[])]);
    open.listeners.push(media::PlanListener { ear: tap.into(), buses: vec![BusId(0)] });
    open.listeners.push(media::PlanListener { ear: own.into(), buses: vec![BusId(1)] });
    change(&mut sim, room, RoomChange { plan: open, ..RoomChange::default() });
    sim.say(b.phone, Voice::Tone(1_000.0, -20.0));
    sim.run_ms(500);
    while of_room.read().is_some() || of_leg.read().is_some() {}
    sim.run_ms(900);
    let room: Vec<i16> = std::iter::from_fn(|| of_room.read()).flat_map(|f| f.outbound).collect();
    let leg: Vec<_> = std::iter::from_fn(|| of_leg.read()).collect();
    assert!((level(&room, 600.0, 8_000) + 20.0).abs() < 1.0 && level(&room, 1_000.0, 8_000) < -70.0);
    let inbound: Vec<i16> = leg.iter().flat_map(|f| f.inbound).collect();
    let outbound: Vec<i16> = leg.iter().flat_map(|f| f.outbound).collect();
    assert!(
        (level(&inbound, 600.0, 8_000) + 20.0).abs() < 1.0 && (level(&outbound, 1_000.0, 8_000) + 20.0).abs() < 1.0
    );
}
