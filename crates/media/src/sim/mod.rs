//! A seeded simulator: the very cores and control side of production, with simulated time, network and phones.
//!
//! Everything random comes from one seed, so a history can be run twice, once with a source silenced
//! ([`Simulator::silence_words`]), and every packet to every listener compared byte for byte, times included.

mod browser;
mod phone;
mod probe;
mod stepped;
mod voice;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use audio::Format;

pub use crate::net::virtual_net::Departed;
pub use phone::{Path, PhoneId, PhoneSetup, Voice};
pub(crate) use probe::Probe;
pub use probe::{Encode, Mixed};
pub use stepped::Stepped;

use crate::config::MediaConfig;
use crate::leg::rtp;
use crate::leg::{Carrier, LegSetup};
use crate::net::Socket;
use crate::net::virtual_net::{SharedWorld, VirtualNet};
use crate::plane::{Collector, Platform};
use crate::random::Random;
use crate::shard::ShardCore;
use crate::{Fact, FactReceiver, LegId, MediaError, MediaPlane, Pending};
use browser::Browser;
use phone::Phone;
use voice::Ear;

/// UTC of the simulation's start, µs since 1970.
pub const UTC_ZERO: i64 = 1_700_000_000_000_000;

/// First port of the transports of browsers.
const FIRST_BROWSER: u16 = 50_000;

/// Address that simulated shards send from and receive at.
pub const SERVER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

struct SimPlatform(SharedWorld);

impl Platform for SimPlatform {
    fn now(&self) -> Duration {
        self.0.lock().now
    }

    fn bind(&self, address: SocketAddr) -> std::io::Result<Socket> {
        self.0.bind(address.port()).map(Socket::Virtual)
    }
}

/// An RTP packet that reached a simulated phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardPacket {
    /// When it left the shard.
    pub at: Duration,
    /// RTP marker.
    pub marker: bool,
    /// RTP payload type.
    pub payload_type: u8,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP SSRC.
    pub ssrc: u32,
    /// Payload.
    pub payload: Vec<u8>,
}

/// The port that a plain leg receives at; 0 for a path.
#[must_use]
pub fn rtp_port(setup: &LegSetup) -> u16 {
    match &setup.carrier {
        Carrier::Rtp { ports, .. } => ports.rtp_addr().port(),
        Carrier::Path(_) => 0,
    }
}

