//! A leg: what comes in, what goes out, and the two clocks that keep both in step, over a port pair of its own or a path.

mod carrier;
pub(crate) mod dtmf;
mod inbound;
mod lanes;
pub(crate) mod latch;
mod outbound;
mod report;
pub(crate) mod rtcp;
pub(crate) mod rtp;
mod setup;
mod stats;
pub(crate) mod wide;

use std::time::Duration;

use audio::{DtmfReceiver, DtmfSender, JitterBuffer, SpeechDetector};

use crate::config::MediaConfig;
use crate::convert::Lift;
use crate::fact::{Note, Owed};
use crate::id::Key;
use crate::meter::Meter;
use crate::metrics::Counters;
use crate::player::{FRAME, Material, Track};
use crate::random::Random;
use crate::sim::Probe;
use crate::{LegId, PlayId};

pub use carrier::Carrier;
pub(crate) use lanes::Extras;
pub use lanes::LANES;
pub(crate) use outbound::{LONGEST_SENT, LONGEST_WIDE};
pub(crate) use setup::Refit;
pub use setup::{LegSetup, LegUpdate};
pub use stats::LegStats;
pub use wide::OpusTerms;
use wide::{Silence, Wide};

/// Most digits that wait to be sent on a leg.
pub const MAX_DIGITS: usize = DtmfSender::CAPACITY;

/// Longest datagram read; longer ones are cut and then malformed or odd.
pub(crate) const DATAGRAM: usize = 2_048;

/// What a leg may use during a tick.
pub(crate) struct Context<'a> {
    /// Actual time of the sub-slot.
    pub now: Duration,
    /// Number of the sub-slot: its nominal time in ms.
    pub slot: u64,
    /// UTC of the shard's zero, µs.
    pub utc_zero: i64,
    /// Arrival number the next packet gets.
    pub arrivals: &'a mut u64,
    pub counters: &'a Counters,
    pub buffer: &'a mut [u8],
    pub notes: &'a mut rtrb::Producer<Note>,
    pub limits: Limits,
    /// Names for groups of listeners that share an encoder, and for what encoders encode between resets; no two alike in a plane.
    pub serials: &'a mut u64,
    pub silence: &'a Silence,
    /// A simulator's ear.
    pub probe: Option<&'a mut Probe>,
}

/// The part of the configuration that ticks look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// ms.
    pub rtp_timeout: u64,
    /// ms.
    pub stale_source: u64,
}

impl Limits {
    pub(crate) fn of(config: &MediaConfig) -> Self {
        Self {
            rtp_timeout: config.rtp_timeout.as_millis() as u64,
            stale_source: config.stale_source.as_millis() as u64,
        }
    }
}

/// Where a leg is ticked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Not on a wheel: new, in transit, or ended by a fault.
    Nowhere,
    /// Without a room, in this sub-slot.
    Alone { slot: u8 },
    /// In a room's seat.
    Room { room: Key, seat: u16 },
}

/// A frame that came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// Not digital silence.
    pub sound: bool,
    /// Smallest arrival number of what it stems from; `u64::MAX` if nothing.
    pub oldest: u64,
}

impl Heard {
    pub(crate) const NOTHING: Self = Self { sound: false, oldest: u64::MAX };
}

/// What is known of the stream being received.
#[derive(Clone, Debug, Default)]
struct Stream {
    ssrc: Option<u32>,
    /// A new SSRC and the sequence number that would prove it.
    rival: Option<(u32, u16)>,
    base: u32,
    highest: u32,
    received: u32,
    expected_before: u32,
    received_before: u32,
    /// RFC 3550 appendix A.8, in 1/16 of the RTP clock's units.
    jitter: u32,
    transit: Option<u32>,
    /// Middle NTP bits of the last sender report and when it came.
    report: Option<(u32, Duration)>,
}

