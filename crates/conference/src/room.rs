//! The room: its commands and its life.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::audience::{Audience, Tag, Wants};
use crate::event::{EndCause, Event, LeaveCause};
use crate::hearing::{Hearing, Listener, Source};
use crate::member::{EarlyId, Entry, Member, MemberId, PlayerId, PrivateSound, Role, TapId};
use crate::mode::{Agents, Mode, Takeover};
use crate::mutation::{self, Mutation};
use crate::policy::Policy;

/// Where a room is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Open; members wait.
    Waiting,
    /// Members are connected.
    Started,
    /// Over; the id is never used again.
    Ended,
}

/// Why a command was refused. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// The room is over.
    #[error("the room has ended; open it again by entering it under its name")]
    Ended,
    /// No more members.
    #[error("the room is full ({max} members); raise its limit or wait until somebody leaves")]
    Full {
        /// The limit.
        max: u32,
    },
    /// The member is not in this room.
    #[error("member {0} is not in the room; list the members for the ids in use")]
    NoSuchMember(MemberId),
    /// A takeover needs somebody to be taken over from.
    #[error("member {0} cannot be taken over: only agents other than the supervisor himself can")]
    NotAnAgent(MemberId),
    /// Modes are for supervisors, and for members without a role.
    #[error("member {0} is an agent or a customer; modes are a supervisor's, change the member's mute or hold instead")]
    NotASupervisor(MemberId),
    /// Another supervisor has the call.
    #[error("member {0} has taken the call over; stop that takeover first")]
    TakenOver(MemberId),
}

/// A room, from its opening to its end. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Room {
    policy: Policy,
    status: Status,
    opened_at: Duration,
    members: BTreeMap<MemberId, Member>,
    players: BTreeMap<PlayerId, Audience>,
    taps: BTreeMap<TapId, Wants>,
    early: BTreeSet<EarlyId>,
    takeover: Option<Takeover>,
    start_wanted: bool,
    had_company: bool,
    /// When the room ends because somebody whose departure ends it has left.
    closing_at: Option<Duration>,
    expected: u32,
    last_member: u32,
    last_player: u32,
    last_tap: u32,
    last_early: u32,
    revision: u64,
    events: VecDeque<Event>,
}

impl Room {
    /// A room opened at `now`. Its first event is [`Event::Opened`].
    pub fn open(policy: Policy, now: Duration) -> Self {
        Self {
            policy,
            status: Status::Waiting,
            opened_at: now,
            members: BTreeMap::new(),
            players: BTreeMap::new(),
            taps: BTreeMap::new(),
            early: BTreeSet::new(),
            takeover: None,
            start_wanted: false,
            had_company: false,
            closing_at: None,
            expected: 0,
            last_member: 0,
            last_player: 0,
            last_tap: 0,
            last_early: 0,
            revision: 0,
            events: VecDeque::from([Event::Opened]),
        }
    }

    /// Puts a member in, with all its rules at once.
    pub fn enter(&mut self, entry: Entry, now: Duration) -> Result<MemberId, RoomError> {
        self.alive()?;
        if self.members.len() >= self.policy.max_members as usize {
            return Err(RoomError::Full { max: self.policy.max_members });
        }
        self.last_member += 1;
        let id = MemberId(self.last_member);
        self.start_wanted |= entry.start_on_enter;
        let member = Member::new(id, entry, now);
        self.members.insert(id, member);
        self.had_company |= self.members.len() > 1;
        self.touch();
        self.events.push_back(Event::Joined(id));
        if self.status == Status::Started {
            self.announce_admission(id);
        }
        self.start_if_ready();
        Ok(id)
    }

    /// A member that entered with [`Entry::preparing`] takes part from now on.
    pub fn admit(&mut self, id: MemberId) -> Result<(), RoomError> {
        self.alive()?;
        let member = self.members.get_mut(&id).ok_or(RoomError::NoSuchMember(id))?;
        if std::mem::replace(&mut member.preparing, false) {
            self.touch();
            if self.status == Status::Started {
                self.announce_admission(id);
            }
        }
        Ok(())
    }

