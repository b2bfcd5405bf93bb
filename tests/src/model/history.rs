//! Histories: what people, programs and networks do, as data. A history stays meaningful when parts of it are taken out:
//! whatever does not apply when its turn comes is passed over.

use super::layout::MOST_PHONES;
use super::random::Random;

/// Whom a microphone or a player shall reach, in terms of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All.
    All,
    /// The union of these.
    Only(Vec<Part>),
}

/// Part of a [`Reach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A tag.
    Tag(&'static str),
    /// A role.
    Role(&'static str),
    /// Whoever this phone is in the room then.
    Phone(usize),
    /// A tap by number.
    Tap(u32),
}

/// The rules with which somebody enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// `agent`, `supervisor`, `customer` or none.
    pub role: Option<&'static str>,
    /// The free tag.
    pub tag: Option<&'static str>,
    /// Whom he coaches when he coaches.
    pub reach: Reach,
    /// Coaches from the start.
    pub coaching: bool,
    /// Muted.
    pub muted: bool,
    /// On hold.
    pub held: bool,
    /// Deaf.
    pub deaf: bool,
    /// Starts the room.
    pub starts: bool,
    /// Ends it.
    pub ends: bool,
    /// Should his going end it, so many ms after he has gone.
    pub grace: Option<u64>,
    /// Takes no part before he is admitted.
    pub preparing: bool,
}

impl Entrance {
    /// In Plivo's words.
    #[must_use]
    pub fn plivo(role: &'static str, coach_mode: bool) -> Self {
        Self {
            role: Some(role),
            tag: None,
            reach: Reach::Only(vec![Part::Role("agent"), Part::Role("supervisor")]),
            coaching: coach_mode && role == "supervisor",
            muted: false,
            held: false,
            deaf: false,
            starts: true,
            ends: false,
            grace: None,
            preparing: false,
        }
    }

    /// In jambonz' words.
    #[must_use]
    pub fn jambonz(tag: Option<&'static str>, speak_only_to: Option<&'static str>) -> Self {
        Self {
            role: None,
            tag,
            reach: speak_only_to.map_or(Reach::All, |t| Reach::Only(vec![Part::Tag(t)])),
            coaching: speak_only_to.is_some(),
            ..Self::plivo("customer", false)
        }
    }
}

/// A supervisor's mode, in terms of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posture {
    /// Monitor.
    Monitor,
    /// Whisper.
    Whisper,
    /// Barge.
    Barge,
    /// Takeover from all agents, or from these phones.
    Takeover(Option<Vec<usize>>),
    /// Stop.
    Stop,
}

/// What a tap is for, in terms of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TapFor {
    /// The mix.
    Mix,
    /// One phone's voice.
    Voice(usize),
    /// The mix without whispers.
    Public,
    /// What one phone hears of the room, without whispers.
    EarOf(usize),
}

/// In what order a move to the other room is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Leave, then join.
    LeaveFirst,
    /// Join, which takes the leg along; then the old room's plan without it.
    JoinFirst,
    /// The same, and the old room is told to let go of what is gone.
    JoinFirstThenLeave,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A phone's call enters a room.
    Enter(usize, usize, Entrance),
    /// It leaves.
    Leave(usize),
    /// It goes over to the other room.
    Move(usize, Way, Entrance),
    /// Who prepared takes part.
    Admit(usize),
    /// Mute.
    Mute(usize, bool),
    /// Hold.
    Hold(usize, bool),
    /// Deaf.
    Deafen(usize, bool),
    /// Coach, with another reach or the same.
    Coach(usize, bool, Option<Reach>),
    /// Tag or untag.
    Tag(usize, Option<&'static str>),
    /// A mode.
    Mode(usize, Posture),
    /// A room player starts.
    AddPlayer(usize, Reach),
    /// A room's oldest player stops.
    RemovePlayer(usize),
    /// The private player of a phone's call.
    Private(usize, bool),
    /// A tap on a room.
    AddTap(usize, TapFor),
    /// A room's oldest tap goes.
    RemoveTap(usize),
    /// A phone that is in no room is being called from a room, and sounds before it answers.
    Ring(usize, usize),
    /// It never will.
    RingOff(usize),
    /// A program starts a room.
    Start(usize),
    /// A program ends a room.
    End(usize),
    /// The call is gone without a word and a new one, of the same phone, takes its place; the room hears of it so many ms later.
    Replace(usize, u64),
    /// Packets are held up for so many ms, then come all at once.
    Freeze(usize, u64),
    /// The next packets are lost.
    Lose(usize, u32),
    /// A new SSRC, sequence and timestamp.
    Restart(usize),
    /// The timestamps jump by so many samples, with a marker or without.
    Jump(usize, u32, bool),
    /// The phone sends nothing for so many ms; its clock goes on.
    Pause(usize, u64),
    /// Packets take up to so many ms longer than others from now on.
    Jitter(usize, u64),
    /// So many of a hundred packets are lost from now on.
    Loss(usize, u64),
}

/// How a phone reaches us at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Packets leave at this ms of every 20.
    pub phase: u64,
    /// Jitter, ms.
    pub jitter: u64,
    /// Loss, of a hundred.
    pub loss: u64,
    /// Shard on which its call begins.
    pub shard: u16,
}

