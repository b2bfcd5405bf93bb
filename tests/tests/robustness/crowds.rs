//! Many who come and go at once, each with the usual beeps: more notices than a room can sound.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use phone::analysis::exact_silence;
use phone::{Call, CallOptions, Mouth, Phone};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{SETTLING, silent_since, tones, voice};
use system_tests::office::Office;
use tokio::task::JoinSet;

/// What must be zero when nothing is going on.
const NOTHING_LEFT: [&str; 5] =
    ["aside_calls_live", "aside_rooms_live", "aside_sip_dialogs_live", "aside_media_legs", "aside_media_rooms"];

/// The document of a room with the default beeps at entry and exit.
fn beeping_document(office: &Office, name: &str, role: &str) {
    let events = office.program.url("/events");
    let inside = format!(
        r#"<MultiPartyCall role="{role}" maxParticipants="60" stayAlone="true" statusCallbackUrl="{events}">crowd</MultiPartyCall>"#
    );
    office.program.document(&format!("/answer/{name}"), &inside);
}

/// That many calls of one phone, all in the room when this returns.
async fn crowd(office: &Office, phone: &Phone, count: usize) -> Vec<Call> {
    let mark = office.program.mark();
    let calls: Vec<Call> = (0..count).map(|_| phone.call("hotline", CallOptions::default()).unwrap()).collect();
    for call in &calls {
        call.wait_answered(SOON).await.unwrap();
    }
    office.program.asked().expect_times("entries", count, mark, SOON, |asked| asked.event() == "ParticipantJoin").await;
    calls
}

fn all_hang_up(calls: Vec<Call>) -> JoinSet<Call> {
    let mut leaving = JoinSet::new();
    for call in calls {
        leaving.spawn(async move {
            call.hangup().await.unwrap();
            call
        });
    }
    leaving
}

