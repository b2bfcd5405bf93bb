//! How much delay the network needs, learned from what packets would have needed.
//!
//! All figures are *offsets*: position of the playout clock minus position in the talker's timeline, in samples. A packet's
//! *need* is the offset at which it would just be played in time by the first tick that had it; its *transit* is the
//! offset at its arrival. Needs are kept as block maxima over the last 20 s; the second largest is what playout must
//! grant. One outlier in a window is forgiven, any two are not, so about 0.2 % of packets may come too late.

const BLOCKS: usize = 64;
/// Ticks with packets in one block.
const BLOCK_TICKS: u32 = 16;

#[derive(Debug, Clone)]
pub(crate) struct Learner {
    filled: usize,
    next: usize,
    ticks: u32,
    need: i64,
    transit: i64,
    seen_in_tick: bool,
    /// Of the closed blocks: the largest and second largest need, the smallest transit.
    largest: i64,
    second: i64,
    smallest: i64,
    /// A run of late packets needs this at once, until blocks have learned it.
    urgent: Option<(i64, u32)>,
    /// Looked at once per block only.
    blocks: Box<Blocks>,
}

#[derive(Debug, Clone)]
struct Blocks {
    needs: [i64; BLOCKS],
    transits: [i64; BLOCKS],
}

impl Learner {
    pub(crate) fn new() -> Self {
        Self {
            filled: 0,
            next: 0,
            ticks: 0,
            need: i64::MIN,
            transit: i64::MAX,
            seen_in_tick: false,
            largest: i64::MIN,
            second: i64::MIN,
            smallest: i64::MAX,
            urgent: None,
            blocks: Box::new(Blocks { needs: [i64::MIN; BLOCKS], transits: [i64::MAX; BLOCKS] }),
        }
    }

    /// Forgets everything. Blocks that are not filled are never looked at.
    pub(crate) fn reset(&mut self) {
        (self.filled, self.next, self.ticks) = (0, 0, 0);
        (self.need, self.transit, self.seen_in_tick) = (i64::MIN, i64::MAX, false);
        (self.largest, self.second, self.smallest) = (i64::MIN, i64::MIN, i64::MAX);
        self.urgent = None;
    }

    pub(crate) fn observe_need(&mut self, need: i64) {
        self.need = self.need.max(need);
        self.seen_in_tick = true;
    }

    pub(crate) fn observe_transit(&mut self, transit: i64) {
        self.transit = self.transit.min(transit);
    }

    /// Late packets came in a row: the smallest of their needs counts from now on.
    pub(crate) fn hurry(&mut self, need: i64) {
        self.urgent = Some((need, 2));
    }

    /// Closes a tick, and a block when it is full.
    pub(crate) fn end_tick(&mut self) {
        if !std::mem::take(&mut self.seen_in_tick) {
            return;
        }
        self.ticks += 1;
        if self.ticks < BLOCK_TICKS {
            return;
        }
        self.blocks.needs[self.next] = self.need;
        self.blocks.transits[self.next] = self.transit;
        self.next = (self.next + 1) % BLOCKS;
        self.filled = (self.filled + 1).min(BLOCKS);
        self.drop_outrun();
        (self.largest, self.second) =
            self.blocks.needs[..self.filled].iter().fold((i64::MIN, i64::MIN), |(first, second), &need| {
                if need > first { (need, first) } else { (first, second.max(need)) }
            });
        self.smallest = self.blocks.transits[..self.filled].iter().copied().min().unwrap_or(i64::MAX);
        self.ticks = 0;
        self.need = i64::MIN;
        self.transit = i64::MAX;
        self.urgent = self.urgent.and_then(|(need, blocks)| (blocks > 1).then(|| (need, blocks - 1)));
    }

    /// Where the last two blocks needed less than any earlier packet took, the path became faster: what was learned on the
    /// slower one says nothing. The block before them may hold packets of both.
    fn drop_outrun(&mut self) {
        if self.filled < 4 {
            return;
        }
        let back = |n: usize| (self.next + BLOCKS - n) % BLOCKS;
        let (last, other) = (back(1), back(2));
        let needed = self.blocks.needs[last].max(self.blocks.needs[other]);
        let outrun = (4..=self.filled).all(|n| self.blocks.transits[back(n)] > needed);
        if outrun {
            let kept = [
                (self.blocks.needs[other], self.blocks.transits[other]),
                (self.blocks.needs[last], self.blocks.transits[last]),
            ];
            for (i, (need, transit)) in kept.into_iter().enumerate() {
                self.blocks.needs[i] = need;
                self.blocks.transits[i] = transit;
            }
            (self.filled, self.next) = (2, 2);
        }
    }

    /// The offset playout must grant, `None` before the first packet.
    pub(crate) fn required(&self) -> Option<i64> {
        // Too little is known in the first second to call anything an outlier.
        let learned =
            if self.is_young() { self.largest.max(self.need) } else { self.second.max(self.need.min(self.largest)) };
        let required = self.urgent.map_or(learned, |(need, _)| learned.max(need));
        (required != i64::MIN).then_some(required)
    }

    pub(crate) fn is_young(&self) -> bool {
        self.filled < 3
    }

    /// The shortest transit of the window, `None` before the first packet.
    pub(crate) fn fastest(&self) -> Option<i64> {
        let fastest = self.smallest.min(self.transit);
        (fastest != i64::MAX).then_some(fastest)
    }
}
