//! Switches each deliberate fault on in turn. The hearing suite must notice every one; one that survives is a failure.
//!
//! `ASIDE_HISTORIES=n`: how many histories a fault may survive before it counts as unnoticed (default 4 000); `ASIDE_SCRIPTS=n`: how
//! many scripts of wide legs (default 200).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use conference::mutation::Mutation;
use hearing_mutants::model::history::History;
use hearing_mutants::model::stage::{Breach, Score};
use hearing_mutants::model::suite::{asked, examine_as};
use hearing_mutants::model::wide;

fn breach(seed: u64, score: &Score<'_>) -> Option<Breach> {
    let history = History::random(seed);
    match catch_unwind(AssertUnwindSafe(|| examine_as(&history, score))) {
        Ok(result) => result.err(),
        Err(_) => Some(Breach { at: 0, what: "a panic".to_owned() }),
    }
}

fn wide_breach(seed: u64) -> Option<Breach> {
    match catch_unwind(AssertUnwindSafe(|| wide::examine(seed))) {
        Ok(result) => result.err(),
        Err(_) => Some(Breach { at: 0, what: "a panic".to_owned() }),
    }
}

/// The first seed that notices a fault, and holds without it.
fn first_to_notice(seeds: u64, breach: impl Fn(u64) -> Option<Breach>, switch: impl Fn(bool)) -> Option<(u64, Breach)> {
    (1..=seeds).find_map(|seed| {
        switch(true);
        let noticed = breach(seed);
        switch(false);
        let noticed = noticed?;
        breach(seed).is_none().then_some((seed, noticed))
    })
}

/// Faults that no phone can hear: taps have no ear in the media plane of a history, a mixer takes a listener's own voice out whatever its
/// plan says, and what a room's clock says is no sound.
const SILENT: [Mutation; 7] = [
    Mutation::OwnMicrophone,
    Mutation::WidenTap,
    Mutation::EarlyForTaps,
    Mutation::EarOfOwnVoice,
    Mutation::EarOfClosedEar,
    Mutation::EarOfWhispers,
    Mutation::EndProlonged,
];

fn main() -> ExitCode {
    let histories = asked("ASIDE_HISTORIES").unwrap_or(4_000);
    let sound = Score { rule: false, ..Score::EXACT };
    let mut survivors = Vec::new();
    let mut tell =
        |name: String, by_sound: Option<(u64, Breach)>, by_rule: Option<(u64, Breach)>| match (by_sound, by_rule) {
            (Some((seed, breach)), _) => {
                println!("{name:36} killed by sound: seed {seed}, {} ms: {}", breach.at, breach.what)
            }
            (None, Some((seed, breach))) => {
                println!("{name:36} killed by rule:  seed {seed}, {} ms: {}", breach.at, breach.what)
            }
            (None, None) => {
                println!("{name:36} SURVIVES");
                survivors.push(name);
            }
        };
    for mutation in Mutation::ALL {
        let switch = |on: bool| conference::mutation::set(on.then_some(mutation));
        let silent = SILENT.contains(&mutation);
        let by_sound = if silent { None } else { first_to_notice(histories, |seed| breach(seed, &sound), switch) };
        let by_rule = if by_sound.is_none() {
            first_to_notice(histories, |seed| breach(seed, &Score::EXACT), switch)
        } else {
            None
        };
        tell(format!("conference::{mutation:?}"), by_sound, by_rule);
    }
    for mutation in media::mutation::Mutation::ALL {
        let switch = |on: bool| media::mutation::set(on.then_some(mutation));
        let by_sound = first_to_notice(histories, |seed| breach(seed, &sound), switch);
        tell(format!("media::{mutation:?}"), by_sound, None);
    }
    let scripts = asked("ASIDE_SCRIPTS").unwrap_or(200);
    for mutation in media::mutation::Mutation::OF_WIDE {
        let switch = |on: bool| media::mutation::set(on.then_some(mutation));
        tell(format!("media::{mutation:?}"), first_to_notice(scripts, wide_breach, switch), None);
    }
    if survivors.is_empty() {
        println!("every fault was noticed");
        return ExitCode::SUCCESS;
    }
    println!("not noticed: {survivors:?}");
    ExitCode::FAILURE
}
