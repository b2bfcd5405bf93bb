//! Taps of scope `members`, by ear: each socket has its member's own voice, and nothing of anybody else.

use std::collections::HashMap;
use std::time::Instant;

use phone::Mouth;
use phone::analysis::{SILENT_20MS_DBFS, levels_20ms};
use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, is_alone, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::jambonz::sink::Stream;
use system_tests::office::Member;

/// The streams so far, by call, until there are so many of them.
async fn streams(exchange: &Exchange, count: usize) -> HashMap<String, Stream> {
    let mut found = HashMap::new();
    for place in 0..count {
        exchange.app.sinks().stream("/tap", place).await;
        let stream = exchange.app.sinks().all().remove(place);
        assert_eq!(stream.metadata().await, json!({ "case": 7 }));
        let who = stream.text("who it is", 0, |frame| frame["type"] == "member").await;
        let sid = who["data"]["call_sid"].as_str().unwrap_or_default().to_owned();
        assert!(found.insert(sid.clone(), stream).is_none(), "{sid} has two streams");
    }
    found
}

/// For a second from an instant on, this tone alone is in the stream, at the level at which it was said.
async fn brings(what: &str, stream: &Stream, rate: u32, own: u32, all: &[u32], from: Instant) {
    stream.samples(from, rate as usize).await;
    is_alone(what, &stream.at_8k(rate, from), own, all);
}

/// The streams are in time with real time: since an instant all of them have brought as much, but for 200 ms. One that is read late has a
/// chance to come up; one that is behind stays so.
async fn are_in_time(streams: [&Stream; 3], rate: u32, from: Instant) {
    let mut lengths = [0; 3];
    for _ in 0..5 {
        for stream in streams {
            stream.samples(Instant::now(), rate as usize / 10).await;
        }
        lengths = streams.map(|stream| stream.bytes_since(from).len());
        let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
        if most - least <= rate as usize / 5 * 2 {
            return;
        }
    }
    panic!("{lengths:?} bytes at {rate} Hz");
}

/// For half a second from an instant on, every sample is zero.
async fn is_zero(what: &str, stream: &Stream, rate: u32, from: Instant) {
    let samples = stream.samples(from, rate as usize / 2).await;
    let leak = samples.iter().position(|sample| *sample != 0);
    assert_eq!(leak, None, "{what}: {FORBIDDEN}: sample {leak:?} of {} is not zero", samples.len());
}

