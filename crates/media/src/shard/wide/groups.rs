//! Which wide listeners share an encoder, and the encoding itself.
//!
//! The stream of each listener is what an encoder of its own would make of its own mix, reset when sound begins after silence (and when
//! the listener's mix ceases to be one that others could have; and, so that those whose mixes have become equal meet again, at set times
//! where its mix is soft). Listeners whose equal mixes begin in the same tick form a group and get one encode for as long as their mixes
//! stay equal; whoever leaves begins anew, and those who stay notice nothing. When a listener begins anew
//! depends on nothing but its own mix, its own sound, what is lost on its own way, and plans: never on what others hear. So no byte a
//! listener gets tells of sound that is kept from it, and an encoder never serves anyone who could not hear all it has encoded since its
//! reset.

use audio::opus;

use super::g722::{Copied, REMEMBERED, encode_g722};
use super::shape::{Shape, Source, count_distinct, equal, samples};
use super::{Rate, Wideband};
use crate::id::Key;
use crate::leg::wide::OpusStream;
use crate::leg::wide::stream::{Flow, Running, Settings, TAIL};
use crate::leg::{Context, Leg};
use crate::mutation::{self, Mutation};
use crate::shard::mix::seated;
use crate::shard::plan_state::Compiled;
use crate::shard::room::Room;
use crate::shard::slab::Slab;

/// No packet: what a silence needs.
pub(super) const NO_PACKET: u16 = u16::MAX;
/// Those whose mixes are soft meet every so many ticks (100 ms), and all others at the latest (15 s).
const MEETING: u64 = 5;
const AT_LATEST: u64 = 750;
/// Those whose loss is reported anew begin anew where the mix is soft, and every so many ticks (1 s) at the latest.
const ADOPTION: u64 = 50;
/// Below this a frame is too soft for a new beginning to be heard.
const SOFT_DBFS: f32 = -50.0;

/// A group in this tick.
#[derive(Clone, Copy)]
struct Group {
    id: u64,
    key: u64,
    settings: Settings,
    /// Its first member's seat.
    first: u16,
    holder: Option<u16>,
    /// Who left it with the encoder.
    left_by: Option<u16>,
    members: u16,
    /// It began in this tick, and others may join.
    open: bool,
}

/// Listeners of this tick that could share an encoder by the plan.
#[derive(Clone, Copy)]
struct Peers {
    key: u64,
    /// What was agreed: whoever differs only in loss today may not tomorrow.
    terms: Settings,
    count: u16,
    first: u16,
    second: u16,
}

#[derive(Clone, Copy)]
pub(super) struct Packet {
    pub len: u16,
    pub bytes: [u8; opus::LONGEST_PAYLOAD],
}

/// Memory of the tick.
pub(super) struct Groups {
    groups: Vec<Group>,
    peers: Vec<Peers>,
    packets: Vec<Packet>,
    used: usize,
    pub copied: Vec<Copied>,
}

impl Groups {
    pub(super) fn new(max_members: usize) -> Self {
        Self {
            // A member may leave one group and begin another.
            groups: Vec::with_capacity(max_members * 2),
            peers: Vec::with_capacity(max_members),
            packets: vec![Packet { len: 0, bytes: [0; opus::LONGEST_PAYLOAD] }; max_members],
            used: 0,
            copied: Vec::with_capacity(REMEMBERED),
        }
    }

    pub(super) fn begin(&mut self) {
        self.groups.clear();
        self.peers.clear();
        self.copied.clear();
        self.used = 0;
    }

    pub(super) fn packet(&self, at: u16) -> Option<&[u8]> {
        let packet = self.packets.get(usize::from(at)).filter(|_| at != NO_PACKET)?;
        packet.bytes.get(..usize::from(packet.len)).filter(|bytes| !bytes.is_empty())
    }

    /// A place for a packet.
    pub(super) fn place(&mut self) -> Option<(u16, &mut Packet)> {
        let at = self.used;
        let packet = self.packets.get_mut(at)?;
        self.used += 1;
        Some((at as u16, packet))
    }

    fn group(&mut self, id: u64) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.id == id)
    }
}

/// The Opus stream of a seat.
fn opus_of<'a>(legs: &'a mut Slab<Leg>, plan: &Compiled, room: Key, seat: usize) -> Option<&'a mut OpusStream> {
    let leg = plan.seats.get(seat)?.leg.and_then(|key| seated(legs, key, room, seat))?;
    leg.wide.as_deref_mut()?.stream.opus()
}

