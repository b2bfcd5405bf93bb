//! The task of a link: it owns the WebSocket, does what the protocol says, and tells the calls what the program said.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{Ask, Event, Farewell, Listener, NoAnswer, Output, Protocol, Tell};
use crate::clock::sleep_until;
use crate::counter::Counters;
use crate::dialect::Purpose;
use crate::http::{Http, HttpError};
use crate::verb::BasicAuth;
use crate::websocket::{Incoming, Opening, WebSocket};

/// How many questions and messages may wait for the link's task, which never waits for the program.
const REQUESTS: usize = 256;
/// So many events may wait for the calls before the program is not read from.
const EVENTS: usize = 16;
/// So many bytes may wait to be sent before the program is not read from, and nothing more is taken for it.
const UNREAD: usize = 256 * 1024;
/// Longest time in which the calls take their last events.
const FAREWELL: Duration = Duration::from_secs(10);

enum Request {
    Ask(Ask, Arc<dyn Listener>),
    Tell(Tell),
}

/// The way to a call's program. Cheap to clone. When all of them are dropped, the link is over.
#[derive(Clone)]
pub struct LinkHandle {
    requests: mpsc::Sender<Request>,
    farewell: Arc<watch::Sender<Option<Farewell>>>,
    listener: Arc<dyn Listener>,
    counters: Arc<Counters>,
}

/// Starts a link: it connects with the first question. Answers to questions by the handle that this returns go to `owner`,
/// and so do commands, in the order in which they come.
pub fn start(http: Http, counters: Arc<Counters>, protocol: Box<dyn Protocol>, owner: Arc<dyn Listener>) -> LinkHandle {
    let (handle, driver) = made(http, counters, protocol, owner);
    tokio::spawn(driver.run());
    handle
}

/// The same; whoever waits for `tasks` waits until all that was asked and told before the link's end has been said.
pub(crate) fn start_in(
    tasks: &TaskTracker,
    http: Http,
    counters: Arc<Counters>,
    protocol: Box<dyn Protocol>,
    owner: Arc<dyn Listener>,
) -> LinkHandle {
    let (handle, driver) = made(http, counters, protocol, owner);
    tasks.spawn(driver.run());
    handle
}

fn made(
    http: Http,
    counters: Arc<Counters>,
    protocol: Box<dyn Protocol>,
    owner: Arc<dyn Listener>,
) -> (LinkHandle, Driver) {
    let (sender, requests) = mpsc::channel(REQUESTS);
    let (farewell, parting) = watch::channel(None);
    let handle = LinkHandle {
        requests: sender,
        farewell: Arc::new(farewell),
        listener: Arc::clone(&owner),
        counters: Arc::clone(&counters),
    };
    let driver = Driver {
        http,
        _live: Live::new(Arc::clone(&counters)),
        counters,
        protocol,
        requests,
        parting,
        ended: false,
        owner,
        askers: HashMap::new(),
        asked: 0,
        socket: Socket::None,
        events: VecDeque::new(),
        telling: None,
        begun: Instant::now(),
    };
    (handle, driver)
}

impl LinkHandle {
    /// The same link for another call of the same application: answers to its questions go to its own listener.
    #[must_use]
    pub fn for_call(&self, listener: Arc<dyn Listener>) -> Self {
        Self { listener, ..self.clone() }
    }

    /// Asks. The answer is heard as [`Event::Answered`].
    ///
    /// # Errors
    /// [`NoAnswer::Full`] or [`NoAnswer::Over`]: nothing was asked, and no answer will be heard.
    pub fn ask(&self, ask: Ask) -> Result<(), NoAnswer> {
        self.requests.try_send(Request::Ask(ask, Arc::clone(&self.listener))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.counters.link_messages_dropped.add(1);
                NoAnswer::Full
            }
            mpsc::error::TrySendError::Closed(_) => NoAnswer::Over,
        })
    }

    /// Tells something; what finds no room is counted.
    pub fn tell(&self, tell: Tell) {
        if self.requests.try_send(Request::Tell(tell)).is_err() {
            self.counters.link_messages_dropped.add(1);
        }
    }

    /// Ends the link, for all that have it, once what was asked and told before has been sent.
    pub fn end(&self, farewell: Farewell) {
        self.farewell.send_modify(|told| {
            told.get_or_insert(farewell);
        });
    }

    /// Whether the link is over.
    pub fn is_over(&self) -> bool {
        self.requests.is_closed()
    }
}

