//! The REST interface, request by request.

mod house;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use call::command::{CallCommand, CommandError, Confirm, DialMusic, MemberChange, Newcomer, RoomRef, Whom};
use call::verb::{Fetch, Method};
use conference::Role;
use house::*;
use plivo::{Rate, router};
use serde_json::{Value, json};
use tower::ServiceExt;

struct Reply {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn ask_as(app: &Router, who: &str, method: &str, path: &str, body: &str) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{who}:token"))))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    send(app, request).await
}

async fn send(app: &Router, request: Request<Body>) -> Reply {
    let response = app.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("answers are JSON") };
    if head.status == StatusCode::NO_CONTENT {
        assert!(bytes.is_empty());
    } else {
        assert_eq!(head.headers[header::CONTENT_TYPE], "application/json");
        assert!(body["api_id"].as_str().is_some_and(|id| id.len() == 36), "{body}");
        assert_eq!(head.status.is_success(), body.get("error").is_none(), "{body}");
    }
    Reply { status: head.status, headers: head.headers, body }
}

async fn ask(app: &Router, method: &str, path: &str, body: &str) -> Reply {
    ask_as(app, MAIN, method, &format!("/v1/Account/{MAIN}/{path}"), body).await
}

fn open() -> (Arc<House>, Router) {
    let house = Arc::new(House::default());
    let app = router(house.api());
    (house, app)
}

#[tokio::test]
async fn a_call_is_read_with_and_without_trailing_slash_by_name_and_uuid() {
    let (_, app) = open();
    for path in ["MultiPartyCall/name_support", "MultiPartyCall/name_support/", &format!("MultiPartyCall/uuid_{LIVE}/")]
    {
        let reply = ask(&app, "GET", path, "").await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.body["mpc_uuid"], LIVE);
    }
    let live = ask(&app, "GET", "MultiPartyCall/name_support/", "").await.body;
    assert_eq!(
        (
            &live["status"],
            &live["friendly_name"],
            &live["creation_time"],
            &live["end_time"],
            &live["duration"],
            &live["billed_amount"]
        ),
        (
            &json!("Active"),
            &json!("support"),
            &json!("2023-11-14 22:13:20+00:00"),
            &Value::Null,
            &Value::Null,
            &Value::Null
        )
    );
    assert_eq!(live["resource_uri"], format!("/v1/Account/{MAIN}/MultiPartyCall/name_support/"));
    assert_eq!(live["participants"], format!("/v1/Account/{MAIN}/MultiPartyCall/name_support/Participant/"));
    assert_eq!(
        (&live["sub_account"], &live["stay_alone"], &live["max_participants"]),
        (&Value::Null, &json!(false), &json!(10))
    );
    let over = ask(&app, "GET", &format!("MultiPartyCall/uuid_{OVER}/"), "").await.body;
    assert_eq!(
        (
            &over["status"],
            &over["duration"],
            &over["billed_duration"],
            &over["billed_amount"],
            &over["termination_cause"],
            &over["termination_cause_code"]
        ),
        (
            &json!("Ended"),
            &json!(394),
            &json!(420),
            &json!("0.00000"),
            &json!("Stay Alone Not Permitted"),
            &json!(1010)
        )
    );
    assert!(over["recording"].is_null());
    assert_eq!(ask(&app, "GET", "MultiPartyCall/name_old/", "").await.status, 404);
    assert_eq!(ask(&app, "GET", "MultiPartyCall/support/", "").await.status, 400);
    assert_eq!(ask(&app, "GET", "MultiPartyCall/name_a%2Fb/", "").await.status, 400);
}

