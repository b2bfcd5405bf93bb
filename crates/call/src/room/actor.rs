//! The actor of one room.
//!
//! Every command works on a copy of the room: the copy becomes the room only when the shard has taken the change into
//! its queue. So a refused command, or a full queue, changes nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use conference::{Agents, EndCause, LeaveCause, MemberId, Mode, Room, RoomError, Status};
use media::{LegId, PlayId, PlayerChange, PlayerId, RoomChange, Sound};
use tokio::sync::{mpsc, oneshot, watch};

use super::handle::{Identity, JoinRequest, Joined, RoomHandle};
use super::message::{MediaFact, Reply, RoomMessage};
use super::music::SoundKey;
use super::plan::plan_for;
use super::publish::{After, Publication, publish};
use super::sounds::add_notice;
use crate::command::{Applied, Asker, CommandError, DialMusic, MemberChange, ModeCommand, ModeName, Whom};
use crate::dialect::{CallView, Departure, Kind, MemberView};
use crate::engine::Inner;
use crate::records::Happened;
use crate::session::{CallMailbox, CallMessage};
use crate::verb::{MemberSettings, RoomSettings};

const MAILBOX: usize = 1024;
const PUBLICATIONS: usize = 1024;
/// How long a duty waits before it asks a busy shard again.
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);
/// Commands whose ids are remembered, so that a repeat is answered without being done again.
const REMEMBERED_COMMANDS: usize = 64;

/// How a room is opened.
pub(crate) struct Opening {
    pub uuid: String,
    pub name: String,
    pub account: String,
    pub auth_id: String,
    pub dialect: &'static str,
    pub settings: RoomSettings,
    /// Who caused it, if that is not its first member: somebody being dialled.
    pub opener: Option<MemberView>,
}

pub(super) struct Seat {
    pub(super) number: i64,
    pub(super) leg: LegId,
    pub(super) call: CallView,
    pub(super) settings: MemberSettings,
    pub(super) mailbox: CallMailbox,
    pub(super) dialect: &'static str,
    pub(super) joined_at: i64,
    pub(super) playing: Option<(PlayId, SoundKey)>,
}

pub(super) struct Actor {
    pub(super) inner: Arc<Inner>,
    pub(super) me: RoomHandle,
    pub(super) dialect: &'static str,
    pub(super) auth_id: String,
    pub(super) settings: RoomSettings,
    pub(super) room: Room,
    pub(super) seats: BTreeMap<MemberId, Seat>,
    pub(super) opener: Option<MemberView>,
    pub(super) last_member: Option<MemberView>,
    pub(super) dialling: BTreeMap<u64, DialMusic>,
    pub(super) sounds: HashMap<SoundKey, Option<Sound>>,
    pub(super) loading: Vec<SoundKey>,
    pub(super) sequence: u64,
    pub(super) opened_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) ended: Option<(i64, EndCause)>,
    pub(super) commands: VecDeque<(String, Outcome)>,
    pub(super) plays: u64,
    pub(super) revision: u64,
    publications: mpsc::Sender<Publication>,
    /// The room is gone from the media plane; what is left to do is to end it.
    media_failed: bool,
}

/// What goes with a change of the room.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) join: Vec<LegId>,
    pub(super) players: Vec<(PlayerId, PlayerChange)>,
    pub(super) after: Vec<After>,
    pub(super) command_id: Option<String>,
    pub(super) events: Vec<(Kind, Option<MemberView>, Option<CallView>)>,
    /// What must happen: it waits for a place in the shard's queue instead of being refused, and goes on without a room on
    /// the media plane if that has failed.
    pub(super) duty: bool,
    /// The plan is sent even if it has not changed.
    pub(super) resend: bool,
}

impl Extras {
    fn duty() -> Self {
        Self { duty: true, ..Self::default() }
    }
}

