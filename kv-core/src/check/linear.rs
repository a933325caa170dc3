//! Linearizability: one order of all operations on a key that agrees with the clock and explains every
//! answer (Herlihy and Wing, "Linearizability", 1990).
//!
//! Keys are judged one by one, for a history is linearizable exactly if it is so on each key (locality,
//! section 3 there). A failed operation drops out; so does a read without an answer. A write with an
//! unknown outcome may take its place at any time after its call, or nowhere.
//!
//! [`search`] looks for the order and [`witness`] names the contradiction if there is none. The search
//! is exponential at worst, so it is bounded and says when it gave up.
//!
//! Left out: answers that tell something without having an effect, such as a compare-and-set that found
//! another value: it counts as failed.

mod item;
mod placed;
mod rings;
mod search;
mod witness;

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use self::item::{Item, Value};
use self::search::Found;
use super::history::{Kind, Operation, value_words};
use super::{Promise, Verdict, by_key};
use crate::ordered::Map;
use crate::time::Mono;

/// How much may be spent on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How often an operation is looked at; some ten million take a second or less.
    pub steps: u64,
    /// How many bytes the memory of what was tried takes.
    pub memory: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { steps: 20_000_000, memory: 256 << 20 }
    }
}

/// Judges whether a history is linearizable. Of several keys that are not, the one where that shows
/// first is named.
#[must_use]
pub fn check(history: &[Operation], bounds: Bounds) -> Verdict {
    let keys = by_key(history).into_iter();
    let verdicts = keys.map(|(key, operations)| check_key(key, &operations, bounds));
    verdicts.fold(Verdict::Holds, Verdict::and)
}

fn check_key(key: &Bytes, operations: &[&Operation], bounds: Bounds) -> Verdict {
    let task = Task::of(operations);
    let items = task.known_at(Mono(u64::MAX));
    let items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
    let bound = match search::search(&items, &mut bounds.clone()) {
        Found::Order => return Verdict::Holds,
        Found::NoOrder => return Verdict::Wrong(witness::object(key, &task, bounds)),
        Found::OutOfSteps => format!("{} steps", bounds.steps),
        Found::OutOfMemory => format!("{} bytes of memory", bounds.memory),
    };
    Verdict::Undecided(format!(
        "{}: whether an order explains the {} operations on key {} was not found out within {bound}",
        Promise::Linearizability,
        items.len(),
        value_words(Some(key)),
    ))
}

/// The operations on one key that count, in the order of their calls.
struct Task<'a>(Vec<Entry<'a>>);

struct Entry<'a> {
    operation: &'a Operation,
    item: Item,
    /// When it was known that it had not been done; its outcome was unknown until then.
    failed: Option<Mono>,
}

impl<'a> Task<'a> {
    /// What counts of the operations on one key, given in the order of their calls.
    fn of(operations: &[&'a Operation]) -> Self {
        let mut values = Values::default();
        let entries = operations.iter().filter_map(|operation| {
            let item = values.item(operation)?;
            let end = operation.end.as_ref().filter(|_| operation.failed());
            let failed = end.map(|end| end.at.max(operation.called));
            Some(Entry { operation, item, failed })
        });
        Self(entries.collect())
    }

    /// The operations as they were known at a moment, with their places among all: what was not answered
    /// yet had no known outcome, and what had failed drops out.
    fn known_at(&self, at: Mono) -> Vec<(usize, Item)> {
        let entries = self.0.iter().enumerate();
        let known = entries.filter(|(_, entry)| {
            entry.item.called <= at && entry.failed.is_none_or(|failed| failed > at)
        });
        known.filter_map(|(place, entry)| Some((place, entry.item.known_at(at)?))).collect()
    }
}

/// Small numbers for the values of a key.
#[derive(Default)]
struct Values<'a> {
    known: Map<&'a Bytes, Value>,
    last: Value,
}

impl<'a> Values<'a> {
    fn item(&mut self, operation: &'a Operation) -> Option<Item> {
        let done = operation.done();
        if done.is_none() && operation.kind == Kind::Read {
            return None;
        }
        let expects = match &operation.kind {
            Kind::Write(_) | Kind::Delete => None,
            Kind::CompareAndSet { old, .. } => Some(self.number(old.as_ref())),
            Kind::Read => Some(match operation.found() {
                [] => Item::ABSENT,
                [value] => self.number(Some(value)),
                // A key has one value at a time: nobody ever leaves this.
                _ => self.fresh(),
            }),
        };
        let leaves = operation.leaves().map(|value| self.number(value));
        // An answer before its question is taken for one that came at once.
        let returned = done.map(|(at, _)| at.max(operation.called));
        Some(Item { called: operation.called, returned, expects, leaves })
    }

    fn number(&mut self, value: Option<&'a Bytes>) -> Value {
        let Some(value) = value else { return Item::ABSENT };
        if let Some(number) = self.known.get(value) {
            return *number;
        }
        let number = self.fresh();
        self.known.insert(value, number);
        number
    }

    fn fresh(&mut self) -> Value {
        self.last += 1;
        self.last
    }
}
