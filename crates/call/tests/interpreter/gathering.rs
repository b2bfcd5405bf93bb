//! Input: digits, and speech where somebody understands it.

use std::time::Duration;

use call::dialect::{Gathered, InputEnd, Outcome, Purpose, Understood};
use call::interpreter::Step;
use call::verb::{Gather, Prompt, Report, Times, Understanding, Verb};

use super::{NOW, action, fetch, gather, later, prompt, say, started, steps, the_end};

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
    assert_eq!(steps(&mut interpreter), [the_end()]);
}

#[test]
fn an_action_that_is_not_followed_is_told_and_the_next_verb_runs() {
    let told = Gather { report: Report::DigitsOnly, max_digits: 1, ..gather(vec![]) };
    let mut interpreter = started(vec![Verb::Gather(told), say("thanks")]);
    interpreter.digit('1', NOW);
    assert_eq!(
        steps(&mut interpreter),
        [Step::Answer, Step::Tell(fetch("digits"), Purpose::Digits("1".into())), Step::Play(1, vec![prompt("thanks")])]
    );
}

/// Told the outcome, whatever it is.
fn outcome(prompts: Vec<Prompt>) -> Gather {
    Gather { report: Report::Outcome, action: Some(action("input")), ..gather(prompts) }
}

fn told(end: InputEnd, digits: Option<&str>) -> Step {
    told_of(Gathered { end, digits: digits.map(Into::into), speech: None, error: None })
}

fn told_of(gathered: Gathered) -> Step {
    Step::Fetch(1, fetch("input"), Purpose::Action(Box::new(Outcome::Gathered(gathered)), Some("mine".into())))
}

#[test]
fn a_program_that_wants_the_outcome_is_told_digits_and_also_that_none_came() {
    let mut enough = started(vec![Verb::Gather(outcome(vec![])), say("rest")]);
    "1234".chars().for_each(|digit| enough.digit(digit, NOW));
    assert_eq!(steps(&mut enough), [Step::Answer, told(InputEnd::Digits, Some("1234"))]);

    let mut nobody = started(vec![Verb::Gather(outcome(vec![prompt("enter")])), say("rest")]);
    nobody.prompts_ended(1, NOW);
    assert_eq!(nobody.next_timeout(), Some(later(5)));
    nobody.handle_timeout(later(5));
    assert_eq!(steps(&mut nobody), [Step::Play(1, vec![prompt("enter")]), told(InputEnd::Timeout, None)]);
    nobody.answered(None, later(5));
    assert_eq!(steps(&mut nobody), [Step::Play(2, vec![prompt("rest")])]);
}

#[test]
fn too_few_digits_are_no_input_unless_the_finishing_key_ends_them() {
    let three = || Gather { min_digits: 3, ..outcome(vec![]) };
    let mut slow = started(vec![Verb::Gather(three())]);
    "12".chars().for_each(|digit| slow.digit(digit, NOW));
    slow.handle_timeout(later(2));
    assert_eq!(steps(&mut slow), [Step::Answer, told(InputEnd::Timeout, Some("12"))]);

    let mut enough = started(vec![Verb::Gather(three())]);
    "123".chars().for_each(|digit| enough.digit(digit, NOW));
    enough.handle_timeout(later(2));
    assert_eq!(steps(&mut enough), [Step::Answer, told(InputEnd::Digits, Some("123"))]);

    let mut finished = started(vec![Verb::Gather(three())]);
    "12#".chars().for_each(|digit| finished.digit(digit, NOW));
    assert_eq!(steps(&mut finished), [Step::Answer, told(InputEnd::Digits, Some("12"))]);
}

#[test]
fn the_finishing_key_alone_is_an_empty_input() {
    let mut alone = started(vec![Verb::Gather(outcome(vec![]))]);
    alone.digit('#', NOW);
    assert_eq!(steps(&mut alone), [Step::Answer, told(InputEnd::Digits, Some(""))]);
    let mut followed = started(vec![Verb::Gather(gather(vec![]))]);
    followed.digit('#', NOW);
    assert_eq!(steps(&mut followed), [Step::Answer, Step::Fetch(1, fetch("digits"), Purpose::Digits(String::new()))]);
}

