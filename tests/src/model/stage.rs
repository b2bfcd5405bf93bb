//! Plays a history on the production path: commands to `conference::Room`, its hearing through `call`'s translation to a plan,
//! the plan through the media plane's dispatcher to its shards, packets in, packets out. The model goes through the same
//! commands beside it and says when who may hear whom; it decides nothing of what is sent.

mod acts;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use audio::{Codec, Concealment};
use call::room::plan::plan_for;
use media::sim::{Departed, HeardPacket, PhoneId, PhoneSetup, Simulator, UTC_ZERO};
use media::{
    Applied, Fact, JitterConfig, LegId, LegStats, MediaConfig, Pending, Play, PlayChange, PlayId, PlayerChange,
    PlayerId, RoomChange, RoomId, Sound,
};

use super::history::{Act, Entrance, History, Way};
use super::layout::{Layout, MOST_PHONES, PLAYERS, PRIVATE};
use super::rule::{House, Listens, Music, Sounds};
use super::talker::{FRAME, Flying, LINEAR, Made, Speech, Talker};
use super::words;

/// How long a change may take from the call to the plane until it holds, ms: legs that change shards take a few.
const SOON: u64 = 12;

/// A promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Simulated ms.
    pub at: u64,
    /// What was seen.
    pub what: String,
}

impl Breach {
    pub(super) fn new(at: u64, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// What holds from a moment on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// ms; packets of this very ms included.
    pub at: u64,
    /// By listening phone: bit per phone whose microphone it may hear.
    pub allow: [u8; MOST_PHONES],
    /// By listening phone: room players it may hear, bit as in [`PLAYERS`].
    pub players: [u8; MOST_PHONES],
    /// Bit per phone whose private player plays.
    pub private: u8,
    /// The room life each phone's call is in.
    pub place: [Option<u32>; MOST_PHONES],
    /// Bit per phone that has come somewhere else, or is another call.
    pub moved: u8,
}

/// How to play.
pub struct Score<'a> {
    /// Noise in G.711 instead of codes.
    pub noise: bool,
    /// Packets of this phone, arriving at this ms, hold silence words.
    pub hush: &'a dyn Fn(usize, u64) -> bool,
    /// Compare the product's rule with the model's after each command.
    pub rule: bool,
}

impl Score<'_> {
    /// Codes, everything compared.
    pub const EXACT: Score<'static> = Score { noise: false, hush: &|_, _| false, rule: true };
    /// Noise.
    pub const NOISE: Score<'static> = Score { noise: true, hush: &|_, _| false, rule: false };
}

/// How often the model's answer was held against the product's where no phone hears it, or seldom.
#[derive(Clone, Copy, Debug, Default)]
pub struct Agreed {
    /// Sources that a tap hears.
    pub tapped: u64,
    /// Members to whom somebody sounds who has not answered.
    pub rung: u64,
    /// Members who prepare in a room that has started.
    pub preparing: u64,
    /// Rooms that time alone ended.
    pub timed: u64,
}

/// A history as it was played.
#[derive(Debug)]
pub struct Played {
    /// The bits of each microphone.
    pub layout: Layout,
    /// What held when, in order.
    pub moments: Vec<Moment>,
    /// By phone: what it sent.
    pub made: Vec<Vec<Made>>,
    /// By phone: when something was not as on a perfect line, in order.
    pub troubles: Vec<Vec<u64>>,
    /// By phone: since when its line is rough.
    pub rough: Vec<Option<u64>>,
    /// By phone: RTP it got.
    pub heard: Vec<Vec<HeardPacket>>,
    /// By phone: all it got.
    pub departed: Vec<Vec<Departed>>,
    /// Commands of the rooms that were obeyed.
    pub obeyed: u32,
    /// What rules were compared for.
    pub compared: Agreed,
    /// How long it was, ms.
    pub length: u64,
}

#[derive(Clone, Copy)]
struct Call {
    leg: LegId,
    port: u16,
    generation: u32,
}

#[derive(Clone, Copy)]
struct Seat {
    room: usize,
    life: u32,
    number: u32,
    generation: u32,
    grace: Option<u64>,
}

/// A call that sounds in a room before it is answered.
#[derive(Clone, Copy)]
struct Ringing {
    room: usize,
    life: u32,
    number: u32,
    generation: u32,
}