    /// Should this member's departure end the room, it does so at `until` and not at once; earlier if somebody else's
    /// departure says so, or nobody may stay.
    pub fn defer_end(&mut self, id: MemberId, until: Duration) -> Result<(), RoomError> {
        self.alive()?;
        let member = self.members.get_mut(&id).ok_or(RoomError::NoSuchMember(id))?;
        member.end_deferred_to = Some(until);
        Ok(())
    }

    /// From now on the room has at most so many members; whoever is in stays.
    pub fn limit_members(&mut self, max: u32) {
        self.policy.max_members = max;
    }

    /// Takes a member out; then the rules of the end apply.
    pub fn leave(&mut self, id: MemberId, cause: LeaveCause) -> Result<(), RoomError> {
        self.alive()?;
        let ends = self.ends_room_on_exit(self.known(id)?);
        // A takeover whose supervisor leaves is given back before any rule of the end is asked.
        let gives_back = self.takeover.as_ref().is_some_and(|t| t.by == id);
        let ends = if gives_back { self.members.get(&id).is_some_and(|m| m.end_on_exit) } else { ends };
        let deferred = self.members.remove(&id).and_then(|member| member.end_deferred_to);
        self.touch();
        self.events.push_back(Event::Left(id, cause));
        if gives_back {
            self.give_back();
        }
        match deferred {
            _ if !ends => self.end_if_deserted(),
            None => self.finish(EndCause::EndOnExit),
            Some(until) => {
                // The earliest counts: nobody prolongs what another has put a time to.
                let earliest =
                    |at: Duration| if mutation::is(Mutation::EndProlonged) { at.max(until) } else { at.min(until) };
                self.closing_at = Some(self.closing_at.map_or(until, earliest));
                self.end_if_deserted();
            }
        }
        Ok(())
    }

    /// Starts the room whatever its members say, as a program may ask.
    pub fn start(&mut self) -> Result<(), RoomError> {
        self.alive()?;
        self.start_wanted = true;
        if self.status == Status::Waiting {
            self.begin();
        }
        Ok(())
    }

    /// Ends the room: every member leaves with [`LeaveCause::RoomEnded`].
    pub fn end(&mut self, cause: EndCause) -> Result<(), RoomError> {
        self.alive()?;
        self.finish(cause);
        Ok(())
    }

    /// A leg that will become a member is being dialled: the room waits for it, and keeps a place.
    pub fn expect_member(&mut self) -> Result<(), RoomError> {
        self.alive()?;
        if self.members.len() + self.expected as usize >= self.policy.max_members as usize {
            return Err(RoomError::Full { max: self.policy.max_members });
        }
        self.expected += 1;
        Ok(())
    }

    /// A dialled leg entered (call this after [`Room::enter`]) or never will.
    pub fn expectation_over(&mut self) {
        self.expected = self.expected.saturating_sub(1);
        if self.status != Status::Ended {
            self.end_if_deserted();
        }
    }

    /// Mutes or unmutes.
    pub fn mute(&mut self, id: MemberId, muted: bool) -> Result<(), RoomError> {
        self.change(id, |member, events| {
            if std::mem::replace(&mut member.muted, muted) != muted {
                events.push_back(Event::Muted(id, muted));
            }
        })
    }

    /// Puts on hold or takes off hold. While a takeover holds the member, this changes what comes back after it.
    pub fn hold(&mut self, id: MemberId, held: bool) -> Result<(), RoomError> {
        let overlaid = self.is_taken_over(self.known(id)?);
        self.change(id, |member, events| {
            if std::mem::replace(&mut member.held, held) != held && !overlaid {
                events.push_back(Event::Held(id, held));
            }
        })
    }

