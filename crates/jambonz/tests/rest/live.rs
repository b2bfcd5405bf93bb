//! Live calls, rooms, queues and taps, and what was: statuses, bodies, and what the engine is asked.

use std::time::Duration;

use call::command::{CallCommand, CommandError, MemberChange};
use call::dialect::{CallState, CallView, Direction};
use call::verb::{Fetch, Method, TargetKind};
use conference::{Audience, Role, Tag};
use serde_json::{Value as Json, json};
use store::{ActorKind, CallRecord, Dialect, Life, NewEvent};

use crate::desk::{Desk, now};
use crate::fake::{call, member, room};

const CALL: &str = "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01";
const OTHER: &str = "8d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c02";
const FOREIGN: &str = "9d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c03";
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A desk with two live calls of ours and one of somebody else.
async fn desk() -> Desk {
    let desk = Desk::open().await;
    let calls = vec![
        call(&desk.account, CALL, Direction::Inbound),
        call(&desk.account, OTHER, Direction::Outbound),
        call(&desk.other, FOREIGN, Direction::Inbound),
    ];
    *desk.paper.calls.lock().unwrap() = calls;
    desk
}

/// The record of a call that ended so long ago.
fn ended(account: &store::Account, uuid: &str, ago: Duration) -> CallRecord {
    let mut view: CallView = call(account, uuid, Direction::Inbound);
    let at = now().minus(ago);
    (view.state, view.ended_at) = (CallState::Ended, Some(at.micros()));
    CallRecord {
        account: account.id,
        id: uuid.parse().unwrap(),
        sub_account: None,
        dialect: Dialect::Jambonz,
        direction: store::Direction::Inbound,
        from: view.from.clone(),
        to: view.to.clone(),
        caller_name: None,
        request_id: None,
        app_id: None,
        state: Life::Ended,
        status: "completed".to_owned(),
        initiated_at: at.minus(Duration::from_secs(100)),
        answered_at: Some(at.minus(Duration::from_secs(90))),
        ended_at: Some(at),
        hangup_cause: Some("normal".to_owned()),
        extra: json!({ "view": view }),
    }
}

fn sids(list: &Json) -> Vec<&str> {
    let mut sids: Vec<&str> = list.as_array().unwrap().iter().map(|call| call["call_sid"].as_str().unwrap()).collect();
    sids.sort_unstable();
    sids
}

#[tokio::test]
async fn calls_are_listed_while_they_live_and_an_hour_longer_by_what_is_asked_for() {
    let desk = desk().await;
    let (recent, old) = ("1d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c04", "2d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c05");
    let foreign = "3d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c06";
    let hour = Duration::from_secs(3600);
    let batch = desk.store.batch().put_call(ended(&desk.account, recent, hour - Duration::from_secs(60)));
    let batch = batch.put_call(ended(&desk.account, old, hour + Duration::from_secs(60)));
    batch.put_call(ended(&desk.other, foreign, Duration::ZERO)).commit().await.unwrap();
    let base = format!("/Accounts/{}/Calls", desk.sid());
    let list = desk.get(&format!("{base}/")).await.json();
    assert_eq!(sids(&list), [recent, CALL, OTHER]);
    for (query, wanted) in [
        ("direction=inbound", vec![recent, CALL]),
        ("callStatus=in-progress", vec![CALL, OTHER]),
        ("callStatus=completed", vec![recent]),
        ("from=%2B15083084809&direction=outbound", vec![OTHER]),
        ("to=1", vec![]),
    ] {
        assert_eq!(sids(&desk.get(&format!("{base}?{query}")).await.json()), wanted, "{query}");
    }
    let one = desk.get(&format!("{base}/{CALL}")).await.json();
    let expected = json!({
        "call_sid": CALL, "direction": "inbound", "from": "15083084809", "to": "16173333456",
        "call_id": format!("{CALL}@sip"), "sbc_callid": format!("{CALL}@sip"), "sip_status": 200, "sip_reason": "OK",
        "call_status": "in-progress", "account_sid": desk.sid(), "trace_id": CALL.replace('-', ""),
        "application_sid": "0e0681b0-d49f-4fb8-b973-b5a3c6758de1", "caller_id": "15083084809", "caller_name": "Zoë",
        "duration": 61, "service_url": "http://aside.test/v1",
    });
    assert_eq!(one, expected, "scalars alone");
    let over = desk.get(&format!("{base}/{recent}")).await.json();
    assert_eq!((&over["call_status"], &over["duration"]), (&json!("completed"), &json!(90)));
    for sid in [old, FOREIGN, foreign, NOBODY] {
        let said = desk.get(&format!("{base}/{sid}")).await;
        assert_eq!((said.status, said.text.as_str()), (404, "Not Found"), "{sid}");
    }
    assert_eq!(desk.get(&format!("{base}/{}", &CALL[1..])).await.msg(), "Bad request");
    let count = desk.get(&format!("/Accounts/{}/CallCount", desk.sid())).await.json();
    assert_eq!(count, json!({ "inbound": 1, "outbound": 1 }));

    let past = desk.get(&format!("/Accounts/{}/RecentCalls?count=1&page=2&days=1", desk.sid())).await.json();
    assert_eq!((&past["total"], &past["batch"], &past["page"]), (&json!(2), &json!(1), &json!(2)));
    let old_record = &past["data"][0];
    assert_eq!((&old_record["call_sid"], &old_record["answered"]), (&json!(old), &json!(true)));
    assert_eq!((&old_record["duration"], &old_record["termination_reason"]), (&json!(90), &json!("normal")));
    for wrong in ["count=0", "page=x", "start=yesterday", "direction=up", "filter=1"] {
        assert_eq!(desk.get(&format!("/Accounts/{}/RecentCalls?{wrong}", desk.sid())).await.status, 400, "{wrong}");
    }
    assert_eq!(desk.get(&format!("/Accounts/{}/RecentCalls/{foreign}", desk.sid())).await.status, 404);
}

