//! The control side: what the rest of the house calls. Nothing here blocks on a shard.

mod collector;
mod compile;
mod directory;
mod pending;
pub(crate) mod threads;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

pub(crate) use collector::Collector;
pub(crate) use directory::Directory;
pub use pending::Pending;

use crate::config::MediaConfig;
use crate::leg::{Extras, LANES, Leg, LegSetup, LegStats, LegUpdate, Refit};
use crate::meter::Meter;
use crate::metrics::MediaMetrics;
use crate::net::Socket;
use crate::player::{Play, PlayChange, PlayerChange, Track};
use crate::ports::Allocator;
use crate::random::Random;
use crate::shard::command::{Applied, LegOp, Playing};
use crate::shard::{ShardCore, ShardEnds};
use crate::tap::{self, TapReader, TapSetup};
use crate::{Fact, LegId, MediaError, Plan, PlayId, PlayerId, Ports, RoomId, TapId};

/// Facts, as they come. Not reading them delays facts, never audio or answers.
pub type FactReceiver = tokio::sync::mpsc::Receiver<Fact>;

/// Taps on a leg, and on a room, at most.
pub(crate) const MAX_LEG_TAPS: usize = 8;
pub(crate) const MAX_ROOM_TAPS: usize = 32;

/// A change of a room; applied whole between two of its ticks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RoomChange {
    /// The hearing from then on.
    pub plan: Plan,
    /// Legs that enter, from nowhere or from another room (which they leave in the same motion), on whatever shard.
    pub join: Vec<LegId>,
    /// Legs that leave; they live on without a room.
    pub leave: Vec<LegId>,
    /// Private players (lane 0) of legs in the room, or leaving it.
    pub plays: Vec<(LegId, PlayChange)>,
    /// Players of the room.
    pub players: Vec<(PlayerId, PlayerChange)>,
}

/// Where ports and time come from: the operating system, or a simulator.
pub(crate) trait Platform: Send + Sync {
    /// Monotonic, since the plane's zero.
    fn now(&self) -> Duration;
    fn bind(&self, address: SocketAddr) -> std::io::Result<Socket>;
}

pub(crate) struct Shared {
    pub config: MediaConfig,
    pub directory: Mutex<Directory>,
    allocator: Arc<Allocator>,
    platform: Arc<dyn Platform>,
    next_id: AtomicU64,
    seed: u64,
    pub busy: AtomicU64,
    pub facts_waiting: AtomicU64,
    pub stop: Arc<AtomicBool>,
    pub collector: OnceLock<std::thread::Thread>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Directory> {
        self.directory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(thread) = self.collector.get() {
            thread.unpark();
        }
    }

    /// Closes a tap whose reader has gone.
    pub(crate) fn close_dropped_tap(&self, tap: TapId) {
        let (reply, _) = Pending::new();
        // If the ring is full it stays until its leg or room ends: it costs a frame that nobody reads.
        let _ = self.lock().close_tap(tap, reply);
        self.wake();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }
}

/// The media plane. Clones drive the same shards; when the last is dropped, the shards stop.
#[derive(Clone)]
pub struct MediaPlane {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for MediaPlane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MediaPlane").field("shards", &self.shared.config.shards).finish_non_exhaustive()
    }
}

impl MediaPlane {
    /// Starts one thread per shard and one that collects what they tell.
    ///
    /// # Errors
    /// A configuration that cannot work, or a thread that could not be started.
    pub fn start(config: MediaConfig) -> Result<(Self, FactReceiver), MediaError> {
        threads::start(config)
    }