/// Decides who shares with whom in this tick.
pub(super) fn settle(room: &mut Room, legs: &mut Slab<Leg>, wideband: &mut Wideband, cx: &mut Context<'_>) {
    let Room { plan, key: room, .. } = room;
    // Who sits out this tick shares no longer.
    for seat in 0..plan.seats.len() {
        if !wideband.is_wide(seat) {
            part(plan, *room, legs, seat);
        }
    }
    for seat in 0..plan.seats.len() {
        if !wideband.is_wide(seat) {
            continue;
        }
        let sent = wideband.shapes.get(seat).is_some_and(|shape| shape.sent);
        let Some(stream) = opus_of(legs, plan, *room, seat).filter(|_| sent) else { continue };
        let (key, terms) = (plan.key_of(seat), stream.settings().agreed());
        let peers = &mut wideband.groups.peers;
        match peers.iter_mut().find(|peers| peers.key == key && peers.terms == terms) {
            Some(known) => {
                if known.count == 1 {
                    known.second = seat as u16;
                }
                known.count += 1;
            }
            None => peers.push(Peers { key, terms, count: 1, first: seat as u16, second: seat as u16 }),
        }
    }
    for seat in 0..plan.seats.len() {
        if !wideband.is_wide(seat) {
            continue;
        }
        let parted = plan.take_parted(seat) && !mutation::active(Mutation::PartingIgnored);
        let key = plan.key_of(seat);
        let shape = wideband.shapes.get(seat).copied().unwrap_or(Shape::NONE);
        let Some(stream) = opus_of(legs, plan, *room, seat) else { continue };
        settle_one(stream, seat, shape, key, parted, plan, wideband, cx);
        if let Some(shape) = wideband.shapes.get_mut(seat) {
            shape.settings = Some(stream.settings());
        }
    }
    hand_on(plan, *room, legs, wideband);
}

#[allow(clippy::too_many_arguments, reason = "one listener's circumstances")]
fn settle_one(
    stream: &mut OpusStream,
    seat: usize,
    shape: Shape,
    key: u64,
    parted: bool,
    plan: &Compiled,
    wideband: &mut Wideband,
    cx: &mut Context<'_>,
) {
    let sounds = shape.source != Source::Silence;
    let Flow::Running(running) = stream.flow else {
        if shape.sent && sounds {
            start(stream, seat, shape, key, wideband, cx);
        }
        return;
    };
    let tail = if sounds { 0 } else { running.tail + 1 };
    if !shape.sent || tail > TAIL {
        leave(stream, seat, running, wideband);
        return stream.rest();
    }
    let could_share = has_peer(&wideband.groups.peers, plan, key, stream.settings().agreed(), seat);
    let shares = could_share && !running.alone;
    if stream.is_outdated() && !shares {
        stream.adopt_loss();
    }
    let tick = cx.slot / crate::shard::SLOTS;
    let soft = could_share && is_soft(&wideband.full, shape, seat, running, cx);
    let meets = soft || (tick.is_multiple_of(AT_LATEST) && tick - running.since >= AT_LATEST);
    let adopts = sounds && stream.is_outdated() && (soft || tick.is_multiple_of(ADOPTION));
    let anew =
        (parted && !running.alone) || (could_share && !shape.special && meets) || (shares && (shape.special || adopts));
    if anew || !joins(seat, shape, key, stream.settings(), running, wideband) {
        leave(stream, seat, running, wideband);
        if sounds {
            start(stream, seat, shape, key, wideband, cx);
        } else {
            stream.rest();
        }
        return;
    }
    stream.flow = Flow::Running(Running { tail, alone: running.alone || shape.special, ..running });
}

/// Whether this is a moment to begin anew, so that those whose mixes have become equal meet: where the sound is too soft for
/// that to be heard. It is the same for all with the same mix, whoever they share with so far.
fn is_soft(hall: &super::Hall, shape: Shape, seat: usize, running: Running, cx: &Context<'_>) -> bool {
    (cx.slot / crate::shard::SLOTS).is_multiple_of(MEETING)
        && running.tail == 0
        && samples(hall, shape, seat).is_some_and(|frame| audio::level::rms_dbfs(frame) < SOFT_DBFS)
}

