//! Where instructions come from: redirects, transfers, and answers that come when nobody wants them any more.

use std::time::Instant;

use phone::{CallError, CallState, EndCause};
use serde_json::json;
use system_tests::SOON;
use system_tests::office::Office;
use system_tests::program::Reply;

use super::score::Want::{Pause, Tone};
use super::stage::{dials, runs, tone};

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_each_by_its_method() {
    let office = Office::open().await;
    let program = &office.program;
    let last = tone(&office, "/last.wav", 900, 300);
    program.document("/one", &format!(r#"<Redirect method="GET">{}</Redirect>"#, program.url("/two?step=2&amp;of=3")));
    program.document("/two", &format!(r#"<Redirect method="POST">{}</Redirect>"#, program.url("/three?step=3")));
    program.document("/three", &format!("<Play>{last}</Play>"));
    let never = tone(&office, "/never.wav", 1_400, 300);
    let document = format!("<Redirect>{}</Redirect><Play>{never}</Play>", program.url("/one"));
    let call = runs(&office, "caller", &document).await;
    call.score().await.is("the last document", &[Tone(900, 300)]);
    for (path, method, step) in [("/one", "POST", ""), ("/two", "GET", "2"), ("/three", "POST", "3")] {
        let asked = call.asks(&office, path).await;
        assert_eq!(
            (asked.method.as_str(), asked.param("step"), asked.event()),
            (method, step, "Redirect"),
            "{asked:?}"
        );
        assert_eq!(call.asked(&office, path), 1, "{path}");
    }
    assert_eq!(call.asked(&office, "/never.wav"), 0);
    call.is_recorded(&office, "4010", "End Of XML Instructions", "Plivo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_whole_makes_the_document_a_bad_one() {
    let office = Office::open().await;
    for (name, verb, words) in [
        ("relative", "<Redirect>/next</Redirect>", ["Redirect", "absolute"]),
        ("nameless", "<Play>tone.wav</Play>", ["Play", "absolute"]),
        ("file", "<Play>file:///etc/passwd</Play>", ["Play", "absolute"]),
        ("empty", "<Redirect/>", ["Redirect", "absolute"]),
        ("method", r#"<Redirect method="PUT">http://callcenter.test/x</Redirect>"#, ["method", "GET or POST"]),
    ] {
        let call = dials(&office, name, verb).await;
        match call.call.wait_answered(SOON).await {
            Err(CallError::Ended(ended)) => assert_eq!(ended.cause, EndCause::Refused, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        call.is_recorded(&office, "8011", "Invalid Answer XML", "Error").await;
        call.is_warned_of(&office, &words).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_only_lead_to_one_another_end_the_call() {
    let office = Office::open().await;
    let program = &office.program;
    let again = program.url("/again");
    program.document("/again", &format!("<Redirect>{again}</Redirect>"));
    let bare = dials(&office, "bare", &format!("<Redirect>{again}</Redirect>")).await;
    // A sound that cannot be had is nothing heard.
    program.reply("/gone.wav", Reply::Plain(404, "text/plain", Vec::new()));
    let failing =
        format!("<Play>{}</Play><Redirect>{}</Redirect>", program.url("/gone.wav#rc=0"), program.url("/failing"));
    program.document("/failing", &failing);
    let failing = runs(&office, "failing", &failing).await;
    // A sound that is heard makes it a programme that goes on.
    let blip = tone(&office, "/blip.wav", 600, 40);
    let music = format!("<Play>{blip}</Play><Redirect>{}</Redirect>", program.url("/music"));
    program.document("/music", &music);
    let music = runs(&office, "music", &music).await;

    bare.ended().await;
    bare.is_recorded(&office, "8014", "Invalid Redirect XML", "Error").await;
    bare.is_warned_of(&office, &["loop"]).await;
    failing.ended().await;
    failing.is_recorded(&office, "8014", "Invalid Redirect XML", "Error").await;
    let times = failing.asked(&office, "/failing");
    assert!((20..=31).contains(&times), "asked {times} times");

    let path = |asked: &system_tests::program::Asked| asked.path == "/music";
    let mut seen = program.mark();
    for _ in 0..40 {
        program.asked().expect("request to /music", seen, SOON, path).await;
        seen = program.mark();
    }
    assert!(matches!(music.call.state(), CallState::Answered), "{:?}", music.call.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn instructions_that_come_after_the_end_change_nothing() {
    let office = Office::open().await;
    let program = &office.program;
    let events = program.url("/events");
    program.document(
        "/late",
        &format!(r#"<MultiPartyCall role="Customer" statusCallbackUrl="{events}">late</MultiPartyCall>"#),
    );
    program.hold("/late");
    let document = format!(r#"<Wait/><Redirect>{}</Redirect>"#, program.url("/late"));
    let call = runs(&office, "caller", &document).await;
    call.asks(&office, "/late").await;
    call.call.hangup().await.expect("the caller hangs up");
    let hangup = call.is_recorded(&office, "4000", "Normal Hangup", "Caller").await;
    let record = async || {
        let mut record = office.rest.get(&format!("/Call/{}/", call.uuid)).await;
        record.as_object_mut().expect("a record").remove("api_id");
        record
    };
    let before = record().await;
    let mark = program.mark();
    program.release("/late");
    // Another call that is set up, answered and over shows that there was time enough.
    let blip = tone(&office, "/blip.wav", 600, 200);
    let other = runs(&office, "other", &format!(r#"<Play>{blip}</Play><Wait length="2"/>"#)).await;
    other.is_recorded(&office, "4010", "End Of XML Instructions", "Plivo").await;
    let told: Vec<_> = program
        .asked()
        .all()
        .into_iter()
        .skip(mark)
        .filter(|asked| asked.path.contains("late") || asked.path == "/events")
        .collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(call.asked(&office, "/hangup/caller"), 1, "{hangup:?}");
    assert_eq!(record().await, before, "its record has changed");
    assert_eq!(office.rest.get("/MultiPartyCall/").await["meta"]["count"], 0, "a room was opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_takes_the_place_of_whatever_runs_or_is_awaited() {
    let office = Office::open().await;
    let program = &office.program;
    let (music, other) = (tone(&office, "/music.wav", 600, 400), tone(&office, "/other.wav", 900, 500));
    program.document("/moved", &format!("<Play>{other}</Play>"));
    let body = json!({ "legs": "aleg", "aleg_url": program.url("/moved?why=transfer"), "aleg_method": "GET" });

    // While something plays.
    let playing = runs(&office, "playing", &format!(r#"<Play loop="0">{music}</Play>"#)).await;
    playing.hears(600, Instant::now()).await;
    office.rest.post(&format!("/Call/{}/", playing.uuid), body.clone()).await;
    let asked = playing.asks(&office, "/moved").await;
    assert_eq!(
        (asked.method.as_str(), asked.param("why"), asked.event()),
        ("GET", "transfer", "Redirect"),
        "{asked:?}"
    );
    let score = playing.score().await;
    let tones: Vec<_> = score.notes().iter().filter_map(|note| note.tone).collect();
    assert_eq!((tones, score.total(900).abs_diff(500) <= 40), (vec![600, 900], true), "{score}");

    // While keys are awaited: they are no longer.
    let action = program.url("/action");
    let gathering =
        runs(&office, "gathering", &format!(r#"<GetDigits action="{action}" timeout="60" numDigits="1"/>"#)).await;
    office.rest.post(&format!("/Call/{}/", gathering.uuid), body.clone()).await;
    gathering.hears(900, Instant::now()).await;
    // The call may be over before the key's last repeat is sent.
    let _ = gathering.call.send_digits("5").await;
    gathering.score().await.is("the transfer's document", &[Tone(900, 500)]);
    assert_eq!(gathering.asked(&office, "/action"), 0);

    // While older instructions are awaited: they come too late.
    program.document("/older", &format!("<Play>{music}</Play>"));
    program.hold("/older");
    let document = format!("<Wait/><Redirect>{}</Redirect>", program.url("/older"));
    let awaiting = runs(&office, "awaiting", &document).await;
    awaiting.asks(&office, "/older").await;
    program.document("/moved", &format!(r#"<Play>{other}</Play><Wait length="2"/><Play>{other}</Play>"#));
    office.rest.post(&format!("/Call/{}/", awaiting.uuid), body).await;
    awaiting.hears(900, Instant::now()).await;
    program.release("/older");
    awaiting.score().await.is("the newer document", &[Tone(900, 500), Pause(2_000), Tone(900, 500)]);
}
