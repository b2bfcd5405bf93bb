//! The detectors themselves: one leaked packet, sent over real sockets into a recorded stream, must trip each of them.

use std::net::IpAddr;
use std::time::Instant;

use phone::analysis::{Ears, Expect, Speaker, exact_silence, levels_1s, levels_20ms};
use phone::capture::RtpEndpoint;
use phone::{Codec, Misbehave, Mouth, Packet};
use system_tests::SOON;
use system_tests::ears::{judge, tones, voice};

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// What an ear records of three seconds, one packet of which carries `leak`; `mouth` speaks all the time.
async fn recorded_with_leak(mouth: Mouth, leak: Option<u32>) -> Vec<Packet> {
    let (ear, speaker) =
        (RtpEndpoint::bind(LOOPBACK, Codec::Pcmu).unwrap(), RtpEndpoint::bind(LOOPBACK, Codec::Pcmu).unwrap());
    speaker.say(mouth.clone()).await.unwrap();
    speaker.send_to(ear.line().address()).unwrap();
    assert!(ear.ear().wait_received(75, SOON).await);
    let first_after = if let Some(tone) = leak {
        // The packet itself is made by the phone, the place in the stream is the next one.
        let before = ear.ear().packets().last().cloned().unwrap();
        let header = phone::rtp::Header {
            sequence: before.header.sequence.wrapping_add(1),
            timestamp: before.header.timestamp.wrapping_add(160),
            marker: false,
            ..before.header
        };
        let mut datagram = Vec::new();
        header.write(&Codec::Pcmu.encode(&tone_frame(tone)), &mut datagram);
        speaker.misbehave(Misbehave::Raw(datagram.into())).unwrap();
        Some(header)
    } else {
        None
    };
    assert!(ear.ear().wait_received(150, SOON).await);
    let mut packets = ear.ear().packets();
    // The stream's own packet of that place is left out, so that the leak stands in its stead and nothing else is unusual.
    if let Some(header) = first_after {
        let own = packets.iter().rposition(|packet| packet.header.sequence == header.sequence).unwrap();
        packets.remove(own);
        packets.sort_by_key(|packet| packet.header.sequence.wrapping_sub(header.sequence.wrapping_sub(0x4000)));
    }
    packets
}

fn tone_frame(freq: u32) -> Vec<i16> {
    let peak = 32_767.0 * 10f64.powf(system_tests::ears::SPEAKING / 20.0);
    (0..160)
        .map(|i| (peak * (std::f64::consts::TAU * f64::from(freq) * f64::from(i) / 8000.0).sin()).round() as i16)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leaked_packet_in_silence_trips_the_exact_detector() {
    let [tone] = tones();
    assert_eq!(exact_silence(&recorded_with_leak(Mouth::Silence, None).await), Ok(()));
    let leaked = recorded_with_leak(Mouth::Silence, Some(tone)).await;
    assert!(exact_silence(&leaked).is_err(), "the leak went unseen");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leaked_packet_under_another_voice_trips_both_tone_detectors_and_the_verdict() {
    let [talking, leak, _] = tones::<3>();
    let clean = recorded_with_leak(voice(talking), None).await;
    let leaked = recorded_with_leak(voice(talking), Some(leak)).await;
    let speakers = [Speaker { name: "customer", freq: talking }, Speaker { name: "supervisor", freq: leak }];
    let verdict = |packets: &[Packet]| {
        let ears = [Ears { name: "agent", packets }];
        judge(&ears, &speakers, &[("agent", "customer")], packets[0].at, Instant::now())
    };
    verdict(&clean).unwrap();
    let wrong = verdict(&leaked).unwrap_err();
    assert!(
        wrong.iter().any(|mismatch| mismatch.speaker == "supervisor" && mismatch.expected == Expect::Silent),
        "{wrong:?}"
    );
    let samples = phone::analysis::Track::new(&leaked).samples;
    assert!(levels_20ms(&samples, leak).max() > phone::analysis::SILENT_20MS_DBFS);
    assert!(levels_1s(&samples, leak).max() > phone::analysis::SILENT_1S_DBFS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_that_stops_for_one_packet_is_not_heard_at_its_level() {
    let [talking] = tones();
    let mut packets = recorded_with_leak(voice(talking), None).await;
    let silence = bytes::Bytes::from(vec![Codec::Pcmu.silence_word(); 160]);
    packets[40].payload = silence;
    let ears = [Ears { name: "agent", packets: &packets }];
    let wrong = judge(
        &ears,
        &[Speaker { name: "customer", freq: talking }],
        &[("agent", "customer")],
        packets[0].at,
        Instant::now(),
    );
    assert!(wrong.is_err(), "a gap went unseen");
}
