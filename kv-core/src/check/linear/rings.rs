//! Lists of indices that can be walked, thinned out and restored without copying.

use alloc::vec::Vec;

/// Rings of indices, from which one can be taken out and put back at once, in the opposite order
/// (Knuth, "Dancing Links", 2000).
pub(super) struct Rings {
    next: Vec<usize>,
    previous: Vec<usize>,
    /// How many indices there are; behind them come the heads of the rings.
    heads: usize,
}

impl Rings {
    pub(super) fn new(indices: usize, rings: usize) -> Self {
        let alone: Vec<usize> = (0..indices + rings).collect();
        Self { next: alone.clone(), previous: alone, heads: indices }
    }

    pub(super) fn append(&mut self, ring: usize, index: usize) {
        let head = self.heads + ring;
        let last = self.previous[head];
        (self.next[last], self.previous[head]) = (index, index);
        (self.next[index], self.previous[index]) = (head, last);
    }

    pub(super) fn take_out(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    pub(super) fn put_back(&mut self, index: usize) {
        let (previous, next) = (self.previous[index], self.next[index]);
        self.next[previous] = index;
        self.previous[next] = index;
    }

    pub(super) fn first(&self, ring: usize) -> Option<usize> {
        self.after(self.heads + ring)
    }

    pub(super) fn after(&self, index: usize) -> Option<usize> {
        Some(self.next[index]).filter(|next| *next < self.heads)
    }

    pub(super) fn iter(&self, ring: usize) -> impl Iterator<Item = usize> {
        core::iter::successors(self.first(ring), |index| self.after(*index))
    }
}
