//! The messages under way, by their numbers.
//!
//! Messages are numbered as they are sent and most arrive soon, so those under way have numbers that
//! lie close together: each is in a queue at its number, less those before it that have arrived.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::InFlight;
use crate::message::Envelope;

/// A message on its way, with what it says.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) seen: InFlight,
    /// The connection over which it was sent, if there was one.
    pub(super) connection: Option<u64>,
    pub(super) envelope: Box<Envelope>,
    /// Stands for it in the hash of the run.
    pub(super) hash: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Flights {
    /// Its first is never empty.
    places: VecDeque<Option<Flight>>,
    /// The number of the first.
    first: u64,
}

impl Flights {
    /// Adds a message. Its number is greater than that of any before.
    pub(super) fn insert(&mut self, flight: Flight) {
        let number = flight.seen.number;
        if self.places.is_empty() {
            self.first = number;
        }
        // Numbers between are those of connections.
        let place = (number - self.first) as usize;
        debug_assert!(self.places.len() <= place, "numbers only grow");
        self.places.resize_with(place, || None);
        self.places.push_back(Some(flight));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Flight> {
        let place = self.place(number)?;
        let flight = self.places.get_mut(place)?.take();
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        flight
    }

    pub(super) fn get(&self, number: u64) -> Option<&Flight> {
        self.places.get(self.place(number)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Flight> {
        let place = self.place(number)?;
        self.places.get_mut(place)?.as_mut()
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.places.iter().flatten()
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.places.iter_mut().flatten()
    }

    fn place(&self, number: u64) -> Option<usize> {
        Some(number.checked_sub(self.first)? as usize)
    }
}
