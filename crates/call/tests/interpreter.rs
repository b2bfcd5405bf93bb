//! What a call does next: verbs run one at a time, in order, and every call comes to an end.

use std::time::Duration;

use call::cause::HangupCause;
use call::dialect::{Departure, Direction, MemberView, Purpose};
use call::interpreter::{Interpreter, Step};
use call::verb::{Fetch, Gather, Hangup, Join, MemberSettings, Method, Prompt, Refusal, RoomSettings, Times, Verb};
use conference::{Entry, MemberId};
use proptest::prelude::*;

const NOW: Duration = Duration::from_secs(10);

fn later(seconds: u64) -> Duration {
    NOW + Duration::from_secs(seconds)
}

fn fetch(path: &str) -> Fetch {
    Fetch { url: format!("http://app.example.com/{path}"), method: Method::Post }
}

fn say(text: &str) -> Verb {
    Verb::Prompt(prompt(text))
}

fn prompt(text: &str) -> Prompt {
    Prompt::Speech { text: text.into(), voice: "WOMAN".into(), language: "en-US".into(), times: Times::Count(1) }
}

fn gather(prompts: Vec<Prompt>) -> Gather {
    Gather {
        prompts,
        action: Some(fetch("digits")),
        follow: true,
        first_digit: Duration::from_secs(5),
        next_digit: Duration::from_secs(2),
        finish_on: Some('#'),
        max_digits: 4,
        valid: "1234567890*#".into(),
        invalid_sound: None,
        attempts: 1,
        beep: false,
    }
}

fn join(on_exit: Option<Fetch>) -> Join {
    Join {
        room: "support".into(),
        entry: Entry::default(),
        room_settings: RoomSettings::default(),
        member_settings: MemberSettings { on_exit, ..MemberSettings::default() },
    }
}

fn departure() -> Departure {
    let member = MemberView {
        number: 7,
        id: MemberId(1),
        role: None,
        tag: None,
        call_uuid: "c".into(),
        address: "1".into(),
        from: "1".into(),
        to: "2".into(),
        direction: Direction::Inbound,
        coaching: false,
        muted: false,
        held: false,
        joined_at: Some(1),
        left_at: Some(2),
        leave_cause: None,
        start_on_enter: true,
        end_on_exit: false,
        callbacks: None,
    };
    Departure { room: "r".into(), room_name: "support".into(), member }
}

fn steps(interpreter: &mut Interpreter) -> Vec<Step> {
    std::iter::from_fn(|| interpreter.poll_step()).collect()
}

fn started(verbs: Vec<Verb>) -> Interpreter {
    let mut interpreter = Interpreter::new();
    interpreter.document(verbs, NOW);
    interpreter
}

#[test]
fn no_instructions_end_the_call() {
    assert_eq!(steps(&mut started(vec![])), [Step::Hangup(HangupCause::EndOfInstructions, None)]);
}

#[test]
fn prompts_in_a_row_are_played_as_one_and_then_the_call_ends() {
    let mut interpreter = started(vec![say("a"), say("b")]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("a"), prompt("b")])]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(steps(&mut interpreter), [Step::Hangup(HangupCause::EndOfInstructions, None)]);
}

#[test]
fn the_end_of_an_earlier_prompt_is_old_news() {
    let mut interpreter = started(vec![say("a")]);
    steps(&mut interpreter);
    interpreter.document(vec![say("b")], NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Play(2, vec![prompt("b")])]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(steps(&mut interpreter), []);
}

#[test]
fn digits_are_gathered_until_the_finishing_key() {
    let mut interpreter = started(vec![Verb::Gather(gather(vec![prompt("enter")]))]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("enter")])]);
    interpreter.digit('4', NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying]);
    interpreter.digit('2', NOW);
    interpreter.digit('#', NOW);
    assert_eq!(steps(&mut interpreter), [Step::Fetch(1, fetch("digits"), Purpose::Digits("42".into()))]);
}

#[test]
fn digits_are_gathered_until_there_are_enough_or_nobody_presses_any_more() {
    let mut enough = started(vec![Verb::Gather(gather(vec![]))]);
    "1234".chars().for_each(|digit| enough.digit(digit, NOW));
    assert_eq!(steps(&mut enough), [Step::Answer, Step::Fetch(1, fetch("digits"), Purpose::Digits("1234".into()))]);

    let mut slow = started(vec![Verb::Gather(gather(vec![]))]);
    slow.digit('1', later(1));
    assert_eq!(slow.next_timeout(), Some(later(3)));
    slow.handle_timeout(later(3));
    assert_eq!(steps(&mut slow), [Step::Answer, Step::Fetch(1, fetch("digits"), Purpose::Digits("1".into()))]);
}

