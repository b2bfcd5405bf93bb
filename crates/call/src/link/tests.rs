//! The task, with a protocol of plain words and a server on loopback: `ask N` is answered by `answer N text`, anything else
//! that the server says is a command.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::TaskTracker;

use super::*;
use crate::counter::Counters;
use crate::http::HttpError;
use crate::websocket::tests::{PROTOCOL, Server, http, listen};

struct Plain {
    url: String,
    connected: bool,
    outputs: VecDeque<Output>,
}

impl Plain {
    fn send(&mut self, text: String) {
        self.outputs.push_back(Output::Send(text));
    }
}

impl Protocol for Plain {
    fn subprotocol(&self) -> &'static str {
        PROTOCOL
    }
    fn largest(&self) -> usize {
        64 * 1024
    }
    fn connected(&mut self, _: Duration) {
        self.connected = true;
        self.send("hello".to_owned());
    }
    fn failed(&mut self, error: &HttpError, _: Duration) {
        self.outputs.extend([Output::Lost(error.to_string()), Output::Close(1001)]);
    }
    fn received(&mut self, text: &str, _: Duration) {
        let mut words = text.splitn(3, ' ');
        match (words.next(), words.next().and_then(|number| number.parse().ok()), words.next()) {
            (Some("answer"), Some(number), Some(text)) => {
                self.outputs.push_back(Output::Answered(number, Ok(Some(text.to_owned()))));
            }
            _ => self.outputs.push_back(Output::Command { call: None, frame: text.to_owned() }),
        }
    }
    fn received_binary(&mut self, bytes: usize, _: Duration) {
        self.send(format!("no to {bytes} bytes"));
    }
    fn closed(&mut self, code: Option<u16>, _: Duration) {
        self.outputs.extend([Output::Lost(format!("{code:?}")), Output::Close(1001)]);
    }
    fn ask(&mut self, ask: Ask, _: Duration) {
        if self.connected {
            self.send(format!("ask {} of {}", ask.number, ask.call));
        } else {
            self.outputs.push_back(Output::Connect { url: self.url.clone(), auth: None });
        }
    }
    fn tell(&mut self, tell: Tell, _: Duration) {
        self.send(tell.body);
    }
    fn end(&mut self, _: Farewell, _: Duration) {
        self.outputs.push_back(Output::Close(1000));
    }
    fn next_timeout(&self) -> Option<Duration> {
        None
    }
    fn handle_timeout(&mut self, _: Duration) {}
    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

fn ask(number: u64, call: &str) -> Ask {
    let (hook, body) = ("/hook".to_owned(), "{}".to_owned());
    Ask { number, call: call.to_owned(), purpose: Purpose::Redirect, hook, body }
}

fn tell(body: impl Into<String>) -> Tell {
    Tell { message: "told", call: "call".to_owned(), hook: None, body: body.into() }
}

/// A link whose connection stands. The first question, number 99, is what connected it.
async fn linked(events: usize) -> (LinkHandle, mpsc::Receiver<Event>, Server, Arc<Counters>, TcpListener) {
    let (listener, url) = listen().await;
    let (owner, heard) = mpsc::channel(events);
    let counters = Arc::new(Counters::default());
    let plain = Box::new(Plain { url, connected: false, outputs: VecDeque::new() });
    let handle = start(http(), Arc::clone(&counters), plain, Arc::new(owner));
    handle.ask(ask(99, "call")).expect("room");
    let (mut server, _) = Server::accept(&listener, Some(PROTOCOL)).await;
    assert_eq!(text(&mut server).await, "hello");
    (handle, heard, server, counters, listener)
}

async fn text(server: &mut Server) -> String {
    match server.read().await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("{other:?}"),
    }
}

async fn close_code(server: &mut Server) -> u16 {
    match server.read().await {
        Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
        other => panic!("{other:?}"),
    }
}

fn answered(number: u64, text: &str) -> Event {
    Event::Answered { number, purpose: Purpose::Redirect, answer: Ok(Some(text.to_owned())) }
}

fn command(frame: &str) -> Event {
    Event::Command { call: None, frame: frame.to_owned() }
}

