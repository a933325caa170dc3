//! A map of few entries: pairs in ascending order, in one piece of memory.
//!
//! The clock of an object has a pair for each replica and seldom more than one sibling. A tree takes a
//! node with room for eleven entries to hold these; a sorted vector is as large as what is in it, and
//! is copied and compared at once. Its bytes are those of a tree.
//!
//! Left out: what a large map needs; every insertion moves what lies behind it.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// Values by key, the keys ascending and each there once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    try_from = "Vec<(K, V)>",
    bound(deserialize = "K: Deserialize<'de> + Ord, V: Deserialize<'de>")
)]
pub struct Pairs<K, V>(Vec<(K, V)>);

impl<K, V> Default for Pairs<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Ord, V> TryFrom<Vec<(K, V)>> for Pairs<K, V> {
    type Error = &'static str;

    fn try_from(pairs: Vec<(K, V)>) -> Result<Self, Self::Error> {
        match pairs.is_sorted_by(|(one, _), (next, _)| one < next) {
            true => Ok(Self(pairs)),
            false => Err("the keys do not ascend"),
        }
    }
}

impl<K: Ord + Copy, V> Pairs<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: K) -> Option<&V> {
        self.0.get(self.place(key).ok()?).map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let at = self.place(key).ok()?;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// The same for one key after the other: `hint` says where the last one was, and the one behind it
    /// is found at once.
    pub fn get_next(&mut self, key: K, hint: &mut usize) -> Option<&mut V> {
        let at = match self.0.get(*hint) {
            Some((next, _)) if *next == key => *hint,
            _ => self.place(key).ok()?,
        };
        *hint = at + 1;
        self.0.get_mut(at).map(|(_, value)| value)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains(&self, key: K) -> bool {
        self.place(key).is_ok()
    }

    /// Gives a key a value, instead of the one it had.
    pub fn insert(&mut self, key: K, value: V) {
        match self.place(key) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// The value of a key, which is this one if it had none.
    pub fn get_or_insert(&mut self, key: K, value: V) -> &mut V {
        let at = self.place(key).unwrap_or_else(|at| {
            self.0.insert(at, (key, value));
            at
        });
        &mut self.0[at].1
    }

    /// Takes a key and its value out.
    pub fn remove(&mut self, key: K) {
        if let Ok(at) = self.place(key) {
            self.0.remove(at);
        }
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes out all but these.
    pub fn retain(&mut self, mut stays: impl FnMut(K, &V) -> bool) {
        self.0.retain(|(key, value)| stays(*key, value));
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (K, &V)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// The keys, ascending.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = K> {
        self.0.iter().map(|(key, _)| *key)
    }

    /// The values, by key.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    /// The values with their keys, to be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (K, &mut V)> {
        self.0.iter_mut().map(|(key, value)| (*key, value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn place(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by_key(&key, |(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::codec;
    use crate::rng::Rng;

    #[test]
    fn it_behaves_like_a_tree_and_has_its_bytes() {
        let mut rng = Rng::new(3);
        let (mut pairs, mut tree) = (Pairs::default(), BTreeMap::new());
        for round in 0..2_000_u64 {
            let key = rng.below(20);
            match rng.below(5) {
                0 => {
                    pairs.remove(key);
                    tree.remove(&key);
                }
                1 => {
                    *pairs.get_or_insert(key, 0) += round;
                    *tree.entry(key).or_insert(0) += round;
                }
                2 => {
                    pairs.retain(|other, _| other % 7 != key);
                    tree.retain(|other, _| other % 7 != key);
                }
                _ => {
                    pairs.insert(key, round);
                    tree.insert(key, round);
                }
            }
            assert!(pairs.iter().eq(tree.iter().map(|(key, value)| (*key, value))));
            assert_eq!(pairs.get(key), tree.get(&key));
            assert_eq!(pairs.get_mut(key), tree.get_mut(&key));
            let mut hint = round as usize % 20;
            for key in 0..20 {
                assert_eq!(pairs.get_next(key, &mut hint), tree.get_mut(&key));
            }
            assert_eq!(pairs.contains(key), tree.contains_key(&key));
            let bytes = codec::encode(&tree);
            assert_eq!(codec::encode(&pairs), bytes);
            assert_eq!(codec::decode(&bytes), Ok(pairs.clone()));
        }
    }

    #[test]
    fn keys_that_do_not_ascend_are_refused() {
        for keys in [&[2_u64, 1][..], &[1, 1]] {
            let pairs: Vec<(u64, u64)> = keys.iter().map(|key| (*key, 0)).collect();
            let error = codec::decode::<Pairs<u64, u64>>(&codec::encode(&pairs));
            assert_eq!(error, Err(codec::DecodeError::Malformed));
        }
    }
}
