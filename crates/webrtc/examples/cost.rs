//! What legs cost: the processor time of a handshake on each side, and of a leg's packets, by thread.
//!
//! `cargo run --release -p webrtc --example cost -- [handshakes] [legs] [seconds]`
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Client, config, outgoing};
use webrtc::{Answered, Counters, PeerEvent, WebRtc, WebRtcConfig, Wish};

/// Processor time of the threads whose name begins so, from the kernel's scheduler.
fn processor_time(name: &str) -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let ran = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        comm.starts_with(name).then(|| ran.split(' ').next()?.parse::<u64>().ok())?
    });
    Duration::from_nanos(nanos.sum())
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}

fn micros(time: Duration, among: usize) -> f64 {
    time.as_secs_f64() * 1e6 / among.max(1) as f64
}

fn connect(runtime: &tokio::runtime::Runtime, engine: &WebRtc, at_once: usize) -> Vec<(Client, Answered)> {
    let mut legs: Vec<(Client, Answered)> = Vec::new();
    for account in 0..at_once {
        let mut client = Client::new();
        let (offer, pending) = client.offer();
        let wish = Wish { account: account as u64, ..Wish::default() };
        let answered = runtime.block_on(engine.answer(&offer, wish)).expect("an answer");
        client.accept(pending, &answered.sdp);
        legs.push((client, answered));
    }
    while legs.iter().any(|(client, _)| !client.connected) {
        legs.iter_mut().for_each(|(client, _)| client.step());
    }
    for (_, answered) in &mut legs {
        let event = runtime.block_on(answered.events.next());
        assert!(matches!(event, Some(PeerEvent::Connected { .. })), "{event:?}");
    }
    legs
}

fn handshakes(runtime: &tokio::runtime::Runtime, lite: bool, count: usize) {
    let engine = WebRtc::start(WebRtcConfig { lite, ..config() }).expect("an engine");
    let (ours, theirs, wall) = (processor_time("webrtc-0"), processor_time("cost"), Instant::now());
    let mut done = 0;
    while done < count {
        done += connect(runtime, &engine, 10).len();
    }
    let (ours, theirs) = (processor_time("webrtc-0") - ours, processor_time("cost") - theirs);
    let engine_side = micros(ours, done);
    println!(
        "handshake, {}: engine's thread {engine_side:.0} us ({:.0} a second and core), client with its and our SDP {:.0} us; \
         {done} in {:.1} s",
        if lite { "ICE lite" } else { "full ICE" },
        1e6 / engine_side,
        micros(theirs, done),
        wall.elapsed().as_secs_f64()
    );
}

fn packets(runtime: &tokio::runtime::Runtime, count: usize, seconds: u64) {
    let engine = WebRtc::start(WebRtcConfig { max_half_open: 400, ..config() }).expect("an engine");
    let before = resident();
    let mut legs = Vec::new();
    while legs.len() < count {
        legs.extend(connect(runtime, &engine, 20.min(count - legs.len())));
    }
    println!("memory, engine and client together: {} KiB a leg", (resident() - before) / 1_024 / count as u64);
    let counters = engine.counters();
    let (ours, began) = (processor_time("webrtc-0"), Instant::now());
    let payload = [7; 80];
    let mut heard = 0usize;
    for tick in 0..seconds * 50 {
        let due = Duration::from_millis(tick * 20);
        let legs_count = legs.len();
        for (index, (client, answered)) in legs.iter_mut().enumerate() {
            // Spread over the 20 ms, as browsers are and shards send.
            let at = due + Duration::from_micros(20_000 * index as u64 / legs_count as u64);
            if let Some(rest) = at.checked_sub(began.elapsed()) {
                std::thread::sleep(rest);
            }
            client.say(&payload);
            client.drain();
            while answered.media.receive().is_some() {
                heard += 1;
            }
            answered.media.send(outgoing(111));
        }
    }
    let ours = processor_time("webrtc-0") - ours;
    let Counters { datagrams_in, datagrams_out, wake_ups, .. } = engine.counters();
    let leg_seconds = count as f64 * began.elapsed().as_secs_f64();
    println!(
        "packets, {count} legs at 50/s both ways for {:.1} s: {:.3} ms a leg-second; {} in, {} out, {} woken, {heard} heard",
        began.elapsed().as_secs_f64(),
        ours.as_secs_f64() * 1e3 / leg_seconds,
        datagrams_in - counters.datagrams_in,
        datagrams_out - counters.datagrams_out,
        wake_ups - counters.wake_ups,
    );
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let (count, legs, seconds) =
        (arguments.next().unwrap_or(300), arguments.next().unwrap_or(100), arguments.next().unwrap_or(10));
    let runtime = common::runtime();
    handshakes(&runtime, true, count);
    handshakes(&runtime, false, count);
    packets(&runtime, legs, seconds as u64);
}
