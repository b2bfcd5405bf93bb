mod common;
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use media::sim::Stepped;
use media::*;

#[test]
fn cost() {
    let config = MediaConfig { bind: "127.0.0.1".parse().unwrap(), ports: 41_000..=48_999, max_legs_per_shard: 2048, max_rooms_per_shard: 1024, ..common::config(1) };
    let (plane, _facts, mut stepped) = Stepped::new(config).unwrap();
    let mut phones = Vec::new();
    let rooms = 100;
    for _ in 0..rooms {
        let legs: Vec<LegId> = (0..3).map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            let ports = plane.reserve_ports().unwrap();
            let remote = socket.local_addr().unwrap();
            socket.connect(("127.0.0.1", ports.rtp_addr().port())).unwrap();
            phones.push((socket, 0u16));
            let leg = plane.add_leg(LegSetup { ports, codec: Codec::Pcmu, payload_type: 0, telephone_event: None, remote: Some(remote), remote_rtcp: None, signalling_source: remote.ip(), receive: true, send: true, cname: "x".into(), shard: None });
            for _ in 0..2 { stepped.step(|_| {}); }
            leg.unwrap()
        }).collect();
        let room = plane.open_room().unwrap();
        let plan = common::plan(1, 2, &[(legs[0], 0), (legs[1], 0), (legs[2], 1)], &[(legs[0], &[0]), (legs[1], &[0, 1]), (legs[2], &[0])]);
        let mut p = plane.change_room(room, RoomChange { plan, join: legs, ..RoomChange::default() });
        while p.try_now().is_none() { stepped.step(|_| {}); }
    }
    let mut inside = Duration::ZERO;
    let mut from = Instant::now();
    let mut measured = 0u64;
    for slot in 0..6_000u64 {
        for (n, (socket, seq)) in phones.iter_mut().enumerate() {
            if slot % 20 == n as u64 * 7 % 20 {
                let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
                packet[2..4].copy_from_slice(&seq.to_be_bytes());
                packet[4..8].copy_from_slice(&(u32::from(*seq) * 160).to_be_bytes());
                packet.extend((0..160).map(|i| (i as u8).wrapping_mul(7).wrapping_add(*seq as u8)));
                *seq += 1;
                let _ = socket.send(&packet);
                let mut sink = [0; 512];
                while socket.recv(&mut sink).is_ok() {}
            }
        }
        let mut spent = Duration::ZERO;
        stepped.step(|into| if into { from = Instant::now() } else { spent += from.elapsed() });
        if slot >= 2_000 { inside += spent; measured += 1; }
    }
    let m = &plane.metrics().shards[0];
    let member_seconds = measured as f64 / 1_000.0 * 300.0;
    eprintln!("{:.4} ms per member-second; {} received {} sent {} encodes {} shared, skipped {}", inside.as_secs_f64() * 1_000.0 / member_seconds, m.rtp_received, m.rtp_sent, m.encodes, m.shared_encodes, m.skipped_slots);
}
