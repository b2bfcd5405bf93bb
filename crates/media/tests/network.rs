//! Bad networks, strangers and stalls.

mod common;

use std::net::SocketAddr;

use common::{Coached, config, level_at, ms, plan};
use media::sim::{Path, PhoneSetup, Simulator, Voice};
use media::{Codec, Fact, LegId, MediaConfig, RoomChange};
use proptest::prelude::*;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

/// A plausible RTP stream of a stranger: µ-law, loud.
fn forged(sequence: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0xba, 0xdb, 0xad, 0];
    bytes[2..4].copy_from_slice(&sequence.to_be_bytes());
    bytes[4..8].copy_from_slice(&(u32::from(sequence) * 160).to_be_bytes());
    bytes.extend_from_slice(&[0x05; 160]);
    bytes
}

fn loud(samples: &[i16]) -> f64 {
    f64::from(audio::level::rms_dbfs(samples))
}

/// Two in a plain room; the listener's phone and the talker's.
fn pair(sim: &mut Simulator, talker: PhoneSetup) -> (common::Member, common::Member) {
    let phone = sim.phone(talker);
    let talker = common::Member { phone, leg: sim.call(phone, None).expect("a leg") };
    let phone = sim.phone(PhoneSetup::mu_law(200));
    let listener = common::Member { phone, leg: sim.call(phone, None).expect("a leg") };
    join(sim, talker.leg, listener.leg);
    (talker, listener)
}

fn join(sim: &mut Simulator, talker: LegId, listener: LegId) {
    let room = sim.plane().open_room().expect("a room");
    let plan = plan(1, 1, &[(talker, 0), (listener, 0)], &[(talker, &[0]), (listener, &[0])]);
    let change = RoomChange { plan, join: vec![talker, listener], ..RoomChange::default() };
    let pending = sim.plane().change_room(room, change);
    sim.wait(pending).expect("applied");
}

#[test]
fn speech_survives_loss_jitter_reordering_duplicates_and_skew() {
    for skew_ppm in [-200.0, 0.0, 200.0] {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let path = Path { delay: ms(30), jitter: ms(40), loss: 0.05, duplicate: 0.03, skew_ppm };
        let (talker, listener) = pair(&mut sim, PhoneSetup { path, ..PhoneSetup::mu_law(1) });
        sim.say(talker.phone, Voice::Tone(1_000.0, -12.0));
        sim.run_ms(5_000);
        let since = sim.now();
        sim.run_ms(60_000);
        let samples = sim.samples(listener.phone, since);
        assert!(samples.len().abs_diff(60 * 8_000) <= 320, "a packet every 20 ms: {}", samples.len());
        assert!((loud(&samples) + 12.0).abs() < 1.5, "{} dBFS at {skew_ppm} ppm", loud(&samples));
        let pending = sim.plane().leg_stats(talker.leg);
        let stats = sim.wait(pending).expect("stats");
        let loss = stats.lost as f64 / (stats.lost + stats.packets_received) as f64;
        assert!((0.03..0.07).contains(&loss), "lost {loss}");
        assert!(stats.delay <= ms(200), "delay {:?}", stats.delay);
        let made_up = stats.concealed_samples as f64 / (65.0 * 8_000.0);
        assert!(made_up < 0.12, "concealed {made_up}");
    }
}

#[test]
fn after_a_stall_of_500_ms_ticks_are_skipped_and_delay_is_back_within_a_second() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (talker, listener) = pair(&mut sim, PhoneSetup::mu_law(1));
    sim.say(talker.phone, Voice::Tone(1_000.0, -12.0));
    sim.run_ms(3_000);
    let pending = sim.plane().leg_stats(talker.leg);
    let before = sim.wait(pending).expect("stats").delay;
    let stalled = sim.now();
    sim.stall(0, ms(500));
    sim.run_ms(1_500);
    let pending = sim.plane().leg_stats(talker.leg);
    let after = sim.wait(pending).expect("stats").delay;
    assert!(after <= before + ms(20), "delay {before:?} before, {after:?} a second after");
    let heard = sim.heard(listener.phone);
    let gap = heard.windows(2).find(|w| w[1].at - w[0].at > ms(100)).expect("the stall shows");
    assert!(gap[1].at >= stalled + ms(500));
    let step = gap[1].timestamp.wrapping_sub(gap[0].timestamp);
    let real = (gap[1].at - gap[0].at).as_millis() as i64 * 8;
    assert!(
        gap[1].marker && (i64::from(step) - real).abs() <= 160,
        "the timestamp jumps by what was missed: {step} {real}"
    );
    assert_eq!(gap[1].sequence, gap[0].sequence.wrapping_add(1));
    let mut after = heard.windows(2).skip_while(|w| w[0].at < gap[1].at);
    let back = after.next().expect("it goes on");
    assert!(back[1].at - back[0].at <= ms(20), "one late tick, then the old beat");
    assert!(after.all(|w| !w[1].marker && w[1].at - w[0].at == ms(20)));
    assert!(sim.plane().metrics().shards[0].skipped_slots >= 470);
}

