//! Who hears whom where some sit at browsers and others have telephones: each is measured at his own end.

use std::time::{Duration, Instant};

use phone::analysis::{Track, levels_20ms};
use system_tests::SOON;
use system_tests::browser::Tab;
use system_tests::ears::FORBIDDEN;

/// Four voices, Hz: the first three do not make one another up in G.711, and a frame of 20 ms holds whole periods of each. The last is for a
/// telephone, for it hears the others.
pub const TONES: [u32; 4] = [1_200, 2_700, 3_100, 500];
/// Level at which an allowed voice must be heard at least, dBFS; it is said at −20.
const HEARD: f64 = -26.0;
/// What nobody hears: less than this in every 20 ms, and less than [`SILENT`] on the whole.
const SILENT_20MS: f64 = -45.0;
const SILENT: f64 = -60.0;
/// One measurement.
const STRETCH: Duration = Duration::from_millis(1_200);
/// Measurements of what should be heard.
const ATTEMPTS: usize = 4;

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
    pub name: &'a str,
    pub ear: Ear<'a>,
    pub tone: u32,
}

/// How loud a tone was: on the whole, and in the loudest 20 ms; dBFS.
#[derive(Clone, Copy, Debug)]
pub struct Loudness {
    pub median: f64,
    pub loudest: f64,
}

impl Loudness {
    fn of(levels: Vec<f64>) -> Self {
        let mut levels = levels;
        levels.sort_by(f64::total_cmp);
        let at = |index: usize| levels.get(index).copied().unwrap_or(f64::NEG_INFINITY);
        Self { median: at(levels.len() / 2), loudest: at(levels.len().saturating_sub(1)) }
    }

    /// Whether nobody would hear it.
    pub fn is_silent(self) -> bool {
        self.median < SILENT && self.loudest < SILENT_20MS
    }

    /// Whether it is heard as it was said.
    pub fn is_heard(self) -> bool {
        self.median > HEARD
    }
}

impl Ear<'_> {
    /// How loud these tones are, one after the other, in what comes from now on.
    pub async fn hears(self, tones: &[u32]) -> Vec<Loudness> {
        match self {
            Ear::Tab(tab) => {
                let heard = tab.hears_for(tab.mark().await, STRETCH).await;
                tones.iter().map(|tone| Loudness::of(heard.levels(*tone))).collect()
            }
            Ear::Phone(ear) => {
                let from = Instant::now();
                let enough = |ear: &phone::Ear| ear.since(from).len() as u128 >= STRETCH.as_millis() / 20;
                assert!(ear.wait_until(SOON, enough).await, "the telephone receives nothing: {:?}", ear.counters());
                let track = Track::new(&ear.since(from));
                tones.iter().map(|tone| Loudness::of(levels_20ms(&track.samples, *tone).levels)).collect()
            }
        }
    }

    /// Waits until a tone is heard.
    ///
    /// # Panics
    /// If it never is.
    pub async fn comes_to_hear(self, what: &str, tone: u32) {
        let end = Instant::now() + SOON;
        loop {
            let loudness = self.hears(&[tone]).await[0];
            if loudness.is_heard() {
                return;
            }
            assert!(Instant::now() < end, "{what}: {tone} Hz is not heard: {loudness:?}");
        }
    }
}

/// Each pair in `allowed` (listener, speaker) is heard, every other one is silent.
///
/// # Panics
/// With the pairs that are otherwise.
pub async fn hears(what: &str, people: &[Person<'_>], allowed: &[(&str, &str)]) {
    for attempt in 1..=ATTEMPTS {
        let (forbidden, missing) = wrong(people, allowed).await;
        // What was on its way at the change is over in a second stretch.
        assert!(forbidden.is_empty() || attempt == 1, "{what}: {FORBIDDEN}: {forbidden:#?}");
        if forbidden.is_empty() && missing.is_empty() {
            return;
        }
        assert!(attempt < ATTEMPTS, "{what}: not heard as it should be: {missing:#?}");
    }
}

async fn wrong(people: &[Person<'_>], allowed: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let tones: Vec<u32> = people.iter().map(|person| person.tone).collect();
    let (mut forbidden, mut missing) = (Vec::new(), Vec::new());
    for listener in people {
        for (speaker, loudness) in people.iter().zip(listener.ear.hears(&tones).await) {
            if listener.name == speaker.name {
                continue;
            }
            let told = format!("{} hears {}: {loudness:?}", listener.name, speaker.name);
            match allowed.contains(&(listener.name, speaker.name)) {
                true if !loudness.is_heard() => missing.push(told),
                false if !loudness.is_silent() => forbidden.push(told),
                _ => {}
            }
        }
    }
    (forbidden, missing)
}
