//! What a call does next: verbs run one at a time, in order, and every call comes to an end.

#[path = "interpreter/actions.rs"]
mod actions;
#[path = "interpreter/barge_in.rs"]
mod barge_in;
#[path = "interpreter/gathering.rs"]
mod gathering;
#[path = "interpreter/programs.rs"]
mod programs;
#[path = "interpreter/whatever.rs"]
mod whatever;

use std::time::Duration;

use call::cause::HangupCause;
use call::dialect::{Departure, Direction, MemberView, Purpose};
use call::interpreter::{Interpreter, Step};
use call::verb::{
    Action, Fetch, Gather, Hangup, Instruction, Join, JoinHooks, Label, MemberSettings, Method, Prompt, Refusal,
    Report, RoomSettings, Times, Verb,
};
use conference::{Entry, MemberId};

const NOW: Duration = Duration::from_secs(10);

fn later(seconds: u64) -> Duration {
    NOW + Duration::from_secs(seconds)
}

fn fetch(path: &str) -> Fetch {
    Fetch::new(format!("http://app.example.com/{path}"), Method::Post)
}

/// An action that its program calls "mine".
fn action(path: &str) -> Action {
    Action { to: fetch(path), id: Some("mine".into()) }
}

fn say(text: &str) -> Verb {
    Verb::Prompt(prompt(text))
}

fn prompt(text: &str) -> Prompt {
    Prompt::Speech { text: text.into(), voice: "WOMAN".into(), language: "en-US".into(), times: Times::Count(1) }
}

fn gather(prompts: Vec<Prompt>) -> Gather {
    Gather { prompts, action: Some(fetch("digits").into()), finish_on: Some('#'), max_digits: 4, ..Gather::default() }
}

fn join(on_exit: Option<Fetch>) -> Join {
    Join {
        room: "support".into(),
        entry: Entry::default(),
        room_settings: RoomSettings::default(),
        member_settings: MemberSettings { on_exit, ..MemberSettings::default() },
        hooks: JoinHooks::default(),
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
        admitted: true,
        callbacks: None,
    };
    Departure { room: "r".into(), room_name: "support".into(), member }
}

fn instructions(verbs: Vec<Verb>) -> Vec<Instruction> {
    verbs.into_iter().map(Into::into).collect()
}

/// An instruction that its program is told of.
fn labelled(verb: Verb, word: &str) -> Instruction {
    Instruction { verb, label: Some(label(word)) }
}

fn label(word: &str) -> Label {
    Label { verb: word.into(), id: None }
}

fn document(interpreter: &mut Interpreter, verbs: Vec<Verb>, now: Duration) {
    interpreter.document(instructions(verbs), now);
}

/// The call ends because there is nothing left to do.
fn the_end() -> Step {
    Step::Hangup(HangupCause::EndOfInstructions, None, vec![])
}

fn steps(interpreter: &mut Interpreter) -> Vec<Step> {
    std::iter::from_fn(|| interpreter.poll_step()).collect()
}

fn started(verbs: Vec<Verb>) -> Interpreter {
    let mut interpreter = Interpreter::new();
    document(&mut interpreter, verbs, NOW);
    interpreter
}

#[test]
fn no_instructions_end_the_call() {
    assert_eq!(steps(&mut started(vec![])), [the_end()]);
}

#[test]
fn prompts_in_a_row_are_played_as_one_and_then_the_call_ends() {
    let mut interpreter = started(vec![say("a"), say("b")]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("a"), prompt("b")])]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(steps(&mut interpreter), [the_end()]);
}

#[test]
fn the_end_of_an_earlier_prompt_is_old_news() {
    let mut interpreter = started(vec![say("a")]);
    steps(&mut interpreter);
    document(&mut interpreter, vec![say("b")], NOW);
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, Step::Play(2, vec![prompt("b")])]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(steps(&mut interpreter), []);
}

/// How often a document that leads to itself is fetched before the call ends; `between` says how long each round takes.
fn rounds(verbs: &[Verb], between: impl FnMut(&mut Interpreter, Duration) -> Duration) -> usize {
    let verbs: Vec<Verb> = verbs.iter().cloned().chain([Verb::Redirect(fetch("again"))]).collect();
    rounds_of(&verbs, between)
}

fn rounds_of(verbs: &[Verb], mut between: impl FnMut(&mut Interpreter, Duration) -> Duration) -> usize {
    let mut interpreter = Interpreter::new();
    let mut now = NOW;
    for round in 0..100 {
        document(&mut interpreter, verbs.to_vec(), now);
        now = between(&mut interpreter, now);
        if steps(&mut interpreter).iter().any(|step| matches!(step, Step::Hangup(..))) {
            return round;
        }
    }
    100
}

/// Whatever sounds takes this long.
fn sounding(heard: bool, length: Duration) -> impl FnMut(&mut Interpreter, Duration) -> Duration {
    move |interpreter, now| {
        if heard {
            interpreter.heard(now);
        }
        (1..=100).for_each(|number| interpreter.prompts_ended(number, now + length));
        now + length
    }
}

