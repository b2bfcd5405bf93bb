//! What whoever is in the room hears while somebody is dialled.

use std::time::{Duration, Instant};

use phone::{Call, Mouth};
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{Heard, SETTLING, hears, never_heard_since, stays_silent, tones, voice};
use system_tests::program::{Reply, tone_wav};

use super::desk::{Desk, addresses, answers};

/// The two tones of ringback, Hz.
pub const RINGBACK: [u32; 2] = [440, 480];
/// At which each of them counts as heard. Within 20 ms they beat, so a single packet may hold less than both.
const RINGS: f64 = -35.0;

/// Waits until somebody hears ringback.
pub async fn hears_ringback(what: &str, call: &Call) {
    for tone in RINGBACK {
        let heard = call.ear().wait_heard(tone, RINGS, Instant::now(), SOON).await;
        assert!(heard.is_some(), "{what}: no ringback");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn real_is_ringback_until_the_answer_and_none_is_silence() {
    let [_, a, s] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let phone = desk.office.phone("agent", voice(a)).await;
    desk.dial(&addresses(&["agent"]), json!({ "dial_music": "none" })).await;
    let silent = desk.rings("agent", &phone).await;
    stays_silent("dial music none", &desk.customer.call, 75).await;
    silent.reject(486).await.unwrap();
    let dialled = desk.dial(&addresses(&["agent"]), json!({ "dial_music": "real" })).await;
    let ringing = desk.rings("agent", &phone).await;
    hears_ringback("real", &desk.customer.call).await;
    let call = answers("agent", ringing).await;
    desk.entered(&dialled, "agent").await;
    let since = Instant::now() + SETTLING;
    let people = [desk.customer.heard(None), Heard { name: "agent", call: &call, tone: Some(a) }];
    hears("after the answer", &people, &[("customer", "agent")]).await;
    never_heard_since("ringback after the answer", &desk.customer.call, RINGBACK[0], since).await;
    // Two are in company: another dial is heard by neither of them.
    let other = desk.office.phone("other", voice(s)).await;
    desk.dial(&addresses(&["other"]), json!({ "dial_music": "real" })).await;
    let since = Instant::now();
    let ringing = desk.rings("other", &other).await;
    assert!(desk.customer.call.ear().wait_more(75, SOON).await && call.ear().wait_more(75, SOON).await);
    for ear in [&desk.customer.call, &call] {
        never_heard_since("ringback in company", ear, RINGBACK[0], since).await;
        never_heard_since("ringback in company", ear, RINGBACK[1], since).await;
    }
    ringing.reject(603).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_heard_by_who_waits_until_the_dial_is_over_and_wait_music_comes_before_it() {
    let [c, m, w] = tones::<3>();
    let desk = Desk::open(Mouth::Silence).await;
    let program = &desk.office.program;
    program.reply("/dial.wav", Reply::Plain(200, "audio/wav", tone_wav(m, -20.0, 1)));
    program.document("/music", &format!("<Play>{}</Play>", program.url("/dial.wav")));
    let phone = desk.office.phone("agent", voice(c)).await;
    desk.dial(&addresses(&["agent"]), json!({ "dial_music": program.url("/music") })).await;
    let ringing = desk.rings("agent", &phone).await;
    let ear = desk.customer.call.ear();
    assert!(ear.wait_heard(m, -30.0, Instant::now(), SOON).await.is_some(), "no dial music");
    ringing.reject(486).await.unwrap();
    let quiet = ear.wait_quiet(m, -45.0, Instant::now(), Duration::from_millis(500), SOON).await;
    assert!(quiet.is_some(), "the music goes on although the dial is over");
    desk.customer.leaves().await;
    // In a room with wait music of its own, that is heard.
    program.reply("/wait.wav", Reply::Plain(200, "audio/wav", tone_wav(w, -20.0, 1)));
    let music = format!(r#"startMpcOnEnter="false" waitMusicUrl="{}""#, program.url("/wait.wav"));
    let waiting = desk.office.joins("waiting", "other", "Customer", &music, Mouth::Silence).await;
    let desk = Desk { customer: waiting, ..desk };
    for dial_music in ["real".to_owned(), desk.office.program.url("/music")] {
        let since = Instant::now();
        desk.dial(&addresses(&["agent"]), json!({ "dial_music": dial_music })).await;
        let ringing = desk.rings("agent", &phone).await;
        let call = &desk.customer.call;
        assert!(call.ear().wait_heard(w, -30.0, Instant::now(), SOON).await.is_some(), "no wait music");
        assert!(call.ear().wait_more(50, SOON).await);
        never_heard_since("ringback beside wait music", call, RINGBACK[0], since).await;
        never_heard_since("dial music beside wait music", call, m, since).await;
        ringing.reject(486).await.unwrap();
    }
}
