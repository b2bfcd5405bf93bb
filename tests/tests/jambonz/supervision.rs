//! The example `conference-supervision` as it is shipped inside `@jambonz/sdk`: both of its programs run from the package, unchanged.

use std::time::Instant;

use phone::{CallOptions, Mouth, Phone};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, never_heard_since, tones, voice};
use system_tests::jambonz::clients::{example, port_of, told_to};
use system_tests::jambonz::exchange::Exchange;
use system_tests::server::PROGRAM_HOST;
use system_tests::tool::Tool;

const FOLDER: &str = "sdk/examples/conference-supervision";
const ROOM: &str = "support-7";

/// Somebody who calls one of the example's paths.
async fn calls(exchange: &Exchange, app: &Tool, port: u16, name: &str, mouth: Mouth) -> (Phone, phone::Call, String) {
    let hook = json!({ "url": format!("ws://{PROGRAM_HOST}:{port}/{name}"), "method": "WS" });
    let variables = json!({ "env_vars": { "ROOM_NAME": ROOM } });
    exchange.application(name, hook.clone(), hook, variables).await;
    exchange.client(name).await;
    let phone = exchange.connect(name, mouth).await;
    let call = phone.call(&exchange.number_of(name), CallOptions::default()).unwrap();
    let session = app
        .out
        .expect(&format!("a session of {name}"), 0, SOON, |line| {
            let report: Value = serde_json::from_str(line).unwrap_or_default();
            report["frame"]["type"] == "session:new" && report["frame"]["data"]["from"] == name
        })
        .await;
    let session: Value = serde_json::from_str(&session).unwrap();
    let data = &session["frame"]["data"];
    assert_eq!(data["env_vars"]["ROOM_NAME"], ROOM, "{data}");
    let sid = data["call_sid"].as_str().unwrap_or_default().to_owned();
    call.wait_answered(SOON).await.unwrap();
    exchange.native_event("member.joined", &sid).await;
    (phone, call, sid)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shipped_supervision_example_runs_unmodified_and_each_mode_is_what_the_phones_heard() {
    let [c, a, s] = tones();
    let exchange = Exchange::open().await;
    let app = example(&exchange, &format!("{FOLDER}/ws-app.ts"), &[], &[]).await;
    let port = port_of(&app).await;
    let (_phone, caller, _) = calls(&exchange, &app, port, "caller", voice(c)).await;
    let (_phone, agent, _) = calls(&exchange, &app, port, "agent", voice(a)).await;
    // What the caller was told before he was connected is over.
    let before = Instant::now();
    let (_phone, supervisor, sid) = calls(&exchange, &app, port, "supervisor", voice(s)).await;
    let told = app.line("the supervisor's leg", SOON, |line| line.starts_with("supervisor leg ")).await;
    assert!(told.contains(&sid), "{told}: the supervisor's call is {sid}");
    let three = [
        Heard { name: "caller", call: &caller, tone: Some(c) },
        Heard { name: "agent", call: &agent, tone: Some(a) },
        Heard { name: "supervisor", call: &supervisor, tone: Some(s) },
    ];
    let silent_monitor = [("caller", "agent"), ("agent", "caller"), ("supervisor", "caller"), ("supervisor", "agent")];
    hears("joined as a silent monitor", &three, &silent_monitor).await;
    never_heard_since("before any command", &caller, s, before).await;
    never_heard_since("before any command", &agent, s, before).await;

    let began = exchange.cursor().await;
    let fork = format!("ws://{PROGRAM_HOST}:{port}/fork");
    let mut monitor = example(
        &exchange,
        &format!("{FOLDER}/monitor.ts"),
        &[&sid, ROOM],
        &[
            ("FORK_URL", &fork),
            ("JAMBONZ_BASE_URL", &exchange.office.server.url("")),
            ("JAMBONZ_ACCOUNT_SID", exchange.rest.account()),
            ("JAMBONZ_API_KEY", exchange.rest.token()),
        ],
    )
    .await;
    monitor.line("the live rooms", SOON * 2, |line| line == format!("live conferences: [ '{ROOM}' ]")).await;
    monitor.line("the tap's answer", SOON, |line| line == "listen fork: 201").await;
    let connected = app.line("the tap", SOON, |line| line.starts_with("fork connected:")).await;
    assert_eq!(connected, format!("fork connected: {{ room: '{ROOM}', sampleRate: 16000 }}"));

    let (_, cursor) = exchange.native_event_after("member.unmuted", &sid, began).await;
    let (_, _) = exchange.native_event_after("member.coaching_started", &sid, began).await;
    let mut coached = silent_monitor.to_vec();
    coached.push(("agent", "supervisor"));
    hears("coach", &three, &coached).await;
    never_heard_since("before barge-in", &caller, s, before).await;

    let (_, cursor) = exchange.native_event_after("member.coaching_stopped", &sid, cursor).await;
    let mut barged = coached.clone();
    barged.push(("caller", "supervisor"));
    hears("barge-in", &three, &barged).await;

    exchange.native_event_after("member.muted", &sid, cursor).await;
    let silent_again = Instant::now() + SETTLING;
    hears("a silent monitor again", &three, &silent_monitor).await;
    for ear in [&caller, &agent] {
        never_heard_since("a silent monitor again", ear, s, silent_again).await;
    }
    monitor.line("the end of the tap", SOON, |line| line == "listen fork stopped").await;
    assert!(monitor.ended(SOON).await.success(), "{}", monitor.transcript());
    let closed = app.line("the end of the tap", SOON, |line| line.starts_with("fork closed after ")).await;
    let bytes: u64 = closed.split(' ').nth(3).and_then(|bytes| bytes.parse().ok()).unwrap_or_default();
    // Two modes of ten seconds each, 16 kHz, 16 bits.
    assert!((600_000..800_000).contains(&bytes), "{closed}");

    // The room's end runs the supervisor's action hook, which hangs up.
    caller.hangup().await.unwrap();
    agent.hangup().await.unwrap();
    exchange.rest.action(&sid, json!({ "action": "kick" })).await;
    supervisor.wait_ended(SOON).await.unwrap();
    exchange.closes_with(&told_to(&app)).await;
}
