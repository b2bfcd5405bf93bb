//! `Hangup`: at once, later, and instead of an answer.

use std::time::Instant;

use phone::{CallError, EndCause};
use system_tests::SOON;
use system_tests::office::Office;

use super::score::Want::{On, Tone};
use super::stage::{dials, runs, tone};

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_hung_up_before_its_answer_is_refused_as_it_says() {
    let office = Office::open().await;
    for (name, verb, status) in [
        ("busy", r#"<Hangup reason="busy"/>"#, 486),
        ("rejected", r#"<Hangup reason="rejected"/>"#, 603),
        ("plain", "<Hangup/>", 480),
    ] {
        let play = tone(&office, "/after.wav", 600, 200);
        let call = dials(&office, name, &format!("{verb}<Play>{play}</Play>")).await;
        match call.call.wait_answered(SOON).await {
            Err(CallError::Ended(ended)) => {
                assert_eq!((ended.cause, ended.code), (EndCause::Refused, Some(status)), "{name}")
            }
            other => panic!("{name}: {other:?}"),
        }
        let hangup = call.is_recorded(&office, "4000", "Normal Hangup", "Answer XML").await;
        assert_eq!((hangup.param("Duration"), hangup.param("AnswerTime")), ("0", ""), "{name}");
        assert_eq!(call.asked(&office, "/after.wav"), 0, "{name}: what follows a hang-up was run");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_hung_up_at_once_and_nothing_after_it_is_run() {
    let office = Office::open().await;
    let (before, after) = (tone(&office, "/before.wav", 600, 500), tone(&office, "/after.wav", 900, 500));
    let document =
        format!(r#"<Play>{before}</Play><Hangup reason="busy"/><Play>{after}</Play><Redirect>{after}</Redirect>"#);
    let call = runs(&office, "caller", &document).await;
    call.score().await.is("what comes before", &[Tone(600, 500)]);
    assert_eq!(call.ended().await.cause, EndCause::RemoteHangup);
    // After the answer there is nothing left to refuse.
    let hangup = call.is_recorded(&office, "4000", "Normal Hangup", "Answer XML").await;
    assert_eq!(hangup.param("CallStatus"), "completed", "{hangup:?}");
    assert_eq!(call.asked(&office, "/after.wav"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_hangup_ends_the_call_in_the_midst_of_other_verbs() {
    let office = Office::open().await;
    let music = tone(&office, "/music.wav", 600, 400);
    // The second counts: it begins when its verb is reached.
    let playing = format!(r#"<Hangup schedule="3"/><Play loop="0">{music}</Play>"#);
    let begun = Instant::now();
    let playing = runs(&office, "playing", &playing).await;
    let action = office.program.url("/action");
    let gathering = format!(r#"<Hangup schedule="3"/><GetDigits action="{action}" timeout="60"/>"#);
    let gathering = runs(&office, "gathering", &gathering).await;
    let room = r#"<Hangup schedule="3"/><MultiPartyCall role="Customer" stayAlone="true" enterSound="none">hall</MultiPartyCall>"#;
    let waiting = runs(&office, "waiting", room).await;
    // Instructions that are through end the call before its time; other instructions do not put it off.
    let brief = format!(r#"<Hangup schedule="60"/><Play>{music}</Play>"#);
    let brief = runs(&office, "brief", &brief).await;
    let next = office.program.url("/endless");
    office.program.document("/endless", &format!(r#"<Play loop="0">{music}</Play>"#));
    let moved = format!(r#"<Hangup schedule="5"/><Wait/><Redirect>{next}</Redirect>"#);
    let moved = runs(&office, "moved", &moved).await;

    let score = playing.score().await;
    let lasted = begun.elapsed();
    score.is("music until then", &[On(600, 1_000)]);
    assert!(score.total(600) <= 9_000 && lasted.as_millis() >= 3_000, "{lasted:?}\n{score}");
    for call in [&playing, &gathering, &waiting, &moved] {
        assert_eq!(call.ended().await.cause, EndCause::RemoteHangup, "{}", call.name);
        call.is_recorded(&office, "6000", "Scheduled Hangup", "Plivo").await;
    }
    moved.score().await.is("the redirect's document", &[On(600, 1_000)]);
    brief.score().await.is("the only verb", &[Tone(600, 400)]);
    brief.is_recorded(&office, "4010", "End Of XML Instructions", "Plivo").await;
}
