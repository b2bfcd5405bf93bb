//! Switches each deliberate fault on in turn. The hearing suite must notice every one; one that survives is a failure.
//!
//! `ASIDE_HISTORIES=n`: how many histories a fault may survive before it counts as unnoticed (default 4 000).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use conference::mutation::Mutation;
use conference::{Entry, Listener, Policy, Room, Source};
use hearing_mutants::model::history::History;
use hearing_mutants::model::stage::{Breach, Score};
use hearing_mutants::model::suite::{asked, examine_as};

fn breach(seed: u64, score: &Score<'_>) -> Option<Breach> {
    let history = History::random(seed);
    match catch_unwind(AssertUnwindSafe(|| examine_as(&history, score))) {
        Ok(result) => result.err(),
        Err(_) => Some(Breach { at: 0, what: "a panic".to_owned() }),
    }
}

/// The first history that notices a fault, and holds without it.
fn first_to_notice(histories: u64, score: &Score<'_>, switch: impl Fn(bool)) -> Option<(u64, Breach)> {
    (1..=histories).find_map(|seed| {
        switch(true);
        let noticed = breach(seed, score);
        switch(false);
        let noticed = noticed?;
        breach(seed, score).is_none().then_some((seed, noticed))
    })
}

/// Who hears a callee before his answer, in every small room: members who wait for the start or are alone, unless they are on hold or
/// deaf. Histories have no such legs.
fn early_breach() -> Option<Breach> {
    const HELD: u32 = 1;
    const DEAF: u32 = 2;
    const STARTS: u32 = 4;
    (1..=3u32).flat_map(|people| (0..8u32.pow(people)).map(move |flags| (people, flags))).find_map(|(people, flags)| {
        let of = |person: u32| flags / 8u32.pow(person) % 8;
        let mut room = Room::open(Policy::default(), Duration::ZERO);
        let ids: Vec<_> = (0..people)
            .filter_map(|person| {
                let is = |flag: u32| of(person) & flag != 0;
                let entry = Entry { held: is(HELD), deaf: is(DEAF), start_on_enter: is(STARTS), ..Entry::default() };
                room.enter(entry, Duration::ZERO).ok()
            })
            .collect();
        let early = Source::Early(room.add_early().ok()?);
        let waits = !(0..people).any(|person| of(person) & STARTS != 0) || people == 1;
        let wrong = (0..people).zip(&ids).find(|(person, id)| {
            let may = waits && of(*person) & (HELD | DEAF) == 0;
            may != room.hearing().allows(Listener::Ear(**id), early)
        });
        wrong.map(|(person, _)| Breach { at: 0, what: format!("person {person} of {people}, flags {flags:o}: the early leg") })
    })
}

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
                println!("{name:36} SURVIVES {histories} histories");
                survivors.push(name);
            }
        };
    if let Some(breach) = early_breach() {
        println!("without any fault: {}", breach.what);
        return ExitCode::FAILURE;
    }
    let early = [Mutation::EarlyInCompany, Mutation::EarlyForTheDeaf];
    for mutation in Mutation::ALL {
        let switch = |on: bool| conference::mutation::set(on.then_some(mutation));
        let by_sound =
            if early.contains(&mutation) { None } else { first_to_notice(histories, &sound, switch) };
        // Taps have no ear in the media plane, and a mixer that takes a listener's own voice out hides it from the sound.
        let by_rule = if by_sound.is_none() && !early.contains(&mutation) {
            first_to_notice(histories, &Score::EXACT, switch)
        } else {
            None
        };
        switch(true);
        let by_table = early_breach().map(|breach| (0, breach));
        switch(false);
        let by_rule = by_rule.or(by_table);
        tell(format!("conference::{mutation:?}"), by_sound, by_rule);
    }
    for mutation in media::mutation::Mutation::ALL {
        let by_sound = first_to_notice(histories, &sound, |on| media::mutation::set(on.then_some(mutation)));
        tell(format!("media::{mutation:?}"), by_sound, None);
    }
    if survivors.is_empty() {
        println!("every fault was noticed");
        return ExitCode::SUCCESS;
    }
    println!("not noticed: {survivors:?}");
    ExitCode::FAILURE
}
