//! The outside of a room.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use conference::{LeaveCause, MemberId};
use media::LegId;
use tokio::sync::{mpsc, oneshot, watch};

use super::announce::Announced;
use super::hold::Hold;
use super::live::LiveRoom;
use super::message::{MediaFact, RoomMessage};
use super::taps::Follower;
use crate::command::{
    Applied, Asker, CommandError, DialMusic, HearingMatrix, MemberChange, ModeCommand, RoomSnapshot, Tapped, Whom,
};
use crate::dialect::{CallView, Kind, MemberView};
use crate::journal::Backlog;
use crate::session::CallMailbox;
use crate::verb::Join;

/// A call that wants to be a member.
pub struct JoinRequest {
    /// The member's rules and settings.
    pub join: Join,
    /// The call.
    pub call: CallView,
    /// Its leg on the media plane.
    pub leg: LegId,
    /// Its mailbox.
    pub mailbox: CallMailbox,
    /// The dialect that asked for it.
    pub dialect: &'static str,
    /// Who asked.
    pub by: Asker,
    /// Whether it is speaking as it enters: the media plane tells changes only.
    pub speaking: bool,
    /// Taps of the call that hear what the member hears.
    pub(crate) taps: Vec<media::TapId>,
}

/// A member that is in: its leg hears and sounds by its rules.
#[derive(Clone, Debug)]
pub struct Joined {
    /// The member's id in the room.
    pub member: MemberId,
    /// Its number in the account.
    pub number: i64,
    /// From when.
    pub applied: Applied,
    /// Whether the room has started.
    pub started: bool,
}

/// What a room answers to something that it has in its queue already.
pub(crate) struct Answer<T> {
    answer: oneshot::Receiver<Result<T, CommandError>>,
    room: RoomHandle,
}

impl<T> std::future::Future for Answer<T> {
    type Output = Result<T, CommandError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let answer = std::task::ready!(std::pin::Pin::new(&mut self.answer).poll(context));
        std::task::Poll::Ready(answer.unwrap_or_else(|_| Err(self.room.over())))
    }
}

/// A live room. Cheap to clone.
#[derive(Clone)]
pub struct RoomHandle {
    pub(super) identity: Arc<Identity>,
    pub(super) mailbox: mpsc::Sender<RoomMessage>,
    pub(super) gone: watch::Receiver<bool>,
}

pub(super) struct Identity {
    pub uuid: String,
    pub name: String,
    /// It connects two calls; its name is nobody's business.
    pub unnamed: bool,
    pub account: String,
    pub auth_id: String,
    pub dialect: &'static str,
    pub media_room: media::RoomId,
    /// Changes that were answered although the media plane had not confirmed them, and that it still has not.
    pub pending: AtomicU32,
    /// From when what everybody hears holds.
    pub in_force: Mutex<InForce>,
    /// What waits to be recorded.
    pub backlog: Backlog,
    /// What people watch.
    pub live: watch::Sender<Arc<LiveRoom>>,
    /// Rises when any room of the server changes, for those who watch all.
    pub changes: Arc<watch::Sender<u64>>,
}

/// The last change of who hears whom that the media plane has confirmed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InForce {
    pub tick: u64,
    pub at: i64,
}

impl RoomHandle {
    /// The UUID of this room life.
    pub fn uuid(&self) -> &str {
        &self.identity.uuid
    }

    /// The room's name.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Whether it connects two calls, and nobody named it.
    pub fn is_unnamed(&self) -> bool {
        self.identity.unnamed
    }

    /// The store's id of its account.
    pub fn account(&self) -> &str {
        &self.identity.account
    }

    /// The auth id of the main or sub-account that opened it.
    pub fn auth_id(&self) -> &str {
        &self.identity.auth_id
    }

