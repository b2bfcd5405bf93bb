//! The server under test: a media plane with one shard and a WebRTC engine with one thread, both on one CPU, and rooms of three browsers.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use audio::OpusConfig;
use media::{LegSetup, MediaConfig, MediaPlane, RoomChange, ShardMetrics};
use webrtc::{Address, Answered, Events, Peer, WebRtc, WebRtcConfig, Wish};

use super::callers::{Callers, Talk};
use crate::failure::{Failure, Result, Tried};
use crate::generator::{Ran, SERVER};
use crate::noise::{CpuTimes, Noise};
use crate::os;
use crate::rooms::{Hearing, MEMBERS, Room, plan, thread_named, wait_all};

/// Legs that are connected at once.
const BATCH: usize = 30;
/// Between an order and the first packet, ns.
const NOTICE: u64 = 30_000_000;
const PATIENCE: Duration = Duration::from_secs(20);
/// More legs than any part asks for.
const MOST: usize = 4_096;

/// CPU time of the server's threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// The media thread.
    pub media: Duration,
    /// The WebRTC thread.
    pub webrtc: Duration,
}

/// What a stretch of talking showed.
pub struct Stretch {
    /// What came back.
    pub ran: Ran,
    /// CPU time while counting.
    pub cpu: Cpu,
    /// What the shard counted meanwhile.
    pub counted: Counted,
    /// The noise meanwhile.
    pub noise: Noise,
}

/// Counters of the shard that matter here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    /// Ticks in which a leg was decoded or concealed.
    pub decodes: u64,
    /// Mixes with sound encoded.
    pub encodes: u64,
    /// Frames of silence encoded.
    pub silences: u64,
    /// Different mixes with sound, by the server's own count.
    pub distinct: u64,
    /// Encoders reset.
    pub resets: u64,
    /// Packets sent.
    pub sent: u64,
    /// Packets that found a path full.
    pub dropped: u64,
    /// Sub-slots skipped.
    pub skipped: u64,
}

impl Counted {
    fn of(metrics: &ShardMetrics) -> Self {
        Self {
            decodes: metrics.decodes,
            encodes: metrics.wide_encodes,
            silences: metrics.silence_encodes,
            distinct: metrics.distinct_mixes,
            resets: metrics.encoder_resets,
            sent: metrics.rtp_sent,
            dropped: metrics.path_dropped,
            skipped: metrics.skipped_slots,
        }
    }

    fn since(self, before: Self) -> Self {
        Self {
            decodes: self.decodes - before.decodes,
            encodes: self.encodes - before.encodes,
            silences: self.silences - before.silences,
            distinct: self.distinct - before.distinct,
            resets: self.resets - before.resets,
            sent: self.sent - before.sent,
            dropped: self.dropped - before.dropped,
            skipped: self.skipped - before.skipped,
        }
    }
}

/// What connecting some legs took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connecting {
    /// Legs connected.
    pub legs: usize,
    /// CPU time of the WebRTC thread: ICE and DTLS.
    pub webrtc: Duration,
    /// CPU time of reading offers and writing answers.
    pub answering: Duration,
}

/// A server with browsers.
pub struct Stage {
    plane: MediaPlane,
    engine: WebRtc,
    runtime: tokio::runtime::Runtime,
    // Calls live as long as these.
    kept: Vec<(Peer, Events)>,
    rooms: Vec<Room>,
    hearing: Hearing,
    media_thread: u32,
    webrtc_thread: u32,
}

impl Stage {
    /// Starts it: its two threads on one CPU, all else on the other.
    ///
    /// # Errors
    /// The plane or the engine refuses.
    pub fn open(server_cpu: usize, load_cpu: usize, hearing: Hearing, lite: bool, opus: OpusConfig) -> Result<Self> {
        let config = MediaConfig {
            shards: 1,
            bind: IpAddr::V4(SERVER),
            max_legs_per_shard: MOST,
            max_rooms_per_shard: MOST,
            max_wide_legs: MOST,
            opus_bitrate: opus.bitrate,
            opus_complexity: opus.complexity,
            pin_cpus: vec![server_cpu],
            ..MediaConfig::default()
        };
        let (plane, mut facts) = MediaPlane::start(config)?;
        let drain = move || while facts.blocking_recv().is_some() {};
        std::thread::Builder::new().name("facts".to_owned()).spawn(drain).tried("a thread for facts")?;
        let config = WebRtcConfig {
            addresses: vec![Address::of(SERVER.into())],
            tcp: false,
            lite,
            clock: Instant::now().checked_sub(plane.now()).unwrap_or_else(Instant::now),
            max_peers: MOST,
            max_half_open: MOST,
            ..WebRtcConfig::default()
        };
        // What a thread starts inherits its CPU.
        os::pin(server_cpu).tried("pinning the server")?;
        let engine = WebRtc::start(config);
        os::pin(load_cpu).tried("pinning the load")?;
        let engine = engine?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().tried("a runtime")?;
        let (media_thread, webrtc_thread) = (thread("media-0")?, thread("webrtc-0")?);
        Ok(Self { plane, engine, runtime, kept: Vec::new(), rooms: Vec::new(), hearing, media_thread, webrtc_thread })
    }

