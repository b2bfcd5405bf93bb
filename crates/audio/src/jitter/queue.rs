//! Decoded samples by their place in the talker's timeline, with the packet each stretch came from.

use crate::conceal::HISTORY;

/// One packet's stretch of samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub start: i64,
    /// Where the packet began, before its head was cut for being late or known.
    pub origin: i64,
    pub len: usize,
    pub mark: u64,
    /// Arrival in µs.
    pub arrival: u64,
    /// Its need was already learned.
    pub judged: bool,
}

impl Stretch {
    pub(super) fn end(&self) -> i64 {
        self.start + self.len as i64
    }
}

const NONE: Stretch = Stretch { start: 0, origin: 0, len: 0, mark: u64::MAX, arrival: 0, judged: false };
/// Packets that fit: 480 ms of 10 ms packets.
const PACKETS: usize = 48;

/// A ring of samples addressed by timeline position, and the sorted list of stretches that are present in it. What was played
/// last stays readable until its place is needed.
#[derive(Debug, Clone)]
#[repr(C)]
pub(super) struct Queue {
    count: usize,
    /// Samples that may wait; the ring holds [`HISTORY`] more.
    capacity: i64,
    ring: Box<[i16]>,
    /// Most of the time one or two of them are in use.
    stretches: [Stretch; PACKETS],
}

pub(super) enum Put {
    Done,
    /// Done, at the price of the oldest packets.
    Dropped(u32),
    /// Every sample is here already.
    Known,
    /// Older than the ring reaches.
    TooOld,
}

impl Queue {
    /// How many of its first bytes are touched while at most two packets wait.
    pub(super) const NEEDED: usize = std::mem::offset_of!(Self, stretches) + 2 * size_of::<Stretch>();

    pub(super) fn new(samples: usize) -> Self {
        let ring = vec![0; samples + HISTORY].into_boxed_slice();
        Self { count: 0, capacity: samples as i64, ring, stretches: [NONE; PACKETS] }
    }

    pub(super) fn stretches(&self) -> &[Stretch] {
        &self.stretches[..self.count]
    }

    pub(super) fn stretches_mut(&mut self) -> &mut [Stretch] {
        &mut self.stretches[..self.count]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn start(&self) -> Option<i64> {
        self.stretches().first().map(|s| s.start)
    }

    pub(super) fn end(&self) -> Option<i64> {
        self.stretches().last().map(Stretch::end)
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Takes a packet's samples. What other packets already brought stays theirs.
    pub(super) fn put(&mut self, mut new: Stretch, mut samples: &[i16]) -> Put {
        let capacity = self.capacity;
        if self.end().is_some_and(|end| new.start < end - capacity) {
            return Put::TooOld;
        }
        let at = self.stretches().partition_point(|s| s.start <= new.start);
        if let Some(before) = at.checked_sub(1).map(|i| self.stretches[i]) {
            let overlap = (before.end() - new.start).clamp(0, new.len as i64) as usize;
            samples = &samples[overlap..];
            new.start += overlap as i64;
            new.len -= overlap;
        }
        if at < self.count {
            new.len = new.len.min((self.stretches[at].start - new.start).max(0) as usize);
        }
        if new.len == 0 {
            return Put::Known;
        }
        let newest = self.end().map_or(new.end(), |end| end.max(new.end()));
        let mut dropped = 0;
        while self.count > 0 && (self.count == PACKETS || newest - self.stretches[0].start > capacity) {
            self.remove(0);
            dropped += 1;
        }
        if newest - new.start > capacity {
            return Put::TooOld;
        }
        let at = self.stretches().partition_point(|s| s.start <= new.start);
        if at < self.count {
            self.stretches.copy_within(at..self.count, at + 1);
        }
        self.stretches[at] = new;
        self.count += 1;
        let from = self.place(new.start);
        let first = new.len.min(self.ring.len() - from);
        self.ring[from..from + first].copy_from_slice(&samples[..first]);
        self.ring[..new.len - first].copy_from_slice(&samples[first..new.len]);
        if dropped > 0 { Put::Dropped(dropped) } else { Put::Done }
    }

    /// How many samples lie ready from `at` on without a hole.
    pub(super) fn ready(&self, at: i64) -> usize {
        let mut end = at;
        for stretch in self.stretches() {
            if stretch.end() <= at {
                continue;
            }
            if stretch.start > end {
                break;
            }
            end = stretch.end();
        }
        (end - at) as usize
    }

    /// How many samples are missing from `at` on until the next one that is present.
    pub(super) fn hole(&self, at: i64) -> Option<usize> {
        self.stretches().iter().find(|s| s.end() > at).map(|s| (s.start - at).max(0) as usize)
    }

    fn place(&self, at: i64) -> usize {
        at.rem_euclid(self.ring.len() as i64) as usize
    }

    /// The samples from `at` on as far as they lie in one piece, at most two packets of 20 ms.
    pub(super) fn around(&self, at: i64) -> &[i16] {
        let from = self.place(at);
        &self.ring[from..(from + 320).min(self.ring.len())]
    }

    /// Whether samples up to `end` would be written over those at `at`.
    pub(super) fn overruns(&self, end: i64, at: i64) -> bool {
        end - at > self.ring.len() as i64
    }

    /// Copies whatever the ring holds from `at` on.
    pub(super) fn read(&self, at: i64, out: &mut [i16]) {
        let from = self.place(at);
        let first = out.len().min(self.ring.len() - from);
        let rest = out.len() - first;
        out[..first].copy_from_slice(&self.ring[from..from + first]);
        out[first..].copy_from_slice(&self.ring[..rest]);
    }

    /// Copies samples that are ready from `at` on; answers the smallest mark among them.
    pub(super) fn copy(&self, at: i64, out: &mut [i16]) -> u64 {
        self.read(at, out);
        let end = at + out.len() as i64;
        self.stretches().iter().filter(|s| s.start < end && s.end() > at).map(|s| s.mark).min().unwrap_or(u64::MAX)
    }

    /// Removes the first stretch if it lies wholly before `at`.
    pub(super) fn pop_before(&mut self, at: i64) -> Option<Stretch> {
        let first = *self.stretches().first()?;
        (first.end() <= at).then(|| {
            self.remove(0);
            first
        })
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Stretch) -> bool) {
        let mut kept = 0;
        for i in 0..self.count {
            if keep(&self.stretches[i]) {
                self.stretches[kept] = self.stretches[i];
                kept += 1;
            }
        }
        self.count = kept;
    }

    fn remove(&mut self, index: usize) {
        if index + 1 < self.count {
            self.stretches.copy_within(index + 1..self.count, index);
        }
        self.count -= 1;
    }
}