type Connecting = Pin<Box<dyn Future<Output = Result<WebSocket, HttpError>> + Send>>;
type Telling = Pin<Box<dyn Future<Output = bool> + Send>>;

enum Socket {
    None,
    Connecting(Connecting),
    Open(Box<WebSocket>),
}

enum SocketEvent {
    Connected(Result<Box<WebSocket>, HttpError>),
    Came(Incoming),
    /// What waited was sent.
    Sent,
}

impl Socket {
    /// What happens next. Nothing is lost when this is dropped before it returns.
    async fn next(&mut self, read: bool) -> SocketEvent {
        match self {
            Self::None => pending().await,
            Self::Connecting(connecting) => SocketEvent::Connected(connecting.await.map(Box::new)),
            Self::Open(socket) if read => SocketEvent::Came(socket.next().await),
            Self::Open(socket) if socket.waiting() == 0 => pending().await,
            Self::Open(socket) => match socket.sent().await {
                true => SocketEvent::Sent,
                false => SocketEvent::Came(Incoming::Closed(None)),
            },
        }
    }

    fn waiting(&self) -> usize {
        if let Self::Open(socket) = self { socket.waiting() } else { 0 }
    }
}

struct Asker {
    listener: Arc<dyn Listener>,
    number: u64,
    purpose: Purpose,
}

impl Asker {
    fn answered(self, answer: Result<Option<String>, NoAnswer>) -> (Arc<dyn Listener>, Event) {
        (self.listener, Event::Answered { number: self.number, purpose: self.purpose, answer })
    }
}

/// A link that is counted until this is dropped.
struct Live(Arc<Counters>);

impl Live {
    fn new(counters: Arc<Counters>) -> Self {
        counters.links_live.rise();
        Self(counters)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.links_live.fall();
    }
}

struct Driver {
    http: Http,
    _live: Live,
    counters: Arc<Counters>,
    protocol: Box<dyn Protocol>,
    requests: mpsc::Receiver<Request>,
    parting: watch::Receiver<Option<Farewell>>,
    ended: bool,
    owner: Arc<dyn Listener>,
    askers: HashMap<u64, Asker>,
    asked: u64,
    socket: Socket,
    events: VecDeque<(Arc<dyn Listener>, Event)>,
    telling: Option<(bool, Telling)>,
    begun: Instant,
}

impl Driver {
    async fn run(mut self) {
        let code = loop {
            if let Some(code) = self.act() {
                break code;
            }
            self.tell_next();
            let room = self.socket.waiting() < UNREAD;
            let read = room && self.events.len() < EVENTS;
            let deadline = self.protocol.next_timeout().map(|at| self.begun + at);
            tokio::select! {
                request = self.requests.recv(), if room && !self.ended => match request {
                    Some(request) => self.request(request),
                    None => self.part(),
                },
                _ = self.parting.changed(), if !self.ended => {
                    // What was asked and told before comes first.
                    while let Ok(request) = self.requests.try_recv() {
                        self.request(request);
                    }
                    self.part();
                }
                event = self.socket.next(read) => self.socket_event(event),
                (owner, heard) = heard(&mut self.telling) => {
                    self.telling = None;
                    if owner && !heard && !self.ended {
                        self.part();
                    }
                }
                () = sleep_until(deadline.map(Instant::into_std)) => self.protocol.handle_timeout(self.begun.elapsed()),
            }
        };
        self.finish(code).await;
    }

    fn request(&mut self, request: Request) {
        let now = self.begun.elapsed();
        match request {
            Request::Ask(ask, listener) => {
                self.asked += 1;
                let asker = Asker { listener, number: ask.number, purpose: ask.purpose.clone() };
                self.askers.insert(self.asked, asker);
                self.protocol.ask(Ask { number: self.asked, ..ask }, now);
            }
            Request::Tell(tell) => self.protocol.tell(tell, now),
        }
    }

    /// Nobody has the link any more: it ends as its last holder wished, whichever of the two is noticed first.
    fn part(&mut self) {
        let farewell = *self.parting.borrow_and_update();
        self.end(farewell.unwrap_or(Farewell::Over));
    }

