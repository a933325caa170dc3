//! The few operations that contradict each other, out of a history for which there is no order.
//!
//! First the history is cut at the earliest answer with which it has no order any more. Then whatever
//! can be left out is, as long as the rest has no order either. Only what no order can depend on is left
//! out: reads, and writes whose value nobody else can have found. So what stays proves that the whole
//! is wrong.
//!
//! What has failed explains nothing, so it would never stay. But a failure can be what makes the rest
//! wrong: while the outcome of the write was not known, it explained an answer. Then it is named, too.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bytes::Bytes;

use super::item::{Item, Value};
use super::search::{Found, search};
use super::{Bounds, Task};
use crate::check::history::{Kind, Operation, value_words};
use crate::check::witness::{first_moment, shrink};
use crate::check::{Objection, Promise, list};
use crate::ordered::{self, Map, Set};
use crate::time::Mono;

/// How often the bounds of a verdict may be spent on the moment of its witness, on its operations, and
/// on what failed.
const EFFORT: u64 = 4;

/// Operations with their places among all of the key.
type Known = Vec<(usize, Item)>;

/// How a part of some operations is left out.
type LeaveOut<'a> = &'a dyn Fn(&[(usize, Item)], Range<usize>) -> Known;

/// The objection to the operations on a key, for which there is no order.
pub(super) fn object(key: &Bytes, task: &Task<'_>, bounds: Bounds) -> Objection {
    let steps = bounds.steps.saturating_mul(EFFORT);
    // Each has its own, else little would be left out of a long history.
    let effort = || Effort(Bounds { steps, ..bounds });
    let at = effort().first_moment(task);
    let (failed, kept): (Known, Known) = effort()
        .shrink(task, at)
        .into_iter()
        .partition(|(place, _)| task.0[*place].failed.is_some_and(|failed| failed <= at));
    let failed = effort().failures(task, at, &kept, &failed);
    let of = |known: Known| -> Vec<&Operation> {
        known.into_iter().map(|(place, _)| task.0[place].operation).collect()
    };
    let (kept, failed) = (of(kept), of(failed));
    let numbers = kept.iter().chain(&failed).map(|operation| operation.number).collect();
    let words = words(key, task, &kept, &failed, at);
    Objection::new(Promise::Linearizability, numbers, at, words)
}

/// What may still be spent.
struct Effort(Bounds);

impl Effort {
    fn search(&mut self, items: impl Iterator<Item = Item>) -> Found {
        if self.0.steps == 0 {
            return Found::OutOfSteps; // To prepare a search costs something, too.
        }
        search(&items.collect::<Vec<_>>(), &mut self.0)
    }

    /// The earliest answer with which there is no order any more.
    fn first_moment(&mut self, task: &Task<'_>) -> Mono {
        let entries = task.0.iter();
        let answers = entries.filter_map(|entry| entry.item.returned.or(entry.failed)).collect();
        first_moment(answers, |at| {
            let known = task.known_at(at).into_iter();
            self.search(known.map(|(_, item)| item)) == Found::NoOrder
        })
    }

