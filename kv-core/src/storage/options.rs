//! The sizes that a store goes by.

use serde::{Deserialize, Serialize};

/// Sizes in bytes, but where another unit is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreOptions {
    /// A segment of the log.
    pub segment_bytes: u64,
    /// A memtable that has so much goes to a table.
    pub memtable_bytes: u64,
    /// A table that a compaction writes; one of a flush has as much as the memtable.
    pub table_bytes: u64,
    /// The first level of tables that do not overlap.
    pub level_bytes: u64,
    /// A block before compression.
    pub block_bytes: u64,
    /// Bits of the filter for each key.
    pub filter_bits: u64,
    /// The first level whose blocks are compressed; one above the last compresses none.
    pub compressed_from: u64,
    /// The block cache.
    pub cache_bytes: u64,
    /// Room kept free, so that a full disk still lets tables be written.
    pub reserve_bytes: u64,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableForm {
    /// A block before compression, in bytes.
    pub block_bytes: u64,
    /// Bits of the filter for each key.
    pub filter_bits: u64,
    /// Whether blocks are compressed.
    pub compress: bool,
}

impl StoreOptions {
    const KIB: u64 = 1_024;
    const MIB: u64 = 1_024 * Self::KIB;

    /// For a machine of its own.
    pub const SERVER: Self = Self {
        segment_bytes: 16 * Self::MIB,
        memtable_bytes: 64 * Self::MIB,
        table_bytes: 64 * Self::MIB,
        level_bytes: 256 * Self::MIB,
        block_bytes: 4 * Self::KIB,
        filter_bits: 10,
        compressed_from: 2,
        cache_bytes: 64 * Self::MIB,
        reserve_bytes: 64 * Self::MIB,
    };

    /// For one of many nodes in one process, and so small that a short run has every part of it.
    pub const SIMULATED: Self = Self {
        segment_bytes: 128 * Self::KIB,
        memtable_bytes: 32 * Self::KIB,
        table_bytes: 32 * Self::KIB,
        level_bytes: 128 * Self::KIB,
        block_bytes: Self::KIB,
        filter_bits: 10,
        compressed_from: 2,
        cache_bytes: 64 * Self::KIB,
        reserve_bytes: 64 * Self::KIB,
    };

    /// How tables of a level are written.
    #[must_use]
    pub fn form(&self, level: u64) -> TableForm {
        TableForm {
            block_bytes: self.block_bytes,
            filter_bits: self.filter_bits,
            compress: self.compressed_from <= level,
        }
    }
}
