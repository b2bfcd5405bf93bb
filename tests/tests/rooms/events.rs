//! What programs are told: every event of every group with every key, in order, at the call's URL and at a member's own.

use std::collections::BTreeSet;

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::voice;
use system_tests::office::{DOMAIN, Office};
use system_tests::program::Asked;

use super::people::mpc_end;

const KEYS: [&str; 25] = [
    "EventName",
    "EventTimestamp",
    "SequenceNumber",
    "MPCUUID",
    "MPCName",
    "MemberID",
    "MemberAddress",
    "ParticipantRole",
    "ParticipantCallUUID",
    "ParticipantCallFrom",
    "ParticipantCallTo",
    "ParticipantCallDirection",
    "ParticipantCoachMode",
    "ParticipantMute",
    "ParticipantHold",
    "ParticipantJoinTime",
    "ParticipantEndTime",
    "ParticipantExitCause",
    "DigitInput",
    "MPCTerminationCause",
    "MPCTerminationCauseCode",
    "MPCDuration",
    "MPCBilledDuration",
    "MPCBilledAmount",
    "AddParticipantAPIRequestOutcome",
];

const ALL: &str = "mpc-state-changes,participant-state-changes,participant-speak-events,participant-digit-input-events,\
                   add-participant-api-events";

fn number(event: &Asked) -> u64 {
    event.param("SequenceNumber").parse().unwrap_or_else(|_| panic!("no SequenceNumber: {event:?}"))
}

/// What came to a path, in the order in which it came: the keys are complete and the numbers rise.
fn told(office: &Office, path: &str) -> Vec<Asked> {
    let events = office.program.asked().matching(|asked| asked.path == path);
    let wanted: BTreeSet<&str> = KEYS.into();
    for event in &events {
        let keys: BTreeSet<&str> = event.params.keys().map(String::as_str).collect();
        assert_eq!(keys, wanted, "{path}: {}", event.event());
        assert!(event.param("EventTimestamp").ends_with("+00:00"), "{event:?}");
    }
    let rising = events.windows(2).all(|two| number(&two[0]) < number(&two[1]));
    assert!(rising, "{path}: {:?}", events.iter().map(number).collect::<Vec<_>>());
    events
}

