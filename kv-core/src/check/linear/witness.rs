//! The few operations that contradict each other, out of a history for which there is no order.
//!
//! First the history is cut at the earliest answer with which it has no order any more. Then whatever
//! can be left out is, as long as the rest has no order either. Only what no order can depend on is left
//! out: reads, and writes whose value nobody else can have found. So what stays proves that the whole
//! is wrong.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::item::{Item, Value};
use super::search::{Found, search};
use super::{Bounds, Task};
use crate::check::history::{Kind, Operation, value_words};
use crate::check::{Objection, Promise, list};
use crate::ordered::{self, Map, Set};
use crate::time::Mono;

/// How often the bounds of a verdict may be spent on the moment of its witness, and on its operations.
const EFFORT: u64 = 4;

/// The objection to the operations on a key, for which there is no order.
pub(super) fn object(
    key: &Bytes,
    operations: &[&Operation],
    task: &Task<'_>,
    bounds: Bounds,
) -> Objection {
    let steps = bounds.steps.saturating_mul(EFFORT);
    // Each has its own, else little would be left out of a long history.
    let shrinking = || Shrinking { bounds: Bounds { steps, ..bounds } };
    let at = shrinking().first_moment(&task.items);
    let kept = shrinking().shrink(known_at(&task.items, at));
    let kept: Vec<&Operation> = kept.into_iter().map(|(index, _)| task.operations[index]).collect();
    let numbers = kept.iter().map(|operation| operation.number).collect();
    Objection::new(Promise::Linearizability, numbers, at, words(key, operations, &kept, at))
}

/// Operations as they were known at a moment, with their places among all: what was not answered yet
/// had no known outcome.
fn known_at(items: &[Item], at: Mono) -> Vec<(usize, Item)> {
    let called = items.iter().enumerate().filter(|(_, item)| item.called <= at);
    let as_then = called.map(|(index, item)| {
        (index, Item { returned: item.returned.filter(|returned| *returned <= at), ..*item })
    });
    as_then.filter(|(_, item)| item.returned.is_some() || item.leaves.is_some()).collect()
}

struct Shrinking {
    /// What may still be spent.
    bounds: Bounds,
}

impl Shrinking {
    fn has_no_order(&mut self, known: &[(usize, Item)]) -> bool {
        let items: Vec<Item> = known.iter().map(|(_, item)| *item).collect();
        search(&items, &mut self.bounds) == Found::NoOrder
    }

    /// The earliest answer with which there is no order any more.
    fn first_moment(&mut self, items: &[Item]) -> Mono {
        let mut answers: Vec<Mono> = items.iter().filter_map(|item| item.returned).collect();
        ordered::sort(&mut answers);
        answers.dedup();
        // With the last answer there is none.
        let (mut low, mut high) = (0, answers.len().saturating_sub(1));
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.has_no_order(&known_at(items, answers[middle])) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        answers.get(low).copied().unwrap_or_default()
    }

    /// Leaves out larger and then smaller parts, until nothing more can be spared, or the steps are (Zeller
    /// and Hildebrandt, "Simplifying and isolating failure-inducing input", 2002).
    fn shrink(&mut self, mut kept: Vec<(usize, Item)>) -> Vec<(usize, Item)> {
        let mut part = kept.len().next_power_of_two();
        loop {
            let mut start = 0;
            let mut changed = false;
            while start < kept.len() {
                if self.bounds.steps == 0 {
                    return kept; // Each further try would only cost its preparation.
                }
                let end = kept.len().min(start + part);
                let rest = without(&kept, start..end);
                if rest.len() < kept.len() && self.has_no_order(&rest) {
                    kept = rest;
                    changed = true;
                } else {
                    start = end;
                }
            }
            if part == 1 && !changed {
                return kept;
            }
            part = part.div_ceil(2);
        }
    }
}

