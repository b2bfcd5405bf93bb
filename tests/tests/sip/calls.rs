//! Calls from and to endpoints.

use phone::{CallError, CallOptions, CallState, Codec, EndCause, Mouth, Transport};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{hears, tones, voice};
use system_tests::office::{DOMAIN, Office};
use system_tests::program::Reply;

/// What must be zero when nothing is going on.
const NOTHING_LEFT: [&str; 5] =
    ["aside_calls_live", "aside_rooms_live", "aside_sip_dialogs_live", "aside_media_legs", "aside_media_rooms"];

#[tokio::test(flavor = "multi_thread")]
async fn phones_over_udp_and_tcp_and_of_both_laws_hear_each_other_at_the_level_spoken() {
    let [u, t, _] = tones::<3>();
    let office = Office::open().await;
    let by_udp = office.joins("by-udp", "room", "Customer", "", voice(u)).await;
    office.room_document("by-tcp", "room", "Agent", "");
    drop(office.phone("by-tcp", Mouth::Silence).await);
    let mut config = phone::PhoneConfig::new(office.server.at().sip_tcp, "by-tcp", system_tests::server::PASSWORD);
    config.domain = DOMAIN.into();
    config.transport = Transport::Tcp;
    config.codecs = vec![Codec::Pcma];
    config.mouth = voice(t);
    let phone = phone::Phone::start(config).await.unwrap();
    phone.register(600).await.unwrap();
    let by_tcp = office.calls_in("by-tcp", phone).await;
    let two = [by_udp.heard(Some(u)), by_tcp.heard(Some(t))];
    hears("UDP with µ-law and TCP with A-law", &two, &[("by-udp", "by-tcp"), ("by-tcp", "by-udp")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_gives_up_before_the_answer_leaves_nothing_behind() {
    let office = Office::open().await;
    let phone = office.phone("caller", Mouth::Silence).await;
    office.program.reply("/answer/caller", Reply::Never);
    let call = phone.call("hotline", CallOptions::default()).unwrap();
    office.program.asked().expect("request for instructions", 0, SOON, |asked| asked.path == "/answer/caller").await;
    // It rings, and nothing is played before an answer.
    call.wait_state(SOON, |state| *state == CallState::Ringing).await.unwrap();
    assert!(call.remote().is_none(), "a session description came before the answer");
    call.hangup().await.unwrap();
    let ended = call.wait_ended(SOON).await.unwrap();
    assert_eq!((ended.cause, ended.code), (EndCause::Cancelled, Some(487)));
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/hangup/caller").await;
    assert_eq!(hangup.param("HangupCauseCode"), "1000", "{hangup:?}");
    office.is_empty_again(&NOTHING_LEFT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn either_side_hangs_up_and_the_program_is_told_who() {
    let office = Office::open().await;
    let first = office.joins("first", "room", "Customer", "", Mouth::Silence).await;
    let second = office.joins("second", "room", "Agent", "", Mouth::Silence).await;
    let third = office.joins("third", "room", "Agent", "", Mouth::Silence).await;
    first.leaves().await;
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/hangup/first").await;
    assert_eq!((hangup.param("HangupCauseCode"), hangup.param("HangupSource")), ("4000", "Caller"), "{hangup:?}");
    office.rest.delete(&format!("/Call/{}/", second.call_uuid)).await;
    assert_eq!(second.call.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
    let hangup = office.program.event("Hangup", 0, |asked| asked.path == "/hangup/second").await;
    assert_eq!((hangup.param("HangupCauseCode"), hangup.param("HangupSource")), ("4000", "API Request"), "{hangup:?}");
    // One is left, and staying alone was not asked for.
    assert_eq!(third.call.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
    let end = office.program.event("MPCEnd", 0, |_| true).await;
    assert_eq!(end.param("MPCTerminationCauseCode"), "1010", "{end:?}");
    office.is_empty_again(&NOTHING_LEFT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_busy_silent_or_declines_is_told_apart() {
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.phone("agent", Mouth::Silence).await;
    let add = async || {
        let mark = office.program.mark();
        let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:agent@{DOMAIN}"),
            "call_status_callback_url": office.program.url("/leg"), "status_callback_url": office.program.url("/events"),
            "status_callback_method": "POST", "ring_timeout": 2 });
        office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
        (mark, agent.incoming(SOON).await.expect("the phone does not ring"))
    };
    let told = async |mark: usize, code: &str| {
        let hangup = office
            .program
            .asked()
            .expect("hang-up of the leg", mark, SOON, |asked| asked.path == "/leg" && asked.event() == "Hangup")
            .await;
        assert_eq!(hangup.param("HangupCauseCode"), code, "{hangup:?}");
        let exit = office.program.event("ParticipantExit", mark, |_| true).await;
        assert_eq!(exit.param("ParticipantJoinTime"), "", "he never joined: {exit:?}");
    };
    let (mark, busy) = add().await;
    busy.reject(486).await.unwrap();
    told(mark, "3010").await;
    let (mark, declining) = add().await;
    declining.reject(603).await.unwrap();
    told(mark, "3020").await;
    let (mark, silent) = add().await;
    silent.ring().await.unwrap();
    assert_eq!(silent.wait_cancelled(SOON).await.unwrap().cause, EndCause::Cancelled);
    told(mark, "6010").await;
    // The customer is still there.
    assert!(matches!(customer.call.state(), CallState::Answered));
}

#[tokio::test(flavor = "multi_thread")]
async fn early_media_of_a_callee_does_not_reach_the_room_and_his_answer_does() {
    let [e, _, _] = tones::<3>();
    let office = Office::open().await;
    let customer = office.joins("customer", "room", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let agent = office.phone("agent", voice(e)).await;
    let body = json!({ "role": "agent", "from": "14155550100", "to": format!("sip:agent@{DOMAIN}"), "dial_music": "none",
        "enter_sound": "none", "exit_sound": "none" });
    office.rest.post(&format!("/MultiPartyCall/uuid_{}/Participant/", customer.room), body).await;
    let ringing = agent.incoming(SOON).await.expect("the phone does not ring");
    ringing.early_media().await.unwrap();
    system_tests::ears::stays_silent("during early media", &customer.call, 75).await;
    let call = ringing.answer().await.unwrap();
    let agent = system_tests::ears::Heard { name: "agent", call: &call, tone: Some(e) };
    hears("after the answer", &[customer.heard(None), agent], &[("customer", "agent")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere_is_refused_with_its_code() {
    let office = Office::open().await;
    // An endpoint without an application, in an account without a default one.
    office.server.endpoint(&office.account, "lost", None).await;
    let lost = office.connect("lost", Mouth::Silence, Transport::Udp).await;
    let refused = async |call: &phone::Call| match call.wait_answered(SOON).await {
        Err(CallError::Ended(ended)) => ended.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&lost.call("hotline", CallOptions::default()).unwrap()).await, Some(404));
    // No common codec, refused before any program is asked.
    let caller = office.phone("caller", Mouth::Silence).await;
    let options = CallOptions { codecs: Some(vec![Codec::L16]), ..CallOptions::default() };
    assert_eq!(refused(&caller.call("hotline", options).unwrap()).await, Some(488));
    assert!(office.program.asked().matching(|asked| asked.path == "/answer/caller").is_empty());
    // Wrong password.
    let mut config = phone::PhoneConfig::new(office.server.at().sip_udp, "caller", "guess");
    config.domain = DOMAIN.into();
    let thief = phone::Phone::start(config).await.unwrap();
    assert!(matches!(refused(&thief.call("hotline", CallOptions::default()).unwrap()).await, Some(401 | 403 | 407)));
    assert!(office.program.asked().matching(|asked| asked.path == "/answer/caller").is_empty());
    office.is_empty_again(&NOTHING_LEFT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_thirty_calls_of_all_ends_nothing_is_left() {
    let office = Office::open().await;
    for (name, document) in [
        ("hangs-up", "<Hangup/>"),
        ("busy", r#"<Hangup reason="busy"/>"#),
        ("ends", ""),
        ("room", r#"<MultiPartyCall role="Customer" enterSound="none" exitSound="none">crowd</MultiPartyCall>"#),
        ("digits", r#"<GetDigits timeout="30"/>"#),
    ] {
        office.program.document(&format!("/answer/{name}"), document);
    }
    let mut callers = Vec::new();
    for name in ["hangs-up", "busy", "ends", "room", "digits"] {
        let phone = office.phone(name, Mouth::Silence).await;
        let calls: Vec<_> = (0..6).map(|_| phone.call("hotline", CallOptions::default()).unwrap()).collect();
        callers.push((phone, calls));
    }
    for (_, calls) in &callers {
        for call in calls {
            let state = call
                .wait_state(SOON, |state| matches!(state, CallState::Answered | CallState::Ended(_)))
                .await
                .unwrap();
            if state == CallState::Answered {
                // It may be over by now.
                let _ = call.hangup().await;
            }
            call.wait_ended(SOON).await.unwrap();
        }
    }
    office.is_empty_again(&NOTHING_LEFT).await;
    let created = office.server.metric("aside_sip_dialogs_created_total").await.expect("dialogs are counted");
    office.server.metric_becomes("aside_sip_dialogs_reaped_total", created).await;
}
