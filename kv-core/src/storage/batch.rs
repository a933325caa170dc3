//! A batch: the unit of atomicity, and its form in the log.
//!
//! A change is `1 | key | value` for a put, `2 | key` for a removal and `3 | start | end` for the
//! removal of a range, byte strings with their length before them; a batch is its changes one after the
//! other. It is kept in this form from the first, so that appending it to the log copies it once.

use alloc::vec::Vec;

use super::varint;

/// One atomic group of changes. Order counts: of two changes of one key the later wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    payload: Vec<u8>,
    changes: u64,
}

impl Batch {
    /// The key gets this value.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        self.payload.reserve(PUT_HEAD_MAX + key.len() + value.len());
        self.change(PUT, key);
        varint::put_bytes(&mut self.payload, value);
    }

    /// The key is no longer there. That it was there before is not required.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) {
        self.change(REMOVE, key.as_ref());
    }

    /// No key from `start` on and before `end` is there any longer. Costs as much as one removal,
    /// however many keys there are. Without a key between the two it changes nothing.
    pub fn remove_range(&mut self, start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) {
        if start.as_ref() < end.as_ref() {
            self.change(REMOVE_RANGE, start.as_ref());
            varint::put_bytes(&mut self.payload, end.as_ref());
        }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes == 0
    }

    /// How many changes it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.changes
    }

    /// Forgets all changes, and keeps its memory for others.
    pub fn clear(&mut self) {
        self.payload.clear();
        self.changes = 0;
    }

    /// The changes in their order.
    pub(super) fn changes(&self) -> Changes<'_> {
        Changes { rest: &self.payload }
    }

    /// As it stands in the log.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn change(&mut self, kind: u8, key: &[u8]) {
        self.changes += 1;
        self.payload.push(kind);
        varint::put_bytes(&mut self.payload, key);
    }
}

/// The most that a put takes beside its key and value.
const PUT_HEAD_MAX: usize = 1 + 2 * varint::BYTES_MAX;

const PUT: u8 = 1;
const REMOVE: u8 = 2;
const REMOVE_RANGE: u8 = 3;

/// One change of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// Put a value under a key.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Remove a key.
    Remove {
        /// The key.
        key: &'a [u8],
    },
    /// Remove the keys from the first on and before the second.
    RemoveRange {
        /// The first key.
        start: &'a [u8],
        /// The key behind the last.
        end: &'a [u8],
    },
}

/// The changes in the payload of a batch, up to the first bytes that are none.
#[derive(Clone, Debug)]
pub(super) struct Changes<'a> {
    rest: &'a [u8],
}

impl<'a> Changes<'a> {
    /// The changes in these bytes, if they are a batch of exactly `count` changes.
    pub(super) fn decode(payload: &'a [u8], count: u64) -> Option<Self> {
        let mut changes = Self { rest: payload };
        let found = changes.by_ref().count() as u64;
        (found == count && changes.rest.is_empty()).then_some(Self { rest: payload })
    }

    /// How many bytes there are from here on.
    pub(super) fn rest(&self) -> usize {
        self.rest.len()
    }
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        let (&kind, mut rest) = self.rest.split_first()?;
        let key = varint::take_bytes(&mut rest)?;
        let change = match kind {
            PUT => Change::Put { key, value: varint::take_bytes(&mut rest)? },
            REMOVE => Change::Remove { key },
            REMOVE_RANGE => {
                let end = varint::take_bytes(&mut rest).filter(|end| key < *end)?;
                Change::RemoveRange { start: key, end }
            }
            _ => return None,
        };
        self.rest = rest;
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_batch_returns_what_was_put_in() {
        let mut batch = Batch::default();
        batch.put("", "");
        batch.put("key", vec![7; 300]);
        batch.remove("key");
        batch.remove_range("a", "b");
        batch.remove_range("b", "a");
        let expected = [
            Change::Put { key: b"", value: b"" },
            Change::Put { key: b"key", value: &[7; 300] },
            Change::Remove { key: b"key" },
            Change::RemoveRange { start: b"a", end: b"b" },
        ];
        assert!(batch.changes().eq(expected));
        assert!(Changes::decode(batch.payload(), 4).is_some_and(|found| found.eq(expected)));
        assert!(Changes::decode(batch.payload(), 3).is_none(), "the count is checked");
    }

    #[test]
    fn a_batch_cut_short_is_none() {
        let mut batch = Batch::default();
        batch.put("key", "value");
        for length in 0..batch.payload().len() {
            assert!(Changes::decode(&batch.payload()[..length], 1).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn foreign_bytes_are_no_batch() {
        let none = |bytes: &[u8]| Changes::decode(bytes, 1).is_none();
        assert!(none(&[9, 0]), "no such kind");
        assert!(none(&[REMOVE, 0x80, 0]), "not the shortest form of a length");
        assert!(none(&[REMOVE, 0xff, 0xff, 0xff, 0xff, 0x7f]), "more than there is");
        assert!(none(&[REMOVE_RANGE, 1, b'b', 1, b'a']), "a range that ends before it begins");
    }
}
