//! A browser stand-in: a str0m agent over real sockets on loopback, driven by the test's own thread.
#![allow(dead_code, reason = "each suite uses a part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType, Transmit};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use webrtc::{Address, Answered, PeerEvent, WebRtc, WebRtcConfig, Wish};

/// Nothing in these tests takes longer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

pub fn config() -> WebRtcConfig {
    WebRtcConfig { addresses: vec![Address::of([127, 0, 0, 1].into())], ..WebRtcConfig::default() }
}

/// A packet that a client got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    pub payload_type: u8,
    pub marker: bool,
    pub payload: Vec<u8>,
}

pub struct Client {
    pub rtc: Rtc,
    pub sockets: Vec<UdpSocket>,
    pub tcp: Option<TcpStream>,
    /// Its two ends, ours first.
    tcp_ends: Option<(SocketAddr, SocketAddr)>,
    tcp_read: Vec<u8>,
    pub mid: Option<Mid>,
    pub connected: bool,
    pub closed: bool,
    pub got: Vec<Got>,
    pub payload_type: u8,
    sequence: u64,
    /// Drops datagrams both ways, one in so many.
    pub drop_every: Option<u32>,
    /// Sends connectivity checks, and answers to ours.
    pub checks: bool,
    dice: u32,
    /// Everything that arrived, first bytes: STUN, DTLS, SRTP.
    pub dtls_bytes: usize,
    pub candidates: Vec<Candidate>,
}

impl Client {
    pub fn new() -> Self {
        Self::with_codec(Codec::Opus, 111)
    }

    pub fn with_codec(codec: Codec, payload_type: u8) -> Self {
        let mut config = RtcConfig::new().set_rtp_mode(true).clear_codecs();
        let (clock, channels) = match codec {
            Codec::Opus => (Frequency::FORTY_EIGHT_KHZ, Some(2)),
            Codec::G722 => (Frequency::SIXTEEN_KHZ, None),
            _ => (Frequency::EIGHT_KHZ, None),
        };
        let format = FormatParams { use_inband_fec: (codec == Codec::Opus).then_some(true), ..FormatParams::default() };
        config.codec_config().add_config(payload_type.into(), None, codec, clock, channels, format);
        let events = if codec == Codec::Opus { Frequency::FORTY_EIGHT_KHZ } else { Frequency::EIGHT_KHZ };
        config.codec_config().add_config(110.into(), None, Codec::Tele, events, None, FormatParams::default());
        let mut client = Self {
            rtc: config.build(Instant::now()),
            sockets: Vec::new(),
            tcp: None,
            tcp_ends: None,
            tcp_read: Vec::new(),
            mid: None,
            connected: false,
            closed: false,
            got: Vec::new(),
            payload_type,
            sequence: 1,
            drop_every: None,
            checks: true,
            dice: 1,
            dtls_bytes: 0,
            candidates: Vec::new(),
        };
        client.add_socket();
        client
    }

    /// A further network: its own socket and candidate.
    pub fn add_socket(&mut self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("non-blocking");
        let address = socket.local_addr().expect("an address");
        let candidate = Candidate::host(address, "udp").expect("a candidate");
        self.candidates.push(candidate.clone());
        self.rtc.add_local_candidate(candidate);
        self.sockets.push(socket);
        address
    }

    /// Leaves the first network for another.
    pub fn move_away(&mut self) -> SocketAddr {
        let old = self.candidates.remove(0);
        self.sockets.remove(0);
        let address = self.add_socket();
        self.rtc.direct_api().invalidate_candidate(&old);
        address
    }

    /// Has no UDP: only a TCP connection to the server's candidate.
    pub fn use_tcp(&mut self, server: SocketAddr) {
        let old = self.candidates.remove(0);
        self.rtc.direct_api().invalidate_candidate(&old);
        self.sockets.clear();
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nonblocking(true).expect("non-blocking");
        stream.set_nodelay(true).expect("no delay");
        let local = stream.local_addr().expect("an address");
        let candidate = Candidate::builder().tcp().host(local).tcptype(TcpType::Active).build().expect("a candidate");
        self.rtc.add_local_candidate(candidate);
        self.tcp_ends = Some((local, server));
        self.tcp = Some(stream);
    }

