//! Who hears whom, from the first packet to the last.

mod common;

use common::{Coached, Member, config, exact, level_at, ms, plan};
use media::sim::{Departed, Path, PhoneSetup, Voice};
use media::{Codec, JitterConfig, MediaConfig, MediaError, Play, PlayId, RoomChange, Sound};

#[test]
fn a_whisper_reaches_the_agent_and_nobody_else() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    room.sim.say(room.supervisor.phone, Voice::Tone(2_100.0, -12.0));
    room.sim.run_ms(500);
    let since = room.sim.now();
    room.sim.run_ms(1_000);
    let agent = room.sim.samples(room.agent.phone, since);
    let customer = room.sim.samples(room.customer.phone, since);
    let supervisor = room.sim.samples(room.supervisor.phone, since);
    assert!((level_at(&agent, 2_100.0) + 12.0).abs() < 1.0, "whisper at the agent");
    assert!((level_at(&agent, 1_300.0) + 20.0).abs() < 1.0, "customer at the agent");
    assert!(level_at(&agent, 640.0) < -70.0, "the agent does not hear himself");
    assert!((level_at(&customer, 640.0) + 20.0).abs() < 1.0, "agent at the customer");
    assert!(level_at(&customer, 2_100.0) < -70.0, "no whisper at the customer");
    assert!((level_at(&supervisor, 1_300.0) + 20.0).abs() < 1.0, "customer at the supervisor");
}

#[test]
fn a_leg_that_no_plan_names_hears_and_sounds_nothing() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    let phone = room.sim.phone(PhoneSetup::mu_law(9));
    let stranger = Member { phone, leg: room.sim.call(phone, Some(0)).expect("a leg") };
    room.sim.say(stranger.phone, Voice::Tone(3_000.0, -6.0));
    room.apply(false, vec![stranger.leg]);
    let since = room.sim.now() + ms(200);
    room.sim.run_ms(1_000);
    assert!(room.sim.heard(stranger.phone).iter().all(|p| p.payload.iter().all(|w| *w == 0xff)), "only silence words");
    assert!(level_at(&room.sim.samples(room.customer.phone, since), 3_000.0) < -70.0);
}

/// Runs a history with a hostile network for everyone; the supervisor's payloads real or silence words.
fn history(codec: Codec, silenced: bool) -> (Vec<Departed>, Vec<Departed>, Vec<Departed>) {
    let mut room = Coached::new(config(1), codec);
    room.chatter();
    room.sim.silence_words(room.supervisor.phone, silenced);
    let rough = Path { jitter: ms(40), loss: 0.05, duplicate: 0.02, skew_ppm: 150.0, ..Path::default() };
    for member in [room.customer, room.agent, room.supervisor] {
        room.sim.set_path(member.phone, rough);
    }
    room.sim.say(room.supervisor.phone, Voice::Noise(12_000));
    room.sim.run_ms(12_000);
    let to = |m: Member| room.sim.sent_to(m.phone);
    (to(room.customer), to(room.agent), to(room.supervisor))
}

#[test]
fn twin_runs_differ_for_the_agent_alone_in_both_laws() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let spoken = history(codec, false);
        let silent = history(codec, true);
        assert!(spoken.0.len() > 590, "{} packets", spoken.0.len());
        assert!(spoken.0 == silent.0, "{codec:?}: the customer's packets, headers and times, are the same");
        assert!(spoken.2 == silent.2, "{codec:?}: and the supervisor's own");
        let different = spoken.1.iter().zip(&silent.1).filter(|(a, b)| a.bytes != b.bytes).count();
        assert!(different > 400, "{codec:?}: the agent hears the difference ({different} packets)");
    }
}

#[test]
fn a_run_repeats_exactly_from_its_seed() {
    assert!(history(Codec::Pcmu, false) == history(Codec::Pcmu, false));
}