#[test]
fn a_key_that_does_not_count_changes_nothing_where_the_outcome_is_told() {
    let spoken = Gather { valid: String::new(), finish_on: None, ..outcome(vec![prompt("say it")]) };
    let mut interpreter = started(vec![Verb::Gather(spoken)]);
    steps(&mut interpreter);
    interpreter.digit('1', NOW);
    assert_eq!(steps(&mut interpreter), [], "neither the prompt nor the wait ends");
    interpreter.prompts_ended(1, NOW);
    interpreter.digit('1', later(1));
    assert_eq!((steps(&mut interpreter), interpreter.next_timeout()), (vec![], Some(later(5))));
}

#[test]
fn prompts_that_no_key_may_interrupt_sound_to_their_end_and_the_keys_count() {
    let mut interpreter = started(vec![Verb::Gather(Gather { interrupts: false, ..outcome(vec![prompt("enter")]) })]);
    steps(&mut interpreter);
    interpreter.digit('1', NOW);
    assert_eq!((steps(&mut interpreter), interpreter.next_timeout()), (vec![], None), "it sounds, and no time runs");
    interpreter.prompts_ended(1, later(3));
    assert_eq!(interpreter.next_timeout(), Some(later(5)), "the wait for a second digit, after the prompt");
    interpreter.handle_timeout(later(5));
    assert_eq!(steps(&mut interpreter), [told(InputEnd::Digits, Some("1"))]);
}

fn understanding() -> Box<Understanding> {
    Box::new(Understanding { min_confidence: 0.5, silence: Duration::from_secs(1), ..Understanding::default() })
}

fn said(text: &str, confidence: f64) -> Understood {
    Understood { language: "en-US".into(), alternatives: vec![(text.into(), confidence)] }
}

#[test]
fn speech_is_input_when_it_was_understood_well_enough() {
    for (heard, end) in [(said("yes", 0.9), InputEnd::Speech), (said("yes", 0.4), InputEnd::Unclear)] {
        let listening = Gather { speech: Some(understanding()), ..outcome(vec![prompt("well?")]) };
        let mut interpreter = started(vec![Verb::Gather(listening)]);
        assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("well?")]), Step::Understand(understanding())]);
        interpreter.understood(Ok(heard.clone()), NOW);
        let gathered = Gathered { end, digits: None, speech: Some(heard), error: None };
        assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::StopUnderstanding, told_of(gathered)]);
    }
}

#[test]
fn speech_that_nobody_understands_is_told_with_the_reason() {
    let listening = Gather { speech: Some(understanding()), ..outcome(vec![]) };
    let mut interpreter = started(vec![Verb::Gather(listening), say("rest")]);
    steps(&mut interpreter);
    interpreter.understood(Err("no recogniser".into()), NOW);
    let gathered = Gathered { end: InputEnd::Error, digits: None, speech: None, error: Some("no recogniser".into()) };
    assert_eq!(steps(&mut interpreter), [Step::StopUnderstanding, told_of(gathered)]);
    // A second word of the recogniser is old news.
    interpreter.understood(Err("again".into()), NOW);
    assert_eq!(steps(&mut interpreter), []);
    assert!(interpreter.failed(NOW));
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("rest")])]);
}

#[test]
fn digits_end_the_listening_and_words_that_nobody_asked_for_are_nothing() {
    let listening = Gather { speech: Some(understanding()), max_digits: 1, ..outcome(vec![]) };
    let mut interpreter = started(vec![Verb::Gather(listening)]);
    steps(&mut interpreter);
    interpreter.digit('1', NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopUnderstanding, told(InputEnd::Digits, Some("1"))]);

    let mut deaf = started(vec![Verb::Gather(outcome(vec![]))]);
    steps(&mut deaf);
    deaf.understood(Ok(said("yes", 1.0)), NOW);
    assert_eq!((steps(&mut deaf), deaf.next_timeout()), (vec![], Some(later(5))));
}

#[test]
fn without_anybody_to_tell_the_instructions_go_on() {
    let silent = Gather { action: None, ..outcome(vec![]) };
    let mut interpreter = started(vec![Verb::Gather(silent)]);
    interpreter.handle_timeout(later(5));
    assert_eq!(steps(&mut interpreter), [Step::Answer, the_end()]);
}
