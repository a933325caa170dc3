//! What happens next: entries by time and, at one time, in the order in which they were entered.
//!
//! That order is part of a run, so it must not depend on anything else. Entries can be withdrawn,
//! because a crash ends what a node was waiting for. The next one is the last of the map, where taking it
//! out moves no other.

use core::cmp::Reverse;

use crate::ordered::Map;
use crate::time::Mono;

/// Names an entry. Later entries have greater numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    at: Mono,
    number: u64,
}

impl Ticket {
    /// When the entry is due.
    pub(super) fn at(self) -> Mono {
        self.at
    }
}

#[derive(Clone, Debug)]
pub(super) struct Queue<T> {
    entries: Map<Reverse<Ticket>, T>,
    entered: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { entries: Map::new(), entered: 0 }
    }
}

impl<T> Queue<T> {
    pub(super) fn enter(&mut self, at: Mono, entry: T) -> Ticket {
        let ticket = Ticket { at, number: self.entered };
        self.entered += 1;
        self.entries.insert(Reverse(ticket), entry);
        ticket
    }

    /// Takes an entry back; one that is no longer there is nothing to take.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        self.entries.remove(&Reverse(ticket));
    }

    pub(super) fn withdraw_all(&mut self, mut which: impl FnMut(&T) -> bool) {
        self.entries.retain(|_, entry| !which(entry));
    }

    /// All entries, in the order in which they are due.
    pub(super) fn entries(&self) -> impl Iterator<Item = &T> {
        self.entries.values().rev()
    }

    /// When the next entry is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.entries.last_key_value().map(|(Reverse(ticket), _)| ticket.at)
    }

    pub(super) fn take(&mut self) -> Option<(Mono, T)> {
        let (Reverse(ticket), entry) = self.entries.pop_last()?;
        Some((ticket.at, entry))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::vec::Vec;

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
        }
        assert!(queue.entries().eq(tree.values()));
    }
}