/// A whisper lies in the jitter buffer, deep; then the supervisor barges in. Whisper is one tone, barge another.
#[test]
fn no_buffered_whisper_is_heard_after_widening() {
    for depth in [20, 80, 150] {
        let jitter = JitterConfig { initial: ms(depth), minimum: ms(depth.min(80)), ..JitterConfig::default() };
        let mut room = Coached::new(MediaConfig { jitter, ..config(1) }, Codec::Pcmu);
        room.sim.set_path(room.supervisor.phone, Path { jitter: ms(depth), ..Path::default() });
        room.sim.say(room.supervisor.phone, Voice::Word(0x05));
        room.sim.run_ms(2_003);
        // From now on everything he says is meant for all: another word. The old word may still be on its way.
        room.sim.say(room.supervisor.phone, Voice::Word(0x85));
        let applied = room.apply(false, Vec::new());
        let at = room.sim.now();
        room.sim.run_ms(3_000);
        let whisper = i16::from_le_bytes(decode(0x05).to_le_bytes());
        let customer = room.sim.samples(room.customer.phone, common::ms(0));
        // Words said before the change but received after it are beyond anyone's reach: the phone said them to nobody in
        // particular. Those are in flight for `depth` ms at most; nothing older may be heard.
        let first = room.sim.heard(room.customer.phone).iter().position(|p| p.payload.iter().any(|w| *w != 0xff));
        let first = first.expect("barge is heard");
        let heard_at = room.sim.heard(room.customer.phone)[first].at;
        assert!(heard_at >= at, "depth {depth}: nothing before the change at tick {}", applied.tick);
        let whispered = customer.iter().filter(|s| **s == whisper).count();
        assert!(whispered <= depth as usize * 8 + 160, "depth {depth}: {whispered} samples");
        assert!(customer.len() > 8_000);
    }
}

fn decode(word: u8) -> i16 {
    let mut out = [0i16];
    Codec::Pcmu.decode(&[word], &mut out);
    out[0]
}

/// The exact form: on a perfect network what was sent before the change also arrived before it. Not one sample may pass.
#[test]
fn not_one_sample_from_before_the_change_passes_on_a_perfect_network() {
    for depth in [40, 80, 150] {
        for concealment in [audio::Concealment::Zero, audio::Concealment::Waveform] {
            let jitter = JitterConfig { maximum: ms(400), concealment, ..JitterConfig::default() };
            let mut room = Coached::new(MediaConfig { jitter, ..config(1) }, Codec::Pcmu);
            room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
            // A rough start makes the buffer deep; then everything arrives when it is sent.
            room.sim.set_path(room.supervisor.phone, Path { jitter: ms(depth), ..Path::default() });
            room.sim.run_ms(3_000);
            room.sim.set_path(room.supervisor.phone, Path::default());
            room.sim.run_ms(300);
            // He falls silent just before the change: everything that is not silence was said as a whisper.
            room.sim.say(room.supervisor.phone, Voice::Silence);
            let said = room.sim.now();
            room.apply(false, Vec::new());
            room.sim.run_ms(1_500);
            let sound = |m: Member, from| {
                let packets = room.sim.heard(m.phone);
                packets.iter().filter(|p| p.at >= from && p.payload.iter().any(|w| *w != 0xff)).count() as u64
            };
            let buffered = sound(room.agent, said + ms(2));
            assert!(buffered >= depth / 40, "{depth} ms, {concealment:?}: the agent hears {buffered} more packets");
            assert_eq!(sound(room.customer, ms(0)), 0, "{depth} ms, {concealment:?}: and the customer none");
        }
    }
}

#[test]
fn packets_that_wait_in_the_kernel_count_as_before_the_change() {
    let mut room = Coached::new(exact(1), Codec::Pcmu);
    room.sim.say(room.supervisor.phone, Voice::Word(0x05));
    room.sim.run_ms(1_000);
    // Held up in the network, then all at once into the socket just before the command.
    room.sim.freeze(room.supervisor.phone, ms(70));
    room.sim.run_ms(70);
    room.sim.say(room.supervisor.phone, Voice::Silence);
    let applied = room.sim.now();
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    let agent = room.sim.heard(room.agent.phone);
    let word = agent.iter().filter(|p| p.at > applied && p.payload.contains(&0x05)).count();
    assert!(word > 0, "the agent hears what waited");
    assert!(room.sim.heard(room.customer.phone).iter().all(|p| p.payload.iter().all(|w| *w == 0xff)));
}

#[test]
fn narrowing_acts_at_the_very_next_tick() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.supervisor.phone, Voice::Tone(2_100.0, -6.0));
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    let before = room.sim.heard(room.customer.phone).len();
    let applied = room.apply(true, Vec::new());
    room.sim.run_ms(500);
    let heard = room.sim.heard(room.customer.phone);
    let tick_at = ms(((applied.at_micros - media::sim::UTC_ZERO) / 1_000) as u64);
    assert!(before > 40);
    assert!(heard.iter().filter(|p| p.at < tick_at).any(|p| p.payload.iter().any(|w| *w != 0xff)));
    assert!(
        heard.iter().filter(|p| p.at >= tick_at).all(|p| p.payload.iter().all(|w| *w == 0xff)),
        "from the tick that the answer names, not one sample"
    );
}