/// The leg.
///
/// In the order of use: a regular tick touches everything before `jitter` and the beginning of that, and nothing after. With
/// thousands of legs, each visited once in 20 ms, most of the price of a tick is waiting for these lines of memory.
#[repr(C)]
pub(crate) struct Leg {
    pub home: Home,
    pub failed: bool,
    receive: bool,
    send: bool,
    connected: bool,
    empty_before: bool,
    timeout_told: bool,
    first_told: bool,
    marker: bool,
    digits_busy: bool,
    metered: bool,
    payload_type: u8,
    telephone_event: Option<u8>,
    /// Of a narrow format.
    codec: audio::Codec,
    ssrc: u32,
    timestamp: u32,
    /// What a tick adds to it.
    step: u32,
    sequence: u16,
    pub id: LegId,
    ticks: u64,
    /// Slot at which the next tick is due, once the first has been.
    due: Option<u64>,
    report_due: u64,
    /// Until the socket is seen empty, what comes out of it counts as arrived before this number.
    stale_below: Option<u64>,
    newest_mark: u64,
    heard_at: u64,
    /// What only Opus and G.722 need.
    pub wide: Option<Box<Wide>>,
    wire: carrier::Wire,
    latch: latch::Latch,
    stream: Stream,
    digits_in: DtmfReceiver,
    relay: dtmf::Relay,
    speech: SpeechDetector,
    player: Option<Track>,
    /// Further players, and taps.
    extras: Option<Box<Extras>>,
    /// An end that did not fit into what is owed.
    ended: Option<(PlayId, bool)>,
    /// What has been played, to be freed outside.
    spent: Option<Material>,
    owed: Owed,
    stats: LegStats,
    jitter: JitterBuffer,

    // From here on: seldom.
    /// Arrival number of the first event packet since the last digit.
    digit_mark: u64,
    digits_out: DtmfSender,
    digit_tone: Option<audio::DtmfTone>,
    rtcp_latch: latch::Latch,
    random: Random,
    /// The ways to rates that are not its own. A narrow leg has them where wide ones are in the room.
    pub lift: Option<Box<Lift>>,
    meter: Option<Meter>,
    name: [u8; 255],
    name_len: u8,
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leg").field("id", &self.id).field("home", &self.home).finish_non_exhaustive()
    }
}

impl Leg {
    /// Starts to bring what a tick needs into the cache.
    pub(crate) fn fetch_ahead(&self) {
        crate::net::os::fetch_ahead(self, std::mem::offset_of!(Self, jitter) + JitterBuffer::NEEDED);
    }

    /// Starts to bring the samples of this tick into the cache. To be called when the leg itself is there.
    pub(crate) fn fetch_samples(&self) {
        let samples = self.jitter.next_samples();
        crate::net::os::fetch_ahead(samples, size_of_val(samples));
    }

    /// Whether this tick is the leg's to take part in. A leg that changed its place on the wheel sits out a tick that comes more
    /// than half a tick early, and jumps over ticks it missed, so that both streams stay within 10 ms of real time.
    pub(crate) fn take_part(&mut self, slot: u64) -> bool {
        const TICK: u64 = crate::shard::SLOTS;
        self.ticks += 1;
        let due = self.due.unwrap_or(slot);
        if due > slot + TICK / 2 {
            return false;
        }
        let missed = (slot + TICK / 2).saturating_sub(due) / TICK;
        if missed > 0 {
            self.timestamp = self.timestamp.wrapping_add((missed as u32).wrapping_mul(self.step));
            self.marker = true;
            self.stats.skipped_ticks += missed;
        }
        self.due = Some(due + (missed + 1) * TICK);
        true
    }

    /// Everything a leg does outside a room: its stream is kept moving, only its private player is heard.
    pub(crate) fn tick_alone(&mut self, net: &mut impl crate::net::Net, cx: &mut Context<'_>) {
        if self.wide.is_some() {
            return self.tick_wide_alone(net, cx);
        }
        self.receive(net, cx);
        if self.take_part(cx.slot) {
            let mut frame = [0i16; FRAME];
            let heard = self.pull(cx, false, &mut frame);
            if self.is_tapped() {
                let own = frame;
                let sounds = self.private_frame(&mut frame);
                self.give_taps(Some(&own).filter(|_| heard.sound), cx, |_, _| false);
                self.send_private(net, cx, &frame, sounds);
            } else {
                let sounds = self.private_frame(&mut frame);
                self.send_private(net, cx, &frame, sounds);
            }
        }
        self.housekeeping(net, cx);
    }

    /// Sends what its players give, or silence.
    pub(crate) fn send_private(
        &mut self,
        net: &mut impl crate::net::Net,
        cx: &mut Context<'_>,
        frame: &[i16; FRAME],
        sounds: bool,
    ) {
        if sounds {
            self.send_mix(net, cx, frame);
        } else {
            self.send_silence(net, cx);
        }
    }

