//! What holds of the versions of a key in a store that names them with dots.
//!
//! [`check`] judges what is true whatever the quorums are. [`check_overlapping`] judges what follows
//! when every read quorum meets every write quorum: whoever begins after an operation has ended knows
//! all that was known then. It takes for granted that writes read first, that reads mend what they find
//! stale before they answer, and that no clock was pruned.
//!
//! Left out: an end to the number of siblings, and that replicas become equal; both are about what
//! nodes hold, not about answers.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use bytes::Bytes;

use super::history::{End, Kind, Operation, Outcome, Versions, value_words};
use super::{Objection, Promise, Verdict, by_key, list};
use crate::id::Incarnation;
use crate::ordered::{self, Map, Set};
use crate::time::Mono;
use crate::version::{Clock, Dot};

/// Judges that a dot names one write, that failed writes leave nothing, and that nothing sound was
/// refused.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    let keys = by_key(history).into_iter();
    let objections = keys.flat_map(|(key, operations)| {
        let refused = refused(key, &operations);
        let doubled = two_values_of_a_dot(key, &operations);
        let left = left_by_failed(key, &operations);
        [refused, doubled, left].into_iter().flatten()
    });
    objections.map(Verdict::Wrong).fold(Verdict::Holds, Verdict::and)
}

/// Judges that no update is lost and that no value comes back, where R + W > N.
#[must_use]
pub fn check_overlapping(history: &[Operation]) -> Verdict {
    let keys = by_key(history).into_iter();
    let objections = keys.filter_map(|(key, operations)| forgotten(key, &operations));
    objections.map(Verdict::Wrong).fold(Verdict::Holds, Verdict::and)
}

fn refused(key: &Bytes, operations: &[&Operation]) -> Option<Objection> {
    let ends = operations.iter().filter_map(|operation| match &operation.end {
        Some(End { at, outcome: Outcome::Refused }) => Some((*at, *operation)),
        _ => None,
    });
    let (at, first) = ends.min_by_key(|(at, operation)| (*at, operation.number))?;
    Some(object(Promise::SoundRequestsAreAccepted, key, at, &[first], "it was not wrong"))
}

fn two_values_of_a_dot(key: &Bytes, operations: &[&Operation]) -> Option<Objection> {
    let mut known: Map<Dot, (Option<&Bytes>, &Operation)> = Map::new();
    for (at, versions, operation) in ended(operations) {
        let values: Vec<Option<&Bytes>> = match operation.leaves() {
            Some(value) => vec![value],
            None => operation.found().iter().map(Some).collect(),
        };
        for (dot, value) in versions.dots.iter().zip(values) {
            let (first, by) = *known.entry(*dot).or_insert((value, operation));
            if first != value {
                let words = format!("they give event {} two values", dot_words(*dot));
                return Some(object(Promise::OneValuePerDot, key, at, &[by, operation], &words));
            }
        }
    }
    None
}

/// What was done and names versions, in the order of the answers.
fn ended<'a>(operations: &[&'a Operation]) -> Vec<(Mono, &'a Versions, &'a Operation)> {
    let done = operations.iter().filter_map(|operation| {
        operation.versions().map(|(at, versions)| (at, versions, *operation))
    });
    let mut ended: Vec<_> = done.collect();
    ordered::sort_by_key(&mut ended, |(at, _, operation)| (*at, operation.number));
    ended
}

/// A value that only failed writes carried, and that was read all the same. That is known when the value
/// was read and all of these have failed.
fn left_by_failed(key: &Bytes, operations: &[&Operation]) -> Option<Objection> {
    let mut carried: Map<&Bytes, Carriers<'_>> = Map::new();
    for operation in operations {
        if let Some(Some(value)) = operation.leaves() {
            carried.entry(value).or_default().take(operation);
        }
    }
    let reads = operations.iter().filter_map(|reader| {
        let (at, answer) = reader.done()?;
        let values = answer.values.iter().filter_map(|value| carried.get(value));
        let wrong = values.filter_map(|carriers| carriers.all_failed(at));
        let (known, writes) = wrong.min_by_key(|(known, _)| *known)?;
        Some((known.max(at), writes, *reader))
    });
    let (at, writes, reader) = reads.min_by_key(|(at, _, reader)| (*at, reader.number))?;
    let writes = writes.iter().map(|(write, _)| *write);
    let all: Vec<&Operation> = [reader].into_iter().chain(writes).collect();
    let promise = Promise::FailedWritesLeaveNothing;
    Some(object(promise, key, at, &all, "what failed was there all the same"))
}

/// Who could have brought a value.
#[derive(Default)]
struct Carriers<'a> {
    /// In the order of their calls those that failed, each with the moment at which it and all before it
    /// were known to have failed. None that was called after one that did not fail.
    failed: Vec<(&'a Operation, Mono)>,
    /// When the first was called that did not fail.
    sound: Option<Mono>,
}

