//! What is said at one end is measured at the other, on real sockets.

use std::time::{Duration, Instant};

use phone::analysis::*;
use phone::capture::RtpEndpoint;
use phone::rtp::Rtcp;
use phone::*;

const SOON: Duration = Duration::from_secs(10);
const LOUD: f64 = SILENT_20MS_DBFS;

fn tone(freq: u32, dbfs: f64) -> Mouth {
    Mouth::Tone { freq, dbfs }
}

async fn connected(change: impl Fn(&mut PhoneConfig)) -> (Phone, Phone, Call, Call) {
    let mut bob = PhoneConfig::new(([127, 0, 0, 1], 9).into(), "bob", "secret");
    bob.auto_answer = Some(AutoAnswer { after: Duration::ZERO });
    change(&mut bob);
    let bob = Phone::start(bob).await.unwrap();
    let mut alice = PhoneConfig::new(bob.address(), "alice", "secret");
    change(&mut alice);
    let alice = Phone::start(alice).await.unwrap();
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    let into = bob.next_call(SOON).await.unwrap();
    out.wait_answered(SOON).await.unwrap();
    (alice, bob, out, into)
}

#[tokio::test]
async fn tones_arrive_both_ways_within_a_decibel_in_every_codec() {
    for codec in [Codec::Pcmu, Codec::Pcma, Codec::L16] {
        let (_a, _b, out, into) = connected(|c| c.codecs = vec![codec]).await;
        let from = out.say(tone(1200, -15.0)).await.unwrap().at.max(into.say(tone(2700, -20.0)).await.unwrap().at);
        let (near, far) = (out.ear(), into.ear());
        assert_eq!(tokio::join!(near.wait_more(75, SOON), far.wait_more(75, SOON)), (true, true));
        let (at_alice, at_bob) = (out.ear().packets(), into.ear().packets());
        let ears = [Ears { name: "alice", packets: &at_alice }, Ears { name: "bob", packets: &at_bob }];
        let speakers = [Speaker { name: "alice", freq: 1200 }, Speaker { name: "bob", freq: 2700 }];
        let m = matrix(&ears, &speakers, from, Instant::now(), Duration::from_millis(60)).unwrap();
        let at = |level| Expect::HeardAt { level, tolerance: 1.0 };
        m.check(&[
            ("alice", "bob", at(-20.0)),
            ("bob", "alice", at(-15.0)),
            ("alice", "alice", Expect::Silent),
            ("bob", "bob", Expect::Silent),
        ])
        .unwrap_or_else(|e| panic!("{codec:?}\n{m}\n{e:?}"));
        assert!(continuity(&at_alice).is_perfect() && continuity(&at_bob).is_perfect());
    }
}

#[tokio::test]
async fn a_silent_mouth_is_exactly_silent_from_the_first_packet_and_one_tone_frame_is_found() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    assert!(into.ear().wait_received(50, SOON).await);
    assert_eq!(exact_silence(&into.ear().packets()), Ok(()));
    let switched = out.say(tone(1200, -20.0)).await.unwrap();
    out.say(Mouth::Silence).await.unwrap();
    let heard = into.ear().wait_heard(1200, LOUD, switched.at, SOON).await.unwrap();
    let packets = into.ear().packets();
    // The switch is reported for the very packet in which it begins.
    let first = &packets[packets.iter().position(|p| p.at == heard.at).unwrap()];
    assert_eq!((first.header.timestamp, first.header.sequence), (switched.timestamp, switched.sequence));
    let leak = exact_silence(&packets).unwrap_err();
    assert_eq!(packets[leak.packet].header.sequence, switched.sequence);
    assert!(into.ear().wait_quiet(1200, LOUD, switched.at, Duration::from_millis(200), SOON).await.unwrap().is_some());
}

