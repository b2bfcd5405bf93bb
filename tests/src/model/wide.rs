//! Wide legs to the sample: members with Opus, G.722 and linear phones in one room, driven through the product's rule, plan and
//! mixer by random changes of mode. Two judges look at what came of it.
//!
//! [`exact`] knows what everybody may hear from [`super::rule`], and how every microphone sounded at every rate, because a witness
//! hears it alone. So it knows each sample of each wide listener's mix before its encoder: the sum of whom he may hear, nothing else,
//! each of them let in over 5 ms. [`examine`] also plays twins: what is not for a listener is replaced by silence, and he must get the
//! same bytes at the same times.

pub mod exact;
pub mod script;

use std::collections::BTreeMap;
use std::time::Duration;

use call::room::plan::plan_for;
use media::sim::{Departed, Path, PhoneId, PhoneSetup, Simulator, UTC_ZERO, Voice};
use media::{
    Applied, BusId, JitterConfig, LegId, MediaConfig, MediaError, Pending, Plan, PlanListener, PlanSource, Play,
    PlayId, RoomChange, RoomId, Sound, SourceRef,
};

use super::history::{Act, Entrance};
use super::random::Random;
use super::rule::{House, Listens, Refused, Sounds};
use super::stage::Breach;
use super::words;
use script::{Kind, Script, Step};

/// Members of a script.
pub const MEMBERS: usize = 4;
/// Rates that witnesses hear at, Hz.
const RATES: [u32; 2] = [16_000, 48_000];
/// Everybody is silent before this, so that witnesses have been let in when somebody speaks, ms.
const BEGINNING: u64 = 600;

/// Who may hear whom: listener, then source.
pub type Allow = [[bool; MEMBERS]; MEMBERS];

/// What holds from a tick on.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The tick's time, ms.
    pub from: u64,
    /// Who may hear whom.
    pub allow: Allow,
}

/// The ticks of a listener: 20 ms of samples by time in ms; none: silence.
pub type Ticks = BTreeMap<u64, Option<Vec<i16>>>;

/// A script as it was played.
#[derive(Debug)]
pub struct Played {
    /// What held when, in order.
    pub moments: Vec<Moment>,
    /// By member: everything he was sent.
    pub departed: Vec<Vec<Departed>>,
    /// By member: his rate in Hz and his mix before the encoder. Empty for a linear phone.
    pub mixes: Vec<(u32, Ticks)>,
    /// By member and rate: his microphone alone.
    pub alone: Vec<BTreeMap<u32, Ticks>>,
}

/// Whose words are replaced by silence, and for how long.
#[derive(Clone, Copy, Debug)]
pub enum Hush {
    /// All that this member says.
    All(usize),
    /// What the first says while it is not for the second.
    From(usize, usize),
    /// What this member alone is played.
    Prompts(usize),
}

struct Stage {
    sim: Simulator,
    phones: Vec<PhoneId>,
    legs: Vec<LegId>,
    /// By member and rate.
    witnesses: Vec<Vec<(u32, LegId)>>,
    media: RoomId,
    room: conference::Room,
    house: House,
    numbers: Vec<u32>,
    moments: Vec<Moment>,
    revision: u64,
}

/// Plays a script. `witnessed`: the room holds witnesses. `hush`: what would be replaced, and whether it is: members' phones begin
/// anew at the same moments in both cases.
///
/// # Errors
/// Commands on which rule and model differ, and changes that the plane refuses.
pub fn play(script: &Script, witnessed: bool, hush: Option<(Hush, bool)>) -> Result<Played, Breach> {
    let mut stage = Stage::new(script, witnessed)?;
    stage.sim.listen_in();
    stage.enter(script)?;
    stage.sim.run_ms(BEGINNING);
    // Nobody has spoken yet.
    match hush {
        Some((Hush::All(source), on)) => stage.sim.silence_words(stage.phones[source], on),
        Some((Hush::From(source, listener), on)) => {
            let on = on && !stage.allow()[listener][source];
            stage.sim.silence_words(stage.phones[source], on);
        }
        Some((Hush::Prompts(_), _)) | None => {}
    }
    for (member, seat) in script.seats.iter().enumerate() {
        stage.talk(script, member, seat.talks);
    }
    for (gap, step) in &script.steps {
        stage.sim.run_ms(*gap);
        match step {
            Step::Talk(member, on) => stage.talk(script, *member, *on),
            Step::Prompt(_) if witnessed => {}
            Step::Prompt(member) => {
                let silent = matches!(hush, Some((Hush::Prompts(whose), true)) if whose == *member);
                stage.prompt(*member, if silent { 0 } else { 5_000 })?;
            }
            Step::Do(act) => stage.act(act, hush)?,
        }
    }
    stage.sim.run_ms(script.tail);
    Ok(stage.over())
}

