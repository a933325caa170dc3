//! kv's own store, with the files and the threads of a node.
//!
//! One thread owns the store and never waits for a device; that is the one which calls this engine.
//! After every write it looks for jobs, as a node does. The log is synced when a write wants it, and
//! while a memtable becomes a table, which the root may name only then.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use kv_core::id::LogPosition;
use kv_core::io::Input;
use kv_core::storage::{Batch, Direction, Job, Store, StoreError, StoreOptions};
use kv_native::disk::FileDisk;
use kv_native::workers::Workers;

use super::{BLOCK_BYTES, CACHE_BYTES, Engine, FILTER_BITS, MEMTABLE_BYTES, by_threads, entry};

pub(crate) struct Kv {
    store: Store,
    disk: FileDisk,
    workers: Workers,
    events: Receiver<Event>,
    /// For clients on other threads.
    sender: Sender<Event>,
    /// Writes of those clients that are not yet durable, oldest first.
    unanswered: VecDeque<(LogPosition, Sender<()>)>,
    /// A sync is under way.
    syncing: bool,
    /// Somebody wants the log durable up to here.
    wanted: LogPosition,
    /// Kept for its memory.
    batch: Batch,
    spent: Spent,
}

enum Event {
    /// From the threads beside.
    Done(Input),
    /// A client's write; the answer says that it is durable.
    Write(Batch, Sender<()>),
    /// All clients have ended.
    Enough,
}

/// Where time of the owning thread went, besides what was asked of it.
#[derive(Default)]
struct Spent {
    /// Waiting, because the store refused writes until its jobs have caught up.
    busy: Duration,
    /// Beginning and ending jobs.
    jobs: Duration,
    longest_job: Duration,
    syncs: u64,
}

impl Kv {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let options = StoreOptions {
            memtable_bytes: MEMTABLE_BYTES as u64,
            cache_bytes: CACHE_BYTES as u64,
            block_bytes: u64::from(BLOCK_BYTES),
            filter_bits: u64::from(FILTER_BITS),
            compressed_from: 2,
            ..StoreOptions::SERVER
        };
        let mut disk = FileDisk::open(folder)?;
        let (store, _) =
            Store::open(options, &mut disk).map_err(|error| anyhow!("cannot open: {error}"))?;
        let (sender, events) = mpsc::channel();
        let report = sender.clone();
        let workers = Workers::start(&disk, move |input| report.send(Event::Done(input)).is_ok())?;
        let wanted = store.end();
        let mut kv = Self {
            store,
            disk,
            workers,
            events,
            sender,
            unanswered: VecDeque::new(),
            syncing: false,
            wanted,
            batch: Batch::default(),
            spent: Spent::default(),
        };
        kv.sync();
        kv.begin_jobs();
        Ok(kv)
    }

    /// Applies a batch; while the store is busy, waits for its jobs.
    fn apply(&mut self, batch: &Batch) -> Result<LogPosition> {
        loop {
            match self.store.apply(batch, &mut self.disk) {
                Ok(at) => {
                    self.begin_jobs();
                    return Ok(at);
                }
                Err(StoreError::Busy) => {
                    let start = Instant::now();
                    self.wait()?;
                    self.spent.busy += start.elapsed();
                }
                Err(error) => bail!("a write was refused: {error}"),
            }
        }
    }

    fn begin_jobs(&mut self) {
        let start = Instant::now();
        let mut any = false;
        while let Some((id, job)) = self.store.next_job() {
            if matches!(job, Job::Flush { .. }) {
                self.wanted = self.store.end();
            }
            self.workers.job(id, job);
            any = true;
        }
        if any {
            self.sync();
            self.spend(start);
        }
    }

    fn spend(&mut self, start: Instant) {
        let time = start.elapsed();
        self.spent.jobs += time;
        self.spent.longest_job = self.spent.longest_job.max(time);
    }

    /// Begins a sync if one is wanted and none is under way.
    fn sync(&mut self) {
        if !self.syncing && self.store.durable() < self.wanted {
            self.workers.sync(self.store.end());
            self.syncing = true;
            self.spent.syncs += 1;
        }
    }

    fn wait(&mut self) -> Result<()> {
        let event = self.events.recv().context("the threads have ended")?;
        self.handle(event)
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Done(Input::Synced { upto, result }) => {
                result.map_err(|error| anyhow!("a sync failed: {error}"))?;
                self.store.synced(upto);
                self.syncing = false;
                while let Some((_, client)) =
                    self.unanswered.pop_front_if(|(at, _)| *at <= self.store.durable())
                {
                    // A client that is gone needs no answer.
                    let _ = client.send(());
                }
            }
            Event::Done(Input::JobDone { id, result }) => {
                let start = Instant::now();
                self.store.job_done(id, result, &mut self.disk);
                self.spend(start);
                if let Some(error) = self.store.failure() {
                    bail!("a job failed: {error}");
                }
            }
            Event::Write(batch, client) => {
                let at = self.apply(&batch)?;
                self.unanswered.push_back((at, client));
                self.wanted = at;
            }
            Event::Done(_) | Event::Enough => bail!("nobody sends this now"),
        }
        self.begin_jobs();
        self.sync();
        Ok(())
    }

    /// Handles what has happened, without waiting.
    fn catch_up(&mut self) -> Result<()> {
        while let Ok(event) = self.events.try_recv() {
            self.handle(event)?;
        }
        Ok(())
    }

    fn wait_durable(&mut self, at: LogPosition) -> Result<()> {
        self.wanted = self.wanted.max(at);
        self.sync();
        while self.store.durable() < at {
            self.wait()?;
        }
        Ok(())
    }

    /// Handles events until all clients have ended. All that have arrived go to the log before the next
    /// sync begins.
    fn serve(&mut self) -> Result<()> {
        loop {
            let mut event = self.events.recv().context("the clients have ended")?;
            loop {
                if matches!(event, Event::Enough) {
                    return Ok(());
                }
                self.handle(event)?;
                match self.events.try_recv() {
                    Ok(next) => event = next,
                    Err(_) => break,
                }
            }
        }
    }
}