    /// Makes deaf or hearing.
    pub fn deafen(&mut self, id: MemberId, deaf: bool) -> Result<(), RoomError> {
        self.change(id, |member, _| member.deaf = deaf)
    }

    /// Starts coaching (with `audience`, or with the one it last had) or stops.
    pub fn coach(&mut self, id: MemberId, coaching: bool, audience: Option<Audience>) -> Result<(), RoomError> {
        self.change(id, |member, events| {
            let was = std::mem::replace(&mut member.coaching, coaching);
            let moved = audience.is_some_and(|new| std::mem::replace(&mut member.coach_audience, new.clone()) != new);
            if was != coaching {
                events.push_back(Event::Coaching(id, coaching));
            } else if coaching && moved {
                events.push_back(Event::CoachAudience(id));
            }
        })
    }

    /// Sets or clears the free tag.
    pub fn tag(&mut self, id: MemberId, tag: Option<Tag>) -> Result<(), RoomError> {
        let held = self.held_members();
        self.change(id, |member, events| {
            if member.tag != tag {
                member.tag.clone_from(&tag);
                events.push_back(Event::Tagged(id, tag.clone()));
            }
        })?;
        self.announce_hold_changes(&held);
        Ok(())
    }

    /// Puts a supervisor (or a member without a role) into a mode, in one step.
    pub fn mode(&mut self, id: MemberId, mode: &Mode) -> Result<(), RoomError> {
        self.alive()?;
        if self.known(id)?.role.is_some_and(|role| role != Role::Supervisor) {
            return Err(RoomError::NotASupervisor(id));
        }
        let takes_over = matches!(mode, Mode::Takeover(_));
        if let Some(takeover) = &self.takeover
            && takes_over
            && takeover.by != id
        {
            return Err(RoomError::TakenOver(takeover.by));
        }
        if let Mode::Takeover(Agents::These(ids)) = mode {
            for agent in ids {
                if *agent == id || !self.known(*agent)?.is_agent() {
                    return Err(RoomError::NotAnAgent(*agent));
                }
            }
        }
        let (muted, coaching) = match mode {
            Mode::Monitor | Mode::Stop => (true, true),
            Mode::Whisper => (false, true),
            Mode::Barge | Mode::Takeover(_) => (false, false),
        };
        if !takes_over && self.takeover.as_ref().is_some_and(|t| t.by == id) {
            self.give_back();
        }
        self.mute(id, muted)?;
        self.coach(id, coaching, None)?;
        if let Mode::Takeover(agents) = mode {
            self.take_over(id, agents.clone());
        }
        Ok(())
    }

    /// Adds a player that sounds in the room to `audience`.
    pub fn add_player(&mut self, audience: Audience) -> Result<PlayerId, RoomError> {
        self.alive()?;
        self.last_player += 1;
        let id = PlayerId(self.last_player);
        self.players.insert(id, audience);
        self.touch();
        Ok(id)
    }

    /// Removes a player; one that is gone already is no error.
    pub fn remove_player(&mut self, id: PlayerId) {
        if self.players.remove(&id).is_some() {
            self.touch();
            self.events.push_back(Event::PlayerRemoved(id));
        }
    }

    /// Adds a recorder or tap. It is admitted from now on, carries no tag and no role, and keeps no room alive.
    pub fn add_tap(&mut self, wants: Wants) -> Result<TapId, RoomError> {
        self.alive()?;
        self.last_tap += 1;
        let id = TapId(self.last_tap);
        self.taps.insert(id, wants);
        self.touch();
        Ok(id)
    }

    /// Removes a recorder or tap.
    pub fn remove_tap(&mut self, id: TapId) {
        if self.taps.remove(&id).is_some() {
            self.touch();
        }
    }

    /// Adds a leg that is being dialled and sounds before its answer. It is no member: it hears nothing and counts for
    /// nothing.
    pub fn add_early(&mut self) -> Result<EarlyId, RoomError> {
        self.alive()?;
        self.last_early += 1;
        let id = EarlyId(self.last_early);
        self.early.insert(id);
        self.touch();
        Ok(id)
    }