/// The jitter buffers of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// Initial depth, ms.
    pub initial: u64,
    /// Whether delay may be changed by inserting and deleting.
    pub scaling: bool,
    /// Continue waveforms over holes, rather than zeros.
    pub waveform: bool,
}

/// A history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// What it was made from; also decides the networks' luck.
    pub seed: u64,
    /// The phones.
    pub lines: Vec<Line>,
    /// By room: the role it waits for, and whether the last may stay.
    pub rooms: [(Option<&'static str>, bool); 2],
    /// The jitter buffers.
    pub buffers: Buffers,
    /// What happens, each so many ms after the one before.
    pub acts: Vec<(u64, Act)>,
    /// How long it goes on after the last, ms.
    pub tail: u64,
}

/// Whose words a history uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Plivo,
    Jambonz,
    All,
}

const ROLES: [&str; 3] = ["agent", "supervisor", "customer"];
const TAGS: [&str; 4] = ["agent", "supervisor", "customer", "blue"];

struct Maker {
    random: Random,
    words: Words,
    phones: usize,
    /// Of a hundred, how many start a room by entering, and end it by leaving.
    starts: u64,
    ends: u64,
}

impl Maker {
    fn phone(&mut self) -> usize {
        self.random.below(self.phones)
    }

    fn tap(&mut self) -> TapFor {
        let phone = self.phone();
        self.random.pick(&[
            TapFor::Mix,
            TapFor::Public,
            TapFor::Voice(phone),
            TapFor::EarOf(phone),
            TapFor::EarOf(phone),
        ])
    }

    fn on(&mut self) -> bool {
        self.random.percent(50)
    }

    fn reach(&mut self) -> Reach {
        match self.words {
            Words::Plivo => Reach::Only(vec![Part::Role("agent"), Part::Role("supervisor")]),
            Words::Jambonz => Reach::Only(vec![Part::Tag(self.random.pick(&TAGS))]),
            Words::All => match self.random.below(8) {
                0 => Reach::All,
                1 => Reach::Only(Vec::new()),
                _ => {
                    let count = 1 + self.random.below(2);
                    Reach::Only((0..count).map(|_| self.part()).collect())
                }
            },
        }
    }

    fn part(&mut self) -> Part {
        match self.random.below(20) {
            0..=5 => Part::Tag(self.random.pick(&TAGS)),
            6..=12 => Part::Role(self.random.pick(&ROLES)),
            13..=16 => Part::Phone(self.phone()),
            _ => Part::Tap(1 + self.random.below(2) as u32),
        }
    }

    fn entrance(&mut self) -> Entrance {
        let (role, tag) = match self.words {
            Words::Plivo => (Some(self.random.pick(&ROLES)), None),
            Words::Jambonz => (None, self.random.percent(70).then(|| self.random.pick(&TAGS))),
            Words::All => (
                self.random.percent(70).then(|| self.random.pick(&ROLES)),
                self.random.percent(40).then(|| self.random.pick(&TAGS)),
            ),
        };
        let coaching = match self.words {
            Words::Plivo => role == Some("supervisor") && self.random.percent(75),
            _ => self.random.percent(30),
        };
        Entrance {
            role,
            tag,
            reach: self.reach(),
            coaching,
            muted: self.random.percent(10),
            held: self.random.percent(6),
            deaf: self.random.percent(4),
            starts: self.random.percent(self.starts),
            ends: self.random.percent(self.ends),
            grace: self.random.percent(60).then(|| self.random.between(0, 600)),
            preparing: self.random.percent(15),
        }
    }

    fn posture(&mut self) -> Posture {
        match self.random.below(8) {
            0 => Posture::Monitor,
            1..=2 => Posture::Whisper,
            3..=4 => Posture::Barge,
            5 => Posture::Takeover(None),
            6 => Posture::Takeover(Some(vec![self.phone()])),
            _ => Posture::Stop,
        }
    }

