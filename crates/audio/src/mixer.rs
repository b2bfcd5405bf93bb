//! The bus mixer for one tick: sources with the same audience are summed once; a listener's mix is the sum of the buses
//! it hears minus what it must not hear (itself), saturated once at the end.
//!
//! Sums are 32-bit: 65 536 full-scale sources fit before a bus can wrap, and subtraction gives back exactly what was
//! added, so two listeners with the same permissions get identical samples.

/// Adds a source's frame to a bus. Works on the shorter of the two lengths.
#[inline]
pub fn accumulate(bus: &mut [i32], frame: &[i16]) {
    for (sum, &sample) in bus.iter_mut().zip(frame) {
        *sum += sample as i32;
    }
}

/// Takes a source's frame out of a sum it was added to.
#[inline]
pub fn subtract(bus: &mut [i32], frame: &[i16]) {
    for (sum, &sample) in bus.iter_mut().zip(frame) {
        *sum -= sample as i32;
    }
}

/// Adds a whole bus to a sum.
#[inline]
pub fn accumulate_bus(sum: &mut [i32], bus: &[i32]) {
    for (total, &part) in sum.iter_mut().zip(bus) {
        *total += part;
    }
}

/// Writes a sum without one of its frames as 16-bit samples; what does not fit is clipped.
#[inline]
pub fn saturate_difference(sum: &[i32], frame: &[i16], out: &mut [i16]) {
    for ((sample, &value), &own) in out.iter_mut().zip(sum).zip(frame) {
        *sample = (value - own as i32).clamp(i16::MIN as i32, i16::MAX as i32) as i16;
    }
}

/// Writes a sum as 16-bit samples; what does not fit is clipped.
#[inline]
pub fn saturate_into(sum: &[i32], out: &mut [i16]) {
    for (sample, &value) in out.iter_mut().zip(sum) {
        *sample = value.clamp(i16::MIN as i32, i16::MAX as i32) as i16;
    }
}

/// One listener's mix without scratch memory: for each sample Σ buses − Σ subtracted, saturated.
///
/// Goes through the frame in blocks that stay in registers or L1, so that many buses cost one pass over each.
pub fn sum_minus<'a>(
    buses: impl Iterator<Item = &'a [i32]> + Clone,
    minus: impl Iterator<Item = &'a [i16]> + Clone,
    out: &mut [i16],
) {
    const BLOCK: usize = 160;
    let mut from = 0;
    for chunk in out.chunks_mut(BLOCK) {
        let mut sum = [0i32; BLOCK];
        let to = from + chunk.len();
        for bus in buses.clone() {
            accumulate_bus(&mut sum[..chunk.len()], bus.get(from..to.min(bus.len())).unwrap_or(&[]));
        }
        for frame in minus.clone() {
            subtract(&mut sum[..chunk.len()], frame.get(from..to.min(frame.len())).unwrap_or(&[]));
        }
        saturate_into(&sum[..chunk.len()], chunk);
        from = to;
    }
}

/// The buses of one room for one tick. Holds its memory from tick to tick; grows only by [`Mixer::reserve`].
#[derive(Debug, Clone)]
pub struct Mixer {
    sums: Vec<i32>,
    /// How many sources each bus holds this tick: an empty bus is exact silence.
    sources: Vec<u32>,
    frame: usize,
}

impl Mixer {
    /// A mixer with `buses` empty buses of `frame` samples.
    pub fn new(buses: usize, frame: usize) -> Self {
        Self { sums: vec![0; buses * frame], sources: vec![0; buses], frame }
    }

    /// Grows to at least `buses` buses. The only call that allocates; not for the tick.
    pub fn reserve(&mut self, buses: usize) {
        if buses > self.sources.len() {
            self.sums.resize(buses * self.frame, 0);
            self.sources.resize(buses, 0);
        }
    }

    /// Number of buses.
    pub fn buses(&self) -> usize {
        self.sources.len()
    }

