//! Input that counts while instructions do something else.

use std::time::Duration;

use call::dialect::{AtEnd, Gathered, InputEnd, Kind, Outcome, Purpose, Understood};
use call::interpreter::{Interpreter, Step};
use call::verb::{Enqueue, Gather, Label, Report, Settings, Understanding, Verb};

use super::{
    NOW, action, departure, document, fetch, join, label, labelled, later, prompt, say, started, steps, the_end,
};

/// Input of digits, ended by `#`, by three of them or by two seconds without one.
fn input() -> Gather {
    Gather {
        action: Some(action("input")),
        report: Report::Outcome,
        finish_on: Some('#'),
        max_digits: 3,
        first_digit: Duration::from_secs(3600),
        ..Gather::default()
    }
}

fn understanding() -> Box<Understanding> {
    Box::new(Understanding { min_confidence: 0.5, ..Understanding::default() })
}

fn speech() -> Gather {
    Gather { valid: String::new(), finish_on: None, speech: Some(understanding()), ..input() }
}

fn settings(input: Option<Gather>, again: bool) -> Settings {
    Settings { barge_in: Some(input.map(Box::new)), barge_in_again: again, ..Settings::default() }
}

fn config(input: Gather, again: bool) -> Verb {
    Verb::Configure(Box::new(settings(Some(input), again)))
}

/// A call whose input counts from the beginning; its first steps are done.
fn listening(input: Gather, again: bool, verbs: Vec<Verb>) -> Interpreter {
    let mut interpreter = started([vec![config(input, again)], verbs].concat());
    steps(&mut interpreter);
    interpreter
}

fn told(end: InputEnd, digits: Option<&str>, speech: Option<Understood>) -> Purpose {
    let gathered = Gathered { end, digits: digits.map(str::to_owned), speech, error: None };
    Purpose::Action(Box::new(Outcome::Gathered(gathered)), Some("mine".into()))
}

fn pressed(digits: &str) -> Purpose {
    told(InputEnd::Digits, Some(digits), None)
}

fn heard(text: &str, confidence: f64) -> Understood {
    Understood { language: "en-US".into(), alternatives: vec![(text.into(), confidence)] }
}

fn press(interpreter: &mut Interpreter, keys: &str, now: Duration) {
    keys.chars().for_each(|key| interpreter.digit(key, now));
}

#[test]
fn the_call_is_answered_for_it_and_the_instructions_go_on() {
    let mut interpreter = started(vec![config(input(), false), say("a")]);
    let settings = Box::new(settings(Some(input()), false));
    assert_eq!(steps(&mut interpreter), [Step::Answer, Step::Configure(settings), Step::Play(1, vec![prompt("a")])]);
}

#[test]
fn the_first_key_stops_what_is_heard_and_the_answer_replaces_the_rest() {
    let mut interpreter = listening(input(), false, vec![say("long"), Verb::SendDigits("9".into())]);
    interpreter.digit('1', NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying], "and nothing else is heard while he presses keys");
    press(&mut interpreter, "2#", NOW);
    assert_eq!(steps(&mut interpreter), [Step::Fetch(1, fetch("input"), pressed("12"))]);
    interpreter.answered(Some(vec![say("other").into()]), NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(2, vec![prompt("other")])]);
    // It counted once.
    press(&mut interpreter, "123", NOW);
    assert_eq!(steps(&mut interpreter), []);
}

#[test]
fn an_answer_without_instructions_leaves_the_rest() {
    let mut interpreter = listening(
        input(),
        false,
        vec![
            Verb::Play(Box::new(call::verb::Play { prompts: vec![prompt("long")], limit: None, action: None })),
            say("next"),
        ],
    );
    press(&mut interpreter, "123", NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(1, fetch("input"), pressed("123"))]);
    interpreter.answered(None, NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(2, vec![prompt("next")])]);
    let mut interpreter = listening(input(), false, vec![say("long"), say("next")]);
    press(&mut interpreter, "123", NOW);
    steps(&mut interpreter);
    interpreter.answered(None, NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(2, vec![prompt("next")])]);
}

#[test]
fn keys_end_after_a_pause_and_too_few_are_told_as_such() {
    let mut interpreter = listening(Gather { min_digits: 2, ..input() }, true, vec![say("a")]);
    interpreter.digit('1', NOW);
    assert_eq!(interpreter.next_timeout(), Some(later(2)));
    interpreter.handle_timeout(later(2));
    let short = told(InputEnd::Timeout, Some("1"), None);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(1, fetch("input"), short)]);
}

