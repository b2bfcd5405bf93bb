//! A call centre whose people sit at browsers.

use serde_json::json;
use system_tests::browser::{Browsers, Microphone, Opening, Tab, instant};
use system_tests::office::{NO_SOUNDS, Office};
use system_tests::server::{PASSWORD, ServerOptions};

use super::crowd::{self, Ear, Person};

/// The room that everybody is in.
pub const ROOM: &str = "support";
/// The voices of customer, agent and supervisor, and of another agent, Hz. Multiples of 50: a frame of 20 ms holds whole periods.
pub const TONES: [u32; 4] = [450, 1_050, 2_300, 1_650];
/// Customer, agent and supervisor, each in a browser of his own.
pub struct Stage {
    pub customer: Tab,
    pub agent: Tab,
    pub supervisor: Tab,
    pub browsers: Browsers,
    // Ends last.
    pub office: Office,
}

impl Stage {
    /// The customer comes by a link, the agent with a softphone; both are in the room. The supervisor looks at it and has not joined.
    pub async fn open() -> Self {
        Self::with(ServerOptions::default()).await
    }

    pub async fn with(options: ServerOptions) -> Self {
        let browsers = Browsers::start().await;
        let office = Office::with(options).await;
        let customer = customer(&office, &browsers).await;
        let agent = agent(&office, &browsers, "agent").await;
        let supervisor = console(&office, &browsers, Opening::at("").saying(Microphone::Tone(TONES[2]))).await;
        look_into(&supervisor, ROOM).await;
        Self { customer, agent, supervisor, browsers, office }
    }

    /// The three.
    pub fn people(&self) -> Vec<Person<'_>> {
        people(&[("customer", &self.customer), ("agent", &self.agent), ("supervisor", &self.supervisor)])
    }
}

/// The same, for tabs that speak [`TONES`] in this order.
pub async fn hears(what: &str, tabs: &[(&str, &Tab)], allowed: &[(&str, &str)]) {
    crowd::hears(what, &people(tabs), allowed).await;
}

/// Tabs that speak [`TONES`] in this order.
pub fn people<'a>(tabs: &[(&'a str, &'a Tab)]) -> Vec<Person<'a>> {
    tabs.iter().zip(TONES).map(|((name, tab), tone)| Person { name, ear: Ear::Tab(tab), tone }).collect()
}

/// When what holds in the room now came into the sound, ms since 1970.
pub async fn applied(office: &Office) -> f64 {
    let hearing = office.native.get(&format!("/rooms/{ROOM}/hearing")).await;
    assert_eq!(hearing["pending"], false, "{hearing}");
    instant(hearing["at"].as_str().unwrap_or_default())
}

/// A customer who has clicked a link that leads to the room.
pub async fn customer(office: &Office, browsers: &Browsers) -> Tab {
    office.program.document("/answer/hotline", &member("Customer"));
    let answer = office.program.url("/answer/hotline");
    let app = office.server.application(&office.account, "hotline", &answer, &[]).await;
    let link = office.native.post("/links", json!({ "name": "shop", "application": app })).await;
    let path = link["path"].as_str().unwrap_or_else(|| panic!("a link without a path: {link}")).to_owned();
    let opening = Opening::at(&office.server.url(&path)).saying(Microphone::Tone(TONES[0]));
    let tab = browsers.open("customer", opening).await;
    tab.click("role=button[name=\"Call now\"]").await;
    in_a_call(&tab).await;
    tab
}

/// An agent at the softphone, in the room.
pub async fn agent(office: &Office, browsers: &Browsers, name: &str) -> Tab {
    agent_saying(office, browsers, name, softphone(office).saying(Microphone::Tone(TONES[1]))).await
}

/// The softphone's page.
pub fn softphone(office: &Office) -> Opening {
    Opening::at(&office.server.url("/phone"))
}

/// The same who says something else.
pub async fn agent_saying(office: &Office, browsers: &Browsers, name: &str, opening: Opening) -> Tab {
    office.program.document(&format!("/answer/{name}"), &member("Agent"));
    let answer = office.program.url(&format!("/answer/{name}"));
    let app = office.server.application(&office.account, name, &answer, &[]).await;
    office.server.endpoint(&office.account, name, Some(&app)).await;
    let tab = browsers.open(name, opening).await;
    signs_in(&tab, name).await;
    tab.fill("#target", "hotline").await;
    tab.click("role=button[name=\"Call\"]").await;
    in_a_call(&tab).await;
    tab
}

/// Signs an endpoint in at the softphone.
pub async fn signs_in(tab: &Tab, name: &str) {
    tab.fill("input[name=username]", name).await;
    tab.fill("input[name=password]", PASSWORD).await;
    tab.click("role=button[name=\"Sign in\"]").await;
    tab.until("document.querySelector('#registration')?.innerText === 'Ready'").await;
}

/// A supervisor who has signed in at the console.
pub async fn console(office: &Office, browsers: &Browsers, opening: Opening) -> Tab {
    let tab = browsers.open("supervisor", opening.to(&office.server.url("/console"))).await;
    tab.fill("input[type=password]", &office.account.key).await;
    tab.click("role=button[name=\"Sign in\"]").await;
    tab
}

/// Opens a room's page from the list.
pub async fn look_into(tab: &Tab, room: &str) {
    tab.click(&format!("a[href=\"#/rooms/{room}\"]")).await;
    tab.sees("[data-mode=monitor]").await;
}

/// Waits until the tab's peer connection carries sound both ways.
pub async fn in_a_call(tab: &Tab) {
    tab.until("(window.__peers ?? []).some((peer) => peer.connectionState === 'connected')").await;
}

/// Joins from the room's page in a mode.
pub async fn joins(tab: &Tab, mode: &str) {
    tab.click(&format!("button[data-mode={mode}]")).await;
    confirms(tab).await;
    in_a_call(tab).await;
}

/// Says yes to the question that is asked, as soon as it may be said.
pub async fn confirms(tab: &Tab) {
    tab.until(&format!("document.querySelector('{YES}') && document.querySelector('{YES}').ariaDisabled !== 'true'"))
        .await;
    tab.click(YES).await;
}

/// The answer to a question that does something.
pub const YES: &str = "dialog[open] .danger, dialog[open] .primary";

fn member(role: &str) -> String {
    format!(r#"<MultiPartyCall role="{role}" {NO_SOUNDS}>{ROOM}</MultiPartyCall>"#)
}

/// Whom customer and two agents hear while they talk: listener, speaker.
pub const TALK_OF_THREE: &[(&str, &str)] = &[
    ("customer", "agent"),
    ("customer", "second"),
    ("agent", "customer"),
    ("agent", "second"),
    ("second", "customer"),
    ("second", "agent"),
];

/// Whether the console says by its colour who hears the supervisor.
pub fn tone(tone: &str) -> String {
    format!("document.body.dataset.tone === '{tone}'")
}
