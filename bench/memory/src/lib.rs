//! The storage engine on a disk in memory, and simulated clusters: the same code natively and in
//! WebAssembly, to be timed from outside. `run.mjs` and `simulate.mjs` do so in Node, `../src/memory.rs`
//! and `main.rs` natively.
//!
//! There is one thread, so jobs are done in place, as in a page. The module imports nothing; its
//! functions take and return numbers. Each returns how many entries it has seen, and 0 after a failure.

pub mod history;
pub mod simulator;

#[path = "../../src/workload.rs"]
mod workload;

use std::cell::RefCell;

use kv_core::sim::disk::SimDisk;
use kv_core::storage::{Batch, Direction, Store, StoreOptions};

/// Such as suit a browser's memory.
const OPTIONS: StoreOptions = StoreOptions {
    segment_bytes: 4 << 20,
    memtable_bytes: 4 << 20,
    table_bytes: 4 << 20,
    level_bytes: 16 << 20,
    cache_bytes: 8 << 20,
    reserve_bytes: 0,
    ..StoreOptions::SERVER
};

struct Database {
    store: Store,
    disk: SimDisk,
    entries: u64,
}

thread_local! {
    static DATABASE: RefCell<Option<Database>> = const { RefCell::new(None) };
    static CLUSTER: RefCell<Option<simulator::Cluster>> = const { RefCell::new(None) };
}

/// Begins a simulated cluster; returns 1.
#[unsafe(no_mangle)]
pub extern "C" fn begin(nodes: u32, per_second: u32) -> u32 {
    let cluster =
        u16::try_from(nodes).ok().and_then(|nodes| simulator::Cluster::new(nodes, per_second));
    let begun = cluster.is_some();
    CLUSTER.set(cluster);
    u32::from(begun)
}

/// Runs it on for so many simulated milliseconds; returns how many events there were.
#[unsafe(no_mangle)]
pub extern "C" fn simulate(millis: u32) -> u32 {
    let events = |cluster: &mut simulator::Cluster| cluster.run(u64::from(millis));
    counted(CLUSTER.with_borrow_mut(|cluster| cluster.as_mut().map(events)))
}

/// Makes an empty store and inserts entries in random order.
#[unsafe(no_mangle)]
pub extern "C" fn insert(entries: u32) -> u32 {
    counted(DATABASE.with_borrow_mut(|database| {
        let mut disk = SimDisk::default();
        let (store, _) = Store::open(OPTIONS, &mut disk).ok()?;
        let database = database.insert(Database { store, disk, entries: 0 });
        (0..u64::from(entries)).try_for_each(|number| database.insert(number))?;
        Some(database.entries)
    }))
}

/// Reads half as many random keys that are there as there are.
#[unsafe(no_mangle)]
pub extern "C" fn hit() -> u32 {
    counted(with(|database| database.read(0)))
}

/// Reads half as many keys that are not there as there are others.
#[unsafe(no_mangle)]
pub extern "C" fn miss() -> u32 {
    counted(with(|database| database.read(database.entries)))
}

/// Goes through all entries.
#[unsafe(no_mangle)]
pub extern "C" fn scan() -> u32 {
    counted(with(|database| {
        let mut scan = database.store.scan(&[], None, Direction::Forward);
        let mut count = 0;
        while let Some(item) = scan.next(&database.disk).ok()? {
            count += u64::from(item.value.len() == workload::VALUE_BYTES);
        }
        (count == database.entries).then_some(count)
    }))
}

fn with(work: impl FnOnce(&mut Database) -> Option<u64>) -> Option<u64> {
    DATABASE.with_borrow_mut(|database| work(database.as_mut()?))
}

fn counted(count: Option<u64>) -> u32 {
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

impl Database {
    fn insert(&mut self, number: u64) -> Option<()> {
        let mut batch = Batch::default();
        batch.put(workload::key(number), workload::value(number));
        self.store.apply(&batch, &mut self.disk).ok()?;
        self.entries += 1;
        while let Some((id, job)) = self.store.next_job() {
            let result = job.run(&mut self.disk);
            self.store.job_done(id, result, &mut self.disk);
            // The root may name a table only when its part of the log is durable.
            let end = self.store.end();
            self.disk.sync_log(end).ok()?;
            self.store.synced(end);
        }
        self.store.failure().is_none().then_some(())
    }

    /// Reads keys whose numbers begin at `first`; tells how many there were to read if all was right.
    fn read(&mut self, first: u64) -> Option<u64> {
        let numbers = workload::random_numbers(self.entries, self.entries);
        for number in numbers.take((self.entries / 2) as usize) {
            let found = self.store.get(&workload::key(first + number), &self.disk).ok()?;
            let expected = (first == 0).then(|| workload::value(number));
            if found.as_ref().map(|(value, _)| &value[..]) != expected.as_ref().map(|v| &v[..]) {
                return None;
            }
        }
        Some(self.entries / 2)
    }
}
