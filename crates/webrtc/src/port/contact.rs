//! Where a leg is reached: the addresses that passed a check, and the one in use.
//!
//! str0m keeps to the pair with the best priority until that one dies, which takes up to twenty seconds when a browser changes its
//! network. What counts here is what the browser nominated last.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::{Candidate, CandidateKind};

use super::route::Endpoint;
use crate::event::{Pair, RemoteKind};

/// Addresses of a leg at once.
const MOST: usize = 16;
/// Candidates of a leg, over its life.
const MOST_ANNOUNCED: usize = 64;
/// An address that was silent for so long gives way to a new one.
const STALE: Duration = Duration::from_secs(30);
/// A connection that was silent for so long is left for one that is alive.
const SILENT: Duration = Duration::from_secs(2);

struct Contact {
    endpoint: Endpoint,
    heard: Instant,
    /// They answered a check of ours.
    answered: bool,
    /// They want this one to be used.
    nominated: bool,
}

pub(super) struct Contacts {
    known: Vec<Contact>,
    pair: Option<Endpoint>,
    heard: Instant,
    /// Their candidates, to tell how an address was learnt.
    announced: Vec<(SocketAddr, RemoteKind)>,
}

impl Contacts {
    pub(super) fn new(now: Instant) -> Self {
        Self { known: Vec::new(), pair: None, heard: now, announced: Vec::new() }
    }

    /// They announced a candidate; false if they have too many.
    pub(super) fn announced(&mut self, candidate: &Candidate) -> bool {
        if self.announced.len() == MOST_ANNOUNCED {
            return false;
        }
        let kind = match candidate.kind() {
            CandidateKind::Host => RemoteKind::Host,
            CandidateKind::ServerReflexive => RemoteKind::ServerReflexive,
            CandidateKind::Relayed => RemoteKind::Relayed,
            CandidateKind::PeerReflexive => RemoteKind::PeerReflexive,
        };
        self.announced.push((candidate.addr(), kind));
        true
    }

    /// When anything authentic was heard last.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    pub(super) fn touch(&mut self, now: Instant) {
        self.heard = now;
    }

    /// The connection in use.
    pub(super) fn pair(&self) -> Option<Endpoint> {
        self.pair
    }

    pub(super) fn described(&self) -> Option<Pair> {
        let Endpoint { transport, local, remote } = self.pair?;
        let known = self.announced.iter().find(|(address, _)| *address == remote).map(|(_, kind)| *kind);
        Some(Pair { transport, local, remote, remote_kind: known.unwrap_or(RemoteKind::PeerReflexive) })
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Endpoint> {
        self.known.iter().map(|contact| contact.endpoint)
    }

    fn get(&mut self, endpoint: &Endpoint) -> Option<&mut Contact> {
        self.known.iter_mut().find(|contact| contact.endpoint == *endpoint)
    }

    fn stalest(&self, now: Instant) -> Option<usize> {
        let stale = |c: &Contact| now.saturating_duration_since(c.heard) >= STALE && Some(c.endpoint) != self.pair;
        (0..self.known.len())
            .filter(|i| self.known.get(*i).is_some_and(stale))
            .min_by_key(|i| self.known.get(*i).map(|c| c.heard))
    }

    /// Whether a check from there may be looked at.
    pub(super) fn has_room(&self, endpoint: &Endpoint, now: Instant) -> bool {
        let known = self.known.iter().any(|contact| contact.endpoint == *endpoint);
        known || self.known.len() < MOST || self.stalest(now).is_some()
    }

    fn add(&mut self, endpoint: Endpoint, now: Instant) -> Option<Endpoint> {
        let forgotten =
            if self.known.len() >= MOST { self.stalest(now).map(|i| self.known.swap_remove(i).endpoint) } else { None };
        if self.known.len() < MOST {
            self.known.push(Contact { endpoint, heard: now, answered: false, nominated: false });
        }
        forgotten
    }

    /// Authentic media came from there.
    pub(super) fn heard_from(&mut self, endpoint: &Endpoint, now: Instant) {
        self.heard = now;
        if let Some(contact) = self.get(endpoint) {
            contact.heard = now;
        }
    }

    /// They passed a check from there; the address that was forgotten for it.
    pub(super) fn proved(&mut self, endpoint: Endpoint, now: Instant) -> Option<Endpoint> {
        let forgotten = if self.get(&endpoint).is_none() { self.add(endpoint, now) } else { None };
        self.heard_from(&endpoint, now);
        forgotten
    }

    /// They answered a check of ours from there; whether that changes the connection in use.
    pub(super) fn answered(&mut self, endpoint: &Endpoint, now: Instant) -> bool {
        if self.get(endpoint).is_none() && self.known.len() < MOST {
            self.add(*endpoint, now);
        }
        self.heard_from(endpoint, now);
        let Some(contact) = self.get(endpoint) else { return false };
        contact.answered = true;
        let wanted = std::mem::take(&mut contact.nominated);
        wanted && self.pair.is_some_and(|pair| pair != *endpoint) && self.pair.replace(*endpoint).is_some()
    }

    fn silent(&self, now: Instant) -> bool {
        let Some(pair) = self.pair else { return true };
        let heard = self.known.iter().find(|contact| contact.endpoint == pair).map(|contact| contact.heard);
        heard.is_none_or(|heard| now.saturating_duration_since(heard) >= SILENT)
    }

    /// str0m sends from and to there. `Some(true)` if that changes the connection in use, `Some(false)` if it is the first.
    pub(super) fn chosen_by_agent(&mut self, endpoint: Endpoint, now: Instant) -> Option<bool> {
        if self.pair == Some(endpoint) || !self.silent(now) {
            return None;
        }
        self.pair.replace(endpoint).map_or(Some(false), |_| Some(true))
    }

    /// They passed a check from there, and maybe want it to be used. With full ICE only an address that also answered us counts.
    pub(super) fn chosen_by_them(
        &mut self,
        endpoint: Endpoint,
        nominates: bool,
        lite: bool,
        now: Instant,
    ) -> Option<bool> {
        let in_use = self.pair?;
        let silent = self.silent(now);
        if nominates {
            // The last word counts.
            self.known.iter_mut().for_each(|contact| contact.nominated = false);
        }
        if in_use == endpoint {
            return None;
        }
        let contact = self.get(&endpoint)?;
        if !lite && !contact.answered {
            contact.nominated |= nominates;
            return None;
        }
        if nominates || silent {
            self.pair = Some(endpoint);
            return Some(true);
        }
        None
    }
}
