//! A change of a room: its legs are claimed and called, then it is compiled and sent whole.

use std::collections::{BTreeSet, HashMap};

use super::{Directory, LegEntry, Progress, Queued, Step};
use crate::id::Key;
use crate::plane::RoomChange;
use crate::plane::compile::{self, Members};
use crate::player::{PlayChange, PlayerChange, Track};
use crate::shard::MAX_PLAYERS;
use crate::shard::command::{Change, Command, Outcome};
use crate::{LegId, MediaError, PlayerId, RoomId};

impl Directory {
    /// Legs of a change that are still there.
    pub(super) fn alive(&self, legs: &[LegId]) -> Vec<LegId> {
        let mut alive: Vec<LegId> = Vec::with_capacity(legs.len());
        for leg in legs {
            if !alive.contains(leg) && self.legs.get(leg).is_some_and(|e| !e.removing) {
                alive.push(*leg);
            }
        }
        alive
    }

    pub(super) fn change_now(&mut self, id: RoomId, mut queued: Box<Queued>) -> Progress {
        let Some(room) = self.rooms.get(&id) else { return Progress::Done };
        let (shard, failed) = (room.shard, room.failed);
        // One that is being removed enters no more, but is let go of all the same.
        let claimed = queued.change.join.clone();
        let join = self.alive(&queued.change.join);
        if !queued.started {
            match self.start(id, shard, &queued.change, &join) {
                Ok(true) => queued.started = true,
                Ok(false) => return self.put_back(id, Step::Change(queued)),
                Err(error) => {
                    let _ = queued.reply.send(Err(error));
                    return Progress::Done;
                }
            }
        }
        let on_the_way = join.iter().any(|l| self.legs.get(l).is_some_and(|e| e.moving.is_some()));
        if on_the_way || self.shard(shard).is_ok_and(|d| d.admit(1).is_err()) {
            return self.put_back(id, Step::Change(queued));
        }
        if failed {
            let _ = queued.reply.send(Err(MediaError::RoomFailed(id)));
        } else {
            self.submit(id, shard, *queued, &join);
        }
        for leg in claimed {
            if let Some(entry) = self.legs.get_mut(&leg).filter(|entry| entry.claimed == Some(id)) {
                entry.claimed = None;
            }
            self.go_on(leg);
        }
        Progress::Done
    }

    /// Claims the legs that join and calls those on other shards. False if it cannot start yet; an error changed nothing.
    fn start(&mut self, id: RoomId, shard: u16, change: &RoomChange, join: &[LegId]) -> Result<bool, MediaError> {
        let current = self.rooms.get(&id).map_or(0, |r| r.revision);
        if change.plan.revision < current {
            return Err(MediaError::StalePlan { room: id, offered: change.plan.revision, current });
        }
        let members = self.members(id);
        let entering = join.iter().filter(|l| !members.contains(l)).count();
        let leaving = change.leave.iter().filter(|l| members.contains(l)).count();
        if members.len() + entering > self.max_members + leaving {
            return Err(MediaError::Limit { what: "members in a room", limit: self.max_members });
        }
        self.check_players(id, change)?;
        let settled = |e: &LegEntry| e.is_settled() || (e.claimed == Some(id) && e.moving.is_none());
        if join.iter().any(|l| self.legs.get(l).is_some_and(|e| !settled(e))) {
            return Ok(false);
        }
        let away: Vec<(LegId, u16, Key)> = join
            .iter()
            .filter_map(|l| self.legs.get(l).map(|e| (*l, e.shard, e.key)))
            .filter(|(_, at, _)| *at != shard)
            .collect();
        let limit = self.max_legs;
        if self.shard(shard)?.legs.available() < away.len() {
            return Err(MediaError::Limit { what: "legs on a shard", limit });
        }
        for from in 0..self.shards.len() as u16 {
            let calls = away.iter().filter(|(_, at, _)| *at == from).count();
            if calls > 0 && self.shard(from)?.admit(calls).is_err() {
                return Ok(false);
            }
        }
        for leg in join {
            if let Some(entry) = self.legs.get_mut(leg) {
                entry.claimed = Some(id);
            }
        }
        for (leg, from, key) in away {
            let Some(place) = self.shard(shard)?.legs.take() else { continue };
            self.unseat(leg);
            if let Some(entry) = self.legs.get_mut(&leg) {
                entry.moving = Some((shard, place));
            }
            self.push(from, Command::TakeLeg { leg, key }, true);
        }
        Ok(true)
    }

