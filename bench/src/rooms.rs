//! The server under test: a media plane with one pinned shard, and rooms of three on plain RTP legs.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use media::{
    Applied, BusId, Carrier, Codec, JitterConfig, LegId, LegSetup, MediaConfig, MediaError, MediaPlane, Pending, Plan,
    PlanListener, PlanSource, RoomChange, RoomId, ShardMetrics, SourceRef,
};

use crate::failure::{Failure, Result, Tried};
use crate::generator::{Phones, SERVER};
use crate::os;

/// Members of each room: customer, agent, supervisor.
pub const MEMBERS: usize = 3;
/// How long the plane may take for anything.
const PATIENCE: u64 = 20;
/// Changes under way at once.
const UNDER_WAY: usize = 64;

/// How a room's members hear each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// All hear all: one bus.
    Plain,
    /// The supervisor is heard by the agent alone: two buses.
    Coached,
    /// The supervisor is heard by nobody.
    Monitored,
}

/// One room.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Its name.
    pub id: RoomId,
    /// Customer, agent, supervisor.
    pub legs: [LegId; MEMBERS],
}

/// A plane with rooms.
pub struct Rooms {
    plane: MediaPlane,
    /// The rooms.
    pub rooms: Vec<Room>,
    revision: u64,
    shard_thread: u32,
}

/// Threads of this process by name.
pub fn thread_named(name: &str) -> Option<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    tasks.flatten().find_map(|task| {
        let is = std::fs::read_to_string(task.path().join("comm")).ok()?.trim() == name;
        if is { task.file_name().to_str()?.parse().ok() } else { None }
    })
}

const SHARD: &str = "media-0";
const COLLECTOR: &str = "media-facts";

impl Rooms {
    /// Starts a plane with its shard on a CPU, and opens rooms of three for these phones; answers the ports of their legs.
    ///
    /// # Errors
    /// The plane refuses.
    pub fn open(cpu: usize, phones: &Phones, hearing: Hearing, jitter: JitterConfig) -> Result<(Self, Vec<u16>)> {
        let config = MediaConfig {
            shards: 1,
            bind: IpAddr::V4(SERVER),
            ports: 16_384..=59_999,
            port_rest: Duration::from_millis(1),
            jitter,
            max_legs_per_shard: phones.legs.len().max(8_192),
            max_rooms_per_shard: phones.legs.len().max(4_096),
            pin_cpus: vec![cpu],
            ..MediaConfig::default()
        };
        let (plane, mut facts) = MediaPlane::start(config)?;
        let drain = move || while facts.blocking_recv().is_some() {};
        std::thread::Builder::new().name("facts".to_owned()).spawn(drain).tried("a thread for facts")?;
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        let shard_thread = loop {
            match thread_named(SHARD) {
                Some(number) => break number,
                None if Instant::now() > deadline => return Err(Failure::Silent(PATIENCE)),
                None => std::thread::yield_now(),
            }
        };
        let mut rooms = Self { plane, rooms: Vec::new(), revision: 0, shard_thread };
        let ports = rooms.fill(phones)?;
        rooms.set(hearing)?;
        Ok((rooms, ports))
    }

    fn fill(&mut self, phones: &Phones) -> Result<Vec<u16>> {
        let mut ports = Vec::with_capacity(phones.legs.len());
        let mut pending = Vec::new();
        for members in phones.legs.chunks_exact(MEMBERS) {
            let id = patiently(|| self.plane.open_room())?;
            let mut legs = Vec::with_capacity(MEMBERS);
            for phone in members {
                let (leg, port) = self.add_leg(*phone, phones.reports)?;
                ports.push(port);
                legs.push(leg);
            }
            let Ok(legs) = <[LegId; MEMBERS]>::try_from(legs) else { continue };
            let room = Room { id, legs };
            let change =
                RoomChange { plan: plan(&room, 1, Hearing::Monitored), join: legs.to_vec(), ..RoomChange::default() };
            pending.push(self.plane.change_room(id, change));
            if pending.len() >= UNDER_WAY {
                wait_all(&mut pending)?;
            }
            self.rooms.push(room);
        }
        wait_all(&mut pending)?;
        self.revision = 1;
        Ok(ports)
    }

