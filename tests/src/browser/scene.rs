//! Who heard whom in a whole scene, judged when it is over from all that came to everybody. Each speaker says one tone all the time. Of each pair
//! (listener, speaker) every 20 ms is asked, from the tick of a change until the next change is asked for; and what is forbidden before and after a
//! change, also in between. Forbidden is what is less than 45 dB below the same tone where it is allowed. Nothing of it is forgiven, and nothing is
//! measured again. What Opus itself carries over a change, two frames, is left out ([`Received::part`]); of G.711 nothing is.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Tab;
use super::received::{Frame, Received, Window, now};
use crate::SOON;
use crate::ears::FORBIDDEN;

/// How far below its allowed level a forbidden voice is in every 20 ms, dB.
const BELOW: f64 = 45.0;
/// A voice in its speaker's own ear, dB: two others' tones in one Opus stream make a little of the third.
const OWN: f64 = 25.0;
/// Level at which an allowed voice must be heard at least, dBFS; it is said at −20.
const HEARD: f64 = -26.0;
/// How soon after a change an allowed voice is there, ms: jitter buffers of the server fill anew.
const SETTLING: f64 = 300.0;
/// A leak stands out of what is at other pitches by more than this, dB. Where a sound breaks (packets that came late to the server from a busy browser),
/// a little of everything is heard, at every pitch alike.
const OUT: f64 = 6.0;
/// Of the windows of a pair, so many may be broken, per cent: more, and nothing is proven.
const BROKEN: usize = 15;

/// Where somebody listens.
#[derive(Clone, Copy)]
pub enum Ear<'a> {
    /// In a browser.
    Tab(&'a Tab),
    /// At a telephone.
    Phone(&'a phone::Ear),
}

/// Somebody, where he listens, and the tone that he says.
#[derive(Clone, Copy)]
pub struct Person<'a> {
    /// Name.
    pub name: &'a str,
    /// Where he listens.
    pub ear: Ear<'a>,
    /// Hz; a multiple of 50.
    pub tone: u32,
}

/// A stretch in which the same people hear the same.
#[derive(Clone, Debug)]
struct Phase {
    what: String,
    /// Ms since 1970.
    from: f64,
    to: f64,
    /// Listener, speaker.
    allowed: Vec<(String, String)>,
}

/// Of each phase, pairs (listener, speaker) with all their windows until the next phase begins.
type Measured = Vec<BTreeMap<(String, String), Vec<Window>>>;

/// People, and what they were allowed to hear when.
pub struct Scene<'a> {
    people: Vec<Person<'a>>,
    phases: Vec<Phase>,
}

