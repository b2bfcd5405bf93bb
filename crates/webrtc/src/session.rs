//! What both sides have said of a leg: the state of its offers and answers (RFC 3264, RFC 8829), without any network.

use std::net::SocketAddr;

use audio::Format;
use media::OpusTerms;

use crate::agent::{Agent, Credentials, Payloads, Remote};
use crate::error::{SdpError, WebRtcError};
use crate::format::{Agreed, Direction, offered_payload_type};
use crate::port::Gate;
use crate::random;
use crate::sdp::{Audio, Description, Line, Ours, Setup, write};

/// Payload types of the telephone events that we offer, by clock rate.
const TELEPHONE_EVENTS: [(u8, u32); 2] = [(110, 48_000), (101, 8_000)];

/// The session of a leg.
#[derive(Debug)]
pub(crate) struct Session {
    id: u64,
    version: u64,
    lines: Vec<Line>,
    bundled: bool,
    lite: bool,
    name: String,
    credentials: Credentials,
    fingerprint: String,
    ssrc: u32,
    candidates: Vec<String>,
    address: SocketAddr,
    max_average_bitrate: u32,
    /// What they permit: we are always ready for both.
    direction: Direction,
    setup: Setup,
    /// What we offered; afterwards what was agreed.
    payloads: Payloads,
    remote: Option<Remote>,
    agreed: Option<Agreed>,
    /// An offer of ours awaits its answer.
    open: bool,
}

/// What the other side said, ready for the leg's thread.
pub(crate) struct Step {
    pub remote: Remote,
    /// Whether ICE starts again, and as whom we go on.
    pub restart: Option<Credentials>,
    pub candidates: Vec<str0m::Candidate>,
    pub agreed: Agreed,
    next: Box<Session>,
}

/// The payload types of formats that we offer.
pub(crate) fn offered(formats: &[Format]) -> Payloads {
    let events =
        TELEPHONE_EVENTS.iter().filter(|(_, clock)| formats.iter().any(|format| format.clock_rate() == *clock));
    Payloads {
        formats: formats.iter().map(|format| (*format, offered_payload_type(*format))).collect(),
        telephone_events: events.copied().collect(),
    }
}

impl Agreed {
    pub(crate) fn gate(&self) -> Gate {
        Gate {
            payload_type: self.payload_type,
            telephone_event: self.telephone_event,
            send: self.send,
            receive: self.receive,
        }
    }

    pub(crate) fn payloads(&self) -> Payloads {
        Payloads {
            formats: vec![(self.format, self.payload_type)],
            telephone_events: self.telephone_event.map(|event| (event, self.format.clock_rate())).into_iter().collect(),
        }
    }
}

/// Agrees on a format with its payload type.
fn agree(audio: &Audio, format: Format, payload_type: u8) -> Agreed {
    let direction = audio.direction.seen_from_there();
    let opus = if format == Format::Opus { audio.opus_terms(payload_type) } else { OpusTerms::default() };
    Agreed {
        format,
        payload_type,
        telephone_event: audio.telephone_event(format.clock_rate()),
        opus,
        send: direction.sends(),
        receive: direction.receives(),
    }
}

fn no_format(ours: &[Format], audio: &Audio) -> SdpError {
    let ours: Vec<&str> = ours.iter().map(|format| format.name()).collect();
    SdpError::NoFormat { ours: ours.join(", "), theirs: audio.names() }
}

/// What an offer to us leads to: its audio, and the best of our formats.
pub(crate) fn answerable(offer: &Description, formats: &[Format], lite: bool) -> Result<(Audio, Agreed), SdpError> {
    if lite && offer.lite() {
        return Err(SdpError::BothLite);
    }
    let audio = offer.audio(None)?;
    let best = formats.iter().find_map(|format| Some((*format, audio.payload_type(*format)?)));
    let (format, payload_type) = best.ok_or_else(|| no_format(formats, &audio))?;
    let agreed = agree(&audio, format, payload_type);
    Ok((audio, agreed))
}

fn rejected(kind: &str, protocol: &str, format: &str, mid: &str) -> Line {
    Line::Rejected { kind: kind.into(), protocol: protocol.into(), format: format.into(), mid: mid.into() }
}

