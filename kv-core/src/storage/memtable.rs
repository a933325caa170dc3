//! The memtable: the newest versions of keys, in order, until they go to a table.
//!
//! A version is a key at a revision; versions stand by key ascending and then by revision descending, so
//! that the newest comes first. Bytes lie in an arena, and the order is kept apart from them, in leaves
//! of small slots that carry the beginning of the key: a search seldom looks at a key itself, an insertion
//! moves few bytes, and the whole is given up at once.
//!
//! `Clone` shares all chunks and leaves until one of the two changes.
//!
//! Left out: removal; what is replaced stays until the flush.

mod arena;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use self::arena::{Arena, Place};
use super::ranges::Ranges;

/// Versions of keys and removed ranges, in memory.
#[derive(Clone, Default)]
pub struct Memtable {
    arena: Arena,
    /// Each but the last not empty, and the last neither unless it is the only one.
    leaves: Vec<Arc<Vec<Slot>>>,
    /// The first slot of each leaf.
    firsts: Vec<Slot>,
    ranges: Ranges,
    /// What the ranges take.
    range_bytes: u64,
    entries: u64,
    oldest: u64,
    newest: u64,
}

/// A version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version<'a> {
    pub(super) key: &'a [u8],
    pub(super) revision: u64,
    /// None if the key was removed.
    pub(super) value: Option<&'a [u8]>,
}

/// A place between two versions: the version with this number in this leaf comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    leaf: usize,
    slot: usize,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    head: Head,
    place: Place,
}

/// How a key begins: its first bytes, and zeros where it has fewer, then how many it has, at most
/// [`WHOLE`] + 1. Heads order as their keys do; keys with equal heads of at most so many bytes are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Head([u64; 3]);

/// A head has all of a key of so many bytes. Keys of one kind begin alike, so few bytes would tell little.
const WHOLE: usize = 23;

/// How many slots a leaf has at most.
const LEAF: usize = 128;

/// What a version takes beside its key and value: its slot, and its head in the arena.
const OVERHEAD: u64 = 48;

impl Memtable {
    /// Adds a version, or the removal of a key. Revisions only grow.
    pub(super) fn insert(&mut self, key: &[u8], revision: u64, value: Option<&[u8]>) {
        self.count(revision);
        self.entries += 1;
        let slot = Slot { head: Head::of(key), place: self.arena.add(key, revision, value) };
        let Cursor { leaf, slot: at } = self.search(key, revision);
        if self.leaves.is_empty() {
            self.leaves.push(Arc::default());
            self.firsts.push(slot);
        }
        let last_leaf = leaf + 1 == self.leaves.len();
        let Some(slots) = self.leaves.get_mut(leaf).map(Arc::make_mut) else { return };
        if slots.len() < LEAF {
            slots.insert(at, slot);
            if at == 0 {
                self.firsts[leaf] = slot;
            }
        } else if last_leaf && at == slots.len() {
            // Ascending keys fill their leaves.
            self.add_leaf(leaf + 1, alloc::vec![slot]);
        } else {
            let mut right = slots.split_off(LEAF / 2);
            match at.checked_sub(LEAF / 2) {
                Some(at) => right.insert(at, slot),
                None => slots.insert(at, slot),
            }
            self.firsts[leaf] = slots[0];
            self.add_leaf(leaf + 1, right);
        }
    }

    /// Removes all keys from `start` on and before `end`. `snapshots` are the revisions that somebody
    /// may still read at, ascending.
    pub(super) fn remove_range(
        &mut self,
        start: &[u8],
        end: &[u8],
        revision: u64,
        snapshots: &[u64],
    ) {
        self.count(revision);
        let (start, end) = (Bytes::copy_from_slice(start), Bytes::copy_from_slice(end));
        let (before, after) = self.ranges.add(&start, &end, revision, snapshots);
        self.range_bytes = self.range_bytes + after - before;
    }

    /// The newest version of the key that is not above `upto`.
    pub(super) fn get(&self, key: &[u8], upto: u64) -> Option<Version<'_>> {
        self.at(self.seek(key, upto)).filter(|version| version.key == key)
    }

    /// Before the first version of a key not less than `key` that is not above `upto`, and before all
    /// versions of greater keys.
    pub(super) fn seek(&self, key: &[u8], upto: u64) -> Cursor {
        self.normal(self.search(key, upto))
    }

    /// Behind all versions.
    pub(super) fn end(&self) -> Cursor {
        Cursor { leaf: self.leaves.len(), slot: 0 }
    }

    /// The version that comes next.
    pub(super) fn at(&self, cursor: Cursor) -> Option<Version<'_>> {
        let slot = self.leaves.get(cursor.leaf)?.get(cursor.slot)?;
        Some(self.arena.get(slot.place))
    }

    /// One place further.
    pub(super) fn next(&self, cursor: Cursor) -> Cursor {
        self.normal(Cursor { slot: cursor.slot + 1, ..cursor })
    }

    /// One place back; none at the first.
    pub(super) fn previous(&self, cursor: Cursor) -> Option<Cursor> {
        if let Some(slot) = cursor.slot.checked_sub(1) {
            return Some(Cursor { slot, ..cursor });
        }
        let leaf = cursor.leaf.checked_sub(1)?;
        Some(Cursor { leaf, slot: self.leaves.get(leaf)?.len().checked_sub(1)? })
    }

    pub(super) fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// How many versions there are.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// What they take in memory, the same on every machine.
    pub(super) fn bytes(&self) -> u64 {
        self.arena.bytes() + self.entries * OVERHEAD + self.range_bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest == 0
    }

    fn count(&mut self, revision: u64) {
        debug_assert!(self.newest < revision, "revisions only grow");
        self.newest = revision;
        if self.oldest == 0 {
            self.oldest = revision;
        }
    }

    fn add_leaf(&mut self, at: usize, slots: Vec<Slot>) {
        self.firsts.insert(at, slots[0]);
        let mut leaf = slots;
        leaf.reserve_exact(LEAF - leaf.len());
        self.leaves.insert(at, Arc::new(leaf));
    }

    /// Where the version belongs, perhaps behind the last slot of a leaf.
    fn search(&self, key: &[u8], revision: u64) -> Cursor {
        let head = Head::of(key);
        let newest = self.newest <= revision;
        let before = |slot: &Slot| match slot.head.cmp(&head) {
            // Of an equal key no version is newer, so none comes before.
            Ordering::Equal if newest && head.is_whole() => false,
            Ordering::Equal => {
                let (other, at) = self.arena.key(slot.place);
                other.cmp(key).then(revision.cmp(&at)) == Ordering::Less
            }
            ordering => ordering == Ordering::Less,
        };
        let leaf = self.firsts.partition_point(before).saturating_sub(1);
        let slot = self.leaves.get(leaf).map_or(0, |slots| slots.partition_point(before));
        Cursor { leaf, slot }
    }

    /// Behind the last slot of a leaf is before the first of the next.
    fn normal(&self, cursor: Cursor) -> Cursor {
        match self.leaves.get(cursor.leaf) {
            Some(slots) if slots.len() <= cursor.slot => Cursor { leaf: cursor.leaf + 1, slot: 0 },
            _ => cursor,
        }
    }
}

