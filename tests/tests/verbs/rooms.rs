//! `MultiPartyCall` among other verbs: what comes after a room, moves in and out of rooms, and what is heard while waiting.

use std::time::Instant;

use phone::Mouth;
use phone::analysis::levels_20ms;
use serde_json::json;
use system_tests::SOON;
use system_tests::ears::{SETTLING, hears, never_heard_since, tones, voice};
use system_tests::office::{Member, NO_SOUNDS, Office};
use system_tests::program::Reply;

use super::play::MP3;
use super::score::Want::Tone;
use super::score::{LEVEL, Score, bursts, likeness, recording};
use super::stage::tone;

/// Somebody whose document goes on after the room.
async fn joins_then(
    office: &Office,
    name: &str,
    room: &str,
    role: &str,
    attributes: &str,
    then: &str,
    mouth: Mouth,
) -> Member {
    let events = office.program.url("/events");
    let document = format!(
        r#"<MultiPartyCall role="{role}" statusCallbackUrl="{events}" {NO_SOUNDS} {attributes}>{room}</MultiPartyCall>{then}"#
    );
    office.program.document(&format!("/answer/{name}"), &document);
    let phone = office.phone(name, mouth).await;
    office.calls_in(name, phone).await
}

/// A member with an on-exit action at `/exit/NAME`, which plays a tone.
async fn leaves_to(office: &Office, name: &str, room: &str, role: &str, attributes: &str, freq: u32) -> Member {
    let (exit, sound) = (format!("/exit/{name}"), tone(office, &format!("/{name}.wav"), freq, 400));
    office.program.document(&exit, &format!("<Play>{sound}</Play>"));
    let url = office.program.url(&exit);
    let never = tone(office, "/never.wav", 3_100, 400);
    let attributes = format!(r#"onExitActionUrl="{url}" {attributes}"#);
    joins_then(office, name, room, role, &attributes, &format!("<Play>{never}</Play>"), Mouth::Silence).await
}

/// The action was asked with all there is to know about the stay, and its document was heard, not what followed the verb.
async fn has_left_to(office: &Office, member: &Member, method: &str, role: &str, room: &str, freq: u32) {
    let path = format!("/exit/{}", member.name);
    let asked = office.program.asked().expect(&path, 0, SOON, |asked| asked.path == path).await;
    assert_eq!(asked.method, method);
    for (name, value) in [
        ("MPCUUID", member.room.as_str()),
        ("MPCFriendlyName", room),
        ("MemberID", &member.number),
        ("ParticipantCallUUID", &member.call_uuid),
        ("ParticipantRole", role),
        ("CallUUID", &member.call_uuid),
        ("CallStatus", "in-progress"),
    ] {
        assert_eq!(asked.param(name), value, "{name}: {asked:?}");
    }
    let (from, to) = (asked.param("ParticipantJoinTime"), asked.param("ParticipantEndTime"));
    assert!(from.ends_with("+00:00") && to.ends_with("+00:00") && from <= to, "{from} to {to}");
    member.call.wait_ended(SOON).await.expect("the instructions end");
    Score::of(&member.call, &[600, 900, 1_400, 3_100]).is(&member.name, &[Tone(freq, 400)]);
    let times = office.program.asked().matching(|asked| asked.path == path).len();
    assert_eq!(times, 1, "{path} was asked {times} times");
    let hangup = format!("/hangup/{}", member.name);
    let told = office.program.asked().expect(&hangup, 0, SOON, |asked| asked.path == hangup).await;
    assert_eq!(told.param("HangupCauseCode"), "4010", "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_on_exit_action_is_run_after_a_kick_and_after_the_rooms_end() {
    let office = Office::open().await;
    let stay = r#"stayAlone="true""#;
    let customer = leaves_to(&office, "customer", "support", "Customer", stay, 600).await;
    let agent = leaves_to(&office, "agent", "support", "Agent", r#"onExitActionMethod="GET""#, 900).await;
    office.rest.delete(&format!("/MultiPartyCall/uuid_{}/Participant/{}/", agent.room, agent.number)).await;
    has_left_to(&office, &agent, "GET", "agent", "support", 900).await;
    office.rest.delete(&format!("/MultiPartyCall/uuid_{}/", customer.room)).await;
    has_left_to(&office, &customer, "POST", "customer", "support", 600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_supervisor_who_ends_the_room_leaves_the_others_go_on_with_their_instructions() {
    let office = Office::open().await;
    let customer = leaves_to(&office, "customer", "support", "Customer", "", 600).await;
    let agent = leaves_to(&office, "agent", "support", "Agent", "", 900).await;
    // Without an action: what follows the verb.
    let sound = tone(&office, "/colleague.wav", 1_400, 400);
    let then = format!("<Play>{sound}</Play>");
    let colleague = joins_then(&office, "colleague", "support", "Agent", "", &then, Mouth::Silence).await;
    let supervisor =
        office.joins("supervisor", "support", "Supervisor", r#"endMpcOnExit="true""#, Mouth::Silence).await;
    supervisor.leaves().await;
    office.program.event("MPCEnd", 0, |_| true).await;
    has_left_to(&office, &customer, "POST", "customer", "support", 600).await;
    has_left_to(&office, &agent, "POST", "agent", "support", 900).await;
    colleague.call.wait_ended(SOON).await.expect("the instructions end");
    Score::of(&colleague.call, &[600, 900, 1_400]).is("what follows the verb", &[Tone(1_400, 400)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_out_of_a_room_and_into_another_is_heard_by_the_right_people() {
    let [c, a, o] = tones::<3>();
    let office = Office::open().await;
    let customer = office.joins("customer", "support", "Customer", r#"stayAlone="true""#, voice(c)).await;
    let other = office.joins("other", "sales", "Customer", r#"stayAlone="true""#, voice(o)).await;
    let exit = office.program.url("/exit/agent");
    let agent = office.joins("agent", "support", "Agent", &format!(r#"onExitActionUrl="{exit}""#), voice(a)).await;
    let people = [customer.heard(Some(c)), agent.heard(Some(a)), other.heard(Some(o))];
    let together = [("customer", "agent"), ("agent", "customer")];
    hears("before", &people, &together).await;

    // To a tone: he hears it and nobody else does; he is in no room.
    let music = tone(&office, "/music.wav", 600, 400);
    office.program.document("/alone", &format!(r#"<Play loop="0">{music}</Play>"#));
    let transfer = async |path: &str| {
        let body = json!({ "legs": "aleg", "aleg_url": office.program.url(path) });
        office.rest.post(&format!("/Call/{}/", agent.call_uuid), body).await;
        Instant::now()
    };
    let moved = transfer("/alone").await;
    agent.call.ear().wait_heard(600, -26.0, moved, SOON).await.expect("the tone of the transfer's document");
    hears("out of the room", &people, &[]).await;
    never_heard_since("the room", &customer.call, 600, moved).await;
    never_heard_since("the room", &customer.call, a, moved + 2 * SETTLING).await;
    never_heard_since("another room", &other.call, 600, moved).await;
    let left = office.program.event("ParticipantExit", 0, |event| event.param("MemberID") == agent.number).await;
    assert_eq!(left.param("ParticipantExitCause"), "Participant Call Transferred", "{left:?}");

    // To another room: he and the other hear each other, and nothing of what was.
    office.room_document("agent", "sales", "Agent", "");
    let mark = office.program.mark();
    let moved = transfer("/answer/agent").await;
    let joined = office.program.event("ParticipantJoin", mark, |_| true).await;
    assert_eq!((joined.param("MPCUUID"), joined.param("ParticipantCallUUID")), (&*other.room, &*agent.call_uuid));
    hears("the other room", &people, &[("other", "agent"), ("agent", "other")]).await;
    never_heard_since("the old room", &customer.call, a, moved).await;
    never_heard_since("the old room", &customer.call, o, moved).await;
    never_heard_since("the new room", &other.call, c, moved).await;

    // Out of that one straight into the first, as another participant of the same life.
    office.room_document("agent", "support", "Agent", "");
    let mark = office.program.mark();
    let moved = transfer("/answer/agent").await;
    let joined = office.program.event("ParticipantJoin", mark, |_| true).await;
    assert_eq!(joined.param("MPCUUID"), customer.room);
    assert_ne!(joined.param("MemberID"), agent.number, "a member's number is used twice");
    hears("back again", &people, &together).await;
    never_heard_since("the room between", &other.call, a, moved + 2 * SETTLING).await;
    // A transfer is no exit that the program has to be asked about.
    assert!(office.program.asked().matching(|asked| asked.path == "/exit/agent").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_the_music_that_a_document_or_a_file_gives() {
    let office = Office::open().await;
    let waits = |url: String| format!(r#"startMpcOnEnter="false" stayAlone="true" waitMusicUrl="{url}""#);
    office.program.reply("/music.mp3", Reply::Plain(200, "audio/mpeg", MP3.to_vec()));
    let guided = waits(office.program.url("/music.mp3"));
    let guided = office.joins("guided", "guided", "Customer", &guided, Mouth::Silence).await;

    let (first, second) = (tone(&office, "/first.wav", 600, 300), tone(&office, "/second.wav", 900, 200));
    let document = format!(
        r#"<Play>{first}</Play><Speak>Please wait.</Speak><Wait length="1"/><Play loop="2">{second}</Play><Play loop="0">{first}</Play>"#
    );
    office.program.document("/music.xml", &document);
    let told = waits(office.program.url("/music.xml"));
    let told = office.joins("told", "told", "Customer", &told, Mouth::Silence).await;
    let asked = office.program.asked().expect("the music", 0, SOON, |asked| asked.path == "/music.xml").await;
    assert_eq!((asked.method.as_str(), asked.params.len()), ("GET", 0), "{asked:?}");

    // Whole repetitions of the document: tone, words, pause, tone twice, and the first tone once, since all of it repeats.
    let words = phone::voice::speak("Please wait.", "en-us+f2").expect("espeak-ng is installed by scripts/test");
    let whole = 300 + words.len() as u64 / 8 + 1_000 + 400 + 300;
    assert!(told.call.ear().wait_more(2 * whole / 20 + 150, SOON).await);
    let samples = recording(&told.call);
    let score = Score::read(&samples, &[600, 900]);
    // Words have something of a tone for an instant.
    let lasting = |note: &&super::score::Note| note.tone.is_some() && note.ms >= 250;
    let notes: Vec<_> = score.notes().iter().filter(lasting).collect();
    // The last tone of one repetition and the first of the next are one.
    let sounds: Vec<_> =
        notes.iter().map(|note| (note.tone.unwrap_or(0), note.ms.div_ceil(100) * 100)).take(4).collect();
    let near = |ms: u64, wanted: u64| ms.abs_diff(wanted) <= 100;
    assert!(
        matches!(sounds[..], [(600, a), (900, b), (600, c), (900, d)] if near(a, 300) && near(b, 400) && near(c, 600) && near(d, 400)),
        "{sounds:?}:\n{score}"
    );
    assert!(notes.iter().take(4).all(|note| (note.level - LEVEL).abs() < 1.0), "{score}");
    let begin = samples.iter().position(|sample| sample.unsigned_abs() > 200).expect("something is heard");
    let spoken = &samples[begin + 2_400..];
    assert!(likeness(spoken, &words) > 0.95, "the words between are others");

    // A file goes round without a gap.
    assert!(guided.call.ear().wait_more(200, SOON).await);
    let samples = recording(&guided.call);
    let begin = bursts(&samples, 100).first().map_or(0, |(from, _)| *from as usize * 8 + 400);
    let levels = levels_20ms(&samples[begin..], 1_200);
    assert!(levels.levels.len() > 350, "{} windows", levels.levels.len());
    assert!((levels.median() - LEVEL).abs() < 1.0, "{:.1} dBFS", levels.median());
    assert!(levels.min() > LEVEL - 6.0, "the music has a gap: {:.1} dBFS in some 20 ms", levels.min());
}
