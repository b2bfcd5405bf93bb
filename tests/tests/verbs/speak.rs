//! `Speak`: what is heard is what espeak-ng says with that voice, as often as asked.

use system_tests::office::Office;

use super::score::{bursts, likeness, recording};
use super::stage::{Running, runs};

const TEXT: &str = "Good morning, your call is important to us.";

/// What espeak-ng says, at 8 kHz.
fn said(text: &str, voice: &str) -> Vec<i16> {
    phone::voice::speak(text, voice).expect("espeak-ng is installed by scripts/test")
}

/// From the first sound to the last, ms.
fn length(samples: &[i16]) -> u64 {
    match (bursts(samples, 5_000).first(), bursts(samples, 5_000).last()) {
        (Some((from, _)), Some((at, ms))) => at + ms - from,
        _ => 0,
    }
}

async fn heard(call: &Running) -> Vec<i16> {
    call.ended().await;
    recording(&call.call)
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_heard_in_the_voice_and_language_that_were_asked_for() {
    let office = Office::open().await;
    let voices = [
        ("default", String::new(), "en-us+f2"),
        ("man", r#" voice="MAN""#.to_owned(), "en-us+m3"),
        ("german", r#" language="de-DE""#.to_owned(), "de+f2"),
        ("german man", r#" language="de-DE" voice="MAN""#.to_owned(), "de+m3"),
        ("latin american", r#" language="es-US""#.to_owned(), "es-419+f2"),
        ("a voice of Polly", r#" voice="Polly.Amy" language="en-GB""#.to_owned(), "en-gb+f2"),
        ("a dialect nobody speaks", r#" language="fr-QQ""#.to_owned(), "fr-fr+f2"),
        ("a path", r#" language="../../../etc/passwd""#.to_owned(), "en-us+f2"),
    ];
    let calls: Vec<_> = voices
        .iter()
        .enumerate()
        .map(|(index, (_, attributes, _))| (format!("caller-{index}"), format!("<Speak{attributes}>{TEXT}</Speak>")))
        .collect();
    let mut running = Vec::new();
    for (name, document) in &calls {
        running.push(runs(&office, name, document).await);
    }
    for (call, (what, _, voice)) in running.iter().zip(&voices) {
        let samples = heard(call).await;
        let alike = likeness(&samples, &said(TEXT, voice));
        assert!(alike > 0.95, "{what}: {alike:.3} like {voice}");
        for (_, _, other) in voices.iter().filter(|(_, _, other)| other != voice) {
            let alike = likeness(&samples, &said(TEXT, other));
            assert!(alike < 0.8, "{what}: {alike:.3} like {other} too: the voices prove nothing");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_repeats_and_pauses_as_its_markup_says() {
    let office = Office::open().await;
    let thrice = runs(&office, "thrice", r#"<Speak loop="3">One two three.</Speak>"#).await;
    let marked = r#"<Speak>Before. <break time="1500ms"/> <emphasis level="strong">After</emphasis> <sub alias="that">this</sub>.</Speak>"#;
    let marked = runs(&office, "marked", marked).await;
    let order = runs(&office, "order", r#"<Speak>One two three.</Speak><Wait length="2"/><Speak>Four.</Speak>"#).await;
    let endless = runs(&office, "endless", r#"<Speak loop="0">One two three.</Speak>"#).await;

    let once = said("One two three.", "en-us+f2");
    let (one, whole) = (length(&once), once.len() as u64 / 8);
    let samples = heard(&thrice).await;
    let ms = length(&samples);
    // Each repetition begins when the file, with the silence at its end, is over.
    assert!(ms.abs_diff(2 * whole + one) < 150, "three times {one} of {whole} ms took {ms} ms");
    assert!(likeness(&samples, &once.repeat(3)) > 0.95);

    let samples = heard(&marked).await;
    let (before, after) = (said("Before.", "en-us+f2"), said("After that .", "en-us+f2"));
    let gap = bursts(&samples, 1_000);
    let &[(first, first_ms), (second, second_ms)] = gap.as_slice() else { panic!("two parts were wanted: {gap:?}") };
    let pause = second - first - first_ms;
    // The silence that espeak-ng leaves at the end of a text, and loading, come to the pause.
    assert!((1_350..6_000).contains(&pause), "a break of 1500 ms took {pause} ms");
    assert!(first_ms.abs_diff(length(&before)) < 100 && second_ms.abs_diff(length(&after)) < 250, "{gap:?}");
    assert!(likeness(&samples[(second as usize - 100) * 8..], &after) > 0.9, "what is said after the break");

    let samples = heard(&order).await;
    let parts = bursts(&samples, 1_000);
    assert_eq!(parts.len(), 2, "{parts:?}");
    let pause = parts[1].0 - parts[0].0 - parts[0].1;
    assert!((1_800..7_000).contains(&pause), "a wait of 2 s took {pause} ms");

    // For ever: until somebody hangs up, at any rate more than three times by now.
    let goal = 4 * whole / 20;
    assert!(endless.call.ear().wait_received(goal + 50, system_tests::SOON).await);
    endless.call.hangup().await.expect("the caller hangs up");
    endless.is_recorded(&office, "4000", "Normal Hangup", "Caller").await;
    assert!(length(&recording(&endless.call)) > 3 * whole, "speech for ever stopped");
}
