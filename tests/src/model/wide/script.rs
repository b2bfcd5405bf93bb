//! Random scripts: four members, their phones, and what is done to them.

use super::MEMBERS;
use crate::model::history::{Act, Posture};
use crate::model::random::Random;

/// What a member's phone speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Opus.
    Opus,
    /// G.722.
    G722,
    /// 16 bits at 8 kHz.
    Linear,
}

/// A member.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// In Plivo's words.
    pub role: &'static str,
    /// His format.
    pub kind: Kind,
    /// Whether his packets come over a path.
    pub browser: bool,
    /// How late the path's transport hands them over, ms.
    pub lag: u64,
    /// When his packets leave within 20 ms, µs.
    pub phase: u32,
    /// Whether he speaks from the beginning.
    pub talks: bool,
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Step {
    /// A member speaks or is silent.
    Talk(usize, bool),
    /// A member alone hears something, where no witnesses are.
    Prompt(usize),
    /// A command.
    Do(Act),
}

/// What happens.
#[derive(Clone, Debug)]
pub struct Script {
    /// Makes it.
    pub seed: u64,
    /// By member: in the order of their seats.
    pub seats: [Seat; MEMBERS],
    /// So many ms after the one before.
    pub steps: Vec<(u64, Step)>,
    /// How long it goes on, ms.
    pub tail: u64,
}

impl Script {
    /// The script of a seed. In every other one the supervisor is never heard by a customer.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed, 1);
        let mut roles = ["customer", "agent", "agent", "supervisor"];
        for at in (1..roles.len()).rev() {
            roles.swap(at, random.below(at + 1));
        }
        // In half of them one speaks beside the supervisor and the others listen, so that encoders are shared.
        let calm = random.percent(50);
        let alike = random.percent(if calm { 70 } else { 30 });
        let talker = random.pick(&[0, 1, 2]);
        let mut others = 0;
        let seats = roles.map(|role| {
            let kind =
                if alike { Kind::Opus } else { random.pick(&[Kind::Opus, Kind::Opus, Kind::G722, Kind::Linear]) };
            let browser = random.percent(60);
            let lag = if browser && random.percent(60) { random.between(1, 12) } else { 0 };
            let supervises = role == "supervisor";
            let talks = supervises || if calm { others == talker } else { random.percent(60) };
            others += usize::from(!supervises);
            Seat { role, kind, browser, lag, phase: random.between(0, 19) as u32 * 1_000, talks }
        });
        let whispers = seed.is_multiple_of(2);
        let steps = (0..random.between(8, 14)).map(|_| {
            let gap = if random.percent(40) { random.between(1, 120) } else { random.between(150, 600) };
            (gap, Self::step(&mut random, &roles, whispers, calm))
        });
        let steps = steps.collect();
        Self { seed, seats, steps, tail: 700 }
    }

    fn step(random: &mut Random, roles: &[&str; MEMBERS], whispers: bool, calm: bool) -> Step {
        let supervisor = roles.iter().position(|role| *role == "supervisor").unwrap_or(0);
        let agents: Vec<usize> = (0..MEMBERS).filter(|at| roles[*at] == "agent").collect();
        match random.below(10) {
            0 if random.percent(50) => Step::Talk(random.below(MEMBERS), random.percent(50)),
            0 | 1 if calm => Step::Prompt(random.below(MEMBERS)),
            0..3 if !calm => Step::Talk(random.below(MEMBERS), random.percent(50)),
            3 if !calm => Step::Do(Act::Mute(random.below(MEMBERS), random.percent(40))),
            4 if !calm => Step::Do(Act::Hold(random.below(MEMBERS), random.percent(30))),
            _ if whispers => {
                let postures = [Posture::Monitor, Posture::Whisper];
                Step::Do(Act::Mode(supervisor, postures[random.below(postures.len())].clone()))
            }
            5 => Step::Do(Act::Coach(supervisor, random.percent(50), None)),
            _ => {
                let one = agents[random.below(agents.len())];
                let postures = [
                    Posture::Monitor,
                    Posture::Whisper,
                    Posture::Barge,
                    Posture::Takeover(None),
                    Posture::Takeover(Some(vec![one])),
                    Posture::Stop,
                ];
                Step::Do(Act::Mode(supervisor, postures[random.below(postures.len())].clone()))
            }
        }
    }

    /// The first member with this role.
    #[must_use]
    pub fn place(&self, role: &str) -> usize {
        self.seats.iter().position(|seat| seat.role == role).unwrap_or(0)
    }
}
