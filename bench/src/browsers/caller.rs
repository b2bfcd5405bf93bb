//! A browser's end of a call: ICE, DTLS and SRTP by str0m over a socket of its own.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::failure::{Failure, Result, Tried};
use crate::generator::PHONES;
use crate::histogram::Histogram;
use crate::os::{self, Inbox};

const PAYLOAD_TYPE: u8 = 111;
/// Receive buffer asked for.
const BUFFER: i32 = 256 << 10;
/// Samples of a tick, and ns of a sample's timestamp.
const TICK: u32 = 960;

/// A stretch of the real-time clock, ns, in which arrivals are counted.
pub struct Window {
    pub from: i64,
    pub to: i64,
}

/// One leg's caller.
pub struct Caller {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    server: Option<SocketAddr>,
    mid: Option<Mid>,
    pending: Option<SdpPendingOffer>,
    /// ICE and DTLS are done.
    pub connected: bool,
    /// It has ended.
    pub closed: bool,
    sequence: u64,
    paused: bool,
    origin: Option<u32>,
    earliest: i64,
    first: Option<u16>,
    last: u16,
    /// Packets of sound that came in the window.
    pub received: u64,
    /// What its socket has dropped so far.
    pub dropped: u32,
}

fn confused(what: impl std::fmt::Display) -> Failure {
    Failure::Generator(format!("a caller: {what}"))
}

impl Caller {
    /// A caller and his offer.
    ///
    /// # Errors
    /// No port.
    pub fn new() -> Result<(Self, String)> {
        let mut config = RtcConfig::new().set_rtp_mode(true).clear_codecs();
        let format = FormatParams { use_inband_fec: Some(true), min_p_time: Some(10), ..FormatParams::default() };
        let clock = Frequency::FORTY_EIGHT_KHZ;
        config.codec_config().add_config(PAYLOAD_TYPE.into(), None, Codec::Opus, clock, Some(2), format);
        let mut rtc = config.build(Instant::now());
        let socket = UdpSocket::bind(SocketAddrV4::new(PHONES, 0)).tried("binding a caller's port")?;
        socket.set_nonblocking(true).tried("a caller's socket")?;
        os::stamp_arrivals(&socket, BUFFER).tried("a caller's socket")?;
        let local = socket.local_addr().tried("a caller's address")?;
        rtc.add_local_candidate(Candidate::host(local, "udp").map_err(confused)?);
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().ok_or_else(|| confused("has nothing to offer"))?;
        let caller = Self {
            rtc,
            socket,
            local,
            server: None,
            mid: Some(mid),
            pending: Some(pending),
            connected: false,
            closed: false,
            sequence: 1,
            paused: true,
            origin: None,
            earliest: i64::MAX,
            first: None,
            last: 0,
            received: 0,
            dropped: 0,
        };
        Ok((caller, offer.to_sdp_string()))
    }

    /// Takes the server's answer.
    ///
    /// # Errors
    /// It makes no sense.
    pub fn accept(&mut self, answer: &str) -> Result<()> {
        let server = answer
            .lines()
            .find(|line| line.starts_with("a=candidate:") && line.to_ascii_lowercase().contains(" udp "))
            .and_then(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                Some(SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?))
            })
            .ok_or_else(|| confused("the answer has no UDP candidate"))?;
        self.socket.connect(server).tried("connecting a caller")?;
        self.server = Some(server);
        let answer = SdpAnswer::from_sdp_string(answer).map_err(confused)?;
        let pending = self.pending.take().ok_or_else(|| confused("has no open offer"))?;
        self.rtc.sdp_api().accept_answer(pending, answer).map_err(confused)
    }

    /// Sends what waits to be sent.
    fn flush(&mut self) -> bool {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return at <= Instant::now(),
                Ok(Output::Transmit(transmit)) => {
                    if Some(transmit.destination) == self.server {
                        let _ = self.socket.send(&transmit.contents);
                    }
                }
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::Closed)) | Err(_) => {
                    self.closed = true;
                    return false;
                }
                Ok(Output::Event(_)) => {}
            }
        }
    }

    /// Takes what came and sends what it causes; whether anything came. In a window sound is counted.
    pub fn work(&mut self, inbox: &mut Inbox, counting: Option<(&Window, &mut Histogram)>) -> bool {
        let mut counting = counting;
        let mut any = false;
        let Some(server) = self.server else { return false };
        loop {
            let count = inbox.receive(&self.socket);
            for n in 0..count {
                let Some((bytes, arrived)) = inbox.get(n) else { continue };
                self.dropped = arrived.dropped.unwrap_or(self.dropped);
                if let Some((window, late)) = &mut counting {
                    self.count(bytes, arrived.at, window, late);
                }
                if let Ok(receive) = Receive::new(Protocol::Udp, server, self.local, bytes) {
                    let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
                }
            }
            any |= count > 0;
            if count < os::BATCH {
                break;
            }
        }
        if any || self.flush() {
            let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
            self.flush();
        }
        any
    }

    /// SRTP leaves the header in the clear: its sequence number and timestamp tell what is missing and late.
    fn count(&mut self, bytes: &[u8], at: i64, window: &Window, late: &mut Histogram) {
        let &[128..=191, kind, s0, s1, t0, t1, t2, t3, ..] = bytes else { return };
        if kind & 0x7f != PAYLOAD_TYPE {
            return;
        }
        let stamp = u32::from_be_bytes([t0, t1, t2, t3]);
        let origin = *self.origin.get_or_insert(stamp);
        let since = i64::from(stamp.wrapping_sub(origin).cast_signed());
        let place = at - since * 1_000_000_000 / 48_000;
        self.earliest = self.earliest.min(place);
        if (window.from..window.to).contains(&at) {
            self.received += 1;
            self.last = u16::from_be_bytes([s0, s1]);
            self.first.get_or_insert(self.last);
            late.add(place - self.earliest);
        }
    }

    /// Packets that should have come in the window, by their numbers.
    pub fn expected(&self) -> u64 {
        self.first.map_or(0, |first| u64::from(self.last.wrapping_sub(first)) + 1)
    }

    /// Forgets what was counted.
    pub fn begin(&mut self) {
        (self.origin, self.earliest, self.first, self.received) = (None, i64::MAX, None, 0);
        self.paused = true;
    }

    /// Sends a packet of this tick of his stream, or pauses; whether there was anything to send.
    pub fn say(&mut self, tick: u32, payload: Option<&[u8]>) -> bool {
        let Some(payload) = payload else {
            self.paused = true;
            return false;
        };
        let now = Instant::now();
        let marker = std::mem::replace(&mut self.paused, false);
        if let Some(mid) = self.mid {
            let mut api = self.rtc.direct_api();
            if let Some(stream) = api.stream_tx_by_mid(mid, None) {
                let time = tick.wrapping_mul(TICK);
                stream.write_rtp(
                    RtpWrite::new(PAYLOAD_TYPE.into(), self.sequence.into(), time, now, payload).marker(marker),
                );
                self.sequence += 1;
            }
        }
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.flush();
        true
    }
}