#[test]
fn two_hundred_rapid_flips_leave_no_whisper_behind() {
    let mut room = Coached::new(config(1), Codec::Pcma);
    room.sim.set_path(room.supervisor.phone, Path { jitter: ms(30), ..Path::default() });
    room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
    room.sim.run_ms(500);
    let mut answers = Vec::new();
    for n in 0..200u64 {
        let plan = room.plan(n % 2 == 1);
        answers.push(room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() }));
        room.sim.run_ms(n * 7 % 13);
    }
    for answer in answers {
        room.sim.wait(answer).expect("applied");
    }
    // The last flip was to whisper.
    let since = room.sim.now() + ms(20);
    room.sim.run_ms(2_000);
    let heard = room.sim.heard(room.customer.phone);
    assert!(heard.iter().filter(|p| p.at >= since).all(|p| p.payload.iter().all(|w| *w == 0xd5)));
    let agent = room.sim.samples(room.agent.phone, since);
    assert!(audio::level::rms_dbfs(&agent) > -30.0, "and the agent still hears him");
}

#[test]
fn a_whisper_goes_on_unheard_across_a_handover_between_shards() {
    let mut room = Coached::new(config(2), Codec::Pcmu);
    room.chatter();
    room.sim.say(room.supervisor.phone, Voice::Tone(2_100.0, -6.0));
    room.sim.run_ms(1_000);
    let before: Vec<_> = [room.customer, room.agent, room.supervisor]
        .iter()
        .map(|m| room.sim.heard(m.phone).last().cloned().expect("packets"))
        .collect();
    let other = room.sim.plane().open_room_on(1).expect("a room");
    room.revision += 1;
    let (c, a, s) = (room.customer.leg, room.agent.leg, room.supervisor.leg);
    let plan = plan(1, 2, &[(c, 0), (a, 0), (s, 1)], &[(c, &[0]), (a, &[0, 1]), (s, &[0])]);
    let change = RoomChange { plan, join: vec![c, a, s], ..RoomChange::default() };
    let pending = room.sim.plane().change_room(other, change);
    // Requests for legs on their way follow them.
    let play = room.sim.plane().play(c, Play::once(PlayId(1), Sound::from_samples(&[0; 160])));
    let applied = room.sim.wait(pending).expect("applied");
    assert_eq!(applied.shard, 1);
    assert_eq!(room.sim.wait(play).expect("played").shard, 1);
    assert_eq!(room.sim.plane().metrics().handovers, 3);
    let since = room.sim.now();
    room.sim.run_ms(2_000);
    for (member, last) in [room.customer, room.agent, room.supervisor].iter().zip(before) {
        let heard = room.sim.heard(member.phone);
        let after: Vec<_> = heard.iter().filter(|p| p.at > last.at).collect();
        assert!(after.iter().all(|p| p.ssrc == last.ssrc), "one SSRC for life");
        let mut previous = &last;
        for packet in after {
            assert_eq!(packet.sequence, previous.sequence.wrapping_add(1), "sequence goes on");
            let step = packet.timestamp.wrapping_sub(previous.timestamp);
            assert!(step == 160 || (packet.marker && step % 160 == 0 && step <= 480), "timestamp goes on: {step}");
            let elapsed = (packet.at - last.at).as_millis() as i64 * 8;
            let played = i64::from(packet.timestamp.wrapping_sub(last.timestamp));
            assert!((elapsed - played).abs() <= 160, "and stays with real time: {elapsed} {played}");
            previous = packet;
        }
    }
    let all = room.sim.samples(room.customer.phone, ms(100));
    for second in all.chunks(1_600) {
        assert!(level_at(second, 2_100.0) < -60.0);
    }
    let late = room.sim.samples(room.agent.phone, since + ms(300));
    assert!((level_at(&late, 2_100.0) + 6.0).abs() < 1.0, "the agent hears the whisper on the new shard");
}

