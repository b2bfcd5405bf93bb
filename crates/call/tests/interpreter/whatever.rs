//! Whatever comes, in whatever order.

use std::time::Duration;

use call::cause::HangupCause;
use call::dialect::{AtEnd, Outcome, Purpose, Understood};
use call::interpreter::{Interpreter, Step};
use call::verb::{Enqueue, Gather, Hangup, Join, JoinHooks, Play, Prompt, Report, Settings, Understanding, Verb};
use proptest::prelude::*;

use super::{NOW, action, departure, fetch, gather, instructions, join, labelled, prompt, say, steps};

#[derive(Clone, Debug)]
enum Input {
    Document(Vec<u8>),
    Append(Vec<u8>),
    Answered(Option<Vec<u8>>),
    Failed,
    Transfer,
    Ended(u64),
    Heard,
    Digit(char),
    Understood(bool),
    Left,
    JoinFailed,
    Done,
    Time(u64),
    HungUp,
}

fn verb(kind: u8) -> Verb {
    match kind % 16 {
        0 => say("x"),
        1 => Verb::Gather(gather(vec![prompt("g")])),
        2 => Verb::Join(Box::new(join(None))),
        3 => Verb::Redirect(fetch("next")),
        4 => Verb::Hangup(Hangup { after: Some(Duration::from_secs(60)), ..Hangup::default() }),
        5 => Verb::Play(Box::new(Play {
            prompts: vec![prompt("p")],
            limit: Some(Duration::from_secs(7)),
            action: Some(action("played")),
        })),
        6 => Verb::Gather(Gather {
            report: Report::Outcome,
            speech: Some(Box::new(Understanding::default())),
            ..gather(vec![prompt("g")])
        }),
        7 => Verb::Enqueue(Box::new(Enqueue {
            name: "q".into(),
            priority: 0,
            wait: None,
            action: Some(action("queued")),
        })),
        8 => Verb::Leave,
        9 => Verb::Message(Some(action("sent"))),
        10 => Verb::Join(Box::new(Join {
            hooks: JoinHooks { action: Some(action("left")), ..JoinHooks::default() },
            ..join(Some(fetch("exit")))
        })),
        11 => Verb::Unsupported("u".into()),
        12 => Verb::Hangup(Hangup::default()),
        13 => Verb::Configure(Box::new(Settings {
            barge_in: Some(Some(Box::new(Gather {
                report: Report::Outcome,
                speech: Some(Box::new(Understanding::default())),
                ..gather(vec![])
            }))),
            barge_in_again: true,
            ..Settings::default()
        })),
        14 => Verb::Configure(Box::new(Settings { barge_in: Some(None), ..Settings::default() })),
        _ => Verb::Gather(Gather { attempts: 3, ..gather(vec![]) }),
    }
}

fn run(kinds: Vec<u8>) -> Vec<call::verb::Instruction> {
    kinds.into_iter().map(|kind| labelled(verb(kind), "v")).collect()
}

fn kinds() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..5)
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        3 => kinds().prop_map(Input::Document),
        2 => kinds().prop_map(Input::Append),
        4 => prop::option::of(kinds()).prop_map(Input::Answered),
        1 => Just(Input::Failed),
        1 => Just(Input::Transfer),
        4 => (1u64..6).prop_map(Input::Ended),
        2 => Just(Input::Heard),
        4 => prop::sample::select("0123456789*#ABCD".chars().collect::<Vec<_>>()).prop_map(Input::Digit),
        1 => any::<bool>().prop_map(Input::Understood),
        2 => Just(Input::Left),
        1 => Just(Input::JoinFailed),
        2 => Just(Input::Done),
        3 => (0u64..20).prop_map(Input::Time),
        1 => Just(Input::HungUp),
    ]
}

/// A call, one that stays, and the programs that are heard meanwhile.
fn interpreter(which: u8, notify: bool) -> Interpreter {
    let mut interpreter = match which {
        0 => Interpreter::new(),
        1 => {
            let mut staying = Interpreter::new();
            staying.set_at_end(AtEnd::Stay);
            staying
        }
        2 => Interpreter::looping(fetch("wait"), Purpose::Wait),
        _ => Interpreter::once(fetch("enter"), Purpose::Enter),
    };
    interpreter.configure(&Settings { notify: Some(notify), ..Settings::default() }, None);
    interpreter
}

