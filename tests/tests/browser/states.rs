//! Every page in every state, large and small, light and dark: axe-core finds nothing. With `ASIDE_PICTURES` pictures of them are kept there.

use std::path::PathBuf;
use std::time::Duration;

use phone::Mouth;
use serde_json::json;
use system_tests::browser::{Browsers, Opening, Tab};
use system_tests::office::{DOMAIN, Office};

use super::stage::{self, ROOM, in_a_call, joins, look_into, signs_in};

/// What was found.
#[derive(Default)]
struct Findings {
    list: Vec<String>,
}

impl Findings {
    /// Looks at a state in both sizes and both schemes.
    async fn look(&mut self, tab: &Tab, state: &str) {
        for (phone, size) in [(false, "1280x800"), (true, "390x844")] {
            tab.resize(phone).await;
            for (dark, scheme) in [(false, "light"), (true, "dark")] {
                tab.darken(dark).await;
                if let Some(folder) = std::env::var_os("ASIDE_PICTURES").map(PathBuf::from) {
                    tab.picture(&folder.join(format!("{state}-{size}-{scheme}.webp"))).await;
                }
                for violation in tab.violations().await {
                    self.list.push(format!("{state}, {size}, {scheme}: {violation:#}"));
                }
                let wide = tab.eval("document.documentElement.scrollWidth - innerWidth").await;
                if wide.as_i64().unwrap_or(0) > 0 {
                    self.list.push(format!("{state}, {size}, {scheme}: {wide} px wider than the window"));
                }
            }
        }
        tab.darken(false).await;
        tab.resize(false).await;
    }

    fn none(self) {
        assert!(self.list.is_empty(), "{} faults:\n{}", self.list.len(), self.list.join("\n"));
    }
}

/// Commands of the page wait while `__slow`.
const SLOW: &str = "window.__slow = false; const own = window.fetch; window.fetch = (url, options) =>
    window.__slow && options?.method === 'PUT' ? new Promise(() => {}) : own(url, options);";

