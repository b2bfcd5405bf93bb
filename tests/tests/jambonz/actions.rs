//! Actions on members: by `PUT`, by `POST`, by injected command, with either way to name a call; mutes of one and of many; hold; kick; lists.

use std::time::Instant;

use phone::Mouth;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, hears, never_heard_since, silent_since, stays_silent, tones, voice};
use system_tests::jambonz::exchange::{Exchange, Via};
use system_tests::office::Member;

const ALL: [(&str, &str); 6] = [
    ("first", "second"),
    ("first", "third"),
    ("second", "first"),
    ("second", "third"),
    ("third", "first"),
    ("third", "second"),
];

fn without(who: &str, also: &[(&str, &str)]) -> Vec<(&'static str, &'static str)> {
    ALL.into_iter().filter(|(listener, speaker)| *speaker != who && !also.contains(&(listener, speaker))).collect()
}

async fn three(exchange: &Exchange, room: &str, first: Value) -> [Member; 3] {
    let [a, b, c] = tones();
    let mut properties = json!({ "name": room });
    properties.as_object_mut().unwrap().extend(first.as_object().unwrap().clone());
    let first = exchange.joins("first", properties, voice(a)).await;
    let second = exchange.joins("second", json!({ "name": room }), voice(b)).await;
    let third = exchange.joins("third", json!({ "name": room }), voice(c)).await;
    [first, second, third]
}

fn heard(members: &[Member; 3]) -> [system_tests::ears::Heard<'_>; 3] {
    let [a, b, c] = tones::<3>();
    [members[0].heard(Some(a)), members[1].heard(Some(b)), members[2].heard(Some(c))]
}

