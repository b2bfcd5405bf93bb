//! Who hears whom: the rule, and its compilation to buses.

use std::collections::HashMap;

use crate::audience::{Audience, Clause, Wants};
use crate::member::{EarlyId, Member, MemberId, PlayerId, PrivateSound, Role, TapId};
use crate::mutation::{self, Mutation};
use crate::room::Room;

/// What makes sound in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// A member's microphone, its relayed digits included.
    Microphone(MemberId),
    /// A room player.
    Player(PlayerId),
    /// A member's private player: wait or hold music, a prompt.
    Private(MemberId),
    /// The far side of a leg that is still being dialled: what a carrier or a phone says before the answer.
    Early(EarlyId),
}

/// What receives a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listener {
    /// A member's ear.
    Ear(MemberId),
    /// A recorder or tap.
    Tap(TapId),
}

/// The rule. Default deny: whatever is not in the room hears nothing and is not heard.
///
/// A listener never hears its own microphone. It hears its own private player as long as it is in the room. It hears
/// another source only if it takes part (the room has started, and it is prepared and neither on hold nor deaf), the source
/// takes part (a room player, or a member who is prepared and neither muted nor on hold), the source's audience has it, and
/// it is what the listener is for.
///
/// What a leg says before its answer stands in for ringback: it is heard by members who would hear wait music (who wait
/// for the start, or are alone, and are prepared and not on hold) and are not deaf; by no tap, and by nobody in company.
pub fn hears(room: &Room, listener: Listener, source: Source) -> bool {
    if let (Listener::Ear(ear), Source::Microphone(microphone)) = (listener, source)
        && ear == microphone
        && !mutation::is(Mutation::OwnMicrophone)
    {
        return false;
    }
    if let Source::Private(owner) = source {
        return listener == Listener::Ear(owner) && room.member(owner).is_some();
    }
    permits(room, listener, source)
}

/// The rule without its first clause: whether the source's bus is one of the listener's. The mixer takes a listener's
/// own microphone out of every bus it is on.
fn permits(room: &Room, listener: Listener, source: Source) -> bool {
    if let Source::Early(early) = source {
        return room.has_early(early) && hears_ringback(room, listener);
    }
    takes_part_as_listener(room, listener)
        && takes_part_as_source(room, source)
        && (in_audience(room, listener, source) || mutation::is(Mutation::Audience))
        && (is_wanted(room, listener, source) || mutation::is(Mutation::Wants))
}

fn hears_ringback(room: &Room, listener: Listener) -> bool {
    let Listener::Ear(ear) = listener else { return mutation::is(Mutation::EarlyForTaps) };
    room.member(ear).is_some_and(|member| {
        (!member.deaf || mutation::is(Mutation::EarlyForTheDeaf))
            && (room.private_sound(member) == Some(PrivateSound::Wait) || mutation::is(Mutation::EarlyInCompany))
    })
}

/// Whether a listener takes part now: it is in the room, which has started, and is prepared and neither on hold nor deaf.
pub fn listens(room: &Room, listener: Listener) -> bool {
    takes_part_as_listener(room, listener)
}

/// Whether a member takes part as a source now: it is in the room, which has started, and is prepared and neither muted nor
/// on hold.
pub fn sounds(room: &Room, member: MemberId) -> bool {
    takes_part_as_source(room, Source::Microphone(member))
}

/// Whether `member` speaks to `listener`, should it speak: its audience has him, whatever mute or hold say. Sounds that
/// tell of a member (an entry beep) go the same way as its voice.
pub fn speaks_to(room: &Room, member: MemberId, listener: MemberId) -> bool {
    member != listener && in_audience(room, Listener::Ear(listener), Source::Microphone(member))
}

fn takes_part_as_listener(room: &Room, listener: Listener) -> bool {
    match listener {
        Listener::Tap(tap) => room.tap(tap).is_some(),
        Listener::Ear(ear) => {
            let Some(member) = room.member(ear) else { return false };
            (room.has_started() || mutation::is(Mutation::WaitingListener))
                && (!member.preparing || mutation::is(Mutation::PreparingListener))
                && (!room.is_held(member) || mutation::is(Mutation::HeldListener))
                && (!member.deaf || mutation::is(Mutation::DeafListener))
        }
    }
}

fn takes_part_as_source(room: &Room, source: Source) -> bool {
    match source {
        Source::Player(player) => room.player(player).is_some(),
        Source::Private(_) | Source::Early(_) => false,
        Source::Microphone(microphone) => {
            let Some(member) = room.member(microphone) else { return false };
            (room.has_started() || mutation::is(Mutation::WaitingSource))
                && (!member.preparing || mutation::is(Mutation::PreparingSource))
                && (!member.muted || mutation::is(Mutation::MutedSource))
                && (!room.is_held(member) || mutation::is(Mutation::HeldSource))
        }
    }
}

fn audience_of(room: &Room, source: Source) -> Option<&Audience> {
    match source {
        Source::Microphone(id) => room.member(id).map(Member::audience),
        Source::Player(id) => room.player(id),
        Source::Private(_) | Source::Early(_) => None,
    }
}

fn in_audience(room: &Room, listener: Listener, source: Source) -> bool {
    match audience_of(room, source) {
        None => false,
        Some(Audience::Everyone) => true,
        Some(Audience::Only(clauses)) if clauses.is_empty() => mutation::is(Mutation::WidenNobody),
        Some(Audience::Only(clauses)) => clauses.iter().any(|clause| matches(room, listener, clause)),
    }
}

