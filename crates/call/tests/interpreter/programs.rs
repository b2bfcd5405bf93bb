//! Calls that stay up without instructions, instructions that are added, programs that are heard while a call waits, and
//! programs that follow each instruction.

use std::time::Duration;

use call::dialect::{AtEnd, Kind, Purpose};
use call::interpreter::{Interpreter, Step};
use call::verb::{Gather, Hangup, Instruction, Label, Prompt, Report, Settings, Verb};

use super::{
    NOW, action, departure, document, fetch, gather, instructions, join, label, labelled, later, prompt, say, started,
    steps, the_end,
};

fn staying(verbs: Vec<Verb>) -> Interpreter {
    let mut interpreter = Interpreter::new();
    interpreter.set_at_end(AtEnd::Stay);
    document(&mut interpreter, verbs, NOW);
    interpreter
}

#[test]
fn a_call_that_stays_waits_for_its_program_without_a_deadline() {
    let mut interpreter = staying(vec![say("a")]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("a")])]);
    assert_eq!((interpreter.next_timeout(), interpreter.is_over()), (None, false));
    document(&mut interpreter, vec![say("b")], NOW);
    assert_eq!(steps(&mut interpreter), [Step::Play(2, vec![prompt("b")])]);
    // Nobody is left who could say what next: with its instructions the call ends.
    interpreter.set_at_end(AtEnd::Hangup);
    interpreter.append(vec![], NOW).unwrap();
    assert_eq!(steps(&mut interpreter), [], "it still plays");
    interpreter.prompts_ended(2, NOW);
    assert_eq!(steps(&mut interpreter), [the_end()]);

    let mut idle = staying(vec![]);
    assert_eq!(steps(&mut idle), []);
    idle.set_at_end(AtEnd::Hangup);
    idle.append(vec![], NOW).unwrap();
    assert_eq!(steps(&mut idle), [the_end()]);
}

#[test]
fn a_call_that_stays_outlives_its_rooms() {
    let mut interpreter = staying(vec![Verb::Join(Box::new(join(None)))]);
    steps(&mut interpreter);
    interpreter.left_room(departure(), call::cause::HangupCause::Kicked, NOW);
    assert_eq!((steps(&mut interpreter), interpreter.is_over()), (vec![], false));
}

#[test]
fn a_scheduled_hangup_ends_a_call_that_stays() {
    let scheduled = Verb::Hangup(Hangup { after: Some(Duration::from_secs(30)), ..Hangup::default() });
    let mut interpreter = staying(vec![scheduled]);
    assert_eq!((steps(&mut interpreter), interpreter.next_timeout()), (vec![], Some(later(30))));
    interpreter.handle_timeout(later(30));
    assert!(matches!(steps(&mut interpreter)[..], [Step::Hangup(..)]));
    assert_eq!(interpreter.next_timeout(), None);
}

#[test]
fn instructions_that_are_added_follow_the_others_and_run_at_once_where_nothing_is_left() {
    let mut busy = started(vec![say("a"), Verb::Join(Box::new(join(None)))]);
    busy.append(instructions(vec![say("b")]), NOW).unwrap();
    busy.append(instructions(vec![say("c")]), NOW).unwrap();
    assert_eq!(steps(&mut busy), [Step::Play(1, vec![prompt("a")])]);
    busy.prompts_ended(1, NOW);
    assert!(matches!(steps(&mut busy)[..], [Step::Join(_)]));
    busy.left_room(departure(), call::cause::HangupCause::RoomEnded, NOW);
    assert_eq!(steps(&mut busy), [Step::Play(2, vec![prompt("b"), prompt("c")])]);

    let mut idle = staying(vec![]);
    idle.append(instructions(vec![say("b")]), NOW).unwrap();
    assert_eq!(steps(&mut idle), [Step::Play(1, vec![prompt("b")])]);

    // While an answer is under way they wait for it; instructions in it replace them, an empty one does not.
    let mut asking = staying(vec![Verb::Gather(Gather { report: Report::Outcome, ..gather(vec![]) })]);
    asking.digit('#', NOW);
    steps(&mut asking);
    asking.append(instructions(vec![say("b")]), NOW).unwrap();
    assert_eq!(steps(&mut asking), []);
    let mut replaced = asking.clone();
    asking.answered(None, NOW);
    assert_eq!(steps(&mut asking), [Step::Play(1, vec![prompt("b")])]);
    replaced.answered(Some(instructions(vec![say("c")])), NOW);
    assert_eq!(steps(&mut replaced), [Step::Play(1, vec![prompt("c")])]);
}

