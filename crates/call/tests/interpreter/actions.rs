//! Instructions that lead the call elsewhere, or take their time, and the programs that are told how it went.

use std::time::Duration;

use call::cause::HangupCause;
use call::dialect::{Dialled, Kind, Outcome, Purpose};
use call::interpreter::{Interpreter, Step};
use call::verb::{
    Action, CallStatus, Connect, Dequeue, Dub, DubAction, Enqueue, Join, JoinHooks, Play, Prompt, QueueEnd, Refer,
    Settings, Stream, StreamMix, Verb,
};

use super::{
    NOW, action, departure, document, fetch, instructions, join, later, prompt, rounds_of, say, started, steps, the_end,
};

fn connect(action: Option<Action>) -> Box<Connect> {
    Box::new(Connect {
        targets: vec![],
        answer_on_bridge: false,
        caller_id: None,
        caller_name: None,
        ring_timeout: Duration::from_secs(60),
        limit: None,
        music: None,
        headers: vec![],
        confirm: None,
        action,
        keys: vec![],
        refer_hook: None,
        stream: None,
        attached: None,
    })
}

fn enqueue(action: Option<Action>) -> Box<Enqueue> {
    Box::new(Enqueue { name: "sales".into(), priority: 0, wait: None, action })
}

fn dequeue(action: Option<Action>) -> Box<Dequeue> {
    Box::new(Dequeue { name: "sales".into(), call: None, timeout: None, beep: false, action })
}

fn stream(action: Option<Action>) -> Box<Stream> {
    Box::new(Stream {
        url: "wss://app.example.com/sound".into(),
        auth: None,
        sample_rate: 8000,
        mix: StreamMix::Inbound,
        metadata: None,
        digits: false,
        two_way: None,
        limit: None,
        silence: None,
        finish_on: String::new(),
        beep: false,
        action,
        id: None,
    })
}

fn refer(action: Option<Action>) -> Box<Refer> {
    Box::new(Refer { to: "sip:b@example.com".into(), referred_by: None, headers: vec![], action, events: None })
}

/// A room whose program is told when the stay is over.
fn told_join() -> Box<Join> {
    Box::new(Join { hooks: JoinHooks { action: Some(action("over")), ..JoinHooks::default() }, ..join(None) })
}

/// Everything that leads a call elsewhere: the instruction, what is to be done, and how it may have gone.
fn journeys(action: Option<Action>) -> Vec<(Verb, Step, Outcome)> {
    let dialled = Dialled { status: CallStatus::Busy, sip_status: 486, call: None, call_id: None, seconds: None };
    let waited = Outcome::Enqueued { queue: "q".into(), waited_s: 3, end: QueueEnd::Left };
    let a = || action.clone();
    vec![
        (Verb::Connect(connect(a())), Step::Connect(connect(a())), Outcome::Dialled(dialled)),
        (Verb::Enqueue(enqueue(a())), Step::Enqueue(enqueue(a())), waited),
        (Verb::Dequeue(dequeue(a())), Step::Dequeue(dequeue(a())), Outcome::Dequeued(QueueEnd::Timeout)),
        (Verb::Stream(stream(a())), Step::Stream(stream(a())), Outcome::Streamed { seconds: 2, key: Some('#') }),
        (Verb::Refer(refer(a())), Step::Refer(refer(a())), Outcome::Referred { status: 202, last: Some(200) }),
    ]
}

fn told(outcome: Outcome) -> Step {
    Step::Fetch(1, fetch("over"), Purpose::Action(Box::new(outcome), Some("mine".into())))
}

/// An answer without instructions, or none at all, goes on with the rest; instructions replace it.
fn goes_on_or_is_replaced(told: &Interpreter) {
    for nothing in [|it: &mut Interpreter| it.answered(None, NOW), |it: &mut Interpreter| assert!(it.failed(NOW))] {
        let mut going_on = told.clone();
        nothing(&mut going_on);
        assert!(matches!(&steps(&mut going_on)[..], [Step::Play(_, heard)] if *heard == [prompt("rest")]));
    }
    let mut replaced = told.clone();
    replaced.answered(Some(instructions(vec![say("other")])), NOW);
    let Ok([Step::Play(number, heard)]) = <[Step; 1]>::try_from(steps(&mut replaced)) else { panic!("{replaced:?}") };
    assert_eq!(heard, [prompt("other")]);
    replaced.prompts_ended(number, NOW);
    assert_eq!(steps(&mut replaced), [the_end()], "the rest does not follow");
    let mut ended = told.clone();
    ended.answered(Some(vec![]), NOW);
    assert_eq!(steps(&mut ended), [the_end()], "no instructions are instructions too");
}

#[test]
fn an_action_is_told_how_it_went_and_an_answer_without_instructions_goes_on_with_the_rest() {
    for (verb, step, outcome) in journeys(Some(action("over"))) {
        let mut interpreter = started(vec![verb, say("rest")]);
        assert_eq!(steps(&mut interpreter), [step]);
        assert!(interpreter.is_away());
        interpreter.done(&outcome, NOW);
        assert_eq!(steps(&mut interpreter), [told(outcome.clone())]);
        goes_on_or_is_replaced(&interpreter);
        // It is over only once.
        interpreter.done(&outcome, NOW);
        assert_eq!(steps(&mut interpreter), []);
    }
}

