//! Sounds of a conference that no member makes: beeps, what is said and played to the room, digits that are relayed.

use std::time::Instant;

use phone::Mouth;
use phone::analysis::{exact_silence, rms_dbfs};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{SETTLING, hears, silent_since, silent_since_invite, stays_silent, tones};
use system_tests::jambonz::exchange::Exchange;
use system_tests::office::Member;

/// The two tones of the key 5.
const FIVE: [u32; 2] = [770, 1336];

fn sounds_since(member: &Member, since: Instant) -> bool {
    exact_silence(&member.call.ear().since(since)).is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beep_sounds_in_the_room_once_when_its_member_has_entered_and_never_when_he_leaves() {
    let exchange = Exchange::open().await;
    let first = exchange.joins("first", json!({ "name": "support" }), Mouth::Silence).await;
    let quiet = exchange.joins("quiet", json!({ "name": "support" }), Mouth::Silence).await;
    let other = exchange.joins("other", json!({ "name": "support", "beep": false }), Mouth::Silence).await;
    stays_silent("no beep was asked for", &first.call, 25).await;
    other.leaves().await;
    stays_silent("without a beep", &first.call, 25).await;
    let since = Instant::now();
    let beeping = exchange.joins("beeping", json!({ "name": "support", "beep": true }), Mouth::Silence).await;
    for member in [&first, &quiet] {
        let beeped = member.call.ear().wait_until(SOON, |_| sounds_since(member, since)).await;
        assert!(beeped, "{} hears no beep", member.name);
    }
    // Until it is over: a second of exact silence.
    let over = first
        .call
        .ear()
        .wait_until(SOON, |ear| {
            let packets = ear.since(since);
            packets.len() > 75 && exact_silence(&packets[packets.len() - 50..]).is_ok()
        })
        .await;
    assert!(over, "the beep does not end");
    let mark = exchange.app.mark();
    let leaves = Instant::now();
    beeping.leaves().await;
    exchange.app.event(&beeping.call_uuid, "leave", mark).await;
    assert!(first.call.ear().wait_more(50, SOON).await);
    silent_since("a beep when he left", &first.call, leaves).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_played_and_said_to_the_room_is_heard_by_every_member_and_told() {
    let [played, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    let url_of_room = exchange.tone("/room.wav", played);
    let url = url_of_room;
    exchange.app.sinks().open("/tap");
    let events = json!(["join", "leave", "play-start", "play-done", "say-start", "say-done"]);
    let room = json!({ "name": "support", "statusEvents": events });
    let first = exchange.joins("first", room.clone(), Mouth::Silence).await;
    let second = exchange.joins("second", room, Mouth::Silence).await;
    assert_eq!(exchange.rest.tap("support", json!({ "url": exchange.app.ws("/tap") })).await.status, 201);
    let tap = exchange.app.sinks().stream("/tap", 0).await;
    let (mark, since) = (exchange.app.mark(), Instant::now());
    exchange.app.command(&second.call_uuid, "room:play", json!({ "url": url, "id": "jingle" }));
    for member in [&first, &second] {
        let heard = member.call.ear().wait_heard(played, -30.0, since, SOON).await;
        assert!(heard.is_some(), "{} does not hear what is played to the room", member.name);
    }
    tap.hears(played, 8_000, since).await;
    let begun = exchange.app.event("", "play-start", mark).await;
    let done = exchange.app.event("", "play-done", mark).await;
    assert_eq!((begun.text("id"), done.text("id")), ("jingle", "jingle"), "{} {}", begun.raw, done.raw);
    let (mark, since) = (exchange.app.mark(), Instant::now());
    let text = json!({ "text": "This call may be heard by your supervisor.", "id": "notice" });
    exchange.app.command(&first.call_uuid, "room:say", text);
    let begun = exchange.app.event("", "say-start", mark).await;
    let done = exchange.app.event("", "say-done", mark).await;
    assert_eq!((begun.text("id"), done.text("id")), ("notice", "notice"));
    for member in [&first, &second] {
        let samples = phone::analysis::Track::new(&member.call.ear().since(since)).samples;
        assert!(rms_dbfs(&samples) > -50.0, "{} does not hear what is said to the room", member.name);
    }
    // By REST as well.
    let since = Instant::now();
    exchange.rest.update(&first.call_uuid, json!({ "room_play": { "url": url } })).await;
    assert!(second.call.ear().wait_heard(played, -30.0, since, SOON).await.is_some());
    exchange.closes().await;
}

async fn presses_five(member: &Member) -> Instant {
    let since = Instant::now();
    member.call.send_digits("5").await.unwrap();
    since
}

async fn hears_five(what: &str, member: &Member, since: Instant) {
    for tone in FIVE {
        let heard = member.call.ear().wait_heard(tone, -40.0, since, SOON).await;
        assert!(heard.is_some(), "{what}: {} does not hear the key", member.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_distributed_where_it_was_asked_for_and_only_to_whom_the_presser_may_speak() {
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    let join = |more: Value| {
        let mut all = json!({ "name": "support", "distributeDtmf": true });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    // Not asked for: nobody hears it.
    let since = presses_five(&customer).await;
    assert!(agent.call.ear().wait_more(50, SOON).await);
    silent_since("a key that was not to be distributed was heard", &agent.call, since).await;
    // A coach's key is for whom he coaches.
    let coach = exchange.joins("coach", join(json!({ "speakOnlyTo": "agent" })), Mouth::Silence).await;
    let since = presses_five(&coach).await;
    hears_five("a coach's key", &agent, since).await;
    silent_since_invite("the customer heard a coach's key", &customer.call).await;
    // Anybody else's is for all.
    let talker = exchange.joins("talker", join(json!({})), Mouth::Silence).await;
    let since = presses_five(&talker).await;
    for member in [&customer, &agent, &coach] {
        hears_five("anybody's key", member, since).await;
    }
    assert!(talker.call.ear().wait_more(25, SOON).await);
    silent_since("who pressed it heard it himself", &talker.call, since).await;
    // A muted member's is for nobody.
    exchange.action(&talker, json!({ "action": "mute" })).await;
    let quiet = Instant::now() + SETTLING * 4;
    assert!(customer.call.ear().wait_more(50, SOON).await);
    presses_five(&talker).await;
    assert!(customer.call.ear().wait_more(50, SOON).await);
    silent_since("a muted member's key was heard", &customer.call, quiet).await;
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coachs_beep_is_for_those_whom_he_coaches() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    let customer = exchange.joins("customer", json!({ "name": "support" }), Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    stays_silent("before he comes", &agent.call, 25).await;
    let since = Instant::now();
    let coach = json!({ "name": "support", "speakOnlyTo": "agent", "beep": true });
    let coach = exchange.joins("coach", coach, Mouth::Silence).await;
    let beeped = agent.call.ear().wait_until(SOON, |_| sounds_since(&agent, since)).await;
    assert!(beeped, "the agent hears no beep");
    coach.speaks(s).await;
    let three = [customer.heard(None), agent.heard(None), coach.heard(Some(s))];
    hears("after the beep", &three, &[("agent", "coach")]).await;
    silent_since_invite("the customer heard that a coach has come", &customer.call).await;
    exchange.closes().await;
}
