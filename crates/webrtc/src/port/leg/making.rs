//! What a leg is made of, and what it learns before it connects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use media::TransportEnd;
use str0m::Rtc;
use str0m::change::SdpPendingOffer;
use str0m::media::Mid;

use super::rtp::Streams;
use super::{Leg, Phase};
use crate::admission::Place;
use crate::agent::Credentials;
use crate::error::WebRtcError;
use crate::event::Announcer;
use crate::port::contact::Contacts;
use crate::port::seats::Seat;

/// What may pass, as agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gate {
    pub payload_type: u8,
    pub telephone_event: Option<u8>,
    pub send: bool,
    pub receive: bool,
}

impl Gate {
    pub(super) fn knows(&self, payload_type: u8) -> bool {
        self.payload_type == payload_type || self.telephone_event == Some(payload_type)
    }
}

/// Times of the configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub lite: bool,
    pub connect: Duration,
    pub silence: Duration,
    pub failed: Duration,
}

/// What a new leg is made of.
pub(crate) struct Making {
    pub rtc: Rtc,
    pub mid: Mid,
    pub credentials: Credentials,
    pub pending: Option<SdpPendingOffer>,
    pub gate: Option<Gate>,
    pub remote_candidates: Vec<str0m::Candidate>,
    pub lite: bool,
    pub path: TransportEnd,
    pub announcer: Announcer,
    pub hang_up: Arc<AtomicBool>,
    pub place: Place,
    pub seat: Seat,
}

impl Leg {
    pub(in crate::port) fn new(making: Making, now: Instant) -> Self {
        let key = making.seat.key();
        let phase = if making.pending.is_some() { Phase::Offered } else { Phase::Connecting { since: now } };
        let mut leg = Self {
            key,
            rtc: making.rtc,
            mid: making.mid,
            pending: making.pending,
            gate: making.gate,
            fragments: vec![making.credentials.ufrag],
            contacts: Contacts::new(now),
            scheduled: None,
            hang_up: making.hang_up,
            place: making.place,
            announcer: making.announcer,
            path: making.path,
            phase,
            lite: making.lite,
            next: now,
            requests: VecDeque::new(),
            streams: Streams::default(),
            source: None,
            last_sent: None,
            _seat: making.seat,
        };
        for candidate in making.remote_candidates {
            leg.add_candidate(candidate);
        }
        leg
    }

    pub(in crate::port) fn add_candidate(&mut self, candidate: str0m::Candidate) {
        // With ICE lite their candidates are never checked, only told apart.
        if self.contacts.announced(&candidate) && !self.lite {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Their answer comes: connecting begins, if there is room for it.
    pub(in crate::port) fn connect(&mut self, now: Instant) -> Result<(), WebRtcError> {
        if self.phase == Phase::Offered {
            self.place.connect()?;
            self.phase = Phase::Connecting { since: now };
        }
        Ok(())
    }
}