impl Stage {
    fn new(script: &Script, witnessed: bool) -> Result<Self, Breach> {
        let config = MediaConfig {
            shards: 1,
            ports: 20_000..=20_255,
            // Delay that follows the sound would be another one in a twin.
            jitter: JitterConfig { time_scaling: false, ..JitterConfig::default() },
            max_legs_per_shard: 24,
            max_rooms_per_shard: 4,
            max_members_per_room: MEMBERS * 3,
            // Who is silent is silent: else nobody's mix would ever be that of another.
            gate: true,
            seed: Some(script.seed | 1),
            ..MediaConfig::default()
        };
        let mut sim = Simulator::new(config).map_err(refused)?;
        let (mut phones, mut legs) = (Vec::new(), Vec::new());
        for (at, seat) in script.seats.iter().enumerate() {
            let n = at as u8 + 1;
            let setup = match seat.kind {
                Kind::Opus => PhoneSetup::opus(n),
                Kind::G722 => PhoneSetup::g722(n),
                Kind::Linear => PhoneSetup::linear(n),
            };
            let phone = sim.phone(PhoneSetup { phase_micros: seat.phase, path: Path::default(), ..setup });
            let leg = if seat.browser { sim.call_browser(phone, Some(0)) } else { sim.call(phone, Some(0)) };
            sim.set_lag(phone, Duration::from_millis(seat.lag));
            phones.push(phone);
            legs.push(leg.map_err(refused)?);
        }
        let mut witnesses = vec![Vec::new(); MEMBERS];
        for (member, witnesses) in witnesses.iter_mut().enumerate().filter(|_| witnessed) {
            for (at, rate) in RATES.into_iter().enumerate() {
                let n = 100 + (member * RATES.len() + at) as u8;
                let phone = sim.phone(if rate == 16_000 { PhoneSetup::g722(n) } else { PhoneSetup::opus(n) });
                let setup = sim.leg_setup(phone, Some(0)).map_err(refused)?;
                // What he hears is mixed, and not encoded.
                let setup = media::LegSetup { send: false, receive: false, ..setup };
                witnesses.push((rate, sim.plane().add_leg(setup).map_err(refused)?));
            }
        }
        let media = sim.plane().open_room_on(0).map_err(refused)?;
        let policy = conference::Policy::default();
        let house = House::new(None, policy.stay_alone);
        let room = conference::Room::open(policy, Duration::ZERO);
        let (numbers, moments) = (Vec::new(), Vec::new());
        Ok(Self { sim, phones, legs, witnesses, media, room, house, numbers, moments, revision: 0 })
    }

    /// Everybody comes in at once.
    fn enter(&mut self, script: &Script) -> Result<(), Breach> {
        for seat in &script.seats {
            let entrance = Entrance::plivo(seat.role, true);
            let entered = self.room.enter(words::entry(&entrance, |_| 0), Duration::ZERO).map(|id| id.0);
            let came = self.house.come(words::person(&entrance, |_| 0));
            self.numbers.push(agreed(0, entered, came)?.unwrap_or(0));
        }
        let witnesses = self.witnesses.iter().flatten().map(|(_, leg)| *leg);
        let join = self.legs.iter().copied().chain(witnesses).collect();
        self.change(join)
    }

    fn talk(&mut self, script: &Script, member: usize, on: bool) {
        let mut random = Random::new(script.seed, 50 + member as u64);
        // Half a second of noise that swells and fades (at 48 kHz), then a pause as long: where sound begins, streams come together.
        let sound = (0..48_000i64).map(|n| {
            let loud = if n < 24_000 { 1_000 + (n % 8_000 - 4_000).abs() } else { 0 };
            (random.between(0, 2 * loud as u64) as i64 - loud) as i16
        });
        let voice = if on { Voice::Samples(sound.collect()) } else { Voice::Silence };
        self.sim.say(self.phones[member], voice);
    }

    /// A member alone hears 300 ms of a sound of this height.
    fn prompt(&mut self, member: usize, height: i16) -> Result<(), Breach> {
        self.revision += 1;
        let samples: Vec<i16> = (0..2_400).map(|n| if n % 20 < 10 { height } else { -height }).collect();
        let play = Play::once(PlayId(self.revision), Sound::from_samples(&samples));
        let pending = self.sim.plane().play(self.legs[member], play);
        self.wait(pending).map(|_| ())
    }

