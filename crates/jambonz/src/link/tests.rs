//! Without sockets: time is an argument, and what is to be sent is looked at.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const CALL: &str = "7d3b0c1e-6f5a-4a62-9d0e-2f1f6a0b9c01";

fn at(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn link(fragment: &str) -> Link {
    Link::to(&Fetch::new(format!("ws://app.example.com/x{fragment}"), call::verb::Method::Link)).expect("a socket")
}

fn ask(link: &mut Link, number: u64, purpose: Purpose, now: Duration) {
    let body = format!(r#"{{"question":{number}}}"#);
    link.ask(Ask { number, call: CALL.to_owned(), purpose, hook: format!("/hook/{number}"), body }, now);
}

fn tell(link: &mut Link, message: &'static str, body: &str, now: Duration) {
    link.tell(Tell { message, call: CALL.to_owned(), hook: Some("/status".to_owned()), body: body.to_owned() }, now);
}

fn outputs(link: &mut Link) -> Vec<Output> {
    std::iter::from_fn(|| link.poll()).collect()
}

/// Frames that are sent, as type, id and the whole; everything else is a failure.
fn sent(link: &mut Link) -> Vec<(String, String, Object)> {
    let frame = |output| match output {
        Output::Send(text) => {
            let Ok(Value::Object(frame)) = json::parse(text.as_bytes()) else { panic!("{text}") };
            let text = |name| frame.get(name).and_then(Value::as_str).expect("a text").to_owned();
            assert_eq!(text("call_sid"), CALL);
            assert!(matches!(frame.get("data"), Some(Value::Object(_))), "every frame has data");
            (text("type"), text("msgid"), frame.clone())
        }
        other => panic!("{other:?}"),
    };
    outputs(link).into_iter().map(frame).collect()
}

fn kinds(frames: &[(String, String, Object)]) -> Vec<&str> {
    frames.iter().map(|(kind, ..)| kind.as_str()).collect()
}

fn ack(msgid: &str, data: &str) -> String {
    format!(r#"{{"type":"ack","msgid":"{msgid}"{data}}}"#)
}

/// A link that stands and whose first question, number 1, has been answered.
fn open(fragment: &str) -> Link {
    let mut link = link(fragment);
    ask(&mut link, 1, Purpose::Answer, at(0));
    outputs(&mut link);
    link.connected(at(0));
    let frames = sent(&mut link);
    link.received(&ack(&frames[0].1, r#","data":[{"verb":"answer"}]"#), at(0));
    assert_eq!(outputs(&mut link), [Output::Answered(1, Ok(Some(r#"[{"verb":"answer"}]"#.to_owned())))]);
    link
}

/// Loses the connection and lets the next one stand; the id of `session:reconnect`.
fn reconnect(link: &mut Link) -> String {
    link.closed(Some(1006), at(0));
    let until = link.next_timeout().expect("a next attempt");
    link.handle_timeout(until);
    outputs(link);
    link.connected(until);
    let frames = sent(link);
    assert_eq!(kinds(&frames), ["session:reconnect"]);
    frames[0].1.clone()
}

#[test]
fn whatever_comes_before_the_first_question_waits_until_that_is_sent() {
    let mut link = link("");
    tell(&mut link, "call:status", r#"{"call_status":"trying"}"#, at(0));
    ask(&mut link, 1, Purpose::Wait, at(0));
    assert_eq!(outputs(&mut link), []);
    ask(&mut link, 2, Purpose::Answer, at(0));
    let url = "ws://app.example.com/x".to_owned();
    assert_eq!(outputs(&mut link), [Output::Connect { url, auth: None }]);
    link.connected(at(10));
    let frames = sent(&mut link);
    assert_eq!(kinds(&frames), ["session:new", "call:status", "verb:hook"]);
    assert_eq!(frames[0].2.get("hook"), None);
    assert_eq!(frames[1].2.get("hook"), None);
    assert_eq!(frames[2].2.get("hook").and_then(Value::as_str), Some("/hook/1"));
    assert_eq!(frames[1].2.get("data").map(ToString::to_string).as_deref(), Some(r#"{"call_status":"trying"}"#));
}

#[test]
fn a_purpose_is_asked_by_its_own_message() {
    for (purpose, first, later) in [
        (Purpose::Answer, "session:new", "session:redirect"),
        (Purpose::Redirect, "session:new", "session:redirect"),
        (Purpose::Transfer, "session:new", "session:redirect"),
    ] {
        let mut fresh = link("");
        ask(&mut fresh, 1, purpose.clone(), at(0));
        outputs(&mut fresh);
        fresh.connected(at(0));
        assert_eq!(kinds(&sent(&mut fresh)), [first]);
        let mut link = open("");
        ask(&mut link, 2, purpose, at(0));
        let frames = sent(&mut link);
        assert_eq!(kinds(&frames), [later]);
        assert_eq!(frames[0].2.get("hook").and_then(Value::as_str), Some("/hook/2"));
    }
    let mut link = open("");
    ask(&mut link, 2, Purpose::Confirm, at(0));
    ask(&mut link, 3, Purpose::Enter, at(0));
    assert_eq!(kinds(&sent(&mut link)), ["dial:confirm", "verb:hook"]);
}

#[test]
fn an_application_that_never_acknowledges_the_call_is_lost_after_five_seconds() {
    let mut link = link("");
    ask(&mut link, 1, Purpose::Answer, at(0));
    outputs(&mut link);
    link.connected(at(100));
    sent(&mut link);
    ask(&mut link, 2, Purpose::Enter, at(200));
    sent(&mut link);
    assert_eq!(link.next_timeout(), Some(at(5_100)));
    link.handle_timeout(at(5_099));
    assert_eq!(outputs(&mut link), []);
    link.handle_timeout(at(5_100));
    let outputs = outputs(&mut link);
    assert!(matches!(&outputs[0], Output::Lost(why) if why.contains("session:new")), "{outputs:?}");
    assert_eq!(outputs[1..3], [Output::Answered(2, Err(NoAnswer::Lost)), Output::Answered(1, Err(NoAnswer::Lost))]);
    assert_eq!(outputs[3..], [Output::Close(1001)]);
}

#[test]
fn a_hook_that_is_not_acknowledged_is_answered_with_nothing_and_the_call_goes_on() {
    let mut link = open("");
    ask(&mut link, 2, Purpose::Enter, at(1_000));
    ask(&mut link, 3, Purpose::Redirect, at(1_500));
    let late = sent(&mut link)[0].1.clone();
    link.handle_timeout(at(6_000));
    assert_eq!(outputs(&mut link), [Output::Answered(2, Err(NoAnswer::Late))]);
    link.received(&ack(&late, r#","data":[{"verb":"hangup"}]"#), at(6_100));
    assert_eq!(outputs(&mut link), [], "too late");
    link.handle_timeout(at(6_500));
    assert_eq!(outputs(&mut link), [Output::Answered(3, Err(NoAnswer::Late))]);
    tell(&mut link, "call:status", "{}", at(7_000));
    assert_eq!(kinds(&sent(&mut link)), ["call:status"]);
}

#[test]
fn acks_without_verbs_say_nothing_new_and_others_are_answered_once() {
    let mut link = open("");
    for (number, data, expected) in [
        (2, "", None),
        (3, r#","data":[]"#, None),
        (4, r#","data":null"#, None),
        (5, r#","data":{}"#, None),
        (6, r#","data":[{"say":{"text":"hi"}}]"#, Some(r#"[{"say":{"text":"hi"}}]"#)),
        // Whether they can be run is for the dialect to say.
        (7, r#","data":[{"verb":"nonsense"}]"#, Some(r#"[{"verb":"nonsense"}]"#)),
    ] {
        ask(&mut link, number, Purpose::Enter, at(0));
        let msgid = sent(&mut link)[0].1.clone();
        link.received(&ack("nobody", data), at(0));
        link.received(&ack(&msgid, data), at(0));
        link.received(&ack(&msgid, r#","data":[{"verb":"hangup"}]"#), at(0));
        assert_eq!(outputs(&mut link), [Output::Answered(number, Ok(expected.map(str::to_owned)))]);
    }
}

#[test]
fn frames_that_are_not_understood_are_reported_and_nothing_else_changes() {
    let mut link = open("");
    let large = format!(r#"{{"type":"ack","msgid":"x","data":"{}"}}"#, "x".repeat(LARGEST_FRAME));
    for text in ["", "[]", "<html>", "{}", r#"{"type":"ack"}"#, r#"{"type":"command","command":"fly"}"#, &large] {
        link.received(text, at(0));
        let frames = sent(&mut link);
        assert_eq!(kinds(&frames), ["jambonz:error"], "{text}");
        let Some(Value::Object(data)) = frames[0].2.get("data") else { panic!() };
        assert_eq!(data.get("msg").and_then(Value::as_str), Some("InvalidMessage"));
    }
    link.received_binary(7, at(0));
    assert_eq!(kinds(&sent(&mut link)), ["jambonz:error"]);
    let command = r#"{"type":"command","command":"mute:status","data":"mute","callSid":"other"}"#;
    link.received(command, at(0));
    let call = Some("other".to_owned());
    assert_eq!(outputs(&mut link), [Output::Command { call, frame: command.to_owned() }]);
}

#[test]
fn a_program_that_closes_with_1000_has_left() {
    let mut link = open("");
    ask(&mut link, 2, Purpose::Enter, at(0));
    sent(&mut link);
    link.closed(Some(1000), at(0));
    assert_eq!(outputs(&mut link), [Output::Answered(2, Err(NoAnswer::Left)), Output::Left, Output::Close(1000)]);
    ask(&mut link, 3, Purpose::Enter, at(0));
    assert_eq!(outputs(&mut link), [Output::Answered(3, Err(NoAnswer::Over))]);
    assert_eq!(link.next_timeout(), None);
}

#[test]
fn a_lost_connection_is_sought_five_times_in_all_each_time_after_a_longer_pause() {
    let refused = HttpError::Connect { host: "a".to_owned(), problem: "refused".to_owned() };
    let mut link = open("");
    link.closed(None, at(0));
    let mut now = at(0);
    for pause in [500, 1_000, 2_000, 4_000] {
        assert_eq!(outputs(&mut link), []);
        assert_eq!(link.next_timeout(), Some(now + at(pause)));
        now += at(pause);
        link.handle_timeout(now);
        assert!(matches!(outputs(&mut link)[..], [Output::Connect { .. }]));
        link.failed(&refused, now);
    }
    assert!(matches!(outputs(&mut link)[..], [Output::Lost(_), Output::Close(1001)]));
}

#[test]
fn a_first_connection_that_fails_is_tried_again_only_as_the_url_asks() {
    let connect = || HttpError::Connect { host: "a".to_owned(), problem: "refused".to_owned() };
    let status = |status| HttpError::Status { host: "a".to_owned(), status };
    let forbidden = HttpError::Forbidden { host: "a".to_owned(), address: "10.0.0.1".to_owned() };
    for (fragment, error, attempts) in [
        ("", connect(), 1),
        ("#rc=2", connect(), 3),
        ("#rc=2", status(503), 1),
        ("#rc=2&rp=5xx", status(503), 3),
        ("#rc=2&rp=5xx", status(404), 1),
        ("#rc=1&rp=all", status(404), 2),
        ("#rc=9&rp=ct", connect(), 6),
        ("#rc=3&rp=all", forbidden, 1),
    ] {
        let mut link = link(fragment);
        ask(&mut link, 1, Purpose::Answer, at(0));
        let (mut connects, mut now) = (0, at(0));
        loop {
            match &outputs(&mut link)[..] {
                [Output::Connect { .. }] => connects += 1,
                [Output::Lost(why), Output::Answered(1, Err(NoAnswer::Lost)), Output::Close(1001)] => {
                    assert!(why.contains("cannot be reached"), "{why}");
                    break;
                }
                other => panic!("{other:?}"),
            }
            link.failed(&error, now);
            if let Some(next) = link.next_timeout() {
                now = next;
                link.handle_timeout(now);
            }
        }
        assert_eq!(connects, attempts, "{fragment} {error}");
    }
}

#[test]
fn everything_waits_for_the_ack_of_a_reconnect_and_its_verbs_are_ignored() {
    let mut link = open("");
    ask(&mut link, 2, Purpose::Enter, at(0));
    sent(&mut link);
    link.closed(Some(1005), at(0));
    assert_eq!(outputs(&mut link), [Output::Answered(2, Err(NoAnswer::Interrupted))]);
    tell(&mut link, "call:status", "{}", at(100));
    link.handle_timeout(at(500));
    assert!(matches!(outputs(&mut link)[..], [Output::Connect { .. }]));
    ask(&mut link, 3, Purpose::Enter, at(600));
    link.connected(at(700));
    let frames = sent(&mut link);
    assert_eq!(kinds(&frames), ["session:reconnect"]);
    assert_eq!(frames[0].2.get("data").map(ToString::to_string).as_deref(), Some(r#"{"question":1}"#));
    tell(&mut link, "verb:status", "{}", at(750));
    assert_eq!(outputs(&mut link), []);
    link.received(r#"{"type":"command","command":"mute:status","data":"mute"}"#, at(800));
    assert!(matches!(outputs(&mut link)[..], [Output::Command { .. }]), "commands are done meanwhile");
    link.received(&ack(&frames[0].1, r#","data":[{"verb":"hangup"}]"#), at(900));
    assert_eq!(kinds(&sent(&mut link)), ["call:status", "verb:hook", "verb:status"]);
    assert_eq!(link.next_timeout(), Some(at(5_900)), "the ack of a hook that waited is due 5 s after it was sent");
}

#[test]
fn a_call_that_was_never_acknowledged_takes_its_verbs_from_the_ack_of_the_reconnect() {
    let mut link = link("");
    ask(&mut link, 1, Purpose::Answer, at(0));
    outputs(&mut link);
    link.connected(at(0));
    sent(&mut link);
    let msgid = reconnect(&mut link);
    link.received(&ack(&msgid, r#","data":[{"verb":"hangup"}]"#), at(900));
    assert_eq!(outputs(&mut link), [Output::Answered(1, Ok(Some(r#"[{"verb":"hangup"}]"#.to_owned())))]);
    let msgid = reconnect(&mut link);
    link.received(&ack(&msgid, r#","data":[{"verb":"hangup"}]"#), at(2_000));
    assert_eq!(outputs(&mut link), [], "only once");
}

#[test]
fn a_reconnect_that_is_not_acknowledged_is_the_end() {
    let mut link = open("");
    reconnect(&mut link);
    let due = link.next_timeout().expect("a deadline");
    assert_eq!(due, at(5_500));
    link.handle_timeout(due);
    let outputs = outputs(&mut link);
    assert!(matches!(&outputs[..], [Output::Lost(why), Output::Close(1001)] if why.contains("session:reconnect")));
}

#[test]
fn a_dialled_call_that_goes_on_by_itself_introduces_itself_and_takes_no_verbs() {
    let mut link = link("");
    let parent = serde_json::json!({
        "uuid": "p", "auth_id": "a", "main_auth_id": "a", "direction": "inbound", "from": "1", "to": "2", "caller_name": "",
        "state": "in_progress", "headers": [], "began_at": 0,
    });
    let parent = serde_json::from_value(parent).expect("a call");
    ask(&mut link, 1, Purpose::Adulting(Box::new(parent)), at(0));
    outputs(&mut link);
    link.connected(at(0));
    let frames = sent(&mut link);
    assert_eq!(kinds(&frames), ["session:adulting"]);
    link.received(&ack(&frames[0].1, r#","data":[{"verb":"hangup"}]"#), at(0));
    assert_eq!(outputs(&mut link), [Output::Answered(1, Ok(None))]);
}

#[test]
fn the_end_of_a_call_closes_with_1000_and_bad_instructions_with_1001() {
    for (farewell, code) in [(Farewell::Over, 1000), (Farewell::BadInstructions, 1001)] {
        let mut link = open("");
        tell(&mut link, "call:status", "{}", at(0));
        link.end(farewell, at(0));
        let outputs = outputs(&mut link);
        assert!(matches!(&outputs[..], [Output::Send(_), Output::Close(c)] if *c == code), "{outputs:?}");
    }
}

#[test]
fn what_is_to_be_told_at_the_end_is_told_once_the_program_is_back() {
    let mut link = open("");
    link.closed(None, at(0));
    tell(&mut link, "call:status", r#"{"call_status":"completed"}"#, at(10));
    ask(&mut link, 2, Purpose::Enter, at(20));
    link.end(Farewell::Over, at(30));
    assert_eq!(outputs(&mut link), [Output::Answered(2, Err(NoAnswer::Over))]);
    link.handle_timeout(at(500));
    outputs(&mut link);
    link.connected(at(600));
    let msgid = sent(&mut link)[0].1.clone();
    link.received(&ack(&msgid, ""), at(700));
    let outputs = outputs(&mut link);
    assert!(matches!(&outputs[..], [Output::Send(text), Output::Close(1000)] if text.contains("completed")));
}

#[test]
fn what_finds_no_room_is_answered_or_counted() {
    let mut link = open("");
    link.closed(None, at(0));
    for _ in 0..MOST_WAITING {
        tell(&mut link, "verb:status", "{}", at(0));
    }
    assert_eq!(outputs(&mut link), []);
    tell(&mut link, "verb:status", "{}", at(0));
    ask(&mut link, 2, Purpose::Enter, at(0));
    tell(&mut link, "no:message", "{}", at(0));
    assert_eq!(outputs(&mut link), [Output::Dropped, Output::Answered(2, Err(NoAnswer::Full)), Output::Dropped]);
}

#[derive(Clone, Debug)]
enum Step {
    Ask(u8),
    Tell,
    Connected,
    Failed,
    Closed(Option<u16>),
    /// The answer to one of the frames that were sent, by its place.
    Ack(prop::sample::Index),
    Command,
    Garbage,
    /// To the next deadline.
    Wait,
    End,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8).prop_map(Step::Ask),
        4 => Just(Step::Tell),
        6 => Just(Step::Connected),
        1 => Just(Step::Failed),
        2 => prop_oneof![Just(None), Just(Some(1006)), Just(Some(1012))].prop_map(Step::Closed),
        1 => Just(Step::Closed(Some(1000))),
        6 => any::<prop::sample::Index>().prop_map(Step::Ack),
        1 => Just(Step::Command),
        1 => Just(Step::Garbage),
        4 => Just(Step::Wait),
        1 => Just(Step::End),
    ]
}

/// What a task with a socket sees, and what must hold of it.
#[derive(Default)]
struct World {
    connected: bool,
    connecting: bool,
    /// Nothing was sent on this connection yet.
    fresh: bool,
    over: bool,
    msgids: Vec<String>,
    unique: HashSet<String>,
    answered: HashSet<u64>,
    asked: HashSet<u64>,
    connects: u32,
    stood: bool,
    told: Vec<u64>,
    /// `session:reconnect` was sent and not acknowledged.
    resuming: Option<String>,
}

impl World {
    fn look(&mut self, link: &mut Link) {
        while let Some(output) = link.poll() {
            match output {
                Output::Answered(number, _) => {
                    assert!(self.asked.contains(&number) && self.answered.insert(number), "{number} is answered once");
                    continue;
                }
                Output::Dropped => continue,
                _ => {}
            }
            assert!(!self.over, "{output:?} after the last");
            match output {
                Output::Connect { .. } => {
                    assert!(!self.connected && !self.connecting);
                    self.connecting = true;
                    self.connects += 1;
                    assert!(self.connects <= 5);
                }
                Output::Send(text) => {
                    assert!(self.connected, "{text}");
                    let Ok(Value::Object(frame)) = json::parse(text.as_bytes()) else { panic!("{text}") };
                    let text_of = |name| frame.get(name).and_then(Value::as_str).map(str::to_owned);
                    let kind = text_of("type").expect("a type");
                    let opens = ["session:new", "session:reconnect"].contains(&kind.as_str());
                    assert_eq!(opens, self.fresh, "{kind}");
                    assert_eq!(kind == "session:reconnect", self.fresh && self.stood);
                    if !self.stood {
                        self.connects = 1;
                    }
                    self.fresh = false;
                    self.stood = true;
                    let msgid = text_of("msgid").expect("an id");
                    assert_eq!(self.resuming, None, "{kind} waits");
                    self.resuming = Some(msgid.clone()).filter(|_| kind == "session:reconnect");
                    assert!(self.unique.insert(msgid.clone()), "ids are unique");
                    assert_eq!(text_of("call_sid").as_deref(), Some(CALL));
                    let data = frame.get("data").and_then(Value::as_object).expect("data");
                    if let Some(Value::Number(told)) = data.get("told") {
                        self.told.push(*told as u64);
                    }
                    self.msgids.push(msgid);
                }
                Output::Close(_) => self.over = true,
                Output::Command { .. } => assert!(self.connected),
                Output::Left | Output::Lost(_) => {}
                Output::Answered(..) | Output::Dropped => unreachable!(),
            }
        }
    }
}

proptest! {
    #[test]
    fn every_question_is_answered_once_and_every_connection_begins_as_it_must(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut link = link("#rc=4&rp=all");
        let mut world = World::default();
        let mut now = at(0);
        let mut number = 0;
        for step in steps.into_iter().chain([Step::End]) {
            now += at(1);
            match step {
                Step::Ask(kind) => {
                    number += 1;
                    world.asked.insert(number);
                    let purpose = [Purpose::Answer, Purpose::Redirect, Purpose::Confirm, Purpose::Enter];
                    let purpose = purpose.get(usize::from(kind)).cloned().unwrap_or(Purpose::Wait);
                    ask(&mut link, number, purpose, now);
                }
                Step::Tell => {
                    number += 1;
                    tell(&mut link, "call:status", &format!(r#"{{"told":{number}}}"#), now);
                }
                Step::Connected if world.connecting => {
                    (world.connecting, world.connected, world.fresh) = (false, true, true);
                    link.connected(now);
                }
                Step::Failed if world.connecting => {
                    world.connecting = false;
                    link.failed(&HttpError::Connect { host: String::new(), problem: String::new() }, now);
                }
                Step::Closed(code) if world.connected => {
                    (world.connected, world.resuming) = (false, None);
                    link.closed(code, now);
                }
                Step::Ack(place) if world.connected => {
                    // One of the last few, so that the right ones are among them.
                    let last = world.msgids.len().saturating_sub(3);
                    let msgid = place.get(&world.msgids[last..]).clone();
                    world.resuming = world.resuming.filter(|awaited| *awaited != msgid);
                    link.received(&ack(&msgid, r#","data":[{"verb":"answer"}]"#), now);
                }
                Step::Command if world.connected => {
                    link.received(r#"{"type":"command","command":"mute:status","data":"mute"}"#, now);
                }
                Step::Garbage if world.connected => link.received("{", now),
                Step::Wait => {
                    now = link.next_timeout().map_or(now, |next| next.max(now));
                    link.handle_timeout(now);
                }
                Step::End => link.end(Farewell::Over, now),
                _ => {}
            }
            world.look(&mut link);
            prop_assert!(link.next_timeout().is_none_or(|next| next > now || !matches!(step, Step::Wait)), "time stands");
            if world.over {
                break;
            }
        }
        // Whatever was begun ends by itself, though nobody answers.
        while !world.over {
            if world.connecting {
                world.connecting = false;
                link.failed(&HttpError::Connect { host: String::new(), problem: String::new() }, now);
            }
            world.look(&mut link);
            if !world.over && let Some(next) = link.next_timeout() {
                now = next;
                link.handle_timeout(next);
            }
            world.look(&mut link);
        }
        prop_assert_eq!(&world.answered, &world.asked);
        prop_assert!(world.told.is_sorted(), "what is told is told in order, and once");
        prop_assert_eq!(link.next_timeout(), None);
    }
}
