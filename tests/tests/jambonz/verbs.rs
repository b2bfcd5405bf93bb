//! Verbs of one call: what is played, gathered, declined, pressed, tagged; and verbs that there are elsewhere but not here.

use std::time::{Duration, Instant};

use phone::analysis::rms_dbfs;
use phone::{CallError, EndCause, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{carrying, sent_apart, tones};
use system_tests::jambonz::app::Answer;
use system_tests::jambonz::exchange::{Exchange, Via};

#[tokio::test(flavor = "multi_thread")]
async fn verbs_run_one_after_the_other_in_both_forms_and_the_call_ends_with_them() {
    let [one, two, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let (first, second) = (exchange.tone("/one.wav", one), exchange.tone("/two.wav", two));
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let verbs = json!([
            { "verb": "answer" },
            { "play": { "url": first, "actionHook": "/play/done" } },
            { "pause": { "length": 0.5 } },
            { "verb": "play", "url": [second], "unknownProperty": { "is": "passed over" } },
            { "verb": "say", "text": "Goodbye." },
            { "verb": "hangup", "headers": { "X-Reason": "done" } },
        ]);
        let begins = Instant::now();
        let caller = exchange.runs_via(&name, via, verbs, Mouth::Silence).await;
        let ended = caller.ended().await;
        assert_eq!(ended.cause, EndCause::RemoteHangup);
        let (of_one, of_two) = (carrying(&caller.call, one, begins), carrying(&caller.call, two, begins));
        let apart = sent_apart(of_one.first().expect("the first"), of_two.first().expect("the second"));
        assert!((Duration::from_millis(1_400)..Duration::from_secs(4)).contains(&apart), "they are {apart:?} apart");
        let mut after = caller.call.ear().packets();
        let last = of_two.last().map(|packet| packet.header.sequence);
        after.drain(..=after.iter().position(|packet| Some(packet.header.sequence) == last).unwrap_or_default());
        let spoken = phone::analysis::Track::new(&after).samples;
        assert!(rms_dbfs(&spoken) > -50.0, "nothing is said");
        let told = exchange.app.hears(&caller.sid, "/play/done", caller.mark, |_| true).await;
        assert_eq!(told.text("reason"), "playCompleted", "{}", told.raw);
        let milliseconds = told.data["playback_milliseconds"].as_u64().unwrap_or_default();
        assert!((900..1_300).contains(&milliseconds), "{}", told.raw);
        let completed = exchange
            .app
            .told()
            .expect("completed", caller.mark, SOON, |told| {
                told.call_sid == caller.sid
                    && told.text("call_status") == "completed"
                    && told.data.get("duration").is_some()
            })
            .await;
        assert_eq!(completed.text("call_termination_by"), "jambonz", "{}", completed.raw);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn states_of_a_call_are_told_in_order_over_the_socket_and_by_http() {
    let exchange = Exchange::open().await;
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let caller = exchange
            .runs_via(&name, via, json!([{ "verb": "answer" }, { "verb": "pause", "length": 30 }]), Mouth::Silence)
            .await;
        caller.call.hangup().await.unwrap();
        let is_status = |told: &system_tests::jambonz::app::Told| {
            told.call_sid == caller.sid && (told.kind == "call:status" || told.name.starts_with("/call-status/"))
        };
        let last = exchange
            .app
            .told()
            .expect("completed", caller.mark, SOON, |told| is_status(told) && told.text("call_status") == "completed")
            .await;
        assert_eq!(last.text("call_termination_by"), "caller", "{}", last.raw);
        assert!(last.data["duration"].is_u64(), "{}", last.raw);
        let told: Vec<String> =
            exchange.app.told().matching(is_status).iter().map(|told| told.text("call_status").to_owned()).collect();
        assert_eq!(told.last().map(String::as_str), Some("completed"), "{told:?}");
        assert!(told.contains(&"in-progress".to_owned()), "{told:?}");
        let first = exchange
            .app
            .told()
            .matching(|told| told.call_sid == caller.sid && matches!(told.kind.as_str(), "session:new" | "http"));
        let first = first.iter().find(|told| told.name.starts_with("/call/")).unwrap().clone();
        assert_eq!((first.text("call_status"), &first.data["sip_status"]), ("trying", &json!(100)), "{}", first.raw);
        assert_eq!((first.text("from"), first.text("direction")), (name.as_str(), "inbound"), "{}", first.raw);
        assert!(first.data["sip"]["headers"].is_object(), "{}", first.raw);
        if via == Via::Socket {
            let closed = exchange
                .app
                .told()
                .expect("the end of the socket", caller.mark, SOON, |told| {
                    told.kind == "closed" && told.call_sid == caller.sid
                })
                .await;
            assert_eq!(closed.method, "1000", "the server closes at the call's end");
        }
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_gathered_by_number_by_finish_key_and_by_time() {
    let exchange = Exchange::open().await;
    let gather = |more: Value| {
        let mut verb = json!({ "verb": "gather", "input": ["digits"], "actionHook": "/gather/done", "timeout": 10 });
        verb.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([verb])
    };
    for (index, (properties, keys, reason, digits)) in [
        (json!({ "numDigits": 3 }), "123", "dtmfDetected", "123"),
        (json!({ "finishOnKey": "#", "maxDigits": 10 }), "42#", "dtmfDetected", "42"),
        (json!({ "minDigits": 1, "maxDigits": 4, "interDigitTimeout": 1 }), "9", "dtmfDetected", "9"),
        (json!({ "numDigits": 3, "timeout": 1 }), "", "timeout", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let via = if index % 2 == 0 { Via::Socket } else { Via::Http };
        let caller =
            exchange.runs_via(&format!("caller-{index}"), via, gather(properties.clone()), Mouth::Silence).await;
        if !keys.is_empty() {
            // A webhook's call is over before the last key's repeats are sent.
            let _ = caller.call.send_digits(keys).await;
        }
        let told = exchange.app.hears(&caller.sid, "/gather/done", caller.mark, |_| true).await;
        assert_eq!((told.text("reason"), told.text("digits")), (reason, digits), "{properties}: {}", told.raw);
        caller.call.hangup().await.ok();
    }
    // Speech without a recogniser is a clear error, and the call goes on.
    let speech = json!([{ "verb": "gather", "input": ["speech"], "actionHook": "/gather/speech", "timeout": 2 }]);
    let caller = exchange.runs("speaker", speech, Mouth::Silence).await;
    let told = exchange.app.hears(&caller.sid, "/gather/speech", caller.mark, |_| true).await;
    assert_eq!(told.text("reason"), "error", "{}", told.raw);
    assert!(caller.call.ear().wait_more(25, SOON).await);
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prompt_is_heard_until_a_key_is_pressed() {
    let [prompt, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/prompt.wav", prompt);
    let verbs = json!([{ "verb": "gather", "input": ["digits"], "numDigits": 1, "actionHook": "/gather/done",
        "play": { "url": url, "loop": 20 }, "timeout": 10 }]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    assert!(caller.call.ear().wait_heard(prompt, -30.0, Instant::now(), SOON).await.is_some(), "no prompt");
    caller.call.send_digits("7").await.unwrap();
    let told = exchange.app.hears(&caller.sid, "/gather/done", caller.mark, |_| true).await;
    assert_eq!(told.text("digits"), "7", "{}", told.raw);
    let quiet = caller.call.ear().wait_quiet(prompt, -60.0, told.at, Duration::from_millis(400), SOON).await;
    assert!(quiet.is_some(), "the prompt goes on after the key");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_declined_with_the_status_and_reason_that_were_asked_for() {
    let exchange = Exchange::open().await;
    for (index, (status, via)) in [(486, Via::Socket), (404, Via::Http), (603, Via::Socket)].into_iter().enumerate() {
        let name = format!("caller-{index}");
        let verb =
            json!([{ "verb": "sip:decline", "status": status, "reason": "Not now", "headers": { "X-Why": "test" } }]);
        exchange.app.verbs(&format!("/call/{name}"), verb);
        let phone = exchange.phone_via(&name, via, Mouth::Silence).await;
        let calling = exchange.dials(&name, phone).await;
        match calling.call.wait_answered(SOON).await {
            Err(CallError::Ended(ended)) => assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(status))),
            other => panic!("{status}: {other:?}"),
        }
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_sent_and_what_was_tagged_comes_with_every_later_hook() {
    let exchange = Exchange::open().await;
    let verbs = json!([
        { "verb": "tag", "data": { "orderId": 7, "deepKey": { "aB": [1, "x"] } } },
        { "verb": "dtmf", "dtmf": "159#", "duration": 200 },
        { "verb": "redirect", "actionHook": "/after" },
    ]);
    exchange.app.verbs("/after", json!([{ "verb": "redirect", "actionHook": "/later" }]));
    exchange.app.verbs("/later", json!([{ "verb": "redirect", "actionHook": "/last" }]));
    exchange.app.hold("/later");
    for via in [Via::Socket, Via::Http] {
        let name = format!("caller-{via:?}").to_lowercase();
        let caller = exchange.runs_via(&name, via, verbs.clone(), Mouth::Silence).await;
        let told = exchange.app.hears(&caller.sid, "/after", caller.mark, |_| true).await;
        assert_eq!(told.data["customerData"], json!({ "orderId": 7, "deepKey": { "aB": [1, "x"] } }), "{}", told.raw);
        let pressed = caller.call.ear().wait_until(SOON, |ear| ear.digits().contains("159#")).await;
        assert!(pressed, "{via:?}: the phone received {:?}", caller.call.ear().digits());
        // By REST, and by command where there is a socket.
        exchange.rest.update(&caller.sid, json!({ "tag": { "by": "rest" } })).await;
        if via == Via::Socket {
            exchange.app.command(&caller.sid, "tag", json!({ "by": "command" }));
        }
        exchange.app.release("/later");
        exchange.app.hears(&caller.sid, "/last", caller.mark, |_| true).await;
        caller.call.hangup().await.unwrap();
        let done = exchange
            .app
            .told()
            .expect("completed", caller.mark, SOON, |told| {
                told.call_sid == caller.sid && told.text("call_status") == "completed"
            })
            .await;
        let by = if via == Via::Socket { "command" } else { "rest" };
        assert_eq!(done.data["customerData"], json!({ "by": by }), "{}", done.raw);
        exchange.app.hold("/later");
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verb_that_is_not_done_here_is_named_in_an_error_and_the_call_goes_on() {
    let [after, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/after.wav", after);
    for (index, verb) in [
        json!({ "verb": "dialogflow", "project": "x", "lang": "en", "credentials": "{}" }),
        json!({ "verb": "llm", "vendor": "openai", "model": "x", "auth": { "apiKey": "x" }, "llmOptions": {} }),
        json!({ "verb": "transcribe", "transcriptionHook": "/x" }),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("caller-{index}");
        let verbs = json!([verb, { "verb": "play", "url": url }]);
        let begins = Instant::now();
        let caller = exchange.runs(&name, verbs, Mouth::Silence).await;
        let told = exchange.app.hears(&caller.sid, "jambonz:error", caller.mark, |_| true).await;
        assert!(told.raw.contains(verb["verb"].as_str().unwrap()), "{}", told.raw);
        assert!(
            caller.call.ear().wait_heard(after, -30.0, begins, SOON).await.is_some(),
            "{verb}: the next verb does not run"
        );
        caller.call.hangup().await.unwrap();
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verb_states_are_told_when_they_were_asked_for() {
    let [sound, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/sound.wav", sound);
    let verbs = json!([
        { "verb": "config", "notifyEvents": true },
        { "verb": "play", "id": "p1", "url": url },
        { "verb": "conference", "id": "c1", "name": "support" },
    ]);
    let caller = exchange.runs("caller", verbs, Mouth::Silence).await;
    for (event, name, id) in [("starting", "play", "p1"), ("finished", "play", "p1"), ("starting", "conference", "c1")]
    {
        let is = |told: &system_tests::jambonz::app::Told| told.text("event") == event && told.text("name") == name;
        let told = exchange.app.hears(&caller.sid, "verb:status", caller.mark, is).await;
        assert_eq!(told.text("id"), id, "{}", told.raw);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_refuses_the_call_and_says_why() {
    let exchange = Exchange::open().await;
    for (index, (answer, via)) in [
        (Answer::Verbs(json!([])), Via::Http),
        (Answer::Verbs(json!({ "verb": "play" })), Via::Http),
        (Answer::Verbs(json!([{ "verb": "conference" }])), Via::Http),
        (Answer::Verbs(json!([{ "noVerb": 1, "atAll": 2 }])), Via::Http),
        (Answer::Http(200, "application/json", "{ broken".to_owned()), Via::Http),
        (Answer::Http(500, "text/plain", "no".to_owned()), Via::Http),
        (Answer::Http(404, "application/json", "[]".to_owned()), Via::Http),
        (Answer::Verbs(json!([{ "verb": "conference" }])), Via::Socket),
        (Answer::Verbs(json!({ "verb": "answer" })), Via::Socket),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("caller-{index}");
        exchange.app.answer(&format!("/call/{name}"), answer.clone());
        let phone = exchange.phone_via(&name, via, Mouth::Silence).await;
        let calling = exchange.dials(&name, phone).await;
        match calling.call.wait_answered(SOON).await {
            Err(CallError::Ended(ended)) => {
                assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(480)), "{answer:?}")
            }
            other => panic!("{answer:?}: {other:?}"),
        }
        if via == Via::Socket {
            let closed = exchange
                .app
                .told()
                .expect("the end of the socket", calling.mark, SOON, |told| told.kind == "closed")
                .await;
            assert_eq!(closed.method, "1001", "{answer:?}");
        }
    }
    exchange.closes().await;
}
