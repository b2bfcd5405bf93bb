//! What each wide listener gets in a tick, before it is encoded.

use super::groups::NO_PACKET;
use super::hall::Hall;
use super::{Rate, Wideband};
use crate::convert::LONGEST_FRAME;
use crate::leg::wide::Settings;
use crate::leg::{Context, Leg};
use crate::mutation::{self, Mutation};
use crate::player::FRAME;
use crate::shard::mix::seated;
use crate::shard::mix::{CACHED, Scratch};
use crate::shard::plan_state::Compiled;
use crate::shard::room::Room;
use crate::shard::slab::Slab;

/// Where a listener's samples stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It hears nothing.
    Silence,
    /// The mix of its class as it is.
    Class(u16),
    /// A mix of its own, in its seat's place.
    Own,
}

/// A wide listener in a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Whether anything is sent at all.
    pub sent: bool,
    pub source: Source,
    /// Its own sound is taken out of its mix, or something private is in it: nobody else has this mix.
    pub special: bool,
    pub rate: Rate,
    /// What its encoder is set to, once it is settled who shares with whom.
    pub settings: Option<Settings>,
    /// Its packet, once encoded.
    pub packet: u16,
}

impl Shape {
    pub(super) const NONE: Self = Self {
        sent: false,
        source: Source::Silence,
        special: false,
        rate: Rate::Narrow,
        settings: None,
        packet: NO_PACKET,
    };
}

/// The samples of a shape; none: silence.
pub(super) fn samples(hall: &Hall, shape: Shape, seat: usize) -> Option<&[i16]> {
    match shape.source {
        Source::Silence => None,
        Source::Class(at) => Some(hall.class_frame(usize::from(at))),
        Source::Own => Some(hall.mix(seat)),
    }
}

/// Whether two listeners get the same samples.
pub(super) fn equal(hall: &Hall, (one, at): (Shape, usize), (other, other_at): (Shape, usize)) -> bool {
    let same_place = one.source == other.source && one.source != Source::Own;
    same_place || samples(hall, one, at) == samples(hall, other, other_at)
}

/// Mixes for every wide listener.
pub(super) fn shape(room: &mut Room, legs: &mut Slab<Leg>, scratch: &mut Scratch, cx: &mut Context<'_>) {
    let key = room.key;
    for at in 0..room.plan.seats.len() {
        let rate = scratch.wideband.rates.get(at).copied().unwrap_or(Rate::Narrow);
        if rate == Rate::Narrow || !scratch.seats.get(at).is_some_and(|tick| tick.takes_part) {
            continue;
        }
        let leg = room.plan.seats.get(at).and_then(|seat| seat.leg).and_then(|leg| seated(legs, leg, key, at));
        let (Some(leg), Some(hall)) = (leg, scratch.wideband.hall(rate)) else { continue };
        let shape = shape_one(&mut room.plan, hall, leg, at, cx);
        if let Some(probe) = cx.probe.as_deref_mut() {
            probe.mixed(leg.id, cx.slot, rate, samples(hall, shape, at));
        }
        let Wideband { shapes, .. } = &mut scratch.wideband;
        if let Some(place) = shapes.get_mut(at) {
            *place = shape;
        }
    }
}

fn shape_one(plan: &mut Compiled, hall: &mut Hall, leg: &mut Leg, seat: usize, cx: &mut Context<'_>) -> Shape {
    let rate = hall.rate;
    let shape = Shape { sent: leg.is_sent(), rate, ..Shape::NONE };
    let mut narrow = [0i16; FRAME];
    // In step even while nothing is sent, as on narrow legs.
    let plays = leg.has_player() && leg.private_frame(&mut narrow);
    let mut samples = [0i16; LONGEST_FRAME];
    let Some(private) = samples.get_mut(..rate.frame()) else { return shape };
    let has_private = leg.lift_private(cx.slot, Some(&narrow).filter(|_| plays), private);
    let mut digit = [0i16; LONGEST_FRAME];
    let Some(digit) = digit.get_mut(..rate.frame()) else { return shape };
    let sounds_digit = leg.wide_digit(digit);
    let own_mix = |hall: &mut Hall, frame: &[i16]| {
        hall.mix_mut(seat).copy_from_slice(frame);
        Shape { source: Source::Own, special: true, ..shape }
    };
    if sounds_digit {
        return own_mix(hall, digit);
    }
    let mut class = plan.listeners.class(seat);
    if class.is_none() && mutation::active(Mutation::UnplannedLegHears) && !plan.listeners.classes.is_empty() {
        class = Some(0);
    }
    let Some(class) = class else {
        return if has_private { own_mix(hall, private) } else { shape };
    };
    let (at, sources) = hall.sum_class(class, plan);
    let own = hall.sounds(seat) && plan.listeners.hears(class, seat) && !mutation::active(Mutation::SelfNotSubtracted);
    let compare = plan.has_new() && !mutation::active(Mutation::WideningNotDelayed);
    let withheld = |plan: &Compiled, hall: &Hall, act: &mut dyn FnMut(usize)| {
        if compare {
            let oldest = |source: usize| hall.heard.get(source).map_or(0, |heard| heard.oldest);
            plan.withheld(seat, &hall.sounding, oldest).for_each(act);
        }
    };
    let mut without = 0;
    withheld(plan, hall, &mut |_| without += 1);
    let soft = plan.has_fresh() && softens(plan, hall, seat, class);
    if sources == without + u32::from(own) {
        settle_fresh(plan, hall, seat);
        return if has_private { own_mix(hall, private) } else { shape };
    }
    if !own && !has_private && without == 0 && !soft && at < CACHED {
        settle_fresh(plan, hall, seat);
        hall.make_class(at);
        return Shape { source: Source::Class(at as u16), ..shape };
    }
    let mut sum = [0i32; LONGEST_FRAME];
    let Some(sum) = sum.get_mut(..rate.frame()) else { return shape };
    sum.copy_from_slice(hall.class_sum(at));
    if own {
        audio::subtract(sum, hall.frame(seat));
    }
    withheld(plan, hall, &mut |source| {
        cx.counters.withheld_frames.one();
        audio::subtract(sum, hall.frame(source));
    });
    if soft {
        soften(plan, hall, seat, class, sum);
    }
    settle_fresh(plan, hall, seat);
    if has_private {
        audio::accumulate(sum, private);
    }
    audio::saturate_into(sum, hall.mix_mut(seat));
    Shape { source: Source::Own, special: own || has_private, ..shape }
}

