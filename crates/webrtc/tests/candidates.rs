//! Whose addresses are hidden or late is found all the same.

mod common;

use std::time::Duration;

use common::{Client, config, runtime, talk, wait_event};
use webrtc::{Pair, PeerEvent, RemoteKind, WebRtc, WebRtcConfig, Wish};

/// What a browser calls an address that it does not tell.
const HIDDEN: &str = "9f3b7a3c-2f4e-4a51-9d3c-1d2e3f4a5b6c.local";

fn start(lite: bool) -> WebRtc {
    WebRtc::start(WebRtcConfig { lite, ..config() }).expect("an engine")
}

fn is_candidate(line: &str) -> bool {
    line.starts_with("a=candidate:")
}

/// With names of mDNS for addresses.
fn hiding(sdp: &str) -> String {
    let (mut hidden, mut out) = (0, String::new());
    for line in sdp.lines() {
        hidden += usize::from(is_candidate(line));
        out += &if is_candidate(line) { line.replace("127.0.0.1", HIDDEN) } else { line.to_owned() };
        out += "\r\n";
    }
    assert_eq!((hidden, out.matches(HIDDEN).count()), (1, 1), "{out}");
    out
}

fn without_candidates(sdp: &str) -> String {
    sdp.lines().filter(|line| !is_candidate(line)).map(|line| format!("{line}\r\n")).collect()
}

fn connected(runtime: &tokio::runtime::Runtime, client: &mut Client, events: &mut webrtc::Events) -> Pair {
    client.until("connected", |c| c.connected);
    match wait_event(runtime, client, events) {
        Some(PeerEvent::Connected { pair, .. }) => pair,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_browser_that_calls_and_hides_its_address_connects_and_has_sound() {
    let runtime = runtime();
    for lite in [true, false] {
        let engine = start(lite);
        let mut client = Client::new();
        let (offer, pending) = client.offer();
        let mut answered = runtime.block_on(engine.answer(&hiding(&offer), Wish::default())).expect("an answer");
        client.accept(pending, &answered.sdp);
        let pair = connected(&runtime, &mut client, &mut answered.events);
        assert_eq!(pair.remote_kind, RemoteKind::PeerReflexive, "lite: {lite}");
        talk(&mut client, &mut answered.media, 20);
    }
}

#[test]
fn a_browser_that_is_called_and_hides_its_address_connects_and_has_sound() {
    let runtime = runtime();
    for lite in [true, false] {
        let engine = start(lite);
        let mut client = Client::new();
        let mut offered = runtime.block_on(engine.offer(Wish::default())).expect("an offer");
        let answer = hiding(&client.answer(&offered.sdp));
        runtime.block_on(offered.peer.accept(&answer)).expect("an answer that fits");
        let pair = connected(&runtime, &mut client, &mut offered.events);
        assert_eq!(pair.remote_kind, RemoteKind::PeerReflexive, "lite: {lite}");
        talk(&mut client, &mut offered.media, 20);
    }
}

#[test]
fn a_name_that_comes_by_trickle_is_passed_over() {
    let runtime = runtime();
    let engine = start(false);
    let answered = runtime.block_on(engine.answer(&Client::new().offer().0, Wish::default())).expect("an answer");
    let line = format!("a=candidate:1 1 udp 2122260223 {HIDDEN} 54321 typ host");
    assert!(!runtime.block_on(answered.peer.add_candidate(&line)).expect("no error"));
}

#[test]
fn a_candidate_that_comes_only_by_trickle_makes_the_connection() {
    let runtime = runtime();
    let engine = start(false);
    let mut client = Client::new();
    let (offer, pending) = client.offer();
    let offer = without_candidates(&offer);
    let mut answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
    // It knows nothing of us either: only a check of ours can begin the connection.
    client.accept(pending, &without_candidates(&answered.sdp));
    client.run_for(Duration::from_millis(300));
    assert_eq!((client.connected, engine.counters().datagrams_in), (false, 0));
    let line = client.candidates[0].to_sdp_string();
    assert!(runtime.block_on(answered.peer.add_candidate(&line)).expect("taken"));
    let pair = connected(&runtime, &mut client, &mut answered.events);
    assert_eq!(pair.remote, client.sockets[0].local_addr().expect("an address"));
    assert_eq!(pair.remote_kind, RemoteKind::Host);
    talk(&mut client, &mut answered.media, 20);
}
