//! The only place that builds and negotiates str0m's agents.
//!
//! Descriptions from outside never reach str0m: they are read by [`crate::sdp`], and what was agreed is told to it in a
//! description of our own making, with one audio line that always goes both ways. Hold is a gate of ours, so that it can
//! neither end a stream nor change its SSRC.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use audio::{Codec as Narrow, Format};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::{CryptoProvider, DtlsCert};
use str0m::format::{Codec, FormatParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid};
use str0m::{Candidate, IceCreds, Rtc, RtcConfig};

use crate::config::WebRtcConfig;
use crate::error::WebRtcError;
use crate::format::mapping;
use crate::random;
use crate::sdp::{Audio, Setup};

/// Statistics come this often.
const STATISTICS: Duration = Duration::from_secs(2);
/// Mid of the audio line within str0m, where we name it.
const MID: &str = "0";

/// What agents are made of: one per engine.
pub(crate) struct Maker {
    crypto: Arc<CryptoProvider>,
    /// One certificate per process life: it is made anew at each start.
    certificate: DtlsCert,
    lite: bool,
}

/// A format's payload types, as an agent is to know them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payloads {
    pub formats: Vec<(Format, u8)>,
    pub telephone_events: Vec<(u8, u32)>,
}

/// ICE credentials of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub ufrag: String,
    pub password: String,
}

impl Credentials {
    /// 48 bits of name (it is no secret) and 144 bits of password (RFC 8445 §5.3). str0m's own come from a generator that can be
    /// guessed, and who guesses them may redirect a call.
    pub(crate) fn new() -> Self {
        Self { ufrag: random::ice_characters(8), password: random::ice_characters(24) }
    }

    fn ice(&self) -> IceCreds {
        IceCreds { ufrag: self.ufrag.clone(), pass: self.password.clone() }
    }
}

/// An agent and what its session description has to say.
pub(crate) struct Agent {
    pub rtc: Rtc,
    pub mid: Mid,
    pub credentials: Credentials,
    pub fingerprint: String,
    pub ssrc: u32,
    /// Our candidates, `candidate:…`.
    pub candidates: Vec<String>,
    /// An offer that awaits its answer.
    pub pending: Option<SdpPendingOffer>,
}

/// The remote side as an agent is told it.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    pub ufrag: String,
    pub password: String,
    pub fingerprint: String,
    pub setup: Setup,
    pub lite: bool,
    pub payloads: Payloads,
}

fn refused(error: impl std::fmt::Display) -> WebRtcError {
    WebRtcError::Refused(error.to_string())
}

impl Maker {
    pub(crate) fn new(config: &WebRtcConfig) -> Result<Self, WebRtcError> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate().ok_or(WebRtcError::Certificate)?;
        Ok(Self { crypto, certificate, lite: config.lite })
    }

    fn agent(
        &self,
        payloads: &Payloads,
        credentials: &Credentials,
        candidates: &[Candidate],
    ) -> Result<(Rtc, Vec<String>), WebRtcError> {
        let mut config = RtcConfig::new()
            .set_crypto_provider(self.crypto.clone())
            .set_dtls_cert(self.certificate.clone())
            .set_local_ice_credentials(credentials.ice())
            .set_ice_lite(self.lite)
            .set_rtp_mode(true)
            .set_stats_interval(Some(STATISTICS))
            .clear_extension_map()
            .clear_codecs();
        for (format, payload_type) in &payloads.formats {
            let (codec, clock, channels) = match format {
                Format::Opus => (Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2)),
                // str0m names G.722 by its sampling rate and keeps the RTP clock at 8 kHz.
                Format::G722 => (Codec::G722, Frequency::SIXTEEN_KHZ, None),
                Format::Narrow(Narrow::Pcmu) => (Codec::PCMU, Frequency::EIGHT_KHZ, None),
                Format::Narrow(Narrow::Pcma) => (Codec::PCMA, Frequency::EIGHT_KHZ, None),
                Format::Narrow(_) => continue,
            };
            let parameters = FormatParams::default();
            config.codec_config().add_config((*payload_type).into(), None, codec, clock, channels, parameters);
        }
        for (payload_type, clock) in &payloads.telephone_events {
            let clock = if *clock == 48_000 { Frequency::FORTY_EIGHT_KHZ } else { Frequency::EIGHT_KHZ };
            let parameters = FormatParams::default();
            config.codec_config().add_config((*payload_type).into(), None, Codec::Tele, clock, None, parameters);
        }
        let mut rtc = config.build(Instant::now());
        let candidates: Vec<String> = candidates
            .iter()
            .filter_map(|candidate| rtc.add_local_candidate(candidate.clone()).map(Candidate::to_sdp_string))
            .collect();
        if candidates.is_empty() {
            return Err(WebRtcError::Refused("none of the configured addresses can be a candidate".to_owned()));
        }
        Ok((rtc, candidates))
    }

    /// An agent that answers an offer.
    pub(crate) fn answering(&self, remote: &Remote, local: &[Candidate]) -> Result<Agent, WebRtcError> {
        let credentials = Credentials::new();
        let (mut rtc, candidates) = self.agent(&remote.payloads, &credentials, local)?;
        let mid = Mid::from(MID);
        accept_offer(&mut rtc, mid, remote)?;
        let mut api = rtc.direct_api();
        let ssrc = api.stream_tx_by_mid(mid, None).map(|stream| *stream.ssrc());
        let ssrc = ssrc.ok_or_else(|| refused("no stream was made"))?;
        let fingerprint = api.local_dtls_fingerprint().to_string();
        Ok(Agent { rtc, mid, credentials, fingerprint, ssrc, candidates, pending: None })
    }

    /// An agent that offers.
    pub(crate) fn offering(&self, payloads: &Payloads, local: &[Candidate]) -> Result<Agent, WebRtcError> {
        let credentials = Credentials::new();
        let (mut rtc, candidates) = self.agent(payloads, &credentials, local)?;
        let mut api = rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().ok_or_else(|| refused("there is nothing to offer"))?;
        let text = offer.to_sdp_string();
        let ssrc = text.lines().find_map(|line| line.strip_prefix("a=ssrc:")?.split(' ').next()?.parse().ok());
        let ssrc = ssrc.ok_or_else(|| refused("no stream was made"))?;
        let fingerprint = rtc.direct_api().local_dtls_fingerprint().to_string();
        Ok(Agent { rtc, mid, credentials, fingerprint, ssrc, candidates, pending: Some(pending) })
    }
}