/// The media lines of an offer as we answer them.
fn lines(offer: &Description, audio: usize) -> Vec<Line> {
    let line = |index: usize| {
        let (kind, protocol, format, mid) = offer.line(index)?;
        Some(if index == audio {
            Line::Audio { mid: mid.into(), protocol: protocol.into() }
        } else {
            rejected(kind, protocol, format, mid)
        })
    };
    (0..offer.len()).filter_map(line).collect()
}

/// Their candidates that may be checked.
pub(crate) fn checkable(lines: &[String], local: SocketAddr) -> Vec<str0m::Candidate> {
    lines.iter().filter_map(|line| candidate(line, local)).collect()
}

/// A candidate of theirs, if it is one that makes sense to check: UDP, with an address (mDNS names are not looked up: such a
/// browser finds us, and is found by its checks).
pub(crate) fn candidate(line: &str, local: SocketAddr) -> Option<str0m::Candidate> {
    let line = line.trim();
    let line = line.strip_prefix("a=").unwrap_or(line);
    let parsed = str0m::Candidate::from_sdp_string(line).ok()?;
    let address = parsed.addr();
    let ip = address.ip();
    let senseless = ip.is_unspecified() || ip.is_multicast() || address.port() == 0;
    let foreign_loopback = ip.is_loopback() && !local.ip().is_loopback();
    let udp = parsed.proto() == str0m::net::Protocol::Udp;
    (udp && !senseless && !foreign_loopback).then_some(parsed)
}

/// What a new session is made of.
pub(crate) struct Founding<'a> {
    pub agent: &'a Agent,
    pub address: SocketAddr,
    pub lite: bool,
    pub max_average_bitrate: u32,
}

impl Session {
    fn new(founding: &Founding<'_>, lines: Vec<Line>, bundled: bool, payloads: Payloads) -> Self {
        let agent = founding.agent;
        Self {
            id: random::session_id(),
            version: 1,
            lines,
            bundled,
            lite: founding.lite,
            name: random::ice_characters(16).replace(['+', '/'], "0"),
            credentials: agent.credentials.clone(),
            fingerprint: agent.fingerprint.clone(),
            ssrc: agent.ssrc,
            candidates: agent.candidates.clone(),
            address: founding.address,
            max_average_bitrate: founding.max_average_bitrate,
            direction: Direction::SendRecv,
            setup: Setup::Actpass,
            payloads,
            remote: None,
            agreed: None,
            open: false,
        }
    }

    /// The session of a leg that answers; what was agreed is settled.
    pub(crate) fn answering(
        founding: &Founding<'_>,
        offer: &Description,
        audio: &Audio,
        remote: Remote,
        agreed: Agreed,
    ) -> Self {
        let mut session = Self::new(founding, lines(offer, audio.index), offer.bundled(), agreed.payloads());
        session.setup = our_setup(audio.setup);
        session.direction = Direction::new(agreed.send, agreed.receive);
        session.remote = Some(remote);
        session.agreed = Some(agreed);
        session
    }

    /// The session of a leg that offers.
    pub(crate) fn offering(founding: &Founding<'_>, payloads: Payloads) -> Self {
        let line = Line::Audio { mid: "0".to_owned(), protocol: "UDP/TLS/RTP/SAVPF".to_owned() };
        let mut session = Self::new(founding, vec![line], true, payloads);
        session.open = true;
        session
    }

    /// Our description as it stands.
    pub(crate) fn text(&self) -> String {
        write(&Ours {
            session: self.id,
            version: self.version,
            lines: &self.lines,
            bundled: self.bundled,
            direction: if self.open { Direction::SendRecv } else { self.direction },
            ufrag: &self.credentials.ufrag,
            password: &self.credentials.password,
            fingerprint: &self.fingerprint,
            setup: if self.open { Setup::Actpass } else { self.setup },
            lite: self.lite,
            candidates: &self.candidates,
            address: self.address,
            formats: &self.payloads.formats,
            telephone_events: &self.payloads.telephone_events,
            ssrc: self.ssrc,
            name: &self.name,
            max_average_bitrate: self.max_average_bitrate,
        })
    }

