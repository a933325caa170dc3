//! The search for an order of the operations on one key.
//!
//! Wing and Gong's search ("Testing and verifying concurrent objects", 1993) with Lowe's memory of what
//! was tried ("Testing for linearizability", 2017): the next operation in the order is one that was
//! called before any of those left has returned; a set of operations with a value that was reached
//! before, on another way, need not be tried again.
//!
//! What a key with one value allows keeps the tree narrow. None of these rules loses an order:
//!
//! - An operation that may come next, returns what is there and changes nothing comes next.
//! - A write whose value nobody left expects comes right before the next write, if it may: there it is
//!   seen by nobody. All such writes then go along with that one, in one step.
//! - A value that some answer left needs, and that nobody left can bring back, is not overwritten.
//! - A write with an unknown outcome is used only where somebody left expects its value.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::Bounds;
use crate::time::Mono;

/// A value of the key by number; [`Item::ABSENT`] if there is none.
pub(super) type Value = u32;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) called: Mono,
    /// None if it may have no effect, or one at any later time.
    pub(super) returned: Option<Mono>,
    /// The value that must be there.
    pub(super) expects: Option<Value>,
    /// The value that is there afterwards, if it changes that.
    pub(super) leaves: Option<Value>,
}

impl Item {
    /// The value of a key that has none, as every key at first.
    pub(super) const ABSENT: Value = 0;

    fn is_sure(&self) -> bool {
        self.returned.is_some()
    }

    /// From when on nothing may come before it any more.
    fn deadline(&self) -> Mono {
        self.returned.unwrap_or(Mono(u64::MAX))
    }

    fn is_plain_write(&self) -> bool {
        self.expects.is_none() && self.leaves.is_some()
    }
}

/// What a search came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// There is an order.
    Order,
    /// There is none.
    NoOrder,
    /// It was given up.
    OutOfSteps,
    /// It was given up.
    OutOfMemory,
}

/// Looks for an order of operations, given in the order of their calls. What it takes is taken from
/// the steps.
pub(super) fn search(items: &[Item], bounds: &mut Bounds) -> Found {
    let mut search = Search::new(items, *bounds);
    let found = search.run();
    bounds.steps = search.bounds.steps;
    found
}

struct Search {
    items: Vec<Item>,
    bounds: Bounds,
    /// The operations left, in the order of their calls: a ring of indices with the number of all
    /// operations as its head.
    next: Vec<usize>,
    previous: Vec<usize>,
    sure_left: usize,
    value: Value,
    /// Of each value, who is left that has to do with it.
    demand: Vec<Demand>,
    placed: Placed,
    /// The operations in the order found so far.
    order: Vec<usize>,
    choices: Vec<Choice>,
    tried: BTreeSet<Vec<u64>>,
}

/// Who of the operations left has to do with a value.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    /// How many expect it.
    expect: u32,
    /// How many of these were done for certain.
    need: u32,
    /// How many leave it.
    leave: u32,
}

/// A point at which one of several operations comes next.
struct Choice {
    candidates: Vec<usize>,
    /// How many of them were tried.
    tried: usize,
    /// The length of the order here.
    placed: usize,
    value: Value,
}

impl Search {
    fn new(items: &[Item], bounds: Bounds) -> Self {
        let values = items.iter().flat_map(|item| [item.expects, item.leaves]).flatten().max();
        let mut demand = vec![Demand::default(); values.unwrap_or(0) as usize + 1];
        for item in items {
            count(&mut demand, item, |number| *number += 1);
        }
        let useful = |item: &&Item| {
            item.is_sure() || item.leaves.is_some_and(|value| demand[value as usize].expect > 0)
        };
        let (useful, useless): (Vec<&Item>, Vec<&Item>) = items.iter().partition(useful);
        for item in useless {
            count(&mut demand, item, |number| *number -= 1);
        }
        let items: Vec<Item> = useful.into_iter().copied().collect();
        let head = items.len();
        Self {
            bounds,
            next: (1..=head).chain([0]).collect(),
            previous: [head].into_iter().chain(0..head).collect(),
            sure_left: items.iter().filter(|item| item.is_sure()).count(),
            value: Item::ABSENT,
            demand,
            placed: Placed::new(&items),
            order: Vec::new(),
            choices: Vec::new(),
            tried: BTreeSet::new(),
            items,
        }
    }

