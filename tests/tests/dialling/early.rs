//! What a callee says before he answers: heard in place of ringback, by nobody else, and he hears nobody.

use std::time::{Duration, Instant};

use phone::{IncomingCall, Mouth, Phone, Transport};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, never_heard_since, silent_since_invite, stays_silent, tones, voice};
use system_tests::program::{Reply, tone_wav};

use super::desk::{Desk, NOTHING_LEFT, addresses, answers};
use super::music::{RINGBACK, hears_ringback};

const QUIET: Duration = Duration::from_millis(500);

/// The phone rings, and its side can be heard already.
async fn sounds(desk: &Desk, name: &str, phone: &Phone) -> IncomingCall {
    let ringing = desk.invited(name, phone).await;
    if let Err(error) = ringing.early_media().await {
        panic!("{name}: {error}");
    }
    ringing
}

async fn falls_quiet(what: &str, ear: &phone::Ear, tone: u32) {
    let quiet = ear.wait_quiet(tone, -45.0, Instant::now(), QUIET, SOON).await;
    assert!(quiet.is_some(), "{what}: {tone} Hz goes on");
}

async fn is_heard(what: &str, ear: &phone::Ear, tone: u32) {
    assert!(ear.wait_heard(tone, -30.0, Instant::now(), SOON).await.is_some(), "{what}: {tone} Hz is not heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn early_media_is_heard_in_place_of_ringback_and_its_speaker_hears_nobody() {
    let [c, e, _] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phone = desk.office.phone("agent", voice(e)).await;
    let customer = desk.customer.call.ear();
    let dialled = desk.dial(&addresses(&["agent"]), json!({ "dial_music": "real" })).await;
    let ringing = desk.invited("agent", &phone).await;
    ringing.ring().await.unwrap();
    hears_ringback("before the early media", &desk.customer.call).await;
    ringing.early_media().await.unwrap();
    is_heard("early media", &customer, e).await;
    let since = Instant::now() + SETTLING;
    assert!(customer.wait_more(60, SOON).await && ringing.call().ear().wait_more(60, SOON).await);
    never_heard_since("ringback beside early media", &desk.customer.call, RINGBACK[0], since).await;
    silent_since_invite("he hears somebody before he answers", ringing.call()).await;
    let call = answers("agent", ringing).await;
    desk.entered(&dialled, "agent").await;
    let people = [desk.customer.heard(Some(c)), Heard { name: "agent", call: &call, tone: Some(e) }];
    hears("after the answer", &people, &[("customer", "agent"), ("agent", "customer")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_in_company_on_hold_or_with_music_hears_early_media() {
    let [a, e, m] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let program = &desk.office.program;
    let phone = desk.office.phone("agent", voice(e)).await;
    let customer = desk.customer.call.ear();
    // Other dial music was asked for.
    program.reply("/dial.wav", Reply::Plain(200, "audio/wav", tone_wav(m, -20.0, 1)));
    let since = Instant::now();
    desk.dial(&addresses(&["agent"]), json!({ "dial_music": program.url("/dial.wav") })).await;
    let ringing = sounds(&desk, "agent", &phone).await;
    is_heard("dial music", &customer, m).await;
    assert!(customer.wait_more(50, SOON).await);
    never_heard_since("early media beside a URL", &desk.customer.call, e, since).await;
    ringing.reject(486).await.unwrap();
    // On hold.
    let dialled = desk.dial(&addresses(&["agent"]), json!({ "dial_music": "real" })).await;
    let ringing = sounds(&desk, "agent", &phone).await;
    is_heard("early media", &customer, e).await;
    desk.office.update(&desk.customer, json!({ "hold": true })).await;
    falls_quiet("on hold", &customer, e).await;
    desk.office.update(&desk.customer, json!({ "hold": false })).await;
    is_heard("off hold", &customer, e).await;
    // Company comes: nobody hears it any more, and the newcomer never.
    let colleague = desk.office.joins("colleague", "desk", "Agent", "", voice(a)).await;
    falls_quiet("in company", &customer, e).await;
    assert!(colleague.call.ear().wait_more(50, SOON).await);
    never_heard_since("the newcomer", &colleague.call, e, Instant::now() - Duration::from_secs(600)).await;
    let call = answers("agent", ringing).await;
    desk.entered(&dialled, "agent").await;
    let people =
        [desk.customer.heard(None), colleague.heard(Some(a)), Heard { name: "agent", call: &call, tone: Some(e) }];
    let allowed = [("customer", "agent"), ("customer", "colleague"), ("colleague", "agent"), ("agent", "colleague")];
    hears("after the answer", &people, &allowed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_must_press_a_key_is_heard_by_nobody_before_it() {
    let [c, e, _] = tones::<3>();
    let desk = Desk::open(voice(c)).await;
    let phone = desk.office.phone("agent", voice(e)).await;
    let since = Instant::now();
    let dialled = desk.dial(&addresses(&["agent"]), json!({ "dial_music": "real", "confirm_key": "1" })).await;
    let ringing = sounds(&desk, "agent", &phone).await;
    hears_ringback("while he sounds", &desk.customer.call).await;
    let call = answers("agent", ringing).await;
    hears_ringback("until the key", &desk.customer.call).await;
    assert!(desk.customer.call.ear().wait_more(50, SOON).await);
    never_heard_since("before the key", &desk.customer.call, e, since).await;
    silent_since_invite("he hears somebody before the key", &call).await;
    call.send_digits("1").await.unwrap();
    desk.entered(&dialled, "agent").await;
    let people = [desk.customer.heard(Some(c)), Heard { name: "agent", call: &call, tone: Some(e) }];
    hears("after the key", &people, &[("customer", "agent"), ("agent", "customer")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supervisor_who_will_whisper_or_is_muted_is_not_heard_by_the_customer_before_he_answers_either() {
    let [_, e, _] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let phone = desk.office.phone("supervisor", voice(e)).await;
    let since = Instant::now();
    for rules in [
        json!({ "role": "supervisor" }),
        json!({ "role": "agent", "mute": true }),
        json!({ "role": "agent", "hold": true }),
    ] {
        let mut more = json!({ "dial_music": "real" });
        if let (Some(more), Some(rules)) = (more.as_object_mut(), rules.as_object()) {
            more.extend(rules.clone());
        }
        let dialled = desk.dial(&addresses(&["supervisor"]), more).await;
        let ringing = sounds(&desk, "supervisor", &phone).await;
        hears_ringback("while he sounds", &desk.customer.call).await;
        let call = answers("supervisor", ringing).await;
        desk.entered(&dialled, "supervisor").await;
        assert!(desk.customer.call.ear().wait_more(50, SOON).await);
        never_heard_since("before and after the answer", &desk.customer.call, e, since).await;
        call.hangup().await.unwrap();
        desk.hung_up(&dialled, "supervisor").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_who_sound_one_is_heard_and_after_him_the_next() {
    let [first, second, _] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let phones = [desk.office.phone("one", voice(first)).await, desk.office.phone("two", voice(second)).await];
    let customer = desk.customer.call.ear();
    let dialled = desk.dial(&addresses(&["one", "two"]), json!({ "dial_music": "real" })).await;
    let one = sounds(&desk, "one", &phones[0]).await;
    is_heard("the first", &customer, first).await;
    let two = sounds(&desk, "two", &phones[1]).await;
    assert!(customer.wait_more(60, SOON).await);
    never_heard_since("the second beside the first", &desk.customer.call, second, Instant::now() - QUIET * 100).await;
    one.reject(486).await.unwrap();
    is_heard("the second after the first", &customer, second).await;
    two.reject(603).await.unwrap();
    falls_quiet("after both", &customer, second).await;
    assert_eq!(desk.outcome(&dialled).await.param("AddParticipantAPIRequestOutcome"), "failed: nobody answered");
    // Nothing of them is left: of the media plane only the customer's leg.
    desk.office.server.metric_becomes("aside_media_legs", 1.0).await;
    // Dial music none stays silence, early media or not.
    desk.customer.leaves().await;
    let customer = desk.office.joins("waiting", "desk", "Customer", "stayAlone=\"true\"", Mouth::Silence).await;
    let desk = Desk { customer, ..desk };
    desk.dial(&addresses(&["one"]), json!({ "dial_music": "none" })).await;
    let one = sounds(&desk, "one", &phones[0]).await;
    stays_silent("dial music none", &desk.customer.call, 50).await;
    one.reject(486).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loser_of_a_race_falls_silent_and_rings_before_an_answer_are_told_once() {
    let [e, a, _] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let phones = [desk.office.phone("talks", voice(e)).await, desk.office.phone("wins", voice(a)).await];
    let customer = desk.customer.call.ear();
    let dialled = desk.dial(&addresses(&["talks", "wins"]), json!({ "dial_music": "real" })).await;
    let talks = sounds(&desk, "talks", &phones[0]).await;
    talks.ring().await.unwrap();
    is_heard("early media", &customer, e).await;
    let call = answers("wins", desk.rings("wins", &phones[1]).await).await;
    desk.entered(&dialled, "wins").await;
    desk.ends_with(&dialled, "talks", "9000").await;
    let since = Instant::now() + SETTLING;
    let people = [desk.customer.heard(None), Heard { name: "wins", call: &call, tone: Some(a) }];
    hears("the winner", &people, &[("customer", "wins")]).await;
    never_heard_since("the loser", &desk.customer.call, e, since).await;
    let leg = dialled.leg("talks");
    let told = desk.office.program.asked().matching(|asked| asked.event() == "Ring" && asked.param("CallUUID") == leg);
    assert_eq!(told.len(), 1, "{told:?}");
    call.hangup().await.unwrap();
    desk.customer.leaves().await;
    desk.office.is_empty_again(&NOTHING_LEFT).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_phones_of_one_endpoint_each_is_heard_as_long_as_it_rings() {
    let [d, m, _] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let customer = desk.customer.call.ear();
    let phones =
        [desk.office.phone("agent", voice(d)).await, desk.office.connect("agent", voice(m), Transport::Tcp).await];
    let dialled = desk.dial(&addresses(&["agent"]), json!({ "dial_music": "real" })).await;
    let first = sounds(&desk, "the desk phone", &phones[0]).await;
    is_heard("the desk phone", &customer, d).await;
    let second = sounds(&desk, "the mobile", &phones[1]).await;
    first.reject(486).await.unwrap();
    is_heard("the mobile, after the desk phone", &customer, m).await;
    falls_quiet("the desk phone that refused", &customer, d).await;
    let call = answers("the mobile", second).await;
    desk.entered(&dialled, "agent").await;
    let people = [desk.customer.heard(None), Heard { name: "mobile", call: &call, tone: Some(m) }];
    hears("the mobile", &people, &[("customer", "mobile")]).await;
    call.hangup().await.unwrap();
    desk.customer.leaves().await;
    desk.office.is_empty_again(&NOTHING_LEFT).await;
}