/// Whether anybody else could have the mix of this listener, by plans alone.
fn has_peer(peers: &[Peers], plan: &Compiled, key: u64, terms: Settings, seat: usize) -> bool {
    let Some(peers) = peers.iter().find(|peers| peers.key == key && peers.terms == terms) else { return false };
    match peers.count {
        0 | 1 => false,
        2 => {
            let other = if usize::from(peers.first) == seat { peers.second } else { peers.first };
            plan.listeners.class(seat).is_some_and(|class| plan.hears_a_third(class, seat, usize::from(other)))
        }
        _ => true,
    }
}

/// Goes on in a group, if its mix is still the group's.
fn joins(seat: usize, shape: Shape, key: u64, settings: Settings, running: Running, wideband: &mut Wideband) -> bool {
    let Wideband { groups, full, shapes, .. } = wideband;
    let Some(group) = groups.group(running.group).filter(|group| group.members > 0) else {
        let left_by = groups.group(running.group).and_then(|group| group.left_by);
        groups.groups.retain(|group| group.id != running.group);
        groups.groups.push(Group {
            id: running.group,
            key,
            settings,
            first: seat as u16,
            holder: running.holder.then_some(seat as u16),
            left_by,
            members: 1,
            open: false,
        });
        return true;
    };
    let first = usize::from(group.first);
    let other = shapes.get(first).copied().unwrap_or(Shape::NONE);
    if group.key != key || group.settings != settings || shape.special || other.special {
        return false;
    }
    if !equal(full, (shape, seat), (other, first)) {
        return false;
    }
    group.members += 1;
    if running.holder {
        group.holder = Some(seat as u16);
    }
    true
}

/// Begins anew, with others who begin in this tick with the same mix.
fn start(stream: &mut OpusStream, seat: usize, shape: Shape, key: u64, wideband: &mut Wideband, cx: &mut Context<'_>) {
    let tick = cx.slot / crate::shard::SLOTS;
    let Wideband { groups, full, shapes, .. } = wideband;
    stream.adopt_loss();
    let settings = stream.settings();
    let fits = |group: &&mut Group| {
        let first = usize::from(group.first);
        let other = shapes.get(first).copied().unwrap_or(Shape::NONE);
        group.open && group.key == key && group.settings == settings && equal(full, (shape, seat), (other, first))
    };
    if !shape.special
        && let Some(group) = groups.groups.iter_mut().find(fits)
    {
        group.members += 1;
        return stream.start(group.id, false, false, tick);
    }
    *cx.serials += 1;
    let id = *cx.serials;
    groups.groups.push(Group {
        id,
        key,
        settings,
        first: seat as u16,
        holder: Some(seat as u16),
        left_by: None,
        members: 1,
        open: !shape.special,
    });
    stream.start(id, true, shape.special, tick);
}

/// Notes that somebody leaves a group, perhaps with its encoder.
fn leave(stream: &OpusStream, seat: usize, running: Running, wideband: &mut Wideband) {
    if !running.holder || running.alone {
        return;
    }
    match wideband.groups.group(running.group) {
        Some(group) => group.left_by = Some(seat as u16),
        None => wideband.groups.groups.push(Group {
            id: running.group,
            key: 0,
            settings: stream.settings(),
            first: seat as u16,
            holder: None,
            left_by: Some(seat as u16),
            members: 0,
            open: false,
        }),
    }
}

/// Gives encoders that left with a member to those who stayed.
fn hand_on(plan: &Compiled, room: Key, legs: &mut Slab<Leg>, wideband: &mut Wideband) {
    for group in &mut wideband.groups.groups {
        if group.members == 0 || group.holder.is_some() {
            continue;
        }
        let first = usize::from(group.first);
        group.holder = Some(group.first);
        let from = group.left_by.map(usize::from);
        if !from.is_some_and(|from| exchange(plan, room, legs, from, first)) {
            // The encoder is gone, as after a fault: one that has encoded nothing takes its place.
            let Some(stream) = opus_of(legs, plan, room, first) else { continue };
            stream.reset = true;
        }
        if let Some(OpusStream { flow: Flow::Running(running), .. }) = opus_of(legs, plan, room, first) {
            running.holder = true;
        }
    }
}

