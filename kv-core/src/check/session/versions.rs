//! Sessions on a key whose answers name their versions: each client has a read vector and a write
//! vector (section 4 of Terry et al.), and what it is answered has to cover them. Who sees a write must
//! see what its client had seen before it.
//!
//! A clock from which pairs were pruned covers less than was seen, so where that happens the verdict
//! means nothing.

use alloc::format;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{clients, guarantee};
use crate::check::history::{Kind, Operation, Versions, value_words};
use crate::check::{Objection, Promise, Verdict};
use crate::id::Incarnation;
use crate::ordered::Map;
use crate::time::Mono;
use crate::version::Dot;

pub(super) fn check(key: &Bytes, operations: &[&Operation]) -> Verdict {
    let mut verdict = Verdict::Holds;
    let mut before: Map<Dot, (Vectors<'_>, Mono, &Operation)> = Map::new();
    for session in clients(operations) {
        let mut vectors = Vectors::default();
        for operation in session {
            let Some((at, versions)) = operation.versions() else { continue };
            let writes = operation.kind != Kind::Read;
            let missed = vectors.missed(versions).map(|(dot, first_writes, first)| {
                let promise = guarantee(first_writes, writes);
                object(key, promise, at, dot, &[first, operation])
            });
            verdict = missed.fold(verdict, |verdict, next| verdict.and(Verdict::Wrong(next)));
            if writes {
                let dots = versions.dots.iter();
                before.extend(dots.map(|dot| (*dot, (vectors.clone(), at, operation))));
            }
            vectors.take(versions, writes, operation);
        }
    }
    for reader in operations.iter().copied() {
        let Some((at, versions)) = reader.versions() else { continue };
        for (vectors, named, write) in versions.dots.iter().filter_map(|dot| before.get(dot)) {
            // Which write it was is known from the answer of that, which may come later.
            let at = at.max(*named);
            for (dot, first_writes, first) in vectors.missed(versions) {
                let promise = guarantee(first_writes, true);
                let objection = object(key, promise, at, dot, &[first, write, reader]);
                verdict = verdict.and(Verdict::Wrong(objection));
            }
        }
    }
    verdict
}

/// How far a client knows the events of each actor, and from which operation.
#[derive(Clone, Default)]
struct Vectors<'a> {
    read: Map<Incarnation, (u64, &'a Operation)>,
    wrote: Map<Incarnation, (u64, &'a Operation)>,
}

impl<'a> Vectors<'a> {
    fn take(&mut self, versions: &Versions, writes: bool, operation: &'a Operation) {
        let vector = if writes { &mut self.wrote } else { &mut self.read };
        for dot in &versions.dots {
            let known = vector.entry(dot.actor).or_insert((0, operation));
            if known.0 < dot.counter {
                *known = (dot.counter, operation);
            }
        }
    }

    /// What an answer does not know of this: the event, whether it was a write of the client, and the
    /// operation that brought it.
    fn missed(&self, versions: &Versions) -> impl Iterator<Item = (Dot, bool, &'a Operation)> {
        let of = |vector: &Map<Incarnation, (u64, &'a Operation)>, writes: bool| {
            let events = vector.iter().map(move |(&actor, &(counter, operation))| {
                (Dot { actor, counter }, writes, operation)
            });
            let missed = events.filter(|(dot, ..)| !versions.context.clock().covers(*dot));
            missed.collect::<Vec<_>>()
        };
        of(&self.wrote, true).into_iter().chain(of(&self.read, false))
    }
}

fn object(
    key: &Bytes,
    promise: Promise,
    at: Mono,
    Dot { actor, counter }: Dot,
    operations: &[&Operation],
) -> Objection {
    let numbers = operations.iter().map(|operation| operation.number).collect();
    let words = match operations {
        [first, then, reader] => format!("{first}, then {then}; {reader} shows the later"),
        _ => {
            let words = operations.iter().map(|operation| format!("{operation}"));
            words.collect::<Vec<_>>().join(", then ")
        }
    };
    let key = value_words(Some(key));
    let words =
        format!("on key {key}, {words} without knowing event {actor}:{counter} of the first");
    Objection::new(promise, numbers, at, words)
}