/// Waits for a quarter of a second of zeros: what may be heard takes its time to be over.
async fn becomes_zero(what: &str, stream: &Stream, rate: u32) {
    let end = Instant::now() + SOON;
    while stream.samples(Instant::now(), rate as usize / 4).await.iter().any(|sample| *sample != 0) {
        assert!(Instant::now() < end, "{what}: it goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_members_is_alone_in_his_stream_and_a_whispering_coach_is_in_none() {
    let all = tones::<4>();
    let [x, y, z, w] = all;
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    for rate in [8_000u32, 16_000] {
        let before = exchange.app.sinks().mark();
        let name = |who: &str| format!("{who}-{rate}");
        let room = format!("support-{rate}");
        let customer = exchange.joins(&name("customer"), json!({ "name": room }), voice(x)).await;
        let agent = exchange.joins(&name("agent"), json!({ "name": room, "memberTag": "agent" }), voice(y)).await;
        let guest = exchange.joins(&name("guest"), json!({ "name": room, "memberTag": "guest" }), voice(z)).await;
        let coach = exchange.joins(&name("coach"), json!({ "name": room, "speakOnlyTo": "agent" }), voice(w)).await;
        // He does whisper, to the agent and to nobody else.
        let since = Instant::now();
        assert!(agent.call.ear().wait_heard(w, -30.0, since, SOON).await.is_some(), "the coach is not heard");
        let body = json!({
            "url": exchange.app.ws("/tap"), "scope": "members", "sampleRate": rate, "metadata": { "case": 7 },
        });
        let reply = exchange.rest.tap(&room, body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        let mut of: HashMap<String, Stream> = streams(&exchange, before + 4).await;
        let mut stream = |member: &Member| of.remove(&member.call_uuid).expect("he has a stream");
        let (of_customer, of_agent, of_guest) = (stream(&customer), stream(&agent), stream(&guest));
        let of_coach = stream(&coach);
        let speakers = [("customer", &of_customer, x), ("agent", &of_agent, y), ("guest", &of_guest, z)];
        is_zero("a whisper, from the first sample on", &of_coach, rate, of_coach.began()).await;
        let from = Instant::now();
        for (who, stream, own) in speakers {
            brings(&format!("{who} while the coach whispers"), stream, rate, own, &all, from).await;
        }
        are_in_time(speakers.map(|(_, stream, _)| stream), rate, from).await;

        // Who is no coach any more is in his own stream, and in no other.
        let since = exchange.action(&coach, json!({ "action": "uncoach" })).await;
        of_coach.hears(w, rate, since).await;
        let from = Instant::now();
        brings("the coach, heard by all", &of_coach, rate, w, &all, from).await;
        for (who, stream, own) in speakers {
            brings(&format!("{who} beside him"), stream, rate, own, &all, from).await;
        }
        // Muted, held, whispering again: nothing.
        exchange.action(&customer, json!({ "action": "mute" })).await;
        exchange.action(&guest, json!({ "action": "hold" })).await;
        exchange.action(&coach, json!({ "action": "coach", "tag": "guest" })).await;
        let from = Instant::now() + SETTLING;
        for (what, stream) in [("muted", &of_customer), ("held", &of_guest), ("whispering", &of_coach)] {
            is_zero(what, stream, rate, from).await;
        }
        brings("the agent, left alone", &of_agent, rate, y, &all, from).await;
        // Whoever leaves takes his stream with him, and whoever comes brings one.
        guest.leaves().await;
        assert_eq!(of_guest.closed().await, 1000);
        let later = exchange.joins(&name("later"), json!({ "name": room }), voice(z)).await;
        let of_later = streams(&exchange, before + 5).await.remove(&later.call_uuid).expect("he has a stream");
        of_later.hears(z, rate, Instant::now()).await;
        brings("who came later", &of_later, rate, z, &all, Instant::now()).await;
        for stream in [&of_customer, &of_agent, &of_coach] {
            assert!(!stream.is_closed());
        }
        let path = exchange.rest.room(&room, "/listen?scope=members");
        assert_eq!(exchange.rest.request(Method::DELETE, &path, None).await.status, 204);
        for stream in [&of_customer, &of_agent, &of_coach, &of_later] {
            stream.closed().await;
        }
    }
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_whose_whisper_begins_while_he_speaks_leaves_no_word_of_it_in_his_stream() {
    let [c, _, w] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let _customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), Mouth::Silence).await;
    let coach = exchange.joins("coach", json!({ "name": "support" }), Mouth::Silence).await;
    let body = json!({ "url": exchange.app.ws("/tap"), "scope": "members", "metadata": { "case": 7 } });
    assert_eq!(exchange.rest.tap("support", body).await.status, 201);
    let of_coach = streams(&exchange, 3).await.remove(&coach.call_uuid).expect("he has a stream");
    for round in 0..5 {
        // Silent, a coach, and only then does he speak: not a sample of it may be there, then or later.
        exchange.action(&coach, json!({ "action": "coach", "tag": "agent" })).await;
        let from = Instant::now();
        coach.speaks(w).await;
        is_zero(&format!("round {round}"), &of_coach, 8_000, from).await;
        coach.falls_silent().await;
        assert!(agent.call.ear().wait_quiet(w, -60.0, from, SETTLING * 2, SOON).await.is_some());
        let ends = exchange.action(&coach, json!({ "action": "uncoach" })).await;
        of_coach.samples(ends, 8_000 / 2).await;
        let loudest = levels_20ms(&of_coach.at_8k(8_000, from), w).max();
        assert!(
            loudest < SILENT_20MS_DBFS,
            "round {round}: {FORBIDDEN}: the whisper came afterwards, at {loudest:.1} dBFS"
        );
        // And what he says to all is there.
        let aloud = coach.speaks(w).await;
        of_coach.hears(w, 8_000, aloud).await;
        coach.falls_silent().await;
        becomes_zero("after he fell silent", &of_coach, 8_000).await;
    }
    exchange.closes().await;
}
