//! A store together with what it should hold, played step by step, with jobs that run when a test says.

use std::collections::BTreeMap;

use kv_core::disk::DiskError;
use kv_core::id::{JobId, LogPosition};
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{
    Batch, Direction, Job, JobResult, Outcome, Scan, Store, StoreError, StoreOptions, Unreadable,
};

/// So small that a short history has many segments, tables and levels.
pub(crate) const SMALL: StoreOptions = StoreOptions {
    segment_bytes: 1_000,
    memtable_bytes: 1_200,
    table_bytes: 1_500,
    level_bytes: 2_500,
    block_bytes: 200,
    filter_bits: 10,
    compressed_from: 2,
    cache_bytes: 4_000,
    reserve_bytes: 2_000,
};

/// The log from which unlogged batches could be made again.
pub(crate) const STREAM: u64 = 7;

pub(crate) type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// One change of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveRange(Vec<u8>, Vec<u8>),
}

/// One thing that can happen to a store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Batch(Vec<Change>),
    Unlogged(Vec<Change>),
    Sync,
    Marker,
    Flush,
    Everything,
    /// One of the jobs that are due is run.
    Run(u64),
    /// What came of one of the jobs that were run is told to the store.
    Tell(u64),
}

/// What was done to a store, and what must come of it. Keys of unlogged batches begin with `u`, all
/// others do not.
#[derive(Clone)]
pub(crate) struct History {
    pub(crate) options: StoreOptions,
    pub(crate) disk: SimDisk,
    pub(crate) store: Store,
    /// What is there after so many logged batches.
    pub(crate) contents: Vec<Contents>,
    /// Where the log ended then.
    pub(crate) ends: Vec<LogPosition>,
    /// How many logged batches are synced.
    pub(crate) synced: usize,
    /// What is there after so many unlogged batches; that number is their position.
    pub(crate) unlogged: Vec<Contents>,
    /// The last mark the store told.
    pub(crate) marked: u64,
    due: Vec<(JobId, Job)>,
    done: Vec<(JobId, Result<JobResult, DiskError>)>,
    /// What came of jobs.
    pub(crate) outcomes: Vec<Outcome>,
}

impl History {
    pub(crate) fn new(options: StoreOptions) -> Self {
        Self::on(SimDisk::default(), options)
    }

    /// A history that goes on with what a disk holds.
    pub(crate) fn on(mut disk: SimDisk, options: StoreOptions) -> Self {
        let (store, _) = Store::open(options, &mut disk).unwrap();
        let marked = store.mark(STREAM).unwrap_or(0);
        let mut history = Self {
            options,
            disk,
            contents: vec![Contents::new()],
            ends: vec![store.end()],
            store,
            synced: 0,
            unlogged: vec![Contents::new(); marked as usize + 1],
            marked,
            due: Vec::new(),
            done: Vec::new(),
            outcomes: Vec::new(),
        };
        let (unlogged, logged) =
            history.read().unwrap().into_iter().partition(|(key, _)| key.starts_with(b"u"));
        history.contents[0] = logged;
        history.unlogged[marked as usize] = unlogged;
        history
    }

    pub(crate) fn batches(&self) -> usize {
        self.contents.len() - 1
    }

    /// What must be there now.
    pub(crate) fn expected(&self) -> Contents {
        let mut expected = self.contents[self.batches()].clone();
        expected.extend(self.unlogged[self.unlogged.len() - 1].clone());
        expected
    }

    /// Everything that is there.
    pub(crate) fn read(&self) -> Result<Contents, Unreadable> {
        contents_of(&self.store, &self.disk)
    }

