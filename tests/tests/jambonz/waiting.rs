//! Before a conference starts: who waits, what he hears, how it is started, and by whom.

use std::time::{Duration, Instant};

use phone::Mouth;
use phone::analysis::exact_silence;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{SETTLING, hears, never_heard_since, stays_silent, tones, voice};
use system_tests::jambonz::app::{Answer, Told};
use system_tests::jambonz::exchange::{Exchange, Via, verb};

fn waits(name: &str, more: Value) -> Value {
    let mut all =
        json!({ "name": "support", "startConferenceOnEnter": false, "waitHook": format!("/conference-wait/{name}") });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!([verb(name, all)])
}

fn asked(told: &[Told], name: &str) -> usize {
    told.iter().filter(|told| told.name == name).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_his_own_hook_again_and_again_until_somebody_starts_the_room() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    for via in [Via::Socket, Via::Http] {
        let room = format!("support-{via:?}");
        let called = |who: &str| format!("{who}-{via:?}").to_lowercase();
        let (customer, second, agent) = (called("customer"), called("second"), called("agent"));
        let hook = |who: &str| format!("/conference-wait/{who}");
        exchange.app.verbs(&hook(&customer), json!([{ "verb": "play", "url": url }]));
        // Nothing to hear: the hook is not asked again, and the caller waits in silence.
        exchange.app.verbs(&hook(&second), json!([]));
        exchange.app.verbs(&format!("/conference-enter/{customer}"), json!([{ "verb": "pause", "length": 0.2 }]));
        let mark = exchange.app.mark();
        let entering = json!({ "name": room, "enterHook": format!("/conference-enter/{customer}") });
        let waiting = exchange.runs_via(&customer, via, waits(&customer, entering), voice(c)).await;
        let other = exchange.runs_via(&second, via, waits(&second, json!({ "name": room })), Mouth::Silence).await;
        assert!(waiting.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await.is_some(), "{via:?}: no music");
        // More than once, and each time about this call.
        let first =
            exchange.app.hears(&waiting.sid, &hook(&customer), mark, |told| told.text("direction") == "inbound").await;
        exchange.app.hears(&waiting.sid, &hook(&customer), mark, |told| told.at > first.at).await;
        exchange.app.hears(&other.sid, &hook(&second), mark, |_| true).await;
        stays_silent("who waits beside them", &other.call, 50).await;
        assert_eq!(
            asked(&exchange.app.told().all()[mark..], &hook(&second)),
            1,
            "{via:?}: an empty array ends the loop"
        );
        let rooms = exchange.rest.get(&exchange.rest.path("/Conferences")).await;
        assert!(!rooms.to_string().contains(&room), "a room that has not started is listed: {rooms}");

        let starter =
            exchange.joins_via(&agent, via, json!({ "name": room, "startConferenceOnEnter": true }), voice(a)).await;
        let enter = exchange.app.hears(&waiting.sid, &format!("/conference-enter/{customer}"), mark, |_| true).await;
        let join = exchange.app.event(&waiting.sid, "join", mark).await;
        assert!(enter.at < join.at, "he is asked before he is in");
        let waiting = exchange.is_in(waiting).await;
        let other = exchange.is_in(other).await;
        let started = Instant::now() + SETTLING;
        let three = [waiting.heard(Some(c)), other.heard(None), starter.heard(Some(a))];
        let (w, o, s) = (waiting.name.as_str(), other.name.as_str(), starter.name.as_str());
        hears(&format!("{via:?}: started"), &three, &[(w, s), (s, w), (o, w), (o, s)]).await;
        never_heard_since("the music is over", &waiting.call, music, started).await;
        for member in [&waiting, &other, &starter] {
            member.leaves().await;
        }
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_hook_that_fails_or_answers_what_is_not_allowed_leaves_the_caller_waiting() {
    let exchange = Exchange::open().await;
    let mut callers = Vec::new();
    for (name, answer) in [
        ("hangs-up", Answer::Verbs(json!([{ "verb": "hangup" }]))),
        ("joins", Answer::Verbs(json!([{ "verb": "conference", "name": "elsewhere" }]))),
        ("nonsense", Answer::Verbs(json!([{ "verb": "teleport" }]))),
        ("no-array", Answer::Verbs(json!({ "verb": "play" }))),
    ] {
        exchange.app.answer(&format!("/conference-wait/{name}"), answer);
        let mark = exchange.app.mark();
        let calling = exchange.runs(name, waits(name, json!({})), Mouth::Silence).await;
        exchange.app.hears(&calling.sid, &format!("/conference-wait/{name}"), mark, |_| true).await;
        callers.push(calling);
    }
    let status = Answer::Http(500, "text/plain", "no".to_owned());
    exchange.app.answer("/conference-wait/failing", status);
    let failing = exchange.runs_via("failing", Via::Http, waits("failing", json!({})), Mouth::Silence).await;
    exchange.app.hears(&failing.sid, "/conference-wait/failing", 0, |_| true).await;
    callers.push(failing);
    for calling in &callers {
        stays_silent(&calling.name, &calling.call, 25).await;
    }
    let starter = exchange.joins("starter", json!({ "name": "support" }), Mouth::Silence).await;
    for calling in callers {
        let member = exchange.is_in(calling).await;
        assert_eq!(member.room, starter.room, "{}", member.name);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_while_he_waits_has_his_action_hook_and_no_events() {
    let exchange = Exchange::open().await;
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let mark = exchange.app.mark();
        let calling = exchange.runs_via(&name, via, waits(&name, json!({ "id": "room-1" })), Mouth::Silence).await;
        exchange.app.hears(&calling.sid, &format!("/conference-wait/{name}"), mark, |_| true).await;
        calling.call.hangup().await.unwrap();
        let done = exchange.app.hears(&calling.sid, &format!("/conference/{name}"), mark, |_| true).await;
        assert_eq!((done.text("call_status"), done.text("verb_id")), ("completed", "room-1"), "{}", done.raw);
        let events = exchange.app.told().matching(|told| told.name.starts_with("/conference-status"));
        assert!(events.is_empty(), "{events:?}");
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_come_at_the_same_moment_are_in_one_room_that_started_once() {
    let exchange = Exchange::open().await;
    let mut phones = Vec::new();
    for index in 0..6 {
        let name = format!("caller-{index}");
        exchange.app.verbs(&format!("/call/{name}"), json!([verb(&name, json!({ "name": "rush" }))]));
        phones.push((name.clone(), exchange.phone(&name, Mouth::Silence).await));
    }
    let mark = exchange.app.mark();
    let calls: Vec<_> = phones
        .iter()
        .map(|(name, phone)| phone.call(&exchange.number_of(name), phone::CallOptions::default()).unwrap())
        .collect();
    for call in &calls {
        call.wait_answered(SOON).await.unwrap();
    }
    exchange.app.told().expect_times("joins", 6, mark, SOON, |told| told.text("event") == "join").await;
    let events = exchange.app.told().all();
    let starts: Vec<_> = events.iter().filter(|told| told.text("event") == "start").collect();
    assert_eq!(starts.len(), 1, "{starts:?}");
    let rooms = exchange.rest.get(&exchange.rest.path("/Conferences?expand=participants")).await;
    assert_eq!(rooms.as_array().map(Vec::len), Some(1), "{rooms}");
    assert_eq!(rooms[0]["participants"].as_array().map(Vec::len), Some(6), "{rooms}");
    let mut counts: Vec<i64> = events
        .iter()
        .filter(|told| told.text("event") == "join")
        .filter_map(|told| told.data["members"].as_i64())
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6], "each joined after another");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_hears_and_is_heard_only_when_his_enter_hook_is_through() {
    let [greeting, a, c] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/greeting.wav", greeting);
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    exchange.app.verbs("/conference-enter/caller", json!([{ "verb": "play", "url": url }]));
    exchange.app.hold("/conference-enter/caller");
    let properties = json!({ "name": "support", "enterHook": "/conference-enter/caller" });
    let caller = exchange.runs("caller", json!([verb("caller", properties)]), voice(c)).await;
    exchange.app.hears(&caller.sid, "/conference-enter/caller", 0, |_| true).await;
    stays_silent("the caller whose hook has not answered", &caller.call, 25).await;
    stays_silent("the agent meanwhile", &agent.call, 25).await;
    let begins = Instant::now();
    exchange.app.release("/conference-enter/caller");
    assert!(caller.call.ear().wait_heard(greeting, -30.0, begins, SOON).await.is_some(), "no greeting");
    let caller = exchange.is_in(caller).await;
    let two = [caller.heard(Some(c)), agent.heard(Some(a))];
    hears("in", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    never_heard_since("the greeting is his alone", &agent.call, greeting, begins).await;
    let first =
        agent.call.ear().packets().into_iter().find(|packet| exact_silence(std::slice::from_ref(packet)).is_err());
    let heard_at = first.map(|packet| packet.at);
    assert!(heard_at.is_some_and(|at| at > begins + Duration::from_millis(700)), "he was heard during his greeting");
    // A hook that fails does not keep him out.
    exchange.app.answer("/conference-enter/late", Answer::Silence);
    let late = json!({ "name": "support", "enterHook": "/conference-enter/late" });
    let late = exchange.runs("late", json!([verb("late", late)]), Mouth::Silence).await;
    exchange.is_in(late).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_held_before_his_enter_hook_is_through_takes_part_when_he_is_released() {
    let [music, a, c] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    exchange.app.verbs("/conference-wait/hold", json!([{ "verb": "play", "url": url }]));
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    exchange.app.hold("/conference-enter/caller");
    let properties = json!({ "name": "support", "enterHook": "/conference-enter/caller" });
    let caller = exchange.runs("caller", json!([verb("caller", properties)]), voice(c)).await;
    exchange.app.hears(&caller.sid, "/conference-enter/caller", 0, |_| true).await;
    let hold = json!({ "conf_hold_status": "hold", "wait_hook": exchange.app.http("/conference-wait/hold") });
    let held = exchange.rest.try_update(&caller.sid, hold).await;
    assert_eq!(held.status, 202, "{held:?}");
    let since = Instant::now();
    assert!(caller.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "no music on hold");
    let released = exchange.rest.try_update(&caller.sid, json!({ "conf_hold_status": "unhold" })).await;
    assert_eq!(released.status, 202, "{released:?}");
    let caller = exchange.is_in(caller).await;
    let two = [caller.heard(Some(c)), agent.heard(Some(a))];
    hears("released", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    exchange.closes().await;
}
