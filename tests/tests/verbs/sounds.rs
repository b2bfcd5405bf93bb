//! Sound URLs that fail are silence and the next verb goes on, with a warning; files are kept as their servers allow.

use phone::Transport;
use system_tests::SOON;
use system_tests::office::{Office, registered};
use system_tests::program::{Program, Reply};
use system_tests::server::ServerOptions;

use super::score::Want::{Pause, Tone};
use super::score::wav;
use super::stage::{dials_again, runs, tone, warning};

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_that_cannot_be_had_is_silence_with_a_warning_and_the_next_verb_goes_on() {
    // Only the name that the configuration gives an address is allowed here, no network.
    let options = ServerOptions::default().set("http", "allow", "[]").set("sounds", "max_bytes", "20000").set(
        "sounds",
        "max_seconds",
        "2",
    );
    let office = Office::with(options).await;
    let secret = Program::start().await;
    let (program, inward) = (&office.program, format!("http://127.0.0.1:{}/secret.wav", secret.port()));
    secret.reply("/secret.wav", Reply::Plain(200, "audio/wav", wav(8_000, 1, 1_900, 500)));
    let good = tone(&office, "/good.wav", 600, 300);
    program.reply("/moved.wav", Reply::Redirect("/elsewhere.wav".to_owned()));
    tone(&office, "/elsewhere.wav", 900, 300);
    program.reply("/inward.wav", Reply::Redirect(inward.clone()));
    program.reply("/loop.wav", Reply::Redirect(program.url("/loop.wav")));
    program.reply("/gone.wav", Reply::Plain(404, "audio/wav", wav(8_000, 1, 1_900, 500)));
    program.reply("/page.wav", Reply::Plain(200, "text/html", b"<html><body>Sorry</body></html>".to_vec()));
    program.reply("/garbage.mp3", Reply::Plain(200, "audio/mpeg", vec![0x5A; 9_000]));
    program.reply("/empty.wav", Reply::Plain(200, "audio/wav", Vec::new()));
    program.reply("/large.wav", Reply::Plain(200, "audio/wav", wav(8_000, 1, 1_900, 1_500)));
    // Small as a file, long as a sound: G.711 has half the bytes.
    program.reply("/long.wav", Reply::Plain(200, "audio/wav", mu_law_seconds(2)));
    program.reply("/slow.wav", Reply::Never);
    let failing = [
        (program.url("/inward.wav"), "private address"),
        (inward, "private address"),
        (program.url("/loop.wav"), "redirects"),
        (program.url("/gone.wav"), "404"),
        (program.url("/page.wav"), "WAV or MP3"),
        (program.url("/garbage.mp3"), "WAV or MP3"),
        (program.url("/empty.wav"), "audio file"),
        (program.url("/large.wav"), "over 20000 bytes"),
        (program.url("/long.wav"), "2 s allowed"),
        (format!("{}#tt=500&amp;rc=0", program.url("/slow.wav")), "did not answer"),
    ];
    let plays: String = failing.iter().map(|(url, _)| format!("<Play>{url}</Play>")).collect();
    let document = format!("<Play>{good}</Play>{plays}<Play>{}</Play>", program.url("/moved.wav"));
    let caller = runs(&office, "caller", &document).await;
    // What failed was silence between the tones; each failure has its warning.
    let score = caller.score().await;
    score.is("sounds that fail", &[Tone(600, 300), Pause(500), Tone(900, 300)]);
    for (url, why) in &failing {
        let warning = caller.is_warned_of(&office, &["prompt", why]).await;
        assert!(warning.contains("instructions go on"), "{url}: {warning}");
    }
    assert!(secret.asked().is_empty(), "a private address was asked: {:?}", secret.asked().all());
    assert_eq!(caller.asked(&office, "/gone.wav"), 2, "a file is tried a second time");
    caller.is_recorded(&office, "4010", "End Of XML Instructions", "Plivo").await;
}

/// So many seconds and a little of µ-law noise.
fn mu_law_seconds(seconds: u32) -> Vec<u8> {
    let samples: Vec<u8> = (0..seconds * 8_000 + 800).map(|index| 0x90 | (index % 7) as u8).collect();
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(samples.len() as u32 + 50).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    for word in [18u32, 0x0001_0007, 8_000, 8_000, 0x0008_0001] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&[0, 0]);
    file.extend_from_slice(b"fact");
    file.extend_from_slice(&4u32.to_le_bytes());
    file.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&(samples.len() as u32).to_le_bytes());
    file.extend_from_slice(&samples);
    file
}

type Fields = Vec<(&'static str, &'static str)>;

