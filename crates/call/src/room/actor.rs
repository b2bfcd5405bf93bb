//! The actor of one room.
//!
//! Every command works on a copy of the room: the copy becomes the room only when the shard has taken the change into
//! its queue. So a refused command, or a full queue, changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use conference::{EndCause, LeaveCause, MemberId, Room, RoomError, Status};
use media::{LegId, PlayId, PlayerChange, PlayerId, RoomChange, Sound};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::announce::Announcements;
use super::early::Early;
use super::handle::{Identity, InForce, JoinRequest, Joined, RoomHandle};
use super::message::{MediaFact, Reply, RoomMessage};
use super::modes::Outcome;
use super::music::SoundKey;
use super::plan::plan_for;
use super::publish::{After, Change, Publication, publish};
use super::sounds::{Announcement, NoticeKey, WaitingBeep, is_for};
use super::taps::Taps;
use crate::command::{Applied, Asker, CommandError, DialMusic, MemberChange, ModeCommand, Whom};
use crate::dialect::{CallView, Kind, MemberView};
use crate::engine::Inner;
use crate::journal::Backlog;
use crate::session::CallMailbox;
use crate::verb::{MemberSettings, RoomSettings};

const MAILBOX: usize = 1024;
const PUBLICATIONS: usize = 1024;
/// How long a duty waits before it asks a busy shard again.
const BUSY_PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// How a room is opened.
pub(crate) struct Opening {
    pub uuid: String,
    pub name: String,
    /// It connects two calls, and nobody named it.
    pub unnamed: bool,
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
    /// Whether sound like speech comes from its microphone.
    pub(super) speaking: bool,
    /// Whether that has been told.
    pub(super) speech_told: bool,
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
    /// That member's call and its dialect.
    pub(super) last_call: Option<(CallView, &'static str)>,
    pub(super) dialling: BTreeMap<u64, DialMusic>,
    pub(super) early: Early,
    pub(super) sounds: HashMap<SoundKey, Sound>,
    pub(super) loading: HashMap<SoundKey, AbortOnDropHandle<()>>,
    /// What the room's players sound. One that a refused change added stands here until its number is given again.
    pub(super) notices: BTreeMap<conference::PlayerId, NoticeKey>,
    /// Beeps that wait for others to end, by their number.
    pub(super) beeps_waiting: BTreeMap<u8, BTreeSet<WaitingBeep>>,
    /// Listeners without a leg.
    pub(super) taps: Taps,
    /// What everybody is told, one after the other.
    pub(super) announcements: Announcements,
    /// Members that take part, as far as that has been told.
    pub(super) taking_part: u32,
    pub(super) sequence: u64,
    pub(super) opened_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) ended: Option<(i64, EndCause)>,
    /// Commands that had an id, and what became of them.
    pub(super) commands: VecDeque<(ModeCommand, Outcome)>,
    pub(super) plays: u64,
    pub(super) revision: u64,
    pub(super) publications: mpsc::Sender<Publication>,
    /// The room is gone from the media plane; what is left to do is to end it.
    media_failed: bool,
}

