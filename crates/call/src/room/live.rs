//! A room as people watch it: whole states, each told when the shard has applied it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use conference::{Audience, Clause, MemberId, Role, Room};

use super::actor::Actor;
use super::handle::{InForce, RoomHandle};
use super::seats::Seat;
use crate::command::{HearingRow, ModeName};
use crate::dialect::{MemberView, RoomView};
use crate::shown;
use crate::ticket::Holder;

/// A state of a room.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveRoom {
    /// The room.
    pub room: RoomView,
    /// Legs being dialled.
    pub expected: u32,
    /// The shard that has applied it.
    pub shard: u16,
    /// Its tick from which what everybody hears holds.
    pub tick: u64,
    /// That tick in UTC, microseconds since 1970.
    pub at: i64,
    /// A change is not confirmed yet: what is said here may not be heard yet.
    pub pending: bool,
    /// Its members, in order of entry.
    pub members: Vec<LiveMember>,
    /// Who hears whom.
    pub hearing: Arc<Vec<HearingRow>>,
    /// Somebody has asked for a supervisor, and none has come.
    pub help: bool,
}

/// A member as people watch it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveMember {
    /// The member.
    pub view: MemberView,
    /// Hears nothing of the room.
    pub deaf: bool,
    /// In, and takes no part yet.
    pub waiting: bool,
    /// On hold by a takeover.
    pub taken_over: bool,
    /// How a supervisor takes part.
    pub mode: Option<ModeName>,
    /// Whom it coaches, while it does.
    pub coach_audience: Option<CoachNames>,
    /// Whether its media is a browser's.
    pub webrtc: bool,
    /// How it is shown: its caller's name, which a ticket says.
    pub label: Option<String>,
    /// The ticket that it came with.
    pub holder: Option<Arc<Holder>>,
    /// It has asked for a supervisor.
    pub help: bool,
    meter: Metered,
}

/// Where a member's level is read; two states that differ in nothing else are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Metered(pub Option<media::Meter>);

impl PartialEq for Metered {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Whom a member coaches: whoever matches any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoachNames {
    /// Carriers of these tags.
    pub tags: Vec<String>,
    /// Members of these roles.
    pub roles: Vec<String>,
    /// These members, by number.
    pub members: Vec<i64>,
}

/// How loud a member is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// The member's number.
    pub number: i64,
    /// Level of its last 20 ms, dBFS; `None`: silence.
    pub dbfs: Option<i8>,
    /// Whether it speaks.
    pub speaking: bool,
}

impl LiveRoom {
    pub(crate) fn opening(room: RoomView, at: i64) -> Self {
        Self {
            room,
            expected: 0,
            shard: 0,
            tick: 0,
            at,
            pending: false,
            members: Vec::new(),
            hearing: Arc::default(),
            help: false,
        }
    }
}

impl Actor {
    /// The state that a change leads to; its tick is the publisher's to know.
    pub(super) fn live(&self, room: &Room) -> LiveRoom {
        let members: Vec<LiveMember> = self.seats.iter().map(|(id, seat)| self.live_member(room, *id, seat)).collect();
        LiveRoom {
            expected: room.expected(),
            help: members.iter().any(|member| member.help),
            hearing: Arc::clone(&self.heard),
            members,
            ..LiveRoom::opening(self.room_view(room), 0)
        }
    }

    fn live_member(&self, room: &Room, id: MemberId, seat: &Seat) -> LiveMember {
        let member = room.member(id);
        LiveMember {
            view: self.view(room, id, seat),
            deaf: member.is_some_and(|m| m.deaf),
            waiting: !room.has_started() || member.is_some_and(|m| m.preparing),
            taken_over: member.is_some_and(|m| room.is_taken_over(m)),
            mode: mode_of(room, id),
            coach_audience: member.filter(|m| m.coaching).map(|m| self.names(&m.coach_audience)),
            webrtc: seat.call.webrtc,
            label: Some(shown::name(&seat.call.caller_name)).filter(|name| !name.is_empty()),
            holder: seat.call.ticket.clone(),
            help: self.help.contains(&id),
            meter: Metered(seat.meter.clone()),
        }
    }

    fn names(&self, audience: &Audience) -> CoachNames {
        let mut names = CoachNames::default();
        let Audience::Only(clauses) = audience else { return names };
        for clause in clauses {
            match clause {
                Clause::Tag(tag) => names.tags.push(tag.as_str().to_owned()),
                Clause::Role(role) => names.roles.push(role.as_str().to_owned()),
                Clause::Member(id) => names.members.extend(self.seats.get(id).map(|seat| seat.number)),
                Clause::Tap(_) => {}
            }
        }
        names
    }
}

/// How a supervisor takes part, whatever put him there.
fn mode_of(room: &Room, id: MemberId) -> Option<ModeName> {
    let member = room.member(id).filter(|member| member.role == Some(Role::Supervisor))?;
    if room.takeover().is_some_and(|takeover| takeover.by == id) {
        return Some(ModeName::Takeover);
    }
    Some(match (member.muted, member.is_whispering()) {
        (true, _) => ModeName::Monitor,
        (false, true) => ModeName::Whisper,
        (false, false) => ModeName::Barge,
    })
}

impl RoomHandle {
    /// The room as it is and as it becomes: each state once the shard has applied it, the last one with its end. A watcher who is
    /// slow misses states between, never the last.
    pub fn watch(&self) -> tokio::sync::watch::Receiver<Arc<LiveRoom>> {
        self.identity.live.subscribe()
    }

    /// The room as it is.
    pub fn live(&self) -> Arc<LiveRoom> {
        Arc::clone(&self.identity.live.borrow())
    }

    /// How loud the members are now.
    pub fn levels(&self) -> Vec<Level> {
        let live = self.live();
        let level = |member: &LiveMember| {
            let meter = member.meter.0.as_ref()?;
            Some(Level { number: member.view.number, dbfs: meter.level(), speaking: meter.speaking() })
        };
        live.members.iter().filter_map(level).collect()
    }

    /// The shard has applied this state, or will.
    pub(super) fn show(&self, live: LiveRoom, shard: u16) {
        let InForce { tick, at } = self.in_force();
        let pending = self.identity.pending.load(Ordering::Relaxed) > 0;
        let live = LiveRoom { shard, tick, at, pending, ..live };
        let changed = self.identity.live.send_if_modified(|known| {
            let changed = **known != live;
            if changed {
                *known = Arc::new(live);
            }
            changed
        });
        if changed {
            self.identity.changes.send_modify(|count| *count += 1);
        }
    }

    /// A change that was late has been confirmed.
    pub(super) fn show_confirmed(&self) {
        let live = LiveRoom::clone(&self.identity.live.borrow());
        let shard = live.shard;
        self.show(live, shard);
    }
}