fn names(events: &[Asked]) -> Vec<&str> {
    events.iter().map(Asked::event).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_call_is_told_event_by_event_with_every_key_and_in_order() {
    let office = Office::open().await;
    let attributes = format!(r#"startMpcOnEnter="false" statusCallbackEvents="{ALL}""#);
    let customer = office.joins("customer", "support", "Customer", &attributes, Mouth::Silence).await;
    // The agent's own URL hears of him alone, by his own groups.
    let own = office.program.url("/agents-own");
    office.program.document(
        "/answer/agent",
        &format!(
            r#"<MultiPartyCall role="Agent" statusCallbackUrl="{own}" statusCallbackEvents="mpc-state-changes,participant-state-changes" enterSound="none" exitSound="none">support</MultiPartyCall>"#
        ),
    );
    let phone = office.phone("agent", Mouth::Silence).await;
    let agent = office.calls_in("agent", phone).await;
    let more = json!({
        "status_callback_url": office.program.url("/supervisors-own"), "status_callback_method": "GET",
        "status_callback_events": "participant-state-changes, add-participant-api-events",
    });
    let supervisor = office.is_added("supervisor", &customer.room, "supervisor", more, Mouth::Silence).await;
    // Somebody who never comes.
    let absent = office.phone("absent", Mouth::Silence).await;
    let mark = office.program.mark();
    let body =
        json!({ "role": "agent", "from": "14155550100", "to": format!("sip:absent@{DOMAIN}"), "dial_music": "none" });
    office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
    absent.incoming(SOON).await.expect("it does not ring").reject(486).await.unwrap();
    office.program.event("AddParticipantByAPIActionCompleted", mark, |_| true).await;

    for (member, change) in [
        (&customer, json!({ "mute": true })),
        (&customer, json!({ "mute": false })),
        (&agent, json!({ "hold": true })),
        (&agent, json!({ "hold": false })),
        (&supervisor, json!({ "coach_mode": false })),
        (&supervisor, json!({ "coach_mode": true, "mute": true })),
    ] {
        office.update(member, change).await;
    }
    let mark = office.program.mark();
    customer.call.send_digits("7").await.unwrap();
    office.program.event("ParticipantDigitInput", mark, |_| true).await;
    customer.says(voice(300)).await;
    office.program.event("ParticipantSpeakStart", mark, |_| true).await;
    customer.falls_silent().await;
    office.program.event("ParticipantSpeakStop", mark, |_| true).await;
    supervisor.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == supervisor.number).await;
    agent.leaves().await;
    mpc_end(&office, mark).await;
    let exits = |asked: &Asked| asked.path == "/agents-own" && asked.event() == "ParticipantExit";
    office.program.asked().expect("the agent's own", 0, SOON, exits).await;
    let exits = |asked: &Asked| asked.path == "/supervisors-own" && asked.event() == "ParticipantExit";
    office.program.asked().expect("the supervisor's own", 0, SOON, exits).await;

    let events = told(&office, "/events");
    assert_eq!(
        names(&events),
        [
            "MPCInitialized",
            "ParticipantJoin",
            "ParticipantJoin",
            "MPCStart",
            "AddParticipantByAPIActionInitiated",
            "ParticipantJoin",
            "AddParticipantByAPIActionCompleted",
            "AddParticipantByAPIActionInitiated",
            "ParticipantExit",
            "AddParticipantByAPIActionCompleted",
            "ParticipantMute",
            "ParticipantUnmute",
            "ParticipantHold",
            "ParticipantUnhold",
            "ParticipantCoachModeStop",
            "ParticipantCoachModeStart",
            "ParticipantMute",
            "ParticipantDigitInput",
            "ParticipantSpeakStart",
            "ParticipantSpeakStop",
            "ParticipantExit",
            "ParticipantExit",
            "ParticipantExit",
            "MPCEnd",
        ]
    );
    // Every group was asked for: no number is missing.
    assert_eq!(events.iter().map(number).collect::<Vec<_>>(), (1..=24).collect::<Vec<_>>());
    for (index, member) in [
        (0, &customer),
        (1, &customer),
        (2, &agent),
        (3, &agent),
        (5, &supervisor),
        (6, &supervisor),
        (10, &customer),
        (12, &agent),
        (14, &supervisor),
        (17, &customer),
        (18, &customer),
        (20, &supervisor),
        (21, &agent),
        (22, &customer),
        (23, &customer),
    ] {
        let event = &events[index];
        let role = member.name.as_str();
        let (from, direction) = if role == "supervisor" {
            ("14155550100".to_owned(), "outbound")
        } else {
            (format!("sip:{role}@{DOMAIN}"), "inbound")
        };
        for (key, value) in [
            ("MPCUUID", customer.room.as_str()),
            ("MPCName", "support"),
            ("MemberID", member.number.as_str()),
            ("MemberAddress", &format!("sip:{role}@{DOMAIN}")),
            ("ParticipantRole", role),
            ("ParticipantCallUUID", member.call_uuid.as_str()),
            ("ParticipantCallFrom", from.as_str()),
            ("ParticipantCallDirection", direction),
        ] {
            assert_eq!(event.param(key), value, "{key} of {index} {event:?}");
        }
        assert!(!event.param("ParticipantJoinTime").is_empty(), "{event:?}");
    }
    let flags = |index: usize| {
        ["ParticipantCoachMode", "ParticipantMute", "ParticipantHold"].map(|key| events[index].param(key) == "true")
    };
    for (index, expected) in [
        (1, [false, false, false]),
        (5, [true, false, false]),
        (10, [false, true, false]),
        (11, [false, false, false]),
        (12, [false, false, true]),
        (14, [false, false, false]),
        (16, [true, true, false]),
        (20, [true, true, false]),
    ] {
        assert_eq!(flags(index), expected, "{:?}", events[index]);
    }
    assert_eq!((events[17].param("DigitInput"), events[18].param("DigitInput")), ("7", ""));
    let outcome = |index: usize| events[index].param("AddParticipantAPIRequestOutcome");
    assert_eq!((outcome(4), outcome(6)), ("", "completed"));
    assert!(outcome(9).starts_with("failed"), "{}", outcome(9));
    // Nobody has a number before he is in; who never came has no time of entry.
    for index in [4, 7, 8, 9] {
        let event = &events[index];
        assert_eq!((event.param("MemberID"), event.param("ParticipantJoinTime")), ("", ""), "{event:?}");
        let role = if index == 4 { "supervisor" } else { "agent" };
        assert_eq!(event.param("ParticipantRole"), role, "{event:?}");
        assert!(!event.param("ParticipantCallUUID").is_empty() && !event.param("ParticipantCallTo").is_empty());
    }
    assert_eq!(events[7].param("ParticipantCallUUID"), events[9].param("ParticipantCallUUID"));
    for (index, event) in events.iter().enumerate() {
        let exit = event.event() == "ParticipantExit";
        assert_eq!(!event.param("ParticipantEndTime").is_empty(), exit || index == 23, "{event:?}");
        let end = event.event() == "MPCEnd";
        for key in
            ["MPCTerminationCause", "MPCTerminationCauseCode", "MPCDuration", "MPCBilledDuration", "MPCBilledAmount"]
        {
            assert_eq!(!event.param(key).is_empty(), end, "{key}: {event:?}");
        }
    }
    assert_eq!(events[23].param("MPCTerminationCauseCode"), "1010");
    assert!(events.iter().all(|event| event.method == "POST"));

    let agents = told(&office, "/agents-own");
    assert_eq!(names(&agents), ["ParticipantJoin", "ParticipantHold", "ParticipantUnhold", "ParticipantExit"]);
    assert!(agents.iter().all(|event| event.param("MemberID") == agent.number && event.method == "POST"));
    assert_eq!(agents.iter().map(number).collect::<Vec<_>>(), [3, 13, 14, 22], "the numbers are the call's");
    let supervisors = told(&office, "/supervisors-own");
    assert_eq!(
        names(&supervisors),
        [
            "AddParticipantByAPIActionInitiated",
            "ParticipantJoin",
            "AddParticipantByAPIActionCompleted",
            "ParticipantCoachModeStop",
            "ParticipantCoachModeStart",
            "ParticipantMute",
            "ParticipantExit",
        ]
    );
    assert!(supervisors.iter().all(|event| event.method == "GET"), "asked for by GET");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_groups_that_were_asked_for_are_told() {
    let office = Office::open().await;
    let expected: [(&str, &str, &[&str]); 4] = [
        ("mpc", "mpc-state-changes", &["MPCInitialized", "MPCStart", "MPCEnd"]),
        (
            "participant",
            "Participant-State-Changes",
            &["ParticipantJoin", "ParticipantMute", "ParticipantUnmute", "ParticipantExit"],
        ),
        ("digit", "participant-digit-input-events, participant-audio-events", &["ParticipantDigitInput"]),
        (
            "default",
            "",
            &[
                "MPCInitialized",
                "ParticipantJoin",
                "MPCStart",
                "ParticipantMute",
                "ParticipantUnmute",
                "ParticipantExit",
                "MPCEnd",
            ],
        ),
    ];
    for (name, groups, wanted) in expected {
        let events = office.program.url(&format!("/told/{name}"));
        let groups = if groups.is_empty() { String::new() } else { format!(r#"statusCallbackEvents="{groups}""#) };
        office.program.document(
            &format!("/answer/{name}"),
            &format!(r#"<MultiPartyCall role="Agent" statusCallbackUrl="{events}" {groups}>{name}</MultiPartyCall>"#),
        );
        let phone = office.phone(name, Mouth::Silence).await;
        let call = phone.call("hotline", phone::CallOptions::default()).unwrap();
        call.wait_answered(SOON).await.unwrap();
        let room = format!("/MultiPartyCall/name_{name}/Participant/");
        let member = loop {
            let (status, listed) = office.rest.request(reqwest::Method::GET, &room, None).await;
            if status == 200
                && let Some(member) = listed["objects"][0]["member_id"].as_str()
            {
                break member.to_owned();
            }
            assert!(call.ear().wait_more(2, SOON).await, "{name} does not enter: {listed}");
        };
        for mute in [true, false] {
            office.rest.post(&format!("{room}{member}/"), json!({ "mute": mute })).await;
        }
        // Long enough for speech to be noticed, were it told.
        call.say(voice(300)).await.unwrap();
        assert!(call.ear().wait_more(20, SOON).await);
        call.send_digits("3").await.unwrap();
        let mark = office.program.mark();
        call.hangup().await.unwrap();
        office.program.asked().expect("hang-up", mark, SOON, |asked| asked.path == format!("/hangup/{name}")).await;
        let last = wanted.last().copied().unwrap_or_default();
        let path = format!("/told/{name}");
        office.program.asked().expect(last, 0, SOON, |asked| asked.path == path && asked.event() == last).await;
        assert_eq!(names(&told(&office, &path)), wanted, "{name}");
    }
}