#[test]
fn new_ssrcs_and_timestamp_jumps_lose_at_most_a_few_packets() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (talker, listener) = pair(&mut sim, PhoneSetup::mu_law(1));
    sim.say(talker.phone, Voice::Tone(1_000.0, -12.0));
    sim.run_ms(2_000);
    for jump in [None, Some(80_000), Some(4_000_000_000), Some(1_000)] {
        match jump {
            None => sim.restart_stream(talker.phone),
            Some(samples) => sim.jump_timestamp(talker.phone, samples),
        }
        sim.run_ms(300);
        let since = sim.now();
        sim.run_ms(1_000);
        let level = loud(&sim.samples(listener.phone, since));
        assert!((level + 12.0).abs() < 0.5, "{level} dBFS 300 ms after {jump:?}");
    }
}

#[test]
fn a_network_stall_of_500_ms_is_played_off() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (talker, listener) = pair(&mut sim, PhoneSetup::mu_law(1));
    sim.say(talker.phone, Voice::Tone(1_000.0, -12.0));
    sim.run_ms(2_000);
    sim.freeze(talker.phone, ms(500));
    sim.run_ms(1_500);
    let since = sim.now();
    sim.run_ms(1_000);
    assert!((loud(&sim.samples(listener.phone, since)) + 12.0).abs() < 0.5);
    let pending = sim.plane().leg_stats(talker.leg);
    let delay = sim.wait(pending).expect("stats").delay;
    assert!(delay <= ms(120), "{delay:?} a second after the stall");
}

#[test]
fn a_phone_whose_first_packet_comes_30_s_after_the_answer_is_heard() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (talker, listener) = pair(&mut sim, PhoneSetup::mu_law(1));
    sim.set_sending(talker.phone, false);
    sim.say(talker.phone, Voice::Tone(1_000.0, -12.0));
    sim.run_ms(30_000);
    sim.facts();
    sim.set_sending(talker.phone, true);
    sim.run_ms(200);
    let since = sim.now();
    sim.run_ms(500);
    assert!((loud(&sim.samples(listener.phone, since)) + 12.0).abs() < 0.5);
    assert!(!sim.facts().contains(&Fact::MediaTimeout { leg: talker.leg }));
}

#[test]
fn a_foreign_sender_is_never_heard_before_during_or_after_latching() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let phone = sim.phone(PhoneSetup::mu_law(1));
    let setup = sim.leg_setup(phone, None).expect("ports");
    let port = media::sim::rtp_port(&setup);
    let talker = sim.plane().add_leg(setup).expect("a leg");
    let phone_b = sim.phone(PhoneSetup::mu_law(200));
    let listener = sim.call(phone_b, None).expect("a leg");
    join(&mut sim, talker, listener);
    // Two seconds from the start the stranger is alone; then the phone speaks; then the phone falls silent for 10 s.
    for n in 0..800u16 {
        if n == 100 {
            sim.dial(phone, port);
        }
        if n == 300 {
            sim.set_sending(phone, false);
        }
        for host in ["203.0.113.66:4000", "198.51.100.2:4000"] {
            sim.throw(at(host), port, forged(n));
            sim.throw(at(host), port + 1, vec![0x80, 200, 0, 6]);
        }
        sim.run_ms(20);
    }
    let forged_sample = {
        let mut out = [0i16];
        Codec::Pcmu.decode(&[0x05], &mut out);
        out[0]
    };
    let heard = sim.samples(phone_b, ms(0));
    assert!(heard.len() > 15 * 8_000);
    assert!(heard.iter().all(|s| *s != forged_sample));
    assert!(heard.iter().all(|s| s.abs() < 8), "not even concealed");
    let pending = sim.plane().leg_stats(talker);
    let stats = sim.wait(pending).expect("stats");
    assert!(stats.foreign >= 200, "counted: {}", stats.foreign);
    assert!(sim.refused() > 300, "and turned away by the connected socket: {}", sim.refused());
    assert_eq!(stats.source, Some(at("198.51.100.1:4000")), "the target never moved");
    assert!(sim.sent_to(phone).iter().all(|d| d.to.ip() == at("198.51.100.1:1").ip()));
}

