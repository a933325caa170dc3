//! Histories of a register that really is atomic: they must be accepted, whatever became of answers.

use bytes::Bytes;
use kv_core::check::{Answer, End, Kind, Operation, Outcome};
use kv_core::rng::{Ratio, Rng};
use kv_core::time::Mono;

use super::{expected, left, value};

/// What clients do with registers.
pub(super) struct Load {
    pub(super) operations: u64,
    pub(super) clients: u64,
    pub(super) keys: u64,
    /// How many deletes and compare-and-sets in a hundred operations, and how many outcomes that
    /// nobody knows.
    pub(super) deletes: u32,
    pub(super) swaps: u32,
    pub(super) unknown: u32,
}

/// What happened to one register: each operation took effect at one moment, if at all.
pub(super) fn history(rng: &mut Rng, load: &Load) -> Vec<Operation> {
    let mut free = vec![0; usize::try_from(load.clients).unwrap()];
    let mut planned = Vec::new();
    for number in 0..load.operations {
        let client = rng.below(load.clients);
        let percent = |share| Ratio { numerator: share, denominator: 100 };
        let key = value(&format!("k{}", rng.below(load.keys)));
        let called = free[client as usize] + rng.between(0, 10);
        let ended = called + rng.between(0, 30);
        free[client as usize] = ended;
        let unknown = rng.chance(percent(load.unknown));
        // The effect of an operation that nobody heard of again may come long after.
        let effect = if unknown { called + rng.below(200) } else { rng.between(called, ended) };
        let lost = unknown && rng.below(2) == 0;
        let kind = match rng.below(100) as u32 {
            chance if chance < load.deletes => Kind::Delete,
            chance if chance < load.deletes + load.swaps => {
                // What is to be replaced is filled in when the value is known.
                Kind::CompareAndSet { old: None, new: Some(value(&format!("v{number}"))) }
            }
            chance if chance % 2 == 0 => Kind::Write(value(&format!("v{number}"))),
            _ => Kind::Read,
        };
        let outcome = if unknown { Outcome::Unknown } else { Outcome::Done(Answer::default()) };
        let end = Some(End { at: Mono(ended), outcome });
        let operation = Operation { number, client, key, kind, called: Mono(called), end };
        planned.push((effect, lost, operation));
    }
    planned.sort_by_key(|(effect, _, operation)| (*effect, operation.number));
    let mut registers = std::collections::BTreeMap::<Bytes, Option<Bytes>>::new();
    for (_, lost, operation) in &mut planned {
        let register = registers.entry(operation.key.clone()).or_default();
        take_effect(rng, operation, *lost, register);
    }
    let mut history: Vec<Operation> =
        planned.into_iter().map(|(.., operation)| operation).collect();
    history.sort_by_key(|operation| operation.number);
    history
}

fn take_effect(rng: &mut Rng, operation: &mut Operation, lost: bool, register: &mut Option<Bytes>) {
    let held = register.clone();
    if let Kind::CompareAndSet { old, .. } = &mut operation.kind {
        *old = if rng.below(4) > 0 { held.clone() } else { Some(value("other")) };
    }
    let matches = expected(operation).is_none_or(|old| old == held.as_ref());
    let reads = operation.kind == Kind::Read;
    if let Some(End { outcome, .. }) = &mut operation.end {
        match outcome {
            Outcome::Done(answer) if reads => answer.values = held.into_iter().collect(),
            Outcome::Done(_) if !matches => *outcome = Outcome::Failed,
            _ => {}
        }
    }
    if !lost
        && (reads || matches)
        && let Some(new) = left(operation)
    {
        *register = new.cloned();
    }
}
