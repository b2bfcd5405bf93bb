//! Calls somebody and connects both, in a room of their own.
//!
//! The caller is in the room before anybody else: whoever wins the race says so, and enters once the caller is there. The
//! departure of either ends the room, and with it the connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conference::{Entry, LeaveCause};
use tokio::sync::oneshot;

use super::attached::attached;
use super::callee::{Callee, Expected, refuse_later};
use super::coming::Coming;
use super::patterns::KeyWatch;
use super::race::{Errand, Race};
use super::{CallMailbox, CallMessage, Session};
use crate::command::{CommandError, DialMusic, Next};
use crate::dialect::{Dialled, Direction, MemberView, Outcome, Purpose};
use crate::room::RoomHandle;
use crate::verb::{CallStatus, Connect, Fetch, Join, JoinHooks, MemberSettings, Method, RoomSettings};

/// Most targets that are called at once.
const MOST_TARGETS: usize = 10;

/// What a call has dialled, or is dialling.
pub(super) struct Connection {
    /// The dial's number: an older one's reports concern nobody.
    number: u64,
    room: RoomHandle,
    race: Arc<Race>,
    /// All calls of the dial.
    calls: Vec<String>,
    peer: Option<Peer>,
    keys: KeyWatch,
    /// Who was asked about a REFER before.
    referred_before: Option<Fetch>,
    /// What this call goes on with when the callee has left, as a program wants both to part.
    pub(super) then: Option<Next>,
}

/// The call at the other end.
struct Peer {
    call: String,
    call_id: String,
    mailbox: CallMailbox,
    since: Duration,
}

/// What a dial reports to the call whose it is, or that call to its callee. All say the dial's number first.
pub(crate) enum Report {
    /// A callee has answered, confirmed and won: he enters as soon as this is answered.
    Answered(u64, Box<Winner>),
    /// To the callee: the caller is in the room, or does not want him any more.
    Caller(u64, bool),
    /// Nobody came, or not into the room.
    Nobody(u64, Dialled),
    /// The callee has pressed a key.
    Key(u64, char),
}

/// The callee who answered first.
pub(crate) struct Winner {
    pub(super) call: String,
    pub(super) call_id: String,
    pub(super) mailbox: CallMailbox,
    pub(super) reply: oneshot::Sender<()>,
}

/// How a call enters a room that connects it: its departure ends the connection.
pub(super) fn bridge_join(room: &RoomHandle) -> Join {
    Join {
        room: room.name().to_owned(),
        entry: Entry { end_on_exit: true, ..Entry::default() },
        room_settings: RoomSettings::default(),
        member_settings: MemberSettings::default(),
        hooks: JoinHooks::default(),
    }
}

impl Connection {
    pub(super) fn is_dial(&self, dial: u64) -> bool {
        self.number == dial
    }

    pub(super) fn has_dialled(&self, call: &str) -> bool {
        self.calls.iter().any(|own| own == call)
    }

    /// The way to the call at its other end.
    pub(super) fn callee(&self) -> Option<CallMailbox> {
        self.peer.as_ref().map(|peer| peer.mailbox.clone())
    }

    pub(super) fn outcome(&self, now: Duration) -> Outcome {
        let first = self.calls.first().cloned();
        Outcome::Dialled(match &self.peer {
            Some(peer) => Dialled {
                status: CallStatus::Completed,
                sip_status: 200,
                call: Some(peer.call.clone()),
                call_id: Some(peer.call_id.clone()),
                seconds: Some(now.saturating_sub(peer.since).as_secs()),
            },
            None => {
                Dialled { status: CallStatus::NoAnswer, sip_status: 487, call: first, call_id: None, seconds: None }
            }
        })
    }
}

impl Session {
    pub(super) async fn connect(&mut self, connect: Connect) {
        let waits = connect.answer_on_bridge && self.view.answered_at.is_none();
        if !waits && !self.ensure_answered().await {
            return;
        }
        if let Err(error) = self.call_out(connect, waits).await {
            self.warn(format!("nobody could be called: {error}")).await;
            let failed =
                Dialled { status: CallStatus::Failed, sip_status: 500, call: None, call_id: None, seconds: None };
            self.connection_over(failed).await;
        }
    }

