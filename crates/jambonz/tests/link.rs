//! The conversation with applications of the official libraries, over real sockets.

mod house;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use call::counter::Counters;
use call::dialect::Purpose;
use call::http::{Http, HttpPolicy, Network};
use call::link::{self, Ask, Event, Farewell, LinkHandle, NoAnswer, Tell};
use call::verb::{Fetch, Method};
use jambonz::change::{Change, ParticipantAction};
use jambonz::frames::{Command, Frame, read};
use jambonz::link::Link;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(30);

/// A program that runs.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u64,
}

impl Program {
    async fn start(library: &str, port: u64) -> Self {
        let mut child = tokio::process::Command::from(house::program("link.cjs"))
            .args([library, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let lines = BufReader::new(child.stdout.take().expect("its output is a pipe")).lines();
        let mut program = Self { child, lines, port };
        let listening = program.says().await;
        assert_eq!(listening[0], "listening", "{listening}");
        program.port = listening[1].as_u64().expect("a port");
        program
    }

    /// What it saw next.
    async fn says(&mut self) -> Value {
        let line = tokio::time::timeout(LIMIT, self.lines.next_line()).await.expect("it says something in time");
        serde_json::from_str(&line.expect("its output is text").expect("it runs")).expect("a line is JSON")
    }

    async fn kill(mut self) {
        self.child.kill().await.expect("it ends");
    }
}

/// A call with such an application.
struct Call {
    link: LinkHandle,
    events: mpsc::Receiver<Event>,
    asked: u64,
}

impl Call {
    fn with(program: &Program) -> Self {
        let http = Http::new(HttpPolicy {
            allowed: Network::parse("127.0.0.0/8").into_iter().collect(),
            ..HttpPolicy::default()
        });
        let application = Fetch::new(format!("ws://127.0.0.1:{}/app", program.port), Method::Link);
        let protocol = Box::new(Link::to(&application).expect("a socket's URL"));
        let (owner, events) = mpsc::channel::<Event>(16);
        let counters = Arc::new(Counters::default());
        Self { link: link::start(http, counters, protocol, Arc::new(owner)), events, asked: 0 }
    }

    fn ask(&mut self, purpose: Purpose, hook: &str, body: &Value) -> u64 {
        self.asked += 1;
        let call = house::call().call_sid;
        let ask = Ask { number: self.asked, call, purpose, hook: hook.to_owned(), body: body.to_string() };
        self.link.ask(ask).expect("there is room");
        self.asked
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(LIMIT, self.events.recv())
            .await
            .expect("something happens in time")
            .expect("the link lives")
    }

    /// The answer to this question, which must be the next event: its verbs, or none.
    async fn answer(&mut self, expected: u64) -> Result<Option<Vec<String>>, NoAnswer> {
        match self.event().await {
            Event::Answered { number, answer, .. } if number == expected => {
                answer.map(|document| document.as_deref().map(verbs))
            }
            other => panic!("{other:?} in place of the answer to {expected}"),
        }
    }

    async fn command(&mut self) -> Command {
        match self.event().await {
            Event::Command { call, frame } => {
                let Ok(Frame::Command(command)) = read(&frame) else { panic!("{frame}") };
                assert_eq!(call, command.call_sid);
                command
            }
            other => panic!("{other:?} in place of a command"),
        }
    }

    fn tell(&self, message: &'static str, hook: Option<&str>, body: &Value) {
        let call = house::call().call_sid;
        self.link.tell(Tell { message, call, hook: hook.map(str::to_owned), body: body.to_string() });
    }

    /// The first question, and its answer.
    async fn begin(&mut self, program: &mut Program) {
        let body = serde_json::from_str(&house::call().body().to_string()).expect("JSON");
        let first = self.ask(Purpose::Answer, "/app", &body);
        assert_eq!(self.answer(first).await, Ok(Some(vec!["answer".into(), "say".into(), "conference".into()])));
        assert_eq!(program.says().await, json!(["session:new", house::call().call_sid, "ws.jambonz.org"]));
    }
}

/// The names of a document's verbs.
fn verbs(document: &str) -> Vec<String> {
    let document = jambonz::json::parse(document.as_bytes()).expect("JSON");
    let verbs = jambonz::verbs::instructions(&document).expect("verbs");
    verbs.iter().map(|instruction| instruction.verb.name().to_owned()).collect()
}

#[tokio::test]
async fn an_application_answers_commands_and_acknowledges() {
    tokio::join!(converse("old"), converse("sdk"));
}

async fn converse(library: &str) {
    let mut program = Program::start(library, 0).await;
    let mut call = Call::with(&program);
    call.begin(&mut program).await;

    call.tell("call:status", None, &json!({"call_status": "in-progress"}));
    assert_eq!(program.says().await, json!(["call:status", "in-progress"]));
    let coach = Change::Participant(ParticipantAction::Coach("agent".to_owned()));
    assert_eq!(call.command().await, Command { call_sid: None, change: coach });
    let other = Some("33333333-3333-4333-8333-333333333333".to_owned());
    let uncoach = Change::Participant(ParticipantAction::Uncoach);
    assert_eq!(call.command().await, Command { call_sid: other, change: uncoach });

    // A hook that the program answers with verbs, one that nobody listens for, and an event that is acknowledged twice.
    let done = call.ask(Purpose::Enter, "/done", &json!({"call_sid": "c"}));
    assert_eq!(call.answer(done).await, Ok(Some(vec!["say".to_owned()])));
    assert_eq!(program.says().await, json!(["/done", "c"]));
    let nobody = call.ask(Purpose::Enter, "/nobody", &json!({}));
    assert_eq!(call.answer(nobody).await, Ok(None));
    call.tell("verb:hook", Some("/status"), &json!({"event": "join"}));
    assert_eq!(program.says().await, json!(["/status", "join"]));
    let status = call.ask(Purpose::Enter, "/status", &json!({"event": "leave"}));
    assert_eq!(call.answer(status).await, Ok(None));
    assert_eq!(program.says().await, json!(["/status", "leave"]));

    let malformed = call.ask(Purpose::Enter, "/malformed", &json!({}));
    assert_eq!(call.answer(malformed).await, Ok(None));
    let error = program.says().await;
    assert_eq!(error[0], "jambonz:error", "{error}");

    // One without an ack is given up, and the conversation goes on.
    let mute = call.ask(Purpose::Enter, "/mute", &json!({}));
    assert_eq!(program.says().await, json!(["/mute"]));
    assert_eq!(call.answer(mute).await, Err(NoAnswer::Late));
    let again = call.ask(Purpose::Redirect, "/done", &json!({"call_sid": "d"}));
    assert_eq!(call.answer(again).await, Ok(Some(vec!["say".to_owned()])));
    assert_eq!(program.says().await, json!(["/done", "d"]));

    call.link.end(Farewell::Over);
    assert_eq!(program.says().await, json!(["close", 1000]), "{library}");
}

#[tokio::test]
async fn an_application_that_is_killed_and_comes_back_goes_on_with_the_call() {
    tokio::join!(come_back("old"), come_back("sdk"));
}

async fn come_back(library: &str) {
    let mut program = Program::start(library, 0).await;
    let mut call = Call::with(&program);
    call.begin(&mut program).await;
    let port = program.port;
    let lost = call.ask(Purpose::Enter, "/mute", &json!({}));
    assert_eq!(program.says().await, json!(["/mute"]));
    program.kill().await;
    assert_eq!(call.answer(lost).await, Err(NoAnswer::Interrupted));
    // What happens meanwhile waits.
    call.tell("call:status", None, &json!({"call_status": "in-progress"}));
    let done = call.ask(Purpose::Enter, "/done", &json!({"call_sid": "c"}));

    let mut program = Program::start(library, port).await;
    // The newer library begins anew, with verbs, which are not run again; the older one has an event for it.
    let kind = if library == "old" { "session:reconnect" } else { "session:new" };
    assert_eq!(program.says().await, json!([kind, house::call().call_sid, "ws.jambonz.org"]));
    assert_eq!(program.says().await, json!(["call:status", "in-progress"]));
    assert_eq!(program.says().await, json!(["/done", "c"]));
    let mut commands = 0;
    loop {
        match call.event().await {
            Event::Command { .. } => commands += 1,
            Event::Answered { number, answer, .. } => {
                assert_eq!(number, done, "the first question is not answered a second time");
                assert_eq!(answer.map(|document| document.as_deref().map(verbs)), Ok(Some(vec!["say".to_owned()])));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(commands, 2);
    call.link.end(Farewell::BadInstructions);
    assert_eq!(program.says().await, json!(["close", 1001]), "{library}");
}

#[tokio::test]
async fn an_application_that_leaves_is_not_sought_and_one_that_is_gone_is_lost() {
    tokio::join!(leave("old"), leave("sdk"));
}

async fn leave(library: &str) {
    let mut program = Program::start(library, 0).await;
    let mut call = Call::with(&program);
    call.begin(&mut program).await;
    let asked = call.ask(Purpose::Enter, "/leave", &json!({}));
    assert_eq!(call.answer(asked).await, Err(NoAnswer::Left));
    assert_eq!(call.event().await, Event::Left);
    assert_eq!(program.says().await, json!(["close", 1000]), "{library}");

    let mut call = Call::with(&program);
    call.begin(&mut program).await;
    program.kill().await;
    // 0.5, 1, 2 and 4 s later it is still gone.
    match call.event().await {
        Event::Lost(why) => assert!(why.contains("5 connections"), "{why}"),
        other => panic!("{other:?}"),
    }
}
