//! Judging what phones heard. Forbidden sound is never forgiven; sound that should be there may be measured again, because a busy
//! machine can starve a stream for an instant.

use std::fmt;
use std::time::{Duration, Instant};

use phone::analysis::{Ears, Expect, FirstLeak, Mismatch, Speaker, exact_silence, matrix, tone_set};
use phone::{Call, Mouth, Packet};

use crate::SOON;

/// Level at which every phone speaks, dBFS.
pub const SPEAKING: f64 = -20.0;
/// How far from it a voice may be heard, dB.
pub const TOLERANCE: f64 = 1.0;
/// Time after a change before sound is judged by tones: what was on its way and the test's own delays.
pub const SETTLING: Duration = Duration::from_millis(150);
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
                    panic!("{what}:\n  {}", list.join("\n  "));
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

/// That a tone was never in an ear since an instant: below −45 dBFS in every 20 ms. For stretches across changes, where other tones come and go.
///
/// # Panics
/// If it was.
pub fn never_heard_since(what: &str, call: &Call, tone: u32, since: Instant) {
    let packets = call.ear().since(since);
    assert!(!packets.is_empty(), "{what}: nothing was received");
    let samples = phone::analysis::Track::new(&packets).samples;
    let loudest = phone::analysis::levels_20ms(&samples, tone).max();
    assert!(loudest < phone::analysis::SILENT_20MS_DBFS, "{what}: {tone} Hz was heard at {loudest:.1} dBFS");
}

/// A proof of silence over a whole call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent {
    /// Packets, each byte of which was the silence word.
    pub packets: usize,
}

/// Why there is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSilent {
    /// A byte that is not silence.
    Leak(FirstLeak),
    /// The ear has forgotten packets, or had none: nothing is proven.
    Unproven,
}

impl fmt::Display for NotSilent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leak(leak) => leak.fmt(f),
            Self::Unproven => f.write_str("the ear received nothing or has forgotten packets: nothing is proven"),
        }
    }
}

/// Every payload byte received since the INVITE is the silence word.
///
/// # Errors
/// The first byte that is not, or that there is no proof.
pub fn silent_since_invite(call: &Call) -> Result<Silent, NotSilent> {
    let mut packets = 0;
    let mut lines = call.earlier_lines();
    lines.extend(call.line());
    for line in lines {
        if line.ear().counters().aged_out > 0 {
            return Err(NotSilent::Unproven);
        }
        let heard = line.ear().packets();
        exact_silence(&heard).map_err(NotSilent::Leak)?;
        packets += heard.len();
    }
    if packets == 0 { Err(NotSilent::Unproven) } else { Ok(Silent { packets }) }
}

/// Waits for `more` packets and proves that nothing was ever heard.
///
/// # Panics
/// If something was.
pub async fn stays_silent(what: &str, call: &Call, more: u64) {
    assert!(call.ear().wait_more(more, SOON).await, "{what}: no packets come: {:?}", call.state());
    match silent_since_invite(call) {
        Ok(proof) => assert!(proof.packets as u64 >= more),
        Err(why) => panic!("{what}: {why}"),
    }
}