#[tokio::test]
async fn hold_stops_the_other_side_and_resume_brings_it_back() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    into.say(tone(2700, -20.0)).await.unwrap();
    assert!(out.ear().wait_heard(2700, LOUD, Instant::now(), SOON).await.is_some());
    out.hold().await.unwrap();
    into.wait_event(SOON, |e| *e == EventKind::Renegotiated { theirs: Direction::SendOnly, ours: Direction::RecvOnly })
        .await
        .unwrap();
    assert!(!into.remote().unwrap().sending);
    let held = Instant::now();
    // While held, alice still sends and bob does not.
    assert!(into.ear().wait_more(25, SOON).await);
    assert!(out.ear().since(held + Duration::from_millis(40)).is_empty());
    out.resume().await.unwrap();
    let back = Instant::now();
    assert!(out.ear().wait_heard(2700, LOUD, back, SOON).await.is_some());
    let c = continuity(&out.ear().packets());
    assert!(c.is_lossless() && c.gaps.len() == 1 && c.gaps[0].marker, "{c} {:?}", c.gaps);
    out.hold_inactive().await.unwrap();
    assert!(!out.remote().unwrap().sending && out.remote_description().unwrap().contains("a=inactive"));
}

#[tokio::test]
async fn digits_by_telephone_event_come_once_each_and_keep_the_stream_whole() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    out.send_digits("15#D").await.unwrap();
    assert!(into.ear().wait_until(SOON, |e| e.digits() == "15#D").await);
    assert!(into.ear().wait_more(10, SOON).await);
    let packets = into.ear().packets();
    let c = continuity(&packets);
    assert_eq!((c.lost, c.duplicated), (0, 0));
    assert!(packets.iter().any(|p| p.content == Content::Event && p.header.marker));
    assert!(matches!(out.send_digits("1x").await, Err(CallError::Line(_))));
}

#[tokio::test]
async fn a_reinvite_changes_codec_and_port() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    out.say(tone(1200, -20.0)).await.unwrap();
    assert!(into.ear().wait_received(5, SOON).await);
    out.reinvite(Change { codecs: Some(vec![Codec::Pcma]), ..Change::default() }).await.unwrap();
    assert!(
        into.ear()
            .wait_until(SOON, |e| e.packets().last().is_some_and(|p| p.content == Content::Audio(Codec::Pcma)))
            .await
    );
    let old_port = out.line().unwrap().port();
    out.reinvite(Change { new_port: true, ..Change::default() }).await.unwrap();
    let moved = Instant::now();
    assert_ne!(out.line().unwrap().port(), old_port);
    assert_eq!(out.earlier_lines().len(), 1);
    assert!(out.ear().wait_received(10, SOON).await, "the other side follows to the new port");
    assert!(into.ear().wait_heard(1200, LOUD, moved, SOON).await.is_some(), "the mouth moved along");
    assert_eq!(continuity(&into.ear().packets()).ssrcs.len(), 2);
}

#[tokio::test]
async fn early_media_is_heard_before_the_answer() {
    let bob = Phone::start(PhoneConfig {
        mouth: tone(1200, -20.0),
        ..PhoneConfig::new(([127, 0, 0, 1], 9).into(), "bob", "x")
    })
    .await
    .unwrap();
    let alice = Phone::start(PhoneConfig::new(bob.address(), "alice", "x")).await.unwrap();
    let begun = Instant::now();
    let out = alice.call(&bob.uri(), CallOptions::default()).unwrap();
    let incoming = bob.incoming(SOON).await.unwrap();
    incoming.early_media().await.unwrap();
    out.wait_state(SOON, |s| *s == CallState::Early).await.unwrap();
    assert!(out.ear().wait_heard(1200, LOUD, begun, SOON).await.is_some());
    assert_ne!(out.state(), CallState::Answered);
    incoming.answer().await.unwrap();
    out.wait_answered(SOON).await.unwrap();
}

