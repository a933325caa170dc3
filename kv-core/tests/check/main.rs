//! The judges of histories: on histories known from the literature, against judges that try
//! everything, and on random ones that are right by construction or wrong in one place.

mod linear;
mod register;
mod scripts;
mod session;
mod versions;

use bytes::Bytes;
use kv_core::check::{Answer, End, Kind, Objection, Operation, Outcome, Verdict};
use kv_core::rng::Rng;
use kv_core::time::Mono;

fn value(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

/// One of the values `a`, `b`, …, so many of them, or none.
fn any_value(rng: &mut Rng, values: u64) -> Option<Bytes> {
    let number = rng.below(values + 1);
    let letter = |number: u64| char::from(b'a' + u8::try_from(number).unwrap());
    number.checked_sub(1).map(|number| value(&letter(number).to_string()))
}

fn done(at: u64, values: Vec<Bytes>) -> End {
    End { at: Mono(at), outcome: Outcome::Done(Answer { values, versions: None }) }
}

/// A history as it was known at a moment.
fn known_at(history: &[Operation], at: Mono) -> Vec<Operation> {
    let called = history.iter().filter(|operation| operation.called <= at);
    let as_then = called.map(|operation| {
        let end = operation.end.clone().filter(|end| end.at <= at);
        Operation { end, ..operation.clone() }
    });
    as_then.collect()
}

/// A history as it was known right before a moment.
fn known_before(history: &[Operation], at: Mono) -> Vec<Operation> {
    at.0.checked_sub(1).map_or_else(Vec::new, |before| known_at(history, Mono(before)))
}

/// The operations that an objection names, as they were known at its moment. At that moment the history
/// was wrong and so were they alone, and before it neither was.
fn witness(
    history: &[Operation],
    objection: &Objection,
    judge: impl Fn(&[Operation]) -> Verdict,
) -> Vec<Operation> {
    let named = |operation: &&Operation| objection.operations.contains(&operation.number);
    let named: Vec<Operation> = history.iter().filter(named).cloned().collect();
    assert_eq!(named.len(), objection.operations.len());
    assert_eq!(objection.more, 0);
    for operations in [history, &named] {
        let then = known_at(operations, objection.at);
        assert!(judge(&then).objection().is_some(), "{objection}, not of {then:#?}");
        let before = known_before(operations, objection.at);
        let earlier = judge(&before);
        assert!(earlier.objection().is_none(), "{objection}, but {earlier:?} of {before:#?}");
    }
    known_at(&named, objection.at)
}

/// What is left without one operation, for each.
fn each_spared(witness: &[Operation]) -> impl Iterator<Item = (Operation, Vec<Operation>)> {
    (0..witness.len()).map(|place| {
        let mut rest = witness.to_vec();
        (rest.remove(place), rest)
    })
}

/// What a key must hold before an operation that was done, if that matters.
fn expected(operation: &Operation) -> Option<Option<&Bytes>> {
    match &operation.kind {
        Kind::Read => operation.done().map(|(_, answer)| answer.values.first()),
        Kind::CompareAndSet { old, .. } => Some(old.as_ref()),
        Kind::Write(_) | Kind::Delete => None,
    }
}

/// What a key holds after an operation that changed it.
fn left(operation: &Operation) -> Option<Option<&Bytes>> {
    match &operation.kind {
        Kind::Read => None,
        Kind::Write(value) => Some(Some(value)),
        Kind::Delete => Some(None),
        Kind::CompareAndSet { new, .. } => Some(new.as_ref()),
    }
}
