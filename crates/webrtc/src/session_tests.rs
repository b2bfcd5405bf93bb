//! Descriptions as browsers write them, and what becomes of them.

use audio::Format;
use proptest::prelude::*;

use crate::agent::{Maker, Remote};
use crate::config::WebRtcConfig;
use crate::error::{SdpError, WebRtcError};
use crate::format::FORMATS;
use crate::port::Gate;
use crate::sdp::Description;
use crate::session::{Founding, Session, answerable, candidate, offered};

/// An offer with audio, video and a data channel, in the manner of Chromium (attributes that do not matter left out).
const CHROMIUM: &str = "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
a=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\n\
m=audio 54321 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\nc=IN IP4 192.0.2.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
a=candidate:1 1 udp 2122260223 9f3b7a3c-2f4e-4a51-9d3c-1d2e3f4a5b6c.local 54321 typ host generation 0\r\n\
a=candidate:2 1 udp 1686052607 192.0.2.7 54321 typ srflx raddr 0.0.0.0 rport 0 generation 0\r\n\
a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0\r\n\
a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=ice-options:trickle\r\n\
a=fingerprint:sha-256 D2:FA:0E:C3:22:59:5E:14:95:69:92:3D:13:B4:84:24:2C:C2:A2:C0:3E:FD:34:8E:5E:EA:6F:AF:52:CE:E6:0F\r\n\
a=setup:actpass\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=msid:stream track\r\n\
a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\n\
a=fmtp:111 minptime=10;useinbandfec=1;maxplaybackrate=16000; usedtx=1 ;maxaveragebitrate=20000\r\n\
a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:3570614608 cname:x\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
a=mid:1\r\na=sendrecv\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n";

/// In the manner of Firefox: fingerprint at the session level, no port yet, lower case.
const FIREFOX: &str = "v=0\r\no=mozilla...THIS_IS_SDPARTA-99.0 7710052215259647220 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
a=fingerprint:sha-256 d2:fa:0e:c3:22:59:5e:14:95:69:92:3d:13:b4:84:24:2c:c2:a2:c0:3e:fd:34:8e:5e:ea:6f:af:52:ce:e6:0f\r\n\
a=group:BUNDLE 0\r\na=ice-options:trickle\r\na=msid-semantic:WMS *\r\nm=audio 9 UDP/TLS/RTP/SAVPF 109 9 0 8 101\r\n\
c=IN IP4 0.0.0.0\r\na=sendonly\r\na=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\na=fmtp:101 0-15\r\n\
a=ice-pwd:f9b83487285016f7492197a5790ceee5\r\na=ice-ufrag:403a81e1\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:109 opus/48000/2\r\n\
a=rtpmap:9 G722/8000/1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=setup:actpass\r\n";

fn maker() -> Maker {
    Maker::new(&WebRtcConfig::default()).expect("a certificate")
}

fn local() -> str0m::Candidate {
    str0m::Candidate::host("192.0.2.1:4000".parse().expect("an address"), "udp").expect("a candidate")
}

fn answer_to(offer: &str, formats: &[Format]) -> Result<(Session, crate::Agreed), WebRtcError> {
    let offer = Description::read(offer)?;
    let (audio, agreed) = answerable(&offer, formats, true)?;
    let remote = Remote::new(&audio, offer.lite(), agreed.payloads());
    let agent = maker().answering(&remote, &[local()])?;
    let address = "192.0.2.1:4000".parse().expect("an address");
    let founding = Founding { agent: &agent, address, lite: true, max_average_bitrate: 32_000 };
    Ok((Session::answering(&founding, &offer, &audio, remote, agreed), agreed))
}

#[test]
fn chromiums_offer_is_answered_with_one_format_and_nothing_else() {
    let (session, agreed) = answer_to(CHROMIUM, &FORMATS).expect("an answer");
    assert_eq!((agreed.format, agreed.payload_type, agreed.telephone_event), (Format::Opus, 111, Some(110)));
    assert!(agreed.opus.dtx && agreed.opus.fec && agreed.send && agreed.receive);
    assert_eq!(agreed.opus.max_bitrate, Some(20_000));
    let text = session.text();
    for line in [
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "m=audio 4000 UDP/TLS/RTP/SAVPF 111 110",
        "a=setup:passive",
        "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1;stereo=0;maxaveragebitrate=32000",
        "m=video 0 UDP/TLS/RTP/SAVPF 96",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:2",
        "a=sendrecv",
        "a=rtcp-mux",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
    }
    assert!(text.lines().any(|l| l.starts_with("a=candidate:") && l.contains(" 192.0.2.1 4000 typ host")), "{text}");
}

#[test]
fn firefoxs_offer_on_hold_is_answered_in_its_numbers() {
    let (session, agreed) = answer_to(FIREFOX, &FORMATS).expect("an answer");
    assert_eq!((agreed.payload_type, agreed.telephone_event), (109, None), "no telephone events at 48 kHz");
    assert!(!agreed.send && agreed.receive);
    assert!(session.text().contains("a=recvonly\r\n"));
    let (_, agreed) = answer_to(FIREFOX, &[Format::G722, Format::Opus]).expect("an answer");
    assert_eq!((agreed.format, agreed.payload_type, agreed.telephone_event), (Format::G722, 9, Some(101)));
}

