//! What strangers and liars get: nothing, within bounds, counted.

mod common;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use common::{Client, call, config, event, eventually, runtime, talk, wait_event};
use str0m::ice::{StunMessage, TransId};
use webrtc::{CloseReason, PeerEvent, SdpError, WebRtc, WebRtcConfig, WebRtcError, Wish};

fn start(config: WebRtcConfig) -> WebRtc {
    WebRtc::start(config).expect("an engine")
}

fn attribute<'a>(sdp: &'a str, name: &str) -> &'a str {
    let prefix = format!("a={name}:");
    sdp.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("no {name}"))
}

/// A connectivity check, signed with a password of the caller's choice.
fn check(offer: &str, answer: &str, password: &str) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let user = format!("{}:{}", attribute(answer, "ice-ufrag"), attribute(offer, "ice-ufrag"));
    let message = StunMessage::binding_request(&user, TransId::new(), true, 7, 1_862_270_975, true);
    let mut bytes = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, hmac).expect("a message");
    bytes.truncate(length);
    bytes
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    socket
}

/// All that a socket receives until nothing more comes.
fn all(socket: &UdpSocket) -> Vec<Vec<u8>> {
    let mut buffer = [0; 2_048];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect()
}

/// The first flight of a DTLS client, as str0m makes it.
fn client_hello() -> Vec<u8> {
    // A record of a handshake with a body that needs no meaning: whoever answers it at all has failed.
    let mut hello = vec![22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60, 1];
    hello.extend([0; 59]);
    hello
}

#[test]
fn who_does_not_know_the_password_gets_not_one_byte() {
    let runtime = runtime();
    for lite in [true, false] {
        let engine = start(WebRtcConfig { lite, ..config() });
        let mut client = Client::new();
        let (offer, _pending) = client.offer();
        // Without its candidates nobody but the stranger knows of anybody.
        let offer: String =
            offer.lines().filter(|l| !l.starts_with("a=candidate")).map(|l| format!("{l}\r\n")).collect();
        let answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
        let server = engine.addresses()[0];
        let stranger = socket();
        for datagram in [
            check(&offer, &answered.sdp, "0123456789012345678901"),
            client_hello(),
            vec![128, 111, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
        ] {
            stranger.send_to(&datagram, server).expect("sent");
        }
        eventually("all was read", || engine.counters().datagrams_in >= 3);
        assert!(all(&stranger).is_empty(), "lite: {lite}");
        // The same check with the right password is answered: the refusal was for the password.
        stranger.send_to(&check(&offer, &answered.sdp, attribute(&answered.sdp, "ice-pwd")), server).expect("sent");
        let replies = all(&stranger);
        assert!(!replies.is_empty() && replies.iter().all(|reply| reply[0] < 2), "checks and their answers, no DTLS");
    }
}

#[test]
fn an_address_named_as_candidate_gets_checks_and_never_dtls() {
    let runtime = runtime();
    let victim = socket();
    for (lite, setup) in [(true, "actpass"), (false, "actpass"), (false, "passive"), (true, "passive")] {
        let engine = start(WebRtcConfig { lite, ..config() });
        let mut client = Client::new();
        let (offer, _pending) = client.offer();
        let offer: String = offer
            .lines()
            .map(|line| match line.starts_with("a=candidate") {
                true => format!(
                    "a=candidate:1 1 udp 2122260223 127.0.0.1 {} typ host\r\n",
                    victim.local_addr().expect("an address").port()
                ),
                false => format!("{}\r\n", line.replace("actpass", setup)),
            })
            .collect();
        let _answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
        let got = all(&victim);
        assert!(got.iter().all(|datagram| datagram[0] < 2), "lite {lite}, {setup}: only checks");
        assert_eq!(got.is_empty(), lite, "with ICE lite not even those");
        let bytes: usize = got.iter().map(Vec::len).sum();
        assert!(bytes < 4_096, "{bytes} bytes to somebody who never answered");
    }
}

#[test]
fn a_forged_certificate_ends_the_leg_before_any_media() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let (offer, pending) = client.offer();
    let real = attribute(&offer, "fingerprint").to_owned();
    let (hash, octets) = real.split_once(' ').expect("a hash and octets");
    let wrong = format!("{hash} {}", octets.split(':').rev().collect::<Vec<_>>().join(":"));
    let offer = offer.replace(&real, &wrong);
    let mut answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
    client.accept(pending, &answered.sdp);
    let end = wait_event(&runtime, &mut client, &mut answered.events);
    assert_eq!(end, Some(PeerEvent::Closed { reason: CloseReason::WrongFingerprint }));
    assert_eq!((engine.counters().wrong_fingerprint, engine.counters().peers), (1, 0));
    assert!(answered.media.receive().is_none());
}