#[test]
fn no_more_than_five_hundred_instructions_wait_and_what_is_too_much_changes_nothing() {
    let many = |count: usize| instructions(std::iter::repeat_with(|| Verb::Answer).take(count).collect());
    let mut busy = started(vec![say("a")]);
    steps(&mut busy);
    for count in [300, 200, 0] {
        busy.append(many(count), NOW).unwrap();
    }
    for count in [1, 500] {
        let refused = busy.append(many(count), NOW).unwrap_err().to_string();
        assert!(refused.contains("at most 500"), "{refused}");
    }
    busy.prompts_ended(1, NOW);
    let ran = steps(&mut busy);
    assert_eq!(ran.iter().filter(|step| **step == Step::Answer).count(), 500);

    let mut idle = staying(vec![]);
    assert!(idle.append(many(501), NOW).is_err());
    assert_eq!(steps(&mut idle), []);
    idle.append(many(500), NOW).unwrap();
    assert_eq!(steps(&mut idle).len(), 500);
    // Those that have run count no more.
    idle.append(many(500), NOW).unwrap();
    assert_eq!(steps(&mut idle).len(), 500);
}

fn asked(number: u64) -> Step {
    Step::Fetch(number, fetch("wait"), Purpose::Wait)
}

fn pause(number: u64, millis: u64) -> Step {
    Step::Play(number, vec![Prompt::Silence(Duration::from_millis(millis))])
}

fn looping() -> Interpreter {
    Interpreter::looping(fetch("wait"), Purpose::Wait)
}

fn answer(program: &mut Interpreter, verbs: Vec<Verb>) {
    answer_at(program, verbs, NOW);
}

fn answer_at(program: &mut Interpreter, verbs: Vec<Verb>, now: Duration) {
    program.answered(Some(instructions(verbs)), now);
}

#[test]
fn what_is_heard_while_waiting_is_asked_for_again_after_each_round() {
    let mut program = looping();
    assert_eq!(steps(&mut program), [asked(1)]);
    for round in 1..100 {
        assert!(program.awaits(round));
        answer_at(&mut program, vec![say("music")], later(round));
        assert_eq!(steps(&mut program), [Step::Play(round, vec![prompt("music")])]);
        program.heard(later(round));
        program.prompts_ended(round, later(round + 1));
        assert_eq!(steps(&mut program), [asked(round + 1)]);
    }
}

#[test]
fn a_round_in_which_little_is_heard_is_followed_by_a_pause_for_the_rest_of_a_second() {
    let mut program = looping();
    steps(&mut program);
    let mut now = NOW;
    for round in 1..100 {
        // By turns no sound at all, and one of a fifth of a second.
        let silent = round % 2 == 0;
        answer_at(&mut program, if silent { vec![] } else { vec![say("short")] }, now);
        let done = steps(&mut program);
        let Some(Step::Play(number, _)) = done.last() else { panic!("{done:?}") };
        let mut number = *number;
        if !silent {
            program.heard(now);
            program.prompts_ended(number, now + Duration::from_millis(200));
            number += 1;
            assert_eq!(steps(&mut program), [pause(number, 800)]);
        } else {
            assert_eq!(done, [pause(number, 1000)]);
        }
        now += Duration::from_secs(1);
        program.heard(now);
        program.prompts_ended(number, now);
        assert_eq!(steps(&mut program), [asked(round + 1)]);
    }
}

#[test]
fn an_empty_answer_or_none_ends_what_is_heard_while_waiting() {
    for end in [|it: &mut Interpreter| it.answered(None, NOW), |it: &mut Interpreter| assert!(it.failed(NOW))] {
        let mut program = looping();
        end(&mut program);
        assert_eq!(steps(&mut program), [asked(1), Step::Through]);
        assert!(program.is_over());
    }
}

#[test]
fn an_empty_answer_to_something_else_does_not_end_what_is_heard_while_waiting() {
    let mut program = looping();
    let keys = Gather { report: Report::Outcome, action: Some(action("keys")), ..gather(vec![]) };
    answer(&mut program, vec![Verb::Gather(keys), say("music")]);
    program.digit('#', NOW);
    program.answered(None, NOW);
    assert!(matches!(steps(&mut program).last(), Some(Step::Play(1, heard)) if *heard == [prompt("music")]));
    program.heard(NOW);
    program.prompts_ended(1, later(2));
    assert_eq!(steps(&mut program), [asked(3)]);
}

#[test]
fn leaving_the_queue_ends_what_is_heard_in_it() {
    let mut program = looping();
    answer(&mut program, vec![say("music"), Verb::Leave, say("never")]);
    program.heard(NOW);
    program.prompts_ended(1, NOW);
    assert_eq!(steps(&mut program), [asked(1), Step::Play(1, vec![prompt("music")]), Step::LeaveQueue, Step::Through]);
    assert!(program.is_over());
}

