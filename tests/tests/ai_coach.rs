//! The example `ai-coach`: a program that hears an agent's call and whispers to the agent alone, run as it is shipped, with the official package.

use std::time::{Duration, Instant};

use phone::analysis::{Track, level_dbfs, rms_dbfs};
use phone::{Call, CallOptions, Mouth, Phone};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{FORBIDDEN, SETTLING, stays_silent, tones, voice};
use system_tests::jambonz::exchange::Exchange;
use system_tests::server::PROGRAM_HOST;
use system_tests::tool::{Scratch, Tool, package_dir};
use tokio::process::Command;

const ROOM: &str = "support";
/// What is louder than this in 20 ms is sound, dBFS.
const SOUND: f64 = -40.0;

/// The program at work, and a phone of each of its applications.
struct Coached {
    exchange: Exchange,
    program: Tool,
    // Ends after the program that runs in it.
    _folder: Scratch,
    _phones: [Phone; 2],
    customer: Call,
    agent: Call,
    /// The agent's call.
    sid: String,
}

/// The example in a folder of its own, with the packages of the tests.
fn shipped() -> Scratch {
    let from = package_dir().join("../examples/ai-coach");
    let folder = Scratch::new("ai-coach");
    for file in ["coach.mjs", "meter.mjs", "think.mjs", "voice.mjs", "package.json"] {
        std::fs::copy(from.join(file), folder.path().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    let version = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["dependencies"]["@jambonz/sdk"].clone()
    };
    assert_eq!(
        version(from.join("package.json")),
        version(package_dir().join("package.json")),
        "another version is run"
    );
    std::os::unix::fs::symlink(package_dir().join("node_modules"), folder.path().join("node_modules")).unwrap();
    folder
}

impl Coached {
    /// Both are in the room, silent, and the program listens to the agent.
    async fn begin(limits: &[(&str, &str)]) -> Self {
        let exchange = Exchange::open().await;
        let folder = shipped();
        let mut command = Command::new("node");
        command
            .arg("coach.mjs")
            .current_dir(folder.path())
            .env("PORT", "0")
            .env("ROOM", ROOM)
            .envs(limits.iter().copied());
        let program = Tool::start("ai-coach", &mut command);
        let ready = program.line("its port", SOON * 2, |line| line.starts_with("ready on port ")).await;
        let port = ready.rsplit(' ').next().unwrap_or_default().to_owned();
        let (customers, customer, _) = calls(&exchange, &port, "customer").await;
        let (agents, agent, sid) = calls(&exchange, &port, "agent").await;
        program.line("the stream of the agent's call", SOON, |line| line == format!("listening to {sid}")).await;
        Self { exchange, program, _folder: folder, _phones: [customers, agents], customer, agent, sid }
    }

    /// Waits for a hint to the agent, at or after a place in the program's output.
    async fn hint(&self, mark: usize, cause: &str) {
        let begin = format!("hint to {} ({cause}): ", self.sid);
        self.program.out.expect(&begin, mark, SOON, |line| line.starts_with(&begin)).await;
    }

    async fn was_heard(&self, mark: usize) {
        let end = format!(" to {} was heard", self.sid);
        self.program.out.expect(&end, mark, SOON * 2, |line| line.ends_with(&end)).await;
    }
}

async fn calls(exchange: &Exchange, port: &str, name: &str) -> (Phone, Call, String) {
    let hook = json!({ "url": format!("ws://{PROGRAM_HOST}:{port}/{name}"), "method": "WS" });
    let cursor = exchange.cursor().await;
    let phone = exchange.phone_of(name, hook.clone(), hook, Mouth::Silence).await;
    let call = phone.call(&exchange.number_of(name), CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let (joined, _) = exchange.native_event_after("member.joined", "", cursor).await;
    (phone, call, joined["call_uuid"].as_str().unwrap_or_default().to_owned())
}

/// Frames of 20 ms with sound in them, in what somebody received since then.
fn sounds(call: &Call, since: Instant) -> usize {
    let samples = Track::new(&call.ear().since(since)).samples;
    samples.chunks_exact(160).filter(|frame| rms_dbfs(frame) > SOUND).count()
}

/// Frames of 20 ms in which there is more than this tone.
fn more_than(call: &Call, tone: u32, from: Instant, to: Instant) -> usize {
    let samples = Track::new(&call.ear().between(from, to)).samples;
    assert!(samples.len() > 8_000, "{} samples are no measurement", samples.len());
    let more = |frame: &&[i16]| rms_dbfs(frame) > SOUND && rms_dbfs(frame) > level_dbfs(frame, tone) + 1.0;
    samples.chunks_exact(160).filter(more).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_hears_the_hint_and_customer_and_tap_hear_exactly_nothing() {
    let [c, a, _] = tones::<3>();
    let coached = Coached::begin(&[("SILENCE_S", "3"), ("MONOLOGUE_S", "100"), ("PAUSE_S", "100")]).await;
    let Coached { exchange, customer, agent, sid, program, .. } = &coached;
    exchange.app.sinks().open("/tap");
    let reply = exchange.rest.tap(ROOM, json!({ "url": exchange.app.ws("/tap") })).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let tap = exchange.app.sinks().stream("/tap", 0).await;

    coached.hint(0, "silence").await;
    coached.was_heard(0).await;
    let enough = |ear: &phone::Ear| {
        let samples = Track::new(&ear.packets()).samples;
        samples.chunks_exact(160).filter(|frame| rms_dbfs(frame) > SOUND).count() >= 40
    };
    assert!(agent.ear().wait_until(SOON, enough).await, "the agent does not hear the hint");
    stays_silent("the customer, with a hint in the agent's ear", customer, 100).await;
    let samples = tap.samples(tap.began(), 24_000).await;
    let leak = samples.iter().position(|sample| *sample != 0);
    assert_eq!(leak, None, "{FORBIDDEN}: sample {leak:?} of {} in the tap is not zero", samples.len());

    // Neither of them is deaf.
    let since = customer.say(voice(c)).await.unwrap().at;
    assert!(agent.ear().wait_heard(c, -30.0, since, SOON).await.is_some(), "the agent does not hear the customer");
    tap.hears(c, 8_000, since).await;
    let since = agent.say(voice(a)).await.unwrap().at;
    assert!(customer.ear().wait_heard(a, -30.0, since, SOON).await.is_some(), "the customer does not hear the agent");

    agent.hangup().await.unwrap();
    let over = format!("the call {sid} is over: ");
    let told = program.line(&over, SOON, |line| line.starts_with(&over)).await;
    let figures: Value = serde_json::from_str(told.trim_start_matches(&over)).unwrap();
    assert!(figures["talkSeconds"].as_f64() > Some(0.0) && figures["share"].as_f64() < Some(1.0), "{figures}");
    coached.exchange.closes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monologue_and_an_interruption_are_told_to_the_agent_while_the_customer_hears_his_voice_alone() {
    let [c, a, _] = tones::<3>();
    let coached = Coached::begin(&[("SILENCE_S", "100"), ("MONOLOGUE_S", "2"), ("SHARE", "1"), ("PAUSE_S", "0")]).await;
    let Coached { exchange: _, customer, agent, program, .. } = &coached;
    let began = agent.say(voice(a)).await.unwrap().at;
    assert!(customer.ear().wait_heard(a, -30.0, began, SOON).await.is_some());
    let steady = Instant::now() + SETTLING;
    coached.hint(0, "monologue").await;
    let hinted = Instant::now();
    coached.was_heard(0).await;
    assert!(hinted - began >= Duration::from_millis(1_900), "the hint came after {:?}", hinted - began);
    assert!(sounds(agent, began) >= 40, "the agent does not hear the hint");
    let more = more_than(customer, a, steady, Instant::now());
    assert!(more < 5, "{FORBIDDEN}: in {more} frames the customer hears more than the agent's voice");

    agent.say(Mouth::Silence).await.unwrap();
    let mark = program.out.len();
    let since = customer.say(voice(c)).await.unwrap().at;
    assert!(agent.ear().wait_heard(c, -30.0, since, SOON).await.is_some());
    // The agent has been silent for longer than a breath.
    assert!(agent.ear().wait_more(50, SOON).await);
    let fell_in = agent.say(voice(a)).await.unwrap().at;
    coached.hint(mark, "interruption").await;
    coached.was_heard(mark).await;
    let steady = fell_in + Duration::from_millis(500);
    let more = more_than(customer, a, steady, Instant::now());
    assert!(more < 5, "{FORBIDDEN}: in {more} frames the customer hears more than the agent's voice");
    assert!(more_than(agent, c, steady, Instant::now()) >= 40, "the agent does not hear the second hint");
    coached.exchange.closes().await;
}
