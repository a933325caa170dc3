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
//! - A write whose value nobody left can find comes right before the next write, if it may: there it is
//!   seen by nobody. All such writes then go along with that one, in one step.
//! - If nobody left can find what is there, a write whose readers all may come right after it is next.
//! - A value that some answer left needs, and that nobody left can bring back, is not overwritten.
//! - A write with an unknown outcome is used only where somebody left expects its value.
//!
//! Nobody can find a value who was called after something else had surely replaced it.

use alloc::vec;
use alloc::vec::Vec;

use super::Bounds;
use super::item::{Item, Value, reach};
use super::placed::Placed;
use super::rings::Rings;
use crate::ordered::Set;
use crate::time::Mono;

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
    /// The operations left, in the order of their calls. The first ring has all of them, and there is
    /// another for each value with those who expect it.
    left: Rings,
    expecting: Rings,
    /// Who is called later than this cannot find what the operation left.
    reach: Vec<Mono>,
    sure_left: usize,
    value: Value,
    /// Of each value, who is left that has to do with it.
    demand: Vec<Demand>,
    placed: Placed,
    /// The operations in the order found so far.
    order: Vec<usize>,
    choices: Vec<Choice>,
    tried: Set<Vec<u64>>,
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
        let (mut left, mut expecting) =
            (Rings::new(items.len(), 1), Rings::new(items.len(), demand.len()));
        for (index, item) in items.iter().enumerate() {
            left.append(0, index);
            if let Some(value) = item.expects {
                expecting.append(value as usize, index);
            }
        }
        Self {
            bounds,
            left,
            expecting,
            reach: reach(&items),
            sure_left: items.iter().filter(|item| item.is_sure()).count(),
            value: Item::ABSENT,
            demand,
            placed: Placed::new(&items),
            order: Vec::new(),
            choices: Vec::new(),
            tried: Set::new(),
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
        let (candidates, found) = self.candidates();
        // A value that nobody left can find is as good as any other such value.
        let key = self.placed.key(if found { self.value } else { Value::MAX });
        self.bounds.steps = self.bounds.steps.saturating_sub(key.len() as u64 / 8);
        let bytes = 8 * (key.len() + candidates.len()) as u64 + 128;
        if self.tried.insert(key) {
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

    /// Every write that may come next and is worth trying, the most urgent first; and whether anybody
    /// left can find what is there. Who expects it and could come next has been placed, so that is only
    /// who changes it, or comes after a write of the same.
    fn candidates(&mut self) -> (Vec<usize>, bool) {
        let mut worthy = Vec::new();
        // Until when a value must be there at the latest.
        let mut wanted: Vec<(Value, Mono)> = Vec::new();
        let mut found = false;
        let deadline = self.walk(|search, index, item| {
            wanted.extend(item.expects.map(|value| (value, item.deadline())));
            found |= [item.expects, item.leaves].contains(&Some(search.value));
            if search.is_worth_trying(item) {
                worthy.push(index);
            }
            false
        });
        if !found
            && let Some(next) = worthy.iter().find(|index| self.is_read_at_once(**index, deadline))
        {
            return (vec![*next], found);
        }
        wanted.sort_unstable();
        wanted.dedup_by_key(|(value, _)| *value);
        let mut keyed: Vec<_> = worthy.iter().map(|index| self.urgency(*index, &wanted)).collect();
        keyed.sort_unstable();
        // Among writes that nobody sees, and among equal ones without an end, one stands for all.
        keyed.dedup_by_key(|(unseen, _, twin, index)| (*unseen, twin.ok_or(*index)));
        (keyed.into_iter().map(|(.., index)| index).collect(), found)
    }

    /// Whether some may come right after a write, only read it, and are all who can find it. Never, once
    /// the steps are used up.
    fn is_read_at_once(&mut self, index: usize, deadline: Mono) -> bool {
        let item = self.items[index];
        let Some(value) = item.leaves.filter(|_| item.is_plain_write()) else { return false };
        let mut readers = self.expecting.iter(value as usize).map(|reader| self.items[reader]);
        let (mut some, mut next, mut steps) = (false, None, self.bounds.steps);
        while steps > 0
            && let Some(reader) = readers.next()
        {
            steps -= 1;
            if reader.called > deadline || reader.leaves.is_some() {
                next = Some(reader.called);
                break;
            }
            some = true;
        }
        drop(readers);
        self.bounds.steps = steps;
        some && steps > 0 && next.is_none_or(|next| next > deadline.max(self.reach[index]))
    }

    /// Whether nobody left can find what a write leaves, wherever it comes.
    fn is_unseen(&self, index: usize) -> bool {
        let item = self.items[index];
        let Some(value) = item.leaves.filter(|_| item.is_plain_write() && item.is_sure()) else {
            return false;
        };
        let first = self.expecting.iter(value as usize).next();
        first.is_none_or(|first| self.items[first].called > self.reach[index])
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
        let unseen = self.is_unseen(index);
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
            self.walk(|search, index, _| {
                let along = index != candidate && search.is_unseen(index);
                if along {
                    search.place(index);
                }
                along
            });
        }
        self.place(candidate);
        self.value = item.leaves.unwrap_or(self.value);
    }

    /// Shows all operations that may come next, in the order of their calls. One of which `visit`
    /// says that it was placed no longer stands before others. Returns until when one of the others has
    /// to come.
    fn walk(&mut self, mut visit: impl FnMut(&mut Self, usize, &Item) -> bool) -> Mono {
        let mut deadline = Mono(u64::MAX);
        let mut next = self.left.first(0);
        while let Some(index) = next {
            let item = self.items[index];
            if item.called > deadline {
                break;
            }
            self.bounds.steps = self.bounds.steps.saturating_sub(1);
            next = self.left.after(index);
            if !visit(self, index, &item) {
                deadline = deadline.min(item.deadline());
            }
        }
        deadline
    }

    fn place(&mut self, index: usize) {
        self.left.take_out(index);
        self.expecting.take_out(index);
        let item = self.items[index];
        count(&mut self.demand, &item, |number| *number -= 1);
        self.sure_left -= usize::from(item.is_sure());
        self.placed.turn(index);
        self.order.push(index);
    }

    fn take_back(&mut self) {
        let Some(index) = self.order.pop() else { return };
        self.left.put_back(index);
        self.expecting.put_back(index);
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