    fn act(&mut self, act: &Act, hush: Option<(Hush, bool)>) -> Result<(), Breach> {
        let number = |phone: usize| self.numbers[phone];
        let id = |phone: usize| conference::MemberId(number(phone));
        let (room, house) = (&mut self.room, &mut self.house);
        let (real, model) = match act {
            Act::Mode(phone, posture) => (
                room.mode(id(*phone), &words::mode(posture, number)),
                house.stance(number(*phone), &words::stance(posture, number)),
            ),
            Act::Mute(phone, on) => (room.mute(id(*phone), *on), house.mute(number(*phone), *on)),
            Act::Hold(phone, on) => (room.hold(id(*phone), *on), house.hold(number(*phone), *on)),
            Act::Coach(phone, on, _) => (room.coach(id(*phone), *on, None), house.coach(number(*phone), *on, None)),
            _ => return Ok(()),
        };
        let now = self.sim.now().as_millis() as u64;
        if agreed(now, real, model)?.is_none() {
            return Ok(());
        }
        let (before, after) = (self.moments.last().map(|m| m.allow), self.allow());
        let may = |allow: Option<Allow>, listener: usize, source: usize| allow.is_some_and(|a| a[listener][source]);
        if let Some((Hush::From(source, listener), _)) = hush
            && !may(before, listener, source)
            && after[listener][source]
        {
            self.sim.silence_words(self.phones[source], false);
        }
        self.change(Vec::new())?;
        if let Some((Hush::From(source, listener), on)) = hush
            && may(before, listener, source)
            && !after[listener][source]
        {
            self.sim.silence_words(self.phones[source], on);
        }
        Ok(())
    }

    fn allow(&self) -> Allow {
        let hears = |listener: usize, source: usize| {
            self.house.hears(Listens::Ear(self.numbers[listener]), Sounds::Voice(self.numbers[source]))
        };
        std::array::from_fn(|listener| std::array::from_fn(|source| hears(listener, source)))
    }

    /// Sends what the room's hearing is now.
    fn change(&mut self, join: Vec<LegId>) -> Result<(), Breach> {
        self.revision += 1;
        let leg_of = |member: conference::MemberId| {
            self.numbers.iter().position(|number| *number == member.0).map(|at| self.legs[at])
        };
        let plan = plan_for(&self.room.hearing(), self.revision, leg_of, |_| None, |_| None, |_| false);
        let plan = if self.witnesses[0].is_empty() { plan } else { self.witnessed(&plan) };
        let pending = self.sim.plane().change_room(self.media, RoomChange { plan, join, ..RoomChange::default() });
        let applied = self.wait(pending)?;
        let from = (applied.at_micros - UTC_ZERO) / 1_000;
        self.moments.push(Moment { from: from as u64, allow: self.allow() });
        Ok(())
    }

    fn wait(&mut self, pending: Pending<Applied>) -> Result<Applied, Breach> {
        self.sim.wait(pending).map_err(refused)
    }

    /// The same plan with each microphone on a bus of its own, so that witnesses hear it alone, and always.
    fn witnessed(&self, plan: &Plan) -> Plan {
        let bus = |at: usize| BusId(at as u16);
        let of = |leg: LegId| plan.sources.iter().find(|source| source.source == SourceRef::Leg(leg)).map(|s| s.bus);
        let sources = self.legs.iter().enumerate().map(|(at, leg)| PlanSource {
            source: SourceRef::Leg(*leg),
            bus: bus(at),
            relay_digits: false,
        });
        let members = plan.listeners.iter().map(|listener| PlanListener {
            ear: listener.ear,
            buses: (0..MEMBERS)
                .filter(|at| of(self.legs[*at]).is_some_and(|on| listener.buses.contains(&on)))
                .map(bus)
                .collect(),
        });
        let witnesses = self.witnesses.iter().enumerate().flat_map(|(at, witnesses)| {
            witnesses.iter().map(move |(_, leg)| PlanListener { ear: (*leg).into(), buses: vec![bus(at)] })
        });
        Plan {
            revision: plan.revision,
            buses: MEMBERS as u16,
            sources: sources.collect(),
            listeners: members.chain(witnesses).collect(),
        }
    }

