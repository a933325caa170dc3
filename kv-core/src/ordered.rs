//! Maps and sets in order, which take little code for each type that they hold.
//!
//! The standard library's trees are made for any size, and their code for balancing is compiled once
//! more for every type of entry: with some fifty of those it was a third of the module that a browser
//! loads. Here entries lie ascending in *chunks* of a bounded length, and the chunks in a list. Finding is
//! a binary search of the list and one of the chunk; inserting and removing move entries of one chunk,
//! and seldom what lies behind it in the list. That is fast up to some hundred thousand entries, and few
//! entries are one piece of memory. Methods, order and encoded form are those of the trees.
//!
//! Left out: joining chunks that have become short. There are never more chunks than entries,
//! but for one that an empty map may keep.

mod encoding;
mod iter;
mod set;
mod sort;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::borrow::Borrow;
use core::fmt;
use core::ops::{Bound, Index, RangeBounds};

pub use iter::{IntoIter, Iter};
pub use set::Set;
pub use sort::{sort, sort_by, sort_by_key};

/// How many entries a chunk holds at most.
const CHUNK: usize = 32;

/// Values by key, ascending.
#[derive(Clone)]
pub struct Map<K, V> {
    /// None is empty, but for the only one: many maps have an entry for a moment, then none, and so on, and
    /// keep their memory.
    chunks: Vec<Vec<(K, V)>>,
}

/// The number of a chunk, and a number in it.
type Place = (usize, usize);

impl<K, V> Map<K, V> {
    /// An empty map.
    #[must_use]
    pub const fn new() -> Self {
        Self { chunks: Vec::new() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.first().is_none_or(Vec::is_empty)
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.chunks.truncate(1);
        self.chunks.iter_mut().for_each(Vec::clear);
    }

    /// All entries, ascending.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K, V> {
        Iter::of(&self.chunks)
    }

    /// The same, the values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        self.chunks.iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    /// The keys, ascending.
    #[must_use]
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + ExactSizeIterator + Clone {
        self.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    #[must_use]
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + ExactSizeIterator + Clone {
        self.iter().map(|(_, value)| value)
    }

    /// The same, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.chunks.iter_mut().flatten().map(|(_, value)| value)
    }

    /// The keys alone.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.into_iter().map(|(key, _)| key)
    }

    /// The values alone, in the order of their keys.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.into_iter().map(|(_, value)| value)
    }

    /// The entry with the smallest key.
    #[must_use]
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.first()?.first().map(|(key, value)| (key, value))
    }

    /// The entry with the greatest key.
    #[must_use]
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.chunks.last()?.last().map(|(key, value)| (key, value))
    }

    /// Takes the entry with the smallest key out.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.is_empty()).then(|| self.remove_at((0, 0)))
    }

    /// Takes the entry with the greatest key out.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let entry = self.chunks.last_mut()?.pop();
        if self.chunks.len() > 1 {
            self.chunks.pop_if(|chunk| chunk.is_empty());
        }
        entry
    }

    /// Takes out all but these.
    pub fn retain(&mut self, mut stays: impl FnMut(&K, &mut V) -> bool) {
        for chunk in &mut self.chunks {
            chunk.retain_mut(|(key, value)| stays(key, value));
        }
        self.drop_empty();
    }

    /// Takes these out, ascending.
    pub fn extract(&mut self, mut leaves: impl FnMut(&K, &mut V) -> bool) -> Vec<(K, V)> {
        let mut left = Vec::new();
        for chunk in &mut self.chunks {
            left.extend(chunk.extract_if(.., |(key, value)| leaves(key, value)));
        }
        self.drop_empty();
        left
    }

    fn drop_empty(&mut self) {
        if self.chunks.len() > 1 {
            self.chunks.retain(|chunk| !chunk.is_empty());
        }
    }

    fn remove_at(&mut self, (chunk, at): Place) -> (K, V) {
        let there = &mut self.chunks[chunk];
        let entry = there.remove(at);
        if there.is_empty() && self.chunks.len() > 1 {
            self.chunks.remove(chunk);
        }
        entry
    }
}