#[test]
fn half_open_legs_are_bounded_and_end_in_time() {
    let runtime = runtime();
    let engine = start(WebRtcConfig {
        max_half_open: 8,
        max_half_open_per_source: 3,
        connect_timeout: Duration::from_millis(500),
        ..config()
    });
    let here: IpAddr = [192, 0, 2, 1].into();
    let mut open = Vec::new();
    let ask = |wish: Wish| {
        let offer = Client::new().offer().0;
        runtime.block_on(engine.answer(&offer, wish))
    };
    for _ in 0..3 {
        open.push(ask(Wish { source: Some(here), ..Wish::default() }).expect("within the bound"));
    }
    assert!(matches!(ask(Wish { source: Some(here), ..Wish::default() }), Err(WebRtcError::SourceConnecting(3))));
    for _ in 0..3 {
        open.push(ask(Wish::default()).expect("within the bound"));
    }
    assert!(matches!(ask(Wish::default()), Err(WebRtcError::Connecting(6))), "three quarters for one account");
    for account in [1, 2] {
        open.push(ask(Wish { account, ..Wish::default() }).expect("what is left"));
    }
    assert!(matches!(ask(Wish { account: 3, ..Wish::default() }), Err(WebRtcError::Connecting(8))));
    for answered in &mut open {
        assert_eq!(
            event(&runtime, &mut answered.events),
            Some(PeerEvent::Closed { reason: CloseReason::NoConnection })
        );
    }
    let counters = engine.counters();
    assert_eq!((counters.peers, counters.half_open, counters.never_connected), (0, 0, 8));
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    talk(&mut client, &mut answered.media, 5);
}

#[test]
fn silence_disconnects_then_ends_and_what_returns_in_between_goes_on() {
    let runtime = runtime();
    let engine = start(WebRtcConfig {
        lite: false,
        disconnected_after: Duration::from_secs(1),
        failed_after: Duration::from_secs(4),
        ..config()
    });
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    talk(&mut client, &mut answered.media, 5);
    assert_eq!(event(&runtime, &mut answered.events), Some(PeerEvent::Disconnected));
    let heard = client.got.len();
    answered.media.send(common::outgoing(111));
    let back = wait_event(&runtime, &mut client, &mut answered.events);
    assert!(matches!(back, Some(PeerEvent::Connected { .. })), "{back:?}");
    assert_eq!(client.got.len(), heard, "nothing is sent without consent");
    talk(&mut client, &mut answered.media, 5);
    let silent = Instant::now();
    assert_eq!(event(&runtime, &mut answered.events), Some(PeerEvent::Disconnected));
    assert_eq!(event(&runtime, &mut answered.events), Some(PeerEvent::Closed { reason: CloseReason::Lost }));
    assert!(silent.elapsed() > Duration::from_secs(3) && silent.elapsed() < Duration::from_secs(8));
    assert_eq!(engine.counters().lost, 1);
}

#[test]
fn an_idle_leg_on_hold_is_kept_by_its_checks_alone() {
    let runtime = runtime();
    let engine = start(WebRtcConfig { disconnected_after: Duration::from_secs(2), ..config() });
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    client.run_for(Duration::from_secs(9));
    talk(&mut client, &mut answered.media, 5);
    let nothing =
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(10), answered.events.next()).await });
    assert!(nothing.is_err(), "{nothing:?}");
}