    fn act(&mut self) -> Act {
        let phone = self.phone();
        let room = usize::from(self.random.percent(25));
        match self.random.below(118) {
            0..=14 => Act::Enter(phone, room, self.entrance()),
            15..=19 => Act::Leave(phone),
            20..=25 => {
                let way = self.random.pick(&[Way::LeaveFirst, Way::JoinFirst, Way::JoinFirstThenLeave]);
                Act::Move(phone, way, self.entrance())
            }
            26..=34 => Act::Mute(phone, self.random.percent(40)),
            35..=41 => Act::Hold(phone, self.random.percent(40)),
            42..=44 => Act::Deafen(phone, self.random.percent(40)),
            45..=57 => {
                let reach = self.on().then(|| self.reach());
                Act::Coach(phone, self.on(), reach)
            }
            58..=63 => {
                let tag = self.random.percent(70).then(|| self.random.pick(&TAGS));
                Act::Tag(phone, tag)
            }
            64..=75 => Act::Mode(phone, self.posture()),
            76..=78 => {
                let reach = if self.on() { Reach::All } else { self.reach() };
                Act::AddPlayer(room, reach)
            }
            79..=80 => Act::RemovePlayer(room),
            81..=84 => Act::Private(phone, self.random.percent(65)),
            85 => Act::AddTap(room, self.tap()),
            86 => {
                if self.random.percent(30) {
                    Act::RemoveTap(room)
                } else {
                    Act::Start(room)
                }
            }
            87 => {
                if self.random.percent(25) {
                    Act::End(room)
                } else {
                    Act::Start(room)
                }
            }
            88..=89 => Act::Replace(phone, self.random.between(0, 120)),
            90..=92 => Act::Freeze(phone, self.random.between(20, 260)),
            93 => Act::Lose(phone, self.random.between(1, 6) as u32),
            94..=95 => Act::Restart(phone),
            96 => {
                let samples = self.random.pick(&[160u32, 1_600, 80_000, 3_000_000_000, 4_294_960_000]);
                Act::Jump(phone, samples, self.on())
            }
            97 => Act::Pause(phone, self.random.between(40, 700)),
            98 => Act::Jitter(phone, self.random.pick(&[0, 0, 8, 25, 45])),
            99 => Act::Loss(phone, self.random.pick(&[0, 0, 3, 10])),
            100..=104 => Act::Admit(phone),
            105..=107 => Act::AddTap(room, self.tap()),
            108..=112 => Act::Ring(phone, room),
            113..=114 => Act::RingOff(phone),
            _ => Act::Leave(phone),
        }
    }

    fn gap(&mut self) -> u64 {
        match self.random.below(20) {
            0..=3 => 0,
            4..=7 => self.random.between(1, 19),
            8..=13 => self.random.between(20, 120),
            14..=18 => self.random.between(120, 350),
            _ => self.random.between(400, 800),
        }
    }
}

impl History {
    /// A random one.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed, 0);
        let phones = 3 + random.pick(&[0, 0, 1, 1, 1, 2, 2, 3, MOST_PHONES - 3]);
        let words = random.pick(&[Words::Plivo, Words::Plivo, Words::Jambonz, Words::All, Words::All]);
        let lines = (0..phones)
            .map(|_| {
                let rough = random.percent(25);
                Line {
                    phase: random.between(0, 19),
                    jitter: if rough { random.pick(&[5, 15, 30, 45]) } else { 0 },
                    loss: if rough { random.pick(&[0, 2, 8]) } else { 0 },
                    shard: random.below(2) as u16,
                }
            })
            .collect();
        let waits = |random: &mut Random| (words != Words::Jambonz && random.percent(10)).then_some("agent");
        let rooms = [(waits(&mut random), random.percent(85)), (waits(&mut random), random.percent(85))];
        let buffers = Buffers { initial: random.pick(&[20, 20, 20, 40, 80]), scaling: true, waveform: false };
        // Now and then a house in which people wait long, or have duties and take their time.
        let starts = random.pick(&[75, 75, 75, 75, 75, 75, 75, 10]);
        let ends = random.pick(&[6, 6, 6, 60]);
        let mut maker = Maker { random, words, phones, starts, ends };
        let mut acts = Vec::new();
        // Most come in at once, so that there is something to hear.
        for phone in 0..phones {
            if maker.random.percent(85) {
                let room = usize::from(maker.random.percent(20));
                let gap = maker.random.pick(&[0, 0, 7, 60]);
                let entrance = maker.entrance();
                let preparing = entrance.preparing;
                acts.push((gap, Act::Enter(phone, room, entrance)));
                if preparing && maker.random.percent(60) {
                    acts.push((maker.random.pick(&[0, 30, 200]), Act::Admit(phone)));
                }
            } else if maker.on() {
                acts.push((maker.random.pick(&[0, 60]), Act::Ring(phone, 0)));
            }
        }
        // Calls that are recorded or tapped from the start.
        for _ in 0..maker.random.pick(&[0, 0, 1, 2]) {
            acts.push((0, Act::AddTap(0, maker.tap())));
        }
        let count = 4 + maker.random.below(22);
        for _ in 0..count {
            let gap = maker.gap();
            acts.push((gap, maker.act()));
        }
        let tail = maker.random.between(100, 900);
        Self { seed, lines, rooms, buffers, acts, tail }
    }

    /// A written one: perfect lines, phase by phase apart.
    #[must_use]
    pub fn written(seed: u64, phones: usize, acts: Vec<(u64, Act)>) -> Self {
        let lines = (0..phones)
            .map(|p| Line { phase: (3 + 7 * p as u64) % 20, jitter: 0, loss: 0, shard: (p % 2) as u16 })
            .collect();
        let buffers = Buffers { initial: 20, scaling: true, waveform: true };
        Self { seed, lines, rooms: [(None, true), (None, true)], buffers, acts, tail: 400 }
    }

    /// The same with these jitter and loss on every line.
    #[must_use]
    pub fn over(mut self, jitter: u64, loss: u64) -> Self {
        for line in &mut self.lines {
            (line.jitter, line.loss) = (jitter, loss);
        }
        self
    }

    /// How many phones.
    #[must_use]
    pub fn phones(&self) -> usize {
        self.lines.len()
    }
}
