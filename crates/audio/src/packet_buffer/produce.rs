//! Making the sound of a tick: packets decoded in order, holes bridged.

use super::line::Nature;
use super::waiting::WaitingPacket;
use super::{Decoder, PacketBuffer};
use crate::jitter::Pulled;

/// Concealment in a row, ms: it fades out over the last 20 of them.
const LONGEST_CONCEALMENT_MS: usize = 120;
const FADE_OUT_MS: usize = 20;
/// Samples of a seam at 48 kHz.
const LONGEST_SEAM: usize = 240;

impl<D: Decoder> PacketBuffer<D> {
    const LONGEST_CONCEALMENT: usize = LONGEST_CONCEALMENT_MS * Self::MS;

    pub(super) fn play_into(&mut self, out: &mut [i16]) -> Pulled {
        if std::mem::take(&mut self.overflowed)
            && let (Some(first), Some(play), Some(head)) = (self.waiting.first(), self.play(), self.head)
            && first.start > head
        {
            self.stats.deleted_samples += (first.start - play) as u64;
            self.skip_to(first.start);
        }
        let play = self.play().unwrap_or(0);
        let mut lack = self.wanted().map_or(0, |wanted| wanted - (self.timeline.clock() - play));
        if let Some(to) = self.cut(play, lack) {
            self.stats.deleted_samples += (to - play) as u64;
            self.skip_to(to);
            lack += to - play;
        }
        while self.line.pending() < out.len() {
            self.produce(out.len() - self.line.pending(), &mut lack);
        }
        self.stretch(lack, out.len());
        out.copy_from_slice(self.line.around(0, out.len()));
        let nature = self.line.nature_around(0, out.len());
        self.line.consume(out.len());
        Pulled { oldest_mark: nature.mark, sound: nature.sound, concealed: nature.concealed }
    }

    /// Takes one step along the timeline: decodes a packet, or bridges a hole of at most about `need` samples.
    fn produce(&mut self, need: usize, lack: &mut i64) {
        let Some(head) = self.head else { return self.line.rest(need) };
        match self.waiting.first() {
            // Packets may overlap: what others brought stays theirs.
            Some(first) if first.end() <= head => self.waiting.take_first(),
            Some(first) if first.start <= head && self.is_too_dear(&first) => {
                self.stats.undecoded += 1;
                self.waiting.take_first();
            }
            Some(first) if first.start <= head => self.decode_first(),
            first => self.bridge(head, first, need, lack),
        }
    }

    /// Whether a packet costs more to decode than it brings: others have brought more than half of its sound, or all but 2.5 ms of
    /// it, or this pull has decoded enough. Who sends packets that lie over each other makes nobody work for it.
    pub(super) fn is_too_dear(&self, packet: &WaitingPacket) -> bool {
        let new = (packet.end() - packet.start.max(self.brought)).max(0) as usize;
        let shared = new < packet.len;
        packet.len > self.budget || (shared && (2 * new < packet.len || new < Self::SHORTEST_PACKET))
    }

    /// Decodes the first packet, whose sound begins at or before the head.
    pub(super) fn decode_first(&mut self) {
        let (Some(packet), Some(head)) = (self.waiting.first(), self.head) else { return };
        self.renew_for(packet.mark);
        let next = self.waiting.second();
        let pause = D::is_pause(self.waiting.payload(&packet));
        let next_pauses = next.as_ref().is_some_and(|next| D::is_pause(self.waiting.payload(next)));
        let skip = (head - packet.start).clamp(0, packet.len as i64) as usize;
        self.budget = self.budget.saturating_sub(packet.len);
        let room = self.line.room(packet.len);
        let decoded = room.len() == packet.len && self.decoder.decode(self.waiting.payload(&packet), room);
        self.waiting.take_first();
        if !packet.judged {
            // It came too close to its tick: the next would have been safe.
            self.learner.observe_need(self.timeline.next_tick() - packet.start);
        }
        if !decoded {
            // A hole now.
            self.stats.malformed += 1;
            return;
        }
        self.brought = self.brought.max(packet.end());
        self.memory = self.memory.min(packet.mark);
        let mark = self.memory;
        let silent = self.pauses.decoded(&packet, pause, next.as_ref().map(|next| (next, next_pauses)), room);
        let mut tail = [0; LONGEST_SEAM];
        let fade = (packet.len - skip).min(LONGEST_SEAM);
        tail[..fade].copy_from_slice(&room[skip..skip + fade]);
        if silent {
            if self.line.ends_in_sound() {
                self.line.open_seam(&tail, Nature::of(mark, false));
            }
            self.line.rest(packet.len - skip);
            self.stats.silent_samples += (packet.len - skip) as u64;
        } else {
            if self.made_up >= Self::LONGEST_CONCEALMENT {
                self.line.fade_in();
            }
            self.line.keep(skip, packet.len, Nature::of(mark, false));
        }
        self.made_up = 0;
        self.head = Some(packet.end().max(head));
    }

