//! Calls that are ended before they are answered, and by a server that stops.

use std::time::{Duration, Instant};

use phone::{CallError, CallOptions, EndCause, Mouth};
use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::office::{DOMAIN, Office};
use system_tests::program::Reply;
use system_tests::server::ServerOptions;

/// What must be zero when nothing is going on.
const NOTHING_LEFT: [&str; 3] = ["aside_calls_live", "aside_sip_dialogs_live", "aside_media_legs"];

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_still_rings_can_be_seen_and_hung_up() {
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.phone("agent", Mouth::Silence).await;
    let mark = office.program.mark();
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:agent@{DOMAIN}"), "enter_sound": "none", "exit_sound": "none",
        "call_status_callback_url": office.program.url("/leg"), "status_callback_url": office.program.url("/events"), "status_callback_method": "POST" });
    let added = office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
    let uuid = added["call_uuid"].as_str().unwrap().to_owned();
    let ringing = agent.incoming(SOON).await.expect("the phone does not ring");
    ringing.ring().await.unwrap();
    office.program.event("Ring", mark, |asked| asked.path == "/leg").await;

    let path = format!("/Call/{uuid}/");
    let shown = office.rest.get(&format!("{path}?status=live")).await;
    assert_eq!(
        (&shown["call_uuid"], &shown["call_status"], &shown["direction"]),
        (&json!(uuid), &json!("ringing"), &json!("outbound")),
        "{shown}"
    );
    assert_eq!(office.native.get(&format!("/calls/{uuid}")).await["state"], "ringing");
    office.rest.delete(&path).await;
    assert_eq!(ringing.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    let hangup = office.program.event("Hangup", mark, |asked| asked.path == "/leg").await;
    assert_eq!(
        (hangup.param("CallUUID"), hangup.param("HangupCauseCode"), hangup.param("HangupSource")),
        (uuid.as_str(), "4000", "API Request"),
        "{hangup:?}"
    );
    let exit = office.program.event("ParticipantExit", mark, |_| true).await;
    assert_eq!((exit.param("ParticipantCallUUID"), exit.param("ParticipantJoinTime")), (uuid.as_str(), ""), "{exit:?}");
    let (status, answer) = office.rest.request(Method::GET, &format!("{path}?status=live"), None).await;
    assert_eq!(status, 404, "{answer}");
    assert_eq!(office.rest.get(&path).await["hangup_cause_code"], 4000);
    let room = office.native.get(&format!("/rooms/{}", customer.room)).await;
    assert_eq!((&room["members"], &room["expected"]), (&json!(1), &json!(0)), "{room}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_waits_for_his_answer_can_be_seen_and_hung_up() {
    let office = Office::open().await;
    let phone = office.phone("caller", Mouth::Silence).await;
    office.program.reply("/answer/caller", Reply::Never);
    let call = phone.call("hotline", CallOptions::default()).unwrap();
    let asked = office
        .program
        .asked()
        .expect("request for instructions", 0, SOON, |asked| asked.path == "/answer/caller")
        .await;
    let path = format!("/Call/{}/", asked.param("CallUUID"));
    let shown = office.rest.get(&format!("{path}?status=live")).await;
    assert_eq!((&shown["call_status"], &shown["direction"]), (&json!("ringing"), &json!("inbound")), "{shown}");
    office.rest.delete(&path).await;
    match call.wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(480))),
        other => panic!("{other:?}"),
    }
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/hangup/caller").await;
    assert_eq!((hangup.param("HangupCauseCode"), hangup.param("HangupSource")), ("4000", "API Request"), "{hangup:?}");
    office.is_empty_again(&NOTHING_LEFT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_hangs_up_its_live_call_and_ends_well() {
    let mut office = Office::with(ServerOptions::default().set("server", "stop_wait_s", "1")).await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let told = Instant::now();
    let (well, ended) = tokio::join!(
        async {
            let well = office.server.stop().await;
            (well, told.elapsed())
        },
        customer.call.wait_ended(SOON)
    );
    let ended = ended.expect("the phone was never told");
    assert_eq!(ended.cause, EndCause::RemoteHangup, "{ended:?}");
    let waited = ended.at.duration_since(told);
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&waited), "hung up after {waited:?}");
    let (well, took) = well;
    assert!(well, "it did not end with 0");
    assert!(took < Duration::from_secs(10), "it ended after {took:?}");
    // What could not be sent before the end is sent at the next start; nothing is lost, nothing told twice.
    office.server.restart().await;
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/hangup/customer").await;
    let (call, code) = (hangup.param("CallUUID"), hangup.param("HangupCauseCode"));
    assert_eq!((call, code), (customer.call_uuid.as_str(), "5010"), "{hangup:?}");
    office.program.event("MPCEnd", 0, |event| event.param("MPCUUID") == customer.room).await;
    for event in ["ParticipantExit", "MPCEnd", "Hangup"] {
        let told = office.program.asked().matching(|asked| asked.event() == event);
        assert_eq!(told.len(), 1, "{event}: {told:?}");
    }
}
