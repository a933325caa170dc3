//! A block: some kilobytes of versions in order, the unit of reading.
//!
//! ```text
//! version  = shared | rest | tag | revision | the key behind what it shares with the one before | value
//! block    = versions | where each restart begins, u32 each | how many restarts, u32
//! ```
//!
//! The numbers of a version are varints; `tag` is twice the value's length plus one, or 0 for a removal.
//! Every eighth version is a restart, which shares nothing. So a search halves among the restarts
//! and then walks, and while it walks it never puts a key together: from what a key shares with the one
//! before follows on which side of the searched key it stands.

use alloc::vec::Vec;
use core::cmp::Ordering;
use core::ops::Range;

use bytes::Bytes;

use super::super::memtable::Version;
use super::super::varint;

/// How many versions lie between two restarts.
const RESTART: u64 = 8;

/// A block being written.
#[derive(Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
    restarts: Vec<u32>,
    versions: u64,
    last_key: Vec<u8>,
}

impl Builder {
    pub(super) fn is_empty(&self) -> bool {
        self.versions == 0
    }

    /// How many bytes there are so far.
    pub(super) fn len(&self) -> u64 {
        (self.bytes.len() + self.restarts.len() * 4 + 4) as u64
    }

    /// The key of the last version.
    pub(super) fn last_key(&self) -> &[u8] {
        &self.last_key
    }

    /// Adds a version, which stands behind all that were added.
    pub(super) fn add(&mut self, version: Version<'_>) {
        let key = version.key;
        let shared = if self.versions.is_multiple_of(RESTART) {
            // A block ends long before 2^32 bytes, unless by its last version.
            self.restarts.push(self.bytes.len() as u32);
            0
        } else {
            common(&self.last_key, key)
        };
        varint::put(&mut self.bytes, shared as u64);
        varint::put(&mut self.bytes, (key.len() - shared) as u64);
        varint::put(&mut self.bytes, version.value.map_or(0, |value| value.len() as u64 * 2 + 1));
        varint::put(&mut self.bytes, version.revision);
        self.bytes.extend_from_slice(&key[shared..]);
        self.bytes.extend_from_slice(version.value.unwrap_or_default());
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.versions += 1;
    }

    /// The block; the builder is empty again.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        for restart in &self.restarts {
            self.bytes.extend_from_slice(&restart.to_le_bytes());
        }
        self.bytes.extend_from_slice(&(self.restarts.len() as u32).to_le_bytes());
        self.restarts.clear();
        self.versions = 0;
        core::mem::take(&mut self.bytes)
    }
}

/// A block as it was read. Its checksum held, and still nothing in it is taken for granted: what is not
/// a version ends it.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Block {
    bytes: Bytes,
    /// Where the versions end and the restarts begin.
    end: usize,
}

/// What a search in a block came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Search {
    /// The newest version of the key that is not above the revision, and its value.
    Found(u64, Option<Bytes>),
    /// The key is not here and not behind this block.
    Absent,
    /// The block ends before any greater key.
    Behind,
}

/// A version within a block: the head, and where key and value stand.
struct Entry {
    shared: usize,
    rest: Range<usize>,
    revision: u64,
    value: Option<Range<usize>>,
    next: usize,
}

impl Block {
    /// None if these bytes are no block.
    pub(super) fn decode(bytes: Bytes) -> Option<Self> {
        let (rest, count) = bytes.split_last_chunk::<4>()?;
        let restarts = (u32::from_le_bytes(*count) as usize).checked_mul(4)?;
        let end = rest.len().checked_sub(restarts).filter(|_| restarts > 0)?;
        Some(Self { end, bytes })
    }