impl Engine for Kv {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.catch_up()?;
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        batch.put(key, value);
        self.apply(&batch)?;
        self.batch = batch;
        Ok(())
    }

    fn put_synced(&mut self, numbers: Range<u64>) -> Result<()> {
        let at = self.apply(&batch_of(numbers))?;
        self.wait_durable(at)
    }

    fn put_synced_by(&mut self, clients: u64, until: Instant) -> Result<u64> {
        let sender = self.sender.clone();
        thread::scope(|scope| {
            let clients = scope.spawn(move || {
                let written = by_threads(clients, until, |number| {
                    let (answer, durable) = mpsc::channel();
                    sender.send(Event::Write(batch_of(number..number + 1), answer))?;
                    durable.recv().context("a write was not answered")
                });
                sender.send(Event::Enough)?;
                written
            });
            self.serve()?;
            clients.join().map_err(|_| anyhow!("the clients' thread panicked"))?
        })
    }

    fn get(&mut self, key: &[u8], show: &mut dyn FnMut(&[u8])) -> Result<bool> {
        self.catch_up()?;
        let found = self.store.get(key, &self.disk);
        let found = found.map_err(|error| anyhow!("a read failed: {error:?}"))?;
        if let Some((value, _)) = &found {
            show(value);
        }
        Ok(found.is_some())
    }

    fn scan(&mut self, show: &mut dyn FnMut(&[u8], &[u8])) -> Result<()> {
        let mut scan = self.store.scan(&[], None, Direction::Forward);
        loop {
            let item = scan.next(&self.disk);
            match item.map_err(|error| anyhow!("a scan failed: {error:?}"))? {
                Some(item) => show(item.key, &item.value),
                None => return Ok(()),
            }
        }
    }

    fn settle(&mut self) -> Result<()> {
        self.wait_durable(self.store.end())?;
        while !self.store.is_settled() {
            self.wait()?;
        }
        Ok(())
    }

    fn compact(&mut self) -> Result<()> {
        self.store.compact_everything();
        self.begin_jobs();
        self.settle()?;
        let deepest =
            self.store.view().levels.iter().filter(|level| !level.tables.is_empty()).count();
        ensure!(deepest <= 1, "{deepest} levels are left after a full compaction");
        Ok(())
    }

    fn own_numbers(&mut self) -> Vec<(&'static str, f64)> {
        let view = self.store.view();
        let (filtered, in_vain, _) = view.filter;
        let (_, hits, misses) = view.cache;
        let share = |part: u64, rest: u64| part as f64 / (part + rest).max(1) as f64;
        vec![
            ("false positives", share(in_vain, filtered)),
            ("cache hits", share(hits, misses)),
            ("busy s", self.spent.busy.as_secs_f64()),
            ("job s", self.spent.jobs.as_secs_f64()),
            ("longest job us", self.spent.longest_job.as_secs_f64() * 1e6),
            ("syncs", self.spent.syncs as f64),
        ]
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        // As a node that stops: the log says that everything is durable.
        self.wait_durable(self.store.end())?;
        let marked = self.store.mark_durable(&mut self.disk);
        if let Some(at) = marked.map_err(|error| anyhow!("cannot close: {error}"))? {
            self.wait_durable(at)?;
        }
        Ok(())
    }
}

fn batch_of(numbers: Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for number in numbers {
        let (key, value) = entry(number);
        batch.put(key, value);
    }
    batch
}
