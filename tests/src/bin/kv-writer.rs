//! Writes to a store as fast as its disk takes it, until it is killed.
//!
//! `kv-writer DIR` goes on where the store in the folder ends. It prints a number for each batch that
//! is durable; what a batch holds follows from its number, see [`kv_tests::batches`].

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use kv_core::disk::DiskError;
use kv_core::id::LogPosition;
use kv_core::io::Input;
use kv_core::storage::{Store, StoreError};
use kv_native::disk::FileDisk;
use kv_native::workers::Workers;
use kv_tests::batches::{self, OPTIONS};

/// How many batches may wait for the disk.
const WAITING_MAX: u64 = 64;

/// Nothing that is waited for takes so long. Who waits longer waits for nothing.
const STUCK: Duration = Duration::from_secs(60);

/// A store and the threads beside it.
struct Writer {
    store: Store,
    disk: FileDisk,
    workers: Workers,
    inputs: Receiver<Input>,
    /// The last batch that was appended, and the last that was acknowledged.
    appended: u64,
    acknowledged: u64,
    /// The sync that is under way, and which batch it covers.
    syncing: Option<(LogPosition, u64)>,
}

fn main() {
    let folder = std::env::args().nth(1).expect("kv-writer DIR");
    let mut disk = FileDisk::open(Path::new(&folder)).expect("the folder is free");
    let (mut store, _) = Store::open(OPTIONS, &mut disk).expect("the store is sound");
    let appended = batches::count(&mut store, &disk);
    let (report, inputs) = mpsc::channel();
    let workers = Workers::start(&disk, move |input| report.send(input).is_ok());
    let workers = workers.expect("threads can be started");
    let (acknowledged, syncing) = (appended, None);
    let mut writer = Writer { store, disk, workers, inputs, appended, acknowledged, syncing };
    loop {
        writer.turn();
    }
}

impl Writer {
    /// Appends what may be appended, and waits for what does not.
    fn turn(&mut self) {
        let mut busy = false;
        while !busy && self.appended - self.acknowledged < WAITING_MAX {
            let batch = batches::batch(self.appended + 1);
            match self.store.apply(&batch, &mut self.disk) {
                Ok(_) => self.appended += 1,
                Err(StoreError::Busy) => busy = true,
                Err(error) => panic!("{error}"),
            }
            self.order();
        }
        match self.inputs.recv_timeout(STUCK) {
            Ok(input) => self.take(input),
            Err(error) => panic!("{error}; the store is stuck: {:?}", self.store.view()),
        }
        self.order();
    }

    /// Orders a sync, if there is something to sync, and all jobs that are due. What was found on opening
    /// is to be synced as well: until then its memtable cannot go to a table.
    fn order(&mut self) {
        if self.syncing.is_none() && self.store.durable() < self.store.end() {
            self.syncing = Some((self.store.end(), self.appended));
            self.workers.sync(self.store.end());
        }
        while let Some((id, job)) = self.store.next_job() {
            self.workers.job(id, job);
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Synced { upto, result } => self.synced(upto, result),
            Input::JobDone { id, result } => {
                self.store.job_done(id, result, &mut self.disk);
                assert_eq!(self.store.failure(), None);
            }
            other => panic!("no thread reports {other:?}"),
        }
    }

    fn synced(&mut self, upto: LogPosition, result: Result<(), DiskError>) {
        result.expect("the device works");
        self.store.synced(upto);
        let (_, batch) = self.syncing.take().expect("it was ordered");
        self.acknowledged = batch;
        // One write, so that whoever reads never sees a part of a number without its line end.
        let line = format!("{batch}\n");
        io::stdout().write_all(line.as_bytes()).expect("somebody reads");
    }
}
