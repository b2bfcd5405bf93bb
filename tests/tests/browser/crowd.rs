//! Who hears whom where some sit at browsers and others have telephones: each is judged by what came to his own end.

use std::time::{Duration, Instant};

use system_tests::SOON;
pub use system_tests::browser::{Ear, Person};
use system_tests::browser::{Scene, now};

/// Four voices, Hz: the first three do not make one another up in G.711, and a frame of 20 ms holds whole periods of each. The last is for a
/// telephone, for it hears the others.
pub const TONES: [u32; 4] = [1_200, 2_700, 3_100, 500];
/// One measurement.
pub const STRETCH: Duration = Duration::from_millis(1_200);

/// What is on its way from a microphone to a listener, ms: no tick tells when a page has muted or held its own call.
pub const ON_THE_WAY: f64 = 250.0;

/// From now on each pair in `allowed` (listener, speaker) is heard, every other one is silent in every 20 ms.
///
/// # Panics
/// With the pairs that are otherwise.
pub async fn hears(what: &str, people: &[Person<'_>], allowed: &[(&str, &str)]) {
    for (listener, speaker) in allowed {
        let find = |name: &str| people.iter().find(|person| person.name == name);
        if let (Some(listener), Some(speaker)) = (find(listener), find(speaker)) {
            comes_to_hear(what, listener.ear, speaker.tone).await;
        }
    }
    let mut scene = Scene::of(people);
    scene.begins(what, now(), allowed);
    scene.lasts(STRETCH).await;
    scene.is_as_it_should_be().await;
}

/// Waits until a tone is heard: in a browser, in what it plays.
///
/// # Panics
/// If it never is.
pub async fn comes_to_hear(what: &str, ear: Ear<'_>, tone: u32) {
    match ear {
        Ear::Tab(tab) => {
            let end = Instant::now() + SOON;
            loop {
                let level = tab.hears_for(tab.mark().await, Duration::from_millis(300)).await.median(tone);
                if level > -26.0 {
                    return;
                }
                assert!(Instant::now() < end, "{what}: {tone} Hz is not heard: {level:.1} dBFS");
            }
        }
        Ear::Phone(ear) => {
            let heard = ear.wait_heard(tone, -26.0, Instant::now(), SOON).await;
            assert!(heard.is_some(), "{what}: {tone} Hz is not heard at the telephone: {:?}", ear.counters());
        }
    }
}
