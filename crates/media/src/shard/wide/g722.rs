//! Encoding for listeners with G.722. An encoder is small enough to be copied: listeners in equal states with equal mixes share the work.

use audio::g722;

use super::shape::{Shape, Source, equal, samples};
use super::{Rate, Wideband};
use crate::id::Key;
use crate::leg::wide::Stream;
use crate::leg::wide::stream::G722Step;
use crate::leg::{Context, Leg};
use crate::shard::mix::seated;
use crate::shard::plan_state::Compiled;
use crate::shard::slab::Slab;

/// Encodes remembered for the tick.
pub(super) const REMEMBERED: usize = 32;

/// An encode that others may copy.
pub(super) struct Copied {
    seat: u16,
    source: Source,
    step: G722Step,
    packet: u16,
}

/// Encodes once for each state and mix.
pub(super) fn encode_g722(
    plan: &Compiled,
    room: Key,
    legs: &mut Slab<Leg>,
    wideband: &mut Wideband,
    cx: &mut Context<'_>,
) {
    let Wideband { groups, wide, shapes, .. } = wideband;
    for seat in 0..plan.seats.len() {
        let Some(shape) = shapes.get(seat).copied().filter(|shape| shape.sent && shape.rate == Rate::Wide) else {
            continue;
        };
        let leg = plan.seats.get(seat).and_then(|s| s.leg).and_then(|key| seated(legs, key, room, seat));
        let Some(Stream::G722(stream)) = leg.and_then(|leg| leg.wide.as_deref_mut()).map(|wide| &mut wide.stream)
        else {
            continue;
        };
        let sounds = shape.source != Source::Silence;
        if stream.rests(sounds) {
            continue;
        }
        let known = groups.copied.iter().find(|copied| {
            let other = Shape { source: copied.source, ..shape };
            equal(wide, (shape, seat), (other, usize::from(copied.seat))) && stream.follow(&copied.step)
        });
        if let Some(known) = known {
            cx.counters.wide_shared.add(u64::from(sounds));
            if let Some(shape) = shapes.get_mut(seat) {
                shape.packet = known.packet;
            }
            continue;
        }
        let Some((at, packet)) = groups.place() else { continue };
        let mut bytes = [0; g722::FRAME_BYTES];
        let silence = [0; g722::FRAME];
        let frame = samples(wide, shape, seat).and_then(|frame| frame.first_chunk()).unwrap_or(&silence);
        let step = stream.encode(frame, &mut bytes, cx.serials);
        let counter = if sounds { &cx.counters.wide_encodes } else { &cx.counters.silence_encodes };
        counter.one();
        packet.len = bytes.len() as u16;
        if let Some(room) = packet.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(&bytes);
        }
        if let Some(shape) = shapes.get_mut(seat) {
            shape.packet = at;
        }
        if groups.copied.len() < REMEMBERED {
            groups.copied.push(Copied { seat: seat as u16, source: shape.source, step, packet: at });
        }
    }
}