    fn end(&mut self, farewell: Farewell) {
        self.ended = true;
        self.protocol.end(farewell, self.begun.elapsed());
    }

    fn socket_event(&mut self, event: SocketEvent) {
        let now = self.begun.elapsed();
        match event {
            SocketEvent::Connected(Ok(socket)) => {
                self.socket = Socket::Open(socket);
                self.protocol.connected(now);
            }
            SocketEvent::Connected(Err(error)) => {
                tracing::info!(%error, "an application cannot be reached");
                self.socket = Socket::None;
                self.protocol.failed(&error, now);
            }
            SocketEvent::Came(Incoming::Text(text)) => self.protocol.received(&text, now),
            SocketEvent::Came(Incoming::Binary(bytes)) => self.protocol.received_binary(bytes.len(), now),
            SocketEvent::Came(Incoming::Closed(code)) => {
                tracing::info!(?code, "an application's connection is over");
                self.socket = Socket::None;
                self.protocol.closed(code, now);
            }
            SocketEvent::Sent => {}
        }
    }

    /// Does what the protocol wants; the close code when that was the last.
    fn act(&mut self) -> Option<u16> {
        while let Some(output) = self.protocol.poll() {
            match output {
                Output::Connect { url, auth } => self.socket = Socket::Connecting(self.connect(url, auth)),
                Output::Send(text) => self.send(text),
                Output::Answered(number, answer) => {
                    if let Some(asker) = self.askers.remove(&number) {
                        self.events.push_back(asker.answered(answer));
                    }
                }
                Output::Command { call, frame } => self.tell_owner(Event::Command { call, frame }),
                Output::Dropped => self.counters.link_messages_dropped.add(1),
                Output::Left => self.tell_owner(Event::Left),
                Output::Lost(reason) => {
                    self.counters.links_lost.add(1);
                    self.tell_owner(Event::Lost(reason));
                }
                Output::Close(code) => return Some(code),
            }
        }
        None
    }

    fn connect(&self, url: String, auth: Option<BasicAuth>) -> Connecting {
        let http = self.http.clone();
        let (subprotocol, largest) = (self.protocol.subprotocol(), self.protocol.largest());
        Box::pin(async move {
            http.websocket(&Opening { auth: auth.as_ref(), largest, ..Opening::new(&url, subprotocol) }).await
        })
    }

    fn send(&mut self, text: String) {
        let Socket::Open(socket) = &mut self.socket else { return self.counters.link_messages_dropped.add(1) };
        if let Err(full) = socket.text(text) {
            // Whoever leaves so much unread is as good as gone.
            tracing::info!(%full, "an application's connection is given up");
            self.counters.link_messages_dropped.add(1);
            self.socket = Socket::None;
            self.protocol.closed(None, self.begun.elapsed());
        }
    }

    fn tell_owner(&mut self, event: Event) {
        self.events.push_back((Arc::clone(&self.owner), event));
    }

    fn tell_next(&mut self) {
        if self.telling.is_none()
            && let Some((listener, event)) = self.events.pop_front()
        {
            let owner = Arc::ptr_eq(&listener, &self.owner);
            self.telling = Some((owner, Box::pin(async move { listener.hear(event).await })));
        }
    }

    async fn finish(mut self, code: u16) {
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                Request::Ask(ask, listener) => {
                    let asker = Asker { listener, number: ask.number, purpose: ask.purpose };
                    self.events.push_back(asker.answered(Err(NoAnswer::Over)));
                }
                Request::Tell(_) => self.counters.link_messages_dropped.add(1),
            }
        }
        self.events.extend(self.askers.drain().map(|(_, asker)| asker.answered(Err(NoAnswer::Over))));
        let close = async {
            if let Socket::Open(socket) = self.socket {
                socket.close(code).await;
            }
        };
        let tell = async {
            if let Some((_, telling)) = self.telling {
                telling.await;
            }
            for (listener, event) in self.events {
                listener.hear(event).await;
            }
        };
        // A call that does not take its events any more is over itself.
        let _ = tokio::time::timeout(FAREWELL, async { tokio::join!(close, tell) }).await;
    }
}

/// Waits until the event that is being told has been heard.
async fn heard(telling: &mut Option<(bool, Telling)>) -> (bool, bool) {
    match telling {
        Some((owner, telling)) => (*owner, telling.await),
        None => pending().await,
    }
}
