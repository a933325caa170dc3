//! The store in numbers: plain data for status, metrics and the page.

use alloc::vec::Vec;

use bytes::Bytes;

use super::super::root::Suspect;
use super::super::table::reader::{Table, Unreadable};
use super::Store;
use crate::id::{FileId, LogPosition};

/// The store in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreView {
    /// How many versions of keys there are, removals and replaced ones included.
    pub versions: u64,
    /// Bytes of all their keys and values.
    pub bytes: u64,
    /// The segments of the log with their bytes, oldest first.
    pub segments: Vec<(FileId, u64)>,
    /// Where the log ends.
    pub end: LogPosition,
    /// Up to where it is known to be durable.
    pub durable: LogPosition,
    /// Bytes behind that.
    pub unsynced_bytes: u64,
    /// Whether writes are refused for want of room.
    pub full: bool,
    /// Versions and bytes of the memtable that is written to.
    pub memtable: (u64, u64),
    /// How many bytes it may have before it is on its way to a table.
    pub memtable_limit: u64,
    /// How many memtables are on their way to tables, and their bytes.
    pub frozen: (u64, u64),
    /// The levels of tables.
    pub levels: Vec<LevelView>,
    /// Bytes in the block cache, lookups that it answered, and lookups that it did not.
    pub cache: (u64, u64, u64),
    /// Bytes of filters and indexes in memory.
    pub index_bytes: u64,
    /// Lookups in tables that a filter spared, that it let pass in vain, and that found something.
    pub filter: (u64, u64, u64),
    /// Bytes of batches, of the log and of tables that were written since the store was opened. The
    /// second and third over the first is the write amplification.
    pub written: (u64, u64, u64),
    /// How many jobs are under way.
    pub jobs: u64,
    /// How many snapshots are held.
    pub snapshots: u64,
    /// Keys of which something was lost.
    pub suspects: Vec<Suspect>,
}

impl StoreView {
    /// Bytes of all segments of the log.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        self.segments.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of all tables.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        self.levels.iter().map(LevelView::bytes).sum()
    }

    /// How many thousandths of a byte went to the log and to tables for each byte of a batch. None
    /// before the first batch.
    #[must_use]
    pub fn write_amplification(&self) -> Option<u64> {
        let (user, log, tables) = self.written;
        (log + tables).saturating_mul(1_000).checked_div(user)
    }

    /// How many thousandths of a byte all tables take for each byte of the deepest level that has any.
    /// That one has each key once, so the others stand for what is replaced or on its way. None without
    /// tables.
    #[must_use]
    pub fn space_amplification(&self) -> Option<u64> {
        let deepest = self.levels.iter().map(LevelView::bytes).rfind(|bytes| *bytes > 0)?;
        self.table_bytes().saturating_mul(1_000).checked_div(deepest)
    }

    /// Of a million lookups for keys that a table does not have, how many its filter lets pass in vain.
    /// None before the first.
    #[must_use]
    pub fn false_positives_per_million(&self) -> Option<u64> {
        let (spared, vain, _) = self.filter;
        vain.saturating_mul(1_000_000).checked_div(spared + vain)
    }
}

impl LevelView {
    /// Bytes of its tables.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes).sum()
    }
}

/// One level of tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelView {
    /// Its tables: of level 0 the newest first, of others by key.
    pub tables: Vec<TableView>,
    /// How many bytes it should have at most; 0 for level 0, which goes by its number of tables.
    pub target_bytes: u64,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableView {
    /// Its file.
    pub file: FileId,
    /// Its length.
    pub bytes: u64,
    /// Bytes of keys and values.
    pub raw_bytes: u64,
    /// Versions, and how many of them are removals.
    pub versions: u64,
    /// How many of them are removals.
    pub removals: u64,
    /// How many removed ranges.
    pub ranges: u64,
    /// Its first key.
    pub first: Bytes,
    /// A key behind its last.
    pub end: Bytes,
    /// Bytes of its filter.
    pub filter_bytes: u64,
    /// Why nothing of it can be read, if so.
    pub fault: Option<Unreadable>,
}

impl Store {
    /// The store in numbers.
    #[must_use]
    pub fn view(&self) -> StoreView {
        let frozen = || self.frozen.iter().map(|frozen| frozen.memtable.as_ref());
        let levels: Vec<_> = (0..self.tables.levels.len()).map(|level| self.level(level)).collect();
        let tables = || levels.iter().flat_map(|level| &level.tables);
        let memtable = (self.active.entries(), self.active.bytes());
        let frozen_bytes: u64 = frozen().map(|memtable| memtable.bytes()).sum();
        let frozen_entries: u64 = frozen().map(|memtable| memtable.entries()).sum();
        let open = self.tables.levels.iter().flat_map(|level| level.iter());
        StoreView {
            versions: memtable.0
                + frozen_entries
                + tables().map(|table| table.versions).sum::<u64>(),
            bytes: memtable.1 + frozen_bytes + tables().map(|table| table.raw_bytes).sum::<u64>(),
            segments: self.log.segments.iter().map(|(file, s)| (*file, s.bytes)).collect(),
            end: self.end(),
            durable: self.durable(),
            unsynced_bytes: self.unsynced_bytes(),
            full: self.is_full(),
            memtable,
            memtable_limit: self.options.memtable_bytes,
            frozen: (self.frozen.len() as u64, frozen_bytes),
            cache: self.cache.counts(),
            index_bytes: open.map(|table| table.memory().1).sum(),
            filter: (self.counts.filtered, self.counts.false_positives, self.counts.found),
            written: (self.counts.user_bytes, self.log.appended_bytes, self.counts.table_bytes),
            jobs: self.work.running(),
            snapshots: self.snapshots.len() as u64,
            suspects: self.tables.root.suspects.clone(),
            levels,
        }
    }

    fn level(&self, level: usize) -> LevelView {
        let target_bytes = match level {
            0 => 0,
            _ => super::super::compaction::level_target(level, &self.options),
        };
        let tables = self.tables.levels[level].iter().map(|table| TableView::of(table));
        LevelView { tables: tables.collect(), target_bytes }
    }
}

impl TableView {
    pub(in super::super) fn of(table: &Table) -> Self {
        let properties = &table.meta.properties;
        Self {
            file: table.meta.file,
            bytes: table.meta.bytes,
            raw_bytes: properties.raw_bytes,
            versions: properties.versions,
            removals: properties.removals,
            ranges: properties.ranges,
            first: properties.first.clone(),
            end: properties.end.clone(),
            filter_bytes: table.memory().0,
            fault: table.fault().cloned(),
        }
    }
}
