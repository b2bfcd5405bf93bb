//! Calls of browsers: connection, media both ways, hold, restart, move, goodbye.

mod common;

use std::time::{Duration, Instant};

use common::{Client, call, call_over_tcp, config, event, outgoing, runtime, talk, wait_event};
use str0m::format::Codec;
use str0m::media::Direction as Theirs;
use webrtc::{CloseReason, Format, PeerEvent, WebRtc, WebRtcConfig, Wish};

fn start(config: WebRtcConfig) -> WebRtc {
    WebRtc::start(config).expect("an engine")
}

fn both_ways(lite: bool) {
    let runtime = runtime();
    let clock = Instant::now();
    let engine = start(WebRtcConfig { lite, clock, ..config() });
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    assert_eq!((answered.agreed.format, answered.agreed.payload_type), (Format::Opus, 111));
    assert_eq!(answered.agreed.telephone_event, Some(110));
    assert!(answered.agreed.opus.fec && answered.agreed.send && answered.agreed.receive);
    let heard = talk(&mut client, &mut answered.media, 40);
    let first = heard.first().expect("packets");
    assert_eq!((first.payload_type, first.payload()), (111, &[1u8, 2, 3, 0][..]));
    assert!(heard.windows(2).all(|w| w[1].sequence == w[0].sequence.wrapping_add(1)), "in order, none lost");
    assert!(heard.windows(2).all(|w| w[0].arrival <= w[1].arrival) && first.arrival <= clock.elapsed());
    assert!(client.got.iter().all(|got| got.payload == [9, 8, 7]));
    let counters = engine.counters();
    assert_eq!((counters.peers, counters.half_open, counters.connected, counters.faults), (1, 0, 1, 0));
    answered.peer.close();
    client.until("told of the end", |c| c.closed);
    assert_eq!(
        wait_event(&runtime, &mut client, &mut answered.events),
        Some(PeerEvent::Closed { reason: CloseReason::Local })
    );
    assert_eq!(wait_event(&runtime, &mut client, &mut answered.events), None);
    assert!(answered.media.is_abandoned());
    assert_eq!(engine.counters().peers, 0);
}

#[test]
fn audio_passes_both_ways_with_ice_lite() {
    both_ways(true);
}

#[test]
fn audio_passes_both_ways_with_full_ice() {
    both_ways(false);
}

fn offered(lite: bool) {
    let runtime = runtime();
    let engine = start(WebRtcConfig { lite, ..config() });
    let mut client = Client::new();
    let mut offered = runtime.block_on(engine.offer(Wish::default())).expect("an offer");
    assert_eq!(engine.counters().half_open, 0, "ringing is not connecting");
    let answer = client.answer(&offered.sdp);
    let agreed = runtime.block_on(offered.peer.accept(&answer)).expect("an answer that fits");
    assert_eq!((agreed.format, agreed.telephone_event), (Format::Opus, Some(110)));
    client.until("connected", |c| c.connected);
    let connected = wait_event(&runtime, &mut client, &mut offered.events);
    assert!(matches!(connected, Some(PeerEvent::Connected { .. })), "{connected:?}");
    talk(&mut client, &mut offered.media, 20);
}

#[test]
fn a_call_to_a_browser_connects_with_ice_lite() {
    offered(true);
}

#[test]
fn a_call_to_a_browser_connects_with_full_ice() {
    offered(false);
}

#[test]
fn every_format_passes_with_its_own_clock() {
    let runtime = runtime();
    let engine = start(config());
    for (codec, payload_type, format) in [
        (Codec::G722, 9, Format::G722),
        (Codec::PCMU, 0, Format::Narrow(audio::Codec::Pcmu)),
        (Codec::PCMA, 8, Format::Narrow(audio::Codec::Pcma)),
    ] {
        let mut client = Client::with_codec(codec, payload_type);
        let mut answered = call(&runtime, &engine, &mut client);
        assert_eq!((answered.agreed.format, answered.agreed.payload_type), (format, payload_type));
        assert_eq!(answered.agreed.telephone_event, Some(110));
        talk(&mut client, &mut answered.media, 5);
        client.say_as(110, &[5, 0x8a, 0, 160]);
        let mut digit = None;
        client.until("the digit", |_| {
            while let Some(packet) = answered.media.receive() {
                digit = Some(packet).filter(|p| p.payload_type == 110).or(digit);
            }
            digit.is_some()
        });
    }
}

#[test]
fn a_browser_without_udp_connects_over_tcp() {
    for lite in [true, false] {
        let runtime = runtime();
        let engine = start(WebRtcConfig { lite, ..config() });
        let mut client = Client::new();
        let mut answered = call_over_tcp(&runtime, &engine, &mut client);
        talk(&mut client, &mut answered.media, 50);
        answered.peer.close();
        client.until("told of the end", |c| c.closed);
    }
}