impl<'a> Carriers<'a> {
    fn take(&mut self, write: &'a Operation) {
        if self.sound.is_some() {
            return;
        }
        match write.end.as_ref().filter(|_| write.failed()) {
            None => self.sound = Some(write.called),
            Some(End { at, .. }) => {
                let before = self.failed.last().map_or(*at, |(_, known)| *known);
                self.failed.push((write, before.max(*at)));
            }
        }
    }

    /// Those that were called until a moment, and since when all were known to have failed; none unless
    /// they have.
    fn all_failed(&self, until: Mono) -> Option<(Mono, &[(&'a Operation, Mono)])> {
        if self.sound.is_some_and(|called| called <= until) {
            return None;
        }
        let end = self.failed.partition_point(|(write, _)| write.called <= until);
        let (_, known) = *self.failed[..end].last()?;
        Some((known, &self.failed[..end]))
    }
}

/// The earliest answer that does not know what was known before its call.
fn forgotten(key: &Bytes, operations: &[&Operation]) -> Option<Objection> {
    let ended = ended(operations);
    let mut past = Past::of(ended.iter().map(|(_, versions, operation)| (*versions, *operation)));
    let mut over = ended.iter().peekable();
    let mut earliest: Option<Objection> = None;
    for later in operations.iter().copied() {
        while let Some((_, versions, operation)) = over.next_if(|(at, ..)| *at < later.called) {
            past.take(versions, operation);
        }
        let Some((at, versions)) = later.versions() else { continue };
        if earliest.as_ref().is_some_and(|known| known.at <= at) {
            continue;
        }
        earliest = past.object(key, at, versions, later).or(earliest);
    }
    earliest
}

/// What was known of a key by operations that have ended.
#[derive(Default)]
struct Past<'a> {
    by_writes: Frontier<'a>,
    by_reads: Frontier<'a>,
    /// Dots of values that no read has found replaced.
    standing: Set<Dot>,
    /// Dots of values that a read has found replaced.
    replaced: Map<Dot, &'a Operation>,
}

/// How far the events of each actor are known, and through which operation.
#[derive(Default)]
struct Frontier<'a>(Map<Incarnation, (u64, &'a Operation)>);

impl<'a> Frontier<'a> {
    fn take(&mut self, clock: &Clock, operation: &'a Operation) {
        for (actor, entry) in clock.entries() {
            let known = self.0.entry(actor).or_insert((0, operation));
            if known.0 < entry.counter {
                *known = (entry.counter, operation);
            }
        }
    }

    fn beyond(&self, clock: &Clock) -> Option<(Dot, &'a Operation)> {
        let events = self.0.iter();
        let mut events =
            events.map(|(&actor, &(counter, operation))| (Dot { actor, counter }, operation));
        events.find(|(dot, _)| !clock.covers(*dot))
    }
}

impl<'a> Past<'a> {
    /// Nothing is over yet; these are all answers there will be.
    fn of(answers: impl Iterator<Item = (&'a Versions, &'a Operation)>) -> Self {
        let reads = answers.filter(|(_, operation)| operation.kind == Kind::Read);
        let standing = reads.flat_map(|(versions, _)| versions.dots.iter().copied()).collect();
        Self { standing, ..Self::default() }
    }

    fn take(&mut self, versions: &Versions, operation: &'a Operation) {
        let clock = versions.context.clock();
        if operation.kind != Kind::Read {
            return self.by_writes.take(clock, operation);
        }
        self.by_reads.take(clock, operation);
        for (actor, entry) in clock.entries() {
            let known = Dot { actor, counter: 0 }..=Dot { actor, counter: entry.counter };
            let known = self.standing.range(known).copied();
            let gone: Vec<Dot> = known.filter(|dot| !versions.dots.contains(dot)).collect();
            for dot in gone {
                self.standing.remove(&dot);
                self.replaced.insert(dot, operation);
            }
        }
    }

    fn object(
        &self,
        key: &Bytes,
        at: Mono,
        versions: &Versions,
        later: &Operation,
    ) -> Option<Objection> {
        let clock = versions.context.clock();
        let beyond = self.by_writes.beyond(clock).or_else(|| self.by_reads.beyond(clock));
        if let Some((dot, earlier)) = beyond {
            let words = format!("the later does not know event {}", dot_words(dot));
            return Some(object(Promise::NoLostUpdate, key, at, &[earlier, later], &words));
        }
        if later.kind != Kind::Read {
            return None;
        }
        versions.dots.iter().find_map(|dot| {
            let earlier = self.replaced.get(dot)?;
            let dot = dot_words(*dot);
            let words = format!("the value of event {dot} was replaced and came back");
            Some(object(Promise::NoResurrection, key, at, &[earlier, later], &words))
        })
    }
}

fn dot_words(Dot { actor, counter }: Dot) -> String {
    format!("{actor}:{counter}")
}

fn object(
    promise: Promise,
    key: &Bytes,
    at: Mono,
    operations: &[&Operation],
    words: &str,
) -> Objection {
    let numbers = operations.iter().map(|operation| operation.number).collect();
    let words =
        format!("on key {}, {}: {words}", value_words(Some(key)), list(operations, " and "));
    Objection::new(promise, numbers, at, words)
}