#[tokio::test]
async fn reports_describe_the_stream() {
    let (_a, _b, _out, into) = connected(|c| c.rtcp_interval = Duration::from_millis(200)).await;
    let full = |r: &[(Instant, Rtcp)]| {
        r.iter().any(|(_, p)| matches!(p, Rtcp::SenderReport { blocks, packets, .. } if *packets > 0 && blocks.first().is_some_and(|b| b.lost == 0 && b.last_sr != 0)))
            && r.iter().any(|(_, p)| matches!(p, Rtcp::SourceDescription { cname, .. } if cname.starts_with("alice@")))
    };
    assert!(into.ear().wait_until(SOON, |e| full(&e.rtcp())).await);
}

#[tokio::test]
async fn a_line_that_closes_says_goodbye() {
    let a = RtpEndpoint::bind([127, 0, 0, 1].into(), Codec::Pcma).unwrap();
    let b = RtpEndpoint::bind([127, 0, 0, 1].into(), Codec::Pcma).unwrap();
    a.send_to(([127, 0, 0, 1], b.port()).into()).unwrap();
    assert!(b.ear().wait_received(2, SOON).await);
    drop(a);
    assert!(b.ear().wait_until(SOON, |e| e.rtcp().iter().any(|(_, p)| matches!(p, Rtcp::Bye { .. }))).await);
}

#[tokio::test]
async fn faults_are_made_and_measured() {
    let (_a, _b, out, into) = connected(|_| {}).await;
    let settle = async |fault| {
        out.misbehave(fault).unwrap();
        let from = Instant::now();
        assert!(into.ear().wait_more(25, SOON).await);
        into.ear().since(from)
    };
    assert!(into.ear().wait_received(5, SOON).await);
    assert!(continuity(&settle(Misbehave::DropEvery(Some(5))).await).lost >= 3);
    out.misbehave(Misbehave::DropEvery(None)).unwrap();
    assert!(continuity(&settle(Misbehave::DuplicateEvery(Some(5))).await).duplicated >= 3);
    out.misbehave(Misbehave::DuplicateEvery(None)).unwrap();
    assert_eq!(
        continuity(&settle(Misbehave::ChangeSsrc).await).ssrcs.len().max(1),
        continuity(&into.ear().packets()).ssrcs.len() - 1
    );
    let jumps = |p: &[Packet]| continuity(p).gaps.iter().any(|g| g.timestamp_step == 48_160);
    out.misbehave(Misbehave::JumpTimestamp(48_000)).unwrap();
    assert!(into.ear().wait_until(SOON, |e| jumps(&e.packets())).await);
    let port = out.line().unwrap().port();
    out.misbehave(Misbehave::OtherPort(true)).unwrap();
    assert!(into.ear().wait_until(SOON, |e| e.packets().last().is_some_and(|p| p.from.port() != port)).await);
    out.misbehave(Misbehave::Raw(vec![1, 2, 3].into())).unwrap();
    assert!(into.ear().wait_until(SOON, |e| e.counters().malformed == 1).await);
}

#[tokio::test]
async fn a_late_mouth_and_a_wrong_address_are_possible_from_the_start() {
    let delay = Duration::from_millis(400);
    let (_a, _b, out, into) = connected(|c| {
        if c.username == "alice" {
            c.faults = Faults { delay_first: delay, sdp_ip: Some([10, 1, 2, 3].into()), ..Faults::default() };
        }
    })
    .await;
    let answered = out.wait_event(SOON, |e| *e == EventKind::Answered).await.unwrap().at;
    assert!(into.ear().wait_received(1, SOON).await);
    assert!(into.ear().packets()[0].at - answered >= delay / 2);
    assert_eq!(into.remote().unwrap().address.unwrap().ip(), std::net::IpAddr::from([10, 1, 2, 3]));
    assert!(into.remote_description().unwrap().contains("10.1.2.3"));
}

