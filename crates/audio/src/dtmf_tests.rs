use super::*;
use proptest::prelude::*;

const TICK: Duration = Duration::from_millis(20);

/// Sends `digits` and gives every packet with its tick.
fn packets(digits: &str) -> Vec<(u32, EventPacket)> {
    let mut sender = DtmfSender::new(8_000);
    sender.push(digits).expect("digits");
    let mut sent = Vec::new();
    for tick in 0..100_000u32 {
        match sender.tick(tick.wrapping_mul(160).wrapping_add(u32::MAX - 5_000)) {
            DtmfStep::Packet(packet) => sent.push((tick, packet)),
            DtmfStep::Pause => {}
            DtmfStep::Idle => break,
        }
    }
    assert!(sender.is_idle());
    sent
}

fn receive(sent: &[(u32, EventPacket)]) -> Vec<Digit> {
    let mut receiver = DtmfReceiver::new(8_000);
    let mut digits = Vec::new();
    let last = sent.last().map_or(0, |p| p.0) + 20;
    for tick in 0..last {
        let now = TICK * tick;
        for (_, packet) in sent.iter().filter(|(t, _)| *t == tick) {
            receiver.receive(packet.timestamp, &packet.payload, now);
            while let Some(digit) = receiver.poll(now) {
                digits.push(digit);
            }
        }
        while let Some(digit) = receiver.poll(now) {
            digits.push(digit);
        }
    }
    digits
}

fn text(digits: &[Digit]) -> String {
    digits.iter().map(|d| d.digit).collect()
}

#[test]
fn marker_first_duration_grows_and_the_end_goes_out_three_times() {
    let sent = packets("5");
    let events: Vec<Event> = sent.iter().filter_map(|(_, p)| Event::decode(&p.payload)).collect();
    assert_eq!(events.len(), 7 + 3);
    assert!(sent[0].1.marker && sent[1..].iter().all(|(_, p)| !p.marker));
    assert!(events[..8].windows(2).all(|w| w[1].duration == w[0].duration + 160));
    assert!(events[7..].iter().all(|e| e.end && e.duration == 1_280 && e.code == 5));
    assert!(events[..7].iter().all(|e| !e.end));
    assert!(sent.iter().all(|(_, p)| p.timestamp == sent[0].1.timestamp));
}

#[test]
fn pauses_take_their_time() {
    let gap = |digits: &str| {
        let sent = packets(digits);
        let second = sent.iter().rposition(|(_, p)| p.marker).expect("second digit");
        (sent[second].0 - sent[0].0) * 20
    };
    assert_eq!(gap("12"), 240);
    assert_eq!(gap("1w2"), 740);
    assert_eq!(gap("1W2"), 1_240);
}

#[test]
fn bad_digits_are_refused_and_nothing_is_queued() {
    let mut sender = DtmfSender::new(8_000);
    assert_eq!(sender.push("12x"), Err(DtmfError::NotADigit('x')));
    assert!(sender.is_idle());
    assert_eq!(sender.push(&"1".repeat(129)), Err(DtmfError::Full));
    assert_eq!(sender.push(&"1".repeat(128)), Ok(()));
}

#[test]
fn a_press_longer_than_the_duration_field_is_one_digit() {
    let mut receiver = DtmfReceiver::new(8_000);
    let payload = |end, duration| Event { code: 1, end, volume: 10, duration }.encode();
    receiver.receive(1_000, &payload(false, 0x8000), Duration::ZERO);
    receiver.receive(1_000, &payload(false, 0xFFFF), Duration::from_secs(8));
    receiver.receive(1_000 + 0xFFFF, &payload(false, 160), Duration::from_secs(8));
    assert_eq!(receiver.poll(Duration::from_secs(8)), None);
    receiver.receive(1_000 + 0xFFFF, &payload(true, 8_000), Duration::from_secs(9));
    assert_eq!(receiver.poll(Duration::from_secs(9)), Some(Digit { digit: '1', duration_ms: 9_191 }));
    receiver.receive(1_000 + 0xFFFF, &payload(true, 8_000), Duration::from_secs(9));
    assert_eq!(receiver.poll(Duration::from_secs(10)), None);
}

#[test]
fn every_key_sounds_as_its_two_tones() {
    for key in KEYS {
        let mut tone = DtmfTone::new(key, 100, 8_000).expect("key");
        let mut samples = [1i16; 960];
        assert_eq!(tone.fill(&mut samples), 800);
        assert!(tone.is_done());
        assert_eq!(samples[800..], [0; 160]);
        let power = |freq: f64| {
            let (mut c, mut s) = (0.0, 0.0);
            for (i, &x) in samples[..800].iter().enumerate() {
                let w = std::f64::consts::TAU * freq * i as f64 / 8_000.0;
                c += x as f64 * w.cos();
                s += x as f64 * w.sin();
            }
            c * c + s * s
        };
        let mut loudest =
            [697.0, 770.0, 852.0, 941.0, 1_209.0, 1_336.0, 1_477.0, 1_633.0].map(|f| (power(f), f as u32));
        loudest.sort_by(|a, b| b.0.total_cmp(&a.0));
        let pair = (loudest[0].1.min(loudest[1].1), loudest[0].1.max(loudest[1].1));
        let layout = ["123A", "456B", "789C", "*0#D"];
        let row = layout.iter().position(|r| r.contains(key)).expect("row");
        let column = layout[row].find(key).expect("column");
        assert_eq!(pair, ([697, 770, 852, 941][row], [1_209, 1_336, 1_477, 1_633][column]), "{key}");
        assert!(loudest[1].0 > 50.0 * loudest[2].0);
    }
    assert!(DtmfTone::new('w', 100, 8_000).is_none());
}

proptest! {
    #[test]
    fn payloads_survive_encoding(code: u8, end: bool, volume in 0u8..64, duration: u16) {
        let event = Event { code, end, volume, duration };
        prop_assert_eq!(Event::decode(&event.encode()), Some(event));
    }

    #[test]
    fn each_digit_is_reported_once_when_any_packets_but_one_are_lost_repeated_or_late(
        digits in "[0-9A-D*#]{1,12}",
        fate in prop::collection::vec(0u8..6, 200),
    ) {
        let sent = packets(&digits);
        let mut arrived: Vec<(u32, EventPacket)> = Vec::new();
        for (i, (tick, packet)) in sent.iter().enumerate() {
            let first = packet.marker;
            // The third packet of each event always comes through: an event of which nothing arrives cannot be known.
            let kept = i >= 2 && sent[i - 2].1.marker;
            match fate[i] {
                0 | 1 if !kept => {}
                2 => { arrived.push((*tick, *packet)); arrived.push((*tick + 1, *packet)); }
                3 if !first => arrived.push((*tick + 1, *packet)),
                _ => arrived.push((*tick, *packet)),
            }
        }
        arrived.sort_by_key(|p| p.0);
        let heard = receive(&arrived);
        prop_assert_eq!(text(&heard), digits);
        prop_assert!(heard.iter().all(|d| (40..=160).contains(&d.duration_ms)));
    }

    #[test]
    fn any_packet_sequence_is_taken_without_panic_or_growth(
        packets in prop::collection::vec((any::<u32>(), prop::collection::vec(any::<u8>(), 0..8), 0u64..10_000), 0..200),
    ) {
        let mut receiver = DtmfReceiver::new(8_000);
        for (timestamp, payload, ms) in packets {
            receiver.receive(timestamp, &payload, Duration::from_millis(ms));
            let mut count = 0;
            while receiver.poll(Duration::from_millis(ms)).is_some() { count += 1; }
            prop_assert!(count <= 2);
        }
    }
}
