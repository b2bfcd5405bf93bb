//! What programs are owed when the database takes no writes for a while: it is locked by another program, or its disk is full.

use std::process::Command;
use std::time::{Duration, Instant};

use phone::{Call, CallError, CallOptions, Mouth, Phone};
use reqwest::Method;
use serde_json::{Value, json};
use system_tests::ears::{hears, tones, voice};
use system_tests::office::{DOMAIN, Member, Office};
use system_tests::{LATER, SOON};

/// An answer that waits for no database. The promise is a second; the rest is for a busy machine.
const PROMPT: Duration = Duration::from_secs(3);

/// Longer than SQLite waits for a lock by itself, so that whoever relies on that loses what he writes.
const LONG_LOCK: Duration = Duration::from_secs(8);

/// What `/health` says of the store; its status.
async fn store_health(office: &Office) -> (u16, Value) {
    let answer = reqwest::get(office.server.url("/health")).await.expect("health answers");
    let status = answer.status().as_u16();
    let report: Value = answer.json().await.expect("a report");
    (status, report["components"]["store"].clone())
}

/// Waits until `/health` says that the store is well, or is not.
async fn until_store_is(office: &Office, well: bool) -> Value {
    let end = Instant::now() + LATER;
    loop {
        let (status, store) = store_health(office).await;
        if store["ok"] == well {
            assert_eq!(status, if well { 200 } else { 503 }, "{store}");
            return store;
        }
        assert!(Instant::now() < end, "the store's health does not become {well}: {store}");
        // Health has no event to wait for.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Mutes a member or lets him speak, while that cannot be recorded: in force, and answered as pending, in good time.
async fn pending_mute(office: &Office, member: &Member, mute: bool) {
    let path = format!("/rooms/{}/members/{}", member.room, member.number);
    let asked = Instant::now();
    let (status, answer) = office.native.request(Method::PATCH, &path, Some(json!({ "mute": mute }))).await;
    assert!(asked.elapsed() < PROMPT, "answered after {:?}", asked.elapsed());
    assert_eq!((status, &answer["confirmed"]), (202, &json!(false)), "{answer}");
}

fn dialled(phone: &Phone) -> Call {
    phone.call("hotline", CallOptions::default()).expect("it dials")
}

/// A new call and a new member are refused before anything is done.
async fn takes_nothing_new(office: &Office, name: &str, phone: &Phone, room: &str) {
    let (mark, asked) = (office.program.mark(), Instant::now());
    match dialled(phone).wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => assert_eq!(ended.code, Some(503), "{ended:?}"),
        other => panic!("a call that cannot be recorded: {other:?}"),
    }
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:{name}@{DOMAIN}") });
    for room in [format!("uuid_{room}"), "name_another".to_owned()] {
        let path = format!("/MultiPartyCall/{room}/Participant/");
        let (status, answer) = office.rest.request(Method::POST, &path, Some(body.clone())).await;
        assert_eq!(status, 503, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|words| words.contains("then try again")), "{answer}");
    }
    assert!(asked.elapsed() < PROMPT * 3, "refused after {:?}", asked.elapsed());
    assert!(phone.incoming(Duration::ZERO).await.is_none(), "a phone rings for a member that was refused");
    let path = format!("/answer/{name}");
    assert!(
        !office.program.asked().all().iter().skip(mark).any(|asked| asked.path == path),
        "a program was asked for a call that was refused"
    );
}

/// The status events of one member in the order in which they came.
fn told(office: &Office, member: &Member) -> Vec<String> {
    let events = office.program.asked().matching(|asked| {
        asked.path == "/events" && asked.param("MPCUUID") == member.room && asked.param("MemberID") == member.number
    });
    events.iter().map(|asked| asked.event().to_owned()).filter(|event| event.starts_with("Participant")).collect()
}