#[test]
fn documents_that_lead_to_one_another_end_the_call_unless_something_happens_meanwhile() {
    let (at_once, second) = (Duration::ZERO, Duration::from_secs(1));
    assert_eq!(rounds(&[], |_, now| now), 30);
    assert_eq!(rounds(&[say("a")], sounding(false, at_once)), 30, "a prompt that cannot be had");
    assert_eq!(rounds(&[say("a")], sounding(true, second)), 100, "a prompt that is heard");
    let keys = Verb::Gather(Gather { max_digits: 1, action: None, ..gather(vec![]) });
    let pressed = |interpreter: &mut Interpreter, now| {
        interpreter.digit('1', now);
        now
    };
    assert_eq!(rounds(std::slice::from_ref(&keys), pressed), 100, "a key");
    let waited = |interpreter: &mut Interpreter, now| {
        let now = now + Duration::from_secs(5);
        interpreter.handle_timeout(now);
        now
    };
    assert_eq!(rounds(&[keys], waited), 100, "a wait for keys");
    let moved = |interpreter: &mut Interpreter, now| {
        interpreter.transfer(fetch("moved"), now);
        now
    };
    assert_eq!(rounds(&[], moved), 100, "transfers");
}

#[test]
fn a_pause_of_no_length_and_a_sound_too_short_to_hear_are_rounds_of_a_loop_too() {
    let pause = Verb::Prompt(Prompt::Silence(Duration::ZERO));
    assert_eq!(rounds(&[pause], sounding(true, Duration::ZERO)), 30);
    assert_eq!(rounds(&[say("a")], sounding(true, Duration::from_millis(10))), 30);
    assert_eq!(rounds(&[], |_, now| now + Duration::from_millis(30)), 30, "however fast the program answers");
}

#[test]
fn a_room_that_refuses_and_whose_action_leads_back_to_it_is_a_loop() {
    let hooks = JoinHooks { action: Some(action("again")), ..JoinHooks::default() };
    let full = Verb::Join(Box::new(Join { hooks, ..join(None) }));
    let refused = |interpreter: &mut Interpreter, now| {
        interpreter.join_failed(now);
        now
    };
    assert_eq!(rounds_of(std::slice::from_ref(&full), refused), 30);
    let stayed = |interpreter: &mut Interpreter, now| {
        let now = now + Duration::from_secs(60);
        interpreter.left_room(departure(), HangupCause::Kicked, now);
        now
    };
    assert_eq!(rounds_of(&[full], stayed), 100, "one that is stayed in is none");
}

#[test]
fn a_wait_for_keys_of_next_to_no_length_whose_action_leads_back_to_it_is_a_loop() {
    let keys = Verb::Gather(Gather {
        report: Report::Outcome,
        first_digit: Duration::from_millis(1),
        action: Some(action("again")),
        ..gather(vec![])
    });
    let over = |interpreter: &mut Interpreter, now| {
        let now = now + Duration::from_millis(1);
        interpreter.handle_timeout(now);
        now
    };
    assert_eq!(rounds_of(&[keys], over), 30);
}

#[test]
fn a_call_may_be_moved_from_room_to_room_as_often_as_programs_like() {
    let mut interpreter = started(vec![Verb::Join(Box::new(join(None)))]);
    for _ in 0..100 {
        steps(&mut interpreter);
        interpreter.transfer(fetch("other-room"), NOW);
        document(&mut interpreter, vec![Verb::Join(Box::new(join(None)))], NOW);
    }
    assert!(matches!(steps(&mut interpreter)[..], [Step::Abandon(None), Step::Fetch(..), Step::Join(_)]));
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
    assert_eq!(steps(&mut going_on), [the_end()]);

    let mut over = started(vec![Verb::Join(Box::new(join(None)))]);
    steps(&mut over);
    over.left_room(departure(), HangupCause::RoomEnded, NOW);
    assert_eq!(steps(&mut over), [Step::Hangup(HangupCause::RoomEnded, None, vec![])]);
}

#[test]
fn a_scheduled_hangup_lets_the_rest_run_until_its_time() {
    let scheduled = Verb::Hangup(Hangup { after: Some(Duration::from_secs(30)), ..Hangup::default() });
    let mut interpreter = started(vec![scheduled, say("a")]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("a")])]);
    assert_eq!(interpreter.next_timeout(), Some(later(30)));
    interpreter.handle_timeout(later(30));
    assert_eq!(steps(&mut interpreter), [Step::Hangup(HangupCause::Scheduled, None, vec![])]);
}

#[test]
fn a_refusal_is_passed_on() {
    let busy = Verb::Hangup(Hangup { refusal: Some(Refusal::Busy), ..Hangup::default() });
    assert_eq!(steps(&mut started(vec![busy])), [Step::Hangup(HangupCause::Instructed, Some(Refusal::Busy), vec![])]);
}
