//! Places with generations: whoever holds an old key finds nothing.

use crate::id::Key;
use crate::mutation::{self, Mutation};

struct Place<T> {
    generation: u32,
    item: Option<Box<T>>,
}

/// A fixed number of places. Keys are given out by the control side, which knows when a place is free.
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
}

impl<T> Slab<T> {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| Place { generation: 0, item: None }).collect() }
    }

    fn place(&mut self, key: Key) -> Option<&mut Place<T>> {
        let place = self.places.get_mut(key.index as usize)?;
        (place.generation == key.generation || mutation::active(Mutation::SlotReused)).then_some(place)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.place(key)?.item.as_deref_mut()
    }

    /// The item of a key, for a look ahead.
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.places.get(key.index as usize).filter(|place| place.generation == key.generation)?.item.as_deref()
    }

    /// Whatever is at a place now, for a look ahead.
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.places.get(index as usize)?.item.as_deref()
    }

    /// Whatever is at a place now.
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.places.get_mut(index as usize)?.item.as_deref_mut()
    }

    /// Fills a place. Gives the item back if there is no such place or it is taken.
    pub(crate) fn put(&mut self, key: Key, item: Box<T>) -> Option<Box<T>> {
        match self.places.get_mut(key.index as usize) {
            Some(place) if place.item.is_none() => {
                place.generation = key.generation;
                place.item = Some(item);
                None
            }
            _ => Some(item),
        }
    }

    pub(crate) fn take(&mut self, key: Key) -> Option<Box<T>> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation == key.generation { place.item.take() } else { None }
    }
}
