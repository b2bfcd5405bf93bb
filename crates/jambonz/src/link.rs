//! The conversation with the WebSocket application of one call, sans-IO.
//!
//! The first frame of a connection opens it (`session:new`, `session:adulting`, or `session:reconnect` on those that
//! follow); everything else waits until it may be sent. What wants an ack waits 5 s for it. A program that closes with 1000
//! has left; a connection that ends otherwise is sought again after 0.5, 1, 2 and 4 s.

use std::collections::VecDeque;
use std::time::Duration;

use call::dialect::Purpose;
use call::http::HttpError;
use call::link::{Ask, Farewell, NoAnswer, Output, Protocol, Tell};
use call::verb::Fetch;

use crate::frames::{self, Answer, Envelope, Frame, LARGEST_FRAME, MessageType, SUBPROTOCOL};
use crate::hook::{Address, Base, BasicAuth, Hook, HookMethod, Retries};
use crate::hooks::{self, ErrorReport};
use crate::json::{self, Object, Value};

/// Longest time until an ack.
const ACK: Duration = Duration::from_secs(5);
/// Pause before the first further attempt to connect; each one after that waits twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// Most connections that are tried, the one that stood first counted in.
const MOST_CONNECTIONS: u32 = 5;
/// Most questions without an answer, and most messages that wait for a connection.
const MOST_WAITING: usize = 256;
/// Longest time that a question waits to be sent.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The call is over (RFC 6455, section 7.4.1).
const NORMAL: u16 = 1000;
/// The call cannot go on with this application.
const GOING_AWAY: u16 = 1001;

/// The conversation with one call's application.
#[derive(Debug)]
pub struct Link {
    url: String,
    auth: Option<BasicAuth>,
    retries: Retries,
    state: State,
    opening: Option<Opening>,
    /// Asked, and not answered; in the order in which they were sent.
    asked: Vec<Asked>,
    /// What waits to be sent.
    queue: VecDeque<Queued>,
    /// Attempts to connect that failed before one stood.
    failures: u32,
    /// Attempts from the first that stood.
    connections: u32,
    messages: u64,
    /// The close code, once everything is sent.
    ending: Option<u16>,
    outputs: VecDeque<Output>,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Nothing has been asked that opens a connection.
    Idle,
    Connecting,
    /// No connection; the next attempt is then.
    Pausing(Duration),
    Open,
    /// `session:reconnect` was sent.
    Resuming {
        msgid: String,
        until: Duration,
    },
    Over,
}

/// What opens the first connection, and is repeated on the others.
#[derive(Debug)]
struct Opening {
    kind: MessageType,
    call: String,
    data: Object,
    /// It was sent.
    sent: bool,
    /// The question, until it is answered.
    number: Option<u64>,
}

#[derive(Debug)]
struct Asked {
    msgid: String,
    number: u64,
    until: Duration,
    opens: bool,
}

#[derive(Debug)]
struct Queued {
    kind: MessageType,
    call: String,
    hook: Option<String>,
    data: Object,
    /// The question, and how long it may wait.
    asked: Option<(u64, Duration)>,
    /// Said though the call is over meanwhile: what is told, and how a verb ended.
    owed: bool,
}

impl Link {
    /// The conversation with the application at this hook; `None` if it is no absolute URL that a WebSocket can be opened to.
    pub fn to(application: &Fetch) -> Option<Self> {
        let hook =
            Hook { url: application.url.clone(), method: Some(HookMethod::Link), auth: application.auth.clone() };
        match Base::of(&hook).and_then(|base| base.address()) {
            Ok(Address::Socket { url, retries, .. }) => Some(Self::new(url, application.auth.clone(), retries)),
            _ => None,
        }
    }

    fn new(url: String, auth: Option<BasicAuth>, retries: Retries) -> Self {
        Self {
            url,
            auth,
            retries,
            state: State::Idle,
            opening: None,
            asked: Vec::new(),
            queue: VecDeque::new(),
            failures: 0,
            connections: 0,
            messages: 0,
            ending: None,
            outputs: VecDeque::new(),
        }
    }

    fn answer(&mut self, number: u64, answer: Result<Option<String>, NoAnswer>) {
        self.outputs.push_back(Output::Answered(number, answer));
    }