struct Life {
    id: u32,
    room: conference::Room,
    house: House,
    media: RoomId,
    revision: u64,
    /// Player numbers with their place in [`PLAYERS`].
    players: VecDeque<(u32, usize)>,
    taps: VecDeque<u32>,
    /// Members of whom the room has told that they take part.
    admitted: Vec<u32>,
}

enum Answer {
    Applied(Pending<Applied>),
    Stats(Pending<LegStats>),
}

/// What holds once an answer is there.
enum Effect {
    Room {
        life: u32,
        joined: Vec<usize>,
        ears: Vec<(usize, u32, u8, u8)>,
        plays: Vec<(usize, u32, bool)>,
    },
    Private {
        phone: usize,
        generation: u32,
        on: bool,
    },
    /// A new call follows so many ms later.
    Gone {
        phone: usize,
        generation: u32,
        rest: u64,
    },
    Closed,
}

struct Flight {
    sent: u64,
    answer: Answer,
    effect: Effect,
}

enum Later {
    NewCall(usize),
    /// The room hears that this member's call is gone.
    Noticed(usize, Seat),
    /// The same of a call that rings.
    RingGone(usize, Ringing),
}

#[derive(Default)]
struct Changes {
    join: Vec<usize>,
    leave: Vec<LegId>,
    plays: Vec<(usize, bool)>,
    players: Vec<(PlayerId, PlayerChange)>,
}

struct Stage<'a> {
    history: &'a History,
    score: &'a Score<'a>,
    layout: Layout,
    sim: Simulator,
    phones: Vec<PhoneId>,
    talkers: Vec<Talker>,
    calls: Vec<Option<Call>>,
    generations: Vec<u32>,
    seats: Vec<Option<Seat>>,
    ringing: Vec<Option<Ringing>>,
    lives: [Option<Life>; 2],
    last_life: u32,
    last_play: u64,
    player_bits: [bool; 2],
    flights: Vec<Flight>,
    later: BTreeMap<u64, Vec<Later>>,
    flying: BTreeMap<u64, Vec<(usize, Flying)>>,
    now: u64,
    obeyed: u32,
    compared: Agreed,
    // What holds: by phone.
    place: [Option<u32>; MOST_PHONES],
    alive: [Option<u32>; MOST_PHONES],
    ears: [(u8, u8); MOST_PHONES],
    private: u8,
    moments: Vec<Moment>,
}

/// Plays a history.
///
/// # Errors
/// The first broken promise that shows before any sound is looked at: rules that differ, changes refused or late.
pub fn play(history: &History, score: &Score<'_>) -> Result<Played, Breach> {
    Stage::new(history, score)?.play()
}

fn address(phone: usize) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, 1 + phone as u8], 4_000))
}

impl<'a> Stage<'a> {
    fn new(history: &'a History, score: &'a Score<'a>) -> Result<Self, Breach> {
        let layout = Layout::new(history.phones());
        let buffers = history.buffers;
        let config = MediaConfig {
            shards: 2,
            ports: 20_000..=20_255,
            port_rest: Duration::from_millis(50),
            jitter: JitterConfig {
                initial: Duration::from_millis(buffers.initial),
                concealment: if buffers.waveform { Concealment::Waveform } else { Concealment::Zero },
                time_scaling: buffers.scaling,
                ..JitterConfig::default()
            },
            command_capacity: 128,
            fact_capacity: 256,
            max_legs_per_shard: 24,
            max_rooms_per_shard: 24,
            max_members_per_room: 8,
            seed: Some(history.seed | 1),
            ..MediaConfig::default()
        };
        let mut sim = Simulator::new(config).map_err(|e| Breach::new(0, e.to_string()))?;
        let count = history.phones();
        let codecs: Vec<Codec> = (0..count)
            .map(|p| match (score.noise, (history.seed as usize + p) % 3) {
                (false, _) => Codec::L16,
                (true, 0) => Codec::Pcma,
                (true, _) => Codec::Pcmu,
            })
            .collect();
        let phones = (0..count)
            .map(|p| {
                let payload_type = codecs[p].static_payload_type().unwrap_or(LINEAR);
                let path = media::sim::Path::default();
                sim.phone(PhoneSetup {
                    address: address(p),
                    format: codecs[p].into(),
                    payload_type,
                    telephone_event: None,
                    path,
                    phase_micros: 0,
                })
            })
            .collect();
        let talkers = history.lines.iter().enumerate().map(|(p, line)| {
            let speech = if score.noise { Speech::Noise(codecs[p]) } else { Speech::Codes(layout) };
            Talker::new(history.seed, p, *line, speech)
        });
        let mut stage = Self {
            history,
            score,
            layout,
            sim,
            phones,
            talkers: talkers.collect(),
            calls: vec![None; count],
            generations: vec![0; count],
            seats: vec![None; count],
            ringing: vec![None; count],
            lives: [None, None],
            last_life: 0,
            last_play: 0,
            player_bits: [false; 2],
            flights: Vec::new(),
            later: BTreeMap::new(),
            flying: BTreeMap::new(),
            now: 0,
            obeyed: 0,
            compared: Agreed::default(),
            place: [None; MOST_PHONES],
            alive: [None; MOST_PHONES],
            ears: [(0, 0); MOST_PHONES],
            private: 0,
            moments: Vec::new(),
        };
        for phone in 0..count {
            stage.new_call(phone)?;
        }
        Ok(stage)
    }

