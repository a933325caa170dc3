//! What is measured: three engines behind one small trait, each with the same limits.
//!
//! | | all three |
//! | --- | --- |
//! | block cache | 64 MiB |
//! | memtable | 64 MiB |
//! | blocks | 4 KiB, plain on levels 0 and 1, LZ4 below |
//! | filter | Bloom, 10 bits a key, on every level |
//!
//! Everything else is as each engine comes. fjall and RocksDB hand every record of their logs to the
//! operating system at once, kv when 64 KiB have gathered or a sync is wanted; with `buffered` the
//! other two do as kv does.

mod fjall;
mod kv;
#[cfg(feature = "rocksdb")]
mod rocksdb;

use std::ops::Range;
use std::path::Path;
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::ValueEnum;

use crate::workload;

pub(crate) const CACHE_BYTES: usize = 64 << 20;
pub(crate) const MEMTABLE_BYTES: usize = 64 << 20;
pub(crate) const BLOCK_BYTES: u32 = 4 << 10;
pub(crate) const FILTER_BITS: u8 = 10;

/// Which engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The one of this project.
    Kv,
    Fjall,
    Rocksdb,
}

/// An open engine. Methods return when their work is done, unless they say otherwise.
pub(crate) trait Engine {
    /// Writes one entry without a sync.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Writes the entries of these numbers as one atomic batch that is durable when this returns.
    fn put_synced(&mut self, numbers: Range<u64>) -> Result<()>;

    /// Each of so many clients writes entries, each durable before the next, until the time has come.
    /// Returns how many were written.
    fn put_synced_by(&mut self, clients: u64, until: Instant) -> Result<u64>;

    /// Shows the value of a key, if there is one, and tells whether there was.
    fn get(&mut self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows every entry in the order of keys.
    fn scan(&mut self, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<()>;

    /// Waits until no flush and no compaction is running or due.
    fn settle(&mut self) -> Result<()>;

    /// Flushes, then compacts everything.
    fn compact(&mut self) -> Result<()>;

    /// What only this engine can tell: a name and a number.
    fn own_numbers(&mut self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Ends all threads and closes all files.
    fn close(self: Box<Self>) -> Result<()>;
}

impl Kind {
    /// Those that this binary was built with.
    pub(crate) fn all() -> Vec<Self> {
        let built = |kind: &Self| cfg!(feature = "rocksdb") || *kind != Self::Rocksdb;
        [Self::Kv, Self::Fjall, Self::Rocksdb].into_iter().filter(built).collect()
    }

    /// As it is written in tables and on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kv => "kv",
            Self::Fjall => "fjall",
            Self::Rocksdb => "rocksdb",
        }
    }

    /// Opens the folder, making the database if there is none.
    pub(crate) fn open(self, folder: &Path, buffered: bool) -> Result<Box<dyn Engine>> {
        match self {
            Self::Kv => Ok(Box::new(kv::Kv::open(folder)?)),
            Self::Fjall => Ok(Box::new(fjall::Fjall::open(folder, buffered)?)),
            #[cfg(feature = "rocksdb")]
            Self::Rocksdb => Ok(Box::new(rocksdb::Rocks::open(folder, buffered)?)),
            #[cfg(not(feature = "rocksdb"))]
            Self::Rocksdb => anyhow::bail!("this binary was built without RocksDB"),
        }
    }
}

/// Runs clients as threads, each with entries of its own, until the time has come; returns how many
/// entries they have put.
fn by_threads(clients: u64, until: Instant, put: impl Fn(u64) -> Result<()> + Sync) -> Result<u64> {
    let client = &|number: u64| -> Result<u64> {
        let first = number << 32;
        let mut next = first;
        while Instant::now() < until {
            put(next)?;
            next += 1;
        }
        Ok(next - first)
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..clients).map(|number| scope.spawn(move || client(number))).collect();
        let counts = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| anyhow!("a client's thread panicked"))?);
        counts.sum()
    })
}

/// The entry with this number.
fn entry(number: u64) -> (workload::Key, workload::Value) {
    (workload::key(number), workload::value(number))
}
