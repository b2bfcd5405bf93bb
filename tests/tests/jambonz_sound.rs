//! What programs of the jambonz dialect hear and say beside a conference's own sound: speech that is understood, each member apart, tracks.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use phone::Mouth;
use phone::analysis::{SILENT_20MS_DBFS, levels_20ms};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, hears, is_alone, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::log::Log;

/// A recogniser of speech that understands what it is told to understand.
struct Recogniser {
    port: u16,
    asked: Arc<Log<Heard>>,
    serving: tokio::task::JoinHandle<()>,
}

/// What it was asked.
#[derive(Clone, Debug)]
struct Heard {
    query: String,
    kind: String,
    credentials: String,
    wav: Vec<u8>,
}

impl Drop for Recogniser {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Recogniser {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Log::default());
        let router = axum::Router::new().fallback(understand).with_state(Arc::clone(&asked));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, asked, serving }
    }
}

/// The hint says what shall come of it.
async fn understand(
    State(asked): State<Arc<Log<Heard>>>,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let field = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let query = uri.query().unwrap_or_default().to_owned();
    let answer = match &query {
        query if query.contains("fail") => (StatusCode::BAD_REQUEST, "no").into_response(),
        query if query.contains("mumble") => {
            axum::Json(json!({ "text": "perhaps", "confidence": 0.2 })).into_response()
        }
        _ => {
            let best = json!({ "transcript": "yes, please", "confidence": 0.93 });
            let other = json!({ "transcript": "yes, peas", "confidence": 0.4 });
            axum::Json(json!({ "alternatives": [best, other], "language": "en-GB" })).into_response()
        }
    };
    asked.push(Heard { query, kind: field("content-type"), credentials: field("authorization"), wav: body.to_vec() });
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_says_is_understood_by_the_recogniser_that_is_configured() {
    let [c, _, _] = tones::<3>();
    let recogniser = Recogniser::start().await;
    let url = format!("\"http://aside:p%40ss@127.0.0.1:{}/stt?model=small\"", recogniser.port);
    let exchange = Exchange::with(Exchange::options().set("speech", "recogniser", &url)).await;
    let gather = |what: &str| {
        json!([{
            "verb": "gather", "input": ["speech", "digits"], "actionHook": format!("/gather/{what}"), "timeout": 20,
            "speechTimeout": 0.5, "interDigitTimeout": 1,
            "recognizer": { "vendor": "default", "language": "en-US", "hints": [what, "two words"], "minConfidence": 0.5 },
        }])
    };
    exchange.app.verbs("/gather/agree", gather("mumble"));
    exchange.app.verbs("/gather/mumble", gather("fail"));
    exchange.app.verbs("/gather/fail", gather("digits"));
    let caller = exchange.runs("caller", gather("agree"), Mouth::Silence).await;
    let says = async |mark: usize, what: &str| {
        caller.call.say(voice(c)).await.unwrap();
        let line = caller.call.line().unwrap();
        let (sent, from) = (line.sent().packets, Instant::now());
        while line.sent().packets < sent + 50 && from.elapsed() < SOON {
            assert!(caller.call.ear().wait_more(5, SOON).await);
        }
        caller.call.say(Mouth::Silence).await.unwrap();
        exchange.app.hears(&caller.sid, &format!("/gather/{what}"), mark, |_| true).await
    };
    let told = says(0, "agree").await;
    assert_eq!(told.text("reason"), "speechDetected", "{}", told.raw);
    let speech = &told.data["speech"];
    assert_eq!(speech["alternatives"][0], json!({ "transcript": "yes, please", "confidence": 0.93 }), "{speech}");
    assert_eq!((&speech["language_code"], &speech["is_final"]), (&json!("en-GB"), &json!(true)), "{speech}");
    let asked = recogniser.asked.expect("a question", 0, SOON, |_| true).await;
    assert_eq!(asked.query, "model=small&language=en-US&hints=agree%2Ctwo+words");
    assert_eq!((asked.kind.as_str(), asked.credentials.as_str()), ("audio/wav", "Basic YXNpZGU6cEBzcw=="));
    let wav = audio::wav::read(&asked.wav).expect("it is a WAV file");
    assert_eq!((wav.rate, wav.channels), (8_000, 1));
    assert!((wav.samples.len() as f64 / 8_000.0 - 1.5).abs() < 1.2, "{} samples", wav.samples.len());
    let level = levels_20ms(&wav.samples, c).max();
    assert!((level + 20.0).abs() < 1.0, "the caller's tone is in it at {level:.1} dBFS");

    let told = says(told_after(&exchange), "mumble").await;
    assert_eq!(told.text("reason"), "stt-low-confidence", "{}", told.raw);
    let told = says(told_after(&exchange), "fail").await;
    assert_eq!(told.text("reason"), "error", "{}", told.raw);
    assert!(told.data["details"]["error"].as_str().is_some_and(|why| why.contains("recogniser")), "{}", told.raw);
    // Digits count beside speech.
    let mark = told_after(&exchange);
    caller.call.send_digits("42").await.unwrap();
    let told = exchange.app.hears(&caller.sid, "/gather/digits", mark, |_| true).await;
    assert_eq!((told.text("reason"), told.text("digits")), ("dtmfDetected", "42"), "{}", told.raw);
    exchange.closes().await;
}

fn told_after(exchange: &Exchange) -> usize {
    exchange.app.mark()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_of_members_brings_each_one_apart_with_who_it_is_and_no_whisper() {
    let [c, a, s] = tones();
    let exchange = Exchange::open().await;
    exchange.app.sinks().open("/tap");
    let customer = exchange.joins("customer", json!({ "name": "support" }), voice(c)).await;
    let agent = exchange.joins("agent", json!({ "name": "support", "memberTag": "agent" }), voice(a)).await;
    let body = json!({ "url": exchange.app.ws("/tap"), "scope": "members", "metadata": { "case": 7 } });
    let reply = exchange.rest.tap("support", body).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let of = async |sid: &str| {
        for _ in 0..3 {
            for stream in exchange.app.sinks().all() {
                assert_eq!(stream.metadata().await, json!({ "case": 7 }));
                let who = stream.text("who it is", 0, |frame| frame["type"] == "member").await;
                if who["data"]["call_sid"] == sid {
                    return (stream, who["data"].clone());
                }
            }
            let mark = exchange.app.sinks().mark();
            exchange.app.sinks().stream("/tap", mark).await;
        }
        panic!("{sid} has no stream")
    };
    let (of_customer, who) = of(&customer.call_uuid).await;
    assert_eq!(who["memberTag"], "", "{who}");
    assert!(who["label"].as_str().is_some_and(|label| label.contains("customer@")), "{who}");
    let (of_agent, who) = of(&agent.call_uuid).await;
    assert_eq!(who["memberTag"], "agent", "{who}");
    assert!(who["memberId"].as_str().is_some_and(|id| !id.is_empty()), "{who}");
    // Whoever comes later has a stream too; a whisper is not in it.
    let coach = exchange.joins("coach", json!({ "name": "support", "speakOnlyTo": "agent" }), voice(s)).await;
    let three = [customer.heard(Some(c)), agent.heard(Some(a)), coach.heard(Some(s))];
    let coached =
        [("customer", "agent"), ("agent", "customer"), ("agent", "coach"), ("coach", "customer"), ("coach", "agent")];
    hears("he coaches", &three, &coached).await;
    let (of_coach, _) = of(&coach.call_uuid).await;
    let whispered = of_coach.samples(of_coach.began(), 8_000).await;
    let leak = whispered.iter().position(|sample| *sample != 0);
    assert_eq!(leak, None, "{FORBIDDEN}: sample {leak:?} of the coach's stream is not zero");
    for (stream, own, others) in [(&of_customer, c, [a, s]), (&of_agent, a, [c, s])] {
        let samples = stream.samples(Instant::now(), 8_000).await;
        is_alone(&format!("the stream of {own} Hz"), &samples, own, &others);
    }
    let since = exchange.action(&coach, json!({ "action": "uncoach" })).await;
    of_coach.hears(s, 8_000, since).await;
    coach.leaves().await;
    assert_eq!(of_coach.closed().await, 1000);
    assert!(!of_agent.is_closed());
    exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_are_mixed_into_what_one_call_hears_and_there_are_five_at_most() {
    let [one, two, c] = tones();
    let exchange = Exchange::open().await;
    let (first, second) = (exchange.tone("/one.wav", one), exchange.tone("/two.wav", two));
    let other = exchange.joins("other", json!({ "name": "support" }), voice(c)).await;
    let caller = exchange.joins("caller", json!({ "name": "support" }), Mouth::Silence).await;
    let dub = |action: &str, track: &str, more: Value| {
        let mut data = json!({ "action": action, "track": track });
        data.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        data
    };
    let since = Instant::now();
    exchange
        .rest
        .update(&caller.call_uuid, json!({ "dub": dub("addTrack", "a", json!({ "play": first, "loop": true })) }))
        .await;
    exchange.app.command(
        &caller.call_uuid,
        "dub",
        dub("addTrack", "b", json!({ "play": second, "loop": true, "gain": -6 })),
    );
    for tone in [one, two, c] {
        assert!(caller.call.ear().wait_heard(tone, -30.0, since, SOON).await.is_some(), "{tone} Hz is not heard");
    }
    let removed = exchange.app.mark();
    exchange.app.command(&caller.call_uuid, "dub", dub("silenceTrack", "b", json!({})));
    exchange.rest.update(&caller.call_uuid, json!({ "dub": dub("removeTrack", "a", json!({})) })).await;
    let from = Instant::now();
    for tone in [one, two] {
        let quiet = caller.call.ear().wait_quiet(tone, -50.0, from, std::time::Duration::from_millis(500), SOON).await;
        assert!(quiet.is_some(), "{tone} Hz goes on");
    }
    // The other member never heard a track.
    let samples = phone::analysis::Track::new(&other.call.ear().since(since + SETTLING)).samples;
    for tone in [one, two] {
        assert!(
            levels_20ms(&samples, tone).max() < SILENT_20MS_DBFS,
            "{FORBIDDEN}: {tone} Hz was heard by somebody else"
        );
    }
    // "b" is there still: four more are five.
    for track in ["c", "d", "e", "f"] {
        exchange.rest.update(&caller.call_uuid, json!({ "dub": dub("addTrack", track, json!({})) })).await;
    }
    let reply = exchange.rest.try_update(&caller.call_uuid, json!({ "dub": dub("addTrack", "g", json!({})) })).await;
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.msg().contains("at most 5 tracks"), "{reply:?}");
    exchange.app.command(&caller.call_uuid, "dub", dub("addTrack", "h", json!({})));
    let error = exchange.app.hears(&caller.call_uuid, "jambonz:error", removed, |_| true).await;
    assert!(error.text("details").contains("at most 5 tracks"), "{}", error.raw);
    exchange.closes().await;
}
