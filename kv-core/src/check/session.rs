//! What a client may rely on while it goes on: the session guarantees of Terry et al., "Session
//! Guarantees for Weakly Consistent Replicated Data" (1994), on each key.
//!
//! | guarantee | what a client did before | what must show it |
//! | --- | --- | --- |
//! | read your writes | wrote | its reads |
//! | monotonic reads | read | its reads |
//! | monotonic writes | wrote | its writes, to everybody |
//! | writes follow reads | read | its writes, to everybody |
//!
//! Where answers name their versions, these are compared ([`versions`]): a read whose context covers a
//! dot has seen it. Elsewhere the order of the values is inferred from the sessions themselves
//! ([`values`]), for which every value must be written once.
//!
//! Left out: guarantees from one key to another.

mod values;
mod versions;

use alloc::format;
use alloc::vec::Vec;

use super::history::{overlapping, sessions};
use super::{Operation, Promise, Verdict, by_key};

/// Judges whether each client has seen a key move forward only. A client has to wait for its answers;
/// the history of one that does not is undecided.
#[must_use]
pub fn check(history: &[Operation]) -> Verdict {
    if let Some(pair) = overlapping(history) {
        return no_session(pair);
    }
    let keys = by_key(history).into_iter();
    let verdicts = keys.map(|(key, operations)| {
        if operations.iter().any(|operation| operation.versions().is_some()) {
            versions::check(key, &operations)
        } else {
            values::check(key, &operations)
        }
    });
    verdicts.fold(Verdict::Holds, Verdict::and)
}

fn no_session((first, second): (&Operation, &Operation)) -> Verdict {
    Verdict::Undecided(format!(
        "sessions: client {} called #{} while #{} was not answered yet, so it has no session",
        first.client, second.number, first.number
    ))
}

/// The operations of each client on one key.
fn clients<'a>(operations: &[&'a Operation]) -> impl Iterator<Item = Vec<&'a Operation>> {
    sessions(operations.iter().copied()).into_values()
}

/// The guarantee by which one operation comes after another of its client.
fn guarantee(first_writes: bool, second_writes: bool) -> Promise {
    match (first_writes, second_writes) {
        (true, false) => Promise::ReadYourWrites,
        (false, false) => Promise::MonotonicReads,
        (true, true) => Promise::MonotonicWrites,
        (false, true) => Promise::WritesFollowReads,
    }
}
