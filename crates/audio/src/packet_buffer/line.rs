//! Decoded sound in the order in which it is heard: what was played last, then what waits to be played. Every stretch tells the
//! oldest packet in it.

/// Stretches told apart; the oldest ones are taken together beyond that.
const SPANS: usize = 64;
/// Played sound kept for comparison, ms: the longest pitch period that may be repeated.
const HISTORY_MS: usize = 20;
/// Cross-fades last 5 ms.
const SEAM_MS: usize = 5;
/// Samples of a seam at 48 kHz.
const LONGEST_SEAM: usize = SEAM_MS * 48;

/// What a stretch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nature {
    /// The smallest mark of any packet in it; `u64::MAX` for silence.
    pub mark: u64,
    pub sound: bool,
    pub concealed: bool,
}

impl Nature {
    pub(super) const SILENCE: Self = Self { mark: u64::MAX, sound: false, concealed: false };

    pub(super) fn of(mark: u64, concealed: bool) -> Self {
        Self { mark, sound: true, concealed }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self {
            mark: self.mark.min(other.mark),
            sound: self.sound || other.sound,
            concealed: self.concealed || other.concealed,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Span {
    len: usize,
    nature: Nature,
}

/// Sound that the next appended samples are cross-faded from.
#[derive(Debug, Clone)]
struct Seam {
    samples: [i16; LONGEST_SEAM],
    nature: Nature,
    set: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Line {
    samples: Box<[i16]>,
    /// Where what waits begins and ends.
    played: usize,
    end: usize,
    history: usize,
    fade: usize,
    count: usize,
    /// Cover all of `..end`.
    spans: [Span; SPANS],
    seam: Seam,
}

impl Line {
    /// Room for the longest packet on top of two pulls of 20 ms.
    pub(super) fn new(ms: usize, longest_packet: usize) -> Self {
        let history = HISTORY_MS * ms;
        let samples = vec![0; history + 3 * 20 * ms + longest_packet].into_boxed_slice();
        let spans = [Span { len: 0, nature: Nature::SILENCE }; SPANS];
        let seam = Seam { samples: [0; LONGEST_SEAM], nature: Nature::SILENCE, set: false };
        let mut line = Self { samples, played: 0, end: 0, history, fade: SEAM_MS * ms, count: 0, spans, seam };
        line.clear();
        line
    }

    pub(super) fn clear(&mut self) {
        self.samples.fill(0);
        (self.played, self.end) = (self.history, self.history);
        self.count = 1;
        self.spans[0] = Span { len: self.history, nature: Nature::SILENCE };
        self.seam.set = false;
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.samples.len() * 2
    }

    pub(super) fn pending(&self) -> usize {
        self.end - self.played
    }

    /// Samples of a seam.
    pub(super) fn fade(&self) -> usize {
        self.fade
    }

    /// Whether neither what waits nor the last samples played hold sound.
    pub(super) fn is_silent(&self) -> bool {
        !self.seam.set && !self.nature(self.played - self.fade, self.end).sound
    }

    /// Whether the last sample is sound.
    pub(super) fn ends_in_sound(&self) -> bool {
        self.spans[self.count - 1].nature.sound
    }

    /// Samples from `behind` before the next one on.
    pub(super) fn around(&self, behind: usize, ahead: usize) -> &[i16] {
        &self.samples[self.played - behind..self.played + ahead]
    }

    pub(super) fn nature_around(&self, behind: usize, ahead: usize) -> Nature {
        self.nature(self.played - behind, self.played + ahead)
    }

    fn nature(&self, from: usize, to: usize) -> Nature {
        let mut end = self.end;
        let mut nature = Nature::SILENCE;
        for span in self.spans[..self.count].iter().rev() {
            let start = end - span.len;
            if start < to && end > from && span.len > 0 {
                nature = nature.and(span.nature);
            }
            if start <= from {
                break;
            }
            end = start;
        }
        nature
    }

    /// Room for `len` more samples, to be filled and then kept by [`Self::keep`].
    pub(super) fn room(&mut self, len: usize) -> &mut [i16] {
        if self.end + len > self.samples.len() {
            self.trim();
        }
        let end = (self.end + len).min(self.samples.len());
        &mut self.samples[self.end..end]
    }

    /// Keeps the samples `skip..len` of those written to the last room.
    pub(super) fn keep(&mut self, skip: usize, len: usize, nature: Nature) {
        let from = self.end;
        let len = len.min(self.samples.len() - from);
        let skip = skip.min(len);
        self.samples.copy_within(from + skip..from + len, from);
        self.end += len - skip;
        self.cover(len - skip, nature);
        self.close_seam(len - skip);
    }

    /// Silence.
    pub(super) fn rest(&mut self, len: usize) {
        let room = self.room(len);
        room.fill(0);
        let len = room.len();
        self.keep(0, len, Nature::SILENCE);
    }

    /// What is appended next is cross-faded from these samples (a fade long), or from the sound that waits.
    pub(super) fn open_seam(&mut self, from: &[i16], nature: Nature) {
        let len = from.len().min(self.fade);
        self.seam.samples[..len].copy_from_slice(&from[..len]);
        self.seam.samples[len..].fill(0);
        self.seam.nature = nature;
        self.seam.set = true;
    }

    /// As `open_seam`, from silence, unless something is fading already.
    pub(super) fn fade_in(&mut self) {
        if !self.seam.set {
            self.open_seam(&[], Nature::SILENCE);
        }
    }

    fn close_seam(&mut self, appended: usize) {
        if !self.seam.set || appended == 0 {
            return;
        }
        self.seam.set = false;
        let len = self.fade.min(appended);
        let from = self.end - appended;
        let new = &mut self.samples[from..from + len];
        for (at, (sample, &old)) in new.iter_mut().zip(&self.seam.samples).enumerate() {
            let weight = (at as f32 + 0.5) / len as f32;
            *sample = (f32::from(old) + (f32::from(*sample) - f32::from(old)) * weight) as i16;
        }
        // The appended stretch is the last span or part of it: it is told apart where the old sound is older.
        let whole = self.spans[self.count - 1];
        let blended = whole.nature.and(self.seam.nature);
        if blended != whole.nature {
            self.count -= 1;
            self.cover(whole.len - appended, whole.nature);
            self.cover(len, blended);
            self.cover(appended - len, whole.nature);
        }
    }

    /// Blends what waits with the seam at once, where sound is skipped and some is left.
    pub(super) fn close_seam_now(&mut self) {
        let pending = self.pending();
        if !self.seam.set || pending == 0 {
            return;
        }
        self.seam.set = false;
        let len = self.fade.min(pending);
        let new = &mut self.samples[self.played..self.played + len];
        for (at, (sample, &old)) in new.iter_mut().zip(&self.seam.samples).enumerate() {
            let weight = (at as f32 + 0.5) / len as f32;
            *sample = (f32::from(old) + (f32::from(*sample) - f32::from(old)) * weight) as i16;
        }
        let nature = self.nature_around(0, len).and(self.seam.nature);
        self.recover_front(len, len, nature);
    }

    /// The next `len` samples are played.
    pub(super) fn consume(&mut self, len: usize) {
        self.played = (self.played + len).min(self.end);
    }

    /// Puts `out` in place of the next `consumed` samples.
    pub(super) fn replace(&mut self, consumed: usize, out: &[i16], nature: Nature) {
        let grown = out.len().saturating_sub(consumed);
        if self.end + grown > self.samples.len() {
            self.trim();
        }
        let (from, to) = (self.played + consumed, self.played + out.len());
        if to + (self.end - from) > self.samples.len() {
            return;
        }
        self.samples.copy_within(from..self.end, to);
        self.samples[self.played..to].copy_from_slice(out);
        self.recover_front(consumed, out.len(), nature);
        self.end = self.end + out.len() - consumed;
    }

    /// Makes one span of `new` samples of those that covered the next `old` samples.
    fn recover_front(&mut self, old: usize, new: usize, nature: Nature) {
        let mut kept = [Span { len: 0, nature: Nature::SILENCE }; SPANS];
        let (mut count, mut at) = (0, 0);
        let (front, back) = (self.played, self.played + old);
        let mut placed = false;
        let mut push = |len: usize, nature: Nature| {
            if len > 0 && count < SPANS {
                kept[count] = Span { len, nature };
                count += 1;
            } else if len > 0 {
                kept[SPANS - 1].len += len;
                kept[SPANS - 1].nature = kept[SPANS - 1].nature.and(nature);
            }
        };
        for span in &self.spans[..self.count] {
            let (start, end) = (at, at + span.len);
            at = end;
            push(end.min(front).saturating_sub(start), span.nature);
            if !placed && end >= front {
                push(new, nature);
                placed = true;
            }
            push(end.saturating_sub(start.max(back)), span.nature);
        }
        if !placed {
            push(new, nature);
        }
        self.spans = kept;
        self.count = count;
    }

    /// Silences what is older than `mark`.
    pub(super) fn forget_before(&mut self, mark: u64) {
        let mut at = 0;
        for span in &mut self.spans[..self.count] {
            if span.nature.mark < mark {
                self.samples[at..at + span.len].fill(0);
                span.nature = Nature::SILENCE;
            }
            at += span.len;
        }
        if self.seam.set && self.seam.nature.mark < mark {
            self.open_seam(&[], Nature::SILENCE);
        }
    }

    /// Lets go of what was played before the history.
    fn trim(&mut self) {
        let mut gone = self.played.saturating_sub(self.history);
        if gone == 0 {
            return;
        }
        self.samples.copy_within(gone..self.end, 0);
        self.played -= gone;
        self.end -= gone;
        let mut first = 0;
        while gone > 0 && first < self.count {
            let cut = gone.min(self.spans[first].len);
            self.spans[first].len -= cut;
            gone -= cut;
            if self.spans[first].len == 0 {
                first += 1;
            }
        }
        self.spans.copy_within(first..self.count, 0);
        self.count -= first;
    }

    fn cover(&mut self, len: usize, nature: Nature) {
        if len == 0 {
            return;
        }
        if let Some(last) = self.spans[..self.count].last_mut()
            && last.nature == nature
        {
            last.len += len;
            return;
        }
        if self.count == SPANS {
            self.trim();
        }
        if self.count == SPANS {
            // Out of room: the two oldest become one, as old as the older.
            self.spans[1].nature = self.spans[1].nature.and(self.spans[0].nature);
            self.spans[1].len += self.spans[0].len;
            self.spans.copy_within(1.., 0);
            self.count -= 1;
        }
        self.spans[self.count] = Span { len, nature };
        self.count += 1;
    }
}