/// Lets an agent accept an offer: its first, or one that restarts ICE.
pub(crate) fn accept_offer(rtc: &mut Rtc, mid: Mid, remote: &Remote) -> Result<(), WebRtcError> {
    let offer = SdpOffer::from_sdp_string(&told(mid, remote)).map_err(refused)?;
    rtc.sdp_api().accept_offer(offer).map(|_| ()).map_err(refused)
}

/// Lets an agent accept the answer to an offer of its own.
pub(crate) fn accept_answer(
    rtc: &mut Rtc,
    mid: Mid,
    pending: SdpPendingOffer,
    remote: &Remote,
) -> Result<(), WebRtcError> {
    let answer = SdpAnswer::from_sdp_string(&told(mid, remote)).map_err(refused)?;
    rtc.sdp_api().accept_answer(pending, answer).map_err(refused)
}

/// Gives an agent credentials of our generator after a restart.
pub(crate) fn set_credentials(rtc: &mut Rtc, credentials: &Credentials) {
    rtc.direct_api().set_local_ice_credentials(credentials.ice());
}

/// The remote side in a description of our own making.
fn told(mid: Mid, remote: &Remote) -> String {
    let mut out = String::with_capacity(1_024);
    // Writing to a string cannot fail.
    let _ = tell(&mut out, mid, remote);
    out
}

fn tell(out: &mut String, mid: Mid, remote: &Remote) -> std::fmt::Result {
    out.push_str("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    if remote.lite {
        out.push_str("a=ice-lite\r\n");
    }
    write!(out, "a=group:BUNDLE {mid}\r\nm=audio 9 UDP/TLS/RTP/SAVPF")?;
    for (_, payload_type) in &remote.payloads.formats {
        write!(out, " {payload_type}")?;
    }
    for (payload_type, _) in &remote.payloads.telephone_events {
        write!(out, " {payload_type}")?;
    }
    write!(out, "\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=sendrecv\r\na=rtcp-mux\r\n")?;
    write!(out, "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", remote.ufrag, remote.password)?;
    let setup = match remote.setup {
        Setup::Actpass => "actpass",
        Setup::Active => "active",
        Setup::Passive => "passive",
    };
    write!(out, "a=fingerprint:{}\r\na=setup:{setup}\r\n", remote.fingerprint)?;
    for (format, payload_type) in &remote.payloads.formats {
        write!(out, "a=rtpmap:{payload_type} {}\r\n", mapping(*format))?;
    }
    for (payload_type, clock) in &remote.payloads.telephone_events {
        write!(out, "a=rtpmap:{payload_type} telephone-event/{clock}\r\n")?;
    }
    Ok(())
}

impl Remote {
    pub(crate) fn new(audio: &Audio, lite: bool, payloads: Payloads) -> Self {
        Self {
            ufrag: audio.ufrag.clone(),
            password: audio.password.clone(),
            fingerprint: audio.fingerprint.clone(),
            setup: audio.setup,
            lite,
            payloads,
        }
    }
}