    /// Opens the room and makes the calls; the caller enters at once, unless he `waits` for an answer.
    async fn call_out(&mut self, mut connect: Connect, waits: bool) -> Result<(), CommandError> {
        if self.inner.is_draining() {
            return Err(CommandError::Busy("it is being stopped"));
        }
        self.inner.store.ready()?;
        if connect.targets.is_empty() {
            return Err(CommandError::Invalid("nobody to call was named".to_owned()));
        }
        if connect.targets.len() > MOST_TARGETS {
            self.warn(format!("only the first {MOST_TARGETS} targets are called at once; the others are left out"))
                .await;
            connect.targets.truncate(MOST_TARGETS);
        }
        if let Some(Err(error)) = connect.attached.clone().map(attached) {
            connect.attached = None;
            self.refused(error, self.programs.own.label().cloned()).await;
        }
        let number = self.inner.next_dial();
        let callings = self.callings(&connect).await;
        let calls = callings.iter().map(|calling| calling.view.uuid.clone()).collect();
        let room = self.open_bridge()?;
        let music = match &connect.music {
            // He comes when there is an answer: nothing rings for him in the room.
            _ if waits => DialMusic::Silent,
            Some(url) => DialMusic::Url(Fetch::new(url.clone(), Method::Get)),
            None => DialMusic::Ringback,
        };
        room.expect(number, music, self.as_member(&bridge_join(&room))).await?;
        if !waits && let Err(error) = self.enter_bridge(&room).await {
            room.expectation_over(number).await;
            return Err(error);
        }
        let confirms = connect.confirm.is_some() || connect.targets.iter().any(|target| target.confirm.is_some());
        let callee = Callee {
            room: room.clone(),
            dial: number,
            // Nobody is heard who has not yet taken the call.
            early_media: !waits && connect.music.is_none() && !confirms,
            caller: self.mailbox.clone(),
            limit: connect.limit,
            refer_hook: connect.refer_hook.clone(),
            stream: connect.stream,
            of: self.programs.own.label().cloned(),
        };
        let race = Race::start(&self.inner, Errand::Connection(Arc::new(callee)), callings);
        let referred_before = self.transfers.hook.clone();
        if connect.refer_hook.is_some() {
            self.transfers.hook = connect.refer_hook;
        }
        let keys = KeyWatch::new(connect.keys);
        self.ties.connection =
            Some(Connection { number, room, race, calls, peer: None, keys, referred_before, then: None });
        if waits {
            self.rooms.coming = Some(Coming::new(false));
        }
        Ok(())
    }

    /// A room for this call and another.
    pub(super) fn open_bridge(&self) -> Result<RoomHandle, CommandError> {
        let join = Join {
            room: String::new(),
            entry: Entry { end_on_exit: true, ..Entry::default() },
            room_settings: RoomSettings::default(),
            member_settings: MemberSettings::default(),
            hooks: JoinHooks::default(),
        };
        let opener = self.as_member(&join);
        self.inner.open_unnamed(&self.view.account, &self.view.auth_id, self.control.dialect, opener)
    }

    /// Enters the room of a connection.
    pub(super) async fn enter_bridge(&mut self, room: &RoomHandle) -> Result<(), CommandError> {
        self.rooms.destination = Some(room.clone());
        let (_, wait) = self.enter(bridge_join(room)).await?;
        self.hold_with(wait).await;
        Ok(())
    }

    /// This call as the member that it will be.
    fn as_member(&self, join: &Join) -> MemberView {
        let expected = MemberView::expected(join, &self.view.uuid, &self.view.from, &self.view.to);
        match self.view.direction {
            Direction::Outbound => expected,
            Direction::Inbound => {
                MemberView { address: self.view.from.clone(), direction: Direction::Inbound, ..expected }
            }
        }
    }

    /// What the call's dial reports.
    pub(super) async fn reported(&mut self, report: Report) {
        match report {
            Report::Answered(dial, winner) => self.callee_answered(dial, *winner).await,
            Report::Caller(dial, there) => self.caller_answered(dial, there).await,
            Report::Nobody(dial, dialled) => {
                if self.ties.is_dial(dial) {
                    self.connection_over(dialled).await;
                }
            }
            Report::Key(dial, key) => {
                if self.ties.is_dial(dial) {
                    self.key_in_connection(true, key);
                }
            }
        }
    }