/// Exchanges the encoders of two seats. Whoever gives one away that serves a group begins anew.
fn exchange(plan: &Compiled, room: Key, legs: &mut Slab<Leg>, from: usize, to: usize) -> bool {
    let Some(engine) = opus_of(legs, plan, room, from).and_then(|stream| stream.engine.take()) else { return false };
    let Some(heir) = opus_of(legs, plan, room, to) else {
        if let Some(stream) = opus_of(legs, plan, room, from) {
            stream.engine = Some(engine);
        }
        return false;
    };
    let idle = heir.engine.replace(engine);
    heir.reset = false;
    if let Some(stream) = opus_of(legs, plan, room, from) {
        stream.engine = idle;
        stream.reset = true;
    }
    true
}

/// A leg goes elsewhere, or gets another encoder: if it shares one, that stays with those who share it, and the leg begins anew.
pub(crate) fn part(plan: &Compiled, room: Key, legs: &mut Slab<Leg>, seat: usize) {
    let Some(running) = opus_of(legs, plan, room, seat).and_then(|stream| stream.running()) else { return };
    if running.alone {
        return;
    }
    if running.holder {
        let shares = |at: usize, legs: &mut Slab<Leg>| {
            let other = opus_of(legs, plan, room, at).and_then(|stream| stream.running());
            at != seat && other.is_some_and(|other| other.group == running.group)
        };
        if let Some(heir) = (0..plan.seats.len()).find(|at| shares(*at, legs))
            && exchange(plan, room, legs, seat, heir)
            && let Some(OpusStream { flow: Flow::Running(running), .. }) = opus_of(legs, plan, room, heir)
        {
            running.holder = true;
        }
    }
    if let Some(stream) = opus_of(legs, plan, room, seat) {
        stream.rest();
    }
}

/// Encodes once for each group, and for G.722 once for each state and mix.
pub(super) fn encode(room: &Room, legs: &mut Slab<Leg>, wideband: &mut Wideband, cx: &mut Context<'_>) {
    let Room { plan, key: room, .. } = room;
    let Wideband { groups, full, shapes, .. } = wideband;
    for at in 0..groups.groups.len() {
        let Some(group) = groups.groups.get(at).copied().filter(|group| group.members > 0) else { continue };
        let (first, holder) = (usize::from(group.first), usize::from(group.holder.unwrap_or(group.first)));
        let shape = shapes.get(first).copied().unwrap_or(Shape::NONE);
        let frame = samples(full, shape, first);
        let Some(stream) = opus_of(legs, plan, *room, holder) else { continue };
        cx.counters.encoder_resets.add(u64::from(stream.reset));
        let Some((packet_at, packet)) = groups.place() else { continue };
        let silence = [0; opus::FRAME];
        let whole = frame.and_then(|frame| frame.first_chunk()).unwrap_or(&silence);
        packet.len = stream.encode(whole, &mut packet.bytes, cx.serials) as u16;
        let serial = stream.engine.as_ref().map_or(0, |engine| engine.serial);
        if frame.is_some() {
            cx.counters.wide_encodes.one();
            cx.counters.wide_shared.add(u64::from(group.members) - 1);
        } else {
            cx.counters.silence_encodes.one();
        }
        let probed = cx.probe.is_some();
        if let Some(probe) = cx.probe.as_deref_mut() {
            probe.encoding(cx.slot, serial);
            super::shape::audible_in(plan, full, first, |source| {
                if let Some(leg) = plan.seats.get(source).and_then(|s| s.leg).and_then(|k| legs.get_mut(k)) {
                    probe.source(leg.id);
                }
            });
        }
        for seat in first..plan.seats.len() {
            let member = opus_of(legs, plan, *room, seat).and_then(|stream| stream.running());
            if member.is_none_or(|running| running.group != group.id) {
                continue;
            }
            if let Some(shape) = shapes.get_mut(seat).filter(|shape| shape.rate == Rate::Full && shape.sent) {
                shape.packet = packet_at;
            }
            if probed
                && let Some(leg) = plan.seats.get(seat).and_then(|s| s.leg).and_then(|k| legs.get_mut(k))
                && let Some(probe) = cx.probe.as_deref_mut()
            {
                probe.served(leg.id);
            }
        }
    }
    count_distinct(plan, wideband, cx);
    encode_g722(plan, *room, legs, wideband, cx);
}
