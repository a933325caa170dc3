//! What happens next: entries by time and, at one time, in the order in which they were entered.
//!
//! That order is part of a run, so it must not depend on anything else. Entries can be withdrawn,
//! because a crash ends what a node was waiting for.

use alloc::collections::BTreeMap;

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
    due: BTreeMap<Ticket, T>,
    entered: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), entered: 0 }
    }
}

impl<T> Queue<T> {
    pub(super) fn enter(&mut self, at: Mono, entry: T) -> Ticket {
        let ticket = Ticket { at, number: self.entered };
        self.entered += 1;
        self.due.insert(ticket, entry);
        ticket
    }

    /// Takes an entry back; one that is no longer there is nothing to take.
    pub(super) fn withdraw(&mut self, ticket: Ticket) {
        self.due.remove(&ticket);
    }

    pub(super) fn withdraw_all(&mut self, mut which: impl FnMut(&T) -> bool) {
        self.due.retain(|_, entry| !which(entry));
    }

    /// All entries, in the order in which they are due.
    pub(super) fn entries(&self) -> impl Iterator<Item = &T> {
        self.due.values()
    }

    /// When the next entry is due.
    pub(super) fn next(&self) -> Option<Mono> {
        self.due.first_key_value().map(|(ticket, _)| ticket.at)
    }

    pub(super) fn take(&mut self) -> Option<(Mono, T)> {
        self.due.pop_first().map(|(ticket, entry)| (ticket.at, entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
