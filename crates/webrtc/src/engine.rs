//! The engine: threads, places, new legs.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use media::{MediaEnd, TransportEnd};

use crate::admission::{Admission, Place};
use crate::agent::{Agent, Maker, Remote};
use crate::config::WebRtcConfig;
use crate::counters::{Counters, Counts};
use crate::error::WebRtcError;
use crate::event::{Announcer, Events};
use crate::format::Agreed;
use crate::peer::{Peer, ask};
use crate::port::{self, Bell, Command, Gate, Making, PortHandle, Seat};
use crate::sdp::Description;
use crate::session::{self, Founding, Session};

/// Who wants a leg.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The account that pays for it, an opaque number: none has more than three quarters of the places.
    pub account: u128,
    /// Where the signalling comes from; bounds what one source may leave half done.
    pub source: Option<IpAddr>,
}

/// A leg that answered an offer.
#[derive(Debug)]
pub struct Answered {
    /// The leg.
    pub peer: Peer,
    /// Our answer.
    pub sdp: String,
    /// What was agreed.
    pub agreed: Agreed,
    /// For the media plane.
    pub media: MediaEnd,
    /// What happens to the leg.
    pub events: Events,
}

/// A leg that offers, and waits for [`Peer::accept`].
#[derive(Debug)]
pub struct Offered {
    /// The leg.
    pub peer: Peer,
    /// Our offer.
    pub sdp: String,
    /// For the media plane. Nothing passes before the answer.
    pub media: MediaEnd,
    /// What happens to the leg.
    pub events: Events,
}

struct Inner {
    config: WebRtcConfig,
    maker: Maker,
    admission: Arc<Admission>,
    counts: Arc<Counts>,
    ports: Vec<Arc<PortHandle>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The engine. Cheap to clone; its threads stop, and all legs close, when the last clone is dropped.
#[derive(Clone)]
pub struct WebRtc(Arc<Inner>);

/// A place, a slot and the ends of a path: all that a leg needs beside its agent.
struct Room {
    port: Arc<PortHandle>,
    place: Place,
    seat: Seat,
    media: MediaEnd,
    path: TransportEnd,
    announcer: Announcer,
    events: Events,
    hang_up: Arc<AtomicBool>,
}

impl WebRtc {
    /// Binds the ports and starts the threads. Makes the certificate of this life of the process.
    pub fn start(config: WebRtcConfig) -> Result<Self, WebRtcError> {
        config.check()?;
        let maker = Maker::new(&config)?;
        let counts = Arc::<Counts>::default();
        let (mut ports, mut threads) = (Vec::new(), Vec::new());
        for index in 0..config.threads {
            match port::start(&config, index, counts.clone()) {
                Ok((port, thread)) => {
                    ports.push(Arc::new(port));
                    threads.push(thread);
                }
                Err(error) => {
                    ports.iter().for_each(|port| port.stop());
                    return Err(error);
                }
            }
        }
        let admission = Admission::new(&config);
        Ok(Self(Arc::new(Inner { config, maker, admission, counts, ports, threads: Mutex::new(threads) })))
    }

    /// Default addresses of the threads' UDP ports, as candidates say them.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0.ports.iter().map(|port| port.address).collect()
    }

    /// Totals of all threads.
    pub fn counters(&self) -> Counters {
        let (peers, half_open) = self.0.admission.taken();
        Counters { peers: peers as u64, half_open: half_open as u64, ..self.0.counts.read() }
    }

    /// Answers an offer. The leg connects at once; it is closed if it has not after
    /// [`connect_timeout`](WebRtcConfig::connect_timeout).
    pub async fn answer(&self, offer: &str, wish: Wish) -> Result<Answered, WebRtcError> {
        let Inner { config, maker, .. } = &*self.0;
        let offer = Description::read(offer)?;
        let (audio, agreed) = session::answerable(&offer, &config.formats, config.lite)?;
        let room = self.room(&wish, true)?;
        let remote = Remote::new(&audio, offer.lite(), agreed.payloads());
        let agent = maker.answering(&remote, &room.port.candidates)?;
        let session = Session::answering(&self.founding(&agent, &room), &offer, &audio, remote, agreed);
        let candidates = session::checkable(&audio.candidates, room.port.address);
        let sdp = session.text();
        let (peer, media, events) = self.seat(room, agent, session, Some(agreed.gate()), candidates).await?;
        Ok(Answered { peer, sdp, agreed, media, events })
    }

    /// Makes an offer, for a call to a browser. Nothing is sent before the answer.
    pub async fn offer(&self, wish: Wish) -> Result<Offered, WebRtcError> {
        let Inner { config, maker, .. } = &*self.0;
        let room = self.room(&wish, false)?;
        let payloads = session::offered(&config.formats);
        let agent = maker.offering(&payloads, &room.port.candidates)?;
        let session = Session::offering(&self.founding(&agent, &room), payloads);
        let sdp = session.text();
        let (peer, media, events) = self.seat(room, agent, session, None, Vec::new()).await?;
        Ok(Offered { peer, sdp, media, events })
    }

    fn founding<'a>(&self, agent: &'a Agent, room: &Room) -> Founding<'a> {
        let config = &self.0.config;
        Founding {
            agent,
            address: room.port.address,
            lite: config.lite,
            max_average_bitrate: config.max_average_bitrate,
        }
    }

    /// Takes what a new leg needs, on the emptiest thread.
    fn room(&self, wish: &Wish, connects: bool) -> Result<Room, WebRtcError> {
        let inner = &*self.0;
        let mut place = inner.admission.enter(wish.account, wish.source);
        if let Ok(entered) = &mut place
            && connects
            && let Err(error) = entered.connect()
        {
            place = Err(error);
        }
        let place = place.inspect_err(|_| inner.counts.refused_places.add(1))?;
        let emptiest = inner.ports.iter().max_by_key(|port| port.seats.free());
        let full = WebRtcError::Full(inner.config.max_peers);
        let (port, seat) = emptiest.and_then(|port| Some((port.clone(), port.seats.take()?))).ok_or(full)?;
        let bell = Bell { ready: port.ready.clone(), slot: seat.key().slot as usize };
        let (media, path) = media::path(Arc::new(bell));
        let (announcer, events) = Announcer::new();
        Ok(Room { port, place, seat, media, path, announcer, events, hang_up: Arc::default() })
    }

    /// Gives the leg to its thread.
    async fn seat(
        &self,
        room: Room,
        agent: Agent,
        session: Session,
        gate: Option<Gate>,
        remote_candidates: Vec<str0m::Candidate>,
    ) -> Result<(Peer, MediaEnd, Events), WebRtcError> {
        // The handle is there first: if nobody waits any more, its end closes the leg.
        let peer = Peer::new(room.port.clone(), room.seat.key(), room.hang_up.clone(), session);
        let making = Box::new(Making {
            rtc: agent.rtc,
            mid: agent.mid,
            credentials: agent.credentials,
            pending: agent.pending,
            gate,
            remote_candidates,
            lite: self.0.config.lite,
            path: room.path,
            announcer: room.announcer,
            hang_up: room.hang_up,
            place: room.place,
            seat: room.seat,
        });
        ask(&room.port, |done| Command::Add { making, done }).await?;
        Ok((peer, room.media, room.events))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ports.iter().for_each(|port| port.stop());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // They end within a wake-up: goodbyes are sent, nothing is waited for.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for WebRtc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtc").field("addresses", &self.addresses()).finish_non_exhaustive()
    }
}
