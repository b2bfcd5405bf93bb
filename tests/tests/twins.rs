//! Promise 1, by twins: a history is played twice in G.711 with real concealment and speech-like noise, once with what is
//! forbidden replaced by the codec's silence word. Whoever may not hear it gets the same bytes at the same times.
//!
//! `ASIDE_TWINS=n` plays n random histories instead of 2 000; `ASIDE_SEED=s` plays one.

#![allow(clippy::print_stdout, reason = "a suite tells what it has looked at")]

use system_tests::model::history::{Act, Entrance, History, Part, Posture, Reach, Way};
use system_tests::model::random::Random;
use system_tests::model::stage::{Played, Score, play};
use system_tests::model::suite::{asked, shorten};
use system_tests::model::twin::{Compared, forbidden, never, never_heard, not_then, same_for, silenced};

const CUSTOMER: usize = 0;
const AGENT: usize = 1;
const SUPERVISOR: usize = 2;
const OTHER: usize = 3;

fn enter(gap: u64, phone: usize, role: &'static str, coach_mode: bool) -> (u64, Act) {
    (gap, Act::Enter(phone, 0, Entrance::plivo(role, coach_mode)))
}

/// Customer, agent and a coaching supervisor, 100 ms apart.
fn coached(more: Vec<(u64, Act)>) -> Vec<(u64, Act)> {
    let mut acts = vec![
        enter(40, CUSTOMER, "customer", false),
        enter(100, AGENT, "agent", false),
        enter(100, SUPERVISOR, "supervisor", true),
    ];
    acts.extend(more);
    acts
}

fn noise(history: &History) -> Played {
    play(history, &Score::NOISE).unwrap_or_else(|breach| panic!("{breach:?} in {history:?}"))
}

/// The same acts over perfect and bad lines, with several seeds.
fn networks(phones: usize, acts: &[(u64, Act)]) -> Vec<History> {
    let mut histories = Vec::new();
    for seed in 1..=4 {
        let plain = History::written(seed, phones, acts.to_vec());
        histories.push(plain.clone().over(25, 0));
        histories.push(plain.clone().over(40, 8));
        histories.push(plain);
    }
    histories
}

/// Over all networks: `listener` never may hear `source`, and gets no byte that depends on it.
fn stays_unheard(phones: usize, acts: &[(u64, Act)], listener: usize, source: usize) {
    let mut all = Compared::default();
    for history in networks(phones, acts) {
        let one = noise(&history);
        assert!(never(&one, source).contains(&listener), "the history lets phone {listener} hear phone {source}");
        all.add(&never_heard(&history, &one, source).unwrap_or_else(|breach| panic!("{} in {history:?}", breach.what)));
    }
    assert!(all.noticed > 0, "nobody noticed that the source was silenced: the twins prove nothing");
    println!("{all:?}");
}

/// Over all networks: what arrives from `source` while it is not for `listener` changes no byte that he gets, ever.
fn is_unheard_meanwhile(phones: usize, acts: &[(u64, Act)], listener: usize, source: usize, initial: u64) {
    let mut all = Compared::default();
    for mut history in networks(phones, acts) {
        // Time scaling follows the sound; without it the timeline of what may be heard later is the same in both.
        (history.buffers.scaling, history.buffers.initial) = (false, initial);
        for waveform in [true, false] {
            history.buffers.waveform = waveform;
            let one = noise(&history);
            let compared = not_then(&history, &one, listener, source);
            all.add(&compared.unwrap_or_else(|breach| panic!("{} in {history:?}", breach.what)));
            assert!(
                silenced(&history, &one, source, &[listener]).is_err(),
                "phone {listener} never hears phone {source}: the case is another one"
            );
        }
    }
    assert!(all.silenced > 100, "too little was silenced: {all:?}");
    println!("{all:?}");
}

#[test]
fn a_supervisor_who_enters_coaching_is_unheard_by_the_customer_from_the_first_sample() {
    stays_unheard(3, &coached(vec![]), CUSTOMER, SUPERVISOR);
}

#[test]
fn a_customer_and_an_agent_who_join_during_a_whisper() {
    let acts = vec![
        enter(40, AGENT, "agent", false),
        enter(100, SUPERVISOR, "supervisor", true),
        enter(507, CUSTOMER, "customer", false),
        enter(300, OTHER, "agent", false),
    ];
    stays_unheard(4, &acts, CUSTOMER, SUPERVISOR);
}

