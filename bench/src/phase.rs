//! One phase of the workload on one engine, in a process of its own, so that memory and written bytes
//! are this phase's alone. Its numbers go to standard output as one line of JSON.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::ValueEnum;

use crate::engine::{Engine, Kind};
use crate::measure::{self, Latencies};
use crate::workload::{self, KEY_BYTES, VALUE_BYTES};

/// Numbers by name; the names are those of `table::LINES`.
pub(crate) type Numbers = BTreeMap<String, f64>;

/// A part of the workload. Those that read find what `Insert` left in the folder; the sync phases
/// begin with an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// Random inserts without a sync, then the wait for flushes and compactions.
    Insert,
    /// Random reads of keys that exist.
    Hit,
    /// Random reads of keys that do not.
    Miss,
    /// All entries in order.
    Scan,
    /// A full compaction, then the size on disk.
    Compact,
    /// Batches of 100 entries, each made durable, by one client.
    Sync100,
    /// Single entries, each made durable, by one client.
    Sync1,
    /// Single entries, each made durable, by 16 clients at once.
    Sync16,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    /// Entries inserted; half as many are read in each phase.
    pub(crate) entries: u64,
    /// How long each of the synced phases lasts.
    pub(crate) sync_time: Duration,
}

const CLIENTS: u64 = 16;

impl Phase {
    pub(crate) fn needs_entries(self) -> bool {
        matches!(self, Self::Hit | Self::Miss | Self::Scan | Self::Compact)
    }

    /// How many operations there are, where that is known before.
    fn operations(self, extent: Extent) -> Option<u64> {
        match self {
            Self::Insert | Self::Scan | Self::Compact => Some(extent.entries),
            Self::Hit | Self::Miss => Some(extent.entries / 2),
            Self::Sync100 | Self::Sync1 | Self::Sync16 => None,
        }
    }

    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Opens the engine, runs the phase, closes it.
pub(crate) fn run(
    phase: Phase,
    kind: Kind,
    folder: &Path,
    buffered: bool,
    extent: Extent,
) -> Result<Numbers> {
    let mut numbers = Numbers::new();
    let mut put = |name: &str, number: f64| {
        numbers.insert(format!("{} {name}", phase.name()), number);
    };
    let start = Instant::now();
    let mut engine = kind.open(folder, buffered)?;
    put("open s", start.elapsed().as_secs_f64());
    let processor = measure::processor_seconds()?;
    match phase {
        Phase::Insert => insert(&mut *engine, extent.entries, &mut put)?,
        Phase::Hit => read(&mut *engine, 0..extent.entries, true, &mut put)?,
        Phase::Miss => read(&mut *engine, extent.entries..2 * extent.entries, false, &mut put)?,
        Phase::Scan => scan(&mut *engine, extent.entries, &mut put)?,
        Phase::Compact => {
            let start = Instant::now();
            engine.compact()?;
            put("s", start.elapsed().as_secs_f64());
        }
        Phase::Sync100 => synced(&mut *engine, 100, extent.sync_time, &mut put)?,
        Phase::Sync1 => synced(&mut *engine, 1, extent.sync_time, &mut put)?,
        Phase::Sync16 => {
            let start = Instant::now();
            let writes = engine.put_synced_by(CLIENTS, start + extent.sync_time)?;
            put("per s", writes as f64 / start.elapsed().as_secs_f64());
        }
    }
    if let Some(operations) = phase.operations(extent) {
        let used = measure::processor_seconds()? - processor;
        put("cpu us", used * 1e6 / operations as f64);
    }
    for (name, number) in engine.own_numbers() {
        put(name, number);
    }
    engine.close()?;
    let logical = (extent.entries * (KEY_BYTES + VALUE_BYTES) as u64) as f64;
    if phase == Phase::Insert {
        put("written", measure::written_bytes()? as f64 / logical);
    }
    if phase == Phase::Compact {
        let size = measure::size_of(folder)?;
        put("disk", (size.tables + size.log + size.reserve) as f64 / logical);
        put("tables", size.tables as f64 / logical);
        put("log", size.log as f64 / logical);
        put("reserve", size.reserve as f64 / logical);
    }
    put("peak MiB", measure::peak_memory()? as f64 / f64::from(1 << 20));
    Ok(numbers)
}

fn insert(engine: &mut dyn Engine, entries: u64, put: &mut dyn FnMut(&str, f64)) -> Result<()> {
    let mut latencies = Latencies::start();
    for number in 0..entries {
        engine.put(&workload::key(number), &workload::value(number))?;
        latencies.lap();
    }
    latencies.tell(put);
    let start = Instant::now();
    engine.settle()?;
    put("settle s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Half as many reads as there are numbers.
fn read(
    engine: &mut dyn Engine,
    numbers: Range<u64>,
    present: bool,
    put: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let count = numbers.end - numbers.start;
    let mut latencies = Latencies::start();
    for number in workload::random_numbers(count, count).take((count / 2) as usize) {
        let number = numbers.start + number;
        let mut right = !present;
        let expected = workload::value(number);
        let found = engine.get(&workload::key(number), &mut |value| right = value == expected)?;
        ensure!(found == present && right, "entry {number}: a wrong answer");
        latencies.lap();
    }
    latencies.tell(put);
    Ok(())
}

fn scan(engine: &mut dyn Engine, entries: u64, put: &mut dyn FnMut(&str, f64)) -> Result<()> {
    let (mut count, mut last) = (0, [0; KEY_BYTES]);
    let mut ordered = true;
    let start = Instant::now();
    engine.scan(&mut |key, value| {
        ordered &= value.len() == VALUE_BYTES && (count == 0 || *key > last[..]);
        last.copy_from_slice(key);
        count += 1;
    })?;
    put("per s", entries as f64 / start.elapsed().as_secs_f64());
    ensure!(
        ordered && count == entries,
        "a scan showed {count} of {entries} entries, or in disorder"
    );
    Ok(())
}

/// Batches of so many entries, one after the other.
fn synced(
    engine: &mut dyn Engine,
    batch: u64,
    time: Duration,
    put: &mut dyn FnMut(&str, f64),
) -> Result<()> {
    let (start, mut batches) = (Instant::now(), 0);
    while start.elapsed() < time {
        engine.put_synced(batches * batch..(batches + 1) * batch)?;
        batches += 1;
    }
    put("per s", batches as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
