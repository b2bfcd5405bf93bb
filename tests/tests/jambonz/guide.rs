//! The guide's snippets as they are printed, with every official package that can express them, each followed by a measured matrix.

use std::time::Instant;

use phone::{CallOptions, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{SETTLING, hears, never_heard_since, stays_silent, tones, voice};
use system_tests::jambonz::clients::{Clients, Library};
use system_tests::jambonz::exchange::{Calling, Exchange};
use system_tests::office::Member;
use system_tests::program::{Reply, tone_wav};

const ROOM: &str = "support-conference-23";

const BOTH: [(&str, &str); 4] =
    [("customer", "agent"), ("agent", "customer"), ("manager", "customer"), ("manager", "agent")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    BOTH.iter().chain(more).copied().collect()
}

/// Agent, customer and manager of the guide, whose calls a package answers.
struct Story {
    agent: Member,
    customer: Member,
    manager: Member,
}

impl Story {
    async fn of(exchange: &Exchange, clients: &Clients, library: Library, mouths: [Mouth; 3]) -> Self {
        let [customer, agent, manager] = mouths;
        let agent = calls(exchange, clients, library, "agent", agent).await;
        let customer = calls(exchange, clients, library, "customer", customer).await;
        let manager = calls(exchange, clients, library, "manager", manager).await;
        Self { agent, customer, manager }
    }

    fn heard(&self, tones: [Option<u32>; 3]) -> [system_tests::ears::Heard<'_>; 3] {
        let [c, a, m] = tones;
        [self.customer.heard(c), self.agent.heard(a), self.manager.heard(m)]
    }

    /// All speak.
    async fn speaks(&self, [c, a, m]: [u32; 3]) {
        self.customer.speaks(c).await;
        self.agent.speaks(a).await;
        self.manager.speaks(m).await;
    }
}

async fn calls(exchange: &Exchange, clients: &Clients, library: Library, who: &str, mouth: Mouth) -> Member {
    let name = format!("{who}-{library:?}").to_lowercase();
    let hook = json!({ "url": clients.url(library, &format!("/guide/{who}")) });
    let status = json!({ "url": clients.url(library, &format!("/call-status/{who}")) });
    let status = if Library::SOCKETS.contains(&library) { hook.clone() } else { status };
    let mark = clients.mark();
    let phone = exchange.phone_of(&name, hook, status, mouth).await;
    let call = phone.call(&exchange.number_of(&name), CallOptions::default()).unwrap();
    let path = format!("/guide/{who}");
    let asked = clients
        .report(&format!("a session at {path}"), mark, |report| {
            report["session"]["path"] == path || report["request"]["path"] == path
        })
        .await;
    let sid = [&asked["session"]["call_sid"], &asked["request"]["body"]["call_sid"]];
    let sid = sid.iter().find_map(|sid| sid.as_str()).unwrap_or_default().to_owned();
    call.wait_answered(SOON).await.unwrap();
    let calling = Calling { name: who.to_owned(), phone, call, sid, mark };
    exchange.is_in(calling).await
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_with_a_tag_and_with_speak_only_to_by_every_package() {
    let [c, a, m] = tones();
    let exchange = Exchange::open().await;
    let clients = Clients::start(&exchange).await;
    for library in Library::ALL {
        let story = Story::of(&exchange, &clients, library, [Mouth::Silence, Mouth::Silence, voice(m)]).await;
        let what = format!("{library:?}: the manager alone speaks");
        hears(&what, &story.heard([None, None, Some(m)]), &[("agent", "manager")]).await;
        stays_silent(&format!("{library:?}: the customer"), &story.customer.call, 25).await;
        story.customer.speaks(c).await;
        story.agent.speaks(a).await;
        let all = story.heard([Some(c), Some(a), Some(m)]);
        hears(&format!("{library:?}: all speak"), &all, &with(&[("agent", "manager")])).await;
        // endConferenceOnExit: the agent's departure ends the room for the others.
        let before = exchange.cursor().await;
        story.agent.leaves().await;
        exchange.native_event_after("room.ended", "", before).await;
        for member in [&story.customer, &story.manager] {
            exchange.native_event("member.left", &member.call_uuid).await;
            if Library::SOCKETS.contains(&library) {
                member.leaves().await;
            }
            // An application by HTTP has nothing more to say: its call is hung up.
            member.call.wait_ended(SOON).await.unwrap();
        }
    }
    assert!(clients.is_alive());
    exchange.closes_after(&clients).await;
}

/// The guide's four changes in an order in which each one is to be heard, and how it is measured.
async fn four_changes(
    what: &str,
    story: &Story,
    tones: [u32; 3],
    mut change: impl AsyncFnMut(&Member, &'static str, Value),
) {
    let all = story.heard(tones.map(Some));
    let [_, _, m] = tones;
    let tag = |tag: &str| json!({ "action": "tag", "tag": tag });
    hears(&format!("{what}: joined"), &all, &with(&[("agent", "manager")])).await;
    change(&story.agent, "tag", tag("customer")).await;
    let since = Instant::now() + SETTLING;
    hears(&format!("{what}: the agent has become a customer"), &all, &with(&[])).await;
    never_heard_since(what, &story.agent.call, m, since).await;
    change(&story.manager, "uncoach", json!({ "action": "uncoach" })).await;
    hears(&format!("{what}: uncoach"), &all, &with(&[("agent", "manager"), ("customer", "manager")])).await;
    change(&story.agent, "untag", json!({ "action": "untag" })).await;
    hears(&format!("{what}: a tag means nothing now"), &all, &with(&[("agent", "manager"), ("customer", "manager")]))
        .await;
    change(&story.manager, "coach", json!({ "action": "coach", "tag": "agent" })).await;
    let since = Instant::now() + SETTLING;
    hears(&format!("{what}: coach, and nobody is an agent"), &all, &with(&[])).await;
    for member in [&story.customer, &story.agent] {
        never_heard_since(what, &member.call, m, since).await;
    }
    change(&story.agent, "tag", tag("agent")).await;
    hears(&format!("{what}: an agent again"), &all, &with(&[("agent", "manager")])).await;
    never_heard_since(what, &story.customer.call, m, since).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_requests_as_curl_and_as_both_rest_packages_send_them() {
    let tones = tones();
    let exchange = Exchange::open().await;
    let mut clients = Clients::start(&exchange).await;
    let story = Story::of(&exchange, &clients, Library::Sdk, tones.map(voice)).await;

    // curl sends JSON under the content type of a form, as the guide's commands do.
    four_changes("curl", &story, tones, async |member: &Member, _, action: Value| {
        let path = exchange.rest.path(&format!("/Calls/{}", member.call_uuid));
        let body = json!({ "conferenceParticipantAction": action }).to_string();
        let form = Some("application/x-www-form-urlencoded");
        let reply = exchange.rest.send(reqwest::Method::PUT, &path, Some(&body), form).await;
        assert_eq!(reply.status, 202, "{body}: {reply:?}");
    })
    .await;

    let cell = tokio::sync::Mutex::new(&mut clients);
    four_changes("@jambonz/sdk", &story, tones, async |member: &Member, _, action: Value| {
        let arguments = json!([member.call_uuid, { "conferenceParticipantAction": action }]);
        cell.lock().await.rest("sdk", "calls.update", arguments).await.unwrap();
    })
    .await;

    // The oldest package lets an action pass only beside one of the properties that it knows.
    exchange.office.program.reply("/nothing.wav", Reply::Plain(200, "audio/wav", silent_wav()));
    let nothing = exchange.office.program.url("/nothing.wav");
    let refused = json!([story.agent.call_uuid, { "conferenceParticipantAction": { "action": "untag" } }]);
    let refused = cell.lock().await.rest("node", "calls.update", refused).await.unwrap_err();
    assert!(refused["message"].as_str().unwrap().contains("invalid request"), "{refused}");
    four_changes("@jambonz/node-client", &story, tones, async |member: &Member, _, action: Value| {
        let whisper = json!({ "verb": "play", "url": nothing });
        let arguments = json!([member.call_uuid, { "conferenceParticipantAction": action, "whisper": whisper }]);
        cell.lock().await.rest("node", "calls.update", arguments).await.unwrap();
    })
    .await;
    exchange.closes_after(&clients).await;
}

/// A tenth of a second of nothing.
fn silent_wav() -> Vec<u8> {
    let mut file = tone_wav(1_000, -20.0, 1);
    let samples = 800 * 2;
    file.truncate(44);
    file[4..8].copy_from_slice(&(36u32 + samples).to_le_bytes());
    file[40..44].copy_from_slice(&samples.to_le_bytes());
    file.resize(44 + samples as usize, 0);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn the_four_injected_commands_by_both_socket_packages() {
    let tones = tones();
    let exchange = Exchange::open().await;
    let mut clients = Clients::start(&exchange).await;
    for library in Library::SOCKETS {
        let story = Story::of(&exchange, &clients, library, tones.map(voice)).await;
        story.speaks(tones).await;
        let cell = tokio::sync::Mutex::new(&mut clients);
        four_changes(&format!("{library:?}"), &story, tones, async |member: &Member, name, action: Value| {
            let cursor = exchange.cursor().await;
            let printed = action != json!({ "action": "tag", "tag": "agent" });
            if printed {
                cell.lock().await.snippet(library, &member.call_uuid, name).await;
            } else {
                cell.lock().await.inject(library, &member.call_uuid, "conf:participant-action", action).await;
            }
            // A command has no answer: the server's own events say when it holds.
            let told = match name {
                "coach" => "member.coaching_started",
                "uncoach" => "member.coaching_stopped",
                _ => "member.tagged",
            };
            exchange.native_event_after(told, &member.call_uuid, cursor).await;
        })
        .await;
        story.agent.leaves().await;
        exchange.native_event("member.left", &story.customer.call_uuid).await;
        story.customer.leaves().await;
        story.manager.leaves().await;
    }
    assert!(clients.is_alive());
    assert_eq!(exchange.rest.get(&exchange.rest.path("/Conferences")).await, json!([]), "{ROOM} is over");
    exchange.closes_after(&clients).await;
}
