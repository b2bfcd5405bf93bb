//! Tabs through all modes; who hears whom is judged by every frame that each tab received.

use system_tests::browser::{Scene, now};

use super::crowd::STRETCH;
use super::stage::{self, Stage, TALK_OF_THREE, TONES, joins};

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

/// Presses keys of the console, and tells the scene what holds from the tick of each on.
async fn plays(stage: &Stage, scene: &mut Scene<'_>, steps: &[(&str, &str, &str, Pairs)]) {
    for (key, shown, mode, hears) in steps {
        stage.supervisor.press(key).await;
        if stage.supervisor.eval("!!document.querySelector('dialog[open]')").await == true {
            stage::confirms(&stage.supervisor).await;
        }
        let pressed = format!("document.querySelector('button[data-mode={mode}]').ariaPressed === 'true'");
        stage.supervisor.until(&format!("document.body.dataset.tone === '{shown}' && {pressed}")).await;
        scene.begins(&format!("{mode} after {key}"), stage::applied(&stage.office).await, hears);
        scene.lasts(STRETCH).await;
        scene.is_played().await;
    }
}

type Pairs = &'static [(&'static str, &'static str)];

#[tokio::test(flavor = "multi_thread")]
async fn three_tabs_hear_in_each_mode_exactly_those_they_may() {
    let stage = Stage::open().await;
    let people = stage.people();
    let mut scene = Scene::of(&people);
    scene.begins("before the supervisor comes", now(), &TALK);
    scene.lasts(STRETCH).await;
    joins(&stage.supervisor, "monitor").await;
    stage.supervisor.until("document.body.dataset.tone === 'nobody'").await;
    scene.begins("monitor", stage::applied(&stage.office).await, &MONITOR);
    scene.lasts(STRETCH).await;
    let steps: [(&str, &str, &str, Pairs); 11] = [
        ("w", "aside", "whisper", &WHISPER),
        ("b", "public", "barge", &BARGE),
        ("w", "aside", "whisper", &WHISPER),
        ("t", "public", "takeover", &TAKEOVER),
        ("s", "nobody", "monitor", &MONITOR),
        ("b", "public", "barge", &BARGE),
        ("t", "public", "takeover", &TAKEOVER),
        ("b", "public", "barge", &BARGE),
        ("t", "public", "takeover", &TAKEOVER),
        ("w", "aside", "whisper", &WHISPER),
        ("l", "nobody", "monitor", &MONITOR),
    ];
    plays(&stage, &mut scene, &steps).await;
    scene.is_as_it_should_be_and_no_other_way().await;
    let said = stage.supervisor.said().await;
    let faults: Vec<_> =
        said.iter().filter(|line| line.starts_with("pageerror") || line.starts_with("error")).collect();
    assert!(faults.is_empty(), "the console reports faults: {faults:?}");
}

/// The talk of customer and two agents, which the supervisor hears, and more.
fn with_all(more: &[(&'static str, &'static str)]) -> Pairs {
    let listens = [("supervisor", "customer"), ("supervisor", "agent"), ("supervisor", "second")];
    [TALK_OF_THREE, &listens, more].concat().leak()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_of_two_agents_sets_both_aside_and_gives_both_back() {
    let stage = Stage::open().await;
    let opening = stage::softphone(&stage.office).saying(system_tests::browser::Microphone::Tone(TONES[3]));
    let second = stage::agent_saying(&stage.office, &stage.browsers, "second", opening).await;
    let people = stage::people(&[
        ("customer", &stage.customer),
        ("agent", &stage.agent),
        ("supervisor", &stage.supervisor),
        ("second", &second),
    ]);
    let mut scene = Scene::of(&people);
    joins(&stage.supervisor, "monitor").await;
    stage.supervisor.until("document.body.dataset.tone === 'nobody'").await;
    scene.begins("monitor", stage::applied(&stage.office).await, with_all(&[]));
    scene.lasts(STRETCH).await;
    let whisper = with_all(&[("agent", "supervisor"), ("second", "supervisor")]);
    let barge = with_all(&[("agent", "supervisor"), ("second", "supervisor"), ("customer", "supervisor")]);
    let steps: [(&str, &str, &str, Pairs); 5] = [
        ("b", "public", "barge", barge),
        ("t", "public", "takeover", &TAKEOVER),
        ("w", "aside", "whisper", whisper),
        ("t", "public", "takeover", &TAKEOVER),
        ("s", "nobody", "monitor", with_all(&[])),
    ];
    plays(&stage, &mut scene, &steps).await;
    scene.is_as_it_should_be_and_no_other_way().await;
}