/// Shards in lockstep, a network, and phones.
pub struct Simulator {
    plane: MediaPlane,
    cores: Vec<ShardCore>,
    collector: Collector,
    facts: FactReceiver,
    world: SharedWorld,
    net: VirtualNet,
    phones: Vec<Phone>,
    browsers: Vec<Browser>,
    /// Shards that stand still until then.
    stalled: Vec<Duration>,
    /// Phones' own, beside the plane's.
    seed: u64,
    slot: u64,
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl Simulator {
    /// A plane of `config.shards` shards that runs only when told. Without a seed in `config`, seed 1.
    ///
    /// # Errors
    /// A configuration that cannot work.
    pub fn new(mut config: MediaConfig) -> Result<Self, MediaError> {
        let seed = *config.seed.get_or_insert(1);
        config.bind = SERVER;
        let world = SharedWorld::default();
        let platform = Arc::new(SimPlatform(world.clone()));
        let (plane, cores, collector, facts) = MediaPlane::assemble(config, platform, UTC_ZERO)?;
        let stalled = vec![Duration::ZERO; cores.len()];
        let net = VirtualNet(world.clone());
        Ok(Self {
            plane,
            cores,
            collector,
            facts,
            world,
            net,
            phones: Vec::new(),
            browsers: Vec::new(),
            stalled,
            seed,
            slot: 0,
        })
    }

    /// The plane, as production code uses it.
    #[must_use]
    pub fn plane(&self) -> &MediaPlane {
        &self.plane
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        Duration::from_millis(self.slot)
    }

    /// Lets `time` pass, in steps of 1 ms.
    pub fn run(&mut self, time: Duration) {
        for _ in 0..time.as_millis() {
            self.step();
        }
    }

    /// Lets [`Self::run`] pass that many ms.
    pub fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    fn step(&mut self) {
        let now = self.now();
        self.world.lock().now = now;
        for phone in &mut self.phones {
            phone.speak(now, &self.world);
        }
        for browser in &mut self.browsers {
            browser.deliver(now, &self.world);
        }
        for (core, until) in self.cores.iter_mut().zip(&self.stalled) {
            // Deadlines decide, as in production: after a stall as many sub-slots follow as the core still owes.
            while *until <= now && core.deadline() <= now {
                core.slot(now, &mut self.net);
            }
        }
        for browser in &mut self.browsers {
            browser.send(now, &self.world);
        }
        self.collector.poll(self.plane.shared());
        self.slot += 1;
    }

    /// Stops a shard for a while, as a machine that stalls would; phones go on talking.
    pub fn stall(&mut self, shard: u16, time: Duration) {
        let end = self.now() + time;
        if let Some(until) = self.stalled.get_mut(usize::from(shard)) {
            *until = end;
        }
    }

    /// Runs until an answer is here; [`MediaError::Stopped`] if none comes within 5 s of simulated time.
    ///
    /// # Errors
    /// The answer's own.
    pub fn wait<T>(&mut self, mut pending: Pending<T>) -> Result<T, MediaError> {
        for _ in 0..5_000 {
            if let Some(answer) = pending.try_now() {
                return answer;
            }
            self.step();
        }
        Err(MediaError::Stopped)
    }

    /// The facts since the last call.
    pub fn facts(&mut self) -> Vec<Fact> {
        std::iter::from_fn(|| self.facts.try_recv().ok()).collect()
    }

    /// A phone that is not yet called: it sends to nobody.
    pub fn phone(&mut self, setup: PhoneSetup) -> PhoneId {
        let id = PhoneId(self.phones.len());
        // A stream of its own per phone, so that one phone's packets never change another's luck.
        let random = Random::fork(self.seed ^ 0x7068_6f6e_6500, id.0 as u64);
        self.phones.push(Phone::new(setup, random, self.now()));
        id
    }

    /// A leg for a phone, on a shard or wherever, both directions open, and the phone starts sending to it.
    ///
    /// # Errors
    /// No ports, or the plane refuses the leg.
    pub fn call(&mut self, id: PhoneId, shard: Option<u16>) -> Result<LegId, MediaError> {
        let setup = self.leg_setup(id, shard)?;
        let to = rtp_port(&setup);
        let leg = self.plane.add_leg(setup)?;
        self.dial(id, to);
        Ok(leg)
    }

    /// What [`Self::call`] gives the plane, for tests that change it first.
    ///
    /// # Errors
    /// No ports.
    pub fn leg_setup(&mut self, id: PhoneId, shard: Option<u16>) -> Result<LegSetup, MediaError> {
        let ports = self.plane.reserve_ports()?;
        let phone = self.phones.get(id.0).ok_or(MediaError::Config("no such phone"))?;
        let address = phone.setup.address;
        let carrier = Carrier::Rtp { ports, remote: Some(address), remote_rtcp: None, signalling_source: address.ip() };
        Ok(Self::described(&phone.setup, carrier, shard))
    }

    fn described(setup: &PhoneSetup, carrier: Carrier, shard: Option<u16>) -> LegSetup {
        LegSetup {
            telephone_event: setup.telephone_event,
            shard,
            ..LegSetup::new(carrier, setup.format, setup.payload_type)
        }
    }

    /// As [`Self::call`], over a path: the phone is a browser.
    ///
    /// # Errors
    /// The plane refuses the leg.
    pub fn call_browser(&mut self, id: PhoneId, shard: Option<u16>) -> Result<LegId, MediaError> {
        let setup = self.browser_setup(id, shard)?;
        self.plane.add_leg(setup)
    }

    /// What [`Self::call_browser`] gives the plane, for tests that change it first. The phone sends already.
    ///
    /// # Errors
    /// No such phone.
    pub fn browser_setup(&mut self, id: PhoneId, shard: Option<u16>) -> Result<LegSetup, MediaError> {
        let phone = self.phones.get(id.0).ok_or(MediaError::Config("no such phone"))?;
        // Even, as those of legs: what leaves from odd ones is RTCP.
        let port = FIRST_BROWSER + 2 * self.browsers.len() as u16;
        let bound = self.world.bind(port);
        let address = SocketAddr::new(SERVER, port);
        let bound = bound.map_err(|source| MediaError::Socket { address, source })?;
        let (browser, media) = Browser::new(id, phone.setup.address, bound);
        let setup = Self::described(&phone.setup, Carrier::Path(media), shard);
        let to = browser.port();
        self.browsers.push(browser);
        self.dial(id, to);
        Ok(setup)
    }

    /// Ends a browser's transport, as when ICE fails.
    pub fn abandon(&mut self, id: PhoneId) {
        self.browsers.iter_mut().filter(|browser| browser.phone == id).for_each(Browser::abandon);
    }

    /// Makes a browser report loss of what it is sent, in percent.
    pub fn report_loss(&mut self, id: PhoneId, percent: u8) {
        self.browsers.iter_mut().filter(|browser| browser.phone == id).for_each(|browser| browser.set_loss(percent));
    }

    /// Makes a browser's transport so slow that it hands over packets this long after their arrival.
    pub fn set_lag(&mut self, id: PhoneId, lag: Duration) {
        self.browsers.iter_mut().filter(|browser| browser.phone == id).for_each(|browser| browser.set_lag(lag));
    }

    /// Listens in from now on: [`Self::mixed`] and [`Self::encodes`] collect.
    pub fn listen_in(&mut self) {
        for core in &mut self.cores {
            *core.probe() = Some(Box::default());
        }
    }

    /// What a wide leg was sent since [`Self::listen_in`] or the last call, before the encoder, in order.
    pub fn mixed(&mut self, leg: LegId) -> Vec<Mixed> {
        let mut all = Vec::new();
        for probe in self.cores.iter_mut().filter_map(|core| core.probe().as_deref_mut()) {
            all.extend(probe.mixed.extract_if(.., |mixed| mixed.leg == leg));
        }
        all.sort_by_key(|mixed| mixed.at);
        all
    }

    /// What Opus encoders in rooms encoded since [`Self::listen_in`] or the last call, in order on each shard.
    pub fn encodes(&mut self) -> Vec<Encode> {
        let probes = self.cores.iter_mut().filter_map(|core| core.probe().as_deref_mut());
        probes.flat_map(|probe| std::mem::take(&mut probe.encodes)).collect()
    }

    /// Makes a phone send to one of the server's ports from now on.
    pub fn dial(&mut self, id: PhoneId, port: u16) {
        let now = self.now();
        self.change(id, |phone| phone.start(port, now));
    }

    /// Changes what a phone says from now on.
    pub fn say(&mut self, id: PhoneId, voice: Voice) {
        self.change(id, |phone| phone.say(voice));
    }

    /// Replaces every payload of a phone by silence words, everything else unchanged: the other half of a twin run. A phone whose
    /// format has memory forgets here what it said before, on or off.
    pub fn silence_words(&mut self, id: PhoneId, on: bool) {
        self.change(id, |phone| phone.silence(on));
    }

    /// Changes a phone's way to the server.
    pub fn set_path(&mut self, id: PhoneId, path: Path) {
        self.change(id, |phone| phone.setup.path = path);
    }

    /// Whether a phone sends at all.
    pub fn set_sending(&mut self, id: PhoneId, on: bool) {
        self.change(id, |phone| phone.sending = on);
    }

    /// Holds a phone's packets up in the network for a while; then all arrive at once.
    pub fn freeze(&mut self, id: PhoneId, time: Duration) {
        let until = self.now() + time;
        self.change(id, |phone| phone.frozen_until = until);
    }

    /// Makes a phone send from another address, as after a NAT rebinding.
    pub fn move_phone(&mut self, id: PhoneId, address: SocketAddr) {
        self.change(id, |phone| phone.address = address);
    }

    /// Gives a phone's stream a new SSRC, sequence and timestamp.
    pub fn restart_stream(&mut self, id: PhoneId) {
        self.change(id, Phone::restart_stream);
    }

    /// Jumps a phone's timestamps by so many samples, with a marker.
    pub fn jump_timestamp(&mut self, id: PhoneId, samples: u32) {
        self.change(id, |phone| phone.jump(samples));
    }

    /// Changes a phone's format and payload type, as after a re-INVITE.
    pub fn set_codec(&mut self, id: PhoneId, format: impl Into<Format>, payload_type: u8) {
        let format = format.into();
        self.change(id, |phone| phone.set_format(format, payload_type));
    }

    /// Presses a key on a phone for a time (RFC 4733).
    pub fn press(&mut self, id: PhoneId, digit: char, time: Duration) {
        self.change(id, |phone| phone.press(digit, time));
    }

    fn change(&mut self, id: PhoneId, act: impl FnOnce(&mut Phone)) {
        if let Some(phone) = self.phones.get_mut(id.0) {
            act(phone);
        }
    }

    /// Throws a datagram at one of the server's ports; it arrives at once.
    pub fn throw(&mut self, from: SocketAddr, to: u16, bytes: Vec<u8>) {
        self.world.launch(from, to, self.now(), bytes);
    }

    /// Datagrams turned away before any leg saw them: by connected sockets, or full buffers.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.world.lock().refused
    }

