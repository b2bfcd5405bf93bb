//! Promise 1: who hears whom, by an independent model and to the sample, over thousands of histories.
//!
//! `ASIDE_HISTORIES=n` plays n instead of 10 000; `ASIDE_SEED=s` plays the history of one seed again. `ASIDE_SCRIPTS=n` plays n scripts
//! of wide legs instead of 40; `ASIDE_SCRIPT=s` plays one.

#![allow(clippy::print_stdout, reason = "a suite tells what it has looked at")]

use system_tests::model::history::{Act, Entrance, History};
use system_tests::model::rule::{Ears, House, Listens, Person, Sounds, Who};
use system_tests::model::suite::{asked, examine, run, shorten};
use system_tests::model::tables::{JambonzMember, PlivoMember, jambonz, plivo};
use system_tests::model::wide::{self, Looked};

#[test]
fn nobody_hears_what_is_not_for_him_and_everybody_hears_what_is() {
    if let Some(seed) = asked("ASIDE_SEED") {
        let history = History::random(seed);
        match examine(&history) {
            Ok(seen) => println!("seed {seed}: {seen:?}"),
            Err(_) => panic!("{}", shorten(&history, |h| examine(h).err())),
        }
        return;
    }
    let count = asked("ASIDE_HISTORIES").unwrap_or(10_000);
    let seen = run(1, count).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{count} histories: {seen:?}");
    // A suite that looks away proves nothing: each of these is a kind of looking.
    let kinds = [
        seen.commands,
        seen.packets,
        seen.forbidden,
        seen.heard,
        seen.owed,
        seen.admissions,
        seen.compared,
        seen.withheld,
        seen.moves,
    ];
    assert!(kinds.iter().all(|n| *n > count / 10), "too little was seen: {seen:?}");
    let rare = [seen.rules.tapped, seen.rules.rung, seen.rules.preparing, seen.rules.timed];
    assert!(rare.iter().all(|n| *n > count / 50), "too little was compared: {seen:?}");
}

#[test]
fn every_sample_of_a_wide_leg_is_the_sum_of_whom_it_may_hear_and_forbidden_sound_changes_no_byte() {
    let mut all = Looked::default();
    let seeds = asked("ASIDE_SCRIPT").map_or(1..=asked("ASIDE_SCRIPTS").unwrap_or(40), |seed| seed..=seed);
    let scripts = seeds.clone().count() as u64;
    for seed in seeds {
        match wide::examine(seed) {
            Ok(looked) => all.add(&looked),
            Err(breach) => panic!("ASIDE_SCRIPT={seed}: at {} ms: {}", breach.at, breach.what),
        }
    }
    println!("{scripts} scripts of wide legs: {all:?}");
    let Looked { ticks, ramps, kept_out, never, at_times, prompts, datagrams } = all;
    assert!(
        scripts == 1 || [ticks / 200, ramps, kept_out / 20, datagrams / 100].iter().all(|n| *n > scripts),
        "{all:?}"
    );
    assert!(
        scripts == 1 || (never > scripts / 5 && at_times > scripts / 5 && prompts > scripts / 5),
        "too little was compared: {all:?}"
    );
}

fn person(role: Option<&str>, tag: Option<&str>) -> Person {
    Person {
        number: 0,
        role: role.map(str::to_owned),
        tag: tag.map(str::to_owned),
        confidants: Ears::All,
        coaching: false,
        muted: false,
        held: false,
        deaf: false,
        ends: false,
        starts: true,
        preparing: false,
        put_off: None,
    }
}

