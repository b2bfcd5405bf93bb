//! Session descriptions of one audio stream over RTP/AVP (RFC 8866, RFC 3264).

use std::net::{IpAddr, SocketAddr};

use crate::codec::Codec;
use crate::media::Remote;

/// Direction of media, seen from the side whose description it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// That side only sends: usual for "on hold".
    SendOnly,
    /// That side only receives.
    RecvOnly,
    /// Nothing flows.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// The attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// Does that side send?
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Does that side receive?
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The direction to answer an offer with, if we want `self`.
    pub const fn answer_to(self, offer: Self) -> Self {
        Self::of(self.sends() && offer.receives(), self.receives() && offer.sends())
    }
}

/// What a description says about its audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Where it receives RTP (port 0: refused).
    pub address: SocketAddr,
    /// Where it receives RTCP, if not the next port.
    pub rtcp: Option<SocketAddr>,
    /// Codecs with their payload types in order of preference.
    pub codecs: Vec<(u8, Codec)>,
    /// Payload type of telephone events at 8 kHz.
    pub events: Option<u8>,
    /// Direction.
    pub direction: Direction,
    /// Origin identifier and version; the version grows by one per change.
    pub origin: (u64, u64),
}

/// Why a description is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Not a description of audio.
    #[error("no usable RTP/AVP audio line in the session description")]
    NoAudio,
    /// No address.
    #[error("no IP address (c= line) for the audio stream")]
    NoAddress,
    /// No codec in common.
    #[error("no codec in common; this phone speaks {0}")]
    NoCodec(String),
}

impl Session {
    /// Our description.
    pub fn to_text(&self) -> String {
        let ip = self.address.ip();
        let family = if ip.is_ipv4() { "IP4" } else { "IP6" };
        let mut types: Vec<String> = self.codecs.iter().map(|(t, _)| t.to_string()).collect();
        types.extend(self.events.map(|t| t.to_string()));
        let mut text = format!(
            "v=0\r\no=phone {} {} IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\nm=audio {} RTP/AVP {}\r\n",
            self.origin.0,
            self.origin.1,
            self.address.port(),
            types.join(" ")
        );
        for (t, codec) in &self.codecs {
            text.push_str(&format!("a=rtpmap:{t} {}/8000\r\n", codec.name()));
        }
        if let Some(t) = self.events {
            text.push_str(&format!("a=rtpmap:{t} telephone-event/8000\r\na=fmtp:{t} 0-15\r\n"));
        }
        text.push_str(&format!("a=ptime:20\r\na={}\r\n", self.direction.name()));
        text
    }

    /// Reads a description; unknown codecs are left out.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let ip_of =
            |value: &str| value.split_whitespace().nth(2).and_then(|a| a.split('/').next()?.parse::<IpAddr>().ok());
        let (mut session_ip, mut media_ip, mut in_audio, mut seen_media) = (None, None, false, false);
        let (mut port, mut types, mut maps, mut rtcp) = (None, Vec::new(), Vec::<(u8, String)>::new(), None);
        let (mut session_direction, mut direction, mut origin) = (None, None, (0, 0));
        for line in text.lines().map(str::trim_end) {
            let Some((kind, value)) = line.split_once('=') else { continue };
            let current = if seen_media { &mut direction } else { &mut session_direction };
            match kind {
                "o" => {
                    let mut words = value.split_whitespace().skip(1).map(|w| w.parse().unwrap_or(0));
                    origin = (words.next().unwrap_or(0), words.next().unwrap_or(0));
                }
                "m" => {
                    let words: Vec<_> = value.split_whitespace().collect();
                    in_audio = !seen_media
                        && words.first() == Some(&"audio")
                        && words.get(2).is_some_and(|p| p.starts_with("RTP/AVP"));
                    // Only the first audio line counts; the phone refuses nothing else because it offers nothing else.
                    if in_audio {
                        seen_media = true;
                        port = words.get(1).and_then(|p| p.split('/').next()?.parse::<u16>().ok());
                        types = words.iter().skip(3).filter_map(|t| t.parse::<u8>().ok()).collect();
                    }
                }
                "c" if in_audio => media_ip = ip_of(value),
                "c" if !seen_media => session_ip = ip_of(value),
                "a" if in_audio || !seen_media => {
                    if let Some(d) = Direction::ALL.into_iter().find(|d| d.name() == value) {
                        *current = Some(d);
                    } else if let Some((t, name)) = value.strip_prefix("rtpmap:").and_then(|m| m.split_once(' ')) {
                        maps.extend(t.parse().ok().map(|t: u8| (t, name.trim().to_ascii_lowercase())));
                    } else if let Some(r) = value.strip_prefix("rtcp:") {
                        let port = r.split_whitespace().next().and_then(|p| p.parse::<u16>().ok());
                        let ip = r.split_whitespace().nth(3).and_then(|a| a.parse::<IpAddr>().ok());
                        rtcp = port.map(|p| (ip, p));
                    }
                }
                _ => {}
            }
        }
        let port = port.ok_or(SdpError::NoAudio)?;
        let ip = media_ip.or(session_ip).ok_or(SdpError::NoAddress)?;
        let named = |t: u8| maps.iter().find(|(m, _)| *m == t).map(|(_, n)| n.as_str());
        let codec = |t: u8| match named(t) {
            Some(name) => name
                .split_once("/8000")
                .filter(|(_, rest)| rest.is_empty() || *rest == "/1")
                .and_then(|(n, _)| Codec::by_name(n)),
            None => [Codec::Pcmu, Codec::Pcma].into_iter().find(|c| c.static_payload_type() == Some(t)),
        };
        Ok(Self {
            address: SocketAddr::new(ip, port),
            rtcp: rtcp.map(|(rtcp_ip, p)| SocketAddr::new(rtcp_ip.unwrap_or(ip), p)),
            codecs: types.iter().filter_map(|&t| Some((t, codec(t)?))).collect(),
            events: types.iter().copied().find(|&t| named(t) == Some("telephone-event/8000")),
            direction: direction.or(session_direction).unwrap_or_default(),
            origin,
        })
    }

    /// Our answer to this offer: the first codec of `ours` that it has, with its payload type; telephone events if it has them and we want them.
    pub fn answer(
        &self,
        ours: &[Codec],
        events: bool,
        address: SocketAddr,
        wanted: Direction,
        origin: (u64, u64),
    ) -> Result<Self, SdpError> {
        let chosen = ours
            .iter()
            .find_map(|c| self.codecs.iter().find(|(_, o)| o == c))
            .copied()
            .ok_or_else(|| no_codec(ours))?;
        Ok(Self {
            address,
            rtcp: None,
            codecs: vec![chosen],
            events: self.events.filter(|_| events),
            direction: wanted.answer_to(self.direction),
            origin,
        })
    }
}