#[tokio::test]
async fn rooms_are_listed_with_filters_in_both_spellings_and_pages() {
    let (_, app) = open();
    let all = ask(&app, "GET", "MultiPartyCall/", "").await.body;
    assert_eq!(
        (all["objects"].as_array().unwrap().len(), &all["meta"]["count"], &all["meta"]["limit"]),
        (3, &json!(3), &json!(20))
    );
    assert_eq!(all["objects"][1]["sub_account"], format!("/v1/Account/{MAIN}/Subaccount/{SUB}/"));
    for (query, count) in [
        ("status=ENDED", 1),
        ("status=active", 2),
        ("friendly_name=support", 1),
        ("termination_cause_code=1010", 1),
        ("termination_cause_code=3000", 0),
        (&format!("sub_account={SUB}"), 1),
        ("creation_time__gt=2023-11-14+22:13", 3),
        ("creation_time_gt=2023-11-15%2000:00:00", 0),
    ] {
        let reply = ask(&app, "GET", &format!("MultiPartyCall/?{query}"), "").await;
        assert_eq!(reply.body["objects"].as_array().map(Vec::len), Some(count), "{query}: {}", reply.body);
    }
    let page = ask(&app, "GET", "MultiPartyCall/?limit=1&offset=1", "").await.body;
    assert_eq!(page["meta"]["next"], format!("/v1/Account/{MAIN}/MultiPartyCall/?limit=1&offset=2"));
    assert_eq!(page["meta"]["previous"], format!("/v1/Account/{MAIN}/MultiPartyCall/?limit=1&offset=0"));
    for query in [
        "status=alive",
        "termination_cause_code=4711",
        "sub_account=x",
        "creation_time__gt=now",
        "limit=21",
        "offset=-1",
    ] {
        let reply = ask(&app, "GET", &format!("MultiPartyCall/?{query}"), "").await;
        let name = query.split('=').next().unwrap();
        assert_eq!(reply.status, 400);
        assert!(reply.body["error"].as_str().unwrap().contains(name), "{}", reply.body);
    }
}

