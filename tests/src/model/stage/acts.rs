//! What a history's acts do: to the room and to the model beside it, and what is sent to the media plane for it.

use super::*;

impl Stage<'_> {
    pub(super) fn act(&mut self, act: &Act) -> Result<(), Breach> {
        match act {
            Act::Enter(phone, room, entrance) => self.enter(*phone, *room, entrance),
            Act::Leave(phone) => self.leave(*phone),
            Act::Move(phone, way, entrance) => self.move_over(*phone, *way, entrance),
            Act::Admit(phone) => self.member(*phone, |r, id| r.admit(id), |h, n| h.admit(n)),
            Act::Mute(phone, on) => self.member(*phone, |r, id| r.mute(id, *on), |h, n| h.mute(n, *on)),
            Act::Hold(phone, on) => self.member(*phone, |r, id| r.hold(id, *on), |h, n| h.hold(n, *on)),
            Act::Deafen(phone, on) => self.member(*phone, |r, id| r.deafen(id, *on), |h, n| h.deafen(n, *on)),
            Act::Coach(phone, on, reach) => {
                let (audience, ears) = match reach {
                    Some(reach) => {
                        let number = |p| self.number_beside(*phone, p);
                        (Some(words::audience(reach, number)), Some(words::ears(reach, number)))
                    }
                    None => (None, None),
                };
                self.member(*phone, |r, id| r.coach(id, *on, audience), |h, n| h.coach(n, *on, ears))
            }
            Act::Tag(phone, tag) => {
                self.member(*phone, |r, id| r.tag(id, tag.map(conference::Tag::new)), |h, n| h.tag(n, *tag))
            }
            Act::Mode(phone, posture) => {
                let number = |p| self.number_beside(*phone, p);
                let (mode, stance) = (words::mode(posture, number), words::stance(posture, number));
                self.member(*phone, |r, id| r.mode(id, &mode), |h, n| h.stance(n, &stance))
            }
            Act::AddPlayer(room, reach) => self.add_player(*room, reach),
            Act::RemovePlayer(room) => self.remove_player(*room),
            Act::Private(phone, on) => self.private(*phone, *on),
            Act::AddTap(room, what) => {
                let (wants, want) = words::tap(*what, |p| self.number_in(*room, p));
                let mut tap = None;
                self.command(
                    *room,
                    Changes::default(),
                    |r| r.add_tap(wants).map(|id| id.0),
                    |h| h.add_tap(want),
                    |n| tap = Some(n),
                )?;
                if let (Some(life), Some(tap)) = (&mut self.lives[*room], tap) {
                    life.taps.push_back(tap);
                }
                Ok(())
            }
            Act::RemoveTap(room) => {
                let Some(tap) = self.lives[*room].as_mut().and_then(|l| l.taps.pop_front()) else { return Ok(()) };
                let remove = |r: &mut conference::Room| {
                    r.remove_tap(conference::TapId(tap));
                    Ok(0)
                };
                self.command(
                    *room,
                    Changes::default(),
                    remove,
                    |h| {
                        h.remove_tap(tap);
                        Ok(0)
                    },
                    |_| {},
                )
            }
            Act::Start(room) => {
                self.command(*room, Changes::default(), |r| r.start().map(|()| 0), |h| h.start().map(|()| 0), |_| {})
            }
            Act::End(room) => {
                let end = |r: &mut conference::Room| r.end(conference::EndCause::Requested).map(|()| 0);
                self.command(*room, Changes::default(), end, |h| h.end().map(|()| 0), |_| {})
            }
            Act::Ring(phone, room) => self.ring(*phone, *room),
            Act::RingOff(phone) => self.ring_off(*phone),
            Act::Replace(phone, after) => self.replace(*phone, *after),
            _ => {
                self.network_act(act);
                Ok(())
            }
        }
    }

    /// What happens to lines.
    fn network_act(&mut self, act: &Act) {
        let now = self.now;
        match act {
            Act::Freeze(phone, time) => self.talkers[*phone].freeze(now + time, now),
            Act::Lose(phone, packets) => self.talkers[*phone].lose(*packets, now),
            Act::Restart(phone) => self.talkers[*phone].restart(now),
            Act::Jump(phone, samples, marker) => self.talkers[*phone].jump(*samples, *marker, now),
            Act::Pause(phone, time) => self.talkers[*phone].pause(now + time, now),
            Act::Jitter(phone, jitter) => self.talkers[*phone].line(Some(*jitter), None, now),
            Act::Loss(phone, loss) => self.talkers[*phone].line(None, Some(*loss), now),
            _ => {}
        }
    }

    /// The member that `other` is in `phone`'s room; 0 is nobody.
    fn number_beside(&self, phone: usize, other: usize) -> u32 {
        self.seats[phone].map_or(0, |seat| self.number_in(seat.room, other))
    }

    fn number_in(&self, room: usize, phone: usize) -> u32 {
        let life = self.lives[room].as_ref().map(|l| l.id);
        self.seats
            .get(phone)
            .copied()
            .flatten()
            .filter(|s| s.room == room && Some(s.life) == life)
            .map_or(0, |s| s.number)
    }

    /// A call knows that it is in a room, and what it hears there by itself, before it goes to another; it may leave or end
    /// meanwhile.
    fn is_joining(&self, phone: usize) -> bool {
        self.flights.iter().any(|f| match &f.effect {
            Effect::Room { joined, plays, .. } => joined.contains(&phone) || plays.iter().any(|(p, ..)| *p == phone),
            _ => false,
        })
    }

    fn enter(&mut self, phone: usize, room: usize, entrance: &Entrance) -> Result<(), Breach> {
        if self.is_joining(phone) {
            return Ok(());
        }
        let Some(call) = self.calls[phone].filter(|_| self.seats[phone].is_none()) else { return Ok(()) };
        // It has answered.
        self.ring_off(phone)?;
        if self.lives[room].is_none() {
            let media = self.sim.plane().open_room_on(room as u16).map_err(|e| self.refused(e))?;
            self.last_life += 1;
            let (wait_for, stay_alone) = self.history.rooms[room];
            let policy = conference::Policy {
                stay_alone,
                wait_for: wait_for.and_then(conference::Role::parse),
                ..conference::Policy::default()
            };
            self.lives[room] = Some(Life {
                id: self.last_life,
                room: conference::Room::open(policy, Duration::from_millis(self.now)),
                house: House::new(wait_for, stay_alone),
                media,
                revision: 0,
                players: VecDeque::new(),
                taps: VecDeque::new(),
                admitted: Vec::new(),
            });
        }
        let number = |p| self.number_in(room, p);
        let entry = words::entry(entrance, number);
        let person = words::person(entrance, number);
        let life = self.lives[room].as_ref().map_or(0, |l| l.id);
        // Its number is its seat before the change is compiled: who enters has all his rules from his first sample.
        let at = Duration::from_millis(self.now);
        let mut entered = None;
        self.decide(room, |r| r.enter(entry, at).map(|id| id.0), |h| h.come(person), |n| entered = Some(n))?;
        let Some(number) = entered else { return Ok(()) };
        self.seats[phone] = Some(Seat { room, life, number, generation: call.generation, grace: entrance.grace });
        self.settle(room, Changes { join: vec![phone], ..Changes::default() })
    }

    fn leave(&mut self, phone: usize) -> Result<(), Breach> {
        let Some(seat) = self.seats[phone] else { return Ok(()) };
        let leg = self.calls[phone].filter(|c| c.generation == seat.generation).map(|c| c.leg);
        self.unseat(phone, seat, leg)
    }

    fn unseat(&mut self, phone: usize, seat: Seat, leg: Option<LegId>) -> Result<(), Breach> {
        self.seats[phone] = None;
        let member = conference::MemberId(seat.number);
        let until = seat.grace.map(|grace| self.now + grace);
        let leave = |r: &mut conference::Room| {
            until.map_or(Ok(()), |until| r.defer_end(member, Duration::from_millis(until)))?;
            r.leave(member, conference::LeaveCause::Hangup).map(|()| 0)
        };
        let go = |h: &mut House| {
            until.map_or(Ok(()), |until| h.put_off(seat.number, until))?;
            h.go(seat.number).map(|()| 0)
        };
        let changes = Changes { leave: leg.into_iter().collect(), ..Changes::default() };
        self.command(seat.room, changes, leave, go, |_| {})
    }

    /// What time alone does to rooms.
    pub(super) fn clock(&mut self) -> Result<(), Breach> {
        let now = Duration::from_millis(self.now);
        for room in 0..self.lives.len() {
            let Some(life) = &self.lives[room] else { continue };
            let due = life.house.ends_at.is_some_and(|at| at <= self.now);
            if !due && life.room.next_timeout().is_none_or(|at| at > now) {
                continue;
            }
            let pass = |r: &mut conference::Room| {
                r.handle_timeout(now);
                Ok(0)
            };
            let o_clock = self.now;
            self.compared.timed += u64::from(due);
            self.command(
                room,
                Changes::default(),
                pass,
                |h| {
                    h.pass(o_clock);
                    Ok(0)
                },
                |_| {},
            )?;
        }
        Ok(())
    }

    fn ring(&mut self, phone: usize, room: usize) -> Result<(), Breach> {
        let busy = self.seats[phone].is_some() || self.ringing[phone].is_some() || self.is_joining(phone);
        let (Some(call), Some(life), false) = (self.calls[phone], &self.lives[room], busy) else { return Ok(()) };
        let life = life.id;
        let mut number = None;
        self.decide(room, |r| r.add_early().map(|id| id.0), House::add_ringing, |n| number = Some(n))?;
        let Some(number) = number else { return Ok(()) };
        self.ringing[phone] = Some(Ringing { room, life, number, generation: call.generation });
        self.settle(room, Changes { join: vec![phone], ..Changes::default() })
    }

    fn ring_off(&mut self, phone: usize) -> Result<(), Breach> {
        let Some(ringing) = self.ringing[phone].take() else { return Ok(()) };
        let leg = self.calls[phone].filter(|c| c.generation == ringing.generation).map(|c| c.leg);
        let remove = |r: &mut conference::Room| {
            r.remove_early(conference::EarlyId(ringing.number));
            Ok(0)
        };
        self.command(
            ringing.room,
            Changes { leave: leg.into_iter().collect(), ..Changes::default() },
            remove,
            |h| {
                h.remove_ringing(ringing.number);
                Ok(0)
            },
            |_| {},
        )
    }

    pub(super) fn ring_gone(&mut self, phone: usize, ringing: Ringing) -> Result<(), Breach> {
        let still = self.ringing[phone].is_some_and(|r| r.life == ringing.life && r.number == ringing.number);
        if still { self.ring_off(phone) } else { Ok(()) }
    }

    fn move_over(&mut self, phone: usize, way: Way, entrance: &Entrance) -> Result<(), Breach> {
        let Some(seat) = self.seats[phone].filter(|_| !self.is_joining(phone)) else { return Ok(()) };
        let Some(call) = self.calls[phone].filter(|c| c.generation == seat.generation) else { return Ok(()) };
        self.talkers[phone].trouble(self.now);
        let to = 1 - seat.room;
        match way {
            Way::LeaveFirst => {
                self.leave(phone)?;
                self.enter(phone, to, entrance)
            }
            Way::JoinFirst | Way::JoinFirstThenLeave => {
                self.seats[phone] = None;
                self.enter(phone, to, entrance)?;
                let there = self.seats[phone];
                self.unseat(phone, seat, (way == Way::JoinFirstThenLeave).then_some(call.leg))?;
                self.seats[phone] = there;
                Ok(())
            }
        }
    }

    fn replace(&mut self, phone: usize, after: u64) -> Result<(), Breach> {
        let Some(call) = self.calls[phone].take() else { return Ok(()) };
        let pending = self.sim.plane().remove_leg(call.leg);
        let effect = Effect::Gone { phone, generation: call.generation, rest: after % 3 };
        self.flights.push(Flight { sent: self.now, answer: Answer::Stats(pending), effect });
        self.talkers[phone].trouble(self.now);
        if let Some(seat) = self.seats[phone] {
            self.later.entry(self.now + 2 + after).or_default().push(Later::Noticed(phone, seat));
        }
        if let Some(ringing) = self.ringing[phone] {
            self.later.entry(self.now + 2 + after).or_default().push(Later::RingGone(phone, ringing));
        }
        Ok(())
    }

    pub(super) fn noticed(&mut self, phone: usize, seat: Seat) -> Result<(), Breach> {
        let still = self.seats[phone].is_some_and(|s| s.life == seat.life && s.number == seat.number);
        if still { self.unseat(phone, seat, None) } else { Ok(()) }
    }

    fn add_player(&mut self, room: usize, reach: &crate::model::history::Reach) -> Result<(), Breach> {
        let Some(bit) = self.player_bits.iter().position(|used| !used) else { return Ok(()) };
        let number = |p| self.number_in(room, p);
        let (audience, ears) = (words::audience(reach, number), words::ears(reach, number));
        let mut player = None;
        self.decide(room, |r| r.add_player(audience).map(|id| id.0), |h| h.add_player(ears), |n| player = Some(n))?;
        let Some(player) = player else { return Ok(()) };
        self.player_bits[bit] = true;
        if let Some(life) = &mut self.lives[room] {
            life.players.push_back((player, bit));
        }
        let play = self.constant(PLAYERS[bit]);
        let players = vec![(PlayerId(u64::from(player)), PlayerChange::Start(play))];
        self.settle(room, Changes { players, ..Changes::default() })
    }

    fn remove_player(&mut self, room: usize) -> Result<(), Breach> {
        let Some((player, bit)) = self.lives[room].as_mut().and_then(|l| l.players.pop_front()) else { return Ok(()) };
        self.player_bits[bit] = false;
        let remove = |r: &mut conference::Room| {
            r.remove_player(conference::PlayerId(player));
            Ok(0)
        };
        let players = vec![(PlayerId(u64::from(player)), PlayerChange::Stop)];
        self.command(
            room,
            Changes { players, ..Changes::default() },
            remove,
            |h| {
                h.remove_player(player);
                Ok(0)
            },
            |_| {},
        )
    }

    fn constant(&mut self, level: u16) -> Play {
        self.last_play += 1;
        Play::forever(PlayId(self.last_play), Sound::from_samples(&[level.cast_signed(); FRAME]))
    }

    fn private(&mut self, phone: usize, on: bool) -> Result<(), Breach> {
        // What a call hears while it rings is its network's.
        let Some(call) = self.calls[phone].filter(|_| self.ringing[phone].is_none()) else { return Ok(()) };
        if let Some(seat) = self.seats[phone].filter(|s| s.generation == call.generation) {
            return self.settle(seat.room, Changes { plays: vec![(phone, on)], ..Changes::default() });
        }
        let pending = if on {
            let play = self.constant(PRIVATE);
            self.sim.plane().play(call.leg, play)
        } else {
            self.sim.plane().stop_play(call.leg, None)
        };
        let effect = Effect::Private { phone, generation: call.generation, on };
        self.flights.push(Flight { sent: self.now, answer: Answer::Applied(pending), effect });
        Ok(())
    }

    /// A command to the member that a phone is.
    fn member(
        &mut self,
        phone: usize,
        real: impl FnOnce(&mut conference::Room, conference::MemberId) -> Result<(), conference::RoomError>,
        model: impl FnOnce(&mut House, u32) -> Result<(), crate::model::rule::Refused>,
    ) -> Result<(), Breach> {
        let Some(seat) = self.seats[phone] else { return Ok(()) };
        let id = conference::MemberId(seat.number);
        let real = |r: &mut conference::Room| real(r, id).map(|()| 0);
        self.command(seat.room, Changes::default(), real, |h| model(h, seat.number).map(|()| 0), |_| {})
    }

    fn command(
        &mut self,
        room: usize,
        changes: Changes,
        real: impl FnOnce(&mut conference::Room) -> Result<u32, conference::RoomError>,
        model: impl FnOnce(&mut House) -> Result<u32, crate::model::rule::Refused>,
        done: impl FnOnce(u32),
    ) -> Result<(), Breach> {
        let mut obeyed = false;
        self.decide(room, real, model, |n| {
            obeyed = true;
            done(n);
        })?;
        if obeyed { self.settle(room, changes) } else { Ok(()) }
    }

    /// Gives a command to the room and to the model, which must agree whether it is obeyed.
    fn decide(
        &mut self,
        room: usize,
        real: impl FnOnce(&mut conference::Room) -> Result<u32, conference::RoomError>,
        model: impl FnOnce(&mut House) -> Result<u32, crate::model::rule::Refused>,
        done: impl FnOnce(u32),
    ) -> Result<(), Breach> {
        let Some(life) = &mut self.lives[room] else { return Ok(()) };
        let (real, model) = (real(&mut life.room), model(&mut life.house));
        match (real, model) {
            (Ok(a), Ok(b)) if a == b => {
                self.obeyed += 1;
                done(a);
                Ok(())
            }
            (Err(_), Err(_)) => Ok(()),
            (real, model) => Err(Breach::new(self.now, format!("the room answers {real:?}, the model {model:?}"))),
        }
    }

    /// Compares every pair by the rule and by the compiled hearing.
    fn compare(&mut self, life: &Life) -> Result<(), Breach> {
        use conference::{Listener, MemberId, Source, TapId};
        let house = &life.house;
        let (people, taps): (Vec<u32>, Vec<u32>) =
            (house.people.iter().map(|p| p.number).collect(), house.taps.iter().map(|(n, _)| *n).collect());
        let ended = life.room.status() == conference::Status::Ended;
        if ended != house.ended || life.room.has_started() != (house.started && !house.ended) {
            let what = format!(
                "the room is {:?}; in the model started {} ended {}",
                life.room.status(),
                house.started,
                house.ended
            );
            return Err(Breach::new(self.now, what));
        }
        let (real, model) = (life.room.next_timeout(), house.ends_at.map(Duration::from_millis));
        if real != model {
            return Err(Breach::new(self.now, format!("the end is due at {real:?}, in the model {model:?}")));
        }
        self.compare_people(life)?;
        self.compared.preparing += house.people.iter().filter(|p| house.started && p.preparing).count() as u64;
        let hearing = life.room.hearing();
        let ears = people.iter().map(|n| (Listens::Ear(*n), Listener::Ear(MemberId(*n))));
        let listeners: Vec<_> = ears.chain(taps.iter().map(|n| (Listens::Tap(*n), Listener::Tap(TapId(*n))))).collect();
        let voices = people.iter().map(|n| (Sounds::Voice(*n), Source::Microphone(MemberId(*n))));
        let players = house.players.iter().map(|(n, _)| (Sounds::Player(*n), Source::Player(conference::PlayerId(*n))));
        let ringing = house.ringing.iter().map(|n| (Sounds::Ringing(*n), Source::Early(conference::EarlyId(*n))));
        let sources: Vec<_> = voices.chain(players).chain(ringing).collect();
        for (listens, listener) in &listeners {
            for (sounds, source) in &sources {
                let model = house.hears(*listens, *sounds);
                let rule = conference::hearing::hears(&life.room, *listener, *source);
                let compiled = hearing.allows(*listener, *source);
                if rule != model || compiled != model {
                    let what = format!("{listens:?} hears {sounds:?}: model {model}, rule {rule}, compiled {compiled}");
                    return Err(Breach::new(self.now, what));
                }
                self.compared.tapped += u64::from(model && matches!(listens, Listens::Tap(_)));
                self.compared.rung += u64::from(model && matches!(sounds, Sounds::Ringing(_)));
            }
            for owner in &people {
                let own = *listens == Listens::Ear(*owner);
                if conference::hearing::hears(&life.room, *listener, Source::Private(MemberId(*owner))) != own {
                    return Err(Breach::new(self.now, format!("{listens:?} and the private player of {owner}")));
                }
            }
        }
        Ok(())
    }

    /// Compares what each person alone hears, and whether he was told to take part.
    fn compare_people(&self, life: &Life) -> Result<(), Breach> {
        let house = &life.house;
        for person in &house.people {
            let Some(member) = life.room.member(conference::MemberId(person.number)) else {
                return Err(Breach::new(self.now, format!("{} is not in the room", person.number)));
            };
            let real = life.room.private_sound(member);
            let model = house.music(person).map(|music| match music {
                Music::Wait => conference::PrivateSound::Wait,
                Music::Hold => conference::PrivateSound::Hold,
            });
            if real != model {
                let what = format!("{} alone hears {real:?}, in the model {model:?}", person.number);
                return Err(Breach::new(self.now, what));
            }
        }
        let model: Vec<u32> = house.people.iter().filter(|p| house.takes_part(p)).map(|p| p.number).collect();
        let mut told = life.admitted.clone();
        told.sort_unstable();
        if told != model {
            return Err(Breach::new(self.now, format!("told to take part: {told:?}, in the model {model:?}")));
        }
        Ok(())
    }

    /// Compiles what the room's hearing is now and sends it with what goes along.
    fn settle(&mut self, room: usize, mut changes: Changes) -> Result<(), Breach> {
        let Some(mut life) = self.lives[room].take() else { return Ok(()) };
        while let Some(event) = life.room.poll_event() {
            match event {
                conference::Event::Admitted(id) => life.admitted.push(id.0),
                conference::Event::Left(id, _) => life.admitted.retain(|n| *n != id.0),
                _ => {}
            }
        }
        if self.score.rule {
            self.compare(&life)?;
        }
        let over = life.house.ended;
        if over {
            for phone in 0..self.seats.len() {
                let Some(seat) = self.seats[phone].filter(|s| s.life == life.id) else { continue };
                self.seats[phone] = None;
                changes.leave.extend(self.calls[phone].filter(|c| c.generation == seat.generation).map(|c| c.leg));
            }
            for phone in 0..self.ringing.len() {
                let Some(ringing) = self.ringing[phone].filter(|r| r.life == life.id) else { continue };
                self.ringing[phone] = None;
                changes.leave.extend(self.calls[phone].filter(|c| c.generation == ringing.generation).map(|c| c.leg));
            }
            for (player, bit) in life.players.drain(..) {
                self.player_bits[bit] = false;
                changes.players.push((PlayerId(u64::from(player)), PlayerChange::Stop));
            }
        }
        life.revision += 1;
        let seated: Vec<(usize, Seat)> = self
            .seats
            .iter()
            .enumerate()
            .filter_map(|(p, s)| s.filter(|s| s.life == life.id).map(|s| (p, s)))
            .collect();
        let ringing: Vec<(usize, Ringing)> = self
            .ringing
            .iter()
            .enumerate()
            .filter_map(|(p, r)| r.filter(|r| r.life == life.id).map(|r| (p, r)))
            .collect();
        let early_leg = |early: conference::EarlyId| {
            let (phone, ringing) = ringing.iter().find(|(_, r)| r.number == early.0)?;
            self.calls[*phone].filter(|c| c.generation == ringing.generation).map(|c| c.leg)
        };
        let leg_of = |member: conference::MemberId| {
            let (phone, seat) = seated.iter().find(|(_, s)| s.number == member.0)?;
            self.calls[*phone].filter(|c| c.generation == seat.generation).map(|c| c.leg)
        };
        let plan = plan_for(&life.room.hearing(), life.revision, leg_of, early_leg, |_| None, |_| false);
        let ears = seated.iter().map(|(phone, seat)| {
            let me = Listens::Ear(seat.number);
            let voice =
                |(p, s): &(usize, Seat)| if life.house.hears(me, Sounds::Voice(s.number)) { 1u8 << *p } else { 0 };
            let player =
                |(n, bit): &(u32, usize)| if life.house.hears(me, Sounds::Player(*n)) { 1u8 << *bit } else { 0 };
            let ring =
                |(p, r): &(usize, Ringing)| if life.house.hears(me, Sounds::Ringing(r.number)) { 1u8 << *p } else { 0 };
            let voices = seated.iter().map(voice).sum::<u8>() | ringing.iter().map(ring).sum::<u8>();
            (*phone, seat.generation, voices, life.players.iter().map(player).sum())
        });
        // Who has not answered hears nothing of the room.
        let ears = ears.chain(ringing.iter().map(|(phone, r)| (*phone, r.generation, 0, 0))).collect();
        let mut plays = Vec::new();
        let mut effects = Vec::new();
        for (phone, on) in changes.plays {
            let Some(call) = self.calls[phone] else { continue };
            let change = if on { PlayChange::Start(self.constant(PRIVATE)) } else { PlayChange::Stop };
            plays.push((call.leg, change));
            effects.push((phone, call.generation, on));
        }
        let join = changes.join.iter().filter_map(|p| self.calls[*p].map(|c| c.leg)).collect();
        let change = RoomChange { plan, join, leave: changes.leave, plays, players: changes.players };
        let pending = self.sim.plane().change_room(life.media, change);
        let effect = Effect::Room { life: life.id, joined: changes.join, ears, plays: effects };
        self.flights.push(Flight { sent: self.now, answer: Answer::Applied(pending), effect });
        if over {
            let pending = self.sim.plane().close_room(life.media);
            self.flights.push(Flight { sent: self.now, answer: Answer::Applied(pending), effect: Effect::Closed });
        } else {
            self.lives[room] = Some(life);
        }
        Ok(())
    }
}
