//! Plays a history on the production path: commands to `conference::Room`, its hearing through `call`'s translation to a plan,
//! the plan through the media plane's dispatcher to its shards, packets in, packets out. The model goes through the same
//! commands beside it and says when who may hear whom; it decides nothing of what is sent.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use audio::{Codec, Concealment};
use call::room::plan::plan_for;
use media::sim::{Departed, HeardPacket, PhoneId, PhoneSetup, Simulator, UTC_ZERO};
use media::{
    Applied, Fact, JitterConfig, LegId, LegStats, MediaConfig, Pending, Play, PlayChange, PlayId, PlayerChange, PlayerId, RoomChange,
    RoomId, Sound,
};

use super::history::{Act, Entrance, History, Way};
use super::layout::{Layout, MOST_PHONES, PLAYERS, PRIVATE};
use super::rule::{House, Listens, Sounds};
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
}

enum Answer {
    Applied(Pending<Applied>),
    Stats(Pending<LegStats>),
}

/// What holds once an answer is there.
enum Effect {
    Room { life: u32, joined: Vec<usize>, ears: Vec<(usize, u32, u8, u8)>, plays: Vec<(usize, u32, bool)> },
    Private { phone: usize, generation: u32, on: bool },
    /// A new call follows so many ms later.
    Gone { phone: usize, generation: u32, rest: u64 },
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
    lives: [Option<Life>; 2],
    last_life: u32,
    last_play: u64,
    player_bits: [bool; 2],
    flights: Vec<Flight>,
    later: BTreeMap<u64, Vec<Later>>,
    flying: BTreeMap<u64, Vec<(usize, Flying)>>,
    now: u64,
    obeyed: u32,
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
                sim.phone(PhoneSetup { address: address(p), codec: codecs[p], payload_type, telephone_event: None, path, phase_micros: 0 })
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
            lives: [None, None],
            last_life: 0,
            last_play: 0,
            player_bits: [false; 2],
            flights: Vec::new(),
            later: BTreeMap::new(),
            flying: BTreeMap::new(),
            now: 0,
            obeyed: 0,
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
                }
            }
            while let Some((_, act)) = acts.next_if(|(at, _)| *at <= self.now) {
                self.act(act)?;
            }
            self.network();
            self.sim.run_ms(1);
            self.land()?;
            self.now += 1;
        }
        if let Some(flight) = self.flights.first() {
            if flight.sent + SOON < self.now {
                return Err(Breach::new(flight.sent, "a change was never confirmed"));
            }
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
            length,
        })
    }

    fn network(&mut self) {
        for (phone, talker) in self.talkers.iter_mut().enumerate() {
            // Without a call it talks to nobody, and its stream goes on.
            let port = self.calls[phone].map_or(0, |c| c.port);
            let hush = self.score.hush;
            let flying = &mut self.flying;
            talker.speak(self.now, port, |arrival| hush(phone, arrival), |packet| {
                flying.entry(packet.arrives).or_default().push((phone, packet));
            });
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
        let port = setup.ports.rtp_addr().port();
        let leg = self.sim.plane().add_leg(setup).map_err(|e| self.refused(e))?;
        self.generations[phone] += 1;
        let generation = self.generations[phone];
        self.calls[phone] = Some(Call { leg, port, generation });
        self.alive[phone] = Some(generation);
        self.talkers[phone].restart(self.now);
        self.record(1 << phone);
        Ok(())
    }

    fn act(&mut self, act: &Act) -> Result<(), Breach> {
        let now = self.now;
        match act {
            Act::Enter(phone, room, entrance) => self.enter(*phone, *room, entrance),
            Act::Leave(phone) => self.leave(*phone),
            Act::Move(phone, way, entrance) => self.move_over(*phone, *way, entrance),
            Act::Mute(phone, on) => self.member(*phone, |r, id| r.mute(id, *on), |h, n| h.mute(n, *on)),
            Act::Hold(phone, on) => self.member(*phone, |r, id| r.hold(id, *on), |h, n| h.hold(n, *on)),
            Act::Deafen(phone, on) => self.member(*phone, |r, id| r.deafen(id, *on), |h, n| h.deafen(n, *on)),
            Act::Coach(phone, on, reach) => {
                let (audience, ears) = match reach {
                    Some(reach) => {
                        let number = |p| self.number_beside(*phone, p);
                        (Some(words::audience(reach, number)), Some(words::ears(reach, number)))
                    }
                    None => (None, None),
                };
                self.member(*phone, |r, id| r.coach(id, *on, audience), |h, n| h.coach(n, *on, ears))
            }
            Act::Tag(phone, tag) => {
                self.member(*phone, |r, id| r.tag(id, tag.map(conference::Tag::new)), |h, n| h.tag(n, *tag))
            }
            Act::Mode(phone, posture) => {
                let number = |p| self.number_beside(*phone, p);
                let (mode, stance) = (words::mode(posture, number), words::stance(posture, number));
                self.member(*phone, |r, id| r.mode(id, &mode), |h, n| h.stance(n, &stance))
            }
            Act::AddPlayer(room, reach) => self.add_player(*room, reach),
            Act::RemovePlayer(room) => self.remove_player(*room),
            Act::Private(phone, on) => self.private(*phone, *on),
            Act::AddTap(room, what) => {
                let (wants, want) = words::tap(*what, |p| self.number_in(*room, p));
                let mut tap = None;
                self.command(*room, Changes::default(), |r| r.add_tap(wants).map(|id| id.0), |h| h.add_tap(want), |n| tap = Some(n))?;
                if let (Some(life), Some(tap)) = (&mut self.lives[*room], tap) {
                    life.taps.push_back(tap);
                }
                Ok(())
            }
            Act::RemoveTap(room) => {
                let Some(tap) = self.lives[*room].as_mut().and_then(|l| l.taps.pop_front()) else { return Ok(()) };
                let remove = |r: &mut conference::Room| {
                    r.remove_tap(conference::TapId(tap));
                    Ok(0)
                };
                self.command(*room, Changes::default(), remove, |h| { h.remove_tap(tap); Ok(0) }, |_| {})
            }
            Act::Start(room) => self.command(*room, Changes::default(), |r| r.start().map(|()| 0), |h| h.start().map(|()| 0), |_| {}),
            Act::End(room) => {
                let end = |r: &mut conference::Room| r.end(conference::EndCause::Requested).map(|()| 0);
                self.command(*room, Changes::default(), end, |h| h.end().map(|()| 0), |_| {})
            }
            Act::Replace(phone, after) => self.replace(*phone, *after),
            Act::Freeze(phone, time) => Ok(self.talkers[*phone].freeze(now + time, now)),
            Act::Lose(phone, packets) => Ok(self.talkers[*phone].lose(*packets, now)),
            Act::Restart(phone) => Ok(self.talkers[*phone].restart(now)),
            Act::Jump(phone, samples, marker) => Ok(self.talkers[*phone].jump(*samples, *marker, now)),
            Act::Pause(phone, time) => Ok(self.talkers[*phone].pause(now + time, now)),
            Act::Jitter(phone, jitter) => Ok(self.talkers[*phone].line(Some(*jitter), None, now)),
            Act::Loss(phone, loss) => Ok(self.talkers[*phone].line(None, Some(*loss), now)),
        }
    }

    /// The member that `other` is in `phone`'s room; 0 is nobody.
    fn number_beside(&self, phone: usize, other: usize) -> u32 {
        self.seats[phone].map_or(0, |seat| self.number_in(seat.room, other))
    }

    fn number_in(&self, room: usize, phone: usize) -> u32 {
        let life = self.lives[room].as_ref().map(|l| l.id);
        self.seats.get(phone).copied().flatten().filter(|s| s.room == room && Some(s.life) == life).map_or(0, |s| s.number)
    }

    fn enter(&mut self, phone: usize, room: usize, entrance: &Entrance) -> Result<(), Breach> {
        let Some(call) = self.calls[phone].filter(|_| self.seats[phone].is_none()) else { return Ok(()) };
        if self.lives[room].is_none() {
            let media = self.sim.plane().open_room_on(room as u16).map_err(|e| self.refused(e))?;
            self.last_life += 1;
            let (wait_for, stay_alone) = self.history.rooms[room];
            let policy = conference::Policy {
                stay_alone,
                wait_for: wait_for.and_then(conference::Role::parse),
                ..conference::Policy::default()
            };
            self.lives[room] = Some(Life {
                id: self.last_life,
                room: conference::Room::open(policy, Duration::from_millis(self.now)),
                house: House::new(wait_for, stay_alone),
                media,
                revision: 0,
                players: VecDeque::new(),
                taps: VecDeque::new(),
            });
        }
        let number = |p| self.number_in(room, p);
        let entry = words::entry(entrance, number);
        let person = words::person(entrance, number);
        let life = self.lives[room].as_ref().map_or(0, |l| l.id);
        // Its number is its seat before the change is compiled: who enters has all his rules from his first sample.
        let at = Duration::from_millis(self.now);
        let mut entered = None;
        self.decide(room, |r| r.enter(entry, at).map(|id| id.0), |h| h.come(person), |n| entered = Some(n))?;
        let Some(number) = entered else { return Ok(()) };
        self.seats[phone] = Some(Seat { room, life, number, generation: call.generation });
        self.settle(room, Changes { join: vec![phone], ..Changes::default() })
    }

    fn leave(&mut self, phone: usize) -> Result<(), Breach> {
        let Some(seat) = self.seats[phone] else { return Ok(()) };
        let leg = self.calls[phone].filter(|c| c.generation == seat.generation).map(|c| c.leg);
        self.unseat(phone, seat, leg)
    }

    fn unseat(&mut self, phone: usize, seat: Seat, leg: Option<LegId>) -> Result<(), Breach> {
        self.seats[phone] = None;
        let member = conference::MemberId(seat.number);
        let leave = |r: &mut conference::Room| r.leave(member, conference::LeaveCause::Hangup).map(|()| 0);
        let changes = Changes { leave: leg.into_iter().collect(), ..Changes::default() };
        self.command(seat.room, changes, leave, |h| h.go(seat.number).map(|()| 0), |_| {})
    }

    fn move_over(&mut self, phone: usize, way: Way, entrance: &Entrance) -> Result<(), Breach> {
        let Some(seat) = self.seats[phone] else { return Ok(()) };
        let Some(call) = self.calls[phone].filter(|c| c.generation == seat.generation) else { return Ok(()) };
        self.talkers[phone].trouble(self.now);
        let to = 1 - seat.room;
        match way {
            Way::LeaveFirst => {
                self.leave(phone)?;
                self.enter(phone, to, entrance)
            }
            Way::JoinFirst | Way::JoinFirstThenLeave => {
                self.seats[phone] = None;
                self.enter(phone, to, entrance)?;
                let there = self.seats[phone];
                self.unseat(phone, seat, (way == Way::JoinFirstThenLeave).then_some(call.leg))?;
                self.seats[phone] = there;
                Ok(())
            }
        }
    }

    fn replace(&mut self, phone: usize, after: u64) -> Result<(), Breach> {
        if std::env::var_os("TOLERANT").is_some() && self.flights.iter().any(|f| matches!(&f.effect, Effect::Room{ears,..} if ears.iter().any(|e| e.0==phone))) { return Ok(()); }
        let Some(call) = self.calls[phone].take() else { return Ok(()) };
        let pending = self.sim.plane().remove_leg(call.leg);
        let effect = Effect::Gone { phone, generation: call.generation, rest: after % 3 };
        self.flights.push(Flight { sent: self.now, answer: Answer::Stats(pending), effect });
        self.talkers[phone].trouble(self.now);
        if let Some(seat) = self.seats[phone] {
            self.later.entry(self.now + 2 + after).or_default().push(Later::Noticed(phone, seat));
        }
        Ok(())
    }

    fn noticed(&mut self, phone: usize, seat: Seat) -> Result<(), Breach> {
        let still = self.seats[phone].is_some_and(|s| s.life == seat.life && s.number == seat.number);
        if still { self.unseat(phone, seat, None) } else { Ok(()) }
    }

    fn add_player(&mut self, room: usize, reach: &super::history::Reach) -> Result<(), Breach> {
        let Some(bit) = self.player_bits.iter().position(|used| !used) else { return Ok(()) };
        let number = |p| self.number_in(room, p);
        let (audience, ears) = (words::audience(reach, number), words::ears(reach, number));
        let mut player = None;
        self.decide(room, |r| r.add_player(audience).map(|id| id.0), |h| h.add_player(ears), |n| player = Some(n))?;
        let Some(player) = player else { return Ok(()) };
        self.player_bits[bit] = true;
        if let Some(life) = &mut self.lives[room] {
            life.players.push_back((player, bit));
        }
        let play = self.constant(PLAYERS[bit]);
        let players = vec![(PlayerId(u64::from(player)), PlayerChange::Start(play))];
        self.settle(room, Changes { players, ..Changes::default() })
    }

    fn remove_player(&mut self, room: usize) -> Result<(), Breach> {
        let Some((player, bit)) = self.lives[room].as_mut().and_then(|l| l.players.pop_front()) else { return Ok(()) };
        self.player_bits[bit] = false;
        let remove = |r: &mut conference::Room| {
            r.remove_player(conference::PlayerId(player));
            Ok(0)
        };
        let players = vec![(PlayerId(u64::from(player)), PlayerChange::Stop)];
        self.command(room, Changes { players, ..Changes::default() }, remove, |h| { h.remove_player(player); Ok(0) }, |_| {})
    }

    fn constant(&mut self, level: u16) -> Play {
        self.last_play += 1;
        Play::forever(PlayId(self.last_play), Sound::from_samples(&[level.cast_signed(); FRAME]))
    }

    fn private(&mut self, phone: usize, on: bool) -> Result<(), Breach> {
        let Some(call) = self.calls[phone] else { return Ok(()) };
        if let Some(seat) = self.seats[phone].filter(|s| s.generation == call.generation) {
            return self.settle(seat.room, Changes { plays: vec![(phone, on)], ..Changes::default() });
        }
        let pending = if on {
            let play = self.constant(PRIVATE);
            self.sim.plane().play(call.leg, play)
        } else {
            self.sim.plane().stop_play(call.leg, None)
        };
        let effect = Effect::Private { phone, generation: call.generation, on };
        self.flights.push(Flight { sent: self.now, answer: Answer::Applied(pending), effect });
        Ok(())
    }

    /// A command to the member that a phone is.
    fn member(
        &mut self,
        phone: usize,
        real: impl FnOnce(&mut conference::Room, conference::MemberId) -> Result<(), conference::RoomError>,
        model: impl FnOnce(&mut House, u32) -> Result<(), super::rule::Refused>,
    ) -> Result<(), Breach> {
        let Some(seat) = self.seats[phone] else { return Ok(()) };
        let id = conference::MemberId(seat.number);
        let real = |r: &mut conference::Room| real(r, id).map(|()| 0);
        self.command(seat.room, Changes::default(), real, |h| model(h, seat.number).map(|()| 0), |_| {})
    }

    fn command(
        &mut self,
        room: usize,
        changes: Changes,
        real: impl FnOnce(&mut conference::Room) -> Result<u32, conference::RoomError>,
        model: impl FnOnce(&mut House) -> Result<u32, super::rule::Refused>,
        done: impl FnOnce(u32),
    ) -> Result<(), Breach> {
        let mut obeyed = false;
        self.decide(room, real, model, |n| {
            obeyed = true;
            done(n);
        })?;
        if obeyed { self.settle(room, changes) } else { Ok(()) }
    }

    /// Gives a command to the room and to the model, which must agree whether it is obeyed.
    fn decide(
        &mut self,
        room: usize,
        real: impl FnOnce(&mut conference::Room) -> Result<u32, conference::RoomError>,
        model: impl FnOnce(&mut House) -> Result<u32, super::rule::Refused>,
        done: impl FnOnce(u32),
    ) -> Result<(), Breach> {
        let Some(life) = &mut self.lives[room] else { return Ok(()) };
        let (real, model) = (real(&mut life.room), model(&mut life.house));
        match (real, model) {
            (Ok(a), Ok(b)) if a == b => {
                self.obeyed += 1;
                done(a);
                Ok(())
            }
            (Err(_), Err(_)) => Ok(()),
            (real, model) => Err(Breach::new(self.now, format!("the room answers {real:?}, the model {model:?}"))),
        }
    }

    /// Compares every pair by the rule and by the compiled hearing.
    fn compare(&self, life: &Life) -> Result<(), Breach> {
        use conference::{Listener, MemberId, Source, TapId};
        let house = &life.house;
        let (people, taps): (Vec<u32>, Vec<u32>) =
            (house.people.iter().map(|p| p.number).collect(), house.taps.iter().map(|(n, _)| *n).collect());
        let ended = life.room.status() == conference::Status::Ended;
        if ended != house.ended || life.room.has_started() != (house.started && !house.ended) {
            let what = format!("the room is {:?}; in the model started {} ended {}", life.room.status(), house.started, house.ended);
            return Err(Breach::new(self.now, what));
        }
        let hearing = life.room.hearing();
        let ears = people.iter().map(|n| (Listens::Ear(*n), Listener::Ear(MemberId(*n))));
        let listeners: Vec<_> = ears.chain(taps.iter().map(|n| (Listens::Tap(*n), Listener::Tap(TapId(*n))))).collect();
        let voices = people.iter().map(|n| (Sounds::Voice(*n), Source::Microphone(MemberId(*n))));
        let players = house.players.iter().map(|(n, _)| (Sounds::Player(*n), Source::Player(conference::PlayerId(*n))));
        let sources: Vec<_> = voices.chain(players).collect();
        for (listens, listener) in &listeners {
            for (sounds, source) in &sources {
                let model = house.hears(*listens, *sounds);
                let rule = conference::hearing::hears(&life.room, *listener, *source);
                let compiled = hearing.allows(*listener, *source);
                if rule != model || compiled != model {
                    let what = format!("{listens:?} hears {sounds:?}: model {model}, rule {rule}, compiled {compiled}");
                    return Err(Breach::new(self.now, what));
                }
            }
            for owner in &people {
                let own = *listens == Listens::Ear(*owner);
                if conference::hearing::hears(&life.room, *listener, Source::Private(MemberId(*owner))) != own {
                    return Err(Breach::new(self.now, format!("{listens:?} and the private player of {owner}")));
                }
            }
        }
        Ok(())
    }

    /// Compiles what the room's hearing is now and sends it with what goes along.
    fn settle(&mut self, room: usize, mut changes: Changes) -> Result<(), Breach> {
        let Some(mut life) = self.lives[room].take() else { return Ok(()) };
        if self.score.rule {
            self.compare(&life)?;
        }
        let over = life.house.ended;
        if over {
            for phone in 0..self.seats.len() {
                let Some(seat) = self.seats[phone].filter(|s| s.life == life.id) else { continue };
                self.seats[phone] = None;
                changes.leave.extend(self.calls[phone].filter(|c| c.generation == seat.generation).map(|c| c.leg));
            }
            for (player, bit) in life.players.drain(..) {
                self.player_bits[bit] = false;
                changes.players.push((PlayerId(u64::from(player)), PlayerChange::Stop));
            }
        }
        life.revision += 1;
        let seated: Vec<(usize, Seat)> =
            self.seats.iter().enumerate().filter_map(|(p, s)| s.filter(|s| s.life == life.id).map(|s| (p, s))).collect();
        let leg_of = |member: conference::MemberId| {
            let (phone, seat) = seated.iter().find(|(_, s)| s.number == member.0)?;
            self.calls[*phone].filter(|c| c.generation == seat.generation).map(|c| c.leg)
        };
        let plan = plan_for(&life.room.hearing(), life.revision, leg_of, |_| false);
        let ears = seated.iter().map(|(phone, seat)| {
            let me = Listens::Ear(seat.number);
            let voice = |(p, s): &(usize, Seat)| if life.house.hears(me, Sounds::Voice(s.number)) { 1u8 << *p } else { 0 };
            let player = |(n, bit): &(u32, usize)| if life.house.hears(me, Sounds::Player(*n)) { 1u8 << *bit } else { 0 };
            (*phone, seat.generation, seated.iter().map(voice).sum(), life.players.iter().map(player).sum())
        });
        let ears = ears.collect();
        let mut plays = Vec::new();
        let mut effects = Vec::new();
        for (phone, on) in changes.plays {
            let Some(call) = self.calls[phone] else { continue };
            let change = if on { PlayChange::Start(self.constant(PRIVATE)) } else { PlayChange::Stop };
            plays.push((call.leg, change));
            effects.push((phone, call.generation, on));
        }
        let join = changes.join.iter().filter_map(|p| self.calls[*p].map(|c| c.leg)).collect();
        let change = RoomChange { plan, join, leave: changes.leave, plays, players: changes.players };
        let pending = self.sim.plane().change_room(life.media, change);
        let effect = Effect::Room { life: life.id, joined: changes.join, ears, plays: effects };
        self.flights.push(Flight { sent: self.now, answer: Answer::Applied(pending), effect });
        if over {
            let pending = self.sim.plane().close_room(life.media);
            self.flights.push(Flight { sent: self.now, answer: Answer::Applied(pending), effect: Effect::Closed });
        } else {
            self.lives[room] = Some(life);
        }
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
                    let entry = ears.iter().find(|(p, generation, ..)| here && *p == phone && self.alive[phone] == Some(*generation));
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
            (0..MOST_PHONES).filter(|s| self.place[*s].is_some() && self.place[*s] == self.place[l]).map(|s| 1u8 << s).sum::<u8>()
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