    /// Whether nothing was ever agreed.
    pub(crate) fn is_new(&self) -> bool {
        self.agreed.is_none()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn audio_index(&self) -> usize {
        self.lines.iter().position(|line| matches!(line, Line::Audio { .. })).unwrap_or(0)
    }

    /// Opens an offer of ours within the session.
    pub(crate) fn open(&mut self) -> Result<(), WebRtcError> {
        if self.is_new() {
            return Err(WebRtcError::OfferOpen);
        }
        self.version += 1;
        self.open = true;
        Ok(())
    }

    /// Reads the answer to our open offer.
    pub(crate) fn read_answer(&self, text: &str) -> Result<Step, WebRtcError> {
        if !self.open {
            return Err(WebRtcError::NoOffer);
        }
        let answer = Description::read(text)?;
        if self.lite && answer.lite() {
            return Err(SdpError::BothLite.into());
        }
        if answer.len() != self.lines.len() {
            return Err(SdpError::Mismatch("an answer has as many media lines as its offer").into());
        }
        let audio = answer.audio(Some(self.audio_index()))?;
        let common = |(format, payload): &(Format, u8)| audio.payload_type(*format) == Some(*payload);
        let formats: Vec<Format> = self.payloads.formats.iter().map(|(format, _)| *format).collect();
        let (format, payload_type) =
            self.payloads.formats.iter().copied().find(common).ok_or_else(|| no_format(&formats, &audio))?;
        let agreed = agree(&audio, format, payload_type);
        if self.restarts(&audio)? {
            return Err(SdpError::Mismatch("an answer cannot restart ICE by itself").into());
        }
        Ok(self.step(&answer, &audio, agreed, None))
    }

    /// Reads an offer within the session.
    pub(crate) fn read_offer(&self, text: &str) -> Result<Step, WebRtcError> {
        let Some(before) = self.agreed else { return Err(WebRtcError::OfferOpen) };
        let offer = Description::read(text)?;
        if self.lite && offer.lite() {
            return Err(SdpError::BothLite.into());
        }
        if offer.len() < self.lines.len() {
            return Err(SdpError::Mismatch("a later offer keeps all earlier media lines").into());
        }
        let index = self.audio_index();
        let audio = offer.audio(Some(index))?;
        if audio.payload_type(before.format) != Some(before.payload_type) {
            return Err(SdpError::Mismatch("the audio format in use was dropped or renumbered").into());
        }
        let mut agreed = agree(&audio, before.format, before.payload_type);
        // Telephone events keep their number for life: the transport knows no other.
        agreed.telephone_event = before.telephone_event.filter(|number| agreed.telephone_event == Some(*number));
        let restart = self.restarts(&audio)?.then(Credentials::new);
        let mut step = self.step(&offer, &audio, agreed, restart);
        step.next.lines = lines(&offer, index);
        step.next.version += 1;
        Ok(step)
    }

    /// Whether their credentials are others than before. The certificate must be the same.
    fn restarts(&self, audio: &Audio) -> Result<bool, SdpError> {
        let Some(before) = &self.remote else { return Ok(false) };
        if before.fingerprint != audio.fingerprint {
            return Err(SdpError::FingerprintChanged);
        }
        Ok(before.ufrag != audio.ufrag || before.password != audio.password)
    }

    fn step(&self, theirs: &Description, audio: &Audio, agreed: Agreed, restart: Option<Credentials>) -> Step {
        let remote = Remote::new(audio, theirs.lite(), agreed.payloads());
        let next = Session {
            lines: self.lines.clone(),
            name: self.name.clone(),
            credentials: restart.clone().unwrap_or_else(|| self.credentials.clone()),
            fingerprint: self.fingerprint.clone(),
            candidates: self.candidates.clone(),
            direction: Direction::new(agreed.send, agreed.receive),
            setup: if self.remote.is_some() { self.setup } else { our_setup(audio.setup) },
            payloads: agreed.payloads(),
            remote: Some(remote.clone()),
            agreed: Some(agreed),
            open: false,
            ..*self
        };
        let candidates = checkable(&audio.candidates, self.address);
        Step { remote, restart, candidates, agreed, next: Box::new(next) }
    }

    /// The thread carried the step out.
    pub(crate) fn commit(&mut self, step: Step) -> Agreed {
        *self = *step.next;
        step.agreed
    }
}

/// Our part in DTLS: the server's where there is a choice, so that nothing is sent before their first flight.
fn our_setup(theirs: Setup) -> Setup {
    if theirs == Setup::Passive { Setup::Active } else { Setup::Passive }
}
