//! Switches each deliberate fault on in turn. The hearing suite must notice every one; one that survives is a failure.
//!
//! `ASIDE_HISTORIES=n`: how many histories a fault may survive before it counts as unnoticed (default 4 000).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use hearing_mutants::model::history::History;
use hearing_mutants::model::stage::{Breach, Score};
use hearing_mutants::model::suite::{asked, examine_as};

/// The first history that notices.
fn first_to_notice(histories: u64, score: &Score<'_>) -> Option<(u64, Breach)> {
    (1..=histories).find_map(|seed| {
        let history = History::random(seed);
        let outcome = catch_unwind(AssertUnwindSafe(|| examine_as(&history, score)));
        let breach = match outcome {
            Ok(result) => result.err()?,
            Err(_) => Breach { at: 0, what: "a panic".to_owned() },
        };
        Some((seed, breach))
    })
}

fn main() -> ExitCode {
    let histories = asked("ASIDE_HISTORIES").unwrap_or(4_000);
    let sound = Score { rule: false, ..Score::EXACT };
    let mut survivors = Vec::new();
    if let Some((seed, breach)) = first_to_notice(histories.min(500), &Score::EXACT) {
        println!("without any fault: seed {seed} at {} ms: {}", breach.at, breach.what);
        survivors.push("the suite fails without a fault, so its kills prove nothing".to_owned());
    }
    let mut tell = |name: String, by_sound: Option<(u64, Breach)>, by_rule: Option<(u64, Breach)>| match (by_sound, by_rule) {
        (Some((seed, breach)), _) => println!("{name:40} killed by sound: seed {seed}, {} ms: {}", breach.at, breach.what),
        (None, Some((seed, breach))) => println!("{name:40} killed by rule:  seed {seed}, {} ms: {}", breach.at, breach.what),
        (None, None) => {
            println!("{name:40} SURVIVES {histories} histories");
            survivors.push(name);
        }
    };
    for mutation in conference::mutation::Mutation::ALL {
        conference::mutation::set(Some(mutation));
        let by_sound = first_to_notice(histories, &sound);
        let by_rule = if by_sound.is_none() { first_to_notice(histories, &Score::EXACT) } else { None };
        conference::mutation::set(None);
        tell(format!("conference::{mutation:?}"), by_sound, by_rule);
    }
    for mutation in media::mutation::Mutation::ALL {
        media::mutation::set(Some(mutation));
        let by_sound = first_to_notice(histories, &sound);
        media::mutation::set(None);
        tell(format!("media::{mutation:?}"), by_sound, None);
    }
    if survivors.is_empty() {
        println!("all faults were noticed");
        return ExitCode::SUCCESS;
    }
    println!("not noticed, or in the way: {survivors:#?}");
    ExitCode::FAILURE
}