fn no_codec(ours: &[Codec]) -> SdpError {
    SdpError::NoCodec(ours.iter().map(|c| c.name()).collect::<Vec<_>>().join(", "))
}

/// What our line does once both descriptions are known, whoever offered.
pub fn negotiated(local: &Session, remote: &Session) -> Result<Remote, SdpError> {
    let both = |c: Codec| local.codecs.iter().any(|(_, l)| *l == c);
    let ours: Vec<_> = local.codecs.iter().map(|(_, c)| *c).collect();
    let &(payload_type, codec) = remote.codecs.iter().find(|(_, c)| both(*c)).ok_or_else(|| no_codec(&ours))?;
    let port = remote.address.port();
    let usable = port != 0 && !remote.address.ip().is_unspecified();
    let next = port.checked_add(1).map(|p| SocketAddr::new(remote.address.ip(), p));
    Ok(Remote {
        address: usable.then_some(remote.address),
        rtcp: usable.then(|| remote.rtcp.or(next)).flatten(),
        codec,
        payload_type,
        accepted: local.codecs.clone(),
        events: remote.events.filter(|_| local.events.is_some()),
        events_accepted: local.events,
        sending: local.direction.sends() && remote.direction.receives(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Session {
        Session {
            address: "127.0.0.1:4000".parse().unwrap(),
            rtcp: None,
            codecs: vec![(0, Codec::Pcmu), (8, Codec::Pcma), (97, Codec::L16)],
            events: Some(101),
            direction: Direction::SendRecv,
            origin: (5, 6),
        }
    }

    #[test]
    fn our_own_description_reads_back() {
        assert_eq!(Session::parse(&ours().to_text()).unwrap(), ours());
    }

    #[test]
    fn a_foreign_answer_is_understood() {
        let text = "v=0\no=- 1 2 IN IP4 9.9.9.9\ns=x\nc=IN IP4 10.0.0.1\nt=0 0\na=sendonly\nm=audio 5000 RTP/AVP 111 8 96\nc=IN IP4 10.0.0.2/127\na=rtpmap:111 opus/48000/2\na=rtpmap:96 telephone-event/8000\na=rtcp:6001\nm=video 7 RTP/AVP 31\na=inactive\n";
        let s = Session::parse(text).unwrap();
        assert_eq!(s.address, "10.0.0.2:5000".parse().unwrap());
        assert_eq!(s.rtcp, Some("10.0.0.2:6001".parse().unwrap()));
        assert_eq!((s.codecs.clone(), s.events, s.direction), (vec![(8, Codec::Pcma)], Some(96), Direction::SendOnly));
        let r = negotiated(&ours(), &s).unwrap();
        assert_eq!((r.codec, r.payload_type, r.events, r.sending), (Codec::Pcma, 8, Some(96), false));
        let a = s.answer(&[Codec::Pcmu, Codec::Pcma], true, ours().address, Direction::SendRecv, (1, 1)).unwrap();
        assert_eq!((a.codecs, a.direction), (vec![(8, Codec::Pcma)], Direction::RecvOnly));
        assert!(matches!(
            s.answer(&[Codec::Pcmu], true, ours().address, Direction::SendRecv, (1, 1)),
            Err(SdpError::NoCodec(_))
        ));
    }

    #[test]
    fn hold_by_the_zero_address_and_a_refused_stream_stop_sending() {
        let zero = ours().to_text().replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0");
        assert_eq!(negotiated(&ours(), &Session::parse(&zero).unwrap()).unwrap().address, None);
        let refused = ours().to_text().replace("m=audio 4000", "m=audio 0");
        assert_eq!(negotiated(&ours(), &Session::parse(&refused).unwrap()).unwrap().address, None);
        assert_eq!(Session::parse("hello"), Err(SdpError::NoAudio));
    }
}
