//! The operations on a key as the search for an order sees them: times, and values by number.

use alloc::vec;
use alloc::vec::Vec;

use crate::time::Mono;

/// A value of the key by number; [`Item::ABSENT`] if there is none.
pub(super) type Value = u32;

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) called: Mono,
    /// None if it may have no effect, or one at any later time.
    pub(super) returned: Option<Mono>,
    /// The value that must be there.
    pub(super) expects: Option<Value>,
    /// The value that is there afterwards, if it changes that.
    pub(super) leaves: Option<Value>,
}

impl Item {
    /// The value of a key that has none, as every key at first.
    pub(super) const ABSENT: Value = 0;

    /// What was known of it at a moment; none if that says nothing.
    pub(super) fn known_at(&self, at: Mono) -> Option<Self> {
        let returned = self.returned.filter(|returned| *returned <= at);
        let says = self.called <= at && (returned.is_some() || self.leaves.is_some());
        says.then_some(Self { returned, ..*self })
    }

    pub(super) fn is_sure(&self) -> bool {
        self.returned.is_some()
    }

    /// From when on nothing may come before it any more.
    pub(super) fn deadline(&self) -> Mono {
        self.returned.unwrap_or(Mono(u64::MAX))
    }

    pub(super) fn is_plain_write(&self) -> bool {
        self.expects.is_none() && self.leaves.is_some()
    }
}

/// Of each operation, the earliest answer of one that was called after its own answer and leaves
/// something else; the end of time if it may come at any time.
pub(super) fn reach(items: &[Item]) -> Vec<Mono> {
    const NEVER: Mono = Mono(u64::MAX);
    // From each operation on, the earliest answer of a write, and the earliest of one that leaves
    // something else than that.
    let mut earliest = vec![(NEVER, NEVER, None); items.len() + 1];
    for (index, item) in items.iter().enumerate().rev() {
        let (first, second, value) = earliest[index + 1];
        earliest[index] = match item.returned.filter(|_| item.leaves.is_some()) {
            None => (first, second, value),
            Some(at) if item.leaves == value => (first.min(at), second, value),
            Some(at) if at < first => (at, first, item.leaves),
            Some(at) => (first, second.min(at), value),
        };
    }
    let of = |item: &Item| {
        let Some(returned) = item.returned else { return NEVER };
        let after = items.partition_point(|other| other.called <= returned);
        let (first, second, value) = earliest[after];
        if item.leaves == value { second } else { first }
    };
    items.iter().map(of).collect()
}