#[tokio::test]
async fn two_bare_ends_latch_and_hear_each_other() {
    let a = RtpEndpoint::bind([127, 0, 0, 1].into(), Codec::Pcma).unwrap();
    let b = RtpEndpoint::bind([127, 0, 0, 1].into(), Codec::Pcma).unwrap();
    assert!(a.port().is_multiple_of(2) && b.port().is_multiple_of(2));
    b.say(tone(2700, -20.0)).await.unwrap();
    let begun = Instant::now();
    a.say(tone(1200, -20.0)).await.unwrap();
    a.send_to(([127, 0, 0, 1], b.port()).into()).unwrap();
    assert!(b.ear().wait_heard(1200, LOUD, begun, SOON).await.is_some());
    assert!(a.ear().wait_heard(2700, LOUD, begun, SOON).await.is_some(), "b answered to where a's packets came from");
}

#[tokio::test]
async fn pacing_does_not_drift_with_many_lines() {
    let (_a, _b, _out, into) = connected(|_| {}).await;
    let lines: Vec<_> = (0..40).map(|_| RtpEndpoint::bind([127, 0, 0, 1].into(), Codec::Pcmu).unwrap()).collect();
    for pair in lines.chunks(2) {
        pair[0].send_to(([127, 0, 0, 1], pair[1].port()).into()).unwrap();
    }
    assert!(into.ear().wait_received(150, SOON).await);
    let packets = into.ear().packets();
    let first = &packets[0];
    let lateness = |packet: &phone::Packet| {
        let by_timestamp = packet.header.timestamp.wrapping_sub(first.header.timestamp) / 8;
        (packet.at - first.at).as_millis() as i64 - i64::from(by_timestamp)
    };
    // Absolute deadlines: the least late of many packets are equally late, however long the stream and however busy the machine.
    let least = |part: &[phone::Packet]| part.iter().map(lateness).min().unwrap();
    let (begin, end) = (least(&packets[..50]), least(&packets[packets.len() - 50..]));
    assert!((end - begin).abs() < 60, "{begin} ms late at first, {end} ms at last");
    let usual = pacing(&packets).percentile(0.5);
    assert!(usual.abs_diff(Duration::from_millis(20)) < Duration::from_millis(12), "{usual:?}");
    for end in lines.chunks(2) {
        assert!(end[1].ear().wait_received(20, SOON).await && end[0].ear().wait_received(20, SOON).await);
    }
}

#[tokio::test]
async fn memory_is_bounded_and_what_is_forgotten_is_counted() {
    let (_a, _b, _out, into) = connected(|c| c.keep = Duration::from_millis(500)).await;
    assert!(into.ear().wait_received(120, SOON).await);
    let (kept, counters) = (into.ear().packets().len() as u64, into.ear().counters());
    // 25 packets are sent in half a second; a busy machine brings fewer or more of them in that time.
    assert!((5..=60).contains(&kept), "{kept}");
    assert!(counters.aged_out >= 60 && counters.aged_out + kept >= counters.received);
}

#[tokio::test]
async fn the_command_line_phone_answers_and_reports_levels() {
    use phone::cli::{PhoneOptions, Say, run};
    let caller_at = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut config = PhoneConfig::new(([127, 0, 0, 1], 9).into(), "bob", "x");
    config.port = caller_at.port();
    let options = PhoneOptions {
        config,
        register: None,
        call: None,
        answer_after: Duration::ZERO,
        say: Say::Tone(2700, -20.0),
        digits: None,
        duration: Some(Duration::from_secs(5)),
        levels_every: Duration::from_millis(200),
    };
    let running = tokio::spawn(async move {
        let mut out = Vec::new();
        run(options, &mut out).await.map(|()| String::from_utf8(out).unwrap())
    });
    let alice = Phone::start(PhoneConfig { mouth: tone(1200, -20.0), ..PhoneConfig::new(caller_at, "alice", "x") })
        .await
        .unwrap();
    let call = alice.call(&format!("sip:bob@{caller_at}"), CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    assert!(call.ear().wait_heard(2700, LOUD, Instant::now(), SOON).await.is_some());
    assert_eq!(call.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
    let printed = running.await.unwrap().unwrap();
    assert!(printed.contains("hears -20.") || printed.contains("hears -19."), "{printed}");
}
