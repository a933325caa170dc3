//! Histories: what clients asked a store, what they were answered, and when.
//!
//! Plain data with one form for every kind of store. A store with one value per key answers a read
//! with at most one value and names no versions; an eventual one may answer with several that stand
//! beside each other, and names each.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::id::Epoch;
use crate::ordered::{self, Map};
use crate::time::Mono;
use crate::version::{Context, Dot};

/// One operation of a client on one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Its place in the history; no other operation has it.
    pub number: u64,
    /// Who asked.
    pub client: u64,
    /// About which key.
    pub key: Bytes,
    /// For what.
    pub kind: Kind,
    /// When.
    pub called: Mono,
    /// How it ended; none while the client waits.
    pub end: Option<End>,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Read,
    /// Writes a value, whatever was there.
    Write(Bytes),
    /// Removes the value, whatever was there.
    Delete,
    /// Puts one value in the place of another; absent where there is none.
    CompareAndSet {
        /// What has to be there.
        old: Option<Bytes>,
        /// What takes its place.
        new: Option<Bytes>,
    },
}

/// The end of an operation for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When; not before the call.
    pub at: Mono,
    /// How.
    pub outcome: Outcome,
}

/// What a client knows of its operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done(Answer),
    /// It was not done and never will be. A compare-and-set that found something else is among these.
    Failed,
    /// It was not done because the store took the request itself for wrong.
    Refused,
    /// It may take effect, once, at any time after the call; or never.
    Unknown,
}

/// What an operation that was done returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The values a read found; none if the key is absent. Always empty for a write.
    pub values: Vec<Bytes>,
    /// The versions behind it, in a store that names them.
    pub versions: Option<Versions>,
}

/// What a store with dotted versions tells of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The names of the values that were read, in their order; of a write its own.
    pub dots: Vec<Dot>,
    /// What was known of the key then.
    pub context: Context,
    /// The layout the operation was done under.
    pub epoch: Epoch,
}

impl Operation {
    /// When it was done and what it returned; none if it failed or nobody knows.
    #[must_use]
    pub fn done(&self) -> Option<(Mono, &Answer)> {
        match &self.end {
            Some(End { at, outcome: Outcome::Done(answer) }) => Some((*at, answer)),
            _ => None,
        }
    }

    /// Whether it certainly had no effect.
    #[must_use]
    pub fn failed(&self) -> bool {
        let outcome = self.end.as_ref().map(|end| &end.outcome);
        matches!(outcome, Some(Outcome::Failed | Outcome::Refused))
    }

    /// What a key holds after it: a value, or nothing after a delete; none for a read.
    pub(super) fn leaves(&self) -> Option<Option<&Bytes>> {
        match &self.kind {
            Kind::Read => None,
            Kind::Write(value) => Some(Some(value)),
            Kind::Delete => Some(None),
            Kind::CompareAndSet { new, .. } => Some(new.as_ref()),
        }
    }

    /// The values it found; none unless it was done.
    pub(super) fn found(&self) -> &[Bytes] {
        self.done().map_or(&[], |(_, answer)| &answer.values)
    }

    /// When it was done, and the versions it told of.
    pub(super) fn versions(&self) -> Option<(Mono, &Versions)> {
        let (at, answer) = self.done()?;
        Some((at, answer.versions.as_ref()?))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, client, called: Mono(called), .. } = self;
        write!(f, "#{number} client {client} {}", self.deed())?;
        let Some(End { at: Mono(at), outcome }) = &self.end else {
            return write!(f, " (from {called} µs, unanswered)");
        };
        let outcome = match outcome {
            Outcome::Done(_) => "",
            Outcome::Failed => ", failed",
            Outcome::Refused => ", refused as wrong",
            Outcome::Unknown => ", outcome unknown",
        };
        write!(f, " ({called} to {at} µs{outcome})")
    }
}

impl Operation {
    /// What was done or would have been, and what it returned.
    fn deed(&self) -> String {
        let done = self.done();
        let verb = |sure, unsure| if done.is_some() { sure } else { unsure };
        match &self.kind {
            Kind::Read => match done {
                Some((_, answer)) => format!("read {}", values_words(&answer.values)),
                None => String::from("would read"),
            },
            Kind::Write(value) => {
                format!("{} {}", verb("wrote", "would write"), value_words(Some(value)))
            }
            Kind::Delete => format!("{} it", verb("deleted", "would delete")),
            Kind::CompareAndSet { old, new } => {
                let (old, new) = (value_words(old.as_ref()), value_words(new.as_ref()));
                format!("{} {old} by {new}", verb("replaced", "would replace"))
            }
        }
    }
}

/// Two operations of one client, the second of which was called before the first had ended; none if
/// every client waits for its answers. One that gave up on an operation may go on.
#[must_use]
pub fn overlapping(history: &[Operation]) -> Option<(&Operation, &Operation)> {
    sessions(history).into_values().find_map(|operations| {
        let mut pairs = operations.windows(2).map(|pair| (pair[0], pair[1]));
        pairs.find(|(first, second)| first.end.as_ref().is_some_and(|end| second.called < end.at))
    })
}

/// The operations of each client, in the order of their calls.
pub(super) fn sessions<'a>(
    history: impl IntoIterator<Item = &'a Operation>,
) -> Map<u64, Vec<&'a Operation>> {
    let mut sessions: Map<u64, Vec<&Operation>> = Map::new();
    for operation in history {
        sessions.entry(operation.client).or_default().push(operation);
    }
    for operations in sessions.values_mut() {
        sort_by_call(operations);
    }
    sessions
}

/// In the order of their calls. Of a client that waits for its answers and calls twice at one moment, the
/// operation that was answered at once came first, wherever it stands in the history.
pub(super) fn sort_by_call(operations: &mut [&Operation]) {
    ordered::sort_by_key(operations, |operation| {
        let end = operation.end.as_ref().map_or(Mono(u64::MAX), |end| end.at);
        (operation.called, end, operation.number)
    });
}

/// A value for people: short, in quotes, and never raw bytes.
pub(super) fn value_words(value: Option<&Bytes>) -> String {
    const SHOWN: usize = 24;
    let Some(value) = value else { return String::from("nothing") };
    if value.len() <= SHOWN {
        return format!("\"{}\"", value.escape_ascii());
    }
    format!("\"{}…\" ({} bytes)", value[..SHOWN].escape_ascii(), value.len())
}

/// What a read found, for people.
pub(super) fn values_words(values: &[Bytes]) -> String {
    const SHOWN: usize = 4;
    let mut words: Vec<String> =
        values.iter().take(SHOWN).map(|value| value_words(Some(value))).collect();
    match values.len() {
        0 => value_words(None),
        1..=SHOWN => words.join(" and "),
        all => {
            words.push(format!("{} more", all - SHOWN));
            words.join(" and ")
        }
    }
}