    /// A callee who hears nothing in return is not wanted any more.
    async fn callee_answered(&mut self, dial: u64, winner: Winner) {
        let wanted = |connection: &&Connection| connection.number == dial && connection.peer.is_none();
        let Some(room) = self.ties.connection.as_ref().filter(wanted).map(|connection| connection.room.clone()) else {
            return;
        };
        if self.rooms.stay.is_none() {
            if !self.ensure_answered().await {
                return;
            }
            if let Err(error) = self.enter_bridge(&room).await {
                self.warn(format!("the call could not be connected: {error}")).await;
                let failed = Dialled {
                    status: CallStatus::Failed,
                    sip_status: 500,
                    call: Some(winner.call),
                    call_id: Some(winner.call_id),
                    seconds: None,
                };
                return self.connection_over(failed).await;
            }
        }
        let since = self.inner.clock.monotonic();
        let Winner { call, call_id, mailbox, reply } = winner;
        if let Some(connection) = &mut self.ties.connection
            && reply.send(()).is_ok()
        {
            connection.peer = Some(Peer { call, call_id, mailbox, since });
        }
    }

    /// The dial is over, and the call is out of its room: its instructions go on.
    async fn connection_over(&mut self, dialled: Dialled) {
        let then = self.give_up_connection().and_then(|(_, then)| then);
        self.step_out(LeaveCause::Transferred).await;
        self.after_connection(Outcome::Dialled(dialled), then);
    }

    /// The instructions go on after a connection: with others, if a program has parted both calls.
    fn after_connection(&mut self, outcome: Outcome, then: Option<Next>) {
        match then {
            None => self.programs.own.done(&outcome, self.inner.clock.monotonic()),
            Some(next) => {
                self.ties.parting = Some(outcome);
                self.go_on_with(next);
            }
        }
    }

    /// Cancels what still rings; how it went until now, and what follows if a program has said so.
    fn give_up_connection(&mut self) -> Option<(Outcome, Option<Next>)> {
        let connection = self.ties.connection.take()?;
        self.rooms.coming = None;
        connection.race.give_up();
        let outcome = connection.outcome(self.inner.clock.monotonic());
        self.transfers.hook = connection.referred_before;
        Some((outcome, connection.then))
    }

    /// Ends the connection, or the attempt at one: with this call's departure the room ends, and the callee is hung up.
    pub(super) async fn abandon_connection(&mut self) {
        if let Some((outcome, _)) = self.give_up_connection() {
            self.ties.parting = Some(outcome);
        }
        if let Some(Expected { callee, later }) = self.ties.expected() {
            callee.missed(&self.view).await;
            self.rooms.coming = None;
            // Of a call that is over the askers are told by the silence.
            if !self.life.over {
                refuse_later(later);
            }
        }
        // Whoever goes elsewhere is nobody's callee any more, and his programs are his own.
        if !self.life.over && self.ties.dialled_by.take().is_some() {
            self.part_with_link();
        }
    }

    /// The call has no part any more in the connection of the call that dialled it.
    fn part_with_link(&mut self) {
        if std::mem::take(&mut self.control.shares_link) {
            self.control.link = None;
            self.inner.links.forget(&self.view.uuid);
        }
    }

    /// The call is out of the room of its connection; false: it was in another.
    pub(super) async fn left_bridge(&mut self) -> bool {
        match self.give_up_connection() {
            Some((outcome, then)) => {
                self.after_connection(outcome, then);
                true
            }
            None => self.left_meeting(),
        }
    }

    /// Whether that call was dialled by this one, or dialled it.
    pub(super) fn is_family(&self, call: &str) -> bool {
        self.ties.has_dialled(call) || self.view.parent.as_deref() == Some(call)
    }

    /// A key was pressed that a program may want to know of.
    pub(super) fn connection_key(&mut self, key: char) {
        if let Some(caller) = &self.ties.dialled_by
            && !caller.mailbox.spare(CallMessage::Bridge(Report::Key(caller.dial, key)))
        {
            self.inner.counters.mailbox_overflows.add(1);
        }
        self.key_in_connection(false, key);
    }

    fn key_in_connection(&mut self, by_callee: bool, key: char) {
        let Some(connection) = self.ties.connection.as_mut().filter(|connection| connection.peer.is_some()) else {
            return;
        };
        let Some(pattern) = connection.keys.pressed(by_callee, key, Instant::now()) else { return };
        let (hook, keys) = (pattern.hook.clone(), pattern.keys.clone());
        self.ask_aside(hook, Purpose::Keys(keys));
    }
}
