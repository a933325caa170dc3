//! Sessions on a key whose answers are values only.
//!
//! Each pair of following operations of a client says that the value of the first comes before that of
//! the second: because it wrote the first and read the second, or read both, and so on. Sessions that
//! keep all four guarantees give one order of the writes; if the pairs go round in a circle, at least
//! one of the guarantees in it is broken. The pair that closed the circle names it.
//!
//! A read whose value was written twice could mean either write and is passed over; so is one that
//! found nothing on a key that was deleted, and one that found several values, and a compare-and-set that
//! found such. The verdict is then undecided unless the rest is wrong. A write with an unknown outcome comes after what its client did
//! before it, but nothing comes after it: it may take effect at any later time.
//!
//! A witness begins as the shortest way round the circle. Operations are then left out as long as what is
//! left of the sessions still has one, but never so that another write becomes the one that was read.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::{clients, guarantee};
use crate::check::history::{Kind, Operation, value_words};
use crate::check::witness::{first_moment, shrink};
use crate::check::{Objection, Promise, Verdict, list};
use crate::ordered::{self, Map, Set};
use crate::time::Mono;

/// How many operations are looked at to make a witness small.
const EFFORT: u64 = 20_000_000;

pub(super) fn check(key: &Bytes, operations: &[&Operation]) -> Verdict {
    let known = Known::at(Mono(u64::MAX), operations);
    if known.order().is_circular()
        && let Some(objection) = object(key, operations)
    {
        return Verdict::Wrong(objection);
    }
    match known.passed_over {
        None => Verdict::Holds,
        Some(number) => Verdict::Undecided(format!(
            "sessions: on key {}, what #{number} found could be the work of more than one write, so it was passed over and others like it; write every value once",
            value_words(Some(key)),
        )),
    }
}

/// What is known of the sessions on a key at a moment.
struct Known<'a> {
    /// Client by client, each in the order of its calls.
    touches: Vec<Touch<'a>>,
    /// How many versions there are besides the absence at first.
    versions: usize,
    /// The first read that could mean several.
    passed_over: Option<u64>,
}

/// An operation, and what it has to do with.
#[derive(Clone)]
struct Touch<'a> {
    operation: &'a Operation,
    /// In their order, and whether it wrote them.
    versions: Vec<(usize, bool)>,
    /// When it was known to touch them.
    at: Mono,
    /// Whether it was done, so that what its client does later comes after it.
    done: bool,
}

impl<'a> Known<'a> {
    /// Given the operations in the order of their calls. What was not answered at the moment had no known
    /// outcome.
    fn at(moment: Mono, operations: &[&'a Operation]) -> Self {
        let has_failed = |operation: &Operation| {
            operation.failed() && operation.end.as_ref().is_some_and(|end| end.at <= moment)
        };
        let called = operations.iter().copied();
        let called = called.filter(|operation| operation.called <= moment);
        let operations: Vec<&Operation> =
            called.filter(|operation| !has_failed(operation)).collect();
        let mut writes = Writes::of(&operations);
        let mut touches = Vec::new();
        for operation in clients(&operations).flatten() {
            let done = operation.done().map(|(at, _)| at).filter(|at| *at <= moment);
            let versions = writes.touched(operation, done.is_some());
            let at = done.unwrap_or(operation.called);
            touches.push(Touch { operation, versions, at, done: done.is_some() });
        }
        Self { touches, versions: writes.versions, passed_over: writes.passed_over }
    }

    fn order(&self) -> Order<'a> {
        Order::of(&self.touches, self.versions)
    }

    /// Of these operations only, with versions numbered anew.
    fn only(self, operations: &[&Operation]) -> Self {
        let mut touches = some(&self.touches, operations);
        let mut anew = Map::from([(AT_FIRST, AT_FIRST)]);
        let mut last = AT_FIRST;
        for (version, _) in touches.iter_mut().flat_map(|touch| &mut touch.versions) {
            *version = *anew.entry(*version).or_insert_with(|| {
                last += 1;
                last
            });
        }
        Self { touches, versions: last, passed_over: self.passed_over }
    }
}

fn some<'a>(touches: &[Touch<'a>], operations: &[&Operation]) -> Vec<Touch<'a>> {
    let named: Set<u64> = operations.iter().map(|operation| operation.number).collect();
    let touches = touches.iter().filter(|touch| named.contains(&touch.operation.number));
    touches.cloned().collect()
}

/// Which write brought which value. A version is a write, the absence at first, or a value that nobody
/// wrote.
struct Writes<'a> {
    by_number: Map<u64, usize>,
    /// The version of a value; none if there are several.
    by_value: Map<Option<&'a Bytes>, Option<usize>>,
    versions: usize,
    passed_over: Option<u64>,
}

/// The version of a key that was never written.
const AT_FIRST: usize = 0;