impl<K: Ord, V> Map<K, V> {
    /// The value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.place(key).ok()?;
        Some(&self.chunks[chunk][at].1)
    }

    /// The same, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.place(key).ok()?;
        Some(&mut self.chunks[chunk][at].1)
    }

    /// Whether the key has a value.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Gives a key a value, and returns the one it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok((chunk, at)) => Some(core::mem::replace(&mut self.chunks[chunk][at].1, value)),
            Err(place) => {
                self.insert_at(place, (key, value));
                None
            }
        }
    }

    /// Takes a key out, and returns its value.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let place = self.place(key).ok()?;
        Some(self.remove_at(place).1)
    }

    /// The entry of a key, to be filled if there is none.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { map: self, key }
    }

    /// The entries whose keys are in a range, ascending.
    #[must_use]
    pub fn range<Q: Ord + ?Sized>(&self, keys: impl RangeBounds<Q>) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let from = match keys.start_bound() {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) => self.place(key).unwrap_or_else(|place| place),
            Bound::Excluded(key) => self.behind(key),
        };
        let to = match keys.end_bound() {
            Bound::Unbounded => (self.chunks.len(), 0),
            Bound::Included(key) => self.behind(key),
            Bound::Excluded(key) => self.place(key).unwrap_or_else(|place| place),
        };
        Iter::between(&self.chunks, from, to)
    }

    /// Takes the entries from a key on out.
    pub fn split_off<Q: Ord + ?Sized>(&mut self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        let (chunk, at) = self.place(key).unwrap_or_else(|place| place);
        let Some(cut) = self.chunks.get_mut(chunk) else { return Self::new() };
        let first = cut.split_off(at);
        let mut chunks = self.chunks.split_off(chunk + 1);
        chunks.insert(0, first);
        self.chunks.retain(|chunk| !chunk.is_empty());
        chunks.retain(|chunk| !chunk.is_empty());
        Self { chunks }
    }

    /// Where a key is, or where it would be inserted.
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Place, Place>
    where
        K: Borrow<Q>,
    {
        let begins = |chunk: &Vec<(K, V)>| chunk.first().is_some_and(|(k, _)| k.borrow() <= key);
        let chunk = match self.chunks.len() {
            0 => return Err((0, 0)),
            1 => 0,
            _ => self.chunks.partition_point(begins).saturating_sub(1),
        };
        match self.chunks[chunk].binary_search_by(|(other, _)| other.borrow().cmp(key)) {
            Ok(at) => Ok((chunk, at)),
            Err(at) => Err((chunk, at)),
        }
    }

    /// Where the entries behind a key begin.
    fn behind<Q: Ord + ?Sized>(&self, key: &Q) -> Place
    where
        K: Borrow<Q>,
    {
        self.place(key).map_or_else(|place| place, |(chunk, at)| (chunk, at + 1))
    }

    /// Inserts where [`Map::place`] says, and returns where that is then.
    fn insert_at(&mut self, (mut chunk, mut at): Place, entry: (K, V)) -> Place {
        let Some(there) = self.chunks.get_mut(chunk) else {
            let mut only = Vec::with_capacity(CHUNK / 8);
            only.push(entry);
            self.chunks.push(only);
            return (chunk, 0);
        };
        if there.len() < CHUNK {
            there.insert(at, entry);
            return (chunk, at);
        }
        // Keys often ascend: whatever comes behind a full chunk begins the next one.
        let cut = if at == CHUNK { CHUNK } else { CHUNK / 2 };
        let mut next = there.split_off(cut);
        if at >= cut {
            at -= cut;
            next.insert(at, entry);
            chunk += 1;
            self.chunks.insert(chunk, next);
        } else {
            there.insert(at, entry);
            self.chunks.insert(chunk + 1, next);
        }
        (chunk, at)
    }
}

/// The entry of a key, which may not be there.
pub struct Entry<'a, K, V> {
    map: &'a mut Map<K, V>,
    key: K,
}

impl<'a, K: Ord, V> Entry<'a, K, V> {
    /// Its value, which is made if there is none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let (chunk, at) = match self.map.place(&self.key) {
            Ok(place) => place,
            Err(place) => self.map.insert_at(place, (self.key, make())),
        };
        &mut self.map.chunks[chunk][at].1
    }

    /// Its value, which is this one if there is none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// Its value, which is the default one if there is none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Map<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for Map<K, V> {}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Map<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord + Borrow<Q>, V, Q: Ord + ?Sized> Index<&Q> for Map<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<K: Ord, V> Extend<(K, V)> for Map<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, entries: T) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for Map<K, V> {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(entries: T) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Map<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        self.chunks.into_iter().flatten()
    }
}

impl<'a, K, V> IntoIterator for &'a Map<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;

    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}
