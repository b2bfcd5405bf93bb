//! The signalling core: one task owns every transaction and dialog, so nothing here needs a lock or waits.
//!
//! Time is an argument, sending never blocks, events go out by `try_send`. What has to ask the outside (digest,
//! registrations, DNS) runs in tasks of its own and comes back as a [`Command`].

mod actions;
mod ask;
mod client;
#[cfg(test)]
mod clockwork;
mod derived;
mod dialog;
#[cfg(test)]
mod floods;
mod flows;
#[cfg(test)]
mod handovers;
mod invite;
mod place;
mod referral;
mod requests;
mod responses;
mod server;
mod session;
mod stateless;
mod transfer;

use std::cmp::Reverse;
use std::collections::hash_map::RandomState;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::access::Access;
use crate::config::{SipConfig, Timers};
use crate::counters::Counters;
use crate::leg::{Command, Incoming};
use crate::message::Message;
use crate::transport::{Flow, Input, Transport, Wire};

use client::ClientTx;
use dialog::Dialog;
pub(crate) use place::Placement;
pub(crate) use referral::Report;
use server::{ServerTx, Share};

/// What a timer wakes; whether something is due is decided by the deadlines of the thing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Server(u64),
    Client(u64),
    Dialog(u64),
    Sweep,
}

pub(crate) struct Core {
    config: Arc<SipConfig>,
    timers: Timers,
    counters: Arc<Counters>,
    wire: Arc<Wire>,
    access: Arc<Access>,
    lookups: Arc<Semaphore>,
    /// Handed to legs.
    commands: mpsc::Sender<Command>,
    incoming: mpsc::Sender<Incoming>,
    heap: BinaryHeap<Reverse<(Instant, Wake)>>,
    next: u64,
    servers: HashMap<u64, ServerTx>,
    server_keys: HashMap<String, u64>,
    /// How many each source has.
    servers_of: HashMap<Share, usize>,
    /// Makes the To tags of answers that are not remembered.
    tagger: RandomState,
    /// INVITEs by From tag, Call-ID and CSeq, to find merged requests (RFC 3261 §8.2.2.2).
    merges: HashMap<String, u64>,
    clients: HashMap<u64, ClientTx>,
    client_keys: HashMap<String, u64>,
    dialogs: HashMap<u64, Dialog>,
    /// Dialogs by our own tag.
    tags: HashMap<String, u64>,
    draining: bool,
    idle: Vec<oneshot::Sender<()>>,
}

const SWEEP: Duration = Duration::from_secs(1);

impl Core {
    pub fn new(
        config: Arc<SipConfig>,
        counters: Arc<Counters>,
        wire: Arc<Wire>,
        access: Arc<Access>,
        commands: mpsc::Sender<Command>,
        incoming: mpsc::Sender<Incoming>,
    ) -> Core {
        Core {
            timers: config.timers,
            lookups: Arc::new(Semaphore::new(config.limits.lookups.max(1))),
            config,
            counters,
            wire,
            access,
            commands,
            incoming,
            heap: BinaryHeap::new(),
            next: 1,
            servers: HashMap::new(),
            server_keys: HashMap::new(),
            servers_of: HashMap::new(),
            tagger: RandomState::new(),
            merges: HashMap::new(),
            clients: HashMap::new(),
            client_keys: HashMap::new(),
            dialogs: HashMap::new(),
            tags: HashMap::new(),
            draining: false,
            idle: Vec::new(),
        }
    }

