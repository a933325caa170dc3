//! The set of operations that are placed, and its short form for the memory of what was tried.

use alloc::vec;
use alloc::vec::Vec;

use super::item::{Item, Value};

/// Which operations are placed, a bit for each: first those that were done for certain, for they are
/// placed nearly in order, and so a long history has short keys.
pub(super) struct Placed {
    words: Vec<u64>,
    /// How many of the words are of those that were done for certain.
    sure: usize,
    /// The bit of each operation.
    bits: Vec<usize>,
}

impl Placed {
    pub(super) fn new(items: &[Item]) -> Self {
        let sure_items = items.iter().filter(|item| item.is_sure()).count();
        let sure = sure_items.div_ceil(64);
        let (mut first, mut second) = (0, 64 * sure);
        let bits = items.iter().map(|item| {
            let bit = if item.is_sure() { &mut first } else { &mut second };
            *bit += 1;
            *bit - 1
        });
        let bits = bits.collect();
        Self { words: vec![0; second.div_ceil(64)], sure, bits }
    }

    pub(super) fn turn(&mut self, index: usize) {
        let bit = self.bits[index];
        self.words[bit / 64] ^= 1 << (bit % 64);
    }

    /// How many words the set takes.
    pub(super) fn words(&self) -> u64 {
        self.words.len() as u64
    }

    /// The set and the value, without the words at the ends that say nothing.
    pub(super) fn key(&self, value: Value) -> Vec<u64> {
        let (sure, unsure) = self.words.split_at(self.sure);
        let first = sure.iter().position(|word| *word != u64::MAX).unwrap_or(sure.len());
        let end =
            sure.iter().rposition(|word| *word != 0).map_or(first, |last| first.max(last + 1));
        let head = (u64::from(value) << 32) | first as u64;
        [head].into_iter().chain(sure[first..end].iter().chain(unsure).copied()).collect()
    }
}