/// Opens a room and starts its actor.
pub(crate) fn open(inner: &Arc<Inner>, opening: Opening) -> Result<RoomHandle, CommandError> {
    let media_room = inner.media.open_room().map_err(refused)?;
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let (publications, published) = mpsc::channel(PUBLICATIONS);
    let (gone_tx, gone) = watch::channel(false);
    let Opening { uuid, name, account, auth_id, dialect, settings, opener } = opening;
    let identity = Arc::new(Identity { uuid, name, account, auth_id: auth_id.clone(), media_room });
    let me = RoomHandle { identity, mailbox, gone };
    tokio::spawn(publish(Arc::clone(inner), me.clone(), published, gone_tx));
    let actor = Actor {
        inner: Arc::clone(inner),
        me: me.clone(),
        dialect,
        auth_id,
        room: Room::open(settings.policy.clone(), inner.clock.monotonic()),
        settings,
        seats: BTreeMap::new(),
        opener,
        last_member: None,
        dialling: BTreeMap::new(),
        sounds: HashMap::new(),
        loading: Vec::new(),
        sequence: 0,
        opened_at: inner.clock.utc(),
        started_at: None,
        ended: None,
        commands: VecDeque::new(),
        plays: 0,
        revision: 0,
        publications,
        media_failed: false,
    };
    tokio::spawn(actor.run(messages));
    Ok(me)
}

fn refused(error: media::MediaError) -> CommandError {
    match error {
        media::MediaError::Busy(what) => CommandError::Busy(what),
        media::MediaError::Limit { what, .. } => CommandError::Busy(what),
        other => CommandError::Failed(other.to_string()),
    }
}