#[tokio::test]
async fn answers_and_commands_are_heard_in_the_order_in_which_the_program_gave_them() {
    let (handle, mut heard, mut server, ..) = linked(1).await;
    handle.ask(ask(7, "call")).expect("room");
    assert_eq!(text(&mut server).await, "ask 2 of call");
    for message in ["tag me", "answer 2 room", "coach agent", "answer 2 again", "mute"] {
        server.write(Message::text(message)).await;
    }
    for expected in [command("tag me"), answered(7, "room"), command("coach agent"), command("mute")] {
        assert_eq!(heard.recv().await, Some(expected));
    }
}

#[tokio::test]
async fn a_link_is_counted_as_long_as_it_lives() {
    let (handle, mut heard, mut server, counters, _listener) = linked(1).await;
    assert_eq!(counters.links_live.get(), 1);
    let other = handle.for_call(Arc::new(mpsc::channel::<Event>(1).0));
    assert_eq!(counters.links_live.get(), 1, "two calls have one link");
    handle.end(Farewell::Over);
    drop((handle, other));
    assert_eq!(close_code(&mut server).await, 1000);
    while heard.recv().await.is_some() {}
    assert_eq!(counters.links_live.get(), 0);
}

#[tokio::test]
async fn a_program_that_floods_is_paced_loses_nothing_and_is_still_told_things() {
    const FLOOD: usize = 30_000;
    let (handle, mut heard, mut server, ..) = linked(1).await;
    let (done, mut finished) = mpsc::channel(1);
    let peer = tokio::spawn(async move {
        for number in 0..FLOOD {
            server.write(Message::text(format!("do {number:>1000}"))).await;
        }
        done.send(()).await.expect("somebody waits");
        assert_eq!(text(&mut server).await, "told meanwhile");
        server
    });
    assert!(tokio::time::timeout(Duration::from_millis(500), finished.recv()).await.is_err(), "it is not read from");
    handle.tell(tell("told meanwhile"));
    for number in 0..FLOOD {
        assert_eq!(heard.recv().await, Some(command(&format!("do {number:>1000}"))));
    }
    let mut server = peer.await.expect("it was told");
    handle.end(Farewell::Over);
    assert_eq!(close_code(&mut server).await, 1000);
}

#[tokio::test]
async fn a_dialled_call_hears_its_own_answers_and_the_owner_hears_the_commands() {
    let (handle, mut heard, mut server, ..) = linked(8).await;
    let (child, mut child_heard) = mpsc::channel::<Event>(8);
    let child = handle.for_call(Arc::new(child));
    handle.ask(ask(5, "parent")).expect("room");
    child.ask(ask(5, "child")).expect("room");
    assert_eq!(text(&mut server).await, "ask 2 of parent");
    assert_eq!(text(&mut server).await, "ask 3 of child");
    for message in ["do it", "answer 3 for the child", "answer 2 for the parent"] {
        server.write(Message::text(message)).await;
    }
    assert_eq!(child_heard.recv().await, Some(answered(5, "for the child")));
    assert_eq!(heard.recv().await, Some(command("do it")));
    assert_eq!(heard.recv().await, Some(answered(5, "for the parent")));
    drop(child_heard);
    child.ask(ask(6, "child")).expect("room");
    assert_eq!(text(&mut server).await, "ask 4 of child");
    server.write(Message::text("answer 4 nobody")).await;
    server.write(Message::text("go on")).await;
    assert_eq!(heard.recv().await, Some(command("go on")), "a dialled call that is over takes nobody with it");
}

