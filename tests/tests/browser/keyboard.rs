//! The console by the keyboard alone: from the key to taking a call over and leaving it. No question takes the focus away for good.

use phone::Mouth;
use system_tests::browser::{Browsers, Microphone, Opening, Tab};
use system_tests::ears::voice;
use system_tests::office::Office;

use super::stage::{ROOM, TONES, YES, in_a_call, tone};

/// Presses Tab until this has the focus.
async fn tabs_to(tab: &Tab, selector: &str) {
    for _ in 0..60 {
        if tab.eval(&format!("document.activeElement.matches('{selector}')")).await == true {
            return;
        }
        tab.press("Tab").await;
    }
    panic!("no Tab leads to {selector}; the focus is on {}", focus(tab).await);
}

async fn focus(tab: &Tab) -> String {
    tab.eval("document.activeElement.outerHTML.slice(0, 120)").await.to_string()
}

/// Whether the focus is where it was before a question.
async fn is_back(tab: &Tab, what: &str) {
    tab.sees_no("dialog[open]").await;
    let back = tab.eval("document.activeElement.matches('button[data-mode=whisper]')").await;
    assert_eq!(back, true, "{what}: the focus is on {}", focus(tab).await);
}

async fn says_yes(tab: &Tab) {
    tab.until(&format!("document.querySelector('{YES}') && document.querySelector('{YES}').ariaDisabled !== 'true'"))
        .await;
    tabs_to(tab, YES).await;
    tab.press("Enter").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_done_by_keys_and_the_focus_comes_back_after_each_question() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    let _customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", voice(500)).await;
    let _agent = office.joins("agent", ROOM, "Agent", "", Mouth::Silence).await;
    let _second = office.joins("second", ROOM, "Agent", "", Mouth::Silence).await;
    let opening = Opening::at(&office.server.url("/console")).saying(Microphone::Tone(TONES[2]));
    let tab = browsers.open("supervisor", opening).await;
    tab.sees("input[type=password]").await;
    tabs_to(&tab, "input[type=password]").await;
    for letter in office.account.key.chars() {
        tab.press(&letter.to_string()).await;
    }
    tab.press("Enter").await;
    let room = format!("a[href=\"#/rooms/{ROOM}\"]");
    tab.sees(&room).await;
    tabs_to(&tab, &room).await;
    tab.press("Enter").await;
    tab.sees("button[data-mode=monitor]").await;
    // One stop of Tab for all modes; arrows within.
    tabs_to(&tab, "button[data-mode]").await;
    tab.press("ArrowRight").await;
    tab.press("Enter").await;
    tab.sees("dialog[open]").await;
    tab.press("Escape").await;
    is_back(&tab, "not joined").await;
    tab.press("Enter").await;
    says_yes(&tab).await;
    in_a_call(&tab).await;
    tab.until(&tone("aside")).await;
    is_back(&tab, "joined").await;
    tab.press("t").await;
    tab.sees("dialog[open] fieldset").await;
    let inside = tab.eval("!!document.activeElement.closest('dialog[open]')").await;
    assert_eq!(inside, true, "the question has not the focus: {}", focus(&tab).await);
    tab.press("Escape").await;
    is_back(&tab, "not taken over").await;
    tab.until(&tone("aside")).await;
    tab.press("t").await;
    tab.sees("dialog[open] fieldset").await;
    says_yes(&tab).await;
    tab.until("document.querySelector('button[data-mode=takeover]').ariaPressed === 'true'").await;
    is_back(&tab, "taken over").await;
    tab.press("s").await;
    tab.until(&tone("nobody")).await;
    tab.press("Escape").await;
    tab.sees("dialog[open]").await;
    tab.press("Escape").await;
    is_back(&tab, "stayed").await;
    tab.until(&tone("nobody")).await;
    tab.press("Escape").await;
    says_yes(&tab).await;
    tab.until(&tone("out")).await;
    is_back(&tab, "left").await;
}