fn matches(room: &Room, listener: Listener, clause: &Clause) -> bool {
    match (listener, clause) {
        (Listener::Tap(tap), Clause::Tap(wanted)) => tap == *wanted || mutation::is(Mutation::WidenTap),
        (Listener::Tap(_), _) | (Listener::Ear(_), Clause::Tap(_)) => false,
        (Listener::Ear(ear), Clause::Member(wanted)) => ear == *wanted || mutation::is(Mutation::WidenMember),
        (Listener::Ear(ear), Clause::Tag(wanted)) => room.member(ear).is_some_and(|member| {
            let by_tag = member.tag.as_ref().is_some_and(|t| t == wanted || mutation::is(Mutation::WidenTag));
            let by_role = member.role.is_some_and(|r| r.as_str() == wanted.as_str());
            by_tag || (by_role && !mutation::is(Mutation::TagIgnoresRole))
        }),
        (Listener::Ear(ear), Clause::Role(wanted)) => room.member(ear).is_some_and(|member| {
            let by_role = member.role.is_some_and(|r| r == *wanted || mutation::is(Mutation::WidenRole));
            let by_tag = member.tag.as_ref().is_some_and(|t| t.as_str() == wanted.as_str());
            // A customer who is made to whisper is no supervisor: he must not learn what supervisors say to each other.
            let may_supervise = member.role != Some(Role::Customer) || mutation::is(Mutation::CustomersSupervise);
            let whispers = *wanted == Role::Supervisor && member.is_whispering() && may_supervise;
            by_role
                || (by_tag && !mutation::is(Mutation::RoleIgnoresTag))
                || (whispers && !mutation::is(Mutation::WhisperersNoSupervisors))
        }),
    }
}

fn is_wanted(room: &Room, listener: Listener, source: Source) -> bool {
    let wants = match listener {
        Listener::Ear(_) => &Wants::Mix,
        Listener::Tap(tap) => match room.tap(tap) {
            Some(wants) => wants,
            None => return false,
        },
    };
    match wants {
        Wants::Mix => true,
        Wants::Track(member) => source == Source::Microphone(*member),
        Wants::MixWithoutWhispers => audience_of(room, source).is_some_and(|audience| !audience.is_whisper()),
        Wants::EarOf(member) => {
            let listens = takes_part_as_listener(room, Listener::Ear(*member));
            let public = audience_of(room, source).is_some_and(|audience| !audience.is_whisper());
            (source != Source::Microphone(*member) || mutation::is(Mutation::EarOfOwnVoice))
                && (listens || mutation::is(Mutation::EarOfClosedEar))
                && (public || mutation::is(Mutation::EarOfWhispers))
        }
    }
}

/// The rule compiled: sources with the same audience share a bus, and each listener has a list of buses.
///
/// A listener's own microphone may be on one of its buses; the mixer subtracts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hearing {
    /// How many buses there are, numbered from 0.
    pub buses: u16,
    /// Sources that somebody hears, with their bus.
    pub sources: Vec<(Source, u16)>,
    /// Listeners that hear something, with their buses in ascending order.
    pub listeners: Vec<(Listener, Vec<u16>)>,
}

impl Hearing {
    /// Compiles the rule for the room as it is.
    pub fn compile(room: &Room) -> Self {
        let listeners: Vec<Listener> = room.listeners().collect();
        let mut bus_of: HashMap<Vec<bool>, u16> = HashMap::new();
        let mut audiences: Vec<Vec<bool>> = Vec::new();
        let mut sources = Vec::new();
        for source in room.sources() {
            let audience: Vec<bool> = listeners.iter().map(|l| permits(room, *l, source)).collect();
            let heard = listeners.iter().zip(&audience).any(|(l, permitted)| *permitted && hears(room, *l, source));
            if !heard {
                continue;
            }
            let next = audiences.len();
            // A room has at most as many buses as sources, far below the limit of the index.
            let bus = *bus_of.entry(audience.clone()).or_insert_with(|| u16::try_from(next).unwrap_or(u16::MAX));
            if usize::from(bus) == next {
                audiences.push(audience);
            }
            sources.push((source, bus));
        }
        let listeners = listeners
            .into_iter()
            .enumerate()
            .map(|(index, listener)| {
                let buses = (0u16..).zip(&audiences).filter(|(_, a)| a[index]).map(|(bus, _)| bus).collect();
                (listener, buses)
            })
            .filter(|(_, buses): &(Listener, Vec<u16>)| !buses.is_empty())
            .collect();
        Self { buses: u16::try_from(audiences.len()).unwrap_or(u16::MAX), sources, listeners }
    }

    /// Whether this listener hears this source, as the mixer will make it.
    pub fn allows(&self, listener: Listener, source: Source) -> bool {
        if let (Listener::Ear(ear), Source::Microphone(microphone)) = (listener, source)
            && ear == microphone
        {
            return false;
        }
        let bus = self.sources.iter().find(|(s, _)| *s == source).map(|(_, bus)| bus);
        let buses = self.listeners.iter().find(|(l, _)| *l == listener).map(|(_, buses)| buses);
        matches!((bus, buses), (Some(bus), Some(buses)) if buses.contains(bus))
    }
}