    /// The value of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Unreadable> {
        Ok(self.store.get(key, &self.disk)?.map(|(value, _)| value.to_vec()))
    }

    /// Does a step. A batch that is refused is not a part of the history.
    pub(crate) fn step(&mut self, step: &Step) -> Result<(), StoreError> {
        let stepped = self.do_step(step);
        while let Some(job) = self.store.next_job() {
            self.due.push(job);
        }
        self.marked = self.store.mark(STREAM).unwrap_or(0);
        stepped
    }

    fn do_step(&mut self, step: &Step) -> Result<(), StoreError> {
        match step {
            Step::Batch(changes) => {
                let end = self.store.apply(&batch_of(changes), &mut self.disk)?;
                self.contents.push(after(&self.contents[self.batches()], changes));
                self.ends.push(end);
            }
            Step::Unlogged(changes) => {
                let position = self.unlogged.len() as u64;
                self.store.apply_unlogged(&batch_of(changes), STREAM, position, &mut self.disk)?;
                self.unlogged.push(after(&self.unlogged[position as usize - 1], changes));
            }
            Step::Sync => {
                let end = self.store.end();
                self.disk.sync_log(end).map_err(StoreError::Failed)?;
                self.store.synced(end);
                self.synced = self.batches();
            }
            Step::Marker => {
                self.store.mark_durable(&mut self.disk)?;
            }
            Step::Flush => self.store.flush(),
            Step::Everything => self.store.compact_everything(),
            Step::Run(which) if !self.due.is_empty() => {
                let (id, job) = self.due.remove(*which as usize % self.due.len());
                self.done.push((id, job.run(&mut self.disk)));
            }
            Step::Tell(which) if !self.done.is_empty() => {
                let (id, result) = self.done.remove(*which as usize % self.done.len());
                self.outcomes.extend(self.store.job_done(id, result, &mut self.disk));
            }
            Step::Run(_) | Step::Tell(_) => {}
        }
        Ok(())
    }

    /// Puts one key, which must be taken.
    pub(crate) fn put(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.step(&Step::Batch(vec![Change::Put(key.into(), value.into())])).unwrap();
    }

    pub(crate) fn sync(&mut self) {
        self.step(&Step::Sync).unwrap();
    }

    /// Syncs, and makes every later damage provable.
    pub(crate) fn close(&mut self) {
        self.sync();
        self.step(&Step::Marker).unwrap();
        self.sync();
    }

    /// Whether jobs are due or not told.
    pub(crate) fn is_busy(&self) -> bool {
        !self.due.is_empty() || !self.done.is_empty()
    }

    /// Syncs, and runs jobs until none is due.
    pub(crate) fn settle(&mut self) {
        self.sync();
        while self.is_busy() {
            self.step(&Step::Run(0)).unwrap();
            self.step(&Step::Tell(0)).unwrap();
        }
        assert!(self.store.is_settled() || self.store.is_full());
    }

    /// Closes, and opens again with nothing left to write.
    pub(crate) fn reopen(&mut self) {
        let reopened = Self::on(self.disk.clone(), self.options);
        let (contents, unlogged) = (reopened.contents[0].clone(), reopened.marked as usize);
        assert_eq!(contents, self.contents[self.batches()], "a clean reopening loses nothing");
        assert_eq!(reopened.unlogged[unlogged], self.unlogged[unlogged], "up to the mark");
        assert!(self.marked <= reopened.marked);
        *self = reopened;
    }
}

/// All entries, read forward and backward.
pub(crate) fn contents_of(store: &Store, disk: &SimDisk) -> Result<Contents, Unreadable> {
    let forward = entries(store.scan(b"", None, Direction::Forward), disk)?;
    let mut backward = entries(store.scan(b"", None, Direction::Backward), disk)?;
    backward.reverse();
    assert_eq!(forward, backward, "both ways show the same");
    assert!(forward.windows(2).all(|pair| pair[0].0 < pair[1].0), "in order");
    Ok(forward.into_iter().collect())
}

/// A key and its value.
pub(crate) type Entry = (Vec<u8>, Vec<u8>);

/// All entries of a scan in their order.
pub(crate) fn entries(mut scan: Scan<'_>, disk: &SimDisk) -> Result<Vec<Entry>, Unreadable> {
    let mut entries = Vec::new();
    while let Some(item) = scan.next(disk)? {
        entries.push((item.key.to_vec(), item.value.to_vec()));
    }
    Ok(entries)
}

/// The changes as a batch.
pub(crate) fn batch_of(changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for change in changes {
        match change {
            Change::Put(key, value) => batch.put(key, value),
            Change::Remove(key) => batch.remove(key),
            Change::RemoveRange(start, end) => batch.remove_range(start, end),
        }
    }
    batch
}

/// What is there after these changes.
pub(crate) fn after(before: &Contents, changes: &[Change]) -> Contents {
    let mut contents = before.clone();
    for change in changes {
        match change {
            Change::Put(key, value) => {
                contents.insert(key.clone(), value.clone());
            }
            Change::Remove(key) => {
                contents.remove(key);
            }
            Change::RemoveRange(start, end) => {
                contents.retain(|key, _| key < start || end <= key);
            }
        }
    }
    contents
}

/// Changes of keys that begin with a letter.
pub(crate) fn any_changes(rng: &mut Rng, letter: char) -> Vec<Change> {
    let key = |rng: &mut Rng| format!("{letter}{:02}", rng.below(40)).into_bytes();
    let value = |rng: &mut Rng, length: u64| -> Vec<u8> {
        let byte = rng.any() as u8;
        // Half of it can be compressed.
        (0..length).map(|at| if at % 2 == 0 { byte } else { rng.any() as u8 }).collect()
    };
    (0..rng.between(1, 4))
        .map(|_| match rng.below(20) {
            0..12 => {
                let key = key(rng);
                let length = rng.below(60);
                Change::Put(key, value(rng, length))
            }
            12 => {
                let key = key(rng);
                let length = rng.between(200, 700);
                Change::Put(key, value(rng, length))
            }
            13..18 => Change::Remove(key(rng)),
            _ => {
                let (start, end) = (key(rng), key(rng));
                Change::RemoveRange(start.clone().min(end.clone()), start.max(end))
            }
        })
        .collect()
}

/// A step of a workload that uses every part of a store.
pub(crate) fn any_step(rng: &mut Rng) -> Step {
    match rng.below(40) {
        0..14 => Step::Batch(any_changes(rng, 'k')),
        14..17 => Step::Unlogged(any_changes(rng, 'u')),
        17..22 => Step::Sync,
        22 => Step::Marker,
        23 => Step::Flush,
        24 if rng.below(4) == 0 => Step::Everything,
        24..32 => Step::Run(rng.any()),
        _ => Step::Tell(rng.any()),
    }
}
