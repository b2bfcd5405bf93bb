//! `Play` and `Wait`: tones of files at their pitch, length and level, in order.

use system_tests::office::Office;
use system_tests::program::Reply;

use super::score::Want::{Pause, Tone};
use super::score::wav;
use super::stage::{runs, tone};

/// One second of 1 200 Hz at −20 dBFS: 44.1 kHz, joint stereo, 64 kbit/s, with an encoder's tag.
pub const MP3: &[u8] = include_bytes!("tone-1200.mp3");

#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_rate_are_heard_at_their_pitch_length_and_level_and_in_order() {
    let office = Office::open().await;
    for (path, rate, channels, tone) in
        [("/8.wav", 8_000, 1, 600), ("/16.wav", 16_000, 1, 900), ("/44.wav", 44_100, 2, 1_400)]
    {
        office.program.reply(path, Reply::Plain(200, "audio/wav", wav(rate, channels, tone, 800)));
    }
    office.program.reply("/music.mp3", Reply::Plain(200, "audio/mpeg", MP3.to_vec()));
    // The type is not what counts: servers name them in many ways.
    office.program.reply("/typeless", Reply::With(Vec::new(), wav(11_025, 1, 1_900, 500)));
    let url = |path| office.program.url(path);
    let document = format!(
        "<Play>{}</Play><Wait/><Play>{}</Play><Wait length=\"2\"/><Play>{}</Play><Wait/><Play>{}</Play><Wait/><Play>{}</Play>",
        url("/8.wav"),
        url("/16.wav"),
        url("/44.wav"),
        url("/music.mp3"),
        url("/typeless")
    );
    let caller = runs(&office, "caller", &document).await;
    caller.ended().await;
    let score = super::score::Score::of(&caller.call, &[600, 900, 1_200, 1_400, 1_900]);
    let wanted = [
        Tone(600, 800),
        Pause(1_000),
        Tone(900, 800),
        Pause(2_000),
        Tone(1_400, 800),
        Pause(1_000),
        Tone(1_200, 1_000),
        Pause(1_000),
        Tone(1_900, 500),
    ];
    score.is("files one after another", &wanted);
    caller.is_recorded(&office, "4010", "End Of XML Instructions", "Plivo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_repeats_without_a_gap_and_a_wait_is_as_long_as_it_says() {
    let office = Office::open().await;
    let (a, b) = (tone(&office, "/a.wav", 600, 400), tone(&office, "/b.wav", 900, 300));
    let repeated = format!(r#"<Play loop="3">{a}</Play><Play loop="2">{b}</Play><Wait length="3"/><Play>{b}</Play>"#);
    let caller = runs(&office, "caller", &repeated).await;
    let endless = runs(&office, "endless", &format!(r#"<Play loop="0">{a}</Play><Play>{b}</Play>"#)).await;

    let score = caller.score().await;
    // Between two files: what fetching the second takes.
    let gap = score.notes().iter().position(|note| note.tone == Some(600)).unwrap_or(0) + 1;
    let mut wanted = vec![Tone(600, 1_200), Pause(0), Tone(900, 600), Pause(3_000), Tone(900, 300)];
    if score.notes().get(gap).is_some_and(|note| note.tone.is_some()) {
        wanted.remove(1);
    }
    score.is("repeated files", &wanted);
    // The second time it comes from memory: nothing is added to the wait but the steps of the sound.
    let wait = score.notes().iter().filter(|note| note.tone.is_none()).map(|note| note.ms).max().unwrap_or(0);
    assert!((2_660..5_500).contains(&wait), "a wait of 3 s took {wait} ms:\n{score}");
    assert_eq!(caller.asked(&office, "/b.wav"), 1, "a file is fetched once");

    assert!(endless.call.ear().wait_more(100, system_tests::SOON).await);
    endless.call.hangup().await.expect("the caller hangs up");
    let score = endless.score().await;
    assert!(score.total(600) > 2_000 && score.total(900) == 0, "a file without end:\n{score}");
}
