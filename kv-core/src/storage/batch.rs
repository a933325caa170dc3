//! A batch: the unit of atomicity, and its form in the log.
//!
//! A change is `1 | key length | key | value length | value` for a put and `2 | key length | key` for a
//! removal, lengths in LEB128; a batch is its changes one after the other.

use alloc::vec::Vec;

use bytes::Bytes;

/// One atomic group of changes. Order counts: of two changes of one key the later wins.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// The key gets this value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Bytes>) {
        self.changes.push(Change { key: Bytes::from(key.into()), value: Some(value.into()) });
    }

    /// The key is no longer there. That it was there before is not required.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.changes.push(Change { key: Bytes::from(key.into()), value: None });
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes it holds.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.changes.len() as u64
    }

    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    pub(super) fn encode(&self) -> Encoded {
        let mut encoded = Encoded::default();
        for change in &self.changes {
            encoded.starts.push(encoded.payload.len());
            let kind = if change.value.is_some() { PUT } else { REMOVE };
            encoded.payload.push(kind);
            put_bytes(&mut encoded.payload, &change.key);
            if let Some(value) = &change.value {
                put_bytes(&mut encoded.payload, value);
            }
        }
        encoded
    }
}

const PUT: u8 = 1;
const REMOVE: u8 = 2;

/// A key and its new value, or none if it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) key: Bytes,
    pub(super) value: Option<Bytes>,
}

/// A batch as it stands in the log.
#[derive(Default)]
pub(super) struct Encoded {
    pub(super) payload: Vec<u8>,
    /// Where each change begins in `payload`, ascending.
    pub(super) starts: Vec<usize>,
}

/// The changes in these bytes, if they are a batch of exactly `count` changes.
pub(super) fn decode(payload: &[u8], count: u64) -> Option<Vec<Change>> {
    let mut rest = payload;
    let mut changes = Vec::new();
    while let Some((&kind, behind)) = rest.split_first() {
        rest = behind;
        // Copies, because a slice would keep the whole batch in memory for as long as one value lives.
        let key = Bytes::copy_from_slice(take_bytes(&mut rest)?);
        let value = match kind {
            PUT => Some(Bytes::copy_from_slice(take_bytes(&mut rest)?)),
            REMOVE => None,
            _ => return None,
        };
        changes.push(Change { key, value });
    }
    (changes.len() as u64 == count).then_some(changes)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut length = bytes.len() as u64;
    while 0x80 <= length {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(rest)?;
    let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(bytes)
}

/// Only the shortest form of a number is one, so that a batch has one form.
fn take_length(rest: &mut &[u8]) -> Option<u64> {
    let mut length = 0_u64;
    // 35 bits: four times the largest batch that 32 bits could address.
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        length |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return (shift == 0 || byte != 0).then_some(length);
        }
    }
    None
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
        let encoded = batch.encode();
        assert_eq!(encoded.starts, [0, 3, 3 + 1 + 4 + 2 + 300]);
        assert_eq!(decode(&encoded.payload, 3).as_deref(), Some(batch.changes()));
        assert_eq!(decode(&encoded.payload, 2), None, "the count is checked");
    }

    #[test]
    fn a_batch_cut_short_is_none() {
        let mut batch = Batch::default();
        batch.put("key", "value");
        let payload = batch.encode().payload;
        for length in 1..payload.len() {
            assert_eq!(decode(&payload[..length], 1), None, "{length} bytes");
        }
    }

    #[test]
    fn foreign_bytes_are_no_batch() {
        assert_eq!(decode(&[3, 0], 1), None, "no such kind");
        assert_eq!(decode(&[REMOVE, 0x80, 0], 1), None, "not the shortest form of a length");
        assert_eq!(
            decode(&[REMOVE, 0xff, 0xff, 0xff, 0xff, 0xff], 1),
            None,
            "a length without an end"
        );
        assert_eq!(decode(&[REMOVE, 0xff, 0xff, 0xff, 0xff, 0x7f], 1), None, "more than there is");
    }
}