    /// Runs until the wire is stopped.
    pub async fn run(mut self, mut input: mpsc::Receiver<Input>, mut commands: mpsc::Receiver<Command>) {
        let stop = self.wire.stop.clone();
        self.wake(Instant::now() + SWEEP, Wake::Sweep);
        loop {
            let due = self.heap.peek().map_or_else(|| Instant::now() + SWEEP, |Reverse((at, _))| *at);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(command) = commands.recv() => self.command(command, Instant::now()),
                () = tokio::time::sleep_until(due.into()) => {}
                Some(message) = input.recv() => {
                    let now = Instant::now();
                    self.receive(message, now);
                    // A burst is taken in one go, but never for so long that commands and timers starve.
                    for _ in 0..64 {
                        match input.try_recv() {
                            Ok(message) => self.receive(message, now),
                            Err(_) => break,
                        }
                    }
                }
            }
            self.fire(Instant::now());
            self.counters.dialogs_live.set(self.dialogs.len());
            self.counters.transactions_live.set(self.servers.len() + self.clients.len());
            if self.dialogs.is_empty() {
                for waiting in self.idle.drain(..) {
                    let _ = waiting.send(());
                }
            }
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn wake(&mut self, at: Instant, wake: Wake) {
        self.heap.push(Reverse((at, wake)));
    }

    fn fire(&mut self, now: Instant) {
        while let Some(Reverse((at, _))) = self.heap.peek() {
            if *at > now {
                return;
            }
            let Some(Reverse((_, wake))) = self.heap.pop() else { return };
            match wake {
                Wake::Server(id) => self.server_timer(id, now),
                Wake::Client(id) => self.client_timer(id, now),
                Wake::Dialog(id) => self.dialog_timer(id, now),
                Wake::Sweep => {
                    self.sweep(now);
                    self.wake(now + SWEEP, Wake::Sweep);
                }
            }
        }
    }

    fn sweep(&mut self, now: Instant) {
        let access = self.access.clone();
        tokio::spawn(async move { access.sweep().await });
        let gone: Vec<u64> = self.dialogs.values().filter(|d| d.let_go()).map(|d| d.id).collect();
        for id in gone {
            self.abandon(id, now);
        }
        let referring = |d: &&Dialog| !d.transfers.is_empty() || !d.referrals.is_empty();
        let referring: Vec<u64> = self.dialogs.values().filter(referring).map(|d| d.id).collect();
        for id in referring {
            self.transfers_due(id, now);
            self.referrals_due(id, now);
        }
    }

    fn receive(&mut self, input: Input, now: Instant) {
        match input {
            Input::Message(Message::Request(request), flow) => self.request(request, flow, now),
            Input::Message(Message::Response(response), flow) => self.response(response, flow, now),
            Input::Closed(connection) => self.closed(connection, now),
        }
    }

    fn command(&mut self, command: Command, now: Instant) {
        match command {
            Command::Invite(placement, done) => {
                let answer = self.place(*placement, now);
                // A caller that no longer waits drops the leg with the answer, which ends the call again.
                let _ = done.send(answer);
            }
            Command::Act(id, action, done) => {
                let answer = self.act(id, action, now);
                let _ = done.send(answer);
            }
            Command::Ask(id, asking, done) => self.ask_peer(id, &asking, done, now),
            Command::Reinvite(id, sdp, done) => self.reinvite(id, sdp, Some(done), now),
            Command::Abandon(id) => self.abandon(id, now),
            Command::Reply(tx, reply) => self.reply(tx, &reply, now),
            Command::Admit(tx, verdict) => self.admit(tx, verdict, now),
            Command::Rejoin(tx, id, verdict) => self.rejoined(tx, id, verdict, now),
            Command::Drain => self.draining = true,
            Command::HangupAll => {
                self.draining = true;
                let all: Vec<u64> = self.dialogs.keys().copied().collect();
                for id in all {
                    self.hang_up(id, Some("server is stopping"), now);
                }
            }
            Command::Idle(waiting) => self.idle.push(waiting),
        }
    }

    /// Spawns work that asks the roster; `false` if too much is under way. The last quarter is for known sources.
    fn ask(&self, known: bool, work: impl Future<Output = Command> + Send + 'static) -> bool {
        let spare = known || self.lookups.available_permits() > self.config.limits.lookups / 4;
        let permit = if spare { self.lookups.clone().try_acquire_owned().ok() } else { None };
        let Some(permit) = permit else {
            self.counters.lookups_full.add();
            return false;
        };
        let commands = self.commands.clone();
        tokio::spawn(async move {
            let command = work.await;
            drop(permit);
            let _ = commands.send(command).await;
        });
        true
    }

    fn server_header(&self) -> (String, String) {
        ("Server".to_owned(), self.config.user_agent.clone())
    }

    /// Our Contact for a peer on `flow`.
    fn contact(&self, flow: &Flow, user: &str) -> String {
        let at = self.wire.advertised(flow);
        let mut uri = crate::uri::Uri::new(user, &at.ip().to_string(), Some(at.port()));
        let transport = match flow.transport {
            Transport::Udp => None,
            Transport::Tcp => Some("tcp"),
            // Secure or not (RFC 7118 §5.2).
            Transport::Ws | Transport::Wss => Some("ws"),
        };
        uri.params.extend(transport.map(|name| ("transport".to_owned(), Some(name.to_owned()))));
        format!("<{uri}>")
    }
}

/// An unguessable token for tags and branches.
fn token() -> String {
    format!("{:016x}", rand::random::<u64>())
}