#[test]
fn forged_packets_from_the_browsers_own_address_change_nothing() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    talk(&mut client, &mut answered.media, 5);
    let server = engine.addresses()[0];
    let forge = |bytes: &[u8], client: &Client| {
        client.sockets[0].send_to(bytes, server).expect("sent");
    };
    // Streams nobody announced, more than there is room for; malformed RTP; DTLS alerts and nonsense; cut RTCP.
    for ssrc in 0..50u32 {
        let mut packet = vec![128, 111, 0, 1, 0, 0, 0, 1];
        packet.extend(ssrc.to_be_bytes());
        packet.extend([0; 40]);
        forge(&packet, &client);
    }
    forge(&[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0], &client);
    forge(&[21, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40], &client);
    forge(&client_hello(), &client);
    for length in 0..80usize {
        forge(&[200; 80][..length], &client);
        forge(&[0x9f; 80][..length], &client);
        forge(&[22; 80][..length], &client);
        forge(&[0; 80][..length], &client);
    }
    let payload_type = [128, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 5, 1, 2, 3];
    forge(&payload_type, &client);
    eventually("all was read", || engine.counters().packets_refused > 0);
    talk(&mut client, &mut answered.media, 20);
    let counters = engine.counters();
    assert_eq!((counters.faults, counters.peers), (0, 1), "{counters:?}");
}

#[test]
fn random_datagrams_hurt_nobody() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    let server = engine.addresses()[0];
    let (offer, template) = (Client::new().offer().0, answered.sdp.clone());
    let valid = check(&offer, &template, attribute(&template, "ice-pwd"));
    let noise = socket();
    let mut dice = 1u64;
    let mut random = || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    let mut sent = 0u64;
    for round in 0..30_000u32 {
        let mut bytes = if round % 3 == 0 { valid.clone() } else { vec![0; (random() % 1_500) as usize] };
        if round % 3 != 0 {
            bytes.iter_mut().for_each(|byte| *byte = random() as u8);
            if let Some(first) = bytes.first_mut() {
                *first = [0, 1, 22, 128, 129, 200, *first][(random() % 7) as usize];
            }
        }
        for _ in 0..random() % 4 {
            let at = random() as usize % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random() as u8;
            }
        }
        // Half of it as from the browser itself.
        let from = if round % 2 == 0 { &noise } else { &client.sockets[0] };
        sent += u64::from(from.send_to(&bytes, server).is_ok());
        if round % 64 == 0 {
            client.step();
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    eventually("most was read", || engine.counters().datagrams_in > sent / 2);
    talk(&mut client, &mut answered.media, 20);
    let counters = engine.counters();
    assert_eq!((counters.faults, counters.peers), (0, 1), "{counters:?}");
}

#[test]
fn a_leg_may_not_use_up_addresses() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let (offer, pending) = client.offer();
    let mut answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
    let sdp = answered.sdp.clone();
    client.accept(pending, &sdp);
    client.until("connected", |c| c.connected);
    let server = engine.addresses()[0];
    let sockets: Vec<UdpSocket> = (0..40).map(|_| socket()).collect();
    for socket in &sockets {
        let bytes = check_plain(&offer, &sdp);
        socket.send_to(&bytes, server).expect("sent");
    }
    eventually("the rest was refused", || engine.counters().addresses_refused >= 24);
    talk(&mut client, &mut answered.media, 5);
}

/// A right check that nominates nothing.
fn check_plain(offer: &str, answer: &str) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let user = format!("{}:{}", attribute(answer, "ice-ufrag"), attribute(offer, "ice-ufrag"));
    let message = StunMessage::binding_request(&user, TransId::new(), true, 7, 1_862_270_975, false);
    let mut bytes = vec![0; 512];
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let length = message.to_bytes(Some(attribute(answer, "ice-pwd").as_bytes()), &mut bytes, hmac).expect("a message");
    bytes.truncate(length);
    bytes
}

#[test]
fn tcp_connections_that_name_nobody_are_few_and_short() {
    use std::io::{Read, Write};
    let runtime = runtime();
    let engine = start(WebRtcConfig { max_half_open_per_source: 4, ..config() });
    let mut client = Client::new();
    let answered = runtime.block_on(engine.answer(&client.offer().0, Wish::default())).expect("an answer");
    let server: SocketAddr = common::tcp_candidates(&answered.sdp)[0];
    let mut streams: Vec<std::net::TcpStream> =
        (0..10).map(|_| std::net::TcpStream::connect(server).expect("connects")).collect();
    eventually("six of ten are refused", || engine.counters().connections_refused >= 6);
    assert_eq!(engine.counters().connections, 4);
    // A frame that is too long ends its connection.
    let mut first = streams.swap_remove(0);
    first.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    first.write_all(&[255; 64]).expect("written");
    assert!(matches!(first.read(&mut [0; 16]), Ok(0) | Err(_)));
    client.step();
}

