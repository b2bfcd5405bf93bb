//! What the console shows and does when something fails: the network, the microphone, the room, the key, the server, the tab.

use std::time::{Duration, Instant};

use phone::Mouth;
use phone::analysis::first_heard;
use serde_json::{Value, json};
use system_tests::browser::{Browsers, Microphone, Opening, Tab};
use system_tests::ears::voice;
use system_tests::office::Office;
use system_tests::server::text;

use super::crowd;
use super::stage::{self, ROOM, Stage, TONES, hears, in_a_call, joins, look_into};

const TALK: [(&str, &str); 2] = [("customer", "agent"), ("agent", "customer")];
const TAKEOVER: [(&str, &str); 2] = [("customer", "supervisor"), ("supervisor", "customer")];

fn tone(tone: &str) -> String {
    format!("document.body.dataset.tone === '{tone}'")
}

/// A room of telephones, and a supervisor at the console who looks at it.
struct Watched {
    supervisor: Tab,
    browsers: Browsers,
    // Ends last.
    office: Office,
}

impl Watched {
    async fn open(opening: Opening) -> (Self, [system_tests::office::Member; 2]) {
        let browsers = Browsers::start().await;
        let office = Office::open().await;
        let customer = office.joins("customer", ROOM, "Customer", "stayAlone=\"true\"", voice(TONES[0])).await;
        let agent = office.joins("agent", ROOM, "Agent", "", voice(TONES[1])).await;
        let supervisor = stage::console(&office, &browsers, opening.saying(Microphone::Tone(TONES[2]))).await;
        look_into(&supervisor, ROOM).await;
        (Self { supervisor, browsers, office }, [customer, agent])
    }