    fn play(mut self) -> Result<Played, Breach> {
        let mut acts = Vec::new();
        let mut at = 0;
        for (gap, act) in &self.history.acts {
            at += gap;
            acts.push((at, act));
        }
        let length = at + self.history.tail;
        let mut acts = acts.into_iter().peekable();
        while self.now < length {
            for later in self.later.remove(&self.now).unwrap_or_default() {
                match later {
                    Later::NewCall(phone) => self.new_call(phone)?,
                    Later::Noticed(phone, seat) => self.noticed(phone, seat)?,
                    Later::RingGone(phone, ringing) => self.ring_gone(phone, ringing)?,
                }
            }
            self.clock()?;
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= self.now) {
                self.act(act)?;
            }
            self.network();
            self.sim.run_ms(1);
            self.land()?;
            self.now += 1;
        }
        if let Some(flight) = self.flights.first()
            && flight.sent + SOON < self.now
        {
            return Err(Breach::new(flight.sent, "a change was never confirmed"));
        }
        for fact in self.sim.facts() {
            if let Fact::RoomFailed { message, .. } | Fact::LegFailed { message, .. } = fact {
                return Err(Breach::new(self.now, format!("a tick failed: {message}")));
            }
        }
        let troubles = self.talkers.iter().map(|t| {
            let mut troubles = t.troubles.clone();
            troubles.sort_unstable();
            troubles
        });
        Ok(Played {
            layout: self.layout,
            moments: self.moments,
            troubles: troubles.collect(),
            rough: self.talkers.iter().map(|t| t.rough).collect(),
            heard: self.phones.iter().map(|p| self.sim.heard(*p)).collect(),
            departed: self.phones.iter().map(|p| self.sim.sent_to(*p)).collect(),
            made: self.talkers.into_iter().map(|t| t.made).collect(),
            obeyed: self.obeyed,
            compared: self.compared,
            length,
        })
    }

    fn network(&mut self) {
        for (phone, talker) in self.talkers.iter_mut().enumerate() {
            // Without a call it talks to nobody, and its stream goes on.
            let port = self.calls[phone].map_or(0, |c| c.port);
            let hush = self.score.hush;
            let flying = &mut self.flying;
            talker.speak(
                self.now,
                port,
                |arrival| hush(phone, arrival),
                |packet| {
                    flying.entry(packet.arrives).or_default().push((phone, packet));
                },
            );
        }
        for (phone, packet) in self.flying.remove(&self.now).unwrap_or_default() {
            if packet.port != 0 {
                self.sim.throw(address(phone), packet.port, packet.bytes);
            }
        }
    }

    fn refused(&self, error: impl std::fmt::Display) -> Breach {
        Breach::new(self.now, format!("refused: {error}"))
    }

    fn new_call(&mut self, phone: usize) -> Result<(), Breach> {
        let shard = Some(self.history.lines[phone].shard);
        let setup = self.sim.leg_setup(self.phones[phone], shard).map_err(|e| self.refused(e))?;
        let port = media::sim::rtp_port(&setup);
        let leg = self.sim.plane().add_leg(setup).map_err(|e| self.refused(e))?;
        self.generations[phone] += 1;
        let generation = self.generations[phone];
        self.calls[phone] = Some(Call { leg, port, generation });
        self.alive[phone] = Some(generation);
        self.talkers[phone].restart(self.now);
        self.record(1 << phone);
        Ok(())
    }

    /// Takes the answers that have come: from this ms on they hold.
    fn land(&mut self) -> Result<(), Breach> {
        let mut landed = Vec::new();
        for (at, flight) in self.flights.iter_mut().enumerate() {
            let answer = match &mut flight.answer {
                Answer::Applied(pending) => pending.try_now().map(|a| a.map(Some)),
                Answer::Stats(pending) => pending.try_now().map(|a| a.map(|_| None)),
            };
            let Some(answer) = answer else {
                if flight.sent + SOON < self.now {
                    return Err(Breach::new(flight.sent, format!("a change does not hold after {SOON} ms")));
                }
                continue;
            };
            match answer {
                Err(error) => return Err(Breach::new(flight.sent, format!("a change was refused: {error}"))),
                Ok(Some(applied)) => {
                    let due = (applied.at_micros - UTC_ZERO) / 1_000 - self.now as i64;
                    if !(0..20).contains(&due) {
                        let what = format!("a change says that it holds {due} ms from now, which is not the next tick");
                        return Err(Breach::new(self.now, what));
                    }
                }
                Ok(None) => {}
            }
            landed.push(at);
        }
        for (gone, at) in landed.into_iter().enumerate() {
            let flight = self.flights.remove(at - gone);
            self.take_effect(flight.effect);
        }
        Ok(())
    }

    fn take_effect(&mut self, effect: Effect) {
        let mut moved = 0;
        match effect {
            Effect::Closed => return,
            Effect::Private { phone, generation, on } => self.set_private(phone, generation, on),
            Effect::Gone { phone, generation, rest } => {
                if self.alive[phone] == Some(generation) {
                    (self.alive[phone], self.place[phone]) = (None, None);
                    self.private &= !(1 << phone);
                    moved |= 1 << phone;
                }
                self.later.entry(self.now + 1 + rest).or_default().push(Later::NewCall(phone));
            }
            Effect::Room { life, joined, ears, plays } => {
                for phone in 0..self.seats.len() {
                    // A call that another room has taken meanwhile is not here, whatever this room still thinks.
                    let here = joined.contains(&phone) || self.place[phone] == Some(life);
                    let entry = ears
                        .iter()
                        .find(|(p, generation, ..)| here && *p == phone && self.alive[phone] == Some(*generation));
                    match entry {
                        Some((_, _, mics, players)) => {
                            if self.place[phone] != Some(life) {
                                moved |= 1 << phone;
                            }
                            self.place[phone] = Some(life);
                            self.ears[phone] = (*mics, *players);
                        }
                        None if self.place[phone] == Some(life) => {
                            self.place[phone] = None;
                            moved |= 1 << phone;
                        }
                        None => {}
                    }
                }
                for (phone, generation, on) in plays {
                    self.set_private(phone, generation, on);
                }
            }
        }
        self.record(moved);
    }

    fn set_private(&mut self, phone: usize, generation: u32, on: bool) {
        if self.alive[phone] == Some(generation) {
            self.private = self.private & !(1 << phone) | u8::from(on) << phone;
        }
    }

    fn record(&mut self, moved: u8) {
        for phone in 0..self.seats.len() {
            if moved >> phone & 1 == 1 {
                self.talkers[phone].trouble(self.now);
            }
        }
        let together = |l: usize| {
            (0..MOST_PHONES)
                .filter(|s| self.place[*s].is_some() && self.place[*s] == self.place[l])
                .map(|s| 1u8 << s)
                .sum::<u8>()
        };
        let here = |l: usize| self.place[l].is_some();
        self.moments.push(Moment {
            at: self.now,
            allow: std::array::from_fn(|l| if here(l) { self.ears[l].0 & together(l) } else { 0 }),
            players: std::array::from_fn(|l| if here(l) { self.ears[l].1 } else { 0 }),
            private: self.private,
            place: self.place,
            moved,
        });
    }
}