/// What is left without that part of the operations on which the others do not depend.
fn without(kept: &[(usize, Item)], part: Range<usize>) -> Vec<(usize, Item)> {
    let mut leaving: Set<usize> = Set::new();
    leaving.extend(part);
    loop {
        let stays = |place: &usize| !leaving.contains(place);
        let staying = Staying::of((0..kept.len()).filter(stays).map(|place| &kept[place].1));
        let before = leaving.len();
        leaving.retain(|place| !staying.may_have_found(&kept[*place].1));
        if leaving.len() == before {
            let stays = |place: &usize| !leaving.contains(place);
            return (0..kept.len()).filter(stays).map(|place| kept[place]).collect();
        }
    }
}

/// Operations that stay when others are left out.
struct Staying<'a> {
    /// Those that were done for certain and change the value, in the order of their calls.
    writes: Vec<&'a Item>,
    /// What is there at first or left by any of them.
    values: Set<Value>,
    /// Those that expect a value, in the order of their calls.
    expecting: Map<Value, Vec<&'a Item>>,
}

impl<'a> Staying<'a> {
    fn of(items: impl Iterator<Item = &'a Item>) -> Self {
        let values = Set::new();
        let mut staying = Self { writes: Vec::new(), values, expecting: Map::new() };
        staying.values.insert(Item::ABSENT);
        for item in items {
            staying.values.extend(item.leaves);
            if item.returned.is_some() && item.leaves.is_some() {
                staying.writes.push(item);
            }
            if let Some(value) = item.expects {
                staying.expecting.entry(value).or_default().push(item);
            }
        }
        staying
    }

    /// Whether anybody could have found the value where this operation had left it: who expects it,
    /// did not return before this was called, and was not called after something else had replaced it.
    /// One source of each value stays in any case, else it would seem to come from nowhere.
    fn may_have_found(&self, item: &Item) -> bool {
        let Some(value) = item.leaves else { return false };
        let mut expecting = self.expecting.get(&value).into_iter().flatten();
        let Some(first) = expecting.find(|other| other.returned.is_none_or(|at| at >= item.called))
        else {
            return false;
        };
        let Some(returned) = item.returned.filter(|_| self.values.contains(&value)) else {
            return true;
        };
        let start = self.writes.partition_point(|other| other.called <= returned);
        !self.writes[start..].iter().any(|other| {
            other.leaves != item.leaves && other.returned.is_some_and(|at| at < first.called)
        })
    }
}

/// What is wrong, from the operation on that made it so.
fn words(key: &Bytes, operations: &[&Operation], kept: &[&Operation], at: Mono) -> String {
    let end = |operation: &Operation| operation.done().map(|(end, _)| end).filter(|end| *end <= at);
    let ended = kept.iter().filter(|operation| end(operation).is_some());
    let last = ended.max_by_key(|operation| (end(operation), operation.number));
    let Some(last) = last else { return String::new() };
    let key = value_words(Some(key));
    let others: Vec<&Operation> =
        kept.iter().copied().filter(|other| other.number != last.number).collect();
    if !others.is_empty() {
        return format!(
            "on key {key}, {last} fits into no order with what else was answered: {}",
            list(&others)
        );
    }
    let values = last.done().map_or(&[][..], |(_, answer)| &answer.values);
    match (&last.kind, values) {
        (Kind::Read, [_, _, ..]) => format!("on key {key}, {last}, but a key has one value"),
        (Kind::Read, [value]) => {
            let writes = |other: &&&Operation| other.leaves() == Some(Some(value));
            match operations.iter().find(writes) {
                None => format!("on key {key}, {last}, but nobody ever wrote that"),
                Some(write) if write.failed() => {
                    format!("on key {key}, {last}, but that write was not done: {write}")
                }
                Some(write) => format!("on key {key}, {last}, but that was written later: {write}"),
            }
        }
        _ => format!("on key {key}, {last}, but that was never there"),
    }
}
