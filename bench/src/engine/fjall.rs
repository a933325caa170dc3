//! fjall.

use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fjall::config::{BlockSizePolicy, BloomConstructionPolicy, CompressionPolicy};
use fjall::config::{FilterPolicy, FilterPolicyEntry};
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{BLOCK_BYTES, CACHE_BYTES, Engine, FILTER_BITS, MEMTABLE_BYTES, by_threads, entry};

/// fjall tells what is running, not what is due: nothing must have run for so long.
const QUIET: Duration = Duration::from_millis(300);

pub(crate) struct Fjall {
    database: Database,
    keyspace: Keyspace,
}

impl Fjall {
    pub(crate) fn open(folder: &Path, buffered: bool) -> Result<Self> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES as u64)
            .manual_journal_persist(buffered)
            .open()?;
        let filter =
            FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(f32::from(FILTER_BITS)));
        let plain = CompressionType::None;
        let keyspace = database.keyspace("bench", || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(buffered)
                .max_memtable_size(MEMTABLE_BYTES as u64)
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .filter_policy(FilterPolicy::all(filter))
                .data_block_compression_policy(CompressionPolicy::new([
                    plain,
                    plain,
                    CompressionType::Lz4,
                ]))
        })?;
        Ok(Self { database, keyspace })
    }

    fn write(&self, numbers: Range<u64>) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for number in numbers {
            let (key, value) = entry(number);
            batch.insert(&self.keyspace, key, value);
        }
        Ok(batch.commit()?)
    }

    fn is_busy(&self) -> bool {
        self.database.outstanding_flushes() > 0
            || self.database.active_compactions() > 0
            || self.keyspace.sealed_memtable_count() > 0
    }
}

impl Engine for Fjall {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.keyspace.insert(key, value)?)
    }

    fn put_synced(&mut self, numbers: Range<u64>) -> Result<()> {
        self.write(numbers)
    }

    fn put_synced_by(&mut self, clients: u64, until: Instant) -> Result<u64> {
        by_threads(clients, until, |number| self.write(number..number + 1))
    }

    fn get(&mut self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let found = self.keyspace.get(key)?;
        if let Some(value) = &found {
            show(value);
        }
        Ok(found.is_some())
    }

    fn scan(&mut self, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        for entry in self.keyspace.iter() {
            let (key, value) = entry.into_inner()?;
            show(&key, &value);
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < QUIET {
            if self.is_busy() {
                quiet_since = Instant::now();
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        self.keyspace.rotate_memtable_and_wait()?;
        Ok(self.keyspace.major_compact()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