#[tokio::test(flavor = "multi_thread")]
async fn mute_and_hold_mean_the_same_in_every_spelling() {
    let exchange = Exchange::open().await;
    let members = three(&exchange, "support", json!({})).await;
    let [_, second, _] = &members;
    let sid = second.call_uuid.as_str();
    hears("nobody is muted", &heard(&members), &ALL).await;
    // By REST, PUT and POST.
    for (method, on, off) in [
        (Method::PUT, json!({ "mute_status": "mute" }), json!({ "mute_status": "unmute" })),
        (Method::POST, json!({ "conf_mute_status": "mute" }), json!({ "conf_mute_status": "unmute" })),
        (
            Method::POST,
            json!({ "conferenceParticipantAction": { "action": "mute" } }),
            json!({ "conferenceParticipantAction": { "action": "unmute" } }),
        ),
    ] {
        let path = exchange.rest.path(&format!("/Calls/{sid}"));
        let reply = exchange.rest.request(method.clone(), &path, Some(on.clone())).await;
        assert_eq!((reply.status, reply.text.as_str()), (202, "Accepted"), "{method} {on}: {reply:?}");
        let muted = Instant::now() + SETTLING;
        hears(&on.to_string(), &heard(&members), &without("second", &[])).await;
        never_heard_since(&on.to_string(), &members[0].call, tones::<3>()[1], muted).await;
        let reply = exchange.rest.request(method, &path, Some(off.clone())).await;
        assert_eq!(reply.status, 202, "{off}: {reply:?}");
        hears(&off.to_string(), &heard(&members), &ALL).await;
    }
    // By command: bare words, objects, actions.
    for (command, on, off) in [
        ("mute:status", json!("mute"), json!("unmute")),
        ("mute:status", json!({ "mute_status": "mute" }), json!({ "mute_status": "unmute" })),
        ("conf:mute-status", json!("mute"), json!({ "conf_mute_status": "unmute" })),
        ("conf:participant-action", json!({ "action": "mute" }), json!({ "action": "unmute" })),
    ] {
        let cursor = exchange.cursor().await;
        exchange.app.command(sid, command, on.clone());
        let (_, cursor) = exchange.native_event_after("member.muted", sid, cursor).await;
        hears(&format!("{command} {on}"), &heard(&members), &without("second", &[])).await;
        exchange.app.command(sid, command, off.clone());
        exchange.native_event_after("member.unmuted", sid, cursor).await;
    }
    hears("unmuted", &heard(&members), &ALL).await;
    // Hold: neither hears nor is heard.
    let held = without("second", &[("second", "first"), ("second", "third")]);
    for (on, off) in [
        (json!({ "conf_hold_status": "hold" }), json!({ "conf_hold_status": "unhold" })),
        (
            json!({ "conferenceParticipantAction": { "action": "hold" } }),
            json!({ "conferenceParticipantAction": { "action": "unhold" } }),
        ),
    ] {
        exchange.rest.update(sid, on.clone()).await;
        let apart = Instant::now() + SETTLING;
        hears(&on.to_string(), &heard(&members), &held).await;
        silent_since("who is on hold hears something", &second.call, apart).await;
        exchange.rest.update(sid, off).await;
        hears("unheld", &heard(&members), &ALL).await;
    }
    for (command, on, off) in [
        ("conf:hold-status", json!("hold"), json!("unhold")),
        ("conf:participant-action", json!({ "action": "hold" }), json!({ "action": "unhold" })),
    ] {
        let cursor = exchange.cursor().await;
        exchange.app.command(sid, command, on.clone());
        let (_, cursor) = exchange.native_event_after("member.held", sid, cursor).await;
        hears(&format!("{command} {on}"), &heard(&members), &held).await;
        exchange.app.command(sid, command, off);
        exchange.native_event_after("member.unheld", sid, cursor).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conf_mute_status_of_a_moderator_mutes_all_who_are_none_and_of_anybody_else_himself() {
    let exchange = Exchange::open().await;
    let members = three(&exchange, "support", json!({ "startConferenceOnEnter": true })).await;
    let [moderator, second, _] = &members;
    exchange.rest.update(&moderator.call_uuid, json!({ "conf_mute_status": "mute" })).await;
    hears("all but the moderator", &heard(&members), &[("second", "first"), ("third", "first")]).await;
    exchange.rest.update(&second.call_uuid, json!({ "conf_mute_status": "unmute" })).await;
    hears("and one of them speaks again", &heard(&members), &without("third", &[])).await;
    exchange.rest.update(&moderator.call_uuid, json!({ "conf_mute_status": "unmute" })).await;
    hears("all again", &heard(&members), &ALL).await;
    // The other two spellings mean the moderator himself.
    exchange.rest.update(&moderator.call_uuid, json!({ "mute_status": "mute" })).await;
    hears("the moderator alone", &heard(&members), &without("first", &[])).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_on_hold_hears_his_wait_hook_and_nothing_else() {
    let [_, a, music] = tones();
    let exchange = Exchange::open().await;
    let url_of_hold = exchange.tone("/hold.wav", music);
    let verbs = json!([{ "verb": "play", "url": url_of_hold }]);
    exchange.app.verbs("/conference-wait/hold", verbs);
    for via in [Via::Socket, Via::Http] {
        let name = |who: &str| format!("{who}-{via:?}").to_lowercase();
        let room = json!({ "name": name("room") });
        let agent = exchange.joins_via(&name("agent"), via, room.clone(), voice(a)).await;
        let customer = exchange.joins_via(&name("customer"), via, room, Mouth::Silence).await;
        let body = match via {
            Via::Socket => {
                json!({ "conferenceParticipantAction": { "action": "hold", "wait_hook": "/conference-wait/hold" } })
            }
            Via::Http => json!({ "conf_hold_status": "hold", "wait_hook": "/conference-wait/hold" }),
        };
        let (mark, held) = (exchange.app.mark(), Instant::now());
        exchange.rest.update(&customer.call_uuid, body).await;
        exchange.app.hears(&customer.call_uuid, "/conference-wait/hold", mark, |_| true).await;
        assert!(customer.call.ear().wait_heard(music, -30.0, held, SOON).await.is_some(), "{via:?}: no music on hold");
        assert!(customer.call.ear().wait_more(50, SOON).await);
        never_heard_since("on hold", &customer.call, a, held + SETTLING).await;
        never_heard_since("the music is his alone", &agent.call, music, held).await;
        exchange.action(&customer, json!({ "action": "unhold" })).await;
        let back = Instant::now() + SETTLING * 2;
        let two = [customer.heard(None), agent.heard(Some(a))];
        hears(&format!("{via:?}: back"), &two, &[(customer.name.as_str(), agent.name.as_str())]).await;
        never_heard_since("the music is over", &customer.call, music, back).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_its_own_call_and_another_only_of_its_own_family() {
    let exchange = Exchange::open().await;
    let members = three(&exchange, "support", json!({})).await;
    let [first, second, third] = &members;
    let mute = |target: &str| json!({ "type": "command", "command": "mute:status", "callSid": target, "data": { "mute_status": "mute" } });
    let cursor = exchange.cursor().await;
    exchange.app.send(&first.call_uuid, &mute(&first.call_uuid));
    exchange.native_event_after("member.muted", &first.call_uuid, cursor).await;
    hears("his own call by name", &heard(&members), &without("first", &[])).await;
    // A stranger's call is never touched; what cannot be meant falls back to the own leg.
    let cursor = exchange.cursor().await;
    exchange.app.send(&second.call_uuid, &mute(&third.call_uuid));
    exchange.app.action(&second.call_uuid, json!({ "action": "tag", "tag": "done" }));
    exchange.native_event_after("member.tagged", &second.call_uuid, cursor).await;
    let list = exchange.rest.get(&exchange.rest.path("/Conferences?expand=participants")).await;
    let hearing = exchange.hearing(&third.room).await;
    let third_is_heard = hearing.iter().any(|(_, speaker)| *speaker == third.call_uuid);
    assert!(third_is_heard, "a command of another call muted him: {hearing:?}; {list}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_kicked_by_rest_and_by_command_and_hears_no_more_of_the_room() {
    let [a, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let members = three(&exchange, "support", json!({})).await;
    let [_, second, third] = &members;
    let mark = exchange.app.mark();
    exchange.action(second, json!({ "action": "kick" })).await;
    let gone = Instant::now() + SETTLING;
    exchange.app.event(&second.call_uuid, "leave", mark).await;
    exchange.app.action(&third.call_uuid, json!({ "action": "kick" }));
    exchange.app.event(&third.call_uuid, "leave", mark).await;
    assert!(second.call.ear().wait_more(50, SOON).await, "the call itself goes on");
    silent_since("who was kicked still hears the room", &second.call, gone).await;
    never_heard_since("who was kicked", &third.call, a, Instant::now() - SETTLING / 2).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_listed_by_name_and_with_their_participants() {
    let exchange = Exchange::open().await;
    let rest = &exchange.rest;
    assert_eq!(rest.get(&rest.path("/Conferences")).await, json!([]));
    let agent = exchange.joins("agent", json!({ "name": "a: b/ü", "memberTag": "agent" }), Mouth::Silence).await;
    let caller = exchange.joins("caller", json!({ "name": "a: b/ü" }), Mouth::Silence).await;
    let customer = exchange.office.joins("customer", "plivo", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    for path in ["/Conferences", "/Conferences/"] {
        let mut names: Vec<String> = serde_json::from_value(rest.get(&rest.path(path)).await).unwrap();
        names.sort();
        assert_eq!(names, ["a: b/ü", "plivo"], "{path}");
    }
    let rooms = rest.get(&rest.path("/Conferences?expand=participants")).await;
    let room = rooms.as_array().unwrap().iter().find(|room| room["name"] == "a: b/ü").unwrap().clone();
    assert!(room["id"] == agent.room.as_str() && room["durationSec"].is_u64(), "{room}");
    let [first, second] = [&room["participants"][0], &room["participants"][1]];
    assert_eq!(
        (&first["call_sid"], &first["memberTag"], &first["isAgent"]),
        (&json!(agent.call_uuid), &json!("agent"), &json!(true)),
        "{room}"
    );
    assert_eq!((&second["call_sid"], &second["isAgent"]), (&json!(caller.call_uuid), &json!(false)), "{room}");
    assert!(second["label"].is_string() && second.as_object().unwrap().contains_key("memberTag"), "{room}");
    // Tags are shown as they are now.
    exchange.action(&caller, json!({ "action": "tag", "tag": "agent" })).await;
    exchange.action(&agent, json!({ "action": "untag" })).await;
    let rooms = rest.get(&rest.path("/Conferences?expand=participants")).await;
    let room = rooms.as_array().unwrap().iter().find(|room| room["name"] == "a: b/ü").unwrap().clone();
    let agents: Vec<_> = room["participants"].as_array().unwrap().iter().map(|one| one["isAgent"].clone()).collect();
    assert_eq!(agents, [json!(false), json!(true)], "{room}");
    drop(customer);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whisper_of_a_program_is_heard_by_that_member_alone() {
    let [a, c, whispered] = tones();
    let exchange = Exchange::open().await;
    let url_of_whisper = exchange.tone("/whisper.wav", whispered);
    let play = json!({ "verb": "play", "url": url_of_whisper });
    exchange.app.sinks().open("/tap");
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    assert_eq!(exchange.rest.tap("support", json!({ "url": exchange.app.ws("/tap") })).await.status, 201);
    let tap = exchange.app.sinks().stream("/tap", 0).await;
    let begins = Instant::now();
    for way in 0..5 {
        let since = Instant::now();
        match way {
            0 => exchange.rest.update(&agent.call_uuid, json!({ "whisper": play })).await,
            1 => exchange.rest.update(&agent.call_uuid, json!({ "whisper": [play] })).await,
            2 => exchange.app.command(&agent.call_uuid, "whisper", play.clone()),
            3 => exchange.app.command(&agent.call_uuid, "whisper", json!({ "whisper": [play] })),
            // Beside another change, as the oldest package has to send it.
            _ => {
                let action = json!({ "action": "tag", "tag": "agent" });
                exchange
                    .rest
                    .update(&agent.call_uuid, json!({ "conferenceParticipantAction": action, "whisper": play }))
                    .await;
            }
        }
        let heard = agent.call.ear().wait_heard(whispered, -30.0, since, SOON).await;
        assert!(heard.is_some(), "way {way}: the agent does not hear the whisper");
        let over = agent.call.ear().wait_quiet(whispered, -60.0, since, SETTLING * 2, SOON).await;
        assert!(over.is_some(), "way {way}: the whisper does not end");
    }
    never_heard_since("whispers to the agent", &customer.call, whispered, begins).await;
    let in_tap = phone::analysis::levels_20ms(&tap.at_8k(8_000, begins), whispered).max();
    assert!(in_tap < phone::analysis::SILENT_20MS_DBFS, "{FORBIDDEN}: a whisper is in the tap at {in_tap:.1} dBFS");
    // They go on hearing each other meanwhile and afterwards.
    hears(
        "after the whispers",
        &[agent.heard(Some(a)), customer.heard(Some(c))],
        &[("agent", "customer"), ("customer", "agent")],
    )
    .await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_moves_a_member_to_other_instructions_and_a_completed_status_hangs_up() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let url_of_other = exchange.tone("/other.wav", s);
    let other = json!([{ "verb": "play", "url": url_of_other, "loop": "forever" }]);
    let keeper = exchange.joins("keeper", json!({ "name": "support" }), Mouth::Silence).await;
    let mut movers = Vec::new();
    for index in 0..3 {
        movers.push(exchange.joins(&format!("mover-{index}"), json!({ "name": "support" }), Mouth::Silence).await);
    }
    exchange.app.verbs("/elsewhere", other.clone());
    for (index, mover) in movers.iter().enumerate() {
        let since = Instant::now();
        match index {
            0 => exchange.app.command(&mover.call_uuid, "redirect", other.clone()),
            1 => exchange.app.command(&mover.call_uuid, "redirect", json!({ "call_hook": "/elsewhere" })),
            _ => exchange.rest.update(&mover.call_uuid, json!({ "call_hook": exchange.app.http("/elsewhere") })).await,
        }
        assert!(mover.call.ear().wait_heard(s, -30.0, since, SOON).await.is_some(), "mover {index} hears nothing else");
    }
    stays_silent("the room they left", &keeper.call, 25).await;
    exchange.rest.update(&movers[0].call_uuid, json!({ "call_status": "completed" })).await;
    exchange.app.command(&movers[1].call_uuid, "call:status", json!({ "call_status": "completed" }));
    let gone = exchange
        .rest
        .request(Method::DELETE, &exchange.rest.path(&format!("/Calls/{}", movers[2].call_uuid)), None)
        .await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""), "{gone:?}");
    for mover in &movers {
        mover.call.wait_ended(SOON).await.unwrap();
    }
    exchange.closes().await;
}