#[tokio::test(flavor = "multi_thread")]
async fn files_are_kept_as_long_as_their_server_allows_and_for_one_account() {
    let office = Office::open().await;
    let kinds: [(&str, Fields, usize); 6] = [
        ("/unsaid.wav", vec![], 1),
        ("/hour.wav", vec![("cache-control", "public, max-age=3600")], 1),
        ("/second.wav", vec![("cache-control", "max-age=1")], 2),
        ("/aged.wav", vec![("cache-control", "max-age=3600"), ("age", "3600")], 2),
        ("/never.wav", vec![("cache-control", "no-store")], 2),
        ("/ask.wav", vec![("cache-control", "private"), ("cache-control", "No-Cache")], 2),
    ];
    let mut plays = String::new();
    for (index, (path, fields, _)) in kinds.iter().enumerate() {
        let tone = super::stage::TONES[index];
        office.program.reply(path, Reply::With(fields.clone(), wav(8_000, 1, tone, 200)));
        plays += &format!("<Play>{}</Play>", office.program.url(path));
    }
    let document = format!(r#"{plays}<Wait length="2"/>{plays}"#);
    let caller = runs(&office, "caller", &document).await;
    let score = caller.score().await;
    for (index, (path, _, times)) in kinds.iter().enumerate() {
        assert_eq!(caller.asked(&office, path), *times, "{path}");
        let heard = score.total(super::stage::TONES[index]);
        assert!(heard.abs_diff(400) <= 80, "{path} was heard for {heard} ms:\n{score}");
    }

    // Another account has its own copy: its program may be somebody else.
    let other = office.server.account("other").await;
    let url = office.program.url("/answer/stranger");
    let app = office.server.application(&other, "stranger", &url, &[]).await;
    office.server.endpoint(&other, "stranger", Some(&app)).await;
    let hour = format!("<Play>{}</Play>", office.program.url("/hour.wav"));
    office.program.document("/answer/stranger", &hour);
    let phone = registered(&office.server, "stranger", &other.realm, phone::Mouth::Silence, Transport::Udp).await;
    let stranger = dials_again(&office, "stranger", phone).await;
    stranger.answered().await;
    stranger.score().await.is("another account's", &[Tone(900, 200)]);
    assert_eq!(stranger.asked(&office, "/hour.wav"), 1, "an account heard what another one fetched");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_want_the_same_file_at_once_fetch_it_once() {
    let office = Office::open().await;
    let document = format!("<Play>{}</Play>", tone(&office, "/shared.wav", 900, 300));
    office.program.hold("/shared.wav");
    let mut calls = Vec::new();
    for name in ["first", "second", "third"] {
        calls.push(runs(&office, name, &document).await);
    }
    let wait = async {
        while office.server.metric("aside_sound_fetches_shared_total").await != Some(2.0) {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "two calls do not wait for the first one's fetch");
    assert_eq!(calls[0].asked(&office, "/shared.wav"), 1);
    office.program.release("/shared.wav");
    for call in &calls {
        call.score().await.is("a file that another call fetched", &[Tone(900, 300)]);
    }
    assert_eq!(calls[0].asked(&office, "/shared.wav"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_urls_are_in_no_log_and_no_event_and_a_forbidden_callback_fails_at_once() {
    let office = Office::open().await;
    let secret = |path: &str| {
        office.program.reply(path, Reply::Plain(404, "audio/wav", Vec::new()));
        format!("{}?token=tok3n", office.program.url(path).replace("http://", "http://user:s3cretpw@"))
    };
    let (gone, music) = (secret("/gone.wav"), secret("/music.wav"));
    let room = format!(
        r#"<Play>{gone}</Play><MultiPartyCall role="Agent" waitMusicUrl="{music}" statusCallbackUrl="http://user:s3cretpw@10.0.0.1/status?token=tok3n" enterSound="none" exitSound="none">secrets</MultiPartyCall>"#
    );
    let caller = runs(&office, "caller", &room).await;
    let told = caller.is_warned_of(&office, &["prompt", "404"]).await;
    let music = warning(&office, |event| event.to_string().contains("/music.wav"), &["music", "404"]).await;
    let log = &office.server.process().err;
    let refused = log.expect("refusal of the callback", 0, SOON, |line| line.contains("cannot be delivered")).await;
    assert!(refused.contains("http://10.0.0.1/status"), "{refused}");
    let wait = async {
        while office.server.metric("aside_callbacks_failed_total").await.unwrap_or_default() < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "a callback that nothing may take is kept");
    let events = office.native.get("/events?after=0").await.to_string();
    for (what, text) in [("log", log.all().join("\n")), ("events", events), ("prompt", told), ("music", music)] {
        assert!(!text.contains("s3cretpw") && !text.contains("tok3n"), "a secret is in the {what}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_speech_is_spoken_as_far_as_it_may_be_and_what_is_left_out_is_told() {
    // A second of speech has more bytes than a file may have here.
    let options = ServerOptions::default().set("sounds", "max_bytes", "20000").set("sounds", "max_seconds", "3");
    let office = Office::with(options).await;
    let document = format!("<Speak>{}</Speak>", "Good morning to you all. ".repeat(1_000));
    let caller = runs(&office, "caller", &document).await;
    caller.is_warned_of(&office, &["max_seconds", "left out"]).await;
    caller.ended().await;
    let bursts = super::score::bursts(&super::score::recording(&caller.call), 5_000);
    let (from, to) = (bursts.first().map_or(0, |b| b.0), bursts.last().map_or(0, |b| b.0 + b.1));
    assert!((2_000..3_500).contains(&(to - from)), "speech of 3 s took {bursts:?}");
}