    /// Builds the plane and its shards without running them.
    pub(crate) fn assemble(
        config: MediaConfig,
        platform: Arc<dyn Platform>,
        utc_zero: i64,
    ) -> Result<(Self, Vec<ShardCore>, Collector, FactReceiver), MediaError> {
        config.check()?;
        let allocator = Allocator::new(config.bind, config.ports.clone(), config.port_rest, platform.clone())?;
        let allocator = Arc::new(allocator);
        let mut cores = Vec::new();
        let mut ends: Vec<ShardEnds> = Vec::new();
        for id in 0..config.shards {
            let (core, end) = ShardCore::new(id as u16, &config, utc_zero)?;
            cores.push(core);
            ends.push(end);
        }
        let (facts, receiver) = tokio::sync::mpsc::channel(config.fact_capacity);
        let mut ups = Vec::new();
        let mut dispatchers = Vec::new();
        for end in ends {
            ups.push((end.up, end.notes));
            dispatchers.push(directory::Dispatcher::new(end.commands, end.counters, &config));
        }
        let collector = Collector::new(ups, facts, config.fact_capacity);
        let shared = Shared {
            directory: Mutex::new(Directory::new(dispatchers, &config)),
            allocator,
            platform,
            next_id: AtomicU64::new(1),
            seed: config.seed.unwrap_or_else(|| Random::from_system().next()),
            busy: AtomicU64::new(0),
            facts_waiting: AtomicU64::new(0),
            stop: Arc::new(AtomicBool::new(false)),
            collector: OnceLock::new(),
            config,
        };
        Ok((Self { shared: Arc::new(shared) }, cores, collector, receiver))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn count<T>(&self, result: Result<T, MediaError>) -> Result<T, MediaError> {
        if matches!(result, Err(MediaError::Busy(_))) {
            self.shared.busy.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.wake();
        result
    }

    fn new_id(&self) -> u64 {
        self.shared.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Binds an even RTP port and the odd RTCP port after it. Dropping the pair gives it back; it rests before its next use.
    ///
    /// # Errors
    /// No free pair, or the system refuses sockets.
    pub fn reserve_ports(&self) -> Result<Ports, MediaError> {
        self.shared.allocator.reserve()
    }

    /// Adds a leg without a room: it is received and sent from its next tick on, and hears only its private player.
    ///
    /// # Errors
    /// [`MediaError::Busy`], [`MediaError::Limit`] or [`MediaError::Codec`]; the ports are given back.
    pub fn add_leg(&self, setup: LegSetup) -> Result<LegId, MediaError> {
        let id = LegId(self.new_id());
        let shard = setup.shard;
        let leg = Box::new(Leg::new(id, setup, &self.shared.config, self.shared.seed)?);
        let added = self.shared.lock().add_leg(id, leg, shard);
        self.count(added.map(|()| id))
    }

    fn leg_op<T>(&self, id: LegId, op: impl FnOnce(crate::shard::command::Reply<T>) -> LegOp) -> Pending<T> {
        let (reply, pending) = Pending::new();
        let sent = self.shared.lock().leg_op(id, op(reply));
        match self.count(sent) {
            Ok(()) => pending,
            Err(error) => Pending::failed(error),
        }
    }

    /// Changes a leg as a re-INVITE says. SSRC, sequence and timestamps of what we send stay continuous.
    pub fn update_leg(&self, leg: LegId, update: LegUpdate) -> Pending<Applied> {
        let was_wide = self.shared.lock().is_wide(leg);
        let refit = match Refit::new(update, was_wide, &self.shared.config) {
            Ok(refit) => Box::new(refit),
            Err(error) => return Pending::failed(error),
        };
        let (reply, pending) = Pending::new();
        let sent = self.shared.lock().update_leg(leg, refit, reply);
        match self.count(sent) {
            Ok(()) => pending,
            Err(error) => Pending::failed(error),
        }
    }

    /// How loud a leg is, from its next tick on.
    ///
    /// # Errors
    /// [`MediaError::NoLeg`] or [`MediaError::Busy`].
    pub fn meter(&self, leg: LegId) -> Result<Meter, MediaError> {
        let meter = self.shared.lock().meter(leg);
        self.count(meter)
    }

    /// Time since the plane's zero: the clock of [`crate::PathPacket::arrival`].
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.platform.now()
    }

    /// Removes a leg, from its room too, says goodbye by RTCP, closes its ports; answers its final counters.
    pub fn remove_leg(&self, leg: LegId) -> Pending<LegStats> {
        let (reply, pending) = Pending::new();
        let sent = self.shared.lock().remove_leg(leg, reply);
        match self.count(sent) {
            Ok(()) => pending,
            Err(error) => Pending::failed(error),
        }
    }

    /// The counters of a leg now.
    pub fn leg_stats(&self, leg: LegId) -> Pending<LegStats> {
        self.leg_op(leg, |reply| LegOp::Stats(None, reply))
    }

    /// Opens an empty room on the shard with the fewest legs and rooms. It costs nothing until a leg enters.
    ///
    /// # Errors
    /// [`MediaError::Busy`] or [`MediaError::Limit`].
    pub fn open_room(&self) -> Result<RoomId, MediaError> {
        let id = RoomId(self.new_id());
        let opened = self.shared.lock().open_room(id, None);
        self.count(opened.map(|()| id))
    }

    /// Opens an empty room on a given shard.
    ///
    /// # Errors
    /// As [`Self::open_room`]; [`MediaError::Config`] if there is no such shard.
    pub fn open_room_on(&self, shard: u16) -> Result<RoomId, MediaError> {
        let id = RoomId(self.new_id());
        let opened = self.shared.lock().open_room(id, Some(shard));
        self.count(opened.map(|()| id))
    }

    /// Closes a room after the changes before it; its legs live on without a room.
    pub fn close_room(&self, room: RoomId) -> Pending<Applied> {
        let (reply, pending) = Pending::new();
        let sent = self.shared.lock().close_room(room, reply);
        match self.count(sent) {
            Ok(()) => pending,
            Err(error) => Pending::failed(error),
        }
    }

    /// Changes a room. The request is on its way when this returns; changes of a room are applied in the order of the calls,
    /// and the answer comes when the shard has applied it, so a caller need not wait before the next.
    ///
    /// A leg that should leave, or play, and is not in the room is passed over. Errors of the answer: [`MediaError::Busy`],
    /// [`MediaError::BadPlan`], [`MediaError::Limit`], [`MediaError::NoLeg`] (of a leg that enters), [`MediaError::NoRoom`] and
    /// [`MediaError::StalePlan`] changed nothing.
    pub fn change_room(&self, room: RoomId, change: RoomChange) -> Pending<Applied> {
        let (reply, pending) = Pending::new();
        let sent = self.shared.lock().change_room(room, change, reply);
        match self.count(sent) {
            Ok(()) => pending,
            Err(error) => Pending::failed(error),
        }
    }

    /// Starts the leg's first private player (lane 0), replacing what it plays: heard by this leg alone, whatever any plan says.
    pub fn play(&self, leg: LegId, play: Play) -> Pending<Applied> {
        self.play_on(leg, 0, play)
    }

    /// Stops the leg's first private player, if it plays `which` (`None`: whatever it plays).
    pub fn stop_play(&self, leg: LegId, which: Option<PlayId>) -> Pending<Applied> {
        self.stop_lane(leg, 0, which)
    }

    /// Starts a private player on a lane below [`LANES`], replacing what that lane plays. All lanes of a leg, and what it hears of
    /// its room, sound together. [`Fact::PlayEnded`] tells the ends of all lanes: a [`PlayId`] should be unique on its leg.
    ///
    /// Errors: [`MediaError::Limit`] if there is no such lane, [`MediaError::NoLeg`], [`MediaError::Busy`].
    pub fn play_on(&self, leg: LegId, lane: u8, play: Play) -> Pending<Applied> {
        if lane >= LANES {
            return Pending::failed(MediaError::Limit { what: "lanes of a leg", limit: usize::from(LANES) });
        }
        let spare = (lane > 0).then(Extras::new);
        let playing = Playing { lane, track: Some(Track::new(play)), spare };
        self.leg_op(leg, |reply| LegOp::Play(playing, reply))
    }

    /// Stops a lane, if it plays `which` (`None`: whatever it plays).
    pub fn stop_lane(&self, leg: LegId, lane: u8, which: Option<PlayId>) -> Pending<Applied> {
        self.leg_op(leg, |reply| LegOp::Stop(lane, which, None, reply))
    }

    /// Opens a tap. On a leg it hears at once what needs no plan; what else it hears, plans say ([`crate::Ear::Tap`]), and as any
    /// listener who comes it hears only packets that arrived since. It ends with its leg or room, or when its reader is dropped.
    ///
    /// # Errors
    /// [`MediaError::NoLeg`], [`MediaError::NoRoom`], [`MediaError::RoomFailed`], [`MediaError::Limit`] and [`MediaError::Busy`].
    pub fn open_tap(&self, setup: TapSetup) -> Result<(TapId, TapReader), MediaError> {
        let id = TapId(self.new_id());
        let (tap, reader) = tap::open(id, setup, Arc::downgrade(&self.shared));
        let opened = self.shared.lock().open_tap(setup.of, tap, Extras::new());
        self.count(opened.map(|()| (id, reader)))
    }

    /// Closes a tap: its reader reads what is left and then sees the end.
    ///
    /// Errors: [`MediaError::NoTap`] if it has ended already, [`MediaError::Busy`].
    pub fn close_tap(&self, tap: TapId) -> Pending<Applied> {
        let (reply, pending) = Pending::new();
        let sent = self.shared.lock().close_tap(tap, reply);
        match self.count(sent) {
            Ok(()) => pending,
            Err(error) => Pending::failed(error),
        }
    }

    /// Sends digits (0–9, *, #, A–D; `w` and `W` wait 0.5 and 1 s) to the far side, in place of audio while they last.
    /// [`Fact::DigitsSent`] tells when all have gone.
    pub fn send_digits(&self, leg: LegId, digits: &str) -> Pending<Applied> {
        let usable = |c: char| audio::dtmf::code_of(c).is_some() || c == 'w' || c == 'W';
        if digits.chars().count() > crate::leg::MAX_DIGITS || !digits.chars().all(usable) {
            return Pending::failed(MediaError::BadDigits(digits.chars().take(160).collect()));
        }
        let digits = digits.to_owned();
        self.leg_op(leg, |reply| LegOp::Digits(digits, false, reply))
    }

    /// A key that the far side pressed, told by signalling: it sounds from this leg as one that came with the media does, where the
    /// plan has digits relayed.
    pub fn relay_digit(&self, leg: LegId, digit: char) -> Pending<Applied> {
        if audio::dtmf::code_of(digit).is_none() {
            return Pending::failed(MediaError::BadDigits(digit.into()));
        }
        self.leg_op(leg, |reply| LegOp::Relay(digit, reply))
    }

    /// The shard a leg is on now, for tests and diagnosis.
    #[must_use]
    pub fn shard_of(&self, leg: LegId) -> Option<u16> {
        self.shared.lock().shard_of(leg)
    }

    /// All counters now.
    #[must_use]
    pub fn metrics(&self) -> MediaMetrics {
        let mut metrics = self.shared.lock().metrics();
        metrics.busy = self.shared.busy.load(Ordering::Relaxed);
        metrics.facts_waiting = self.shared.facts_waiting.load(Ordering::Relaxed);
        metrics
    }

    /// Makes the next tick of a room fail as told.
    ///
    /// # Errors
    /// [`MediaError::NoRoom`] or [`MediaError::Busy`].
    #[cfg(any(test, feature = "mutations"))]
    pub fn inject_fault(&self, room: RoomId, fault: crate::RoomFault) -> Result<(), MediaError> {
        self.shared.lock().inject_fault(room, fault)
    }
}