    /// Everything ever sent to a phone's announced IP, RTP and RTCP, in order.
    #[must_use]
    pub fn sent_to(&self, id: PhoneId) -> Vec<Departed> {
        let Some(phone) = self.phones.get(id.0) else { return Vec::new() };
        let to = phone.setup.address.ip();
        self.world.lock().departed.iter().filter(|d| d.to.ip() == to).cloned().collect()
    }

    /// The RTP among it.
    #[must_use]
    pub fn heard(&self, id: PhoneId) -> Vec<HeardPacket> {
        let rtp_only = |d: &Departed| {
            let packet = rtp::parse(&d.bytes).filter(|_| d.from.is_multiple_of(2))?;
            Some(HeardPacket {
                at: d.at,
                marker: packet.marker,
                payload_type: packet.payload_type,
                sequence: packet.sequence,
                timestamp: packet.timestamp,
                ssrc: packet.ssrc,
                payload: packet.payload.to_vec(),
            })
        };
        self.sent_to(id).iter().filter_map(rtp_only).collect()
    }

    /// The sound among it since a moment, decoded to the format's sampling rate; packets of other payload types left out. Of formats with
    /// memory, what was not sent is silence, from the first packet after `since` on less what was left out before it.
    #[must_use]
    pub fn samples(&self, id: PhoneId, since: Duration) -> Vec<i16> {
        let Some(phone) = self.phones.get(id.0) else { return Vec::new() };
        let (format, kind) = (phone.setup.format, phone.setup.payload_type);
        let mut ear = Ear::new(format);
        let mut samples = Vec::new();
        let mut next: Option<u32> = None;
        for packet in self.heard(id).iter().filter(|p| p.payload_type == kind) {
            // One with memory has to hear everything.
            if packet.at < since && !format.has_memory() {
                continue;
            }
            let gap =
                next.map_or(0, |next| packet.timestamp.wrapping_sub(next) as usize / format.timestamp_step() as usize);
            next = Some(packet.timestamp.wrapping_add(format.timestamp_step()));
            let frame = ear.decode(&packet.payload);
            if packet.at >= since {
                if format.has_memory() && gap < 1_000 {
                    samples.extend(std::iter::repeat_n(0, gap * format.samples_per_tick()));
                }
                samples.extend(frame);
            }
        }
        samples
    }

    /// Forgets what was sent so far, to save memory in long runs.
    pub fn forget_sent(&mut self) {
        self.world.lock().departed.clear();
    }
}