#[test]
fn what_fails_at_once_and_whose_action_leads_back_to_it_is_a_loop() {
    for (verb, _, outcome) in journeys(Some(action("again"))) {
        let ended = |seconds| {
            let outcome = outcome.clone();
            move |interpreter: &mut Interpreter, now| {
                let now = now + Duration::from_secs(seconds);
                interpreter.done(&outcome, now);
                now
            }
        };
        assert_eq!(rounds_of(std::slice::from_ref(&verb), ended(0)), 30, "{verb:?}");
        assert_eq!(rounds_of(std::slice::from_ref(&verb), ended(20)), 100, "one that takes its time is none: {verb:?}");
    }
}

#[test]
fn without_an_action_the_next_instruction_follows() {
    for (verb, step, outcome) in journeys(None) {
        let mut interpreter = started(vec![verb, say("rest")]);
        interpreter.done(&outcome, NOW);
        assert_eq!(steps(&mut interpreter), [step, Step::Play(1, vec![prompt("rest")])]);
    }
}

#[test]
fn the_action_of_a_stay_in_a_room_is_told_when_it_is_over_and_when_it_never_began() {
    let mut left = started(vec![Verb::Join(told_join()), say("rest")]);
    steps(&mut left);
    left.left_room(departure(), HangupCause::RoomEnded, NOW);
    assert_eq!(steps(&mut left), [told(Outcome::Done)]);
    goes_on_or_is_replaced(&left);

    let mut refused = started(vec![Verb::Join(told_join()), say("rest")]);
    steps(&mut refused);
    refused.join_failed(NOW);
    assert_eq!(steps(&mut refused), [told(Outcome::Done)]);
    goes_on_or_is_replaced(&refused);

    let mut silent = started(vec![Verb::Join(Box::new(join(Some(fetch("exit")))))]);
    steps(&mut silent);
    silent.join_failed(NOW);
    assert_eq!(steps(&mut silent), [Step::Hangup(HangupCause::RoomRefused, None, vec![])], "it has not left any room");
}

#[test]
fn only_a_request_that_the_call_cannot_do_without_ends_it() {
    assert!(!Interpreter::new().failed(NOW), "the first");
    let mut moved = started(vec![say("a")]);
    moved.transfer(fetch("there"), NOW);
    let redirected = started(vec![Verb::Redirect(fetch("next")), say("rest")]);
    for mut interpreter in [moved, redirected] {
        steps(&mut interpreter);
        assert!(!interpreter.failed(NOW), "{interpreter:?}");
        assert_eq!(steps(&mut interpreter), []);
    }
}

fn play(limit: Option<u64>) -> Verb {
    Verb::Play(Box::new(Play {
        prompts: vec![prompt("song")],
        limit: limit.map(Duration::from_secs),
        action: Some(action("over")),
    }))
}

fn played(completed: bool, heard_ms: u64) -> Step {
    told(Outcome::Played { completed, heard_ms })
}

#[test]
fn whoever_wants_to_know_is_told_how_much_of_it_was_heard() {
    let mut whole = started(vec![play(Some(30)), say("rest")]);
    assert_eq!(steps(&mut whole), [Step::Play(1, vec![prompt("song")])]);
    assert_eq!(whole.next_timeout(), Some(later(30)));
    whole.heard(later(1));
    // The second of several prompts: heard since the first.
    whole.heard(later(3));
    whole.prompts_ended(1, NOW + Duration::from_millis(5500));
    assert_eq!(steps(&mut whole), [played(true, 4500)]);
    assert_eq!(whole.next_timeout(), None);
    goes_on_or_is_replaced(&whole);

    let mut unheard = started(vec![play(None)]);
    steps(&mut unheard);
    assert_eq!(unheard.next_timeout(), None);
    unheard.prompts_ended(1, later(2));
    assert_eq!(steps(&mut unheard), [played(false, 0)], "a sound that cannot be had");
}

#[test]
fn what_has_a_limit_stops_there_and_the_action_is_told() {
    let mut interpreter = started(vec![play(Some(4)), say("rest")]);
    steps(&mut interpreter);
    interpreter.heard(later(1));
    interpreter.handle_timeout(later(3));
    assert_eq!(steps(&mut interpreter), []);
    interpreter.handle_timeout(later(4));
    assert_eq!(steps(&mut interpreter), [Step::StopPlaying, played(true, 3000)]);
    // Its end is old news.
    interpreter.prompts_ended(1, later(4));
    assert_eq!(steps(&mut interpreter), []);
}

