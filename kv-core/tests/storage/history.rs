//! A store together with what it should hold after every batch.

use std::collections::BTreeMap;

use bytes::Bytes;
use kv_core::id::LogPosition;
use kv_core::rng::Rng;
use kv_core::storage::{Batch, OpenError, Recovery, Store};

use crate::disk::TestDisk;

/// Small, so that a short history has many segments.
pub(crate) const SEGMENT_BYTES: u64 = 400;

pub(crate) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// What was done to a store, and what must come of it.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) disk: TestDisk,
    pub(crate) store: Store,
    /// The contents after so many batches.
    pub(crate) contents: Vec<Contents>,
    /// Where the log ended then.
    pub(crate) ends: Vec<LogPosition>,
    /// How many batches are synced.
    pub(crate) synced: usize,
}

impl History {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        let mut disk = TestDisk::default();
        let (store, recovery) = Store::open(segment_bytes, &mut disk).unwrap();
        assert_eq!(recovery, Recovery::default());
        let ends = vec![store.end()];
        Self { disk, store, contents: vec![Contents::new()], ends, synced: 0 }
    }

    pub(crate) fn apply(&mut self, changes: &[(Vec<u8>, Option<Vec<u8>>)]) {
        let mut contents = self.contents.last().cloned().unwrap_or_default();
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => {
                    batch.put(key.clone(), value.clone());
                    contents.insert(key.clone(), value.clone());
                }
                None => {
                    batch.remove(key.clone());
                    contents.remove(key);
                }
            }
        }
        let end = self.store.apply(&batch, &mut self.disk).unwrap();
        assert_eq!(end, self.store.end());
        assert_eq!(contents_of(&self.store), contents);
        self.contents.push(contents);
        self.ends.push(end);
    }

    /// Puts one key.
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.apply(&[(key.into(), Some(value.into()))]);
    }

    pub(crate) fn apply_any(&mut self, rng: &mut Rng) {
        let count = rng.between(1, 4);
        let changes: Vec<_> = (0..count)
            .map(|_| {
                let key = format!("k{}", rng.below(20)).into_bytes();
                let length = rng.below(60) as usize;
                let value = (rng.below(4) > 0).then(|| vec![rng.any() as u8; length]);
                (key, value)
            })
            .collect();
        self.apply(&changes);
    }

    pub(crate) fn sync(&mut self) {
        self.disk.sync();
        self.store.synced(self.store.end());
        self.synced = self.contents.len() - 1;
    }

    /// Syncs, and makes every later damage provable.
    pub(crate) fn close(&mut self) {
        self.sync();
        self.store.mark_durable(&mut self.disk).unwrap();
        self.sync();
    }

    pub(crate) fn batches(&self) -> usize {
        self.contents.len() - 1
    }
}

/// Opens a disk as it is.
pub(crate) fn open(disk: &mut TestDisk) -> Result<(Store, Recovery), OpenError> {
    Store::open(SEGMENT_BYTES, disk)
}

/// All entries.
pub(crate) fn contents_of(store: &Store) -> Contents {
    store.scan(b"", b"").map(|(key, value, _)| (key.to_vec(), value.to_vec())).collect()
}

/// The value of a key, wherever it is.
pub(crate) fn get(store: &Store, key: &str) -> Option<Bytes> {
    store.get(key.as_bytes()).map(|(value, _)| value)
}