#[test]
fn a_call_that_is_in_no_queue_has_none_to_leave_and_goes_on() {
    let mut interpreter = started(vec![Verb::Leave, say("a")]);
    assert_eq!(steps(&mut interpreter), [Step::LeaveQueue, Step::Play(1, vec![prompt("a")])]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(steps(&mut interpreter), [the_end()]);
}

#[test]
fn a_program_that_is_heard_once_is_through_then() {
    let once = || Interpreter::once(fetch("enter"), Purpose::Enter);
    let mut heard = once();
    assert_eq!(steps(&mut heard), [Step::Fetch(1, fetch("enter"), Purpose::Enter)]);
    answer(&mut heard, vec![say("welcome")]);
    assert_eq!(steps(&mut heard), [Step::Play(1, vec![prompt("welcome")])]);
    heard.prompts_ended(1, NOW);
    assert_eq!((steps(&mut heard), heard.is_over()), (vec![Step::Through], true));
    for end in [|it: &mut Interpreter| it.answered(None, NOW), |it: &mut Interpreter| assert!(it.failed(NOW))] {
        let mut program = once();
        steps(&mut program);
        end(&mut program);
        assert_eq!(steps(&mut program), [Step::Through]);
    }
    let mut scheduled = once();
    let later = Verb::Hangup(Hangup { after: Some(Duration::from_secs(1)), ..Hangup::default() });
    answer(&mut scheduled, vec![later]);
    assert_eq!(scheduled.next_timeout(), None, "nothing follows what is through");
}

fn told(begins: bool, word: &str) -> Step {
    Step::Happened(Kind::Instruction(begins, label(word)))
}

#[test]
fn programs_that_want_to_know_are_told_when_each_instruction_begins_and_ends() {
    let mut interpreter = Interpreter::new();
    interpreter.configure(&Settings { notify: Some(true), ..Settings::default() }, None);
    let run = vec![labelled(say("a"), "say"), labelled(say("b"), "play"), labelled(Verb::Answer, "answer")];
    interpreter.document(run, NOW);
    assert_eq!(steps(&mut interpreter), [told(true, "say"), Step::Play(1, vec![prompt("a")])]);
    interpreter.prompts_ended(1, NOW);
    assert_eq!(
        steps(&mut interpreter),
        [told(false, "say"), told(true, "play"), Step::Play(2, vec![prompt("b")])],
        "not both in one"
    );
    interpreter.prompts_ended(2, NOW);
    assert_eq!(
        steps(&mut interpreter),
        [told(false, "play"), told(true, "answer"), Step::Answer, told(false, "answer"), the_end()]
    );
}

#[test]
fn what_other_instructions_break_off_is_told_to_be_over_before_they_begin() {
    let mut interpreter = Interpreter::new();
    interpreter.configure(&Settings { notify: Some(true), ..Settings::default() }, None);
    interpreter.document(vec![labelled(say("a"), "say")], NOW);
    steps(&mut interpreter);
    interpreter.document(vec![labelled(say("b"), "play")], NOW);
    assert_eq!(
        steps(&mut interpreter),
        [Step::StopPlaying, told(false, "say"), told(true, "play"), Step::Play(2, vec![prompt("b")])]
    );
}

#[test]
fn an_instruction_may_say_that_programs_are_told_from_then_on() {
    let settings = |notify| Verb::Configure(Box::new(Settings { notify: Some(notify), ..Settings::default() }));
    let mut interpreter = Interpreter::new();
    let run = vec![
        labelled(Verb::Answer, "answer"),
        labelled(settings(true), "config"),
        labelled(Verb::Answer, "answer"),
        labelled(settings(false), "config"),
        labelled(Verb::Answer, "answer"),
    ];
    interpreter.document(run, NOW);
    let happened: Vec<Step> = steps(&mut interpreter).into_iter().filter(|s| matches!(s, Step::Happened(_))).collect();
    assert_eq!(happened, [told(true, "answer"), told(false, "answer"), told(true, "config"), told(false, "config")]);
}

#[test]
fn every_step_is_known_by_the_instruction_whose_it_is_however_many_have_run_meanwhile() {
    let mut interpreter = Interpreter::new();
    let named = |id: &str| Label { verb: "dtmf".into(), id: Some(id.into()) };
    let keys = |keys: &str, id: &str| Instruction { verb: Verb::SendDigits(keys.into()), label: Some(named(id)) };
    let run = vec![keys("1", "first"), keys("2", "second"), Verb::SendDigits("3".into()).into(), say("a").into()];
    interpreter.document(run, NOW);
    let mut told = Vec::new();
    while let Some(step) = interpreter.poll_step() {
        told.push((step, interpreter.label().cloned()));
    }
    let sent = |keys: &str| Step::SendDigits(keys.into());
    let labels = [
        (sent("1"), Some(named("first"))),
        (sent("2"), Some(named("second"))),
        (sent("3"), None),
        (Step::Play(1, vec![prompt("a")]), None),
    ];
    assert_eq!(told, labels);
}
