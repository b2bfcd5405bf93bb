//! Three tabs through all modes; who hears whom is measured from what each tab receives.

use super::stage::{Stage, joins};

const TALK: [(&str, &str); 2] = [("customer", "agent"), ("agent", "customer")];
const MONITOR: [(&str, &str); 4] =
    [("customer", "agent"), ("agent", "customer"), ("supervisor", "customer"), ("supervisor", "agent")];
const WHISPER: [(&str, &str); 5] = [
    ("customer", "agent"),
    ("agent", "customer"),
    ("agent", "supervisor"),
    ("supervisor", "customer"),
    ("supervisor", "agent"),
];
const BARGE: [(&str, &str); 6] = [
    ("customer", "agent"),
    ("customer", "supervisor"),
    ("agent", "customer"),
    ("agent", "supervisor"),
    ("supervisor", "customer"),
    ("supervisor", "agent"),
];
const TAKEOVER: [(&str, &str); 2] = [("customer", "supervisor"), ("supervisor", "customer")];

#[tokio::test(flavor = "multi_thread")]
async fn three_tabs_hear_in_each_mode_exactly_those_they_may() {
    let stage = Stage::open().await;
    let tone = |tone: &str| format!("document.body.dataset.tone === '{tone}'");
    let people = [("customer", &stage.customer), ("agent", &stage.agent)];
    super::stage::hears("before the supervisor comes", &people, &TALK).await;
    joins(&stage.supervisor, "monitor", "Listen").await;
    stage.supervisor.until(&tone("nobody")).await;
    stage.hears("monitor", &MONITOR).await;
    for (key, shown, hears) in [
        ("w", "aside", &WHISPER[..]),
        ("b", "public", &BARGE[..]),
        ("w", "aside", &WHISPER[..]),
        ("t", "public", &TAKEOVER[..]),
        ("s", "nobody", &MONITOR[..]),
        ("w", "aside", &WHISPER[..]),
        ("l", "nobody", &MONITOR[..]),
    ] {
        stage.supervisor.press(key).await;
        stage.supervisor.until(&tone(shown)).await;
        stage.hears(&format!("after {key}"), hears).await;
    }
    let said = stage.supervisor.said().await;
    let faults: Vec<_> =
        said.iter().filter(|line| line.starts_with("pageerror") || line.starts_with("error")).collect();
    assert!(faults.is_empty(), "the console reports faults: {faults:?}");
}
