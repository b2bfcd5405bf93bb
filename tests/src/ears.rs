//! Judging what phones heard. Forbidden sound is never forgiven; sound that should be there may be measured again, because a busy
//! machine can starve a stream for an instant.

use std::time::{Duration, Instant};

use phone::analysis::{
    Ears, Expect, Mismatch, SILENT_20MS_DBFS, Speaker, Track, exact_silence, first_heard, levels_20ms, matrix, tone_set,
};
use phone::{Call, Mouth, Packet};

use crate::SOON;

/// Level at which every phone speaks, dBFS.
pub const SPEAKING: f64 = -20.0;
/// How far from it a voice may be heard, dB.
pub const TOLERANCE: f64 = 1.0;
/// Time after a change before sound is judged: what was on its way, and what a busy machine may be late in noting its arrival.
pub const SETTLING: Duration = Duration::from_millis(300);
/// Words of every verdict that somebody heard what is not for him. `scripts/again.py` never repeats a test that says them.
pub const FORBIDDEN: &str = "forbidden sound";
/// Packets that an ear receives after it was asked before it is judged: what was on its way by then counts.
const ON_THE_WAY: usize = 5;
/// Packets in one measurement: a second and what the windows need.
const STRETCH: u64 = 70;
/// Measurements of what should be heard.
const ATTEMPTS: usize = 5;

/// The first three tones never make one another up.
///
/// # Panics
/// If there are no so many tones.
pub fn tones<const N: usize>() -> [u32; N] {
    let set = tone_set(N).map(|set| set.tones);
    match set.and_then(|tones| <[u32; N]>::try_from(tones).ok()) {
        Some(tones) => tones,
        None => panic!("there is no set of {N} tones"),
    }
}

/// A mouth that says a tone at the usual level.
pub fn voice(freq: u32) -> Mouth {
    Mouth::Tone { freq, dbfs: SPEAKING }
}

/// Somebody with an ear, and the tone he says, if any.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Name.
    pub name: &'a str,
    /// The phone's call.
    pub call: &'a Call,
    /// His tone, Hz.
    pub tone: Option<u32>,
}

