//! Members whose documents say every word themselves, and what the suites ask of ears.

use std::time::Instant;

use phone::analysis::{Track, exact_silence, first_heard, levels_20ms, rms_dbfs};
use phone::{Call, CallOptions, Content, Mouth, Packet};
use system_tests::SOON;
use system_tests::office::{Member, Office};
use system_tests::program::{Asked, Reply, tone_wav};

/// A sound counts as there from this level on, dBFS.
pub const THERE: f64 = -35.0;

/// Somebody who calls in with exactly these attributes; his status events go to `/events`.
pub async fn enters(office: &Office, name: &str, room: &str, role: &str, attributes: &str, mouth: Mouth) -> Member {
    let events = office.program.url("/events");
    office.program.document(
        &format!("/answer/{name}"),
        &format!(r#"<MultiPartyCall role="{role}" statusCallbackUrl="{events}" {attributes}>{room}</MultiPartyCall>"#),
    );
    let phone = office.phone(name, mouth).await;
    office.calls_in(name, phone).await
}

/// A call that is placed and whose end is waited for elsewhere.
pub async fn places_call(
    office: &Office,
    name: &str,
    room: &str,
    role: &str,
    attributes: &str,
) -> (phone::Phone, Call) {
    office.room_document(name, room, role, attributes);
    let phone = office.phone(name, Mouth::Silence).await;
    match phone.call("hotline", CallOptions::default()) {
        Ok(call) => (phone, call),
        Err(error) => panic!("{name} cannot call: {error}"),
    }
}

/// Serves a tone as a sound file.
pub fn music(office: &Office, path: &str, tone: u32) -> String {
    office.program.reply(path, Reply::Plain(200, "audio/wav", tone_wav(tone, -20.0, 2)));
    office.program.url(path)
}

/// Waits until a tone is in the ear at or after `since`.
pub async fn comes(what: &str, call: &Call, tone: u32, since: Instant) -> Instant {
    match call.ear().wait_heard(tone, THERE, since, SOON).await {
        Some(heard) => heard.at,
        None => panic!("{what}: {tone} Hz does not come: {:?}", call.state()),
    }
}

/// Waits until a tone has gone from the ear for 200 ms.
pub async fn goes(what: &str, call: &Call, tone: u32) {
    let quiet = std::time::Duration::from_millis(200);
    let gone = call.ear().wait_quiet(tone, THERE, Instant::now(), quiet, SOON).await;
    assert!(gone.is_some(), "{what}: {tone} Hz goes on");
}

/// Waits until nothing but silence has come for 800 ms: longer than any two beeps in a row with the pause in them.
pub async fn falls_quiet(what: &str, call: &Call) {
    let quiet = |ear: &phone::Ear| {
        let packets = ear.packets();
        let last = packets.get(packets.len().saturating_sub(40)..).unwrap_or_default();
        last.len() == 40 && exact_silence(last).is_ok()
    };
    assert!(call.ear().wait_until(SOON, quiet).await, "{what}: it does not become quiet");
}

/// The loudest 20 ms of a tone since an instant, dBFS.
pub fn loudest(call: &Call, tone: u32, since: Instant) -> f64 {
    levels_20ms(&Track::new(&call.ear().since(since)).samples, tone).max()
}

/// The loudest 20 ms of everything since an instant, dBFS.
pub fn loudest_of_all(call: &Call, since: Instant) -> f64 {
    let samples = Track::new(&call.ear().since(since)).samples;
    samples.chunks(160).map(rms_dbfs).fold(-140.0, f64::max)
}

/// Of each packet that carries a tone: its index.
pub fn packets_with(packets: &[Packet], tone: u32, threshold: f64) -> Vec<usize> {
    let carries = |packet: &Packet| {
        matches!(packet.content, Content::Audio(_))
            && first_heard(std::slice::from_ref(packet), tone, packet.at, threshold).is_some()
    };
    packets.iter().enumerate().filter(|(_, packet)| carries(packet)).map(|(index, _)| index).collect()
}

/// Waits for the last event of a call.
pub async fn mpc_end(office: &Office, mark: usize) -> Asked {
    office.program.event("MPCEnd", mark, |_| true).await
}