    fn run(&mut self) -> Found {
        let from_nowhere = |value: &Demand| value.need > 0 && value.leave == 0;
        if self.demand.iter().skip(1).any(from_nowhere) {
            return Found::NoOrder;
        }
        loop {
            self.place_what_fits();
            if self.sure_left == 0 {
                return Found::Order;
            }
            if self.bounds.steps == 0 {
                return Found::OutOfSteps;
            }
            if !self.remember() {
                return Found::OutOfMemory;
            }
            if !self.go_on() {
                return Found::NoOrder;
            }
        }
    }

    /// Places every operation that may come next, expects what is there, and leaves it there.
    fn place_what_fits(&mut self) {
        let value = Some(self.value);
        self.walk(|search, index, item| {
            let fits = item.expects == value && (item.leaves.is_none() || item.leaves == value);
            if fits && item.is_sure() {
                search.place(index);
            }
            fits && item.is_sure()
        });
    }

    /// If this was not tried before, what may come next becomes a choice. Whether there was room.
    fn remember(&mut self) -> bool {
        // A value that nobody left expects is as good as any other such value.
        let seen = self.demand[self.value as usize].expect > 0;
        let key = self.placed.key(if seen { self.value } else { Value::MAX });
        self.bounds.steps = self.bounds.steps.saturating_sub(self.placed.words.len() as u64 / 8);
        let bytes = 8 * key.len() as u64 + 64;
        if self.tried.insert(key) {
            let candidates = self.candidates();
            let bytes = bytes + 8 * candidates.len() as u64;
            let (placed, value) = (self.order.len(), self.value);
            self.choices.push(Choice { candidates, tried: 0, placed, value });
            let Some(left) = self.bounds.memory.checked_sub(bytes) else { return false };
            self.bounds.memory = left;
        }
        true
    }

    /// Takes the next candidate of the last choice that has one; false if none has.
    fn go_on(&mut self) -> bool {
        while let Some(choice) = self.choices.last_mut() {
            let candidate = choice.candidates.get(choice.tried).copied();
            choice.tried += 1;
            let (placed, value) = (choice.placed, choice.value);
            while self.order.len() > placed {
                self.take_back();
            }
            self.value = value;
            if let Some(candidate) = candidate {
                self.take(candidate);
                return true;
            }
            self.choices.pop();
        }
        false
    }

    /// Every write that may come next and is worth trying, the most urgent first.
    fn candidates(&mut self) -> Vec<usize> {
        let mut found = Vec::new();
        // Until when a value must be there at the latest.
        let mut wanted: Vec<(Value, Mono)> = Vec::new();
        self.walk(|search, index, item| {
            if let Some(value) = item.expects {
                wanted.push((value, item.deadline()));
            }
            if search.is_worth_trying(item) {
                found.push(index);
            }
            false
        });
        wanted.sort_unstable();
        wanted.dedup_by_key(|(value, _)| *value);
        let mut keyed: Vec<_> = found.iter().map(|index| self.urgency(*index, &wanted)).collect();
        keyed.sort_unstable();
        // Among writes that nobody sees, and among equal ones without an end, one stands for all.
        keyed.dedup_by_key(|(unseen, _, twin, index)| (*unseen, twin.ok_or(*index)));
        keyed.into_iter().map(|(.., index)| index).collect()
    }

    fn is_worth_trying(&self, item: &Item) -> bool {
        let Some(leaves) = item.leaves else { return false };
        if item.expects.is_some_and(|value| value != self.value) {
            return false;
        }
        if !item.is_sure() {
            let own = u32::from(item.expects == Some(leaves));
            if leaves == self.value || self.demand[leaves as usize].expect == own {
                return false;
            }
        }
        let here = self.demand[self.value as usize];
        let own = u32::from(item.is_sure() && item.expects.is_some());
        leaves == self.value || here.need == own || here.leave > 0
    }

