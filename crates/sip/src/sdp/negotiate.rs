//! Offer and answer (RFC 3264) for one G.711 audio stream.

use std::net::{IpAddr, SocketAddr};

use super::{Direction, Media, Origin, Payload, Rtcp, Session};
use crate::transport::is_unicast;

/// Codecs of plain RTP legs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// G.711 µ-law, payload type 0.
    Pcmu,
    /// G.711 A-law, payload type 8.
    Pcma,
}

impl AudioCodec {
    /// Encoding name.
    pub fn name(self) -> &'static str {
        match self {
            AudioCodec::Pcmu => "PCMU",
            AudioCodec::Pcma => "PCMA",
        }
    }

    /// Static payload type.
    pub fn payload_type(self) -> u8 {
        match self {
            AudioCodec::Pcmu => 0,
            AudioCodec::Pcma => 8,
        }
    }

    fn of(payload: &Payload) -> Option<AudioCodec> {
        let fits = payload.rate == 8_000 && payload.channels == 1;
        [AudioCodec::Pcmu, AudioCodec::Pcma].into_iter().find(|c| fits && c.name().eq_ignore_ascii_case(&payload.name))
    }
}

/// What our side can and wants to do.
#[derive(Debug, Clone)]
pub struct Capabilities {
    /// Where we receive RTP.
    pub rtp: SocketAddr,
    /// Where we receive RTCP; `None`: the next port.
    pub rtcp: Option<SocketAddr>,
    /// Codecs, in our order of preference.
    pub codecs: Vec<AudioCodec>,
    /// Whether telephone-event (RFC 4733) is wanted.
    pub telephone_event: bool,
    /// Direction we want; an answer is cut to what the offer leaves.
    pub direction: Direction,
    /// Session id of `o=`: one for the life of the leg.
    pub session_id: u64,
    /// Version of `o=`: one more with each change.
    pub version: u64,
}

/// What both sides agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// The codec, both ways.
    pub codec: AudioCodec,
    /// Its payload type.
    pub payload_type: u8,
    /// Payload type of telephone-event, if agreed.
    pub telephone_event: Option<u8>,
    /// Where our RTP goes.
    pub remote: SocketAddr,
    /// Where our RTCP goes.
    pub remote_rtcp: SocketAddr,
    /// Our direction.
    pub direction: Direction,
    /// The peer put us on hold.
    pub held: bool,
    /// Our session description: the answer made, or the offer that was answered.
    pub local: Session,
}

/// Why no media can flow; 488 for an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// No audio line with a port.
    #[error("no active audio stream is offered")]
    NoAudio,
    /// SRTP, WebRTC profiles and others.
    #[error("only RTP/AVP audio is supported here")]
    Protocol,
    /// No common codec.
    #[error("no common audio codec; PCMU and PCMA are supported")]
    Codec,
    /// Media to a group or a whole network.
    #[error("media cannot be sent to a multicast or broadcast address")]
    Address,
    /// An answer that does not belong to the offer.
    #[error("the answer does not fit the offer")]
    Mismatch,
}

fn telephone_event(media: &Media) -> Option<u8> {
    let fits = |p: &&Payload| p.name.eq_ignore_ascii_case("telephone-event") && p.rate == 8_000;
    media.payloads.iter().find(fits).map(|p| p.number)
}

fn payload(codec: AudioCodec, number: u8) -> Payload {
    Payload { number, name: codec.name().to_owned(), rate: 8_000, channels: 1, fmtp: None }
}

fn event_payload(number: u8) -> Payload {
    Payload { number, name: "telephone-event".to_owned(), rate: 8_000, channels: 1, fmtp: Some("0-15".to_owned()) }
}

fn ours(can: &Capabilities, payloads: Vec<Payload>, direction: Direction) -> Media {
    let rtcp = can.rtcp.filter(|r| r.ip() != can.rtp.ip() || r.port() != can.rtp.port().saturating_add(1));
    Media {
        kind: "audio".to_owned(),
        port: can.rtp.port(),
        connection: None,
        rtcp: rtcp.map(|r| Rtcp { port: r.port(), address: (r.ip() != can.rtp.ip()).then_some(r.ip()) }),
        protocol: "RTP/AVP".to_owned(),
        formats: payloads.iter().map(|p| p.number.to_string()).collect(),
        payloads,
        direction,
        ptime: Some(20),
    }
}

fn session(can: &Capabilities, media: Vec<Media>) -> Session {
    let ip: IpAddr = can.rtp.ip();
    Session {
        origin: Origin {
            username: "-".to_owned(),
            id: can.session_id.to_string(),
            version: can.version.to_string(),
            address: ip,
        },
        connection: ip,
        media,
        text: None,
    }
}

