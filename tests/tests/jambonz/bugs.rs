//! What goes wrong with coaching elsewhere, and must not here. Where a listener must have heard nothing, every byte of every packet since the INVITE was
//! silence.

use std::time::Instant;

use phone::Mouth;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{
    SETTLING, hears, never_heard_since, silent_since, silent_since_invite, stays_silent, tones, voice,
};
use system_tests::jambonz::exchange::{Exchange, verb};
use system_tests::office::Member;

const ROOM: &str = "support";

fn in_room(more: Value) -> Value {
    let mut all = json!({ "name": ROOM });
    if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    all
}

/// A customer, an agent and somebody else, who say nothing, and a coach who speaks from his first packet on.
async fn whisper(exchange: &Exchange, tone: u32, coach: Value) -> [Member; 4] {
    let customer = exchange.joins("customer", in_room(json!({})), Mouth::Silence).await;
    let agent = exchange.joins("agent", in_room(json!({ "memberTag": "agent" })), Mouth::Silence).await;
    let trainee = exchange.joins("trainee", in_room(json!({ "memberTag": "trainee" })), Mouth::Silence).await;
    let coach = exchange.joins("coach", in_room(coach), voice(tone)).await;
    [customer, agent, trainee, coach]
}

fn four<'a>(members: &'a [Member; 4], tone: u32) -> [system_tests::ears::Heard<'a>; 4] {
    let [customer, agent, trainee, coach] = members;
    [customer.heard(None), agent.heard(None), trainee.heard(None), coach.heard(Some(tone))]
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_exclusion() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent" })).await;
    let [customer, agent, trainee, coach] = &all;
    hears("coaching", &four(&all, s), &[("agent", "coach")]).await;
    stays_silent("the trainee before the tag", &trainee.call, 25).await;
    // An excluded member who gets the tag hears the coach at once, and nobody else does.
    exchange.action(trainee, json!({ "action": "tag", "tag": "agent" })).await;
    hears("the trainee is promoted", &four(&all, s), &[("agent", "coach"), ("trainee", "coach")]).await;
    stays_silent("the customer", &customer.call, 25).await;
    // By injected command too: the agent loses it.
    let lost = exchange.injects(agent, json!({ "action": "untag" }), "member.tagged").await + SETTLING;
    hears("the agent's tag is gone", &four(&all, s), &[("trainee", "coach")]).await;
    silent_since("the agent hears without the tag", &agent.call, lost).await;
    stays_silent("the customer", &customer.call, 25).await;
    // And the end of coaching lifts every exclusion, however often it was recomputed.
    exchange.action(coach, json!({ "action": "uncoach" })).await;
    hears("uncoach", &four(&all, s), &[("customer", "coach"), ("agent", "coach"), ("trainee", "coach")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_tags() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent" })).await;
    let [customer, agent, trainee, coach] = &all;
    hears("coaching the agent", &four(&all, s), &[("agent", "coach")]).await;
    stays_silent("the trainee", &trainee.call, 25).await;
    let switched = exchange.action(coach, json!({ "action": "coach", "tag": "trainee" })).await + SETTLING;
    hears("coaching the trainee", &four(&all, s), &[("trainee", "coach")]).await;
    silent_since("the agent hears what is for the trainee", &agent.call, switched).await;
    // By command, which has no answer: once the agent hears it, it holds.
    let since = Instant::now();
    exchange.app.action(&coach.call_uuid, json!({ "action": "coach", "tag": "agent" }));
    assert!(agent.call.ear().wait_heard(s, -30.0, since, SOON).await.is_some(), "the agent hears nothing");
    let switched = Instant::now();
    hears("coaching the agent again", &four(&all, s), &[("agent", "coach")]).await;
    silent_since("the trainee hears what is for the agent", &trainee.call, switched + SETTLING).await;
    stays_silent("the customer throughout", &customer.call, 25).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mute_that_never_lifts() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    for (index, flags) in
        [json!({ "startConferenceOnEnter": true }), json!({ "endConferenceOnExit": true })].into_iter().enumerate()
    {
        let room = format!("room-{index}");
        let place = |more: Value| {
            let mut all = json!({ "name": room });
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        let name = |who: &str| format!("{who}-{index}");
        let customer = exchange.joins(&name("customer"), place(json!({})), Mouth::Silence).await;
        let agent = exchange.joins(&name("agent"), place(json!({ "memberTag": "agent" })), Mouth::Silence).await;
        let mut coach = place(json!({ "speakOnlyTo": "agent" }));
        coach.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        let coach = exchange.joins(&name("coach"), coach, voice(s)).await;
        let all = [customer.heard(None), agent.heard(None), coach.heard(Some(s))];
        hears(&flags.to_string(), &all, &[(agent.name.as_str(), coach.name.as_str())]).await;
        stays_silent(&flags.to_string(), &customer.call, 25).await;
        for member in [&coach, &agent, &customer] {
            member.leaves().await;
        }
    }
    // Who joins muted is muted until he is unmuted, and then heard by those alone whom he coaches.
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent", "joinMuted": true })).await;
    let [customer, agent, _, coach] = &all;
    hears("joined muted", &four(&all, s), &[]).await;
    stays_silent("the agent of a muted coach", &agent.call, 25).await;
    exchange.action(coach, json!({ "action": "unmute" })).await;
    hears("unmuted", &four(&all, s), &[("agent", "coach")]).await;
    stays_silent("the customer", &customer.call, 25).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn late_joiner_window() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent" })).await;
    let mut late = Vec::new();
    for index in 0..5 {
        let more = if index % 2 == 0 { json!({}) } else { json!({ "memberTag": format!("other-{index}") }) };
        late.push(exchange.joins(&format!("late-{index}"), in_room(more), Mouth::Silence).await);
    }
    let colleague = exchange.joins("colleague", in_room(json!({ "memberTag": "agent" })), Mouth::Silence).await;
    let mut people: Vec<_> = four(&all, s).to_vec();
    people.push(colleague.heard(None));
    people.extend(late.iter().map(|member| member.heard(None)));
    hears("late joiners", &people, &[("agent", "coach"), ("colleague", "coach")]).await;
    for member in &late {
        stays_silent(&member.name, &member.call, 25).await;
    }
    stays_silent("the customer", &all[0].call, 25).await;
    // A coach who comes late is a whisper from his first sample on, too.
    let second = exchange.joins("second", in_room(json!({ "speakOnlyTo": "agent" })), voice(tones::<3>()[1])).await;
    assert!(second.call.ear().wait_more(75, SOON).await);
    for member in late.iter().chain([&all[0]]) {
        silent_since_invite(&member.name, &member.call).await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coach_whose_tag_nobody_carries_is_heard_by_nobody_and_uncoach_still_works() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "nobody-has-this" })).await;
    let [customer, agent, trainee, coach] = &all;
    hears("a tag that nobody carries", &four(&all, s), &[]).await;
    for member in [customer, agent, trainee] {
        stays_silent(&member.name, &member.call, 25).await;
    }
    exchange.injects(coach, json!({ "action": "uncoach" }), "member.coaching_stopped").await;
    hears("uncoach", &four(&all, s), &[("customer", "coach"), ("agent", "coach"), ("trainee", "coach")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coach_on_a_muted_member_leaves_him_muted() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "joinMuted": true })).await;
    let [customer, agent, _, coach] = &all;
    hears("a silent monitor", &four(&all, s), &[]).await;
    exchange.action(coach, json!({ "action": "coach", "tag": "agent" })).await;
    hears("coach by REST", &four(&all, s), &[]).await;
    exchange.action(coach, json!({ "action": "uncoach" })).await;
    hears("uncoach", &four(&all, s), &[]).await;
    for member in [customer, agent] {
        stays_silent(&member.name, &member.call, 25).await;
    }
    exchange.action(coach, json!({ "action": "coach", "tag": "agent" })).await;
    // Both spellings of the unmute that the guides pair with it.
    for (mute, unmute) in [
        (json!({ "conf_mute_status": "mute" }), json!({ "conf_mute_status": "unmute" })),
        (json!({ "mute_status": "mute" }), json!({ "mute_status": "unmute" })),
    ] {
        exchange.rest.update(&coach.call_uuid, unmute).await;
        hears("unmuted while coaching", &four(&all, s), &[("agent", "coach")]).await;
        exchange.rest.update(&coach.call_uuid, mute).await;
        hears("muted while coaching", &four(&all, s), &[]).await;
    }
    stays_silent("the customer throughout", &customer.call, 25).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_command_never_opens_the_whisper() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent" })).await;
    let [customer, agent, _, coach] = &all;
    hears("coaching", &four(&all, s), &[("agent", "coach")]).await;
    let sid = &coach.call_uuid;
    for body in [
        json!({ "conferenceParticipantAction": { "action": "coach" } }),
        json!({ "conferenceParticipantAction": { "action": "coach", "tag": "" } }),
        json!({ "conferenceParticipantAction": { "action": "coach", "tag": 7 } }),
        json!({ "conferenceParticipantAction": { "action": "tag" } }),
        json!({ "conferenceParticipantAction": { "action": "Uncoach" } }),
        json!({ "conferenceParticipantAction": "uncoach" }),
        json!({ "conferenceParticipantAction": {} }),
        json!({ "conferenceParticipantAction": { "action": "uncoach" }, "mute_status": "mute" }),
        json!({ "conferenceParticipantAction": { "action": "uncoach" }, "conf_mute_status": "unmute" }),
        json!({ "conf_mute_status": "everybody" }),
        json!({ "whisper": { "verb": "play" } }),
        json!({ "conferenceParticipantAction": { "action": "uncoach" }, "whisper": { "verb": "hangup" } }),
        json!({}),
        json!([]),
    ] {
        let reply = exchange.rest.try_update(sid, body.clone()).await;
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        assert!(!reply.msg().is_empty(), "{body}: {reply:?}");
    }
    let mark = exchange.app.mark();
    for frame in [
        r#"{"type":"command","command":"conf:participant-action","data":{"action":"coach"}}"#,
        r#"{"type":"command","command":"conf:participant-action","data":{"action":"coach","tag":null}}"#,
        r#"{"type":"command","command":"conf:participant-action","data":{"action":"uncoachh"}}"#,
        r#"{"type":"command","command":"conf:participant-action","data":"uncoach"}"#,
        r#"{"type":"command","command":"conf:participant-action"}"#,
        r#"{"type":"command","command":"conf:participant-action","data":{"action":"uncoach"}"#,
        r#"{"type":"comand","command":"conf:participant-action","data":{"action":"uncoach"}}"#,
    ] {
        exchange.app.send_text(sid, frame);
    }
    exchange.app.told().expect_times("errors", 7, mark, SOON, |told| told.kind == "jambonz:error").await;
    // Commands are done in order: what comes after them has been done, so they have too.
    let cursor = exchange.cursor().await;
    exchange.app.action(sid, json!({ "action": "tag", "tag": "coach" }));
    exchange.native_event_after("member.tagged", sid, cursor).await;
    hears("after all failures", &four(&all, s), &[("agent", "coach")]).await;
    stays_silent("the customer", &customer.call, 50).await;
    silent_since_invite("the trainee heard the whisper", &all[2].call).await;
    assert!(agent.call.ear().wait_heard(s, -30.0, Instant::now(), SOON).await.is_some());
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_whispered_stays_a_whisper_when_coaching_ends() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent" })).await;
    let [customer, agent, _, coach] = &all;
    for _ in 0..10 {
        coach.falls_silent().await;
        exchange.action(coach, json!({ "action": "uncoach" })).await;
        assert!(customer.call.ear().wait_more(15, SOON).await);
        exchange.action(coach, json!({ "action": "coach", "tag": "agent" })).await;
        coach.speaks(s).await;
        assert!(agent.call.ear().wait_heard(s, -30.0, Instant::now(), SOON).await.is_some());
    }
    stays_silent("the customer heard the end of a whisper", &customer.call, 10).await;
    exchange.action(coach, json!({ "action": "uncoach" })).await;
    hears("the ear is open", &four(&all, s), &[("customer", "coach"), ("agent", "coach"), ("trainee", "coach")]).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tag_and_audience_belong_to_the_verb_that_joined_and_end_with_it() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let all = whisper(&exchange, s, json!({ "speakOnlyTo": "agent" })).await;
    let [customer, agent, _, coach] = &all;
    hears("coaching", &four(&all, s), &[("agent", "coach")]).await;
    stays_silent("the customer", &customer.call, 25).await;
    // New instructions without a tag: nothing of the old membership is left.
    let cursor = exchange.cursor().await;
    let again = |name: &str, more: Value| json!([verb(name, in_room(more))]);
    exchange.app.command(&agent.call_uuid, "redirect", again("agent", json!({})));
    exchange.native_event_after("member.joined", &agent.call_uuid, cursor).await;
    let untagged = Instant::now() + SETTLING;
    hears("the agent has joined again without a tag", &four(&all, s), &[]).await;
    silent_since("the agent hears without a tag", &agent.call, untagged).await;
    let cursor = exchange.cursor().await;
    exchange.app.command(&coach.call_uuid, "redirect", again("coach", json!({})));
    exchange.native_event_after("member.joined", &coach.call_uuid, cursor).await;
    let everybody = [("customer", "coach"), ("agent", "coach"), ("trainee", "coach")];
    hears("the coach has joined again as anybody", &four(&all, s), &everybody).await;
    let cursor = exchange.cursor().await;
    exchange.app.command(&coach.call_uuid, "redirect", again("coach", json!({ "speakOnlyTo": "trainee" })));
    exchange.native_event_after("member.joined", &coach.call_uuid, cursor).await;
    let whispers = Instant::now() + SETTLING;
    hears("and whispers again", &four(&all, s), &[("trainee", "coach")]).await;
    for member in [customer, agent] {
        never_heard_since("and whispers again", &member.call, s, whispers).await;
    }
    exchange.closes().await;
}
