//! Going through the entries of a map, from both ends.

use alloc::vec::{self, Vec};
use core::iter::Flatten;
use core::slice;

use super::Place;

/// The entries of a map, each taken out.
pub type IntoIter<K, V> = Flatten<vec::IntoIter<Vec<(K, V)>>>;

/// The entries of a map, or some of them, ascending.
pub struct Iter<'a, K, V> {
    front: slice::Iter<'a, (K, V)>,
    middle: slice::Iter<'a, Vec<(K, V)>>,
    back: slice::Iter<'a, (K, V)>,
}

impl<'a, K, V> Iter<'a, K, V> {
    pub(super) fn of(chunks: &'a [Vec<(K, V)>]) -> Self {
        Self { front: [].iter(), middle: chunks.iter(), back: [].iter() }
    }

    /// From one place up to another.
    pub(super) fn between(chunks: &'a [Vec<(K, V)>], from: Place, to: Place) -> Self {
        let chunk = |number: usize| chunks.get(number).map_or(&[][..], |chunk| &chunk[..]);
        if from.0 >= to.0 {
            let one = chunk(from.0).get(from.1..to.1).unwrap_or(&[]);
            return Self { front: one.iter(), middle: [].iter(), back: [].iter() };
        }
        Self {
            front: chunk(from.0).get(from.1..).unwrap_or(&[]).iter(),
            middle: chunks.get(from.0 + 1..to.0).unwrap_or(&[]).iter(),
            back: chunk(to.0).get(..to.1).unwrap_or(&[]).iter(),
        }
    }
}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Self { front: self.front.clone(), middle: self.middle.clone(), back: self.back.clone() }
    }
}

impl<'a, K, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.front.next() {
                return Some((key, value));
            }
            match self.middle.next() {
                Some(chunk) => self.front = chunk.iter(),
                None => return self.back.next().map(|(key, value)| (key, value)),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let middle: usize = self.middle.clone().map(Vec::len).sum();
        let left = self.front.len() + middle + self.back.len();
        (left, Some(left))
    }
}

impl<K, V> DoubleEndedIterator for Iter<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((key, value)) = self.back.next_back() {
                return Some((key, value));
            }
            match self.middle.next_back() {
                Some(chunk) => self.back = chunk.iter(),
                None => return self.front.next_back().map(|(key, value)| (key, value)),
            }
        }
    }
}

impl<K, V> ExactSizeIterator for Iter<'_, K, V> {}
