//! A call centre whose people sit at browsers.

use std::time::Duration;

use serde_json::json;
use system_tests::browser::{Browsers, Heard, Microphone, Opening, Tab};
use system_tests::office::{NO_SOUNDS, Office};
use system_tests::server::{PASSWORD, ServerOptions};

/// The room that everybody is in.
pub const ROOM: &str = "support";
/// The three voices, Hz. Multiples of 50: a frame of 20 ms holds whole periods.
pub const TONES: [u32; 3] = [450, 1_050, 2_300];
/// Level at which an allowed voice must be heard at least, dBFS; it is said at −20.
const HEARD: f64 = -26.0;
/// How far below the allowed level a forbidden voice is in every 20 ms of a whole stretch.
const BELOW: f64 = 45.0;
/// What no concealed frame of others' voices reaches: from here on it is the voice itself.
const LEAK: f64 = -50.0;
/// Measurements until one is whole.
const ATTEMPTS: usize = 6;
/// One measurement.
const STRETCH: Duration = Duration::from_millis(1_200);

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

    /// Who hears whom, now, by ear. Pairs are (listener, speaker).
    pub async fn hears(&self, what: &str, allowed: &[(&str, &str)]) {
        let people = [("customer", &self.customer), ("agent", &self.agent), ("supervisor", &self.supervisor)];
        hears(what, &people, allowed).await;
    }
}

/// The same, for tabs that speak [`TONES`] in this order.
pub async fn hears(what: &str, people: &[(&str, &Tab)], allowed: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for attempt in 0..ATTEMPTS {
        wrong = wrong_pairs(people, allowed).await;
        if wrong.is_empty() {
            return;
        }
        // In the first stretch it may be what was on its way.
        let leak = wrong.iter().any(|pair| pair.contains("forbidden sound"));
        assert!(!leak || attempt == 0, "{what}: {wrong:#?}");
    }
    panic!("{what}: not heard as it should be: {wrong:#?}");
}

async fn wrong_pairs(people: &[(&str, &Tab)], allowed: &[(&str, &str)]) -> Vec<String> {
    let heard = futures(people).await;
    let mut wrong = Vec::new();
    for (listener, heard) in &heard {
        for ((speaker, _), tone) in people.iter().zip(TONES) {
            if listener == speaker {
                continue;
            }
            if allowed.contains(&(listener, speaker)) {
                let level = heard.median(tone);
                if level < HEARD {
                    wrong.push(format!("{listener} hears {speaker} at {level:.1} dBFS"));
                }
            } else {
                let level = heard.loudest(tone);
                if level > LEAK {
                    wrong.push(format!("forbidden sound: {listener} hears {speaker} at {level:.1} dBFS"));
                } else if level > -20.0 - BELOW {
                    // A lost or late packet that the browser makes up shows a little of every frequency.
                    wrong.push(format!("{listener} hears something at {speaker}'s pitch: {level:.1} dBFS"));
                }
            }
        }
    }
    wrong
}

async fn futures<'a>(people: &[(&'a str, &Tab)]) -> Vec<(&'a str, Heard)> {
    let mut marks = Vec::new();
    for (name, tab) in people {
        marks.push((*name, tab, tab.mark().await));
    }
    let mut heard = Vec::new();
    for (name, tab, mark) in marks {
        heard.push((name, tab.hears_for(mark, STRETCH).await));
    }
    heard
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
    office.program.document(&format!("/answer/{name}"), &member("Agent"));
    let answer = office.program.url(&format!("/answer/{name}"));
    let app = office.server.application(&office.account, name, &answer, &[]).await;
    office.server.endpoint(&office.account, name, Some(&app)).await;
    let opening = Opening::at(&office.server.url("/phone")).saying(Microphone::Tone(TONES[1]));
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
pub async fn joins(tab: &Tab, mode: &str, confirm: &str) {
    tab.click(&format!("button[data-mode={mode}]")).await;
    tab.until("document.querySelector('dialog[open] .primary, dialog[open] .danger')?.getAttribute('aria-disabled') !== 'true'").await;
    tab.click(&format!("dialog[open] >> role=button[name=\"{confirm}\"]")).await;
    in_a_call(tab).await;
}

fn member(role: &str) -> String {
    format!(r#"<MultiPartyCall role="{role}" {NO_SOUNDS}>{ROOM}</MultiPartyCall>"#)
}