    /// Legs that are connected.
    pub fn legs(&self) -> usize {
        self.rooms.len() * MEMBERS
    }

    /// CPU time so far.
    ///
    /// # Errors
    /// A thread has ended.
    pub fn cpu(&self) -> Result<Cpu> {
        let of = |thread| os::thread_cpu(thread).tried("reading the server's CPU time");
        Ok(Cpu { media: of(self.media_thread)?, webrtc: of(self.webrtc_thread)? })
    }

    /// Brings as many more callers into rooms of three that there are `legs`.
    ///
    /// # Errors
    /// One does not connect.
    pub fn fill(&mut self, callers: &mut Callers, legs: usize) -> Result<Connecting> {
        let mut all = Connecting::default();
        while self.legs() < legs {
            let batch = (legs - self.legs()).min(BATCH).next_multiple_of(MEMBERS);
            let (done, answered) = self.connect(callers, batch)?;
            all.legs += done.legs;
            all.webrtc += done.webrtc;
            all.answering += done.answering;
            self.seat(answered)?;
        }
        Ok(all)
    }

    /// Connects callers who belong to no room yet.
    ///
    /// # Errors
    /// One does not connect.
    pub fn connect(&mut self, callers: &mut Callers, legs: usize) -> Result<(Connecting, Vec<Answered>)> {
        let offers = callers.offer(legs)?;
        let cpu = self.cpu()?;
        let own = os::thread_cpu(os::thread_id()).unwrap_or_default();
        let mut answered = Vec::with_capacity(legs);
        for offer in &offers {
            let wish = Wish { account: (self.kept.len() + answered.len()) as u128, ..Wish::default() };
            answered.push(self.runtime.block_on(self.engine.answer(offer, wish))?);
        }
        let answering = os::thread_cpu(os::thread_id()).unwrap_or_default().saturating_sub(own);
        callers.connect(answered.iter().map(|answered| answered.sdp.clone()).collect())?;
        let deadline = Instant::now() + PATIENCE;
        while self.engine.counters().half_open > 0 {
            if Instant::now() > deadline {
                return Err(Failure::Silent(PATIENCE.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let webrtc = self.cpu()?.webrtc.saturating_sub(cpu.webrtc);
        Ok((Connecting { legs, webrtc, answering }, answered))
    }

    fn seat(&mut self, answered: Vec<Answered>) -> Result<()> {
        let mut pending = Vec::new();
        let mut legs = Vec::new();
        for Answered { peer, agreed, media, events, .. } in answered {
            let setup = LegSetup { shard: Some(0), ..agreed.leg(media) };
            legs.push(self.plane.add_leg(setup)?);
            self.kept.push((peer, events));
        }
        for legs in legs.chunks_exact(MEMBERS) {
            let Ok(legs) = <[media::LegId; MEMBERS]>::try_from(legs) else { continue };
            let room = Room { id: self.plane.open_room()?, legs };
            let join = legs.to_vec();
            let change = RoomChange { plan: plan(&room, 1, self.hearing), join, ..RoomChange::default() };
            pending.push(self.plane.change_room(room.id, change));
            self.rooms.push(room);
        }
        wait_all(&mut pending)
    }

    /// Lets callers talk for `warm`, then counts for `counted`.
    ///
    /// # Errors
    /// A call or the load is lost.
    pub fn stretch(
        &self,
        callers: &mut Callers,
        (first, legs): (usize, usize),
        warm: Duration,
        counted: Duration,
    ) -> Result<Stretch> {
        let start = os::monotonic() + NOTICE;
        let from = start + warm.as_nanos() as u64;
        let to = from + counted.as_nanos() as u64;
        callers.talk(Talk { first, callers: legs, start, from, to })?;
        os::sleep_until(from);
        let (cpu, before, times) = (self.cpu()?, self.counted(), CpuTimes::now());
        os::sleep_until(to);
        let (after, now, steal) = (self.cpu()?, self.counted(), times.steal_since());
        let ran = callers.talked()?;
        let cpu = Cpu { media: after.media.saturating_sub(cpu.media), webrtc: after.webrtc.saturating_sub(cpu.webrtc) };
        Ok(Stretch { noise: Noise::of(&ran, steal), ran, cpu, counted: now.since(before) })
    }

    fn counted(&self) -> Counted {
        self.plane.metrics().shards.first().map(Counted::of).unwrap_or_default()
    }
}

fn thread(name: &str) -> Result<u32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match thread_named(name) {
            Some(number) => return Ok(number),
            None if Instant::now() > deadline => return Err(Failure::Silent(PATIENCE.as_secs())),
            None => std::thread::yield_now(),
        }
    }
}
