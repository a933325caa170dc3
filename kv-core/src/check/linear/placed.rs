//! The set of operations that are placed, and its short form for the memory of what was tried.

use alloc::vec;
use alloc::vec::Vec;

use super::item::{Item, Value};

/// Which operations are placed, those that were done for certain and the others apart: each are placed
/// nearly in order, and so a long history has short keys.
pub(super) struct Placed {
    sure: Bits,
    unsure: Bits,
    /// Whether each operation was done for certain, and its bit.
    places: Vec<(bool, usize)>,
}

impl Placed {
    pub(super) fn new(items: &[Item]) -> Self {
        let (mut sure, mut unsure) = (0, 0);
        let places = items.iter().map(|item| {
            let bit = if item.is_sure() { &mut sure } else { &mut unsure };
            *bit += 1;
            (item.is_sure(), *bit - 1)
        });
        let places = places.collect();
        Self { sure: Bits::new(sure), unsure: Bits::new(unsure), places }
    }

    pub(super) fn turn(&mut self, index: usize) {
        let (sure, bit) = self.places[index];
        let bits = if sure { &mut self.sure } else { &mut self.unsure };
        bits.turn(bit);
    }

    /// The set and the value, without the words at the ends that say nothing.
    pub(super) fn key(&mut self, value: Value) -> Vec<u64> {
        let mut key = vec![u64::from(value)];
        self.sure.write(&mut key);
        self.unsure.write(&mut key);
        key
    }
}

/// Bits, of which the first are nearly all set and the last are not.
struct Bits {
    words: Vec<u64>,
    /// No word before this one has a bit that is not set.
    first: usize,
    /// No word from this one on has a bit that is.
    end: usize,
}

impl Bits {
    fn new(bits: usize) -> Self {
        Self { words: vec![0; bits.div_ceil(64)], first: 0, end: 0 }
    }

    fn turn(&mut self, bit: usize) {
        let word = bit / 64;
        self.words[word] ^= 1 << (bit % 64);
        self.first = self.first.min(word);
        self.end = self.end.max(word + 1);
    }

    fn write(&mut self, key: &mut Vec<u64>) {
        while self.first < self.end && self.words[self.first] == u64::MAX {
            self.first += 1;
        }
        while self.first < self.end && self.words[self.end - 1] == 0 {
            self.end -= 1;
        }
        key.push((self.first as u64) << 32 | (self.end - self.first) as u64);
        key.extend(&self.words[self.first..self.end]);
    }
}
