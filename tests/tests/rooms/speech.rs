//! Speech events: told of real speech that somebody may hear, never of silence, nor of those who are muted, on hold or waiting.

use std::time::Duration;

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::voice;
use system_tests::office::{Member, Office};
use system_tests::program::Asked;

const EVENTS: &str =
    r#"stayAlone="true" statusCallbackEvents="mpc-state-changes,participant-state-changes,participant-speak-events""#;

/// No event.
const NOTHING: [bool; 0] = [];

/// A sentence, spoken; where no speech can be made, a tone in syllables.
fn sentence() -> Mouth {
    let spoken = phone::voice::speak("Good morning. How may I help you today, and who is calling please?", "en-us");
    let samples = spoken.unwrap_or_else(|| {
        let tone = |on: bool| {
            (0..2_400).map(move |n| {
                let turn = std::f64::consts::TAU * 300.0 * f64::from(n) / 8_000.0;
                if on { (6_000.0 * turn.sin()) as i16 } else { 0 }
            })
        };
        (0..8).flat_map(|n| tone(n % 2 == 0)).collect()
    });
    Mouth::Pcm { samples: samples.into(), repeat: false }
}

fn speaks(event: &Asked) -> Option<bool> {
    match event.event() {
        "ParticipantSpeakStart" => Some(true),
        "ParticipantSpeakStop" => Some(false),
        _ => None,
    }
}

/// What was told of a member's speech from `mark` on, in the order of its numbers.
fn told(office: &Office, member: &Member, mark: usize) -> Vec<bool> {
    let mut events: Vec<Asked> = office.program.asked().all().into_iter().skip(mark).collect();
    events.retain(|event| speaks(event).is_some() && event.param("MemberID") == member.number);
    events.sort_by_key(|event| event.param("SequenceNumber").parse::<u64>().unwrap_or(0));
    events.iter().filter_map(speaks).collect()
}

/// Waits for the next word about a member's speech.
async fn is_told(what: &str, office: &Office, member: &Member, mark: usize, speaking: bool) -> usize {
    let found = |event: &Asked| speaks(event) == Some(speaking) && event.param("MemberID") == member.number;
    office.program.asked().expect(what, mark, SOON, found).await;
    let all = office.program.asked().all();
    all.iter().enumerate().skip(mark).find(|(_, event)| found(event)).map_or(mark, |(index, _)| index + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentence_begins_and_ends_in_events_and_silence_makes_none() {
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", EVENTS, Mouth::Silence).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    let mark = office.program.mark();
    agent.says(sentence()).await;
    let next = is_told("the sentence begins", &office, &agent, mark, true).await;
    is_told("and ends", &office, &agent, next, false).await;
    // What a silent phone sends is packets all the same.
    assert!(customer.call.ear().wait_more(50, SOON).await);
    assert_eq!(told(&office, &customer, 0), NOTHING, "silence was taken for speech");
    let agents = told(&office, &agent, mark);
    let alternate = agents.iter().enumerate().all(|(n, speaking)| *speaking == (n % 2 == 0));
    assert!(alternate && agents.len().is_multiple_of(2), "{agents:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_to_speak_who_is_muted_on_hold_or_waiting() {
    let office = Office::open().await;
    let waiting = format!("{EVENTS} startMpcOnEnter=\"false\"");
    // He talks before he enters, and while he waits.
    let customer = office.joins("customer", "support", "Customer", &waiting, voice(300)).await;
    assert!(customer.call.ear().wait_more(50, SOON).await);
    assert_eq!(told(&office, &customer, 0), NOTHING, "he waits: nobody hears him");
    let mut mark = office.program.mark();
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    mark = is_told("the call starts while he speaks", &office, &customer, mark, true).await;
    for flag in ["mute", "hold"] {
        office.update(&customer, json!({ flag: true })).await;
        mark = is_told(&format!("{flag}: he is heard no more"), &office, &customer, mark, false).await;
        // Pauses and new words meanwhile.
        customer.falls_silent().await;
        assert!(agent.call.ear().wait_more(40, SOON).await);
        customer.speaks(300).await;
        assert!(agent.call.ear().wait_more(25, SOON).await);
        assert_eq!(told(&office, &customer, mark), NOTHING, "{flag}");
        office.update(&customer, json!({ flag: false })).await;
        mark = is_told(&format!("{flag} is over while he speaks"), &office, &customer, mark, true).await;
    }
    customer.falls_silent().await;
    mark = is_told("he falls silent", &office, &customer, mark, false).await;
    let none = office.program.asked().find(mark, Duration::from_millis(300), |event| speaks(event).is_some()).await;
    assert!(none.is_none(), "{none:?}");
}