#[test]
fn a_browser_that_hangs_up_is_gone_at_once() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    client.rtc.close().expect("closing");
    assert_eq!(
        wait_event(&runtime, &mut client, &mut answered.events),
        Some(PeerEvent::Closed { reason: CloseReason::Remote })
    );
    assert_eq!(engine.counters().peers, 0);
}

#[test]
fn a_dropped_handle_closes_the_leg() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let answered = call(&runtime, &engine, &mut client);
    drop(answered.peer);
    client.until("told of the end", |c| c.closed);
    common::eventually("the place is free", || engine.counters().peers == 0);
}

#[test]
fn a_stopped_engine_says_goodbye() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    drop(engine);
    client.until("told of the end", |c| c.closed);
    assert_eq!(event(&runtime, &mut answered.events), Some(PeerEvent::Closed { reason: CloseReason::Stopped }));
    let (offer, _pending) = client_reoffer(&mut client, true);
    assert!(runtime.block_on(answered.peer.renegotiate(&offer)).is_err());
}

fn holds(client: &mut Client, media: &mut media::MediaEnd, send: bool, receive: bool) {
    while media.receive().is_some() {}
    let before = client.got.len();
    for _ in 0..10 {
        client.say(&[0x55]);
        media.send(outgoing(111));
        client.run_for(Duration::from_millis(5));
    }
    client.run_for(Duration::from_millis(50));
    let mut heard = 0;
    while media.receive().is_some() {
        heard += 1;
    }
    assert_eq!(client.got.len() > before, send, "what the browser hears");
    assert_eq!(heard > 0, receive, "what we hear");
}

#[test]
fn hold_and_resumption_by_the_browser_change_the_gates_and_not_the_stream() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    talk(&mut client, &mut answered.media, 5);
    let ssrc = client.got.first().expect("packets").ssrc;
    let (offer, pending) = client_reoffer(&mut client, false);
    // A browser on hold says sendonly (it plays music) or inactive.
    for (said, answer, send, receive) in [
        ("sendonly", "recvonly", false, true),
        ("inactive", "inactive", false, false),
        ("recvonly", "sendonly", true, false),
        ("sendrecv", "sendrecv", true, true),
    ] {
        let offer = offer.replace("a=sendrecv", &format!("a={said}"));
        let done = runtime.block_on(answered.peer.renegotiate(&offer)).expect("an answer");
        assert!(done.sdp.contains(&format!("a={answer}\r\n")), "{said}: {}", done.sdp);
        assert!(done.sdp.contains(&format!("a=ssrc:{ssrc} ")), "the same stream");
        assert_eq!((done.agreed.send, done.agreed.receive), (send, receive));
        holds(&mut client, &mut answered.media, send, receive);
    }
    drop(pending);
    assert!(client.got.iter().all(|got| got.ssrc == ssrc));
    assert!(engine.counters().packets_held > 0);
}

/// A later offer of the client, with whatever it changes.
fn client_reoffer(client: &mut Client, restart: bool) -> (String, str0m::change::SdpPendingOffer) {
    let mid = client.mid.expect("a media line");
    let mut api = client.rtc.sdp_api();
    if restart {
        api.ice_restart(true);
    } else {
        // Something to make an offer of; put back below.
        api.set_direction(mid, Theirs::SendOnly);
        api.set_direction(mid, Theirs::SendRecv);
    }
    let (offer, pending) = api.apply().expect("something to offer");
    (offer.to_sdp_string(), pending)
}

#[test]
fn our_offer_within_the_session_is_answered_and_one_that_is_not_changes_nothing() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    for (said, passes) in [("inactive", false), ("sendrecv", true)] {
        // Nobody answers the first.
        let lost = runtime.block_on(answered.peer.reoffer()).expect("an offer");
        let offer = runtime.block_on(answered.peer.reoffer()).expect("an offer");
        assert!(offer != lost && offer.contains("a=sendrecv\r\n") && offer.contains("a=setup:actpass\r\n"), "{offer}");
        let answer = client.answer(&offer).replace("a=sendrecv", &format!("a={said}"));
        let agreed = runtime.block_on(answered.peer.accept(&answer)).expect("an answer that fits");
        assert_eq!((agreed.send, agreed.receive), (passes, passes));
        assert!(runtime.block_on(answered.peer.accept(&answer)).is_err(), "an offer is answered once");
        holds(&mut client, &mut answered.media, passes, passes);
    }
    runtime.block_on(answered.peer.reoffer()).expect("an offer");
    talk(&mut client, &mut answered.media, 10);
}