    /// Reports, timeouts and owed facts; after the audio of each tick.
    pub(crate) fn housekeeping(&mut self, net: &mut impl crate::net::Net, cx: &mut Context<'_>) {
        self.reports(net, cx);
        self.tell(cx.notes);
    }

    /// Fills a frame from the private players; whether any of them sounds. If not, the frame may hold anything.
    pub(crate) fn private_frame(&mut self, frame: &mut [i16; FRAME]) -> bool {
        let (mut sounds, mut hidden) = (false, false);
        if let Some(track) = &mut self.player {
            sounds = track.fill(frame);
            hidden = track.hidden;
            if track.is_done()
                && self.ended.is_none()
                && self.spent.is_none()
                && let Some(track) = self.player.take()
            {
                self.ended = Some((track.id, true));
                self.spent = Some(track.into_material());
            }
        }
        if self.extras.is_some() { self.add_lanes(frame, sounds, hidden) } else { sounds }
    }

    pub(crate) fn has_player(&self) -> bool {
        self.player.is_some() || self.extras.is_some()
    }

    /// Replaces what a lane plays; the old one is left in `track` for freeing. Nothing in `track` stops it.
    pub(crate) fn swap_player(&mut self, lane: u8, track: &mut Option<Track>, spare: &mut Option<Box<Extras>>) {
        if lane > 0 {
            return self.swap_lane(lane, track, spare);
        }
        std::mem::swap(&mut self.player, track);
        if let Some(old) = track {
            self.tell_end(old.id, false);
        }
    }

    /// Stops what a lane plays if it is `which` (or whichever); answers the stopped one for freeing.
    pub(crate) fn stop_player(&mut self, lane: u8, which: Option<PlayId>) -> Option<Track> {
        if lane > 0 {
            return self.stop_lane(lane, which);
        }
        let old = self.player.take_if(|track| which.is_none_or(|w| w == track.id))?;
        self.tell_end(old.id, false);
        Some(old)
    }

    fn tell_end(&mut self, play: PlayId, completed: bool) {
        self.settle();
        if !self.owed.add(Note::PlayEnded { leg: self.id, play, completed }) {
            self.keep_end((play, completed));
        }
    }

    /// Moves an end that waits to what is owed, as soon as it fits.
    fn settle(&mut self) {
        if let Some((play, completed)) = self.ended
            && self.owed.add(Note::PlayEnded { leg: self.id, play, completed })
        {
            self.ended = None;
        }
        if self.extras.is_some() {
            self.settle_kept();
        }
    }

    /// Hands on what is owed.
    pub(crate) fn tell(&mut self, notes: &mut rtrb::Producer<Note>) {
        self.settle();
        self.owed.flush(notes);
    }

    /// What has been played, to be freed outside the tick.
    pub(crate) fn take_spent(&mut self) -> Option<Material> {
        self.spent.take()
    }

    pub(crate) fn has_spent(&self) -> bool {
        self.spent.is_some()
    }

    /// The leg has come onto a shard in this sub-slot.
    pub(crate) fn settle_in(&mut self, slot: u64) {
        if self.heard_at == 0 {
            self.heard_at = slot;
        }
    }

    /// The facts still owed, for when the leg has left its shard for good.
    pub(crate) fn into_owed(mut self: Box<Self>) -> Vec<Note> {
        let mut notes: Vec<Note> = std::iter::from_fn(|| self.owed.pop()).collect();
        let playing = self.player.as_ref().map(|track| (track.id, false));
        let ends = self.ended.into_iter().chain(self.ends_of_lanes()).chain(playing);
        notes.extend(ends.map(|(play, completed)| Note::PlayEnded { leg: self.id, play, completed }));
        notes
    }

    /// Shows how loud it is from now on.
    pub(crate) fn show(&mut self, meter: Meter) {
        self.meter = Some(meter);
        self.metered = true;
    }

    /// Tells the frame of a tick to whoever watches; none: no sound.
    fn meter(&self, frame: Option<&[i16]>) {
        if let Some(meter) = self.meter.as_ref().filter(|_| self.metered) {
            meter.tell(frame, self.speech.is_speaking());
        }
    }

    /// The largest arrival number given to any of its packets.
    pub(crate) fn newest_mark(&self) -> u64 {
        self.newest_mark
    }

    /// The codec of a narrow leg.
    pub(crate) fn codec(&self) -> audio::Codec {
        self.codec
    }
}
