//! A call as its user sees it: handles and what happened.

mod facts;
mod session;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};

pub use facts::{CallError, CallState, Change, EndCause, Ended, Event, EventKind};
pub(crate) use session::{incoming, outgoing};

use crate::media::{Ear, Line, LineError, Misbehave, Mouth, Remote, Switched};
use crate::ua::message::{Headers, Response};
use crate::ua::sdp::Direction;

/// Events kept per call.
const EVENTS_KEPT: usize = 1_000;

pub(crate) enum Command {
    Provisional {
        code: u16,
        media: bool,
        headers: Vec<(String, String)>,
        reply: oneshot::Sender<Result<(), CallError>>,
    },
    Answer {
        headers: Vec<(String, String)>,
        reply: oneshot::Sender<Result<(), CallError>>,
    },
    Reject {
        code: u16,
        reason: String,
        headers: Vec<(String, String)>,
        reply: oneshot::Sender<Result<(), CallError>>,
    },
    Hangup {
        headers: Vec<(String, String)>,
        reply: oneshot::Sender<Result<(), CallError>>,
    },
    Change {
        change: Change,
        reply: oneshot::Sender<Result<(), CallError>>,
    },
    Request {
        method: String,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
        reply: oneshot::Sender<Result<Response, CallError>>,
    },
}

/// What handle and session share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub state: watch::Sender<CallState>,
    events: Mutex<(VecDeque<Event>, u64)>,
    happened: watch::Sender<u64>,
    pub lines: Mutex<Vec<Arc<Line>>>,
    pub mouth: Mutex<Mouth>,
    pub invite: Mutex<Headers>,
    pub answer: Mutex<Headers>,
    pub remote: Mutex<Option<Remote>>,
    pub local_description: Mutex<Option<String>>,
    pub remote_description: Mutex<Option<String>>,
    pub call_id: String,
    pub from: String,
    pub to: String,
}

pub(crate) fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new(line: Arc<Line>, mouth: Mouth, call_id: String, from: String, to: String) -> Arc<Self> {
        Arc::new(Self {
            state: watch::Sender::new(CallState::Trying),
            events: Mutex::default(),
            happened: watch::Sender::new(0),
            lines: Mutex::new(vec![line]),
            mouth: Mutex::new(mouth),
            invite: Mutex::default(),
            answer: Mutex::default(),
            remote: Mutex::default(),
            local_description: Mutex::default(),
            remote_description: Mutex::default(),
            call_id,
            from,
            to,
        })
    }

    pub(crate) fn log(&self, kind: EventKind) {
        {
            let mut events = lock(&self.events);
            if events.0.len() == EVENTS_KEPT {
                events.0.pop_front();
                events.1 += 1;
            }
            events.0.push_back(Event { at: Instant::now(), kind });
        }
        self.happened.send_modify(|n| *n += 1);
    }

    fn line(&self) -> Option<Arc<Line>> {
        lock(&self.lines).last().cloned()
    }
}