#[test]
fn other_instructions_abandon_what_the_call_is_in_and_its_action_can_say_nothing_more() {
    for (verb, step, outcome) in journeys(Some(action("over"))) {
        let mut interpreter = started(vec![verb.clone(), say("rest")]);
        document(&mut interpreter, vec![say("other")], NOW);
        let abandoned = Step::Abandon(Some(action("over")));
        assert_eq!(steps(&mut interpreter), [step.clone(), abandoned.clone(), Step::Play(1, vec![prompt("other")])]);
        interpreter.done(&outcome, NOW);
        assert_eq!(steps(&mut interpreter), [], "its end is old news");

        let mut moved = started(vec![verb, say("rest")]);
        moved.transfer(fetch("there"), NOW);
        let asked = Step::Fetch(1, fetch("there"), Purpose::Transfer);
        assert_eq!(steps(&mut moved), [step, abandoned, asked]);
        moved.done(&outcome, NOW);
        moved.answered(Some(vec![]), NOW);
        assert_eq!(steps(&mut moved), [the_end()], "nothing of the old instructions is left");
    }
    let mut silent = started(vec![Verb::Join(Box::new(join(Some(fetch("exit")))))]);
    steps(&mut silent);
    silent.transfer(fetch("there"), NOW);
    assert!(matches!(&steps(&mut silent)[..], [Step::Abandon(None), Step::Fetch(1, ..)]));
}

#[test]
fn what_is_left_off_is_told_at_once_and_nothing_follows_before_other_instructions_come() {
    for (verb, step, outcome) in journeys(Some(action("over"))) {
        let mut interpreter = started(vec![verb, say("rest")]);
        assert_eq!(steps(&mut interpreter), [step]);
        interpreter.leave_off();
        assert_eq!(steps(&mut interpreter), [Step::Abandon(Some(action("over")))]);
        interpreter.done(&outcome, NOW);
        assert_eq!((steps(&mut interpreter), interpreter.next_timeout()), (vec![], None));
        document(&mut interpreter, vec![say("other")], NOW);
        assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![prompt("other")])], "it is told a second time");
    }
    let mut playing = started(vec![say("a")]);
    steps(&mut playing);
    playing.leave_off();
    playing.prompts_ended(1, NOW);
    assert_eq!(steps(&mut playing), [Step::StopPlaying]);
}

#[test]
fn a_call_that_is_over_owes_its_last_action_the_outcome_once() {
    for (verb, _, outcome) in journeys(Some(action("over"))) {
        let mut interpreter = started(vec![verb, say("rest")]);
        steps(&mut interpreter);
        let purpose = Purpose::Action(Box::new(outcome.clone()), Some("mine".into()));
        assert_eq!(interpreter.hung_up(|| outcome.clone()), Some((fetch("over"), purpose)));
        assert_eq!(interpreter.hung_up(|| outcome.clone()), None);
        assert!(interpreter.is_over());
        interpreter.done(&outcome, NOW);
        interpreter.append(instructions(vec![say("more")]), NOW).unwrap();
        document(&mut interpreter, vec![say("more")], NOW);
        interpreter.transfer(fetch("there"), NOW);
        assert_eq!((steps(&mut interpreter), interpreter.next_timeout()), (vec![], None));
    }
    let mut prompting = started(vec![say("a")]);
    assert_eq!(prompting.hung_up(|| Outcome::Done), None, "nobody waits for anything");
}

#[test]
fn what_takes_no_time_is_done_in_order_on_the_way() {
    let dub = Dub { action: DubAction::Remove, track: "t".into(), prompts: vec![], gain_db: 0.0 };
    let verbs = vec![
        Verb::Ring("internal".into()),
        Verb::Answer,
        Verb::Attach("{}".into()),
        Verb::Dub(dub.clone()),
        Verb::SendDigits("1w2".into()),
        Verb::Configure(Box::default()),
    ];
    assert_eq!(
        steps(&mut started(verbs)),
        [
            Step::Ring("internal".into()),
            Step::Answer,
            Step::Attach("{}".into()),
            Step::Dub(dub),
            Step::SendDigits("1w2".into()),
            Step::Configure(Box::<Settings>::default()),
            the_end()
        ]
    );
}

#[test]
fn what_cannot_be_done_is_told_and_passed_over() {
    let mut unsupported = started(vec![Verb::Unsupported("rasa".into()), say("rest")]);
    let done = steps(&mut unsupported);
    let [Step::Happened(Kind::Fault(text, None)), Step::Play(1, _)] = &done[..] else { panic!("{done:?}") };
    assert!(text.contains("rasa"), "{text}");

    let mut message = started(vec![Verb::Message(Some(action("over"))), say("rest")]);
    let done = steps(&mut message);
    let [Step::Happened(Kind::Fault(why, None)), asked] = &done[..] else { panic!("{done:?}") };
    assert_eq!(*asked, told(Outcome::Unsent(String::new(), why.clone())));
    goes_on_or_is_replaced(&message);
    let nobody = steps(&mut started(vec![Verb::Message(None)]));
    assert!(matches!(&nobody[..], [Step::Happened(_), Step::Hangup(..)]), "{nobody:?}");
}

/// Silence is heard as well, and is no prompt that failed.
#[test]
fn a_pause_is_played_like_any_prompt() {
    let silence = Prompt::Silence(Duration::from_secs(1));
    let mut interpreter = started(vec![Verb::Prompt(silence.clone()), say("a")]);
    assert_eq!(steps(&mut interpreter), [Step::Play(1, vec![silence, prompt("a")])]);
}