impl From<RoomError> for CommandError {
    fn from(error: RoomError) -> Self {
        match error {
            RoomError::NoSuchMember(id) => Self::NotFound { what: "member", id: id.to_string() },
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl Actor {
    async fn run(mut self, mut messages: mpsc::Receiver<RoomMessage>) {
        self.load_music();
        while self.ended.is_none() {
            let deadline = self.room.next_timeout().map(|at| self.inner.clock.instant(at));
            tokio::select! {
                message = messages.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => break,
                },
                () = sleep_until(deadline) => self.time_out().await,
            }
        }
        // The change that ended the room comes before this in the shard's queue; nobody waits for the closing.
        drop(self.inner.media.close_room(self.me.media_room()));
        // Whoever asks from here on is told that the room is over, until the registry has forgotten it.
        messages.close();
        while messages.recv().await.is_some() {}
    }

    async fn handle(&mut self, message: RoomMessage) {
        match message {
            RoomMessage::Join(request, reply) => self.join(*request, reply).await,
            RoomMessage::Leave(member, cause, reply) => {
                let extras = Extras { after: vec![After::Left(reply)], ..Extras::duty() };
                // A member that is gone already has left: the reply is dropped, which says the same.
                let _ = self.change(Asker::server(), extras, |room| room.leave(member, cause)).await;
            }
            RoomMessage::Start(by, reply) => self.command(by, reply, None, Room::start).await,
            RoomMessage::End(by, cause, reply) => {
                let mut room = self.room.clone();
                match room.end(cause) {
                    Err(error) => drop(reply.send(Err(error.into()))),
                    Ok(()) => {
                        let extras = Extras { after: vec![After::Applied(reply)], ..Extras::duty() };
                        // A duty is never refused.
                        let _ = self.settle(room, by, extras).await;
                    }
                }
            }
            RoomMessage::Change(whom, change, by, reply) => match self.members_of(&whom) {
                Ok(ids) => self.command(by, reply, None, |room| apply(room, &ids, &change)).await,
                Err(error) => drop(reply.send(Err(error))),
            },
            RoomMessage::Kick(whom, by, reply) => match self.members_of(&whom) {
                Ok(ids) => {
                    let leave = |room: &mut Room| {
                        ids.iter().try_for_each(|id| match room.status() {
                            // The first to leave may have ended the room for all.
                            Status::Ended => Ok(()),
                            _ => room.leave(*id, LeaveCause::Kicked),
                        })
                    };
                    self.command(by, reply, None, leave).await;
                }
                Err(error) => drop(reply.send(Err(error))),
            },
            RoomMessage::Mode(command, by, reply) => self.mode(command, by, reply).await,
            RoomMessage::Snapshot(reply) => drop(reply.send(Ok(self.snapshot()))),
            RoomMessage::Hearing(reply) => drop(reply.send(Ok(self.matrix(&self.room)))),
            RoomMessage::Expect(dial, music, newcomer, reply) => {
                let mut room = self.room.clone();
                if let Err(error) = room.expect_member() {
                    return drop(reply.send(Err(error.into())));
                }
                self.opener.get_or_insert(*newcomer);
                self.dialling.insert(dial, music);
                self.load_music();
                let extras = Extras { after: vec![After::Expected(reply)], ..Extras::default() };
                if self.settle(room, Asker::server(), extras).await.is_err() {
                    self.dialling.remove(&dial);
                }
            }
            RoomMessage::ExpectationOver(dial) => {
                self.dialling.remove(&dial);
                self.forget_sounds();
                let extras = Extras::duty();
                let over = |room: &mut Room| {
                    room.expectation_over();
                    Ok(())
                };
                let _ = self.change(Asker::server(), extras, over).await;
            }
            RoomMessage::Tell(kind, member, call) => {
                self.tell(kind, member.map(|m| *m), call.map(|c| *c)).await;
            }
            RoomMessage::Resend => {
                let extras = Extras { resend: true, ..Extras::duty() };
                let _ = self.change(Asker::server(), extras, |_| Ok(())).await;
            }
            RoomMessage::Media(fact) => self.media_fact(fact).await,
            RoomMessage::SoundLoaded(key, sound) => {
                self.loading.retain(|k| *k != key);
                self.sounds.insert(key, sound);
                let _ = self.change(Asker::server(), Extras::default(), |_| Ok(())).await;
            }
            RoomMessage::NoticeLoaded(hearers, Some(sound)) => {
                let audience: Vec<MemberId> =
                    hearers.iter().copied().filter(|id| self.seats.contains_key(id)).collect();
                let mut room = self.room.clone();
                let mut extras = Extras::default();
                if add_notice(&mut room, &audience, sound, &mut extras).is_ok() {
                    let _ = self.settle(room, Asker::server(), extras).await;
                }
            }
            RoomMessage::NoticeLoaded(_, None) => {}
        }
    }

    /// A command whose asker gets the tick from which it holds.
    async fn command(
        &mut self,
        by: Asker,
        reply: Reply<Applied>,
        command_id: Option<String>,
        edit: impl FnOnce(&mut Room) -> Result<(), RoomError>,
    ) {
        let mut room = self.room.clone();
        match edit(&mut room) {
            Err(error) => drop(reply.send(Err(error.into()))),
            Ok(()) => {
                let extras = Extras { after: vec![After::Applied(reply)], command_id, ..Extras::default() };
                // A refusal has been answered by `settle`.
                let _ = self.settle(room, by, extras).await;
            }
        }
    }

    async fn change(
        &mut self,
        by: Asker,
        extras: Extras,
        edit: impl FnOnce(&mut Room) -> Result<(), RoomError>,
    ) -> Result<(), CommandError> {
        let mut room = self.room.clone();
        edit(&mut room)?;
        self.settle(room, by, extras).await
    }

    async fn join(&mut self, request: JoinRequest, reply: Reply<Joined>) {
        let JoinRequest { join, call, leg, mailbox, dialect, by } = request;
        let mut room = self.room.clone();
        let company: Vec<MemberId> = self.seats.keys().copied().collect();
        let id = match room.enter(join.entry, self.inner.clock.monotonic()) {
            Ok(id) => id,
            Err(error) => return drop(reply.send(Err(error.into()))),
        };
        let number = match self.inner.numbers.next(self.me.account()).await {
            Ok(number) => number,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mut extras = Extras { join: vec![leg], after: vec![After::Joined(reply, id, number)], ..Extras::default() };
        let notice = self.notice(&join.member_settings.enter_sound, company, &mut room, &mut extras);
        let joined_at = self.inner.clock.utc();
        let settings = join.member_settings;
        let seat = Seat { number, leg, call, settings, mailbox, dialect, joined_at, playing: None };
        let before = self.settings.clone();
        self.settings.fill_in(&join.room_settings);
        if join.room_settings.record {
            let text = "a recording was asked for, and this server has no recorder: nothing is recorded";
            extras.events.push((Kind::Warning(text.into()), Some(self.view(&room, id, &seat)), None));
        }
        self.seats.insert(id, seat);
        if self.settle(room, by, extras).await.is_err() {
            self.seats.remove(&id);
            self.settings = before;
            // A room that was opened for this member alone has nobody to wait for.
            if self.seats.is_empty() && self.room.expected() == 0 {
                let _ = self.change(Asker::server(), Extras::duty(), |room| room.end(EndCause::Empty)).await;
            }
            return;
        }
        self.load_music();
        if let Some((fetch, hearers)) = notice {
            self.load_notice(fetch, hearers);
        }
    }

    async fn mode(&mut self, command: ModeCommand, by: Asker, reply: Reply<Applied>) {
        let ModeCommand { member, mode, agents, command_id } = command;
        if let Some((_, done)) = self.commands.iter().find(|(id, _)| Some(id) == command_id.as_ref()) {
            return answer_repeat(done.clone(), reply);
        }
        let whom = self.members_of(&Whom::Members(vec![member]));
        let (ids, agents) = match whom.and_then(|ids| Ok((ids, self.members_of(&Whom::Members(agents))?))) {
            Ok(found) => found,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let mode = match mode {
            ModeName::Monitor => Mode::Monitor,
            ModeName::Whisper => Mode::Whisper,
            ModeName::Barge => Mode::Barge,
            ModeName::Takeover if agents.is_empty() => Mode::Takeover(Agents::All),
            ModeName::Takeover => Mode::Takeover(Agents::These(agents)),
            ModeName::Stop => Mode::Stop,
        };
        let mut room = self.room.clone();
        let Some(id) = ids.first() else { return };
        if let Err(error) = room.mode(*id, &mode) {
            return drop(reply.send(Err(error.into())));
        }
        let (tell, told) = oneshot::channel();
        let extras = Extras { after: vec![After::Applied(tell)], command_id: command_id.clone(), ..Extras::default() };
        let settled = self.settle(room, by, extras).await;
        let (done, outcome) = watch::channel(None);
        if let Some(command_id) = command_id.filter(|_| settled.is_ok()) {
            if self.commands.len() >= REMEMBERED_COMMANDS {
                self.commands.pop_front();
            }
            self.commands.push_back((command_id, outcome));
        }
        tokio::spawn(async move {
            let answer = told.await.unwrap_or_else(|_| Err(CommandError::Failed("the room ended".into())));
            done.send_replace(Some(answer.clone()));
            drop(reply.send(answer));
        });
    }

    async fn time_out(&mut self) {
        let now = self.inner.clock.monotonic();
        let tick = |room: &mut Room| {
            room.handle_timeout(now);
            Ok(())
        };
        let _ = self.change(Asker::server(), Extras::duty(), tick).await;
    }

    async fn media_fact(&mut self, fact: MediaFact) {
        let member_of = |leg: LegId| self.seats.iter().find(|(_, seat)| seat.leg == leg).map(|(id, _)| *id);
        match fact {
            MediaFact::Digit(leg, digit) => {
                if let Some(view) = member_of(leg).and_then(|id| self.view_of(id)) {
                    self.tell(Kind::Digit(digit), Some(view), None).await;
                }
            }
            MediaFact::Speaking(leg, speaking) => {
                if let Some(view) = member_of(leg).and_then(|id| self.view_of(id)) {
                    self.tell(Kind::Speaking(speaking), Some(view), None).await;
                }
            }
            MediaFact::PlayerEnded(player) => {
                let id = u32::try_from(player.0).map(conference::PlayerId);
                let remove = |room: &mut Room| {
                    if let Ok(id) = id {
                        room.remove_player(id);
                    }
                    Ok(())
                };
                let _ = self.change(Asker::server(), Extras::duty(), remove).await;
            }
            MediaFact::Failed(why) => {
                tracing::error!(room = self.me.uuid(), why, "a room's media failed; the room ends");
                self.media_failed = true;
                let _ = self.change(Asker::server(), Extras::duty(), |room| room.end(EndCause::Fault)).await;
            }
        }
    }

    /// Publishes something that changes nothing.
    async fn tell(&mut self, kind: Kind, member: Option<MemberView>, call: Option<CallView>) {
        let happened = self.happened(&self.room.clone(), kind, member, call);
        self.send(Publication {
            change: None,
            records: vec![happened],
            rows: None,
            hearing: None,
            by: Asker::server(),
            command_id: None,
            after: Vec::new(),
            last: false,
        })
        .await;
    }

    /// Makes `room` the room: commands the shard, then has everything published in order.
    async fn settle(&mut self, mut room: Room, by: Asker, mut extras: Extras) -> Result<(), CommandError> {
        let before = self.room.hearing();
        let mut events = Vec::new();
        while let Some(event) = room.poll_event() {
            events.push(event);
        }
        let exits = self.exit_notices(&mut room, &events, &mut extras);
        let hearing = room.hearing();
        let plays = self.wanted_plays(&room);
        let leave: Vec<LegId> =
            self.seats.iter().filter(|(id, _)| room.member(**id).is_none()).map(|(_, seat)| seat.leg).collect();
        let changes_media = hearing != before
            || !extras.join.is_empty()
            || !leave.is_empty()
            || !plays.is_empty()
            || !extras.players.is_empty()
            || extras.resend;
        let change = if changes_media {
            self.revision += 1;
            let leg_of = |id: MemberId| self.seats.get(&id).map(|seat| seat.leg);
            let relays = |id: MemberId| room.member(id).is_some_and(|m| m.relay_digits);
            let plan = plan_for(&hearing, self.revision, leg_of, relays);
            let change = RoomChange {
                plan,
                join: std::mem::take(&mut extras.join),
                leave,
                plays: plays.iter().map(|play| (play.leg, play.change.clone())).collect(),
                players: std::mem::take(&mut extras.players),
            };
            match self.send_change(change, extras.duty).await {
                Ok(sent) => sent,
                Err(error) => {
                    extras.after.into_iter().for_each(|after| after.refuse(&error));
                    return Err(error);
                }
            }
        } else {
            None
        };
        for play in plays {
            if let Some(seat) = self.seats.get_mut(&play.member) {
                seat.playing = play.playing;
            }
        }
        let old = std::mem::replace(&mut self.room, room);
        self.publish_change(&old, events, hearing != before, change, by, extras).await;
        for (fetch, hearers) in exits {
            self.load_notice(fetch, hearers);
        }
        Ok(())
    }

    /// Puts a change into the shard's queue. A duty waits for its place; where the media plane has lost the room, there is
    /// nothing to change there any more.
    async fn send_change(
        &mut self,
        change: RoomChange,
        duty: bool,
    ) -> Result<Option<super::publish::Change>, CommandError> {
        let mut waited = 0u32;
        while !self.media_failed {
            let mut pending = self.inner.media.change_room(self.me.media_room(), change.clone());
            match pending.try_now() {
                None => return Ok(Some(Box::pin(pending))),
                Some(Ok(applied)) => return Ok(Some(Box::pin(std::future::ready(Ok(applied))))),
                Some(Err(error @ media::MediaError::Busy(_))) if duty => {
                    if waited.is_multiple_of(200) {
                        tracing::warn!(room = self.me.uuid(), %error, "a change that must be made waits for the media plane");
                    }
                    waited += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Some(Err(error)) => {
                    use media::MediaError as E;
                    self.media_failed |= matches!(error, E::RoomFailed(_) | E::NoRoom(_) | E::Stopped);
                    if !duty {
                        return Err(refused(error));
                    }
                    tracing::error!(room = self.me.uuid(), %error, "a change was made without the media plane");
                    return Ok(None);
                }
            }
        }
        if duty { Ok(None) } else { Err(CommandError::Failed("the room's media failed; it is being ended".into())) }
    }

    async fn publish_change(
        &mut self,
        old: &Room,
        events: Vec<conference::Event>,
        heard_differently: bool,
        change: Option<super::publish::Change>,
        by: Asker,
        extras: Extras,
    ) {
        let now = self.inner.clock.utc();
        let room = self.room.clone();
        let mut records = Vec::new();
        let mut after = Vec::new();
        let mut changed = Vec::new();
        for event in events {
            use conference::Event as E;
            let (kind, member) = match event {
                E::Opened => (Kind::RoomOpened, None),
                E::Started => {
                    self.started_at = Some(now);
                    (Kind::RoomStarted, None)
                }
                E::Ended(cause) => {
                    self.ended = Some((now, cause));
                    (Kind::RoomEnded, None)
                }
                E::Joined(id) => (Kind::Joined, Some(id)),
                E::Left(id, cause) => {
                    if let Some(view) = self.depart(old, id, cause, now, &mut after) {
                        changed.push(view.clone());
                        records.push(self.happened(&room, Kind::Left, Some(view), None));
                    }
                    continue;
                }
                E::Muted(id, muted) => (Kind::Muted(muted), Some(id)),
                E::Held(id, held) => (Kind::Held(held), Some(id)),
                E::Coaching(id, coaching) => (Kind::Coaching(coaching), Some(id)),
                E::Tagged(id, _) => (Kind::Tagged, Some(id)),
                E::Takeover(id, on) => (Kind::Takeover(on), Some(id)),
                E::CoachAudience(_) | E::PlayerRemoved(_) => continue,
            };
            let view = member.and_then(|id| self.view_of(id));
            changed.extend(view.clone());
            records.push(self.happened(&room, kind, view, None));
        }
        for (kind, member, call) in extras.events {
            records.push(self.happened(&room, kind, member, call));
        }
        // A departure is told to the call after whoever caused it has his answer.
        let mut steps = extras.after;
        steps.append(&mut after);
        let worth_recording = !records.is_empty();
        self.send(Publication {
            change,
            rows: worth_recording.then(|| self.rows(&room, changed)),
            records,
            hearing: heard_differently.then(|| self.matrix(&room)),
            by,
            command_id: extras.command_id,
            after: steps,
            last: self.ended.is_some(),
        })
        .await;
    }

    async fn send(&self, publication: Publication) {
        if self.publications.send(publication).await.is_err() {
            tracing::error!(room = self.me.uuid(), "the room's publisher is gone");
        }
    }

    /// Frees a member's seat; the view is the member as it left.
    fn depart(
        &mut self,
        old: &Room,
        id: MemberId,
        cause: LeaveCause,
        now: i64,
        after: &mut Vec<After>,
    ) -> Option<MemberView> {
        let seat = self.seats.remove(&id)?;
        let mut view = self.view(old, id, &seat);
        view.left_at = Some(now);
        view.leave_cause = Some(cause);
        self.last_member = Some(view.clone());
        let departure =
            Departure { room: self.me.uuid().to_owned(), room_name: self.me.name().to_owned(), member: view.clone() };
        if cause == LeaveCause::Kicked || cause == LeaveCause::RoomEnded {
            after.push(After::Notify(seat.mailbox, Box::new(CallMessage::LeftRoom(Box::new(departure), cause))));
        }
        Some(view)
    }

    fn happened(&mut self, room: &Room, kind: Kind, member: Option<MemberView>, call: Option<CallView>) -> Happened {
        self.sequence += 1;
        let member = match &kind {
            Kind::RoomOpened => self.opener.clone().or_else(|| self.newest()),
            Kind::RoomStarted => member.or_else(|| self.newest()).or_else(|| self.opener.clone()),
            Kind::RoomEnded => member.or_else(|| self.last_member.clone()).or_else(|| self.opener.clone()),
            _ => member,
        };
        let call = call.or_else(|| {
            let uuid = &member.as_ref()?.call_uuid;
            self.seats.values().find(|seat| seat.call.uuid == *uuid).map(|seat| seat.call.clone())
        });
        let mut dialects = vec![self.dialect];
        if let Some(own) = member.as_ref().and_then(|m| self.seats.values().find(|s| s.number == m.number))
            && own.dialect != self.dialect
        {
            dialects.push(own.dialect);
        }
        Happened { kind, sequence: self.sequence, room: Some(self.room_view(room)), member, call, dialects }
    }

    fn newest(&self) -> Option<MemberView> {
        self.seats.keys().next_back().and_then(|id| self.view_of(*id))
    }

    fn members_of(&self, whom: &Whom) -> Result<Vec<MemberId>, CommandError> {
        match whom {
            Whom::All => Ok(self.seats.keys().copied().collect()),
            Whom::Members(numbers) => numbers
                .iter()
                .map(|number| {
                    let seat = self.seats.iter().find(|(_, seat)| seat.number == *number);
                    seat.map(|(id, _)| *id)
                        .ok_or_else(|| CommandError::NotFound { what: "member", id: number.to_string() })
                })
                .collect(),
        }
    }
}

type Outcome = watch::Receiver<Option<Result<Applied, CommandError>>>;

/// Answers a command that was given before as it was answered then, or will be.
fn answer_repeat(mut done: Outcome, reply: Reply<Applied>) {
    tokio::spawn(async move {
        let answer = done.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        drop(reply.send(answer.unwrap_or_else(|| Err(CommandError::Failed("the room ended".into())))));
    });
}

fn apply(room: &mut Room, ids: &[MemberId], change: &MemberChange) -> Result<(), RoomError> {
    for id in ids {
        if let Some(tag) = &change.tag {
            room.tag(*id, tag.clone())?;
        }
        if change.coach.is_some() || change.coach_audience.is_some() {
            let coaching = change.coach.unwrap_or_else(|| room.member(*id).is_some_and(|member| member.coaching));
            room.coach(*id, coaching, change.coach_audience.clone())?;
        }
        if let Some(muted) = change.mute {
            room.mute(*id, muted)?;
        }
        if let Some(held) = change.hold {
            room.hold(*id, held)?;
        }
        if let Some(deaf) = change.deaf {
            room.deafen(*id, deaf)?;
        }
    }
    Ok(())
}

async fn sleep_until(deadline: Option<std::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
