//! The softphone and the click-to-call page, as an agent, a customer and a guest use them.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use system_tests::SOON;
use system_tests::browser::{Browsers, Microphone, Opening, Scene, Tab, now};
use system_tests::ears::voice;
use system_tests::office::{DOMAIN, Member, Office};
use system_tests::program::{Asked, Reply, tone_wav};

use super::crowd::{Ear, ON_THE_WAY, Person, STRETCH, TONES, comes_to_hear, hears};
use super::stage::{self, Stage, in_a_call, signs_in};

const AGENT: u32 = TONES[0];
const OTHER: u32 = TONES[1];

/// An agent at a softphone that is ready, and a customer at a telephone in a room.
struct Seat {
    agent: Tab,
    browsers: Browsers,
    // Ends last.
    office: Office,
}

impl Seat {
    async fn open() -> Self {
        let browsers = Browsers::start().await;
        let office = Office::open().await;
        let (answer, hangup) = (office.program.url("/answer/agent"), office.program.url("/hangup/agent"));
        let app = office.server.application(&office.account, "agent", &answer, &["--hangup-url", &hangup]).await;
        office.server.endpoint(&office.account, "agent", Some(&app)).await;
        let opening = Opening::at(&office.server.url("/phone")).saying(Microphone::Tone(AGENT)).with(COUNTS);
        let agent = browsers.open("agent", opening).await;
        signs_in(&agent, "agent").await;
        Self { agent, browsers, office }
    }

    async fn customer(&self) -> Member {
        self.office.joins("customer", "room", "Customer", "stayAlone=\"true\"", voice(OTHER)).await
    }

    /// The program adds the agent to the customer's room; the call's UUID once it rings.
    async fn rings(&self, customer: &Member) -> String {
        let body = json!({
            "role": "agent", "from": "14155550100", "to": format!("sip:agent@{DOMAIN}"), "enter_sound": "none", "exit_sound": "none",
            "dial_music": "none", "call_status_callback_url": self.office.program.url("/leg"), "status_callback_method": "POST",
            "status_callback_url": self.office.program.url("/events"),
        });
        let added = self.office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
        self.agent.sees("role=button[name=\"Answer\"]").await;
        added["calls"][0]["call_uuid"].as_str().unwrap_or_default().to_owned()
    }

    /// The agent dials the hotline, whose instructions are these.
    async fn dials(&self, document: &str) {
        self.office.program.document("/answer/agent", document);
        self.agent.fill("#target", "hotline").await;
        self.agent.click("role=button[name=\"Call\"]").await;
        in_a_call(&self.agent).await;
    }

    /// The agent answers and is in the customer's room.
    async fn in_the_room(&self) -> Member {
        let customer = self.customer().await;
        let (mark, uuid) = (self.office.program.mark(), self.rings(&customer).await);
        self.agent.click("role=button[name=\"Answer\"]").await;
        in_a_call(&self.agent).await;
        self.office.program.event("ParticipantJoin", mark, |told| told.param("ParticipantCallUUID") == uuid).await;
        customer
    }
}

/// Counts how often a page asks for a microphone.
const COUNTS: &str = "window.__asked = 0; if (navigator.mediaDevices) { const own = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = (wanted) => { window.__asked += 1; return own(wanted); }; }";

/// The time in so many seconds, in RFC 3339.
async fn rfc3339_in(tab: &Tab, seconds: u32) -> String {
    let time = tab.eval(&format!("new Date(Date.now() + {seconds}000).toISOString()")).await;
    time.as_str().unwrap_or_default().to_owned()
}