    /// Where the fence is passed: lets the old sound end, and the decoder begin anew.
    fn renew_for(&mut self, mark: u64) {
        if mark >= self.fence && self.memory < self.fence {
            self.let_ring();
            self.decoder.reset();
            self.memory = u64::MAX;
        }
    }

    /// What is appended next is cross-faded from the decoder's continuation of what was heard.
    fn let_ring(&mut self) {
        let mark = self.memory;
        if self.line.ends_in_sound() && mark != u64::MAX && self.made_up < Self::LONGEST_CONCEALMENT {
            let mut tail = [0; LONGEST_SEAM];
            let tail = &mut tail[..self.line.fade()];
            self.decoder.conceal(tail);
            self.line.open_seam(tail, Nature::of(mark, true));
        }
    }

    /// Before playout skips: the sound that would have come next fades into what does.
    pub(super) fn prepare_seam(&mut self) {
        let fade = self.line.fade();
        if self.line.pending() < fade {
            return self.let_ring();
        }
        let nature = self.line.nature_around(0, fade);
        if nature.sound {
            let mut tail = [0; LONGEST_SEAM];
            tail[..fade].copy_from_slice(self.line.around(0, fade));
            self.line.open_seam(&tail[..fade], nature);
        }
    }

    /// Whether nothing is heard where no packet is: a hole may end here.
    pub(super) fn is_resting(&self) -> bool {
        self.pauses.is_pausing() || self.made_up >= Self::LONGEST_CONCEALMENT || self.memory == u64::MAX
    }

    /// Bridges the hole from `head` to the first packet, or to nobody knows where.
    fn bridge(&mut self, head: i64, first: Option<WaitingPacket>, need: usize, lack: &mut i64) {
        let hole = first.map(|first| (first.start - head) as usize);
        let paused = self.pauses.covers(first.as_ref());
        if let (Some(first), Some(hole), false) = (first, hole, paused)
            && self.recover(&first, hole)
        {
            self.head = Some(first.start);
            return;
        }
        if paused && hole.is_some() && !self.pauses.is_pausing() {
            // He paused without saying so: a fade of 5 ms is all that is added.
            self.let_ring();
            self.pauses.begin();
        }
        let silent = paused || self.is_resting();
        let most = hole.unwrap_or(usize::MAX);
        let excess = (-*lack).min(hole.map_or(i64::MAX, |hole| hole as i64));
        if silent && excess > 0 && self.config.time_scaling {
            // A pause is the best place to shorten the delay.
            self.stats.deleted_samples += excess as u64;
            *lack += excess;
            self.head = Some(head + excess);
            return;
        }
        let made = if silent {
            let len = need.min(most);
            self.line.rest(len);
            self.stats.silent_samples += len as u64;
            len
        } else {
            self.conceal(need.next_multiple_of(D::STEP).min(most))
        };
        // Where samples are missing and more delay is wanted, waiting costs nothing.
        let held = if self.config.time_scaling { (*lack).clamp(0, made as i64) } else { 0 };
        *lack -= held;
        self.stats.inserted_samples += held as u64;
        self.head = Some(head + made as i64 - held);
    }

    /// Fills the whole hole before a packet from the redundancy in it.
    fn recover(&mut self, next: &WaitingPacket, hole: usize) -> bool {
        if hole > Self::LONGEST_PACKET.min(self.budget) {
            return false;
        }
        // A short hole after concealment is its rest, which the redundancy does not fit.
        if self.made_up > 0 && hole < next.len {
            return false;
        }
        if !D::has_redundancy(self.waiting.payload(next)) {
            return false;
        }
        self.renew_for(next.mark);
        let room = self.line.room(hole);
        if room.len() != hole || !self.decoder.recover(self.waiting.payload(next), room) {
            return false;
        }
        self.budget -= hole;
        self.memory = self.memory.min(next.mark);
        let recovered = hole.min(next.len);
        self.line.keep(0, hole, Nature::of(self.memory, recovered < hole));
        self.stats.recovered_samples += recovered as u64;
        self.stats.concealed_samples += (hole - recovered) as u64;
        self.made_up = 0;
        true
    }

    /// Makes up at most `len` samples; answers how many.
    fn conceal(&mut self, len: usize) -> usize {
        let len = len.min(Self::LONGEST_CONCEALMENT - self.made_up);
        let room = self.line.room(len);
        let len = room.len();
        self.decoder.conceal(room);
        let fade = FADE_OUT_MS * Self::MS;
        let full = Self::LONGEST_CONCEALMENT - fade;
        for (at, sample) in room.iter_mut().enumerate().skip(full.saturating_sub(self.made_up)) {
            let left = Self::LONGEST_CONCEALMENT - self.made_up - at - 1;
            *sample = (i64::from(*sample) * left as i64 / fade as i64) as i16;
        }
        self.line.keep(0, len, Nature::of(self.memory, true));
        self.made_up += len;
        self.stats.concealed_samples += len as u64;
        len
    }
}
