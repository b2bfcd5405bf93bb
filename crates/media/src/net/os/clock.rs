//! The shard's clock, and what a ticking thread asks of the scheduler.

use std::time::Duration;

fn read_monotonic() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec, which `time` is. CLOCK_MONOTONIC always exists on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec.max(0) as u64, time.tv_nsec.clamp(0, 999_999_999) as u32)
}

/// A zero of time on the monotonic clock and its place in UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Anchor {
    monotonic: Duration,
    /// UTC of the zero, microseconds since 1970.
    pub utc_micros: i64,
}

impl Anchor {
    pub(crate) fn now() -> Self {
        let utc = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { monotonic: read_monotonic(), utc_micros: i64::try_from(utc.as_micros()).unwrap_or(i64::MAX) }
    }

    /// Time since the zero.
    pub(crate) fn elapsed(&self) -> Duration {
        read_monotonic().saturating_sub(self.monotonic)
    }

    /// Sleeps until `deadline` after the zero: an absolute deadline, so lateness never adds up.
    pub(crate) fn sleep_until(&self, deadline: Duration) {
        let at = self.monotonic + deadline;
        let time = libc::timespec { tv_sec: at.as_secs() as libc::time_t, tv_nsec: at.subsec_nanos().into() };
        // SAFETY: reads one timespec, which `time` is; no remainder is asked for. A signal only wakes early.
        unsafe {
            libc::clock_nanosleep(libc::CLOCK_MONOTONIC, libc::TIMER_ABSTIME, &raw const time, std::ptr::null_mut())
        };
    }
}

/// Prepares the calling thread for ticking: exact timers, and a CPU of its own where configured. Whether pinning worked.
pub(crate) fn prepare_shard_thread(cpu: Option<usize>) -> bool {
    // SAFETY: PR_SET_TIMERSLACK takes plain integers.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000 as libc::c_ulong, 0, 0, 0) };
    let Some(cpu) = cpu else { return true };
    if cpu >= libc::CPU_SETSIZE as usize {
        return false;
    }
    // SAFETY: an all-zero cpu_set_t is an empty set; CPU_SET stays inside it by the check above; its size is given.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0
    }
}