/// A call in progress. Dropping it hangs up abruptly in the background (BYE or CANCEL is sent, nothing is awaited).
#[derive(Debug)]
pub struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Call {
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Command,
    ) -> Result<T, CallError> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(command(reply)).await.is_err() {
            return Err(self.over());
        }
        answer.await.unwrap_or_else(|_| Err(self.over()))
    }

    fn over(&self) -> CallError {
        match self.state() {
            CallState::Ended(e) => CallError::Ended(Box::new(e)),
            _ => CallError::Unplugged,
        }
    }

    /// Where the call is.
    pub fn state(&self) -> CallState {
        self.shared.state.borrow().clone()
    }

    /// Waits until the call is answered; an error if it ends first or `timeout` passes.
    pub async fn wait_answered(&self, timeout: Duration) -> Result<(), CallError> {
        match self.wait_state(timeout, |s| matches!(s, CallState::Answered | CallState::Ended(_))).await? {
            CallState::Ended(e) => Err(CallError::Ended(Box::new(e))),
            _ => Ok(()),
        }
    }

    /// Waits until the call is over.
    pub async fn wait_ended(&self, timeout: Duration) -> Result<Ended, CallError> {
        match self.wait_state(timeout, |s| matches!(s, CallState::Ended(_))).await? {
            CallState::Ended(e) => Ok(e),
            _ => Err(CallError::TimedOut(timeout)),
        }
    }

    /// Waits for a state.
    pub async fn wait_state(
        &self,
        timeout: Duration,
        wanted: impl FnMut(&CallState) -> bool,
    ) -> Result<CallState, CallError> {
        let mut state = self.shared.state.subscribe();
        let found = tokio::time::timeout(timeout, state.wait_for(wanted)).await;
        match found {
            Ok(Ok(s)) => Ok(s.clone()),
            Ok(Err(_)) => Err(CallError::Unplugged),
            Err(_) => Err(CallError::TimedOut(timeout)),
        }
    }

    /// Everything that happened so far (the last 1 000 events).
    pub fn events(&self) -> Vec<Event> {
        lock(&self.shared.events).0.iter().cloned().collect()
    }

    /// Events no longer kept.
    pub fn events_dropped(&self) -> u64 {
        lock(&self.shared.events).1
    }

    /// Waits for an event, past ones included.
    pub async fn wait_event(
        &self,
        timeout: Duration,
        mut wanted: impl FnMut(&EventKind) -> bool,
    ) -> Result<Event, CallError> {
        let mut happened = self.shared.happened.subscribe();
        let search = async {
            loop {
                happened.borrow_and_update();
                if let Some(e) = lock(&self.shared.events).0.iter().find(|e| wanted(&e.kind)) {
                    return Ok(e.clone());
                }
                if happened.changed().await.is_err() {
                    return Err(CallError::Unplugged);
                }
            }
        };
        tokio::time::timeout(timeout, search).await.unwrap_or(Err(CallError::TimedOut(timeout)))
    }

    /// Ends the call whatever its state: BYE, CANCEL, or 603 for a call not yet answered by us. Returns when the other side has confirmed.
    pub async fn hangup(&self) -> Result<(), CallError> {
        self.hangup_with(Vec::new()).await
    }

    /// As [`hangup`](Self::hangup) with extra header fields, e.g. a Reason.
    pub async fn hangup_with(&self, headers: Vec<(String, String)>) -> Result<(), CallError> {
        self.ask(|reply| Command::Hangup { headers, reply }).await
    }

    /// Holds by re-INVITE: `sendonly`, so that hold music could be sent. The mouth goes on.
    pub async fn hold(&self) -> Result<(), CallError> {
        self.reinvite(Change { direction: Some(Direction::SendOnly), ..Change::default() }).await
    }

    /// Holds by re-INVITE with `inactive`: nothing is sent either way.
    pub async fn hold_inactive(&self) -> Result<(), CallError> {
        self.reinvite(Change { direction: Some(Direction::Inactive), ..Change::default() }).await
    }

    /// Ends a hold.
    pub async fn resume(&self) -> Result<(), CallError> {
        self.reinvite(Change { direction: Some(Direction::SendRecv), ..Change::default() }).await
    }

    /// Changes the session; returns once the change is answered and media follows it.
    pub async fn reinvite(&self, change: Change) -> Result<(), CallError> {
        self.ask(|reply| Command::Change { change, reply }).await
    }

    /// Asks the other side to call somebody else (RFC 3515): `to` as Refer-To shall say it. Its reports are events (NOTIFY).
    pub async fn refer(&self, to: &str, mut headers: Vec<(String, String)>) -> Result<Response, CallError> {
        headers.insert(0, ("Refer-To".to_owned(), to.to_owned()));
        self.request("REFER", headers, Vec::new()).await
    }

    /// Any other request in the dialog (INFO, MESSAGE, NOTIFY …), a Content-Type among its headers; returns its final response.
    pub async fn request(
        &self,
        method: &str,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    ) -> Result<Response, CallError> {
        let method = method.to_owned();
        self.ask(|reply| Command::Request { method, headers, body, reply }).await
    }

    /// Sends digits as telephone events (RFC 4733). Returns when the last one is on the wire.
    pub async fn send_digits(&self, digits: &str) -> Result<(), CallError> {
        Ok(self.line()?.send_digits(digits).await?)
    }

    /// Sends digits as INFO requests with `application/dtmf-relay`.
    pub async fn send_digits_by_info(&self, digits: &str) -> Result<(), CallError> {
        for d in digits.chars() {
            let kind = vec![("Content-Type".to_owned(), "application/dtmf-relay".to_owned())];
            let r = self.request("INFO", kind, format!("Signal={d}\r\nDuration=160\r\n").into_bytes()).await?;
            if r.code >= 300 {
                return Err(CallError::Refused { code: r.code, reason: r.reason });
            }
        }
        Ok(())
    }

    /// Switches the mouth; see [`Line::say`].
    pub async fn say(&self, mouth: Mouth) -> Result<Switched, CallError> {
        *lock(&self.shared.mouth) = mouth.clone();
        Ok(self.line()?.say(mouth).await?)
    }

    /// Switches a fault.
    pub fn misbehave(&self, fault: Misbehave) -> Result<(), CallError> {
        Ok(self.line()?.misbehave(fault)?)
    }

    /// The current line. Fails only if the phone never had one.
    pub fn line(&self) -> Result<Arc<Line>, CallError> {
        self.shared.line().ok_or(CallError::Line(LineError::Closed))
    }

    /// Lines left behind by [`Change::new_port`], oldest first.
    pub fn earlier_lines(&self) -> Vec<Arc<Line>> {
        let lines = lock(&self.shared.lines);
        lines.split_last().map(|(_, earlier)| earlier.to_vec()).unwrap_or_default()
    }

    /// The current line's ear; it stays readable after the call.
    pub fn ear(&self) -> Arc<Ear> {
        self.shared.line().map_or_else(|| Arc::new(Ear::new(Duration::ZERO)), |l| Arc::clone(l.ear()))
    }

    /// Header fields of the INVITE: the one received, or the one sent.
    pub fn invite_headers(&self) -> Headers {
        lock(&self.shared.invite).clone()
    }

    /// Header fields of the final response to the INVITE: received, or sent. Empty before.
    pub fn answer_headers(&self) -> Headers {
        lock(&self.shared.answer).clone()
    }

    /// Header fields the other side sent first: of its INVITE, or of its final response (e.g. `X-CallUUID`, `X-PH-…`).
    pub fn headers(&self) -> Headers {
        lock(self.shared.remote_headers()).clone()
    }

    /// Where and how media is sent, once negotiated.
    pub fn remote(&self) -> Option<Remote> {
        lock(&self.shared.remote).clone()
    }

    /// The other side's last session description.
    pub fn remote_description(&self) -> Option<String> {
        lock(&self.shared.remote_description).clone()
    }

    /// Our last session description.
    pub fn local_description(&self) -> Option<String> {
        lock(&self.shared.local_description).clone()
    }

    /// Call-ID.
    pub fn call_id(&self) -> &str {
        &self.shared.call_id
    }

    /// From value of the INVITE.
    pub fn from(&self) -> &str {
        &self.shared.from
    }

    /// To value of the INVITE.
    pub fn to(&self) -> &str {
        &self.shared.to
    }
}

