//! Memory fetched before it is needed.

/// Bytes of a cache line.
const LINE: usize = 64;

/// Starts to fetch the first `bytes` of something into the cache, without waiting. A hint: nothing else changes.
#[inline]
pub(crate) fn fetch_ahead<T: ?Sized>(item: &T, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        let start = (&raw const *item).cast::<i8>();
        for at in (0..bytes.min(size_of_val(item))).step_by(LINE) {
            // SAFETY: `at` is inside `item`, and a prefetch neither reads for the program nor faults.
            unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(start.add(at)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (item, bytes, LINE);
}
