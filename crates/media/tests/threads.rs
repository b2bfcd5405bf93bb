//! Production as it runs: two shard threads, real sockets, real time.

mod common;

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use common::plan;
use media::{
    BusId, Carrier, Codec, Fact, Feed, LegId, LegSetup, MediaConfig, MediaPlane, PlanListener, Play, PlayId,
    RoomChange, TapSetup,
};

struct Phone {
    socket: UdpSocket,
    to: u16,
    sequence: u16,
    leg: LegId,
}

fn phone(plane: &MediaPlane, shard: u16) -> Phone {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a phone");
    socket.set_nonblocking(true).expect("non-blocking");
    let ports = plane.reserve_ports().expect("ports");
    let (to, remote) = (ports.rtp_addr().port(), socket.local_addr().expect("address"));
    let carrier = Carrier::Rtp { ports, remote: Some(remote), remote_rtcp: None, signalling_source: remote.ip() };
    let setup = LegSetup { shard: Some(shard), ..LegSetup::new(carrier, Codec::Pcmu.into(), 0) };
    Phone { socket, to, sequence: 0, leg: plane.add_leg(setup).expect("a leg") }
}

impl Phone {
    fn say(&mut self, word: u8) {
        let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend([word; 160]);
        self.sequence += 1;
        self.socket.send_to(&packet, ("127.0.0.1", self.to)).expect("sent");
    }

    fn hear(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut packet = [0; 512];
        while let Ok(len) = self.socket.recv(&mut packet) {
            all.extend_from_slice(&packet[12..len]);
        }
        all
    }
}

#[test]
fn two_shards_carry_a_call_and_a_whisper_over_real_sockets() {
    let config = MediaConfig { bind: "127.0.0.1".parse().expect("ip"), ports: 42_000..=42_999, ..common::config(2) };
    let (plane, mut facts) = MediaPlane::start(config).expect("a plane");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut customer = phone(&plane, 0);
    let mut agent = phone(&plane, 1);
    let mut supervisor = phone(&plane, 0);
    let room = plane.open_room_on(1).expect("a room");
    let (c, a, s) = (customer.leg, agent.leg, supervisor.leg);
    let mut plan = plan(1, 2, &[(c, 0), (a, 0), (s, 1)], &[(c, &[0]), (a, &[0, 1]), (s, &[0])]);
    // Read and filled from this thread while the shard's own writes and plays.
    let (tap, mut reader) = plane.open_tap(TapSetup::room(room)).expect("a tap");
    plan.listeners.push(PlanListener { ear: tap.into(), buses: vec![BusId(0)] });
    let (feed, mut writer) = Feed::new(1_600);
    let mut tapped = Vec::new();
    let change = RoomChange { plan, join: vec![c, a, s], ..RoomChange::default() };
    let asked = Instant::now();
    let applied = runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), plane.change_room(room, change)).await });
    let applied = applied.expect("in time").expect("applied");
    assert_eq!(applied.shard, 1);
    runtime.block_on(plane.play_on(s, 3, Play::once(PlayId(1), feed))).expect("played");
    // It takes a few slots; the rest is for a busy machine.
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let start = Instant::now();
    let (mut at_customer, mut at_agent) = (Vec::new(), Vec::new());
    for n in 0..150u32 {
        customer.say(0x50);
        agent.say(0x40);
        supervisor.say(0x30);
        at_customer.extend(customer.hear());
        at_agent.extend(agent.hear());
        supervisor.hear();
        writer.push(&[0; 160]);
        tapped.extend(std::iter::from_fn(|| reader.read()));
        std::thread::sleep((start + Duration::from_millis(20) * (n + 1)).saturating_duration_since(Instant::now()));
    }
    let mut out = [0i16; 3];
    Codec::Pcmu.decode(&[0x50, 0x30, 0x40], &mut out);
    let mut sum = [0u8];
    Codec::Pcmu.encode(&[out[0] + out[1]], &mut sum);
    let heard = |all: &[u8], word: u8| all.iter().filter(|w| **w == word).count();
    assert!(heard(&at_agent, sum[0]) > 100 * 160, "customer and whisper at the agent: {}", heard(&at_agent, sum[0]));
    assert!(heard(&at_customer, 0x40) > 100 * 160, "agent at the customer: {}", heard(&at_customer, 0x40));
    let allowed = |w: &u8| *w == 0xff || *w == 0x40;
    let mut decoded = vec![0i16; at_customer.len()];
    Codec::Pcmu.decode(&at_customer, &mut decoded);
    assert!(at_customer.iter().filter(|w| !allowed(w)).count() < at_customer.len() / 10, "else only concealment");
    assert!(decoded.iter().all(|sample| sample.abs() <= out[2].abs() + 200), "never as loud as a sum with the whisper");
    let loud = tapped.iter().filter(|f| f.outbound.contains(&(out[0] + out[2]))).count();
    assert!(loud > 100 && tapped.windows(2).all(|two| two[0].tick < two[1].tick), "customer and agent: {loud} frames");
    let most = i32::from(out[0]).abs() + i32::from(out[2]).abs() + 400;
    assert!(tapped.iter().all(|f| f.outbound.iter().all(|s| i32::from(*s).abs() <= most)), "never with the whisper");
    assert_eq!(reader.lost(), 0);
    assert!(writer.played() > 100 * 160, "{} samples fed", writer.played());
    let stats = runtime.block_on(plane.remove_leg(customer.leg)).expect("removed");
    assert!(stats.packets_received > 140, "{stats:?}");
    runtime.block_on(plane.close_room(room)).expect("closed");
    while reader.read().is_some() {}
    assert!(reader.ended());
    let mut first = 0;
    while let Ok(fact) = facts.try_recv() {
        first += u32::from(matches!(fact, Fact::FirstPacket { .. }));
    }
    assert_eq!(first, 3);
    let metrics = plane.metrics();
    assert_eq!(metrics.handovers, 2);
    let sum = |figure: fn(&media::ShardMetrics) -> u64| metrics.shards.iter().map(figure).sum::<u64>();
    assert_eq!(sum(|s| s.foreign + s.malformed + s.room_faults + s.send_failures), 0);
    assert!(sum(|s| s.rtp_sent) > 400, "{}", sum(|s| s.rtp_sent));
}
