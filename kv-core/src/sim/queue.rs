//! What happens next: entries by time and, at one time, in the order in which they were entered.
//!
//! That order is part of a run, so it must not depend on anything else. Entries can be withdrawn,
//! because a crash ends what a node was waiting for.
//!
//! Tickets are in a heap and entries in slots beside it, so that finding the next one moves nothing but
//! tickets. What is withdrawn leaves its ticket behind, which is thrown away when it comes up, or with
//! all others of its kind once they are the larger part.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::ordered;
use crate::time::Mono;

/// Names an entry. Later entries have greater numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    at: Mono,
    number: u64,
    slot: u32,
}

impl Ticket {
    /// When the entry is due.
    pub(super) fn at(self) -> Mono {
        self.at
    }
}

#[derive(Clone, Debug)]
pub(super) struct Queue<T> {
    /// The soonest first. That of the next entry is never of one that was withdrawn.
    tickets: BinaryHeap<Reverse<Ticket>>,
    slots: Vec<Slot<T>>,
    /// The slots that are empty.
    free: Vec<u32>,
    entered: u64,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    /// That of the ticket of what is or was here.
    number: u64,
    entry: Option<T>,
}

/// So many tickets of withdrawn entries are no burden.
const STALE_MIN: usize = 64;

impl<T> Default for Queue<T> {
    fn default() -> Self {
        let (tickets, slots, free) = (BinaryHeap::new(), Vec::new(), Vec::new());
        Self { tickets, slots, free, entered: 0 }
    }
}

impl<T> Queue<T> {
    pub(super) fn enter(&mut self, at: Mono, entry: T) -> Ticket {
        let number = self.entered;
        self.entered += 1;
        let filled = Slot { number, entry: Some(entry) };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = filled;
                slot
            }
            None => {
                self.slots.push(filled);
                // Memory ends long before 2^32 entries.
                (self.slots.len() - 1) as u32
            }
        };
        let ticket = Ticket { at, number, slot };
        self.tickets.push(Reverse(ticket));
        ticket
    }

    /// Takes an entry back; one that is no longer there is nothing to take.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        if self.empty(ticket).is_some() {
            self.tidy();
        }
    }

    pub(super) fn withdraw_all(&mut self, mut which: impl FnMut(&T) -> bool) {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if slot.entry.take_if(|entry| which(entry)).is_some() {
                self.free.push(number as u32);
            }
        }
        self.tidy();
    }

    /// All entries, in the order in which they are due.
    pub(super) fn entries(&self) -> impl Iterator<Item = &T> {
        let mut tickets: Vec<Ticket> = self.tickets.iter().map(|Reverse(ticket)| *ticket).collect();
        ordered::sort(&mut tickets);
        tickets.into_iter().filter_map(|ticket| self.entry(ticket))
    }

    /// When the next entry is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.tickets.peek().map(|Reverse(ticket)| ticket.at)
    }

    pub(super) fn take(&mut self) -> Option<(Mono, T)> {
        let Reverse(ticket) = self.tickets.pop()?;
        let entry = self.empty(ticket)?;
        self.tidy();
        Some((ticket.at, entry))
    }

    fn entry(&self, ticket: Ticket) -> Option<&T> {
        let slot = self.slots.get(ticket.slot as usize)?;
        slot.entry.as_ref().filter(|_| slot.number == ticket.number)
    }

    fn empty(&mut self, ticket: Ticket) -> Option<T> {
        let slot = self.slots.get_mut(ticket.slot as usize)?;
        let entry = slot.entry.take_if(|_| slot.number == ticket.number)?;
        self.free.push(ticket.slot);
        Some(entry)
    }

    /// Throws away the tickets of withdrawn entries that come next, or all of them if they are many.
    fn tidy(&mut self) {
        let there = self.slots.len() - self.free.len();
        if self.tickets.len() > STALE_MIN + 2 * there {
            let mut tickets = core::mem::take(&mut self.tickets);
            tickets.retain(|Reverse(ticket)| self.entry(*ticket).is_some());
            self.tickets = tickets;
        }
        while self.tickets.peek().is_some_and(|Reverse(next)| self.entry(*next).is_none()) {
            self.tickets.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn entries_of_one_time_keep_their_order() {
        let mut queue = Queue::default();
        queue.enter(Mono(5), "late");
        queue.enter(Mono(1), "first");
        let second = queue.enter(Mono(1), "second");
        queue.enter(Mono(1), "third");
        queue.withdraw(second);
        queue.withdraw_all(|entry| *entry == "late");
        assert_eq!(queue.next(), Some(Mono(1)));
        assert_eq!(queue.take(), Some((Mono(1), "first")));
        assert_eq!(queue.take(), Some((Mono(1), "third")));
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn it_behaves_like_a_tree_of_what_was_entered() {
        let mut rng = Rng::new(7);
        let (mut queue, mut tree) = (Queue::default(), BTreeMap::new());
        let mut tickets = Vec::new();
        for number in 0..20_000_u64 {
            match rng.below(8) {
                0..4 => {
                    let at = Mono(rng.below(1_000));
                    tickets.push((queue.enter(at, number), (at, number)));
                    tree.insert((at, number), number);
                }
                4 | 5 if !tickets.is_empty() => {
                    let (ticket, key) = tickets[rng.below(tickets.len() as u64) as usize];
                    queue.withdraw(ticket);
                    tree.remove(&key);
                }
                6 if number % 100 == 0 => {
                    queue.withdraw_all(|entry| entry % 3 == 0);
                    tree.retain(|_, entry| *entry % 3 != 0);
                }
                _ => {
                    let first = tree.pop_first();
                    assert_eq!(queue.take(), first.map(|((at, _), entry)| (at, entry)));
                }
            }
            assert_eq!(queue.next(), tree.first_key_value().map(|((at, _), _)| *at));
            assert!(queue.tickets.len() <= STALE_MIN + 2 * tree.len());
        }
        assert!(queue.entries().eq(tree.values()));
    }
}