#[test]
fn packets_queued_before_the_socket_was_connected_are_still_judged() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let phone = sim.phone(PhoneSetup { phase_micros: 5_000, ..PhoneSetup::mu_law(1) });
    let setup = sim.leg_setup(phone, None).expect("ports");
    let port = media::sim::rtp_port(&setup);
    // Everything is in the socket's buffer before the leg exists: the phone's first packet, then a burst of a stranger's.
    sim.dial(phone, port);
    sim.run_ms(10);
    for sequence in 0..7 {
        sim.throw(at("203.0.113.66:4000"), port, forged(sequence));
    }
    let leg = sim.plane().add_leg(setup).expect("a leg");
    sim.run_ms(200);
    let pending = sim.plane().leg_stats(leg);
    let stats = sim.wait(pending).expect("stats");
    assert_eq!(stats.foreign, 7);
    assert_eq!(stats.source, Some(at("198.51.100.1:4000")));
}

#[test]
fn a_phone_behind_nat_is_heard_from_its_signalling_address_and_after_rebinding() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let phone = sim.phone(PhoneSetup::mu_law(1));
    let mut setup = sim.leg_setup(phone, None).expect("ports");
    if let media::Carrier::Rtp { remote, .. } = &mut setup.carrier {
        *remote = Some(at("192.168.7.7:4000"));
    }
    let port = media::sim::rtp_port(&setup);
    let talker = sim.plane().add_leg(setup).expect("a leg");
    let phone_b = sim.phone(PhoneSetup::mu_law(200));
    let listener = sim.call(phone_b, None).expect("a leg");
    join(&mut sim, talker, listener);
    sim.say(phone, Voice::Tone(1_000.0, -12.0));
    sim.dial(phone, port);
    sim.run_ms(1_000);
    assert!((loud(&sim.samples(phone_b, sim.now() - ms(500))) + 12.0).abs() < 0.5);
    assert!(sim.heard(phone).len() > 40, "and is sent to where it speaks from");
    // The NAT gives it another port after a silence of 5 s.
    sim.set_sending(phone, false);
    sim.run_ms(5_100);
    sim.move_phone(phone, at("198.51.100.1:61234"));
    sim.set_sending(phone, true);
    sim.run_ms(500);
    let since = sim.now();
    sim.run_ms(500);
    assert!((loud(&sim.samples(phone_b, since)) + 12.0).abs() < 0.5);
    let moved = Fact::RemoteChanged { leg: talker, address: at("198.51.100.1:61234") };
    assert!(sim.facts().contains(&moved));
    let to_new = sim.sent_to(phone).iter().filter(|d| d.to == at("198.51.100.1:61234")).count();
    assert!(to_new > 30, "{to_new}");
}

#[test]
fn a_moved_phone_within_5_s_waits_until_the_old_source_is_stale() {
    let mut sim = Simulator::new(config(1)).expect("a plane");
    let (talker, listener) = pair(&mut sim, PhoneSetup::mu_law(1));
    sim.say(talker.phone, Voice::Tone(1_000.0, -12.0));
    sim.run_ms(1_000);
    sim.move_phone(talker.phone, at("198.51.100.1:9999"));
    let since = sim.now() + ms(300);
    sim.run_ms(4_500);
    assert!(loud(&sim.samples(listener.phone, since)) < -80.0, "locked: nobody else is believed");
    sim.run_ms(1_000);
    let since = sim.now();
    sim.run_ms(500);
    assert!((loud(&sim.samples(listener.phone, since)) + 12.0).abs() < 0.5, "then the same host is");
}