/// The sources that a listener hears in this tick for the first time.
fn newly_heard<'a>(plan: &'a Compiled, hall: &'a Hall, seat: usize, class: u16) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let source = plan.next_fresh(seat, from)?;
        from = source + 1;
        Some(source)
    })
    .filter(move |&source| {
        let oldest = hall.heard.get(source).map_or(0, |heard| heard.oldest);
        hall.sounds(source) && plan.listeners.hears(class, source) && !plan.is_withheld(seat, source, oldest)
    })
}

fn softens(plan: &Compiled, hall: &Hall, seat: usize, class: u16) -> bool {
    newly_heard(plan, hall, seat, class).next().is_some()
}

/// Lets what is heard for the first time come in over 5 ms instead of with a click, in this listener's own mix.
fn soften(plan: &Compiled, hall: &Hall, seat: usize, class: u16, sum: &mut [i32]) {
    let ramp = hall.rate.hz() as usize / 200;
    for source in newly_heard(plan, hall, seat, class) {
        for (at, (total, sample)) in sum.iter_mut().zip(hall.frame(source)).take(ramp).enumerate() {
            let whole = i32::from(*sample);
            *total += whole * at as i32 / ramp as i32 - whole;
        }
    }
}

/// What was not withheld in this tick comes in as it is from now on. Whether older frames sounded must not count: those who were not
/// let in would hear it in the way the first new one begins.
fn settle_fresh(plan: &mut Compiled, hall: &Hall, seat: usize) {
    if !plan.has_fresh() {
        return;
    }
    let mut from = 0;
    while let Some(source) = plan.next_fresh(seat, from) {
        from = source + 1;
        let heard = hall.heard.get(source).copied().unwrap_or(crate::leg::Heard::NOTHING);
        if !plan.is_withheld(seat, source, heard.oldest) {
            plan.settle_fresh(seat, source);
        }
    }
}

/// The microphones that sound in a listener's mix, for a simulator's record.
pub(super) fn audible_in(plan: &Compiled, hall: &Hall, seat: usize, mut tell: impl FnMut(usize)) {
    let Some(class) = plan.listeners.class(seat) else { return };
    for source in 0..plan.seats.len() {
        let oldest = hall.heard.get(source).map_or(0, |heard| heard.oldest);
        if source != seat
            && hall.sounds(source)
            && plan.listeners.hears(class, source)
            && !plan.is_withheld(seat, source, oldest)
        {
            tell(source);
        }
    }
}

/// Counts the mixes that had to be encoded: equal ones of one permission and setting once.
pub(super) fn count_distinct(plan: &Compiled, wideband: &Wideband, cx: &Context<'_>) {
    let Wideband { full, wide, shapes, .. } = wideband;
    let shapes = shapes.get(..plan.seats.len()).unwrap_or(&[]);
    let sounds = |shape: &Shape| shape.sent && shape.source != Source::Silence;
    for (seat, shape) in shapes.iter().enumerate().filter(|(_, shape)| sounds(shape)) {
        let hall = if shape.rate == Rate::Full { full } else { wide };
        let class = plan.listeners.class(seat);
        let known = shapes.iter().enumerate().take(seat).any(|(at, other)| {
            sounds(other)
                && (shape.rate, shape.settings, class) == (other.rate, other.settings, plan.listeners.class(at))
                && equal(hall, (*shape, seat), (*other, at))
        });
        cx.counters.distinct_mixes.add(u64::from(!known));
    }
}