/// What goes with a change of the room.
#[derive(Default)]
pub(super) struct Extras {
    pub(super) join: Vec<LegId>,
    pub(super) players: Vec<(PlayerId, PlayerChange)>,
    pub(super) after: Vec<After>,
    /// Whoever waits until the change is in the sound, recorded or not.
    pub(super) left: Vec<oneshot::Sender<()>>,
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
    let backlog = Backlog::default();
    let Opening { uuid, name, unnamed, account, auth_id, dialect, settings, opener } = opening;
    let in_force = InForce { tick: 0, at: inner.clock.utc() }.into();
    let identity = Arc::new(Identity {
        uuid,
        name,
        unnamed,
        account,
        auth_id: auth_id.clone(),
        media_room,
        pending: 0.into(),
        in_force,
        backlog,
    });
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
        last_call: None,
        dialling: BTreeMap::new(),
        early: Early::default(),
        sounds: HashMap::new(),
        loading: HashMap::new(),
        notices: BTreeMap::new(),
        beeps_waiting: BTreeMap::new(),
        taps: Taps::default(),
        announcements: Announcements::default(),
        taking_part: 0,
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
                sounds = self.announcements.loaded() => self.next_announcement(sounds).await,
                () = sleep_until(deadline) => self.time_out().await,
            }
            // Whether a change has found it out or it was told.
            if self.media_failed && self.ended.is_none() {
                let _ = self.change(Asker::server(), Extras::duty(), |room| room.end(EndCause::Fault)).await;
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
            RoomMessage::Join(request, reply) => {
                // A room that was opened for this member alone has nobody to wait for.
                if !self.join(*request, reply).await && self.seats.is_empty() && self.room.expected() == 0 {
                    let _ = self.change(Asker::server(), Extras::duty(), |room| room.end(EndCause::Empty)).await;
                }
            }
            RoomMessage::Leave(member, cause, left, recorded) => {
                let after = vec![After::Recorded(recorded)];
                let extras = Extras { left: vec![left], after, ..Extras::duty() };
                let grace = self.end_deferred(member);
                // A member that is gone already has left: the replies are dropped, which says the same.
                let leave = |room: &mut Room| leave(room, member, cause, grace);
                let _ = self.change(Asker::server(), extras, leave).await;
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
                    let ids: Vec<_> = ids.into_iter().map(|id| (id, self.end_deferred(id))).collect();
                    let leave = |room: &mut Room| {
                        ids.iter().try_for_each(|(id, grace)| match room.status() {
                            // The first to leave may have ended the room for all.
                            Status::Ended => Ok(()),
                            _ => leave(room, *id, LeaveCause::Kicked, *grace),
                        })
                    };
                    self.command(by, reply, None, leave).await;
                }
                Err(error) => drop(reply.send(Err(error))),
            },
            RoomMessage::Mode(command, by, reply) => self.mode(command, by, reply).await,
            RoomMessage::Admit(id, by, reply) => self.command(by, reply, None, |room| room.admit(id)).await,
            RoomMessage::Tap(members, follower, reply) => self.tap(members, follower, reply).await,
            RoomMessage::Tapped(members, reply) => drop(reply.send(Ok(self.taps.running(members)))),
            RoomMessage::Untap(members, id, reply) => self.untap(members, id, reply).await,
            RoomMessage::TapCall(member, tap, reply) => self.tap_call(member, tap, reply).await,
            RoomMessage::Announce(announced) => self.announce(*announced).await,
            RoomMessage::Snapshot(reply) => drop(reply.send(Ok(self.snapshot()))),
            RoomMessage::Hearing(reply) => {
                let matrix = self.matrix(&self.room);
                self.publish_nothing(Vec::new(), vec![After::Hearing(reply, matrix)]).await;
            }
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
            RoomMessage::Early(dial, leg) => self.early(dial, leg).await,
            RoomMessage::EarlyOver(leg, reply) => {
                self.early_over(leg, Extras { left: vec![reply], ..Extras::duty() }).await;
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
                self.loading.remove(&key);
                self.sounds.insert(key, sound);
                // Whoever waits for it hears it, however busy the shard is.
                let _ = self.change(Asker::server(), Extras::duty(), |_| Ok(())).await;
            }
            RoomMessage::NoticeLoaded(Announcement { fetch, entering, hearers }, sound) => {
                let mut room = self.room.clone();
                let mut extras = Extras::default();
                let hearers = hearers.into_iter().filter(|id| is_for(&room, entering, *id)).collect::<Vec<_>>();
                self.add_notice(&mut room, NoticeKey::Url(fetch), &hearers, sound, &mut extras);
                if !extras.players.is_empty() {
                    let _ = self.settle(room, Asker::server(), extras).await;
                }
            }
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

    pub(super) async fn change(
        &mut self,
        by: Asker,
        extras: Extras,
        edit: impl FnOnce(&mut Room) -> Result<(), RoomError>,
    ) -> Result<(), CommandError> {
        let mut room = self.room.clone();
        edit(&mut room)?;
        self.settle(room, by, extras).await
    }

    /// Whether the member is in.
    async fn join(&mut self, request: JoinRequest, reply: Reply<Joined>) -> bool {
        let JoinRequest { join, call, leg, mailbox, dialect, by, speaking, taps } = request;
        let mut room = self.room.clone();
        let id = match room.enter(join.entry, self.inner.clock.monotonic()) {
            Ok(id) => id,
            Err(error) => {
                drop(reply.send(Err(error.into())));
                return false;
            }
        };
        let number = match self.inner.numbers.next(self.me.account()).await {
            Ok(number) => number,
            Err(error) => {
                drop(reply.send(Err(error)));
                return false;
            }
        };
        let tapped = self.taps.clone();
        for tap in taps {
            // The room is alive: a member has just entered it.
            let _ = self.taps.add_ear(&mut room, id, tap);
        }
        if let Some(max) = join.member_settings.max_members {
            room.limit_members(max);
        }
        let mut extras = Extras {
            join: vec![leg],
            after: vec![After::Joined(reply, id, number, room.has_started())],
            ..Extras::default()
        };
        let (before, beeps) = (self.settings.clone(), self.beeps_waiting.clone());
        let company = self.seats.keys().copied();
        let hearers = company.filter(|other| conference::hearing::speaks_to(&room, id, *other)).collect();
        let notice = self.notice(&join.member_settings.enter_sound, Some(id), hearers, &mut room, &mut extras);
        let joined_at = self.inner.clock.utc();
        let settings = join.member_settings;
        let seat = Seat {
            number,
            leg,
            call,
            settings,
            mailbox,
            dialect,
            joined_at,
            playing: None,
            speaking,
            speech_told: false,
        };
        self.settings.fill_in(&join.room_settings);
        if join.room_settings.record {
            let text = "a recording was asked for, and this server has no recorder: nothing is recorded";
            extras.events.push((Kind::Warning(text.into()), Some(self.view(&room, id, &seat)), None));
        }
        self.seats.insert(id, seat);
        if self.settle(room, by, extras).await.is_err() {
            self.seats.remove(&id);
            (self.settings, self.beeps_waiting, self.taps) = (before, beeps, tapped);
            return false;
        }
        self.load_music();
        if let Some(notice) = notice {
            self.load_notice(notice);
        }
        self.follow(id).await;
        true
    }

    /// When the room ends if this member leaves now and that ends it, unless that is at once.
    fn end_deferred(&self, id: MemberId) -> Option<std::time::Duration> {
        let grace = self.seats.get(&id)?.settings.end_grace?;
        Some(self.inner.clock.monotonic() + grace)
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
                if let Some(seat) = self.seats.values_mut().find(|seat| seat.leg == leg) {
                    seat.speaking = speaking;
                }
                // Told later: what is told then is who speaks then.
                if self.me.identity.backlog.is_long() {
                    return self.inner.counters.records_dropped.add(1);
                }
                for (id, speaking) in self.speech_changes() {
                    let view = self.view_of(id);
                    self.tell(Kind::Speaking(speaking), view, None).await;
                }
            }
            MediaFact::PlayerEnded(player) => {
                let Ok(id) = u32::try_from(player.0) else { return };
                if self.announcement_ended(conference::PlayerId(id)).await {
                    return;
                }
                let (mut room, mut extras) = (self.room.clone(), Extras::duty());
                self.notice_ended(&mut room, conference::PlayerId(id), &mut extras);
                // A duty is never refused.
                let _ = self.settle(room, Asker::server(), extras).await;
            }
            MediaFact::Failed(why) => {
                tracing::error!(room = self.me.uuid(), why, "a room's media failed; the room ends");
                self.media_failed = true;
            }
        }
    }

    /// Makes `room` the room: commands the shard, then has everything published in order.
    pub(super) async fn settle(&mut self, mut room: Room, by: Asker, mut extras: Extras) -> Result<(), CommandError> {
        // What may be refused is refused before there is no place for its record.
        if !extras.duty && self.me.identity.backlog.is_long() {
            let error = CommandError::Busy("what one room has to record");
            extras.after.into_iter().for_each(|after| after.refuse(&error));
            return Err(error);
        }
        let before = self.room.hearing();
        let mut events = Vec::new();
        while let Some(event) = room.poll_event() {
            events.push(event);
        }
        let beeps = self.beeps_waiting.clone();
        let exits = self.exit_notices(&mut room, &events, &mut extras);
        let mut taps = self.taps.clone();
        let over = taps.forget_the_gone(&mut room);
        let turn = self.turn_early(&mut room);
        extras.join.extend(turn.join);
        let hearing = room.hearing();
        let plays = self.wanted_plays(&room);
        let gone = self.seats.iter().filter(|(id, _)| room.member(**id).is_none()).map(|(_, seat)| seat.leg);
        let leave: Vec<LegId> = gone.chain(turn.leave).collect();
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
            let plan = plan_for(&hearing, self.revision, leg_of, |id| turn.leg(id), |tap| taps.media(tap), relays);
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
                    self.beeps_waiting = beeps;
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
        self.early.turned(&turn);
        self.taps = taps;
        over.into_iter().for_each(|tap| drop(self.inner.media.close_tap(tap)));
        let old = std::mem::replace(&mut self.room, room);
        // A plan that had to be sent again holds only from then on.
        let heard_differently = hearing != before || extras.resend;
        self.publish_change(&old, events, heard_differently, change, by, extras).await;
        for notice in exits {
            self.load_notice(notice);
        }
        Ok(())
    }

    /// Puts a change into the shard's queue. A duty waits for its place; where the media plane has lost the room, there is
    /// nothing to change there any more.
    async fn send_change(&mut self, change: RoomChange, duty: bool) -> Result<Option<Change>, CommandError> {
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

    pub(super) fn members_of(&self, whom: &Whom) -> Result<Vec<MemberId>, CommandError> {
        match whom {
            Whom::All => Ok(self.seats.keys().copied().collect()),
            Whom::NoModerators => {
                let others = self.seats.iter().filter(|(_, seat)| !seat.settings.moderator);
                Ok(others.map(|(id, _)| *id).collect())
            }
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

/// Takes a member out. If that ends the room, it does so at once, or at the time that was set.
fn leave(
    room: &mut Room,
    id: MemberId,
    cause: LeaveCause,
    deferred: Option<std::time::Duration>,
) -> Result<(), RoomError> {
    if let Some(until) = deferred {
        room.defer_end(id, until)?;
    }
    room.leave(id, cause)
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