    fn connect(&mut self) {
        if self.is_opened() {
            self.connections += 1;
        }
        self.state = State::Connecting;
        self.outputs.push_back(Output::Connect { url: self.url.clone(), auth: self.auth.clone() });
    }

    /// Whether a connection has stood.
    fn is_opened(&self) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.sent)
    }

    /// Sends a frame; its id.
    fn write(&mut self, kind: MessageType, call: &str, hook: Option<String>, data: Object) -> String {
        self.messages += 1;
        let prefix = self.opening.as_ref().map_or("", |opening| opening.call.get(..8).unwrap_or(&opening.call));
        let msgid = format!("{prefix}-{}", self.messages);
        let takes_hook =
            matches!(kind, MessageType::VerbHook | MessageType::DialConfirm | MessageType::SessionRedirect);
        let hook = if takes_hook { hook } else { None };
        let frame = Envelope { kind, msgid: msgid.clone(), call_sid: call.to_owned(), hook, data };
        self.outputs.push_back(Output::Send(frame.to_string()));
        msgid
    }

    fn send(&mut self, message: Queued, now: Duration) {
        let msgid = self.write(message.kind, &message.call, message.hook, message.data);
        if let Some((number, _)) = message.asked {
            self.asked.push(Asked { msgid, number, until: now + ACK, opens: false });
        }
    }

    /// Sends a message, or lets it wait until it may be sent.
    fn say(&mut self, message: Queued, now: Duration) {
        if self.state == State::Open {
            self.send(message, now);
        } else if self.queue.len() < MOST_WAITING {
            self.queue.push_back(message);
        } else {
            self.leave_out(message, NoAnswer::Full);
        }
    }

    /// A message that is not sent.
    fn leave_out(&mut self, message: Queued, why: NoAnswer) {
        match message.asked {
            Some((number, _)) => self.answer(number, Err(why)),
            None => self.outputs.push_back(Output::Dropped),
        }
    }

    /// The connection stands, and whatever waits may be sent.
    fn open(&mut self, now: Duration) {
        self.state = State::Open;
        while let Some(message) = self.queue.pop_front() {
            self.send(message, now);
        }
        if let Some(code) = self.ending {
            self.finish(code, NoAnswer::Over);
        }
    }

    /// A connection that stood is gone.
    fn seek(&mut self, now: Duration) {
        if self.connections >= MOST_CONNECTIONS {
            return self
                .lose(format!("{MOST_CONNECTIONS} connections to the application were lost or could not be made"));
        }
        let pause = PAUSE.saturating_mul(1 << self.connections.saturating_sub(1).min(8));
        self.state = State::Pausing(now + pause);
    }

    fn lose(&mut self, reason: String) {
        // Told first: whoever waits for an answer ends with it, and then says nothing more.
        if self.ending.is_none() {
            self.outputs.push_back(Output::Lost(reason));
        }
        self.finish(GOING_AWAY, NoAnswer::Lost);
    }

    /// The last output.
    fn finish(&mut self, code: u16, why: NoAnswer) {
        self.drop_all(why);
        self.state = State::Over;
        self.outputs.push_back(Output::Close(code));
    }

    /// Answers everything that is asked, and forgets what waits.
    fn drop_all(&mut self, why: NoAnswer) {
        self.interrupt(why);
        if let Some(number) = self.opening.as_mut().and_then(|opening| opening.number.take()) {
            self.answer(number, Err(why));
        }
        for message in std::mem::take(&mut self.queue) {
            self.leave_out(message, why);
        }
    }

    /// Answers what was sent and asked, but for what opens the connection.
    fn interrupt(&mut self, why: NoAnswer) {
        for asked in std::mem::take(&mut self.asked) {
            if !asked.opens {
                self.answer(asked.number, Err(why));
            }
        }
    }

    fn acknowledged(&mut self, msgid: &str, answer: Option<String>, now: Duration) {
        if let State::Resuming { msgid: awaited, .. } = &self.state
            && awaited == msgid
        {
            // A program that has answered already says here what it said then.
            if let Some(opening) = &mut self.opening
                && let Some(number) = opening.number.take()
            {
                let answer = answer.filter(|_| opening.kind != MessageType::SessionAdulting);
                self.answer(number, Ok(answer));
            }
            return self.open(now);
        }
        // One that nobody waits for, or that came before, is passed over.
        let Some(place) = self.asked.iter().position(|asked| asked.msgid == msgid) else { return };
        let asked = self.asked.remove(place);
        let mut answer = answer;
        if asked.opens
            && let Some(opening) = &mut self.opening
        {
            opening.number = None;
            answer = answer.filter(|_| opening.kind != MessageType::SessionAdulting);
        }
        self.answer(asked.number, Ok(answer));
    }

    fn complain(&mut self, report: Object, now: Duration) {
        let call = self.opening.as_ref().map(|opening| opening.call.clone()).unwrap_or_default();
        self.say(Queued { kind: MessageType::Error, call, hook: None, data: report, asked: None, owed: true }, now);
    }
}

