//! Taps of a room: `POST` and `DELETE …/Conferences/{name}/listen`.

use std::time::Instant;

use phone::Mouth;
use phone::analysis::levels_20ms;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, hears, stays_silent, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::jambonz::sink::Brought;

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_of_a_tap_is_zero_while_the_coach_whispers_and_the_others_are_silent() {
    let [_, _, s] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let url = exchange.app.ws("/tap");
    let caller = exchange.joins("caller", json!({ "name": "support" }), Mouth::Silence).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    let three = [caller.heard(None), agent.heard(None), coach.heard(Some(s))];
    hears("coaching", &three, &[("agent", "coach")]).await;
    for rate in [8_000u32, 16_000, 24_000, 48_000] {
        let mark = exchange.app.sinks().mark();
        let reply =
            exchange.rest.tap("support", json!({ "url": url, "sampleRate": rate, "metadata": { "n": rate } })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let tap = exchange.app.sinks().stream("/tap", mark).await;
        assert_eq!(tap.metadata().await, json!({ "n": rate }));
        assert_eq!(tap.header("sec-websocket-protocol"), "audio.drachtio.org");
        let samples = tap.samples(tap.began(), rate as usize).await;
        let leak = samples.iter().position(|sample| *sample != 0);
        assert_eq!(leak, None, "{FORBIDDEN}: at {rate} Hz sample {leak:?} of {} is not zero", samples.len());
        // The tap is not deaf: what is for everybody is in it.
        exchange.action(&coach, json!({ "action": "uncoach" })).await;
        tap.hears(s, rate, Instant::now()).await;
        let whispers = exchange.action(&coach, json!({ "action": "coach", "tag": "agent" })).await + SETTLING;
        let after = tap.samples(whispers, rate as usize / 2).await;
        assert!(after.iter().all(|sample| *sample == 0), "{FORBIDDEN}: the whisper is in the tap at {rate} Hz");
        let gone = exchange.rest.request(Method::DELETE, &exchange.rest.room("support", "/listen"), None).await;
        assert_eq!((gone.status, gone.text.as_str()), (204, ""), "{gone:?}");
        tap.closed().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_brings_the_mix_at_its_level_in_frames_of_real_time() {
    let [c, a, _] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let _caller = exchange.joins_and_speaks("caller", json!({ "name": "support" }), c).await;
    let _agent = exchange.joins_and_speaks("agent", json!({ "name": "support", "memberTag": "agent" }), a).await;
    for rate in [8_000u32, 48_000] {
        let mark = exchange.app.sinks().mark();
        let body = json!({ "url": exchange.app.ws("/tap"), "sampleRate": rate });
        assert_eq!(exchange.rest.tap("support", body).await.status, 201);
        let tap = exchange.app.sinks().stream("/tap", mark).await;
        assert_eq!(tap.metadata().await, json!({}));
        for tone in [c, a] {
            tap.hears(tone, rate, tap.began()).await;
        }
        // Long enough that what had piled up before, or an instant too late, is a small part of it.
        let from = Instant::now();
        tap.samples(from, 5 * rate as usize).await;
        let took = from.elapsed();
        assert!((4_250..6_500).contains(&took.as_millis()), "five seconds of sound came in {took:?}");
        let heard = tap.at_8k(rate, from);
        for tone in [c, a] {
            let level = levels_20ms(&heard, tone).median();
            assert!((level + 20.0).abs() < 1.0, "{tone} Hz is at {level:.1} dBFS in a tap at {rate} Hz");
        }
        exchange.rest.request(Method::DELETE, &exchange.rest.room("support", "/listen"), None).await;
        tap.closed().await;
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_is_started_once_and_its_requests_have_the_vendors_answers() {
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let (rest, url) = (&exchange.rest, exchange.app.ws("/tap"));
    let reply = rest.tap("support", json!({ "url": url })).await;
    assert_eq!(reply.status, 404, "there is no such room: {reply:?}");
    let _caller = exchange.joins("caller", json!({ "name": "support" }), Mouth::Silence).await;
    for (body, what) in [
        (json!({}), "no url"),
        (json!({ "url": "http://example.com/" }), "no socket"),
        (json!({ "url": "/tap" }), "no absolute url"),
        (json!({ "url": url, "sampleRate": 11_025 }), "a rate"),
        (json!({ "url": url, "sampleRate": "fast" }), "no rate"),
    ] {
        let reply = rest.tap("support", body).await;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
        assert!(!reply.msg().is_empty(), "{what}: {reply:?}");
    }
    let scope = rest.tap("support", json!({ "url": url, "scope": "hall" })).await;
    assert!(matches!(scope.status, 400 | 501), "{scope:?}");
    let nobody = exchange.app.ws("/nobody-listens").replace(&exchange.app.port().to_string(), "9");
    let unreachable = rest.tap("support", json!({ "url": nobody })).await;
    assert_eq!(unreachable.status, 502, "{unreachable:?}");

    // Metadata come as they were written, to the byte.
    let metadata = r#"{"zeta":1,"alpha":{"äöü":"\"quoted\"","n":1.5},"list":[true,null,"x"]}"#;
    let body = format!(r#"{{"url":"{url}","metadata":{metadata},"sampleRate":16000}}"#);
    let mark = exchange.app.sinks().mark();
    let first = rest.send(Method::POST, &rest.room("support", "/listen"), Some(&body), Some("application/json")).await;
    assert_eq!(first.status, 201, "{first:?}");
    let tap = exchange.app.sinks().stream("/tap", mark).await;
    match tap.log().expect("metadata", 0, SOON, |_| true).await {
        Brought::Text(text) => assert_eq!(text, metadata),
        other => panic!("{other:?}"),
    }
    for key in ["botMemberId", "botId"] {
        assert!(!first.json[key].is_null(), "{first:?}");
    }
    let again = rest.tap("support", json!({ "url": url, "sampleRate": 16_000 })).await;
    assert_eq!((again.status, &again.json), (200, &first.json), "{again:?}");
    let members = rest.tap("support", json!({ "url": url, "scope": "members" })).await;
    assert_eq!(members.status, 201, "each scope has its own tap: {members:?}");
    for path in ["/listen?scope=members", "/listen"] {
        for status in [204, 404] {
            let reply = rest.request(Method::DELETE, &rest.room("support", path), None).await;
            assert_eq!(reply.status, status, "DELETE {path}: {reply:?}");
        }
    }
    tap.closed().await;
    assert_eq!(exchange.app.sinks().all().len(), 2, "more streams than taps");
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_is_no_member_keeps_no_room_alive_and_ends_with_it() {
    let [c, _, _] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let caller = exchange.joins("caller", json!({ "name": "support" }), voice(c)).await;
    let other = exchange.joins("other", json!({ "name": "support" }), Mouth::Silence).await;
    for scope in ["mix", "members"] {
        let reply = exchange.rest.tap("support", json!({ "url": exchange.app.ws("/tap"), "scope": scope })).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    let listed = exchange.rest.get(&exchange.rest.path("/Conferences?expand=participants")).await;
    let listed_sids = |listed: &Value| -> Vec<String> {
        let participants = listed[0]["participants"].as_array().cloned().unwrap_or_default();
        participants.iter().map(|one| one["call_sid"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(listed_sids(&listed), [caller.call_uuid.clone(), other.call_uuid.clone()], "{listed}");
    let left = {
        let mark = exchange.app.mark();
        other.leaves().await;
        exchange.app.event(&other.call_uuid, "leave", mark).await
    };
    assert_eq!(left.data["members"], 1, "{}", left.raw);
    // Nobody hears the taps, and the taps hear the caller to the end.
    stays_silent("the caller", &caller.call, 25).await;
    caller.leaves().await;
    for tap in exchange.app.sinks().all() {
        assert_eq!(tap.closed().await, 1000);
    }
    exchange.native_event("room.ended", "").await;
    assert_eq!(exchange.rest.get(&exchange.rest.path("/Conferences")).await, json!([]));
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_that_does_not_read_costs_nobody_a_packet() {
    let [c, a, _] = tones::<3>();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/slow");
    exchange.app.sinks().reads("/slow", false);
    let caller = exchange.joins("caller", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support" }), voice(a)).await;
    let body = json!({ "url": exchange.app.ws("/slow"), "sampleRate": 48_000 });
    assert_eq!(exchange.rest.tap("support", body).await.status, 201);
    let since = Instant::now();
    // What a socket that nobody reads takes at most, several times over, is less than this: 96 000 bytes a second.
    for member in [&caller, &agent] {
        assert!(member.call.ear().wait_more(400, SOON * 2).await);
    }
    let two = [caller.heard(Some(c)), agent.heard(Some(a))];
    hears("beside a tap that does not read", &two, &[("caller", "agent"), ("agent", "caller")]).await;
    for member in [&caller, &agent] {
        let stream = phone::analysis::continuity(&member.call.ear().since(since));
        assert!(stream.is_lossless() && stream.ssrcs.len() == 1, "{}: {stream}", member.name);
    }
    // It can be ended all the same.
    let gone = exchange.rest.request(Method::DELETE, &exchange.rest.room("support", "/listen"), None).await;
    assert_eq!(gone.status, 204, "{gone:?}");
    exchange.closes().await;
}
