//! What programs are told of a dial: the states of each leg, and what became of the request.

use std::collections::BTreeSet;

use phone::Mouth;
use serde_json::json;
use system_tests::SOON;
use system_tests::program::Asked;

use super::desk::{Desk, Dialled, LEG, address, addresses, answers};

/// What every state of a dialled leg says.
const STANDARD: [&str; 14] = [
    "CallUUID",
    "From",
    "To",
    "CallStatus",
    "Direction",
    "CallerName",
    "Event",
    "SessionStart",
    "ParentAuthID",
    "BillRate",
    "STIRVerification",
    "ALegUUID",
    "ALegRequestUUID",
    "RequestUUID",
];
/// What its end says besides.
const END: [&str; 10] = [
    "StartTime",
    "AnswerTime",
    "EndTime",
    "Duration",
    "BillDuration",
    "TotalCost",
    "HangupCause",
    "HangupCauseCode",
    "HangupCauseName",
    "HangupSource",
];

/// The states of a leg up to its end, in the order in which they were told.
async fn states(desk: &Desk, dialled: &Dialled, name: &str) -> Vec<Asked> {
    desk.hung_up(dialled, name).await;
    let leg = dialled.leg(name);
    desk.office.program.asked().matching(|asked| asked.path == LEG && asked.param("CallUUID") == leg)
}

