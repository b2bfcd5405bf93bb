//! Jumps, pauses, counters, limits.

use super::super::*;
use super::network::*;

/// Runs a stream that changes at 5 s and answers how long after the change good sound was back, in ms.
fn recovery(change: impl Fn(&mut Sent), reset: bool) -> (f64, JitterBuffer) {
    let network = Network { jitter_ms: 1.0, ..Network::default() };
    let mut sent = network.packets(12.0, |p| speech(p % 6_000));
    sent.iter_mut().filter(|p| p.arrival >= 5_000.0).for_each(&change);
    sent.sort_by(|a, b| a.arrival.total_cmp(&b.arrival));
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let before: Vec<Sent> = sent.iter().filter(|p| p.arrival <= 4_980.0).cloned().collect();
    let after: Vec<Sent> = sent.iter().filter(|p| p.arrival > 4_980.0).cloned().collect();
    run(&mut buffer, &before, 0.0, 5_000.0, |_, _, _, _| {});
    if reset {
        buffer.reset();
    }
    let mut last_bad = 5_000.0;
    run(&mut buffer, &after, 5_000.0, 11_000.0, |tick, _, pulled, _| {
        if !pulled.sound || pulled.concealed {
            last_bad = tick + 20.0;
        }
    });
    (last_bad - 5_000.0, buffer)
}

#[test]
fn timestamp_jumps_recover_within_200_ms() {
    for jump in [
        300u32,
        1_000,
        8_000,
        80_000,
        3_000_000_000,
        0u32.wrapping_sub(300),
        0u32.wrapping_sub(500),
        0u32.wrapping_sub(1_000),
        0u32.wrapping_sub(8_000),
        0u32.wrapping_sub(400_000),
    ] {
        let (gap, buffer) = recovery(|p| p.timestamp = p.timestamp.wrapping_add(jump), false);
        assert!(gap <= 200.0, "jump {} took {gap} ms: {:?}", jump as i32, buffer.stats());
        assert!(buffer.stats().delay < ms(65.0), "jump {}: {:?}", jump as i32, buffer.stats());
    }
}

#[test]
fn sequence_jumps_cost_nothing() {
    for jump in [5_000u16, 30_000, 60_000] {
        let (gap, buffer) = recovery(|p| p.sequence = p.sequence.wrapping_add(jump), false);
        assert_eq!(gap, 0.0, "{:?}", buffer.stats());
        assert_eq!(buffer.stats().lost, 0);
    }
}

#[test]
fn a_new_ssrc_recovers_within_200_ms() {
    let (gap, _) = recovery(
        |p| {
            p.timestamp = p.timestamp.wrapping_mul(77);
            p.timestamp = (p.index as u32).wrapping_mul(160).wrapping_add(123_456_789);
            p.sequence = p.sequence.wrapping_add(12_345);
        },
        true,
    );
    assert!(gap <= 60.0, "{gap}");
}

#[test]
fn a_path_that_becomes_slower_or_faster_is_followed() {
    for shift in [-90.0, 30.0, 120.0, 300.0] {
        // A faster path cannot deliver before the change was made.
        let (_, buffer) = recovery(|p| p.arrival = (p.arrival + shift).max(5_000.0), false);
        let stats = buffer.stats();
        assert!(stats.delay < ms(65.0), "{shift}: {stats:?}");
        assert!(stats.late <= 40, "{shift}: {stats:?}");
    }
}

#[test]
fn delay_left_over_by_a_slower_path_is_cut_within_a_second() {
    // A path 180 ms slower at first; the packets under way arrive with the first fast one.
    let mut sent = Network { jitter_ms: 1.0, ..Network::default() }.packets(12.0, speech);
    for packet in sent.iter_mut().filter(|p| p.arrival < 5_000.0) {
        packet.arrival = (packet.arrival + 180.0).min(5_000.0);
    }
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let mut last_long = 0.0;
    run(&mut buffer, &sent, 0.0, 11_000.0, |tick, buffer, _, _| {
        if buffer.stats().delay > ms(45.0) {
            last_long = tick;
        }
    });
    assert!((5_000.0..6_000.0).contains(&last_long), "{last_long} {:?}", buffer.stats());
}

#[test]
fn pauses_of_the_talker_are_silence_and_speech_returns_whole() {
    let network = Network { jitter_ms: 1.0, ..Network::default() };
    let mut sent = network.packets(20.0, |_| 3_000);
    // Discontinuous transmission: every other second nothing is sent, timestamps go on.
    sent.retain(|p| p.index / 50 % 2 == 0);
    let mut first = 0;
    for (i, packet) in sent.iter_mut().enumerate() {
        packet.marker = packet.index != first + 1 || i == 0;
        first = packet.index;
        packet.sequence = i as u16;
    }
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let mut quiet = 0;
    run(&mut buffer, &sent, 0.0, 20_000.0, |_, _, pulled, frame| {
        if !pulled.sound {
            quiet += 1;
            assert!(frame.iter().all(|&s| s == 0));
        }
    });
    let stats = buffer.stats();
    assert_eq!((stats.lost, stats.late, stats.resets), (0, 0, 0), "{stats:?}");
    assert!((440..=475).contains(&quiet), "{quiet}");
    assert!(stats.concealed_samples <= 11 * 800, "{stats:?}");
}

