//! Sub-accounts: what belongs to the main account, or to another one under it, is not there for them.

use phone::{CallOptions, CallState, Mouth, Transport};
use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{hears, silent_since_invite, stays_silent, tones, voice};
use system_tests::office::{DOMAIN, NO_SOUNDS, Office};
use system_tests::plivo_rest::PlivoRest;
use system_tests::server::{Account, text};

/// A sub-account of the office's account, and its Plivo API.
async fn sub_account(office: &Office, name: &str) -> (Account, PlivoRest) {
    let made = office.server.aside(&["account", "create", name, "--parent", &office.account.auth_id]).await;
    let account = Account {
        auth_id: text(&made, "auth_id"),
        auth_token: text(&made, "auth_token"),
        realm: office.account.realm.clone(),
        key: String::new(),
    };
    assert!(account.auth_id.starts_with("SA") && account.auth_id.len() == 20, "{made}");
    let rest = PlivoRest::of(&office.server, &account);
    (account, rest)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_account_neither_sees_nor_changes_a_call_or_room_of_its_main_account() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", "stayAlone=\"true\"", voice(c)).await;
    let agent = office.joins("agent", "support", "Agent", "", voice(a)).await;
    let (sub, rest) = sub_account(&office, "desk").await;
    // A call of its own, to show that the requests below would do something.
    office.room_document("own", "own-room", "Customer", "stayAlone=\"true\"");
    let url = office.program.url("/answer/own");
    let app = office.server.application(&office.account, "own", &url, &["--sub-account", &sub.auth_id]).await;
    office.server.endpoint(&office.account, "own", Some(&app)).await;
    let phone = office.connect("own", Mouth::Silence, Transport::Udp).await;
    let own = office.calls_in("own", phone).await;
    office.program.event("MPCStart", 0, |event| event.param("MPCUUID") == own.room).await;
    office.program.event("MPCStart", 0, |event| event.param("MPCUUID") == customer.room).await;
    assert_eq!(rest.get(&format!("/Call/{}/?status=live", own.call_uuid)).await["call_status"], "in-progress");
    assert_eq!(rest.get("/MultiPartyCall/name_own-room/").await["mpc_uuid"], own.room.as_str());

    let mark = office.program.mark();
    let (room, member, call) = (&customer.room, &agent.number, &agent.call_uuid);
    let moved =
        |uuid: &str| Some(json!({ "role": "agent", "call_uuid": uuid, "enter_sound": "none", "exit_sound": "none" }));
    let dialled = Some(json!({ "role": "agent", "from": "14155550100", "to": format!("sip:own@{DOMAIN}") }));
    for (method, path, body) in [
        (Method::GET, format!("/Call/{call}/?status=live"), None),
        (Method::GET, format!("/Call/{call}/"), None),
        (
            Method::POST,
            format!("/Call/{call}/"),
            Some(json!({ "legs": "aleg", "aleg_url": office.program.url("/stolen") })),
        ),
        (Method::DELETE, format!("/Call/{call}/"), None),
        (Method::POST, format!("/MultiPartyCall/uuid_{}/Participant/", own.room), moved(call)),
        (Method::POST, "/MultiPartyCall/name_own-room/Participant/".to_owned(), moved(call)),
        (Method::POST, "/MultiPartyCall/name_stolen/Participant/".to_owned(), moved(call)),
        (Method::POST, format!("/MultiPartyCall/uuid_{room}/Participant/"), moved(call)),
        (Method::POST, format!("/MultiPartyCall/uuid_{room}/Participant/"), moved(&own.call_uuid)),
        (Method::POST, format!("/MultiPartyCall/uuid_{room}/Participant/"), dialled.clone()),
        (Method::GET, format!("/MultiPartyCall/uuid_{room}/"), None),
        (Method::GET, "/MultiPartyCall/name_support/".to_owned(), None),
        (Method::POST, format!("/MultiPartyCall/uuid_{room}/"), Some(json!({ "status": "active" }))),
        (Method::DELETE, format!("/MultiPartyCall/uuid_{room}/"), None),
        (Method::DELETE, "/MultiPartyCall/name_support/".to_owned(), None),
        (Method::GET, format!("/MultiPartyCall/uuid_{room}/Participant/"), None),
        (Method::GET, format!("/MultiPartyCall/uuid_{room}/Participant/{member}/"), None),
        (Method::POST, format!("/MultiPartyCall/uuid_{room}/Participant/{member}/"), Some(json!({ "mute": true }))),
        (Method::POST, "/MultiPartyCall/name_support/Participant/all/".to_owned(), Some(json!({ "hold": true }))),
        (Method::DELETE, format!("/MultiPartyCall/uuid_{room}/Participant/{member}/"), None),
        (Method::DELETE, "/MultiPartyCall/name_support/Participant/all/".to_owned(), None),
    ] {
        let (status, answer) = rest.request(method.clone(), &path, body).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
    // A name that is taken cannot be opened a second time; the table of operations says 409.
    for body in [moved(&own.call_uuid), dialled] {
        let (status, answer) = rest.request(Method::POST, "/MultiPartyCall/name_support/Participant/", body).await;
        assert_eq!(status, 409, "{answer}");
    }
    // Under the main account's path its credentials are none.
    let as_main = office.server.url(&format!("/v1/Account/{}/Call/{call}/?status=live", office.account.auth_id));
    let client = reqwest::Client::new();
    let answer = client.get(as_main).basic_auth(&sub.auth_id, Some(&sub.auth_token)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(rest.get("/MultiPartyCall/").await["meta"]["count"], 1, "it lists more than its own room");

    // Nothing of this has happened.
    let two = [customer.heard(Some(c)), agent.heard(Some(a))];
    hears("after all attempts", &two, &[("customer", "agent"), ("agent", "customer")]).await;
    silent_since_invite("sound crossed accounts", &own.call).await;
    let told = office.program.asked().all();
    let changed: Vec<_> =
        told.iter().skip(mark).filter(|asked| !asked.event().is_empty() || asked.path == "/stolen").collect();
    assert!(changed.is_empty(), "{changed:?}");
    // The main account, on the other hand, may do all of it to its sub-account's.
    assert_eq!(office.rest.get(&format!("/Call/{}/?status=live", own.call_uuid)).await["call_status"], "in-progress");
    office.rest.delete(&format!("/Call/{}/", own.call_uuid)).await;
    own.call.wait_ended(SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_account_that_opens_a_name_first_does_not_get_the_main_accounts_callers() {
    let [c, s, _] = tones::<3>();
    let office = Office::open().await;
    let (_, rest) = sub_account(&office, "desk").await;
    let desk = office.phone("desk", voice(s)).await;
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:desk@{DOMAIN}"), "enter_sound": "none", "exit_sound": "none",
        "dial_music": "none", "stay_alone": true, "status_callback_url": office.program.url("/desk"), "status_callback_method": "POST" });
    rest.post("/MultiPartyCall/name_lobby/Participant/", body).await;
    let desk_call = desk.incoming(SOON).await.expect("the desk's phone does not ring").answer().await.unwrap();
    let opened = office.program.event("ParticipantJoin", 0, |event| event.path == "/desk").await;

    let events = office.program.url("/events");
    let document = format!(
        r#"<MultiPartyCall role="Customer" stayAlone="true" statusCallbackUrl="{events}" {NO_SOUNDS}>lobby</MultiPartyCall><Wait length="30"/>"#
    );
    office.program.document("/answer/customer", &document);
    let phone = office.phone("customer", voice(c)).await;
    let call = phone.call("hotline", CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let asked = office.program.asked().expect("request", 0, SOON, |asked| asked.path == "/answer/customer").await;
    let uuid = asked.param("CallUUID").to_owned();

    let warning = async {
        let mut cursor = 0;
        loop {
            let page = office.native.get(&format!("/events?after={cursor}&wait=10")).await;
            let items = page["items"].as_array().unwrap();
            if let Some(found) =
                items.iter().find(|event| event["kind"] == "warning" && event["call_uuid"] == uuid.as_str())
            {
                return found.clone();
            }
            cursor = page["next"].as_i64().unwrap();
        }
    };
    let warning = tokio::time::timeout(SOON, warning).await.expect("no warning event");
    assert!(warning.to_string().contains("lobby"), "it does not say which room: {warning}");

    // He goes on with his own next verb, and neither hears the other.
    stays_silent("the main account's caller", &call, 75).await;
    assert!(desk_call.ear().wait_more(75, SOON).await);
    silent_since_invite("the sub-account hears the main account's caller", &desk_call).await;
    assert!(matches!(call.state(), CallState::Answered));
    assert!(office.native.get(&format!("/calls/{uuid}")).await["room_uuid"].is_null());
    let there = rest.get("/MultiPartyCall/name_lobby/Participant/").await;
    assert_eq!(there["meta"]["count"], 1, "{there}");
    assert_eq!(rest.get("/MultiPartyCall/name_lobby/").await["mpc_uuid"], opened.param("MPCUUID"));
    assert!(office.program.asked().matching(|asked| asked.path == "/events").is_empty());
}
