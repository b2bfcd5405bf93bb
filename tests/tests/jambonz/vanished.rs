//! Applications that are not there, go away, or come back, in every state of a call.

use std::time::{Duration, Instant};

use phone::{CallError, EndCause, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{hears, never_heard_since, silent_since_invite, stays_silent, tones, voice};
use system_tests::jambonz::app::{Answer, Told};
use system_tests::jambonz::exchange::{Calling, Exchange, verb};

async fn is_refused(calling: &Calling, what: &str) {
    match calling.call.wait_answered(SOON * 2).await {
        Err(CallError::Ended(ended)) => assert_eq!(ended.cause, EndCause::Refused, "{what}: {ended:?}"),
        other => panic!("{what}: {other:?}"),
    }
}

async fn reconnects(exchange: &Exchange, sid: &str, mark: usize) -> Told {
    exchange
        .app
        .told()
        .expect("a reconnection", mark, SOON, |told| told.kind == "session:reconnect" && told.call_sid == sid)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_not_there_or_refuses_the_socket_refuses_the_call() {
    let exchange = Exchange::open().await;
    // Nobody listens on the port.
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    for (name, url) in [
        ("nobody-ws", format!("ws://callcenter.test:{nobody}/x")),
        ("nobody-http", format!("http://callcenter.test:{nobody}/x")),
        ("nowhere", "ws://no-such-host.invalid/x".to_owned()),
        // Not an address that the configuration allows to be asked.
        ("inward", "ws://169.254.169.254/x".to_owned()),
    ] {
        let phone = exchange.phone_of(name, json!({ "url": url }), json!({ "url": url }), Mouth::Silence).await;
        let call = phone.call(&exchange.number_of(name), phone::CallOptions::default()).unwrap();
        let calling = Calling { name: name.to_owned(), phone, call, sid: String::new(), mark: 0 };
        is_refused(&calling, name).await;
    }
    exchange.app.answer("/call/refused", Answer::Refuse(404));
    let phone = exchange.phone("refused", Mouth::Silence).await;
    let call = phone.call(&exchange.number_of("refused"), phone::CallOptions::default()).unwrap();
    let calling = Calling { name: "refused".to_owned(), phone, call, sid: String::new(), mark: 0 };
    is_refused(&calling, "a refused socket").await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_acknowledged_in_five_seconds_is_dropped() {
    let exchange = Exchange::open().await;
    exchange.app.answer("/call/silent", Answer::Silence);
    let phone = exchange.phone("silent", Mouth::Silence).await;
    let calling = exchange.dials("silent", phone).await;
    let begins = Instant::now();
    is_refused(&calling, "no acknowledgement").await;
    let took = begins.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&took), "it took {took:?}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_closes_before_the_first_answer_is_opened_again_and_the_answer_counts() {
    let [sound, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url_of_sound = exchange.tone("/sound.wav", sound);
    let verbs = json!([{ "verb": "play", "url": url_of_sound, "loop": 30 }]);
    exchange.app.answers("/call/caller", [Answer::Vanish, Answer::Verbs(verbs.clone())]);
    // The first message was never answered, so what the second is answered with is the application's first word.
    exchange.app.answer("session:reconnect", Answer::Verbs(verbs));
    let phone = exchange.phone("caller", Mouth::Silence).await;
    let calling = exchange.dials("caller", phone).await;
    calling.answered().await;
    let heard = calling.call.ear().wait_heard(sound, -30.0, Instant::now(), SOON).await;
    assert!(heard.is_some(), "the application's answer after the reconnection is not run");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_vanishes_in_a_conference_comes_back_and_nobody_heard_a_difference() {
    let [c, a, s] = tones();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), voice(a)).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    // What an application answers a reconnection with is passed over: its first answer counts.
    exchange.app.answer("session:reconnect", Answer::Verbs(json!([{ "verb": "hangup" }])));
    let three = [customer.heard(Some(c)), agent.heard(Some(a)), coach.heard(Some(s))];
    let coaching =
        [("customer", "agent"), ("agent", "customer"), ("agent", "coach"), ("coach", "customer"), ("coach", "agent")];
    for way in 0..2 {
        let mark = exchange.app.mark();
        for member in [&customer, &agent, &coach] {
            if way == 0 {
                exchange.app.vanish(&member.call_uuid);
            } else {
                exchange.app.close(&member.call_uuid, 1011);
            }
        }
        for member in [&customer, &agent, &coach] {
            let back = reconnects(&exchange, &member.call_uuid, mark).await;
            assert_eq!(back.text("call_sid"), member.call_uuid, "{}", back.raw);
        }
        hears("applications have come back", &three, &coaching).await;
        // The new socket is as good as the old one.
        let cursor = exchange.cursor().await;
        exchange.app.action(&coach.call_uuid, json!({ "action": "tag", "tag": format!("again-{way}") }));
        exchange.native_event_after("member.tagged", &coach.call_uuid, cursor).await;
    }
    never_heard_since("throughout", &customer.call, s, customer.call.ear().packets()[0].at).await;
    for member in [&customer, &agent, &coach] {
        let stream = phone::analysis::continuity(&member.call.ear().packets());
        assert!(stream.is_lossless() && stream.ssrcs.len() == 1, "{}: {stream}", member.name);
    }
    let mark = exchange.app.mark();
    agent.leaves().await;
    exchange.app.event(&agent.call_uuid, "leave", mark).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_wait_for_a_socket_that_is_coming_back() {
    let exchange = Exchange::open().await;
    let first = exchange.joins("first", json!({ "name": "support" }), Mouth::Silence).await;
    let second = exchange.joins("second", json!({ "name": "support" }), Mouth::Silence).await;
    exchange.app.answer("/call/second", Answer::Refuse(503));
    let mark = exchange.app.mark();
    exchange.app.vanish(&second.call_uuid);
    let refused = |told: &Told| told.kind == "refused" && told.name == "/call/second";
    exchange.app.told().expect("an attempt to come back", mark, SOON, refused).await;
    second.leaves().await;
    // Its leave and its action hook were caused while there was no socket.
    exchange.app.answer("/call/second", Answer::Nothing);
    exchange.app.event(&second.call_uuid, "leave", mark).await;
    exchange.app.hears(&second.call_uuid, "/conference/second", mark, |_| true).await;
    drop(first);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_stays_away_loses_its_call_and_the_room_goes_on() {
    let [c, a, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    let lost = exchange.joins("lost", json!({ "name": "support" }), Mouth::Silence).await;
    exchange.app.answer("/call/lost", Answer::Refuse(503));
    exchange.app.vanish(&lost.call_uuid);
    lost.call.wait_ended(SOON * 4).await.unwrap();
    let two = [customer.heard(Some(c)), agent.heard(Some(a))];
    hears("the others", &two, &[("customer", "agent"), ("agent", "customer")]).await;
    // A reconnection that is not acknowledged, likewise.
    let mute = exchange.joins("mute", json!({ "name": "support" }), Mouth::Silence).await;
    exchange.app.answer("session:reconnect", Answer::Silence);
    let mark = exchange.app.mark();
    exchange.app.vanish(&mute.call_uuid);
    reconnects(&exchange, &mute.call_uuid, mark).await;
    mute.call.wait_ended(SOON * 4).await.unwrap();
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_close_leaves_the_call_to_its_verbs_and_is_told_no_more() {
    let [after, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url_of_after = exchange.tone("/after.wav", after);
    let play = json!({ "verb": "play", "url": url_of_after });
    let verbs = json!([verb("caller", json!({ "name": "support" })), play]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    let caller = exchange.is_in(caller).await;
    let mark = exchange.app.mark();
    exchange.app.close(&caller.call_uuid, 1000);
    exchange
        .app
        .told()
        .expect("the end", mark, SOON, |told| told.kind == "closed" && told.call_sid == caller.call_uuid)
        .await;
    let since = Instant::now();
    exchange.action(&caller, json!({ "action": "kick" })).await;
    assert!(caller.call.ear().wait_heard(after, -30.0, since, SOON).await.is_some(), "the verbs do not go on");
    // Then nobody is left who could say what comes next.
    caller.call.wait_ended(SOON).await.unwrap();
    let later = exchange.app.told().all();
    let more: Vec<_> =
        later[mark..].iter().filter(|told| told.call_sid == caller.call_uuid && told.kind != "closed").collect();
    assert!(more.is_empty(), "{more:?}");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_vanishes_while_its_caller_waits_or_dials_comes_back_to_the_same_call() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url_of_music = exchange.tone("/music.wav", music);
    exchange.app.verbs("/conference-wait/waiting", json!([{ "verb": "play", "url": url_of_music }]));
    let waits: Value =
        json!({ "name": "support", "startConferenceOnEnter": false, "waitHook": "/conference-wait/waiting" });
    let waiting = exchange.runs("waiting", json!([verb("waiting", waits)]), voice(c)).await;
    exchange.app.hears(&waiting.sid, "/conference-wait/waiting", 0, |_| true).await;
    // His hook has been answered: an answer that is lost with its socket would be taken for an empty one.
    assert!(waiting.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await.is_some());
    let mark = exchange.app.mark();
    exchange.app.vanish(&waiting.sid);
    let back = reconnects(&exchange, &waiting.sid, mark).await;
    // He is asked again over the new socket, and hears it.
    exchange.app.hears(&waiting.sid, "/conference-wait/waiting", mark, |told| told.socket == back.socket).await;
    assert!(waiting.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await.is_some());
    let starter = exchange.joins("starter", json!({ "name": "support" }), voice(a)).await;
    let waiting = exchange.is_in(waiting).await;
    hears(
        "started",
        &[waiting.heard(Some(c)), starter.heard(Some(a))],
        &[("waiting", "starter"), ("starter", "waiting")],
    )
    .await;

    exchange.client("agent").await;
    let agent = exchange.connect("agent", Mouth::Silence).await;
    let target = json!([{ "type": "user", "name": format!("agent@{}", exchange.office.account.realm) }]);
    let dial = json!([{ "verb": "dial", "target": target, "actionHook": "/dial/done" }]);
    exchange.app.verbs("/call/dialling", dial);
    let phone = exchange.phone("dialling", Mouth::Silence).await;
    let dialling = exchange.dials("dialling", phone).await;
    let ringing = agent.incoming(SOON).await.expect("the agent does not ring");
    let mark = exchange.app.mark();
    exchange.app.vanish(&dialling.sid);
    reconnects(&exchange, &dialling.sid, mark).await;
    let call = ringing.answer().await.unwrap();
    dialling.answered().await;
    call.hangup().await.unwrap();
    let told = exchange.app.hears(&dialling.sid, "/dial/done", mark, |_| true).await;
    assert_eq!(told.text("dial_call_status"), "completed", "{}", told.raw);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_accounts_with_rooms_of_the_same_name_hear_nothing_of_each_other() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let ours = exchange.joins("ours", json!({ "name": "support" }), Mouth::Silence).await;
    let theirs = exchange.office.server.account("theirs").await;
    let rest = exchange.key_of(&theirs).await;
    let hook = json!({ "url": exchange.app.ws("/call/stranger"), "method": "WS" });
    let body =
        json!({ "name": "stranger", "account_sid": rest.account(), "call_hook": hook, "call_status_hook": hook });
    let application = rest.create("/Applications", body).await;
    let body = json!({ "account_sid": rest.account(), "username": "stranger", "password": system_tests::server::PASSWORD, "allow_direct_app_calling": true });
    rest.create("/Clients", body).await;
    exchange.app.verbs("/call/stranger", json!([verb("stranger", json!({ "name": "support" }))]));
    let phone = system_tests::office::registered(
        &exchange.office.server,
        "stranger",
        &theirs.realm,
        voice(s),
        phone::Transport::Udp,
    )
    .await;
    let call = phone.call(&format!("app-{application}"), phone::CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let joined = exchange.app.event("", "join", exchange.app.mark().saturating_sub(50)).await;
    assert!(joined.text("conference_sid").ends_with(":support"), "{}", joined.raw);
    exchange
        .app
        .told()
        .expect("the stranger's join", 0, SOON, |told| {
            told.text("event") == "join" && told.text("account_sid") == rest.account()
        })
        .await;
    stays_silent("our member", &ours.call, 50).await;
    silent_since_invite("nobody is heard", &ours.call).await;
    assert!(call.ear().wait_more(5, SOON).await);
    let rooms = rest.get(&rest.path("/Conferences?expand=participants")).await;
    assert!(!rooms.to_string().contains(&ours.call_uuid), "{rooms}");
    exchange.closes().await;
}