#[tokio::test]
async fn an_update_is_accepted_when_it_is_done_and_says_who_asked() {
    let desk = desk().await;
    let path = format!("/Accounts/{}/Calls/{CALL}", desk.sid());
    let key = desk.store.bearer_keys(Some(desk.account.id)).await.unwrap()[0].sid.to_string();
    let member = CallCommand::Member;
    let coach = MemberChange {
        coach: Some(true),
        coach_audience: Some(Audience::tag(Tag::new("agent"))),
        ..MemberChange::default()
    };
    let action = |action: &str| json!({ "conferenceParticipantAction": { "action": action, "tag": "agent" } });
    let of = |change: MemberChange| vec![member(change)];
    for (body, commands) in [
        (action("coach"), of(coach.clone())),
        (action("uncoach"), of(MemberChange { coach: Some(false), ..MemberChange::default() })),
        (action("tag"), of(MemberChange { tag: Some(Some(Tag::new("agent"))), ..MemberChange::default() })),
        (action("untag"), of(MemberChange { tag: Some(None), ..MemberChange::default() })),
        (action("mute"), of(MemberChange { mute: Some(true), ..MemberChange::default() })),
        (action("kick"), vec![CallCommand::Kick]),
        (json!({ "conf_mute_status": "unmute" }), vec![CallCommand::MuteRoom(false)]),
        (json!({ "mute_status": "mute" }), vec![CallCommand::Mute(true)]),
        (json!({ "call_status": "completed" }), vec![CallCommand::Hangup(None)]),
        (json!({ "call_status": "no-answer" }), vec![CallCommand::Cancel]),
        (json!({ "tag": { "a": 1 } }), vec![CallCommand::Attach(r#"{"a":1}"#.to_owned())]),
        (
            json!({ "call_hook": "https://app.test/next" }),
            vec![CallCommand::Transfer(Fetch::new("https://app.test/next", Method::Post))],
        ),
    ] {
        for method in ["PUT", "POST"] {
            let said = desk.ask(method, &path, body.clone()).await;
            assert_eq!((said.status, said.text.as_str()), (202, "Accepted"), "{method} {body}");
            assert!(said.kind.starts_with("text/plain"));
            let done: Vec<_> = desk.paper.did.lock().unwrap().drain(..).collect();
            assert_eq!(done.iter().map(|(_, command, _)| command.clone()).collect::<Vec<_>>(), commands, "{body}");
            for (uuid, _, by) in done {
                assert_eq!((uuid.as_str(), by.kind, by.id.as_str()), (CALL, ActorKind::Key, key.as_str()));
            }
        }
    }
    // The one way of the older client: a whisper beside the action.
    let mut both = action("coach");
    both["whisper"] = json!({ "verb": "say", "text": "hush" });
    assert_eq!(desk.ask("PUT", &path, both).await.status, 202);
    let done: Vec<_> = desk.paper.did.lock().unwrap().drain(..).map(|(_, command, _)| command).collect();
    assert!(
        matches!(done.as_slice(), [CallCommand::Member(change), CallCommand::Whisper(_)] if *change == coach),
        "{done:?}"
    );

    *desk.paper.sip.lock().unwrap() = Some((202, "Accepted".to_owned()));
    let request = json!({ "sip_request": { "method": "INFO", "content_type": "text/plain", "content": "x" } });
    let said = desk.ask("PUT", &path, request).await;
    assert_eq!((said.status, said.json()), (200, json!({ "status": 202, "reason": "Accepted" })));
}

#[tokio::test]
async fn an_update_that_breaks_a_rule_or_finds_no_call_does_nothing() {
    let desk = desk().await;
    let base = format!("/Accounts/{}/Calls", desk.sid());
    let path = format!("{base}/{CALL}");
    for (body, words) in [
        (Json::Null, "no valid options supplied to updateCall"),
        (
            json!({ "mute_status": "mute", "conf_mute_status": "mute" }),
            "multiple options are not allowed in updateCall",
        ),
        (
            json!({ "conferenceParticipantAction": { "action": "dance" } }),
            "conferenceParticipantAction invalid action property dance",
        ),
        (json!({ "conferenceParticipantAction": { "action": "coach" } }), "requires tag property"),
        (json!({ "noise_isolation_status": "enable" }), "noise_isolation_status is not supported"),
        (
            json!({ "record": { "action": "startCallRecording", "siprecServerURL": "sip:r" } }),
            "record is not supported",
        ),
        (json!({ "call_hook": "ftp://a.test/" }), "ftp"),
        (json!([]), "JSON object"),
    ] {
        let said = desk.ask("PUT", &path, body.clone()).await;
        assert!(said.status == 400 && said.msg().contains(words), "{body}: {said:?}");
    }
    let mute = json!({ "mute_status": "mute" });
    for sid in [FOREIGN, NOBODY] {
        let said = desk.ask("PUT", &format!("{base}/{sid}"), mute.clone()).await;
        assert_eq!((said.status, said.text.as_str()), (404, "Not Found"), "{sid}");
        assert_eq!(desk.ask("DELETE", &format!("{base}/{sid}"), Json::Null).await.status, 404);
    }
    let said = desk.ask_as(&desk.others_key, "PUT", &path, mute.clone()).await;
    assert_eq!((said.status, said.msg().as_str()), (403, "insufficient permissions"));
    assert_eq!(desk.ask("PUT", &format!("{base}/x"), mute.clone()).await.msg(), "Bad request");

    // It is over, was there a moment ago, is not far enough, or the server is too busy.
    let over = "1d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c04";
    desk.store.batch().put_call(ended(&desk.account, over, Duration::ZERO)).commit().await.unwrap();
    let said = desk.ask("PUT", &format!("{base}/{over}"), mute.clone()).await;
    assert_eq!((said.status, said.text), (422, format!("call session is gone for call_sid {over}")));
    let gone = CommandError::NotFound { what: "call", id: CALL.to_owned() };
    for (error, status, words) in [
        (gone, 422, "call session is gone for call_sid"),
        (
            CommandError::Conflict("it rings".to_owned()),
            422,
            "current call state is incompatible with requested action",
        ),
        (CommandError::Busy("messages"), 503, "limit"),
    ] {
        *desk.paper.refuse.lock().unwrap() = Some(error);
        let said = desk.ask("PUT", &path, mute.clone()).await;
        assert!(said.status == status && said.text.contains(words), "{said:?}");
    }
    assert!(desk.paper.did.lock().unwrap().is_empty(), "nothing was done");

    let said = desk.ask("DELETE", &path, Json::Null).await;
    assert_eq!((said.status, said.text.as_str()), (204, ""));
    let done = desk.paper.did.lock().unwrap().pop().map(|(uuid, command, _)| (uuid, command));
    assert_eq!(done, Some((CALL.to_owned(), CallCommand::Hangup(None))));
    assert_eq!(desk.ask("DELETE", &format!("{base}/{over}"), Json::Null).await.status, 204, "it is over");
}

#[tokio::test]
async fn a_call_is_made_under_an_application_or_a_hook_of_its_own() {
    let desk = desk().await;
    let path = format!("/Accounts/{}/Calls", desk.sid());
    let mut app = desk.application("app");
    app["call_hook"] = json!({ "url": "wss://app.test/ws", "username": "u", "password": "p" });
    app["env_vars"] = json!({ "ROOM": "a" });
    app["speech_synthesis_voice"] = json!("one");
    let app = desk.make("/Applications", app).await;
    let to = json!({ "type": "phone", "number": "16173333456", "trunk": "carrier" });
    let body = json!({ "from": "15083084809", "to": to, "application_sid": app, "tag": { "a": 1 }, "timeout": 20,
        "timeLimit": 600, "callerName": "Desk", "headers": { "X-A": "1" }, "speech_synthesis_language": "en-GB" });
    let made = desk.ask("POST", &path, body.clone()).await;
    assert_eq!((made.status, made.json()), (201, json!({ "sid": CALL, "callId": "a84b@aside" })));
    let placed = desk.paper.placed.lock().unwrap().pop().unwrap();
    let number = TargetKind::Number { number: "16173333456".to_owned(), trunk: Some("carrier".to_owned()) };
    assert_eq!((placed.target.kind, placed.from.as_str()), (number, "15083084809"));
    assert_eq!(placed.target.headers, [("X-A".to_owned(), "1".to_owned())]);
    assert_eq!((placed.caller_name.as_str(), placed.dialect), ("Desk", "jambonz"));
    assert_eq!((placed.ring_timeout.as_secs(), placed.limit.map(|limit| limit.as_secs())), (20, Some(600)));
    assert_eq!((placed.attached.as_deref(), placed.app_sid.as_deref()), (Some(r#"{"a":1}"#), Some(app.as_str())));
    assert_eq!((placed.application.url.as_str(), placed.application.method), ("wss://app.test/ws", Method::Link));
    assert_eq!(placed.application.auth.map(|auth| auth.password).as_deref(), Some("p"));
    assert_eq!(placed.status, Some(Fetch::new("https://app.test/status", Method::Post)));
    assert_eq!((placed.run, placed.app_id.is_some()), (None, true));
    let settings: jambonz::rest::ApplicationSettings = serde_json::from_value(placed.settings).unwrap();
    assert_eq!(settings.speech.synthesis_voice.as_deref(), Some("one"));
    assert_eq!(settings.speech.synthesis_language.as_deref(), Some("en-GB"), "the request's own come first");

    let own = json!({ "from": "15083084809", "to": { "type": "user", "name": "alice@ours.sip.test" },
        "call_hook": "http://other.test/h#rc=2", "call_status_hook": "/relative" });
    assert_eq!(desk.ask("POST", &path, own.clone()).await.status, 400, "a hook must be absolute");
    let mut own = own;
    own["call_status_hook"] = json!({ "url": "http://other.test/s", "method": "GET" });
    own["referHook"] = json!("/refer");
    assert_eq!(desk.ask("POST", &path, own).await.status, 201);
    let placed = desk.paper.placed.lock().unwrap().pop().unwrap();
    assert_eq!((placed.application.url.as_str(), placed.app_sid), ("http://other.test/h#rc=2", None));
    assert_eq!(placed.status, Some(Fetch::new("http://other.test/s", Method::Get)));
    assert!(desk.paper.did.lock().unwrap().is_empty(), "nothing is asked of a call that rings");
    let settings = placed.settings_of_call.unwrap();
    assert_eq!(settings.refer_hook, Some(Fetch::new("http://other.test/refer", Method::Post)));

    let plain = json!({ "from": "15083084809", "to": { "type": "sip", "sipUri": "sip:a@b.test" },
        "app_json": [{ "verb": "say", "text": "hi" }] });
    assert_eq!(desk.ask("POST", &path, plain).await.status, 201);
    let placed = desk.paper.placed.lock().unwrap().pop().unwrap();
    assert_eq!(placed.run.map(|run| run.len()), Some(1));

    let foreign =
        desk.ask_as(&desk.others_key, "POST", "/Applications", json!({ "name": "x", "call_hook": "http://a.test/" }));
    let foreign = foreign.await.json()["sid"].clone();
    for (change, words) in [
        (json!({ "application_sid": foreign }), "unknown application_sid"),
        (json!({ "application_sid": NOBODY }), "unknown application_sid"),
        (json!({ "application_sid": null }), "either call_hook or application_sid required"),
        (json!({ "from": "" }), "missing from parameter"),
        (json!({ "to": { "type": "phone" } }), "missing or invalid to property"),
        (json!({ "to": { "type": "teams", "number": "1" } }), "cannot be called from here"),
        (json!({ "call_hook": "wss:///" }), "absolute url"),
        (json!({ "app_json": "[{\"verb\":\"fly\"}]" }), "fly"),
    ] {
        let mut wrong = body.clone();
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let said = desk.ask("POST", &path, wrong).await;
        assert!(said.status == 400 && said.msg().contains(words), "{change}: {said:?}");
    }
    assert!(desk.paper.placed.lock().unwrap().is_empty());
    let missing = CommandError::NotFound { what: "endpoint", id: "sip:x".to_owned() };
    let over = CommandError::OverLimit { what: "calls", limit: 3 };
    for (error, status) in [(missing, 400), (over, 480), (CommandError::Forbidden("no trunk".to_owned()), 403)] {
        *desk.paper.refuse.lock().unwrap() = Some(error);
        let said = desk.ask("POST", &path, body.clone()).await;
        assert!(said.status == status && !said.msg().is_empty(), "{said:?}");
    }
}

#[tokio::test]
async fn started_rooms_are_listed_by_name_or_with_who_is_in_them() {
    let desk = desk().await;
    let (inbound, outbound) =
        (call(&desk.account, CALL, Direction::Inbound), call(&desk.account, OTHER, Direction::Outbound));
    let mut phone = member(&outbound, 3, None, None);
    phone.address = "sip:bob@ours.sip.test".to_owned();
    phone.call_uuid = NOBODY.to_owned();
    let members =
        vec![member(&inbound, 1, Some("agent"), None), member(&outbound, 2, None, Some(Role::Supervisor)), phone];
    let mut unnamed = room(&desk.account, "b2b", true, Vec::new());
    unnamed.room.unnamed = true;
    *desk.paper.rooms.lock().unwrap() = vec![
        room(&desk.account, "support:1", true, members),
        room(&desk.account, "waiting", false, Vec::new()),
        room(&desk.account, "a", true, vec![member(&inbound, 4, Some("x"), Some(Role::Agent))]),
        room(&desk.other, "theirs", true, Vec::new()),
        unnamed,
    ];
    let path = format!("/Accounts/{}/Conferences", desk.sid());
    assert_eq!(desk.get(&path).await.json(), json!(["a", "support:1"]));
    let list = desk.get(&format!("{path}/?expand=participants")).await.json();
    assert_eq!(list[0]["participants"][0]["isAgent"], true, "a Plivo agent is one");
    assert_eq!(
        list[1],
        json!({ "id": "room-support:1", "name": "support:1", "durationSec": 61, "participants": [
            { "call_sid": CALL, "label": "Zoë", "number": "15083084809", "memberTag": "agent", "isAgent": true },
            { "call_sid": OTHER, "label": "16173333456", "number": "16173333456", "memberTag": "supervisor", "isAgent": false },
            { "call_sid": NOBODY, "label": "sip:bob@ours.sip.test", "memberTag": null, "isAgent": false },
        ] })
    );
    assert_eq!(desk.get(&format!("{path}?expand=all")).await.status, 400);

    let tap = format!("{path}/support%3A1/listen");
    let body = json!({ "url": "wss://sink.test/fork", "sampleRate": 16000, "metadata": { "b": 1, "a": [2] },
        "wsAuth": { "username": "u", "password": "p" } });
    // As it was written, whatever the order of its names.
    let text = body.to_string().replace(r#"{"a":[2],"b":1}"#, r#"{ "b":1, "a":[2] }"#);
    let made = desk.send(Some(&format!("Bearer {}", desk.key)), "POST", &tap, text).await;
    assert_eq!((made.status, made.json()), (201, json!({ "botMemberId": "tap-support:1", "botId": "tap-support:1" })));
    let running = desk.paper.taps.lock().unwrap().get(&("support:1".to_owned(), false)).cloned().unwrap();
    assert_eq!((running.stream.sample_rate, running.stream.metadata.as_deref()), (16000, Some(r#"{"b":1,"a":[2]}"#)));
    assert_eq!(desk.ask("POST", &tap, body.clone()).await.status, 200, "it runs already");
    let mut each = body.clone();
    each["scope"] = json!("members");
    assert_eq!(desk.ask("POST", &tap, each).await.status, 201);
    for (change, status) in [
        (json!({ "url": "https://sink.test/" }), 400),
        (json!({ "url": null }), 400),
        (json!({ "sampleRate": 44100 }), 400),
        (json!({ "scope": "all" }), 400),
    ] {
        let mut wrong = body.clone();
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(desk.ask("POST", &tap, wrong).await.status, status, "{change}");
    }
    for name in ["nothing", "theirs"] {
        assert_eq!(desk.ask("POST", &format!("{path}/{name}/listen"), body.clone()).await.status, 404, "{name}");
    }
    *desk.paper.refuse.lock().unwrap() = Some(CommandError::Failed("no connection".to_owned()));
    assert_eq!(desk.ask("POST", &tap, body).await.status, 502);
    assert_eq!(desk.ask("DELETE", &tap, Json::Null).await.status, 204);
    assert_eq!(desk.ask("DELETE", &tap, Json::Null).await.status, 404);
    assert_eq!(desk.ask("DELETE", &format!("{tap}?scope=members"), Json::Null).await.status, 204);
    assert_eq!(desk.ask("DELETE", &format!("{tap}?scope=x"), Json::Null).await.status, 400);
}

#[tokio::test]
async fn queues_alerts_and_the_variables_of_an_application_are_told() {
    let desk = desk().await;
    *desk.paper.queues.lock().unwrap() =
        vec![("sales".to_owned(), 3), ("after-sales".to_owned(), 0), ("it".to_owned(), 1)];
    let path = format!("/Accounts/{}/Queues", desk.sid());
    let list = desk.get(&path).await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(3));
    let found = desk.get(&format!("{path}?search=sales")).await.json();
    assert_eq!(found, json!([{ "name": "after-sales", "length": "0" }, { "name": "sales", "length": "3" }]));

    let warning = |account: &store::Account, text: &str| NewEvent {
        account: account.id,
        room: None,
        call: Some(CALL.parse().unwrap()),
        kind: "warning".to_owned(),
        payload: json!({ "detail": { "text": text } }),
        created_at: now(),
    };
    let batch = desk.store.batch().append_event(warning(&desk.account, "ours"));
    batch.append_event(warning(&desk.other, "theirs")).commit().await.unwrap();
    let alerts = desk.get(&format!("/Accounts/{}/Alerts?page=1&count=10&days=1", desk.sid())).await.json();
    assert_eq!((&alerts["total"], &alerts["data"][0]["message"]), (&json!(1), &json!("ours")));
    assert_eq!(alerts["data"][0]["target_sid"], CALL);

    let variables = json!({ "ROOM": { "type": "string", "description": "Room", "default": "a" }, "/other": {} });
    let router = axum::Router::new()
        .route("/app", axum::routing::options(async move || axum::Json(variables.clone())))
        .route("/none", axum::routing::get(async || "x"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    for scheme in ["http", "ws"] {
        let said = desk.get(&format!("/AppEnv?url={scheme}://{address}/app")).await;
        let expected = json!({ "ROOM": { "type": "string", "description": "Room", "default": "a", "required": false, "obscure": false } });
        assert_eq!((said.status, said.json()), (200, expected), "{scheme}");
    }
    for (url, status) in [("", 400), ("/x", 400), ("http://10.0.0.1/", 502), (&*format!("http://{address}/none"), 502)]
    {
        let said = desk.get(&format!("/AppEnv?url={url}")).await;
        assert!(said.status == status && !said.msg().is_empty(), "{url}: {said:?}");
    }
}