/// Our offer: every codec, telephone-event as 101.
pub fn offer(can: &Capabilities) -> Session {
    let mut payloads: Vec<Payload> = can.codecs.iter().map(|c| payload(*c, c.payload_type())).collect();
    if can.telephone_event {
        payloads.push(event_payload(101));
    }
    session(can, vec![ours(can, payloads, can.direction)])
}

/// Answers an offer: its first codec that we have, its payload numbers, every other medium refused with port 0.
pub fn answer(offer: &Session, can: &Capabilities) -> Result<Negotiated, Unusable> {
    let chosen = chosen(offer)?;
    let media = offer.media.get(chosen).ok_or(Unusable::NoAudio)?;
    let (number, codec) = media
        .payloads
        .iter()
        .find_map(|p| AudioCodec::of(p).filter(|c| can.codecs.contains(c)).map(|c| (p.number, c)))
        .ok_or(Unusable::Codec)?;
    let event = telephone_event(media).filter(|_| can.telephone_event);
    let (remote, remote_rtcp) = unicast(offer, media)?;
    let deaf = remote.ip().is_unspecified();
    let theirs = media.direction;
    let direction =
        Direction::of(can.direction.sends() && theirs.receives() && !deaf, can.direction.receives() && theirs.sends());
    let mut payloads = vec![payload(codec, number)];
    payloads.extend(event.map(event_payload));
    let mut lines: Vec<Media> = offer.media.iter().map(refused).collect();
    if let Some(line) = lines.get_mut(chosen) {
        *line = ours(can, payloads, direction);
    }
    Ok(Negotiated {
        codec,
        payload_type: number,
        telephone_event: event,
        remote,
        remote_rtcp,
        direction,
        held: deaf || !theirs.receives(),
        local: session(can, lines),
    })
}

/// Takes the answer to our offer. Of several codecs in it, the first counts.
pub fn accept(offer: &Session, answer: &Session) -> Result<Negotiated, Unusable> {
    let at = offer.media.iter().position(|m| m.kind == "audio" && m.port != 0).ok_or(Unusable::Mismatch)?;
    let (mine, theirs) = (offer.media.get(at).ok_or(Unusable::Mismatch)?, answer.media.get(at));
    let theirs = theirs.filter(|m| m.kind == "audio").ok_or(Unusable::Mismatch)?;
    if theirs.port == 0 {
        return Err(Unusable::NoAudio);
    }
    if offer.webrtc().or(answer.webrtc()).is_some() {
        return Err(Unusable::Protocol);
    }
    if theirs.protocol != mine.protocol {
        return Err(Unusable::Protocol);
    }
    let offered = |c: AudioCodec| mine.payloads.iter().any(|p| AudioCodec::of(p) == Some(c));
    let (number, codec) = theirs
        .payloads
        .iter()
        .find_map(|p| AudioCodec::of(p).filter(|c| offered(*c)).map(|c| (p.number, c)))
        .ok_or(Unusable::Codec)?;
    let event = telephone_event(theirs).filter(|_| telephone_event(mine).is_some());
    let (remote, remote_rtcp) = unicast(answer, theirs)?;
    let deaf = remote.ip().is_unspecified();
    let direction = Direction::of(
        mine.direction.sends() && theirs.direction.receives() && !deaf,
        mine.direction.receives() && theirs.direction.sends(),
    );
    Ok(Negotiated {
        codec,
        payload_type: number,
        telephone_event: event,
        remote,
        remote_rtcp,
        direction,
        held: deaf || !theirs.direction.receives(),
        local: offer.clone(),
    })
}

/// Where RTP and RTCP go, if each is one host (or nobody: the old form of hold).
fn unicast(session: &Session, media: &Media) -> Result<(SocketAddr, SocketAddr), Unusable> {
    let both = (session.rtp(media), session.rtcp(media));
    if is_unicast(both.0.ip()) && is_unicast(both.1.ip()) { Ok(both) } else { Err(Unusable::Address) }
}

/// The offered audio line to take: the first live one of our profile.
fn chosen(offer: &Session) -> Result<usize, Unusable> {
    let live = |m: &Media| m.kind == "audio" && m.port != 0;
    if !offer.media.iter().any(live) {
        return Err(Unusable::NoAudio);
    }
    offer.media.iter().position(|m| live(m) && m.protocol == "RTP/AVP").ok_or(Unusable::Protocol)
}