async fn office() -> (Browsers, Office) {
    let browsers = Browsers::start().await;
    (browsers, Office::open().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_with_the_console_in_any_state() {
    let (browsers, office) = office().await;
    let mut found = Findings::default();
    let tab = browsers.open("supervisor", Opening::at(&office.server.url("/console")).with(SLOW)).await;
    tab.sees("input[type=password]").await;
    found.look(&tab, "console-sign-in").await;
    tab.fill("input[type=password]", "aside_wrong").await;
    tab.click("role=button[name=\"Sign in\"]").await;
    tab.sees("#key-fault:not(:empty)").await;
    found.look(&tab, "console-sign-in-refused").await;
    tab.fill("input[type=password]", &office.account.key).await;
    tab.click("role=button[name=\"Sign in\"]").await;
    tab.sees("text=No live rooms.").await;
    found.look(&tab, "console-rooms-none").await;

    let tone = system_tests::ears::voice;
    let _customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", tone(500)).await;
    let agent = office.joins("agent", ROOM, "Agent", "", tone(900)).await;
    let _held = office.joins("second", ROOM, "Agent", "", Mouth::Silence).await;
    let _other = office.joins("other", "billing", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    tab.sees("a[href=\"#/rooms/billing\"]").await;
    found.look(&tab, "console-rooms").await;
    look_into(&tab, ROOM).await;
    found.look(&tab, "console-room").await;
    tab.click("button[data-mode=barge]").await;
    tab.until("document.querySelector('dialog[open] .danger')?.ariaDisabled !== 'true'").await;
    found.look(&tab, "console-joining").await;
    tab.press("Escape").await;
    joins(&tab, "monitor").await;
    for (key, tone, state) in [("l", "nobody", "monitor"), ("w", "aside", "whisper"), ("b", "public", "barge")] {
        tab.press(key).await;
        tab.until(&format!("document.body.dataset.tone === '{tone}'")).await;
        found.look(&tab, &format!("console-{state}")).await;
    }
    tab.press("t").await;
    tab.sees("dialog[open] fieldset").await;
    found.look(&tab, "console-takeover-question").await;
    tab.click("dialog[open] >> role=button[name=\"Take over\"]").await;
    tab.until("document.querySelector('button[data-mode=takeover]').ariaPressed === 'true'").await;
    found.look(&tab, "console-takeover").await;
    tab.press("m").await;
    tab.until("document.querySelector('.verdict').innerText.includes('you are muted')").await;
    found.look(&tab, "console-muted").await;
    tab.press("m").await;
    tab.eval("window.__slow = true; null").await;
    tab.press("w").await;
    tab.sees("button[data-mode=whisper][aria-busy=true]").await;
    found.look(&tab, "console-pending").await;
    tab.offline(true).await;
    tab.until("document.body.dataset.tone === 'unknown'").await;
    found.look(&tab, "console-connection-lost").await;
    tab.offline(false).await;
    tab.within("document.body.dataset.tone !== 'unknown'", Duration::from_secs(30)).await;
    agent.leaves().await;
    office.native.delete(&format!("/rooms/{ROOM}")).await;
    tab.sees("[data-notice=room]").await;
    found.look(&tab, "console-room-ended").await;
    found.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_with_questions_and_with_what_is_rare() {
    let (browsers, office) = office().await;
    let mut found = Findings::default();
    let customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", ROOM, "Agent", "", Mouth::Silence).await;
    let second = office.joins("second", ROOM, "Agent", "", Mouth::Silence).await;
    let tab = stage::console(&office, &browsers, Opening::default()).await;
    tab.sees(&format!("a[href=\"#/rooms/{ROOM}\"]")).await;
    tab.fill("input[type=search]", "nothing like it").await;
    tab.sees_no(&format!("a[href=\"#/rooms/{ROOM}\"]")).await;
    found.look(&tab, "console-search-nothing").await;
    tab.fill("input[type=search]", "").await;
    tab.click(".keycard summary").await;
    found.look(&tab, "console-key").await;
    tab.press("Escape").await;
    look_into(&tab, ROOM).await;
    tab.click("details.card summary").await;
    found.look(&tab, "console-history-open").await;
    tab.click("details.card form button").await;
    tab.sees("details.card [aria-live] > *").await;
    found.look(&tab, "console-history-answer").await;
    tab.click("details.card summary").await;
    tab.click("[data-invite=agent][data-how=open]").await;
    tab.sees("a[target=_blank][href*=\"/phone#i=\"]").await;
    found.look(&tab, "console-invited").await;
    for (button, state) in [
        ("button.remove >> nth=1", "console-remove-question"),
        ("role=button[name=\"End room\"]", "console-end-question"),
    ] {
        tab.click(button).await;
        tab.sees("dialog[open]").await;
        found.look(&tab, state).await;
        tab.press("Escape").await;
    }
    joins(&tab, "whisper").await;
    tab.until("document.body.dataset.tone === 'aside'").await;
    tab.press("Escape").await;
    tab.sees("dialog[open]").await;
    found.look(&tab, "console-leave-question").await;
    tab.press("Escape").await;
    office.native.change(ROOM, &customer.number, json!({ "hold": true })).await;
    tab.until("[...document.querySelectorAll('.member')].some((card) => card.innerText.includes('on hold'))").await;
    found.look(&tab, "console-customer-held").await;
    office.native.change(ROOM, &customer.number, json!({ "hold": false })).await;
    tab.until("![...document.querySelectorAll('.member')].some((card) => card.innerText.includes('on hold'))").await;
    tab.press("t").await;
    tab.sees("dialog[open] fieldset").await;
    found.look(&tab, "console-takeover-two-question").await;
    // As somebody at a telephone does it.
    tab.resize(true).await;
    stage::confirms(&tab).await;
    tab.until("document.querySelector('button[data-mode=takeover]').ariaPressed === 'true'").await;
    tab.click("button[data-mode=stop]").await;
    tab.until("document.body.dataset.tone === 'nobody'").await;
    tab.click("button[data-mode=takeover]").await;
    stage::confirms(&tab).await;
    tab.until("document.body.dataset.tone === 'public'").await;
    found.look(&tab, "console-takeover-two").await;
    tab.press("w").await;
    tab.until("document.body.dataset.tone === 'aside'").await;
    let third = office.joins("third", ROOM, "Agent", "", Mouth::Silence).await;
    let _fourth = office.joins("fourth", ROOM, "Customer", "", Mouth::Silence).await;
    tab.until("document.querySelectorAll('.member').length === 5").await;
    found.look(&tab, "console-five").await;
    for gone in [&agent, &second, &third] {
        gone.leaves().await;
    }
    tab.until("document.body.dataset.tone === 'nobody'").await;
    found.look(&tab, "console-no-agent").await;
    let reads = ["key", "create", "reader", "--account", &office.account.auth_id, "--scopes", "read"];
    let key = office.server.aside(&reads).await;
    let reader = browsers.open("reader", Opening::at(&office.server.url("/console"))).await;
    reader.fill("input[type=password]", key["key"].as_str().unwrap_or_default()).await;
    reader.click("role=button[name=\"Sign in\"]").await;
    look_into(&reader, ROOM).await;
    found.look(&reader, "console-read-only").await;
    office.native.delete(&format!("/keys/{}", key["id"].as_str().unwrap_or_default())).await;
    reader.sees("input[type=password]").await;
    found.look(&reader, "console-signed-out").await;
    found.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_where_the_microphone_is_refused() {
    let (browsers, office) = office().await;
    let mut found = Findings::default();
    let _customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let tab = stage::console(&office, &browsers, Opening::default().refusing_the_microphone()).await;
    look_into(&tab, ROOM).await;
    tab.click("button[data-mode=monitor]").await;
    tab.sees("dialog[open] .notice").await;
    found.look(&tab, "console-microphone-refused").await;
    found.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_with_the_phone_in_any_state() {
    let (browsers, office) = office().await;
    let mut found = Findings::default();
    let app = office.server.application(&office.account, "agent", &office.program.url("/answer/agent"), &[]).await;
    office.server.endpoint(&office.account, "agent", Some(&app)).await;
    let tab = browsers.open("agent", Opening::at(&office.server.url("/phone"))).await;
    tab.sees("input[name=password]").await;
    found.look(&tab, "phone-sign-in").await;
    signs_in(&tab, "agent").await;
    tab.sees("#target").await;
    found.look(&tab, "phone-ready").await;
    let customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:agent@{DOMAIN}"), "enter_sound": "none",
        "exit_sound": "none", "dial_music": "none", "ring_timeout": 100 });
    office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
    tab.sees("role=button[name=\"Answer\"]").await;
    found.look(&tab, "phone-ringing").await;
    tab.click("role=button[name=\"Answer\"]").await;
    in_a_call(&tab).await;
    tab.sees("role=button[name=\"Mute\"]").await;
    found.look(&tab, "phone-in-call").await;
    tab.click("role=button[name=\"Keypad\"]").await;
    found.look(&tab, "phone-keypad").await;
    tab.click("role=button[name=\"Hide keypad\"]").await;
    tab.click("role=button[name=\"Transfer\"]").await;
    found.look(&tab, "phone-transfer").await;
    tab.press("Escape").await;
    tab.click("role=button[name=\"Hold\"]").await;
    tab.sees("role=button[name=\"Resume\"]").await;
    found.look(&tab, "phone-held").await;
    tab.click("role=button[name=\"Hang up\"]").await;
    tab.sees("#target").await;
    found.look(&tab, "phone-call-over").await;
    let made = office.native.post(&format!("/rooms/{ROOM}/invite"), json!({ "role": "agent", "label": "Anna" })).await;
    let guest =
        browsers.open("guest", Opening::at(&office.server.url(made["path"].as_str().unwrap_or_default()))).await;
    guest.sees("role=button[name=\"Join the call\"]").await;
    found.look(&guest, "phone-invited").await;
    found.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_wrong_with_the_click_to_call_page_in_any_state() {
    let (browsers, office) = office().await;
    let mut found = Findings::default();
    office.program.document("/answer/shop", "<Wait length=\"60\"/>");
    let app = office.server.application(&office.account, "shop", &office.program.url("/answer/shop"), &[]).await;
    let link = office.native.post("/links", json!({ "name": "shop", "application": app })).await;
    let tab =
        browsers.open("customer", Opening::at(&office.server.url(link["path"].as_str().unwrap_or_default()))).await;
    tab.sees("role=button[name=\"Call now\"]").await;
    found.look(&tab, "call-start").await;
    tab.click("role=button[name=\"Call now\"]").await;
    in_a_call(&tab).await;
    tab.sees("role=button[name=\"Mute\"]").await;
    found.look(&tab, "call-live").await;
    tab.click("role=button[name=\"Hang up\"]").await;
    tab.sees("role=button[name=\"Call again\"]").await;
    found.look(&tab, "call-over").await;
    found.none();
}
