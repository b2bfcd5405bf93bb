//! A callee who is asked whether he takes the call: until he has pressed the key he is not in the room.

use std::time::{Duration, Instant};

use phone::{Call, EndCause, Mouth};
use serde_json::{Value, json};
use system_tests::SOON;
use system_tests::ears::{Heard, hears, never_heard_since, silent_since_invite, tones, voice};
use system_tests::program::{Reply, tone_wav};

use super::desk::{Desk, addresses, answers};

/// Gives the program a question: a tone, `times` seconds of it. The parameters that ask it.
fn question(desk: &Desk, tone: u32, times: u32) -> Value {
    let program = &desk.office.program;
    program.reply("/tone.wav", Reply::Plain(200, "audio/wav", tone_wav(tone, -20.0, 1)));
    program.document("/question", &format!(r#"<Play loop="{times}">{}</Play>"#, program.url("/tone.wav")));
    json!({ "confirm_key": "5", "confirm_key_sound_url": program.url("/question") })
}

/// The callee hears the question and not the room; the customer hears nothing at all.
async fn is_asked(desk: &Desk, who: &str, call: &Call, question: u32, room: u32) {
    let heard = call.ear().wait_heard(question, -30.0, Instant::now(), SOON).await;
    assert!(heard.is_some(), "{who} does not hear the question");
    assert!(call.ear().wait_more(25, SOON).await && desk.customer.call.ear().wait_more(25, SOON).await);
    never_heard_since(&format!("{who} before the key"), call, room, Instant::now() - Duration::from_secs(600)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_key_lets_him_in() {
    let [c, a, q] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phone = desk.office.phone("agent", voice(a)).await;
    let asking = question(&desk, q, 0);
    // The wrong key.
    let dialled = desk.dial(&addresses(&["agent"]), asking.clone()).await;
    let call = answers("agent", desk.rings("agent", &phone).await).await;
    is_asked(&desk, "agent", &call, q, c).await;
    // The call may be over before the key's last repeat is sent.
    let _ = call.send_digits("4").await;
    assert_eq!(call.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
    desk.ends_with(&dialled, "agent", "9110").await;
    let outcome = desk.outcome(&dialled).await;
    assert_eq!(outcome.param("AddParticipantAPIRequestOutcome"), "failed: not confirmed", "{outcome:?}");
    // He hangs up.
    let dialled = desk.dial(&addresses(&["agent"]), asking.clone()).await;
    let call = answers("agent", desk.rings("agent", &phone).await).await;
    is_asked(&desk, "agent", &call, q, c).await;
    call.hangup().await.unwrap();
    desk.ends_with(&dialled, "agent", "9110").await;
    // Nobody of these was in the room, and nobody was heard there.
    silent_since_invite("the customer heard him", &desk.customer.call).await;
    let came = desk.office.program.asked().matching(|asked| {
        asked.path == "/events" && asked.event() == "ParticipantJoin" && asked.param("ParticipantRole") == "agent"
    });
    assert!(came.is_empty(), "{came:?}");
    // The right key, by INFO as some phones send it, then as telephone event.
    for by_info in [true, false] {
        let dialled = desk.dial(&addresses(&["agent"]), asking.clone()).await;
        let call = answers("agent", desk.rings("agent", &phone).await).await;
        is_asked(&desk, "agent", &call, q, c).await;
        if by_info {
            call.send_digits_by_info("5").await.unwrap();
        } else {
            call.send_digits("5").await.unwrap();
        }
        desk.entered(&dialled, "agent").await;
        let people = [desk.customer.heard(Some(c)), Heard { name: "agent", call: &call, tone: Some(a) }];
        hears("after the key", &people, &[("customer", "agent"), ("agent", "customer")]).await;
        never_heard_since("the question after the key", &call, q, Instant::now() - Duration::from_secs(1)).await;
        call.hangup().await.unwrap();
        desk.ends_with(&dialled, "agent", "4000").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_to_the_question_is_hung_up() {
    let desk = Desk::open(Mouth::Silence).await;
    let phones = [desk.office.phone("hears", Mouth::Silence).await, desk.office.phone("waits", Mouth::Silence).await];
    // One hears a second of question, one gets none: its URL fails. Both have ten seconds to think.
    let asking = question(&desk, 1_200, 1);
    desk.office.program.reply("/gone", Reply::Plain(404, "text/plain", Vec::new()));
    let without = json!({ "confirm_key": "#", "confirm_key_sound_url": desk.office.program.url("/gone") });
    let begin = Instant::now();
    let first = desk.dial(&addresses(&["hears"]), asking).await;
    let second = desk.dial(&addresses(&["waits"]), without).await;
    let (hears, waits) = (desk.rings("hears", &phones[0]).await, desk.rings("waits", &phones[1]).await);
    let calls = [answers("hears", hears).await, answers("waits", waits).await];
    for call in &calls {
        assert_eq!(call.wait_ended(SOON * 2).await.unwrap().cause, EndCause::RemoteHangup);
    }
    assert!(begin.elapsed() >= Duration::from_secs(10), "they had {:?}", begin.elapsed());
    desk.ends_with(&first, "hears", "9110").await;
    desk.ends_with(&second, "waits", "9110").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_are_asked_the_first_to_press_the_key_enters() {
    let [c, a, q] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phones = [desk.office.phone("slow", voice(a)).await, desk.office.phone("quick", voice(a)).await];
    // The one who answered first is still being fetched his question.
    desk.office.program.reply("/never", Reply::Never);
    let asking = json!({ "confirm_key": "5", "confirm_key_sound_url": desk.office.program.url("/never") });
    let dialled = desk.dial(&addresses(&["slow", "quick"]), asking).await;
    let (slow, quick) = (desk.rings("slow", &phones[0]).await, desk.rings("quick", &phones[1]).await);
    let slow = answers("slow", slow).await;
    let is_asked = |asked: &system_tests::program::Asked| asked.path == "/never";
    desk.office.program.asked().expect("request for the question", dialled.mark, SOON, is_asked).await;
    let quick = answers("quick", quick).await;
    quick.send_digits("5").await.unwrap();
    desk.entered(&dialled, "quick").await;
    assert_eq!(slow.wait_ended(SOON).await.unwrap().cause, EndCause::RemoteHangup);
    desk.ends_with(&dialled, "slow", "9000").await;
    silent_since_invite("the loser heard something", &slow).await;
    let people = [desk.customer.heard(Some(c)), Heard { name: "quick", call: &quick, tone: Some(a) }];
    hears("the one who confirmed", &people, &[("customer", "quick"), ("quick", "customer")]).await;
    never_heard_since("no question came", &quick, q, Instant::now() - Duration::from_secs(600)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_cannot_bring_him_in_before_he_has_confirmed() {
    let [c, a, q] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phone = desk.office.phone("agent", voice(a)).await;
    let asking = question(&desk, q, 0);
    let dialled = desk.dial(&addresses(&["agent"]), asking).await;
    let call = answers("agent", desk.rings("agent", &phone).await).await;
    is_asked(&desk, "agent", &call, q, c).await;
    let path = format!("/MultiPartyCall/uuid_{}/Participant/", desk.customer.room);
    let moved = json!({ "role": "agent", "call_uuid": dialled.leg("agent"), "enter_sound": "none" });
    let (status, refused) = desk.office.rest.request(reqwest::Method::POST, &path, Some(moved)).await;
    assert_eq!(status, 409, "{refused}");
    let elsewhere = json!({ "legs": "aleg", "aleg_url": desk.office.program.url("/elsewhere") });
    let path = format!("/Call/{}/", dialled.leg("agent"));
    let (status, refused) = desk.office.rest.request(reqwest::Method::POST, &path, Some(elsewhere)).await;
    assert_eq!(status, 409, "{refused}");
    is_asked(&desk, "agent", &call, q, c).await;
    silent_since_invite("the customer heard him", &desk.customer.call).await;
    call.send_digits("5").await.unwrap();
    desk.entered(&dialled, "agent").await;
}
