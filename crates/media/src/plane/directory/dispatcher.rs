//! The producing end of one shard: its ring, and the places of its slabs.

use std::sync::Arc;

use crate::MediaError;
use crate::config::MediaConfig;
use crate::id::Key;
use crate::metrics::Counters;
use crate::shard::command::Command;

/// Free places of a slab and the generations given out.
pub(super) struct Places {
    free: Vec<u32>,
    generations: Vec<u32>,
    most: usize,
}

impl Places {
    fn new(most: usize) -> Self {
        Self { free: Vec::new(), generations: Vec::new(), most }
    }

    pub(super) fn available(&self) -> usize {
        self.free.len() + (self.most - self.generations.len())
    }

    pub(super) fn take(&mut self) -> Option<Key> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.generations.len() < self.most => {
                self.generations.push(0);
                (self.generations.len() - 1) as u32
            }
            None => return None,
        };
        let generation = self.generations.get_mut(index as usize)?;
        *generation = generation.wrapping_add(1);
        Some(Key { index, generation: *generation })
    }

    pub(super) fn give_back(&mut self, key: Key) {
        self.free.push(key.index);
    }

    pub(super) fn used(&self) -> usize {
        self.generations.len() - self.free.len()
    }
}

/// One shard as the control side sees it.
pub(crate) struct Dispatcher {
    pub(super) commands: rtrb::Producer<Command>,
    pub(super) counters: Arc<Counters>,
    pub(super) legs: Places,
    pub(super) rooms: Places,
}

impl Dispatcher {
    pub(in crate::plane) fn new(
        commands: rtrb::Producer<Command>,
        counters: Arc<Counters>,
        config: &MediaConfig,
    ) -> Self {
        Self {
            commands,
            counters,
            legs: Places::new(config.max_legs_per_shard),
            rooms: Places::new(config.max_rooms_per_shard),
        }
    }

    pub(super) fn admit(&self, commands: usize) -> Result<(), MediaError> {
        if self.commands.slots() < commands {
            return Err(MediaError::Busy("the shard's command queue is full"));
        }
        Ok(())
    }
}
