//! Judges of histories: whether what clients were told can be the work of the store they were promised.
//!
//! Each checker is a pure function from a history ([`Operation`]) to a [`Verdict`]. It knows only what
//! clients asked, what they were answered and when, never how the store works. A verdict that objects
//! names the few operations that contradict each other, so that a person can follow it.
//!
//! | checker | what it judges |
//! | --- | --- |
//! | [`linear`] | one order of all operations on a key explains every answer |
//! | [`session`] | no client sees less than it wrote or saw before |
//! | [`dots`] | versions: names, failed writes, lost updates, resurrected values |
//!
//! Left out: order across keys. All judgements are about one key at a time.

pub mod dots;
pub mod linear;
pub mod session;

mod demand;
mod history;
mod witness;

pub use demand::Demand;
pub use history::{Answer, End, Kind, Operation, Outcome, Versions, overlapping};

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::ordered::{self, Map};
use crate::time::Mono;

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against the history.
    Holds,
    /// These operations contradict the promise.
    Wrong(Objection),
    /// Nothing speaks against what could be judged; these words say what could not, and why.
    Undecided(String),
}

impl Verdict {
    /// The objection, if there is one.
    #[must_use]
    pub fn objection(&self) -> Option<&Objection> {
        match self {
            Self::Wrong(objection) => Some(objection),
            Self::Holds | Self::Undecided(_) => None,
        }
    }

    /// One verdict of two about the same history: an objection before doubt, of two objections the
    /// one whose moment is earlier.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Wrong(one), Self::Wrong(two)) => {
                Self::Wrong(if two.at < one.at { two } else { one })
            }
            (Self::Wrong(one), _) | (_, Self::Wrong(one)) => Self::Wrong(one),
            (Self::Undecided(words), _) | (_, Self::Undecided(words)) => Self::Undecided(words),
            (Self::Holds, Self::Holds) => Self::Holds,
        }
    }
}

/// Why a history cannot be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The promise that is broken.
    pub promise: Promise,
    /// The numbers of the operations that contradict each other, ascending; at most
    /// [`Self::WITNESSES`].
    pub operations: Vec<u64>,
    /// How many further operations belong to them.
    pub more: u64,
    /// When the contradiction was complete.
    pub at: Mono,
    /// What is wrong, for people: clients, keys, values and times.
    pub words: String,
}

impl Objection {
    /// The most operations that are named.
    pub const WITNESSES: usize = 32;

    pub(crate) fn new(promise: Promise, mut operations: Vec<u64>, at: Mono, words: String) -> Self {
        ordered::sort(&mut operations);
        operations.dedup();
        let more = operations.len().saturating_sub(Self::WITNESSES) as u64;
        operations.truncate(Self::WITNESSES);
        Self { promise, operations, more, at, words }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} µs: {}", self.promise, self.at.0, self.words)
    }
}

/// What a store promises its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Each operation takes effect at one moment between its call and its answer.
    Linearizability,
    /// A client sees what it wrote.
    ReadYourWrites,
    /// A client never sees less than it has seen.
    MonotonicReads,
    /// The writes of a client take effect in their order.
    MonotonicWrites,
    /// A write comes after what its client had read.
    WritesFollowReads,
    /// A dot names one write.
    OneValuePerDot,
    /// A write that failed was not done.
    FailedWritesLeaveNothing,
    /// Whoever begins later knows all that was known earlier.
    NoLostUpdate,
    /// A value that was replaced does not come back.
    NoResurrection,
    /// A sound request is never called unsound.
    SoundRequestsAreAccepted,
    /// What a node says is durable on its disk when it leaves.
    DurableBeforeSaid,
    /// Every request is answered in the time it may take.
    AnswersInTime,
    /// Once nothing is broken any more, the cluster is whole in a bounded time.
    Recovery,
    /// Once it is whole and a key was read, all its replicas hold the same.
    Convergence,
    /// No queue of a node grows without a bound.
    BoundedQueues,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linearizability => "linearizability",
            Self::ReadYourWrites => "read your writes",
            Self::MonotonicReads => "monotonic reads",
            Self::MonotonicWrites => "monotonic writes",
            Self::WritesFollowReads => "writes follow reads",
            Self::OneValuePerDot => "one value per dot",
            Self::FailedWritesLeaveNothing => "failed writes leave nothing",
            Self::NoLostUpdate => "no lost update",
            Self::NoResurrection => "no resurrection",
            Self::SoundRequestsAreAccepted => "sound requests are accepted",
            Self::DurableBeforeSaid => "durable before said",
            Self::AnswersInTime => "answers in time",
            Self::Recovery => "recovery",
            Self::Convergence => "convergence",
            Self::BoundedQueues => "bounded queues",
        })
    }
}

/// The operations of each key, in the order of their calls.
fn by_key(history: &[Operation]) -> Map<&Bytes, Vec<&Operation>> {
    let mut keys: Map<&Bytes, Vec<&Operation>> = Map::new();
    for operation in history {
        keys.entry(&operation.key).or_default().push(operation);
    }
    for operations in keys.values_mut() {
        history::sort_by_call(operations);
    }
    keys
}

/// Some of these as words, and how many more there are.
fn list<T: fmt::Display>(all: &[T], separator: &str) -> String {
    const SHOWN: usize = 6;
    let mut words: Vec<String> = all.iter().take(SHOWN).map(|one| format!("{one}")).collect();
    if all.len() > SHOWN {
        words.push(format!("{} more", all.len() - SHOWN));
    }
    words.join(separator)
}
