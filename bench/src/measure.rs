//! Instruments: latencies of single operations, what the kernel says of this process, sizes of files,
//! and the device's own rate of syncs.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;

/// In nanoseconds; what takes longer counts as this.
const LONGEST: u64 = 60_000_000_000;

/// The time of each of a row of operations.
pub(crate) struct Latencies {
    nanoseconds: Histogram<u64>,
    start: Instant,
    last: Instant,
}

impl Latencies {
    /// The first operation begins now.
    pub(crate) fn start() -> Self {
        let nanoseconds = Histogram::new_with_bounds(1, LONGEST, 3).expect("valid bounds");
        let start = Instant::now();
        Self { nanoseconds, start, last: start }
    }

    /// An operation ended, and the next one begins.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        let nanoseconds = now.duration_since(self.last).as_nanos();
        self.nanoseconds.saturating_record(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        self.last = now;
    }

    /// Tells the rate and the percentiles.
    pub(crate) fn tell(&self, put: &mut dyn FnMut(&str, f64)) {
        let all = &self.nanoseconds;
        put("per s", all.len() as f64 / self.last.duration_since(self.start).as_secs_f64());
        for (name, quantile) in [("p50 us", 0.5), ("p99 us", 0.99), ("p99.99 us", 0.9999)] {
            put(name, all.value_at_quantile(quantile) as f64 / 1e3);
        }
        put("max us", all.max() as f64 / 1e3);
    }
}

/// Bytes that this process has handed to the operating system to write. (What reaches the device
/// depends on when the kernel writes pages back, and is not the same twice.)
pub(crate) fn written_bytes() -> Result<u64> {
    kernel_number("/proc/self/io", "wchar:")
}

/// The most memory this process ever had, in bytes.
pub(crate) fn peak_memory() -> Result<u64> {
    Ok(kernel_number("/proc/self/status", "VmHWM:")? * 1024)
}

/// Seconds of processor time that all threads of this process have used so far.
pub(crate) fn processor_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // The name of the program stands in brackets and may hold anything; times are the 12th and 13th
    // number behind it, in the kernel's hundredths of a second.
    let behind = text.rsplit(')').next().unwrap_or_default();
    let ticks: Vec<u64> = behind.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    ensure!(ticks.len() == 2, "/proc/self/stat has no times");
    Ok(ticks.iter().sum::<u64>() as f64 / 100.0)
}

fn kernel_number(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|n| n.parse().ok());
    number.with_context(|| format!("{file} has no number after {name}"))
}

/// Room that the files of a database take on the device, in bytes.
#[derive(Default)]
pub(crate) struct Size {
    /// Of commit logs, recycled or allocated ahead.
    pub(crate) log: u64,
    /// Held back for when the device is full.
    pub(crate) reserve: u64,
    /// Of everything else, mostly tables.
    pub(crate) tables: u64,
}

/// Adds up a folder with all below it.
pub(crate) fn size_of(folder: &Path) -> Result<Size> {
    let mut size = Size::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let metadata = fs::metadata(&path)?;
        if metadata.is_dir() {
            let inner = size_of(&path)?;
            size.log += inner.log;
            size.reserve += inner.reserve;
            size.tables += inner.tables;
        } else {
            // Allocated blocks count 512 bytes each, whatever the filesystem's own are.
            let is_log = path.extension().is_some_and(|end| end == "log" || end == "jnl");
            let kind = if is_log {
                &mut size.log
            } else if path.ends_with("reserve") {
                &mut size.reserve
            } else {
                &mut size.tables
            };
            *kind += metadata.blocks() * 512;
        }
    }
    Ok(size)
}

/// How often per second the device makes a small write durable: over bytes that are there already,
/// and at the end of a file that grows.
pub(crate) fn raw_syncs(folder: &Path, time: Duration) -> Result<(f64, f64)> {
    let path = folder.join("raw-syncs");
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
    let file = open()?;
    file.write_all_at(&[0; ROOM], 0)?;
    file.sync_all()?;
    let over = synced_writes(&file, time)?;
    let grown = synced_writes(&open()?, time)?;
    fs::remove_file(&path)?;
    Ok((over, grown))
}

/// About what one entry takes in a log.
const RECORD: [u8; 160] = [1; 160];
/// Written over and over.
const ROOM: usize = 8 << 20;

fn synced_writes(file: &File, time: Duration) -> Result<f64> {
    let (start, mut count) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all_at(&RECORD, (count * RECORD.len() % (ROOM - RECORD.len())) as u64)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}
