//! What `aside demo --lan` promises: its link signs in, two bots talk, and a second tab is another person in their room.

use std::time::Duration;

use system_tests::browser::{Browsers, Microphone, Opening, Received, Scene, Tab, now};
use system_tests::server::binary;
use system_tests::tool::{Scratch, Tool};
use system_tests::{LATER, SOON};
use tokio::process::Command;

use super::crowd::{Ear, Person};
use super::stage::{in_a_call, joins};

/// Above all speech that comes from a telephone, which the bots use.
const SUPERVISOR: u32 = 6_000;
const CUSTOMER: u32 = 7_000;

/// Waits until a tab has been sent speech for half a second in all since a time.
async fn hears_speech(what: &str, tab: &Tab, since: f64) {
    let end = tokio::time::Instant::now() + SOON;
    loop {
        let streams = Received::of_frames(&tab.frames().await);
        let loud =
            |stream: &Received| stream.part(since, now()).loudness().into_iter().filter(|level| *level > -40.0).count();
        let frames: usize = streams.iter().map(loud).sum();
        if frames >= 25 {
            return;
        }
        assert!(
            tokio::time::Instant::now() < end,
            "{what}: nobody speaks: {frames} frames of {} streams",
            streams.len()
        );
        // The driver tells no event of it.
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_signs_in_by_its_link_and_a_second_tab_is_a_customer_who_hears_no_whisper() {
    let browsers = Browsers::start().await;
    let folder = Scratch::new("demo");
    let mut command = Command::new(binary());
    command.args(["demo", "--lan"]).current_dir(folder.path()).env("XDG_DATA_HOME", folder.path());
    let demo = Tool::start("aside demo", &mut command);
    let is_link = |line: &str| line.trim_start().starts_with("https://") && line.contains("#k=");
    let line = demo.out.expect("a link for the local network", 0, LATER, |line| is_link(line)).await;
    // The same server by the address that this test may use.
    let (_, rest) = line.trim().split_once("//").unwrap_or_else(|| panic!("no link: {line}"));
    let (host, path) = rest.split_once('/').unwrap_or_else(|| panic!("no link: {line}"));
    let port = host.rsplit(':').next().unwrap_or_default();
    let link = format!("https://127.0.0.1:{port}/{path}");
    let opening = Opening::at(&link).saying(Microphone::Tone(SUPERVISOR));
    let supervisor = browsers.open("supervisor", opening).await;
    supervisor.sees("[data-mode=monitor]").await;
    let hash = supervisor.eval("location.hash").await.to_string();
    assert!(!hash.contains("k="), "the secret of the link stays in the address: {hash}");
    supervisor.until("document.querySelectorAll('.member').length === 2").await;
    let since = now();
    joins(&supervisor, "monitor").await;
    hears_speech("the supervisor", &supervisor, since).await;
    supervisor.click("[data-invite=customer][data-how=open]").await;
    let href = supervisor.until("document.querySelector('a[target=_blank][href*=\"/phone#i=\"]')?.href").await;
    let href = href.as_str().unwrap_or_default();
    let opening = Opening::at(href).saying(Microphone::Tone(CUSTOMER));
    let customer = browsers.open("customer", opening).await;
    customer.click("role=button[name=\"Join the call\"]").await;
    in_a_call(&customer).await;
    supervisor.until("document.querySelectorAll('.member').length === 3").await;
    hears_speech("the customer", &customer, since).await;
    let people = [
        Person { name: "customer", ear: Ear::Tab(&customer), tone: CUSTOMER },
        Person { name: "supervisor", ear: Ear::Tab(&supervisor), tone: SUPERVISOR },
    ];
    let mut scene = Scene::of(&people);
    for (key, tone, allowed) in [
        ("w", "aside", &[("supervisor", "customer")][..]),
        ("b", "public", &[("supervisor", "customer"), ("customer", "supervisor")]),
        ("w", "aside", &[("supervisor", "customer")]),
    ] {
        supervisor.press(key).await;
        supervisor.until(&format!("document.body.dataset.tone === '{tone}'")).await;
        scene.begins(&format!("after {key}"), now(), allowed);
        scene.lasts(Duration::from_secs(2)).await;
    }
    scene.is_as_it_should_be().await;
    // The link was good once.
    let second = browsers.open("second", Opening::at(&link)).await;
    second.until("document.querySelector('#content')?.innerText.includes('used already')").await;
}