#[test]
fn the_agent_leaves_and_comes_back_during_a_whisper() {
    let acts = coached(vec![(400, Act::Leave(AGENT)), (333, Act::Enter(AGENT, 0, Entrance::plivo("agent", false)))]);
    stays_unheard(3, &acts, CUSTOMER, SUPERVISOR);
}

#[test]
fn holds_during_a_whisper() {
    let acts = coached(vec![
        (300, Act::Hold(AGENT, true)),
        (130, Act::Hold(CUSTOMER, true)),
        (90, Act::Private(CUSTOMER, true)),
        (90, Act::Hold(AGENT, false)),
        (205, Act::Private(CUSTOMER, false)),
        (0, Act::Hold(CUSTOMER, false)),
        (150, Act::Hold(SUPERVISOR, true)),
        (150, Act::Hold(SUPERVISOR, false)),
    ]);
    stays_unheard(3, &acts, CUSTOMER, SUPERVISOR);
}

#[test]
fn two_supervisors_whisper_at_once() {
    let acts = coached(vec![enter(200, OTHER, "supervisor", true), (400, Act::Mode(OTHER, Posture::Barge))]);
    stays_unheard(4, &acts, CUSTOMER, SUPERVISOR);
    let acts = coached(vec![enter(200, OTHER, "supervisor", true), (400, Act::Mode(SUPERVISOR, Posture::Barge))]);
    stays_unheard(4, &acts, CUSTOMER, OTHER);
}

#[test]
fn a_jambonz_coach_speaks_only_to_the_tag() {
    let tagged = |phone, tag, to| (100, Act::Enter(phone, 0, Entrance::jambonz(tag, to)));
    let acts = vec![
        tagged(CUSTOMER, Some("customer"), None),
        tagged(AGENT, Some("agent"), None),
        tagged(SUPERVISOR, Some("supervisor"), Some("agent")),
        (200, Act::Tag(AGENT, None)),
        (200, Act::Tag(AGENT, Some("blue"))),
        (100, Act::Coach(SUPERVISOR, true, Some(Reach::Only(vec![Part::Tag("blue")])))),
        (300, Act::Coach(SUPERVISOR, true, Some(Reach::Only(vec![Part::Tag("nobody has it")])))),
    ];
    stays_unheard(3, &acts, CUSTOMER, SUPERVISOR);
}

#[test]
fn a_call_handed_over_between_shards_while_a_whisper_is_on() {
    for way in [Way::LeaveFirst, Way::JoinFirst, Way::JoinFirstThenLeave] {
        let to = |phone, role, coach| Act::Move(phone, way, Entrance::plivo(role, coach));
        let acts = coached(vec![
            (400, to(AGENT, "agent", false)),
            (200, to(SUPERVISOR, "supervisor", true)),
            (200, to(CUSTOMER, "customer", false)),
            (200, to(SUPERVISOR, "supervisor", true)),
            (3, to(CUSTOMER, "customer", false)),
            (4, to(AGENT, "agent", false)),
            (200, Act::Restart(SUPERVISOR)),
        ]);
        stays_unheard(3, &acts, CUSTOMER, SUPERVISOR);
    }
}

#[test]
fn a_whisper_of_80_ms_that_is_buffered_when_coaching_ends_never_reaches_the_customer() {
    let acts = coached(vec![(700, Act::Coach(SUPERVISOR, false, None))]);
    is_unheard_meanwhile(3, &acts, CUSTOMER, SUPERVISOR, 80);
    // A network that holds the whisper up and lets it go just before the command.
    let acts = coached(vec![(600, Act::Freeze(SUPERVISOR, 95)), (97, Act::Coach(SUPERVISOR, false, None))]);
    is_unheard_meanwhile(3, &acts, CUSTOMER, SUPERVISOR, 80);
}

#[test]
fn two_hundred_rapid_flips() {
    let mut random = Random::new(7, 7);
    let mut acts = coached(vec![(300, Act::Coach(SUPERVISOR, true, None))]);
    for flip in 0..200 {
        acts.push((random.between(0, 45), Act::Coach(SUPERVISOR, flip % 2 == 1, None)));
    }
    is_unheard_meanwhile(3, &acts, CUSTOMER, SUPERVISOR, 20);
}

