//! Frames and bodies that are not as they should be.

use phone::Mouth;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{hears, stays_silent, tones, voice};
use system_tests::jambonz::app::Answer;
use system_tests::jambonz::exchange::{Exchange, Via, verb};

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_are_answered_with_an_error_and_change_nothing() {
    let [c, a, s] = tones();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), voice(a)).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    let three = [customer.heard(Some(c)), agent.heard(Some(a)), coach.heard(Some(s))];
    let coaching =
        [("customer", "agent"), ("agent", "customer"), ("agent", "coach"), ("coach", "customer"), ("coach", "agent")];
    let sid = coach.call_uuid.as_str();
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let frames: [String; 14] = [
        String::new(),
        "{".into(),
        "null".into(),
        "[]".into(),
        "\"command\"".into(),
        "{}".into(),
        r#"{"type":7}"#.into(),
        r#"{"type":"command"}"#.into(),
        r#"{"type":"command","command":{}}"#.into(),
        r#"{"type":"command","command":"fly","data":{"to":"the moon"}}"#.into(),
        r#"{"type":"command","command":"redirect","data":[{"verb":"conference"}]}"#.into(),
        r#"{"type":"command","command":"redirect","data":[{"verb":"teleport","to":"x"}]}"#.into(),
        r#"{"type":"command","command":"call:status","data":"asleep"}"#.into(),
        deep,
    ];
    let mark = exchange.app.mark();
    for frame in &frames {
        exchange.app.send_text(sid, frame);
    }
    exchange.app.told().expect_times("errors", frames.len(), mark, SOON, |told| told.kind == "jambonz:error").await;
    for told in exchange.app.told().matching(|told| told.kind == "jambonz:error") {
        assert!(!told.text("msg").is_empty(), "{}", told.raw);
    }
    // What is no text, and answers to what nobody asked, is passed over.
    exchange.app.send_binary(sid, &[0xFF; 1_000]);
    for ack in [
        r#"{"type":"ack","msgid":"nobody-asked"}"#,
        r#"{"type":"ack","msgid":"nobody-asked","data":[{"verb":"hangup"}]}"#,
        r#"{"type":"ack"}"#,
    ] {
        exchange.app.send_text(sid, ack);
    }
    let opening = exchange.app.told().matching(|told| told.kind == "session:new" && told.call_sid == sid);
    let again = json!({ "type": "ack", "msgid": opening[0].msgid, "data": [{ "verb": "hangup" }] });
    exchange.app.send(sid, &again);
    let cursor = exchange.cursor().await;
    exchange.app.action(sid, json!({ "action": "tag", "tag": "still-here" }));
    exchange.native_event_after("member.tagged", sid, cursor).await;
    hears("after all of it", &three, &coaching).await;
    system_tests::ears::never_heard_since("after all of it", &customer.call, s, customer.call.ear().packets()[0].at)
        .await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_beyond_the_limit_ends_no_call_and_opens_no_ear() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    let huge = format!(
        r#"{{"type":"command","command":"conf:participant-action","data":{{"action":"uncoach","padding":"{}"}}}}"#,
        "x".repeat(8 << 20)
    );
    exchange.app.send_text(&coach.call_uuid, &huge);
    let three = [customer.heard(None), agent.heard(None), coach.heard(Some(s))];
    hears("a huge frame", &three, &[("agent", "coach")]).await;
    stays_silent("the customer", &customer.call, 100).await;
    exchange.action(&coach, json!({ "action": "uncoach" })).await;
    hears("uncoach", &three, &[("agent", "coach"), ("customer", "coach")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_commands_is_done_in_order_or_refused_and_the_last_one_holds() {
    let [_, a, s] = tones();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), voice(a)).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "nobody" }), voice(s)).await;
    let sid = coach.call_uuid.as_str();
    for round in 0..200 {
        let tag = if round % 2 == 0 { "agent" } else { "nobody" };
        exchange.app.action(sid, json!({ "action": "coach", "tag": tag }));
    }
    let cursor = exchange.cursor().await;
    exchange.app.action(sid, json!({ "action": "tag", "tag": "last" }));
    exchange.native_event_after("member.tagged", sid, cursor).await;
    let three = [customer.heard(None), agent.heard(Some(a)), coach.heard(Some(s))];
    let allowed = [("customer", "agent"), ("coach", "agent")];
    hears("the last command", &three, &allowed).await;
    system_tests::ears::never_heard_since("a flood", &customer.call, s, customer.call.ear().packets()[0].at).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_json_or_too_large_are_refused_with_a_message() {
    let exchange = Exchange::open().await;
    let caller = exchange.joins("caller", json!({ "name": "support" }), Mouth::Silence).await;
    let path = exchange.rest.path(&format!("/Calls/{}", caller.call_uuid));
    let kind = Some("application/json");
    for body in ["", "{", "null", "7", "\"mute\"", "{\"mute_status\":\"mute\",", "\u{0}"] {
        let reply = exchange.rest.send(Method::PUT, &path, Some(body), kind).await;
        assert_eq!(reply.status, 400, "{body:?}: {reply:?}");
        assert!(!reply.msg().is_empty(), "{body:?}: {reply:?}");
    }
    let large = format!("{{\"mute_status\":\"mute\",\"x\":\"{}\"}}", "x".repeat(300 << 10));
    let reply = exchange.rest.send(Method::PUT, &path, Some(&large), kind).await;
    assert!(matches!(reply.status, 400 | 413), "{reply:?}");
    let deep = format!("{{\"tag\":{}{}}}", "{\"a\":".repeat(3_000) + "1", "}".repeat(3_000));
    let reply = exchange.rest.send(Method::PUT, &path, Some(&deep), kind).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    // One change at a time.
    let two =
        exchange.rest.try_update(&caller.call_uuid, json!({ "mute_status": "mute", "conf_hold_status": "hold" })).await;
    assert_eq!((two.status, two.msg()), (400, "multiple options are not allowed in updateCall"), "{two:?}");
    let none = exchange.rest.try_update(&caller.call_uuid, json!({ "colour": "blue" })).await;
    assert_eq!((none.status, none.msg()), (400, "no valid options supplied to updateCall"), "{none:?}");
    // Nothing of all that was done.
    let shown = exchange.office.native.get(&format!("/rooms/{}", caller.room)).await;
    assert_eq!(
        (&shown["member_list"][0]["muted"], &shown["member_list"][0]["held"]),
        (&json!(false), &json!(false)),
        "{shown}"
    );
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_answer_to_a_later_hook_ends_no_call_without_a_word() {
    let exchange = Exchange::open().await;
    for (index, answer) in
        [Answer::Verbs(json!([{ "verb": "conference" }])), Answer::Verbs(json!({ "not": "an array" }))]
            .into_iter()
            .enumerate()
    {
        let name = format!("caller-{index}");
        exchange.app.answer(&format!("/conference/{name}"), answer);
        let caller = exchange.joins(&name, json!({ "name": "support" }), Mouth::Silence).await;
        let mark = exchange.app.mark();
        exchange.action(&caller, json!({ "action": "kick" })).await;
        exchange.app.hears(&caller.call_uuid, &format!("/conference/{name}"), mark, |_| true).await;
        let (warning, _) = exchange.native_event_after("warning", &caller.call_uuid, 0).await;
        assert!(!warning["payload"]["detail"]["text"].is_null(), "{warning}");
        assert!(caller.call.ear().wait_more(25, SOON).await, "the call was dropped");
    }
    // By HTTP there is nobody to tell it; the next verb runs, or the call ends.
    exchange.app.answer("/conference/hook", Answer::Http(200, "application/json", "{ broken".to_owned()));
    let verbs: Value = json!([verb("hook", json!({ "name": "support" })), { "verb": "pause", "length": 60 }]);
    let caller = exchange.runs_via("hook", Via::Http, verbs, Mouth::Silence).await;
    let caller = exchange.is_in(caller).await;
    exchange.action(&caller, json!({ "action": "kick" })).await;
    assert!(caller.call.ear().wait_more(50, SOON).await, "the call was dropped");
    exchange.closes().await;
}
