//! Ceilings of an account: beyond them it is refused in clear words, and nobody else is.

use phone::{CallError, CallOptions, Mouth, Transport};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::office::{DOMAIN, Office, registered};
use system_tests::program::Program;
use system_tests::server::ServerOptions;

async fn dialled(office: &Office, room: &str, who: &str) -> (u16, Value) {
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:{who}@{DOMAIN}"), "enter_sound": "none", "exit_sound": "none" });
    office.rest.request(Method::POST, &format!("/MultiPartyCall/name_{room}/Participant/"), Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_with_as_many_calls_or_rooms_as_it_may_have_is_refused_and_others_are_not() {
    let options = ServerOptions::default().set("server", "max_calls_per_account", "2").set(
        "server",
        "max_rooms_per_account",
        "1",
    );
    let office = Office::with(options).await;
    let _customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", "room", "Agent", "", Mouth::Silence).await;

    // A third call, in and out.
    office.room_document("third", "room", "Agent", "");
    let third = office.phone("third", Mouth::Silence).await;
    match third.call("hotline", CallOptions::default()).unwrap().wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => assert_eq!(ended.code, Some(486), "{ended:?}"),
        other => panic!("a call beyond the ceiling: {other:?}"),
    }
    assert!(office.program.asked().matching(|asked| asked.path == "/answer/third").is_empty(), "a program was asked");
    let (status, answer) = dialled(&office, "room", "third").await;
    assert_eq!(status, 429, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("2 calls"), "{answer}");

    // Another account has its own.
    let (other, there) = (office.server.account("other").await, Program::start().await);
    there.document("/answer", r#"<MultiPartyCall role="Agent" stayAlone="true">theirs</MultiPartyCall>"#);
    let app = office.server.application(&other, "app", &there.url("/answer"), &[]).await;
    office.server.endpoint(&other, "elsewhere", Some(&app)).await;
    let phone = registered(&office.server, "elsewhere", &other.realm, Mouth::Silence, Transport::Udp).await;
    let theirs = phone.call("hotline", CallOptions::default()).unwrap();
    theirs.wait_answered(SOON).await.unwrap();

    // A place that becomes free is had, but not for a second room.
    agent.leaves().await;
    office.server.metric_becomes("aside_calls_live", 2.0).await;
    let (status, answer) = dialled(&office, "second", "third").await;
    assert_eq!(status, 429, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("1 rooms"), "{answer}");
    let (status, answer) = dialled(&office, "room", "third").await;
    assert_eq!(status, 201, "{answer}");
    third.incoming(SOON).await.expect("the phone does not ring").answer().await.unwrap();
    for (metric, refused) in
        [("aside_calls_over_account_limit_total", 2.0), ("aside_rooms_over_account_limit_total", 1.0)]
    {
        assert_eq!(office.server.metric(metric).await, Some(refused), "{metric}");
    }
}
