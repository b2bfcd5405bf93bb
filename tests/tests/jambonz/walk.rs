//! A random walk over the actions of both dialects on one room: after each of a thousand steps the server's hearing is the model's, and again and again the
//! phones are asked too.

#![allow(clippy::print_stdout, reason = "a walk tells its seed and what it has done")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use phone::Mouth;
use serde_json::json;
use system_tests::ears::{Heard, hears, tones};
use system_tests::jambonz::exchange::Exchange;
use system_tests::model::random::Random;
use system_tests::model::rule::{Ears, House, Listens, Person, Sounds, Who};
use system_tests::office::Member;

const ROOM: &str = "walk";
const STEPS: usize = 1_000;
/// Steps between two measurements by ear.
const MEASURE_EVERY: usize = 100;
/// Requests that one account may send to Plivo's API within five minutes, with a margin.
const PLIVO_REQUESTS: usize = 280;
/// Longest wait until a command without an answer holds.
const COMMAND: Duration = Duration::from_secs(10);

const TAGS: [&str; 3] = ["agent", "customer", "trainee"];

/// Somebody in the room, and his number in the model.
struct Somebody {
    member: Member,
    number: u32,
    jambonz: bool,
    supervisor: bool,
}

fn person(role: Option<&str>, tag: Option<&str>, coaching: Option<Vec<Who>>) -> Person {
    Person {
        number: 0,
        role: role.map(str::to_owned),
        tag: tag.map(str::to_owned),
        coaching: coaching.is_some(),
        confidants: coaching.map_or(Ears::All, Ears::Only),
        muted: false,
        held: false,
        deaf: false,
        ends: false,
        starts: true,
        preparing: false,
        put_off: None,
    }
}

struct Walk {
    exchange: Exchange,
    house: House,
    people: Vec<Somebody>,
    random: Random,
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
        let mut comes = |member: Member, person: Person, jambonz: bool| {
            let supervisor = person.role.as_deref() == Some("supervisor");
            let number = house.come(person).expect("the house is open");
            people.push(Somebody { member, number, jambonz, supervisor });
        };
        let staff = || Some(vec![Who::Role("agent".into()), Who::Role("supervisor".into())]);
        let member = office.joins("plivo-customer", ROOM, "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
        comes(member, person(Some("customer"), None, None), false);
        let member = office.joins("plivo-agent", ROOM, "Agent", "", Mouth::Silence).await;
        comes(member, person(Some("agent"), None, None), false);
        let member = office.joins("plivo-supervisor", ROOM, "Supervisor", "coachMode=\"true\"", Mouth::Silence).await;
        comes(member, person(Some("supervisor"), None, staff()), false);
        let member = exchange.joins("tagged", json!({ "name": ROOM, "memberTag": "agent" }), Mouth::Silence).await;
        comes(member, person(None, Some("agent"), None), true);
        let member = exchange.joins("untagged", json!({ "name": ROOM }), Mouth::Silence).await;
        comes(member, person(None, None, None), true);
        let member = exchange.joins("coach", json!({ "name": ROOM, "speakOnlyTo": "agent" }), Mouth::Silence).await;
        comes(member, person(None, None, Some(vec![Who::Tag("agent".into())])), true);
        Self { exchange, house, people, random: Random::new(seed, 7), plivo: 0, rest: 0, frames: 0 }
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.below(limit)
    }

    /// One action: on the server and in the model.
    async fn step(&mut self) -> String {
        let who = self.below(self.people.len());
        let (number, jambonz, supervisor) = {
            let somebody = &self.people[who];
            (somebody.number, somebody.jambonz, somebody.supervisor)
        };
        let on = self.below(2) == 0;
        if self.below(if jambonz { 8 } else { 3 }) == 0
            && let Some(done) = self.by_plivo(who, number, supervisor, on).await
        {
            return done;
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
            format!("frame to {}: {action}", self.people[who].member.name)
        } else {
            self.rest += 1;
            self.exchange.rest.action(&sid, action.clone()).await;
            format!("REST to {}: {action}", self.people[who].member.name)
        }
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
    async fn agrees(&self, step: usize, done: &str) {
        let expected = self.expected();
        let by_frame = done.starts_with("frame");
        let end = Instant::now() + if by_frame { COMMAND } else { Duration::ZERO };
        loop {
            let hearing: BTreeSet<_> = self.exchange.hearing(&self.people[0].member.room).await.into_iter().collect();
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
                panic!(
                    "step {step}, {done}: too much: [{}]; missing: [{}]",
                    show(hearing.difference(&expected).collect()),
                    show(expected.difference(&hearing).collect())
                );
            }
        }
    }

    /// The phones hear what the model says: three speak at a time.
    async fn sounds(&self, what: &str) {
        let tones = tones::<3>();
        for speaking in [[0usize, 2, 4], [1, 3, 5]] {
            let mut said = vec![None; self.people.len()];
            for (place, tone) in speaking.into_iter().zip(tones) {
                said[place] = Some(tone);
            }
            for (somebody, tone) in self.people.iter().zip(&said) {
                match tone {
                    Some(tone) => somebody.member.speaks(*tone).await,
                    None => somebody.member.falls_silent().await,
                };
            }
            let people: Vec<Heard<'_>> =
                self.people.iter().zip(&said).map(|(somebody, tone)| somebody.member.heard(*tone)).collect();
            let mut allowed = Vec::new();
            for listener in &self.people {
                for place in speaking {
                    let speaker = &self.people[place];
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
    walk.agrees(0, "joined").await;
    walk.sounds("at the beginning").await;
    let mut heard = BTreeSet::new();
    for step in 1..=STEPS {
        let done = walk.step().await;
        walk.agrees(step, &done).await;
        heard.insert(walk.expected());
        if step % MEASURE_EVERY == 0 {
            walk.sounds(&format!("seed {seed}, step {step}, {done}")).await;
        }
    }
    println!("{} matrices; {} by Plivo, {} by REST, {} by frames", heard.len(), walk.plivo, walk.rest, walk.frames);
    // A walk that stands still proves nothing.
    assert!(heard.len() > 100, "only {} different matrices", heard.len());
    assert!(walk.plivo > 100 && walk.rest > 100 && walk.frames > 100, "one way was hardly gone");
    walk.exchange.closes().await;
}
