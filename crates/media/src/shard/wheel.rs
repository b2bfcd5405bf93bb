//! The timing wheel: twenty sub-slots of a millisecond, so that packets leave evenly over the tick.

/// Sub-slots of a tick.
pub(crate) const SLOTS: u64 = 20;

/// Which rooms, and which legs without a room, are due in each sub-slot.
#[derive(Debug)]
pub(crate) struct Wheel {
    rooms: [Vec<u32>; SLOTS as usize],
    legs: [Vec<u32>; SLOTS as usize],
    /// Legs per sub-slot, in rooms or not.
    load: [u32; SLOTS as usize],
}

impl Wheel {
    /// A wheel that never grows past these numbers, so that nothing in it allocates later.
    pub(crate) fn new(max_rooms: usize, max_legs: usize) -> Self {
        Self {
            rooms: std::array::from_fn(|_| Vec::with_capacity(max_rooms)),
            legs: std::array::from_fn(|_| Vec::with_capacity(max_legs)),
            load: [0; SLOTS as usize],
        }
    }

    /// The sub-slot with the fewest legs.
    pub(crate) fn quietest(&self) -> u8 {
        self.load.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(slot, _)| slot as u8)
    }

    /// Whether nothing is due in any sub-slot.
    pub(crate) fn is_empty(&self) -> bool {
        self.load.iter().all(|load| *load == 0)
    }

    pub(crate) fn add_load(&mut self, slot: u8, legs: i32) {
        if let Some(load) = self.load.get_mut(usize::from(slot)) {
            *load = load.saturating_add_signed(legs);
        }
    }

    pub(crate) fn add_room(&mut self, slot: u8, room: u32) {
        insert(&mut self.rooms, slot, room);
    }

    pub(crate) fn remove_room(&mut self, slot: u8, room: u32) {
        remove(&mut self.rooms, slot, room);
    }

    pub(crate) fn add_leg(&mut self, slot: u8, leg: u32) {
        insert(&mut self.legs, slot, leg);
    }

    pub(crate) fn remove_leg(&mut self, slot: u8, leg: u32) {
        remove(&mut self.legs, slot, leg);
    }

    pub(crate) fn room_at(&self, slot: u8, at: usize) -> Option<u32> {
        self.rooms.get(usize::from(slot))?.get(at).copied()
    }

    /// How many rooms are due in a sub-slot.
    pub(crate) fn rooms_in(&self, slot: u8) -> usize {
        self.rooms.get(usize::from(slot)).map_or(0, Vec::len)
    }

    pub(crate) fn leg_at(&self, slot: u8, at: usize) -> Option<u32> {
        self.legs.get(usize::from(slot))?.get(at).copied()
    }
}

fn insert(lists: &mut [Vec<u32>; SLOTS as usize], slot: u8, id: u32) {
    if let Some(list) = lists.get_mut(usize::from(slot)) {
        list.push(id);
    }
}

fn remove(lists: &mut [Vec<u32>; SLOTS as usize], slot: u8, id: u32) {
    if let Some(list) = lists.get_mut(usize::from(slot))
        && let Some(at) = list.iter().position(|other| *other == id)
    {
        list.swap_remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_spread_evenly_by_their_legs() {
        let mut wheel = Wheel::new(100, 300);
        for room in 0..100 {
            let slot = wheel.quietest();
            wheel.add_room(slot, room);
            wheel.add_load(slot, 3);
        }
        for slot in 0..SLOTS as u8 {
            assert_eq!((0..).map_while(|at| wheel.room_at(slot, at)).count(), 5);
        }
    }
}
