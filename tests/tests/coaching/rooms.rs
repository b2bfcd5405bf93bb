//! Music, monitors, and calls that change rooms, around a whisper.

use std::time::Instant;

use phone::{Content, Mouth};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{
    SETTLING, hears, never_heard_since, silent_since, silent_since_invite, stays_silent, tones, voice,
};
use system_tests::office::Office;
use system_tests::program::{Reply, tone_wav};
use system_tests::server::ServerOptions;

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_waits_hears_his_music_and_nothing_of_those_who_wait_with_him() {
    let [music, a, s] = tones();
    let office = Office::open().await;
    office.program.reply("/music.wav", Reply::Plain(200, "audio/wav", tone_wav(music, -20.0, 2)));
    let wait = format!(
        r#"startMpcOnEnter="false" stayAlone="true" waitMusicUrl="{}" waitMusicMethod="GET""#,
        office.program.url("/music.wav")
    );
    let customer = office.joins("customer", "support", "Customer", &wait, Mouth::Silence).await;
    let first = customer.call.ear().wait_heard(music, -30.0, Instant::now(), SOON).await;
    if first.is_none() {
        let ear = customer.call.ear();
        let last = ear.packets().last().cloned();
        panic!(
            "no wait music while he waits by himself; {:?} {last:?}\n{}",
            ear.counters(),
            office.native.get("/events?after=0").await
        );
    }
    let supervisor = office
        .joins("supervisor", "support", "Supervisor", "coachMode=\"true\" startMpcOnEnter=\"false\"", voice(s))
        .await;
    let agent = office.joins("agent", "support", "Agent", "startMpcOnEnter=\"false\"", voice(a)).await;
    let begin = Instant::now();
    let heard = customer.call.ear().wait_heard(music, -30.0, begin, SOON).await;
    assert!(
        heard.is_some(),
        "no wait music; asked: {:?}",
        office.program.asked().matching(|asked| asked.path == "/music.wav")
    );
    assert!(customer.call.ear().wait_more(100, SOON).await);
    for tone in [a, s] {
        never_heard_since("waiting", &customer.call, tone, customer.call.ear().packets()[0].at).await;
    }
    office.rest.post(&format!("/MultiPartyCall/uuid_{}/", customer.room), json!({ "status": "active" })).await;
    let started = Instant::now() + SETTLING;
    let three = [customer.heard(None), agent.heard(Some(a)), supervisor.heard(Some(s))];
    hears("started", &three, &[("customer", "agent"), ("agent", "supervisor"), ("supervisor", "agent")]).await;
    never_heard_since("the music is over", &customer.call, music, started).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_monitor_who_comes_and_goes_changes_no_byte_that_others_receive() {
    let [c, _, _] = tones::<3>();
    // A buffer deeper than what a phone may be late: while the server itself never stands still, only the monitor could change a byte.
    let deep = [("jitter_initial_ms", "300"), ("jitter_min_ms", "300"), ("jitter_max_ms", "400")];
    let options = deep.into_iter().fold(ServerOptions::default(), |options, (key, ms)| options.set("media", key, ms));
    let office = Office::with(options).await;
    let customer = office.joins("customer", "support", "Customer", "", voice(c)).await;
    let agent = office.joins("agent", "support", "Agent", "", Mouth::Silence).await;
    assert!(agent.call.ear().wait_heard(c, -30.0, Instant::now(), SOON).await.is_some());
    assert!(agent.call.ear().wait_more(100, SOON).await);
    let since = Instant::now();
    assert!(agent.call.ear().wait_more(25, SOON).await);
    for (name, codec) in [("monitor-u", phone::Codec::Pcmu), ("monitor-a", phone::Codec::Pcma)] {
        office.room_document(name, "support", "Supervisor", "coachMode=\"true\" mute=\"true\"");
        let phone = office.phone(name, Mouth::Silence).await;
        drop(phone);
        let mut config = phone::PhoneConfig::new(office.server.at().sip_udp, name, system_tests::server::PASSWORD);
        config.domain = system_tests::office::DOMAIN.into();
        config.codecs = vec![codec];
        let phone = phone::Phone::start(config).await.unwrap();
        phone.register(600).await.unwrap();
        let monitor = office.calls_in(name, phone).await;
        assert!(
            monitor.call.ear().wait_heard(c, -30.0, Instant::now(), SOON).await.is_some(),
            "the monitor hears nothing"
        );
        monitor.leaves().await;
        assert!(agent.call.ear().wait_more(50, SOON).await);
    }
    // One speaker whose tone repeats every 20 samples: what the agent receives repeats to the bit unless something was mixed in.
    let packets = agent.call.ear().since(since);
    assert!(packets.iter().all(|packet| matches!(packet.content, Content::Audio(_))));
    let heard: Vec<u8> = packets.iter().flat_map(|packet| packet.payload.iter().copied()).collect();
    assert!(heard.len() > 160 * 100);
    let changed = heard.iter().zip(heard.iter().skip(20)).position(|(before, after)| before != after);
    assert_eq!(changed, None, "byte {changed:?} of {} is another", heard.len());
    stays_silent("the customer", &customer.call, 25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_change_rooms_during_a_whisper_leave_nothing_of_it_behind() {
    let [_, _, s] = tones::<3>();
    let office = Office::open().await;
    // Rooms are spread over both media threads; every move below may cross them.
    let mut customers = Vec::new();
    for (name, room) in [("customer-1", "one"), ("customer-2", "two"), ("customer-3", "three")] {
        customers.push(office.joins(name, room, "Customer", "stayAlone=\"true\"", Mouth::Silence).await);
    }
    let agent = office.joins("agent", "one", "Agent", "", Mouth::Silence).await;
    let supervisor = office.joins("supervisor", "one", "Supervisor", "coachMode=\"true\"", voice(s)).await;
    let two = [agent.heard(None), supervisor.heard(Some(s))];
    hears("in room one", &two, &[("agent", "supervisor")]).await;

    let moves = async |call_uuid: &str, room: &str, role: &str| {
        let mark = office.program.mark();
        let body = json!({ "call_uuid": call_uuid, "role": role, "coach_mode": true, "enter_sound": "none", "exit_sound": "none",
            "status_callback_url": office.program.url("/events"), "status_callback_method": "POST" });
        office.rest.post(&format!("/MultiPartyCall/uuid_{room}/Participant/"), body).await;
        let joined = office
            .program
            .event("ParticipantJoin", mark, |event| event.param("ParticipantCallUUID") == call_uuid)
            .await;
        assert_eq!(joined.param("MPCUUID"), room);
    };
    for customer in customers.iter().skip(1) {
        // The agent first: he hears nothing of a room that he has left.
        moves(&agent.call_uuid, &customer.room, "agent").await;
        let left = Instant::now() + SETTLING;
        hears("the agent has left", &two, &[]).await;
        silent_since("the agent still hears the whisper of the room he left", &agent.call, left).await;
        moves(&supervisor.call_uuid, &customer.room, "supervisor").await;
        hears("both have moved", &two, &[("agent", "supervisor")]).await;
    }
    for customer in &customers {
        assert!(customer.call.ear().wait_more(25, SOON).await);
        silent_since_invite(&customer.name, &customer.call).await;
    }
    for member in [&agent, &supervisor] {
        let stream = phone::analysis::continuity(&member.call.ear().packets());
        assert!(stream.is_lossless() && stream.ssrcs.len() == 1, "{}: {stream}", member.name);
    }
}