/// Judges packets of several ears over one stretch: `allowed` pairs (listener, speaker) at the level sent, all others silent.
///
/// # Errors
/// The pairs that are not as they should be.
pub fn judge(
    ears: &[Ears<'_>],
    speakers: &[Speaker<'_>],
    allowed: &[(&str, &str)],
    from: Instant,
    to: Instant,
) -> Result<(), Vec<Mismatch>> {
    let measured = match matrix(ears, speakers, from, to, Duration::ZERO) {
        Ok(measured) => measured,
        Err(error) => panic!("{error}"),
    };
    let at = Expect::HeardAt { level: SPEAKING, tolerance: TOLERANCE };
    let expected: Vec<(&str, &str, Expect)> = ears
        .iter()
        .flat_map(|ear| speakers.iter().map(move |speaker| (ear.name, speaker.name)))
        .map(|pair| (pair.0, pair.1, if allowed.contains(&pair) { at } else { Expect::Silent }))
        .collect();
    measured.check(&expected).inspect_err(|_| eprintln!("measured:\n{measured}"))
}

/// Who hears whom, now. All who are named listen; those with a tone speak. Each pair in `allowed` (listener, speaker) must be heard at the level
/// sent; every other pair, a phone's own voice in its ear too, must be silent: below −45 dBFS in every 20 ms and −65 dBFS in every second.
///
/// # Panics
/// With the measured matrix, if it is otherwise.
pub async fn hears(what: &str, people: &[Heard<'_>], allowed: &[(&str, &str)]) {
    let begin = Instant::now();
    for (listener, speaker) in allowed {
        let (Some(ear), Some(tone)) =
            (person(people, listener), person(people, speaker).and_then(|person| person.tone))
        else {
            panic!("{what}: {listener} or the voice of {speaker} is not among the people");
        };
        if ear.call.ear().wait_heard(tone, -30.0, begin, SOON).await.is_none() {
            panic!("{what}: {listener} does not hear {speaker} ({tone} Hz) within {SOON:?}");
        }
    }
    let mut from = Instant::now() + SETTLING;
    for attempt in 1..=ATTEMPTS {
        match stretch(what, people, allowed, from).await {
            Ok(()) => return,
            Err(wrong) => {
                let leak = wrong.iter().any(|mismatch| mismatch.expected == Expect::Silent);
                let list: Vec<String> = wrong.iter().map(ToString::to_string).collect();
                if leak || attempt == ATTEMPTS {
                    let verdict = if leak { FORBIDDEN } else { "not heard as it should be" };
                    panic!("{what}: {verdict}:\n  {}", list.join("\n  "));
                }
                eprintln!("{what}: measured again, the machine starved a stream: {}", list.join("; "));
                from = Instant::now();
            }
        }
    }
}

async fn stretch(
    what: &str,
    people: &[Heard<'_>],
    allowed: &[(&str, &str)],
    from: Instant,
) -> Result<(), Vec<Mismatch>> {
    for person in people {
        let enough = |ear: &phone::Ear| ear.since(from).len() as u64 >= STRETCH;
        assert!(
            person.call.ear().wait_until(SOON, enough).await,
            "{what}: {} receives nothing: {:?}",
            person.name,
            person.call.state()
        );
    }
    let packets: Vec<(&str, Vec<Packet>)> =
        people.iter().map(|person| (person.name, person.call.ear().since(from))).collect();
    let ears: Vec<Ears<'_>> = packets.iter().map(|(name, packets)| Ears { name, packets }).collect();
    let speakers: Vec<Speaker<'_>> =
        people.iter().filter_map(|person| Some(Speaker { name: person.name, freq: person.tone? })).collect();
    judge(&ears, &speakers, allowed, from, Instant::now())
}

fn person<'a>(people: &'a [Heard<'a>], name: &str) -> Option<&'a Heard<'a>> {
    people.iter().find(|person| person.name == name)
}

/// Waits until so many packets have come at or after an instant, and [`ON_THE_WAY`] after this was asked. A call that is over receives no more:
/// what it has is all there is.
///
/// # Panics
/// If a call that is not over receives nothing.
async fn hears_on(what: &str, call: &Call, since: Instant, count: usize) {
    let since = since.max(Instant::now());
    let ear = call.ear();
    let enough = ear.wait_until(SOON, |ear| ear.since(since).len() >= count);
    let came = tokio::select! {
        came = enough => came,
        _ = call.wait_ended(SOON * 2) => true,
    };
    assert!(came, "{what}: no packets come: {:?}", call.state());
}

/// That a tone was never in an ear since an instant, nor is now: below −45 dBFS in every 20 ms. For stretches across changes, where other tones
/// come and go.
///
/// # Panics
/// If it was.
pub async fn never_heard_since(what: &str, call: &Call, tone: u32, since: Instant) {
    hears_on(what, call, since, ON_THE_WAY).await;
    let packets = call.ear().since(since);
    assert!(!packets.is_empty(), "{what}: nothing was received, so nothing is proven");
    let samples = Track::new(&packets).samples;
    let loudest = levels_20ms(&samples, tone).max();
    assert!(loudest < SILENT_20MS_DBFS, "{what}: {FORBIDDEN}: {tone} Hz was heard at {loudest:.1} dBFS");
}

/// Not a byte but silence came since an instant, nor comes now.
///
/// # Panics
/// If something else did.
pub async fn silent_since(what: &str, call: &Call, since: Instant) {
    stays_silent_since(what, call, since, ON_THE_WAY as u64).await;
}

/// As [`silent_since`], over at least `more` packets from now.
///
/// # Panics
/// If something else came.
pub async fn stays_silent_since(what: &str, call: &Call, since: Instant, more: u64) {
    hears_on(what, call, since, more as usize).await;
    let packets = call.ear().since(since);
    assert!(!packets.is_empty(), "{what}: nothing was received, so nothing is proven");
    exact_silence(&packets).unwrap_or_else(|leak| panic!("{what}: {FORBIDDEN}: {leak}"));
}

/// Every payload byte received since the INVITE is the silence word, and so is what comes now; gives the number of packets. Nothing is proven of
/// an ear that received nothing, so this waits for packets unless the call is over.
///
/// # Panics
/// If something was heard, or nothing is proven.
pub async fn silent_since_invite(what: &str, call: &Call) -> usize {
    stays_silent(what, call, ON_THE_WAY as u64).await
}

/// As [`silent_since_invite`], over at least `more` packets from now.
///
/// # Panics
/// If something was heard, or nothing is proven.
pub async fn stays_silent(what: &str, call: &Call, more: u64) -> usize {
    hears_on(what, call, Instant::now(), more as usize).await;
    let packets = heard_in_silence(what, call);
    assert!(packets > 0, "{what}: nothing was received, so nothing is proven: {:?}", call.state());
    packets
}

/// How many packets came since the INVITE, none of which carried anything: for calls that may have ended before the first one.
///
/// # Panics
/// If something was heard, or the ear has forgotten packets.
pub fn heard_in_silence(what: &str, call: &Call) -> usize {
    let mut packets = 0;
    for line in call.earlier_lines().into_iter().chain(call.line()) {
        let forgotten = line.ear().counters().aged_out;
        assert_eq!(forgotten, 0, "{what}: the ear has forgotten packets, so nothing is proven");
        let heard = line.ear().packets();
        exact_silence(&heard).unwrap_or_else(|leak| panic!("{what}: {FORBIDDEN}: {leak}"));
        packets += heard.len();
    }
    packets
}

/// That no tone but its own is in a second or more of a stream, at the level at which it was said. Where packets came too late the tone itself
/// breaks, and a broken tone is a little of everything: what else there is, is asked where it is whole.
///
/// # Panics
/// If the tone is not there, or another one is.
pub fn is_alone(what: &str, samples: &[i16], own: u32, others: &[u32]) {
    let levels = levels_20ms(samples, own);
    let level = levels.median();
    assert!((level - SPEAKING).abs() < TOLERANCE, "{what}: {own} Hz is at {level:.1} dBFS");
    let whole: Vec<bool> = levels.levels.iter().map(|at| (at - level).abs() < 0.1).collect();
    let count = whole.iter().filter(|whole| **whole).count();
    assert!(count * 2 > whole.len(), "{what}: {own} Hz is whole in {count} frames of {}", whole.len());
    for other in others.iter().filter(|tone| **tone != own) {
        let levels = levels_20ms(samples, *other);
        let where_whole = levels.levels.iter().zip(&whole).filter(|(_, whole)| **whole);
        let loudest = where_whole.map(|(at, _)| *at).fold(f64::MIN, f64::max);
        assert!(loudest < SILENT_20MS_DBFS, "{what}: {FORBIDDEN}: {other} Hz is there too, at {loudest:.1} dBFS");
    }
}

/// Distance of two packets of one stream by its sender's clock, which no delay on the way changes and which goes on while the sender stands
/// still.
///
/// # Panics
/// If they are of two streams.
pub fn sent_apart(earlier: &Packet, later: &Packet) -> Duration {
    assert_eq!(earlier.header.ssrc, later.header.ssrc, "the packets are of two streams");
    Duration::from_secs(1) * later.header.timestamp.wrapping_sub(earlier.header.timestamp) / 8_000
}

/// The packets since an instant in which a tone is heard at −30 dBFS or more. How many they are tells how long it sounded, whoever was late.
pub fn carrying(call: &Call, tone: u32, since: Instant) -> Vec<Packet> {
    let mut packets = call.ear().since(since);
    packets.retain(|packet| first_heard(std::slice::from_ref(packet), tone, packet.at, -30.0).is_some());
    packets
}

/// How long packets sound one after another.
pub fn sounding(packets: &[Packet]) -> Duration {
    Duration::from_millis(20) * packets.len() as u32
}

#[cfg(test)]
mod tests {
    use phone::rtp::Header;
    use phone::{Codec, Content};

    use super::*;

    fn packet(at: Instant, timestamp: u32) -> Packet {
        Packet {
            at,
            from: ([127, 0, 0, 1], 4_000).into(),
            header: Header { marker: false, payload_type: 0, sequence: 0, timestamp, ssrc: 7 },
            content: Content::Audio(Codec::Pcmu),
            payload: vec![Codec::Pcmu.silence_word(); 160].into(),
        }
    }

    #[test]
    fn a_packet_that_is_noted_late_is_no_further_from_the_one_before_it() {
        let now = Instant::now();
        let (first, late) = (packet(now, u32::MAX - 79), packet(now + Duration::from_millis(320), 80));
        assert_eq!(sent_apart(&first, &late), Duration::from_millis(20));
    }

    #[test]
    fn a_second_tone_is_found_beside_one_that_breaks() {
        let wave = |freq: u32, level: f64, turn: f64| {
            move |n: u32| {
                let angle = std::f64::consts::TAU * (f64::from(freq) * f64::from(n) / 8_000.0 + turn);
                32_767.0 * 10f64.powf(level / 20.0) * angle.sin()
            }
        };
        let [own, other] = tones();
        let (before, after, leak) = (wave(own, SPEAKING, 0.0), wave(own, SPEAKING, 0.5), wave(other, -40.0, 0.0));
        let broken = |n: u32| if n < 4_000 { before(n) } else { after(n) };
        let alone: Vec<i16> = (0..8_000).map(|n| broken(n) as i16).collect();
        is_alone("a broken tone", &alone, own, &[own, other]);
        let beside: Vec<i16> = (0..8_000).map(|n| (broken(n) + leak(n)) as i16).collect();
        let judged = std::panic::catch_unwind(|| is_alone("with another", &beside, own, &[own, other]));
        let said = judged.expect_err("the other went unseen");
        assert!(said.downcast_ref::<String>().is_some_and(|said| said.contains(FORBIDDEN)));
    }
}