    /// What candidates are sorted by: whether nobody sees it, until when it is needed, which others
    /// are just like it, and the operation itself.
    fn urgency(
        &self,
        index: usize,
        wanted: &[(Value, Mono)],
    ) -> (bool, Mono, Option<Value>, usize) {
        let item = self.items[index];
        let leaves = item.leaves.unwrap_or(Item::ABSENT);
        let unseen = item.is_plain_write() && self.demand[leaves as usize].expect == 0;
        let by = wanted.binary_search_by_key(&leaves, |(value, _)| *value);
        let by = by.map_or(Mono(u64::MAX), |at| wanted[at].1);
        let endless = (!item.is_sure() && item.is_plain_write()).then_some(leaves);
        let twin = if unseen { Some(Value::MAX) } else { endless };
        (unseen, by.min(item.deadline()), twin, index)
    }

    /// Places a candidate, and before it all writes that nobody sees there.
    fn take(&mut self, candidate: usize) {
        let item = self.items[candidate];
        if item.is_plain_write() {
            self.walk(|search, index, item| {
                let unseen = item.is_sure()
                    && item.is_plain_write()
                    && item.leaves.is_some_and(|value| search.demand[value as usize].expect == 0);
                if unseen && index != candidate {
                    search.place(index);
                }
                unseen && index != candidate
            });
        }
        self.place(candidate);
        self.value = item.leaves.unwrap_or(self.value);
    }

    /// Shows all operations that may come next, in the order of their calls. One of which `visit`
    /// says that it was placed no longer stands before others.
    fn walk(&mut self, mut visit: impl FnMut(&mut Self, usize, &Item) -> bool) {
        let head = self.items.len();
        let mut deadline = Mono(u64::MAX);
        let mut index = self.next[head];
        while index != head && self.items[index].called <= deadline {
            self.bounds.steps = self.bounds.steps.saturating_sub(1);
            let (item, next) = (self.items[index], self.next[index]);
            if !visit(self, index, &item) {
                deadline = deadline.min(item.deadline());
            }
            index = next;
        }
    }

    fn place(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = next;
        self.previous[next] = previous;
        let item = self.items[index];
        count(&mut self.demand, &item, |number| *number -= 1);
        self.sure_left -= usize::from(item.is_sure());
        self.placed.turn(index);
        self.order.push(index);
    }

    fn take_back(&mut self) {
        let Some(index) = self.order.pop() else { return };
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = index;
        self.previous[next] = index;
        let item = self.items[index];
        count(&mut self.demand, &item, |number| *number += 1);
        self.sure_left += usize::from(item.is_sure());
        self.placed.turn(index);
    }
}

/// Changes the numbers of those who are left by one operation.
fn count(demand: &mut [Demand], item: &Item, change: impl Fn(&mut u32)) {
    if let Some(value) = item.expects {
        let demand = &mut demand[value as usize];
        change(&mut demand.expect);
        if item.is_sure() {
            change(&mut demand.need);
        }
    }
    if let Some(value) = item.leaves {
        change(&mut demand[value as usize].leave);
    }
}

/// Which operations are placed, a bit for each: first those that were done for certain, for they are
/// placed nearly in order, and so a long history has short keys.
struct Placed {
    words: Vec<u64>,
    /// How many of the words are of those that were done for certain.
    sure: usize,
    /// The bit of each operation.
    bits: Vec<usize>,
}

impl Placed {
    fn new(items: &[Item]) -> Self {
        let sure_items = items.iter().filter(|item| item.is_sure()).count();
        let sure = sure_items.div_ceil(64);
        let (mut first, mut second) = (0, 64 * sure);
        let bits = items.iter().map(|item| {
            let bit = if item.is_sure() { &mut first } else { &mut second };
            *bit += 1;
            *bit - 1
        });
        let bits = bits.collect();
        Self { words: vec![0; second.div_ceil(64)], sure, bits }
    }

    fn turn(&mut self, index: usize) {
        let bit = self.bits[index];
        self.words[bit / 64] ^= 1 << (bit % 64);
    }

    /// The set and the value, without the words at the ends that say nothing.
    fn key(&self, value: Value) -> Vec<u64> {
        let (sure, unsure) = self.words.split_at(self.sure);
        let first = sure.iter().position(|word| *word != u64::MAX).unwrap_or(sure.len());
        let end =
            sure.iter().rposition(|word| *word != 0).map_or(first, |last| first.max(last + 1));
        let head = (u64::from(value) << 32) | first as u64;
        [head].into_iter().chain(sure[first..end].iter().chain(unsure).copied()).collect()
    }
}