    /// Operations that have no order as they were known at the moment, and still had one before; among
    /// them those whose failure made the difference.
    fn shrink(&mut self, task: &Task<'_>, at: Mono) -> Known {
        let is_failing = |place: usize| task.0[place].failed == Some(at);
        let mut known = task.known_at(at);
        let entries = task.0.iter().enumerate().filter(|(place, _)| is_failing(*place));
        known.extend(entries.map(|(place, entry)| (place, entry.item)));
        ordered::sort_by_key(&mut known, |(place, _)| *place);
        let some_fail = known.iter().any(|(place, _)| is_failing(*place));
        let before = |item: &Item| item.known_at(Mono(at.0.checked_sub(1)?));
        let mut still_wrong = |kept: &[(usize, Item)], part, leave_out: LeaveOut<'_>| {
            let rest = if self.0.steps == 0 { return None } else { leave_out(kept, part) };
            if rest.len() == kept.len() {
                return None;
            }
            let then = rest.iter().filter(|(place, _)| !is_failing(*place));
            let is_wrong = self.search(then.map(|(_, item)| *item)) == Found::NoOrder;
            // Where nothing fails, what is left out does not matter before either.
            let before = || rest.iter().filter_map(|(_, item)| before(item));
            let was_right = is_wrong && (!some_fail || self.search(before()) == Found::Order);
            (is_wrong && was_right).then_some(rest)
        };
        let alone: LeaveOut<'_> = &|kept, part| without(kept, part, is_failing);
        let known = shrink(known, |kept, part| still_wrong(kept, part, alone));
        // Operations that depend on each other are only left out together.
        let together: LeaveOut<'_> = &|kept, part| without_dependents(kept, part, is_failing);
        shrink(known, |kept, part| still_wrong(kept, part, together))
    }

    /// Failed operations, beside some that are known, of which one, had its outcome not been known, would
    /// have explained all that was kept; if that takes several, a set of such, and whatever could stand in
    /// for one of it.
    fn failures(&mut self, task: &Task<'_>, at: Mono, kept: &Known, some: &Known) -> Known {
        let failed = failed_before(task, at, kept);
        let enough = self.enough(kept, failed.clone());
        let mut found: Map<usize, Item> = some.iter().chain(&enough).copied().collect();
        for member in 0..enough.len() {
            let mut others = enough.clone();
            for other in &failed {
                others[member] = *other;
                if self.explains(kept, &others) {
                    found.insert(other.0, other.1);
                }
            }
        }
        found.into_iter().collect()
    }

    /// As few of some failed operations, the last ones first, as explain all of the others; none if all of
    /// them do not.
    fn enough(&mut self, kept: &Known, failed: Known) -> Known {
        if failed.is_empty() || !self.explains(kept, &failed) {
            return Vec::new();
        }
        shrink(failed, |some, part| {
            let rest = [&some[..part.start], &some[part.end..]].concat();
            self.explains(kept, &rest).then_some(rest)
        })
    }

    /// Whether operations have an order together with some that failed, if the outcome of these is taken
    /// for unknown.
    fn explains(&mut self, kept: &Known, failed: &Known) -> bool {
        let mut all = [kept.as_slice(), failed].concat();
        ordered::sort_by_key(&mut all, |(place, _)| *place);
        all.dedup_by_key(|(place, _)| *place);
        self.search(all.into_iter().map(|(_, item)| item)) == Found::Order
    }
}

/// What was known as failed at a moment and leaves what is expected, the earliest failures first.
fn failed_before(task: &Task<'_>, at: Mono, kept: &Known) -> Known {
    let mut leaving: Map<Value, Vec<(Mono, usize, Item)>> = Map::new();
    for (place, entry) in task.0.iter().enumerate() {
        let Some(failed) = entry.failed.filter(|failed| *failed <= at) else { continue };
        let value = entry.item.leaves.unwrap_or(Item::ABSENT);
        leaving.entry(value).or_default().push((failed, place, entry.item));
    }
    let mut wanted: Vec<Value> = kept.iter().filter_map(|(_, item)| item.expects).collect();
    let mut found = Vec::new();
    while let Some(value) = wanted.pop() {
        let some = leaving.remove(&value).unwrap_or_default();
        wanted.extend(some.iter().filter_map(|(.., item)| item.expects));
        found.extend(some);
    }
    ordered::sort_by_key(&mut found, |(failed, place, _)| (*failed, *place));
    found.into_iter().map(|(_, place, item)| (place, item)).collect()
}