#[test]
fn sticky_input_counts_again_and_again_until_it_is_ended() {
    let mut interpreter = listening(input(), true, vec![say("a")]);
    for number in 1..4 {
        press(&mut interpreter, "42#", NOW);
        assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(number, fetch("input"), pressed("42"))]);
        interpreter.answered(Some(vec![say("more").into()]), NOW);
        steps(&mut interpreter);
    }
    interpreter.configure(&settings(None, false), None);
    press(&mut interpreter, "42#", NOW);
    assert_eq!(steps(&mut interpreter), []);
}

#[test]
fn keys_that_do_not_count_stop_nothing() {
    let mut interpreter = listening(Gather { valid: "12".into(), ..input() }, false, vec![say("a")]);
    press(&mut interpreter, "3*", NOW);
    assert_eq!((steps(&mut interpreter), interpreter.next_timeout()), (vec![], None));
    let mut spoken = listening(speech(), false, vec![say("a")]);
    press(&mut spoken, "12", NOW);
    assert_eq!(steps(&mut spoken), []);
}

#[test]
fn a_call_without_instructions_hears_input_as_well() {
    let mut interpreter = Interpreter::new();
    interpreter.set_at_end(AtEnd::Stay);
    document(&mut interpreter, vec![config(input(), false)], NOW);
    steps(&mut interpreter);
    press(&mut interpreter, "7#", NOW);
    assert_eq!(steps(&mut interpreter), [Step::Fetch(1, fetch("input"), pressed("7"))]);
    interpreter.answered(None, NOW);
    assert!(!interpreter.is_over());
}

#[test]
fn input_ends_no_stay_in_a_room_or_queue_and_the_program_is_asked_beside() {
    let queue = Enqueue { name: "q".into(), priority: 0, wait: None, action: None };
    for verb in [Verb::Join(Box::new(join(None))), Verb::Enqueue(Box::new(queue))] {
        let mut interpreter = listening(input(), true, vec![verb, say("after")]);
        for _ in 0..2 {
            press(&mut interpreter, "12#", NOW);
            assert_eq!(steps(&mut interpreter), [Step::AskBeside(fetch("input"), pressed("12"))]);
            assert!(interpreter.is_away());
        }
        interpreter.digit('3', NOW);
        interpreter.handle_timeout(later(2));
        assert_eq!(steps(&mut interpreter), [Step::AskBeside(fetch("input"), pressed("3"))]);
    }
}

#[test]
fn keys_pressed_in_a_room_are_the_beginning_of_those_pressed_after_it() {
    let mut interpreter = listening(input(), false, vec![Verb::Join(Box::new(join(None))), say("after")]);
    press(&mut interpreter, "12", NOW);
    interpreter.left_room(departure(), call::cause::HangupCause::RoomEnded, NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("after")])]);
    interpreter.digit('3', NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(1, fetch("input"), pressed("123"))]);
}

#[test]
fn while_a_request_is_under_way_its_answer_is_not_lost() {
    let mut interpreter = listening(input(), true, vec![say("a")]);
    press(&mut interpreter, "1#", NOW);
    steps(&mut interpreter);
    press(&mut interpreter, "2#", NOW);
    assert_eq!(steps(&mut interpreter), [Step::AskBeside(fetch("input"), pressed("2"))]);
    assert!(interpreter.awaits(1));
}

#[test]
fn an_instruction_that_gathers_has_all_input_to_itself() {
    let own = Gather { action: Some(action("own")), max_digits: 1, ..input() };
    let both = Gather { speech: Some(understanding()), ..input() };
    let mut interpreter = started(vec![config(both, true), Verb::Gather(own), say("next")]);
    let mut begun = steps(&mut interpreter);
    begun.retain(|step| matches!(step, Step::Understand(_) | Step::StopUnderstanding));
    assert_eq!(begun, [Step::Understand(understanding()), Step::StopUnderstanding]);
    interpreter.digit('5', NOW);
    assert_eq!(
        steps(&mut interpreter),
        [Step::Understand(understanding()), Step::Fetch(1, fetch("own"), pressed("5"))],
        "it is listened again, and the key was the instruction's"
    );
}