impl<'a> Writes<'a> {
    fn of(operations: &[&'a Operation]) -> Self {
        let by_value = Map::from([(None, Some(AT_FIRST))]);
        let mut writes = Self { by_number: Map::new(), by_value, versions: 0, passed_over: None };
        for operation in operations {
            let Some(value) = operation.leaves() else { continue };
            writes.versions += 1;
            writes.by_number.insert(operation.number, writes.versions);
            if writes.by_value.insert(value, Some(writes.versions)).is_some() {
                writes.by_value.insert(value, None);
            }
        }
        writes
    }

    /// The versions an operation has to do with, in their order, and whether it wrote them.
    fn touched(&mut self, operation: &'a Operation, done: bool) -> Vec<(usize, bool)> {
        let found = match &operation.kind {
            _ if !done => None,
            Kind::Read => match operation.found() {
                [] => Some(Some(None)),
                [value] => Some(Some(Some(value))),
                _ => Some(None),
            },
            Kind::CompareAndSet { old, .. } => Some(Some(old.as_ref())),
            Kind::Write(_) | Kind::Delete => None,
        };
        let mut touched = Vec::new();
        if let Some(value) = found {
            let known = value.and_then(|value| {
                let versions = &mut self.versions;
                *self.by_value.entry(value).or_insert_with(|| {
                    *versions += 1;
                    Some(*versions)
                })
            });
            match known {
                Some(version) => touched.push((version, false)),
                None => {
                    self.passed_over = self.passed_over.or(Some(operation.number));
                    return touched;
                }
            }
        }
        touched.extend(self.by_number.get(&operation.number).map(|version| (*version, true)));
        touched
    }
}

/// What is known of the order of the versions.
struct Order<'a> {
    /// How many versions there are besides the absence at first.
    versions: usize,
    /// In the order in which they were known.
    pairs: Vec<Pair<'a>>,
}

/// One version comes before another, because two operations of a client, or one, say so.
#[derive(Clone, Copy)]
struct Pair<'a> {
    before: usize,
    after: usize,
    promise: Promise,
    first: &'a Operation,
    second: &'a Operation,
    /// When this was known.
    at: Mono,
}

impl<'a> Order<'a> {
    /// Given what was touched, client by client.
    fn of(touches: &[Touch<'a>], versions: usize) -> Self {
        let mut pairs = Vec::new();
        let mut last: Option<(usize, bool, &Operation)> = None;
        for Touch { operation: second, versions, at, done } in touches {
            last = last.filter(|(.., first)| first.client == second.client);
            for (after, writes) in versions.iter().copied() {
                if let Some((before, wrote, first)) = last.filter(|(last, ..)| *last != after) {
                    let promise = guarantee(wrote, writes);
                    pairs.push(Pair { before, after, promise, first, second, at: *at });
                }
                if *done {
                    last = Some((after, writes, second));
                }
            }
        }
        ordered::sort_by_key(&mut pairs, |pair| (pair.at, pair.second.number));
        Self { versions, pairs }
    }

    fn is_circular(&self) -> bool {
        self.is_circular_up_to(self.pairs.len())
    }

    /// The earliest pair that closes a circle, and the shortest way back; none if there is an order.
    fn circle(&self) -> Option<(Pair<'a>, Vec<Pair<'a>>)> {
        let counts = (1..=self.pairs.len()).collect();
        let count = first_moment(counts, |count| self.is_circular_up_to(count));
        let closing = *self.pairs[..count].last()?;
        Some((closing, self.way(closing.after, closing.before, count)))
    }

    /// Whether the first so many pairs allow no order.
    fn is_circular_up_to(&self, count: usize) -> bool {
        let pairs = &self.pairs[..count];
        if pairs.iter().any(|pair| pair.after == AT_FIRST) {
            return true;
        }
        let after = self.after(count);
        let mut waiting = vec![0_usize; self.versions + 1];
        pairs.iter().for_each(|pair| waiting[pair.after] += 1);
        let free = (0..waiting.len()).filter(|version| waiting[*version] == 0);
        let mut free: Vec<usize> = free.collect();
        let mut placed = 0;
        while let Some(version) = free.pop() {
            placed += 1;
            for pair in &after[version] {
                waiting[pair.after] -= 1;
                if waiting[pair.after] == 0 {
                    free.push(pair.after);
                }
            }
        }
        placed < waiting.len()
    }

    /// The fewest of the first so many pairs that lead from one version to another. From the absence
    /// at first everything is reached without any.
    fn way(&self, from: usize, to: usize, count: usize) -> Vec<Pair<'a>> {
        let after = self.after(count);
        let mut reached: Map<usize, Option<Pair<'a>>> = Map::from([(from, None)]);
        let mut queue = VecDeque::from([from]);
        while let Some(version) = queue.pop_front() {
            for pair in &after[version] {
                reached.entry(pair.after).or_insert_with(|| {
                    queue.push_back(pair.after);
                    Some(**pair)
                });
            }
        }
        let mut way = Vec::new();
        let mut at = to;
        while let Some(Some(pair)) = reached.get(&at) {
            way.push(*pair);
            at = pair.before;
        }
        way.reverse();
        way
    }