    /// Samples per frame.
    pub fn frame_len(&self) -> usize {
        self.frame
    }

    /// Empties every bus that was used. Once at the start of each tick.
    pub fn clear(&mut self) {
        for (bus, count) in self.sums.chunks_exact_mut(self.frame.max(1)).zip(&mut self.sources) {
            if *count != 0 {
                bus.fill(0);
                *count = 0;
            }
        }
    }

    /// Adds a source to a bus. A bus that does not exist takes nothing (answer `false`): default deny.
    pub fn add(&mut self, bus: usize, frame: &[i16]) -> bool {
        let Some(count) = self.sources.get_mut(bus) else { return false };
        *count += 1;
        accumulate(&mut self.sums[bus * self.frame..(bus + 1) * self.frame], frame);
        true
    }

    /// The sum of a bus, empty if there is no such bus.
    pub fn bus(&self, bus: usize) -> &[i32] {
        self.sums.get(bus * self.frame..(bus + 1) * self.frame).unwrap_or(&[])
    }

    /// How many sources were added to a bus in this tick.
    pub fn sources(&self, bus: usize) -> u32 {
        self.sources.get(bus).copied().unwrap_or(0)
    }

    /// One listener's mix: Σ of the named buses − Σ `minus`, saturated. Every frame in `minus` must have been added to one of them.
    pub fn mix<'a>(
        &'a self,
        buses: impl Iterator<Item = usize> + Clone,
        minus: impl Iterator<Item = &'a [i16]> + Clone,
        out: &mut [i16],
    ) {
        sum_minus(buses.filter(|&b| self.sources(b) != 0).map(|b| self.bus(b)), minus, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames(count: usize, len: usize) -> impl Strategy<Value = Vec<Vec<i16>>> {
        prop::collection::vec(prop::collection::vec(any::<i16>(), len), 1..=count)
    }

    proptest! {
        #[test]
        fn every_listener_hears_exactly_the_naive_sum_of_what_it_may_hear(
            sources in frames(9, 333),
            placement in prop::collection::vec(0usize..4, 9),
            heard in prop::collection::vec(any::<bool>(), 4),
            own in 0usize..9,
        ) {
            let mut mixer = Mixer::new(4, 333);
            for tick in 0..2 {
                mixer.clear();
                for (source, &bus) in sources.iter().zip(&placement) {
                    prop_assert!(mixer.add(bus, source));
                }
                let own = own % sources.len();
                let minus = heard[placement[own]].then(|| sources[own].as_slice());
                let mut mix = vec![1234i16; 333];
                mixer.mix((0..4).filter(|&b| heard[b]), minus.into_iter(), &mut mix);
                for i in 0..333 {
                    let naive: i64 = sources.iter().enumerate()
                        .filter(|&(s, _)| s != own && heard[placement[s]])
                        .map(|(_, f)| f[i] as i64).sum();
                    prop_assert_eq!(mix[i] as i64, naive.clamp(-32768, 32767), "tick {} sample {}", tick, i);
                }
            }
        }

        #[test]
        fn subtracting_what_was_added_leaves_exact_zero(sources in frames(50, 160)) {
            let mut bus = [0i32; 160];
            for source in &sources { accumulate(&mut bus, source); }
            for source in &sources { subtract(&mut bus, source); }
            prop_assert_eq!(bus, [0; 160]);
        }
    }

    #[test]
    fn a_bus_that_does_not_exist_takes_and_gives_nothing() {
        let mut mixer = Mixer::new(1, 160);
        assert!(!mixer.add(1, &[1000; 160]));
        let mut mix = [7i16; 160];
        mixer.mix([1usize, 2].into_iter(), std::iter::empty(), &mut mix);
        assert_eq!(mix, [0; 160]);
        mixer.reserve(2);
        assert!(mixer.add(1, &[1000; 160]));
        mixer.mix([1usize].into_iter(), std::iter::empty(), &mut mix);
        assert_eq!(mix, [1000; 160]);
    }
}