#[test]
fn silence_for_the_timeout_is_told_once_and_again_after_new_packets() {
    let config = MediaConfig { rtp_timeout: ms(10_000), ..config(1) };
    let mut sim = Simulator::new(config).expect("a plane");
    let phone = sim.phone(PhoneSetup::mu_law(1));
    let leg = sim.call(phone, None).expect("a leg");
    let timeouts = |sim: &mut Simulator| sim.facts().iter().filter(|f| **f == Fact::MediaTimeout { leg }).count();
    sim.run_ms(11_000);
    assert_eq!(timeouts(&mut sim), 0);
    sim.set_sending(phone, false);
    sim.run_ms(9_900);
    assert_eq!(timeouts(&mut sim), 0);
    sim.run_ms(30_000);
    assert_eq!(timeouts(&mut sim), 1);
    sim.set_sending(phone, true);
    sim.run_ms(1_000);
    sim.set_sending(phone, false);
    sim.run_ms(11_000);
    assert_eq!(timeouts(&mut sim), 1);
}

#[test]
fn a_packet_leaves_within_22_ms_of_its_arrival_at_every_phase() {
    for phase in (0..20_000).step_by(500) {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let (talker, listener) = pair(&mut sim, PhoneSetup { phase_micros: phase, ..PhoneSetup::mu_law(1) });
        sim.run_ms(2_000);
        // One packet of sound among silence; when does its sound leave?
        sim.say(talker.phone, Voice::Word(0x05));
        let mark = sim.now();
        sim.run_ms(300);
        let heard = sim.heard(listener.phone);
        let first = heard.iter().find(|p| p.at >= mark && p.payload.contains(&0x05)).expect("heard");
        let lead = first.payload.iter().position(|w| *w == 0x05).unwrap_or(0) as u64 / 8;
        // The first packet with the word was sent within 20 ms of the mark, at the phone's phase.
        let micros = mark.as_micros() as u64;
        let spoken = (micros.saturating_sub(u64::from(phase))).div_ceil(20_000) * 20_000 + u64::from(phase);
        let arrived = std::time::Duration::from_micros(spoken);
        let out = first.at.saturating_sub(arrived) + ms(lead);
        assert!(out <= ms(22), "phase {phase} µs: {out:?}");
    }
}

#[test]
fn twin_levels_hold_with_a_whisper_under_stress() {
    let mut room = Coached::new(config(1), Codec::Pcma);
    room.chatter();
    let path = Path { jitter: ms(40), loss: 0.05, duplicate: 0.02, skew_ppm: -200.0, ..Path::default() };
    room.sim.set_path(room.supervisor.phone, path);
    room.sim.say(room.supervisor.phone, Voice::Tone(2_100.0, -6.0));
    room.sim.run_ms(1_000);
    let since = room.sim.now();
    room.sim.run_ms(10_000);
    let samples = room.sim.samples(room.customer.phone, since);
    for second in samples.chunks(8_000) {
        assert!(level_at(second, 2_100.0) < -65.0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Datagrams of any content, from the believed address too: counted, and neither a fault nor the end of the call.
    #[test]
    fn no_datagram_ends_a_leg(
        packets in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u8..130, proptest::collection::vec(any::<u8>(), 0..700)), 1..120)
    ) {
        let mut sim = Simulator::new(config(1)).expect("a plane");
        let phone = sim.phone(PhoneSetup::mu_law(1));
        let setup = sim.leg_setup(phone, None).expect("ports");
        let port = media::sim::rtp_port(&setup);
        let talker = sim.plane().add_leg(setup).expect("a leg");
        sim.dial(phone, port);
        let phone_b = sim.phone(PhoneSetup::mu_law(200));
        let listener = sim.call(phone_b, None).expect("a leg");
        join(&mut sim, talker, listener);
        sim.say(phone, Voice::Tone(1_000.0, -12.0));
        sim.run_ms(200);
        for (plausible, to_rtcp, kind, mut bytes) in packets {
            if plausible && bytes.len() > 2 {
                bytes[0] = 0x80 | (bytes[0] & 0x3f);
                bytes[1] = if to_rtcp { 200 + kind % 5 } else { kind };
            }
            let from = if to_rtcp { at("198.51.100.1:4001") } else { at("198.51.100.1:4000") };
            sim.throw(from, port + u16::from(to_rtcp), bytes);
            sim.run_ms(3);
        }
        sim.run_ms(2_500);
        let since = sim.now();
        sim.run_ms(500);
        let broken = sim.facts().iter().any(|f| matches!(f, Fact::RoomFailed { .. } | Fact::LegFailed { .. }));
        prop_assert!(!broken);
        let level = loud(&sim.samples(phone_b, since));
        prop_assert!((level + 12.0).abs() < 1.0, "{} dBFS afterwards", level);
    }
}