    fn add_leg(&self, phone: SocketAddr, reports: SocketAddr) -> Result<(LegId, u16)> {
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        loop {
            let ports = self.plane.reserve_ports()?;
            let port = ports.rtp_addr().port();
            let carrier =
                Carrier::Rtp { ports, remote: Some(phone), remote_rtcp: Some(reports), signalling_source: phone.ip() };
            let setup = LegSetup {
                telephone_event: Some(101),
                shard: Some(0),
                ..LegSetup::new(carrier, Codec::Pcmu.into(), 0)
            };
            match self.plane.add_leg(setup) {
                Ok(leg) => return Ok((leg, port)),
                Err(MediaError::Busy(_)) if Instant::now() < deadline => std::thread::yield_now(),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Changes who hears whom in every room, and waits until all shards have applied it.
    ///
    /// # Errors
    /// The plane refuses.
    pub fn set(&mut self, hearing: Hearing) -> Result<()> {
        let mut pending = Vec::new();
        self.revision += 1;
        for room in &self.rooms {
            pending.push(self.ask(room, self.revision, hearing));
            if pending.len() >= UNDER_WAY {
                wait_all(&mut pending)?;
            }
        }
        wait_all(&mut pending)
    }

    /// Changes one room. Revisions of a room must grow.
    pub fn ask(&self, room: &Room, revision: u64, hearing: Hearing) -> Pending<Applied> {
        self.plane.change_room(room.id, RoomChange { plan: plan(room, revision, hearing), ..RoomChange::default() })
    }

    /// The revision of the last change of all rooms.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The shard's thread.
    pub fn shard_thread(&self) -> u32 {
        self.shard_thread
    }

    /// CPU time of the control side's collector so far.
    pub fn collector_cpu(&self) -> Duration {
        thread_named(COLLECTOR).and_then(|number| os::thread_cpu(number).ok()).unwrap_or_default()
    }

    /// The shard's counters.
    pub fn metrics(&self) -> ShardMetrics {
        self.plane.metrics().shards.into_iter().next().unwrap_or_default()
    }

    /// Ends the plane and waits until its shard is gone and its ports are closed.
    ///
    /// # Errors
    /// It does not end.
    pub fn close(self) -> Result<()> {
        drop(self.plane);
        let deadline = Instant::now() + Duration::from_secs(PATIENCE);
        while thread_named(SHARD).is_some() {
            if Instant::now() > deadline {
                return Err(Failure::Silent(PATIENCE));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

fn patiently<T>(mut ask: impl FnMut() -> std::result::Result<T, MediaError>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    loop {
        match ask() {
            Err(MediaError::Busy(_)) if Instant::now() < deadline => std::thread::yield_now(),
            other => return Ok(other?),
        }
    }
}

/// Waits until all are applied.
///
/// # Errors
/// One is refused, or the plane is silent.
pub fn wait_all(pending: &mut Vec<Pending<Applied>>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    for mut answer in pending.drain(..) {
        loop {
            match answer.try_now() {
                Some(answer) => break answer.map(|_| ())?,
                None if Instant::now() > deadline => return Err(Failure::Silent(PATIENCE)),
                None => std::thread::sleep(Duration::from_micros(200)),
            }
        }
    }
    Ok(())
}

/// Who hears whom in a room.
pub fn plan(room: &Room, revision: u64, hearing: Hearing) -> Plan {
    let [customer, agent, supervisor] = room.legs;
    let source = |leg, bus| PlanSource { source: SourceRef::Leg(leg), bus: BusId(bus), relay_digits: false };
    let ear = |leg: LegId, buses: &[u16]| PlanListener {
        ear: leg.into(),
        buses: buses.iter().map(|bus| BusId(*bus)).collect(),
    };
    let public = [source(customer, 0), source(agent, 0)];
    let (buses, third): (u16, Option<PlanSource>) = match hearing {
        Hearing::Plain => (1, Some(source(supervisor, 0))),
        Hearing::Coached => (2, Some(source(supervisor, 1))),
        Hearing::Monitored => (1, None),
    };
    let agent_hears: &[u16] = if hearing == Hearing::Coached { &[0, 1] } else { &[0] };
    Plan {
        revision,
        buses,
        sources: public.into_iter().chain(third).collect(),
        listeners: vec![ear(customer, &[0]), ear(agent, agent_hears), ear(supervisor, &[0])],
    }
}