    pub(in super::super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Looks for a key.
    pub(super) fn find(&self, key: &[u8], upto: u64) -> Search {
        let mut restart = self.restart_before(key);
        let mut at = self.restart(restart);
        // How much of the searched key the key before has; all keys so far are smaller or equal.
        let mut matched = 0;
        while let Some(entry) = self.entry(at) {
            if at == self.restart(restart) {
                matched = 0;
                restart += 1;
            }
            at = entry.next;
            if entry.shared > matched {
                continue;
            }
            if entry.shared < matched {
                return Search::Absent;
            }
            let (rest, wanted) = (&self.bytes[entry.rest.clone()], &key[matched..]);
            let same = common(rest, wanted);
            match rest.get(same).cmp(&wanted.get(same)) {
                Ordering::Less => matched += same,
                Ordering::Greater => return Search::Absent,
                Ordering::Equal if entry.revision <= upto => {
                    let value = entry.value.map(|range| self.bytes.slice(range));
                    return Search::Found(entry.revision, value);
                }
                Ordering::Equal => matched += same,
            }
        }
        Search::Behind
    }

    /// The last restart whose key is smaller than `key`, or the first.
    fn restart_before(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.restarts());
        while low < high {
            let middle = usize::midpoint(low, high);
            let smaller = self
                .entry(self.restart(middle))
                .is_some_and(|entry| self.bytes[entry.rest.clone()] < *key);
            match smaller {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low.saturating_sub(1)
    }

    fn restarts(&self) -> usize {
        (self.bytes.len() - self.end) / 4 - 1
    }

    /// Where a restart begins; nowhere if there are not so many.
    fn restart(&self, number: usize) -> usize {
        let place = self.bytes.get(self.end + number * 4..).and_then(|rest| rest.first_chunk());
        match place {
            Some(place) if number < self.restarts() => u32::from_le_bytes(*place) as usize,
            _ => usize::MAX,
        }
    }

    /// The version that begins here.
    fn entry(&self, at: usize) -> Option<Entry> {
        let all = self.bytes.get(at..self.end)?;
        let mut rest = all;
        let shared = usize::try_from(varint::take(&mut rest)?).ok()?;
        let key_length = usize::try_from(varint::take(&mut rest)?).ok()?;
        let tag = varint::take(&mut rest)?;
        let revision = varint::take(&mut rest)?;
        let key_at = at + all.len() - rest.len();
        let key_end = key_at.checked_add(key_length)?;
        let next = match tag {
            0 => key_end,
            tag => key_end.checked_add(usize::try_from(tag / 2).ok()?)?,
        };
        let value = (tag != 0).then_some(key_end..next);
        (next <= self.end && (tag == 0 || tag % 2 == 1)).then_some(Entry {
            shared,
            rest: key_at..key_end,
            revision,
            value,
            next,
        })
    }
}

/// Goes through a block forward, from its beginning.
#[derive(Clone, Debug, Default)]
pub(super) struct Walk {
    block: Block,
    at: usize,
    key: Vec<u8>,
    revision: u64,
    value: Option<Range<usize>>,
}

impl Walk {
    pub(super) fn new(block: Block) -> Self {
        Self { block, ..Self::default() }
    }

    /// Takes up another block, before its first version.
    pub(super) fn enter(&mut self, block: Block) {
        self.block = block;
        self.at = 0;
        self.key.clear();
    }

    /// Goes to the next version. False at the end, and at bytes that are none.
    pub(super) fn step(&mut self) -> bool {
        let Some(entry) = self.block.entry(self.at).filter(|entry| entry.shared <= self.key.len())
        else {
            return false;
        };
        self.key.truncate(entry.shared);
        self.key.extend_from_slice(&self.block.bytes[entry.rest]);
        self.revision = entry.revision;
        self.value = entry.value;
        self.at = entry.next;
        true
    }

    /// Whether every byte of the block was a version.
    pub(super) fn is_done(&self) -> bool {
        self.at == self.block.end
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// None if the key was removed.
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.value.clone().map(|range| &self.block.bytes[range])
    }

    /// Where in the block the value stands.
    pub(super) fn value_range(&self) -> Option<Range<usize>> {
        self.value.clone()
    }

    /// The value, sharing the block's memory.
    pub(super) fn shared_value(&self) -> Option<Bytes> {
        self.value.clone().map(|range| self.block.bytes.slice(range))
    }
}

/// How many bytes two keys share at their beginnings.
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    type Row = (Vec<u8>, u64, Option<Vec<u8>>);

    fn rows(rng: &mut Rng, count: u64) -> Vec<Row> {
        let mut rows: Vec<Row> = (0..count)
            .map(|revision| {
                let key = (0..rng.below(6)).map(|_| b'a' + rng.below(2) as u8).collect();
                let value = (rng.below(3) > 0).then(|| alloc::vec![7; rng.below(200) as usize]);
                (key, revision, value)
            })
            .collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
        rows
    }

    fn block(rows: &[Row]) -> Block {
        let mut builder = Builder::default();
        for (key, revision, value) in rows {
            builder.add(Version { key, revision: *revision, value: value.as_deref() });
        }
        Block::decode(Bytes::from(builder.finish())).unwrap()
    }

    #[test]
    fn a_block_returns_what_was_put_in_and_finds_all_of_it() {
        let mut rng = Rng::new(4);
        for count in [1, 2, 15, 16, 17, 100, 400] {
            let rows = rows(&mut rng, count);
            let block = block(&rows);
            let mut walk = Walk::new(block.clone());
            for (key, revision, value) in &rows {
                assert!(walk.step());
                assert_eq!((walk.key(), walk.revision()), (&key[..], *revision));
                assert_eq!(walk.value(), value.as_deref());
            }
            assert!(!walk.step() && walk.is_done());
            for _ in 0..300 {
                let key: Vec<u8> = (0..rng.below(6)).map(|_| b'a' + rng.below(2) as u8).collect();
                let upto = rng.below(count + 2);
                let at = rows.partition_point(|row| {
                    row.0.cmp(&key).then(upto.cmp(&row.1)) == Ordering::Less
                });
                let expected = match rows.get(at) {
                    Some((found, revision, value)) if *found == key => {
                        Search::Found(*revision, value.clone().map(Bytes::from))
                    }
                    Some(_) => Search::Absent,
                    None => Search::Behind,
                };
                assert_eq!(block.find(&key, upto), expected, "{key:?} at {upto} of {count}");
            }
        }
    }

    #[test]
    fn foreign_bytes_end_a_block_and_never_panic() {
        let mut rng = Rng::new(5);
        let good = block(&rows(&mut rng, 40)).bytes;
        for _ in 0..20_000 {
            let mut bytes = good.to_vec();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.any() as u8;
            }
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            let Some(block) = Block::decode(Bytes::from(bytes)) else { continue };
            let _ = block.find(b"abab", 9);
            let mut walk = Walk::new(block);
            while walk.step() {}
        }
    }
}