/// Does what it is told until nothing is left to do, answering every request without instructions; how that ends.
fn run_out(interpreter: &mut Interpreter, mut now: Duration) -> Option<Step> {
    for _ in 0..500 {
        let Some(step) = interpreter.poll_step() else {
            if interpreter.is_away() {
                interpreter.done(&Outcome::Done, now);
            } else if let Some(at) = interpreter.next_timeout() {
                now = now.max(at);
                interpreter.handle_timeout(now);
            } else {
                return None;
            }
            continue;
        };
        match step {
            Step::Play(number, prompts) => {
                interpreter.heard(now);
                if let [Prompt::Silence(length)] = prompts[..] {
                    now += length;
                }
                interpreter.prompts_ended(number, now);
            }
            Step::Fetch(number, ..) if interpreter.awaits(number) => interpreter.answered(None, now),
            Step::Hangup(..) | Step::Through => return Some(step),
            _ => {}
        }
    }
    panic!("it never comes to an end: {interpreter:?}");
}

proptest! {
    /// At most one end, nothing after it, no busy loop; and left to itself everything ends, or stays, as it should.
    #[test]
    fn whatever_happens_a_call_ends_once(
        which in 0u8..4,
        notify in any::<bool>(),
        inputs in prop::collection::vec(input(), 0..60),
    ) {
        let mut interpreter = interpreter(which, notify);
        let mut now = NOW;
        let mut over = false;
        let (mut begun, mut ended) = (0, 0);
        let (mut given, mut sounding) = (0, 0);
        for input in inputs {
            given += match &input {
                Input::Document(kinds) | Input::Append(kinds) | Input::Answered(Some(kinds)) => kinds.len(),
                _ => 0,
            };
            match input {
                Input::Document(kinds) => interpreter.document(run(kinds), now),
                Input::Append(kinds) => interpreter.append(run(kinds), now).unwrap(),
                Input::Answered(kinds) => interpreter.answered(kinds.map(run), now),
                Input::Failed => drop(interpreter.failed(now)),
                Input::Transfer => interpreter.transfer(fetch("moved"), now),
                Input::Ended(number) => interpreter.prompts_ended(number, now),
                Input::Heard => interpreter.heard(now),
                Input::Digit(digit) => interpreter.digit(digit, now),
                Input::Understood(well) => {
                    let heard = Understood { language: "en-US".into(), alternatives: vec![("yes".into(), 1.0)] };
                    interpreter.understood(if well { Ok(heard) } else { Err("no".into()) }, now);
                }
                Input::Left => interpreter.left_room(departure(), HangupCause::RoomEnded, now),
                Input::JoinFailed => interpreter.join_failed(now),
                Input::Done => interpreter.done(&Outcome::Done, now),
                Input::Time(seconds) => {
                    now += Duration::from_secs(seconds);
                    interpreter.handle_timeout(now);
                }
                Input::HungUp => {
                    let told = interpreter.hung_up(|| Outcome::Done);
                    prop_assert!(told.is_none() || !over, "told after the end: {told:?}");
                    over = true;
                }
            }
            let done = steps(&mut interpreter);
            prop_assert!(done.len() <= 20 + 6 * given, "{done:?}");
            for step in done {
                prop_assert!(!over, "{step:?} after the end");
                match step {
                    Step::Hangup(..) | Step::Through => over = true,
                    Step::Play(number, _) => sounding = number,
                    Step::Happened(call::dialect::Kind::Instruction(true, _)) => begun += 1,
                    Step::Happened(call::dialect::Kind::Instruction(false, _)) => ended += 1,
                    _ => {}
                }
            }
            prop_assert!(begun - ended == 0 || begun - ended == 1, "{begun} have begun, {ended} have ended");
            prop_assert_eq!(interpreter.is_over(), over);
            if over {
                prop_assert_eq!(interpreter.next_timeout(), None);
            }
        }
        if over {
            return Ok(());
        }
        // What was asked for already is answered without instructions, and what sounds ends.
        interpreter.answered(None, now);
        interpreter.prompts_ended(sounding, now);
        match (which, run_out(&mut interpreter, now)) {
            (0, Some(Step::Hangup(..))) => {}
            (1, None | Some(Step::Hangup(..))) => {}
            (2 | 3, Some(Step::Hangup(..) | Step::Through)) => {}
            (_, end) => prop_assert!(false, "it ends with {end:?}"),
        }
    }
}

#[test]
fn left_to_itself_a_call_ends_and_one_that_stays_does_not() {
    let all = || instructions((0..16).filter(|kind| ![8, 12].contains(kind)).map(verb).collect());
    let mut ending = interpreter(0, true);
    ending.document(all(), NOW);
    assert!(matches!(run_out(&mut ending, NOW), Some(Step::Hangup(..))));
    let mut staying = interpreter(1, true);
    staying.document(instructions(vec![verb(0), verb(6), verb(7), verb(10)]), NOW);
    assert_eq!(run_out(&mut staying, NOW), None);
    assert!(!staying.is_over());
}
