//! Endpoints and where they can be reached.

use phone::{EndCause, Mouth, Phone, PhoneConfig, PhoneError, Transport};
use serde_json::json;
use system_tests::office::{DOMAIN, Office};
use system_tests::server::{PASSWORD, ServerOptions};
use system_tests::{LATER, SOON};

fn config(office: &Office, user: &str, password: &str) -> PhoneConfig {
    let mut config = PhoneConfig::new(office.server.at().sip_udp, user, password);
    config.domain = DOMAIN.into();
    config
}

async fn dial(office: &Office, room: &str, user: &str) -> serde_json::Value {
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:{user}@{DOMAIN}"), "enter_sound": "none",
        "exit_sound": "none", "status_callback_url": office.program.url("/events"), "status_callback_method": "POST" });
    office.rest.post(&format!("/MultiPartyCall/uuid_{room}/Participant/"), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_phones_of_an_endpoint_ring_and_the_first_to_answer_gets_the_call() {
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let desk = office.phone("agent", Mouth::Silence).await;
    let mobile = office.connect("agent", Mouth::Silence, Transport::Tcp).await;
    dial(&office, &customer.room, "agent").await;
    let (at_desk, at_mobile) = tokio::join!(desk.incoming(SOON), mobile.incoming(SOON));
    let (at_desk, at_mobile) =
        (at_desk.expect("the desk phone does not ring"), at_mobile.expect("the mobile does not ring"));
    let call = at_mobile.answer().await.unwrap();
    let ended = at_desk.wait_cancelled(SOON).await.unwrap();
    assert_eq!(ended.cause, EndCause::Cancelled);
    office.program.event("ParticipantJoin", 0, |event| event.param("ParticipantRole") == "agent").await;
    assert!(matches!(call.state(), phone::CallState::Answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_is_not_refreshed_runs_out_and_one_that_is_removed_is_gone() {
    let office = Office::with(ServerOptions::default().set("sip", "register_min_s", "1")).await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.phone("agent", Mouth::Silence).await;
    agent.unregister().await.unwrap();
    let refused = async |user: &str| {
        let mark = office.program.mark();
        let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:{user}@{DOMAIN}"),
            "call_status_callback_url": office.program.url("/leg"), "status_callback_url": office.program.url("/events"),
            "status_callback_method": "POST" });
        office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
        let hangup = office
            .program
            .asked()
            .expect("hang-up of the leg", mark, SOON, |asked| asked.path == "/leg" && asked.event() == "Hangup")
            .await;
        assert_eq!(
            (hangup.param("HangupCauseCode"), hangup.param("HangupCauseName")),
            ("2020", "Endpoint Not Registered"),
            "{hangup:?}"
        );
    };
    refused("agent").await;
    // A phone that is unplugged: nobody says goodbye.
    let short = Phone::start(config(&office, "agent", PASSWORD)).await.unwrap();
    assert_eq!(short.register(2).await.unwrap().expires, 2);
    drop(short);
    office.server.metric_becomes("aside_sip_bindings_bound", 1.0).await;
    refused("agent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_deleted_disabled_or_gets_another_password_is_called_no_more() {
    let mut office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let account = office.account.auth_id.clone();
    let phones = [
        office.phone("renewed", Mouth::Silence).await,
        office.phone("disabled", Mouth::Silence).await,
        office.phone("deleted", Mouth::Silence).await,
    ];
    let bound = async |office: &Office| office.server.metric("aside_sip_bindings_bound").await;
    assert_eq!(bound(&office).await, Some(4.0));
    office
        .server
        .aside(&["endpoint", "update", "renewed", "--account", &account, "--password", "another-horse-8"])
        .await;
    assert_eq!(bound(&office).await, Some(3.0), "another password");
    office.server.aside(&["endpoint", "update", "disabled", "--account", &account, "--enabled", "false"]).await;
    assert_eq!(bound(&office).await, Some(2.0), "disabled");
    office.server.aside(&["endpoint", "delete", "deleted", "--account", &account]).await;
    assert_eq!(bound(&office).await, Some(1.0), "deleted");
    // Nor do they come back by themselves: the phones' passwords are worth nothing now.
    for phone in &phones {
        assert!(matches!(phone.register(60).await, Err(PhoneError::Refused { code: 401 | 403, .. })));
    }
    let mark = office.program.mark();
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:renewed@{DOMAIN}"),
        "call_status_callback_url": office.program.url("/leg"), "status_callback_url": office.program.url("/events"),
        "status_callback_method": "POST" });
    let participants = format!("/MultiPartyCall/uuid_{}/Participant/", customer.room);
    office.rest.post(&participants, body).await;
    let hangup = office
        .program
        .asked()
        .expect("hang-up of the leg", mark, SOON, |asked| asked.path == "/leg" && asked.event() == "Hangup")
        .await;
    assert_eq!(hangup.param("HangupCauseName"), "Endpoint Not Registered", "{hangup:?}");
    for gone in ["disabled", "deleted"] {
        let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:{gone}@{DOMAIN}") });
        let (status, answer) = office.rest.request(reqwest::Method::POST, &participants, Some(body)).await;
        assert!((400..500).contains(&status), "{gone}: {status} {answer}");
    }
    // Not after a restart either, and the new password lets a phone in.
    office.server.restart().await;
    assert!(matches!(bound(&office).await, Some(0.0 | 1.0)), "only the customer's may be left");
    let renewed = Phone::start(config(&office, "renewed", "another-horse-8")).await.unwrap();
    renewed.register(60).await.unwrap();
    for phone in &phones {
        assert!(phone.incoming(std::time::Duration::ZERO).await.is_none(), "it rang");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_has_no_registrations() {
    let office = Office::open().await;
    let _phone = office.phone("agent", Mouth::Silence).await;
    let other = office.server.account("other").await;
    office.server.endpoint(&other, "theirs", None).await;
    let _theirs =
        system_tests::office::registered(&office.server, "theirs", &other.realm, Mouth::Silence, Transport::Udp).await;
    assert_eq!(office.server.metric("aside_sip_bindings_bound").await, Some(2.0));
    office.server.aside(&["account", "update", &other.auth_id, "--enabled", "false"]).await;
    assert_eq!(office.server.metric("aside_sip_bindings_bound").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_survive_a_restart() {
    let mut office = Office::open().await;
    let agent = office.phone("agent", Mouth::Silence).await;
    office.server.kill9().await;
    office.server.restart().await;
    let customer = office.joins("customer", "room", "Customer", "", Mouth::Silence).await;
    dial(&office, &customer.room, "agent").await;
    agent.incoming(LATER).await.expect("the agent's phone does not ring").answer().await.unwrap();
    office.program.event("ParticipantJoin", 0, |event| event.param("ParticipantRole") == "agent").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_and_unknown_users_are_refused_alike() {
    let office = Office::open().await;
    let _known = office.phone("agent", Mouth::Silence).await;
    let mut answers = Vec::new();
    for (user, password) in [("agent", "guess"), ("nobody", PASSWORD)] {
        let phone = Phone::start(config(&office, user, password)).await.unwrap();
        match phone.register(60).await {
            Err(PhoneError::Refused { code, reason, .. }) => answers.push((code, reason)),
            other => panic!("{user}: {other:?}"),
        }
    }
    assert_eq!(answers[0], answers[1], "an unknown user can be told from a wrong password");
    assert!(matches!(answers[0].0, 401 | 403), "{answers:?}");
}
