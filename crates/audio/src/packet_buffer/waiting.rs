//! Packets that wait to be decoded, by their place in the talker's timeline. Their bytes lie in one arena, so that a hundred small
//! packets or ten large ones take the same fixed room.

/// Packets that fit.
const PACKETS: usize = 64;

/// One packet that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitingPacket {
    /// Timeline position of its first sample, and how many it has.
    pub start: i64,
    pub len: usize,
    pub sequence: u16,
    pub marker: bool,
    pub mark: u64,
    /// Arrival in µs.
    pub arrival: u64,
    /// Its need was already learned.
    pub judged: bool,
    /// Where its bytes lie.
    pub at: usize,
    pub bytes: usize,
}

impl WaitingPacket {
    pub(super) const NONE: Self = Self {
        start: 0,
        len: 0,
        sequence: 0,
        marker: false,
        mark: u64::MAX,
        arrival: 0,
        judged: false,
        at: 0,
        bytes: 0,
    };

    pub(super) fn end(&self) -> i64 {
        self.start + self.len as i64
    }
}

#[derive(Debug, Clone)]
pub(super) struct Waiting {
    /// Samples from the first packet's start to the last one's end, at most.
    span: i64,
    count: usize,
    packets: [WaitingPacket; PACKETS],
    arena: Box<[u8]>,
    /// Where the next bytes go.
    next: usize,
}

pub(super) enum Put {
    Done,
    /// Done, at the price of the oldest packets.
    Dropped(u32),
    /// There is one at this place.
    Known,
    /// Older than the buffer reaches.
    TooOld,
}

impl Waiting {
    pub(super) fn new(span: i64, bytes: usize) -> Self {
        Self {
            span,
            count: 0,
            packets: [WaitingPacket::NONE; PACKETS],
            arena: vec![0; bytes].into_boxed_slice(),
            next: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.arena.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, WaitingPacket> {
        self.packets[..self.count].iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, WaitingPacket> {
        self.packets[..self.count].iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) fn first(&self) -> Option<WaitingPacket> {
        self.iter().next().copied()
    }

    pub(super) fn second(&self) -> Option<WaitingPacket> {
        self.iter().nth(1).copied()
    }

    pub(super) fn last(&self) -> Option<WaitingPacket> {
        self.iter().last().copied()
    }

    pub(super) fn end(&self) -> Option<i64> {
        self.iter().map(WaitingPacket::end).max()
    }

    pub(super) fn payload(&self, packet: &WaitingPacket) -> &[u8] {
        &self.arena[packet.at..packet.at + packet.bytes]
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    pub(super) fn put(&mut self, mut new: WaitingPacket, payload: &[u8]) -> Put {
        let at = self.iter().take_while(|packet| packet.start < new.start).count();
        if at < self.count && self.packets[at].start == new.start {
            return Put::Known;
        }
        let newest = self.end().map_or(new.end(), |end| end.max(new.end()));
        if newest - new.start > self.span {
            return Put::TooOld;
        }
        let mut dropped = 0;
        let mut used: usize = self.iter().map(|packet| packet.bytes).sum();
        while let Some(first) = self.first()
            && (self.count == PACKETS || newest - first.start > self.span || used + payload.len() > self.arena.len())
        {
            used -= first.bytes;
            self.take_first();
            dropped += 1;
        }
        let at = self.iter().take_while(|packet| packet.start < new.start).count();
        if self.arena.len() - self.next < payload.len() {
            self.gather();
        }
        (new.at, new.bytes) = (self.next, payload.len());
        self.arena[new.at..new.at + new.bytes].copy_from_slice(payload);
        self.next += new.bytes;
        self.packets.copy_within(at..self.count, at + 1);
        self.packets[at] = new;
        self.count += 1;
        if dropped > 0 { Put::Dropped(dropped) } else { Put::Done }
    }

    /// Moves all bytes to the front of the arena, in the order in which they lie.
    fn gather(&mut self) {
        let mut order: [usize; PACKETS] = std::array::from_fn(|i| i);
        let order = &mut order[..self.count];
        order.sort_unstable_by_key(|&i| self.packets[i].at);
        self.next = 0;
        for &i in order.iter() {
            let packet = &mut self.packets[i];
            self.arena.copy_within(packet.at..packet.at + packet.bytes, self.next);
            packet.at = self.next;
            self.next += packet.bytes;
        }
    }

    pub(super) fn take_first(&mut self) {
        self.packets.copy_within(1..self.count, 0);
        self.count -= 1;
        if self.count == 0 {
            self.next = 0;
        }
    }

    /// Drops what ends at or before `at`.
    pub(super) fn drop_before(&mut self, at: i64) {
        self.retain(|packet| packet.end() > at);
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&WaitingPacket) -> bool) {
        let mut kept = 0;
        for i in 0..self.count {
            if keep(&self.packets[i]) {
                self.packets[kept] = self.packets[i];
                kept += 1;
            }
        }
        self.count = kept;
    }
}
