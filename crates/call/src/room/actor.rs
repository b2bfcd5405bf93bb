//! The actor of one room.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use conference::{EndCause, LeaveCause, MemberId, Room, RoomError, Status};
use media::{LegId, Sound};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::announce::Announcements;
use super::change::{Extras, refused};
use super::early::Early;
use super::handle::{Identity, InForce, RoomHandle};
use super::live::LiveRoom;
use super::message::{MediaFact, RoomMessage};
use super::modes::Outcome;
use super::music::SoundKey;
use super::publish::{After, Publication, publish};
use super::seats::{Seat, apply, leave};
use super::sounds::{Announcement, NoticeKey, WaitingBeep, is_for};
use super::taps::Taps;
use crate::clock::sleep_until;
use crate::command::{Asker, CommandError, DialMusic, HearingRow, ModeCommand};
use crate::dialect::{CallView, Kind, MemberView, RoomView};
use crate::engine::Inner;
use crate::journal::Backlog;
use crate::verb::RoomSettings;

const MAILBOX: usize = 1024;
const PUBLICATIONS: usize = 1024;
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
    /// Who hears whom, as far as that has been published.
    pub(super) heard: Arc<Vec<HearingRow>>,
    /// Members who have asked for a supervisor.
    pub(super) help: BTreeSet<MemberId>,
    /// Members that take part, as far as that has been told.
    pub(super) taking_part: u32,
    pub(super) sequence: u64,
    pub(super) opened_at: i64,
    pub(super) started_at: Option<i64>,
    pub(super) ended: Option<(i64, EndCause)>,
    /// Commands that had an id, and what became of them.
    pub(super) commands: VecDeque<(ModeCommand, Outcome)>,
    pub(super) plays: u64,
    /// How often members were told of their hold.
    pub(super) holds_told: u64,
    pub(super) revision: u64,
    pub(super) publications: mpsc::Sender<Publication>,
    /// The room is gone from the media plane; what is left to do is to end it.
    pub(super) media_failed: bool,
}

/// Opens a room and starts its actor.
pub(crate) fn open(inner: &Arc<Inner>, opening: Opening) -> Result<RoomHandle, CommandError> {
    let media_room = inner.media.open_room().map_err(refused)?;
    let (mailbox, messages) = mpsc::channel(MAILBOX);
    let (publications, published) = mpsc::channel(PUBLICATIONS);
    let (gone_tx, gone) = watch::channel(false);
    let backlog = Backlog::default();
    let Opening { uuid, name, unnamed, account, auth_id, dialect, settings, opener } = opening;
    let (now, changes) = (inner.clock.utc(), inner.rooms.changes());
    let in_force = InForce { tick: 0, at: now }.into();
    let shown = RoomView::opened(&uuid, &name, &auth_id, unnamed, now);
    let live = watch::Sender::new(Arc::new(LiveRoom::opening(shown, now)));
    let identity = Arc::new(Identity {
        uuid,
        name,
        unnamed,
        account,
        auth_id: auth_id.clone(),
        dialect,
        media_room,
        pending: 0.into(),
        in_force,
        backlog,
        live,
        changes,
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
        heard: Arc::default(),
        help: BTreeSet::new(),
        taking_part: 0,
        sequence: 0,
        opened_at: now,
        started_at: None,
        ended: None,
        commands: VecDeque::new(),
        plays: 0,
        holds_told: 0,
        revision: 0,
        publications,
        media_failed: false,
    };
    tokio::spawn(actor.run(messages));
    Ok(me)
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
            RoomMessage::End(by, cause, reply) => self.owed(by, reply, |room| room.end(cause)).await,
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
            RoomMessage::Hold(hold, by, reply) => self.hold(hold, by, reply).await,
            RoomMessage::Admit(id, by, reply) => self.owed(by, reply, |room| room.admit(id)).await,
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
            RoomMessage::Help(call, wanted, by, reply) => self.ask_for_help(&call, wanted, by, reply).await,
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
}