/// Processor time that a process has used.
fn processor_time(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux counts in hundredths of a second, whatever its own clock does.
    Duration::from_millis(ticks * 10)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_whose_twenty_members_hang_up_at_once_ends_and_leaves_no_ghost() {
    let office = Office::open().await;
    beeping_document(&office, "crowd", "Agent");
    let phone = office.phone("crowd", Mouth::Silence).await;
    let calls = crowd(&office, &phone, 20).await;
    let listed = office.native.get("/rooms").await;
    assert_eq!((&listed["total"], &listed["items"][0]["members"]), (&json!(1), &json!(20)), "{listed}");
    let room = listed["items"][0]["uuid"].as_str().unwrap().to_owned();

    let mark = office.program.mark();
    all_hang_up(calls).join_all().await;
    let end = office.program.event("MPCEnd", mark, |event| event.param("MPCUUID") == room).await;
    assert_eq!(end.param("MPCTerminationCauseCode"), "1000", "{end:?}");
    let gone =
        |asked: &system_tests::program::Asked| asked.event() == "ParticipantExit" && asked.param("MPCUUID") == room;
    office.program.asked().expect_times("exits", 20, mark, SOON, gone).await;
    let exits = office.program.asked().matching(gone);
    assert_eq!(
        exits.iter().map(|exit| exit.param("MemberID")).collect::<BTreeSet<_>>().len(),
        20,
        "somebody left twice"
    );
    let hung_up = |asked: &system_tests::program::Asked| asked.path == "/hangup/crowd" && asked.event() == "Hangup";
    office.program.asked().expect_times("hang-ups", 20, mark, SOON, hung_up).await;

    office.is_empty_again(&NOTHING_LEFT).await;
    let listed = office.native.get("/rooms").await;
    assert_eq!((&listed["total"], &listed["items"]), (&json!(0), &json!([])), "{listed}");
    let shown = office.native.get(&format!("/rooms/{room}")).await;
    assert_eq!(shown["state"], "ended", "{shown}");
    let here: Vec<_> =
        shown["member_list"].as_array().unwrap().iter().filter(|member| member["left_at"].is_null()).collect();
    assert!(here.is_empty(), "ghosts: {here:?}");
    assert_eq!(office.rest.get("/MultiPartyCall/?status=active").await["meta"]["count"], 0);

    // The server has nothing to do: a task that goes round and round would use a whole processor of this second.
    let pid = office.server.process().pid().unwrap();
    let before = (Instant::now(), processor_time(pid));
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (passed, used) = (before.0.elapsed(), processor_time(pid) - before.1);
    assert!(used < passed.mul_f64(0.4), "idle, but it used {used:?} of {passed:?}");

    // The name is free.
    let again = crowd(&office, &phone, 1).await;
    let opened = office.native.get("/rooms/crowd").await;
    assert!(opened["uuid"] != room.as_str() && opened["members"] == 1, "{opened}");
    drop(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_transferred_while_many_notices_sound_leaves_the_room() {
    let [c, a, _] = tones::<3>();
    let office = Office::open().await;
    for (name, role) in [("customer", "Customer"), ("agent", "Agent"), ("crowd", "Agent")] {
        beeping_document(&office, name, role);
    }
    let phone = office.phone("customer", voice(c)).await;
    let customer = office.calls_in("customer", phone).await;
    let phone = office.phone("agent", voice(a)).await;
    let agent = office.calls_in("agent", phone).await;
    let phone = office.phone("crowd", Mouth::Silence).await;
    let first = crowd(&office, &phone, 24).await;
    assert!(
        agent.call.ear().wait_heard(c, -30.0, Instant::now(), SOON).await.is_some(),
        "the agent is not in the room"
    );
    let hears_agent = async |who: &str| {
        let hearing = office.native.get(&format!("/rooms/{}/hearing", agent.room)).await;
        let rows = hearing["rows"].as_array().unwrap().clone();
        let number: i64 = agent.number.parse().unwrap();
        let named = rows
            .iter()
            .any(|row| row["listener"] == number || row["hears"].as_array().unwrap().contains(&json!(number)));
        (named, format!("{who}: {hearing}"))
    };
    assert!(hears_agent("before").await.0);

    office.program.document("/elsewhere", r#"<Wait length="30"/>"#);
    let (mark, storm) = (office.program.mark(), Instant::now());
    // Each exit sounds for a third of a second, so all of them, and the entries, want to sound when the transfer comes.
    let coming: Vec<Call> = (0..12).map(|_| phone.call("hotline", CallOptions::default()).unwrap()).collect();
    all_hang_up(first).join_all().await;
    let transfer = json!({ "legs": "aleg", "aleg_url": office.program.url("/elsewhere") });
    let (status, answer) =
        office.rest.request(reqwest::Method::POST, &format!("/Call/{}/", agent.call_uuid), Some(transfer)).await;
    let left = Instant::now();
    assert_eq!(status, 202, "{answer}");
    let (named, shown) = hears_agent("after the transfer was answered").await;
    assert!(!named, "{shown}");
    let exit = office.program.event("ParticipantExit", mark, |event| event.param("MemberID") == agent.number).await;
    assert_eq!(exit.param("ParticipantExitCause"), "Participant Call Transferred", "{exit:?}");
    office
        .program
        .asked()
        .expect("request for the new instructions", mark, SOON, |asked| asked.path == "/elsewhere")
        .await;
    for call in &coming {
        call.wait_answered(SOON).await.unwrap();
    }
    let entered = |event: &system_tests::program::Asked| event.event() == "ParticipantJoin";
    office.program.asked().expect_times("entries", coming.len(), mark, SOON, entered).await;
    // What sounded is over soon: the customer's ear has nothing left to hear until the next notices, of those who leave now.
    let quiet = |ear: &phone::Ear| {
        let packets = ear.packets();
        let last = packets.get(packets.len().saturating_sub(40)..).unwrap_or_default();
        last.len() == 40 && exact_silence(last).is_ok()
    };
    assert!(customer.call.ear().wait_until(SOON, quiet).await, "it does not become quiet");
    let over = Instant::now();
    assert!(customer.call.ear().wait_more(75, SOON).await);
    silent_since("the agent is heard in the room that he left", &customer.call, over).await;
    all_hang_up(coming).join_all().await;

    let settled = left + SETTLING;
    let beeps_on = |ear: &phone::Ear| exact_silence(&ear.between(over, Instant::now())).is_err();
    assert!(
        customer.call.ear().wait_until(SOON, beeps_on).await,
        "no notice sounded after the transfer: nothing is proven"
    );
    assert!(agent.call.ear().wait_more(100, SOON).await, "the call has ended: {:?}", agent.call.state());
    let heard = agent.call.ear().since(settled);
    assert!(heard.len() > 75, "{} packets since {:?}", heard.len(), storm.elapsed());
    silent_since("the room is heard by somebody who left it", &agent.call, settled).await;
    let stream = phone::analysis::continuity(&agent.call.ear().packets());
    assert!(stream.ssrcs.len() == 1, "his stream began anew: {stream}");
    let shown = office.rest.get(&format!("/Call/{}/?status=live", agent.call_uuid)).await;
    assert_eq!(shown["call_status"], "in-progress", "{shown}");
}