impl<'a> Scene<'a> {
    /// A scene of these.
    pub fn of(people: &[Person<'a>]) -> Self {
        Self { people: people.to_vec(), phases: Vec::new() }
    }

    /// From this time on (ms since 1970) each of these pairs (listener, speaker) is heard, and no other.
    pub fn begins(&mut self, what: &str, from: f64, allowed: &[(&str, &str)]) {
        let allowed =
            allowed.iter().map(|(listener, speaker)| ((*listener).to_owned(), (*speaker).to_owned())).collect();
        self.phases.push(Phase { what: what.to_owned(), from, to: f64::INFINITY, allowed });
    }

    /// It goes on for so long at every ear; then it is over, as something else is asked for.
    ///
    /// # Panics
    /// If somebody receives nothing.
    pub async fn lasts(&mut self, time: Duration) {
        let Some(phase) = self.phases.last_mut() else { return };
        let until = phase.from.max(now()) + time.as_secs_f64() * 1_000.0;
        for person in &self.people {
            person.ear.came(person.name, until).await;
        }
        phase.to = now();
    }

    /// What the browsers play, too: what is allowed now is in the sound that leaves their jitter buffers.
    ///
    /// # Panics
    /// If it is not.
    pub async fn is_played(&self) {
        let Some(phase) = self.phases.last() else { return };
        for (listener, speaker) in &phase.allowed {
            let find = |name: &str| self.people.iter().find(|person| person.name == name);
            let (Some(Person { ear: Ear::Tab(tab), .. }), Some(speaker)) = (find(listener), find(speaker)) else {
                continue;
            };
            let end = Instant::now() + SOON;
            loop {
                let level = tab.hears_for(tab.mark().await, Duration::from_millis(400)).await.median(speaker.tone);
                if level > HEARD {
                    break;
                }
                assert!(
                    Instant::now() < end,
                    "{}: {listener} is played {} at {level:.1} dBFS",
                    phase.what,
                    speaker.name
                );
            }
        }
    }

    /// Judges all of it.
    ///
    /// # Panics
    /// With all that was not as it should be.
    pub async fn is_as_it_should_be(&self) {
        let measured = self.measured().await;
        if std::env::var_os("ASIDE_HEARD").is_some() {
            print(&self.phases, &measured);
        }
        let wrong = judged(&self.phases, &measured);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// The same; and were any one pair of any phase the other way round, it would be found: so each can fail.
    ///
    /// # Panics
    /// With all that was not as it should be, and with what would not be found.
    pub async fn is_as_it_should_be_and_no_other_way(&self) {
        self.is_as_it_should_be().await;
        let measured = self.measured().await;
        for index in 0..self.phases.len() {
            for pair in measured[index].keys().filter(|(listener, speaker)| listener != speaker) {
                let mut phases = self.phases.clone();
                let allowed = &mut phases[index].allowed;
                match allowed.iter().position(|other| other == pair) {
                    Some(place) => drop(allowed.remove(place)),
                    None => allowed.push(pair.clone()),
                }
                let what = &self.phases[index].what;
                assert!(!judged(&phases, &measured).is_empty(), "{what}: were {pair:?} otherwise, nobody would know");
            }
        }
    }

    async fn measured(&self) -> Measured {
        let since = self.phases.first().map_or(0.0, |phase| phase.from);
        let mut heard = Vec::new();
        for person in &self.people {
            heard.push((person.name, person.ear.received(since).await));
        }
        let speakers: Vec<(&str, u32)> = self.people.iter().map(|person| (person.name, person.tone)).collect();
        measure(&self.phases, &heard, &speakers)
    }
}

fn measure(phases: &[Phase], heard: &[(&str, Vec<Received>)], speakers: &[(&str, u32)]) -> Measured {
    let tones: Vec<u32> = speakers.iter().map(|(_, tone)| *tone).collect();
    let of_phase = |index: usize| {
        let mut pairs = BTreeMap::new();
        let to = phases.get(index + 1).map_or(phases[index].to, |next| next.from);
        for (listener, streams) in heard {
            let parts: Vec<Received> = streams.iter().map(|stream| stream.part(phases[index].from, to)).collect();
            for (speaker, tone) in speakers {
                let windows = parts.iter().flat_map(|part| part.windows(*tone, &tones)).collect();
                pairs.insert(((*listener).to_owned(), (*speaker).to_owned()), windows);
            }
        }
        pairs
    };
    (0..phases.len()).map(of_phase).collect()
}

impl Ear<'_> {
    async fn received(self, since: f64) -> Vec<Received> {
        match self {
            Ear::Tab(tab) => Received::of_frames(&tab.frames().await),
            Ear::Phone(ear) => {
                let streams = Received::of_packets(&ear.packets());
                let first = streams.first().map_or(f64::INFINITY, |stream| stream.span().0);
                let whole = ear.counters().aged_out == 0 || first < since;
                assert!(whole, "the telephone has forgotten packets, so nothing is proven");
                streams
            }
        }
    }

    /// Waits until what was sent at this time has come. Who is sent nothing at all (on hold) is not waited for.
    async fn came(self, name: &str, time: f64) {
        let end = Instant::now() + Duration::from_secs_f64((time - now()).max(0.0) / 1_000.0);
        match self {
            Ear::Tab(tab) => {
                let last = |frames: &[Frame]| frames.last().map_or(0.0, |frame| frame.at);
                while last(&tab.last_frames().await) < time && Instant::now() < end + Duration::from_secs(1) {
                    // The driver tells no event of it.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            Ear::Phone(ear) => {
                let came =
                    ear.wait_until(SOON, |ear| ear.packets().last().is_some_and(|packet| packet.at >= end)).await;
                assert!(came, "{name} receives nothing: {:?}", ear.counters());
            }
        }
    }
}

fn print(phases: &[Phase], measured: &Measured) {
    for (phase, pairs) in phases.iter().zip(measured) {
        for ((listener, speaker), windows) in pairs {
            let first: Vec<String> = windows.iter().take(5).map(|window| format!("{:.0}", window.level)).collect();
            let loudest = windows.iter().max_by(|a, b| a.level.total_cmp(&b.level));
            eprintln!(
                "{}: {listener} hears {speaker}: median {:.1}, loudest {:.1} (floor {:.1}, {:.0} ms in), first {first:?}, above −65: {} of {}",
                phase.what,
                median(&windows.iter().collect::<Vec<_>>()),
                loudest.map_or(-140.0, |window| window.level),
                loudest.map_or(-140.0, |window| window.floor),
                loudest.map_or(0.0, |window| window.at - phase.from),
                windows.iter().filter(|window| window.level > -65.0).count(),
                windows.len()
            );
        }
    }
}

fn median(windows: &[&Window]) -> f64 {
    let mut levels: Vec<f64> = windows.iter().map(|window| window.level).collect();
    levels.sort_by(f64::total_cmp);
    levels.get(levels.len() / 2).copied().unwrap_or(-140.0)
}

/// What is not as it should be.
fn judged(phases: &[Phase], measured: &Measured) -> Vec<String> {
    let mut wrong = Vec::new();
    // The level of a speaker where he is allowed: the lowest of all listeners and phases.
    let mut references: BTreeMap<&str, f64> = BTreeMap::new();
    for (phase, pairs) in phases.iter().zip(measured) {
        for pair in &phase.allowed {
            let settled = |window: &&Window| window.at > phase.from + SETTLING && window.at + 20.0 <= phase.to;
            let level = median(&pairs.get(pair).into_iter().flatten().filter(settled).collect::<Vec<_>>());
            if level < HEARD {
                wrong.push(format!("{}: {} hears {} at {level:.1} dBFS", phase.what, pair.0, pair.1));
                continue;
            }
            let reference = references.entry(&pair.1).or_insert(level);
            *reference = reference.min(level);
        }
    }
    for (index, (phase, pairs)) in phases.iter().zip(measured).enumerate() {
        for (pair, windows) in pairs.iter().filter(|(pair, _)| !phase.allowed.contains(pair)) {
            // What is forbidden in the next phase, too, is so while the change is on its way.
            let always = phases.get(index + 1).is_some_and(|next| !next.allowed.contains(pair));
            let to = if always { f64::INFINITY } else { phase.to };
            // Who is heard by nobody in the whole scene says −20 dBFS all the same.
            let reference = references.get(pair.1.as_str()).copied().unwrap_or(-20.0);
            let below = if pair.0 == pair.1 { OWN } else { BELOW };
            let mut leaks = Vec::new();
            let mut broken = 0;
            for window in windows.iter().filter(|window| window.level > reference - below && window.at + 20.0 <= to) {
                if window.level > window.floor + OUT { leaks.push(window) } else { broken += 1 }
            }
            if let Some(first) = leaks.first() {
                let loudest = leaks.iter().map(|window| window.level).fold(f64::MIN, f64::max);
                wrong.push(format!(
                    "{}: {FORBIDDEN}: {} hears {}, {} times 20 ms, up to {loudest:.1} dBFS ({:.1} at most), first {:.0} ms after the change",
                    phase.what,
                    pair.0,
                    pair.1,
                    leaks.len(),
                    reference - below,
                    first.at - phase.from
                ));
            }
            if broken * 100 > windows.len() * BROKEN {
                let of = windows.len();
                let what = &phase.what;
                wrong.push(format!(
                    "{what}: nothing is proven of {pair:?}: sound is broken in {broken} of {of} windows"
                ));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    const TONES: [u32; 3] = [450, 1_050, 2_300];

    /// Two seconds that a listener received, in which these speakers are heard; the third for one frame, at this level.
    fn heard(speakers: &[usize], leak: Option<(f64, usize)>) -> Received {
        let wave = |freq: u32, dbfs: f64, n: usize| {
            32_767.0 * 10f64.powf(dbfs / 20.0) * (TAU * f64::from(freq) * n as f64 / 48_000.0).sin()
        };
        let sample = |n: usize| {
            let said: f64 = speakers.iter().map(|speaker| wave(TONES[*speaker], -20.0, n)).sum();
            let leaked = leak
                .filter(|(_, length)| (48_000..48_000 + length).contains(&n))
                .map_or(0.0, |(level, _)| wave(TONES[2], level, n));
            (said + leaked).round() as i16
        };
        Received::test(48_000, 10_000.0, (0..96_000).map(sample).collect())
    }

    fn measured(customer: Received) -> Measured {
        let names = ["customer", "agent", "supervisor"];
        let streams = [customer, heard(&[0, 2], None), heard(&[0, 1], None)];
        let heard: Vec<(&str, Vec<Received>)> = names.into_iter().zip(streams.map(|stream| vec![stream])).collect();
        let speakers: Vec<(&str, u32)> = names.into_iter().zip(TONES).collect();
        measure(&whisper(), &heard, &speakers)
    }

    fn whisper() -> Vec<Phase> {
        let allowed = [
            ("customer", "agent"),
            ("agent", "customer"),
            ("agent", "supervisor"),
            ("supervisor", "customer"),
            ("supervisor", "agent"),
        ];
        let allowed = allowed.map(|(listener, speaker)| (listener.to_owned(), speaker.to_owned())).to_vec();
        vec![Phase { what: "whisper".to_owned(), from: 10_000.0, to: 12_000.0, allowed }]
    }

    #[test]
    fn a_whisper_that_stays_one_is_as_it_should_be() {
        assert_eq!(judged(&whisper(), &measured(heard(&[1], None))), Vec::<String>::new());
    }

    #[test]
    fn twenty_milliseconds_at_52_dbfs_are_found() {
        for (length, level) in [(960, -52.0), (960, -60.0), (480, -50.0), (240, -45.0)] {
            let wrong = judged(&whisper(), &measured(heard(&[1], Some((level, length)))));
            assert!(wrong.len() == 1 && wrong[0].contains(FORBIDDEN), "{length} samples at {level}: {wrong:?}");
        }
    }

    #[test]
    fn a_change_that_comes_a_frame_late_is_found() {
        let mut late = heard(&[1], None);
        late.replace_first(960, &heard(&[1, 2], None));
        let wrong = judged(&whisper(), &measured(late));
        assert!(wrong.len() == 1 && wrong[0].contains(FORBIDDEN), "{wrong:?}");
    }

    #[test]
    fn a_sound_that_breaks_is_no_voice_and_one_that_breaks_all_the_time_proves_nothing() {
        let broken = |every: usize| {
            let mut samples = heard(&[1], None);
            samples.turn_every(every);
            judged(&whisper(), &measured(samples))
        };
        assert_eq!(broken(48_000), Vec::<String>::new());
        assert!(broken(2_000).iter().all(|wrong| wrong.contains("nothing is proven")) && !broken(2_000).is_empty());
    }

    #[test]
    fn whoever_may_be_heard_and_is_not_is_missed() {
        let wrong = judged(&whisper(), &measured(heard(&[], None)));
        assert!(wrong.len() == 1 && wrong[0].contains("customer hears agent"), "{wrong:?}");
    }
}