/// Who is muted by the ledger's own account: whether each change that a key asked for lets `speaker` be heard.
async fn ledger_of(office: &Office, room: &str, speaker: &str) -> Vec<bool> {
    let path = format!("/rooms/{room}/hearing/between?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z");
    let ledger = office.native.get(&path).await;
    let items = ledger["items"].as_array().expect("a list");
    let asked = items.iter().filter(|item| item["who"]["kind"] == "key");
    let number: i64 = speaker.parse().expect("a number");
    let heard = |item: &Value| {
        let rows = item["hearing"]["rows"].as_array().expect("rows");
        rows.iter().any(|row| row["hears"].as_array().is_some_and(|hears| hears.contains(&json!(number))))
    };
    asked.map(heard).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_database_is_locked_is_told_after_it_in_order_and_once() {
    let [low, high] = tones::<2>();
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", voice(low)).await;
    let agent = office.joins("agent", "room", "Agent", "", voice(high)).await;
    office.room_document("quick", "room", "Agent", "");
    office.room_document("late", "room", "Agent", "");
    let quick = office.phone("quick", Mouth::Silence).await;
    let late = office.phone("late", Mouth::Silence).await;

    let database = office.server.folder().join("data/aside.db");
    let other = rusqlite::Connection::open(database).expect("the database opens");
    other.busy_timeout(SOON).expect("it waits for its turn");
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock is taken");
    let locked = Instant::now();
    let mark = office.program.mark();

    // A call that comes before anybody knows is taken at once.
    let call = dialled(&quick);
    call.wait_answered(SOON).await.expect("it is answered");
    assert!(locked.elapsed() < PROMPT, "answered after {:?}", locked.elapsed());
    pending_mute(&office, &agent, true).await;
    let people = [customer.heard(Some(low)), agent.heard(Some(high))];
    hears("muted while nothing can be recorded", &people, &[("agent", "customer")]).await;
    pending_mute(&office, &agent, false).await;

    let store = until_store_is(&office, false).await;
    assert!(store["reason"].as_str().is_some_and(|reason| reason.contains("locked")), "{store}");
    assert!(store["waiting"].as_u64() > Some(0) && store["oldest_ms"].as_u64() > Some(0), "{store}");
    assert!(office.server.metric("aside_store_commit_failures_total").await > Some(0.0));
    assert!(office.server.metric("aside_store_backlog").await > Some(0.0));
    takes_nothing_new(&office, "late", &late, &customer.room).await;
    // What is there goes on and ends as ever.
    pending_mute(&office, &agent, true).await;
    let hung_up = Instant::now();
    agent.leaves().await;
    agent.call.wait_ended(SOON).await.expect("it ends");
    assert!(hung_up.elapsed() < PROMPT, "hung up after {:?}", hung_up.elapsed());
    let early = office.program.asked().matching(|asked| asked.event().starts_with("ParticipantMute"));
    assert!(early.is_empty(), "told before it was recorded: {early:?}");

    tokio::time::sleep_until((locked + LONG_LOCK).into()).await;
    other.execute_batch("ROLLBACK").expect("the lock is released");
    let hangup = office.program.event_within(LATER, "Hangup", mark, |asked| asked.path == "/hangup/agent").await;
    assert_eq!(hangup.param("CallUUID"), agent.call_uuid);
    office.program.event_within(LATER, "ParticipantExit", mark, |asked| asked.param("MemberID") == agent.number).await;
    office.program.event_within(LATER, "ParticipantJoin", mark, |asked| asked.param("MPCUUID") == customer.room).await;
    until_store_is(&office, true).await;
    // A call after all that: what comes with it comes after whatever might have been told twice.
    let member = office.calls_in("late", late).await;
    assert_eq!(member.room, customer.room);
    assert_eq!(
        told(&office, &agent),
        ["ParticipantJoin", "ParticipantMute", "ParticipantUnmute", "ParticipantMute", "ParticipantExit"]
    );
    assert_eq!(office.program.asked().matching(|asked| asked.path == "/hangup/agent").len(), 1);
    assert_eq!(ledger_of(&office, &customer.room, &agent.number).await, [false, true, false]);
    let shown = office.rest.get(&format!("/Call/{}/", agent.call_uuid)).await;
    assert_eq!(shown["call_uuid"], json!(agent.call_uuid), "{shown}");
}

/// Files of the server's process cannot grow beyond `size`.
fn limit_files(office: &Office, size: &str) {
    let pid = office.server.process().pid().expect("the server runs").to_string();
    let limited = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={size}:unlimited")]).output();
    match limited {
        Ok(output) if output.status.success() => {}
        other => panic!("prlimit (of util-linux) cannot limit the server's files: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_new_calls_and_loses_nothing_of_the_old_ones() {
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.joins("agent", "room", "Agent", "", Mouth::Silence).await;
    office.room_document("late", "room", "Agent", "");
    let late = office.phone("late", Mouth::Silence).await;
    let mark = office.program.mark();

    limit_files(&office, "0");
    pending_mute(&office, &agent, true).await;
    let store = until_store_is(&office, false).await;
    assert!(store["reason"].as_str().is_some_and(|reason| reason.contains("check the disk")), "{store}");
    takes_nothing_new(&office, "late", &late, &customer.room).await;
    agent.leaves().await;
    agent.call.wait_ended(SOON).await.expect("it ends");
    pending_mute(&office, &customer, true).await;
    assert!(office.program.asked().find(mark, Duration::ZERO, |asked| !asked.event().is_empty()).await.is_none());

    limit_files(&office, "unlimited");
    office.program.event_within(LATER, "Hangup", mark, |asked| asked.path == "/hangup/agent").await;
    office
        .program
        .event_within(LATER, "ParticipantMute", mark, |asked| asked.param("MemberID") == customer.number)
        .await;
    until_store_is(&office, true).await;
    let member = office.calls_in("late", late).await;
    assert_eq!(member.room, customer.room);
    assert_eq!(told(&office, &agent), ["ParticipantJoin", "ParticipantMute", "ParticipantExit"]);
    assert_eq!(told(&office, &customer), ["ParticipantJoin", "ParticipantMute"]);
    assert_eq!(office.program.asked().matching(|asked| asked.path == "/hangup/agent").len(), 1);
}
