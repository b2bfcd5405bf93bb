//! Which legs want their thread, and whether it sleeps.
//!
//! A shard's tick marks a leg and, only if the thread is asleep, wakes it: one atomic bit, seldom a system call, no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A thread's marks. One bit per slot.
pub(crate) struct Ready {
    marks: Box<[AtomicU64]>,
    asleep: AtomicBool,
    waker: mio::Waker,
}

impl Ready {
    pub(crate) fn new(slots: usize, waker: mio::Waker) -> Self {
        let marks = (0..slots.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Self { marks, asleep: AtomicBool::new(false), waker }
    }

    /// Marks a slot and wakes the thread if it sleeps.
    pub(crate) fn mark(&self, slot: usize) {
        if let Some(word) = self.marks.get(slot / 64) {
            word.fetch_or(1 << (slot % 64), Ordering::SeqCst);
        }
        self.wake();
    }

    /// Wakes the thread if it sleeps.
    pub(crate) fn wake(&self) {
        // Either the thread sees what was stored before this, or this sees that it sleeps.
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            // Fails only if the event queue is gone, with its thread.
            let _ = self.waker.wake();
        }
    }

    /// Takes the marked slots.
    pub(crate) fn take(&self, mut each: impl FnMut(usize)) {
        for (index, word) in self.marks.iter().enumerate() {
            if word.load(Ordering::SeqCst) == 0 {
                continue;
            }
            let mut bits = word.swap(0, Ordering::SeqCst);
            while bits != 0 {
                each(index * 64 + bits.trailing_zeros() as usize);
                bits &= bits - 1;
            }
        }
    }

    /// The thread is about to sleep: whether it may, or something was marked meanwhile.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let idle = self.marks.iter().all(|word| word.load(Ordering::SeqCst) == 0);
        if !idle {
            self.wake_up();
        }
        idle
    }

    /// The thread is awake.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

/// What a leg's media end calls.
pub(crate) struct Bell {
    pub ready: Arc<Ready>,
    pub slot: usize,
}

impl media::Wake for Bell {
    fn wake(&self) {
        self.ready.mark(self.slot);
    }
}
