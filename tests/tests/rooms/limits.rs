//! The conditions and limits with which a call is opened: when it starts, how long it may wait, how many may be in it.

use std::time::Instant;

use phone::Mouth;
use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{hears, stays_silent, tones, voice};
use system_tests::office::Office;

use super::people::{comes, goes, mpc_end, music, places_call};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_an_agent_starts_with_him_and_not_before() {
    let [wait, c, s] = tones();
    let office = Office::open().await;
    let attributes =
        format!(r#"waitForAgent="true" stayAlone="true" waitMusicUrl="{}""#, music(&office, "/wait.wav", wait));
    let customer = office.joins("customer", "support", "Customer", &attributes, voice(c)).await;
    let supervisor = office.joins("supervisor", "support", "Supervisor", "coachMode=\"false\"", voice(s)).await;
    for waiting in [&customer, &supervisor] {
        comes(&waiting.name, &waiting.call, wait, Instant::now()).await;
        assert!(waiting.call.ear().wait_more(50, SOON).await);
    }
    let started = |event: &system_tests::program::Asked| event.event() == "MPCStart";
    assert!(office.program.asked().matching(started).is_empty(), "started without an agent");
    let shown = office.rest.get(&format!("/MultiPartyCall/uuid_{}/", customer.room)).await;
    assert_eq!((&shown["status"], &shown["start_time"]), (&json!("Initialized"), &json!(null)), "{shown}");
    // Even one who starts nothing by himself is who was waited for.
    let mark = office.program.mark();
    let agent = office.joins("agent", "support", "Agent", "startMpcOnEnter=\"false\"", Mouth::Silence).await;
    let start = office.program.event("MPCStart", mark, |_| true).await;
    assert_eq!(start.param("MemberID"), agent.number, "{start:?}");
    goes("the music", &customer.call, wait).await;
    let three = [customer.heard(Some(c)), supervisor.heard(Some(s)), agent.heard(None)];
    let allowed =
        [("customer", "supervisor"), ("supervisor", "customer"), ("agent", "customer"), ("agent", "supervisor")];
    hears("started", &three, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_start_in_time_ends_as_one_that_lasted_too_long() {
    let office = Office::open().await;
    let mark = office.program.mark();
    let attributes = r#"waitForAgent="true" waitTime="2""#;
    let began = Instant::now();
    let customer = office.joins("customer", "support", "Customer", attributes, Mouth::Silence).await;
    let end = mpc_end(&office, mark).await;
    // From before the call on: nothing can be too late for this.
    let lasted = end.at - began;
    assert!(lasted.as_secs() >= 2, "it ended after {lasted:?}");
    assert_eq!(
        (end.param("MPCTerminationCauseCode"), end.param("MPCTerminationCause")),
        ("2000", "Max Duration Reached"),
        "{end:?}"
    );
    let exit = office.program.event("ParticipantExit", mark, |_| true).await;
    assert_eq!(
        (exit.param("MemberID"), exit.param("ParticipantExitCause")),
        (customer.number.as_str(), "Multiparty Call Ended")
    );
    customer.call.wait_ended(SOON).await.unwrap();
    assert!(office.program.asked().matching(|event| event.event() == "MPCStart").is_empty());
    // One that has started is not ended by it.
    let mark = office.program.mark();
    let attributes = r#"waitForAgent="true" waitTime="1" stayAlone="true""#;
    let agent = office.joins("agent", "started", "Agent", attributes, Mouth::Silence).await;
    stays_silent("the agent after the time", &agent.call, 90).await;
    assert!(
        office.program.asked().find(mark, std::time::Duration::ZERO, |event| event.event() == "MPCEnd").await.is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_call_takes_nobody_in_and_says_so() {
    let [c, a, _] = tones();
    let office = Office::open().await;
    let two = "maxParticipants=\"2\" stayAlone=\"true\"";
    let customer = office.joins("customer", "support", "Customer", two, voice(c)).await;
    let agent = office.joins("agent", "support", "Agent", "", voice(a)).await;
    let mark = office.program.mark();
    let (_phone, call) = places_call(&office, "third", "support", "Agent", "maxParticipants=\"5\"").await;
    call.wait_ended(SOON).await.unwrap();
    let hangup = office.program.event("Hangup", mark, |asked| asked.path == "/hangup/third").await;
    assert_eq!(
        (hangup.param("HangupCauseCode"), hangup.param("HangupCauseName"), hangup.param("HangupSource")),
        ("4020", "Multiparty Call Ended", "Plivo"),
        "{hangup:?}"
    );
    // What follows in his document is what he gets.
    let events = office.program.url("/events");
    office.program.document("/answer/fourth", &format!(r#"<MultiPartyCall role="Agent" statusCallbackUrl="{events}">support</MultiPartyCall><Redirect>{}</Redirect>"#, office.program.url("/full")));
    office.program.document("/full", "<Hangup/>");
    let phone = office.phone("fourth", Mouth::Silence).await;
    let call = phone.call("hotline", phone::CallOptions::default()).unwrap();
    office.program.asked().expect("the next verb", mark, SOON, |asked| asked.path == "/full").await;
    call.wait_ended(SOON).await.unwrap();
    // A program that dials somebody, or moves a call, is told before anything rings.
    let _ringing = office.phone("dialled", Mouth::Silence).await;
    let body = json!({ "role": "agent", "from": "14155550100", "to": "sip:dialled@phone.plivo.com" });
    let path = format!("/MultiPartyCall/uuid_{}/Participant/", customer.room);
    let (status, answer) = office.rest.request(Method::POST, &path, Some(body)).await;
    assert!(status == 409 && answer["error"].as_str().is_some_and(|text| text.contains("full")), "{status} {answer}");
    assert!(_ringing.incoming(std::time::Duration::from_millis(300)).await.is_none(), "a phone rings in vain");
    let other = office.joins("elsewhere", "elsewhere", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let body = json!({ "role": "agent", "call_uuid": other.call_uuid });
    let (status, answer) = office.rest.request(Method::POST, &path, Some(body)).await;
    assert_eq!(status, 409, "{answer}");
    assert!(other.call.ear().wait_more(10, SOON).await, "a call that could not be moved stays where it is");
    let shown = office.rest.get(&format!("/MultiPartyCall/uuid_{}/Participant/", other.room)).await;
    assert_eq!(shown["objects"][0]["exit_cause"], json!(null), "{shown}");
    // Those inside have noticed nothing.
    let both = [customer.heard(Some(c)), agent.heard(Some(a))];
    hears("as before", &both, &[("customer", "agent"), ("agent", "customer")]).await;
    let joined = office
        .program
        .asked()
        .matching(|asked| asked.event() == "ParticipantJoin" && asked.param("MPCUUID") == customer.room);
    assert_eq!(joined.len(), 2, "{joined:?}");
    // A place that is free is taken.
    agent.leaves().await;
    office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == agent.number).await;
    let next = office.joins("next", "support", "Agent", "", voice(a)).await;
    let both = [customer.heard(Some(c)), next.heard(Some(a))];
    hears("the next", &both, &[("customer", "next"), ("next", "customer")]).await;
}