    fn over(mut self) -> Played {
        let sim = &mut self.sim;
        let mut ticks = |leg: LegId| -> (u32, Ticks) {
            let mixed = sim.mixed(leg);
            let rate = mixed.first().map_or(0, |m| m.rate);
            (rate, mixed.into_iter().map(|m| (m.at.as_millis() as u64, m.samples)).collect())
        };
        let mixes = self.legs.iter().map(|leg| ticks(*leg)).collect();
        let alone =
            self.witnesses.iter().map(|all| all.iter().map(|(rate, leg)| (*rate, ticks(*leg).1)).collect()).collect();
        let departed = self.phones.iter().map(|phone| self.sim.sent_to(*phone)).collect();
        Played { moments: self.moments, departed, mixes, alone }
    }
}

fn refused(error: MediaError) -> Breach {
    Breach::new(0, format!("refused: {error}"))
}

/// What room and model answer to a command: something, or that it is refused; they must agree.
fn agreed<T: PartialEq + std::fmt::Debug>(
    at: u64,
    real: Result<T, conference::RoomError>,
    model: Result<T, Refused>,
) -> Result<Option<T>, Breach> {
    match (real, model) {
        (Ok(a), Ok(b)) if a == b => Ok(Some(a)),
        (Err(_), Err(_)) => Ok(None),
        (real, model) => Err(Breach::new(at, format!("the room answers {real:?}, the model {model:?}"))),
    }
}

/// What examinations looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looked {
    /// Ticks of wide listeners compared sample by sample.
    pub ticks: u64,
    /// Sounds let in over 5 ms.
    pub ramps: u64,
    /// Ticks in which somebody was kept out while he spoke.
    pub kept_out: u64,
    /// Listeners compared with a twin, byte by byte: who never hears a source.
    pub never: u64,
    /// The same: who hears it at times.
    pub at_times: u64,
    /// Members whose prompts nobody else's twin may tell of.
    pub prompts: u64,
    /// Datagrams compared.
    pub datagrams: u64,
}

impl Looked {
    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.ticks += other.ticks;
        self.ramps += other.ramps;
        self.kept_out += other.kept_out;
        self.never += other.never;
        self.at_times += other.at_times;
        self.prompts += other.prompts;
        self.datagrams += other.datagrams;
    }
}

/// Plays the script of a seed with witnesses, and its twins without.
///
/// # Errors
/// The first sample or byte that is not as it must be.
pub fn examine(seed: u64) -> Result<Looked, Breach> {
    let script = Script::random(seed);
    let one = play(&script, true, None)?;
    let mut looked = exact::judge(&one)?;
    let mut random = Random::new(seed, 7);
    let speaker = if random.percent(70) { script.place("supervisor") } else { random.below(MEMBERS) };
    let allowed = |listener: usize| one.moments.iter().map(move |moment| moment.allow[listener][speaker]);
    let others = || (0..MEMBERS).filter(|listener| *listener != speaker);
    let never: Vec<usize> = others().filter(|listener| !allowed(*listener).any(|on| on)).collect();
    if !never.is_empty() {
        looked.never += never.len() as u64;
        looked.datagrams += twins(&script, Hush::All(speaker), &never)?;
    }
    // Who may hear him after he might not.
    let later = |listener: &usize| allowed(*listener).skip_while(|on| *on).any(|on| on);
    if let Some(listener) = others().find(later) {
        looked.at_times += 1;
        looked.datagrams += twins(&script, Hush::From(speaker, listener), &[listener])?;
    }
    if let Some(whose) = script.steps.iter().find_map(|(_, step)| match step {
        Step::Prompt(member) => Some(*member),
        _ => None,
    }) {
        let others: Vec<usize> = (0..MEMBERS).filter(|listener| *listener != whose).collect();
        looked.prompts += 1;
        looked.datagrams += twins(&script, Hush::Prompts(whose), &others)?;
    }
    Ok(looked)
}

fn twins(script: &Script, hush: Hush, listeners: &[usize]) -> Result<u64, Breach> {
    let (one, two) = (play(script, false, Some((hush, false)))?, play(script, false, Some((hush, true)))?);
    let mut datagrams = 0;
    for listener in listeners {
        let (a, b) = (&one.departed[*listener], &two.departed[*listener]);
        datagrams += a.len() as u64;
        if let Some(at) = (0..a.len().max(b.len())).find(|at| a.get(*at) != b.get(*at)) {
            let time = a.get(at).or(b.get(at)).map_or(0, |d| d.at.as_millis() as u64);
            let what = format!("member {listener} gets another stream under {hush:?}: datagram {at} in {script:?}");
            return Err(Breach::new(time, what));
        }
    }
    Ok(datagrams)
}
