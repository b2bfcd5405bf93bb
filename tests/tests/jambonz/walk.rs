//! A random walk over the actions of both dialects on one room, whose members leave it and come back: after each of a thousand steps the server's hearing is
//! the model's, and again and again the phones are asked too.

#![allow(clippy::print_stdout, reason = "a walk tells its seed and what it has done")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use phone::{CallState, Mouth};
use serde_json::json;
use system_tests::ears::{Heard, hears, tones};
use system_tests::jambonz::exchange::Exchange;
use system_tests::model::random::Random;
use system_tests::model::rule::{Ears, House, Listens, Person, Sounds, Who};
use system_tests::office::Member;

#[path = "walk_moves.rs"]
mod moves;

use moves::{Away, Moves};

const ROOM: &str = "walk";
const STEPS: usize = 1_000;
/// Steps between two measurements by ear.
const MEASURE_EVERY: usize = 100;
/// One step of so many is somebody's departure or return.
const MOVES: usize = 12;
/// With fewer than these nobody leaves: an empty room would be another one.
const FEWEST: usize = 3;
/// Requests that one account may send to Plivo's API within five minutes, with a margin.
const PLIVO_REQUESTS: usize = 280;
/// Longest wait until a command without an answer holds.
const COMMAND: Duration = Duration::from_secs(10);

const TAGS: [&str; 3] = ["agent", "customer", "trainee"];

/// How somebody calls in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// As a participant with this role.
    Plivo(&'static str),
    /// As a caller of an application.
    Jambonz,
}

/// Somebody in the room, and his number in the model.
struct Somebody {
    member: Member,
    number: u32,
    dialect: Dialect,
}

/// What was done, and whether it must hold at once.
struct Done {
    what: String,
    at_once: bool,
}

fn person(role: Option<&str>, tag: Option<&str>, coaching: Option<Vec<Who>>, muted: bool) -> Person {
    Person {
        number: 0,
        role: role.map(str::to_owned),
        tag: tag.map(str::to_owned),
        coaching: coaching.is_some(),
        confidants: coaching.map_or(Ears::All, Ears::Only),
        muted,
        held: false,
        deaf: false,
        ends: false,
        starts: true,
        preparing: false,
        put_off: None,
    }
}

/// A participant of this role as the model knows him when he enters.
fn participant(role: &str) -> Person {
    let staff = || vec![Who::Role("agent".into()), Who::Role("supervisor".into())];
    person(Some(role), None, (role == "supervisor").then(staff), false)
}

struct Walk {
    exchange: Exchange,
    house: House,
    room: String,
    people: Vec<Somebody>,
    away: Vec<Away>,
    random: Random,
    cursor: i64,
    moves: Moves,
    plivo: usize,
    rest: usize,
    frames: usize,
}