fn check(desk: &Desk, dialled: &Dialled, name: &str, told: &[Asked], expected: &[(&str, &str)]) {
    let states: Vec<_> = told.iter().map(|asked| (asked.event(), asked.param("CallStatus"))).collect();
    assert_eq!(states, expected, "{name}");
    for asked in told {
        let mut keys: BTreeSet<&str> = STANDARD.into();
        if asked.event() == "Hangup" {
            keys.extend(END);
        }
        assert_eq!(asked.params.keys().map(String::as_str).collect::<BTreeSet<_>>(), keys, "{name}: {asked:?}");
        let values = ["From", "To", "Direction", "ParentAuthID", "RequestUUID", "ALegUUID"].map(|key| asked.param(key));
        let (to, leg) = (address(name), dialled.leg(name));
        assert_eq!(values, ["14155550100", &to, "outbound", &desk.office.account.auth_id, leg, leg], "{name}");
        assert_eq!(asked.method, "POST");
        assert!(asked.headers.contains_key("x-plivo-signature-v3"), "{name}: not signed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_states_of_a_leg_are_told_whole_for_every_end() {
    let desk = Desk::open(Mouth::Silence).await;
    let phone = desk.office.phone("agent", Mouth::Silence).await;
    let to = addresses(&["agent"]);
    // Answered.
    let dialled = desk.dial(&to, json!({})).await;
    let call = answers("agent", desk.rings("agent", &phone).await).await;
    desk.entered(&dialled, "agent").await;
    call.hangup().await.unwrap();
    let told = states(&desk, &dialled, "agent").await;
    let all = [("Ring", "ringing"), ("StartApp", "in-progress"), ("Hangup", "completed")];
    check(&desk, &dialled, "agent", &told, &all);
    let end = told.last().unwrap();
    let words = [end.param("HangupCauseCode"), end.param("HangupCauseName"), end.param("HangupSource")];
    assert_eq!(words, ["4000", "Normal Hangup", "Callee"], "{end:?}");
    assert!(!end.param("AnswerTime").is_empty() && !end.param("EndTime").is_empty(), "{end:?}");
    // Not answered, by whatever refusal.
    for (code, status, cause, source) in [
        (486, "busy", "3010", "Callee"),
        (603, "failed", "3020", "Callee"),
        (480, "no-answer", "3000", "Carrier"),
        (404, "failed", "2000", "Plivo"),
    ] {
        let dialled = desk.dial(&to, json!({})).await;
        desk.rings("agent", &phone).await.reject(code).await.unwrap();
        let told = states(&desk, &dialled, "agent").await;
        check(&desk, &dialled, "agent", &told, &[("Ring", "ringing"), ("Hangup", status)]);
        let end = told.last().unwrap();
        let words =
            [end.param("HangupCauseCode"), end.param("HangupSource"), end.param("AnswerTime"), end.param("Duration")];
        assert_eq!(words, [cause, source, "", "0"], "{code}: {end:?}");
    }
    // Rang too long.
    let dialled = desk.dial(&to, json!({ "ring_timeout": 1 })).await;
    desk.rings("agent", &phone).await.wait_cancelled(SOON).await.unwrap();
    let told = states(&desk, &dialled, "agent").await;
    check(&desk, &dialled, "agent", &told, &[("Ring", "ringing"), ("Hangup", "timeout")]);
    assert_eq!(told.last().unwrap().param("HangupCauseCode"), "6010");
    // Never rang.
    desk.office.server.endpoint(&desk.office.account, "away", None).await;
    let dialled = desk.dial(&addresses(&["away"]), json!({})).await;
    let told = states(&desk, &dialled, "away").await;
    check(&desk, &dialled, "away", &told, &[("Hangup", "failed")]);
    assert_eq!(told.last().unwrap().param("HangupCauseCode"), "2020");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_is_told_from_its_beginning_to_its_outcome() {
    let desk = Desk::open(Mouth::Silence).await;
    let phone = desk.office.phone("agent", Mouth::Silence).await;
    let request = async |dialled: &Dialled| {
        let outcome = desk.outcome(dialled).await;
        let is = |asked: &Asked| asked.path == "/dial-events";
        let told: Vec<_> = desk.office.program.asked().all().into_iter().skip(dialled.mark).filter(is).collect();
        let keys: BTreeSet<_> = outcome.params.keys().cloned().collect();
        for event in &told {
            assert_eq!(event.params.keys().cloned().collect::<BTreeSet<_>>(), keys, "{event:?}");
            let who =
                [event.param("ParticipantRole"), event.param("ParticipantCallUUID"), event.param("ParticipantCallTo")];
            assert_eq!(who, ["agent", dialled.leg("agent"), &address("agent")], "{event:?}");
            assert_eq!(
                (event.param("ParticipantCallDirection"), event.param("MPCName")),
                ("outbound", "desk"),
                "{event:?}"
            );
        }
        told.iter()
            .map(|event| (event.event().to_owned(), event.param("AddParticipantAPIRequestOutcome").to_owned()))
            .collect::<Vec<_>>()
    };
    let expect = |events: &[(&str, &str)]| -> Vec<(String, String)> {
        events.iter().map(|(name, outcome)| ((*name).to_owned(), (*outcome).to_owned())).collect()
    };
    let (begun, over) = ("AddParticipantByAPIActionInitiated", "AddParticipantByAPIActionCompleted");
    let dialled = desk.dial(&addresses(&["agent"]), json!({})).await;
    desk.rings("agent", &phone).await.reject(603).await.unwrap();
    assert_eq!(request(&dialled).await, expect(&[(begun, ""), ("ParticipantExit", ""), (over, "failed: rejected")]));
    let dialled = desk.dial(&addresses(&["agent"]), json!({})).await;
    let call = answers("agent", desk.rings("agent", &phone).await).await;
    desk.entered(&dialled, "agent").await;
    assert_eq!(request(&dialled).await, expect(&[(begun, ""), ("ParticipantJoin", ""), (over, "completed")]));
    call.hangup().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_moved_in_is_told_as_what_it_is() {
    let desk = Desk::open(Mouth::Silence).await;
    let office = &desk.office;
    let phone = office.phone("caller", Mouth::Silence).await;
    office.program.document("/answer/caller", r#"<Wait length="60"/>"#);
    let mark = office.program.mark();
    let call = phone.call("hotline", phone::CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let asked = office.program.asked().expect("request", mark, SOON, |asked| asked.path == "/answer/caller").await;
    let uuid = asked.param("CallUUID");
    let body = json!({ "role": "agent", "call_uuid": uuid, "enter_sound": "none", "exit_sound": "none",
        "status_callback_url": office.program.url("/dial-events"), "status_callback_method": "POST",
        "status_callback_events": "participant-state-changes,add-participant-api-events" });
    let added = office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", desk.customer.room), body).await;
    let over = office.program.event("AddParticipantByAPIActionCompleted", mark, |_| true).await;
    let told: Vec<_> = office.program.asked().matching(|asked| asked.path == "/dial-events");
    let events: Vec<_> = told.iter().map(Asked::event).collect();
    let all = ["AddParticipantByAPIActionInitiated", "ParticipantJoin", "AddParticipantByAPIActionCompleted"];
    assert_eq!(events, all);
    for event in &told {
        let who =
            [event.param("ParticipantCallUUID"), event.param("ParticipantCallDirection"), event.param("MemberAddress")];
        assert_eq!(who, [uuid, "inbound", &address("caller")], "{event:?}");
    }
    assert_eq!(over.param("AddParticipantAPIRequestOutcome"), "completed");
    assert_eq!(over.param("MemberID"), added["member_id"].as_str().unwrap_or_default());
}