    pub fn offer(&mut self) -> (String, SdpPendingOffer) {
        let mut api = self.rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().expect("something to offer");
        self.mid = Some(mid);
        (offer.to_sdp_string(), pending)
    }

    pub fn accept(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap_or_else(|e| panic!("{e}\n{answer}"));
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
    }

    /// Answers an offer.
    pub fn answer(&mut self, offer: &str) -> String {
        let offer = SdpOffer::from_sdp_string(offer).unwrap_or_else(|e| panic!("{e}\n{offer}"));
        let answer = self.rtc.sdp_api().accept_offer(offer).expect("an acceptable offer").to_sdp_string();
        let mid = answer.lines().find_map(|line| line.strip_prefix("a=mid:")).expect("a mid");
        self.mid = Some(Mid::from(mid.trim()));
        answer
    }

    fn dropped(&mut self) -> bool {
        self.dice = self.dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.drop_every.is_some_and(|every| (self.dice >> 8).is_multiple_of(every))
    }

    fn transmit(&mut self, transmit: &Transmit) {
        let check = transmit.contents.first().is_some_and(|first| *first < 2);
        if self.dropped() || check && !self.checks {
            return;
        }
        match transmit.proto {
            Protocol::Tcp => {
                let Some(tcp) = &mut self.tcp else { return };
                let mut frame = (transmit.contents.len() as u16).to_be_bytes().to_vec();
                frame.extend_from_slice(&transmit.contents);
                let _ = tcp.write_all(&frame);
            }
            _ => {
                let socket = self.sockets.iter().find(|s| s.local_addr().expect("an address") == transmit.source);
                if let Some(socket) = socket {
                    let _ = socket.send_to(&transmit.contents, transmit.destination);
                }
            }
        }
    }

    /// Lets the agent work for an instant: sends, then waits a little for what comes.
    pub fn step(&mut self) {
        if let Some(next) = self.drain() {
            // Non-blocking sockets of several kinds: a short rest is the poll interval of this loop.
            let rest = next.saturating_duration_since(Instant::now());
            std::thread::sleep(Duration::from_micros(500).min(rest));
        }
    }

    /// Sends what is to be sent and takes what is there; when to come back if there was nothing.
    pub fn drain(&mut self) -> Option<Instant> {
        let next = loop {
            match self.rtc.poll_output().expect("a working client") {
                Output::Timeout(at) => break at,
                Output::Transmit(transmit) => self.transmit(&transmit),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(Event::RtpPacket(packet)) => self.got.push(Got {
                    ssrc: *packet.header.ssrc,
                    sequence: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    payload_type: *packet.header.payload_type,
                    marker: packet.header.marker,
                    payload: packet.payload.to_vec(),
                }),
                Output::Event(_) => {}
            }
        };
        let mut arrived: Vec<(Protocol, SocketAddr, SocketAddr, Vec<u8>)> = Vec::new();
        let mut buffer = [0; 2_048];
        for socket in &self.sockets {
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                arrived.push((Protocol::Udp, from, socket.local_addr().expect("an address"), buffer[..len].to_vec()));
            }
        }
        if let (Some(tcp), Some((local, peer))) = (&mut self.tcp, self.tcp_ends) {
            while let Ok(len @ 1..) = tcp.read(&mut buffer) {
                self.tcp_read.extend_from_slice(&buffer[..len]);
            }
            while let Some(len) = self.tcp_read.get(..2).map(|b| usize::from(u16::from_be_bytes([b[0], b[1]]))) {
                let Some(frame) = self.tcp_read.get(2..2 + len) else { break };
                arrived.push((Protocol::Tcp, peer, local, frame.to_vec()));
                self.tcp_read.drain(..2 + len);
            }
        }
        let nothing = arrived.is_empty();
        for (proto, source, destination, bytes) in arrived {
            if bytes.first().is_some_and(|b| (20..64).contains(b)) {
                self.dtls_bytes += bytes.len();
            }
            if self.dropped() {
                continue;
            }
            if let Ok(receive) = Receive::new(proto, source, destination, &bytes) {
                let _ = self.rtc.handle_input(Input::Receive(Instant::now(), receive));
            }
        }
        let now = Instant::now();
        if now >= next {
            let _ = self.rtc.handle_input(Input::Timeout(now));
            return None;
        }
        nothing.then_some(next)
    }

    /// Works until that is true; panics if it takes too long.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            assert!(Instant::now() < deadline, "in vain: {what}");
            self.step();
        }
    }

    /// Works for so long.
    pub fn run_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.step();
        }
    }

    /// Sends a packet of its stream.
    pub fn say(&mut self, payload: &[u8]) {
        self.say_as(self.payload_type, payload);
    }

    pub fn say_as(&mut self, payload_type: u8, payload: &[u8]) {
        let mid = self.mid.expect("a media line");
        let sequence = self.sequence;
        self.sequence += 1;
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, None).expect("a stream");
        let time = sequence as u32 * 960;
        stream.write_rtp(RtpWrite::new(payload_type.into(), sequence.into(), time, Instant::now(), payload));
        let _ = self.rtc.handle_input(Input::Timeout(Instant::now()));
    }
}

