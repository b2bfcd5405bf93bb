//! What programs are owed: sent before a server that is told to stop has ended, or right after its next start; never lost to
//! another destination's failing; and sent again on request.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use phone::Mouth;
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::native::Native;
use system_tests::office::Office;
use system_tests::program::{Program, Reply};
use system_tests::server::{Account, ServerOptions, text};
use system_tests::{LATER, SOON};

const UNAVAILABLE: u16 = 503;

fn refuses() -> Reply {
    Reply::Plain(UNAVAILABLE, "text/plain", Vec::new())
}

fn takes() -> Reply {
    Reply::Plain(200, "text/plain", Vec::new())
}

/// The closing callbacks at or after `mark`, and how often each was told.
fn closing(program: &Program, mark: usize) -> BTreeMap<(String, String), usize> {
    let mut told = BTreeMap::new();
    for asked in program.asked().all().into_iter().skip(mark) {
        let of = match asked.event() {
            "MPCEnd" => asked.param("MPCUUID"),
            "ParticipantExit" => asked.param("MemberID"),
            "Hangup" => asked.param("CallUUID"),
            _ => continue,
        };
        *told.entry((asked.event().to_owned(), of.to_owned())).or_default() += 1;
    }
    told
}

/// Asks until `wanted` holds.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + LATER;
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < end, "{what}: never");
        // The server has no event for this.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_has_told_the_end_of_every_call_and_room_before_it_is_gone() {
    let mut office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", "room", "Agent", "", Mouth::Silence).await;
    assert!(office.server.stop().await, "it did not end well");
    // The process is gone: what has not come by now will not come before the next start.
    let once = |event: &str, of: &str| ((event.to_owned(), of.to_owned()), 1);
    let owed = BTreeMap::from([
        once("MPCEnd", &customer.room),
        once("ParticipantExit", &customer.number),
        once("ParticipantExit", &agent.number),
        once("Hangup", &customer.call_uuid),
        once("Hangup", &agent.call_uuid),
    ]);
    assert_eq!(closing(&office.program, 0), owed);
    // And the next start tells none of it again.
    office.server.restart().await;
    let account = office.account.auth_id.as_str();
    let left = office.server.aside(&["callback", "list", "--account", account, "--state", "pending"]).await;
    assert_eq!(left["total"], 0, "{left}");
    office.joins("later", "another", "Customer", "", Mouth::Silence).await;
    assert_eq!(closing(&office.program, 0), owed);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopping_server_could_not_tell_is_told_once_after_its_next_start() {
    let mut office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    office.program.event("MPCStart", 0, |_| true).await;
    office.program.reply("/events", refuses());
    let told = Instant::now();
    assert!(office.server.stop().await, "it did not end well");
    assert!(told.elapsed() < SOON, "a program that refuses held the end up: {:?}", told.elapsed());
    let hangup = ("Hangup".to_owned(), customer.call_uuid.clone());
    assert_eq!(closing(&office.program, 0).get(&hangup), Some(&1), "another destination's callbacks were not told");
    office.program.reply("/events", takes());
    let mark = office.program.mark();
    office.server.restart().await;
    office.program.event_within(LATER, "MPCEnd", mark, |event| event.param("MPCUUID") == customer.room).await;
    let owed = ["ParticipantExit", "MPCEnd"].map(|event| {
        let of = if event == "MPCEnd" { &customer.room } else { &customer.number };
        ((event.to_owned(), of.clone()), 1)
    });
    assert_eq!(closing(&office.program, mark), BTreeMap::from(owed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_takes_nothing_fills_its_own_places_alone_and_the_account_is_told() {
    let office = Office::with(ServerOptions::default().set("outbox", "per_destination", "10")).await;
    let dead = Program::start().await;
    dead.reply("/events", refuses());
    let attributes = "stayAlone=\"true\"";
    let customer = office.joins("customer", "room", "Customer", attributes, Mouth::Silence).await;
    // The other room's events go to the dead program.
    let events = dead.url("/events");
    office.program.document(
        "/answer/agent",
        &format!(
            r#"<MultiPartyCall role="Agent" {attributes} statusCallbackUrl="{events}" enterSound="none" exitSound="none">dead</MultiPartyCall>"#
        ),
    );
    let phone = office.phone("agent", Mouth::Silence).await;
    let call = phone.call("hotline", phone::CallOptions::default()).unwrap();
    call.wait_answered(SOON).await.unwrap();
    let room = until(
        "the room",
        async || office.native.request(Method::GET, "/rooms/dead", None).await,
        |(status, _)| *status == 200,
    );
    let member = room.await.1["member_list"][0]["member"].to_string();
    for change in 0..16 {
        office.native.change("dead", &member, json!({ "mute": change % 2 == 0 })).await;
    }
    let dropped = async || office.server.metric("aside_outbox_dropped_total").await.unwrap_or(0.0);
    until("six of 16 and more are dropped", dropped, |dropped| *dropped >= 6.0).await;
    let events = office.native.get("/events?after=0&limit=1000").await;
    let kept = events["items"].as_array().unwrap();
    let mutes = kept.iter().filter(|event| event["kind"] == "member.muted").count();
    assert_eq!(mutes, 8, "what happened is recorded whatever becomes of its callbacks");
    let told = kept.iter().find(|event| event["kind"] == "callbacks.dropped").expect("nobody was told");
    let destination = format!("http://{}:{}", system_tests::server::PROGRAM_HOST, dead.port());
    assert_eq!(told["payload"]["destination"], destination, "{told}");
    // The healthy program's are there at once.
    let mark = office.program.mark();
    let asked = office.update(&customer, json!({ "mute": true })).await;
    let mute = office.program.event("ParticipantMute", mark, |_| true).await;
    assert!(mute.at.duration_since(asked) < Duration::from_secs(5));
    call.hangup().await.unwrap();
    office.program.event("Hangup", mark, |event| event.path == "/hangup/agent").await;
}

/// The failed callbacks of the account, once there are `count`.
async fn failed(office: &Office, count: u64) -> Vec<Value> {
    let list = async || {
        let account = office.account.auth_id.as_str();
        office.server.aside(&["callback", "list", "--account", account, "--state", "failed"]).await
    };
    let listed = until("given up", list, |listed| listed["total"].as_u64() == Some(count)).await;
    listed["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_was_given_up_is_sent_again_on_request_and_by_nobody_else() {
    let options = ServerOptions::default()
        .set("outbox", "first_retry_ms", "50")
        .set("outbox", "longest_retry_s", "1")
        .set("outbox", "lane_limit_s", "1");
    let office = Office::with(options).await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    office.program.event("MPCStart", 0, |_| true).await;
    office.program.reply("/events", refuses());
    office.update(&customer, json!({ "mute": true })).await;
    let given_up = failed(&office, 1).await;
    let id = text(&given_up[0], "id");
    assert!(given_up[0]["last_error"].as_str().unwrap().contains("503"), "{given_up:?}");
    let account = office.account.auth_id.as_str();
    let shown = office.server.aside(&["callback", "show", &id, "--account", account]).await;
    assert_eq!(shown["body"]["EventName"], "ParticipantMute", "{shown}");

    office.program.reply("/events", takes());
    let mark = office.program.mark();
    let again = office.server.aside(&["callback", "replay", &id, "--account", account]).await;
    assert_eq!(again["state"], "pending", "{again}");
    let mute = office.program.event("ParticipantMute", mark, |_| true).await;
    assert_eq!(mute.param("MemberID"), customer.number);
    failed(&office, 0).await;

    // The same by the native API, for administrators of the account.
    office.program.reply("/events", refuses());
    office.update(&customer, json!({ "mute": false })).await;
    let id = text(&failed(&office, 1).await[0], "id");
    let intruder = office.server.account("intruder").await;
    let reader = office.server.aside(&["key", "create", "reader", "--account", account, "--scopes", "read"]).await;
    let reader = Account { key: text(&reader, "key"), ..office.account.clone() };
    let path = format!("/callbacks/{id}/replay");
    for (who, expected) in [(&intruder, 404), (&reader, 403)] {
        let (status, answer) = Native::of(&office.server, who).request(Method::POST, &path, None).await;
        assert_eq!(status, expected, "{answer}");
    }
    let listed = Native::of(&office.server, &intruder).get("/callbacks").await;
    assert_eq!(listed["total"], 0, "{listed}");
    office.program.reply("/events", takes());
    let mark = office.program.mark();
    let (status, again) = office.native.request(Method::POST, &path, None).await;
    assert_eq!((status, &again["state"]), (200, &json!("pending")), "{again}");
    office.program.event("ParticipantUnmute", mark, |_| true).await;
    let settled = async || office.native.get(&format!("/callbacks/{id}")).await["state"].clone();
    until("taken", settled, |state| state == "done").await;
    let (status, answer) = office.native.request(Method::POST, &path, None).await;
    assert_eq!(status, 409, "what was taken is not sent again: {answer}");

    // All at once, in the order in which they were made.
    office.program.reply("/events", refuses());
    for hold in [true, false] {
        office.update(&customer, json!({ "hold": hold })).await;
    }
    failed(&office, 2).await;
    office.program.reply("/events", takes());
    let mark = office.program.mark();
    office.server.aside(&["callback", "replay", "--all", "--account", account]).await;
    let hold = office.program.event("ParticipantHold", mark, |_| true).await;
    let unhold = office.program.event("ParticipantUnhold", mark, |_| true).await;
    assert!(hold.at <= unhold.at);
}
