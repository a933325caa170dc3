//! Tables: immutable files of versions in order, with a filter and an index.
//!
//! ```text
//! blocks of versions | filter | index | properties | footer
//! section  = payload | 0 as it is, 1 LZ4, u8 | checksum u64
//! footer   = where the filter, the index and the properties begin, u64 each, format u32, magic,
//!            checksum u64
//! ```
//!
//! Every checksum is xxh3 over what stands before it, seeded by the file and the offset: bytes that ended
//! up in another place never pass. The index has, for each block, a key not smaller than any in it and
//! smaller than any behind it, and its length. The properties say what the table holds as a whole, and
//! carry its removed ranges.
//!
//! A table spans the keys from `first` on and before `end`, removed ranges included. Filter and index of
//! an open table stay in memory, about 1.5 % of what it holds.

pub(super) mod block;
pub(super) mod index;
pub(super) mod reader;
pub(super) mod section;
pub(super) mod walk;
pub(super) mod writer;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::ranges::Ranges;
use crate::id::FileId;

/// What the root of the store says of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableMeta {
    /// Its file.
    pub file: FileId,
    /// The length of the file.
    pub bytes: u64,
    /// The checksum of its footer, so that no other file passes for it.
    pub checksum: u64,
    /// What it holds.
    pub properties: Properties,
}

/// What a table holds as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// How many versions, removals of keys included.
    pub versions: u64,
    /// How many of them are removals.
    pub removals: u64,
    /// How many removed ranges.
    pub ranges: u64,
    /// Bytes of all keys and values.
    pub raw_bytes: u64,
    /// Its smallest key.
    pub first: Bytes,
    /// A key behind all of it.
    pub end: Bytes,
    /// Its newest revision.
    pub newest: u64,
}

/// A whole table can be read.
const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"kv table";

/// Bytes of a footer.
const FOOTER: u64 = 44;

/// The payload of the section of properties.
#[derive(Serialize, Deserialize)]
struct Described {
    properties: Properties,
    ranges: Ranges,
}

impl Properties {
    /// Whether it spans this key.
    #[must_use]
    pub fn spans(&self, key: &[u8]) -> bool {
        self.first.as_ref() <= key && key < self.end.as_ref()
    }

    /// Whether it and the keys from `first` on and before `end` have any in common.
    #[must_use]
    pub fn overlaps(&self, first: &[u8], end: &[u8]) -> bool {
        self.first.as_ref() < end && first < self.end.as_ref()
    }
}

/// The smallest key behind this one.
pub(super) fn behind(key: &[u8]) -> Bytes {
    Bytes::from([key, &[0]].concat())
}
