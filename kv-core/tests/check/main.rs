//! The judges of histories: on histories known from the literature, against judges that try
//! everything, and on random ones that are right by construction or wrong in one place.

mod linear;
mod register;
mod scripts;
mod session;

use bytes::Bytes;
use kv_core::check::{Answer, End, Kind, Operation, Outcome};
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
