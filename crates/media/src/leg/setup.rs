//! How a leg is described, changed and read.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use audio::{Codec, DtmfReceiver, DtmfSender, JitterBuffer, JitterConfig, SpeechDetector};

use super::dtmf::Relay;
use super::latch::Latch;
use super::{Home, Leg, Stream};
use crate::fact::Owed;
use crate::random::Random;
use crate::{LegId, Ports};

/// What a new leg is.
#[derive(Debug)]
pub struct LegSetup {
    /// Its port pair.
    pub ports: Ports,
    /// The codec of both directions.
    pub codec: Codec,
    /// RTP payload type of the codec, both directions.
    pub payload_type: u8,
    /// RTP payload type of telephone-events, if agreed; without it digits go out as tones.
    pub telephone_event: Option<u8>,
    /// Where the SDP says the far side receives; `None` until known: nothing is sent or believed.
    pub remote: Option<SocketAddr>,
    /// Where its RTCP goes; `None`: the next port.
    pub remote_rtcp: Option<SocketAddr>,
    /// Where its signalling comes from; may prove itself as the media source behind NAT.
    pub signalling_source: IpAddr,
    /// Whether the far side may send.
    pub receive: bool,
    /// Whether we send.
    pub send: bool,
    /// Canonical name for RTCP, cut at 255 bytes.
    pub cname: String,
    /// The shard to start on; `None`: the one with the fewest legs. A room that the leg joins takes it to its own.
    pub shard: Option<u16>,
}

/// What a re-INVITE changed; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegUpdate {
    /// Codec and its payload type.
    pub codec: Option<(Codec, u8)>,
    /// Telephone-event payload type; `Some(None)` takes it away.
    pub telephone_event: Option<Option<u8>>,
    /// The SDP's RTP address. The same address keeps the latch; a new one opens it.
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

/// Counters of a leg since it was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LegStats {
    /// RTP packets taken.
    pub packets_received: u64,
    /// Their payload bytes.
    pub bytes_received: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// Their payload bytes.
    pub bytes_sent: u64,
    /// Packets from addresses never believed.
    pub foreign: u64,
    /// Packets from addresses or SSRCs still proving themselves.
    pub unproven: u64,
    /// Datagrams that were no RTP or RTCP.
    pub malformed: u64,
    /// RTP of other payload types.
    pub wrong_payload: u64,
    /// Packets missing by sequence number.
    pub lost: u64,
    /// Packets that came after their time.
    pub late: u64,
    /// Packets received again.
    pub duplicate: u64,
    /// Samples made up for missing ones.
    pub concealed_samples: u64,
    /// Samples the playout inserted against drift and jitter.
    pub inserted_samples: u64,
    /// Samples it deleted.
    pub deleted_samples: u64,
    /// Interarrival jitter of what we receive (RFC 3550 §6.4.1), in samples of 125 µs.
    pub jitter: u32,
    /// Delay of the jitter buffer now.
    pub delay: Duration,
    /// Round trip by RTCP, if a report came.
    pub round_trip: Option<Duration>,
    /// Fraction of our packets lost, in 1/256, as the far side last reported.
    pub remote_fraction_lost: Option<u8>,
    /// Jitter the far side last reported, in samples.
    pub remote_jitter: Option<u32>,
    /// Ticks that were skipped after stalls.
    pub skipped_ticks: u64,
    /// Where packets come from, once believed.
    pub source: Option<SocketAddr>,
    /// SSRC of what we send.
    pub ssrc: u32,
}

fn next_port(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port().wrapping_add(1))
}

impl Leg {
    pub(crate) fn new(id: LegId, setup: LegSetup, jitter: JitterConfig, seed: u64) -> Self {
        let mut random = Random::fork(seed, id.0);
        let (ssrc, sequence, timestamp) = (random.next() as u32, random.next() as u16, random.next() as u32);
        let mut name = [0; 255];
        let name_len = setup.cname.len().min(255);
        name[..name_len].copy_from_slice(&setup.cname.as_bytes()[..name_len]);
        let rtcp = setup.remote_rtcp.or(setup.remote.map(next_port));
        Self {
            id,
            home: Home::Nowhere,
            failed: false,
            ports: setup.ports,
            receive: setup.receive,
            payload_type: setup.payload_type,
            telephone_event: setup.telephone_event,
            latch: Latch::new(setup.remote, setup.signalling_source),
            rtcp_latch: Latch::new(rtcp, setup.signalling_source),
            connected: false,
            stream: Stream::default(),
            jitter: JitterBuffer::new(setup.codec, jitter),
            digits_in: DtmfReceiver::new(8_000),
            digit_mark: u64::MAX,
            relay: Relay::new(),
            speech: SpeechDetector::new(8_000),
            stale_below: None,
            newest_mark: 0,
            empty_before: true,
            heard_at: 0,
            timeout_told: false,
            first_told: false,
            send: setup.send,
            codec: setup.codec,
            ssrc,
            sequence,
            timestamp,
            marker: true,
            digits_out: DtmfSender::new(8_000),
            digit_tone: None,
            digits_busy: false,
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
        }
    }

    /// Applies what a re-INVITE changed. SSRC, sequence and timestamps of what we send go on.
    pub(crate) fn update(&mut self, update: &LegUpdate, net: &mut impl crate::net::Net, now: u64) {
        if let Some((codec, payload_type)) = update.codec {
            if codec != self.codec {
                self.codec = codec;
                self.jitter.set_codec(codec);
            }
            self.payload_type = payload_type;
        }
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
                self.jitter.reset();
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

    /// The counters now.
    pub(crate) fn stats(&self) -> LegStats {
        let jitter = self.jitter.stats();
        LegStats {
            lost: jitter.lost,
            late: jitter.late,
            duplicate: jitter.duplicate,
            concealed_samples: jitter.concealed_samples,
            inserted_samples: jitter.inserted_samples,
            deleted_samples: jitter.deleted_samples,
            jitter: self.stream.jitter >> 4,
            delay: jitter.delay,
            source: self.latch.locked(),
            ..self.stats.clone()
        }
    }
}
