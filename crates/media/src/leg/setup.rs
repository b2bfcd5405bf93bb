//! How a leg is described and changed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use audio::{Codec, DtmfReceiver, DtmfSender, Format, JitterBuffer, SpeechDetector};

use super::carrier::{Carrier, Wire};
use super::dtmf::Relay;
use super::latch::Latch;
use super::wide::{self, OpusTerms, Wide};
use super::{Home, Leg, LegStats, Stream};
use crate::config::MediaConfig;
use crate::convert::{Lift, Rate};
use crate::fact::Owed;
use crate::id::Key;
use crate::random::Random;
use crate::{LegId, MediaError};

/// What a new leg is.
#[derive(Debug)]
pub struct LegSetup {
    /// What brings and takes its packets.
    pub carrier: Carrier,
    /// What both directions are encoded in. Any format goes over any carrier.
    pub format: Format,
    /// RTP payload type of the format, both directions.
    pub payload_type: u8,
    /// RTP payload type of telephone-events at the format's clock, if agreed; without it digits go out as tones.
    pub telephone_event: Option<u8>,
    /// What was agreed about Opus; of no meaning to other formats.
    pub opus: OpusTerms,
    /// Whether the far side may send.
    pub receive: bool,
    /// Whether we send.
    pub send: bool,
    /// Canonical name for RTCP, cut at 255 bytes. A path's RTCP is its transport's.
    pub cname: String,
    /// The shard to start on; `None`: the one with the fewest legs. A room that the leg joins takes it to its own.
    pub shard: Option<u16>,
}

impl LegSetup {
    /// A leg that sends and receives, without telephone-events, wherever.
    #[must_use]
    pub fn new(carrier: Carrier, format: Format, payload_type: u8) -> Self {
        Self {
            carrier,
            format,
            payload_type,
            telephone_event: None,
            opus: OpusTerms::default(),
            receive: true,
            send: true,
            cname: "aside".to_owned(),
            shard: None,
        }
    }
}

/// What a re-INVITE changed; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegUpdate {
    /// Format and its payload type.
    pub format: Option<(Format, u8)>,
    /// What was agreed about Opus.
    pub opus: Option<OpusTerms>,
    /// Telephone-event payload type; `Some(None)` takes it away.
    pub telephone_event: Option<Option<u8>>,
    /// The SDP's RTP address. The same address keeps the latch; a new one opens it. Of no meaning to a path, as are the next two.
    pub remote: Option<SocketAddr>,
    /// The SDP's RTCP address; where absent and `remote` is given: the next port.
    pub remote_rtcp: Option<SocketAddr>,
    /// Where the signalling comes from now.
    pub signalling_source: Option<IpAddr>,
    /// Whether the far side may send.
    pub receive: Option<bool>,
    /// Whether we send. While not, the timestamps of our stream go on.
    pub send: Option<bool>,
}

/// An update on its way to a leg, with what a change of format needs; on the way up with what it replaced.
pub(crate) struct Refit {
    pub update: LegUpdate,
    /// The parts of a wide format.
    pub wide: Option<Box<Wide>>,
    /// The buffer of a narrow format, for a leg that had a wide one.
    pub jitter: Option<Box<JitterBuffer>>,
    pub lift: Option<Box<Lift>>,
    /// Ways to the leg's new rate, for narrow legs of its room that have none yet.
    pub others: Vec<(Key, Option<Box<Lift>>)>,
}

impl Refit {
    /// `was_wide`: what the leg has so far.
    pub(crate) fn new(update: LegUpdate, was_wide: bool, config: &MediaConfig) -> Result<Self, MediaError> {
        let mut refit = Self { wide: None, jitter: None, lift: None, others: Vec::new(), update };
        let Some((format, _)) = refit.update.format else { return Ok(refit) };
        match format {
            Format::Narrow(codec) if was_wide => {
                refit.jitter = Some(Box::new(JitterBuffer::new(codec, config.jitter)));
                refit.lift = Some(Lift::of(Rate::Narrow));
            }
            Format::Narrow(_) => {}
            Format::G722 | Format::Opus => {
                refit.wide = Wide::new(format, refit.update.opus.unwrap_or_default(), config)?;
                refit.lift = Some(Lift::of(Rate::of(format)));
            }
        }
        Ok(refit)
    }
}

fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().wrapping_add(1))
}

