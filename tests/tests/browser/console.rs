//! What the console shows of people and what it does to them: speaking, log, history, muting, leaving, removing, ending, wishes.

use phone::Mouth;
use serde_json::json;
use system_tests::browser::{Browsers, Microphone, Opening, Scene, now};
use system_tests::ears::voice;
use system_tests::office::Office;

use super::crowd::{ON_THE_WAY, STRETCH};
use super::stage::{self, ROOM, Stage, TONES, confirms, joins, look_into, tone};

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_since_when_and_what_happened_is_shown() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    let customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", voice(500)).await;
    let agent = office.joins("agent", ROOM, "Agent", "", Mouth::Silence).await;
    let tab = stage::console(&office, &browsers, Opening::default()).await;
    look_into(&tab, ROOM).await;
    let card = |role: &str| {
        format!("[...document.querySelectorAll('.member')].find((card) => card.querySelector('[data-role={role}]'))")
    };
    let speaks = |role: &str| format!("'speaking' in {}.dataset", card(role));
    let level = |role: &str| format!("Number({}.querySelector('.meter').dataset.level)", card(role));
    tab.until(&format!("{} && !({})", speaks("customer"), speaks("agent"))).await;
    tab.until(&format!("{} > 0.2 && {} < 0.05", level("customer"), level("agent"))).await;
    customer.falls_silent().await;
    agent.speaks(900).await;
    tab.until(&format!("{} && !({})", speaks("agent"), speaks("customer"))).await;
    tab.until(&format!("{} > 0.2 && {} < 0.05", level("agent"), level("customer"))).await;
    let shown = tab.text(".head .number").await;
    tab.until(&format!("document.querySelector('.head .number').innerText !== {}", json!(shown))).await;
    let lines = "document.querySelectorAll('.log li').length";
    let before = tab.eval(lines).await.as_u64().unwrap_or_default();
    assert!(before >= 2, "the log says {before} things");
    office.native.change(ROOM, &agent.number, json!({ "mute": true })).await;
    tab.until(&format!("{lines} > {before}")).await;
    // A while ago they were in the room already.
    tab.click("details.card summary").await;
    tab.eval("const time = document.querySelector('details.card input'); const at = new Date(Date.now() - new Date().getTimezoneOffset() * 60000);
        time.value = at.toISOString().slice(0, 19); null").await;
    tab.click("details.card form button").await;
    tab.until("document.querySelectorAll('details.card [aria-live] table tbody tr').length === 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn muted_nobody_hears_the_supervisor_and_who_leaves_takes_his_microphone_along_and_nothing_else() {
    let stage = Stage::open().await;
    let people = stage.people();
    let mut scene = Scene::of(&people);
    let talk = [("customer", "agent"), ("agent", "customer")];
    let listens = [("supervisor", "customer"), ("supervisor", "agent")];
    let muted = [&talk[..], &listens].concat();
    let barge = [&muted[..], &[("customer", "supervisor"), ("agent", "supervisor")]].concat();
    let tab = &stage.supervisor;
    joins(tab, "barge").await;
    tab.until(&format!("{} && document.title.includes('ON AIR')", tone("public"))).await;
    scene.begins("barge", stage::applied(&stage.office).await, &barge);
    scene.lasts(STRETCH).await;
    tab.press("m").await;
    tab.until(
        "!document.title.includes('ON AIR') && document.querySelector('button[data-mode=mute]').ariaPressed === 'true'",
    )
    .await;
    scene.begins("muted", now() + ON_THE_WAY, &muted);
    scene.lasts(STRETCH).await;
    tab.press("m").await;
    tab.until("document.title.includes('ON AIR')").await;
    scene.begins("unmuted", now(), &barge);
    scene.lasts(STRETCH).await;
    tab.press("Escape").await;
    confirms(tab).await;
    tab.until(&format!("{} && !document.title.includes('ON AIR')", tone("out"))).await;
    tab.until("window.__peers.every((peer) => peer.connectionState === 'closed')").await;
    tab.until("window.__peers.every((peer) => peer.getSenders().every(({ track }) => !track || track.readyState === 'ended'))").await;
    scene.begins("left", now(), &talk);
    scene.lasts(STRETCH).await;
    scene.is_as_it_should_be_and_no_other_way().await;
}

/// Commands of the page wait while `__slow`.
const SLOW: &str = "window.__slow = false; const own = window.fetch; window.fetch = async (url, options) => {
    while (window.__slow && options?.method === 'PUT') await new Promise((go) => setTimeout(go, 20)); return own(url, options); };";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_not_shown_as_done_before_it_is() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    let _customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", voice(500)).await;
    let _agent = office.joins("agent", ROOM, "Agent", "", Mouth::Silence).await;
    let opening = Opening::default().saying(Microphone::Tone(TONES[2])).with(SLOW);
    let tab = stage::console(&office, &browsers, opening).await;
    look_into(&tab, ROOM).await;
    joins(&tab, "whisper").await;
    tab.until(&tone("aside")).await;
    let state = "[document.querySelector('.verdict .headline').innerText, document.title, document.body.dataset.tone,
        ...[...document.querySelectorAll('button[data-mode]')].map((button) => button.ariaPressed)].join()";
    let before = tab.eval(state).await;
    tab.eval("window.__slow = true; null").await;
    tab.press("b").await;
    tab.sees("button[data-mode=barge][aria-busy=true]").await;
    assert_eq!(tab.eval(state).await, before, "a wish is shown as done");
    tab.eval("window.__slow = false; null").await;
    tab.until(&format!("{} && !document.querySelector('[data-mode][aria-busy=true]')", tone("public"))).await;
    assert_ne!(tab.eval(state).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_invited_removed_and_the_room_ended_from_the_page() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    let customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", voice(500)).await;
    let agent = office.joins("agent", ROOM, "Agent", "", Mouth::Silence).await;
    let tab = stage::console(&office, &browsers, Opening::default()).await;
    look_into(&tab, ROOM).await;
    tab.click("[data-invite=agent][data-how=open]").await;
    let href = tab.until("document.querySelector('a[target=_blank][href*=\"/phone#i=\"]')?.href").await;
    let opening = Opening::at(href.as_str().unwrap_or_default()).saying(Microphone::Tone(TONES[1]));
    let guest = browsers.open("guest", opening).await;
    guest.click("role=button[name=\"Join the call\"]").await;
    stage::in_a_call(&guest).await;
    tab.until("document.querySelectorAll('.member').length === 3").await;
    assert!(
        customer.call.ear().wait_heard(TONES[1], -30.0, std::time::Instant::now(), system_tests::SOON).await.is_some()
    );
    // The telephone's agent, by his card.
    let remove = "[...document.querySelectorAll('.member')].find((card) => card.innerText.includes('agent') && card.querySelector('.name').innerText === 'agent')";
    tab.eval(&format!("{remove}.querySelector('button.remove').click(); null")).await;
    confirms(&tab).await;
    assert!(agent.call.wait_ended(system_tests::SOON).await.is_ok(), "the agent was not removed");
    tab.until("document.querySelectorAll('.member').length === 2").await;
    tab.click("role=button[name=\"End room\"]").await;
    confirms(&tab).await;
    tab.sees("[data-notice=room]").await;
    assert!(customer.call.wait_ended(system_tests::SOON).await.is_ok(), "the room was not ended");
    guest.until("(window.__peers ?? []).every((peer) => peer.connectionState === 'closed')").await;
}