impl Shared {
    /// An INVITE we received has a Via that we did not write: it is stored before the session starts. One we sent is stored without Via.
    fn remote_headers(&self) -> &Mutex<Headers> {
        if lock(&self.invite).get("Via").is_some() { &self.invite } else { &self.answer }
    }
}

/// A call that wants to be answered. Dropping it unanswered rejects it.
#[derive(Debug)]
pub struct IncomingCall {
    pub(crate) call: Call,
}

impl IncomingCall {
    /// Sends 180.
    pub async fn ring(&self) -> Result<(), CallError> {
        self.provisional(180, false, Vec::new()).await
    }

    /// Sends any provisional response, with a session description if `media`. Reliability headers may be given; the PRACK is then an event,
    /// but the response is not repeated until it comes.
    pub async fn provisional(&self, code: u16, media: bool, headers: Vec<(String, String)>) -> Result<(), CallError> {
        let code = code.clamp(101, 199);
        self.call.ask(|reply| Command::Provisional { code, media, headers, reply }).await
    }

    /// Sends 183 with a session description: media flows before the answer.
    pub async fn early_media(&self) -> Result<(), CallError> {
        self.provisional(183, true, Vec::new()).await
    }

    /// Sends 200; media flows.
    pub async fn answer(self) -> Result<Call, CallError> {
        self.answer_with(Vec::new()).await
    }

    /// As [`answer`](Self::answer) with extra header fields.
    pub async fn answer_with(self, headers: Vec<(String, String)>) -> Result<Call, CallError> {
        self.call.ask(|reply| Command::Answer { headers, reply }).await?;
        Ok(self.call)
    }

    /// Refuses with a code of 300–699; returns once sent.
    pub async fn reject(self, code: u16) -> Result<Ended, CallError> {
        self.reject_with(code, "", Vec::new()).await
    }

    /// Refuses with reason phrase (empty: the usual one) and extra header fields.
    pub async fn reject_with(
        self,
        code: u16,
        reason: &str,
        headers: Vec<(String, String)>,
    ) -> Result<Ended, CallError> {
        let reason = reason.to_owned();
        self.call.ask(|reply| Command::Reject { code, reason, headers, reply }).await?;
        self.call.wait_ended(Duration::from_secs(5)).await
    }

    /// Waits until the caller gives up.
    pub async fn wait_cancelled(&self, timeout: Duration) -> Result<Ended, CallError> {
        self.call.wait_ended(timeout).await
    }

    /// The call underneath: headers, events, ear.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Header fields of the INVITE.
    pub fn headers(&self) -> Headers {
        self.call.invite_headers()
    }

    /// From value.
    pub fn from(&self) -> &str {
        self.call.from()
    }

    /// To value.
    pub fn to(&self) -> &str {
        self.call.to()
    }
}
