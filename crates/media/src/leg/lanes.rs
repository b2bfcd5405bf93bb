//! What few legs have: further private players, and taps. Made outside the shard and brought along by the command that needs it.

use super::{Context, Leg};
use crate::fact::Note;
use crate::player::{FRAME, Track};
use crate::shard::SLOTS;
use crate::tap::{Tap, TapFrame, Taps};
use crate::{PlayId, TapId};

/// Private players of a leg that sound together, numbered from 0.
pub const LANES: u8 = 9;

/// Ends that may wait until they fit into what is owed.
const ENDS: usize = 16;

#[derive(Debug)]
struct Lane {
    track: Option<Track>,
    /// Whether its end has been told; the track then only waits to be freed.
    told: bool,
}

/// Lanes 1 and up, and taps.
#[derive(Debug)]
pub(crate) struct Extras {
    lanes: [Lane; LANES as usize - 1],
    taps: Taps,
    /// What the players gave in this tick that taps may hear.
    tapped: [i32; FRAME],
    ends: [Option<(PlayId, bool)>; ENDS],
}

impl Extras {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            lanes: std::array::from_fn(|_| Lane { track: None, told: false }),
            taps: Taps::default(),
            tapped: [0; FRAME],
            ends: [None; ENDS],
        })
    }
}

fn add(sum: &mut [i32; FRAME], frame: &[i16; FRAME]) {
    audio::accumulate(sum, frame);
}

impl Leg {
    /// Takes `spare` for what it has not yet.
    fn extras(&mut self, spare: &mut Option<Box<Extras>>) -> Option<&mut Extras> {
        if self.extras.is_none() {
            self.extras = spare.take();
        }
        self.extras.as_deref_mut()
    }

    /// Starts a track on a lane above 0; what it replaces is left in `track` for freeing.
    pub(super) fn swap_lane(&mut self, lane: u8, track: &mut Option<Track>, spare: &mut Option<Box<Extras>>) {
        let Some(extras) = self.extras(spare) else { return };
        let Some(place) = usize::from(lane).checked_sub(1).and_then(|at| extras.lanes.get_mut(at)) else { return };
        std::mem::swap(&mut place.track, track);
        let told = std::mem::take(&mut place.told);
        if let Some(old) = track.as_ref().filter(|_| !told) {
            self.tell_end(old.id, old.is_done());
        }
    }

    /// Stops a lane above 0 if it plays `which` (or whatever it plays); answers what it played for freeing.
    pub(super) fn stop_lane(&mut self, lane: u8, which: Option<PlayId>) -> Option<Track> {
        let at = usize::from(lane).checked_sub(1)?;
        let place = self.extras.as_deref_mut()?.lanes.get_mut(at)?;
        let old = place.track.take_if(|track| which.is_none_or(|w| w == track.id))?;
        if !std::mem::take(&mut place.told) {
            self.tell_end(old.id, old.is_done());
        }
        Some(old)
    }

    pub(crate) fn open_tap(&mut self, tap: &mut Option<Box<Tap>>, spare: &mut Option<Box<Extras>>) {
        if let Some(extras) = self.extras(spare)
            && let Some(tap) = tap.take()
        {
            extras.taps.add(tap);
        }
    }

    pub(crate) fn close_tap(&mut self, tap: TapId) -> Option<Box<Tap>> {
        self.extras.as_deref_mut()?.taps.remove(tap)
    }

    pub(crate) fn is_tapped(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| !extras.taps.is_empty())
    }

    /// Adds the lanes above 0 to what lane 0 gave, and notes what of it taps may hear; whether any of it sounds.
    pub(super) fn add_lanes(&mut self, frame: &mut [i16; FRAME], first: bool, first_hidden: bool) -> bool {
        let Some(extras) = self.extras.as_deref_mut() else { return first };
        let tapped = !extras.taps.is_empty();
        extras.tapped.fill(0);
        if tapped && first && !first_hidden {
            add(&mut extras.tapped, frame);
        }
        let mut sum = [0i32; FRAME];
        let mut sounds = false;
        for lane in &mut extras.lanes {
            let Some(track) = &mut lane.track else { continue };
            let mut part = [0i16; FRAME];
            if track.fill(&mut part) {
                sounds = true;
                add(&mut sum, &part);
                if tapped && !track.hidden {
                    add(&mut extras.tapped, &part);
                }
            }
            if !track.is_done() {
                continue;
            }
            if !lane.told {
                lane.told = self.owed.add(Note::PlayEnded { leg: self.id, play: track.id, completed: true });
            }
            if lane.told && self.spent.is_none() {
                self.spent = lane.track.take().map(Track::into_material);
                lane.told = false;
            }
        }
        if !sounds {
            return first;
        }
        if first {
            add(&mut sum, frame);
        }
        audio::saturate_into(&sum, frame);
        true
    }

    /// Gives every tap its frame of this tick, which the leg has taken part in. `mix` answers what the plan of the leg's room lets a
    /// tap hear.
    pub(crate) fn give_taps(
        &mut self,
        own: Option<&[i16; FRAME]>,
        cx: &Context<'_>,
        mut mix: impl FnMut(TapId, &mut [i32; FRAME]) -> bool,
    ) {
        let tick = self.due.map_or(cx.slot, |due| due.saturating_sub(SLOTS)) / SLOTS;
        let Some(extras) = self.extras.as_deref_mut() else { return };
        let Extras { taps, tapped, .. } = extras;
        taps.each(|tap| {
            let mut frame = TapFrame::silence(tick);
            if let Some(own) = own.filter(|_| tap.inbound) {
                frame.inbound = *own;
            }
            if tap.outbound {
                let mut sum = *tapped;
                mix(tap.id, &mut sum);
                audio::saturate_into(&sum, &mut frame.outbound);
            }
            tap.put(frame, cx.counters);
        });
    }

    /// Keeps an end for later; false if there is no room for it.
    pub(super) fn keep_end(&mut self, end: (PlayId, bool)) -> bool {
        let place = if self.ended.is_none() {
            Some(&mut self.ended)
        } else {
            self.extras.as_deref_mut().and_then(|extras| extras.ends.iter_mut().find(|end| end.is_none()))
        };
        place.is_some_and(|place| {
            *place = Some(end);
            true
        })
    }

    /// Moves ends that were kept to what is owed, as far as they fit.
    pub(super) fn settle_kept(&mut self) {
        let Some(extras) = self.extras.as_deref_mut() else { return };
        for end in &mut extras.ends {
            let Some((play, completed)) = *end else { continue };
            if !self.owed.add(Note::PlayEnded { leg: self.id, play, completed }) {
                return;
            }
            *end = None;
        }
    }

    /// Ends that are still to be told when the leg has gone.
    pub(super) fn ends_of_lanes(&self) -> Vec<(PlayId, bool)> {
        let Some(extras) = self.extras.as_deref() else { return Vec::new() };
        let playing = extras.lanes.iter().filter(|lane| !lane.told).filter_map(|lane| lane.track.as_ref());
        extras.ends.iter().flatten().copied().chain(playing.map(|track| (track.id, track.is_done()))).collect()
    }
}
