//! Instruments: processor time of processes, and the device's rate of syncs.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Processor time of all threads of these processes so far, in microseconds.
pub(crate) fn processor_micros(processes: &[u32]) -> Result<f64> {
    let ticks = processes.iter().map(|process| ticks(*process)).sum::<Result<u64>>()?;
    // The kernel counts in hundredths of a second.
    Ok(ticks as f64 * 10_000.0)
}

fn ticks(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    // The name of the program stands in brackets and may hold anything; user and system time are the
    // 12th and 13th number behind it.
    let behind = text.rsplit(')').next().unwrap_or_default();
    let times: Vec<u64> = behind.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    anyhow::ensure!(times.len() == 2, "{path} has no times");
    Ok(times.iter().sum())
}

/// How often per second a small write at the end of a file can be made durable.
pub(crate) fn syncs_per_second(folder: &Path, time: Duration) -> Result<f64> {
    let path = folder.join("syncs");
    let mut file = File::create(&path)?;
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < time {
        file.write_all(&[1; 256])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    Ok(rate)
}
