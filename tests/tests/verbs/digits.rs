//! `GetDigits`: which keys reach the action, when input is over, and what is heard meanwhile.

use std::time::{Duration, Instant};

use phone::analysis::last_heard;
use system_tests::SOON;
use system_tests::office::Office;
use system_tests::program::Asked;
use system_tests::server::ServerOptions;

use super::score::Score;
use super::score::Want::{Pause, Tone};
use super::stage::{Running, runs, tone};

/// A document that gathers, and then plays 3 100 Hz.
fn gathers(office: &Office, name: &str, attributes: &str, inside: &str) -> String {
    let (action, next) = (office.program.url(&format!("/action/{name}")), tone(office, "/next.wav", 3_100, 200));
    format!(r#"<GetDigits action="{action}" {attributes}>{inside}</GetDigits><Play>{next}</Play>"#)
}

/// A call that gathers.
async fn gathering(office: &Office, name: &str, attributes: &str, inside: &str) -> Running {
    let document = gathers(office, name, attributes, inside);
    runs(office, name, &document).await
}

/// Presses keys as telephone events. The call may be over before the last key's repeats are sent.
async fn presses(call: &Running, keys: &str) {
    if call.call.send_digits(keys).await.is_err() {
        call.ended().await;
    }
}

async fn action(office: &Office, call: &Running) -> Asked {
    call.asks(office, &format!("/action/{}", call.name)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_reach_the_action_by_telephone_events_and_by_info() {
    let office = Office::open().await;
    // As many as wanted, by RFC 4733.
    let events = gathering(&office, "events", r#"numDigits="4" timeout="30""#, "").await;
    presses(&events, "1290").await;
    let asked = action(&office, &events).await;
    assert_eq!(
        (asked.method.as_str(), asked.param("Digits"), asked.event()),
        ("POST", "1290", "Redirect"),
        "{asked:?}"
    );
    let answer = events.asks(&office, "/answer/events").await;
    for name in ["CallUUID", "From", "To", "Direction", "ParentAuthID", "SessionStart"] {
        assert_eq!(asked.param(name), answer.param(name), "{name}");
        assert!(!asked.param(name).is_empty(), "{name}");
    }
    assert_eq!((answer.param("CallStatus"), asked.param("CallStatus")), ("ringing", "in-progress"));

    // By SIP INFO, ended by a key that is none of them; GET puts them into the query beside the URL's own.
    let url = office.program.url("/action/info?menu=main");
    let document =
        format!(r##"<GetDigits action="{url}" method="GET" finishOnKey="*" timeout="30" digitTimeout="30"/>"##);
    let info = runs(&office, "info", &document).await;
    info.call.send_digits_by_info("5#6*").await.expect("INFO is taken");
    let asked = action(&office, &info).await;
    assert_eq!(
        (asked.method.as_str(), asked.param("Digits"), asked.param("menu")),
        ("GET", "5#6", "main"),
        "{asked:?}"
    );

    // The default end is #, and without one it is a key like others.
    let hash = gathering(&office, "hash", r#"timeout="30" digitTimeout="30""#, "").await;
    presses(&hash, "77#").await;
    assert_eq!(action(&office, &hash).await.param("Digits"), "77");
    let none = gathering(&office, "none", r#"timeout="30" finishOnKey="none" numDigits="3""#, "").await;
    presses(&none, "#*#").await;
    assert_eq!(action(&office, &none).await.param("Digits"), "#*#");
    for call in [&events, &info, &hash, &none] {
        assert_eq!(call.asked(&office, &format!("/action/{}", call.name)), 1, "{}", call.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn input_ends_when_no_further_key_comes_and_the_answer_is_run() {
    let office = Office::open().await;
    let reply = tone(&office, "/reply.wav", 900, 300);
    office.program.document("/action/slow", &format!("<Play>{reply}</Play>"));
    let slow = gathering(&office, "slow", r#"timeout="30" digitTimeout="2""#, "").await;
    let pressed = Instant::now();
    presses(&slow, "4").await;
    let asked = action(&office, &slow).await;
    assert_eq!(asked.param("Digits"), "4");
    let waited = asked.at - pressed;
    assert!((Duration::from_secs(2)..Duration::from_secs(8)).contains(&waited), "{waited:?} for 2 s");
    // The action's answer takes the place of what followed.
    slow.score().await.is("an action's answer", &[Tone(900, 300)]);
    assert_eq!(slow.asked(&office, "/next.wav"), 0);

    // With redirect="false" the action is only told, and the next verb runs whatever it answers.
    office.program.document("/action/told", &format!("<Play>{reply}</Play>"));
    let told = gathering(&office, "told", r#"redirect="false" numDigits="1" timeout="30""#, "").await;
    presses(&told, "8").await;
    assert_eq!(action(&office, &told).await.param("Digits"), "8");
    told.score().await.is("the next verb", &[Tone(3_100, 200)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_the_prompt_is_repeated_and_then_the_next_verb_runs() {
    let office = Office::open().await;
    let prompt = tone(&office, "/prompt.wav", 600, 300);
    let attributes = r#"timeout="2" retries="2""#;
    let silent = gathering(&office, "silent", attributes, &format!("<Play>{prompt}</Play>")).await;
    // A beep of its own tells when to begin: 200 ms of 880 Hz.
    let beep = gathering(&office, "beep", r#"timeout="1" playBeep="true""#, &format!("<Play>{prompt}</Play>")).await;
    let score = silent.score().await;
    score.is("two attempts", &[Tone(600, 300), Pause(2_000), Tone(600, 300), Pause(2_000), Tone(3_100, 200)]);
    assert_eq!(silent.asked(&office, "/action/silent"), 0, "an action without digits");
    beep.ended().await;
    let score = Score::of(&beep.call, &[600, 880, 3_100]);
    let notes: Vec<_> = score.notes().iter().filter(|note| note.tone.is_some()).collect();
    let tones: Vec<_> = notes.iter().filter_map(|note| note.tone).collect();
    assert_eq!(tones, [600, 880, 3_100], "{score}");
    assert!(notes[1].ms.abs_diff(180) <= 50 && (notes[1].level + 14.0).abs() < 2.0, "{score}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_key_stops_the_prompt() {
    let office = Office::open().await;
    let prompt = tone(&office, "/prompt.wav", 600, 400);
    let inside = format!(r#"<Play loop="0">{prompt}</Play>"#);
    let call = gathering(&office, "barge", r#"numDigits="2" timeout="30" digitTimeout="30""#, &inside).await;
    call.hears(600, Instant::now()).await;
    let pressed = Instant::now();
    presses(&call, "3").await;
    let quiet = call.call.ear().wait_quiet(600, -40.0, pressed, Duration::from_millis(600), SOON).await;
    let last = quiet.expect("the prompt goes on").expect("it was still heard when the key was pressed");
    let after = last.at - pressed;
    // It is over at once; the rest is for a busy machine.
    assert!(after < Duration::from_secs(3), "the prompt was heard for {after:?} after the key");
    assert_eq!(call.asked(&office, "/action/barge"), 0, "the input was not over");
    presses(&call, "4").await;
    assert_eq!(action(&office, &call).await.param("Digits"), "34");
    let packets = call.call.ear().packets();
    let heard = last_heard(&packets, 600, Instant::now(), -40.0).expect("it was heard");
    assert_eq!(heard.at, last.at, "the prompt came back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_valid_is_answered_by_its_sound() {
    let office = Office::open().await;
    let (prompt, wrong) = (tone(&office, "/prompt.wav", 600, 300), tone(&office, "/wrong.wav", 1_400, 300));
    let attributes = |retries| {
        format!(r#"validDigits="12" invalidDigitsSound="{wrong}" retries="{retries}" timeout="20" numDigits="1""#)
    };
    let inside = format!("<Play>{prompt}</Play>");
    // Another attempt: the sound, and the prompt once more.
    let again = gathering(&office, "again", &attributes(2), &inside).await;
    again.hears(600, Instant::now() - SOON).await;
    let quiet = again.call.ear().wait_quiet(600, -40.0, Instant::now(), Duration::from_millis(300), SOON).await;
    assert!(quiet.is_some());
    presses(&again, "9").await;
    let heard = again.hears(1_400, Instant::now() - Duration::from_secs(1)).await;
    again.hears(600, heard).await;
    presses(&again, "2").await;
    assert_eq!(action(&office, &again).await.param("Digits"), "2", "the wrong key is part of nothing");

    // No attempt left: the sound all the same, and the next verb.
    let last = gathering(&office, "last", &attributes(1), &inside).await;
    last.hears(600, Instant::now() - SOON).await;
    presses(&last, "0").await;
    let score = last.score().await;
    let tones: Vec<_> = score.notes().iter().filter_map(|note| note.tone).collect();
    assert_eq!(tones, [600, 1_400, 3_100], "{score}");
    assert_eq!(last.asked(&office, "/action/last"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn digits_are_in_no_log_and_in_no_event() {
    // As much is logged as can be.
    let office = Office::with(ServerOptions::default().set("server", "log_level", "\"trace\"")).await;
    let call = gathering(&office, "secret", r#"log="false" method="GET" numDigits="11" timeout="30""#, "").await;
    presses(&call, "31415926").await;
    call.call.send_digits_by_info("535").await.expect("INFO is taken");
    // What it answers is no document: the failure is told, without the digits.
    let asked = action(&office, &call).await;
    assert_eq!(asked.param("Digits"), "31415926535");
    call.ended().await;
    let warning = call.is_warned_of(&office, &["no instructions"]).await;
    let hangup = call.is_recorded(&office, "8012", "Invalid Action XML", "Error").await;
    let events = office.native.get("/events?after=0&limit=100").await.to_string();
    let printed = [office.server.process().out.all(), office.server.process().err.all()].concat().join("\n");
    assert!(printed.contains(&call.uuid) && events.contains(&call.uuid), "nothing about the call was logged");
    for text in [&warning, &events, &printed, &format!("{hangup:?}")] {
        let found = ["31415", "15926"].iter().find_map(|part| text.find(part));
        if let Some(at) = found {
            let around: String = text.chars().skip(at.saturating_sub(200)).take(400).collect();
            panic!("digits are written down: …{around}…");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outside_a_gathering_are_for_nobody() {
    let office = Office::open().await;
    let (long, name) = (tone(&office, "/long.wav", 600, 2_000), "early");
    let document = gathers(&office, name, r#"timeout="1" numDigits="2""#, "");
    let call = runs(&office, name, &format!(r#"<Play>{long}</Play>{document}"#)).await;
    call.hears(600, Instant::now()).await;
    presses(&call, "55").await;
    let score = call.score().await;
    score.is("keys that came too early", &[Tone(600, 2_000), Pause(1_000), Tone(3_100, 200)]);
    assert_eq!(call.asked(&office, "/action/early"), 0);
}
