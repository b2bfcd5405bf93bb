//! Hooks by HTTP whose program is gone, fails, or says what cannot be done there: the call goes on, and whoever waits waits in silence.

use std::time::{Duration, Instant};

use phone::Mouth;
use phone::analysis::exact_silence;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, carrying, hears, sent_apart, silent_since, stays_silent, tones, voice};
use system_tests::jambonz::app::Answer;
use system_tests::jambonz::exchange::{Calling, Exchange, Via, verb};

/// Longest time that a program by HTTP may take.
const ANSWER: Duration = Duration::from_secs(10);

/// A URL of a program that has gone: nobody listens on its port.
fn gone(path: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://callcenter.test:{}{path}", listener.local_addr().unwrap().port())
}

fn plain(status: u16, kind: &'static str, body: impl Into<String>) -> Answer {
    Answer::Http(status, kind, body.into())
}

/// A warning in the native events says what is wrong.
async fn warned(exchange: &Exchange, sid: &str) -> String {
    let (warning, _) = exchange.native_event_after("warning", sid, 0).await;
    let text = warning["payload"]["detail"]["text"].as_str().unwrap_or_default().to_owned();
    assert!(!text.is_empty(), "{warning}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_hook_that_is_gone_fails_or_never_answers_is_passed_over() {
    let [sound, after, whispered] = tones();
    let exchange = Exchange::open().await;
    let (url, url_of_after) = (exchange.tone("/sound.wav", sound), exchange.tone("/after.wav", after));
    let whisper = json!({ "whisper": { "verb": "play", "url": exchange.tone("/whisper.wav", whispered) } });
    let verbs = |hook: &str| json!([{ "verb": "play", "url": url, "actionHook": hook }, { "verb": "play", "url": url_of_after, "loop": 30 }]);
    exchange.app.answer("/play/fails", plain(500, "application/json", "[{\"verb\":\"hangup\"}]"));
    exchange.app.answer("/play/never", Answer::Silence);
    let never = exchange.runs_via("never", Via::Http, verbs("/play/never"), Mouth::Silence).await;
    let asked = exchange.app.hears(&never.sid, "/play/never", never.mark, |_| true).await;
    // The one that waits is not deaf meanwhile.
    exchange.rest.update(&never.sid, whisper).await;
    let heard = never.call.ear().wait_heard(whispered, -30.0, asked.at, SOON).await;
    assert!(heard.is_some_and(|heard| heard.at < asked.at + ANSWER), "a command waits for the hook's answer");
    for (name, hook) in [("gone", gone("/play/gone")), ("fails", exchange.app.http("/play/fails"))] {
        let caller = exchange.runs_via(name, Via::Http, verbs(&hook), Mouth::Silence).await;
        let since = caller.call.ear().packets().first().map_or_else(Instant::now, |packet| packet.at);
        let first = caller.call.ear().wait_heard(sound, -30.0, since, SOON).await.expect("nothing plays");
        let next = caller.call.ear().wait_heard(after, -30.0, since, SOON).await.expect("the next verb does not run");
        assert!(next.at - first.at < ANSWER / 2, "{name}: it took {:?}", next.at - first.at);
        warned(&exchange, &caller.sid).await;
    }
    let next = never.call.ear().wait_heard(after, -30.0, asked.at, SOON).await.expect("the next verb does not run");
    // The hook is asked at the end of the sound; by the sender's clock nothing is noted too late.
    let sounds = carrying(&never.call, sound, asked.at - SOON);
    let took = sent_apart(sounds.last().expect("it is heard"), &carrying(&never.call, after, next.at)[0]);
    assert!((ANSWER..ANSWER * 13 / 10).contains(&took), "the hook was waited for {took:?}");
    warned(&exchange, &never.sid).await;
    exchange.closes().await;
}

fn waits(name: &str, hook: &str) -> Value {
    json!([verb(name, json!({ "name": "support", "startConferenceOnEnter": false, "waitHook": hook }))])
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_room_waits_in_silence_when_his_hook_has_nothing_that_can_be_heard() {
    let [music, c, a] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    let play = json!({ "verb": "play", "url": url });
    let huge = json!([{ "verb": "play", "url": url, "padding": "x".repeat(300 << 10) }]);
    let answers = [
        ("garbage", plain(200, "application/json", "{ broken")),
        ("text", plain(200, "text/html", "<Response><Play>x</Play></Response>")),
        ("nothing", plain(200, "application/json", "")),
        ("status", plain(503, "application/json", play.to_string())),
        ("other-verb", Answer::Verbs(json!([play, { "verb": "dial", "target": [{ "type": "user", "name": "x" }] }]))),
        ("vendor-verb", Answer::Verbs(json!([play, { "verb": "transcribe" }]))),
        ("unknown-verb", Answer::Verbs(json!([play, { "verb": "teleport" }]))),
        ("huge", Answer::Verbs(huge)),
    ];
    let mut waiting: Vec<Calling> = Vec::new();
    for (name, answer) in answers {
        exchange.app.answer(&format!("/conference-wait/{name}"), answer);
        let hook = format!("/conference-wait/{name}");
        let calling = exchange.runs_via(name, Via::Http, waits(name, &hook), Mouth::Silence).await;
        exchange.app.hears(&calling.sid, &hook, calling.mark, |_| true).await;
        waiting.push(calling);
    }
    let hook = gone("/conference-wait/gone");
    waiting.push(exchange.runs_via("gone", Via::Http, waits("gone", &hook), Mouth::Silence).await);
    exchange.app.answer("/conference-wait/never", Answer::Silence);
    waiting.push(exchange.runs_via("never", Via::Http, waits("never", "/conference-wait/never"), Mouth::Silence).await);
    for calling in &waiting {
        stays_silent(&calling.name, &calling.call, 25).await;
        let hook = format!("/conference-wait/{}", calling.name);
        let times = exchange.app.told().matching(|told| told.name == hook).len();
        assert!(times <= 1, "{hook} was asked {times} times");
        if !matches!(calling.name.as_str(), "text" | "nothing" | "never") {
            warned(&exchange, &calling.sid).await;
        }
    }
    // One that had music, and then fails: the music is over, the wait is not.
    let good = Answer::Verbs(json!([play]));
    exchange.app.answers("/conference-wait/later", [good, plain(500, "text/plain", "no")]);
    let later = exchange.runs_via("later", Via::Http, waits("later", "/conference-wait/later"), voice(c)).await;
    let music_from = later.call.ear().wait_heard(music, -30.0, Instant::now() - SOON, SOON).await.expect("no music");
    let quiet = later.call.ear().wait_quiet(music, -50.0, music_from.at, Duration::from_millis(800), SOON).await;
    let over = quiet.flatten().expect("the music goes on").at + SETTLING;
    assert!(later.call.ear().wait_more(25, SOON).await, "{}", later.name);
    silent_since("something is heard after the hook has failed", &later.call, over).await;

    let starter = exchange.joins("starter", json!({ "name": "support" }), voice(a)).await;
    let mut people = vec![later.heard(Some(c)), starter.heard(Some(a))];
    people.extend(waiting.iter().map(|calling| calling.heard(None)));
    let mut pairs = vec![("later", "starter"), ("starter", "later")];
    for calling in &waiting {
        exchange.native_event("member.admitted", &calling.sid).await;
        pairs.extend([(calling.name.as_str(), "starter"), (calling.name.as_str(), "later")]);
    }
    hears("started", &people, &pairs).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_queue_waits_in_silence_when_his_hook_fails_and_is_taken_out_in_his_turn() {
    let [_, c, a] = tones();
    let exchange = Exchange::open().await;
    let hook = |name: &str| format!("/enqueue-wait/{name}");
    exchange.app.answer(&hook("garbage"), plain(200, "application/json", "[{\"verb\":"));
    exchange.app.answer(&hook("status"), plain(500, "text/plain", "no"));
    exchange.app.verbs(&hook("other-verb"), json!([{ "verb": "conference", "name": "elsewhere" }]));
    let cases = [
        ("garbage", Via::Http, hook("garbage")),
        ("status", Via::Http, hook("status")),
        ("other-verb", Via::Socket, hook("other-verb")),
        ("gone", Via::Http, gone("/enqueue-wait/gone")),
    ];
    let mut waiting = Vec::new();
    for (name, via, hook) in cases {
        let action = format!("/enqueue/{name}");
        let enqueue = json!([{ "verb": "enqueue", "name": "support", "waitHook": hook, "actionHook": action }]);
        let calling = exchange.runs_via(name, via, enqueue, voice(c)).await;
        warned(&exchange, &calling.sid).await;
        waiting.push(calling);
    }
    for calling in &waiting {
        stays_silent(&calling.name, &calling.call, 25).await;
    }
    for (index, calling) in waiting.iter().enumerate() {
        let name = format!("agent-{index}");
        let agent = exchange.runs(&name, json!([{ "verb": "dequeue", "name": "support" }]), voice(a)).await;
        let two = [calling.heard(Some(c)), agent.heard(Some(a))];
        let (caller, agent_name) = (calling.name.as_str(), name.as_str());
        hears("in his turn", &two, &[(caller, agent_name), (agent_name, caller)]).await;
        agent.call.hangup().await.unwrap();
        let told = exchange.app.hears(&calling.sid, &format!("/enqueue/{caller}"), calling.mark, |_| true).await;
        assert_eq!(told.text("queue_result"), "bridged", "{}", told.raw);
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enter_hook_that_is_gone_fails_or_never_answers_keeps_nobody_out() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    let enters = |name: &str, hook: &str| json!([verb(name, json!({ "name": "support", "enterHook": hook }))]);
    exchange.app.answer("/conference-enter/never", Answer::Silence);
    let never = enters("never", "/conference-enter/never");
    exchange.app.verbs("/call/never", never);
    let phone = exchange.phone_via("never", Via::Http, voice(c)).await;
    // From before he dials: what is too late is so after the question.
    let begins = Instant::now();
    let never = exchange.dials("never", phone).await;
    never.answered().await;
    let asked = exchange.app.hears(&never.sid, "/conference-enter/never", never.mark, |_| true).await;
    exchange.app.answer("/conference-enter/fails", plain(500, "text/plain", "no"));
    exchange.app.answer("/conference-enter/garbage", plain(200, "application/json", "]"));
    exchange.app.verbs("/conference-enter/other-verb", json!([{ "verb": "hangup" }]));
    for (name, hook) in [
        ("gone", gone("/conference-enter/gone")),
        ("fails", "/conference-enter/fails".to_owned()),
        ("garbage", "/conference-enter/garbage".to_owned()),
        ("other-verb", "/conference-enter/other-verb".to_owned()),
    ] {
        let begins = Instant::now();
        let caller = exchange.runs_via(name, Via::Http, enters(name, &hook), Mouth::Silence).await;
        let heard = caller.call.ear().wait_heard(a, -30.0, begins, SOON).await;
        assert!(heard.is_some_and(|heard| heard.at < begins + ANSWER), "{name}: kept out");
        exchange.is_in(caller).await;
    }
    // The one whose program never answers: until then he neither hears nor is heard, and then both.
    let heard = never.call.ear().wait_heard(a, -30.0, asked.at, SOON).await.expect("kept out for ever");
    let took = heard.at - begins;
    assert!((ANSWER..ANSWER * 13 / 10).contains(&took), "the hook was waited for {took:?}");
    let before = agent.call.ear().between(begins, begins + ANSWER);
    exact_silence(&before).unwrap_or_else(|leak| panic!("{FORBIDDEN}: the agent heard who was not in yet: {leak}"));
    let two = [never.heard(Some(c)), agent.heard(Some(a))];
    hears("in", &two, &[("never", "agent"), ("agent", "never")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_or_a_change_of_call_hook_whose_program_is_gone_or_fails_ends_the_call() {
    let [music, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let play = json!({ "verb": "play", "url": exchange.tone("/music.wav", music), "loop": 60 });
    exchange.app.answer("/fails", plain(500, "application/json", json!([play]).to_string()));
    exchange.app.answer("/garbage", plain(200, "application/json", "[{"));
    let hooks =
        [("gone", gone("/gone")), ("fails", exchange.app.http("/fails")), ("garbage", exchange.app.http("/garbage"))];
    for (name, hook) in &hooks {
        // Whatever follows a redirect is not run.
        let redirect = json!([{ "verb": "answer" }, { "verb": "redirect", "actionHook": hook }, play]);
        let redirected = exchange.runs_via(name, Via::Http, redirect, Mouth::Silence).await;
        let other = format!("{name}-other");
        let changed = exchange.runs_via(&other, Via::Http, json!([play]), Mouth::Silence).await;
        assert!(changed.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await.is_some(), "{name}: no music");
        exchange.rest.update(&changed.sid, json!({ "call_hook": hook })).await;
        for calling in [&redirected, &changed] {
            let ended = calling.ended().await;
            assert_eq!(ended.cause, phone::EndCause::RemoteHangup, "{}: {ended:?}", calling.name);
            let why = warned(&exchange, &calling.sid).await;
            assert!(why.contains("the call ends"), "{}: {why}", calling.name);
        }
    }
    exchange.closes().await;
}
