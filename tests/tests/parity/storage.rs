//! A life of a store, with everything decided by a seed: batches, jobs in any order, snapshots, crashes,
//! tables in every level, with and without compression. What it leaves on the disk and what it answers
//! must be the same on every platform.

use kv_core::disk::Disk;
use kv_core::hash;
use kv_core::id::JobId;
use kv_core::rng::Rng;
use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Direction, Job, Snapshot, Store, StoreError, StoreOptions};

/// How many lives are on record.
pub(crate) const SEEDS: u64 = 8;

const STEPS: u64 = 4_000;

struct Life {
    rng: Rng,
    options: StoreOptions,
    disk: SimDisk,
    store: Store,
    due: Vec<(JobId, Job)>,
    held: Option<Snapshot>,
    /// Which levels ever held a table, a bit for each.
    levels: u64,
    answers: u64,
}

/// The line on record: `storage SEED FILES WRITTEN ANSWERS LEVELS`, hashes but for the first and the last.
pub(crate) fn line(seed: u64) -> String {
    let mut life = Life::begin(seed);
    for _ in 0..STEPS {
        life.step();
    }
    life.work();
    life.answer(None);
    let Life { disk, levels, answers, .. } = life;
    let mut all = Vec::new();
    for file in disk.list().expect("the disk works") {
        let length = disk.len(file).expect("it is there");
        all.extend(file.0.to_le_bytes());
        all.extend(length.to_le_bytes());
        all.extend(disk.read_at(file, 0, length).expect("it is there"));
    }
    let (files, written) = (hash::of(&all), disk.written());
    format!("storage {seed} {files:016x} {written:016x} {answers:016x} {levels:07b}")
}

impl Life {
    fn begin(seed: u64) -> Self {
        let options = StoreOptions {
            segment_bytes: 9_000,
            memtable_bytes: 4_000,
            table_bytes: 6_000,
            // Even one byte is too much for most levels, so everything sinks to the last.
            level_bytes: if seed.is_multiple_of(2) { 1 } else { 12_000 },
            block_bytes: 700,
            compressed_from: seed % 4,
            cache_bytes: 20_000,
            reserve_bytes: 10_000,
            ..StoreOptions::SIMULATED
        };
        let mut disk = SimDisk::default();
        let (store, _) = Store::open(options, &mut disk).expect("an empty disk opens");
        let (due, held) = (Vec::new(), None);
        Self { rng: Rng::new(seed), options, disk, store, due, held, levels: 0, answers: 0 }
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..60 => self.write(),
            60..70 => self.sync(),
            70..95 => self.job(),
            95 => self.store.flush(),
            96 => self.hold(),
            97 if self.rng.below(20) == 0 => self.store.compact_everything(),
            98 if self.rng.below(10) == 0 => self.crash(),
            _ => self.answer(None),
        }
        while let Some(job) = self.store.next_job() {
            self.due.push(job);
        }
        for (level, view) in self.store.view().levels.iter().enumerate() {
            self.levels |= u64::from(!view.tables.is_empty()) << level;
        }
    }

    fn key(&mut self) -> String {
        format!("a key {:04}", self.rng.below(1_500))
    }

    fn write(&mut self) {
        let mut batch = Batch::default();
        for _ in 0..self.rng.between(1, 5) {
            let key = self.key();
            match self.rng.below(30) {
                0 => batch.remove_range(&key, self.key()),
                1..5 => batch.remove(&key),
                _ => {
                    let words = format!("{:x} ", self.rng.any());
                    batch.put(&key, words.repeat(self.rng.between(0, 12) as usize));
                }
            }
        }
        match self.store.apply(&batch, &mut self.disk) {
            Ok(_) => {}
            Err(StoreError::Busy) => self.work(),
            Err(error) => panic!("{error}"),
        }
    }

    fn sync(&mut self) {
        let end = self.store.end();
        self.disk.sync_log(end).expect("the disk works");
        self.store.synced(end);
    }

    fn job(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let (id, job) = self.due.swap_remove(self.rng.below(self.due.len() as u64) as usize);
        let result = job.run(&mut self.disk);
        self.store.job_done(id, result, &mut self.disk);
    }

    /// Does all there is to do.
    fn work(&mut self) {
        self.sync();
        loop {
            while let Some(job) = self.store.next_job() {
                self.due.push(job);
            }
            if self.due.is_empty() {
                return;
            }
            self.job();
        }
    }

    fn hold(&mut self) {
        match self.held.take() {
            Some(snapshot) => {
                self.answer(Some(&snapshot));
                self.store.release(snapshot);
            }
            None => self.held = Some(self.store.snapshot()),
        }
    }

    fn crash(&mut self) {
        self.disk.crash(&mut self.rng);
        (self.due, self.held) = (Vec::new(), None);
        (self.store, _) = Store::open(self.options, &mut self.disk).expect("nothing is damaged");
    }

    /// Looks a key up and goes through a range.
    fn answer(&mut self, snapshot: Option<&Snapshot>) {
        let (from, to) = (self.key(), self.key());
        let found = match snapshot {
            Some(snapshot) => self.store.get_at(snapshot, from.as_bytes(), &self.disk),
            None => self.store.get(from.as_bytes(), &self.disk),
        };
        let found = found.expect("nothing is damaged").map(|(value, _)| value);
        let mut seen = self.answers.to_le_bytes().to_vec();
        seen.extend(found.unwrap_or_default());
        let (start, end) = (from.as_bytes(), Some(to.as_bytes()));
        let mut scan = match snapshot {
            Some(snapshot) => self.store.scan_at(snapshot, start, end, Direction::Backward),
            None => self.store.scan(start, end, Direction::Forward),
        };
        while let Some(item) = scan.next(&self.disk).expect("nothing is damaged") {
            seen.extend(item.key);
            seen.extend(item.value);
        }
        self.answers = hash::of(&seen);
    }
}
