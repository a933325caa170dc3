//! Sessions on a key whose answers are values only.
//!
//! Each pair of following operations of a client says that the value of the first comes before that of
//! the second: because it wrote the first and read the second, or read both, and so on. Sessions that
//! keep all four guarantees give one order of the writes; if the pairs go round in a circle, at least
//! one of the guarantees in it is broken. The pair that closed the circle names it.
//!
//! A read whose value was written twice could mean either write and is passed over; so is one that
//! found nothing on a key that was deleted, and one that found several values. The verdict is then
//! undecided unless the rest is wrong. A write with an unknown outcome comes after what its client did
//! before it, but nothing comes after it: it may take effect at any later time.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{clients, guarantee};
use crate::check::history::{Kind, Operation, value_words};
use crate::check::{Objection, Promise, Verdict};
use crate::ordered::Map;
use crate::time::Mono;

pub(super) fn check(key: &Bytes, operations: &[&Operation]) -> Verdict {
    let mut order = Order::default();
    let mut writes = Writes::of(operations, &mut order);
    for session in clients(operations) {
        let mut last: Option<(usize, bool, &Operation)> = None;
        for operation in session {
            let at = operation.done().map_or(operation.called, |(at, _)| at);
            for (version, writes) in writes.touched(operation, &mut order) {
                if let Some((before, wrote, first)) = last.filter(|(last, ..)| *last != version) {
                    let promise = guarantee(wrote, writes);
                    order.pairs.push(Pair {
                        before,
                        after: version,
                        promise,
                        first,
                        at,
                        second: operation,
                    });
                }
                if operation.done().is_some() {
                    last = Some((version, writes, operation));
                }
            }
        }
    }
    order.pairs.sort_by_key(|pair| (pair.at, pair.second.number));
    if let Some((closing, back)) = order.first_circle() {
        return Verdict::Wrong(object(key, &closing, &back));
    }
    match writes.passed_over {
        None => Verdict::Holds,
        Some(number) => Verdict::Undecided(format!(
            "sessions: on key {}, what #{number} found could be the work of more than one write, so it was passed over and others like it; write every value once",
            value_words(Some(key)),
        )),
    }
}

/// Which write brought which value. A version is a write, the absence at first, or a value that nobody
/// wrote.
struct Writes<'a> {
    by_number: Map<u64, usize>,
    /// The version of a value; none if there are several.
    by_value: Map<Option<&'a Bytes>, Option<usize>>,
    /// The first read that could mean several.
    passed_over: Option<u64>,
}

/// The version of a key that was never written.
const AT_FIRST: usize = 0;

impl<'a> Writes<'a> {
    fn of(operations: &[&'a Operation], order: &mut Order<'_>) -> Self {
        let by_value = Map::from([(None, Some(AT_FIRST))]);
        let mut writes = Self { by_number: Map::new(), by_value, passed_over: None };
        for operation in operations.iter().filter(|operation| !operation.failed()) {
            let Some(value) = operation.leaves() else { continue };
            let version = order.version();
            writes.by_number.insert(operation.number, version);
            if writes.by_value.insert(value, Some(version)).is_some() {
                writes.by_value.insert(value, None);
            }
        }
        writes
    }

    /// The versions an operation has to do with, in their order, and whether it wrote them.
    fn touched(&mut self, operation: &'a Operation, order: &mut Order<'_>) -> Vec<(usize, bool)> {
        let found = match (&operation.kind, operation.done()) {
            (Kind::Read, Some((_, answer))) => match answer.values.as_slice() {
                [] => Some(Some(None)),
                [value] => Some(Some(Some(value))),
                _ => Some(None),
            },
            (Kind::CompareAndSet { old, .. }, Some(_)) => Some(Some(old.as_ref())),
            _ => None,
        };
        let mut versions = Vec::new();
        if let Some(value) = found {
            let known = value.and_then(|value| {
                *self.by_value.entry(value).or_insert_with(|| Some(order.version()))
            });
            match known {
                Some(version) => versions.push((version, false)),
                None => self.passed_over = self.passed_over.or(Some(operation.number)),
            }
        }
        versions.extend(self.by_number.get(&operation.number).map(|version| (*version, true)));
        versions
    }
}

/// What is known of the order of the versions.
#[derive(Default)]
struct Order<'a> {
    /// How many versions there are besides the absence at first.
    versions: usize,
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
    fn version(&mut self) -> usize {
        self.versions += 1;
        self.versions
    }

    /// The earliest pair that closes a circle, and the shortest way back; none if there is an order.
    fn first_circle(&self) -> Option<(Pair<'a>, Vec<Pair<'a>>)> {
        if !self.is_circular(self.pairs.len()) {
            return None;
        }
        let (mut low, mut high) = (1, self.pairs.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.is_circular(middle) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        let closing = self.pairs[low - 1];
        Some((closing, self.way(closing.after, closing.before, low)))
    }

    /// Whether the first so many pairs allow no order.
    fn is_circular(&self, count: usize) -> bool {
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

fn object(key: &Bytes, closing: &Pair<'_>, back: &[Pair<'_>]) -> Objection {
    let said = |pair: &Pair<'_>| {
        if pair.first.number == pair.second.number {
            return format!("{}", pair.first);
        }
        format!("{}, then {}", pair.first, pair.second)
    };
    let why: Vec<String> =
        back.iter().map(|pair| format!("{} ({})", said(pair), pair.promise)).collect();
    let opposite = match why.as_slice() {
        [] => String::from("nothing is there only before the first write"),
        why => format!("the opposite follows from {}", why.join("; ")),
    };
    let pairs = back.iter().chain([closing]);
    let numbers = pairs.flat_map(|pair| [pair.first.number, pair.second.number]).collect();
    let words = format!("on key {}, {}; but {opposite}", value_words(Some(key)), said(closing));
    Objection::new(closing.promise, numbers, closing.at, words)
}
