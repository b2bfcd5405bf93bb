//! Two calls that `dial` connected: what a program hears of the called one, and where each of them goes when it is sent elsewhere.

use std::time::Instant;

use phone::analysis::levels_20ms;
use phone::{Call, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, never_heard_since, tones, voice};
use system_tests::jambonz::app::Told;
use system_tests::jambonz::exchange::{Calling, Exchange, Via};

/// Somebody who has dialled the agent, and the agent's end. The agent's phone goes with the exchange's caller.
struct Connected {
    caller: Calling,
    agent: Call,
    _phone: phone::Phone,
    /// The called leg.
    child: String,
}

impl Connected {
    async fn of(exchange: &Exchange, via: Via, more: Value, [c, a]: [u32; 2]) -> Self {
        let (name, callee) = (format!("caller-{via:?}").to_lowercase(), format!("agent-{via:?}").to_lowercase());
        exchange.client(&callee).await;
        let agents = exchange.connect(&callee, voice(a)).await;
        let user = format!("{callee}@{}", exchange.office.account.realm);
        let mut dial = json!({
            "verb": "dial", "target": [{ "type": "user", "name": user }], "answerOnBridge": true, "actionHook": "/dial/done",
        });
        dial.as_object_mut().unwrap().extend(more["dial"].as_object().cloned().unwrap_or_default());
        let mut verbs = vec![dial];
        verbs.extend(more["then"].as_array().cloned().unwrap_or_default());
        exchange.app.verbs(&format!("/call/{name}"), json!(verbs));
        let phone = exchange.phone_via(&name, via, voice(c)).await;
        let caller = exchange.dials(&name, phone).await;
        let agent = agents.incoming(SOON).await.expect("the agent's phone does not ring").answer().await.unwrap();
        caller.answered().await;
        let two = [caller.heard(Some(c)), Heard { name: "agent", call: &agent, tone: Some(a) }];
        let (first, second) = (name.as_str(), "agent");
        hears("connected", &two, &[(first, second), (second, first)]).await;
        let leg = |told: &Told| told.text("parent_call_sid") == caller.sid;
        let child =
            exchange.app.told().expect("the called leg", caller.mark, SOON, leg).await.text("call_sid").to_owned();
        Self { caller, agent, _phone: agents, child }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_listens_to_the_called_leg_of_a_dial_as_long_as_both_are_connected() {
    let [c, a, _] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/mono");
    exchange.app.sinks().open("/stereo");
    for (via, path, mix) in [(Via::Socket, "/mono", "mono"), (Via::Http, "/stereo", "stereo")] {
        let listen = json!({
            "url": exchange.app.ws(path), "mixType": mix, "sampleRate": 16_000, "metadata": { "case": 7 },
        });
        let word = if via == Via::Socket { "listen" } else { "stream" };
        let both = Connected::of(&exchange, via, json!({ "dial": { word: listen } }), [c, a]).await;
        let stream = exchange.app.sinks().stream(path, 0).await;
        let first = stream.metadata().await;
        let told = (&first["callSid"], &first["parentCallSid"], &first["direction"], &first["case"]);
        assert_eq!(told, (&json!(both.child), &json!(both.caller.sid), &json!("outbound"), &json!(7)), "{first}");
        assert_eq!((&first["sampleRate"], &first["mixType"]), (&json!(16_000), &json!(mix)), "{first}");
        let from = Instant::now();
        let samples = stream.samples(from, 2 * 16_000).await;
        let (agent, caller): (Vec<i16>, Vec<i16>) = match mix {
            "mono" => (samples.iter().step_by(2).copied().collect(), Vec::new()),
            _ => (samples.iter().step_by(4).copied().collect(), samples.iter().skip(1).step_by(4).copied().collect()),
        };
        let level = |samples: &[i16], tone: u32| levels_20ms(samples, tone).median();
        assert!((level(&agent, a) + 20.0).abs() < 1.0, "{mix}: the callee is at {:.1} dBFS", level(&agent, a));
        let leak = levels_20ms(&agent, c).max();
        assert!(
            leak < phone::analysis::SILENT_20MS_DBFS,
            "{mix}: the caller is in the callee's sound at {leak:.1} dBFS"
        );
        if mix == "stereo" {
            assert!((level(&caller, c) + 20.0).abs() < 1.0, "the caller is at {:.1} dBFS", level(&caller, c));
            let leak = levels_20ms(&caller, a).max();
            assert!(leak < phone::analysis::SILENT_20MS_DBFS, "the callee is in what he hears at {leak:.1} dBFS");
        }
        both.agent.hangup().await.unwrap();
        assert_eq!(stream.closed().await, 1000);
        both.caller.call.hangup().await.ok();
        both.caller.ended().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_called_leg_is_sent_to_a_hook_of_its_own_and_the_caller_goes_on_with_his_next_verb() {
    let [c, a, music] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    exchange.app.verbs("/child", json!([{ "verb": "play", "url": url, "loop": 60 }]));
    let then = json!([{ "verb": "redirect", "actionHook": "/next" }]);
    exchange.app.verbs("/next", json!([{ "verb": "pause", "length": 60 }]));
    let both = Connected::of(&exchange, Via::Socket, json!({ "then": then }), [c, a]).await;
    let (caller, agent) = (&both.caller, &both.agent);
    let (mark, since) = (exchange.app.mark(), Instant::now());
    exchange.app.command(&caller.sid, "redirect", json!({ "child_call_hook": "/child" }));
    let adult = exchange.app.told().expect("an adult leg", mark, SOON, |told| told.kind == "session:adulting").await;
    assert_eq!(adult.call_sid, both.child, "{}", adult.raw);
    assert_eq!(adult.data["parent_call_info"]["call_sid"], caller.sid, "{}", adult.raw);
    let asked = exchange.app.hears(&both.child, "/child", mark, |_| true).await;
    assert_eq!(asked.socket, adult.socket, "over another connection: {}", asked.raw);
    assert_ne!(adult.socket, 0);
    assert!(agent.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "the called leg runs nothing");
    let done = exchange.app.hears(&caller.sid, "/dial/done", mark, |_| true).await;
    assert_eq!(done.text("dial_call_status"), "completed", "{}", done.raw);
    exchange.app.hears(&caller.sid, "/next", mark, |_| true).await;
    let parted = Instant::now() + SETTLING;
    assert!(caller.call.ear().wait_more(40, SOON).await && agent.ear().wait_more(40, SOON).await);
    for (what, call, tones) in [("the caller", &caller.call, [a, music]), ("the callee", agent, [c, a])] {
        for tone in tones {
            never_heard_since(what, call, tone, parted).await;
        }
    }
    // It is a call of its own: the other one's end is none of its business.
    caller.call.hangup().await.unwrap();
    caller.ended().await;
    assert!(agent.ear().wait_more(25, SOON).await, "the called leg has ended with its caller");
    exchange.rest.update(&both.child, json!({ "call_status": "completed" })).await;
    agent.wait_ended(SOON).await.unwrap();
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_legs_are_sent_to_hooks_of_their_own_by_frame_and_by_rest() {
    let [c, a, music] = tones();
    let exchange = Exchange::open().await;
    let url = exchange.tone("/music.wav", music);
    for via in [Via::Socket, Via::Http] {
        let room = format!("room-{via:?}").to_lowercase();
        let hook = |who: &str| format!("/{who}-{via:?}").to_lowercase();
        let play = json!({ "verb": "play", "url": url });
        exchange.app.verbs(&hook("parent"), json!([play, { "verb": "conference", "name": room }]));
        exchange.app.verbs(&hook("child"), json!([{ "verb": "conference", "name": room, "memberTag": "agent" }]));
        let then = json!([{ "verb": "redirect", "actionHook": "/never" }]);
        let both = Connected::of(&exchange, via, json!({ "then": then }), [c, a]).await;
        let (caller, agent) = (&both.caller, &both.agent);
        let since = Instant::now();
        let hooks = json!({ "call_hook": hook("parent"), "child_call_hook": hook("child") });
        match via {
            Via::Socket => exchange.app.command(&caller.sid, "redirect", hooks),
            Via::Http => exchange.rest.update(&caller.sid, hooks).await,
        }
        assert!(caller.call.ear().wait_heard(music, -30.0, since, SOON).await.is_some(), "{via:?}: the parent's hook");
        for sid in [&caller.sid, &both.child] {
            exchange.native_event("member.joined", sid).await;
        }
        let (first, second) = (caller.name.as_str(), "agent");
        let two = [caller.heard(Some(c)), Heard { name: second, call: agent, tone: Some(a) }];
        hears(&format!("{via:?}: in one room"), &two, &[(first, second), (second, first)]).await;
        never_heard_since("the parent's sound", agent, music, since).await;
        // The tag is the called leg's own.
        let coach = json!({ "name": room, "speakOnlyTo": "agent" });
        let coach = exchange.joins(&format!("coach-{via:?}").to_lowercase(), coach, Mouth::Silence).await;
        let number = exchange.hearing(&coach.room).await;
        assert!(number.contains(&(both.child.clone(), coach.call_uuid.clone())), "{number:?}");
        assert!(!number.contains(&(caller.sid.clone(), coach.call_uuid.clone())), "{number:?}");
        caller.call.hangup().await.unwrap();
        agent.hangup().await.unwrap();
        coach.leaves().await;
    }
    assert!(
        exchange.app.told().matching(|told| told.name == "/never").is_empty(),
        "instructions that were replaced ran"
    );
    exchange.closes().await;
}
