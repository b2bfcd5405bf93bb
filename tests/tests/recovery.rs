//! What programs are owed when things die: the server, a program's server; and that accounts are worlds of their own.

use std::collections::BTreeSet;

use phone::{CallOptions, Mouth, Transport};
use reqwest::Method;
use serde_json::json;
use system_tests::ears::{hears, silent_since_invite, tones, voice};
use system_tests::native::Native;
use system_tests::office::{DOMAIN, Member, Office, registered};
use system_tests::plivo_rest::PlivoRest;
use system_tests::program::{Program, Reply};
use system_tests::{LATER, SOON};

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_every_room_and_call_gets_its_closing_callbacks() {
    let mut office = Office::open().await;
    let mut members: Vec<Member> = Vec::new();
    for room in ["one", "two", "three"] {
        for (role, more) in [("Customer", "stayAlone=\"true\""), ("Agent", ""), ("Supervisor", "coachMode=\"true\"")] {
            let name = format!("{role}-{room}").to_lowercase();
            members.push(office.joins(&name, room, role, more, Mouth::Silence).await);
        }
    }
    let rooms: BTreeSet<String> = members.iter().map(|member| member.room.clone()).collect();
    assert_eq!(rooms.len(), 3);
    office.server.kill9().await;
    let mark = office.program.mark();
    office.server.restart().await;
    for room in &rooms {
        let end = office.program.event_within(LATER, "MPCEnd", mark, |event| event.param("MPCUUID") == room).await;
        assert_eq!(
            (end.param("MPCTerminationCauseCode"), end.param("MPCTerminationCause")),
            ("0", "Unknown"),
            "{end:?}"
        );
    }
    for member in &members {
        let exit = office
            .program
            .event_within(LATER, "ParticipantExit", mark, |event| {
                event.param("MemberID") == member.number && event.param("MPCUUID") == member.room
            })
            .await;
        assert_eq!(exit.param("ParticipantExitCause"), "Multiparty Call Ended", "{exit:?}");
        let path = format!("/hangup/{}", member.name);
        let hangup = office.program.event_within(LATER, "Hangup", mark, |asked| asked.path == path).await;
        assert_eq!(
            (hangup.param("CallUUID"), hangup.param("HangupCauseCode")),
            (member.call_uuid.as_str(), "5010"),
            "{hangup:?}"
        );
        let shown = office.rest.get(&format!("/Call/{}/", member.call_uuid)).await;
        assert_eq!(shown["hangup_cause_code"], 5010, "{shown}");
    }
    // Nothing is told twice, in whatever order.
    let seen: Vec<(String, String, String)> = office
        .program
        .asked()
        .matching(|asked| matches!(asked.event(), "MPCEnd" | "ParticipantExit" | "Hangup"))
        .iter()
        .map(|asked| {
            (
                asked.event().to_owned(),
                asked.param("MPCUUID").to_owned(),
                format!("{}{}", asked.param("MemberID"), asked.param("CallUUID")),
            )
        })
        .collect();
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "told twice: {seen:?}");
    for room in &rooms {
        let shown = office.rest.get(&format!("/MultiPartyCall/uuid_{room}/")).await;
        assert_eq!((&shown["status"], &shown["termination_cause_code"]), (&json!("Ended"), &json!(0)), "{shown}");
    }
    // The phones' ends of the calls are told that there is no such call.
    let answer = members[0].call.request("OPTIONS", Vec::new(), Vec::new()).await.unwrap();
    assert_eq!(answer.code, 481);
    // The name is free: a call to it opens a new life.
    let phone = office.connect("customer-one", Mouth::Silence, Transport::Udp).await;
    let again = office.calls_in("customer-one", phone).await;
    assert!(!rooms.contains(&again.room));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_a_kill_is_told_after_it() {
    let mut office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "", Mouth::Silence).await;
    let supervisor = office.joins("supervisor", "room", "Supervisor", "coachMode=\"true\"", Mouth::Silence).await;
    // The program is down when the change is made, so nothing of it can have been delivered.
    office.program.reply("/events", Reply::Plain(503, "text/plain", Vec::new()));
    office.update(&supervisor, json!({ "coach_mode": false })).await;
    office.server.kill9().await;
    office.program.reply("/events", Reply::Plain(200, "text/plain", Vec::new()));
    let mark = office.program.mark();
    office.server.restart().await;
    let stop = office.program.event_within(LATER, "ParticipantCoachModeStop", mark, |_| true).await;
    let end = office.program.event_within(LATER, "MPCEnd", mark, |event| event.param("MPCUUID") == customer.room).await;
    let sequence = |asked: &system_tests::program::Asked| asked.param("SequenceNumber").parse::<u64>().unwrap();
    assert!(stop.at <= end.at && sequence(&stop) < sequence(&end), "out of order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_status_url_delays_nobody_elses_callbacks() {
    let office = Office::open().await;
    let dead = Program::start().await;
    dead.reply("/events", Reply::Never);
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    // Two members of the same room whose own status URLs never answer, or are not there at all.
    let mut bodies = Vec::new();
    for (name, url) in [("hangs", dead.url("/events")), ("refused", "http://callcenter.test:9/events".to_owned())] {
        let phone = office.phone(name, Mouth::Silence).await;
        let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:{name}@{DOMAIN}"), "status_callback_url": url,
            "status_callback_method": "POST", "enter_sound": "none", "exit_sound": "none" });
        office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
        let call = phone.incoming(SOON).await.expect("the phone does not ring").answer().await.unwrap();
        bodies.push((phone, call));
    }
    let own_url = office
        .is_added(
            "other",
            &customer.room,
            "agent",
            json!({ "status_callback_url": office.program.url("/own") }),
            Mouth::Silence,
        )
        .await;
    let mark = office.program.mark();
    let asked = std::time::Instant::now();
    office.update(&own_url, json!({ "mute": true })).await;
    for path in ["/events", "/own"] {
        let told = office.program.event("ParticipantMute", mark, |event| event.path == path).await;
        assert!(told.at.duration_since(asked).as_secs() < 5, "{path}: told after {:?}", told.at.duration_since(asked));
    }
    assert!(!dead.asked().is_empty(), "the dead program was never asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_of_the_same_name_in_two_accounts_know_nothing_of_each_other() {
    let [a, b, _] = tones::<3>();
    let office = Office::open().await;
    let other = office.server.account("other").await;
    let (there, other_rest) = (Program::start().await, PlivoRest::of(&office.server, &other));
    let first = office.joins("customer", "support", "Customer", "stayAlone=\"true\"", voice(a)).await;
    // The other account's endpoint of the same name lives under its own realm.
    let app = office.server.application(&other, "app", &there.url("/answer"), &[]).await;
    office.server.endpoint(&other, "elsewhere", Some(&app)).await;
    let events = there.url("/events");
    there.document("/answer", &format!(r#"<MultiPartyCall role="Agent" stayAlone="true" statusCallbackUrl="{events}" enterSound="none" exitSound="none">support</MultiPartyCall>"#));
    let phone = registered(&office.server, "elsewhere", &other.realm, voice(b), Transport::Udp).await;
    let call = phone.call("hotline", CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let joined = there.event("ParticipantJoin", 0, |_| true).await;
    assert_ne!(joined.param("MPCUUID"), first.room);
    let people = [first.heard(Some(a)), system_tests::ears::Heard { name: "elsewhere", call: &call, tone: Some(b) }];
    hears("two worlds", &people, &[]).await;
    silent_since_invite("sound crossed accounts", &call).await;
    silent_since_invite("sound crossed accounts", &first.call).await;
    for (rest, room) in [(&office.rest, first.room.as_str()), (&other_rest, joined.param("MPCUUID"))] {
        let shown = rest.get("/MultiPartyCall/name_support/").await;
        assert_eq!(shown["mpc_uuid"], room);
        let listed = rest.get("/MultiPartyCall/?status=active").await;
        assert_eq!(listed["meta"]["count"], 1, "{listed}");
    }
    other_rest.delete("/MultiPartyCall/name_support/").await;
    call.wait_ended(SOON).await.unwrap();
    assert_eq!(office.rest.get("/MultiPartyCall/name_support/").await["mpc_uuid"], first.room.as_str());
    assert!(office.program.asked().matching(|asked| asked.param("MPCUUID") == joined.param("MPCUUID")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_accounts_ids_are_unknown_on_every_route() {
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    let intruder = office.server.account("intruder").await;
    let (rest, native) = (PlivoRest::of(&office.server, &intruder), Native::of(&office.server, &intruder));
    let (room, member, call) = (&customer.room, &agent.number, &agent.call_uuid);
    let plivo = [
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
        (
            Method::POST,
            format!("/MultiPartyCall/uuid_{room}/Participant/"),
            Some(json!({ "role": "agent", "call_uuid": call })),
        ),
        (
            Method::POST,
            "/MultiPartyCall/name_stolen/Participant/".to_owned(),
            Some(json!({ "role": "agent", "call_uuid": call })),
        ),
        (
            Method::POST,
            "/MultiPartyCall/name_stolen/Participant/".to_owned(),
            Some(json!({ "role": "agent", "from": "1", "to": format!("sip:agent@{DOMAIN}") })),
        ),
        (Method::GET, format!("/Call/{call}/"), None),
        (Method::GET, format!("/Call/{call}/?status=live"), None),
        (
            Method::POST,
            format!("/Call/{call}/"),
            Some(json!({ "legs": "aleg", "aleg_url": "http://callcenter.test/" })),
        ),
        (Method::DELETE, format!("/Call/{call}/"), None),
    ];
    for (method, path, body) in plivo {
        let (status, answer) = rest.request(method.clone(), &path, body).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
        assert!(answer["error"].is_string() && answer["api_id"].is_string(), "{answer}");
    }
    let member_path = format!("/rooms/{room}/members/{member}");
    let native_routes = [
        (Method::GET, format!("/rooms/{room}"), None),
        (Method::DELETE, format!("/rooms/{room}"), None),
        (Method::GET, format!("/rooms/{room}/members"), None),
        (Method::GET, format!("/rooms/{room}/hearing"), None),
        (Method::GET, format!("/rooms/{room}/ledger?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"), None),
        (Method::GET, member_path.clone(), None),
        (Method::PATCH, member_path.clone(), Some(json!({ "mute": true }))),
        (Method::PUT, format!("{member_path}/mode"), Some(json!({ "mode": "barge" }))),
        (Method::DELETE, member_path.clone(), None),
        (Method::GET, format!("/calls/{call}"), None),
        (Method::DELETE, format!("/calls/{call}"), None),
    ];
    for (method, path, body) in native_routes {
        let (status, answer) = native.request(method.clone(), &path, body).await;
        assert_eq!(status, 404, "{method} {path}: {answer}");
    }
    // With the wrong account in the path, and with the other's token, there is no entry at all.
    let mut wrong = office.account.clone();
    wrong.auth_token = intruder.auth_token.clone();
    let (status, _) = PlivoRest::of(&office.server, &wrong).request(Method::GET, "/MultiPartyCall/", None).await;
    assert_eq!(status, 401);
    // Nothing has happened to those who were meant.
    let shown = office.rest.get(&format!("/MultiPartyCall/uuid_{room}/Participant/{member}/")).await;
    assert_eq!((&shown["mute"], &shown["hold"]), (&json!(false), &json!(false)), "{shown}");
    assert_eq!(rest.get("/MultiPartyCall/").await["meta"]["count"], 0);
}