    fn after(&self, count: usize) -> Vec<Vec<&Pair<'a>>> {
        let mut after = vec![Vec::new(); self.versions + 1];
        for pair in &self.pairs[..count] {
            after[pair.before].push(pair);
        }
        after
    }
}

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.first.number != self.second.number {
            write!(f, ", then {}", self.second)?;
        }
        Ok(())
    }
}

/// The objection to operations that allow no order of the versions.
fn object(key: &Bytes, operations: &[&Operation]) -> Option<Objection> {
    let ends = operations.iter().filter_map(|operation| Some(operation.end.as_ref()?.at));
    let moments = operations.iter().map(|operation| operation.called).chain(ends);
    let at = first_moment(moments.collect(), |moment| {
        Known::at(moment, operations).order().is_circular()
    });
    let known = Known::at(at, operations);
    let (closing, back) = known.order().circle()?;
    let kept = contradictory(operations, at, &[back, vec![closing]].concat());
    let Known { touches, versions, .. } = known.only(&kept);
    let is_failing = |operation: &&&Operation| fails_at(operation, at);
    let some_fail = kept.iter().any(|operation| fails_at(operation, at));
    let mut effort = EFFORT;
    let kept = shrink(kept, |kept, part| {
        effort = effort.checked_sub((kept.len() + versions) as u64)?;
        let rest = [&kept[..part.start], &kept[part.end..]].concat();
        let is_wrong = Order::of(&some(&touches, &rest), versions).is_circular();
        let was_wrong = || {
            let before = at.0.checked_sub(1).map(|before| Known::at(Mono(before), &rest));
            before.is_some_and(|before| before.order().is_circular())
        };
        (is_wrong && !(some_fail && was_wrong())).then_some(rest)
    });
    let (closing, back) = Order::of(&some(&touches, &kept), versions).circle()?;
    let why = |pair: &Pair<'_>| format!("{pair} ({})", pair.promise);
    let opposite = match back.as_slice() {
        [] => String::from("nothing is there only before the first write"),
        back => {
            let why: Vec<String> = back.iter().map(why).collect();
            format!("the opposite follows from {}", list(&why, "; "))
        }
    };
    let mut words = format!("on key {}, {closing}; but {opposite}", value_words(Some(key)));
    let failing: Vec<_> = kept.iter().filter(is_failing).collect();
    if !failing.is_empty() {
        words += &format!("; nobody read the work of {}", list(&failing, "; "));
    }
    let numbers = kept.iter().map(|operation| operation.number).collect();
    Some(Objection::new(closing.promise, numbers, at, words))
}

fn fails_at(operation: &Operation, at: Mono) -> bool {
    operation.failed() && operation.end.as_ref().is_some_and(|end| end.at == at)
}

/// The operations of a circle. If a failure made clear which write brought one of its values, also what
/// failed, and that write.
fn contradictory<'a>(
    operations: &[&'a Operation],
    at: Mono,
    circle: &[Pair<'_>],
) -> Vec<&'a Operation> {
    let both = circle.iter().flat_map(|pair| [pair.first, pair.second]);
    let mut numbers: Set<u64> = both.clone().map(|operation| operation.number).collect();
    let values: Set<Option<&Bytes>> = both.flat_map(values).collect();
    let failing = operations.iter().filter(|operation| fails_at(operation, at));
    let failing = failing.filter_map(|operation| operation.leaves());
    let unclear: Set<Option<&Bytes>> = failing.filter(|value| values.contains(value)).collect();
    let known = operations.iter().filter(|operation| {
        !operation.failed() || operation.end.as_ref().is_some_and(|end| end.at >= at)
    });
    let known = known.filter(|operation| operation.called <= at);
    let writes = known.filter(|write| write.leaves().is_some_and(|value| unclear.contains(&value)));
    numbers.extend(writes.map(|write| write.number));
    let operations = operations.iter().copied();
    operations.filter(|operation| numbers.contains(&operation.number)).collect()
}

/// What an operation found, and what it left.
fn values(operation: &Operation) -> impl Iterator<Item = Option<&Bytes>> {
    let found = match &operation.kind {
        Kind::Read => Some(operation.found().first()),
        Kind::CompareAndSet { old, .. } => Some(old.as_ref()),
        Kind::Write(_) | Kind::Delete => None,
    };
    found.into_iter().chain(operation.leaves())
}