async fn shows(tab: &Tab, text: &str) {
    tab.sees(&format!("text={text}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_rung_answers_talks_and_hangs_up() {
    let seat = Seat::open().await;
    let customer = seat.customer().await;
    let uuid = seat.rings(&customer).await;
    assert_eq!(seat.agent.eval("window.__asked").await, 0, "the microphone was opened before the answer");
    let title = seat.agent.until("document.title.includes('is calling') && document.title").await;
    assert!(title.as_str().is_some_and(|title| title.contains("14155550100")), "{title}");
    let mark = seat.office.program.mark();
    seat.agent.click("role=button[name=\"Answer\"]").await;
    in_a_call(&seat.agent).await;
    seat.office.program.event("ParticipantJoin", 0, |told| told.param("ParticipantCallUUID") == uuid).await;
    let ear = customer.call.ear();
    let people = [
        Person { name: "agent", ear: Ear::Tab(&seat.agent), tone: AGENT },
        Person { name: "customer", ear: Ear::Phone(&ear), tone: OTHER },
    ];
    hears("answered", &people, &[("agent", "customer"), ("customer", "agent")]).await;
    seat.agent.click("role=button[name=\"Hang up\"]").await;
    shows(&seat.agent, "You ended the call.").await;
    let exit =
        seat.office.program.event("ParticipantExit", mark, |told| told.param("ParticipantCallUUID") == uuid).await;
    assert_eq!(exit.param("ParticipantRole"), "agent", "{exit:?}");
    seat.agent.until("(window.__peers ?? []).every((peer) => peer.connectionState === 'closed')").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_declines_and_the_program_is_told_and_a_caller_who_gives_up_leaves_no_ringing() {
    let seat = Seat::open().await;
    let customer = seat.customer().await;
    seat.rings(&customer).await;
    let mark = seat.office.program.mark();
    seat.agent.click("role=button[name=\"Decline\"]").await;
    let leg = |told: &Asked| told.path == "/leg";
    let hangup = seat.office.program.event("Hangup", mark, leg).await;
    assert_eq!(hangup.param("HangupCauseCode"), "3020", "{hangup:?}");
    shows(&seat.agent, "You declined the call.").await;
    let uuid = seat.rings(&customer).await;
    seat.office.rest.delete(&format!("/Call/{uuid}/")).await;
    shows(&seat.agent, "The caller hung up before you answered.").await;
    seat.agent.until("!document.title.includes('is calling')").await;
    assert_eq!(seat.agent.eval("window.__asked").await, 0, "the microphone was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn hold_and_mute_are_measured_at_the_other_end() {
    let seat = Seat::open().await;
    let customer = seat.in_the_room().await;
    let ear = customer.call.ear();
    let people = [
        Person { name: "agent", ear: Ear::Tab(&seat.agent), tone: AGENT },
        Person { name: "customer", ear: Ear::Phone(&ear), tone: OTHER },
    ];
    let (hears_agent, hears_customer) = (("customer", "agent"), ("agent", "customer"));
    hears("answered", &people, &[hears_agent, hears_customer]).await;
    seat.agent.click("role=button[name=\"Mute\"]").await;
    shows(&seat.agent, "Connected. You are muted.").await;
    hears("muted", &people, &[hears_customer]).await;
    seat.agent.click("role=button[name=\"Unmute\"]").await;
    hears("unmuted", &people, &[hears_agent, hears_customer]).await;
    seat.agent.click("role=button[name=\"Hold\"]").await;
    shows(&seat.agent, "On hold: nobody hears you, and you hear nobody.").await;
    let mut scene = Scene::of(&people);
    scene.begins("on hold", now() + ON_THE_WAY, &[]);
    scene.lasts(STRETCH).await;
    scene.is_as_it_should_be().await;
    seat.agent.click("role=button[name=\"Resume\"]").await;
    seat.agent.sees("role=button[name=\"Hold\"]").await;
    hears("after the hold", &people, &[hears_agent, hears_customer]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_the_keypad_reach_the_program() {
    let seat = Seat::open().await;
    let program = &seat.office.program;
    program.reply("/prompt.wav", Reply::Plain(200, "audio/wav", tone_wav(OTHER, -20.0, 1)));
    let prompt = format!("<Play loop=\"20\">{}</Play>", program.url("/prompt.wav"));
    seat.dials(&format!("<GetDigits action=\"{}\" numDigits=\"4\">{prompt}</GetDigits>", program.url("/digits"))).await;
    comes_to_hear("the prompt", Ear::Tab(&seat.agent), OTHER).await;
    seat.agent.click("role=button[name=\"Keypad\"]").await;
    let mark = program.mark();
    for key in ["1", "star", "5 jkl"] {
        seat.agent.click(&format!("[aria-label=Keypad] >> role=button[name=\"{key}\"]")).await;
    }
    // Also those of the keyboard.
    seat.agent.press("7").await;
    let told = program.asked().expect("digits", mark, SOON, |asked| asked.path == "/digits").await;
    assert_eq!(told.param("Digits"), "1*57", "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_nobody_takes_leaves_the_call_as_it_was() {
    let seat = Seat::open().await;
    let customer = seat.in_the_room().await;
    seat.agent.click("role=button[name=\"Transfer\"]").await;
    seat.agent.fill("#transfer-to", "desk").await;
    seat.agent.click("dialog[open] >> role=button[name=\"Transfer\"]").await;
    seat.agent.sees("#notice .notice.bad").await;
    let ear = customer.call.ear();
    let people = [
        Person { name: "agent", ear: Ear::Tab(&seat.agent), tone: AGENT },
        Person { name: "customer", ear: Ear::Phone(&ear), tone: OTHER },
    ];
    hears("after the refused transfer", &people, &[("customer", "agent"), ("agent", "customer")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_supervisor_is_seen_in_the_console_within_a_second() {
    let seat = Seat::open().await;
    let _customer = seat.in_the_room().await;
    let console = stage::console(&seat.office, &seat.browsers, Opening::default()).await;
    console.sees("a[href=\"#/rooms/room\"]").await;
    console.eval("window.__help = []; const look = () => { const seen = !!document.querySelector('li.room.asks');
        if (window.__help.at(-1)?.[0] !== seen) window.__help.push([seen, Date.now()]); };
        look(); new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true }); null").await;
    for (button, seen) in [("Bring in a supervisor", true), ("Supervisor asked: take back", false)] {
        let pressed = seat.agent.eval("Date.now()").await.as_u64().unwrap_or_default();
        seat.agent.click(&format!("role=button[name=\"{button}\"]")).await;
        let at = console.until(&format!("window.__help.at(-1)[0] === {seen} && window.__help.at(-1)[1]")).await;
        let took = at.as_u64().unwrap_or_default().saturating_sub(pressed);
        eprintln!("{button}: seen after {took} ms");
        assert!(took < 1_000, "{button}: the console shows it after {took} ms");
    }
    seat.agent.click("role=button[name=\"Bring in a supervisor\"]").await;
    console.sees("text=Help asked").await;
    stage::look_into(&console, "room").await;
    console.sees("text=asks for help").await;
    // Until one comes.
    stage::joins(&console, "monitor").await;
    console.sees_no("text=asks for help").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_link_takes_no_microphone_before_the_click_and_says_when_it_is_used_up_or_over() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    office.program.document("/answer/shop", "<Wait length=\"60\"/>");
    let app = office.server.application(&office.account, "shop", &office.program.url("/answer/shop"), &[]).await;
    let link = async |name: &str, more: serde_json::Value| {
        let mut body = json!({ "name": name, "application": app });
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        office.native.post("/links", body).await
    };
    let (good, gone) = (link("good", json!({})).await, link("gone", json!({})).await);
    let path = |link: &serde_json::Value| office.server.url(link["path"].as_str().unwrap_or_default());
    let tab = browsers.open("customer", Opening::at(&path(&good)).with(COUNTS)).await;
    let made = Instant::now();
    let brief = link("brief", json!({ "expires_at": rfc3339_in(&tab, 4).await })).await;
    tab.sees("role=button[name=\"Call now\"]").await;
    assert_eq!(tab.eval("window.__asked").await, 0, "the link alone opened a microphone");
    assert!(office.program.asked().is_empty(), "the link alone made a call");
    tab.click("role=button[name=\"Call now\"]").await;
    in_a_call(&tab).await;
    assert_eq!(tab.eval("window.__asked").await, 1);
    tab.click("role=button[name=\"Hang up\"]").await;
    shows(&tab, "You ended the call.").await;
    // One that was deleted, one whose time is over, one that never was.
    office.native.delete(&format!("/links/{}", gone["id"].as_str().unwrap_or("gone"))).await;
    let until = (Duration::from_secs(4)).saturating_sub(made.elapsed());
    // Its time has to pass.
    tokio::time::sleep(until + Duration::from_millis(200)).await;
    for address in [path(&gone), path(&brief), office.server.url("/call/shop-0123456789abcdef")] {
        tab.goes_to(&address).await;
        tab.click("role=button[name=\"Call now\"]").await;
        shows(&tab, "The link is not good any more; ask for a new one.").await;
        tab.sees("role=button[name=\"Try again\"]").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_asks_before_it_takes_the_microphone_and_is_good_for_one_person() {
    let browsers = Browsers::start().await;
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", voice(OTHER)).await;
    let made = office.native.post("/rooms/room/invite", json!({ "role": "agent", "label": "Anna" })).await;
    let address = office.server.url(made["path"].as_str().unwrap_or_default());
    let guest = browsers.open("guest", Opening::at(&address).saying(Microphone::Tone(AGENT)).with(COUNTS)).await;
    shows(&guest, "Join as Anna, the agent?").await;
    assert_eq!(guest.eval("window.__asked").await, 0, "the invitation alone opened a microphone");
    guest.click("role=button[name=\"Join the call\"]").await;
    in_a_call(&guest).await;
    let ear = customer.call.ear();
    let people = [
        Person { name: "Anna", ear: Ear::Tab(&guest), tone: AGENT },
        Person { name: "customer", ear: Ear::Phone(&ear), tone: OTHER },
    ];
    hears("invited", &people, &[("customer", "Anna"), ("Anna", "customer")]).await;
    let (_, room) = office.native.request(Method::GET, "/rooms/room", None).await;
    assert!(room.to_string().contains("\"agent\""), "{room}");
    // The same link again, in another browser.
    let second = browsers.open("second", Opening::at(&address).with(COUNTS)).await;
    second.click("role=button[name=\"Join the call\"]").await;
    second.sees("#notice .notice.bad").await;
    let says = second.text("#notice").await;
    eprintln!("a used invitation says: {says}");
    assert!(says.to_lowercase().contains("invitation"), "a used invitation says: {says}");
    assert!(second.eval("(window.__peers ?? []).length").await == 0, "a used invitation opened a connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_a_sign_in_outlives_a_reload_but_no_sign_out() {
    let seat = Seat::open().await;
    let other = seat.browsers.open("other", Opening::at(&seat.office.server.url("/phone"))).await;
    other.fill("input[name=username]", "agent").await;
    other.fill("input[name=password]", "wrong-horse-7").await;
    other.click("role=button[name=\"Sign in\"]").await;
    shows(&other, "No endpoint has this user name and password.").await;
    seat.agent.reload().await;
    seat.agent.until("document.querySelector('#registration')?.innerText === 'Ready'").await;
    seat.agent.click("#sign-out").await;
    seat.agent.sees("input[name=password]").await;
    seat.office.server.metric_becomes("aside_sip_bindings_bound", 0.0).await;
    seat.agent.reload().await;
    seat.agent.sees("input[name=password]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_at_the_click_to_call_page_is_heard_in_the_room_it_leads_to() {
    let stage = Stage::open().await;
    let two = [("customer", &stage.customer), ("agent", &stage.agent)];
    stage::hears("a link and a softphone", &two, &[("customer", "agent"), ("agent", "customer")]).await;
}