#[test]
fn buffered_whispers_stay_unheard_when_the_whisperer_joins_another_room() {
    let jitter = JitterConfig { minimum: ms(200), maximum: ms(400), ..JitterConfig::default() };
    for shard in [0, 1] {
        let mut room = Coached::new(MediaConfig { jitter, ..config(2) }, Codec::Pcmu);
        room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
        room.sim.run_ms(1_500);
        room.sim.say(room.supervisor.phone, Voice::Silence);
        let other = room.sim.plane().open_room_on(shard).expect("a room");
        let phone = room.sim.phone(PhoneSetup::mu_law(7));
        let guest = Member { phone, leg: room.sim.call(phone, Some(shard)).expect("a leg") };
        let s = room.supervisor.leg;
        let plan = plan(1, 1, &[(s, 0), (guest.leg, 0)], &[(s, &[0]), (guest.leg, &[0])]);
        let change = RoomChange { plan, join: vec![s, guest.leg], ..RoomChange::default() };
        let pending = room.sim.plane().change_room(other, change);
        room.sim.wait(pending).expect("applied");
        room.sim.run_ms(1_000);
        let heard = room.sim.heard(guest.phone);
        assert!(heard.len() > 40);
        assert!(heard.iter().all(|p| p.payload.iter().all(|w| *w == 0xff)), "room on shard {shard}");
    }
}

#[test]
fn a_monitor_changes_no_byte_that_others_receive() {
    let run = |monitored: bool| {
        let mut room = Coached::new(config(1), Codec::Pcmu);
        room.chatter();
        room.sim.run_ms(500);
        let phone = room.sim.phone(PhoneSetup::a_law(8));
        let monitor = room.sim.call(phone, Some(0)).expect("a leg");
        room.sim.run_ms(100);
        let (c, a) = (room.customer.leg, room.agent.leg);
        room.revision += 1;
        let listeners: &[(media::LegId, &[u16])] =
            if monitored { &[(c, &[0]), (a, &[0]), (monitor, &[0])] } else { &[(c, &[0]), (a, &[0])] };
        let plan = plan(room.revision, 1, &[(c, 0), (a, 0)], listeners);
        let join = if monitored { vec![monitor] } else { Vec::new() };
        let pending = room.sim.plane().change_room(room.room, RoomChange { plan, join, ..RoomChange::default() });
        room.sim.wait(pending).expect("applied");
        room.sim.run_ms(2_000);
        (room.sim.sent_to(room.customer.phone), room.sim.sent_to(room.agent.phone))
    };
    assert!(run(false) == run(true));
}

#[test]
fn a_private_player_is_heard_by_its_leg_alone_whatever_the_plan() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.chatter();
    let mut tone = vec![0; 8_000];
    audio::Tone::new(3_100.0, -10.0, 8_000).fill(&mut tone);
    let play = room.sim.plane().play(room.supervisor.leg, Play::forever(PlayId(4), Sound::from_samples(&tone)));
    room.sim.wait(play).expect("played");
    room.sim.run_ms(300);
    let since = room.sim.now();
    room.sim.run_ms(1_000);
    assert!((level_at(&room.sim.samples(room.supervisor.phone, since), 3_100.0) + 10.0).abs() < 1.0);
    for member in [room.customer, room.agent] {
        assert!(level_at(&room.sim.samples(member.phone, since), 3_100.0) < -70.0);
    }
}

#[test]
fn equal_mixes_share_one_encode() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.sim.say(room.customer.phone, Voice::Tone(700.0, -15.0));
    room.apply(false, Vec::new());
    room.sim.run_ms(1_000);
    let before = room.sim.plane().metrics().shards[0].clone();
    room.sim.run_ms(1_000);
    let after = room.sim.plane().metrics().shards[0].clone();
    // Agent and supervisor hear the same; the customer hears silence, which nobody encodes.
    assert_eq!(after.encodes - before.encodes, 50);
    assert_eq!(after.shared_encodes - before.shared_encodes, 50);
}

#[test]
fn an_older_plan_is_refused_and_changes_nothing() {
    let mut room = Coached::new(config(1), Codec::Pcmu);
    room.apply(true, Vec::new());
    room.revision = 0;
    let plan = room.plan(false);
    let pending = room.sim.plane().change_room(room.room, RoomChange { plan, ..RoomChange::default() });
    assert!(matches!(room.sim.wait(pending), Err(MediaError::StalePlan { offered: 1, current: 2, .. })));
    room.sim.say(room.supervisor.phone, Voice::Noise(9_000));
    room.sim.run_ms(1_000);
    assert!(room.sim.heard(room.customer.phone).iter().all(|p| p.payload.iter().all(|w| *w == 0xff)));
}