    fn check_players(&self, id: RoomId, change: &RoomChange) -> Result<(), MediaError> {
        let Some(room) = self.rooms.get(&id) else { return Ok(()) };
        let mut after: BTreeSet<PlayerId> = room.players.keys().copied().collect();
        for (player, what) in &change.players {
            match what {
                PlayerChange::Start(_) => after.insert(*player),
                // One that ended by itself has gone already; stopping it is nothing wrong.
                PlayerChange::Stop => after.remove(player),
            };
        }
        if after.len() > MAX_PLAYERS {
            return Err(MediaError::Limit { what: "players in a room", limit: MAX_PLAYERS });
        }
        Ok(())
    }

    /// Compiles a change whose legs are all here and sends it.
    fn submit(&mut self, id: RoomId, shard: u16, queued: Queued, join: &[LegId]) {
        let RoomChange { plan, leave, plays, players, .. } = queued.change;
        let members = self.members(id);
        let mut plays: Vec<(Key, Option<Track>)> = plays
            .into_iter()
            .filter(|(leg, _)| members.contains(leg) || join.contains(leg))
            .filter_map(|(leg, play)| {
                let key = self.legs.get(&leg)?.key;
                Some((key, if let PlayChange::Start(play) = play { Some(Track::new(play)) } else { None }))
            })
            .collect();
        plays.shrink_to_fit();
        let mut leaving = Vec::new();
        for leg in self.alive(&leave) {
            let here = self.legs.get(&leg).filter(|e| e.room.is_some_and(|(room, _)| room == id)).map(|e| e.key);
            if let Some(key) = here {
                leaving.push(key);
                self.unseat(leg);
            }
        }
        let mut joining = Vec::new();
        for leg in join {
            let Some(entry) = self.legs.get(leg) else { continue };
            if entry.room.is_some_and(|(room, _)| room == id) {
                continue;
            }
            let key = entry.key;
            self.unseat(*leg);
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            let seat = room.seats.iter().position(Option::is_none).unwrap_or(room.seats.len());
            if seat == room.seats.len() {
                room.seats.push(None);
            }
            if let Some(place) = room.seats.get_mut(seat) {
                *place = Some(*leg);
            }
            joining.push((*leg, key, seat as u16));
            if let Some(entry) = self.legs.get_mut(leg) {
                entry.room = Some((id, seat as u16));
            }
        }
        let mut starts = HashMap::new();
        for (player, what) in players {
            let Some(room) = self.rooms.get_mut(&id) else { continue };
            match what {
                PlayerChange::Start(play) => {
                    self.starts += 1;
                    room.players.insert(player, self.starts);
                    starts.insert(player, Track::new(play));
                }
                PlayerChange::Stop => {
                    room.players.remove(&player);
                    starts.remove(&player);
                }
            }
        }
        let lifts = self.lifts(id, false);
        let Some(room) = self.rooms.get_mut(&id) else { return };
        room.revision = plan.revision;
        let keys: HashMap<LegId, Key> =
            room.seats.iter().flatten().filter_map(|l| self.legs.get(l).map(|e| (*l, e.key))).collect();
        let members = Members { room: id, seats: &room.seats, keys: &keys, players: &room.players, taps: &self.taps };
        let (compiled, strangers) = compile::compile(&plan, &members, starts);
        self.strangers += strangers;
        let change = Change {
            id,
            key: room.key,
            revision: plan.revision,
            join: joining,
            leave: leaving,
            plays,
            lifts,
            plan: Some(Box::new(compiled)),
            outcome: Outcome::Waiting,
            reply: queued.reply,
        };
        self.push(shard, Command::Change(Box::new(change)), true);
    }

    /// A change came back without having been applied: those it let in are where they were before, without a room.
    pub(in crate::plane) fn refused(&mut self, change: &Change) {
        for (leg, key, seat) in &change.join {
            let entry = self.legs.get(leg);
            if entry.is_some_and(|e| e.key == *key && e.room == Some((change.id, *seat))) {
                self.unseat(*leg);
            }
        }
    }
}