impl Head {
    fn of(key: &[u8]) -> Self {
        let mut head = [0; WHOLE + 1];
        let length = key.len().min(WHOLE);
        head[..length].copy_from_slice(&key[..length]);
        head[WHOLE] = key.len().min(WHOLE + 1) as u8;
        let number = |at: usize| {
            let bytes = head[at..].first_chunk().copied();
            u64::from_be_bytes(bytes.unwrap_or_default())
        };
        Self([number(0), number(8), number(16)])
    }

    /// Whether it has all of its key.
    fn is_whole(&self) -> bool {
        self.0[2] as u8 <= WHOLE as u8
    }
}

/// In a trace it stands for what it holds.
impl Serialize for Memtable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.entries, self.bytes(), self.oldest, self.newest).serialize(serializer)
    }
}

impl PartialEq for Memtable {
    fn eq(&self, other: &Self) -> bool {
        let all = |table: &Self| (table.entries, table.bytes(), table.oldest, table.newest);
        all(self) == all(other)
    }
}

impl Eq for Memtable {}

impl core::fmt::Debug for Memtable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (entries, bytes) = (self.entries, self.bytes());
        write!(f, "Memtable({entries} versions, {bytes} bytes, up to {})", self.newest)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::rng::Rng;

    type Model = BTreeMap<(Vec<u8>, core::cmp::Reverse<u64>), Option<Vec<u8>>>;

    fn filled(rng: &mut Rng, count: u64) -> (Memtable, Model) {
        let (mut table, mut model) = (Memtable::default(), Model::new());
        for revision in 1..=count {
            // Few keys of many lengths, some of which share all of their heads.
            let length = rng.below(29) as usize;
            let same = rng.below(2) as usize * 20;
            let letter = |at| if at < same { b'b' } else { rng.below(2) as u8 };
            let key: Vec<u8> = (0..length).map(letter).collect();
            let value =
                (rng.below(4) > 0).then(|| alloc::vec![revision as u8; rng.below(9) as usize]);
            table.insert(&key, revision, value.as_deref());
            model.insert((key, core::cmp::Reverse(revision)), value);
        }
        (table, model)
    }

    #[test]
    fn versions_stand_in_order_both_ways() {
        let (table, model) = filled(&mut Rng::new(1), 5_000);
        let mut cursor = table.seek(b"", u64::MAX);
        for ((key, revision), value) in &model {
            let version = table.at(cursor).expect("there are as many as in the model");
            assert_eq!((version.key, version.revision), (&key[..], revision.0));
            assert_eq!(version.value, value.as_deref());
            cursor = table.next(cursor);
        }
        assert_eq!((table.at(cursor), cursor), (None, table.end()));
        for (key, revision) in model.keys().rev() {
            cursor = table.previous(cursor).expect("there are as many as in the model");
            let version = table.at(cursor).map(|version| (version.key, version.revision));
            assert_eq!(version, Some((&key[..], revision.0)));
        }
        assert_eq!(table.previous(cursor), None);
    }

    #[test]
    fn a_key_is_found_at_any_revision() {
        let mut rng = Rng::new(2);
        let (table, model) = filled(&mut rng, 3_000);
        let keys: Vec<_> = model.keys().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let upto = rng.below(3_100);
            let from = (key.clone(), core::cmp::Reverse(upto));
            let expected = model.range(from..).next().filter(|((found, _), _)| *found == key);
            let found = table.get(&key, upto);
            assert_eq!(
                found.map(|version| (version.revision, version.value)),
                expected.map(|((_, revision), value)| (revision.0, value.as_deref()))
            );
        }
    }

    #[test]
    fn ascending_keys_fill_their_leaves_and_a_clone_stays_as_it_was() {
        let mut table = Memtable::default();
        for number in 0..1_000_u64 {
            table.insert(&number.to_be_bytes(), number + 1, Some(b"value"));
        }
        assert_eq!(table.leaves.len(), 1_000_usize.div_ceil(LEAF));
        let before = table.clone();
        table.insert(&5_u64.to_be_bytes(), 2_000, None);
        assert_eq!(before.entries() + 1, table.entries());
        let old = before.get(&5_u64.to_be_bytes(), u64::MAX);
        assert_eq!(old.and_then(|version| version.value), Some(&b"value"[..]));
    }
}
