//! Slots of a thread: taken by the control side before a leg is made, given back when it is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Key;

#[derive(Debug)]
struct State {
    /// Free slots, the last one first.
    free: Vec<u32>,
    lives: Vec<u32>,
}

/// The slots of a thread.
#[derive(Debug)]
pub(crate) struct Seats(Mutex<State>);

/// A taken slot.
#[derive(Debug)]
pub(crate) struct Seat {
    key: Key,
    seats: Arc<Seats>,
}

impl Seats {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let free = (0..count as u32).rev().collect();
        Arc::new(Self(Mutex::new(State { free, lives: vec![0; count] })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn free(&self) -> usize {
        self.lock().free.len()
    }

    pub(crate) fn take(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.lock();
        let slot = state.free.pop()?;
        let life = state.lives.get(slot as usize).copied().unwrap_or(0);
        drop(state);
        Some(Seat { key: Key { slot, life }, seats: self.clone() })
    }
}

impl Seat {
    pub(crate) fn key(&self) -> Key {
        self.key
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.seats.lock();
        if let Some(life) = state.lives.get_mut(self.key.slot as usize) {
            *life = life.wrapping_add(1);
        }
        state.free.push(self.key.slot);
    }
}