#[test]
fn bad_packets_are_counted_and_change_nothing() {
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let mut packet = |payload: &[u8]| {
        buffer.insert(Packet { sequence: 1, timestamp: 1, payload, arrival: Duration::ZERO, marker: false, mark: 0 })
    };
    assert_eq!(packet(&[]), Inserted::Malformed);
    assert_eq!(packet(&[1, 2, 3]), Inserted::Malformed);
    assert_eq!(packet(&[0; 4_000]), Inserted::Malformed);
    assert_eq!(packet(&[0; 320]), Inserted::Queued);
    assert_eq!(packet(&[0; 320]), Inserted::Duplicate);
    let stats = buffer.stats();
    assert_eq!((stats.received, stats.malformed, stats.duplicate), (2, 3, 1));
}

#[test]
fn a_backlog_without_pulls_is_bounded_and_counted_and_only_its_end_is_played() {
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    let sent = Network { phase_ms: 5.0, ..Network::default() }.packets(5.0, |_| 3_000);
    let mut overflows = 0;
    for packet in sent.iter().filter(|p| p.arrival < 2_000.0) {
        overflows += (insert(&mut buffer, packet) == Inserted::Overflow) as u32;
    }
    assert!(overflows > 50);
    let rest: Vec<Sent> = sent.into_iter().filter(|p| p.arrival >= 2_000.0).collect();
    let mut heard = 0;
    run(&mut buffer, &rest, 2_000.0, 4_900.0, |tick, buffer, pulled, _| {
        heard += pulled.sound as u32;
        if tick > 2_100.0 {
            assert!(buffer.stats().delay < ms(45.0), "{tick} {:?}", buffer.stats());
        }
    });
    assert!(heard >= 144, "{heard}");
}

#[test]
fn an_idle_buffer_says_so_and_may_be_left_alone() {
    let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
    assert!(buffer.is_idle());
    let sent = Network { phase_ms: 5.0, ..Network::default() }.packets(30.0, |_| 3_000);
    let (first, second): (Vec<Sent>, Vec<Sent>) = sent.into_iter().partition(|p| p.index < 100);
    let mut idle_at = None;
    run(&mut buffer, &first, 0.0, 3_000.0, |tick, buffer, _, _| {
        if buffer.is_idle() && tick > 100.0 {
            idle_at.get_or_insert(tick);
        }
    });
    assert!(idle_at.is_some_and(|t| (2_060.0..2_180.0).contains(&t)), "{idle_at:?}");
    // Nobody pulls for 7 s; then the talker, whose clock ran on, speaks again.
    let later: Vec<Sent> = second.into_iter().filter(|p| p.arrival > 10_000.0).collect();
    let mut silent = 0;
    run(&mut buffer, &later, 10_000.0, 20_000.0, |_, _, pulled, _| silent += !pulled.sound as u32);
    assert!(silent <= 3, "{silent}");
    assert!(buffer.stats().delay < ms(25.0), "{:?}", buffer.stats());
}

#[test]
fn a_buffer_takes_at_most_12_kib() {
    let buffer = JitterBuffer::new(Codec::Pcmu, JitterConfig::default());
    let bytes = std::mem::size_of::<JitterBuffer>() + (1_600 + LONGEST_PACKET) * 2;
    assert!(bytes <= 12 * 1_024, "{bytes}");
    assert_eq!(buffer.maximum, 1_600);
}

#[test]
fn history_that_is_brought_late_is_the_history_that_is_brought_at_once() {
    let history = |at_once: bool, network: &Network| {
        let sent = network.packets(6.0, speech);
        let mut buffer = JitterBuffer::new(Codec::L16, JitterConfig::default());
        let mut heard = Vec::new();
        let mut next = sent.iter().peekable();
        for tick in (0..6_400).step_by(20) {
            while let Some(packet) = next.next_if(|p| p.arrival <= f64::from(tick)) {
                insert(&mut buffer, packet);
            }
            // Every second the server stands still for a while, so that what waits comes to lie where old samples are still remembered.
            if (tick / 20) % 25 >= 25 - (6 + network.seed as i32 % 17) * (tick / 20 / 25 % 2) {
                continue;
            }
            let mut frame = [0i16; 160];
            heard.push((buffer.pull(ms(f64::from(tick)), &mut frame), frame));
            if at_once {
                // Forgets nothing, but looks at history.
                buffer.forget_before(0);
            }
        }
        heard
    };
    for seed in 0..60 {
        let network =
            Network { seed, loss: 0.02, jitter_ms: seed as f64, ppm: 300.0, phase_ms: 3.3, ..Network::default() };
        assert!(history(true, &network) == history(false, &network), "{seed}");
    }
}
