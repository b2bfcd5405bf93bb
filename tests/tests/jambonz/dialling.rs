//! The verb `dial`.

use std::time::{Duration, Instant};

use phone::{Call, Mouth, Phone};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, never_heard_since, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange, Via};

fn user(exchange: &Exchange, name: &str) -> Value {
    json!({ "type": "user", "name": format!("{name}@{}", exchange.office.account.realm) })
}

fn dial(targets: Value, more: Value) -> Value {
    let mut verb = json!({ "verb": "dial", "target": targets, "actionHook": "/dial/done", "answerOnBridge": true });
    verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    verb
}

/// A phone that can be dialled.
async fn callee(exchange: &Exchange, name: &str, mouth: Mouth) -> Phone {
    exchange.client(name).await;
    exchange.connect(name, mouth).await
}

/// Somebody dials; returns as soon as the application was asked.
async fn dials(exchange: &Exchange, name: &str, via: Via, verbs: Value, mouth: Mouth) -> Calling {
    exchange.app.verbs(&format!("/call/{name}"), verbs);
    let phone = exchange.phone_via(name, via, mouth).await;
    exchange.dials(name, phone).await
}

async fn answers(phone: &Phone) -> Call {
    phone.incoming(SOON).await.expect("the phone does not ring").answer().await.unwrap()
}