/// A connection from a port of our choice.
fn connect_from(local: SocketAddr, to: SocketAddr) -> std::net::TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("a port that serves twice");
    socket.bind(&local.into()).expect("bound");
    socket.connect(&to.into()).expect("connects");
    socket.into()
}

#[test]
fn one_remote_port_on_two_of_our_addresses_leaks_no_place() {
    let runtime = runtime();
    let ours = [[127, 0, 0, 1], [127, 0, 0, 2]].map(|ip| webrtc::Address::of(ip.into()));
    let engine = start(WebRtcConfig { addresses: ours.to_vec(), max_half_open_per_source: 2, ..config() });
    let answered = runtime.block_on(engine.answer(&Client::new().offer().0, Wish::default())).expect("an answer");
    let [first, second] = common::tcp_candidates(&answered.sdp)[..] else { panic!("{}", answered.sdp) };
    for _ in 0..4 {
        eventually("both have a place", || {
            let before = engine.counters();
            let one = connect_from(SocketAddr::from(([127, 0, 0, 1], 0)), first);
            let _other = connect_from(one.local_addr().expect("an address"), second);
            let mut now = before;
            eventually("both are looked at", || {
                now = engine.counters();
                now.connections + now.connections_refused == before.connections + before.connections_refused + 2
            });
            now.connections == before.connections + 2
        });
    }
}

#[test]
fn an_address_that_sends_authentic_media_is_taken_by_nobody() {
    let runtime = runtime();
    let engine = start(config());
    let mut client = Client::new();
    let mut answered = call(&runtime, &engine, &mut client);
    let offer = Client::new().offer().0;
    let thief = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
    // A browser checks every few seconds, and its checks may be lost.
    client.checks = false;
    let until = Instant::now() + Duration::from_millis(5_500);
    while Instant::now() < until {
        client.say(&[1]);
        client.run_for(Duration::from_millis(20));
    }
    while answered.media.receive().is_some() {}
    // Another leg's check, with a forged sender.
    let forged = check(&offer, &thief.sdp, attribute(&thief.sdp, "ice-pwd"));
    client.sockets[0].send_to(&forged, engine.addresses()[0]).expect("sent");
    eventually("the thief is refused", || engine.counters().address_conflicts == 1);
    client.checks = true;
    talk(&mut client, &mut answered.media, 20);
}

#[test]
fn unusable_descriptions_get_a_reason() {
    let runtime = runtime();
    let engine = start(config());
    let offer = Client::new().offer().0;
    let ask = |sdp: &str| match runtime.block_on(engine.answer(sdp, Wish::default())) {
        Err(WebRtcError::Sdp(error)) => error,
        other => panic!("{other:?}"),
    };
    let without =
        |prefix: &str| offer.lines().filter(|l| !l.starts_with(prefix)).map(|l| format!("{l}\r\n")).collect::<String>();
    assert!(matches!(ask(""), SdpError::NoAudio));
    assert!(matches!(ask("v=0\r\nnonsense\r\n"), SdpError::Malformed { line: 2, .. }));
    assert!(matches!(ask(&without("a=fingerprint")), SdpError::Missing(_)));
    assert!(matches!(ask(&without("a=ice-ufrag")), SdpError::Missing(_)));
    assert!(matches!(ask(&without("a=rtcp-mux")), SdpError::Missing(_)));
    assert!(matches!(ask(&offer.replace("sha-256", "sha-1")), SdpError::FingerprintHash(_)));
    assert!(matches!(ask(&offer.replace("opus", "speex")), SdpError::NoFormat { .. }));
    assert!(matches!(ask(&offer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP")), SdpError::NoAudio));
    assert!(matches!(ask(&format!("{offer}{}", "a=x\r\n".repeat(20_000))), SdpError::TooBig { .. }));
    assert!(matches!(ask(&format!("{offer}{}", "m=video 9 X 1\r\n".repeat(40))), SdpError::TooBig { .. }));
    assert!(matches!(ask(&offer.replace("s=-", "s=-\r\na=ice-lite")), SdpError::BothLite));
    assert_eq!(engine.counters().peers, 0);
}