#[test]
fn the_model_is_plivos_table() {
    let mut members = Vec::new();
    for role in ["Agent", "Customer", "Supervisor"] {
        for flags in 0..8 {
            let coach_mode = flags & 4 != 0 && role == "Supervisor";
            members.push(PlivoMember { role, coach_mode, mute: flags & 1 != 0, hold: flags & 2 != 0 });
        }
    }
    for listener in &members {
        for speaker in &members {
            let mut house = House::new(None, true);
            let enter = |m: &PlivoMember| Person {
                confidants: Ears::Only(vec![Who::Role("agent".into()), Who::Role("supervisor".into())]),
                coaching: m.coach_mode,
                muted: m.mute,
                held: m.hold,
                ..person(Some(&m.role.to_lowercase()), None)
            };
            let l = house.come(enter(listener)).expect("open");
            let s = house.come(enter(speaker)).expect("open");
            let model = house.hears(Listens::Ear(l), Sounds::Voice(s));
            assert_eq!(model, plivo(*listener, *speaker), "{speaker:?} to {listener:?}");
        }
    }
}

#[test]
fn the_model_is_jambonz_formula() {
    let tags = [None, Some("agent"), Some("supervisor"), Some("blue")];
    let mut members = Vec::new();
    for tag in tags {
        for speak_only_to in tags {
            for flags in 0..8 {
                members.push(JambonzMember {
                    tag,
                    speak_only_to,
                    muted: flags & 1 != 0,
                    held: flags & 2 != 0,
                    deaf: flags & 4 != 0,
                });
            }
        }
    }
    for listener in &members {
        for speaker in &members {
            let mut house = House::new(None, true);
            let enter = |m: &JambonzMember| Person {
                confidants: m.speak_only_to.map_or(Ears::All, |t| Ears::Only(vec![Who::Tag(t.into())])),
                coaching: m.speak_only_to.is_some(),
                muted: m.muted,
                held: m.held,
                deaf: m.deaf,
                ..person(None, m.tag)
            };
            let l = house.come(enter(listener)).expect("open");
            let s = house.come(enter(speaker)).expect("open");
            let model = house.hears(Listens::Ear(l), Sounds::Voice(s));
            assert_eq!(model, jambonz(*listener, *speaker), "{speaker:?} to {listener:?}");
        }
    }
}

fn holds(history: &History) {
    if let Err(breach) = examine(history) {
        panic!("at {} ms: {}", breach.at, breach.what);
    }
}

/// A written history on exact terms: zeros for what is missing.
fn exact(seed: u64, phones: usize, acts: Vec<(u64, Act)>) -> History {
    let mut history = History::written(seed, phones, acts);
    history.buffers.waveform = false;
    history
}

#[test]
fn admitting_one_listener_interrupts_no_other() {
    // Phone 2 enters and is heard by phone 1; within 2 s phone 0, whom it could not reach before, is admitted to it.
    for gap in 900..920 {
        let acts = vec![
            (0, Act::Enter(0, 0, Entrance { held: true, ..Entrance::plivo("agent", false) })),
            (0, Act::Enter(1, 0, Entrance::plivo("customer", false))),
            (700, Act::Enter(2, 0, Entrance::plivo("agent", false))),
            (gap, Act::Hold(0, false)),
        ];
        holds(&exact(gap, 3, acts));
    }
}

#[test]
fn a_call_that_ends_on_its_way_to_another_shard_is_gone() {
    // Phone 1's call begins on shard 1, enters a room on shard 0, and ends in the same millisecond.
    holds(&exact(1, 3, vec![(7, Act::Enter(1, 0, Entrance::plivo("agent", false))), (0, Act::Replace(1, 5))]));
}

#[test]
fn a_packet_that_comes_twice_costs_no_sound() {
    for seed in 1..=40 {
        let acts = vec![
            (7, Act::Enter(0, 0, Entrance::plivo("customer", false))),
            (60, Act::Enter(2, 0, Entrance::plivo("agent", false))),
            (0, Act::Enter(1, 0, Entrance::plivo("agent", false))),
            // Lines on which something went wrong once deliver some packets twice.
            (100, Act::Lose(0, 1)),
            (0, Act::Lose(1, 1)),
            (0, Act::Lose(2, 1)),
        ];
        let mut history = exact(seed, 3, acts);
        for (phone, line) in history.lines.iter_mut().enumerate() {
            line.phase = (seed + 6 * phone as u64) % 20;
        }
        history.tail = 3_000;
        holds(&history);
    }
}