#[test]
fn without_any_digit_the_prompts_are_repeated_and_then_the_next_verb_runs() {
    let twice = Gather { attempts: 2, ..gather(vec![prompt("enter")]) };
    let mut interpreter = started(vec![Verb::Gather(twice), say("bye")]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("enter")])]);
    interpreter.prompts_ended(1, NOW);
    interpreter.handle_timeout(later(5));
    assert_eq!(steps(&mut interpreter), [Step::Play(2, vec![prompt("enter")])]);
    interpreter.prompts_ended(2, later(5));
    interpreter.handle_timeout(later(10));
    assert_eq!(steps(&mut interpreter), [Step::Play(3, vec![prompt("bye")])]);
}

#[test]
fn an_invalid_digit_is_answered_by_its_sound_and_another_try() {
    let wrong = "http://app.example.com/wrong.wav".to_owned();
    let choosy =
        Gather { valid: "1".into(), attempts: 2, invalid_sound: Some(wrong.clone()), ..gather(vec![prompt("1?")]) };
    let mut interpreter = started(vec![Verb::Gather(choosy)]);
    steps(&mut interpreter);
    interpreter.digit('9', NOW);
    let sound = Prompt::Audio { url: wrong, times: Times::Count(1) };
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Play(2, vec![sound.clone(), prompt("1?")])]);
    // The last attempt's too, before the next verb.
    interpreter.digit('9', NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Play(3, vec![sound])]);
    interpreter.prompts_ended(3, NOW);
    assert_eq!(steps(&mut interpreter), [Step::Hangup(HangupCause::EndOfInstructions, None)]);
}

/// How often a document that leads to itself is fetched before the call ends.
fn rounds(verbs: &[Verb], mut between: impl FnMut(&mut Interpreter)) -> usize {
    let mut interpreter = Interpreter::new();
    for round in 0..100 {
        interpreter.document(verbs.iter().cloned().chain([Verb::Redirect(fetch("again"))]).collect(), NOW);
        between(&mut interpreter);
        if steps(&mut interpreter).iter().any(|step| matches!(step, Step::Hangup(..))) {
            return round;
        }
    }
    100
}

#[test]
fn documents_that_lead_to_one_another_end_the_call_unless_something_happens_meanwhile() {
    assert_eq!(rounds(&[], |_| {}), 30);
    let play = |heard: bool| {
        move |interpreter: &mut Interpreter| {
            if heard {
                interpreter.heard();
            }
            (1..=100).for_each(|number| interpreter.prompts_ended(number, NOW));
        }
    };
    assert_eq!(rounds(&[say("a")], play(false)), 30, "a prompt that cannot be had");
    assert_eq!(rounds(&[say("a")], play(true)), 100, "a prompt that is heard");
    let keys = Verb::Gather(Gather { max_digits: 1, action: None, ..gather(vec![]) });
    assert_eq!(rounds(std::slice::from_ref(&keys), |interpreter| interpreter.digit('1', NOW)), 100, "a key");
    assert_eq!(rounds(&[keys], |interpreter| interpreter.handle_timeout(later(5))), 100, "a wait for keys");
    assert_eq!(rounds(&[], |interpreter| interpreter.transfer(fetch("moved"))), 100, "transfers");
}

#[test]
fn a_call_may_be_moved_from_room_to_room_as_often_as_programs_like() {
    let mut interpreter = started(vec![Verb::Join(Box::new(join(None)))]);
    for _ in 0..100 {
        steps(&mut interpreter);
        interpreter.transfer(fetch("other-room"));
        interpreter.document(vec![Verb::Join(Box::new(join(None)))], NOW);
    }
    assert!(matches!(steps(&mut interpreter)[..], [Step::Fetch(..), Step::Join(_)]));
}

#[test]
fn an_action_that_is_not_followed_is_told_and_the_next_verb_runs() {
    let told = Gather { follow: false, max_digits: 1, ..gather(vec![]) };
    let mut interpreter = started(vec![Verb::Gather(told), say("thanks")]);
    interpreter.digit('1', NOW);
    assert_eq!(
        steps(&mut interpreter),
        [Step::Answer, Step::Tell(fetch("digits"), Purpose::Digits("1".into())), Step::Play(1, vec![prompt("thanks")])]
    );
}