#[tokio::test]
async fn starting_takes_every_form_that_the_sdks_send() {
    let (house, app) = open();
    for body in [r#"{"status":"active"}"#, r#"{"status":["active"]}"#, r#"{"status":"ACTIVE"}"#] {
        assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/", body).await.status, 204, "{body}");
    }
    assert_eq!(house.done(), [Did::Start, Did::Start, Did::Start]);
    for body in ["{}", r#"{"status":"ended"}"#, r#"{"status":["active","active"]}"#, "{"] {
        assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/", body).await.status, 400, "{body}");
    }
    assert_eq!(ask(&app, "POST", "MultiPartyCall/name_nobody/", r#"{"status":"active"}"#).await.status, 404);
}

#[tokio::test]
async fn ending_and_kicking_answer_204_whatever_the_body_holds() {
    let (house, app) = open();
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/", r#"{"friendly_name":"x"}"#).await.status, 204);
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/Participant/2/", "{broken").await.status, 204);
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/Participant/1,3", "").await.status, 204);
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/Participant/all/", "").await.status, 204);
    assert_eq!(
        house.done(),
        [Did::End, Did::Kick(Whom::Members(vec![2])), Did::Kick(Whom::Members(vec![1, 3])), Did::Kick(Whom::All)]
    );
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/Participant/7/", "").await.status, 404);
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/Participant/x/", "").await.status, 400);
    assert_eq!(ask(&app, "DELETE", &format!("MultiPartyCall/uuid_{OVER}/"), "").await.status, 404);
}

#[tokio::test]
async fn participants_are_those_who_are_in_and_those_who_left() {
    let (_, app) = open();
    let all = ask(&app, "GET", "MultiPartyCall/name_support/Participant/", "").await.body;
    let ids: Vec<_> =
        all["objects"].as_array().unwrap().iter().map(|member| member["member_id"].as_str().unwrap()).collect();
    assert_eq!((ids, &all["meta"]["count"]), (vec!["1", "2", "3", "7"], &json!(4)));
    let agent = &all["objects"][1];
    assert_eq!(
        (
            &agent["mute"],
            &agent["coach_mode"],
            &agent["role"],
            &agent["member_address"],
            &agent["join_time"],
            &agent["exit_time"],
            &agent["duration"]
        ),
        (
            &json!(false),
            &json!(false),
            &json!("agent"),
            &json!("4915112345"),
            &json!("2023-11-14 22:13:20+00:00"),
            &Value::Null,
            &Value::Null
        )
    );
    assert_eq!(all["objects"][2]["coach_mode"], json!(true));
    let gone = ask(&app, "GET", "MultiPartyCall/name_support/Participant/7/", "").await.body;
    assert_eq!(
        (&gone["mute"], &gone["duration"], &gone["billed_duration"], &gone["billed_amount"], &gone["exit_cause"]),
        (&Value::Null, &json!(30), &json!(60), &json!("0.00000"), &json!("Kicked Out of Multiparty Call"))
    );
    let ended = ask(&app, "GET", &format!("MultiPartyCall/uuid_{OVER}/Participant/"), "").await.body;
    assert_eq!(ended["objects"].as_array().unwrap().len(), 1);
    let none = ask(&app, "GET", "MultiPartyCall/name_support/Participant/?call_uuid=nobody", "").await.body;
    assert_eq!(none["meta"]["count"], json!(0));
    assert_eq!(ask(&app, "GET", "MultiPartyCall/name_support/Participant/99/", "").await.status, 404);
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_says_so() {
    let (house, app) = open();
    let reply =
        ask(&app, "POST", "MultiPartyCall/name_support/Participant/3/", r#"{"coach_mode":"false","mute":true}"#).await;
    assert_eq!(reply.status, 202);
    assert_eq!(reply.body["coach_mode"], "MPC: support coach_mode enable/disable succeeded");
    assert_eq!(reply.body["mute"], "MPC: support mute/unmute member(s) succeeded");
    assert!(reply.body.get("hold").is_none());
    assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/Participant/all/", r#"{"hold":true}"#).await.status, 202);
    assert_eq!(
        house.done(),
        [
            Did::Change(
                Whom::Members(vec![3]),
                MemberChange { coach: Some(false), mute: Some(true), ..MemberChange::default() }
            ),
            Did::Change(Whom::All, MemberChange { hold: Some(true), ..MemberChange::default() }),
        ]
    );
    for (member, body) in [
        ("3", "{}"),
        ("all", r#"{"coach_mode":true}"#),
        ("2", r#"{"coach_mode":true}"#),
        ("2,3", r#"{"coach_mode":false}"#),
        ("3", r#"{"mute":"maybe"}"#),
        ("0", r#"{"mute":true}"#),
        ("3", r#"{"disable_state_change_sound":1,"mute":true}"#),
    ] {
        assert_eq!(
            ask(&app, "POST", &format!("MultiPartyCall/name_support/Participant/{member}/"), body).await.status,
            400,
            "{member} {body}"
        );
    }
    assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/Participant/9/", r#"{"mute":true}"#).await.status, 404);
    assert_eq!(house.done().len(), 2);
}

#[tokio::test]
async fn a_change_that_is_not_confirmed_yet_is_accepted_all_the_same() {
    let house = Arc::new(House { confirmed: false, ..House::default() });
    let app = router(house.api());
    assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/Participant/3/", r#"{"mute":true}"#).await.status, 202);
    assert_eq!(ask(&app, "DELETE", "MultiPartyCall/name_support/", "").await.status, 204);
}

/// What the official Python package sends for an agent.
const FROM_PYTHON: &str = r#"{"role":"agent","from":"+4930999","to":"sip:agent1@phone.plivo.com","caller_name":"+4930999","call_status_callback_method":"POST",
 "confirm_key_sound_method":"GET","dial_music":"real","ring_timeout":45,"delay_dial":0,"max_duration":14400,"max_participants":10,"record_min_member_count":1,
 "wait_music_method":"GET","agent_hold_music_method":"GET","customer_hold_music_method":"GET","recording_callback_method":"GET","status_callback_method":"GET",
 "on_exit_action_method":"POST","record":false,"record_participant_track":false,"record_file_format":"mp3",
 "status_callback_events":"mpc-state-changes,participant-state-changes","stay_alone":false,"coach_mode":true,"mute":false,"hold":false,"start_mpc_on_enter":true,
 "end_mpc_on_exit":false,"relay_dtmf_inputs":false,"enter_sound":"beep:1","enter_sound_method":"GET","exit_sound":"beep:2","exit_sound_method":"GET",
 "start_recording_audio_method":"GET","stop_recording_audio_method":"GET","create_mpc_with_single_participant":true,"send_on_preanswer":false,"transcript":false}"#;

fn added(house: &House) -> call::command::AddMember {
    match house.done().pop() {
        Some(Did::Add(add)) => *add,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn adding_a_participant_dials_with_the_sdks_defaults() {
    let (house, app) = open();
    let reply = ask(&app, "POST", "MultiPartyCall/name_new%20room/Participant/", FROM_PYTHON).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["message"], "add participant action initiated");
    assert_eq!((&reply.body["request_uuid"], &reply.body["call_uuid"]), (&json!("request"), &json!("leg-0")));
    assert_eq!(
        reply.body["calls"],
        json!([{ "to": "sip:agent1@phone.plivo.com", "from": "4930999", "call_uuid": "leg-0" }])
    );
    let add = added(&house);
    assert_eq!(
        (&add.room, add.dialect, add.join.entry.role),
        (&RoomRef::Name("new room".to_owned()), "plivo", Some(Role::Agent))
    );
    let Newcomer::Dialled(dial) = add.who else { panic!("{:?}", add.who) };
    assert_eq!(
        (dial.from.as_str(), dial.caller_name.as_str(), dial.dial_music),
        ("+4930999", "+4930999", DialMusic::Ringback)
    );
    assert_eq!(
        (dial.destinations[0].ring_timeout, dial.destinations[0].delay),
        (Duration::from_secs(45), Duration::ZERO)
    );
    assert!(
        dial.confirm.is_none()
            && dial.headers.is_empty()
            && dial.state_callback.is_none()
            && dial.send_digits.is_none()
    );
}

#[tokio::test]
async fn adding_a_participant_takes_every_option() {
    let (house, app) = open();
    let body = json!({
        "role": "Agent", "from": "4930", "to": "+49 151-1<sip:a@phone.plivo.com<4940", "ring_timeout": "10<20", "delay_dial": 3, "caller_name": "Shop",
        "confirm_key": "5", "confirm_key_sound_url": "https://a.example.com/c", "dial_music": "none", "sip_headers": "order=17,X-PH-a=b,Plivo-x=1",
        "send_digits": "1w2", "call_status_callback_url": "https://a.example.com/s", "call_status_callback_method": "GET",
        "on_exit_action_url": "https://a.example.com/exit", "agent_hold_music": "https://a.example.com/h",
    });
    let reply = ask(&app, "POST", "MultiPartyCall/name_support/Participant/", &body.to_string()).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["calls"].as_array().unwrap().len(), 3);
    assert!(reply.body.get("call_uuid").is_none());
    let add = added(&house);
    assert!(add.join.member_settings.on_exit.is_some() && add.join.room_settings.hold_music.len() == 2);
    let Newcomer::Dialled(dial) = add.who else { panic!("{:?}", add.who) };
    let to: Vec<_> = dial
        .destinations
        .iter()
        .map(|there| (there.to.as_str(), there.ring_timeout.as_secs(), there.delay.as_secs()))
        .collect();
    assert_eq!(to, [("+491511", 10, 3), ("sip:a@phone.plivo.com", 20, 3), ("4940", 45, 3)]);
    assert_eq!(dial.headers, [("X-PH-order".to_owned(), "17".to_owned()), ("X-PH-a".to_owned(), "b".to_owned())]);
    assert!(matches!(dial.confirm, Some(Confirm::Key { key: '5', .. })), "{:?}", dial.confirm);
    assert_eq!(dial.state_callback, Some(Fetch::new("https://a.example.com/s", Method::Get)));
    assert_eq!(
        (dial.dial_music, dial.send_digits.as_deref(), dial.caller_name.as_str()),
        (DialMusic::Silent, Some("1w2"), "Shop")
    );
}

#[tokio::test]
async fn a_live_call_is_moved_in_and_its_member_id_is_told() {
    let (house, app) = open();
    let body = json!({ "role": "supervisor", "call_uuid": CALL, "coach_mode": "false" }).to_string();
    let reply = ask(&app, "POST", &format!("MultiPartyCall/uuid_{LIVE}/Participant/"), &body).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.body["member_id"], &reply.body["call_uuid"]),
        (201, &json!("9"), &json!(CALL))
    );
    let add = added(&house);
    assert_eq!((add.who, add.join.entry.coaching), (Newcomer::Call(CALL.to_owned()), false));
}

#[tokio::test]
async fn a_form_says_the_same_as_json() {
    let (house, app) = open();
    let request = Request::post(format!("/v1/Account/{MAIN}/MultiPartyCall/name_support/Participant/"))
        .header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(format!("{MAIN}:token"))))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from("role=supervisor&from=4930&to=%2B4940&coach_mode=true"))
        .unwrap();
    assert_eq!(send(&app, request).await.status, 201);
    assert!(added(&house).join.entry.coaching);
}

#[tokio::test]
async fn every_bad_parameter_is_named_with_its_value_and_nothing_is_done() {
    let (house, app) = open();
    for (name, change) in [
        ("role", json!({ "role": "boss" })),
        ("role", json!({ "role": null })),
        ("role", json!({ "role": "ai-agent" })),
        ("to", json!({ "to": "nobody" })),
        ("to", json!({ "to": "sip:x@y\r\nEvil: 1" })),
        ("to", json!({ "to": null })),
        ("from", json!({ "from": null })),
        ("from", json!({ "from": "a<b" })),
        ("to", json!({ "role": "customer", "to": "4940<4941" })),
        ("to", json!({ "to": vec!["4940"; 21].join("<") })),
        ("call_uuid", json!({ "call_uuid": CALL })),
        ("ring_timeout", json!({ "ring_timeout": "10<20" })),
        ("ring_timeout", json!({ "ring_timeout": 0 })),
        ("delay_dial", json!({ "delay_dial": "x" })),
        ("caller_name", json!({ "caller_name": "x".repeat(51) })),
        ("confirm_key", json!({ "confirm_key": "12" })),
        ("confirm_key_sound_url", json!({ "confirm_key": "1", "confirm_key_sound_url": "x" })),
        ("dial_music", json!({ "dial_music": "loud" })),
        ("sip_headers", json!({ "sip_headers": "novalue" })),
        ("sip_headers", json!({ "sip_headers": "a=b\r\nEvil: 1" })),
        ("send_digits", json!({ "send_digits": "abc" })),
        ("send_on_preanswer", json!({ "send_on_preanswer": true })),
        ("max_duration", json!({ "max_duration": 1 })),
        ("status_callback_url", json!({ "status_callback_url": "x" })),
        ("status_callback_events", json!({ "status_callback_events": "x" })),
        ("coach_mode", json!({ "coach_mode": "x" })),
        ("callback_url", json!({ "callback_url": "https://a.example.com" })),
        ("transcript", json!({ "transcript": true })),
        ("call_status_callback_method", json!({ "call_status_callback_method": "PUT" })),
    ] {
        let mut body = json!({ "role": "agent", "from": "4930", "to": "4940" });
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        let reply = ask(&app, "POST", "MultiPartyCall/name_support/Participant/", &body.to_string()).await;
        assert_eq!(reply.status, 400, "{change}");
        assert!(reply.body["error"].as_str().unwrap().contains(name), "{change}: {}", reply.body);
    }
    assert!(house.done().is_empty());
}

#[tokio::test]
async fn more_participants_than_the_server_has_room_for_are_refused_with_its_limit() {
    let house = Arc::new(House::default());
    let api = plivo::Api::new(house.clone(), Arc::new(Books), plivo::RATE).with_rooms_of(64);
    let app = router(Arc::new(api));
    let body = json!({ "role": "agent", "from": "4930", "to": "4940", "max_participants": 65 }).to_string();
    let reply = ask(&app, "POST", "MultiPartyCall/name_support/Participant/", &body).await;
    assert_eq!(reply.status, 400);
    let error = reply.body["error"].as_str().unwrap();
    assert!(error.contains("max_participants") && error.contains("2 to 64"), "{error}");
    assert!(house.done().is_empty());
    let body = body.replace("65", "64");
    assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/Participant/", &body).await.status, 201);
}

#[tokio::test]
async fn nobody_is_added_alone_who_does_not_want_to_be() {
    let (house, app) = open();
    let body = json!({ "role": "agent", "from": "4930", "to": "4940", "create_mpc_with_single_participant": false })
        .to_string();
    let reply = ask(&app, "POST", "MultiPartyCall/name_fresh/Participant/", &body).await;
    assert_eq!(reply.status, 400);
    assert!(reply.body["error"].as_str().unwrap().contains("create_mpc_with_single_participant"));
    assert_eq!(ask(&app, "POST", "MultiPartyCall/name_support/Participant/", &body).await.status, 201);
    assert_eq!(house.done().len(), 1);
}

#[tokio::test]
async fn credentials_are_asked_for_and_other_accounts_do_not_exist() {
    let (house, app) = open();
    let anonymous = Request::get(format!("/v1/Account/{MAIN}/MultiPartyCall/")).body(Body::empty()).unwrap();
    let reply = send(&app, anonymous).await;
    assert_eq!(reply.status, 401);
    assert!(reply.headers.contains_key(header::WWW_AUTHENTICATE));
    for value in ["Basic x", "Bearer y", "Basic", "Basic Zm9v"] {
        let request = Request::get(format!("/v1/Account/{MAIN}/"))
            .header(header::AUTHORIZATION, value)
            .body(Body::empty())
            .unwrap();
        assert_eq!(send(&app, request).await.status, 401, "{value}");
    }
    let m = format!("/v1/Account/{MAIN}/MultiPartyCall");
    let o = format!("/v1/Account/{OTHER}/MultiPartyCall");
    let add = r#"{"role":"agent","from":"1230","to":"4940"}"#;
    for base in [&m, &o] {
        for (method, path, body) in [
            ("GET", format!("{base}/uuid_{LIVE}/"), ""),
            ("GET", format!("{base}/uuid_{OVER}/"), ""),
            ("POST", format!("{base}/uuid_{LIVE}/"), r#"{"status":"active"}"#),
            ("DELETE", format!("{base}/uuid_{LIVE}/"), ""),
            ("GET", format!("{base}/uuid_{LIVE}/Participant/"), ""),
            ("GET", format!("{base}/uuid_{LIVE}/Participant/2/"), ""),
            ("POST", format!("{base}/uuid_{LIVE}/Participant/2/"), r#"{"mute":true}"#),
            ("DELETE", format!("{base}/uuid_{LIVE}/Participant/2/"), ""),
            ("POST", format!("{base}/uuid_{LIVE}/Participant/"), add),
            ("GET", format!("{}/Call/{CALL}/?status=live", base.trim_end_matches("/MultiPartyCall")), ""),
            ("GET", format!("{}/Call/{ENDED_CALL}/", base.trim_end_matches("/MultiPartyCall")), ""),
            ("DELETE", format!("{}/Call/{CALL}/", base.trim_end_matches("/MultiPartyCall")), ""),
            (
                "POST",
                format!("{}/Call/{CALL}/", base.trim_end_matches("/MultiPartyCall")),
                r#"{"aleg_url":"https://a.example.com"}"#,
            ),
        ] {
            let reply = ask_as(&app, OTHER, method, &path, body).await;
            assert_eq!(reply.status, 404, "{method} {path}");
            assert!(!reply.body.to_string().contains("support"), "{}", reply.body);
        }
    }
    assert_eq!(ask_as(&app, OTHER, "GET", &format!("{o}/"), "").await.body["meta"]["count"], json!(0));
    assert!(house.done().is_empty());
}

#[tokio::test]
async fn a_sub_account_sees_its_own_and_its_main_account_sees_all() {
    let (house, app) = open();
    let sub = |path: &str| format!("/v1/Account/{SUB}/MultiPartyCall/{path}");
    assert_eq!(ask_as(&app, SUB, "GET", &sub("name_subs/"), "").await.status, 200);
    assert_eq!(ask_as(&app, SUB, "GET", &sub("name_support/"), "").await.status, 404);
    assert_eq!(ask_as(&app, SUB, "DELETE", &sub(&format!("uuid_{LIVE}/")), "").await.status, 404);
    assert_eq!(ask_as(&app, SUB, "GET", &sub(""), "").await.body["meta"]["count"], json!(1));
    assert_eq!(
        ask_as(&app, SUB, "GET", &sub(&format!("?sub_account=SAX{}", "X".repeat(17))), "").await.body["meta"]["count"],
        json!(0)
    );
    assert_eq!(ask_as(&app, SUB, "GET", &format!("/v1/Account/{MAIN}/MultiPartyCall/"), "").await.status, 404);
    assert_eq!(ask_as(&app, MAIN, "GET", &sub("name_subs/"), "").await.status, 200);
    assert_eq!(ask(&app, "GET", "MultiPartyCall/name_subs/", "").await.status, 200);
    let add = r#"{"role":"agent","from":"4930","to":"4940"}"#;
    assert_eq!(ask_as(&app, SUB, "POST", &sub("name_support/Participant/"), add).await.status, 409);
    assert_eq!(ask_as(&app, SUB, "POST", &sub("name_subs/Participant/"), add).await.status, 201);
    assert_eq!(house.did.lock().unwrap()[0].0, SUB);
}

#[tokio::test]
async fn single_calls_are_read_hung_up_and_transferred() {
    let (house, app) = open();
    let live = ask(&app, "GET", &format!("Call/{CALL}/?status=live"), "").await.body;
    assert_eq!(
        (&live["call_status"], &live["from"], &live["direction"]),
        (&json!("in-progress"), &json!("4930"), &json!("inbound"))
    );
    let record = ask(&app, "GET", &format!("Call/{ENDED_CALL}/"), "").await.body;
    assert_eq!(
        (&record["call_duration"], &record["billed_duration"], &record["hangup_cause_code"], &record["to_number"]),
        (&json!(66), &json!(120), &json!(4020), &json!("4940"))
    );
    assert_eq!(ask(&app, "GET", &format!("Call/{CALL}/"), "").await.status, 404);
    assert_eq!(
        ask(&app, "POST", &format!("Call/{CALL}/"), r#"{"legs":"aleg","aleg_url":"https://a.example.com/x"}"#)
            .await
            .status,
        202
    );
    assert_eq!(ask(&app, "DELETE", &format!("Call/{CALL}/"), "{}").await.status, 204);
    let to = Fetch::new("https://a.example.com/x", Method::Post);
    assert_eq!(house.done(), [Did::Call(CallCommand::Transfer(to)), Did::Call(CallCommand::Hangup(None))]);
    for body in ["{}", r#"{"legs":"both","aleg_url":"https://a.example.com/x"}"#, r#"{"aleg_url":"x"}"#] {
        assert_eq!(ask(&app, "POST", &format!("Call/{CALL}/"), body).await.status, 400, "{body}");
    }
    assert_eq!(ask(&app, "POST", "Call/", "{}").await.status, 405);
}

#[tokio::test]
async fn what_is_not_offered_says_so_in_json_and_never_with_a_5xx() {
    let (_, app) = open();
    for (method, path, status) in [
        ("POST", "MultiPartyCall/name_support/Record/", 405),
        ("DELETE", "MultiPartyCall/name_support/Record/", 405),
        ("POST", "MultiPartyCall/name_support/Record/Pause/", 405),
        ("POST", "MultiPartyCall/name_support/Participant/2/Record/", 405),
        ("POST", "MultiPartyCall/name_support/Participant/2/Record/Resume", 405),
        ("POST", "MultiPartyCall/name_support/Member/2/Play/", 405),
        ("DELETE", "MultiPartyCall/name_support/Member/all/Speak/", 405),
        ("PUT", "MultiPartyCall/name_support/", 405),
        ("POST", "MultiPartyCall/", 405),
        ("PATCH", "MultiPartyCall/name_support/Participant/2/", 405),
        ("GET", "MultiPartyCall/name_support/Nothing/", 404),
        ("GET", "Number/", 404),
        ("GET", "", 404),
        ("POST", &format!("Call/{CALL}/Play/"), 404),
    ] {
        assert_eq!(ask(&app, method, path, "{}").await.status, status, "{method} {path}");
    }
    let large = ask(&app, "POST", "MultiPartyCall/name_support/Participant/", &" ".repeat(70_000)).await;
    assert_eq!(large.status, 413);
    assert_eq!(ask(&app, "GET", "MultiPartyCall/name_%ff/", "").await.status, 400);
}

#[tokio::test]
async fn refusals_of_the_engine_have_fitting_codes() {
    let (house, app) = open();
    for (error, status) in [
        (CommandError::NotFound { what: "room", id: "x".to_owned() }, 404),
        (CommandError::Conflict("full".to_owned()), 409),
        (CommandError::Invalid("x".to_owned()), 400),
        (CommandError::Forbidden("no trunk".to_owned()), 403),
        (CommandError::Busy("commands"), 429),
        (CommandError::Failed("disk".to_owned()), 500),
        (CommandError::Unavailable("the disk is full".to_owned()), 503),
    ] {
        *house.fails_with.lock().unwrap() = Some(error);
        let reply = ask(&app, "DELETE", "MultiPartyCall/name_support/", "").await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers.contains_key(header::RETRY_AFTER), status == 429);
    }
}

#[tokio::test]
async fn too_many_requests_of_an_account_are_told_when_to_come_again() {
    let house = Arc::new(House::default());
    let app = router(house.api_with(Rate { burst: 3, window: Duration::from_secs(60) }));
    for _ in 0..3 {
        assert_eq!(ask(&app, "GET", "MultiPartyCall/", "").await.status, 200);
    }
    let reply = ask(&app, "GET", "MultiPartyCall/", "").await;
    assert_eq!(reply.status, 429);
    assert!(reply.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    // A sub-account spends its main account's; another account has its own.
    assert_eq!(ask_as(&app, SUB, "GET", &format!("/v1/Account/{SUB}/MultiPartyCall/"), "").await.status, 429);
    assert_eq!(ask_as(&app, OTHER, "GET", &format!("/v1/Account/{OTHER}/MultiPartyCall/"), "").await.status, 200);
}
