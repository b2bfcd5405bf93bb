//! The signal code alone: CPU time of one 20 ms frame at 8 kHz. And the system calls that carry it, on loopback, one packet each.

use std::hint::black_box;
use std::net::UdpSocket;
use std::time::Duration;

use audio::{Codec, FRAME_8K, JitterBuffer, JitterConfig, Packet, SpeechDetector};
use serde::Serialize;

use crate::os;
use crate::speech::Conversation;

const REPEATS: usize = 7;
const FRAMES: usize = 50_000;

/// One operation and its cost.
#[derive(Clone, Debug, Serialize)]
pub struct Micro {
    /// What.
    pub what: &'static str,
    /// Least of seven runs, ns of CPU time for each.
    pub ns: f64,
}

fn time(what: &'static str, mut run: impl FnMut(usize)) -> Micro {
    let thread = os::thread_id();
    let mut best = f64::MAX;
    for _ in 0..REPEATS {
        let start = os::thread_cpu(thread).unwrap_or_default();
        for n in 0..FRAMES {
            run(n);
        }
        let spent = os::thread_cpu(thread).unwrap_or_default().saturating_sub(start);
        best = best.min(spent.as_nanos() as f64 / FRAMES as f64);
    }
    Micro { what, ns: best }
}

/// Measures everything.
pub fn measure() -> Vec<Micro> {
    let conversation = Conversation::new();
    let decoded: Vec<[i16; FRAME_8K]> = (0..3)
        .map(|member| {
            let mut frame = [0; FRAME_8K];
            Codec::Pcmu.decode(conversation.frame(member, 40), &mut frame);
            frame
        })
        .collect();
    let [customer, agent, supervisor] = [decoded[0], decoded[1], decoded[2]];
    let mut results = Vec::new();
    for (codec, decode, encode) in
        [(Codec::Pcmu, "decode µ-law", "encode µ-law"), (Codec::Pcma, "decode A-law", "encode A-law")]
    {
        let (mut words, mut samples) = ([0u8; FRAME_8K], [0i16; FRAME_8K]);
        codec.encode(&customer, &mut words);
        results.push(time(decode, |_| {
            codec.decode(black_box(&words), black_box(&mut samples));
        }));
        results.push(time(encode, |_| {
            codec.encode(black_box(&customer), black_box(&mut words));
        }));
    }
    results.push(time("is it digital silence (it is not)", |_| {
        black_box(audio::is_digital_silence(Codec::Pcmu, black_box(&customer)));
    }));
    let mut speech = SpeechDetector::new(8_000);
    results.push(time("speech detector", |_| {
        black_box(speech.update(black_box(&customer)));
    }));
    results.push(time("mix of a plain room of three: one bus, three listeners", |_| {
        let mut bus = [0i32; FRAME_8K];
        for frame in [&customer, &agent, &supervisor] {
            audio::accumulate(&mut bus, black_box(frame));
        }
        for own in [&customer, &agent, &supervisor] {
            let (mut sum, mut out) = (bus, [0i16; FRAME_8K]);
            audio::subtract(&mut sum, black_box(own));
            audio::saturate_into(&sum, black_box(&mut out));
        }
    }));
    results.push(time("mix of a coached room of three: two buses, three listeners", |_| {
        let (mut public, mut whisper) = ([0i32; FRAME_8K], [0i32; FRAME_8K]);
        audio::accumulate(&mut public, black_box(&customer));
        audio::accumulate(&mut public, black_box(&agent));
        audio::accumulate(&mut whisper, black_box(&supervisor));
        for (own, whispered) in [(Some(&customer), false), (Some(&agent), true), (None, false)] {
            let (mut sum, mut out) = (public, [0i16; FRAME_8K]);
            if whispered {
                audio::mixer::accumulate_bus(&mut sum, &whisper);
            }
            if let Some(own) = own {
                audio::subtract(&mut sum, black_box(own));
            }
            audio::saturate_into(&sum, black_box(&mut out));
        }
    }));
    results.push(jitter("jitter buffer: a packet in and a frame out, regular", &conversation, |_| 0));
    results
        .push(jitter("jitter buffer: the same with 15 ms of jitter", &conversation, |n| (n as u64 * 7_919) % 15_000));
    results.extend(sockets());
    results
}

/// Packets that wait at once, one on each of so many pairs of sockets.
const PAIRS: usize = 64;

/// Sending and receiving on connected sockets; nothing where the system refuses.
fn sockets() -> Vec<Micro> {
    let pair = |_| -> std::io::Result<(UdpSocket, UdpSocket)> {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
        a.connect(b.local_addr()?)?;
        b.connect(a.local_addr()?)?;
        b.set_nonblocking(true)?;
        os::stamp_arrivals(&b, 64 << 10)?;
        Ok((a, b))
    };
    let Ok(pairs) = (0..PAIRS).map(pair).collect::<std::io::Result<Vec<_>>>() else { return Vec::new() };
    let mut buffer = [0u8; 2_048];
    let mut cost = |what: &'static str, sending: bool, receive: &mut dyn FnMut(&UdpSocket, &mut [u8])| {
        let thread = os::thread_id();
        let mut best = f64::MAX;
        for _ in 0..REPEATS {
            let mut spent = Duration::ZERO;
            for _ in 0..FRAMES / 10 / PAIRS {
                let start = os::thread_cpu(thread).unwrap_or_default();
                for (a, _) in &pairs {
                    let _ = a.send(&[0u8; 172]);
                }
                let middle = os::thread_cpu(thread).unwrap_or_default();
                for (_, b) in &pairs {
                    receive(b, &mut buffer);
                }
                let end = os::thread_cpu(thread).unwrap_or_default();
                spent += if sending { middle.saturating_sub(start) } else { end.saturating_sub(middle) };
            }
            best = best.min(spent.as_nanos() as f64 / (FRAMES / 10 / PAIRS * PAIRS) as f64);
        }
        Micro { what, ns: best }
    };
    let mut plain = |socket: &UdpSocket, buffer: &mut [u8]| {
        let _ = socket.recv(buffer);
    };
    let mut whole = |socket: &UdpSocket, buffer: &mut [u8]| {
        let _ = os::receive_whole(socket, buffer);
    };
    vec![
        cost("send, with the receiver's part of the loopback", true, &mut plain),
        cost("receive, bytes only", false, &mut plain),
        cost("receive with address and arrival stamp", false, &mut whole),
    ]
}

fn jitter(what: &'static str, conversation: &Conversation, extra: impl Fn(usize) -> u64) -> Micro {
    let mut buffer = JitterBuffer::new(Codec::Pcmu, JitterConfig::default());
    let mut frame = [0i16; FRAME_8K];
    let mut at = 0usize;
    time(what, |_| {
        let now = Duration::from_millis(20) * at as u32;
        buffer.insert(Packet {
            sequence: at as u16,
            timestamp: (at as u32).wrapping_mul(FRAME_8K as u32),
            payload: conversation.frame(0, at),
            arrival: now + Duration::from_micros(3_000 + extra(at)),
            marker: at == 0,
            mark: at as u64,
        });
        black_box(buffer.pull(now + Duration::from_millis(19), &mut frame));
        at += 1;
    })
}