    async fn supervisors(&self) -> usize {
        let room = self.office.native.get(&format!("/rooms/{ROOM}")).await;
        let members = room["member_list"].as_array().cloned().unwrap_or_default();
        members.iter().filter(|member| member["role"] == "supervisor").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_network_what_is_shown_is_marked_as_old_and_afterwards_it_is_new_again() {
    let (watched, _people) = Watched::open(Opening::default()).await;
    let tab = &watched.supervisor;
    joins(tab, "whisper").await;
    tab.until(&tone("aside")).await;
    tab.offline(true).await;
    tab.until(&tone("unknown")).await;
    tab.sees("[data-notice=connection]").await;
    tab.sees(".roompage[data-old]").await;
    let shown = tab.text(".verdict .headline").await;
    assert_eq!(shown, "Who hears you is not known");
    // A mode that lets more people hear is not asked for in the dark.
    let disabled = tab.eval("['whisper', 'barge', 'takeover'].map((mode) => document.querySelector(`button[data-mode=${mode}]`).ariaDisabled)").await;
    assert_eq!(disabled, json!(["true", "true", "true"]));
    tab.offline(false).await;
    tab.within(&tone("aside"), Duration::from_secs(30)).await;
    tab.sees_no("[data-notice=connection]").await;
    tab.sees_no(".roompage[data-old]").await;
    // The list, too.
    tab.press("Escape").await;
    tab.click("dialog[open] >> role=button[name=\"Leave\"]").await;
    tab.until(&tone("out")).await;
    tab.click("a[href=\"#/\"]").await;
    tab.sees(&format!("a[href=\"#/rooms/{ROOM}\"]")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_refuses_the_microphone_has_not_joined_and_is_told_what_to_do() {
    let (watched, _people) = Watched::open(Opening::default().refusing_the_microphone()).await;
    let tab = &watched.supervisor;
    tab.click("button[data-mode=barge]").await;
    tab.sees("dialog[open] .notice >> text=You have not joined.").await;
    assert_eq!(
        tab.eval("document.querySelector('dialog[open] .danger, dialog[open] .primary').ariaDisabled").await,
        "true"
    );
    tab.press("Escape").await;
    tab.sees_no("dialog[open]").await;
    assert_eq!(watched.supervisors().await, 0);
    tab.until(&tone("out")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_ends_says_so_and_lets_the_microphone_go() {
    let (watched, _people) = Watched::open(Opening::default()).await;
    let tab = &watched.supervisor;
    joins(tab, "barge").await;
    tab.until(&tone("public")).await;
    watched.office.native.delete(&format!("/rooms/{ROOM}")).await;
    tab.sees("[data-notice=room]").await;
    assert!(tab.text("[data-notice=room]").await.contains("This room has ended"));
    tab.until(&tone("out")).await;
    tab.until("window.__peers.every((peer) => peer.connectionState === 'closed')").await;
    tab.until("window.__peers.every((peer) => peer.getSenders().every(({ track }) => !track || track.readyState === 'ended'))").await;
}

/// A console that is signed in with a key of its own; its id.
async fn with_key(office: &Office, browsers: &Browsers, more: &[&str]) -> (Tab, String) {
    let mut arguments =
        vec!["key", "create", "guest", "--account", &office.account.auth_id, "--scopes", "read,monitor,coach"];
    arguments.extend(more);
    let key = office.server.aside(&arguments).await;
    let opening = Opening::at(&office.server.url("/console")).saying(Microphone::Tone(TONES[2]));
    let tab = browsers.open("guest", opening).await;
    tab.fill("input[type=password]", &text(&key, "key")).await;
    tab.click("role=button[name=\"Sign in\"]").await;
    look_into(&tab, ROOM).await;
    (tab, text(&key, "id"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_signs_its_console_out_and_out_of_the_room() {
    let (watched, [customer, _]) = Watched::open(Opening::default()).await;
    let (tab, id) = with_key(&watched.office, &watched.browsers, &[]).await;
    joins(&tab, "barge").await;
    tab.until(&tone("public")).await;
    let heard = customer.call.ear().wait_heard(TONES[2], -30.0, Instant::now(), system_tests::SOON).await;
    assert!(heard.is_some(), "the customer does not hear who barges in");
    watched.office.native.delete(&format!("/keys/{id}")).await;
    tab.sees("text=Your key is no longer good").await;
    tab.sees("input[type=password]").await;
    tab.until("window.__peers.every((peer) => peer.connectionState === 'closed')").await;
    watched
        .supervisor
        .until("![...document.querySelectorAll('.member')].some((card) => card.innerText.includes('supervisor'))")
        .await;
    assert_eq!(watched.supervisors().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_key_signs_its_console_out() {
    let (watched, _people) = Watched::open(Opening::default()).await;
    let time = watched.supervisor.eval("new Date(Date.now() + 12_000).toISOString()").await;
    let expires = time.as_str().unwrap_or_default().to_owned();
    let (tab, _) = with_key(&watched.office, &watched.browsers, &["--expires", &expires]).await;
    joins(&tab, "monitor").await;
    tab.within("!!document.querySelector('input[type=password]')", Duration::from_secs(30)).await;
    let says = tab.text("#content").await;
    assert!(says.contains("expired") || says.contains("no longer good"), "{says}");
    tab.until("window.__peers.every((peer) => peer.connectionState === 'closed')").await;
    assert_eq!(watched.supervisors().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_and_starts_again_leaves_no_old_state_on_any_page() {
    let mut stage = Stage::open().await;
    joins(&stage.supervisor, "whisper").await;
    stage.supervisor.until(&tone("aside")).await;
    stage.office.server.kill9().await;
    stage.supervisor.until(&tone("unknown")).await;
    stage.supervisor.sees(".roompage[data-old]").await;
    stage.office.server.restart().await;
    // The calls that were live are over with the server that carried them.
    stage
        .supervisor
        .within(
            "document.querySelector('[data-notice=room]')?.innerText.includes('has ended')",
            Duration::from_secs(60),
        )
        .await;
    stage.supervisor.until(&tone("out")).await;
    stage.agent.within("document.querySelector('#registration')?.innerText === 'Ready'", Duration::from_secs(90)).await;
    stage.agent.within("!!document.querySelector('#target')", Duration::from_secs(90)).await;
    stage
        .customer
        .within(
            "[...document.querySelectorAll('button')].some((button) => /again/.test(button.innerText))",
            Duration::from_secs(90),
        )
        .await;
    // And it goes on.
    stage.customer.click("css=button.good").await;
    in_a_call(&stage.customer).await;
    stage.supervisor.click("text=Wait for it to open again").await;
    stage.supervisor.until("document.querySelectorAll('.member').length === 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_last_agent_leaves_a_whisper_is_heard_by_nobody_and_the_next_one_hears_it_from_his_first_packet() {
    let stage = Stage::open().await;
    joins(&stage.supervisor, "whisper").await;
    stage.supervisor.until(&tone("aside")).await;
    stage.agent.click("role=button[name=\"Hang up\"]").await;
    stage.supervisor.until(&tone("nobody")).await;
    assert_eq!(stage.supervisor.text(".verdict .headline").await, "Nobody hears you");
    let detail = stage.supervisor.text(".verdict .detail").await;
    assert!(detail.contains("no agent is in the room"), "{detail}");
    let pressed = stage.supervisor.eval("document.querySelector('button[data-mode=whisper]').ariaPressed").await;
    assert_eq!(pressed, "true", "the mode has changed by itself");
    let [customer, _, supervisor] = stage.people()[..] else { panic!("three people") };
    crowd::hears("without an agent", &[customer, supervisor], &[("supervisor", "customer")]).await;
    let next = stage.office.joins("next", ROOM, "Agent", "", Mouth::Silence).await;
    stage.supervisor.until(&tone("aside")).await;
    assert!(next.call.ear().wait_more(50, system_tests::SOON).await);
    let packets = next.call.ear().packets();
    let begin = packets.first().map(|packet| packet.at).expect("packets");
    let [c, _, s, _] = TONES;
    let onset = |tone: u32| first_heard(&packets, tone, begin, -30.0).map(|heard| heard.at);
    let (customer, supervisor) = (onset(c).expect("the customer is heard"), onset(s).expect("the whisper is heard"));
    let apart = supervisor.max(customer) - supervisor.min(customer);
    assert!(apart <= Duration::from_millis(40), "the whisper comes {apart:?} apart from the customer");
    assert!(!stage.supervisor.eval(&tone("public")).await.as_bool().unwrap_or(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_back_when_the_tab_that_took_over_is_closed() {
    let Stage { customer, agent, supervisor, browsers, office } = Stage::open().await;
    joins(&supervisor, "barge").await;
    supervisor.until(&tone("public")).await;
    supervisor.press("t").await;
    supervisor.until("document.querySelector('button[data-mode=takeover]').ariaPressed === 'true'").await;
    let three = [("customer", &customer), ("agent", &agent), ("supervisor", &supervisor)];
    hears("taken over", &three, &TAKEOVER).await;
    supervisor.close().await;
    let two = [("customer", &customer), ("agent", &agent)];
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let room: Value = office.native.get(&format!("/rooms/{ROOM}")).await;
        if room["member_list"].as_array().map(Vec::len) == Some(2) {
            break;
        }
        assert!(Instant::now() < end, "the supervisor stays in the room: {room}");
        // A room has no event that this test could wait for.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    hears("after the tab was closed", &two, &TALK).await;
    drop(browsers);
}