fn refused(media: &Media) -> Media {
    let mut refused = media.clone();
    refused.port = 0;
    refused.connection = None;
    refused.rtcp = None;
    refused.ptime = None;
    for payload in &mut refused.payloads {
        payload.rate = 0;
        payload.fmtp = None;
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn can() -> Capabilities {
        Capabilities {
            rtp: "192.0.2.1:4000".parse().unwrap(),
            rtcp: None,
            codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
            telephone_event: true,
            direction: Direction::SendRecv,
            session_id: 1,
            version: 1,
        }
    }

    fn parse(media: &str) -> Session {
        let text = format!("v=0\r\no=- 1 1 IN IP4 h.example\r\ns=x\r\nc=IN IP4 198.51.100.9\r\nt=0 0\r\n{media}");
        Session::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_offerers_preference_and_numbers_are_kept() {
        let offer = parse(
            "m=audio 49170 RTP/AVP 18 98 0 96\r\na=rtpmap:98 pcma/8000\r\na=rtpmap:96 telephone-event/8000\r\n\
             a=fmtp:96 0-16\r\na=rtcp:49999 IN IP4 198.51.100.10\r\n",
        );
        let got = answer(&offer, &can()).unwrap();
        assert_eq!((got.codec, got.payload_type, got.telephone_event), (AudioCodec::Pcma, 98, Some(96)));
        assert_eq!(got.remote, "198.51.100.9:49170".parse().unwrap());
        assert_eq!(got.remote_rtcp, "198.51.100.10:49999".parse().unwrap());
        assert!(got.local.to_string().contains("m=audio 4000 RTP/AVP 98 96\r\n"), "{}", got.local);
    }

    #[test]
    fn other_media_are_refused_in_their_places() {
        let offer = parse(
            "m=video 5000 RTP/AVP 31\r\nm=audio 49170 RTP/AVP 0\r\nm=image 6000 udptl t38\r\nm=audio 7000 RTP/AVP 8\r\n",
        );
        let local = answer(&offer, &can()).unwrap().local;
        let lines: Vec<_> = local.media.iter().map(|m| (m.kind.as_str(), m.port)).collect();
        assert_eq!(lines, [("video", 0), ("audio", 4000), ("image", 0), ("audio", 0)]);
        assert!(local.to_string().contains("m=image 0 udptl t38\r\n"));
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        assert_eq!(answer(&parse("m=audio 0 RTP/AVP 0\r\n"), &can()), Err(Unusable::NoAudio));
        assert_eq!(answer(&parse("m=audio 4 RTP/SAVP 0\r\n"), &can()), Err(Unusable::Protocol));
        assert_eq!(answer(&parse("m=audio 4 RTP/AVP 18\r\n"), &can()), Err(Unusable::Codec));
    }

    #[test]
    fn hold_in_each_of_its_forms_is_seen_and_answered() {
        for (media, direction) in [
            ("m=audio 4 RTP/AVP 0\r\na=sendonly\r\n", Direction::RecvOnly),
            ("m=audio 4 RTP/AVP 0\r\na=inactive\r\n", Direction::Inactive),
            ("m=audio 4 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", Direction::RecvOnly),
        ] {
            let offer = parse(media);
            let got = answer(&offer, &can()).unwrap();
            assert!(offer.is_hold() && got.held, "{media}");
            assert_eq!(got.direction, direction, "{media}");
        }
        assert!(!answer(&parse("m=audio 4 RTP/AVP 0\r\n"), &can()).unwrap().held);
    }

    #[test]
    fn our_offer_takes_its_answer() {
        let mine = offer(&can());
        let theirs = parse("m=audio 9000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=recvonly\r\n");
        let got = accept(&mine, &theirs).unwrap();
        assert_eq!((got.codec, got.telephone_event, got.direction), (AudioCodec::Pcma, Some(101), Direction::SendOnly));
        assert_eq!(accept(&mine, &parse("m=audio 0 RTP/AVP 0\r\n")), Err(Unusable::NoAudio));
        assert_eq!(accept(&mine, &parse("m=video 9 RTP/AVP 0\r\n")), Err(Unusable::Mismatch));
    }

    #[test]
    fn media_for_a_group_or_a_network_is_refused_in_offers_and_answers() {
        for media in [
            "m=audio 4 RTP/AVP 0\r\nc=IN IP4 239.1.1.1/127\r\n",
            "m=audio 4 RTP/AVP 0\r\nc=IN IP4 255.255.255.255\r\n",
            "m=audio 4 RTP/AVP 0\r\nc=IN IP6 ff02::1\r\n",
            "m=audio 4 RTP/AVP 0\r\nc=IN IP6 ::ffff:224.0.0.1\r\n",
            "m=audio 4 RTP/AVP 0\r\na=rtcp:5 IN IP4 239.1.1.1\r\n",
            "m=audio 4 RTP/AVP 0\r\nc=IN IP4 239.1.1.1\r\na=inactive\r\n",
        ] {
            assert_eq!(answer(&parse(media), &can()), Err(Unusable::Address), "{media}");
            assert_eq!(accept(&offer(&can()), &parse(media)), Err(Unusable::Address), "{media}");
        }
        let nobody = parse("m=audio 4 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n");
        assert!(accept(&offer(&can()), &nobody).unwrap().held);
    }

    #[test]
    fn ipv6_and_session_level_attributes_work() {
        let text = "v=0\no=- 1 1 IN IP6 ::1\ns=-\nc=IN IP6 2001:db8::5\nt=0 0\na=sendonly\nm=audio 9 RTP/AVP 0\n";
        let session = Session::parse(text.as_bytes()).unwrap();
        assert_eq!(session.rtp(session.audio().unwrap()), "[2001:db8::5]:9".parse().unwrap());
        assert!(session.is_hold());
    }

    #[test]
    fn a_webrtc_description_is_kept_byte_for_byte_and_never_taken_for_plain_rtp() {
        let text = "v=0\r\no=- 46117 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=fingerprint:sha-256 AB:CD\r\n\
                    m=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:111 opus/48000/2\r\na=mid:0\r\na=sendrecv\r\n";
        let session = Session::parse(text.as_bytes()).unwrap();
        assert_eq!((session.webrtc(), session.to_string().as_str()), (Some(text), text));
        assert_eq!(Session::webrtc_of(text).as_ref(), Ok(&session));
        // Its address is nobody's before ICE: that is no hold.
        assert!(!session.is_hold());
        assert!(Session::parse(text.replace("sendrecv", "sendonly").as_bytes()).unwrap().is_hold());
        assert_eq!(answer(&session, &can()), Err(Unusable::Protocol));
        assert_eq!(accept(&session, &session), Err(Unusable::Protocol));
        for plain in [text.replace("fingerprint", "x-other"), text.replace("SAVPF", "AVP")] {
            assert_eq!(Session::parse(plain.as_bytes()).unwrap().webrtc(), None, "{plain}");
            assert_eq!(Session::webrtc_of(&plain), Err(crate::sdp::Fault::NotWebRtc));
        }
    }

    #[test]
    fn limits_hold() {
        use crate::sdp::Fault;
        assert_eq!(Session::parse(&vec![b'a'; 70_000]), Err(Fault::TooLarge));
        let long = format!("v=0\r\n{}", "a=x\r\n".repeat(600));
        assert_eq!(Session::parse(long.as_bytes()), Err(Fault::TooManyLines));
        assert_eq!(Session::parse(b""), Err(Fault::Version));
        assert_eq!(
            Session::parse(b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\nm=audio 4 RTP/AVP 0\r\n"),
            Err(Fault::NoConnection)
        );
    }

    fn media() -> impl Strategy<Value = Media> {
        let payload = (0u8..128, "[A-Za-z0-9-]{1,12}", 1u32..96_000, 1u8..3, proptest::option::of("[a-z0-9=;-]{1,20}"));
        (
            "audio|video",
            1u16..,
            proptest::option::of(any::<[u8; 4]>()),
            proptest::option::of((any::<u16>(), proptest::option::of(any::<[u8; 16]>()))),
            proptest::collection::btree_map(0u8..128, payload, 1..6),
            any::<(bool, bool)>(),
            proptest::option::of(any::<u8>()),
        )
            .prop_map(|(kind, port, connection, rtcp, payloads, (s, r), ptime)| Media {
                kind,
                port,
                connection: connection.map(IpAddr::from),
                rtcp: rtcp.map(|(port, ip)| Rtcp { port, address: ip.map(IpAddr::from) }),
                protocol: "RTP/AVP".into(),
                formats: payloads.keys().map(u8::to_string).collect(),
                payloads: payloads
                    .into_iter()
                    .map(|(number, (_, name, rate, channels, fmtp))| Payload { number, name, rate, channels, fmtp })
                    .collect(),
                direction: Direction::of(s, r),
                ptime,
            })
    }

    proptest! {
        #[test]
        fn a_description_survives_printing_and_parsing(media in proptest::collection::vec(media(), 0..4), id in any::<u64>()) {
            let session = Session { media, ..session(&Capabilities { session_id: id, ..can() }, vec![]) };
            prop_assert_eq!(Session::parse(session.to_string().as_bytes()), Ok(session));
        }

        #[test]
        fn arbitrary_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..300), text in "(v=0\n)?([a-z]=[ -~]{0,30}\n){0,12}") {
            let _ = Session::parse(&data);
            if let Ok(session) = Session::parse(text.as_bytes()) {
                let _ = answer(&session, &can());
            }
        }
    }
}