/// What is left without that part of the operations on which the others do not depend. Nothing depends on
/// what is failing.
fn without(
    kept: &[(usize, Item)],
    part: Range<usize>,
    is_failing: impl Fn(usize) -> bool,
) -> Known {
    let mut leaving: Set<usize> = Set::new();
    leaving.extend(part);
    let is_failing = |place: usize| is_failing(kept[place].0);
    loop {
        let stays = |place: &usize| !leaving.contains(place);
        let staying = (0..kept.len()).filter(stays);
        let staying = Staying::of(staying.map(|place| (&kept[place].1, is_failing(place))));
        let before = leaving.len();
        leaving.retain(|place| is_failing(*place) || !staying.may_have_found(&kept[*place].1));
        if leaving.len() == before {
            let stays = |place: &usize| !leaving.contains(place);
            return (0..kept.len()).filter(stays).map(|place| kept[place]).collect();
        }
    }
}

/// What is left without that part of the operations, and without all that may have found what these or such
/// left: what stays has an order if all had one. Nothing depends on what is failing.
fn without_dependents(
    kept: &[(usize, Item)],
    part: Range<usize>,
    is_failing: impl Fn(usize) -> bool,
) -> Known {
    let mut leaving: Set<usize> = Set::new();
    leaving.extend(part.clone());
    let mut added: Vec<usize> = part.collect();
    let mut expecting: Map<Value, Vec<usize>> = Map::new();
    for (place, (_, item)) in kept.iter().enumerate() {
        if let Some(value) = item.expects {
            expecting.entry(value).or_default().push(place);
        }
    }
    while let Some(place) = added.pop() {
        let (of, source) = &kept[place];
        let value = source.leaves.filter(|_| !is_failing(*of));
        let Some(others) = value.and_then(|value| expecting.get_mut(&value)) else { continue };
        others.retain(|other| {
            let in_time = kept[*other].1.returned.is_none_or(|at| at >= source.called);
            if in_time && leaving.insert(*other) {
                added.push(*other);
            }
            !in_time
        });
    }
    let stays = |place: &usize| !leaving.contains(place);
    (0..kept.len()).filter(stays).map(|place| kept[place]).collect()
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
    fn of(items: impl Iterator<Item = (&'a Item, bool)>) -> Self {
        let values = Set::new();
        let mut staying = Self { writes: Vec::new(), values, expecting: Map::new() };
        staying.values.insert(Item::ABSENT);
        for (item, is_failing) in items {
            staying.values.extend(item.leaves.filter(|_| !is_failing));
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
fn words(
    key: &Bytes,
    task: &Task<'_>,
    kept: &[&Operation],
    failed: &[&Operation],
    at: Mono,
) -> String {
    let end = |operation: &Operation| operation.done().map(|(end, _)| end).filter(|end| *end <= at);
    let ended = kept.iter().filter(|operation| end(operation).is_some());
    let last = ended.max_by_key(|operation| (end(operation), operation.number));
    let Some(last) = last else { return String::new() };
    let key = value_words(Some(key));
    if kept.len() > 1 {
        let others = kept.iter().filter(|other| other.number != last.number);
        let others: Vec<_> = others.chain(failed).collect();
        let others = list(&others, "; ");
        return format!(
            "on key {key}, {last} fits into no order with what else was answered: {others}"
        );
    }
    if !failed.is_empty() {
        let failed = list(failed, "; ");
        return format!(
            "on key {key}, {last}, but what could have left that was not done: {failed}"
        );
    }
    match (&last.kind, last.found()) {
        (Kind::Read, [_, _, ..]) => format!("on key {key}, {last}, but a key has one value"),
        (Kind::Read, [value]) => {
            let mut operations = task.0.iter().map(|entry| entry.operation);
            let sound = |other: &&Operation| !other.failed() && other.leaves() == Some(Some(value));
            match operations.find(sound) {
                None => format!("on key {key}, {last}, but nobody ever wrote that"),
                Some(write) => format!("on key {key}, {last}, but that was written later: {write}"),
            }
        }
        _ => format!("on key {key}, {last}, but that was never there"),
    }
}