async fn done(exchange: &Exchange, calling: &Calling) -> Told {
    exchange.app.hears(&calling.sid, "/dial/done", calling.mark, |_| true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_dialled_both_hear_each_other_and_the_action_hook_tells_how_it_went() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let agent_phone = callee(&exchange, "agent", voice(a)).await;
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let caller =
            dials(&exchange, &name, via, json!([dial(json!([user(&exchange, "agent")]), json!({}))]), voice(c)).await;
        let agent = answers(&agent_phone).await;
        caller.answered().await;
        let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
        hears(&format!("{via:?}"), &two, &[(name.as_str(), "agent"), ("agent", name.as_str())]).await;
        agent.hangup().await.unwrap();
        let told = done(&exchange, &caller).await;
        assert_eq!(
            (told.text("dial_call_status"), &told.data["dial_sip_status"]),
            ("completed", &json!(200)),
            "{}",
            told.raw
        );
        assert!(!told.text("dial_call_sid").is_empty() && told.text("dial_call_sid") != caller.sid, "{}", told.raw);
        // The called leg's states were told too, as a leg of this call's.
        let child = told.text("dial_call_sid").to_owned();
        let is_child = |told: &Told| told.text("call_sid") == child && told.text("direction") == "outbound";
        for status in ["trying", "in-progress", "completed"] {
            let told = exchange
                .app
                .told()
                .expect(&format!("{status} of the called leg"), caller.mark, SOON, |told| {
                    is_child(told) && told.text("call_status") == status
                })
                .await;
            assert_eq!(told.text("parent_call_sid"), caller.sid, "{}", told.raw);
        }
        if via == Via::Socket {
            caller.call.hangup().await.unwrap();
        }
        caller.ended().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_several_to_answer_gets_the_call_and_the_others_ring_no_more() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let first = callee(&exchange, "first", Mouth::Silence).await;
    let second = callee(&exchange, "second", voice(a)).await;
    let targets = json!([user(&exchange, "first"), user(&exchange, "second")]);
    let caller = dials(&exchange, "caller", Via::Socket, json!([dial(targets, json!({}))]), voice(c)).await;
    let ringing = first.incoming(SOON).await.expect("the first does not ring");
    let agent = answers(&second).await;
    caller.answered().await;
    hears(
        "with the second",
        &[caller.heard(Some(c)), Heard { name: "second", call: &agent, tone: Some(a) }],
        &[("caller", "second"), ("second", "caller")],
    )
    .await;
    ringing.wait_cancelled(SOON).await.expect("the first rings on");
    caller.call.hangup().await.unwrap();
    agent.wait_ended(SOON).await.unwrap();
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_no_answer_and_nobody_there_are_told_as_they_are() {
    let exchange = Exchange::open().await;
    let agent = callee(&exchange, "agent", Mouth::Silence).await;
    let verbs = |target: Value, more: Value| json!([dial(json!([target]), more), { "verb": "hangup" }]);
    let caller =
        dials(&exchange, "busy", Via::Socket, verbs(user(&exchange, "agent"), json!({})), Mouth::Silence).await;
    agent.incoming(SOON).await.unwrap().reject(486).await.unwrap();
    let told = done(&exchange, &caller).await;
    assert_eq!((told.text("dial_call_status"), &told.data["dial_sip_status"]), ("busy", &json!(486)), "{}", told.raw);

    let begins = Instant::now();
    let patient = verbs(user(&exchange, "agent"), json!({ "timeout": 2 }));
    let caller = dials(&exchange, "patient", Via::Socket, patient, Mouth::Silence).await;
    let ringing = agent.incoming(SOON).await.unwrap();
    let told = done(&exchange, &caller).await;
    assert_eq!(told.text("dial_call_status"), "no-answer", "{}", told.raw);
    assert!(begins.elapsed() > Duration::from_secs(2));
    ringing.wait_cancelled(SOON).await.expect("it still rings");

    let caller =
        dials(&exchange, "lost", Via::Socket, verbs(user(&exchange, "nobody"), json!({})), Mouth::Silence).await;
    let told = done(&exchange, &caller).await;
    assert!(matches!(told.text("dial_call_status"), "failed" | "no-answer"), "{}", told.raw);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirm_hook_is_heard_by_the_called_alone_before_they_are_connected() {
    let [c, a, question] = tones();
    let exchange = Exchange::open().await;
    let url_of_question = exchange.tone("/question.wav", question);
    exchange.app.verbs("/confirm", json!([{ "verb": "play", "url": url_of_question }]));
    let agent_phone = callee(&exchange, "agent", voice(a)).await;
    let verb = dial(json!([user(&exchange, "agent")]), json!({ "confirmHook": "/confirm" }));
    let caller = dials(&exchange, "caller", Via::Socket, json!([verb]), voice(c)).await;
    let begins = Instant::now();
    let agent = answers(&agent_phone).await;
    assert!(
        agent.ear().wait_heard(question, -30.0, begins, SOON).await.is_some(),
        "the called does not hear the question"
    );
    never_heard_since("before the confirmation", &agent, c, begins).await;
    caller.answered().await;
    hears(
        "connected",
        &[caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }],
        &[("caller", "agent"), ("agent", "caller")],
    )
    .await;
    never_heard_since("the question is the called one's", &caller.call, question, caller.call.ear().packets()[0].at)
        .await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whisper_reaches_one_leg_of_a_dialled_call_alone() {
    let [c, a, whispered] = tones();
    let exchange = Exchange::open().await;
    let url_of_whisper = exchange.tone("/whisper.wav", whispered);
    let play = json!({ "verb": "play", "url": url_of_whisper });
    let agent_phone = callee(&exchange, "agent", voice(a)).await;
    let caller =
        dials(&exchange, "caller", Via::Socket, json!([dial(json!([user(&exchange, "agent")]), json!({}))]), voice(c))
            .await;
    let agent = answers(&agent_phone).await;
    caller.answered().await;
    let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
    hears("connected", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    let child = exchange
        .app
        .told()
        .expect("the called leg", caller.mark, SOON, |told| told.text("parent_call_sid") == caller.sid)
        .await
        .text("call_sid")
        .to_owned();
    let since = Instant::now();
    exchange.app.send(
        &caller.sid,
        &json!({ "type": "command", "command": "whisper", "callSid": child, "data": { "whisper": [play] } }),
    );
    assert!(agent.ear().wait_heard(whispered, -30.0, since, SOON).await.is_some(), "the called leg hears no whisper");
    assert!(agent.ear().wait_quiet(whispered, -60.0, since, SETTLING * 2, SOON).await.is_some());
    never_heard_since("a whisper to the called leg", &caller.call, whispered, since).await;
    let since = Instant::now();
    exchange.rest.update(&caller.sid, json!({ "whisper": play })).await;
    assert!(caller.call.ear().wait_heard(whispered, -30.0, since, SOON).await.is_some(), "the caller hears no whisper");
    assert!(caller.call.ear().wait_quiet(whispered, -60.0, since, SETTLING * 2, SOON).await.is_some());
    never_heard_since("a whisper to the caller", &agent, whispered, since).await;
    // Mute of one leg.
    exchange.rest.update(&child, json!({ "mute_status": "mute" })).await;
    hears("the called leg is muted", &two, &[("agent", "caller")]).await;
    // Hanging up the called leg by REST ends the dial.
    exchange.rest.update(&child, json!({ "call_status": "completed" })).await;
    let told = done(&exchange, &caller).await;
    assert_eq!(told.text("dial_call_status"), "completed", "{}", told.raw);
    stays_up(&caller).await;
    exchange.closes().await;
}

/// A call by WebSocket stays up when its verbs have run out.
async fn stays_up(caller: &Calling) {
    assert!(caller.call.ear().wait_more(50, SOON).await, "{} was hung up", caller.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_legs_of_a_dial_go_on_by_themselves_when_they_get_instructions_of_their_own() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let agent_phone = callee(&exchange, "agent", voice(a)).await;
    let caller =
        dials(&exchange, "caller", Via::Socket, json!([dial(json!([user(&exchange, "agent")]), json!({}))]), voice(c))
            .await;
    let agent = answers(&agent_phone).await;
    caller.answered().await;
    let room = |tag: &str| json!([{ "verb": "conference", "name": "three", "memberTag": tag }]);
    exchange.app.command(
        &caller.sid,
        "redirect",
        json!({ "parent_call": room("customer"), "child_call": room("agent") }),
    );
    let adult =
        exchange.app.told().expect("an adult leg", caller.mark, SOON, |told| told.kind == "session:adulting").await;
    assert_eq!(adult.data["parent_call_info"]["call_sid"], caller.sid, "{}", adult.raw);
    for sid in [&caller.sid, &adult.call_sid] {
        exchange.native_event("member.joined", sid).await;
    }
    let coach = exchange.joins("coach", json!({ "name": "three", "speakOnlyTo": "agent" }), Mouth::Silence).await;
    let three = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }, coach.heard(None)];
    let all = [("caller", "agent"), ("agent", "caller"), ("coach", "caller"), ("coach", "agent")];
    hears("in one room", &three, &all).await;
    stays_silent_but(&caller.call, a).await;
    exchange.closes().await;
}

/// Nothing but one tone is in an ear.
async fn stays_silent_but(call: &Call, tone: u32) {
    for other in tones::<3>().into_iter().filter(|other| *other != tone) {
        never_heard_since("only one speaks", call, other, Instant::now() - SETTLING).await;
    }
    assert!(call.ear().wait_more(5, SOON).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_gives_up_ends_the_ringing() {
    let exchange = Exchange::open().await;
    let agent_phone = callee(&exchange, "agent", Mouth::Silence).await;
    let caller = dials(
        &exchange,
        "caller",
        Via::Socket,
        json!([dial(json!([user(&exchange, "agent")]), json!({}))]),
        Mouth::Silence,
    )
    .await;
    let ringing = agent_phone.incoming(SOON).await.unwrap();
    caller.call.hangup().await.unwrap();
    caller.ended().await;
    let told = done(&exchange, &caller).await;
    assert!(matches!(told.text("dial_call_status"), "no-answer" | "failed"), "{}", told.raw);
    ringing.wait_cancelled(SOON).await.expect("it still rings");
    exchange.office.is_empty_again(&["aside_calls_live"]).await;
    exchange.closes().await;
}
