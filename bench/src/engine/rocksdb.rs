//! RocksDB.

use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;
use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType,
    Options, WaitForCompactOptions, WriteBatch, WriteOptions,
};

use super::{BLOCK_BYTES, CACHE_BYTES, Engine, FILTER_BITS, MEMTABLE_BYTES, by_threads, entry};

pub(crate) struct Rocks {
    database: DB,
}

impl Rocks {
    pub(crate) fn open(folder: &Path, buffered: bool) -> Result<Self> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&Cache::new_lru_cache(CACHE_BYTES));
        blocks.set_block_size(BLOCK_BYTES as usize);
        blocks.set_bloom_filter(f64::from(FILTER_BITS), false);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_write_buffer_size(MEMTABLE_BYTES);
        options.set_manual_wal_flush(buffered);
        let mut levels = [DBCompressionType::Lz4; 7];
        levels[..2].fill(DBCompressionType::None);
        options.set_compression_per_level(&levels);
        Ok(Self { database: DB::open(&options, folder)? })
    }

    fn write(&self, numbers: Range<u64>) -> Result<()> {
        let mut batch = WriteBatch::default();
        for number in numbers {
            let (key, value) = entry(number);
            batch.put(key, value);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        Ok(self.database.write_opt(batch, &options)?)
    }
}

impl Engine for Rocks {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.database.put(key, value)?)
    }

    fn put_synced(&mut self, numbers: Range<u64>) -> Result<()> {
        self.write(numbers)
    }

    fn put_synced_by(&mut self, clients: u64, until: Instant) -> Result<u64> {
        by_threads(clients, until, |number| self.write(number..number + 1))
    }

    fn get(&mut self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.database.get_pinned(key)?;
        if let Some(value) = &found {
            show(value);
        }
        Ok(found.is_some())
    }

    fn scan(&mut self, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut entries = self.database.raw_iterator();
        entries.seek_to_first();
        while let Some((key, value)) = entries.item() {
            show(key, value);
            entries.next();
        }
        Ok(entries.status()?)
    }

    fn settle(&mut self) -> Result<()> {
        Ok(self.database.wait_for_compact(&WaitForCompactOptions::default())?)
    }

    fn compact(&mut self) -> Result<()> {
        self.database.flush()?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        self.database.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.database.flush_wal(false)?;
        self.database.cancel_all_background_work(true);
        Ok(())
    }
}
