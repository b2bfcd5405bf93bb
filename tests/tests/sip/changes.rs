//! Changes of a session during a call, and requests beside it.

use phone::{Change, Codec, Content, Mouth};
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, tones, voice};
use system_tests::office::{Member, Office};

async fn two(office: &Office) -> (Member, Member, [u32; 2]) {
    let [a, b, _] = tones::<3>();
    let first = office.joins("first", "room", "Customer", "", voice(a)).await;
    let second = office.joins("second", "room", "Agent", "", voice(b)).await;
    (first, second, [a, b])
}

const BOTH: [(&str, &str); 2] = [("first", "second"), ("second", "first")];

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_holds_gets_and_gives_nothing_until_it_resumes() {
    let office = Office::open().await;
    let (first, second, [a, b]) = two(&office).await;
    hears("before", &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
    first.call.hold_inactive().await.unwrap();
    let before = first.call.ear().counters().received;
    let held = std::time::Instant::now() + SETTLING;
    assert!(
        second.call.ear().wait_quiet(a, -45.0, held, SETTLING, SOON).await.is_some(),
        "the held phone is still heard"
    );
    assert!(second.call.ear().wait_more(50, SOON).await, "the other one is still served");
    let after = first.call.ear().counters().received;
    assert!(after - before <= 15, "an inactive phone received {} packets", after - before);
    first.call.resume().await.unwrap();
    hears("resumed", &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_holds_by_sendonly_or_by_the_zero_address_gets_nothing_and_is_still_heard() {
    let office = Office::open().await;
    let (first, second, [a, b]) = two(&office).await;
    hears("before", &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
    let zero = Change { advertise: Some(std::net::Ipv4Addr::UNSPECIFIED.into()), ..Change::default() };
    let back = Change { advertise: Some(std::net::Ipv4Addr::LOCALHOST.into()), ..Change::default() };
    let sendonly = Change { direction: Some(phone::Direction::SendOnly), ..Change::default() };
    let both_ways = Change { direction: Some(phone::Direction::SendRecv), ..Change::default() };
    for (what, hold, resume) in [("sendonly", sendonly, both_ways), ("0.0.0.0", zero, back)] {
        first.call.reinvite(hold).await.unwrap();
        let before = first.call.ear().counters().received;
        let held = std::time::Instant::now() + SETTLING;
        assert!(second.call.ear().wait_heard(a, -45.0, held, SOON).await.is_some(), "{what}: its sound is lost");
        assert!(second.call.ear().wait_more(50, SOON).await, "{what}: the other one is still served");
        let after = first.call.ear().counters().received;
        assert!(after - before <= 15, "{what}: a holding phone received {} packets", after - before);
        first.call.reinvite(resume).await.unwrap();
        hears(what, &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_may_change_its_codec_and_its_port_during_a_call() {
    let office = Office::open().await;
    let (first, second, [a, b]) = two(&office).await;
    hears("µ-law", &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
    first.call.reinvite(Change { codecs: Some(vec![Codec::Pcma]), ..Change::default() }).await.unwrap();
    hears("A-law", &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
    let last = first.call.ear().packets().last().cloned().unwrap();
    assert_eq!(last.content, Content::Audio(Codec::Pcma));
    first.call.reinvite(Change { new_port: true, ..Change::default() }).await.unwrap();
    hears("another port", &[first.heard(Some(a)), second.heard(Some(b))], &BOTH).await;
    assert_eq!(first.call.earlier_lines().len(), 1);
    // Back to silence: the new line is proven to carry the mix and nothing stale.
    second.falls_silent().await;
    let quiet = first.call.ear().wait_quiet(b, -60.0, std::time::Instant::now(), SETTLING * 2, SOON).await;
    assert!(quiet.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_behind_a_nat_is_heard_and_hears_where_its_packets_come_from() {
    let [a, b, _] = tones::<3>();
    let office = Office::open().await;
    let first = office.joins("first", "room", "Customer", "", voice(a)).await;
    office.room_document("behind-nat", "room", "Agent", "");
    drop(office.phone("behind-nat", Mouth::Silence).await);
    let mut config = phone::PhoneConfig::new(office.server.at().sip_udp, "behind-nat", system_tests::server::PASSWORD);
    config.domain = system_tests::office::DOMAIN.into();
    config.mouth = voice(b);
    config.faults.sdp_ip = Some("192.168.77.5".parse().unwrap());
    let phone = phone::Phone::start(config).await.unwrap();
    phone.register(600).await.unwrap();
    let second = office.calls_in("behind-nat", phone).await;
    let people = [first.heard(Some(a)), Heard { name: "behind-nat", call: &second.call, tone: Some(b) }];
    hears("latched", &people, &[("first", "behind-nat"), ("behind-nat", "first")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn options_are_answered_in_a_call_and_outside() {
    let office = Office::open().await;
    let (first, _second, _) = two(&office).await;
    let answer = first.call.request("OPTIONS", Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(answer.code, 200);
    // A carrier's ping.
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (at, server) = (socket.local_addr().unwrap(), office.server.at().sip_udp);
    let ping = format!(
        "OPTIONS sip:ping@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKping\r\nMax-Forwards: 70\r\nFrom: <sip:ping@{at}>;tag=1\r\n\
         To: <sip:ping@{server}>\r\nCall-ID: ping\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    );
    socket.send_to(ping.as_bytes(), server).await.unwrap();
    let mut buffer = vec![0; 4096];
    let (length, _) =
        tokio::time::timeout(SOON, socket.recv_from(&mut buffer)).await.expect("no answer to OPTIONS").unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]);
    assert!(text.starts_with("SIP/2.0 200 ") && text.contains("Allow:"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_told_to_programs_that_asked_for_them() {
    let office = Office::open().await;
    let events = r#"statusCallbackEvents="mpc-state-changes,participant-state-changes,participant-digit-input-events""#;
    let member = office.joins("first", "room", "Customer", events, Mouth::Silence).await;
    let mark = office.program.mark();
    member.call.send_digits("1#").await.unwrap();
    for digit in ["1", "#"] {
        office.program.event("ParticipantDigitInput", mark, |event| event.param("DigitInput") == digit).await;
    }
    member.call.send_digits_by_info("5").await.unwrap();
    office.program.event("ParticipantDigitInput", mark, |event| event.param("DigitInput") == "5").await;
}
