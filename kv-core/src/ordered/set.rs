//! A set in order: a map without values.

use core::borrow::Borrow;
use core::fmt;
use core::ops::RangeBounds;

use super::Map;

/// Different values, ascending.
#[derive(Clone, PartialEq, Eq)]
pub struct Set<K>(Map<K, ()>);

impl<K> Set<K> {
    /// An empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self(Map::new())
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All values, ascending.
    #[must_use]
    pub fn iter(&self) -> Iter<'_, K> {
        Iter(self.0.iter())
    }

    /// The smallest one.
    #[must_use]
    pub fn first(&self) -> Option<&K> {
        self.0.first_key_value().map(|(key, ())| key)
    }

    /// The greatest one.
    #[must_use]
    pub fn last(&self) -> Option<&K> {
        self.0.last_key_value().map(|(key, ())| key)
    }

    /// Takes the smallest one out.
    pub fn pop_first(&mut self) -> Option<K> {
        self.0.pop_first().map(|(key, ())| key)
    }

    /// Takes out all but these.
    pub fn retain(&mut self, mut stays: impl FnMut(&K) -> bool) {
        self.0.retain(|key, ()| stays(key));
    }
}

impl<K: Ord> Set<K> {
    /// Whether it is there.
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.contains_key(key)
    }

    /// Puts it in; whether it was not there.
    pub fn insert(&mut self, key: K) -> bool {
        self.0.insert(key, ()).is_none()
    }

    /// Takes it out; whether it was there.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.0.remove(key).is_some()
    }

    /// Those in a range, ascending.
    #[must_use]
    pub fn range<Q: Ord + ?Sized>(&self, keys: impl RangeBounds<Q>) -> Iter<'_, K>
    where
        K: Borrow<Q>,
    {
        Iter(self.0.range(keys))
    }

    /// Those that the other one has not.
    pub fn difference(&self, other: &Self) -> impl Iterator<Item = &K> {
        self.iter().filter(|key| !other.contains(key))
    }

    /// Whether the other one has all of them.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.iter().all(|key| other.contains(key))
    }

    /// Whether the other one has none of them.
    #[must_use]
    pub fn is_disjoint(&self, other: &Self) -> bool {
        !self.iter().any(|key| other.contains(key))
    }

    /// Takes over all of the other one, which is empty then.
    pub fn append(&mut self, other: &mut Self) {
        self.extend(core::mem::take(other));
    }
}

/// The values of a set, or some of them, ascending.
pub struct Iter<'a, K>(super::Iter<'a, K, ()>);

impl<K> Clone for Iter<'_, K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<'a, K> Iterator for Iter<'a, K> {
    type Item = &'a K;

    fn next(&mut self) -> Option<&'a K> {
        self.0.next().map(|(key, ())| key)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K> DoubleEndedIterator for Iter<'_, K> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|(key, ())| key)
    }
}

impl<K> ExactSizeIterator for Iter<'_, K> {}

/// The values of a set, each taken out.
pub struct IntoIter<K>(super::IntoIter<K, ()>);

impl<K> Iterator for IntoIter<K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.0.next().map(|(key, ())| key)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<K> Default for Set<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: fmt::Debug> fmt::Debug for Set<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl<K: Ord> Extend<K> for Set<K> {
    fn extend<T: IntoIterator<Item = K>>(&mut self, keys: T) {
        self.0.extend(keys.into_iter().map(|key| (key, ())));
    }
}

impl<'a, K: Ord + Copy + 'a> Extend<&'a K> for Set<K> {
    fn extend<T: IntoIterator<Item = &'a K>>(&mut self, keys: T) {
        self.extend(keys.into_iter().copied());
    }
}

impl<K: Ord> FromIterator<K> for Set<K> {
    fn from_iter<T: IntoIterator<Item = K>>(keys: T) -> Self {
        let mut set = Self::new();
        set.extend(keys);
        set
    }
}

impl<K: Ord, const N: usize> From<[K; N]> for Set<K> {
    fn from(keys: [K; N]) -> Self {
        keys.into_iter().collect()
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = IntoIter<K>;

    fn into_iter(self) -> IntoIter<K> {
        IntoIter(self.0.into_iter())
    }
}

impl<'a, K> IntoIterator for &'a Set<K> {
    type Item = &'a K;
    type IntoIter = Iter<'a, K>;

    fn into_iter(self) -> Iter<'a, K> {
        self.iter()
    }
}