    /// Such a leg was answered, or never will be.
    pub fn remove_early(&mut self, id: EarlyId) {
        if self.early.remove(&id) {
            self.touch();
        }
    }

    /// The next instant at which [`Room::handle_timeout`] has something to do.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.next_end().map(|(at, _)| at)
    }

    /// Ends the room if its time is over.
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some((at, cause)) = self.next_end()
            && now >= at
        {
            self.finish(cause);
        }
    }

    /// The next event, in the order in which things happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The rule compiled for the room as it is now.
    pub fn hearing(&self) -> Hearing {
        Hearing::compile(self)
    }

    /// Grows with every change that may concern hearing.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Where the room is in its life.
    pub fn status(&self) -> Status {
        self.status
    }

    /// Whether members are connected.
    pub fn has_started(&self) -> bool {
        self.status == Status::Started
    }

    /// What the creator decided.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many legs are being dialled into the room.
    pub fn expected(&self) -> u32 {
        self.expected
    }

    /// The takeover in force.
    pub fn takeover(&self) -> Option<&Takeover> {
        self.takeover.as_ref()
    }

    /// The members, in order of entry.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// One member.
    pub fn member(&self, id: MemberId) -> Option<&Member> {
        self.members.get(&id)
    }

    /// A player's audience.
    pub fn player(&self, id: PlayerId) -> Option<&Audience> {
        self.players.get(&id)
    }

    /// How many players sound.
    pub fn player_count(&self) -> usize {
        self.players.len()
    }

    /// What a tap is for.
    pub fn tap(&self, id: TapId) -> Option<&Wants> {
        self.taps.get(&id)
    }

    /// Whether this leg sounds before its answer.
    pub fn has_early(&self, id: EarlyId) -> bool {
        self.early.contains(&id)
    }

    /// Everything that may receive a mix.
    pub fn listeners(&self) -> impl Iterator<Item = Listener> + '_ {
        let ears = self.members.keys().map(|id| Listener::Ear(*id));
        ears.chain(self.taps.keys().map(|id| Listener::Tap(*id)))
    }

    /// Everything that may sound for several.
    pub fn sources(&self) -> impl Iterator<Item = Source> + '_ {
        let microphones = self.members.keys().map(|id| Source::Microphone(*id));
        let players = self.players.keys().map(|id| Source::Player(*id));
        microphones.chain(players).chain(self.early.iter().map(|id| Source::Early(*id)))
    }

    /// Whether the member is on hold, by its own or by a takeover.
    pub fn is_held(&self, member: &Member) -> bool {
        member.held || (self.is_taken_over(member) && !mutation::is(Mutation::TakeoverHoldsNobody))
    }

    /// Whether a takeover sets the member aside.
    pub fn is_taken_over(&self, member: &Member) -> bool {
        self.takeover.as_ref().is_some_and(|takeover| {
            takeover.by != member.id
                && match &takeover.agents {
                    Agents::All => member.is_agent(),
                    Agents::These(ids) => ids.contains(&member.id),
                }
        })
    }

    /// Whether the room would end with the member's departure: its own duty, or one that a takeover passed to it.
    pub fn ends_room_on_exit(&self, member: &Member) -> bool {
        if self.is_taken_over(member) {
            return false;
        }
        let inherited = self.takeover.as_ref().is_some_and(|takeover| {
            takeover.by == member.id && self.members.values().any(|m| self.is_taken_over(m) && m.end_on_exit)
        });
        member.end_on_exit || inherited
    }

    /// The sound that the member alone should hear now.
    pub fn private_sound(&self, member: &Member) -> Option<PrivateSound> {
        if self.is_held(member) {
            Some(PrivateSound::Hold)
        } else if member.preparing && !mutation::is(Mutation::PreparingMusic) {
            None
        } else if self.status == Status::Waiting || self.members.len() == 1 {
            Some(PrivateSound::Wait)
        } else {
            None
        }
    }

    fn alive(&self) -> Result<(), RoomError> {
        if self.status == Status::Ended { Err(RoomError::Ended) } else { Ok(()) }
    }

    fn known(&self, id: MemberId) -> Result<&Member, RoomError> {
        self.members.get(&id).ok_or(RoomError::NoSuchMember(id))
    }

    fn touch(&mut self) {
        self.revision += 1;
    }

    fn change(&mut self, id: MemberId, edit: impl FnOnce(&mut Member, &mut VecDeque<Event>)) -> Result<(), RoomError> {
        self.alive()?;
        let member = self.members.get_mut(&id).ok_or(RoomError::NoSuchMember(id))?;
        edit(member, &mut self.events);
        self.touch();
        Ok(())
    }

    fn take_over(&mut self, by: MemberId, agents: Agents) {
        let before = self.held_members();
        let fresh = self.takeover.replace(Takeover { by, agents }).is_none();
        self.touch();
        if fresh {
            self.events.push_back(Event::Takeover(by, true));
        }
        self.announce_hold_changes(&before);
    }

    fn give_back(&mut self) {
        let before = self.held_members();
        if let Some(takeover) = self.takeover.take() {
            self.touch();
            self.announce_hold_changes(&before);
            self.events.push_back(Event::Takeover(takeover.by, false));
        }
    }

    fn held_members(&self) -> Vec<MemberId> {
        self.members.values().filter(|m| m.held || self.is_taken_over(m)).map(|m| m.id).collect()
    }

    fn announce_hold_changes(&mut self, before: &[MemberId]) {
        let after = self.held_members();
        for id in self.members.keys() {
            let (was, is) = (before.contains(id), after.contains(id));
            if was != is {
                self.events.push_back(Event::Held(*id, is));
            }
        }
    }

    fn start_if_ready(&mut self) {
        let role_is_here = |role: Role| self.members.values().any(|m| m.role == Some(role));
        if self.status == Status::Waiting && self.start_wanted && self.policy.wait_for.is_none_or(role_is_here) {
            self.begin();
        }
    }

    fn begin(&mut self) {
        self.status = Status::Started;
        self.touch();
        self.events.push_back(Event::Started);
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            self.announce_admission(id);
        }
    }

    fn announce_admission(&mut self, id: MemberId) {
        if self.members.get(&id).is_some_and(|member| !member.preparing) {
            self.events.push_back(Event::Admitted(id));
        }
    }

    /// When time alone ends the room, and why: whichever comes first, however late somebody looks at the clock.
    fn next_end(&self) -> Option<(Duration, EndCause)> {
        if self.status == Status::Ended {
            return None;
        }
        let since_opening = |after: Duration| self.opened_at.saturating_add(after);
        let wait = self.policy.max_wait.filter(|_| self.status == Status::Waiting);
        [
            self.closing_at.map(|at| (at, EndCause::EndOnExit)),
            self.policy.max_duration.map(|after| (since_opening(after), EndCause::MaxDuration)),
            wait.map(|after| (since_opening(after), EndCause::NotStarted)),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|(at, _)| *at)
    }

    fn end_if_deserted(&mut self) {
        if self.expected > 0 {
            return;
        }
        if self.members.is_empty() {
            self.finish(EndCause::Empty);
        } else if self.members.len() == 1 && self.had_company && !self.policy.stay_alone {
            self.finish(EndCause::Alone);
        }
    }

    fn finish(&mut self, cause: EndCause) {
        self.takeover = None;
        while let Some((id, _)) = self.members.pop_first() {
            self.events.push_back(Event::Left(id, LeaveCause::RoomEnded));
        }
        self.players.clear();
        self.taps.clear();
        self.early.clear();
        self.status = Status::Ended;
        self.touch();
        self.events.push_back(Event::Ended(cause));
    }
}