    /// The dialect of the program that opened it.
    pub(crate) fn dialect(&self) -> &'static str {
        self.identity.dialect
    }

    pub(super) fn in_force(&self) -> InForce {
        *self.identity.in_force.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change of who hears whom is in force from this tick; a confirmation that comes late takes nothing back.
    pub(super) fn holds_from(&self, tick: u64, at: i64) {
        let mut known = self.identity.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        if tick >= known.tick {
            *known = InForce { tick, at };
        }
    }

    /// Has the plan sent again; false when the mailbox is full.
    pub(super) fn resend(&self) -> bool {
        self.mailbox.try_send(RoomMessage::Resend).is_ok()
    }

    pub(crate) fn media_room(&self) -> media::RoomId {
        self.identity.media_room
    }

    /// The room and its members.
    pub async fn snapshot(&self) -> Result<RoomSnapshot, CommandError> {
        self.ask(RoomMessage::Snapshot).await
    }

    /// Who hears whom now, and from which tick on; answered after all changes that were asked for before.
    pub async fn hearing(&self) -> Result<HearingMatrix, CommandError> {
        self.ask(RoomMessage::Hearing).await
    }

    /// Connects the members whatever their conditions.
    pub async fn start(&self, by: Asker) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::Start(by, reply)).await
    }

    /// Ends the room.
    pub async fn end(&self, by: Asker) -> Result<Applied, CommandError> {
        self.end_because(conference::EndCause::Requested, by).await
    }

    /// Ends the room for this cause.
    pub async fn end_because(&self, cause: conference::EndCause, by: Asker) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::End(by, cause, reply)).await
    }

    /// Changes members' rules, all in one step.
    pub async fn change(&self, whom: Whom, change: MemberChange, by: Asker) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::Change(whom, change, by, reply)).await
    }

    /// Changes members' rules; in the room's queue when this returns, so that what is asked for later comes later.
    pub(crate) fn enqueue_change(
        &self,
        whom: Whom,
        change: MemberChange,
        by: Asker,
    ) -> Result<Answer<Applied>, CommandError> {
        self.enqueue(|reply| RoomMessage::Change(whom, change, by, reply))
    }

    /// A call changes its own hold; in the room's queue when this returns. Its call is told when that is done.
    pub(crate) fn enqueue_hold(&self, hold: Hold, by: Asker) -> Result<Answer<Applied>, CommandError> {
        self.enqueue(|reply| RoomMessage::Hold(hold, by, reply))
    }

    /// Removes members; in the room's queue when this returns.
    pub(crate) fn enqueue_kick(&self, whom: Whom, by: Asker) -> Result<Answer<Applied>, CommandError> {
        self.enqueue(|reply| RoomMessage::Kick(whom, by, reply))
    }

    /// A member that entered unprepared takes part from now on. It is never refused: it waits for a place.
    ///
    /// # Errors
    /// The member or the room is gone.
    pub(crate) async fn admit(&self, member: MemberId, by: Asker) -> Result<Applied, CommandError> {
        let (reply, answer) = oneshot::channel();
        if self.mailbox.send(RoomMessage::Admit(member, by, reply)).await.is_err() {
            return Err(self.over());
        }
        Answer { answer, room: self.clone() }.await
    }

    /// Streams the mix, or (`members`) each member's sound, to whoever follows, unless that is done already.
    pub(crate) async fn tap(&self, members: bool, follower: Follower) -> Result<Tapped, CommandError> {
        self.ask(|reply| RoomMessage::Tap(members, follower, reply)).await
    }

    /// The id of such a stream, if one runs.
    pub(crate) async fn tapped(&self, members: bool) -> Result<Option<String>, CommandError> {
        self.ask(|reply| RoomMessage::Tapped(members, reply)).await
    }

    /// Ends that, or (with an id) that stream and no other, in the sound too; false: it was not streamed.
    pub(crate) async fn untap(&self, members: bool, id: Option<String>) -> Result<bool, CommandError> {
        self.ask(|reply| RoomMessage::Untap(members, id, reply)).await
    }

    /// This tap of the member's call hears from now on what the member hears, whispers left out.
    pub(crate) async fn tap_call(&self, member: MemberId, tap: media::TapId) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::TapCall(member, tap, reply)).await
    }

    /// Everybody in the room hears this when it is loaded, after what was announced before; in the room's queue when this
    /// returns. A room that is over hears nothing.
    pub(crate) fn announce(&self, announcement: Announced) -> Result<(), CommandError> {
        match self.mailbox.try_send(RoomMessage::Announce(Box::new(announcement))) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(CommandError::Busy("commands waiting for one room")),
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Removes members.
    pub async fn kick(&self, whom: Whom, by: Asker) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::Kick(whom, by, reply)).await
    }

    /// Puts a supervisor into a mode.
    pub async fn mode(&self, command: ModeCommand, by: Asker) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::Mode(command, by, reply)).await
    }

    /// Puts a call in. The answer comes when the shard has done it and the events are committed.
    pub async fn join(&self, request: JoinRequest) -> Result<Joined, CommandError> {
        self.ask(|reply| RoomMessage::Join(Box::new(request), reply)).await
    }

    /// Takes a member out; returns when the shard has done it. What is returned resolves when it is recorded too, or a
    /// second has passed.
    pub(crate) async fn leave(&self, member: MemberId, cause: LeaveCause) -> oneshot::Receiver<()> {
        let (reply, done) = oneshot::channel();
        let (tell, recorded) = oneshot::channel();
        if self.mailbox.send(RoomMessage::Leave(member, cause, reply, tell)).await.is_ok() {
            // An actor that ended meanwhile has taken everybody out.
            let _ = done.await;
        }
        recorded
    }

    pub(crate) async fn expect(&self, dial: u64, music: DialMusic, newcomer: MemberView) -> Result<(), CommandError> {
        self.ask(|reply| RoomMessage::Expect(dial, music, Box::new(newcomer), reply)).await
    }

    pub(crate) async fn expectation_over(&self, dial: u64) {
        // A room that ended meanwhile expects nobody.
        let _ = self.mailbox.send(RoomMessage::ExpectationOver(dial)).await;
    }

    /// A leg of a dial sounds before its answer.
    pub(crate) async fn early(&self, dial: u64, leg: LegId) {
        // A room that ended meanwhile hears nobody.
        let _ = self.mailbox.send(RoomMessage::Early(dial, leg)).await;
    }

    /// That leg was answered, or never will be; returns when nobody hears it any more.
    pub(crate) async fn early_over(&self, leg: LegId) {
        let (reply, done) = oneshot::channel();
        if self.mailbox.send(RoomMessage::EarlyOver(leg, reply)).await.is_ok() {
            // An actor that ended meanwhile has let everybody go.
            let _ = done.await;
        }
    }

    /// Tells what became of a request to add `call`: the member, if it is in, else who would have come.
    pub(crate) async fn added(&self, outcome: &str, call: &CallView, absent: MemberView) {
        let members = self.snapshot().await.map(|snapshot| snapshot.members).unwrap_or_default();
        let member = members.into_iter().find(|member| member.call_uuid == call.uuid).unwrap_or(absent);
        self.tell(Kind::AddCompleted(outcome.to_owned()), Some(member), Some(call.clone())).await;
    }

    pub(crate) async fn tell(&self, kind: Kind, member: Option<MemberView>, call: Option<CallView>) {
        // A room that ended meanwhile has said its last.
        let _ = self.mailbox.send(RoomMessage::Tell(kind, member.map(Box::new), call.map(Box::new))).await;
    }

    /// Passes a fact on; false when the mailbox is full.
    pub(crate) fn media_fact(&self, fact: MediaFact) -> bool {
        self.mailbox.try_send(RoomMessage::Media(fact)).is_ok()
    }

    /// Passes on what must arrive: it waits for a place by itself if need be. A room fails once and has few players, so that
    /// few wait.
    pub(crate) fn owe_fact(&self, fact: MediaFact) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.mailbox.try_send(RoomMessage::Media(fact)) {
            let mailbox = self.mailbox.clone();
            // A room that ends meanwhile is owed nothing any more.
            tokio::spawn(async move { mailbox.send(message).await.ok() });
        }
    }

    /// The member of this call asks for a supervisor, or (false) no more.
    pub(crate) async fn ask_for_help(&self, call: &str, wanted: bool, by: Asker) -> Result<Applied, CommandError> {
        self.ask(|reply| RoomMessage::Help(call.to_owned(), wanted, by, reply)).await
    }

    /// Returns when the room is over and everything about it is committed.
    pub async fn gone(&self) {
        let mut gone = self.gone.clone();
        // An error means that the actor is gone, which is what is waited for.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, CommandError>>) -> RoomMessage,
    ) -> Result<T, CommandError> {
        self.enqueue(message)?.await
    }

    fn enqueue<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, CommandError>>) -> RoomMessage,
    ) -> Result<Answer<T>, CommandError> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.try_send(message(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommandError::Busy("commands waiting for one room"),
            mpsc::error::TrySendError::Closed(_) => self.over(),
        })?;
        Ok(Answer { answer, room: self.clone() })
    }

    fn over(&self) -> CommandError {
        CommandError::NotFound { what: "room", id: self.identity.uuid.clone() }
    }
}
