//! The index of a table: where each block begins, and which keys it can hold.
//!
//! Form: for each block a key not smaller than any in the block and smaller than any behind it, with its
//! length before it, and the length of the block's section. In memory the first eight bytes of each key
//! stand apart, so that a search seldom touches the keys.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::varint;
use super::block::common;

/// Where a section is in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Span {
    pub(in super::super) offset: u64,
    pub(in super::super) length: u64,
}

/// An index being written.
#[derive(Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    pub(super) fn add(&mut self, separator: &[u8], length: u64) {
        varint::put_bytes(&mut self.bytes, separator);
        varint::put(&mut self.bytes, length);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The shortest key that is not smaller than `last` and smaller than `next`; the two may be equal.
pub(super) fn separator<'a>(last: &'a [u8], next: &'a [u8]) -> &'a [u8] {
    let shared = common(last, next);
    let cut = &next[..next.len().min(shared + 1)];
    if last < cut && cut < next { cut } else { last }
}

/// How many prefixes lie between two samples.
const SAMPLE: usize = 64;

/// An index as it was read.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Index {
    prefixes: Vec<u64>,
    /// Every so-many-th prefix: few enough to stay in a processor's fastest memory.
    samples: Vec<u64>,
    bytes: Bytes,
    /// Where each key stands in `bytes`.
    keys: Vec<(u32, u32)>,
    /// Where each block begins, and where the last one ends.
    offsets: Vec<u64>,
}

impl Index {
    /// None if these bytes are no index of blocks that fill `blocks_end` bytes.
    pub(super) fn decode(bytes: Bytes, blocks_end: u64) -> Option<Self> {
        let mut index = Self { offsets: alloc::vec![0], ..Self::default() };
        let (mut rest, mut offset) = (&bytes[..], 0_u64);
        while !rest.is_empty() {
            let key = varint::take_bytes(&mut rest)?;
            let from = bytes.len() - rest.len() - key.len();
            let length = varint::take(&mut rest)?;
            offset = offset.checked_add(length).filter(|end| *end <= blocks_end)?;
            index.prefixes.push(prefix(key));
            index.keys.push((u32::try_from(from).ok()?, u32::try_from(key.len()).ok()?));
            index.offsets.push(offset);
        }
        index.bytes = bytes;
        index.samples = index.prefixes.iter().copied().step_by(SAMPLE).collect();
        (offset == blocks_end).then_some(index)
    }

    /// How many blocks there are.
    pub(in super::super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The first block that may hold the key; behind the last if none does.
    pub(in super::super) fn seek(&self, key: &[u8]) -> usize {
        let wanted = prefix(key);
        let sample = self.samples.partition_point(|sample| *sample < wanted).saturating_sub(1);
        let (start, end) = (sample * SAMPLE, (sample + 1) * SAMPLE + 1);
        let near = self.prefixes.get(start..end.min(self.prefixes.len())).unwrap_or_default();
        let from = start + near.partition_point(|prefix| *prefix < wanted);
        if self.prefixes.get(from) != Some(&wanted) {
            return from;
        }
        let same = self.prefixes[from..].partition_point(|prefix| *prefix == wanted);
        let (mut low, mut high) = (from, from + same);
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.separator(middle) < key {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }

    /// A key not smaller than any in the block and smaller than any behind it.
    pub(in super::super) fn separator(&self, block: usize) -> &[u8] {
        self.keys
            .get(block)
            .map_or(&[], |(from, length)| &self.bytes[*from as usize..][..*length as usize])
    }

    /// Where a block is.
    pub(in super::super) fn span(&self, block: usize) -> Option<Span> {
        let (offset, end) = (*self.offsets.get(block)?, *self.offsets.get(block + 1)?);
        Some(Span { offset, length: end - offset })
    }

    /// Where the last block ends.
    pub(in super::super) fn blocks_end(&self) -> u64 {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// What it takes in memory.
    pub(in super::super) fn bytes(&self) -> u64 {
        (self.bytes.len() + self.keys.len() * 24) as u64
    }
}

fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    let length = key.len().min(8);
    first[..length].copy_from_slice(&key[..length]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_separator_is_short_and_between() {
        assert_eq!(separator(b"apple", b"banana"), b"b");
        assert_eq!(separator(b"apple", b"apricot"), b"apr");
        assert_eq!(separator(b"a", b"b"), b"a", "a cut of the next key would be the key itself");
        assert_eq!(separator(b"a", b"aa"), b"a");
        assert_eq!(separator(b"same", b"same"), b"same");
    }

    #[test]
    fn a_search_finds_the_first_block_that_may_hold_the_key() {
        let mut builder = Builder::default();
        let separators = [&b"b"[..], b"longprefix-a", b"longprefix-a", b"longprefix-c", b"z"];
        for separator in separators {
            builder.add(separator, 10);
        }
        let bytes = Bytes::from(builder.finish());
        let index = Index::decode(bytes.clone(), 50).unwrap();
        for (key, block) in [
            (&b""[..], 0),
            (b"b", 0),
            (b"b\0", 1),
            (b"longprefix", 1),
            (b"longprefix-a", 1),
            (b"longprefix-b", 3),
            (b"longprefix-c", 3),
            (b"zz", 5),
        ] {
            assert_eq!(index.seek(key), block, "{key:?}");
        }
        assert_eq!(index.span(4), Some(Span { offset: 40, length: 10 }));
        assert_eq!(index.span(5), None);
        assert!(Index::decode(bytes.clone(), 51).is_none());
        assert!(Index::decode(bytes.slice(1..), 50).is_none());
    }

    #[test]
    fn a_search_among_many_blocks_agrees_with_a_walk() {
        let mut builder = Builder::default();
        let separators: Vec<_> = (0..1_000_u64).map(|at| (at / 3 * 7).to_be_bytes()).collect();
        for separator in &separators {
            builder.add(separator, 1);
        }
        let index = Index::decode(Bytes::from(builder.finish()), 1_000).unwrap();
        for key in 0..2_400_u64 {
            let key = key.to_be_bytes();
            let walked = separators.iter().take_while(|separator| **separator < key).count();
            assert_eq!(index.seek(&key), walked);
        }
    }
}