/// A connected call that the client began.
pub fn call(runtime: &tokio::runtime::Runtime, engine: &WebRtc, client: &mut Client) -> Answered {
    let (offer, pending) = client.offer();
    let mut answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
    client.accept(pending, &answered.sdp);
    client.until("connected", |c| c.connected);
    let first = wait_event(runtime, client, &mut answered.events);
    assert!(matches!(first, Some(PeerEvent::Connected { .. })), "{first:?}");
    answered
}

/// The next event, while the client works.
pub fn wait_event(
    runtime: &tokio::runtime::Runtime,
    client: &mut Client,
    events: &mut webrtc::Events,
) -> Option<PeerEvent> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let waited = runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), events.next()).await });
        if let Ok(event) = waited {
            return event;
        }
        assert!(Instant::now() < deadline, "no event");
        client.step();
    }
}

/// The next event, with nobody at work.
pub fn event(runtime: &tokio::runtime::Runtime, events: &mut webrtc::Events) -> Option<PeerEvent> {
    runtime.block_on(async { tokio::time::timeout(PATIENCE, events.next()).await.expect("an event in time") })
}

/// Waits until something is true that another thread brings about.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Talks both ways until each side got so many packets; what arrived at the media end.
pub fn talk(client: &mut Client, media: &mut media::MediaEnd, packets: usize) -> Vec<media::PathPacket> {
    let mut heard = Vec::new();
    let before = client.got.len();
    let mut sent = 0u32;
    let mut next = Instant::now();
    client.until("both heard", |client| {
        if Instant::now() >= next {
            next = Instant::now() + Duration::from_millis(5);
            client.say(&[1, 2, 3, sent as u8]);
            media.send(outgoing(client.payload_type));
            sent += 1;
        }
        while let Some(packet) = media.receive() {
            heard.push(packet);
        }
        heard.len() >= packets && client.got.len() - before >= packets
    });
    heard
}

/// The next packet of a media end's stream.
pub fn outgoing(payload_type: u8) -> media::PathPacket {
    let sequence = 100 + OUT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    media::PathPacket::new(payload_type, sequence, u32::from(sequence) * 960, &[9, 8, 7]).expect("a short payload")
}

static OUT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);

/// Addresses of the TCP candidates in a description.
pub fn tcp_candidates(sdp: &str) -> Vec<SocketAddr> {
    let lines = sdp.lines().filter(|line| line.starts_with("a=candidate:") && line.contains(" tcp "));
    let address = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        Some(SocketAddr::new(words.get(4)?.parse().ok()?, words.get(5)?.parse().ok()?))
    };
    lines.filter_map(address).collect()
}

/// A connected call of a client that has TCP alone.
pub fn call_over_tcp(runtime: &tokio::runtime::Runtime, engine: &WebRtc, client: &mut Client) -> Answered {
    let (offer, pending) = client.offer();
    let mut answered = runtime.block_on(engine.answer(&offer, Wish::default())).expect("an answer");
    client.use_tcp(tcp_candidates(&answered.sdp)[0]);
    client.accept(pending, &answered.sdp);
    client.until("connected", |c| c.connected);
    match wait_event(runtime, client, &mut answered.events) {
        Some(PeerEvent::Connected { pair, .. }) => assert_eq!(pair.transport, webrtc::Transport::Tcp),
        other => panic!("{other:?}"),
    }
    answered
}