fn restart_by_the_browser(lite: bool) {
    let runtime = runtime();
    let engine = start(WebRtcConfig { lite, ..config() });
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    talk(&mut client, &mut answered.media, 5);
    let (offer, pending) = client_reoffer(&mut client, true);
    let done = runtime.block_on(answered.peer.renegotiate(&offer)).expect("an answer");
    let fragment = |sdp: &str| sdp.lines().find(|l| l.starts_with("a=ice-ufrag:")).map(str::to_owned);
    assert_ne!(fragment(&done.sdp), fragment(&answered.sdp), "new credentials");
    let ssrc = |sdp: &str| sdp.lines().find(|l| l.starts_with("a=ssrc:")).map(str::to_owned);
    assert_eq!(ssrc(&done.sdp), ssrc(&answered.sdp));
    client.accept(pending, &done.sdp);
    let before = engine.counters().strays;
    client.run_for(Duration::from_millis(500));
    talk(&mut client, &mut answered.media, 20);
    assert_eq!(engine.counters().strays, before, "checks with the new credentials find their leg");
}

#[test]
fn the_browser_restarts_ice_with_ice_lite() {
    restart_by_the_browser(true);
}

#[test]
fn the_browser_restarts_ice_with_full_ice() {
    restart_by_the_browser(false);
}

fn moves(lite: bool) {
    let runtime = runtime();
    let engine = start(WebRtcConfig { lite, ..config() });
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    talk(&mut client, &mut answered.media, 5);
    let left = Instant::now();
    let address = client.move_away();
    match wait_event(&runtime, &mut client, &mut answered.events) {
        Some(PeerEvent::Moved { pair }) => assert_eq!(pair.remote, address),
        other => panic!("{other:?}"),
    }
    assert!(left.elapsed() < Duration::from_secs(5), "it took {:?}", left.elapsed());
    talk(&mut client, &mut answered.media, 20);
}

#[test]
fn a_browser_that_changes_its_network_stays_in_the_call_with_ice_lite() {
    moves(true);
}

#[test]
fn a_browser_that_changes_its_network_stays_in_the_call_with_full_ice() {
    moves(false);
}

#[test]
fn a_called_browser_that_changes_its_network_stays_in_the_call() {
    let runtime = runtime();
    for lite in [true, false] {
        let engine = start(WebRtcConfig { lite, ..config() });
        let mut client = Client::new();
        let mut offered = runtime.block_on(engine.offer(Wish::default())).expect("an offer");
        let answer = client.answer(&offered.sdp);
        runtime.block_on(offered.peer.accept(&answer)).expect("an answer that fits");
        client.until("connected", |c| c.connected);
        let connected = wait_event(&runtime, &mut client, &mut offered.events);
        assert!(matches!(connected, Some(PeerEvent::Connected { .. })), "{connected:?}");
        let address = client.move_away();
        match wait_event(&runtime, &mut client, &mut offered.events) {
            Some(PeerEvent::Moved { pair }) => assert_eq!(pair.remote, address),
            other => panic!("lite {lite}: {other:?}"),
        }
        talk(&mut client, &mut offered.media, 20);
    }
}

#[test]
fn further_media_are_refused_and_the_audio_goes_on() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    let mut api = client.rtc.sdp_api();
    api.add_channel("notes".to_owned());
    let (offer, pending) = api.apply().expect("something to offer");
    let mut offer = offer.to_sdp_string();
    offer.push_str("m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n");
    let done = runtime.block_on(answered.peer.renegotiate(&offer)).expect("an answer");
    assert!(
        done.sdp.contains("m=application 0 ") && done.sdp.contains("m=video 0 UDP/TLS/RTP/SAVPF 96"),
        "{}",
        done.sdp
    );
    assert_eq!(done.sdp.matches("m=").count(), 3);
    drop(pending);
    talk(&mut client, &mut answered.media, 10);
}

#[test]
fn a_lossy_network_delays_the_handshake_and_loses_only_its_packets() {
    let runtime = runtime();
    for lite in [true, false] {
        let engine = start(WebRtcConfig { lite, ..config() });
        let mut client = Client::new();
        client.drop_every = Some(10);
        let mut answered = call(&runtime, &engine, &mut client);
        talk(&mut client, &mut answered.media, 100);
        assert_eq!(engine.counters().faults, 0);
    }
}

#[test]
fn the_browsers_reports_tell_the_leg_what_is_lost() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    client.drop_every = Some(4);
    let deadline = Instant::now() + Duration::from_secs(40);
    while !(6..70).contains(&answered.media.loss()) {
        assert!(Instant::now() < deadline, "{} %", answered.media.loss());
        talk(&mut client, &mut answered.media, 20);
    }
}

#[test]
fn legs_on_several_threads_do_not_meet() {
    let runtime = runtime();
    let engine = start(WebRtcConfig { threads: 2, ..config() });
    let mut legs: Vec<(Client, webrtc::Answered)> = Vec::new();
    for _ in 0..6 {
        let mut client = Client::new();
        let answered = call(&runtime, &engine, &mut client);
        legs.push((client, answered));
    }
    for (number, (client, answered)) in legs.iter_mut().enumerate() {
        client.say(&[number as u8]);
        client.until("heard", |_| match answered.media.receive() {
            Some(packet) => {
                assert_eq!(packet.payload(), [number as u8]);
                true
            }
            None => false,
        });
    }
}