#[test]
fn takeover_and_back_leaves_no_path_between_agent_and_customer_meanwhile() {
    let acts = coached(vec![
        (500, Act::Mode(SUPERVISOR, Posture::Takeover(None))),
        (500, Act::Mode(SUPERVISOR, Posture::Stop)),
        (300, Act::Mode(SUPERVISOR, Posture::Takeover(Some(vec![AGENT])))),
        (300, Act::Leave(SUPERVISOR)),
    ]);
    for (listener, source) in [(AGENT, CUSTOMER), (CUSTOMER, AGENT), (CUSTOMER, SUPERVISOR)] {
        is_unheard_meanwhile(3, &acts, listener, source, 20);
    }
}

#[test]
fn a_monitor_who_joins_and_leaves_changes_no_byte_for_the_others() {
    let acts = |with: bool| {
        let mut acts = vec![enter(40, CUSTOMER, "customer", false), enter(100, AGENT, "agent", false)];
        let monitor = Entrance { muted: true, ..Entrance::plivo("supervisor", true) };
        if with {
            acts.extend([(300, Act::Enter(SUPERVISOR, 0, monitor)), (700, Act::Leave(SUPERVISOR))]);
        } else {
            acts.push((1_000, Act::Start(0)));
        }
        acts
    };
    for (with, without) in networks(3, &acts(true)).iter().zip(&networks(3, &acts(false))) {
        let same = same_for(&noise(with), &noise(without), &[CUSTOMER, AGENT])
            .unwrap_or_else(|b| panic!("{} in {with:?}", b.what));
        assert!(same > 100);
    }
}

#[test]
fn one_leaked_packet_trips_the_twins() {
    // For 21 ms the customer may hear the supervisor: as long as one packet takes.
    let acts = coached(vec![(600, Act::Coach(SUPERVISOR, false, None)), (21, Act::Coach(SUPERVISOR, true, None))]);
    for seed in 1..=4 {
        let history = History::written(seed, 3, acts.clone());
        let one = noise(&history);
        let two =
            play(&history, &Score { hush: &|phone, _| phone == SUPERVISOR, ..Score::NOISE }).expect("the same history");
        let leaked = one.departed[CUSTOMER].iter().zip(&two.departed[CUSTOMER]).filter(|(a, b)| a != b).count();
        assert!(leaked <= 2, "{leaked} datagrams");
        let pause = leaked == 0;
        assert_eq!(silenced(&history, &one, SUPERVISOR, &[CUSTOMER]).is_ok(), pause, "seed {seed}");
        assert!(!pause || seed > 1, "the noise of seed 1 does not pause there");
    }
}

#[test]
fn whatever_happens_forbidden_sound_changes_no_byte() {
    let mut all = Compared::default();
    let examine = |history: &History| -> Result<Compared, system_tests::model::stage::Breach> {
        let mut all = Compared::default();
        let one = play(history, &Score::NOISE)?;
        let mut random = Random::new(history.seed, 9_999);
        let source = random.below(history.phones());
        if never(&one, source).iter().any(|l| *l != source) {
            all.add(&never_heard(history, &one, source)?);
        }
        if !history.buffers.scaling {
            let source = random.below(history.phones());
            let listener = random.below(history.phones());
            if forbidden(&one, listener, source).len() > 1 {
                all.add(&not_then(history, &one, listener, source)?);
            }
        }
        Ok(all)
    };
    let made = |seed| {
        let mut history = History::random(seed);
        history.buffers.waveform = seed % 4 != 0;
        history.buffers.scaling = seed % 2 == 0;
        history
    };
    let seeds = asked("ASIDE_SEED").map_or(1..=asked("ASIDE_TWINS").unwrap_or(2_000), |s| s..=s);
    for seed in seeds {
        let history = made(seed);
        match examine(&history) {
            Ok(compared) => all.add(&compared),
            Err(_) => panic!("{}", shorten(&history, |h| examine(h).err())),
        }
    }
    println!("{all:?}");
    assert!(asked("ASIDE_SEED").is_some() || all.pairs > 100 && all.noticed > 20, "too little was compared: {all:?}");
}