impl Walk {
    async fn begin(seed: u64) -> Self {
        let exchange = Exchange::open().await;
        let mut house = House::new(None, true);
        let mut people = Vec::new();
        let office = &exchange.office;
        let mut comes = |member: Member, person: Person, dialect: Dialect| {
            let number = house.come(person).expect("the house is open");
            people.push(Somebody { member, number, dialect });
        };
        for (name, role, given, attributes) in [
            ("plivo-customer", "customer", "Customer", "stayAlone=\"true\""),
            ("plivo-agent", "agent", "Agent", ""),
            ("plivo-supervisor", "supervisor", "Supervisor", "coachMode=\"true\""),
        ] {
            let member = office.joins(name, ROOM, given, attributes, Mouth::Silence).await;
            comes(member, participant(role), Dialect::Plivo(role));
        }
        let member = exchange.joins("tagged", json!({ "name": ROOM, "memberTag": "agent" }), Mouth::Silence).await;
        comes(member, person(None, Some("agent"), None, false), Dialect::Jambonz);
        let member = exchange.joins("untagged", json!({ "name": ROOM }), Mouth::Silence).await;
        comes(member, person(None, None, None, false), Dialect::Jambonz);
        let member = exchange.joins("coach", json!({ "name": ROOM, "speakOnlyTo": "agent" }), Mouth::Silence).await;
        comes(member, person(None, None, Some(vec![Who::Tag("agent".into())]), false), Dialect::Jambonz);
        let (room, cursor) = (people[0].member.room.clone(), exchange.cursor().await);
        let (random, away, moves) = (Random::new(seed, 7), Vec::new(), Moves::default());
        Self { exchange, house, room, people, away, random, cursor, moves, plivo: 0, rest: 0, frames: 0 }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit)
    }

    /// One step: on the server and in the model.
    async fn step(&mut self) -> Done {
        if self.below(MOVES) != 0 {
            return self.action().await;
        }
        let few = self.people.len() <= FEWEST;
        match self.away.is_empty() || !few && self.below(2) == 0 {
            true => self.somebody_leaves().await,
            false => self.somebody_returns().await,
        }
    }

    async fn action(&mut self) -> Done {
        let who = self.below(self.people.len());
        let Somebody { number, dialect, .. } = self.people[who];
        let (jambonz, supervisor) = (dialect == Dialect::Jambonz, dialect == Dialect::Plivo("supervisor"));
        let on = self.below(2) == 0;
        if self.below(if jambonz { 8 } else { 3 }) == 0
            && let Some(what) = self.by_plivo(who, number, supervisor, on).await
        {
            return Done { what, at_once: true };
        }
        let tag = TAGS[self.below(TAGS.len())];
        let action = match self.below(if jambonz { 8 } else { 4 }) {
            0 => {
                self.house.mute(number, on).expect("he is in");
                json!({ "action": if on { "mute" } else { "unmute" } })
            }
            1 => {
                self.house.hold(number, on).expect("he is in");
                json!({ "action": if on { "hold" } else { "unhold" } })
            }
            2 => {
                self.house.tag(number, Some(tag)).expect("he is in");
                json!({ "action": "tag", "tag": tag })
            }
            3 => {
                self.house.tag(number, None).expect("he is in");
                json!({ "action": "untag" })
            }
            4 | 5 => {
                let only = Ears::Only(vec![Who::Tag(tag.to_owned())]);
                self.house.coach(number, true, Some(only)).expect("he is in");
                json!({ "action": "coach", "tag": tag })
            }
            _ => {
                self.house.coach(number, false, None).expect("he is in");
                json!({ "action": "uncoach" })
            }
        };
        let sid = self.people[who].member.call_uuid.clone();
        let by_frame = jambonz && self.below(2) == 0;
        if by_frame {
            self.frames += 1;
            self.exchange.app.action(&sid, action.clone());
            self.is_done(&sid).await;
            Done { what: format!("frame to {}: {action}", self.people[who].member.name), at_once: false }
        } else {
            self.rest += 1;
            self.exchange.rest.action(&sid, action.clone()).await;
            Done { what: format!("REST to {}: {action}", self.people[who].member.name), at_once: true }
        }
    }

    /// Waits until a call has done all frames so far. They have no answer, but for those that it cannot do; what a request asks for
    /// meanwhile may overtake them.
    async fn is_done(&self, sid: &str) {
        let mark = self.exchange.app.mark();
        self.exchange.app.command(sid, "media:path", json!("full-media"));
        self.exchange.app.hears(sid, "jambonz:error", mark, |told| told.raw.contains("media:path")).await;
    }

    async fn by_plivo(&mut self, who: usize, number: u32, supervisor: bool, on: bool) -> Option<String> {
        if self.plivo >= PLIVO_REQUESTS {
            return None;
        }
        self.plivo += 1;
        let change = match self.below(if supervisor { 3 } else { 2 }) {
            0 => {
                self.house.mute(number, on).expect("he is in");
                json!({ "mute": on })
            }
            1 => {
                self.house.hold(number, on).expect("he is in");
                json!({ "hold": on })
            }
            _ => {
                self.house.coach(number, on, None).expect("he is in");
                json!({ "coach_mode": on })
            }
        };
        self.exchange.office.update(&self.people[who].member, change.clone()).await;
        Some(format!("Plivo to {}: {change}", self.people[who].member.name))
    }

    fn expected(&self) -> BTreeSet<(String, String)> {
        let mut pairs = BTreeSet::new();
        for listener in &self.people {
            for speaker in &self.people {
                if self.house.hears(Listens::Ear(listener.number), Sounds::Voice(speaker.number)) {
                    pairs.insert((listener.member.call_uuid.clone(), speaker.member.call_uuid.clone()));
                }
            }
        }
        pairs
    }

    /// The server says what the model says; at once after an answer, soon after a command that has none.
    async fn agrees(&self, step: usize, done: &Done) {
        let expected = self.expected();
        let end = Instant::now() + if done.at_once { Duration::ZERO } else { COMMAND };
        loop {
            let hearing: BTreeSet<_> = self.exchange.hearing(&self.room).await.into_iter().collect();
            if hearing == expected {
                return;
            }
            // Each look is a request; there is nothing else to wait for.
            if Instant::now() >= end {
                let name = |sid: &String| {
                    let of = self.people.iter().find(|somebody| somebody.member.call_uuid == *sid);
                    of.map_or(sid.clone(), |somebody| somebody.member.name.clone())
                };
                let show = |pairs: Vec<&(String, String)>| {
                    pairs.iter().map(|(l, s)| format!("{} hears {}", name(l), name(s))).collect::<Vec<_>>().join(", ")
                };
                let shown = self.exchange.office.native.get(&format!("/rooms/{}", self.room)).await;
                panic!(
                    "step {step}, {}: too much: [{}]; missing: [{}]\nthe model: {:#?}\nthe server: {shown:#}",
                    done.what,
                    show(hearing.difference(&expected).collect()),
                    show(expected.difference(&hearing).collect()),
                    self.house.people
                );
            }
        }
    }

    /// The phones hear what the model says: three speak at a time. Whoever was put out hears nobody.
    async fn sounds(&self, what: &str) {
        let tones = tones::<3>();
        for first in [0, 1] {
            let speaking: Vec<usize> = (first..self.people.len()).step_by(2).collect();
            let mut said = vec![None; self.people.len()];
            for (place, tone) in speaking.iter().zip(tones) {
                said[*place] = Some(tone);
            }
            for (somebody, tone) in self.people.iter().zip(&said) {
                match tone {
                    Some(tone) => somebody.member.speaks(*tone).await,
                    None => somebody.member.falls_silent().await,
                };
            }
            let mut people: Vec<Heard<'_>> =
                self.people.iter().zip(&said).map(|(somebody, tone)| somebody.member.heard(*tone)).collect();
            let idle = self.away.iter().filter(|away| away.dialect == Dialect::Jambonz);
            let idle = idle.filter(|away| away.call.state() == CallState::Answered);
            people.extend(idle.map(|away| Heard { name: &away.name, call: &away.call, tone: None }));
            let mut allowed = Vec::new();
            for listener in &self.people {
                for place in &speaking {
                    let speaker = &self.people[*place];
                    if self.house.hears(Listens::Ear(listener.number), Sounds::Voice(speaker.number)) {
                        allowed.push((listener.member.name.as_str(), speaker.member.name.as_str()));
                    }
                }
            }
            hears(what, &people, &allowed).await;
        }
        for somebody in &self.people {
            somebody.member.falls_silent().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_steps_of_both_dialects_never_differ_from_the_model() {
    let seed = std::env::var("ASIDE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    println!("seed {seed} (ASIDE_SEED plays it again)");
    let mut walk = Walk::begin(seed).await;
    walk.agrees(0, &Done { what: "joined".to_owned(), at_once: true }).await;
    walk.sounds("at the beginning").await;
    let mut heard = BTreeSet::new();
    for step in 1..=STEPS {
        let done = walk.step().await;
        walk.agrees(step, &done).await;
        heard.insert(walk.expected());
        if step % MEASURE_EVERY == 0 {
            walk.sounds(&format!("seed {seed}, step {step}, {}", done.what)).await;
        }
    }
    println!("{} matrices; {} by Plivo, {} by REST, {} by frames", heard.len(), walk.plivo, walk.rest, walk.frames);
    println!("{:?}", walk.moves);
    // A walk that stands still proves nothing.
    assert!(heard.len() > 100, "only {} different matrices", heard.len());
    assert!(walk.plivo > 100 && walk.rest > 100 && walk.frames > 100, "one way was hardly gone");
    let kicked = walk.moves.by_rest + walk.moves.by_frame + walk.moves.by_plivo;
    assert!(walk.moves.back > 10 && walk.moves.hung_up > 2 && kicked > 2, "hardly anybody moved: {:?}", walk.moves);
    walk.exchange.closes().await;
}