impl Protocol for Link {
    fn subprotocol(&self) -> &'static str {
        SUBPROTOCOL
    }

    fn largest(&self) -> usize {
        // So that a frame that is too large is answered, and does not cost the connection.
        8 * LARGEST_FRAME
    }

    fn connected(&mut self, now: Duration) {
        if self.state != State::Connecting {
            return;
        }
        let Some(opening) = &mut self.opening else { return };
        let (call, data) = (opening.call.clone(), opening.data.clone());
        if opening.sent {
            let msgid = self.write(MessageType::SessionReconnect, &call, None, data);
            self.state = State::Resuming { msgid, until: now + ACK };
            return;
        }
        opening.sent = true;
        let (kind, number) = (opening.kind, opening.number);
        self.connections = 1;
        let msgid = self.write(kind, &call, None, data);
        self.asked.extend(number.map(|number| Asked { msgid, number, until: now + ACK, opens: true }));
        self.open(now);
    }

    fn failed(&mut self, error: &HttpError, now: Duration) {
        if self.state != State::Connecting {
            return;
        }
        if self.is_opened() {
            return self.seek(now);
        }
        let retries = self.retries;
        let again = match error {
            HttpError::Connect { .. } => retries.connect,
            // Nobody knows whether it was the connection that did not come or the answer.
            HttpError::Timeout { .. } => retries.connect || retries.timeout,
            HttpError::Status { status, .. } if *status >= 500 => retries.status_5xx,
            HttpError::Status { status, .. } if *status >= 400 => retries.status_4xx,
            _ => false,
        };
        if !again || self.failures >= retries.count {
            return self.lose(format!("the application cannot be reached: {error}"));
        }
        let pause = PAUSE.saturating_mul(1 << self.failures.min(8));
        self.failures += 1;
        self.state = State::Pausing(now + pause);
    }

    fn received(&mut self, text: &str, now: Duration) {
        if !matches!(self.state, State::Open | State::Resuming { .. }) {
            return;
        }
        match frames::read(text) {
            Ok(Frame::Ack { msgid, answer: Answer::Nothing }) => self.acknowledged(&msgid, None, now),
            Ok(Frame::Ack { msgid, .. }) => self.acknowledged(&msgid, data_of(text), now),
            Ok(Frame::Command(command)) => {
                self.outputs.push_back(Output::Command { call: command.call_sid, frame: text.to_owned() });
            }
            Err(error) => self.complain(error.report(text), now),
        }
    }

    fn received_binary(&mut self, bytes: usize, now: Duration) {
        let details = format!("the message is binary, of {bytes} bytes; send JSON as text");
        let report = ErrorReport { msg: "InvalidMessage", details: &details, ..ErrorReport::default() };
        self.complain(hooks::error(&report), now);
    }

    fn closed(&mut self, code: Option<u16>, now: Duration) {
        if !matches!(self.state, State::Open | State::Resuming { .. }) {
            return;
        }
        if code == Some(NORMAL) {
            self.drop_all(NoAnswer::Left);
            self.outputs.push_back(Output::Left);
            return self.finish(NORMAL, NoAnswer::Left);
        }
        self.interrupt(NoAnswer::Interrupted);
        self.seek(now);
    }

    fn ask(&mut self, ask: Ask, now: Duration) {
        let opens = self.opening.is_none();
        let kind = match ask.purpose {
            Purpose::Adulting(_) if opens => MessageType::SessionAdulting,
            Purpose::Answer | Purpose::Fallback | Purpose::Redirect | Purpose::Transfer if opens => {
                MessageType::SessionNew
            }
            Purpose::Answer | Purpose::Fallback | Purpose::Redirect | Purpose::Transfer | Purpose::Adulting(_) => {
                MessageType::SessionRedirect
            }
            Purpose::Confirm => MessageType::DialConfirm,
            _ => MessageType::VerbHook,
        };
        if self.state == State::Over || self.ending.is_some() {
            return self.answer(ask.number, Err(NoAnswer::Over));
        }
        let data = object(&ask.body);
        if opens && kind.opens() {
            self.opening = Some(Opening { kind, call: ask.call, data, sent: false, number: Some(ask.number) });
            return self.connect();
        }
        if self.asked.len() >= MOST_WAITING {
            return self.answer(ask.number, Err(NoAnswer::Full));
        }
        let owed = matches!(ask.purpose, Purpose::Action(..));
        let asked = Some((ask.number, now + LONGEST_WAIT));
        self.say(Queued { kind, call: ask.call, hook: Some(ask.hook), data, asked, owed }, now);
    }

    fn tell(&mut self, tell: Tell, now: Duration) {
        let kinds = [MessageType::CallStatus, MessageType::VerbHook, MessageType::VerbStatus, MessageType::Error];
        match kinds.into_iter().find(|kind| kind.as_str() == tell.message) {
            Some(kind) if self.state != State::Over && self.ending.is_none() => {
                let data = object(&tell.body);
                self.say(Queued { kind, call: tell.call, hook: tell.hook, data, asked: None, owed: true }, now);
            }
            _ => self.outputs.push_back(Output::Dropped),
        }
    }

    fn end(&mut self, farewell: Farewell, _now: Duration) {
        if self.state == State::Over || self.ending.is_some() {
            return;
        }
        let code = match farewell {
            Farewell::Over => NORMAL,
            Farewell::BadInstructions => GOING_AWAY,
        };
        // What the program should know of the end is said once it is back, if it comes back.
        let (told, asked) = std::mem::take(&mut self.queue).into_iter().partition(|message| message.owed);
        self.queue = asked;
        let seeks = self.is_opened() && self.state != State::Open;
        if !seeks || told.is_empty() {
            self.queue.extend(told);
            return self.finish(code, NoAnswer::Over);
        }
        self.drop_all(NoAnswer::Over);
        self.queue = told;
        self.ending = Some(code);
    }

    fn next_timeout(&self) -> Option<Duration> {
        let state = match &self.state {
            State::Pausing(until) | State::Resuming { until, .. } => Some(*until),
            _ => None,
        };
        let asked = self.asked.iter().map(|asked| asked.until).min();
        let queued = self.queue.iter().filter_map(|message| Some(message.asked?.1)).min();
        state.into_iter().chain(asked).chain(queued).min()
    }

    fn handle_timeout(&mut self, now: Duration) {
        match &self.state {
            State::Pausing(until) if *until <= now => self.connect(),
            State::Resuming { until, .. } if *until <= now => {
                return self.lose(format!("the application did not acknowledge session:reconnect within {ACK:?}"));
            }
            _ => {}
        }
        if self.asked.iter().any(|asked| asked.opens && asked.until <= now) {
            let kind = self.opening.as_ref().map_or(MessageType::SessionNew, |opening| opening.kind).as_str();
            return self.lose(format!("the application did not acknowledge {kind} within {ACK:?}"));
        }
        let late = self.asked.extract_if(.., |asked| asked.until <= now).map(|asked| asked.number);
        let mut late: Vec<u64> = late.collect();
        self.queue.retain(|message| match message.asked {
            Some((number, until)) if until <= now => {
                late.push(number);
                false
            }
            _ => true,
        });
        for number in late {
            self.answer(number, Err(NoAnswer::Late));
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

/// The text of an ack's data.
fn data_of(text: &str) -> Option<String> {
    let frame = json::parse(text.as_bytes()).ok()?;
    Some(frame.as_object()?.get("data")?.to_string())
}

/// The body of a frame, which has one in any case.
fn object(body: &str) -> Object {
    match json::parse(body.as_bytes()) {
        Ok(Value::Object(object)) => object,
        _ => Object::new(),
    }
}

#[cfg(test)]
mod tests;