#[test]
fn a_call_that_leaves_a_room_goes_on_with_its_exit_action_or_its_next_verb_or_ends() {
    let mut acting = started(vec![Verb::Join(Box::new(join(Some(fetch("exit"))))), say("never")]);
    assert!(matches!(steps(&mut acting)[..], [Step::Join(_)]));
    acting.left_room(departure(), HangupCause::Kicked, NOW);
    assert_eq!(steps(&mut acting), [Step::Fetch(1, fetch("exit"), Purpose::LeftRoom(Box::new(departure())))]);

    let mut going_on = started(vec![Verb::Join(Box::new(join(None))), say("bye")]);
    steps(&mut going_on);
    going_on.left_room(departure(), HangupCause::Kicked, NOW);
    assert_eq!(steps(&mut going_on), [Step::Play(1, vec![prompt("bye")])]);
    going_on.prompts_ended(1, NOW);
    assert_eq!(steps(&mut going_on), [Step::Hangup(HangupCause::EndOfInstructions, None)]);

    let mut over = started(vec![Verb::Join(Box::new(join(None)))]);
    steps(&mut over);
    over.left_room(departure(), HangupCause::RoomEnded, NOW);
    assert_eq!(steps(&mut over), [Step::Hangup(HangupCause::RoomEnded, None)]);
}

#[test]
fn a_scheduled_hangup_lets_the_rest_run_until_its_time() {
    let scheduled = Verb::Hangup(Hangup { refusal: None, after: Some(Duration::from_secs(30)) });
    let mut interpreter = started(vec![scheduled, say("a")]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("a")])]);
    assert_eq!(interpreter.next_timeout(), Some(later(30)));
    interpreter.handle_timeout(later(30));
    assert_eq!(steps(&mut interpreter), [Step::Hangup(HangupCause::Scheduled, None)]);
}

#[test]
fn a_refusal_is_passed_on() {
    let busy = Verb::Hangup(Hangup { refusal: Some(Refusal::Busy), after: None });
    assert_eq!(steps(&mut started(vec![busy])), [Step::Hangup(HangupCause::Instructed, Some(Refusal::Busy))]);
}

#[derive(Clone, Debug)]
enum Input {
    Document(Vec<u8>),
    Ended(u64),
    Digit(char),
    Left,
    JoinFailed,
    Time(u64),
}

fn verb(kind: u8) -> Verb {
    match kind % 6 {
        0 => say("x"),
        1 => Verb::Gather(gather(vec![prompt("g")])),
        2 => Verb::Join(Box::new(join(None))),
        3 => Verb::Redirect(fetch("next")),
        4 => Verb::Hangup(Hangup { refusal: None, after: Some(Duration::from_secs(60)) }),
        _ => Verb::Gather(Gather { attempts: 3, ..gather(vec![]) }),
    }
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..5).prop_map(Input::Document),
        (1u64..6).prop_map(Input::Ended),
        prop::sample::select("0123456789*#ABCD".chars().collect::<Vec<_>>()).prop_map(Input::Digit),
        Just(Input::Left),
        Just(Input::JoinFailed),
        (0u64..20).prop_map(Input::Time),
    ]
}

proptest! {
    /// Whatever comes in whatever order: at most one hang-up, nothing after it, and no busy loop.
    #[test]
    fn whatever_happens_a_call_ends_once(inputs in prop::collection::vec(input(), 0..60)) {
        let mut interpreter = Interpreter::new();
        let mut now = NOW;
        let mut over = false;
        for input in inputs {
            match input {
                Input::Document(kinds) => interpreter.document(kinds.into_iter().map(verb).collect(), now),
                Input::Ended(number) => interpreter.prompts_ended(number, now),
                Input::Digit(digit) => interpreter.digit(digit, now),
                Input::Left => interpreter.left_room(departure(), HangupCause::RoomEnded, now),
                Input::JoinFailed => interpreter.join_failed(now),
                Input::Time(seconds) => {
                    now += Duration::from_secs(seconds);
                    interpreter.handle_timeout(now);
                }
            }
            let done = steps(&mut interpreter);
            prop_assert!(done.len() < 20);
            for step in done {
                prop_assert!(!over, "{step:?} after the end");
                over = matches!(step, Step::Hangup(..));
            }
            if over {
                prop_assert_eq!(interpreter.next_timeout(), None);
            }
        }
    }
}