impl Leg {
    /// Allocates all that it will ever need.
    pub(crate) fn new(id: LegId, setup: LegSetup, config: &MediaConfig, seed: u64) -> Result<Self, MediaError> {
        let format = setup.format;
        let wide = Wide::new(format, setup.opus, config)?;
        let (codec, jitter) = match format {
            Format::Narrow(codec) => (codec, config.jitter),
            Format::G722 | Format::Opus => (Codec::Pcmu, wide::unused(config.jitter)),
        };
        let rate = Rate::of(format);
        let mut random = Random::fork(seed, id.0);
        let (ssrc, sequence, timestamp) = (random.next() as u32, random.next() as u16, random.next() as u32);
        let mut name = [0; 255];
        let name_len = setup.cname.len().min(255);
        name[..name_len].copy_from_slice(&setup.cname.as_bytes()[..name_len]);
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let (wire, remote, remote_rtcp, signalling) = match setup.carrier {
            Carrier::Rtp { ports, remote, remote_rtcp, signalling_source } => {
                (Wire::Rtp(ports), remote, remote_rtcp.or(remote.map(next_port)), signalling_source)
            }
            Carrier::Path(end) => (Wire::path(end), None, None, nobody),
        };
        Ok(Self {
            id,
            home: Home::Nowhere,
            failed: false,
            receive: setup.receive,
            payload_type: setup.payload_type,
            telephone_event: setup.telephone_event,
            latch: Latch::new(remote, signalling),
            rtcp_latch: Latch::new(remote_rtcp, signalling),
            connected: false,
            stream: Stream::default(),
            jitter: JitterBuffer::new(codec, jitter),
            digits_in: DtmfReceiver::new(format.clock_rate()),
            digit_mark: u64::MAX,
            relay: Relay::new(),
            speech: SpeechDetector::new(rate.hz()),
            stale_below: None,
            newest_mark: 0,
            empty_before: true,
            heard_at: 0,
            timeout_told: false,
            first_told: false,
            send: setup.send,
            codec,
            ssrc,
            sequence,
            timestamp,
            step: format.timestamp_step(),
            marker: true,
            digits_out: DtmfSender::new(format.clock_rate()),
            digit_tone: None,
            digits_busy: false,
            metered: false,
            lift: wide.is_some().then(|| Lift::of(rate)),
            meter: None,
            wide,
            wire,
            player: None,
            extras: None,
            ended: None,
            spent: None,
            due: None,
            ticks: id.0,
            report_due: 0,
            name,
            name_len: name_len as u8,
            owed: Owed::new(),
            stats: LegStats { ssrc, ..LegStats::default() },
            random,
        })
    }

    /// Applies what a re-INVITE changed. SSRC, sequence and timestamps of what we send go on.
    pub(crate) fn update(&mut self, refit: &mut Refit, net: &mut impl crate::net::Net, now: u64) {
        if let Some((format, payload_type)) = refit.update.format {
            self.payload_type = payload_type;
            if format == self.format() {
                if let (Some(ours), Some(new)) = (self.wide.as_deref_mut(), refit.wide.as_deref_mut()) {
                    ours.take_terms(new);
                }
            } else {
                self.change_format(format, refit);
            }
        }
        let update = &refit.update;
        if let Some(event) = update.telephone_event {
            self.telephone_event = event;
        }
        let signalling = update.signalling_source.unwrap_or_else(|| self.latch.signalling());
        if let Some(remote) = update.remote {
            if self.latch.announce(Some(remote), signalling) {
                self.disconnect(net);
            }
            let rtcp = update.remote_rtcp.unwrap_or_else(|| next_port(remote));
            self.rtcp_latch.announce(Some(rtcp), signalling);
        } else if let Some(rtcp) = update.remote_rtcp {
            self.rtcp_latch.announce(Some(rtcp), signalling);
        }
        if let Some(receive) = update.receive {
            // Whoever is described anew has his time to be heard anew.
            if receive && (!self.receive || update.remote.is_some()) {
                self.heard_at = now;
                self.timeout_told = false;
            }
            if !receive && self.receive {
                self.forget_sound();
                self.relay.clear();
            }
            self.receive = receive;
        }
        if let Some(send) = update.send {
            if send && !self.send {
                self.marker = true;
            }
            self.send = send;
        }
    }

    /// What it sends and receives.
    pub(crate) fn format(&self) -> Format {
        self.wide.as_deref().map_or(Format::Narrow(self.codec), |wide| wide.format)
    }

    fn change_format(&mut self, format: Format, refit: &mut Refit) {
        let before = self.format();
        match format {
            Format::Narrow(codec) => {
                if let Some(jitter) = refit.jitter.as_deref_mut() {
                    std::mem::swap(&mut self.jitter, jitter);
                }
                self.codec = codec;
                self.jitter.set_codec(codec);
            }
            // What came in the old format is not heard any more.
            Format::G722 | Format::Opus => self.jitter.reset(),
        }
        std::mem::swap(&mut self.wide, &mut refit.wide);
        if Rate::of(format) != Rate::of(before) {
            std::mem::swap(&mut self.lift, &mut refit.lift);
            self.speech = SpeechDetector::new(Rate::of(format).hz());
            self.relay.clear();
            self.digit_tone = None;
        }
        self.step = format.timestamp_step();
        if format.clock_rate() != before.clock_rate() {
            self.digits_in = DtmfReceiver::new(format.clock_rate());
            self.digits_out = DtmfSender::new(format.clock_rate());
            self.marker = true;
        }
    }
}
