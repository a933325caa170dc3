//! The messages under way, by their numbers.
//!
//! Messages are numbered as they are sent and most arrive soon, so those under way have numbers that
//! lie close together: each is in a queue at its number, less those before it that have arrived. The few
//! that are still under way when [`SPAN`] later ones were sent are kept apart.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use super::InFlight;
use crate::message::Envelope;
use crate::ordered::Map;

/// A message on its way, with what it says.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    pub(super) seen: InFlight,
    /// The connection over which it was sent, if there was one.
    pub(super) connection: Option<u64>,
    pub(super) envelope: Box<Envelope>,
    /// How many bytes count for it.
    pub(super) bytes: usize,
    /// Stands for it in the hash of the run.
    pub(super) hash: u64,
}

/// How long the queue is at most.
const SPAN: usize = 16_384;

#[derive(Clone, Debug, Default)]
pub(super) struct Flights {
    /// Those with numbers below `first`.
    late: Map<u64, Flight>,
    /// Its first is never empty.
    places: VecDeque<Option<Flight>>,
    /// The number of the first.
    first: u64,
    /// How many there are.
    count: usize,
    /// How many bytes count for all of them.
    bytes: usize,
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
        (self.count, self.bytes) = (self.count + 1, self.bytes + flight.bytes);
        self.places.push_back(Some(flight));
        while self.places.len() > SPAN {
            if let Some(Some(late)) = self.places.pop_front() {
                self.late.insert(self.first, late);
            }
            self.first += 1;
            self.skip();
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Flight> {
        let flight = match self.place(number) {
            Some(place) => self.places.get_mut(place)?.take(),
            None => self.late.remove(&number),
        }?;
        (self.count, self.bytes) = (self.count - 1, self.bytes - flight.bytes);
        self.skip();
        Some(flight)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Flight> {
        match self.place(number) {
            Some(place) => self.places.get(place)?.as_ref(),
            None => self.late.get(&number),
        }
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Flight> {
        match self.place(number) {
            Some(place) => self.places.get_mut(place)?.as_mut(),
            None => self.late.get_mut(&number),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// How many bytes count for all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Flight> {
        self.late.values().chain(self.places.iter().flatten())
    }

    /// The same, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Flight> {
        self.late.values_mut().chain(self.places.iter_mut().flatten())
    }

    /// Lets go of the empty places at the front.
    fn skip(&mut self) {
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        Some(number.checked_sub(self.first)? as usize)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::string::String;
    use alloc::vec::Vec;

    use super::*;
    use crate::id::{Incarnation, MessageId, NodeId};
    use crate::message::{Lane, Message};
    use crate::rng::Rng;
    use crate::time::Mono;

    fn flight(number: u64, bytes: usize) -> Flight {
        let seen = InFlight {
            number,
            from: 0,
            to: 1,
            kind: "test",
            lane: Lane::Bulk,
            sent: Mono(0),
            arrives: Mono(0),
            lost: false,
        };
        let envelope = Envelope {
            id: MessageId(number),
            cluster: None,
            from: NodeId(0),
            incarnation: Incarnation(1),
            to: NodeId(1),
            message: Message::JoinRefused { later: true, reason: String::new() },
        };
        Flight { seen, connection: None, envelope: Box::new(envelope), bytes, hash: number }
    }

    #[test]
    fn they_behave_like_a_map_and_one_that_is_long_under_way_takes_no_room() {
        let mut rng = Rng::new(5);
        let (mut flights, mut map) = (Flights::default(), BTreeMap::new());
        let mut number = 0;
        for _ in 0..100_000 {
            number += rng.between(1, 3);
            let bytes = rng.below(100) as usize;
            flights.insert(flight(number, bytes));
            map.insert(number, bytes);
            // One of a thousand stays for ever, the others for a little while.
            let any = number.saturating_sub(rng.below(40));
            if any % 1_000 != 0 {
                assert_eq!(flights.get(any).map(|flight| flight.bytes), map.get(&any).copied());
                let removed = flights.remove(any).map(|flight| flight.bytes);
                assert_eq!(removed, map.remove(&any));
            }
            if number % 50 == 0 {
                let some = rng.below(number);
                let found = flights.get_mut(some).map(|flight| flight.seen.number);
                assert_eq!(found, map.contains_key(&some).then_some(some));
            }
            assert_eq!(flights.len(), map.len());
            assert!(flights.places.len() <= SPAN);
        }
        assert!(!flights.late.is_empty() && !flights.places.is_empty());
        let numbers: Vec<u64> = flights.iter().map(|flight| flight.seen.number).collect();
        assert!(numbers.iter().eq(map.keys()));
        assert!(flights.iter_mut().map(|flight| flight.seen.number).eq(numbers.iter().copied()));
        assert_eq!(flights.bytes(), map.values().sum::<usize>());
        for number in numbers {
            assert!(flights.remove(number).is_some());
        }
        assert_eq!((flights.len(), flights.bytes(), flights.places.len()), (0, 0, 0));
    }
}