#[test]
fn speech_stops_what_is_heard_and_is_told() {
    let mut interpreter = started(vec![config(speech(), false), say("long")]);
    let settings = Box::new(settings(Some(speech()), false));
    assert_eq!(
        steps(&mut interpreter),
        [
            Step::Answer,
            Step::Understand(understanding()),
            Step::Configure(settings),
            Step::Play(1, vec![prompt("long")])
        ]
    );
    interpreter.understood(Ok(heard("agent", 0.9)), NOW);
    let speech = told(InputEnd::Speech, None, Some(heard("agent", 0.9)));
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(1, fetch("input"), speech)]);
    interpreter.understood(Ok(heard("again", 0.9)), NOW);
    assert_eq!(steps(&mut interpreter), [], "it counted once");
}

#[test]
fn what_is_not_understood_is_no_input_and_sticky_speech_is_listened_for_again() {
    let mut interpreter = listening(speech(), true, vec![say("long")]);
    for unclear in [heard("mumble", 0.2), Understood { language: String::new(), alternatives: vec![] }] {
        interpreter.understood(Ok(unclear), NOW);
        assert_eq!(steps(&mut interpreter), [Step::Understand(understanding())]);
    }
    interpreter.understood(Ok(heard("agent", 0.9)), NOW);
    let speech = told(InputEnd::Speech, None, Some(heard("agent", 0.9)));
    assert_eq!(
        steps(&mut interpreter),
        [Step::StopPlaying, Step::Fetch(1, fetch("input"), speech), Step::Understand(understanding())]
    );
}

#[test]
fn a_recogniser_that_fails_is_told_once_and_keys_still_count() {
    let both = Gather { speech: Some(understanding()), ..input() };
    let mut interpreter = Interpreter::new();
    let named = Label { verb: "config".into(), id: Some("c".into()) };
    interpreter.document(
        vec![
            call::verb::Instruction { verb: config(both, true), label: Some(named.clone()) },
            labelled(say("a"), "say"),
        ],
        NOW,
    );
    steps(&mut interpreter);
    interpreter.understood(Err("no recogniser".into()), NOW);
    let fault = Kind::Fault("no recogniser; speech does not interrupt any more".into(), Some(named));
    assert_eq!(steps(&mut interpreter), [Step::Happened(fault)]);
    interpreter.understood(Err("no recogniser".into()), NOW);
    assert_eq!(steps(&mut interpreter), []);
    press(&mut interpreter, "1#", NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(1, fetch("input"), pressed("1"))]);
}

#[test]
fn speech_that_is_not_understood_takes_no_key_away() {
    let both = Gather { speech: Some(understanding()), ..input() };
    let mut interpreter = listening(both, true, vec![say("a")]);
    interpreter.digit('1', NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying]);
    interpreter.understood(Ok(heard("mumble", 0.2)), NOW);
    assert_eq!(steps(&mut interpreter), [Step::Understand(understanding())]);
    interpreter.understood(Err("no recogniser".into()), NOW);
    let fault = Kind::Fault("no recogniser; speech does not interrupt any more".into(), None);
    assert_eq!(steps(&mut interpreter), [Step::Happened(fault)]);
    interpreter.digit('#', NOW);
    assert_eq!(steps(&mut interpreter), [Step::Fetch(1, fetch("input"), pressed("1"))]);
}

#[test]
fn other_instructions_do_not_end_it_even_while_keys_are_pressed() {
    let mut interpreter = listening(input(), false, vec![say("a")]);
    interpreter.digit('1', NOW);
    steps(&mut interpreter);
    document(&mut interpreter, vec![say("b")], NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(2, vec![prompt("b")])]);
    press(&mut interpreter, "456", NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Fetch(1, fetch("input"), pressed("456"))]);
}

#[test]
fn programs_are_told_that_what_was_interrupted_is_over() {
    let mut interpreter = Interpreter::new();
    let notify = Settings { notify: Some(true), ..settings(Some(input()), false) };
    interpreter.configure(&notify, None);
    interpreter.document(vec![labelled(say("a"), "say")], NOW);
    steps(&mut interpreter);
    press(&mut interpreter, "1#", NOW);
    steps(&mut interpreter);
    interpreter.answered(None, NOW);
    let over = Step::Happened(Kind::Instruction(false, label("say")));
    assert_eq!(steps(&mut interpreter), [over, the_end()]);
}