#[tokio::test]
async fn what_was_told_before_the_end_is_sent_and_questions_are_answered() {
    let (handle, mut heard, mut server, ..) = linked(8).await;
    handle.ask(ask(7, "call")).expect("room");
    for number in 0..50 {
        handle.tell(tell(format!("news {number}")));
    }
    handle.end(Farewell::Over);
    assert_eq!(text(&mut server).await, "ask 2 of call");
    for number in 0..50 {
        assert_eq!(text(&mut server).await, format!("news {number}"));
    }
    assert_eq!(close_code(&mut server).await, 1000);
    let mut numbers = Vec::new();
    while let Some(event) = heard.recv().await {
        let Event::Answered { number, answer: Err(NoAnswer::Over), .. } = event else { panic!("{event:?}") };
        numbers.push(number);
        if numbers.len() == 2 {
            break;
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [7, 99]);
    assert!(handle.is_over());
    assert_eq!(handle.ask(ask(8, "call")), Err(NoAnswer::Over));
}

#[tokio::test]
async fn a_link_that_nobody_has_any_more_is_closed() {
    let (handle, heard, mut server, ..) = linked(8).await;
    handle.tell(tell("last"));
    drop(handle);
    assert_eq!(text(&mut server).await, "last");
    assert_eq!(close_code(&mut server).await, 1000);
    drop(heard);
    let (_handle, heard, mut server, ..) = linked(8).await;
    drop(heard);
    server.write(Message::text("do")).await;
    assert_eq!(close_code(&mut server).await, 1000, "its call is over");
}

#[tokio::test]
async fn a_program_that_leaves_too_much_unread_counts_as_gone() {
    let (handle, mut heard, server, counters, _listener) = linked(8).await;
    let lost = tokio::spawn(async move {
        loop {
            match heard.recv().await {
                Some(Event::Lost(why)) => break why,
                Some(_) => {}
                None => panic!("it ended without a word"),
            }
        }
    });
    for _ in 0..2_000 {
        handle.tell(tell("x".repeat(32 * 1024)));
        tokio::task::yield_now().await;
    }
    assert!(!lost.is_finished(), "it has 5 s");
    assert_eq!(lost.await.ok().as_deref(), Some("None"));
    assert_eq!(counters.links_lost.get(), 1);
    assert!(counters.link_messages_dropped.get() > 0, "what was not sent is counted");
    drop(server);
}

#[tokio::test]
async fn a_program_that_reads_is_told_everything_however_much_comes_at_once() {
    let (handle, _heard, mut server, counters, _listener) = linked(8).await;
    for number in 0..200 {
        handle.tell(tell(format!("{number}:{}", "x".repeat(32 * 1024))));
    }
    for number in 0..200 {
        assert!(text(&mut server).await.starts_with(&format!("{number}:")));
    }
    assert_eq!(counters.link_messages_dropped.get(), 0);
}

#[tokio::test]
async fn a_program_that_cannot_be_reached_is_lost() {
    let (listener, url) = listen().await;
    drop(listener);
    let (owner, mut heard) = mpsc::channel::<Event>(8);
    let plain = Box::new(Plain { url, connected: false, outputs: VecDeque::new() });
    let handle = start(http(), Arc::default(), plain, Arc::new(owner));
    handle.ask(ask(1, "call")).expect("room");
    assert!(matches!(heard.recv().await, Some(Event::Lost(why)) if why.contains("no connection to 127.0.0.1")));
    let over = Event::Answered { number: 1, purpose: Purpose::Redirect, answer: Err(NoAnswer::Over) };
    assert_eq!(heard.recv().await, Some(over));
}

#[tokio::test]
async fn whoever_waits_for_the_tasks_of_links_waits_until_all_is_said_and_closed() {
    let (listener, url) = listen().await;
    let (owner, _heard) = mpsc::channel::<Event>(8);
    let counters = Arc::new(Counters::default());
    let plain = Box::new(Plain { url, connected: false, outputs: VecDeque::new() });
    let tasks = TaskTracker::new();
    let handle = start_in(&tasks, http(), Arc::clone(&counters), plain, Arc::new(owner));
    handle.ask(ask(99, "call")).expect("room");
    let (mut server, _) = Server::accept(&listener, Some(PROTOCOL)).await;
    assert_eq!(text(&mut server).await, "hello");
    handle.tell(tell("the last"));
    handle.end(Farewell::Over);
    tasks.close();
    let program = async {
        let last = text(&mut server).await;
        (last, close_code(&mut server).await)
    };
    let over = async {
        tasks.wait().await;
        counters.links_live.get()
    };
    let both = async { tokio::join!(program, over) };
    let (said, live) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("it ends");
    assert_eq!(said, ("the last".to_owned(), 1000));
    assert_eq!(live, 0, "nobody waited for the link");
}
