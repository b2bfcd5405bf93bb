//! From a plan of names to a plan of seats, outside the shards.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::convert::{Lift, Rate};
use crate::id::Key;
use crate::player::Track;
use crate::shard::plan_state::{Compiled, Listeners, NONE, RoomPlayer, Seat, TapSeat, words_for};
use crate::tap::TapOf;
use crate::{Ear, LegId, MediaError, Plan, PlayerId, RoomId, SourceRef, TapId};

/// What is wrong with a plan on its face; looked at before anything is done.
pub(super) fn check(room: RoomId, plan: &Plan, max_members: usize, max_buses: usize) -> Result<(), MediaError> {
    let bad = |reason| Err(MediaError::BadPlan { room, reason });
    if usize::from(plan.buses) > max_buses {
        return Err(MediaError::Limit { what: "buses in a room", limit: max_buses });
    }
    let legs = plan.listeners.iter().filter(|l| matches!(l.ear, Ear::Leg(_))).count();
    // Each leg may have a tap that hears, and the room its own.
    let taps = plan.listeners.len() - legs;
    if taps > max_members + super::MAX_ROOM_TAPS {
        return Err(MediaError::Limit { what: "taps in a plan", limit: max_members + super::MAX_ROOM_TAPS });
    }
    if legs > max_members || plan.sources.len() > max_buses {
        return Err(MediaError::Limit { what: "members in a room", limit: max_members });
    }
    let mut sources = BTreeSet::new();
    for source in &plan.sources {
        if source.bus.0 >= plan.buses {
            return bad("a source is on a bus beyond the number of buses");
        }
        let fresh = sources.insert(match source.source {
            SourceRef::Leg(leg) => (0, leg.0),
            SourceRef::Player(player) => (1, player.0),
        });
        if !fresh {
            return bad("a source is named twice");
        }
    }
    let mut ears = BTreeSet::new();
    for listener in &plan.listeners {
        if listener.buses.iter().any(|b| b.0 >= plan.buses) {
            return bad("a listener hears a bus beyond the number of buses");
        }
        if !ears.insert(listener.ear) {
            return bad("a listener is named twice");
        }
    }
    Ok(())
}

/// What a compile needs to know of the room.
pub(super) struct Members<'a> {
    pub room: RoomId,
    /// Who sits where.
    pub seats: &'a [Option<LegId>],
    pub keys: &'a HashMap<LegId, Key>,
    /// The room's players with the number of their last start.
    pub players: &'a BTreeMap<PlayerId, u64>,
    /// All taps of the plane.
    pub taps: &'a HashMap<TapId, TapOf>,
}

/// Compiles; answers also how many entries named someone who is not in the room. They sound and hear nothing.
pub(super) fn compile(plan: &Plan, members: &Members<'_>, mut starts: HashMap<PlayerId, Track>) -> (Compiled, u64) {
    let mut strangers = 0;
    let seat_of: HashMap<LegId, usize> =
        members.seats.iter().enumerate().filter_map(|(at, leg)| leg.map(|leg| (leg, at))).collect();
    let mut seats: Vec<Seat> =
        members.seats.iter().map(|leg| Seat::of(leg.and_then(|leg| members.keys.get(&leg).copied()))).collect();
    let mut players: Vec<RoomPlayer> = members
        .players
        .iter()
        .map(|(&id, &serial)| {
            let track = starts.remove(&id);
            let lift = track.is_some().then(|| Lift::of(Rate::Narrow));
            RoomPlayer { id, serial, bus: NONE, fresh: track.is_some(), told: false, track, lift }
        })
        .collect();
    for source in &plan.sources {
        match source.source {
            SourceRef::Leg(leg) => match seat_of.get(&leg).and_then(|at| seats.get_mut(*at)) {
                Some(seat) => (seat.bus, seat.relay) = (source.bus.0, source.relay_digits),
                None => strangers += 1,
            },
            SourceRef::Player(player) => match players.iter_mut().find(|p| p.id == player) {
                Some(player) => player.bus = source.bus.0,
                None => strangers += 1,
            },
        }
    }
    let words = words_for(seats.len());
    let mut taps: Vec<TapSeat> = Vec::new();
    for listener in &plan.listeners {
        let Ear::Tap(tap) = listener.ear else { continue };
        let seat = match members.taps.get(&tap) {
            Some(TapOf::Room(room)) if *room == members.room => Some(NONE),
            Some(TapOf::Leg { leg, .. }) => seat_of.get(leg).map(|seat| *seat as u16),
            _ => None,
        };
        match seat {
            Some(seat) => taps.push(TapSeat::new(tap, seat)),
            None => strangers += 1,
        }
    }
    taps.sort_unstable_by_key(|t| t.tap);
    let row_of = |ear: Ear| match ear {
        Ear::Leg(leg) => seat_of.get(&leg).copied(),
        Ear::Tap(tap) => taps.binary_search_by_key(&tap, |t| t.tap).ok().map(|at| seats.len() + at),
    };
    let rows = seats.len() + taps.len();
    let mut listeners = Listeners { class_of: vec![NONE; rows], words, ..Listeners::default() };
    let mut classes: HashMap<Vec<u16>, u16> = HashMap::new();
    for listener in &plan.listeners {
        let Some(place) = row_of(listener.ear).and_then(|at| listeners.class_of.get_mut(at)) else {
            strangers += u64::from(matches!(listener.ear, Ear::Leg(_)));
            continue;
        };
        let mut buses: Vec<u16> = listener.buses.iter().map(|b| b.0).collect();
        buses.sort_unstable();
        buses.dedup();
        let next = classes.len() as u16;
        *place = *classes.entry(buses).or_insert_with_key(|buses| {
            let start = listeners.buses.len() as u32;
            listeners.buses.extend_from_slice(buses);
            listeners.classes.push(start..listeners.buses.len() as u32);
            let mut row = vec![0u64; words];
            for (at, seat) in seats.iter().enumerate() {
                if seat.bus != NONE
                    && buses.binary_search(&seat.bus).is_ok()
                    && let Some(word) = row.get_mut(at / 64)
                {
                    *word |= 1 << (at % 64);
                }
            }
            listeners.audible.extend(row);
            next
        });
    }
    (Compiled::new(plan.revision, plan.buses, seats, taps, listeners, players), strangers)
}