#[test]
fn only_candidates_that_can_be_checked_are() {
    let local = "192.0.2.1:4000".parse().expect("an address");
    let taken = |line: &str| candidate(line, local).is_some();
    assert!(taken("a=candidate:1 1 udp 2122260223 198.51.100.7 40000 typ host"));
    assert!(taken("candidate:1 1 udp 41885439 203.0.113.9 50000 typ relay raddr 0.0.0.0 rport 0"));
    assert!(!taken("candidate:1 1 udp 2122260223 9f3b7a3c.local 40000 typ host"));
    assert!(!taken("candidate:1 1 udp 2122260223 127.0.0.1 40000 typ host"), "our loopback is not theirs");
    assert!(!taken("candidate:1 1 udp 2122260223 224.0.0.1 40000 typ host"));
    assert!(!taken("candidate:1 1 tcp 2122260223 198.51.100.7 9 typ host tcptype active"));
    assert!(!taken("candidate:1 1 udp x y z"));
    assert!(!taken(""));
}

#[test]
fn a_later_offer_must_fit_what_was_agreed() {
    let (session, _) = answer_to(CHROMIUM, &FORMATS).expect("an answer");
    let refused = |offer: String| match session.read_offer(&offer) {
        Err(WebRtcError::Sdp(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    };
    assert!(session.read_offer(CHROMIUM).is_ok());
    assert!(matches!(refused(CHROMIUM.replace("D2:FA", "D3:FA")), SdpError::FingerprintChanged));
    assert!(matches!(refused(CHROMIUM.replace("111", "112")), SdpError::Mismatch(_)));
    assert!(matches!(refused(FIREFOX.to_owned()), SdpError::Mismatch(_)));
    assert!(matches!(refused(CHROMIUM.replace("m=audio 54321", "m=audio 0")), SdpError::NoAudio));
    let restart = session.read_offer(&CHROMIUM.replace("EsAw", "EsAx")).unwrap_or_else(|error| panic!("{error}"));
    assert!(restart.restart.is_some());
    assert!(session.read_answer(CHROMIUM).is_err_and(|error| matches!(error, WebRtcError::NoOffer)));
}

#[test]
fn our_offer_names_all_formats_and_the_answer_picks_one() {
    let payloads = offered(&FORMATS);
    let agent = maker().offering(&payloads, &[local()]).expect("an agent");
    let address = "192.0.2.1:4000".parse().expect("an address");
    let founding = Founding { agent: &agent, address, lite: true, max_average_bitrate: 32_000 };
    let session = Session::offering(&founding, payloads);
    assert!(session.text().contains("UDP/TLS/RTP/SAVPF 111 9 0 8 110 101\r\n"), "{}", session.text());
    assert!(session.text().contains("a=setup:actpass\r\n"));
    let answer = FIREFOX.replace("actpass", "active").replace("109", "111").replace("sendonly", "sendrecv");
    let step = session.read_answer(&answer).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(step.agreed.gate(), Gate { payload_type: 111, telephone_event: None, send: true, receive: true });
    let answer = answer.replace("SAVPF 111 9 0 8 101", "SAVPF 8 101");
    let step = session.read_answer(&answer).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((step.agreed.format, step.agreed.telephone_event), (Format::Narrow(audio::Codec::Pcma), Some(101)));
    assert!(session.read_answer(&answer.replace("m=audio 9", "m=audio 0")).is_err());
    assert!(session.read_answer(CHROMIUM).is_err(), "three lines are no answer to one");
}

proptest! {
    #[test]
    fn no_description_panics(text in ".{0,2000}") {
        let _ = Description::read(&text).and_then(|d| d.audio(None).map(|_| ()));
    }

    #[test]
    fn no_mutation_of_a_real_one_panics(cuts in proptest::collection::vec((0usize..3_000, any::<u8>(), 0usize..4), 1..12)) {
        for original in [CHROMIUM, FIREFOX] {
            let mut bytes = original.as_bytes().to_vec();
            for (at, byte, how) in &cuts {
                let at = at % (bytes.len() - 1);
                match how {
                    0 => bytes[at] = *byte,
                    1 => bytes.insert(at, *byte),
                    2 => _ = bytes.remove(at),
                    _ => bytes.truncate(at.max(100)),
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            if let Ok(description) = Description::read(&text)
                && let Ok((audio, agreed)) = answerable(&description, &FORMATS, true)
            {
                // What passes our reading must pass str0m's.
                let remote = Remote::new(&audio, description.lite(), agreed.payloads());
                let made = maker_once().answering(&remote, &[local()]);
                prop_assert!(made.is_ok(), "{:?}\n{}", made.err(), text);
            }
        }
    }

    #[test]
    fn no_candidate_panics(line in "(a=)?candidate:.{0,200}") {
        let _ = candidate(&line, "192.0.2.1:4000".parse().expect("an address"));
    }
}

/// One certificate for many agents.
fn maker_once() -> &'static Maker {
    static MAKER: std::sync::OnceLock<Maker> = std::sync::OnceLock::new();
    MAKER.get_or_init(maker)
}
