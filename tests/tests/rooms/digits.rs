//! Keys that members press: told to programs, and heard by others only where that was asked for and by whom the member speaks to.

use std::time::Instant;

use phone::Content;
use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{SETTLING, silent_since_invite, stays_silent, stays_silent_since};
use system_tests::office::{Member, Office};

use super::people::{comes, goes};

/// The two tones of a key.
fn tones_of(key: char) -> [u32; 2] {
    match key {
        '1' => [697, 1209],
        '5' => [770, 1336],
        '8' => [852, 1336],
        '9' => [852, 1477],
        '0' => [941, 1336],
        '#' => [941, 1477],
        other => panic!("{other} is not used here"),
    }
}

const EVENTS: &str = r#"statusCallbackEvents="participant-state-changes,participant-digit-input-events""#;

/// How the phone says that a key was pressed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    TelephoneEvent,
    Info,
}

/// Presses a key and waits until the program is told.
async fn presses(office: &Office, member: &Member, key: char, by: By) -> Instant {
    let (mark, before) = (office.program.mark(), Instant::now());
    match by {
        By::TelephoneEvent => member.call.send_digits(&key.to_string()).await.unwrap(),
        By::Info => member.call.send_digits_by_info(&key.to_string()).await.unwrap(),
    }
    let told = office.program.event("ParticipantDigitInput", mark, |_| true).await;
    assert_eq!(
        (told.param("DigitInput"), told.param("MemberID"), told.param("ParticipantCallUUID")),
        (key.to_string().as_str(), member.number.as_str(), member.call_uuid.as_str()),
        "{told:?}"
    );
    before
}

async fn hears_key(what: &str, member: &Member, key: char, since: Instant) {
    for tone in tones_of(key) {
        comes(what, &member.call, tone, since).await;
        goes(what, &member.call, tone).await;
    }
    let relayed = member.call.ear().since(since);
    assert!(relayed.iter().all(|packet| matches!(packet.content, Content::Audio(_))), "{what}: it comes as sound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coaching_supervisors_key_is_heard_by_the_agent_alone() {
    let office = Office::open().await;
    let customer =
        office.joins("customer", "support", "Customer", &format!("stayAlone=\"true\" {EVENTS}"), Mouth::Silence).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    let coach = "coachMode=\"true\" relayDTMFInputs=\"true\"";
    let supervisor = office.joins("supervisor", "support", "Supervisor", coach, Mouth::Silence).await;
    for (key, by) in [('5', By::TelephoneEvent), ('9', By::Info)] {
        let since = presses(&office, &supervisor, key, by).await;
        hears_key(&format!("{by:?} while coaching"), &agent, key, since).await;
        silent_since_invite(&format!("{by:?}: the customer heard a key"), &customer.call).await;
        silent_since_invite("he heard his own key", &supervisor.call).await;
    }
    // Nobody hears the key of somebody muted, or on hold.
    for change in ["mute", "hold"] {
        office.update(&supervisor, json!({ change: true })).await;
        let since = Instant::now() + SETTLING;
        presses(&office, &supervisor, '#', By::TelephoneEvent).await;
        presses(&office, &supervisor, '0', By::Info).await;
        stays_silent_since(&format!("the agent, {change}"), &agent.call, since, 15).await;
        office.update(&supervisor, json!({ change: false })).await;
    }
    stays_silent("the customer", &customer.call, 15).await;
    // Who talks to all is heard by all.
    office.update(&supervisor, json!({ "coach_mode": false })).await;
    for (key, by) in [('8', By::TelephoneEvent), ('0', By::Info)] {
        let since = presses(&office, &supervisor, key, by).await;
        for hearer in [&customer, &agent] {
            hears_key(&format!("{by:?} to all"), hearer, key, since).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_relay_nobody_hears_a_key_and_the_program_is_told_all_the_same() {
    let office = Office::open().await;
    let customer =
        office.joins("customer", "support", "Customer", &format!("stayAlone=\"true\" {EVENTS}"), Mouth::Silence).await;
    let agent = office.joins("agent", "support", "Agent", "relayDTMFInputs=\"true\"", Mouth::Silence).await;
    for (key, by) in [('1', By::TelephoneEvent), ('5', By::Info)] {
        presses(&office, &customer, key, by).await;
        stays_silent("the agent", &agent.call, 15).await;
    }
    assert_eq!(agent.call.ear().digits(), "", "a key was passed on as an event");
    let since = presses(&office, &agent, '1', By::TelephoneEvent).await;
    hears_key("the agent's", &customer, '1', since).await;

    // A group that was not asked for is not told.
    let quiet = office.joins("quiet", "elsewhere", "Customer", "", Mouth::Silence).await;
    let mark = office.program.mark();
    quiet.call.send_digits("5").await.unwrap();
    quiet.leaves().await;
    office.program.event("MPCEnd", mark, |event| event.param("MPCUUID") == quiet.room).await;
    let told = office
        .program
        .asked()
        .matching(|asked| asked.event() == "ParticipantDigitInput" && asked.param("MPCUUID") == quiet.room);
    assert!(told.is_empty(), "{told:?}");
    assert!(office.program.asked().find(0, SOON, |asked| asked.event() == "MPCEnd").await.is_some());
}
